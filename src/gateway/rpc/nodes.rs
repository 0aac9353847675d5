//! `node.*`: the rows of the table, handed to [`crate::gateway`]'s nodes.

use super::{Handled, Params, text};
use crate::driver::{ConnId, Effects};
use crate::gateway::Gateway;
use crate::gateway::socket::Answer;
use crate::protocol::error::ErrorShape;
use crate::protocol::operations::Op;
use serde_json::{Value, json};
use std::collections::BTreeSet;

impl Gateway {
    /// Runs the handler of an operation about nodes.
    pub(super) fn handle_node(
        &mut self,
        op: Op,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        match op {
            Op::NodeDescribe => self.node_describe(params),
            Op::NodeEvent => self.node_event(conn, params, fx),
            Op::NodeInvoke => self.node_invoke(conn, request, params, fx),
            Op::NodeInvokeProgress => self.node_invoke_progress(conn, params),
            Op::NodeInvokeResult => self.node_invoke_result(conn, params, fx),
            Op::NodeList => Ok(Answer::Value(self.node_list())),
            Op::NodePairApprove => self.node_pair_approve(conn, params, fx),
            Op::NodePairList => Ok(Answer::Value(self.node_pair_list())),
            Op::NodePairReject => self.node_pair_reject(params, fx),
            Op::NodePairRemove => self.node_pair_remove(conn, params, fx),
            Op::NodePendingAck => Ok(Answer::Value(self.node_pending_ack(conn, params))),
            Op::NodePendingDrain => self.node_pending_drain(conn, params),
            Op::NodePendingEnqueue => self.node_pending_enqueue(params),
            Op::NodePendingPull => Ok(Answer::Value(self.node_pending_pull(conn))),
            Op::NodePluginSurfaceRefresh => plugin_surface(params),
            Op::NodeRename => self.node_rename(params),
            // Agents use neither tools nor skills of nodes here, so none is taken.
            Op::NodePluginToolsUpdate => Ok(self.none_taken(conn, "tools")),
            Op::NodeSkillsUpdate => Ok(self.none_taken(conn, "skills")),
            _ => Err(ErrorShape::unavailable("no operation about nodes")),
        }
    }

    fn none_taken(&self, conn: ConnId, what: &str) -> Answer {
        let node = self.conns.client(conn).and_then(|client| client.device.as_deref());
        Answer::Value(json!({"nodeId": node, what: []}))
    }

    /// `skills.bins`: programs that skills ask for.
    pub(super) fn skills_bins(&self) -> Value {
        let report = self.skills_status(self.config.agents.default_agent());
        let rows = report.get("skills").and_then(Value::as_array).into_iter().flatten();
        let lists = rows.flat_map(|row| {
            ["bins", "anyBins"].into_iter().filter_map(|name| row["requirements"][name].as_array())
        });
        let bins: BTreeSet<&str> = lists.flatten().filter_map(Value::as_str).collect();
        json!({"bins": bins})
    }
}

/// No plugin, and so no surface of one.
fn plugin_surface(params: &Params) -> Handled {
    match text(params, "surface").map(str::trim).filter(|surface| !surface.is_empty()) {
        None => Err(ErrorShape::invalid("surface required")),
        Some(surface) => {
            let surface: String = surface.chars().take(64).collect();
            Err(ErrorShape::unavailable(format!("{surface} plugin surface unavailable")))
        }
    }
}
