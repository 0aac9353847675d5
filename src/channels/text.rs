//! Text on its way out: cut into pieces, and Markdown as each service wants it. Pure functions.
//!
//! A model writes Markdown. [`pieces`] cuts it where paragraphs, lines or words end, closes a
//! code fence at the end of a piece and opens it again in the next, and never cuts inside what
//! people see as one character. [`html`], [`mrkdwn`], [`plain`] and [`discord`] turn a piece into
//! what the service shows.

use std::borrow::Cow;

use super::Kind;

/// Most deep marks within marks that are understood; deeper ones stay as they are.
const DEPTH: usize = 12;

/// A line of more bytes, but the blanks at its end, opens and closes no code: it would have to
/// stand at the head of every piece, and what it says would be shown nowhere. A longer line has a
/// place to be cut at where neither part is such a line, if both may be longer than this.
pub(super) const FENCE: usize = 64;

/// How a service writes what Markdown means.
struct Style {
    bold: (&'static str, &'static str),
    italic: (&'static str, &'static str),
    strike: (&'static str, &'static str),
    code: (&'static str, &'static str),
    /// In front of and behind a block of code, with its language.
    pre: fn(&str) -> (String, &'static str),
    quote: (&'static str, &'static str),
    /// In front of each quoted line.
    quoted: &'static str,
    escape: fn(&str) -> Cow<'_, str>,
    link: fn(&str, &str) -> String,
}

static PLAIN: Style = Style {
    bold: ("", ""),
    italic: ("", ""),
    strike: ("", ""),
    code: ("", ""),
    pre: |_| (String::new(), ""),
    quote: ("", ""),
    quoted: "> ",
    escape: |text| Cow::Borrowed(text),
    link: |label, url| match label {
        "" => url.to_owned(),
        label if label == url => url.to_owned(),
        label => format!("{label} ({url})"),
    },
};

static HTML: Style = Style {
    bold: ("<b>", "</b>"),
    italic: ("<i>", "</i>"),
    strike: ("<s>", "</s>"),
    code: ("<code>", "</code>"),
    pre: |language| match language {
        "" => ("<pre><code>".to_owned(), "</code></pre>"),
        language => {
            let language = attribute(language);
            (format!("<pre><code class=\"language-{language}\">"), "</code></pre>")
        }
    },
    quote: ("<blockquote>", "</blockquote>"),
    quoted: "",
    escape: escape_angles,
    link: |label, url| match safe_url(url) {
        true => format!("<a href=\"{}\">{label}</a>", attribute(url)),
        false => format!("{label} ({})", escape_angles(url)),
    },
};

static MRKDWN: Style = Style {
    bold: ("*", "*"),
    italic: ("_", "_"),
    strike: ("~", "~"),
    code: ("`", "`"),
    pre: |_| ("```\n".to_owned(), "\n```"),
    quote: ("", ""),
    quoted: "> ",
    escape: escape_angles,
    link: |label, url| match safe_url(url) {
        true => format!("<{}|{}>", url.replace(['<', '>', '|'], ""), label.replace('|', "¦")),
        false => format!("{label} ({})", escape_angles(url)),
    },
};

/// Markdown as plain text: marks are taken out, code and link targets stay.
pub fn plain(markdown: &str) -> String {
    render(markdown, &PLAIN)
}

/// Markdown as the HTML that Telegram takes.
pub fn html(markdown: &str) -> String {
    render(markdown, &HTML)
}

/// Markdown as Slack's mrkdwn.
pub fn mrkdwn(markdown: &str) -> String {
    render(markdown, &MRKDWN)
}

/// Markdown as Discord takes it: as it is, but that nobody is called by `@everyone`.
pub fn discord(markdown: &str) -> String {
    markdown.replace("@everyone", "@\u{200b}everyone").replace("@here", "@\u{200b}here")
}

fn safe_url(url: &str) -> bool {
    ["http://", "https://", "mailto:", "tg://"].iter().any(|scheme| url.starts_with(scheme))
}

fn attribute(text: &str) -> String {
    escape_angles(text).replace('"', "&quot;")
}

fn escape_angles(text: &str) -> Cow<'_, str> {
    match text.contains(['&', '<', '>']) {
        true => Cow::Owned(text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")),
        false => Cow::Borrowed(text),
    }
}

/// The fence that a line opens: its mark and its language.
pub(super) fn fence(line: &str) -> Option<(&str, &str)> {
    let line = mark_line(line)?;
    let mark = ["```", "~~~"].into_iter().find(|mark| line.starts_with(mark))?;
    let first = mark.chars().next()?;
    let end = line.find(|c| c != first).unwrap_or(line.len());
    let (mark, rest) = line.split_at(end);
    // Code in one line is no block.
    (!rest.contains('`')).then_some((mark, rest.trim()))
}

pub(super) fn closes(line: &str, mark: &str) -> bool {
    let is = |line: &str| line.starts_with(mark) && line.chars().all(|c| mark.starts_with(c));
    mark_line(line).is_some_and(is)
}

/// A line that is short enough to open or close code, without the blanks around it.
fn mark_line(line: &str) -> Option<&str> {
    Some(line.trim_end()).filter(|line| line.len() <= FENCE).map(str::trim_start)
}

/// Where a text is cut so that no line becomes, or stops to be, one that opens or closes code:
/// `at`, or before it; behind the first character at least. With `grows` the last line may go on,
/// and there may be no such place yet.
pub(super) fn harmless(text: &str, at: usize, grows: bool) -> Option<usize> {
    let first = text.ceil_char_boundary(1);
    let mut at = text.ceil_char_boundary(at.max(1)).max(first);
    while at > first && harms(text, at, grows) {
        at = text.floor_char_boundary(at - 1).max(first);
    }
    (!grows || !harms(text, at, grows)).then_some(at)
}

/// Whether a cut at `at` changes which lines open or close code.
pub(super) fn harms(text: &str, at: usize, grows: bool) -> bool {
    let (Some(front), Some(tail)) = (text.get(..at), text.get(at..)) else { return true };
    if front.is_empty() || front.ends_with('\n') || tail.starts_with('\n') {
        return false;
    }
    let head = front.get(front.rfind('\n').map_or(0, |at| at + 1)..).unwrap_or_default();
    let end = tail.find('\n');
    let whole = text.get(at - head.len()..end.map_or(text.len(), |end| at + end));
    let tail = tail.get(..end.unwrap_or(tail.len())).unwrap_or_default();
    let grows = grows && end.is_none();
    if tail.trim().is_empty() && !grows {
        return false;
    }
    // Marks that are not long enough yet, and blanks before them.
    let begins = |line: &str| {
        let line = line.trim_start();
        line.len() < FENCE && ['`', '~'].iter().any(|mark| line.chars().all(|c| c == *mark))
    };
    let opens = |line: &str| fence(line).is_some() || grows && begins(line);
    fence(head).is_some() || opens(tail) || whole.is_some_and(opens)
}

fn render(markdown: &str, style: &Style) -> String {
    let mut out = Vec::new();
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some((mark, language)) = fence(line) {
            let mut code = Vec::new();
            for line in lines.by_ref() {
                if closes(line, mark) {
                    break;
                }
                code.push(line);
            }
            let (open, close) = (style.pre)(language);
            out.push(format!("{open}{}{close}", (style.escape)(&code.join("\n"))));
        } else if let Some(quote) = line.trim_start().strip_prefix('>') {
            let mut quotes = vec![quote.trim_start()];
            while let Some(more) = lines.next_if(|line| line.trim_start().starts_with('>')) {
                quotes.push(more.trim_start().trim_start_matches('>').trim_start());
            }
            let shown: Vec<String> = quotes
                .iter()
                .map(|line| format!("{}{}", style.quoted, inline(line, style, 0)))
                .collect();
            out.push(format!("{}{}{}", style.quote.0, shown.join("\n"), style.quote.1));
        } else if let Some(title) = heading(line) {
            let (open, close) = style.bold;
            out.push(format!("{open}{}{close}", inline(title, style, DEPTH - 1)));
        } else {
            out.push(inline(line, style, 0));
        }
    }
    out.join("\n")
}

