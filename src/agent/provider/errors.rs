//! What providers say when they refuse: the message in it, and what to do about it.

use serde_json::Value;

/// Whether the same call may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Overload or a broken connection: again after a pause.
    Transient,
    /// The key: another key or the next candidate may do.
    Auth,
    /// The account's money or quota: another key or the next candidate may do.
    Billing,
    /// The conversation is longer than the model's window: a shorter one, or a model with a
    /// larger window, may do.
    Overflow,
    /// The request itself: the next candidate may do, repeating will not.
    Request,
}

/// A stream event that is an error report, or no event of the dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamError {
    /// What to do about it.
    pub class: Class,
    /// The status that it would have had as an HTTP answer, if it says.
    pub status: Option<u16>,
    /// What it says.
    pub text: String,
}

impl StreamError {
    /// An event that does not read as one.
    pub(super) fn garbled(what: &str, error: &serde_json::Error) -> Self {
        let text = format!("an event is no {what} ({error})");
        Self { class: Class::Transient, status: None, text }
    }

    /// A provider's report in the middle of its stream: most of them pass.
    pub(super) fn report(error: &Value) -> Self {
        let (status, word) = status_of(error, error);
        let text = error_text(error);
        let class = match class_of_words(status, &text, &words(error, error)) {
            Some(class) => class,
            None => match status {
                Some(status) => class_of(status),
                None => match word {
                    Word::Request => Class::Request,
                    Word::Auth => Class::Auth,
                    Word::Overload | Word::None => Class::Transient,
                },
            },
        };
        Self { class, status, text }
    }
}

/// What a body is that did not come as a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Whole {
    /// A whole answer; all of it was told.
    Answer,
    /// The provider's own report.
    Error(StreamError),
    /// Neither.
    Neither,
}

/// What a status says about trying again.
pub fn class_of(status: u16) -> Class {
    match status {
        401 | 403 => Class::Auth,
        402 => Class::Billing,
        408 | 409 | 425 | 429 | 500.. => Class::Transient,
        _ => Class::Request,
    }
}

/// The class of a refusal by its status and its body, which is more exact than its status.
pub fn class_of_refusal(status: u16, body: &[u8]) -> Class {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let at = if json.is_array() { json.get(0).unwrap_or(&Value::Null) } else { &json };
    let error = at.get("error").unwrap_or(at);
    let said = match error {
        Value::Null => String::from_utf8_lossy(body).into_owned(),
        error => error_text(error),
    };
    class_of_words(Some(status), &said, &words(error, at)).unwrap_or_else(|| class_of(status))
}

/// Sentences of a window that is too small: OpenAI, Anthropic, Google, Groq, OpenRouter, Mistral,
/// llama.cpp, Ollama, LM Studio, vLLM, xAI, in this order where they differ.
const OVERFLOW: [&str; 18] = [
    "context_length_exceeded",
    "maximum context length",
    "exceeds the context window",
    "prompt is too long",
    "input length and `max_tokens` exceed",
    "input token count",
    "reduce the length of the messages",
    "too many tokens in the prompt",
    "too large for model with",
    "exceeds the available context size",
    "exceed_context_size_error",
    "context size has been exceeded",
    "greater than the context length",
    "input length exceeds",
    "longer than the maximum model length",
    "maximum prompt length",
    "context window exceeds limit",
    "input is too long",
];

/// Words of an account without money, as opposed to one that is asked too often.
const BILLING: [&str; 5] = [
    "insufficient_quota",
    "credit balance is too low",
    "insufficient credits",
    "insufficient balance",
    "billing_hard_limit_reached",
];

fn class_of_words(status: Option<u16>, text: &str, codes: &str) -> Option<Class> {
    let text = text.to_ascii_lowercase();
    let says = |word: &&str| text.contains(*word) || codes.contains(*word);
    // "Tokens per minute" are a rate, whatever else the sentence says.
    if status != Some(429) && OVERFLOW.iter().any(says) {
        return Some(Class::Overflow);
    }
    BILLING.iter().any(says).then_some(Class::Billing)
}

enum Word {
    Request,
    Auth,
    Overload,
    None,
}

