//! Dead letters: messages that were given up, kept with the reason until an operator sends them
//! again or lets them go.
//!
//! ```text
//!   outbox: refused for good, too many attempts, a day old ---+
//!   inbox: no run could be begun for it ----------------------+--> channels/dead-letters.jsonl
//!                                                                    |  list, resubmit, drop
//!   outbox, inbox <-- under an id of its own, attempts from 0 -------+
//! ```
//!
//! One JSON object a line, the oldest first; at most [`limits::DEAD_LETTERS`] and
//! [`limits::DEAD_LETTERS_BYTES`], the oldest goes. Memory holds what `channels.status` shows of
//! each; the file is read when somebody asks.

use crate::limits;
use crate::store::Disk;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

/// A message that was given up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Letter {
    /// As the journals had it.
    pub id: String,
    /// `outbound` or `inbound`.
    pub direction: String,
    /// Channel.
    pub channel_id: String,
    /// Account.
    pub account_id: String,
    /// The conversation.
    pub lane: String,
    /// Why it was given up.
    pub reason: String,
    /// Attempts at the piece that failed, or to begin a run.
    pub attempts: u32,
    /// When it was taken on, Unix time in milliseconds.
    pub received_at: u64,
    /// When it was given up.
    pub failed_at: u64,
    /// How often it was sent again by hand.
    pub resubmits: u32,
    /// The journal's record.
    pub payload: Value,
}

/// What memory holds of one.
#[derive(Debug, Clone)]
struct Head {
    id: String,
    channel: String,
    account: String,
    failed_at: u64,
    bytes: usize,
}

/// All of them.
#[derive(Debug)]
pub(super) struct DeadLetters {
    path: PathBuf,
    heads: VecDeque<Head>,
}

/// Where they lie in a state directory.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("channels").join("dead-letters.jsonl")
}

