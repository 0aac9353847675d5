//! `edit`: exact replacements in a text file.
//!
//! Every `oldText` is looked for in the file as it was, must stand there once, and must not
//! overlap another one; nothing is written unless all fit. Where the exact text is not there,
//! whole lines are compared once more without what models get wrong: white space at line ends,
//! typographic quotes, dashes and spaces. CRLF files stay CRLF, a byte order mark stays.

use super::place::{Spot, failure};
use super::read::{block, is_binary};
use super::{Args, How, Output, PATH, Place, Section, Tool, Work, object};
use crate::limits;
use crate::store::{Disk, Stat};
use serde_json::{Value, json};
use std::ops::Range;

/// The row.
pub const TOOL: Tool = Tool {
    name: "edit",
    title: "Edit",
    description: "Replace exact text in a file. Each oldText must stand in the file exactly once; \
                  all edits are matched against the file as it was, and all are made or none.",
    parameters: || {
        let text = |what: &str| json!({"type": "string", "description": what});
        let edit = object(&[
            ("oldText", text("Text that is there, once"), true),
            ("newText", text("Text instead of it"), true),
        ]);
        object(&[
            ("path", text("File, relative or absolute"), true),
            ("edits", json!({"type": "array", "items": edit, "minItems": 1}), true),
        ])
    },
    section: Section::Fs,
    changes: true,
    how: How::Disk(start),
};

/// Edits of one call.
const EDITS: usize = 200;
const OLD: [&str; 3] = ["oldText", "old_string", "old_text"];
const NEW: [&str; 3] = ["newText", "new_string", "new_text"];

/// One replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    old: String,
    new: String,
}

fn start(place: &Place, args: &Args) -> Result<Box<dyn Work>, String> {
    let path = args.must_text(&PATH)?.to_owned();
    place.lexical(&path)?;
    let edits = edits(args)?;
    Ok(Box::new(EditWork { place: place.clone(), path, edits, open: None }))
}

fn edits(args: &Args) -> Result<Vec<Edit>, String> {
    let one = |fields: &Args| -> Result<Edit, String> {
        let old = fields.must_text(&OLD)?.to_owned();
        if old.is_empty() {
            return Err("oldText is empty; to create a file use write".to_owned());
        }
        Ok(Edit { old, new: fields.must_text(&NEW)?.to_owned() })
    };
    let list = match args.0.get("edits") {
        None | Some(Value::Null) => return one(args).map(|edit| vec![edit]),
        Some(Value::Array(list)) => list.clone(),
        // Some models write the list as text.
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|_| "edits must be an array".to_owned())?
        }
        Some(_) => return Err("edits must be an array of {oldText, newText}".to_owned()),
    };
    if list.is_empty() || list.len() > EDITS {
        return Err(format!("edits must have 1 to {EDITS} members"));
    }
    let objects = list.into_iter().map(|edit| match edit {
        Value::Object(fields) => one(&Args(fields)),
        _ => Err("each of edits must be an object {oldText, newText}".to_owned()),
    });
    objects.collect()
}

struct EditWork {
    place: Place,
    path: String,
    edits: Vec<Edit>,
    open: Option<Whole>,
}

/// A file read as a whole, in slices.
pub(super) struct Whole {
    pub(super) spot: Spot,
    stat: Stat,
    bytes: Vec<u8>,
}

impl Whole {
    /// Opens a file that is text and not too large.
    pub(super) fn open(disk: &dyn Disk, spot: Spot) -> Result<Self, String> {
        let stat = disk.stat(&spot.path).map_err(|error| failure(&spot.shown, "read", &error))?;
        Ok(Self { spot, stat, bytes: Vec::new() })
    }

    /// A slice more; true when all is there.
    pub(super) fn more(&mut self, place: &Place, disk: &dyn Disk) -> Result<bool, String> {
        let more = block(place, disk, &self.spot, self.bytes.len() as u64)?;
        self.bytes.extend_from_slice(&more);
        if self.bytes.len() > limits::TOOL_EDIT {
            let most = limits::TOOL_EDIT;
            return Err(format!("{} is larger than {most} bytes", self.spot.shown));
        }
        Ok(more.is_empty())
    }

