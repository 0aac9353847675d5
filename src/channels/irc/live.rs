//! A connection that was welcomed: rooms, messages both ways, the pace of lines, liveness.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use super::Settings;
use super::line::{Line, Lines, is_room, is_word, lower, one_line, pieces, unformatted};
use crate::channels::port::{ChannelOut, Me, SockId, State};
use crate::channels::{Address, Chat, ChatKind, Failure, Inbound, Outgoing, Sender};
use crate::driver::{Now, Time};
use crate::limits;

/// What waits to leave, in order.
enum Step {
    /// A line; without its end.
    Line(String),
    /// The `PING` behind a message's lines, by the message's number.
    Receipt(u64),
}

/// A message on its way.
struct Flight {
    number: u64,
    id: String,
    target: String,
    /// Why the server did not take a line of it.
    refused: Option<Failure>,
    /// It waits for the answer to `USERHOST` with these lines.
    held: Option<Vec<String>>,
    /// Who has to have the nick.
    mask: String,
}

/// The connection.
pub(super) struct Live {
    pub(super) sock: SockId,
    pub(super) lines: Lines,
    pub(super) nick: String,
    /// Our own `user@host`, as others see it: it takes room in every line.
    rooms: BTreeSet<String>,
    /// Why a room of the configuration does not let us in.
    denied: BTreeMap<String, String>,
    /// To be entered again then, after a kick.
    rejoin: Option<(Time, String)>,
    /// The random name of this connection, for ids.
    name: String,
    count: u64,
    /// Masks heard on this connection: their nicks are theirs.
    known: BTreeSet<String>,
    flights: Vec<Flight>,
    out: VecDeque<Step>,
    tokens: u64,
    refill: Time,
    next_ping: Time,
    /// When our own nick is asked for again, while another one stands in for it.
    regain: Option<Time>,
    /// Since when the connection is welcome.
    since: Time,
    /// No answer to a PING by then: gone.
    dead: Option<Time>,
}

impl Live {
    pub(super) fn begin(
        now: Now,
        sock: SockId,
        lines: Lines,
        nick: String,
        settings: &Settings,
        out: &mut ChannelOut,
    ) -> Self {
        let mut live = Self {
            sock,
            lines,
            nick,
            rooms: BTreeSet::new(),
            denied: BTreeMap::new(),
            rejoin: None,
            name: format!("{:016x}", out.random()),
            count: 0,
            known: BTreeSet::new(),
            flights: Vec::new(),
            out: VecDeque::new(),
            tokens: limits::IRC_BURST,
            refill: now.time,
            next_ping: now.time.after_ms(limits::IRC_PING_MS),
            regain: None,
            since: now.time,
            dead: None,
        };
        let own = live.has_own_nick(settings);
        if let Some((service, password)) = &settings.nickserv {
            let (service, password) = (one_line(service), one_line(password));
            if let Some(address) = &settings.register {
                let address = one_line(address);
                live.line_out(format!("PRIVMSG {service} :REGISTER {password} {address}"));
            }
            if own {
                live.line_out(format!("PRIVMSG {service} :IDENTIFY {password}"));
            } else {
                // Whoever has our nick without our password is sent off it.
                let nick = &settings.nick;
                live.line_out(format!("PRIVMSG {service} :GHOST {nick} {password}"));
            }
        }
        if !own {
            live.regain = Some(now.time.after_ms(limits::IRC_GHOST_MS));
        }
        for room in &settings.rooms {
            live.line_out(format!("JOIN {room}"));
        }
        live.tell_me(out);
        out.status(State::Connected);
        live.pump(now, out);
        live
    }

    fn has_own_nick(&self, settings: &Settings) -> bool {
        lower(&self.nick) == lower(&settings.nick)
    }

    /// Whether it lasted long enough that the next failure is a new one.
    pub(super) fn has_lasted(&self, now: Now) -> bool {
        now.time.ms_since(self.since) >= limits::IRC_STABLE_MS
    }

    fn tell_me(&self, out: &mut ChannelOut) {
        let more = json!({"nick": self.nick});
        out.me(Me { id: self.nick.clone(), name: self.nick.clone(), more });
    }

    /// Whether we are in a room of the configuration, else why not and what to do.
    pub(super) fn is_in(&self, room: &str) -> Result<Value, String> {
        let room = lower(room);
        match (self.rooms.contains(&room), self.denied.get(&room)) {
            (true, _) => Ok(Value::Null),
            (false, Some(why)) => {
                Err(format!("not in the room ({why}); ask its operators to let the nick in"))
            }
            (false, None) => Err("not in the room, the server has not let us in yet".to_owned()),
        }
    }

