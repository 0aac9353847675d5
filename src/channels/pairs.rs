//! Two programs that answer each other: how often they may before they are left alone.
//!
//! ```text
//!   a bot's message --fewer than maxEventsPerWindow within windowSeconds--> it passes
//!        |  one more: nothing of this pair passes for cooldownSeconds
//! ```
//!
//! A pair is the other bot and ours in one conversation of one account. The budget is
//! `botLoopProtection`, key by key the room's, the account's, the one of `channels.defaults`, else
//! 20 in 60 seconds and a pause of 60.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::account::Account;
use crate::config::Config;
use crate::limits;

/// How often a pair may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The guard is on.
    pub enabled: bool,
    /// Messages in a window.
    pub events: usize,
    /// The window, in milliseconds.
    pub window_ms: u64,
    /// How long nothing passes after that, in milliseconds.
    pub cooldown_ms: u64,
}

/// The budget of a conversation whose own settings are these, narrowest first.
pub fn budget(config: &Config, account: &Account, scopes: &[Value]) -> Budget {
    let defaults = config.chat.channels.pointer("/defaults/botLoopProtection");
    let rooms = scopes.iter().filter_map(|scope| scope.get("botLoopProtection"));
    let layers: Vec<&Value> =
        rooms.chain(account.get("botLoopProtection")).chain(defaults).collect();
    let number = |key: &str, unset: u64| {
        layers.iter().find_map(|layer| layer.get(key)?.as_u64()).unwrap_or(unset)
    };
    let events = usize::try_from(number("maxEventsPerWindow", 20)).unwrap_or(usize::MAX);
    Budget {
        enabled: layers.iter().find_map(|layer| layer.get("enabled")?.as_bool()).unwrap_or(true),
        events: events.min(limits::BOT_PAIR_EVENTS),
        window_ms: number("windowSeconds", 60).saturating_mul(1000),
        cooldown_ms: number("cooldownSeconds", 60).saturating_mul(1000),
    }
}

#[derive(Debug, Default)]
struct Pair {
    seen_ms: VecDeque<u64>,
    quiet_until_ms: u64,
}

/// Pairs that talked lately, at most [`limits::BOT_PAIRS`]: the one that was silent longest goes.
#[derive(Debug, Default)]
pub struct Pairs {
    by_pair: BTreeMap<String, Pair>,
}

impl Pairs {
    /// A message of a bot: whether it passes.
    pub fn passes(&mut self, pair: &str, budget: Budget, now_ms: u64) -> bool {
        if !budget.enabled {
            return true;
        }
        if !self.by_pair.contains_key(pair) && self.by_pair.len() >= limits::BOT_PAIRS {
            let last = |it: &Pair| it.seen_ms.back().copied().max(Some(it.quiet_until_ms));
            let oldest = self.by_pair.iter().min_by_key(|(_, it)| last(it));
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                self.by_pair.remove(&name);
            }
        }
        let pair = self.by_pair.entry(pair.to_owned()).or_default();
        if now_ms < pair.quiet_until_ms {
            return false;
        }
        let since = now_ms.saturating_sub(budget.window_ms);
        while pair.seen_ms.front().is_some_and(|seen| *seen <= since) {
            pair.seen_ms.pop_front();
        }
        if pair.seen_ms.len() >= budget.events {
            pair.quiet_until_ms = now_ms.saturating_add(budget.cooldown_ms);
            pair.seen_ms.clear();
            return false;
        }
        pair.seen_ms.push_back(now_ms);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pair_that_talks_too_much_rests() {
        let budget = Budget { enabled: true, events: 3, window_ms: 1000, cooldown_ms: 5000 };
        let mut pairs = Pairs::default();
        let mut at = |pair: &str, now: u64| pairs.passes(pair, budget, now);
        assert!(at("a", 10_000) && at("a", 10_100) && at("a", 10_200));
        assert!(at("b", 10_300), "another pair");
        assert!(!at("a", 10_300) && !at("a", 12_000) && !at("a", 15_299));
        assert!(at("a", 15_300) && at("a", 15_400) && at("a", 15_500));
        assert!(at("a", 16_301), "the window slides");
        assert!(!at("a", 16_302));
        let off = Budget { enabled: false, ..budget };
        assert!(pairs.passes("a", off, 16_303));
    }

    #[test]
    fn as_many_pairs_are_remembered_as_fit() {
        let budget = Budget { enabled: true, events: 1, window_ms: 9_000_000, cooldown_ms: 1 };
        let mut pairs = Pairs::default();
        for n in 0..=limits::BOT_PAIRS as u64 {
            assert!(pairs.passes(&format!("p{n}"), budget, 1000 + n));
        }
        assert_eq!(pairs.by_pair.len(), limits::BOT_PAIRS);
        assert!(!pairs.by_pair.contains_key("p0"), "the oldest was forgotten");
    }

    #[test]
    fn a_budget_is_read_key_by_key() {
        let mut config = Config::defaults();
        let all = json!({"defaults": {"botLoopProtection": {"cooldownSeconds": 9,
            "maxEventsPerWindow": 7}}});
        config.chat.channels = all;
        let own = json!({"botLoopProtection": {"windowSeconds": 5}});
        let account = Account::new("rig", "default", own);
        let room = [json!({"botLoopProtection": {"maxEventsPerWindow": 2}})];
        let found = budget(&config, &account, &room);
        let want = Budget { enabled: true, events: 2, window_ms: 5000, cooldown_ms: 9000 };
        assert_eq!(found, want);
        let most = [json!({"botLoopProtection": {"maxEventsPerWindow": 9_999_999}})];
        assert_eq!(budget(&config, &account, &most).events, limits::BOT_PAIR_EVENTS);
    }
}
