//! A job: what the operator asked for, and what became of it so far. The shapes are those of
//! the wire and of the reference's `cron/jobs.json` (2026.4.26).

use super::schedule::Schedule;
use crate::wire::hash::{base64_url_no_pad, sha256};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What a job does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Payload {
    /// A line that the main session's model reads.
    #[serde(rename_all = "camelCase")]
    SystemEvent {
        /// What it says.
        text: String,
        /// Fields that have no effect here, kept for the next writer.
        #[serde(flatten)]
        extra: Map<String, Value>,
    },
    /// A run of an agent.
    #[serde(rename_all = "camelCase")]
    AgentTurn {
        /// What the agent is asked.
        message: String,
        /// `provider/model` instead of the agent's.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        model: Option<String>,
        /// How much it thinks.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        thinking: Option<String>,
        /// Its time; 0 leaves it to `agents.defaults.timeoutSeconds`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        timeout_seconds: Option<Value>,
        /// Fields that have no effect here, kept for the next writer.
        #[serde(flatten)]
        extra: Map<String, Value>,
    },
}

/// `wakeMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WakeMode {
    /// The main session's model is asked at once.
    Now,
    /// The event waits for the next run of that session.
    NextHeartbeat,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub declaration_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session_key: Option<String>,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    #[serde(default = "yes")]
    pub enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub delete_after_run: Option<bool>,
    #[serde(default)]
    pub created_at_ms: u64,
    #[serde(default)]
    pub updated_at_ms: u64,
    pub schedule: Schedule,
    pub session_target: String,
    pub wake_mode: WakeMode,
    pub payload: Payload,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub delivery: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure_alert: Option<Value>,
    #[serde(default)]
    pub state: State,
    /// Whatever else the file said; written back untouched.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

fn yes() -> bool {
    true
}

/// The `state` of a job. Times are Unix milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_run_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_activated_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_errors: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_skipped: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delivery_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delivery_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure_notification_delivery_status: Option<String>,
    /// Whatever else the file said.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Job {
    /// As in events and on the disk.
    pub fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Digest of everything but the state: `configRevision`.
    pub fn revision(&self) -> String {
        let mut value = self.value();
        if let Some(object) = value.as_object_mut() {
            object.remove("state");
            object.remove("updatedAtMs");
        }
        digest(&value)
    }

    /// As in answers: with the revision and what lists show.
    pub fn shown(&self) -> Value {
        let mut value = self.value();
        value["configRevision"] = json!(self.revision());
        let state = &self.state;
        for (name, field) in [
            ("nextRunAtMs", state.next_run_at_ms.map(Value::from)),
            ("lastRunAtMs", state.last_run_at_ms.map(Value::from)),
            ("lastRunStatus", state.last_run_status.clone().map(Value::from)),
            ("lastRunError", state.last_error.clone().map(Value::from)),
            ("lastDeliveryStatus", state.last_delivery_status.clone().map(Value::from)),
            ("lastDeliveryError", state.last_delivery_error.clone().map(Value::from)),
        ] {
            if let Some(field) = field {
                value[name] = field;
            }
        }
        value
    }

    /// The rows of `cron.list {compact: true}`.
    pub fn compact(&self) -> Value {
        let time = |ms: Option<u64>| ms.map(crate::wire::text::rfc3339_ms);
        let state = &self.state;
        let mut row = json!({
            "id": self.id, "name": self.name, "updatedAtMs": self.updated_at_ms,
            "enabled": self.enabled, "scheduleKind": self.schedule.kind(),
            "schedule": self.schedule,
            "nextRunAt": time(state.next_run_at_ms), "nextRunAtMs": state.next_run_at_ms,
            "lastRunAt": time(state.last_run_at_ms), "lastRunAtMs": state.last_run_at_ms,
            "lastRunStatus": state.last_run_status, "lastRunError": state.last_error,
        });
        for (name, field) in [
            ("agentId", &self.agent_id),
            ("declarationKey", &self.declaration_key),
            ("displayName", &self.display_name),
        ] {
            if let Some(field) = field {
                row[name] = json!(field);
            }
        }
        row
    }

    /// The word of `delivery.mode`; absent is `none`.
    pub fn delivery_mode(&self) -> &str {
        let mode = self.delivery.as_ref().and_then(|delivery| delivery.get("mode"));
        mode.and_then(Value::as_str).unwrap_or("none")
    }

    /// `{label, detail}` of what becomes of its answer.
    pub fn preview(&self) -> Value {
        match self.delivery_mode() {
            "none" => json!({"label": "not requested", "detail": "not requested"}),
            "announce" => {
                let word = |name: &str| self.delivery.as_ref()?.get(name)?.as_str();
                let channel = word("channel").unwrap_or("last");
                let to = word("to").map(|to| format!(" -> {to}")).unwrap_or_default();
                json!({"label": format!("announce{to}"), "detail": format!("{channel}{to}")})
            }
            mode => {
                let to = self.delivery.as_ref().and_then(|it| it.get("to")).and_then(Value::as_str);
                json!({"label": mode, "detail": to.unwrap_or("no address")})
            }
        }
    }

    /// Whether a failed delivery does not make the run fail.
    pub fn best_effort(&self) -> bool {
        let delivery = self.delivery.as_ref();
        delivery.and_then(|delivery| delivery.get("bestEffort")) == Some(&Value::Bool(true))
    }

    /// A single run that went well leaves nothing, unless it was asked to stay.
    pub fn goes_away(&self) -> bool {
        self.schedule.is_once() && self.delete_after_run != Some(false)
    }
}

/// `sha256:<base64url>` of a value.
pub fn digest(value: &Value) -> String {
    format!("sha256:{}", base64_url_no_pad(&sha256(value.to_string().as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_beside_is_written_back() {
        let text = json!({
            "id": "j", "name": "n", "enabled": true, "createdAtMs": 1, "updatedAtMs": 2,
            "schedule": {"kind": "cron", "expr": "0 7 * * *", "tz": "Europe/Berlin"},
            "sessionTarget": "isolated", "wakeMode": "next-heartbeat",
            "payload": {"kind": "agentTurn", "message": "m", "lightContext": true},
            "delivery": {"mode": "announce", "channel": "last"},
            "state": {"nextRunAtMs": 5, "lastDelivered": false}, "odd": [1],
        });
        let job: Job = serde_json::from_value(text.clone()).expect("a job");
        assert_eq!(job.value(), text);
        assert_eq!(job.shown()["nextRunAtMs"], 5);
        assert_eq!(job.preview()["detail"], "last");
    }

    #[test]
    fn the_revision_is_that_of_the_definition() {
        let text = json!({
            "id": "j", "name": "n", "schedule": {"kind": "every", "everyMs": 5},
            "sessionTarget": "main", "wakeMode": "now",
            "payload": {"kind": "systemEvent", "text": "t"},
        });
        let mut job: Job = serde_json::from_value(text).expect("a job");
        let before = job.revision();
        assert!(before.starts_with("sha256:") && before.len() == 50, "{before}");
        job.state.next_run_at_ms = Some(9);
        job.updated_at_ms = 9;
        assert_eq!(job.revision(), before);
        job.name.push('x');
        assert_ne!(job.revision(), before);
    }
}
