//! Section `session`: how messages group into sessions, and when a conversation ends by itself.

use super::agents::MAIN_AGENT;
use serde_json::Value;
use std::collections::BTreeMap;

/// `session.scope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionScope {
    /// One session a sender.
    PerSender,
    /// One session for everybody.
    Global,
}

/// Section `session`.
#[derive(Debug, Clone)]
pub struct Session {
    /// How messages group into sessions.
    pub scope: SessionScope,
    /// Last part of the main session's key, `agent:<id>:<mainKey>`.
    pub main_key: String,
    /// `session.dmScope`, its word.
    pub dm_scope: Option<String>,
    /// `session.groupScope`: `main` puts groups into the main session.
    pub group_scope: Option<String>,
    /// `session.sendPolicy`, read by `channels::context`.
    pub send_policy: Value,
    /// `session.identityLinks`: a person's name, and the ids that are this person.
    pub identity_links: BTreeMap<String, Vec<String>>,
    /// `session.reset`: when a conversation ends by itself.
    pub reset: SessionReset,
    /// `session.resetByType`, by `direct`, `group` or `thread`.
    pub reset_by_type: BTreeMap<String, SessionReset>,
    /// `session.resetByChannel`; goes before the type.
    pub reset_by_channel: BTreeMap<String, SessionReset>,
    /// `session.maintenance.mode` is not `warn`.
    pub maintain: bool,
    /// `session.maintenance.maxEntries`: sessions of one agent that are not archived.
    pub max_entries: usize,
}

/// `session.reset` and its likes; nothing set is `mode: "none"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionReset {
    /// `atHour` of `mode: "daily"`, 0 to 23, in UTC.
    pub daily_at_hour: Option<u8>,
    /// `idleMinutes`.
    pub idle_minutes: Option<u64>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            scope: SessionScope::PerSender,
            main_key: MAIN_AGENT.to_owned(),
            dm_scope: None,
            group_scope: None,
            send_policy: Value::Null,
            identity_links: BTreeMap::new(),
            reset: SessionReset::default(),
            reset_by_type: BTreeMap::new(),
            reset_by_channel: BTreeMap::new(),
            maintain: true,
            max_entries: 5_000,
        }
    }
}
