//! Outbound connections: resolve, try the addresses, speak TLS, hand the connection over.
//!
//! ```text
//! start -> (literal or cached) -----> attempts -> first to connect -> [CONNECT] -> [TLS] -> Dialed
//!       -> resolving -> addresses --/     |
//!                           next address after 250 ms or a failure (RFC 8305)
//! ```
//!
//! With a proxy its addresses are connected to, and it looks up the target's.
//!
//! One deadline covers all of it. Losers are closed when one attempt has won.

use super::resolver::{Answer, Resolver};
use super::slot::{Kind, Slots};
use super::tls::{self, Progress};
use super::tunnel::Tunnel;
use crate::driver::{DialError, DialId, Input, Now, Target, Time};
use crate::limits;
use crate::wire::address::is_public;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

enum State {
    /// Waiting for the resolver thread.
    Resolving,
    /// Racing addresses: those left, the slots in flight, when to start the next.
    Connecting { left: VecDeque<SocketAddr>, slots: Vec<u32>, next: Time, last: String },
    /// TCP is up to a proxy; it is asked for a tunnel.
    Tunnelling { slot: u32, tunnel: Tunnel },
    /// TCP is up; one slot is in its TLS handshake.
    Handshaking { slot: u32 },
}

struct Dial {
    target: Target,
    deadline: Time,
    state: State,
}

/// What the reactor lends for one call: the time, its slots, and the way to the core.
pub(super) struct Lent<'a> {
    pub(super) now: Now,
    pub(super) registry: &'a Registry,
    pub(super) slots: &'a mut Slots,
    pub(super) tell: &'a mut dyn FnMut(Input<'_>),
}

/// All dials under way.
pub(super) struct Dials {
    dials: BTreeMap<DialId, Dial>,
    resolver: Resolver,
    tls: tls::Roots,
}

impl Dials {
    pub(super) fn new(registry: &Registry, waker: Token) -> Self {
        Self {
            dials: BTreeMap::new(),
            resolver: Resolver::new(registry, waker),
            tls: tls::Roots::default(),
        }
    }

    /// Puts a name into the resolver's cache.
    #[cfg(test)]
    pub(super) fn know(&mut self, host: &str, ips: Vec<IpAddr>) {
        self.resolver.know(host, ips);
    }

    /// Begins a dial; the outcome comes as `Dialed`, possibly at once.
    pub(super) fn start(
        &mut self,
        id: DialId,
        target: Target,
        deadline: Time,
        with: &mut Lent<'_>,
    ) {
        if target.tls && !tls::AVAILABLE {
            return (with.tell)(Input::Dialed { dial: id, result: Err(DialError::NoTls) });
        }
        let (host, port) = target.first_hop();
        let (host, port) = (host.to_owned(), port);
        let addrs = match host.parse::<IpAddr>() {
            Ok(ip) => Answer::Addresses(vec![ip]),
            Err(_) => self.resolver.look_up(&host, with.now.time),
        };
        self.dials.insert(id, Dial { target, deadline, state: State::Resolving });
        match addrs {
            Answer::Pending => {}
            Answer::Busy => self.fail(id, DialError::ResolverBusy, with),
            Answer::Failed(text) => {
                self.fail(id, DialError::Resolve(text), with);
            }
            Answer::Addresses(ips) => self.race(id, &ips, port, with),
        }
    }

    /// The resolver thread has answers.
    pub(super) fn resolved(&mut self, with: &mut Lent<'_>) {
        for (host, answer) in self.resolver.answers(with.now.time) {
            let waiting: Vec<DialId> = self
                .dials
                .iter()
                .filter(|(_, dial)| {
                    matches!(dial.state, State::Resolving) && dial.target.first_hop().0 == host
                })
                .map(|(id, _)| *id)
                .collect();
            for id in waiting {
                let Some(port) = self.dials.get(&id).map(|dial| dial.target.first_hop().1) else {
                    continue;
                };
                match &answer {
                    Ok(ips) => self.race(id, ips, port, with),
                    Err(text) => {
                        let error = DialError::Resolve(text.clone());
                        self.fail(id, error, with);
                    }
                }
            }
        }
    }

    fn race(&mut self, id: DialId, ips: &[IpAddr], port: u16, with: &mut Lent<'_>) {
        if let Some(dial) = self.dials.get_mut(&id) {
            // These are the addresses that are connected to: there is no second look-up that
            // could say something else. One closed address among them spoils the name.
            let closed = ips.iter().find(|ip| dial.target.public_only && !is_public(**ip));
            if let Some(ip) = closed {
                return self.fail(id, DialError::Forbidden(*ip), with);
            }
            dial.state = State::Connecting {
                left: interleave(ips, port),
                slots: Vec::new(),
                next: with.now.time,
                last: "no address".to_owned(),
            };
        }
        self.next_attempt(id, with);
    }

