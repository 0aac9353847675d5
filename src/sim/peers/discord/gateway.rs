//! The gateway: sockets, sessions, and what flows between them.

use super::{Discord, id};
use crate::driver::Time;
use crate::sim::peers::fake::{Asked, GRACE_MS, Line};
use crate::wire::url::query_value;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Dispatches that a session keeps for whoever resumes it.
const KEPT: usize = 1000;
/// Identifies that may follow each other in [`START_MS`].
const CONCURRENCY: usize = 1;
const START_MS: u64 = 5_000;
/// Events of a client in a minute.
const EVENTS: usize = 120;
/// Bytes of one.
const EVENT: usize = 4096;
/// The privileged intents: members, presences, message content.
pub const PRIVILEGED: u64 = 1 << 1 | 1 << 8 | 1 << 15;

/// One socket.
#[derive(Debug, Default)]
pub struct Socket {
    resumes: bool,
    right: bool,
    session: Option<String>,
    /// The next heartbeat is due then, with all patience.
    beat_by: Option<Time>,
    /// A heartbeat that was not answered.
    unanswered: bool,
    events: VecDeque<Time>,
    over: bool,
}

/// One session.
#[derive(Debug, Default)]
pub struct Session {
    /// Its socket.
    pub conn: Option<u64>,
    /// How often it was resumed.
    pub resumes: u64,
    seq: u64,
    log: VecDeque<(u64, Value)>,
    intents: u64,
    over: bool,
}

/// The intents of which one is needed for an event; none for those that always come.
fn needed(name: &str, in_guild: bool) -> u64 {
    match name {
        "MESSAGE_CREATE" | "MESSAGE_UPDATE" | "MESSAGE_DELETE" if in_guild => 1 << 9,
        "MESSAGE_CREATE" | "MESSAGE_UPDATE" | "MESSAGE_DELETE" => 1 << 12,
        "MESSAGE_REACTION_ADD" if in_guild => 1 << 10,
        "MESSAGE_REACTION_ADD" => 1 << 13,
        "GUILD_CREATE" | "THREAD_CREATE" => 1,
        "CHANNEL_CREATE" if in_guild => 1,
        _ => 0,
    }
}

/// What a session with these intents sees of an event.
fn seen(name: &str, what: &Value, intents: u64) -> Option<Value> {
    let in_guild = what["guild_id"].is_string() || name == "GUILD_CREATE";
    let needed = needed(name, in_guild);
    if needed != 0 && intents & needed == 0 {
        return None;
    }
    let mut what = what.clone();
    let ours = id(&what["author"]["id"]) == Some(Discord::APP);
    let mentioned = what["mentions"].as_array().is_some_and(|list| !list.is_empty());
    let hidden = intents & 1 << 15 == 0 && in_guild && !ours && !mentioned;
    if name.starts_with("MESSAGE_") && what["content"].is_string() && hidden {
        what["content"] = "".into();
        for list in ["embeds", "attachments", "components"] {
            what[list] = json!([]);
        }
    }
    Some(what)
}

impl Discord {
    /// An upgrade is asked for.
    pub(super) fn connect(&mut self, _now: Time, conn: u64, asked: &Asked) {
        let query = asked.head.query().unwrap_or_default();
        let named = |name: &str, value: &str| query_value(query, name).as_deref() == Some(value);
        let right = named("v", "10") && named("encoding", "json") && !query.contains("compress");
        let resumes =
            asked.header("host").starts_with("gateway-") || asked.head.path().contains("resume");
        self.sockets.insert(conn, Socket { resumes, right, ..Socket::default() });
    }

    pub(super) fn hello(&mut self, now: Time, conn: u64) {
        let beat_ms = self.beat_ms;
        if let Some(socket) = self.sockets.get_mut(&conn) {
            socket.beat_by = Some(now.after_ms(beat_ms + beat_ms / 2));
        }
        self.say(
            conn,
            json!({
                "t": null, "s": null, "op": 10, "d": {"heartbeat_interval": beat_ms, "_trace": []},
            }),
        );
        if self.sockets.get(&conn).is_some_and(|socket| !socket.right) {
            self.desk.broke("the gateway's URL does not say v=10&encoding=json".to_owned());
            self.close(conn, 4012, "Invalid API version");
        }
    }

    fn say(&mut self, conn: u64, what: Value) {
        self.desk.line(conn, Line::Text(what.to_string()));
    }

