//! One command from its start until it is forgotten, and the table of all.
//!
//! ```text
//!   started --> foreground: an exec call waits --exit--> its output, forgotten
//!                   | yieldMs, background
//!                   v
//!               background --exit--> finished: kept for `process`, then forgotten
//!   to end it: TERM to the group, after a grace KILL
//! ```

use crate::agent::exec::output::Captured;
use crate::driver::{ChildId, Exit, Now, Time};
use crate::gateway::timers::Armed;
use crate::limits;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Why a command was made to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Why {
    /// Its time was over: so many seconds.
    Timeout(u64),
    /// `process kill`.
    Killed,
    /// Its run ended, or the gateway leaves.
    Cancelled,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gateway) enum Ended {
    /// It ran.
    Exit(Exit),
    /// It could not be started.
    Failed(String),
}

/// One command.
pub(in crate::gateway) struct Session {
    pub(in crate::gateway) id: String,
    pub(in crate::gateway) agent: String,
    pub(in crate::gateway) command: String,
    pub(in crate::gateway) cwd: PathBuf,
    pub(in crate::gateway) child: ChildId,
    pub(in crate::gateway) output: Captured,
    pub(in crate::gateway) started: Now,
    pub(in crate::gateway) last_output: Time,
    pub(in crate::gateway) ended: Option<(Ended, Now)>,
    /// The `exec` call that waits, and when it stops to.
    pub(in crate::gateway) call: Option<u64>,
    pub(in crate::gateway) yield_at: Option<Time>,
    pub(in crate::gateway) update_at: Option<Time>,
    /// The `process poll` calls that wait for its end, and until when.
    pub(in crate::gateway) polls: Vec<(u64, Time)>,
    pub(in crate::gateway) timeout: Option<(Time, u64)>,
    pub(in crate::gateway) kill_at: Option<Time>,
    pub(in crate::gateway) why: Option<Why>,
    pub(in crate::gateway) stdin_open: bool,
    /// Nobody wants it any more: forgotten as soon as it ends.
    pub(in crate::gateway) unwanted: bool,
    pub(in crate::gateway) keep_ms: u64,
}

impl Session {
    /// The next moment at which something has to be done.
    pub(in crate::gateway) fn due(&self) -> Option<Time> {
        if let Some((_, ended)) = &self.ended {
            return Some(ended.time.after_ms(self.keep_ms));
        }
        let timeout = self.timeout.filter(|_| self.why.is_none()).map(|(at, _)| at);
        let polls = self.polls.iter().map(|(_, at)| *at).min();
        [self.yield_at, self.update_at, polls, timeout, self.kill_at].into_iter().flatten().min()
    }

    /// `running`, `completed`, `failed`, `killed`.
    pub(in crate::gateway) fn status(&self) -> &'static str {
        match (&self.ended, self.why) {
            (None, _) => "running",
            (Some(_), Some(Why::Timeout(_))) => "failed",
            (Some(_), Some(_)) => "killed",
            (Some((Ended::Exit(Exit::Code(_)), _)), None) => "completed",
            (Some(_), None) => "failed",
        }
    }

    /// How it ended, in words for the model; nothing for a good end.
    pub(in crate::gateway) fn verdict(&self) -> Option<String> {
        let (ended, _) = self.ended.as_ref()?;
        Some(match (self.why, ended) {
            (Some(Why::Timeout(seconds)), _) => format!(
                "(timed out after {seconds} s: the command and what it started were ended; give \
                 timeoutSeconds for a longer one)"
            ),
            (Some(Why::Killed), _) => "(ended by process kill)".to_owned(),
            (Some(Why::Cancelled), _) => "(cancelled)".to_owned(),
            (None, Ended::Exit(Exit::Code(0))) => return None,
            (None, Ended::Exit(Exit::Code(code))) => format!("(exit code {code})"),
            (None, Ended::Exit(Exit::Signal(signal))) => format!("(ended by signal {signal})"),
            (None, Ended::Failed(text)) => format!("(could not be started: {text})"),
        })
    }

    /// Its numbers for clients.
    pub(in crate::gateway) fn details(&self, now: Now) -> Value {
        let until = self.ended.as_ref().map_or(now, |(_, ended)| *ended);
        let mut details = json!({
            "status": self.status(), "sessionId": self.id, "cwd": self.cwd.to_string_lossy(),
            "durationMs": until.time.ms_since(self.started.time),
            "startedAt": self.started.wall_ms,
        });
        match &self.ended {
            Some((Ended::Exit(Exit::Code(code)), _)) => details["exitCode"] = json!(code),
            Some((Ended::Exit(Exit::Signal(signal)), _)) => {
                details["exitCode"] = Value::Null;
                details["exitSignal"] = json!(signal);
            }
            Some((Ended::Failed(text), _)) => details["error"] = json!(text),
            None => {}
        }
        if matches!(self.why, Some(Why::Timeout(_))) {
            details["timedOut"] = json!(true);
        }
        details
    }

    /// Open input and silence: it may wait to be told something.
    pub(in crate::gateway) fn waits_for_input(&self, now: Time) -> bool {
        self.ended.is_none()
            && self.stdin_open
            && now.ms_since(self.last_output) >= limits::EXEC_SILENT_MS
    }
}