    /// Its text.
    pub(super) fn text(&self) -> Result<&str, String> {
        let no_text = || format!("{} is not UTF-8 text", self.spot.shown);
        if is_binary(&self.bytes) {
            return Err(no_text());
        }
        std::str::from_utf8(&self.bytes).map_err(|_| no_text())
    }

    /// Fails when somebody else wrote the file since it was opened.
    pub(super) fn unchanged(&self, place: &Place, disk: &dyn Disk) -> Result<(), String> {
        place.confirm(disk, &self.spot, true)?;
        match disk.stat(&self.spot.path) {
            Ok(stat) if stat == self.stat => Ok(()),
            _ => Err(format!("{} changed meanwhile; read it again", self.spot.shown)),
        }
    }
}

impl Work for EditWork {
    fn step(&mut self, disk: &mut dyn Disk) -> Option<Output> {
        self.slice(disk).unwrap_or_else(|error| Some(Output::error(error)))
    }
}

impl EditWork {
    fn slice(&mut self, disk: &mut dyn Disk) -> Result<Option<Output>, String> {
        let whole = match &mut self.open {
            Some(whole) => whole,
            None => {
                let spot = self.place.file(disk, &self.path)?;
                self.open.insert(Whole::open(disk, spot)?)
            }
        };
        if !whole.more(&self.place, disk)? {
            return Ok(None);
        }
        let before = whole.text()?;
        let spot = &whole.spot;
        let (after, first) =
            apply(before, &self.edits).map_err(|error| format!("{}: {error}", spot.shown))?;
        whole.unchanged(&self.place, disk)?;
        disk.write_file(&spot.path, after.as_bytes())
            .map_err(|error| failure(&spot.shown, "write", &error))?;
        let count = self.edits.len();
        let places = if count == 1 { "1 place".to_owned() } else { format!("{count} places") };
        let text = format!("Edited {} in {places}", spot.shown);
        let details = json!({"path": spot.path, "firstChangedLine": first});
        Ok(Some(Output { details: Some(details), ..Output::text(text) }))
    }
}

/// The text after all edits, and the line of the first change, from 1.
fn apply(text: &str, edits: &[Edit]) -> Result<(String, usize), String> {
    let (mark, body) = match text.strip_prefix('\u{feff}') {
        Some(body) => ("\u{feff}", body),
        None => ("", text),
    };
    let breaks = body.matches('\n').count();
    let crlf = breaks > 0 && body.matches("\r\n").count() == breaks;
    let plain = if crlf { body.replace("\r\n", "\n") } else { body.to_owned() };
    let mut found: Vec<(Range<usize>, String)> = Vec::new();
    for (at, edit) in edits.iter().enumerate() {
        let name = if edits.len() == 1 { "oldText".to_owned() } else { format!("edits[{at}]") };
        let old = if crlf { edit.old.replace("\r\n", "\n") } else { edit.old.clone() };
        let new = if crlf { edit.new.replace("\r\n", "\n") } else { edit.new.clone() };
        found.push(locate(&plain, &old, new).map_err(|error| format!("{name} {error}"))?);
    }
    found.sort_by_key(|(range, _)| range.start);
    if found.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a.end > b.start)) {
        return Err("two of the edits overlap; make them one".to_owned());
    }
    let (mut out, mut at) = (String::with_capacity(plain.len()), 0);
    for (range, new) in &found {
        out.push_str(plain.get(at..range.start).unwrap_or_default());
        out.push_str(new);
        at = range.end;
    }
    out.push_str(plain.get(at..).unwrap_or_default());
    if out == plain {
        return Err("nothing would change: oldText and newText are the same".to_owned());
    }
    let first = found.first().map_or(0, |(range, _)| range.start);
    let line = 1 + plain.get(..first).unwrap_or_default().matches('\n').count();
    if crlf {
        out = out.replace('\n', "\r\n");
    }
    Ok((format!("{mark}{out}"), line))
}

