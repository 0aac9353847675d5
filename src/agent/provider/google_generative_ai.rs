//! The `google-generative-ai` dialect: `POST <base>/models/<model>:streamGenerateContent?alt=sse`.
//! <https://ai.google.dev/api/generate-content>
//!
//! Each event is a whole response with the next parts; no event says that it is the last, so
//! the connection's end after a `finishReason` is a good end. A function call comes in one piece.
//! Gemini 3 signs its first call: the signature travels as a [`Thought`] without words.

use super::json::Json;
use super::openai_responses::separated;
use super::schema::{self, Choice};
use super::{Class, Delta, Spec, Step, StreamError, Whole, errors};
use crate::agent::turn::{Part, Thought, Turn};
use crate::agent::{Ask, StopReason, Thinking, Usage};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// The members of the request body.
pub(super) fn body(w: &mut Json<'_>, spec: &Spec, ask: &Ask) {
    let mut systems = ask.turns.iter().filter_map(system).peekable();
    if systems.peek().is_some() {
        w.key("systemInstruction").object(|w| {
            w.key("parts").array(|w| {
                w.object(|w| w.key("text").texts(separated(systems)));
            });
        });
    }
    w.key("contents").array(|w| contents(w, spec, &ask.turns));
    if spec.compat.tools.unwrap_or(true) && ask.all_tools().next().is_some() {
        tools(w, spec, ask);
    }
    w.key("generationConfig").object(|w| generation(w, spec, ask));
}

fn system(turn: &Turn) -> Option<&str> {
    match turn {
        Turn::System(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn generation(w: &mut Json<'_>, spec: &Spec, ask: &Ask) {
    let sampling = &ask.sampling;
    if let Some(n) = sampling.max_tokens {
        w.plain("maxOutputTokens", n);
    }
    if let Some(seed) = sampling.seed {
        w.plain("seed", seed);
    }
    for (name, value) in [
        ("temperature", sampling.temperature.filter(|_| spec.compat.temperature.unwrap_or(true))),
        ("topP", sampling.top_p),
        ("frequencyPenalty", sampling.frequency_penalty),
        ("presencePenalty", sampling.presence_penalty),
    ] {
        if let Some(value) = value {
            w.plain(name, value);
        }
    }
    if !sampling.stop.is_empty() {
        w.plain("stopSequences", sampling.stop.clone());
    }
    if let Some(level) = ask.thinking.filter(|_| spec.reasoning) {
        w.key("thinkingConfig").value(&thinking(&spec.model, level));
    }
}

/// Gemini 3 takes words and cannot stop thinking; Gemini 2.5 takes a number of tokens.
fn thinking(model: &str, level: Thinking) -> Value {
    let name = model.rsplit('/').next().unwrap_or(model);
    let major = name.strip_prefix("gemini-").and_then(|rest| rest.split(['.', '-']).next());
    if major.and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 3) {
        let flash = name.contains("flash");
        let word = match level {
            Thinking::Adaptive => return json!({"includeThoughts": true}),
            Thinking::Off if flash => return json!({"thinkingLevel": "MINIMAL"}),
            Thinking::Off => return json!({"thinkingLevel": "LOW"}),
            Thinking::Minimal if flash => "MINIMAL",
            Thinking::Minimal | Thinking::Low => "LOW",
            Thinking::Medium if flash || !name.starts_with("gemini-3-pro") => "MEDIUM",
            _ => "HIGH",
        };
        return json!({"includeThoughts": true, "thinkingLevel": word});
    }
    let pro = name.contains("pro");
    let budget = match level {
        Thinking::Off if pro => return json!({"thinkingBudget": 128}),
        Thinking::Off => return json!({"thinkingBudget": 0}),
        Thinking::Adaptive => -1,
        Thinking::Minimal => 512,
        Thinking::Low => 2048,
        Thinking::Medium => 8192,
        _ if pro => 32_768,
        _ => 24_576,
    };
    json!({"includeThoughts": true, "thinkingBudget": budget})
}

fn contents(w: &mut Json<'_>, spec: &Spec, turns: &[Turn]) {
    let is_model = |turn: &Turn| matches!(turn, Turn::Assistant(_));
    let shown: Vec<&Turn> = turns.iter().filter(|turn| has_content(turn)).collect();
    // All answers to parallel calls must come together.
    for group in shown.chunk_by(|a, b| is_model(a) == is_model(b)) {
        w.object(|w| {
            let model = group.first().is_some_and(|turn| is_model(turn));
            w.field("role", if model { "model" } else { "user" });
            w.key("parts").array(|w| group.iter().for_each(|turn| parts(w, spec, turn, turns)));
        });
    }
}

fn has_content(turn: &Turn) -> bool {
    match turn {
        Turn::System(_) => false,
        Turn::ToolResult { .. } => true,
        Turn::User(parts) | Turn::Assistant(parts) => parts.iter().any(|part| match part {
            Part::Text(text) => !text.is_empty(),
            Part::Image { .. } | Part::ToolCall { .. } => true,
            Part::Thinking(_) => false,
        }),
    }
}

fn parts(w: &mut Json<'_>, spec: &Spec, turn: &Turn, turns: &[Turn]) {
    match turn {
        Turn::System(_) => {}
        Turn::User(parts) => parts.iter().for_each(|part| plain(w, part)),
        Turn::Assistant(parts) => {
            let own = parts.iter().filter_map(Part::thought).filter(|thought| spec.made(thought));
            let mut signature = own.filter_map(|thought| thought.signature.as_deref()).next();
            for part in parts {
                match part {
                    Part::ToolCall { name, arguments, .. } => w.object(|w| {
                        w.key("functionCall").object(|w| {
                            w.field("name", name);
                            let args = serde_json::from_str::<Value>(arguments);
                            w.key("args");
                            match args.is_ok_and(|args| args.is_object()) {
                                true => w.raw(arguments),
                                false => w.object(|_| {}),
                            }
                        });
                        if let Some(signature) = signature.take() {
                            w.field("thoughtSignature", signature);
                        }
                    }),
                    other => plain(w, other),
                }
            }
        }
        Turn::ToolResult { call_id, name, parts, is_error } => {
            let name = name.as_deref().or_else(|| name_of(call_id, turns)).unwrap_or("tool");
            w.object(|w| {
                w.key("functionResponse").object(|w| {
                    w.field("name", name);
                    w.key("response").object(|w| {
                        w.key(if *is_error { "error" } else { "output" });
                        w.texts(parts.iter().filter_map(Part::text));
                    });
                });
            });
            let images = parts.iter().filter(|part| matches!(part, Part::Image { .. }));
            images.for_each(|part| plain(w, part));
        }
    }
}

/// The tool that a call asked for: answers go by name here.
fn name_of<'a>(call_id: &str, turns: &'a [Turn]) -> Option<&'a str> {
    let mut parts = turns.iter().rev().filter_map(|turn| match turn {
        Turn::Assistant(parts) => Some(parts),
        _ => None,
    });
    parts.find_map(|parts| {
        parts.iter().find_map(|part| match part {
            Part::ToolCall { id, name, .. } if id == call_id => Some(name.as_str()),
            _ => None,
        })
    })
}

