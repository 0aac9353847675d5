//! `node.pair.*`, `node.list`, `node.describe`, `node.rename`.

use super::super::Gateway;
use super::super::socket::Answer;
use super::show::paired;
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::protocol::operations::holds;
use serde_json::{Map, Value, json};

type Params = Map<String, Value>;
type Handled = Result<Answer, ErrorShape>;

const UNKNOWN_REQUEST: &str = "unknown requestId";
const UNKNOWN_NODE: &str = "unknown nodeId";

fn text<'a>(params: &'a Params, name: &str) -> &'a str {
    params.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Gateway {
    /// `node.pair.list`.
    pub(in crate::gateway) fn node_pair_list(&self) -> Value {
        let nodes = || self.nodes.registry.all();
        let mut pending: Vec<(u64, Value)> = nodes()
            .filter_map(|(id, node)| {
                let pending = node.pending.as_ref()?;
                Some((pending.at_ms, pending.to_value(id)))
            })
            .collect();
        // The newest first, as in the reference.
        pending.sort_by_key(|(at_ms, _)| std::cmp::Reverse(*at_ms));
        let pending: Vec<Value> = pending.into_iter().map(|(_, row)| row).collect();
        let paired: Vec<Value> = nodes().filter_map(|(id, node)| paired(id, node)).collect();
        json!({"pending": pending, "paired": paired})
    }

    /// `node.pair.approve`: nobody approves what they could not do themselves.
    pub(in crate::gateway) fn node_pair_approve(
        &mut self,
        conn: ConnId,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let request = text(params, "requestId");
        let asking = self.nodes.registry.asking(request);
        let (_, _, pending) = asking.ok_or_else(|| ErrorShape::invalid(UNKNOWN_REQUEST))?;
        let needed = pending.scopes();
        let held = self.conns.client(conn).map(|client| client.scopes.as_slice());
        let held = held.unwrap_or_default();
        if let Some(missing) = needed.iter().find(|scope| !holds(held, scope)) {
            return Err(ErrorShape::missing_scope(missing).with(json!({
                "code": "MISSING_SCOPE", "missingScope": missing, "requiredScopes": needed,
            })));
        }
        let now_ms = self.now.wall_ms;
        let node = self.decide(|registry| registry.approve(request, now_ms), UNKNOWN_REQUEST)?;
        log::info!(target: "nodes", "{node} was approved");
        self.node_resolved(request, &node, "approved", fx);
        let row = self.nodes.registry.get(&node).and_then(|known| paired(&node, known));
        Ok(Answer::Value(json!({"requestId": request, "node": row})))
    }

    /// `node.pair.reject`.
    pub(in crate::gateway) fn node_pair_reject(
        &mut self,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let request = text(params, "requestId");
        let node = self.decide(|registry| registry.reject(request), UNKNOWN_REQUEST)?;
        log::info!(target: "nodes", "the request of {node} was rejected");
        self.node_resolved(request, &node, "rejected", fx);
        Ok(Answer::Value(json!({"requestId": request, "nodeId": node})))
    }

    /// `node.pair.remove`: the device is no node any more; its connections as one are closed,
    /// its token as one is void, its surface is gone. A device that is an operator too stays one.
    pub(in crate::gateway) fn node_pair_remove(
        &mut self,
        conn: ConnId,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let node = text(params, "nodeId");
        if !self.devices.approved(node, "node") {
            return Err(ErrorShape::invalid(UNKNOWN_NODE));
        }
        let by = self.approver(conn);
        if self.devices.approved(node, "operator") && !by.is_admin() {
            return Err(ErrorShape::missing_scope("operator.admin"));
        }
        self.devices.drop_role(node, "node");
        // A disk that refuses is asked again; the role is gone meanwhile.
        let _ = self.save_devices();
        log::info!(target: "nodes", "{node} was removed");
        self.close_node(node, fx);
        self.node_resolved("", node, "removed", fx);
        Ok(Answer::Value(json!({"nodeId": node})))
    }

    /// `node.list`.
    pub(in crate::gateway) fn node_list(&self) -> Value {
        json!({"ts": self.now.wall_ms, "nodes": self.node_rows()})
    }

    /// `node.describe`.
    pub(in crate::gateway) fn node_describe(&self, params: &Params) -> Handled {
        let id = text(params, "nodeId");
        let node = self.nodes.registry.get(id);
        let node = node.ok_or_else(|| ErrorShape::invalid(UNKNOWN_NODE))?;
        let mut row = self.node_row(id, node);
        row.insert("ts".to_owned(), json!(self.now.wall_ms));
        Ok(Answer::Value(Value::Object(row)))
    }

    /// `node.rename`.
    pub(in crate::gateway) fn node_rename(&mut self, params: &Params) -> Handled {
        let (node, name) = (text(params, "nodeId"), text(params, "displayName").trim());
        if name.is_empty() {
            return Err(ErrorShape::invalid("displayName required"));
        }
        if name.len() > limits::NODE_WORD || name.chars().any(char::is_control) {
            return Err(ErrorShape::invalid(format!(
                "displayName: at most {} bytes without control characters",
                limits::NODE_WORD
            )));
        }
        self.decide(|registry| registry.rename(node, name).then_some(()), UNKNOWN_NODE)?;
        Ok(Answer::Value(json!({"nodeId": node, "displayName": name})))
    }
}
