//! What the gateway knows of its own condition: how late its loop is ([`lateness`]), what
//! happened lately without a word of anybody ([`stability`]), and counters for a scraper
//! ([`metrics`]).
//!
//! ```text
//!   timers, requests, runs --> Diagnostics --> health.eventLoop, status.processMemory
//!                                  |--> the recorder --> diagnostics.stability, bundles on disk
//!                                  '--> counters -----> GET /metrics
//! ```
//!
//! `diagnostics.enabled: false` switches the recorder off; the counters exist only while
//! `gateway.metrics.enabled` is true, so that nothing is counted for nobody.

mod lateness;
mod metrics;
mod stability;

use super::Gateway;
use super::runs::Active;
use crate::agent::run::Outcome;
use crate::driver::Time;
use crate::limits;
use crate::protocol::error::ErrorShape;
use lateness::Lateness;
use metrics::Counters;
use serde_json::{Map, Value, json};
use stability::{Field, Recorder};
use std::io;
use std::path::PathBuf;

/// What the system says of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Writable memory that is mapped, in bytes.
    pub data_bytes: u64,
    /// Processor time since the start, user and system, in milliseconds.
    pub cpu_ms: u64,
}

/// See the module's head.
pub(super) struct Diagnostics {
    lateness: Lateness,
    recorder: Recorder,
    counters: Option<Box<Counters>>,
    /// How often another configuration came into force, the first one included.
    config_version: u64,
}

impl Diagnostics {
    pub(super) fn new(now: Time) -> Self {
        Self {
            lateness: Lateness::new(now),
            recorder: Recorder::default(),
            counters: None,
            config_version: 1,
        }
    }
}

impl Gateway {
    /// The gateway was born.
    pub(super) fn begin_diagnostics(&mut self) {
        self.switch_counters();
        let fields = [
            ("phase", Field::Word("gateway.ready")),
            ("durationMs", Field::Number(self.now.time.0 / 1000)),
        ];
        self.record("diagnostic.phase.completed", &fields);
    }

    /// Another configuration is in force.
    pub(super) fn diagnostics_on_config(&mut self) {
        self.diagnostics.config_version += 1;
        self.switch_counters();
    }

    fn switch_counters(&mut self) {
        let on = self.config.gateway.metrics;
        if on != self.diagnostics.counters.is_some() {
            self.diagnostics.counters = on.then(Box::default);
        }
    }

