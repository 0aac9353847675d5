//! What of an answer is shown while it is written, as plain values: when somebody seems to type,
//! which blocks go out, what the message of a preview says. [`streaming`](super::streaming) feeds
//! them with what a run tells and carries out what they want.

use super::drafts::Mark;
use super::outbound::Origin;
use crate::channels::draft::{Block, Chunker, Chunking, Coalescer, Pace, Prefer};
use crate::channels::{Account, ChatKind, Kind};
use crate::driver::Time;
use crate::limits;
use serde_json::Value;

/// Answers that mean that nothing is said.
pub(super) const SILENT: [&str; 2] = ["NO_REPLY", "HEARTBEAT_OK"];

/// Whether a text may still become one of those.
pub(super) fn silent_so_far(text: &str) -> bool {
    let text = text.trim();
    SILENT.iter().any(|word| word.starts_with(text))
}

/// One answer.
pub(super) struct Stream {
    pub(super) origin: Origin,
    pub(super) agent: String,
    pub(super) typing: Typing,
    pub(super) way: Way,
}

/// When a conversation shows that somebody types.
pub(super) struct Typing {
    pub(super) mode: TypingMode,
    pub(super) every_ms: u64,
    /// The next time; `None` until it begins.
    pub(super) due: Option<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypingMode {
    Never,
    Instant,
    Thinking,
    Message,
}

/// How an answer is shown before it is whole.
pub(super) enum Way {
    Whole,
    Blocks(Box<Blocks>),
    Preview(Box<Preview>),
}

/// Messages of their own.
pub(super) struct Blocks {
    pub(super) chunker: Chunker,
    pub(super) coalescer: Coalescer,
    /// `blockStreamingBreak: "message_end"`.
    pub(super) at_end: bool,
    /// The front of the text that the chunker has taken.
    pub(super) taken: String,
    pub(super) number: u32,
    /// `humanDelay`: least and most, milliseconds.
    pub(super) pause: Option<(u64, u64)>,
    /// When the block before was to go.
    pub(super) last: Time,
}

impl Blocks {
    /// More of a text, `all` of it when its turn is over.
    pub(super) fn feed(&mut self, now: Time, text: &str, all: bool) -> Vec<(Block, Mark)> {
        if !text.starts_with(&self.taken) {
            if self.taken.starts_with(text) && !all {
                return Vec::new();
            }
            // A retry says something else.
            self.fresh();
        }
        let mut out = Vec::new();
        let full = self.number >= limits::DRAFT_BLOCKS;
        while all || !(self.at_end || full) {
            let Some(block) = self.chunker.next(text, all) else { break };
            if block.upto > self.taken.len() {
                self.taken.push_str(text.get(self.taken.len()..block.upto).unwrap_or_default());
            }
            out.extend(self.coalescer.push(now, block));
        }
        if all {
            out.extend(self.coalescer.flush());
        }
        self.marked(out)
    }

    /// The end of an answer: blocks that go first, what is left of it for its own delivery, and
    /// whether some of it was said before. Beyond [`limits::DRAFT_BLOCKS`] all of it is left.
    pub(super) fn finish(&mut self, now: Time, said: &str) -> (Vec<(Block, Mark)>, String, bool) {
        let mut blocks = self.feed(now, said, true);
        let full = self.number >= limits::DRAFT_BLOCKS;
        let begun = self.number > 0 || blocks.len() > 1;
        if full {
            let texts: Vec<String> = blocks.drain(..).map(|(block, _)| block.text).collect();
            return (blocks, texts.join("\n\n"), begun);
        }
        let left = match blocks.pop() {
            Some((block, _)) => block.text,
            None if begun => String::new(),
            None => said.to_owned(),
        };
        (blocks, left, begun)
    }

    pub(super) fn marked(&self, blocks: Vec<Block>) -> Vec<(Block, Mark)> {
        let marked = |block: Block| {
            let mark = Mark::of(&self.taken, block.upto);
            (block, mark)
        };
        blocks.into_iter().map(marked).collect()
    }

