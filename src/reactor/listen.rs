//! Listening elsewhere while the process runs.
//!
//! ```text
//!   what stays, stays --> what is new opens
//!       |  an old listener of ours is in the way: it is drained, closes, the new one opens
//!       +--> all that must open did: the rest of the old ones is drained and closes
//!       +--> one did not: what opened closes, what closed opens again; nothing has changed
//! ```
//!
//! To drain is to seat those who had connected before: their handshake with the kernel is done,
//! and a listener that closes resets them.

use super::{LISTENER, Reactor, bind};
use crate::driver::{Core, Effects, ListenError, Now, Place};
use crate::limits;
use mio::Interest;
use mio::net::TcpListener;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Two addresses that cannot both be listened on.
fn in_the_way(held: SocketAddr, wanted: SocketAddr) -> bool {
    let (a, b) = (held.ip().to_canonical(), wanted.ip().to_canonical());
    let wide = |ip: IpAddr| ip.is_unspecified();
    held.port() == wanted.port() && (a == b || wide(a) || wide(b))
}

impl Reactor {
    /// Listens on these places and nowhere else.
    pub(super) fn relisten<C: Core>(
        &mut self,
        places: &[Place],
        now: Now,
        core: &mut C,
        fx: &mut Effects,
    ) -> Result<Vec<SocketAddr>, ListenError> {
        assert!(places.first().is_some_and(|place| place.needed), "nowhere to listen");
        let before = self.listening();
        let refused =
            |place: &Place, text: String, lost| ListenError { addr: place.addr, text, lost };
        if self.leaving.is_some() || before.is_empty() {
            let text = "the gateway is stopping".to_owned();
            let first = places.first().copied();
            let place = first.unwrap_or(Place { addr: ([0, 0, 0, 0], 0).into(), needed: true });
            return Err(refused(&place, text, Vec::new()));
        }
        let mut open = Vec::new();
        for place in places {
            match self.take_or_open(place.addr, places, now, core, fx) {
                Ok(listener) => open.push(listener),
                Err(error) if !place.needed => {
                    log::debug!(target: "gateway", "not listening on {}: {error}", place.addr);
                }
                Err(error) => {
                    let lost = self.undo(&before, open);
                    return Err(refused(place, error.to_string(), lost));
                }
            }
        }
        self.close_listeners(&|_| true, now, core, fx);
        self.listeners = open;
        self.accept_ready = true;
        Ok(self.listening())
    }

