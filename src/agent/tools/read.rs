//! `read`: lines of a text file from a line number on, or an image.
//!
//! The file is read in slices to the first line wanted, then until the answer is full; a file of
//! any size costs no more memory than the answer. Bytes that are not UTF-8 are shown as U+FFFD;
//! a NUL among the first bytes means binary, which is not shown.

use super::place::{Spot, failure};
use super::{Args, How, Output, PATH, Place, Section, Tool, Work, object};
use crate::agent::turn::Part;
use crate::limits;
use crate::store::Disk;
use crate::wire::hash::base64;
use serde_json::json;

/// The row.
pub const TOOL: Tool = Tool {
    name: "read",
    title: "Read",
    description: "Read a file. Text comes as it is, at most 2000 lines or 50 KiB; go on with \
                  offset. Images (png, jpeg, gif, webp) come as images.",
    parameters: || {
        let from = json!({"type": "integer", "minimum": 1, "description": "First line, from 1"});
        let lines = json!({"type": "integer", "minimum": 1, "description": "How many lines"});
        object(&[
            ("path", json!({"type": "string", "description": "File, relative or absolute"}), true),
            ("offset", from, false),
            ("limit", lines, false),
        ])
    },
    section: Section::Fs,
    changes: false,
    how: How::Disk(start),
};

fn start(place: &Place, args: &Args) -> Result<Box<dyn Work>, String> {
    let path = args.must_text(&PATH)?.to_owned();
    place.lexical(&path)?;
    let first = args.number("offset")?.unwrap_or(1).max(1);
    let lines = args.number("limit")?.unwrap_or(u64::MAX).clamp(1, limits::TOOL_READ_LINES);
    let window = Window::new(first, lines, "offset");
    Ok(Box::new(Read { place: place.clone(), state: State::Open(path, window) }))
}

struct Read {
    place: Place,
    state: State,
}

enum State {
    Open(String, Window),
    Text(Spot, Window),
    Image { spot: Spot, mime: &'static str, bytes: Vec<u8> },
}

impl Work for Read {
    fn step(&mut self, disk: &mut dyn Disk) -> Option<Output> {
        self.slice(disk).unwrap_or_else(|error| Some(Output::error(error)))
    }
}

impl Read {
    fn slice(&mut self, disk: &dyn Disk) -> Result<Option<Output>, String> {
        match &mut self.state {
            State::Open(path, window) => {
                let spot = self.place.file(disk, path)?;
                let head = block(&self.place, disk, &spot, 0)?;
                if let Some(mime) = image(&head) {
                    self.state = State::Image { spot, mime, bytes: head };
                    return Ok(None);
                }
                if is_binary(&head) {
                    let size = disk.stat(&spot.path).map_or(0, |stat| stat.len);
                    return Err(format!("{} is a binary file ({size} bytes)", spot.shown));
                }
                let mut window = std::mem::take(window);
                let done = window.take(&head);
                let out = if done { window.output(&spot).map(Some) } else { Ok(None) };
                self.state = State::Text(spot, window);
                out
            }
            State::Text(spot, window) => {
                let bytes = block(&self.place, disk, spot, window.at)?;
                if window.take(&bytes) { window.output(spot).map(Some) } else { Ok(None) }
            }
            State::Image { spot, mime, bytes } => {
                if bytes.len() > limits::IMAGE {
                    let most = limits::IMAGE;
                    return Err(format!("{} is an image of more than {most} bytes", spot.shown));
                }
                let more = block(&self.place, disk, spot, bytes.len() as u64)?;
                if !more.is_empty() {
                    bytes.extend_from_slice(&more);
                    return Ok(None);
                }
                let text = format!("Image {} ({mime}, {} bytes)", spot.shown, bytes.len());
                let image = Part::Image { mime: (*mime).to_owned(), data: base64(bytes) };
                Ok(Some(Output { content: vec![Part::Text(text), image], ..Output::default() }))
            }
        }
    }
}

/// A slice of a file that was checked before; empty at its end.
pub(super) fn block(
    place: &Place,
    disk: &dyn Disk,
    spot: &Spot,
    at: u64,
) -> Result<Vec<u8>, String> {
    place.confirm(disk, spot, true)?;
    disk.read_at(&spot.path, at, limits::TOOL_SLICE)
        .map_err(|error| failure(&spot.shown, "read", &error))
}

/// The lines asked for, out of the bytes of a file as they come.
#[derive(Default)]
pub(super) struct Window {
    /// First line wanted, from 1, and how many.
    first: u64,
    lines: u64,
    /// Number of the line that the next byte belongs to, while lines are skipped.
    line: u64,
    /// Bytes of the file seen.
    at: u64,
    /// The last line skipped has begun.
    begun: bool,
    /// What is wanted, with whole lines among it.
    kept: Vec<u8>,
    whole: u64,
    /// Something follows what was kept.
    more: bool,
    /// The argument to go on with.
    word: &'static str,
}

impl Window {
    /// `lines` lines from line `first`, from 1; a model goes on with the argument `word`.
    pub(super) fn new(first: u64, lines: u64, word: &'static str) -> Self {
        Self { first, lines, line: 1, word, ..Self::default() }
    }

