//! `POST /v1/chat/completions`: the request as OpenAI documents it, the answer whole or as a
//! stream of chunks. Facts: FACTS.md section 8.3.

use super::{agent_of_model, invalid};
use crate::agent::prompt::Mode;
use crate::agent::run::{Outcome, RunEvent};
use crate::agent::turn::{Part, Turn};
use crate::agent::{Ask, Sampling, StopReason, ToolCall, Usage};
use crate::api::{Reply, error};
use crate::config::Config;
use crate::protocol::frame::write_json;
use crate::sessions::key;
use crate::wire::http::head::Headers;
use crate::wire::sse;
use serde_json::{Map, Value, json};

/// A request that may run.
#[derive(Debug)]
pub struct ChatRequest {
    /// Which agent answers.
    pub agent: String,
    /// `model` as the client wrote it; echoed.
    pub model: String,
    /// `x-openclaw-model`: provider/model instead of the agent's choice.
    pub backend_model: Option<String>,
    /// Where the conversation is kept: `None` is stateless.
    pub session_key: Option<String>,
    /// Stream chunks.
    pub stream: bool,
    /// A usage chunk before `[DONE]`.
    pub include_usage: bool,
    /// `tool_choice` obliges the model to call a tool.
    pub tool_required: bool,
    /// What goes to the model.
    pub ask: Ask,
}

type Result<T> = std::result::Result<T, Reply>;

/// Reads a request.
///
/// # Errors
/// The reply for the client: always 400 or 404 in OpenAI's shape.
pub fn parse(body: &[u8], headers: &Headers, config: &Config) -> Result<ChatRequest> {
    let value: Value = if body.is_empty() {
        Value::Object(Map::new())
    } else {
        serde_json::from_slice(body)
            .map_err(|error| invalid(400, &format!("the body is not JSON: {error}")))?
    };
    let Value::Object(body) = value else {
        return Err(invalid(400, "the body must be a JSON object"));
    };
    let model = match body.get("model") {
        None | Some(Value::Null) => "openclaw",
        Some(Value::String(model)) => model.as_str(),
        Some(other) => return Err(wrong_type("model", "string", other)),
    };
    let stream = flag(&body, "stream")?;
    let turns = turns(&body)?;
    let agent = agent(model, headers, config)?;
    let ask = Ask {
        house_tools: std::rc::Rc::default(),
        turns,
        tools: tools(&body)?,
        tool_choice: body.get("tool_choice").filter(|choice| !choice.is_null()).cloned(),
        sampling: sampling(&body)?,
        prompt: Mode::Full,
    };
    let include_usage = body
        .get("stream_options")
        .and_then(|options| options.get("include_usage"))
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let tool_required = match &ask.tool_choice {
        Some(Value::String(choice)) => choice == "required",
        Some(Value::Object(choice)) => choice.get("type") == Some(&json!("function")),
        _ => false,
    };
    Ok(ChatRequest {
        session_key: session_key(&body, headers, &agent, config)?,
        backend_model: headers.get("x-openclaw-model").map(|text| text.trim().to_owned()),
        model: model.to_owned(),
        agent,
        stream,
        include_usage,
        tool_required,
        ask,
    })
}

fn wrong_type(path: &str, expected: &str, got: &Value) -> Reply {
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

fn flag(body: &Map<String, Value>, name: &str) -> Result<bool> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(on)) => Ok(*on),
        Some(other) => Err(wrong_type(name, "boolean", other)),
    }
}

fn agent(model: &str, headers: &Headers, config: &Config) -> Result<String> {
    let named = agent_of_model(model, config)
        .ok_or_else(|| invalid(400, "Invalid `model`. Use `openclaw` or `openclaw/<agentId>`."))?;
    let id = match headers.get("x-openclaw-agent-id").map(str::trim) {
        Some(id) => id,
        None => named,
    };
    let id = id.to_ascii_lowercase();
    if config.agents.has(&id) {
        return Ok(id);
    }
    let shown: String = id.chars().take(64).collect();
    Err(invalid(400, &format!("Unknown agent '{shown}'.")))
}

/// The session rule: an explicit header first, then `user`, else stateless.
fn session_key(
    body: &Map<String, Value>,
    headers: &Headers,
    agent: &str,
    config: &Config,
) -> Result<Option<String>> {
    if let Some(text) = headers.get("x-openclaw-session-key") {
        if key::is_reserved(text) {
            return Err(invalid(400, "this session key is reserved for the gateway itself"));
        }
        return key::canonical(text, agent, &config.session.main_key)
            .map(Some)
            .map_err(|why| invalid(400, &format!("x-openclaw-session-key: {why}")));
    }
    match body.get("user") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(user)) if user.is_empty() => Ok(None),
        Some(Value::String(user)) => {
            key::canonical(&format!("openai-user:{user}"), agent, &config.session.main_key)
                .map(Some)
                .map_err(|why| invalid(400, &format!("user: {why}")))
        }
        Some(other) => Err(wrong_type("user", "string", other)),
    }
}

