//! How late the loop is: of every timer that comes up, how long after its time that was.
//!
//! Nothing else is taken for a sign of trouble: a busy loop that keeps its times is well. The
//! configuration is looked at once a second, so there is a sample a second at least. Samples
//! fall into a window of [`limits::LOOP_WINDOW_MS`]; what is told is the window under way and
//! the one before it, so that reading changes nothing and two readers see the same.

use crate::driver::{Now, Time};
use crate::limits;
use serde_json::{Value, json};

/// Upper bounds of the buckets in microseconds; one more bucket is above all.
pub(super) const BOUNDS_US: [u64; 12] = [
    1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];
const BUCKETS: usize = BOUNDS_US.len() + 1;

/// A stretch of time.
#[derive(Debug, Clone, Copy)]
struct Window {
    from: Time,
    counts: [u64; BUCKETS],
    max_us: u64,
    slowest: &'static str,
    cpu_ms: Option<u64>,
}

impl Window {
    fn new(from: Time, cpu_ms: Option<u64>) -> Self {
        Self { from, counts: [0; BUCKETS], max_us: 0, slowest: "", cpu_ms }
    }
}

/// A timer that was far too late.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Late {
    pub(super) ms: u64,
    pub(super) work: &'static str,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Lateness {
    now: Window,
    before: Option<Window>,
    /// Since the start, for the histogram of `/metrics`.
    pub(super) counts: [u64; BUCKETS],
    pub(super) sum_us: u64,
    work: &'static str,
    /// Wall time since when timers are late.
    degraded_since: Option<u64>,
}

impl Lateness {
    pub(super) fn new(now: Time) -> Self {
        Self {
            now: Window::new(now, None),
            before: None,
            counts: [0; BUCKETS],
            sum_us: 0,
            work: "timers",
            degraded_since: None,
        }
    }

    pub(super) fn working_on(&mut self, work: &'static str) {
        self.work = work;
    }

    /// Counts a timer that came up; tells when it was later than [`limits::LOOP_LATE_MS`].
    pub(super) fn sample(
        &mut self,
        due: Time,
        now: Now,
        cpu_ms: impl Fn() -> Option<u64>,
    ) -> Option<Late> {
        let late_us = now.time.0.saturating_sub(due.0);
        let bucket = BOUNDS_US.iter().position(|bound| late_us <= *bound).unwrap_or(BUCKETS - 1);
        if now.time.ms_since(self.now.from) >= limits::LOOP_WINDOW_MS {
            let fresh = Window::new(now.time, cpu_ms());
            self.before = Some(std::mem::replace(&mut self.now, fresh));
        } else if self.now.cpu_ms.is_none() && self.before.is_none() {
            self.now.cpu_ms = cpu_ms();
        }
        for counts in [&mut self.counts, &mut self.now.counts] {
            if let Some(count) = counts.get_mut(bucket) {
                *count = count.saturating_add(1);
            }
        }
        self.sum_us = self.sum_us.saturating_add(late_us);
        let work = std::mem::replace(&mut self.work, "timers");
        if late_us > self.now.max_us {
            self.now.max_us = late_us;
            self.now.slowest = work;
        }
        let ms = late_us / 1000;
        if ms < limits::LOOP_LATE_MS {
            if self.max_us() / 1000 < limits::LOOP_LATE_MS {
                self.degraded_since = None;
            }
            return None;
        }
        self.degraded_since.get_or_insert(now.wall_ms);
        Some(Late { ms, work })
    }

    fn max_us(&self) -> u64 {
        self.before.map_or(0, |window| window.max_us).max(self.now.max_us)
    }

