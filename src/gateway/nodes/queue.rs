//! `node.pending.*`: small tasks that wait until a node asks for them.
//!
//! At most one task of a type waits for a node, so a queue is never longer than the list of
//! types. In memory: a restart forgets them, as in the reference. Actions of `node.pending.pull`
//! are commands that a sleeping app could not carry out; none are kept here.

use super::super::Gateway;
use super::super::socket::Answer;
use crate::driver::ConnId;
use crate::limits;
use crate::protocol::error::ErrorShape;
use serde_json::{Map, Value, json};

type Params = Map<String, Value>;
type Handled = Result<Answer, ErrorShape>;

/// Tasks of one node.
#[derive(Default)]
pub(super) struct Queue {
    revision: u64,
    tasks: Vec<Task>,
}

struct Task {
    id: String,
    kind: String,
    high: bool,
    at_ms: u64,
    expires_ms: u64,
}

impl Task {
    fn to_value(&self) -> Value {
        json!({
            "id": self.id, "type": self.kind, "priority": if self.high { "high" } else { "normal" },
            "createdAtMs": self.at_ms, "expiresAtMs": self.expires_ms,
        })
    }
}

impl Queue {
    fn expire(&mut self, now_ms: u64) {
        self.tasks.retain(|task| task.expires_ms > now_ms);
    }

    /// Takes up to `max` tasks, urgent ones first; and whether more are left.
    fn drain(&mut self, max: usize, now_ms: u64) -> (Vec<Value>, bool) {
        self.expire(now_ms);
        self.tasks.sort_by_key(|task| (!task.high, task.at_ms));
        let taken: Vec<Value> =
            self.tasks.drain(..max.min(self.tasks.len())).map(|task| task.to_value()).collect();
        self.revision += u64::from(!taken.is_empty());
        (taken, !self.tasks.is_empty())
    }
}

impl Gateway {
    /// `node.pending.enqueue`. Nothing is woken by it: there is no push service here.
    pub(in crate::gateway) fn node_pending_enqueue(&mut self, params: &Params) -> Handled {
        let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default();
        let (node, kind) = (text("nodeId"), text("type"));
        if self.nodes.registry.get(node).is_none() {
            return Err(super::invoke::pairing_changed("pending work"));
        }
        let now_ms = self.now.wall_ms;
        let wait_ms = params.get("expiresInMs").and_then(Value::as_u64);
        let id = self.uuid();
        let queue = self.nodes.queues.entry(node.to_owned()).or_default();
        queue.expire(now_ms);
        let at = match queue.tasks.iter().position(|task| task.kind == kind) {
            Some(at) => at,
            None => {
                queue.revision += 1;
                queue.tasks.push(Task {
                    id,
                    kind: kind.to_owned(),
                    high: text("priority") == "high",
                    at_ms: now_ms,
                    expires_ms: now_ms + wait_ms.unwrap_or(limits::NODE_PENDING_MS),
                });
                queue.tasks.len() - 1
            }
        };
        let queued = queue.tasks.get(at).map(Task::to_value);
        Ok(Answer::Value(json!({
            "nodeId": node, "revision": queue.revision, "queued": queued, "wakeTriggered": false,
        })))
    }

    /// `node.pending.drain`: what waits, or the one thing every node may always report.
    pub(in crate::gateway) fn node_pending_drain(
        &mut self,
        conn: ConnId,
        params: &Params,
    ) -> Handled {
        let node = self.node_of(conn).unwrap_or_default().to_owned();
        let max = params.get("maxItems").and_then(Value::as_u64).unwrap_or(10);
        let now_ms = self.now.wall_ms;
        let (mut items, mut more, mut revision) = (Vec::new(), false, 0);
        if let Some(queue) = self.nodes.queues.get_mut(&node) {
            (items, more) = queue.drain(usize::try_from(max).unwrap_or(10), now_ms);
            revision = queue.revision;
            if items.is_empty() {
                self.nodes.queues.remove(&node);
                revision = 0;
            }
        }
        if items.is_empty() {
            items.push(json!({
                "id": "baseline-status", "type": "status.request", "priority": "default",
                "createdAtMs": now_ms, "expiresAtMs": null,
            }));
        }
        Ok(Answer::Value(json!({
            "nodeId": node, "revision": revision, "items": items, "hasMore": more,
        })))
    }

    /// `node.pending.pull`.
    pub(in crate::gateway) fn node_pending_pull(&self, conn: ConnId) -> Value {
        json!({"nodeId": self.node_of(conn), "actions": []})
    }

    /// `node.pending.ack`.
    pub(in crate::gateway) fn node_pending_ack(&self, conn: ConnId, params: &Params) -> Value {
        let ids = params.get("ids").cloned().unwrap_or_default();
        json!({"nodeId": self.node_of(conn), "ackedIds": ids, "remainingCount": 0})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_tasks_come_first_and_old_ones_not_at_all() {
        let task = |id: &str, high, at_ms, expires_ms| Task {
            id: id.to_owned(),
            kind: "status.request".to_owned(),
            high,
            at_ms,
            expires_ms,
        };
        let tasks = vec![task("a", false, 1, 50), task("b", true, 2, 50), task("c", true, 0, 9)];
        let mut queue = Queue { revision: 3, tasks };
        let (items, more) = queue.drain(1, 10);
        assert_eq!((items[0]["id"].as_str(), more, queue.revision), (Some("b"), true, 4));
        let (items, more) = queue.drain(5, 10);
        assert_eq!((items.len(), more, queue.revision), (1, false, 5));
        assert_eq!(queue.drain(5, 10), (Vec::new(), false));
        assert_eq!(queue.revision, 5);
    }
}
