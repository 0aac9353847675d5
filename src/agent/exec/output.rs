//! What a command wrote: the newest [`limits::EXEC_OUTPUT`] bytes of both streams as they came,
//! as text without control characters, and how much of it was polled.

use crate::limits;

/// Which stream bytes came from; each has its own unfinished character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// The text so far.
#[derive(Debug, Default)]
pub struct Captured {
    text: String,
    /// Bytes that were pushed out at the front.
    dropped: u64,
    /// Position, from the very beginning, up to which it was polled.
    polled: u64,
    unfinished: [Vec<u8>; 2],
}

impl Captured {
    /// Takes bytes; the oldest text makes room for them.
    pub fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let mut pending = std::mem::take(&mut self.unfinished[stream as usize]);
        pending.extend_from_slice(bytes);
        let mut rest = pending.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.write(text);
                    rest = &[];
                }
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    self.write(std::str::from_utf8(good).unwrap_or_default());
                    match error.error_len() {
                        Some(length) => {
                            self.write("\u{fffd}");
                            rest = bad.get(length..).unwrap_or_default();
                            continue;
                        }
                        // A character cut in two: the rest comes with the next bytes.
                        None => rest = bad,
                    }
                }
            }
            break;
        }
        self.unfinished[stream as usize] = rest.to_vec();
    }

    fn write(&mut self, text: &str) {
        self.text.extend(text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')));
        // A margin, so that not every few bytes move all of it.
        if self.text.len() > limits::EXEC_OUTPUT + limits::EXEC_OUTPUT / 4 {
            let cut = self.text.ceil_char_boundary(self.text.len() - limits::EXEC_OUTPUT);
            self.text.drain(..cut);
            self.dropped += cut as u64;
        }
    }

    /// All that is kept, at most [`limits::EXEC_OUTPUT`] bytes.
    pub fn all(&self) -> &str {
        self.tail(limits::EXEC_OUTPUT)
    }

    /// Bytes that are not kept any more.
    pub fn lost(&self) -> u64 {
        self.dropped + (self.text.len() - self.all().len()) as u64
    }

    /// The newest text, at most so many bytes.
    pub fn tail(&self, bytes: usize) -> &str {
        let from = self.text.ceil_char_boundary(self.text.len().saturating_sub(bytes));
        self.text.get(from..).unwrap_or_default()
    }

    /// What was written since the last time, and how many bytes of that are lost; at most
    /// [`limits::EXEC_POLL`] bytes, the newest.
    pub fn fresh(&mut self) -> (String, u64) {
        let end = self.dropped + self.text.len() as u64;
        let new = usize::try_from(end - self.polled).unwrap_or(usize::MAX);
        let text = self.tail(new.min(limits::EXEC_POLL)).to_owned();
        self.polled = end;
        let lost = (new as u64).saturating_sub(text.len() as u64);
        (text, lost)
    }

    /// Something was written since it was polled.
    pub fn has_fresh(&self) -> bool {
        self.polled < self.dropped + self.text.len() as u64
    }

    /// Lines `offset..offset + limit` of what is kept, and how many there are.
    pub fn lines(&self, offset: Option<usize>, limit: Option<usize>) -> (String, usize, usize) {
        /// Lines when the caller does not say which.
        const LAST: usize = 200;
        let lines: Vec<&str> = self.all().lines().collect();
        let total = lines.len();
        let (from, count) = match (offset, limit) {
            (None, None) => (total.saturating_sub(LAST), LAST),
            (None, Some(limit)) => (total.saturating_sub(limit), limit),
            (Some(offset), limit) => (offset.min(total), limit.unwrap_or(total)),
        };
        let page: Vec<&str> = lines.iter().skip(from).take(count).copied().collect();
        (page.join("\n"), from, total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_in_pieces_and_control_characters() {
        let mut captured = Captured::default();
        let bytes = "a\u{fc}\u{1f600}b".as_bytes();
        for byte in bytes {
            captured.push(Stream::Out, &[*byte]);
            captured.push(Stream::Err, b"");
        }
        captured.push(Stream::Err, b"\x1b[31mred\x07\r\n\xff!\xc3");
        captured.push(Stream::Out, b".");
        captured.push(Stream::Err, b"\xa4");
        assert_eq!(captured.all(), "a\u{fc}\u{1f600}b[31mred\n\u{fffd}!.\u{e4}");
    }

    #[test]
    fn the_newest_is_kept_and_what_is_lost_is_counted() {
        let mut captured = Captured::default();
        for n in 0..100_000 {
            captured.push(Stream::Out, format!("{n:07}\n").as_bytes());
        }
        assert_eq!(captured.all().len(), limits::EXEC_OUTPUT);
        assert!(captured.all().ends_with("0099999\n"));
        assert_eq!(captured.lost(), 800_000 - limits::EXEC_OUTPUT as u64);
        let (fresh, lost) = captured.fresh();
        assert_eq!(fresh.len(), limits::EXEC_POLL);
        assert_eq!(lost, 800_000 - limits::EXEC_POLL as u64);
        assert_eq!(captured.fresh(), (String::new(), 0));
        captured.push(Stream::Err, b"new");
        assert!(captured.has_fresh());
        assert_eq!(captured.fresh(), ("new".to_owned(), 0));
    }

    #[test]
    fn pages_of_lines() {
        let mut captured = Captured::default();
        for n in 0..300 {
            captured.push(Stream::Out, format!("l{n}\n").as_bytes());
        }
        let (text, from, total) = captured.lines(None, None);
        assert!(text.starts_with("l100\n") && text.ends_with("l299") && from == 100);
        assert_eq!(total, 300);
        assert_eq!(captured.lines(Some(2), Some(2)).0, "l2\nl3");
        assert_eq!(captured.lines(Some(298), None).0, "l298\nl299");
        assert_eq!(captured.lines(Some(900), Some(5)).0, "");
        assert_eq!(captured.lines(None, Some(1)).0, "l299");
    }
}
