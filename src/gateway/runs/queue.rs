//! Who waits for whom: one run at a time a session, so many in all.
//!
//! ```text
//!  accept --> line of the session --first--> may_begin --> machine
//!               |  steer: rides on the first; said to its model at the next turn of the model
//!               |  followup: waits          collect: begins together with its likes
//!               \  interrupt: ends those before it
//! ```
//!
//! The modes are the reference's (`messages.queue.mode`, `queueMode` of `chat.send`). A run that
//! was said to another one ends with it: its answer is that run's.

use super::super::Gateway;
use super::{Active, Cause, NewRun};
use crate::agent::run::Via;
use crate::agent::turn::Turn;
use crate::channels::bounds::Bounds;
use crate::config::{QueueDrop, QueueMode as Configured};
use crate::driver::Effects;
use crate::limits;
use crate::sessions::key;
use serde_json::Value;

/// What a message does while its session has a run.
pub(in crate::gateway) type QueueMode = Configured;

/// How a run stands to the first of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It begins when it is first.
    Line,
    /// It will be said to this run, if there is still occasion.
    Rides(u64),
    /// It was said to this run and ends with it. It is in no line any more.
    Said(u64),
}

impl Active {
    /// It was said to another run.
    pub(super) fn is_said(&self) -> bool {
        matches!(self.standing, Standing::Said(_))
    }

    /// Whether its model can hear of something while it works.
    fn hears(&self) -> bool {
        let echo = self.candidates.iter().any(|candidate| matches!(candidate.via, Via::Echo));
        let machine = self.machine.as_ref().is_some_and(|machine| !machine.is_over());
        machine && self.keeps_transcript() && !matches!(self.cause, Cause::Http(_)) && !echo
    }
}

impl Gateway {
    /// The mode of a new run: its own word, the session's `/queue`, the configuration's.
    pub(super) fn queue_mode(&self, new: &NewRun) -> QueueMode {
        let stored = self.sessions.get(&new.key).and_then(|entry| {
            QueueMode::from_word(entry.extra.get("queueMode").and_then(Value::as_str)?)
        });
        match new.cause {
            Cause::Chat => new.mode.or(stored).unwrap_or(self.config.messages.queue.mode),
            Cause::Channel => {
                let queue = &self.config.messages;
                let name = new.origin.as_ref().and_then(|it| it.get("channel")?.as_str());
                let own = name.and_then(|name| queue.queue_by_channel.get(name).copied());
                stored.or(own).unwrap_or(queue.queue.mode)
            }
            _ => new.mode.unwrap_or(QueueMode::Followup),
        }
    }

    /// How a run that is about to be accepted stands to the one that goes on.
    /// What is said to a run is answered with its tools: only to one that is held to the same.
    pub(super) fn standing_of(&self, key: &str, mode: QueueMode, bounds: &Bounds) -> Standing {
        let first = self.runs.lines.get(key).and_then(|line| line.front());
        match first.and_then(|first| self.runs.get(*first)) {
            Some(first) if mode == QueueMode::Steer && first.hears() && first.bounds == *bounds => {
                Standing::Rides(first.number)
            }
            _ => Standing::Line,
        }
    }

    /// A full queue: whether a new run finds a place all the same.
    pub(super) fn makes_room(&mut self, key: &str, mode: QueueMode) -> bool {
        let waiting = self.runs.of_session(key).len();
        if waiting > limits::RUNS_QUEUED_PER_SESSION {
            return false;
        }
        match self.config.messages.queue.drop {
            QueueDrop::New => mode == QueueMode::Interrupt,
            QueueDrop::Old => {
                let oldest = self.runs.of_session(key).get(1).copied();
                self.runs.to_cancel.extend(oldest.map(|oldest| (oldest, "queue-full")));
                true
            }
            // Nothing is dropped: those that wait begin together, as one turn.
            QueueDrop::Summarize => {
                for number in self.runs.of_session(key).into_iter().skip(1) {
                    if let Some(run) = self.runs.active.get_mut(&number) {
                        run.mode = QueueMode::Collect;
                    }
                }
                true
            }
        }
    }

    /// Puts an accepted run at the end of its session's line.
    pub(super) fn stand_in_line(&mut self, number: u64, key: &str, mode: QueueMode) {
        let line = self.runs.lines.entry(key.to_owned()).or_default();
        if mode == QueueMode::Interrupt {
            // The last first, so that none begins meanwhile.
            let before = line.iter().rev().map(|earlier| (*earlier, "interrupted"));
            self.runs.to_cancel.extend(before);
        }
        line.push_back(number);
        if line.len() == 1 {
            self.runs.accepted.push(number);
        }
        if let Some(Standing::Rides(first)) = self.runs.get(number).map(|run| run.standing) {
            self.refresh_more(first);
        }
    }