    /// Where the next bytes begin.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Takes the next bytes, none at the end of the file; true when the answer is there.
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        self.at += bytes.len() as u64;
        let mut rest = bytes;
        while self.line < self.first {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.begun |= !rest.is_empty();
                return false;
            };
            rest = rest.get(end + 1..).unwrap_or_default();
            self.line += 1;
            self.begun = false;
        }
        while !rest.is_empty() {
            if self.whole == self.lines || self.kept.len() > limits::TOOL_TEXT {
                self.more = true;
                return true;
            }
            let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
            let (line, after) = rest.split_at(end);
            self.kept.extend_from_slice(line);
            self.whole += u64::from(line.ends_with(b"\n"));
            rest = after;
        }
        self.kept.len() > limits::TOOL_TEXT
    }

    /// The answer.
    ///
    /// # Errors
    /// The first line is beyond the end.
    pub(super) fn output(&mut self, spot: &Spot) -> Result<Output, String> {
        let mut kept = std::mem::take(&mut self.kept);
        if kept.is_empty() {
            if self.first == 1 {
                return Ok(Output::text("[The file is empty]"));
            }
            let (first, lines) = (self.first, self.line - 1 + u64::from(self.begun));
            return Err(format!(
                "line {first} is beyond the end: {} has {lines} lines",
                spot.shown
            ));
        }
        let mut lines = self.whole + u64::from(!kept.ends_with(b"\n"));
        let mut note = String::new();
        if kept.len() > limits::TOOL_TEXT {
            self.more = true;
            kept.truncate(limits::TOOL_TEXT);
            match kept.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => {
                    kept.truncate(end + 1);
                    lines = kept.iter().filter(|byte| **byte == b'\n').count() as u64;
                }
                None => {
                    lines = 1;
                    note = format!("; line {} is longer than 50 KiB and is cut", self.first);
                }
            }
        }
        let mut text = String::from_utf8_lossy(&kept).into_owned();
        let (first, last) = (self.first, self.first + lines - 1);
        if self.more {
            let (next, word) = (last + 1, self.word);
            let gap = if text.ends_with('\n') { "\n" } else { "\n\n" };
            text.push_str(&format!(
                "{gap}[Lines {first} to {last}{note}. There is more: go on with {word}={next}]"
            ));
        }
        let details = json!({"path": spot.path, "firstLine": first, "lastLine": last,
                             "truncated": self.more});
        Ok(Output { details: Some(details), ..Output::text(text) })
    }
}

/// True when these first bytes are not those of a text.
pub(super) fn is_binary(head: &[u8]) -> bool {
    head.iter().take(limits::TOOL_SNIFF).any(|byte| *byte == 0)
}

