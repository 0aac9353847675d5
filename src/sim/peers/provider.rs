//! A model provider: OpenAI's chat completions as a stream, in every mood.
//!
//! Its answer begins with `re: ` and the last thing the user said, so that whoever asked can
//! tell that it got its own answer. Now and then it asks for tools first: some of the house,
//! some that are not there, with arguments that are none, several at once.

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
    /// Finds the conversation too long.
    TooLong,
    /// Not HTTP.
    Garbage,
}

/// Ways that end in an answer.
pub const GOOD: [Way; 4] = [Way::Normal, Way::Slow, Way::Lingers, Way::NoDone];
/// Every way.
pub const ALL: [Way; 13] = [
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
    Way::TooLong,
    Way::Garbage,
];

/// What a request said.
struct Asked {
    /// The last message of the user.
    text: String,
    /// Names of the tools it declares.
    tools: Vec<String>,
    /// Turns with tool calls behind that message.
    rounds: usize,
}

/// Files that a model looks at or writes are named so, each by one call alone.
pub const ONCE: &str = "once-";

/// One connection of it.
pub struct Provider {
    rng: Rng,
    way: Way,
    /// Percent of turns that ask for tools.
    tools: u64,
    http: Server,
    chunked: bool,
    pieces: Vec<Vec<u8>>,
    next: usize,
    size: usize,
    /// It repeats what was said, a few characters at a time, and adds nothing.
    scribe: bool,
    gone: bool,
}

impl Provider {
    /// Answers in this way, with pieces of about `size` bytes.
    /// `tools` turns in a hundred ask for tools.
    pub fn new(mut rng: Rng, way: Way, size: usize, tools: u64) -> Self {
        let chunked = rng.percent(70) && way != Way::NoDone;
        let http = Server::new();
        Self {
            rng,
            way,
            tools,
            http,
            chunked,
            pieces: Vec::new(),
            next: 0,
            size,
            scribe: false,
            gone: false,
        }
    }

    /// One that repeats what was said, a few characters at a time.
    #[must_use]
    pub fn scribe(mut self) -> Self {
        self.scribe = true;
        self
    }

    fn asked(&mut self, body: &[u8], checks: &mut Checks) -> Asked {
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
        checks.require(paired(&messages), Invariant::WellServed, || {
            format!("a tool call without its result behind it, or the reverse: {value}")
        });
        let since = messages.iter().rposition(|message| message["role"] == "user").unwrap_or(0);
        let rounds = messages.iter().skip(since).filter(|m| m["tool_calls"].is_array()).count();
        let name = |tool: &Value| tool["function"]["name"].as_str().map(str::to_owned);
        let tools = value["tools"].as_array().into_iter().flatten().filter_map(name).collect();
        Asked { text, tools, rounds }
    }

    /// A call: name and JSON text, or what should be.
    fn call(&mut self, tools: &[String]) -> (String, String) {
        let once = format!("{ONCE}{:016x}", self.rng.next());
        let (name, arguments) = match self.rng.below(7) {
            0 => ("no_such_tool", "{}".to_owned()),
            1 => ("read", "{\"path\": ".to_owned()),
            2 => ("read", json!({"path": once}).to_string()),
            3 => ("ls", "{}".to_owned()),
            4 => ("session_status", String::new()),
            _ => ("write", json!({"path": once, "content": "x"}).to_string()),
        };
        let known = name == "no_such_tool" || tools.iter().any(|tool| tool == name);
        (if known { name } else { "session_status" }.to_owned(), arguments)
    }

    /// The events that ask for tools, each call in two pieces.
    fn ask_tools(&mut self, tools: &[String], pieces: &mut Vec<Value>) {
        let calls = self.rng.size(1, 3);
        for index in 0..calls {
            let (name, arguments) = self.call(tools);
            let mut first = json!({
                "index": index, "type": "function",
                "function": {"name": name, "arguments": ""},
            });
            // Some give none, or the same again and again.
            match self.rng.below(10) {
                0 => {}
                1 => first["id"] = json!("call_0"),
                _ => first["id"] = json!(format!("call-{:016x}", self.rng.next())),
            }
            let rest = json!({"index": index, "function": {"arguments": arguments}});
            for part in [first, rest] {
                let delta = json!({"tool_calls": [part]});
                pieces.push(json!({"id": "r1", "choices": [{"index": 0, "delta": delta}]}));
            }
        }
    }

    /// The events of the whole answer.
    fn compose(&mut self, asked: &Asked) {
        let tools = !asked.tools.is_empty() && asked.rounds < 3 && self.rng.percent(self.tools);
        let mut said = Vec::new();
        let words = if tools { self.rng.size(0, 2) } else { self.rng.size(2, 7) };
        for n in 0..words {
            // Characters of several bytes, so that cuts fall inside them.
            let filler: String = "käse € 𝄞 ".chars().cycle().take(self.size).collect();
            let word =
                if n == 0 { format!("re: {}", asked.text) } else { format!(" {n}:{filler}") };
            let delta = json!({"content": word});
            said.push(json!({"id": "r1", "choices": [{"index": 0, "delta": delta}]}));
        }
        if self.scribe {
            said.clear();
            let answer = if tools { "I look." } else { &asked.text };
            let characters: Vec<char> = answer.chars().collect();
            let step = self.rng.size(5, 40);
            for part in characters.chunks(step) {
                let delta = json!({"content": part.iter().collect::<String>()});
                said.push(json!({"id": "r1", "choices": [{"index": 0, "delta": delta}]}));
            }
        }
        if tools {
            self.ask_tools(&asked.tools, &mut said);
        }
        let reason = if tools { "tool_calls" } else { "stop" };
        said.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}));
        let usage = json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7});
        said.push(json!({"choices": [], "usage": usage}));
        let mut data: Vec<String> = said.iter().map(Value::to_string).collect();
        if self.way != Way::NoDone {
            data.push("[DONE]".to_owned());
        }
        self.pieces = data.iter().map(|data| event(data)).collect();
    }

    fn refuse(&mut self, status: &str, extra: &str, io: &mut Io) {
        let body: &[u8] = match self.way {
            Way::TooLong => b"{\"error\":{\"code\":\"context_length_exceeded\"}}",
            _ => b"{\"error\":{\"message\":\"simulated\"}}",
        };
        let head = format!("HTTP/1.1 {status}\r\n{extra}Content-Length: {}\r\n\r\n", body.len());
        io.send.extend_from_slice(head.as_bytes());
        io.send.extend_from_slice(body);
        io.end = self.rng.percent(50);
    }

    fn answer(&mut self, now: Time, io: &mut Io) {
        match self.way {
            Way::Silent => {}
            Way::TooLong => self.refuse("400 Bad Request", "", io),
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

fn event(data: &str) -> Vec<u8> {
    let mut event = Vec::new();
    sse::data(&mut event, data.as_bytes());
    event
}

/// Whether each call has its result right behind its turn, and each result its call: providers
/// refuse anything else.
fn paired(messages: &[Value]) -> bool {
    let mut open: Vec<&str> = Vec::new();
    for message in messages {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let Some(at) = open.iter().position(|call| *call == id) else { return false };
            open.swap_remove(at);
            continue;
        }
        if !open.is_empty() {
            return false;
        }
        let calls = message["tool_calls"].as_array();
        open.extend(calls.into_iter().flatten().filter_map(|call| call["id"].as_str()));
    }
    open.is_empty()
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
                            let asked = self.asked(&body, checks);
                            self.compose(&asked);
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
