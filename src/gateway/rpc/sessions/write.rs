//! `sessions.create`, `patch`, `reset`, `delete`: the operator changes a session.
//!
//! A request is checked whole before anything of it is applied. A run that is active in a
//! session is ended before the session is emptied or deleted.

use super::super::super::Gateway;
use super::super::super::runs::candidate;
use super::super::super::socket::Answer;
use super::super::chat::another_session;
use super::super::{Handled, Params, text};
use super::flag;
use crate::agent::run::Via;
use crate::driver::{ConnId, Effects};
use crate::protocol::error::ErrorShape;
use crate::protocol::operations::holds;
use crate::sessions::{Entry, Query, Shelf, fresh, key};
use serde_json::{Map, Value, json};
use std::io;

/// Parameters of `sessions.patch` that are kept under their own name, and the words they take;
/// none means any.
const KEPT: [(&str, &[&str]); 19] = [
    ("attention", &[]),
    ("boardFace", &[]),
    ("category", &[]),
    ("color", &[]),
    ("elevatedLevel", &["off", "on", "ask", "full"]),
    ("execAsk", &["off", "on-miss", "always"]),
    ("execHost", &["auto", "sandbox", "gateway", "node"]),
    ("execNode", &[]),
    ("execSecurity", &["deny", "allowlist", "full"]),
    ("fastMode", &[]),
    ("groupActivation", &["mention", "always"]),
    ("icon", &[]),
    ("queueMode", &["steer", "followup", "collect", "interrupt"]),
    ("reasoningLevel", &["off", "on", "stream"]),
    ("responseUsage", &["off", "tokens", "full", "on"]),
    ("sendPolicy", &["allow", "deny"]),
    ("statusNote", &[]),
    ("traceLevel", &["off", "on"]),
    ("verboseLevel", &["off", "on", "full"]),
];

/// What organises sessions, and the model: `operator.write` may change it. The rest of
/// `sessions.patch` takes `operator.admin` (reference: docs/gateway/operator-scopes.md).
const ORGANISING: [&str; 21] = [
    "key",
    "agentId",
    "expectedSessionId",
    "expectedLifecycleRevision",
    "expectedMarkedUnreadAt",
    "label",
    "displayName",
    "icon",
    "color",
    "category",
    "boardFace",
    "statusNote",
    "attention",
    "ttlMinutes",
    "archived",
    "pinned",
    "unread",
    "model",
    "queueMode",
    "parentSessionKey",
    "idempotencyKey",
];

/// Sessions that nobody comes back to, by the beginning of their keys.
const DISPOSABLE: [&str; 7] =
    ["openai:", "openresponses:", "cron:", "hook:", "subagent:", "acp:", "explicit:model-run-"];

/// A checked change of an entry.
#[derive(Default)]
struct Change {
    label: Option<Option<String>>,
    /// Provider and model; the inner `None` goes back to the default.
    model: Option<Option<(String, String)>>,
    thinking: Option<Option<String>>,
    fields: Vec<(&'static str, Value)>,
}

impl Gateway {
    /// `{key?, agentId?, label?, model?, thinkingLevel?, message?…}`.
    pub(in crate::gateway::rpc) fn sessions_create(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let (key, agent) = match text(params, "key") {
            Some(key) => self.target(Some(key), text(params, "agentId"))?,
            None => {
                let (_, agent) = self.target(None, text(params, "agentId"))?;
                (format!("agent:{agent}:dashboard:{}", self.uuid()), agent)
            }
        };
        let parent = match text(params, "parentSessionKey") {
            Some(parent) => Some(self.target(Some(parent), None)?.0),
            None => None,
        };
        let change = self.checked_change(&key, &agent, params)?;
        let message = text(params, "message").or(text(params, "task")).unwrap_or_default();
        let new = self.sessions.get(&key).is_none();
        self.make_session(&key)?;
        let now_ms = self.now.wall_ms;
        if let Some(entry) = self.sessions.get_mut(&key) {
            if new {
                entry.set("createdVia", json!("operator"));
                let home = key::main(&agent, &self.config.session.main_key);
                entry.set("parentSessionKey", json!(parent.unwrap_or(home)));
                entry.set("spawnDepth", json!(0));
                if let Some(name) = text(params, "displayName") {
                    entry.set("displayName", json!(name));
                }
            }
            change.apply(entry, now_ms);
        }
        let mut value = self.changed_result(&key, &agent);
        let session_id = value["entry"]["sessionId"].clone();
        value["sessionId"] = session_id;
        value["runStarted"] = json!(false);
        let mut run = None;
        if !message.trim().is_empty() {
            let id = match text(params, "idempotencyKey") {
                Some(id) => id.to_owned(),
                None => self.uuid(),
            };
            run = Some(self.first_message(conn, &key, &id, message, params));
            match &run {
                Some(Ok(())) => {
                    value["runStarted"] = json!(true);
                    value["runId"] = json!(id);
                }
                Some(Err(error)) => {
                    value["runError"] = json!({"code": error.code, "message": error.message});
                }
                None => {}
            }
        }
        self.respond_ok(conn, request, &value, fx);
        self.tell_session(&key, Some("create"), &Value::Null, fx);
        if run.is_some() {
            self.tell_session(&key, Some("send"), &Value::Null, fx);
        }
        Ok(Answer::Handled)
    }

