//! The `openai-responses` dialect: `POST <base>/responses` with `stream: true` and
//! `store: false`. <https://platform.openai.com/docs/api-reference/responses-streaming>
//!
//! Nothing is kept at the provider, so a reasoning item travels back whole, encrypted content
//! and all, in front of what followed it.

use super::json::Json;
use super::schema::{self, Choice};
use super::{Delta, Spec, Step, StreamError, Whole, errors, spec};
use crate::agent::turn::{Part, Thought, Turn};
use crate::agent::{Ask, StopReason, Thinking, Usage};
use crate::limits;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// The members of the request body.
pub(super) fn body(w: &mut Json<'_>, spec: &Spec, ask: &Ask) {
    let compat = &spec.compat;
    w.field("model", &spec.model);
    let instructions = compat.instructions.unwrap_or(spec.native);
    if instructions {
        let mut systems = ask.turns.iter().filter_map(system).peekable();
        if systems.peek().is_some() {
            w.key("instructions").texts(separated(systems));
        }
    }
    w.key("input").array(|w| {
        for turn in &ask.turns {
            if !(instructions && system(turn).is_some()) {
                items(w, spec, turn);
            }
        }
    });
    w.plain("stream", true);
    w.plain("store", false);
    if compat.tools.unwrap_or(true) && ask.all_tools().next().is_some() {
        tools(w, spec, ask);
    }
    let sampling = &ask.sampling;
    if let Some(n) = sampling.max_tokens {
        // The provider refuses less.
        w.plain("max_output_tokens", n.max(16));
    }
    let temperature = sampling.temperature.filter(|_| compat.temperature.unwrap_or(true));
    for (name, value) in [("temperature", temperature), ("top_p", sampling.top_p)] {
        if let Some(value) = value {
            w.plain(name, value);
        }
    }
    if spec.reasoning {
        if let Some(effort) = ask.thinking.and_then(|level| spec::effort(compat, level)) {
            let effort = if effort == "none" {
                json!({"effort": effort})
            } else {
                json!({"effort": effort, "summary": "auto"})
            };
            w.key("reasoning").value(&effort);
        }
        if ask.thinking != Some(Thinking::Off) {
            w.key("include").value(&json!(["reasoning.encrypted_content"]));
        }
    }
}

fn system(turn: &Turn) -> Option<&str> {
    match turn {
        Turn::System(text) => Some(text),
        _ => None,
    }
}

/// The texts with a blank line between them.
pub(super) fn separated<'a>(texts: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    texts.enumerate().flat_map(|(at, text)| [if at == 0 { "" } else { "\n\n" }, text])
}

fn items(w: &mut Json<'_>, spec: &Spec, turn: &Turn) {
    match turn {
        Turn::System(text) => w.object(|w| {
            let developer = spec.reasoning && spec.compat.developer_role.unwrap_or(spec.native);
            w.field("role", if developer { "developer" } else { "system" });
            w.field("content", text);
        }),
        Turn::User(parts) => w.object(|w| {
            w.field("role", "user");
            w.key("content").array(|w| parts.iter().for_each(|part| input(w, part)));
        }),
        Turn::Assistant(parts) => parts.iter().for_each(|part| output(w, spec, part)),
        Turn::ToolResult { call_id, parts, .. } => w.object(|w| {
            w.field("type", "function_call_output");
            w.field("call_id", call_id);
            if parts.iter().any(|part| matches!(part, Part::Image { .. })) {
                w.key("output").array(|w| parts.iter().for_each(|part| input(w, part)));
            } else {
                w.key("output").texts(parts.iter().filter_map(Part::text));
            }
        }),
    }
}

fn input(w: &mut Json<'_>, part: &Part) {
    match part {
        Part::Text(text) => w.object(|w| {
            w.field("type", "input_text");
            w.field("text", text);
        }),
        Part::Image { mime, data } => w.object(|w| {
            w.field("type", "input_image");
            w.field("detail", "auto");
            w.key("image_url").texts(["data:", mime, ";base64,", data]);
        }),
        Part::ToolCall { .. } | Part::Thinking(_) => {}
    }
}

fn output(w: &mut Json<'_>, spec: &Spec, part: &Part) {
    match part {
        Part::Text(text) if !text.is_empty() => w.object(|w| {
            w.field("type", "message");
            w.field("role", "assistant");
            w.field("status", "completed");
            w.key("content").array(|w| {
                w.object(|w| {
                    w.field("type", "output_text");
                    w.field("text", text);
                    w.key("annotations").array(|_| {});
                });
            });
        }),
        Part::Thinking(thought) if spec.made(thought) => {
            // It came from a transcript: it may be anything.
            let item = thought.signature.as_deref().unwrap_or_default();
            if serde_json::from_str::<Value>(item).is_ok_and(|item| item["type"] == "reasoning") {
                w.raw(item);
            }
        }
        Part::ToolCall { id, name, arguments } => w.object(|w| {
            w.field("type", "function_call");
            w.field("call_id", id);
            w.field("name", name);
            w.field("arguments", arguments);
        }),
        Part::Text(_) | Part::Image { .. } | Part::Thinking(_) => {}
    }
}

