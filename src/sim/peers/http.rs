//! An HTTP client: probes, models, completions whole and streamed, keep-alive and pipelined.

use super::{Event, Io, Kind, Peer, TOKEN};
use crate::driver::Time;
use crate::sim::check::{Checks, Invariant};
use crate::sim::rng::Rng;
use crate::wire::http::client::{Client, ClientEvent, request};
use crate::wire::http::respond::{chunk, last_chunk};
use crate::wire::sse::{Parser, SseItem};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// What a client is to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many rounds of requests.
    pub rounds: u32,
    /// Leaves after so many bytes of answers.
    pub hangup_at: Option<usize>,
    /// By breaking the connection.
    pub reset: bool,
    /// Microseconds between reads.
    pub pause_us: u64,
    /// Bytes of a message's text.
    pub size: usize,
    /// May ask for completions.
    pub completions: bool,
    /// All its completions belong to one conversation, which others share.
    pub shared: bool,
}

#[derive(Debug, Clone)]
enum Expect {
    /// This status.
    Status(u16, bool),
    /// A whole completion that begins so.
    Whole(String),
    /// A stream that begins so.
    Stream(String),
}

/// The client.
pub struct HttpClient {
    name: usize,
    rng: Rng,
    plan: Plan,
    expected: VecDeque<Expect>,
    client: Client,
    status: u16,
    body: Vec<u8>,
    bytes: usize,
    rounds: u32,
    over: bool,
}

const HOST: &str = "127.0.0.1:18789";

impl HttpClient {
    /// A client; `name` makes its messages its own.
    pub fn new(name: usize, rng: Rng, plan: Plan) -> Self {
        Self {
            name,
            rng,
            plan,
            expected: VecDeque::new(),
            client: Client::new(false),
            status: 0,
            body: Vec::new(),
            bytes: 0,
            rounds: 0,
            over: false,
        }
    }

    fn get(&mut self, method: &str, path: &str, status: u16, io: &mut Io) {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("Authorization", bearer.as_str())];
        request(&mut io.send, method, HOST, path, &headers, None);
        self.expected.push_back(Expect::Status(status, method == "HEAD"));
    }

    fn complete(&mut self, io: &mut Io) {
        let text = format!("http {} {} {}", self.name, self.rounds, "y".repeat(self.plan.size));
        let stream = self.rng.percent(60);
        let mut body = json!({
            "model": "openclaw", "stream": stream,
            "messages": [{"role": "system", "content": "be brief"},
                         {"role": "user", "content": text}],
        });
        if self.plan.shared {
            body["user"] = json!("shared");
        } else if self.rng.percent(40) {
            body["user"] = json!(format!("u{}", self.rng.below(2)));
        }
        let body = body.to_string();
        let bearer = format!("Bearer {TOKEN}");
        let path = "/v1/chat/completions";
        if self.rng.percent(40) {
            let headers = [("Authorization", bearer.as_str()), ("Transfer-Encoding", "chunked")];
            request(&mut io.send, "POST", HOST, path, &headers, None);
            for part in body.as_bytes().chunks(self.rng.size(1, 40)) {
                chunk(&mut io.send, part);
            }
            last_chunk(&mut io.send);
        } else {
            let headers = [("Authorization", bearer.as_str())];
            request(&mut io.send, "POST", HOST, path, &headers, Some(body.as_bytes()));
        }
        let begins = format!("re: {text}");
        self.expected.push_back(match stream {
            true => Expect::Stream(begins),
            false => Expect::Whole(begins),
        });
    }

    fn round(&mut self, io: &mut Io) {
        self.rounds += 1;
        for _ in 0..self.rng.size(1, 3) {
            match self.rng.below(8) {
                0 => self.get("GET", "/healthz", 200, io),
                1 => self.get("HEAD", "/healthz", 200, io),
                2 => self.get("GET", "/readyz", 200, io),
                3 => self.get("GET", "/v1/models", 200, io),
                4 => self.get("GET", "/nothing/here", 404, io),
                _ if self.plan.completions => self.complete(io),
                _ => self.get("GET", "/startupz", 200, io),
            }
        }
        self.begin();
    }

    fn begin(&mut self) {
        let head = matches!(self.expected.front(), Some(Expect::Status(_, true)));
        let mut client = Client::new(head);
        client.push(&self.client.take_rest());
        self.client = client;
        self.status = 0;
        self.body.clear();
    }

    fn read(&mut self, now: Time, io: &mut Io, checks: &mut Checks) {
        while let Some(event) = self.client.next() {
            match event {
                ClientEvent::Head { status, .. } => self.status = status,
                ClientEvent::Data(bytes) => self.body.extend(bytes),
                ClientEvent::Failed(error) => {
                    self.over = true;
                    let (name, gone) = (self.name, checks.leaving.is_some());
                    return checks
                        .require(gone, Invariant::WellServed, || format!("http {name}: {error}"));
                }
                ClientEvent::End { .. } => {
                    self.answered(checks);
                    if self.expected.is_empty() {
                        io.wake = Some(now.after_ms(self.rng.range(0, 300)));
                        return;
                    }
                    self.begin();
                }
            }
        }
    }

    fn answered(&mut self, checks: &mut Checks) {
        let name = self.name;
        let Some(expected) = self.expected.pop_front() else {
            return checks.fail(Invariant::OwnReplies, || format!("http {name}: one answer more"));
        };
        checks.responses += 1;
        let status = self.status;
        let text = String::from_utf8_lossy(&self.body).into_owned();
        let excused = checks.leaving.is_some() || checks.disk_trouble;
        // A short queue refuses the newest, or drops the oldest.
        let trouble = excused || checks.provider_trouble || checks.short_queues;
        let (fine, may) = match &expected {
            Expect::Status(wanted, _) => (status == *wanted, excused),
            Expect::Whole(begins) => {
                let answer: Value = serde_json::from_str(&text).unwrap_or_default();
                let said = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default();
                (status == 200 && own(said, begins), trouble && status != 200)
            }
            Expect::Stream(begins) => {
                let (said, done) = streamed(&self.body);
                let whole = status == 200 && done && own(&said, begins);
                // A stream that fails has said nothing false before.
                (
                    whole,
                    trouble && (status != 200 || begins.starts_with(&said) || own(&said, begins)),
                )
            }
        };
        checks.require(fine || may, Invariant::WellServed, || {
            format!("http {name}: {expected:?} was answered {status} {text}")
        });
    }

    fn leave(&mut self, io: &mut Io) {
        self.over = true;
        io.end = true;
        io.reset = self.plan.reset;
    }
}

