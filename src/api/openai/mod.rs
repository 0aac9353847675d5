//! The OpenAI-compatible surface. Models are agents: `openclaw`, `openclaw/default`,
//! `openclaw/<agentId>`.

pub mod chat;
mod chat_writer;
pub mod embeddings;
pub mod media;
pub mod request;
pub mod responses;
mod responses_writer;

use super::{Reply, error};
use crate::agent::call::{CallError, Class};
use crate::agent::run::{Outcome, RunEvent};
use crate::agent::turn::Turn;
use crate::agent::{ToolCall, Usage};
use crate::config::Config;
use crate::protocol::frame::write_json;
use request::{OfDoor, Request, Required};

/// `invalid_request_error` with a status.
pub fn invalid(status: u16, message: &str) -> Reply {
    error(status, "invalid_request_error", message)
}

/// The agent a `model` names: `None` when it names none, the id otherwise (not checked to exist).
/// `openclaw:<id>` and `agent:<id>` are older ways to write `openclaw/<id>`.
pub fn agent_of_model<'a>(model: &'a str, config: &'a Config) -> Option<&'a str> {
    let named = |rest: &'a str| Some(rest).filter(|id| !id.is_empty());
    match model.strip_prefix("openclaw") {
        Some("" | "/default") => Some(config.agents.default_agent()),
        Some(rest) => rest.strip_prefix(['/', ':']).and_then(named),
        None => model.strip_prefix("agent:").and_then(named),
    }
}

/// Tells the model which channel a request says that it came through.
fn channel_turn(channel: &str) -> Turn {
    Turn::System(format!("This message came in through the channel \"{channel}\"."))
}

/// What a run has said when an event of it is told.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The answer so far.
    pub text: &'a str,
    /// Calls of the client's tools.
    pub calls: &'a [ToolCall],
    /// Tokens.
    pub usage: Usage,
}

/// What an event added to the answer.
#[derive(Debug, PartialEq)]
pub enum Wrote {
    /// Nothing, or more of the stream.
    More,
    /// The end of the stream; the response is complete.
    End,
    /// A whole answer.
    Reply(Box<Reply>),
}

/// Writes the answer of one request from the events of its run.
///
/// What the model says before it uses the gateway's tools is part of the answer: texts of one
/// run's turns are joined by a blank line.
#[derive(Debug)]
pub struct Writer {
    door: Door,
    /// Text of the turns that are over.
    earlier: String,
    /// A blank line goes before the next text.
    gap: bool,
}

#[derive(Debug)]
enum Door {
    Chat(chat_writer::Writer),
    Responses(Box<responses_writer::Writer>),
}

const GAP: &str = "\n\n";

impl Writer {
    /// For a request; `uuid` and `item` make its ids, `now_ms` its creation time.
    pub fn new(request: &Request, uuid: &str, item: &str, now_ms: u64) -> Self {
        let door = match &request.door {
            OfDoor::Chat { include_usage } => {
                Door::Chat(chat_writer::Writer::new(request, *include_usage, uuid, now_ms))
            }
            OfDoor::Responses { metadata, .. } => Door::Responses(Box::new(
                responses_writer::Writer::new(request, metadata.clone(), uuid, item, now_ms),
            )),
        };
        Self { door, earlier: String::new(), gap: false }
    }

    /// Whether the answer is a stream.
    pub fn is_stream(&self) -> bool {
        match &self.door {
            Door::Chat(writer) => writer.is_stream(),
            Door::Responses(writer) => writer.is_stream(),
        }
    }

    /// What a stream begins with, at once, so that the client sees life.
    pub fn opening(&self, out: &mut Vec<u8>) {
        match &self.door {
            Door::Chat(writer) => writer.opening(out),
            Door::Responses(writer) => writer.opening(out),
        }
    }

