//! The `anthropic-messages` dialect: `POST <base>/v1/messages` with `stream: true`.
//! <https://docs.anthropic.com/en/docs/build-with-claude/streaming>
//!
//! A thinking block is signed and must come back unchanged in front of the tool calls that it
//! led to; the conversation's beginning is marked for the provider's cache.

use super::json::Json;
use super::openai_responses::separated;
use super::schema::{self, Choice};
use super::{Delta, Spec, Step, StreamError, Whole, errors, spec};
use crate::agent::turn::{Part, Thought, Turn};
use crate::agent::{Ask, StopReason, Thinking, Usage};
use crate::limits;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// The version of the API that is spoken.
pub(super) const VERSION: &str = "2023-06-01";
/// An answer has to be bounded; this when nobody said.
const MAX_TOKENS: u64 = 8192;
/// The least room for the answer behind its thinking, and the least budget for thinking.
const LEAST: u64 = 1024;

/// The members of the request body.
pub(super) fn body(w: &mut Json<'_>, spec: &Spec, ask: &Ask) {
    let budget = Budget::of(spec, ask);
    w.field("model", &spec.model);
    w.plain("max_tokens", budget.max_tokens);
    w.plain("stream", true);
    let mut systems = ask.turns.iter().filter_map(system).peekable();
    if systems.peek().is_some() {
        w.key("system").array(|w| {
            w.object(|w| {
                w.field("type", "text");
                w.key("text").texts(separated(systems));
                cache_mark(w);
            });
        });
    }
    w.key("messages").array(|w| messages(w, spec, &ask.turns));
    if spec.compat.tools.unwrap_or(true) && ask.all_tools().next().is_some() {
        tools(w, spec, ask, budget.thinks());
    }
    let sampling = &ask.sampling;
    // With thinking neither may be changed.
    let free = !budget.thinks();
    let temperature = sampling.temperature.filter(|_| spec.compat.temperature.unwrap_or(true));
    for (name, value) in [("temperature", temperature), ("top_p", sampling.top_p)] {
        if let Some(value) = value.filter(|_| free) {
            // The scale ends at 1 here, and at 2 for whoever calls us.
            w.plain(name, value.min(1.0));
        }
    }
    if !sampling.stop.is_empty() {
        w.plain("stop_sequences", sampling.stop.clone());
    }
    match budget.thinking {
        Think::Silent => {}
        Think::Tokens(n) => {
            w.key("thinking").value(&json!({"type": "enabled", "budget_tokens": n}));
        }
        Think::Adaptive(effort) => {
            w.key("thinking").value(&json!({"type": "adaptive", "display": "summarized"}));
            if let Some(effort) = effort {
                w.key("output_config").value(&json!({"effort": effort}));
            }
        }
    }
}

enum Think {
    Silent,
    /// A fixed budget: models before 4.6.
    Tokens(u64),
    /// As the provider sees fit, at this effort.
    Adaptive(Option<String>),
}

struct Budget {
    max_tokens: u64,
    thinking: Think,
}

impl Budget {
    fn of(spec: &Spec, ask: &Ask) -> Self {
        let most = spec.max_tokens.unwrap_or(u64::MAX);
        let asked = ask.sampling.max_tokens.or(spec.max_tokens).unwrap_or(MAX_TOKENS);
        let max_tokens = asked.min(most).max(1);
        let level = ask.thinking.filter(|_| spec.reasoning).unwrap_or(Thinking::Off);
        if level != Thinking::Off && is_adaptive(&spec.model) {
            return Self { max_tokens, thinking: Think::Adaptive(effort(spec, level)) };
        }
        let want = match level {
            Thinking::Off => return Self { max_tokens, thinking: Think::Silent },
            Thinking::Minimal => 1024,
            Thinking::Low => 2048,
            Thinking::Medium | Thinking::Adaptive => 8192,
            Thinking::High => 16_384,
            Thinking::XHigh | Thinking::Max => 32_768,
        };
        // Thinking counts as answer: it comes on top as far as the model allows.
        let max_tokens = max_tokens.saturating_add(want).min(most);
        let budget = want.min(max_tokens.saturating_sub(LEAST));
        let thinking = if budget < LEAST { Think::Silent } else { Think::Tokens(budget) };
        Self { max_tokens, thinking }
    }

    fn thinks(&self) -> bool {
        !matches!(self.thinking, Think::Silent)
    }
}

