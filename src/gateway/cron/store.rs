//! Jobs on the disk: `<state>/cron/jobs.json` (0600, replaced as a whole) and one run log a job,
//! `<state>/cron/runs/<id>.jsonl`.
//!
//! The form is that of the reference 2026.4.26: `{version: 1, jobs: [...]}`, each job with its
//! `state`. A job that cannot be understood here (another kind of schedule or payload) is kept
//! as it stands and written back; a file that is no JSON is put aside, never overwritten.

use super::job::Job;
use crate::limits;
use crate::store::Disk;
use crate::wire::hash::{hex, sha256};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// What a file held.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Jobs by id.
    pub jobs: BTreeMap<String, Job>,
    /// Those that are kept and not carried out, as they stood.
    pub foreign: Vec<Value>,
    /// What the operator should know.
    pub complaints: Vec<String>,
}

/// Reads the jobs.
///
/// # Errors
/// When the file is there and cannot be read: nothing may be written over it then.
pub fn load(disk: &mut dyn Disk, path: &Path, now_ms: u64) -> io::Result<Loaded> {
    let mut loaded = Loaded::default();
    let bytes = match disk.stat(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(loaded),
        Err(error) => return Err(error),
        Ok(stat) if stat.len > limits::CRON_STORE_BYTES => {
            let what = format!("it is larger than {} bytes", limits::CRON_STORE_BYTES);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        }
        Ok(_) => disk.read(path)?,
    };
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let jobs = match &value {
        Value::Object(object) => object.get("jobs").and_then(Value::as_array),
        Value::Array(jobs) => Some(jobs),
        _ => None,
    };
    let Some(jobs) = jobs else {
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".unreadable-{now_ms}"));
        disk.rename(path, Path::new(&aside))?;
        loaded.complaints.push(format!(
            "{} is no list of jobs; it was put aside as {}: mend it and move it back while the \
             gateway is stopped",
            path.display(),
            Path::new(&aside).display()
        ));
        return Ok(loaded);
    };
    for value in jobs {
        match read_job(value, now_ms) {
            Ok(job) if !job.id.is_empty() && loaded.jobs.len() < limits::CRON_JOBS => {
                loaded.jobs.insert(job.id.clone(), job);
            }
            other => {
                let why = match other {
                    Ok(job) if job.id.is_empty() => "it has no id".to_owned(),
                    Ok(_) => format!("there are more than {} jobs", limits::CRON_JOBS),
                    Err(why) => why,
                };
                let name = value.get("name").and_then(Value::as_str).unwrap_or("(no name)");
                loaded.complaints.push(format!(
                    "{}: job \"{name}\" is kept and does not run here: {why}",
                    path.display()
                ));
                loaded.foreign.push(value.clone());
            }
        }
    }
    Ok(loaded)
}

/// Which jobs of this file are kept and not carried out here, and why; none of a file that is no
/// list of jobs.
pub fn complaints(bytes: &[u8], now_ms: u64) -> Vec<String> {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let jobs = value.get("jobs").unwrap_or(&value).as_array();
    let complaint = |value: &Value| {
        let why = match read_job(value, now_ms) {
            Ok(job) if !job.id.is_empty() => return None,
            Ok(_) => "it has no id".to_owned(),
            Err(why) => why,
        };
        let name = value.get("name").and_then(Value::as_str).unwrap_or("(no name)");
        Some(format!("job \"{name}\" is kept and does not run here: {why}"))
    };
    jobs.into_iter().flatten().filter_map(complaint).collect()
}

/// A job that may run here: one whose limits we cannot keep does not.
fn read_job(value: &Value, now_ms: u64) -> Result<Job, String> {
    let job: Job = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let fields = value.as_object().ok_or("it is no object")?;
    super::check::defined("cron", &job.id, fields, now_ms).map_err(|error| error.message)?;
    Ok(job)
}

/// Writes the jobs.
///
/// # Errors
/// The disk's; the old file then still stands.
pub fn save(
    disk: &mut dyn Disk,
    path: &Path,
    jobs: &BTreeMap<String, Job>,
    foreign: &[Value],
) -> io::Result<()> {
    let jobs: Vec<Value> = jobs.values().map(Job::value).chain(foreign.iter().cloned()).collect();
    let mut text = serde_json::to_vec_pretty(&json!({"version": 1, "jobs": jobs}))
        .map_err(io::Error::other)?;
    text.push(b'\n');
    disk.replace(path, &text)
}

/// The run log of a job. Ids from elsewhere that make no file name are hashed.
pub fn log_path(dir: &Path, id: &str) -> PathBuf {
    let plain = id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let name = if plain && !id.is_empty() { id.to_owned() } else { hex(&sha256(id.as_bytes())) };
    dir.join(format!("{name}.jsonl"))
}

/// Bounds of a run log.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// `cron.runLog.maxBytes`: beyond it the log is cut.
    pub max_bytes: u64,
    /// `cron.runLog.keepLines`: what is left then.
    pub lines: usize,
}

