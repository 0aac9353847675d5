//! Connections that have not proved who they are: how many there may be, and who goes first.
//!
//! ```text
//!   Accepted --> stranger --bearer, hook token, connect--> known
//!                   |
//!                   +-- too many of its address, too many in all, too many bytes of all,
//!                       no descriptor left: the oldest goes, without a word
//! ```
//!
//! Whoever proves itself does so within milliseconds; whoever was let in long ago and has said
//! nothing is the one to do without. So a flood of silent connections costs its own oldest, and
//! our own command line, the newest, gets in. Time is bounded besides: [`limits::HTTP_HEAD_MS`],
//! `gateway.handshakeTimeoutMs`, [`limits::STRANGER_IDLE_MS`], none of them renewed by a byte.

use super::Gateway;
use crate::auth::limiter::Key;
use crate::driver::{ConnId, Effect, Effects};
use crate::limits;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// One of them, or the place of one who left.
struct Stranger {
    number: u64,
    conn: ConnId,
    key: Key,
    /// The turn it came in.
    turn: u64,
    left: bool,
}

/// All of them, in the order they came. One queue with room from the start: what grows amid a
/// load and stays would keep the memory below it from going back to the system.
pub(super) struct Strangers {
    last: u64,
    line: VecDeque<Stranger>,
    /// How many in the line have not left.
    here: usize,
    counts: BTreeMap<Key, usize>,
    bytes: usize,
}

impl Default for Strangers {
    fn default() -> Self {
        let mut line = VecDeque::with_capacity(limits::ROOM);
        // Written to once: the room is there, not merely promised.
        line.resize_with(limits::ROOM, || Stranger {
            number: 0,
            conn: ConnId { slot: 0, generation: 0 },
            key: Key::Loopback,
            turn: 0,
            left: true,
        });
        line.clear();
        Self { last: 0, line, here: 0, counts: BTreeMap::new(), bytes: 0 }
    }
}

impl Strangers {
    fn insert(&mut self, conn: ConnId, key: Key, turn: u64) -> u64 {
        self.last += 1;
        self.line.push_back(Stranger { number: self.last, conn, key, turn, left: false });
        self.here += 1;
        *self.counts.entry(key).or_insert(0) += 1;
        self.last
    }

    /// Forgets one, by its number and the input held for it.
    pub(super) fn remove(&mut self, number: Option<u64>, held: usize) {
        let Some(number) = number else { return };
        let found = self.line.binary_search_by_key(&number, |stranger| stranger.number);
        let Some(stranger) = found.ok().and_then(|at| self.line.get_mut(at)) else { return };
        if std::mem::replace(&mut stranger.left, true) {
            return;
        }
        let key = stranger.key;
        self.bytes = self.bytes.saturating_sub(held);
        self.here -= 1;
        if let Some(count) = self.counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&key);
            }
        }
        while self.line.front().is_some_and(|first| first.left) {
            self.line.pop_front();
        }
        if self.line.len() > self.here.saturating_mul(2).saturating_add(limits::ROOM) {
            self.line.retain(|stranger| !stranger.left);
        }
        if self.line.is_empty() && self.line.capacity() > limits::ROOM {
            self.line = VecDeque::with_capacity(limits::ROOM);
        }
    }

    /// The input held for one changed.
    pub(super) fn held(&mut self, before: usize, now: usize) {
        self.bytes = self.bytes.saturating_sub(before).saturating_add(now);
    }

    /// Who has to go, if anybody.
    fn surplus(&self, key: Key) -> Option<ConnId> {
        let of_key = self.counts.get(&key).is_some_and(|count| *count > limits::STRANGERS_PER_PEER);
        if of_key {
            let mut line = self.line.iter();
            return line.find(|one| !one.left && one.key == key).map(|one| one.conn);
        }
        if self.here > limits::STRANGERS { self.oldest().map(|one| one.conn) } else { None }
    }

    /// Who came first: nobody who left stands there.
    fn oldest(&self) -> Option<&Stranger> {
        self.line.front()
    }
}

