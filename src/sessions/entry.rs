//! What the index keeps of one session, and what can be saved of a damaged index.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What the index says of one session (reference: an entry of `sessions.json`). Times are Unix
/// milliseconds, tokens are those of the last run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the wire's own names, described in the type's head")]
pub struct Entry {
    pub session_id: String,
    pub updated_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_type: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub system_sent: bool,
    pub aborted_last_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_started_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_interaction_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle_revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_override: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_override: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compaction_count: Option<u64>,
    /// Whatever else the file said; written back untouched.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Entry {
    /// A field that has no place of its own here, as a text.
    pub fn word(&self, name: &str) -> Option<&str> {
        self.extra.get(name).and_then(Value::as_str)
    }

    /// The same as Unix milliseconds.
    pub fn time(&self, name: &str) -> Option<u64> {
        self.extra.get(name).and_then(Value::as_u64)
    }

    /// Sets such a field; `null` takes it away. One with a place of its own would stand twice in
    /// the file, which then cannot be read.
    pub fn set(&mut self, name: &str, value: Value) {
        debug_assert!(!has_place(name), "{name} has a place of its own");
        if value.is_null() {
            self.extra.remove(name);
        } else {
            self.extra.insert(name.to_owned(), value);
        }
    }

    /// Put away: kept, but not among the sessions that lists show.
    pub fn is_archived(&self) -> bool {
        self.time("archivedAt").is_some()
    }

    /// Stands before the others.
    pub fn is_pinned(&self) -> bool {
        self.time("pinnedAt").is_some()
    }

    /// Marked by hand, or something happened since it was read.
    pub fn is_unread(&self) -> bool {
        let newer = |read| self.time("lastActivityAt").is_some_and(|at| at > read);
        self.time("markedUnreadAt").is_some() || self.time("lastReadAt").is_some_and(newer)
    }

    /// When its conversation began: what daily resets go by.
    pub fn began_ms(&self) -> u64 {
        self.session_started_at.or(self.created_at).unwrap_or(self.updated_at)
    }

    /// When a person last said something: what idle resets go by.
    pub fn touched_ms(&self) -> u64 {
        self.last_interaction_at.unwrap_or_else(|| self.began_ms())
    }

    /// The model that was chosen for this session alone, as `provider/model`.
    pub fn own_model(&self) -> Option<String> {
        let model = self.model_override.as_deref().filter(|model| !model.is_empty())?;
        Some(match self.provider_override.as_deref().filter(|provider| !provider.is_empty()) {
            Some(provider) => format!("{provider}/{model}"),
            None => model.to_owned(),
        })
    }

    /// A person said something. `client` becomes one of the participants.
    pub fn touch(&mut self, client: Option<&str>, now_ms: u64) {
        self.last_interaction_at = Some(now_ms);
        let Some(client) = client else { return };
        let known = self.extra.entry("participants").or_insert_with(|| json!([]));
        let Value::Array(known) = known else { return };
        let same = |row: &Value| row.pointer("/identity/id").is_some_and(|id| id == client);
        if known.len() < PARTICIPANTS && !known.iter().any(same) {
            known.push(json!({"identity": {
                "type": "observation", "pluginId": null, "accountId": null,
                "senderKind": "unknown", "id": client,
            }}));
        }
    }

    /// Begins anew: what was chosen for the session stays, what came of its conversation goes.
    pub(super) fn begin_anew(&mut self, revision: String, now_ms: u64) {
        self.updated_at = now_ms;
        self.session_started_at = Some(now_ms);
        self.lifecycle_revision = Some(revision);
        self.system_sent = false;
        self.aborted_last_run = false;
        self.status = None;
        self.started_at = None;
        self.ended_at = None;
        self.runtime_ms = None;
        self.last_run_id = None;
        self.input_tokens = Some(0);
        self.output_tokens = Some(0);
        self.total_tokens = Some(0);
        self.compaction_count = Some(0);
        for name in ["archivedAt", "archivedBy", "archiveReason", "estimatedCostUsd"] {
            self.extra.remove(name);
        }
    }
}

/// Whether a field of an entry has a place of its own in [`Entry`].
fn has_place(name: &str) -> bool {
    let alone = Map::from_iter([(name.to_owned(), Value::Null)]);
    !Entry::deserialize(Value::Object(alone)).is_ok_and(|entry| entry.extra.contains_key(name))
}

/// Clients named as participants of one session.
const PARTICIPANTS: usize = 16;

/// What can be understood of an index that is not wholly one.
pub(super) fn salvage(bytes: &[u8]) -> BTreeMap<String, Entry> {
    let Ok(index) = serde_json::from_slice::<Map<String, Value>>(bytes) else {
        return BTreeMap::new();
    };
    let entry = |fields: Map<String, Value>| {
        let fits = |name: &String, value: &Value| {
            let alone = Map::from_iter([(name.clone(), value.clone())]);
            Entry::deserialize(Value::Object(alone)).is_ok()
        };
        let good = fields.into_iter().filter(|(name, value)| fits(name, value)).collect();
        Entry::deserialize(Value::Object(good)).ok()
    };
    index
        .into_iter()
        .filter_map(|(key, value)| match value {
            Value::Object(fields) => Some((key, entry(fields)?)),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_stands_twice() {
        let entry = Entry { chat_type: Some("group".to_owned()), ..Entry::default() };
        let whole = serde_json::to_value(&entry).expect("JSON");
        for name in whole.as_object().expect("an object").keys() {
            assert!(has_place(name), "{name}");
        }
        let mut entry = entry;
        entry.set("lastTo", json!("7"));
        let text = serde_json::to_string(&entry).expect("JSON");
        assert_eq!(serde_json::from_str::<Entry>(&text).expect("an entry"), entry);
    }

    #[test]
    #[should_panic(expected = "chatType has a place of its own")]
    fn a_field_with_a_place_is_not_set_beside_it() {
        Entry::default().set("chatType", json!("group"));
    }
}
