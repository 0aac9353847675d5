//! The configuration of a running gateway: the files are watched, an edit is taken over, an
//! invalid one changes nothing.
//!
//! ```text
//!   watching --something looks different--> moving --the same for debounceMs--> load
//!     load fails -----> refused: log, `health`, `status`, `config.get`; the old one stays
//!     load is good ---> apply: swap the snapshot, close whose secret is gone,
//!                       `config.changed`; then perhaps a restart in place
//! ```
//!
//! Watching is polling, once in [`limits::CONFIG_POLL_MS`]: size, time and number of the root
//! file, of every `$include`d one and of `.env`, whether they exist or not. An editor's dance
//! of renames is one change, for nothing is read before the files have been still for
//! `gateway.reload.debounceMs`. A root file that vanished is refused like an invalid one.
//!
//! What an edit causes, by `gateway.reload.mode` (the edited file's own):
//!
//! | mode | a live key | a key that needs a restart |
//! |---|---|---|
//! | `off` | waits for SIGHUP or a restart | waits |
//! | `hot` | applied | logged, waits for a restart |
//! | `restart` | applied, then a restart | a restart |
//! | `hybrid` | applied | the rest is applied, then a restart |
//!
//! The key table knows two kinds of live keys that do more than count from now on: where the
//! gateway listens ([`moving`]), and what makes one channel connect anew
//! ([`plan::reconnects`]).
//!
//! A restart waits for active runs, `gateway.reload.deferralTimeoutMs` at most. Secrets never
//! wait for it: whatever is applied counts from the next request on, at every door.

mod keep;
mod moving;

use super::Gateway;
use super::broadcast::To;
use super::timers::Timer;
use crate::auth::Credentials;
use crate::auth::identity::Proof;
use crate::config::plan::{self, Change};
use crate::config::secrets::{Batch, BoundRef, Resolved};
use crate::config::table::{self, Reload as Class};
use crate::config::{AuthMode, Config, ConfigError, Issue, ReloadMode, SourceInfo};
use crate::driver::{Effects, Place, Signal, Time};
use crate::limits;
use crate::protocol::close;
use crate::store::{Disk, Stat};
use crate::wire::json5;
pub(super) use keep::Writes;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A configuration that may be taken over.
#[derive(Debug, Clone)]
pub struct Reloaded {
    /// The snapshot.
    pub config: Rc<Config>,
    /// The secrets in force with it.
    pub credentials: Credentials,
    /// Every file that was read or looked for; [`Config::source`] names the root one.
    pub files: Vec<PathBuf>,
    /// Where the gateway should listen, if that is not where it does.
    pub moves: Option<Vec<Place>>,
}

/// A configuration that may not be taken over. `Display` is for people.
#[derive(Debug, Clone, Default)]
pub struct NotLoaded {
    /// Every issue, and the next command.
    pub text: String,
    /// At least one, with file, line and key.
    pub issues: Vec<Issue>,
    /// What could be read.
    pub source: Box<SourceInfo>,
    /// Every file that was read or looked for.
    pub files: Vec<PathBuf>,
    /// Programs to ask before it can be tried again; then nothing else is wrong.
    pub pending: Vec<Batch>,
    /// The references of the file that stand for nothing.
    pub unresolved: Box<[BoundRef]>,
}

impl std::fmt::Display for NotLoaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl NotLoaded {
    /// A valid configuration that this gateway cannot run with, for a reason of its own.
    pub fn because(text: String, config: &Config, files: Vec<PathBuf>) -> Self {
        let source = Box::new(config.source.clone());
        let file = source.path.clone();
        let issue = Issue { path: String::new(), message: text.clone(), file, line: 0, column: 0 };
        Self { text, issues: vec![issue], source, files, ..Self::default() }
    }

    /// The reason lies in this key; its line is named when the root file has it.
    #[must_use]
    pub fn at(mut self, key: &str) -> Self {
        let steps = table::parse_path(key).unwrap_or_default();
        let document = json5::parse(&self.source.raw).ok();
        let place = document.and_then(|it| Some(it.position(it.at(&steps)?.span.start)));
        for issue in &mut self.issues {
            key.clone_into(&mut issue.path);
            (issue.line, issue.column) = place.unwrap_or_default();
        }
        self
    }
}

impl From<&ConfigError> for NotLoaded {
    fn from(error: &ConfigError) -> Self {
        let fails = |one: &&BoundRef| one.why.is_some() && one.inactive.is_none();
        Self {
            text: error.to_string(),
            issues: error.issues.clone(),
            source: error.source.clone(),
            files: error.files.clone(),
            pending: error.pending.clone(),
            unresolved: error.secrets.iter().filter(fails).cloned().collect(),
        }
    }
}

