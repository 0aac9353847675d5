//! `health`, `status`, `channels.status`: what the gateway says of itself.

use super::super::Gateway;
use crate::protocol::VERSION;
use serde_json::{Map, Value, json};

/// Sessions named in `health` and `status`.
const RECENT: usize = 5;

impl Gateway {
    /// `health`, also the snapshot of `hello-ok` and the `health` event.
    pub(in crate::gateway) fn health_value(&self) -> Value {
        let default = self.config.agents.default_agent();
        let agents: Vec<Value> = self
            .config
            .agents
            .agent_ids()
            .into_iter()
            .map(|id| {
                json!({
                    "agentId": id, "isDefault": id == default,
                    "heartbeat": {
                        "enabled": false, "every": "0m", "everyMs": null, "prompt": "",
                        "target": "none", "ackMaxChars": 0,
                    },
                    "sessions": self.sessions_value(id, true),
                })
            })
            .collect();
        json!({
            "ok": true, "ts": self.now.wall_ms, "durationMs": 0,
            "plugins": {"loaded": [], "errors": [], "unavailable": []},
            "configReload": {"hotReloadStatus": "disabled"},
            "channels": {}, "channelOrder": [], "channelLabels": {},
            "heartbeatSeconds": 0, "defaultAgentId": default, "agents": agents,
            "sessions": self.sessions_value(default, true),
        })
    }

    fn sessions_value(&self, agent: &str, path: bool) -> Value {
        let (count, newest) = self.sessions.newest(agent, RECENT);
        let now_ms = self.now.wall_ms;
        let recent: Vec<Value> = newest
            .into_iter()
            .map(|(key, at)| json!({"key": key, "updatedAt": at, "age": now_ms.saturating_sub(at)}))
            .collect();
        let shown = if path {
            self.sessions.index_path(agent).display().to_string()
        } else {
            "[redacted]".to_owned()
        };
        json!({"path": shown, "count": count, "recent": recent})
    }

    /// `status`.
    pub(in crate::gateway) fn status_value(&self) -> Value {
        let agents = self.config.agents.agent_ids();
        let total: usize = agents.iter().map(|id| self.sessions.newest(id, 0).0).sum();
        let by_agent: Vec<Value> = agents
            .iter()
            .map(|id| {
                let mut value = self.sessions_value(id, false);
                value["agentId"] = json!(id);
                value
            })
            .collect();
        let heartbeat: Vec<Value> =
            agents.iter().map(|id| json!({"agentId": id, "enabled": false})).collect();
        let (model, context) = self.default_model(self.config.agents.default_agent());
        let recent: Vec<Value> = self
            .sessions
            .list()
            .into_iter()
            .take(RECENT)
            .map(|(key, _)| self.session_row(key))
            .collect();
        let active = self.runs.active_len();
        json!({
            "runtimeVersion": VERSION,
            "heartbeat": {
                "defaultAgentId": self.config.agents.default_agent(), "agents": heartbeat,
            },
            "channelSummary": [], "queuedSystemEvents": [],
            "degradedSecretOwners": [], "degradedPlugins": [],
            "tasks": {"total": active, "active": active, "terminal": 0, "failures": 0,
                "byStatus": {}, "byRuntime": {}},
            "sessions": {
                "paths": [], "count": total,
                "defaults": {"model": model, "contextTokens": context},
                "recent": recent, "byAgent": by_agent,
            },
            "modelRuntime": {"degraded": false, "pendingAgents": []},
            "configWarnings": self.config.warnings.len(),
            "pid": self.host.pid, "uptimeMs": self.uptime_ms(),
            "connections": {"clients": self.conns.clients_len(), "all": self.conns.all().count()},
            "memory": {"heldBytes": self.held, "queuedBytes": self.queued},
        })
    }

    /// `channels.status`: none are built yet, and that is what it says.
    pub(in crate::gateway) fn channels_status(&self) -> Value {
        json!({
            "ts": self.now.wall_ms, "channelOrder": [], "channelLabels": {},
            "channelDetailLabels": {}, "channelSystemImages": {}, "channelMeta": [],
            "channels": {}, "channelAccounts": {}, "channelDefaultAccountId": {},
            "statusIssues": [],
        })
    }

    /// `hello-ok.snapshot.sessionDefaults`.
    pub(in crate::gateway) fn session_defaults(&self) -> Value {
        let agent = self.config.agents.default_agent();
        let main_key = &self.config.session.main_key;
        let scope = match self.config.session.scope {
            crate::config::SessionScope::PerSender => "per-sender",
            crate::config::SessionScope::Global => "global",
        };
        let mut value = Map::new();
        value.insert("defaultAgentId".to_owned(), json!(agent));
        let configured = self.config.agents.model_of(agent).primary.is_some();
        value.insert("modelConfigured".to_owned(), json!(configured));
        value.insert("ownership".to_owned(), json!("sole"));
        value.insert("selectionRequired".to_owned(), json!(false));
        value.insert("mainKey".to_owned(), json!(main_key));
        value.insert(
            "mainSessionKey".to_owned(),
            json!(crate::sessions::key::main(agent, main_key)),
        );
        value.insert("scope".to_owned(), json!(scope));
        Value::Object(value)
    }
}
