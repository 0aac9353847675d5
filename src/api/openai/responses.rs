//! `POST /v1/responses`: string and item input. Facts: FACTS.md section 8.4.
//!
//! Items are `message` (also without `type`, as OpenAI's own SDK sends them), `function_call`,
//! `function_call_output`; `reasoning` and `item_reference` are accepted and passed over.
//! `system` and `developer` messages go to the system prompt after `instructions`, then the
//! text of files. Images and files count in the newest user message only: earlier ones were
//! answered with.

use super::invalid;
use super::media::{self, About, Fetch, Place, Source};
use super::request::{self, Body, OfDoor, Request, Result, wrong_type};
use crate::agent::Ask;
use crate::agent::turn::{Part, Turn};
use crate::config::{Config, ResponsesEndpoint};
use crate::wire::http::head::Headers;
use serde_json::Value;

/// Reads a request; `nonce` is unpredictable and marks the borders of files.
///
/// # Errors
/// The reply for the client: always 400 in OpenAI's shape.
pub fn parse(body: &[u8], headers: &Headers, config: &Config, nonce: &str) -> Result<Request> {
    let body = request::object(body)?;
    let Some(model) = request::text(&body, "model")? else {
        return Err(invalid(400, "model: Invalid input: expected string, received undefined"));
    };
    let stream = request::flag(&body, "stream", false)?;
    let store = request::flag(&body, "store", true)?;
    let previous = request::text(&body, "previous_response_id")?;
    let previous = previous.map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned);
    let metadata = match request::member(&body, "metadata") {
        None => None,
        Some(Value::Object(map)) if map.values().all(Value::is_string) => {
            Some(Value::Object(map.clone()))
        }
        Some(_) => return Err(invalid(400, "metadata: Invalid input: expected strings by name")),
    };
    let route = request::route(&body, model, headers, config, "openresponses")?;
    let mut input = Input {
        endpoint: &config.gateway.endpoints.responses,
        nonce,
        system: Vec::new(),
        turns: Vec::new(),
        fetches: Vec::new(),
        url_parts: 0,
    };
    if let Some(text) = request::text(&body, "instructions")?.filter(|text| !text.is_empty()) {
        input.system.push(Turn::System(text.to_owned()));
    }
    input.system.extend(route.channel.as_deref().map(super::channel_turn));
    input.read(&body)?;
    let tools = request::tools(&body)?;
    let sampling = request::sampling(&body, request::tokens(&body, "max_output_tokens")?)?;
    let (turns, fetches) = input.into_turns();
    Ok(Request {
        agent: route.agent,
        model: model.to_owned(),
        backend_model: route.backend_model,
        session_key: route.session_key,
        stream,
        tool_required: tools.required,
        ask: Ask {
            turns,
            tools: tools.tools,
            tool_choice: tools.choice,
            sampling,
            thinking: request::thinking(&body),
            ..Ask::default()
        },
        fetches,
        door: OfDoor::Responses { previous, store, metadata },
    })
}

/// Reads the items.
struct Input<'a> {
    endpoint: &'a ResponsesEndpoint,
    nonce: &'a str,
    system: Vec<Turn>,
    turns: Vec<Turn>,
    fetches: Vec<Fetch>,
    url_parts: usize,
}

fn bad_item(n: usize, what: &str) -> crate::api::Reply {
    invalid(400, &format!("input: Invalid input: input[{n}]: {what}"))
}

