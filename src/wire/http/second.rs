//! A second reader of requests, for the differential fuzz run alone (`fuzz/`, `tests/corpus.rs`).
//!
//! It was written from RFC 9112 byte by byte, without httparse, without our scanner or decoder
//! and without their incremental states, and it reads whole inputs only. Both readers see the
//! same bytes of a connection and must cut them into the same requests:
//!
//! * what [`super::server`] hands over, this one reads the same: method, target, header lines,
//!   body, and where the next request begins;
//! * this one finds no request that the server does not hand over, unless the server has refused
//!   the connection;
//! * what the server refuses as malformed, this one refuses too. `EXPLAINED` lists the
//!   refusals that are ours: bounds, and rules that no grammar has.

use super::server::{Event, Server};

/// Statuses that the server refuses with where the grammar alone would not: a body, target or
/// head over its bound, an unknown expectation, CONNECT.
const EXPLAINED: [u16; 5] = [413, 414, 417, 431, 501];
/// A refusal of 400 that is ours: header values are text here.
const NOT_UTF8: &str = "header value is not UTF-8";

/// Largest body in a run; over it the server says 413.
const BODY_MAX: usize = 64 * 1024;

/// One request as one of the two read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// As on the wire.
    pub method: String,
    /// In origin form.
    pub target: String,
    /// Header lines in order, values without outer blanks.
    pub lines: Vec<(String, Vec<u8>)>,
    /// The content.
    pub body: Vec<u8>,
}

/// How the input ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// More bytes could go on.
    More,
    /// Nothing behind the last request counts: it was the last of its connection.
    Closed,
    /// What follows the last request is none; why, for people.
    Bad(&'static str),
}

enum Stop {
    More,
    Bad(&'static str),
}

type Step<T> = Result<T, Stop>;

/// Cuts a connection's bytes into requests.
pub fn read(bytes: &[u8]) -> (Vec<Read>, End) {
    let mut at = At { bytes, place: 0 };
    let mut found = Vec::new();
    loop {
        match request(&mut at) {
            Ok((request, last)) => {
                found.push(request);
                if last {
                    return (found, End::Closed);
                }
            }
            Err(Stop::More) => return (found, End::More),
            Err(Stop::Bad(why)) => return (found, End::Bad(why)),
        }
    }
}

struct At<'a> {
    bytes: &'a [u8],
    place: usize,
}

impl At<'_> {
    fn peek(&self) -> Step<u8> {
        self.bytes.get(self.place).copied().ok_or(Stop::More)
    }

    fn byte(&mut self) -> Step<u8> {
        let byte = self.peek()?;
        self.place = self.place.saturating_add(1);
        Ok(byte)
    }

    fn expect(&mut self, wanted: u8, why: &'static str) -> Step<()> {
        if self.byte()? == wanted { Ok(()) } else { Err(Stop::Bad(why)) }
    }

    fn line_end(&mut self, why: &'static str) -> Step<()> {
        self.expect(b'\r', why)?;
        self.expect(b'\n', why)
    }

    /// The longest run of such bytes, as text (they are ASCII).
    fn run(&mut self, of: fn(u8) -> bool) -> Step<String> {
        let mut text = String::new();
        while of(self.peek()?) {
            text.push(char::from(self.byte()?));
        }
        Ok(text)
    }
}

/// `tchar` of RFC 9110 section 5.6.2.
fn tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What a target may hold: any visible character and nothing beyond ASCII.
fn visible(byte: u8) -> bool {
    (0x21..=0x7e).contains(&byte)
}

fn field_byte(byte: u8) -> bool {
    byte == b'\t' || (0x20..=0x7e).contains(&byte) || byte >= 0x80
}

