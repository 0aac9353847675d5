//! The server's side of one HTTP/1.1 connection (RFC 9112), as a value.
//!
//! ```text
//!            Head              read_body               Body
//!   Idle/Head ----> Responding ---------> reading body ----> Responding
//!      ^             |  skip_body: the body is read over       |
//!      |             v                                         v
//!      +--------- response_done, unless the connection ends ---+
//!
//!   any state -- Refused, timed_out, take_rest, body given up --> Closed
//! ```
//!
//! The owner calls [`Server::push`] with what arrived and [`Server::next`] until it says
//! nothing; after [`Event::Head`] it must call [`Server::read_body`] or [`Server::skip_body`]
//! (or [`Server::take_rest`] for an upgrade), write one response, and call
//! [`Server::response_done`]; then a pipelined request may follow. After [`Event::Refused`] it
//! writes that answer and closes: nothing behind a fault is ever looked at. Timeouts are the
//! owner's, by [`Server::phase`]. An idle connection holds no heap memory.

use super::body::{Chunked, Decoder, Fault};
use super::head::{Delimited, Head, Scan, ScanFault, parse_request};
use crate::limits;
use crate::wire::buffer::Buffer;

/// What a connection's input came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request begins.
    Head(Head),
    /// The client waits before it sends its body: send [`CONTINUE`].
    Continue,
    /// The complete body; empty when there is none.
    Body(Vec<u8>),
    /// The request is refused: answer with this and close.
    Refused(Refusal),
}

/// The interim answer to [`Event::Continue`].
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A request that is answered without anybody looking at it; the connection ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// 400, 408, 413, 414, 417, 431 or 501.
    pub status: u16,
    /// What was wrong, for the log and the body.
    pub reason: &'static str,
}

impl Refusal {
    pub(super) const MALFORMED: Self = Self::new(400, "malformed request head");
    pub(super) const NOT_UTF8: Self = Self::new(400, "header value is not UTF-8");
    pub(super) const HOST: Self = Self::new(400, "missing, repeated or invalid Host");
    pub(super) const LENGTH: Self = Self::new(400, "invalid or conflicting Content-Length");
    pub(super) const ENCODING: Self = Self::new(400, "unsupported Transfer-Encoding");
    pub(super) const TARGET: Self = Self::new(400, "invalid request target");
    pub(super) const BODY: Self = Self::new(400, "malformed chunked body");
    pub(super) const TIMEOUT: Self = Self::new(408, "request not complete in time");
    pub(super) const BODY_TOO_LARGE: Self = Self::new(413, "request body too large");
    pub(super) const TARGET_TOO_LONG: Self = Self::new(414, "request target too long");
    pub(super) const EXPECTATION: Self = Self::new(417, "unknown expectation");
    pub(super) const HEAD_TOO_LARGE: Self = Self::new(431, "request head too large");
    pub(super) const TRAILERS: Self = Self::new(431, "trailers too large");
    pub(super) const CONNECT: Self = Self::new(501, "this is no proxy");

    const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason }
    }

    const fn of_body(fault: Fault) -> Self {
        match fault {
            Fault::Malformed => Self::BODY,
            Fault::TooLarge => Self::BODY_TOO_LARGE,
            Fault::Trailers => Self::TRAILERS,
        }
    }

    const fn of_scan(fault: ScanFault) -> Self {
        match fault {
            ScanFault::Malformed => Self::MALFORMED,
            ScanFault::FirstLine => Self::TARGET_TOO_LONG,
            ScanFault::TooLong => Self::HEAD_TOO_LARGE,
        }
    }
}

/// What the connection is waiting for, so that the owner can give it a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// For a request; not a byte of it is here. [`limits::HTTP_IDLE_MS`].
    Idle,
    /// For the rest of a head. [`limits::HTTP_HEAD_MS`].
    Head,
    /// For the rest of a body. [`limits::HTTP_BODY_MS`].
    Body,
    /// For our own response.
    Responding,
    /// For the owner to close it.
    Closed,
}

#[derive(Debug)]
enum State {
    Head,
    /// A head was handed over; the owner has not said what to do with its body.
    Undecided {
        delimited: Delimited,
        expects_continue: bool,
    },
    Body {
        decoder: Decoder,
        content: Vec<u8>,
    },
    /// The response is being written; the rest of an unwanted body may still come.
    Responding(Rest),
    /// The response is written, an unwanted body is not over.
    Discarding(Discard),
    Closed,
}

