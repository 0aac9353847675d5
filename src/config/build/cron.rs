//! Section `cron` of the snapshot.

use super::super::cron::{Cron, bytes, retention};
use super::super::paths::Paths;
use super::At;

pub(super) fn cron(at: At<'_>, paths: &Paths) -> Cron {
    let unset = Cron::default();
    let count = |at: At<'_>| at.number().and_then(|n| usize::try_from(n).ok());
    let log = at.get("runLog");
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
    }
}
