//! What the doors of OpenAI's surface read alike: the body, the agent, the session rule,
//! sampling, tools. Every refusal is a reply in OpenAI's shape.
//!
//! The session rule, first match wins:
//!
//! | the request has | conversation |
//! |---|---|
//! | `x-openclaw-session-key` | that session; reserved names (`subagent:`, ...) are 400 |
//! | `previous_response_id` that is known (responses only) | the session of that response |
//! | `user` | `agent:<agent>:openai-user:<user>`, or `openresponses-user:` |
//! | none of them, chat completions | none: nothing is kept |
//! | none of them, responses | a new one, to be continued; none with `store: false` |

use super::{agent_of_model, invalid};
use crate::agent::{Ask, Sampling, Thinking};
use crate::api::Reply;
use crate::config::Config;
use crate::sessions::key;
use crate::wire::http::head::Headers;
use serde_json::{Map, Value, json};

pub(super) type Result<T> = std::result::Result<T, Reply>;
pub(super) type Body = Map<String, Value>;

/// A request that may run.
#[derive(Debug)]
pub struct Request {
    /// Which agent answers.
    pub agent: String,
    /// `model` as the client wrote it; echoed.
    pub model: String,
    /// `x-openclaw-model`: provider/model instead of the agent's choice.
    pub backend_model: Option<String>,
    /// The session that a header or `user` names.
    pub session_key: Option<String>,
    /// Stream the answer.
    pub stream: bool,
    /// `tool_choice` obliges the model to call a tool of the client.
    pub tool_required: Option<Required>,
    /// What goes to the model.
    pub ask: Ask,
    /// Images and files to fetch before it can.
    pub fetches: Vec<super::media::Fetch>,
    /// What only one of the doors knows.
    pub door: OfDoor,
}

/// What only one of the doors knows.
#[derive(Debug)]
pub enum OfDoor {
    /// `/v1/chat/completions`.
    Chat {
        /// A usage chunk before `[DONE]`.
        include_usage: bool,
    },
    /// `/v1/responses`.
    Responses {
        /// `previous_response_id`.
        previous: Option<String>,
        /// False: nothing of it is kept, and its id cannot be continued.
        store: bool,
        /// `metadata`, echoed.
        metadata: Option<Value>,
    },
}

/// Which call an answer must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Required {
    /// Any tool of the client.
    Any,
    /// This one.
    Named(String),
}

impl Required {
    /// What is said when the model did not call it.
    pub fn unmet(&self) -> String {
        match self {
            Self::Any => "tool_choice=required was not satisfied by the agent response".to_owned(),
            Self::Named(name) => {
                format!("tool_choice asks for a call of {name}, and the agent made none")
            }
        }
    }
}

/// The body as an object; an empty one is `{}`.
pub(super) fn object(body: &[u8]) -> Result<Body> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| invalid(400, &format!("the body is not JSON: {error}")))?;
    match value {
        Value::Object(body) => Ok(body),
        _ => Err(invalid(400, "the body must be a JSON object")),
    }
}

/// `path: Invalid input: expected X, received Y`.
pub(super) fn wrong_type(path: &str, expected: &str, got: &Value) -> Reply {
    let got = match got {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    invalid(400, &format!("{path}: Invalid input: expected {expected}, received {got}"))
}

/// A member that may be absent or null.
pub(super) fn member<'a>(body: &'a Body, name: &str) -> Option<&'a Value> {
    body.get(name).filter(|value| !value.is_null())
}

pub(super) fn flag(body: &Body, name: &str, default: bool) -> Result<bool> {
    match member(body, name) {
        None => Ok(default),
        Some(Value::Bool(on)) => Ok(*on),
        Some(other) => Err(wrong_type(name, "boolean", other)),
    }
}

pub(super) fn text<'a>(body: &'a Body, name: &str) -> Result<Option<&'a str>> {
    match member(body, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong_type(name, "string", other)),
    }
}

/// Who is asked, and in which session.
pub(super) struct Route {
    pub(super) agent: String,
    pub(super) session_key: Option<String>,
    pub(super) backend_model: Option<String>,
    /// `x-openclaw-message-channel`.
    pub(super) channel: Option<String>,
}

