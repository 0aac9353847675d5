//! Archives as backups are made of: a tar (POSIX.1-2001, pax) inside a gzip file (RFC 1952)
//! whose blocks are stored, not compressed (RFC 1951 section 3.2.4). `tar xzf` reads them. What
//! is read back is what was written here: a compressed block is an error that says so. The
//! compressor beside it packs what the control page is made of, on its way to a browser.
//!
//! ```text
//!   entry + bytes -> [tar] headers, padding -> [gzip] blocks, CRC-32 -> file
//!   file -> [gzip] Stored: blocks checked -> [tar] Reader: entries, data, end
//! ```

pub mod deflate;
pub mod gzip;
pub mod tar;
pub mod zip;

/// Any bytes as an archive: entries or an error, whatever the pieces.
pub fn fuzz(data: &[u8]) {
    let mut stored = gzip::Stored::default();
    let mut reader = tar::Reader::default();
    let mut plain = Vec::new();
    for piece in super::pieces(data) {
        plain.clear();
        let fault = stored.push(piece, &mut plain).is_err();
        reader.push(&plain);
        while let Ok(Some(event)) = reader.next() {
            if event == tar::Event::End {
                break;
            }
        }
        if fault {
            break;
        }
    }
    let mut reader = tar::Reader::default();
    reader.push(data);
    let mut seen = 0usize;
    while let Ok(Some(event)) = reader.next() {
        match event {
            tar::Event::Data(bytes) => seen += bytes.len(),
            tar::Event::Entry(_) => {}
            tar::Event::End => break,
        }
    }
    assert!(seen <= data.len());
}
