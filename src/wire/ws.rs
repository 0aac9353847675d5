//! WebSocket (RFC 6455): frames in both directions and both sides of the handshake.
//!
//! Frame headers are read and written by tungstenite ([`FrameHeader`]); everything that holds
//! memory is ours. A [`Receiver`] checks an announced length against its cap before it reads or
//! allocates any payload, grows only as bytes arrive, unmasks in place, joins fragments, checks
//! UTF-8 as it comes, and gives every buffer away with the message. No extension is offered, so
//! reserved bits are faults and a decompression bomb has no way in.
//!
//! ```text
//!   header --> payload --> message handed over --> header ...
//!      |          |  \-- not final: kept, next header must be a continuation or control
//!      |          |
//!      +----------+--> violation or Close: nothing is read any more
//! ```

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::buffer::Buffer;
use super::hash;
use super::http::{Head, Headers};
use crate::limits;

/// Which side of the connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We accepted: frames from the peer must be masked.
    Server,
    /// We dialled: frames from the peer must not be masked.
    Client,
}

/// A complete message or control frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// Answer with a pong that holds the same bytes.
    Ping(Vec<u8>),
    /// Answer to our ping.
    Pong(Vec<u8>),
    /// The peer closes; nothing follows.
    Close {
        /// Its code, if it gave one.
        code: Option<u16>,
        /// Its reason, maybe empty, at most 123 bytes.
        reason: String,
    },
}

/// How the peer broke the protocol. The connection is to be closed with
/// [`Violation::close_code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// A reserved bit was set.
    ReservedBits,
    /// An opcode that RFC 6455 does not define.
    Opcode,
    /// A frame of a client without mask, or of a server with one.
    Mask,
    /// A length not written in its shortest form.
    LengthForm,
    /// A control frame in fragments or over 125 bytes.
    Control,
    /// A continuation without a beginning, or a beginning inside a message.
    Continuation,
    /// A close frame with one byte, or with a code that must not be sent.
    CloseCode,
    /// A text message or close reason that is not UTF-8.
    NotUtf8,
    /// A message over the cap; nothing of the frame was read.
    TooBig,
    /// A message in more than [`crate::limits::WS_FRAGMENTS`] frames.
    TooManyFragments,
}

impl Violation {
    /// The close code that tells the peer (RFC 6455 section 7.4.1): 1002 protocol error,
    /// 1007 not UTF-8, 1009 too big.
    pub const fn close_code(self) -> u16 {
        match self {
            Self::NotUtf8 => 1007,
            Self::TooBig | Self::TooManyFragments => 1009,
            _ => 1002,
        }
    }

    /// A few words for the close frame and the log.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved bits set",
            Self::Opcode => "unknown opcode",
            Self::Mask => "wrong masking",
            Self::LengthForm => "length not in shortest form",
            Self::Control => "bad control frame",
            Self::Continuation => "bad fragmentation",
            Self::CloseCode => "bad close frame",
            Self::NotUtf8 => "not UTF-8",
            Self::TooBig => "message too big",
            Self::TooManyFragments => "too many fragments",
        }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Violation {}

/// The frame whose payload is arriving.
#[derive(Debug)]
struct Frame {
    opcode: OpCode,
    is_final: bool,
    /// Payload bytes still to come.
    left: usize,
    /// The mask, turned so that its first byte belongs to the next payload byte.
    mask: Option<[u8; 4]>,
    /// Payload of a control frame; a data frame's goes to the message.
    control: Vec<u8>,
}

/// The data message being joined.
#[derive(Debug)]
struct Joining {
    is_text: bool,
    bytes: Vec<u8>,
    /// Bytes of a text known to be UTF-8; at most 3 fewer than there are.
    checked: usize,
    frames: usize,
}

/// The receiving half of one connection.
#[derive(Debug)]
pub struct Receiver {
    role: Role,
    max: usize,
    input: Buffer,
    frame: Option<Frame>,
    joining: Option<Joining>,
    ready: Option<Result<Message, Violation>>,
    ended: bool,
}

