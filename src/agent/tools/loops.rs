//! Whether a model turns in circles: the same calls with the same results, again and again.
//!
//! ```text
//!   before(call) --> Go --> the call --> after(result) --> a note for the model, at `warning`
//!        \-> Block: at `critical` not made, the model is told; a second time ends the run
//! ```
//!
//! Only without progress is a repetition one: the same tool, arguments and result; and two calls
//! that alternate, each with the result it had. Off unless `tools.loopDetection.enabled`; an
//! agent's own setting stands instead of the global one.

use crate::config::{Config, Loops};
use crate::wire::hash::sha256;
use std::collections::VecDeque;

/// Thresholds when the configuration names none: the reference's defaults.
const WARNING: u32 = 10;
const CRITICAL: u32 = 20;
const HISTORY: u32 = 30;

/// What may happen with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Go,
    /// It is not made; this is its result.
    Block(String),
    /// It is not made, and the run ends with this.
    Stop(String),
}

type Digest = [u8; 32];

/// The calls of one run.
#[derive(Debug, Default)]
pub struct LoopGuard {
    on: bool,
    warning: usize,
    critical: usize,
    history: usize,
    /// Calls and their results, oldest first.
    seen: VecDeque<(Digest, Digest)>,
    /// A call was blocked before.
    blocked: bool,
}

impl LoopGuard {
    /// By the configuration of an agent.
    pub fn new(config: &Config, agent: &str) -> Self {
        let own = config.agents.agent(agent).map(|agent| agent.tools.loops).unwrap_or_default();
        let all = config.tools.loops;
        Self::by(Loops {
            enabled: own.enabled.or(all.enabled),
            warning: own.warning.or(all.warning),
            critical: own.critical.or(all.critical),
            history: own.history.or(all.history),
        })
    }

    fn by(loops: Loops) -> Self {
        let count = |set: Option<u32>, unset| usize::try_from(set.unwrap_or(unset)).unwrap_or(1);
        let warning = count(loops.warning, WARNING);
        let critical = count(loops.critical, CRITICAL).max(warning + 1);
        Self {
            on: loops.enabled.unwrap_or(false),
            warning,
            critical,
            // What is compared has to be remembered.
            history: count(loops.history, HISTORY).max(2 * critical),
            seen: VecDeque::new(),
            blocked: false,
        }
    }

    /// Before a call is made.
    pub fn before(&mut self, tool: &str, arguments: &str) -> Verdict {
        if !self.on {
            return Verdict::Go;
        }
        let call = digest(tool, arguments);
        let times = self.repeated(&call).max(self.alternated(&call));
        if times < self.critical {
            return Verdict::Go;
        }
        let what =
            format!("{tool} was called {times} times without any progress: this call is not made");
        if std::mem::replace(&mut self.blocked, true) {
            return Verdict::Stop(format!(
                "{what}, and the run ends (tools.loopDetection); say what to do differently"
            ));
        }
        Verdict::Block(format!(
            "{what}. Do something else: other arguments, another tool, or tell the user what is \
             in the way"
        ))
    }

    /// After a call was made; a note to append to its result, when it is time to say something.
    pub fn after(&mut self, tool: &str, arguments: &str, result: &str) -> Option<String> {
        if !self.on {
            return None;
        }
        let call = digest(tool, arguments);
        self.seen.push_back((call, sha256(result.as_bytes())));
        if self.seen.len() > self.history {
            self.seen.pop_front();
        }
        let times = self.repeated(&call).max(self.alternated(&call));
        // Not at every call: a note that repeats itself is part of the circle.
        let due = times >= self.warning && (times - self.warning).is_multiple_of(self.warning);
        due.then(|| {
            format!(
                "[You have called {tool} {times} times with the same result. If that does not \
                 bring you on, do something else.]"
            )
        })
    }

