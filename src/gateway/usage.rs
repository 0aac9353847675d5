//! What runs cost: counted as messages reach a transcript, told by `usage.cost`,
//! `sessions.usage` and its likes.
//!
//! Prices are `models.providers.<id>.models[].cost`, US dollars per million tokens; a message
//! keeps what it cost when it was written. Days are UTC.

use super::Gateway;
use super::rpc::chat::shown;
use super::socket::Answer;
use crate::agent::Usage as Tokens;
use crate::agent::turn::text_of;
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::sessions::key;
use crate::sessions::transcript::Record;
use crate::sessions::usage::{Messages, Row, Totals};
use crate::wire::text::{date, date_ms};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::ControlFlow;

type Params = Map<String, Value>;
type Handled = Result<Answer, ErrorShape>;

const DAY_MS: u64 = 86_400_000;
/// Days of a request that names none (reference: 30).
const DAYS: u64 = 30;
/// Sessions of `sessions.usage` without `limit` (reference: 50).
const SESSIONS: usize = 50;

/// The days a request asks for, both included.
struct Span {
    first: u64,
    days: u64,
}

impl Span {
    fn dates(&self) -> impl Iterator<Item = String> {
        let first = self.first;
        (0..self.days).map(move |n| date(first + n * DAY_MS))
    }

    fn last(&self) -> u64 {
        self.first + self.days.saturating_sub(1) * DAY_MS
    }
}

/// Everything that rows of one kind come to.
#[derive(Default)]
struct Sum {
    totals: Totals,
    messages: Messages,
    count: u64,
    tools: BTreeMap<String, u64>,
    first: u64,
    last: u64,
}

impl Sum {
    fn add(&mut self, row: &Row) {
        self.totals.add(&row.totals);
        self.messages.add(row.messages);
        self.count += row.count;
        for (tool, count) in &row.tools {
            *self.tools.entry(tool.clone()).or_default() += count;
        }
        if self.first == 0 || row.first < self.first {
            self.first = row.first;
        }
        self.last = self.last.max(row.last);
    }

    fn tool_usage(&self) -> Value {
        let mut tools: Vec<(&String, &u64)> = self.tools.iter().collect();
        tools.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let rows: Vec<Value> =
            tools.iter().map(|(name, count)| json!({"name": name, "count": count})).collect();
        json!({
            "totalCalls": self.tools.values().sum::<u64>(), "uniqueTools": rows.len(),
            "tools": rows,
        })
    }
}

/// A row of totals with a name before it.
fn named(name: &str, value: &str, totals: &Totals) -> Value {
    let mut row = serde_json::to_value(totals).unwrap_or_default();
    row[name] = json!(value);
    row
}

impl Gateway {
    /// What tokens of a model cost, as the `cost` of a message's usage. Unknown models cost
    /// nothing.
    pub(super) fn cost_of(&self, provider: &str, model: &str, usage: &Tokens) -> Value {
        let found = self.config.models.providers.get(provider);
        let found = found.and_then(|found| found.models.iter().find(|known| known.id == model));
        let price = found.map(|model| model.cost).unwrap_or_default();
        // Counts of tokens are far below what a float holds exactly.
        #[expect(clippy::cast_precision_loss, reason = "token counts stay below 2^52")]
        let cost = |tokens: u64, price: f64| tokens as f64 * price / 1_000_000.0;
        let plain = usage.input.saturating_sub(usage.cache_read).saturating_sub(usage.cache_write);
        let input = cost(plain, price.input);
        let output = cost(usage.output, price.output);
        let read = cost(usage.cache_read, price.cache_read);
        let written = cost(usage.cache_write, price.cache_write);
        json!({
            "input": input, "output": output, "cacheRead": read, "cacheWrite": written,
            "total": input + output + read + written,
        })
    }