    /// The entry of a key, new if there is none.
    pub(in crate::gateway) fn make_session(&mut self, key: &str) -> Result<(), ErrorShape> {
        let (fresh, revision) = (self.uuid(), self.uuid());
        let now_ms = self.now.wall_ms;
        if self.sessions.ensure(self.disk.as_mut(), key, || fresh, now_ms)
            && let Some(entry) = self.sessions.get_mut(key)
        {
            entry.session_started_at = Some(now_ms);
            entry.lifecycle_revision = Some(revision);
            self.archive_surplus(key);
        }
        self.save_soon();
        match self.sessions.get(key) {
            Some(_) => Ok(()),
            None => Err(ErrorShape::unavailable(format!(
                "session {key} cannot be kept: its index cannot be read; see the log"
            ))),
        }
    }

    /// `{key, …}`: an unknown key is created.
    pub(in crate::gateway::rpc) fn sessions_patch(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        self.may_patch(conn, params)?;
        let (key, agent) = self.target(text(params, "key"), text(params, "agentId"))?;
        self.is_expected(&key, params)?;
        let change = self.checked_change(&key, &agent, params)?;
        self.make_session(&key)?;
        let now_ms = self.now.wall_ms;
        if let Some(entry) = self.sessions.get_mut(&key) {
            change.apply(entry, now_ms);
            entry.updated_at = entry.updated_at.max(now_ms);
        }
        let mut value = self.changed_result(&key, &agent);
        value["path"] = json!(self.sessions.index_path(&agent));
        self.respond_ok(conn, request, &value, fx);
        self.tell_session(&key, Some("patch"), &Value::Null, fx);
        Ok(Answer::Handled)
    }

    fn may_patch(&self, conn: ConnId, params: &Params) -> Result<(), ErrorShape> {
        let organises = params.keys().all(|name| ORGANISING.contains(&name.as_str()));
        let admin = "operator.admin";
        let held = self.conns.client(conn).is_some_and(|client| holds(&client.scopes, admin));
        if organises || held { Ok(()) } else { Err(ErrorShape::missing_scope(admin)) }
    }

    /// `expectedSessionId` and `expectedLifecycleRevision`.
    fn is_expected(&self, key: &str, params: &Params) -> Result<(), ErrorShape> {
        let entry = self.sessions.get(key);
        let id = entry.map(|entry| entry.session_id.as_str());
        let revision = entry.and_then(|entry| entry.lifecycle_revision.as_deref());
        for (name, held) in [("expectedSessionId", id), ("expectedLifecycleRevision", revision)] {
            if let Some(wanted) = text(params, name).filter(|wanted| held != Some(wanted)) {
                return Err(another_session(key, wanted));
            }
        }
        Ok(())
    }

