//! A disk in memory that fills up, survives `kill -9` and loses what a power cut loses.

use super::peers::provider::ONCE;
use super::rng::Rng;
use crate::store::{Disk, Stat};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

#[derive(Debug, Clone, Default)]
struct File {
    bytes: Vec<u8>,
    /// Bytes that a power cut cannot take.
    synced: usize,
    changed: u64,
    inode: u64,
}

#[derive(Debug, Default)]
struct Files {
    files: BTreeMap<PathBuf, File>,
    inodes: u64,
    /// Write operations so far; they are the disk's clock.
    writes: u64,
    full: Range<u64>,
    refused: u64,
    /// How often tools opened or wrote each file that only one call names.
    touched: RefCell<BTreeMap<PathBuf, u32>>,
}

/// A handle; clones see the same files, so that a scenario can look at what a gateway wrote and
/// a restarted gateway finds it.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(Rc<RefCell<Files>>);

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Write operations numbered in `range` find the disk full.
    pub fn full_during(&self, range: Range<u64>) {
        self.0.borrow_mut().full = range;
    }

    /// How many writes were asked for, and how many of them refused.
    pub fn writes(&self) -> (u64, u64) {
        let files = self.0.borrow();
        (files.writes, files.refused)
    }

    /// The disk after the process was killed: another handle to the same bytes, and the room
    /// that was short is back.
    pub fn crash(&self) -> Self {
        self.0.borrow_mut().full = 0..0;
        self.clone()
    }

    /// The disk after the power failed: of every file, some of what was not synced is lost.
    pub fn power_cut(&self, rng: &mut Rng) -> Self {
        let mut files = self.0.borrow_mut();
        files.full = 0..0;
        for file in files.files.values_mut() {
            let keep = rng.size(file.synced, file.bytes.len());
            file.bytes.truncate(keep);
        }
        drop(files);
        self.clone()
    }

    /// A file that a gateway could not read and set aside.
    pub fn damaged(&self) -> Option<PathBuf> {
        let files = self.0.borrow();
        let aside = |path: &&PathBuf| path.to_string_lossy().contains(".damaged");
        files.files.keys().find(aside).cloned()
    }

    /// True when any file holds these bytes.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let files = self.0.borrow();
        // The newest bytes are at the ends, and a match has a first byte worth looking for.
        files.files.values().any(|file| {
            file.bytes.len() >= bytes.len()
                && file.bytes.windows(bytes.len()).rev().any(|window| window == bytes)
        })
    }

    /// A file that one tool call alone names, and that was opened or written twice.
    pub fn twice(&self) -> Option<String> {
        let files = self.0.borrow();
        let touched = files.touched.borrow();
        let (path, times) = touched.iter().find(|(_, times)| **times > 1)?;
        Some(format!("one call's file {} was touched {times} times", path.display()))
    }

    fn touch(&self, path: &Path) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(ONCE) {
            let files = self.0.borrow();
            *files.touched.borrow_mut().entry(path.to_owned()).or_default() += 1;
        }
    }

    fn write(&self, path: &Path, change: impl FnOnce(&mut File)) -> io::Result<()> {
        let mut files = self.0.borrow_mut();
        files.writes += 1;
        let (writes, next) = (files.writes, files.inodes + 1);
        if files.full.contains(&writes) {
            files.refused += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = files.files.entry(path.to_owned()).or_default();
        if file.inode == 0 {
            file.inode = next;
        }
        change(file);
        file.changed = writes;
        files.inodes = next;
        Ok(())
    }
}

impl Disk for SimDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read_at(path, 0, usize::MAX)
    }

    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let files = self.0.borrow();
        let file = files.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(file.bytes.len());
        let to = from.saturating_add(len).min(file.bytes.len());
        Ok(file.bytes[from..to].to_vec())
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let files = self.0.borrow();
        let file = files.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        let modified_ns = u128::from(file.changed) * 1_000_000;
        Ok(Stat { len: file.bytes.len() as u64, modified_ns, inode: file.inode })
    }

    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write(path, |file| file.bytes.extend_from_slice(bytes))
    }

    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let inode = self.0.borrow().inodes + 1;
        self.write(path, |file| {
            file.bytes = bytes.to_vec();
            file.synced = bytes.len();
            file.inode = inode;
        })
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        let mut files = self.0.borrow_mut();
        let file = files.files.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
        file.synced = file.bytes.len();
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.0.borrow_mut();
        let file = files.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let files = self.0.borrow();
        let mut names: Vec<String> = files
            .files
            .keys()
            .filter_map(|path| path.strip_prefix(dir).ok()?.iter().next()?.to_str())
            .map(str::to_owned)
            .collect();
        names.dedup();
        Ok(names)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.touch(path);
        self.kind(path).map(|_| path.to_path_buf())
    }

    fn write_file(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.touch(path);
        self.replace(path, bytes)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let removed = self.0.borrow_mut().files.remove(path);
        removed.map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_keeps_and_a_power_cut_takes() {
        let mut disk = SimDisk::new();
        let (a, b) = (Path::new("/s/x/a"), Path::new("/s/b"));
        disk.append(a, b"one\n").unwrap();
        disk.sync(a).unwrap();
        disk.append(a, b"two\n").unwrap();
        disk.replace(b, b"whole").unwrap();
        assert_eq!(disk.crash().read(a).unwrap(), b"one\ntwo\n");
        assert_eq!(disk.list(Path::new("/s")).unwrap(), ["b", "x"]);
        assert_eq!(disk.read_at(a, 4, 3).unwrap(), b"two");
        assert!(disk.holds(b"\ntwo") && !disk.holds(b"three"));
        let after = disk.power_cut(&mut Rng::new(1));
        assert!(after.read(a).unwrap().starts_with(b"one\n"));
        assert_eq!(after.read(b).unwrap(), b"whole");
        disk.rename(a, Path::new("/s/c")).unwrap();
        assert!(disk.stat(a).is_err());
        assert_eq!(disk.kind(Path::new("/s")).unwrap(), crate::store::Kind::Dir);
        disk.remove(Path::new("/s/c")).unwrap();
        assert!(disk.kind(Path::new("/s/c")).is_err());
    }

    #[test]
    fn a_full_disk_refuses_and_keeps_what_it_has() {
        let mut disk = SimDisk::new();
        let path = Path::new("/f");
        disk.append(path, b"1").unwrap();
        disk.full_during(2..4);
        assert_eq!(disk.append(path, b"2").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(disk.replace(path, b"3").is_err());
        disk.append(path, b"4").unwrap();
        assert_eq!(disk.read(path).unwrap(), b"14");
        assert_eq!(disk.writes(), (4, 2));
    }
}