fn tools(w: &mut Json<'_>, spec: &Spec, ask: &Ask) {
    w.key("tools").array(|w| {
        for tool in ask.all_tools() {
            let clean = schema::cleaned(tool, &spec.compat.unsupported_schema_keywords);
            let Some(function) = schema::function(clean.as_ref().unwrap_or(tool)) else {
                continue;
            };
            w.object(|w| {
                w.field("type", "function");
                w.field("name", function.name);
                if let Some(description) = function.description {
                    w.field("description", description);
                }
                let none = json!({"type": "object", "properties": {}});
                w.key("parameters").value(function.parameters.unwrap_or(&none));
                // Absent means true here, and then every property would be required.
                w.plain("strict", function.strict.unwrap_or(false));
            });
        }
    });
    w.key("tool_choice");
    match schema::choice(ask.tool_choice.as_ref()) {
        Choice::Auto => w.text("auto"),
        Choice::None => w.text("none"),
        Choice::Any => w.text("required"),
        Choice::Named(name) => w.value(&json!({"type": "function", "name": name})),
    }
}

/// One member of a stream, by its `type`; members of other types are not read.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    delta: Option<Cow<'a, str>>,
    #[serde(default)]
    output_index: u64,
    #[serde(default)]
    item: Option<Value>,
    #[serde(default)]
    response: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    code: Option<Value>,
    #[serde(borrow, default)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Option<Cow<'a, str>>,
}

/// The reading side of one answer.
#[derive(Debug, Default)]
pub struct Reader {
    /// Calls so far: their place in the output, and whether arguments were told. At most
    /// [`limits::TOOL_CALLS`].
    calls: Vec<(u64, bool)>,
    /// A summary part has begun: the next one is set apart.
    summary: bool,
    refused: bool,
}

