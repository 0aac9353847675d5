//! The documents of the state directory: devices, nodes, jobs, the index of sessions, journals.
//!
//! Nobody knows better than a gateway what it can read, so one is made of them as at a start,
//! over a disk that writes nothing. What it would have kept aside as damaged is what is found.
//! `--fix` does the same over the real disk, while it holds the state directory.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::super::entropy::SystemEntropy;
use super::super::{interfaces, place};
use super::finding::{Finding, Repair, Severity};
use super::here::Here;
use crate::auth::Credentials;
use crate::config::AuthMode;
use crate::driver::{Now, Time};
use crate::gateway::{Gateway, Host, Setup};
use crate::store::{Disk, Entry, Kind, RealDisk, Stat};

const DOCUMENTS: &str = "core/doctor/state-documents";

/// `core/doctor/state-documents`.
pub fn check(here: &Here<'_>) -> Vec<Finding> {
    if !here.paths.state_dir.is_dir() {
        return Vec::new();
    }
    let kept = Rc::new(RefCell::new(Vec::new()));
    let read = read(here, Box::new(LookOnly(kept.clone())));
    let damaged = kept.take();
    judge(&damaged, read.err().as_ref(), here)
}

/// Reads them as a start does; what is damaged is kept aside, what can be read of it is kept.
///
/// # Errors
/// What would stop a start.
pub fn mend(here: &Here<'_>) -> io::Result<()> {
    read(here, Box::new(RealDisk))
}

fn read(here: &Here<'_>, disk: Box<dyn Disk>) -> io::Result<()> {
    let setup = Setup {
        config: here.config.clone(),
        credentials: Credentials::new(AuthMode::Token, None, None),
        reload: None,
        resolved: here.resolved.clone(),
        host: Host {
            name: place::host_name(),
            address: None,
            platform: std::env::consts::OS,
            pid: std::process::id(),
            port: 0,
            listening: Vec::new(),
            interfaces: interfaces::read,
            vitals: || None,
        },
        state_dir: here.paths.state_dir.clone(),
        log_path: place::log_path(&here.paths, &here.config),
        disk,
        entropy: Box::new(SystemEntropy),
    };
    Gateway::new(setup, Now { time: Time(1), wall_ms: here.now_ms }).map(drop)
}

fn judge(damaged: &[PathBuf], stopped: Option<&io::Error>, here: &Here<'_>) -> Vec<Finding> {
    let mut all = Vec::new();
    if let Some(error) = stopped {
        let message = format!("a gateway could not start: {error}");
        let found = Finding::new(DOCUMENTS, Severity::Error, message);
        all.push(found.hint("mend or move the file away, then: openclaw doctor"));
    }
    let hint = match here.holder {
        Some(pid) => format!("{} (pid {pid}) first, then: ", here.command("gateway stop")),
        None => String::new(),
    };
    for path in damaged {
        let message = "it is damaged: what can be read of it is used, the rest is kept beside it.";
        let found = Finding::new(DOCUMENTS, Severity::Warning, message);
        let found = found.at(path.display().to_string());
        all.push(
            found.hint(format!("{hint}{}", here.command("doctor --fix"))).repair(Repair::Documents),
        );
    }
    all
}

/// The document that a copy was made of: its name without what marks the copy.
fn original(copy: &Path) -> Option<PathBuf> {
    let name = copy.file_name()?.to_str()?;
    let at = [".damaged", ".unreadable"].iter().filter_map(|mark| name.find(mark)).min()?;
    Some(copy.with_file_name(&name[..at]))
}

/// The real disk for whoever reads; what would be written is only noted, if it is a copy of
/// something damaged.
struct LookOnly(Rc<RefCell<Vec<PathBuf>>>);

impl LookOnly {
    fn note(&self, path: &Path) {
        let mut seen = self.0.borrow_mut();
        if let Some(path) = original(path).filter(|path| !seen.contains(path)) {
            seen.push(path);
        }
    }
}

impl Disk for LookOnly {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealDisk.read(path)
    }
    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        RealDisk.read_at(path, offset, len)
    }
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        RealDisk.stat(path)
    }
    fn append(&mut self, path: &Path, _: &[u8]) -> io::Result<()> {
        self.note(path);
        Ok(())
    }
    fn replace(&mut self, path: &Path, _: &[u8]) -> io::Result<()> {
        self.note(path);
        Ok(())
    }
    fn sync(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn rename(&mut self, _: &Path, to: &Path) -> io::Result<()> {
        self.note(to);
        Ok(())
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }
    fn remove(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn kind(&self, path: &Path) -> io::Result<Kind> {
        RealDisk.kind(path)
    }
    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        RealDisk.canonical(path)
    }
    fn entries(&self, dir: &Path, max: usize) -> io::Result<(Vec<Entry>, bool)> {
        RealDisk.entries(dir, max)
    }
    fn write_file(&mut self, _: &Path, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_tells_what_it_is_of() {
        for (copy, want) in [
            ("/s/devices/paired.json.damaged-17", Some("/s/devices/paired.json")),
            ("/s/sessions.json.damaged", Some("/s/sessions.json")),
            ("/s/cron/jobs.json.unreadable-17", Some("/s/cron/jobs.json")),
            ("/s/inbound.damaged", Some("/s/inbound")),
            ("/s/sessions.json", None),
        ] {
            assert_eq!(original(Path::new(copy)), want.map(PathBuf::from), "{copy}");
        }
    }

    #[test]
    fn a_look_writes_nothing() {
        let dir = std::env::temp_dir().join(format!("openclaw-look-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("a.json");
        std::fs::write(&file, "{").unwrap();
        let seen = Rc::new(RefCell::new(Vec::new()));
        let mut disk = LookOnly(seen.clone());
        disk.rename(&file, &dir.join("a.json.damaged-1")).unwrap();
        disk.replace(&file, b"{}").unwrap();
        disk.append(&dir.join("b.jsonl"), b"x").unwrap();
        disk.write_file(&dir.join("c"), b"x").unwrap();
        disk.remove(&file).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"{");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        assert_eq!(seen.take(), [file]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
