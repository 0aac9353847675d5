//! One session as clients see it: a `SessionRow` of the schema.

use super::super::super::Gateway;
use super::super::super::runs::context_window;
use crate::agent::turn::text_of;
use crate::limits;
use crate::sessions::{Entry, key};
use serde_json::{Map, Value, json};

/// What a row has beside what the index knows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extras {
    /// A title from the first message.
    pub(super) title: bool,
    /// The beginning of the last one.
    pub(super) last_message: bool,
}

/// Fields of an entry that a row shows as they are.
const SHOWN: [&str; 30] = [
    "accountId",
    "archivedAt",
    "archivedBy",
    "boardFace",
    "category",
    "channel",
    "color",
    "createdActor",
    "createdVia",
    "elevatedLevel",
    "estimatedCostUsd",
    "execAsk",
    "execHost",
    "execNode",
    "execSecurity",
    "fastMode",
    "groupActivation",
    "icon",
    "lastActivityAt",
    "lastReadAt",
    "markedUnreadAt",
    "parentSessionKey",
    "participants",
    "pinnedAt",
    "previousSessionId",
    "queueMode",
    "reasoningLevel",
    "responseUsage",
    "sendPolicy",
    "spawnedBy",
];
const SHOWN_TOO: [&str; 6] =
    ["spawnDepth", "statusNote", "attention", "traceLevel", "verboseLevel", "lastRunError"];

impl Gateway {
    /// One row of `sessions.list`; `null` for an unknown key.
    pub(in crate::gateway) fn session_row(&self, session: &str) -> Value {
        self.session_row_with(session, Extras::default())
    }

    /// The same with what has to be read from the transcript.
    pub(super) fn session_row_with(&self, session: &str, extras: Extras) -> Value {
        let Some(entry) = self.sessions.get(session) else { return Value::Null };
        let agent = key::agent_of(session).unwrap_or_default();
        let mut row = Map::new();
        for name in SHOWN.iter().chain(&SHOWN_TOO) {
            if let Some(value) = entry.extra.get(*name) {
                row.insert((*name).to_owned(), value.clone());
            }
        }
        self.identify(&mut row, session, agent, entry);
        self.tell_state(&mut row, session, entry);
        self.tell_model(&mut row, agent, entry);
        let title = match extras.title {
            true => self.title_of(session, entry),
            false => entry.label.clone().or_else(|| entry.word("displayName").map(str::to_owned)),
        };
        put(&mut row, "derivedTitle", json!(title));
        if extras.last_message {
            let last = self.said(session, 1, limits::PREVIEW_CHARS).pop();
            put(&mut row, "lastMessagePreview", json!(last.map(|(_, text)| text)));
        }
        Value::Object(row)
    }

    fn identify(&self, row: &mut Map<String, Value>, session: &str, agent: &str, entry: &Entry) {
        let is_main = session == key::main(agent, &self.config.session.main_key);
        let group = key::is_group(session);
        let global = key::rest_of(session) == Some("global");
        let kind = match (global, group) {
            (true, _) => "global",
            (_, true) => "group",
            _ => "direct",
        };
        put(row, "key", json!(session));
        put(row, "kind", json!(kind));
        put(row, "classification", json!(if is_main { "main" } else { kind }));
        put(row, "agentId", json!(agent));
        put(row, "isMain", json!(is_main));
        put(row, "isBackground", json!(key::is_reserved(session)));
        put(row, "visibility", json!("shared"));
        put(row, "sharingRole", json!("admin"));
        put(row, "sessionId", json!(entry.session_id));
        put(row, "lifecycleRevision", json!(entry.lifecycle_revision));
        put(row, "label", json!(entry.label));
        let name = entry.word("displayName").or(entry.label.as_deref());
        put(row, "displayName", json!(name));
        // Entries of older generations say `room` where the schema says `channel`.
        let chat =
            entry.chat_type.as_deref().map(|chat| if chat == "room" { "channel" } else { chat });
        put(row, "chatType", json!(chat));
        let participants = entry.extra.get("participants").and_then(Value::as_array);
        put(row, "participantCount", json!(participants.map_or(0, Vec::len)));
    }