fn own(said: &str, begins: &str) -> bool {
    said.starts_with(begins) || said.starts_with("[local")
}

/// The text of a stream, and whether it said that it is done.
fn streamed(body: &[u8]) -> (String, bool) {
    let mut parser = Parser::new();
    parser.push(body);
    let (mut said, mut done) = (String::new(), false);
    while let Some(Ok(item)) = parser.next() {
        if let SseItem::Event { data, .. } = item {
            done |= data.trim() == "[DONE]";
            let value: Value = serde_json::from_str(&data).unwrap_or_default();
            said.push_str(value["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
        }
    }
    (said, done)
}

impl Peer for HttpClient {
    fn kind(&self) -> Kind {
        Kind::Http
    }

    fn on(&mut self, now: Time, event: Event<'_>, io: &mut Io, checks: &mut Checks) {
        match event {
            Event::Connected => {
                io.pause_us = Some(self.plan.pause_us);
                self.round(io);
            }
            Event::Bytes(_) if self.over => {}
            Event::Bytes(bytes) => {
                self.bytes += bytes.len();
                if self.plan.hangup_at.is_some_and(|at| self.bytes >= at) {
                    return self.leave(io);
                }
                self.client.push(bytes);
                self.read(now, io, checks);
            }
            Event::Ended => {
                if !self.over {
                    self.client.eof();
                    if !self.expected.is_empty() {
                        self.read(now, io, checks);
                    }
                    let excused = self.expected.is_empty() || checks.leaving.is_some();
                    let name = self.name;
                    checks.require(excused, Invariant::WellServed, || {
                        format!("http {name}: closed instead of answering")
                    });
                    self.over = true;
                }
                io.end = true;
            }
            Event::Lost { injected } => {
                let known = injected || self.over || checks.leaving.is_some();
                let name = self.name;
                checks.require(known, Invariant::WellServed, || format!("http {name}: reset"));
                self.over = true;
            }
            Event::Wake if self.over || !self.expected.is_empty() => {}
            Event::Wake if self.rounds >= self.plan.rounds || checks.leaving.is_some() => {
                self.leave(io);
            }
            Event::Wake => self.round(io),
        }
    }

    fn done(&self) -> bool {
        self.over
    }

    fn state(&self) -> String {
        let (name, rounds) = (self.name, self.rounds);
        format!("http {name} round {rounds} expects {:?} over={}", self.expected, self.over)
    }
}
