//! `openclaw gateway stop` and `openclaw gateway restart`: signals to the gateway of this
//! profile, found by the lock on its state directory. Both wait until it is done.

use std::time::Instant;

use serde_json::Value;

use super::client::{self, Target};
use super::port::{self, Send};
use super::table::Args;
use super::{Failed, next, out, place};
use crate::config::load::ErrorKind;
use crate::config::{ConfigError, Paths};

/// `openclaw gateway stop`: TERM, then wait: active runs are finished first.
///
/// # Errors
/// When none runs, or it does not leave in time.
pub fn stop(args: &Args) -> Result<u8, Failed> {
    let paths = place::paths(&place::environment(), args)?;
    let (pid, started) = running(&paths)?;
    port::signal(pid, Send::Term, || port::lock_holder(&paths.state_dir) == Some(pid))?;
    let patience = patience(args);
    if port::gone(pid, started, patience) {
        out::line(&format!("stopped (pid {pid})"));
        return Ok(0);
    }
    let what = format!("pid {pid} still finishes its work after {patience} ms");
    Err(Failed::new(what, "openclaw logs --follow; or give it longer: --timeout <ms>"))
}

/// `openclaw gateway restart`: it re-executes in place and keeps its port.
///
/// # Errors
/// When none runs, or it is not back in time.
pub fn restart(args: &Args) -> Result<u8, Failed> {
    let paths = place::paths(&place::environment(), args)?;
    let (pid, _) = running(&paths)?;
    let env = place::environment();
    // A variable that is missing here may be in the gateway's own environment.
    let wrong = |error: &ConfigError| error.kind != ErrorKind::Reference;
    if let Err(error) = place::load(&place::Files::new(), &env, &paths)
        && wrong(&error)
    {
        let issues: Vec<String> =
            error.issues.iter().map(|it| super::out::foreign(&it.to_string())).collect();
        let what = format!(
            "the gateway (pid {pid}) is not restarted and goes on: it would not start with the \
             configuration as it is now\n{}",
            issues.join("\n")
        );
        return Err(Failed::config(what, "openclaw config validate"));
    }
    let mut target = Target::find(args)?;
    // It may listen elsewhere than the configuration says by now.
    let listens = port::listening_of(pid);
    if let Some(addr) = listens.first().filter(|_| target.local) {
        target.url.host = place::reachable(addr.ip()).to_string();
        target.url.port = addr.port();
    }
    let asked = Instant::now();
    port::signal(pid, Send::Restart, || port::lock_holder(&paths.state_dir) == Some(pid))?;
    let patience = patience(args);
    for _ in 0..patience / port::POLL_MS {
        // Whoever is younger than our signal is the new one; the clock is read before we ask,
        // so that the old one is always older.
        let since = asked.elapsed().as_secs_f64() * 1000.0;
        if uptime(&target).is_some_and(|uptime| uptime < since) {
            out::line(&format!("restarted (pid {pid}) on {}", target.shown()));
            return Ok(0);
        }
        port::pause();
    }
    let what = format!("pid {pid} was asked to restart, but is not back after {patience} ms");
    Err(Failed::new(what, "openclaw gateway status; openclaw logs --follow"))
}

fn running(paths: &Paths) -> Result<(u32, u64), Failed> {
    let pid = port::lock_holder(&paths.state_dir);
    pid.and_then(|pid| Some((pid, port::started(pid)?))).ok_or_else(|| {
        let what = format!("no gateway uses the state directory {}", paths.state_dir.display());
        Failed::new(what, next::RUN)
    })
}

fn patience(args: &Args) -> u64 {
    args.number("timeout").unwrap_or(30_000)
}

fn uptime(target: &Target) -> Option<f64> {
    let (status, body) = target.get("/startupz", client::QUICK).ok()?;
    let body: Value = serde_json::from_slice(&body).ok()?;
    (status == 200).then(|| body.get("uptimeMs")?.as_f64()).flatten()
}
