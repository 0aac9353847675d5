//! What the fakes of chat platforms have in common: [`telegram`](super::telegram),
//! [`discord`](super::discord) and [`slack`](super::slack).
//!
//! ```text
//!   client == bytes == [Session] -- requests, texts --> [Fake] <-- acts, at their times -- script
//!                          ^                              |
//!                          +----- lines, by connection ---+-- broken, posted --> who looks
//!                                                         +-- visits --> webhook of the client
//! ```
//!
//! A [`Fake`] is the whole platform: one value, shared by all connections to it. It keeps the
//! published rules of the platform, carries out what is asked, and writes down every rule that
//! a client breaks ([`Desk::broken`]) and everything it was asked to post ([`Desk::posted`]). A
//! [`Session`] is one connection: HTTP/1.1, maybe become a WebSocket.
//!
//! What happens is a script of acts and times, JSON both in a scenario and over the control
//! port of `tests/real/fakes.rs`. Known to every fake:
//!
//! | act | members | what it does |
//! |---|---|---|
//! | `trouble` | `path` (a part), `woe`, `times`, `seconds`, `status` | answers so; see [`Woe`] |
//! | `drop` | `of`: `http`, `poll`, `socket` or `all` | breaks these connections |
//! | `end` | the same | ends our direction of them |
//! | `halfOpen` | the same | they stay open and nothing moves any more |
//!
//! `stranger`, which each carries out itself, says that whoever comes next remembers nothing:
//! pauses that were asked for are not held against it. The `file` of Discord's and Slack's
//! `message` is a text or what [`Hung::of`] says.
//!
//! Everything else is the platform's own; its module head lists it.

use crate::driver::Time;
use crate::wire::http::Head;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

mod args;
mod caller;
mod session;
#[cfg(test)]
pub mod testing;

pub use args::{Args, Upload};
pub use session::{Session, Ticker};

/// Largest body of a request: more than any platform takes.
const BODY: usize = 64 * 1024 * 1024;
/// A rule that two connections break together counts when both still stand this long after:
/// the news that one of them is gone may be on its way.
pub const GRACE_MS: u64 = 2_000;
/// A request that arrives so soon after an answer was written before it was read.
pub const FLIGHT_MS: u64 = 250;

/// A request, whole.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Head, with method, target and headers.
    pub head: Head,
    /// Its body.
    pub body: Vec<u8>,
}

impl Asked {
    /// Parts of the path, decoded.
    pub fn segments(&self) -> Vec<String> {
        crate::wire::url::path_segments(self.head.path()).unwrap_or_default()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).unwrap_or_default()
    }

    /// Parameters of query and body.
    pub fn args(&self) -> Args {
        Args::read(self.head.query().unwrap_or_default(), self.header("content-type"), &self.body)
    }
}

/// A response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: u16,
    headers: Vec<(String, String)>,
    content_type: &'static str,
    /// What it says.
    pub body: Vec<u8>,
}

impl Answer {
    /// JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, "application/json", body.to_string().into_bytes())
    }

    /// Anything.
    pub fn bytes(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), content_type, body }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn write(&self, out: &mut Vec<u8>, close: bool) {
        let mut head = format!("HTTP/1.1 {} Answered\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.status == 204 {
            head.push_str("\r\n");
            return out.extend_from_slice(head.as_bytes());
        }
        head.push_str(&format!("Content-Type: {}\r\n", self.content_type));
        head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        head.push_str(if close { "Connection: close\r\n\r\n" } else { "\r\n" });
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&self.body);
    }
}

/// What a request comes to.
#[derive(Debug)]
pub enum Reply {
    /// This.
    Now(Answer),
    /// A [`Line::Answer`], some time.
    Later,
}

/// What goes to one connection.
#[derive(Debug)]
pub enum Line {
    /// The response that was put off.
    Answer(Answer),
    /// A text frame.
    Text(String),
    /// A ping.
    Ping,
    /// A close frame, then the end.
    Close(u16, &'static str),
    /// The end of our direction, without a word.
    End,
    /// The connection breaks.
    Reset,
    /// From here on nothing moves, and nobody is told.
    Silence,
}

/// Trouble with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woe {
    /// `tooMany`: it is not carried out; try again after so many `seconds`.
    TooMany(u64),
    /// `fails`: it is not carried out; this `status`.
    Fails(u16),
    /// `losesAnswer`: it is carried out, and the connection breaks before the answer.
    LosesAnswer,
    /// `resets`: the connection breaks before it is carried out.
    Resets,
    /// `silent`: it is never answered, the connection stays.
    Silent,
    /// `slow`: the answer comes so many `seconds` later.
    Slow(u64),
}

/// Something a client posted, changed or took back.
#[derive(Debug, Clone)]
pub struct Posted {
    /// When.
    pub at: Time,
    /// By which method, in the platform's words.
    pub method: String,
    /// Where: chat or channel.
    pub to: String,
    /// Which message.
    pub id: String,
    /// What it says.
    pub text: String,
    /// What the client gave so that it is posted once; empty where the platform has no such thing.
    pub key: String,
    /// All parameters.
    pub args: Value,
}