/// The members that name a kind of error, in lower case.
fn words(error: &Value, at: &Value) -> String {
    let members = [error, at].into_iter().flat_map(|at| ["code", "status", "type"].map(|k| &at[k]));
    let mut all = String::new();
    for word in members.filter_map(Value::as_str) {
        all.push_str(&word.to_ascii_lowercase());
        all.push(' ');
    }
    all
}

fn status_of(error: &Value, at: &Value) -> (Option<u16>, Word) {
    const OVERLOAD: [&str; 5] =
        ["rate_limit", "overloaded", "server_error", "unavailable", "resource_exhausted"];
    const AUTH: [&str; 4] =
        ["authentication_error", "permission_error", "invalid_api_key", "unauthenticated"];
    const REQUEST: [&str; 3] = ["invalid_request", "invalid_argument", "not_found"];
    let members = [error, at].into_iter().flat_map(|at| ["code", "status", "type"].map(|k| &at[k]));
    let status = members.into_iter().find_map(|value| {
        let code = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
        u16::try_from(code).ok().filter(|code| (400..600).contains(code))
    });
    let words = words(error, at);
    let any = |list: &[&str]| list.iter().any(|word| words.contains(word));
    let word = match () {
        () if any(&OVERLOAD) => Word::Overload,
        () if any(&AUTH) => Word::Auth,
        () if any(&REQUEST) => Word::Request,
        () => Word::None,
    };
    let rate = words.contains("rate_limit") || words.contains("resource_exhausted");
    (status.or(rate.then_some(429)), word)
}

/// The error that a body holds, bare or as the first of a list.
pub(super) fn whole_error(body: &[u8]) -> Option<Whole> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let at = if json.is_array() { json.get(0)? } else { &json };
    let error = at.get("error").filter(|error| !error.is_null())?;
    let (status, word) = status_of(error, at);
    let text = error_text(error);
    let class = class_of_words(status, &text, &words(error, at)).unwrap_or(match (status, word) {
        (Some(status), _) => class_of(status),
        (None, Word::Overload) => Class::Transient,
        (None, Word::Auth) => Class::Auth,
        (None, _) => Class::Request,
    });
    Some(Whole::Error(StreamError { class, status, text }))
}

/// A body without its byte order mark.
pub(super) fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// The message inside a provider's error object, whatever its shape and length.
pub fn error_text(error: &Value) -> String {
    let error = if error.is_array() { error.get(0).unwrap_or(error) } else { error };
    let inner = error.get("error").unwrap_or(error);
    match inner {
        Value::String(text) => text.clone(),
        other => match other.get("message").and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart_by_their_words() {
        let overflow = [
            // OpenAI, both APIs.
            r#"{"error":{"message":"This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            r#"{"error":{"message":"Your input exceeds the context window of this model.","code":"context_length_exceeded"}}"#,
            // Anthropic.
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 205000 tokens > 200000 maximum"}}"#,
            // Google.
            r#"{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#,
            r#"[{"error":{"code":400,"message":"The input token count exceeds the maximum","status":"INVALID_ARGUMENT"}}]"#,
            // Groq, llama.cpp, Ollama or LM Studio.
            r#"{"error":{"message":"Please reduce the length of the messages or completion."}}"#,
            r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error"}}"#,
            r#"{"error":"Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough. the prompt is greater than the context length"}"#,
            "prompt is too long",
        ];
        for body in overflow {
            assert_eq!(class_of_refusal(400, body.as_bytes()), Class::Overflow, "{body}");
        }
        let rate = r#"{"error":{"message":"Request too large: reduce the length of the messages, tokens per min"}}"#;
        assert_eq!(class_of_refusal(429, rate.as_bytes()), Class::Transient);
        let poor = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;
        assert_eq!(class_of_refusal(429, poor.as_bytes()), Class::Billing);
        let poor = r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#;
        assert_eq!(class_of_refusal(400, poor.as_bytes()), Class::Billing);
        assert_eq!(class_of_refusal(402, b""), Class::Billing);
        assert_eq!(class_of_refusal(400, b"{}"), Class::Request);
        assert_eq!(class_of_refusal(529, b"overloaded"), Class::Transient);
    }
}