/// Adds an entry.
///
/// # Errors
/// The disk's.
pub fn log(disk: &mut dyn Disk, path: &Path, entry: &Value, keep: Keep) -> io::Result<()> {
    let mut line = entry.to_string().into_bytes();
    line.push(b'\n');
    let len = disk.stat(path).map_or(0, |stat| stat.len);
    if len + line.len() as u64 <= keep.max_bytes {
        return disk.append(path, &line);
    }
    // Half of it at most, so that cutting stays rare.
    let half = usize::try_from(keep.max_bytes / 2).unwrap_or(usize::MAX);
    let old = tail(disk, path, half)?;
    let text = String::from_utf8_lossy(&old);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(keep.lines.saturating_sub(1));
    let mut text = String::new();
    for line in lines.get(from..).unwrap_or_default() {
        text.push_str(line);
        text.push('\n');
    }
    let mut bytes = text.into_bytes();
    bytes.extend(line);
    disk.replace(path, &bytes)
}

/// The last whole lines of a file, at most so many bytes.
fn tail(disk: &dyn Disk, path: &Path, max: usize) -> io::Result<Vec<u8>> {
    let len = match disk.stat(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?.len,
    };
    let from = len.saturating_sub(max as u64);
    let mut bytes = disk.read_at(path, from, max)?;
    if from > 0 {
        let cut = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        bytes.drain(..cut);
    }
    Ok(bytes)
}

/// Entries of a log, oldest first, of its last `max` bytes; lines that are none are left out.
///
/// # Errors
/// The disk's.
pub fn entries(disk: &dyn Disk, path: &Path, max: usize) -> io::Result<Vec<Value>> {
    let bytes = tail(disk, path, max)?;
    let lines = bytes.split(|byte| *byte == b'\n');
    Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::super::super::fuzz::Memory;
    use super::*;

    fn file() -> PathBuf {
        PathBuf::from("/s/cron/jobs.json")
    }

    #[test]
    fn jobs_come_back_and_strangers_stay() {
        let mut disk = Memory::default();
        let stranger = json!({"id": "w", "name": "watch",
            "schedule": {"kind": "on-exit", "command": "x"}});
        let ours = json!({"id": "j", "name": "n", "schedule": {"kind": "every", "everyMs": 5},
            "sessionTarget": "main", "wakeMode": "now",
            "payload": {"kind": "systemEvent", "text": "t"}});
        let text = json!({"version": 1, "jobs": [stranger, ours]}).to_string();
        disk.replace(&file(), text.as_bytes()).expect("memory");
        let loaded = load(&mut disk, &file(), 1).expect("read");
        assert_eq!((loaded.jobs.len(), loaded.foreign.len()), (1, 1));
        assert!(loaded.complaints[0].contains("\"watch\""), "{:?}", loaded.complaints);
        save(&mut disk, &file(), &loaded.jobs, &loaded.foreign).expect("memory");
        let again = load(&mut disk, &file(), 1).expect("read");
        assert_eq!((again.jobs, again.foreign), (loaded.jobs, loaded.foreign));
    }

    #[test]
    fn a_file_that_is_none_is_put_aside() {
        let mut disk = Memory::default();
        assert!(load(&mut disk, &file(), 1).expect("absent").jobs.is_empty());
        disk.replace(&file(), b"{\"version\":1,\"jobs\":[{").expect("memory");
        let loaded = load(&mut disk, &file(), 7).expect("put aside");
        assert!(loaded.complaints[0].contains("jobs.json.unreadable-7"), "{loaded:?}");
        assert!(disk.stat(&file()).is_err());
        let aside = disk.read(Path::new("/s/cron/jobs.json.unreadable-7")).expect("kept");
        assert!(aside.starts_with(b"{\"version\""));
        let huge = vec![b' '; usize::try_from(limits::CRON_STORE_BYTES).expect("small") + 1];
        disk.replace(&file(), &huge).expect("memory");
        assert!(load(&mut disk, &file(), 1).is_err(), "and it is not touched");
        assert!(disk.stat(&file()).is_ok());
    }

    #[test]
    fn the_log_is_bounded_by_bytes_and_lines() {
        let mut disk = Memory::default();
        let path = log_path(Path::new("/s/runs"), "j");
        let keep = Keep { max_bytes: 400, lines: 5 };
        for n in 0..100 {
            log(&mut disk, &path, &json!({"n": n, "pad": "x".repeat(20)}), keep).expect("memory");
            assert!(disk.stat(&path).expect("there").len <= 400);
        }
        let found = entries(&disk, &path, 10_000).expect("read");
        assert_eq!(found.last().expect("one")["n"], 99);
        let newest = entries(&disk, &path, 60).expect("read");
        assert_eq!(newest.len(), 1, "half a line is none: {newest:?}");
        assert!(entries(&disk, Path::new("/none"), 9).expect("absent").is_empty());
    }

    #[test]
    fn no_id_leaves_the_folder() {
        let dir = Path::new("/s/runs");
        assert_eq!(log_path(dir, "a-1"), dir.join("a-1.jsonl"));
        for id in ["", "../x", "a/b", "a.b", &"x".repeat(65)] {
            let path = log_path(dir, id);
            assert_eq!(path.parent(), Some(dir), "{id}");
            assert_eq!(path.file_name().expect("a name").len(), 64 + 6, "{id}");
        }
    }
}
