//! `openclaw gateway install`, `uninstall` and `start`: the service of this profile, by the
//! definitions and commands of room `service`.
//!
//! ```text
//!   install: may it start? -> definition -> written -> manager reads, enables, starts it
//!                                              \-> no manager to be asked: the commands left
//!   uninstall: manager stops and forgets it -> definition removed
//! ```
//!
//! Nothing secret is written into a definition: `--token` goes into `.env` of the state
//! directory, and what only this shell knows is named, so that it can be put there.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::service_want::{self, Found};
use super::table::Args;
use super::{Failed, next, out, place, port, service_look, service_run};
use crate::config::blocked::{self, Start};
use crate::config::credentials::{self, Given, Origin};
use crate::config::{Loaded, Paths};
use crate::limits;
use crate::service::control::{self, Argv, Control};
use crate::service::{Manager, Places, Service, Written, schtasks};
use crate::store::{Disk, RealDisk};

/// What a command about the service comes to: the reference's document, and lines for people.
#[derive(Debug, Default)]
pub struct Said {
    /// `action`.
    pub action: &'static str,
    /// `result`.
    pub result: &'static str,
    /// What happened.
    pub message: String,
    /// What to type next.
    pub hints: Vec<String>,
    /// What is not as it should be.
    pub warnings: Vec<String>,
}

impl Said {
    /// Prints it.
    pub fn print(&self, args: &Args, service: Option<(&Control, bool)>) {
        if args.has("json") {
            let service = service.map(|(control, loaded)| document(control, loaded));
            out::json(&json!({
                "action": self.action, "ok": true, "result": self.result,
                "message": self.message, "hints": self.hints, "warnings": self.warnings,
                "service": service,
            }));
            return;
        }
        out::line(&self.message);
        for warning in &self.warnings {
            out::line(&format!("Warning: {warning}"));
        }
        for hint in &self.hints {
            out::line(&format!("  {hint}"));
        }
    }
}

/// The reference's `service` of a command.
fn document(control: &Control, loaded: bool) -> Value {
    let (on, off) = control.manager.words();
    json!({"label": control.manager.label(), "name": control.name, "loaded": loaded,
        "loadedText": on, "notLoadedText": off, "sourcePath": control.place})
}

/// A failure, as the reference's document on standard output where that was asked for.
pub fn or_json(args: &Args, action: &str, ran: Result<u8, Failed>) -> Result<u8, Failed> {
    match ran {
        Err(failed) if args.has("json") => {
            let hints: Vec<&str> = failed.next.lines().filter(|hint| !hint.is_empty()).collect();
            out::json(&json!({
                "action": action, "ok": false, "error": failed.what, "hints": hints,
            }));
            Ok(failed.code)
        }
        ran => ran,
    }
}

/// `openclaw gateway install`.
///
/// # Errors
/// The gateway could not start as it is configured, the definition cannot be written, or the
/// manager does not start it.
pub fn install(args: &Args) -> Result<u8, Failed> {
    or_json(args, "install", installing(args))
}

