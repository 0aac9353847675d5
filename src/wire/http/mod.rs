//! HTTP/1.1 without I/O (RFC 9110 and 9112): request and response heads, bodies, the server's
//! and the client's side of one connection, and the writers of responses.
//!
//! Heads are parsed by httparse once they are complete; what it leaves open is closed here:
//! every line must end with CRLF, names and values keep to their characters, framing has one
//! meaning or none (no smuggling), and everything is bounded by [`crate::limits`]. Heads are
//! text: a request with a value that is not UTF-8 is refused with 400, a response of a server we
//! dialled is read with U+FFFD in its place.

pub mod body;
pub mod client;
pub mod head;
pub mod respond;
#[doc(hidden)]
pub mod second;
pub mod server;

pub use client::{Client, ClientError, ClientEvent};
pub use head::{Head, Headers, Method};
pub use respond::{Framing, Response, chunk, last_chunk};
pub use server::{Event, Phase, Refusal, Server};

/// Appends `name: value` and a line end. CR, LF, NUL and other control characters but tab are
/// dropped from the value, and everything but token characters from the name, so that no caller
/// can start another header or another response.
pub fn header(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend(name.bytes().filter(|byte| head::is_token_byte(*byte)));
    out.extend_from_slice(b": ");
    if value.bytes().all(is_value_byte) {
        out.extend_from_slice(value.as_bytes());
    } else {
        out.extend(value.bytes().filter(|byte| is_value_byte(*byte)));
    }
    out.extend_from_slice(b"\r\n");
}

const fn is_value_byte(byte: u8) -> bool {
    (byte >= b' ' && byte != 0x7F) || byte == b'\t'
}

/// Appends a request target in origin form: a slash in front if there is none, and spaces and
/// control characters percent-encoded, so that it stays one word.
pub fn target(out: &mut Vec<u8>, path: &str) {
    // A proxy is asked for the whole address.
    if !path.starts_with('/') && !path.starts_with("http://") {
        out.push(b'/');
    }
    for byte in path.bytes() {
        if byte.is_ascii_graphic() || byte >= 0x80 {
            out.push(byte);
        } else {
            let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 };
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// Appends a number in decimal.
pub(crate) fn decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0u8; 20];
    let mut left = number;
    let mut used: usize = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + u8::try_from(left % 10).unwrap_or(0);
        left /= 10;
        used = used.saturating_add(1);
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len().saturating_sub(used)..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_its_line() {
        let mut out = Vec::new();
        header(&mut out, "X-A\r\n b:", "1\r\nSet-Cookie: x\0\u{7f}\ty\u{e4}");
        assert_eq!(out, "X-Ab: 1Set-Cookie: x\ty\u{e4}\r\n".as_bytes());
        out.clear();
        target(&mut out, "v1/a b\r\nX: y");
        assert_eq!(out, b"/v1/a%20b%0D%0AX:%20y");
        for number in [0, 7, 10, 999, u64::MAX] {
            out.clear();
            decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
