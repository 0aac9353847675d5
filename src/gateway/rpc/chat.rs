//! `chat.send`, `chat.history`, `chat.startup`, `chat.abort` (FACTS.md section 5).

use super::super::Gateway;
use super::super::runs::{Cause, NewRun, QueueMode, Repeated, digest};
use super::super::socket::Answer;
use super::{Handled, Params, count, number, text};
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::protocol::frame::write_json;
use crate::sessions::transcript::Record;
use crate::wire::hash::base64_decode;
use serde::Serialize;
use serde_json::{Value, json};
use std::io;
use std::ops::ControlFlow;

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
            session_id: session_id.map(str::to_owned),
            message: Some(message.to_owned()),
            images,
            timeout_ms: number(params, "timeoutMs"),
            client,
            digest,
            mode: text(params, "queueMode").and_then(QueueMode::from_word),
            ..NewRun::new(run_id.clone(), Cause::Chat, key, agent)
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
        if run_id.is_none() {
            self.cancel_spawned(key, fx);
        }
        Aborted { ok: true, aborted: !ids.is_empty(), run_ids: ids }
    }

    /// `chat.history` and `chat.startup`: messages of a session, the newest page first.
    /// `offset` counts messages from the end, `limit` is the page.
    pub(super) fn chat_history(&mut self, params: &Params) -> Handled {
        let (key, agent) = self.target(text(params, "sessionKey"), text(params, "agentId"))?;
        let limit = count(params, "limit", HISTORY);
        let offset = count(params, "offset", 0);
        let max_chars = count(params, "maxChars", usize::MAX);
        let max_bytes = count(params, "maxBytes", HISTORY_BYTES).min(HISTORY_BYTES);
        let unreadable = |error: io::Error| {
            ErrorShape::unavailable(format!("the transcript of {key} cannot be read: {error}"))
        };
        let total = self.sessions.count(self.disk.as_ref(), &key).map_err(unreadable)?;
        // The page ends so many messages before the newest, or with the one that is named.
        let last = text(params, "messageId");
        let mut end = last.is_none().then(|| total.saturating_sub(offset as u64));
        let none = end == Some(0);
        let mut messages = Vec::new();
        let (mut seq, mut bytes) = (total + 1, 0);
        let mut see = |record: Record| {
            seq = seq.saturating_sub(1);
            if last.is_some_and(|id| end.is_none() && record.id == id) {
                end = Some(seq);
            }
            if end.is_none_or(|end| seq > end) {
                return ControlFlow::Continue(());
            }
            let mut message = shown(record.message, &record.id, seq);
            shorten(&mut message, max_chars);
            bytes += message.to_string().len();
            if bytes > max_bytes && !messages.is_empty() {
                return ControlFlow::Break(());
            }
            messages.push(message);
            match messages.len() >= limit {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        if !none {
            self.sessions.walk_back(self.disk.as_ref(), &key, &mut see).map_err(unreadable)?;
        }
        let Some(end) = end else {
            let id = last.unwrap_or_default();
            return Err(ErrorShape::invalid(format!("no message \"{id}\" in {key}")));
        };
        messages.reverse();
        let (model, window) = self.default_model(&agent);
        let (provider, model) = model.split_once('/').unwrap_or(("", &model));
        let mut value = json!({
            "sessionKey": key, "hasMore": end > messages.len() as u64, "totalMessages": total,
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
pub(in crate::gateway) fn shown(mut message: Value, id: &str, seq: u64) -> Value {
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

#[cfg(test)]
mod tests {
    use super::super::super::fuzz::{Memory, boot};
    use super::*;
    use crate::config::AuthMode;
    use crate::driver::{Now, Time};
    use crate::sessions::transcript::{write_header, write_message};
    use crate::store::Disk;

    const KEY: &str = "agent:main:main";

    fn history(gateway: &mut Gateway, params: Value) -> Value {
        let Value::Object(params) = params else { panic!("an object") };
        match gateway.chat_history(&params) {
            Ok(Answer::Value(value)) => value,
            _ => panic!("no history"),
        }
    }

    fn seqs(page: &Value) -> Vec<u64> {
        let messages = page["messages"].as_array().expect("messages");
        messages.iter().filter_map(|m| m["__openclaw"]["seq"].as_u64()).collect()
    }

    #[test]
    fn a_long_transcript_is_shown_from_its_end() {
        const MESSAGES: u64 = 2_000;
        let mut disk = Memory::default();
        let now = Now { time: Time(1), wall_ms: 1_795_000_000_000 };
        let mut gateway = boot(0, AuthMode::None, &disk, now);
        gateway.sessions.ensure(&mut disk, KEY, || "s-1".to_owned(), 1);
        let path = gateway.sessions.transcript_path(KEY).expect("a session");
        let mut file = Vec::new();
        write_header(&mut file, KEY, "s-1", 0);
        for n in 1..=MESSAGES {
            let said = json!({"role": "user", "content": format!("{n} {}", "x".repeat(10_000))});
            write_message(&mut file, &format!("r{n}"), None, &said, 0);
            if n % 100 == 0 {
                file.extend_from_slice(b"damaged\n");
            }
        }
        assert!(file.len() > 20_000_000);
        // A write that was cut off.
        file.extend_from_slice(b"{\"id\":\"r2001\",\"mess");
        disk.append(&path, &file).expect("memory");

        let newest = history(&mut gateway, json!({"sessionKey": "main", "limit": 10}));
        assert_eq!(seqs(&newest), (MESSAGES - 9..=MESSAGES).collect::<Vec<_>>());
        assert_eq!((&newest["totalMessages"], &newest["hasMore"]), (&json!(2000), &json!(true)));
        let text = newest["messages"][9]["content"].as_str().unwrap_or_default();
        assert!(text.starts_with("2000 x"), "{text:.20}");

        // Page after page, each smaller than asked where the bytes end it.
        let mut seen = Vec::new();
        loop {
            let page = json!({"sessionKey": "main", "limit": 700, "offset": seen.len()});
            let page = history(&mut gateway, page);
            seen.splice(0..0, seqs(&page));
            if page["hasMore"] == false {
                break;
            }
        }
        assert_eq!(seen, (1..=MESSAGES).collect::<Vec<_>>());

        let named = json!({"sessionKey": "main", "limit": 3, "messageId": "r777"});
        assert_eq!(seqs(&history(&mut gateway, named)), [775, 776, 777]);
        let nobody = json!({"sessionKey": "main", "messageId": "r2001"});
        let nobody = nobody.as_object().expect("an object");
        assert!(gateway.chat_history(nobody).is_err());

        // What comes next stands behind the torn line, not in it.
        let said = json!({"role": "user", "content": "next"});
        let next = gateway.append_message(KEY, "run", &said).expect("memory");
        assert_eq!(next.seq, MESSAGES + 1);
        let newest = history(&mut gateway, json!({"sessionKey": "main", "limit": 2}));
        assert_eq!(seqs(&newest), [MESSAGES, MESSAGES + 1]);
        assert_eq!(newest["messages"][1]["content"], "next");
    }
}
