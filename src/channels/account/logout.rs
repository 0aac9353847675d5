//! What a log-out takes away of an account: its credentials in the configuration. Those of the
//! environment and of files of their own are the operator's.

use std::collections::BTreeMap;

use super::{Account, DEFAULT};
use crate::channels::Kind;
use crate::config::table::parse_path;
use crate::wire::json5::{self, Step};

/// Keys that a log-out takes away, by channel; and those that stand for them elsewhere.
const KEYS: [(&str, &[&str], &[&str]); 4] = [
    ("discord", &["token"], &[]),
    (
        "irc",
        &["password", "sasl.password", "nickserv.password"],
        &["passwordFile", "sasl.passwordFile", "nickserv.passwordFile"],
    ),
    ("slack", &["botToken", "appToken", "userToken", "signingSecret"], &[]),
    ("telegram", &["botToken"], &["tokenFile"]),
];

fn keys(kind: &Kind) -> (&'static [&'static str], &'static [&'static str]) {
    let found = KEYS.iter().find(|(id, ..)| *id == kind.id);
    found.map_or((&[], &[]), |(_, own, files)| (own, files))
}

/// The text of the configuration without an account's credentials; the same when it has none.
///
/// # Errors
/// When the text is no JSON5, or cannot be edited in place.
pub fn without(kind: &Kind, account_path: &str, text: &str) -> Result<String, String> {
    let base = parse_path(account_path).unwrap_or_default();
    let value = json5::parse(text).map_err(|error| error.to_string())?.root.to_value();
    let mut text = text.to_owned();
    for key in keys(kind).0 {
        let mut steps = base.clone();
        steps.extend(key.split('.').map(|part| Step::Key(part.to_owned())));
        let found = steps.iter().try_fold(&value, |at, step| match step {
            Step::Key(key) => at.get(key),
            Step::Index(index) => at.get(*index),
        });
        if found.is_some() {
            text = json5::remove(&text, &steps).map_err(|error| error.to_string())?;
        }
    }
    Ok(text)
}

/// The environment variable that still holds a credential of the account.
pub fn in_environment(
    kind: &Kind,
    account: &str,
    env: &BTreeMap<String, String>,
) -> Option<&'static str> {
    let own = keys(kind).0;
    let set = |name: &str| env.get(name).is_some_and(|value| !value.trim().is_empty());
    let mut names = kind.env_keys.iter().filter(|(key, name)| own.contains(key) && set(name));
    names.find(|_| account == DEFAULT).map(|(_, name)| *name)
}

/// Whether an account still has a credential, wherever it stands.
pub fn has_credentials(kind: &Kind, account: &Account) -> bool {
    let (own, files) = keys(kind);
    own.iter().chain(files).any(|key| account.get(key).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_log_out_takes_credentials_and_nothing_else() {
        let kind = &crate::channels::telegram::KIND;
        let text = "{channels: {telegram: {botToken: '1:a', // mine\n allowFrom: ['1'], \
                    accounts: {b: {botToken: '2:b', name: 'B'}}}}}";
        let top = without(kind, "channels.telegram", text).unwrap();
        assert!(!top.contains("1:a") && top.contains("2:b") && top.contains("allowFrom"), "{top}");
        let b = without(kind, "channels.telegram.accounts.b", &top).unwrap();
        assert!(!b.contains("2:b") && b.contains("name: 'B'"), "{b}");
        assert_eq!(without(kind, "channels.telegram.accounts.b", &b).unwrap(), b, "nothing left");
        assert!(without(kind, "channels.telegram", "{").is_err());
        let irc = &crate::channels::irc::KIND;
        let text = "{channels: {irc: {host: 'h', sasl: {username: 'u', password: 'p'}}}}";
        let out = without(irc, "channels.irc", text).unwrap();
        assert!(!out.contains("'p'") && out.contains("username"), "{out}");
    }

    #[test]
    fn what_stands_elsewhere_is_seen() {
        let kind = &crate::channels::telegram::KIND;
        let env = BTreeMap::from([("TELEGRAM_BOT_TOKEN".to_owned(), "1:x".to_owned())]);
        assert_eq!(in_environment(kind, "default", &env), Some("TELEGRAM_BOT_TOKEN"));
        assert_eq!(in_environment(kind, "b", &env), None);
        assert_eq!(in_environment(kind, "default", &BTreeMap::new()), None);
        let file = Account::new("telegram", "default", json!({"tokenFile": "/t"}));
        assert!(has_credentials(kind, &file));
        assert!(!has_credentials(kind, &Account::new("telegram", "default", json!({}))));
    }
}
