//! The client's side of one HTTP/1.1 exchange (RFC 9112), as a value: [`request`] writes it,
//! a [`Client`] reads the answer. The content is handed over as it arrives and never collected.
//!
//! ```text
//!   1xx, skipped --+
//!      ^           v
//!   waiting --> Head --> Data ... --> End { reusable }
//!      |          |         |
//!      +----------+---------+--> Failed: nothing follows
//! ```

use std::mem::MaybeUninit;

use super::body::{Chunked, Decoder, Fault};
use super::head::{Headers, Scan, ScanFault, parse_length};
use super::{decimal, header, target};
use crate::limits;
use crate::wire::buffer::Buffer;

/// Appends a request with a Content-Length when there is a body. `host` is the Host header
/// ([`crate::wire::url::Url::host_header`]); no Accept-Encoding is sent, so the answer comes
/// plain. Control characters cannot get out of their header.
pub fn request(
    out: &mut Vec<u8>,
    method: &str,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) {
    head(out, method, host, path, headers);
    if let Some(body) = body {
        out.extend_from_slice(b"Content-Length: ");
        decimal(out, body.len() as u64);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body.unwrap_or_default());
}

/// Appends a request whose body `write` appends: a long one need not exist twice. As
/// [`request`] otherwise.
pub fn request_with(
    out: &mut Vec<u8>,
    method: &str,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    write: impl FnOnce(&mut Vec<u8>),
) {
    head(out, method, host, path, headers);
    out.extend_from_slice(b"Content-Length: ");
    let at = out.len();
    // As long as any length.
    out.extend_from_slice(b"18446744073709551615\r\n\r\n");
    let body = out.len();
    write(out);
    let mut length = Vec::new();
    decimal(&mut length, out.len().saturating_sub(body) as u64);
    out.splice(at..body.saturating_sub(4), length);
}

fn head(out: &mut Vec<u8>, method: &str, host: &str, path: &str, headers: &[(&str, &str)]) {
    out.extend(method.bytes().filter(u8::is_ascii_alphabetic));
    out.push(b' ');
    target(out, path);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    header(out, "Host", host);
    for (name, value) in headers {
        header(out, name, value);
    }
}

/// What the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The final status (a 101 is final) and its headers; values that are not UTF-8 come with
    /// U+FFFD.
    Head {
        /// 101, or 200 to 599.
        status: u16,
        /// The header lines.
        headers: Headers,
    },
    /// More of the content, never empty.
    Data(Vec<u8>),
    /// The response is complete.
    End {
        /// Another request may be sent on this connection.
        reusable: bool,
    },
    /// It never will be.
    Failed(ClientError),
}

/// Why a response could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientError {
    /// The connection ended before a byte of the answer: on a reused connection, try a new one.
    NoResponse,
    /// The connection ended in the middle.
    Truncated,
    /// Not an HTTP/1.1 head, or one that breaks the grammar.
    Malformed,
    /// Over [`limits::HTTP_HEAD`] or [`limits::HTTP_HEADERS`].
    HeadTooLarge,
    /// Content-Length or Transfer-Encoding repeated, conflicting or unknown.
    Framing,
    /// A chunk that breaks the grammar, or chunk lines over their limits.
    Chunk,
    /// More than [`limits::HTTP_INTERIM`] interim responses.
    Interim,
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoResponse => "the server closed the connection without an answer",
            Self::Truncated => "the server closed the connection in the middle of its answer",
            Self::Malformed => "the answer is not HTTP/1.1",
            Self::HeadTooLarge => "the head of the answer is over the limit",
            Self::Framing => "the answer has conflicting lengths",
            Self::Chunk => "the answer's chunked body is malformed",
            Self::Interim => "the server sent too many interim answers",
        })
    }
}

impl std::error::Error for ClientError {}

#[derive(Debug)]
enum State {
    Head,
    Body(Decoder),
    /// All was read; [`ClientEvent::End`] is due unless it was given.
    Done {
        told: bool,
    },
    Failed,
}