impl Receiver {
    /// At the first byte after the handshake; a message may have `max` bytes.
    pub const fn new(role: Role, max: usize) -> Self {
        Self {
            role,
            max,
            input: Buffer::new(),
            frame: None,
            joining: None,
            ready: None,
            ended: false,
        }
    }

    /// Another cap, from the next frame header on.
    pub const fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// Takes bytes from the peer. When nothing waits they are decoded up to the end of the
    /// first message right here, without a copy; call [`Receiver::next`] until it is empty.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if self.input.is_empty() && self.ready.is_none() {
            self.ready = self.advance(&mut rest);
        }
        if !self.ended {
            self.input.extend(rest);
        }
    }

    /// The next message, or the violation that ends it all; `None` when more bytes are needed
    /// and after the end.
    #[expect(clippy::should_implement_trait, reason = "None means not yet, not the end")]
    pub fn next(&mut self) -> Option<Result<Message, Violation>> {
        if let Some(ready) = self.ready.take() {
            return Some(ready);
        }
        let mut input = std::mem::take(&mut self.input);
        let mut rest = input.as_slice();
        let result = self.advance(&mut rest);
        let used = input.len().saturating_sub(rest.len());
        if !self.ended {
            input.consume(used);
            self.input = input;
        }
        result
    }

    /// Bytes held: undecoded input and the message under way.
    pub fn buffered(&self) -> usize {
        let frame = self.frame.as_ref().map_or(0, |frame| frame.control.len());
        let message = self.joining.as_ref().map_or(0, |joining| joining.bytes.len());
        self.input.len().saturating_add(frame).saturating_add(message)
    }

    /// True after a Close frame or a violation: what comes is ignored.
    pub const fn ended(&self) -> bool {
        self.ended
    }

    /// Decodes from the front of `rest` until something is complete.
    fn advance(&mut self, rest: &mut &[u8]) -> Option<Result<Message, Violation>> {
        if self.ended {
            *rest = &[];
            return None;
        }
        let result = self.frames(rest).transpose();
        if matches!(result, Some(Err(_) | Ok(Message::Close { .. }))) {
            self.ended = true;
            self.frame = None;
            self.joining = None;
            *rest = &[];
        }
        result
    }

    fn frames(&mut self, rest: &mut &[u8]) -> Result<Option<Message>, Violation> {
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.header(rest)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            self.payload(&mut frame, rest)?;
            if frame.left > 0 {
                self.frame = Some(frame);
                return Ok(None);
            }
            if let Some(message) = self.complete(frame)? {
                return Ok(Some(message));
            }
        }
    }

    /// Reads and judges a frame header; `None` when it is not complete yet.
    fn header(&mut self, rest: &mut &[u8]) -> Result<Option<Frame>, Violation> {
        let mut cursor = Cursor::new(*rest);
        // Of the errors parse knows, only the opcode is possible on a slice.
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Violation::Opcode)?;
        let Some((header, length)) = parsed else { return Ok(None) };
        let used = usize::try_from(cursor.position()).unwrap_or(rest.len());

        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Violation::ReservedBits);
        }
        if header.mask.is_some() != (self.role == Role::Server) {
            return Err(Violation::Mask);
        }
        if header.len(length) != used {
            return Err(Violation::LengthForm);
        }
        let length = match header.opcode {
            OpCode::Control(_) if length > 125 || !header.is_final => {
                return Err(Violation::Control);
            }
            OpCode::Control(_) => length,
            OpCode::Data(data) => {
                let kept = self.begin(data)?;
                if length.saturating_add(kept as u64) > self.max as u64 {
                    return Err(Violation::TooBig);
                }
                length
            }
        };
        let left = usize::try_from(length).map_err(|_| Violation::TooBig)?;
        *rest = rest.get(used..).unwrap_or_default();
        Ok(Some(Frame {
            opcode: header.opcode,
            is_final: header.is_final,
            left,
            mask: header.mask,
            control: Vec::new(),
        }))
    }

    /// Begins or continues a message; returns its size so far.
    fn begin(&mut self, data: Data) -> Result<usize, Violation> {
        match (data, &mut self.joining) {
            (Data::Continue, Some(joining)) => {
                joining.frames = joining.frames.saturating_add(1);
                if joining.frames > limits::WS_FRAGMENTS {
                    return Err(Violation::TooManyFragments);
                }
                Ok(joining.bytes.len())
            }
            (Data::Text | Data::Binary, joining @ None) => {
                let is_text = data == Data::Text;
                *joining = Some(Joining { is_text, bytes: Vec::new(), checked: 0, frames: 1 });
                Ok(0)
            }
            _ => Err(Violation::Continuation),
        }
    }

    /// Moves what has arrived of the payload, unmasked, to where it belongs.
    fn payload(&mut self, frame: &mut Frame, rest: &mut &[u8]) -> Result<(), Violation> {
        let (part, later) = rest.split_at(frame.left.min(rest.len()));
        *rest = later;
        frame.left = frame.left.saturating_sub(part.len());
        let is_control = matches!(frame.opcode, OpCode::Control(_));
        let bytes = match &mut self.joining {
            Some(joining) if !is_control => &mut joining.bytes,
            _ => &mut frame.control,
        };
        let from = bytes.len();
        bytes.extend_from_slice(part);
        if let Some(mask) = &mut frame.mask {
            apply_mask(bytes.get_mut(from..).unwrap_or_default(), *mask);
            mask.rotate_left(part.len() % 4);
        }
        // A message in one piece is checked once, when it becomes a String.
        match &mut self.joining {
            Some(joining) if !is_control && (frame.left > 0 || !frame.is_final) => joining.check(),
            _ => Ok(()),
        }
    }

    /// Ends a frame: the message, unless more fragments follow.
    fn complete(&mut self, frame: Frame) -> Result<Option<Message>, Violation> {
        match frame.opcode {
            OpCode::Control(Control::Ping) => Ok(Some(Message::Ping(frame.control))),
            OpCode::Control(Control::Pong) => Ok(Some(Message::Pong(frame.control))),
            OpCode::Control(Control::Close) => close_message(&frame.control).map(Some),
            OpCode::Control(Control::Reserved(_)) => Err(Violation::Opcode),
            OpCode::Data(_) if !frame.is_final => Ok(None),
            OpCode::Data(_) => {
                let joining = self.joining.take().ok_or(Violation::Continuation)?;
                Ok(Some(if joining.is_text {
                    let text = String::from_utf8(joining.bytes);
                    Message::Text(text.map_err(|_| Violation::NotUtf8)?)
                } else {
                    Message::Binary(joining.bytes)
                }))
            }
        }
    }
}

