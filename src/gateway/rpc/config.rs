//! `config.*`: the configuration as it is in force and as the file says, without its secrets,
//! and writes of the file that are guarded by its hash.
//!
//! ```text
//!   rate -> baseHash -> secrets back into the text -> valid? -> no clobber? -> backup
//!     -> atomic 0600 write -> the answer -> take over -> `config.changed`
//! ```
//!
//! The answer goes first, since what is taken over may close the very socket that asked. Nothing
//! is written before all is known to be good. No tool of a model comes here: the only way is a
//! client with `operator.admin`.

use super::super::Gateway;
use super::super::reload::{By, NotLoaded, Reloaded, issue_value};
use super::super::socket::Answer;
use super::{Handled, Params, text};
use crate::config::table::Reload as Class;
use crate::config::{SourceInfo, patch, plan, redact, schema};
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::VERSION;
use crate::protocol::error::ErrorShape;
use crate::protocol::operations::Op;
use crate::store::copies::Kept;
use crate::wire::json5;
use crate::wire::text::rfc3339_ms;
use serde_json::{Value, json};

impl Gateway {
    /// The file as it is now, and what it means.
    fn config_file(&mut self) -> (SourceInfo, Result<Reloaded, NotLoaded>) {
        let Some(reload) = &mut self.reload else {
            return (self.config.source.clone(), Err(NotLoaded::default()));
        };
        match reload.load(None, &self.secrets.resolved) {
            Ok(new) => (new.config.source.clone(), Ok(new)),
            Err(not) => ((*not.source).clone(), Err(not)),
        }
    }

    /// As the reference's, redacted by `__OPENCLAW_REDACTED__`: the file by `raw`, `parsed`,
    /// `hash`, `valid` and `issues`, what is in force by `config` and `runtimeConfig`.
    pub(super) fn config_get(&mut self) -> Value {
        let (source, file) = self.config_file();
        let issues = match &file {
            Err(not) if not.pending.is_empty() => not.issues.as_slice(),
            _ => &[],
        };
        let running = &self.config.source;
        let runtime = redact::value(&running.resolved, &running.parsed);
        let resolved = redact::value(&source.resolved, &source.parsed);
        json!({
            "path": source.path, "includedPaths": source.includes, "includeProvenance": [],
            "exists": source.exists, "raw": redact::raw(&source.raw),
            "parsed": redact::value(&source.parsed, &source.parsed),
            "sourceConfig": redact::value(&source.authored, &source.authored),
            "resolved": resolved, "valid": issues.is_empty(), "runtimeConfig": runtime,
            "config": runtime, "hash": source.hash, "configRevisionHash": source.hash,
            "appliedConfigHash": running.hash,
            "issues": issues.iter().map(issue_value).collect::<Vec<_>>(),
            "warnings": self.config.warnings.iter().map(issue_value).collect::<Vec<_>>(),
            "legacyIssues": [],
        })
    }

    /// `config.schema`.
    pub(super) fn config_schema(&self) -> Value {
        json!({
            "schema": schema::root(), "uiHints": schema::hints(), "version": VERSION,
            "generatedAt": rfc3339_ms(self.started.wall_ms),
        })
    }

    /// `config.schema.lookup {path}`.
    pub(super) fn config_schema_lookup(params: &Params) -> Handled {
        let path = text(params, "path").unwrap_or_default();
        let found = schema::lookup(path).map(Answer::Value);
        found.ok_or_else(|| ErrorShape::invalid("config schema path not found"))
    }

    /// `config.openFile`: a gateway starts no editor for whoever asks from afar.
    pub(super) fn config_open_file(&self) -> Handled {
        Err(ErrorShape::invalid(format!(
            "config.openFile is not offered: this gateway starts no programs for its clients; \
             edit {} by hand, or use config.patch",
            self.config.source.path.display()
        )))
    }