/// The reader of one response.
#[derive(Debug)]
pub struct Client {
    input: Buffer,
    scan: Scan,
    state: State,
    head_request: bool,
    keep_alive: bool,
    interim: usize,
    anything: bool,
    /// Found and not handed over yet, in this order.
    head: Option<(u16, Headers)>,
    data: Vec<u8>,
    error: Option<ClientError>,
}

impl Client {
    /// Before the first byte of the answer; `head_request` when the request was a HEAD.
    pub fn new(head_request: bool) -> Self {
        Self {
            input: Buffer::new(),
            scan: Scan::default(),
            state: State::Head,
            head_request,
            keep_alive: false,
            interim: 0,
            anything: false,
            head: None,
            data: Vec::new(),
            error: None,
        }
    }

    /// Takes bytes from the server and decodes them at once.
    pub fn push(&mut self, bytes: &[u8]) {
        self.anything |= !bytes.is_empty();
        let mut input = std::mem::take(&mut self.input);
        if input.is_empty() {
            let mut rest = bytes;
            self.advance(&mut rest);
            input.extend(rest);
        } else {
            input.extend(bytes);
            let mut rest = input.as_slice();
            self.advance(&mut rest);
            let used = input.len().saturating_sub(rest.len());
            input.consume(used);
        }
        if !matches!(self.state, State::Failed) {
            self.input = input;
        }
    }

    /// The server will send no more: completes a body that the connection delimits, fails any
    /// other that is incomplete.
    pub fn eof(&mut self) {
        match self.state {
            State::Body(Decoder::Close) => self.state = State::Done { told: false },
            State::Head if !self.anything => self.fail(ClientError::NoResponse),
            State::Head | State::Body(_) => self.fail(ClientError::Truncated),
            State::Done { .. } | State::Failed => {}
        }
        self.keep_alive = false;
    }

    /// The next event, `None` when more bytes are needed or all was said.
    #[expect(clippy::should_implement_trait, reason = "None means not yet, not the end")]
    pub fn next(&mut self) -> Option<ClientEvent> {
        if let Some((status, headers)) = self.head.take() {
            return Some(ClientEvent::Head { status, headers });
        }
        if !self.data.is_empty() {
            return Some(ClientEvent::Data(std::mem::take(&mut self.data)));
        }
        if let Some(error) = self.error.take() {
            return Some(ClientEvent::Failed(error));
        }
        if let State::Done { told: told @ false } = &mut self.state {
            *told = true;
            // Bytes nobody asked for: this server is out of step.
            let reusable = self.keep_alive && self.input.is_empty();
            return Some(ClientEvent::End { reusable });
        }
        None
    }

    /// Bytes held: an incomplete head, or content not handed over.
    pub fn buffered(&self) -> usize {
        self.input.len().saturating_add(self.data.len())
    }

    /// True when the response is complete or failed, and all of it was handed over.
    pub fn finished(&self) -> bool {
        matches!(self.state, State::Done { told: true })
            || (matches!(self.state, State::Failed) && self.error.is_none())
    }

    /// What came behind the response: the first bytes of the new protocol after a 101.
    pub fn take_rest(&mut self) -> Vec<u8> {
        self.input.take()
    }

