//! What clients hear of a run: `agent`, `chat`, `session.message` and `sessions.changed`
//! events, in the recorded order (FACTS.md sections 5.1, 5.2 and 6).
//!
//! ```text
//!   session.message (user)
//!   chat run only:  chat status + agent run_status  preparing_workspace, preparing_context
//!   agent lifecycle start     chat run only: starting_model
//!   agent lifecycle model     agent assistant + chat delta, throttled, until the end
//!   agent assistant + chat delta (the rest)
//!   agent usage, session.message (assistant), lifecycle finishing, model null, end
//!   chat final
//! ```
//!
//! The number in a payload counts within the run; a chat event carries the number of the agent
//! event it mirrors.
//!
//! Protocol 3 (section 12) has shapes of its own and numbers without a gap: no `status`,
//! `deltaText` or `agentId` in `chat`; of `agent` no streams `run_status` and `usage`, no phases
//! `model` and `finishing`, and little in what is left.

use super::Gateway;
use super::broadcast::To;
use super::heartbeat::is_hidden;
use super::runs::{Active, Cause, NewRun, outcome_text, receipt, stop_reason};
use crate::agent::ToolCall;
use crate::agent::run::{Outcome, Run, RunEvent};
use crate::agent::tools::{Args, Output, Tool};
use crate::driver::{Effects, Time};
use crate::limits;
use crate::sessions::Appended;
use serde_json::{Map, Value, json};

/// What was told of a run so far.
pub(super) struct Voice {
    seq: u64,
    /// The same among what protocol 3 is told.
    seq3: u64,
    /// A chat run has `status` events and `isHeartbeat`.
    chat: bool,
    beat: bool,
    item: String,
    /// Turns of the model, from 1: the end of the item's id.
    turns: u32,
    /// Bytes of the answer so far, and how many of them were told.
    known: usize,
    told: usize,
    /// More of it may be told then.
    text_at: Option<Time>,
    /// Text was taken back since the last delta.
    replace: bool,
}

impl Voice {
    pub(super) fn new(new: &NewRun, item: String) -> Self {
        Self {
            seq: 0,
            seq3: 0,
            chat: matches!(new.cause, Cause::Chat | Cause::Channel),
            beat: new.beat.is_some(),
            item,
            turns: 1,
            known: 0,
            told: 0,
            text_at: None,
            replace: false,
        }
    }

    /// The model's next turn: its text stands alone.
    pub(super) fn next_turn(&mut self) {
        self.turns += 1;
        self.replace |= self.told > 0;
        self.known = 0;
        self.told = 0;
        self.text_at = None;
    }

    fn item_id(&self) -> String {
        format!("{}:{}", self.item, self.turns)
    }

    /// A new number for an event, which protocol 3 gets too or not.
    fn step(&mut self, protocol3: bool) {
        self.seq += 1;
        self.seq3 += u64::from(protocol3);
    }

    fn number(&self, protocol: u32) -> u64 {
        if protocol >= 4 { self.seq } else { self.seq3 }
    }

    /// When held-back text is to be told.
    pub(super) fn due(&self) -> Option<Time> {
        (self.told < self.known).then_some(self.text_at).flatten()
    }
}

/// An `agent` event that follows the response of an abort.
pub(super) struct Trailing(Value);

impl Gateway {
    fn say_agent(&mut self, run: &mut Active, stream: &str, data: &Value, fx: &mut Effects) {
        run.voice.step(known_to_3(stream, data));
        self.say_agent_again(run, stream, data, fx);
    }

    /// With the number of the chat event before it.
    fn say_agent_again(&mut self, run: &Active, stream: &str, data: &Value, fx: &mut Effects) {
        if run.cause == Cause::Compaction {
            return;
        }
        let ts = self.now.wall_ms;
        self.broadcast("agent", To::All, fx, &|protocol| {
            agent_payload(protocol, run, stream, data, ts)
        });
    }

