//! A small compressor (RFC 1951): repeats found by a hash of three bytes, one block of fixed
//! codes. It makes text about three times smaller and needs no tables of its own; what it packs
//! is ours and known, the files of the control page, so nothing here unpacks.

use super::gzip::Crc;

/// Repeats are looked for this far back (RFC 1951 section 2).
const WINDOW: usize = 32 * 1024;
/// The longest repeat that has a code.
const LONGEST: usize = 258;
/// Earlier places that are compared before the best of them is taken.
const TRIES: usize = 24;
const HASH_BITS: u32 = 13;

/// A gzip file of these bytes.
pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() / 2 + 32);
    out.extend_from_slice(&[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255]);
    deflate(data, &mut out);
    let mut crc = Crc::NEW;
    crc.add(data);
    out.extend_from_slice(&crc.value().to_le_bytes());
    // The file keeps the length modulo 2^32.
    out.extend_from_slice(&(data.len() as u32).to_le_bytes());
    out
}

fn deflate(data: &[u8], out: &mut Vec<u8>) {
    let mut bits = Bits { out, held: 0, count: 0 };
    // The last block, of fixed codes.
    bits.push(0b011, 3);
    let mut places = Places::new(data.len());
    let mut at = 0;
    while let Some(byte) = data.get(at) {
        let (length, distance) = places.longest(data, at);
        let step = if length >= 3 {
            bits.repeat(length, distance);
            length
        } else {
            bits.symbol(u32::from(*byte));
            1
        };
        for place in at..at + step {
            places.add(data, place);
        }
        at += step;
    }
    bits.symbol(256);
    bits.finish();
}

/// Where three bytes with the same hash were seen: the last place, and before each the one before.
struct Places {
    last: Vec<u32>,
    before: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

impl Places {
    fn new(len: usize) -> Self {
        Self { last: vec![NOWHERE; 1 << HASH_BITS], before: vec![NOWHERE; len] }
    }

    fn hash(data: &[u8], at: usize) -> Option<usize> {
        let [a, b, c] = *data.get(at..at.checked_add(3)?)? else { return None };
        let three = u32::from_le_bytes([a, b, c, 0]);
        Some((three.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS)) as usize)
    }

    fn add(&mut self, data: &[u8], at: usize) {
        let Some(hash) = Self::hash(data, at) else { return };
        if let (Some(last), Some(before)) = (self.last.get_mut(hash), self.before.get_mut(at)) {
            *before = *last;
            *last = at as u32;
        }
    }

    /// Length and distance of the longest repeat at a place; zero when there is none.
    fn longest(&self, data: &[u8], at: usize) -> (usize, usize) {
        let mut best = (0, 0);
        let Some(hash) = Self::hash(data, at) else { return best };
        let mut place = self.last.get(hash).copied().unwrap_or(NOWHERE);
        for _ in 0..TRIES {
            let start = place as usize;
            if place == NOWHERE || at - start > WINDOW {
                break;
            }
            let here = data.iter().skip(at).take(LONGEST);
            let length = here.zip(data.iter().skip(start)).take_while(|(a, b)| a == b).count();
            if length > best.0 {
                best = (length, at - start);
            }
            place = self.before.get(start).copied().unwrap_or(NOWHERE);
        }
        best
    }
}

/// Bits, the lowest first.
struct Bits<'a> {
    out: &'a mut Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits<'_> {
    fn push(&mut self, value: u32, count: u32) {
        debug_assert!(count <= 16 && value >> count == 0);
        self.held |= value << self.count;
        self.count += count;
        while self.count >= 8 {
            self.out.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// A code, whose highest bit goes first.
    fn code(&mut self, code: u32, count: u32) {
        self.push(code.reverse_bits() >> (32 - count), count);
    }

    /// RFC 1951 section 3.2.6.
    fn symbol(&mut self, symbol: u32) {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xC0 + symbol - 280, 8),
        }
    }

    /// RFC 1951 section 3.2.5: the step that a number falls into, and what is left of it.
    fn repeat(&mut self, length: usize, distance: usize) {
        let length = length as u32;
        if length == 258 {
            self.symbol(285);
        } else {
            let (step, extra, rest) = stepped(length - 3, 4);
            self.symbol(257 + step);
            self.push(rest, extra);
        }
        let (step, extra, rest) = stepped(distance as u32 - 1, 2);
        self.code(step, 5);
        self.push(rest, extra);
    }

    fn finish(self) {
        if self.count > 0 {
            self.out.push(self.held as u8);
        }
    }
}

