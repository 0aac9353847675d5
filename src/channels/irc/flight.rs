//! Messages on their way out.
//!
//! ```text
//!   send --> asking (USERHOST) --302: it is that person--> going --PONG--> sent
//!     |                 ^                                  |  ^
//!     |                 +---- after a while ---- parked <--+  |  404, 401: the last lines of it
//!     +-- not in the room yet ------------------>  +-- JOIN --+  were not taken
//! ```
//!
//! A server answers in order, and whoever is out of a room, or off the server, stays so for the
//! rest of a message: so of the lines that left, the last ones are those that were refused. Only
//! they are said again, when we are in the room or the person is there.

use super::Settings;
use super::line::{Line, is_room, is_word, lower, pieces, unformatted};
use super::live::{Live, Step};
use crate::channels::port::ChannelOut;
use crate::channels::{Failure, Outgoing, Retry};
use crate::driver::{Now, Time};
use crate::limits;

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The server is asked who has the nick.
    Asking,
    /// Its lines leave.
    Going,
    /// It waits for a room, or for a person who is asked for again then.
    Parked { ask: Option<Time> },
}

/// A message on its way.
pub(super) struct Flight {
    number: u64,
    id: String,
    target: String,
    /// Who has to have the nick.
    mask: String,
    /// What is still to be taken by the server.
    lines: Vec<String>,
    /// Some lines were taken already.
    begun: bool,
    /// How many of the lines have left.
    pub(super) left: usize,
    /// How many of those were refused, and why.
    missed: usize,
    refused: Option<Failure>,
    /// We were put out of the room meanwhile.
    interrupted: bool,
    /// It waits no longer than that, since a line of it was taken.
    until: Option<Time>,
    stage: Stage,
}

impl Flight {
    /// The next line.
    pub(super) fn next(&self) -> Option<&str> {
        self.lines.get(self.left).map(String::as_str)
    }

    /// When it has to be looked at.
    pub(super) fn due(&self) -> Option<Time> {
        match self.stage {
            Stage::Parked { ask } => ask.into_iter().chain(self.until).min(),
            _ => None,
        }
    }

    /// The lines that the server took are done with.
    fn keep_the_rest(&mut self) {
        let taken = self.left.saturating_sub(self.missed).min(self.lines.len());
        if taken > 0 {
            (self.begun, self.until) = (true, None);
        }
        self.lines.drain(..taken);
        (self.left, self.missed, self.interrupted) = (0, 0, false);
    }

    /// It waits from here on.
    fn park(&mut self, now: Now, ask: bool) {
        self.until.get_or_insert(now.time.after_ms(limits::IRC_PARKED_MS));
        let ask = ask.then(|| now.time.after_ms(limits::IRC_REJOIN_MS));
        self.stage = Stage::Parked { ask };
    }
}

impl Live {
    pub(super) fn flight(&self, number: u64) -> Option<&Flight> {
        self.flights.iter().find(|flight| flight.number == number)
    }

    pub(super) fn flight_mut(&mut self, number: u64) -> Option<&mut Flight> {
        self.flights.iter_mut().find(|flight| flight.number == number)
    }

    fn sent(&self, flight: &Flight, out: &mut ChannelOut) {
        out.sent(&flight.id, vec![format!("{}-{}", self.name, flight.number)]);
    }

    /// The connection is lost: what has no receipt is to be sent again.
    pub(super) fn give_back(&mut self, why: &str, out: &mut ChannelOut) {
        for flight in std::mem::take(&mut self.flights) {
            out.send_failed(&flight.id, Failure::later(why));
        }
    }

    /// We say goodbye. What has just left whole is sent: a server that answers us reads on to
    /// our end. One that owes us an answer for a while may be gone, or drop what waits there.
    pub(super) fn settle(&mut self, now: Now, out: &mut ChannelOut) {
        if self.window.is_slow(now, limits::IRC_GOODBYE_MS) {
            return;
        }
        let waits = |number: u64| {
            let ours = |step: &Step| matches!(step, Step::Receipt(other) if *other == number);
            self.out.iter().any(ours)
        };
        let (left, gone): (Vec<Flight>, Vec<Flight>) = std::mem::take(&mut self.flights)
            .into_iter()
            .partition(|it| it.stage != Stage::Going || it.interrupted || waits(it.number));
        self.flights = left;
        for flight in gone {
            match flight.refused.clone() {
                None => self.sent(&flight, out),
                Some(failure) => out.send_failed(&flight.id, failure),
            }
        }
    }

