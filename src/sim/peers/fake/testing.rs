//! A world of one fake for the tests beside it: requests by hand, virtual time.

use super::{Call, Session, Shared, perform};
use crate::driver::Time;
use crate::sim::check::Checks;
use crate::sim::peers::{Event, Io, Peer};
use crate::wire::http::client::{Client, ClientEvent, request};
use crate::wire::ws::{self, Message, Receiver, Role};
use serde_json::Value;
use std::rc::Rc;

/// A world of one fake: requests by hand, virtual time.
pub struct Bench {
    /// The fake.
    pub fake: Shared,
    /// Virtual time.
    pub now: Time,
    checks: Checks,
    sessions: Vec<Session>,
}

impl Bench {
    /// At time zero plus a second.
    pub fn new(fake: Shared) -> Self {
        let checks = Checks::new(crate::sim::disk::SimDisk::new());
        Self { fake, now: Time(1_000_000), checks, sessions: Vec::new() }
    }

    fn tell(&mut self, at: usize, event: Event<'_>) -> Io {
        let mut io = Io::default();
        self.sessions[at].on(self.now, event, &mut io, &mut self.checks);
        io
    }

    /// A connection; its number.
    pub fn connect(&mut self) -> usize {
        self.sessions.push(Session::new(Rc::clone(&self.fake)));
        let at = self.sessions.len() - 1;
        self.tell(at, Event::Connected);
        at
    }

    /// Bytes to a connection; what comes back.
    pub fn send(&mut self, at: usize, bytes: &[u8]) -> Io {
        self.tell(at, Event::Bytes(bytes))
    }

    /// The client breaks it.
    pub fn lose(&mut self, at: usize) {
        self.tell(at, Event::Lost { injected: true });
    }

    /// So much later; what the connection then says.
    pub fn later(&mut self, ms: u64, at: usize) -> Io {
        self.now = self.now.after_ms(ms);
        self.tell(at, Event::Wake)
    }

    /// One request on a connection of its own: status and body.
    pub fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> (u16, Value) {
        let at = self.connect();
        let io = self.ask_on(at, method, target, headers, body);
        let answer = read(&io.send);
        self.lose(at);
        answer
    }

    /// The same on this connection, whatever comes.
    pub fn ask_on(
        &mut self,
        at: usize,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Io {
        let mut bytes = Vec::new();
        let text = body.to_string();
        let mut all = vec![("Content-Type", "application/json")];
        all.extend(headers);
        let body = (!body.is_null()).then_some(text.as_bytes());
        request(&mut bytes, method, "fake", target, &all, body);
        self.send(at, &bytes)
    }

    /// Carries out an act.
    pub fn act(&mut self, act: Value) -> Value {
        perform(&mut *self.fake.borrow_mut(), self.now, &act).expect("an act")
    }

    /// What was broken.
    pub fn broken(&self) -> Vec<String> {
        self.fake.borrow_mut().desk().broken.clone()
    }

    /// What calls wait to be made.
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.fake.borrow_mut().desk().calls)
    }

    /// A WebSocket to this target; its number and the first frames.
    pub fn socket(&mut self, target: &str) -> (usize, Vec<Message>) {
        let at = self.connect();
        let mut bytes = Vec::new();
        ws::client_request(&mut bytes, "fake", target, "AAAAAAAAAAAAAAAAAAAAAA==", &[]);
        let io = self.send(at, &bytes);
        (at, frames(&io.send))
    }

    /// A text frame of the client; what comes back.
    pub fn say(&mut self, at: usize, text: &Value) -> Vec<Message> {
        let mut bytes = Vec::new();
        ws::text_masked(&mut bytes, text.to_string(), [1, 2, 3, 4]);
        frames(&self.send(at, &bytes).send)
    }
}

/// Status and JSON of an answer; null where there is none.
pub fn read(bytes: &[u8]) -> (u16, Value) {
    let mut client = Client::new(false);
    client.push(bytes);
    let (mut code, mut body) = (0, Vec::new());
    while let Some(event) = client.next() {
        match event {
            ClientEvent::Head { status, .. } => code = status,
            ClientEvent::Data(data) => body.extend(data),
            _ => {}
        }
    }
    (code, serde_json::from_slice(&body).unwrap_or_default())
}

/// Frames behind an upgrade's answer, if there is one.
pub fn frames(bytes: &[u8]) -> Vec<Message> {
    let mut bytes = bytes;
    if bytes.starts_with(b"HTTP/1.1 101") {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        bytes = &bytes[end + 4..];
    }
    let mut receiver = Receiver::new(Role::Client, usize::MAX);
    receiver.push(bytes);
    std::iter::from_fn(|| receiver.next()).map(|frame| frame.expect("a frame")).collect()
}

/// The JSON of text frames.
pub fn texts(frames: &[Message]) -> Vec<Value> {
    let text = |frame: &Message| match frame {
        Message::Text(text) => serde_json::from_str(text).ok(),
        _ => None,
    };
    frames.iter().filter_map(text).collect()
}