    /// Counts a message that was just appended.
    pub(super) fn count_usage(&mut self, key: &str, message: &Value) {
        let now_ms = self.now.wall_ms;
        let field = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        if message.pointer("/__openclaw/command").is_some() {
            return;
        }
        let role = field("role");
        let said = u64::from(role == "assistant");
        let mut row = Row {
            key: key.to_owned(),
            first: now_ms,
            last: now_ms,
            messages: Messages {
                total: u64::from(matches!(role.as_str(), "user" | "assistant")),
                user: u64::from(role == "user"),
                assistant: said,
                tool_results: u64::from(role == "toolResult"),
                errors: u64::from(message.get("errorMessage").is_some()),
                tool_calls: 0,
            },
            ..Row::default()
        };
        if message.get("usage").is_some() {
            row.count = 1;
            row.provider = field("provider");
            row.model = field("model");
            row.totals = totals_of(message);
            self.tokens_counted(&row.totals);
            let known = self.config.models.providers.get(&row.provider);
            let known = known.is_some_and(|known| known.models.iter().any(|m| m.id == row.model));
            let free = row.totals.total_tokens == 0 || row.provider == "local";
            row.totals.missing_cost_entries = u64::from(!known && !free);
            let parts = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
            for part in parts.iter().filter(|part| part["type"] == "toolCall") {
                row.messages.tool_calls += 1;
                let name: String =
                    part["name"].as_str().unwrap_or_default().chars().take(64).collect();
                *row.tools.entry(name).or_default() += 1;
            }
        }
        if let Some(entry) = self.sessions.get_mut(key) {
            row.session_id = entry.session_id.clone();
            let before = entry.extra.get("estimatedCostUsd").and_then(Value::as_f64);
            if row.count == 1 {
                let cost = before.unwrap_or_default() + row.totals.total_cost;
                entry.set("estimatedCostUsd", json!(cost));
            }
        }
        let day = date(now_ms);
        self.usage.note(self.disk.as_mut(), &day, row);
    }

    /// The span of `startDate`, `endDate`, `days` and `range`.
    fn span(&self, params: &Params) -> Result<Span, ErrorShape> {
        let today = self.now.wall_ms / DAY_MS * DAY_MS;
        let day = |name: &str| match params.get(name).and_then(Value::as_str) {
            None => Ok(None),
            Some(text) => date_ms(text).map(Some).ok_or_else(|| {
                ErrorShape::invalid(format!("{name}: \"{text}\" is no date; write YYYY-MM-DD"))
            }),
        };
        let last = day("endDate")?.unwrap_or(today);
        let count = match params.get("range").and_then(Value::as_str) {
            Some("7d") => 7,
            Some("90d") => 90,
            Some("1y") => 365,
            Some("all") => {
                let first = self.usage.first_day(self.disk.as_ref());
                let first = first.and_then(|first| date_ms(&first)).unwrap_or(last);
                last.saturating_sub(first) / DAY_MS + 1
            }
            _ => params.get("days").and_then(Value::as_u64).unwrap_or(DAYS),
        };
        let count = count.clamp(1, limits::USAGE_DAYS);
        let first = day("startDate")?.unwrap_or(last.saturating_sub((count - 1) * DAY_MS));
        if first > last {
            return Err(ErrorShape::invalid("startDate is after endDate"));
        }
        let days = ((last - first) / DAY_MS + 1).min(limits::USAGE_DAYS);
        Ok(Span { first: last - (days - 1) * DAY_MS, days })
    }

    fn usage_rows(&self, day: &str, agent: Option<&str>) -> Vec<Row> {
        let mut rows = self.usage.read(self.disk.as_ref(), day);
        rows.retain(|row| agent.is_none_or(|agent| key::agent_of(&row.key) == Some(agent)));
        rows
    }

    /// `{days | startDate, endDate, agentId?}` -> `{updatedAt, days, daily, totals}`.
    pub(super) fn usage_cost(&self, params: &Params) -> Handled {
        let span = self.span(params)?;
        let agent = params.get("agentId").and_then(Value::as_str).map(str::to_ascii_lowercase);
        let mut all = Totals::default();
        let daily: Vec<Value> = span
            .dates()
            .map(|day| {
                let mut totals = Totals::default();
                for row in self.usage_rows(&day, agent.as_deref()) {
                    totals.add(&row.totals);
                }
                all.add(&totals);
                named("date", &day, &totals)
            })
            .collect();
        Ok(Answer::Value(json!({
            "updatedAt": self.now.wall_ms, "days": span.days, "daily": daily, "totals": all,
            "cacheStatus": self.cache_status(),
        })))
    }