/// A request that the fake makes: the client's webhook.
#[derive(Debug, Clone)]
pub struct Call {
    /// Number, for [`Fake::answered`].
    pub id: u64,
    /// Where to.
    pub url: String,
    /// Headers beside Host and Content-Length.
    pub headers: Vec<(String, String)>,
    /// What it says.
    pub body: Vec<u8>,
    /// How long the answer may take.
    pub patience_ms: u64,
}

/// What every fake keeps.
#[derive(Debug, Default)]
pub struct Desk {
    /// Rules that a client broke, in words, in order.
    pub broken: Vec<String>,
    /// What was posted, in order.
    pub posted: Vec<Posted>,
    /// Of them, those whose answers got lost or come late, by their place in the list.
    pub doubtful: BTreeSet<usize>,
    /// What people said and the platform itself will not deliver any more.
    pub forgotten: Vec<String>,
    /// How often an act has broken connections that stood.
    pub shakes: u64,
    /// Unix time when [`Time`] was zero.
    pub wall_zero_ms: u64,
    /// Connections that stand, and what they are used for.
    open: BTreeMap<u64, &'static str>,
    /// Of them, those that nothing moves on.
    silent: BTreeSet<u64>,
    lines: VecDeque<(u64, Line)>,
    /// Some of them nobody was woken for.
    fresh: bool,
    calls: Vec<Call>,
    troubles: Vec<(String, Woe, u64)>,
    script: Vec<(Time, Value)>,
    numbered: u64,
    requests: u64,
}

impl Desk {
    /// An empty one; `wall_zero_ms` is Unix time at time zero.
    pub fn new(wall_zero_ms: u64) -> Self {
        Self { wall_zero_ms, ..Self::default() }
    }

    /// A rule is broken.
    pub fn broke(&mut self, what: String) {
        self.broken.push(what);
    }

    /// Unix time in milliseconds.
    pub fn wall_ms(&self, now: Time) -> u64 {
        self.wall_zero_ms + now.0 / 1000
    }

    /// A number nobody had before.
    pub fn number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    /// Something for a connection.
    pub fn line(&mut self, conn: u64, line: Line) {
        self.lines.push_back((conn, line));
        self.fresh = true;
    }

    /// A request of our own.
    pub fn call(&mut self, call: Call) {
        self.calls.push(call);
    }

    /// This connection is used for that.
    pub fn role(&mut self, conn: u64, role: &'static str) {
        if let Some(known) = self.open.get_mut(&conn) {
            *known = role;
        }
    }

    /// The connection stands, as far as both ends know.
    pub fn stands(&self, conn: u64) -> bool {
        self.open.contains_key(&conn) && !self.silent.contains(&conn)
    }

    /// An act at its time; equal times in the order they are given.
    pub fn at(&mut self, when: Time, act: Value) {
        let after = self.script.partition_point(|(time, _)| *time <= when);
        self.script.insert(after, (when, act));
    }

    /// Everything for connections, and a connection without a session: for tests of a fake.
    #[cfg(test)]
    pub fn taken(&mut self) -> Vec<(u64, Line)> {
        self.lines.drain(..).collect()
    }

    /// See [`Self::taken`].
    #[cfg(test)]
    pub fn seat(&mut self, conn: u64) {
        self.open.insert(conn, "socket");
    }

    fn trouble(&mut self, path: &str) -> Option<Woe> {
        let at = self.troubles.iter().position(|(part, ..)| path.contains(part.as_str()))?;
        let (_, woe, left) = &mut self.troubles[at];
        let woe = *woe;
        *left -= 1;
        if *left == 0 {
            self.troubles.remove(at);
        }
        Some(woe)
    }

    fn everyone(&mut self, of: &str, line: impl Fn() -> Line) -> usize {
        let conns: Vec<u64> = self
            .open
            .iter()
            .filter(|(conn, role)| (of == "all" || of == **role) && !self.silent.contains(conn))
            .map(|(conn, _)| *conn)
            .collect();
        for conn in &conns {
            self.line(*conn, line());
        }
        self.shakes += u64::from(!conns.is_empty());
        conns.len()
    }

    /// The acts that every platform knows; `None` when it is none of them.
    fn act(&mut self, act: &Value) -> Option<Result<Value, String>> {
        let of = act["of"].as_str().unwrap_or("all");
        let hit = match act["act"].as_str().unwrap_or_default() {
            "drop" => self.everyone(of, || Line::Reset),
            "end" => self.everyone(of, || Line::End),
            "halfOpen" => self.everyone(of, || Line::Silence),
            "trouble" => {
                let seconds = act["seconds"].as_u64().unwrap_or(1);
                let status = act["status"].as_u64().and_then(|status| status.try_into().ok());
                let woe = match act["woe"].as_str().unwrap_or_default() {
                    "tooMany" => Woe::TooMany(seconds),
                    "fails" => Woe::Fails(status.unwrap_or(502)),
                    "losesAnswer" => Woe::LosesAnswer,
                    "resets" => Woe::Resets,
                    "silent" => Woe::Silent,
                    "slow" => Woe::Slow(seconds),
                    other => return Some(Err(format!("no such woe: {other}"))),
                };
                let path = act["path"].as_str().unwrap_or_default().to_owned();
                let times = act["times"].as_u64().unwrap_or(1).max(1);
                self.troubles.push((path, woe, times));
                0
            }
            _ => return None,
        };
        Some(Ok(json!({ "connections": hit })))
    }