impl Joining {
    /// Fails as soon as the text so far cannot become UTF-8, without looking at bytes twice.
    fn check(&mut self) -> Result<(), Violation> {
        if !self.is_text {
            return Ok(());
        }
        match std::str::from_utf8(self.bytes.get(self.checked..).unwrap_or_default()) {
            Ok(_) => self.checked = self.bytes.len(),
            Err(error) if error.error_len().is_some() => return Err(Violation::NotUtf8),
            Err(error) => self.checked = self.checked.saturating_add(error.valid_up_to()),
        }
        Ok(())
    }
}

fn close_message(payload: &[u8]) -> Result<Message, Violation> {
    match payload {
        [] => Ok(Message::Close { code: None, reason: String::new() }),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(Violation::CloseCode);
            }
            let reason = std::str::from_utf8(reason).map_err(|_| Violation::NotUtf8)?;
            Ok(Message::Close { code: Some(code), reason: reason.to_owned() })
        }
        [_] => Err(Violation::CloseCode),
    }
}

/// XORs `bytes` with `mask` repeated (RFC 6455 section 5.3), in lanes the compiler vectorises.
fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let lane = [a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d];
    let (lanes, tail) = bytes.as_chunks_mut::<16>();
    for part in lanes {
        part.iter_mut().zip(lane).for_each(|(byte, key)| *byte ^= key);
    }
    tail.iter_mut().zip(lane).for_each(|(byte, key)| *byte ^= key);
}

