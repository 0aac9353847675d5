//! Deadlines: one heap, at most one live entry for each thing that waits.
//!
//! Entries are never removed early. When one comes up, its owner says whether it is really due;
//! if the deadline has moved on meanwhile, the owner arms again. So re-arming a watchdog with
//! every byte costs nothing.

use super::exchange::ExchangeId;
use crate::driver::{ConnId, Time};
use crate::limits;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What waits for time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A connection's handshake, request or idle time.
    Conn(ConnId),
    /// A run's deadline, watchdog, pause or text flush.
    Run(u64),
    /// The next `agent.wait` to give up.
    Waits,
    /// A tool call's deadline.
    Tool(u64),
    /// The next slices of disk tools.
    Work,
    /// The next scheduled job, or a look at the clock.
    Cron,
    /// The next heartbeat, or a look at the clock.
    Heartbeat,
    /// The `tick` event.
    Tick,
    /// Writing indexes and syncing journals.
    Save,
    /// The end of the drain.
    Drain,
    /// An exchange has taken too long.
    Exchange(ExchangeId),
    /// A channel account's own deadline, or a socket of its that does not open.
    Channel(super::channels::LiveId),
    /// The next delivery, the end of a burst, a sign of typing, the end of probes.
    Outbox,
    /// The next look at accounts that have been silent.
    ChannelHealth,
    /// Something about a command: its time, its yield, its update, its end.
    Exec,
    /// The next approval that nobody answered.
    Approvals,
    /// A request for a scope upgrade that nobody answered.
    Pairing,
    /// The next look at the configuration's files.
    Watch,
    /// A restart has waited long enough for the runs.
    Restart,
    /// The next invocation that a node did not answer.
    Invokes,
    /// A program that was asked for secrets.
    Secrets,
    /// The next look at the files of `gateway.tls`.
    Tls,
}

/// The heap.
#[derive(Debug)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Time, Timer)>>,
}

impl Default for Timers {
    /// With room from the start: what grows amid a load and stays would keep the memory below it
    /// from going back to the system.
    fn default() -> Self {
        Self { heap: BinaryHeap::with_capacity(limits::ROOM) }
    }
}

impl Timers {
    /// Calls `timer` at `when` at the earliest.
    pub(super) fn arm(&mut self, when: Time, timer: Timer) {
        self.heap.push(Reverse((when, timer)));
    }

    /// When the next entry comes up.
    pub(super) fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((when, _))| *when)
    }

    /// Takes an entry that has come up.
    pub(super) fn pop(&mut self, now: Time) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, timer))| timer)
    }
}

/// The one entry of something whose deadline moves.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Armed(Option<Time>);

impl Armed {
    /// Makes sure that `timer` comes up no later than `due`.
    pub(super) fn at(&mut self, timers: &mut Timers, due: Option<Time>, timer: Timer) {
        if let Some(due) = due
            && self.0.is_none_or(|armed| due < armed)
        {
            timers.arm(due, timer);
            self.0 = Some(due);
        }
    }

    /// Forgets an entry that has come up.
    pub(super) fn past(&mut self, now: Time) {
        self.0.take_if(|armed| *armed <= now);
    }

    /// The entry came up; true when the deadline is really due, else it is armed again.
    pub(super) fn came_up(
        &mut self,
        timers: &mut Timers,
        due: Option<Time>,
        timer: Timer,
        now: Time,
    ) -> bool {
        if self.0.is_some_and(|armed| armed > now) {
            // An older entry of the same owner; the earlier one is still in the heap.
            return false;
        }
        self.0 = None;
        if due.is_some_and(|due| due <= now) {
            return true;
        }
        self.at(timers, due, timer);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_moved_is_armed_again_once() {
        let mut timers = Timers::default();
        let mut armed = Armed::default();
        armed.at(&mut timers, Some(Time(10)), Timer::Run(1));
        armed.at(&mut timers, Some(Time(20)), Timer::Run(1));
        assert_eq!(timers.heap.len(), 1, "a later deadline needs no entry of its own");
        assert_eq!(timers.pop(Time(9)), None);
        assert_eq!(timers.pop(Time(10)), Some(Timer::Run(1)));
        assert!(!armed.came_up(&mut timers, Some(Time(20)), Timer::Run(1), Time(10)));
        assert_eq!(timers.next(), Some(Time(20)));
        assert_eq!(timers.pop(Time(25)), Some(Timer::Run(1)));
        assert!(armed.came_up(&mut timers, Some(Time(20)), Timer::Run(1), Time(25)));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn an_earlier_deadline_leaves_a_harmless_old_entry() {
        let mut timers = Timers::default();
        let mut armed = Armed::default();
        armed.at(&mut timers, Some(Time(20)), Timer::Run(1));
        armed.at(&mut timers, Some(Time(10)), Timer::Run(1));
        assert_eq!(timers.pop(Time(10)), Some(Timer::Run(1)));
        assert!(armed.came_up(&mut timers, Some(Time(10)), Timer::Run(1), Time(10)));
        armed.at(&mut timers, Some(Time(30)), Timer::Run(1));
        assert_eq!(timers.pop(Time(20)), Some(Timer::Run(1)));
        assert!(!armed.came_up(&mut timers, Some(Time(30)), Timer::Run(1), Time(20)));
        assert_eq!(timers.pop(Time(30)), Some(Timer::Run(1)));
        assert!(armed.came_up(&mut timers, Some(Time(30)), Timer::Run(1), Time(30)));
    }
}