/// Agent and session of a request. `prefix` is `openai` or `openresponses`.
pub(super) fn route(
    body: &Body,
    model: &str,
    headers: &Headers,
    config: &Config,
    prefix: &str,
) -> Result<Route> {
    let chosen = agent_of_model(model, config)
        .ok_or_else(|| invalid(400, "Invalid `model`. Use `openclaw` or `openclaw/<agentId>`."))?;
    let header = |name| headers.get(name).map(str::trim).filter(|value| !value.is_empty());
    let named = header("x-openclaw-agent-id");
    let agent = known_agent(named.unwrap_or(chosen), config)?;
    let free = named.is_none() && matches!(model, "openclaw" | "openclaw/default");
    let (agent, session_key) = session(body, headers, agent, free, config, prefix)?;
    let channel = match header("x-openclaw-message-channel") {
        Some(name) if name.len() > 64 || !name.bytes().all(|b| b.is_ascii_graphic()) => {
            let what = "x-openclaw-message-channel: a channel name has 1 to 64 characters";
            return Err(invalid(400, what));
        }
        channel => channel.map(str::to_owned),
    };
    let backend_model = header("x-openclaw-model").map(str::to_owned);
    Ok(Route { agent, session_key, backend_model, channel })
}

fn known_agent(id: &str, config: &Config) -> Result<String> {
    let id = id.to_ascii_lowercase();
    if config.agents.has(&id) {
        return Ok(id);
    }
    let shown: String = id.chars().take(64).collect();
    Err(invalid(400, &format!("Unknown agent '{shown}'.")))
}

/// An explicit header first, then `user`. A key that names another agent chooses it, when
/// nothing else did.
fn session(
    body: &Body,
    headers: &Headers,
    agent: String,
    free: bool,
    config: &Config,
    prefix: &str,
) -> Result<(String, Option<String>)> {
    let main_key = &config.session.main_key;
    if let Some(text) = headers.get("x-openclaw-session-key").filter(|text| !text.is_empty()) {
        if key::is_reserved(text) {
            let what = "`x-openclaw-session-key` cannot use reserved internal session namespaces.";
            return Err(invalid(400, what));
        }
        let key = key::canonical(text, &agent, main_key)
            .map_err(|why| invalid(400, &format!("x-openclaw-session-key: {why}")))?;
        let owner = key::agent_of(&key).unwrap_or(&agent).to_owned();
        if owner != agent && !free {
            let what = format!("x-openclaw-session-key: agent '{agent}' does not own it");
            return Err(invalid(400, &what));
        }
        return Ok((known_agent(&owner, config)?, Some(key)));
    }
    let Some(user) = text(body, "user")?.filter(|user| !user.is_empty()) else {
        return Ok((agent, None));
    };
    let key = key::canonical(&format!("{prefix}-user:{user}"), &agent, main_key)
        .map_err(|why| invalid(400, &format!("user: {why}")))?;
    Ok((agent, Some(key)))
}

/// A token cap: a positive integer.
pub(super) fn tokens(body: &Body, name: &str) -> Result<Option<u64>> {
    match member(body, name) {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(n) if n > 0 => Ok(Some(n)),
            _ if value.is_number() => {
                Err(invalid(400, &format!("{name}: Too small: expected a positive integer")))
            }
            _ => Err(wrong_type(name, "number", value)),
        },
    }
}

fn between(body: &Body, name: &str, min: f64, max: f64) -> Result<Option<f64>> {
    match member(body, name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(n) if (min..=max).contains(&n) => Ok(Some(n)),
            Some(_) => Err(invalid(400, &format!("`{name}` must be between {min} and {max}."))),
            None => Err(wrong_type(name, "number", value)),
        },
    }
}

/// Sampling without the token cap, which has another name at each door.
pub(super) fn sampling(body: &Body, max_tokens: Option<u64>) -> Result<Sampling> {
    let seed = match member(body, "seed") {
        None => None,
        Some(value) => {
            Some(value.as_i64().ok_or_else(|| invalid(400, "`seed` must be an integer."))?)
        }
    };
    let stop = match member(body, "stop") {
        None => Vec::new(),
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) if items.len() <= 4 => items
            .iter()
            .map(|item| match item.as_str() {
                Some(text) if !text.is_empty() => Ok(text.to_owned()),
                _ => Err(invalid(400, "Invalid stop: each sequence is a string, not empty")),
            })
            .collect::<Result<_>>()?,
        Some(Value::Array(_)) => {
            return Err(invalid(400, "Invalid stop: stop supports at most 4 sequences"));
        }
        Some(other) => return Err(wrong_type("stop", "string", other)),
    };
    Ok(Sampling {
        max_tokens,
        temperature: between(body, "temperature", 0.0, 2.0)?,
        top_p: between(body, "top_p", 0.0, 1.0)?,
        frequency_penalty: between(body, "frequency_penalty", -2.0, 2.0)?,
        presence_penalty: between(body, "presence_penalty", -2.0, 2.0)?,
        seed,
        stop,
    })
}