    /// Starts the next address; fails the dial when none is left and none is in flight.
    fn next_attempt(&mut self, id: DialId, with: &mut Lent<'_>) {
        let Some(dial) = self.dials.get_mut(&id) else { return };
        let State::Connecting { left, slots: racing, next, last } = &mut dial.state else {
            return;
        };
        while let Some(addr) = left.pop_front() {
            let opened = TcpStream::connect(addr).and_then(|stream| {
                let _ = stream.set_nodelay(true);
                with.slots.insert(with.registry, stream, Kind::Connecting(id))
            });
            match opened {
                Ok(conn) => {
                    racing.push(conn.slot);
                    *next = with.now.time.after_ms(limits::HAPPY_EYEBALLS_MS);
                    // On the loopback it is connected already: the request need not wait for
                    // the next turn.
                    let slot = with.slots.get_mut(conn.slot);
                    if slot.is_some_and(|conn| conn.stream.peer_addr().is_ok()) {
                        self.connected(id, conn.slot, with);
                    }
                    return;
                }
                Err(error) => *last = format!("{addr}: {error}"),
            }
        }
        if racing.is_empty() {
            let error = DialError::Connect(last.clone());
            self.fail(id, error, with);
        }
    }

    /// An event on a slot of a dial. True when the connection was handed over and may already
    /// hold bytes.
    pub(super) fn progress(&mut self, id: DialId, index: u32, with: &mut Lent<'_>) -> bool {
        let Some(conn) = with.slots.get_mut(index) else { return false };
        if conn.dead {
            return false;
        }
        match conn.kind {
            Kind::Peer => true,
            Kind::Handshaking(_) => match self.dials.get(&id).map(|dial| &dial.state) {
                Some(State::Tunnelling { .. }) => self.tunnel(id, index, with),
                _ => self.handshake(id, index, with),
            },
            Kind::Connecting(_) => {
                let outcome = match conn.stream.take_error() {
                    Ok(Some(error)) | Err(error) => Err(error),
                    // Connected when it has a peer; otherwise the event was early.
                    Ok(None) => match conn.stream.peer_addr() {
                        Ok(_) => Ok(()),
                        Err(error) if error.kind() == std::io::ErrorKind::NotConnected => {
                            return false;
                        }
                        Err(error) => Err(error),
                    },
                };
                match outcome {
                    Ok(()) => self.connected(id, index, with),
                    Err(error) => {
                        with.slots.remove(with.registry, index);
                        if let Some(Dial {
                            state: State::Connecting { slots: racing, last, .. },
                            ..
                        }) = self.dials.get_mut(&id)
                        {
                            racing.retain(|slot| *slot != index);
                            *last = error.to_string();
                        }
                        self.next_attempt(id, with);
                        false
                    }
                }
            }
        }
    }

    fn connected(&mut self, id: DialId, index: u32, with: &mut Lent<'_>) -> bool {
        let Some(dial) = self.dials.get_mut(&id) else {
            with.slots.remove(with.registry, index);
            return false;
        };
        let State::Connecting { slots: racing, .. } = &dial.state else { return false };
        for loser in racing.iter().filter(|slot| **slot != index) {
            with.slots.remove(with.registry, *loser);
        }
        if dial.target.proxy.is_some() {
            let tunnel = Tunnel::new(&dial.target);
            dial.state = State::Tunnelling { slot: index, tunnel };
            if let Some(conn) = with.slots.get_mut(index) {
                conn.kind = Kind::Handshaking(id);
            }
            return self.tunnel(id, index, with);
        }
        self.secure(id, index, with)
    }

    /// A proxy's tunnel: what it still has to be told, and what it answers.
    fn tunnel(&mut self, id: DialId, index: u32, with: &mut Lent<'_>) -> bool {
        let Some(dial) = self.dials.get_mut(&id) else { return false };
        let State::Tunnelling { tunnel, .. } = &mut dial.state else { return false };
        let Some(conn) = with.slots.get_mut(index) else { return false };
        match tunnel.go_on(&mut conn.stream) {
            Ok(Progress::Pending) => false,
            Ok(Progress::Done) => self.secure(id, index, with),
            Err(error) => {
                self.fail(id, error, with);
                false
            }
        }
    }

    /// There is a way to the target: TLS, if it speaks that.
    fn secure(&mut self, id: DialId, index: u32, with: &mut Lent<'_>) -> bool {
        let Some(dial) = self.dials.get_mut(&id) else { return false };
        dial.state = State::Handshaking { slot: index };
        if !dial.target.tls {
            return self.hand_over(id, index, with);
        }
        let session = self.tls.client(&dial.target.host);
        let Some(conn) = with.slots.get_mut(index) else { return false };
        match session {
            Ok(session) => {
                conn.tls = Some(Box::new(session));
                conn.kind = Kind::Handshaking(id);
                self.handshake(id, index, with)
            }
            Err(text) => {
                self.fail(id, DialError::Tls(text), with);
                false
            }
        }
    }

