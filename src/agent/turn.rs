//! One conversation as a model sees it, independent of any provider's dialect.
//!
//! Transcripts keep messages in the reference's form (`role` user, assistant, toolResult with
//! typed content parts); HTTP requests bring OpenAI's. Both become [`Turn`]s, and a dialect
//! turns those into its own request.

use serde_json::{Value, json};

/// A piece of content.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Plain text.
    Text(String),
    /// An image: media type and base64.
    Image {
        /// Such as `image/png`.
        mime: String,
        /// Base64, standard alphabet.
        data: String,
    },
    /// The model asks for a tool.
    ToolCall {
        /// The provider's id for it.
        id: String,
        /// Which tool.
        name: String,
        /// JSON text as the model wrote it.
        arguments: String,
    },
    /// What the model thought; only the model that made it gets it back.
    Thinking(Thought),
}

/// A piece of a model's thinking, complete. On disk `{type: "thinking", thinking,
/// thinkingSignature?, redacted?}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Thought {
    /// In words, if the provider shows them.
    pub text: String,
    /// What the provider wants back to believe that it thought so: Anthropic's signature or
    /// encrypted data, OpenAI's whole reasoning item as JSON, Google's thought signature.
    pub signature: Option<String>,
    /// `signature` is all there is: the provider hid the words.
    pub redacted: bool,
    /// Who thought: `provider/model`.
    pub by: String,
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// Instructions.
    System(String),
    /// The person.
    User(Vec<Part>),
    /// The model.
    Assistant(Vec<Part>),
    /// What a tool answered.
    ToolResult {
        /// The call it answers.
        call_id: String,
        /// Which tool, if known.
        name: Option<String>,
        /// Its output: text and images.
        parts: Vec<Part>,
        /// It failed; the text says why.
        is_error: bool,
    },
}

impl Part {
    /// Its text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What was thought, if it is that.
    pub fn thought(&self) -> Option<&Thought> {
        match self {
            Self::Thinking(thought) => Some(thought),
            _ => None,
        }
    }

    fn bytes(&self) -> usize {
        let texts = match self {
            Self::Text(text) => text.len(),
            Self::Image { mime, data } => mime.len() + data.len(),
            Self::ToolCall { id, name, arguments } => id.len() + name.len() + arguments.len(),
            Self::Thinking(thought) => {
                let signature = thought.signature.as_ref().map_or(0, String::len);
                thought.text.len() + signature + thought.by.len()
            }
        };
        size_of::<Self>() + texts
    }
}

impl Turn {
    /// Bytes that it takes in memory, about.
    pub fn bytes(&self) -> usize {
        let texts = match self {
            Self::System(text) => text.len(),
            Self::User(parts) | Self::Assistant(parts) => parts.iter().map(Part::bytes).sum(),
            Self::ToolResult { call_id, name, parts, .. } => {
                let parts: usize = parts.iter().map(Part::bytes).sum();
                call_id.len() + name.as_ref().map_or(0, String::len) + parts
            }
        };
        size_of::<Self>() + texts
    }

    /// From a transcript message; `None` for roles that do not go to a model.
    pub fn from_transcript(message: &Value) -> Option<Self> {
        // Commands and their answers are between the operator and the gateway.
        if message.pointer("/__openclaw/command") == Some(&Value::Bool(true)) {
            return None;
        }
        let content = message.get("content").unwrap_or(&Value::Null);
        match message.get("role").and_then(Value::as_str)? {
            "user" => Some(Self::User(parts(content))),
            "assistant" => {
                let mut parts = parts(content);
                let by = format!("{}/{}", string(message, "provider"), string(message, "model"));
                for part in &mut parts {
                    if let Part::Thinking(thought) = part {
                        thought.by.clone_from(&by);
                    }
                }
                (!parts.is_empty()).then_some(Self::Assistant(parts))
            }
            "toolResult" => Some(Self::ToolResult {
                call_id: string(message, "toolCallId"),
                name: message.get("toolName").and_then(Value::as_str).map(str::to_owned),
                parts: parts(content),
                is_error: message.get("isError").and_then(Value::as_bool).unwrap_or_default(),
            }),
            _ => None,
        }
    }
}

