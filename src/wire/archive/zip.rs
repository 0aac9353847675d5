//! Zip archives of stored files: what a bug report's reader opens without a tool of its own.
//!
//! Only writing, only whole files from memory, nothing compressed: entries are small. Sizes and
//! counts beyond what the plain format holds (4 GiB, 65,535) are a [`Fault`].

use super::gzip::Crc;

/// What cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault(pub &'static str);

const VERSION: u16 = 20;
/// Names are UTF-8.
const UTF8: u16 = 1 << 11;
/// A regular file, 0600, as Unix archivers note it.
const MODE: u32 = 0o100_600 << 16;
/// 1980-01-01 00:00: an archive of the same files is the same archive.
const DATE: u16 = 33;

/// The archive of these names and contents, in their order.
///
/// # Errors
/// When something is too large for the format.
pub fn stored(files: &[(&str, &[u8])]) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for (name, bytes) in files {
        let offset = small(out.len())?;
        let size = small(bytes.len())?;
        let length = u16::try_from(name.len()).map_err(|_| Fault("a name is too long"))?;
        let mut crc = Crc::NEW;
        crc.add(bytes);
        let mut common = Vec::with_capacity(26);
        for half in [VERSION, UTF8, 0, 0, DATE] {
            common.extend_from_slice(&half.to_le_bytes());
        }
        for word in [crc.value(), size, size] {
            common.extend_from_slice(&word.to_le_bytes());
        }
        common.extend_from_slice(&length.to_le_bytes());
        // No extra field.
        common.extend_from_slice(&[0, 0]);
        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&common);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(bytes);
        directory.extend_from_slice(b"PK\x01\x02");
        // Made by Unix.
        directory.extend_from_slice(&(VERSION | 3 << 8).to_le_bytes());
        directory.extend_from_slice(&common);
        // No comment, first disk, binary.
        directory.extend_from_slice(&[0; 6]);
        directory.extend_from_slice(&MODE.to_le_bytes());
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let count = u16::try_from(files.len()).map_err(|_| Fault("there are too many files"))?;
    let (start, size) = (small(out.len())?, small(directory.len())?);
    out.append(&mut directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for half in [count, count] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    for word in [size, start] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&[0, 0]);
    Ok(out)
}

fn small(size: usize) -> Result<u32, Fault> {
    u32::try_from(size).map_err(|_| Fault("the archive would be too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_of_one_file_byte_by_byte() {
        let archive = stored(&[("a.txt", b"hello")]).unwrap();
        let mut want = b"PK\x03\x04\x14\0\0\x08\0\0\0\0\x21\0".to_vec();
        want.extend_from_slice(&0x3610_a686_u32.to_le_bytes());
        want.extend_from_slice(b"\x05\0\0\0\x05\0\0\0\x05\0\0\0a.txthello");
        assert_eq!(archive.get(..want.len()), Some(want.as_slice()));
        assert_eq!(archive.len(), 30 + 5 + 5 + 46 + 5 + 22);
        let end = archive.get(archive.len() - 22..).unwrap();
        assert!(end.starts_with(b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x33\0\0\0\x28\0\0\0"), "{end:?}");
        assert_eq!(stored(&[]).unwrap().len(), 22);
    }

    #[test]
    fn a_name_has_its_limit() {
        let long = "x".repeat(70_000);
        assert_eq!(stored(&[(&long, b"")]), Err(Fault("a name is too long")));
    }
}
