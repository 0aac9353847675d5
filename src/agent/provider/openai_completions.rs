//! The `openai-completions` dialect: `POST <base>/chat/completions` with `stream: true`, as
//! OpenAI, OpenRouter, Groq, DeepSeek, Ollama, llama.cpp, vLLM and LM Studio speak it.

use super::{Delta, Step, StreamError};
use crate::agent::turn::{Part, Turn};
use crate::agent::{Ask, StopReason, Usage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The request body.
pub fn body(model: &str, ask: &Ask) -> Vec<u8> {
    let mut body = Map::new();
    body.insert("model".into(), json!(model));
    body.insert("messages".into(), ask.turns.iter().map(message).collect());
    body.insert("stream".into(), json!(true));
    body.insert("stream_options".into(), json!({"include_usage": true}));
    if ask.all_tools().next().is_some() {
        body.insert("tools".into(), ask.all_tools().cloned().collect());
        body.insert("tool_choice".into(), ask.tool_choice.clone().unwrap_or(json!("auto")));
    }
    let sampling = &ask.sampling;
    if let Some(n) = sampling.max_tokens {
        body.insert("max_completion_tokens".into(), json!(n));
    }
    if let Some(seed) = sampling.seed {
        body.insert("seed".into(), json!(seed));
    }
    for (name, value) in [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
    ] {
        if let Some(value) = value {
            body.insert(name.into(), json!(value));
        }
    }
    if !sampling.stop.is_empty() {
        body.insert("stop".into(), json!(sampling.stop));
    }
    Value::Object(body).to_string().into_bytes()
}

fn message(turn: &Turn) -> Value {
    match turn {
        Turn::System(text) => json!({"role": "system", "content": text}),
        Turn::User(parts) => match parts.as_slice() {
            [Part::Text(text)] => json!({"role": "user", "content": text}),
            parts => {
                let content: Vec<Value> = parts.iter().filter_map(user_part).collect();
                json!({"role": "user", "content": content})
            }
        },
        Turn::Assistant(parts) => {
            let text = crate::agent::turn::text_of_parts(parts);
            let calls: Vec<Value> = parts.iter().filter_map(tool_call).collect();
            let mut message = json!({"role": "assistant"});
            message["content"] =
                if text.is_empty() && !calls.is_empty() { Value::Null } else { json!(text) };
            if !calls.is_empty() {
                message["tool_calls"] = Value::Array(calls);
            }
            message
        }
        Turn::ToolResult { call_id, parts, .. } => {
            let text = crate::agent::turn::text_of_parts(parts);
            json!({"role": "tool", "tool_call_id": call_id, "content": text})
        }
    }
}

fn user_part(part: &Part) -> Option<Value> {
    match part {
        Part::Text(text) => Some(json!({"type": "text", "text": text})),
        Part::Image { mime, data } => Some(json!({
            "type": "image_url", "image_url": {"url": format!("data:{mime};base64,{data}")},
        })),
        Part::ToolCall { .. } => None,
    }
}

fn tool_call(part: &Part) -> Option<Value> {
    match part {
        Part::ToolCall { id, name, arguments } => Some(json!({
            "id": id, "type": "function", "function": {"name": name, "arguments": arguments},
        })),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    id: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default = "Vec::new")]
    choices: Vec<Choice<'a>>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Option<WireDelta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<std::borrow::Cow<'a, str>>,
}

#[derive(Deserialize)]
struct WireDelta<'a> {
    #[serde(borrow, default)]
    content: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning_content: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    tool_calls: Option<Vec<WireCall>>,
}

#[derive(Deserialize)]
struct WireCall {
    #[serde(default)]
    index: u64,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<WireFunction>,
}

#[derive(Deserialize)]
struct WireFunction {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    #[serde(default)]
    total_tokens: u64,
    #[serde(default)]
    prompt_tokens_details: Option<WirePromptDetails>,
}

#[derive(Deserialize)]
struct WirePromptDetails {
    #[serde(default)]
    cached_tokens: u64,
}