    /// `config.set`, `config.patch`, `config.apply`.
    pub(super) fn config_write(
        &mut self,
        op: Op,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let name = match op {
            Op::ConfigPatch => "config.patch",
            Op::ConfigApply => "config.apply",
            _ => "config.set",
        };
        self.config_rate(name, conn)?;
        let (source, file) = self.config_file();
        if self.reload.is_none() {
            return Err(ErrorShape::unavailable("this gateway runs without a configuration file"));
        }
        if let Some(name) = self.reload.as_ref().and_then(|reload| reload.read_only()) {
            return Err(ErrorShape::invalid(format!(
                "{} is managed from outside ({name}=1): nothing is written",
                source.path.display()
            )));
        }
        same_base(&source, text(params, "baseHash"))?;
        let raw = text(params, "raw").unwrap_or_default();
        let wanted = wanted(op, raw, &source, params)?;
        let new = match self.config_meaning(&wanted) {
            Ok(new) => new,
            Err(error) => {
                self.keep_rejected(&source, &wanted);
                return Err(error);
            }
        };
        let old = file.as_ref().map_or(&self.config, |file| &file.config);
        let meant = new.as_ref().map_or_else(|| Value::Null, |new| mode_of(&new.config.source));
        let dropped = new.is_some() && meant.is_null() && !mode_of(&old.source).is_null();
        let shrunk = op == Op::ConfigSet
            && source.raw.len() >= limits::CONFIG_CLOBBER
            && wanted.len() < source.raw.len() / 2;
        if dropped || shrunk {
            let kept = self.keep_rejected(&source, &wanted);
            let why =
                if dropped { "it drops gateway.mode" } else { "it is less than half of the file" };
            return Err(ErrorShape::invalid(format!(
                "config write refused: {why}; what was sent is kept in {kept}; to mean it, edit \
                 the file by hand{}",
                if dropped { "" } else { ", or use config.apply" }
            )));
        }
        if wanted != source.raw || !source.exists {
            self.write_config(&source, &wanted).map_err(|error| {
                let path = source.path.display();
                ErrorShape::unavailable(format!("{path} cannot be written: {error}"))
            })?;
        }
        self.looked();
        let old = old_resolved(&self.config.source).clone();
        let Some(new) = new else {
            // Programs have to be asked for secrets; the load goes on when they have answered.
            let answer = json!({"ok": true, "path": source.path, "applied": false});
            self.respond_ok(conn, request, &answer, fx);
            self.reread(fx);
            return Ok(Answer::Handled);
        };
        let answer = self.written(name, op, &old, &new, params);
        self.respond_ok(conn, request, &answer, fx);
        self.take_over(new, By::Command, fx);
        Ok(Answer::Handled)
    }

    /// Edits the file on the gateway's own behalf and takes it over; true when it changed.
    ///
    /// # Errors
    /// There is no file to edit, it or what comes out is not valid, or it cannot be written.
    pub(in crate::gateway) fn edit_file(
        &mut self,
        change: impl FnOnce(&str) -> Result<String, String>,
        fx: &mut Effects,
    ) -> Result<bool, ErrorShape> {
        let (source, file) = self.config_file();
        let Some(reload) = &self.reload else {
            return Err(ErrorShape::unavailable("this gateway runs without a configuration file"));
        };
        if let Some(name) = reload.read_only() {
            return Err(ErrorShape::invalid(format!(
                "{} is managed from outside ({name}=1): nothing is written",
                source.path.display()
            )));
        }
        if file.as_ref().is_err_and(|not| not.pending.is_empty()) {
            return Err(ErrorShape::invalid(
                "config invalid; fix it first: openclaw config validate",
            ));
        }
        let wanted = change(&source.raw).map_err(ErrorShape::invalid)?;
        if wanted == source.raw {
            return Ok(false);
        }
        let new = self.config_meaning(&wanted)?;
        self.write_config(&source, &wanted).map_err(|error| {
            ErrorShape::unavailable(format!("{} cannot be written: {error}", source.path.display()))
        })?;
        self.looked();
        match new {
            Some(new) => self.take_over(new, By::Command, fx),
            None => self.reread(fx),
        }
        Ok(true)
    }

    /// The result of a write.
    fn written(&self, name: &str, op: Op, old: &Value, new: &Reloaded, params: &Params) -> Value {
        let source = &new.config.source;
        let config = redact::value(&source.resolved, &source.parsed);
        let mut answer =
            json!({"ok": true, "path": source.path, "hash": source.hash, "config": config});
        if op != Op::ConfigSet {
            let changes = plan::changes(old, &source.resolved);
            let restart = changes.iter().any(|change| change.reload == Class::Restart);
            let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
            answer["changedPaths"] = json!(paths);
            answer["sentinel"] = json!({
                "persisted": false,
                "payload": {
                    "kind": name.replace('.', "-"), "status": "ok", "ts": self.now.wall_ms,
                    "message": text(params, "note"),
                    "stats": {"mode": name, "root": source.path, "requiresRestart": restart},
                },
            });
        }
        answer
    }

