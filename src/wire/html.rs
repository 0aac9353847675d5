//! What a person would read of an HTML page, as Markdown or plain text.
//!
//! No tree is built: one pass over the tags writes headings, paragraphs, lists, links, tables
//! and code, and leaves out what is no content (scripts, styles, navigation, forms). When the
//! page marks its content by `main` or `article` and that is not next to nothing, only it is
//! kept. Any bytes give some text; the work is linear in them.

use super::url::{Scheme, Url};

/// What came of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The text of the `title` element.
    pub title: Option<String>,
    /// Content.
    pub text: String,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Headings, lists, links, code as Markdown.
    Markdown,
    /// Words alone.
    Text,
}

/// Elements whose content is never text of the page.
const SILENT: [&str; 20] = [
    "script", "style", "noscript", "template", "svg", "math", "iframe", "object", "canvas",
    "select", "button", "form", "nav", "aside", "footer", "dialog", "audio", "video", "textarea",
    "head",
];
/// Of these, the ones whose content is not even markup: only their own end tag ends them.
const RAW: [&str; 6] = ["script", "style", "noscript", "iframe", "textarea", "title"];
/// Elements that stand in lines of their own.
const BLOCKS: [&str; 24] = [
    "p",
    "div",
    "section",
    "article",
    "main",
    "header",
    "ul",
    "ol",
    "dl",
    "dt",
    "dd",
    "table",
    "blockquote",
    "figure",
    "figcaption",
    "address",
    "fieldset",
    "details",
    "summary",
    "hgroup",
    "body",
    "caption",
    "thead",
    "tbody",
];
/// Less content than this behind `main` or `article` is no content.
const ENOUGH: usize = 200;

/// Reads a page; `base` is where its relative links start.
pub fn read(html: &str, style: Style, base: Option<&Url>) -> Page {
    let mut marked = Reader::new(style, base, true);
    marked.run(html);
    if marked.out.len() >= ENOUGH {
        return marked.page();
    }
    let mut whole = Reader::new(style, base, false);
    whole.run(html);
    whole.page()
}

struct Reader<'a> {
    style: Style,
    base: Option<&'a Url>,
    /// Only what stands in `main` or `article` is kept; how deep in those we are.
    marked_only: bool,
    marked: usize,
    title: Option<String>,
    out: String,
    /// Line ends owed before the next text.
    gap: usize,
    space: bool,
    pre: usize,
    /// Open lists: the number of the next item, 0 for bullets.
    lists: Vec<u32>,
    /// Where the text of the open link began, and where it leads.
    link: Option<(usize, String)>,
    /// Names of silent elements that have no end from here on.
    endless: Vec<&'static str>,
}

/// A tag as found: its name in lower case, its attributes, whether it ends something.
struct Tag<'h> {
    name: String,
    attributes: &'h str,
    end: bool,
}

impl<'a> Reader<'a> {
    fn new(style: Style, base: Option<&'a Url>, marked_only: bool) -> Self {
        Self {
            style,
            base,
            marked_only,
            marked: 0,
            title: None,
            out: String::new(),
            gap: 0,
            space: false,
            pre: 0,
            lists: Vec::new(),
            link: None,
            endless: Vec::new(),
        }
    }

    fn page(self) -> Page {
        Page { title: self.title, text: self.out.trim().to_owned() }
    }

    fn run(&mut self, html: &str) {
        let mut rest = html;
        while let Some(at) = rest.find('<') {
            let (text, tail) = rest.split_at(at);
            self.text(text);
            match tag(tail) {
                Found::Tag(tag, after) => rest = self.tag(&tag, after),
                Found::Nothing(after) => rest = after,
                Found::Text => {
                    self.text("<");
                    rest = tail.get(1..).unwrap_or_default();
                }
            }
        }
        self.text(rest);
        self.close_link();
    }

    /// Acts on a tag; what comes after it, or after the element that it silences.
    fn tag<'h>(&mut self, tag: &Tag<'h>, after: &'h str) -> &'h str {
        let name = tag.name.as_str();
        if name == "title" && !tag.end {
            if self.endless.contains(&"title") {
                return after;
            }
            let Some((inner, after)) = until_end(after, "title") else {
                self.endless.push("title");
                return after;
            };
            if self.title.is_none() {
                let title = collapse(&decode(inner));
                self.title = Some(title).filter(|title| !title.is_empty());
            }
            return after;
        }
        if let Some(silent) = SILENT.iter().find(|silent| **silent == name) {
            if tag.end || self.endless.contains(silent) {
                return after;
            }
            if *silent == "head" && self.title.is_none() {
                self.title_of_head(after);
            }
            return match skip(after, silent) {
                Some(after) => after,
                None => {
                    self.endless.push(silent);
                    after
                }
            };
        }
        self.element(tag);
        after
    }