/// A tool's result as a transcript message.
pub fn result_message(turn: &Turn, now_ms: u64) -> Option<Value> {
    let Turn::ToolResult { call_id, name, parts, is_error } = turn else { return None };
    let content: Vec<Value> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(json!({"type": "text", "text": text})),
            Part::Image { mime, data } => {
                Some(json!({"type": "image", "mimeType": mime, "data": data}))
            }
            Part::ToolCall { .. } | Part::Thinking(_) => None,
        })
        .collect();
    Some(json!({
        "role": "toolResult", "toolCallId": call_id, "toolName": name, "content": content,
        "isError": is_error, "timestamp": now_ms,
    }))
}

/// Makes a conversation one that every provider takes: see [`super::mend`].
pub fn repair(turns: &mut Vec<Turn>) {
    *turns = super::mend::mend(std::mem::take(turns));
}

fn string(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn parts(content: &Value) -> Vec<Part> {
    match content {
        Value::String(text) => vec![Part::Text(text.clone())],
        Value::Array(items) => items.iter().filter_map(part).collect(),
        _ => Vec::new(),
    }
}

fn part(item: &Value) -> Option<Part> {
    match item.get("type").and_then(Value::as_str)? {
        "text" => Some(Part::Text(string(item, "text"))),
        "image" => Some(Part::Image { mime: string(item, "mimeType"), data: string(item, "data") }),
        "toolCall" => Some(Part::ToolCall {
            id: string(item, "id"),
            name: string(item, "name"),
            arguments: match item.get("arguments") {
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => "{}".to_owned(),
            },
        }),
        "thinking" => Some(Part::Thinking(Thought {
            text: string(item, "thinking"),
            signature: item.get("thinkingSignature").and_then(Value::as_str).map(str::to_owned),
            redacted: item.get("redacted").and_then(Value::as_bool).unwrap_or_default(),
            by: String::new(),
        })),
        _ => None,
    }
}

/// The text of a transcript message's content: a string, or its text parts joined.
pub fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(items) => items
            .iter()
            .filter(|item| item.get("type").and_then(Value::as_str) == Some("text"))
            .filter_map(|item| item.get("text").and_then(Value::as_str))
            .collect(),
        _ => String::new(),
    }
}

/// The text of a turn's parts, joined.
pub fn text_of_parts(parts: &[Part]) -> String {
    parts
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// A thought as transcripts keep it.
pub fn thinking_content(thought: &Thought) -> Value {
    let mut item = json!({"type": "thinking", "thinking": thought.text});
    if let Some(signature) = &thought.signature {
        item["thinkingSignature"] = json!(signature);
    }
    if thought.redacted {
        item["redacted"] = json!(true);
    }
    item
}

/// Content of an assistant message for the transcript and for `chat` events.
pub fn assistant_content(text: &str, calls: &[super::ToolCall]) -> Value {
    let mut content = Vec::new();
    if !text.is_empty() || calls.is_empty() {
        content.push(json!({"type": "text", "text": text}));
    }
    for call in calls {
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
        content.push(json!({
            "type": "toolCall", "id": call.id, "name": call.name, "arguments": arguments,
        }));
    }
    Value::Array(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transcript_messages_become_turns() {
        let table = [
            (
                json!({"role": "user", "content": "hi"}),
                Some(Turn::User(vec![Part::Text("hi".to_owned())])),
            ),
            (json!({"role": "assistant", "content": []}), None),
            (
                json!({"role": "toolResult", "toolCallId": "c", "content": [{"type": "text", "text": "ok"}]}),
                Some(Turn::ToolResult {
                    call_id: "c".to_owned(),
                    name: None,
                    parts: vec![Part::Text("ok".to_owned())],
                    is_error: false,
                }),
            ),
            (json!({"role": "compaction"}), None),
            (json!(3), None),
        ];
        for (message, want) in table {
            assert_eq!(Turn::from_transcript(&message), want, "{message}");
        }
    }
}
