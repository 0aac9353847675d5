//! Digests and encodings: SHA-1 (for the WebSocket handshake only), SHA-256, HMAC-SHA-256,
//! base64, hex, and a comparison of secrets that takes the same time whatever they hold.
//!
//! With feature `tls` the digests are ring's, since ring is in the build anyway; without it
//! they are the small ones in `own`, which the tests check in both builds against the
//! vectors of FIPS 180-4, RFC 2202/4231 and RFC 4648.

/// SHA-1 of `data`, 20 bytes (FIPS 180-4). Broken as a signature; RFC 6455 still asks for it.
pub fn sha1(data: &[u8]) -> [u8; 20] {
    #[cfg(feature = "tls")]
    {
        sized(ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, data).as_ref())
    }
    #[cfg(not(feature = "tls"))]
    {
        own::sha1(data)
    }
}

/// SHA-256 of `data`, 32 bytes (FIPS 180-4).
pub fn sha256(data: &[u8]) -> [u8; 32] {
    #[cfg(feature = "tls")]
    {
        sized(ring::digest::digest(&ring::digest::SHA256, data).as_ref())
    }
    #[cfg(not(feature = "tls"))]
    {
        own::sha256(data)
    }
}

/// HMAC-SHA-256 of `data` under `key` of any length, 32 bytes (RFC 2104).
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    #[cfg(feature = "tls")]
    {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
        sized(ring::hmac::sign(&key, data).as_ref())
    }
    #[cfg(not(feature = "tls"))]
    {
        own::hmac_sha256(key, data)
    }
}

/// Copies a digest into an array of its own length.
#[cfg(feature = "tls")]
fn sized<const N: usize>(bytes: &[u8]) -> [u8; N] {
    debug_assert_eq!(bytes.len(), N, "digest length");
    let mut out = [0; N];
    out.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    out
}

/// True when `a` and `b` are the same bytes. Compares their SHA-256 digests and looks at every
/// byte of both, so neither the place of the first difference nor a length shows in the time
/// (hashing takes time by length; the length of what a peer sent is known to the peer).
pub fn constant_time_eq_digest(a: &[u8], b: &[u8]) -> bool {
    constant_time_eq(&sha256(a), &sha256(b))
}

/// True when two digests are the same, looking at every byte.
pub fn constant_time_eq(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0u8, |sum, (x, y)| std::hint::black_box(sum | (x ^ y)));
    std::hint::black_box(difference) == 0
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 with padding (RFC 4648 section 4).
pub fn base64(data: &[u8]) -> String {
    encode(data, STANDARD, true)
}

/// Base64 with the URL-safe alphabet and padding (RFC 4648 section 5).
pub fn base64_url(data: &[u8]) -> String {
    encode(data, URL_SAFE, true)
}

/// Base64 with the URL-safe alphabet, no padding: the form of tokens and device keys.
pub fn base64_url_no_pad(data: &[u8]) -> String {
    encode(data, URL_SAFE, false)
}

/// Strict inverse of [`base64`]: padding required, trailing bits zero, nothing else allowed.
/// `None` for anything that [`base64`] would not have written.
pub fn base64_decode(text: &str) -> Option<Vec<u8>> {
    decode(text, STANDARD, true)
}

/// Strict inverse of [`base64_url`].
pub fn base64_url_decode(text: &str) -> Option<Vec<u8>> {
    decode(text, URL_SAFE, true)
}

/// Strict inverse of [`base64_url_no_pad`].
pub fn base64_url_no_pad_decode(text: &str) -> Option<Vec<u8>> {
    decode(text, URL_SAFE, false)
}

fn encode(data: &[u8], alphabet: &[u8; 64], pad: bool) -> String {
    let mut out = String::with_capacity(data.len().div_ceil(3).saturating_mul(4));
    for group in data.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            if digit <= group.len() {
                let index = (bits >> (18 - 6 * digit) & 63) as usize;
                out.push(alphabet.get(index).copied().unwrap_or(b'=').into());
            } else if pad {
                out.push('=');
            }
        }
    }
    out
}

fn decode(text: &str, alphabet: &[u8; 64], pad: bool) -> Option<Vec<u8>> {
    let mut digits = text.as_bytes();
    if pad {
        if !digits.len().is_multiple_of(4) {
            return None;
        }
        for _ in 0..2 {
            digits = digits.strip_suffix(b"=").unwrap_or(digits);
        }
    }
    if digits.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for digit in group {
            bits = bits << 6 | value_of(*digit, alphabet)?;
        }
        // Left-align to 24 bits; what the last byte does not use must be zero.
        bits <<= 6 * (4 - group.len());
        let [_, first, second, third] = bits.to_be_bytes();
        match group.len() {
            4 => out.extend_from_slice(&[first, second, third]),
            3 if third == 0 => out.extend_from_slice(&[first, second]),
            2 if second == 0 && third == 0 => out.push(first),
            _ => return None,
        }
    }
    Some(out)
}