    fn checked_change(
        &self,
        key: &str,
        agent: &str,
        params: &Params,
    ) -> Result<Change, ErrorShape> {
        let mut change = Change::default();
        if let Some(label) = params.get("label") {
            change.label = Some(label.as_str().map(|label| label.trim().to_owned()));
            if let Some(label) = label.as_str().map(str::trim) {
                self.label_is_free(key, label)?;
            }
        }
        let mut model = self.sessions.get(key).map(|entry| self.session_model(agent, entry));
        match params.get("model") {
            None => {}
            Some(Value::String(name)) => {
                let chosen = self.chosen(agent, name)?;
                model = Some(chosen.clone());
                change.model = Some(Some(chosen));
            }
            Some(_) => change.model = Some(None),
        }
        if let Some(level) = params.get("thinkingLevel") {
            let default = || self.session_model(agent, &Entry::default());
            let (provider, model) = model.unwrap_or_else(default);
            change.thinking = Some(match level.as_str() {
                None => None,
                Some(level) => Some(self.checked_thinking(level, &provider, &model)?),
            });
        }
        for (name, words) in KEPT {
            let Some(value) = params.get(name) else { continue };
            if let Some(word) = value.as_str()
                && !words.is_empty()
                && !words.contains(&word)
            {
                let words = words.join("|");
                return Err(ErrorShape::invalid(format!("invalid {name} (use {words})")));
            }
            change.fields.push((name, value.clone()));
        }
        self.checked_marks(key, params, &mut change);
        Ok(change)
    }

    /// `archived`, `pinned`, `unread`: on the wire booleans, in the index times.
    fn checked_marks(&self, key: &str, params: &Params, change: &mut Change) {
        let now = json!(self.now.wall_ms);
        match params.get("archived").and_then(Value::as_bool) {
            Some(true) => {
                change.fields.push(("archivedAt", now.clone()));
                change.fields.push(("pinnedAt", Value::Null));
            }
            Some(false) => change.fields.push(("archivedAt", Value::Null)),
            None => {}
        }
        match params.get("pinned").and_then(Value::as_bool) {
            Some(true) => change.fields.push(("pinnedAt", now.clone())),
            Some(false) => change.fields.push(("pinnedAt", Value::Null)),
            None => {}
        }
        let marker = self.sessions.get(key).and_then(|entry| entry.extra.get("markedUnreadAt"));
        let expected = params.get("expectedMarkedUnreadAt");
        let holds = expected.is_none_or(|wanted| marker.unwrap_or(&Value::Null) == wanted);
        match params.get("unread").and_then(Value::as_bool) {
            Some(true) => change.fields.push(("markedUnreadAt", now)),
            Some(false) if holds => {
                change.fields.push(("lastReadAt", now));
                change.fields.push(("markedUnreadAt", Value::Null));
            }
            _ => {}
        }
    }

    fn label_is_free(&self, key: &str, label: &str) -> Result<(), ErrorShape> {
        let other = |other: &str, _: &Entry| other != key;
        let query = Query {
            agent: key::agent_of(key),
            shelf: Shelf::Active,
            label: Some(label),
            also: Some(&other),
            limit: 1,
            ..Query::default()
        };
        match self.sessions.find(&query).keys.first() {
            None => Ok(()),
            Some(taken) => {
                Err(ErrorShape::invalid(format!("label already in use: {label} (by {taken})")))
            }
        }
    }

    /// A model as people write it: `provider/model`, an alias, or the id alone.
    ///
    /// # Errors
    /// What is unknown, and where the known ones are listed.
    pub(in crate::gateway) fn chosen(
        &self,
        agent: &str,
        name: &str,
    ) -> Result<(String, String), ErrorShape> {
        let name = name.trim();
        let providers = &self.config.models.providers;
        let mut found = candidate(&self.config, name);
        if found.provider.is_empty() {
            let owner = providers
                .iter()
                .find(|(_, provider)| provider.models.iter().any(|model| model.id == name));
            let default = self.session_model(agent, &Entry::default()).0;
            let provider = owner.map_or(default.as_str(), |(id, _)| id);
            let full = format!("{provider}/{name}");
            if owner.is_none() {
                return Err(ErrorShape::invalid(format!(
                    "Unknown model \"{name}\". Use /models to list models."
                )));
            }
            found = candidate(&self.config, &full);
        }
        let known = providers.contains_key(&found.provider);
        match found.via {
            Via::Broken(_) if !known => Err(ErrorShape::invalid(format!(
                "Unknown provider \"{}\". Use /models to list providers.",
                found.provider
            ))),
            Via::Broken(why) => Err(ErrorShape::invalid(why)),
            _ => Ok((found.provider, found.model)),
        }
    }

