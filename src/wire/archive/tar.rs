//! Entries of a tar: headers written and read. Names and link targets that the old header has no
//! room for, and sizes beyond 8 GiB, go into a pax header before it, as every tar reads it.

use crate::limits;

/// The unit of a tar.
pub const BLOCK: usize = 512;
/// What the header's size field holds: eleven octal digits.
const SIZE_MAX: u64 = 0o77_777_777_777;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file; its bytes follow.
    File,
    /// A directory.
    Dir,
    /// A symbolic link; its target is kept as text.
    Link,
    /// Anything else: of other writers only.
    Other,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path, with `/` and without one at the end.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Bytes that follow.
    pub size: u64,
    /// Seconds since 1970.
    pub modified: u64,
    /// Where a link points; empty for others.
    pub target: String,
}

/// Appends an entry's header; the caller then writes its bytes and [`padding`].
pub fn write_header(out: &mut Vec<u8>, entry: &Entry) {
    let mut records = Vec::new();
    let slash = if entry.kind == Kind::Dir { "/" } else { "" };
    let path = format!("{}{slash}", entry.path);
    if path.len() > 100 {
        record(&mut records, "path", &path);
    }
    if entry.target.len() > 100 {
        record(&mut records, "linkpath", &entry.target);
    }
    if entry.size > SIZE_MAX {
        record(&mut records, "size", &entry.size.to_string());
    }
    if !records.is_empty() {
        let len = records.len() as u64;
        block(out, b'x', "pax", "", 0o600, len, entry.modified);
        out.extend_from_slice(&records);
        padding(out, len);
    }
    let flag = match entry.kind {
        Kind::File | Kind::Other => b'0',
        Kind::Dir => b'5',
        Kind::Link => b'2',
    };
    block(out, flag, &path, &entry.target, entry.mode, entry.size.min(SIZE_MAX), entry.modified);
}

/// Appends what fills the last block of so many bytes.
pub fn padding(out: &mut Vec<u8>, size: u64) {
    let rest = (size % BLOCK as u64) as usize;
    if rest > 0 {
        out.resize(out.len() + BLOCK - rest, 0);
    }
}

/// Appends the end: two empty blocks.
pub fn write_end(out: &mut Vec<u8>) {
    out.resize(out.len() + 2 * BLOCK, 0);
}

/// `<length> key=value\n`, where the length counts itself.
fn record(out: &mut Vec<u8>, key: &str, value: &str) {
    let bare = key.len() + value.len() + 3;
    let mut len = bare + bare.to_string().len();
    if len.to_string().len() != bare.to_string().len() {
        len = bare + len.to_string().len();
    }
    out.extend_from_slice(format!("{len} {key}={value}\n").as_bytes());
}

fn block(out: &mut Vec<u8>, flag: u8, path: &str, link: &str, mode: u32, size: u64, time: u64) {
    let mut head = [0u8; BLOCK];
    let mut put = |at: usize, room: usize, bytes: &[u8]| {
        let bytes = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        if let Some(to) = head.get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
        }
    };
    put(0, 100, path.as_bytes());
    put(100, 8, format!("{:07o}", mode & 0o7777).as_bytes());
    put(108, 8, b"0000000");
    put(116, 8, b"0000000");
    put(124, 12, format!("{size:011o}").as_bytes());
    put(136, 12, format!("{:011o}", time.min(SIZE_MAX)).as_bytes());
    put(148, 8, b"        ");
    put(156, 1, &[flag]);
    put(157, 100, link.as_bytes());
    put(257, 8, b"ustar\x0000");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    if let Some(to) = head.get_mut(148..155) {
        to.copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
    out.extend_from_slice(&head);
}

/// What a reader found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An entry begins.
    Entry(Entry),
    /// Some of its bytes.
    Data(Vec<u8>),
    /// The two empty blocks at the end.
    End,
}

