//! `memory_search` and `memory_get`: the notes of an agent, `MEMORY.md` and `memory/**/*.md` of
//! its workspace.
//!
//! The search is by words (BM25), without an index and without embeddings: notes are read in
//! slices, cut into chunks at headings and at a size, and every chunk that has a word of the
//! question is kept until all are counted. A word of four letters or more also finds longer ones
//! that begin with it. A word in a file's path counts as one in each of its chunks.

use super::place::Spot;
use super::read::{Window, block, is_binary};
use super::walk::Walk;
use super::{Args, How, Output, PATH, Place, Section, Tool, Work, object};
use crate::limits;
use crate::store::{Disk, Kind};
use serde_json::json;
use std::collections::VecDeque;
use std::path::Path;

/// The row of the search.
pub const SEARCH: Tool = Tool {
    name: "memory_search",
    title: "Memory Search",
    description: "Search your notes (MEMORY.md and memory/*.md) by words. Use it before you answer \
                  about earlier work, decisions, dates, people or preferences; then read around a \
                  result with memory_get.",
    parameters: || {
        let query = json!({"type": "string", "description": "Words that the notes should have"});
        let most = json!({"type": "integer", "minimum": 1, "description": "Most results (6)"});
        let score = json!({"type": "number", "description": "Least score, 0 to 1"});
        object(&[("query", query, true), ("maxResults", most, false), ("minScore", score, false)])
    },
    section: Section::Memory,
    changes: false,
    how: How::Disk(search),
};

/// The row of the reader.
pub const GET: Tool = Tool {
    name: "memory_get",
    title: "Memory Get",
    description: "Read lines of a note: MEMORY.md or a file below memory/. 120 lines unless lines \
                  says otherwise.",
    parameters: || {
        let path = json!({"type": "string", "description": "As memory_search gave it"});
        let from = json!({"type": "integer", "minimum": 1, "description": "First line, from 1"});
        let lines = json!({"type": "integer", "minimum": 1, "description": "How many lines (120)"});
        object(&[("path", path, true), ("from", from, false), ("lines", lines, false)])
    },
    section: Section::Memory,
    changes: false,
    how: How::Disk(get),
};

/// Results unless the call says otherwise (documented default of `memory.search.query`).
const RESULTS: u64 = 6;
/// Most of them.
const RESULTS_MAX: u64 = 50;
/// Lines of `memory_get` unless the call says otherwise (documented).
const LINES: u64 = 120;
/// Words of a question that count.
const TERMS: usize = 16;
/// Bytes of a chunk, about: 400 tokens.
const CHUNK: usize = 1_600;
/// Bytes of a snippet.
const SNIPPET: usize = 700;
/// Chunks with a word of the question that are kept.
const CHUNKS: usize = 2_000;

/// Whether a path below the workspace is that of a note.
fn is_note(path: &Path) -> bool {
    let below = path.starts_with("memory") && path.extension().is_some_and(|ext| ext == "md");
    below || path == Path::new("MEMORY.md") || path == Path::new("memory.md")
}

/// Notes never lie outside the workspace, whatever the file tools may do.
fn inside(place: &Place) -> Place {
    Place { workspace_only: true, ..place.clone() }
}

fn get(place: &Place, args: &Args) -> Result<Box<dyn Work>, String> {
    let path = args.must_text(&PATH)?.to_owned();
    let place = inside(place);
    let normal = place.lexical(&path)?;
    if !normal.strip_prefix(&place.workspace).is_ok_and(is_note) {
        return Err(format!("{path} is no memory file: MEMORY.md, or memory/….md"));
    }
    let first = args.number("from")?.unwrap_or(1).max(1);
    let lines = args.number("lines")?.unwrap_or(LINES).clamp(1, limits::TOOL_READ_LINES);
    let window = Window::new(first, lines, "from");
    Ok(Box::new(Get { place, path, open: None, window }))
}

struct Get {
    place: Place,
    path: String,
    open: Option<Spot>,
    window: Window,
}

impl Work for Get {
    fn step(&mut self, disk: &mut dyn Disk) -> Option<Output> {
        self.slice(disk).unwrap_or_else(|error| Some(Output::error(error)))
    }
}

