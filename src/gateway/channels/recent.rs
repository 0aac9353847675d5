//! Ids that were seen lately, also in an earlier life: one line an id, the oldest forgotten.

use crate::limits;
use crate::store::Disk;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;

/// A set of the last [`limits::CHANNEL_RECENT`] ids.
pub(super) struct Recent {
    path: PathBuf,
    ids: BTreeSet<String>,
    order: VecDeque<String>,
    lines: usize,
    /// Lines that a power cut may still take.
    unsynced: bool,
}

impl Recent {
    /// Reads the file; a torn last line is no id.
    ///
    /// # Errors
    /// When it exists and cannot be read.
    pub(super) fn open(disk: &mut dyn Disk, path: PathBuf) -> io::Result<Self> {
        let bytes = match disk.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
            }
        };
        let (ids, order) = (BTreeSet::new(), VecDeque::new());
        let mut recent = Self { path, ids, order, lines: 0, unsynced: false };
        let text = String::from_utf8_lossy(&bytes);
        let mut torn = false;
        for line in text.split_inclusive('\n') {
            match line.strip_suffix('\n') {
                Some(id) if !id.is_empty() => recent.keep(id),
                _ => torn = true,
            }
            recent.lines += 1;
        }
        // Nobody knows whether the life before came to it.
        recent.unsynced = recent.lines > 0;
        if torn {
            recent.rewrite(disk)?;
        }
        Ok(recent)
    }

    /// Whether it was seen.
    pub(super) fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Those that begin so.
    pub(super) fn beginning(&self, prefix: &str) -> impl Iterator<Item = &str> {
        let from = self.ids.range(prefix.to_owned()..).map(String::as_str);
        from.take_while(move |id| id.starts_with(prefix))
    }

    /// Remembers an id; the file first.
    ///
    /// # Errors
    /// When the disk refuses; then it is not remembered.
    pub(super) fn insert(&mut self, disk: &mut dyn Disk, id: &str) -> io::Result<()> {
        if self.has(id) {
            return Ok(());
        }
        self.unsynced = true;
        disk.append(&self.path, format!("{id}\n").as_bytes())?;
        self.lines += 1;
        self.keep(id);
        if self.lines > 2 * limits::CHANNEL_RECENT {
            self.rewrite(disk)?;
        }
        Ok(())
    }

    /// Whether a power cut could take something.
    pub(super) fn is_dirty(&self) -> bool {
        self.unsynced
    }

    /// Forces what was written to the platter.
    ///
    /// # Errors
    /// When the disk refuses; then it is still dirty.
    pub(super) fn sync(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        if self.unsynced {
            match disk.sync(&self.path) {
                // Nothing could be written so far.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
            self.unsynced = false;
        }
        Ok(())
    }

    fn keep(&mut self, id: &str) {
        if self.ids.insert(id.to_owned()) {
            self.order.push_back(id.to_owned());
        }
        while self.order.len() > limits::CHANNEL_RECENT {
            if let Some(old) = self.order.pop_front() {
                self.ids.remove(&old);
            }
        }
    }

    fn rewrite(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        let mut all = String::new();
        for id in &self.order {
            all.push_str(id);
            all.push('\n');
        }
        self.lines = self.order.len();
        disk.replace(&self.path, all.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fuzz::Memory;
    use super::*;

    #[test]
    fn ids_survive_a_restart_and_the_oldest_go() {
        let mut disk = Memory::default();
        let path = PathBuf::from("/state/journal/seen.txt");
        let mut recent = Recent::open(&mut disk, path.clone()).expect("new");
        for n in 0..2 * limits::CHANNEL_RECENT + 2 {
            recent.insert(&mut disk, &n.to_string()).expect("memory");
        }
        let last = (2 * limits::CHANNEL_RECENT + 1).to_string();
        assert!(!recent.has("0") && recent.has(&last));
        disk.append(&path, b"torn").expect("memory");
        let again = Recent::open(&mut disk, path.clone()).expect("read");
        assert!(again.has(&last) && !again.has("torn") && !again.has("0"));
        let lines = disk.read(&path).expect("file").iter().filter(|b| **b == b'\n').count();
        assert!(lines <= 2 * limits::CHANNEL_RECENT);
    }
}
