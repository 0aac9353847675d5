//! Pauses that a service asked for (429 with how long): which conversation or account may not be
//! written to before when. They stand in the outbound journal beside the messages, so that a
//! restart or a crash does not forget what was promised.

use crate::limits;
use crate::store::Disk;
use crate::store::journal::Journal;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What ids of rests begin with in the journal; no message has such an id.
const PREFIX: &str = "rest\u{1f}";

/// Rests by conversation, or by account when the conversation is empty: Unix time in
/// milliseconds.
#[derive(Debug, Default)]
pub(super) struct Rests {
    until: BTreeMap<String, u64>,
}

fn name(channel: &str, account: &str, chat: &str) -> String {
    format!("{PREFIX}{channel}\u{1f}{account}\u{1f}{chat}")
}

impl Rests {
    /// Takes an entry of the journal that is a rest; false when it is a message.
    pub(super) fn replay(&mut self, id: &str, work: &Value) -> bool {
        if !id.starts_with(PREFIX) {
            return false;
        }
        let until = work.get("restUntilMs").and_then(Value::as_u64).unwrap_or(0);
        self.until.insert(id.to_owned(), until);
        true
    }

    /// A pause begins. Of more than [`limits::CHANNEL_RESTS`] the one that ends first is
    /// forgotten: its service will say so again.
    pub(super) fn begin(
        &mut self,
        disk: &mut dyn Disk,
        journal: &mut Journal,
        (channel, account, chat): (&str, &str, &str),
        until_ms: u64,
    ) {
        let id = name(channel, account, chat);
        if self.until.get(&id).is_some_and(|known| *known >= until_ms) {
            return;
        }
        if self.until.len() >= limits::CHANNEL_RESTS && !self.until.contains_key(&id) {
            let first = self.until.iter().min_by_key(|(_, until)| **until);
            if let Some(first) = first.map(|(id, _)| id.clone()) {
                self.end(disk, journal, &first);
            }
        }
        if let Err(error) = journal.accept(disk, &id, json!({"restUntilMs": until_ms})) {
            log::error!(target: "store", "outbox.jsonl: {error}");
        }
        self.until.insert(id, until_ms);
    }

    /// How long a conversation still rests, for itself or with its account. `alone`: the
    /// account's rests do not count.
    pub(super) fn left_ms(
        &self,
        (channel, account, chat): (&str, &str, &str),
        alone: bool,
        now_ms: u64,
    ) -> Option<u64> {
        let own = self.until.get(&name(channel, account, chat)).copied();
        let all = self.until.get(&name(channel, account, "")).copied().filter(|_| !alone);
        let left = own.max(all)?.checked_sub(now_ms).filter(|left| *left > 0)?;
        // A clock that was set back makes no rest longer than a message lives.
        Some(left.min(limits::CHANNEL_OUTBOX_TTL_MS))
    }

    /// Forgets what is over.
    pub(super) fn end_over(&mut self, disk: &mut dyn Disk, journal: &mut Journal, now_ms: u64) {
        let over: Vec<String> = self
            .until
            .iter()
            .filter(|(_, until)| **until <= now_ms)
            .map(|(id, _)| id.clone())
            .collect();
        for id in over {
            self.end(disk, journal, &id);
        }
    }

    fn end(&mut self, disk: &mut dyn Disk, journal: &mut Journal, id: &str) {
        self.until.remove(id);
        if let Err(error) = journal.done(disk, id) {
            log::error!(target: "store", "outbox.jsonl: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::disk::SimDisk;
    use std::path::PathBuf;

    #[test]
    fn a_rest_outlives_its_process_and_ends() {
        let mut disk = SimDisk::new();
        let path = PathBuf::from("/s/outbox.jsonl");
        let (mut journal, _) = Journal::open(&mut disk, path.clone()).unwrap();
        let mut rests = Rests::default();
        rests.begin(&mut disk, &mut journal, ("telegram", "a", "5"), 2_000);
        rests.begin(&mut disk, &mut journal, ("telegram", "a", "5"), 1_000);
        rests.begin(&mut disk, &mut journal, ("slack", "a", ""), 3_000);
        let (mut journal, left) = Journal::open(&mut disk, path.clone()).unwrap();
        let mut rests = Rests::default();
        assert!(left.iter().all(|(id, work)| rests.replay(id, work)));
        assert!(!rests.replay("ch-1", &json!({})));
        let of = |rests: &Rests, place, alone, now| rests.left_ms(place, alone, now);
        assert_eq!(of(&rests, ("telegram", "a", "5"), false, 500), Some(1_500));
        assert_eq!(of(&rests, ("telegram", "a", "6"), false, 500), None);
        assert_eq!(of(&rests, ("slack", "a", "C1"), false, 500), Some(2_500));
        assert_eq!(of(&rests, ("slack", "a", "C1"), true, 500), None);
        assert_eq!(of(&rests, ("telegram", "a", "5"), false, 2_000), None);
        rests.end_over(&mut disk, &mut journal, 2_500);
        let (_, left) = Journal::open(&mut disk, path).unwrap();
        assert_eq!(left.len(), 1, "the other goes on: {left:?}");
    }

    #[test]
    fn of_too_many_rests_the_shortest_is_forgotten() {
        let mut disk = SimDisk::new();
        let path = PathBuf::from("/s/outbox.jsonl");
        let (mut journal, _) = Journal::open(&mut disk, path).unwrap();
        let mut rests = Rests::default();
        for n in 0..=limits::CHANNEL_RESTS {
            let chat = n.to_string();
            let until = 10_000 + u64::try_from(n).unwrap();
            rests.begin(&mut disk, &mut journal, ("telegram", "a", &chat), until);
        }
        assert_eq!(rests.until.len(), limits::CHANNEL_RESTS);
        assert_eq!(journal.unfinished(), limits::CHANNEL_RESTS);
        assert_eq!(rests.left_ms(("telegram", "a", "0"), false, 1), None);
        assert!(rests.left_ms(("telegram", "a", "1"), false, 1).is_some());
    }
}