    /// Ends the runs that others took the place of.
    pub(super) fn cancel_replaced(&mut self, fx: &mut Effects) {
        for (number, why) in std::mem::take(&mut self.runs.to_cancel) {
            self.cancel_run(number, why, fx);
        }
    }

    /// Tells a run's machine whether somebody rides on it.
    fn refresh_more(&mut self, first: u64) {
        let more = self.runs.active.values().any(|run| run.standing == Standing::Rides(first));
        let machine = self.runs.active.get_mut(&first).and_then(|run| run.machine.as_mut());
        if let Some(machine) = machine {
            machine.expect_more(more);
        }
    }

    /// Whether the first of a line may begin now; else it waits for the end of another run.
    pub(super) fn may_begin(&mut self, number: u64) -> bool {
        let Some(run) = self.runs.get(number) else { return true };
        let mut room = self.runs.running < self.config.agents.defaults.max_concurrent as usize;
        if key::is_subagent(&run.key) {
            let lane = |run: &Active| run.machine.is_some() && key::is_subagent(&run.key);
            let busy = self.runs.active.values().filter(|run| lane(run)).count();
            room &= busy < self.config.reach.subagents_max as usize;
        }
        if room {
            return true;
        }
        self.runs.ready.push_back(number);
        false
    }

    /// A run ended: those that wait for a place try again, in their order.
    pub(super) fn begin_ready(&mut self) {
        let ready = std::mem::take(&mut self.runs.ready);
        let here = ready.into_iter().filter(|number| self.runs.active.contains_key(number));
        self.runs.accepted.extend(here);
    }

    /// Something that waits is said to this run now; the turns its model hears.
    pub(super) fn say_riders(&mut self, first: &Active, fx: &mut Effects) -> Vec<Turn> {
        let rides = |run: &Active| run.standing == Standing::Rides(first.number);
        let wanted = |number: &u64| self.runs.get(*number).is_some_and(rides);
        let riders: Vec<u64> =
            self.runs.of_session(&first.key).into_iter().filter(wanted).collect();
        self.say_to(first, riders, fx)
    }

    /// What was queued to be answered together with this run that begins.
    pub(super) fn collect_riders(&mut self, first: &Active, fx: &mut Effects) -> Vec<Turn> {
        if first.mode != QueueMode::Collect {
            return Vec::new();
        }
        let likes = |number: &u64| {
            self.runs.get(*number).is_some_and(|run| {
                run.mode == QueueMode::Collect
                    && !matches!(run.cause, Cause::Http(_))
                    && run.bounds == first.bounds
            })
        };
        let line = self.runs.of_session(&first.key).into_iter().skip(1);
        let riders: Vec<u64> = line.take_while(likes).collect();
        self.say_to(first, riders, fx)
    }

    fn say_to(&mut self, first: &Active, riders: Vec<u64>, fx: &mut Effects) -> Vec<Turn> {
        let mut turns = Vec::new();
        for number in riders {
            let Some(mut rider) = self.runs.active.remove(&number) else { continue };
            self.say(&mut rider);
            if let Some((message, appended)) = rider.said.take() {
                rider.standing = Standing::Said(first.number);
                rider.started_ms = self.now.wall_ms;
                if let Some(line) = self.runs.lines.get_mut(&first.key) {
                    line.retain(|other| *other != number);
                }
                self.tell_message(&rider, &message, &appended, fx);
                self.speak_start(&mut rider, fx);
                turns.extend(Turn::from_transcript(&message));
            }
            self.runs.active.insert(number, rider);
        }
        turns
    }

    /// The runs that end with this one. Those that only rode on it wait their turn.
    pub(super) fn riders_of(&mut self, first: u64) -> Vec<u64> {
        let mut said = Vec::new();
        for (number, run) in &mut self.runs.active {
            match run.standing {
                Standing::Said(other) if other == first => said.push(*number),
                Standing::Rides(other) if other == first => run.standing = Standing::Line,
                _ => {}
            }
        }
        said
    }

    /// A run left: whoever stood behind it is next.
    pub(super) fn next_in_line(&mut self, run: &Active) {
        if let Standing::Rides(first) = run.standing {
            self.refresh_more(first);
        }
        let Some(line) = self.runs.lines.get_mut(&run.key) else { return };
        let was_first = line.front() == Some(&run.number);
        line.retain(|number| *number != run.number);
        match line.front() {
            None => {
                self.runs.lines.remove(&run.key);
            }
            Some(next) if was_first => {
                let next = *next;
                self.runs.accepted.push(next);
            }
            Some(_) => {}
        }
    }
}