impl Reader {
    /// Reads the data of one event.
    ///
    /// # Errors
    /// The provider's own report, or that the data is no event.
    pub fn event(&mut self, data: &str, tell: &mut dyn FnMut(Delta)) -> Result<Step, StreamError> {
        if data.trim() == "[DONE]" {
            return Ok(Step::End);
        }
        let event: Event<'_> = serde_json::from_str(data)
            .map_err(|error| StreamError::garbled("response event", &error))?;
        let text = || event.delta.as_deref().unwrap_or_default().to_owned();
        let has_text = event.delta.as_deref().is_some_and(|text| !text.is_empty());
        match event.kind.as_ref() {
            "response.output_text.delta" | "response.refusal.delta" if has_text => {
                self.refused |= event.kind == "response.refusal.delta";
                tell(Delta::Text(text()));
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta"
                if has_text =>
            {
                self.summary = true;
                tell(Delta::Reasoning(text()));
            }
            "response.reasoning_summary_part.added" if self.summary => {
                tell(Delta::Reasoning("\n\n".to_owned()));
            }
            "response.function_call_arguments.delta" if has_text => {
                self.arguments(event.output_index, text(), tell);
            }
            "response.function_call_arguments.done" => {
                let whole = event.arguments.as_deref().unwrap_or_default();
                self.rest(event.output_index, whole, tell);
            }
            "response.output_item.added" => {
                if let Some(item) = &event.item {
                    self.added(event.output_index, item, tell);
                }
            }
            "response.output_item.done" => {
                if let Some(item) = &event.item {
                    self.done(event.output_index, item, tell);
                }
            }
            "response.completed" | "response.incomplete" | "response.done" => {
                self.end(event.response.as_ref().unwrap_or(&Value::Null), tell);
                return Ok(Step::End);
            }
            "response.failed" => {
                let error = event.response.as_ref().and_then(|response| response.get("error"));
                let none = json!({"message": "the provider's answer failed"});
                return Err(StreamError::report(error.filter(|e| e.is_object()).unwrap_or(&none)));
            }
            "error" => {
                let own = json!({"message": event.message, "code": event.code});
                return Err(StreamError::report(event.error.as_ref().unwrap_or(&own)));
            }
            _ => {
                if let Some(error) = event.error.filter(|error| !error.is_null()) {
                    return Err(StreamError::report(&error));
                }
            }
        }
        Ok(Step::More)
    }

    fn added(&mut self, at: u64, item: &Value, tell: &mut dyn FnMut(Delta)) {
        let text = |name: &str| item[name].as_str().filter(|text| !text.is_empty());
        if text("type") == Some("function_call")
            && self.calls.len() < limits::TOOL_CALLS
            && !self.calls.iter().any(|(known, _)| *known == at)
        {
            let index = self.calls.len() as u64;
            let arguments = text("arguments").unwrap_or_default().to_owned();
            self.calls.push((at, !arguments.is_empty()));
            let id = text("call_id").or(text("id")).map(str::to_owned);
            let name = text("name").map(str::to_owned);
            tell(Delta::ToolCall { index, id, name, arguments });
        }
    }

    fn arguments(&mut self, at: u64, arguments: String, tell: &mut dyn FnMut(Delta)) {
        let found = self.calls.iter_mut().enumerate().find(|(_, (known, _))| *known == at);
        if let Some((index, (_, told))) = found {
            *told = true;
            let index = index as u64;
            tell(Delta::ToolCall { index, id: None, name: None, arguments });
        }
    }

    /// All arguments of a call, for those who sent no pieces of them.
    fn rest(&mut self, at: u64, whole: &str, tell: &mut dyn FnMut(Delta)) {
        if !whole.is_empty() && self.calls.contains(&(at, false)) {
            self.arguments(at, whole.to_owned(), tell);
        }
    }

    fn done(&mut self, at: u64, item: &Value, tell: &mut dyn FnMut(Delta)) {
        match item["type"].as_str() {
            Some("function_call") => {
                self.added(at, item, tell);
                self.rest(at, item["arguments"].as_str().unwrap_or_default(), tell);
            }
            Some("reasoning") => tell(Delta::Thought(thought(item))),
            _ => {}
        }
    }

    fn end(&self, response: &Value, tell: &mut dyn FnMut(Delta)) {
        if let Some(id) = response["id"].as_str() {
            tell(Delta::ResponseId(id.to_owned()));
        }
        if response["usage"].is_object() {
            tell(Delta::Usage(usage(&response["usage"])));
        }
        let why = response["incomplete_details"]["reason"].as_str();
        tell(Delta::Finish(match (response["status"].as_str(), why) {
            (_, Some("content_filter")) => StopReason::ContentFilter,
            (Some("incomplete"), _) => StopReason::Length,
            _ if !self.calls.is_empty() => StopReason::ToolUse,
            _ if self.refused => StopReason::ContentFilter,
            _ => StopReason::Stop,
        }));
    }

    /// Reads an answer in one piece, or the error under a good status.
    pub fn whole(&mut self, body: &[u8], tell: &mut dyn FnMut(Delta)) -> Whole {
        let body = errors::without_bom(body);
        if let Some(error) = errors::whole_error(body) {
            return error;
        }
        let response: Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(output) = response["output"].as_array() else { return Whole::Neither };
        for (at, item) in output.iter().enumerate() {
            if let Some(parts) = item["content"].as_array().filter(|_| item["type"] == "message") {
                for part in parts {
                    self.refused |= part["type"] == "refusal";
                    let text = part["text"].as_str().or(part["refusal"].as_str());
                    if let Some(text) = text.filter(|text| !text.is_empty()) {
                        tell(Delta::Text(text.to_owned()));
                    }
                }
            }
            if item["type"] == "reasoning" {
                let thought = thought(item);
                if !thought.text.is_empty() {
                    tell(Delta::Reasoning(thought.text));
                }
            }
            self.done(at as u64, item, tell);
        }
        self.end(&response, tell);
        Whole::Answer
    }
}

/// A reasoning item, to be sent back as it came.
fn thought(item: &Value) -> Thought {
    let parts = |name: &str| item[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let list = if parts("summary").is_empty() { parts("content") } else { parts("summary") };
    let texts: Vec<&str> = list.iter().filter_map(|part| part["text"].as_str()).collect();
    Thought {
        text: texts.join("\n\n"),
        signature: Some(item.to_string()),
        redacted: false,
        by: String::new(),
    }
}

fn usage(usage: &Value) -> Usage {
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    let (input, output) = (count(&usage["input_tokens"]), count(&usage["output_tokens"]));
    let total = match count(&usage["total_tokens"]) {
        0 => input.saturating_add(output),
        total => total,
    };
    let cache_read = count(&usage["input_tokens_details"]["cached_tokens"]);
    Usage { input, output, total, cache_read, ..Usage::default() }
}

#[cfg(test)]
#[path = "openai_responses_tests.rs"]
mod tests;
