//! After a stop that was none: what was accepted and has no answer.

use super::super::Gateway;
use super::outcome::notice;
use serde_json::Value;
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
            let (has_user, answered) = self.written_of(&key, &id);
            let mut kept = true;
            if !has_user && let Some(message) = work.get("message") {
                kept &= self.append_message(&key, &id, message).is_ok();
            }
            if !answered {
                let notice = notice(&id, "the gateway stopped before this was answered", now_ms);
                kept &= self.append_message(&key, &id, &notice).is_ok();
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

    /// Whether a session has the message of a run, and an answer to it.
    fn written_of(&self, key: &str, id: &str) -> (bool, bool) {
        let said = format!("{id}:user");
        let (mut has_user, mut answered) = (false, false);
        let walked = self.sessions.walk_back(self.disk.as_ref(), key, &mut |record| {
            let field = record.message.get("idempotencyKey").and_then(Value::as_str);
            has_user |= field == Some(&said);
            let run = record.message.get("__openclaw").and_then(|own| own.get("runId"));
            answered |= run.and_then(Value::as_str) == Some(id);
            match has_user && answered {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        if let Err(error) = walked {
            log::error!(target: "sessions", "the transcript of {key} cannot be read: {error}");
        }
        (has_user, answered)
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
