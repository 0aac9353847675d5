//! Beginnings and ends: a reset, a deletion, and the archives that both leave.
//!
//! A transcript is never thrown away: it is renamed beside itself, `<file>.reset.<time>` or
//! `<file>.deleted.<time>`, as the reference does, and from then on nothing reads it. The
//! rename comes before the index changes, so that a crash between the two leaves an empty
//! session and no lost one.

use super::{Entry, Sessions, key};
use crate::store::Disk;
use crate::wire::text::rfc3339_ms;
use std::io;
use std::path::{Path, PathBuf};

/// Why a transcript was put aside: the word in its file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archived {
    /// Its session began anew.
    Reset,
    /// Its session was deleted.
    Deleted,
}

impl Archived {
    const fn word(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Deleted => "deleted",
        }
    }
}

impl Sessions {
    /// Empties a session. Its transcript is put aside, `session_id` takes the place of its id
    /// where one is given, `revision` marks the new beginning. The path of the archive, if
    /// there was anything.
    ///
    /// # Errors
    /// The disk's; the session then stands as it was.
    pub fn reset(
        &mut self,
        disk: &mut dyn Disk,
        key: &str,
        session_id: Option<String>,
        revision: String,
        now_ms: u64,
    ) -> io::Result<Option<PathBuf>> {
        if self.get(key).is_none() {
            return Ok(None);
        }
        let aside = self.put_aside(disk, key, Archived::Reset, now_ms)?;
        if let Some(entry) = self.get_mut(key) {
            if let Some(session_id) = session_id {
                entry.set("previousSessionId", entry.session_id.clone().into());
                entry.session_id = session_id;
                entry.session_file = None;
            }
            entry.begin_anew(revision, now_ms);
        }
        Ok(aside)
    }

    /// Deletes a session; what it was, and the path of its archive.
    ///
    /// # Errors
    /// The disk's; the session then stands as it was.
    pub fn remove(
        &mut self,
        disk: &mut dyn Disk,
        key: &str,
        now_ms: u64,
    ) -> io::Result<Option<(Entry, Option<PathBuf>)>> {
        if self.get(key).is_none() {
            return Ok(None);
        }
        let aside = self.put_aside(disk, key, Archived::Deleted, now_ms)?;
        let store = key::agent_of(key).and_then(|agent| self.agents.get_mut(agent));
        let Some(store) = store else { return Ok(None) };
        store.dirty = true;
        Ok(store.index.remove(key).map(|entry| (entry, aside)))
    }

    /// The oldest sessions of an agent beyond `max` that are not archived, when there are a
    /// tenth more than that: they are looked for in batches. `spare` says which must stay.
    pub fn surplus(&self, agent: &str, max: usize, spare: &dyn Fn(&str) -> bool) -> Vec<String> {
        let Some(store) = self.agents.get(agent) else { return Vec::new() };
        if store.index.len() <= max + max / 10 {
            return Vec::new();
        }
        let mut active: Vec<(u64, &String)> = store
            .index
            .iter()
            .filter(|(_, entry)| !entry.is_archived())
            .map(|(key, entry)| (entry.updated_at, key))
            .collect();
        if active.len() <= max + max / 10 {
            return Vec::new();
        }
        let surplus = active.len() - max;
        active.sort_unstable();
        active
            .retain(|(_, key)| !store.index.get(*key).is_some_and(Entry::is_pinned) && !spare(key));
        active.into_iter().take(surplus).map(|(_, key)| key.clone()).collect()
    }

    fn put_aside(
        &mut self,
        disk: &mut dyn Disk,
        key: &str,
        why: Archived,
        now_ms: u64,
    ) -> io::Result<Option<PathBuf>> {
        let Some(path) = self.transcript_path(key) else { return Ok(None) };
        let renamed = match disk.stat(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
            Ok(_) => {
                let aside = free_name(disk, &path, why, now_ms);
                disk.rename(&path, &aside)?;
                Some(aside)
            }
        };
        if let Some(store) = key::agent_of(key).and_then(|agent| self.agents.get_mut(agent)) {
            store.tails.remove(key);
            store.unsynced.remove(&path);
        }
        Ok(renamed)
    }
}

