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
    fn bytes(&self) -> usize {
        let texts = match self {
            Self::Text(text) => text.len(),
            Self::Image { mime, data } => mime.len() + data.len(),
            Self::ToolCall { id, name, arguments } => id.len() + name.len() + arguments.len(),
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
                let parts = parts(content);
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

/// Makes a conversation one that every provider takes: each tool call has its result right behind
/// its turn, and each result its call. A call without one (the process was killed, the window
/// begins later) gets a result that says so; a result without its call is left out.
pub fn repair(turns: &mut Vec<Turn>) {
    let mut open: Vec<(String, String)> = Vec::new();
    let mut whole = Vec::with_capacity(turns.len());
    for turn in std::mem::take(turns) {
        match &turn {
            Turn::ToolResult { call_id, .. } => {
                if let Some(at) = open.iter().position(|(id, _)| id == call_id) {
                    open.swap_remove(at);
                    whole.push(turn);
                }
                continue;
            }
            Turn::System(_) => {}
            Turn::User(_) | Turn::Assistant(_) => {
                whole.extend(open.drain(..).map(|(id, name)| no_result(id, name)));
            }
        }
        if let Turn::Assistant(parts) = &turn {
            open.extend(parts.iter().filter_map(|part| match part {
                Part::ToolCall { id, name, .. } => Some((id.clone(), name.clone())),
                _ => None,
            }));
        }
        whole.push(turn);
    }
    whole.extend(open.drain(..).map(|(id, name)| no_result(id, name)));
    *turns = whole;
}

fn no_result(call_id: String, name: String) -> Turn {
    let text = "no result was recorded: this tool was cut short and may have taken effect";
    Turn::ToolResult {
        call_id,
        name: Some(name),
        parts: vec![Part::Text(text.to_owned())],
        is_error: true,
    }
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

    #[test]
    fn calls_and_results_come_in_pairs() {
        let user = || Turn::User(vec![Part::Text("u".to_owned())]);
        let call = |ids: &[&str]| {
            let part = |id: &&str| Part::ToolCall {
                id: (*id).to_owned(),
                name: "t".to_owned(),
                arguments: "{}".to_owned(),
            };
            Turn::Assistant(ids.iter().map(part).collect())
        };
        let result = |id: &str| Turn::ToolResult {
            call_id: id.to_owned(),
            name: None,
            parts: vec![Part::Text("r".to_owned())],
            is_error: false,
        };
        let lost = |id: &str| no_result(id.to_owned(), "t".to_owned());
        let table = [
            (vec![result("x"), user()], vec![user()]),
            (
                vec![call(&["a", "b"]), result("b"), result("a"), user()],
                vec![call(&["a", "b"]), result("b"), result("a"), user()],
            ),
            (
                vec![call(&["a", "b"]), result("b"), user(), result("a")],
                vec![call(&["a", "b"]), result("b"), lost("a"), user()],
            ),
            (vec![user(), call(&["a"])], vec![user(), call(&["a"]), lost("a")]),
        ];
        for (mut turns, want) in table {
            repair(&mut turns);
            assert_eq!(turns, want);
            repair(&mut turns);
            assert_eq!(turns, want, "what is whole stays as it is");
        }
    }
}
