//! A model provider: OpenAI's chat completions as a stream, in every mood.
//!
//! Its answer begins with `re: ` and the last thing the user said, so that whoever asked can
//! tell that it got its own answer.

use super::{Event, Io, Kind, Peer};
use crate::driver::Time;
use crate::sim::check::{Checks, Invariant};
use crate::sim::rng::Rng;
use crate::wire::http::respond::{chunk, last_chunk};
use crate::wire::http::server::{CONTINUE, Event as HttpEvent, Server};
use crate::wire::sse;
use serde_json::{Value, json};

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// At once and in order.
    Normal,
    /// A second or more between pieces.
    Slow,
    /// In order, but the connection stays open behind the last event.
    Lingers,
    /// No `[DONE]`: a finish reason, then the end of the connection.
    NoDone,
    /// Takes the request and says nothing for ever.
    Silent,
    /// Says something and then nothing for ever.
    Stalls,
    /// Breaks the connection in the middle.
    Resets,
    /// Ends the connection in the middle, politely.
    Cuts,
    /// 429 with `Retry-After: 2`.
    TooMany,
    /// 500.
    Fails,
    /// 401.
    Refuses,
    /// Not HTTP.
    Garbage,
}

/// Ways that end in an answer.
pub const GOOD: [Way; 4] = [Way::Normal, Way::Slow, Way::Lingers, Way::NoDone];
/// Every way.
pub const ALL: [Way; 12] = [
    Way::Normal,
    Way::Slow,
    Way::Lingers,
    Way::NoDone,
    Way::Silent,
    Way::Stalls,
    Way::Resets,
    Way::Cuts,
    Way::TooMany,
    Way::Fails,
    Way::Refuses,
    Way::Garbage,
];

/// One connection of it.
pub struct Provider {
    rng: Rng,
    way: Way,
    http: Server,
    chunked: bool,
    pieces: Vec<Vec<u8>>,
    next: usize,
    size: usize,
    gone: bool,
}

impl Provider {
    /// Answers in this way, with pieces of about `size` bytes.
    pub fn new(mut rng: Rng, way: Way, size: usize) -> Self {
        let chunked = rng.percent(70) && way != Way::NoDone;
        let http = Server::new();
        Self { rng, way, http, chunked, pieces: Vec::new(), next: 0, size, gone: false }
    }

    fn asked(&mut self, body: &[u8], checks: &mut Checks) -> String {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let messages = value["messages"].as_array().cloned().unwrap_or_default();
        let said = messages.iter().rev().find(|message| message["role"] == "user");
        let content = said.map(|message| message["content"].clone()).unwrap_or_default();
        let text = match &content {
            Value::String(text) => text.clone(),
            Value::Array(parts) => {
                parts.iter().filter_map(|part| part["text"].as_str()).collect::<String>()
            }
            _ => String::new(),
        };
        checks.require(value["stream"] == true && !text.is_empty(), Invariant::WellServed, || {
            format!("the provider was asked something odd: {value}")
        });
        text
    }