    /// How often this call came last, in a row, always with the same result.
    fn repeated(&self, call: &Digest) -> usize {
        let Some((_, result)) = self.seen.back().filter(|(last, _)| last == call) else { return 0 };
        self.seen.iter().rev().take_while(|(c, r)| c == call && r == result).count()
    }

    /// How often this call was made in a row of two that take turns, both with the results that
    /// they had, whichever of the two came last.
    fn alternated(&self, call: &Digest) -> usize {
        let mut back = self.seen.iter().rev();
        let (Some(last), Some(other)) = (back.next(), back.next()) else { return 0 };
        if last.0 == other.0 || (last.0 != *call && other.0 != *call) {
            return 0;
        }
        let row = self.seen.iter().rev().zip([last, other].into_iter().cycle());
        row.take_while(|(one, want)| one == want).count() / 2
    }
}

/// Tool and arguments; equal objects count as equal, however they are written.
fn digest(tool: &str, arguments: &str) -> Digest {
    let normal = serde_json::from_str::<serde_json::Value>(arguments);
    let arguments = normal.map_or_else(|_| arguments.to_owned(), |value| value.to_string());
    sha256(format!("{tool}\0{arguments}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(warning: u32, critical: u32) -> LoopGuard {
        LoopGuard::by(Loops {
            enabled: Some(true),
            warning: Some(warning),
            critical: Some(critical),
            history: None,
        })
    }

    #[test]
    fn repetitions_warn_then_block_then_stop() {
        let mut guard = guard(3, 5);
        let mut notes = Vec::new();
        for round in 1..=5 {
            assert_eq!(guard.before("read", r#"{"a":1, "b":2}"#), Verdict::Go, "{round}");
            if guard.after("read", r#"{"b":2,"a":1}"#, "same").is_some() {
                notes.push(round);
            }
        }
        assert_eq!(notes, [3]);
        let Verdict::Block(text) = guard.before("read", r#"{"a":1,"b":2}"#) else { panic!() };
        assert!(text.contains("read was called 5 times"), "{text}");
        assert_eq!(guard.before("read", r#"{"a":2}"#), Verdict::Go, "something else");
        let verdict = guard.before("read", r#"{"a":1,"b":2}"#);
        assert!(matches!(verdict, Verdict::Stop(text) if text.contains("loopDetection")));
    }

    #[test]
    fn progress_is_no_repetition() {
        let mut guard = guard(2, 3);
        for round in 0..20 {
            assert_eq!(guard.before("process", "{}"), Verdict::Go);
            assert_eq!(guard.after("process", "{}", &format!("line {round}")), None);
        }
        for _ in 0..20 {
            guard.after("read", "{}", "x");
            guard.after("write", "{}", "progress");
            guard.after("exec", "{}", "y");
        }
        assert_eq!(guard.before("read", "{}"), Verdict::Go, "three that take turns are not two");
    }

    #[test]
    fn two_that_take_turns_are_seen() {
        let mut guard = guard(3, 5);
        let mut noted = false;
        for round in 0..5 {
            for (tool, result) in [("read", "a"), ("ls", "b")] {
                assert_eq!(guard.before(tool, "{}"), Verdict::Go, "{round}");
                noted |= guard.after(tool, "{}", result).is_some();
            }
        }
        assert!(noted);
        assert!(matches!(guard.before("read", "{}"), Verdict::Block(_)));
    }

    #[test]
    fn it_is_off_unless_it_is_on() {
        let mut config = Config::defaults();
        let mut off = LoopGuard::new(&config, "main");
        for _ in 0..100 {
            assert_eq!(off.before("read", "{}"), Verdict::Go);
            assert_eq!(off.after("read", "{}", "x"), None);
        }
        config.tools.loops.enabled = Some(true);
        let mut on = LoopGuard::new(&config, "main");
        for _ in 0..200 {
            on.after("read", "{}", "x");
        }
        assert!(on.seen.len() <= 40, "bounded");
        assert!(matches!(on.before("read", "{}"), Verdict::Block(_)));
    }
}
