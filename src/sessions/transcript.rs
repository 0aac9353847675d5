//! Transcript files: JSON lines, a header, then message records that name their parent.

use crate::limits;
use crate::store::Disk;
use crate::wire::text::rfc3339_ms;
use serde_json::{Value, json};
use std::cell::Cell;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

/// Format version of the header (reference: 3).
const VERSION: u64 = 3;

/// One message of a transcript.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its id within the file.
    pub id: String,
    /// The record before it.
    pub parent: Option<String>,
    /// The message: `{role, content, …}`.
    pub message: Value,
}

/// A transcript as read.
#[derive(Debug, Default)]
pub struct Transcript {
    /// Messages in file order.
    pub records: Vec<Record>,
    /// Lines that are not records; they stay in the file.
    pub damaged: usize,
    /// The file does not end with a line end: a write was cut off there.
    pub torn: bool,
}

/// Reads a transcript whole; a missing file is an empty one. Nothing that serves clients does:
/// files grow without bound.
///
/// # Errors
/// The disk's, but not for damaged lines.
pub fn read(disk: &dyn Disk, path: &Path) -> io::Result<Transcript> {
    let bytes = match disk.read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Transcript::default()),
        Err(error) => return Err(error),
    };
    let transcript = parse(&bytes);
    warn(path, transcript.damaged);
    Ok(transcript)
}

fn warn(path: &Path, damaged: usize) {
    if damaged > 0 {
        log::warn!(target: "sessions", "{}: {damaged} damaged lines skipped", path.display());
    }
}

/// What a `compaction` record says of everything before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The summary.
    pub text: String,
    /// The first message that is still shown as it was said; none, when all are summarised.
    pub first_kept: Option<String>,
    /// Tokens before, as far as anybody knew.
    pub tokens_before: u64,
}

/// What one line is.
enum Line {
    Message(Record),
    /// With the id of its record.
    Compaction(String, Summary),
    /// A header, a label; nothing at all.
    Other,
    Damaged,
}

impl Line {
    fn read(line: &[u8]) -> Self {
        if line.is_empty() {
            return Self::Other;
        }
        let Ok(Value::Object(mut record)) = serde_json::from_slice::<Value>(line) else {
            return Self::Damaged;
        };
        match record.get("type").and_then(Value::as_str) {
            Some("message") => {}
            Some("compaction") => return Self::compaction(&record),
            _ => return Self::Other,
        }
        let id = record.get("id").and_then(Value::as_str).map(str::to_owned);
        let parent = record.get("parentId").and_then(Value::as_str).map(str::to_owned);
        match (id, record.remove("message")) {
            (Some(id), Some(message)) if message.is_object() => {
                Self::Message(Record { id, parent, message })
            }
            _ => Self::Damaged,
        }
    }
}

impl Line {
    fn compaction(record: &serde_json::Map<String, Value>) -> Self {
        let text = |name: &str| record.get(name).and_then(Value::as_str).map(str::to_owned);
        match (text("id"), text("summary")) {
            (Some(id), Some(summary)) => {
                let tokens_before = record.get("tokensBefore").and_then(Value::as_u64);
                let first_kept = text("firstKeptEntryId").filter(|id| !id.is_empty());
                let tokens_before = tokens_before.unwrap_or_default();
                Self::Compaction(id, Summary { text: summary, first_kept, tokens_before })
            }
            _ => Self::Damaged,
        }
    }
}

/// Reads the bytes of a transcript file.
pub fn parse(bytes: &[u8]) -> Transcript {
    let torn = bytes.last().is_some_and(|byte| *byte != b'\n');
    let mut transcript = Transcript { torn, ..Transcript::default() };
    for line in bytes.split(|byte| *byte == b'\n') {
        match Line::read(line) {
            Line::Message(record) => transcript.records.push(record),
            Line::Compaction(..) | Line::Other => {}
            Line::Damaged => transcript.damaged += 1,
        }
    }
    transcript
}

/// Reads the end of a transcript file; `cut`: it begins within a line, which is left out.
pub fn parse_tail(bytes: &[u8], cut: bool) -> Transcript {
    let from = if cut {
        bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| at + 1)
    } else {
        0
    };
    parse(bytes.get(from..).unwrap_or_default())
}