    /// Takes an event of the run; `view.text` is that of the model's turn.
    pub fn event(&mut self, event: &RunEvent, view: View<'_>, out: &mut Vec<u8>) -> Wrote {
        if self.earlier.is_empty() && !matches!(event, RunEvent::Turn) {
            return self.told(event, view, out);
        }
        let joined = |earlier: &str| match (earlier, view.text) {
            ("", text) => text.to_owned(),
            (earlier, "") => earlier.to_owned(),
            (earlier, text) => format!("{earlier}{GAP}{text}"),
        };
        match event {
            RunEvent::Turn => {
                self.earlier = joined(&self.earlier);
                self.gap = !self.earlier.is_empty();
                Wrote::More
            }
            RunEvent::Text(piece) => {
                let gap = if std::mem::take(&mut self.gap) { GAP } else { "" };
                let text = joined(&self.earlier);
                let event = RunEvent::Text(format!("{gap}{piece}"));
                self.told(&event, View { text: &text, ..view }, out)
            }
            event => {
                let text = joined(&self.earlier);
                self.told(event, View { text: &text, ..view }, out)
            }
        }
    }

    fn told(&mut self, event: &RunEvent, view: View<'_>, out: &mut Vec<u8>) -> Wrote {
        match &mut self.door {
            Door::Chat(writer) => writer.event(event, view, out),
            Door::Responses(writer) => writer.event(event, view, out),
        }
    }
}

/// Why there is no answer.
struct Failure {
    status: u16,
    message: String,
    retry_after_ms: Option<u64>,
    cancelled: bool,
}

impl Failure {
    fn new(status: u16, message: String) -> Self {
        Self { status, message, retry_after_ms: None, cancelled: false }
    }

    /// `{error: {message, type: "api_error"}}`.
    fn reply(&self) -> Reply {
        self.with_retry(error(self.status, "api_error", &self.message))
    }

    fn with_retry(&self, reply: Reply) -> Reply {
        match self.retry_after_ms {
            Some(ms) if self.status == 429 => {
                reply.with("Retry-After", ms.div_ceil(1000).to_string())
            }
            _ => reply,
        }
    }
}

/// What an outcome is for the client, unless it is an answer.
fn failure(outcome: &Outcome, required: Option<&Required>, calls: &[ToolCall]) -> Option<Failure> {
    match outcome {
        Outcome::Done(_) => {
            let met = |required: &Required| match required {
                Required::Any => !calls.is_empty(),
                Required::Named(name) => calls.iter().any(|call| call.name == *name),
            };
            let unmet = required.filter(|required| !met(required))?;
            Some(Failure::new(502, unmet.unmet()))
        }
        Outcome::Failed(failed) => Some(upstream_failure(failed)),
        Outcome::TimedOut(what) => Some(Failure::new(504, format!("{what} passed"))),
        Outcome::Aborted(_) => {
            let message = "the run was cancelled".to_owned();
            Some(Failure { cancelled: true, ..Failure::new(499, message) })
        }
    }
}

fn upstream_failure(failed: &CallError) -> Failure {
    let status = match (failed.class, failed.status) {
        (Class::Transient, Some(429)) => 429,
        // Not one word of it is about this request.
        (Class::Transient, _) | (_, None) => 502,
        _ => 400,
    };
    let message = format!("the model provider failed: {}", failed.message);
    Failure { retry_after_ms: failed.retry_after_ms, ..Failure::new(status, message) }
}

/// One model. Written without a tree: clients ask for the list before every request.
fn write_model(out: &mut Vec<u8>, id: &str) {
    out.extend_from_slice(br#"{"id":"#);
    write_json(out, id);
    out.extend_from_slice(
        br#","object":"model","created":0,"owned_by":"openclaw","permission":[]}"#,
    );
}

/// `GET /v1/models`.
pub fn models(config: &Config) -> Reply {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(br#"{"object":"list","data":["#);
    write_model(&mut out, "openclaw");
    out.push(b',');
    write_model(&mut out, "openclaw/default");
    for id in config.agents.agent_ids() {
        out.push(b',');
        write_model(&mut out, &format!("openclaw/{id}"));
    }
    out.extend_from_slice(b"]}");
    Reply::raw(200, out)
}

/// `GET /v1/models/{id}`.
pub fn model(id: &str, config: &Config) -> Reply {
    match agent_of_model(id, config) {
        None => invalid(400, "Invalid model id."),
        Some(agent) if config.agents.has(agent) => {
            let mut out = Vec::with_capacity(128);
            write_model(&mut out, id);
            Reply::raw(200, out)
        }
        Some(_) => invalid(404, &format!("Model '{id}' not found.")),
    }
}

/// A disabled endpoint: says which key turned it off.
pub fn disabled(key: &str) -> Reply {
    invalid(404, &format!("this endpoint is disabled; set {key}=true in openclaw.json"))
}