    /// A `chat` event with the current number. `protocol3` is false for what that generation
    /// does not know.
    fn say_chat(&mut self, run: &Active, fields: &Value, protocol3: bool, fx: &mut Effects) {
        if run.cause == Cause::Compaction {
            return;
        }
        self.broadcast("chat", To::All, fx, &|protocol| {
            if protocol < 4 && !protocol3 {
                return None;
            }
            let mut payload = Map::new();
            payload.insert("runId".to_owned(), json!(run.id));
            payload.insert("sessionKey".to_owned(), json!(run.key));
            if protocol >= 4 {
                payload.insert("agentId".to_owned(), json!(run.agent));
            }
            payload.insert("seq".to_owned(), json!(run.voice.number(protocol)));
            if let Value::Object(fields) = fields {
                for (name, value) in fields {
                    if protocol >= 4 || chat_field_of_3(name, fields) {
                        payload.insert(name.clone(), value.clone());
                    }
                }
            }
            Some(Value::Object(payload))
        });
    }

    fn say_status(&mut self, run: &mut Active, phase: &str, fx: &mut Effects) {
        if run.voice.chat {
            run.voice.step(false);
            self.say_chat(run, &json!({"state": "status", "phase": phase}), false, fx);
            self.say_agent_again(run, "run_status", &json!({"phase": phase}), fx);
        }
    }

    /// The beginning of a run.
    pub(super) fn speak_start(&mut self, run: &mut Active, fx: &mut Effects) {
        self.say_status(run, "preparing_workspace", fx);
        self.say_status(run, "preparing_context", fx);
        let started = json!({"phase": "start", "startedAt": run.started_ms});
        self.say_agent(run, "lifecycle", &started, fx);
        self.say_status(run, "starting_model", fx);
        self.session_changed(run, "agent.run.started", fx);
        self.session_phase(run, "start", fx);
    }

    /// The conversation of a run is made shorter before it goes on, or was.
    pub(super) fn speak_compaction(&mut self, run: &mut Active, data: Value, fx: &mut Effects) {
        self.say_agent(run, "compaction", &data, fx);
    }

    /// One event of the machine, but for text and the end.
    pub(super) fn speak(&mut self, run: &mut Active, event: &RunEvent, fx: &mut Effects) {
        match event {
            RunEvent::Model(_) => {
                let Some(candidate) = run.machine.as_ref().and_then(Run::candidate) else { return };
                let data = json!({
                    "phase": "model", "provider": candidate.provider, "model": candidate.model,
                });
                self.say_agent(run, "lifecycle", &data, fx);
                self.session_phase(run, "model", fx);
            }
            RunEvent::Reasoning(text) => {
                self.say_agent(run, "thinking", &json!({"delta": text}), fx);
            }
            RunEvent::Restart => {
                run.voice.known = 0;
                run.voice.told = 0;
                run.voice.replace = true;
                let data = json!({"text": "", "delta": "", "replace": true, "itemId": run.voice.item_id()});
                self.say_agent(run, "assistant", &data, fx);
            }
            RunEvent::Retrying { attempt, delay_ms, message } => {
                let data = json!({
                    "phase": "retrying", "message": message, "retryAttempt": attempt,
                    "maxRetries": limits::PROVIDER_RETRIES, "delayMs": delay_ms,
                    "attempt": attempt + 1, "maxAttempts": limits::PROVIDER_RETRIES + 1,
                    "reason": "provider_error",
                });
                self.say_agent(run, "run_status", &data, fx);
            }
            RunEvent::Turn | RunEvent::Text(_) | RunEvent::ToolCall { .. } | RunEvent::Over(_) => {}
        }
    }

    /// New text of the answer, in an `assistant` event and the chat delta that mirrors it: the
    /// first at once, the next after [`limits::CHAT_DELTA_MS`], or when the run is over (`all`).
    ///
    /// Both events carry all the text there is, so the pause grows with it: else a long answer
    /// would cost the square of its length.
    pub(super) fn speak_text(&mut self, run: &mut Active, all: bool, fx: &mut Effects) {
        let Some(machine) = &run.machine else { return };
        let text = machine.text();
        let now = self.now.time;
        run.voice.known = text.len();
        let early = !all && run.voice.text_at.is_some_and(|at| at > now);
        if run.voice.told >= text.len() || early {
            return;
        }
        let delta = text.get(run.voice.told..).unwrap_or_default();
        let data = json!({"text": text, "delta": delta, "itemId": run.voice.item_id()});
        let mut fields = json!({
            "state": "delta", "deltaText": delta, "message": chat_message(text, self.now.wall_ms),
        });
        if std::mem::take(&mut run.voice.replace) {
            fields["replace"] = json!(true);
        }
        run.voice.told = text.len();
        run.voice.text_at = Some(now.after_ms(pause_ms(text.len())));
        self.say_agent(run, "assistant", &data, fx);
        self.say_chat(run, &fields, true, fx);
    }

