//! Is the app a member of the channels of the configuration? By `conversations.info`.

use serde_json::{Value, json};

use super::events::normal;
use super::web::{Call, Refused};
use crate::channels::Account;
use crate::channels::audit::{Audit, CHANNELS};
use crate::driver::Time;

/// The method that tells.
pub const METHOD: &str = "conversations.info";

/// An audit of the channels of an account that stand by id.
pub fn begin(account: &Account, number: (u64, Time)) -> Option<Audit> {
    let rooms = account.get("channels").and_then(Value::as_object);
    let on = rooms.into_iter().flatten().filter(|(key, rules)| {
        let off =
            ["enabled", "allow"].iter().any(|name| rules.get(name) == Some(&Value::Bool(false)));
        key.as_str() != "*" && !off
    });
    let (ids, names): (Vec<String>, Vec<String>) = on
        .map(|(key, _)| key.clone())
        .partition(|key| super::target(key).is_ok_and(|to| to.chat.starts_with(['C', 'G'])));
    Audit::new(number, CHANNELS, ids.iter().map(|key| normal(key)), names.len())
}

/// What to ask now; `None` at the end.
pub fn call(audit: &Audit) -> Option<Call> {
    audit.next().map(|id| Call::new(METHOD).with("channel", id))
}

/// The answer to it.
pub fn heard(audit: &mut Audit, answer: Result<Value, Refused>) {
    audit.found(match answer {
        Err(no) => Err(no.failure.what),
        Ok(document) => {
            let channel = document.get("channel").cloned().unwrap_or_default();
            let flag = |key: &str| channel.get(key).and_then(Value::as_bool) == Some(true);
            match (flag("is_archived"), flag("is_member")) {
                (true, _) => Err("the channel is archived".to_owned()),
                (_, false) => Err("the app is not in it; type /invite @<app> there".to_owned()),
                (_, true) => Ok(json!({"name": channel.get("name")})),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn membership_is_asked_for_by_id() {
        let rooms = json!({"*": {}, "C1A": {}, "c2b": {}, "#general": {}, "C3": {"allow": false}});
        let account = Account::new("slack", "default", json!({"channels": rooms}));
        let mut audit = begin(&account, (7, Time(0))).expect("channels");
        let asked = call(&audit).expect("one");
        assert_eq!((asked.method, &*asked.fields[0].1), (METHOD, "C1A"));
        heard(&mut audit, Ok(json!({"channel": {"is_member": true, "name": "a"}})));
        assert_eq!(call(&audit).expect("another").fields[0].1, "C2B");
        heard(&mut audit, Ok(json!({"channel": {"is_member": false}})));
        assert!(call(&audit).is_none());
        let report = audit.report(Time(0));
        assert_eq!((&report["ok"], &report["unresolvedChannels"]), (&json!(false), &json!(1)));
        assert_eq!(report["channels"][0]["name"], "a");
        let error = report["channels"][1]["error"].as_str().unwrap_or_default();
        assert!(error.contains("/invite"), "{report}");
    }
}
