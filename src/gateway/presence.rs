//! Who is here: the gateway's own row and one for each person's client and node.
//!
//! Short-lived command-line and backend sockets are not shown, as in the reference.

use super::broadcast::To;
use super::conn::{Role, State};
use super::{Gateway, Host};
use crate::driver::{Effects, Now};
use crate::protocol::VERSION;
use serde_json::{Map, Value, json};

/// The gateway's own row and the list's version.
pub(super) struct Presence {
    own: Value,
    /// `stateVersion.presence`.
    pub(super) version: u64,
}

impl Presence {
    pub(super) fn new(host: &Host, instance_id: String, now_ms: u64) -> Self {
        let at = host.address.as_ref().map(|ip| format!(" ({ip})")).unwrap_or_default();
        let mut own = json!({
            "host": host.name, "version": VERSION, "platform": host.platform,
            "deviceFamily": device_family(host.platform), "mode": "gateway", "reason": "self",
            "instanceId": instance_id, "ts": now_ms,
            "text": format!("Gateway: {}{at} · app {VERSION} · mode gateway · reason self",
                host.name),
        });
        if let Some(ip) = &host.address {
            own["ip"] = json!(ip);
        }
        Self { own, version: 1 }
    }

    /// The row of a client, from what it said when it connected.
    pub(super) fn client_row(
        &self,
        params: &Map<String, Value>,
        role: &Role,
        scopes: &[&str],
        now: Now,
    ) -> Value {
        let client = params.get("client");
        let text = |name: &str| {
            let text = client.and_then(|client| client.get(name)).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(|text| text.chars().take(128).collect())
        };
        let mut row = Map::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                row.insert(name.to_owned(), Value::String(value));
            }
        };
        put("host", text("displayName").or_else(|| text("id")));
        put("clientId", text("id"));
        for name in [
            "version",
            "platform",
            "deviceFamily",
            "modelIdentifier",
            "timeZone",
            "mode",
            "instanceId",
        ] {
            put(name, text(name));
        }
        let shown = text("displayName").or_else(|| text("id")).unwrap_or_default();
        let mode: String = text("mode").unwrap_or_default();
        put("text", Some(format!("Node: {shown} · mode {mode}")));
        put("reason", Some("connect".to_owned()));
        if let Some(device) = params.get("device").and_then(|d| d.get("id")).and_then(Value::as_str)
        {
            put("deviceId", Some(device.to_owned()));
        }
        row.insert("roles".to_owned(), json!([role.as_str()]));
        row.insert("scopes".to_owned(), json!(scopes));
        row.insert("ts".to_owned(), json!(now.wall_ms));
        row.insert("onlineSince".to_owned(), json!(now.wall_ms));
        Value::Object(row)
    }
}

impl Gateway {
    /// The list as clients see it.
    pub(super) fn presence_list(&self) -> Value {
        let mut own = self.presence.own.clone();
        own["ts"] = json!(self.now.wall_ms);
        let mut rows = vec![own];
        for (_, conn) in self.conns.all() {
            if let State::Client(client) = &conn.state
                && let Some(row) = &client.presence
            {
                rows.push((**row).clone());
            }
        }
        Value::Array(rows)
    }

    /// Somebody came or left.
    pub(super) fn presence_changed(&mut self, fx: &mut Effects) {
        self.presence.version += 1;
        let list = self.presence_list();
        self.broadcast("presence", To::All, fx, &|_| Some(json!({"presence": list})));
    }
}

fn device_family(platform: &str) -> &'static str {
    match platform {
        "linux" => "Linux",
        "macos" => "Mac",
        "windows" => "Windows",
        _ => "Other",
    }
}