    /// The events of the whole answer.
    fn compose(&mut self, text: &str) {
        let mut words = vec![format!("re: {text}")];
        for n in 0..self.rng.size(1, 6) {
            // Characters of several bytes, so that cuts fall inside them.
            let filler = "käse € 𝄞 ".chars().cycle().take(self.size);
            words.push(format!(" {n}:{}", filler.collect::<String>()));
        }
        let mut pieces = Vec::new();
        let mut say = |value: &Value| {
            let mut event = Vec::new();
            sse::data(&mut event, value.to_string().as_bytes());
            pieces.push(event);
        };
        for word in &words {
            say(&json!({"id": "r1", "choices": [{"index": 0, "delta": {"content": word}}]}));
        }
        say(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
        let usage = json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7});
        say(&json!({"choices": [], "usage": usage}));
        if self.way != Way::NoDone {
            let mut event = Vec::new();
            sse::data(&mut event, b"[DONE]");
            pieces.push(event);
        }
        self.pieces = pieces;
    }

    fn refuse(&mut self, status: &str, extra: &str, io: &mut Io) {
        let body = b"{\"error\":{\"message\":\"simulated\"}}";
        let head = format!("HTTP/1.1 {status}\r\n{extra}Content-Length: {}\r\n\r\n", body.len());
        io.send.extend_from_slice(head.as_bytes());
        io.send.extend_from_slice(body);
        io.end = self.rng.percent(50);
    }

    fn answer(&mut self, now: Time, io: &mut Io) {
        match self.way {
            Way::Silent => {}
            Way::TooMany => self.refuse("429 Too Many Requests", "Retry-After: 2\r\n", io),
            Way::Fails => self.refuse("500 Oops", "", io),
            Way::Refuses => self.refuse("401 Unauthorized", "", io),
            Way::Garbage => io.send.extend_from_slice(b"\0\x01SSH-2.0-what\r\n\r\n\r\n"),
            _ => {
                io.send
                    .extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n");
                io.send.extend_from_slice(if self.chunked {
                    b"Transfer-Encoding: chunked\r\n\r\n"
                } else {
                    b"Connection: close\r\n\r\n"
                });
                if self.rng.percent(30) {
                    self.part(b": keep-alive\n\n", io);
                }
                self.later(now, io);
            }
        }
    }

    fn part(&self, bytes: &[u8], io: &mut Io) {
        if self.chunked {
            chunk(&mut io.send, bytes);
        } else {
            io.send.extend_from_slice(bytes);
        }
    }

    fn later(&mut self, now: Time, io: &mut Io) {
        let us = match self.way {
            Way::Slow => self.rng.range(200_000, 5_000_000),
            _ => self.rng.range(0, 60_000),
        };
        io.wake = Some(Time(now.0 + us));
    }

    fn go_on(&mut self, now: Time, io: &mut Io) {
        let halfway = self.next * 2 > self.pieces.len();
        match self.way {
            Way::Stalls if halfway => return,
            Way::Resets if halfway => {
                io.reset = true;
                return;
            }
            Way::Cuts if halfway => {
                io.end = true;
                return;
            }
            _ => {}
        }
        // Several events may come in one piece.
        for _ in 0..self.rng.size(1, 3) {
            let Some(piece) = self.pieces.get(self.next).cloned() else { break };
            self.next += 1;
            self.part(&piece, io);
        }
        if self.next < self.pieces.len() {
            return self.later(now, io);
        }
        if self.way != Way::Lingers {
            if self.chunked {
                last_chunk(&mut io.send);
            }
            io.end = !self.chunked || self.rng.percent(50);
        }
    }
}

impl Peer for Provider {
    fn kind(&self) -> Kind {
        Kind::Provider
    }

    fn on(&mut self, now: Time, event: Event<'_>, io: &mut Io, checks: &mut Checks) {
        match event {
            Event::Connected => {}
            Event::Bytes(bytes) => {
                self.http.push(bytes);
                while let Some(event) = self.http.next() {
                    match event {
                        HttpEvent::Head(head) => {
                            let right = head.path() == "/v1/chat/completions";
                            checks.require(right, Invariant::WellServed, || {
                                format!("the provider was asked for {}", head.path())
                            });
                            self.http.read_body(usize::MAX);
                        }
                        HttpEvent::Continue => io.send.extend_from_slice(CONTINUE),
                        HttpEvent::Body(body) => {
                            let text = self.asked(&body, checks);
                            self.compose(&text);
                            self.answer(now, io);
                        }
                        HttpEvent::Refused(refusal) => {
                            checks.fail(Invariant::WellServed, || {
                                format!("the provider cannot read a request: {}", refusal.reason)
                            });
                        }
                    }
                }
            }
            Event::Wake if !self.gone && self.next < self.pieces.len() => self.go_on(now, io),
            Event::Wake => {}
            Event::Ended | Event::Lost { .. } => {
                self.gone = true;
                io.end = true;
            }
        }
    }

    fn done(&self) -> bool {
        true
    }

    fn state(&self) -> String {
        let (next, all) = (self.next, self.pieces.len());
        format!("provider {:?} {next}/{all} gone={}", self.way, self.gone)
    }
}