    /// The figures are counted as they come: there is nothing to refresh.
    fn cache_status(&self) -> Value {
        json!({
            "status": "fresh", "cachedFiles": 0, "pendingFiles": 0, "staleFiles": 0,
            "refreshedAt": self.now.wall_ms,
        })
    }

    /// `usage.status`: quotas that providers report; none of the built-in ones does.
    pub(super) fn usage_status(&self) -> Value {
        json!({"updatedAt": self.now.wall_ms, "providers": []})
    }

    /// `{key?, agentId?, startDate?, endDate?, range?, limit?}`: figures by session.
    pub(super) fn sessions_usage(&self, params: &Params) -> Handled {
        let span = self.span(params)?;
        let agent = params.get("agentId").and_then(Value::as_str).map(str::to_ascii_lowercase);
        let only = match params.get("key").and_then(Value::as_str) {
            Some(key) => Some(self.target(Some(key), None)?.0),
            None => None,
        };
        let mut rows: Vec<(String, Row)> = Vec::new();
        for day in span.dates() {
            let found = self.usage_rows(&day, agent.as_deref()).into_iter();
            let wanted = found.filter(|row| only.as_ref().is_none_or(|key| *key == row.key));
            rows.extend(wanted.map(|row| (day.clone(), row)));
        }
        let mut by_session: BTreeMap<&str, Vec<(&str, &Row)>> = BTreeMap::new();
        for (day, row) in rows.iter().filter(|(_, row)| !row.key.is_empty()) {
            by_session.entry(&row.key).or_default().push((day, row));
        }
        let limit = params.get("limit").and_then(Value::as_u64);
        let limit = limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(SESSIONS);
        let mut sessions: Vec<(u64, Value)> =
            by_session.iter().map(|(key, rows)| self.session_usage(key, rows)).collect();
        sessions.sort_by_key(|(last, _)| std::cmp::Reverse(*last));
        let count = sessions.len();
        sessions.truncate(limit.min(limits::SESSION_ROWS));
        let sessions: Vec<Value> = sessions.into_iter().map(|(_, value)| value).collect();
        let mut all = Sum::default();
        rows.iter().for_each(|(_, row)| all.add(row));
        Ok(Answer::Value(json!({
            "updatedAt": self.now.wall_ms, "startDate": date(span.first),
            "endDate": date(span.last()), "sessions": sessions, "totals": all.totals,
            "aggregates": aggregates(&rows, &all, count), "creatorOptions": [],
            "cacheStatus": self.cache_status(),
        })))
    }

    fn session_usage(&self, session: &str, rows: &[(&str, &Row)]) -> (u64, Value) {
        let mut sum = Sum::default();
        rows.iter().for_each(|(_, row)| sum.add(row));
        let entry = self.sessions.get(session);
        let known = rows.last().map(|(_, row)| row.session_id.as_str()).unwrap_or_default();
        let id = entry.map_or(known, |entry| entry.session_id.as_str());
        let mut days: BTreeMap<&str, Sum> = BTreeMap::new();
        rows.iter().for_each(|(day, row)| days.entry(day).or_default().add(row));
        let breakdown: Vec<Value> = days
            .iter()
            .map(|(day, sum)| {
                let totals = &sum.totals;
                json!({"date": day, "tokens": totals.total_tokens, "cost": totals.total_cost})
            })
            .collect();
        let counts: Vec<Value> = days
            .iter()
            .map(|(day, sum)| {
                let mut row = json!(sum.messages);
                row["date"] = json!(day);
                row
            })
            .collect();
        let mut usage = json!(sum.totals);
        usage["firstActivity"] = json!(sum.first);
        usage["lastActivity"] = json!(sum.last);
        usage["durationMs"] = json!(sum.last.saturating_sub(sum.first));
        usage["activityDates"] = json!(days.keys().collect::<Vec<_>>());
        usage["dailyBreakdown"] = json!(breakdown);
        usage["dailyMessageCounts"] = json!(counts);
        usage["messageCounts"] = json!(sum.messages);
        usage["toolUsage"] = sum.tool_usage();
        usage["modelUsage"] = by_model(rows.iter().map(|(_, row)| *row));
        let mut value = json!({
            "key": session, "sessionId": id, "scope": "instance", "updatedAt": sum.last,
            "agentId": key::agent_of(session), "usage": usage, "hasContextWeight": false,
        });
        if let Some(entry) = entry {
            let (provider, model) =
                self.session_model(key::agent_of(session).unwrap_or_default(), entry);
            value["modelProvider"] = json!(provider);
            value["model"] = json!(model);
            if let Some(label) = &entry.label {
                value["label"] = json!(label);
            }
        }
        (sum.last, value)
    }