/// The letters of a file; a line that is none is left out.
pub fn read(bytes: &[u8]) -> Vec<Letter> {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

fn line(letter: &Letter) -> Vec<u8> {
    let mut line = serde_json::to_vec(letter).unwrap_or_default();
    line.push(b'\n');
    line
}

impl DeadLetters {
    /// Reads the file.
    ///
    /// # Errors
    /// When it exists and cannot be read.
    pub(super) fn open(disk: &mut dyn Disk, dir: &Path) -> io::Result<Self> {
        let path = dir.join("dead-letters.jsonl");
        let mut dead = Self { path, heads: VecDeque::new() };
        for letter in dead.all(disk)? {
            dead.know(&letter, line(&letter).len());
        }
        Ok(dead)
    }

    pub(super) fn all(&self, disk: &dyn Disk) -> io::Result<Vec<Letter>> {
        match disk.read(&self.path) {
            Ok(bytes) => Ok(read(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => {
                Err(io::Error::new(error.kind(), format!("{}: {error}", self.path.display())))
            }
        }
    }

    fn know(&mut self, letter: &Letter, bytes: usize) {
        self.heads.push_back(Head {
            id: letter.id.clone(),
            channel: letter.channel_id.clone(),
            account: letter.account_id.clone(),
            failed_at: letter.failed_at,
            bytes,
        });
    }

    /// Keeps a letter; one of the same id is replaced.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn add(&mut self, disk: &mut dyn Disk, letter: &Letter) -> io::Result<()> {
        let line = line(letter);
        let known = self.heads.iter().any(|head| head.id == letter.id);
        let held: usize = self.heads.iter().map(|head| head.bytes).sum();
        let full = self.heads.len() >= limits::DEAD_LETTERS
            || held + line.len() > limits::DEAD_LETTERS_BYTES;
        if !known && !full {
            disk.append(&self.path, &line)?;
            self.know(letter, line.len());
            return Ok(());
        }
        let mut all = self.all(disk)?;
        all.retain(|other| other.id != letter.id);
        all.push(letter.clone());
        self.write(disk, all)
    }

    /// Writes them anew, the oldest left out until the rest is within the limits.
    fn write(&mut self, disk: &mut dyn Disk, mut all: Vec<Letter>) -> io::Result<()> {
        let mut lines: VecDeque<Vec<u8>> = all.iter().map(line).collect();
        let mut dropped = 0;
        while lines.len() > limits::DEAD_LETTERS
            || lines.len() > 1
                && lines.iter().map(Vec::len).sum::<usize>() > limits::DEAD_LETTERS_BYTES
        {
            lines.pop_front();
            dropped += 1;
        }
        if dropped > 0 {
            log::warn!(target: "channels", "{dropped} of the oldest dead letters are let go");
            all.drain(..dropped);
        }
        let bytes: Vec<u8> = lines.iter().flatten().copied().collect();
        disk.replace(&self.path, &bytes)?;
        self.heads.clear();
        for (letter, line) in all.iter().zip(&lines) {
            self.know(letter, line.len());
        }
        Ok(())
    }

    /// Those of a channel and account, newest first; of all where none is named.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn list(
        &self,
        disk: &dyn Disk,
        channel: Option<&str>,
        account: Option<&str>,
        most: usize,
    ) -> io::Result<Vec<Letter>> {
        let mut all = self.all(disk)?;
        all.reverse();
        all.retain(|one| {
            channel.is_none_or(|channel| channel == one.channel_id)
                && account.is_none_or(|account| account == one.account_id)
        });
        all.truncate(most);
        Ok(all)
    }

    /// One of them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn find(&self, disk: &dyn Disk, id: &str) -> io::Result<Option<Letter>> {
        Ok(self.all(disk)?.into_iter().find(|one| one.id == id))
    }

    /// Forgets one.
    ///
    /// # Errors
    /// When the disk refuses; it stays then.
    pub(super) fn remove(&mut self, disk: &mut dyn Disk, id: &str) -> io::Result<()> {
        let mut all = self.all(disk)?;
        all.retain(|one| one.id != id);
        self.write(disk, all)
    }

    /// How many an account has, and when the oldest was given up.
    pub(super) fn summary(&self, channel: &str, account: &str) -> Option<Value> {
        let ours =
            || self.heads.iter().filter(|head| head.channel == channel && head.account == account);
        let oldest = ours().map(|head| head.failed_at).min()?;
        Some(json!({"count": ours().count(), "oldestFailedAt": oldest}))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::disk::SimDisk;

    fn letter(n: usize) -> Letter {
        Letter {
            id: format!("m{n}"),
            direction: "outbound".to_owned(),
            channel_id: "irc".to_owned(),
            account_id: if n.is_multiple_of(2) { "a" } else { "b" }.to_owned(),
            reason: "no such nick".to_owned(),
            failed_at: 100 + u64::try_from(n).unwrap(),
            payload: json!({"text": "x".repeat(100)}),
            ..Letter::default()
        }
    }

    #[test]
    fn letters_are_kept_listed_and_let_go() {
        let (mut disk, dir) = (SimDisk::new(), PathBuf::from("/s/channels"));
        let mut dead = DeadLetters::open(&mut disk, &dir).unwrap();
        for n in 0..5 {
            dead.add(&mut disk, &letter(n)).unwrap();
        }
        dead.add(&mut disk, &Letter { attempts: 7, ..letter(1) }).unwrap();
        let mut dead = DeadLetters::open(&mut disk, &dir).unwrap();
        assert_eq!(dead.len(), 5, "the same once");
        let ids = |list: Vec<Letter>| list.into_iter().map(|one| one.id).collect::<Vec<_>>();
        assert_eq!(ids(dead.list(&disk, None, None, 2).unwrap()), ["m1", "m4"]);
        assert_eq!(ids(dead.list(&disk, Some("irc"), Some("a"), 9).unwrap()), ["m4", "m2", "m0"]);
        assert!(dead.list(&disk, Some("slack"), None, 9).unwrap().is_empty());
        let summary = json!({"count": 2, "oldestFailedAt": 101});
        assert_eq!(dead.summary("irc", "b"), Some(summary));
        assert_eq!(dead.summary("irc", "c"), None);
        assert_eq!(dead.find(&disk, "m1").unwrap().unwrap().attempts, 7);
        dead.remove(&mut disk, "m1").unwrap();
        assert_eq!(dead.find(&disk, "m1").unwrap(), None);
        assert_eq!(dead.len(), 4);
    }

    #[test]
    fn of_too_many_or_too_large_letters_the_oldest_goes() {
        let (mut disk, dir) = (SimDisk::new(), PathBuf::from("/s/channels"));
        let mut dead = DeadLetters::open(&mut disk, &dir).unwrap();
        for n in 0..=limits::DEAD_LETTERS {
            dead.add(&mut disk, &letter(n)).unwrap();
        }
        assert_eq!(dead.len(), limits::DEAD_LETTERS);
        assert_eq!(dead.find(&disk, "m0").unwrap(), None);
        let large = "x".repeat(limits::DEAD_LETTERS_BYTES);
        dead.add(&mut disk, &Letter { payload: json!(large), ..letter(9_999) }).unwrap();
        assert_eq!(dead.len(), 1, "what is larger than all together stands alone");
        dead.add(&mut disk, &letter(3)).unwrap();
        assert_eq!(dead.find(&disk, "m9999").unwrap(), None);
        assert_eq!(dead.len(), 1);
        assert_eq!(read(b"no letter\n{\"id\":\"x\"}\n{\"id\"").len(), 1, "a torn line is none");
    }
}