/// One request, and whether it is the last of its connection.
fn request(at: &mut At<'_>) -> Step<(Read, bool)> {
    for _ in 0..crate::limits::HTTP_BLANK_LINES {
        if at.peek()? == b'\r' {
            at.line_end("a lone CR")?;
        }
    }
    let method = at.run(tchar)?;
    if method.is_empty() {
        return Err(Stop::Bad("no method"));
    }
    at.expect(b' ', "no space behind the method")?;
    let target = at.run(visible)?;
    at.expect(b' ', "no space behind the target")?;
    for wanted in *b"HTTP/1." {
        at.expect(wanted, "no version")?;
    }
    let old = match at.byte()? {
        b'0' => true,
        b'1' => false,
        _ => return Err(Stop::Bad("another version")),
    };
    at.line_end("the first line does not end")?;
    let mut lines = Vec::new();
    while at.peek()? != b'\r' {
        lines.push(field(at)?);
    }
    at.line_end("the head does not end")?;
    let host = host(&lines, old)?;
    let target = origin(&method, &target, host.as_deref())?;
    let body = match framing(&lines, old)? {
        Framing::None => Vec::new(),
        Framing::Length(length) => content(at, length)?,
        Framing::Chunked => chunks(at)?,
    };
    let says = |token: &str| {
        values(&lines, "connection").any(|value| {
            value
                .split(|byte| *byte == b',')
                .any(|part| trim(part).eq_ignore_ascii_case(token.as_bytes()))
        })
    };
    let last = says("close") || old && !says("keep-alive");
    Ok((Read { method, target, lines, body }, last))
}

fn field(at: &mut At<'_>) -> Step<(String, Vec<u8>)> {
    let name = at.run(tchar)?;
    if name.is_empty() {
        return Err(Stop::Bad("a line without a name, or a folded one"));
    }
    at.expect(b':', "no colon behind the name")?;
    let mut value = Vec::new();
    while field_byte(at.peek()?) {
        value.push(at.byte()?);
    }
    at.line_end("a value does not end")?;
    Ok((name, trim(&value).to_vec()))
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn values<'a>(lines: &'a [(String, Vec<u8>)], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    lines
        .iter()
        .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_slice())
}

/// Once in 1.1, at most once in 1.0 (RFC 9112 section 3.2).
fn host(lines: &[(String, Vec<u8>)], old: bool) -> Step<Option<String>> {
    let mut all = values(lines, "host");
    let Some(value) = all.next() else {
        return if old { Ok(None) } else { Err(Stop::Bad("no Host")) };
    };
    if all.next().is_some() {
        return Err(Stop::Bad("two Hosts"));
    }
    let text = String::from_utf8(value.to_vec()).map_err(|_| Stop::Bad("Host is no text"))?;
    if is_authority(&text) { Ok(Some(text)) } else { Err(Stop::Bad("Host is no authority")) }
}

