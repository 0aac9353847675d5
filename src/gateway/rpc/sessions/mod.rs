//! `sessions.*`: what there is, what is said of it, and who hears of changes (FACTS.md
//! sections 4 and 7).
//!
//! Rows are made for the page only. What needs a transcript, a title or the last message, is
//! read for at most [`limits::SESSION_PREVIEWS`] rows of it and from a bounded piece of the
//! file.

mod look;
mod row;
mod write;

use super::super::Gateway;
use super::super::broadcast::To;
use super::super::runs::{Asker, TOO_SMALL};
use super::super::socket::Answer;
use super::{Handled, Params, count, number, text};
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::sessions::{Entry, Order, Query, Shelf, key};
use row::Extras;
use serde_json::{Value, json};

/// Rows without `limit`.
const ROWS: usize = 100;

fn flag(params: &Params, name: &str) -> bool {
    params.get(name) == Some(&Value::Bool(true))
}

impl Gateway {
    /// Pinned ones first, then the newest; filtered and paged.
    pub(super) fn sessions_list(&self, params: &Params) -> Value {
        let limit = count(params, "limit", ROWS).min(limits::SESSION_ROWS);
        let offset = count(params, "offset", 0);
        let agent = text(params, "agentId").map(str::to_ascii_lowercase);
        let search = text(params, "search").map(str::trim).map(str::to_lowercase);
        let since_ms = number(params, "activeMinutes")
            .map(|minutes| self.now.wall_ms.saturating_sub(minutes.saturating_mul(60_000)));
        let also = |key: &str, entry: &Entry| self.is_listed(key, entry, params);
        let found = self.sessions.find(&Query {
            agent: agent.as_deref(),
            shelf: match params.get("archived") {
                Some(Value::Bool(true)) => Shelf::Archived,
                Some(Value::String(_)) => Shelf::All,
                _ => Shelf::Active,
            },
            label: text(params, "label"),
            search: search.as_deref().filter(|search| !search.is_empty()),
            since_ms,
            also: Some(&also),
            order: match text(params, "sortBy") {
                Some("lastInteractionAt") => Order::Interaction,
                _ => Order::Updated,
            },
            offset,
            limit,
        });
        let extras = Extras {
            title: flag(params, "includeDerivedTitles"),
            last_message: flag(params, "includeLastMessage"),
        };
        let rows: Vec<Value> = found
            .keys
            .iter()
            .enumerate()
            .map(|(n, key)| match n < limits::SESSION_PREVIEWS {
                true => self.session_row_with(key, extras),
                false => self.session_row(key),
            })
            .collect();
        let next = offset.saturating_add(rows.len());
        let default = self.config.agents.default_agent();
        let (model, window) = self.default_model(default);
        let (provider, model) = model.split_once('/').unwrap_or(("", &model));
        json!({
            "ts": self.now.wall_ms, "path": self.sessions.index_path(default),
            "count": rows.len(), "totalCount": found.total, "limitApplied": limit,
            "nextOffset": (next < found.total).then_some(next), "hasMore": next < found.total,
            "owners": [],
            "defaults": {"modelProvider": provider, "model": model, "contextTokens": window},
            "sessions": rows,
        })
    }

    /// The conditions of `sessions.list` that the index does not know by itself.
    fn is_listed(&self, key: &str, entry: &Entry, params: &Params) -> bool {
        let same = |name: &str, held: Option<&str>| {
            text(params, name).is_none_or(|wanted| held == Some(wanted))
        };
        let actor = |field: &str| {
            entry.extra.get(field).and_then(|actor| {
                actor.pointer("/actor/id").or_else(|| actor.get("id")).and_then(Value::as_str)
            })
        };
        let agent = key::agent_of(key).unwrap_or_default();
        let global = key::rest_of(key) == Some("global");
        same("spawnedBy", entry.word("spawnedBy"))
            && same("boardFace", entry.word("boardFace").or(Some("chat")))
            && same("creatorId", actor("createdActor"))
            && same("ownerId", actor("owner"))
            && same("involvingProfileId", None)
            && (!flag(params, "configuredAgentsOnly") || self.config.agents.has(agent))
            && (!flag(params, "requireLastInteraction") || entry.last_interaction_at.is_some())
            && (!global || params.get("includeGlobal") != Some(&Value::Bool(false)))
    }

