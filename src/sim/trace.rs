//! What happened: a hash of everything, and the last lines for the report of a failure.

use crate::driver::Time;
use std::collections::VecDeque;

/// Lines kept.
const LINES: usize = 40;

/// The record of a world.
#[derive(Debug, Default)]
pub struct Trace {
    /// Changes with everything that was noted.
    pub hash: u64,
    last: VecDeque<(Time, &'static str, u64, u64)>,
}

impl Trace {
    /// Something happened; what the two numbers are is the reader's knowledge.
    pub fn note(&mut self, now: Time, what: &'static str, a: u64, b: u64) {
        for word in [now.0, what.len() as u64, a, b] {
            self.mix(word);
        }
        if self.last.len() == LINES {
            self.last.pop_front();
        }
        self.last.push_back((now, what, a, b));
    }

    /// Bytes went to or came from a slot.
    pub fn bytes(&mut self, now: Time, what: &'static str, slot: u32, bytes: &[u8]) {
        // Large buffers are known by their ends: this runs in debug builds.
        let ends = [&bytes[..bytes.len().min(512)], &bytes[bytes.len().saturating_sub(64)..]];
        for end in ends {
            for chunk in end.chunks(8) {
                let word = chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
                self.mix(word);
            }
        }
        self.note(now, what, slot.into(), bytes.len() as u64);
    }

    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
    }

    /// The last lines.
    pub fn lines(&self) -> Vec<String> {
        let line = |(now, what, a, b): &(Time, &str, u64, u64)| {
            format!("{:>14.6} s  {what} {a} {b}", now.0 as f64 / 1e6)
        };
        self.last.iter().map(line).collect()
    }
}