    fn advance(&mut self, rest: &mut &[u8]) {
        loop {
            match &mut self.state {
                State::Head => match self.head(rest) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => self.fail(error),
                },
                State::Body(decoder) => {
                    let data = &mut self.data;
                    match decoder.feed(rest, |part| data.extend_from_slice(part)) {
                        Ok(true) => self.state = State::Done { told: false },
                        Ok(false) => return,
                        Err(Fault::Malformed | Fault::TooLarge | Fault::Trailers) => {
                            self.fail(ClientError::Chunk);
                        }
                    }
                }
                State::Done { .. } => return,
                State::Failed => {
                    *rest = &[];
                    return;
                }
            }
        }
    }

    /// Reads one head; false when it is not complete.
    fn head(&mut self, rest: &mut &[u8]) -> Result<bool, ClientError> {
        let length = self.scan.find(rest).map_err(|fault| match fault {
            ScanFault::Malformed => ClientError::Malformed,
            ScanFault::FirstLine | ScanFault::TooLong => ClientError::HeadTooLarge,
        })?;
        let Some(length) = length else { return Ok(false) };
        let (bytes, after) = rest.split_at(length.min(rest.len()));
        *rest = after;

        let mut lines = [const { MaybeUninit::uninit() }; limits::HTTP_HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut lines) {
            Ok(httparse::Status::Complete(used)) if used == bytes.len() => {}
            Err(httparse::Error::TooManyHeaders) => return Err(ClientError::HeadTooLarge),
            _ => return Err(ClientError::Malformed),
        }
        let (Some(status), Some(minor)) = (parsed.code, parsed.version) else {
            return Err(ClientError::Malformed);
        };
        let headers = Headers::from_parsed(parsed.headers, true).ok_or(ClientError::Malformed)?;
        match status {
            101 | 200..=599 => {}
            100..=199 => {
                self.interim = self.interim.saturating_add(1);
                if self.interim > limits::HTTP_INTERIM {
                    return Err(ClientError::Interim);
                }
                return Ok(true);
            }
            _ => return Err(ClientError::Malformed),
        }
        let http10 = minor == 0;
        let decoder = delimited(status, &headers, http10)?;
        let empty = self.head_request || matches!(status, 101 | 204 | 304);
        self.keep_alive = !headers.has_token("connection", "close")
            && (!http10 || headers.has_token("connection", "keep-alive"))
            && status != 101
            && (empty || !matches!(decoder, Some(Decoder::Close)));
        self.state = match decoder {
            Some(decoder) if !empty => State::Body(decoder),
            _ => State::Done { told: false },
        };
        self.head = Some((status, headers));
        Ok(true)
    }

    fn fail(&mut self, error: ClientError) {
        self.state = State::Failed;
        self.error = Some(error);
        self.keep_alive = false;
        self.input = Buffer::new();
    }
}

/// RFC 9112 section 6.3. A response that gives both lengths, or one twice, is refused: whoever
/// stands between may have read the other. `None` is an empty body.
fn delimited(status: u16, headers: &Headers, http10: bool) -> Result<Option<Decoder>, ClientError> {
    let coded = headers.get("transfer-encoding").is_some();
    let length = headers.get("content-length").is_some();
    if coded {
        let exact =
            headers.only("transfer-encoding").is_some_and(|c| c.eq_ignore_ascii_case("chunked"));
        if !exact || length || http10 {
            return Err(ClientError::Framing);
        }
        return Ok(Some(Decoder::Chunked(Chunked::new(u64::MAX))));
    }
    if length {
        let length = headers.only("content-length").and_then(|l| parse_length(l.as_bytes()));
        let length = length.ok_or(ClientError::Framing)?;
        return Ok((length > 0).then_some(Decoder::Length(length)));
    }
    Ok((!matches!(status, 204 | 304)).then_some(Decoder::Close))
}

/// What came of the pieces, data joined, and whether the connection can be reused.
fn trace(head_request: bool, pieces: &[&[u8]]) -> (Vec<ClientEvent>, Vec<u8>) {
    let mut client = Client::new(head_request);
    let mut events = Vec::new();
    let mut data = Vec::new();
    let mut take = |client: &mut Client| {
        while let Some(event) = client.next() {
            match event {
                ClientEvent::Data(part) => {
                    assert!(!part.is_empty());
                    data.extend_from_slice(&part);
                }
                // Whether bytes behind the end are here yet depends on the cut.
                ClientEvent::End { .. } => events.push(ClientEvent::End { reusable: false }),
                other => events.push(other),
            }
        }
    };
    for piece in pieces {
        client.push(piece);
        take(&mut client);
        assert!(client.finished() || client.buffered() <= limits::HTTP_HEAD);
    }
    client.eof();
    take(&mut client);
    assert!(client.finished());
    (events, data)
}

/// A response in one piece and in many must come to the same events and the same data.
pub fn fuzz(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let head_request = first & 1 == 1;
    assert_eq!(trace(head_request, &[bytes]), trace(head_request, &crate::wire::pieces(bytes)));
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
