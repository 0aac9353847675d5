//! `chat.history`, `chat.startup`, `chat.message.get`: what was said, a page at a time.

use super::super::super::Gateway;
use super::super::super::heartbeat::is_hidden;
use super::super::super::socket::Answer;
use super::super::{Handled, Params, count, text};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::sessions::transcript::Record;
use serde_json::{Value, json};
use std::io;
use std::ops::ControlFlow;

/// Messages without `limit` (reference: 200).
const HISTORY: usize = 200;
/// Bytes of messages in one answer; older ones are left for the next page.
const HISTORY_BYTES: usize = 6 * 1024 * 1024;

impl Gateway {
    /// `chat.history` and `chat.startup`: messages of a session, the newest page first.
    /// `offset` counts messages from the end, `limit` is the page.
    pub(in crate::gateway::rpc) fn chat_history(&mut self, params: &Params) -> Handled {
        let (key, agent) = self.target(text(params, "sessionKey"), text(params, "agentId"))?;
        if let Some(delta) = self.history_since(&key, &agent, params)? {
            return Ok(Answer::Value(delta));
        }
        let limit = count(params, "limit", HISTORY);
        let offset = count(params, "offset", 0);
        let max_chars = count(params, "maxChars", usize::MAX);
        let max_bytes = count(params, "maxBytes", HISTORY_BYTES).min(HISTORY_BYTES);
        let total = self
            .sessions
            .count(self.disk.as_ref(), &key)
            .map_err(|error| unreadable(&key, &error))?;
        // The page ends so many messages before the newest, or with the one that is named.
        let last = text(params, "messageId");
        let mut end = last.is_none().then(|| total.saturating_sub(offset as u64));
        let none = end == Some(0);
        let mut messages = Vec::new();
        let (mut seq, mut bytes, mut hidden) = (total + 1, 0, 0);
        let mut see = |record: Record| {
            seq = seq.saturating_sub(1);
            if last.is_some_and(|id| end.is_none() && record.id == id) {
                end = Some(seq);
            }
            if end.is_none_or(|end| seq > end) {
                return ControlFlow::Continue(());
            }
            if is_hidden(&record.message) {
                hidden += 1;
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
            self.sessions
                .walk_back(self.disk.as_ref(), &key, &mut see)
                .map_err(|error| unreadable(&key, &error))?;
        }
        let Some(end) = end else {
            let id = last.unwrap_or_default();
            return Err(ErrorShape::invalid(format!("no message \"{id}\" in {key}")));
        };
        messages.reverse();
        let (model, window) = self.default_model(&agent);
        let (provider, model) = model.split_once('/').unwrap_or(("", &model));
        let mut value = json!({
            "sessionKey": key, "hasMore": end > messages.len() as u64 + hidden, "totalMessages": total,
            "pendingInputs": self.pending_inputs(&key),
            "messages": messages,
            "deltaCursor": self.cursor(&key, total),
            "defaults": {"modelProvider": provider, "model": model, "contextTokens": window},
        });
        if let Some(entry) = self.sessions.get(&key) {
            value["sessionId"] = json!(entry.session_id);
            value["sessionInfo"] = self.session_row(&key);
        }
        Ok(Answer::Value(value))
    }

    /// What clients bring back to get only what is newer: how far they are, in which
    /// conversation.
    fn cursor(&self, key: &str, seq: u64) -> String {
        format!("{seq}.{}", self.generation(key))
    }

    /// Changes when a conversation begins anew.
    fn generation(&self, key: &str) -> &str {
        let entry = self.sessions.get(key);
        entry.map_or("", |entry| entry.lifecycle_revision.as_deref().unwrap_or(&entry.session_id))
    }

    /// With `cursor`: the messages behind it. `None` when the cursor is of another conversation,
    /// or so old that a page does not hold the difference: the client then gets a page.
    fn history_since(
        &mut self,
        key: &str,
        agent: &str,
        params: &Params,
    ) -> Result<Option<Value>, ErrorShape> {
        let Some(cursor) = text(params, "cursor") else { return Ok(None) };
        let Some((seq, generation)) = cursor.split_once('.') else { return Ok(None) };
        let Ok(seq) = seq.parse::<u64>() else { return Ok(None) };
        let failed = |error: io::Error| unreadable(key, &error);
        let total = self.sessions.count(self.disk.as_ref(), key).map_err(failed)?;
        let newer = total.checked_sub(seq).and_then(|newer| usize::try_from(newer).ok());
        let limit = count(params, "limit", HISTORY);
        let Some(newer) = newer.filter(|newer| *newer <= limit) else { return Ok(None) };
        if generation != self.generation(key) {
            return Ok(None);
        }
        let records = self
            .sessions
            .newest_messages(self.disk.as_ref(), key, newer, HISTORY_BYTES)
            .map_err(failed)?;
        if records.len() != newer {
            return Ok(None);
        }
        let max_chars = count(params, "maxChars", usize::MAX);
        let messages: Vec<Value> = records
            .into_iter()
            .zip(seq + 1..)
            .filter(|(record, _)| !is_hidden(&record.message))
            .map(|(record, seq)| {
                let mut message = shown(record.message, &record.id, seq);
                shorten(&mut message, max_chars);
                json!({
                    "sessionKey": key, "agentId": agent, "message": message,
                    "messageId": record.id, "messageSeq": seq,
                })
            })
            .collect();
        Ok(Some(json!({
            "kind": "delta", "sessionKey": key, "messages": messages,
            "deltaCursor": self.cursor(key, total), "pendingInputs": self.pending_inputs(key),
            "sessionInfo": self.session_row(key),
        })))
    }

    /// `{sessionKey, messageId, maxChars?}` -> `{ok, message}` or `{ok: false,
    /// unavailableReason}`.
    pub(in crate::gateway::rpc) fn chat_message_get(&mut self, params: &Params) -> Handled {
        let (key, _) = self.target(text(params, "sessionKey"), text(params, "agentId"))?;
        let id = text(params, "messageId").unwrap_or_default();
        let failed = |error: io::Error| unreadable(&key, &error);
        let total = self.sessions.count(self.disk.as_ref(), &key).map_err(failed)?;
        let (mut found, mut seq) = (None, total + 1);
        let mut see = |record: Record| {
            seq = seq.saturating_sub(1);
            if record.id != id {
                return ControlFlow::Continue(());
            }
            found = Some(shown(record.message, &record.id, seq));
            ControlFlow::Break(())
        };
        self.sessions.walk_back(self.disk.as_ref(), &key, &mut see).map_err(failed)?;
        let Some(mut message) = found else {
            return Ok(Answer::Value(json!({"ok": false, "unavailableReason": "not_found"})));
        };
        if message.to_string().len() > limits::WS_DROP_EVENTS {
            return Ok(Answer::Value(json!({"ok": false, "unavailableReason": "oversized"})));
        }
        shorten(&mut message, count(params, "maxChars", usize::MAX));
        Ok(Answer::Value(json!({"ok": true, "message": message})))
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

fn unreadable(key: &str, error: &io::Error) -> ErrorShape {
    ErrorShape::unavailable(format!("the transcript of {key} cannot be read: {error}"))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AuthMode;
    use crate::driver::{Now, Time};
    use crate::gateway::fuzz::{Memory, boot};
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