    /// What a text would mean; `None` when programs must be asked before that is known.
    fn config_meaning(&mut self, wanted: &str) -> Result<Option<Reloaded>, ErrorShape> {
        let Some(reload) = &mut self.reload else { return Ok(None) };
        match reload.load(Some(wanted), &self.secrets.resolved) {
            Ok(new) => Ok(Some(new)),
            Err(not) if !not.pending.is_empty() => Ok(None),
            Err(not) => {
                let issues: Vec<Value> = not.issues.iter().map(issue_value).collect();
                let first = not.issues.first().map_or_else(
                    || not.text.clone(),
                    |issue| {
                        let path = if issue.path.is_empty() { "<root>" } else { &issue.path };
                        format!("{path}: {}", issue.message)
                    },
                );
                let error = ErrorShape::invalid(format!("invalid config: {first}"));
                Err(error.with(json!({"issues": issues})))
            }
        }
    }

    /// At most so many writes a minute for each method and caller.
    fn config_rate(&mut self, name: &'static str, conn: ConnId) -> Result<(), ErrorShape> {
        let ip = self.conns.get(conn).map(|conn| conn.peer.ip().to_canonical());
        let device = self.conns.client(conn).and_then(|client| client.device.clone());
        let who = format!(
            "{} {}",
            device.unwrap_or_default(),
            ip.map_or_else(String::new, |ip| ip.to_string())
        );
        let wait_ms = self.watch.writes.count(name, who, self.now.time);
        let Some(wait_ms) = wait_ms else { return Ok(()) };
        let mut error = ErrorShape::unavailable(format!(
            "too many {name} requests: {} in {} s are allowed; try again in {} s",
            limits::CONFIG_WRITES,
            limits::CONFIG_WRITES_MS / 1000,
            wait_ms.div_ceil(1000)
        ));
        error.retryable = Some(true);
        error.retry_after_ms = Some(wait_ms);
        Err(error)
    }

    /// The rejected text beside the file, for whoever sent it.
    fn keep_rejected(&mut self, source: &SourceInfo, wanted: &str) -> String {
        let at = self.now.wall_ms;
        match Kept::Rejected.keep(self.disk.as_mut(), &source.path, wanted.as_bytes(), at) {
            Ok(path) => path.display().to_string(),
            Err(error) => format!("no file, for none could be written ({error})"),
        }
    }

    /// Backup, then the whole file at once; the file behind a link stays behind it.
    fn write_config(&mut self, source: &SourceInfo, wanted: &str) -> std::io::Result<()> {
        let disk = self.disk.as_mut();
        let real = match disk.canonical(&source.path) {
            Ok(real) => real,
            Err(_) if !source.exists => source.path.clone(),
            Err(error) => return Err(error),
        };
        if source.exists {
            Kept::Backup.keep(disk, &source.path, source.raw.as_bytes(), 0)?;
        }
        disk.replace(&real, wanted.as_bytes())
    }
}

fn old_resolved(source: &SourceInfo) -> &Value {
    &source.resolved
}

fn mode_of(source: &SourceInfo) -> Value {
    source.resolved.pointer("/gateway/mode").cloned().unwrap_or_default()
}

/// The guard against lost edits. A first write needs none.
fn same_base(source: &SourceInfo, base: Option<&str>) -> Result<(), ErrorShape> {
    if !source.exists {
        return Ok(());
    }
    match base {
        None => Err(ErrorShape::invalid("config base hash required; re-run config.get and retry")),
        Some(base) if base != source.hash => {
            Err(ErrorShape::invalid("config changed since last load; re-run config.get and retry"))
        }
        Some(_) => Ok(()),
    }
}

/// The text that is to be the file.
fn wanted(op: Op, raw: &str, source: &SourceInfo, params: &Params) -> Result<String, ErrorShape> {
    let sent = json5::parse(raw).map_err(|error| {
        let (what, line, column) = (&error.message, error.line, error.column);
        ErrorShape::invalid(format!("SyntaxError: JSON5: {what} at {line}:{column}"))
    })?;
    if op != Op::ConfigPatch {
        return redact::restore(raw, &source.raw)
            .map_err(|what| ErrorShape::invalid(format!("invalid config: {what}")));
    }
    let replace: Vec<String> = params
        .get("replacePaths")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|path| path.as_str().map(str::to_owned))
        .collect();
    let base = if source.exists { source.raw.as_str() } else { "{}\n" };
    patch::merge(base, &sent.root.to_value(), &replace)
        .map_err(|what| ErrorShape::invalid(format!("invalid config: {what}")))
}
