//! Everything below a directory, in order of names, a directory before what is in it. Links are
//! shown and never followed, so a walk ends and stays where it began. `.git` and `node_modules`
//! are left out: nobody means them, and they are most of a tree.

use crate::limits;
use crate::store::{Disk, Entry, Kind};
use std::path::PathBuf;

/// Names of directories that are not entered.
const SKIPPED: [&str; 2] = [".git", "node_modules"];

/// A walk under way.
pub struct Walk {
    root: PathBuf,
    /// What is left of each directory on the way down, last name first, and its path below the
    /// root with a slash behind.
    open: Vec<(String, Vec<Entry>)>,
    /// A directory to read next.
    enter: Option<String>,
    seen: usize,
    /// Something was left out: too many entries, too deep, or not readable.
    pub partial: bool,
}

/// What stands below the root.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Path below the root, names separated by `/`.
    pub path: String,
    /// What it is itself.
    pub kind: Kind,
}

impl Walk {
    /// Below a directory that was checked.
    pub fn new(root: PathBuf) -> Self {
        Self { root, open: Vec::new(), enter: Some(String::new()), seen: 0, partial: false }
    }

    /// The next entry; `None` at the end. `cost` grows by the entries that were read.
    pub fn next(&mut self, disk: &dyn Disk, cost: &mut usize) -> Option<Found> {
        if let Some(prefix) = self.enter.take() {
            let dir = self.root.join(&prefix);
            // What was a directory when its parent was read may be a link by now.
            let still = disk.canonical(&dir).is_ok_and(|real| real == dir || prefix.is_empty());
            let read = disk.entries(&dir, limits::TOOL_DIR_ENTRIES);
            match read.ok().filter(|_| still) {
                Some((mut entries, more)) => {
                    self.partial |= more;
                    *cost += entries.len();
                    entries.reverse();
                    self.open.push((prefix, entries));
                }
                None => self.partial = true,
            }
        }
        *cost += 1;
        loop {
            let (prefix, entries) = self.open.last_mut()?;
            let Some(entry) = entries.pop() else {
                self.open.pop();
                continue;
            };
            self.seen += 1;
            if self.seen > limits::TOOL_WALK {
                self.partial = true;
                self.open.clear();
                return None;
            }
            let path = format!("{prefix}{}", entry.name);
            if entry.kind == Kind::Dir && !SKIPPED.contains(&entry.name.as_str()) {
                if self.open.len() < limits::TOOL_WALK_DEPTH {
                    self.enter = Some(format!("{path}/"));
                } else {
                    self.partial = true;
                }
            } else if entry.kind == Kind::Dir {
                continue;
            }
            return Some(Found { path, kind: entry.kind });
        }
    }
}

/// What is said when a walk did not see everything.
pub const PARTIAL: &str = "\n[Not everything was searched: a directory is too large, too deep or \
                           not readable. Name a smaller one in path]";
