//! What is left of a run when it is over: the message in its transcript, the session's entry,
//! the result of `agent.wait`, the second response.

use super::super::Gateway;
use super::super::heartbeat::mark_ack;
use super::Active;
use super::models::context_window;
use crate::agent::provider::Dialect;
use crate::agent::run::{Candidate, Outcome, Run, Via};
use crate::agent::turn::{assistant_content, thinking_content};
use crate::agent::{StopReason, Usage};
use crate::protocol::error::ErrorShape;
use crate::protocol::frame::write_json;
use serde_json::{Value, json};

impl Gateway {
    pub(super) fn session_ended(&mut self, run: &Active, outcome: &Outcome, ended_ms: u64) {
        let Some(entry) = self.sessions.get_mut(&run.key) else { return };
        entry.status = Some(
            match outcome {
                Outcome::Done(_) => "done",
                Outcome::Aborted(_) => "killed",
                Outcome::Failed(_) => "failed",
                Outcome::TimedOut(_) => "timeout",
            }
            .to_owned(),
        );
        entry.ended_at = Some(ended_ms);
        entry.runtime_ms = Some(ended_ms.saturating_sub(run.started_ms));
        entry.aborted_last_run = matches!(outcome, Outcome::Aborted(_));
        if let Some(machine) = &run.machine {
            let usage = machine.usage();
            entry.input_tokens = Some(usage.input);
            entry.output_tokens = Some(usage.output);
            entry.total_tokens = Some(usage.total);
            if let Some(candidate) = machine.candidate() {
                entry.model_provider = Some(candidate.provider.clone());
                entry.model = Some(candidate.model.clone());
            }
        }
    }

    /// A turn of the model with which the run is not over. `continues` keeps it from being
    /// taken for the run's answer after a crash.
    pub(super) fn turn_message(&self, run: &Active) -> Value {
        let Some(machine) = &run.machine else { return Value::Null };
        let mut message = self.message_of(run, machine);
        message["__openclaw"]["continues"] = json!(true);
        if !machine.calls().is_empty() {
            message["stopReason"] = json!(StopReason::ToolUse.as_str());
        }
        message["content"] = assistant_content(machine.text(), machine.calls());
        // Its model wants it back in front of the calls, also after a restart.
        if let Value::Array(content) = &mut message["content"] {
            content.splice(..0, machine.thoughts().iter().map(thinking_content));
        }
        message
    }

    /// Tokens and cost of one turn, in a message.
    pub(super) fn usage_value(&self, provider: &str, model: &str, machine: &Run) -> Value {
        let usage = machine.last_usage();
        json!({
            "input": usage.input, "output": usage.output, "totalTokens": usage.total,
            "cacheRead": usage.cache_read, "cacheWrite": usage.cache_write,
            "cost": self.cost_of(provider, model, &usage),
        })
    }

    fn message_of(&self, run: &Active, machine: &Run) -> Value {
        let (provider, model) = match machine.candidate() {
            Some(candidate) => (candidate.provider.as_str(), candidate.model.as_str()),
            None => ("", ""),
        };
        let api = match machine.candidate().map(|candidate| &candidate.via) {
            Some(Via::Http(endpoint)) => endpoint.dialect,
            _ => Dialect::OpenAiCompletions,
        };
        let mut message = json!({
            "role": "assistant", "api": api.as_str(), "provider": provider,
            "model": model, "timestamp": self.now.wall_ms, "usage": self.usage_value(provider, model, machine),
            "stopReason": "stop", "__openclaw": {"runId": run.id},
        });
        if let Some(id) = machine.response_id() {
            message["responseId"] = json!(id);
        }
        message
    }

    /// The run's answer. `in_tools`: the model's last turn stands there already. `answers`: runs
    /// whose messages were said to this one.
    pub(super) fn assistant_message(
        &self,
        run: &Active,
        outcome: &Outcome,
        in_tools: bool,
        answers: &[String],
    ) -> Value {
        let now_ms = self.now.wall_ms;
        let Some(machine) = &run.machine else {
            // Before its first turn, or while its conversation was made shorter: then it may
            // have heard others, who have no answer of their own.
            let why = match run.begun {
                true => "cancelled while its conversation was made shorter",
                false => "cancelled before it began",
            };
            let mut message = notice(&run.id, why, now_ms);
            if !answers.is_empty() {
                message["__openclaw"]["answers"] = json!(answers);
            }
            return message;
        };
        // Calls in a turn that did not end well were never begun, perhaps not even whole.
        let (mut text, calls) = match outcome {
            _ if in_tools => (String::new(), &[][..]),
            Outcome::Done(_) => (machine.text().to_owned(), machine.calls()),
            _ => (machine.text().to_owned(), &[][..]),
        };
        let mut message = self.message_of(run, machine);
        if !answers.is_empty() {
            message["__openclaw"]["answers"] = json!(answers);
        }
        match outcome {
            Outcome::Done(stop) => {
                let stop = match stop {
                    StopReason::Stop if !calls.is_empty() => StopReason::ToolUse,
                    other => *other,
                };
                message["stopReason"] = json!(stop.as_str());
                if !in_tools && self.heartbeats.is_ack(&run.id, &text) {
                    mark_ack(&mut message);
                }
            }
            Outcome::Aborted(reason) => {
                message["provider"] = json!("openclaw");
                message["model"] = json!("gateway-injected");
                message["idempotencyKey"] = json!(format!("{}:assistant", run.id));
                message["openclawAbort"] =
                    json!({"aborted": true, "origin": reason, "runId": run.id});
            }
            Outcome::Failed(_) | Outcome::TimedOut(_) => {
                let why = outcome_text(outcome);
                message["stopReason"] = json!("error");
                message["errorMessage"] = json!(why);
                if text.is_empty() {
                    text = format!("[the run failed: {why}]");
                }
            }
        }
        message["content"] = assistant_content(&text, calls);
        message
    }

