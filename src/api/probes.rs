//! Probes: alive, ready, started. No secret is asked, so nothing internal is told.

use super::Reply;
use serde_json::{Value, json};

/// `/healthz`: 200 as long as the loop turns, also while draining.
pub fn live() -> Reply {
    Reply::raw(200, br#"{"ok":true,"status":"live"}"#.to_vec()).with("Cache-Control", "no-store")
}

/// `/readyz`: 503 with `gateway-draining` once the gateway is leaving. Local callers are told
/// the uptime and how late the loop is, too.
pub fn ready(draining: bool, local: Option<(u64, Value)>) -> Reply {
    let failing: &[&str] = if draining { &["gateway-draining"] } else { &[] };
    let mut body = json!({"ready": !draining, "failing": failing});
    if let (Some((uptime_ms, event_loop)), Some(object)) = (local, body.as_object_mut()) {
        object.insert("uptimeMs".to_owned(), json!(uptime_ms));
        object.insert("eventLoop".to_owned(), event_loop);
    }
    Reply::json(if draining { 503 } else { 200 }, &body).with("Cache-Control", "no-store")
}

/// `/metrics`: Prometheus text.
pub fn metrics(text: String) -> Reply {
    let mut reply = Reply::raw(200, text.into_bytes()).with("Cache-Control", "no-store");
    reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
    reply
}

/// `/startupz`: the one unauthenticated answer that names the version.
pub fn startup(version: &str, uptime_ms: u64) -> Reply {
    let body = json!({"ok": true, "status": "started", "version": version, "uptimeMs": uptime_ms});
    Reply::json(200, &body).with("Cache-Control", "no-store")
}
