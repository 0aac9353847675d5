use super::super::super::fuzz::{Memory, boot_with, parse};
use super::super::outbound::Delivery;
use super::*;
use crate::channels::{Address, State};
use crate::config::AuthMode;
use crate::driver::{Core, DialError, Effect, Input, Now, Time};

/// A gateway without any network.
struct World {
    disk: Memory,
    gateway: Gateway,
    fx: Effects,
    now: Now,
    dials: usize,
}

fn config(rest: &str) -> Rc<crate::config::Config> {
    parse(&format!("{{gateway: {{mode: 'local', auth: {{mode: 'none'}}, {rest}}}"))
}

impl World {
    fn new(rest: &str) -> Self {
        let now = Now { time: Time(1_000_000), wall_ms: 1_795_000_000_000 };
        let disk = Memory::default();
        let gateway = boot_with(config(rest), AuthMode::None, &disk, now);
        let mut world = Self { disk, gateway, fx: Effects::new(), now, dials: 0 };
        world.pass(0);
        world
    }

    fn edit(&mut self, rest: &str) {
        self.gateway.config = config(rest);
        self.gateway.channels_on_config(&mut self.fx);
        self.settle();
    }

    fn settle(&mut self) {
        self.gateway.turn_end(self.now, &mut self.fx);
        loop {
            let effects: Vec<Effect> = self.fx.drain().collect();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                if let Effect::Dial { dial, .. } = effect {
                    self.dials += 1;
                    let result = Err(DialError::Connect("refused".to_owned()));
                    self.gateway.on(self.now, Input::Dialed { dial, result }, &mut self.fx);
                }
            }
            self.gateway.turn_end(self.now, &mut self.fx);
        }
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now.time.after_ms(ms);
        while let Some(due) = self.gateway.deadline().filter(|due| *due <= end) {
            let due = due.max(self.now.time);
            self.now.wall_ms += due.ms_since(self.now.time);
            self.now.time = due;
            self.gateway.on(self.now, Input::Wake, &mut self.fx);
            self.settle();
        }
        self.now.wall_ms += end.ms_since(self.now.time);
        self.now.time = end;
    }

    fn live(&mut self, channel: &str, account: &str) -> &mut Live {
        let id = self.gateway.channels.find(channel, account).expect("an account");
        self.gateway.channels.live.get_mut(&id).expect("it")
    }

    fn blocked(&mut self, account: &str) -> bool {
        matches!(self.live("telegram", account).state, State::Refused { .. })
    }
}

fn twins(a: &str, b: &str) -> String {
    format!(
        "}}, channels: {{telegram: {{apiRoot: 'http://t', accounts: {{a: {{{a}}}, b: {{{b}}}}}}}}}"
    )
}

#[test]
fn a_token_changes_hands_in_one_edit() {
    let (one, two) = ("botToken: '1:ABCDEFGH'", "botToken: '2:ABCDEFGH'");
    let mut world = World::new(&twins(one, one));
    assert!(!world.blocked("a") && world.blocked("b"));
    world.edit(&twins(&format!("{one}, enabled: false"), one));
    assert!(!world.blocked("b"), "nobody else has it any more");
    world.edit(&twins(one, two));
    assert!(!world.blocked("a") && !world.blocked("b"));
    world.edit(&twins(two, one));
    assert!(!world.blocked("a") && !world.blocked("b"), "they are exchanged");
    assert!(world.live("telegram", "a").running && world.live("telegram", "b").running);
    let stopped = world.live("telegram", "a");
    stopped.by_hand = true;
    let id = world.gateway.channels.find("telegram", "a").expect("it");
    world.gateway.stop_account(id, &mut Effects::new());
    world.edit(&twins(two, &format!("{one}, replyToMode: 'off'")));
    assert!(!world.live("telegram", "a").running, "an operator stopped it");
}