/// Reads the configuration anew; the command line implements it.
pub trait Reloader {
    /// Reads the files, with a text in place of the root one's when one is given: to know what
    /// it would mean. What programs have answered for SecretRefs is handed in; the error says
    /// which have yet to be asked.
    ///
    /// # Errors
    /// When it is not valid, or a gateway with these flags would not run with it.
    fn load(&mut self, raw: Option<&str>, known: &Resolved) -> Result<Reloaded, NotLoaded>;
    /// A configuration was taken over: what lies outside of the gateway follows.
    fn applied(&mut self, _config: &Config) {}
    /// The variable that makes the file somebody else's to write, if one does.
    fn read_only(&self) -> Option<&'static str> {
        None
    }
    /// The gateway listens there now; later loads are judged by it.
    fn moved(&mut self, _first: SocketAddr) {}
    /// Which process keeps the gateway from an address, for people; empty when nobody knows.
    fn holder(&self, _addr: SocketAddr) -> String {
        String::new()
    }
}

impl<F: FnMut(Option<&str>, &Resolved) -> Result<Reloaded, NotLoaded>> Reloader for F {
    fn load(&mut self, raw: Option<&str>, known: &Resolved) -> Result<Reloaded, NotLoaded> {
        self(raw, known)
    }
}

/// Where a gateway's configuration comes from.
pub type Reload = Box<dyn Reloader>;

/// How files looked; `None` for one that is not there.
type Looks = Vec<Option<Stat>>;

/// What is watched, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Watch {
    files: Vec<PathBuf>,
    /// As they were before the last load; empty before the first.
    looks: Looks,
    /// They look different now: how, and since when.
    moving: Option<(Time, Looks)>,
    /// The file as it is, when it is not valid.
    pub(super) refused: Option<Box<NotLoaded>>,
    /// Keys whose new values wait for a restart.
    pub(super) waiting: Vec<String>,
    /// An edit that waits for its listener.
    moving_to: Option<Box<moving::Moving>>,
    /// A restart waits for the last run.
    restart: bool,
    /// Who wrote how often.
    pub(super) writes: Writes,
}

/// Who wants the file looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// It changed.
    Watcher,
    /// SIGHUP, or a write of ours.
    Command,
}

impl Watch {
    /// Watches the files behind a snapshot, from the first look on.
    pub(super) fn new(source: &SourceInfo, state_dir: &Path) -> Self {
        let files = [&source.path].into_iter().chain(&source.includes).cloned();
        let files = files.chain([state_dir.join(".env")]).collect();
        Self { files, ..Self::default() }
    }

    fn look(&self, disk: &dyn Disk) -> Looks {
        self.files.iter().map(|file| disk.stat(file).ok()).collect()
    }

    /// The files of a load, which is about to happen or has just happened.
    fn follow(&mut self, files: &[PathBuf], disk: &dyn Disk) {
        let new = files.iter().filter(|file| !self.files.contains(file));
        let new: Vec<PathBuf> = new.take(limits::CONFIG_FILES).cloned().collect();
        if self.files.len() + new.len() > limits::CONFIG_FILES {
            self.files = files.iter().take(limits::CONFIG_FILES).cloned().collect();
            self.looks = self.look(disk);
            return;
        }
        self.looks.extend(new.iter().map(|file| disk.stat(file).ok()));
        self.files.extend(new);
    }
}

impl Gateway {
    /// The watcher's turn has come: looks, and loads what has come to rest.
    pub(super) fn watch_config(&mut self, fx: &mut Effects) {
        if self.reload.is_none() {
            return;
        }
        let looks = self.watch.look(self.disk.as_ref());
        let debounce = self.config.gateway.reload.debounce_ms;
        let now = self.now.time;
        let mut next = limits::CONFIG_POLL_MS;
        match &self.watch.moving {
            None if looks == self.watch.looks => {}
            Some((since, moving)) if *moving == looks => {
                let still = now.ms_since(*since);
                if still >= debounce {
                    self.watch.moving = None;
                    self.watch.looks = looks;
                    self.take_file(By::Watcher, fx);
                } else {
                    next = debounce - still;
                }
            }
            _ => {
                self.watch.moving = Some((now, looks));
                next = debounce;
            }
        }
        // A wait of milliseconds would be a busy loop while somebody copies a large file.
        let next = next.clamp(limits::CONFIG_SETTLE_MS, limits::CONFIG_POLL_MS);
        self.timers.arm(now.after_ms(next), Timer::Watch);
    }

    /// The file anew, programs asked only where they have not been. Asked later, it is applied
    /// later.
    pub(super) fn reread(&mut self, fx: &mut Effects) {
        self.looked();
        self.take_file(By::Command, fx);
    }

    /// Whatever the files are now is about to be read.
    pub(super) fn looked(&mut self) {
        self.watch.moving = None;
        self.watch.looks = self.watch.look(self.disk.as_ref());
    }

