//! `openclaw gateway stop` and `openclaw gateway restart`: signals to the gateway of this
//! profile, found by the lock on its state directory. Both wait until it is done.
//!
//! A gateway that a service manager keeps up is stopped by that manager: after a mere signal it
//! would be started again. A restart needs no manager: the gateway re-executes in place, keeps
//! pid and port, and tells the manager so by itself. Only when none runs is the service started.

use std::time::Instant;

use serde_json::Value;

use super::client::{self, Target};
use super::port::{self, Send};
use super::service::{self, Said};
use super::table::Args;
use super::{Failed, next, out, place, service_look, service_run, service_want};
use crate::config::load::ErrorKind;
use crate::config::{ConfigError, Paths};
use crate::service::Manager;
use crate::service::control::{self, Control};

/// After a first signal, before the second that says not to wait for runs.
const FORCE_MS: u64 = 500;

/// `openclaw gateway stop`: TERM, then wait: active runs are finished first.
///
/// # Errors
/// When none runs, or it does not leave in time.
pub fn stop(args: &Args) -> Result<u8, Failed> {
    let ran = place::paths(&place::environment(), args).and_then(|paths| stopped(args, &paths));
    service::or_json(args, "stop", ran)
}

fn stopped(args: &Args, paths: &Paths) -> Result<u8, Failed> {
    let mut said = Said { action: "stop", result: "stopped", ..Said::default() };
    let holder = port::lock_holder(&paths.state_dir);
    if let Some((control, pid)) = managed(paths, holder) {
        said.message = match pid {
            Some(pid) => format!("stopped {} (pid {pid})", control.name),
            None => format!("stopped {}", control.name),
        };
        if args.has("force")
            && let Some(pid) = holder
        {
            // The manager's own signal is the second one then, or ends its wish to start again.
            port::signal(pid, Send::Term, || port::lock_holder(&paths.state_dir) == Some(pid))?;
            port::gone(pid, port::started(pid).unwrap_or_default(), FORCE_MS);
        }
        by_manager(args, paths, &control)?;
        said.print(args, Some((&control, false)));
        return Ok(0);
    }
    if holder.is_none() && !service_want::ours(paths).is_empty() {
        said.message = "the service does not run".to_owned();
        said.result = "not-loaded";
        said.print(args, None);
        return Ok(0);
    }
    let (pid, started) = running(paths)?;
    let still = || port::lock_holder(&paths.state_dir) == Some(pid);
    port::signal(pid, Send::Term, still)?;
    let patience = patience(args)?;
    // Two signals at once would count as one.
    if args.has("force") && !port::gone(pid, started, FORCE_MS.min(patience)) {
        port::signal(pid, Send::Term, still)?;
    }
    if port::gone(pid, started, patience) {
        said.message = format!("stopped (pid {pid})");
        said.print(args, None);
        return Ok(0);
    }
    let what = format!("pid {pid} still finishes its work after {patience} ms");
    Err(Failed::new(what, "openclaw logs --follow; or give it longer: --timeout <ms>"))
}

/// The manager that keeps this gateway up: its main process is the one that has the state
/// directory, or it has one that is just between two lives.
fn managed(paths: &Paths, holder: Option<u32>) -> Option<(Control, Option<u32>)> {
    let places = service_want::places(paths).ok()?;
    service_want::ours(paths).into_iter().find_map(|found| {
        let state = service_look::asked(&found, paths)?;
        let same = match (state.pid, holder) {
            (Some(pid), Some(holder)) => pid == holder,
            // A manager that does not name the process; or none has the directory just now.
            (None, _) | (_, None) => true,
        };
        let control = service_want::control(found.manager, paths, &places);
        (state.known && state.running && same).then_some((control, state.pid))
    })
}

fn by_manager(args: &Args, paths: &Paths, control: &Control) -> Result<(), Failed> {
    let mut commands = control.stop();
    if args.has("disable") {
        commands.splice(0..0, control.disable());
    }
    for argv in commands {
        let patience = match args.value("timeout") {
            Some(_) => patience(args)?,
            None => service::stop_patience(paths),
        };
        let answer = service_run::run(&argv, patience);
        if !answer.well {
            let typed = control::typed(&argv);
            let what = format!("`{typed}` failed: {}", answer.said());
            let sudo = control.manager == Manager::SystemdSystem;
            let next = if sudo { format!("sudo {typed}") } else { next::STATUS.to_owned() };
            return Err(Failed::new(what, next));
        }
    }
    Ok(())
}

/// `openclaw gateway restart`: it re-executes in place and keeps its port.
///
/// # Errors
/// When none runs and no service is installed, or it is not back in time.
pub fn restart(args: &Args) -> Result<u8, Failed> {
    let ran = place::paths(&place::environment(), args).and_then(|paths| restarted(args, &paths));
    service::or_json(args, "restart", ran)
}

