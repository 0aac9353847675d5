//! `grep`: lines of files that match a regular expression.
//!
//! One file at a time, one slice of it at a time, and within a slice a budget of steps for the
//! expression: neither a large tree, a large file nor a costly expression holds the loop.

use super::glob::Glob;
use super::place::Spot;
use super::read::{block, is_binary};
use super::regex::{Regex, Scan};
use super::walk::{PARTIAL, Walk};
use super::{Args, How, Output, PATH, Place, Section, Tool, Work, object};
use crate::limits;
use crate::store::{Disk, Kind};
use serde_json::json;
use std::collections::VecDeque;

/// The row.
pub const TOOL: Tool = Tool {
    name: "grep",
    title: "Grep",
    description: "Search file contents by regular expression (no look-around, no \
                  back-references). Shows path:line: text. .git, node_modules and binary files \
                  are left out. At most 100 matches or 50 KiB; long lines are cut.",
    parameters: || {
        let text = |what: &str| json!({"type": "string", "description": what});
        let flag = |what: &str| json!({"type": "boolean", "description": what});
        let count = |what: &str| json!({"type": "integer", "minimum": 0, "description": what});
        object(&[
            ("pattern", text("Regular expression, or text with literal"), true),
            ("path", text("File or directory; default the workspace"), false),
            ("glob", text("Only files whose name fits, as *.ts"), false),
            ("ignoreCase", flag("Upper and lower case are the same"), false),
            ("literal", flag("The pattern is plain text"), false),
            ("context", count("Lines shown around each match"), false),
            ("limit", count("Most matches (100)"), false),
        ])
    },
    section: Section::Fs,
    changes: false,
    how: How::Disk(start),
};

/// Matches unless the model says otherwise (docs of the reference's agent: 100).
const MATCHES: u64 = 100;
/// Most of them.
const MATCHES_MAX: u64 = 2_000;
/// Lines around a match at most.
const CONTEXT: u64 = 20;
/// Bytes of a line that are shown (reference: 500 characters).
const SHOWN: usize = 500;

fn start(place: &Place, args: &Args) -> Result<Box<dyn Work>, String> {
    let pattern = args.must_text(&["pattern"])?;
    let ignore = args.flag("ignoreCase")?;
    let compiled = if args.flag("literal")? {
        Regex::literal(pattern, ignore)
    } else {
        Regex::new(pattern, ignore)
    };
    let regex = compiled.map_err(|error| format!("the pattern: {error}"))?;
    let glob = args.text(&["glob"])?.map(Glob::new).transpose()?;
    let path = args.text(&PATH)?.unwrap_or(".").to_owned();
    place.lexical(&path)?;
    let context = usize::try_from(args.number("context")?.unwrap_or(0).min(CONTEXT)).unwrap_or(0);
    let most = args.number("limit")?.unwrap_or(MATCHES).clamp(1, MATCHES_MAX);
    Ok(Box::new(Grep {
        place: place.clone(),
        scan: Scan::new(&regex),
        regex,
        glob,
        source: Source::Named(path),
        file: None,
        report: Report { context, most, ..Report::default() },
    }))
}

struct Grep {
    place: Place,
    regex: Regex,
    scan: Scan,
    glob: Option<Glob>,
    source: Source,
    file: Option<File>,
    report: Report,
}

enum Source {
    /// As the model wrote it.
    Named(String),
    Walk(Walk, Spot),
    /// No further file.
    Done,
}

/// A file being searched.
struct File {
    spot: Spot,
    /// Bytes of it read.
    at: u64,
    /// Read, not searched; whole lines, and at the end a part of one.
    bytes: Vec<u8>,
    /// Bytes of that which are done.
    done: usize,
    /// Where the current line ends in them, once it is being searched, and its text.
    line: Option<(usize, String)>,
    number: u64,
    ended: bool,
    /// The rest of a line that is too long is left out.
    skipping: bool,
}

/// The answer as it grows.
#[derive(Default)]
struct Report {
    text: String,
    context: usize,
    most: u64,
    matches: u64,
    /// Lines before the current one that were not shown.
    before: VecDeque<(u64, String)>,
    /// Lines still shown behind a match.
    after: usize,
    /// The line shown last.
    last: u64,
    full: bool,
}

impl Work for Grep {
    fn step(&mut self, disk: &mut dyn Disk) -> Option<Output> {
        match self.slice(disk) {
            Ok(true) => Some(self.output()),
            Ok(false) => None,
            Err(error) => Some(Output::error(error)),
        }
    }
}