    /// A thinking level that the model knows.
    ///
    /// # Errors
    /// The levels it knows.
    pub(in crate::gateway) fn checked_thinking(
        &self,
        level: &str,
        provider: &str,
        model: &str,
    ) -> Result<String, ErrorShape> {
        let level = level.trim().to_ascii_lowercase();
        let levels = self.thinking_levels(provider, model);
        if levels.contains(&level.as_str()) {
            return Ok(level);
        }
        Err(ErrorShape::invalid(format!(
            "thinkingLevel \"{level}\" is not supported for {provider}/{model} (use {})",
            levels.join(", ")
        )))
    }

    /// `{ok, key, entry, resolved}`.
    fn changed_result(&self, key: &str, agent: &str) -> Value {
        let Some(entry) = self.sessions.get(key) else { return Value::Null };
        let (provider, model) = self.session_model(agent, entry);
        let mut shown = serde_json::to_value(entry).unwrap_or_default();
        shown["modelOverrideSource"] =
            json!(if entry.model_override.is_some() { "user" } else { "default" });
        json!({
            "ok": true, "key": key, "entry": shown,
            "resolved": {"modelProvider": provider, "model": model},
        })
    }

    /// `{key, reason?}`: the conversation begins anew.
    pub(in crate::gateway::rpc) fn sessions_reset(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let (key, agent) = self.target(text(params, "key"), text(params, "agentId"))?;
        self.reset_session(&key, fx)?;
        let value = self.changed_result(&key, &agent);
        self.respond_ok(conn, request, &value, fx);
        let reason = text(params, "reason").unwrap_or("reset");
        self.tell_session(&key, Some(reason), &Value::Null, fx);
        Ok(Answer::Handled)
    }

    /// A session came to be: the oldest beyond `session.maintenance.maxEntries` make room.
    /// Those of stateless requests and of jobs are deleted, the others archived.
    pub(in crate::gateway) fn archive_surplus(&mut self, new: &str) {
        let session = &self.config.session;
        let Some(agent) = key::agent_of(new) else { return };
        let main = key::main(agent, &session.main_key);
        let spare = |key: &str| key == new || key == main || !self.runs.of_session(key).is_empty();
        let surplus = self.sessions.surplus(agent, session.max_entries, &spare);
        if surplus.is_empty() {
            return;
        }
        log::warn!(target: "sessions",
            "agent {agent} has {} sessions more than session.maintenance.maxEntries ({})",
            surplus.len(), session.max_entries);
        if !session.maintain {
            return;
        }
        let now_ms = self.now.wall_ms;
        for key in surplus {
            let rest = key::rest_of(&key).unwrap_or_default();
            if DISPOSABLE.iter().any(|prefix| rest.starts_with(prefix)) {
                if let Err(error) = self.sessions.remove(self.disk.as_mut(), &key, now_ms) {
                    log::error!(target: "sessions", "{key} not removed: {error}");
                }
            } else if let Some(entry) = self.sessions.get_mut(&key) {
                entry.set("archivedAt", json!(now_ms));
                entry.set("archiveReason", json!("maxEntries"));
            }
        }
    }

    /// Before a message is taken: a conversation that is over by its policy begins anew, under
    /// an id of its own. When its transcript cannot be put aside, it goes on.
    pub(in crate::gateway) fn end_if_stale(&mut self, key: &str) {
        let session = &self.config.session;
        let (types, channels) = (&session.reset_by_type, &session.reset_by_channel);
        let reset = fresh::choose(key, &session.reset, types, channels);
        let policy =
            fresh::Policy { daily_at_hour: reset.daily_at_hour, idle_minutes: reset.idle_minutes };
        let now_ms = self.now.wall_ms;
        let stale = self.sessions.get(key).and_then(|entry| policy.stale(entry, now_ms));
        let Some(stale) = stale else { return };
        let (session_id, revision) = (self.uuid(), self.uuid());
        let disk = self.disk.as_mut();
        match self.sessions.reset(disk, key, Some(session_id), revision, now_ms) {
            Ok(_) => log::info!(target: "sessions", "{key} begins anew ({stale:?} reset)"),
            Err(error) => log::error!(target: "sessions",
                "{key}: {stale:?} reset put off, its transcript cannot be renamed: {error}"),
        }
    }

