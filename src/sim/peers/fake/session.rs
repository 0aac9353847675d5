//! Connections to a fake, and its clock, as peers of the simulator.

use super::caller::Caller;
use super::{Answer, Asked, BODY, Desk, Fake, Line, Reply, Shared, Woe, advance};
use crate::driver::Time;
use crate::sim::check::{Checks, Invariant};
use crate::sim::peers::{Event, Io, Kind, Peer, Visit};
use crate::wire::http::Head;
use crate::wire::http::server::{CONTINUE, Event as HttpEvent, Server};
use crate::wire::ws::{self, Message, Receiver, Role};
use std::collections::VecDeque;
use std::rc::Rc;

enum Stage {
    Http,
    Socket(Box<Receiver>),
    /// Neither HTTP nor WebSocket: bytes as they are.
    Plain,
    Silent,
    Over,
}

/// One connection of a client.
pub struct Session {
    fake: Shared,
    conn: u64,
    http: Server,
    stage: Stage,
    head: Option<Head>,
    /// An answer on its way, and when it leaves.
    slow: Option<(Time, Answer)>,
    /// So many seconds each answer is late.
    late: u64,
    lose: bool,
    code: Option<u16>,
    /// It never was HTTP.
    plain: bool,
    told: usize,
    /// The alarm that is set.
    armed: Option<Time>,
}

/// Sets an alarm unless one rings before.
fn arm(armed: &mut Option<Time>, now: Time, next: Option<Time>) -> Option<Time> {
    let next = next?;
    if armed.is_some_and(|set| set > now && set <= next) {
        return None;
    }
    *armed = Some(next);
    *armed
}

/// Makes peers of the requests that the fake wants to make.
fn visits(fake: &Shared, desk: &mut Desk, io: &mut Io) {
    for call in std::mem::take(&mut desk.calls) {
        let url = call.url.clone();
        let peer = Box::new(Caller::new(Rc::clone(fake), call));
        io.visits.push(Visit { url, peer });
    }
}

/// The fake's own clock: acts and webhooks need no connection. A world has one a fake.
pub struct Ticker {
    fake: Shared,
    told: usize,
    armed: Option<Time>,
}

impl Ticker {
    /// Of this fake.
    pub fn new(fake: Shared) -> Self {
        Self { fake, told: 0, armed: None }
    }
}

impl Peer for Ticker {
    fn kind(&self) -> Kind {
        Kind::Provider
    }

    fn on(&mut self, now: Time, _event: Event<'_>, io: &mut Io, checks: &mut Checks) {
        let mut fake = self.fake.borrow_mut();
        let next = advance(&mut *fake, now);
        io.wake = arm(&mut self.armed, now, next);
        let desk = fake.desk();
        let open = &desk.open;
        desk.lines.retain(|(conn, _)| open.contains_key(conn));
        io.rouse = std::mem::take(&mut desk.fresh) && !desk.lines.is_empty();
        visits(&self.fake, desk, io);
        judge(desk, &mut self.told, checks);
    }

    fn rousable(&self) -> bool {
        true
    }

    fn done(&self) -> bool {
        true
    }

    fn state(&self) -> String {
        format!("ticker {:?}", self.armed)
    }
}

impl Session {
    /// A connection to this fake.
    pub fn new(fake: Shared) -> Self {
        Self {
            fake,
            conn: 0,
            http: Server::new(),
            stage: Stage::Http,
            head: None,
            slow: None,
            late: 0,
            lose: false,
            code: None,
            plain: false,
            told: 0,
            armed: None,
        }
    }

    /// One whose bytes go to [`Fake::bytes`] as they are.
    pub fn plain(fake: Shared) -> Self {
        Self { stage: Stage::Plain, plain: true, ..Self::new(fake) }
    }

    fn write(&mut self, answer: &Answer, io: &mut Io) {
        let keep = self.http.keep_alive();
        answer.write(&mut io.send, !keep);
        if !self.http.response_done() {
            io.end = true;
        }
    }

    fn answer(&mut self, now: Time, answer: Answer, io: &mut Io) {
        if std::mem::take(&mut self.lose) {
            self.over(io);
            return;
        }
        match std::mem::take(&mut self.late) {
            0 => self.write(&answer, io),
            seconds => self.slow = Some((now.after_ms(seconds * 1000), answer)),
        }
    }

    fn over(&mut self, io: &mut Io) {
        io.reset = true;
        self.stage = Stage::Over;
    }

