//! Lines of IRC (RFC 1459, RFC 2812): reading, and what may be written.

use crate::limits;

/// A line from the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// `nick!user@host` or a server's name.
    pub(super) from: String,
    /// `PRIVMSG`, `001`; upper case.
    pub(super) command: String,
    /// The rest, the last one perhaps with blanks.
    pub(super) params: Vec<String>,
}

impl Line {
    /// A parameter; empty when there is none.
    pub(super) fn param(&self, at: usize) -> &str {
        self.params.get(at).map_or("", String::as_str)
    }

    /// The last parameter.
    pub(super) fn last(&self) -> &str {
        self.params.last().map_or("", String::as_str)
    }

    /// The nick of the sender.
    pub(super) fn nick(&self) -> &str {
        self.from.split(['!', '@']).next().unwrap_or_default()
    }
}

/// Reads one line without its end; `None` for a blank one.
pub(super) fn read(text: &str) -> Option<Line> {
    let mut rest = text.trim_start_matches(' ');
    if rest.starts_with('@') {
        rest = rest.split_once(' ')?.1.trim_start_matches(' ');
    }
    let mut line = Line::default();
    if let Some(prefixed) = rest.strip_prefix(':') {
        let (from, after) = prefixed.split_once(' ')?;
        line.from = from.to_owned();
        rest = after.trim_start_matches(' ');
    }
    let (command, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
    if command.is_empty() {
        return None;
    }
    line.command = command.to_ascii_uppercase();
    loop {
        rest = rest.trim_start_matches(' ');
        if let Some(last) = rest.strip_prefix(':') {
            line.params.push(last.to_owned());
            return Some(line);
        }
        if rest.is_empty() || line.params.len() >= limits::IRC_PARAMS {
            return Some(line);
        }
        let (param, after) = rest.split_once(' ').unwrap_or((rest, ""));
        line.params.push(param.to_owned());
        rest = after;
    }
}

/// Bytes of a connection, cut into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    held: Vec<u8>,
}

impl Lines {
    /// Takes bytes.
    ///
    /// # Errors
    /// When a line is longer than [`limits::IRC_LINE`]: the peer is no IRC server.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Line>, ()> {
        let mut found = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.held.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let text = std::mem::take(&mut self.held);
                let text = String::from_utf8_lossy(&text);
                found.extend(read(text.trim_end_matches(['\r', '\n'])));
            }
            if self.held.len() > limits::IRC_LINE {
                return Err(());
            }
        }
        Ok(found)
    }
}

/// A text that cannot become a second command: without line ends and NUL.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\r' | '\n' | '\0') { ' ' } else { c }).collect()
}

/// A word of a command: no blanks, no colon in front.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(':')
        && !text.chars().any(|c| c.is_control() || c.is_whitespace() || c == ',')
}

/// Lower case as RFC 1459 has it.
pub(super) fn lower(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '[' => '{',
            ']' => '}',
            '\\' => '|',
            '~' => '^',
            c => c.to_ascii_lowercase(),
        })
        .collect()
}

/// A channel rather than a person.
pub(super) fn is_room(target: &str) -> bool {
    target.starts_with(['#', '&', '+', '!'])
}

/// What somebody said, without colours and other formatting.
pub(super) fn unformatted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{3}' => {
                let mut digits = 0;
                while digits < 2 && rest.next_if(char::is_ascii_digit).is_some() {
                    digits += 1;
                }
                let mut ahead = rest.clone();
                let comma = ahead.next() == Some(',');
                if digits > 0 && comma && ahead.next().is_some_and(|c| c.is_ascii_digit()) {
                    rest.next();
                    let mut digits = 0;
                    while digits < 2 && rest.next_if(char::is_ascii_digit).is_some() {
                        digits += 1;
                    }
                }
            }
            '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// A text as lines of at most `max` bytes, cut at blanks where there are some, never inside a
/// character; blank lines are left out.
pub(super) fn pieces(text: &str, max: usize) -> Vec<String> {
    let mut all = Vec::new();
    for line in text.lines() {
        let mut rest = line.trim_end();
        while !rest.is_empty() {
            if rest.len() <= max {
                all.push(one_line(rest));
                break;
            }
            let hard = rest.floor_char_boundary(max.max(4));
            let head = rest.get(..hard).unwrap_or(rest);
            let cut = head.rfind(' ').filter(|at| *at > hard / 2).unwrap_or(hard);
            let (now, later) = rest.split_at(cut);
            all.push(one_line(now.trim_end()));
            rest = later.trim_start_matches(' ');
        }
    }
    all.retain(|line| !line.trim().is_empty());
    all
}

/// Any bytes as lines: one push and many come to the same.
pub fn fuzz(data: &[u8]) {
    let whole = Lines::default().push(data);
    let mut split = Lines::default();
    let mut found = Vec::new();
    for piece in crate::wire::pieces(data) {
        match split.push(piece) {
            Ok(lines) => found.extend(lines),
            Err(()) => return,
        }
    }
    if let Ok(lines) = whole {
        assert_eq!(lines, found);
    }
    let text = String::from_utf8_lossy(data);
    for line in pieces(&unformatted(&text), 100) {
        assert!(line.len() <= 100 && !line.contains(['\n', '\r', '\0']));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = read("@time=1 :n!u@h  privmsg #a   :hi  there :)").expect("a line");
        assert_eq!((&*line.from, &*line.command), ("n!u@h", "PRIVMSG"));
        assert_eq!(line.params, ["#a", "hi  there :)"]);
        assert_eq!((line.nick(), line.last()), ("n", "hi  there :)"));
        assert_eq!(read("PING x").expect("a line").params, ["x"]);
        assert_eq!(read("PING :").expect("a line").params, [""]);
        for text in ["", " ", ":x", "@a", ": "] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn lines_are_cut_and_bounded() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"PI").expect("short"), []);
        assert_eq!(lines.push(b"NG a\r\n\nPONG b\nX").expect("short").len(), 2);
        assert!(lines.push(&vec![b'x'; limits::IRC_LINE]).is_err());
    }

    #[test]
    fn texts_become_lines_that_fit() {
        assert_eq!(pieces("a\n\nb c", 9), ["a", "b c"]);
        assert_eq!(pieces("aaa bbb ccc", 7), ["aaa bbb", "ccc"]);
        assert_eq!(pieces("äöüä", 4), ["äö", "üä"]);
        assert_eq!(pieces("a\rQUIT", 50), ["a QUIT"]);
        assert_eq!(pieces(" \n", 9), [""; 0]);
    }

    #[test]
    fn formatting_is_taken_out() {
        assert_eq!(
            unformatted("\u{2}bold\u{f} \u{3}04,05red\u{3} \u{3}4,x \u{1f}u"),
            "bold red ,x u"
        );
        assert_eq!(lower("Nick[]\\~"), "nick{}|^");
    }
}
