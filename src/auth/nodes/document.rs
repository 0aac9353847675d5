//! `nodes.json`: how the registry is kept.
//!
//! `{"version":1,"nodes":{"<nodeId>":{about, label, approved, pending, ...}}}`. What does not
//! read as such is nobody's surface: a node that is not understood is left out and must be
//! approved anew.

use super::{Approved, Claims, Node, Pending, Registry};
use crate::limits;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

impl Registry {
    /// The document.
    pub fn to_value(&self) -> Value {
        let nodes: Map<String, Value> =
            self.nodes.iter().map(|(id, node)| (id.clone(), write_node(node))).collect();
        json!({"version": 1, "nodes": nodes})
    }

    /// Of a document.
    ///
    /// # Errors
    /// Why it is none.
    pub fn from_value(value: &Value) -> Result<Self, &'static str> {
        if value.get("version").and_then(Value::as_u64) != Some(1) {
            return Err("its version is not 1");
        }
        let nodes = value.get("nodes").and_then(Value::as_object).ok_or("it has no nodes")?;
        let nodes = nodes.iter().take(limits::NODES);
        let nodes = nodes.map(|(id, node)| (id.clone(), read_node(node)));
        Ok(Self { nodes: nodes.collect() })
    }
}

fn write_claims(claims: &Claims) -> Value {
    json!({
        "about": claims.about, "caps": claims.caps, "commands": claims.commands,
        "permissions": claims.permissions,
    })
}

fn write_node(node: &Node) -> Value {
    let approved = node.approved.as_ref().map(|it| {
        json!({
            "caps": it.caps, "commands": it.commands, "permissions": it.permissions,
            "createdAtMs": it.created_ms, "approvedAtMs": it.approved_ms,
        })
    });
    let pending = node.pending.as_ref().map(|it| {
        json!({
            "requestId": it.id, "asked": write_claims(&it.asked), "silent": it.silent,
            "ts": it.at_ms,
        })
    });
    json!({
        "about": node.about, "label": node.label, "approved": approved, "pending": pending,
        "firstSeenAtMs": node.first_seen_ms, "lastConnectedAtMs": node.connected_ms,
        "lastSeenAtMs": node.seen_ms, "lastSeenReason": node.seen_by,
        "lastHostStats": node.stats,
    })
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn flags(value: Option<&Value>) -> BTreeMap<String, bool> {
    let map = value.and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(name, on)| Some((name.clone(), on.as_bool()?))).collect()
}

fn about(value: Option<&Value>) -> BTreeMap<String, String> {
    let map = value.and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned()))).collect()
}

fn read_node(value: &Value) -> Node {
    let number = |of: &Value, name: &str| of.get(name).and_then(Value::as_u64).unwrap_or(0);
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
    let object = |name: &str| value.get(name).filter(|value| value.is_object());
    let approved = object("approved").map(|it| Approved {
        caps: texts(it.get("caps")),
        commands: texts(it.get("commands")),
        permissions: flags(it.get("permissions")),
        created_ms: number(it, "createdAtMs"),
        approved_ms: number(it, "approvedAtMs"),
    });
    let pending = object("pending").and_then(|it| {
        let asked = it.get("asked")?;
        Some(Pending {
            id: text(it, "requestId")?,
            asked: Claims {
                about: about(asked.get("about")),
                caps: texts(asked.get("caps")),
                commands: texts(asked.get("commands")),
                permissions: flags(asked.get("permissions")),
            },
            silent: it.get("silent").and_then(Value::as_bool).unwrap_or(false),
            at_ms: number(it, "ts"),
        })
    });
    Node {
        about: about(value.get("about")),
        label: text(value, "label"),
        approved,
        pending,
        first_seen_ms: number(value, "firstSeenAtMs"),
        connected_ms: number(value, "lastConnectedAtMs"),
        seen_ms: number(value, "lastSeenAtMs"),
        seen_by: text(value, "lastSeenReason").unwrap_or_default(),
        stats: object("lastHostStats").cloned(),
    }
}
