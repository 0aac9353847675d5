//! Tools across sessions: `sessions_list`, `sessions_history`, `sessions_send`,
//! `sessions_spawn`, and what becomes of the runs they start.
//!
//! ```text
//!  sessions_send  --> a run in that session --ends--> its reply is the tool's output
//!                 \-- timeoutSeconds first: the run goes on, the tool says so
//!  sessions_spawn --> a run in agent:<id>:subagent:<uuid>; the tool answers at once
//!                 --ends--> its result is said to the session that spawned it
//! ```

use super::super::Gateway;
use super::super::channels::unasked_of;
use super::super::runs::{Active, Cause, NewRun, QueueMode, outcome_text};
use crate::agent::run::Outcome;
use crate::agent::tools::Output;
use crate::agent::turn::text_of;
use crate::config::reach::Visibility;
use crate::driver::Effects;
use crate::limits;
use crate::sessions::key;
use serde_json::{Map, Value, json};

/// Key of a spawned session: the conversation that hears what its report leads to.
const REPORT_TO: &str = "reportTo";
/// Sessions in one `sessions_list`, unless it says else, and at most.
const ROWS: (u64, u64) = (100, 200);
/// Messages in one `sessions_history`, unless it says else, and at most.
const MESSAGES: (u64, u64) = (50, 500);
/// Characters of one text in a history.
const TEXT_CHARS: usize = 4_000;
/// Bytes of a history.
const HISTORY_BYTES: usize = 80 * 1024;
/// Seconds `sessions_send` waits unless it says else.
const SEND_SECONDS: u64 = 30;

/// Fields of a session's row that a model is shown.
const SHOWN: [&str; 15] = [
    "key",
    "sessionId",
    "agentId",
    "kind",
    "label",
    "displayName",
    "updatedAt",
    "createdAt",
    "status",
    "hasActiveRun",
    "model",
    "modelProvider",
    "totalTokens",
    "archived",
    "spawnedBy",
];

impl Gateway {
    /// Whether a call may reach a session, in words if not.
    fn may_reach(&self, agent: &str, own: &str, target: &str) -> Result<(), String> {
        let reach = &self.config.reach;
        let owner = key::agent_of(target).unwrap_or_default();
        let spawned = || self.spawner_of(target).as_deref() == Some(own);
        let main = || own == key::main(agent, &self.config.session.main_key);
        let seen = match reach.visibility {
            _ if own == target => return Ok(()),
            Visibility::Own => false,
            Visibility::Tree => spawned() || (main() && owner == agent),
            Visibility::Agent => owner == agent,
            Visibility::All => true,
        };
        if !seen {
            return Err(format!(
                "session {target} is not visible here (tools.sessions.visibility)"
            ));
        }
        if !reach.may_cross(agent, owner) && !spawned() {
            return Err(format!(
                "agent {agent} may not reach sessions of agent {owner} (tools.agentToAgent)"
            ));
        }
        Ok(())
    }

    /// The session that spawned this one.
    fn spawner_of(&self, session: &str) -> Option<String> {
        let entry = self.sessions.get(session)?;
        entry.extra.get("spawnedBy").and_then(Value::as_str).map(str::to_owned)
    }

    /// `sessions_list`: metadata of the sessions within reach, the newest first.
    pub(super) fn sessions_list_tool(&mut self, number: u64) {
        let output = match self.list_for(number) {
            Ok(value) => Output::value(value),
            Err(error) => Output::error(error),
        };
        self.tool_done(number, output);
    }

