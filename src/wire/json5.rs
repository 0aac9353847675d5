//! JSON5 (<https://spec.json5.org>) with a place for everything.
//!
//! [`parse()`] keeps its own stack, so that a megabyte of `[` costs an error and not the process;
//! documents nest at most [`crate::limits::JSON_DEPTH`] deep, which also bounds every walk over a
//! [`Node`].
//! Stricter than JSON5 in three points, each of which hides a mistake in a file that people
//! write: a key may stand only once in an object, `NaN` and `Infinity` are refused (JSON cannot
//! carry them further), and a lone surrogate escape is refused (it is no character). Identifiers
//! use Rust's alphabetic and alphanumeric classes, a hair wider than ES5's.
//!
//! No message quotes more of the text than one character or a key: values may be secrets.
//!
//! [`set`] and [`remove`] edit the text itself, so comments, order and spacing stay.

use serde_json::{Number, Value};

use parse::Parser;

mod edit;
mod parse;

pub use edit::{remove, set};

/// Bytes `start..end` of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last.
    pub end: usize,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A finite number.
    Number(Number),
    /// A string, escapes resolved.
    String(String),
    /// `[ ... ]`.
    Array(Vec<Node>),
    /// `{ ... }` in the order written; no key twice.
    Object(Vec<Member>),
}

/// One `key: value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The key, escapes resolved.
    pub key: String,
    /// Where the key stands, quotes included.
    pub key_span: Span,
    /// Its value.
    pub value: Node,
}

/// A parsed text.
#[derive(Debug, Clone)]
pub struct Document {
    /// The one value of the text.
    pub root: Node,
    text: String,
    lines: Vec<usize>,
}

/// Why a text is not JSON5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json5Error {
    /// Byte offset of the fault.
    pub offset: usize,
    /// Line from 1.
    pub line: usize,
    /// Column in characters from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for Json5Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at line {}, column {}", self.message, self.line, self.column)
    }
}

impl std::error::Error for Json5Error {}

/// One step of a path into a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into an object.
    Key(String),
    /// Into an array.
    Index(usize),
}

impl Node {
    /// As a plain value; spans are dropped. Walks at most [`crate::limits::JSON_DEPTH`] levels.
    pub fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(flag) => Value::Bool(*flag),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::String(text) => Value::String(text.clone()),
            Kind::Array(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Kind::Object(members) => {
                Value::Object(members.iter().map(|m| (m.key.clone(), m.value.to_value())).collect())
            }
        }
    }

    /// The node one step down.
    pub fn step(&self, step: &Step) -> Option<&Self> {
        match (&self.kind, step) {
            (Kind::Object(members), Step::Key(key)) => {
                members.iter().find(|m| m.key == *key).map(|m| &m.value)
            }
            (Kind::Array(items), Step::Index(index)) => items.get(*index),
            _ => None,
        }
    }
}

impl Document {
    /// The text that was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of an offset, both from 1; the column counts characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        position(&self.text, &self.lines, offset)
    }

    /// The node at a path.
    pub fn at(&self, path: &[Step]) -> Option<&Node> {
        path.iter().try_fold(&self.root, |node, step| node.step(step))
    }
}

/// Offsets at which lines begin: after LF, CR LF, or a CR alone.
fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let mut starts = vec![if text.starts_with('\u{FEFF}') { '\u{FEFF}'.len_utf8() } else { 0 }];
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')) {
            starts.push(at + 1);
        }
    }
    starts
}

fn position(text: &str, lines: &[usize], offset: usize) -> (usize, usize) {
    let offset = text.floor_char_boundary(offset);
    let line = lines.partition_point(|start| *start <= offset).max(1);
    let start = lines.get(line - 1).copied().unwrap_or(0);
    let column = text.get(start..offset).map_or(0, |before| before.chars().count());
    (line, column + 1)
}

/// Parses one document.
pub fn parse(text: &str) -> Result<Document, Json5Error> {
    match (Parser { text, at: 0 }).document() {
        Ok(root) => Ok(Document { root, text: text.to_owned(), lines: line_starts(text) }),
        Err(fault) => Err(fault.locate(text)),
    }
}

/// Any bytes: what parses must say the same once written as JSON, must be found by its own
/// spans, and edits of it must never panic or give a text that does not parse.
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let document = match parse(&text) {
        Ok(document) => document,
        Err(error) => {
            assert!(error.offset <= text.len() && error.line > 0 && error.column > 0);
            return;
        }
    };
    let value = document.root.to_value();
    let again = parse(&value.to_string()).map(|document| document.root.to_value());
    assert_eq!(again.as_ref(), Ok(&value));
    let mut path = Vec::new();
    let mut node = Some(&document.root);
    while let Some(here) = node {
        assert_eq!(document.at(&path), Some(here));
        let alone = text.get(here.span.start..here.span.end).map(parse);
        assert_eq!(alone.map(|d| d.map(|d| d.root.to_value())), Some(Ok(here.to_value())));
        for step in [Step::Key("new key".to_owned()), Step::Index(0), Step::Index(1)] {
            path.push(step);
            if let Ok(edited) = set(&text, &path, "[1, {a: 'b'}]") {
                let edited = parse(&edited).expect("set keeps the document whole");
                assert!(edited.at(&path).is_some());
                // Removal gives the former document back unless an element was replaced.
                if document.at(&path).is_none() {
                    let back = remove(edited.text(), &path).expect("it has just been added");
                    assert_eq!(parse(&back).map(|d| d.root.to_value()), Ok(value.clone()));
                }
            }
            path.pop();
        }
        if let Ok(less) = remove(&text, &path) {
            assert!(parse(&less).is_ok());
        }
        node = match &here.kind {
            Kind::Array(items) => {
                path.push(Step::Index(items.len().saturating_sub(1)));
                items.last()
            }
            Kind::Object(members) => members.last().map(|member| {
                path.push(Step::Key(member.key.clone()));
                &member.value
            }),
            _ => None,
        };
    }
}

#[cfg(test)]
#[path = "json5_tests.rs"]
mod tests;
