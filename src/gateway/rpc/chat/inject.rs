//! `chat.inject` and `chat.metadata`.

use super::super::super::Gateway;
use super::super::super::broadcast::To;
use super::super::super::commands;
use super::super::super::socket::Answer;
use super::super::{Handled, Params, text};
use crate::driver::{ConnId, Effects};
use crate::protocol::error::ErrorShape;
use serde_json::{Value, json};

/// A message of the gateway itself, as if an agent had said it.
pub(in crate::gateway) fn injected(text: &str, now_ms: u64) -> Value {
    json!({
        "role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": now_ms,
        "stopReason": "stop", "api": "openai-responses", "provider": "openclaw",
        "model": "gateway-injected",
        "usage": {
            "input": 0, "output": 0, "totalTokens": 0, "cacheRead": 0, "cacheWrite": 0,
            "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "total": 0},
        },
    })
}

impl Gateway {
    /// `{sessionKey, message, label?}` -> `{ok, messageId}`: a note in the conversation.
    pub(in crate::gateway::rpc) fn chat_inject(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let (key, agent) = self.target(text(params, "sessionKey"), text(params, "agentId"))?;
        if self.sessions.get(&key).is_none() {
            return Err(ErrorShape::invalid(format!("session not found: {key}")));
        }
        let note = text(params, "message").unwrap_or_default();
        let note = match text(params, "label").map(str::trim).filter(|label| !label.is_empty()) {
            Some(label) => format!("[{label}]\n\n{note}"),
            None => note.to_owned(),
        };
        let message = injected(&note, self.now.wall_ms);
        let appended = self.append_message(&key, "inject", &message).map_err(|error| {
            ErrorShape::unavailable(format!("the note was not kept in {key}: {error}"))
        })?;
        let run = format!("inject-{}", appended.id);
        self.broadcast("chat", To::All, fx, &|protocol| {
            let mut payload = json!({
                "runId": run, "sessionKey": key, "seq": 0, "state": "final", "message": message,
            });
            if protocol >= 4 {
                payload["agentId"] = json!(agent);
            }
            Some(payload)
        });
        self.tell_appended(&key, &agent, &message, &appended, fx);
        let more = json!({
            "phase": "message", "messageId": appended.id, "messageSeq": appended.seq,
        });
        self.tell_session(&key, None, &more, fx);
        self.respond_ok(conn, request, &json!({"ok": true, "messageId": appended.id}), fx);
        Ok(Answer::Handled)
    }

    /// `{agentId?, sessionKey?}`: what a composer offers.
    pub(in crate::gateway::rpc) fn chat_metadata(&self, params: &Params) -> Handled {
        self.target(text(params, "sessionKey"), text(params, "agentId"))?;
        let models = self.models_list(params);
        Ok(Answer::Value(json!({
            "models": models["models"], "commands": commands::catalog(true), "swarmEnabled": false,
            "accountSelection": {"kind": "automatic", "label": "Automatic account selection"},
            "runtimeSelectionLocked": false,
        })))
    }

    /// `{scope?, includeArgs?…}` -> `{commands}`.
    pub(in crate::gateway::rpc) fn commands_list(&self, params: &Params) -> Handled {
        self.target(text(params, "sessionKey"), text(params, "agentId"))?;
        let args = params.get("includeArgs") != Some(&Value::Bool(false));
        // Every command is a text; none is registered with a channel of its own.
        let all = commands::catalog(args);
        Ok(Answer::Value(json!({"commands": all})))
    }
}
