//! What people read: lines, name-and-value pairs and tables that fit the width, in colour on a
//! terminal.
//!
//! A [`Page`] is filled from the top and printed once. Texts of a peer may be given to it as they
//! are: every one goes through [`out::foreign`] here, so that none can drive the terminal.
//! Words are never cut in lines and pairs (a path or a command must stay fit to be copied); in
//! tables a cell that is too wide goes on in the next row.
//!
//! Colour: on when standard output is a terminal that is not `dumb`; never with `--no-color`,
//! `NO_COLOR` or `FORCE_COLOR=0`; always with any other `FORCE_COLOR`. Width: `COLUMNS` within
//! [`NARROW`] and [`WIDE`], else [`USUAL`].

use std::io::IsTerminal;

use super::out;
use super::table::Args;

/// Columns when nobody says how many there are.
pub const USUAL: usize = 80;
/// Fewest columns that are laid out for; a narrower terminal breaks lines by itself.
pub const NARROW: usize = 40;
/// Most columns that are used: longer lines are hard to read.
pub const WIDE: usize = 120;
/// Names of pairs are padded to at most this.
const NAMES: usize = 20;

/// What a piece of text means; on a terminal it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// Just text.
    #[default]
    Plain,
    /// All is well: green.
    Good,
    /// Needs a look: yellow.
    Warn,
    /// Failed: red.
    Bad,
    /// Less important: dim.
    Dim,
    /// A heading: bold.
    Head,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\u{1b}[32m",
            Self::Warn => "\u{1b}[33m",
            Self::Bad => "\u{1b}[31m",
            Self::Dim => "\u{1b}[2m",
            Self::Head => "\u{1b}[1m",
        }
    }

    /// Good or bad.
    pub const fn of(well: bool) -> Self {
        if well { Self::Good } else { Self::Bad }
    }
}

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ink(bool);

impl Ink {
    /// None at all.
    pub const NONE: Self = Self(false);

    /// For standard output.
    pub fn of(args: &Args) -> Self {
        if args.has("no-color") {
            return Self::NONE;
        }
        Self::decide(std::io::stdout().is_terminal(), |name| std::env::var(name).ok())
    }

    /// For standard error, where no flags are known: usage errors.
    pub fn of_stderr() -> Self {
        if std::env::args_os().any(|word| word == "--no-color") {
            return Self::NONE;
        }
        Self::decide(std::io::stderr().is_terminal(), |name| std::env::var(name).ok())
    }

    fn decide(terminal: bool, var: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        if set("NO_COLOR").is_some() {
            return Self(false);
        }
        match set("FORCE_COLOR").as_deref() {
            Some("0" | "false") => Self(false),
            Some(_) => Self(true),
            None => Self(terminal && set("TERM").as_deref() != Some("dumb")),
        }
    }

    /// The text with its colour around it.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        if !self.0 || tone == Tone::Plain || text.is_empty() {
            return text.to_owned();
        }
        format!("{}{text}\u{1b}[0m", tone.code())
    }
}

/// A cell of a table.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// With a meaning.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// A page for people.
#[derive(Debug)]
pub struct Page {
    text: String,
    ink: Ink,
    width: usize,
}

impl Page {
    /// An empty one for this terminal.
    pub fn new(args: &Args) -> Self {
        Self::with(Ink::of(args), columns())
    }

    /// An empty one.
    pub fn with(ink: Ink, width: usize) -> Self {
        Self { text: String::new(), ink, width: width.clamp(NARROW, WIDE) }
    }

    /// A heading, with an empty line before it unless it is the first line.
    pub fn title(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.line(text, Tone::Head);
    }

    /// A line; its continuation is indented by two.
    pub fn line(&mut self, text: &str, tone: Tone) {
        let text = out::foreign(text);
        let own = text.len() - text.trim_start_matches(' ').len();
        let inner = self.width.saturating_sub(own + 2).max(1);
        for line in text.trim_start_matches(' ').split('\n') {
            for (at, part) in wrap(line, inner + 2, inner, false).into_iter().enumerate() {
                let indent = if at == 0 { own } else { own + 2 };
                self.text.push_str(&" ".repeat(indent));
                self.text.push_str(&self.ink.paint(tone, &part));
                self.text.push('\n');
            }
        }
    }