    fn title_of_head(&mut self, after: &str) {
        let head = until_end(after, "head").map_or(after, |(inner, _)| inner);
        let lower = head.to_ascii_lowercase();
        let Some(at) = lower.find("<title") else { return };
        let Some(inner) = head.get(at..).and_then(|t| t.split_once('>')).map(|(_, t)| t) else {
            return;
        };
        let (inner, _) = until_end(inner, "title").unwrap_or(("", inner));
        self.title = Some(collapse(&decode(inner))).filter(|title| !title.is_empty());
    }

    fn element(&mut self, tag: &Tag<'_>) {
        let markdown = self.style == Style::Markdown;
        match (tag.name.as_str(), tag.end) {
            (name @ ("main" | "article"), end) => {
                self.break_lines(2);
                let _ = name;
                self.marked = if end { self.marked.saturating_sub(1) } else { self.marked + 1 };
            }
            ("h1" | "h2" | "h3" | "h4" | "h5" | "h6", end) => {
                self.break_lines(2);
                let level = tag.name.bytes().nth(1).map_or(1, |digit| digit.wrapping_sub(b'0'));
                if markdown && !end {
                    self.mark(&"#".repeat(level.into()));
                    self.space = true;
                }
            }
            ("ul", false) => self.open_list(0),
            ("ol", false) => self.open_list(1),
            ("ul" | "ol", true) => {
                self.lists.pop();
                self.break_lines(if self.lists.is_empty() { 2 } else { 1 });
            }
            ("li", false) => self.item(),
            ("br", _) => self.break_lines(1),
            ("hr", _) => {
                self.break_lines(2);
                if markdown {
                    self.mark("---");
                }
                self.break_lines(2);
            }
            ("tr", _) => self.break_lines(1),
            ("td" | "th", false) if self.gap == 0 && !self.out.is_empty() => self.word(" | "),
            ("pre", end) => self.preformatted(end),
            ("code" | "kbd" | "samp", _) if markdown && self.pre == 0 => self.tick(tag.end),
            ("a", false) => self.open_link(tag.attributes),
            ("a", true) => self.close_link(),
            (name, _) if BLOCKS.contains(&name) => self.break_lines(2),
            _ => {}
        }
    }

    fn open_list(&mut self, first: u32) {
        /// Deeper lists look like this deep.
        const DEPTH: usize = 32;
        self.break_lines(if self.lists.is_empty() { 2 } else { 1 });
        if self.lists.len() < DEPTH {
            self.lists.push(first);
        }
    }

    fn item(&mut self) {
        self.break_lines(1);
        let depth = self.lists.len().saturating_sub(1);
        let mark = match self.lists.last_mut() {
            Some(number @ 1..) => {
                *number += 1;
                format!("{}. ", number.saturating_sub(1))
            }
            _ => "- ".to_owned(),
        };
        self.word(&format!("{}{mark}", "  ".repeat(depth)));
    }

    fn preformatted(&mut self, end: bool) {
        let fence = if self.style == Style::Markdown { "```" } else { "" };
        if end && self.pre > 0 {
            self.pre -= 1;
            if self.pre == 0 {
                self.gap = self.gap.max(1);
                self.mark(fence);
                self.break_lines(2);
            }
        } else if !end {
            self.break_lines(2);
            if self.pre == 0 {
                self.mark(fence);
                self.gap = usize::from(!fence.is_empty());
            }
            self.pre += 1;
        }
    }

    fn tick(&mut self, end: bool) {
        if end {
            // Behind the last word, not behind the blank after it.
            self.raw("`");
        } else {
            self.mark("`");
        }
    }

