//! Who was let in: pending codes and approved senders, by channel and account.
//!
//! `channels/pairing.json`: `{"pending": [{channel, accountId, id, code, createdAtMs, lastSeenAtMs,
//! to, name}], "allow": {"<channel>:<account>": [ids]}}`. Codes have eight characters without
//! look-alikes and live an hour; at most three wait for one account. A file that cannot be read is
//! no reason to let anybody in: the start fails and names it.

use crate::channels::Address;
use crate::driver::Entropy;
use crate::limits;
use crate::store::Disk;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Without `0`, `O`, `1` and `I`, as documented.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Somebody who wants to be let in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pending {
    pub(super) channel: String,
    pub(super) account_id: String,
    /// The sender's id, in its comparable form.
    pub(super) id: String,
    pub(super) code: String,
    pub(super) created_at_ms: u64,
    pub(super) last_seen_at_ms: u64,
    pub(super) to: Address,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
}

impl Pending {
    /// What `channels.pairing.list` calls it: not the code, which is the secret.
    pub(super) fn request_id(&self) -> String {
        let text =
            format!("{}\0{}\0{}\0{}", self.channel, self.account_id, self.id, self.created_at_ms);
        let digest = crate::wire::hash::sha256(text.as_bytes());
        let mut hex = crate::wire::hash::hex(&digest);
        hex.truncate(32);
        hex
    }

    /// When it is forgotten, Unix time in milliseconds.
    pub(super) fn expires_ms(&self) -> u64 {
        self.created_at_ms.saturating_add(limits::CHANNEL_PAIRING_MS)
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    #[serde(default)]
    pending: Vec<Pending>,
    #[serde(default)]
    allow: BTreeMap<String, Vec<String>>,
}

/// The file and what it says.
pub(super) struct Pairing {
    path: PathBuf,
    document: Document,
}

/// What came of somebody asking.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A new code, to be told.
    New(String),
    /// They have one already.
    Waits,
    /// Three wait already, or the disk refuses: they are ignored.
    Full,
}