/// A new image would refuse a damaged file, so the old one is not asked to make room for it.
fn may_restart(paths: &Paths, pid: u32) -> Result<(), Failed> {
    let env = place::environment();
    // A variable that is missing here may be in the gateway's own environment.
    let wrong = |error: &ConfigError| error.kind != ErrorKind::Reference;
    let loaded = place::load(&place::Files::new(), &env, paths);
    let Err(error) = loaded.map_err(|error| *error) else { return Ok(()) };
    if !wrong(&error) {
        return Ok(());
    }
    let issues: Vec<String> = error.issues.iter().map(|it| out::foreign(&it.to_string())).collect();
    let what = format!(
        "the gateway (pid {pid}) is not restarted and goes on: it would not start with the \
         configuration as it is now\n{}",
        issues.join("\n")
    );
    Err(Failed::config(what, "openclaw config validate"))
}

fn restarted(args: &Args, paths: &Paths) -> Result<u8, Failed> {
    usage(args)?;
    let mut said = Said { action: "restart", result: "restarted", ..Said::default() };
    let Ok((pid, _)) = running(paths) else {
        let Some(found) = service_want::ours(paths).into_iter().next() else {
            return Err(service::not_installed(paths));
        };
        let places = service_want::places(paths)?;
        let control = service_want::control(found.manager, paths, &places);
        service::by_manager(&control, &control.restart())?;
        said.message = format!("started {}", control.name);
        said.print(args, Some((&control, true)));
        return Ok(0);
    };
    may_restart(paths, pid)?;
    let mut target = Target::find(args)?;
    // It may listen elsewhere than the configuration says by now.
    let listens = port::listening_of(pid);
    if let Some(addr) = listens.first().filter(|_| target.local) {
        target.url.host = place::reachable(addr.ip()).to_string();
        target.url.port = addr.port();
    }
    let asked = Instant::now();
    let still = || port::lock_holder(&paths.state_dir) == Some(pid);
    port::signal(pid, Send::Restart, still)?;
    let mut hurry = args.has("force") || args.has("skip-deferral");
    let patience = patience(args)?;
    for _ in 0..patience / port::POLL_MS {
        // Whoever is younger than our signal is the new one; the clock is read before we ask,
        // so that the old one is always older.
        let since = asked.elapsed().as_secs_f64() * 1000.0;
        if uptime(&target).is_some_and(|uptime| uptime < since) {
            said.message = format!("restarted (pid {pid}) on {}", target.shown());
            said.print(args, None);
            return Ok(0);
        }
        // Only one that waits for its runs hears it twice; the signal would end a new image that
        // does not listen for it yet.
        if hurry && draining(&target) {
            hurry = false;
            port::signal(pid, Send::Restart, still)?;
        }
        port::pause();
    }
    let what = format!("pid {pid} was asked to restart, but is not back after {patience} ms");
    Err(Failed::new(what, "openclaw gateway status; openclaw logs --follow"))
}

/// The reference's rules for these words.
fn usage(args: &Args) -> Result<(), Failed> {
    let wrong = |what: &str| Err(Failed { code: 2, ..Failed::new(what, "see --help") });
    if args.has("skip-deferral") && !args.has("safe") {
        return wrong("--skip-deferral needs --safe");
    }
    if args.has("safe") && args.has("force") {
        return wrong("--safe and --force exclude each other");
    }
    if args.value("wait").is_some() && (args.has("safe") || args.has("force")) {
        return wrong("--wait excludes --safe and --force");
    }
    Ok(())
}

fn running(paths: &Paths) -> Result<(u32, u64), Failed> {
    let pid = port::lock_holder(&paths.state_dir);
    pid.and_then(|pid| Some((pid, port::started(pid)?))).ok_or_else(|| {
        let what = format!("no gateway uses the state directory {}", paths.state_dir.display());
        Failed::new(what, next::RUN)
    })
}

/// `--timeout`, else `--wait` of those who have it, in milliseconds.
fn patience(args: &Args) -> Result<u64, Failed> {
    let wait = match args.command.flags.iter().any(|flag| flag.long == "wait") {
        true => args.value("wait").map(duration).transpose()?,
        false => None,
    };
    Ok(args.number("timeout").or(wait).unwrap_or(30_000))
}

/// `500` or `500ms`, `10s`, `5m`; 0 is for ever.
fn duration(text: &str) -> Result<u64, Failed> {
    let wrong = || {
        let shown = crate::wire::text::escape_log(text, 40);
        Failed { code: 2, ..Failed::new(format!("`{shown}` is no time"), "--wait 500, 10s or 5m") }
    };
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let factor = match unit {
        "" | "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let ms = number.checked_mul(factor).ok_or_else(wrong)?;
    Ok(if ms == 0 { u64::MAX } else { ms })
}

/// It finishes its runs first.
fn draining(target: &Target) -> bool {
    target.get("/readyz", client::QUICK).is_ok_and(|(status, body)| {
        status == 503 && String::from_utf8_lossy(&body).contains("gateway-draining")
    })
}

fn uptime(target: &Target) -> Option<f64> {
    let (status, body) = target.get("/startupz", client::QUICK).ok()?;
    let body: Value = serde_json::from_slice(&body).ok()?;
    (status == 200).then(|| body.get("uptimeMs")?.as_f64()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_wait_are_the_references() {
        for (text, ms) in
            [("500", 500), ("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("0", u64::MAX)]
        {
            assert_eq!(duration(text), Ok(ms), "{text}");
        }
        for text in ["", "s", "-1", "1x", "1.5s", "99999999999999999999", "9999999999999999999h"] {
            assert_eq!(duration(text).unwrap_err().code, 2, "{text}");
        }
    }
}
