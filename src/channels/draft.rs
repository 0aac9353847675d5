//! An answer while it is written: cut into blocks, put together again, shown at a pace people can
//! follow. Plain values; text and time are handed in.
//!
//! ```text
//!   text of a turn so far --[Chunker]--> blocks --[Coalescer]--> messages of their own
//!                         \-----------------------[Pace]-------> edits of one message
//! ```
//!
//! A block ends where a paragraph, a line, a sentence or a word ends, in this order, and only
//! when nothing of that is there in the middle of one; never inside of code, unless one block of
//! code is longer than a block may be: it is closed and opened again. What a block has taken is a
//! number of bytes of the text ([`Block::upto`]), so that whoever knows the number and the text
//! knows the rest ([`rest`]), also in another life of the process.

use super::text::{FENCE, closes, fence, floor, harmless, harms, unsaid};
use crate::driver::Time;

/// Where a block should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Prefer {
    /// At a blank line.
    #[default]
    Paragraph,
    /// At the end of a line.
    Newline,
    /// At the end of a sentence.
    Sentence,
}

impl Prefer {
    /// `breakPreference`.
    pub fn of(word: Option<&str>) -> Self {
        match word {
            Some("newline") => Self::Newline,
            Some("sentence") => Self::Sentence,
            _ => Self::Paragraph,
        }
    }

    /// What stands between two blocks that become one message.
    pub fn joiner(self) -> &'static str {
        match self {
            Self::Paragraph => "\n\n",
            Self::Newline => "\n",
            Self::Sentence => " ",
        }
    }
}

/// How blocks are cut.
#[derive(Debug, Clone, Copy)]
pub struct Chunking {
    /// No smaller block, unless it is the last of its text.
    pub min: usize,
    /// No larger one.
    pub max: usize,
    /// Where it should end.
    pub prefer: Prefer,
    /// How the service counts.
    pub length: fn(&str) -> usize,
}

/// A part of an answer that stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Markdown; code that is cut is closed and opened again.
    pub text: String,
    /// Bytes of the answer that this and the blocks before it have taken.
    pub upto: usize,
}

/// Cuts one text that grows into blocks.
#[derive(Debug, Clone)]
pub struct Chunker {
    rules: Chunking,
    /// Bytes taken.
    at: usize,
    /// The line that opened the code that byte `at` stands in, and its mark.
    open: Option<(String, String)>,
}

impl Chunker {
    /// A chunker at the beginning of a text.
    pub fn new(mut rules: Chunking) -> Self {
        rules.max = rules.max.max(16);
        rules.min = rules.min.clamp(1, rules.max);
        Self { rules, at: 0, open: None }
    }

    /// Bytes that blocks have taken.
    pub fn taken(&self) -> usize {
        self.at
    }

    /// Another text begins.
    pub fn reset(&mut self) {
        (self.at, self.open) = (0, None);
    }

    /// The next block of a text that begins as it did; with `all` also what is too small or does
    /// not end well.
    pub fn next(&mut self, text: &str, all: bool) -> Option<Block> {
        loop {
            let rest = text.get(self.at..).filter(|rest| !rest.is_empty())?;
            let head = self.open.as_ref().map(|(line, _)| format!("{line}\n")).unwrap_or_default();
            let close = self.open.as_ref().map_or(0, |(_, mark)| mark.len() + 1);
            let room = self.rules.max.saturating_sub((self.rules.length)(&head) + close).max(4);
            let whole = (self.rules.length)(rest) <= room;
            let cut = match (whole, all) {
                (true, true) => rest.len(),
                (true, false) => self.good(rest)?,
                (false, _) => self.forced(rest, room, !all)?,
            };
            let part = rest.get(..cut)?;
            let mut body = format!("{head}{part}");
            self.at += cut;
            self.open = within(self.open.take(), rest, cut);
            if let Some((line, mark)) = &self.open {
                let (before, last) = body.trim_end().rsplit_once('\n').unwrap_or(("", body.trim()));
                let opens = last.trim() == line && within(None, before, before.len()).is_none();
                match opens.then_some(before) {
                    // A line that opens code and has nothing of it yet opens it in the next block.
                    Some(before) => body.truncate(before.len()),
                    None => body = format!("{}\n{mark}", body.trim_end_matches('\n')),
                }
            }
            let text = body.trim_matches('\n').trim_end();
            if !text.is_empty() && !is_hollow(text) {
                return Some(Block { text: text.to_owned(), upto: self.at });
            }
        }
    }