/// `uri-host [":" port]` of RFC 3986 section 3.2, never empty; without a comma, which joins the
/// values of two lines.
fn is_authority(text: &str) -> bool {
    let mut rest = text.as_bytes();
    if let [b'[', ..] = rest {
        let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
        let inner = text.get(1..end).unwrap_or_default();
        if inner.parse::<std::net::Ipv6Addr>().is_err() {
            return false;
        }
        rest = &rest[end.saturating_add(1)..];
    } else {
        let named = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(byte);
        let end = rest.iter().position(|byte| !named(byte)).unwrap_or(rest.len());
        if end == 0 {
            return false;
        }
        rest = &rest[end..];
    }
    match rest {
        [] => true,
        [b':', port @ ..] => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn origin(method: &str, target: &str, host: Option<&str>) -> Step<String> {
    if method == "CONNECT" {
        return Err(Stop::Bad("CONNECT"));
    }
    if target.contains('#') {
        return Err(Stop::Bad("a fragment"));
    }
    if target.starts_with('/') || target == "*" && method == "OPTIONS" {
        return Ok(target.to_owned());
    }
    let lower = target.to_ascii_lowercase();
    let skip = ["http://", "https://"].iter().find(|scheme| lower.starts_with(**scheme));
    let rest = skip.and_then(|scheme| target.get(scheme.len()..));
    let Some(rest) = rest else { return Err(Stop::Bad("no form of a target")) };
    let cut = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = (&rest[..cut], &rest[cut..]);
    if !is_authority(authority) {
        return Err(Stop::Bad("no authority"));
    }
    if host.is_some_and(|host| !host.eq_ignore_ascii_case(authority)) {
        return Err(Stop::Bad("two authorities"));
    }
    Ok(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// RFC 9112 section 6.3, with nothing forgiven.
fn framing(lines: &[(String, Vec<u8>)], old: bool) -> Step<Framing> {
    let codings: Vec<&[u8]> = values(lines, "transfer-encoding").collect();
    let lengths: Vec<&[u8]> = values(lines, "content-length").collect();
    match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => Ok(Framing::None),
        ([only], []) if !old && only.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        ([], [only]) if !only.is_empty() && only.iter().all(u8::is_ascii_digit) => {
            // The server counts no further; more zeros in front are an attempt at something.
            if only.len() > 19 {
                return Err(Stop::Bad("a length of more than 19 digits"));
            }
            let mut length = 0u64;
            for digit in *only {
                let digit = u64::from(*digit - b'0');
                length = length
                    .checked_mul(10)
                    .and_then(|length| length.checked_add(digit))
                    .ok_or(Stop::Bad("a length beyond counting"))?;
            }
            Ok(Framing::Length(length))
        }
        _ => Err(Stop::Bad("two framings, or one that is none")),
    }
}

fn content(at: &mut At<'_>, length: u64) -> Step<Vec<u8>> {
    let mut body = Vec::new();
    for _ in 0..length {
        body.push(at.byte()?);
    }
    Ok(body)
}

fn chunks(at: &mut At<'_>) -> Step<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let digits = at.run(|byte| byte.is_ascii_hexdigit())?;
        if digits.is_empty() || digits.len() > 16 {
            return Err(Stop::Bad("no size of a chunk"));
        }
        let mut size = 0u64;
        for digit in digits.chars() {
            size = size << 4 | u64::from(digit.to_digit(16).unwrap_or(0));
        }
        if at.peek()? == b';' {
            while field_byte(at.peek()?) {
                at.byte()?;
            }
        }
        at.line_end("the size of a chunk does not end")?;
        if size == 0 {
            break;
        }
        body.extend(content(at, size)?);
        at.line_end("a chunk does not end")?;
    }
    while at.peek()? != b'\r' {
        field(at)?;
    }
    at.line_end("the trailers do not end")?;
    Ok(body)
}

/// What the server makes of the same bytes, in one piece, and what it refuses the rest with.
pub fn ours(bytes: &[u8]) -> (Vec<Read>, Option<(u16, &'static str)>) {
    let mut server = Server::new();
    server.push(bytes);
    let mut found = Vec::new();
    let mut head = None;
    while let Some(event) = server.next() {
        match event {
            Event::Head(next) => {
                head = Some(next);
                server.read_body(BODY_MAX);
            }
            Event::Continue => {}
            Event::Body(body) => {
                let Some(head) = head.take() else { continue };
                found.push(Read {
                    method: head.method.as_str().to_owned(),
                    lines: head
                        .headers
                        .iter()
                        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
                        .collect(),
                    target: head.target,
                    body,
                });
                server.response_done();
            }
            Event::Refused(refusal) => return (found, Some((refusal.status, refusal.reason))),
        }
    }
    (found, None)
}

/// Both readers over the same bytes; a disagreement is a panic.
pub fn fuzz(data: &[u8]) {
    let (ours, refused) = ours(data);
    let (theirs, end) = read(data);
    assert!(ours.len() <= theirs.len(), "only the server reads {:?}", ours.get(theirs.len()));
    for (our, their) in ours.iter().zip(&theirs) {
        assert_eq!(our, their, "cut differently");
    }
    let Some((status, reason)) = refused else {
        let next = theirs.get(ours.len());
        assert!(next.is_none(), "only the second reader reads {next:?}");
        return;
    };
    if EXPLAINED.contains(&status) || reason == NOT_UTF8 {
        return;
    }
    // A request that the server refuses is none for the second reader either; at most it has not
    // come to the fault yet.
    assert!(theirs.len() == ours.len(), "only the server refuses ({reason}): {:?}", theirs.last());
    assert!(end != End::Closed || ours.is_empty(), "refused behind the last request: {reason}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_reader_reads() {
        let bytes =
            b"\r\nPOST http://x/a?b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
            3;e\r\nabc\r\n0\r\nT: 1\r\n\r\nGET / HTTP/1.0\r\n\r\nrest";
        let (found, end) = read(bytes);
        assert_eq!(end, End::Closed);
        assert_eq!((found[0].target.as_str(), found[0].body.as_slice()), ("/a?b", &b"abc"[..]));
        assert_eq!((found[1].method.as_str(), found.len()), ("GET", 2));
        fuzz(bytes);
        for bad in ["GET  / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nA : b\r\n\r\n", "GET / HTTP/1.1\n"] {
            assert!(matches!(read(bad.as_bytes()).1, End::Bad(_)), "{bad:?}");
            fuzz(bad.as_bytes());
        }
        assert_eq!(read(b"GET / HT").1, End::More);
    }
}
