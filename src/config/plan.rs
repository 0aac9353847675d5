//! What differs between two configurations, and what it takes to apply it.
//!
//! The values are resolved ones ([`crate::config::SourceInfo::resolved`]): a changed environment
//! variable is a change, a moved comment is none.

use serde_json::Value;

use super::table::{self, Reload};
use crate::wire::json5::Step;

/// One key that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its path, as `gateway.port`.
    pub path: String,
    /// What the table says an edit of it needs.
    pub reload: Reload,
}

/// Paths of the keys that differ, in order; an array that grew or shrank is one change.
pub fn changed(old: &Value, new: &Value) -> Vec<String> {
    changes(old, new).into_iter().map(|change| change.path).collect()
}

/// As [`changed`], with what each needs.
pub fn changes(old: &Value, new: &Value) -> Vec<Change> {
    let mut out = Vec::new();
    differ(Some(old), Some(new), &mut Vec::new(), &mut out);
    out
}

/// What the changes need together; `None` when there are none.
pub fn needs(changes: &[Change]) -> Option<Reload> {
    changes.iter().map(|change| change.reload).max_by_key(|reload| match reload {
        Reload::Live => 0,
        Reload::Channel => 1,
        Reload::Rebind => 2,
        Reload::Restart => 3,
    })
}

/// What of the channels connects anew.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reconnect {
    /// The channel, `telegram`; `None` for all of them.
    pub channel: Option<String>,
    /// One account of it; `None` for the whole channel.
    pub account: Option<String>,
}

/// Which channels, and which accounts of them, the changes of class [`Reload::Channel`] are
/// about; an account is not named beside its whole channel, nor a channel beside all.
pub fn reconnects(changes: &[Change]) -> Vec<Reconnect> {
    let ours = changes.iter().filter(|change| change.reload == Reload::Channel);
    let mut all: Vec<Reconnect> = ours.map(|change| reconnect(&change.path)).collect();
    all.sort();
    all.dedup();
    let whole = |channel: &Option<String>| Reconnect { channel: channel.clone(), account: None };
    let covered = |one: &Reconnect| {
        one.channel.is_some() && all.contains(&whole(&None))
            || one.account.is_some() && all.contains(&whole(&one.channel))
    };
    all.iter().filter(|one| !covered(one)).cloned().collect()
}

/// `channels.telegram.accounts.work.botToken` is about one account; what lies elsewhere, and
/// what belongs to no one channel, is about all.
fn reconnect(path: &str) -> Reconnect {
    let steps = table::parse_path(path).unwrap_or_default();
    let name = |at: usize| match steps.get(at) {
        Some(Step::Key(name)) => Some(name.as_str()),
        _ => None,
    };
    let one =
        name(0) == Some("channels") && !matches!(name(1), Some("defaults" | "modelByChannel"));
    let channel = name(1).filter(|_| one).map(str::to_owned);
    let account = name(3).filter(|_| channel.is_some() && name(2) == Some("accounts"));
    Reconnect { account: account.map(str::to_owned), channel }
}

fn differ(old: Option<&Value>, new: Option<&Value>, path: &mut Vec<Step>, out: &mut Vec<Change>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            let mut keys: Vec<&String> = old.keys().chain(added).collect();
            keys.sort();
            for key in keys {
                path.push(Step::Key(key.clone()));
                differ(old.get(key), new.get(key), path, out);
                path.pop();
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                path.push(Step::Index(index));
                differ(Some(old), Some(new), path, out);
                path.pop();
            }
        }
        // A section that came or went: what its parts need.
        (None, Some(whole @ Value::Object(map))) | (Some(whole @ Value::Object(map)), None)
            if !map.is_empty() && lists_keys(path) =>
        {
            let empty = Value::Object(serde_json::Map::new());
            differ(Some(&empty), Some(whole), path, out);
        }
        _ => {
            let reload = table::lookup(path).map_or(Reload::Live, |key| key.reload);
            out.push(Change { path: table::shown(path), reload });
        }
    }
}

fn lists_keys(path: &[Step]) -> bool {
    table::lookup(path).is_some_and(|key| key.kind == table::Kind::Object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_plan_names_the_channel_and_the_account() {
        let named = |paths: &[&str]| -> Vec<String> {
            let change = |path: &&str| Change { path: (*path).to_owned(), reload: Reload::Channel };
            let changes: Vec<Change> = paths.iter().map(change).collect();
            let text = |one: Reconnect| {
                let part = |part: Option<String>| part.unwrap_or_else(|| "*".to_owned());
                format!("{}/{}", part(one.channel), part(one.account))
            };
            reconnects(&changes).into_iter().map(text).collect()
        };
        let work = "channels.telegram.accounts.work.botToken";
        assert_eq!(named(&[work, work]), ["telegram/work"]);
        assert_eq!(named(&[work, "channels.discord.token"]), ["discord/*", "telegram/work"]);
        assert_eq!(named(&[work, "channels.telegram.groups[\"a.b\"].x"]), ["telegram/*"]);
        assert_eq!(named(&[work, "channels.telegram.accounts"]), ["telegram/*"]);
        assert_eq!(named(&[work, "channels.defaults.dmPolicy"]), ["*/*"]);
        assert_eq!(named(&[work, "channels"]), ["*/*"]);
        let live = [Change { path: work.to_owned(), reload: Reload::Live }];
        assert_eq!(reconnects(&live), []);
    }

    #[test]
    fn paths_and_classes() {
        let old = json!({"gateway": {"port": 1, "auth": {"token": "a"}}, "hooks": {"a": [1, 2]},
            "agents": {"list": [{"id": "a", "name": "A"}]}});
        let new = json!({"gateway": {"mode": "local", "port": 2, "auth": {"token": "b"}},
            "hooks": {"a": [1, 3]}, "agents": {"list": [{"id": "a", "name": "B"}]},
            "session": {"scope": "global"}});
        let all = changes(&old, &new);
        let got: Vec<_> = all.iter().map(|c| (c.path.as_str(), c.reload)).collect();
        assert_eq!(
            got,
            [
                ("agents.list[0].name", Reload::Live),
                ("gateway.auth.token", Reload::Live),
                ("gateway.mode", Reload::Restart),
                ("gateway.port", Reload::Rebind),
                ("hooks.a[1]", Reload::Live),
                ("session.scope", Reload::Live),
            ]
        );
        assert_eq!(needs(&all), Some(Reload::Restart));
        assert_eq!(changed(&new, &old).len(), 6);
        assert_eq!(changed(&old, &old), Vec::<String>::new());
        assert_eq!(needs(&[]), None);
        assert_eq!(changed(&json!({"a": [1]}), &json!({"a": [1, 2]})), ["a"]);
        let whole = changes(&json!({}), &json!({"gateway": {"port": 5, "auth": {"mode": "none"}}}));
        assert_eq!(needs(&whole), Some(Reload::Rebind));
        assert_eq!(whole.len(), 2);
    }
}