/// Reads the data of one event.
///
/// # Errors
/// The provider's own report, or that the data is no chunk.
pub fn event(data: &str, tell: &mut dyn FnMut(Delta)) -> Result<Step, StreamError> {
    if data.trim() == "[DONE]" {
        return Ok(Step::End);
    }
    let chunk: Chunk<'_> = serde_json::from_str(data)
        .map_err(|error| StreamError(format!("an event is no completion chunk ({error})")))?;
    if let Some(error) = chunk.error {
        return Err(StreamError(error_text(&error)));
    }
    for choice in chunk.choices.into_iter().take(1) {
        if let Some(delta) = choice.delta {
            read_delta(delta, tell);
        }
        if let Some(reason) = choice.finish_reason {
            if let Some(id) = &chunk.id {
                tell(Delta::ResponseId(id.clone().into_owned()));
            }
            tell(Delta::Finish(stop_reason(&reason)));
        }
    }
    if let Some(usage) = chunk.usage {
        tell(Delta::Usage(read_usage(&usage)));
    }
    Ok(Step::More)
}

fn stop_reason(word: &str) -> StopReason {
    match word {
        "length" => StopReason::Length,
        "tool_calls" | "function_call" => StopReason::ToolUse,
        "content_filter" => StopReason::ContentFilter,
        _ => StopReason::Stop,
    }
}

fn read_usage(usage: &WireUsage) -> Usage {
    let (input, output) = (usage.prompt_tokens, usage.completion_tokens);
    let total =
        if usage.total_tokens > 0 { usage.total_tokens } else { input.saturating_add(output) };
    let cache_read = usage.prompt_tokens_details.as_ref().map_or(0, |d| d.cached_tokens);
    Usage { input, output, total, cache_read, cache_write: 0 }
}

#[derive(Deserialize)]
struct Completion<'a> {
    #[serde(borrow, default)]
    id: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    choices: Vec<WholeChoice<'a>>,
    #[serde(default)]
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct WholeChoice<'a> {
    #[serde(borrow)]
    message: WireDelta<'a>,
    #[serde(borrow, default)]
    finish_reason: Option<std::borrow::Cow<'a, str>>,
}

/// What a body is that did not come as a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Whole {
    /// A whole `chat.completion`; all of it was told.
    Answer,
    /// The provider's own report.
    Error {
        /// Its code, where that is an error status of HTTP.
        status: Option<u16>,
        /// Without such a code: its words are those of overload.
        overload: bool,
        /// What it says.
        text: String,
    },
    /// Neither.
    Neither,
}

/// Reads an answer in one piece: some providers do not stream although they are asked to, and
/// some report an error under a good status.
pub fn whole(body: &[u8], tell: &mut dyn FnMut(Delta)) -> Whole {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if let Some(error) = whole_error(body) {
        return error;
    }
    let Ok(completion) = serde_json::from_slice::<Completion<'_>>(body) else {
        return Whole::Neither;
    };
    let Some(choice) = completion.choices.into_iter().next() else { return Whole::Neither };
    if let Some(id) = completion.id {
        tell(Delta::ResponseId(id.into_owned()));
    }
    let mut message = choice.message;
    for (index, call) in message.tool_calls.iter_mut().flatten().enumerate() {
        call.index = index as u64;
    }
    read_delta(message, tell);
    if let Some(usage) = completion.usage {
        tell(Delta::Usage(read_usage(&usage)));
    }
    tell(Delta::Finish(choice.finish_reason.map_or(StopReason::Stop, |word| stop_reason(&word))));
    Whole::Answer
}

/// The error that a body holds, bare or as the first of a list.
fn whole_error(body: &[u8]) -> Option<Whole> {
    const OVERLOAD: [&str; 4] = ["rate_limit", "overloaded", "server_error", "unavailable"];
    let json: Value = serde_json::from_slice(body).ok()?;
    let json = if json.is_array() { json.get(0)? } else { &json };
    let error = json.get("error").filter(|error| !error.is_null())?;
    let members =
        || [error, json].into_iter().flat_map(|at| ["code", "status", "type"].map(|k| &at[k]));
    let status = members().find_map(|value| {
        let code = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
        u16::try_from(code).ok().filter(|code| (400..600).contains(code))
    });
    let overload = members().filter_map(Value::as_str).any(|word| {
        let word = word.to_ascii_lowercase();
        OVERLOAD.iter().any(|overload| word.contains(overload))
    });
    Some(Whole::Error { status, overload, text: error_text(error) })
}

