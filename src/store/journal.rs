//! The accepted-work journal: what was acknowledged and is not finished yet.
//!
//! One JSON object a line. `{"op":"accept","id":…,"work":…}` is written before anything is
//! acknowledged, `{"op":"done","id":…}` when its reply (or notice) is durable. Opening replays
//! the file: what was accepted and not done is handed back in the order of acceptance. A torn
//! last line, as a power cut or a full disk leaves it, costs that record only and is kept beside
//! the journal.

use super::Disk;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// Records after which the journal is rewritten without the finished ones.
const COMPACT_AFTER: usize = 4096;

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    open: Open,
    records: usize,
    /// Lines that a power cut may still take.
    unsynced: bool,
}

/// Work without its end, by id and in the order of acceptance: the order of the lines.
#[derive(Debug, Default)]
struct Open {
    places: BTreeMap<String, u64>,
    work: BTreeMap<u64, (String, Value)>,
    next: u64,
}

impl Open {
    /// Work that is accepted once more keeps its place.
    fn insert(&mut self, id: &str, work: Value) {
        let place = *self.places.entry(id.to_owned()).or_insert(self.next);
        self.next = self.next.max(place + 1);
        self.work.insert(place, (id.to_owned(), work));
    }

    fn remove(&mut self, id: &str) {
        if let Some(place) = self.places.remove(id) {
            self.work.remove(&place);
        }
    }

    fn in_order(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.work.values().map(|(id, work)| (id, work))
    }
}

impl Journal {
    /// Replays the file; returns the journal and the accepted work that was never finished, in
    /// the order of acceptance.
    ///
    /// # Errors
    /// When the file exists and cannot be read, or its damaged tail cannot be set aside.
    pub fn open(disk: &mut dyn Disk, path: PathBuf) -> io::Result<(Self, Vec<(String, Value)>)> {
        let bytes = match disk.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut open = Open::default();
        let mut damaged = Vec::new();
        let mut records = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match line.ends_with(b"\n").then(|| serde_json::from_slice::<Value>(line)) {
                Some(Ok(record)) => {
                    records += 1;
                    replay(&mut open, &record);
                }
                _ => damaged.extend_from_slice(line),
            }
        }
        // Nobody knows whether the life before came to it.
        let mut journal = Self { path, open, records, unsynced: records > 0 };
        if !damaged.is_empty() {
            log::warn!(target: "store",
                "{}: {} damaged bytes set aside in .damaged", journal.path.display(), damaged.len());
            disk.append(&journal.path.with_extension("damaged"), &damaged)?;
            journal.compact(disk)?;
        }
        let unfinished =
            journal.open.in_order().map(|(id, work)| (id.clone(), work.clone())).collect();
        Ok((journal, unfinished))
    }

    /// Records work; only after this may it be acknowledged.
    ///
    /// # Errors
    /// When it could not be written: the work must then be refused.
    pub fn accept(&mut self, disk: &mut dyn Disk, id: &str, work: Value) -> io::Result<()> {
        self.write(disk, &json!({"op": "accept", "id": id, "work": work}))?;
        self.open.insert(id, work);
        Ok(())
    }

    /// Records that the work has its one reply or notice.
    ///
    /// # Errors
    /// When it could not be written; the work stays open and will get a notice after a restart.
    pub fn done(&mut self, disk: &mut dyn Disk, id: &str) -> io::Result<()> {
        if !self.open.places.contains_key(id) {
            return Ok(());
        }
        self.write(disk, &json!({"op": "done", "id": id}))?;
        self.open.remove(id);
        if self.records > COMPACT_AFTER && self.records > 4 * self.unfinished() {
            self.compact(disk)?;
        }
        Ok(())
    }

    /// Accepted and not finished.
    pub fn unfinished(&self) -> usize {
        self.open.work.len()
    }

    /// Where it lies, for syncing.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    fn write(&mut self, disk: &mut dyn Disk, record: &Value) -> io::Result<()> {
        let mut line = record.to_string().into_bytes();
        line.push(b'\n');
        self.unsynced = true;
        disk.append(&self.path, &line)?;
        self.records += 1;
        Ok(())
    }

    /// Whether a power cut could take something.
    pub fn is_dirty(&self) -> bool {
        self.unsynced
    }

    /// Forces what was written to the platter.
    ///
    /// # Errors
    /// When the disk refuses; then it is still dirty.
    pub fn sync(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
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

    fn compact(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (id, work) in self.open.in_order() {
            let record = json!({"op": "accept", "id": id, "work": work});
            bytes.extend_from_slice(record.to_string().as_bytes());
            bytes.push(b'\n');
        }
        disk.replace(&self.path, &bytes)?;
        self.records = self.unfinished();
        Ok(())
    }
}

