//! `node.invoke`: a command for a node, and its one answer.
//!
//! ```text
//!   asked --> known and approved? connected? declared, approved, permitted? [run]: approved?
//!         --> node.invoke.request --> result | its time is over | the node left | caller left
//! ```
//!
//! Whether a command may be used is looked at when it is asked, from what the connection
//! declares, what was approved and what the configuration says now. A result counts only from
//! the connection that was asked. An invocation with the same idempotency key, node, command and
//! parameters joins the one that is under way; the node itself knows the key too.

use super::super::Gateway;
use super::super::socket::Answer;
use super::super::timers::Timer;
use crate::auth::nodes::policy::refusal;
use crate::driver::{ConnId, Effects, Time};
use crate::limits;
use crate::protocol::error::ErrorShape;
use serde_json::{Map, Value, json};

type Params = Map<String, Value>;
type Handled = Result<Answer, ErrorShape>;

/// How the caller wants the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `node.invoke`: `{ok, nodeId, command, payload, payloadJSON}`.
    Invoke,
    /// The node's payload itself.
    Payload,
}

/// What is asked of a node.
struct Ask<'a> {
    node: &'a str,
    command: &'a str,
    params: Option<Value>,
    timeout_ms: Option<u64>,
    key: String,
    shape: Shape,
}

/// An invocation under way.
pub(super) struct Invoke {
    node: String,
    conn: ConnId,
    command: String,
    params: Option<String>,
    key: String,
    shape: Shape,
    due: Time,
    waiters: Vec<(ConnId, String)>,
}

/// The node is not paired, or no longer.
pub(super) fn pairing_changed(what: &str) -> ErrorShape {
    let text = format!("node pairing changed while {what} was active");
    let error = ErrorShape::unavailable(text).with(json!({"code": "PAIRING_CHANGED"}));
    ErrorShape { retryable: Some(true), ..error }
}

fn not_connected() -> ErrorShape {
    let (code, message) = ("NOT_CONNECTED", "node not connected");
    ErrorShape::unavailable(message).with(json!({
        "code": code, "nodeError": {"code": code, "message": message},
        "nodeCommandDispatched": false,
    }))
}

/// What went wrong after the node was asked.
fn failed(code: &str, message: &str) -> ErrorShape {
    ErrorShape::unavailable(format!("{code}: {message}")).with(json!({
        "nodeError": {"code": code, "message": message}, "nodeCommandDispatched": true,
    }))
}

fn full(what: &str, max: usize) -> ErrorShape {
    let error = ErrorShape::unavailable(format!("{what} (limit {max}); try again later"));
    ErrorShape { retryable: Some(true), ..error }
}

impl Gateway {
    /// `node.invoke`.
    pub(in crate::gateway) fn node_invoke(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default().trim();
        let (node, command) = (text("nodeId"), text("command"));
        if node.is_empty() || command.is_empty() {
            return Err(ErrorShape::invalid("nodeId and command required"));
        }
        if command.starts_with("system.execApprovals.") {
            let why =
                "node.invoke does not allow system.execApprovals.*; use exec.approvals.node.*";
            return Err(ErrorShape::invalid(why).with(json!({"command": command})));
        }
        let ask = Ask {
            node,
            command,
            params: params.get("params").cloned(),
            timeout_ms: params.get("timeoutMs").and_then(Value::as_u64),
            key: params.get("idempotencyKey").and_then(Value::as_str).unwrap_or_default().into(),
            shape: Shape::Invoke,
        };
        self.ask_node(conn, request, ask, fx)
    }

    /// `exec.approvals.node.get` and `.set`: the node's own document, by its own commands.
    pub(in crate::gateway) fn node_approvals(
        &mut self,
        conn: ConnId,
        request: &str,
        command: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let mut rest = params.clone();
        let node = rest.remove("nodeId");
        let node = node.as_ref().and_then(Value::as_str).unwrap_or_default().trim();
        let ask = Ask {
            node,
            command,
            params: Some(Value::Object(rest)),
            timeout_ms: None,
            key: self.uuid(),
            shape: Shape::Payload,
        };
        self.ask_node(conn, request, ask, fx)
    }