fn effort(spec: &Spec, level: Thinking) -> Option<String> {
    if spec.compat.reasoning_effort_map.is_empty() && spec.compat.reasoning_efforts.is_empty() {
        let word = match level {
            Thinking::Off | Thinking::Adaptive => return None,
            Thinking::Minimal | Thinking::Low => "low",
            Thinking::Medium => "medium",
            Thinking::High => "high",
            // One effort above high is everybody's; `xhigh` is that of some.
            Thinking::XHigh | Thinking::Max => "max",
        };
        return Some(word.to_owned());
    }
    spec::effort(&spec.compat, level)
}

/// Claude 4.6 and later decide themselves how long they think; the name tells:
/// `claude-opus-4-6`, `claude-sonnet-5`, but not `claude-sonnet-4-20250514`.
fn is_adaptive(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let Some(rest) = name.strip_prefix("claude-") else { return false };
    if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return false;
    }
    let mut numbers = rest.split(['-', '.', '@']).skip(1).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if minor < 100 => (major, minor) >= (4, 6),
        (Some(Ok(major)), _) => (5..100).contains(&major),
        _ => false,
    }
}

fn system(turn: &Turn) -> Option<&str> {
    match turn {
        Turn::System(text) if !text.trim().is_empty() => Some(text),
        _ => None,
    }
}

/// Everything up to here is worth keeping for the next request.
fn cache_mark(w: &mut Json<'_>) {
    w.key("cache_control").value(&json!({"type": "ephemeral"}));
}

/// Turns of one side in a row are one message, so that all results of parallel calls come
/// together, as they must.
fn messages(w: &mut Json<'_>, spec: &Spec, turns: &[Turn]) {
    let is_assistant = |turn: &Turn| matches!(turn, Turn::Assistant(_));
    let turns: Vec<&Turn> = turns.iter().filter(|turn| has_content(spec, turn)).collect();
    let last = turns.iter().rposition(|turn| !is_assistant(turn));
    let mut at = 0;
    for group in turns.chunk_by(|a, b| is_assistant(a) == is_assistant(b)) {
        let end = at + group.len();
        let marked = last.is_some_and(|last| (at..end).contains(&last));
        at = end;
        w.object(|w| {
            let assistant = group.first().is_some_and(|turn| is_assistant(turn));
            w.field("role", if assistant { "assistant" } else { "user" });
            w.key("content").array(|w| {
                for (n, turn) in group.iter().enumerate() {
                    blocks(w, spec, turn, marked && n + 1 == group.len());
                }
            });
        });
    }
}

/// The provider refuses empty texts and empty messages.
fn has_content(spec: &Spec, turn: &Turn) -> bool {
    match turn {
        Turn::System(_) => false,
        Turn::ToolResult { .. } => true,
        Turn::User(parts) | Turn::Assistant(parts) => parts.iter().any(|part| is_block(spec, part)),
    }
}

fn is_block(spec: &Spec, part: &Part) -> bool {
    match part {
        Part::Text(text) => !text.trim().is_empty(),
        Part::Thinking(thought) => spec.made(thought) && thought.signature.is_some(),
        Part::Image { .. } | Part::ToolCall { .. } => true,
    }
}

fn blocks(w: &mut Json<'_>, spec: &Spec, turn: &Turn, marked: bool) {
    match turn {
        Turn::System(_) => {}
        Turn::User(parts) | Turn::Assistant(parts) => {
            let parts: Vec<&Part> = parts.iter().filter(|part| is_block(spec, part)).collect();
            for (n, part) in parts.iter().enumerate() {
                block(w, part, marked && n + 1 == parts.len());
            }
        }
        Turn::ToolResult { call_id, parts, is_error, .. } => w.object(|w| {
            w.field("type", "tool_result");
            w.field("tool_use_id", &tool_id(call_id));
            let parts: Vec<&Part> = parts.iter().filter(|part| is_block(spec, part)).collect();
            if !parts.is_empty() {
                w.key("content").array(|w| parts.iter().for_each(|part| block(w, part, false)));
            }
            if *is_error {
                w.plain("is_error", true);
            }
            if marked {
                cache_mark(w);
            }
        }),
    }
}

fn block(w: &mut Json<'_>, part: &Part, marked: bool) {
    w.object(|w| {
        match part {
            Part::Text(text) => {
                w.field("type", "text");
                w.field("text", text);
            }
            Part::Image { mime, data } => {
                w.field("type", "image");
                w.key("source").object(|w| {
                    w.field("type", "base64");
                    w.field("media_type", mime);
                    w.field("data", data);
                });
            }
            Part::ToolCall { id, name, arguments } => {
                w.field("type", "tool_use");
                w.field("id", &tool_id(id));
                w.field("name", name);
                let is_object = serde_json::from_str::<Value>(arguments);
                w.key("input");
                match is_object.is_ok_and(|value| value.is_object()) {
                    true => w.raw(arguments),
                    false => w.object(|_| {}),
                }
            }
            Part::Thinking(thought) => {
                let signature = thought.signature.as_deref().unwrap_or_default();
                if thought.redacted {
                    w.field("type", "redacted_thinking");
                    w.field("data", signature);
                } else {
                    w.field("type", "thinking");
                    w.field("thinking", &thought.text);
                    w.field("signature", signature);
                }
            }
        }
        if marked {
            cache_mark(w);
        }
    });
}