#[test]
fn the_health_monitor_leaves_alone_who_is_called_and_comes_back_by_an_edit() {
    let slack = |minutes: u64| {
        format!(
            "channelHealthCheckMinutes: {minutes}, channelStaleEventThresholdMinutes: 1}}, \
             channels: {{slack: {{mode: 'http', botToken: 'xoxb-1', signingSecret: 's', \
             apiUrl: 'http://s'}}, irc: {{host: 'h', nick: 'n'}}}}"
        )
    };
    let mut world = World::new(&slack(1));
    let minutes = 60_000;
    world.live("slack", "default").state = State::Connected;
    world.live("slack", "default").paths.push("/slack/events".to_owned());
    world.live("irc", "default").state = State::Connected;
    let started = world.live("slack", "default").seen.started;
    world.now.wall_ms += 10 * minutes;
    world.pass(2 * minutes);
    assert_eq!(world.live("slack", "default").seen.started, started);
    assert_eq!(world.live("irc", "default").seen.revived.len(), 0, "it never had a connection");
    world.live("irc", "default").seen.transport = Some(1);
    world.live("irc", "default").state = State::Connected;
    world.pass(minutes);
    assert_eq!(world.live("irc", "default").seen.revived.len(), 1, "it fell silent");
    // Switched off, nobody looks; switched on, somebody does again.
    world.edit(&slack(0));
    world.pass(5 * minutes);
    let silent = |world: &mut World| {
        world.live("irc", "default").seen.transport = Some(1);
        world.live("irc", "default").state = State::Connected;
    };
    silent(&mut world);
    world.pass(5 * minutes);
    assert_eq!(world.live("irc", "default").seen.revived.len(), 1);
    world.edit(&slack(1));
    silent(&mut world);
    world.pass(2 * minutes);
    assert_eq!(world.live("irc", "default").seen.revived.len(), 2);
}

#[test]
fn what_waits_for_one_account_takes_no_room_of_another() {
    let (one, two) = ("botToken: '1:ABCDEFGH'", "botToken: '2:ABCDEFGH'");
    let mut world = World::new(&twins(one, two));
    let now_ms = world.now.wall_ms;
    let notice = |account: &str, n: usize| {
        let to = Address { chat: "5".to_owned(), thread: None };
        Delivery::notice(format!("{account}{n}"), ("telegram", account), to, "x".into(), now_ms)
    };
    for n in 0..limits::CHANNEL_OUTBOX {
        let taken = world.gateway.try_deliver(notice("a", n), &mut world.fx);
        assert_eq!(taken, Ok(true), "{n}");
    }
    let why = world.gateway.try_deliver(notice("a", 5_000), &mut world.fx).expect_err("full");
    assert!(why.contains("messages of telegram a wait") && why.contains("--probe"), "{why}");
    assert_eq!(world.gateway.try_deliver(notice("b", 0), &mut world.fx), Ok(true));
    // An answer is kept where an operator finds it.
    assert_eq!(world.gateway.channels.dead.summary("telegram", "a"), None);
    world.gateway.deliver(notice("a", 5_001), &mut world.fx);
    let dead = world.gateway.channels.dead.summary("telegram", "a").expect("a letter");
    assert_eq!(dead["count"], 1, "{dead}");
    // It was given up, and is not taken on by whoever asks again.
    assert!(world.gateway.channels.outbox.knows("a5001"));
    // Where the disk takes no letter either, nothing counts as settled: the next life may try.
    world.disk.refuse(true);
    world.gateway.deliver(notice("a", 5_002), &mut world.fx);
    world.disk.refuse(false);
    assert!(!world.gateway.channels.outbox.knows("a5002"));
}

#[test]
fn a_probe_of_an_earlier_state_is_no_issue_of_this_one() {
    let mut world = World::new(&twins("botToken: '1:ABCDEFGH'", "enabled: false"));
    let now_ms = world.now.wall_ms;
    let live = world.live("telegram", "a");
    (live.state, live.seen.since) = (State::Connected, now_ms);
    let mut issues = |at: u64| {
        world.live("telegram", "a").seen.probe = Some((at, Err("no answer".to_owned())));
        world.gateway.channels_status()["statusIssues"].as_array().map_or(0, Vec::len)
    };
    assert_eq!((issues(now_ms - 1), issues(now_ms)), (0, 1));
}