impl Get {
    fn slice(&mut self, disk: &dyn Disk) -> Result<Option<Output>, String> {
        let spot = match &self.open {
            Some(spot) => spot,
            None => {
                let spot = self.place.file(disk, &self.path)?;
                // A link among the notes may lead to what is none.
                let root = disk.canonical(&self.place.workspace);
                let root = root.map_err(|error| error.to_string())?;
                if !spot.path.strip_prefix(root).is_ok_and(is_note) {
                    return Err(format!("{} is a link to what is no memory file", self.path));
                }
                self.open.insert(spot)
            }
        };
        let bytes = block(&self.place, disk, spot, self.window.at())?;
        if self.window.take(&bytes) { self.window.output(spot).map(Some) } else { Ok(None) }
    }
}

fn search(place: &Place, args: &Args) -> Result<Box<dyn Work>, String> {
    let mut terms: Vec<String> = Vec::new();
    for word in words(args.must_text(&["query"])?) {
        if terms.len() < TERMS && !terms.contains(&word) {
            terms.push(word);
        }
    }
    if terms.is_empty() {
        return Err("the query has no words".to_owned());
    }
    let most = args.number("maxResults")?.unwrap_or(RESULTS).clamp(1, RESULTS_MAX);
    let least = args.0.get("minScore").and_then(serde_json::Value::as_f64).unwrap_or(0.0);
    Ok(Box::new(Search {
        place: inside(place),
        most: usize::try_from(most).unwrap_or(1),
        least,
        walk: None,
        waiting: ["MEMORY.md", "memory.md"].map(str::to_owned).into(),
        note: None,
        index: Index { df: vec![0; terms.len()], terms, ..Index::default() },
        partial: false,
    }))
}

struct Search {
    place: Place,
    most: usize,
    least: f64,
    walk: Option<Walk>,
    /// Notes to read, below the workspace.
    waiting: VecDeque<String>,
    note: Option<Note>,
    index: Index,
    /// Something was not read.
    partial: bool,
}

/// A note being read.
struct Note {
    spot: Spot,
    at: u64,
    /// A line that is not whole yet.
    rest: Vec<u8>,
    line: u64,
    /// The chunk as it grows, and its first line.
    chunk: String,
    first: u64,
}

/// What is known of the words asked for.
#[derive(Default)]
struct Index {
    terms: Vec<String>,
    /// In how many chunks each stands.
    df: Vec<u32>,
    chunks: u32,
    words: u64,
    kept: Vec<Chunk>,
}

struct Chunk {
    path: String,
    first: u64,
    last: u64,
    snippet: String,
    /// How often each term stands in it.
    tf: Vec<u32>,
    words: u32,
}

impl Work for Search {
    fn step(&mut self, disk: &mut dyn Disk) -> Option<Output> {
        let (mut cost, mut bytes) = (0, 0);
        while cost < limits::TOOL_SLICE_ENTRIES && bytes < limits::TOOL_SLICE {
            if let Some(note) = &mut self.note {
                match block(&self.place, disk, &note.spot, note.at) {
                    Ok(more) if !more.is_empty() && (note.at > 0 || !is_binary(&more)) => {
                        bytes += more.len();
                        note.take(&more, &mut self.index);
                        if note.at > limits::TOOL_EDIT as u64 {
                            self.partial = true;
                            self.note = None;
                        }
                    }
                    _ => {
                        note.end(&mut self.index);
                        self.note = None;
                    }
                }
                continue;
            }
            cost += 8;
            if let Some(path) = self.waiting.pop_front() {
                self.open(disk, &path);
                continue;
            }
            let walk = match &mut self.walk {
                Some(walk) => walk,
                None => match self.place.dir(disk, Some("memory")) {
                    Ok(spot) => self.walk.insert(Walk::new(spot.path)),
                    Err(_) => return Some(self.output()),
                },
            };
            match walk.next(disk, &mut cost) {
                Some(found) => {
                    let path = format!("memory/{}", found.path);
                    if found.kind == Kind::File && is_note(Path::new(&path)) {
                        self.waiting.push_back(path);
                    }
                }
                None => {
                    self.partial |= walk.partial;
                    return Some(self.output());
                }
            }
        }
        None
    }
}

impl Search {
    fn open(&mut self, disk: &dyn Disk, path: &str) {
        let Ok(spot) = self.place.file(disk, path) else { return };
        self.note =
            Some(Note { spot, at: 0, rest: Vec::new(), line: 0, chunk: String::new(), first: 1 });
    }

