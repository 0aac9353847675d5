//! `sessions.list`, `sessions.abort` and the subscriptions (FACTS.md section 7).

use super::super::Gateway;
use super::super::socket::Answer;
use super::{Handled, Params, count, number, text};
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::sessions::key;
use serde_json::{Map, Value, json};

/// Rows without `limit`.
const ROWS: usize = 100;

impl Gateway {
    /// One row of `sessions.list`; `null` for an unknown key.
    pub(in crate::gateway) fn session_row(&self, session: &str) -> Value {
        let Some(entry) = self.sessions.get(session) else { return Value::Null };
        let agent = key::agent_of(session).unwrap_or_default();
        let active: Vec<String> = self
            .runs
            .of_session(session)
            .into_iter()
            .filter_map(|number| self.runs.get(number))
            .map(|run| run.id.clone())
            .collect();
        let main = key::main(agent, &self.config.session.main_key);
        let mut row = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                row.insert(name.to_owned(), value);
            }
        };
        put("key", json!(session));
        put("kind", json!("direct"));
        put("classification", json!("direct"));
        put("agentId", json!(agent));
        put("isMain", json!(session == main));
        put("sessionId", json!(entry.session_id));
        put("label", json!(entry.label));
        put("chatType", json!(entry.chat_type));
        put("updatedAt", json!(entry.updated_at));
        put("createdAt", json!(entry.created_at));
        put("archived", json!(false));
        put("pinned", json!(false));
        put("unread", json!(false));
        put("abortedLastRun", json!(entry.aborted_last_run));
        put("status", json!(entry.status));
        put("startedAt", json!(entry.started_at));
        put("endedAt", json!(entry.ended_at));
        put("runtimeMs", json!(entry.runtime_ms));
        put("lastRunId", json!(entry.last_run_id));
        put("hasActiveRun", json!(!active.is_empty()));
        put("activeRunIds", json!(active));
        put("modelProvider", json!(entry.model_provider));
        put("model", json!(entry.model));
        put("inputTokens", json!(entry.input_tokens));
        put("outputTokens", json!(entry.output_tokens));
        put("totalTokens", json!(entry.total_tokens));
        Value::Object(row)
    }

    /// Newest first, filtered and paged.
    pub(super) fn sessions_list(&self, params: &Params) -> Value {
        let limit = count(params, "limit", ROWS);
        let offset = count(params, "offset", 0);
        let agent = text(params, "agentId");
        let label = text(params, "label");
        let search = text(params, "search").map(str::to_lowercase);
        let since = number(params, "activeMinutes")
            .map(|minutes| self.now.wall_ms.saturating_sub(minutes.saturating_mul(60_000)));
        let all: Vec<&str> = self
            .sessions
            .list()
            .into_iter()
            .filter(|(session, entry)| {
                agent.is_none_or(|agent| key::agent_of(session) == Some(agent))
                    && label.is_none_or(|label| entry.label.as_deref() == Some(label))
                    && since.is_none_or(|since| entry.updated_at >= since)
                    && search.as_ref().is_none_or(|search| {
                        let label = entry.label.as_deref().unwrap_or_default();
                        session.to_lowercase().contains(search)
                            || label.to_lowercase().contains(search)
                    })
            })
            .map(|(session, _)| session)
            .collect();
        let total = all.len();
        let rows: Vec<Value> =
            all.into_iter().skip(offset).take(limit).map(|key| self.session_row(key)).collect();
        let next = offset + rows.len();
        let default = self.config.agents.default_agent();
        let (model, window) = self.default_model(default);
        let (provider, model) = model.split_once('/').unwrap_or(("", &model));
        json!({
            "ts": self.now.wall_ms, "path": self.sessions.index_path(default),
            "count": rows.len(), "totalCount": total, "limitApplied": limit,
            "nextOffset": (next < total).then_some(next), "hasMore": next < total, "owners": [],
            "defaults": {"modelProvider": provider, "model": model, "contextTokens": window},
            "sessions": rows,
        })
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
}