fn value_of(digit: u8, alphabet: &[u8; 64]) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        _ if digit == alphabet[62] => 62,
        _ if digit == alphabet[63] => 63,
        _ => return None,
    };
    Some(value.into())
}

/// The SHA-256 of a certificate as openssl and browsers show it: upper case, with colons.
pub fn fingerprint(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// Lower-case hex.
pub fn hex(data: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    data.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Inverse of [`hex`], either case; `None` for an odd length or another character.
pub fn hex_decode(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|v| u8::try_from(v).ok());
    pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)).collect()
}

/// Feeds any bytes to the decoders: what decodes must encode back to the same text.
pub fn fuzz(data: &[u8]) {
    assert_eq!(base64_decode(&base64(data)).as_deref(), Some(data));
    assert_eq!(base64_url_decode(&base64_url(data)).as_deref(), Some(data));
    assert_eq!(base64_url_no_pad_decode(&base64_url_no_pad(data)).as_deref(), Some(data));
    assert_eq!(hex_decode(&hex(data)).as_deref(), Some(data));
    if let Ok(text) = std::str::from_utf8(data) {
        if let Some(bytes) = base64_decode(text) {
            assert_eq!(base64(&bytes), text);
        }
        if let Some(bytes) = base64_url_no_pad_decode(text) {
            assert_eq!(base64_url_no_pad(&bytes), text);
        }
        if let Some(bytes) = hex_decode(text) {
            assert_eq!(hex(&bytes), text.to_ascii_lowercase());
        }
    }
}

/// The digests for a build without ring. Plain and slow enough to be read beside the standard.
#[cfg(any(test, not(feature = "tls")))]
mod own {
    /// `data` followed by the padding of FIPS 180-4 section 5.1.1, in blocks of 64 bytes, each
    /// as sixteen big-endian words.
    fn blocks(data: &[u8], mut each: impl FnMut([u32; 16])) {
        let words = |block: &[u8; 64]| {
            let mut words = [0u32; 16];
            let (chunks, _) = block.as_chunks::<4>();
            words.iter_mut().zip(chunks).for_each(|(to, from)| *to = u32::from_be_bytes(*from));
            words
        };
        let (whole, rest) = data.as_chunks::<64>();
        whole.iter().for_each(|block| each(words(block)));
        let mut tail = rest.to_vec();
        tail.push(0x80);
        while tail.len() % 64 != 56 {
            tail.push(0);
        }
        tail.extend_from_slice(&(data.len() as u64).wrapping_mul(8).to_be_bytes());
        let (last, _) = tail.as_chunks::<64>();
        last.iter().for_each(|block| each(words(block)));
    }

    /// FIPS 180-4 section 6.1.
    pub(super) fn sha1(data: &[u8]) -> [u8; 20] {
        let mut state: [u32; 5] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
        blocks(data, |words| {
            let mut w = [0u32; 80];
            w[..16].copy_from_slice(&words);
            for t in 16..80 {
                w[t] = (w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16]).rotate_left(1);
            }
            let [mut a, mut b, mut c, mut d, mut e] = state;
            for (t, word) in w.iter().enumerate() {
                let (f, k) = match t {
                    0..20 => (b & c | !b & d, 0x5A82_7999),
                    20..40 => (b ^ c ^ d, 0x6ED9_EBA1),
                    40..60 => (b & c | b & d | c & d, 0x8F1B_BCDC),
                    _ => (b ^ c ^ d, 0xCA62_C1D6u32),
                };
                let next = a
                    .rotate_left(5)
                    .wrapping_add(f)
                    .wrapping_add(e)
                    .wrapping_add(k)
                    .wrapping_add(*word);
                (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
            }
            state.iter_mut().zip([a, b, c, d, e]).for_each(|(s, v)| *s = s.wrapping_add(v));
        });
        let mut out = [0; 20];
        out.iter_mut().zip(state.iter().flat_map(|s| s.to_be_bytes())).for_each(|(o, v)| *o = v);
        out
    }

    const K: [u32; 64] = [
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2,
    ];

