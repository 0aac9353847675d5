//! What the service manager of this machine knows of our gateway: for `gateway status`, and for
//! `doctor`.
//!
//! * [`look`] fills the `service` part of `gateway status`. Without `--deep` only files are
//!   read; with it the manager is asked what runs, and other gateways' services are looked for
//!   ([`scan`]): system and user units, LaunchAgents and LaunchDaemons, scheduled tasks.
//! * [`audit`] finds every definition of this profile and how far each has drifted; pure
//!   comparison is [`crate::service::audit`], here only what needs a look at files is added.
//! * [`repair`] writes a drifted definition anew and has the manager read it; it returns what it
//!   did, line by line. It keeps a wrapper and `--allow-unconfigured`, drops a port that the
//!   configuration contradicts, and never touches drop-ins: what they cause it says.

use std::path::Path;

use serde_json::{Value, json};

use super::page::Tone;
use super::service_want::{self, Found};
use super::{Failed, place, service_run};
use crate::config::load::ErrorKind;
use crate::config::{Loaded, Paths};
use crate::limits;
use crate::service::audit::{Finding, Weight};
use crate::service::control::State;
use crate::service::{self, Manager, Service as Wanted, Written, environment};

/// What is known.
pub struct Service {
    /// The document's `service`; `runtime` is added by whoever prints it.
    pub json: Value,
    /// The document's `extraServices`.
    pub extra: Vec<Value>,
    /// Lines for people: name, value, meaning.
    pub facts: Vec<(String, String, Tone)>,
}

/// A definition of this profile and how it differs from what it should say.
#[derive(Debug, Clone)]
pub struct Audited {
    /// The definition.
    pub found: Found,
    /// What is wrong with it; nothing when all is well.
    pub findings: Vec<Finding>,
}

/// Every definition of this profile on this machine, with its drift.
pub fn audit(paths: &Paths, loaded: &Loaded) -> Vec<Audited> {
    let all = service_want::found(paths).into_iter();
    all.map(|found| Audited { findings: findings(&found, paths, loaded), found }).collect()
}

fn findings(found: &Found, paths: &Paths, loaded: &Loaded) -> Vec<Finding> {
    let Ok(wanted) = expected(found, paths, loaded) else { return Vec::new() };
    let mut findings = service::audit::audit(&found.text, &wanted);
    findings.extend(lacking(&found.written, paths, loaded));
    findings
}

/// What a definition that was found should say.
fn expected(found: &Found, paths: &Paths, loaded: &Loaded) -> Result<Wanted, Failed> {
    let account = match found.manager {
        Manager::SystemdSystem => found.written.account.clone().filter(|name| name != "root"),
        _ => None,
    };
    let mut wanted = service_want::wanted(found.manager, paths, loaded, account)?;
    // A shell of today may have other time zones and temporary directories than that of the
    // installation; only where the gateway lives counts.
    let shell = std::mem::take(&mut wanted.env);
    wanted.env = environment::carried(&found.written.env);
    match shell.get("OPENCLAW_HOME") {
        Some(home) => wanted.env.insert("OPENCLAW_HOME".to_owned(), home.clone()),
        None => wanted.env.remove("OPENCLAW_HOME"),
    };
    wanted.port = found
        .written
        .port()
        .and_then(|_| place::port(paths, None, &loaded.env, &loaded.config).ok());
    wanted.allow_unconfigured =
        found.written.command.iter().any(|word| word == "--allow-unconfigured");
    if let Some(wrapper) = found.written.env.get("OPENCLAW_WRAPPER") {
        wanted.program.clone_from(wrapper);
        wanted.env.insert("OPENCLAW_WRAPPER".to_owned(), wrapper.clone());
    }
    Ok(wanted)
}

/// Variables that the configuration refers to, that this shell has and the service would not.
pub fn lacking(written: &Written, paths: &Paths, loaded: &Loaded) -> Vec<Finding> {
    let mut env = written.env.clone();
    for name in ["HOME", "USER", "PATH"] {
        if let Some(value) = loaded.env.get(name) {
            env.insert(name.to_owned(), value.clone());
        }
    }
    let Err(error) = place::load(&place::Files::new(), &env, paths) else { return Vec::new() };
    if error.kind != ErrorKind::Reference {
        return Vec::new();
    }
    let dotenv = paths.state_dir.join(".env");
    let finding = |issue: String| Finding {
        code: "gateway-env-missing",
        message: format!(
            "The service does not have what the configuration refers to; put it into {}",
            dotenv.display()
        ),
        detail: Some(issue),
        weight: Weight::Wrong,
    };
    error.issues.iter().map(|issue| finding(issue.to_string())).collect()
}