/// Appends a frame header and its payload.
fn frame(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8], mask: Option<[u8; 4]>) {
    let header = FrameHeader { opcode, mask, ..FrameHeader::default() };
    let length = payload.len() as u64;
    out.reserve(header.len(length).saturating_add(payload.len()));
    let written = header.format(length, out);
    debug_assert!(written.is_ok(), "writing to a Vec does not fail");
    let from = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(out.get_mut(from..).unwrap_or_default(), mask);
    }
}

/// Appends a text frame. The caller answers for `payload` being UTF-8 (it is JSON we wrote).
pub fn text(out: &mut Vec<u8>, payload: impl AsRef<[u8]>) {
    frame(out, OpCode::Data(Data::Text), payload.as_ref(), None);
}

/// Appends a binary frame.
pub fn binary(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, OpCode::Data(Data::Binary), payload, None);
}

/// Appends a ping; the payload is cut at 125 bytes.
pub fn ping(out: &mut Vec<u8>, payload: &[u8]) {
    control(out, Control::Ping, payload, None);
}

/// Appends a pong; the payload is cut at 125 bytes.
pub fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    control(out, Control::Pong, payload, None);
}

/// Appends a close frame; the reason is cut at 123 bytes between characters.
pub fn close(out: &mut Vec<u8>, code: u16, reason: &str) {
    control(out, Control::Close, &close_payload(code, reason), None);
}

/// [`text`] for the client's side; `mask` must be unpredictable and new for each frame.
pub fn text_masked(out: &mut Vec<u8>, payload: impl AsRef<[u8]>, mask: [u8; 4]) {
    frame(out, OpCode::Data(Data::Text), payload.as_ref(), Some(mask));
}

/// [`binary`] for the client's side.
pub fn binary_masked(out: &mut Vec<u8>, payload: &[u8], mask: [u8; 4]) {
    frame(out, OpCode::Data(Data::Binary), payload, Some(mask));
}

/// [`ping`] for the client's side.
pub fn ping_masked(out: &mut Vec<u8>, payload: &[u8], mask: [u8; 4]) {
    control(out, Control::Ping, payload, Some(mask));
}

/// [`pong`] for the client's side.
pub fn pong_masked(out: &mut Vec<u8>, payload: &[u8], mask: [u8; 4]) {
    control(out, Control::Pong, payload, Some(mask));
}

/// [`close`] for the client's side.
pub fn close_masked(out: &mut Vec<u8>, code: u16, reason: &str, mask: [u8; 4]) {
    control(out, Control::Close, &close_payload(code, reason), Some(mask));
}

fn control(out: &mut Vec<u8>, control: Control, payload: &[u8], mask: Option<[u8; 4]>) {
    let payload = payload.get(..125).unwrap_or(payload);
    frame(out, OpCode::Control(control), payload, mask);
}

fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let reason = reason.get(..reason.floor_char_boundary(123)).unwrap_or_default();
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    payload
}

/// The `Sec-WebSocket-Accept` value for a client's key (RFC 6455 section 4.2.2); `None` unless
/// the key is base64 of 16 bytes. Unused bits of the last digit may be set, as some clients
/// write 24 random characters.
pub fn accept_key(key: &str) -> Option<String> {
    let digits = key.strip_suffix("==")?;
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    if digits.len() != 22 || !digits.bytes().all(known) {
        return None;
    }
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    Some(hash::base64(&hash::sha1(text.as_bytes())))
}

/// Why an upgrade request gets no 101 (RFC 6455 section 4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpgradeError {
    /// No, two or a malformed `Sec-WebSocket-Key`: 400.
    Key,
    /// Not version 13: 426 with `Sec-WebSocket-Version: 13`.
    Version,
}

impl UpgradeError {
    /// The status to answer with.
    pub const fn status(self) -> u16 {
        match self {
            Self::Key => 400,
            Self::Version => 426,
        }
    }
}

/// Judges a request for which [`Head::is_upgrade_websocket`] is true; the accept value for
/// [`upgrade_response`].
pub fn check_upgrade(head: &Head) -> Result<String, UpgradeError> {
    if head.headers.only("sec-websocket-version").is_none_or(|version| version.trim() != "13") {
        return Err(UpgradeError::Version);
    }
    head.headers.only("sec-websocket-key").and_then(accept_key).ok_or(UpgradeError::Key)
}