    fn open_link(&mut self, attributes: &str) {
        self.close_link();
        let Some(href) = attribute(attributes, "href") else { return };
        let href = decode(&href);
        let url = match self.base {
            Some(base) => base.resolve(&href).ok(),
            None => Url::parse(&href).ok(),
        };
        let web = |url: &Url| matches!(url.scheme, Scheme::Http | Scheme::Https);
        let within = href.trim_start().starts_with('#');
        if let Some(url) = url.filter(|url| web(url) && !within) {
            self.link = Some((self.out.len(), url.to_string()));
        }
    }

    /// Puts the brackets around what was written since the link began.
    fn close_link(&mut self) {
        let Some((from, url)) = self.link.take() else { return };
        if self.style == Style::Text || self.pre > 0 {
            return;
        }
        let Some(text) = self.out.get(from..) else { return };
        let label = text.trim();
        if label.is_empty() || label.contains('\n') || label == url {
            return;
        }
        let lead = text.len() - text.trim_start().len();
        let written = format!("{}[{}]({url})", text.get(..lead).unwrap_or_default(), label);
        self.out.truncate(from);
        self.out.push_str(&written);
    }

    fn wanted(&self) -> bool {
        !self.marked_only || self.marked > 0
    }

    fn break_lines(&mut self, lines: usize) {
        self.close_link();
        if !self.out.is_empty() {
            self.gap = self.gap.max(lines);
        }
        self.space = false;
    }

    /// A mark of ours, after what is owed.
    fn mark(&mut self, mark: &str) {
        if !mark.is_empty() {
            self.word(mark);
        }
    }

    fn raw(&mut self, text: &str) {
        if self.wanted() {
            self.out.push_str(text);
        }
    }

    /// Writes something after the line ends or the blank that are owed.
    fn word(&mut self, word: &str) {
        if !self.wanted() {
            return;
        }
        let owed = "\n\n".get(..self.gap.min(2)).unwrap_or_default();
        if self.out.is_empty() {
            self.out.push_str(word);
        } else {
            self.out.push_str(owed);
            if owed.is_empty() && self.space {
                self.out.push(' ');
            }
            self.out.push_str(word);
        }
        self.gap = 0;
        self.space = false;
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() || !self.wanted() {
            return;
        }
        let text = decode(text);
        if self.pre > 0 {
            let text = if self.gap > 0 { text.trim_start_matches(['\n', '\r']) } else { &text };
            if !text.is_empty() {
                self.word(text);
            }
            return;
        }
        let blank = |c: char| c.is_whitespace();
        self.space |= text.starts_with(blank);
        for word in text.split_whitespace() {
            self.word(word);
            self.space = true;
        }
        if !text.trim().is_empty() {
            self.space = text.ends_with(blank);
        }
    }
}

/// What a `<` begins.
enum Found<'h> {
    Tag(Tag<'h>, &'h str),
    /// A comment or a declaration.
    Nothing(&'h str),
    /// Just that character.
    Text,
}

fn tag(text: &str) -> Found<'_> {
    if let Some(inner) = text.strip_prefix("<!--") {
        return Found::Nothing(inner.split_once("-->").map_or("", |(_, after)| after));
    }
    if text.starts_with("<!") || text.starts_with("<?") {
        return Found::Nothing(text.split_once('>').map_or("", |(_, after)| after));
    }
    let (inner, end) = match text.strip_prefix("</") {
        Some(inner) => (inner, true),
        None => (text.get(1..).unwrap_or_default(), false),
    };
    if !inner.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Found::Text;
    }
    let mut quote = None;
    let close = inner.bytes().position(|byte| match (quote, byte) {
        (Some(open), byte) => {
            if open == byte {
                quote = None;
            }
            false
        }
        (None, b'"' | b'\'') => {
            quote = Some(byte);
            false
        }
        (None, byte) => byte == b'>',
    });
    // A quote that never ends: the tag ends where it would without quotes.
    let Some(close) = close.or_else(|| inner.find('>')) else { return Found::Nothing("") };
    let (whole, after) = (inner.get(..close), inner.get(close + 1..));
    let (Some(whole), Some(after)) = (whole, after) else { return Found::Text };
    let split = whole.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(whole.len());
    let (name, attributes) = whole.split_at(split);
    Found::Tag(Tag { name: name.to_ascii_lowercase(), attributes, end }, after)
}