/// Whether writing the definition again mends a finding.
pub fn mendable(finding: &Finding, found: &Found) -> bool {
    let elsewhere = finding.message.contains(".env") && finding.code == "gateway-env-missing";
    !elsewhere && found.drop_ins.is_empty()
}

/// Writes the definition anew and has the manager read it. A running gateway goes on until it
/// is restarted.
///
/// # Errors
/// When the definition cannot be made or written; the old one then stands.
pub fn repair(paths: &Paths, loaded: &Loaded, audited: &Audited) -> Result<Vec<String>, Failed> {
    let found = &audited.found;
    let mut wanted = expected(found, paths, loaded)?;
    // The configuration decides from now on, at every start.
    wanted.port = None;
    let refused = |error: service::Refused| Failed::new(error.to_string(), "");
    let text = wanted.definition().map_err(refused)?;
    super::service::write_definition(&found.path, text.as_bytes())?;
    let mut done = vec![format!("wrote {}", found.path.display())];
    let places = service_want::places(paths)?;
    let control = service_want::control(found.manager, paths, &places);
    for argv in control.forget() {
        let answer = service_run::run(&argv, limits::SERVICE_LOOK_MS);
        if !answer.well {
            done.push(format!("left to type: {}", service::control::typed(&argv)));
        }
    }
    for drop_in in &found.drop_ins {
        done.push(format!("left as it is, and stronger: {}", drop_in.display()));
    }
    done.push("in force after: openclaw gateway restart --force".to_owned());
    Ok(done)
}

/// Looks for an installed service of this profile; `deep` asks the manager and looks for others.
pub fn look(paths: &Paths, loaded: &Loaded, deep: bool) -> Service {
    let all = audit(paths, loaded);
    let manager = all.first().map_or_else(|| Manager::here(false), |it| it.found.manager);
    let name = manager.name(paths.profile.as_deref());
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String, tone| facts.push((name.to_owned(), value, tone));
    let (on, off) = manager.words();
    let Some(Audited { found, findings }) = all.first() else {
        fact("Service", format!("{name}: not installed"), Tone::Plain);
        return Service { json: absent(manager, &name), extra: extra(paths, deep), facts };
    };
    let state = if deep { asked(found, paths) } else { None };
    let enabled = service_want::enabled(found)
        .or_else(|| state.as_ref().and_then(|state| state.enabled.or(Some(state.known))));
    let word = match enabled {
        Some(true) => on,
        Some(false) => off,
        None => "installed",
    };
    fact("Service", format!("{name} ({}): {word}", manager.label()), Tone::Plain);
    fact("Definition", place::tilde(&found.path.display().to_string()), Tone::Plain);
    if let Some(state) = state.as_ref().filter(|state| state.known) {
        let pid = state.pid.map_or_else(String::new, |pid| format!(", pid {pid}"));
        fact("Service state", format!("{}{pid}", state.words), Tone::of(state.running));
        if state.stale {
            let reload = "changed on disk; systemctl --user daemon-reload takes it in";
            fact("Systemd reload", format!("pending: {reload}"), Tone::Warn);
        }
    }
    for finding in findings {
        let detail = finding.detail.as_ref().map_or_else(String::new, |it| format!(" ({it})"));
        fact("Service drift", format!("{}{detail}", finding.message), Tone::Warn);
    }
    for other in all.iter().skip(1) {
        let place = other.found.path.display();
        fact("Also installed", format!("{} at {place}", other.found.manager.label()), Tone::Warn);
    }
    let json = json!({
        "label": manager.label(),
        "name": name,
        "installed": true,
        "loaded": enabled.unwrap_or(false),
        "loadState": {"status": if enabled == Some(true) { "loaded" } else { "not-loaded" }},
        "loadedText": on,
        "notLoadedText": off,
        "targetRole": "diagnostic-only",
        "command": command(found),
        "managerState": state.as_ref().map(|state| json!({
            "known": state.known, "running": state.running, "pid": state.pid,
            "detail": state.words, "reloadPending": state.stale,
        })),
        "configAudit": {
            "ok": findings.is_empty(),
            "issues": findings.iter().map(|it| json!({
                "code": it.code, "message": it.message, "detail": it.detail,
                "level": it.weight.as_str(),
            })).collect::<Vec<_>>(),
        },
    });
    Service { json, extra: extra(paths, deep), facts }
}

fn extra(paths: &Paths, deep: bool) -> Vec<Value> {
    if deep { scan(paths) } else { Vec::new() }
}

fn absent(manager: Manager, name: &str) -> Value {
    let (on, off) = manager.words();
    json!({
        "label": manager.label(), "name": name, "installed": false, "loaded": false,
        "loadState": {"status": "not-installed"}, "loadedText": on, "notLoadedText": off,
        "targetRole": "diagnostic-only", "command": null,
        "configAudit": {"ok": true, "issues": []},
    })
}

