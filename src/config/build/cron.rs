//! Section `cron` of the snapshot.

use super::super::cron::{Cron, bytes, retention};
use super::super::paths::Paths;
use super::At;
use serde_json::Value;

pub(super) fn cron(at: At<'_>, paths: &Paths) -> Cron {
    let unset = Cron::default();
    let count = |at: At<'_>| at.number().and_then(|n| usize::try_from(n).ok());
    let log = at.get("runLog");
    let reach = at.get("webhookSsrfPolicy");
    Cron {
        enabled: at.get("enabled").flag(unset.enabled),
        store: at.get("store").text().filter(|path| !path.is_empty()).map(|p| paths.expand(&p)),
        max_concurrent_runs: count(at.get("maxConcurrentRuns"))
            .unwrap_or(unset.max_concurrent_runs),
        skip_missed_jobs: at.get("skipMissedJobs").flag(unset.skip_missed_jobs),
        session_retention_ms: retention(at.get("sessionRetention").value)
            .unwrap_or(unset.session_retention_ms),
        log_bytes: bytes(log.get("maxBytes").value).unwrap_or(unset.log_bytes),
        log_lines: count(log.get("keepLines")).unwrap_or(unset.log_lines),
        webhook_token: at.get("webhookToken").secret(),
        webhook_private: reach.get("dangerouslyAllowPrivateNetwork").flag(false),
        webhook_hosts: reach.get("allowedHostnames").texts(),
        webhook_blocked: reach.get("blockedHostnames").texts(),
        failure_alert: alert(at.get("failureDestination").value, at.get("failureAlert").value),
    }
}

/// `failureAlert` over `failureDestination`, which only says where to.
fn alert(destination: &Value, alert: &Value) -> Value {
    match (destination.as_object(), alert.as_object()) {
        (None, _) => alert.clone(),
        (Some(place), None) => Value::Object(place.clone()),
        (Some(place), Some(alert)) => {
            let mut all = place.clone();
            all.extend(alert.clone());
            Value::Object(all)
        }
    }
}
