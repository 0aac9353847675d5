//! How much of what we sent the server may still have before it.
//!
//! Servers handle lines at a pace of their own, keep the rest for a while, and kill who has too
//! much there (IRCnet: beyond 1,000 bytes). A `PONG` says that everything before its `PING` was
//! handled; until it comes no more than [`limits::IRC_WINDOW`] bytes and
//! [`limits::IRC_WINDOW_LINES`] lines are on their way.

use std::collections::VecDeque;

use crate::driver::{Now, Time};
use crate::limits;

/// Bytes and lines.
#[derive(Debug, Default, Clone, Copy)]
struct Load {
    bytes: usize,
    lines: usize,
}

impl Load {
    const fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            lines: self.lines.saturating_add(other.lines),
        }
    }
}

/// What is on its way.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Questions that are not answered: their word, when they left, what went before them.
    asked: VecDeque<(String, Time, Load)>,
    /// What went since.
    loose: Load,
    count: u64,
}

impl Window {
    fn load(&self) -> Load {
        self.asked.iter().fold(self.loose, |sum, (_, _, load)| sum.and(*load))
    }

    /// Whether a line of so many bytes, its end not counted, may leave.
    pub(super) fn takes(&self, bytes: usize) -> bool {
        let load = self.load().and(Load { bytes: bytes.saturating_add(2), lines: 1 });
        let first = load.lines == 1;
        first || (load.bytes <= limits::IRC_WINDOW && load.lines <= limits::IRC_WINDOW_LINES)
    }

    /// A line left.
    pub(super) const fn left(&mut self, bytes: usize) {
        self.loose = self.loose.and(Load { bytes: bytes.saturating_add(2), lines: 1 });
    }

    /// A `PING` with this word leaves: call before [`Window::left`] is told of it.
    pub(super) fn asked(&mut self, now: Now, word: &str) {
        let load = std::mem::take(&mut self.loose);
        self.asked.push_back((word.to_owned(), now.time, load));
    }

    /// A `PING` of its own, as a line.
    pub(super) fn ask(&mut self, now: Now) -> String {
        self.count = self.count.saturating_add(1);
        let word = format!("w{}", self.count);
        self.asked(now, &word);
        format!("PING :{word}")
    }

    /// Some answer is due.
    pub(super) fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// A `PONG`: what went before its `PING` was handled.
    pub(super) fn answered(&mut self, word: &str) {
        if let Some(at) = self.asked.iter().position(|(asked, ..)| asked == word) {
            self.asked.drain(..=at);
        }
    }

    /// Whether the server has owed an answer for so long.
    pub(super) fn is_slow(&self, now: Now, ms: u64) -> bool {
        self.asked.front().is_some_and(|(_, at, _)| now.time.ms_since(*at) >= ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_on_its_way_than_a_server_keeps() {
        let now = Now { time: Time(0), wall_ms: 0 };
        let mut window = Window::default();
        assert!(window.takes(limits::IRC_WINDOW * 2), "a line alone always leaves");
        for _ in 0..limits::IRC_WINDOW_LINES {
            assert!(window.takes(10));
            window.left(10);
        }
        assert!(!window.takes(10), "too many lines");
        assert!(!window.is_asked());
        assert_eq!(window.ask(now), "PING :w1");
        window.left(8);
        assert!(window.is_asked() && !window.takes(10));
        window.answered("w0");
        assert!(!window.takes(10), "not our word");
        window.answered("w1");
        assert!(window.takes(10));
        // The PING itself is on its way still: ten bytes, and two for the end of the next line.
        let most = limits::IRC_WINDOW - 12;
        assert!(window.takes(most) && !window.takes(most + 1), "too many bytes");
    }

    #[test]
    fn a_server_that_owes_an_answer_is_slow() {
        let at = |ms: u64| Now { time: Time(ms * 1_000), wall_ms: ms };
        let mut window = Window::default();
        window.asked(at(5), "r1");
        window.asked(at(9), "r2");
        assert!(window.is_slow(at(15), 10) && !window.is_slow(at(14), 10));
        window.answered("r2");
        assert!(!window.is_slow(at(99), 10));
    }
}
