//! What a backup holds: every entry below its sources, and what is left out with the reason.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

use super::super::Failed;
use super::super::belongings::Belongings;
use super::Asset;
use crate::limits;
use crate::wire::archive::tar::{Entry, Kind};

/// Something that is not in the archive.
#[derive(Debug, Clone)]
pub struct Skipped {
    /// `workspace`, `state`, ...
    pub kind: &'static str,
    /// Where it is.
    pub source: PathBuf,
    /// `missing`, `covered`, `excluded`, `volatile`, `regenerable`, `special`, `vanished` or
    /// `shrank`.
    pub reason: &'static str,
}

/// An entry of the archive and where it comes from.
#[derive(Debug, Clone)]
pub struct Item {
    /// Of which kind of source.
    pub kind: &'static str,
    /// Where it is.
    pub source: PathBuf,
    /// Its header; the size of a file is what it has when it is opened.
    pub entry: Entry,
}

/// Everything below the sources, journals first, directories before what is in them.
///
/// # Errors
/// When a directory cannot be read, or there is more than [`limits`] allow.
pub fn walk(
    assets: &[Asset],
    ours: &Belongings,
    workspaces: bool,
    skipped: &mut Vec<Skipped>,
) -> Result<Vec<Item>, Failed> {
    let mut items = Vec::new();
    for asset in assets {
        let mut walk = Walk { asset, ours, assets, workspaces, items: &mut items, skipped };
        walk.one(&asset.source, 0)?;
    }
    let journal = ours.state_dir.canonicalize().unwrap_or_default().join("journal");
    items.sort_by_key(|item| !item.source.starts_with(&journal));
    Ok(items)
}

struct Walk<'a> {
    asset: &'a Asset,
    assets: &'a [Asset],
    ours: &'a Belongings,
    /// Those inside the state directory come along.
    workspaces: bool,
    items: &'a mut Vec<Item>,
    skipped: &'a mut Vec<Skipped>,
}

impl Walk<'_> {
    fn skip(&mut self, source: &Path, reason: &'static str) {
        let (kind, source) = (self.asset.kind, source.to_path_buf());
        self.skipped.push(Skipped { kind, source, reason });
    }

    fn one(&mut self, path: &Path, depth: usize) -> Result<(), Failed> {
        let failed = |error: std::io::Error| {
            let what = format!("cannot read {}: {error}", path.display());
            Failed::new(what, "check its owner; without workspaces: --no-include-workspace")
        };
        let meta = match path.symlink_metadata() {
            Ok(meta) => meta,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.skip(path, "vanished");
                return Ok(());
            }
            Err(error) => return Err(failed(error)),
        };
        if let Some(reason) = self.left_out(path, meta.is_dir()).filter(|_| depth > 0) {
            self.skip(path, reason);
            return Ok(());
        }
        let kind = match meta.file_type() {
            kind if kind.is_symlink() => Kind::Link,
            kind if kind.is_dir() => Kind::Dir,
            kind if kind.is_file() => Kind::File,
            _ => {
                self.skip(path, "special");
                return Ok(());
            }
        };
        if self.items.len() >= limits::BACKUP_ENTRIES || depth > limits::TREE_DEPTH {
            let what = format!(
                "{} holds more than {} entries, or {} directories within each other",
                self.asset.source.display(),
                limits::BACKUP_ENTRIES,
                limits::TREE_DEPTH
            );
            return Err(Failed::new(what, "openclaw backup create --no-include-workspace"));
        }
        self.items.push(self.item(path, kind, &meta));
        if kind == Kind::Dir {
            let mut names: Vec<PathBuf> = std::fs::read_dir(path)
                .map_err(failed)?
                .flatten()
                .map(|entry| entry.path())
                .collect();
            names.sort();
            for path in names {
                self.one(&path, depth + 1)?;
            }
        }
        Ok(())
    }

    fn item(&self, path: &Path, kind: Kind, meta: &std::fs::Metadata) -> Item {
        let below = path.strip_prefix(&self.asset.source).unwrap_or(Path::new(""));
        let mut inside = self.asset.inside.clone();
        for part in below.components() {
            inside.push('/');
            inside.push_str(&part.as_os_str().to_string_lossy());
        }
        let modified = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let target = std::fs::read_link(path).unwrap_or_default();
        let entry = Entry {
            path: inside,
            kind,
            mode: mode(meta),
            size: if kind == Kind::File { meta.len() } else { 0 },
            modified: modified.map_or(0, |age| age.as_secs()),
            target: target.to_string_lossy().into_owned(),
        };
        Item { kind: self.asset.kind, source: path.to_path_buf(), entry }
    }

    /// Why something below a source is not copied. The configuration always is.
    fn left_out(&self, path: &Path, is_dir: bool) -> Option<&'static str> {
        if path == self.ours.config_path {
            return None;
        }
        // Another source brings it, or it is no business of this one.
        if self.assets.iter().any(|asset| path == asset.source) {
            return Some("covered");
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let volatile = [".sock", ".pid", ".tmp"].iter().any(|end| name.ends_with(end))
            || name.contains(".tmp.");
        if volatile && !is_dir {
            return Some("volatile");
        }
        let state = self.ours.state_dir.canonicalize().unwrap_or_default();
        let below = path.strip_prefix(&state).ok()?;
        if !self.workspaces && self.ours.workspaces.iter().any(|dir| same(dir, path)) {
            return Some("excluded");
        }
        let first = below.components().next()?.as_os_str().to_string_lossy().into_owned();
        let log = name.ends_with(".log") || name.ends_with(".jsonl") || name.contains(".log.");
        match first.as_str() {
            "gateway.lock" => Some("volatile"),
            "logs" if log && !is_dir => Some("volatile"),
            "tmp" | "trash" if below.components().count() == 1 => Some("regenerable"),
            _ => None,
        }
    }
}

fn same(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().is_ok_and(|one| one == other)
}

#[cfg(unix)]
fn mode(meta: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::mode(meta) & 0o7777
}

#[cfg(not(unix))]
fn mode(_: &std::fs::Metadata) -> u32 {
    0o600
}

/// Links whose targets the archive does not hold.
pub fn outward(items: &[Item]) -> Vec<Value> {
    let links = items.iter().filter(|item| item.entry.kind == Kind::Link);
    let outside = links.filter(|item| {
        let base = item.source.parent().unwrap_or(Path::new("/"));
        let real = base.join(&item.entry.target).canonicalize();
        real.map_or(true, |real| !items.iter().any(|other| other.source == real))
    });
    outside
        .map(|item| json!({"archivePath": item.entry.path, "target": item.entry.target}))
        .collect()
}