    fn ask_node(
        &mut self,
        conn: ConnId,
        request: &str,
        mut ask: Ask<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let paired = self.devices.approved(ask.node, "node");
        let known = self.nodes.registry.get(ask.node);
        let known = known.filter(|known| paired && known.approved.is_some());
        let known = known.ok_or_else(|| pairing_changed("invocation"))?;
        let live = self.nodes.live.get(ask.node).ok_or_else(not_connected)?;
        let policy = &self.config.gateway.nodes;
        if !known.may(policy, &live.claims, ask.command) {
            let why = refusal(policy, live.claims.platform(), ask.command);
            let details = json!({"reason": "command not allowlisted", "command": ask.command});
            return Err(ErrorShape::invalid(why).with(details));
        }
        let to = live.conn;
        if matches!(ask.command, "system.run" | "system.run.prepare") {
            ask.params = Some(self.approved_run(conn, ask.node, ask.command, ask.params.take())?);
        }
        let text = ask.params.as_ref().map(Value::to_string);
        if let Some(joined) = self.join_invoke(conn, request, &ask, text.as_deref())? {
            return Ok(joined);
        }
        let of_node = self.nodes.invokes.values().filter(|it| it.node == ask.node).count();
        if of_node >= limits::NODE_INVOKES {
            return Err(full("the node has too much to do", limits::NODE_INVOKES));
        }
        if self.nodes.invokes.len() >= limits::NODE_INVOKES_ALL {
            return Err(full("all nodes have too much to do", limits::NODE_INVOKES_ALL));
        }
        let wish = ask.timeout_ms.unwrap_or(limits::NODE_INVOKE_MS);
        let max = limits::NODE_INVOKE_MS_MAX;
        let timeout_ms = if wish == 0 { max } else { wish.min(max) };
        let id = self.uuid();
        let payload = json!({
            "id": id, "nodeId": ask.node, "command": ask.command, "paramsJSON": text,
            "timeoutMs": timeout_ms, "idempotencyKey": ask.key,
        });
        let invoke = Invoke {
            node: ask.node.to_owned(),
            conn: to,
            command: ask.command.to_owned(),
            params: text,
            key: ask.key,
            shape: ask.shape,
            due: self.now.time.after_ms(timeout_ms),
            waiters: vec![(conn, request.to_owned())],
        };
        self.nodes.invokes.insert(id, invoke);
        self.arm_invokes();
        self.tell(to, "node.invoke.request", &payload, fx);
        Ok(Answer::Handled)
    }

    /// The same invocation is under way: its answer is for this caller too.
    fn join_invoke(
        &mut self,
        conn: ConnId,
        request: &str,
        ask: &Ask<'_>,
        params: Option<&str>,
    ) -> Result<Option<Answer>, ErrorShape> {
        let mut under_way = self.nodes.invokes.values_mut();
        let Some(it) = under_way.find(|it| it.key == ask.key && it.node == ask.node) else {
            return Ok(None);
        };
        if it.command != ask.command || it.params.as_deref() != params || it.shape != ask.shape {
            return Err(ErrorShape::invalid(
                "this idempotencyKey is in use for another invocation; take a new one",
            ));
        }
        if it.waiters.len() >= limits::NODE_INVOKE_WAITERS {
            let what = "too many callers wait for this invocation";
            return Err(full(what, limits::NODE_INVOKE_WAITERS));
        }
        it.waiters.push((conn, request.to_owned()));
        Ok(Some(Answer::Handled))
    }

