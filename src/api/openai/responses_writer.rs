//! The answer of `POST /v1/responses`, whole or as the recorded sequence of events
//! (FACTS.md section 8.4): names and order of members are those of the trace.
//!
//! ```text
//!   created, in_progress, output_item.added, content_part.added       at once
//!   output_text.delta*                                                as the model speaks
//!   output_text.done, content_part.done, output_item.done             the message is complete
//!   (output_item.added, output_item.done)*                            one pair a function call
//!   completed | incomplete | failed, then [DONE]
//! ```

use super::request::{Request, Required};
use super::{View, Wrote, failure};
use crate::agent::run::{Outcome, RunEvent};
use crate::agent::{StopReason, ToolCall, Usage};
use crate::api::Reply;
use crate::protocol::frame::write_json;
use crate::wire::sse;
use serde::Serialize;
use serde_json::Value;

/// Writes the answer of one request from the events of its run.
#[derive(Debug)]
pub struct Writer {
    id: String,
    item: String,
    created: u64,
    model: String,
    stream: bool,
    required: Option<Required>,
    metadata: Option<Value>,
    /// Bytes of the answer's text that the stream has.
    told: usize,
    /// A call was seen: text is not held back any longer.
    called: bool,
}

#[derive(Serialize)]
struct Response<'a> {
    id: &'a str,
    object: &'static str,
    created_at: u64,
    status: &'static str,
    model: &'a str,
    output: Vec<Item<'a>>,
    usage: Tokens,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete_details: Option<Details>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Value>,
}

#[derive(Serialize)]
struct Fault<'a> {
    code: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct Details {
    reason: &'static str,
}