fn installing(args: &Args) -> Result<u8, Failed> {
    let system = args.has("system");
    let manager = manager(args)?;
    let mut env = place::environment();
    let account = if system { account(args)? } else { None };
    if let Some(home) = account.as_deref().and_then(place::home_of) {
        // Under sudo the home is root's; the gateway lives in its account's.
        env.insert("HOME".to_owned(), home);
    }
    let paths = place::paths(&env, args)?;
    let loaded = place::load(&place::Files::new(), &env, &paths)
        .map_err(|error| Failed::config(error.to_string(), "openclaw config validate"))?;
    let mut wanted = service_want::wanted(manager, &paths, &loaded, account)?;
    wanted.allow_unconfigured = args.has("allow-unconfigured");
    wanted.port = match args.number("port") {
        Some(port) => u16::try_from(port).ok(),
        None if place::var(&env, "OPENCLAW_GATEWAY_PORT").is_some() => {
            Some(place::port(&paths, None, &env, &loaded.config)?)
        }
        None => None,
    };
    if let Some(wrapper) = wrapper(args, &env)? {
        wanted.env.insert("OPENCLAW_WRAPPER".to_owned(), wrapper.clone());
        wanted.program = wrapper;
    }
    let refused = |error: crate::service::Refused| Failed::new(error.to_string(), "");
    let text = wanted.definition().map_err(refused)?;
    if args.has("print") {
        out::text(&text);
        return Ok(0);
    }
    may_start(args, &loaded, &wanted)?;
    let places = service_want::places(&paths)?;
    let control = service_want::control(manager, &paths, &places);
    let before = service_want::found(&paths).into_iter().find(|it| it.manager == manager);
    let mut said = Said { action: "install", ..Said::default() };
    if let Some(before) = before.as_ref().filter(|_| !args.has("force")) {
        return Ok(already(args, &paths, &loaded, before, &control));
    }
    not_beside(&paths, before.is_some(), &control)?;
    if !system {
        keep_token(args, &paths, &loaded, &mut said)?;
        // What root made there, the account could not write to.
        make_private(&Path::new(&wanted.state_dir).join("logs"))?;
    } else if args.value("token").is_some() {
        let dotenv = paths.state_dir.join(".env");
        let what =
            format!("a file of root would be of no use to the account: {}", dotenv.display());
        return Err(Failed::new(what, "write OPENCLAW_GATEWAY_TOKEN=... there as that account"));
    }
    known_here_only(&paths, &loaded, &text, &wanted, &mut said);
    write_definition(Path::new(&control.place), text.as_bytes())?;
    if let Some(port) = args.number("port")
        && loaded.config.gateway.port.map(u64::from) != Some(port)
    {
        let line = format!("openclaw config set gateway.port {port}");
        said.warnings.push(format!(
            "the other commands look for the port in the configuration; type: {line}"
        ));
    }
    let started = begin(&control, &wanted, &places, before.is_some(), &mut said)?;
    if manager == Manager::SystemdUser {
        linger(&mut said);
    }
    said.result = "installed";
    said.message = match (&before, started) {
        (_, false) => format!("Wrote {}. Left to type:", place::tilde(&control.place)),
        (None, true) => format!("Installed and started {}", control.name),
        (Some(_), true) => format!("Installed anew and started {}", control.name),
    };
    said.print(args, Some((&control, started)));
    Ok(0)
}

/// Which manager, by `--system`.
fn manager(args: &Args) -> Result<Manager, Failed> {
    let system = args.has("system");
    let manager = Manager::here(system);
    if system && !matches!(manager, Manager::SystemdSystem) {
        let what = "--system is for systemd; here a service is a user's";
        return Err(Failed { code: 2, ..Failed::new(what, "openclaw gateway install") });
    }
    let sudo = std::env::var("SUDO_USER").unwrap_or_default();
    if !system && manager == Manager::SystemdUser && !sudo.is_empty() && service_want::uid() == 0 {
        let what = "under sudo this would be the user service of root";
        let fix = "openclaw gateway install, without sudo; or: sudo openclaw gateway install \
                   --system";
        return Err(Failed::new(what, fix));
    }
    Ok(manager)
}

/// Whose gateway a system service is: `--user`, else who typed sudo.
fn account(args: &Args) -> Result<Option<String>, Failed> {
    let sudo = std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty());
    let account = args.value("user").map(str::to_owned).or(sudo);
    match account {
        Some(name) if name == "root" => Err(Failed::new(
            "a system service as root would run every command of an agent as root",
            "openclaw gateway install --system --user <account>",
        )),
        // Without one the definition refuses, and says what is missing.
        account => Ok(account),
    }
}