fn heading(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches('#');
    let depth = line.len() - rest.len();
    let title = rest.strip_prefix(' ')?.trim().trim_end_matches('#').trim_end();
    ((1..=6).contains(&depth) && !title.is_empty()).then_some(title)
}

/// Marks within a line.
fn inline(text: &str, style: &Style, depth: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    let mut from = 0;
    // Text since `from` is plain; it is escaped when a mark begins.
    loop {
        let whole = text.len() - rest.len();
        let Some(c) = rest.chars().next() else { break };
        let found = match depth < DEPTH {
            true => mark(rest, before, style, depth),
            false => None,
        };
        match found {
            Some((shown, used)) => {
                out.push_str(&(style.escape)(text.get(from..whole).unwrap_or_default()));
                out.push_str(&shown);
                before = rest.get(..used).and_then(|it| it.chars().next_back()).unwrap_or(' ');
                rest = rest.get(used..).unwrap_or_default();
                from = text.len() - rest.len();
            }
            None => {
                before = c;
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
    }
    out.push_str(&(style.escape)(text.get(from..).unwrap_or_default()));
    out
}

/// A mark at the front of `rest`: what it becomes, and how many bytes it takes.
fn mark(rest: &str, before: char, style: &Style, depth: usize) -> Option<(String, usize)> {
    match rest.as_bytes().first()? {
        b'\\' => {
            let next = rest.chars().nth(1).filter(char::is_ascii_punctuation)?;
            Some(((style.escape)(next.encode_utf8(&mut [0; 4])).into_owned(), 2))
        }
        b'`' => {
            let ticks = rest.len() - rest.trim_start_matches('`').len();
            let body = rest.get(ticks..)?;
            let fence = rest.get(..ticks)?;
            let end = body.find(fence)?;
            let code = body.get(..end)?;
            let (open, close) = style.code;
            let shown = format!("{open}{}{close}", (style.escape)(code.trim()));
            Some((shown, ticks + end + ticks))
        }
        b'*' | b'_' | b'~' => emphasis(rest, before, style, depth),
        b'!' if rest.starts_with("![") => {
            let (shown, used) = link(rest.get(1..)?, style, depth)?;
            Some((shown, used + 1))
        }
        b'[' => link(rest, style, depth),
        b'<' => {
            let url = rest.get(1..rest.find('>')?)?;
            let plain = safe_url(url) && !url.contains(char::is_whitespace);
            plain.then(|| ((style.escape)(url).into_owned(), url.len() + 2))
        }
        // An address keeps its underscores.
        b'h' if rest.starts_with("http://") || rest.starts_with("https://") => {
            let end = rest.find(|c: char| c.is_whitespace() || "<>()[]*`".contains(c));
            let url = rest.get(..end.unwrap_or(rest.len()))?;
            Some(((style.escape)(url).into_owned(), url.len()))
        }
        _ => None,
    }
}

fn emphasis(rest: &str, before: char, style: &Style, depth: usize) -> Option<(String, usize)> {
    let marks = [
        ("**", style.bold),
        ("__", style.bold),
        ("~~", style.strike),
        ("*", style.italic),
        ("_", style.italic),
    ];
    let (sign, (open, close)) = marks.into_iter().find(|(sign, _)| rest.starts_with(sign))?;
    let word = |c: char| c.is_alphanumeric();
    // `snake_case` has no emphasis in it.
    if sign.starts_with('_') && word(before) {
        return None;
    }
    let body = rest.get(sign.len()..)?;
    if body.starts_with(char::is_whitespace) || body.starts_with(sign) {
        return None;
    }
    let end = body.match_indices(sign).map(|(at, _)| at).find(|at| {
        let inner = body.get(..*at).unwrap_or_default();
        let after = body.get(at + sign.len()..).and_then(|it| it.chars().next());
        let in_word = sign.starts_with('_') && after.is_some_and(word);
        let doubled = after == sign.chars().next() || inner.ends_with(sign);
        !inner.is_empty()
            && !inner.ends_with(char::is_whitespace)
            && !inner.ends_with('\\')
            && !in_word
            && (sign.len() > 1 || !doubled)
    })?;
    let inner = inline(body.get(..end)?, style, depth + 1);
    Some((format!("{open}{inner}{close}"), sign.len() + end + sign.len()))
}

/// `[label](url)`.
fn link(rest: &str, style: &Style, depth: usize) -> Option<(String, usize)> {
    let close = rest.find("](")?;
    let label = rest.get(1..close)?;
    if label.contains('\n') || label.contains('[') {
        return None;
    }
    let tail = rest.get(close + 2..)?;
    let mut open = 1;
    let end = tail.char_indices().find_map(|(at, c)| {
        open += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        (open == 0).then_some(at)
    })?;
    // A title behind the address is left out.
    let url = tail.get(..end)?.split_whitespace().next().unwrap_or_default();
    let url = url.trim_start_matches('<').trim_end_matches('>');
    let label = inline(label, style, depth + 1);
    Some(((style.link)(&label, url), close + 2 + end + 1))
}

/// A text as pieces of one channel, rendered: `(rendered, plain Markdown)`. `limit` is that of
/// the configuration; the channel's own is never passed. `newline` cuts at every blank line.
pub fn for_channel(
    kind: &Kind,
    markdown: &str,
    limit: Option<usize>,
    newline: bool,
) -> Vec<(String, String)> {
    let limit = limit.unwrap_or(kind.text_limit).min(kind.text_limit).max(16);
    let paragraphs: Vec<String> = match newline {
        true => paragraphs(markdown),
        false => vec![markdown.to_owned()],
    };
    let mut out = Vec::new();
    for part in paragraphs {
        for piece in pieces(&part, limit, kind.length) {
            fit(kind, piece, limit, &mut out);
        }
    }
    out.retain(|(rendered, _)| !rendered.trim().is_empty());
    out
}

/// Pieces of at most about so many lines: a service folds taller ones away.
pub fn not_tall(kind: &Kind, all: Vec<(String, String)>, lines: usize) -> Vec<(String, String)> {
    let most = lines.max(2) - 1;
    let mut out = Vec::new();
    for (rendered, piece) in all {
        if newlines(&piece) <= most {
            out.push((rendered, piece));
            continue;
        }
        let cut = pieces(&piece, most, newlines).into_iter();
        out.extend(cut.map(|piece| ((kind.render)(&piece), piece)));
    }
    out
}

fn newlines(text: &str) -> usize {
    text.matches('\n').count()
}

/// What grows over the channel's limit in rendering is cut smaller.
fn fit(kind: &Kind, piece: String, limit: usize, out: &mut Vec<(String, String)>) {
    let rendered = (kind.render)(&piece);
    if (kind.length)(&rendered) <= kind.text_limit || limit <= 32 {
        out.push((rendered, piece));
        return;
    }
    for smaller in pieces(&piece, limit / 2, kind.length) {
        fit(kind, smaller, limit / 2, out);
    }
}

/// Blank lines outside of code as ends.
fn paragraphs(text: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut open: Option<String> = None;
    for line in text.split_inclusive('\n') {
        open = match open {
            Some(mark) if closes(line, &mark) => None,
            Some(mark) => Some(mark),
            None => fence(line).map(|(mark, _)| mark.to_owned()),
        };
        match all.last_mut() {
            Some(last) if open.is_some() || !line.trim().is_empty() => last.push_str(line),
            Some(last) if !last.is_empty() => all.push(String::new()),
            _ => {}
        }
    }
    all.into_iter().map(|part| part.trim_end().to_owned()).filter(|it| !it.is_empty()).collect()
}

/// A Markdown text as pieces of at most `limit` as `length` counts.
pub fn pieces(text: &str, limit: usize, length: fn(&str) -> usize) -> Vec<String> {
    if length(text) <= limit {
        let text = text.trim_matches('\n');
        return if text.trim().is_empty() { Vec::new() } else { vec![text.to_owned()] };
    }
    let mut cutter = Cutter { limit, length, done: Vec::new(), piece: String::new(), open: None };
    for line in text.split('\n') {
        cutter.line(line);
    }
    cutter.flush();
    cutter.done
}

struct Cutter {
    limit: usize,
    length: fn(&str) -> usize,
    done: Vec<String>,
    piece: String,
    /// The line that opened the code we are in, and its mark.
    open: Option<(String, String)>,
}

impl Cutter {
    fn line(&mut self, line: &str) {
        let next = match &self.open {
            Some((_, mark)) if closes(line, mark) => None,
            Some(open) => Some(open.clone()),
            // Pieces that are very small have no room for it at their heads.
            None => fence(line)
                .filter(|_| (self.length)(line) <= self.limit / 2)
                .map(|(mark, _)| (line.to_owned(), mark.to_owned())),
        };
        // A line that opens code wants room for what closes it as well.
        let opens = next.as_ref().filter(|_| self.open.is_none());
        let close = opens.map_or(0, |(_, mark)| mark.len() + 1);
        if self.fits(line, close) {
            self.put(line);
        } else {
            self.cut_back();
            if !self.fits(line, close) {
                self.flush();
            }
            self.long(line);
        }
        self.open = next;
    }

    /// Whether a line has room in the piece, with what closes the code it may be in, and `more`.
    fn fits(&self, line: &str, more: usize) -> bool {
        let gap = usize::from(!self.piece.is_empty());
        let close = self.open.as_ref().map_or(0, |(_, mark)| mark.len() + 1);
        (self.length)(&self.piece) + gap + (self.length)(line) + close + more <= self.limit
    }

    fn put(&mut self, line: &str) {
        if !self.piece.is_empty() {
            self.piece.push('\n');
        }
        self.piece.push_str(line);
    }

    /// Ends the piece at its last blank line, when that is far enough along.
    fn cut_back(&mut self) {
        if self.open.is_some() || self.piece.contains("```") || self.piece.contains("~~~") {
            return;
        }
        if let Some(at) = self.piece.rfind("\n\n").filter(|at| *at > self.piece.len() / 2) {
            let later = self.piece.split_off(at);
            self.end();
            self.piece = later.trim_start_matches('\n').to_owned();
        }
    }

    fn end(&mut self) {
        let piece = std::mem::take(&mut self.piece);
        let piece = piece.trim_matches('\n').trim_end();
        if !piece.trim().is_empty() {
            self.done.push(piece.to_owned());
        }
    }

    /// Ends the piece; code that is open is closed here and opened in the next.
    fn flush(&mut self) {
        let Some((line, mark)) = self.open.clone() else { return self.end() };
        if self.piece == line {
            // Nothing of the code stands here yet.
            return;
        }
        self.put(&mark);
        self.end();
        self.piece = line;
    }

    /// A line, in parts if it has to be.
    fn long(&mut self, line: &str) {
        let mut rest = line;
        while !self.fits(rest, 0) {
            let close = self.open.as_ref().map_or(0, |(_, mark)| mark.len() + 1);
            let gap = usize::from(!self.piece.is_empty());
            let used = (self.length)(&self.piece) + gap + close;
            let room = self.limit.saturating_sub(used);
            let hard = floor(rest, room, self.length);
            let head = rest.get(..hard).unwrap_or(rest);
            let cut = match self.open {
                // Code keeps its blanks.
                Some(_) => hard,
                None => head.rfind(' ').filter(|at| *at > hard / 2).unwrap_or(hard),
            };
            let cut = match cut {
                0 => 0,
                cut => harmless(rest, cut, false).unwrap_or(cut),
            };
            if cut == 0 {
                if self.piece.is_empty() || self.open.as_ref().is_some_and(|it| it.0 == self.piece)
                {
                    // No room for even one character: it goes alone.
                    let one = next_cluster(rest);
                    self.put(rest.get(..one).unwrap_or(rest));
                    rest = rest.get(one..).unwrap_or_default();
                }
            } else {
                self.put(rest.get(..cut).unwrap_or(rest));
                rest = rest.get(cut..).unwrap_or_default();
                if self.open.is_none() {
                    rest = rest.trim_start_matches(' ');
                }
            }
            self.flush();
            if rest.is_empty() {
                return;
            }
        }
        self.put(rest);
    }
}

/// Where the longest front of whole clusters ends that is at most `room`.
pub(super) fn floor(text: &str, room: usize, length: fn(&str) -> usize) -> usize {
    let mut end = 0;
    let mut used = 0usize;
    while end < text.len() {
        let rest = text.get(end..).unwrap_or_default();
        let step = next_cluster(rest);
        used = used.saturating_add(length(rest.get(..step).unwrap_or(rest)));
        if used > room || step == 0 {
            break;
        }
        end += step;
    }
    end
}

/// Bytes of what people see as the first character (a good part of Unicode annex 29: combining
/// marks, joiners, variation selectors, skin tones, flags, Hangul).
fn next_cluster(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    let Some((_, first)) = chars.next() else { return 0 };
    let mut last = first;
    let mut flags = usize::from(is_flag(first));
    while let Some((at, c)) = chars.peek().copied() {
        let joins = extends(c)
            || last == '\u{200d}'
            || (is_flag(last) && is_flag(c) && flags % 2 == 1)
            || (last == '\r' && c == '\n')
            || hangul(last, c);
        if !joins {
            return at;
        }
        flags += usize::from(is_flag(c));
        last = c;
        chars.next();
    }
    text.len()
}

fn is_flag(c: char) -> bool {
    ('\u{1f1e6}'..='\u{1f1ff}').contains(&c)
}

fn hangul(last: char, c: char) -> bool {
    let lead = ('\u{1100}'..='\u{115f}').contains(&last);
    let vowel = |c: char| ('\u{1160}'..='\u{11a7}').contains(&c);
    let tail = ('\u{11a8}'..='\u{11ff}').contains(&c);
    let syllable = ('\u{ac00}'..='\u{d7a3}').contains(&last);
    let leads = ('\u{1100}'..='\u{115f}').contains(&c);
    let whole = ('\u{ac00}'..='\u{d7a3}').contains(&c);
    lead && (leads || vowel(c) || whole) || (vowel(last) || syllable) && (vowel(c) || tail)
}

/// A character that belongs to the one before it.
fn extends(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}'
        | '\u{5bf}' | '\u{5c1}'..='\u{5c2}' | '\u{5c4}'..='\u{5c5}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}'
        | '\u{900}'..='\u{903}' | '\u{93a}'..='\u{93c}' | '\u{93e}'..='\u{94f}'
        | '\u{951}'..='\u{957}' | '\u{981}'..='\u{983}' | '\u{9bc}' | '\u{9be}'..='\u{9cd}'
        | '\u{a01}'..='\u{a03}' | '\u{a3c}'..='\u{a4d}' | '\u{abc}'..='\u{acd}'
        | '\u{b01}'..='\u{b03}' | '\u{b3c}'..='\u{b57}' | '\u{bbe}'..='\u{bcd}'
        | '\u{c3e}'..='\u{c56}' | '\u{cbc}'..='\u{cd6}' | '\u{d3e}'..='\u{d4d}'
        | '\u{e31}' | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}' | '\u{eb1}'
        | '\u{eb4}'..='\u{ebc}' | '\u{ec8}'..='\u{ece}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{200c}'..='\u{200d}' | '\u{20d0}'..='\u{20ff}'
        | '\u{302a}'..='\u{302f}' | '\u{3099}'..='\u{309a}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}'
        | '\u{e0100}'..='\u{e01ef}')
}

