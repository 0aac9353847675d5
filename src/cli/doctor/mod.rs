//! `openclaw doctor`: what is wrong with this profile on this machine, and its repair.
//!
//! ```text
//!   Here (places, configuration, who runs) --> checks, one file each --> findings
//!        --> people | --json | --lint          nothing was written
//!        --> --fix --> repair --> the checks once more
//! ```
//!
//! Looking writes nothing and starts no program of the user's. Postures and exit codes are the
//! reference's: `doctor` and bare `--json` are advice (0), `--lint` is a gate (1 when something
//! reaches `--severity-min`, 2 when the words are wrong), `--fix` fails (1) when a repair does.

mod auth;
mod channels;
mod config;
mod cron;
mod documents;
mod finding;
mod gateway;
mod here;
mod host;
mod legacy;
mod models;
mod repair;
mod secrets;
mod service;
mod sessions;
mod state;
mod workspaces;

use serde_json::json;

use super::page::{Page, Tone};
use super::table::Args;
use super::{Failed, belongings, out};
pub use auth::Fault;
pub use finding::Severity;
use finding::{Finding, Repair};
use here::Here;

/// One check.
struct Check {
    /// Its id, the reference's where it has one.
    id: &'static str,
    /// What it finds.
    run: fn(&Here<'_>) -> Vec<Finding>,
}

/// Every check, in the order in which one depends on another.
const CHECKS: &[Check] = &[
    Check { id: "core/doctor/final-config-validation", run: config::validation },
    Check { id: "core/doctor/gateway-config", run: config::mode },
    Check { id: "core/doctor/gateway-auth", run: auth::check },
    Check { id: "core/doctor/secret-refs", run: secrets::check },
    Check { id: "core/doctor/state-integrity", run: state::check },
    Check { id: "core/doctor/state-documents", run: documents::check },
    Check { id: "core/doctor/session-transcripts", run: sessions::check },
    Check { id: "core/doctor/cron-store", run: cron::check },
    Check { id: "core/doctor/channel-dead-letters", run: channels::check },
    Check { id: "core/doctor/workspace-status", run: workspaces::check },
    Check { id: "core/doctor/model-references", run: models::check },
    Check { id: "core/doctor/gateway-health", run: gateway::check },
    Check { id: "core/doctor/gateway-daemon", run: service::check },
    Check { id: "core/doctor/clock", run: host::clock },
    Check { id: "core/doctor/disk-space", run: host::disk },
    Check { id: "core/doctor/file-limits", run: host::files },
];

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Posture {
    /// Read-only advice for people.
    Guided,
    /// Read-only advice for programs.
    Advice,
    /// A gate.
    Lint,
    /// Repairs.
    Fix,
}

/// Runs the command.
///
/// # Errors
/// When flags contradict each other, or there is no home.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let posture = posture(args)?;
    if args.has("post-upgrade") {
        // There are no plugins that an upgrade could break.
        if args.has("json") {
            out::json(&json!({"probesRun": 0, "findings": []}));
        } else {
            out::line("No plugins are part of this program: nothing to probe.");
        }
        return Ok(0);
    }
    let here = Here::look(args)?;
    let selection = Selection::of(args);
    let mut report = selection.run(&here);
    match posture {
        Posture::Guided if report.repairs() > 0 && belongings::interactive(args) => {
            report.print(args, &here);
            let question = "Apply the recommended repairs now? [y/N] ";
            if !belongings::asked(question, "n").eq_ignore_ascii_case("y") {
                return Ok(0);
            }
            mend(args, &here, &selection, &report)
        }
        Posture::Fix => {
            if args.has("generate-gateway-token") {
                report.findings.extend(new_token(&here)?);
            }
            mend(args, &here, &selection, &report)
        }
        Posture::Guided => {
            report.print(args, &here);
            Ok(0)
        }
        Posture::Advice | Posture::Lint => {
            let low = args.value("severity-min").and_then(Severity::of);
            let low = low.unwrap_or(Severity::Warning);
            report.findings.retain(|finding| finding.severity >= low);
            let found = !report.findings.is_empty();
            if args.has("json") {
                out::line(&report.json().to_string());
            } else {
                report.print_lint(args);
            }
            Ok(u8::from(found && posture == Posture::Lint))
        }
    }
}