fn read_delta(delta: WireDelta<'_>, tell: &mut dyn FnMut(Delta)) {
    if let Some(text) = delta.reasoning_content.or(delta.reasoning).filter(|t| !t.is_empty()) {
        tell(Delta::Reasoning(text.into_owned()));
    }
    if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
        tell(Delta::Text(text.into_owned()));
    }
    for call in delta.tool_calls.unwrap_or_default() {
        let function = call.function.unwrap_or(WireFunction { name: None, arguments: None });
        tell(Delta::ToolCall {
            index: call.index,
            id: call.id.filter(|id| !id.is_empty()),
            name: function.name.filter(|name| !name.is_empty()),
            arguments: function.arguments.unwrap_or_default(),
        });
    }
}

/// The message inside a provider's error object, whatever its shape and length.
pub fn error_text(error: &Value) -> String {
    let inner = error.get("error").unwrap_or(error);
    match inner {
        Value::String(text) => text.clone(),
        other => match other.get("message").and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => other.to_string(),
        },
    }
}

/// Arbitrary bytes as one event's data.
pub fn fuzz(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = event(text, &mut |_| {});
    }
    let mut told = 0;
    let read = whole(data, &mut |_| told += 1);
    assert_eq!(read == Whole::Answer, told > 0, "only an answer tells, and tells its end");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &str) -> Vec<Delta> {
        let mut deltas = Vec::new();
        event(data, &mut |delta| deltas.push(delta)).unwrap();
        deltas
    }

    #[test]
    fn chunks_become_deltas() {
        assert_eq!(
            read(r#"{"id":"x","choices":[{"delta":{"role":"assistant","content":""}}]}"#),
            []
        );
        assert_eq!(
            read(r#"{"choices":[{"delta":{"content":"h\u00e9"},"finish_reason":null}]}"#),
            [Delta::Text("hé".to_owned())]
        );
        assert_eq!(
            read(r#"{"id":"x","choices":[{"delta":{},"finish_reason":"length"}]}"#),
            [Delta::ResponseId("x".to_owned()), Delta::Finish(StopReason::Length)]
        );
        assert_eq!(
            read(r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#),
            [Delta::Usage(Usage { input: 3, output: 4, total: 7, ..Usage::default() })]
        );
        assert_eq!(
            read(
                r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"c","function":{"name":"f","arguments":"{"}}]}}]}"#
            ),
            [Delta::ToolCall {
                index: 1,
                id: Some("c".to_owned()),
                name: Some("f".to_owned()),
                arguments: "{".to_owned()
            }]
        );
        assert_eq!(event("[DONE]", &mut |_| {}), Ok(Step::End));
    }

    #[test]
    fn an_error_event_is_the_providers_sentence() {
        let error = event(r#"{"error":{"message":"overloaded","code":529}}"#, &mut |_| {});
        assert_eq!(error, Err(StreamError("overloaded".to_owned())));
        assert!(event("nonsense", &mut |_| {}).is_err());
    }

    #[test]
    fn a_conversation_is_written_in_the_dialect() {
        let ask = Ask {
            turns: vec![
                Turn::System("be kind".to_owned()),
                Turn::User(vec![
                    Part::Text("look".to_owned()),
                    Part::Image { mime: "image/png".to_owned(), data: "AA==".to_owned() },
                ]),
                Turn::Assistant(vec![Part::ToolCall {
                    id: "c1".to_owned(),
                    name: "f".to_owned(),
                    arguments: "{}".to_owned(),
                }]),
                Turn::ToolResult {
                    call_id: "c1".to_owned(),
                    name: None,
                    parts: vec![Part::Text("20C".to_owned())],
                    is_error: false,
                },
            ],
            ..Ask::default()
        };
        let body: Value = serde_json::from_slice(&body("m", &ask)).unwrap();
        assert_eq!(body["messages"][0]["role"], "system");
        assert_eq!(
            body["messages"][1]["content"][1]["image_url"]["url"],
            "data:image/png;base64,AA=="
        );
        assert_eq!(body["messages"][2]["content"], Value::Null);
        assert_eq!(body["messages"][2]["tool_calls"][0]["id"], "c1");
        assert_eq!(body["messages"][3]["tool_call_id"], "c1");
        assert_eq!(body["stream_options"]["include_usage"], true);
        assert!(body.get("tools").is_none());
    }
}