    /// `Name: value`, for output that scripts look through line by line; the continuation of a
    /// long value is indented by two.
    pub fn fact(&mut self, name: &str, value: &str, tone: Tone) {
        let value = out::foreign(value).replace('\n', "; ");
        let first = self.width.saturating_sub(cells(name) + 2).max(1);
        let parts = wrap(&value, first, self.width - 2, false);
        for (at, part) in parts.iter().enumerate() {
            if at == 0 {
                self.text.push_str(&self.ink.paint(Tone::Dim, &format!("{name}:")));
                self.text.push(' ');
            } else {
                self.text.push_str("  ");
            }
            self.text.push_str(&self.ink.paint(tone, part));
            self.text.push('\n');
        }
    }

    /// Names and values in two columns.
    pub fn pairs(&mut self, rows: &[(&str, Cell)]) {
        let names = rows.iter().map(|(name, _)| cells(name)).max().unwrap_or(0).min(NAMES);
        let room = self.width.saturating_sub(names + 4).max(1);
        for (name, cell) in rows {
            let value = out::foreign(&cell.text);
            let mut lead = format!("  {}  ", pad(name, names));
            for line in value.split('\n').flat_map(|line| wrap(line, room, room, false)) {
                self.text.push_str(&lead);
                self.text.push_str(&self.ink.paint(cell.tone, &line));
                self.text.push('\n');
                lead = " ".repeat(names + 4);
            }
        }
    }

    /// A table; the widest columns give way until it fits.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<Cell>]) {
        let texts: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| out::foreign(&cell.text).replace('\n', " ")).collect())
            .collect();
        let mut widths: Vec<usize> = head.iter().map(|name| cells(name)).collect();
        for row in &texts {
            for (width, text) in widths.iter_mut().zip(row) {
                *width = (*width).max(cells(text));
            }
        }
        let gaps = 2 + 2 * head.len().saturating_sub(1);
        let room = self.width.saturating_sub(gaps);
        while widths.iter().sum::<usize>() > room {
            match widths.iter_mut().filter(|width| **width > 4).max() {
                Some(widest) => *widest -= 1,
                None => break,
            }
        }
        let names = head.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        self.row(&names, &vec![Tone::Dim; head.len()], &widths);
        for (row, texts) in rows.iter().zip(&texts) {
            let tones: Vec<Tone> = row.iter().map(|cell| cell.tone).collect();
            self.row(texts, &tones, &widths);
        }
    }

    fn row(&mut self, texts: &[String], tones: &[Tone], widths: &[usize]) {
        let wrapped: Vec<Vec<String>> = texts
            .iter()
            .zip(widths)
            .map(|(text, width)| wrap(text, *width, *width, true))
            .collect();
        for line in 0..wrapped.iter().map(Vec::len).max().unwrap_or(0) {
            let mut shown = String::new();
            let mut gap = 2;
            for ((parts, tone), width) in wrapped.iter().zip(tones).zip(widths) {
                let part = parts.get(line).map(String::as_str).unwrap_or_default();
                if !part.is_empty() {
                    shown.push_str(&" ".repeat(gap));
                    gap = 0;
                    shown.push_str(&self.ink.paint(*tone, part));
                }
                gap += width.saturating_sub(cells(part)) + 2;
            }
            self.text.push_str(&shown);
            self.text.push('\n');
        }
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.text.push('\n');
    }

    /// The commands to type next.
    pub fn next(&mut self, command: &str) {
        if !command.is_empty() {
            self.fact("Next", command, Tone::Plain);
        }
    }

    /// What is on it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Prints it.
    pub fn print(&self) {
        out::text(&self.text);
    }
}

/// Columns of the terminal, as the shell tells them.
fn columns() -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|text| text.trim().parse().ok());
    told.unwrap_or(USUAL)
}

/// Columns that a text takes: East Asian letters and pictures take two, combining marks none.
pub fn cells(text: &str) -> usize {
    text.chars().map(of_char).sum()
}

const fn of_char(c: char) -> usize {
    match c as u32 {
        0x300..=0x36f | 0x200b..=0x200d | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(cells(text))))
}

