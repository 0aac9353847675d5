//! Conversations: keys, the index, and the transcripts.
//!
//! On disk as the reference keeps them, so that a state directory moves between the two:
//! `agents/<agentId>/sessions/sessions.json` maps session keys to entries, and
//! `<sessionId>.jsonl` beside it holds one record a line: a `session` header, then `message`
//! records that name their parent. Transcripts are only ever appended to. The index is a cache
//! of what they say and of what clients set; it is written at most once a second. A session
//! that a crash took from the index is found again by the header of its transcript.
//!
//! Unknown fields of an entry are kept. A damaged line costs that record, is counted, and
//! stays in the file.

mod entry;
pub mod fresh;
pub mod key;
mod lifecycle;
mod list;
pub mod transcript;
pub mod usage;

pub use entry::Entry;
pub use lifecycle::Archived;
pub use list::{Also, Found, Order, Query, Shelf};

use crate::store::Disk;
use crate::wire::hash;
use serde_json::Value;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use transcript::{Record, Summary};

#[derive(Debug, Default)]
struct AgentStore {
    index: BTreeMap<String, Entry>,
    tails: BTreeMap<String, Tail>,
    dirty: bool,
    /// Transcripts that grew and were not synced.
    unsynced: BTreeSet<PathBuf>,
}

/// What is read of a transcript for its header: ids and keys are far shorter.
const HEADER: usize = 8 * 1024;

impl AgentStore {
    /// Sessions whose transcript is there and whose entry is not: the index is written later
    /// than the first message.
    fn find_lost(&mut self, disk: &dyn Disk, agent: &str, dir: &Path) {
        let known: BTreeSet<String> = self
            .index
            .values()
            .map(|entry| file_name(entry).unwrap_or_default().to_owned())
            .chain(self.index.values().map(|entry| transcript_name(&entry.session_id)))
            .collect();
        let names = disk.list(dir).unwrap_or_default();
        for name in names.iter().filter(|name| name.ends_with(".jsonl") && !known.contains(*name)) {
            let path = dir.join(name);
            let Ok(stat) = disk.stat(&path) else { continue };
            let length = usize::try_from(stat.len).unwrap_or(HEADER).min(HEADER);
            let Ok(head) = disk.read_at(&path, 0, length) else { continue };
            let Some((session, id)) = transcript::owner(&head) else { continue };
            let ours = key::agent_of(&session) == Some(agent) && transcript_name(&id) == *name;
            if !ours || self.index.contains_key(&session) {
                continue;
            }
            log::info!(target: "sessions", "{session} found again in {}", path.display());
            let (first, last) = transcript::survey(disk, &path).unwrap_or_default().times;
            let entry = Entry {
                session_id: id,
                updated_at: last.unwrap_or_default(),
                created_at: first,
                chat_type: Some("direct".to_owned()),
                ..Entry::default()
            };
            self.index.insert(session, entry);
            self.dirty = true;
        }
    }
}

/// The file of an entry that names one. A path the reference wrote is used only for its file
/// name: state directories move.
fn file_name(entry: &Entry) -> Option<&str> {
    let name = Path::new(entry.session_file.as_deref()?).file_name()?.to_str()?;
    // The index itself lies in the same directory.
    (is_safe_name(name) && name.ends_with(".jsonl")).then_some(name)
}

/// The file of a session whose entry names none.
fn transcript_name(session_id: &str) -> String {
    format!("{}.jsonl", file_stem(session_id))
}

/// Where the next record of a transcript goes.
#[derive(Debug, Clone, Default)]
struct Tail {
    parent: Option<String>,
    messages: u64,
    torn: bool,
}

impl Tail {
    fn read(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let read = transcript::survey(disk, path)?;
        Ok(Self { parent: read.last, messages: read.messages, torn: read.torn })
    }
}

/// A message that was just appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Its record id.
    pub id: String,
    /// Its number in the transcript, from 1.
    pub seq: u64,
}

