//! `GET /metrics`: the gateway's figures as Prometheus text (format 0.0.4).
//!
//! Labels are words of this program (method families, outcomes, error codes, states) and the
//! channels and number of accounts of the configuration; never a session, a model, a person or
//! an address, so that nobody outside can make a series. Counters start at zero when
//! `gateway.metrics.enabled` is switched on. What is a gauge is looked up when somebody asks.

use super::super::Gateway;
use super::super::conn::{Role, State};
use super::lateness::BOUNDS_US;
use crate::limits;
use crate::protocol::VERSION;
use crate::protocol::error::Code;
use crate::sessions::usage::Totals;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Upper bounds of the buckets of a run's duration, in milliseconds.
const RUN_MS: [u64; 8] = [250, 1_000, 5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000];

/// What is counted while somebody scrapes.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// By method family and outcome.
    requests: BTreeMap<(&'static str, &'static str), u64>,
    errors: BTreeMap<&'static str, u64>,
    pub(super) runs_started: u64,
    ended: BTreeMap<&'static str, u64>,
    run_ms: [u64; RUN_MS.len() + 1],
    run_ms_sum: u64,
    pub(super) usage: Totals,
    pub(super) events_dropped: u64,
    pub(super) payloads_refused: u64,
    pub(super) memory_refusals: u64,
}

impl Counters {
    /// A request: `sessions.list` belongs to the family `sessions`.
    pub(super) fn request(&mut self, method: &'static str, outcome: &'static str) {
        let family = method.split('.').next().unwrap_or(method);
        *self.requests.entry((family, outcome)).or_default() += 1;
    }

    pub(super) fn error(&mut self, code: Code) {
        let word = match code {
            Code::InvalidRequest => "INVALID_REQUEST",
            Code::Unavailable => "UNAVAILABLE",
            Code::Forbidden => "FORBIDDEN",
            Code::NotPaired => "NOT_PAIRED",
        };
        *self.errors.entry(word).or_default() += 1;
    }

    pub(super) fn run_ended(&mut self, outcome: &'static str, took_ms: u64) {
        *self.ended.entry(outcome).or_default() += 1;
        let bucket = RUN_MS.iter().position(|bound| took_ms <= *bound).unwrap_or(RUN_MS.len());
        if let Some(count) = self.run_ms.get_mut(bucket) {
            *count += 1;
        }
        self.run_ms_sum = self.run_ms_sum.saturating_add(took_ms);
    }
}

/// The text as it grows.
#[derive(Debug, Default)]
struct Text {
    out: String,
    series: usize,
    left_out: usize,
}

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.out, "# HELP openclaw_{name} {help}\n# TYPE openclaw_{name} {kind}");
    }

    /// A sample; beyond [`limits::METRIC_SERIES`] it is only counted.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        if self.series >= limits::METRIC_SERIES {
            self.left_out += 1;
            return;
        }
        self.series += 1;
        let _ = write!(self.out, "openclaw_{name}");
        for (at, (label, text)) in labels.iter().enumerate() {
            let _ =
                write!(self.out, "{}{label}=\"{}\"", if at == 0 { '{' } else { ',' }, escape(text));
        }
        let _ = writeln!(self.out, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A histogram whose counts are of one bucket each, the last above all bounds.
    fn histogram(&mut self, name: &str, help: &str, bounds: &[String], counts: &[u64], sum: &str) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut all: u64 = 0;
        for (bound, count) in bounds.iter().map(String::as_str).chain(["+Inf"]).zip(counts) {
            all += count;
            self.sample(&bucket, &[("le", bound)], all);
        }
        self.sample(&format!("{name}_sum"), &[], sum);
        self.sample(&format!("{name}_count"), &[], all);
    }
}