    /// Takes a message on.
    pub(super) fn send(
        &mut self,
        now: Now,
        message: &Outgoing,
        settings: &Settings,
        out: &mut ChannelOut,
    ) {
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
        let flight = Flight {
            number,
            id: message.id.clone(),
            target,
            mask: lower(mask),
            lines,
            begun: false,
            left: 0,
            missed: 0,
            refused: None,
            interrupted: false,
            until: None,
            stage: Stage::Going,
        };
        let room = lower(&flight.target);
        let absent = is_room(&room) && !self.rooms.contains(&room) && settings.has(&room);
        if absent && let Some(why) = self.denied.get(&room) {
            let what = format!("not in {} ({why}): ask its operators", flight.target);
            return out.send_failed(&message.id, Failure::later(what));
        }
        let asks = mask.contains('!') && !self.known.contains(&flight.mask);
        self.flights.push(flight);
        match (absent, asks) {
            (true, _) => self.park(now, number),
            (false, true) => self.ask(now, number),
            (false, false) => self.launch(number),
        }
        self.pump(now, out);
    }

    fn park(&mut self, now: Now, number: u64) {
        if let Some(flight) = self.flight_mut(number) {
            flight.park(now, false);
        }
    }

    /// Asks whose the nick is.
    fn ask(&mut self, now: Now, number: u64) {
        let Some(flight) = self.flight_mut(number) else { return };
        flight.stage = Stage::Asking;
        let line = format!("USERHOST {}", flight.target);
        self.asks.push_back(number);
        self.line_out(line);
        // The question has to be answered in time as well.
        self.expect(now);
    }

    fn launch(&mut self, number: u64) {
        let Some(flight) = self.flight_mut(number) else { return };
        flight.stage = Stage::Going;
        flight.refused = None;
        let lines = flight.lines.len();
        self.out.extend(std::iter::repeat_with(|| Step::Say(number)).take(lines));
        self.out.push_back(Step::Receipt(number));
    }

    /// A `PONG`: what went before its `PING` was handled.
    pub(super) fn pong(
        &mut self,
        now: Now,
        token: &str,
        settings: &Settings,
        out: &mut ChannelOut,
    ) {
        self.alive();
        self.window.answered(token);
        let number = token.strip_prefix('r').and_then(|number| number.parse::<u64>().ok());
        let going = |flight: &Flight| Some(flight.number) == number && flight.stage == Stage::Going;
        let Some(at) = self.flights.iter().position(going) else { return };
        let mut flight = self.flights.remove(at);
        if flight.missed == 0 && flight.next().is_none() {
            return self.sent(&flight, out);
        }
        let room = lower(&flight.target);
        let refused = flight.refused.clone();
        let inside = self.rooms.contains(&room);
        let returns = settings.has(&room) && (flight.interrupted || !inside);
        flight.keep_the_rest();
        // A person who was off the server is asked for again, as far as part of it was heard.
        let away = flight.begun && flight.mask.contains('!');
        match refused {
            _ if returns && inside => {
                let number = flight.number;
                self.flights.insert(at, flight);
                self.launch(number);
            }
            Some(failure) if !(returns || away && failure.retry == Retry::Later) => {
                out.send_failed(&flight.id, failure);
            }
            _ => {
                flight.park(now, !returns);
                self.flights.insert(at, flight);
            }
        }
    }

