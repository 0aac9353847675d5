//! Scheduled work: jobs that wait for their time, run, and say what became of them.
//!
//! ```text
//!   cron.add --> jobs.json --> due --free place?--> started --> [runs] or a system event
//!                                ^                     |
//!                                +-- next time <-- finished: run log, state, event
//! ```
//!
//! [`schedule`] knows times, [`expr`] and [`zone`] calendars, [`job`] the shapes, [`check`] what
//! a job may be, [`store`] the files, [`fire`] how a job runs. All are driven by one entry in
//! the timers; the wall clock is looked at once a minute at least, so that a clock that is set
//! moves no job further than that.
//!
//! A run that was under way when the gateway died counts as an error, is logged, and the job
//! goes on. What fell due meanwhile comes once, one job after the other; with
//! `cron.skipMissedJobs` only single times (`at`) do.

mod check;
mod deliver;
pub(super) mod expr;
mod fire;
pub(super) mod job;
mod local_time;
pub(super) mod schedule;
pub(super) mod store;
pub(super) mod zone;

pub(super) use check::{defined, patched};
pub use local_time::LocalTime;

use super::Gateway;
use super::broadcast::To;
use super::timers::{Armed, Timer};
use crate::driver::Effects;
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::store::Disk;
use job::Job;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
pub use store::complaints;
use zone::{HOST_ZONE, ZONE_DIRS, Zone};

/// A job that is to run now.
struct Wanted {
    job: String,
    run: String,
    /// By `cron.run`, not by its schedule.
    manual: bool,
}

/// A job whose run is under way.
struct Running {
    job: String,
    run: String,
    manual: bool,
    started_ms: u64,
    key: String,
}

/// Every job, and what runs of them.
#[derive(Default)]
pub(super) struct Cron {
    pub(super) jobs: BTreeMap<String, Job>,
    foreign: Vec<Value>,
    path: PathBuf,
    /// Why nothing may be written, when the file could not be read.
    blocked: Option<String>,
    /// By the id of the agent's run.
    running: BTreeMap<String, Running>,
    queue: VecDeque<Wanted>,
    zones: BTreeMap<String, Zone>,
    armed: Armed,
    asked: u64,
    /// Which process this is, in answers to `cron.run`.
    instance: String,
    /// The file is behind; it is written with the next try.
    dirty: bool,
}

impl Cron {
    fn is_busy(&self, job: &str) -> bool {
        self.running.values().any(|running| running.job == job)
            || self.queue.iter().any(|wanted| wanted.job == job)
    }

    /// `cron/jobs.json`.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of run logs beside it.
    pub(super) fn log_path(&self, job: &str) -> PathBuf {
        store::log_path(&self.logs_dir(), job)
    }

    /// See [`Cron::log_path`].
    pub(super) fn logs_dir(&self) -> PathBuf {
        self.path.with_file_name("runs")
    }
}

impl Gateway {
    /// Whether schedules are carried out.
    pub(super) fn cron_enabled(&self) -> bool {
        let skip = self.config.env.get("OPENCLAW_SKIP_CRON");
        self.config.cron.enabled && !matches!(skip, Some("1" | "true"))
    }

    /// Reads the jobs, settles what a stop cut short, and arms the timer.
    pub(super) fn open_cron(&mut self) {
        let config = self.config.clone();
        let default = self.state_dir.join("cron").join("jobs.json");
        self.cron.path = config.cron.store.clone().unwrap_or(default);
        self.cron.instance = self.uuid();
        let now_ms = self.now.wall_ms;
        match store::load(self.disk.as_mut(), &self.cron.path, now_ms) {
            Ok(loaded) => {
                for complaint in &loaded.complaints {
                    log::warn!(target: "cron", "{complaint}");
                }
                self.cron.jobs = loaded.jobs;
                self.cron.foreign = loaded.foreign;
            }
            Err(error) => {
                let what = format!("{} cannot be read: {error}", self.cron.path.display());
                log::error!(target: "cron", "{what}; no job runs until that is mended");
                self.cron.blocked = Some(what);
                return;
            }
        }
        if !self.cron.jobs.is_empty() && !self.cron_enabled() {
            log::warn!(target: "cron", "{} jobs are kept and none runs: cron.enabled is off",
                self.cron.jobs.len());
        }
        self.recover_jobs();
        self.drop_old_logs();
        self.arm_cron();
    }

