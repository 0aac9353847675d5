//! `node.event`: what a node tells of itself.
//!
//! Presence and host figures are kept. Events that would start a run, or speak into a session,
//! are not acted on: a node is not an operator.

use super::super::Gateway;
use super::super::broadcast::To;
use super::super::socket::Answer;
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::error::ErrorShape;
use serde_json::{Map, Value, json};

impl Gateway {
    /// `node.event`.
    pub(in crate::gateway) fn node_event(
        &mut self,
        conn: ConnId,
        params: &Map<String, Value>,
        fx: &mut Effects,
    ) -> Result<Answer, ErrorShape> {
        let event = params.get("event").and_then(Value::as_str).unwrap_or_default();
        let node = self.node_of(conn).unwrap_or_default().to_owned();
        let current = self.nodes.live.get(&node).is_some_and(|live| live.conn == conn);
        let payload = match (params.get("payload"), params.get("payloadJSON")) {
            (Some(payload), _) => Some(payload.clone()),
            (None, Some(text)) => text.as_str().and_then(|text| serde_json::from_str(text).ok()),
            (None, None) => Some(json!({})),
        };
        let payload = payload.as_ref().and_then(Value::as_object);
        let (handled, reason) = match (event, payload) {
            ("node.presence.alive" | "node.host.stats", _) if !current => {
                (false, "stale_connection")
            }
            ("node.presence.alive" | "node.host.stats", None) => (false, "invalid_payload"),
            ("node.presence.alive", Some(_)) => (true, self.node_alive(&node)),
            ("node.host.stats", Some(stats)) => self.node_stats(&node, stats, fx),
            ("exec.started" | "exec.finished" | "exec.denied", _) => {
                (false, "unmatched_exec_event")
            }
            _ => (false, "unsupported_event"),
        };
        Ok(Answer::Value(json!({
            "ok": true, "event": event, "handled": handled, "reason": reason,
        })))
    }

    fn node_alive(&mut self, node: &str) -> &'static str {
        let now_ms = self.now.wall_ms;
        let Some(live) = self.nodes.live.get_mut(node) else { return "stale_connection" };
        if live.alive_ms != 0 && now_ms.saturating_sub(live.alive_ms) < limits::NODE_ALIVE_MS {
            return "throttled";
        }
        live.alive_ms = now_ms;
        let Some(known) = self.nodes.registry.get_mut(node) else { return "unpaired" };
        known.seen_ms = now_ms;
        known.seen_by = "background".to_owned();
        self.node_changed();
        "persisted"
    }

    fn node_stats(
        &mut self,
        node: &str,
        stats: &Map<String, Value>,
        fx: &mut Effects,
    ) -> (bool, &'static str) {
        let Some(mut kept) = checked(stats) else { return (false, "invalid_payload") };
        kept["updatedAtMs"] = json!(self.now.wall_ms);
        let Some(known) = self.nodes.registry.get_mut(node) else { return (false, "unpaired") };
        known.stats = Some(kept.clone());
        self.node_changed();
        let payload = json!({"nodeId": node, "hostStats": kept});
        self.broadcast("node.hostStats", To::All, fx, &|_| Some(payload.clone()));
        (true, "updated")
    }
}

/// Host figures within their ranges (docs/gateway/protocol/presence.md); nothing else is kept.
fn checked(stats: &Map<String, Value>) -> Option<Value> {
    let mut kept = Map::new();
    let cpus = stats.get("cpuCount")?.as_u64().filter(|n| (1..=4096).contains(n))?;
    kept.insert("cpuCount".to_owned(), json!(cpus));
    if let Some(load) = stats.get("loadAverage") {
        let load = load.as_array().filter(|load| load.len() == 3)?;
        let fits = |it: &Value| it.as_f64().is_some_and(|n| (0.0..=100_000.0).contains(&n));
        if !load.iter().all(fits) {
            return None;
        }
        kept.insert("loadAverage".to_owned(), json!(load));
    }
    for (total, part, required) in [
        ("memoryTotalBytes", "memoryFreeBytes", true),
        ("diskTotalBytes", "diskAvailableBytes", false),
    ] {
        match (stats.get(total), stats.get(part)) {
            (None, None) if !required => {}
            (Some(all), Some(some)) => {
                let (all, some) = (all.as_u64()?, some.as_u64()?);
                if some > all {
                    return None;
                }
                kept.insert(total.to_owned(), json!(all));
                kept.insert(part.to_owned(), json!(some));
            }
            _ => return None,
        }
    }
    Some(Value::Object(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_figures_are_kept_only_within_their_ranges() {
        let good = json!({"cpuCount": 8, "loadAverage": [1.5, 1, 0], "memoryTotalBytes": 10,
            "memoryFreeBytes": 10, "diskTotalBytes": 5, "diskAvailableBytes": 0});
        let of = |value: &Value| checked(value.as_object().expect("an object"));
        assert_eq!(of(&good), Some(good.clone()));
        for (name, value) in [
            ("cpuCount", json!(0)),
            ("cpuCount", json!(5000)),
            ("loadAverage", json!([1, 2])),
            ("loadAverage", json!([1, 2, -1])),
            ("memoryFreeBytes", json!(11)),
            ("memoryTotalBytes", json!("x")),
            ("diskTotalBytes", Value::Null),
            ("diskAvailableBytes", json!(6)),
        ] {
            let mut bad = good.clone();
            bad[name] = value;
            assert_eq!(of(&bad), None, "{bad}");
        }
        let mut extra = good.clone();
        extra["ts"] = json!(1);
        assert_eq!(of(&extra), Some(good), "a node's own time is not kept");
    }
}
