//! After a stop that was none: what was accepted and has no answer.

use super::super::Gateway;
use super::Finished;
use super::outcome::notice;
use crate::agent::turn::text_of;
use crate::protocol::error::ErrorShape;
use crate::wire::hash::hex_decode;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

impl Gateway {
    /// After a crash: what was journalled and has no answer gets a notice, exactly one.
    pub(in crate::gateway) fn settle_unfinished(&mut self) {
        let now_ms = self.now.wall_ms;
        for (id, work) in std::mem::take(&mut self.runs.unfinished) {
            let key = work.get("sessionKey").and_then(Value::as_str).unwrap_or_default().to_owned();
            let Some(agent) = crate::sessions::key::agent_of(&key) else {
                // No later start could do more.
                log::error!(target: "store",
                    "journalled run {id}: {key:?} cannot be a session; given up");
                self.write_off(&id);
                continue;
            };
            self.sessions.open(self.disk.as_mut(), agent);
            let fresh = self.uuid();
            self.sessions.ensure(self.disk.as_mut(), &key, || fresh, now_ms);
            let written = self.written_of(&key, &id);
            let mut kept = true;
            if !written.said
                && let Some(message) = work.get("message")
            {
                kept &= self.append_message(&key, &id, message).is_ok();
            }
            if let Some(answer) = &written.answer {
                if let Some(origin) = work.get("origin") {
                    // Its answer may not have been given to the channel any more.
                    let text = text_of(answer.get("content").unwrap_or(&Value::Null));
                    self.settle_origin(&id, origin, &text, false);
                }
                self.remember_answer(&id, &work, answer);
            } else {
                let why = written.why();
                if let Some(origin) = work.get("origin") {
                    let text = format!("⚠️ {why}; please ask again");
                    self.settle_origin(&id, origin, &text, true);
                }
                kept &= self.append_message(&key, &id, &notice(&id, &why, now_ms)).is_ok();
                self.remember_notice(&id, &work, &why);
                log::warn!(target: "gateway",
                    "run {id} in {key} was cut short by the last stop; its session says so");
            }
            if kept {
                self.runs.answered.push(id);
            }
            if let Some(entry) = self.sessions.get_mut(&key).filter(|_| written.answer.is_none()) {
                entry.status = Some("failed".to_owned());
                entry.ended_at = Some(now_ms);
            }
        }
        // The notices reach the platter before the journal says that they are there.
        if self.sessions.is_dirty() || !self.runs.answered.is_empty() {
            self.save();
        }
    }

    fn write_off(&mut self, id: &str) {
        if let Err(error) = self.runs.journal.done(self.disk.as_mut(), id) {
            log::error!(target: "store", "run {id} not marked done: {error}");
        }
    }

    /// A repeated key is told what became of the first one.
    fn remember_notice(&mut self, id: &str, work: &Value, why: &str) {
        let digest = work.get("digest").and_then(Value::as_str).and_then(hex_decode);
        let Some(digest) = digest.and_then(|digest| digest.try_into().ok()) else { return };
        let error = ErrorShape::unavailable(why).with(json!({"runId": id, "status": "error"}));
        let wait = json!({
            "runId": id, "status": "error", "endedAt": self.now.wall_ms, "stopReason": "error",
            "error": why,
        });
        let finished = Finished { digest, wait: wait.to_string().into_bytes(), second: Err(error) };
        self.runs.remember(self.disk.as_mut(), id.to_owned(), finished);
    }

    /// The answer stands there, and its outcome was not written any more: it is made of what the
    /// answer says, so that a repeated key does not run again.
    fn remember_answer(&mut self, id: &str, work: &Value, answer: &Value) {
        if self.runs.finished(id).is_some() {
            return;
        }
        let digest = work.get("digest").and_then(Value::as_str).and_then(hex_decode);
        let Some(digest) = digest.and_then(|digest| digest.try_into().ok()) else { return };
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let said = text_of(answer.get("content").unwrap_or(&Value::Null));
        let aborted = answer.get("openclawAbort").and_then(|abort| abort.get("origin"));
        let (status, stop) = match (text("errorMessage"), aborted) {
            (Some(_), _) => ("error", "error"),
            (None, Some(origin)) => ("timeout", origin.as_str().unwrap_or_default()),
            (None, None) => ("ok", text("stopReason").unwrap_or("stop")),
        };
        let second = match status {
            "error" => Err(ErrorShape::unavailable(text("errorMessage").unwrap_or_default())
                .with(json!({"runId": id, "status": "error"}))),
            "timeout" => Ok(json!({
                "runId": id, "status": status, "summary": "aborted", "stopReason": stop,
            })),
            _ => Ok(json!({
                "runId": id, "status": status, "summary": "completed",
                "result": {"payloads": [{"text": said, "mediaUrl": null}], "meta": {
                    "aborted": false, "stopReason": stop, "finalAssistantVisibleText": said,
                }},
            })),
        };
        let wait = json!({
            "runId": id, "status": status, "endedAt": answer.get("timestamp"),
            "stopReason": stop,
            "terminalReply": {"disposition": "visible", "text": said},
        });
        let second = second.map(|value| value.to_string().into_bytes());
        let finished = Finished { digest, wait: wait.to_string().into_bytes(), second };
        self.runs.remember(self.disk.as_mut(), id.to_owned(), finished);
    }