fn turns(body: &Map<String, Value>) -> Result<Vec<Turn>> {
    let missing = || invalid(400, "Missing user message in `messages`.");
    let messages = match body.get("messages") {
        None => return Err(missing()),
        Some(Value::Array(messages)) => messages,
        Some(other) => return Err(wrong_type("messages", "array", other)),
    };
    let mut turns = Vec::with_capacity(messages.len());
    for (n, message) in messages.iter().enumerate() {
        turns.push(turn(message, n)?);
    }
    let answerable =
        turns.iter().any(|turn| matches!(turn, Turn::User(_) | Turn::ToolResult { .. }));
    if answerable { Ok(turns) } else { Err(missing()) }
}

fn turn(message: &Value, n: usize) -> Result<Turn> {
    let text = |name: &str| message.get(name).and_then(Value::as_str).map(str::to_owned);
    let role = text("role").ok_or_else(|| {
        invalid(400, &format!("messages[{n}].role: Invalid input: expected string"))
    })?;
    let content = message.get("content").unwrap_or(&Value::Null);
    Ok(match role.as_str() {
        "system" | "developer" => Turn::System(join(&content_parts(content, n)?)),
        "user" => Turn::User(content_parts(content, n)?),
        "assistant" => {
            let mut parts = content_parts(content, n)?;
            parts.extend(assistant_calls(message, n)?);
            Turn::Assistant(parts)
        }
        "tool" | "function" => Turn::ToolResult {
            call_id: text("tool_call_id").unwrap_or_default(),
            name: text("name"),
            parts: content_parts(content, n)?,
            is_error: false,
        },
        other => {
            let shown: String = other.chars().take(32).collect();
            return Err(invalid(400, &format!("messages[{n}].role: unknown role '{shown}'")));
        }
    })
}

fn join(parts: &[Part]) -> String {
    crate::agent::turn::text_of_parts(parts)
}

fn content_parts(content: &Value, n: usize) -> Result<Vec<Part>> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![Part::Text(text.clone())]),
        Value::Array(items) => items.iter().map(|item| content_part(item, n)).collect(),
        other => Err(wrong_type(&format!("messages[{n}].content"), "string", other)),
    }
}

fn content_part(item: &Value, n: usize) -> Result<Part> {
    match item.get("type").and_then(Value::as_str) {
        Some("text" | "input_text" | "output_text" | "refusal") => {
            let text = item.get("text").or_else(|| item.get("refusal"));
            Ok(Part::Text(text.and_then(Value::as_str).unwrap_or_default().to_owned()))
        }
        Some("image_url") => {
            let url = item.get("image_url").and_then(|image| match image {
                Value::String(url) => Some(url.as_str()),
                other => other.get("url").and_then(Value::as_str),
            });
            url.and_then(data_url).ok_or_else(|| {
                invalid(
                    400,
                    "Invalid image_url content in `messages`. Send the image itself as a \
                     data:image/…;base64 URL.",
                )
            })
        }
        _ => Err(invalid(400, &format!("messages[{n}].content: unsupported content part"))),
    }
}

/// An image in a `data:` URL; anything else would make us fetch what a stranger names.
fn data_url(url: &str) -> Option<Part> {
    let (mime, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    let plain = mime.starts_with("image/") && mime.bytes().all(|b| b.is_ascii_graphic());
    crate::wire::hash::base64_decode(data).filter(|_| plain)?;
    Some(Part::Image { mime: mime.to_owned(), data: data.to_owned() })
}

fn assistant_calls(message: &Value, n: usize) -> Result<Vec<Part>> {
    let Some(calls) = message.get("tool_calls").filter(|calls| !calls.is_null()) else {
        return Ok(Vec::new());
    };
    let Value::Array(calls) = calls else {
        return Err(wrong_type(&format!("messages[{n}].tool_calls"), "array", calls));
    };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(calls
        .iter()
        .map(|call| {
            let function = call.get("function");
            Part::ToolCall {
                id: text(call.get("id")),
                name: text(function.and_then(|f| f.get("name"))),
                arguments: text(function.and_then(|f| f.get("arguments"))),
            }
        })
        .collect())
}

fn tools(body: &Map<String, Value>) -> Result<Vec<Value>> {
    let tools = match body.get("tools") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(tools)) => tools,
        Some(other) => return Err(wrong_type("tools", "array", other)),
    };
    for (n, tool) in tools.iter().enumerate() {
        let named = tool.get("type").and_then(Value::as_str) == Some("function")
            && tool
                .get("function")
                .and_then(|function| function.get("name"))
                .and_then(Value::as_str)
                .is_some_and(|name| !name.is_empty() && name.len() <= 128);
        if !named {
            let what = format!(
                "tools[{n}]: expected {{type: \"function\", function: {{name, parameters}}}}"
            );
            return Err(invalid(400, &what));
        }
    }
    Ok(tools.clone())
}

