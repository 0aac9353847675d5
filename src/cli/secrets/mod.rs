//! Programs that know secrets, asked before a gateway runs; and `openclaw secrets`.

pub mod audit;

use super::client::{self, Target, Trouble};
use super::port::{self, Send};
use super::table::Args;
use super::{Failed, ask as question, next, out, place};
use crate::config::secrets::{Batch, Resolved};
use crate::driver::{Core, Effect, Effects, Input, Now, Signal, Time};
use crate::gateway::Asking;
use crate::reactor::Reactor;
use serde_json::{Value, json};
use std::time::Instant;

/// `openclaw secrets reload`.
///
/// # Errors
/// When no gateway answers, or a secret cannot be resolved: then the old ones stay in force.
pub fn reload(args: &Args) -> Result<u8, Failed> {
    let target = Target::find(args)?;
    let asked = question::call(args, &target, "secrets.reload", json!({}));
    let asked = match asked {
        Err(Trouble::Refused { .. }) if is_ours(args, &target) => by_signal(args, &target)?,
        other => other,
    };
    match asked {
        Ok(answer) if args.has("json") => out::json(&answer),
        Ok(answer) => {
            let warnings = answer["warningCount"].as_u64().unwrap_or_default();
            out::line(&match warnings {
                0 => "secrets reloaded".to_owned(),
                _ => format!("secrets reloaded with {warnings} warnings; see openclaw logs"),
            });
        }
        Err(trouble) => return target.fail(args, &trouble),
    }
    Ok(0)
}

/// Whether our secret is the one that the file of this gateway names now.
fn is_ours(args: &Args, target: &Target) -> bool {
    target.local && args.value("token").is_none() && args.value("password").is_none()
}

/// The gateway's own secret may be the one that was rotated: then it does not know ours yet. Its
/// own user may send it a signal to the same effect, and ask again when it has heeded that.
fn by_signal(args: &Args, target: &Target) -> Result<Result<Value, Trouble>, Failed> {
    let paths = place::paths(&place::environment(), args)?;
    let holder = || port::lock_holder(&paths.state_dir);
    let deadline = Instant::now() + client::timeout(args);
    if let Some(pid) = holder() {
        port::signal(pid, Send::Reload, || holder() == Some(pid))?;
    }
    loop {
        port::pause();
        match question::call(args, target, "secrets.reload", json!({})) {
            Err(Trouble::Refused { .. }) if Instant::now() < deadline => {}
            other => return Ok(other),
        }
    }
}

/// Asks every program, each within its own time, and waits. A program that cannot be asked has
/// an answer too: the reason.
pub fn ask(batches: Vec<Batch>, known: Resolved) -> Resolved {
    let mut once = Once {
        asking: Some(Asking::new(batches.clone(), known.clone())),
        number: 0,
        answered: None,
        stopped: false,
    };
    let left = Reactor::new().and_then(|mut reactor| reactor.run(&mut once));
    if let Some(resolved) = once.answered {
        return resolved;
    }
    let why = match left {
        Ok(_) => format!("it was interrupted; run again: {}", next::RUN),
        Err(error) => format!("it cannot be started: {error}"),
    };
    let mut resolved = known;
    for batch in &batches {
        let answer = |id: &String| (id.clone(), Err(why.clone()));
        resolved.add(batch, batch.ids.iter().map(answer).collect());
    }
    resolved
}

/// The little core that asks and leaves.
struct Once {
    asking: Option<Asking>,
    number: u64,
    answered: Option<Resolved>,
    stopped: bool,
}

impl Core for Once {
    fn on(&mut self, now: Now, input: Input<'_>, fx: &mut Effects) {
        let Some(asking) = &mut self.asking else { return };
        match input {
            Input::Child { child, event } => {
                asking.on(now.time, child, &event, fx);
            }
            Input::Wake => asking.wake(now.time, fx),
            Input::Signal(Signal::Terminate) => {
                asking.end(fx);
                self.stopped = true;
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        // The first turn comes at once.
        let asking = self.asking.as_ref()?;
        Some(if self.number == 0 { Time(0) } else { asking.due()? })
    }

    fn turn_end(&mut self, now: Now, fx: &mut Effects) {
        let Some(asking) = &mut self.asking else { return };
        asking.go_on(now.time, &mut self.number, fx);
        self.answered = asking.finished();
        if self.answered.is_some() || self.stopped {
            self.asking = None;
            fx.push(Effect::Exit { code: 0 });
        }
    }
}
