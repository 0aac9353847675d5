//! `exec.approval.*` and `exec.approvals.*`.

use super::super::Gateway;
use super::super::nodes::Binding;
use super::super::socket::Answer;
use super::document::unredacted;
use super::{Decision, Pending};
use crate::agent::exec::policy::{self, Resolved};
use crate::agent::exec::shell;
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::error::ErrorShape;
use serde_json::{Map, Value, json};

type Params = Map<String, Value>;
type Handled = Result<Answer, ErrorShape>;

/// Fields of a question that a caller may fill in.
const PASSED: [&str; 17] = [
    "cwd",
    "nodeId",
    "host",
    "security",
    "ask",
    "warningText",
    "scope",
    "agentId",
    "resolvedPath",
    "sessionKey",
    "sessionId",
    "runId",
    "toolCallId",
    "turnSourceChannel",
    "turnSourceTo",
    "turnSourceAccountId",
    "turnSourceThreadId",
];

/// A question with everything that is not known as null, as the reference writes it.
pub(super) fn question(command: &str, commands: Option<&[Resolved]>) -> Value {
    let mut request = json!({
        "command": command, "systemRunBinding": null, "systemRunPlan": null,
        "commandAnalysis": {
            "commandCount": commands.map_or(1, <[Resolved]>::len), "nestedCommandCount": 0,
            "riskKinds": [], "warningLines": [],
        },
        "allowedDecisions": Decision::ALL.map(Decision::as_str),
        "cronExecutionSource": null, "cronOperationBinding": null,
    });
    for name in PASSED {
        request[name] = Value::Null;
    }
    request
}

fn unknown() -> ErrorShape {
    ErrorShape::invalid("unknown or expired approval id").with(json!({
        "reason": "APPROVAL_NOT_FOUND",
        "remediation": "Ask again: questions are forgotten when their time is over and when the \
                        gateway restarts.",
    }))
}