/// Every command.
#[derive(Default)]
pub(in crate::gateway) struct Execs {
    pub(in crate::gateway) all: BTreeMap<ChildId, Session>,
    pub(in crate::gateway) children: u64,
    pub(in crate::gateway) armed: Armed,
}

impl Execs {
    /// A session of this agent.
    pub(in crate::gateway) fn find(&mut self, agent: &str, id: &str) -> Option<&mut Session> {
        let wanted = |s: &&mut Session| s.id == id && s.agent == agent && !s.unwanted;
        self.all.values_mut().find(wanted)
    }

    /// How many run.
    pub(in crate::gateway) fn running(&self) -> usize {
        self.all.values().filter(|session| session.ended.is_none()).count()
    }

    /// Forgets the oldest finished ones beyond the bounds; the newest always stays.
    pub(in crate::gateway) fn bound(&mut self) {
        let mut finished: Vec<(Time, ChildId, usize)> = self
            .all
            .values()
            .filter_map(|s| Some((s.ended.as_ref()?.1.time, s.child, s.output.all().len())))
            .collect();
        finished.sort_unstable_by_key(|(time, child, _)| std::cmp::Reverse((*time, *child)));
        let mut bytes = 0;
        for (n, (_, child, len)) in finished.iter().enumerate() {
            bytes += len;
            if n > 0 && (n >= limits::EXEC_KEPT || bytes > limits::EXEC_KEPT_BYTES) {
                self.all.remove(child);
            }
        }
    }
}

#[cfg(test)]
pub(in crate::gateway) mod tests {
    use super::*;
    use crate::agent::exec::output::Stream;

    pub(in crate::gateway) fn session(number: u64, output: &str) -> Session {
        let mut captured = Captured::default();
        captured.push(Stream::Out, output.as_bytes());
        Session {
            id: format!("s{number}"),
            agent: "main".to_owned(),
            command: "true".to_owned(),
            cwd: "/".into(),
            child: ChildId(number),
            output: captured,
            started: Now::default(),
            last_output: Time(0),
            ended: None,
            call: None,
            yield_at: None,
            update_at: None,
            polls: Vec::new(),
            timeout: None,
            kill_at: None,
            why: None,
            stdin_open: true,
            unwanted: false,
            keep_ms: 60_000,
        }
    }

    #[test]
    fn finished_commands_are_bounded_by_number_and_bytes() {
        let mut execs = Execs::default();
        let long = "x".repeat(limits::EXEC_OUTPUT);
        for number in 0..200 {
            let now = Now { time: Time(number), wall_ms: number };
            let ended = (number != 7).then_some((Ended::Exit(Exit::Code(0)), now));
            let output = if number < 100 { "" } else { &long };
            execs.all.insert(ChildId(number), Session { ended, ..session(number, output) });
            execs.bound();
            assert!(execs.all.len() <= limits::EXEC_KEPT + 1);
        }
        assert!(execs.all.contains_key(&ChildId(7)), "what runs is never forgotten");
        assert!(execs.all.contains_key(&ChildId(199)), "the newest stays");
        let bytes: usize = execs.all.values().map(|session| session.output.all().len()).sum();
        assert!(bytes <= limits::EXEC_KEPT_BYTES, "{bytes}");
    }

    #[test]
    fn ends_are_told_in_words() {
        let ended =
            |ended: Ended| Session { ended: Some((ended, Now::default())), ..session(1, "") };
        assert_eq!(ended(Ended::Exit(Exit::Code(0))).verdict(), None);
        let bad = ended(Ended::Exit(Exit::Code(3)));
        assert_eq!((bad.verdict().as_deref(), bad.status()), (Some("(exit code 3)"), "completed"));
        let late = Session { why: Some(Why::Timeout(5)), ..ended(Ended::Exit(Exit::Signal(15))) };
        assert_eq!(late.status(), "failed");
        assert!(late.verdict().is_some_and(|text| text.contains("timed out after 5 s")));
        assert_eq!(late.details(Now::default())["timedOut"], true);
        assert_eq!(ended(Ended::Failed("no".into())).status(), "failed");
        assert_eq!(session(1, "").status(), "running");
    }
}