    fn handshake(&mut self, id: DialId, index: u32, with: &mut Lent<'_>) -> bool {
        let Some(conn) = with.slots.get_mut(index) else { return false };
        let Some(tls) = &mut conn.tls else { return false };
        match tls.handshake(&mut conn.stream) {
            Ok(Progress::Pending) => false,
            Ok(Progress::Done) => self.hand_over(id, index, with),
            Err(error) => {
                let text = error.to_string();
                // What rustls itself objects to; the socket's own errors are of other kinds.
                let error = match error.kind() {
                    std::io::ErrorKind::InvalidData => DialError::Untrusted(text),
                    _ => DialError::Tls(text),
                };
                self.fail(id, error, with);
                false
            }
        }
    }

    fn hand_over(&mut self, id: DialId, index: u32, with: &mut Lent<'_>) -> bool {
        self.dials.remove(&id);
        let Some(conn_id) = with.slots.id(index) else { return false };
        let Some(conn) = with.slots.get_mut(index) else { return false };
        conn.kind = Kind::Peer;
        if let Err(error) =
            conn.set_interest(with.registry, index, conn_id.generation, Interest::READABLE)
        {
            with.slots.remove(with.registry, index);
            let result = Err(DialError::Connect(error.to_string()));
            (with.tell)(Input::Dialed { dial: id, result });
            return false;
        }
        (with.tell)(Input::Dialed { dial: id, result: Ok(conn_id) });
        true
    }

    /// Ends a dial with an error and frees its slots.
    fn fail(&mut self, id: DialId, error: DialError, with: &mut Lent<'_>) {
        self.release(id, with);
        (with.tell)(Input::Dialed { dial: id, result: Err(error) });
    }

    fn release(&mut self, id: DialId, with: &mut Lent<'_>) {
        if let Some(dial) = self.dials.remove(&id) {
            match dial.state {
                State::Resolving => {}
                State::Connecting { slots: racing, .. } => {
                    for index in racing {
                        with.slots.remove(with.registry, index);
                    }
                }
                State::Handshaking { slot } | State::Tunnelling { slot, .. } => {
                    with.slots.remove(with.registry, slot);
                }
            }
        }
    }

    /// Forgets a dial without telling.
    pub(super) fn cancel(&mut self, id: DialId, with: &mut Lent<'_>) {
        self.release(id, with);
    }

    /// Due deadlines and due next addresses.
    pub(super) fn timers(&mut self, with: &mut Lent<'_>) {
        if self.dials.is_empty() {
            return;
        }
        let due: Vec<DialId> = self
            .dials
            .iter()
            .filter(|(_, dial)| dial.due() <= with.now.time)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some(dial) = self.dials.get(&id) else { continue };
            if dial.deadline <= with.now.time {
                let error = match &dial.state {
                    State::Resolving if self.resolver.is_behind(dial.target.first_hop().0) => {
                        DialError::ResolverBusy
                    }
                    State::Resolving => DialError::Resolve("the look-up did not end".to_owned()),
                    State::Connecting { .. } => DialError::Timeout,
                    State::Tunnelling { .. } => DialError::Proxy("no answer in time".to_owned()),
                    State::Handshaking { .. } => DialError::Tls("no answer in time".to_owned()),
                };
                self.fail(id, error, with);
            } else {
                self.next_attempt(id, with);
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.dials.values().map(Dial::due).min()
    }
}

impl Dial {
    fn due(&self) -> Time {
        match &self.state {
            State::Connecting { left, next, .. } if !left.is_empty() => (*next).min(self.deadline),
            _ => self.deadline,
        }
    }
}

/// IPv6 first, then the families in turn (RFC 8305 section 4).
fn interleave(ips: &[IpAddr], port: u16) -> VecDeque<SocketAddr> {
    let mut six = ips.iter().filter(|ip| ip.is_ipv6());
    let mut four = ips.iter().filter(|ip| ip.is_ipv4());
    let mut order = VecDeque::new();
    loop {
        let (a, b) = (six.next(), four.next());
        if a.is_none() && b.is_none() {
            return order;
        }
        order.extend(a.into_iter().chain(b).map(|ip| SocketAddr::new(*ip, port)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_six_begins() {
        let ip = |s: &str| s.parse::<IpAddr>().unwrap();
        let order = interleave(&[ip("192.0.2.1"), ip("192.0.2.2"), ip("2001:db8::1")], 80);
        let text: Vec<String> = order.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["[2001:db8::1]:80", "192.0.2.1:80", "192.0.2.2:80"]);
    }
}