/// Not a tar, or not one that is read here; says what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault(pub &'static str);

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

#[derive(Debug, Clone, Copy)]
enum At {
    Header,
    /// Bytes of a file, and what fills its last block.
    Data(u64, u64),
    /// Bytes of a pax header that are still to come, and the filling.
    Pax(usize, u64),
    End,
}

/// A tar that is being read.
#[derive(Debug)]
pub struct Reader {
    at: At,
    held: Vec<u8>,
    pax: Vec<u8>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { at: At::Header, held: Vec::new(), pax: Vec::new() }
    }
}

impl Reader {
    /// Takes bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next thing in what was pushed; `None` when more is needed.
    ///
    /// # Errors
    /// [`Fault`]; nothing can be read after it.
    #[expect(clippy::should_implement_trait, reason = "it may fail, and more may come")]
    pub fn next(&mut self) -> Result<Option<Event>, Fault> {
        loop {
            match self.at {
                At::End => return Ok(None),
                At::Data(0, 0) => self.at = At::Header,
                At::Data(0, fill) => {
                    let len = (self.held.len() as u64).min(fill);
                    if len == 0 {
                        return Ok(None);
                    }
                    self.held.drain(..len as usize);
                    self.at = At::Data(0, fill - len);
                }
                At::Data(left, fill) => {
                    let len = (self.held.len() as u64).min(left);
                    if len == 0 {
                        return Ok(None);
                    }
                    self.at = At::Data(left - len, fill);
                    return Ok(Some(Event::Data(self.held.drain(..len as usize).collect())));
                }
                At::Pax(len, fill) => {
                    if self.held.len() < len {
                        return Ok(None);
                    }
                    self.pax = self.held.drain(..len).collect();
                    self.at = At::Data(0, fill);
                }
                At::Header if self.held.len() < BLOCK => return Ok(None),
                At::Header => {
                    let head: Vec<u8> = self.held.drain(..BLOCK).collect();
                    if let Some(event) = self.header(&head)? {
                        return Ok(Some(event));
                    }
                }
            }
        }
    }

    fn header(&mut self, head: &[u8]) -> Result<Option<Event>, Fault> {
        if head.iter().all(|byte| *byte == 0) {
            self.at = At::End;
            return Ok(Some(Event::End));
        }
        let part = |at: usize, len: usize| head.get(at..at + len).unwrap_or_default();
        let number = |at: usize, len: usize| octal(part(at, len));
        let sum: u64 = head
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) })
            .sum();
        if number(148, 8) != Some(sum) {
            return Err(Fault("a header's checksum does not match"));
        }
        let mut size = number(124, 12).ok_or(Fault("a header has no size"))?;
        let fill = |size: u64| (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        let flag = part(156, 1).first().copied().unwrap_or_default();
        if flag == b'x' || flag == b'g' {
            if size > limits::ARCHIVE_PAX as u64 {
                return Err(Fault("a pax header is too long"));
            }
            self.at = At::Pax(size as usize, fill(size));
            return Ok(None);
        }
        let prefix = if part(257, 5) == b"ustar" { text(part(345, 155)) } else { String::new() };
        let mut path = text(part(0, 100));
        if !prefix.is_empty() {
            path = format!("{prefix}/{path}");
        }
        let mut target = text(part(157, 100));
        for (key, value) in records(&std::mem::take(&mut self.pax))? {
            match key.as_str() {
                "path" => path = value,
                "linkpath" => target = value,
                "size" => size = value.parse().map_err(|_| Fault("a size is no number"))?,
                _ => {}
            }
        }
        let kind = match flag {
            0 | b'0' | b'7' => Kind::File,
            b'5' => Kind::Dir,
            b'2' => Kind::Link,
            _ => Kind::Other,
        };
        let path = path.trim_end_matches('/').to_owned();
        let mode = (number(100, 8).unwrap_or(0) & 0o7777) as u32;
        let modified = number(136, 12).unwrap_or(0);
        if matches!(kind, Kind::Dir | Kind::Link) {
            size = 0;
        }
        self.at = At::Data(size, fill(size));
        Ok(Some(Event::Entry(Entry { path, kind, mode, size, modified, target })))
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
}