fn posture(args: &Args) -> Result<Posture, Failed> {
    let wrong = |what: &str| Failed { code: 2, ..Failed::new(what, "openclaw doctor --help") };
    let fix = ["fix", "repair", "yes", "generate-gateway-token"];
    let fix: Vec<&str> = fix.into_iter().filter(|flag| args.has(flag)).collect();
    let lint = args.has("lint");
    if (lint || args.has("json"))
        && let Some(flag) = fix.first().copied().or(args.has("force").then_some("force"))
    {
        let what = format!("--{flag} changes things; --lint and --json only look");
        return Err(wrong(&what));
    }
    let only_lint =
        ["severity-min", "only", "skip"].into_iter().find(|it| args.value(it).is_some());
    if let Some(flag) = only_lint.or(args.has("all").then_some("all")).filter(|_| !lint) {
        return Err(wrong(&format!("--{flag} belongs to --lint")));
    }
    Ok(match (lint, !fix.is_empty(), args.has("json")) {
        (true, ..) => Posture::Lint,
        (_, true, _) => Posture::Fix,
        (_, _, true) => Posture::Advice,
        _ => Posture::Guided,
    })
}

/// Which checks run.
struct Selection {
    only: Vec<String>,
    skip: Vec<String>,
}

impl Selection {
    fn of(args: &Args) -> Self {
        let list = |flag| {
            let ids = args.value(flag).unwrap_or_default().split(',');
            ids.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect()
        };
        Self { only: list("only"), skip: list("skip") }
    }

    fn takes(&self, id: &str) -> bool {
        let names = |list: &[String]| list.iter().any(|one| one == id);
        (self.only.is_empty() || names(&self.only)) && !names(&self.skip)
    }

    fn run(&self, here: &Here<'_>) -> Report {
        let chosen: Vec<&Check> = CHECKS.iter().filter(|check| self.takes(check.id)).collect();
        let mut findings: Vec<Finding> = self
            .only
            .iter()
            .filter(|id| !CHECKS.iter().any(|check| check.id == **id))
            .map(|id| {
                let message = format!("there is no check {id}");
                let found = Finding::new("core/doctor/lint-selection", Severity::Error, message)
                    .at("--only");
                found.hint("openclaw doctor --lint --json names those that find something")
            })
            .collect();
        findings.extend(chosen.iter().flat_map(|check| (check.run)(here)));
        Report { ran: chosen.len(), skipped: CHECKS.len() - chosen.len(), findings }
    }
}

/// What the checks came to.
struct Report {
    ran: usize,
    skipped: usize,
    findings: Vec<Finding>,
}

impl Report {
    fn repairs(&self) -> usize {
        self.findings.iter().filter(|finding| finding.repair.is_some()).count()
    }

    /// `ok` is what `--lint` decides by.
    fn json(&self) -> serde_json::Value {
        let findings: Vec<_> = self.findings.iter().map(Finding::json).collect();
        json!({
            "schemaVersion": 1,
            "ok": findings.is_empty(),
            "checksRun": self.ran,
            "checksSkipped": self.skipped,
            "findings": findings,
        })
    }

    fn print_lint(&self, args: &Args) {
        let mut page = Page::new(args);
        let (ran, found) = (self.ran, self.findings.len());
        page.line(&format!("doctor --lint: ran {ran} check(s), {found} finding(s)"), Tone::Plain);
        self.list(&mut page);
        page.print();
    }

