//! How nodes are shown: rows of `node.list`, `node.describe`, `node.pair.list`.

use super::super::Gateway;
use super::Live;
use crate::auth::nodes::Node;
use serde_json::{Map, Value, json};

fn put(row: &mut Map<String, Value>, name: &str, value: Value) {
    if !value.is_null() {
        row.insert(name.to_owned(), value);
    }
}

fn sorted<'a>(words: impl IntoIterator<Item = &'a String>) -> Value {
    let mut words: Vec<&String> = words.into_iter().collect();
    words.sort();
    json!(words)
}

/// The row of an approved node in `node.pair.list`, and `node` of `node.pair.approve`.
pub(super) fn paired(id: &str, node: &Node) -> Option<Value> {
    let approved = node.approved.as_ref()?;
    let mut row = Map::new();
    put(&mut row, "nodeId", json!(id));
    for (name, text) in &node.about {
        put(&mut row, name, json!(text));
    }
    put(&mut row, "displayName", json!(node.name()));
    put(&mut row, "caps", json!(approved.caps));
    put(&mut row, "commands", json!(approved.commands));
    if !approved.permissions.is_empty() {
        put(&mut row, "permissions", json!(approved.permissions));
    }
    put(&mut row, "createdAtMs", json!(approved.created_ms));
    put(&mut row, "approvedAtMs", json!(approved.approved_ms));
    put(&mut row, "lastConnectedAtMs", json!(node.connected_ms));
    put(&mut row, "lastHostStats", json!(node.stats));
    put(&mut row, "lastSeenAtMs", json!(node.seen_ms));
    put(&mut row, "lastSeenReason", json!(node.seen_by));
    Some(Value::Object(row))
}

impl Gateway {
    /// Every node that is known, by id.
    pub(super) fn node_rows(&self) -> Vec<Value> {
        let all = self.nodes.registry.all();
        all.map(|(id, node)| Value::Object(self.node_row(id, node))).collect()
    }

    /// One row: what can be used now, and what waits.
    pub(super) fn node_row(&self, id: &str, node: &Node) -> Map<String, Value> {
        let live = self.nodes.live.get(id);
        let mut row = Map::new();
        put(&mut row, "nodeId", json!(id));
        for (name, text) in &node.about {
            put(&mut row, name, json!(text));
        }
        put(&mut row, "displayName", json!(node.name()));
        put(&mut row, "remoteIp", json!(live.and_then(|live| live.ip)));
        self.put_surface(&mut row, node, live);
        put(&mut row, "sessionHost", json!(false));
        put(&mut row, "hostStats", json!(node.stats));
        let state = match (&node.approved, &node.pending) {
            (Some(_), None) => "approved",
            (Some(_), Some(_)) => "pending-reapproval",
            (None, Some(_)) => "pending-approval",
            (None, None) => "unapproved",
        };
        put(&mut row, "approvalState", json!(state));
        if let Some(pending) = &node.pending {
            put(&mut row, "pendingRequestId", json!(pending.id));
            put(&mut row, "pendingDeclaredCaps", sorted(&pending.asked.caps));
            put(&mut row, "pendingDeclaredCommands", sorted(&pending.asked.commands));
            if !pending.asked.permissions.is_empty() {
                let permissions = json!(pending.asked.permissions);
                put(&mut row, "pendingDeclaredPermissions", permissions);
            }
        }
        let since = live.map(|live| live.since_ms);
        put(&mut row, "connectedAtMs", json!(since));
        put(&mut row, "lastConnectedAtMs", json!(node.connected_ms));
        put(&mut row, "lastSeenAtMs", json!(since.unwrap_or(node.seen_ms)));
        let seen_by = if live.is_some() { "connect" } else { node.seen_by.as_str() };
        put(&mut row, "lastSeenReason", json!(seen_by));
        let approved_ms = node.approved.as_ref().map(|it| it.approved_ms);
        put(&mut row, "approvedAtMs", json!(approved_ms.unwrap_or(node.first_seen_ms)));
        put(&mut row, "paired", json!(true));
        put(&mut row, "connected", json!(live.is_some()));
        row
    }

    /// Connected: what is declared, approved and permitted; away: what was approved.
    fn put_surface(&self, row: &mut Map<String, Value>, node: &Node, live: Option<&Live>) {
        let none = crate::auth::nodes::Approved::default();
        let approved = node.approved.as_ref().unwrap_or(&none);
        let Some(Live { claims, .. }) = live else {
            put(row, "caps", json!(approved.caps));
            put(row, "commands", sorted(&approved.commands));
            if !approved.permissions.is_empty() {
                put(row, "permissions", json!(approved.permissions));
            }
            return;
        };
        let policy = &self.config.gateway.nodes;
        let caps: Vec<&String> =
            claims.caps.iter().filter(|cap| approved.caps.contains(cap)).collect();
        let commands = claims.commands.iter().filter(|it| node.may(policy, claims, it));
        put(row, "caps", json!(caps));
        put(row, "commands", sorted(commands));
        put(row, "nodePluginTools", json!([]));
        let permissions: Map<String, Value> = claims
            .permissions
            .iter()
            .filter_map(|(name, on)| {
                let granted = *approved.permissions.get(name)?;
                Some((name.clone(), json!(*on && granted)))
            })
            .collect();
        if !permissions.is_empty() {
            put(row, "permissions", Value::Object(permissions));
        }
    }
}
