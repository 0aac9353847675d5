//! `POST /tools/invoke`: one tool, without a run. Facts: FACTS.md section 8.5 and the
//! reference's page on the tools invoke API.

use super::Reply;
use super::openai::invalid;
use crate::agent::tools::Args;
use serde_json::{Map, Value, json};

/// A request.
#[derive(Debug, PartialEq)]
pub struct Invoke {
    /// Which tool; `name` goes before `tool`.
    pub name: String,
    /// Merged into the arguments by [`Invoke::args`].
    action: Option<String>,
    args: Map<String, Value>,
    /// In which session; the agent's main one when absent.
    pub session_key: Option<String>,
    /// Which agent.
    pub agent_id: Option<String>,
    /// Makes the id of the call.
    pub idempotency_key: Option<String>,
}

/// `{ok: false, error: {type, message}}`, in this order.
pub fn error(status: u16, kind: &str, message: &str) -> Reply {
    let (kind, message) = (json!(kind), json!(message));
    let text = format!("{{\"ok\":false,\"error\":{{\"type\":{kind},\"message\":{message}}}}}");
    Reply::raw(status, text.into_bytes())
}

/// 404 for a tool that is not there or not allowed; which of both is not told.
pub fn not_available(name: &str) -> Reply {
    let shown: String = name.chars().take(64).collect();
    error(404, "not_found", &format!("Tool not available: {shown}"))
}

/// `{ok: true, result: {content, details?}}`, in this order.
pub fn done(content: &Value, details: Option<&Value>) -> Reply {
    let details = details.map(|details| format!(",\"details\":{details}")).unwrap_or_default();
    let text = format!("{{\"ok\":true,\"result\":{{\"content\":{content}{details}}}}}");
    Reply::raw(200, text.into_bytes())
}

/// Reads a request.
///
/// # Errors
/// 400: no JSON (in OpenAI's shape, as the reference answers it), or no tool named.
pub fn parse(body: &[u8]) -> Result<Invoke, Reply> {
    let body: Value = match body.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(body)
            .map_err(|fault| invalid(400, &format!("the body is not JSON: {fault}")))?,
    };
    let text = |name: &str| {
        let text = body.get(name).and_then(Value::as_str).map(str::trim);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let Some(name) = text("name").or_else(|| text("tool")) else {
        return Err(error(400, "invalid_request", "tools.invoke requires name"));
    };
    let args = match body.get("args") {
        Some(Value::Object(args)) => args.clone(),
        // Tolerated, as the reference does.
        _ => Map::new(),
    };
    Ok(Invoke {
        name,
        action: text("action"),
        args,
        session_key: text("sessionKey").filter(|key| key != "main"),
        agent_id: text("agentId"),
        idempotency_key: text("idempotencyKey"),
    })
}

impl Invoke {
    /// The arguments for a tool with this schema.
    pub fn args(&self, parameters: &Value) -> Args {
        let mut args = self.args.clone();
        let known = parameters.pointer("/properties/action").is_some();
        if let Some(action) = self.action.as_ref().filter(|_| known) {
            args.entry("action").or_insert_with(|| json!(action));
        }
        Args(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_leniently() {
        let of = |text: &str| parse(text.as_bytes());
        let both = of(r#"{"name": " a ", "tool": "b", "args": "x"}"#).expect("a request");
        assert_eq!((both.name.as_str(), both.args.len()), ("a", 0));
        for text in ["{}", "[]", "", r#"{"tool": 3}"#, r#"{"tool": " "}"#] {
            let reply = of(text).expect_err("no tool");
            let want = r#"{"ok":false,"error":{"type":"invalid_request","message":"tools.invoke requires name"}}"#;
            assert_eq!((reply.status, reply.body), (400, want.as_bytes().to_vec()), "{text}");
        }
        let broken = of("{").expect_err("no JSON");
        assert!(String::from_utf8_lossy(&broken.body).starts_with("{\"error\":{"));
        let acts = of(r#"{"tool": "t", "action": "list", "args": {"n": 1}}"#).expect("a request");
        let schema = json!({"properties": {"action": {"type": "string"}}});
        assert_eq!(Value::Object(acts.args(&schema).0), json!({"n": 1, "action": "list"}));
        assert_eq!(Value::Object(acts.args(&json!({})).0), json!({"n": 1}));
        let set = of(r#"{"tool": "t", "action": "x", "args": {"action": "y"}}"#).expect("one");
        assert_eq!(Value::Object(set.args(&schema).0), json!({"action": "y"}));
        assert_eq!(of(r#"{"tool": "t", "sessionKey": "main"}"#).expect("one").session_key, None);
    }
}
