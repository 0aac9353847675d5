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

pub mod key;
pub mod transcript;

use crate::store::Disk;
use crate::wire::hash;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use transcript::Record;

/// What the index says of one session (reference: an entry of `sessions.json`). Times are Unix
/// milliseconds, tokens are those of the last run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the wire's own names, described in the type's head")]
pub struct Entry {
    pub session_id: String,
    pub updated_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_type: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub system_sent: bool,
    pub aborted_last_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    /// Whatever else the file said; written back untouched.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

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
                    store.index = salvage(&bytes);
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

    /// Every session of the agents that were opened, newest first.
    pub fn list(&self) -> Vec<(&str, &Entry)> {
        let mut all: Vec<(&str, &Entry)> = self
            .agents
            .values()
            .flat_map(|store| store.index.iter().map(|(key, entry)| (key.as_str(), entry)))
            .collect();
        all.sort_by(|a, b| b.1.updated_at.cmp(&a.1.updated_at).then_with(|| a.0.cmp(b.0)));
        all
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
        let parent = tail.parent.take();
        transcript::write_message(&mut bytes, &record_id, parent.as_deref(), message, now_ms);
        disk.append(&path, &bytes)?;
        tail.messages += 1;
        tail.parent = Some(record_id.clone());
        let seq = tail.messages;
        store.tails.insert(key.to_owned(), tail);
        store.unsynced.insert(path);
        entry.updated_at = now_ms;
        store.dirty = true;
        Ok(Appended { id: record_id, seq })
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

/// What can be understood of an index that is not wholly one.
fn salvage(bytes: &[u8]) -> BTreeMap<String, Entry> {
    let Ok(index) = serde_json::from_slice::<Map<String, Value>>(bytes) else {
        return BTreeMap::new();
    };
    let entry = |fields: Map<String, Value>| {
        let fits = |name: &String, value: &Value| {
            let alone = Map::from_iter([(name.clone(), value.clone())]);
            Entry::deserialize(Value::Object(alone)).is_ok()
        };
        let good = fields.into_iter().filter(|(name, value)| fits(name, value)).collect();
        Entry::deserialize(Value::Object(good)).ok()
    };
    index
        .into_iter()
        .filter_map(|(key, value)| match value {
            Value::Object(fields) => Some((key, entry(fields)?)),
            _ => None,
        })
        .collect()
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
mod tests {
    use super::*;
    use crate::store::RealDisk;
    use serde_json::json;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir()
                .join(format!("openclaw-sessions-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&dir);
            Self(dir)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const KEY: &str = "agent:main:main";

    #[test]
    fn a_conversation_survives_a_restart() {
        let scratch = Scratch::new("restart");
        let mut disk = RealDisk;
        let mut sessions = Sessions::new(&scratch.0);
        assert!(sessions.ensure(&mut disk, KEY, || "s-1".to_owned(), 5));
        assert!(!sessions.ensure(&mut disk, KEY, || "s-2".to_owned(), 6));
        let user = json!({"role": "user", "content": "hi"});
        let first = sessions.append(&mut disk, KEY, "r1".to_owned(), &user, 7).unwrap();
        assert_eq!(first.seq, 1);
        sessions.save(&mut disk);
        let mut again = Sessions::new(&scratch.0);
        again.open(&mut disk, "main");
        let answer = json!({"role": "assistant", "content": []});
        let second = again.append(&mut disk, KEY, "r2".to_owned(), &answer, 8).unwrap();
        assert_eq!(second.seq, 2);
        let records = again.messages(&disk, KEY).unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].message, user);
        assert_eq!(records[1].parent.as_deref(), Some("r1"));
    }

    #[test]
    fn a_session_that_was_not_indexed_yet_is_found_again() {
        let scratch = Scratch::new("lost");
        let mut disk = RealDisk;
        let mut sessions = Sessions::new(&scratch.0);
        let odd = "x".repeat(5000);
        let said = json!({"role": "user", "content": "hi", "timestamp": 7});
        for (key, id) in [(KEY, "s-1"), ("agent:main:odd", odd.as_str())] {
            sessions.ensure(&mut disk, key, || id.to_owned(), 5);
            sessions.append(&mut disk, key, "r1".to_owned(), &said, 7).unwrap();
        }
        // No save: the process was killed.
        let mut again = Sessions::new(&scratch.0);
        again.open(&mut disk, "main");
        for (key, id) in [(KEY, "s-1"), ("agent:main:odd", odd.as_str())] {
            assert_eq!(again.get(key).unwrap().session_id, id);
            assert_eq!(again.get(key).unwrap().updated_at, 7);
            assert_eq!(again.messages(&disk, key).unwrap().len(), 1);
        }
        assert!(again.is_dirty());
        // An entry that is there wins, and a file of another agent stays where it is.
        let mut other = Sessions::new(&scratch.0);
        let text = json!({KEY: {"sessionId": "s-2", "updatedAt": 1}}).to_string();
        disk.replace(&other.index_path("main"), text.as_bytes()).unwrap();
        other.open(&mut disk, "main");
        assert_eq!(other.get(KEY).unwrap().session_id, "s-2");
    }

    #[test]
    fn ids_from_outside_never_become_paths() {
        let scratch = Scratch::new("paths");
        let mut disk = RealDisk;
        let mut sessions = Sessions::new(&scratch.0);
        for (n, id) in ["../../etc/x", "/abs", "a\0b", ".hidden", &"x".repeat(5000), "ünï"]
            .into_iter()
            .enumerate()
        {
            let key = format!("agent:main:k{n}");
            sessions.ensure(&mut disk, &key, || id.to_owned(), 1);
            let path = sessions.transcript_path(&key).unwrap();
            assert_eq!(path.parent().unwrap(), scratch.0.join("agents/main/sessions"));
            assert!(is_safe_name(path.file_name().unwrap().to_str().unwrap()));
        }
    }

    #[test]
    fn unknown_fields_and_a_damaged_index_are_kept() {
        let scratch = Scratch::new("extra");
        let mut disk = RealDisk;
        let mut sessions = Sessions::new(&scratch.0);
        let path = sessions.index_path("main");
        let text = json!({KEY: {"sessionId": "s", "updatedAt": 1, "lastChannel": "irc"}});
        disk.replace(&path, text.to_string().as_bytes()).unwrap();
        sessions.open(&mut disk, "main");
        sessions.get_mut(KEY).unwrap().label = Some("L".to_owned());
        sessions.save(&mut disk);
        let back: Value = serde_json::from_slice(&disk.read(&path).unwrap()).unwrap();
        assert_eq!(back[KEY]["lastChannel"], "irc");
        assert_eq!(back[KEY]["label"], "L");

        let odd = json!({
            "agent:main:a": {"sessionId": "a", "updatedAt": 7.5, "label": "kept"},
            "agent:main:b": {"updatedAt": 1}, "agent:main:c": {"updatedAt": 1}, "d": 3,
        });
        disk.replace(&path, odd.to_string().as_bytes()).unwrap();
        let mut again = Sessions::new(&scratch.0);
        again.open(&mut disk, "main");
        assert_eq!(again.get("agent:main:a").unwrap().label.as_deref(), Some("kept"));
        let file = |sessions: &Sessions, key| sessions.transcript_path(key).unwrap();
        assert_ne!(file(&again, "agent:main:b"), file(&again, "agent:main:c"));
        again.ensure(&mut disk, "agent:main:e", || "a".to_owned(), 1);
        assert_ne!(file(&again, "agent:main:a"), file(&again, "agent:main:e"));
        let aside = disk.read(&path.with_extension("json.damaged")).unwrap();
        assert_eq!(aside, odd.to_string().into_bytes());

        disk.replace(&path, b"{broken").unwrap();
        let mut again = Sessions::new(&scratch.0);
        again.open(&mut disk, "main");
        assert!(again.get(KEY).is_none());
        assert_eq!(disk.read(&path.with_extension("json.damaged")).unwrap(), b"{broken");
    }

    #[cfg(unix)]
    #[test]
    fn an_index_that_cannot_be_read_is_not_written_over() {
        let scratch = Scratch::new("unreadable");
        let mut disk = RealDisk;
        let mut sessions = Sessions::new(&scratch.0);
        let path = sessions.index_path("main");
        crate::store::make_parents(&path).unwrap();
        // A link to itself: the read fails, and not with "not found".
        std::os::unix::fs::symlink(&path, &path).unwrap();
        assert!(!sessions.ensure(&mut disk, KEY, || "s".to_owned(), 1));
        assert!(sessions.append(&mut disk, KEY, "r".to_owned(), &json!({}), 1).is_err());
        sessions.save(&mut disk);
        assert!(std::fs::symlink_metadata(&path).unwrap().is_symlink());
        std::fs::remove_file(&path).unwrap();
        assert!(sessions.ensure(&mut disk, KEY, || "s".to_owned(), 1));
    }
}