    /// Ends the runs of a session and empties it; its id stays.
    pub(in crate::gateway) fn reset_session(
        &mut self,
        key: &str,
        fx: &mut Effects,
    ) -> Result<(), ErrorShape> {
        self.end_runs(key, "restart", fx);
        self.make_session(key)?;
        let (revision, now_ms) = (self.uuid(), self.now.wall_ms);
        let disk = self.disk.as_mut();
        let reset = self.sessions.reset(disk, key, None, revision, now_ms);
        self.save_soon();
        reset.map(|_| ()).map_err(|error| not_put_aside(key, &error))
    }

    fn end_runs(&mut self, key: &str, why: &'static str, fx: &mut Effects) {
        for number in self.runs.of_session(key).into_iter().rev() {
            self.cancel_run(number, why, fx);
        }
    }

    /// `{key, deleteTranscript?…}` -> `{ok, key, deleted, archived: [paths]}`.
    pub(in crate::gateway::rpc) fn sessions_delete(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let (key, agent) = self.target(text(params, "key"), text(params, "agentId"))?;
        if key == key::main(&agent, &self.config.session.main_key) {
            return Err(ErrorShape::invalid(format!("Cannot delete the main session ({key}).")));
        }
        self.is_expected(&key, params)?;
        let entry = self.sessions.get(&key);
        if let (Some(wanted), Some(entry)) = (params.get("expectedSessionUpdatedAt"), entry)
            && wanted.as_u64() != Some(entry.updated_at)
        {
            return Err(ErrorShape::invalid(format!("session {key} has changed since")));
        }
        if flag(params, "archivedOnly") && entry.is_some_and(|entry| !entry.is_archived()) {
            return Err(ErrorShape::invalid(format!("session {key} is not archived")));
        }
        self.end_runs(&key, "deleted", fx);
        let now_ms = self.now.wall_ms;
        let removed = self.sessions.remove(self.disk.as_mut(), &key, now_ms);
        let removed = removed.map_err(|error| not_put_aside(&key, &error))?;
        self.save_soon();
        let asked = params.get("deleteTranscript") != Some(&Value::Bool(false));
        let archived: Vec<_> =
            removed.iter().filter_map(|(_, path)| path.as_ref()).filter(|_| asked).collect();
        let value = json!({
            "ok": true, "key": key, "deleted": removed.is_some(), "archived": archived,
        });
        self.respond_ok(conn, request, &value, fx);
        if let Some((entry, _)) = &removed {
            let more = json!({"sessionId": entry.session_id});
            self.tell_session(&key, Some("delete"), &more, fx);
        }
        Ok(Answer::Handled)
    }

