//! Writers of responses (RFC 9110 section 15, RFC 9112 sections 4 and 7). They append to a
//! buffer and keep nothing. The headers every answer of the gateway carries stand here, once.

use super::{decimal, header};

/// Headers of every answer (the control page brings its own Permissions-Policy).
const NOSNIFF: &[u8] = b"X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n";
const PERMISSIONS: &[u8] = b"Permissions-Policy: camera=(), microphone=(self), geolocation=()\r\n";

/// A response being put together. Nothing is written before [`Response::write`] or
/// [`Response::stream_head`].
#[derive(Debug, Clone)]
#[must_use = "a response does nothing until it is written"]
pub struct Response<'a> {
    status: u16,
    extra: Vec<u8>,
    has_permissions: bool,
    content_type: Option<&'a str>,
    body: &'a [u8],
}

impl<'a> Response<'a> {
    /// An answer without a body yet; `status` is 200 to 599.
    pub const fn new(status: u16) -> Self {
        Self { status, extra: Vec::new(), has_permissions: false, content_type: None, body: &[] }
    }

    /// One more header. Line ends and control characters in it are dropped. Framing headers
    /// (Content-Length, Transfer-Encoding, Connection) are written by this module; a
    /// Permissions-Policy replaces the usual one.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let ours = ["content-length", "transfer-encoding", "connection", "content-type"];
        if ours.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            debug_assert!(false, "{name} is written by this module");
            return self;
        }
        self.has_permissions |= name.eq_ignore_ascii_case("permissions-policy");
        header(&mut self.extra, name, value);
        self
    }

    /// Strict-Transport-Security, if it is sent: browsers then come by TLS alone.
    pub fn hsts(self, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.header("Strict-Transport-Security", value),
            None => self,
        }
    }

    /// A JSON body, complete text.
    pub const fn json(self, body: &'a [u8]) -> Self {
        self.body("application/json; charset=utf-8", body)
    }

    /// A plain text body.
    pub const fn text(self, body: &'a str) -> Self {
        self.body("text/plain; charset=utf-8", body.as_bytes())
    }

    /// Any body.
    pub const fn body(mut self, content_type: &'a str, body: &'a [u8]) -> Self {
        self.content_type = Some(content_type);
        self.body = body;
        self
    }

    /// Only the type, for a stream.
    pub const fn content_type(mut self, content_type: &'a str) -> Self {
        self.content_type = Some(content_type);
        self
    }

    /// Appends the whole response. `head_only` answers HEAD: the length of the body, but not
    /// the body. `keep_alive` is [`super::Server::keep_alive`].
    pub fn write(&self, out: &mut Vec<u8>, head_only: bool, keep_alive: bool) {
        out.reserve(self.extra.len().saturating_add(self.body.len()).saturating_add(384));
        self.head(out, keep_alive);
        if has_content(self.status) {
            out.extend_from_slice(b"Content-Length: ");
            decimal(out, self.body.len() as u64);
            out.extend_from_slice(b"\r\n\r\n");
            if !head_only {
                out.extend_from_slice(self.body);
            }
        } else {
            debug_assert!(self.body.is_empty(), "{} has no body", self.status);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Appends the head of a response whose length is not known. To a client of HTTP/1.1 it is
    /// chunked; to one of 1.0 it ends with the connection, whatever `keep_alive` says. What
    /// follows goes through the [`Framing`] that comes back.
    pub fn stream_head(&self, out: &mut Vec<u8>, http10: bool, keep_alive: bool) -> Framing {
        self.head(out, keep_alive && !http10);
        if http10 {
            out.extend_from_slice(b"\r\n");
            return Framing::Close;
        }
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        Framing::Chunked
    }

    /// Everything but the framing and the empty line.
    fn head(&self, out: &mut Vec<u8>, keep_alive: bool) {
        out.extend_from_slice(b"HTTP/1.1 ");
        decimal(out, self.status.into());
        out.push(b' ');
        out.extend_from_slice(reason_phrase(self.status).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(NOSNIFF);
        if !self.has_permissions {
            out.extend_from_slice(PERMISSIONS);
        }
        if let Some(content_type) = self.content_type {
            header(out, "Content-Type", content_type);
        }
        out.extend_from_slice(&self.extra);
        out.extend_from_slice(if keep_alive {
            b"Connection: keep-alive\r\n"
        } else {
            b"Connection: close\r\n"
        });
    }
}

/// How the body of a streamed response is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// In chunks.
    Chunked,
    /// Raw; the end of the connection ends it: close after [`Framing::end`].
    Close,
}

impl Framing {
    /// Appends a part of the body; nothing for an empty one.
    pub fn write(self, out: &mut Vec<u8>, bytes: &[u8]) {
        match self {
            Self::Chunked => chunk(out, bytes),
            Self::Close => out.extend_from_slice(bytes),
        }
    }

    /// Appends the end of the body.
    pub fn end(self, out: &mut Vec<u8>) {
        if self == Self::Chunked {
            last_chunk(out);
        }
    }
}

/// Appends one chunk; nothing for empty `bytes`, which would end the body.
pub fn chunk(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let significant = usize::BITS.saturating_sub(bytes.len().leading_zeros());
    for place in (0..significant.div_ceil(4)).rev() {
        let nibble = u8::try_from(bytes.len() >> (4 * place) & 15).unwrap_or(0);
        out.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends the end of a chunked body, without trailers.
pub fn last_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n\r\n");
}

/// RFC 9110 section 6.4.1.
const fn has_content(status: u16) -> bool {
    !matches!(status, 100..=199 | 204 | 304)
}

/// The words behind a status; empty for one that we do not send.
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        413 => "Payload Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(out: &[u8]) -> &str {
        std::str::from_utf8(out).unwrap()
    }

    #[test]
    fn complete() {
        let mut out = Vec::new();
        let response =
            Response::new(200).header("Cache-Control", "no-store").json(b"{\"ok\":true}");
        response.write(&mut out, false, true);
        assert_eq!(
            text(&out),
            "HTTP/1.1 200 OK\r\n\
             X-Content-Type-Options: nosniff\r\n\
             Referrer-Policy: no-referrer\r\n\
             Permissions-Policy: camera=(), microphone=(self), geolocation=()\r\n\
             Content-Type: application/json; charset=utf-8\r\n\
             Cache-Control: no-store\r\n\
             Connection: keep-alive\r\n\
             Content-Length: 11\r\n\r\n{\"ok\":true}"
        );
        out.clear();
        response.write(&mut out, true, false);
        assert!(text(&out).ends_with("Connection: close\r\nContent-Length: 11\r\n\r\n"));
        out.clear();
        Response::new(204).header("Permissions-Policy", "x").write(&mut out, false, true);
        assert!(!text(&out).contains("Content-Length"));
        assert_eq!(text(&out).matches("Permissions-Policy").count(), 1);
    }

    #[test]
    fn streams() {
        let stream = Response::new(200).content_type("text/event-stream");
        let mut out = Vec::new();
        let framing = stream.stream_head(&mut out, false, true);
        out.clear();
        framing.write(&mut out, &[b'x'; 300]);
        framing.write(&mut out, b"");
        framing.write(&mut out, b"y");
        framing.end(&mut out);
        let want = format!("12c\r\n{}\r\n1\r\ny\r\n0\r\n\r\n", "x".repeat(300));
        assert_eq!(text(&out), want);

        out.clear();
        let framing = stream.stream_head(&mut out, true, true);
        assert!(text(&out).contains("Connection: close\r\n"));
        assert!(!text(&out).contains("chunked"));
        out.clear();
        framing.write(&mut out, b"raw");
        framing.end(&mut out);
        assert_eq!(out, b"raw");
    }

    #[test]
    fn splitting_is_not_possible() {
        let mut out = Vec::new();
        Response::new(302).header("Location", "/x\r\n\r\n<html>").write(&mut out, false, false);
        assert!(text(&out).contains("Location: /x<html>\r\n"));
    }
}
