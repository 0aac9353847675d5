//! How a job runs: as a system event of the main session, or as a run of an agent in a session
//! of its own; and what is kept of its end.

use super::job::{Job, Payload, WakeMode};
use super::store::{Keep, log as write_log};
use super::{Running, Wanted};
use crate::agent::provider::errors::Class;
use crate::agent::run::Outcome;
use crate::agent::{Ask, Thinking};
use crate::driver::Effects;
use crate::gateway::Gateway;
use crate::gateway::runs::{Active, Cause, NewRun, digest, model_exists, outcome_text};
use crate::limits;
use crate::sessions::key;
use serde_json::{Value, json};

/// How a run of a job ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Ended {
    /// `ok`, `error` or `skipped`.
    pub(super) status: &'static str,
    error: Option<String>,
    pub(super) reason: Option<&'static str>,
    summary: String,
    /// All of the answer.
    pub(super) answer: String,
    /// Trying again may help.
    transient: bool,
    session_id: Option<String>,
    /// Provider and model that answered.
    model: Option<(String, String)>,
    usage: Option<Value>,
}

impl Ended {
    fn ok(summary: &str) -> Self {
        let answer = summary.to_owned();
        Self { status: "ok", summary: cut(summary), answer, ..Self::default() }
    }

    pub(super) fn error(what: &str, reason: &'static str) -> Self {
        Self { status: "error", error: Some(cut(what)), reason: Some(reason), ..Self::default() }
    }

    /// Trying again may help.
    pub(super) fn again(self) -> Self {
        Self { transient: true, ..self }
    }

    fn skipped(what: &str) -> Self {
        Self { status: "skipped", error: Some(cut(what)), ..Self::default() }
    }
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(limits::CRON_SUMMARY);
    text.get(..end).unwrap_or_default().to_owned()
}

/// What became of a job that was started.
enum Begun {
    /// It is over.
    Over(Ended),
    /// A run of this id carries it out, in this session.
    Run(String, String),
}

impl Gateway {
    /// Starts a job; it is on the disk as running before anything happens.
    pub(super) fn fire(&mut self, wanted: Wanted, fx: &mut Effects) {
        let now_ms = self.now.wall_ms;
        let Some(job) = self.cron.jobs.get_mut(&wanted.job) else { return };
        job.state.running_at_ms = Some(now_ms);
        let job = job.clone();
        self.save_cron();
        self.tell_job(&job, "started", json!({"runAtMs": now_ms}), fx);
        let begun = match self.agent_of_job(&job) {
            None => Begun::Over(Ended::skipped(&format!(
                "no agent carries this job out: agent \"{}\" is not in the configuration; \
                 openclaw cron edit {} --agent <id>",
                job.agent_id.as_deref().or(job.session_key.as_deref()).unwrap_or_default(),
                job.id
            ))),
            Some(agent) => self.begin_job(&job, &agent),
        };
        let running = |key: String| Running {
            job: wanted.job.clone(),
            run: wanted.run.clone(),
            manual: wanted.manual,
            started_ms: now_ms,
            key,
        };
        match begun {
            Begun::Over(ended) => self.end_job(&running(String::new()), &ended, fx),
            Begun::Run(id, key) => {
                self.cron.running.insert(id, running(key));
            }
        }
    }

    fn begin_job(&mut self, job: &Job, agent: &str) -> Begun {
        match &job.payload {
            Payload::SystemEvent { text, .. } => {
                let key = self.main_of_job(job, agent);
                let later = job.wake_mode == WakeMode::NextHeartbeat;
                match self.wake_for(agent, &key, text, later) {
                    Err(error) => Begun::Over(Ended::error(&error.message, "unknown")),
                    Ok((_, Some(run))) => Begun::Run(run, key),
                    Ok((_, None)) => Begun::Over(Ended::ok(text)),
                }
            }
            Payload::AgentTurn { message, model, thinking, timeout_seconds, .. } => {
                if let Some(model) = model.as_deref().filter(|m| !model_exists(&self.config, m)) {
                    let what = format!(
                        "payload.model \"{model}\" is not a configured model; openclaw models list"
                    );
                    return Begun::Over(Ended::error(&what, "model_not_found"));
                }
                let key = match self.session_of_job(job, agent) {
                    Ok(key) => key,
                    Err(what) => return Begun::Over(Ended::error(&what, "unknown")),
                };
                if let Err(what) = self.fresh_session(job, &key) {
                    return Begun::Over(Ended::error(&what, "unknown"));
                }
                let message = format!("[cron:{} {}] {message}", job.id, job.name);
                let id = self.uuid();
                let thinking = thinking.as_deref().and_then(Thinking::parse);
                let new = NewRun {
                    digest: digest("cron", &key, &message, None),
                    message: Some(message),
                    model: model.clone(),
                    timeout_ms: Some(timeout_ms(timeout_seconds.as_ref())),
                    ask: Ask { thinking, ..Ask::default() },
                    ..NewRun::new(id.clone(), Cause::Agent, key.clone(), agent.to_owned())
                };
                match self.accept_run(new) {
                    Ok(_) => Begun::Run(id, key),
                    Err(error) => Begun::Over(Ended::error(&error.message, "overloaded").again()),
                }
            }
        }
    }