    fn tell_state(&self, row: &mut Map<String, Value>, session: &str, entry: &Entry) {
        let active: Vec<String> = self
            .runs
            .of_session(session)
            .into_iter()
            .filter_map(|number| self.runs.get(number))
            .map(|run| run.id.clone())
            .collect();
        put(row, "updatedAt", json!(entry.updated_at));
        put(row, "createdAt", json!(entry.created_at));
        put(row, "lastInteractionAt", json!(entry.last_interaction_at));
        put(row, "archived", json!(entry.is_archived()));
        put(row, "pinned", json!(entry.is_pinned()));
        put(row, "unread", json!(entry.is_unread()));
        put(row, "systemSent", json!(entry.system_sent));
        put(row, "abortedLastRun", json!(entry.aborted_last_run));
        put(row, "status", json!(entry.status));
        put(row, "startedAt", json!(entry.started_at));
        put(row, "endedAt", json!(entry.ended_at));
        put(row, "runtimeMs", json!(entry.runtime_ms));
        put(row, "lastRunId", json!(entry.last_run_id));
        put(row, "hasActiveRun", json!(!active.is_empty()));
        put(row, "activeRunIds", json!(active));
        put(row, "inputTokens", json!(entry.input_tokens));
        put(row, "outputTokens", json!(entry.output_tokens));
        put(row, "totalTokens", json!(entry.total_tokens));
        put(row, "totalTokensFresh", json!(entry.total_tokens.is_some()));
        put(row, "compactionCount", json!(entry.compaction_count));
    }

    fn tell_model(&self, row: &mut Map<String, Value>, agent: &str, entry: &Entry) {
        let (provider, model) = self.session_model(agent, entry);
        let levels = self.thinking_levels(&provider, &model);
        let rows: Vec<Value> =
            levels.iter().map(|level| json!({"id": level, "label": level})).collect();
        put(row, "contextTokens", context_window(&self.config, &provider, &model));
        put(row, "modelProvider", json!(provider));
        put(row, "model", json!(model));
        row.insert(
            "modelOverrideSource".to_owned(),
            json!(entry.model_override.as_ref().map(|_| "user")),
        );
        put(row, "thinkingLevel", json!(entry.thinking_level));
        put(row, "thinkingLevels", json!(rows));
        put(row, "thinkingOptions", json!(levels));
        put(row, "thinkingDefault", json!("off"));
        let usage = entry.word("responseUsage").unwrap_or("off");
        put(row, "effectiveResponseUsage", json!(usage));
    }

    /// Provider and model that the next run of a session asks first.
    pub(in crate::gateway) fn session_model(&self, agent: &str, entry: &Entry) -> (String, String) {
        let name = entry.own_model().unwrap_or_else(|| self.default_model(agent).0);
        match name.split_once('/') {
            Some((provider, model)) => (provider.to_owned(), model.to_owned()),
            None => (String::new(), name),
        }
    }

    /// What `thinkingLevel` may be with a model.
    pub(in crate::gateway) fn thinking_levels(
        &self,
        provider: &str,
        model: &str,
    ) -> &'static [&'static str] {
        let found = self.config.models.providers.get(provider);
        let found = found.and_then(|found| found.models.iter().find(|known| known.id == model));
        match found.is_some_and(|model| model.reasoning) {
            true => &["off", "minimal", "low", "medium", "high"],
            false => &["off"],
        }
    }

    /// Label, name, or the beginning of the first thing that a person said.
    fn title_of(&self, session: &str, entry: &Entry) -> Option<String> {
        if let Some(name) = entry.label.as_deref().or(entry.word("displayName")) {
            return Some(name.to_owned());
        }
        let path = self.sessions.transcript_path(session)?;
        let head = self.disk.read_at(&path, 0, limits::PREVIEW_BYTES).ok()?;
        let records = crate::sessions::transcript::parse(&head).records;
        let first = records.iter().find(|record| record.message["role"] == "user")?;
        let text = text_of(&first.message["content"]);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
        Some(cut(line, limits::TITLE_CHARS))
    }

    /// Role and text of the newest messages of a session that a person or a model said, oldest
    /// first. What lies beyond [`limits::PREVIEW_BYTES`] from the end is not looked at.
    pub(super) fn said(
        &self,
        session: &str,
        at_most: usize,
        max_chars: usize,
    ) -> Vec<(&'static str, String)> {
        let Some(path) = self.sessions.transcript_path(session) else { return Vec::new() };
        let len = self.disk.stat(&path).map_or(0, |stat| stat.len);
        let from = len.saturating_sub(limits::PREVIEW_BYTES as u64);
        let tail = self.disk.read_at(&path, from, limits::PREVIEW_BYTES).unwrap_or_default();
        let records = crate::sessions::transcript::parse_tail(&tail, from > 0).records;
        let mut said: Vec<_> = records
            .iter()
            .rev()
            .filter_map(|record| {
                let role = match record.message.get("role")?.as_str()? {
                    "user" => "user",
                    "assistant" => "assistant",
                    _ => return None,
                };
                let text = text_of(record.message.get("content")?);
                (!text.trim().is_empty()).then(|| (role, cut(text.trim(), max_chars)))
            })
            .take(at_most)
            .collect();
        said.reverse();
        said
    }
}

fn put(row: &mut Map<String, Value>, name: &str, value: Value) {
    if !value.is_null() {
        row.insert(name.to_owned(), value);
    }
}

/// So many characters, with a mark when there were more.
pub(super) fn cut(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