    fn take_file(&mut self, by: By, fx: &mut Effects) {
        let Some(reload) = &mut self.reload else { return };
        match reload.load(None, &self.secrets.resolved) {
            Ok(new) => self.take_over(new, by, fx),
            Err(not) if not.pending.is_empty() => self.refuse(not, fx),
            Err(_) if by == By::Watcher && self.config.gateway.reload.mode == ReloadMode::Off => {
                log::info!(target: "config", "the file changed: it waits for openclaw gateway \
                    restart (gateway.reload.mode is off)");
            }
            Err(not) => self.ask_programs(not.pending, self.secrets.resolved.clone(), fx),
        }
    }

    /// Nothing changes but what is said of the file.
    pub(super) fn refuse(&mut self, not: NotLoaded, fx: &mut Effects) {
        log::error!(target: "config", "config reload skipped (invalid config), the running one \
            stays: {}", not.text);
        self.watch.follow(&not.files, self.disk.as_ref());
        self.watch.refused = Some(Box::new(not));
        self.tell_health(fx);
    }

    /// Monitors hear at once whether the file is good.
    fn tell_health(&mut self, fx: &mut Effects) {
        self.health_version += 1;
        let health = self.health_value();
        self.broadcast("health", To::All, fx, &|_| Some(health.clone()));
    }

    /// A good configuration: what of it is applied, and when.
    pub(super) fn take_over(&mut self, new: Reloaded, by: By, fx: &mut Effects) {
        if self.config.source.exists && !new.config.source.exists {
            let what = format!(
                "{} is gone; write it again, or run: openclaw setup",
                new.config.source.path.display()
            );
            return self.refuse(NotLoaded::because(what, &new.config, new.files), fx);
        }
        let deaf = new.config.gateway.reload.mode == ReloadMode::Off && by == By::Watcher;
        if new.moves.is_some() && !deaf {
            return self.move_listener(new, by, fx);
        }
        self.settle(new, by, false, fx);
    }

    /// What is left of a good configuration when the gateway listens where that says; `moved`
    /// when it did not before.
    fn settle(&mut self, new: Reloaded, by: By, moved: bool, fx: &mut Effects) {
        self.watch.follow(&new.files, self.disk.as_ref());
        let recovered = self.watch.refused.take().is_some();
        let (old, now) = (&self.config, &new.config);
        let changes = plan::changes(&old.source.resolved, &now.source.resolved);
        let same = changes.is_empty()
            && old.source.hash == now.source.hash
            && old.env.all() == now.env.all()
            && self.credentials.same(&new.credentials)
            && new.credentials.same(&self.credentials);
        if recovered {
            log::info!(target: "config", "{} is valid again", now.source.path.display());
            self.tell_health(fx);
        }
        if same && by == By::Watcher {
            return;
        }
        let mode = new.config.gateway.reload.mode;
        if mode == ReloadMode::Off && by == By::Watcher {
            for change in changes.iter().take(limits::CONFIG_CHANGES_LOGGED) {
                log::info!(target: "config", "{} changed: it waits for openclaw gateway restart \
                    (gateway.reload.mode is off)", change.path);
            }
            self.watch.waiting = changes.into_iter().map(|change| change.path).collect();
            return;
        }
        let waits = |change: &&Change| change.reload == Class::Restart;
        let waiting: Vec<String> =
            changes.iter().filter(waits).map(|change| change.path.clone()).collect();
        self.log_changes(&changes, moved, mode);
        self.watch.waiting.extend(waiting.iter().cloned());
        self.watch.waiting.sort();
        self.watch.waiting.dedup();
        self.apply(new, fx);
        let restart = match mode {
            ReloadMode::Off | ReloadMode::Hot => false,
            ReloadMode::Restart => !changes.is_empty(),
            ReloadMode::Hybrid => !waiting.is_empty(),
        };
        if restart {
            self.restart_when_idle(fx);
        }
    }

    /// Which key changed, and what it causes.
    fn log_changes(&self, changes: &[Change], moved: bool, mode: ReloadMode) {
        for change in changes.iter().take(limits::CONFIG_CHANGES_LOGGED) {
            let what = match (change.reload, mode) {
                (_, ReloadMode::Restart) | (Class::Restart, ReloadMode::Hybrid) => {
                    "the gateway restarts in place"
                }
                (Class::Restart, _) => "takes effect after: openclaw gateway restart",
                (Class::Rebind, _) if moved => "applied, the listener moved",
                (Class::Rebind, _) => {
                    "applied, the listener stays (it was there before, or a flag or variable rules)"
                }
                (Class::Live | Class::Channel, _) => "applied",
            };
            log::info!(target: "config", "{} changed: {what}", change.path);
        }
        let more = changes.len().saturating_sub(limits::CONFIG_CHANGES_LOGGED);
        if more > 0 {
            log::info!(target: "config", "and {more} more keys changed");
        }
    }

