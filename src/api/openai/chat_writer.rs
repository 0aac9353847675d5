//! The answer of `POST /v1/chat/completions`, whole or as a stream of chunks.

use super::request::{Request, Required};
use super::{View, Wrote, failure};
use crate::agent::run::{Outcome, RunEvent};
use crate::agent::{StopReason, ToolCall, Usage};
use crate::api::Reply;
use crate::protocol::frame::write_json;
use crate::wire::sse;
use serde_json::{Value, json};

/// Writes the answer of one request from the events of its run.
#[derive(Debug)]
pub struct Writer {
    id: String,
    created: u64,
    model: String,
    stream: bool,
    include_usage: bool,
    required: Option<Required>,
    /// Bytes of the answer's text that the stream has.
    told: usize,
    /// Calls in the order the stream told them, by the run's index.
    seen: Vec<usize>,
}

/// Said behind an answer that the model's limit cut short; a stream says it by its
/// `finish_reason` alone.
pub(super) const CUT: &str =
    "\n\n⚠️ The answer was cut off at the model's output token limit; ask it to go on.";

impl Writer {
    /// For a request; `uuid` makes the id, `now_ms` the creation time.
    pub fn new(request: &Request, include_usage: bool, uuid: &str, now_ms: u64) -> Self {
        Self {
            id: format!("chatcmpl_{uuid}"),
            created: now_ms / 1000,
            model: request.model.clone(),
            stream: request.stream,
            include_usage,
            required: request.tool_required.clone(),
            told: 0,
            seen: Vec::new(),
        }
    }

    /// Whether the answer is a stream.
    pub fn is_stream(&self) -> bool {
        self.stream
    }

    /// The first chunk of a stream: the role, at once, so that the client sees life.
    pub fn opening(&self, out: &mut Vec<u8>) {
        self.chunk(out, &json!({"role": "assistant"}), None);
    }

    /// Takes an event of the run.
    pub fn event(&mut self, event: &RunEvent, view: View<'_>, out: &mut Vec<u8>) -> Wrote {
        match event {
            // Prose is held back until the call that the client wants is there.
            RunEvent::Text(_) if self.stream && self.required.is_some() => {
                if !self.seen.is_empty() {
                    self.rest(view.text, out);
                }
                Wrote::More
            }
            RunEvent::Text(piece) if self.stream => {
                self.told += piece.len();
                self.text_chunk(out, piece);
                Wrote::More
            }
            RunEvent::ToolCall { index, id, name, arguments } if self.stream => {
                if self.required.is_some() {
                    self.rest(view.text, out);
                }
                let place = self.seen.iter().position(|seen| seen == index);
                let index = place.unwrap_or_else(|| {
                    self.seen.push(*index);
                    self.seen.len() - 1
                });
                let mut call = json!({"index": index, "function": {"arguments": arguments}});
                if let Some(id) = id {
                    call["id"] = json!(id);
                    call["type"] = json!("function");
                }
                if let Some(name) = name {
                    call["function"]["name"] = json!(name);
                }
                self.chunk(out, &json!({"tool_calls": [call]}), None);
                Wrote::More
            }
            RunEvent::Over(outcome) => self.end(outcome, view, out),
            _ => Wrote::More,
        }
    }

    /// Text that was held back.
    fn rest(&mut self, text: &str, out: &mut Vec<u8>) {
        let rest = text.get(self.told..).unwrap_or_default();
        if !rest.is_empty() {
            self.text_chunk(out, rest);
        }
        self.told = text.len();
    }

