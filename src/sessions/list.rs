//! Which sessions a list shows: filtered and ordered without reading a file, and without
//! sorting more than the page.

use super::{Entry, Sessions, key};
use std::cmp::Reverse;

/// What the rows go by, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The last change of the session.
    #[default]
    Updated,
    /// The last thing a person said in it.
    Interaction,
}

/// Whether archived sessions are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shelf {
    /// Those that are not archived.
    #[default]
    Active,
    /// Those that are.
    Archived,
    /// All.
    All,
}

/// A condition on a key and its entry.
pub type Also<'a> = &'a dyn Fn(&str, &Entry) -> bool;

/// A question to the index. The default asks for every session that is not archived.
#[derive(Default)]
pub struct Query<'a> {
    /// Of this agent.
    pub agent: Option<&'a str>,
    /// Archived or not.
    pub shelf: Shelf,
    /// With exactly this label.
    pub label: Option<&'a str>,
    /// With this in key, label, name or id; in lower case.
    pub search: Option<&'a str>,
    /// Changed since, Unix milliseconds.
    pub since_ms: Option<u64>,
    /// Any further condition.
    pub also: Option<Also<'a>>,
    /// How they are ordered.
    pub order: Order,
    /// How many come before the page.
    pub offset: usize,
    /// How long the page is.
    pub limit: usize,
}

/// A page of keys, and how many sessions answer the question in all.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Canonical keys in order.
    pub keys: Vec<&'a str>,
    /// All that match.
    pub total: usize,
}

impl Query<'_> {
    fn takes(&self, key: &str, entry: &Entry) -> bool {
        let text =
            |text: &str| self.search.is_none_or(|search| text.to_lowercase().contains(search));
        let name = entry.word("displayName");
        self.agent.is_none_or(|agent| key::agent_of(key) == Some(agent))
            && match self.shelf {
                Shelf::Active => !entry.is_archived(),
                Shelf::Archived => entry.is_archived(),
                Shelf::All => true,
            }
            && self.label.is_none_or(|label| entry.label.as_deref() == Some(label))
            && self.since_ms.is_none_or(|since| entry.updated_at >= since)
            && self.also.is_none_or(|also| also(key, entry))
            && (text(key)
                || entry.label.as_deref().is_some_and(text)
                || name.is_some_and(text)
                || text(&entry.session_id))
    }

    fn rank<'k>(&self, key: &'k str, entry: &Entry) -> (Reverse<bool>, Reverse<u64>, &'k str) {
        let at = match self.order {
            Order::Updated => entry.updated_at,
            Order::Interaction => entry.last_interaction_at.unwrap_or(entry.updated_at),
        };
        (Reverse(entry.is_pinned()), Reverse(at), key)
    }
}

impl Sessions {
    /// Every session of the agents that were opened, archived or not: pinned ones first, then
    /// the newest.
    pub fn list(&self) -> Vec<(&str, &Entry)> {
        let query = Query { shelf: Shelf::All, limit: usize::MAX, ..Query::default() };
        let keys = self.find(&query).keys;
        keys.into_iter().filter_map(|key| Some((key, self.get(key)?))).collect()
    }

    /// The page of the sessions that match: pinned ones first, then the newest.
    pub fn find(&self, query: &Query<'_>) -> Found<'_> {
        let mut all: Vec<_> = self
            .agents
            .iter()
            .filter(|(agent, _)| query.agent.is_none_or(|wanted| wanted == agent.as_str()))
            .flat_map(|(_, store)| &store.index)
            .filter(|(key, entry)| query.takes(key, entry))
            .map(|(key, entry)| query.rank(key, entry))
            .collect();
        let total = all.len();
        let end = query.offset.saturating_add(query.limit);
        if end < total {
            // Only what comes before the end of the page has to be in order.
            all.select_nth_unstable(end);
            all.truncate(end);
        }
        all.sort_unstable();
        let keys = all.into_iter().skip(query.offset).map(|(_, _, key)| key).collect();
        Found { keys, total }
    }
}

#[cfg(test)]
mod tests {
    use super::super::AgentStore;
    use super::*;
    use serde_json::json;
    use std::path::Path;

    fn many(count: u64) -> Sessions {
        let mut store = AgentStore::default();
        for n in 0..count {
            let mut entry = Entry {
                session_id: format!("id-{n}"),
                // Not in the order of the keys, and some at the same time.
                updated_at: (n * 7919) % count / 2,
                label: n.is_multiple_of(10).then(|| format!("Tenth {n}")),
                ..Entry::default()
            };
            if n.is_multiple_of(100) {
                entry.set("archivedAt", json!(1));
            }
            if n == 77 {
                entry.set("pinnedAt", json!(1));
            }
            store.index.insert(format!("agent:main:s{n}"), entry);
        }
        let mut sessions = Sessions::new(Path::new("/nowhere"));
        sessions.agents.insert("main".to_owned(), store);
        sessions
    }

    #[test]
    fn ten_thousand_sessions_page_as_if_sorted_whole() {
        let sessions = many(10_000);
        let page = |offset, limit| sessions.find(&Query { offset, limit, ..Query::default() });
        let whole = page(0, usize::MAX);
        assert_eq!((whole.total, whole.keys.len()), (9_900, 9_900));
        assert_eq!(whole.keys[0], "agent:main:s77");
        let mut joined = Vec::new();
        while joined.len() < whole.total {
            let next = page(joined.len(), 333);
            assert_eq!(next.total, whole.total);
            joined.extend(next.keys);
        }
        assert_eq!(joined, whole.keys);
        let times: Vec<u64> =
            joined[1..].iter().map(|key| sessions.get(key).unwrap().updated_at).collect();
        assert!(times.is_sorted_by(|a, b| a >= b));
        assert!(page(9_900, 10).keys.is_empty() && page(usize::MAX, 10).keys.is_empty());
    }

    #[test]
    fn every_condition_narrows() {
        let sessions = many(1_000);
        let total = |query: Query<'_>| sessions.find(&Query { limit: 1, ..query }).total;
        assert_eq!(total(Query { shelf: Shelf::Archived, ..Query::default() }), 10);
        assert_eq!(total(Query { shelf: Shelf::All, ..Query::default() }), 1_000);
        assert_eq!(total(Query { label: Some("Tenth 20"), ..Query::default() }), 1);
        assert_eq!(total(Query { search: Some("tenth 2"), ..Query::default() }), 10);
        assert_eq!(total(Query { search: Some("id-123"), ..Query::default() }), 1);
        assert_eq!(total(Query { agent: Some("two"), ..Query::default() }), 0);
        assert_eq!(total(Query { since_ms: Some(500), ..Query::default() }), 0);
        let odd = |key: &str, _: &Entry| key.ends_with('1');
        assert_eq!(total(Query { also: Some(&odd), ..Query::default() }), 100);
    }
}