/// Where a text stands, once, and what comes there.
fn locate(text: &str, old: &str, new: String) -> Result<(Range<usize>, String), String> {
    let mut exact = text.match_indices(old);
    match (exact.next(), exact.next()) {
        (Some((at, _)), None) => return Ok((at..at + old.len(), new)),
        (Some(_), Some(_)) => {
            let times = 2 + exact.count();
            return Err(format!("stands there {times} times; add lines around it to be unique"));
        }
        _ => {}
    }
    let same = |line: &str| plain_line(line);
    let wanted: Vec<String> = old.lines().map(same).collect();
    if wanted.iter().all(String::is_empty) {
        return Err("is not in the file; read it again and copy the text exactly".to_owned());
    }
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        lines.push((at, same(line)));
        at += line.len();
    }
    let start_of = |index: usize| lines.get(index).map_or(text.len(), |(at, _)| *at);
    let fits = |window: &[(usize, String)]| window.iter().map(|(_, line)| line).eq(&wanted);
    let mut places = lines
        .windows(wanted.len())
        .enumerate()
        .filter(|(_, window)| fits(window))
        .map(|(at, _)| at);
    match (places.next(), places.next()) {
        (Some(first), None) => {
            let range = start_of(first)..start_of(first + wanted.len());
            // Whole lines went; the break behind the last one stays.
            let broken = text.get(range.clone()).is_some_and(|lines| lines.ends_with('\n'));
            let mut new = new;
            if broken && !new.is_empty() && !new.ends_with('\n') {
                new.push('\n');
            }
            Ok((range, new))
        }
        (Some(_), Some(_)) => {
            Err("stands there more than once; add lines around it to be unique".to_owned())
        }
        _ => Err("is not in the file; read it again and copy the text exactly".to_owned()),
    }
}

/// A line without what models get wrong.
pub(super) fn plain_line(line: &str) -> String {
    let plain = |c| match c {
        '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{a0}' | '\u{2002}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
        c => c,
    };
    line.trim_end().chars().map(plain).collect()
}

