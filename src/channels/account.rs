//! Accounts: `channels.<id>` and `channels.<id>.accounts.<account>` as one document each.
//!
//! An account has its own keys and, for what it does not say, those of the channel
//! ([`Kind::not_inherited`] excepted). The keys of the channel are an account of their own,
//! `default`, when there are no `accounts`, when `accounts.default` says so, or when they hold
//! the credentials.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Kind;

pub mod logout;

/// The account that has no name.
pub const DEFAULT: &str = "default";

/// Keys that every channel has and that need no new connection: they are read when a message
/// comes or goes.
pub const LIVE_KEYS: &[&str] = &[
    "ackReaction",
    "actions",
    "allowFrom",
    "botLoopProtection",
    "contextVisibility",
    "dangerouslyAllowNameMatching",
    "defaultTo",
    "direct",
    "dm",
    "dmPolicy",
    "dms",
    "groupAllowFrom",
    "groupPolicy",
    "groups",
    "healthMonitor",
    "heartbeat",
    "heartbeatVisibility",
    "historyLimit",
    "implicitMentions",
    "dmHistoryLimit",
    "markdown",
    "mediaMaxMb",
    "mentionPatterns",
    "name",
    "reactionLevel",
    "replyToMode",
    "requireMention",
    "responsePrefix",
    "streaming",
    "textChunkLimit",
    "typingReaction",
];

/// One account's configuration.
#[derive(Clone)]
pub struct Account {
    /// Channel id.
    pub channel: &'static str,
    /// Account id.
    pub id: String,
    /// Where its own keys stand: `channels.irc` or `channels.irc.accounts.work`.
    pub path: String,
    /// What it kept in an earlier life ([`super::ChannelOut::keep`]); null when nothing.
    pub kept: Value,
    value: Value,
}

/// Without the values: some are secrets.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({}:{})", self.channel, self.id)
    }
}

impl Account {
    /// An account that says just this.
    pub fn new(channel: &'static str, id: &str, value: Value) -> Self {
        let path = match id {
            DEFAULT => format!("channels.{channel}"),
            id => format!("channels.{channel}.accounts.{id}"),
        };
        Self { channel, id: id.to_owned(), path, kept: Value::Null, value }
    }

    /// What stands at a key; dots reach into objects.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let found = key.split('.').try_fold(&self.value, |at, part| at.get(part));
        found.filter(|value| !value.is_null())
    }

    /// A text that is not blank, trimmed.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty())
    }

    /// True or false.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.get(key)?.as_bool()
    }

    /// A whole number.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// A list of texts; numbers are taken as texts. `None` when the key is absent.
    pub fn texts(&self, key: &str) -> Option<Vec<String>> {
        self.get(key).and_then(texts)
    }

    /// `enabled`, which is true when it is not said.
    pub fn enabled(&self) -> bool {
        self.flag("enabled") != Some(false)
    }

    /// All of it.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Puts a value at a key; dots reach into objects.
    pub fn set(&mut self, key: &str, new: Value) {
        let mut at = &mut self.value;
        for part in key.split('.') {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            let Value::Object(map) = at else { return };
            at = map.entry(part).or_insert(Value::Null);
        }
        *at = new;
    }

    /// The sentence for a key that must be set: `channels.irc.host is not set (the server's
    /// name): openclaw config set channels.irc.host <value>`.
    pub fn missing(&self, key: &str, what: &str) -> String {
        let path = &self.path;
        format!("{path}.{key} is not set ({what}): openclaw config set {path}.{key} <value>")
    }

    /// Whether `other` differs in a key that needs a new connection.
    pub fn reconnects(&self, kind: &Kind, other: &Self) -> bool {
        let lasting = |value: &Value| -> Map<String, Value> {
            let fields = value.as_object().cloned().unwrap_or_default();
            let live = |key: &str| LIVE_KEYS.contains(&key) || kind.live_keys.contains(&key);
            fields.into_iter().filter(|(key, _)| !live(key)).collect()
        };
        lasting(&self.value) != lasting(&other.value)
    }
}

