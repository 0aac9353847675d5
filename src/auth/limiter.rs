//! How often somebody may guess: one budget for one address over all doors.
//!
//! ```text
//!   attempt --check--> locked? refused unread, with the time to wait
//!               |
//!               v  compared elsewhere
//!            failed: counted;  at the bound: locked for lockoutMs
//!            passed: what was counted for that kind of proof is forgotten
//! ```
//!
//! Only wrong credentials count; who shows none costs a comparison and no more. The key is an
//! IPv4 address or the /64 of an IPv6 one, with mapped forms folded, so that neither another
//! spelling nor another address of the same line begins anew. A page on this machine is its
//! origin: no page locks another out. The table holds [`limits::LIMITER_KEYS`]; when all of them
//! are in use nobody is thrown out of it, and those beyond it share one slow bucket
//! ([`limits::LIMITER_CROWD`]), so that a botnet neither flushes the table nor guesses faster.
//!
//! Nothing here sees a clock or a socket.

use super::source::Source;
use crate::config::RateLimit;
use crate::driver::Time;
use crate::limits;
use crate::wire::hash::sha256;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Whose attempts count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// 127.0.0.0/8 and ::1: this machine.
    Loopback,
    /// One IPv4 address; also when it came as `::ffff:a.b.c.d` or through NAT64 (RFC 6052).
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address: what one customer gets.
    V6([u16; 4]),
    /// A page of this machine, by a digest of its origin.
    Page([u8; 16]),
}

impl Key {
    /// Of an address.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            ip if ip.is_loopback() => Self::Loopback,
            IpAddr::V4(ip) => Self::V4(ip),
            IpAddr::V6(ip) => match ip.segments() {
                [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                    Self::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
                }
                [a, b, c, d, ..] => Self::V6([a, b, c, d]),
            },
        }
    }

    /// Of a request: a page that asks over the loopback is known by its origin.
    pub fn of_source(source: &Source) -> Self {
        match (Self::of(source.ip), &source.origin) {
            (Self::Loopback, Some(origin)) => {
                let digest = sha256(origin.to_ascii_lowercase().as_bytes());
                Self::Page(*digest.first_chunk().unwrap_or(&[0; 16]))
            }
            (key, _) => key,
        }
    }
}

/// What was shown. Success with one kind does not clear the failures of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The shared token or password, or something that no door knows.
    Secret,
    /// A device's token.
    Device,
    /// A setup code.
    Setup,
    /// The token of hooks; its numbers are its own ([`limits::HOOK_FAILURES`]).
    Hook,
}

impl Shown {
    const ALL: usize = 4;

    fn index(self) -> usize {
        match self {
            Self::Secret => 0,
            Self::Device => 1,
            Self::Setup => 2,
            Self::Hook => 3,
        }
    }
}

/// One key's record. Hooks have their own window and lock: their token is another secret.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    failures: [u32; Shown::ALL],
    /// When the window of the gateway's own credentials began, and that of hooks.
    since: [Time; 2],
    /// Until when nothing is compared.
    locked: [Option<Time>; 2],
}

/// Index into `since` and `locked`.
fn side(shown: Shown) -> usize {
    usize::from(shown == Shown::Hook)
}

impl Entry {
    fn count(&self, side: usize) -> u32 {
        let [secret, device, setup, hook] = self.failures;
        if side == 1 { hook } else { secret.saturating_add(device).saturating_add(setup) }
    }

    fn clear(&mut self, side: usize) {
        let [secret, device, setup, hook] = &mut self.failures;
        if side == 1 { *hook = 0 } else { (*secret, *device, *setup) = (0, 0, 0) }
    }

