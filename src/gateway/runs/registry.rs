//! The table of runs: by number, by id, by session, by dial; and the outcomes kept for a while.

use super::ledger::Ledger;
use super::wait::Waits;
use super::{Active, Finished};
use crate::driver::DialId;
use crate::store::Disk;
use crate::store::journal::Journal;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;

/// All runs.
pub(in crate::gateway) struct Runs {
    pub(super) journal: Journal,
    pub(super) unfinished: Vec<(String, Value)>,
    /// Their answers are written; the journal says so once the transcripts are synced.
    pub(super) answered: Vec<String>,
    pub(super) active: BTreeMap<u64, Box<Active>>,
    pub(super) by_id: BTreeMap<String, u64>,
    /// Sessions with a run: the first is the one that goes on.
    pub(super) lines: BTreeMap<String, VecDeque<u64>>,
    pub(super) dials: BTreeMap<DialId, u64>,
    /// To begin at the end of this turn.
    pub(super) accepted: Vec<u64>,
    /// First in their lines, waiting for `agents.defaults.maxConcurrent`.
    pub(super) ready: VecDeque<u64>,
    /// Runs with a machine.
    pub(super) running: usize,
    /// Tools are done: to go on at the end of this turn.
    pub(super) going_on: Vec<u64>,
    /// Runs that others took the place of, and the word for it.
    pub(super) to_cancel: Vec<(u64, &'static str)>,
    /// Conversations that are being made shorter, by the number of their run.
    pub(super) compacting: BTreeMap<u64, super::compaction::Compacting>,
    pub(super) ledger: Ledger,
    pub(in crate::gateway) waits: Waits,
    pub(super) next: u64,
    /// What the active runs hold together: the sum of [`Active::held`].
    bytes: usize,
}

impl Runs {
    /// Replays the journal.
    pub(in crate::gateway) fn open(disk: &mut dyn Disk, state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join("journal").join("inbound.jsonl");
        let (journal, unfinished) = Journal::open(disk, path.clone()).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        let ledger = Ledger::open(disk, state_dir.join("journal").join("outcomes.jsonl"))?;
        Ok(Self {
            journal,
            unfinished,
            answered: Vec::new(),
            active: BTreeMap::new(),
            by_id: BTreeMap::new(),
            lines: BTreeMap::new(),
            compacting: BTreeMap::new(),
            dials: BTreeMap::new(),
            accepted: Vec::new(),
            ready: VecDeque::new(),
            running: 0,
            going_on: Vec::new(),
            to_cancel: Vec::new(),
            ledger,
            waits: Waits::default(),
            next: 1,
            bytes: 0,
        })
    }

    /// What the active runs hold: what was said, the journal's copy of it, the conversation, the
    /// answer so far.
    pub(in crate::gateway) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A run holds so much from now on; 0 when it is over.
    pub(super) fn count(&mut self, run: &mut Active, held: usize) {
        self.bytes = self.bytes - run.held + held;
        run.held = held;
    }

    /// How many runs are accepted and not over.
    pub(in crate::gateway) fn active_len(&self) -> usize {
        self.active.len()
    }

    /// How many of them have begun.
    pub(in crate::gateway) fn running(&self) -> usize {
        self.running
    }

    /// Runs wait for the end of a turn.
    pub(in crate::gateway) fn to_begin(&self) -> bool {
        !self.accepted.is_empty() || !self.going_on.is_empty()
    }

    /// Sessions with runs, dials under way, runs to begin, and calls of `agent.wait`.
    pub(in crate::gateway) fn in_hand(&self) -> (usize, usize, usize, usize) {
        (self.lines.len(), self.dials.len(), self.accepted.len(), self.waits.len())
    }

    /// Their numbers.
    pub(in crate::gateway) fn numbers(&self) -> Vec<u64> {
        self.active.keys().copied().collect()
    }

