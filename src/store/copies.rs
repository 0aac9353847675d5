//! Copies beside the configuration file, all 0600 and bounded in number.
//!
//! | name | what it is | how many |
//! |---|---|---|
//! | `openclaw.json.bak`, `.bak.1` ... `.bak.4` | what stood there before our last writes | 5 |
//! | `openclaw.json.rejected.<ms>` | what somebody sent and we did not write | 5 |
//! | `openclaw.json.clobbered.<ms>` | a damaged file that an explicit repair replaced | 32 |
//! | `openclaw.json.last-good` | the last file that a gateway ran with | 1 |
//!
//! Names and numbers are the reference's. Nothing here reads a copy back by itself: only
//! `openclaw doctor --fix` and `openclaw gateway --last-known-good` do, when asked.

use super::Disk;
use crate::limits;
use std::io;
use std::path::{Path, PathBuf};

/// Which kind of copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// What a write replaces.
    Backup,
    /// What was not written.
    Rejected,
    /// A damaged file that a repair replaces.
    Clobbered,
    /// What a gateway runs with.
    LastGood,
}

/// Where the last file that a gateway ran with is kept.
pub fn last_good(path: &Path) -> PathBuf {
    beside(path, ".last-good")
}

impl Kept {
    /// Keeps `bytes` beside `path`; older copies go when there are too many.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep(
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
            Self::Rejected => dated(disk, path, "rejected", limits::CONFIG_REJECTED, at_ms),
            Self::Clobbered => dated(disk, path, "clobbered", limits::CONFIG_CLOBBERED, at_ms),
            Self::LastGood => last_good(path),
        };
        disk.replace(&copy, bytes)?;
        Ok(copy)
    }
}

/// The name of one more copy of a kind; the oldest goes when there are too many.
fn dated(disk: &mut dyn Disk, path: &Path, kind: &str, most: usize, at_ms: u64) -> PathBuf {
    let new = beside(path, &format!(".{kind}.{at_ms}"));
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|it| it.to_str()))
    else {
        return new;
    };
    let start = format!("{name}.{kind}.");
    let Ok(names) = disk.list(dir) else { return new };
    // Times have as many digits, so the oldest comes first.
    let old: Vec<&String> = names.iter().filter(|name| name.starts_with(&start)).collect();
    let surplus = (old.len() + 1).saturating_sub(most);
    for name in old.into_iter().take(surplus) {
        // One that stays is only one too many.
        let _ = disk.remove(&dir.join(name));
    }
    new
}

fn beside(path: &Path, tail: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(tail);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A disk in memory: a map of files.
    #[derive(Default)]
    struct Memory(BTreeMap<PathBuf, Vec<u8>>);

    impl Disk for Memory {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
        }
        fn read_at(&self, _: &Path, _: u64, _: usize) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn stat(&self, _: &Path) -> io::Result<super::super::Stat> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn append(&mut self, _: &Path, _: &[u8]) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
            self.0.insert(path.to_owned(), bytes.to_vec());
            Ok(())
        }
        fn sync(&mut self, _: &Path) -> io::Result<()> {
            Ok(())
        }
        fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
            let bytes = self.0.remove(from).ok_or(io::ErrorKind::NotFound)?;
            self.0.insert(to.to_owned(), bytes);
            Ok(())
        }
        fn list(&self, _: &Path) -> io::Result<Vec<String>> {
            let name =
                |path: &PathBuf| path.file_name().map(|it| it.to_string_lossy().into_owned());
            Ok(self.0.keys().filter_map(name).collect())
        }
        fn remove(&mut self, path: &Path) -> io::Result<()> {
            self.0.remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    #[test]
    fn copies_are_bounded() {
        let mut disk = Memory::default();
        let path = Path::new("/c/openclaw.json");
        for n in 0..40_u8 {
            Kept::Backup.keep(&mut disk, path, &[n], 0).unwrap();
            for kind in [Kept::Rejected, Kept::Clobbered, Kept::LastGood] {
                kind.keep(&mut disk, path, &[n], 1_000 + u64::from(n)).unwrap();
            }
        }
        let names = disk.list(Path::new("/c")).unwrap();
        let count = |part: &str| names.iter().filter(|name| name.contains(part)).count();
        assert_eq!(count(".bak"), limits::CONFIG_BACKUPS, "{names:?}");
        assert_eq!(count(".rejected."), limits::CONFIG_REJECTED, "{names:?}");
        assert_eq!(count(".clobbered."), limits::CONFIG_CLOBBERED, "{names:?}");
        assert_eq!(count(".last-good"), 1, "{names:?}");
        assert_eq!(disk.read(&last_good(path)).unwrap(), [39]);
        assert_eq!(disk.read(Path::new("/c/openclaw.json.bak")).unwrap(), [39]);
        assert_eq!(disk.read(Path::new("/c/openclaw.json.bak.4")).unwrap(), [35]);
        assert!(disk.read(Path::new("/c/openclaw.json.rejected.1039")).is_ok());
    }
}
