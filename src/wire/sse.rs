//! Event streams (WHATWG HTML section 9.2): the incremental parser for what providers send, and
//! the writers for what we send.
//!
//! A line ends with LF, CR or CRLF wherever the pieces are cut; a byte order mark at the very
//! start is skipped; `id` and `retry` are read over. A line is at most
//! [`crate::limits::SSE_LINE`] and the data of an event at most [`crate::limits::SSE_EVENT`]
//! bytes; beyond them the stream is broken for good ([`SseError`]).
//!
//! Two differences from the standard, on purpose: bytes that are not UTF-8 are an error instead
//! of U+FFFD, since a provider's JSON would be damaged silently; and [`Parser::finish`] hands
//! over a last event that lacks its blank line, since some providers close early.

use super::buffer::Buffer;
use crate::limits;

/// What a stream holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SseItem {
    /// An event: its name, if it has one, and its data lines joined by LF.
    Event {
        /// The last `event` field before the blank line, if not empty.
        event: Option<String>,
        /// The data.
        data: String,
    },
    /// A line that starts with a colon: a sign of life.
    Comment,
}

/// Why a stream is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SseError {
    /// A line longer than [`crate::limits::SSE_LINE`].
    LineTooLong,
    /// Data of one event longer than [`crate::limits::SSE_EVENT`].
    EventTooLong,
    /// A line that is not UTF-8.
    NotUtf8,
}

impl std::fmt::Display for SseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LineTooLong => write!(f, "a line of the event stream is over the limit"),
            Self::EventTooLong => write!(f, "an event of the stream is over the limit"),
            Self::NotUtf8 => write!(f, "the event stream is not UTF-8"),
        }
    }
}

impl std::error::Error for SseError {}

/// An incremental parser of one stream.
#[derive(Debug, Default)]
pub struct Parser {
    input: Buffer,
    /// Bytes of `input` known to hold no line end.
    scanned: usize,
    /// The last line ended with CR: a LF that follows belongs to it.
    after_cr: bool,
    /// The byte order mark can no longer come.
    begun: bool,
    event: Option<String>,
    data: String,
    has_data: bool,
    broken: Option<SseError>,
    reported: bool,
}

impl Parser {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes more bytes of the stream. They are parsed by [`Parser::next`].
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.input.extend(bytes);
        }
    }

    /// The next item, `None` when more bytes are needed. After an error, which is reported
    /// once, nothing more comes.
    #[expect(clippy::should_implement_trait, reason = "None means not yet, not the end")]
    pub fn next(&mut self) -> Option<Result<SseItem, SseError>> {
        let result = self.advance();
        if let Err(error) = result {
            self.broken = Some(error);
            self.input = Buffer::new();
            self.data = String::new();
            self.event = None;
            if std::mem::replace(&mut self.reported, true) {
                return None;
            }
        }
        result.transpose()
    }

    /// The stream ended: the event whose blank line is missing, if it has data.
    pub fn finish(&mut self) -> Option<Result<SseItem, SseError>> {
        self.push(b"\n\n");
        while let Some(item) = self.next() {
            if item != Ok(SseItem::Comment) {
                return Some(item);
            }
        }
        None
    }

    /// Bytes held: unparsed input and the data of the event under way.
    pub fn buffered(&self) -> usize {
        self.input.len().saturating_add(self.data.len())
    }

    fn advance(&mut self) -> Result<Option<SseItem>, SseError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        // Out of self for the while of this call, so that a line can be borrowed from it.
        let mut input = std::mem::take(&mut self.input);
        let result = self.lines(&mut input);
        self.input = input;
        result
    }

    fn lines(&mut self, input: &mut Buffer) -> Result<Option<SseItem>, SseError> {
        loop {
            if self.after_cr
                && let Some(first) = input.as_slice().first()
            {
                self.after_cr = false;
                if *first == b'\n' {
                    input.consume(1);
                }
            }
            if !self.begun && !self.skip_mark(input) {
                return Ok(None);
            }
            let bytes = input.as_slice();
            let fresh = bytes.get(self.scanned..).unwrap_or_default();
            let end = fresh.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let length = self.scanned.saturating_add(end.unwrap_or(fresh.len()));
            if length > limits::SSE_LINE {
                return Err(SseError::LineTooLong);
            }
            if end.is_none() {
                self.scanned = length;
                return Ok(None);
            }
            self.scanned = 0;
            self.after_cr = bytes.get(length) == Some(&b'\r');
            let line = bytes.get(..length).unwrap_or_default();
            let item = self.line(std::str::from_utf8(line).map_err(|_| SseError::NotUtf8)?);
            input.consume(length.saturating_add(1));
            if let Some(item) = item? {
                return Ok(Some(item));
            }
        }
    }

    /// Skips the byte order mark; false while it may still be under way.
    fn skip_mark(&mut self, input: &mut Buffer) -> bool {
        const MARK: &[u8] = b"\xEF\xBB\xBF";
        let bytes = input.as_slice();
        if bytes.len() < MARK.len() && MARK.starts_with(bytes) {
            return false;
        }
        if bytes.starts_with(MARK) {
            input.consume(MARK.len());
        }
        self.begun = true;
        true
    }

    fn line(&mut self, line: &str) -> Result<Option<SseItem>, SseError> {
        if line.is_empty() {
            let event = self.event.take().filter(|name| !name.is_empty());
            let data = std::mem::take(&mut self.data);
            let complete = std::mem::take(&mut self.has_data);
            return Ok(complete.then_some(SseItem::Event { event, data }));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => return Ok(Some(SseItem::Comment)),
            "event" => self.event = Some(value.to_owned()),
            "data" => {
                let length = self.data.len().saturating_add(value.len()).saturating_add(1);
                if length > limits::SSE_EVENT {
                    return Err(SseError::EventTooLong);
                }
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            _ => {}
        }
        Ok(None)
    }
}

