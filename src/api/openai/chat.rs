//! `POST /v1/chat/completions`: the request as OpenAI documents it. Facts: FACTS.md section 8.3.

use super::invalid;
use super::media::{self, Fetch, Place, Source};
use super::request::{self, Body, OfDoor, Request, Result, wrong_type};
use crate::agent::Ask;
use crate::agent::turn::{Part, Turn, text_of_parts};
use crate::config::{ChatEndpoint, Config};
use crate::wire::http::head::Headers;
use serde_json::Value;

/// Reads a request.
///
/// # Errors
/// The reply for the client: always 400 or 404 in OpenAI's shape.
pub fn parse(body: &[u8], headers: &Headers, config: &Config) -> Result<Request> {
    let body = request::object(body)?;
    let model = request::text(&body, "model")?.unwrap_or("openclaw");
    let stream = request::flag(&body, "stream", false)?;
    let mut images = Images::new(&config.gateway.endpoints.chat_completions);
    let mut turns = images.turns(&body)?;
    let route = request::route(&body, model, headers, config, "openai")?;
    let tools = request::tools(&body)?;
    let legacy = request::tokens(&body, "max_tokens")?;
    let max_tokens = request::tokens(&body, "max_completion_tokens")?.or(legacy);
    let sampling = request::sampling(&body, max_tokens)?;
    let include_usage = body
        .get("stream_options")
        .and_then(|options| options.get("include_usage"))
        .and_then(Value::as_bool)
        .unwrap_or(false);
    if let Some(channel) = &route.channel {
        images.shift(1);
        turns.insert(0, super::channel_turn(channel));
    }
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
        fetches: images.fetches,
        door: OfDoor::Chat { include_usage },
    })
}

/// Reads messages; counts their images.
struct Images<'a> {
    endpoint: &'a ChatEndpoint,
    parts: usize,
    bytes: usize,
    fetches: Vec<Fetch>,
}

impl<'a> Images<'a> {
    fn new(endpoint: &'a ChatEndpoint) -> Self {
        Self { endpoint, parts: 0, bytes: 0, fetches: Vec::new() }
    }

    /// Turns were put in front.
    fn shift(&mut self, by: usize) {
        for fetch in &mut self.fetches {
            if let Place::Image { turn, .. } = &mut fetch.place {
                *turn += by;
            }
        }
    }

    fn turns(&mut self, body: &Body) -> Result<Vec<Turn>> {
        let missing = || invalid(400, "Missing user message in `messages`.");
        let messages = match body.get("messages") {
            None => return Err(missing()),
            Some(Value::Array(messages)) => messages,
            Some(other) => return Err(wrong_type("messages", "array", other)),
        };
        let mut turns = Vec::with_capacity(messages.len());
        for (n, message) in messages.iter().enumerate() {
            turns.push(self.turn(message, n)?);
        }
        let answerable =
            turns.iter().any(|turn| matches!(turn, Turn::User(_) | Turn::ToolResult { .. }));
        if answerable { Ok(turns) } else { Err(missing()) }
    }

    fn turn(&mut self, message: &Value, n: usize) -> Result<Turn> {
        let text = |name: &str| message.get(name).and_then(Value::as_str).map(str::to_owned);
        let role = text("role").ok_or_else(|| {
            invalid(400, &format!("messages[{n}].role: Invalid input: expected string"))
        })?;
        let content = message.get("content").unwrap_or(&Value::Null);
        let parts = self.content(content, n)?;
        Ok(match role.as_str() {
            "system" | "developer" => Turn::System(text_of_parts(&parts)),
            "user" => Turn::User(parts),
            "assistant" => {
                let mut parts = parts;
                parts.extend(assistant_calls(message, n)?);
                Turn::Assistant(parts)
            }
            "tool" | "function" => Turn::ToolResult {
                call_id: text("tool_call_id").unwrap_or_default(),
                name: text("name"),
                parts,
                is_error: false,
            },
            other => {
                let shown: String = other.chars().take(32).collect();
                return Err(invalid(400, &format!("messages[{n}].role: unknown role '{shown}'")));
            }
        })
    }

    fn content(&mut self, content: &Value, n: usize) -> Result<Vec<Part>> {
        match content {
            Value::Null => Ok(Vec::new()),
            Value::String(text) => Ok(vec![Part::Text(text.clone())]),
            Value::Array(items) => {
                let parts = items.iter().enumerate();
                parts.map(|(at, item)| self.part(item, n, at)).collect()
            }
            other => Err(wrong_type(&format!("messages[{n}].content"), "string", other)),
        }
    }

    fn part(&mut self, item: &Value, turn: usize, part: usize) -> Result<Part> {
        match item.get("type").and_then(Value::as_str) {
            Some("text" | "input_text" | "output_text" | "refusal") => {
                let text = item.get("text").or_else(|| item.get("refusal"));
                Ok(Part::Text(text.and_then(Value::as_str).unwrap_or_default().to_owned()))
            }
            Some("image_url") => self.image(item, turn, part),
            _ => Err(invalid(400, &format!("messages[{turn}].content: unsupported content part"))),
        }
    }

    fn image(&mut self, item: &Value, turn: usize, part: usize) -> Result<Part> {
        let url = item.get("image_url").and_then(|image| match image {
            Value::String(url) => Some(url.as_str()),
            other => other.get("url").and_then(Value::as_str),
        });
        let endpoint = self.endpoint;
        self.parts += 1;
        if self.parts > endpoint.max_image_parts {
            return Err(invalid(
                400,
                &format!(
                    "Invalid image_url content in `messages`: more than {} images \
                     (gateway.http.endpoints.chatCompletions.maxImageParts)",
                    endpoint.max_image_parts
                ),
            ));
        }
        match url.and_then(media::source) {
            Some(Source::Inline(mime, data)) => {
                let (image, bytes) = media::image(mime, data, &endpoint.images)?;
                self.bytes = self.bytes.saturating_add(bytes);
                if self.bytes > endpoint.max_total_image_bytes {
                    return Err(invalid(
                        400,
                        "Invalid image_url content in `messages`: the images together are \
                         larger than gateway.http.endpoints.chatCompletions.maxTotalImageBytes",
                    ));
                }
                Ok(image)
            }
            Some(Source::Url(url)) if endpoint.images.allow_url => {
                let place = Place::Image { turn, part };
                self.fetches.push(Fetch { url: url.to_owned(), place });
                Ok(Part::Text(String::new()))
            }
            Some(Source::Url(_)) => Err(invalid(
                400,
                "Invalid image_url content in `messages`: images by URL are switched off; send a \
                 data: URL, or set gateway.http.endpoints.chatCompletions.images.allowUrl=true",
            )),
            None => Err(invalid(
                400,
                "Invalid image_url content in `messages`. Send the image itself as a \
                 data:image/…;base64 URL.",
            )),
        }
    }
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