/// All sessions of all agents.
#[derive(Debug)]
pub struct Sessions {
    root: PathBuf,
    agents: BTreeMap<String, AgentStore>,
}

impl Sessions {
    /// Sessions under `<state>/agents`; nothing is read yet.
    pub fn new(state_dir: &Path) -> Self {
        Self { root: state_dir.join("agents"), agents: BTreeMap::new() }
    }

    /// The index file of an agent.
    pub fn index_path(&self, agent: &str) -> PathBuf {
        self.root.join(agent).join("sessions").join("sessions.json")
    }

    /// Reads an agent's index, once. A file that is not wholly an index is kept aside as
    /// `sessions.json.damaged`, and what can be understood of it is used: one odd value of one
    /// entry costs that value. A file that cannot be read at all is left alone, and its sessions
    /// take nothing until it can: an empty index would be written over it.
    pub fn open(&mut self, disk: &mut dyn Disk, agent: &str) {
        if self.agents.contains_key(agent) {
            return;
        }
        let path = self.index_path(agent);
        let mut store = AgentStore::default();
        match disk.read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(index) => store.index = index,
                Err(error) => {
                    let aside = path.with_extension("json.damaged");
                    log::error!(target: "sessions",
                        "{}: {error}; kept as {}", path.display(), aside.display());
                    if let Err(error) = disk.replace(&aside, &bytes) {
                        return log::error!(target: "sessions", "{}: {error}", aside.display());
                    }
                    store.index = entry::salvage(&bytes);
                    store.dirty = true;
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return log::error!(target: "sessions", "{}: {error}", path.display()),
        }
        for (key, entry) in &mut store.index {
            if entry.session_id.is_empty() {
                // Two sessions without an id must not share a transcript.
                entry.session_id = hash::hex(&hash::sha256(key.as_bytes()));
            }
        }
        if let Some(dir) = path.parent() {
            store.find_lost(disk, agent, dir);
        }
        self.agents.insert(agent.to_owned(), store);
    }

    /// Lets go of an agent's sessions; what is on the disk stays as it is.
    pub fn forget(&mut self, agent: &str) {
        self.agents.remove(agent);
    }

