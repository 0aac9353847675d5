//! The language of `apply_patch`: from its text to operations, and from a file's text and hunks
//! to its new text. Nothing here touches a disk.
//!
//! ```text
//!   *** Begin Patch
//!   *** Add File: PATH          then lines with + in front
//!   *** Delete File: PATH
//!   *** Update File: PATH       then perhaps *** Move to: PATH, then hunks:
//!   @@ a line to look for first         (optional text, may repeat)
//!    a line that stays
//!   -a line that goes
//!   +a line that comes
//!   *** End of File                     (the hunk ends where the file does)
//!   *** End Patch
//! ```

use super::edit::plain_line;

/// One operation on a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A new file with this text.
    Add {
        /// As written.
        path: String,
        /// Its whole text.
        text: String,
    },
    /// A file goes.
    Delete {
        /// As written.
        path: String,
    },
    /// A file changes, and perhaps moves.
    Update {
        /// As written.
        path: String,
        /// Where it moves.
        to: Option<String>,
        /// What changes in it, from top to bottom; none when it only moves.
        hunks: Vec<Hunk>,
    },
}

/// Lines that stand in a file, and what comes in their place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hunk {
    /// Lines to go to first, one after the other.
    context: Vec<String>,
    old: Vec<String>,
    new: Vec<String>,
    /// The old lines are the last of the file.
    end: bool,
}

/// Files in one patch.
const OPS: usize = 200;

/// Reads a patch.
///
/// # Errors
/// What is wrong, with the number of the line in the patch.
pub fn parse(input: &str) -> Result<Vec<Op>, String> {
    let mut lines: Vec<&str> = input.trim().lines().collect();
    // Models that think of a shell wrap the patch as a here-document.
    if lines.first().is_some_and(|line| line.starts_with("<<")) && lines.len() > 2 {
        lines.remove(0);
        lines.pop();
    }
    let marker = |line: Option<&&str>, text: &str| line.is_some_and(|line| line.trim() == text);
    if !marker(lines.first(), "*** Begin Patch") {
        return Err("the first line must be *** Begin Patch".to_owned());
    }
    if lines.len() < 2 || !marker(lines.last(), "*** End Patch") {
        return Err("the last line must be *** End Patch".to_owned());
    }
    lines.pop();
    let mut reader = Reader { lines, at: 1 };
    let mut ops = Vec::new();
    while let Some(line) = reader.next() {
        if line.trim().is_empty() {
            continue;
        }
        if ops.len() == OPS {
            return Err(format!("more than {OPS} files in one patch"));
        }
        ops.push(reader.op(line)?);
    }
    if ops.is_empty() { Err("the patch names no file".to_owned()) } else { Ok(ops) }
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.lines.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'a str> {
        let line = self.peek()?;
        self.at += 1;
        Some(line)
    }

    fn wrong<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("line {} of the patch: {what}", self.at))
    }

    fn op(&mut self, line: &str) -> Result<Op, String> {
        let line = line.trim();
        let path = |prefix: &str| {
            let path = line.strip_prefix(prefix)?.trim();
            (!path.is_empty()).then(|| path.to_owned())
        };
        if let Some(path) = path("*** Add File:") {
            return self.add(path);
        }
        if let Some(path) = path("*** Delete File:") {
            return Ok(Op::Delete { path });
        }
        if let Some(path) = path("*** Update File:") {
            return self.update(path);
        }
        self.wrong("expected *** Add File: PATH, *** Delete File: PATH or *** Update File: PATH")
    }

    fn add(&mut self, path: String) -> Result<Op, String> {
        let mut text = String::new();
        while let Some(line) = self.peek().filter(|line| !line.starts_with("***")) {
            self.at += 1;
            match line.strip_prefix('+') {
                Some(line) => {
                    text.push_str(line);
                    text.push('\n');
                }
                None if line.trim().is_empty() => {}
                None => return self.wrong("lines of an added file begin with +"),
            }
        }
        Ok(Op::Add { path, text })
    }

    fn update(&mut self, path: String) -> Result<Op, String> {
        let mut to = None;
        if let Some(target) = self.peek().and_then(|line| line.strip_prefix("*** Move to:")) {
            self.at += 1;
            let target = target.trim();
            if target.is_empty() {
                return self.wrong("*** Move to: names no path");
            }
            to = Some(target.to_owned());
        }
        let mut hunks: Vec<Hunk> = Vec::new();
        // A new hunk begins at @@, and after *** End of File.
        let mut open = false;
        while let Some(line) = self.peek() {
            let ends = line.trim_end() == "*** End of File";
            if line.starts_with("***") && !ends {
                break;
            }
            self.at += 1;
            if let Some(rest) = line.strip_prefix("@@") {
                let fresh = hunks
                    .last()
                    .is_none_or(|hunk| !open || !hunk.old.is_empty() || !hunk.new.is_empty());
                if fresh {
                    hunks.push(Hunk::default());
                }
                open = true;
                let rest = rest.strip_prefix(' ').unwrap_or(rest).trim_end();
                if !rest.is_empty()
                    && let Some(hunk) = hunks.last_mut()
                {
                    hunk.context.push(rest.to_owned());
                }
                continue;
            }
            if !open && !ends {
                hunks.push(Hunk::default());
                open = true;
            }
            let Some(hunk) = hunks.last_mut() else {
                return self.wrong("*** End of File stands behind the lines of a hunk");
            };
            if ends {
                hunk.end = true;
                open = false;
                continue;
            }
            match line.split_at_checked(1) {
                None => {
                    hunk.old.push(String::new());
                    hunk.new.push(String::new());
                }
                Some((" ", text)) => {
                    hunk.old.push(text.to_owned());
                    hunk.new.push(text.to_owned());
                }
                Some(("-", text)) => hunk.old.push(text.to_owned()),
                Some(("+", text)) => hunk.new.push(text.to_owned()),
                Some(_) => {
                    return self.wrong("a line of a hunk begins with a space, - or +, or is @@");
                }
            }
        }
        hunks.retain(|hunk| !hunk.old.is_empty() || !hunk.new.is_empty());
        if hunks.is_empty() && to.is_none() {
            return self.wrong("the update changes nothing: no lines with - or +");
        }
        Ok(Op::Update { path, to, hunks })
    }
}