/// What to do with input while a response is written.
#[derive(Debug)]
enum Rest {
    /// It is the next request: keep it.
    Keep,
    /// It is an unwanted body: read it over.
    Discard(Discard),
    /// The connection ends after this response: forget it.
    Forget,
}

#[derive(Debug)]
struct Discard {
    decoder: Decoder,
    /// Bytes, framing included, before we lose patience.
    patience: usize,
}

impl Discard {
    /// Reads over what is there; `None` when the connection cannot be used again.
    fn feed(&mut self, rest: &mut &[u8]) -> Option<bool> {
        let before = rest.len();
        let done = self.decoder.feed(rest, |_| {}).ok()?;
        self.patience = self.patience.checked_sub(before.saturating_sub(rest.len()))?;
        Some(done)
    }
}

/// One connection.
#[derive(Debug)]
pub struct Server {
    input: Buffer,
    scan: Scan,
    state: State,
    ready: Option<Event>,
    keep_alive: bool,
    blank_lines: u8,
    /// Of the head that was refused or not complete in time.
    refused_path: Option<Box<str>>,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// A fresh connection.
    pub fn new() -> Self {
        Self {
            input: Buffer::new(),
            scan: Scan::default(),
            state: State::Head,
            ready: None,
            keep_alive: true,
            blank_lines: 0,
            refused_path: None,
        }
    }