    /// The rooms we are in.
    pub(super) fn rooms(&self) -> Vec<&str> {
        self.rooms.iter().map(String::as_str).collect()
    }

    fn line_out(&mut self, line: String) {
        self.out.push_back(Step::Line(line));
    }

    /// Lets lines go as fast as the server likes it.
    fn pump(&mut self, now: Now, out: &mut ChannelOut) {
        let every = limits::IRC_LINE_EVERY_MS;
        let passed = now.time.ms_since(self.refill) / every;
        if passed > 0 {
            self.tokens = self.tokens.saturating_add(passed).min(limits::IRC_BURST);
            self.refill = self.refill.after_ms(passed.saturating_mul(every));
        }
        if self.tokens == limits::IRC_BURST {
            self.refill = now.time;
        }
        let mut bytes = Vec::new();
        while self.tokens > 0 {
            let Some(step) = self.out.pop_front() else { break };
            self.tokens = self.tokens.saturating_sub(1);
            let line = match step {
                Step::Line(line) => line,
                Step::Receipt(number) => {
                    self.expect(now);
                    format!("PING :r{number}")
                }
            };
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        if !bytes.is_empty() {
            out.bytes(self.sock, bytes);
        }
    }

    /// An answer is due.
    fn expect(&mut self, now: Now) {
        if self.dead.is_none() {
            self.dead = Some(now.time.after_ms(limits::IRC_PONG_MS));
        }
    }

    pub(super) fn deadline(&self) -> Time {
        let pace = (!self.out.is_empty()).then(|| self.refill.after_ms(limits::IRC_LINE_EVERY_MS));
        let rejoin = self.rejoin.as_ref().map(|(at, _)| *at);
        let due = [Some(self.next_ping), self.dead, pace, rejoin, self.regain];
        due.into_iter().flatten().min().unwrap_or(self.next_ping)
    }

    /// False when the server is gone.
    pub(super) fn wake(&mut self, now: Now, settings: &Settings, out: &mut ChannelOut) -> bool {
        if self.dead.is_some_and(|at| at <= now.time) {
            return false;
        }
        if self.next_ping <= now.time {
            self.next_ping = now.time.after_ms(limits::IRC_PING_MS);
            self.expect(now);
            out.bytes(self.sock, b"PING :alive\r\n".to_vec());
        }
        if let Some((_, room)) = self.rejoin.take_if(|(at, _)| *at <= now.time) {
            self.line_out(format!("JOIN {room}"));
        }
        if self.regain.take_if(|at| *at <= now.time).is_some() {
            self.line_out(format!("NICK {}", settings.nick));
            self.regain = Some(now.time.after_ms(limits::IRC_REGAIN_MS));
        }
        self.pump(now, out);
        true
    }

    /// The connection is lost: what has no receipt is to be sent again.
    pub(super) fn give_back(&mut self, why: &str, out: &mut ChannelOut) {
        for flight in std::mem::take(&mut self.flights) {
            out.send_failed(&flight.id, Failure::later(why));
        }
    }

    /// We say goodbye: what has left whole is sent, for the server reads on to our end.
    pub(super) fn settle(&mut self, out: &mut ChannelOut) {
        let waits = |number: u64| {
            let ours = |step: &Step| matches!(step, Step::Receipt(other) if *other == number);
            self.out.iter().any(ours)
        };
        let (left, gone): (Vec<Flight>, Vec<Flight>) = std::mem::take(&mut self.flights)
            .into_iter()
            .partition(|flight| flight.held.is_some() || waits(flight.number));
        self.flights = left;
        for flight in gone {
            match flight.refused {
                None => out.sent(&flight.id, vec![format!("{}-{}", self.name, flight.number)]),
                Some(failure) => out.send_failed(&flight.id, failure),
            }
        }
    }

    /// Takes a message on.
    pub(super) fn send(&mut self, now: Now, message: &Outgoing, out: &mut ChannelOut) {
        let mask = &message.to.chat;
        let target = mask.split('!').next().unwrap_or_default().to_owned();
        if !is_word(&target) {
            let what = format!("\"{}\" is no IRC target", unformatted(&target));
            return out.send_failed(&message.id, Failure::permanent(what));
        }
        // `:nick!user@host PRIVMSG target :` stands in front of what others see.
        let front = self.nick.len() + limits::IRC_HOSTMASK + target.len() + 14;
        let room = limits::IRC_LINE_OUT.saturating_sub(front).max(32);
        let lines: Vec<String> = pieces(&message.text, room)
            .into_iter()
            .map(|text| format!("PRIVMSG {target} :{text}"))
            .collect();
        if lines.is_empty() {
            let what = "nothing is left of the message as plain text, so it was not sent";
            return out.send_failed(&message.id, Failure::permanent(what));
        }
        if lines.len().saturating_add(self.out.len()) > limits::IRC_LINES_WAITING {
            let what = "too many lines wait for the server's pace";
            return out.send_failed(&message.id, Failure::later(what));
        }
        self.count = self.count.saturating_add(1);
        let number = self.count;
        let asks = mask.contains('!') && !self.known.contains(&lower(mask));
        let mut flight = Flight {
            number,
            id: message.id.clone(),
            target,
            refused: None,
            held: None,
            mask: lower(mask),
        };
        if asks {
            self.line_out(format!("USERHOST {}", flight.target));
            flight.held = Some(lines);
            // The question has to be answered in time as well.
            self.expect(now);
        } else {
            self.launch(number, lines);
        }
        self.flights.push(flight);
        self.pump(now, out);
    }

    fn launch(&mut self, number: u64, lines: Vec<String>) {
        self.out.extend(lines.into_iter().map(Step::Line));
        self.out.push_back(Step::Receipt(number));
    }

    /// A line from the server.
    pub(super) fn line(
        &mut self,
        now: Now,
        line: &Line,
        settings: &Settings,
        out: &mut ChannelOut,
    ) {
        let ours = lower(line.nick()) == lower(&self.nick);
        match line.command.as_str() {
            "PONG" => self.pong(line.last(), out),
            "PRIVMSG" if !ours => self.message(now, line, out),
            "NICK" if ours => {
                self.nick = line.param(0).to_owned();
                self.tell_me(out);
                self.renamed(now, settings);
            }
            "NICK" | "QUIT" => {
                self.known.remove(&lower(&line.from));
                // Who has our nick lets go of it.
                if self.regain.is_some() && lower(line.nick()) == lower(&settings.nick) {
                    self.regain = Some(now.time);
                }
            }
            "JOIN" if ours => {
                let room = lower(line.param(0));
                self.denied.remove(&room);
                self.rooms.insert(room);
            }
            "PART" if ours => {
                self.rooms.remove(&lower(line.param(0)));
            }
            "KICK" if lower(line.param(1)) == lower(&self.nick) => {
                let room = line.param(0).to_owned();
                self.rooms.remove(&lower(&room));
                out.log(log::Level::Warn, format!("kicked from {}", unformatted(&room)));
                if settings.rooms.iter().any(|one| lower(one) == lower(&room)) {
                    self.rejoin = Some((now.time.after_ms(limits::IRC_REJOIN_MS), room));
                }
            }
            "302" => self.userhost(line.last(), out),
            // The target does not exist, or does not take what we say.
            "401" | "403" | "404" | "405" | "407" | "411" | "412" | "471" | "473" | "474"
            | "475" | "477" | "489" | "531" => self.refuse(line, settings, out),
            _ => {}
        }
        self.pump(now, out);
    }

    /// We are called otherwise now: by our own name at last, or somebody took it from us.
    fn renamed(&mut self, now: Now, settings: &Settings) {
        if !self.has_own_nick(settings) {
            self.regain = Some(now.time.after_ms(limits::IRC_REGAIN_MS));
            return;
        }
        self.regain = None;
        if let Some((service, password)) = &settings.nickserv {
            let (service, password) = (one_line(service), one_line(password));
            self.line_out(format!("PRIVMSG {service} :IDENTIFY {password}"));
        }
    }

    fn pong(&mut self, token: &str, out: &mut ChannelOut) {
        self.dead = None;
        let number = token.strip_prefix('r').and_then(|number| number.parse::<u64>().ok());
        let Some(number) = number else { return };
        // The server answers in order: what went before this one was handled too.
        let (done, left): (Vec<Flight>, Vec<Flight>) = std::mem::take(&mut self.flights)
            .into_iter()
            .partition(|flight| flight.held.is_none() && flight.number == number);
        self.flights = left;
        for flight in done {
            match flight.refused {
                None => out.sent(&flight.id, vec![format!("{}-{}", self.name, flight.number)]),
                Some(failure) => out.send_failed(&flight.id, failure),
            }
        }
    }

    /// Whose the nick is that we asked for first: servers answer in order.
    fn userhost(&mut self, reply: &str, out: &mut ChannelOut) {
        self.dead = None;
        let Some(at) = self.flights.iter().position(|flight| flight.held.is_some()) else {
            return;
        };
        let Some(flight) = self.flights.get_mut(at) else { return };
        let host = reply.split_whitespace().find_map(|word| {
            let (nick, host) = word.split_once('=')?;
            let ours = lower(nick.trim_end_matches('*')) == lower(&flight.target);
            // `+` or `-` in front says whether the person is away.
            ours.then(|| host.get(1..)).flatten()
        });
        let failure = match host {
            Some(host) if flight.mask == lower(&format!("{}!{host}", flight.target)) => {
                let (number, lines) = (flight.number, flight.held.take().unwrap_or_default());
                self.known.insert(flight.mask.clone());
                return self.launch(number, lines);
            }
            Some(_) => {
                let what = format!("the nick {} is somebody else's now", flight.target);
                Failure::permanent(what)
            }
            // Whoever a netsplit took comes back.
            None => Failure::later(format!("{} is not on the server", flight.target)),
        };
        let flight = self.flights.remove(at);
        out.send_failed(&flight.id, failure);
    }

    fn refuse(&mut self, line: &Line, settings: &Settings, out: &mut ChannelOut) {
        let (target, why) = (line.param(1).to_owned(), unformatted(line.last()));
        let flight = self
            .flights
            .iter_mut()
            .find(|flight| lower(&flight.target) == lower(&target) && flight.refused.is_none());
        match flight {
            Some(flight) => {
                let what = format!("{target}: {why}");
                // A person who was there a moment ago comes back, a name that never was does not.
                let away = line.command == "401" && flight.mask.contains('!');
                flight.refused =
                    Some(if away { Failure::later(what) } else { Failure::permanent(what) });
            }
            None => {
                let room = lower(&target);
                let ours = settings.rooms.iter().any(|one| lower(one) == room);
                if ours && !self.rooms.contains(&room) {
                    self.denied.insert(room, why.clone());
                }
                out.log(log::Level::Warn, format!("{}: {why}", unformatted(&target)));
            }
        }
    }

    fn message(&mut self, now: Now, line: &Line, out: &mut ChannelOut) {
        let (target, text) = (line.param(0), line.last());
        // CTCP: a request, or the /me of a person. Neither is spoken to us.
        if text.starts_with('\u{1}') || !line.from.contains('!') {
            return;
        }
        let text = unformatted(text);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if self.known.len() >= limits::IRC_KNOWN {
            self.known.clear();
        }
        self.known.insert(lower(&line.from));
        self.count = self.count.saturating_add(1);
        let room = is_room(target);
        let (kind, id, to) = match room {
            true => (ChatKind::Group, lower(target), target.to_owned()),
            false => (ChatKind::Direct, lower(&line.from), line.from.clone()),
        };
        let mentioned = room && names(text, &self.nick);
        out.inbound(Inbound {
            token: self.count,
            id: format!("{}-{}", self.name, self.count),
            chat: Chat { kind, id, title: room.then(|| target.to_owned()), ..Chat::default() },
            sender: Sender {
                ids: vec![lower(&line.from)],
                names: vec![lower(line.nick())],
                name: Some(line.nick().to_owned()),
                ..Sender::default()
            },
            text: match mentioned {
                true => unaddressed(text, &self.nick).to_owned(),
                false => text.to_owned(),
            },
            mentioned,
            sent_ms: now.wall_ms,
            to: Address::chat(to),
            ..Inbound::default()
        });
    }
}

/// Whether a text has our nick as a word.
fn names(text: &str, nick: &str) -> bool {
    let (text, nick) = (lower(text), lower(nick));
    let part = |c: char| c.is_alphanumeric() || "_-{}|^`".contains(c);
    text.match_indices(&nick).any(|(at, found)| {
        let before = text.get(..at).and_then(|front| front.chars().next_back());
        let after = text.get(at.saturating_add(found.len())..).and_then(|it| it.chars().next());
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

/// `bot: hi` without the address in front.
fn unaddressed<'a>(text: &'a str, nick: &str) -> &'a str {
    let Some(front) = text.get(..nick.len()).filter(|front| lower(front) == lower(nick)) else {
        return text;
    };
    let rest = text.get(front.len()..).unwrap_or_default();
    match rest.strip_prefix([':', ',']) {
        Some(rest) if !rest.trim().is_empty() => rest.trim_start(),
        _ => text,
    }
}
