//! The `openai-completions` dialect: `POST <base>/chat/completions` with `stream: true`, as
//! OpenAI, OpenRouter, Groq, DeepSeek, Ollama, llama.cpp, vLLM and LM Studio speak it.

use super::json::Json;
use super::schema;
use super::{Delta, Spec, Step, StreamError, Whole, errors, spec};
use crate::agent::turn::{Part, Turn, text_of_parts};
use crate::agent::{Ask, StopReason, Thinking, Usage};
use serde::Deserialize;
use serde_json::{Value, json};

/// The members of the request body.
pub(super) fn body(w: &mut Json<'_>, spec: &Spec, ask: &Ask) {
    let compat = &spec.compat;
    w.field("model", &spec.model);
    w.key("messages").array(|w| messages(w, spec, &ask.turns));
    w.plain("stream", true);
    if compat.usage_in_streaming.unwrap_or(true) {
        w.key("stream_options").value(&json!({"include_usage": true}));
    }
    if compat.tools.unwrap_or(true) && ask.all_tools().next().is_some() {
        w.key("tools").array(|w| {
            for tool in ask.all_tools() {
                match schema::cleaned(tool, &compat.unsupported_schema_keywords) {
                    Some(clean) => w.value(&clean),
                    None => w.value(tool),
                }
            }
        });
        w.key("tool_choice").value(ask.tool_choice.as_ref().unwrap_or(&json!("auto")));
    }
    let sampling = &ask.sampling;
    if let Some(n) = sampling.max_tokens {
        w.plain(max_tokens_field(spec), n);
    }
    if let Some(seed) = sampling.seed {
        w.plain("seed", seed);
    }
    for (name, value) in [
        ("temperature", sampling.temperature.filter(|_| compat.temperature.unwrap_or(true))),
        ("top_p", sampling.top_p),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
    ] {
        if let Some(value) = value {
            w.plain(name, value);
        }
    }
    if !sampling.stop.is_empty() {
        w.plain("stop", sampling.stop.clone());
    }
    if let Some(level) = ask.thinking.filter(|_| spec.reasoning) {
        thinking(w, spec, level);
    }
}

/// Servers that know only the field's first name; the others take the new one, which OpenAI's
/// reasoning models insist on.
fn max_tokens_field(spec: &Spec) -> &str {
    const OLD: [&str; 6] = ["chutes", "deepseek", "lmstudio", "mistral", "moonshot", "ollama"];
    match &spec.compat.max_tokens_field {
        Some(field) => field,
        None if OLD.contains(&spec.provider.as_str()) => "max_tokens",
        None => "max_completion_tokens",
    }
}

/// The level in the words of the endpoint.
fn thinking(w: &mut Json<'_>, spec: &Spec, level: Thinking) {
    let compat = &spec.compat;
    let known = match spec.provider.as_str() {
        "openrouter" => "openrouter",
        "zai" => "zai",
        "deepseek" => "deepseek",
        "together" => "together",
        _ => "openai",
    };
    let on = level != Thinking::Off;
    let effort = spec::effort(compat, level);
    match compat.thinking_format.as_deref().unwrap_or(known) {
        "openrouter" => {
            let effort = effort.unwrap_or_else(|| "none".to_owned());
            w.key("reasoning").value(&json!({"effort": effort}));
        }
        "together" => w.key("reasoning").value(&json!({"enabled": on})),
        "qwen" => w.plain("enable_thinking", on),
        "qwen-chat-template" => {
            w.key("chat_template_kwargs").value(&json!({"enable_thinking": on}));
        }
        format => {
            if matches!(format, "zai" | "deepseek") {
                let word = if on { "enabled" } else { "disabled" };
                w.key("thinking").value(&json!({"type": word}));
            }
            let may = compat.reasoning_effort.unwrap_or(format != "zai");
            if let Some(effort) = effort.filter(|_| may) {
                w.field("reasoning_effort", &effort);
            }
        }
    }
}