    fn end(&mut self, outcome: &Outcome, view: View<'_>, out: &mut Vec<u8>) -> Wrote {
        if let Some(failure) = failure(outcome, self.required.as_ref(), view.calls) {
            let reply = failure.reply();
            if !self.stream {
                return Wrote::Reply(Box::new(reply));
            }
            sse::data(out, &reply.body);
            sse::data(out, b"[DONE]");
            return Wrote::End;
        }
        let Outcome::Done(stop) = outcome else { return Wrote::End };
        let finish = finish_reason(*stop, view.calls);
        if self.stream {
            if self.required.is_some() {
                self.rest(view.text, out);
            }
            self.chunk(out, &json!({}), Some(finish));
            if self.include_usage {
                let mut chunk = Vec::with_capacity(256);
                self.chunk_head(&mut chunk);
                chunk.extend_from_slice(br#""choices":[],"usage":"#);
                write_usage(&mut chunk, view.usage);
                chunk.push(b'}');
                sse::data(out, &chunk);
            }
            sse::data(out, b"[DONE]");
            return Wrote::End;
        }
        let mut text = std::borrow::Cow::Borrowed(view.text);
        if *stop == StopReason::Length {
            text.to_mut().push_str(CUT);
        }
        Wrote::Reply(Box::new(Reply::raw(200, self.whole(&text, view.calls, finish, view.usage))))
    }

    /// `chat.completion`. Written piece by piece: the order of members is OpenAI's, which some
    /// clients compare as text.
    fn whole(&self, text: &str, calls: &[ToolCall], finish: &str, usage: Usage) -> Vec<u8> {
        let mut out = Vec::with_capacity(512 + text.len());
        out.extend_from_slice(br#"{"id":"#);
        write_json(&mut out, &self.id);
        out.extend_from_slice(br#","object":"chat.completion","created":"#);
        write_json(&mut out, &self.created);
        out.extend_from_slice(br#","model":"#);
        write_json(&mut out, &self.model);
        out.extend_from_slice(
            br#","choices":[{"index":0,"message":{"role":"assistant","content":"#,
        );
        write_json(&mut out, text);
        if !calls.is_empty() {
            let calls: Vec<Value> = calls
                .iter()
                .map(|call| {
                    json!({"id": call.id, "type": "function",
                           "function": {"name": call.name, "arguments": call.arguments}})
                })
                .collect();
            out.extend_from_slice(br#","tool_calls":"#);
            write_json(&mut out, &calls);
        }
        out.extend_from_slice(br#"},"finish_reason":"#);
        write_json(&mut out, finish);
        out.extend_from_slice(br#"}],"usage":"#);
        write_usage(&mut out, usage);
        out.push(b'}');
        out
    }

    fn chunk(&self, out: &mut Vec<u8>, delta: &Value, finish: Option<&str>) {
        let mut text = Vec::with_capacity(256);
        self.choice_head(&mut text);
        write_json(&mut text, delta);
        text.extend_from_slice(br#","finish_reason":"#);
        write_json(&mut text, &finish);
        text.extend_from_slice(b"}]}");
        sse::data(out, &text);
    }

    /// The hot path: one content chunk, without a tree in between.
    fn text_chunk(&self, out: &mut Vec<u8>, piece: &str) {
        let mut text = Vec::with_capacity(192 + piece.len());
        self.choice_head(&mut text);
        text.extend_from_slice(br#"{"content":"#);
        write_json(&mut text, piece);
        text.extend_from_slice(br#"},"finish_reason":null}]}"#);
        sse::data(out, &text);
    }

    fn chunk_head(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(br#"{"id":"#);
        write_json(text, &self.id);
        text.extend_from_slice(br#","object":"chat.completion.chunk","created":"#);
        write_json(text, &self.created);
        text.extend_from_slice(br#","model":"#);
        write_json(text, &self.model);
        text.extend_from_slice(br#","#);
    }

    /// The one choice up to its delta.
    fn choice_head(&self, text: &mut Vec<u8>) {
        self.chunk_head(text);
        text.extend_from_slice(br#""choices":[{"index":0,"delta":"#);
    }
}

fn finish_reason(stop: StopReason, calls: &[ToolCall]) -> &'static str {
    match stop {
        StopReason::Length => "length",
        StopReason::ContentFilter => "content_filter",
        StopReason::ToolUse => "tool_calls",
        StopReason::Stop if !calls.is_empty() => "tool_calls",
        StopReason::Stop => "stop",
    }
}

/// `{prompt_tokens, completion_tokens, total_tokens}`.
fn write_usage(out: &mut Vec<u8>, usage: Usage) {
    out.extend_from_slice(br#"{"prompt_tokens":"#);
    write_json(out, &usage.input);
    out.extend_from_slice(br#","completion_tokens":"#);
    write_json(out, &usage.output);
    out.extend_from_slice(br#","total_tokens":"#);
    write_json(out, &usage.total);
    out.push(b'}');
}
