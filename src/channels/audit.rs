//! The audit of an account: may it read and write in the conversations that the configuration
//! names? Asked by `channels.status` with `probe`, one conversation after the other, beside the
//! account's own work.
//!
//! A kind names the conversations by their ids and answers for each; [`Audit`] counts and makes
//! the report. What is named otherwise (a name, `*`) cannot be asked about: it is counted only.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::driver::Time;
use crate::limits;

/// How a service calls its conversations in a report.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// Key of the list: `groups`.
    pub list: &'static str,
    /// Key of the count: `checkedGroups`.
    pub checked: &'static str,
    /// Key of the count of those that cannot be asked about: `unresolvedGroups`.
    pub unresolved: &'static str,
    /// Key of an id: `chatId`.
    pub id: &'static str,
}

/// The words of every kind but Telegram.
pub const CHANNELS: Words = Words {
    list: "channels",
    checked: "checkedChannels",
    unresolved: "unresolvedChannels",
    id: "channelId",
};

/// Telegram's.
pub const GROUPS: Words = Words {
    list: "groups",
    checked: "checkedGroups",
    unresolved: "unresolvedGroups",
    id: "chatId",
};

/// An audit under way.
#[derive(Debug)]
pub struct Audit {
    /// Its number, from [`super::ChannelInput::Audit`].
    pub id: u64,
    words: Words,
    begun: Time,
    waiting: VecDeque<String>,
    rows: Vec<Value>,
    unresolved: usize,
}

impl Audit {
    /// An audit of these conversations, [`limits::CHANNEL_AUDIT`] at most; `unresolved` are named
    /// otherwise than by an id. `None` when there is nothing to ask or to tell.
    pub fn new(
        (id, begun): (u64, Time),
        words: Words,
        ids: impl IntoIterator<Item = String>,
        unresolved: usize,
    ) -> Option<Self> {
        let mut all: Vec<String> = ids.into_iter().collect();
        all.sort();
        all.dedup();
        let over = all.len().saturating_sub(limits::CHANNEL_AUDIT);
        all.truncate(limits::CHANNEL_AUDIT);
        let unresolved = unresolved.saturating_add(over);
        (!all.is_empty() || unresolved > 0).then(|| Self {
            id,
            words,
            begun,
            waiting: all.into(),
            rows: Vec::new(),
            unresolved,
        })
    }

    /// The conversation to ask about now.
    pub fn next(&self) -> Option<&str> {
        self.waiting.front().map(String::as_str)
    }

    /// What came of it: facts of the service's own, or why it does not work and what to do.
    pub fn found(&mut self, result: Result<Value, String>) {
        let Some(id) = self.waiting.pop_front() else { return };
        let mut row = json!({
            "ok": result.is_ok(), "error": result.as_ref().err(),
            "matchKey": id, "matchSource": "id",
        });
        if let Some(row) = row.as_object_mut() {
            row.insert(self.words.id.to_owned(), json!(id));
            if let Ok(Value::Object(facts)) = result {
                row.extend(facts);
            }
        }
        self.rows.push(row);
    }

    /// The report: `{"ok", "checkedGroups", "unresolvedGroups", "groups": [{"chatId", "ok",
    /// "error", …}], "elapsedMs"}`, by the kind's words.
    pub fn report(self, now: Time) -> Value {
        let ok = self.rows.iter().all(|row| row.get("ok") == Some(&Value::Bool(true)));
        let mut report = json!({"ok": ok, "elapsedMs": now.ms_since(self.begun)});
        if let Some(report) = report.as_object_mut() {
            report.insert(self.words.checked.to_owned(), json!(self.rows.len()));
            report.insert(self.words.unresolved.to_owned(), json!(self.unresolved));
            report.insert(self.words.list.to_owned(), Value::Array(self.rows));
        }
        report
    }
}

/// The conversations of a report in which something is wrong: id and what.
pub fn failures(report: &Value) -> Vec<(String, String)> {
    let words = if report.get(GROUPS.list).is_some() { GROUPS } else { CHANNELS };
    let rows = report.get(words.list).and_then(Value::as_array);
    let of = |row: &Value| {
        let error = row.get("error")?.as_str()?.to_owned();
        Some((row.get(words.id)?.as_str()?.to_owned(), error))
    };
    rows.into_iter().flatten().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit(ids: usize, unresolved: usize) -> Option<Audit> {
        Audit::new((7, Time(0)), GROUPS, (0..ids).map(|n| format!("-{n:03}")), unresolved)
    }

    #[test]
    fn nothing_named_is_no_audit() {
        assert!(audit(0, 0).is_none());
        assert!(audit(0, 1).is_some());
    }

    #[test]
    fn a_report_counts_and_names_what_is_wrong() {
        let mut audit = audit(2, 1).expect("it");
        assert_eq!(audit.next(), Some("-000"));
        audit.found(Ok(json!({"status": "member"})));
        assert_eq!(audit.next(), Some("-001"));
        audit.found(Err("bot not in group".to_owned()));
        assert_eq!(audit.next(), None);
        audit.found(Ok(Value::Null));
        let report = audit.report(Time(0).after_ms(5));
        let told = |key: &str| report[key].clone();
        assert_eq!((told("ok"), told("checkedGroups")), (json!(false), json!(2)));
        assert_eq!((told("unresolvedGroups"), told("elapsedMs")), (json!(1), json!(5)));
        assert_eq!(report["groups"][0]["status"], "member");
        let wrong = vec![("-001".to_owned(), "bot not in group".to_owned())];
        assert_eq!(failures(&report), wrong);
    }

    #[test]
    fn more_than_the_limit_are_counted_only() {
        let mut audit = audit(limits::CHANNEL_AUDIT + 3, 0).expect("it");
        while audit.next().is_some() {
            audit.found(Ok(Value::Null));
        }
        let report = audit.report(Time(0));
        assert_eq!(report["checkedGroups"], limits::CHANNEL_AUDIT);
        assert_eq!(report["unresolvedGroups"], 3);
    }
}