fn sampling(body: &Map<String, Value>) -> Result<Sampling> {
    let number = |name: &str, min: f64, max: f64| match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(n) if (min..=max).contains(&n) => Ok(Some(n)),
            Some(_) => Err(invalid(400, &format!("{name}: Invalid input: must be {min} to {max}"))),
            None => Err(wrong_type(name, "number", value)),
        },
    };
    let tokens = |name: &str| match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(n) if n > 0 => Ok(Some(n)),
            _ => Err(invalid(400, &format!("{name}: Invalid input: must be a positive integer"))),
        },
    };
    let seed = match body.get("seed") {
        None | Some(Value::Null) => None,
        Some(value) => Some(
            value
                .as_i64()
                .ok_or_else(|| invalid(400, "seed: Invalid input: must be an integer"))?,
        ),
    };
    let stop = match body.get("stop") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) if items.len() <= 4 => items
            .iter()
            .map(|item| {
                item.as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| wrong_type("stop", "array of strings", item))
            })
            .collect::<Result<_>>()?,
        Some(Value::Array(_)) => {
            return Err(invalid(400, "stop: Invalid input: at most 4 sequences"));
        }
        Some(other) => return Err(wrong_type("stop", "string", other)),
    };
    let legacy = tokens("max_tokens")?;
    Ok(Sampling {
        max_tokens: tokens("max_completion_tokens")?.or(legacy),
        temperature: number("temperature", 0.0, 2.0)?,
        top_p: number("top_p", 0.0, 1.0)?,
        frequency_penalty: number("frequency_penalty", -2.0, 2.0)?,
        presence_penalty: number("presence_penalty", -2.0, 2.0)?,
        seed,
        stop,
    })
}

/// Writes the answer of one request from the events of its run.
#[derive(Debug)]
pub struct Writer {
    id: String,
    created: u64,
    model: String,
    stream: bool,
    include_usage: bool,
    tool_required: bool,
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

impl Writer {
    /// For a request; `uuid` makes the id, `now_ms` the creation time.
    pub fn new(request: &ChatRequest, uuid: &str, now_ms: u64) -> Self {
        Self {
            id: format!("chatcmpl_{uuid}"),
            created: now_ms / 1000,
            model: request.model.clone(),
            stream: request.stream,
            include_usage: request.include_usage,
            tool_required: request.tool_required,
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

    /// Takes an event of the run. `calls`, `usage` and `text` are the run's own.
    pub fn event(
        &self,
        event: &RunEvent,
        text: &str,
        calls: &[ToolCall],
        usage: Usage,
        out: &mut Vec<u8>,
    ) -> Wrote {
        match event {
            RunEvent::Text(piece) if self.stream => {
                self.text_chunk(out, piece);
                Wrote::More
            }
            RunEvent::ToolCall { index, id, name, arguments } if self.stream => {
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
            RunEvent::Over(outcome) => self.end(outcome, text, calls, usage, out),
            _ => Wrote::More,
        }
    }

    fn end(
        &self,
        outcome: &Outcome,
        text: &str,
        calls: &[ToolCall],
        usage: Usage,
        out: &mut Vec<u8>,
    ) -> Wrote {
        let failure = match outcome {
            Outcome::Done(_) if self.tool_required && calls.is_empty() => Some(error(
                502,
                "api_error",
                "the model answered without the tool call that `tool_choice` requires",
            )),
            Outcome::Done(_) => None,
            Outcome::Failed(failed) => Some(upstream_error(failed)),
            Outcome::TimedOut(what) => Some(error(504, "api_error", &format!("{what} passed"))),
            Outcome::Aborted(_) => Some(error(499, "api_error", "the run was cancelled")),
        };
        if let Some(reply) = failure {
            if !self.stream {
                return Wrote::Reply(Box::new(reply));
            }
            sse::data(out, &reply.body);
            sse::data(out, b"[DONE]");
            return Wrote::End;
        }
        let Outcome::Done(stop) = outcome else { return Wrote::End };
        let finish = finish_reason(*stop, calls);
        if self.stream {
            self.chunk(out, &json!({}), Some(finish));
            if self.include_usage {
                let mut chunk = Vec::with_capacity(256);
                self.chunk_head(&mut chunk);
                chunk.extend_from_slice(br#""choices":[],"usage":"#);
                write_usage(&mut chunk, usage);
                chunk.push(b'}');
                sse::data(out, &chunk);
            }
            sse::data(out, b"[DONE]");
            return Wrote::End;
        }
        Wrote::Reply(Box::new(Reply::raw(200, self.whole(text, calls, finish, usage))))
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

fn upstream_error(failed: &crate::agent::call::CallError) -> Reply {
    use crate::agent::call::Class;
    let status = match (failed.class, failed.status) {
        (Class::Transient, Some(429)) => 429,
        // Not one word of it is about this request.
        (Class::Transient, _) | (_, None) => 502,
        _ => 400,
    };
    let message = format!("the model provider failed: {}", failed.message);
    let reply = error(status, "api_error", &message);
    match failed.retry_after_ms {
        Some(ms) if status == 429 => reply.with("Retry-After", ms.div_ceil(1000).to_string()),
        _ => reply,
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