fn records(mut bytes: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    let bad = Fault("a pax header cannot be read");
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').ok_or(bad)?;
        let digits = std::str::from_utf8(bytes.get(..space).ok_or(bad)?).map_err(|_| bad)?;
        let len: usize = digits.parse().map_err(|_| bad)?;
        let line = bytes.get(space + 1..len).ok_or(bad)?.strip_suffix(b"\n").ok_or(bad)?;
        let line = String::from_utf8(line.to_vec()).map_err(|_| bad)?;
        let (key, value) = line.split_once('=').ok_or(bad)?;
        found.push((key.to_owned(), value.to_owned()));
        bytes = bytes.get(len..).ok_or(bad)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: Kind, size: u64, target: &str) -> Entry {
        let (path, target) = (path.to_owned(), target.to_owned());
        Entry { path, kind, mode: 0o600, size, modified: 1_700_000_000, target }
    }

    fn all(bytes: &[u8], size: usize) -> Result<Vec<Event>, Fault> {
        let (mut reader, mut found) = (Reader::default(), Vec::new());
        for piece in bytes.chunks(size) {
            reader.push(piece);
            while let Some(event) = reader.next()? {
                match (found.last_mut(), event) {
                    (Some(Event::Data(before)), Event::Data(more)) => before.extend(more),
                    (_, event) => found.push(event),
                }
            }
        }
        Ok(found)
    }

    #[test]
    fn entries_come_back_with_long_names_and_links() {
        let long = format!("root/{}/file", "d".repeat(150));
        let entries = [
            entry("root", Kind::Dir, 0, ""),
            entry("root/a", Kind::File, 5, ""),
            entry(&long, Kind::File, 512, ""),
            entry("root/l", Kind::Link, 0, &format!("/{}", "t".repeat(130))),
            entry("root/ä", Kind::File, 0, ""),
            entry("root/big", Kind::File, SIZE_MAX + 1, ""),
        ];
        let mut bytes = Vec::new();
        for entry in &entries {
            write_header(&mut bytes, entry);
            if entry.size < 1_000 {
                bytes.resize(bytes.len() + entry.size as usize, b'x');
                padding(&mut bytes, entry.size);
            }
        }
        // The last one's bytes are left out, and so is the end behind them.
        for size in [1, 511, 512, 4096] {
            let found = all(&bytes, size).unwrap();
            let seen: Vec<&Entry> = found
                .iter()
                .filter_map(|event| match event {
                    Event::Entry(entry) => Some(entry),
                    _ => None,
                })
                .collect();
            assert_eq!(seen, entries.iter().collect::<Vec<_>>(), "by {size}");
            assert!(found.contains(&Event::Data(b"xxxxx".to_vec())));
        }
    }

    #[test]
    fn the_end_is_seen_and_damage_is_named() {
        let mut bytes = Vec::new();
        write_header(&mut bytes, &entry("a", Kind::File, 3, ""));
        bytes.extend_from_slice(b"abc");
        padding(&mut bytes, 3);
        write_end(&mut bytes);
        assert_eq!(bytes.len() % BLOCK, 0);
        assert_eq!(all(&bytes, 100).unwrap().last(), Some(&Event::End));
        for at in 0..BLOCK {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(all(&bad, 512).is_err() || at == 154 || at == 155, "byte {at}");
        }
        let mut long = Vec::new();
        let too_long = limits::ARCHIVE_PAX as u64 + 1;
        block(&mut long, b'x', "pax", "", 0, too_long, 0);
        assert_eq!(all(&long, 512), Err(Fault("a pax header is too long")));
    }
}
