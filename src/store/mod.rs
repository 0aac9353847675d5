//! Durable files: the only way state reaches the disk.
//!
//! Everything goes through the [`Disk`] trait: [`RealDisk`] in production, the simulator's in
//! tests. Files are 0600 and directories 0700 whatever the umask. `append` is one write(2):
//! enough to survive `kill -9`; `replace` writes beside, syncs and renames, so a reader sees
//! the old file or the new one; [`Disk::sync`] bounds what a power cut may cost.

pub mod journal;
pub mod lock;

use std::io;
use std::path::{Path, PathBuf};

/// What polling compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Size in bytes.
    pub len: u64,
    /// Modification time, nanoseconds since the epoch.
    pub modified_ns: u128,
    /// File number; an editor's rename changes it.
    pub inode: u64,
}

/// A disk. All paths are absolute.
pub trait Disk {
    /// The whole file.
    ///
    /// # Errors
    /// The system's.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// At most `len` bytes from `offset`; fewer at the end of the file.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>>;
    /// Size, time and number of a file.
    ///
    /// # Errors
    /// The system's.
    fn stat(&self, path: &Path) -> io::Result<Stat>;
    /// Adds bytes at the end by one write; creates the file and its directories.
    ///
    /// # Errors
    /// The system's; a short write is an error, and what was written is then cut off again.
    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Replaces the file by these bytes as a whole, durably.
    ///
    /// # Errors
    /// The system's; the old file then still stands.
    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Forces what was appended to the platter.
    ///
    /// # Errors
    /// The system's.
    fn sync(&mut self, path: &Path) -> io::Result<()>;
    /// Moves a file within one directory tree.
    ///
    /// # Errors
    /// The system's.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Names in a directory, sorted; empty when it does not exist.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
}

/// The system's disk.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = std::fs::File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(len as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let meta = std::fs::metadata(path)?;
        let modified_ns =
            meta.modified()?.duration_since(std::time::UNIX_EPOCH).map_or(0, |age| age.as_nanos());
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&meta);
        #[cfg(not(unix))]
        let inode = 0;
        Ok(Stat { len: meta.len(), modified_ns, inode })
    }

    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        use std::io::Write;
        let mut options = std::fs::OpenOptions::new();
        options.append(true).create(true);
        private(&mut options);
        let mut file = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_parents(path)?;
                options.open(path)?
            }
            other => other?,
        };
        let before = file.metadata()?.len();
        let wrote = file.write(bytes);
        if matches!(&wrote, Ok(n) if *n == bytes.len()) {
            return Ok(());
        }
        // Half a record must not stand before the next one.
        let _ = file.set_len(before);
        match wrote {
            Ok(_) => Err(io::ErrorKind::WriteZero.into()),
            Err(error) => Err(error),
        }
    }

    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        use std::io::Write;
        let beside = temporary(path);
        let mut options = std::fs::OpenOptions::new();
        // Never through what somebody else put there: a link, or a file with a wider mode.
        options.write(true).create_new(true);
        private(&mut options);
        let mut file = match options.open(&beside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                std::fs::remove_file(&beside)?;
                options.open(&beside)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_parents(path)?;
                options.open(&beside)?
            }
            other => other?,
        };
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        drop(file);
        if let Err(error) = written.and_then(|()| std::fs::rename(&beside, path)) {
            let _ = std::fs::remove_file(&beside);
            return Err(error);
        }
        if let Some(dir) = path.parent() {
            // The rename itself is durable once the directory is.
            let _ = std::fs::File::open(dir).and_then(|dir| dir.sync_all());
        }
        Ok(())
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        std::fs::File::open(path)?.sync_data()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = match std::fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
            Ok(entries) => {
                entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
            }
        };
        names.sort_unstable();
        Ok(names)
    }
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

#[cfg(unix)]
fn private(options: &mut std::fs::OpenOptions) {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
}

#[cfg(not(unix))]
fn private(_: &mut std::fs::OpenOptions) {}

/// Creates the directories above a file, ours to ourselves.
///
/// # Errors
/// The system's.
pub fn make_parents(path: &Path) -> io::Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of this test's own, removed at the end.
    pub(super) struct Scratch(pub(super) PathBuf);

    impl Scratch {
        pub(super) fn new(name: &str) -> Self {
            let dir =
                std::env::temp_dir().join(format!("openclaw-store-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&dir);
            Self(dir)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_lies_where_a_file_is_prepared_is_not_followed() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new("planted");
        std::fs::create_dir_all(&scratch.0).unwrap();
        let (file, other) = (scratch.0.join("a.json"), scratch.0.join("other"));
        std::fs::write(&other, b"kept").unwrap();
        std::os::unix::fs::symlink(&other, temporary(&file)).unwrap();
        RealDisk.replace(&file, b"new").unwrap();
        assert_eq!(std::fs::read(&other).unwrap(), b"kept");
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        let mode = std::fs::symlink_metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn files_and_directories_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new("modes");
        let mut disk = RealDisk;
        let (a, b) = (scratch.0.join("x/y/a.jsonl"), scratch.0.join("x/b.json"));
        disk.append(&a, b"1\n").unwrap();
        disk.append(&a, b"2\n").unwrap();
        disk.replace(&b, b"{}").unwrap();
        assert_eq!(disk.read(&a).unwrap(), b"1\n2\n");
        assert_eq!(disk.read_at(&a, 2, 10).unwrap(), b"2\n");
        for (path, want) in [(&a, 0o600), (&b, 0o600), (&scratch.0.join("x/y"), 0o700)] {
            let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, want, "{}", path.display());
        }
        assert_eq!(disk.list(&scratch.0.join("x")).unwrap(), ["b.json", "y"]);
        assert!(disk.list(&scratch.0.join("nothing")).unwrap().is_empty());
    }

    #[test]
    fn a_replaced_file_has_another_number() {
        let scratch = Scratch::new("inode");
        let mut disk = RealDisk;
        let path = scratch.0.join("f");
        disk.replace(&path, b"a").unwrap();
        let first = disk.stat(&path).unwrap();
        disk.replace(&path, b"b").unwrap();
        assert_ne!(disk.stat(&path).unwrap().inode, first.inode);
    }
}
