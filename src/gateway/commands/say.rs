//! How a command answers: one `chat` final under the message's own run id, remembered like a
//! run, so that the same message sent again is not obeyed again.

use super::super::Gateway;
use super::super::broadcast::To;
use super::super::rpc::chat::injected;
use super::super::runs::{Asker, Finished, TOO_SMALL};
use super::super::socket::Answer;
use super::act::Outcome;
use super::{Command, Name};
use crate::driver::{ConnId, Effects};
use crate::protocol::error::ErrorShape;
use crate::protocol::frame::write_json;
use crate::protocol::operations::holds;
use serde_json::{Map, Value, json};

/// A message that is a command: who sent it and where.
pub(in crate::gateway) struct Call<'a> {
    pub(in crate::gateway) conn: ConnId,
    /// Id of the request.
    pub(in crate::gateway) request: &'a str,
    /// Canonical session key.
    pub(in crate::gateway) key: String,
    pub(in crate::gateway) agent: String,
    pub(in crate::gateway) run_id: String,
    pub(in crate::gateway) digest: [u8; 32],
    /// The message as it was written.
    pub(in crate::gateway) said: &'a str,
}

impl Gateway {
    /// A command by `chat.send` or `sessions.send`: `started`, then the final.
    pub(in crate::gateway) fn chat_command(
        &mut self,
        command: Command<'_>,
        call: &Call<'_>,
        params: &Map<String, Value>,
        fx: &mut Effects,
    ) -> Result<Answer, ErrorShape> {
        let started = json!({"runId": call.run_id, "status": "started"});
        match self.obey(command, call, fx)? {
            Outcome::Go(message) => {
                let mut params = params.clone();
                params.insert("message".to_owned(), message.into());
                params.remove("sessionId");
                self.accept_chat(call.conn, &params, Some(call.digest))?;
                self.respond_ok(call.conn, call.request, &started, fx);
                self.tell_session(&call.key, Some("send"), &Value::Null, fx);
            }
            Outcome::Compact(focus) => {
                let begun = self.compact_by_command(call, &focus, false)?;
                self.respond_ok(call.conn, call.request, &started, fx);
                if !begun {
                    self.answer_command(call, TOO_SMALL, true, fx);
                }
            }
            Outcome::Say(text) => {
                self.respond_ok(call.conn, call.request, &started, fx);
                self.answer_command(call, &text, true, fx);
            }
            Outcome::Fresh(text) => {
                self.respond_ok(call.conn, call.request, &started, fx);
                self.answer_command(call, &text, false, fx);
            }
        }
        Ok(Answer::Handled)
    }

    /// A command by `agent`: `accepted`, the final, the second response. `None` when what
    /// follows the command is to be run; the message is then that.
    pub(in crate::gateway) fn agent_command(
        &mut self,
        command: Command<'_>,
        call: &Call<'_>,
        fx: &mut Effects,
    ) -> Result<Option<String>, ErrorShape> {
        let accepted = json!({
            "runId": call.run_id, "sessionKey": call.key, "agentId": call.agent,
            "status": "accepted", "acceptedAt": self.now.wall_ms,
        });
        let (text, kept) = match command.name {
            Name::Stop => {
                let stopped = self.abort_session(&call.key, None, fx).run_ids.len();
                let text = match stopped {
                    0 => "Nothing was running.".to_owned(),
                    n => format!("⚙️ Stopped {n} run{}.", if n == 1 { "" } else { "s" }),
                };
                (text, true)
            }
            _ => match self.obey(command, call, fx)? {
                Outcome::Go(message) => return Ok(Some(message)),
                Outcome::Say(text) => (text, true),
                Outcome::Fresh(text) => (text, false),
                Outcome::Compact(focus) => {
                    if self.compact_by_command(call, &focus, true)? {
                        self.respond_ok(call.conn, call.request, &accepted, fx);
                        return Ok(None);
                    }
                    (TOO_SMALL.to_owned(), true)
                }
            },
        };
        self.respond_ok(call.conn, call.request, &accepted, fx);
        let second = self.answer_command(call, &text, kept, fx);
        self.respond_json(call.conn, call.request, &second, fx);
        Ok(None)
    }