/// Letters, digits, `_` and `-` only: ids of other providers have more.
fn tool_id(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if id.chars().all(fits) && !id.is_empty() {
        return Cow::Borrowed(id);
    }
    let id: String = id.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    Cow::Owned(if id.is_empty() { "call".to_owned() } else { id })
}

fn tools(w: &mut Json<'_>, spec: &Spec, ask: &Ask, thinks: bool) {
    w.key("tools").array(|w| {
        for tool in ask.all_tools() {
            let clean = schema::cleaned(tool, &spec.compat.unsupported_schema_keywords);
            let Some(function) = schema::function(clean.as_ref().unwrap_or(tool)) else {
                continue;
            };
            w.object(|w| {
                w.field("name", function.name);
                if let Some(description) = function.description {
                    w.field("description", description);
                }
                let none = json!({"type": "object", "properties": {}});
                w.key("input_schema").value(function.parameters.unwrap_or(&none));
            });
        }
    });
    let choice = match schema::choice(ask.tool_choice.as_ref()) {
        Choice::None => json!({"type": "none"}),
        // A model that thinks cannot be forced.
        Choice::Auto | Choice::Any | Choice::Named(_) if thinks => return,
        Choice::Auto => return,
        Choice::Any => json!({"type": "any"}),
        Choice::Named(name) => json!({"type": "tool", "name": name}),
    };
    w.key("tool_choice").value(&choice);
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(default)]
    index: u64,
    #[serde(borrow, default)]
    delta: Option<Piece<'a>>,
    #[serde(default)]
    content_block: Option<Block>,
    #[serde(default)]
    message: Option<Value>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    partial_json: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
struct Block {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    thinking: String,
    #[serde(default)]
    signature: String,
    #[serde(default)]
    data: String,
    #[serde(default)]
    input: Value,
}

#[derive(Deserialize, Default, Debug, Clone, Copy)]
struct WireUsage {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
}

/// The content block that is open.
#[derive(Debug)]
enum Open {
    Thinking(Thought),
    /// Which call; whether a piece of its input came; its input from the start, as some
    /// imitations send it.
    Call {
        index: u64,
        told: bool,
        input: String,
    },
}

