//! A fake IRC server (RFC 1459, RFC 2812, and what `ircd-hybrid`, `ngircd` and IRCnet's `ircd` do).
//!
//! It holds its clients to the rules: lines of 512 bytes that end in CR LF, registration in its
//! order (`CAP` and SASL PLAIN, `PASS`, `NICK`, `USER`, a cookie to be ponged), a nick for one at
//! a time, words in a room only by who is in it (`+n`), room for our mask in what others see, no
//! answer to a `NOTICE`, PINGs answered, no excess flood, one connection at a time. What a ghost
//! has (a connection that nothing moves on) is free once the server notices. Whoever ends a
//! connection loses what still waited in its queue for the pace of the server.
//!
//! IRC has no history: what is said to nobody, to a ghost, or just before a connection ends, is
//! in [`Desk::forgotten`]. A line is in [`Desk::doubtful`] when its receipt, the `PONG` to the
//! `PING` behind it, may not have been read.
//!
//! | act | members | what it does |
//! |---|---|---|
//! | `door` | `kind`, `seed` | how it wants to be greeted and paced; see [`Door`] |
//! | `message`, `notice`, `ctcp` | `from`, `room`, `mention`, `text` | somebody writes |
//! | `kick` | `room`, `seconds` | puts us out, and lets nobody in for so long |
//! | `moderate` | `room`, `seconds` | nobody may speak there for so long |
//! | `split` | `who`, `seconds` | a person is gone for so long |
//! | `thief` | `seconds` | somebody takes our nick when it is free, for so long |
//! | `rename` | | services give us another nick |
//! | `close` | `why` | `ERROR`, and the end |
//! | `vanish` | `seconds` | half-open: a ghost is left for so long |
//! | `lag` | `seconds` | nothing is handled for so long |
//! | `noise` | | lines that mean nothing to us |
//! | `token` | `token` | the password is another from here on |

mod client;
mod commands;
#[cfg(test)]
mod tests;

use super::fake::{Answer, Asked, Desk, Fake, GRACE_MS, Line, Reply};
use super::platforms::IRC_PASSWORD;
use crate::driver::Time;
use crate::sim::rng::Rng;
use client::{Client, Flood};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The server's name.
pub const SERVER: &str = "irc.example.org";
/// What was delivered so shortly before an end may not have been read.
const TRAVEL_MS: u64 = 300;
/// News travel, and a goodbye takes what left so shortly before for sent.
pub const FORGIVEN_MS: u64 = 1_500;
/// An idle client is asked whether it lives ...
const PING_MS: u64 = 90_000;
/// ... and has to say so within this.
const PONG_MS: u64 = 60_000;
/// A client registers within this.
const REGISTER_MS: u64 = 30_000;

/// Lower case as RFC 1459 has it.
pub(super) fn lower(text: &str) -> String {
    let fold = |c: char| match c {
        '[' => '{',
        ']' => '}',
        '\\' => '|',
        '~' => '^',
        c => c.to_ascii_lowercase(),
    };
    text.chars().map(fold).collect()
}

/// How the server wants to be greeted.
#[derive(Debug, Clone)]
pub struct Door {
    /// `PASS` is asked for (kind 1).
    pass: bool,
    /// SASL is there (kind 2).
    sasl: bool,
    /// NickServ is there (kind 3).
    services: bool,
    /// A PING comes before the welcome.
    cookie: bool,
    /// What happens to who is too fast.
    flood: Flood,
    /// Of the server, of SASL, or of the nick.
    password: String,
}

/// Who has a nick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Nobody,
    Client(u64),
    Person,
    Thief,
}

struct Person {
    nick: String,
    user: String,
    host: String,
    /// Gone until then.
    back: Option<Time>,
}

/// Words that went to a client.
struct Delivered {
    at: Time,
    conn: u64,
    text: String,
}