    /// What a session has of a run.
    fn written_of(&self, key: &str, id: &str) -> Written {
        let said = format!("{id}:user");
        let mut written = Written::default();
        let walked = self.sessions.walk_back(self.disk.as_ref(), key, &mut |record| {
            written.see(&record.message, id, &said);
            match written.said {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        if let Err(error) = walked {
            log::error!(target: "sessions", "the transcript of {key} cannot be read: {error}");
        }
        written
    }
}

/// What a transcript has of a run, read backwards.
#[derive(Default)]
struct Written {
    /// Its message.
    said: bool,
    /// Its answer, or that of the run it was said to.
    answer: Option<Value>,
    /// Ids of its calls that have a result, and names of those that have none.
    results: BTreeSet<String>,
    cut_short: Vec<String>,
}

impl Written {
    fn see(&mut self, message: &Value, id: &str, said: &str) {
        let text = |name: &str| message.get(name).and_then(Value::as_str);
        self.said |= text("idempotencyKey") == Some(said);
        let own = message.get("__openclaw");
        let field = |name: &str| own.and_then(|own| own.get(name));
        let answers = field("answers").and_then(Value::as_array);
        let ours = field("runId").and_then(Value::as_str) == Some(id);
        let carried = answers.is_some_and(|answers| answers.iter().any(|other| other == id));
        match text("role") {
            Some("assistant") if (ours || carried) && field("continues").is_none() => {
                self.answer.get_or_insert_with(|| message.clone());
            }
            Some("toolResult") if ours => {
                self.results.extend(text("toolCallId").map(str::to_owned));
            }
            Some("assistant") if ours => {
                let parts = message.get("content").and_then(Value::as_array);
                for part in parts.into_iter().flatten() {
                    let text = |name: &str| part.get(name).and_then(Value::as_str);
                    let call = text("type") == Some("toolCall");
                    if call && text("id").is_some_and(|id| !self.results.contains(id)) {
                        self.cut_short.extend(text("name").map(str::to_owned));
                    }
                }
            }
            _ => {}
        }
    }

    fn why(&self) -> String {
        let mut why = "the gateway stopped before this was answered".to_owned();
        if !self.cut_short.is_empty() {
            why.push_str("; cut short, and perhaps done in part: ");
            why.push_str(&self.cut_short.join(", "));
        }
        why
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fuzz::{Memory, boot};
    use super::super::Repeated;
    use crate::config::AuthMode;
    use crate::driver::{Now, Time};
    use crate::store::Disk;
    use serde_json::{Value, json};
    use std::path::Path;

    #[test]
    fn what_a_crash_left_is_settled_in_the_order_of_acceptance() {
        let mut disk = Memory::default();
        let path = Path::new("/state/journal/inbound.jsonl");
        let key = "agent:main:main";
        let mut journal = Vec::new();
        let keys = [("z", key), ("odd", "../etc"), ("b", key), ("y", key), ("a", key)];
        for (id, key) in keys {
            let message =
                json!({"role": "user", "content": id, "idempotencyKey": format!("{id}:user")});
            let work = json!({"sessionKey": key, "message": message});
            journal.extend(json!({"op": "accept", "id": id, "work": work}).to_string().bytes());
            journal.push(b'\n');
        }
        journal.extend(b"{\"op\":\"accept\",\"id\":\"bare\"}\n");
        disk.append(path, &journal).expect("memory");
        let now = Now { time: Time(1), wall_ms: 1_795_000_000_000 };
        let gateway = boot(0, AuthMode::None, &disk, now);
        assert_eq!(gateway.runs.unfinished(), 0, "work that cannot be done is given up");
        let records = gateway.sessions.messages(&disk, key).expect("a transcript");
        let said: Vec<&str> = records
            .iter()
            .filter(|record| record.message["role"] == "user")
            .filter_map(|record| record.message.get("content").and_then(Value::as_str))
            .collect();
        assert_eq!(said, ["z", "b", "y", "a"]);
        assert_eq!(records.len(), 8, "a notice each");
        // Nothing is left for the next start.
        drop(gateway);
        let again = boot(0, AuthMode::None, &disk, now);
        assert_eq!(again.sessions.messages(&disk, key).expect("a transcript").len(), 8);
    }

    #[test]
    fn an_answer_without_its_outcome_is_remembered_as_one() {
        let mut disk = Memory::default();
        let key = "agent:main:main";
        let now = Now { time: Time(1), wall_ms: 1_795_000_000_000 };
        let mut gateway = boot(0, AuthMode::None, &disk, now);
        gateway.sessions.ensure(&mut disk, key, || "s".to_owned(), 1);
        let mut lines = Vec::new();
        for id in ["whole", "rider", "cut"] {
            let said =
                json!({"role": "user", "content": id, "idempotencyKey": format!("{id}:user")});
            gateway.append_message(key, id, &said).expect("memory");
            let work = json!({"sessionKey": key, "message": said, "digest": "07".repeat(32)});
            lines.extend(json!({"op": "accept", "id": id, "work": work}).to_string().bytes());
            lines.push(b'\n');
        }
        let answer = json!({
            "role": "assistant", "content": [{"type": "text", "text": "yes"}],
            "stopReason": "stop", "__openclaw": {"runId": "whole", "answers": ["rider"]},
        });
        gateway.append_message(key, "whole", &answer).expect("memory");
        gateway.save();
        drop(gateway);
        disk.append(Path::new("/state/journal/inbound.jsonl"), &lines).expect("memory");
        // Killed between the answer and its outcome.
        let gateway = boot(0, AuthMode::None, &disk, now);
        for id in ["whole", "rider"] {
            match gateway.repeated(id, [7; 32]) {
                Repeated::Finished(Ok(payload)) => {
                    assert!(String::from_utf8_lossy(payload).contains("yes"), "{id}");
                }
                _ => panic!("{id} would run again"),
            }
            assert!(matches!(gateway.repeated(id, [8; 32]), Repeated::Conflict));
        }
        assert!(matches!(gateway.repeated("cut", [7; 32]), Repeated::Finished(Err(_))));
        assert_eq!(gateway.sessions.messages(&disk, key).expect("read").len(), 5);
    }
}
