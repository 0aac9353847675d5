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
                let device = row.get("deviceId");
                let same =
                    rows.iter_mut().find(|it| device.is_some() && it.get("deviceId") == device);
                match same {
                    Some(seen) => join(seen, row),
                    None => rows.push((**row).clone()),
                }
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

/// A device that is connected more than once has one row, with all its roles and scopes; what
/// the later connection says of itself stands.
fn join(seen: &mut Value, row: &Value) {
    let of = |row: &Value, name: &str| -> Vec<String> {
        let words = row.get(name).and_then(Value::as_array).into_iter().flatten();
        words.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let both = |name: &str| {
        let mut words = of(seen, name);
        words.extend(of(row, name));
        words.sort();
        words.dedup();
        words
    };
    let (roles, scopes) = (both("roles"), both("scopes"));
    let since = [&*seen, row].into_iter().filter_map(|row| row.get("onlineSince")?.as_u64()).min();
    let later = |row: &Value| row.get("ts").and_then(Value::as_u64).unwrap_or(0);
    if later(row) >= later(seen) {
        *seen = row.clone();
    }
    seen["roles"] = json!(roles);
    seen["scopes"] = json!(scopes);
    seen["onlineSince"] = json!(since);
}

fn device_family(platform: &str) -> &'static str {
    match platform {
        "linux" => "Linux",
        "macos" => "Mac",
        "windows" => "Windows",
        _ => "Other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_for_a_device_with_both_roles() {
        let mut seen = json!({"deviceId": "d", "roles": ["operator"], "ts": 5, "mode": "ui",
            "scopes": ["operator.read"], "onlineSince": 5});
        let node = json!({"deviceId": "d", "roles": ["node"], "ts": 7, "mode": "node",
            "scopes": [], "onlineSince": 7});
        join(&mut seen, &node);
        assert_eq!(
            seen,
            json!({"deviceId": "d", "roles": ["node", "operator"], "ts": 7, "mode": "node",
                "scopes": ["operator.read"], "onlineSince": 5})
        );
    }
}
