//! `chat.send`, `chat.history`, `chat.startup`, `chat.abort` (FACTS.md section 5).

use super::super::Gateway;
use super::super::runs::{Cause, NewRun, Repeated, digest};
use super::super::socket::Answer;
use super::{Handled, Params, count, number, text};
use crate::agent::Ask;
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::protocol::frame::write_json;
use crate::wire::hash::base64_decode;
use serde::Serialize;
use serde_json::{Value, json};

/// Messages without `limit` (reference: 200).
const HISTORY: usize = 200;
/// Bytes of messages in one answer; older ones are left for the next page.
const HISTORY_BYTES: usize = 6 * 1024 * 1024;

impl Gateway {
    /// Acknowledges `{runId, status: "started"}` once the message is on disk; the run follows.
    pub(super) fn chat_send(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let message = text(params, "message").unwrap_or_default();
        let (key, agent) = self.target(text(params, "sessionKey"), text(params, "agentId"))?;
        let plain = params.get("suppressCommandInterpretation") == Some(&Value::Bool(true));
        if message.trim() == "/stop" && !plain {
            return Ok(self.abort_session(&key, None, fx).answer());
        }
        not_delivered(params)?;
        let images = images(params)?;
        if message.trim().is_empty() && images.is_empty() {
            return Err(ErrorShape::invalid("message or attachment required"));
        }
        let run_id = text(params, "idempotencyKey").unwrap_or_default().to_owned();
        let digest = digest("chat", &key, message, params.get("attachments"));
        let status = match self.repeated(&run_id, digest) {
            Repeated::No => None,
            Repeated::Conflict => return Err(conflict()),
            Repeated::InFlight(_) => Some("in_flight"),
            Repeated::Finished(_) => Some("ok"),
        };
        if let Some(status) = status {
            return Ok(Answer::Value(json!({"runId": run_id, "status": status})));
        }
        let session_id = text(params, "sessionId");
        if let (Some(asked), Some(entry)) = (session_id, self.sessions.get(&key))
            && entry.session_id != asked
        {
            return Err(another_session(&key, asked));
        }
        let client = self.conns.client(conn).map(|client| (client.id, client.mode));
        let new = NewRun {
            id: run_id.clone(),
            cause: Cause::Chat,
            key,
            agent,
            session_id: session_id.map(str::to_owned),
            keep: true,
            message: Some(message.to_owned()),
            images,
            ask: Ask::default(),
            model: None,
            timeout_ms: number(params, "timeoutMs"),
            client,
            digest,
        };
        self.accept_run(new)?;
        self.respond_ok(conn, request, &json!({"runId": run_id, "status": "started"}), fx);
        Ok(Answer::Handled)
    }

    /// `{sessionKey, runId?}` -> `{ok, aborted, runIds}`; nothing running is no error.
    pub(super) fn chat_abort(&mut self, params: &Params, fx: &mut Effects) -> Handled {
        let (key, _) = self.target(text(params, "sessionKey"), text(params, "agentId"))?;
        Ok(self.abort_session(&key, text(params, "runId"), fx).answer())
    }

    /// Cancels the runs of a session, those that wait first so that none begins meanwhile.
    pub(super) fn abort_session(
        &mut self,
        key: &str,
        run_id: Option<&str>,
        fx: &mut Effects,
    ) -> Aborted {
        let mut ids = Vec::new();
        for number in self.runs.of_session(key).into_iter().rev() {
            let Some(id) = self.runs.get(number).map(|run| run.id.clone()) else { continue };
            if run_id.is_none_or(|wanted| wanted == id) && self.cancel_run(number, "rpc", fx) {
                ids.insert(0, id);
            }
        }
        Aborted { ok: true, aborted: !ids.is_empty(), run_ids: ids }
    }

    /// `chat.history` and `chat.startup`: messages of a session, the newest page first.
    /// `offset` counts messages from the end, `limit` is the page.
    pub(super) fn chat_history(&self, params: &Params) -> Handled {
        let (key, agent) = self.target(text(params, "sessionKey"), text(params, "agentId"))?;
        let limit = count(params, "limit", HISTORY);
        let offset = count(params, "offset", 0);
        let max_chars = count(params, "maxChars", usize::MAX);
        let max_bytes = count(params, "maxBytes", HISTORY_BYTES).min(HISTORY_BYTES);
        let records = self.sessions.messages(self.disk.as_ref(), &key).map_err(|error| {
            ErrorShape::unavailable(format!("the transcript of {key} cannot be read: {error}"))
        })?;
        let total = records.len();
        let end = match text(params, "messageId") {
            // The page that ends with this message.
            Some(id) => match records.iter().position(|record| record.id == id) {
                Some(at) => at + 1,
                None => return Err(ErrorShape::invalid(format!("no message \"{id}\" in {key}"))),
            },
            None => total.saturating_sub(offset),
        };
        let mut messages = Vec::new();
        let mut bytes = 0;
        let page = records.iter().take(end).enumerate().rev().take(limit);
        for (index, record) in page {
            let mut message = shown(&record.message, &record.id, index as u64 + 1);
            shorten(&mut message, max_chars);
            bytes += message.to_string().len();
            if bytes > max_bytes && !messages.is_empty() {
                break;
            }
            messages.push(message);
        }
        messages.reverse();
        let (model, window) = self.default_model(&agent);
        let (provider, model) = model.split_once('/').unwrap_or(("", &model));
        let mut value = json!({
            "sessionKey": key, "hasMore": end > messages.len(), "totalMessages": total,
            "pendingInputs": self.pending_inputs(&key),
            "messages": messages,
            "deltaCursor": total.to_string(),
            "defaults": {"modelProvider": provider, "model": model, "contextTokens": window},
        });
        if let Some(entry) = self.sessions.get(&key) {
            value["sessionId"] = json!(entry.session_id);
            value["sessionInfo"] = self.session_row(&key);
        }
        Ok(Answer::Value(value))
    }