    /// See [`super::Gateway::slowest_work`].
    pub(super) fn slowest(&self) -> &'static str {
        match self.before {
            Some(before) if before.max_us > self.now.max_us => before.slowest,
            _ => self.now.slowest,
        }
    }

    /// The reference's `eventLoop`. The 99th percentile is the upper bound of its bucket, the
    /// maximum at most; utilisation is processor time over time, for there is one thread.
    pub(super) fn report(&self, now: Time, cpu_ms: Option<u64>) -> Value {
        let first = self.before.unwrap_or(self.now);
        let mut counts = self.now.counts;
        if let Some(before) = self.before {
            for (sum, count) in counts.iter_mut().zip(before.counts) {
                *sum += count;
            }
        }
        let max_us = self.max_us();
        let p99_us = percentile(&counts, max_us);
        let degraded = p99_us / 1000 >= limits::LOOP_LATE_MS;
        let interval_ms = now.ms_since(first.from);
        let spent = cpu_ms.unwrap_or(0).saturating_sub(first.cpu_ms.or(cpu_ms).unwrap_or(0));
        let ratio = thousandths(spent.saturating_mul(1000) / interval_ms.max(1));
        let reasons: &[&str] = if degraded { &["event_loop_delay"] } else { &[] };
        json!({
            "degraded": degraded,
            "degradedSinceMs": self.degraded_since.filter(|_| degraded),
            "reasons": reasons, "intervalMs": interval_ms,
            "delayP99Ms": tenths(p99_us / 100), "delayMaxMs": tenths(max_us / 100),
            "utilization": ratio.min(1.0), "cpuCoreRatio": ratio,
        })
    }
}

fn percentile(counts: &[u64; BUCKETS], max_us: u64) -> u64 {
    let all: u64 = counts.iter().sum();
    // The rank of the sample below which 99 of 100 lie.
    let rank = all.saturating_mul(99).div_ceil(100);
    let mut seen = 0;
    for (count, bound) in counts.iter().zip(BOUNDS_US) {
        seen += count;
        if seen >= rank {
            return bound.min(max_us);
        }
    }
    max_us
}

/// Small counts as numbers with a point.
fn small(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn tenths(count: u64) -> f64 {
    small(count) / 10.0
}

fn thousandths(count: u64) -> f64 {
    small(count) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now { time: Time(ms * 1000), wall_ms: 1_000_000 + ms }
    }

    #[test]
    fn only_late_timers_are_trouble() {
        let mut late = Lateness::new(Time(0));
        for n in 1..=100 {
            assert_eq!(late.sample(Time(n * 10_000), at(n * 10), || Some(n * 10)), None);
        }
        let report = late.report(at(1000).time, Some(1000));
        assert_eq!(report["degraded"], false, "busy all the time, and never late");
        assert_eq!((&report["delayMaxMs"], &report["delayP99Ms"]), (&json!(0.0), &json!(0.0)));
        assert_eq!(report["utilization"], 0.99);
        assert_eq!(late.slowest(), "");
        late.working_on("sessions.list");
        let found = late.sample(Time(1_000_000), at(1_900), || None);
        assert_eq!(found, Some(Late { ms: 900, work: "sessions.list" }));
        let report = late.report(at(1900).time, None);
        assert_eq!(report["delayMaxMs"], 900.0);
        assert_eq!(report["degraded"], false, "one of 101 is not the 99th percentile");
        assert_eq!(late.slowest(), "sessions.list");
    }

    #[test]
    fn trouble_is_told_while_it_lasts_and_forgotten_after_two_windows() {
        let mut late = Lateness::new(Time(0));
        assert!(late.sample(Time(0), at(700), || None).is_some());
        let report = late.report(at(700).time, None);
        assert_eq!((&report["degraded"], &report["delayP99Ms"]), (&json!(true), &json!(700.0)));
        assert_eq!(report["reasons"], json!(["event_loop_delay"]));
        assert_eq!(report["degradedSinceMs"], 1_000_700);
        let window = limits::LOOP_WINDOW_MS;
        for n in 1..=2 {
            let now = at(700 + n * window);
            assert_eq!(late.sample(now.time, now, || None), None);
        }
        let report = late.report(at(800 + 2 * window).time, None);
        assert_eq!((&report["degraded"], &report["delayMaxMs"]), (&json!(false), &json!(0.0)));
        assert_eq!(report["degradedSinceMs"], Value::Null);
        // Since the start both are known.
        assert_eq!(late.counts.iter().sum::<u64>(), 3);
        assert_eq!(late.sum_us, 700_000);
    }
}