    fn list_for(&self, number: u64) -> Result<Value, String> {
        let Some(calling) = self.tools.get(number) else { return Ok(Value::Null) };
        let args = &calling.args;
        let limit = args.number("limit")?.unwrap_or(ROWS.0).clamp(1, ROWS.1);
        let offset = usize::try_from(args.number("offset")?.unwrap_or_default()).unwrap_or(0);
        let minutes = args.number("activeMinutes")?;
        let since =
            minutes.map(|minutes| self.now.wall_ms.saturating_sub(minutes.saturating_mul(60_000)));
        let label = args.text(&["label"])?;
        let agent = args.text(&["agentId"])?;
        let search = args.text(&["search"])?.map(str::to_lowercase);
        let keys: Vec<&str> = self
            .sessions
            .list()
            .into_iter()
            .filter(|(session, entry)| {
                since.is_none_or(|since| entry.updated_at >= since)
                    && agent.is_none_or(|agent| key::agent_of(session) == Some(agent))
                    && label.is_none_or(|label| entry.label.as_deref() == Some(label))
                    && search.as_ref().is_none_or(|search| {
                        let label = entry.label.as_deref().unwrap_or_default().to_lowercase();
                        session.to_lowercase().contains(search) || label.contains(search)
                    })
            })
            .map(|(session, _)| session)
            .filter(|session| self.may_reach(&calling.agent, &calling.key, session).is_ok())
            .collect();
        let total = keys.len();
        let rows: Vec<Value> = keys
            .into_iter()
            .skip(offset)
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .map(|session| shown_row(&self.session_row(session)))
            .collect();
        let next = offset + rows.len();
        Ok(json!({
            "count": rows.len(), "limitApplied": limit, "hasMore": next < total,
            "nextOffset": (next < total).then_some(next), "sessions": rows,
        }))
    }

    /// `sessions_history`: the newest messages of a session, texts shortened, images left out.
    pub(super) fn sessions_history_tool(&mut self, number: u64) {
        let output = match self.history_for(number) {
            Ok(value) => Output::value(value),
            Err(error) => Output::error(error),
        };
        self.tool_done(number, output);
    }

    fn history_for(&self, number: u64) -> Result<Value, String> {
        let Some(calling) = self.tools.get(number) else { return Ok(Value::Null) };
        let session = self.session_named(calling.args.must_text(&["sessionKey", "key"])?)?;
        self.may_reach(&calling.agent, &calling.key, &session)?;
        let limit = calling.args.number("limit")?.unwrap_or(MESSAGES.0).clamp(1, MESSAGES.1);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let with_tools = calling.args.flag("includeTools")?;
        let records = self
            .sessions
            .newest_messages(self.disk.as_ref(), &session, limit, limits::CONTEXT_BYTES)
            .map_err(|error| format!("the transcript of {session} cannot be read: {error}"))?;
        let mut bytes = 0;
        let mut kept = Vec::new();
        let mut dropped = false;
        for record in records.iter().rev() {
            let role = record.message.get("role").and_then(Value::as_str).unwrap_or_default();
            if role == "toolResult" && !with_tools {
                continue;
            }
            let text = text_of(record.message.get("content").unwrap_or(&Value::Null));
            let short: String = text.chars().take(TEXT_CHARS).collect();
            let cut = short.len() < text.len();
            bytes += short.len() + 128;
            if bytes > HISTORY_BYTES {
                dropped = true;
                break;
            }
            let text = if cut { format!("{short}\n[... cut ...]") } else { short };
            let timestamp = record.message.get("timestamp");
            kept.push(json!({"role": role, "text": text, "timestamp": timestamp}));
        }
        kept.reverse();
        Ok(json!({"sessionKey": session, "messages": kept, "truncated": dropped}))
    }

    /// A session by its key or label, as a model writes it.
    fn session_named(&self, name: &str) -> Result<String, String> {
        let labelled = self
            .sessions
            .list()
            .into_iter()
            .find(|(_, entry)| entry.label.as_deref() == Some(name));
        match labelled {
            Some((session, _)) => Ok(session.to_owned()),
            None => Ok(self.target(Some(name), None).map_err(|error| error.message)?.0),
        }
    }

    /// `sessions_send`: a message to another session; waits for its reply.
    pub(super) fn sessions_send_tool(&mut self, number: u64) {
        if let Err(error) = self.send_for(number) {
            self.tool_done(number, Output::error(error));
        }
    }

