//! `agent.wait`: who waits for which run, and until when.
//!
//! At most [`limits::WAITS`] calls, and one entry in the heap of deadlines for all of them: an
//! answered call leaves nothing behind.

use super::super::Gateway;
use super::super::socket::Answer;
use super::super::timers::{Armed, Timer, Timers};
use super::retry;
use crate::driver::{ConnId, Effects, Time};
use crate::limits;
use crate::protocol::error::ErrorShape;
use serde_json::json;

/// One call.
struct Wait {
    conn: ConnId,
    request: String,
    run: String,
    due: Time,
}

/// The calls that are open.
#[derive(Default)]
pub(in crate::gateway) struct Waits {
    list: Vec<Wait>,
    armed: Armed,
}

impl Waits {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The client left: nobody waits for its answers.
    pub(in crate::gateway) fn forget(&mut self, conn: ConnId) {
        self.list.retain(|wait| wait.conn != conn);
    }

    fn take(&mut self, mut which: impl FnMut(&Wait) -> bool) -> Vec<Wait> {
        let (taken, kept) = std::mem::take(&mut self.list).into_iter().partition(|w| which(w));
        self.list = kept;
        taken
    }

    fn arm(&mut self, timers: &mut Timers) {
        let due = self.list.iter().map(|wait| wait.due).min();
        self.armed.at(timers, due, Timer::Waits);
    }
}

impl Gateway {
    /// `agent.wait`: answers when the run is over, or after the timeout.
    pub(in crate::gateway) fn wait_for(
        &mut self,
        conn: ConnId,
        request: &str,
        run: &str,
        timeout_ms: u64,
    ) -> Result<Answer, ErrorShape> {
        if let Some(finished) = self.runs.finished(run) {
            return Ok(Answer::Json(finished.wait.clone()));
        }
        if self.runs.waits.len() >= limits::WAITS {
            return Err(retry(ErrorShape::unavailable(format!(
                "{} calls of agent.wait are open; try again later",
                limits::WAITS
            ))));
        }
        let due = self.now.time.after_ms(timeout_ms.min(limits::WAIT_MS_MAX));
        let wait = Wait { conn, request: request.to_owned(), run: run.to_owned(), due };
        self.runs.waits.list.push(wait);
        self.runs.waits.arm(&mut self.timers);
        Ok(Answer::Handled)
    }

    /// A run is over: everybody who waits for it hears so.
    pub(in crate::gateway) fn answer_waits(&mut self, run: &str, result: &[u8], fx: &mut Effects) {
        for wait in self.runs.waits.take(|wait| wait.run == run) {
            self.respond_json(wait.conn, &wait.request, result, fx);
        }
    }

    pub(in crate::gateway) fn waits_due(&mut self, fx: &mut Effects) {
        let now = self.now.time;
        let waits = &mut self.runs.waits;
        let due = waits.list.iter().map(|wait| wait.due).min();
        if !waits.armed.came_up(&mut self.timers, due, Timer::Waits, now) {
            return;
        }
        for wait in waits.take(|wait| wait.due <= now) {
            let payload = json!({"runId": wait.run, "status": "timeout"});
            self.respond_ok(wait.conn, &wait.request, &payload, fx);
        }
        self.runs.waits.arm(&mut self.timers);
    }
}