    /// `node.invoke.result`.
    pub(in crate::gateway) fn node_invoke_result(
        &mut self,
        conn: ConnId,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let text = |name: &str| params.get(name).and_then(Value::as_str);
        self.same_node(conn, text("nodeId"))?;
        let id = text("id").unwrap_or_default();
        if self.nodes.invokes.get(id).is_none_or(|it| it.conn != conn) {
            return Ok(Answer::Value(json!({"ok": true, "ignored": true})));
        }
        let Some(invoke) = self.nodes.invokes.remove(id) else { return Ok(Answer::Handled) };
        if params.get("ok") != Some(&Value::Bool(true)) {
            let error = params.get("error");
            let word = |name: &str| error.and_then(|it| it.get(name)).and_then(Value::as_str);
            let shown = match (word("code"), word("message")) {
                (None, None) => "node invoke failed".to_owned(),
                (code, message) => format!(
                    "{}: {}",
                    code.unwrap_or("UNAVAILABLE"),
                    message.unwrap_or("node invoke failed")
                ),
            };
            let details = json!({"nodeError": error, "nodeCommandDispatched": true});
            self.answer_invoke(invoke, Err(ErrorShape::unavailable(shown).with(details)), fx);
        } else {
            let raw = text("payloadJSON");
            let payload = match raw {
                Some(raw) => {
                    serde_json::from_str(raw).unwrap_or_else(|_| json!({"payloadJSON": raw}))
                }
                None => params.get("payload").cloned().unwrap_or_default(),
            };
            let answer = match invoke.shape {
                Shape::Payload => payload,
                Shape::Invoke => json!({
                    "ok": true, "nodeId": invoke.node, "command": invoke.command,
                    "payload": payload, "payloadJSON": raw,
                }),
            };
            self.answer_invoke(invoke, Ok(answer), fx);
        }
        Ok(Answer::Value(json!({"ok": true})))
    }

    /// `node.invoke.progress`: nobody here reads a stream of it, so it is only acknowledged.
    pub(in crate::gateway) fn node_invoke_progress(
        &self,
        conn: ConnId,
        params: &Params,
    ) -> Handled {
        let text = |name: &str| params.get(name).and_then(Value::as_str);
        self.same_node(conn, text("nodeId"))?;
        let id = text("invokeId").unwrap_or_default();
        let known = self.nodes.invokes.get(id).is_some_and(|it| it.conn == conn);
        let answer = if known { json!({"ok": true}) } else { json!({"ok": true, "ignored": true}) };
        Ok(Answer::Value(answer))
    }

    fn same_node(&self, conn: ConnId, named: Option<&str>) -> Result<(), ErrorShape> {
        if self.node_of(conn).is_some_and(|node| Some(node) == named) {
            Ok(())
        } else {
            Err(ErrorShape::invalid("nodeId mismatch"))
        }
    }

    fn answer_invoke(
        &mut self,
        invoke: Invoke,
        answer: Result<Value, ErrorShape>,
        fx: &mut Effects,
    ) {
        for (conn, request) in &invoke.waiters {
            match &answer {
                Ok(value) => self.respond_ok(*conn, request, value, fx),
                Err(error) => self.respond_error(*conn, request, error, fx),
            }
        }
    }

    fn arm_invokes(&mut self) {
        let due = self.nodes.invokes.values().map(|it| it.due).min();
        self.nodes.armed.at(&mut self.timers, due, Timer::Invokes);
    }

    /// Invocations whose time is over.
    pub(in crate::gateway) fn invokes_due(&mut self, fx: &mut Effects) {
        let now = self.now.time;
        let due = self.nodes.invokes.values().map(|it| it.due).min();
        if !self.nodes.armed.came_up(&mut self.timers, due, Timer::Invokes, now) {
            return;
        }
        self.end_invokes(|it| it.due <= now, |_| failed("TIMEOUT", "node invoke timed out"), fx);
        self.arm_invokes();
    }

    /// A connection is gone: what it was asked fails, and what it asked is nobody's any more.
    pub(super) fn invokes_lost(&mut self, conn: ConnId, fx: &mut Effects) {
        let lost =
            |it: &Invoke| failed("DISCONNECTED", &format!("node disconnected ({})", it.command));
        self.end_invokes(|it| it.conn == conn, lost, fx);
    }

    fn end_invokes(
        &mut self,
        which: impl Fn(&Invoke) -> bool,
        error: impl Fn(&Invoke) -> ErrorShape,
        fx: &mut Effects,
    ) {
        let ids: Vec<String> = {
            let over = self.nodes.invokes.iter().filter(|(_, it)| which(it));
            over.map(|(id, _)| id.clone()).collect()
        };
        for id in ids {
            if let Some(invoke) = self.nodes.invokes.remove(&id) {
                let error = error(&invoke);
                self.answer_invoke(invoke, Err(error), fx);
            }
        }
    }
}
