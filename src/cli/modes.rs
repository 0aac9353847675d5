//! Who may read and write what lies in the state directory, for `doctor` and `security audit`.
//!
//! A look stops after [`limits::TREE_ENTRIES`] entries and goes [`limits::TREE_DEPTH`] deep; no
//! link is followed. Workspaces are the user's and are left out.

use std::path::{Path, PathBuf};

use crate::limits;

/// What stands at a path itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Permission bits.
    pub bits: u32,
    /// The owner's number.
    pub owner: u32,
    /// It is a directory.
    pub dir: bool,
    /// It is a link.
    pub link: bool,
}

impl Mode {
    /// Others, or the group, may write.
    pub const fn writable(self) -> bool {
        self.bits & 0o022 != 0
    }

    /// Everybody may write.
    pub const fn world_writable(self) -> bool {
        self.bits & 0o002 != 0
    }

    /// Others, or the group, may read.
    pub const fn readable(self) -> bool {
        self.bits & 0o044 != 0
    }

    /// Everybody may read.
    pub const fn world_readable(self) -> bool {
        self.bits & 0o004 != 0
    }

    /// As `ls` and `chmod` write it.
    pub fn shown(self) -> String {
        format!("{:03o}", self.bits & 0o777)
    }
}

/// What stands there; `None` when nothing does, or the system has no such bits.
#[cfg(unix)]
pub fn of(path: &Path) -> Option<Mode> {
    use std::os::unix::fs::MetadataExt;
    let meta = path.symlink_metadata().ok()?;
    let (dir, link) = (meta.is_dir(), meta.is_symlink());
    Some(Mode { bits: meta.mode() & 0o7777, owner: meta.uid(), dir, link })
}

/// Other systems keep rights by other means.
#[cfg(not(unix))]
pub fn of(_path: &Path) -> Option<Mode> {
    None
}

/// Sets the bits of a file or directory.
///
/// # Errors
/// The system's.
#[cfg(unix)]
pub fn set(path: &Path, bits: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits))
}

/// Other systems keep rights by other means.
///
/// # Errors
/// Always.
#[cfg(not(unix))]
pub fn set(_path: &Path, _bits: u32) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Files below a directory that may hold a secret or a conversation, with their modes; and
/// whether there was more than a look takes.
pub fn private_files(root: &Path, left_out: &[PathBuf]) -> (Vec<(PathBuf, Mode)>, bool) {
    let (mut found, mut seen) = (Vec::new(), 0);
    let mut rest = vec![(root.to_path_buf(), 0)];
    while let Some((dir, depth)) = rest.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            seen += 1;
            if seen > limits::TREE_ENTRIES {
                return (found, true);
            }
            let path = entry.path();
            let Some(mode) = of(&path) else { continue };
            if mode.dir && depth < limits::TREE_DEPTH && !left_out.contains(&path) {
                rest.push((path, depth + 1));
            } else if !mode.dir && !mode.link && is_private(&path) {
                found.push((path, mode));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    (found, false)
}

/// Whether the name says that it is nobody else's business.
fn is_private(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let ends = [".json", ".jsonl", ".log", ".pem", ".key", ".sqlite", ".env", ".damaged", ".bak"];
    let whole = ["gateway-token", "token-key", "gateway.lock"];
    ends.iter().any(|end| name.ends_with(end)) || whole.contains(&&*name) || name.contains(".json.")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_look_finds_what_is_private_and_follows_no_link() {
        let root = std::env::temp_dir().join(format!("openclaw-modes-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join("agents/main")).unwrap();
        std::fs::create_dir_all(root.join("workspace")).unwrap();
        for name in ["agents/main/s.jsonl", "gateway-token", "notes.txt", "workspace/x.json"] {
            std::fs::write(root.join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", root.join("link.json")).unwrap();
        set(&root.join("gateway-token"), 0o644).unwrap();
        let (found, more) = private_files(&root, &[root.join("workspace")]);
        let names: Vec<_> =
            found.iter().map(|(path, _)| path.strip_prefix(&root).unwrap()).collect();
        assert_eq!(names, [Path::new("agents/main/s.jsonl"), Path::new("gateway-token")]);
        assert!(!more && found[1].1.world_readable() && !found[1].1.writable());
        assert_eq!(found[1].1.shown(), "644");
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_look_at_a_huge_tree_ends() {
        let root = std::env::temp_dir().join(format!("openclaw-huge-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        for number in 0..=limits::TREE_ENTRIES {
            std::fs::hard_link(root.join("0.json"), root.join(format!("{number}.json")))
                .or_else(|_| std::fs::write(root.join(format!("{number}.json")), ""))
                .unwrap();
        }
        assert!(private_files(&root, &[]).1);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