fn replay(open: &mut Open, record: &Value) {
    let Some(id) = record.get("id").and_then(Value::as_str) else { return };
    match record.get("op").and_then(Value::as_str) {
        Some("accept") => {
            open.insert(id, record.get("work").cloned().unwrap_or(Value::Null));
        }
        Some("done") => open.remove(id),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::super::{Disk, RealDisk};
    use super::*;

    #[test]
    fn what_was_accepted_and_not_done_comes_back() {
        let scratch = Scratch::new("journal");
        let path = scratch.0.join("accepted.jsonl");
        let mut disk = RealDisk;
        let (mut journal, none) = Journal::open(&mut disk, path.clone()).unwrap();
        assert!(none.is_empty());
        journal.accept(&mut disk, "a", json!({"n": 1})).unwrap();
        journal.accept(&mut disk, "b", json!({"n": 2})).unwrap();
        journal.done(&mut disk, "a").unwrap();
        journal.done(&mut disk, "never").unwrap();
        let (_, open) = Journal::open(&mut disk, path).unwrap();
        assert_eq!(open, [("b".to_owned(), json!({"n": 2}))]);
    }

    #[test]
    fn work_comes_back_in_the_order_of_acceptance() {
        let scratch = Scratch::new("order");
        let path = scratch.0.join("accepted.jsonl");
        let mut disk = RealDisk;
        let (mut journal, _) = Journal::open(&mut disk, path.clone()).unwrap();
        for id in ["z", "m", "a", "q"] {
            journal.accept(&mut disk, id, json!(id)).unwrap();
        }
        journal.done(&mut disk, "m").unwrap();
        let ids =
            |open: Vec<(String, Value)>| -> String { open.into_iter().map(|(id, _)| id).collect() };
        let (mut journal, open) = Journal::open(&mut disk, path.clone()).unwrap();
        assert_eq!(ids(open), "zaq");
        // Behind those of the life before, also when the file was written anew.
        journal.accept(&mut disk, "b", json!(1)).unwrap();
        journal.compact(&mut disk).unwrap();
        journal.accept(&mut disk, "0", json!(1)).unwrap();
        assert_eq!(ids(Journal::open(&mut disk, path).unwrap().1), "zaqb0");
    }

    #[test]
    fn a_cut_at_any_byte_costs_at_most_the_last_record() {
        let scratch = Scratch::new("torn");
        let path = scratch.0.join("accepted.jsonl");
        let mut disk = RealDisk;
        let (mut journal, _) = Journal::open(&mut disk, path.clone()).unwrap();
        journal.accept(&mut disk, "a", json!(1)).unwrap();
        let keep = disk.read(&path).unwrap().len();
        journal.accept(&mut disk, "b", json!(2)).unwrap();
        let whole = disk.read(&path).unwrap();
        for cut in keep..whole.len() {
            disk.replace(&path, &whole[..cut]).unwrap();
            let (mut journal, open) = Journal::open(&mut disk, path.clone()).unwrap();
            assert_eq!(open.len(), 1, "cut at {cut}");
            // The next record must not be glued to the torn one.
            journal.accept(&mut disk, "c", json!(3)).unwrap();
            assert_eq!(Journal::open(&mut disk, path.clone()).unwrap().1.len(), 2);
        }
    }

    #[test]
    fn finished_records_are_compacted_away() {
        let scratch = Scratch::new("compact");
        let path = scratch.0.join("accepted.jsonl");
        let mut disk = RealDisk;
        let (mut journal, _) = Journal::open(&mut disk, path.clone()).unwrap();
        for n in 0..=COMPACT_AFTER {
            let id = n.to_string();
            journal.accept(&mut disk, &id, Value::Null).unwrap();
            journal.done(&mut disk, &id).unwrap();
        }
        assert!(disk.read(&path).unwrap().len() < 200_000);
        assert_eq!(journal.unfinished(), 0);
    }
}