/// A label's value: backslash, quote and line break escaped, other control characters left out,
/// cut at [`limits::METRIC_LABEL`].
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(limits::METRIC_LABEL) {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Thousandths as a decimal number.
fn milli(count: u64) -> String {
    format!("{}.{:03}", count / 1000, count % 1000)
}

/// Microseconds as seconds.
fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

impl Gateway {
    /// The whole page; `None` while nobody is to have it.
    pub(in crate::gateway) fn metrics_text(&self) -> Option<String> {
        let counters = self.diagnostics.counters.as_deref()?;
        let mut text = Text::default();
        self.of_the_process(&mut text);
        self.of_connections(&mut text);
        self.of_requests(&mut text, counters);
        self.of_runs(&mut text, counters);
        self.of_the_loop(&mut text);
        self.of_channels(&mut text);
        let left_out = text.left_out;
        text.series = 0;
        text.single(
            "metrics_series_dropped",
            "gauge",
            "Series that did not fit on this page.",
            left_out,
        );
        Some(text.out)
    }

    fn of_the_process(&self, text: &mut Text) {
        text.family("gateway_build_info", "gauge", "The version that runs; always 1.");
        text.sample("gateway_build_info", &[("version", VERSION)], 1);
        let uptime = milli(self.uptime_ms());
        text.single("gateway_uptime_seconds", "gauge", "Time since the start.", uptime);
        if let Some(vitals) = (self.host.vitals)() {
            text.single(
                "process_cpu_seconds_total",
                "counter",
                "Processor time, user and system.",
                milli(vitals.cpu_ms),
            );
            text.family("memory_bytes", "gauge", "Memory: rss resident, data mapped writable.");
            text.sample("memory_bytes", &[("kind", "rss")], vitals.rss_bytes);
            text.sample("memory_bytes", &[("kind", "data")], vitals.data_bytes);
        }
        text.family("gateway_held_bytes", "gauge", "Bytes that are held, by what for.");
        text.sample("gateway_held_bytes", &[("kind", "input")], self.held);
        text.sample("gateway_held_bytes", &[("kind", "output")], self.queued);
        text.sample("gateway_held_bytes", &[("kind", "runs")], self.runs.bytes());
        text.single(
            "gateway_held_bytes_max",
            "gauge",
            "The bound of all of them; beyond it callers are sent away.",
            self.memory_max,
        );
        text.single(
            "gateway_config_version",
            "counter",
            "Configurations that came into force since the start.",
            self.diagnostics.config_version,
        );
        text.single(
            "gateway_config_valid",
            "gauge",
            "0 while the file on disk is refused and the last good one runs on.",
            u8::from(self.watch.refused.is_none()),
        );
        text.single(
            "gateway_config_waits_for_restart",
            "gauge",
            "Changed keys that need a restart.",
            self.watch.waiting.len(),
        );
        text.single(
            "gateway_draining",
            "gauge",
            "1 while the gateway is leaving.",
            u8::from(self.leaving.is_some()),
        );
    }

    fn of_connections(&self, text: &mut Text) {
        let mut kinds = [
            ("http", 0_u64),
            ("handshake", 0),
            ("operator", 0),
            ("node", 0),
            ("upstream", 0),
            ("exchange", 0),
        ];
        for (_, conn) in self.conns.all() {
            let kind = match &conn.state {
                State::Http(_) => "http",
                State::Handshake(_) => "handshake",
                State::Client(client) if client.role == Role::Node => "node",
                State::Client(_) => "operator",
                State::Upstream(_) => "upstream",
                State::Exchange(_) => "exchange",
                State::Channel(..) => "channel",
            };
            if let Some((_, count)) = kinds.iter_mut().find(|(name, _)| *name == kind) {
                *count += 1;
            }
        }
        text.family("gateway_connections", "gauge", "Open connections by kind.");
        for (kind, count) in kinds {
            text.sample("gateway_connections", &[("kind", kind)], count);
        }
        text.single(
            "gateway_sessions",
            "gauge",
            "Sessions that are stored.",
            self.config
                .agents
                .agent_ids()
                .iter()
                .map(|id| self.sessions.newest(id, 0).0)
                .sum::<usize>(),
        );
    }

    fn of_requests(&self, text: &mut Text, counters: &Counters) {
        text.family(
            "gateway_rpc_requests_total",
            "counter",
            "Requests of clients by method family and what the handler did at once.",
        );
        for ((family, outcome), count) in &counters.requests {
            let labels = [("family", *family), ("outcome", *outcome)];
            text.sample("gateway_rpc_requests_total", &labels, count);
        }
        text.family("gateway_rpc_errors_total", "counter", "Error responses by code.");
        for (code, count) in &counters.errors {
            text.sample("gateway_rpc_errors_total", &[("code", code)], count);
        }
        text.single(
            "gateway_events_dropped_total",
            "counter",
            "Events that a client lost because it did not read.",
            counters.events_dropped,
        );
        text.single(
            "payload_large_total",
            "counter",
            "Messages and bodies that were refused for their size.",
            counters.payloads_refused,
        );
        text.single(
            "memory_pressure_total",
            "counter",
            "Callers that were sent away because the gateway holds as much as it may.",
            counters.memory_refusals,
        );
    }

    fn of_runs(&self, text: &mut Text, counters: &Counters) {
        let (running, all) = (self.runs.running(), self.runs.active_len());
        text.family("runs", "gauge", "Runs that are not over.");
        text.sample("runs", &[("state", "running")], running);
        text.sample("runs", &[("state", "waiting")], all.saturating_sub(running));
        text.single("run_started_total", "counter", "Runs accepted.", counters.runs_started);
        text.family("run_completed_total", "counter", "Runs that are over, by outcome.");
        for outcome in ["completed", "error", "aborted", "timeout"] {
            let count = counters.ended.get(outcome).copied().unwrap_or_default();
            text.sample("run_completed_total", &[("outcome", outcome)], count);
        }
        text.histogram(
            "run_duration_seconds",
            "How long runs took.",
            &RUN_MS.map(milli),
            &counters.run_ms,
            &milli(counters.run_ms_sum),
        );
        let usage = &counters.usage;
        text.family("model_tokens_total", "counter", "Tokens, as the providers counted them.");
        for (kind, count) in [
            ("input", usage.input),
            ("output", usage.output),
            ("cache_read", usage.cache_read),
            ("cache_write", usage.cache_write),
        ] {
            text.sample("model_tokens_total", &[("token_type", kind)], count);
        }
        text.single(
            "model_cost_usd_total",
            "counter",
            "What they cost by models.providers.<id>.models[].cost.",
            usage.total_cost,
        );
    }

    fn of_the_loop(&self, text: &mut Text) {
        let late = &self.diagnostics.lateness;
        text.histogram(
            "gateway_event_loop_delay_seconds",
            "How late timers came up.",
            &BOUNDS_US.map(seconds),
            &late.counts,
            &seconds(late.sum_us),
        );
        let lately = self.event_loop();
        let ms = lately.get("delayMaxMs").and_then(Value::as_f64).unwrap_or_default();
        text.single(
            "gateway_event_loop_delay_max_seconds",
            "gauge",
            "The latest timer of the last two windows.",
            ms / 1000.0,
        );
    }

    fn of_channels(&self, text: &mut Text) {
        let status = self.channels_status();
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let channels = status.get("channelAccounts").and_then(Value::as_object);
        for (channel, accounts) in channels.into_iter().flatten() {
            for account in accounts.as_array().into_iter().flatten() {
                *counts.entry((channel, state_of(account))).or_default() += 1;
            }
        }
        text.family("channel_accounts", "gauge", "Accounts of channels by state.");
        for ((channel, state), count) in counts {
            let labels = [("channel", channel), ("state", state)];
            text.sample("channel_accounts", &labels, count);
        }
    }
}

/// One word for an account.
fn state_of(account: &Value) -> &'static str {
    let flag = |name: &str| account.get(name).and_then(Value::as_bool);
    match (flag("enabled"), flag("configured"), flag("running"), flag("connected")) {
        (Some(false), ..) => "disabled",
        (_, Some(false), ..) => "unconfigured",
        (_, _, Some(true), Some(false)) => "disconnected",
        (_, _, Some(true), _) => "running",
        _ => "stopped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_are_escaped_and_cut_and_series_end() {
        let mut text = Text::default();
        text.sample("x", &[("a", "q\"b\\c\nd\u{1b}")], 1);
        assert_eq!(text.out, "openclaw_x{a=\"q\\\"b\\\\c\\nd\"} 1\n");
        assert_eq!(escape(&"y".repeat(limits::METRIC_LABEL + 9)).len(), limits::METRIC_LABEL);
        for _ in 0..limits::METRIC_SERIES + 4 {
            text.sample("y", &[], 0);
        }
        assert_eq!((text.series, text.left_out), (limits::METRIC_SERIES, 5));
    }

    #[test]
    fn a_histogram_adds_up() {
        let mut text = Text::default();
        text.histogram("h", "help.", &["0.001".to_owned()], &[2, 3], "0.5");
        let want = "# HELP openclaw_h help.\n# TYPE openclaw_h histogram\n\
                    openclaw_h_bucket{le=\"0.001\"} 2\nopenclaw_h_bucket{le=\"+Inf\"} 5\n\
                    openclaw_h_sum 0.5\nopenclaw_h_count 5\n";
        assert_eq!(text.out, want);
        assert_eq!((milli(1_250).as_str(), seconds(1_000).as_str()), ("1.250", "0.001000"));
    }

    #[test]
    fn an_account_has_one_state() {
        for (account, want) in [
            (json!({"enabled": false, "running": true}), "disabled"),
            (json!({"configured": false}), "unconfigured"),
            (json!({"running": true, "connected": false}), "disconnected"),
            (json!({"running": true, "connected": true}), "running"),
            (json!({"configured": true, "running": false}), "stopped"),
        ] {
            assert_eq!(state_of(&account), want);
        }
    }
}