/// Steps double in width after every `per` of them: number of the step, bits of what is left, and
/// what is left.
fn stepped(value: u32, per: u32) -> (u32, u32, u32) {
    if value < 2 * per {
        return (value, 0, 0);
    }
    let extra = value.ilog2() - per.ilog2();
    let step = (extra << per.ilog2()) + (value >> extra);
    (step, extra, value & ((1 << extra) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unpacks what is written here: one block of fixed codes.
    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let body = &packed[10..packed.len() - 8];
        let mut at = 0;
        let mut bit = || {
            let value = u32::from(body[at / 8] >> (at % 8) & 1);
            at += 1;
            value
        };
        let number = |count: u32, bit: &mut dyn FnMut() -> u32| {
            (0..count).fold(0, |sum, place| sum | bit() << place)
        };
        assert_eq!(number(3, &mut bit), 0b011);
        let mut out: Vec<u8> = Vec::new();
        loop {
            let mut code = (0..7).fold(0, |code, _| code << 1 | bit());
            let symbol = if code < 0x18 {
                code + 256
            } else {
                code = code << 1 | bit();
                match code {
                    0x30..=0xBF => code - 0x30,
                    0xC0..=0xC7 => code - 0xC0 + 280,
                    _ => (code << 1 | bit()) - 0x190 + 144,
                }
            };
            if symbol < 256 {
                out.push(symbol as u8);
                continue;
            }
            if symbol == 256 {
                return out;
            }
            let widths = |step: u32, per: u32| if step < 2 * per { 0 } else { step / per - 1 };
            let base = |step: u32, per: u32| match widths(step, per) {
                0 => step,
                extra => (step - extra * per) << extra,
            };
            let step = symbol - 257;
            let length = match symbol {
                285 => 258,
                _ => 3 + base(step, 4) + number(widths(step, 4), &mut bit),
            };
            let step = (0..5).fold(0, |code, _| code << 1 | bit());
            let distance = 1 + base(step, 2) + number(widths(step, 2), &mut bit);
            for _ in 0..length {
                out.push(out[out.len() - distance as usize]);
            }
        }
    }

    #[test]
    fn what_is_packed_is_the_same_unpacked() {
        let mut noise = 1u32;
        let mut noisy = |len: usize, values: u32| -> Vec<u8> {
            let mut next = || {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((noise >> 16) % values) as u8
            };
            (0..len).map(|_| next()).collect()
        };
        let far = [b"abcdefgh".to_vec(), noisy(WINDOW - 8, 256), b"abcdefgh".to_vec()].concat();
        let samples = [
            Vec::new(),
            b"a".to_vec(),
            vec![b'x'; 1000],
            (0..=255).collect(),
            include_bytes!("deflate.rs").to_vec(),
            noisy(70_000, 3),
            noisy(5_000, 256),
            far,
        ];
        for sample in samples {
            assert_eq!(unpacked(&gzip(&sample)), sample, "{} bytes", sample.len());
        }
    }

    #[test]
    fn text_becomes_less_than_half() {
        let text = include_bytes!("deflate.rs");
        let packed = gzip(text);
        assert!(packed.len() * 2 < text.len(), "{} of {}", packed.len(), text.len());
        let tail: [u8; 4] = packed[packed.len() - 4..].try_into().unwrap();
        assert_eq!(u32::from_le_bytes(tail) as usize, text.len());
    }
}