fn plain(w: &mut Json<'_>, part: &Part) {
    match part {
        Part::Text(text) if !text.is_empty() => w.object(|w| w.field("text", text)),
        Part::Image { mime, data } => w.object(|w| {
            w.key("inlineData").object(|w| {
                w.field("mimeType", mime);
                w.field("data", data);
            });
        }),
        _ => {}
    }
}

fn tools(w: &mut Json<'_>, spec: &Spec, ask: &Ask) {
    w.key("tools").array(|w| {
        w.object(|w| {
            w.key("functionDeclarations").array(|w| {
                for tool in ask.all_tools() {
                    let clean = schema::cleaned(tool, &spec.compat.unsupported_schema_keywords);
                    let Some(function) = schema::function(clean.as_ref().unwrap_or(tool)) else {
                        continue;
                    };
                    w.object(|w| {
                        w.field("name", function.name);
                        w.field("description", function.description.unwrap_or_default());
                        if let Some(parameters) = function.parameters {
                            w.key("parametersJsonSchema").value(parameters);
                        }
                    });
                }
            });
        });
    });
    let config = match schema::choice(ask.tool_choice.as_ref()) {
        Choice::Auto => return,
        Choice::None => json!({"mode": "NONE"}),
        Choice::Any => json!({"mode": "ANY"}),
        Choice::Named(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    };
    w.key("toolConfig").value(&json!({"functionCallingConfig": config}));
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    #[serde(borrow, default)]
    candidates: Option<Vec<Candidate<'a>>>,
    #[serde(default)]
    usage_metadata: Option<WireUsage>,
    #[serde(default)]
    prompt_feedback: Option<Value>,
    #[serde(default)]
    response_id: Option<String>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    finish_message: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: Option<Vec<WirePart<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePart<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(default)]
    thought: bool,
    #[serde(default)]
    thought_signature: Option<String>,
    #[serde(default)]
    function_call: Option<FunctionCall>,
}

#[derive(Deserialize)]
struct FunctionCall {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    args: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireUsage {
    #[serde(default)]
    prompt_token_count: u64,
    #[serde(default)]
    tool_use_prompt_token_count: u64,
    #[serde(default)]
    candidates_token_count: u64,
    #[serde(default)]
    thoughts_token_count: u64,
    #[serde(default)]
    cached_content_token_count: u64,
    #[serde(default)]
    total_token_count: u64,
}

/// The reading side of one answer.
#[derive(Debug, Default)]
pub struct Reader {
    /// Calls so far.
    calls: u64,
    /// The provider's id was told.
    named: bool,
}

impl Reader {
    /// Reads the data of one event.
    ///
    /// # Errors
    /// The provider's own report, or that the data is no response.
    pub fn event(&mut self, data: &str, tell: &mut dyn FnMut(Delta)) -> Result<Step, StreamError> {
        if data.trim() == "[DONE]" {
            return Ok(Step::End);
        }
        let response: Response<'_> = serde_json::from_str(data)
            .map_err(|error| StreamError::garbled("content response", &error))?;
        self.response(response, tell)?;
        Ok(Step::More)
    }

