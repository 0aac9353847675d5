//! `gateway.tls` while the gateway runs: the files are looked at every
//! [`limits::TLS_LOOK_MS`], and what changed goes to the driver, which looks into it and shows
//! it to those who connect from then on. The key itself is hot: TLS is switched on and off, and
//! moved to other files, with the port as it is.
//!
//! Reload mode `off` stops looking, as in the reference.

use super::Gateway;
use super::timers::Timer;
use crate::config::{ReloadMode, Tls};
use crate::driver::{Effect, Effects};
use crate::limits;
use crate::store::Stat;

/// What was last seen of the files; a file that is missing is none.
#[derive(Debug, Default)]
pub(super) struct Seen {
    stats: Vec<Option<Stat>>,
    armed: bool,
}

impl Gateway {
    /// The driver was given these files before it was given us.
    pub(super) fn begin_tls(&mut self) {
        self.tls.stats = self.tls_stats();
        self.look_later();
    }

    /// The configuration changed, or somebody asked to look now.
    pub(super) fn tls_reread(&mut self, before: &Tls, fx: &mut Effects) {
        let tls = &self.config.gateway.tls;
        let stats = self.tls_stats();
        if *before == *tls && stats == self.tls.stats {
            return;
        }
        self.tls.stats = stats;
        if tls.enabled {
            self.show_tls(fx);
            self.look_later();
        } else if before.enabled {
            fx.push(Effect::ListenerTls(None));
        }
    }

    /// Time to look at the files.
    pub(super) fn tls_due(&mut self, fx: &mut Effects) {
        self.tls.armed = false;
        if !self.config.gateway.tls.enabled {
            return;
        }
        if self.config.gateway.reload.mode != ReloadMode::Off {
            let stats = self.tls_stats();
            if stats != self.tls.stats {
                self.tls.stats = stats;
                self.show_tls(fx);
            }
        }
        self.look_later();
    }

    fn look_later(&mut self) {
        if self.config.gateway.tls.enabled && !self.tls.armed {
            self.tls.armed = true;
            self.timers.arm(self.now.time.after_ms(limits::TLS_LOOK_MS), Timer::Tls);
        }
    }

    fn tls_stats(&self) -> Vec<Option<Stat>> {
        let tls = &self.config.gateway.tls;
        if !tls.enabled {
            return Vec::new();
        }
        tls.paths().map(|path| self.disk.stat(path).ok()).collect()
    }

    fn show_tls(&self, fx: &mut Effects) {
        match self.config.gateway.tls.files(&|path, max| self.disk.read_at(path, 0, max)) {
            Ok(files) => fx.push(Effect::ListenerTls(Some(Box::new(files)))),
            Err(text) => {
                log::error!(target: "tls", "{text}; what was in use before stays in use");
            }
        }
    }
}