    fn close(&mut self, conn: u64, code: u16, reason: &'static str) {
        if let Some(socket) = self.sockets.get_mut(&conn) {
            socket.over = true;
            socket.beat_by = None;
        }
        self.desk.line(conn, Line::Close(code, reason));
    }

    /// A text frame of a client.
    pub(super) fn event(&mut self, now: Time, conn: u64, text: &str) {
        let Some(socket) = self.sockets.get_mut(&conn).filter(|socket| !socket.over) else {
            return;
        };
        socket.events.push_back(now);
        socket.events.retain(|at| now.ms_since(*at) < 60_000);
        let flood = socket.events.len() > EVENTS;
        let known = socket.session.is_some();
        if flood {
            self.desk.broke(format!("more than {EVENTS} events in a minute"));
            return self.close(conn, 4008, "You are sending payloads too fast.");
        }
        let event: Value = serde_json::from_str(text).unwrap_or_default();
        let op = event["op"].as_u64();
        if text.len() > EVENT || op.is_none() {
            self.desk.broke(format!("an event of {} bytes that cannot be decoded", text.len()));
            return self.close(conn, 4002, "Error while decoding payload.");
        }
        match op.unwrap_or_default() {
            1 => self.beat(now, conn, &event["d"]),
            2 | 6 if known => {
                self.desk.broke("identified twice on one socket".to_owned());
                self.close(conn, 4005, "Already authenticated.");
            }
            2 => self.identify(now, conn, &event["d"]),
            6 => self.resume(now, conn, &event["d"]),
            3 | 4 | 8 | 31 if known => {}
            3 | 4 | 8 | 31 => {
                self.desk.broke("an event before identify".to_owned());
                self.close(conn, 4003, "Not authenticated.");
            }
            other => {
                self.desk.broke(format!("operation {other} is unknown"));
                self.close(conn, 4001, "Unknown opcode.");
            }
        }
    }

    fn beat(&mut self, now: Time, conn: u64, last: &Value) {
        let beat_ms = self.beat_ms;
        let Some(socket) = self.sockets.get_mut(&conn) else { return };
        socket.beat_by = Some(now.after_ms(beat_ms + beat_ms / 2));
        if socket.unanswered {
            let what = "a heartbeat after one that was not answered: close and resume";
            self.desk.broken.push(what.to_owned());
        }
        let session = socket.session.as_ref().and_then(|session| self.sessions.get(session));
        let sent = session.map_or(0, |session| session.seq);
        if last.as_u64().unwrap_or(0) > sent {
            self.desk.broken.push(format!("a heartbeat says {last}, {sent} was the last"));
        }
        if self.mute_acks > 0 {
            self.mute_acks -= 1;
            socket.unanswered = true;
            return;
        }
        self.say(conn, json!({"op": 11, "t": null, "s": null, "d": null}));
    }

    fn fatal(&mut self, conn: u64, said: &Value, code: u16, reason: &'static str) {
        self.fatal = Some((code, said.clone()));
        self.close(conn, code, reason);
    }