    /// Swaps the snapshot. Everybody who came in by a secret that is gone goes.
    fn apply(&mut self, new: Reloaded, fx: &mut Effects) {
        let changed = self.config.source.hash != new.config.source.hash;
        let before = std::mem::replace(&mut self.config, new.config);
        self.diagnostics_on_config();
        self.channels_on_config(fx);
        let old = std::mem::replace(&mut self.credentials, new.credentials);
        self.tls_reread(&before.gateway.tls, fx);
        self.close_turned(&old, fx);
        self.close_outward(fx);
        self.revouch(&before, fx);
        for agent in self.config.agents.agent_ids() {
            self.sessions.open(self.disk.as_mut(), agent);
        }
        self.forget_agents();
        self.plan_heartbeats();
        self.seed_workspaces();
        if let Some(reload) = &mut self.reload {
            reload.applied(&self.config);
        }
        self.keep_last_good();
        log::info!(target: "gateway", "configuration reread and applied");
        for warning in &self.config.warnings {
            log::warn!(target: "config", "{warning}");
        }
        self.warn_of_tool_names();
        if changed {
            let payload = json!({
                "path": self.config.source.path, "hash": self.config.source.hash,
                "ts": self.now.wall_ms,
            });
            self.broadcast("config.changed", To::All, fx, &|_| Some(payload.clone()));
        }
    }

    /// Closes every client whose proof is none any more. Device tokens are proofs of their own.
    fn close_turned(&mut self, old: &Credentials, fx: &mut Effects) {
        let new = &self.credentials;
        let (secret, open) = (!old.same(new), new.mode != AuthMode::None);
        let proxy = new.mode != AuthMode::TrustedProxy;
        let mut gone = Vec::new();
        self.conns.each_client(|id, conn| {
            let super::conn::State::Client(client) = &conn.state else { return };
            let goes = match &client.proof {
                Proof::Secret => secret,
                Proof::Open => open,
                Proof::Proxy { .. } => proxy,
                Proof::Device { .. } | Proof::Setup { .. } => false,
            };
            if goes {
                gone.push(id);
            }
        });
        for id in gone {
            self.close_socket(id, close::POLICY, "the gateway's credentials changed", fx);
        }
    }

    /// A new image would refuse a damaged file, and that would be the end of the gateway: it
    /// restarts only into a configuration that it would start with.
    pub(super) fn may_restart(&mut self, fx: &mut Effects) -> bool {
        let Some(reload) = &mut self.reload else { return true };
        match reload.load(None, &self.secrets.resolved) {
            Err(not) if not.pending.is_empty() => {
                log::error!(target: "gateway", "no restart: the new gateway would refuse the \
                    configuration as it is now; this one goes on");
                self.refuse(not, fx);
                false
            }
            Ok(_) | Err(_) => true,
        }
    }

    /// Restarts in place, after the last run or `gateway.reload.deferralTimeoutMs`.
    fn restart_when_idle(&mut self, fx: &mut Effects) {
        if self.leaving.is_some() {
            return;
        }
        let active = self.runs.active_len();
        if active == 0 {
            return self.signal(Signal::Restart, fx);
        }
        let wait_ms = self.config.gateway.reload.deferral_timeout_ms;
        log::info!(target: "config",
            "the restart waits for {active} active runs, {wait_ms} ms at most");
        self.watch.restart = true;
        self.timers.arm(self.now.time.after_ms(wait_ms), Timer::Restart);
    }

    /// A run ended, or the wait is over: the restart that waited for it.
    pub(super) fn restart_deferred(&mut self, late: bool, fx: &mut Effects) {
        if self.watch.restart && self.leaving.is_none() && (late || self.runs.active_len() == 0) {
            self.watch.restart = false;
            self.signal(Signal::Restart, fx);
            if late {
                // They had their time; the drain of a stop is not added to it.
                self.signal(Signal::Restart, fx);
            }
        }
    }

    /// What is wrong with the file as it is now; nothing when it is in force.
    pub(super) fn config_issues(&self) -> Vec<Value> {
        let issues = self.watch.refused.iter().flat_map(|not| &not.issues);
        issues.map(issue_value).collect()
    }
}

/// One of `issues` and `warnings`, with the place that the reference leaves out.
pub(super) fn issue_value(issue: &Issue) -> Value {
    let mut value = json!({"path": issue.path, "message": issue.message});
    if issue.line > 0 {
        value["file"] = json!(issue.file);
        value["line"] = json!(issue.line);
        value["column"] = json!(issue.column);
    }
    value
}

#[cfg(test)]
#[path = "reload_tests.rs"]
mod tests;
