//! `wake`, `system-event`, `last-heartbeat`, `set-heartbeats`: system events by clients.

use super::super::Gateway;
use super::super::socket::Answer;
use super::{Handled, Params, text};
use crate::protocol::error::ErrorShape;
use serde_json::{Value, json};

impl Gateway {
    /// `{mode: "now" | "next-heartbeat", text, sessionKey?, agentId?}` -> `{ok: true}`.
    pub(super) fn wake_rpc(&mut self, params: &Params) -> Handled {
        let later = text(params, "mode") == Some("next-heartbeat");
        self.leave_event(params, later)
    }

    /// `{text, sessionKey?, ...}` -> `{ok: true}`: told with the next run, none is started.
    pub(super) fn system_event(&mut self, params: &Params) -> Handled {
        self.leave_event(params, true)
    }

    fn leave_event(&mut self, params: &Params, later: bool) -> Handled {
        let said = text(params, "text").map(str::trim).filter(|said| !said.is_empty());
        let said = said.ok_or_else(|| ErrorShape::invalid("text required"))?.to_owned();
        let named = text(params, "sessionKey").filter(|key| !key.is_empty());
        let (key, agent) = self.target(named, text(params, "agentId"))?;
        self.wake_session(&agent, &key, &said, later)?;
        Ok(Answer::Value(json!({"ok": true})))
    }

    /// What became of the last heartbeat, as its event said; `null` before the first.
    pub(super) fn last_heartbeat(&self) -> Value {
        self.heartbeats.last.clone().unwrap_or_default()
    }

    /// `{enabled}` -> `{ok: true, enabled}`, until the process ends: without, no beat comes, and
    /// a wake leaves its event and starts no run.
    pub(super) fn set_heartbeats(&mut self, params: &Params) -> Handled {
        let on = params.get("enabled").and_then(Value::as_bool);
        let on = on.ok_or_else(|| ErrorShape::invalid("enabled (boolean) required"))?;
        self.heartbeats.on = on;
        Ok(Answer::Value(json!({"ok": true, "enabled": on})))
    }
}