    /// After a start: what was cut short is an error, what was missed comes once.
    fn recover_jobs(&mut self) {
        let now_ms = self.now.wall_ms;
        let skip = self.config.cron.skip_missed_jobs;
        let mut missed = 0;
        let ids: Vec<String> = self.cron.jobs.keys().cloned().collect();
        for id in ids {
            self.settle_cut_short(&id);
            let Some(job) = self.cron.jobs.get(&id) else { continue };
            if !job.enabled {
                continue;
            }
            let next = job.state.next_run_at_ms;
            let next = match next {
                Some(at) if at > now_ms => Some(at),
                Some(_) if job.schedule.is_once() || !skip => {
                    missed += 1;
                    Some(now_ms + limits::CRON_CATCH_UP_MS * missed)
                }
                _ => self.next_of(&id, now_ms),
            };
            if let Some(job) = self.cron.jobs.get_mut(&id) {
                job.state.next_run_at_ms = next;
            }
        }
        if missed > 0 {
            log::info!(target: "cron", "{missed} jobs fell due while the gateway was down; they \
                come one after the other");
        }
        if self.cron.dirty {
            self.save_cron();
        }
    }

    /// A run that was under way when the process ended.
    fn settle_cut_short(&mut self, id: &str) {
        let Some(started) = self.cron.jobs.get(id).and_then(|job| job.state.running_at_ms) else {
            return;
        };
        let run = format!("cron:{id}:{started}");
        let what = "the gateway stopped before this run was over";
        let running = Running {
            job: id.to_owned(),
            run,
            manual: false,
            started_ms: started,
            key: String::new(),
        };
        self.note_end(&running, &fire::Ended::error(what, "unknown").again(), &Ok(Some(())));
    }

    /// When a job comes next; a schedule that cannot be read leaves the job without a time, and
    /// says so in its state.
    fn next_of(&mut self, id: &str, after: u64) -> Option<u64> {
        let job = self.cron.jobs.get(id)?;
        let schedule = job.schedule.clone();
        let next =
            self.zone_of(schedule.zone_name()).and_then(|zone| schedule.next(after, id, &zone));
        match next {
            Ok(next) => next,
            Err(why) => {
                log::warn!(target: "cron", "job {id} has no next time: {why}");
                if let Some(job) = self.cron.jobs.get_mut(id) {
                    job.state.last_error = Some(why);
                }
                None
            }
        }
    }

    /// A zone by name; `None` is that of the host.
    ///
    /// # Errors
    /// That there is no such zone here, for people.
    pub(super) fn zone_of(&mut self, name: Option<&str>) -> Result<Zone, String> {
        let own = self.config.env.get("TZ").map(|name| name.trim_start_matches(':').to_owned());
        let name = name.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        let Some(name) = name.or(own) else {
            return Ok(self.host_zone());
        };
        if let Some(zone) = Zone::plain(&name).or_else(|| self.cron.zones.get(&name).cloned()) {
            return Ok(zone);
        }
        let zone = find_zone(self.disk.as_ref(), &name)?;
        if self.cron.zones.len() < limits::CRON_ZONES {
            self.cron.zones.insert(name, zone.clone());
        }
        Ok(zone)
    }

    fn host_zone(&self) -> Zone {
        match read_zone(self.disk.as_ref(), Path::new(HOST_ZONE)) {
            Some(Ok(zone)) => zone,
            Some(Err(why)) => {
                log::warn!(target: "cron", "{why}; UTC is taken");
                Zone::UTC
            }
            None => Zone::UTC,
        }
    }

    /// Writes the jobs.
    ///
    /// # Errors
    /// `UNAVAILABLE`, for who asked for the change.
    pub(super) fn write_cron(&mut self) -> Result<(), ErrorShape> {
        if let Some(why) = &self.cron.blocked {
            return Err(ErrorShape::unavailable(format!(
                "{why}; mend the file and restart: openclaw gateway restart"
            )));
        }
        let Cron { path, jobs, foreign, .. } = &self.cron;
        store::save(self.disk.as_mut(), path, jobs, foreign).map_err(|error| {
            ErrorShape::unavailable(format!(
                "{} cannot be written ({error}); check its disk and permissions",
                self.cron.path.display()
            ))
        })?;
        self.cron.dirty = false;
        Ok(())
    }