    fn output(&mut self) -> Output {
        let mut ranked = self.index.ranked();
        ranked.retain(|(score, _)| *score >= self.least);
        ranked.truncate(self.most);
        let results: Vec<_> = ranked
            .into_iter()
            .map(|(score, chunk)| {
                json!({
                    "path": chunk.path, "startLine": chunk.first, "endLine": chunk.last,
                    "score": (score * 1000.0).round() / 1000.0, "snippet": chunk.snippet,
                    "source": "memory",
                })
            })
            .collect();
        let mut value = json!({"results": results, "provider": "none", "mode": "keyword"});
        if self.partial || self.index.kept.len() >= CHUNKS {
            value["partial"] = json!(true);
        }
        Output::value(value)
    }
}

impl Note {
    fn take(&mut self, bytes: &[u8], index: &mut Index) {
        self.at += bytes.len() as u64;
        self.rest.extend_from_slice(bytes);
        let text = std::mem::take(&mut self.rest);
        let mut done = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if !line.ends_with(b"\n") && line.len() < limits::TOOL_LINE {
                break;
            }
            done += line.len();
            self.line(line, index);
        }
        self.rest = text.get(done..).unwrap_or_default().to_vec();
    }

    fn line(&mut self, line: &[u8], index: &mut Index) {
        let text = String::from_utf8_lossy(line);
        self.line += 1;
        let full = self.chunk.len() + text.len() > CHUNK;
        if !self.chunk.is_empty() && (full || text.starts_with('#')) {
            self.flush(self.line - 1, index);
        }
        self.chunk.push_str(&text);
    }

    fn end(&mut self, index: &mut Index) {
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            self.line(&rest, index);
        }
        self.flush(self.line, index);
    }

    fn flush(&mut self, last: u64, index: &mut Index) {
        let chunk = std::mem::take(&mut self.chunk);
        index.add(&self.spot.shown, self.first, last, &chunk);
        self.first = last + 1;
    }
}

impl Index {
    fn add(&mut self, path: &str, first: u64, last: u64, text: &str) {
        let mut tf = vec![0u32; self.terms.len()];
        let (mut count, mut in_text) = (0u32, false);
        for word in words(text) {
            count = count.saturating_add(1);
            in_text |= self.count(&word, &mut tf);
        }
        if count == 0 {
            return;
        }
        for word in words(path) {
            in_text |= self.count(&word, &mut tf);
        }
        self.chunks += 1;
        self.words += u64::from(count);
        for (df, tf) in self.df.iter_mut().zip(&tf) {
            *df += u32::from(*tf > 0);
        }
        if in_text && self.kept.len() < CHUNKS {
            let text = text.trim();
            let cut = text.get(..text.floor_char_boundary(SNIPPET)).unwrap_or_default();
            let (path, snippet) = (path.to_owned(), cut.to_owned());
            self.kept.push(Chunk { path, first, last, snippet, tf, words: count });
        }
    }

    fn count(&self, word: &str, tf: &mut [u32]) -> bool {
        let mut any = false;
        for (term, tf) in self.terms.iter().zip(tf) {
            if word == term || (term.len() >= 4 && word.starts_with(term.as_str())) {
                *tf = tf.saturating_add(1);
                any = true;
            }
        }
        any
    }

    /// Chunks by their score from 0 to 1, the best first.
    fn ranked(&self) -> Vec<(f64, &Chunk)> {
        const K: f64 = 1.2;
        const B: f64 = 0.75;
        let all = f64::from(self.chunks.max(1));
        let average = (self.words as f64 / all).max(1.0);
        let mut ranked: Vec<(f64, &Chunk)> = self
            .kept
            .iter()
            .map(|chunk| {
                let mut score = 0.0;
                for (tf, df) in chunk.tf.iter().zip(&self.df) {
                    let (tf, df) = (f64::from(*tf), f64::from(*df));
                    let rare = (1.0 + (all - df + 0.5) / (df + 0.5)).ln();
                    let length = 1.0 - B + B * f64::from(chunk.words) / average;
                    score += rare * tf * (K + 1.0) / (tf + K * length);
                }
                (score / (1.0 + score), chunk)
            })
            .collect();
        ranked.sort_by(|(a, x), (b, y)| {
            b.total_cmp(a).then_with(|| (&x.path, x.first).cmp(&(&y.path, y.first)))
        });
        ranked
    }
}