    pub(super) fn wait_result(&self, run: &Active, outcome: &Outcome, ended_ms: u64) -> Vec<u8> {
        let mut value = json!({
            "runId": run.id, "status": status(outcome), "startedAt": run.started_ms,
            "endedAt": ended_ms, "stopReason": stop_reason(outcome), "livenessState": "working",
        });
        if let Outcome::Failed(_) | Outcome::TimedOut(_) = outcome {
            value["error"] = json!(outcome_text(outcome));
        }
        if let Some(machine) = &run.machine {
            value["terminalReply"] = json!({"disposition": "visible", "text": machine.text()});
            value["terminalReceipt"] = receipt(run, machine);
        }
        let mut out = Vec::new();
        write_json(&mut out, &value);
        out
    }

    /// `{runId, status, summary, result}` of `agent` (FACTS.md section 6).
    pub(super) fn second_response(
        &self,
        run: &Active,
        outcome: &Outcome,
        ended_ms: u64,
    ) -> Result<Vec<u8>, ErrorShape> {
        let value = match outcome {
            Outcome::Done(_) => self.completed(run, outcome, ended_ms),
            Outcome::Aborted(reason) => json!({
                "runId": run.id, "status": "timeout", "summary": "aborted", "stopReason": reason,
            }),
            Outcome::TimedOut(_) => json!({
                "runId": run.id, "status": "timeout", "summary": "timed out",
                "stopReason": "timeout", "error": outcome_text(outcome),
            }),
            Outcome::Failed(_) => {
                return Err(ErrorShape::unavailable(outcome_text(outcome))
                    .with(json!({"runId": run.id, "status": "error"})));
            }
        };
        let mut out = Vec::new();
        write_json(&mut out, &value);
        Ok(out)
    }

    fn completed(&self, run: &Active, outcome: &Outcome, ended_ms: u64) -> Value {
        let Some(machine) = &run.machine else {
            // It was said to another run, whose answer is its own.
            return json!({
                "runId": run.id, "status": "ok", "summary": "completed",
                "result": {"payloads": [], "meta": {
                    "durationMs": ended_ms.saturating_sub(run.started_ms), "aborted": false,
                }},
            });
        };
        let (provider, model) =
            machine.candidate().map_or(("", ""), |c| (c.provider.as_str(), c.model.as_str()));
        let (usage, last) = (machine.usage(), machine.last_usage());
        json!({
            "runId": run.id, "status": "ok", "summary": "completed",
            "result": {
                "payloads": [{"text": machine.text(), "mediaUrl": null}],
                "meta": {
                    "durationMs": ended_ms.saturating_sub(run.started_ms),
                    "agentMeta": {
                        "sessionId": run.session_id, "sessionFile": run.key,
                        "provider": provider, "model": model,
                        "contextTokens": context_window(&self.config, provider, model),
                        "usage": usage_meta(usage),
                        "lastCallUsage": usage_meta(last),
                        "promptTokens": last.input,
                        "assistantTurns": machine.rounds(),
                    },
                    "aborted": false,
                    "finalAssistantVisibleText": machine.text(),
                    "stopReason": stop_reason(outcome),
                },
            },
        })
    }
}

/// What stands in a transcript where an answer would.
pub(super) fn notice(run: &str, why: &str, now_ms: u64) -> Value {
    json!({
        "role": "assistant", "content": [{"type": "text", "text": format!("[{why}]")}],
        "provider": "openclaw", "model": "gateway-injected", "stopReason": "error",
        "errorMessage": why, "timestamp": now_ms,
        "idempotencyKey": format!("{run}:assistant"), "__openclaw": {"runId": run},
    })
}

fn usage_meta(usage: Usage) -> Value {
    json!({
        "input": usage.input, "output": usage.output, "cacheRead": usage.cache_read,
        "cacheWrite": usage.cache_write, "total": usage.total,
    })
}

/// `status` of `agent.wait`.
fn status(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done(_) => "ok",
        Outcome::Failed(_) => "error",
        Outcome::Aborted(_) | Outcome::TimedOut(_) => "timeout",
    }
}

/// `stopReason` of events and results.
pub(in crate::gateway) fn stop_reason(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done(stop) => stop.as_str(),
        Outcome::Aborted(reason) => reason,
        Outcome::Failed(_) => "error",
        Outcome::TimedOut(_) => "timeout",
    }
}

/// What went wrong, in words.
pub(in crate::gateway) fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(_) => String::new(),
        Outcome::Aborted(_) => "This operation was aborted".to_owned(),
        Outcome::Failed(error) => error.message.clone(),
        Outcome::TimedOut(what) => format!("{what} passed"),
    }
}

/// `terminalReceipt`: what was asked and what answered.
pub(in crate::gateway) fn receipt(run: &Active, machine: &Run) -> Value {
    let pair = |candidate: Option<&Candidate>| match candidate {
        Some(c) => json!({"provider": c.provider, "model": c.model}),
        None => Value::Null,
    };
    let (asked, answered) = (run.candidates.first(), machine.candidate());
    let rerouted =
        asked.map(|c| (&c.provider, &c.model)) != answered.map(|c| (&c.provider, &c.model));
    json!({
        "runId": run.id, "sessionId": run.session_id, "turnId": run.id,
        "requested": pair(asked), "effective": pair(answered), "successfulToolNames": run.tools_used,
        "rerouted": rerouted, "terminalDisposition": "visible",
    })
}
