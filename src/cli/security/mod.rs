//! `openclaw security audit`: what about this profile would help somebody who means harm.
//!
//! ```text
//!   configuration --> exposure, hooks, tools, channels   pure judgements, one file each
//!   modes on disk --> files
//!   --deep        --> one look at the running gateway
//!        --> suppressions --> people | --json; --fix takes the rights of others away
//! ```
//!
//! Ids, severities and shapes are the reference's where the check is. It reads; with `--fix` it
//! changes modes and open group policies, never a secret, an address or who may come in.

mod channels;
mod exposure;
mod files;
mod fix;
mod hooks;
mod tools;

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{PROBE, Target};
use super::page::{Page, Tone};
use super::table::Args;
use super::{Failed, belongings, out, place, probing};
use crate::config::credentials::{self, Given};
use crate::config::secrets::Need;
use crate::config::{AuthMode, Bind, Config, Loaded, Paths, Secret};
use crate::limits;

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Worth knowing.
    Info,
    /// To be narrowed.
    Warn,
    /// To be mended now.
    Critical,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Critical => "critical",
        }
    }

    /// Critical when strangers can reach it.
    const fn when(exposed: bool) -> Self {
        if exposed { Self::Critical } else { Self::Warn }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    id: String,
    severity: Severity,
    title: &'static str,
    detail: String,
    remedy: String,
}

/// A finding.
fn found(
    id: impl Into<String>,
    severity: Severity,
    title: &'static str,
    detail: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    Finding { id: id.into(), severity, title, detail: detail.into(), remedy: remedy.into() }
}

impl Finding {
    fn json(&self) -> Value {
        let mut value = json!({
            "checkId": self.id, "severity": self.severity.as_str(), "title": self.title,
            "detail": self.detail,
        });
        if !self.remedy.is_empty() {
            value["remediation"] = json!(self.remedy);
        }
        value
    }
}

/// What the judgements are about.
pub(super) struct Facts<'a> {
    config: &'a Config,
    /// After `${VAR}`, as written.
    file: &'a Value,
    /// The kind of credential in force.
    mode: AuthMode,
    token: Option<Secret>,
    password: Option<Secret>,
    /// The port is open beyond this machine.
    exposed: bool,
}

impl<'a> Facts<'a> {
    fn of(args: &Args, loaded: &'a Loaded, paths: &Paths) -> Self {
        let config = &*loaded.config;
        let secret = |flag| args.value(flag).map(|text| Secret::new(text.to_owned()));
        let given = Given { token: secret("token"), password: secret("password") };
        let known = credentials::server(config, &loaded.env, &given);
        let token = known.token.map(|it| it.secret).or(place::kept_token(paths).ok().flatten());
        let password = known.password.map(|it| it.secret);
        let typed = args.value("auth").and_then(AuthMode::parse);
        let mode = typed.or(config.gateway.auth.mode).unwrap_or(match (&token, &password) {
            (None, Some(_)) => AuthMode::Password,
            _ => AuthMode::Token,
        });
        let near = place::bind_address(config.gateway.bind, config)
            .is_ok_and(|ip| ip.to_canonical().is_loopback());
        let exposed = !near || matches!(config.gateway.bind, Bind::Tailnet);
        Self { config, file: &config.source.resolved, mode, token, password, exposed }
    }