    /// The entry of a canonical key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.agents.get(key::agent_of(key)?)?.index.get(key)
    }

    /// The same with the key as it is kept.
    pub fn key_and_entry(&self, key: &str) -> Option<(&str, &Entry)> {
        let store = self.agents.get(key::agent_of(key)?)?;
        store.index.get_key_value(key).map(|(key, entry)| (key.as_str(), entry))
    }

    /// The entry for writing; the index is saved soon after.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        let store = self.agents.get_mut(key::agent_of(key)?)?;
        let entry = store.index.get_mut(key)?;
        store.dirty = true;
        Some(entry)
    }

    /// Makes sure a session exists; true when it was created. `session_id` is used for a new one,
    /// unless another session has it: a transcript belongs to one session.
    pub fn ensure(
        &mut self,
        disk: &mut dyn Disk,
        key: &str,
        session_id: impl FnOnce() -> String,
        now_ms: u64,
    ) -> bool {
        let Some(agent) = key::agent_of(key) else { return false };
        self.open(disk, agent);
        let Some(store) = self.agents.get_mut(agent) else { return false };
        if store.index.contains_key(key) {
            return false;
        }
        let mut session_id = session_id();
        if store.index.values().any(|entry| entry.session_id == session_id) {
            session_id = hash::hex(&hash::sha256(format!("{key}\0{session_id}").as_bytes()));
        }
        let entry = Entry {
            session_id,
            updated_at: now_ms,
            created_at: Some(now_ms),
            chat_type: Some("direct".to_owned()),
            ..Entry::default()
        };
        store.index.insert(key.to_owned(), entry);
        store.dirty = true;
        true
    }

    /// The key of the session that has this id.
    pub fn key_of_id(&self, session_id: &str) -> Option<&str> {
        let mut all = self.agents.values().flat_map(|store| &store.index);
        all.find(|(_, entry)| entry.session_id == session_id).map(|(key, _)| key.as_str())
    }

    /// How many sessions an agent has, and the newest of them.
    pub fn newest(&self, agent: &str, at_most: usize) -> (usize, Vec<(&str, u64)>) {
        let Some(store) = self.agents.get(agent) else { return (0, Vec::new()) };
        let mut newest: Vec<(&str, u64)> = Vec::with_capacity(at_most + 1);
        for (key, entry) in &store.index {
            let at = newest.partition_point(|(_, updated)| *updated >= entry.updated_at);
            if at < at_most {
                newest.insert(at, (key, entry.updated_at));
                newest.truncate(at_most);
            }
        }
        (store.index.len(), newest)
    }

    /// Appends a message to the transcript of an existing session: durable against `kill -9`
    /// when this returns.
    ///
    /// # Errors
    /// When the session is unknown or the disk refuses; nothing was then accepted.
    pub fn append(
        &mut self,
        disk: &mut dyn Disk,
        key: &str,
        record_id: String,
        message: &Value,
        now_ms: u64,
    ) -> io::Result<Appended> {
        let seq = self.append_line(disk, key, &record_id, true, now_ms, &|out, parent| {
            transcript::write_message(out, &record_id, parent, message, now_ms);
        })?;
        Ok(Appended { id: record_id, seq })
    }

    /// Appends a summary of what was said before.
    ///
    /// # Errors
    /// When the session is unknown or the disk refuses.
    pub fn append_summary(
        &mut self,
        disk: &mut dyn Disk,
        key: &str,
        record_id: String,
        summary: &Summary,
        now_ms: u64,
    ) -> io::Result<()> {
        self.append_line(disk, key, &record_id, false, now_ms, &|out, parent| {
            transcript::write_summary(out, &record_id, parent, summary, now_ms);
        })
        .map(|_| ())
    }

    fn append_line(
        &mut self,
        disk: &mut dyn Disk,
        key: &str,
        record_id: &str,
        message: bool,
        now_ms: u64,
        write: &dyn Fn(&mut Vec<u8>, Option<&str>),
    ) -> io::Result<u64> {
        let path = self.transcript_path(key).ok_or(io::ErrorKind::NotFound)?;
        let agent = key::agent_of(key).ok_or(io::ErrorKind::NotFound)?.to_owned();
        let store = self.agents.get_mut(&agent).ok_or(io::ErrorKind::NotFound)?;
        let entry = store.index.get_mut(key).ok_or(io::ErrorKind::NotFound)?;
        let mut tail = match store.tails.get(key) {
            Some(tail) => tail.clone(),
            None => Tail::read(&*disk, &path)?,
        };
        let mut bytes = Vec::new();
        if std::mem::take(&mut tail.torn) {
            // Half a record stands at the end: it must cost itself only, not the next one.
            bytes.push(b'\n');
        }
        if tail.parent.is_none() && disk.stat(&path).is_err() {
            transcript::write_header(&mut bytes, key, &entry.session_id, now_ms);
        }
        write(&mut bytes, tail.parent.take().as_deref());
        disk.append(&path, &bytes)?;
        tail.messages += u64::from(message);
        tail.parent = Some(record_id.to_owned());
        let seq = tail.messages;
        store.tails.insert(key.to_owned(), tail);
        store.unsynced.insert(path);
        entry.updated_at = now_ms;
        store.dirty = true;
        Ok(seq)
    }

    /// What a model is shown of a session: see [`transcript::read_context`].
    ///
    /// # Errors
    /// When the transcript exists and cannot be read.
    pub fn context(
        &self,
        disk: &dyn Disk,
        key: &str,
        at_most: usize,
        max_bytes: usize,
    ) -> io::Result<(Option<Summary>, Vec<Record>)> {
        match self.transcript_path(key) {
            None => Ok((None, Vec::new())),
            Some(path) => transcript::read_context(disk, &path, at_most, max_bytes),
        }
    }

    /// How many messages a session has. The first time its transcript is read over; then the
    /// number is known.
    ///
    /// # Errors
    /// When the transcript exists and cannot be read.
    pub fn count(&mut self, disk: &dyn Disk, key: &str) -> io::Result<u64> {
        let Some(path) = self.transcript_path(key) else { return Ok(0) };
        let store = key::agent_of(key).and_then(|agent| self.agents.get_mut(agent));
        let Some(store) = store else { return Ok(0) };
        if let Some(tail) = store.tails.get(key) {
            return Ok(tail.messages);
        }
        let tail = Tail::read(disk, &path)?;
        let messages = tail.messages;
        store.tails.insert(key.to_owned(), tail);
        Ok(messages)
    }

    /// The newest messages of a session, in order: at most so many and so many bytes.
    ///
    /// # Errors
    /// When the transcript exists and cannot be read.
    pub fn newest_messages(
        &self,
        disk: &dyn Disk,
        key: &str,
        at_most: usize,
        max_bytes: usize,
    ) -> io::Result<Vec<Record>> {
        match self.transcript_path(key) {
            None => Ok(Vec::new()),
            Some(path) => transcript::read_tail(disk, &path, at_most, max_bytes),
        }
    }

    /// Shows the messages of a session, the newest first, until it is told to stop.
    ///
    /// # Errors
    /// When the transcript exists and cannot be read.
    pub fn walk_back(
        &self,
        disk: &dyn Disk,
        key: &str,
        see: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let Some(path) = self.transcript_path(key) else { return Ok(()) };
        let room = Cell::new(usize::MAX);
        transcript::walk_back(disk, &path, &room, &mut |record, _| see(record))
    }

    /// All messages of a session, oldest first; empty when it has none yet.
    ///
    /// # Errors
    /// When the transcript exists and cannot be read.
    pub fn messages(&self, disk: &dyn Disk, key: &str) -> io::Result<Vec<Record>> {
        match self.transcript_path(key) {
            None => Ok(Vec::new()),
            Some(path) => Ok(transcript::read(disk, &path)?.records),
        }
    }

    /// The transcript file of a session.
    pub fn transcript_path(&self, key: &str) -> Option<PathBuf> {
        let agent = key::agent_of(key)?;
        let entry = self.get(key)?;
        let file = match file_name(entry) {
            Some(name) => name.to_owned(),
            None => transcript_name(&entry.session_id),
        };
        Some(self.root.join(agent).join("sessions").join(file))
    }

    /// True when an index waits to be written.
    pub fn is_dirty(&self) -> bool {
        self.agents.values().any(|store| store.dirty)
    }

    /// Writes the indexes that changed.
    pub fn save(&mut self, disk: &mut dyn Disk) {
        let root = &self.root;
        for (agent, store) in self.agents.iter_mut().filter(|(_, store)| store.dirty) {
            let path = root.join(agent).join("sessions").join("sessions.json");
            let Ok(text) = serde_json::to_vec_pretty(&store.index) else { continue };
            match disk.replace(&path, &text) {
                Ok(()) => store.dirty = false,
                Err(error) => log::error!(target: "sessions", "{}: {error}", path.display()),
            }
        }
    }

    /// Forces transcripts that grew to the platter; a journal may be synced only after them,
    /// since it says that they hold the answers.
    ///
    /// # Errors
    /// The disk's; what is not synced stays marked.
    pub fn sync(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        for store in self.agents.values_mut() {
            while let Some(path) = store.unsynced.first() {
                disk.sync(path)?;
                store.unsynced.pop_first();
            }
        }
        Ok(())
    }
}

/// A session id as a file name: itself when it is plain, else its digest.
fn file_stem(session_id: &str) -> String {
    if is_safe_name(session_id) && session_id.len() <= 100 {
        session_id.to_owned()
    } else {
        hash::hex(&hash::sha256(session_id.as_bytes()))
    }
}

fn is_safe_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
