//! After a stop that was none: what was accepted and has no answer.

use super::super::Gateway;
use super::Finished;
use super::outcome::notice;
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
            if !written.answered {
                let why = written.why();
                kept &= self.append_message(&key, &id, &notice(&id, &why, now_ms)).is_ok();
                self.remember_notice(&id, &work, &why);
                log::warn!(target: "gateway",
                    "run {id} in {key} was cut short by the last stop; its session says so");
            }
            if kept {
                self.write_off(&id);
            }
            if let Some(entry) = self.sessions.get_mut(&key) {
                entry.status = Some("failed".to_owned());
                entry.ended_at = Some(now_ms);
            }
        }
        if self.sessions.is_dirty() {
            self.sessions.save(self.disk.as_mut());
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
    /// Its answer.
    answered: bool,
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
                self.answered = true;
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
}
