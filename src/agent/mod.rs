//! Agents: one run as a state machine, and the providers it talks to.
//!
//! A [`run::Run`] takes a conversation to its answer: it picks a model from its candidates,
//! makes a [`call::Call`] over a connection the driver dialled, turns the provider's stream into
//! [`run::RunEvent`]s, retries and falls back, and ends with exactly one [`run::Outcome`].
//!
//! ```text
//!             begin                dialed            first byte
//!   Waiting ---------> Dialing ------------> Asking -----------> Streaming --> Done(outcome)
//!                        |  ^                   |                    |          ^
//!                        v  | timer             v (retryable)        v          |
//!                      Backoff <----------------+--------------------+     abort, deadline
//! ```
//!
//! It never sees a socket: it asks for dials and sends through `driver::Effects`.

pub mod call;
pub mod exec;
pub mod identity;
pub mod mend;
pub mod prompt;
pub mod provider;
pub mod run;
pub mod skills;
pub mod tools;
pub mod turn;
pub mod workspace;

use serde_json::Value;
use std::rc::Rc;

/// Tokens of one answer as the provider counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Prompt tokens, cached ones included.
    pub input: u64,
    /// Answer tokens.
    pub output: u64,
    /// What the provider said in all; its own sum, not ours.
    pub total: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: u64,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: u64,
}

impl Usage {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            total: self.total.saturating_add(other.total),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write: self.cache_write.saturating_add(other.cache_write),
        }
    }
}

/// A tool the model asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToolCall {
    /// The provider's id.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// JSON text as the model wrote it.
    pub arguments: String,
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StopReason {
    /// It was done.
    #[default]
    Stop,
    /// Out of tokens.
    Length,
    /// It wants tools.
    ToolUse,
    /// The provider's filter.
    ContentFilter,
}

impl StopReason {
    /// The reference's word in transcripts and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolUse => "toolUse",
            Self::ContentFilter => "contentFilter",
        }
    }
}

/// How hard a reasoning model thinks: the reference's `/think` levels. A dialect says the
/// nearest that its provider knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the reference's own names")]
pub enum Thinking {
    Off,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    /// As much as the provider sees fit.
    Adaptive,
    Max,
}

impl Thinking {
    /// Every level with its word, weakest first.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Off, "off"),
        (Self::Minimal, "minimal"),
        (Self::Low, "low"),
        (Self::Medium, "medium"),
        (Self::High, "high"),
        (Self::XHigh, "xhigh"),
        (Self::Adaptive, "adaptive"),
        (Self::Max, "max"),
    ];

    /// From a word or one of the reference's aliases, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.trim().to_ascii_lowercase();
        let word = match word.as_str() {
            "x-high" | "x_high" | "extra-high" | "extra high" | "extra_high" => "xhigh",
            "highest" => "high",
            "ultra" => "max",
            "disabled" | "none" => "off",
            other => other,
        };
        Self::ALL.iter().find(|(_, name)| *name == word).map(|(level, _)| *level)
    }

    /// The word in sessions and events.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(level, _)| *level == self).map_or("off", |(_, word)| word)
    }
}

/// What a run asks of a model.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// The conversation, oldest first.
    pub turns: Vec<turn::Turn>,
    /// Tools of the caller, in OpenAI's form:
    /// `{type: "function", function: {name, description, parameters}}`.
    pub tools: Vec<Value>,
    /// Tools of the gateway in the same form, shared by all runs that may use the same.
    pub house_tools: Rc<[Value]>,
    /// OpenAI's `tool_choice`, passed through.
    pub tool_choice: Option<Value>,
    /// Sampling as the caller set it.
    pub sampling: Sampling,
    /// How hard to think; `None` is the provider's default. Sent only to a model whose
    /// configuration says `reasoning: true`.
    pub thinking: Option<Thinking>,
    /// Ids of tool calls are made from this instead of the provider's, some of which repeat with
    /// every answer: for callers that send them back.
    pub call_ids: Option<String>,
    /// The only skills that the prompt lists; `None` is all of the agent's.
    pub skills: Option<Vec<String>>,
    /// Of the workspace's files the prompt has HEARTBEAT.md alone.
    pub light: bool,
    /// How much of the system prompt goes before the conversation.
    pub prompt: prompt::Mode,
}

impl Ask {
    /// All tools, the gateway's first.
    pub fn all_tools(&self) -> impl Iterator<Item = &Value> {
        self.house_tools.iter().chain(&self.tools)
    }

    /// Whether the gateway carries this tool out; a caller's tool of the same name goes first.
    pub fn is_house_tool(&self, name: &str) -> bool {
        let named = |tool: &Value| tool_name(tool) == Some(name);
        !self.tools.iter().any(named) && self.house_tools.iter().any(named)
    }

    /// Bytes of its turns and the caller's tools, about.
    pub fn bytes(&self) -> usize {
        let turns: usize = self.turns.iter().map(turn::Turn::bytes).sum();
        let tools: usize = self.tools.iter().map(value_bytes).sum();
        turns + tools + self.tool_choice.as_ref().map_or(0, value_bytes)
    }
}

/// The name in a tool's declaration.
pub fn tool_name(tool: &Value) -> Option<&str> {
    tool.get("function")?.get("name")?.as_str()
}

/// Bytes that a value takes in memory, about: texts, and a flat sum for everything else.
pub fn value_bytes(value: &Value) -> usize {
    let inner = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(value_bytes).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| name.len() + 32 + value_bytes(value)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    size_of::<Value>() + inner
}

/// Sampling parameters; `None` leaves the provider's default.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "OpenAI's own names")]
pub struct Sampling {
    pub max_tokens: Option<u64>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub frequency_penalty: Option<f64>,
    pub presence_penalty: Option<f64>,
    pub seed: Option<i64>,
    pub stop: Vec<String>,
}
