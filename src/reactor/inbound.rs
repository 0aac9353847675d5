//! What the listener speaks, and how long those who have just connected may take to say hello.
//!
//! ```text
//!   accepted -> [session] -> handshaking -> plain bytes flow -> close_notify
//!                                |    \
//!                         its deadline  not TLS, or none of ours: alert, end, 1 s of discarding
//! ```
//!
//! The core hears of a connection when it is accepted, so that every bound on connections and
//! their time counts those that only shake hands; its bytes wait until the handshake is done.

use super::certificate::Server;
use super::slot::Slots;
use super::tls::Tls;
use crate::driver::{ConnId, Time, TlsFiles};
use crate::limits;
use std::collections::VecDeque;

/// What a new connection is spoken to in.
enum Speaks {
    Plain,
    Tls(Server),
    /// The files of the first moment were bad: plain text would be worse than nothing.
    Nothing,
}

/// The listener's side of TLS.
pub(super) struct Inbound {
    speaks: Speaks,
    /// Handshakes and their deadlines, oldest first: all have the same time.
    shaking: VecDeque<(Time, ConnId)>,
}

impl Inbound {
    pub(super) fn new() -> Self {
        Self { speaks: Speaks::Plain, shaking: VecDeque::new() }
    }

    /// Changes what is spoken to those who come from here on; an error changes nothing, but
    /// never leaves plain text in the place of TLS.
    pub(super) fn speak(&mut self, files: Option<&TlsFiles>) -> Result<(), String> {
        match files.map(Server::new) {
            None => self.speaks = Speaks::Plain,
            Some(Ok(server)) => self.speaks = Speaks::Tls(server),
            Some(Err(text)) => {
                if matches!(self.speaks, Speaks::Plain) {
                    self.speaks = Speaks::Nothing;
                }
                return Err(text);
            }
        }
        Ok(())
    }

    /// What goes on after an error of [`Inbound::speak`], for the log.
    pub(super) fn without_new_files(&self) -> &'static str {
        match self.speaks {
            Speaks::Plain | Speaks::Tls(_) => "the previous certificate stays in use",
            Speaks::Nothing => "nobody is served until the files are good",
        }
    }

    /// May a new connection be written to before it has a session?
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.speaks, Speaks::Plain)
    }

    /// The session of a new connection, none for plain text; an error refuses it.
    pub(super) fn session(&self) -> Result<Option<Box<Tls>>, String> {
        match &self.speaks {
            Speaks::Plain => Ok(None),
            Speaks::Tls(server) => server.session().map(|tls| Some(Box::new(tls))),
            Speaks::Nothing => Err("gateway.tls has no usable certificate".to_owned()),
        }
    }

    /// A handshake begins.
    pub(super) fn began(&mut self, conn: ConnId, now: Time, slots: &mut Slots) {
        if self.shaking.len() >= limits::CONNECTIONS {
            self.shaking.retain(|(_, conn)| slots.shakes_hands(*conn));
        }
        self.shaking.push_back((now.after_ms(limits::TLS_HANDSHAKE_MS), conn));
    }

    /// When to look at handshakes again.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.shaking.front().map(|(due, _)| *due)
    }

    /// The next connection whose handshake took too long.
    pub(super) fn overdue(&mut self, now: Time, slots: &mut Slots) -> Option<ConnId> {
        while let Some((due, conn)) = self.shaking.front().copied() {
            let late = due <= now;
            let shaking = slots.shakes_hands(conn);
            if shaking && !late {
                return None;
            }
            self.shaking.pop_front();
            if shaking {
                return Some(conn);
            }
        }
        // A burst is over: nothing of it stays.
        self.shaking.shrink_to(limits::ROOM);
        None
    }
}