/// UTF-16 units, as Telegram and Discord count.
pub fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Any text in any style and any size of pieces: bounded, nothing lost but blanks and marks.
pub fn fuzz(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);
    let limit = usize::from(*first).max(40);
    for length in [str::len as fn(&str) -> usize, utf16] {
        let pieces = pieces(&text, limit, length);
        for piece in &pieces {
            let one = next_cluster(piece) == piece.len();
            // A fence line as long as the limit, or one huge cluster, is all that may pass it.
            let fenced = piece.lines().next().is_some_and(|line| fence(line).is_some());
            assert!(length(piece) <= limit || one || fenced, "{limit}: {piece:?}");
        }
        assert_eq!(unsaid(&text, &pieces), None, "{limit}: {pieces:?}");
    }
    for style in [plain, html, mrkdwn, discord] {
        let _ = style(&text);
    }
}

/// The first character, but blanks and lines that open or close code, that these pieces of a
/// text do not say in its order, and where it stands.
pub(super) fn unsaid<T: AsRef<str>>(text: &str, pieces: &[T]) -> Option<(usize, char)> {
    let mut said = pieces.iter().flat_map(|piece| piece.as_ref().chars());
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if fence(line).is_none() {
            let mut chars = line.char_indices().filter(|(_, c)| !c.is_whitespace());
            if let Some((i, c)) = chars.find(|(_, c)| !said.any(|said| said == *c)) {
                return Some((at + i, c));
            }
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
