//! `system.run` on a node: what a caller may send, and what must be approved first.
//!
//! The gateway's policy for commands (`tools.exec`, `exec-approvals.json`) is asked before the
//! node's own. Where it says ask, the caller needs a yes of an operator: `exec.approval.request`
//! with `host: "node"`, the node, the argv and whatever else the command gets, then `node.invoke`
//! with `params.runId` naming it. The yes holds once, for that caller, that node and that very
//! command. `approved` and `approvalDecision` of a caller are never believed: what the node is
//! told comes from the answer that was kept here (docs/nodes/node-exec.md).

use super::super::Gateway;
use crate::agent::exec::policy::{Policy, Verdict};
use crate::driver::ConnId;
use crate::protocol::error::ErrorShape;
use serde_json::{Map, Value, json};

/// What of a caller's parameters reaches a node; the rest is dropped.
const PASSED: [&str; 7] =
    ["command", "cwd", "env", "timeoutMs", "agentId", "sessionKey", "needsScreenRecording"];
/// What a yes is bound to besides node and argv.
const BOUND: [&str; 4] = ["cwd", "env", "agentId", "sessionKey"];

/// What a question about a command on a node is about, from `exec.approval.request`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::gateway) struct Binding {
    node: String,
    argv: Vec<String>,
    rest: Map<String, Value>,
    /// Who asked: its device, else its connection.
    device: Option<String>,
    conn: ConnId,
}

fn argv(value: Option<&Value>) -> Option<Vec<String>> {
    let list = value?.as_array()?;
    let words: Option<Vec<String>> =
        list.iter().map(|word| word.as_str().map(str::to_owned)).collect();
    words.filter(|words| !words.is_empty())
}