/// Appends an event without a name: `data: ...` and a blank line. Line ends inside `bytes`
/// start a new `data` line each, so that nothing in it can forge a field.
pub fn data(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len().saturating_add(8));
    for line in lines_of(bytes) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// Appends an event with a name; line ends in the name are dropped.
pub fn event(out: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    out.extend_from_slice(b"event: ");
    out.extend(name.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')));
    out.push(b'\n');
    data(out, bytes);
}

/// Appends a comment, one line for each line of `text`.
pub fn comment(out: &mut Vec<u8>, text: &str) {
    for line in lines_of(text.as_bytes()) {
        out.extend_from_slice(b": ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// Lines of `bytes`, CRLF, LF and CR alike; at least one.
fn lines_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
            rest = None;
            return Some(text);
        };
        let (line, after) = text.split_at(end);
        let after = after.strip_prefix(b"\r\n").or_else(|| after.get(1..));
        rest = after;
        Some(line)
    })
}

fn all(parser: &mut Parser) -> Vec<Result<SseItem, SseError>> {
    std::iter::from_fn(|| parser.next()).collect()
}

/// One push and many pushes of the same bytes must give the same items; what we write must
/// parse back.
pub fn fuzz(bytes: &[u8]) {
    let mut whole = Parser::new();
    whole.push(bytes);
    let mut expected = all(&mut whole);
    let mut split = Parser::new();
    let mut found = Vec::new();
    for piece in super::pieces(bytes) {
        split.push(piece);
        found.extend(all(&mut split));
        assert!(split.buffered() <= limits::SSE_LINE + limits::SSE_EVENT + 1);
    }
    expected.extend(whole.finish());
    found.extend(split.finish());
    assert_eq!(expected, found);

    if let Ok(text) = std::str::from_utf8(bytes)
        && bytes.len() < 4096
    {
        let mut out = Vec::new();
        event(&mut out, "x", bytes);
        comment(&mut out, text);
        let mut parser = Parser::new();
        parser.push(&out);
        let data = text.replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!(parser.next(), Some(Ok(SseItem::Event { event: Some("x".into()), data })));
        assert!(all(&mut parser).iter().all(|item| *item == Ok(SseItem::Comment)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Vec<Result<SseItem, SseError>> {
        let mut parser = Parser::new();
        parser.push(bytes);
        all(&mut parser)
    }

    fn message(data: &str) -> Result<SseItem, SseError> {
        Ok(SseItem::Event { event: None, data: data.into() })
    }

    const STREAM: &[u8] = b"\xEF\xBB\xBFdata: a\r\n\r\n: hi\rdata:b\rdata\rdata:  c\r\r\
        event: x\nid: 7\nretry: 1\ndata: \xC3\xBC\n\nevent: lost\n\ndata: [DONE]\r\n\r\n";

    #[test]
    fn every_split_gives_the_same() {
        let want = vec![
            message("a"),
            Ok(SseItem::Comment),
            message("b\n\n c"),
            Ok(SseItem::Event { event: Some("x".into()), data: "\u{fc}".into() }),
            message("[DONE]"),
        ];
        assert_eq!(parse(STREAM), want);
        for at in 0..=STREAM.len() {
            let (first, second) = STREAM.split_at(at);
            let mut parser = Parser::new();
            parser.push(first);
            let mut found = all(&mut parser);
            parser.push(second);
            found.extend(all(&mut parser));
            assert_eq!(found, want, "cut at {at}");
        }
        let mut parser = Parser::new();
        let mut found = Vec::new();
        for byte in STREAM {
            parser.push(&[*byte]);
            found.extend(all(&mut parser));
        }
        assert_eq!(found, want);
        assert_eq!(parser.buffered(), 0);
        fuzz(STREAM);
    }

    #[test]
    fn limits_are_kept() {
        let mut long = b"data: ".to_vec();
        long.resize(limits::SSE_LINE, b'x');
        let mut parser = Parser::new();
        parser.push(&long);
        assert_eq!(parser.next(), None);
        parser.push(b"\n\n");
        assert!(matches!(parser.next(), Some(Ok(SseItem::Event { .. }))));
        parser.push(&long);
        parser.push(b"y");
        assert_eq!(parser.next(), Some(Err(SseError::LineTooLong)));
        parser.push(b"\n\ndata: z\n\n");
        assert_eq!(parser.next(), None);
        assert_eq!(parser.buffered(), 0);

        let mut parser = Parser::new();
        long.push(b'\n');
        let mut results = Vec::new();
        for _ in 0..5 {
            parser.push(&long);
            results.extend(parser.next());
        }
        assert_eq!(results, [Err(SseError::EventTooLong)]);
        assert_eq!(parse(b"data: \xff\n\n"), [Err(SseError::NotUtf8)]);
    }

    #[test]
    fn end_of_stream() {
        let mut parser = Parser::new();
        parser.push(b"data: last");
        assert_eq!(parser.next(), None);
        assert_eq!(parser.finish(), Some(message("last")));
        assert_eq!(parser.finish(), None);
    }

    #[test]
    fn writers_cannot_be_tricked() {
        let mut out = Vec::new();
        event(&mut out, "a\ndata: evil", b"x\r\nevent: y\rz\n");
        comment(&mut out, "ping\ndata: evil");
        assert_eq!(
            out,
            b"event: adata: evil\ndata: x\ndata: event: y\ndata: z\ndata: \n\n: ping\n: data: evil\n\n"
        );
        fuzz(b"x\r\ny\n\rz");
    }
}