/// The media type of an image that models take, by its first bytes.
fn image(head: &[u8]) -> Option<&'static str> {
    let riff = head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP");
    Some(match head {
        _ if head.starts_with(b"\x89PNG\r\n\x1a\n") => "image/png",
        _ if head.starts_with(b"\xff\xd8\xff") => "image/jpeg",
        _ if head.starts_with(b"GIF87a") || head.starts_with(b"GIF89a") => "image/gif",
        _ if riff => "image/webp",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scratch, run};
    use super::*;

    #[test]
    fn lines_come_in_windows() {
        let scratch = Scratch::new("read");
        scratch.put("ws/a.txt", "one\ntwo\nthree");
        scratch.put("ws/empty", "");
        scratch.put("ws/bad.txt", b"caf\xe9\n");
        let table = [
            (json!({"path": "a.txt"}), "one\ntwo\nthree"),
            (json!({"path": "a.txt", "offset": 2}), "two\nthree"),
            (json!({"path": "a.txt", "offset": "3"}), "three"),
            (
                json!({"file_path": "a.txt", "offset": 2, "limit": 1}),
                "two\n\n[Lines 2 to 2. There is more: go on with offset=3]",
            ),
            (json!({"path": "a.txt", "limit": 3}), "one\ntwo\nthree"),
            (json!({"path": "empty"}), "[The file is empty]"),
            (json!({"path": "bad.txt"}), "caf\u{fffd}\n"),
        ];
        for (args, want) in table {
            let (out, _) = run(&TOOL, &scratch.place, &args);
            assert_eq!((out.all_text().as_str(), out.is_error), (want, false), "{args}");
        }
        for (args, part) in [
            (json!({"path": "a.txt", "offset": 4}), "beyond the end: a.txt has 3 lines"),
            (json!({"path": "none"}), "no such file"),
            (json!({"path": "."}), "is a directory"),
            (json!({"path": "../a"}), "outside the workspace"),
            (json!({"path": 3}), "must be a string"),
            (json!({}), "missing argument \"path\""),
        ] {
            let (out, _) = run(&TOOL, &scratch.place, &args);
            assert!(out.is_error && out.all_text().contains(part), "{args}: {}", out.all_text());
        }
    }

    #[test]
    fn a_large_file_is_read_in_slices_and_its_answer_is_capped() {
        let scratch = Scratch::new("read-large");
        let line = format!("{}\n", "x".repeat(99));
        scratch.put("ws/large.txt", line.repeat(100_000));
        let (out, steps) = run(&TOOL, &scratch.place, &json!({"path": "large.txt"}));
        let text = out.all_text();
        assert!(text.len() <= limits::TOOL_TEXT + 200, "{}", text.len());
        assert!(text.ends_with("[Lines 1 to 512. There is more: go on with offset=513]"));
        assert_eq!(steps, 1);
        let last = json!({"path": "large.txt", "offset": 100_000});
        let (out, steps) = run(&TOOL, &scratch.place, &last);
        assert_eq!(out.all_text(), line);
        assert_eq!(steps, 10_000_000usize.div_ceil(limits::TOOL_SLICE) + 1);
        scratch.put("ws/long.txt", "é".repeat(400_000));
        let (out, steps) = run(&TOOL, &scratch.place, &json!({"path": "long.txt"}));
        assert!(out.all_text().contains("line 1 is longer than 50 KiB"));
        assert!(out.all_text().len() <= limits::TOOL_TEXT + 200 && steps == 1);
        scratch.put("ws/short.txt", "y\n".repeat(5000));
        let (out, _) = run(&TOOL, &scratch.place, &json!({"path": "short.txt", "limit": 9000}));
        assert!(out.all_text().ends_with("go on with offset=2001]"));
    }

    #[test]
    fn images_are_shown_and_other_bytes_are_not() {
        let scratch = Scratch::new("read-image");
        scratch.put("ws/i.png", b"\x89PNG\r\n\x1a\n\0\0rest");
        scratch.put("ws/x.bin", b"ab\0cd");
        let mut large = b"\xff\xd8\xff".to_vec();
        large.resize(limits::IMAGE + 1, 1);
        scratch.put("ws/large.jpg", &large);
        let (out, _) = run(&TOOL, &scratch.place, &json!({"path": "i.png"}));
        let want =
            Part::Image { mime: "image/png".to_owned(), data: "iVBORw0KGgoAAHJlc3Q=".to_owned() };
        assert_eq!(out.content.get(1), Some(&want));
        let (out, _) = run(&TOOL, &scratch.place, &json!({"path": "x.bin"}));
        assert!(out.is_error && out.all_text().contains("binary file (5 bytes)"));
        let (out, steps) = run(&TOOL, &scratch.place, &json!({"path": "large.jpg"}));
        assert!(out.is_error && out.all_text().contains("more than"), "{}", out.all_text());
        assert!(steps > 20);
    }
}
