//! The authored files as one tree in which every value knows the file and place it came from.
//!
//! ```text
//!   root text ----> json5 --+
//!   $include files -> json5 +--> Tree --(substitute)--> Tree --> validation, plain values
//! ```
//!
//! `$include` follows the reference: a path or an array of paths, relative to the including
//! file; what is included is merged in order (objects by key, arrays end to end, anything else
//! replaced), then the keys beside the `$include` on top of it. Files must lie in the directory
//! of the root file once every link is followed, so that a shared configuration cannot make the
//! gateway read a key file elsewhere and show parts of it.

use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use serde_json::Value;

use super::load::{ErrorKind, Source};
use super::snapshot::Issue;
use super::table;
use crate::limits::{CONFIG_BYTES, CONFIG_INCLUDE_DEPTH, JSON_DEPTH};
use crate::wire::json5::{self, Document, Node, Step};

/// Where something stands: which file, which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) offset: usize,
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) place: Place,
    pub(super) kind: Kind,
}

/// What a [`Tree`] holds.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Anything that is not a container.
    Leaf(Value),
    List(Vec<Tree>),
    Map(Vec<Entry>),
    /// A value that could not be had; its issue is already on the list.
    Broken,
}

/// One `key: value`.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Tree,
}

impl Tree {
    pub(super) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Leaf(value) => value.clone(),
            Kind::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Kind::Map(entries) => {
                Value::Object(entries.iter().map(|e| (e.key.clone(), e.value.to_value())).collect())
            }
            Kind::Broken => Value::Null,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.value),
            _ => None,
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Leaf(value) => value.as_str(),
            _ => None,
        }
    }

    /// `over` laid on this: objects by key, arrays end to end, else `over`.
    fn merge(self, over: Self) -> Self {
        let place = over.place;
        let kind = match (self.kind, over.kind) {
            (Kind::Map(mut base), Kind::Map(over)) => {
                for entry in over {
                    match base.iter_mut().find(|e| e.key == entry.key) {
                        Some(same) => {
                            let old = std::mem::replace(
                                &mut same.value,
                                Self { place, kind: Kind::Broken },
                            );
                            same.value = old.merge(entry.value);
                            same.place = entry.place;
                        }
                        None => base.push(entry),
                    }
                }
                Kind::Map(base)
            }
            (Kind::List(mut base), Kind::List(over)) => {
                base.extend(over);
                Kind::List(base)
            }
            (_, over) => over,
        };
        Self { place, kind }
    }
}

/// A file that was read.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) document: Rc<Document>,
}

/// Every file of one load, and what was found wrong.
pub(super) struct Files<'a> {
    source: &'a dyn Source,
    /// The directory that includes must stay in, links followed.
    boundary: PathBuf,
    /// Files that parsed; `Place::file` counts in here.
    pub(super) list: Vec<File>,
    /// Every file that was read or looked for, root first.
    pub(super) watched: Vec<PathBuf>,
    /// Root and includes, for the digest.
    pub(super) authored: Vec<u8>,
    pub(super) errors: Vec<(ErrorKind, Issue)>,
    pub(super) warnings: Vec<Issue>,
}