    fn identify(&mut self, now: Time, conn: u64, said: &Value) {
        if let Some((code, before)) = &self.fatal
            && before == said
        {
            self.desk.broken.push(format!("identified again, unchanged, after {code}"));
        }
        if said["token"] != self.token.as_str() {
            return self.fatal(conn, said, 4004, "Authentication failed.");
        }
        if !said["properties"].is_object() {
            self.desk.broke("identify without properties".to_owned());
        }
        let shard = said["shard"].as_array().map(|shard| (id(&shard[0]), id(&shard[1])));
        if shard.is_some_and(|(at, of)| at.is_none() || of.is_none() || at >= of) {
            return self.fatal(conn, said, 4010, "Invalid shard.");
        }
        let Some(intents) = said["intents"].as_u64().filter(|intents| *intents < 1 << 26) else {
            return self.fatal(conn, said, 4013, "Invalid intent(s).");
        };
        if intents & !self.intents & PRIVILEGED != 0 {
            return self.fatal(conn, said, 4014, "Disallowed intent(s).");
        }
        self.fatal = None;
        self.identifies.retain(|at| now.ms_since(*at) < START_MS);
        if self.identifies.len() >= CONCURRENCY {
            if std::mem::replace(&mut self.hasty, true) {
                self.desk.broke(format!("identified again within {START_MS} ms, twice"));
            }
            return self.say(conn, json!({"op": 9, "d": false, "t": null, "s": null}));
        }
        self.hasty = false;
        self.identifies.push_back(now);
        if self.remaining == 0 {
            self.desk.broke("identified although the day's budget is used up".to_owned());
            return self.close(conn, 4004, "Authentication failed.");
        }
        self.remaining -= 1;
        let name = format!("session{:016x}", self.rng.next());
        for session in self.sessions.values() {
            if let Some(other) = session.conn {
                self.rivals.push((other, conn, now));
            }
        }
        let session = Session { conn: Some(conn), intents, ..Session::default() };
        self.sessions.insert(name.clone(), session);
        if let Some(socket) = self.sockets.get_mut(&conn) {
            socket.session = Some(name.clone());
        }
        let guilds: Vec<Value> = self
            .guilds
            .iter()
            .map(|guild| json!({"id": guild.to_string(), "unavailable": true}))
            .collect();
        let shard = if said["shard"].is_null() { json!([0, 1]) } else { said["shard"].clone() };
        let ready = json!({
            "v": 10, "user": self.me(), "guilds": guilds, "session_id": name,
            "session_type": "normal", "resume_gateway_url": self.resume_url, "shard": shard,
            "application": {"id": Self::APP.to_string(), "flags": 0}, "private_channels": [],
            "relationships": [], "user_settings": {}, "presences": [], "_trace": [],
        });
        self.dispatch_to(&name, "READY", &ready);
        for guild in self.guilds.clone() {
            let guild = self.guild_value(guild);
            self.dispatch_to(&name, "GUILD_CREATE", &guild);
        }
    }

    fn resume(&mut self, now: Time, conn: u64, said: &Value) {
        if said["token"] != self.token.as_str() {
            return self.fatal(conn, said, 4004, "Authentication failed.");
        }
        let url = self.sockets.get(&conn).is_some_and(|socket| socket.resumes);
        if !url {
            self.desk.broke("resumed elsewhere than at resume_gateway_url".to_owned());
        }
        let name = said["session_id"].as_str().unwrap_or_default().to_owned();
        let seq = said["seq"].as_u64().unwrap_or(0);
        let Some(session) = self.sessions.get_mut(&name).filter(|session| !session.over) else {
            return self.say(conn, json!({"op": 9, "d": false, "t": null, "s": null}));
        };
        if seq > session.seq {
            session.over = true;
            self.desk.broke(format!("resumed at {seq}, beyond what was sent"));
            return self.close(conn, 4007, "Invalid seq.");
        }
        let before = session.conn.replace(conn);
        session.resumes += 1;
        let missed: Vec<Value> = session
            .log
            .iter()
            .filter(|(at, _)| *at > seq)
            .map(|(_, event)| event.clone())
            .collect();
        if let Some(socket) = self.sockets.get_mut(&conn) {
            socket.session = Some(name.clone());
        }
        if let Some(before) = before.filter(|before| *before != conn) {
            self.rivals.push((before, conn, now));
        }
        for event in missed {
            self.say(conn, event);
        }
        self.dispatch_to(&name, "RESUMED", &json!({"_trace": []}));
    }

    fn dispatch_to(&mut self, name: &str, event: &str, what: &Value) {
        let Some(session) = self.sessions.get_mut(name).filter(|session| !session.over) else {
            return;
        };
        let Some(what) = seen(event, what, session.intents) else { return };
        session.seq += 1;
        let whole = json!({"op": 0, "t": event, "s": session.seq, "d": what});
        if event != "RESUMED" {
            session.log.push_back((session.seq, whole.clone()));
        }
        if session.log.len() > KEPT {
            session.log.pop_front();
        }
        if let Some(conn) = session.conn {
            self.say(conn, whole);
        }
    }

    /// To every session, or held back.
    pub(super) fn dispatch(&mut self, event: &str, what: Value) {
        if let Some(held) = &mut self.held {
            return held.push((event.to_owned(), what));
        }
        let names: Vec<String> = self.sessions.keys().cloned().collect();
        if self.sessions.values().all(|session| session.over) {
            // Discord keeps nothing for those who are not there.
            self.desk.forgotten.push(what.to_string());
        }
        for name in names {
            self.dispatch_to(&name, event, &what);
        }
    }

