//! SecretRefs of a running gateway: asked anew by `secrets.reload` and SIGHUP, swapped all or
//! nothing.
//!
//! ```text
//!   reload --> load with nothing known --Ok--> apply
//!                 |-- programs to ask --> Asking (children) --> load with their answers
//!                 |                                                |-- Ok --> apply
//!                 +-- Err ------------------------------------------+-- Err -> the old stays,
//!                                                                   its owners are degraded
//! ```
//!
//! What programs answered is kept, so that an edit of the file (`reread`) asks only those that
//! have not been asked. A reload that comes amid another waits for one of its own: the secret
//! may have changed after the program was asked.

mod ask;
mod rpc;

use super::Gateway;
use super::reload::By;
use super::timers::{Armed, Timer};
use crate::config::secrets::{Batch, BoundRef, Resolved};
use crate::driver::{ChildEvent, ChildId, ConnId, Effects};
use crate::limits;
use crate::protocol::error::ErrorShape;
pub use ask::Asking;
use serde_json::{Value, json};

/// What is known, and what is being asked.
#[derive(Default)]
pub(super) struct Secrets {
    /// What programs answered for the configuration in force.
    pub(super) resolved: Resolved,
    /// Owners whose secret could not be had again: they go on with the old one.
    pub(super) degraded: Vec<Value>,
    job: Option<Job>,
    /// Reloads that came meanwhile.
    next: Vec<Waiter>,
    armed: Armed,
}

struct Job {
    asking: Asking,
    waiters: Vec<Waiter>,
    /// Loads that asked for programs; the file may be edited amid.
    rounds: u32,
}

/// Who wants to know.
struct Waiter {
    /// The request of a client; a signal has none.
    request: Option<(ConnId, String)>,
}

impl Secrets {
    /// With what was asked before the start.
    pub(super) fn knowing(resolved: Resolved) -> Self {
        Self { resolved, ..Self::default() }
    }
}

/// Times that a file may want other programs asked before a reload gives up.
const ROUNDS: u32 = 3;

impl Gateway {
    /// SIGHUP: the file and every secret anew.
    pub(super) fn reload_all(&mut self, fx: &mut Effects) {
        self.looked();
        self.want_secrets(Waiter { request: None }, fx);
    }

    pub(super) fn ask_programs(&mut self, batches: Vec<Batch>, known: Resolved, fx: &mut Effects) {
        if self.secrets.job.is_some() {
            // Whoever is asked now, the file is read once more afterwards.
            self.secrets.next.push(Waiter { request: None });
            return;
        }
        let asking = Asking::new(batches, known);
        let waiters = vec![Waiter { request: None }];
        self.secrets.job = Some(Job { asking, waiters, rounds: 1 });
        self.secrets_go_on(fx);
    }

    /// A reload for somebody.
    fn want_secrets(&mut self, waiter: Waiter, fx: &mut Effects) {
        if self.secrets.job.is_some() {
            if self.secrets.next.len() < limits::SECRET_WAITERS {
                self.secrets.next.push(waiter);
            } else {
                let error = ErrorShape::unavailable("too many reloads are waiting; try again");
                self.tell_waiters(vec![waiter], &Err(error), fx);
            }
            return;
        }
        self.secrets_round(vec![waiter], Resolved::default(), 0, fx);
    }

    /// Loads with what is known; asks programs, or ends the reload.
    fn secrets_round(
        &mut self,
        waiters: Vec<Waiter>,
        known: Resolved,
        rounds: u32,
        fx: &mut Effects,
    ) {
        let Some(reload) = &mut self.reload else {
            let what = "this gateway runs without a configuration file";
            return self.tell_waiters(waiters, &Err(ErrorShape::unavailable(what)), fx);
        };
        match reload.load(None, &known) {
            Ok(new) => {
                let warnings = new.config.secrets.iter().filter(|one| one.why.is_some()).count();
                if !self.secrets.degraded.is_empty() {
                    log::info!(target: "secrets", "SECRETS_RELOADER_RECOVERED");
                }
                self.secrets.degraded.clear();
                self.secrets.resolved = known;
                // Those who asked hear of it first: their own sockets may be closed next.
                self.tell_waiters(waiters, &Ok(warnings), fx);
                self.take_over(new, By::Command, fx);
            }
            Err(not) if !not.pending.is_empty() && rounds < ROUNDS => {
                let asking = Asking::new(not.pending, known);
                self.secrets.job = Some(Job { asking, waiters, rounds: rounds + 1 });
                self.secrets_go_on(fx);
            }
            Err(not) => {
                self.degrade(&not.unresolved);
                log::error!(target: "secrets",
                    "secrets not reloaded, the running configuration stays: {not}");
                let what = format!("secrets not reloaded, the old ones stay in force: {not}");
                self.tell_waiters(waiters, &Err(ErrorShape::unavailable(what)), fx);
                if not.unresolved.is_empty() {
                    self.refuse(not, fx);
                }
            }
        }
    }

