//! A gzip file of stored blocks: written piece by piece, and read back with every length and
//! checksum compared.

/// Bytes of one stored block: its length is a 16-bit number.
const BLOCK: usize = 65_535;

/// CRC-32 (RFC 1952 section 8), a byte a step: faster than the disks it is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crc(u32);

const BYTES: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { 0xEDB8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

impl Crc {
    pub(super) const NEW: Self = Self(u32::MAX);

    pub(super) fn add(&mut self, bytes: &[u8]) {
        let mut crc = self.0;
        for byte in bytes {
            let index = (crc ^ u32::from(*byte)) & 0xFF;
            crc = BYTES.get(index as usize).copied().unwrap_or_default() ^ (crc >> 8);
        }
        self.0 = crc;
    }

    pub(super) const fn value(self) -> u32 {
        !self.0
    }
}

/// A gzip file that is being written.
#[derive(Debug)]
pub struct Gzip {
    crc: Crc,
    len: u32,
    block: Vec<u8>,
}

impl Gzip {
    /// Begins one: no name, no time, so that the same input gives the same file.
    pub fn begin(out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(&[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255]);
        Self { crc: Crc::NEW, len: 0, block: Vec::with_capacity(BLOCK) }
    }

    /// Adds bytes; whole blocks are appended to `out`.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        self.crc.add(bytes);
        // The file keeps the length modulo 2^32.
        self.len = self.len.wrapping_add(bytes.len() as u32);
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == BLOCK {
                self.flush(false, out);
            }
        }
    }

    /// The last block and the trailer.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.flush(true, out);
        out.extend_from_slice(&self.crc.value().to_le_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
    }

    fn flush(&mut self, last: bool, out: &mut Vec<u8>) {
        debug_assert!(self.block.len() <= BLOCK);
        let len = self.block.len() as u16;
        out.push(u8::from(last));
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.append(&mut self.block);
    }
}

/// Why a file is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not begin as a gzip file.
    NotGzip,
    /// It has compressed blocks: whole, as far as we know, but not readable here.
    Compressed,
    /// A length does not match its complement, or the checksum its bytes.
    Damaged,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotGzip => "it is no gzip file",
            Self::Compressed => {
                "its blocks are compressed, and only archives that this program wrote are read"
            }
            Self::Damaged => "it is damaged: a length or checksum does not match",
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum At {
    Head,
    Block,
    Data { left: usize, last: bool },
    Trailer,
    End,
}

/// A gzip file that is being read.
#[derive(Debug)]
pub struct Stored {
    at: At,
    held: Vec<u8>,
    crc: Crc,
    len: u32,
}

impl Default for Stored {
    fn default() -> Self {
        Self { at: At::Head, held: Vec::new(), crc: Crc::NEW, len: 0 }
    }
}

impl Stored {
    /// Takes bytes of the file; the plain bytes are appended to `out`.
    ///
    /// # Errors
    /// Why the file is none of ours; nothing may be pushed after that.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        loop {
            let wanted = match self.at {
                At::Head => 10,
                At::Block => 5,
                At::Trailer => 8,
                At::Data { left, last } => {
                    let (now, later) = bytes.split_at(bytes.len().min(left));
                    self.crc.add(now);
                    self.len = self.len.wrapping_add(now.len() as u32);
                    out.extend_from_slice(now);
                    bytes = later;
                    let left = left - now.len();
                    self.at = match (left, last) {
                        (0, true) => At::Trailer,
                        (0, false) => At::Block,
                        (left, last) => At::Data { left, last },
                    };
                    if bytes.is_empty() {
                        return Ok(());
                    }
                    continue;
                }
                At::End if bytes.is_empty() => return Ok(()),
                At::End => return Err(Fault::Damaged),
            };
            let (now, later) = bytes.split_at(bytes.len().min(wanted - self.held.len()));
            self.held.extend_from_slice(now);
            bytes = later;
            if self.held.len() < wanted {
                return Ok(());
            }
            self.at = self.fixed()?;
            self.held.clear();
        }
    }

    /// Whether the trailer was seen.
    pub const fn is_whole(&self) -> bool {
        matches!(self.at, At::End)
    }

    /// What a part of fixed length says.
    fn fixed(&self) -> Result<At, Fault> {
        let byte = |at: usize| self.held.get(at).copied().unwrap_or_default();
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|off| byte(at + off)));
        Ok(match self.at {
            At::Head if self.held.starts_with(&[0x1F, 0x8B, 8, 0]) => At::Block,
            // Another writer's head may go on: with a name, say. Its blocks are compressed.
            At::Head if self.held.starts_with(&[0x1F, 0x8B, 8]) => return Err(Fault::Compressed),
            At::Head => return Err(Fault::NotGzip),
            At::Block if byte(0) & 0b110 != 0 => return Err(Fault::Compressed),
            At::Block => {
                let len = u16::from_le_bytes([byte(1), byte(2)]);
                if len != !u16::from_le_bytes([byte(3), byte(4)]) || byte(0) > 1 {
                    return Err(Fault::Damaged);
                }
                At::Data { left: usize::from(len), last: byte(0) == 1 }
            }
            _ if word(0) == self.crc.value() && word(4) == self.len => At::End,
            _ => return Err(Fault::Damaged),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut gzip = Gzip::begin(&mut out);
        for piece in bytes.chunks(10_007) {
            gzip.push(piece, &mut out);
        }
        gzip.finish(&mut out);
        out
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        let mut crc = Crc::NEW;
        crc.add(b"123456789");
        assert_eq!(crc.value(), 0xCBF4_3926);
    }

    #[test]
    fn what_is_packed_comes_back_in_pieces_of_any_size() {
        let bytes: Vec<u8> = (0..200_000u32).map(|n| (n * 7 + n / 251) as u8).collect();
        for len in [0, 1, BLOCK, BLOCK + 1, 200_000] {
            let packed = packed(&bytes[..len]);
            for size in [1, 3, 4096, usize::MAX] {
                let (mut stored, mut out) = (Stored::default(), Vec::new());
                for piece in packed.chunks(size.min(packed.len())) {
                    stored.push(piece, &mut out).unwrap();
                }
                assert!(stored.is_whole() && out == bytes[..len], "{len} by {size}");
            }
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let good = packed(b"some bytes to be kept");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            let (mut stored, mut out) = (Stored::default(), Vec::new());
            let noticed = stored.push(&bad, &mut out).is_err() || !stored.is_whole();
            // Time, flags of the compressor and system in the head say nothing of the content.
            assert!(noticed || (4..10).contains(&at), "byte {at}");
        }
        for cut in 0..good.len() {
            let mut stored = Stored::default();
            let _ = stored.push(&good[..cut], &mut Vec::new());
            assert!(!stored.is_whole(), "cut at {cut}");
        }
        let mut stored = Stored::default();
        assert_eq!(stored.push(b"PK\x03\x04______", &mut Vec::new()), Err(Fault::NotGzip));
        let dynamic = [&good[..10], &[0b101, 0, 0, 0, 0]].concat();
        let mut stored = Stored::default();
        assert_eq!(stored.push(&dynamic, &mut Vec::new()), Err(Fault::Compressed));
    }
}