    /// Tokens of a good answer; told before its message.
    pub(super) fn speak_usage(&mut self, run: &mut Active, outcome: &Outcome, fx: &mut Effects) {
        if let Outcome::Done(_) = outcome {
            self.speak_tokens(run, fx);
        }
    }

    /// Tokens so far.
    pub(super) fn speak_tokens(&mut self, run: &mut Active, fx: &mut Effects) {
        if let Some(machine) = &run.machine {
            let output = machine.usage().output;
            self.say_agent(run, "usage", &json!({"outputTokens": output}), fx);
        }
    }

    /// A tool begins: its item, and its call for those that follow tools.
    pub(super) fn speak_tool_start(
        &mut self,
        run: &mut Active,
        call: &ToolCall,
        tool: Option<&Tool>,
        args: Option<&Args>,
        now_ms: u64,
        fx: &mut Effects,
    ) {
        let title = tool.map_or(call.name.as_str(), |tool| tool.title);
        let detail = args.and_then(|args| {
            let named = ["command", "path", "query", "url", "file_path", "pattern"];
            named.iter().find_map(|name| args.0.get(*name)?.as_str())
        });
        self.stream_tool(&run.id, (&call.name, title), detail);
        let mut item = tool_item(call, tool, now_ms);
        item["phase"] = json!("start");
        item["status"] = json!("running");
        self.say_agent(run, "item", &item, fx);
        let args = args.map_or_else(|| json!({}), |args| Value::Object(args.0.clone()));
        let data = json!({
            "phase": "start", "name": call.name, "toolCallId": call.id, "args": args,
        });
        self.say_tool(run, &data, fx);
    }

    /// A tool has something to show before it is done.
    pub(super) fn speak_tool_update(
        &mut self,
        run: &mut Active,
        (id, name): (&str, &str),
        partial: &Output,
        fx: &mut Effects,
    ) {
        let data = json!({
            "phase": "update", "name": name, "toolCallId": id,
            "partialResult": {"content": partial.content_json(), "details": partial.details},
        });
        self.say_tool(run, &data, fx);
    }

    /// A tool is done.
    pub(super) fn speak_tool_end(
        &mut self,
        run: &mut Active,
        call: &ToolCall,
        tool: Option<&Tool>,
        output: &Output,
        (started_ms, ended_ms): (u64, u64),
        fx: &mut Effects,
    ) {
        let mut result = json!({"content": output.content_json()});
        if let Some(details) = &output.details {
            result["details"] = details.clone();
        }
        let data = json!({
            "phase": "result", "name": call.name, "toolCallId": call.id,
            "isError": output.is_error, "commandBearing": bears_command(&call.name),
            "result": result,
        });
        self.say_tool(run, &data, fx);
        let mut item = tool_item(call, tool, started_ms);
        item["phase"] = json!("end");
        item["status"] = json!(if output.is_error { "failed" } else { "completed" });
        item["endedAt"] = json!(ended_ms);
        self.say_agent(run, "item", &item, fx);
    }

    /// An event of the tool stream: `agent` for clients with the capability `tool-events`,
    /// `session.tool` for those that follow the session.
    fn say_tool(&mut self, run: &mut Active, data: &Value, fx: &mut Effects) {
        run.voice.step(true);
        let ts = self.now.wall_ms;
        let run = &*run;
        let payload = |protocol| agent_payload(protocol, run, "tool", data, ts);
        self.broadcast("agent", To::Cap("tool-events"), fx, &payload);
        self.broadcast("session.tool", To::Session(&run.key), fx, &payload);
    }

