//! Transcripts: those that no session names, sessions without theirs, and lines that are cut
//! short or damaged. Of large stores the newest are read, see [`limits::DOCTOR_TRANSCRIPTS`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::belongings::Belongings;
use super::finding::{Finding, Severity};
use super::here::Here;
use crate::limits;
use crate::store::{Disk, RealDisk};

const SESSIONS: &str = "core/doctor/session-transcripts";
/// Paths that are named.
const NAMED: usize = 3;

/// What is wrong with the sessions of one agent.
#[derive(Debug, Default, PartialEq, Eq)]
struct Store {
    /// Transcripts that belong to no session, and will not be found again by themselves.
    orphans: Vec<PathBuf>,
    /// Keys whose transcript is gone.
    lost: Vec<String>,
    /// Transcripts whose last line is cut short.
    torn: Vec<PathBuf>,
    /// Transcripts with lines that are no JSON, and how many.
    damaged: Vec<(PathBuf, usize)>,
}

/// `core/doctor/session-transcripts`.
pub fn check(here: &Here<'_>) -> Vec<Finding> {
    let mut budget = limits::DOCTOR_TRANSCRIPTS;
    let dirs = Belongings::of(&here.paths, Some(&here.config)).sessions();
    let running = here.holder.is_some();
    let each = |dir: &PathBuf| judge(dir, &read(dir, &mut budget, running));
    dirs.iter().flat_map(each).collect()
}

fn read(dir: &Path, budget: &mut u64, running: bool) -> Store {
    let mut store = Store::default();
    let index = RealDisk.read(&dir.join("sessions.json")).unwrap_or_default();
    let index: BTreeMap<String, Value> = serde_json::from_slice(&index).unwrap_or_default();
    let mut named = BTreeMap::new();
    for (key, entry) in &index {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let file = text("sessionFile").and_then(|path| Path::new(path).file_name()?.to_str());
        let own = text("sessionId").map(|id| format!("{id}.jsonl"));
        if let Some(name) = file.map(str::to_owned).or(own) {
            named.insert(name, key);
        }
    }
    let names = RealDisk.list(dir).unwrap_or_default();
    let mut files: Vec<(u128, u64, PathBuf)> = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".jsonl")) {
        let path = dir.join(name);
        let Ok(stat) = RealDisk.stat(&path) else { continue };
        if named.remove(name).is_none() && !is_found_again(&path, stat.len) {
            store.orphans.push(path.clone());
        }
        files.push((stat.modified_ns, stat.len, path));
    }
    // A session that was never written to has none yet.
    let written = |key: &&String| index.get(*key).is_some_and(|it| it.get("updatedAt").is_some());
    store.lost = named.into_values().filter(written).cloned().collect();
    files.sort_unstable_by(|a, b| b.cmp(a));
    for (_, len, path) in files {
        if len > *budget {
            continue;
        }
        *budget -= len;
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let (torn, damaged) = lines(&bytes);
        if torn && !running {
            store.torn.push(path.clone());
        }
        if damaged > 0 {
            store.damaged.push((path, damaged));
        }
    }
    store
}

/// A gateway finds a session again by the header of its transcript.
fn is_found_again(path: &Path, len: u64) -> bool {
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(8 * 1024);
    let head = RealDisk.read_at(path, 0, len).unwrap_or_default();
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let header: Value = serde_json::from_slice(line).unwrap_or_default();
    header["type"] == "session" && header["sessionKey"].is_string() && header["id"].is_string()
}

/// Whether the last line is cut short, and how many whole ones are no JSON.
fn lines(bytes: &[u8]) -> (bool, usize) {
    let torn = bytes.last().is_some_and(|byte| *byte != b'\n');
    let whole = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let is_json = |line: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
    let damaged = whole.filter(|line| line.len() > 1 && !is_json(line)).count();
    (torn, damaged)
}

fn judge(dir: &Path, store: &Store) -> Vec<Finding> {
    let mut all = Vec::new();
    let mut say = |severity, message: String, hint: &str| {
        let found = Finding::new(SESSIONS, severity, message).at(dir.display().to_string());
        all.push(found.hint(hint));
    };
    let names = |paths: Vec<String>| {
        let more = paths.len().saturating_sub(NAMED);
        let mut text = paths.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
        if more > 0 {
            text.push_str(&format!(" and {more} more"));
        }
        text
    };
    let files = |paths: &[PathBuf]| {
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().display().to_string();
        names(paths.iter().map(name).collect())
    };
    if !store.orphans.is_empty() {
        let message = format!("transcripts that no session names: {}", files(&store.orphans));
        say(Severity::Warning, message, "read them; what is not wanted can be moved away");
    }
    if !store.lost.is_empty() {
        let message = format!("sessions whose transcript is gone: {}", names(store.lost.clone()));
        say(Severity::Warning, message, "openclaw sessions list; they go on with an empty one");
    }
    if !store.torn.is_empty() {
        let message = format!("the last line is cut short in: {}", files(&store.torn));
        say(Severity::Info, message, "nothing to do: the next message begins on a new line");
    }
    if !store.damaged.is_empty() {
        let sum: usize = store.damaged.iter().map(|(_, lines)| lines).sum();
        let paths: Vec<PathBuf> = store.damaged.iter().map(|(path, _)| path.clone()).collect();
        let message = format!("{sum} damaged lines, each passed over, in: {}", files(&paths));
        say(Severity::Warning, message, "restore the file from a backup, or leave it");
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted() {
        assert_eq!(lines(b""), (false, 0));
        assert_eq!(lines(b"{\"a\":1}\n{\"b\":2}\n"), (false, 0));
        assert_eq!(lines(b"{\"a\":1}\n{\"b\":"), (true, 0));
        assert_eq!(lines(b"{\"a\":1\nnope\n\n{}\n"), (false, 2));
    }

    #[test]
    fn a_store_is_judged_by_what_it_names() {
        let dir = std::env::temp_dir().join(format!("openclaw-store-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let header = "{\"type\":\"session\",\"id\":\"known\"}\n";
        std::fs::write(dir.join("known.jsonl"), header).unwrap();
        std::fs::write(dir.join("stray.jsonl"), "not json\n{\"x\":").unwrap();
        let index = r#"{"agent:main:a":{"sessionId":"known","updatedAt":1},
            "agent:main:b":{"sessionId":"gone","updatedAt":1},
            "agent:main:c":{"sessionId":"new"}}"#;
        std::fs::write(dir.join("sessions.json"), index).unwrap();
        let store = read(&dir, &mut 1_000_000, false);
        assert_eq!(store.orphans, [dir.join("stray.jsonl")]);
        assert_eq!(store.lost, ["agent:main:b"]);
        assert_eq!(store.torn, [dir.join("stray.jsonl")]);
        assert_eq!(store.damaged, [(dir.join("stray.jsonl"), 1)]);
        assert_eq!(judge(&dir, &store).len(), 4);
        // A running gateway may be writing just now; and what there is no time for is taken as
        // whole.
        assert_eq!(read(&dir, &mut 1_000_000, true).torn, Vec::<PathBuf>::new());
        assert_eq!(read(&dir, &mut 3, false).damaged, []);
        assert_eq!(judge(&dir, &Store::default()), []);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