    /// Whose the nick is that we asked for first.
    pub(super) fn userhost(&mut self, now: Now, reply: &str, out: &mut ChannelOut) {
        self.alive();
        let Some(number) = self.asks.pop_front() else { return };
        let asked = |it: &Flight| it.number == number && it.stage == Stage::Asking;
        let Some(at) = self.flights.iter().position(asked) else { return };
        let Some(flight) = self.flights.get_mut(at) else { return };
        let host = reply.split_whitespace().find_map(|word| {
            let (nick, host) = word.split_once('=')?;
            let ours = lower(nick.trim_end_matches('*')) == lower(&flight.target);
            // `+` or `-` in front says whether the person is away.
            ours.then(|| host.get(1..)).flatten()
        });
        let failure = match host {
            Some(host) if flight.mask == lower(&format!("{}!{host}", flight.target)) => {
                self.known.insert(flight.mask.clone());
                return self.launch(number);
            }
            Some(_) => {
                let what = format!("the nick {} is somebody else's now", flight.target);
                Failure::permanent(what)
            }
            None if flight.begun => return flight.park(now, true),
            // Whoever a netsplit took comes back.
            None => Failure::later(format!("{} is not on the server", flight.target)),
        };
        let flight = self.flights.remove(at);
        out.send_failed(&flight.id, failure);
    }

    /// The server does not take a line, or does not let us into a room.
    pub(super) fn refuse(
        &mut self,
        now: Now,
        line: &Line,
        settings: &Settings,
        out: &mut ChannelOut,
    ) {
        let (target, why) = (line.param(1).to_owned(), unformatted(line.last()));
        let room = lower(&target);
        // Of a JOIN rather than of words.
        let of_door = matches!(&*line.command, "405" | "437" | "471" | "473" | "474" | "475");
        let absent = settings.has(&room) && !self.rooms.contains(&room);
        if absent && (of_door || matches!(&*line.command, "403" | "477" | "489")) {
            return self.shut_out(now, &room, &why, out);
        }
        let left = |flight: &&mut Flight| {
            lower(&flight.target) == room
                && flight.stage == Stage::Going
                && flight.missed < flight.left
        };
        let Some(flight) = self.flights.iter_mut().find(left) else {
            return out.log(log::Level::Warn, format!("{}: {why}", unformatted(&target)));
        };
        flight.missed = flight.missed.saturating_add(1);
        let what = format!("{target}: {why}");
        // A person who was there a moment ago comes back, a name that never was does not.
        let away = line.command == "401" && flight.mask.contains('!');
        let failure = if away { Failure::later(what) } else { Failure::permanent(what) };
        flight.refused.get_or_insert(failure);
    }

    /// We are out of a room: what has not left for it stays, and what has is asked about.
    pub(super) fn interrupt(&mut self, room: &str) {
        let mut numbers = Vec::new();
        for flight in self.flights.iter_mut().filter(|it| lower(&it.target) == room) {
            flight.interrupted = true;
            numbers.push(flight.number);
        }
        self.out.retain(|step| !matches!(step, Step::Say(number) if numbers.contains(number)));
    }

    /// We are in a room: what waits for that goes on.
    pub(super) fn entered(&mut self, room: &str) {
        let waits =
            |it: &&Flight| lower(&it.target) == room && matches!(it.stage, Stage::Parked { .. });
        let numbers: Vec<u64> = self.flights.iter().filter(waits).map(|it| it.number).collect();
        numbers.into_iter().for_each(|number| self.launch(number));
    }

    /// A room keeps us out: what was not begun is given back, with the reason.
    pub(super) fn locked_out(&mut self, room: &str, why: &str, out: &mut ChannelOut) {
        let waits = |it: &mut Flight| {
            lower(&it.target) == room && matches!(it.stage, Stage::Parked { .. }) && !it.begun
        };
        for flight in self.flights.extract_if(.., waits) {
            let what = format!("not in {} ({why}): ask its operators", flight.target);
            out.send_failed(&flight.id, Failure::later(what));
        }
    }

    /// What was parked is asked for again, or given back.
    pub(super) fn wake_parked(&mut self, now: Now, out: &mut ChannelOut) {
        let over = |it: &mut Flight| {
            matches!(it.stage, Stage::Parked { .. }) && it.until.is_some_and(|at| at <= now.time)
        };
        for flight in self.flights.extract_if(.., over) {
            let what = match is_room(&flight.target) {
                true => format!("the server has not let us into {}", flight.target),
                false => format!("{} is not on the server", flight.target),
            };
            out.send_failed(&flight.id, Failure::later(what));
        }
        let due = |it: &&Flight| it.due().is_some_and(|at| at <= now.time);
        let numbers: Vec<u64> = self.flights.iter().filter(due).map(|it| it.number).collect();
        numbers.into_iter().for_each(|number| self.ask(now, number));
    }
}