    /// All of it, for a report.
    pub fn report(&self) -> Value {
        let posted = |posted: &Posted| {
            json!({
                "atMs": posted.at.0 / 1000, "method": posted.method, "to": posted.to,
                "id": posted.id, "text": posted.text, "key": posted.key, "args": posted.args,
            })
        };
        let open: Vec<Value> = self.open.iter().map(|(conn, role)| json!([conn, role])).collect();
        json!({
            "broken": self.broken, "posted": self.posted.iter().map(posted).collect::<Vec<_>>(),
            "open": open, "requests": self.requests, "scripted": self.script.len(),
        })
    }
}

/// A file that somebody hangs on a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hung {
    /// Its name.
    pub name: String,
    /// Its media type, as told.
    pub content_type: String,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Bytes that it is told to have.
    pub size: u64,
}

impl Hung {
    /// The `file` of an act: a text, or `name`, `type`, `base64` and, where it is a lie, `size`.
    pub fn of(act: &Value) -> Option<Self> {
        let text = |bytes: &[u8]| Self {
            name: "file.txt".to_owned(),
            content_type: "text/plain".to_owned(),
            bytes: bytes.to_vec(),
            size: bytes.len() as u64,
        };
        let file = &act["file"];
        if let Some(content) = file.as_str() {
            return Some(text(content.as_bytes()));
        }
        let bytes = crate::wire::hash::base64_decode(file["base64"].as_str()?)?;
        let said = |name: &str, other: String| file[name].as_str().map_or(other, str::to_owned);
        let plain = text(&bytes);
        Some(Self {
            name: said("name", plain.name),
            content_type: said("type", plain.content_type),
            size: file["size"].as_u64().unwrap_or(plain.size),
            bytes,
        })
    }
}

/// A platform.
pub trait Fake {
    /// What every fake keeps.
    fn desk(&mut self) -> &mut Desk;
    /// A request, to be carried out.
    fn asked(&mut self, now: Time, conn: u64, asked: &Asked) -> Reply;
    /// The platform's words for "too many requests": try again after so many seconds.
    fn too_many(&mut self, now: Time, asked: &Asked, seconds: u64) -> Answer;
    /// Trouble stands in the way of this request: it is not carried out, or its answer is late.
    fn spoiled(&mut self, _asked: &Asked) {}
    /// Whether this request becomes a WebSocket; [`Fake::opened`] follows.
    fn upgrade(&mut self, _now: Time, _conn: u64, _asked: &Asked) -> Result<(), Answer> {
        Err(Answer::bytes(404, "text/plain", b"no WebSocket here".to_vec()))
    }
    /// Bytes of a connection that is neither HTTP nor WebSocket.
    fn bytes(&mut self, _now: Time, _conn: u64, _bytes: &[u8]) {}
    /// The WebSocket, or plain connection, stands.
    fn opened(&mut self, _now: Time, _conn: u64) {}
    /// A text frame of the client.
    fn heard(&mut self, _now: Time, _conn: u64, _text: &str) {}
    /// The connection is gone; the code of the client's close frame, if it sent one.
    fn gone(&mut self, now: Time, conn: u64, code: Option<u16>);
    /// The answer to a [`Call`]: status and body, or nothing in time.
    fn answered(&mut self, _now: Time, _call: u64, _answer: Option<(u16, Vec<u8>)>) {}
    /// Carries out one act of the script; what came of it, for whoever asked.
    ///
    /// # Errors
    /// It is not understood.
    fn act(&mut self, now: Time, act: &Value) -> Result<Value, String>;
    /// Does what is due.
    fn tick(&mut self, now: Time);
    /// When something is due next.
    fn deadline(&self) -> Option<Time>;
}

/// A fake, and the connections that share it.
pub type Shared = Rc<RefCell<dyn Fake>>;

/// Carries out an act now.
///
/// # Errors
/// It is not understood.
pub fn perform(fake: &mut dyn Fake, now: Time, act: &Value) -> Result<Value, String> {
    match fake.desk().act(act) {
        Some(done) => done,
        None => fake.act(now, act),
    }
}

/// Carries out what the script and the fake itself have due; when to come again.
pub fn advance(fake: &mut dyn Fake, now: Time) -> Option<Time> {
    while fake.desk().script.first().is_some_and(|(when, _)| *when <= now) {
        let (_, act) = fake.desk().script.remove(0);
        if let Err(what) = perform(fake, now, &act) {
            fake.desk().broke(format!("the script: {what}"));
        }
    }
    fake.tick(now);
    let scripted = fake.desk().script.first().map(|(when, _)| *when);
    let next = [scripted, fake.deadline()].into_iter().flatten().min()?;
    Some(next.max(now.after_ms(1)))
}