/// Hunks being applied to a text, some at a time.
pub struct Applier {
    /// Line by line, without breaks; and each without what models get wrong.
    lines: Vec<String>,
    plain: Vec<String>,
    crlf: bool,
    /// The text ends with a line break.
    ended: bool,
    hunks: std::vec::IntoIter<Hunk>,
    /// Hunks are looked for from this line on.
    cursor: usize,
    number: usize,
    /// First line, lines that go, lines that come; in order.
    changes: Vec<(usize, usize, Vec<String>)>,
}

impl Applier {
    /// To a whole text.
    pub fn new(text: &str, hunks: Vec<Hunk>) -> Self {
        let breaks = text.matches('\n').count();
        let crlf = breaks > 0 && text.matches("\r\n").count() == breaks;
        let ended = text.is_empty() || text.ends_with('\n');
        let bare = |line: &str| {
            let line = line.strip_suffix('\n').unwrap_or(line);
            if crlf { line.strip_suffix('\r').unwrap_or(line) } else { line }.to_owned()
        };
        let lines: Vec<String> = text.split_inclusive('\n').map(bare).collect();
        let plain = lines.iter().map(|line| plain_line(line)).collect();
        let hunks = hunks.into_iter();
        Self { lines, plain, crlf, ended, hunks, cursor: 0, number: 0, changes: Vec::new() }
    }

    /// Places hunks until about `budget` lines were compared; the new text when all are placed.
    ///
    /// # Errors
    /// Which hunk does not fit, with its first lines.
    pub fn step(&mut self, budget: usize) -> Result<Option<String>, String> {
        let mut cost = 0;
        while cost < budget {
            let Some(hunk) = self.hunks.next() else { return Ok(Some(self.text())) };
            self.number += 1;
            self.place(hunk, &mut cost)?;
        }
        Ok(None)
    }

    fn place(&mut self, hunk: Hunk, cost: &mut usize) -> Result<(), String> {
        for context in &hunk.context {
            let one = std::slice::from_ref(context);
            match self.seek(one, false, cost) {
                Some(at) => self.cursor = at + 1,
                None => {
                    return Err(format!(
                        "hunk {}: there is no line \"{}\" from line {} on",
                        self.number,
                        shown(context),
                        self.cursor + 1
                    ));
                }
            }
        }
        if hunk.old.is_empty() {
            let behind_context = !hunk.context.is_empty() && !hunk.end;
            let at = if behind_context { self.cursor } else { self.lines.len() };
            self.cursor = at;
            self.changes.push((at, 0, hunk.new));
            return Ok(());
        }
        let (mut old, mut new) = (hunk.old, hunk.new);
        let mut found = self.seek(&old, hunk.end, cost);
        if found.is_none() && old.last().is_some_and(String::is_empty) {
            // An empty line at the end of a hunk is often only the end of the text.
            old.pop();
            if new.last().is_some_and(String::is_empty) {
                new.pop();
            }
            found = if old.is_empty() { None } else { self.seek(&old, hunk.end, cost) };
        }
        let Some(at) = found else {
            let first = old.iter().find(|line| !line.trim().is_empty());
            return Err(format!(
                "hunk {}: its {} lines, from \"{}\" on, do not stand in the file from line {} on; \
                 read the file again",
                self.number,
                old.len(),
                shown(first.map_or("", String::as_str)),
                self.cursor + 1
            ));
        };
        self.cursor = at + old.len();
        self.changes.push((at, old.len(), new));
        Ok(())
    }