/// The value of an attribute, entities and all.
fn attribute(attributes: &str, wanted: &str) -> Option<String> {
    let mut rest = attributes.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(rest.len());
        let (name, tail) = rest.split_at(end);
        let tail = tail.trim_start();
        let (value, tail) = match tail.strip_prefix('=').map(str::trim_start) {
            None => ("", tail),
            Some(tail) => match tail.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    let inner = tail.get(1..).unwrap_or_default();
                    inner.split_once(quote).unwrap_or((inner, ""))
                }
                _ => tail.split_at(tail.find(char::is_whitespace).unwrap_or(tail.len())),
            },
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value.to_owned());
        }
        // Progress even over nonsense.
        let next = tail.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        rest = if next.len() < rest.len() { next } else { "" };
    }
    None
}

/// What comes after the end of a silent element; `None` when it has no end.
fn skip<'h>(after: &'h str, name: &str) -> Option<&'h str> {
    if RAW.contains(&name) {
        return until_end(after, name).map(|(_, after)| after);
    }
    let mut depth = 1usize;
    let mut rest = after;
    while let Some(at) = rest.find('<') {
        let tail = rest.get(at..).unwrap_or_default();
        rest = match tag(tail) {
            Found::Tag(tag, after) if tag.name == name => {
                depth = if tag.end { depth - 1 } else { depth + 1 };
                if depth == 0 {
                    return Some(after);
                }
                after
            }
            Found::Tag(tag, after) if !tag.end && RAW.contains(&tag.name.as_str()) => {
                until_end(after, &tag.name).map_or("", |(_, after)| after)
            }
            Found::Tag(_, after) | Found::Nothing(after) => after,
            Found::Text => tail.get(1..).unwrap_or_default(),
        };
    }
    None
}

/// What stands before and after the next end tag of that name.
fn until_end<'h>(text: &'h str, name: &str) -> Option<(&'h str, &'h str)> {
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find("</").map(|at| at + from) {
        let tail = text.get(at + 2..)?;
        let named = tail.get(..name.len()).is_some_and(|it| it.eq_ignore_ascii_case(name));
        if named {
            let after = tail.split_once('>').map_or("", |(_, after)| after);
            return Some((text.get(..at)?, after));
        }
        from = at + 2;
    }
    None
}

fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Named references that pages use for more than decoration.
const NAMED: [(&str, char); 28] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("mdash", '\u{2014}'),
    ("ndash", '\u{2013}'),
    ("hellip", '\u{2026}'),
    ("copy", '\u{a9}'),
    ("reg", '\u{ae}'),
    ("trade", '\u{2122}'),
    ("laquo", '\u{ab}'),
    ("raquo", '\u{bb}'),
    ("lsquo", '\u{2018}'),
    ("rsquo", '\u{2019}'),
    ("ldquo", '\u{201c}'),
    ("rdquo", '\u{201d}'),
    ("bull", '\u{2022}'),
    ("middot", '\u{b7}'),
    ("times", '\u{d7}'),
    ("deg", '\u{b0}'),
    ("euro", '\u{20ac}'),
    ("pound", '\u{a3}'),
    ("sect", '\u{a7}'),
    ("auml", '\u{e4}'),
    ("ouml", '\u{f6}'),
    ("uuml", '\u{fc}'),
];

/// Resolves character references; unknown ones stay as they are.
fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let name = tail.get(1..).unwrap_or_default();
        // The longest reference is a number of eight digits.
        let end = name.bytes().take(10).position(|byte| byte == b';');
        let found = end.and_then(|end| name.get(..end)).and_then(reference);
        match (found, end) {
            (Some(c), Some(end)) => {
                out.push(c);
                rest = name.get(end + 1..).unwrap_or_default();
            }
            _ => {
                out.push('&');
                rest = name;
            }
        }
    }
    out.push_str(rest);
    out
}

fn reference(name: &str) -> Option<char> {
    let Some(number) = name.strip_prefix('#') else {
        return NAMED.iter().find(|(known, _)| *known == name).map(|(_, c)| *c);
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(code).filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
}

/// Any text, in both styles: no panic, and no more text than a few times the page.
pub fn fuzz(data: &[u8]) {
    let html = String::from_utf8_lossy(data);
    let base = Url::parse("https://example.com/a/b").ok();
    for style in [Style::Markdown, Style::Text] {
        let page = read(&html, style, base.as_ref());
        assert!(page.text.len() <= html.len() * 64 + 64);
        assert!(page.title.is_none_or(|title| !title.is_empty()));
    }
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