    fn print(&self, args: &Args, here: &Here<'_>) {
        let mut page = Page::new(args);
        page.title("OpenClaw doctor");
        let bad = self.findings.iter().filter(|it| it.severity > Severity::Info).count();
        let (text, tone) = match bad {
            0 => (format!("{} checks, no problems found.", self.ran), Tone::Good),
            1 => (format!("{} checks, 1 problem.", self.ran), Tone::Warn),
            bad => (format!("{} checks, {bad} problems.", self.ran), Tone::Warn),
        };
        page.line(&text, tone);
        self.list(&mut page);
        if self.repairs() > 0 {
            page.next(&here.command("doctor --fix"));
        }
        page.print();
    }

    fn list(&self, page: &mut Page) {
        for finding in &self.findings {
            let tone = match finding.severity {
                Severity::Info => Tone::Plain,
                Severity::Warning => Tone::Warn,
                Severity::Error => Tone::Bad,
            };
            let (line, hint) = finding.lines();
            page.line(&line, tone);
            if let Some(hint) = hint {
                page.line(&hint, Tone::Dim);
            }
        }
    }
}

/// `--generate-gateway-token`: a new one in the file, unless a reference is kept elsewhere.
fn new_token(here: &Here<'_>) -> Result<Option<Finding>, Failed> {
    let Ok(loaded) = &here.loaded else { return Ok(None) };
    if !loaded.config.source.exists {
        let what = format!("there is no {}", here.paths.config_path.display());
        return Err(Failed::new(what, here.command("setup")));
    }
    let written = loaded.config.source.authored.pointer("/gateway/auth/token");
    let elsewhere = written.is_some_and(|it| it.as_str().is_none_or(crate::config::is_reference));
    if elsewhere {
        let what = "gateway.auth.token is a reference; its secret is rotated where it is kept";
        out::line(what);
        return Ok(None);
    }
    let found = Finding::new("core/doctor/gateway-auth", Severity::Info, "a new token");
    Ok(Some(found.repair(Repair::Token)))
}

/// Repairs, looks again, and says what is left.
fn mend(
    args: &Args,
    here: &Here<'_>,
    selection: &Selection,
    before: &Report,
) -> Result<u8, Failed> {
    let mut outcome = repair::all(here, &before.findings);
    let mut after = Here::look(args)?;
    let mut report = selection.run(&after);
    // A file that can be read again shows what could not be seen before: one more round.
    if report.repairs() > 0 && outcome.failed.is_empty() {
        let more = repair::all(&after, &report.findings);
        outcome.done.extend(more.done);
        outcome.failed.extend(more.failed);
        after = Here::look(args)?;
        report = selection.run(&after);
    }
    let mut page = Page::new(args);
    page.title("Repaired");
    if outcome.done.is_empty() {
        page.line("Nothing needed it.", Tone::Plain);
    }
    for done in &outcome.done {
        page.line(&format!("  {done}"), Tone::Good);
    }
    for failed in &outcome.failed {
        page.line(&format!("  failed: {failed}"), Tone::Bad);
    }
    page.print();
    out::line("");
    // Each repair was tried once; what is left of its kind needs somebody.
    let left = report.findings.iter().any(|it| it.repair.is_some() && it.severity > Severity::Info);
    for finding in &mut report.findings {
        finding.repair = None;
    }
    report.print(args, &after);
    Ok(u8::from(left || !outcome.failed.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_apart() {
        for (at, check) in CHECKS.iter().enumerate() {
            assert!(!CHECKS.iter().skip(at + 1).any(|other| other.id == check.id), "{}", check.id);
        }
    }

    #[test]
    fn a_report_has_the_reference_shape() {
        let found = Finding::new("core/doctor/gateway-config", Severity::Warning, "unset")
            .at("gateway.mode")
            .hint("set it");
        let report = Report { ran: 5, skipped: 1, findings: vec![found] };
        let want = json!({"schemaVersion": 1, "ok": false, "checksRun": 5, "checksSkipped": 1,
            "findings": [{"checkId": "core/doctor/gateway-config", "severity": "warning",
                "message": "unset", "path": "gateway.mode", "fixHint": "set it"}]});
        assert_eq!(report.json(), want);
        let none = Report { ran: 1, skipped: 0, findings: Vec::new() };
        assert_eq!(none.json()["ok"], true);
    }
}