    /// The session that hears a job's event: its own, where it belongs to the agent.
    fn main_of_job(&self, job: &Job, agent: &str) -> String {
        let own = job.session_key.as_deref().filter(|key| key::agent_of(key) == Some(agent));
        own.map_or_else(|| key::main(agent, &self.config.session.main_key), str::to_owned)
    }

    /// The session that a job's agent runs in.
    ///
    /// # Errors
    /// That its name cannot be one, for people.
    pub(in crate::gateway) fn session_of_job(
        &self,
        job: &Job,
        agent: &str,
    ) -> Result<String, String> {
        match job.session_target.as_str() {
            "main" => Ok(self.main_of_job(job, agent)),
            "isolated" => Ok(format!("agent:{agent}:cron:{}", job.id)),
            // Bound when it was made; without a session then, it has one of its own.
            "current" => Ok(match &job.session_key {
                Some(key) => key.clone(),
                None => format!("agent:{agent}:cron:{}", job.id),
            }),
            named => {
                let name = named.strip_prefix("session:").unwrap_or(named);
                key::canonical(name, agent, &self.config.session.main_key)
            }
        }
    }

    /// An isolated job begins with an empty transcript; the one before is put aside.
    fn fresh_session(&mut self, job: &Job, key: &str) -> Result<(), String> {
        if job.session_target != "isolated" || self.sessions.get(key).is_none() {
            return Ok(());
        }
        let (session, revision, now_ms) = (self.uuid(), self.uuid(), self.now.wall_ms);
        let disk = self.disk.as_mut();
        let reset = self.sessions.reset(disk, key, Some(session), revision, now_ms);
        reset.map(|_| ()).map_err(|error| {
            format!("the transcript of {key} cannot be put aside ({error}); check its disk")
        })
    }

    /// A run is over: perhaps it carried a job out.
    pub(in crate::gateway) fn cron_over(
        &mut self,
        run: &Active,
        outcome: &Outcome,
        fx: &mut Effects,
    ) {
        let Some(running) = self.cron.running.remove(&run.id) else { return };
        if self.leaving.is_some() && matches!(outcome, Outcome::Aborted("restart")) {
            // As after a crash: the next start settles it.
            return;
        }
        let text = run.machine.as_ref().map_or("", |machine| machine.text());
        let why = outcome_text(outcome);
        let ended = match outcome {
            Outcome::Done(_) => Ended::ok(text),
            Outcome::Aborted(_) => Ended::error(&why, "unknown"),
            Outcome::TimedOut(_) => Ended::error(&why, "timeout").again(),
            Outcome::Failed(error) => {
                let (reason, transient) = match (error.class, error.status) {
                    (Class::Transient, Some(429)) => ("rate_limit", true),
                    (Class::Transient, Some(_)) => ("server_error", true),
                    (Class::Transient, None) => ("unknown", true),
                    (Class::Auth, _) => ("auth", false),
                    (Class::Billing, _) => ("billing", false),
                    (Class::Overflow, _) => ("context_overflow", false),
                    (Class::Request, _) => ("format", false),
                };
                Ended { transient, ..Ended::error(&why, reason) }
            }
        };
        let candidate = run.machine.as_ref().and_then(|machine| machine.candidate());
        let usage = run.machine.as_ref().map(|machine| machine.usage()).filter(|u| u.total > 0);
        let ended = Ended {
            session_id: Some(run.session_id.clone()),
            model: candidate.map(|c| (c.provider.clone(), c.model.clone())),
            usage: usage.map(|usage| {
                json!({
                    "input_tokens": usage.input, "output_tokens": usage.output,
                    "total_tokens": usage.total, "cache_read_tokens": usage.cache_read,
                    "cache_write_tokens": usage.cache_write,
                })
            }),
            ..ended
        };
        self.end_job(&running, &ended, fx);
        self.pump_cron(fx);
    }