    pub(super) fn fresh(&mut self) {
        self.chunker.reset();
        self.coalescer.flush();
        self.taken.clear();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Partial,
    Block,
    Progress,
}

/// The message of a preview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Post {
    /// Not sent.
    None,
    /// Sent, and its receipt is not known.
    Doubt(String),
    /// It is there.
    Known(String),
    /// There will be none any more.
    Gone,
}

/// One message that changes.
pub(super) struct Preview {
    pub(super) mode: Mode,
    pub(super) pace: Pace,
    pub(super) post: Post,
    /// What the message said before the edit under way.
    pub(super) before: String,
    pub(super) failures: u32,
    pub(super) prefix: Option<String>,
    /// What the model says in this turn.
    pub(super) said: String,
    /// Block mode.
    pub(super) chunker: Chunker,
    pub(super) coalescer: Coalescer,
    pub(super) taken: String,
    /// Another text began: messages that were complete are no part of it.
    pub(super) anew: bool,
    /// The whole text of the message, after which the next one begins.
    pub(super) complete: Option<Block>,
    pub(super) status: Status,
}

/// What a run does, in a few lines.
pub(super) struct Status {
    pub(super) label: Option<String>,
    /// The label was asked for.
    pub(super) explicit: bool,
    pub(super) headline: Option<String>,
    /// Whether what the model says before its tools is a headline.
    pub(super) headlines: bool,
    /// Or lines of their own.
    pub(super) commentary: bool,
    /// Tools have lines.
    pub(super) tools: bool,
    pub(super) raw: bool,
    pub(super) lines: Vec<String>,
    pub(super) max_lines: usize,
    pub(super) max_chars: usize,
    pub(super) works: bool,
}

impl Status {
    pub(super) fn line(&mut self, line: &str) {
        if self.lines.last().is_some_and(|last| last == line) {
            return;
        }
        self.lines.push(line.to_owned());
        if self.lines.len() > self.max_lines {
            self.lines.remove(0);
        }
    }

    /// The status of a run that works; empty while it does not, and when nothing is to be shown.
    pub(super) fn text(&self) -> String {
        if !self.works {
            return String::new();
        }
        let mut all: Vec<&str> = Vec::new();
        let label = self.label.as_deref();
        let label = label.filter(|_| self.explicit || self.headline.is_none());
        all.extend(label.filter(|_| self.lines.len() < self.max_lines));
        all.extend(self.headline.as_deref());
        all.extend(self.lines.iter().map(String::as_str));
        all.join("\n")
    }
}

impl Preview {
    /// More of what the model says; `all` when its turn is over.
    pub(super) fn feed(&mut self, now: Time, text: &str, all: bool) {
        if self.mode == Mode::Progress {
            return;
        }
        let visible = !silent_so_far(text);
        if !text.is_empty() && !all && self.said != text {
            self.status.lines.clear();
        }
        if visible {
            // More than one message holds is never shown.
            let end = text.floor_char_boundary(limits::CHANNEL_OUT / 64);
            text.get(..end).unwrap_or_default().clone_into(&mut self.said);
        }
        if self.mode == Mode::Block && visible {
            self.cut(now, text, all);
        }
        self.show(now);
    }

    pub(super) fn cut(&mut self, now: Time, text: &str, all: bool) {
        if !text.starts_with(&self.taken) {
            if self.taken.starts_with(text) && !all {
                // A retry says the same again; what is shown of it stays.
                return;
            }
            self.anew = true;
            self.chunker.reset();
            self.coalescer.flush();
            self.taken.clear();
            self.complete = None;
        }
        while self.complete.is_none() {
            let Some(block) = self.chunker.next(text, false) else { break };
            self.taken.push_str(text.get(self.taken.len()..block.upto).unwrap_or_default());
            self.complete = self.coalescer.push(now, block).into_iter().next();
        }
    }

    /// Says to the pace what should stand there.
    pub(super) fn show(&mut self, now: Time) {
        let mut shown = match self.mode {
            Mode::Progress => self.status.text(),
            Mode::Block => match &self.complete {
                Some(block) => block.text.clone(),
                None => self.coalescer.held().map(|it| it.text.clone()).unwrap_or_default(),
            },
            Mode::Partial => self.said.clone(),
        };
        if self.mode != Mode::Progress {
            if let Some(prefix) = self.prefix.as_ref().filter(|_| !shown.is_empty()) {
                shown = format!("{prefix} {shown}");
            }
            if !self.status.lines.is_empty() && self.complete.is_none() {
                let gap = if shown.is_empty() { "" } else { "\n\n" };
                shown = format!("{shown}{gap}{}", self.status.lines.join("\n"));
            }
        }
        self.pace.want(now, &shown);
    }

    /// The model's turn is over and its tools begin.
    pub(super) fn turn(&mut self, now: Time, text: &str) {
        let said = text.trim();
        let said = Some(said).filter(|said| !said.is_empty() && !silent_so_far(said));
        if self.mode == Mode::Progress
            && let Some(said) = said
        {
            let line = shorten(said, self.status.max_chars.saturating_mul(3));
            if self.status.commentary {
                let line = shorten(said, self.status.max_chars);
                self.status.line(&format!("💬 {line}"));
            } else if self.status.headlines {
                self.status.headline = Some(line);
            }
        }
        // What is said next is another text.
        self.taken.clear();
        self.chunker.reset();
        self.coalescer.flush();
        self.complete = None;
        if self.mode == Mode::Block {
            self.said.clear();
        }
        self.show(now);
    }