    fn record(&mut self, kind: &'static str, fields: &[(&'static str, Field)]) {
        if self.config.diagnostics {
            self.diagnostics.recorder.push(self.now.wall_ms, kind, fields);
        }
    }

    fn count(&mut self, what: impl FnOnce(&mut Counters)) {
        if let Some(counters) = &mut self.diagnostics.counters {
            what(counters);
        }
    }

    /// What the loop is busy with from here on, for whoever finds the next timer late.
    pub(super) fn working_on(&mut self, work: &'static str) {
        self.diagnostics.lateness.working_on(work);
    }

    /// A timer that was due then has come up now.
    pub(super) fn woke(&mut self, due: Time) {
        let (now, vitals) = (self.now, self.host.vitals);
        let cpu = || vitals().map(|vitals| vitals.cpu_ms);
        let Some(late) = self.diagnostics.lateness.sample(due, now, cpu) else { return };
        log::warn!(target: "diagnostics", "the loop was {} ms late after {}", late.ms, late.work);
        let fields = [
            ("reason", Field::Word("event_loop_delay")),
            ("eventLoopDelayMaxMs", Field::Number(late.ms)),
            ("work", Field::Word(late.work)),
            ("active", Field::Number(self.runs.active_len() as u64)),
        ];
        self.record("diagnostic.liveness.warning", &fields);
    }

    /// Every 30 s: the pulse of the recorder.
    pub(super) fn pulse(&mut self) {
        if !self.config.diagnostics {
            return;
        }
        let waiting = self.runs.active_len().saturating_sub(self.runs.running());
        let fields = [
            ("active", Field::Number(self.runs.running() as u64)),
            ("waiting", Field::Number(waiting as u64)),
            ("queuedBytes", Field::Number(self.queued as u64)),
            ("clients", Field::Number(self.conns.clients_len() as u64)),
        ];
        self.record("diagnostic.heartbeat", &fields);
        if let Some(vitals) = (self.host.vitals)() {
            let fields = [
                ("rssBytes", Field::Number(vitals.rss_bytes)),
                ("heapUsedBytes", Field::Number(self.accounted())),
                ("heapTotalBytes", Field::Number(vitals.data_bytes)),
            ];
            self.record("diagnostic.memory.sample", &fields);
        }
    }

    /// Something too large was refused: where, and the limit that it broke.
    pub(super) fn payload_refused(&mut self, surface: &'static str, limit: usize) {
        let fields = [
            ("surface", Field::Word(surface)),
            ("action", Field::Word("rejected")),
            ("limitBytes", Field::Number(limit as u64)),
        ];
        self.record("payload.large", &fields);
        self.count(|counters| counters.payloads_refused += 1);
    }

    /// Somebody was sent away because the gateway holds as much as it may.
    pub(super) fn memory_pressed(&mut self) {
        let held = self.accounted();
        let fields = [
            ("level", Field::Word("critical")),
            ("reason", Field::Word("held_limit")),
            ("heldBytes", Field::Number(held)),
            ("limitBytes", Field::Number(self.memory_max as u64)),
        ];
        self.record("diagnostic.memory.pressure", &fields);
        self.count(|counters| counters.memory_refusals += 1);
    }

    /// A request of a client was answered, refused, or is being worked on.
    pub(super) fn request_counted(&mut self, method: &'static str, outcome: &'static str) {
        self.count(|counters| counters.request(method, outcome));
    }

    /// An error response left.
    pub(super) fn error_counted(&mut self, error: &ErrorShape) {
        self.count(|counters| counters.error(error.code));
    }

    /// A client did not read, and lost an event.
    pub(super) fn events_dropped(&mut self, count: u64) {
        self.count(|counters| counters.events_dropped += count);
    }

    /// A run was accepted.
    pub(super) fn run_accepted(&mut self, source: &'static str) {
        let depth = self.runs.active_len() as u64;
        let fields = [("source", Field::Word(source)), ("queueDepth", Field::Number(depth))];
        self.record("message.queued", &fields);
        self.count(|counters| counters.runs_started += 1);
    }

    /// A run is over.
    pub(super) fn run_ended(&mut self, run: &Active, outcome: &Outcome) {
        let word = match outcome {
            Outcome::Done(_) => "completed",
            Outcome::Aborted(_) => "aborted",
            Outcome::Failed(_) => "error",
            Outcome::TimedOut(_) => "timeout",
        };
        let took = self.now.wall_ms.saturating_sub(run.started_ms);
        let fields = [
            ("outcome", Field::Word(word)),
            ("durationMs", Field::Number(took)),
            ("source", Field::Word(run.cause.word())),
        ];
        self.record("message.processed", &fields);
        self.count(|counters| counters.run_ended(word, took));
    }

    /// A model answered: tokens and US dollars.
    pub(super) fn tokens_counted(&mut self, totals: &crate::sessions::usage::Totals) {
        self.count(|counters| counters.usage.add(totals));
    }

    /// Bytes that the gateway itself holds for connections and runs.
    fn accounted(&self) -> u64 {
        let all = [self.queued, self.runs.bytes()];
        all.into_iter().fold(self.held, usize::saturating_add) as u64
    }

    /// `eventLoop` of `health`, `status` and `channels.status`.
    pub(super) fn event_loop(&self) -> Value {
        let cpu = (self.host.vitals)().map(|vitals| vitals.cpu_ms);
        self.diagnostics.lateness.report(self.now.time, cpu)
    }

    /// Which work the loop was busy with when it was latest lately; empty when it was not.
    pub(super) fn slowest_work(&self) -> &'static str {
        self.diagnostics.lateness.slowest()
    }

    /// `processMemory` of `status`, in the reference's names: the heap is what is accounted for,
    /// its total what is mapped writable; there is nothing outside of it. Null where the system
    /// does not say.
    pub(super) fn process_memory(&self) -> Value {
        (self.host.vitals)().map_or(Value::Null, |vitals| {
            json!({
                "rssBytes": vitals.rss_bytes, "heapUsedBytes": self.accounted(),
                "heapTotalBytes": vitals.data_bytes, "externalBytes": 0, "arrayBuffersBytes": 0,
            })
        })
    }

    /// `diagnostics.stability {limit?, type?, sinceSeq?}`.
    pub(super) fn stability(&self, params: &Map<String, Value>) -> Value {
        let number = |name: &str| params.get(name).and_then(Value::as_u64);
        let limit = number("limit").and_then(|n| usize::try_from(n).ok());
        self.diagnostics.recorder.report(
            self.now.wall_ms,
            limit.unwrap_or(stability::LIMIT),
            params.get("type").and_then(Value::as_str),
            number("sinceSeq"),
        )
    }

    /// Leaves what the recorder knows beside the logs, for `gateway stability --bundle`.
    pub(super) fn keep_bundle(&mut self, reason: &'static str) {
        if !self.config.diagnostics {
            return;
        }
        let now_ms = self.now.wall_ms;
        let bundle = json!({
            "version": 1, "generatedAt": crate::wire::text::rfc3339_ms(now_ms), "reason": reason,
            "process": {
                "pid": self.host.pid, "platform": self.host.platform,
                "version": crate::protocol::VERSION, "uptimeMs": self.uptime_ms(),
            },
            "snapshot": self.diagnostics.recorder.report(now_ms, limits::STABILITY_EVENTS, None, None),
        });
        if let Err(error) = self.write_bundle(&bundle, now_ms) {
            log::warn!(target: "diagnostics", "the stability bundle is not kept: {error}");
        }
    }

    fn write_bundle(&mut self, bundle: &Value, now_ms: u64) -> io::Result<PathBuf> {
        let dir = self.state_dir.join("logs").join("stability");
        let name = format!("openclaw-stability-{now_ms:013}-{}.json", self.host.pid);
        let path = dir.join(name);
        self.disk.replace(&path, bundle.to_string().as_bytes())?;
        log::info!(target: "diagnostics", "stability bundle kept: {}", path.display());
        let mut all = self.disk.list(&dir)?;
        all.retain(|name| name.starts_with("openclaw-stability-") && name.ends_with(".json"));
        all.sort_unstable();
        let spare = all.len().saturating_sub(limits::STABILITY_BUNDLES);
        for name in all.into_iter().take(spare) {
            self.disk.remove(&dir.join(name))?;
        }
        Ok(path)
    }
}

#[cfg(test)]
#[path = "diagnostics_tests.rs"]
mod tests;
