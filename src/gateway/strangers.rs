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
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// All of them, numbered in the order they came.
#[derive(Default)]
pub(super) struct Strangers {
    last: u64,
    /// With the turn they came in.
    by_age: BTreeMap<u64, (ConnId, Key, u64)>,
    by_key: BTreeSet<(Key, u64)>,
    counts: BTreeMap<Key, usize>,
    bytes: usize,
}

impl Strangers {
    fn insert(&mut self, conn: ConnId, key: Key, turn: u64) -> u64 {
        self.last += 1;
        self.by_age.insert(self.last, (conn, key, turn));
        self.by_key.insert((key, self.last));
        *self.counts.entry(key).or_insert(0) += 1;
        self.last
    }

    /// Forgets one, by its number and the input held for it.
    pub(super) fn remove(&mut self, number: Option<u64>, held: usize) {
        let Some(number) = number else { return };
        let Some((_, key, _)) = self.by_age.remove(&number) else { return };
        self.by_key.remove(&(key, number));
        self.bytes = self.bytes.saturating_sub(held);
        if let Some(count) = self.counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&key);
            }
        }
        debug_assert!(self.by_age.len() == self.by_key.len());
    }

    /// The input held for one changed.
    pub(super) fn held(&mut self, before: usize, now: usize) {
        self.bytes = self.bytes.saturating_sub(before).saturating_add(now);
    }

    /// Who has to go, if anybody.
    fn surplus(&self, key: Key) -> Option<ConnId> {
        let of_key = self.counts.get(&key).is_some_and(|count| *count > limits::STRANGERS_PER_PEER);
        if of_key {
            let (_, oldest) = self.by_key.range((key, 0)..=(key, u64::MAX)).next()?;
            return self.by_age.get(oldest).map(|(conn, ..)| *conn);
        }
        if self.by_age.len() > limits::STRANGERS { self.oldest() } else { None }
    }

    fn oldest(&self) -> Option<ConnId> {
        self.by_age.values().next().map(|(conn, ..)| *conn)
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
        let half = self.strangers.by_age.len().div_ceil(2);
        for _ in 0..half.min(limits::STRANGERS_DROPPED) {
            match self.strangers.by_age.values().next() {
                Some((oldest, _, turn)) if *turn < self.turn => self.drop_stranger(*oldest, fx),
                _ => return,
            }
        }
    }

    /// Keeps what is held for all of them within its bound.
    pub(super) fn bound_strangers(&mut self, fx: &mut Effects) {
        while self.strangers.bytes > limits::STRANGERS_BYTES {
            let Some(oldest) = self.strangers.oldest() else { return };
            self.drop_stranger(oldest, fx);
        }
    }

    fn drop_stranger(&mut self, id: ConnId, fx: &mut Effects) {
        log::debug!(target: "gateway", "a connection that said nothing makes room");
        fx.push(Effect::Abort { conn: id });
        self.forget(id, fx);
        debug_assert!(self.strangers.oldest() != Some(id));
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
        for slot in strangers.by_age.len()..limits::STRANGERS {
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
        assert!(strangers.counts.is_empty() && strangers.by_key.is_empty());
        assert_eq!((strangers.bytes, strangers.oldest()), (0, None));
    }
}
