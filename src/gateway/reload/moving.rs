//! The listener of a running gateway goes elsewhere: `gateway.port`, `gateway.bind` and
//! `gateway.customBindHost` need no restart.
//!
//! ```text
//!   a good configuration that listens elsewhere --> kept back, the driver is asked to move
//!     it listens there ---> the configuration is taken over, open connections stay
//!     it does not --------> the whole edit is refused; it listens where it did
//! ```
//!
//! Nothing of the edit counts before the listener is where the edit wants it: a secret that a
//! loopback gateway can do without is never taken from one that a network still reaches.

use super::{By, NotLoaded, Reloaded};
use crate::config::AuthMode;
use crate::driver::{Effect, Effects, ListenError};
use crate::gateway::Gateway;
use crate::gateway::timers::Timer;
use std::net::SocketAddr;

/// An edit that waits for the driver's answer.
#[derive(Debug)]
pub(super) struct Moving {
    new: Reloaded,
    by: By,
}

impl Gateway {
    /// Asks the driver to move, and keeps the configuration back until it has.
    pub(super) fn move_listener(&mut self, new: Reloaded, by: By, fx: &mut Effects) {
        if self.watch.moving_to.is_some() {
            // Two writes in one turn: the file is looked at again when the first is settled.
            self.watch.looks.clear();
            self.timers.arm(self.now.time, Timer::Watch);
            return;
        }
        let Some(places) = new.moves.clone() else { return };
        debug_assert!(places.first().is_some_and(|place| place.needed && place.addr.port() > 0));
        self.watch.moving_to = Some(Box::new(Moving { new, by }));
        fx.push(Effect::Listen(places));
    }

    /// The driver's answer.
    pub(in crate::gateway) fn listening(
        &mut self,
        outcome: Result<Vec<SocketAddr>, ListenError>,
        fx: &mut Effects,
    ) {
        let moving = self.watch.moving_to.take();
        match outcome {
            Ok(places) => {
                self.listens_at(places);
                let Some(Moving { mut new, by }) = moving.map(|it| *it) else { return };
                new.moves = None;
                self.settle(new, by, true, fx);
            }
            Err(error) => {
                self.host.listening.retain(|addr| !error.lost.contains(addr));
                let Some(Moving { new, .. }) = moving.map(|it| *it) else { return };
                self.refuse(self.cannot_move(&error, &new), fx);
            }
        }
    }

    fn listens_at(&mut self, places: Vec<SocketAddr>) {
        let Some(first) = places.first().copied() else { return };
        self.host.port = first.port();
        let ip = first.ip();
        let outward = !ip.is_unspecified() && !ip.to_canonical().is_loopback();
        self.host.address = outward.then(|| ip.to_string());
        self.host.listening = places;
        log::info!(target: "gateway", "listening on {} now; open connections stay",
            self.listens_text());
        if let Some(reload) = &mut self.reload {
            reload.moved(first);
        }
    }

    /// `ws://127.0.0.1:18789 and ws://[::1]:18789`.
    fn listens_text(&self) -> String {
        let all: Vec<String> =
            self.host.listening.iter().map(|addr| format!("ws://{addr}")).collect();
        all.join(" and ")
    }

    /// The refusal of a listener that does not open: the key, who holds the port, what to type.
    fn cannot_move(&self, error: &ListenError, new: &Reloaded) -> NotLoaded {
        let at = |config: &crate::config::Config| config.gateway.port;
        let key = if at(&self.config) != at(&new.config) { "gateway.port" } else { "gateway.bind" };
        let holder = self.reload.as_ref().map(|reload| reload.holder(error.addr));
        let holder = holder.filter(|text| !text.is_empty());
        let holder = holder.map_or_else(String::new, |text| format!("\nHeld by: {text}"));
        let still = if error.lost.is_empty() {
            format!("it still listens on {}", self.listens_text())
        } else {
            let lost: Vec<String> = error.lost.iter().map(ToString::to_string).collect();
            format!("{} did not open again either", lost.join(" and "))
        };
        let what = format!(
            "{key}: the gateway cannot move to {}: {}; {still}{holder}\n\
             next: openclaw config set {key} <another>",
            error.addr, error.text
        );
        NotLoaded::because(what, &new.config, new.files.clone()).at(key)
    }

    /// Without authentication nobody stays who came by an address that a network reaches.
    pub(super) fn close_outward(&mut self, fx: &mut Effects) {
        if self.credentials.mode != AuthMode::None {
            return;
        }
        let all = self.conns.all().filter(|(_, conn)| !conn.inward);
        let gone: Vec<_> = all.map(|(id, _)| id).collect();
        for id in gone {
            fx.push(Effect::Abort { conn: id });
            self.forget(id, fx);
        }
    }
}
