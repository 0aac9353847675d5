//! Seeded storms over one IRC account: connections that break or fall silent, kills of the
//! process, edits of the configuration. Every message that was accepted is answered, and twice
//! only where nobody could know whether the first answer had arrived.

use super::super::Gateway;
use super::super::fuzz::{Memory, boot_with, parse};
use crate::config::AuthMode;
use crate::driver::{Closed, ConnId, Core, DialError, Effect, Effects, Input, Now, Time};
use crate::limits;
use std::collections::{BTreeMap, BTreeSet};

const CONFIG: &str = "{gateway: {mode: 'local', auth: {mode: 'none'}}, \
     agents: {defaults: {model: 'local/echo'}}, \
     channels: {irc: {host: 'irc.test', tls: false, nick: 'bot', \
     dmPolicy: 'open', allowFrom: ['*']}}}";

struct World {
    disk: Memory,
    gateway: Gateway,
    fx: Effects,
    now: Now,
    seed: u64,
    slots: u32,
    conn: Option<ConnId>,
    /// The server takes connections.
    up: bool,
    /// It takes bytes and says nothing any more.
    deaf: bool,
    welcomed: bool,
    rest: Vec<u8>,
    /// Answers by the message they repeat.
    answers: BTreeMap<u32, u32>,
    /// Answers whose receipt was not asked for yet.
    unasked: BTreeSet<u32>,
    /// Answers that may be given again.
    doubtful: BTreeSet<u32>,
    said: BTreeSet<u32>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self::with(CONFIG, seed)
    }

    fn with(config: &str, seed: u64) -> Self {
        let disk = Memory::default();
        let now = Now { time: Time(1_000_000), wall_ms: 1_795_000_000_000 };
        let gateway = boot_with(parse(config), AuthMode::None, &disk, now);
        let mut world = Self {
            disk,
            gateway,
            fx: Effects::new(),
            now,
            seed,
            slots: 0,
            conn: None,
            up: true,
            deaf: false,
            welcomed: false,
            rest: Vec::new(),
            answers: BTreeMap::new(),
            unasked: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            said: BTreeSet::new(),
        };
        world.pass(0);
        world
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.seed >> 33) % below
    }

    fn feed(&mut self, input: Input<'_>) {
        self.gateway.on(self.now, input, &mut self.fx);
        self.gateway.turn_end(self.now, &mut self.fx);
        self.settle();
    }

    /// Carries out what was asked for until nothing is left.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let effects: Vec<Effect> = self.fx.drain().collect();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.carry_out(effect);
            }
            self.gateway.turn_end(self.now, &mut self.fx);
        }
        panic!("it never comes to rest");
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Dial { dial, .. } => {
                let result = match self.up {
                    false => Err(DialError::Connect("refused".to_owned())),
                    true => {
                        self.slots += 1;
                        let conn = ConnId { slot: self.slots, generation: 0 };
                        self.conn = Some(conn);
                        (self.welcomed, self.deaf) = (false, false);
                        self.rest.clear();
                        Ok(conn)
                    }
                };
                self.gateway.on(self.now, Input::Dialed { dial, result }, &mut self.fx);
            }
            Effect::Send { conn, bytes } if self.conn == Some(conn) && !self.deaf => {
                self.rest.extend(bytes);
                let answer = self.serve();
                if !answer.is_empty() {
                    let bytes = answer.as_bytes();
                    self.gateway.on(self.now, Input::Received { conn, bytes }, &mut self.fx);
                }
            }
            Effect::Close { conn } | Effect::Abort { conn } if self.conn == Some(conn) => {
                self.broken();
                self.conn = None;
            }
            _ => {}
        }
    }

    /// The server: what it answers to the lines that are complete.
    fn serve(&mut self) -> String {
        let mut out = String::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if line.starts_with("USER ") {
                self.welcomed = true;
                out.push_str(":s 001 bot :hi\r\n");
            } else if let Some(token) = line.strip_prefix("PING ") {
                self.unasked.clear();
                out.push_str(&format!(":s PONG s {token}\r\n"));
            } else if let Some(nick) = line.strip_prefix("USERHOST ") {
                out.push_str(&format!(":s 302 bot :{nick}=+u@h\r\n"));
            } else if let Some((_, number)) = line.split_once("say-") {
                let number = number.split(|c: char| !c.is_ascii_digit()).next().expect("it");
                let number = number.parse().expect("a number");
                *self.answers.entry(number).or_default() += 1;
                self.unasked.insert(number);
            } else if line.contains("stopped before this was answered") {
                panic!("an echo is never cut short: {line}");
            }
        }
        out
    }

    /// Whatever has no receipt may come again.
    fn broken(&mut self) {
        self.doubtful.append(&mut self.unasked);
        self.rest.clear();
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now.time.after_ms(ms);
        for _ in 0..100_000 {
            match self.gateway.deadline().filter(|due| *due <= end) {
                None => break,
                Some(due) => {
                    let due = due.max(self.now.time);
                    self.now.wall_ms += due.ms_since(self.now.time);
                    self.now.time = due;
                    self.feed(Input::Wake);
                }
            }
        }
        self.now.wall_ms += end.ms_since(self.now.time);
        self.now.time = end;
    }

    fn say(&mut self, number: u32) {
        let Some(conn) = self.conn.filter(|_| self.welcomed && !self.deaf) else { return };
        self.said.insert(number);
        let line = format!(":al!u@h PRIVMSG bot :say-{number}\r\n");
        self.feed(Input::Received { conn, bytes: line.as_bytes() });
    }

    fn cut(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.broken();
            self.feed(Input::Closed { conn, why: Closed::Error("reset".to_owned()) });
        }
    }

    fn kill(&mut self) {
        self.broken();
        self.conn = None;
        self.fx = Effects::new();
        self.now.wall_ms += 10;
        self.now.time = self.now.time.after_ms(10);
        self.gateway = boot_with(parse(CONFIG), AuthMode::None, &self.disk, self.now);
        self.pass(1);
    }
}