    /// The end of a job's run: log and state first, then told.
    fn end_job(&mut self, running: &Running, ended: &Ended, fx: &mut Effects) {
        let before = self.cron.jobs.get(&running.job).cloned();
        let event = json!({
            "jobId": running.job, "jobName": before.as_ref().map(|job| job.name.clone()),
            "action": "finished", "status": ended.status, "error": ended.error,
            "errorReason": ended.reason, "summary": ended.answer, "runId": running.run,
            "runAtMs": running.started_ms, "sessionKey": running.key,
            "sessionId": ended.session_id, "usage": ended.usage,
            "durationMs": self.now.wall_ms.saturating_sub(running.started_ms),
        });
        let sent = self.deliver_end(running, ended, &event, fx);
        let entry = self.note_end(running, ended, &sent);
        self.alert_end(running, ended, fx);
        let job = self.cron.jobs.get(&running.job).cloned();
        let done = entry["completionStatus"] == "succeeded";
        let goes = |job: &Job| {
            job.goes_away()
                && done
                && (!running.manual || before.as_ref().is_some_and(|b| b.enabled))
        };
        let gone = job.as_ref().is_some_and(goes);
        if gone {
            self.cron.jobs.remove(&running.job);
        }
        self.save_cron();
        if let Some(job) = &job {
            self.tell_job(job, "finished", finished_event(&entry), fx);
            if gone {
                self.tell_job(job, "removed", json!({}), fx);
            }
        } else {
            // It was removed while it ran.
            self.end_session(&running.key);
        }
        let (status, name) = (ended.status, job.as_ref().map_or("", |job| job.name.as_str()));
        match &ended.error {
            Some(why) => log::warn!(target: "cron", "job {} ({name}) {status}: {why}", running.job),
            None => log::info!(target: "cron", "job {} ({name}) {status}", running.job),
        }
    }

    /// Writes down how a run ended, in its job and in its log; the entry of the log.
    /// `sent`: what became of its delivery; `None` when that is not known yet.
    pub(super) fn note_end(
        &mut self,
        running: &Running,
        ended: &Ended,
        sent: &Result<Option<()>, String>,
    ) -> Value {
        let now_ms = self.now.wall_ms;
        let natural = self.next_of(&running.job, now_ms);
        let mut entry = json!({
            "ts": now_ms, "jobId": running.job, "action": "finished", "status": ended.status,
            "runId": running.run, "runAtMs": running.started_ms,
            "durationMs": now_ms.saturating_sub(running.started_ms),
        });
        let fields = [
            ("error", ended.error.clone().map(Value::from)),
            ("errorReason", ended.reason.map(Value::from)),
            ("summary", Some(ended.summary.clone()).filter(|s| !s.is_empty()).map(Value::from)),
            ("sessionId", ended.session_id.clone().map(Value::from)),
            ("sessionKey", Some(running.key.clone()).filter(|k| !k.is_empty()).map(Value::from)),
            ("provider", ended.model.as_ref().map(|(provider, _)| json!(provider))),
            ("model", ended.model.as_ref().map(|(_, model)| json!(model))),
            ("usage", ended.usage.clone()),
        ];
        for (name, field) in fields {
            if let Some(field) = field {
                entry[name] = field;
            }
        }
        let mut succeeded = ended.status == "ok";
        if let Some(job) = self.cron.jobs.get_mut(&running.job) {
            entry["jobName"] = json!(job.name);
            let hook = job.delivery_mode() == "webhook";
            let asked = job.delivery_mode() != "none" && (hook || ended.status == "ok");
            let delivery = match (asked, sent) {
                (false, _) => "not-requested",
                (true, Ok(Some(()))) => "delivered",
                (true, Ok(None)) => "unknown",
                (true, Err(_)) => "not-delivered",
            };
            entry["deliveryStatus"] = json!(delivery);
            job.state.last_delivery_status = Some(delivery.to_owned());
            job.state.last_delivery_error = sent.as_ref().err().filter(|_| asked).cloned();
            if let (true, Err(why)) = (asked, sent) {
                entry["deliveryError"] = json!(why);
                succeeded &= job.best_effort();
            }
            settle(job, running, ended, natural, succeeded, now_ms);
            if let Some(next) = job.state.next_run_at_ms {
                entry["nextRunAtMs"] = json!(next);
            }
        }
        entry["completionStatus"] = json!(if succeeded { "succeeded" } else { "failed" });
        self.cron.dirty = true;
        // A job that nobody could carry out has no history: no run began.
        if ended.status != "skipped" {
            let cron = &self.config.cron;
            let keep = Keep { max_bytes: cron.log_bytes, lines: cron.log_lines };
            let path = self.cron.log_path(&running.job);
            if let Err(error) = write_log(self.disk.as_mut(), &path, &entry, keep) {
                log::error!(target: "cron", "{} not written: {error}", path.display());
            }
        }
        entry
    }

