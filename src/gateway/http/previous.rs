//! Which session a response id stands for, so that `previous_response_id` continues it.
//!
//! As in the reference: in memory only, [`limits::RESPONSES_REMEMBERED`] of them for
//! [`limits::RESPONSES_REMEMBERED_MS`]; an id that is unknown, too old or of another agent,
//! user or session begins a new conversation, without an error.

use crate::driver::Time;
use crate::limits;
use std::collections::{BTreeMap, VecDeque};

/// What a request must share with the one that made the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gateway) struct Scope {
    pub(super) agent: String,
    /// The session that header or `user` named.
    pub(super) asked: Option<String>,
}

struct Known {
    key: String,
    scope: Scope,
    at: Time,
}

/// The table, oldest first.
#[derive(Default)]
pub(in crate::gateway) struct Responses {
    known: BTreeMap<String, Known>,
    order: VecDeque<String>,
}

impl Responses {
    /// A response's session.
    pub(super) fn put(&mut self, id: String, key: String, scope: Scope, at: Time) {
        self.order.push_back(id.clone());
        self.known.insert(id, Known { key, scope, at });
        while self.order.len() > limits::RESPONSES_REMEMBERED
            || self.order.front().is_some_and(|id| self.is_old(id, at))
        {
            let Some(oldest) = self.order.pop_front() else { break };
            self.known.remove(&oldest);
        }
    }

    fn is_old(&self, id: &str, now: Time) -> bool {
        self.known
            .get(id)
            .is_none_or(|known| now.ms_since(known.at) > limits::RESPONSES_REMEMBERED_MS)
    }

    /// The session to go on with.
    pub(super) fn get(&self, id: &str, scope: &Scope, now: Time) -> Option<&str> {
        let known = self.known.get(id).filter(|known| known.scope == *scope)?;
        (!self.is_old(id, now)).then_some(known.key.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_for_a_while_and_only_in_its_scope() {
        let mut responses = Responses::default();
        let scope = |agent: &str, asked: Option<&str>| Scope {
            agent: agent.to_owned(),
            asked: asked.map(str::to_owned),
        };
        let own = scope("main", Some("agent:main:x"));
        responses.put("r".to_owned(), "agent:main:x".to_owned(), own.clone(), Time(0));
        assert_eq!(responses.get("r", &own, Time(0)), Some("agent:main:x"));
        assert_eq!(responses.get("r", &scope("two", Some("agent:main:x")), Time(0)), None);
        assert_eq!(responses.get("r", &scope("main", None), Time(0)), None);
        assert_eq!(responses.get("q", &own, Time(0)), None);
        let last = Time(0).after_ms(limits::RESPONSES_REMEMBERED_MS);
        assert!(responses.get("r", &own, last).is_some());
        assert_eq!(responses.get("r", &own, last.after_ms(1)), None);
        responses.put("s".to_owned(), "k".to_owned(), own.clone(), last.after_ms(1));
        assert_eq!(responses.order.len(), 1, "what is too old is dropped");
        for n in 0..limits::RESPONSES_REMEMBERED {
            responses.put(format!("n{n}"), "k".to_owned(), own.clone(), last.after_ms(2));
        }
        assert_eq!(responses.known.len(), limits::RESPONSES_REMEMBERED);
        assert_eq!(responses.get("s", &own, last.after_ms(2)), None);
    }
}