impl Gateway {
    /// Somebody came in.
    pub(super) fn meet(&mut self, id: ConnId, peer: IpAddr, fx: &mut Effects) {
        let key = Key::of(peer);
        let number = self.strangers.insert(id, key, self.turn);
        if let Some(conn) = self.conns.get_mut(id) {
            conn.stranger = Some(number);
        }
        while let Some(oldest) = self.strangers.surplus(key) {
            self.drop_stranger(oldest, fx);
        }
    }

    /// It has proved who it is.
    pub(super) fn is_known_now(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            let number = conn.stranger.take();
            self.strangers.remove(number, conn.held);
        }
    }

    /// Lets go of the older half, [`limits::STRANGERS_DROPPED`] at most. Nobody of this turn
    /// goes: what it sent has not been read yet.
    pub(super) fn make_room(&mut self, fx: &mut Effects) {
        let half = self.strangers.here.div_ceil(2);
        for _ in 0..half.min(limits::STRANGERS_DROPPED) {
            let before = |oldest: &&Stranger| oldest.turn < self.turn;
            let Some(oldest) = self.strangers.oldest().filter(before) else { return };
            self.drop_stranger(oldest.conn, fx);
        }
    }

    /// Keeps what is held for all of them within its bound.
    pub(super) fn bound_strangers(&mut self, fx: &mut Effects) {
        while self.strangers.bytes > limits::STRANGERS_BYTES {
            let Some(oldest) = self.strangers.oldest() else { return };
            self.drop_stranger(oldest.conn, fx);
        }
    }

    fn drop_stranger(&mut self, id: ConnId, fx: &mut Effects) {
        log::debug!(target: "gateway", "a connection that said nothing makes room");
        fx.push(Effect::Abort { conn: id });
        self.forget(id, fx);
        debug_assert!(self.strangers.oldest().is_none_or(|oldest| oldest.conn != id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    fn key(n: u32) -> Key {
        Key::V4(n.into())
    }

    #[test]
    fn one_address_pushes_out_its_own_and_many_push_out_the_oldest() {
        let mut strangers = Strangers::default();
        strangers.insert(conn(0), key(0), 0);
        for slot in 1..=limits::STRANGERS_PER_PEER {
            strangers.insert(conn(slot as u32), key(1), 0);
            assert_eq!(strangers.surplus(key(1)), None);
        }
        let last = strangers.insert(conn(9_999), key(1), 0);
        assert_eq!(strangers.surplus(key(1)), Some(conn(1)), "the oldest of that address");
        strangers.remove(Some(last), 0);
        for slot in strangers.here..limits::STRANGERS {
            strangers.insert(conn(slot as u32), key(slot as u32), 0);
            assert_eq!(strangers.surplus(key(slot as u32)), None);
        }
        strangers.insert(conn(8_888), key(2), 0);
        assert_eq!(strangers.surplus(key(2)), Some(conn(0)), "the oldest of all");
    }

    #[test]
    fn nothing_is_left_of_those_who_left() {
        let mut strangers = Strangers::default();
        let numbers: Vec<u64> = (0..10).map(|n| strangers.insert(conn(n), key(n % 3), 0)).collect();
        strangers.held(0, 70);
        for number in numbers {
            strangers.remove(Some(number), 7);
            strangers.remove(Some(number), 7);
        }
        assert!(strangers.counts.is_empty() && strangers.line.is_empty());
        assert_eq!((strangers.bytes, strangers.here), (0, 0));
    }

    #[test]
    fn the_line_does_not_grow_by_those_who_left_behind_one_who_stays() {
        let mut strangers = Strangers::default();
        strangers.insert(conn(0), key(0), 0);
        for n in 1..50_000 {
            let number = strangers.insert(conn(n), key(n), 0);
            strangers.remove(Some(number), 0);
            assert!(strangers.line.len() <= limits::ROOM + 3);
        }
        assert_eq!((strangers.here, strangers.counts.len()), (1, 1));
    }
}