    fn requests(&mut self, now: Time, fake: &mut dyn Fake, io: &mut Io) {
        while matches!(self.stage, Stage::Http)
            && let Some(event) = self.http.next()
        {
            match event {
                HttpEvent::Head(head) if head.is_upgrade_websocket() => {
                    self.upgrade(now, fake, head, io);
                }
                HttpEvent::Head(head) => {
                    self.head = Some(head);
                    self.http.read_body(BODY);
                }
                HttpEvent::Continue => io.send.extend_from_slice(CONTINUE),
                HttpEvent::Body(body) => {
                    let Some(head) = self.head.take() else { continue };
                    fake.desk().requests += 1;
                    self.asked(now, fake, &Asked { head, body }, io);
                }
                HttpEvent::Refused(refusal) => {
                    fake.desk().broke(format!("a request that is no HTTP: {}", refusal.reason));
                    io.end = true;
                }
            }
        }
    }

    fn asked(&mut self, now: Time, fake: &mut dyn Fake, asked: &Asked, io: &mut Io) {
        let woe = fake.desk().trouble(&asked.head.target);
        if woe.is_some() {
            fake.spoiled(asked);
        }
        match woe {
            Some(Woe::TooMany(seconds)) => {
                let answer = fake.too_many(now, asked, seconds);
                return self.write(&answer, io);
            }
            Some(Woe::Fails(status)) => {
                let body = b"<html>upstream trouble</html>".to_vec();
                return self.write(&Answer::bytes(status, "text/html", body), io);
            }
            Some(Woe::Resets) => return self.over(io),
            Some(Woe::Silent) => return self.hush(fake),
            Some(Woe::LosesAnswer) => self.lose = true,
            Some(Woe::Slow(seconds)) => self.late = seconds,
            None => {}
        }
        let before = fake.desk().posted.len();
        let reply = fake.asked(now, self.conn, asked);
        if self.lose || self.late > 0 {
            let desk = fake.desk();
            desk.doubtful.extend(before..desk.posted.len());
        }
        match reply {
            Reply::Now(answer) => self.answer(now, answer, io),
            Reply::Later => {}
        }
    }

    fn hush(&mut self, fake: &mut dyn Fake) {
        self.stage = Stage::Silent;
        fake.desk().silent.insert(self.conn);
    }

    fn upgrade(&mut self, now: Time, fake: &mut dyn Fake, head: Head, io: &mut Io) {
        let accept = ws::check_upgrade(&head);
        let asked = Asked { head, body: Vec::new() };
        let refusal = match fake.desk().trouble(&asked.head.target) {
            Some(Woe::Resets | Woe::LosesAnswer) => return self.over(io),
            Some(Woe::Silent | Woe::Slow(_)) => return self.hush(fake),
            Some(Woe::TooMany(seconds)) => Some(fake.too_many(now, &asked, seconds)),
            Some(Woe::Fails(status)) => Some(Answer::bytes(status, "text/html", Vec::new())),
            None => fake.upgrade(now, self.conn, &asked).err(),
        };
        let (Ok(accept), None) = (accept, &refusal) else {
            self.http.skip_body();
            let malformed = || Answer::bytes(400, "text/plain", b"no upgrade".to_vec());
            return self.write(&refusal.unwrap_or_else(malformed), io);
        };
        ws::upgrade_response(&mut io.send, &accept, &[]);
        let mut receiver = Box::new(Receiver::new(Role::Server, BODY));
        receiver.push(&self.http.take_rest());
        self.stage = Stage::Socket(receiver);
        fake.desk().role(self.conn, "socket");
        fake.opened(now, self.conn);
    }

    fn frames(&mut self, now: Time, fake: &mut dyn Fake, io: &mut Io) {
        while let Stage::Socket(receiver) = &mut self.stage
            && let Some(message) = receiver.next()
        {
            match message {
                Ok(Message::Text(text)) => fake.heard(now, self.conn, &text),
                Ok(Message::Ping(payload)) => ws::pong(&mut io.send, &payload),
                Ok(Message::Pong(_)) => {}
                Ok(Message::Binary(_)) => {
                    fake.desk().broke("a binary frame where text is spoken".to_owned());
                }
                Ok(Message::Close { code, .. }) => {
                    self.code = Some(code.unwrap_or(1005));
                    ws::close(&mut io.send, code.unwrap_or(1000), "");
                    io.end = true;
                    self.gone(now, fake);
                }
                Err(violation) => {
                    fake.desk().broke(format!("a frame that is no WebSocket: {violation:?}"));
                    io.end = true;
                    self.gone(now, fake);
                }
            }
        }
    }