/// The reference's `service.command`, without the value of anything that may be a secret.
fn command(found: &Found) -> Value {
    let secret =
        |name: &str, value: &str| environment::is_secret(name) || environment::looks_secret(value);
    let env: serde_json::Map<String, Value> = found
        .written
        .env
        .iter()
        .map(|(name, value)| {
            (name.clone(), json!(if secret(name, value) { "***" } else { value.as_str() }))
        })
        .collect();
    let mut hide = false;
    let words: Vec<String> = found
        .written
        .command
        .iter()
        .map(|word| {
            let flag = word.split('=').next().unwrap_or_default();
            let named = ["--token", "--password"].contains(&flag);
            match (std::mem::replace(&mut hide, named && flag == word), named && flag != word) {
                (true, _) => "***".to_owned(),
                (_, true) => format!("{flag}=***"),
                _ => word.clone(),
            }
        })
        .collect();
    json!({"programArguments": words, "environment": env, "sourcePath": found.path})
}

/// What the manager says, if it can be asked.
pub fn asked(found: &Found, paths: &Paths) -> Option<State> {
    let places = service_want::places(paths).ok()?;
    let control = service_want::control(found.manager, paths, &places);
    let answer = service_run::run(&control.look(), limits::SERVICE_LOOK_MS);
    answer.well.then(|| State::read(found.manager, &answer.out))
}

/// Services of other gateways on this machine, ours of this profile left out: the reference's
/// `extraServices`.
pub fn scan(paths: &Paths) -> Vec<Value> {
    let Ok(places) = service_want::places(paths) else { return Vec::new() };
    let managers = match Manager::here(false) {
        Manager::LaunchAgent => vec![Manager::LaunchAgent, Manager::LaunchDaemon],
        Manager::ScheduledTask => return tasks(paths),
        _ => vec![Manager::SystemdUser, Manager::SystemdSystem],
    };
    let mut all = Vec::new();
    for manager in managers {
        let own = manager.place(paths.profile.as_deref(), &places);
        for dir in manager.directories(&places) {
            let mut names: Vec<_> = std::fs::read_dir(&dir)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| {
                    path.extension().is_some_and(|ext| ext == "service" || ext == "plist")
                })
                .collect();
            names.sort();
            for path in names.into_iter().take(limits::SERVICE_FILES) {
                if path != Path::new(&own)
                    && let Some(marker) = gateway_like(manager, &path)
                {
                    let label = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                    all.push(json!({
                        "platform": manager.platform(), "label": label,
                        "detail": format!("unit: {}", path.display()),
                        "scope": manager.scope(), "marker": marker,
                        "legacy": marker != "openclaw",
                    }));
                }
            }
        }
    }
    all
}

/// Whether a definition starts a gateway of this kind, and by which of its names.
fn gateway_like(manager: Manager, path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    let marker = |text: &str| {
        ["openclaw", "clawdbot", "moltbot"].into_iter().find(|marker| text.contains(marker))
    };
    // A node host is no gateway.
    if name.contains("-node") || name.contains(".node") {
        return None;
    }
    let text = service_want::definition_text(path)?;
    let written = Written::read(manager, &text);
    let marked = written.env.get(service::MARKER.0).is_some_and(|it| it == service::MARKER.1);
    if marked {
        let kind = written.env.get("OPENCLAW_SERVICE_KIND").map_or("gateway", String::as_str);
        return (kind == "gateway").then_some("openclaw");
    }
    let command = written.command.join(" ").to_ascii_lowercase();
    written.is_gateway().then(|| marker(&command).or_else(|| marker(&name))).flatten()
}

/// Scheduled tasks that start a gateway, by name.
fn tasks(paths: &Paths) -> Vec<Value> {
    let argv = ["schtasks", "/Query", "/FO", "CSV", "/NH"].map(str::to_owned);
    let answer = service_run::run(&argv, limits::SERVICE_LOOK_MS);
    let own = Manager::ScheduledTask.name(paths.profile.as_deref());
    let names = answer.out.lines().filter_map(|line| {
        let name = line.split("\",\"").next()?.trim_matches(['"', '\\']);
        (name.starts_with("OpenClaw Gateway") && name != own).then(|| name.to_owned())
    });
    let mut names: Vec<String> = names.take(limits::SERVICE_FILES).collect();
    names.dedup();
    names
        .into_iter()
        .map(|name| {
            json!({"platform": "win32", "label": name, "detail": format!("task: {name}"),
                "scope": "user", "marker": "openclaw", "legacy": false})
        })
        .collect()
}