    fn send_for(&mut self, number: u64) -> Result<(), String> {
        let Some(calling) = self.tools.get(number) else { return Ok(()) };
        let (args, own) = (&calling.args, calling.key.clone());
        let session = self.session_named(args.must_text(&["sessionKey", "label"])?)?;
        let message = args.must_text(&["message"])?;
        let seconds = args.number("timeoutSeconds")?.unwrap_or(SEND_SECONDS);
        self.may_reach(&calling.agent, &own, &session)?;
        if session == own {
            return Err("a session cannot send to itself: answer instead".to_owned());
        }
        let agent = key::agent_of(&session).unwrap_or_default().to_owned();
        let message = format!("[Inter-session message from {own}, isUser=false]\n{message}");
        let run_id = self.uuid();
        let bounds = self.bounds_of_call(number);
        let new = NewRun {
            message: Some(message),
            mode: Some(QueueMode::Followup),
            bounds: Some(self.bounds_by(bounds.as_ref(), &session, &agent)),
            ..NewRun::new(run_id.clone(), Cause::Session, session.clone(), agent)
        };
        self.accept_run(new).map_err(|error| error.message)?;
        if seconds == 0 {
            let value = json!({"status": "accepted", "runId": run_id, "sessionKey": session});
            self.tool_done(number, Output::value(value));
            return Ok(());
        }
        self.tools.replies.insert(run_id, number);
        self.tool_waits(number, seconds.saturating_mul(1000).min(limits::WAIT_MS_MAX));
        Ok(())
    }

    /// The reply did not come in time; its run goes on.
    pub(super) fn sessions_send_late(&mut self, number: u64) {
        let run = self.tools.replies.iter().find(|(_, call)| **call == number);
        let run = run.map(|(run, _)| run.clone()).unwrap_or_default();
        self.tools.replies.remove(&run);
        self.tool_done(number, Output::value(json!({"status": "timeout", "runId": run})));
    }

    /// `sessions_spawn`: a run of its own, in a session of its own.
    pub(super) fn sessions_spawn_tool(&mut self, number: u64) {
        let output = match self.spawn_for(number) {
            Ok(value) => Output::value(value),
            Err(error) => Output::error(error),
        };
        self.tool_done(number, output);
    }

    fn spawn_for(&mut self, number: u64) -> Result<Value, String> {
        let Some(calling) = self.tools.get(number) else { return Ok(Value::Null) };
        let (args, own, from) = (&calling.args, calling.key.clone(), calling.agent.clone());
        let task = args.must_text(&["task"])?.to_owned();
        let label = args.text(&["label"])?.map(str::to_owned);
        let agent = args.text(&["agentId"])?.unwrap_or(&from).to_ascii_lowercase();
        let reach = &self.config.reach;
        let model = args.text(&["model"])?.or(reach.subagent_model.primary.as_deref());
        let model = model.map(str::to_owned);
        let seconds = args.number("runTimeoutSeconds")?.unwrap_or(reach.subagent_timeout_seconds);
        if !self.config.agents.has(&agent) || !reach.may_spawn(&from, &agent) {
            return Err(format!(
                "agent {agent} may not be spawned from {from} \
                 (agents.defaults.subagents.allowAgents); see agents_list"
            ));
        }
        let mut note = None;
        let model = model.filter(|model| {
            let known = super::super::runs::model_exists(&self.config, model);
            note = (!known).then(|| format!("model {model} is unknown; the default is used"));
            known
        });
        let id = self.uuid();
        let child = format!("agent:{agent}:subagent:{id}");
        let run_id = self.uuid();
        let bounds = self.bounds_of_call(number);
        let place = self.origin_of_call(number).as_ref().and_then(unasked_of);
        let new = NewRun {
            message: Some(task),
            model,
            bounds: bounds.clone(),
            timeout_ms: (seconds > 0).then(|| seconds.saturating_mul(1000)),
            ..NewRun::new(run_id.clone(), Cause::Session, child.clone(), agent)
        };
        self.accept_run(new).map_err(|error| error.message)?;
        if let Some(entry) = self.sessions.get_mut(&child) {
            entry.label = label;
            entry.extra.insert("spawnedBy".to_owned(), json!(own));
            entry.extra.extend(place.map(|place| (REPORT_TO.to_owned(), place)));
        }
        if let Some(bounds) = bounds {
            self.keep_bounds(&child, &bounds);
        }
        let mut value = json!({
            "status": "accepted", "childSessionKey": child, "runId": run_id,
            "note": "its result will be said to this session when it is done",
        });
        if let Some(note) = note {
            value["warning"] = json!(note);
        }
        Ok(value)
    }

