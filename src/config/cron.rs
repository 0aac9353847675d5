//! Section `cron`: scheduled work.

use crate::config::Secret;
use crate::limits;
use serde_json::Value;
use std::path::PathBuf;

/// Section `cron`.
#[derive(Debug, Clone)]
pub struct Cron {
    /// `cron.enabled`: schedules are carried out; off, jobs are kept and wait.
    pub enabled: bool,
    /// `cron.store`: the file of jobs; `None` is `cron/jobs.json` of the state directory.
    pub store: Option<PathBuf>,
    /// `cron.maxConcurrentRuns`, 2 unless set (as the reference 2026.4.26).
    pub max_concurrent_runs: usize,
    /// `cron.skipMissedJobs`: what fell due during a stop does not come, but for single times.
    pub skip_missed_jobs: bool,
    /// `cron.sessionRetention` in milliseconds, a day unless set; `None` keeps sessions.
    pub session_retention_ms: Option<u64>,
    /// `cron.runLog.maxBytes`.
    pub log_bytes: u64,
    /// `cron.runLog.keepLines`.
    pub log_lines: usize,
    /// `cron.webhookToken`: bearer of posted events.
    pub webhook_token: Option<Secret>,
    /// `cron.webhookSsrfPolicy.dangerouslyAllowPrivateNetwork`.
    pub webhook_private: bool,
    /// `cron.webhookSsrfPolicy.allowedHostnames`: hosts that may have a private address.
    pub webhook_hosts: Vec<String>,
    /// `cron.webhookSsrfPolicy.blockedHostnames`: hosts that are never asked.
    pub webhook_blocked: Vec<String>,
    /// `cron.failureAlert`, over the older `cron.failureDestination`.
    pub failure_alert: Value,
}

impl Default for Cron {
    fn default() -> Self {
        Self {
            enabled: true,
            store: None,
            max_concurrent_runs: 2,
            skip_missed_jobs: false,
            session_retention_ms: Some(86_400_000),
            log_bytes: limits::CRON_LOG_BYTES,
            log_lines: limits::CRON_LOG_LINES,
            webhook_token: None,
            webhook_private: false,
            webhook_hosts: Vec::new(),
            webhook_blocked: Vec::new(),
            failure_alert: Value::Null,
        }
    }
}

/// Milliseconds of `90s`, `10m`, `1h30m`, `1d`, `500ms`; `None` for anything else. A bare
/// number counts in `unit` milliseconds, and is refused when that is 0.
pub fn duration_ms(text: &str, unit: u64) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    if let Ok(number) = text.parse::<u64>() {
        return number.checked_mul(unit).filter(|_| unit > 0);
    }
    let mut rest = text.as_str();
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at_checked(digits)?;
        let number: u64 = number.parse().ok()?;
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_lowercase()).len();
        let (word, tail) = tail.split_at_checked(letters)?;
        let ms = match word {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        sum = sum.checked_add(number.checked_mul(ms)?)?;
        rest = tail.trim_start();
    }
    (!text.is_empty()).then_some(sum)
}

/// Bytes of `2mb`, `512kb`, `1000`; thousands, as the reference's default of 2 000 000 for 2mb.
pub(super) fn bytes(value: &Value) -> Option<u64> {
    if let Some(number) = value.as_u64() {
        return Some(number);
    }
    let text = value.as_str()?.trim().to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let (digits, unit) = match text.strip_suffix(['k', 'm', 'g']) {
        Some(digits) if text.ends_with('k') => (digits, 1_000),
        Some(digits) if text.ends_with('m') => (digits, 1_000_000),
        Some(digits) => (digits, 1_000_000_000),
        None => (text, 1),
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}

/// `Some(None)` for off.
pub(super) fn retention(value: &Value) -> Option<Option<u64>> {
    match value {
        Value::Bool(false) => Some(None),
        Value::String(text) => duration_ms(text, 0).map(|ms| (ms > 0).then_some(ms)),
        _ => None,
    }
}

/// Least size of a run log: a few entries.
const LOG_LEAST: u64 = 16 * 1024;

/// What the key table cannot know of this section: the keys below `cron`, and what is wrong.
pub(super) fn faults(cron: &Value) -> Vec<(Vec<&'static str>, String)> {
    let mut found = Vec::new();
    if let Some(value) = cron.get("sessionRetention")
        && retention(value).is_none()
    {
        let what = "expected a duration such as \"24h\", or false to keep sessions".to_owned();
        found.push((vec!["sessionRetention"], what));
    }
    if let Some(value) = cron.pointer("/runLog/maxBytes")
        && bytes(value).is_none_or(|bytes| !(LOG_LEAST..=1 << 30).contains(&bytes))
    {
        let what = format!("expected a size from {LOG_LEAST} bytes to 1gb, such as \"2mb\"");
        found.push((vec!["runLog", "maxBytes"], what));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn durations_are_words() {
        for (text, want) in [
            ("90s", Some(90_000)),
            ("1h30m", Some(5_400_000)),
            ("1m 30s", Some(90_000)),
            ("500ms", Some(500)),
            ("1D", Some(86_400_000)),
            ("2w", Some(1_209_600_000)),
            ("0h", Some(0)),
            ("5", None),
            ("", None),
            ("m", None),
            ("1x", None),
            ("-1m", None),
            ("1.5h", None),
            ("99999999999999999999s", None),
            ("9999999999999999w", None),
        ] {
            assert_eq!(duration_ms(text, 0), want, "{text}");
        }
        assert_eq!(duration_ms("20", 60_000), Some(1_200_000));
    }

    #[test]
    fn sizes_and_faults() {
        assert_eq!(bytes(&json!("2mb")), Some(2_000_000));
        assert_eq!((bytes(&json!("512 kb")), bytes(&json!(7))), (Some(512_000), Some(7)));
        assert_eq!((bytes(&json!("x")), bytes(&json!(-1))), (None, None));
        let good = json!({"sessionRetention": false, "runLog": {"maxBytes": "2mb"}});
        assert!(faults(&good).is_empty());
        let bad = json!({"sessionRetention": "soon", "runLog": {"maxBytes": 5}});
        let paths: Vec<_> = faults(&bad).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, [vec!["sessionRetention"], vec!["runLog", "maxBytes"]]);
        assert_eq!(retention(&json!("0h")), Some(None));
    }
}
