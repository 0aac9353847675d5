//! Programs that are asked for secrets, as children with pipes: a batch a child, at most
//! [`limits::SECRET_CHILDREN`] at once, each within its own time and output.
//!
//! ```text
//!   waiting --Spawn--> running --Exited--> answered
//!                        |-- too long, silent, too much output --> killed --Exited--> answered
//! ```
//!
//! What a program writes to its standard error is counted and dropped: it may be a secret. The
//! gateway drives this on its loop; the command line drives it alone, before a gateway exists.

use crate::config::secrets::{Batch, Resolved, reply};
use crate::driver::{ChildEvent, ChildId, Effect, Effects, Exit, Spawn, Time};
use crate::limits;
use std::collections::{BTreeMap, VecDeque};

/// Batches on their way.
pub struct Asking {
    waiting: VecDeque<Batch>,
    running: BTreeMap<ChildId, Asked>,
    resolved: Resolved,
}

struct Asked {
    batch: Batch,
    output: Vec<u8>,
    seen: usize,
    until: Time,
    silent_until: Time,
    /// Why its output no longer counts; it has been killed, and is killed again at this time.
    given_up: Option<(String, Time)>,
}

impl Asking {
    /// Nothing is started before [`Asking::go_on`].
    pub fn new(batches: Vec<Batch>, known: Resolved) -> Self {
        Self { waiting: batches.into(), running: BTreeMap::new(), resolved: known }
    }

    /// Starts what may be started. `number` is the last child's number.
    pub fn go_on(&mut self, now: Time, number: &mut u64, fx: &mut Effects) {
        while self.running.len() < limits::SECRET_CHILDREN
            && let Some(batch) = self.waiting.pop_front()
        {
            *number += 1;
            let child = ChildId(*number);
            let exec = &batch.exec;
            let spawn = Spawn {
                program: batch.program.clone(),
                args: exec.args.iter().map(Into::into).collect(),
                env: exec.env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
                // Nobody but its owner can write there, unlike wherever we were started.
                cwd: batch.program.parent().map(Into::into).unwrap_or_default(),
                stdin: reply::request(&batch.provider, &batch.ids),
                keep_stdin: false,
            };
            let asked = Asked {
                until: now.after_ms(exec.timeout_ms),
                silent_until: now.after_ms(exec.silence_ms),
                output: Vec::new(),
                seen: 0,
                given_up: None,
                batch,
            };
            self.running.insert(child, asked);
            fx.push(Effect::Spawn { child, spawn });
        }
    }

    /// News of a child; false when it is none of these.
    pub fn on(
        &mut self,
        now: Time,
        child: ChildId,
        event: &ChildEvent<'_>,
        fx: &mut Effects,
    ) -> bool {
        let Some(asked) = self.running.get_mut(&child) else { return false };
        let failed = match event {
            ChildEvent::Stdout(bytes) => {
                asked.heard(now, child, bytes.len(), fx);
                if asked.given_up.is_none() {
                    asked.output.extend_from_slice(bytes);
                }
                return true;
            }
            ChildEvent::Stderr(bytes) => {
                asked.heard(now, child, bytes.len(), fx);
                return true;
            }
            ChildEvent::Exited(Exit::Code(0)) => None,
            ChildEvent::Exited(Exit::Code(code)) => Some(format!("it ended with exit code {code}")),
            ChildEvent::Exited(Exit::Signal(signal)) => {
                Some(format!("it was ended by signal {signal}"))
            }
            ChildEvent::Failed(why) => Some(format!("it cannot be started: {why}")),
        };
        if let Some(asked) = self.running.remove(&child) {
            let failed = asked.given_up.map(|(why, _)| why).or(failed);
            let batch = &asked.batch;
            let found = match failed {
                Some(why) => batch.ids.iter().map(|id| (id.clone(), Err(why.clone()))).collect(),
                None => reply::answers(&asked.output, &batch.ids, batch.exec.json_only),
            };
            self.resolved.add(batch, found);
        }
        true
    }

    /// When [`Asking::wake`] is due.
    pub fn due(&self) -> Option<Time> {
        self.running.values().map(Asked::due).min()
    }

    /// Ends what took too long.
    pub fn wake(&mut self, now: Time, fx: &mut Effects) {
        for (child, asked) in &mut self.running {
            if asked.due() > now {
                continue;
            }
            let what = match &asked.given_up {
                // Something of it that left its group still holds the pipes.
                Some((why, _)) => why.clone(),
                None if asked.until <= now => {
                    format!("it did not end within {} ms (timeoutMs)", asked.batch.exec.timeout_ms)
                }
                None => format!(
                    "it wrote nothing for {} ms (noOutputTimeoutMs)",
                    asked.batch.exec.silence_ms
                ),
            };
            asked.give_up(now, *child, what, fx);
        }
    }

    /// All that is known when every batch has been answered.
    pub fn finished(&mut self) -> Option<Resolved> {
        let over = self.waiting.is_empty() && self.running.is_empty();
        over.then(|| std::mem::take(&mut self.resolved))
    }

    /// Ends every child, for nobody waits any more.
    pub fn end(&mut self, fx: &mut Effects) {
        self.waiting.clear();
        for child in self.running.keys() {
            fx.push(Effect::Kill { child: *child, kill: true });
        }
    }
}

impl Asked {
    fn due(&self) -> Time {
        match &self.given_up {
            Some((_, again)) => *again,
            None => self.until.min(self.silent_until),
        }
    }

    fn heard(&mut self, now: Time, child: ChildId, bytes: usize, fx: &mut Effects) {
        self.silent_until = now.after_ms(self.batch.exec.silence_ms);
        self.seen = self.seen.saturating_add(bytes);
        let max = self.batch.exec.max_output;
        if self.seen > max && self.given_up.is_none() {
            let what = format!("it wrote more than {max} bytes (maxOutputBytes)");
            self.give_up(now, child, what, fx);
        }
    }

    fn give_up(&mut self, now: Time, child: ChildId, why: String, fx: &mut Effects) {
        self.output = Vec::new();
        self.given_up = Some((why, now.after_ms(limits::EXEC_GRACE_MS)));
        fx.push(Effect::Kill { child, kill: true });
    }
}

#[cfg(test)]
#[path = "ask_tests.rs"]
mod tests;