    fn gone(&mut self, now: Time, fake: &mut dyn Fake) {
        if fake.desk().open.remove(&self.conn).is_some() {
            fake.desk().silent.remove(&self.conn);
            fake.gone(now, self.conn, self.code);
        }
        self.stage = Stage::Over;
    }

    /// Sends what the fake has for this connection.
    fn lines(&mut self, now: Time, fake: &mut dyn Fake, io: &mut Io) {
        let mut others = VecDeque::new();
        while let Some((conn, line)) = fake.desk().lines.pop_front() {
            match (&self.stage, line) {
                _ if !fake.desk().open.contains_key(&conn) => {}
                (_, line) if conn != self.conn => others.push_back((conn, line)),
                (Stage::Silent | Stage::Over, _) => {}
                (_, Line::Answer(answer)) => {
                    self.answer(now, answer, io);
                    self.requests(now, fake, io);
                }
                (Stage::Plain, Line::Text(text)) => io.send.extend_from_slice(text.as_bytes()),
                (_, Line::Text(text)) => ws::text(&mut io.send, text),
                (_, Line::Ping) => ws::ping(&mut io.send, b"fake"),
                (_, Line::Close(code, reason)) => {
                    ws::close(&mut io.send, code, reason);
                    io.end = true;
                    self.gone(now, fake);
                }
                (_, Line::End) => {
                    io.end = true;
                    self.gone(now, fake);
                }
                (_, Line::Reset) => {
                    io.reset = true;
                    self.gone(now, fake);
                }
                (_, Line::Silence) => self.hush(fake),
            }
        }
        others.append(&mut fake.desk().lines);
        let fresh = std::mem::take(&mut fake.desk().fresh);
        io.rouse = fresh && !others.is_empty();
        fake.desk().lines = others;
    }
}

/// What a client broke since the last look is a violation of the world's.
pub(super) fn judge(desk: &Desk, told: &mut usize, checks: &mut Checks) {
    for what in desk.broken.iter().skip(*told) {
        checks.fail(Invariant::KeepsRules, || what.clone());
    }
    *told = desk.broken.len();
}

impl Peer for Session {
    fn kind(&self) -> Kind {
        Kind::Provider
    }

    fn on(&mut self, now: Time, event: Event<'_>, io: &mut Io, checks: &mut Checks) {
        let shared = Rc::clone(&self.fake);
        let mut fake = shared.borrow_mut();
        let fake = &mut *fake;
        match event {
            Event::Connected => {
                self.conn = fake.desk().number();
                fake.desk().open.insert(self.conn, "http");
                if self.plain {
                    fake.desk().role(self.conn, "socket");
                    fake.opened(now, self.conn);
                }
            }
            // Also what nobody hears any more.
            Event::Bytes(bytes) if self.plain => fake.bytes(now, self.conn, bytes),
            Event::Bytes(bytes) => match &mut self.stage {
                Stage::Http => {
                    self.http.push(bytes);
                    self.requests(now, fake, io);
                    self.frames(now, fake, io);
                }
                Stage::Socket(receiver) => {
                    receiver.push(bytes);
                    self.frames(now, fake, io);
                }
                Stage::Plain | Stage::Silent | Stage::Over => {}
            },
            Event::Ended | Event::Lost { .. } => {
                io.end = true;
                self.gone(now, fake);
            }
            Event::Wake => {}
        }
        if self.slow.as_ref().is_some_and(|(when, _)| *when <= now)
            && let Some((_, answer)) = self.slow.take()
        {
            self.write(&answer, io);
            self.requests(now, fake, io);
        }
        let next = advance(fake, now);
        self.lines(now, fake, io);
        let slow = self.slow.as_ref().map(|(when, _)| *when);
        io.wake = arm(&mut self.armed, now, [next, slow].into_iter().flatten().min());
        visits(&self.fake, fake.desk(), io);
        judge(fake.desk(), &mut self.told, checks);
    }

    fn rousable(&self) -> bool {
        true
    }

    fn done(&self) -> bool {
        true
    }

    fn state(&self) -> String {
        let stage = match self.stage {
            Stage::Http => "http",
            Stage::Socket(_) => "socket",
            Stage::Plain => "plain",
            Stage::Silent => "silent",
            Stage::Over => "over",
        };
        format!("fake connection {} {stage}", self.conn)
    }
}