/// The server, and everybody on it.
pub struct Irc {
    desk: Desk,
    rng: Rng,
    door: Door,
    clients: BTreeMap<u64, Client>,
    people: BTreeMap<String, Person>,
    /// Rooms that let nobody in until then, with the numeric that says so.
    locks: BTreeMap<String, (Time, String)>,
    moderated: BTreeMap<String, Time>,
    /// Somebody waits for our nick, and keeps it for so many seconds.
    lurks: Option<u64>,
    thieves: BTreeMap<String, Time>,
    /// Nothing is handled until then.
    lag: Option<Time>,
    delivered: Vec<Delivered>,
    /// Words of notices and CTCP: nobody may repeat them.
    noticed: Vec<String>,
    /// What left a client and reached nobody, and when.
    pub swallowed: Vec<(Time, String)>,
    /// What a room did not let be said.
    pub refused: Vec<String>,
    /// Two connections stand, since.
    crowd: Option<Time>,
}

impl Irc {
    /// A server that asks for nothing.
    pub fn new(wall_zero_ms: u64) -> Self {
        let person = |nick: &str| Person {
            nick: nick.to_owned(),
            user: format!("~{}", nick.to_ascii_lowercase()),
            host: format!("{}.example.com", nick.to_ascii_lowercase()),
            back: None,
        };
        let people = ["Al", "bo", "cy[m]", "Di", "ed"];
        Self {
            desk: Desk::new(wall_zero_ms),
            rng: Rng::new(0),
            door: Door {
                pass: false,
                sasl: false,
                services: false,
                cookie: false,
                flood: Flood::Hybrid,
                password: IRC_PASSWORD.to_owned(),
            },
            clients: BTreeMap::new(),
            people: people.iter().map(|nick| (lower(nick), person(nick))).collect(),
            locks: BTreeMap::new(),
            moderated: BTreeMap::new(),
            lurks: None,
            thieves: BTreeMap::new(),
            lag: None,
            delivered: Vec::new(),
            noticed: Vec::new(),
            swallowed: Vec::new(),
            refused: Vec::new(),
            crowd: None,
        }
    }

    fn broke(&mut self, what: String) {
        self.desk.broke(what);
    }

    fn holder(&self, now: Time, nick: &str) -> Holder {
        let nick = lower(nick);
        let has = |client: &Client| {
            !client.over && client.nick.as_deref().is_some_and(|own| lower(own) == nick)
        };
        if let Some((conn, _)) = self.clients.iter().find(|(_, client)| has(client)) {
            return Holder::Client(*conn);
        }
        if self.people.contains_key(&nick) {
            return Holder::Person;
        }
        match self.thieves.get(&nick) {
            Some(until) if *until > now => Holder::Thief,
            _ => Holder::Nobody,
        }
    }

    /// Words to one client; they are lost on a ghost.
    fn deliver(&mut self, now: Time, conn: u64, line: &str, text: &str) {
        let live = self.clients.get(&conn).is_some_and(Client::is_live);
        if live && self.desk.stands(conn) {
            self.delivered.push(Delivered { at: now, conn, text: text.to_owned() });
            self.tell(conn, line);
        } else {
            self.desk.forgotten.push(text.to_owned());
        }
    }

    /// The client that lives, the newest of them.
    fn newest(&self) -> Option<(u64, String)> {
        let live = self.clients.iter().rev().find(|(_, client)| client.is_live())?;
        Some((*live.0, live.1.nick.clone()?))
    }