    /// The end of a run: exactly one terminal chat event, the last of its kind.
    pub(super) fn speak_end(
        &mut self,
        run: &mut Active,
        outcome: &Outcome,
        ended_ms: u64,
        fx: &mut Effects,
    ) {
        let text = run.machine.as_ref().map(|m| m.text().to_owned()).unwrap_or_default();
        let message = chat_message(&text, ended_ms);
        let stop = stop_reason(outcome);
        match outcome {
            Outcome::Done(_) => {
                let finishing = json!({
                    "phase": "finishing", "stopReason": stop, "aborted": false,
                    "livenessState": "working", "endedAt": ended_ms,
                });
                self.say_agent(run, "lifecycle", &finishing, fx);
                let model = json!({"phase": "model", "provider": null, "model": null});
                self.say_agent(run, "lifecycle", &model, fx);
                let mut end = json!({
                    "phase": "end", "stopReason": stop, "aborted": false,
                    "livenessState": "working", "startedAt": run.started_ms, "endedAt": ended_ms,
                    "terminalReply": {"disposition": "visible", "text": text},
                    "executionSettled": true,
                });
                if let Some(machine) = &run.machine {
                    end["terminalReceipt"] = receipt(run, machine);
                }
                self.say_agent(run, "lifecycle", &end, fx);
                let done = json!({"state": "final", "stopReason": stop, "message": message});
                self.say_chat(run, &done, true, fx);
            }
            Outcome::Aborted(_) => {
                run.voice.step(true);
                let mut aborted = json!({"state": "aborted", "stopReason": stop});
                if !text.is_empty() {
                    aborted["message"] = message;
                }
                self.say_chat(run, &aborted, true, fx);
                let end = json!({
                    "phase": "end", "status": "cancelled", "aborted": true, "stopReason": stop,
                    "startedAt": run.started_ms, "endedAt": ended_ms,
                });
                self.say_agent_again(run, "lifecycle", &end, fx);
                run.voice.step(false);
                let error = json!({
                    "phase": "error", "error": outcome_text(outcome), "aborted": true,
                    "stopReason": "aborted", "startedAt": run.started_ms, "endedAt": ended_ms,
                    "executionSettled": true,
                });
                // Protocol 3 heard of the end already.
                let payload = agent_payload(4, run, "lifecycle", &error, self.now.wall_ms);
                self.trailing.extend(payload.map(Trailing));
            }
            Outcome::Failed(_) | Outcome::TimedOut(_) => {
                let why = outcome_text(outcome);
                let error = json!({
                    "phase": "error", "error": why, "aborted": false, "stopReason": stop,
                    "startedAt": run.started_ms, "endedAt": ended_ms, "executionSettled": true,
                });
                self.say_agent(run, "lifecycle", &error, fx);
                let mut fields = json!({"state": "error", "errorMessage": why});
                if let Outcome::TimedOut(_) = outcome {
                    fields["errorKind"] = json!("timeout");
                }
                self.say_chat(run, &fields, true, fx);
            }
        }
        self.session_changed(run, "agent.input.settled", fx);
        self.session_phase(run, "model", fx);
        let failed = matches!(outcome, Outcome::Failed(_) | Outcome::TimedOut(_));
        self.session_phase(run, if failed { "error" } else { "end" }, fx);
    }

    /// What follows the response of an abort.
    pub(super) fn speak_trailing(&mut self, fx: &mut Effects) {
        for Trailing(payload) in std::mem::take(&mut self.trailing) {
            self.broadcast("agent", To::All, fx, &|protocol| {
                (protocol >= 4).then(|| payload.clone())
            });
        }
    }

    /// `session.message`: a message reached the transcript; not of what nobody is shown.
    pub(super) fn tell_message(
        &mut self,
        run: &Active,
        message: &Value,
        appended: &Appended,
        fx: &mut Effects,
    ) {
        self.tell_appended(&run.key, &run.agent, message, appended, fx);
    }

    /// The same for what no run said.
    pub(super) fn tell_appended(
        &mut self,
        key: &str,
        agent: &str,
        message: &Value,
        appended: &Appended,
        fx: &mut Effects,
    ) {
        if is_hidden(message) {
            return;
        }
        let shown = super::rpc::chat::shown(message.clone(), &appended.id, appended.seq);
        self.broadcast("session.message", To::Session(key), fx, &|protocol| {
            // Protocol 3 counts from 0.
            let seq = if protocol >= 4 { appended.seq } else { appended.seq.saturating_sub(1) };
            Some(json!({
                "sessionKey": key, "agentId": agent, "message": shown,
                "messageId": appended.id, "messageSeq": seq,
            }))
        });
    }