/// Breaks a text at blanks into lines of these widths; a longer word stays whole, or is cut when
/// `cut`. At least one line.
pub fn wrap(text: &str, first: usize, then: usize, cut: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    let mut room = first;
    for word in text.split(' ') {
        let mut word = word;
        let mut gap = usize::from(!line.is_empty());
        if used + gap + cells(word) > room && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
            (used, gap, room) = (0, 0, then);
        }
        while cut && cells(word) > room {
            let at = fitting(word, room);
            let (head, rest) = word.split_at(at);
            lines.push(head.to_owned());
            word = rest;
            room = then;
        }
        if gap > 0 {
            line.push(' ');
        }
        line.push_str(word);
        used += gap + cells(word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// How many bytes of a word fit; at least one letter.
fn fitting(word: &str, room: usize) -> usize {
    let mut used = 0;
    for (at, c) in word.char_indices() {
        used += of_char(c);
        if used > room && at > 0 {
            return at;
        }
    }
    word.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(width: usize) -> Page {
        Page::with(Ink::NONE, width)
    }

    #[test]
    fn lines_fit_and_words_stay_whole() {
        let mut page = page(40);
        page.line(&"word ".repeat(20), Tone::Plain);
        page.fact("Path", &format!("see /{}", "x".repeat(60)), Tone::Plain);
        page.pairs(&[("Gateway", "a b c ".repeat(20).into()), ("Short", "1".into())]);
        for line in page.text().lines() {
            assert!(cells(line) <= 40 || line.contains("xxx"), "{line:?}");
        }
        let path = format!("/{}", "x".repeat(60));
        assert!(page.text().contains(&path), "{}", page.text());
        assert!(page.text().contains("\n  Short    1\n"), "{}", page.text());
    }

    #[test]
    fn the_widest_column_gives_way() {
        let mut page = page(40);
        let key = "agent:main:".repeat(8);
        page.table(&["Key", "Age"], &[vec![key.clone().into(), "3 s".into()]]);
        let lines: Vec<&str> = page.text().lines().collect();
        assert!(lines.iter().all(|line| cells(line) <= 40), "{lines:?}");
        assert!(lines[0].starts_with("  Key") && lines[0].ends_with("Age"), "{lines:?}");
        assert!(lines[1].ends_with("3 s"), "{lines:?}");
        let joined: String = lines.iter().skip(1).map(|line| line.trim()).collect();
        assert_eq!(joined.replace("3 s", "").replace(' ', ""), key);
    }

    #[test]
    fn wide_letters_count_twice() {
        assert_eq!((cells("ab"), cells("日本"), cells("e\u{301}")), (2, 4, 1));
        let mut page = page(40);
        page.table(&["Name"], &[vec!["日本語".repeat(20).into()]]);
        assert!(page.text().lines().all(|line| cells(line) <= 40), "{}", page.text());
    }

    #[test]
    fn a_peer_cannot_drive_the_terminal() {
        let mut page = Page::with(Ink::NONE, 80);
        page.line("a\u{1b}[2J", Tone::Bad);
        page.fact("b", "\u{1b}x\ny", Tone::Good);
        page.pairs(&[("c", "\u{7}".into())]);
        page.table(&["d"], &[vec!["\u{1b}\r".into()]]);
        let bad = |c: char| c.is_control() && c != '\n';
        assert!(!page.text().contains(bad), "{:?}", page.text());
    }

    #[test]
    fn colour_is_for_terminals_unless_told() {
        let env = |pairs: &[(&str, &str)], terminal: bool| {
            let pairs: Vec<(String, String)> =
                pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            Ink::decide(terminal, move |name| {
                pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
            })
        };
        let (on, off) = (Ink(true), Ink(false));
        assert_eq!(env(&[], true), on);
        assert_eq!(env(&[], false), off);
        assert_eq!(env(&[("NO_COLOR", "1"), ("FORCE_COLOR", "1")], true), off);
        assert_eq!(env(&[("NO_COLOR", "")], true), on);
        assert_eq!(env(&[("FORCE_COLOR", "1")], false), on);
        assert_eq!(env(&[("FORCE_COLOR", "0")], true), off);
        assert_eq!(env(&[("TERM", "dumb")], true), off);
        assert_eq!(on.paint(Tone::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(off.paint(Tone::Bad, "x"), "x");
    }
}