    fn speaks(&mut self, now: Time, act: &Value) -> Value {
        let text = act["text"].as_str().unwrap_or_default().to_owned();
        let who = self.people.get(&lower(act["from"].as_str().unwrap_or_default()));
        let Some(person) = who.filter(|person| person.back.is_none()) else {
            // Whoever is gone says nothing.
            self.desk.forgotten.push(text);
            return Value::Null;
        };
        let mask = format!("{}!{}@{}", person.nick, person.user, person.host);
        let (command, quoted) = match act["act"].as_str() {
            Some("notice") => ("NOTICE", text.clone()),
            Some("ctcp") => ("PRIVMSG", format!("\u{1}{text}\u{1}")),
            _ => ("PRIVMSG", text.clone()),
        };
        if act["act"] != "message" {
            self.noticed.push(text.split(' ').next_back().unwrap_or_default().to_owned());
        }
        let dressed = match (self.rng.below(10), act["mention"] == true) {
            (_, true) => format!("bot: {quoted}"),
            (0, _) if act["act"] == "message" => format!("\u{3}04,12{quoted}\u{f}"),
            _ => quoted,
        };
        let (to, conns): (String, Vec<u64>) = match act["room"].as_str() {
            Some(room) => {
                let name = lower(room);
                let inside = self.clients.iter().filter(|(_, it)| it.rooms.contains(&name));
                (room.to_owned(), inside.map(|(conn, _)| *conn).collect())
            }
            None => match (self.holder(now, "bot"), self.newest()) {
                (Holder::Client(conn), _) if self.rng.percent(70) => ("bot".to_owned(), vec![conn]),
                (_, Some((conn, nick))) => (nick, vec![conn]),
                (Holder::Client(conn), None) => ("bot".to_owned(), vec![conn]),
                _ => ("bot".to_owned(), Vec::new()),
            },
        };
        if conns.is_empty() {
            self.desk.forgotten.push(text.clone());
        }
        let line = format!(":{mask} {command} {to} :{dressed}");
        for conn in conns {
            self.deliver(now, conn, &line, &text);
        }
        Value::Null
    }

    /// A connection is at its end, or nothing moves on it any more: what was on its way in either
    /// direction is in doubt.
    fn leaves(&mut self, now: Time, conn: u64) {
        for it in self.delivered.extract_if(.., |it| it.conn == conn) {
            if now.ms_since(it.at) <= TRAVEL_MS {
                self.desk.forgotten.push(it.text);
            }
        }
        let Some(client) = self.clients.get_mut(&conn) else { return };
        for receipt in std::mem::take(&mut client.receipts) {
            if receipt.ponged.is_none_or(|(_, at)| now.ms_since(at) <= TRAVEL_MS) {
                self.desk.doubtful.insert(receipt.post);
            }
        }
    }

    /// Every live connection, in order.
    fn live(&self) -> Vec<u64> {
        self.clients.iter().filter(|(_, it)| it.is_live()).map(|(conn, _)| *conn).collect()
    }

    fn kick(&mut self, now: Time, room: &str, seconds: u64) {
        let name = lower(room);
        if seconds > 0 {
            let why = self.rng.pick(&[
                "471 * :Cannot join channel (+l)",
                "473 * :Cannot join channel (+i)",
                "474 * :Cannot join channel (+b)",
                "475 * :Cannot join channel (+k)",
                "437 * :Nick/channel is temporarily unavailable",
            ]);
            self.locks.insert(name.clone(), (now.after_ms(seconds * 1_000), why.to_owned()));
        }
        for (conn, client) in &mut self.clients {
            let Some(nick) = client.nick.clone() else { continue };
            if client.rooms.remove(&name) {
                client.out.push((now, name.clone()));
                let line = format!(":Oper!o@oper.example KICK {room} {nick} :out\r\n");
                self.desk.line(*conn, Line::Text(line));
            }
        }
    }

    fn split(&mut self, now: Time, who: &str, seconds: u64) {
        let Some(person) = self.people.get_mut(&lower(who)) else { return };
        person.back = Some(now.after_ms(seconds * 1_000));
        let line = format!(
            ":{}!{}@{} QUIT :a.example.org b.example.org",
            person.nick, person.user, person.host
        );
        for conn in self.live() {
            self.tell(conn, &line);
        }
    }

    fn thief_leaves(&mut self, nick: &str) {
        if self.thieves.remove(&lower(nick)).is_some() {
            let line = format!(":{nick}!thief@thief.example QUIT :bye");
            for conn in self.live() {
                self.tell(conn, &line);
            }
        }
    }

    fn noise(&mut self) {
        for conn in self.live() {
            for line in [
                "",
                " ",
                ":",
                ":irc.example.org",
                "@time=2026-01-01T00:00:00Z;x=\\: :Oper!o@oper.example MODE #a +v bo",
                ":irc.example.org 999 bot what ever",
                ":irc.example.org NOTICE * :*** PRIVMSG bot :no",
                ":Oper!o@oper.example WALLOPS :PING :me",
                ":Oper!o@oper.example TOPIC #a :PRIVMSG #a :no",
                ":bo!~bo@bo.example.com JOIN :#a",
                ":Oper!o@oper.example INVITE bot :#elsewhere",
                "mode",
                ":x PRIVMSG",
                ":x KICK",
                ":x NICK",
            ] {
                self.tell(conn, line);
            }
        }
    }