    /// Deletes a session that belonged to a job; its transcript is kept aside.
    pub(in crate::gateway) fn end_session(&mut self, key: &str) {
        if !key::rest_of(key).is_some_and(|rest| rest.starts_with("cron:")) {
            return;
        }
        let now_ms = self.now.wall_ms;
        if let Err(error) = self.sessions.remove(self.disk.as_mut(), key, now_ms) {
            log::warn!(target: "cron", "session {key} not removed: {error}");
        }
        self.save_soon();
    }

    /// `cron.sessionRetention`: sessions of isolated jobs whose last run is that long over.
    pub(super) fn end_old_sessions(&mut self) {
        let Some(kept_ms) = self.config.cron.session_retention_ms else { return };
        let now_ms = self.now.wall_ms;
        let old =
            |entry: &crate::sessions::Entry| entry.ended_at.is_some_and(|at| at + kept_ms < now_ms);
        let mut over = Vec::new();
        for job in self.cron.jobs.values().filter(|job| job.session_target == "isolated") {
            let Some(agent) = self.agent_of_job(job) else { continue };
            let key = format!("agent:{agent}:cron:{}", job.id);
            let idle = job.state.running_at_ms.is_none() && self.runs.of_session(&key).is_empty();
            if idle && self.sessions.get(&key).is_some_and(old) {
                over.push(key);
            }
        }
        over.iter().for_each(|key| self.end_session(key));
    }
}

/// The state behind a run, and what comes next.
fn settle(
    job: &mut Job,
    running: &Running,
    ended: &Ended,
    natural: Option<u64>,
    succeeded: bool,
    now_ms: u64,
) {
    let state = &mut job.state;
    state.running_at_ms = None;
    state.last_run_at_ms = Some(running.started_ms);
    state.last_run_status = Some(ended.status.to_owned());
    state.last_status = Some(ended.status.to_owned());
    state.last_error = ended.error.clone();
    state.last_error_reason = ended.reason.map(str::to_owned);
    state.last_duration_ms = Some(now_ms.saturating_sub(running.started_ms));
    state.last_failure_notification_delivery_status = Some("not-requested".to_owned());
    let errors = state.consecutive_errors.unwrap_or(0);
    let skips = state.consecutive_skipped.unwrap_or(0);
    let (errors, skips) = match ended.status {
        "error" => (errors + 1, skips),
        "skipped" => (errors, skips + 1),
        _ => (0, 0),
    };
    state.consecutive_errors = Some(errors);
    state.consecutive_skipped = Some(skips);
    if !job.enabled {
        // Asked for by hand: that switches nothing on.
        state.next_run_at_ms = None;
        return;
    }
    let pause = |errors: u64| {
        let last = limits::CRON_BACKOFF_MS.len() - 1;
        let index = usize::try_from(errors.saturating_sub(1)).unwrap_or(last).min(last);
        limits::CRON_BACKOFF_MS.get(index).copied().unwrap_or(0)
    };
    if job.schedule.is_once() {
        let again = match ended.status {
            "error" => ended.transient && errors <= limits::CRON_RETRIES,
            _ => false,
        };
        state.next_run_at_ms = again.then(|| now_ms + pause(errors));
        job.enabled = again;
        if succeeded && job.delete_after_run == Some(false) {
            job.updated_at_ms = now_ms;
        }
        return;
    }
    let planned = state.next_run_at_ms.filter(|at| running.manual && *at > now_ms);
    let next = planned.or(natural);
    state.next_run_at_ms = match ended.status {
        "error" => next.map(|at| at.max(now_ms + pause(errors))),
        _ => next,
    };
}

/// What event `cron` says beside the job.
fn finished_event(entry: &Value) -> Value {
    let mut event = json!({});
    for name in [
        "status",
        "completionStatus",
        "error",
        "errorReason",
        "summary",
        "deliveryStatus",
        "deliveryError",
        "runAtMs",
        "durationMs",
        "runId",
        "sessionId",
        "sessionKey",
        "model",
        "provider",
        "usage",
    ] {
        if let Some(value) = entry.get(name) {
            event[name] = value.clone();
        }
    }
    event
}

/// `timeoutSeconds` of a payload: absent is the scheduler's own, 0 the agents'.
fn timeout_ms(seconds: Option<&Value>) -> u64 {
    match seconds.and_then(Value::as_f64) {
        None => limits::CRON_TURN_MS,
        // `accept_run` takes 0 as no limit of its own.
        Some(seconds) if seconds <= 0.0 => 0,
        Some(seconds) => (seconds * 1000.0).clamp(1.0, 1e12) as u64,
    }
}