    fn response(
        &mut self,
        response: Response<'_>,
        tell: &mut dyn FnMut(Delta),
    ) -> Result<(), StreamError> {
        if let Some(error) = response.error.filter(|error| !error.is_null()) {
            return Err(StreamError::report(&error));
        }
        if let Some(id) = response.response_id.filter(|_| !self.named) {
            self.named = true;
            tell(Delta::ResponseId(id));
        }
        let blocked = response.prompt_feedback.is_some_and(|why| why["blockReason"].is_string());
        let candidate = response.candidates.unwrap_or_default().into_iter().next();
        let mut finish = blocked.then_some(StopReason::ContentFilter);
        if let Some(candidate) = candidate {
            let parts = candidate.content.and_then(|content| content.parts).unwrap_or_default();
            for part in parts {
                self.part(part, tell);
            }
            if let Some(reason) = candidate.finish_reason {
                finish = Some(self.stop_reason(&reason, candidate.finish_message.as_deref())?);
            }
        }
        if let Some(usage) = response.usage_metadata {
            tell(Delta::Usage(read_usage(&usage)));
        }
        if let Some(finish) = finish {
            tell(Delta::Finish(finish));
        }
        Ok(())
    }

    fn part(&mut self, part: WirePart<'_>, tell: &mut dyn FnMut(Delta)) {
        let signed = part.thought_signature.filter(|_| part.function_call.is_some());
        if let Some(signature) = signed {
            let signature = Some(signature);
            tell(Delta::Thought(Thought { signature, ..Thought::default() }));
        }
        if let Some(text) = part.text.filter(|text| !text.is_empty()) {
            let text = text.into_owned();
            tell(if part.thought { Delta::Reasoning(text) } else { Delta::Text(text) });
        }
        if let Some(call) = part.function_call {
            let index = self.calls;
            self.calls = self.calls.saturating_add(1);
            let arguments =
                if call.args.is_object() { call.args.to_string() } else { "{}".to_owned() };
            let id = call.id.filter(|id| !id.is_empty());
            tell(Delta::ToolCall { index, id, name: Some(call.name), arguments });
        }
    }

    fn stop_reason(&self, word: &str, why: Option<&str>) -> Result<StopReason, StreamError> {
        Ok(match word {
            "MAX_TOKENS" => StopReason::Length,
            "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII"
            | "IMAGE_SAFETY" => StopReason::ContentFilter,
            "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" => {
                let text = format!("the model's call was no call ({word}) {}", why.unwrap_or(""));
                let text = text.trim_end().to_owned();
                return Err(StreamError { class: Class::Transient, status: None, text });
            }
            _ if self.calls > 0 => StopReason::ToolUse,
            _ => StopReason::Stop,
        })
    }

    /// Reads an answer in one piece (one response, or the list of them that comes without
    /// `alt=sse`), or the error under a good status.
    pub fn whole(&mut self, body: &[u8], tell: &mut dyn FnMut(Delta)) -> Whole {
        let body = errors::without_bom(body);
        if let Some(error) = errors::whole_error(body) {
            return error;
        }
        let list = match serde_json::from_slice::<Vec<Response<'_>>>(body) {
            Ok(list) => list,
            Err(_) => serde_json::from_slice(body).map(|one| vec![one]).unwrap_or_default(),
        };
        let known = |one: &Response<'_>| one.candidates.is_some() || one.prompt_feedback.is_some();
        if !list.iter().any(known) {
            return Whole::Neither;
        }
        let mut finished = false;
        for response in list {
            let told = self.response(response, &mut |delta| {
                finished |= matches!(delta, Delta::Finish(_));
                tell(delta);
            });
            if let Err(error) = told {
                return Whole::Error(error);
            }
        }
        if !finished {
            tell(Delta::Finish(if self.calls > 0 {
                StopReason::ToolUse
            } else {
                StopReason::Stop
            }));
        }
        Whole::Answer
    }
}

fn read_usage(usage: &WireUsage) -> Usage {
    let input = usage.prompt_token_count.saturating_add(usage.tool_use_prompt_token_count);
    let output = usage.candidates_token_count.saturating_add(usage.thoughts_token_count);
    let total = match usage.total_token_count {
        0 => input.saturating_add(output),
        total => total,
    };
    let cache_read = usage.cached_content_token_count;
    Usage { input, output, total, cache_read, ..Usage::default() }
}

#[cfg(test)]
#[path = "google_generative_ai_tests.rs"]
mod tests;