/// The bound fields of a set of parameters; null is the same as absent.
fn bound(params: &Map<String, Value>) -> Map<String, Value> {
    let named = BOUND.into_iter().filter_map(|name| Some((name, params.get(name)?)));
    let set = named.filter(|(_, value)| !value.is_null());
    set.map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

impl Binding {
    /// Of the parameters of a question; `None` when it is not about a node's command, or names
    /// no argv: then there is nothing to hold a yes to.
    pub(in crate::gateway) fn of(
        params: &Map<String, Value>,
        device: Option<String>,
        conn: ConnId,
    ) -> Option<Self> {
        let text = |name: &str| params.get(name).and_then(Value::as_str);
        let plan = params.get("systemRunPlan").and_then(Value::as_object);
        let argv =
            argv(params.get("commandArgv")).or_else(|| argv(plan.and_then(|it| it.get("argv"))))?;
        let node = text("nodeId").filter(|_| text("host") == Some("node"))?.to_owned();
        Some(Self { node, argv, rest: bound(params), device, conn })
    }
}

fn refuse(code: &str, message: impl Into<String>) -> ErrorShape {
    ErrorShape::invalid(message).with(json!({"code": code}))
}

impl Gateway {
    /// The parameters that a node gets for `system.run` and `system.run.prepare`.
    pub(super) fn approved_run(
        &mut self,
        conn: ConnId,
        node: &str,
        command: &str,
        params: Option<Value>,
    ) -> Result<Value, ErrorShape> {
        let Some(Value::Object(given)) = params else {
            return Err(refuse("INVALID_PARAMS", format!("{command} takes params with a command")));
        };
        let argv = argv(given.get("command")).ok_or_else(|| {
            refuse("INVALID_PARAMS", format!("{command}: params.command must be an argv array"))
        })?;
        let raw = given.get("rawCommand").and_then(Value::as_str).map(str::trim);
        if let Some(raw) = raw.filter(|raw| !raw.is_empty())
            && raw != argv.join(" ")
            && Some(raw) != shell_text(&argv)
        {
            let text = "INVALID_REQUEST: rawCommand does not match command";
            return Err(refuse("RAW_COMMAND_MISMATCH", text));
        }
        let mut sent: Map<String, Value> = PASSED
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), given.get(name)?.clone())))
            .collect();
        if command == "system.run.prepare" {
            return Ok(Value::Object(sent));
        }
        let claimed = given.get("approved") == Some(&Value::Bool(true))
            || given.get("approvalDecision").is_some_and(|it| !it.is_null());
        let run = given.get("runId").and_then(Value::as_str).filter(|id| !id.trim().is_empty());
        match (claimed, run) {
            (true, None) => {
                return Err(refuse("MISSING_RUN_ID", "approval override requires params.runId"));
            }
            (true, Some(run)) => {
                let decision = self.take_yes(conn, node, run, &argv, &given)?;
                sent.insert("runId".to_owned(), json!(run));
                sent.insert("approved".to_owned(), json!(true));
                sent.insert("approvalDecision".to_owned(), json!(decision));
            }
            (false, _) => {
                self.unapproved_run_may()?;
                let run = self.uuid();
                sent.insert("runId".to_owned(), json!(run));
            }
        }
        Ok(Value::Object(sent))
    }

    /// Whether a command may go to a node without a question. Which file a name stands for on
    /// the node is not known here, so no allowlist of this host covers it.
    fn unapproved_run_may(&self) -> Result<(), ErrorShape> {
        let document = self.approvals_document();
        let document = document.value.map_err(|why| {
            refuse("APPROVALS_UNREADABLE", format!("the approvals cannot be read: {why}"))
        })?;
        let exec = &self.config.exec;
        // The caller's word for the agent would choose the policy.
        let agent = self.config.agents.default_agent();
        let policy = Policy::of(&document, agent, exec.security, exec.ask);
        match policy.verdict(None, "", "") {
            Verdict::Run => Ok(()),
            Verdict::Deny => Err(refuse(
                "SYSTEM_RUN_DENIED",
                "system.run is denied by tools.exec or exec-approvals.json of the gateway",
            )),
            Verdict::Ask => Err(refuse(
                "APPROVAL_REQUIRED",
                "system.run needs an approval: call exec.approval.request with host \"node\", \
                 nodeId and commandArgv, then node.invoke with params.approved and its id as \
                 params.runId",
            )),
        }
    }

    /// Uses up the yes that `run` names.
    fn take_yes(
        &mut self,
        conn: ConnId,
        node: &str,
        run: &str,
        argv: &[String],
        given: &Map<String, Value>,
    ) -> Result<&'static str, ErrorShape> {
        let unknown = || {
            ErrorShape::invalid("unknown or expired approval id")
                .with(json!({"code": "UNKNOWN_APPROVAL_ID", "runId": run}))
        };
        let binding = self.node_yes(run).ok_or_else(unknown)?;
        let device = self.conns.client(conn).and_then(|client| client.device.as_ref());
        let same_caller = match (&binding.device, device) {
            (Some(asked), Some(now)) => asked == now,
            (None, None) => binding.conn == conn,
            _ => false,
        };
        if !same_caller {
            return Err(refuse("APPROVAL_CLIENT_MISMATCH", "the approval was asked by another"));
        }
        if binding.node != node {
            return Err(refuse("APPROVAL_NODE_MISMATCH", "the approval is for another node"));
        }
        if binding.argv != argv || binding.rest != bound(given) {
            let text = "the approval is for another command, folder, environment or session";
            return Err(refuse("APPROVAL_REQUEST_MISMATCH", text));
        }
        self.use_node_yes(run).ok_or_else(unknown)
    }
}

/// The text of `sh -c TEXT` and the like, which callers show as the command.
fn shell_text(argv: &[String]) -> Option<&str> {
    match argv {
        [_, flag, text] if matches!(flag.as_str(), "-c" | "-lc") => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_binds_node_argv_folder_and_environment() {
        let conn = ConnId { slot: 1, generation: 1 };
        let of = |value: Value| {
            Binding::of(value.as_object().expect("an object"), Some("d".to_owned()), conn)
        };
        let full = json!({"host": "node", "nodeId": "n", "commandArgv": ["ls", "-l"],
            "cwd": "/x", "env": {"A": "b"}, "agentId": null});
        let binding = of(full.clone()).expect("a binding");
        assert_eq!((binding.node.as_str(), binding.argv.len()), ("n", 2));
        assert_eq!(Value::Object(binding.rest), json!({"cwd": "/x", "env": {"A": "b"}}));
        let mut other = full.clone();
        other["host"] = json!("gateway");
        assert_eq!(of(other), None);
        let mut text_only = full;
        text_only["commandArgv"] = Value::Null;
        text_only["command"] = json!("ls -l");
        assert_eq!(of(text_only), None, "a text may be split in more than one way");
    }
}
