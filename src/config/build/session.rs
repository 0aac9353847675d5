//! Section `session` of the snapshot.

use super::super::session::{Session, SessionReset, SessionScope};
use super::At;
use std::collections::BTreeMap;

/// The hour of `mode: "daily"` without `atHour`, and the minutes of `mode: "idle"` without
/// `idleMinutes`, as in the reference.
const RESET_HOUR: u8 = 4;
const RESET_MINUTES: u64 = 60;

pub(super) fn session(at: At<'_>) -> Session {
    let unset = Session::default();
    let mut all = reset(at.get("reset"));
    // Older files.
    all.idle_minutes = all.idle_minutes.or(at.get("idleMinutes").number());
    let named = |at: At<'_>| -> BTreeMap<String, SessionReset> {
        at.entries().map(|(name, at)| (name.to_owned(), reset(at))).collect()
    };
    let mut reset_by_type = named(at.get("resetByType"));
    if let Some(direct) = reset_by_type.remove("dm") {
        reset_by_type.entry("direct".to_owned()).or_insert(direct);
    }
    Session {
        scope: match at.get("scope").value.as_str() {
            Some("global") => SessionScope::Global,
            _ => SessionScope::PerSender,
        },
        main_key: at
            .get("mainKey")
            .text()
            .map_or(unset.main_key, |key| key.trim().to_ascii_lowercase()),
        dm_scope: at.get("dmScope").text(),
        group_scope: at.get("groupScope").text(),
        send_policy: at.get("sendPolicy").value.clone(),
        identity_links: at
            .get("identityLinks")
            .entries()
            .map(|(name, at)| (name.to_owned(), at.ids()))
            .collect(),
        reset: all,
        reset_by_type,
        reset_by_channel: named(at.get("resetByChannel")),
        maintain: at.get("maintenance").get("mode").value != "warn",
        max_entries: at
            .get("maintenance")
            .get("maxEntries")
            .number()
            .and_then(|max| usize::try_from(max).ok())
            .unwrap_or(unset.max_entries),
    }
}

fn reset(at: At<'_>) -> SessionReset {
    let hour = at.get("atHour").number().and_then(|hour| u8::try_from(hour).ok());
    let minutes = at.get("idleMinutes").number();
    match at.get("mode").value.as_str() {
        Some("daily") => {
            SessionReset { daily_at_hour: hour.or(Some(RESET_HOUR)), idle_minutes: minutes }
        }
        Some("idle") => {
            SessionReset { daily_at_hour: None, idle_minutes: minutes.or(Some(RESET_MINUTES)) }
        }
        Some(_) => SessionReset::default(),
        None => SessionReset { daily_at_hour: hour, idle_minutes: minutes },
    }
}