    pub(super) fn lost(&mut self) {
        if self.post == Post::None {
            self.post = Post::Doubt(self.pace.shown().to_owned());
        }
    }
}

/// At most so many characters, cut at a word.
pub(super) fn shorten(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    let head: String = line.chars().take(most.saturating_sub(1)).collect();
    let cut = head.rfind(' ').filter(|at| at * 2 > head.len()).unwrap_or(head.len());
    format!("{}…", head.get(..cut).unwrap_or(&head).trim_end())
}

/// The sign in front of a tool's line.
pub(super) fn sign(name: &str) -> &'static str {
    match name {
        "exec" | "process" => "🛠️",
        "web_search" | "web_fetch" | "memory_search" => "🔎",
        "write" | "edit" | "apply_patch" => "✍️",
        "read" => "📖",
        _ => "🧩",
    }
}

pub(super) fn number(at: Option<&Value>, key: &str) -> Option<usize> {
    at?.get(key)?.as_u64().and_then(|n| usize::try_from(n).ok())
}

/// `blockStreamingChunk` and `streaming.preview.chunk`.
pub(super) fn chunking(
    at: Option<&Value>,
    usual: (usize, usize),
    kind: &Kind,
    most: usize,
) -> Chunking {
    let max = number(at, "maxChars").unwrap_or(usual.1).min(most);
    let min = number(at, "minChars").unwrap_or(usual.0).min(max);
    let prefer = at.and_then(|at| at.get("breakPreference")?.as_str());
    Chunking { min, max, prefer: Prefer::of(prefer), length: kind.length }
}

/// How long a service wants edits of one message apart.
pub(super) fn throttle_ms(kind: &Kind, chat: ChatKind) -> u64 {
    match chat {
        ChatKind::Direct => kind.writing.edit_ms.0,
        ChatKind::Group | ChatKind::Channel => kind.writing.edit_ms.1,
    }
}

/// `streaming.mode`, or what the service has without one; and whether it was said.
pub(super) fn mode_of(kind: &Kind, account: &Account) -> (Option<Mode>, bool) {
    let said = account.text("streaming.mode");
    let mode = match said.unwrap_or(kind.writing.mode) {
        "partial" => Some(Mode::Partial),
        "block" => Some(Mode::Block),
        "progress" => Some(Mode::Progress),
        _ => None,
    };
    (mode.filter(|_| kind.caps.edit && kind.caps.delete), said.is_some())
}

impl Preview {
    /// Whether the answer takes its place.
    pub(super) fn replaces(&self) -> bool {
        self.mode != Mode::Progress
    }
}

impl Typing {
    /// Something happened that is as good as this mode.
    pub(super) fn reach(&mut self, now: Time, what: TypingMode) {
        let begins = match self.mode {
            TypingMode::Never => false,
            TypingMode::Instant => true,
            TypingMode::Thinking => matches!(what, TypingMode::Thinking | TypingMode::Message),
            TypingMode::Message => what == TypingMode::Message,
        };
        if begins {
            self.due.get_or_insert(now);
        }
    }
}

pub(super) fn status(mode: Mode, kind: &Kind, account: &Account, seed: &str) -> Status {
    let of = |key: &str| account.get(&format!("streaming.progress.{key}"));
    let own = if mode == Mode::Progress { "progress" } else { "preview" };
    let tools = account.flag(&format!("streaming.{own}.toolProgress"));
    let raw = account.text(&format!("streaming.{own}.commandText")) == Some("raw");
    let labels = of("labels").and_then(Value::as_array).cloned().unwrap_or_default();
    let labels: Vec<&str> = labels.iter().filter_map(Value::as_str).collect();
    let pick = seed.bytes().fold(7usize, |sum, byte| sum.wrapping_mul(31) + usize::from(byte));
    let auto = labels.get(pick % labels.len().max(1)).copied().unwrap_or("Working");
    let (label, explicit) = match of("label") {
        None => (Some(auto), false),
        Some(Value::Bool(false)) => (None, false),
        Some(Value::String(word)) if word.trim() != "auto" => (Some(word.as_str()), true),
        Some(_) => (Some(auto), true),
    };
    let count = |key: &str, usual: u64| {
        let said = account.number(&format!("streaming.progress.{key}")).unwrap_or(usual);
        usize::try_from(said).unwrap_or(usize::MAX)
    };
    Status {
        label: label.map(str::to_owned).filter(|label| !label.trim().is_empty()),
        explicit,
        headline: None,
        headlines: kind.writing.headlines,
        commentary: account.flag("streaming.progress.commentary") == Some(true),
        tools: tools.unwrap_or(mode != Mode::Progress),
        raw,
        lines: Vec::new(),
        max_lines: count("maxLines", 8).clamp(1, limits::DRAFT_LINES),
        max_chars: count("maxLineChars", 120).clamp(16, 1_000),
        works: false,
    }
}

#[cfg(test)]
#[path = "shown_tests.rs"]
mod tests;