    /// The first place of these lines from the cursor on: exactly, without white space at line
    /// ends and typography, without any white space around.
    fn seek(&self, wanted: &[String], end: bool, cost: &mut usize) -> Option<usize> {
        let last = self.lines.len().checked_sub(wanted.len())?;
        let from = if end { last.max(self.cursor) } else { self.cursor };
        let mut look = |fits: &dyn Fn(usize) -> bool| {
            let found = (from..=last).find(|at| fits(*at));
            *cost += found.map_or(last + 1, |at| at + 1).saturating_sub(from);
            found
        };
        let exact = |at: usize| self.lines.get(at..at + wanted.len()) == Some(wanted);
        if let Some(at) = look(&exact) {
            return Some(at);
        }
        let wanted: Vec<String> = wanted.iter().map(|line| plain_line(line)).collect();
        let plain = |at: usize| self.plain.get(at..at + wanted.len()) == Some(wanted.as_slice());
        let trimmed = |at: usize| {
            let lines = self.plain.get(at..at + wanted.len()).unwrap_or_default();
            lines.iter().map(|line| line.trim()).eq(wanted.iter().map(|line| line.trim()))
        };
        let blank = wanted.iter().all(|line| line.trim().is_empty());
        look(&plain).or_else(|| if blank { None } else { look(&trimmed) })
    }

    fn text(&mut self) -> String {
        let (mut out, mut at) = (Vec::new(), 0);
        let mut ended = self.ended;
        for (from, gone, new) in std::mem::take(&mut self.changes) {
            out.extend_from_slice(self.lines.get(at..from).unwrap_or_default());
            out.extend(new);
            at = from + gone;
            // What a patch writes at the end of a file ends with a line break.
            ended |= at >= self.lines.len();
        }
        out.extend_from_slice(self.lines.get(at..).unwrap_or_default());
        let end = if self.crlf { "\r\n" } else { "\n" };
        let mut text = out.join(end);
        if ended && !out.is_empty() {
            text.push_str(end);
        }
        text
    }
}

fn shown(line: &str) -> &str {
    line.get(..line.floor_char_boundary(80)).unwrap_or_default()
}

