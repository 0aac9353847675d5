//! Heads: finding their end byte by byte, and what a request head says (RFC 9112 sections 2 to
//! 6, RFC 9110 sections 5 to 7).

use std::mem::MaybeUninit;

use super::server::Refusal;
use crate::limits;
use crate::wire::url;

/// Header lines in one string with the places where names and values end: two allocations
/// however many there are, four bytes a line beside the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    text: String,
    /// End of the name and end of the value; a line starts where the one before ended.
    ends: Vec<(u16, u16)>,
}

// Lossy decoding may triple a head.
const _: () = assert!(limits::HTTP_HEAD * 3 <= u16::MAX as usize);

impl Headers {
    /// The first value of `name`, in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Every value of `name`, in order.
    pub fn get_all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let same = move |(known, _): &(&str, &str)| known.eq_ignore_ascii_case(name);
        self.iter().filter(same).map(|(_, value)| value)
    }

    /// The value of `name` if it is there exactly once: for credentials and keys, where a
    /// second one must not go unseen.
    pub fn only(&self, name: &str) -> Option<&str> {
        let mut values = self.get_all(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// True when a comma-separated list of that name holds `token`, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.get_all(name)
            .flat_map(|value| value.split(','))
            .any(|part| part.trim_matches([' ', '\t']).eq_ignore_ascii_case(token))
    }

    /// Names as written and values without outer blanks, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |(name_end, value_end)| {
            let (middle, end) = (usize::from(*name_end), usize::from(*value_end));
            let name = self.text.get(start..middle).unwrap_or_default();
            let value = self.text.get(middle..end).unwrap_or_default();
            start = end;
            (name, value)
        })
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True without lines.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Copies parsed lines. `None` when a value is not UTF-8, unless `lossy`.
    pub(super) fn from_parsed(lines: &[httparse::Header<'_>], lossy: bool) -> Option<Self> {
        let size = lines.iter().fold(0usize, |sum, line| {
            sum.saturating_add(line.name.len()).saturating_add(line.value.len())
        });
        let mut text = String::with_capacity(size);
        let mut ends = Vec::with_capacity(lines.len());
        for line in lines {
            text.push_str(line.name);
            let middle = u16::try_from(text.len()).ok()?;
            match std::str::from_utf8(line.value) {
                Ok(value) => text.push_str(value),
                Err(_) if lossy => text.push_str(&String::from_utf8_lossy(line.value)),
                Err(_) => return None,
            }
            ends.push((middle, u16::try_from(text.len()).ok()?));
        }
        Some(Self { text, ends })
    }
}

/// A request method (RFC 9110 section 9); case matters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Patch,
    Trace,
    /// Any other token.
    Other(String),
}

impl Method {
    /// As on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Trace => "TRACE",
            Self::Other(name) => name,
        }
    }

    fn parse(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            "PATCH" => Self::Patch,
            "TRACE" => Self::Trace,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// A request head that kept every rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What is asked for.
    pub method: Method,
    /// Origin form, `/path?query`, or `*` with OPTIONS. Of an absolute form only the path and
    /// query are kept; its authority equals the Host header.
    pub target: String,
    /// HTTP/1.0 instead of 1.1.
    pub http10: bool,
    /// The header lines.
    pub headers: Headers,
}

impl Head {
    /// The target without its query, still percent-encoded.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    /// What follows the first `?`.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// True when the client wants to send another request on this connection (RFC 9112
    /// section 9.3).
    pub fn wants_keep_alive(&self) -> bool {
        !self.headers.has_token("connection", "close")
            && (!self.http10 || self.headers.has_token("connection", "keep-alive"))
    }

    /// True for a GET of HTTP/1.1 without a body that asks to become a WebSocket (RFC 6455
    /// section 4.2.1); [`crate::wire::ws::check_upgrade`] judges the rest.
    pub fn is_upgrade_websocket(&self) -> bool {
        self.method == Method::Get
            && !self.http10
            && self.headers.has_token("upgrade", "websocket")
            && self.headers.has_token("connection", "upgrade")
            && self.headers.get("transfer-encoding").is_none()
            && self.headers.get("content-length").is_none_or(|length| length == "0")
    }

    /// The token of a single `Authorization: Bearer ...` (RFC 6750 section 2.1), not empty.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.headers.only("authorization")?.split_once(' ')?;
        let token = token.trim_matches(' ');
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    }
}

/// How the body of a message is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delimited {
    /// There is none.
    Empty,
    /// By Content-Length, not zero.
    Length(u64),
    /// By `Transfer-Encoding: chunked`.
    Chunked,
}

/// Looks for the end of a head while it arrives, never at the same byte twice. What it decides
/// depends on the bytes alone, not on how they were cut.
#[derive(Debug, Default)]
pub(super) struct Scan {
    at: usize,
    line_start: usize,
}

/// What is wrong before a head is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScanFault {
    /// Not the beginning of a head, or a line that ends without CR.
    Malformed,
    /// The first line is longer than any valid one.
    FirstLine,
    /// Over [`limits::HTTP_HEAD`].
    TooLong,
}

/// The longest first line: a target at its limit, a method and a version.
const FIRST_LINE: usize = limits::HTTP_TARGET + 64;