    /// Takes bytes from the client. When nothing waits, they are parsed right here and only
    /// what is left over is kept.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if self.input.is_empty() && self.ready.is_none() {
            self.ready = self.advance(&mut rest);
        }
        if !matches!(self.state, State::Closed) {
            self.input.extend(rest);
        }
    }

    /// The next event, `None` when the client or the owner has to do something first.
    #[expect(clippy::should_implement_trait, reason = "None means not yet, not the end")]
    pub fn next(&mut self) -> Option<Event> {
        if let Some(ready) = self.ready.take() {
            return Some(ready);
        }
        if self.input.is_empty() {
            return None;
        }
        let mut input = std::mem::take(&mut self.input);
        let mut rest = input.as_slice();
        let event = self.advance(&mut rest);
        let used = input.len().saturating_sub(rest.len());
        if !matches!(self.state, State::Closed) {
            input.consume(used);
            self.input = input;
        }
        event
    }

    /// After [`Event::Head`]: collect the body, at most `max` bytes; [`Event::Body`] follows,
    /// before it maybe [`Event::Continue`]. A longer body is refused with 413, one announced by
    /// Content-Length before a byte of it is read.
    pub fn read_body(&mut self, max: usize) {
        let State::Undecided { delimited, expects_continue } = self.state else {
            debug_assert!(false, "read_body without a head");
            return;
        };
        let decoder = match delimited {
            Delimited::Empty => {
                self.finish_body(Vec::new());
                return;
            }
            Delimited::Length(length) if length > max as u64 => {
                self.ready = Some(self.refuse(Refusal::BODY_TOO_LARGE));
                return;
            }
            Delimited::Length(length) if length == self.input.len() as u64 => {
                let content = self.input.take();
                self.finish_body(content);
                return;
            }
            Delimited::Length(length) => Decoder::Length(length),
            Delimited::Chunked => Decoder::Chunked(Chunked::new(max as u64)),
        };
        if expects_continue && self.input.is_empty() {
            self.ready = Some(Event::Continue);
        }
        self.state = State::Body { decoder, content: Vec::new() };
    }

    /// After [`Event::Head`]: the body is not wanted, the response can be written at once. A
    /// body up to [`limits::HTTP_DISCARD`] is read over; a longer one, or one the client is
    /// asking leave to send, costs the connection after the response.
    pub fn skip_body(&mut self) {
        let State::Undecided { delimited, expects_continue } = self.state else {
            debug_assert!(false, "skip_body without a head");
            return;
        };
        let decoder = match delimited {
            Delimited::Empty => {
                self.respond(Rest::Keep);
                return;
            }
            Delimited::Length(length) => {
                self.keep_alive &= length <= limits::HTTP_DISCARD as u64;
                Decoder::Length(length)
            }
            Delimited::Chunked => Decoder::Chunked(Chunked::new(u64::MAX)),
        };
        self.keep_alive &= !expects_continue;
        self.respond(Rest::Discard(Discard { decoder, patience: limits::HTTP_DISCARD }));
        // What is here already may be all of it, which decides keep_alive for good.
        let nothing = self.next();
        debug_assert!(nothing.is_none(), "no event while a response is due");
    }

    /// The response is written. True when another request may follow: call [`Server::next`]
    /// again. A response before the body was complete ends the connection.
    pub fn response_done(&mut self) -> bool {
        let state = std::mem::replace(&mut self.state, State::Closed);
        self.state = match state {
            State::Responding(Rest::Keep) if self.keep_alive => State::Head,
            State::Responding(Rest::Discard(discard)) if self.keep_alive => {
                State::Discarding(discard)
            }
            _ => State::Closed,
        };
        if self.must_close() {
            self.shut();
        }
        !self.must_close()
    }

    /// Whether the response now written may promise another request: the client wants one, and
    /// its body is over or will be read over.
    pub const fn keep_alive(&self) -> bool {
        self.keep_alive && matches!(self.state, State::Responding(Rest::Keep | Rest::Discard(_)))
    }

    /// The response now written is the last (the gateway is leaving): [`Server::keep_alive`] is
    /// false from here on.
    pub fn close_after_response(&mut self) {
        self.keep_alive = false;
        if let State::Responding(rest) = &mut self.state {
            *rest = Rest::Forget;
            self.input = Buffer::new();
        }
    }

    /// The connection becomes something else (101): the bytes behind the head. Nothing is
    /// parsed any more.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.input.take();
        self.shut();
        rest
    }

    /// The owner's deadline passed while a request was incomplete: the 408 to answer with.
    pub fn timed_out(&mut self) -> Refusal {
        if matches!(self.state, State::Head) {
            self.refused_path = path_of(self.input.as_slice());
        }
        self.shut();
        Refusal::TIMEOUT
    }

    /// The path of a head that was refused or not complete in time, as far as it came: which
    /// shape the answer takes may depend on it.
    pub fn refused_path(&self) -> Option<&str> {
        self.refused_path.as_deref()
    }

    /// Bytes held: input not parsed yet and the body under way.
    pub fn buffered(&self) -> usize {
        let body = match &self.state {
            State::Body { content, .. } => content.len(),
            _ => 0,
        };
        self.input.len().saturating_add(body)
    }

    /// False when pipelined requests have filled [`limits::HTTP_PIPELINE`] while a response is
    /// under way, and after the end: stop reading from the client.
    pub fn wants_input(&self) -> bool {
        match self.state {
            State::Closed => false,
            State::Undecided { .. } | State::Responding(_) => {
                self.input.len() <= limits::HTTP_PIPELINE
            }
            State::Head | State::Body { .. } | State::Discarding(_) => true,
        }
    }

    /// What the connection waits for.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Closed => Phase::Closed,
            State::Undecided { .. } | State::Responding(_) => Phase::Responding,
            State::Body { .. } | State::Discarding(_) => Phase::Body,
            State::Head if self.input.is_empty() && self.ready.is_none() => Phase::Idle,
            State::Head => Phase::Head,
        }
    }

    /// True when nothing more is read: flush and close.
    pub const fn must_close(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Parses from the front of `rest` until there is an event or nothing more to do.
    fn advance(&mut self, rest: &mut &[u8]) -> Option<Event> {
        loop {
            match &mut self.state {
                State::Head => return self.head(rest),
                State::Undecided { .. } | State::Responding(Rest::Keep) => return None,
                State::Body { decoder, content } => {
                    let done = decoder.feed(rest, |part| content.extend_from_slice(part));
                    match done {
                        Ok(false) => return None,
                        Ok(true) => {
                            let content = std::mem::take(content);
                            self.finish_body(content);
                            return self.ready.take();
                        }
                        Err(fault) => return Some(self.refuse(Refusal::of_body(fault))),
                    }
                }
                State::Responding(waiting) => {
                    if let Rest::Discard(discard) = waiting {
                        match discard.feed(rest) {
                            Some(true) if self.keep_alive => *waiting = Rest::Keep,
                            Some(false) => return None,
                            _ => *waiting = Rest::Forget,
                        }
                    } else {
                        *rest = &[];
                        return None;
                    }
                }
                State::Discarding(discard) => match discard.feed(rest) {
                    Some(true) => self.state = State::Head,
                    Some(false) => return None,
                    None => self.shut(),
                },
                State::Closed => {
                    *rest = &[];
                    return None;
                }
            }
        }
    }

    fn head(&mut self, rest: &mut &[u8]) -> Option<Event> {
        while self.blank_lines < limits::HTTP_BLANK_LINES
            && let Some(after) = rest.strip_prefix(b"\r\n")
        {
            self.blank_lines = self.blank_lines.saturating_add(1);
            *rest = after;
        }
        if *rest == b"\r" {
            return None;
        }
        let line = *rest;
        let request = match self.scan.find(rest) {
            Ok(None) => return None,
            Ok(Some(length)) => {
                let (bytes, after) = rest.split_at(length.min(rest.len()));
                *rest = after;
                parse_request(bytes)
            }
            Err(fault) => Err(Refusal::of_scan(fault)),
        };
        match request {
            Ok(request) => {
                self.blank_lines = 0;
                self.keep_alive = request.head.wants_keep_alive();
                self.state = State::Undecided {
                    delimited: request.delimited,
                    expects_continue: request.expects_continue,
                };
                Some(Event::Head(request.head))
            }
            Err(refusal) => {
                self.refused_path = path_of(line);
                Some(self.refuse(refusal))
            }
        }
    }

    fn finish_body(&mut self, content: Vec<u8>) {
        self.ready = Some(Event::Body(content));
        self.respond(Rest::Keep);
    }

    /// Input behind the last request of a connection is not kept.
    fn respond(&mut self, rest: Rest) {
        let forget = !self.keep_alive && matches!(rest, Rest::Keep);
        if forget {
            self.input = Buffer::new();
        }
        self.state = State::Responding(if forget { Rest::Forget } else { rest });
    }

    fn refuse(&mut self, refusal: Refusal) -> Event {
        self.shut();
        Event::Refused(refusal)
    }

    fn shut(&mut self) {
        self.state = State::Closed;
        self.keep_alive = false;
        self.input = Buffer::new();
        self.ready = None;
    }
}