/// Appends the 101 answer; `accept` from [`check_upgrade`]. No subprotocol and no extension is
/// chosen.
pub fn upgrade_response(out: &mut Vec<u8>, accept: &str, extra: &[(&str, &str)]) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    );
    super::http::header(out, "Sec-WebSocket-Accept", accept);
    for (name, value) in extra {
        super::http::header(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a client's upgrade request (RFC 6455 section 4.1); `key_b64` is base64 of 16 random
/// bytes, `host` a Host header value.
pub fn client_request(
    out: &mut Vec<u8>,
    host: &str,
    path: &str,
    key_b64: &str,
    extra: &[(&str, &str)],
) {
    out.extend_from_slice(b"GET ");
    super::http::target(out, path);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    super::http::header(out, "Host", host);
    out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\n");
    super::http::header(out, "Sec-WebSocket-Key", key_b64);
    out.extend_from_slice(b"Sec-WebSocket-Version: 13\r\n");
    for (name, value) in extra {
        super::http::header(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

/// Why a server's answer to [`client_request`] is no WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeError {
    /// Another status than 101.
    Status(u16),
    /// `Upgrade` or `Connection` is missing or different.
    Upgrade,
    /// `Sec-WebSocket-Accept` does not belong to our key.
    Accept,
    /// An extension or subprotocol that we did not ask for.
    Extension,
}

impl std::fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the server answered {status} instead of 101"),
            Self::Upgrade => write!(f, "the server did not upgrade to websocket"),
            Self::Accept => write!(f, "the server's Sec-WebSocket-Accept is wrong"),
            Self::Extension => write!(f, "the server chose an extension nobody offered"),
        }
    }
}

impl std::error::Error for HandshakeError {}

/// Judges the head of a server's answer (RFC 6455 section 4.1).
pub fn check_answer(status: u16, headers: &Headers, key_b64: &str) -> Result<(), HandshakeError> {
    if status != 101 {
        return Err(HandshakeError::Status(status));
    }
    let upgrade = headers.only("upgrade").is_some_and(|v| v.eq_ignore_ascii_case("websocket"));
    if !upgrade || !headers.has_token("connection", "upgrade") {
        return Err(HandshakeError::Upgrade);
    }
    if accept_key(key_b64).as_deref() != headers.only("sec-websocket-accept") {
        return Err(HandshakeError::Accept);
    }
    let chosen = |name| headers.get(name).is_some();
    if chosen("sec-websocket-extensions") || chosen("sec-websocket-protocol") {
        return Err(HandshakeError::Extension);
    }
    Ok(())
}

/// One push and many pushes must give the same messages, and no more memory than the cap and
/// the input explain.
pub fn fuzz(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let role = if first & 1 == 0 { Role::Server } else { Role::Client };
    let max = usize::from(first >> 1) * 8;
    let mut whole = Receiver::new(role, max);
    whole.push(bytes);
    let expected: Vec<_> = std::iter::from_fn(|| whole.next()).collect();
    let mut split = Receiver::new(role, max);
    let mut found = Vec::new();
    for piece in super::pieces(bytes) {
        split.push(piece);
        found.extend(std::iter::from_fn(|| split.next()));
        // A header is at most 14 bytes; nothing else may wait undecoded.
        assert!(split.buffered() <= max + 125 + 14);
    }
    assert_eq!(expected, found);
    assert_eq!(whole.buffered(), split.buffered());
    for message in &found {
        let size = match message {
            Ok(Message::Text(text)) => text.len(),
            Ok(Message::Binary(bytes)) => bytes.len(),
            _ => 0,
        };
        assert!(size <= max);
    }
    assert!(!split.ended() || split.buffered() == 0);
    if let Ok(key) = std::str::from_utf8(bytes) {
        let _ = accept_key(key);
    }
}

#[cfg(test)]
#[path = "ws_tests.rs"]
mod tests;
