//! Copies beside the configuration file, and how often it may be written.
//!
//! `openclaw.json.bak` is what stood there before the last write of ours, `.bak.1` to `.bak.4`
//! before those; `openclaw.json.rejected.<ms>` is what somebody sent and we did not write. All
//! are 0600.

use crate::driver::Time;
use crate::limits;
use crate::store::Disk;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Which kind of copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Kept {
    /// What a write replaces.
    Backup,
    /// What was not written.
    Rejected,
}

impl Kept {
    /// Keeps `bytes` beside `path`; older copies go when there are too many.
    ///
    /// # Errors
    /// The disk's.
    pub(in crate::gateway) fn keep(
        self,
        disk: &mut dyn Disk,
        path: &Path,
        bytes: &[u8],
        at_ms: u64,
    ) -> io::Result<PathBuf> {
        let copy = match self {
            Self::Backup => {
                let number = |at: usize| match at {
                    0 => beside(path, ".bak"),
                    at => beside(path, &format!(".bak.{at}")),
                };
                for at in (1..limits::CONFIG_BACKUPS).rev() {
                    match disk.rename(&number(at - 1), &number(at)) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                        _ => {}
                    }
                }
                number(0)
            }
            Self::Rejected => {
                forget_old(disk, path);
                beside(path, &format!(".rejected.{at_ms}"))
            }
        };
        disk.replace(&copy, bytes)?;
        Ok(copy)
    }
}

/// Makes room for one more rejected text.
fn forget_old(disk: &mut dyn Disk, path: &Path) {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|it| it.to_str()))
    else {
        return;
    };
    let start = format!("{name}.rejected.");
    let Ok(names) = disk.list(dir) else { return };
    // Times have as many digits, so the oldest comes first.
    let old: Vec<&String> = names.iter().filter(|name| name.starts_with(&start)).collect();
    let surplus = (old.len() + 1).saturating_sub(limits::CONFIG_REJECTED);
    for name in old.into_iter().take(surplus) {
        // One that stays is only one too many.
        let _ = disk.remove(&dir.join(name));
    }
}

fn beside(path: &Path, tail: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(tail);
    PathBuf::from(name)
}

/// Writes by method and caller.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Writes {
    by: BTreeMap<(&'static str, String), (Time, u32)>,
}

impl Writes {
    /// Counts one; how long to wait when that is too many.
    pub(in crate::gateway) fn count(
        &mut self,
        method: &'static str,
        who: String,
        now: Time,
    ) -> Option<u64> {
        let window = limits::CONFIG_WRITES_MS;
        self.by.retain(|_, (since, _)| now.ms_since(*since) < window);
        let key = (method, who);
        if !self.by.contains_key(&key) && self.by.len() >= limits::CONFIG_WRITERS {
            return Some(window);
        }
        let (since, count) = self.by.entry(key).or_insert((now, 0));
        if *count >= limits::CONFIG_WRITES {
            return Some(window - now.ms_since(*since));
        }
        *count += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fuzz::Memory;
    use super::*;

    #[test]
    fn copies_are_a_ring() {
        let mut disk = Memory::default();
        let path = Path::new("/c/openclaw.json");
        for n in 0..8_u8 {
            Kept::Backup.keep(&mut disk, path, &[n], 0).unwrap();
            Kept::Rejected.keep(&mut disk, path, &[n], 1_000 + u64::from(n)).unwrap();
        }
        let names = disk.list(Path::new("/c")).unwrap();
        let count = |part: &str| names.iter().filter(|name| name.contains(part)).count();
        assert_eq!(count(".bak"), limits::CONFIG_BACKUPS, "{names:?}");
        assert_eq!(count(".rejected."), limits::CONFIG_REJECTED, "{names:?}");
        assert_eq!(disk.read(Path::new("/c/openclaw.json.bak")).unwrap(), [7]);
        assert_eq!(disk.read(Path::new("/c/openclaw.json.bak.4")).unwrap(), [3]);
        assert!(disk.read(Path::new("/c/openclaw.json.rejected.1007")).is_ok());
    }

    #[test]
    fn writes_are_counted_by_method_and_caller() {
        let mut writes = Writes::default();
        let mut at = Time(0);
        for _ in 0..limits::CONFIG_WRITES {
            assert_eq!(writes.count("config.set", "a".to_owned(), at), None);
        }
        at = at.after_ms(1_000);
        let window = limits::CONFIG_WRITES_MS;
        assert_eq!(writes.count("config.set", "a".to_owned(), at), Some(window - 1_000));
        assert_eq!(writes.count("config.patch", "a".to_owned(), at), None);
        assert_eq!(writes.count("config.set", "b".to_owned(), at), None);
        for n in 0..limits::CONFIG_WRITERS {
            writes.count("config.set", format!("n{n}"), at);
        }
        assert!(writes.by.len() <= limits::CONFIG_WRITERS);
        assert_eq!(writes.count("config.set", "late".to_owned(), at), Some(window));
        assert_eq!(writes.count("config.set", "a".to_owned(), at.after_ms(window)), None);
    }
}