/// The path in the first line of a head that is no head, or not yet.
fn path_of(head: &[u8]) -> Option<Box<str>> {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let target = line.split(|byte| *byte == b' ').nth(1)?;
    let path = target.split(|byte| *byte == b'?').next()?;
    let shown = path.get(..path.len().min(limits::REFUSED_PATH))?;
    Some(String::from_utf8_lossy(shown).into())
}

/// What happened on a connection whose owner reads bodies of GET and POST and skips others.
fn trace(pieces: &[&[u8]], body_max: usize) -> (Vec<String>, Phase) {
    let mut server = Server::new();
    let mut log = Vec::new();
    for piece in pieces {
        server.push(piece);
        while let Some(event) = server.next() {
            // Whether Continue is due depends on when the body arrives.
            if event != Event::Continue {
                log.push(format!("{event:?}"));
            }
            match event {
                Event::Head(head) if matches!(head.method.as_str(), "GET" | "POST") => {
                    server.read_body(body_max);
                }
                Event::Head(_) => {
                    server.skip_body();
                    server.response_done();
                }
                Event::Body(body) => {
                    assert!(body.len() <= body_max);
                    server.response_done();
                }
                Event::Continue => {}
                Event::Refused(_) => assert!(server.must_close()),
            }
        }
        let pending = limits::HTTP_HEAD.max(body_max);
        assert!(server.buffered() <= pending && server.ready.is_none());
        assert!(!server.must_close() || server.buffered() == 0);
    }
    (log, server.phase())
}

/// A connection's bytes in one piece and in many must come to the same requests and the same
/// end.
pub fn fuzz(data: &[u8]) {
    let body_max = 1000;
    let whole = trace(&[data], body_max);
    assert_eq!(whole, trace(&crate::wire::pieces(data), body_max));
    assert!(whole.0.iter().filter(|line| line.starts_with("Refused")).count() <= 1);
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