    /// Messages that wait behind the running one.
    fn pending_inputs(&self, key: &str) -> Value {
        let waiting: Vec<Value> = self
            .runs
            .of_session(key)
            .into_iter()
            .skip(1)
            .filter_map(|number| self.runs.get(number))
            .map(|run| json!({"runId": run.id, "acceptedAt": run.accepted_ms}))
            .collect();
        json!({"total": waiting.len(), "items": waiting})
    }
}

/// Result of `chat.abort`; some clients compare the text, so the order is the reference's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Aborted {
    ok: bool,
    aborted: bool,
    pub(super) run_ids: Vec<String>,
}

impl Aborted {
    fn answer(&self) -> Answer {
        let mut json = Vec::new();
        write_json(&mut json, self);
        Answer::Json(json)
    }
}

/// A message as clients see it: its record's id and number beside what was written.
pub(in crate::gateway) fn shown(message: &Value, id: &str, seq: u64) -> Value {
    let mut message = message.clone();
    let timestamp = message.get("timestamp").cloned();
    if let Some(object) = message.as_object_mut() {
        let own = object.entry("__openclaw").or_insert_with(|| json!({}));
        if let Some(own) = own.as_object_mut() {
            own.insert("id".to_owned(), json!(id));
            own.insert("seq".to_owned(), json!(seq));
            if let Some(timestamp) = timestamp {
                own.insert("recordTimestampMs".to_owned(), timestamp);
            }
        }
    }
    message
}

/// Cuts the text parts of a message to so many characters.
fn shorten(message: &mut Value, max_chars: usize) {
    let cut = |text: &mut String| {
        if let Some((at, _)) = text.char_indices().nth(max_chars) {
            text.truncate(at);
            text.push('…');
        }
    };
    match message.get_mut("content") {
        Some(Value::String(text)) => cut(text),
        Some(Value::Array(parts)) => {
            for part in parts {
                if let Some(Value::String(text)) = part.get_mut("text") {
                    cut(text);
                }
            }
        }
        _ => {}
    }
}

/// Images among `attachments`: media type and base64, checked against what `hello-ok` allows.
pub(super) fn images(params: &Params) -> Result<Vec<(String, String)>, ErrorShape> {
    let Some(Value::Array(attachments)) = params.get("attachments") else { return Ok(Vec::new()) };
    let mut images = Vec::new();
    let mut total = 0;
    for (index, attachment) in attachments.iter().enumerate() {
        let field = |name| attachment.get(name).and_then(Value::as_str);
        let mime = field("mimeType").unwrap_or_default();
        let content = field("content").unwrap_or_default();
        // A data URL is what browsers have at hand.
        let data = content.split_once(";base64,").map_or(content, |(_, data)| data);
        let padding = data.bytes().rev().take_while(|byte| *byte == b'=').count();
        let bytes = (data.len() / 4 * 3).saturating_sub(padding);
        if bytes > limits::IMAGE {
            return Err(ErrorShape::invalid(format!(
                "attachments[{index}]: {bytes} bytes, and an image may have {} \
                 (policy.attachments.maxImageBytes)",
                limits::IMAGE
            )));
        }
        total += bytes;
        if total > limits::ATTACHMENTS {
            return Err(ErrorShape::invalid(format!(
                "attachments: more than {} bytes together (policy.attachments.maxBytes)",
                limits::ATTACHMENTS
            )));
        }
        if !mime.starts_with("image/") || data.is_empty() || base64_decode(data).is_none() {
            return Err(ErrorShape::invalid(format!(
                "attachments[{index}]: this gateway takes images: \
                 {{mimeType: \"image/…\", content: <base64>}}"
            )));
        }
        images.push((mime.to_owned(), data.to_owned()));
    }
    Ok(images)
}

/// Refuses to promise that the answer goes out by a channel.
pub(super) fn not_delivered(params: &Params) -> Result<(), ErrorShape> {
    if params.get("deliver") != Some(&Value::Bool(true)) {
        return Ok(());
    }
    let mut named = ["replyChannel", "channel"].into_iter().filter_map(|name| text(params, name));
    let channel = named.find(|name| !name.is_empty());
    let channel = channel.map(|name| format!(" by \"{name}\"")).unwrap_or_default();
    Err(ErrorShape::invalid(format!(
        "deliver: this gateway has no channel built in yet, so the answer cannot be delivered\
         {channel}; send deliver: false and read it here"
    )))
}

pub(super) fn another_session(key: &str, expected: &str) -> ErrorShape {
    ErrorShape::invalid(format!("session {key} is not \"{expected}\" any more"))
}

pub(super) fn conflict() -> ErrorShape {
    ErrorShape::invalid(
        "This message ID was already used for different input; send it with a new idempotencyKey",
    )
    .with(json!({"reason": "chat-request-conflict"}))
}
