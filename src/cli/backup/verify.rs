//! `openclaw backup verify`: whether an archive is whole, and holds what its manifest says and
//! nothing that would land elsewhere.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use super::super::table::Args;
use super::super::{Failed, out};
use crate::limits;
use crate::wire::archive::gzip::Stored;
use crate::wire::archive::tar::{Entry, Event, Kind, Reader};

/// What a whole archive says of itself.
#[derive(Debug, Default)]
pub struct Good {
    root: String,
    created_at: String,
    version: String,
    assets: usize,
    entries: usize,
    links: usize,
}

/// Runs the command.
///
/// # Errors
/// When the archive is not whole.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let path = args.operands.first().map(String::as_str).unwrap_or_default();
    let path = Path::new(path);
    let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    match check(&real) {
        Ok(good) if args.has("json") => out::json(&json!({
            "ok": true, "archivePath": real, "archiveRoot": good.root,
            "createdAt": good.created_at, "runtimeVersion": good.version,
            "assetCount": good.assets, "entryCount": good.entries, "symlinkCount": good.links,
        })),
        Ok(good) => out::line(&out::foreign(&format!(
            "{} is whole: {} entries, {} of them links, made {} by {}",
            real.display(),
            good.entries,
            good.links,
            good.created_at,
            good.version
        ))),
        Err(why) if args.has("json") => {
            out::json(&json!({"ok": false, "archivePath": real, "error": why}));
            return Ok(1);
        }
        Err(why) => {
            let what = out::foreign(&format!("{}: {why}", real.display()));
            return Err(Failed::new(what, "openclaw backup create"));
        }
    }
    Ok(0)
}

/// Reads an archive to its end.
///
/// # Errors
/// What is wrong with it.
pub fn check(path: &Path) -> Result<Good, String> {
    let mut file = std::fs::File::open(path).map_err(|error| format!("cannot read it: {error}"))?;
    let (mut stored, mut reader, mut seen) =
        (Stored::default(), Reader::default(), Seen::default());
    let (mut chunk, mut plain) = (vec![0; 64 * 1024], Vec::new());
    loop {
        let got = file.read(&mut chunk).map_err(|error| format!("cannot read it: {error}"))?;
        if got == 0 {
            break;
        }
        plain.clear();
        stored
            .push(chunk.get(..got).unwrap_or_default(), &mut plain)
            .map_err(|fault| fault.to_string())?;
        reader.push(&plain);
        while let Some(event) = reader.next().map_err(|fault| fault.to_string())? {
            seen.event(event)?;
        }
    }
    if !stored.is_whole() || !seen.ended {
        return Err("it ends too early".to_owned());
    }
    seen.good()
}

#[derive(Default)]
struct Seen {
    paths: BTreeSet<String>,
    links: Vec<String>,
    manifest: Option<(String, Vec<u8>)>,
    in_manifest: bool,
    ended: bool,
}

impl Seen {
    fn event(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Entry(entry) => self.entry(entry),
            Event::Data(bytes) => {
                if let (true, Some((_, text))) = (self.in_manifest, &mut self.manifest) {
                    if text.len() + bytes.len() > limits::ARCHIVE_MANIFEST {
                        return Err("its manifest is too long".to_owned());
                    }
                    text.extend(bytes);
                }
                Ok(())
            }
            Event::End => {
                self.ended = true;
                Ok(())
            }
        }
    }

    fn entry(&mut self, entry: Entry) -> Result<(), String> {
        let path = entry.path;
        let parts: Vec<&str> = path.split('/').collect();
        if path.starts_with('/') || parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
            return Err(format!("an entry would land elsewhere: {path}"));
        }
        if entry.kind == Kind::Other {
            return Err(format!("an entry is neither file, directory nor link: {path}"));
        }
        if self.paths.len() > limits::BACKUP_ENTRIES {
            return Err("it has too many entries".to_owned());
        }
        self.in_manifest = false;
        if let [root, "manifest.json"] = parts[..] {
            if self.manifest.is_some() {
                return Err("it has two manifests".to_owned());
            }
            self.manifest = Some((root.to_owned(), Vec::new()));
            self.in_manifest = true;
        }
        if entry.kind == Kind::Link {
            self.links.push(path.clone());
        }
        if !self.paths.insert(path.clone()) {
            return Err(format!("an entry is there twice: {path}"));
        }
        Ok(())
    }

    fn good(self) -> Result<Good, String> {
        let (root, text) = self.manifest.ok_or("it has no manifest")?;
        let manifest: Value =
            serde_json::from_slice(&text).map_err(|error| format!("its manifest: {error}"))?;
        let word = |key: &str| manifest.get(key).and_then(Value::as_str).unwrap_or_default();
        if manifest.get("schemaVersion").and_then(Value::as_u64) != Some(1) {
            return Err("its manifest is of another version".to_owned());
        }
        if word("archiveRoot") != root {
            return Err("its manifest names another root".to_owned());
        }
        let inside = format!("{root}/");
        if let Some(path) =
            self.paths.iter().find(|path| !path.starts_with(&inside) && **path != root)
        {
            return Err(format!("an entry is outside of its root: {path}"));
        }
        for link in &self.links {
            let below = format!("{link}/");
            // Sorted, so what is below a link comes right behind it.
            if self.paths.range(below.clone()..).next().is_some_and(|path| path.starts_with(&below))
            {
                return Err(format!("entries lie below the link {link}"));
            }
        }
        let assets = manifest.get("assets").and_then(Value::as_array);
        let assets = assets.map(Vec::as_slice).unwrap_or_default();
        for asset in assets {
            let path = asset.get("archivePath").and_then(Value::as_str).unwrap_or_default();
            let path = path.trim_end_matches('/');
            if path.is_empty() || !self.paths.contains(path) {
                return Err(format!("what its manifest names is missing: {path}"));
            }
        }
        Ok(Good {
            created_at: word("createdAt").to_owned(),
            version: word("runtimeVersion").to_owned(),
            assets: assets.len(),
            entries: self.paths.len(),
            links: self.links.len(),
            root,
        })
    }
}