    /// Whether an agent has runs that are not over.
    pub(in crate::gateway) fn is_busy(&self, agent: &str) -> bool {
        self.active.values().any(|run| run.agent == agent)
    }

    /// The active runs of a session, the running one first.
    pub(in crate::gateway) fn of_session(&self, key: &str) -> Vec<u64> {
        self.lines.get(key).map(|line| line.iter().copied().collect()).unwrap_or_default()
    }

    pub(in crate::gateway) fn get(&self, number: u64) -> Option<&Active> {
        self.active.get(&number).map(|run| &**run)
    }

    pub(in crate::gateway) fn by_id(&self, id: &str) -> Option<&Active> {
        self.get(*self.by_id.get(id)?)
    }

    /// Marks what was answered as done and forces the journal to the platter, if it grew. To be
    /// called when the transcripts are synced: a power cut may keep any part of what is not.
    pub(in crate::gateway) fn sync(&mut self, disk: &mut dyn Disk) {
        if let Err(error) = self.ledger.sync(disk) {
            log::error!(target: "store", "outcomes not synced: {error}");
            return;
        }
        while let Some(id) = self.answered.pop() {
            if let Err(error) = self.journal.done(disk, &id) {
                log::error!(target: "store", "run {id} not marked done: {error}");
                self.answered.push(id);
                break;
            }
        }
        if let Err(error) = self.journal.sync(disk) {
            log::error!(target: "store", "{}: {error}", self.journal.path().display());
        }
    }

    /// Accepted and journalled, without its end.
    pub(in crate::gateway) fn unfinished(&self) -> usize {
        self.journal.unfinished()
    }

    /// Nothing goes on and nobody waits.
    pub(in crate::gateway) fn is_idle(&self) -> bool {
        self.active.is_empty() && self.waits.len() == 0
    }

    /// The dials whose outcome is awaited, ascending.
    pub(in crate::gateway) fn dialing(&self) -> Vec<DialId> {
        self.dials.keys().copied().collect()
    }

    /// What holds between two turns; for tests, fuzzing and simulation.
    pub(in crate::gateway) fn check_invariants(&self) {
        assert!(self.accepted.is_empty(), "accepted and not begun");
        assert_eq!(self.by_id.len(), self.active.len(), "one name a run");
        let said = self.active.values().filter(|run| run.is_said()).count();
        let lined: usize = self.lines.values().map(VecDeque::len).sum();
        assert_eq!(lined + said, self.active.len());
        for (number, run) in &self.active {
            assert_eq!(self.by_id.get(&run.id), Some(number));
            let place = self.lines.get(&run.key).and_then(|l| l.iter().position(|n| n == number));
            let first = place == Some(0);
            let begun = run.machine.is_some();
            assert!(place.is_some() || run.is_said(), "in line, or said to another");
            assert!(!begun || first, "only the first");
            assert!(begun || !first || self.ready.contains(number), "the first begins");
            let awaited = run.dial.and_then(|dial| self.dials.get(&dial));
            assert_eq!(run.dial.map(|_| number), awaited, "a dial knows its run");
        }
        let held: usize = self.active.values().map(|run| run.held).sum();
        assert_eq!(self.bytes, held, "what the runs hold");
        for (dial, number) in &self.dials {
            assert_eq!(self.get(*number).and_then(|run| run.dial), Some(*dial), "a forgotten dial");
        }
        self.ledger.check_invariants();
        assert!(self.going_on.is_empty() && self.to_cancel.is_empty(), "left for a next turn");
        let machines = self.active.values().filter(|run| run.machine.is_some()).count();
        assert_eq!(self.running, machines, "what runs");
    }

    pub(in crate::gateway) fn remember(
        &mut self,
        disk: &mut dyn Disk,
        id: String,
        finished: Finished,
    ) {
        self.ledger.remember(disk, id, finished);
    }

    pub(in crate::gateway) fn finished(&self, id: &str) -> Option<&Finished> {
        self.ledger.get(id)
    }
}
