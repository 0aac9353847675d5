//! Peers who come in: from the listeners' queues to slots, also when the system has no
//! descriptor left.
//!
//! ```text
//!   accept --> a slot
//!     |  EMFILE: the reserve is given up for one more accept
//!     +--> nobody waits: the reserve is taken back, an edge tells of the next
//!     +--> somebody: the core lets go of whom it can do without --> a slot
//!                    nobody goes, in the next turn neither --> 503 to all who wait, and a pause
//! ```
//!
//! So the loop never spins on listeners that are always ready, nobody is let go while nobody
//! waits, and who cannot come in is told.

use super::{Reactor, slot::Kind};
use crate::driver::{Core, Effects, Input, Now};
use crate::limits;
use mio::net::TcpStream;
use std::io::{self, Write};
use std::net::SocketAddr;

/// A descriptor of nothing, to be given up when there are no others.
pub(super) fn reserve() -> Option<std::fs::File> {
    std::fs::File::open(if cfg!(windows) { "NUL" } else { "/dev/null" }).ok()
}

/// What the queues of the listeners gave.
enum Next {
    Peer(TcpStream, SocketAddr),
    /// All are empty.
    Nobody,
    /// The system refuses.
    Failed(io::Error),
}

impl Reactor {
    /// Takes peers in, within the budget of a turn.
    pub(super) fn accept<C: Core>(&mut self, now: Now, core: &mut C, fx: &mut Effects) {
        if self.accept_again.is_some_and(|again| now.time >= again) {
            self.accept_again = None;
            self.accept_ready = true;
        }
        if !self.accept_ready || !self.may_accept() {
            return;
        }
        if self.on_reserve.is_some() {
            return self.settle_waiting(now, core, fx);
        }
        if self.reserve.is_none() {
            self.reserve = reserve();
        }
        self.accept_from = self.accept_from.wrapping_add(1);
        for _ in 0..limits::ACCEPTS_PER_TURN {
            match self.next_peer() {
                Next::Peer(stream, peer) => self.seat(stream, peer, now, core, fx),
                Next::Nobody => {
                    self.accept_ready = false;
                    return;
                }
                Next::Failed(error) => return self.starved(&error, now, core, fx),
            }
        }
    }

    /// The next one in the queues, beginning with another listener each turn.
    fn next_peer(&self) -> Next {
        let count = self.listeners.len();
        let mut empty = 0;
        while empty < count {
            let at = self.accept_from.wrapping_add(empty).checked_rem(count);
            let Some(listener) = at.and_then(|at| self.listeners.get(at)) else { break };
            match listener.accept() {
                Ok((stream, peer)) => return Next::Peer(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => empty += 1,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The peer gave up between its SYN and our accept: nobody to tell.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Next::Failed(error),
            }
        }
        Next::Nobody
    }

    /// Gives a peer its slot.
    pub(super) fn seat<C: Core>(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        now: Now,
        core: &mut C,
        fx: &mut Effects,
    ) {
        if self.slots.open() >= limits::CONNECTIONS {
            // The newest is told and dropped; those that are served stay served.
            return self.turn_away(stream);
        }
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().unwrap_or(peer);
        let tls = match self.inbound.session() {
            Ok(tls) => tls,
            Err(text) => {
                log::warn!(target: "tls", "{peer} is cut off: {text}");
                return;
            }
        };
        match self.slots.insert(self.poll.registry(), stream, Kind::Peer) {
            Ok(conn) => {
                if tls.is_some()
                    && let Some(slot) = self.slots.live(conn)
                {
                    slot.tls = tls;
                    self.inbound.began(conn, now.time, &mut self.slots);
                }
                core.on(now, Input::Accepted { conn, peer, local }, fx);
            }
            Err(error) => log::warn!(target: "reactor", "accept: {error}"),
        }
    }

    fn turn_away(&self, mut stream: TcpStream) {
        if self.inbound.is_plain() {
            let _ = stream.write(
                b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
                  Content-Length: 0\r\nRetry-After: 5\r\n\r\n",
            );
        }
    }

    /// Out of descriptors or memory.
    fn starved<C: Core>(&mut self, error: &io::Error, now: Now, core: &mut C, fx: &mut Effects) {
        // The system says so before it looks whether anybody waits at all.
        drop(self.reserve.take());
        match self.next_peer() {
            Next::Peer(stream, peer) => self.on_reserve = Some((stream, peer)),
            Next::Nobody => {
                self.accept_ready = false;
                self.reserve = reserve();
            }
            Next::Failed(_) => {
                // Not even that one is left: a child took it, say.
                if !makes_room(now, core, fx) {
                    self.rest(error, now);
                }
            }
        }
        if self.on_reserve.is_some() && makes_room(now, core, fx) {
            self.seat_waiting(now, core, fx);
        }
    }

    /// Somebody was let in on the reserve in the turn before, and nobody could go for it. Those
    /// who had just come in then have been read since: the core is asked once more.
    fn settle_waiting<C: Core>(&mut self, now: Now, core: &mut C, fx: &mut Effects) {
        if makes_room(now, core, fx) {
            return self.seat_waiting(now, core, fx);
        }
        if let Some((stream, _)) = self.on_reserve.take() {
            self.turn_away(stream);
        }
        for _ in 0..limits::ACCEPTS_PER_TURN {
            let Next::Peer(stream, _) = self.next_peer() else { break };
            self.turn_away(stream);
        }
        self.rest(&io::Error::other("no descriptor is left"), now);
    }

    fn seat_waiting<C: Core>(&mut self, now: Now, core: &mut C, fx: &mut Effects) {
        if let Some((stream, peer)) = self.on_reserve.take() {
            self.seat(stream, peer, now, core, fx);
        }
    }

    /// A pause of the listeners, which would be ready all the time.
    fn rest(&mut self, error: &io::Error, now: Now) {
        log::error!(target: "reactor",
            "accept: {error}; no new connections for {} ms (check `ulimit -n`)",
            limits::ACCEPT_BACKOFF_MS);
        self.accept_again = Some(now.time.after_ms(limits::ACCEPT_BACKOFF_MS));
    }
}

/// Whether the core lets go of somebody.
fn makes_room<C: Core>(now: Now, core: &mut C, fx: &mut Effects) -> bool {
    let before = fx.len();
    core.on(now, Input::Starved, fx);
    fx.len() > before
}
