//! Approvals of commands: questions to operators, their answers, and the host's document.
//!
//! ```text
//!   exec call that must ask --+                      +--> the call runs, or is told no
//!   exec.approval.request ----+--> pending --> resolve, its time, nobody there
//!                                    |               +--> second response, waitDecision
//!                                    +--> events to approvers other than the requester
//! ```
//!
//! An approver is a connected operator with `operator.approvals` that says it shows approvals
//! (capability `approvals` or `exec-approvals`). With none but the requester a question is over
//! at once: nobody would see it. Questions live in memory; a restart forgets them, and with them
//! the calls that asked.

mod document;
mod exec;
mod rpc;

use super::Gateway;
use super::broadcast::To;
use super::nodes::Binding;
use super::timers::{Armed, Timer};
use crate::agent::exec::Request;
use crate::agent::exec::policy::{Policy, Resolved};
use crate::driver::{ConnId, Effects, Time};
use crate::limits;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

/// What an operator says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// This time.
    AllowOnce,
    /// And whenever it is asked again.
    AllowAlways,
    /// No.
    Deny,
}

impl Decision {
    const ALL: [Self; 3] = [Self::AllowOnce, Self::AllowAlways, Self::Deny];

    fn as_str(self) -> &'static str {
        match self {
            Self::AllowOnce => "allow-once",
            Self::AllowAlways => "allow-always",
            Self::Deny => "deny",
        }
    }
}

/// An `exec` call that waits for an answer.
pub(super) struct Held {
    call: u64,
    request: Request,
    cwd: PathBuf,
    agent: String,
    commands: Option<Vec<Resolved>>,
    policy: Policy,
}

/// A question.
struct Pending {
    /// `request` of the events.
    request: Value,
    allowed: Vec<Decision>,
    created_ms: u64,
    expires_ms: u64,
    due: Time,
    /// The client that asked; it does not hear the events.
    from: Option<ConnId>,
    /// Requests that are answered with the decision.
    waiters: Vec<(ConnId, String)>,
    held: Option<Box<Held>>,
    /// What a yes allows a caller to run on a node.
    node: Option<Binding>,
}

/// A yes for a command on a node, good once and until it is too old.
struct Yes {
    id: String,
    binding: Binding,
    decision: Decision,
    due: Time,
}

/// All questions, and the latest answers for `waitDecision`.
#[derive(Default)]
pub(super) struct Approvals {
    pending: BTreeMap<String, Pending>,
    answered: VecDeque<(String, Value)>,
    /// At most [`limits::APPROVALS`]; the oldest goes first.
    yes: VecDeque<Yes>,
    armed: Armed,
}

impl Gateway {
    /// Asks; false when nobody but the requester could answer.
    fn ask_approvers(&mut self, id: &str, pending: Pending, fx: &mut Effects) -> bool {
        let from = pending.from;
        let event = json!({
            "approvalKind": "exec", "id": id, "request": pending.request,
            "createdAtMs": pending.created_ms, "expiresAtMs": pending.expires_ms,
        });
        let reached = self.conns.approvers(from) > 0;
        self.approvals.pending.insert(id.to_owned(), pending);
        if reached {
            let to = To::Approvers { except: from };
            self.broadcast("exec.approval.requested", to, fx, &|_| Some(event.clone()));
        }
        self.arm_approvals();
        reached
    }

    fn arm_approvals(&mut self) {
        let due = self.approvals.pending.values().map(|pending| pending.due).min();
        self.approvals.armed.at(&mut self.timers, due, Timer::Approvals);
    }

    /// Questions whose time is over.
    pub(super) fn approvals_due(&mut self, fx: &mut Effects) {
        let now = self.now.time;
        let due = self.approvals.pending.values().map(|pending| pending.due).min();
        if !self.approvals.armed.came_up(&mut self.timers, due, Timer::Approvals, now) {
            return;
        }
        let over: Vec<String> = self
            .approvals
            .pending
            .iter()
            .filter(|(_, pending)| pending.due <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in over {
            self.conclude_approval(&id, None, None, fx);
        }
        self.arm_approvals();
    }

    /// The end of a question: everybody who waits hears of it. `None` is no decision.
    fn conclude_approval(
        &mut self,
        id: &str,
        decision: Option<Decision>,
        by: Option<&str>,
        fx: &mut Effects,
    ) {
        let Some(pending) = self.approvals.pending.remove(id) else { return };
        let word = decision.map(Decision::as_str);
        let answer = json!({
            "id": id, "decision": word,
            "createdAtMs": pending.created_ms, "expiresAtMs": pending.expires_ms,
        });
        for (conn, request) in &pending.waiters {
            self.respond_ok(*conn, request, &answer, fx);
        }
        let event = json!({
            "id": id, "decision": word.unwrap_or("deny"), "resolvedBy": by,
            "ts": self.now.wall_ms, "request": pending.request,
        });
        let to = To::Approvers { except: pending.from };
        self.broadcast("exec.approval.resolved", to, fx, &|_| Some(event.clone()));
        self.approvals.answered.push_back((id.to_owned(), answer));
        if self.approvals.answered.len() > limits::APPROVALS {
            self.approvals.answered.pop_front();
        }
        if let (Some(binding), Some(decision)) = (pending.node, decision)
            && decision != Decision::Deny
        {
            let yes = Yes { id: id.to_owned(), binding, decision, due: pending.due };
            self.approvals.yes.push_back(yes);
            if self.approvals.yes.len() > limits::APPROVALS {
                self.approvals.yes.pop_front();
            }
        }
        if let Some(held) = pending.held {
            self.answer_held(id, *held, decision, fx);
        }
    }

    /// What a yes that was not used yet is for.
    pub(super) fn node_yes(&self, id: &str) -> Option<&Binding> {
        let now = self.now.time;
        let mut fresh = self.approvals.yes.iter().filter(|yes| yes.due > now);
        fresh.find(|yes| yes.id == id).map(|yes| &yes.binding)
    }

    /// Uses it up; its word for the node.
    pub(super) fn use_node_yes(&mut self, id: &str) -> Option<&'static str> {
        let at = self.approvals.yes.iter().position(|yes| yes.id == id)?;
        self.approvals.yes.remove(at).map(|yes| yes.decision.as_str())
    }

    /// The call that asked is gone.
    pub(super) fn cancel_approval(&mut self, call: u64, fx: &mut Effects) {
        let asked = self
            .approvals
            .pending
            .iter_mut()
            .find(|(_, pending)| pending.held.as_ref().is_some_and(|held| held.call == call));
        if let Some((id, pending)) = asked {
            pending.held = None;
            let id = id.clone();
            self.conclude_approval(&id, None, None, fx);
        }
    }
}