impl Input<'_> {
    fn read(&mut self, body: &Body) -> Result<()> {
        match body.get("input") {
            Some(Value::String(text)) => {
                if !text.is_empty() {
                    self.turns.push(Turn::User(vec![Part::Text(text.clone())]));
                }
            }
            Some(Value::Array(items)) => {
                let active = active(items);
                for (n, item) in items.iter().enumerate() {
                    self.item(item, n, active == Some(n))?;
                }
            }
            None | Some(_) => return Err(invalid(400, "input: Invalid input")),
        }
        let asks = |turn: &Turn| matches!(turn, Turn::User(_) | Turn::ToolResult { .. });
        if self.turns.iter().any(asks) {
            return Ok(());
        }
        Err(invalid(400, "Missing user message in `input`."))
    }

    fn item(&mut self, item: &Value, n: usize, active: bool) -> Result<()> {
        let text = |name: &str| item.get(name).and_then(Value::as_str);
        let kind = text("type").or_else(|| text("role").map(|_| "message"));
        match kind {
            Some("message") => self.message(item, n, active),
            Some("function_call") => {
                let id = text("call_id").or_else(|| text("id")).unwrap_or_default();
                let (Some(name), Some(arguments)) = (text("name"), text("arguments")) else {
                    return Err(bad_item(n, "a function_call has name and arguments"));
                };
                let call = Part::ToolCall {
                    id: id.to_owned(),
                    name: name.to_owned(),
                    arguments: arguments.to_owned(),
                };
                // Calls of one answer belong to one message.
                match self.turns.last_mut() {
                    Some(Turn::Assistant(parts)) => parts.push(call),
                    _ => self.turns.push(Turn::Assistant(vec![call])),
                }
                Ok(())
            }
            Some("function_call_output") => {
                let (Some(id), Some(output)) = (text("call_id"), item.get("output")) else {
                    return Err(bad_item(n, "a function_call_output has call_id and output"));
                };
                let parts = self.output(output, n)?;
                let (call_id, name, is_error) = (id.to_owned(), None, false);
                self.turns.push(Turn::ToolResult { call_id, name, parts, is_error });
                Ok(())
            }
            Some("reasoning" | "item_reference") => Ok(()),
            Some(other) => {
                let shown: String = other.chars().take(32).collect();
                Err(bad_item(n, &format!("unknown type '{shown}'")))
            }
            None => Err(bad_item(n, "expected an item with a type")),
        }
    }

    /// A tool's output: text, or text and images in parts.
    fn output(&mut self, output: &Value, n: usize) -> Result<Vec<Part>> {
        match output {
            Value::String(text) => Ok(vec![Part::Text(text.clone())]),
            Value::Array(_) => self.parts(output, n, true),
            other => Err(wrong_type(&format!("input[{n}].output"), "string", other)),
        }
    }

    fn message(&mut self, item: &Value, n: usize, active: bool) -> Result<()> {
        let content = item.get("content").unwrap_or(&Value::Null);
        let role = item.get("role").and_then(Value::as_str).unwrap_or_default();
        let parts = match (role, content) {
            ("system" | "developer" | "user" | "assistant", Value::String(text)) => {
                vec![Part::Text(text.clone())]
            }
            ("system" | "developer" | "user" | "assistant", Value::Array(_)) => {
                self.parts(content, n, active)?
            }
            ("system" | "developer" | "user" | "assistant", other) => {
                return Err(wrong_type(&format!("input[{n}].content"), "string", other));
            }
            _ => return Err(bad_item(n, "role is system, developer, user or assistant")),
        };
        match role {
            "system" | "developer" => {
                let text = crate::agent::turn::text_of_parts(&parts);
                self.system.push(Turn::System(text));
            }
            "assistant" => self.turns.push(Turn::Assistant(parts)),
            _ => {
                let parts = match parts.is_empty() {
                    // Every provider wants some words in a message.
                    true => vec![Part::Text("[files without a word]".to_owned())],
                    false => parts,
                };
                self.turns.push(Turn::User(parts));
            }
        }
        Ok(())
    }

    fn parts(&mut self, content: &Value, n: usize, active: bool) -> Result<Vec<Part>> {
        let items = content.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut parts = Vec::with_capacity(items.len());
        for item in items {
            let text = |name: &str| item.get(name).and_then(Value::as_str);
            match text("type") {
                Some("input_text" | "output_text" | "text" | "refusal") => {
                    let said = text("text").or_else(|| text("refusal")).unwrap_or_default();
                    parts.push(Part::Text(said.to_owned()));
                }
                Some("input_image") => {
                    if let Some(part) = self.image(item, n, parts.len(), active)? {
                        parts.push(part);
                    }
                }
                Some("input_file") => self.file(item, n, active)?,
                _ => return Err(bad_item(n, "unsupported content part")),
            }
        }
        Ok(parts)
    }

    fn url_part(&mut self) -> Result<()> {
        self.url_parts += 1;
        if self.url_parts <= self.endpoint.max_url_parts {
            return Ok(());
        }
        Err(invalid(
            400,
            &format!(
                "Too many URL-based input sources: {} (limit: {}, \
                 gateway.http.endpoints.responses.maxUrlParts)",
                self.url_parts, self.endpoint.max_url_parts
            ),
        ))
    }

    fn image(&mut self, item: &Value, n: usize, at: usize, active: bool) -> Result<Option<Part>> {
        let bad = || bad_item(n, "an input_image has a source or image_url: base64 or http(s)");
        let source = sourced(item).or_else(|| {
            let url = item.get("image_url")?;
            media::source(url.as_str().or_else(|| url.get("url")?.as_str())?)
        });
        match source.ok_or_else(bad)? {
            Source::Url(url) => {
                self.url_part()?;
                allowed(self.endpoint.images.allow_url, n, self.endpoint.images.path)?;
                if !active {
                    return Ok(None);
                }
                let place = Place::Image { turn: self.turns.len(), part: at };
                self.fetches.push(Fetch { url: url.to_owned(), place });
                Ok(Some(Part::Text(String::new())))
            }
            Source::Inline(..) if !active => Ok(None),
            Source::Inline(mime, data) => {
                Ok(Some(media::image(mime, data, &self.endpoint.images)?.0))
            }
        }
    }

    fn file(&mut self, item: &Value, n: usize, active: bool) -> Result<()> {
        let bad =
            || bad_item(n, "an input_file has a source, file_data or file_url: base64 or http(s)");
        let text = |name: &str| item.get(name).and_then(Value::as_str);
        let source =
            sourced(item).or_else(|| text("file_url").and_then(media::source)).or_else(|| {
                let data = text("file_data")?;
                media::source(data).or(Some(Source::Inline(None, data)))
            });
        let nested = item.get("source").and_then(|source| source.get("filename")?.as_str());
        let name = nested.or_else(|| text("filename"));
        match source.ok_or_else(bad)? {
            Source::Url(url) => {
                self.url_part()?;
                allowed(self.endpoint.files.allow_url, n, self.endpoint.files.path)?;
                if active {
                    self.fetches.push(Fetch { url: url.to_owned(), place: Place::File });
                }
            }
            Source::Inline(mime, data) if active => {
                let max_chars = self.endpoint.max_file_chars;
                let about = About { mime, name, max_chars, nonce: self.nonce };
                self.system.push(media::file(data, about, &self.endpoint.files)?);
            }
            Source::Inline(..) => {}
        }
        Ok(())
    }

    /// System prompts first; places of fetches move along.
    fn into_turns(mut self) -> (Vec<Turn>, Vec<Fetch>) {
        for fetch in &mut self.fetches {
            if let Place::Image { turn, .. } = &mut fetch.place {
                *turn += self.system.len();
            }
        }
        self.system.append(&mut self.turns);
        (self.system, self.fetches)
    }
}