/// The reading side of one answer.
#[derive(Debug, Default)]
pub struct Reader {
    /// The open block and its number; texts need no memory.
    open: Option<(u64, Open)>,
    /// Calls so far.
    calls: u64,
    usage: WireUsage,
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
            .map_err(|error| StreamError::garbled("message event", &error))?;
        if let Some(error) = event.error.filter(|error| !error.is_null()) {
            return Err(StreamError::report(&error));
        }
        match event.kind.as_ref() {
            "message_start" => self.start(&event.message.unwrap_or_default(), tell),
            "content_block_start" => {
                self.close(tell);
                self.begin(event.index, event.content_block.unwrap_or_default(), tell);
            }
            "content_block_delta" => {
                if let Some(piece) = event.delta {
                    self.piece(event.index, piece, tell);
                }
            }
            "content_block_stop" => self.close(tell),
            "message_delta" => {
                if let Some(usage) = event.usage {
                    self.count(usage, tell);
                }
                if let Some(reason) = event.delta.and_then(|delta| delta.stop_reason) {
                    self.close(tell);
                    tell(Delta::Finish(stop_reason(&reason)));
                }
            }
            "message_stop" => return Ok(Step::End),
            // `ping`, and what may come in future.
            _ => {}
        }
        Ok(Step::More)
    }

    fn start(&mut self, message: &Value, tell: &mut dyn FnMut(Delta)) {
        if let Some(id) = message["id"].as_str() {
            tell(Delta::ResponseId(id.to_owned()));
        }
        if let Ok(usage) = WireUsage::deserialize(&message["usage"]) {
            self.count(usage, tell);
        }
    }

    /// Counts are cumulative; those that are not repeated stay.
    fn count(&mut self, new: WireUsage, tell: &mut dyn FnMut(Delta)) {
        let old = self.usage;
        self.usage = WireUsage {
            input_tokens: new.input_tokens.or(old.input_tokens),
            output_tokens: new.output_tokens.or(old.output_tokens),
            cache_read_input_tokens: new.cache_read_input_tokens.or(old.cache_read_input_tokens),
            cache_creation_input_tokens: new
                .cache_creation_input_tokens
                .or(old.cache_creation_input_tokens),
        };
        let cache_read = self.usage.cache_read_input_tokens.unwrap_or_default();
        let cache_write = self.usage.cache_creation_input_tokens.unwrap_or_default();
        let fresh = self.usage.input_tokens.unwrap_or_default();
        let input = fresh.saturating_add(cache_read).saturating_add(cache_write);
        let output = self.usage.output_tokens.unwrap_or_default();
        let total = input.saturating_add(output);
        tell(Delta::Usage(Usage { input, output, total, cache_read, cache_write }));
    }

    fn begin(&mut self, at: u64, block: Block, tell: &mut dyn FnMut(Delta)) {
        match block.kind.as_str() {
            "text" if !block.text.is_empty() => tell(Delta::Text(block.text)),
            "thinking" => {
                if !block.thinking.is_empty() {
                    tell(Delta::Reasoning(block.thinking.clone()));
                }
                let signature = Some(block.signature).filter(|text| !text.is_empty());
                let thought = Thought { text: block.thinking, signature, ..Thought::default() };
                self.open = Some((at, Open::Thinking(thought)));
            }
            "redacted_thinking" => {
                let signature = Some(block.data);
                let thought = Thought { signature, redacted: true, ..Thought::default() };
                self.open = Some((at, Open::Thinking(thought)));
            }
            "tool_use" => {
                let index = self.calls;
                self.calls = self.calls.saturating_add(1);
                let (id, name) = (Some(block.id), Some(block.name));
                tell(Delta::ToolCall { index, id, name, arguments: String::new() });
                let empty = block.input.as_object().is_none_or(serde_json::Map::is_empty);
                let input = if empty { "{}".to_owned() } else { block.input.to_string() };
                self.open = Some((at, Open::Call { index, told: false, input }));
            }
            _ => {}
        }
    }

    fn piece(&mut self, at: u64, piece: Piece<'_>, tell: &mut dyn FnMut(Delta)) {
        if let Some(text) = piece.text.filter(|text| !text.is_empty()) {
            tell(Delta::Text(text.into_owned()));
        }
        let Some((open, block)) = &mut self.open else { return };
        if *open != at {
            return;
        }
        match block {
            Open::Thinking(thought) => {
                if let Some(signature) = piece.signature {
                    thought.signature.get_or_insert_default().push_str(&signature);
                }
                let room = limits::ANSWER_BYTES.saturating_sub(thought.text.len());
                let text = piece.thinking.filter(|text| !text.is_empty() && text.len() <= room);
                if let Some(text) = text {
                    thought.text.push_str(&text);
                    tell(Delta::Reasoning(text.into_owned()));
                }
            }
            Open::Call { index, told, .. } => {
                let text = piece.partial_json.filter(|text| !text.is_empty());
                if let Some(text) = text {
                    *told = true;
                    let (index, arguments) = (*index, text.into_owned());
                    tell(Delta::ToolCall { index, id: None, name: None, arguments });
                }
            }
        }
    }

    fn close(&mut self, tell: &mut dyn FnMut(Delta)) {
        match self.open.take() {
            Some((_, Open::Thinking(thought))) => tell(Delta::Thought(thought)),
            Some((_, Open::Call { index, told: false, input })) => {
                tell(Delta::ToolCall { index, id: None, name: None, arguments: input });
            }
            _ => {}
        }
    }

    /// Reads an answer in one piece, or the error under a good status.
    pub fn whole(&mut self, body: &[u8], tell: &mut dyn FnMut(Delta)) -> Whole {
        let body = errors::without_bom(body);
        if let Some(error) = errors::whole_error(body) {
            return error;
        }
        let message: Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(content) = message["content"].as_array() else { return Whole::Neither };
        if message["type"] != "message" {
            return Whole::Neither;
        }
        self.start(&message, tell);
        for (at, block) in content.iter().enumerate() {
            if let Ok(block) = Block::deserialize(block) {
                self.begin(at as u64, block, tell);
                self.close(tell);
            }
        }
        let reason = message["stop_reason"].as_str().unwrap_or_default();
        tell(Delta::Finish(stop_reason(reason)));
        Whole::Answer
    }
}

fn stop_reason(word: &str) -> StopReason {
    match word {
        "max_tokens" | "model_context_window_exceeded" => StopReason::Length,
        "tool_use" => StopReason::ToolUse,
        "refusal" => StopReason::ContentFilter,
        _ => StopReason::Stop,
    }
}

#[cfg(test)]
#[path = "anthropic_messages_tests.rs"]
mod tests;