    fn compact_by_command(
        &mut self,
        call: &Call<'_>,
        focus: &str,
        agent: bool,
    ) -> Result<bool, ErrorShape> {
        let asker = Asker::Command {
            conn: call.conn,
            request: call.request.to_owned(),
            said: call.said.to_owned(),
            agent,
        };
        let whose = (call.key.as_str(), call.agent.as_str());
        self.start_compaction(whose, (call.run_id.clone(), call.digest), focus, asker, false)
    }

    /// Does what a command says.
    fn obey(
        &mut self,
        command: Command<'_>,
        call: &Call<'_>,
        fx: &mut Effects,
    ) -> Result<Outcome, ErrorShape> {
        let held = self.conns.client(call.conn).map_or(&[][..], |client| &client.scopes);
        if let Some(scope) = command.needs().filter(|scope| !holds(held, scope)) {
            return Ok(Outcome::Say(format!(
                "⚠️ Permission denied: this connection needs the scope {scope} for that."
            )));
        }
        self.make_session(&call.key)?;
        let client = self.conns.client(call.conn).map(|client| client.id);
        self.touch_session(&call.key, client);
        self.obey_by_table(command, call, fx)
    }

    /// Does what a command says that came by a channel; who may has been asked.
    pub(in crate::gateway) fn obey_channel(
        &mut self,
        command: Command<'_>,
        call: &Call<'_>,
        fx: &mut Effects,
    ) -> Result<Outcome, ErrorShape> {
        self.make_session(&call.key)?;
        self.touch_session(&call.key, None);
        self.obey_by_table(command, call, fx)
    }

    /// Tells the answer of a command; what `agent` gives as its second response.
    pub(in crate::gateway) fn answer_command(
        &mut self,
        call: &Call<'_>,
        text: &str,
        kept: bool,
        fx: &mut Effects,
    ) -> Vec<u8> {
        let now_ms = self.now.wall_ms;
        let mut message = injected(text, now_ms);
        message["content"][0]["openclawStatusNotice"] = json!(true);
        message["idempotencyKey"] = json!(format!("{}:assistant", call.run_id));
        message["__openclaw"] = json!({"runId": call.run_id, "command": true});
        if kept {
            let key = format!("{}:user", call.run_id);
            let said = json!({
                "role": "user", "content": call.said, "timestamp": now_ms, "idempotencyKey": key,
                "__openclaw": {"senderIsOwner": true, "idempotencyKey": key, "command": true},
            });
            for message in [&said, &message] {
                if let Ok(appended) = self.append_message(&call.key, &call.run_id, message) {
                    self.tell_appended(&call.key, &call.agent, message, &appended, fx);
                }
            }
        }
        self.broadcast("chat", To::All, fx, &|protocol| {
            let mut payload = json!({
                "runId": call.run_id, "sessionKey": call.key, "seq": 1, "state": "final",
                "message": message,
            });
            if protocol >= 4 {
                payload["agentId"] = json!(call.agent);
            }
            Some(payload)
        });
        self.tell_session(&call.key, Some("patch"), &Value::Null, fx);
        let wait = json!({
            "runId": call.run_id, "status": "ok", "startedAt": now_ms, "endedAt": now_ms,
            "stopReason": "stop", "livenessState": "working",
            "terminalReply": {"disposition": "visible", "text": text},
        });
        let second = json!({
            "runId": call.run_id, "status": "ok", "summary": "completed",
            "result": {
                "payloads": [{"text": text, "mediaUrl": null}],
                "meta": {
                    "durationMs": 0, "aborted": false, "finalAssistantVisibleText": text,
                    "stopReason": "stop",
                },
            },
        });
        let mut json = [Vec::new(), Vec::new()];
        write_json(&mut json[0], &wait);
        write_json(&mut json[1], &second);
        let [wait, second] = json;
        let finished = Finished::new(call.digest, wait.clone(), second.clone());
        self.runs.remember(self.disk.as_mut(), call.run_id.clone(), finished);
        self.answer_waits(&call.run_id, &wait, fx);
        self.save_soon();
        second
    }
}