/// A list of texts or whole numbers as texts.
pub fn texts(value: &Value) -> Option<Vec<String>> {
    let items = value.as_array()?;
    Some(
        items
            .iter()
            .filter_map(|item| match item {
                Value::String(text) => Some(text.trim().to_owned()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            })
            .collect(),
    )
}

/// The account id as it stands in keys: lower case.
pub fn normal_id(id: &str) -> String {
    id.trim().to_lowercase()
}

/// Every account of a channel in the order of their ids, `default` first; none when the channel
/// is not in the configuration: a token in the environment alone may be another program's.
pub fn accounts(kind: &Kind, section: &Value, env: &BTreeMap<String, String>) -> Vec<Account> {
    if section.is_null() {
        return Vec::new();
    }
    let base = section.as_object().cloned().unwrap_or_default();
    let named = base.get("accounts").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut own = base.clone();
    own.remove("accounts");
    own.remove("defaultAccount");

    let mut list = Vec::new();
    let listed = named.keys().find(|id| normal_id(id) == DEFAULT).cloned();
    let mut first = Account::new(kind.id, DEFAULT, Value::Object(own.clone()));
    if let Some(listed) = &listed {
        first = merged(kind, &own, listed, named.get(listed));
    }
    for (key, variable) in kind.env_keys {
        let said = env.get(*variable).map(|text| text.trim()).filter(|text| !text.is_empty());
        if let Some(text) = said.filter(|_| first.get(key).is_none()) {
            first.set(key, from_env(text));
        }
    }
    let complete =
        kind.credentials.iter().all(|key| first.get(key).is_some()) && !kind.credentials.is_empty();
    if listed.is_some() || complete || (named.is_empty() && !base.is_empty()) {
        list.push(first);
    }
    let mut others: Vec<Account> = named
        .iter()
        .filter(|(id, _)| normal_id(id) != DEFAULT && !id.trim().is_empty())
        .map(|(id, value)| merged(kind, &own, id, Some(value)))
        .collect();
    others.sort_by(|a, b| a.id.cmp(&b.id));
    others.dedup_by(|a, b| a.id == b.id);
    list.append(&mut others);
    list.truncate(crate::limits::CHANNEL_ACCOUNTS);
    list
}

/// Lists in the environment are commas, switches are words.
fn from_env(text: &str) -> Value {
    match text {
        "true" | "1" | "yes" => Value::Bool(true),
        "false" | "0" | "no" => Value::Bool(false),
        text => Value::String(text.to_owned()),
    }
}

fn merged(kind: &Kind, base: &Map<String, Value>, id: &str, own: Option<&Value>) -> Account {
    let mut all: Map<String, Value> = base.clone();
    for key in kind.not_inherited {
        all.remove(*key);
    }
    // The channel's switch is not the account's: both must be on.
    let on = base.get("enabled").and_then(Value::as_bool);
    if let Some(Value::Object(own)) = own {
        for (key, value) in own {
            all.insert(key.clone(), value.clone());
        }
    }
    if on == Some(false) {
        all.insert("enabled".to_owned(), Value::Bool(false));
    }
    let mut account = Account::new(kind.id, &normal_id(id), Value::Object(all));
    account.path = format!("channels.{}.accounts.{id}", kind.id);
    account
}

/// The account that counts when none is named: `defaultAccount`, else `default`, else the first.
pub fn default_id(section: &Value, accounts: &[Account]) -> Option<String> {
    let said = section.get("defaultAccount").and_then(Value::as_str).map(normal_id);
    let has = |id: &str| accounts.iter().any(|account| account.id == id);
    let named = said.filter(|id| has(id)).or_else(|| has(DEFAULT).then(|| DEFAULT.to_owned()));
    named.or_else(|| accounts.first().map(|account| account.id.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::rig::KIND;
    use serde_json::json;

    fn ids(section: &Value) -> Vec<String> {
        accounts(&KIND, section, &BTreeMap::new()).into_iter().map(|it| it.id).collect()
    }

    #[test]
    fn accounts_inherit_what_they_do_not_say() {
        let section = json!({
            "host": "a", "port": 1, "token": "base", "defaultAccount": "Work",
            "accounts": {"Work": {"port": 2, "name": "w"}, "home": {"enabled": false}},
        });
        let all = accounts(&KIND, &section, &BTreeMap::new());
        assert_eq!(ids(&section), ["default", "home", "work"]);
        assert_eq!(default_id(&section, &all).as_deref(), Some("work"));
        let work = all.iter().find(|it| it.id == "work").expect("work");
        assert_eq!((work.text("host"), work.number("port")), (Some("a"), Some(2)));
        assert_eq!(work.text("token"), None, "a token is one account's");
        assert_eq!(work.path, "channels.rig.accounts.Work");
        assert!(work.missing("token", "x").contains("config set channels.rig.accounts.Work.token"));
        assert!(work.enabled());
        assert!(!all.iter().find(|it| it.id == "home").expect("home").enabled());
    }

    #[test]
    fn the_default_account_is_there_when_it_has_credentials_or_is_alone() {
        assert_eq!(ids(&Value::Null), [""; 0]);
        assert_eq!(ids(&json!({"port": 1})), ["default"]);
        assert_eq!(ids(&json!({"accounts": {"b": {}, "a": {}}})), ["a", "b"]);
        assert_eq!(ids(&json!({"host": "h", "accounts": {"a": {}}})), ["default", "a"]);
        assert_eq!(ids(&json!({"accounts": {"a": {}, "default": {}}})), ["default", "a"]);
        let env = BTreeMap::from([("RIG_HOST".to_owned(), " h ".to_owned())]);
        assert!(accounts(&KIND, &Value::Null, &env).is_empty(), "nothing asks for the channel");
        let found = accounts(&KIND, &json!({}), &env);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].text("host"), Some("h"));
    }

    #[test]
    fn only_lasting_keys_reconnect() {
        let of = |value: Value| Account::new("rig", DEFAULT, value);
        let old = of(json!({"host": "a", "dmPolicy": "open", "mood": "x"}));
        assert!(!old.reconnects(&KIND, &of(json!({"host": "a", "allowFrom": [1], "mood": "y"}))));
        assert!(old.reconnects(&KIND, &of(json!({"host": "b"}))));
    }
}