/// The client's tools as the model gets them, `tool_choice`, and what the answer must have.
pub(super) struct Tools {
    pub(super) tools: Vec<Value>,
    pub(super) choice: Option<Value>,
    pub(super) required: Option<Required>,
}

fn bad_tools(what: &str) -> Reply {
    invalid(400, &format!("Invalid tools/tool_choice: {what}"))
}

/// How hard to think: `reasoning_effort`, or `reasoning.effort`. A word that is no level is the
/// provider's default, since some providers have words of their own.
pub(super) fn thinking(body: &Body) -> Option<Thinking> {
    let nested = || body.get("reasoning")?.get("effort");
    body.get("reasoning_effort").or_else(nested)?.as_str().and_then(Thinking::parse)
}

/// Tools in either form, `{type, function: {name}}` or `{type, name}`, and the choice among them.
pub(super) fn tools(body: &Body) -> Result<Tools> {
    let listed = match member(body, "tools") {
        None => &[][..],
        Some(Value::Array(tools)) => tools,
        Some(other) => return Err(wrong_type("tools", "array", other)),
    };
    let mut tools = Vec::with_capacity(listed.len());
    for (n, tool) in listed.iter().enumerate() {
        tools.push(declared(tool).ok_or_else(|| {
            bad_tools(&format!("only function tools are supported (tools[{n}])"))
        })?);
    }
    let (choice, required) = match member(body, "tool_choice") {
        None => (None, None),
        Some(Value::String(word)) => match word.as_str() {
            "auto" => (Some(json!("auto")), None),
            "none" => {
                tools.clear();
                (None, None)
            }
            "required" if tools.is_empty() => {
                return Err(bad_tools("tool_choice=required needs a tool in `tools`"));
            }
            "required" => (Some(json!("required")), Some(Required::Any)),
            _ => return Err(bad_tools("tool_choice is auto, none, required or a function")),
        },
        Some(Value::Object(choice)) => pinned(choice, &mut tools)?,
        Some(_) => return Err(bad_tools("tool_choice is auto, none, required or a function")),
    };
    // Without tools of its own a request leaves the choice to the gateway's.
    let choice = choice.filter(|_| !tools.is_empty());
    Ok(Tools { tools, choice, required })
}

/// A choice of one function leaves only that one.
fn pinned(choice: &Body, tools: &mut Vec<Value>) -> Result<(Option<Value>, Option<Required>)> {
    let kind = choice.get("type").and_then(Value::as_str).unwrap_or_default();
    if kind != "function" {
        let shown: String = kind.chars().take(32).collect();
        return Err(bad_tools(&format!("tool_choice {shown} is not supported")));
    }
    let function = choice.get("function").and_then(|function| function.get("name"));
    let Some(name) = function.or(choice.get("name")).and_then(Value::as_str) else {
        return Err(bad_tools("tool_choice names no function"));
    };
    tools.retain(|tool| crate::agent::tool_name(tool) == Some(name));
    if tools.is_empty() {
        let shown: String = name.chars().take(64).collect();
        return Err(bad_tools(&format!("tool_choice requested unknown tool: {shown}")));
    }
    let choice = json!({"type": "function", "function": {"name": name}});
    Ok((Some(choice), Some(Required::Named(name.to_owned()))))
}

/// A tool in the form of chat completions.
fn declared(tool: &Value) -> Option<Value> {
    if tool.get("type").and_then(Value::as_str) != Some("function") {
        return None;
    }
    let plain = |name: &str| !name.is_empty() && name.len() <= 128;
    if let Some(function) = tool.get("function") {
        let name = function.get("name").and_then(Value::as_str)?;
        return plain(name).then(|| tool.clone());
    }
    let name = tool.get("name").and_then(Value::as_str).filter(|name| plain(name))?;
    let mut function = json!({"name": name});
    for member in ["description", "parameters", "strict"] {
        if let Some(value) = tool.get(member).filter(|value| !value.is_null()) {
            function[member] = value.clone();
        }
    }
    Some(json!({"type": "function", "function": function}))
}