    /// Where the listeners are, in their order.
    fn listening(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|one| one.local_addr().ok()).collect()
    }

    /// The listener of an address: ours, or a new one, for which old ones make room.
    fn take_or_open<C: Core>(
        &mut self,
        wanted: SocketAddr,
        places: &[Place],
        now: Now,
        core: &mut C,
        fx: &mut Effects,
    ) -> io::Result<TcpListener> {
        if let Some(index) = self.listening().iter().position(|addr| *addr == wanted) {
            return Ok(self.listeners.remove(index));
        }
        let error = match self.open(wanted) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => error,
            other => return other,
        };
        let stays = |addr| places.iter().any(|place| place.addr == addr);
        let way = |addr| in_the_way(addr, wanted) && !stays(addr);
        if !self.listening().into_iter().any(way) {
            return Err(error);
        }
        self.close_listeners(&way, now, core, fx);
        self.open(wanted)
    }

    fn open(&self, addr: SocketAddr) -> io::Result<TcpListener> {
        let listener = bind(addr)?;
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        self.poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(listener)
    }

    /// Seats who waits at the listeners of these addresses, and closes them.
    fn close_listeners<C: Core>(
        &mut self,
        which: &dyn Fn(SocketAddr) -> bool,
        now: Now,
        core: &mut C,
        fx: &mut Effects,
    ) {
        let goes = |one: &TcpListener| one.local_addr().is_ok_and(which);
        let (gone, stay) = std::mem::take(&mut self.listeners).into_iter().partition(goes);
        self.listeners = stay;
        let gone: Vec<TcpListener> = gone;
        for mut listener in gone {
            for _ in 0..limits::ACCEPT_QUEUE {
                let Ok((stream, peer)) = listener.accept() else { break };
                self.seat(stream, peer, now, core, fx);
            }
            let _ = self.poll.registry().deregister(&mut listener);
        }
    }

    /// Back to what was: what is new closes, what closed opens. Returns what did not.
    fn undo(&mut self, before: &[SocketAddr], open: Vec<TcpListener>) -> Vec<SocketAddr> {
        let ours = |one: &TcpListener| one.local_addr().is_ok_and(|addr| before.contains(&addr));
        for mut listener in open {
            if ours(&listener) {
                self.listeners.push(listener);
            } else {
                let _ = self.poll.registry().deregister(&mut listener);
            }
        }
        let here = self.listening();
        let mut lost = Vec::new();
        for addr in before.iter().filter(|addr| !here.contains(addr)) {
            match self.open(*addr) {
                Ok(listener) => self.listeners.push(listener),
                Err(error) => {
                    log::error!(target: "gateway", "{addr} does not open again: {error}");
                    lost.push(*addr);
                }
            }
        }
        let place = |one: &TcpListener| {
            let addr = one.local_addr().ok();
            before.iter().position(|its| Some(*its) == addr)
        };
        self.listeners.sort_by_key(place);
        self.accept_ready = true;
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Input, Time};
    use std::net::TcpStream;

    #[test]
    fn only_overlapping_addresses_are_in_the_way() {
        let way =
            |held: &str, wanted: &str| in_the_way(held.parse().unwrap(), wanted.parse().unwrap());
        assert!(way("0.0.0.0:7", "127.0.0.1:7"));
        assert!(way("127.0.0.1:7", "0.0.0.0:7"));
        assert!(way("127.0.0.1:7", "[::ffff:127.0.0.1]:7"));
        assert!(way("[::1]:7", "0.0.0.0:7"), "closed for nothing, opened again: harmless");
        assert!(!way("127.0.0.1:7", "127.0.0.2:7"));
        assert!(!way("0.0.0.0:7", "127.0.0.1:8"));
    }

    /// Counts who came in.
    #[derive(Default)]
    struct Door(usize);

    impl Core for Door {
        fn on(&mut self, _: Now, input: Input<'_>, _: &mut Effects) {
            self.0 += usize::from(matches!(input, Input::Accepted { .. }));
        }
        fn deadline(&self) -> Option<Time> {
            None
        }
    }

    struct Stage {
        reactor: Reactor,
        door: Door,
    }

    impl Stage {
        fn new() -> (Self, SocketAddr) {
            let mut reactor = Reactor::new().unwrap();
            let addr = reactor.listen(bind("127.0.0.1:0".parse().unwrap()).unwrap()).unwrap();
            (Self { reactor, door: Door::default() }, addr)
        }

        fn go(&mut self, places: &[(SocketAddr, bool)]) -> Result<Vec<SocketAddr>, ListenError> {
            let place =
                |(addr, needed): &(SocketAddr, bool)| Place { addr: *addr, needed: *needed };
            let places: Vec<Place> = places.iter().map(place).collect();
            let now = self.reactor.now();
            self.reactor.relisten(&places, now, &mut self.door, &mut Effects::new())
        }
    }

    /// A free port: two listeners of loopback addresses cannot have it at once.
    fn free() -> SocketAddr {
        let probe = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        probe.local_addr().unwrap()
    }

    #[test]
    fn a_new_port_opens_and_the_old_one_refuses_but_for_those_who_had_come() {
        let (mut stage, old) = Stage::new();
        let waiting = TcpStream::connect(old).unwrap();
        let new = free();
        assert_eq!(stage.go(&[(new, true)]), Ok(vec![new]));
        assert_eq!(stage.door.0, 1, "who had connected before is served");
        assert!(TcpStream::connect(old).is_err());
        assert!(TcpStream::connect(new).is_ok());
        drop(waiting);
        assert_eq!(stage.go(&[(new, true)]), Ok(vec![new]), "what stays, stays");
    }

    #[test]
    fn one_port_changes_its_address() {
        let (mut stage, old) = Stage::new();
        let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", old.port()).parse().unwrap();
        if bind(format!("[::ffff:127.0.0.1]:{}", free().port()).parse().unwrap()).is_err() {
            return; // A machine without IPv6.
        }
        let waiting = TcpStream::connect(old).unwrap();
        assert_eq!(stage.go(&[(mapped, true)]), Ok(vec![mapped]));
        assert_eq!(stage.door.0, 1);
        assert!(TcpStream::connect(old).is_ok(), "the mapped address is the same door");
        drop(waiting);
    }

    #[test]
    fn what_does_not_open_leaves_everything_as_it_was() {
        let (mut stage, old) = Stage::new();
        let beside: SocketAddr = ([127, 0, 0, 3], old.port()).into();
        let taken = bind(beside).unwrap();
        // Everywhere on that port: ours is in the way and closes, a foreign one stays.
        let wide: SocketAddr = ([0, 0, 0, 0], old.port()).into();
        let error = stage.go(&[(wide, true)]).unwrap_err();
        assert_eq!((error.addr, error.lost.as_slice()), (wide, &[] as &[SocketAddr]));
        assert_eq!(stage.reactor.listening(), [old]);
        assert!(TcpStream::connect(old).is_ok(), "it opened again");
        // The second address must open as well: the first one, new, closes again.
        let new = free();
        assert!(stage.go(&[(new, true), (beside, true)]).is_err());
        assert!(TcpStream::connect(new).is_err());
        assert_eq!(stage.reactor.listening(), [old]);
        // One that need not open does not hinder.
        assert_eq!(stage.go(&[(new, true), (beside, false)]), Ok(vec![new]));
        drop(taken);
        stage.reactor.listeners.clear();
        assert!(stage.go(&[(old, true)]).is_err(), "a gateway that stops does not listen anew");
    }
}
