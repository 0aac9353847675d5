//! Bodies: by Content-Length, chunked (RFC 9112 section 7.1), or up to the end of the
//! connection (responses only). The decoder is told every byte once and hands out the content;
//! it keeps a few numbers and no buffer.

use crate::limits;

use super::head::is_token_byte;

/// Why a body cannot be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A chunk that breaks the grammar, a size that overflows, or too long a chunk line.
    Malformed,
    /// More content than the owner allows.
    TooLarge,
    /// Trailers over their limit.
    Trailers,
}

/// A decoder of one body.
#[derive(Debug)]
pub enum Decoder {
    /// So many bytes are left.
    Length(u64),
    /// In chunks.
    Chunked(Chunked),
    /// Until the connection ends.
    Close,
}

impl Decoder {
    /// Takes what belongs to the body from the front of `input` and gives its content to
    /// `content`. True when the body is complete.
    pub fn feed(
        &mut self,
        input: &mut &[u8],
        mut content: impl FnMut(&[u8]),
    ) -> Result<bool, Fault> {
        match self {
            Self::Length(left) => {
                take_content(left, input, &mut content);
                Ok(*left == 0)
            }
            Self::Chunked(chunked) => chunked.feed(input, content),
            Self::Close => {
                content(input);
                *input = &[];
                Ok(false)
            }
        }
    }
}

fn take_content(left: &mut u64, input: &mut &[u8], content: &mut impl FnMut(&[u8])) {
    let size = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    let (part, rest) = input.split_at(size);
    if !part.is_empty() {
        content(part);
    }
    *left = left.saturating_sub(size as u64);
    *input = rest;
}

/// Where in a chunked body the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the size, after so many digits.
    Size(u8),
    /// In an extension.
    Extension,
    /// At the LF of a size line.
    SizeLf,
    /// In the content of a chunk.
    Content,
    /// At the CR, then the LF after a chunk.
    ContentCr,
    ContentLf,
    /// At the start of a trailer line or of the last empty line.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    /// At the very last LF.
    LastLf,
    Done,
}

/// A chunked body, read strictly: sizes are hex digits without sign, every line ends with CRLF,
/// extensions and trailers are checked for their characters, counted, and dropped.
#[derive(Debug)]
pub struct Chunked {
    at: At,
    /// The size being read, then the content left of this chunk.
    left: u64,
    /// Content still allowed.
    allowed: u64,
    /// Bytes of the current line after its size.
    line: usize,
    extensions: usize,
    trailers: usize,
}

impl Chunked {
    /// At the first chunk; at most `max` bytes of content.
    pub const fn new(max: u64) -> Self {
        Self { at: At::Size(0), left: 0, allowed: max, line: 0, extensions: 0, trailers: 0 }
    }

    fn feed(&mut self, input: &mut &[u8], mut content: impl FnMut(&[u8])) -> Result<bool, Fault> {
        loop {
            match self.at {
                At::Done => return Ok(true),
                At::Content => {
                    take_content(&mut self.left, input, &mut content);
                    if self.left > 0 {
                        return Ok(false);
                    }
                    self.at = At::ContentCr;
                }
                _ => {
                    let Some((byte, rest)) = input.split_first() else { return Ok(false) };
                    *input = rest;
                    self.at = self.step(*byte)?;
                }
            }
        }
    }