/// What is read of a file at once.
const BLOCK: usize = 64 * 1024;

/// Pieces of a line that lies in several blocks.
#[derive(Default)]
struct Pieces {
    kept: Vec<Vec<u8>>,
    bytes: usize,
}

impl Pieces {
    fn push(&mut self, piece: &[u8]) {
        self.bytes = self.bytes.saturating_add(piece.len());
        if self.bytes > limits::TRANSCRIPT_LINE {
            self.kept = Vec::new();
        } else if !piece.is_empty() {
            self.kept.push(piece.to_vec());
        }
    }

    /// The line, and an empty place for the next one. A line that is too long is damage.
    fn take(&mut self, backwards: bool) -> Line {
        let Self { mut kept, bytes } = std::mem::take(self);
        if bytes > limits::TRANSCRIPT_LINE {
            return Line::Damaged;
        }
        if backwards {
            kept.reverse();
        }
        Line::read(&kept.concat())
    }
}

fn length(disk: &dyn Disk, path: &Path) -> io::Result<u64> {
    match disk.stat(path) {
        Ok(stat) => Ok(stat.len),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// What a whole transcript comes to.
#[derive(Debug, Default)]
pub struct Survey {
    /// How many messages.
    pub messages: u64,
    /// Id of the last one, or of the compaction behind it.
    pub last: Option<String>,
    /// `timestamp` of the first and of the last one.
    pub times: (Option<u64>, Option<u64>),
    /// The file does not end with a line end.
    pub torn: bool,
}

/// Reads a transcript from its beginning and keeps nothing of it but the sums; a missing file is
/// an empty one.
///
/// # Errors
/// The disk's.
pub fn survey(disk: &dyn Disk, path: &Path) -> io::Result<Survey> {
    let length = length(disk, path)?;
    let (mut survey, mut damaged) = (Survey::default(), 0);
    let mut see = |line: Line| match line {
        Line::Message(record) => {
            let time = record.message.get("timestamp").and_then(Value::as_u64);
            if survey.messages == 0 {
                survey.times.0 = time;
            }
            survey.times.1 = time;
            survey.messages += 1;
            survey.last = Some(record.id);
        }
        Line::Compaction(id, _) => survey.last = Some(id),
        Line::Other => {}
        Line::Damaged => damaged += 1,
    };
    let mut line = Pieces::default();
    let (mut at, mut torn) = (0, false);
    while at < length {
        let block = disk.read_at(path, at, BLOCK)?;
        if block.is_empty() {
            break;
        }
        at += block.len() as u64;
        torn = block.last() != Some(&b'\n');
        let mut pieces = block.split(|byte| *byte == b'\n');
        line.push(pieces.next().unwrap_or_default());
        for piece in pieces {
            see(line.take(false));
            line.push(piece);
        }
    }
    see(line.take(false));
    survey.torn = torn;
    warn(path, damaged);
    Ok(survey)
}

/// Shows the messages of a transcript, the newest first, each with the length of its line, until
/// it is told to stop or one line takes more than the `room` there is. In memory are one block
/// and one line.
///
/// # Errors
/// The disk's, but not for damaged lines and not for a missing file.
pub fn walk_back(
    disk: &dyn Disk,
    path: &Path,
    room: &Cell<usize>,
    see: &mut dyn FnMut(Record, usize) -> ControlFlow<()>,
) -> io::Result<()> {
    walk_lines(disk, path, room, &mut |line, bytes| match line {
        Line::Message(record) => see(record, bytes),
        _ => ControlFlow::Continue(()),
    })
}

/// The same with every line that is something.
fn walk_lines(
    disk: &dyn Disk,
    path: &Path,
    room: &Cell<usize>,
    see: &mut dyn FnMut(Line, usize) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut at = length(disk, path)?;
    let mut line = Pieces::default();
    let mut show = |line: &mut Pieces| {
        let bytes = line.bytes;
        see(line.take(true), bytes)
    };
    while at > 0 {
        let from = at.saturating_sub(BLOCK as u64);
        let block = disk.read_at(path, from, usize::try_from(at - from).unwrap_or(BLOCK))?;
        at = from;
        let mut pieces = block.rsplit(|byte| *byte == b'\n');
        line.push(pieces.next().unwrap_or_default());
        for piece in pieces {
            if show(&mut line).is_break() {
                return Ok(());
            }
            line.push(piece);
        }
        if line.bytes > room.get() {
            return Ok(());
        }
    }
    let _ = show(&mut line);
    Ok(())
}

/// The newest messages in file order: at most so many, of lines with at most so many bytes
/// together; the newest one whatever its length.
///
/// # Errors
/// The disk's, but not for damaged lines and not for a missing file.
pub fn read_tail(
    disk: &dyn Disk,
    path: &Path,
    want_messages: usize,
    max_bytes: usize,
) -> io::Result<Vec<Record>> {
    let mut records = Vec::new();
    let room = Cell::new(usize::MAX);
    let mut left = max_bytes;
    if want_messages == 0 {
        return Ok(records);
    }
    walk_back(disk, path, &room, &mut |record, bytes| {
        if bytes > room.get() {
            return ControlFlow::Break(());
        }
        records.push(record);
        left = left.saturating_sub(bytes);
        room.set(left);
        match records.len() >= want_messages || left == 0 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    records.reverse();
    Ok(records)
}

/// What a model is shown of a transcript: the last summary, if there is one, and the messages
/// that it does not stand for, in file order. At most so many, of lines with at most so many
/// bytes together; the newest one whatever its length.
///
/// # Errors
/// The disk's, but not for damaged lines and not for a missing file.
pub fn read_context(
    disk: &dyn Disk,
    path: &Path,
    want_messages: usize,
    max_bytes: usize,
) -> io::Result<(Option<Summary>, Vec<Record>)> {
    let (mut records, mut found): (Vec<Record>, Option<Summary>) = (Vec::new(), None);
    let room = Cell::new(usize::MAX);
    let mut left = max_bytes;
    walk_lines(disk, path, &room, &mut |line, bytes| {
        let record = match line {
            Line::Compaction(_, summary) if found.is_none() => {
                let all = summary.first_kept.is_none();
                found = Some(summary);
                return if all { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            }
            Line::Message(record) => record,
            _ => return ControlFlow::Continue(()),
        };
        // What a summary stands for is looked through, even when nothing more of it fits.
        if bytes > room.get() || records.len() >= want_messages {
            return ControlFlow::Break(());
        }
        let first = found.as_ref().and_then(|summary| summary.first_kept.as_ref());
        let last = first == Some(&record.id);
        records.push(record);
        left = left.saturating_sub(bytes);
        room.set(left);
        if last || left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    records.reverse();
    Ok((found, records))
}

/// Appends a compaction line.
pub fn write_summary(
    out: &mut Vec<u8>,
    id: &str,
    parent: Option<&str>,
    summary: &Summary,
    now_ms: u64,
) {
    line(
        out,
        &json!({
            "type": "compaction", "id": id, "parentId": parent,
            "timestamp": rfc3339_ms(now_ms), "summary": summary.text,
            "firstKeptEntryId": summary.first_kept, "tokensBefore": summary.tokens_before,
        }),
    );
}

/// Session key and id of a file's header, if we wrote it.
pub fn owner(bytes: &[u8]) -> Option<(String, String)> {
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    let header: Value = serde_json::from_slice(line).ok()?;
    let field = |name| header.get(name).and_then(Value::as_str).map(str::to_owned);
    if header.get("type")? != "session" {
        return None;
    }
    Some((field("sessionKey")?, field("id")?))
}

/// Appends the header line of a new file. It names the session's key, so that the index can be
/// made anew from the files.
pub fn write_header(out: &mut Vec<u8>, key: &str, session_id: &str, now_ms: u64) {
    line(
        out,
        &json!({
            "type": "session", "version": VERSION, "id": session_id,
            "timestamp": rfc3339_ms(now_ms), "sessionKey": key,
        }),
    );
}

/// Appends a message line.
pub fn write_message(
    out: &mut Vec<u8>,
    id: &str,
    parent: Option<&str>,
    message: &Value,
    now_ms: u64,
) {
    line(
        out,
        &json!({
            "type": "message", "id": id, "parentId": parent,
            "timestamp": rfc3339_ms(now_ms), "message": message,
        }),
    );
}

fn line(out: &mut Vec<u8>, record: &Value) {
    out.extend_from_slice(record.to_string().as_bytes());
    out.push(b'\n');
}

/// Arbitrary bytes as a transcript: never a panic, and what was read is written and read again.
pub fn fuzz(data: &[u8]) {
    let transcript = parse(data);
    let mut again = Vec::new();
    for record in &transcript.records {
        write_message(&mut again, &record.id, record.parent.as_deref(), &record.message, 0);
    }
    assert_eq!(parse(&again).records, transcript.records);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One file that nobody may read whole.
    struct Blocks(Vec<u8>);

    impl Disk for Blocks {
        fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
            panic!("read whole");
        }
        fn read_at(&self, _: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
            assert!(len <= BLOCK, "{len} at once");
            let from = usize::try_from(offset).unwrap().min(self.0.len());
            Ok(self.0[from..(from + len).min(self.0.len())].to_vec())
        }
        fn stat(&self, _: &Path) -> io::Result<crate::store::Stat> {
            Ok(crate::store::Stat { len: self.0.len() as u64, modified_ns: 0, inode: 1 })
        }
        fn append(&mut self, _: &Path, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
        fn replace(&mut self, _: &Path, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
        fn sync(&mut self, _: &Path) -> io::Result<()> {
            Ok(())
        }
        fn rename(&mut self, _: &Path, _: &Path) -> io::Result<()> {
            Ok(())
        }
        fn list(&self, _: &Path) -> io::Result<Vec<String>> {
            Ok(Vec::new())
        }
        fn remove(&mut self, _: &Path) -> io::Result<()> {
            Ok(())
        }
    }

    /// Read from either end in blocks or whole, a file is the same.
    fn agrees(bytes: &[u8]) {
        let whole = parse(bytes);
        let disk = Blocks(bytes.to_vec());
        let path = Path::new("t");
        let sums = survey(&disk, path).unwrap();
        assert_eq!(sums.messages, whole.records.len() as u64);
        assert_eq!(sums.last.as_ref(), whole.records.last().map(|record| &record.id));
        assert_eq!(sums.torn, whole.torn);
        assert_eq!(read_tail(&disk, path, usize::MAX, usize::MAX).unwrap(), whole.records);
        for want in 0..=whole.records.len() {
            let from = whole.records.len() - want;
            assert_eq!(read_tail(&disk, path, want, usize::MAX).unwrap(), whole.records[from..]);
        }
    }

    #[test]
    fn from_the_end_a_file_reads_the_same() {
        let mut file = Vec::new();
        agrees(&file);
        write_header(&mut file, "agent:main:main", "s", 0);
        // Lines that are cut by blocks, end with one, and are longer than several.
        for (n, length) in [10, BLOCK - 400, BLOCK, 3 * BLOCK + 7, 0, 5].into_iter().enumerate() {
            let said = json!({"role": "user", "content": "x".repeat(length), "timestamp": n});
            write_message(&mut file, &format!("r{n}"), None, &said, 0);
            file.extend_from_slice(if n == 2 { b"\n{odd\n\xff\n" } else { b"" });
            agrees(&file);
        }
        for cut in [0, 1, 2, 100, 200, BLOCK, 2 * BLOCK, 4 * BLOCK] {
            agrees(&file[..file.len() - cut]);
        }
        let last = file.len();
        write_message(&mut file, "torn", None, &json!({"role": "user", "content": "t"}), 0);
        for cut in last..file.len() {
            agrees(&file[..cut]);
        }
        for end in BLOCK - 2..BLOCK + 3 {
            let mut blank = vec![b'\n'; end];
            agrees(&blank);
            blank.extend_from_slice(&file[..500]);
            agrees(&blank);
        }
    }

    #[test]
    fn the_tail_ends_where_the_room_does() {
        let mut file = Vec::new();
        for (id, length) in [("a", 10), ("b", 4 * BLOCK), ("c", 2_000), ("d", 9_000)] {
            let said = json!({"role": "user", "content": "x".repeat(length)});
            write_message(&mut file, id, None, &said, 0);
        }
        let disk = Blocks(file);
        let ids = |max_bytes| -> String {
            let records = read_tail(&disk, Path::new("t"), 9, max_bytes).unwrap();
            records.iter().map(|record| record.id.as_str()).collect()
        };
        // The newest always, and nothing behind the first that does not fit.
        assert_eq!(ids(0), "d");
        assert_eq!(ids(10_000), "d");
        assert_eq!(ids(12_000), "cd");
        assert_eq!(ids(2 * BLOCK), "cd");
        assert_eq!(ids(5 * BLOCK), "abcd");
    }

    #[test]
    fn a_summary_stands_for_what_was_before_the_first_kept() {
        let mut file = Vec::new();
        let said = |id: &str| json!({"role": "user", "content": id});
        let context = |file: &[u8], want| {
            let disk = Blocks(file.to_vec());
            let (summary, records) = read_context(&disk, Path::new("t"), want, usize::MAX).unwrap();
            let ids: String = records.iter().map(|record| record.id.as_str()).collect();
            (summary.map(|summary| summary.text), ids)
        };
        for id in ["a", "b", "c", "d"] {
            write_message(&mut file, id, None, &said(id), 0);
        }
        assert_eq!(context(&file, 9), (None, "abcd".to_owned()));
        let mut summary =
            Summary { text: "one".to_owned(), first_kept: Some("c".to_owned()), tokens_before: 5 };
        write_summary(&mut file, "s1", Some("d"), &summary, 0);
        assert_eq!(context(&file, 9), (Some("one".to_owned()), "cd".to_owned()));
        write_message(&mut file, "e", Some("s1"), &said("e"), 0);
        assert_eq!(context(&file, 9), (Some("one".to_owned()), "cde".to_owned()));
        assert_eq!(context(&file, 2), (Some("one".to_owned()), "de".to_owned()));
        // The last one counts; this one keeps nothing from before it.
        summary.first_kept = None;
        summary.text = "two".to_owned();
        write_summary(&mut file, "s2", Some("e"), &summary, 0);
        write_message(&mut file, "f", Some("s2"), &said("f"), 0);
        assert_eq!(context(&file, 9), (Some("two".to_owned()), "f".to_owned()));
        let sums = survey(&Blocks(file.clone()), Path::new("t")).unwrap();
        assert_eq!((sums.messages, sums.last.as_deref()), (6, Some("f")));
        // A damaged summary costs itself.
        file.extend_from_slice(b"{\"type\":\"compaction\",\"id\":\"s3\"}\n");
        assert_eq!(context(&file, 9), (Some("two".to_owned()), "f".to_owned()));
    }

    #[test]
    fn a_line_without_end_is_not_held() {
        let mut pieces = Pieces::default();
        let block = vec![b'x'; limits::TRANSCRIPT_LINE / 4];
        for _ in 0..9 {
            pieces.push(&block);
            assert!(pieces.kept.len() <= 4);
        }
        assert!(matches!(pieces.take(true), Line::Damaged));
        assert!(matches!(pieces.take(true), Line::Other));
    }

    #[test]
    fn a_cut_or_flipped_byte_costs_one_record() {
        let mut file = Vec::new();
        write_header(&mut file, "agent:main:main", "s", 0);
        for id in ["a", "b", "c"] {
            write_message(&mut file, id, None, &json!({"role": "user", "content": id}), 0);
        }
        for at in 0..file.len() {
            let cut = parse(&file[..at]);
            assert!(cut.damaged <= 1, "cut at {at}");
            let mut flipped = file.clone();
            flipped[at] ^= 0x15;
            assert!(!parse(&flipped).records.is_empty(), "flip at {at}");
        }
        assert_eq!(parse(&file).records.len(), 3);
    }
}