    fn door(&mut self, act: &Value) {
        let kind = act["kind"].as_u64().unwrap_or_default();
        self.rng = Rng::new(act["seed"].as_u64().unwrap_or_default());
        self.door.pass = kind == 1;
        self.door.sasl = kind == 2;
        self.door.services = kind == 3;
        self.door.cookie = self.rng.percent(40);
        self.door.flood =
            self.rng.pick(&[Flood::Hybrid, Flood::Hybrid, Flood::Penalty, Flood::Loose]);
    }

    fn lags(&mut self, now: Time, seconds: u64) {
        self.lag = Some(now.after_ms(seconds * 1_000));
        for client in self.clients.values_mut() {
            client.lagged = true;
        }
    }

    /// Nothing moves on a connection, and the server notices after so many seconds.
    fn vanish(&mut self, now: Time, conn: u64, seconds: u64) {
        self.leaves(now, conn);
        if let Some(client) = self.clients.get_mut(&conn) {
            client.ghost = Some(now.after_ms(seconds * 1_000));
            self.swallowed.extend(client.queue.drain(..));
        }
    }

    fn tick_clients(&mut self, now: Time) {
        let conns: Vec<u64> = self.clients.keys().copied().collect();
        for conn in conns {
            self.work(now, conn);
            if self.clients.get(&conn).is_some_and(Client::is_live) && !self.desk.stands(conn) {
                self.vanish(now, conn, 60);
            }
            let token = format!("p{}", self.desk.number());
            let Some(client) = self.clients.get_mut(&conn) else { continue };
            if client.ghost.is_some_and(|until| until <= now) {
                self.vanish_from(now, conn, "Ping timeout: 180 seconds");
                self.clients.remove(&conn);
                continue;
            }
            if client.ghost.is_some() || client.over {
                continue;
            }
            if !client.welcome && now.ms_since(client.opened) >= REGISTER_MS {
                let (slow, state) = (client.lagged, format!("{client:?}"));
                if !slow {
                    self.broke(format!("no registration within {REGISTER_MS} ms: {state}"));
                }
                self.close(now, conn, "Registration timed out");
                continue;
            }
            match &client.pinged {
                Some((at, _)) if now.ms_since(*at) >= PONG_MS => {
                    if !client.lagged {
                        self.broke("a PING of the server was not answered".to_owned());
                    }
                    self.close(now, conn, "Ping timeout");
                }
                None if client.welcome && now.ms_since(client.heard) >= PING_MS => {
                    client.pinged = Some((now, token.clone()));
                    self.tell(conn, &format!("PING :{token}"));
                }
                _ => {}
            }
        }
    }

    fn client_due(client: &Client) -> Time {
        if let Some(until) = client.ghost {
            return until;
        }
        match (&client.pinged, client.welcome) {
            _ if client.over => Time(u64::MAX),
            (_, false) => client.opened.after_ms(REGISTER_MS),
            (Some((at, _)), true) => at.after_ms(PONG_MS),
            (None, true) => client.heard.after_ms(PING_MS),
        }
    }

    fn tick_people(&mut self, now: Time) {
        let mut back = Vec::new();
        for person in self.people.values_mut() {
            if person.back.take_if(|at| *at <= now).is_some() {
                let mask = format!("{}!{}@{}", person.nick, person.user, person.host);
                back.extend([format!(":{mask} JOIN #a"), format!(":{mask} JOIN #b")]);
            }
        }
        for conn in self.live() {
            for line in &back {
                self.tell(conn, line);
            }
        }
        let over = self.thieves.iter().find(|(_, until)| **until <= now);
        if let Some(nick) = over.map(|(nick, _)| nick.clone()) {
            self.thief_leaves(&nick);
        }
        if let Some(seconds) = self.lurks
            && self.holder(now, "bot") == Holder::Nobody
        {
            self.lurks = None;
            self.thieves.insert("bot".to_owned(), now.after_ms(seconds * 1_000));
        }
    }
}

