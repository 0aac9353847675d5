//! When a conversation is over by itself: daily and idle resets, looked at when the next
//! message comes (reference: docs/concepts/session.md, "Session lifecycle").
//!
//! Hours are UTC: the house has no table of time zones.

use super::{Entry, key};
use std::collections::BTreeMap;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;

/// `session.reset`: what ends a conversation. Neither is the default: it goes on for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// At this hour of every day, 0 to 23.
    pub daily_at_hour: Option<u8>,
    /// After so many minutes without a message.
    pub idle_minutes: Option<u64>,
}

/// What holds for a session: the policy of its channel, of its type (`direct`, `group` or
/// `thread`), or that of all.
pub fn choose<'a, T>(
    session: &str,
    all: &'a T,
    by_type: &'a BTreeMap<String, T>,
    by_channel: &'a BTreeMap<String, T>,
) -> &'a T {
    let kind = if key::is_thread(session) {
        "thread"
    } else if key::is_group(session) {
        "group"
    } else {
        "direct"
    };
    let channel = key::channel_of(session).and_then(|channel| by_channel.get(channel));
    channel.or_else(|| by_type.get(kind)).unwrap_or(all)
}

/// Why a conversation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// The hour has struck since it began.
    Daily,
    /// Nobody has said anything for long.
    Idle,
}

impl Policy {
    /// Whether a conversation is over at `now_ms`; whichever of the two came first.
    pub fn stale(&self, entry: &Entry, now_ms: u64) -> Option<Stale> {
        let idle = self.idle_minutes.filter(|minutes| *minutes > 0).is_some_and(|minutes| {
            now_ms.saturating_sub(entry.touched_ms()) > minutes.saturating_mul(MINUTE_MS)
        });
        let daily = self.daily_at_hour.is_some_and(|hour| {
            let strike = u64::from(hour) * 60 * MINUTE_MS;
            // The last time the hour struck before now.
            let days = now_ms.saturating_sub(strike) / DAY_MS;
            let struck = days * DAY_MS + strike;
            now_ms >= struck && entry.began_ms() < struck
        });
        match (daily, idle) {
            (true, _) => Some(Stale::Daily),
            (_, true) => Some(Stale::Idle),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;
    /// 2026-11-22, midnight.
    const DAY: u64 = 1_795_305_600_000;

    fn since(began: u64, touched: u64) -> Entry {
        Entry {
            session_started_at: Some(began),
            last_interaction_at: Some(touched),
            // Writes of the gateway itself do not count.
            updated_at: u64::MAX,
            ..Entry::default()
        }
    }

    #[test]
    fn the_hour_ends_what_began_before_it() {
        assert_eq!(DAY % DAY_MS, 0);
        let policy = Policy { daily_at_hour: Some(4), idle_minutes: None };
        let evening = since(DAY - 3 * HOUR_MS, DAY);
        let table = [
            (DAY, None),
            (DAY + 4 * HOUR_MS - 1, None),
            (DAY + 4 * HOUR_MS, Some(Stale::Daily)),
            (DAY + 100 * HOUR_MS, Some(Stale::Daily)),
        ];
        for (now, want) in table {
            assert_eq!(policy.stale(&evening, now), want, "{now}");
        }
        let after = since(DAY + 5 * HOUR_MS, DAY);
        assert_eq!(policy.stale(&after, DAY + 27 * HOUR_MS), None);
        assert_eq!(policy.stale(&after, DAY + 28 * HOUR_MS), Some(Stale::Daily));
        // A clock that went back ends nothing.
        assert_eq!(policy.stale(&after, 3), None);
    }

    #[test]
    fn silence_ends_it_and_the_first_of_both_wins() {
        let policy = Policy { daily_at_hour: None, idle_minutes: Some(30) };
        let entry = since(DAY, DAY + HOUR_MS);
        assert_eq!(policy.stale(&entry, DAY + HOUR_MS + 30 * MINUTE_MS), None);
        assert_eq!(policy.stale(&entry, DAY + HOUR_MS + 30 * MINUTE_MS + 1), Some(Stale::Idle));
        let both = Policy { daily_at_hour: Some(4), ..policy };
        assert_eq!(both.stale(&entry, DAY + 2 * HOUR_MS), Some(Stale::Idle));
        assert_eq!(Policy::default().stale(&entry, u64::MAX), None);
    }

    #[test]
    fn the_channel_goes_before_the_type() {
        let by_type = [("group".to_owned(), 2), ("thread".to_owned(), 3)].into();
        let by_channel = [("discord".to_owned(), 4)].into();
        let table = [
            ("agent:main:main", 1),
            ("agent:main:telegram:group:9", 2),
            ("agent:main:telegram:group:9:thread:3", 3),
            ("agent:main:discord:channel:9", 4),
            ("agent:main:discord:direct:9", 4),
        ];
        for (key, want) in table {
            assert_eq!(*choose(key, &1, &by_type, &by_channel), want, "{key}");
        }
    }
}