    /// The same when nobody waits for it; it is tried again with the next change or look.
    fn save_cron(&mut self) {
        if let Err(error) = self.write_cron() {
            self.cron.dirty = true;
            log::error!(target: "cron", "{}", error.message);
        }
    }

    /// Makes sure that the timer comes up when the next job does.
    pub(super) fn arm_cron(&mut self) {
        let due = self.cron_due_at();
        self.cron.armed.at(&mut self.timers, due, Timer::Cron);
    }

    /// When the scheduler wants to look; `None` when there is nothing to look at.
    fn cron_due_at(&self) -> Option<crate::driver::Time> {
        if self.cron.jobs.is_empty() || self.leaving.is_some() {
            return None;
        }
        let wait = match self.next_wake_ms() {
            // A job that waits for a free place is looked at when one is.
            Some(_) if self.places() == 0 => limits::CRON_LOOK_MS,
            Some(at) => at.saturating_sub(self.now.wall_ms).min(limits::CRON_LOOK_MS),
            None => limits::CRON_LOOK_MS,
        };
        Some(self.now.time.after_ms(wait.max(1)))
    }

    /// `nextWakeAtMs`: the earliest time of a job that does not run.
    pub(super) fn next_wake_ms(&self) -> Option<u64> {
        if !self.cron_enabled() {
            return None;
        }
        let waiting = self.cron.jobs.values().filter(|job| job.enabled);
        waiting
            .filter(|job| job.state.running_at_ms.is_none())
            .filter_map(|job| job.state.next_run_at_ms)
            .min()
    }

    /// Runs that may begin now.
    fn places(&self) -> usize {
        self.config.cron.max_concurrent_runs.saturating_sub(self.cron.running.len())
    }

    /// The timer came up.
    pub(super) fn cron_due(&mut self, fx: &mut Effects) {
        let due = self.cron_due_at();
        let now = self.now.time;
        self.cron.armed.came_up(&mut self.timers, due, Timer::Cron, now);
        if self.cron.dirty {
            self.save_cron();
        }
        self.end_old_sessions();
        self.pump_cron(fx);
    }

    /// Starts what is asked for, then what is due, as far as there are places.
    pub(super) fn pump_cron(&mut self, fx: &mut Effects) {
        if self.leaving.is_some() {
            return;
        }
        while self.places() > 0
            && let Some(wanted) = self.cron.queue.pop_front()
        {
            self.fire(wanted, fx);
        }
        let now_ms = self.now.wall_ms;
        let mut due: Vec<(u64, String)> = Vec::new();
        if self.cron_enabled() {
            for job in self.cron.jobs.values().filter(|job| job.enabled) {
                if let Some(at) = job.state.next_run_at_ms.filter(|at| *at <= now_ms)
                    && job.state.running_at_ms.is_none()
                    && !self.cron.is_busy(&job.id)
                {
                    due.push((at, job.id.clone()));
                }
            }
        }
        due.sort_unstable();
        for (_, job) in due {
            if self.places() == 0 {
                break;
            }
            let run = format!("cron:{job}:{now_ms}");
            self.fire(Wanted { job, run, manual: false }, fx);
        }
        self.arm_cron();
    }

    /// Takes a run on that an operator asked for; its id.
    ///
    /// # Errors
    /// `UNAVAILABLE` when too many stand in line.
    pub(super) fn run_job_now(&mut self, job: &str) -> Result<String, ErrorShape> {
        if self.cron.queue.len() >= limits::CRON_QUEUE {
            return Err(ErrorShape::unavailable(format!(
                "{} jobs wait for a free place already; try again later",
                self.cron.queue.len()
            )));
        }
        self.cron.asked += 1;
        let run = format!("manual:{job}:{}:{}", self.now.wall_ms, self.cron.asked);
        self.cron.queue.push_back(Wanted { job: job.to_owned(), run: run.clone(), manual: true });
        Ok(run)
    }

    /// Whether a job runs or stands in line.
    pub(super) fn job_is_busy(&self, job: &str) -> bool {
        self.cron.is_busy(job)
    }

    /// `processInstanceId`.
    pub(super) fn cron_instance(&self) -> &str {
        &self.cron.instance
    }

    /// Runs of jobs that are not over.
    pub(super) fn cron_active(&self) -> usize {
        self.cron.running.len()
    }

    /// Whether something was asked for that [`Gateway::pump_cron`] has not begun.
    pub(super) fn cron_waits(&self) -> bool {
        !self.cron.queue.is_empty() && self.places() > 0 && self.leaving.is_none()
    }

