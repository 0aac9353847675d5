//! After a stop that was none: what was accepted and has no answer.

use super::super::Gateway;
use super::outcome::notice;
use serde_json::Value;

impl Gateway {
    /// After a crash: what was journalled and has no answer gets a notice, exactly one.
    pub(in crate::gateway) fn settle_unfinished(&mut self) {
        let now_ms = self.now.wall_ms;
        for (id, work) in std::mem::take(&mut self.runs.unfinished) {
            let key = work.get("sessionKey").and_then(Value::as_str).unwrap_or_default().to_owned();
            if let Some(agent) = crate::sessions::key::agent_of(&key) {
                self.sessions.open(self.disk.as_mut(), agent);
            }
            let fresh = self.uuid();
            self.sessions.ensure(self.disk.as_mut(), &key, || fresh, now_ms);
            let records = self.sessions.messages(self.disk.as_ref(), &key).unwrap_or_default();
            let said = format!("{id}:user");
            let has_user = records.iter().any(|record| {
                record.message.get("idempotencyKey").and_then(Value::as_str) == Some(&said)
            });
            let answered = records.iter().any(|record| {
                let run = record.message.get("__openclaw").and_then(|own| own.get("runId"));
                run.and_then(Value::as_str) == Some(&id)
            });
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
            if kept && let Err(error) = self.runs.journal.done(self.disk.as_mut(), &id) {
                log::error!(target: "store", "run {id} not marked done: {error}");
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
}