    /// The first message of a session that was just created.
    fn first_message(
        &mut self,
        conn: ConnId,
        key: &str,
        id: &str,
        message: &str,
        params: &Params,
    ) -> Result<(), ErrorShape> {
        let mut send = Map::new();
        send.insert("sessionKey".to_owned(), json!(key));
        send.insert("message".to_owned(), json!(message));
        send.insert("idempotencyKey".to_owned(), json!(id));
        if let Some(attachments) = params.get("attachments") {
            send.insert("attachments".to_owned(), attachments.clone());
        }
        self.accept_chat(conn, &send, None).map(|_| ())
    }
}

impl Change {
    fn apply(self, entry: &mut Entry, now_ms: u64) {
        if let Some(label) = self.label {
            entry.label = label;
        }
        if let Some(model) = self.model {
            let (provider, model) = model.unzip();
            entry.provider_override = provider;
            entry.model_override = model;
        }
        if let Some(level) = self.thinking {
            entry.thinking_level = level;
        }
        for (name, value) in self.fields {
            entry.set(name, value);
        }
        entry.updated_at = entry.updated_at.max(now_ms);
    }
}

fn not_put_aside(key: &str, error: &io::Error) -> ErrorShape {
    ErrorShape::unavailable(format!(
        "session {key} stands as it was: its transcript cannot be renamed ({error}); check the \
         state directory's disk and permissions"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AuthMode;
    use crate::driver::{Now, Time};
    use crate::gateway::fuzz::{Memory, boot};
    use crate::gateway::runs::{Cause, NewRun};
    use std::rc::Rc;

    /// 2026-11-22, midnight.
    const DAY: u64 = 1_795_305_600_000;
    const HOUR: u64 = 3_600_000;
    const KEY: &str = "agent:main:main";

    fn gateway(change: impl FnOnce(&mut crate::config::Config)) -> Gateway {
        let now = Now { time: Time(1), wall_ms: DAY + HOUR };
        let mut gateway = boot(0, AuthMode::None, &Memory::default(), now);
        let mut config = (*gateway.config).clone();
        change(&mut config);
        gateway.config = Rc::new(config);
        gateway
    }

    /// Says something in a session at this time; the embedded model answers. The session's id.
    fn say(gateway: &mut Gateway, key: &str, id: &str, wall_ms: u64) -> String {
        gateway.now.wall_ms = wall_ms;
        let new = NewRun {
            message: Some("hi".to_owned()),
            ..NewRun::new(id.to_owned(), Cause::Chat, key.to_owned(), "main".to_owned())
        };
        assert!(gateway.accept_run(new).is_ok());
        gateway.begin_accepted(&mut Effects::new());
        gateway.sessions.get(key).map(|entry| entry.session_id.clone()).unwrap_or_default()
    }

    fn messages(gateway: &Gateway, key: &str) -> usize {
        gateway.sessions.messages(gateway.disk.as_ref(), key).map_or(0, |all| all.len())
    }

    #[test]
    fn the_next_message_after_the_hour_begins_anew() {
        let mut gateway = gateway(|config| config.session.reset.daily_at_hour = Some(4));
        let first = say(&mut gateway, KEY, "a", DAY + HOUR);
        assert_eq!(say(&mut gateway, KEY, "b", DAY + 3 * HOUR), first);
        assert_eq!(messages(&gateway, KEY), 4);
        let second = say(&mut gateway, KEY, "c", DAY + 4 * HOUR);
        assert_ne!(second, first);
        assert_eq!(messages(&gateway, KEY), 2, "the old transcript is put aside");
        let entry = gateway.sessions.get(KEY).expect("there");
        assert_eq!(entry.word("previousSessionId"), Some(first.as_str()));
        assert_eq!(say(&mut gateway, KEY, "d", DAY + 27 * HOUR), second);
        assert_ne!(say(&mut gateway, KEY, "e", DAY + 28 * HOUR), second);
    }

    #[test]
    fn silence_ends_a_conversation_by_its_type() {
        let idle = crate::config::SessionReset { daily_at_hour: None, idle_minutes: Some(30) };
        let mut gateway = gateway(|config| {
            config.session.reset_by_type.insert("group".to_owned(), idle);
        });
        let group = "agent:main:irc:group:x";
        for key in [KEY, group] {
            say(&mut gateway, key, &format!("{key}1"), DAY);
            say(&mut gateway, key, &format!("{key}2"), DAY + HOUR / 2);
            say(&mut gateway, key, &format!("{key}3"), DAY + 2 * HOUR);
        }
        assert_eq!((messages(&gateway, KEY), messages(&gateway, group)), (6, 2));
    }

    #[test]
    fn sessions_beyond_the_cap_make_room() {
        let mut gateway = gateway(|config| config.session.max_entries = 10);
        for n in 0..12 {
            let kind = if n < 2 { "openai:" } else { "talk" };
            say(&mut gateway, &format!("agent:main:{kind}{n}"), &format!("r{n}"), DAY + n);
        }
        let row = |key: &str| gateway.sessions.get(key).map(Entry::is_archived);
        assert_eq!(row("agent:main:openai:0"), None, "nobody comes back to it");
        assert_eq!(row("agent:main:openai:1"), None);
        assert_eq!(row("agent:main:talk2"), Some(false));
        assert_eq!(row("agent:main:talk11"), Some(false));
    }
}