/// Any bytes: a patch, and behind a NUL the text of the file that its updates meet. Never a
/// panic; hunks of a text that fit it once leave their new lines in it.
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data.get(..8192).unwrap_or(data)).into_owned();
    let (patch, body) = text.split_once('\0').unwrap_or((&text, ""));
    let Ok(ops) = parse(patch) else { return };
    assert!(!ops.is_empty() && ops.len() <= OPS);
    for op in ops {
        let Op::Update { hunks, to, .. } = op else { continue };
        assert!(to.is_some() || !hunks.is_empty());
        let lines: Vec<String> = hunks.iter().flat_map(|hunk| hunk.new.clone()).collect();
        let mut applier = Applier::new(body, hunks);
        let result = loop {
            match applier.step(1) {
                Ok(None) => {}
                Ok(Some(text)) => break text,
                Err(_) => return,
            }
        };
        for line in lines.iter().filter(|line| !line.is_empty()) {
            assert!(result.contains(line.as_str()), "{line:?} is in {result:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(text: &str, hunks: &str) -> Result<String, String> {
        let ops = parse(&format!("*** Begin Patch\n*** Update File: f\n{hunks}\n*** End Patch"))?;
        let Some(Op::Update { hunks, .. }) = ops.into_iter().next() else { panic!("an update") };
        let mut applier = Applier::new(text, hunks);
        loop {
            if let Some(text) = applier.step(1)? {
                return Ok(text);
            }
        }
    }

    #[test]
    fn the_documented_example_is_read() {
        let patch = "*** Begin Patch\n*** Add File: path/to/file.txt\n+line 1\n+line 2\n\
                     *** Update File: src/app.ts\n@@ optional change context\n-old line\n\
                     +new line\n*** Update File: src/old-name.ts\n*** Move to: src/new-name.ts\n\
                     @@\n context line\n-old line\n+new line\n*** Update File: src/tail.ts\n@@\n\
                     +appended last line\n*** End of File\n*** Delete File: obsolete.txt\n\
                     *** End Patch";
        let ops = parse(patch).expect("a patch");
        assert_eq!(ops.len(), 5);
        assert_eq!(
            ops[0],
            Op::Add { path: "path/to/file.txt".to_owned(), text: "line 1\nline 2\n".to_owned() }
        );
        let Op::Update { to, hunks, .. } = &ops[2] else { panic!("an update") };
        assert_eq!((to.as_deref(), hunks.len()), (Some("src/new-name.ts"), 1));
        let Op::Update { hunks, .. } = &ops[3] else { panic!("an update") };
        assert!(hunks[0].end && hunks[0].old.is_empty());
        assert_eq!(parse(&format!("<<'EOF'\n{patch}\nEOF")), Ok(ops));
    }

    #[test]
    fn hunks_find_their_place() {
        let table = [
            ("a\nb\nc\n", "@@\n a\n-b\n+B\n c", "a\nB\nc\n"),
            ("a\nb\nc\n", " a\n-b\n+B", "a\nB\nc\n"),
            ("x\ny\nx\ny\n", "@@ y\n-x\n+z", "x\ny\nz\ny\n"),
            ("f\nx\ng\nx\n", "@@ g\n-x\n+z", "f\nx\ng\nz\n"),
            ("c\nf\nx\nc\nf\nx\n", "@@ x\n@@ f\n-x\n+z", "c\nf\nx\nc\nf\nz\n"),
            ("a\nb\n", "@@\n+c\n*** End of File", "a\nb\nc\n"),
            ("a\nb\n", "@@\n+c", "a\nb\nc\n"),
            ("a\nb\n", "@@ a\n+c", "a\nc\nb\n"),
            ("x\na\nx\n", "@@\n-x\n+z\n*** End of File", "x\na\nz\n"),
            ("a  \n\u{201c}b\u{201d}\n", "@@\n-a\n-\"b\"\n+c", "c\n"),
            ("  a\n", "@@\n-a\n+b", "b\n"),
            ("a\r\nb\r\n", "@@\n-b\n+c", "a\r\nc\r\n"),
            ("a\nb", "@@\n-a\n+c", "c\nb"),
            ("a\nb", "@@\n-b\n+c", "a\nc\n"),
            ("", "@@\n+first", "first\n"),
            ("a\n", "@@\n-a", ""),
            ("1\n2\n3\n4\n", "@@\n-1\n+one\n@@\n-4\n+four", "one\n2\n3\nfour\n"),
            ("a\n\nb\n", "@@\n a\n\n-b\n+c", "a\n\nc\n"),
        ];
        for (text, hunks, want) in table {
            assert_eq!(applied(text, hunks).as_deref(), Ok(want), "{text:?} {hunks:?}");
        }
        for (text, hunks, part) in [
            ("a\n", "@@\n-b\n+c", "hunk 1: its 1 lines, from \"b\" on"),
            ("a\nb\n", "@@\n-b\n+c\n@@\n-a\n+d", "hunk 2"),
            ("a\n", "@@ nowhere\n-a\n+b", "no line \"nowhere\""),
        ] {
            let error = applied(text, hunks).expect_err(hunks);
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_is_no_patch_is_refused_with_its_line() {
        for (patch, part) in [
            ("", "first line must be"),
            ("*** Begin Patch", "last line must be"),
            ("*** Begin Patch\n*** End Patch", "names no file"),
            ("*** Begin Patch\nhello\n*** End Patch", "line 2 of the patch"),
            ("*** Begin Patch\n*** Add File: a\nx\n*** End Patch", "begin with +"),
            ("*** Begin Patch\n*** Add File:\n*** End Patch", "expected ***"),
            ("*** Begin Patch\n*** Update File: a\n*** End Patch", "changes nothing"),
            ("*** Begin Patch\n*** Update File: a\n@@\nx\n*** End Patch", "begins with a space"),
            ("*** Begin Patch\n*** Update File: a\n*** Move to:\n*** End Patch", "names no path"),
        ] {
            let error = parse(patch).expect_err(patch);
            assert!(error.contains(part), "{error}");
        }
    }
}