    /// The owners of references that stand for nothing now: they keep what they had.
    fn degrade(&mut self, unresolved: &[BoundRef]) {
        if !unresolved.is_empty() && self.secrets.degraded.is_empty() {
            log::warn!(target: "secrets", "SECRETS_RELOADER_DEGRADED");
        }
        let mut owners: Vec<Value> = Vec::new();
        for one in unresolved {
            let had = self.config.secrets.iter().any(|old| old.path == one.path);
            let state = if had { "stale" } else { "cold" };
            let (kind, id) = rpc::owner(one);
            log::warn!(target: "secrets", "SECRETS_DEGRADED {} is {state}: {}; retry with: \
                openclaw secrets reload", one.path, one.why.as_deref().unwrap_or_default());
            let same = |known: &&mut Value| {
                known["ownerKind"] == kind && known["ownerId"] == id && known["state"] == state
            };
            if let Some(known) = owners.iter_mut().find(same)
                && let Some(paths) = known["paths"].as_array_mut()
            {
                paths.push(json!(one.path));
                continue;
            }
            owners.push(json!({
                "ownerKind": kind, "ownerId": id, "state": state, "paths": [one.path],
                "reason": one.why.as_deref().unwrap_or_default(),
            }));
        }
        self.secrets.degraded = owners;
    }

    fn tell_waiters(
        &mut self,
        waiters: Vec<Waiter>,
        result: &Result<usize, ErrorShape>,
        fx: &mut Effects,
    ) {
        for (conn, request) in waiters.into_iter().filter_map(|waiter| waiter.request) {
            match result {
                Ok(count) => {
                    let payload = json!({"ok": true, "warningCount": count});
                    self.respond_ok(conn, &request, &payload, fx);
                }
                Err(error) => self.respond_error(conn, &request, error, fx),
            }
        }
    }

    /// Starts, ends and arms what the job needs.
    fn secrets_go_on(&mut self, fx: &mut Effects) {
        let now = self.now.time;
        let Some(job) = &mut self.secrets.job else { return };
        job.asking.go_on(now, &mut self.execs.children, fx);
        if let Some(resolved) = job.asking.finished() {
            let Some(job) = self.secrets.job.take() else { return };
            self.secrets_round(job.waiters, resolved, job.rounds, fx);
            let next = std::mem::take(&mut self.secrets.next);
            if self.secrets.job.is_some() {
                self.secrets.next = next;
            } else if !next.is_empty() {
                self.secrets_round(next, Resolved::default(), 0, fx);
            }
            return;
        }
        let due = job.asking.due();
        self.secrets.armed.at(&mut self.timers, due, Timer::Secrets);
    }

    /// News of a child that may be one of these; true when it is.
    pub(super) fn secrets_child(
        &mut self,
        child: ChildId,
        event: &ChildEvent<'_>,
        fx: &mut Effects,
    ) -> bool {
        let now = self.now.time;
        let job = self.secrets.job.as_mut();
        let ours = job.is_some_and(|job| job.asking.on(now, child, event, fx));
        if ours {
            self.secrets_go_on(fx);
        }
        ours
    }

    /// A program has taken too long.
    pub(super) fn secrets_due(&mut self, fx: &mut Effects) {
        let now = self.now.time;
        let due = self.secrets.job.as_ref().and_then(|job| job.asking.due());
        if self.secrets.armed.came_up(&mut self.timers, due, Timer::Secrets, now) {
            if let Some(job) = &mut self.secrets.job {
                job.asking.wake(now, fx);
            }
            self.secrets_go_on(fx);
        }
    }

    /// The gateway leaves.
    pub(super) fn end_secrets(&mut self, fx: &mut Effects) {
        if let Some(job) = &mut self.secrets.job {
            job.asking.end(fx);
        }
    }
}