    /// What no block has taken, as a text that stands for itself.
    pub fn rest(&self, text: &str) -> String {
        let rest = text.get(self.at..).unwrap_or_default();
        match &self.open {
            Some((line, _)) => format!("{line}\n{}", rest.trim_start_matches('\n')),
            None => rest.trim_matches('\n').to_owned(),
        }
    }

    /// Where a block may end well although there is room for more: at what is preferred, or at
    /// something better.
    fn good(&self, rest: &str) -> Option<usize> {
        let ends = Ends::find(rest, self.open.as_ref().map(|(_, mark)| mark.as_str()), true);
        let min = self.rules.min;
        let large = |at: usize| {
            rest.get(..at).is_some_and(|front| (self.rules.length)(front.trim_end()) >= min)
        };
        let mut best = ends.last(Prefer::Paragraph, rest.len(), &large);
        if self.rules.prefer >= Prefer::Newline {
            best = best.max(ends.last(Prefer::Newline, rest.len(), &large));
        }
        if self.rules.prefer >= Prefer::Sentence {
            best = best.max(ends.last(Prefer::Sentence, rest.len(), &large));
        }
        best
    }

    /// Where a block ends for which there is no more room; none while that depends on how its
    /// line goes on.
    fn forced(&self, rest: &str, room: usize, grows: bool) -> Option<usize> {
        let hard = harmless(rest, floor(rest, room, self.rules.length), grows)?;
        let ends = Ends::find(rest, self.open.as_ref().map(|(_, mark)| mark.as_str()), grows);
        let min = self.rules.min.min(room);
        let large = |at: usize| {
            rest.get(..at).is_some_and(|front| (self.rules.length)(front.trim_end()) >= min)
        };
        let any = |at: usize| at > 0;
        for large in [&large as &dyn Fn(usize) -> bool, &any] {
            for kind in [Prefer::Paragraph, Prefer::Newline, Prefer::Sentence] {
                if kind >= self.rules.prefer
                    && let Some(at) = ends.last(kind, hard, large)
                {
                    return Some(at);
                }
            }
            if let Some(at) = ends.word.iter().rev().find(|at| **at <= hard && large(**at)) {
                return Some(*at);
            }
        }
        // Inside of code: room for its mark, at the end of a line if there is one.
        let Some(code) = ends.code.iter().find(|(from, to)| *from < hard && hard < *to) else {
            return Some(hard);
        };
        // Of code that was open before, its room is taken already.
        let mark = if self.open.is_none() { code_mark(rest, code.0) } else { 0 };
        let room = room.saturating_sub(mark).max(1);
        let hard = harmless(rest, floor(rest, room, self.rules.length), grows)?;
        let front = rest.get(..hard).unwrap_or_default();
        let line = front.rfind('\n').map(|at| at + 1);
        Some(line.filter(|at| *at > code.0 && at * 2 > hard).unwrap_or(hard))
    }
}

/// Bytes that the mark of the code which begins at `from` takes at its end.
fn code_mark(rest: &str, from: usize) -> usize {
    let line = rest.get(from..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    fence(line).map_or(0, |(mark, _)| mark.len() + 1)
}

/// A block of code with nothing in it.
fn is_hollow(text: &str) -> bool {
    let mut lines = text.lines();
    let Some((mark, _)) = lines.next().and_then(fence) else { return false };
    lines.all(|line| line.trim().is_empty() || closes(line, mark))
}

/// The code that is open `upto` bytes into a text, when `open` was before it. A line that is cut
/// there is what the whole of it is.
fn within(open: Option<(String, String)>, text: &str, upto: usize) -> Option<(String, String)> {
    let mut open = open;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if at >= upto {
            break;
        }
        at += line.len();
        let line = line.trim_end_matches(['\n', '\r']);
        open = match open {
            Some((_, mark)) if closes(line, &mark) => None,
            Some(open) => Some(open),
            None => fence(line).map(|(mark, _)| (line.trim().to_owned(), mark.to_owned())),
        };
    }
    open
}

/// Places outside of code at which a text may be cut: behind the blank of a word, a sentence, a
/// line, a paragraph.
#[derive(Default)]
struct Ends {
    paragraph: Vec<usize>,
    newline: Vec<usize>,
    sentence: Vec<usize>,
    word: Vec<usize>,
    /// Blocks of code: from the line that opens to behind the one that closes.
    code: Vec<(usize, usize)>,
}