/// A program that runs the gateway with the words it is given.
fn wrapper(
    args: &Args,
    env: &std::collections::BTreeMap<String, String>,
) -> Result<Option<String>, Failed> {
    let named = args.value("wrapper").or_else(|| place::var(env, "OPENCLAW_WRAPPER"));
    let Some(named) = named else { return Ok(None) };
    let path = Path::new(named);
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    if !is_executable(&absolute) {
        let what = format!("--wrapper {named} is not a file that can be run");
        return Err(Failed::new(what, format!("chmod +x {named}, or leave --wrapper out")));
    }
    let text = absolute.to_str().map(str::to_owned);
    text.map(Some).ok_or_else(|| Failed::new("the wrapper's path is not UTF-8", ""))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

/// The sentences of a start that would fail anyway, before anything is written.
fn may_start(args: &Args, loaded: &Loaded, wanted: &Service) -> Result<(), Failed> {
    let refuse = |blocked: blocked::Blocked| Failed::config(blocked.to_string(), "");
    let known = credentials::server(&loaded.config, &loaded.env, &Given::default());
    let start = Start {
        allow_unconfigured: wanted.allow_unconfigured,
        has_token: known.token.is_some() || args.value("token").is_some(),
        has_password: known.password.is_some(),
        token_named: known.token.is_some(),
        auth: None,
    };
    blocked::mode(&loaded.config, &start).map_err(refuse)?;
    blocked::auth_mode(&loaded.config, &start).map(drop).map_err(refuse)
}

/// There is a definition, and nobody asked for another one.
fn already(args: &Args, paths: &Paths, loaded: &Loaded, before: &Found, control: &Control) -> u8 {
    let mut said = Said { action: "install", result: "already-installed", ..Said::default() };
    said.message =
        format!("{} is already installed: {}", control.name, place::tilde(&control.place));
    for audited in service_look::audit(paths, loaded) {
        if audited.found.path == before.path {
            let all = audited.findings.into_iter();
            said.warnings.extend(all.map(|finding| finding.message));
        }
    }
    said.hints.push("Write it anew: openclaw gateway install --force".to_owned());
    said.print(args, Some((control, true)));
    0
}

/// A gateway that runs beside would hold port and state directory when the service starts.
fn not_beside(paths: &Paths, installed: bool, control: &Control) -> Result<(), Failed> {
    let Some(pid) = port::lock_holder(&paths.state_dir).filter(|_| !installed) else {
        return Ok(());
    };
    let what = format!(
        "a gateway (pid {pid}) already uses {}; {} could not start",
        paths.state_dir.display(),
        control.name
    );
    Err(Failed::new(what, "openclaw gateway stop, then: openclaw gateway install"))
}

/// `--token`: into `.env`, which every start reads; never into the definition.
fn keep_token(args: &Args, paths: &Paths, loaded: &Loaded, said: &mut Said) -> Result<(), Failed> {
    let Some(token) = args.value("token") else { return Ok(()) };
    if loaded.config.gateway.auth.token.is_some() {
        let what = format!(
            "--token would not be used: gateway.auth.token stands in {}",
            paths.config_path.display()
        );
        return Err(Failed::config(
            what,
            "leave --token out, or: openclaw config set \
             gateway.auth.token <token>",
        ));
    }
    if token.chars().any(|c| c.is_control() || c == '\'') {
        return Err(Failed::new("--token holds a quote or a control character", ""));
    }
    let path = paths.state_dir.join(".env");
    let name = "OPENCLAW_GATEWAY_TOKEN";
    let old = String::from_utf8(RealDisk.read(&path).unwrap_or_default()).unwrap_or_default();
    let names = |line: &&str| {
        let line = line.trim_start().trim_start_matches("export ").trim_start();
        !line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let mut text: String = old.lines().filter(names).flat_map(|line| [line, "\n"]).collect();
    text.push_str(&format!("{name}='{token}'\n"));
    RealDisk.replace(&path, text.as_bytes()).map_err(|error| {
        Failed::new(format!("cannot write {}: {error}", path.display()), "check its owner")
    })?;
    said.hints.push(format!("The token lies in {}", place::tilde(&path.display().to_string())));
    Ok(())
}

/// What this shell knows and the service would not: named, never copied.
fn known_here_only(paths: &Paths, loaded: &Loaded, text: &str, wanted: &Service, said: &mut Said) {
    let written = Written::read(wanted.manager, text);
    for finding in service_look::lacking(&written, paths, loaded) {
        let detail = finding.detail.unwrap_or_default();
        said.warnings.push(format!("{}: {detail}", finding.message));
    }
    let dotenv = paths.state_dir.join(".env");
    let kept = std::fs::read_to_string(&dotenv).unwrap_or_default();
    let known = credentials::server(&loaded.config, &loaded.env, &Given::default());
    for (secret, name) in
        [(known.token, "OPENCLAW_GATEWAY_TOKEN"), (known.password, "OPENCLAW_GATEWAY_PASSWORD")]
    {
        let here = secret.is_some_and(|it| it.origin == Origin::Environment);
        if here && !kept.contains(name) {
            said.warnings.push(format!(
                "only this shell knows {name}; the service reads it from {}",
                place::tilde(&dotenv.display().to_string())
            ));
        }
    }
}

/// Has the manager take the definition in and start it; false when none can be asked, and what
/// is left to type stands in the hints then.
fn begin(
    control: &Control,
    wanted: &Service,
    places: &Places,
    again: bool,
    said: &mut Said,
) -> Result<bool, Failed> {
    let task = control::task_place(&places.state_dir);
    if control.manager == Manager::ScheduledTask {
        let text = schtasks::utf16(&schtasks::task(wanted));
        write_definition(Path::new(&task), &text)?;
    }
    let commands = if again { control.reinstall(&task) } else { control.install(&task) };
    let mut answers = Vec::new();
    for argv in &commands {
        let answer = service_run::run(argv, limits::SERVICE_START_MS);
        if answer.unreachable() {
            said.hints.extend(control.install(&task).iter().map(|argv| control::typed(argv)));
            if control.manager == Manager::SystemdUser {
                said.warnings.push(
                    "no user bus answers here (no log-in session?); the unit lies ready".to_owned(),
                );
            }
            return Ok(false);
        }
        // Ending what does not run fails, and is no failure.
        let ends = argv.iter().any(|word| word == "bootout" || word == "/End");
        if !answer.well && !ends {
            answers.push((argv.clone(), answer));
            break;
        }
    }
    let Some((argv, answer)) = answers.pop() else { return Ok(true) };
    if control.manager == Manager::ScheduledTask && argv.iter().any(|word| word == "/Create") {
        return startup(wanted, said).map(|()| true);
    }
    let what = format!(
        "{} lies at {}, but `{}` failed: {}",
        control.name,
        control.place,
        control::typed(&argv),
        answer.said()
    );
    Err(Failed::new(what, journal(control)))
}

/// Where a manager says why a start failed.
fn journal(control: &Control) -> String {
    match control.manager {
        Manager::SystemdUser => format!("journalctl --user -u {} -n 50", control.name),
        Manager::SystemdSystem => format!("journalctl -u {} -n 50", control.name),
        _ => next::STATUS.to_owned(),
    }
}

/// Creating the task was denied: the user's Startup folder does as much.
fn startup(wanted: &Service, said: &mut Said) -> Result<(), Failed> {
    let app_data = std::env::var("APPDATA").unwrap_or_default();
    let path = schtasks::startup_place(&app_data, wanted.profile.as_deref());
    write_definition(Path::new(&path), schtasks::startup(wanted).as_bytes())?;
    said.warnings.push(format!(
        "the Scheduled Task was denied; {path} starts the gateway at the next log-on"
    ));
    let script = schtasks::script_place(&wanted.state_dir);
    said.hints.push(format!("Start it now: {}", control::typed(&[script])));
    Ok(())
}

/// A user's services end with the last log-out unless the account lingers.
fn linger(said: &mut Said) {
    let user = place::user_name(service_want::uid());
    if user != "root" && !Path::new("/var/lib/systemd/linger").join(&user).exists() {
        let line = control::typed(&control::linger(&user));
        said.hints.push(format!("To keep it running after log-out: {line}"));
    }
}

/// `openclaw gateway uninstall`.
///
/// # Errors
/// The manager does not stop it, or the definition cannot be removed.
pub fn uninstall(args: &Args) -> Result<u8, Failed> {
    let ran = place::paths(&place::environment(), args).and_then(|paths| {
        let (said, control) = remove(&paths, false)?;
        said.print(args, control.as_ref().map(|control| (control, false)));
        Ok(0)
    });
    or_json(args, "uninstall", ran)
}

/// Removes every service of this profile; with `dry_run` it only says which.
///
/// # Errors
/// As [`uninstall`].
pub fn remove(paths: &Paths, dry_run: bool) -> Result<(Said, Option<Control>), Failed> {
    let mut said = Said { action: "uninstall", result: "uninstalled", ..Said::default() };
    let places = service_want::places(paths)?;
    let mut done = Vec::new();
    let mut last = None;
    for found in service_want::ours(paths) {
        let control = service_want::control(found.manager, paths, &places);
        let mut files = vec![found.path.clone()];
        if found.manager == Manager::ScheduledTask {
            let app_data = std::env::var("APPDATA").unwrap_or_default();
            files.push(PathBuf::from(control::task_place(&places.state_dir)));
            files.push(PathBuf::from(schtasks::startup_place(&app_data, paths.profile.as_deref())));
        }
        if !dry_run {
            end(&control, &found, paths, &mut said)?;
            for file in &files {
                remove_file(file)?;
            }
            for argv in control.forget() {
                service_run::run(&argv, limits::SERVICE_LOOK_MS);
            }
        }
        done.push(format!("{} ({})", control.name, place::tilde(&control.place)));
        last = Some(control);
    }
    said.message = match (done.as_slice(), dry_run) {
        ([], _) => {
            said.result = "not-loaded";
            for other in service_want::found(paths) {
                let place = place::tilde(&other.path.display().to_string());
                said.warnings.push(format!("{place} is of another state directory; it stays"));
            }
            "No gateway service of this profile is installed.".to_owned()
        }
        (some, true) => format!("[dry-run] remove gateway service {}", some.join(", ")),
        (some, false) => format!("Removed gateway service {}", some.join(", ")),
    };
    Ok((said, last))
}

/// Stops it and takes it out of the manager's books. Without a manager nothing of it runs there,
/// and the link by which it would start is all that is left.
fn end(control: &Control, found: &Found, paths: &Paths, said: &mut Said) -> Result<(), Failed> {
    for argv in control.uninstall() {
        let answer = service_run::run(&argv, stop_patience(paths));
        if answer.unreachable() {
            for target in ["default.target.wants", "multi-user.target.wants"] {
                if let Some(dir) = found.path.parent() {
                    remove_file(&dir.join(target).join(&found.name))?;
                }
            }
            if let Some(pid) = port::lock_holder(&paths.state_dir) {
                said.warnings
                    .push(format!("a gateway still runs (pid {pid}); type: openclaw gateway stop"));
            }
            return Ok(());
        }
        let gone = argv.iter().any(|word| word == "bootout" || word == "/End" || word == "/Delete");
        if !answer.well && !gone {
            let what = format!("`{}` failed: {}", control::typed(&argv), answer.said());
            let fix = match control.manager {
                Manager::SystemdSystem => "sudo openclaw gateway uninstall",
                _ => next::STATUS,
            };
            return Err(Failed::new(what, fix));
        }
    }
    Ok(())
}

/// How long a stop may take, in milliseconds: what the manager itself waits, and a little.
pub fn stop_patience(paths: &Paths) -> u64 {
    let env = place::environment();
    let loaded = place::load(&place::Files::new(), &env, paths).ok();
    let budget = loaded.map(|loaded| loaded.config.gateway.shutdown).unwrap_or_default();
    (budget.stop_timeout_secs() + 5).saturating_mul(1000)
}

/// `openclaw gateway start`.
///
/// # Errors
/// When no service is installed, or the manager does not start it.
pub fn start(args: &Args) -> Result<u8, Failed> {
    let ran = place::paths(&place::environment(), args).and_then(|paths| started(args, &paths));
    or_json(args, "start", ran)
}

fn started(args: &Args, paths: &Paths) -> Result<u8, Failed> {
    let Some(found) = service_want::ours(paths).into_iter().next() else {
        return Err(not_installed(paths));
    };
    let places = service_want::places(paths)?;
    let control = service_want::control(found.manager, paths, &places);
    let mut said = Said { action: "start", result: "started", ..Said::default() };
    if let Some(pid) = port::lock_holder(&paths.state_dir) {
        said.result = "already-running";
        said.message = format!("The gateway already runs (pid {pid})");
        said.print(args, Some((&control, true)));
        return Ok(0);
    }
    by_manager(&control, &control.start())?;
    said.message = format!("Started {}", control.name);
    said.print(args, Some((&control, true)));
    Ok(0)
}

/// Runs commands of a manager one after the other.
///
/// # Errors
/// When one fails, or there is no manager; the commands to type are named then.
pub fn by_manager(control: &Control, commands: &[Argv]) -> Result<(), Failed> {
    for argv in commands {
        let answer = service_run::run(argv, limits::SERVICE_START_MS);
        if answer.unreachable() {
            let left: Vec<String> = commands.iter().map(|argv| control::typed(argv)).collect();
            let what =
                format!("{} cannot be asked here: {}", control.manager.label(), answer.said());
            return Err(Failed::new(what, left.join("\n")));
        }
        let may_fail = argv.iter().any(|word| word == "/End" || word == "bootstrap");
        if !answer.well && !may_fail {
            let what = format!("`{}` failed: {}", control::typed(argv), answer.said());
            return Err(Failed::new(what, journal(control)));
        }
    }
    Ok(())
}

/// What `start` and `restart` say without a service.
pub fn not_installed(paths: &Paths) -> Failed {
    let name = Manager::here(false).name(paths.profile.as_deref());
    let profile = match paths.profile.as_deref() {
        Some(profile) => format!("openclaw --profile {profile}"),
        None => "openclaw".to_owned(),
    };
    let what = format!("no gateway runs, and no service {name} is installed");
    Failed::new(what, format!("{profile} gateway install; or in the foreground: {profile} gateway"))
}

/// Writes a definition as a whole: first beside it, then in its place, readable for the manager.
///
/// # Errors
/// When it cannot be written; what stood there stands.
pub fn write_definition(path: &Path, bytes: &[u8]) -> Result<(), Failed> {
    let written = write_whole(path, bytes);
    written.map_err(|error| {
        let what = format!("cannot write {}: {error}", path.display());
        let denied = error.kind() == io::ErrorKind::PermissionDenied;
        let fix = if denied { "sudo, or without --system" } else { "check the directory" };
        Failed::new(what, fix)
    })
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.symlink_metadata().is_ok_and(|it| it.is_symlink() || it.is_dir()) {
        // A masked unit is a link to /dev/null; somebody meant it.
        return Err(io::Error::other("a link or directory stands there; remove it first"));
    }
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".new-{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Whatever the umask: a system manager reads it, and so may who looks for it.
            file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        file.sync_all()
    });
    let moved = written.and_then(|()| std::fs::rename(&beside, path));
    if moved.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    moved
}

fn remove_file(path: &Path) -> Result<(), Failed> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failed::new(
            format!("cannot remove {}: {error}", path.display()),
            "remove it by hand, as its owner",
        )),
    }
}

fn make_private(dir: &Path) -> Result<(), Failed> {
    let probe = dir.join(".probe");
    crate::store::make_parents(&probe).map_err(|error| {
        Failed::new(format!("cannot make {}: {error}", dir.display()), "check its owner")
    })
}