impl Gateway {
    /// `exec.approval.request`: the answer comes with the decision; with `twoPhase` there is one
    /// before it.
    pub(in crate::gateway) fn exec_approval_request(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let text = |name: &str| params.get(name).and_then(Value::as_str);
        let argv = params
            .get("commandArgv")
            .and_then(Value::as_array)
            .map(|argv| argv.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "));
        let plan = params.get("systemRunPlan").and_then(|plan| plan.get("commandText"));
        let plan = plan.and_then(Value::as_str).map(str::to_owned);
        let command = text("command").map(str::to_owned).or(argv).or(plan);
        let command = command
            .filter(|command| !command.trim().is_empty() && command.len() <= limits::EXEC_COMMAND)
            .ok_or_else(|| ErrorShape::invalid("command is required"))?;
        if self.approvals.pending.len() >= limits::APPROVALS {
            return Err(ErrorShape::unavailable("too many approvals are pending; try again later"));
        }
        let id = match text("id") {
            Some(id) if self.approvals.pending.contains_key(id) => {
                return Err(ErrorShape::invalid("approval id already pending"));
            }
            Some(id) => id.to_owned(),
            None => self.uuid(),
        };
        let count = shell::simple_commands(&command).map_or(1, |commands| commands.len());
        let mut asked = question(&command, None);
        asked["commandAnalysis"]["commandCount"] = json!(count);
        for name in PASSED {
            if let Some(value) = params.get(name) {
                asked[name] = value.clone();
            }
        }
        if let Some(plan) = params.get("systemRunPlan") {
            asked["systemRunPlan"] = plan.clone();
        }
        let barred = params.get("unavailableDecisions").and_then(Value::as_array);
        let allowed: Vec<Decision> = Decision::ALL
            .into_iter()
            .filter(|it| barred.is_none_or(|barred| !barred.iter().any(|b| b == it.as_str())))
            .collect();
        asked["allowedDecisions"] =
            json!(allowed.iter().map(|decision| decision.as_str()).collect::<Vec<_>>());
        let wait_ms = params.get("timeoutMs").and_then(Value::as_u64);
        let wait_ms = wait_ms.unwrap_or(limits::APPROVAL_MS).clamp(1, limits::APPROVAL_MS);
        let two_phase = params.get("twoPhase").and_then(Value::as_bool).unwrap_or(false);
        let (created_ms, expires_ms) = (self.now.wall_ms, self.now.wall_ms + wait_ms);
        let device = self.conns.client(conn).and_then(|client| client.device.clone());
        let pending = Pending {
            request: asked,
            allowed,
            created_ms,
            expires_ms,
            due: self.now.time.after_ms(wait_ms),
            from: Some(conn),
            waiters: vec![(conn, request.to_owned())],
            held: None,
            node: Binding::of(params, device, conn),
        };
        let reached = self.ask_approvers(&id, pending, fx);
        if !reached {
            self.conclude_approval(&id, None, None, fx);
        } else if two_phase {
            let accepted = json!({
                "status": "accepted", "id": id, "deliveryRoute": "approval-client",
                "createdAtMs": created_ms, "expiresAtMs": expires_ms,
            });
            self.respond_ok(conn, request, &accepted, fx);
        }
        Ok(Answer::Handled)
    }

    /// `exec.approval.waitDecision`.
    pub(in crate::gateway) fn exec_approval_wait(
        &mut self,
        conn: ConnId,
        request: &str,
        id: &str,
    ) -> Handled {
        if let Some((_, answer)) = self.approvals.answered.iter().rev().find(|(it, _)| it == id) {
            return Ok(Answer::Value(answer.clone()));
        }
        let pending = self.approvals.pending.get_mut(id).ok_or_else(unknown)?;
        if pending.waiters.len() >= limits::APPROVALS {
            return Err(ErrorShape::unavailable("too many clients wait for this decision"));
        }
        pending.waiters.push((conn, request.to_owned()));
        Ok(Answer::Handled)
    }

    /// `exec.approval.resolve`.
    pub(in crate::gateway) fn exec_approval_resolve(
        &mut self,
        conn: ConnId,
        id: &str,
        decision: &str,
        fx: &mut Effects,
    ) -> Handled {
        let decision = Decision::ALL
            .into_iter()
            .find(|it| it.as_str() == decision)
            .ok_or_else(|| ErrorShape::invalid("invalid decision"))?;
        let pending = self.approvals.pending.get(id).ok_or_else(unknown)?;
        if !pending.allowed.contains(&decision) {
            let words: Vec<&str> = pending.allowed.iter().map(|it| it.as_str()).collect();
            return Err(ErrorShape::invalid(format!(
                "{} is not available for this approval; use {}",
                decision.as_str(),
                words.join(" or ")
            )));
        }
        let by = self.conns.client(conn).map(|client| client.id);
        self.conclude_approval(id, Some(decision), by, fx);
        Ok(Answer::Value(json!({"ok": true})))
    }

    /// `exec.approval.list`: a bare array.
    pub(in crate::gateway) fn exec_approval_list(&self) -> Value {
        let row = |(id, pending): (&String, &Pending)| {
            json!({
                "approvalKind": "exec", "id": id, "request": pending.request,
                "createdAtMs": pending.created_ms, "expiresAtMs": pending.expires_ms,
            })
        };
        Value::Array(self.approvals.pending.iter().map(row).collect())
    }

    /// `exec.approval.get`.
    pub(in crate::gateway) fn exec_approval_get(&self, id: &str) -> Handled {
        let pending = self.approvals.pending.get(id).ok_or_else(unknown)?;
        let request = &pending.request;
        Ok(Answer::Value(json!({
            "id": id, "commandText": request["command"], "commandPreview": null,
            "allowedDecisions": request["allowedDecisions"], "host": request["host"],
            "nodeId": request["nodeId"], "agentId": request["agentId"],
            "expiresAtMs": pending.expires_ms,
        })))
    }

    /// `exec.approvals.get`.
    pub(in crate::gateway) fn exec_approvals_get(&self) -> Handled {
        self.approvals_snapshot().map(Answer::Value)
    }

    /// `exec.approvals.set`: replaces the document that its caller has seen.
    pub(in crate::gateway) fn exec_approvals_set(&mut self, params: &Params) -> Handled {
        let old = self.approvals_document();
        match params.get("baseHash").and_then(Value::as_str) {
            None if old.exists => {
                return Err(ErrorShape::invalid(
                    "exec approvals base hash required; re-run exec.approvals.get and retry",
                ));
            }
            Some(hash) if hash != old.hash => {
                return Err(ErrorShape::invalid(
                    "exec approvals changed since last load; re-run exec.approvals.get and retry",
                ));
            }
            _ => {}
        }
        let file = params.get("file").cloned().unwrap_or_default();
        policy::check(&file)
            .map_err(|why| ErrorShape::invalid(format!("invalid exec approvals: {why}")))?;
        let file = unredacted(file, &old.value.unwrap_or_default());
        self.write_approvals(&file)?;
        log::info!(target: "gateway", "exec approvals were replaced");
        self.approvals_snapshot().map(Answer::Value)
    }
}