impl Scan {
    /// The length of the head with its empty line, `None` when it is not complete. `bytes` must
    /// be what the earlier calls saw, and more.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, ScanFault> {
        if bytes.first().is_some_and(|first| !is_token_byte(*first)) {
            return Err(ScanFault::Malformed);
        }
        loop {
            let fresh = bytes.get(self.at..).unwrap_or_default();
            let found = fresh.iter().position(|byte| *byte == b'\n');
            let end = self.at.saturating_add(found.unwrap_or(fresh.len()));
            if self.line_start == 0 && end > FIRST_LINE {
                return Err(ScanFault::FirstLine);
            }
            if end >= limits::HTTP_HEAD {
                return Err(ScanFault::TooLong);
            }
            if found.is_none() {
                self.at = end;
                return Ok(None);
            }
            if end.checked_sub(1).and_then(|before| bytes.get(before)) != Some(&b'\r') {
                return Err(ScanFault::Malformed);
            }
            let next = end.saturating_add(1);
            if end.saturating_sub(self.line_start) == 1 {
                *self = Self::default();
                return Ok(Some(next));
            }
            (self.at, self.line_start) = (next, next);
        }
    }
}

/// A token character (RFC 9110 section 5.6.2).
pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// What a request head means for the connection.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) head: Head,
    pub(super) delimited: Delimited,
    /// The client waits for `100 Continue`.
    pub(super) expects_continue: bool,
}

/// Parses a complete request head, as [`Scan::find`] cut it.
pub(super) fn parse_request(bytes: &[u8]) -> Result<Request, Refusal> {
    let mut lines = [const { MaybeUninit::uninit() }; limits::HTTP_HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(bytes, &mut lines) {
        Ok(httparse::Status::Complete(used)) if used == bytes.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HEAD_TOO_LARGE),
        _ => return Err(Refusal::MALFORMED),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Refusal::MALFORMED);
    };
    if target.len() > limits::HTTP_TARGET {
        return Err(Refusal::TARGET_TOO_LONG);
    }
    // RFC 3986 section 2: a URI is ASCII; others read what is not in ways of their own.
    if !target.is_ascii() {
        return Err(Refusal::TARGET);
    }
    let http10 = minor == 0;
    let seen = Seen::collect(parsed.headers, http10)?;
    if method == "CONNECT" {
        return Err(Refusal::CONNECT);
    }
    let target = origin_form(method, target, seen.host)?;
    let headers = Headers::from_parsed(parsed.headers, false).ok_or(Refusal::NOT_UTF8)?;
    Ok(Request {
        head: Head { method: Method::parse(method), target, http10, headers },
        delimited: seen.delimited()?,
        // RFC 9110 section 10.1.1: a 1.0 client does not wait.
        expects_continue: seen.expects_continue && !http10,
    })
}

/// The lines that decide framing and routing.
#[derive(Default)]
struct Seen<'a> {
    host: Option<&'a str>,
    length: Option<u64>,
    chunked: bool,
    expects_continue: bool,
}

impl<'a> Seen<'a> {
    fn collect(lines: &[httparse::Header<'a>], http10: bool) -> Result<Self, Refusal> {
        let mut seen = Self::default();
        for line in lines {
            // By length first: most lines are none of these.
            let is = |name: &str| line.name.eq_ignore_ascii_case(name);
            match line.name.len() {
                4 if is("host") => {
                    let host = std::str::from_utf8(line.value).map_err(|_| Refusal::HOST)?;
                    if url::parse_authority(host).is_none() || seen.host.replace(host).is_some() {
                        return Err(Refusal::HOST);
                    }
                }
                6 if is("expect") => {
                    if !line.value.eq_ignore_ascii_case(b"100-continue") {
                        return Err(Refusal::EXPECTATION);
                    }
                    seen.expects_continue = true;
                }
                14 if is("content-length") => {
                    let length = parse_length(line.value).ok_or(Refusal::LENGTH)?;
                    if seen.length.replace(length).is_some() {
                        return Err(Refusal::LENGTH);
                    }
                }
                17 if is("transfer-encoding") => {
                    let exact = line.value.eq_ignore_ascii_case(b"chunked");
                    if http10 || !exact || std::mem::replace(&mut seen.chunked, true) {
                        return Err(Refusal::ENCODING);
                    }
                }
                _ => {}
            }
        }
        if seen.host.is_none() && !http10 {
            return Err(Refusal::HOST);
        }
        Ok(seen)
    }

    fn delimited(&self) -> Result<Delimited, Refusal> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Refusal::LENGTH),
            (true, None) => Ok(Delimited::Chunked),
            (false, None | Some(0)) => Ok(Delimited::Empty),
            (false, Some(length)) => Ok(Delimited::Length(length)),
        }
    }
}

/// 1 to 19 digits and nothing else (RFC 9110 section 8.6).
pub(super) fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// The target in origin form (RFC 9112 section 3.2). An absolute form must be http(s) and name
/// the same authority as the Host header, so that everybody who looks at Host is right.
fn origin_form(method: &str, target: &str, host: Option<&str>) -> Result<String, Refusal> {
    if target.starts_with('/') {
        // A fragment is not sent (RFC 9112 section 3.2.1).
        return if target.contains('#') { Err(Refusal::TARGET) } else { Ok(target.to_owned()) };
    }
    if target == "*" && method == "OPTIONS" {
        return Ok(target.to_owned());
    }
    let (scheme, rest) = target.split_once("://").ok_or(Refusal::TARGET)?;
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !known || path.contains('#') || url::parse_authority(authority).is_none() {
        return Err(Refusal::TARGET);
    }
    if host.is_some_and(|host| !host.eq_ignore_ascii_case(authority)) {
        return Err(Refusal::HOST);
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok(format!("{slash}{path}"))
}
