//! Where a file tool may work: from a path as a model wrote it to one that is safe to use.
//!
//! A path is made absolute and free of `.` and `..` by its text alone, before the disk sees it:
//! the same path is then checked and used. With [`Place::workspace_only`] its canonical form,
//! all links followed, must lie in the canonical workspace; what lies outside by its text is
//! refused without a look at the disk. Just before a file is opened or written
//! [`Place::confirm`] looks once more, for a link may have been put there since. There is no
//! `openat` in safe Rust without another crate, so a program that swaps directories within those
//! microseconds wins; such a program runs as the same user and could write there anyway.

use super::Place;
use crate::store::{Disk, Kind};
use std::io;
use std::path::{Component, Path, PathBuf};

/// Longest path a model may name: PATH_MAX of Linux.
const PATH_BYTES: usize = 4096;

/// A path that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Absolute; canonical as far as it exists.
    pub path: PathBuf,
    /// As the model wrote it, for answers.
    pub shown: String,
}

impl Place {
    /// Absolute and normal by the text alone.
    ///
    /// # Errors
    /// A sentence for the model.
    pub fn lexical(&self, text: &str) -> Result<PathBuf, String> {
        let text = text.trim();
        // Some models mark a file by an @ in front, as people do in chats.
        let text = text.strip_prefix('@').unwrap_or(text);
        if text.is_empty() {
            return Err("the path is empty".to_owned());
        }
        if text.len() > PATH_BYTES || text.chars().any(char::is_control) {
            return Err("the path is too long or has control characters".to_owned());
        }
        let full = match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            (None, Some(home)) if text == "~" => home.clone(),
            _ => self.workspace.join(text),
        };
        let mut normal = PathBuf::new();
        for part in full.components() {
            match part {
                Component::ParentDir => {
                    normal.pop();
                }
                Component::CurDir => {}
                other => normal.push(other),
            }
        }
        if self.workspace_only && !normal.starts_with(&self.workspace) {
            return Err(self.outside(text));
        }
        Ok(normal)
    }

    /// Something that exists, links followed.
    ///
    /// # Errors
    /// A sentence for the model: nothing there, or outside the workspace.
    pub fn existing(&self, disk: &dyn Disk, text: &str) -> Result<Spot, String> {
        let normal = self.lexical(text)?;
        let path = disk.canonical(&normal).map_err(|error| failure(text, "read", &error))?;
        self.inside(disk, &path, text)?;
        Ok(Spot { path, shown: text.to_owned() })
    }

    /// A regular file that exists.
    ///
    /// # Errors
    /// A sentence for the model.
    pub fn file(&self, disk: &dyn Disk, text: &str) -> Result<Spot, String> {
        let spot = self.existing(disk, text)?;
        match disk.kind(&spot.path) {
            Ok(Kind::File) => Ok(spot),
            Ok(Kind::Dir) => Err(format!("{text} is a directory; use ls to see what is in it")),
            Ok(_) => Err(format!("{text} is not a regular file")),
            Err(error) => Err(failure(text, "read", &error)),
        }
    }

    /// A directory that exists; without a path the workspace.
    ///
    /// # Errors
    /// A sentence for the model.
    pub fn dir(&self, disk: &dyn Disk, text: Option<&str>) -> Result<Spot, String> {
        let spot = self.existing(disk, text.unwrap_or("."))?;
        match disk.kind(&spot.path) {
            Ok(Kind::Dir) => Ok(spot),
            Ok(_) => Err(format!("{} is not a directory", spot.shown)),
            Err(error) => Err(failure(&spot.shown, "read", &error)),
        }
    }

    /// A file to be written, that may not be there yet, nor its directories: the deepest one that
    /// is there is followed and checked.
    ///
    /// # Errors
    /// A sentence for the model.
    pub fn target(&self, disk: &dyn Disk, text: &str) -> Result<Spot, String> {
        let normal = self.lexical(text)?;
        let shown = text.to_owned();
        let mut there = normal.as_path();
        while let Err(error) = disk.kind(there) {
            match there.parent() {
                // A name below a file is no directory; anything but "not there" is said.
                Some(parent) if error.kind() == io::ErrorKind::NotFound => there = parent,
                _ => return Err(failure(text, "write", &error)),
            }
        }
        let real = disk.canonical(there).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!("{text} goes through a link to nothing"),
            _ => failure(text, "write", &error),
        })?;
        let rest = normal.strip_prefix(there).unwrap_or(Path::new(""));
        if rest.as_os_str().is_empty() {
            self.inside(disk, &real, text)?;
            return match disk.kind(&real) {
                Ok(Kind::File) => Ok(Spot { path: real, shown }),
                Ok(Kind::Dir) => Err(format!("{text} is a directory")),
                Ok(_) => Err(format!("{text} is not a regular file")),
                Err(error) => Err(failure(text, "write", &error)),
            };
        }
        if disk.kind(&real).map_err(|error| failure(text, "write", &error))? != Kind::Dir {
            return Err(format!("{text}: a part of its path is a file, not a directory"));
        }
        let path = real.join(rest);
        // A workspace that does not exist yet has no canonical form; its own path counts.
        self.inside(disk, &path, text)?;
        Ok(Spot { path, shown })
    }

    /// Looks again, right before a spot is opened (`exists`) or written: still itself, with no
    /// link in its way.
    ///
    /// # Errors
    /// A sentence for the model.
    pub fn confirm(&self, disk: &dyn Disk, spot: &Spot, exists: bool) -> Result<(), String> {
        let moved = || format!("{} was moved or linked elsewhere meanwhile", spot.shown);
        match disk.kind(&spot.path) {
            Ok(Kind::File) => {}
            Ok(_) => return Err(moved()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !exists => {}
            Err(error) => return Err(failure(&spot.shown, "open", &error)),
        }
        let mut there = spot.path.parent();
        while let Some(dir) = there {
            match disk.canonical(dir) {
                Ok(real) if real == dir => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if disk.kind(dir).is_ok() {
                        return Err(moved());
                    }
                    there = dir.parent();
                }
                _ => return Err(moved()),
            }
        }
        Ok(())
    }

    fn inside(&self, disk: &dyn Disk, path: &Path, text: &str) -> Result<(), String> {
        if !self.workspace_only {
            return Ok(());
        }
        let root = disk.canonical(&self.workspace);
        let root = root.as_deref().unwrap_or(&self.workspace);
        if path.starts_with(root) { Ok(()) } else { Err(self.outside(text)) }
    }

    fn outside(&self, text: &str) -> String {
        format!(
            "{text} is outside the workspace {}, and file tools are limited to it",
            self.workspace.display()
        )
    }
}

/// What the system said of a path, for a model.
pub fn failure(shown: &str, doing: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("{shown}: no such file or directory"),
        io::ErrorKind::PermissionDenied => format!("{shown}: permission to {doing} it is denied"),
        io::ErrorKind::StorageFull => format!("{shown}: the disk is full"),
        _ => format!("{shown}: cannot {doing} it ({error})"),
    }
}

#[cfg(test)]
#[path = "place_tests.rs"]
pub(super) mod tests;
