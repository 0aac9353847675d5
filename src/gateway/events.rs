//! System events: what happened while nobody talked. They wait for the next run of their
//! session, whose model reads them before the message as lines `System: [time] text`; a wake
//! starts a run for them.
//!
//! In memory only, as in the reference: at most [`limits::SYSTEM_EVENTS`] a session, the oldest
//! goes first. Those of a run that was started for them stand in its message, and so in the
//! journal.

use super::Gateway;
use super::heartbeat::Beat;
use super::runs::{Cause, NewRun, digest};
use crate::agent::turn::{Part, Turn};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::wire::text::rfc3339_ms;
use std::collections::{BTreeMap, VecDeque};

/// What is asked of a model when nobody said anything.
const ASK: &str = "The events above came in while nobody was talking to you. Act on what needs \
                   it. When nothing does, answer HEARTBEAT_OK and nothing else.";

struct Event {
    text: String,
    at_ms: u64,
}

/// Events by session.
#[derive(Default)]
pub(super) struct Events {
    by_key: BTreeMap<String, VecDeque<Event>>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It waits.
    Queued,
    /// The newest that waits says the same.
    Coalesced,
}

impl Outcome {
    /// `eventOutcome`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Coalesced => "coalesced",
        }
    }
}

impl Events {
    /// Leaves an event for a session; `None` when too many sessions have some.
    pub(super) fn put(&mut self, key: &str, text: &str, at_ms: u64) -> Option<Outcome> {
        let end = text.floor_char_boundary(limits::SYSTEM_EVENT_BYTES);
        let text = text.get(..end).unwrap_or_default().trim();
        if let Some(waiting) = self.by_key.get_mut(key) {
            if waiting.back().is_some_and(|event| event.text == text) {
                return Some(Outcome::Coalesced);
            }
            if waiting.len() >= limits::SYSTEM_EVENTS {
                waiting.pop_front();
            }
            waiting.push_back(Event { text: text.to_owned(), at_ms });
            return Some(Outcome::Queued);
        }
        if self.by_key.len() >= limits::SYSTEM_EVENT_SESSIONS {
            return None;
        }
        let event = Event { text: text.to_owned(), at_ms };
        self.by_key.insert(key.to_owned(), VecDeque::from([event]));
        Some(Outcome::Queued)
    }

    /// Whether something waits for a session.
    pub(super) fn wait_for(&self, key: &str) -> bool {
        self.by_key.get(key).is_some_and(|waiting| !waiting.is_empty())
    }

    /// What waits for one session waits for another instead.
    pub(super) fn move_to(&mut self, from: &str, to: &str) {
        if let Some(waiting) = self.by_key.remove(from) {
            self.by_key.insert(to.to_owned(), waiting);
        }
    }

    /// The lines that a model reads; none when nothing waits.
    fn lines(&self, key: &str) -> Option<String> {
        let mut out = String::new();
        for event in self.by_key.get(key)? {
            let mut time = Some(rfc3339_ms(event.at_ms));
            for line in event.text.lines() {
                let stamp = time.take().map(|time| format!("[{time}] ")).unwrap_or_default();
                out.push_str(&format!("System: {stamp}{line}\n"));
            }
        }
        (!out.is_empty()).then_some(out)
    }
}

impl Gateway {
    /// Puts what waits for a session before what its model is asked now.
    pub(super) fn tell_events(&mut self, key: &str, turns: &mut Vec<Turn>) {
        let Some(lines) = self.events.lines(key) else { return };
        self.events.by_key.remove(key);
        let text = format!("{lines}\n");
        match turns.last_mut() {
            Some(Turn::User(parts)) => match parts.first_mut() {
                Some(Part::Text(first)) => first.insert_str(0, &text),
                _ => parts.insert(0, Part::Text(text)),
            },
            _ => turns.push(Turn::User(vec![Part::Text(text)])),
        }
    }

    /// Leaves an event, and unless it may wait starts a run for all of that session.
    ///
    /// # Errors
    /// `UNAVAILABLE` when too many sessions have events. A run that cannot begin is none: the
    /// event waits for the next.
    pub(super) fn wake_session(
        &mut self,
        agent: &str,
        key: &str,
        text: &str,
        later: bool,
    ) -> Result<Outcome, ErrorShape> {
        self.wake_for(agent, key, text, later).map(|(outcome, _)| outcome)
    }

    /// As [`Gateway::wake_session`], with the id of the run that was started.
    ///
    /// # Errors
    /// The same.
    pub(super) fn wake_for(
        &mut self,
        agent: &str,
        key: &str,
        text: &str,
        later: bool,
    ) -> Result<(Outcome, Option<String>), ErrorShape> {
        let now_ms = self.now.wall_ms;
        let outcome = self.events.put(key, text, now_ms).ok_or_else(|| {
            ErrorShape::unavailable(format!(
                "{} sessions have events that wait; try again later",
                limits::SYSTEM_EVENT_SESSIONS
            ))
        })?;
        if later || !self.heartbeats.on {
            return Ok((outcome, None));
        }
        let Some(lines) = self.events.lines(key) else { return Ok((outcome, None)) };
        let message = format!("{lines}\n{ASK}");
        let digest = digest("wake", key, &message, None);
        let id = self.uuid();
        let new = NewRun {
            message: Some(message),
            digest,
            beat: Some(Beat::Wake),
            ..NewRun::new(id.clone(), Cause::Agent, key.to_owned(), agent.to_owned())
        };
        match self.accept_run(new) {
            Ok(_) => {
                self.events.by_key.remove(key);
                let config = self.config.clone();
                let by = config.agents.heartbeat(agent);
                let route = self.beat_route(key, by);
                self.heartbeats.began(&id, Beat::Wake, by, route, now_ms);
                return Ok((outcome, Some(id)));
            }
            Err(error) => log::warn!(target: "hooks",
                "no run was started to wake {key}: {}; its events wait", error.message),
        }
        Ok((outcome, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_wait_in_order_and_within_bounds() {
        let mut events = Events::default();
        let put = |events: &mut Events, key: &str, text: &str| events.put(key, text, 0);
        assert_eq!(put(&mut events, "a", "one\ntwo"), Some(Outcome::Queued));
        assert_eq!(put(&mut events, "a", " one\ntwo "), Some(Outcome::Coalesced));
        assert_eq!(put(&mut events, "a", "three"), Some(Outcome::Queued));
        assert_eq!(put(&mut events, "a", "one\ntwo"), Some(Outcome::Queued));
        let lines = events.lines("a").expect("lines");
        let stamp = "[1970-01-01T00:00:00.000Z]";
        let want = format!("System: {stamp} one\nSystem: two\nSystem: {stamp} three\n");
        assert!(lines.starts_with(&want), "{lines}");
        assert_eq!(events.lines("b"), None);
        for n in 0..limits::SYSTEM_EVENTS {
            put(&mut events, "a", &format!("n{n}"));
        }
        assert_eq!(events.by_key["a"].len(), limits::SYSTEM_EVENTS);
        assert!(!events.lines("a").expect("lines").contains("one"));
        put(&mut events, "a", &"ü".repeat(limits::SYSTEM_EVENT_BYTES));
        assert!(events.by_key["a"].back().expect("it").text.len() <= limits::SYSTEM_EVENT_BYTES);
        for n in 1..limits::SYSTEM_EVENT_SESSIONS {
            assert!(put(&mut events, &format!("k{n}"), "x").is_some());
        }
        assert_eq!(put(&mut events, "one more", "x"), None);
        assert!(put(&mut events, "a", "known sessions go on").is_some());
    }
}
