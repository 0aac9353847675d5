//! May the bot read and write in the groups of the configuration? `getMe` tells whether privacy
//! mode hides messages from it, `getChatMember` whether it is in a group.

use serde_json::{Value, json};

use super::api::{Call, Refused};
use crate::channels::Account;
use crate::channels::audit::{Audit, GROUPS};
use crate::driver::Time;

/// An audit under way.
#[derive(Debug)]
pub struct Check {
    audit: Audit,
    bot: i64,
    /// It reads every message of a group; `None` until `getMe` has told.
    reads_all: Option<bool>,
}

impl Check {
    /// Of the groups of an account that are named by number and not switched off. `*` names none.
    pub fn new(account: &Account, (id, now): (u64, Time), bot: i64) -> Option<Self> {
        let groups = account.get("groups").and_then(Value::as_object);
        let on = groups.into_iter().flatten().filter(|(key, rules)| {
            key.as_str() != "*" && rules.get("enabled") != Some(&Value::Bool(false))
        });
        let (numbers, names): (Vec<String>, Vec<String>) =
            on.map(|(key, _)| key.clone()).partition(|key| key.parse::<i64>().is_ok());
        let audit = Audit::new((id, now), GROUPS, numbers, names.len())?;
        Some(Self { audit, bot, reads_all: None })
    }

    /// What to ask now; `None` at the end.
    pub fn call(&self) -> Option<Call> {
        let group = self.audit.next()?;
        if self.reads_all.is_none() {
            return Some(Call::new("getMe", json!({})));
        }
        let chat = group.parse::<i64>().map_or_else(|_| json!(group), |id| json!(id));
        Some(Call::new("getChatMember", json!({"chat_id": chat, "user_id": self.bot})))
    }

    /// The method of [`Check::call`].
    pub fn method(&self) -> &'static str {
        if self.reads_all.is_none() { "getMe" } else { "getChatMember" }
    }

    /// The answer to it.
    pub fn heard(&mut self, account: &Account, answer: Result<Value, Refused>) {
        let Some(reads_all) = self.reads_all else {
            let said = answer.ok().and_then(|me| me.get("can_read_all_group_messages")?.as_bool());
            // Who cannot be asked is not accused.
            self.reads_all = Some(said.unwrap_or(true));
            return;
        };
        let rules = self.audit.next().and_then(|group| account.get("groups")?.get(group));
        let unmentioned =
            rules.and_then(|rules| rules.get("requireMention")) == Some(&Value::Bool(false));
        self.audit.found(match answer {
            Ok(member) => judge(&member, unmentioned && !reads_all),
            Err(no) => Err(no.failure.what),
        });
    }

    /// Its number and the report.
    pub fn report(self, now: Time) -> (u64, Value) {
        (self.audit.id, self.audit.report(now))
    }
}

/// Reads a ChatMember. `hidden`: all messages are wanted, and privacy mode is on.
fn judge(member: &Value, hidden: bool) -> Result<Value, String> {
    let status = member.get("status").and_then(Value::as_str).unwrap_or("unknown");
    let flag = |key: &str| member.get(key).and_then(Value::as_bool) == Some(true);
    let may = match status {
        "creator" | "administrator" => return Ok(json!({"status": status})),
        "member" => true,
        "restricted" if flag("is_member") && !flag("can_send_messages") => {
            return Err("the bot may not write there; ask an administrator".to_owned());
        }
        "restricted" => flag("is_member"),
        _ => false,
    };
    match (may, hidden) {
        (false, _) => Err("bot not in group; add it there".to_owned()),
        (true, true) => Err("requireMention is false, but privacy mode hides messages: send \
                             /setprivacy to @BotFather, choose Disable, then add the bot again"
            .to_owned()),
        (true, false) => Ok(json!({"status": status})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        let groups = json!({"*": {}, "-1": {}, "-2": {"requireMention": false},
            "-3": {"enabled": false}, "@name": {}, "-4": {}});
        Account::new("telegram", "default", json!({"groups": groups}))
    }

    #[test]
    fn every_group_by_number_is_asked_about_once() {
        let account = account();
        let mut check = Check::new(&account, (7, Time(0)), 5).expect("groups");
        let me = json!({"can_read_all_group_messages": false});
        assert_eq!(check.call().expect("first").method, "getMe");
        check.heard(&account, Ok(me));
        for (group, member) in [
            ("-1", json!({"status": "administrator"})),
            ("-2", json!({"status": "member"})),
            ("-4", json!({"status": "left"})),
        ] {
            let call = check.call().expect("a group");
            assert_eq!(call.method, "getChatMember");
            assert_eq!(call.params["chat_id"].to_string(), group);
            assert_eq!(call.params["user_id"], 5);
            check.heard(&account, Ok(member));
        }
        assert!(check.call().is_none());
        let (id, report) = check.report(Time(0));
        assert_eq!((id, &report["ok"], &report["unresolvedGroups"]), (7, &json!(false), &json!(1)));
        assert_eq!(report["groups"][0]["status"], "administrator");
        let error = |at: usize| report["groups"][at]["error"].as_str().unwrap_or_default();
        assert!(error(1).contains("/setprivacy"), "{report}");
        assert!(error(2).contains("bot not in group"), "{report}");
    }

    #[test]
    fn who_may_read_there_is_judged_by_status() {
        let of = |member: Value| judge(&member, false).is_ok();
        assert!(of(json!({"status": "creator"})) && of(json!({"status": "member"})));
        assert!(of(json!({"status": "restricted", "is_member": true, "can_send_messages": true})));
        assert!(!of(json!({"status": "restricted", "is_member": true})));
        assert!(!of(json!({"status": "restricted"})));
        assert!(!of(json!({"status": "kicked"})) && !of(json!({})));
    }

    #[test]
    fn nothing_configured_is_nothing_asked() {
        let account = Account::new("telegram", "default", json!({"groups": {"*": {}}}));
        assert!(Check::new(&account, (7, Time(0)), 5).is_none());
    }
}