impl Ends {
    fn find(text: &str, mark: Option<&str>, grows: bool) -> Self {
        let mut ends = Self::default();
        let mut code = mark.map(|mark| (0, mark.to_owned()));
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let end = at + line.len();
            let whole = line.ends_with('\n');
            match code.take() {
                Some((from, mark)) if closes(line, &mark) => {
                    ends.code.push((from, end));
                    if whole {
                        ends.newline.push(end);
                    }
                }
                Some(open) => code = Some(open),
                None => {
                    if let Some((mark, _)) = fence(line) {
                        code = Some((at, mark.to_owned()));
                    } else {
                        ends.line(line, at, grows);
                    }
                }
            }
            at = end;
        }
        ends.code.extend(code.map(|(from, _)| (from, usize::MAX)));
        ends
    }

    fn line(&mut self, line: &str, at: usize, grows: bool) {
        let whole = line.ends_with('\n');
        if whole && line.trim().is_empty() {
            self.paragraph.push(at + line.len());
        }
        let mut before = ' ';
        let mut chars = line.char_indices().peekable();
        while let Some((i, c)) = chars.next() {
            let next = chars.peek().map(|(_, c)| *c);
            let word = c == ' ' && next.is_some_and(|next| next != ' ');
            let wide = matches!(c, '。' | '！' | '？') && next.is_some();
            let end = i + c.len_utf8();
            if (word || wide) && !harms(line, end, grows) {
                self.word.push(at + end);
                if wide || matches!(before, '.' | '!' | '?' | '…' | ':') {
                    self.sentence.push(at + end);
                }
            }
            before = c;
        }
        if whole {
            self.newline.push(at + line.len());
        }
    }

    fn last(&self, kind: Prefer, most: usize, fits: &dyn Fn(usize) -> bool) -> Option<usize> {
        let of = match kind {
            Prefer::Paragraph => &self.paragraph,
            Prefer::Newline => &self.newline,
            Prefer::Sentence => &self.sentence,
        };
        of.iter().rev().find(|at| **at <= most && fits(**at)).copied()
    }
}

/// What is left of a text behind `upto` bytes, with the code that is open there opened again.
pub fn rest(text: &str, upto: usize) -> String {
    let Some(rest) = text.get(upto..) else { return text.to_owned() };
    match within(None, text, upto) {
        Some((line, _)) if !rest.is_empty() => {
            format!("{line}\n{}", rest.trim_start_matches('\n'))
        }
        _ => rest.trim_matches('\n').to_owned(),
    }
}

/// Puts blocks together that come soon after each other.
#[derive(Debug, Clone)]
pub struct Coalescer {
    min: usize,
    max: usize,
    idle_ms: u64,
    joiner: &'static str,
    length: fn(&str) -> usize,
    held: Option<Block>,
    last: Time,
}

impl Coalescer {
    /// Messages of `min` to `max`; what is held and large enough goes when nothing came for
    /// `idle_ms`.
    pub fn new(
        (min, max, idle_ms): (usize, usize, u64),
        joiner: &'static str,
        length: fn(&str) -> usize,
    ) -> Self {
        let max = max.max(1);
        Self { min: min.min(max), max, idle_ms, joiner, length, held: None, last: Time(0) }
    }

    /// Takes a block; gives what is complete with or without it.
    pub fn push(&mut self, now: Time, block: Block) -> Vec<Block> {
        let mut out = Vec::new();
        self.last = now;
        self.held = Some(match self.held.take() {
            None => block,
            Some(held) => {
                // The lines that open and close code stand alone.
                let code =
                    held.text.lines().next_back().into_iter().chain(block.text.lines().next());
                let joiner = match code.filter_map(fence).next() {
                    Some(_) if !self.joiner.contains('\n') => "\n",
                    _ => self.joiner,
                };
                let text = format!("{}{joiner}{}", held.text, block.text);
                if (self.length)(&text) > self.max {
                    out.push(held);
                    block
                } else {
                    Block { text, upto: block.upto }
                }
            }
        });
        let full = |held: &Block| self.idle_ms == 0 && (self.length)(&held.text) >= self.min;
        let large = |held: &Block| (self.length)(&held.text) >= self.max;
        if self.held.as_ref().is_some_and(|held| full(held) || large(held)) {
            out.extend(self.held.take());
        }
        out
    }

    /// When what is held goes by itself.
    pub fn due(&self) -> Option<Time> {
        let held = self.held.as_ref()?;
        ((self.length)(&held.text) >= self.min).then(|| self.last.after_ms(self.idle_ms))
    }

    /// What goes now.
    pub fn take(&mut self, now: Time) -> Option<Block> {
        match self.due() {
            Some(due) if due <= now => self.held.take(),
            _ => None,
        }
    }

    /// What waits for more.
    pub fn held(&self) -> Option<&Block> {
        self.held.as_ref()
    }

