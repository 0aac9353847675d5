//! Pure codecs: bytes in, values out, and back.
//!
//! Nothing here touches a socket, a clock, the environment or a random generator. Every machine
//! takes bytes in pieces of any size (`push`), is asked for what it found (`next`), and keeps no
//! buffer while it has nothing to keep. Limits come from [`crate::limits`] or are arguments;
//! a fault in the input is a value, never a panic. Each byte-facing machine has a `fuzz`
//! function beside it that the targets in `fuzz/` call.
//!
//! * [`address`]: which addresses are of the open Internet.
//! * [`archive`]: tar and gzip, as backups are made of.
//! * [`cidr`]: ranges of addresses.
//! * [`http`]: HTTP/1.1 (RFC 9110, 9112), both sides of a connection.
//! * [`ws`]: WebSocket frames and handshake (RFC 6455).
//! * [`sniff`]: what a file is, by its first bytes or its name.
//! * [`sse`]: event streams (WHATWG HTML, section 9.2).
//! * [`url`]: the few URL forms a gateway meets (RFC 3986).
//! * [`hash`]: digests, HMAC, base64, hex, comparison in constant time.
//! * [`html`]: what there is to read on a page.
//! * [`text`]: dates, ids, log escaping, JSON strings, spelling suggestions.

#![forbid(unsafe_code)]

pub mod address;
pub mod archive;
mod buffer;
pub mod cidr;
pub mod der;
pub mod hash;
pub mod html;
pub mod http;
pub mod json5;
pub mod sniff;
pub mod sse;
pub mod text;
pub mod url;
pub mod ws;

/// Cuts `data` into pieces whose sizes are drawn from `data` itself, so that a fuzz input fixes
/// its own splits. Pieces are mostly small, now and then large, never empty.
pub(crate) fn pieces(data: &[u8]) -> Vec<&[u8]> {
    let mut seed = data.iter().fold(0x9E37_79B9_7F4A_7C15u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)
    });
    let mut list = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let size = match seed & 7 {
            0 => 1024,
            1 | 2 => 1 + (seed >> 8 & 63) as usize,
            _ => 1 + (seed >> 8 & 7) as usize,
        };
        let (piece, later) = rest.split_at(size.min(rest.len()));
        list.push(piece);
        rest = later;
    }
    list
}
