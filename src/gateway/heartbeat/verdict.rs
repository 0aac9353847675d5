//! When a heartbeat is due, and whether it then comes: pure, of what is known at that moment.

/// The first time after `after_ms` whose place in the cadence is the phase. So a restart keeps
/// the rhythm, and a beat that was missed is not made up for.
pub(super) fn next_beat(after_ms: u64, every_ms: u64, phase_ms: u64) -> u64 {
    let every_ms = every_ms.max(1);
    let phase_ms = phase_ms % every_ms;
    let since = after_ms % every_ms;
    let wait = if since < phase_ms { phase_ms - since } else { every_ms - since + phase_ms };
    after_ms.saturating_add(wait)
}

/// What is known when a beat is due.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts {
    /// `set-heartbeats` has switched them off.
    pub(super) off: bool,
    /// The clock is outside of `activeHours`.
    pub(super) asleep: bool,
    /// HEARTBEAT.md is there and asks nothing.
    pub(super) nothing_asked: bool,
    /// A run of this agent is under way or waits.
    pub(super) busy: bool,
    /// System events wait for the session.
    pub(super) events: bool,
    /// Nobody would hear the answer, though somebody should.
    pub(super) no_route: bool,
    /// Nothing of it would be shown.
    pub(super) muted: bool,
}

/// What becomes of a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It runs.
    Run,
    /// It is left out, and an event says why.
    Skip(&'static str),
    /// It is left out, and nobody is told.
    Quiet,
    /// It is looked at again soon.
    Later,
}

/// Decides. System events are a reason to run whatever the file says; only a busy agent makes
/// them wait.
pub(super) fn decide(facts: Facts) -> Verdict {
    let Facts { off, asleep, nothing_asked, busy, events, no_route, muted } = facts;
    match () {
        () if off || asleep => Verdict::Quiet,
        () if muted => Verdict::Skip("alerts-disabled"),
        () if nothing_asked && !events => Verdict::Skip("empty-heartbeat-file"),
        () if busy && events => Verdict::Later,
        () if busy => Verdict::Skip("requests-in-flight"),
        () if no_route && !events => Verdict::Skip("no-route"),
        () => Verdict::Run,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_keep_their_rhythm() {
        assert_eq!(next_beat(0, 1000, 300), 300);
        assert_eq!(next_beat(299, 1000, 300), 300);
        assert_eq!(next_beat(300, 1000, 300), 1300);
        assert_eq!(next_beat(5_400, 1000, 300), 6_300);
        assert_eq!(next_beat(5_200, 1000, 1300), 5_300);
        assert_eq!(next_beat(7, 0, 9), 8);
        assert_eq!(next_beat(u64::MAX, 1000, 1), u64::MAX);
        for after in 0..5_000 {
            let next = next_beat(after, 777, 123);
            assert!(next > after && next - after <= 777 && next % 777 == 123, "{after}");
        }
    }

    #[test]
    fn every_reason_to_leave_a_beat_out() {
        let run = Facts::default();
        let table = [
            (run, Verdict::Run),
            (Facts { off: true, events: true, ..run }, Verdict::Quiet),
            (Facts { asleep: true, events: true, ..run }, Verdict::Quiet),
            (Facts { nothing_asked: true, ..run }, Verdict::Skip("empty-heartbeat-file")),
            (Facts { nothing_asked: true, events: true, ..run }, Verdict::Run),
            (Facts { muted: true, events: true, ..run }, Verdict::Skip("alerts-disabled")),
            (Facts { busy: true, ..run }, Verdict::Skip("requests-in-flight")),
            (Facts { busy: true, events: true, ..run }, Verdict::Later),
            (Facts { no_route: true, ..run }, Verdict::Skip("no-route")),
            (Facts { no_route: true, events: true, ..run }, Verdict::Run),
        ];
        for (facts, want) in table {
            assert_eq!(decide(facts), want, "{facts:?}");
        }
    }
}