    /// A value of the file by its JSON pointer.
    fn at(&self, pointer: &str) -> &Value {
        self.file.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Whether callers must show something.
    fn guarded(&self) -> bool {
        match self.mode {
            AuthMode::Token => self.token.is_some(),
            AuthMode::Password => self.password.is_some(),
            AuthMode::TrustedProxy => true,
            AuthMode::None => false,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When the configuration cannot be read: nothing can be said of it then.
pub fn audit(args: &Args) -> Result<u8, Failed> {
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let load = || {
        place::load_with_programs(&place::Files::new(), &env, &paths, Need::Look)
            .map_err(|error| Failed::config(error.to_string(), "openclaw doctor"))
    };
    let mut loaded = load()?.0;
    let fixed = args.has("fix").then(|| fix::all(&paths, &loaded));
    if fixed.is_some() {
        loaded = load()?.0;
    }
    let report = Report::of(args, &paths, &loaded);
    match (args.has("json"), &fixed) {
        (true, Some(fixed)) => out::json(&json!({"fix": fixed.json(), "report": report.json()})),
        (true, None) => out::json(&report.json()),
        (false, fixed) => {
            let mut page = Page::new(args);
            if let Some(fixed) = fixed {
                fixed.lines(&mut page);
            }
            report.lines(&mut page, args);
            page.print();
        }
    }
    Ok(u8::from(fixed.is_some_and(|fixed| !fixed.ok())))
}

/// What an audit came to.
struct Report {
    at_ms: u64,
    findings: Vec<Finding>,
    suppressed: Vec<Finding>,
    diagnostics: Vec<String>,
    deep: Option<Value>,
}

impl Report {
    fn of(args: &Args, paths: &Paths, loaded: &Loaded) -> Self {
        let facts = Facts::of(args, loaded, paths);
        let mut findings = vec![summary(&facts)];
        findings.extend(exposure::judge(&facts));
        findings.extend(hooks::judge(&facts));
        findings.extend(tools::judge(&facts));
        findings.extend(channels::judge(&facts));
        findings.extend(files::check(paths, &loaded.config));
        let broken = loaded.config.secrets.iter().filter(|one| one.inactive.is_none());
        let broken = broken.filter_map(|one| Some(format!("{}: {}", one.path, one.why.as_ref()?)));
        let diagnostics: Vec<String> = broken.collect();
        let deep = args.has("deep").then(|| probe(args, paths, loaded, &mut findings));
        let (findings, suppressed) = suppress(&facts, findings);
        Self { at_ms: belongings::now_ms(), findings, suppressed, diagnostics, deep }
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    fn json(&self) -> Value {
        let list = |all: &[Finding]| all.iter().map(Finding::json).collect::<Vec<_>>();
        let mut value = json!({
            "ts": self.at_ms,
            "summary": {
                "critical": self.count(Severity::Critical), "warn": self.count(Severity::Warn),
                "info": self.count(Severity::Info),
            },
            "findings": list(&self.findings),
            "secretDiagnostics": self.diagnostics,
        });
        if !self.suppressed.is_empty() {
            value["suppressedFindings"] = json!(list(&self.suppressed));
        }
        if let Some(deep) = &self.deep {
            value["deep"] = deep.clone();
        }
        value
    }

    fn lines(&self, page: &mut Page, args: &Args) {
        let [critical, warn, info] =
            [Severity::Critical, Severity::Warn, Severity::Info].map(|it| self.count(it));
        page.title("OpenClaw security audit");
        let tone = if critical > 0 { Tone::Bad } else { Tone::Plain };
        page.line(&format!("Summary: {critical} critical, {warn} warn, {info} info"), tone);
        let groups = [
            (Severity::Critical, "CRITICAL", Tone::Bad),
            (Severity::Warn, "WARN", Tone::Warn),
            (Severity::Info, "INFO", Tone::Plain),
        ];
        for (severity, head, tone) in groups {
            let mut group = self.findings.iter().filter(|it| it.severity == severity).peekable();
            if group.peek().is_some() {
                page.title(head);
            }
            for finding in group {
                page.line(&format!("{} {}", finding.id, finding.title), tone);
                for line in finding.detail.lines() {
                    page.line(&format!("  {line}"), Tone::Plain);
                }
                if !finding.remedy.is_empty() {
                    page.line(&format!("  Fix: {}", finding.remedy), Tone::Dim);
                }
            }
        }
        for one in &self.diagnostics {
            page.line(&format!("Not resolved: {one}"), Tone::Warn);
        }
        if !self.suppressed.is_empty() {
            let hidden = self.suppressed.len();
            page.line(&format!("{hidden} findings are suppressed; --json shows them."), Tone::Dim);
        }
        if self.deep.is_none() {
            page.next(&format!("{} security audit --deep", belongings::program(args)));
        }
    }
}

fn summary(facts: &Facts<'_>) -> Finding {
    let on = |on: bool| if on { "enabled" } else { "disabled" };
    let (open, listed) = channels::groups(facts);
    let detail = format!(
        "groups: open={open}, allowlist={listed}\ngateway auth: {}\nreach: {}\n\
         hooks.webhooks: {}\ncontrol page: {}\nexec: security={}, ask={}",
        facts.mode.as_str(),
        if facts.exposed { "beyond this machine" } else { "this machine only" },
        on(facts.config.hooks.enabled),
        on(facts.config.gateway.control_ui.enabled),
        facts.config.exec.security.as_str(),
        facts.config.exec.ask.as_str(),
    );
    found("summary.attack_surface", Severity::Info, "Attack surface summary", detail, "")
}

/// `--deep`: one look at the running gateway.
fn probe(args: &Args, paths: &Paths, loaded: &Loaded, findings: &mut Vec<Finding>) -> Value {
    let target = match Target::configured(args, paths, loaded) {
        Ok(target) => target,
        Err(failed) => {
            return json!({"gateway": {"attempted": false, "ok": false, "error": failed.what}});
        }
    };
    let broken = loaded.config.secrets.iter().any(|one| {
        one.path.starts_with("gateway.auth.") && one.inactive.is_none() && one.value.is_none()
    });
    if broken {
        let id = "gateway.probe_auth_secretref_unavailable";
        let detail = "The gateway's credential is a SecretRef that cannot be resolved here, so the \
                      look at the gateway may be refused.";
        let remedy = "Resolve it, or pass --token or --password.";
        findings.push(found(id, Severity::Warn, "Gateway credential unavailable", detail, remedy));
    }
    let patience = Duration::from_millis(limits::DOCTOR_PROBE_MS);
    let seen = probing::look(&target, PROBE, &[], patience);
    if let Err(trouble) = &seen {
        let detail = format!("{}: {}", target.shown(), trouble.short());
        let remedy = "openclaw gateway status --deep";
        let title = "The gateway did not answer";
        findings.push(found("gateway.probe_failed", Severity::Warn, title, detail, remedy));
    }
    let error = seen.as_ref().err().map(super::trouble::Trouble::short);
    json!({"gateway": {
        "attempted": true, "url": target.shown(), "ok": seen.is_ok(), "error": error,
        "close": null,
    }})
}

/// Takes out what the operator accepted (`security.audit.suppressions`); that something was
/// taken out is itself said and cannot be.
fn suppress(facts: &Facts<'_>, all: Vec<Finding>) -> (Vec<Finding>, Vec<Finding>) {
    let rules = facts.at("/security/audit/suppressions").as_array().cloned().unwrap_or_default();
    if rules.is_empty() {
        return (all, Vec::new());
    }
    let holds = |text: &str, part: &Value| {
        let part = part.as_str().unwrap_or_default().to_lowercase();
        text.to_lowercase().contains(&part)
    };
    let accepted = |one: &Finding| {
        rules.iter().any(|rule| {
            rule["checkId"] == one.id.as_str()
                && holds(one.title, &rule["titleIncludes"])
                && holds(&one.detail, &rule["detailIncludes"])
        })
    };
    let (suppressed, mut left): (Vec<_>, Vec<_>) = all.into_iter().partition(accepted);
    let detail = format!("{} rules, {} findings taken out", rules.len(), suppressed.len());
    let id = "security.audit.suppressions.active";
    left.push(found(id, Severity::Info, "Suppressions are active", detail, ""));
    (left, suppressed)
}

#[cfg(test)]
#[path = "security_tests.rs"]
mod tests;