/// Any bytes: the text, then pairs of old and new, separated by NUL. Never a panic; what an edit
/// brings is in the result, and every other byte of the file stays.
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data.get(..8192).unwrap_or(data)).into_owned();
    let mut parts = text.split('\0');
    let body = parts.next().unwrap_or_default();
    let mut edits = Vec::new();
    while let (Some(old), Some(new)) = (parts.next(), parts.next()) {
        if !old.is_empty() && edits.len() < 8 {
            edits.push(Edit { old: old.to_owned(), new: new.to_owned() });
        }
    }
    if edits.is_empty() {
        return;
    }
    if let Ok((after, line)) = apply(body, &edits) {
        assert_ne!(after, body);
        assert!(line <= 1 + body.matches('\n').count());
        assert!(after.starts_with('\u{feff}') || !body.starts_with('\u{feff}'), "the mark stays");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scratch, run};
    use super::*;

    fn edited(text: &str, edits: &[(&str, &str)]) -> Result<String, String> {
        let edits: Vec<Edit> = edits
            .iter()
            .map(|(old, new)| Edit { old: (*old).to_owned(), new: (*new).to_owned() })
            .collect();
        apply(text, &edits).map(|(text, _)| text)
    }

    #[test]
    fn what_an_edit_does() {
        let ok = [
            ("a b c", &[("b", "x")][..], "a x c"),
            ("a b c", &[("c", "z"), ("a", "b")], "b b z"),
            ("one\ntwo\n", &[("one\n", "")], "two\n"),
            ("one\r\ntwo\r\n", &[("one\ntwo", "1\n2")], "1\r\n2\r\n"),
            ("one\r\ntwo\n", &[("two", "2")], "one\r\n2\n"),
            ("\u{feff}a", &[("a", "b")], "\u{feff}b"),
            ("x  \ny\n", &[("x\ny", "z")], "z\n"),
            ("say \u{201c}hi\u{201d}\nend", &[("say \"hi\"", "hello")], "hello\nend"),
            ("a\nb \nc", &[("b", "B")], "a\nB \nc"),
        ];
        for (text, edits, want) in ok {
            assert_eq!(edited(text, edits).as_deref(), Ok(want), "{text:?} {edits:?}");
        }
        let wrong = [
            ("a a", &[("a", "b")][..], "stands there 2 times"),
            ("a", &[("b", "c")], "is not in the file"),
            ("a", &[("a", "a")], "nothing would change"),
            ("abc", &[("ab", "x"), ("bc", "y")], "overlap"),
            ("abc", &[("a", "x"), ("z", "y")], "edits[1] is not in the file"),
            ("x \nx  \n", &[("x\n", "y")], "more than once"),
            ("a", &[("\n", "b")], "is not in the file"),
        ];
        for (text, edits, part) in wrong {
            let error = edited(text, edits).expect_err(text);
            assert!(error.contains(part), "{text:?} {edits:?}: {error}");
        }
    }

    #[test]
    fn files_are_edited_whole_or_not_at_all() {
        let scratch = Scratch::new("edit");
        scratch.put("ws/a.txt", "one\ntwo\nthree\n");
        scratch.put("ws/bad", b"caf\xe9");
        scratch.put("out/f", "one");
        scratch.link("ws/link", "out/f");
        let edit = |args| run(&TOOL, &scratch.place, &args).0;
        let args = json!({"path": "a.txt", "edits": [
            {"oldText": "three", "newText": "3"}, {"oldText": "one", "newText": "1"}]});
        let out = edit(args);
        assert_eq!(out.all_text(), "Edited a.txt in 2 places");
        assert_eq!(out.details.expect("details")["firstChangedLine"], 1);
        assert_eq!(scratch.get("ws/a.txt"), "1\ntwo\n3\n");
        let out =
            edit(json!({"path": "a.txt", "edits": "[{\"oldText\":\"3\",\"newText\":\"4\"}]"}));
        assert!(!out.is_error);
        let out = edit(json!({"file_path": "a.txt", "old_string": "two", "new_string": "2"}));
        assert_eq!(out.all_text(), "Edited a.txt in 1 place");
        for args in [
            json!({"path": "a.txt", "edits": [{"oldText": "1", "newText": "x"},
                                              {"oldText": "gone", "newText": "y"}]}),
            json!({"path": "a.txt", "oldText": "", "newText": "x"}),
            json!({"path": "a.txt", "edits": []}),
            json!({"path": "a.txt", "edits": [3]}),
            json!({"path": "a.txt"}),
            json!({"path": "bad", "oldText": "c", "newText": "x"}),
            json!({"path": "link", "oldText": "one", "newText": "x"}),
            json!({"path": "../out/f", "oldText": "one", "newText": "x"}),
        ] {
            assert!(edit(args.clone()).is_error, "{args}");
        }
        assert_eq!(scratch.get("ws/a.txt"), "1\n2\n4\n");
        assert_eq!(scratch.get("out/f"), "one");
    }

    #[test]
    fn a_large_file_is_edited_in_slices_and_a_larger_one_is_refused() {
        let scratch = Scratch::new("edit-large");
        scratch.put("ws/large", "x".repeat(2_000_000) + "end");
        let args = json!({"path": "large", "oldText": "end", "newText": "END"});
        let (out, steps) = run(&TOOL, &scratch.place, &args);
        assert!(!out.is_error, "{}", out.all_text());
        assert_eq!(steps, 2_000_003usize.div_ceil(limits::TOOL_SLICE) + 1);
        scratch.put("ws/larger", "x".repeat(limits::TOOL_EDIT + 1));
        let args = json!({"path": "larger", "oldText": "end", "newText": "END"});
        let (out, _) = run(&TOOL, &scratch.place, &args);
        assert!(out.is_error && out.all_text().contains("is larger than"));
        scratch.put("ws/meanwhile", "old".repeat(200_000));
        let args = Args::parse(r#"{"path": "meanwhile", "oldText": "x", "newText": "y"}"#);
        let mut work = start(&scratch.place, &args.expect("args")).expect("started");
        assert!(work.step(&mut crate::store::RealDisk).is_none());
        scratch.put("ws/meanwhile", "x".repeat(9) + &"o".repeat(600_000));
        let out = std::iter::repeat_with(|| work.step(&mut crate::store::RealDisk))
            .take(10)
            .flatten()
            .next();
        assert!(out.expect("an end").is_error);
    }
}
