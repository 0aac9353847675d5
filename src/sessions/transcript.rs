//! Transcript files: JSON lines, a header, then message records that name their parent.

use crate::store::Disk;
use crate::wire::text::rfc3339_ms;
use serde_json::{Value, json};
use std::io;
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

/// Reads a transcript; a missing file is an empty one.
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
    if transcript.damaged > 0 {
        log::warn!(target: "sessions",
            "{}: {} damaged lines skipped", path.display(), transcript.damaged);
    }
    Ok(transcript)
}

/// Reads the bytes of a transcript file.
pub fn parse(bytes: &[u8]) -> Transcript {
    let torn = bytes.last().is_some_and(|byte| *byte != b'\n');
    let mut transcript = Transcript { torn, ..Transcript::default() };
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Ok(Value::Object(mut record)) = serde_json::from_slice::<Value>(line) else {
            transcript.damaged += 1;
            continue;
        };
        // Other record types (headers, labels, compaction) are not messages.
        if record.get("type").and_then(Value::as_str) != Some("message") {
            continue;
        }
        let id = record.get("id").and_then(Value::as_str).map(str::to_owned);
        let parent = record.get("parentId").and_then(Value::as_str).map(str::to_owned);
        match (id, record.remove("message")) {
            (Some(id), Some(message)) if message.is_object() => {
                transcript.records.push(Record { id, parent, message });
            }
            _ => transcript.damaged += 1,
        }
    }
    transcript
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