    /// FIPS 180-4 section 6.2.
    pub(super) fn sha256(data: &[u8]) -> [u8; 32] {
        let mut state: [u32; 8] = [
            0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab,
            0x5be0cd19,
        ];
        blocks(data, |words| {
            let mut w = [0u32; 64];
            w[..16].copy_from_slice(&words);
            for t in 16..64 {
                let (x, y) = (w[t - 15], w[t - 2]);
                let s0 = x.rotate_right(7) ^ x.rotate_right(18) ^ x >> 3;
                let s1 = y.rotate_right(17) ^ y.rotate_right(19) ^ y >> 10;
                w[t] = w[t - 16].wrapping_add(s0).wrapping_add(w[t - 7]).wrapping_add(s1);
            }
            let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
            for (word, k) in w.iter().zip(K) {
                let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
                let choice = e & f ^ !e & g;
                let t1 =
                    h.wrapping_add(s1).wrapping_add(choice).wrapping_add(k).wrapping_add(*word);
                let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
                let majority = a & b ^ a & c ^ b & c;
                let t2 = s0.wrapping_add(majority);
                (h, g, f, e, d, c, b, a) =
                    (g, f, e, d.wrapping_add(t1), c, b, a, t1.wrapping_add(t2));
            }
            state
                .iter_mut()
                .zip([a, b, c, d, e, f, g, h])
                .for_each(|(s, v)| *s = s.wrapping_add(v));
        });
        let mut out = [0; 32];
        out.iter_mut().zip(state.iter().flat_map(|s| s.to_be_bytes())).for_each(|(o, v)| *o = v);
        out
    }

    /// RFC 2104.
    pub(super) fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
        let mut block = [0u8; 64];
        let short = if key.len() > 64 { sha256(key).to_vec() } else { key.to_vec() };
        block.iter_mut().zip(&short).for_each(|(to, from)| *to = *from);
        let mut inner: Vec<u8> = block.iter().map(|byte| byte ^ 0x36).collect();
        inner.extend_from_slice(data);
        let mut outer: Vec<u8> = block.iter().map(|byte| byte ^ 0x5c).collect();
        outer.extend_from_slice(&sha256(&inner));
        sha256(&outer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha1_vectors() {
        for (data, want) in [
            (&b""[..], "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            (b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
            ),
        ] {
            assert_eq!(hex(&own::sha1(data)), want);
            assert_eq!(hex(&sha1(data)), want);
        }
        let million = vec![b'a'; 1_000_000];
        assert_eq!(hex(&own::sha1(&million)), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    }

    #[test]
    fn sha256_vectors() {
        for (data, want) in [
            (&b""[..], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
        ] {
            assert_eq!(hex(&own::sha256(data)), want);
            assert_eq!(hex(&sha256(data)), want);
        }
        let million = vec![b'a'; 1_000_000];
        assert_eq!(
            hex(&own::sha256(&million)),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        );
    }

    #[test]
    fn own_agrees_with_the_one_in_use_at_every_length() {
        let data: Vec<u8> = (0..200u8).collect();
        for end in 0..data.len() {
            let part = &data[..end];
            assert_eq!(own::sha1(part), sha1(part));
            assert_eq!(own::sha256(part), sha256(part));
            assert_eq!(own::hmac_sha256(part, &data), hmac_sha256(part, &data));
        }
    }

    /// RFC 4231.
    #[test]
    fn hmac_vectors() {
        let long = [0xaau8; 131];
        let cases: [(&[u8], &[u8], &str); 4] = [
            (
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 20],
                &[0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                &long,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, data, want) in cases {
            assert_eq!(hex(&own::hmac_sha256(key, data)), want);
            assert_eq!(hex(&hmac_sha256(key, data)), want);
        }
    }

    #[test]
    fn base64_vectors() {
        for (data, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(data.as_bytes()), text);
            assert_eq!(base64_decode(text).unwrap(), data.as_bytes());
            assert_eq!(base64_url_no_pad(data.as_bytes()), text.trim_end_matches('='));
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
        assert_eq!(base64_url(&[0xfb, 0xff]), "-_8=");
        for bad in
            ["Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Z===", "====", "Zm 9v", "Zg==Zg==", "-_8="]
        {
            assert_eq!(base64_decode(bad), None, "{bad}");
        }
        for bad in ["Z", "Zh", "Zg==", "+/8"] {
            assert_eq!(base64_url_no_pad_decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn hex_is_strict() {
        assert_eq!(hex(&[0, 0xab, 0xff]), "00abff");
        assert_eq!(hex_decode("00ABff"), Some(vec![0, 0xab, 0xff]));
        assert_eq!(hex_decode("0"), None);
        assert_eq!(hex_decode("+1"), None);
        assert_eq!(hex_decode("0g"), None);
    }

    #[test]
    fn comparison() {
        assert!(constant_time_eq_digest(b"secret", b"secret"));
        assert!(!constant_time_eq_digest(b"secret", b"secreT"));
        assert!(!constant_time_eq_digest(b"secret", b""));
        fuzz(b"Zm9vYg==");
        fuzz(b"\xff\x00");
    }
}