/// Words in lower case.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scratch, run};
    use super::*;
    use serde_json::Value;

    fn found(scratch: &Scratch, args: Value) -> Vec<(String, u64)> {
        let (out, _) = run(&SEARCH, &scratch.place, &args);
        let details = out.details.expect("details");
        let rows = details["results"].as_array().expect("a list").clone();
        let row = |row: &Value| {
            let path = row["path"].as_str().expect("a path").to_owned();
            (path, row["startLine"].as_u64().expect("a line"))
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn notes_are_found_by_their_words() {
        let scratch = Scratch::new("memory");
        scratch
            .put("ws/MEMORY.md", "# People\nAnna likes tea.\n# Places\nThe office is in Bern.\n");
        scratch
            .put("ws/memory/2026-01-02.md", "Talked about deployments and tea.\nTea again: tea.");
        scratch.put("ws/memory/deep/plan.md", "the plan for Bern");
        scratch.put("ws/memory/not.txt", "tea tea tea");
        scratch.put("ws/other.md", "tea tea tea");
        scratch.put("out/secret.md", "tea tea tea");
        scratch.link("ws/memory/link.md", "out/secret.md");
        let tea = found(&scratch, json!({"query": "TEA?"}));
        let want = [("memory/2026-01-02.md".to_owned(), 1), ("MEMORY.md".to_owned(), 1)];
        assert_eq!(tea, want);
        assert_eq!(found(&scratch, json!({"query": "Bern"})).len(), 2);
        assert_eq!(
            found(&scratch, json!({"query": "Bern office"}))[0],
            ("MEMORY.md".to_owned(), 3)
        );
        assert_eq!(found(&scratch, json!({"query": "deploy"})).len(), 1, "a longer word");
        assert_eq!(found(&scratch, json!({"query": "plan"}))[0].0, "memory/deep/plan.md");
        assert_eq!(found(&scratch, json!({"query": "tea", "maxResults": 1})).len(), 1);
        assert_eq!(found(&scratch, json!({"query": "tea", "minScore": 0.99})), []);
        assert_eq!(found(&scratch, json!({"query": "nowhere"})), []);
        assert!(run(&SEARCH, &scratch.place, &json!({"query": "?!"})).0.is_error);
        let empty = Scratch::new("memory-none");
        assert_eq!(found(&empty, json!({"query": "tea"})), []);
    }

    #[test]
    fn only_notes_are_read() {
        let scratch = Scratch::new("memory-get");
        scratch.put("ws/MEMORY.md", "1\n2\n3\n");
        scratch.put("ws/memory/a/b.md", "b\n");
        scratch.put("ws/secret.txt", "s");
        scratch.put("out/secret.md", "s");
        scratch.link("ws/memory/out.md", "out/secret.md");
        scratch.link("ws/memory/in.md", "ws/secret.txt");
        let get = |args: Value| {
            let (out, _) = run(&GET, &scratch.place, &args);
            (out.all_text(), out.is_error)
        };
        assert_eq!(get(json!({"path": "MEMORY.md"})), ("1\n2\n3\n".to_owned(), false));
        assert_eq!(get(json!({"path": "memory/a/b.md"})).0, "b\n");
        let (text, _) = get(json!({"path": "MEMORY.md", "from": 2, "lines": 1}));
        assert_eq!(text, "2\n\n[Lines 2 to 2. There is more: go on with from=3]");
        for path in [
            "secret.txt",
            "memory/../secret.txt",
            "../out/secret.md",
            "memory/../../out/secret.md",
            "memory/out.md",
            "memory/in.md",
            "/etc/passwd",
            "memory/none.md",
        ] {
            assert!(get(json!({"path": path})).1, "{path}");
        }
    }

    #[test]
    fn many_notes_are_searched_in_slices() {
        let scratch = Scratch::new("memory-many");
        let text = "some words of a long note that says nothing\n".repeat(2_000);
        for at in 0..30 {
            scratch.put(&format!("ws/memory/{at:02}.md"), format!("{text}needle{at}\n"));
        }
        let (out, steps) = run(&SEARCH, &scratch.place, &json!({"query": "needle7 needle"}));
        let details = out.details.expect("details");
        assert_eq!(details["results"][0]["path"], "memory/07.md");
        assert_eq!(details["results"].as_array().map(Vec::len), Some(6));
        assert!(steps >= 30 * text.len() / limits::TOOL_SLICE, "{steps} steps");
    }
}
