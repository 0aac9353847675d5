//! `logs.tail`: lines of our own log file, by byte offset.

use super::super::Gateway;
use super::super::socket::Answer;
use super::{Handled, Params, count, number};
use crate::protocol::error::ErrorShape;
use serde_json::json;
use std::io;

/// Lines without `limit`, and bytes without `maxBytes` (reference: 500, 250,000).
const LINES: usize = 500;
const BYTES: usize = 250_000;

impl Gateway {
    /// `{cursor?, limit?, maxBytes?}` -> `{file, cursor, size, lines, truncated, reset}`.
    /// Without a cursor the end of the file is read; a cursor that is beyond the file, or is not
    /// behind a line of it, starts over.
    pub(super) fn logs_tail(&self, params: &Params) -> Handled {
        let limit = count(params, "limit", LINES);
        let max_bytes = count(params, "maxBytes", BYTES);
        let file = self.log_path.display().to_string();
        let size = match self.disk.stat(&self.log_path) {
            Ok(stat) => stat.len,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(unreadable(&file, &error)),
        };
        let asked = number(params, "cursor");
        // A cursor of ours stands behind a line. One that does not any more is of a file that
        // went round meanwhile.
        let reset = asked.is_some_and(|cursor| cursor > size || !self.behind_a_line(cursor));
        let oldest = size.saturating_sub(max_bytes as u64);
        let wanted = asked.filter(|_| !reset).unwrap_or(oldest);
        let from = wanted.max(oldest);
        let length = usize::try_from(size - from).unwrap_or(max_bytes);
        let bytes = if length == 0 {
            Vec::new()
        } else {
            let read = self.disk.read_at(&self.log_path, from, length);
            read.map_err(|error| unreadable(&file, &error))?
        };
        // Any other place than a cursor may be inside a line.
        let skip = if from > 0 && (reset || asked != Some(from)) {
            bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1)
        } else {
            0
        };
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1).max(skip);
        let part = bytes.get(skip..whole).unwrap_or_default();
        let mut lines: Vec<String> = part
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        let mut truncated = wanted > 0 && asked.is_none() || from > wanted;
        if lines.len() > limit {
            lines.drain(..lines.len() - limit);
            truncated = true;
        }
        Ok(Answer::Value(json!({
            "file": file, "cursor": from + whole as u64, "size": size, "lines": lines,
            "truncated": truncated, "reset": reset,
        })))
    }

    fn behind_a_line(&self, cursor: u64) -> bool {
        let Some(before) = cursor.checked_sub(1) else { return true };
        let byte = self.disk.read_at(&self.log_path, before, 1);
        byte.is_ok_and(|byte| byte.first() == Some(&b'\n'))
    }
}

fn unreadable(file: &str, error: &io::Error) -> ErrorShape {
    ErrorShape::unavailable(format!("the log {file} cannot be read: {error}"))
}

#[cfg(test)]
impl Gateway {
    /// What `logs.tail` answers.
    pub(in crate::gateway) fn log_lines(&self, params: &Params) -> serde_json::Value {
        match self.logs_tail(params) {
            Ok(Answer::Value(value)) => value,
            other => panic!("{:?}", other.err()),
        }
    }
}
