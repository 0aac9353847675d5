//! The archive file: written beside under another name, put in its place when it is whole.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::super::Failed;
use super::Plan;
use super::walk::{Item, Skipped};
use crate::wire::archive::gzip::Gzip;
use crate::wire::archive::tar::{self, Entry, Kind};
use crate::wire::hash;

/// What is read at once.
const CHUNK: usize = 64 * 1024;

/// Writes the archive; returns what was there when it was listed and could not be copied whole.
///
/// # Errors
/// When a file cannot be read or the archive not be written: it is then not there.
pub fn write(plan: &Plan, items: &[Item], manifest: &str) -> Result<Vec<Skipped>, Failed> {
    let beside = beside(&plan.archive);
    let written = fill(&beside, plan, items, manifest);
    let placed = written.and_then(|vanished| place(&beside, &plan.archive).map(|()| vanished));
    let _ = std::fs::remove_file(&beside);
    placed.map_err(|error| {
        let what = format!("cannot write {}: {error}", plan.archive.display());
        Failed::new(what, "check free space and owner, or use --output <elsewhere>")
    })
}

/// Never over a file that appeared meanwhile: a link in place of a rename.
fn place(beside: &Path, archive: &Path) -> io::Result<()> {
    match std::fs::hard_link(beside, archive) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // File systems without hard links; the name was free a moment ago.
        Err(_) if archive.symlink_metadata().is_err() => std::fs::rename(beside, archive),
        other => other,
    }
}

fn beside(archive: &Path) -> PathBuf {
    let random = hash::hex(&super::super::entropy::bytes::<6>());
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    archive.with_file_name(format!(".{name}.{random}.tmp"))
}

struct Out {
    file: File,
    gzip: Gzip,
    packed: Vec<u8>,
}

impl Out {
    fn open(path: &Path) -> io::Result<Self> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        let mut packed = Vec::new();
        let gzip = Gzip::begin(&mut packed);
        Ok(Self { file, gzip, packed })
    }

    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.gzip.push(bytes, &mut self.packed);
        if self.packed.len() >= CHUNK {
            self.file.write_all(&self.packed)?;
            self.packed.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        let mut end = Vec::new();
        tar::write_end(&mut end);
        self.push(&end)?;
        self.gzip.finish(&mut self.packed);
        self.file.write_all(&self.packed)?;
        self.file.sync_all()
    }
}

fn fill(path: &Path, plan: &Plan, items: &[Item], manifest: &str) -> io::Result<Vec<Skipped>> {
    let mut out = Out::open(path)?;
    let entry = Entry {
        path: format!("{}/manifest.json", plan.root),
        kind: Kind::File,
        mode: 0o600,
        size: manifest.len() as u64,
        modified: plan.created_ms / 1000,
        target: String::new(),
    };
    let mut head = Vec::new();
    tar::write_header(&mut head, &entry);
    head.extend_from_slice(manifest.as_bytes());
    tar::padding(&mut head, entry.size);
    out.push(&head)?;
    let mut odd = Vec::new();
    for item in items {
        let done = match item.entry.kind {
            Kind::File => copy(&mut out, item),
            _ => {
                head.clear();
                tar::write_header(&mut head, &item.entry);
                out.push(&head).map(|()| None)
            }
        };
        let reason = done.map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", item.source.display()))
        })?;
        let (kind, source) = (item.kind, item.source.clone());
        odd.extend(reason.map(|reason| Skipped { kind, source, reason }));
    }
    out.finish()?;
    Ok(odd)
}

/// Copies a file as long as it is when it is opened: what is appended later is not of this copy.
fn copy(out: &mut Out, item: &Item) -> io::Result<Option<&'static str>> {
    let mut file = match File::open(&item.source) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some("vanished")),
        Err(error) => return Err(error),
    };
    let meta = file.metadata()?;
    if !meta.is_file() || item.source.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
        return Ok(Some("vanished"));
    }
    let size = meta.len();
    let mut head = Vec::new();
    tar::write_header(&mut head, &Entry { size, ..item.entry.clone() });
    out.push(&head)?;
    let mut left = size;
    let mut chunk = vec![0; CHUNK];
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let got = file.read(chunk.get_mut(..want).unwrap_or_default())?;
        if got == 0 {
            break;
        }
        out.push(chunk.get(..got).unwrap_or_default())?;
        left -= got as u64;
    }
    let shrank = left > 0;
    // The header has promised so many bytes.
    while left > 0 {
        let fill = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        out.push(&vec![0; fill])?;
        left -= fill as u64;
    }
    let mut fill = Vec::new();
    tar::padding(&mut fill, size);
    out.push(&fill)?;
    Ok(shrank.then_some("shrank"))
}
