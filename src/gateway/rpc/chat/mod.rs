//! `chat.send`, `chat.history`, `chat.startup`, `chat.abort`, `chat.inject`,
//! `chat.message.get`, `chat.metadata` (FACTS.md section 5).

mod history;
mod inject;

pub(in crate::gateway) use history::shown;
pub(in crate::gateway) use inject::injected;

use super::super::Gateway;
use super::super::channels::{Origin, Wanted};
use super::super::commands::{Call, Command, Name};
use super::super::runs::{Cause, NewRun, QueueMode, Repeated, digest};
use super::super::socket::Answer;
use super::{Handled, Params, number, text};
use crate::agent::Ask;
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::protocol::frame::write_json;
use crate::wire::hash::base64_decode;
use serde::Serialize;
use serde_json::{Value, json};

impl Gateway {
    /// Acknowledges `{runId, status: "started"}` once the message is on disk; the run follows.
    pub(super) fn chat_send(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let (key, agent) = self.target(text(params, "sessionKey"), text(params, "agentId"))?;
        let message = text(params, "message").unwrap_or_default();
        let plain = params.get("suppressCommandInterpretation") == Some(&Value::Bool(true));
        let command = if plain { None } else { Command::read(message) };
        if command.is_some_and(|command| command.name == Name::Stop) {
            return Ok(self.abort_session(&key, None, fx).answer());
        }
        let (run_id, status) = match command {
            None => self.accept_chat(conn, params, None)?,
            Some(command) => {
                let run_id = text(params, "idempotencyKey").unwrap_or_default().to_owned();
                let digest = digest("chat", &key, message, params.get("attachments"));
                if let Some(status) = self.known(&run_id, digest)? {
                    return Ok(Answer::Value(json!({"runId": run_id, "status": status})));
                }
                let call = Call { conn, request, key, agent, run_id, digest, said: message };
                return self.chat_command(command, &call, params, fx);
            }
        };
        self.respond_ok(conn, request, &json!({"runId": run_id, "status": status}), fx);
        if status == "started" {
            self.tell_session(&key, Some("participants"), &Value::Null, fx);
        }
        Ok(Answer::Handled)
    }

    /// What a repeated idempotency key answers.
    fn known(&self, run_id: &str, digest: [u8; 32]) -> Result<Option<&'static str>, ErrorShape> {
        match self.repeated(run_id, digest) {
            Repeated::No => Ok(None),
            Repeated::Conflict => Err(conflict()),
            Repeated::InFlight(_) => Ok(Some("in_flight")),
            Repeated::Finished(_) => Ok(Some("ok")),
        }
    }

    /// Takes a message on as a run, whatever it says: its id, and `started` or what became of
    /// the same message before. `digested` is of the message as it came, when a command stood
    /// before it.
    pub(in crate::gateway) fn accept_chat(
        &mut self,
        conn: ConnId,
        params: &Params,
        digested: Option<[u8; 32]>,
    ) -> Result<(String, &'static str), ErrorShape> {
        let message = text(params, "message").unwrap_or_default();
        let (key, agent) = self.target(text(params, "sessionKey"), text(params, "agentId"))?;
        let images = images(params)?;
        if message.trim().is_empty() && images.is_empty() {
            return Err(ErrorShape::invalid("message or attachment required"));
        }
        let run_id = text(params, "idempotencyKey").unwrap_or_default().to_owned();
        let digest =
            digested.unwrap_or_else(|| digest("chat", &key, message, params.get("attachments")));
        if let Some(status) = self.known(&run_id, digest)? {
            return Ok((run_id, status));
        }
        let session_id = text(params, "sessionId");
        if let (Some(asked), Some(entry)) = (session_id, self.sessions.get(&key))
            && entry.session_id != asked
        {
            return Err(another_session(&key, asked));
        }
        let client = self.conns.client(conn).map(|client| (client.id, client.mode));
        let thinking = super::agent::thinking(params)?;
        let new = NewRun {
            origin: self.deliver_to(params, &key)?,
            ask: Ask { thinking, ..Ask::default() },
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
        Ok((run_id, "started"))
    }

    /// `{sessionKey, runId?}` -> `{ok, aborted, runIds}`; nothing running is no error.
    pub(super) fn chat_abort(&mut self, params: &Params, fx: &mut Effects) -> Handled {
        let (key, _) = self.target(text(params, "sessionKey"), text(params, "agentId"))?;
        Ok(self.abort_session(&key, text(params, "runId"), fx).answer())
    }

    /// Cancels the runs of a session, those that wait first so that none begins meanwhile.
    pub(in crate::gateway) fn abort_session(
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
}

/// Result of `chat.abort`; some clients compare the text, so the order is the reference's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::gateway) struct Aborted {
    ok: bool,
    aborted: bool,
    pub(in crate::gateway) run_ids: Vec<String>,
}

impl Aborted {
    pub(super) fn answer(&self) -> Answer {
        let mut json = Vec::new();
        write_json(&mut json, self);
        Answer::Json(json)
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

impl Gateway {
    /// Where the answer goes, when `deliver` is asked for: the request's own words, else who last
    /// wrote to the session. `bestEffortDeliver` runs without a place, too.
    pub(super) fn deliver_to(
        &self,
        params: &Params,
        key: &str,
    ) -> Result<Option<Value>, ErrorShape> {
        if params.get("deliver") != Some(&Value::Bool(true)) {
            return Ok(None);
        }
        let word = |names: &[&str]| {
            names.iter().find_map(|name| text(params, name).filter(|word| !word.is_empty()))
        };
        let wanted = Wanted {
            channel: word(&["replyChannel", "channel", "originatingChannel"]),
            to: word(&["replyTo", "to", "originatingTo"]),
            account: word(&["replyAccountId", "accountId", "originatingAccountId"]),
            thread: word(&["threadId", "originatingThreadId"]),
            session: key,
        };
        match self.answer_place(wanted) {
            Ok(origin) => Ok(Some(origin)),
            Err(why) if params.get("bestEffortDeliver") == Some(&Value::Bool(true)) => {
                Ok(Some(Origin::nowhere(&why)))
            }
            Err(why) => {
                let reason = why.reason;
                let error = ErrorShape::invalid(format!("deliver: {}", why.what));
                Err(error.with(json!({"code": "DELIVERY_TARGET", "reason": reason})))
            }
        }
    }
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
