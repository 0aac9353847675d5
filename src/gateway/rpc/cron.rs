//! `cron.*`: scheduled work by clients.

use super::super::Gateway;
use super::super::cron::job::{Job, digest};
use super::super::cron::{defined, patched, store};
use super::super::socket::Answer;
use super::{Handled, Params, count, text};
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::error::ErrorShape;
use serde_json::{Value, json};

/// Rows without `limit`, as in the reference.
const ROWS: usize = 50;

fn flag(params: &Params, name: &str) -> bool {
    params.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn id_of(params: &Params) -> Option<&str> {
    text(params, "id").or_else(|| text(params, "jobId")).filter(|id| !id.is_empty())
}

fn not_found(what: &str, id: &str) -> ErrorShape {
    let shown: String = id.chars().take(128).collect();
    ErrorShape::invalid(format!(
        "{what} not found: {shown}. List the jobs and try again with the id of one: \
         openclaw cron list --all"
    ))
    .with(json!({"code": "CRON_JOB_NOT_FOUND", "jobId": shown}))
}

/// A page of rows, and what says which: `{total, offset, limit, hasMore, nextOffset}`.
fn page(rows: Vec<Value>, offset: usize, limit: usize) -> (Vec<Value>, Value) {
    let total = rows.len();
    let rows: Vec<Value> = rows.into_iter().skip(offset).take(limit).collect();
    let end = offset.saturating_add(rows.len());
    let more = end < total;
    let about = json!({
        "total": total, "offset": offset, "limit": limit, "hasMore": more,
        "nextOffset": more.then_some(end),
    });
    (rows, about)
}

impl Gateway {
    fn job(&self, method: &str, params: &Params) -> Result<Job, ErrorShape> {
        let id = id_of(params)
            .ok_or_else(|| ErrorShape::params(method, "must have required property 'id'"))?;
        let what = if method == "cron.remove" { "Automation" } else { "cron job" };
        self.cron.jobs.get(id).cloned().ok_or_else(|| not_found(what, id))
    }

    /// `{}` -> `{enabled, triggersEnabled, storePath, storage, jobs, nextWakeAtMs}`.
    pub(super) fn cron_status(&self) -> Value {
        json!({
            "enabled": self.cron_enabled(), "triggersEnabled": false,
            "storePath": self.cron.path().display().to_string(), "storage": "json",
            "jobs": self.cron.jobs.len(), "nextWakeAtMs": self.next_wake_ms(),
        })
    }

    /// `{id}` -> the job.
    pub(super) fn cron_get(&self, params: &Params) -> Handled {
        Ok(Answer::Value(self.job("cron.get", params)?.shown()))
    }

    /// What is listed, as the parameters of `cron.list` say.
    fn listed(&self, params: &Params) -> Vec<&Job> {
        let enabled = text(params, "enabled");
        let all = flag(params, "includeDisabled") || enabled == Some("all");
        let kind = text(params, "scheduleKind").filter(|kind| *kind != "all");
        let status = text(params, "lastRunStatus").filter(|status| *status != "all");
        let agent = text(params, "agentId").map(str::to_ascii_lowercase);
        let query = text(params, "query").map(|query| query.trim().to_lowercase());
        let shows = |job: &&Job| {
            let on = match enabled {
                Some("enabled") => job.enabled,
                Some("disabled") => !job.enabled,
                _ => all || job.enabled,
            };
            let last = job.state.last_run_status.as_deref().unwrap_or("unknown");
            on && kind.is_none_or(|kind| kind == job.schedule.kind())
                && status.is_none_or(|status| status == last)
                && text(params, "trigger") != Some("conditional")
                && agent.as_ref().is_none_or(|a| self.agent_of_job(job).as_ref() == Some(a))
                && query.as_ref().is_none_or(|query| job_says(job, query))
        };
        let mut jobs: Vec<&Job> = self.cron.jobs.values().filter(shows).collect();
        match text(params, "sortBy") {
            Some("name") => jobs.sort_by_key(|job| (job.name.to_lowercase(), job.id.clone())),
            Some("updatedAtMs") => jobs.sort_by_key(|job| (job.updated_at_ms, job.id.clone())),
            _ => jobs
                .sort_by_key(|job| (job.state.next_run_at_ms.unwrap_or(u64::MAX), job.id.clone())),
        }
        if text(params, "sortDir") == Some("desc") {
            jobs.reverse();
        }
        jobs
    }

    /// `{includeDisabled?, limit?, offset?, query?, ...}` -> `{jobs, total, ...}`.
    pub(super) fn cron_list(&self, params: &Params) -> Handled {
        let compact = flag(params, "compact");
        let mut previews = serde_json::Map::new();
        let jobs = self.listed(params);
        let rows = jobs.iter().map(|job| {
            let mut row = if compact { job.compact() } else { job.shown() };
            row["effectiveAgentId"] = json!(self.agent_of_job(job));
            row
        });
        let (rows, mut answer) =
            page(rows.collect(), count(params, "offset", 0), count(params, "limit", ROWS));
        if params.get("includeDeliveryPreviews") != Some(&Value::Bool(false)) {
            for row in &rows {
                let job = row["id"].as_str().and_then(|id| self.cron.jobs.get(id));
                if let Some(job) = job {
                    previews.insert(job.id.clone(), job.preview());
                }
            }
            answer["deliveryPreviews"] = Value::Object(previews);
        }
        let rows = Value::Array(rows);
        answer["snapshotRevision"] = json!(digest(&rows));
        answer["jobs"] = rows;
        Ok(Answer::Value(answer))
    }

    /// What only the gateway can say of a job: its zone, agent, session and model are there.
    fn admissible(&mut self, job: &Job) -> Result<(), ErrorShape> {
        if let Some(agent) = &job.agent_id
            && !self.config.agents.has(agent)
        {
            return Err(ErrorShape::invalid(format!(
                "unknown agentId \"{agent}\"; openclaw agents list"
            )));
        }
        if let Some(key) = &job.session_key {
            self.target(Some(key), job.agent_id.as_deref())?;
        }
        if let Some(agent) = self.agent_of_job(job) {
            self.session_of_job(job, &agent).map_err(ErrorShape::invalid)?;
        }
        let zone = self.zone_of(job.schedule.zone_name()).map_err(ErrorShape::invalid)?;
        let next = job.schedule.next(self.now.wall_ms, &job.id, &zone);
        let next = next.map_err(ErrorShape::invalid)?;
        if next.is_none() {
            return Err(ErrorShape::invalid(
                "this schedule never comes: no such day within fifty years",
            ));
        }
        Ok(())
    }

    /// The job, or `{created, updated, job}` when it is declared by a key of its own.
    pub(super) fn cron_add(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let now_ms = self.now.wall_ms;
        let key = text(params, "declarationKey");
        let old = key.and_then(|key| {
            self.cron.jobs.values().find(|job| job.declaration_key.as_deref() == Some(key))
        });
        let old = old.cloned();
        let id = match &old {
            Some(old) => old.id.clone(),
            None => self.uuid(),
        };
        let mut job = defined("cron.add", &id, params, now_ms)?;
        if let Some(name) = &job.session_key {
            job.session_key = Some(self.target(Some(name), job.agent_id.as_deref())?.0);
        }
        self.admissible(&job)?;
        if let Some(old) = &old {
            job.created_at_ms = old.created_at_ms;
            job.state = old.state.clone();
            let same = old.revision() == job.revision();
            if !same {
                self.put_job(job, Some(old))?;
            }
            let job = self.cron.jobs.get(&id).cloned().unwrap_or_else(|| old.clone());
            let answer = json!({"created": false, "updated": !same, "job": job.shown()});
            self.respond_ok(conn, request, &answer, fx);
            if !same {
                self.tell_job(&job, "updated", json!({}), fx);
            }
            return Ok(Answer::Handled);
        }
        if self.cron.jobs.len() >= limits::CRON_JOBS {
            return Err(ErrorShape::invalid(format!(
                "there are {} jobs, which is the most; remove one: openclaw cron rm <id>",
                self.cron.jobs.len()
            )));
        }
        self.put_job(job, None)?;
        let Some(job) = self.cron.jobs.get(&id).cloned() else { return Ok(Answer::Handled) };
        let mut shown = job.shown();
        shown["deliveryPreview"] = job.preview();
        let answer = match key {
            Some(_) => json!({"created": true, "job": job.shown()}),
            None => shown,
        };
        self.respond_ok(conn, request, &answer, fx);
        self.tell_job(&job, "added", json!({}), fx);
        Ok(Answer::Handled)
    }

    /// Keeps a job, planned and on the disk; without the disk nothing has changed.
    fn put_job(&mut self, job: Job, old: Option<&Job>) -> Result<(), ErrorShape> {
        let id = job.id.clone();
        let replan = old.is_none_or(|old| {
            old.schedule != job.schedule || old.enabled != job.enabled || !job.enabled
        });
        self.cron.jobs.insert(id.clone(), job);
        if replan {
            self.plan_job(&id);
            let now_ms = self.now.wall_ms;
            if let Some(job) = self.cron.jobs.get_mut(&id).filter(|_| old.is_some()) {
                job.state.schedule_activated_at_ms = Some(now_ms);
                job.state.consecutive_errors = job.state.consecutive_errors.map(|_| 0);
            }
        }
        if let Err(error) = self.write_cron() {
            match old {
                Some(old) => self.cron.jobs.insert(id, old.clone()),
                None => self.cron.jobs.remove(&id),
            };
            return Err(error);
        }
        self.arm_cron();
        Ok(())
    }

    /// `{id, patch, expectedConfigRevision?}` -> the job.
    pub(super) fn cron_update(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let old = self.job("cron.update", params)?;
        let wanted = text(params, "expectedConfigRevision");
        if wanted.is_some_and(|wanted| wanted != old.revision()) {
            return Err(ErrorShape::invalid(format!(
                "cron job {} has changed since it was read; read it again and retry",
                old.id
            )));
        }
        let empty = serde_json::Map::new();
        let patch = params.get("patch").and_then(Value::as_object).unwrap_or(&empty);
        let mut job = patched(&old, patch, self.now.wall_ms)?;
        if let Some(name) = &job.session_key {
            job.session_key = Some(self.target(Some(name), job.agent_id.as_deref())?.0);
        }
        self.admissible(&job)?;
        let id = job.id.clone();
        self.put_job(job, Some(&old))?;
        let Some(job) = self.cron.jobs.get(&id).cloned() else { return Ok(Answer::Handled) };
        self.respond_ok(conn, request, &job.shown(), fx);
        self.tell_job(&job, "updated", json!({}), fx);
        Ok(Answer::Handled)
    }

    /// `{id}` -> `{ok, removed, sessionCleanup?}`.
    pub(super) fn cron_remove(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let job = self.job("cron.remove", params)?;
        self.cron.jobs.remove(&job.id);
        if let Err(error) = self.write_cron() {
            self.cron.jobs.insert(job.id.clone(), job);
            return Err(error);
        }
        let mut answer = json!({"ok": true, "removed": true});
        if self.job_is_busy(&job.id) {
            answer["sessionCleanup"] = json!("pending");
        } else if let Some(agent) = self.agent_of_job(&job) {
            self.end_session(&format!("agent:{agent}:cron:{}", job.id));
        }
        self.respond_ok(conn, request, &answer, fx);
        self.tell_job(&job, "removed", json!({}), fx);
        Ok(Answer::Handled)
    }

    /// `{id, mode?: due|force|if-enabled}` -> `{ok, enqueued, runId, processInstanceId}`, or
    /// `{ok, ran: false, reason}` when there is nothing to do.
    pub(super) fn cron_run(&mut self, params: &Params) -> Handled {
        let job = self.job("cron.run", params)?;
        let expected = text(params, "expectedProcessInstanceId");
        if expected.is_some_and(|expected| expected != self.cron_instance()) {
            return Err(ErrorShape::unavailable("the gateway has restarted since; try again"));
        }
        let now_ms = self.now.wall_ms;
        let due = job.enabled && job.state.next_run_at_ms.is_some_and(|at| at <= now_ms);
        let not = match text(params, "mode") {
            _ if self.job_is_busy(&job.id) => Some("already-running"),
            Some("due") if !due => Some("not-due"),
            Some("if-enabled") if !job.enabled => Some("disabled"),
            _ => None,
        };
        if let Some(reason) = not {
            return Ok(Answer::Value(json!({"ok": true, "ran": false, "reason": reason})));
        }
        let run = self.run_job_now(&job.id)?;
        let instance = self.cron_instance().to_owned();
        Ok(Answer::Value(json!({
            "ok": true, "enqueued": true, "runId": run, "processInstanceId": instance,
        })))
    }

    /// `{id? | scope: "all", status?, query?, ...}` -> `{entries, total, ...}`, newest first.
    pub(super) fn cron_runs(&self, params: &Params) -> Handled {
        let id = id_of(params);
        if text(params, "scope") == Some("job") && id.is_none() {
            return Err(ErrorShape::params("cron.runs", "must have required property 'id'"));
        }
        let mut entries = match id.filter(|_| text(params, "scope") != Some("all")) {
            Some(id) => self.log_of(id)?,
            None => self.all_logs()?,
        };
        let list = |many: &str, one: &str| -> Vec<String> {
            let many = params.get(many).and_then(Value::as_array);
            let words = many.into_iter().flatten().filter_map(Value::as_str);
            words
                .chain(text(params, one).filter(|word| *word != "all"))
                .map(str::to_owned)
                .collect()
        };
        let statuses = list("statuses", "status");
        let deliveries = list("deliveryStatuses", "deliveryStatus");
        let query = text(params, "query").map(str::to_lowercase);
        let agent = text(params, "agentId").map(str::to_ascii_lowercase);
        entries.retain(|entry| {
            let word = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
            let among =
                |list: &[String], name| list.is_empty() || list.iter().any(|w| w == word(name));
            let says = |query: &String| {
                ["summary", "error", "jobName"]
                    .iter()
                    .any(|n| word(n).to_lowercase().contains(query))
            };
            let owner = || self.cron.jobs.get(word("jobId")).and_then(|job| self.agent_of_job(job));
            among(&statuses, "status")
                && among(&deliveries, "deliveryStatus")
                && text(params, "runId").is_none_or(|run| run == word("runId"))
                && query.as_ref().is_none_or(says)
                && agent.as_ref().is_none_or(|agent| owner().as_ref() == Some(agent))
        });
        entries.sort_by_key(|entry| entry.get("ts").and_then(Value::as_u64).unwrap_or(0));
        if text(params, "sortDir") != Some("asc") {
            entries.reverse();
        }
        let (rows, mut answer) =
            page(entries, count(params, "offset", 0), count(params, "limit", ROWS));
        answer["entries"] = Value::Array(rows);
        Ok(Answer::Value(answer))
    }

    fn log_of(&self, id: &str) -> Result<Vec<Value>, ErrorShape> {
        let path = self.cron.log_path(id);
        let max = usize::try_from(self.config.cron.log_bytes).unwrap_or(usize::MAX);
        store::entries(self.disk.as_ref(), &path, max).map_err(|error| {
            ErrorShape::unavailable(format!("{} cannot be read: {error}", path.display()))
        })
    }

    /// Of every job, the newest entries; all together within a bound.
    fn all_logs(&self) -> Result<Vec<Value>, ErrorShape> {
        let dir = self.cron.logs_dir();
        let failed = |error: std::io::Error| {
            ErrorShape::unavailable(format!("{} cannot be read: {error}", dir.display()))
        };
        let names = self.disk.list(&dir).map_err(failed)?;
        let logs: Vec<&String> = names.iter().filter(|name| name.ends_with(".jsonl")).collect();
        let share = limits::CRON_LOGS_BYTES / logs.len().max(1);
        let mut all = Vec::new();
        for name in logs {
            all.extend(store::entries(self.disk.as_ref(), &dir.join(name), share).map_err(failed)?);
        }
        Ok(all)
    }
}

fn job_says(job: &Job, query: &str) -> bool {
    let fields = [Some(&job.name), job.description.as_ref(), job.display_name.as_ref()];
    let says = |text: &String| text.to_lowercase().contains(query);
    job.id.contains(query) || fields.into_iter().flatten().any(says)
}