    /// Forgets a lock and a window that are over.
    fn settle(&mut self, rules: [Rule; 2], now: Time) {
        for (side, rule) in rules.iter().enumerate() {
            if self.locked[side].is_some_and(|until| until <= now) {
                self.locked[side] = None;
                self.clear(side);
            }
            if self.locked[side].is_none() && now.ms_since(self.since[side]) >= rule.window_ms {
                self.clear(side);
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.locked == [None, None] && self.failures == [0; Shown::ALL]
    }
}

/// Bound, window and lock of one side.
#[derive(Debug, Clone, Copy)]
struct Rule {
    max: u32,
    window_ms: u64,
    lockout_ms: u64,
}

fn rules(of: &RateLimit) -> [Rule; 2] {
    let own = Rule { max: of.max_attempts, window_ms: of.window_ms, lockout_ms: of.lockout_ms };
    let hooks = Rule {
        max: limits::HOOK_FAILURES,
        window_ms: limits::HOOK_FAILURES_MS,
        lockout_ms: limits::HOOK_FAILURES_MS,
    };
    [own, hooks]
}

/// Every address that guessed lately.
#[derive(Debug, Default)]
pub struct Limiter {
    entries: BTreeMap<Key, Entry>,
    /// Guesses of keys that found no place, as time: each moves it on by one interval, and it
    /// may be [`limits::LIMITER_CROWD`] intervals ahead of now.
    crowd: Time,
    /// When the table was last looked through for records that are over.
    swept: Time,
}

impl Limiter {
    /// Whether an attempt may be compared at all; else the milliseconds to wait.
    ///
    /// # Errors
    /// The wait, at least 1.
    pub fn check(
        &mut self,
        key: Key,
        shown: Shown,
        limit: &RateLimit,
        now: Time,
    ) -> Result<(), u64> {
        let rules = rules(limit);
        let Some(entry) = self.entries.get_mut(&key) else {
            return match self.crowd_wait(now) {
                Some(wait) if self.is_full(rules, now) => Err(wait),
                _ => Ok(()),
            };
        };
        entry.settle(rules, now);
        for (side, rule) in rules.iter().enumerate() {
            // A bound that was lowered meanwhile locks by what was counted before.
            if entry.locked[side].is_none() && entry.count(side) >= rule.max {
                entry.locked[side] = Some(now.after_ms(rule.lockout_ms));
            }
        }
        // Who guesses the gateway's secrets is nobody's webhook; who sends a wrong hook token may
        // well be a person whose server is set up wrongly, and gets in by the other doors.
        let [own, hooks] = entry.locked;
        let until = if shown == Shown::Hook { own.max(hooks) } else { own };
        match until {
            Some(until) => Err(until.ms_since(now).max(1)),
            None => Ok(()),
        }
    }

    /// Counts a wrong credential. True when that was the last for now: worth a line in the log.
    pub fn failed(&mut self, key: Key, shown: Shown, limit: &RateLimit, now: Time) -> bool {
        let rules = rules(limit);
        if !self.entries.contains_key(&key) && self.is_full(rules, now) {
            self.crowd = self.crowd.max(now).after_ms(limits::LIMITER_CROWD_MS);
            return false;
        }
        let entry = self.entries.entry(key).or_default();
        entry.settle(rules, now);
        let side = side(shown);
        if entry.count(side) == 0 {
            entry.since[side] = now;
        }
        let failures = &mut entry.failures[shown.index()];
        *failures = failures.saturating_add(1);
        let over = entry.count(side) >= rules[side].max && entry.locked[side].is_none();
        if over {
            entry.locked[side] = Some(now.after_ms(rules[side].lockout_ms));
        }
        over
    }

    /// The right credential: what was counted against this kind is forgotten.
    pub fn passed(&mut self, key: Key, shown: Shown) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.failures[shown.index()] = 0;
            if entry.is_idle() {
                self.entries.remove(&key);
            }
        }
    }

    /// The crowd's wait, if it has used up its guesses.
    fn crowd_wait(&self, now: Time) -> Option<u64> {
        let burst = u64::from(limits::LIMITER_CROWD).saturating_mul(limits::LIMITER_CROWD_MS);
        let used = self.crowd.ms_since(now).saturating_add(limits::LIMITER_CROWD_MS);
        used.checked_sub(burst).filter(|wait| *wait > 0)
    }

    /// No place is left, also after what is over has been dropped (looked for once a second).
    fn is_full(&mut self, rules: [Rule; 2], now: Time) -> bool {
        let full = self.entries.len() >= limits::LIMITER_KEYS;
        if full && now.ms_since(self.swept) >= limits::LIMITER_CROWD_MS {
            self.swept = now;
            self.entries.retain(|_, entry| {
                entry.settle(rules, now);
                !entry.is_idle()
            });
        }
        self.entries.len() >= limits::LIMITER_KEYS
    }

    /// How many keys are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when nobody guessed lately.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
#[path = "limiter_tests.rs"]
mod tests;
