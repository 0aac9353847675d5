//! Leaving: SIGTERM and SIGINT drain and exit, SIGUSR1 drains and re-executes, SIGHUP rereads
//! the configuration.
//!
//! ```text
//!   serving --signal--> draining (readyz 503, no new work, runs go on)
//!     --last run over, drain budget over, or a second signal--> shutdown event, close 1012, leave
//! ```

use super::Gateway;
use super::broadcast::To;
use super::conn::State;
use super::timers::Timer;
use crate::driver::{ConnId, Effect, Effects, Signal, Standing};
use crate::limits;
use crate::protocol::close;
use serde_json::{Value, json};

/// How the process goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Draining; then exit, or re-execute.
    Draining { restart: bool },
    /// The peers were told; only flushing is left.
    Gone,
}

impl Gateway {
    pub(super) fn signal(&mut self, signal: Signal, fx: &mut Effects) {
        match (signal, self.leaving) {
            (Signal::Reload, leaving) => {
                // Secrets that programs know may come later; the old ones serve until then.
                if leaving.is_none() {
                    fx.push(Effect::Tell(Standing::Reloading));
                }
                self.reload_all(fx);
                if leaving.is_none() {
                    fx.push(Effect::Tell(Standing::Ready(String::new())));
                }
            }
            (_, Some(Leaving::Gone)) => {}
            // Asked twice: the operator does not want to wait for the runs.
            (_, Some(Leaving::Draining { .. })) => self.leave(fx),
            (Signal::Terminate | Signal::Restart, None) => {
                let restart = signal == Signal::Restart;
                if restart && !self.may_restart(fx) {
                    return;
                }
                let active = self.runs.active_len();
                log::info!(target: "gateway", "{}; {active} active runs",
                    if restart { "restarting" } else { "stopping" });
                self.leaving = Some(Leaving::Draining { restart });
                fx.push(Effect::Tell(if restart {
                    Standing::Busy(format!("restarting; {active} active runs"))
                } else {
                    Standing::Stopping(format!("stopping; {active} active runs"))
                }));
                let drain_ms = self.config.gateway.shutdown.drain_ms();
                self.timers.arm(self.now.time.after_ms(drain_ms), Timer::Drain);
                self.leave_if_idle(fx);
            }
        }
    }

    /// `status.shutdownBudget`: what a stop may take, and what it would wait for now. Nothing of
    /// ours is written outside of the loop's turn, so nobody has custody of a write.
    pub(super) fn shutdown_budget(&self) -> Value {
        let budget = self.config.gateway.shutdown;
        let (active, cron) = (self.runs.active_len(), self.cron_active());
        json!({
            "timeoutMs": budget.timeout_ms, "reserveMs": budget.reserve_ms(),
            "nativeStopBudget": false,
            "activeWork": {
                "rootRequests": active.saturating_sub(cron), "cronRuns": cron,
                "sessionMutations": 0, "terminalPersistence": 0, "lifecycleWrites": 0,
            },
            "writeCustody": [],
        })
    }

    /// A run ended: perhaps it was the last.
    pub(super) fn leave_if_idle(&mut self, fx: &mut Effects) {
        self.restart_deferred(false, fx);
        if matches!(self.leaving, Some(Leaving::Draining { .. })) && self.runs.active_len() == 0 {
            self.leave(fx);
        }
    }

    pub(super) fn drain_over(&mut self, fx: &mut Effects) {
        if matches!(self.leaving, Some(Leaving::Draining { .. })) {
            log::warn!(target: "gateway", "the drain time is over; {} runs are cut short",
                self.runs.active_len());
            self.keep_bundle("gateway.shutdown_timeout");
            self.leave(fx);
        }
    }

    fn leave(&mut self, fx: &mut Effects) {
        let Some(Leaving::Draining { restart }) = self.leaving else { return };
        if restart && !self.may_restart(fx) {
            // The file was damaged while runs finished.
            self.leaving = None;
            return;
        }
        self.leaving = Some(Leaving::Gone);
        for run in self.runs.numbers() {
            self.cancel_run(run, "restart", fx);
        }
        self.stop_channels(fx);
        self.cancel_exchanges(fx);
        self.end_execs(fx);
        self.end_secrets(fx);
        let mut payload = json!({
            "reason": if restart { "gateway restarting" } else { "gateway stopping" },
        });
        if restart {
            payload["restartExpectedMs"] = json!(limits::RESTART_EXPECTED_MS);
        }
        self.broadcast("shutdown", To::All, fx, &|_| Some(payload.clone()));
        let peers: Vec<ConnId> = self.conns.all().map(|(id, _)| id).collect();
        for id in peers {
            match self.conns.get(id).map(|conn| &conn.state) {
                Some(State::Client(_) | State::Handshake(_)) => {
                    self.close_socket(id, close::SERVICE_RESTART, "service restart", fx);
                }
                Some(State::Http(_)) => self.close(id, fx),
                Some(State::Upstream(_) | State::Exchange(_) | State::Channel(..)) | None => {}
            }
        }
        self.save();
        if restart {
            fx.push(Effect::Reexec);
        } else {
            fx.push(Effect::StopListening);
            fx.push(Effect::Exit { code: 0 });
        }
    }
}