#[derive(Serialize)]
struct Tokens {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl Tokens {
    fn of(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input,
            input_tokens_details: InputDetails {
                cached_tokens: usage.cache_read,
                cache_write_tokens: usage.cache_write,
            },
            output_tokens: usage.output,
            output_tokens_details: OutputDetails { reasoning_tokens: 0 },
            total_tokens: usage.total,
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    Message {
        id: &'a str,
        role: &'static str,
        content: Vec<Content<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        phase: Option<&'static str>,
        status: &'static str,
    },
    FunctionCall {
        id: String,
        call_id: &'a str,
        name: &'a str,
        arguments: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'static str>,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Content<'a> {
    OutputText { text: &'a str },
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
struct OfItem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    output_index: usize,
    item: Item<'a>,
}

/// One of the events about the text: `part`, `delta` or `text`.
#[derive(Serialize)]
struct OfText<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    item_id: &'a str,
    output_index: usize,
    content_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<Content<'a>>,
}

fn put(out: &mut Vec<u8>, name: &str, event: &impl Serialize) {
    let mut text = Vec::with_capacity(512);
    write_json(&mut text, event);
    sse::event(out, name, &text);
}

impl Writer {
    /// For a request; `uuid` and `item` make the ids, `now_ms` the creation time.
    pub fn new(
        request: &Request,
        metadata: Option<Value>,
        uuid: &str,
        item: &str,
        now_ms: u64,
    ) -> Self {
        Self {
            id: format!("resp_{uuid}"),
            item: format!("msg_{item}"),
            created: now_ms / 1000,
            model: request.model.clone(),
            stream: request.stream,
            required: request.tool_required.clone(),
            metadata,
            told: 0,
            called: false,
        }
    }

    /// Whether the answer is a stream.
    pub fn is_stream(&self) -> bool {
        self.stream
    }

    /// The first four events.
    pub fn opening(&self, out: &mut Vec<u8>) {
        for kind in ["response.created", "response.in_progress"] {
            let response = self.response("in_progress", Vec::new(), Usage::default());
            put(out, kind, &Whole { kind, response });
        }
        let kind = "response.output_item.added";
        let item = self.message(None, None, "in_progress");
        put(out, kind, &OfItem { kind, output_index: 0, item });
        let part = Content::OutputText { text: "" };
        self.text_event(out, "response.content_part.added", None, None, Some(part));
    }

    /// Takes an event of the run.
    pub fn event(&mut self, event: &RunEvent, view: View<'_>, out: &mut Vec<u8>) -> Wrote {
        match event {
            // Prose is held back until the call that the client wants is there.
            RunEvent::Text(_) if self.stream && self.required.is_some() && !self.called => {
                Wrote::More
            }
            RunEvent::Text(_) if self.stream && self.required.is_some() => {
                self.rest(view.text, out);
                Wrote::More
            }
            RunEvent::Text(piece) if self.stream => {
                self.told += piece.len();
                self.text_event(out, "response.output_text.delta", Some(piece), None, None);
                Wrote::More
            }
            RunEvent::ToolCall { .. } if self.stream => {
                self.called = true;
                self.rest(view.text, out);
                Wrote::More
            }
            RunEvent::Over(outcome) => self.end(outcome, view, out),
            _ => Wrote::More,
        }
    }

    /// Text that the stream has not told.
    fn rest(&mut self, text: &str, out: &mut Vec<u8>) {
        let delta = text.get(self.told..).unwrap_or_default();
        self.told = text.len();
        if !delta.is_empty() {
            self.text_event(out, "response.output_text.delta", Some(delta), None, None);
        }
    }

    fn end(&mut self, outcome: &Outcome, view: View<'_>, out: &mut Vec<u8>) -> Wrote {
        if let Some(failure) = failure(outcome, self.required.as_ref(), view.calls) {
            return self.fail(&failure, view.usage, out);
        }
        let cut = matches!(outcome, Outcome::Done(StopReason::Length));
        let status = if cut { "incomplete" } else { "completed" };
        let phase = if view.calls.is_empty() { "final_answer" } else { "commentary" };
        if !self.stream {
            let mut text = std::borrow::Cow::Borrowed(view.text);
            if cut {
                text.to_mut().push_str(super::chat_writer::CUT);
            }
            let mut output = Vec::new();
            if !text.is_empty() || view.calls.is_empty() {
                output.push(self.message(Some(&text), Some(phase), status));
            }
            output.extend(self.calls(view.calls, None));
            let response = self.ended(status, output, view.usage);
            return Wrote::Reply(Box::new(reply(200, &response)));
        }
        self.rest(view.text, out);
        self.text_event(out, "response.output_text.done", None, Some(view.text), None);
        let part = Content::OutputText { text: view.text };
        self.text_event(out, "response.content_part.done", None, None, Some(part));
        let message = || self.message(Some(view.text), Some(phase), status);
        let kind = "response.output_item.done";
        put(out, kind, &OfItem { kind, output_index: 0, item: message() });
        let before = self.calls(view.calls, None).zip(self.calls(view.calls, Some("completed")));
        for (at, (added, done)) in before.enumerate() {
            let kind = "response.output_item.added";
            put(out, kind, &OfItem { kind, output_index: at + 1, item: added });
            let kind = "response.output_item.done";
            put(out, kind, &OfItem { kind, output_index: at + 1, item: done });
        }
        let mut output = vec![message()];
        output.extend(self.calls(view.calls, Some("completed")));
        let response = self.ended(status, output, view.usage);
        let kind = if cut { "response.incomplete" } else { "response.completed" };
        put(out, kind, &Whole { kind, response });
        sse::data(out, b"[DONE]");
        Wrote::End
    }

    /// `status: "failed"`, or `"cancelled"` when somebody ended the run.
    fn fail(&self, failure: &super::Failure, usage: Usage, out: &mut Vec<u8>) -> Wrote {
        let status = if failure.cancelled { "cancelled" } else { "failed" };
        let mut response = self.response(status, Vec::new(), usage);
        let code = if failure.cancelled { "cancelled" } else { "api_error" };
        response.error = Some(Fault { code, message: &failure.message });
        if !self.stream {
            // Without an answer to look at, an unmet choice is an error like any other.
            let unmet = failure.status == 502 && self.required.is_some();
            let reply = if unmet { failure.reply() } else { reply(failure.status, &response) };
            return Wrote::Reply(Box::new(failure.with_retry(reply)));
        }
        let kind = "response.failed";
        put(out, kind, &Whole { kind, response });
        sse::data(out, b"[DONE]");
        Wrote::End
    }

    fn response<'a>(
        &'a self,
        status: &'static str,
        output: Vec<Item<'a>>,
        usage: Usage,
    ) -> Response<'a> {
        Response {
            id: &self.id,
            object: "response",
            created_at: self.created,
            status,
            model: &self.model,
            output,
            usage: Tokens::of(usage),
            error: None,
            incomplete_details: None,
            metadata: self.metadata.as_ref(),
        }
    }

    fn ended<'a>(
        &'a self,
        status: &'static str,
        output: Vec<Item<'a>>,
        usage: Usage,
    ) -> Response<'a> {
        let mut response = self.response(status, output, usage);
        if status == "incomplete" {
            response.incomplete_details = Some(Details { reason: "max_output_tokens" });
        }
        response
    }

    fn message<'a>(
        &'a self,
        text: Option<&'a str>,
        phase: Option<&'static str>,
        status: &'static str,
    ) -> Item<'a> {
        let content = text.map(|text| Content::OutputText { text }).into_iter().collect();
        Item::Message { id: &self.item, role: "assistant", content, phase, status }
    }

    fn calls<'a>(
        &'a self,
        calls: &'a [ToolCall],
        status: Option<&'static str>,
    ) -> impl Iterator<Item = Item<'a>> {
        calls.iter().enumerate().map(move |(at, call)| Item::FunctionCall {
            id: format!("call_{}_{at}", self.id.trim_start_matches("resp_")),
            call_id: &call.id,
            name: &call.name,
            arguments: &call.arguments,
            status,
        })
    }

    fn text_event(
        &self,
        out: &mut Vec<u8>,
        kind: &'static str,
        delta: Option<&str>,
        text: Option<&str>,
        part: Option<Content<'_>>,
    ) {
        let (item_id, output_index, content_index) = (self.item.as_str(), 0, 0);
        let event = OfText { kind, item_id, output_index, content_index, delta, text, part };
        put(out, kind, &event);
    }
}

fn reply(status: u16, response: &Response<'_>) -> Reply {
    let mut body = Vec::with_capacity(512);
    write_json(&mut body, response);
    Reply::raw(status, body)
}