    /// `sessions.changed`, for those that follow all sessions.
    fn session_changed(&mut self, run: &Active, reason: &str, fx: &mut Effects) {
        if !run.keeps_transcript() {
            return;
        }
        let more = json!({"sessionId": run.session_id, "runId": run.id});
        self.tell_session(&run.key, Some(reason), &more, fx);
    }

    /// The same with a `phase` for a reason.
    fn session_phase(&mut self, run: &Active, phase: &str, fx: &mut Effects) {
        if run.keeps_transcript() {
            let more = json!({"phase": phase, "sessionId": run.session_id, "runId": run.id});
            self.tell_session(&run.key, None, &more, fx);
        }
    }
}

/// What `item` events of a tool have in common.
fn tool_item(call: &ToolCall, tool: Option<&Tool>, started_ms: u64) -> Value {
    json!({
        "itemId": format!("tool:{}", call.id), "toolCallId": call.id, "name": call.name,
        "kind": "tool", "title": tool.map_or(call.name.as_str(), |tool| tool.title),
        "commandBearing": bears_command(&call.name), "startedAt": started_ms,
    })
}

/// Tools whose arguments are a command line.
fn bears_command(name: &str) -> bool {
    matches!(name, "exec" | "process")
}

/// An `agent` event in the form of that protocol; `None` for what it does not know.
fn agent_payload(
    protocol: u32,
    run: &Active,
    stream: &str,
    data: &Value,
    ts: u64,
) -> Option<Value> {
    let seq = run.voice.number(protocol);
    if protocol < 4 {
        return known_to_3(stream, data).then(|| {
            json!({
                "runId": run.id, "sessionKey": run.key, "stream": stream,
                "data": data_of_3(stream, data), "seq": seq, "ts": ts,
            })
        });
    }
    let mut payload = json!({
        "runId": run.id, "sessionKey": run.key, "agentId": run.agent, "stream": stream,
        "data": data, "seq": seq, "ts": ts,
    });
    if stream == "lifecycle" {
        payload["sessionId"] = json!(run.session_id);
    }
    if run.voice.chat || run.voice.beat {
        payload["isHeartbeat"] = json!(run.voice.beat);
    }
    Some(payload)
}

/// Whether protocol 3 has such an `agent` event.
fn known_to_3(stream: &str, data: &Value) -> bool {
    let phase = data.get("phase").and_then(Value::as_str);
    match stream {
        "lifecycle" => matches!(phase, Some("start" | "end" | "error")),
        stream => !matches!(stream, "run_status" | "usage" | "item"),
    }
}

/// What protocol 3 has of the data of an `agent` event.
fn data_of_3(stream: &str, data: &Value) -> Value {
    if stream == "tool" {
        return data.clone();
    }
    let start = data.get("phase").is_some_and(|phase| phase == "start");
    let mut kept = Map::new();
    for (name, value) in data.as_object().into_iter().flatten() {
        let keep = match name.as_str() {
            "startedAt" => start,
            "aborted" => value == true,
            name => matches!(
                name,
                "phase" | "livenessState" | "endedAt" | "error" | "text" | "delta" | "replace"
            ),
        };
        if keep {
            kept.insert(name.clone(), value.clone());
        }
    }
    Value::Object(kept)
}

/// Whether protocol 3 has this field in such a `chat` event.
fn chat_field_of_3(name: &str, fields: &Map<String, Value>) -> bool {
    match name {
        "deltaText" | "replace" => false,
        "stopReason" => fields.get("state").is_none_or(|state| state != "final"),
        _ => true,
    }
}

/// Between two events that carry so much text.
fn pause_ms(length: usize) -> u64 {
    limits::CHAT_DELTA_MS + (length / limits::CHAT_DELTA_BYTES_PER_MS) as u64
}

fn chat_message(text: &str, now_ms: u64) -> Value {
    json!({
        "role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": now_ms,
    })
}