    /// The newest answers of a session that used tokens, oldest first.
    fn counted(
        &self,
        params: &Params,
        at_most: usize,
    ) -> Result<(String, Vec<Record>), ErrorShape> {
        let (key, _) = self.target(
            params.get("key").and_then(Value::as_str),
            params.get("agentId").and_then(Value::as_str),
        )?;
        let mut records = Vec::new();
        let mut bytes = 0;
        let walked = self.sessions.walk_back(self.disk.as_ref(), &key, &mut |record| {
            bytes += crate::agent::value_bytes(&record.message);
            records.push(record);
            match records.len() >= at_most || bytes > limits::CONTEXT_BYTES {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        walked.map_err(|error| {
            ErrorShape::unavailable(format!("the transcript of {key} cannot be read: {error}"))
        })?;
        records.reverse();
        Ok((key, records))
    }

    /// `{key}` -> `{sessionId, points}`: tokens and cost of each answer, and up to it.
    pub(super) fn usage_timeseries(&self, params: &Params) -> Handled {
        let (key, records) = self.counted(params, limits::USAGE_POINTS)?;
        let mut sum = Totals::default();
        let points: Vec<Value> = records
            .iter()
            .filter(|record| record.message.get("usage").is_some())
            .map(|record| {
                let totals = totals_of(&record.message);
                sum.add(&totals);
                json!({
                    "timestamp": record.message["timestamp"], "input": totals.input,
                    "output": totals.output, "cacheRead": totals.cache_read,
                    "cacheWrite": totals.cache_write, "totalTokens": totals.total_tokens,
                    "cost": totals.total_cost, "cumulativeTokens": sum.total_tokens,
                    "cumulativeCost": sum.total_cost,
                })
            })
            .collect();
        let id = self.sessions.get(&key).map(|entry| entry.session_id.clone());
        Ok(Answer::Value(json!({"sessionId": id, "points": points})))
    }

    /// `{key, limit?}` -> `{logs}`: what was said, with its tokens and cost.
    pub(super) fn usage_logs(&self, params: &Params) -> Handled {
        let limit = params.get("limit").and_then(Value::as_u64).unwrap_or(200);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(limits::USAGE_POINTS);
        let (_, records) = self.counted(params, limit)?;
        let logs: Vec<Value> = records
            .into_iter()
            .map(|record| {
                let totals = totals_of(&record.message);
                let message = shown(record.message, &record.id, 0);
                let text: String =
                    text_of(&message["content"]).chars().take(limits::USAGE_TEXT).collect();
                let mut log = json!({
                    "timestamp": message["timestamp"], "role": message["role"], "content": text,
                });
                if message.get("usage").is_some() {
                    log["tokens"] = json!(totals.total_tokens);
                    log["cost"] = json!(totals.total_cost);
                }
                log
            })
            .collect();
        Ok(Answer::Value(json!({"logs": logs})))
    }

    /// What `/usage` says of a session.
    pub(super) fn usage_text(&self, session: &str) -> String {
        let entry = self.sessions.get(session);
        let of = |value: Option<u64>| value.unwrap_or(0);
        let (input, output, total) = entry.map_or((0, 0, 0), |entry| {
            (of(entry.input_tokens), of(entry.output_tokens), of(entry.total_tokens))
        });
        let cost = entry.and_then(|entry| entry.extra.get("estimatedCostUsd")?.as_f64());
        let mut text = format!("Last run: {input} tokens in, {output} out, {total} in all.");
        let _ = write!(text, " This session: ${:.4}.", cost.unwrap_or_default());
        let mut today = Totals::default();
        for row in self.usage.read(self.disk.as_ref(), &date(self.now.wall_ms)) {
            today.add(&row.totals);
        }
        let _ = write!(
            text,
            " Today, all sessions: {} tokens, ${:.4}.",
            today.total_tokens, today.total_cost
        );
        text
    }
}

/// Tokens and cost that a message says of itself.
fn totals_of(message: &Value) -> Totals {
    let usage = &message["usage"];
    let count = |name: &str| usage[name].as_u64().unwrap_or_default();
    let cost = |name: &str| {
        let cost = usage["cost"][name].as_f64().unwrap_or_default();
        if cost.is_finite() { cost } else { 0.0 }
    };
    Totals {
        input: count("input"),
        output: count("output"),
        cache_read: count("cacheRead"),
        cache_write: count("cacheWrite"),
        total_tokens: count("totalTokens"),
        total_cost: cost("total"),
        input_cost: cost("input"),
        output_cost: cost("output"),
        cache_read_cost: cost("cacheRead"),
        cache_write_cost: cost("cacheWrite"),
        missing_cost_entries: 0,
    }
}

fn by_model<'a>(rows: impl Iterator<Item = &'a Row>) -> Value {
    let mut models: BTreeMap<(&str, &str), Sum> = BTreeMap::new();
    for row in rows.filter(|row| row.count > 0) {
        models.entry((&row.provider, &row.model)).or_default().add(row);
    }
    models
        .iter()
        .map(|((provider, model), sum)| {
            json!({
                "provider": provider, "model": model, "count": sum.count, "totals": sum.totals,
            })
        })
        .collect()
}

fn aggregates(rows: &[(String, Row)], all: &Sum, sessions: usize) -> Value {
    let mut providers: BTreeMap<&str, Sum> = BTreeMap::new();
    let mut agents: BTreeMap<&str, Sum> = BTreeMap::new();
    let mut days: BTreeMap<&str, Sum> = BTreeMap::new();
    let mut model_days: BTreeMap<(&str, &str, &str), Sum> = BTreeMap::new();
    for (day, row) in rows {
        days.entry(day).or_default().add(row);
        agents.entry(key::agent_of(&row.key).unwrap_or_default()).or_default().add(row);
        if row.count > 0 {
            providers.entry(&row.provider).or_default().add(row);
            model_days.entry((day, &row.provider, &row.model)).or_default().add(row);
        }
    }
    let active: BTreeSet<&str> = days.keys().copied().collect();
    json!({
        "sessionCount": sessions, "messages": all.messages, "tools": all.tool_usage(),
        "byModel": by_model(rows.iter().map(|(_, row)| row)),
        "byProvider": providers.iter().map(|(provider, sum)| json!({
            "provider": provider, "count": sum.count, "totals": sum.totals,
        })).collect::<Vec<_>>(),
        "byAgent": agents.iter().map(|(agent, sum)| json!({
            "agentId": agent, "totals": sum.totals,
        })).collect::<Vec<_>>(),
        "byChannel": [], "byCreator": [],
        "costDaily": days.iter().map(|(day, sum)| named("date", day, &sum.totals))
            .collect::<Vec<_>>(),
        "modelDaily": model_days.iter().map(|((day, provider, model), sum)| json!({
            "date": day, "provider": provider, "model": model,
            "tokens": sum.totals.total_tokens, "cost": sum.totals.total_cost, "count": sum.count,
        })).collect::<Vec<_>>(),
        "daily": active.iter().filter_map(|day| Some((day, days.get(day)?))).map(|(day, sum)| json!({
            "date": day, "tokens": sum.totals.total_tokens, "cost": sum.totals.total_cost,
            "messages": sum.messages.total, "toolCalls": sum.messages.tool_calls,
            "errors": sum.messages.errors,
        })).collect::<Vec<_>>(),
    })
}