fn messages(w: &mut Json<'_>, spec: &Spec, turns: &[Turn]) {
    let mut after_tool = false;
    for turn in turns {
        let user = matches!(turn, Turn::User(_));
        if after_tool && user && spec.compat.assistant_after_tool_result {
            w.value(&json!({"role": "assistant", "content": "I have processed the tool results."}));
        }
        after_tool = matches!(turn, Turn::ToolResult { .. });
        w.object(|w| message(w, spec, turn));
        // A `tool` message is text; images follow as the person's.
        if let Turn::ToolResult { parts, .. } = turn
            && parts.iter().any(|part| matches!(part, Part::Image { .. }))
        {
            w.object(|w| {
                w.field("role", "user");
                w.key("content").array(|w| {
                    let text = "Attached image(s) from tool result:";
                    w.value(&json!({"type": "text", "text": text}));
                    parts.iter().for_each(|part| image(w, part));
                });
            });
        }
    }
}

fn message(w: &mut Json<'_>, spec: &Spec, turn: &Turn) {
    let compat = &spec.compat;
    match turn {
        Turn::System(text) => {
            let developer = spec.reasoning && compat.developer_role == Some(true);
            w.field("content", text);
            w.field("role", if developer { "developer" } else { "system" });
        }
        Turn::User(parts) => {
            match parts.as_slice() {
                [Part::Text(text)] => w.field("content", text),
                parts if compat.string_content => w.field("content", &text_of_parts(parts)),
                parts => w.key("content").array(|w| {
                    for part in parts {
                        if let Part::Text(text) = part {
                            w.object(|w| {
                                w.field("text", text);
                                w.field("type", "text");
                            });
                        }
                        image(w, part);
                    }
                }),
            }
            w.field("role", "user");
        }
        Turn::Assistant(parts) => assistant(w, spec, parts),
        Turn::ToolResult { call_id, name, parts, .. } => {
            w.key("content").texts(parts.iter().filter_map(Part::text));
            if let Some(name) = name.as_ref().filter(|_| compat.tool_result_name) {
                w.field("name", name);
            }
            w.field("role", "tool");
            w.field("tool_call_id", call_id);
        }
    }
}

fn assistant(w: &mut Json<'_>, spec: &Spec, parts: &[Part]) {
    let calls = || parts.iter().filter(|part| matches!(part, Part::ToolCall { .. }));
    let thoughts = || {
        let own = parts.iter().filter_map(Part::thought).filter(|thought| spec.made(thought));
        own.map(|thought| thought.text.as_str())
    };
    let as_text = thoughts().filter(|_| spec.compat.thinking_as_text);
    let texts = as_text.chain(parts.iter().filter_map(Part::text));
    if calls().next().is_some() && texts.clone().all(str::is_empty) {
        w.key("content").value(&Value::Null);
    } else {
        w.key("content").texts(texts);
    }
    if spec.compat.reasoning_content || spec.provider == "deepseek" && spec.reasoning {
        w.key("reasoning_content").texts(thoughts());
    }
    w.field("role", "assistant");
    if calls().next().is_some() {
        w.key("tool_calls").array(|w| calls().for_each(|part| tool_call(w, part)));
    }
}

fn image(w: &mut Json<'_>, part: &Part) {
    let Part::Image { mime, data } = part else { return };
    w.object(|w| {
        w.key("image_url").object(|w| w.key("url").texts(["data:", mime, ";base64,", data]));
        w.field("type", "image_url");
    });
}

fn tool_call(w: &mut Json<'_>, part: &Part) {
    let Part::ToolCall { id, name, arguments } = part else { return };
    w.object(|w| {
        w.key("function").object(|w| {
            w.field("arguments", arguments);
            w.field("name", name);
        });
        w.field("id", id);
        w.field("type", "function");
    });
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
        .map_err(|error| StreamError::garbled("completion chunk", &error))?;
    if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
        return Err(StreamError::report(&error));
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
    Usage { input, output, total, cache_read, ..Usage::default() }
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

/// Reads an answer in one piece: some providers do not stream although they are asked to, and
/// some report an error under a good status.
pub fn whole(body: &[u8], tell: &mut dyn FnMut(Delta)) -> Whole {
    let body = errors::without_bom(body);
    if let Some(error) = errors::whole_error(body) {
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

#[cfg(test)]
mod tests {
    use super::super::json::object;
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
        let error = error.unwrap_err();
        assert_eq!((error.text.as_str(), error.status), ("overloaded", Some(529)));
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
        let body = object(|w| super::body(w, &Spec::named("p", "m"), &ask));
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