#[test]
fn a_storm_loses_no_message_and_answers_none_twice() {
    let mut answered = 0;
    for seed in 0..256 {
        let mut world = World::new(seed * 7919 + 1);
        for number in 0..24 {
            match world.random(10) {
                0 => world.cut(),
                1 => world.kill(),
                2 => world.deaf = world.conn.is_some(),
                3 => {
                    world.up = false;
                    world.cut();
                    world.pass(30_000);
                    world.up = true;
                }
                _ => {}
            }
            world.say(number);
            if world.random(6) == 0 {
                world.kill();
            }
            let ms = world.random(4_000);
            world.pass(ms);
        }
        world.up = true;
        world.pass(30 * 60_000);
        for number in world.said.clone() {
            let count = world.answers.get(&number).copied().unwrap_or_default();
            assert!(count >= 1, "seed {seed}: say-{number} was never answered");
            let sure = !world.doubtful.contains(&number);
            assert!(count == 1 || !sure, "seed {seed}: say-{number} was answered {count} times");
            answered += 1;
        }
        assert_eq!(world.gateway.runs.unfinished(), 0, "seed {seed}");
        assert_eq!(world.gateway.channels.outbox.waiting("irc", "default"), 0, "seed {seed}");
    }
    assert!(answered > 2_000, "{answered}");
}

#[test]
fn more_messages_than_may_wait_for_a_run_are_kept_as_dead_letters_of_irc() {
    let slow = CONFIG.replace("channels:", "messages: {inbound: {debounceMs: 60000}}, channels:");
    let mut world = World::with(&slow, 1);
    let most = u32::try_from(limits::CHANNEL_INBOX).expect("fits");
    let letters = |world: &World| {
        world.gateway.channels.dead.all(world.gateway.disk.as_ref()).expect("a list")
    };
    for number in 0..most {
        world.say(number);
    }
    assert_eq!(letters(&world).len(), 0, "so many may wait");
    world.say(most);
    let kept = letters(&world);
    let [letter] = kept.as_slice() else { panic!("{} letters", kept.len()) };
    assert_eq!((&*letter.direction, letter.attempts), ("inbound", 0));
    assert!(letter.reason.contains("512 messages waited"), "{}", letter.reason);
    assert_eq!(letter.payload["message"]["text"], format!("say-{most}"));
    // When they are a run there is room again.
    world.pass(60_000);
    world.say(most + 1);
    assert_eq!(letters(&world).len(), 1);
    world.pass(30 * 60_000);
    assert_eq!(world.gateway.runs.unfinished(), 0);
    assert_eq!(world.answers.get(&(most + 1)), Some(&1));
    let again = |id: &str| crate::channels::find(id).expect("a channel").caps.brings_again;
    assert!(["telegram", "discord", "slack"].into_iter().all(again) && !again("irc"));
}