    /// One byte outside of content.
    fn step(&mut self, byte: u8) -> Result<At, Fault> {
        match (self.at, byte) {
            (At::Size(digits), _) if byte.is_ascii_hexdigit() => {
                // 16 digits fill a u64; more could only be leading zeros.
                if digits >= 16 {
                    return Err(Fault::Malformed);
                }
                let digit = char::from(byte).to_digit(16).ok_or(Fault::Malformed)?;
                self.left = self.left << 4 | u64::from(digit);
                Ok(At::Size(digits.saturating_add(1)))
            }
            (At::Size(1..), b'\r') | (At::Extension, b'\r') => Ok(At::SizeLf),
            (At::Size(1..), b';') | (At::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.line = self.line.saturating_add(1);
                self.extensions = self.extensions.saturating_add(1);
                let over = self.extensions > limits::HTTP_CHUNK_EXTENSIONS;
                if over || self.line > limits::HTTP_CHUNK_LINE {
                    return Err(Fault::Malformed);
                }
                Ok(At::Extension)
            }
            (At::SizeLf, b'\n') => {
                self.line = 0;
                if self.left == 0 {
                    return Ok(At::TrailerStart);
                }
                self.allowed = self.allowed.checked_sub(self.left).ok_or(Fault::TooLarge)?;
                Ok(At::Content)
            }
            (At::ContentCr, b'\r') => Ok(At::ContentLf),
            (At::ContentLf, b'\n') => Ok(At::Size(0)),
            (At::TrailerStart, b'\r') => Ok(At::LastLf),
            (At::TrailerStart | At::TrailerName, _) if is_token_byte(byte) => {
                self.trailer(At::TrailerName)
            }
            (At::TrailerName, b':') => self.trailer(At::TrailerValue),
            (At::TrailerValue, b'\r') => Ok(At::TrailerLf),
            (At::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => self.trailer(At::TrailerValue),
            (At::TrailerLf, b'\n') => {
                self.line = 0;
                Ok(At::TrailerStart)
            }
            (At::LastLf, b'\n') => Ok(At::Done),
            _ => Err(Fault::Malformed),
        }
    }

    /// Counts a byte of a trailer line.
    fn trailer(&mut self, next: At) -> Result<At, Fault> {
        self.line = self.line.saturating_add(1);
        self.trailers = self.trailers.saturating_add(1);
        if self.line > limits::HTTP_CHUNK_LINE || self.trailers > limits::HTTP_TRAILERS {
            return Err(Fault::Trailers);
        }
        Ok(next)
    }
}

/// What a decoder made of all the pieces: content, bytes left over, outcome.
type Outcome = (Vec<u8>, usize, Result<bool, Fault>);

fn run(max: u64, pieces: &[&[u8]]) -> Outcome {
    let mut decoder = Decoder::Chunked(Chunked::new(max));
    let mut content = Vec::new();
    let mut over = 0usize;
    let mut outcome = Ok(false);
    for piece in pieces {
        let mut rest = *piece;
        if outcome == Ok(false) {
            outcome = decoder.feed(&mut rest, |part| content.extend_from_slice(part));
            assert!(outcome != Ok(false) || rest.is_empty());
        }
        over = over.saturating_add(rest.len());
    }
    (content, over, outcome)
}

/// Chunked bodies: one piece and many pieces must come to the same end.
pub fn fuzz(data: &[u8]) {
    let max = 4096;
    let whole = run(max, &[data]);
    assert_eq!(whole, run(max, &crate::wire::pieces(data)));
    assert!(whole.0.len() as u64 <= max);
    assert!(whole.0.len() + whole.1 <= data.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] =
        b"5\r\nhello\r\n00a;x=\"y z\"\r\n, world\r\n!\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\nnext";

    #[test]
    fn every_split_gives_the_same() {
        let want = (b"hello, world\r\n!".to_vec(), 4, Ok(true));
        assert_eq!(run(15, &[BODY]), want);
        for at in 0..=BODY.len() {
            let (first, second) = BODY.split_at(at);
            assert_eq!(run(15, &[first, second]), want, "cut at {at}");
        }
        let single: Vec<&[u8]> = BODY.chunks(1).collect();
        assert_eq!(run(15, &single), want);
        assert_eq!(run(14, &[BODY]).2, Err(Fault::TooLarge));
        fuzz(BODY);
    }

    #[test]
    fn grammar() {
        for bad in [
            &b"+5\r\nhello\r\n"[..],
            b"0x5\r\nhello\r\n",
            b"-1\r\n",
            b"\r\n",
            b";x\r\n",
            b"5 \r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"5\nhello\r\n",
            b"5;a\nhello\r\n",
            b"5;a\r\r\nhello\r\n",
            b"5;a\0\r\nhello\r\n",
            b"5\r\nhello\n",
            b"5\r\nhelloX\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"10000000000000000\r\n",
            b"00000000000000005\r\nhello\r\n",
            b"0\r\n\n",
            b"0\r\n folded: x\r\n\r\n",
            b"0\r\nname : x\r\n\r\n",
            b"0\r\nname\r\n\r\n",
            b"0\r\n: x\r\n\r\n",
            b"0\r\na: x\n\r\n",
            b"0\r\na: x\0\r\n\r\n",
        ] {
            assert_eq!(run(1000, &[bad]).2, Err(Fault::Malformed), "{:?}", bad.escape_ascii());
        }
        assert_eq!(run(1000, &[b"ffffffffffffffff\r\n"]).2, Err(Fault::TooLarge));
        assert_eq!(run(u64::MAX, &[b"ffffffffffffffff\r\nx"]).2, Ok(false));
        assert_eq!(run(u64::MAX, &[b"ffffffffffffffff\r\n"]).2, Ok(false));
    }

    #[test]
    fn lines_are_bounded() {
        let one = format!("1;{}\r\nx\r\n", "e".repeat(limits::HTTP_CHUNK_LINE - 1));
        assert_eq!(run(1000, &[one.as_bytes()]).2, Ok(false));
        let long = format!("1;{}\r\nx\r\n", "e".repeat(limits::HTTP_CHUNK_LINE));
        assert_eq!(run(1000, &[long.as_bytes()]).2, Err(Fault::Malformed));
        let many = one.repeat(limits::HTTP_CHUNK_EXTENSIONS / limits::HTTP_CHUNK_LINE + 1);
        assert_eq!(run(1000, &[many.as_bytes()]).2, Err(Fault::Malformed));

        let line = format!("a:{}\r\n", "v".repeat(limits::HTTP_CHUNK_LINE - 2));
        assert_eq!(run(0, &[b"0\r\n", line.as_bytes(), b"\r\n"]).2, Ok(true));
        let long = format!("a:{}\r\n", "v".repeat(limits::HTTP_CHUNK_LINE - 1));
        assert_eq!(run(0, &[b"0\r\n", long.as_bytes()]).2, Err(Fault::Trailers));
        let many = line.repeat(limits::HTTP_TRAILERS / limits::HTTP_CHUNK_LINE + 1);
        assert_eq!(run(0, &[b"0\r\n", many.as_bytes()]).2, Err(Fault::Trailers));
    }
}