    /// The last events once more, under new numbers.
    pub(super) fn again(&mut self, count: usize) {
        let names: Vec<String> = self.sessions.keys().cloned().collect();
        for name in names {
            let Some(session) = self.sessions.get(&name) else { continue };
            let from = session.log.len().saturating_sub(count);
            let last: Vec<Value> =
                session.log.iter().skip(from).map(|(_, event)| event.clone()).collect();
            for event in last {
                let kind = event["t"].as_str().unwrap_or_default().to_owned();
                self.dispatch_to(&name, &kind, &event["d"]);
            }
        }
    }

    /// Acts that concern every socket of a session.
    pub(super) fn push_around(&mut self, act: &Value) {
        let conns: Vec<u64> = self.sessions.values().filter_map(|session| session.conn).collect();
        for conn in conns {
            match act["act"].as_str().unwrap_or_default() {
                "reconnect" => self.say(conn, json!({"op": 7, "d": null, "t": null, "s": null})),
                "beat" => self.say(conn, json!({"op": 1, "d": null, "t": null, "s": null})),
                "close" => {
                    let code = act["code"].as_u64().unwrap_or(4000) as u16;
                    if matches!(code, 4007 | 4009) {
                        self.end_session(conn);
                    }
                    self.close(conn, code, "scripted");
                }
                _ => {
                    let resumable = act["resumable"] == true;
                    if !resumable {
                        self.end_session(conn);
                    }
                    self.say(conn, json!({"op": 9, "d": resumable, "t": null, "s": null}));
                    if let Some(socket) = self.sockets.get_mut(&conn) {
                        socket.session = None;
                    }
                }
            }
        }
    }

    fn end_session(&mut self, conn: u64) {
        let Some(socket) = self.sockets.get(&conn) else { return };
        let name = socket.session.clone().unwrap_or_default();
        if let Some(session) = self.sessions.get_mut(&name) {
            session.over = true;
            session.conn = None;
            let said = session.log.iter().map(|(_, event)| event["d"].to_string());
            self.desk.forgotten.extend(said);
        }
    }

    /// The socket that hears what happens now, if there is one.
    pub(super) fn hearing(&self) -> Option<u64> {
        self.sessions.values().find_map(|session| session.conn.filter(|_| !session.over))
    }

    /// The token is another one: what was begun with the old one is over.
    pub(super) fn renewed(&mut self) {
        self.fatal = None;
        let conns: Vec<u64> = self.sockets.keys().copied().collect();
        for conn in conns {
            self.close(conn, 4004, "Authentication failed.");
        }
        for session in self.sessions.values_mut().filter(|session| !session.over) {
            session.over = true;
            session.conn = None;
            let said = session.log.iter().map(|(_, event)| event["d"].to_string());
            self.desk.forgotten.extend(said);
        }
    }

    pub(super) fn socket_gone(&mut self, now: Time, conn: u64, code: Option<u16>) {
        self.rivals.retain(|(old, new, since)| {
            now.ms_since(*since) > GRACE_MS || (*old != conn && *new != conn)
        });
        let Some(socket) = self.sockets.remove(&conn) else { return };
        let Some(session) = socket.session.and_then(|name| self.sessions.get_mut(&name)) else {
            return;
        };
        if session.conn == Some(conn) {
            session.conn = None;
            session.over |= matches!(code, Some(1000 | 1001));
        }
    }

    pub(super) fn tick_sockets(&mut self, now: Time) {
        let late: Vec<u64> = self
            .sockets
            .iter()
            .filter(|(_, socket)| socket.beat_by.is_some_and(|by| by <= now))
            .map(|(conn, _)| *conn)
            .collect();
        for conn in late {
            // On a half-open connection nobody can keep any rule.
            if self.desk.stands(conn) {
                self.desk.broke(format!("no heartbeat for one and a half times {}", self.beat_ms));
                self.end_session(conn);
            }
            self.close(conn, 4009, "Session timed out.");
        }
        for (old, new, since) in std::mem::take(&mut self.rivals) {
            if now.ms_since(since) < GRACE_MS {
                self.rivals.push((old, new, since));
            } else if self.desk.stands(old) && self.desk.stands(new) {
                self.desk.broke(format!("two sessions at once, on connections {old} and {new}"));
            }
        }
    }

    pub(super) fn sockets_deadline(&self) -> Option<Time> {
        let beats = self.sockets.values().filter_map(|socket| socket.beat_by);
        beats.chain(self.rivals.iter().map(|(.., since)| since.after_ms(GRACE_MS))).min()
    }
}