    /// A run is over: whoever waits for its reply has it, and a spawned one reports.
    pub(in crate::gateway) fn tell_of_run(&mut self, run: &Active, outcome: &Outcome) {
        let status = match outcome {
            Outcome::Done(_) => "ok",
            Outcome::TimedOut(_) => "timeout",
            Outcome::Aborted(_) | Outcome::Failed(_) => "error",
        };
        let text = run.machine.as_ref().map(|m| m.text().to_owned()).unwrap_or_default();
        let why = outcome_text(outcome);
        if let Some(call) = self.tools.replies.remove(&run.id) {
            let mut value = json!({
                "status": status, "runId": run.id, "sessionKey": run.key, "reply": text,
            });
            if !why.is_empty() {
                value["error"] = json!(why);
            }
            self.tool_done(call, Output::value(value));
        }
        // Whoever stopped it knows; a report would start its parent anew.
        let stopped = matches!(outcome, Outcome::Aborted(_));
        if run.cause == Cause::Session
            && !stopped
            && key::is_subagent(&run.key)
            && let Some(parent) = self.spawner_of(&run.key)
        {
            self.announce(run, &parent, status, if why.is_empty() { &text } else { &why });
        }
    }

    /// Says the result of a spawned run to the session that wanted it.
    fn announce(&mut self, run: &Active, parent: &str, status: &str, text: &str) {
        if text.trim() == "ANNOUNCE_SKIP" || self.sessions.get(parent).is_none() {
            return;
        }
        let child = self.sessions.get(&run.key);
        // Whoever asked for it by a channel hears what comes of it there.
        let origin = child.and_then(|entry| entry.extra.get(REPORT_TO).cloned());
        let label = child.and_then(|entry| entry.label.clone());
        let label = label.unwrap_or_else(|| "a task".to_owned());
        let message = format!(
            "[Sub-agent report, isUser=false] {label}: {status}\nsession: {}\n\n{text}\n\n\
             Tell the user what matters of this in your own words.",
            run.key
        );
        let agent = key::agent_of(parent).unwrap_or_default().to_owned();
        let id = format!("announce:{}", run.id);
        let new = NewRun {
            message: Some(message),
            mode: Some(QueueMode::Steer),
            bounds: Some(run.bounds.clone()),
            origin,
            ..NewRun::new(id, Cause::Session, parent.to_owned(), agent)
        };
        if let Err(error) = self.accept_run(new) {
            log::error!(target: "agent",
                "the result of {} was not told to {parent}: {}", run.key, error.message);
        }
    }

    /// Cancels the runs that a session spawned, and theirs.
    pub(in crate::gateway) fn cancel_spawned(&mut self, parent: &str, fx: &mut Effects) {
        let children: Vec<(u64, String)> = self
            .runs
            .numbers()
            .into_iter()
            .filter_map(|number| Some((number, self.runs.get(number)?.key.clone())))
            .filter(|(_, session)| {
                session != parent && self.spawner_of(session).as_deref() == Some(parent)
            })
            .collect();
        for (number, session) in children {
            self.cancel_run(number, "rpc", fx);
            self.cancel_spawned(&session, fx);
        }
    }
}

fn shown_row(row: &Value) -> Value {
    let mut shown = Map::new();
    for name in SHOWN {
        if let Some(value) = row.get(name).filter(|value| !value.is_null()) {
            shown.insert(name.to_owned(), value.clone());
        }
    }
    Value::Object(shown)
}