impl<'a> Files<'a> {
    pub(super) fn new(source: &'a dyn Source, root: &Path) -> Self {
        let directory = directory(root);
        Self {
            source,
            boundary: source.canonical(&directory).unwrap_or(directory),
            list: Vec::new(),
            watched: vec![root.to_path_buf()],
            authored: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Where files come from.
    pub(super) fn source(&self) -> &'a dyn Source {
        self.source
    }

    /// An issue at a place; a file that did not parse has none.
    pub(super) fn issue(&self, place: Place, path: &[Step], message: String) -> Issue {
        let file = self.list.get(place.file);
        let (line, column) = file.map_or((0, 0), |f| f.document.position(place.offset));
        let file = file.map(|f| f.path.clone()).or_else(|| self.watched.first().cloned());
        let file = file.unwrap_or_default();
        Issue { path: table::shown(path), message, file, line, column }
    }

    pub(super) fn error(&mut self, kind: ErrorKind, at: Place, path: &[Step], message: String) {
        let issue = self.issue(at, path, message);
        self.errors.push((kind, issue));
    }

    pub(super) fn warn(&mut self, at: Place, path: &[Step], message: String) {
        let issue = self.issue(at, path, message);
        self.warnings.push(issue);
    }

    /// An issue about a whole file.
    pub(super) fn file_error(&mut self, kind: ErrorKind, file: &Path, message: String) {
        let file = file.to_path_buf();
        self.errors.push((kind, Issue { path: String::new(), message, file, line: 0, column: 0 }));
    }

    /// The text of a file within the limit of all files together; `Ok(None)` when it is absent.
    pub(super) fn read(&mut self, path: &Path) -> Result<Option<String>, (ErrorKind, String)> {
        let bytes = match self.source.read(path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            Err(error) => return Err((ErrorKind::Io, format!("cannot be read: {error}"))),
        };
        if self.authored.len().saturating_add(bytes.len()) > CONFIG_BYTES {
            let limit = CONFIG_BYTES / 1024 / 1024;
            let what = format!("the configuration is larger than {limit} MiB, includes counted");
            return Err((ErrorKind::Io, what));
        }
        String::from_utf8(bytes).map(Some).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            (ErrorKind::Syntax, format!("is not UTF-8 from byte {at} on"))
        })
    }

    /// Parses a text and keeps it; `None` when it is not JSON5, which is then on the list.
    pub(super) fn parse(&mut self, path: &Path, text: &str) -> Option<usize> {
        self.authored.extend_from_slice(text.as_bytes());
        // So that moving text from one file to the next is a change.
        self.authored.push(0);
        match json5::parse(text) {
            Ok(document) => {
                self.list.push(File { path: path.to_path_buf(), document: Rc::new(document) });
                Some(self.list.len() - 1)
            }
            Err(error) => {
                let issue = Issue {
                    path: String::new(),
                    message: error.message,
                    file: path.to_path_buf(),
                    line: error.line,
                    column: error.column,
                };
                self.errors.push((ErrorKind::Syntax, issue));
                None
            }
        }
    }

    /// The tree of a parsed file with everything it includes.
    pub(super) fn tree(&mut self, file: usize) -> Tree {
        let Some(root) = self.list.get(file) else {
            return Tree { place: Place::default(), kind: Kind::Broken };
        };
        let (document, path) = (Rc::clone(&root.document), root.path.clone());
        let mut chain = vec![self.source.canonical(&path).unwrap_or(path)];
        self.expand(&document.root, file, &mut chain, &mut Vec::new())
    }

    /// `path` is where the node goes in the merged configuration, `chain` the files that are
    /// being included right now, outermost first. Depth is bounded by the check on `path`.
    fn expand(
        &mut self,
        node: &Node,
        file: usize,
        chain: &mut Vec<PathBuf>,
        path: &mut Vec<Step>,
    ) -> Tree {
        let place = Place { file, offset: node.span.start };
        if path.len() > JSON_DEPTH {
            let what = format!("nested deeper than {JSON_DEPTH} levels, includes counted");
            self.error(ErrorKind::Reference, place, &[], what);
            return Tree { place, kind: Kind::Broken };
        }
        let kind = match &node.kind {
            json5::Kind::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    path.push(Step::Index(index));
                    list.push(self.expand(item, file, chain, path));
                    path.pop();
                }
                Kind::List(list)
            }
            json5::Kind::Object(members) => {
                let mut entries = Vec::with_capacity(members.len());
                let mut include = None;
                for member in members {
                    if member.key == "$include" {
                        include = Some(&member.value);
                        continue;
                    }
                    path.push(Step::Key(member.key.clone()));
                    let value = self.expand(&member.value, file, chain, path);
                    path.pop();
                    let place = Place { file, offset: member.key_span.start };
                    entries.push(Entry { key: member.key.clone(), place, value });
                }
                let beside = Tree { place, kind: Kind::Map(entries) };
                match include {
                    Some(include) => return self.include(include, beside, file, chain, path),
                    None => beside.kind,
                }
            }
            _ => Kind::Leaf(node.to_value()),
        };
        Tree { place, kind }
    }

    /// The value of an object with `$include`, whose other keys are `beside`.
    fn include(
        &mut self,
        include: &Node,
        beside: Tree,
        file: usize,
        chain: &mut Vec<PathBuf>,
        path: &mut Vec<Step>,
    ) -> Tree {
        let place = Place { file, offset: include.span.start };
        let broken = Tree { place, kind: Kind::Broken };
        let names: Option<Vec<(&str, usize)>> = match &include.kind {
            json5::Kind::String(name) => Some(vec![(name, include.span.start)]),
            json5::Kind::Array(items) => items
                .iter()
                .map(|item| match &item.kind {
                    json5::Kind::String(name) => Some((name.as_str(), item.span.start)),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        let mut merged: Option<Tree> = None;
        for (name, offset) in names.unwrap_or_default() {
            let place = Place { file, offset };
            let tree = match self.included(name, place, chain, path) {
                Ok(tree) => tree,
                Err((kind, what)) => {
                    let shown = crate::wire::text::escape_log(name, 200);
                    self.error(kind, place, path, format!("$include \"{shown}\" {what}"));
                    return broken;
                }
            };
            merged = Some(match merged {
                Some(before) => before.merge(tree),
                None => tree,
            });
        }
        let Some(merged) = merged else {
            let what = "$include: expected a path, or an array of paths".to_owned();
            self.error(ErrorKind::Reference, place, path, what);
            return broken;
        };
        match (&merged.kind, &beside.kind) {
            (Kind::Broken, _) => merged,
            (Kind::Map(_), _) => merged.merge(beside),
            (_, Kind::Map(entries)) if entries.is_empty() => merged,
            _ => {
                let what = "$include: only an object can have keys beside it".to_owned();
                self.error(ErrorKind::Reference, place, path, what);
                broken
            }
        }
    }

    fn included(
        &mut self,
        name: &str,
        place: Place,
        chain: &mut Vec<PathBuf>,
        path: &mut Vec<Step>,
    ) -> Result<Tree, (ErrorKind, String)> {
        let refuse = |what: &str| Err((ErrorKind::Reference, what.to_owned()));
        if name.is_empty() || name.len() >= 4096 || name.contains('\0') {
            return refuse("is not a file name");
        }
        if chain.len() > CONFIG_INCLUDE_DEPTH {
            let what = format!("is nested deeper than {CONFIG_INCLUDE_DEPTH} files");
            return Err((ErrorKind::Reference, what));
        }
        let from = self.list.get(place.file).map(|file| directory(&file.path)).unwrap_or_default();
        let wanted = normal(&from.join(name));
        if !self.watched.contains(&wanted) {
            self.watched.push(wanted.clone());
        }
        let outside = "is outside the configuration directory: move the file there";
        let found = match self.source.canonical(&wanted) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return refuse("does not exist");
            }
            Err(error) => return Err((ErrorKind::Io, format!("cannot be read: {error}"))),
        };
        let climbs = found.components().any(|part| part == Component::ParentDir);
        if climbs || !found.starts_with(&self.boundary) {
            return refuse(outside);
        }
        if let Some(first) = chain.iter().position(|file| *file == found) {
            let circle = chain.get(first..).unwrap_or_default().iter().chain([&found]);
            let names: Vec<String> = circle.map(|file| file.display().to_string()).collect();
            let what = format!("is circular: {}", names.join(" -> "));
            return Err((ErrorKind::Reference, what));
        }
        // What was checked is what is read, not what a link may point to by now.
        let Some(text) = self.read(&found)? else {
            return refuse("does not exist");
        };
        let Some(file) = self.parse(&wanted, &text) else {
            return Ok(Tree { place, kind: Kind::Broken });
        };
        let Some(document) = self.list.get(file).map(|file| Rc::clone(&file.document)) else {
            return Ok(Tree { place, kind: Kind::Broken });
        };
        chain.push(found);
        let tree = self.expand(&document.root, file, chain, path);
        chain.pop();
        Ok(tree)
    }
}

/// The directory of a file; `.` for a bare name.
fn directory(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// `a/./b/../c` is `a/c`; `..` above the beginning stays.
pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir if !out.as_os_str().is_empty() => {}
            Component::ParentDir
                if matches!(out.components().next_back(), Some(Component::Normal(_))) =>
            {
                out.pop();
            }
            Component::ParentDir if out.has_root() => {}
            part => out.push(part),
        }
    }
    out
}
