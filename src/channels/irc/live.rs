//! A connection that was welcomed: rooms, messages in, the pace of lines, liveness.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use super::Settings;
use super::flight::Flight;
use super::line::{Line, Lines, is_room, lower, one_line, unformatted};
use super::window::Window;
use crate::channels::port::{ChannelOut, Me, SockId, State};
use crate::channels::{Address, Backoff, Chat, ChatKind, Inbound, Sender};
use crate::driver::{Now, Time};
use crate::limits;

/// What waits to leave, in order.
pub(super) enum Step {
    /// A line; without its end.
    Line(String),
    /// The next line of a message, by its number.
    Say(u64),
    /// The `PING` behind a message's lines.
    Receipt(u64),
}

/// A room of the configuration that we are not in.
struct Absence {
    /// When the server is asked again.
    next: Time,
    backoff: Backoff,
}

/// The connection.
pub(super) struct Live {
    pub(super) sock: SockId,
    pub(super) lines: Lines,
    pub(super) nick: String,
    pub(super) rooms: BTreeSet<String>,
    /// Why a room of the configuration does not let us in.
    pub(super) denied: BTreeMap<String, String>,
    /// Rooms that are to be entered again, by their names.
    absent: BTreeMap<String, Absence>,
    /// The random name of this connection, for ids.
    pub(super) name: String,
    pub(super) count: u64,
    /// Masks heard on this connection: their nicks are theirs.
    pub(super) known: BTreeSet<String>,
    pub(super) flights: Vec<Flight>,
    /// Messages for which `USERHOST` was asked, in order: servers answer in order.
    pub(super) asks: VecDeque<u64>,
    pub(super) out: VecDeque<Step>,
    /// What the server has not handled yet, as far as we know.
    pub(super) window: Window,
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
            absent: BTreeMap::new(),
            name: format!("{:016x}", out.random()),
            count: 0,
            known: BTreeSet::new(),
            flights: Vec::new(),
            asks: VecDeque::new(),
            out: VecDeque::new(),
            window: Window::default(),
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

    pub(super) fn line_out(&mut self, line: String) {
        self.out.push_back(Step::Line(line));
    }

    /// Lets lines go as fast as the server likes it.
    pub(super) fn pump(&mut self, now: Now, out: &mut ChannelOut) {
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
            let line = match self.out.front() {
                None => break,
                Some(Step::Line(line)) => line.clone(),
                Some(Step::Receipt(number)) => format!("PING :r{number}"),
                Some(Step::Say(number)) => match self.flight(*number).and_then(Flight::next) {
                    Some(line) => line.to_owned(),
                    None => {
                        self.out.pop_front();
                        continue;
                    }
                },
            };
            // A receipt opens the window again.
            let may =
                matches!(self.out.front(), Some(Step::Receipt(_))) || self.window.takes(line.len());
            let step = if may { self.out.pop_front() } else { None };
            let line = match step {
                None if self.window.is_asked() => break,
                // Nothing would tell us that there is room again.
                None => {
                    self.expect(now);
                    self.window.ask(now)
                }
                Some(Step::Line(_)) => line,
                Some(Step::Say(number)) => {
                    if let Some(flight) = self.flight_mut(number) {
                        flight.left = flight.left.saturating_add(1);
                    }
                    line
                }
                Some(Step::Receipt(number)) => {
                    self.expect(now);
                    self.window.asked(now, &format!("r{number}"));
                    line
                }
            };
            self.tokens = self.tokens.saturating_sub(1);
            self.window.left(line.len());
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        if !bytes.is_empty() {
            out.bytes(self.sock, bytes);
        }
    }

    /// An answer is due.
    pub(super) fn expect(&mut self, now: Now) {
        if self.dead.is_none() {
            self.dead = Some(now.time.after_ms(limits::IRC_PONG_MS));
        }
    }

    pub(super) fn deadline(&self) -> Time {
        // Where the window is full a PONG makes room, not the time.
        let paced = !self.out.is_empty() && self.tokens == 0;
        let pace = paced.then(|| self.refill.after_ms(limits::IRC_LINE_EVERY_MS));
        let absent = self.absent.values().map(|absence| absence.next).min();
        let parked = self.flights.iter().filter_map(Flight::due).min();
        let due = [Some(self.next_ping), self.dead, pace, absent, parked, self.regain];
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
        let mut joins = Vec::new();
        for (room, absence) in self.absent.iter_mut().filter(|(_, it)| it.next <= now.time) {
            joins.push(format!("JOIN {room}"));
            absence.next = now.time.after_ms(absence.backoff.next_ms(out.random()));
        }
        joins.into_iter().for_each(|line| self.line_out(line));
        self.wake_parked(now, out);
        if self.regain.take_if(|at| *at <= now.time).is_some() {
            self.line_out(format!("NICK {}", settings.nick));
            self.regain = Some(now.time.after_ms(limits::IRC_REGAIN_MS));
        }
        self.pump(now, out);
        true
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
            "PONG" => self.pong(now, line.last(), settings, out),
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
                self.absent.remove(&room);
                self.rooms.insert(room.clone());
                self.entered(&room);
            }
            // We leave no room: somebody made us.
            "PART" if ours => self.put_out(now, line.param(0), settings, out),
            "KICK" if lower(line.param(1)) == lower(&self.nick) => {
                self.put_out(now, line.param(0), settings, out);
            }
            "302" => self.userhost(now, line.last(), out),
            // The target does not exist, or does not take what we say.
            "401" | "403" | "404" | "405" | "407" | "411" | "412" | "437" | "471" | "473"
            | "474" | "475" | "477" | "489" | "531" => self.refuse(now, line, settings, out),
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

    /// We are out of a room: it is entered again, and what was to be said there waits.
    fn put_out(&mut self, now: Now, name: &str, settings: &Settings, out: &mut ChannelOut) {
        let room = lower(name);
        if !self.rooms.remove(&room) {
            return;
        }
        out.log(log::Level::Warn, format!("put out of {}", unformatted(name)));
        if settings.has(&room) {
            self.miss(now, &room, limits::IRC_REJOIN_MS);
            self.interrupt(&room);
        }
    }

    /// A room is to be entered again, after `pause_ms` the first time.
    fn miss(&mut self, now: Now, room: &str, pause_ms: u64) {
        let next = now.time.after_ms(pause_ms);
        let backoff = Backoff::new(limits::IRC_REJOIN_MS, limits::CHANNEL_BACKOFF_MAX_MS);
        self.absent.entry(room.to_owned()).or_insert(Absence { next, backoff });
    }

    /// A room does not let us in.
    pub(super) fn shut_out(&mut self, now: Now, room: &str, why: &str, out: &mut ChannelOut) {
        if self.denied.insert(room.to_owned(), why.to_owned()).as_deref() != Some(why) {
            out.log(log::Level::Warn, format!("{}: {why}", unformatted(room)));
        }
        self.miss(now, room, limits::IRC_REJOIN_MS);
        self.locked_out(room, why, out);
    }

    /// A `PONG` came.
    pub(super) fn alive(&mut self) {
        self.dead = None;
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
