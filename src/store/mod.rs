//! Durable files: the only way state reaches the disk.
//!
//! Everything goes through the [`Disk`] trait: [`RealDisk`] in production, the simulator's in
//! tests. Files are 0600 and directories 0700 whatever the umask. `append` is one write(2):
//! enough to survive `kill -9`; `replace` writes beside, syncs and renames, so a reader sees
//! the old file or the new one; [`Disk::sync`] bounds what a power cut may cost.

pub mod copies;
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

/// What stands at a path; a link is told apart, not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link, wherever it points.
    Link,
    /// A pipe, socket or device: reading it may wait for ever.
    Other,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name; bytes that are not UTF-8 are shown as U+FFFD and cannot be opened.
    pub name: String,
    /// What it is itself.
    pub kind: Kind,
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
    /// Removes a file or a link, not what the link points to.
    ///
    /// # Errors
    /// The system's; a directory is one.
    fn remove(&mut self, path: &Path) -> io::Result<()>;

    // What follows serves tools in a workspace. The bodies here are those of a disk without
    // links, modes and empty directories, as the ones in memory are.

    /// What stands at a path itself.
    ///
    /// # Errors
    /// The system's.
    fn kind(&self, path: &Path) -> io::Result<Kind> {
        match self.stat(path) {
            Ok(_) => Ok(Kind::File),
            Err(error) => match self.list(path) {
                Ok(names) if !names.is_empty() => Ok(Kind::Dir),
                _ => Err(error),
            },
        }
    }
    /// The path with every link in it followed; it is then absolute and has no `..`.
    ///
    /// # Errors
    /// The system's; that nothing stands there is one.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.kind(path).map(|_| path.to_path_buf())
    }
    /// Entries of a directory sorted by name, at most `max`, and whether there are more.
    ///
    /// # Errors
    /// The system's.
    fn entries(&self, dir: &Path, max: usize) -> io::Result<(Vec<Entry>, bool)> {
        let names = self.list(dir)?;
        if names.is_empty() {
            self.kind(dir)?;
        }
        let more = names.len() > max;
        let entry = |name: String| {
            let kind = self.kind(&dir.join(&name)).ok()?;
            Some(Entry { name, kind })
        };
        Ok((names.into_iter().take(max).filter_map(entry).collect(), more))
    }
    /// Creates a directory and those above it, with the user's own mode (umask), as `mkdir -p`.
    ///
    /// # Errors
    /// The system's.
    fn create_dir(&mut self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
    /// Writes a file that belongs to the user, not to us: as a whole, beside and renamed, so that
    /// nothing ever reads half of it. An existing file keeps its mode, a new one gets what the
    /// umask leaves of 0666; parents are made. A link at `path` is replaced, never followed. Hard
    /// links part, as with most editors. It is not forced to the platter.
    ///
    /// # Errors
    /// The system's; the old file then still stands.
    fn write_file(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.replace(path, bytes)
    }
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

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        std::fs::symlink_metadata(path).map(|meta| kind_of(meta.file_type()))
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(path)
    }

    fn entries(&self, dir: &Path, max: usize) -> io::Result<(Vec<Entry>, bool)> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if found.len() == max {
                found.sort_unstable_by(|a: &Entry, b| a.name.cmp(&b.name));
                return Ok((found, true));
            }
            let kind = entry.file_type().map_or(Kind::Other, kind_of);
            found.push(Entry { name: entry.file_name().to_string_lossy().into_owned(), kind });
        }
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok((found, false))
    }

    fn create_dir(&mut self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn write_file(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        use std::io::Write;
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let mode = std::fs::symlink_metadata(path)
            .ok()
            .filter(std::fs::Metadata::is_file)
            .map(|meta| meta.permissions());
        if mode.as_ref().is_some_and(std::fs::Permissions::readonly) {
            // A rename would get around the mode that says no.
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let beside = temporary(path);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        let mut file = match options.open(&beside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                std::fs::remove_file(&beside)?;
                options.open(&beside)?
            }
            other => other?,
        };
        // The mode first: what is private stays so while it is written.
        let written = mode
            .map_or(Ok(()), |mode| file.set_permissions(mode))
            .and_then(|()| file.write_all(bytes));
        drop(file);
        if let Err(error) = written.and_then(|()| std::fs::rename(&beside, path)) {
            let _ = std::fs::remove_file(&beside);
            return Err(error);
        }
        Ok(())
    }
}

fn kind_of(kind: std::fs::FileType) -> Kind {
    if kind.is_file() {
        Kind::File
    } else if kind.is_dir() {
        Kind::Dir
    } else if kind.is_symlink() {
        Kind::Link
    } else {
        Kind::Other
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

    #[cfg(unix)]
    #[test]
    fn a_users_file_keeps_its_mode_and_a_link_is_not_followed() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let scratch = Scratch::new("user");
        let mut disk = RealDisk;
        let (file, fresh) = (scratch.0.join("run.sh"), scratch.0.join("a/b/new"));
        disk.write_file(&fresh, b"n").unwrap();
        std::fs::write(&file, b"old").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o751)).unwrap();
        disk.write_file(&file, b"new").unwrap();
        assert_eq!((disk.read(&file).unwrap(), mode(&file)), (b"new".to_vec(), 0o751));
        let plain = scratch.0.join("plain");
        std::fs::write(&plain, b"").unwrap();
        assert_eq!(mode(&fresh), mode(&plain), "what the umask leaves");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o444)).unwrap();
        assert!(disk.write_file(&file, b"no").is_err(), "read-only");

        let link = scratch.0.join("link");
        symlink(&plain, &link).unwrap();
        assert_eq!(disk.kind(&link).unwrap(), Kind::Link);
        assert_eq!(disk.canonical(&link).unwrap(), disk.canonical(&plain).unwrap());
        disk.write_file(&link, b"replaced").unwrap();
        assert_eq!(disk.kind(&link).unwrap(), Kind::File);
        assert_eq!(disk.read(&plain).unwrap(), b"");
        symlink(scratch.0.join("a"), scratch.0.join("to-a")).unwrap();
        let (entries, more) = disk.entries(&scratch.0, 100).unwrap();
        let shown: Vec<_> = entries.iter().map(|e| (e.name.as_str(), e.kind)).collect();
        let want = [
            ("a", Kind::Dir),
            ("link", Kind::File),
            ("plain", Kind::File),
            ("run.sh", Kind::File),
            ("to-a", Kind::Link),
        ];
        assert_eq!((shown, more), (want.to_vec(), false));
        assert!(disk.entries(&scratch.0, 2).unwrap().1, "more than it may show");
        disk.remove(&scratch.0.join("to-a")).unwrap();
        assert!(disk.kind(&scratch.0.join("a")).is_ok(), "the link went, not its target");
        assert!(disk.remove(&scratch.0.join("a")).is_err(), "a directory stays");
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