    /// `{key?, runId?}`: cancels by session or by run.
    pub(super) fn sessions_abort(&mut self, params: &Params, fx: &mut Effects) -> Handled {
        let run_id = text(params, "runId");
        let key = match (text(params, "key"), run_id) {
            (Some(key), _) => self.target(Some(key), text(params, "agentId"))?.0,
            (None, Some(run)) => {
                self.runs.by_id(run).map(|run| run.key.clone()).unwrap_or_default()
            }
            (None, None) => return Err(ErrorShape::invalid("key or runId required")),
        };
        let aborted = self.abort_session(&key, run_id, fx);
        let first = aborted.run_ids.first();
        let status = if first.is_some() { "aborted" } else { "no-active-run" };
        Ok(Answer::Value(json!({"ok": true, "abortedRunId": first, "status": status})))
    }

    /// `{key}` -> `{ok, key, compacted, reason?, result?}`, when the summary is written.
    pub(super) fn sessions_compact(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
    ) -> Handled {
        let (key, agent) = self.target(text(params, "key"), text(params, "agentId"))?;
        let asker = Asker::Rpc(conn, request.to_owned());
        let id = self.uuid();
        match self.start_compaction((&key, &agent), (id, [0; 32]), "", asker, false)? {
            true => Ok(Answer::Handled),
            false => Ok(Answer::Value(json!({
                "ok": false, "key": key, "compacted": false, "reason": TOO_SMALL,
            }))),
        }
    }

    /// `sessions.send {key, message, idempotencyKey?}`: `chat.send` under another name.
    pub(super) fn sessions_send(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let mut params = params.clone();
        let key = params.remove("key").unwrap_or_default();
        params.insert("sessionKey".to_owned(), key);
        if text(&params, "idempotencyKey").is_none() {
            let id = self.uuid();
            params.insert("idempotencyKey".to_owned(), id.into());
        }
        self.chat_send(conn, request, &params, fx)
    }

    /// `session.message` and `sessions.changed` of every session; with parameters of
    /// `sessions.list` also the list.
    pub(super) fn sessions_subscribe(&mut self, conn: ConnId, params: &Params, on: bool) -> Value {
        if let Some(client) = self.conns.client_mut(conn) {
            client.all_sessions = on;
        }
        let mut value = json!({"subscribed": on});
        if on && !params.is_empty() {
            value["list"] = self.sessions_list(params);
        }
        value
    }

    /// `session.message` of one session.
    pub(super) fn messages_subscribe(
        &mut self,
        conn: ConnId,
        params: &Params,
        on: bool,
    ) -> Handled {
        let (key, _) = self.target(text(params, "key"), text(params, "agentId"))?;
        if let Some(client) = self.conns.client_mut(conn) {
            client.sessions.retain(|known| *known != key);
            if on {
                if client.sessions.len() >= limits::SUBSCRIPTIONS {
                    return Err(ErrorShape::invalid(format!(
                        "this connection follows {} sessions; unsubscribe one, or call \
                         sessions.subscribe for all",
                        limits::SUBSCRIPTIONS
                    )));
                }
                client.sessions.push(key.clone());
            }
        }
        let key = Value::from(key);
        Ok(Answer::Json(format!(r#"{{"subscribed":{on},"key":{key}}}"#).into_bytes()))
    }

    /// `sessions.changed`, for those that follow all sessions. `more` holds what the reason
    /// brings along: `phase`, `runId`, `messageId`.
    pub(in crate::gateway) fn tell_session(
        &mut self,
        key: &str,
        reason: Option<&str>,
        more: &Value,
        fx: &mut Effects,
    ) {
        if !self.conns.any_follows_sessions() {
            return;
        }
        let row = self.session_row(key);
        let (agent, ts) = (key::agent_of(key).unwrap_or_default().to_owned(), self.now.wall_ms);
        self.broadcast("sessions.changed", To::Sessions, fx, &|_| {
            // Older clients read the row's fields in the payload itself.
            let mut payload = row.as_object().cloned().unwrap_or_default();
            payload.remove("key");
            payload.extend(more.as_object().cloned().unwrap_or_default());
            if let Some(reason) = reason {
                payload.insert("reason".to_owned(), json!(reason));
            }
            if !row.is_null() {
                payload.insert("session".to_owned(), row.clone());
            }
            payload.insert("sessionKey".to_owned(), json!(key));
            payload.insert("agentId".to_owned(), json!(agent));
            payload.insert("ts".to_owned(), json!(ts));
            Some(Value::Object(payload))
        });
    }

    /// The session and message that a run brings: who takes part, and when something was said.
    pub(in crate::gateway) fn touch_session(&mut self, key: &str, client: Option<&str>) {
        let now_ms = self.now.wall_ms;
        if let Some(entry) = self.sessions.get_mut(key) {
            entry.touch(client, now_ms);
        }
    }
}
