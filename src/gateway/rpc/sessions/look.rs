//! `sessions.preview`, `sessions.describe`, `sessions.resolve`: looking without changing.

use super::super::super::Gateway;
use super::super::super::socket::Answer;
use super::super::{Handled, Params, count, text};
use super::flag;
use super::row::Extras;
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::sessions::{Also, Entry, Query, Shelf, key};
use serde_json::{Value, json};

impl Gateway {
    /// `{keys, limit?, maxChars?}`: the last messages of some sessions.
    pub(in crate::gateway::rpc) fn sessions_preview(&self, params: &Params) -> Handled {
        let keys = params.get("keys").and_then(Value::as_array).map(Vec::as_slice);
        let keys = keys.unwrap_or_default();
        if keys.is_empty() {
            return Err(ErrorShape::params(
                "sessions.preview",
                "at /keys: must NOT have fewer than 1 items",
            ));
        }
        let limit = count(params, "limit", 12).min(limits::PREVIEW_ITEMS);
        let max_chars = count(params, "maxChars", 240).min(limits::PREVIEW_BYTES);
        let previews: Vec<Value> = keys
            .iter()
            .filter_map(Value::as_str)
            .take(limits::SESSION_PREVIEWS)
            .map(|asked| {
                let key = self.target(Some(asked), None).map(|(key, _)| key);
                let Some(key) = key.ok().filter(|key| self.sessions.get(key).is_some()) else {
                    return json!({"key": asked, "status": "missing", "items": []});
                };
                let said = self.said(&key, limit, max_chars);
                let items: Vec<Value> =
                    said.iter().map(|(role, text)| json!({"role": role, "text": text})).collect();
                let status = if items.is_empty() { "empty" } else { "ok" };
                json!({"key": asked, "status": status, "items": items})
            })
            .collect();
        Ok(Answer::Value(json!({"ts": self.now.wall_ms, "previews": previews})))
    }

    /// `{key}` -> `{session: row | null}`.
    pub(in crate::gateway::rpc) fn sessions_describe(&self, params: &Params) -> Handled {
        let (key, _) = self.target(text(params, "key"), None)?;
        let extras = Extras {
            title: flag(params, "includeDerivedTitles"),
            last_message: flag(params, "includeLastMessage"),
        };
        Ok(Answer::Value(json!({"session": self.session_row_with(&key, extras)})))
    }

    /// `{key | sessionId | label | shortId, agentId?, spawnedBy?}` -> `{ok, key, agentId}`.
    pub(in crate::gateway::rpc) fn sessions_resolve(&self, params: &Params) -> Handled {
        let asked: Vec<(&str, &str)> = ["key", "sessionId", "label", "shortId"]
            .into_iter()
            .filter_map(|name| Some((name, text(params, name)?.trim())))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let (name, value) = match asked.as_slice() {
            [one] => *one,
            [] => return Err(ErrorShape::invalid("Either key, sessionId, or label is required")),
            _ => {
                return Err(ErrorShape::invalid(
                    "Provide either key, sessionId, or label (not multiple)",
                ));
            }
        };
        let agent = text(params, "agentId").map(str::to_ascii_lowercase);
        let parent = text(params, "spawnedBy");
        let fits = |key: &str, entry: &Entry| {
            let named = match name {
                "sessionId" => entry.session_id == value || key == value,
                "shortId" => entry.session_id.starts_with(value),
                _ => true,
            };
            named && parent.is_none_or(|parent| entry.word("spawnedBy") == Some(parent))
        };
        let found: Vec<&str> = match name {
            "key" => {
                let (key, owner) = self.target(Some(value), None)?;
                let ours = agent.as_ref().is_none_or(|agent| *agent == owner);
                let entry = self.sessions.key_and_entry(&key).filter(|_| ours);
                entry
                    .filter(|(key, entry)| fits(key, entry))
                    .map(|(key, _)| key)
                    .into_iter()
                    .collect()
            }
            _ => {
                let label = (name == "label").then_some(value);
                let shelf = if name == "label" { Shelf::Active } else { Shelf::All };
                let agent = agent.as_deref();
                let limit = CANDIDATES;
                let also = Some(&fits as Also<'_>);
                self.sessions
                    .find(&Query { agent, shelf, label, also, limit, ..Query::default() })
                    .keys
            }
        };
        match found.as_slice() {
            [key] => Ok(Answer::Value(self.resolved(key))),
            [] if flag(params, "allowMissing") => Ok(Answer::Value(json!({"ok": false}))),
            [] if name == "label" => {
                Err(ErrorShape::invalid(format!("No session found with label: {value}")))
            }
            [] => Err(ErrorShape::invalid(format!("No session found: {value}"))),
            several if name == "shortId" => {
                let mut candidates: Vec<Value> =
                    several.iter().map(|key| self.resolved(key)).collect();
                for candidate in candidates.iter_mut().filter_map(Value::as_object_mut) {
                    candidate.remove("ok");
                }
                Ok(Answer::Value(json!({"ok": false, "candidates": candidates})))
            }
            several => Err(ErrorShape::invalid(format!(
                "Multiple sessions found with {name}: {value} ({}); name the key",
                several.join(", ")
            ))),
        }
    }

    fn resolved(&self, key: &str) -> Value {
        let agent = key::agent_of(key).unwrap_or_default();
        let mut value = json!({"ok": true, "key": key, "agentId": agent});
        if let Some(name) = self.sessions.get(key).and_then(|entry| entry.word("displayName")) {
            value["displayName"] = json!(name);
        }
        value
    }
}

/// Sessions named when a name fits several.
const CANDIDATES: usize = 10;
