//! `health`, `status`, `channels.status`: what the gateway says of itself.

use super::super::Gateway;
use super::super::heartbeat::{shown_duration, wants_route};
use crate::protocol::VERSION;
use crate::protocol::frame::write_json;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Sessions named in `health` and `status`.
const RECENT: usize = 5;

/// Result of `health`: `HealthSnapshot` of the schema.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health<'a> {
    ok: bool,
    ts: u64,
    duration_ms: u64,
    plugins: Plugins,
    config_reload: ConfigReload,
    channels: Value,
    channel_order: Vec<&'static str>,
    channel_labels: Value,
    heartbeat_seconds: u64,
    default_agent_id: &'a str,
    agents: Vec<AgentHealth<'a>>,
    sessions: SessionsHealth<'a>,
    event_loop: Value,
    /// Every open address; not in the schema of `hello-ok` either.
    listening: &'a [std::net::SocketAddr],
    /// What is wrong with the configuration file as it is now; the schema of `hello-ok` has no
    /// place for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    config_issues: Vec<Value>,
}

#[derive(Default, Serialize)]
struct Plugins {
    loaded: [u8; 0],
    errors: [u8; 0],
    unavailable: [u8; 0],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigReload {
    hot_reload_status: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentHealth<'a> {
    agent_id: &'a str,
    is_default: bool,
    heartbeat: Heartbeat<'a>,
    sessions: SessionsHealth<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Heartbeat<'a> {
    enabled: bool,
    /// `disabled` for an agent whose beats do not come by themselves.
    every: String,
    every_ms: Option<u64>,
    prompt: &'a str,
    target: &'a str,
    ack_max_chars: usize,
}

#[derive(Serialize)]
struct SessionsHealth<'a> {
    path: PathBuf,
    count: usize,
    recent: Vec<Recent<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Recent<'a> {
    key: &'a str,
    updated_at: u64,
    age: u64,
}

