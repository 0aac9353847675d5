//! Outcomes of finished runs, kept so that a repeated idempotency key gets the first outcome:
//! also after a restart.
//!
//! One JSON object a line in `journal/outcomes.jsonl`: `{id, digest, wait, ok|error}`. A line is
//! appended when the run ends, before its journal entry is closed, and synced no later than
//! that. At most [`limits::RUNS_REMEMBERED`] outcomes and [`limits::RUNS_REMEMBERED_BYTES`]
//! bytes are kept; the oldest are forgotten first, and the file is rewritten when it holds twice
//! as much.

use super::Finished;
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::store::Disk;
use crate::wire::hash::{hex, hex_decode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;

/// What is remembered, and where.
pub(super) struct Ledger {
    path: PathBuf,
    finished: BTreeMap<String, Finished>,
    order: VecDeque<String>,
    bytes: usize,
    /// Bytes of the file.
    written: usize,
    unsynced: bool,
}

/// One line.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    id: String,
    digest: String,
    #[serde(borrow)]
    wait: &'a RawValue,
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    ok: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    error: Option<ErrorShape>,
}

impl Ledger {
    /// Reads the file; a damaged line costs that outcome.
    pub(super) fn open(disk: &mut dyn Disk, path: PathBuf) -> io::Result<Self> {
        let bytes = match disk.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
            }
        };
        let mut ledger = Self {
            path,
            finished: BTreeMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            written: bytes.len(),
            // Nobody knows whether the life before came to it.
            unsynced: !bytes.is_empty(),
        };
        let mut damaged = false;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match line.ends_with(b"\n").then(|| read(line)).flatten() {
                Some((id, finished)) => ledger.insert(id, finished),
                None => damaged = true,
            }
        }
        if damaged {
            log::warn!(target: "store", "{}: damaged lines are left out", ledger.path.display());
            ledger.rewrite(disk)?;
        }
        Ok(ledger)
    }

    /// The outcome under this key.
    pub(super) fn get(&self, id: &str) -> Option<&Finished> {
        self.finished.get(id)
    }

    /// Keeps an outcome, in memory and in the file. A disk that refuses costs the second one.
    pub(super) fn remember(&mut self, disk: &mut dyn Disk, id: String, finished: Finished) {
        let line = write(&id, &finished);
        self.insert(id, finished);
        self.unsynced = true;
        let kept = if self.written + line.len() > 2 * limits::RUNS_REMEMBERED_BYTES {
            self.rewrite(disk)
        } else {
            self.written += line.len();
            disk.append(&self.path, &line)
        };
        if let Err(error) = kept {
            log::error!(target: "store", "{}: {error}", self.path.display());
        }
    }

    /// Forces what was appended to the platter.
    pub(super) fn sync(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        if self.unsynced {
            match disk.sync(&self.path) {
                // Nothing could be written so far.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
            self.unsynced = false;
        }
        Ok(())
    }

    fn insert(&mut self, id: String, finished: Finished) {
        self.bytes += size(&finished);
        if let Some(old) = self.finished.insert(id.clone(), finished) {
            self.bytes -= size(&old);
        } else {
            self.order.push_back(id);
        }
        while self.order.len() > limits::RUNS_REMEMBERED
            || (self.bytes > limits::RUNS_REMEMBERED_BYTES && self.order.len() > 1)
        {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(old) = self.finished.remove(&oldest) {
                self.bytes -= size(&old);
            }
        }
    }

    fn rewrite(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        let mut all = Vec::new();
        for id in &self.order {
            if let Some(finished) = self.finished.get(id) {
                all.extend(write(id, finished));
            }
        }
        self.written = all.len();
        disk.replace(&self.path, &all)
    }

    /// What holds between two turns.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.finished.len(), self.order.len());
        assert!(self.finished.len() <= limits::RUNS_REMEMBERED);
        assert_eq!(self.bytes, self.finished.values().map(size).sum::<usize>());
    }
}

fn size(finished: &Finished) -> usize {
    finished.wait.len() + finished.second.as_ref().map_or(256, Vec::len)
}

fn write(id: &str, finished: &Finished) -> Vec<u8> {
    let raw = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
    };
    let wait = raw(&finished.wait);
    let ok = finished.second.as_ref().ok().map(|payload| raw(payload));
    let line = Line {
        id: id.to_owned(),
        digest: hex(&finished.digest),
        wait: &wait,
        ok: ok.as_deref(),
        error: finished.second.as_ref().err().cloned(),
    };
    let mut out = serde_json::to_vec(&line).unwrap_or_default();
    out.push(b'\n');
    out
}

fn read(line: &[u8]) -> Option<(String, Finished)> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let digest = hex_decode(&line.digest)?.try_into().ok()?;
    let second = match (line.ok, line.error) {
        (Some(payload), None) => Ok(payload.get().as_bytes().to_vec()),
        (None, Some(error)) => Err(error),
        _ => return None,
    };
    Some((line.id, Finished { digest, wait: line.wait.get().as_bytes().to_vec(), second }))
}

#[cfg(test)]
mod tests {
    use super::super::super::fuzz::Memory;
    use super::*;

    fn finished(text: &str) -> Finished {
        let ok = format!("{{\"status\":\"ok\",\"text\":\"{text}\"}}").into_bytes();
        Finished { digest: [7; 32], wait: b"{\"status\":\"ok\"}".to_vec(), second: Ok(ok) }
    }

    #[test]
    fn outcomes_survive_a_restart_and_a_torn_line() {
        let mut disk = Memory::default();
        let path = PathBuf::from("/state/journal/outcomes.jsonl");
        let mut ledger = Ledger::open(&mut disk, path.clone()).expect("new");
        ledger.remember(&mut disk, "a".to_owned(), finished("one"));
        let error = ErrorShape::unavailable("no").with(serde_json::json!({"runId": "b"}));
        let failed = Finished { second: Err(error.clone()), ..finished("") };
        ledger.remember(&mut disk, "b".to_owned(), failed);
        disk.append(&path, b"{\"id\":\"c\",").expect("memory");
        let mut again = Ledger::open(&mut disk, path.clone()).expect("read");
        assert_eq!(again.get("a").expect("kept").second, finished("one").second);
        assert_eq!(again.get("b").expect("kept").second, Err(error));
        assert!(again.get("c").is_none());
        again.remember(&mut disk, "d".to_owned(), finished("four"));
        let last = Ledger::open(&mut disk, path).expect("read");
        assert_eq!(last.order, ["a", "b", "d"]);
        last.check_invariants();
    }

    #[test]
    fn the_oldest_are_forgotten_and_the_file_stays_small() {
        let mut disk = Memory::default();
        let path = PathBuf::from("/state/journal/outcomes.jsonl");
        let mut ledger = Ledger::open(&mut disk, path.clone()).expect("new");
        let big = "x".repeat(limits::RUNS_REMEMBERED_BYTES / 8);
        for n in 0..limits::RUNS_REMEMBERED + 3 {
            let text = if n % 100 == 0 { big.as_str() } else { "y" };
            ledger.remember(&mut disk, n.to_string(), finished(text));
            ledger.check_invariants();
        }
        assert!(ledger.get("0").is_none() && ledger.get("1002").is_some());
        let len = disk.read(&path).expect("file").len();
        assert!(len <= 2 * limits::RUNS_REMEMBERED_BYTES, "{len}");
        let again = Ledger::open(&mut disk, path).expect("read");
        assert_eq!(again.order.back(), ledger.order.back());
    }
}