impl Fake for Irc {
    fn desk(&mut self) -> &mut Desk {
        &mut self.desk
    }

    fn asked(&mut self, _now: Time, _conn: u64, asked: &Asked) -> Reply {
        self.broke(format!("HTTP is spoken to an IRC server: {}", asked.head.target));
        Reply::Now(Answer::json(404, &Value::Null))
    }

    fn too_many(&mut self, _now: Time, _asked: &Asked, _seconds: u64) -> Answer {
        Answer::json(429, &Value::Null)
    }

    fn opened(&mut self, now: Time, conn: u64) {
        self.clients.insert(conn, Client::new(self.door.flood, now));
        if let Some(client) = self.clients.get_mut(&conn) {
            client.lagged = self.lag.is_some_and(|until| until > now);
        }
        self.tell(conn, &format!(":{SERVER} NOTICE * :*** Looking up your hostname"));
    }

    fn bytes(&mut self, now: Time, conn: u64, bytes: &[u8]) {
        self.received(now, conn, bytes);
    }

    fn gone(&mut self, now: Time, conn: u64, _code: Option<u16>) {
        self.leaves(now, conn);
        let stays = self.rng.percent(20);
        let seconds = self.rng.pick(&[5, 30, 90]);
        let Some(client) = self.clients.get_mut(&conn) else { return };
        self.swallowed.extend(client.queue.drain(..));
        if client.ghost.is_some() {
            return;
        }
        if stays && client.is_live() {
            // The server does not notice at once.
            client.ghost = Some(now.after_ms(seconds * 1_000));
            return;
        }
        let said = client.over;
        if !said {
            self.vanish_from(now, conn, "Remote host closed the connection");
        }
        self.clients.remove(&conn);
    }

    fn act(&mut self, now: Time, act: &Value) -> Result<Value, String> {
        let seconds = act["seconds"].as_u64().unwrap_or_default();
        let room = act["room"].as_str().unwrap_or_default();
        match act["act"].as_str().unwrap_or_default() {
            "message" | "notice" | "ctcp" => return Ok(self.speaks(now, act)),
            "door" => self.door(act),
            "kick" => self.kick(now, room, seconds),
            "moderate" => {
                self.moderated.insert(lower(room), now.after_ms(seconds * 1_000));
            }
            "split" => self.split(now, act["who"].as_str().unwrap_or_default(), seconds),
            "thief" => self.lurks = Some(seconds),
            "rename" => {
                for conn in self.live() {
                    let number = self.rng.below(100_000);
                    self.call(conn, &format!("Guest{number}"));
                }
            }
            "close" => {
                for conn in self.live() {
                    let why = act["why"].as_str().unwrap_or_default();
                    self.close(now, conn, why);
                }
            }
            "vanish" => {
                for conn in self.live() {
                    self.vanish(now, conn, seconds);
                    self.desk.line(conn, Line::Silence);
                }
            }
            "lag" => self.lags(now, seconds),
            "noise" => self.noise(),
            "token" => self.door.password = act["token"].as_str().unwrap_or_default().to_owned(),
            "stranger" => {}
            other => return Err(format!("no such act: {other}")),
        }
        Ok(json!({"clients": self.clients.len()}))
    }

    fn tick(&mut self, now: Time) {
        self.lag.take_if(|until| *until <= now);
        self.tick_clients(now);
        self.tick_people(now);
        let live = self.live().len();
        match self.crowd {
            _ if live < 2 => self.crowd = None,
            None => self.crowd = Some(now),
            Some(since) if now.ms_since(since) > GRACE_MS => {
                self.broke(format!("{live} connections of one bot"));
                self.crowd = None;
            }
            Some(_) => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        let clients = self.clients.values().map(Self::client_due);
        let people = self.people.values().filter_map(|person| person.back);
        let own = [self.work_due(), self.crowd.map(|since| since.after_ms(GRACE_MS + 1)), self.lag];
        clients
            .chain(people)
            .chain(self.thieves.values().copied())
            .chain(own.into_iter().flatten())
            .filter(|at| *at < Time(u64::MAX))
            .min()
    }
}