impl Gateway {
    /// `health` as JSON text: what monitors ask all day, so it is written without a tree.
    pub(super) fn health_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(768);
        write_json(&mut out, &self.health());
        out
    }

    /// `health` for the snapshot of `hello-ok`, which has no place for what we add.
    pub(in crate::gateway) fn health_snapshot(&self) -> Value {
        let mut value = self.health_value();
        if let Some(fields) = value.as_object_mut() {
            fields.remove("configIssues");
            fields.remove("listening");
        }
        value
    }

    /// `health` for the `health` event.
    pub(in crate::gateway) fn health_value(&self) -> Value {
        serde_json::to_value(self.health()).unwrap_or_default()
    }

    fn health(&self) -> Health<'_> {
        let default = self.config.agents.default_agent();
        let agents = self.config.agents.agent_ids();
        let (channels, channel_order, channel_labels) = self.channels_health();
        Health {
            ok: true,
            ts: self.now.wall_ms,
            duration_ms: 0,
            plugins: Plugins::default(),
            config_reload: ConfigReload { hot_reload_status: self.hot_reload() },
            channels,
            channel_order,
            channel_labels,
            heartbeat_seconds: self.heartbeat_health(default).every_ms.unwrap_or(0) / 1000,
            default_agent_id: default,
            agents: agents
                .into_iter()
                .map(|id| AgentHealth {
                    agent_id: id,
                    is_default: id == default,
                    heartbeat: self.heartbeat_health(id),
                    sessions: self.sessions_health(id),
                })
                .collect(),
            sessions: self.sessions_health(default),
            event_loop: self.event_loop(),
            listening: &self.host.listening,
            config_issues: self.config_issues(),
        }
    }

    fn heartbeat_health(&self, agent: &str) -> Heartbeat<'_> {
        let (enabled, by) = self.heartbeat_of(agent);
        let every = match enabled {
            true => shown_duration(by.every_ms),
            false => "disabled".to_owned(),
        };
        Heartbeat {
            enabled,
            every,
            every_ms: enabled.then_some(by.every_ms),
            prompt: &by.prompt,
            target: &by.target,
            ack_max_chars: by.ack_max_chars,
        }
    }

    /// An agent's row under `heartbeat` of `status`.
    fn heartbeat_status(&self, agent: &str) -> Value {
        let health = self.heartbeat_health(agent);
        json!({
            "agentId": agent, "enabled": health.enabled, "every": health.every,
            "everyMs": health.every_ms,
            "waitingForRoute": health.enabled && wants_route(health.target),
        })
    }

    /// `disabled` while edits of the file do not reach the running gateway.
    fn hot_reload(&self) -> &'static str {
        let off = self.config.gateway.reload.mode == crate::config::ReloadMode::Off;
        let deaf = self.reload.is_none() || off || self.watch.refused.is_some();
        if deaf { "disabled" } else { "active" }
    }

    fn sessions_health(&self, agent: &str) -> SessionsHealth<'_> {
        let (count, newest) = self.sessions.newest(agent, RECENT);
        let now_ms = self.now.wall_ms;
        let recent = newest
            .into_iter()
            .map(|(key, at)| Recent { key, updated_at: at, age: now_ms.saturating_sub(at) })
            .collect();
        SessionsHealth { path: self.sessions.index_path(agent), count, recent }
    }

    /// `status`.
    pub(in crate::gateway) fn status_value(&self) -> Value {
        let agents = self.config.agents.agent_ids();
        let total: usize = agents.iter().map(|id| self.sessions.newest(id, 0).0).sum();
        let by_agent: Vec<Value> = agents
            .iter()
            .map(|id| {
                let sessions = self.sessions_health(id);
                json!({
                    "agentId": id, "path": "[redacted]", "count": sessions.count,
                    "recent": sessions.recent,
                })
            })
            .collect();
        let heartbeat: Vec<Value> = agents.iter().map(|id| self.heartbeat_status(id)).collect();
        let (model, context) = self.default_model(self.config.agents.default_agent());
        let recent: Vec<Value> = self
            .sessions
            .find(&crate::sessions::Query { limit: RECENT, ..Default::default() })
            .keys
            .into_iter()
            .map(|key| self.session_row(key))
            .collect();
        let active = self.runs.active_len();
        json!({
            "runtimeVersion": VERSION,
            "heartbeat": {
                "defaultAgentId": self.config.agents.default_agent(), "agents": heartbeat,
            },
            "channelSummary": [], "queuedSystemEvents": [],
            "degradedSecretOwners": self.secrets.degraded, "degradedPlugins": [],
            "tasks": {"total": active, "active": active, "terminal": 0, "failures": 0,
                "byStatus": {}, "byRuntime": {}},
            "sessions": {
                "paths": [], "count": total,
                "defaults": {"model": model, "contextTokens": context},
                "recent": recent, "byAgent": by_agent,
            },
            "modelRuntime": {"degraded": false, "pendingAgents": []},
            "eventLoop": self.event_loop(), "slowestWork": self.slowest_work(),
            "processMemory": self.process_memory(),
            "configWarnings": self.config.warnings.len(), "configIssues": self.config_issues(),
            "configWaitsForRestart": self.watch.waiting,
            "shutdownBudget": self.shutdown_budget(),
            "pid": self.host.pid, "listening": self.host.listening, "uptimeMs": self.uptime_ms(),
            "connections": {"clients": self.conns.clients_len(), "all": self.conns.all().count()},
            "memory": {
                "heldBytes": self.held, "queuedBytes": self.queued,
                "runBytes": self.runs.bytes(), "maxBytes": self.memory_max,
            },
        })
    }

    /// `hello-ok.snapshot.sessionDefaults`; protocol 3 knows fewer of them.
    pub(in crate::gateway) fn session_defaults(&self, protocol: u32) -> Value {
        let agent = self.config.agents.default_agent();
        let main_key = &self.config.session.main_key;
        let scope = match self.config.session.scope {
            crate::config::SessionScope::PerSender => "per-sender",
            crate::config::SessionScope::Global => "global",
        };
        let mut value = Map::new();
        value.insert("defaultAgentId".to_owned(), json!(agent));
        if protocol >= 4 {
            let configured = self.config.agents.model_of(agent).primary.is_some();
            value.insert("modelConfigured".to_owned(), json!(configured));
            value.insert("ownership".to_owned(), json!("sole"));
            value.insert("selectionRequired".to_owned(), json!(false));
        }
        value.insert("mainKey".to_owned(), json!(main_key));
        value.insert(
            "mainSessionKey".to_owned(),
            json!(crate::sessions::key::main(agent, main_key)),
        );
        value.insert("scope".to_owned(), json!(scope));
        Value::Object(value)
    }
}
