//! How far a definition has drifted from what it should say: a pure comparison of its text with
//! a [`Service`]. The repair of every finding is the same: write [`Service::definition`] again
//! and have the manager read it (`openclaw gateway install --force`, `openclaw doctor --fix`).
//!
//! Codes are the reference's where it has one.

use super::{Manager, Service, Written, environment};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The gateway works, but worse than it could: the reference's `recommended`.
    Recommended,
    /// It starts something else, elsewhere, or gives a secret away: `aggressive`.
    Wrong,
}

impl Weight {
    /// The reference's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recommended => "recommended",
            Self::Wrong => "aggressive",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable code.
    pub code: &'static str,
    /// What is wrong, for people; never the value of a secret.
    pub message: String,
    /// What was found and what was expected, where it helps.
    pub detail: Option<String>,
    /// How much it matters.
    pub weight: Weight,
}

/// Everything in which a definition differs from what `wanted` would have written, in the order
/// in which it matters; nothing for [`Service::definition`] itself.
pub fn audit(text: &str, wanted: &Service) -> Vec<Finding> {
    let written = Written::read(wanted.manager, text);
    let mut found = Vec::new();
    let mut add = |weight, code, message: &str, detail: Option<String>| {
        found.push(Finding { code, message: message.to_owned(), detail, weight });
    };
    if !written.is_gateway() {
        let program = written.command.first().cloned();
        let message = "The service does not run the gateway command";
        add(Weight::Wrong, "gateway-command-missing", message, program);
    }
    let differs = |was: &str, should: &str| Some(format!("{was} -> {should}"));
    let program = written.command.first().map_or("", String::as_str);
    if program != wanted.program && !program.is_empty() {
        let message = "The service runs another program than this one";
        let detail = differs(program, &wanted.program);
        add(Weight::Wrong, "gateway-entrypoint-mismatch", message, detail);
    }
    if written.profile() != wanted.profile.as_deref() {
        let name = |profile: Option<&str>| profile.unwrap_or("default").to_owned();
        let detail = differs(&name(written.profile()), &name(wanted.profile.as_deref()));
        let message = "The service runs another profile";
        add(Weight::Wrong, "gateway-profile-mismatch", message, detail);
    }
    // A port in the definition wins over the configuration; `wanted` says which one is right.
    if let (Some(was), Some(should)) = (written.port(), wanted.port)
        && was != should
    {
        let message = "The service's port does not match the gateway configuration";
        let detail = differs(&was.to_string(), &should.to_string());
        add(Weight::Wrong, "gateway-port-mismatch", message, detail);
    }
    secrets(&written, &mut add);
    for (name, value) in wanted.environment() {
        // These say who wrote it, not what runs.
        let label = name.starts_with("OPENCLAW_SERVICE_")
            || ["OPENCLAW_SYSTEMD_UNIT", "OPENCLAW_LAUNCHD_LABEL", "OPENCLAW_WINDOWS_TASK_NAME"]
                .contains(&name.as_str());
        // The profile has a finding of its own, and may stand in the command instead.
        if label || name == "OPENCLAW_PROFILE" {
            continue;
        }
        match written.env.get(&name) {
            None => {
                let message = "The service lacks a variable that the gateway needs";
                add(Weight::Wrong, "gateway-env-missing", message, Some(name));
            }
            Some(was) if *was != value => {
                let message = "A variable of the service differs from this shell's";
                let detail = Some(format!("{name}: {was} -> {value}"));
                add(Weight::Wrong, "gateway-env-mismatch", message, detail);
            }
            Some(_) => {}
        }
    }
    policy(&written, wanted, &mut add);
    found
}

type Add<'a> = dyn FnMut(Weight, &'static str, &str, Option<String>) + 'a;

/// Secrets inside a definition, by name or by what the value looks like. Only names are shown.
fn secrets(written: &Written, add: &mut Add<'_>) {
    for (name, value) in &written.env {
        let (code, what) = match name.as_str() {
            "OPENCLAW_GATEWAY_TOKEN" => ("gateway-token-embedded", "the gateway's token"),
            "OPENCLAW_GATEWAY_PASSWORD" => ("gateway-password-embedded", "the gateway's password"),
            name if name.to_ascii_uppercase().ends_with("_PROXY") => {
                ("gateway-proxy-env-embedded", "the address of a proxy")
            }
            name if environment::is_secret(name) || environment::looks_secret(value) => {
                ("gateway-managed-env-embedded", "a secret")
            }
            _ => continue,
        };
        if !value.is_empty() {
            let message = format!(
                "The service's definition holds {what}; others can read it. It belongs into .env \
                 of the state directory"
            );
            add(Weight::Wrong, code, &message, Some(name.clone()));
        }
    }
    let mut words = written.command.iter();
    while let Some(word) = words.next() {
        let code = match word.split('=').next() {
            Some("--token") => "gateway-token-embedded",
            Some("--password") => "gateway-password-embedded",
            _ => continue,
        };
        let message = "The service's command line holds a secret; every user can read it";
        add(Weight::Wrong, code, message, Some(word.split('=').next().unwrap_or("").to_owned()));
        if !word.contains('=') {
            words.next();
        }
    }
}

/// Restarts, stops and starts.
fn policy(written: &Written, wanted: &Service, add: &mut Add<'_>) {
    let needed = wanted.budget.stop_timeout_secs();
    let systemd = matches!(wanted.manager, Manager::SystemdUser | Manager::SystemdSystem);
    let launchd = matches!(wanted.manager, Manager::LaunchAgent | Manager::LaunchDaemon);
    // What the managers wait when nothing is said.
    let silent = if systemd { 90 } else { 20 };
    let patience = written.stop_timeout_secs.unwrap_or(silent);
    if (systemd || launchd) && patience < needed {
        let code = if systemd { "systemd-stop-timeout" } else { "launchd-exit-timeout" };
        let message = "The service manager kills the gateway before its shutdown budget is over";
        let detail = Some(format!("{patience} s -> {needed} s"));
        add(Weight::Recommended, code, message, detail);
    }
    if !written.restarts {
        let code = match (systemd, launchd) {
            (true, _) => "systemd-restart",
            (_, true) => "launchd-keep-alive",
            _ => "schtasks-restart",
        };
        add(Weight::Recommended, code, "The service is not started again after a crash", None);
    }
    if !written.starts_by_itself {
        let code = if launchd { "launchd-run-at-load" } else { "service-autostart" };
        add(Weight::Recommended, code, "The service does not start by itself", None);
    }
    if systemd && written.kill_mode.as_deref() != Some("mixed") {
        let (code, message) = match written.kill_mode.as_deref() {
            Some("process" | "none") => (
                "systemd-kill-mode-process-or-none",
                "Commands of the gateway outlive it: KillMode should be mixed",
            ),
            _ => (
                "systemd-kill-mode-control-group",
                "A stop ends the gateway's commands at once: KillMode should be mixed",
            ),
        };
        add(Weight::Recommended, code, message, written.kill_mode.clone());
    }
    if wanted.manager == Manager::SystemdSystem && written.account != wanted.account {
        let name = |account: &Option<String>| account.clone().unwrap_or_else(|| "root".to_owned());
        let message = "The service runs as another account";
        let detail = Some(format!("{} -> {}", name(&written.account), name(&wanted.account)));
        add(Weight::Wrong, "service-account-mismatch", message, detail);
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
