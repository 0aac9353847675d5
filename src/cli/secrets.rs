//! Programs that know secrets, asked before a gateway runs; and `openclaw secrets`.

use super::next;
use crate::config::secrets::{Batch, Resolved};
use crate::driver::{Core, Effect, Effects, Input, Now, Signal, Time};
use crate::gateway::Asking;
use crate::reactor::Reactor;

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