    /// Everything that is held.
    pub fn flush(&mut self) -> Option<Block> {
        self.held.take()
    }
}

/// When the message of a preview is sent and edited.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Between two edits.
    throttle_ms: u64,
    /// A first text shorter than this waits ...
    first: usize,
    /// ... for so long.
    first_ms: u64,
    /// What the message says.
    shown: String,
    /// What it should say.
    wanted: String,
    /// Since when there is something to say.
    since: Option<Time>,
    /// Not before then.
    next: Time,
}

impl Pace {
    /// Nothing is shown yet.
    pub fn new(throttle_ms: u64, first: usize, first_ms: u64) -> Self {
        let (shown, wanted) = (String::new(), String::new());
        Self { throttle_ms, first, first_ms, shown, wanted, since: None, next: Time(0) }
    }

    /// What the message should say from now on.
    pub fn want(&mut self, now: Time, text: &str) {
        if !text.is_empty() {
            self.since.get_or_insert(now);
        }
        if self.wanted != text {
            text.clone_into(&mut self.wanted);
        }
    }

    /// What the message says.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// When there is something to do.
    pub fn due(&self) -> Option<Time> {
        if self.wanted.is_empty() || self.wanted == self.shown {
            return None;
        }
        let short = self.shown.is_empty() && self.wanted.chars().count() < self.first;
        let first = self.since.filter(|_| short).map(|since| since.after_ms(self.first_ms));
        Some(first.map_or(self.next, |first| first.max(self.next)))
    }

    /// The text to send or edit now; it counts as shown.
    pub fn take(&mut self, now: Time) -> Option<&str> {
        if self.due()? > now {
            return None;
        }
        self.wanted.clone_into(&mut self.shown);
        self.next = now.after_ms(self.throttle_ms);
        Some(&self.shown)
    }

    /// The service asked for a pause, and what was taken last is not shown.
    pub fn failed(&mut self, until: Time, before: &str) {
        before.clone_into(&mut self.shown);
        self.next = self.next.max(until);
    }

    /// A new message begins.
    pub fn fresh(&mut self) {
        self.shown.clear();
        self.wanted.clear();
        self.since = None;
    }
}

/// Any text, any limits, any order of growth: bounded blocks, nothing lost or said twice, code
/// that is closed, and the same rest whoever counts.
pub fn fuzz(data: &[u8]) {
    let [min, max, step, prefer, bytes @ ..] = data else { return };
    let text = String::from_utf8_lossy(bytes).replace('\r', "");
    let prefer = [Prefer::Paragraph, Prefer::Newline, Prefer::Sentence]
        .get(usize::from(*prefer) % 3)
        .copied()
        .unwrap_or_default();
    // Room for a line that opens code, its mark, and one that is longer than two such.
    let max = usize::from(*max) + 4 * (FENCE + 1);
    let rules = Chunking { min: usize::from(*min), max, prefer, length: str::len };
    let mut chunker = Chunker::new(rules);
    let mut coalescer = Coalescer::new((rules.min, max, 10), prefer.joiner(), str::len);
    let mut end = 0;
    let mut now = Time(1);
    let mut out: Vec<Block> = Vec::new();
    let step = usize::from(*step).max(1);
    while end < text.len() {
        end = text.ceil_char_boundary((end + step).min(text.len()));
        now = now.after_ms(u64::from(*min));
        while let Some(block) = chunker.next(text.get(..end).unwrap_or_default(), false) {
            out.extend(coalescer.push(now, block));
        }
        out.extend(coalescer.take(now));
        let left = chunker.rest(text.get(..end).unwrap_or_default());
        let again = rest(text.get(..end).unwrap_or_default(), chunker.taken());
        assert_eq!(left.trim(), again.trim(), "the rest is the rest");
    }
    while let Some(block) = chunker.next(&text, true) {
        out.extend(coalescer.push(now, block));
    }
    out.extend(coalescer.flush());
    assert!(chunker.next(&text, true).is_none());
    let mut before = 0;
    for block in &out {
        assert!(block.upto > before && block.upto <= text.len(), "blocks go forward");
        before = block.upto;
        // One huge character is all that may pass the limit.
        assert!(block.text.len() <= max + 80, "{max}: {:?}", block.text);
        assert!(
            within(None, &block.text, block.text.len()).is_none() || block.upto == text.len(),
            "{block:?}"
        );
    }
    let blocks: Vec<&str> = out.iter().map(|block| block.text.as_str()).collect();
    assert_eq!(unsaid(&text, &blocks), None, "{blocks:?}");
}

#[cfg(test)]
#[path = "draft_tests.rs"]
mod tests;