fn allowed(on: bool, n: usize, path: &str) -> Result<()> {
    if on {
        return Ok(());
    }
    Err(bad_item(n, &format!("URLs are switched off; send base64, or set {path}.allowUrl=true")))
}

/// `source: {type: "base64", media_type, data} | {type: "url", url}`.
fn sourced(item: &Value) -> Option<Source<'_>> {
    let source = item.get("source")?;
    let text = |name: &str| source.get(name).and_then(Value::as_str);
    match text("type")? {
        "base64" => Some(Source::Inline(text("media_type"), text("data")?)),
        "url" => media::source(text("url")?),
        _ => None,
    }
}

/// The newest user message, unless a tool's output is newer.
fn active(items: &[Value]) -> Option<usize> {
    for (n, item) in items.iter().enumerate().rev() {
        let text = |name: &str| item.get(name).and_then(Value::as_str);
        if text("type") == Some("function_call_output") {
            return None;
        }
        if text("role") == Some("user") {
            return Some(n);
        }
    }
    None
}

/// Any body: a request or a reply, never a panic.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let config = Config::defaults();
    let headers = Headers::default();
    for result in [parse(data, &headers, &config, "n"), super::chat::parse(data, &headers, &config)]
    {
        match result {
            Ok(request) => {
                let asks = |turn: &Turn| matches!(turn, Turn::User(_) | Turn::ToolResult { .. });
                assert!(request.ask.turns.iter().any(asks));
                for fetch in &request.fetches {
                    if let Place::Image { turn, part } = fetch.place {
                        let parts = match request.ask.turns.get(turn) {
                            Some(
                                Turn::User(parts)
                                | Turn::Assistant(parts)
                                | Turn::ToolResult { parts, .. },
                            ) => parts,
                            other => panic!("no place for an image: {other:?}"),
                        };
                        assert_eq!(parts.get(part), Some(&Part::Text(String::new())));
                    }
                }
            }
            Err(reply) => assert!((400..500).contains(&reply.status)),
        }
    }
}