    /// A job came, changed or is to come: its next time, from now.
    pub(super) fn plan_job(&mut self, id: &str) {
        let now_ms = self.now.wall_ms;
        let enabled = self.cron.jobs.get(id).is_some_and(|job| job.enabled);
        let next = if enabled { self.next_of(id, now_ms) } else { None };
        if let Some(job) = self.cron.jobs.get_mut(id) {
            job.state.next_run_at_ms = next;
        }
    }

    /// Who carries a job out: its agent, the owner of its session, or the default one.
    pub(super) fn agent_of_job(&self, job: &Job) -> Option<String> {
        let by_key = job.session_key.as_deref().and_then(crate::sessions::key::agent_of);
        let named = job.agent_id.as_deref().or(by_key);
        let agent = named.unwrap_or(self.config.agents.default_agent()).to_ascii_lowercase();
        self.config.agents.has(&agent).then_some(agent)
    }

    /// Event `cron`.
    pub(super) fn tell_job(&mut self, job: &Job, action: &str, more: Value, fx: &mut Effects) {
        let mut payload = json!({"jobId": job.id, "action": action, "job": job.value()});
        if let (Value::Object(payload), Value::Object(more)) = (&mut payload, more) {
            payload.extend(more);
        }
        if matches!(action, "added" | "updated" | "finished")
            && let Some(next) = job.state.next_run_at_ms
        {
            payload["nextRunAtMs"] = json!(next);
        }
        self.broadcast("cron", To::All, fx, &|_| Some(payload.clone()));
    }

    /// Run logs of jobs that are gone, when nobody will ask for them any more.
    fn drop_old_logs(&mut self) {
        let dir = self.cron.logs_dir();
        let now_ns = u128::from(self.now.wall_ms) * 1_000_000;
        let kept: Vec<PathBuf> = self.cron.jobs.keys().map(|id| self.cron.log_path(id)).collect();
        for name in self.disk.list(&dir).unwrap_or_default() {
            let path = dir.join(name);
            let old = self.disk.stat(&path).is_ok_and(|stat| {
                let age = now_ns.saturating_sub(stat.modified_ns);
                age > u128::from(limits::CRON_LOG_KEPT_MS) * 1_000_000
            });
            if old
                && !kept.contains(&path)
                && let Err(error) = self.disk.remove(&path)
            {
                log::warn!(target: "cron", "{} not removed: {error}", path.display());
            }
        }
    }
}

/// A zone by name, from its own text or from the tables of the machine.
///
/// # Errors
/// That there is no such zone here, for people.
fn find_zone(disk: &dyn Disk, name: &str) -> Result<Zone, String> {
    if let Some(zone) = Zone::plain(name) {
        return Ok(zone);
    }
    let shown: String = name.chars().take(limits::CRON_ZONE_NAME).collect();
    if !Zone::is_name(name) {
        return Err(format!(
            "\"{shown}\" is no time zone: write an IANA name such as Europe/Berlin, UTC, or an \
             offset such as +02:00"
        ));
    }
    let found = ZONE_DIRS.iter().find_map(|dir| read_zone(disk, &Path::new(dir).join(name)));
    found.unwrap_or_else(|| {
        Err(format!(
            "there is no time zone \"{shown}\" on this machine ({}): check the name, install \
             tzdata, or write an offset such as +02:00",
            ZONE_DIRS[0]
        ))
    })
}

/// `None` when there is no such file.
fn read_zone(disk: &dyn Disk, path: &Path) -> Option<Result<Zone, String>> {
    let bytes = disk.read_at(path, 0, limits::CRON_ZONE_FILE).ok()?;
    Some(Zone::read(&bytes).map_err(|why| format!("time zone {}: {why}", path.display())))
}

/// Unix milliseconds of a time in a zone (UTC when none is named), for the command line.
///
/// # Errors
/// That it is no time, or no zone of this machine; for people.
pub fn time_ms(disk: &dyn Disk, text: &str, tz: Option<&str>) -> Result<u64, String> {
    let zone = tz.map_or(Ok(Zone::UTC), |name| find_zone(disk, name.trim()))?;
    schedule::time_ms(text, &zone)
}

#[cfg(test)]
#[path = "cron_tests.rs"]
pub(in crate::gateway) mod tests;