impl Grep {
    /// True when it is over.
    fn slice(&mut self, disk: &dyn Disk) -> Result<bool, String> {
        let (mut cost, mut steps, mut bytes) = (0, limits::TOOL_REGEX_STEPS, 0);
        while cost < limits::TOOL_SLICE_ENTRIES && bytes < limits::TOOL_SLICE {
            if self.report.full {
                return Ok(true);
            }
            let Some(file) = &mut self.file else {
                match self.next_file(disk, &mut cost)? {
                    Some(spot) => {
                        self.report.new_file();
                        self.file = Some(File::new(spot));
                    }
                    None if matches!(self.source, Source::Done) => return Ok(true),
                    None => {}
                }
                continue;
            };
            if file.search(&self.regex, &mut self.scan, &mut steps, &mut self.report) {
                return Ok(false);
            }
            // A file opened costs as much as some entries.
            cost += 8;
            if file.ended {
                self.file = None;
                continue;
            }
            match block(&self.place, disk, &file.spot, file.at) {
                Ok(more) => {
                    bytes += more.len();
                    if file.at == 0 && is_binary(&more) {
                        self.file = None;
                    } else {
                        file.take(&more);
                    }
                }
                // One of many that cannot be read is not the end of the search.
                Err(_) if matches!(self.source, Source::Walk(..)) => self.file = None,
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// The next file to search; none also when there is only more to look through.
    fn next_file(&mut self, disk: &dyn Disk, cost: &mut usize) -> Result<Option<Spot>, String> {
        match &mut self.source {
            Source::Named(path) => {
                let spot = self.place.existing(disk, path)?;
                if disk.kind(&spot.path).is_ok_and(|kind| kind == Kind::Dir) {
                    self.source = Source::Walk(Walk::new(spot.path.clone()), spot);
                    return Ok(None);
                }
                let spot = self.place.file(disk, path)?;
                self.source = Source::Done;
                Ok(Some(spot))
            }
            Source::Walk(walk, root) => {
                let Some(found) = walk.next(disk, cost) else {
                    self.report.partial(walk.partial);
                    self.source = Source::Done;
                    return Ok(None);
                };
                let fits = self.glob.as_ref().is_none_or(|glob| glob.fits(&found.path));
                let wanted = fits && found.kind == Kind::File;
                let path = root.path.join(&found.path);
                Ok(wanted.then_some(Spot { path, shown: found.path }))
            }
            Source::Done => Ok(None),
        }
    }

    fn output(&mut self) -> Output {
        let report = &mut self.report;
        let mut text = std::mem::take(&mut report.text);
        if report.matches == 0 {
            text.insert_str(0, "No matches found.");
        }
        if report.full {
            text.push_str(&format!(
                "\n[Only the first {} matches; there may be more: narrow pattern, glob or path]",
                report.matches
            ));
        }
        Output::text(text)
    }
}

impl File {
    fn new(spot: Spot) -> Self {
        Self {
            spot,
            at: 0,
            bytes: Vec::new(),
            done: 0,
            line: None,
            number: 0,
            ended: false,
            skipping: false,
        }
    }

    fn take(&mut self, more: &[u8]) {
        self.at += more.len() as u64;
        self.ended = more.is_empty();
        self.bytes.drain(..self.done.min(self.bytes.len()));
        self.done = 0;
        self.bytes.extend_from_slice(more);
    }

    /// Searches the lines that are there; true when the steps ran out before.
    fn search(
        &mut self,
        regex: &Regex,
        scan: &mut Scan,
        steps: &mut usize,
        report: &mut Report,
    ) -> bool {
        loop {
            let (end, text) = match self.line.take() {
                Some(line) => line,
                None => match self.next_line() {
                    Some(line) => line,
                    None => return false,
                },
            };
            match scan.run(regex, &text, steps) {
                Some(matched) => {
                    self.done = end;
                    report.line(&self.spot.shown, self.number, text, matched);
                    if report.full {
                        return false;
                    }
                }
                None => {
                    self.line = Some((end, text));
                    return true;
                }
            }
        }
    }

    /// The next line, cut to what is searched; `None` when its end is not there yet.
    fn next_line(&mut self) -> Option<(usize, String)> {
        let rest = self.bytes.get(self.done..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n');
        if self.skipping {
            let Some(end) = end else {
                self.done = self.bytes.len();
                return None;
            };
            self.skipping = false;
            self.done += end + 1;
            return self.next_line();
        }
        let (len, next) = match end {
            Some(end) => (end, end + 1),
            None if rest.len() > limits::TOOL_LINE => {
                self.skipping = true;
                (rest.len(), rest.len())
            }
            None if self.ended && !rest.is_empty() => (rest.len(), rest.len()),
            None => return None,
        };
        let line = rest.get(..len.min(limits::TOOL_LINE)).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.number += 1;
        Some((self.done + next, String::from_utf8_lossy(line).into_owned()))
    }
}

impl Report {
    fn new_file(&mut self) {
        self.before.clear();
        (self.after, self.last) = (0, 0);
    }

    fn partial(&mut self, partial: bool) {
        if partial {
            self.text.push_str(PARTIAL);
        }
    }

    fn line(&mut self, file: &str, number: u64, mut text: String, matched: bool) {
        if text.len() > SHOWN {
            text.truncate(text.floor_char_boundary(SHOWN));
            text.push('…');
        }
        if matched && (self.matches == self.most || self.text.len() > limits::TOOL_TEXT) {
            self.full = true;
            return;
        }
        if matched {
            self.matches += 1;
            let first = self.before.front().map_or(number, |(number, _)| *number);
            if self.context > 0 && !self.text.is_empty() && first > self.last + 1 || self.last == 0
            {
                self.gap();
            }
            for (number, text) in std::mem::take(&mut self.before) {
                self.show(file, number, '-', &text);
            }
            self.show(file, number, ':', &text);
            self.after = self.context;
        } else if self.after > 0 {
            self.after -= 1;
            self.show(file, number, '-', &text);
        } else if self.context > 0 {
            if self.before.len() == self.context {
                self.before.pop_front();
            }
            self.before.push_back((number, text));
        }
    }

    /// Between what does not follow each other.
    fn gap(&mut self) {
        if self.context > 0 && !self.text.is_empty() {
            self.text.push_str("--\n");
        }
    }

    fn show(&mut self, file: &str, number: u64, sign: char, text: &str) {
        self.text.push_str(&format!("{file}{sign}{number}{sign} {text}\n"));
        self.last = number;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scratch, run};
    use super::*;

    #[test]
    fn lines_are_found() {
        let scratch = Scratch::new("grep");
        scratch.put("ws/a.txt", "one\ntwo\nthree\nfour\nfive\r\n");
        scratch.put("ws/sub/b.rs", "fn main() {}\n// Two");
        scratch.put("ws/x.bin", b"two\0two");
        scratch.put("ws/.git/c", "two");
        scratch.put("out/secret", "two");
        scratch.link("ws/link", "out/secret");
        let grep = |args| run(&TOOL, &scratch.place, &args).0.all_text();
        let table = [
            (json!({"pattern": "two"}), "a.txt:2: two\n"),
            (json!({"pattern": "two", "ignoreCase": true}), "a.txt:2: two\nsub/b.rs:2: // Two\n"),
            (json!({"pattern": "^f.*e$"}), "a.txt:5: five\n"),
            (json!({"pattern": "main()", "literal": true}), "sub/b.rs:1: fn main() {}\n"),
            (json!({"pattern": "o", "glob": "*.rs"}), "sub/b.rs:2: // Two\n"),
            (json!({"pattern": "two", "path": "a.txt"}), "a.txt:2: two\n"),
            (
                json!({"pattern": "three", "context": 1}),
                "a.txt-2- two\na.txt:3: three\na.txt-4- four\n",
            ),
            (
                json!({"pattern": "one|five", "context": 1}),
                "a.txt:1: one\na.txt-2- two\n--\na.txt-4- four\na.txt:5: five\n",
            ),
            (
                json!({"pattern": "one|three", "context": 1}),
                "a.txt:1: one\na.txt-2- two\na.txt:3: three\na.txt-4- four\n",
            ),
            (json!({"pattern": "nowhere"}), "No matches found."),
        ];
        for (args, want) in table {
            assert_eq!(grep(args.clone()), want, "{args}");
        }
        let text = grep(json!({"pattern": ".", "limit": 2}));
        assert!(text.starts_with("a.txt:1: one\na.txt:2: two\n\n[Only the first 2 matches"));
        for (args, part) in [
            (json!({"pattern": "("}), "the pattern: "),
            (json!({"pattern": "a", "path": ".."}), "outside the workspace"),
            (json!({"pattern": "a", "path": "link"}), "outside the workspace"),
            (json!({"pattern": "a", "path": "x"}), "no such file"),
        ] {
            assert!(grep(args.clone()).contains(part), "{args}");
        }
    }

    #[test]
    fn neither_size_nor_pattern_holds_the_loop() {
        let scratch = Scratch::new("grep-large");
        let line = format!("{}b\n", "a".repeat(999));
        scratch.put("ws/large.txt", line.repeat(2_000) + "needle\n");
        let (out, steps) = run(&TOOL, &scratch.place, &json!({"pattern": "needle"}));
        assert_eq!(out.all_text(), "large.txt:2001: needle\n");
        assert!(steps >= 2_000_000 / limits::TOOL_SLICE, "{steps} steps");
        scratch.put("ws/one.txt", "a".repeat(30_000));
        let evil = json!({"pattern": "(a|aa)+(.*a){9}x", "path": "one.txt"});
        let (out, steps) = run(&TOOL, &scratch.place, &evil);
        assert_eq!(out.all_text(), "No matches found.");
        assert!(steps > 1, "{steps} steps");
        scratch.put("ws/long.txt", "x".repeat(1_000_000) + "\nend\n");
        let (out, _) = run(&TOOL, &scratch.place, &json!({"pattern": "end", "path": "long.txt"}));
        assert_eq!(out.all_text(), "long.txt:2: end\n");
        let args = json!({"pattern": "xx", "path": "long.txt"});
        assert!(run(&TOOL, &scratch.place, &args).0.all_text().len() < 600);
    }
}