/// `<file>.reset.2026-11-22T10-09-02.278Z`, with a number behind it when that is taken.
fn free_name(disk: &dyn Disk, path: &Path, why: Archived, now_ms: u64) -> PathBuf {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("{file}.{}.{}", why.word(), rfc3339_ms(now_ms).replace(':', "-"));
    let plain = path.with_file_name(&name);
    if disk.stat(&plain).is_err() {
        return plain;
    }
    let numbered = (2..10_000).map(|n| path.with_file_name(format!("{name}.{n}")));
    numbered.into_iter().find(|path| disk.stat(path).is_err()).unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{KEY, Scratch};
    use super::*;
    use crate::store::RealDisk;
    use serde_json::json;

    fn said(sessions: &mut Sessions, id: &str) {
        let message = json!({"role": "user", "content": "hi"});
        sessions.append(&mut RealDisk, KEY, id.to_owned(), &message, 7).unwrap();
    }

    #[test]
    fn a_reset_keeps_the_old_file_and_its_choices() {
        let scratch = Scratch::new("reset");
        let mut disk = RealDisk;
        let mut sessions = Sessions::new(&scratch.0);
        sessions.ensure(&mut disk, KEY, || "s".to_owned(), 5);
        sessions.get_mut(KEY).unwrap().thinking_level = Some("high".to_owned());
        for round in 0..3 {
            said(&mut sessions, &format!("r{round}"));
            assert_eq!(sessions.messages(&disk, KEY).unwrap().len(), 1);
            let revision = format!("rev{round}");
            let aside = sessions.reset(&mut disk, KEY, None, revision, 0).unwrap().unwrap();
            let aside = aside.file_name().unwrap().to_string_lossy().into_owned();
            assert!(aside.starts_with("s.jsonl.reset.1970-01-01T00-00-00.000Z"), "{aside}");
        }
        assert!(sessions.messages(&disk, KEY).unwrap().is_empty());
        assert_eq!(sessions.count(&disk, KEY).unwrap(), 0);
        let entry = sessions.get(KEY).unwrap();
        assert_eq!((entry.session_id.as_str(), entry.total_tokens), ("s", Some(0)));
        assert_eq!(entry.thinking_level.as_deref(), Some("high"));
        assert_eq!(entry.lifecycle_revision.as_deref(), Some("rev2"));
        // Nothing to put aside, a new id.
        let none = sessions.reset(&mut disk, KEY, Some("t".to_owned()), "r".to_owned(), 9);
        assert_eq!(none.unwrap(), None);
        assert_eq!(sessions.get(KEY).unwrap().session_id, "t");
        assert!(sessions.reset(&mut disk, "agent:main:no", None, String::new(), 0).is_ok());
    }

    #[test]
    fn the_oldest_are_surplus_in_batches() {
        let mut sessions = Sessions::new(Path::new("/nowhere"));
        let scratch = Scratch::new("surplus");
        sessions.root = scratch.0.join("agents");
        let mut disk = RealDisk;
        for n in 0..22_u64 {
            let key = format!("agent:main:k{n:02}");
            sessions.ensure(&mut disk, &key, || format!("s{n}"), n);
        }
        sessions.get_mut("agent:main:k01").unwrap().set("pinnedAt", json!(1));
        let spare = |key: &str| key == "agent:main:k00";
        assert!(sessions.surplus("main", 20, &spare).is_empty(), "not worth it yet");
        sessions.ensure(&mut disk, "agent:main:k22", || "s22".to_owned(), 22);
        let surplus = sessions.surplus("main", 20, &spare);
        assert_eq!(surplus, ["agent:main:k02", "agent:main:k03", "agent:main:k04"]);
        for key in surplus {
            sessions.get_mut(&key).unwrap().set("archivedAt", json!(1));
        }
        assert!(sessions.surplus("main", 20, &spare).is_empty());
    }

    #[test]
    fn what_was_deleted_stays_deleted_after_a_restart() {
        let scratch = Scratch::new("delete");
        let mut disk = RealDisk;
        let mut sessions = Sessions::new(&scratch.0);
        sessions.ensure(&mut disk, KEY, || "s".to_owned(), 5);
        said(&mut sessions, "r");
        let (entry, aside) = sessions.remove(&mut disk, KEY, 0).unwrap().unwrap();
        assert_eq!(entry.session_id, "s");
        assert!(disk.stat(&aside.unwrap()).is_ok());
        assert!(sessions.remove(&mut disk, KEY, 0).unwrap().is_none());
        sessions.save(&mut disk);
        let mut again = Sessions::new(&scratch.0);
        again.open(&mut disk, "main");
        assert!(again.get(KEY).is_none());
    }
}