impl Pairing {
    /// Reads the file.
    ///
    /// # Errors
    /// When it exists and cannot be read; the text names it.
    pub(super) fn open(disk: &mut dyn Disk, dir: &Path) -> io::Result<Self> {
        let path = dir.join("pairing.json");
        let wrong = |what: &dyn std::fmt::Display| {
            let what = format!("{}: {what}; mend it, or move it away", path.display());
            io::Error::new(io::ErrorKind::InvalidData, what)
        };
        let document = match disk.read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Document::default(),
            Err(error) => return Err(wrong(&error)),
        };
        Ok(Self { path, document })
    }

    fn save(&self, disk: &mut dyn Disk) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(&self.document).unwrap_or_default();
        disk.replace(&self.path, &bytes)
    }

    fn place(channel: &str, account: &str) -> String {
        format!("{channel}:{account}")
    }

    /// Who was approved for an account.
    pub(super) fn allowed(&self, channel: &str, account: &str) -> &[String] {
        self.document.allow.get(&Self::place(channel, account)).map_or(&[], Vec::as_slice)
    }

    fn expire(&mut self, now_ms: u64) {
        self.document.pending.retain(|one| one.expires_ms() > now_ms);
    }

    /// Who waits, of all accounts or of some.
    pub(super) fn pending(&self, now_ms: u64) -> impl Iterator<Item = &Pending> {
        self.document.pending.iter().filter(move |one| one.expires_ms() > now_ms)
    }

    /// Somebody asks to be let in. `ask` has no code yet.
    pub(super) fn ask(
        &mut self,
        disk: &mut dyn Disk,
        entropy: &mut dyn Entropy,
        now_ms: u64,
        mut ask: Pending,
    ) -> Asked {
        self.expire(now_ms);
        let same = |one: &Pending| one.channel == ask.channel && one.account_id == ask.account_id;
        let known = self.document.pending.iter_mut().find(|one| same(one) && one.id == ask.id);
        if let Some(known) = known {
            known.last_seen_at_ms = now_ms;
            return Asked::Waits;
        }
        let waiting = self.document.pending.iter().filter(|one| same(one)).count();
        if waiting >= limits::CHANNEL_PAIRING_PENDING {
            return Asked::Full;
        }
        let mut random = [0; 8];
        entropy.fill(&mut random);
        let letter = |byte: u8| LETTERS.get(usize::from(byte % 32)).copied().unwrap_or(b'A');
        let code: String = random.iter().map(|byte| char::from(letter(*byte))).collect();
        ask.code.clone_from(&code);
        ask.created_at_ms = now_ms;
        ask.last_seen_at_ms = now_ms;
        self.document.pending.push(ask);
        match self.save(disk) {
            Ok(()) => Asked::New(code),
            Err(error) => {
                self.document.pending.pop();
                log::error!(target: "channels", "{}: {error}", self.path.display());
                Asked::Full
            }
        }
    }

    /// Takes a request away, by its id or its code; `allow` lets the sender in. `None` when there
    /// is no such request any more.
    ///
    /// # Errors
    /// When the disk refuses; nothing has changed then.
    pub(super) fn settle(
        &mut self,
        disk: &mut dyn Disk,
        now_ms: u64,
        is: impl Fn(&Pending) -> bool,
        allow: bool,
    ) -> io::Result<Option<Pending>> {
        self.expire(now_ms);
        let Some(at) = self.document.pending.iter().position(is) else { return Ok(None) };
        let one = self.document.pending.remove(at);
        let place = Self::place(&one.channel, &one.account_id);
        let list = self.document.allow.entry(place).or_default();
        let added = allow && !list.contains(&one.id);
        if added {
            list.push(one.id.clone());
        }
        if let Err(error) = self.save(disk) {
            let place = Self::place(&one.channel, &one.account_id);
            if let Some(list) = self.document.allow.get_mut(&place).filter(|_| added) {
                list.pop();
            }
            self.document.pending.insert(at, one);
            return Err(error);
        }
        Ok(Some(one))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fuzz::Memory;
    use super::*;

    struct Count(u8);

    impl Entropy for Count {
        fn fill(&mut self, out: &mut [u8]) {
            for byte in out {
                self.0 = self.0.wrapping_add(7);
                *byte = self.0;
            }
        }
    }

    fn ask(id: &str, account: &str) -> Pending {
        Pending {
            channel: "irc".to_owned(),
            account_id: account.to_owned(),
            id: id.to_owned(),
            code: String::new(),
            created_at_ms: 0,
            last_seen_at_ms: 0,
            to: Address::chat(id),
            name: None,
        }
    }

    #[test]
    fn codes_wait_an_hour_and_three_at_most() {
        let mut disk = Memory::default();
        let dir = Path::new("/state/channels");
        let mut pairing = Pairing::open(&mut disk, dir).expect("new");
        let mut random = Count(0);
        let mut codes = Vec::new();
        for id in ["a", "b", "c"] {
            match pairing.ask(&mut disk, &mut random, 1_000, ask(id, "default")) {
                Asked::New(code) => codes.push(code),
                other => panic!("{other:?}"),
            }
        }
        assert!(codes.iter().all(|code| code.len() == 8 && !code.contains(['0', 'O', '1', 'I'])));
        let mut again = |id: &str, account: &str, now: u64, pairing: &mut Pairing| {
            pairing.ask(&mut disk, &mut random, now, ask(id, account))
        };
        assert_eq!(again("a", "default", 2_000, &mut pairing), Asked::Waits);
        assert_eq!(again("d", "default", 2_000, &mut pairing), Asked::Full);
        assert!(matches!(again("d", "work", 2_000, &mut pairing), Asked::New(_)));
        let later = 1_000 + limits::CHANNEL_PAIRING_MS;
        assert!(matches!(again("d", "default", later, &mut pairing), Asked::New(_)));
        let by_code = |one: &Pending| one.code == codes[0] && one.id == "a";
        assert!(pairing.settle(&mut disk, later, by_code, true).expect("disk").is_none(), "late");
    }

    #[test]
    fn who_was_approved_stays_so() {
        let mut disk = Memory::default();
        let dir = Path::new("/state/channels");
        let mut pairing = Pairing::open(&mut disk, dir).expect("new");
        let asked = pairing.ask(&mut disk, &mut Count(3), 5, ask("a", "default"));
        let Asked::New(code) = asked else { panic!("{asked:?}") };
        let found = pairing.settle(&mut disk, 6, |one| one.code == code, true).expect("disk");
        assert_eq!(found.expect("there").id, "a");
        let mut again = Pairing::open(&mut disk, dir).expect("read");
        assert_eq!(again.allowed("irc", "default"), ["a"]);
        assert!(again.allowed("irc", "work").is_empty());
        assert!(again.settle(&mut disk, 7, |one| one.code == code, true).expect("disk").is_none());
        disk.replace(&dir.join("pairing.json"), b"{").expect("memory");
        let error = Pairing::open(&mut disk, dir).map(|_| ()).expect_err("damaged");
        assert!(error.to_string().contains("pairing.json"));
    }
}
