//! May the bot see the channels of the configuration and write there? Computed from the guild's
//! roles, the bot's own and the channel's overwrites.
//!
//! Source: docs.discord.com, "Permissions", "Computing Permissions".

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::events::{normal, room, text};
use super::rest::{Call, Refused};
use crate::channels::Account;
use crate::channels::audit::{Audit, CHANNELS};
use crate::driver::Time;

const ADMINISTRATOR: u64 = 1 << 3;
const VIEW_CHANNEL: u64 = 1 << 10;
const SEND_MESSAGES: u64 = 1 << 11;
const SEND_MESSAGES_IN_THREADS: u64 = 1 << 38;

/// What a guild says of us.
#[derive(Debug, Default)]
struct Guild {
    /// Permissions of every role; `@everyone` has the guild's own id.
    roles: BTreeMap<String, u64>,
    ours: bool,
    /// The bot's roles; `None` until asked.
    mine: Option<Vec<String>>,
}

/// An audit under way.
#[derive(Debug)]
pub struct Check {
    audit: Audit,
    me: String,
    /// The guild of every channel that is asked about.
    of: BTreeMap<String, String>,
    guilds: BTreeMap<String, Result<Guild, String>>,
    /// The channel in front is a thread of this one.
    parent: Option<String>,
}

/// Permissions are written as a text.
fn bits(value: &Value, key: &str) -> u64 {
    text(value, key).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Check {
    /// Of the channels of an account that stand by number below a guild by number.
    pub fn new(account: &Account, (id, now): (u64, Time), me: &str) -> Option<Self> {
        let mut of = BTreeMap::new();
        let mut unresolved = 0;
        let guilds = account.get("guilds").and_then(Value::as_object);
        for (guild, rules) in guilds.into_iter().flatten() {
            let rooms = rules.get("channels").and_then(Value::as_object);
            for (key, rules) in rooms.into_iter().flatten() {
                let off = ["enabled", "allow"]
                    .iter()
                    .any(|name| rules.get(name) == Some(&Value::Bool(false)));
                let channel = normal(key);
                match is_id(&channel) && is_id(guild) {
                    _ if off || key == "*" => {}
                    true => drop(of.insert(channel, guild.clone())),
                    false => unresolved += 1,
                }
            }
        }
        let audit = Audit::new((id, now), CHANNELS, of.keys().cloned(), unresolved)?;
        Some(Self { audit, me: me.to_owned(), of, guilds: BTreeMap::new(), parent: None })
    }

    fn guild_id(&self) -> Option<&str> {
        self.of.get(self.audit.next()?).map(String::as_str)
    }

    /// What to ask now; `None` at the end.
    pub fn call(&mut self) -> Option<Call> {
        loop {
            let channel = self.audit.next()?.to_owned();
            let guild = self.of.get(&channel)?;
            let path = match self.guilds.get(guild) {
                None => format!("/guilds/{guild}"),
                Some(Err(why)) => {
                    let why = why.clone();
                    self.audit.found(Err(why));
                    continue;
                }
                Some(Ok(Guild { mine: None, .. })) => {
                    format!("/guilds/{guild}/members/{}", self.me)
                }
                Some(Ok(_)) => {
                    format!("/channels/{}", self.parent.as_deref().unwrap_or(&channel))
                }
            };
            return Some(Call::new("GET", path, Value::Null));
        }
    }

    /// The answer to it.
    pub fn heard(&mut self, answer: Result<Value, Refused>) {
        let Some(guild) = self.guild_id().map(str::to_owned) else { return };
        let lost = |no: Refused| match no.status {
            403 | 404 => "the bot does not see it; invite it with the scope bot".to_owned(),
            _ => no.failure.what,
        };
        match self.guilds.get_mut(&guild) {
            None => {
                let known = answer.map_err(lost).map(|document| Guild {
                    roles: roles(&document),
                    ours: text(&document, "owner_id") == Some(&self.me),
                    mine: None,
                });
                self.guilds.insert(guild, known);
            }
            Some(Err(_)) => {}
            Some(Ok(known)) if known.mine.is_none() => match answer {
                Ok(member) => {
                    let list = member.get("roles").and_then(Value::as_array);
                    let ids = list.into_iter().flatten().filter_map(Value::as_str);
                    known.mine = Some(ids.map(str::to_owned).collect());
                }
                Err(no) => drop(self.guilds.insert(guild, Err(lost(no)))),
            },
            Some(Ok(known)) => match answer {
                Err(no) => {
                    self.parent = None;
                    self.audit.found(Err(lost(no)));
                }
                Ok(channel) => {
                    let of = room(&channel).map(|(_, room)| room).filter(|room| room.thread);
                    if let (Some(parent), None) = (of.and_then(|it| it.parent), &self.parent) {
                        self.parent = Some(parent);
                        return;
                    }
                    let write = match self.parent.take() {
                        Some(_) => (SEND_MESSAGES_IN_THREADS, "SendMessagesInThreads"),
                        None => (SEND_MESSAGES, "SendMessages"),
                    };
                    let has = permissions(known, &guild, &self.me, &channel);
                    let wanted = [(VIEW_CHANNEL, "ViewChannel"), write];
                    let missing: Vec<&str> = wanted
                        .into_iter()
                        .filter(|(bit, _)| has & bit == 0)
                        .map(|(_, name)| name)
                        .collect();
                    self.audit.found(match missing.is_empty() {
                        true => Ok(json!({"missing": []})),
                        false => Err(format!(
                            "the bot lacks {}; give its role that permission in the channel",
                            missing.join(" and ")
                        )),
                    });
                }
            },
        }
    }

    /// Its number and the report.
    pub fn report(self, now: Time) -> (u64, Value) {
        (self.audit.id, self.audit.report(now))
    }
}

fn roles(guild: &Value) -> BTreeMap<String, u64> {
    let list = guild.get("roles").and_then(Value::as_array);
    let role = |role: &Value| Some((text(role, "id")?.to_owned(), bits(role, "permissions")));
    list.into_iter().flatten().filter_map(role).collect()
}

/// Everything the bot may do in a channel.
fn permissions(known: &Guild, guild: &str, me: &str, channel: &Value) -> u64 {
    let mine = known.mine.as_deref().unwrap_or_default();
    let of = |role: &str| known.roles.get(role).copied().unwrap_or(0);
    let base = mine.iter().fold(of(guild), |all, role| all | of(role));
    if known.ours || base & ADMINISTRATOR != 0 {
        return u64::MAX;
    }
    let list = channel.get("permission_overwrites").and_then(Value::as_array);
    let list: Vec<&Value> = list.into_iter().flatten().collect();
    let one = |id: &str| {
        let found = list.iter().find(|it| text(it, "id") == Some(id));
        found.map_or((0, 0), |it| (bits(it, "allow"), bits(it, "deny")))
    };
    let apply = |has: u64, (allow, deny): (u64, u64)| (has & !deny) | allow;
    let by_roles = mine
        .iter()
        .map(|role| one(role))
        .fold((0, 0), |(allow, deny), role| (allow | role.0, deny | role.1));
    apply(apply(apply(base, one(guild)), by_roles), one(me))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::Failure;

    const VIEW_AND_SEND: &str = "3072";

    fn check(rooms: Value) -> Check {
        let value =
            json!({"guilds": {"10": {"channels": rooms}, "friends": {"channels": {"9": {}}}}});
        let account = Account::new("discord", "default", value);
        Check::new(&account, (7, Time(0)), "1").expect("channels")
    }

    /// Answers what is asked by its path, to the end; the paths and the report.
    fn run(mut check: Check, answer: impl Fn(&str) -> Value) -> (Vec<String>, Value) {
        let mut paths = Vec::new();
        while let Some(call) = check.call() {
            let found = match answer(&call.path) {
                Value::Null => {
                    Err(Refused { status: 404, code: 0, failure: Failure::permanent("gone") })
                }
                found => Ok(found),
            };
            paths.push(call.path);
            check.heard(found);
        }
        (paths, check.report(Time(0)).1)
    }

    fn guild(path: &str, everyone: &str) -> Value {
        match path {
            "/guilds/10" => json!({"owner_id": "2", "roles": [
                {"id": "10", "permissions": everyone}, {"id": "50", "permissions": "0"},
                {"id": "60", "permissions": "8"}]}),
            "/guilds/10/members/1" => json!({"roles": ["50"]}),
            _ => Value::Null,
        }
    }

    #[test]
    fn overwrites_apply_in_discords_order() {
        let rooms = json!({"100": {}, "101": {}, "102": {}, "103": {"enabled": false}, "name": {}});
        let (paths, report) = run(check(rooms), |path| match path {
            "/channels/100" => json!({"id": "100", "type": 0}),
            "/channels/101" => json!({"id": "101", "type": 0, "permission_overwrites": [
                {"id": "10", "allow": "0", "deny": "3072"},
                {"id": "50", "allow": "1024", "deny": "0"}]}),
            "/channels/102" => json!({"id": "102", "type": 0, "permission_overwrites": [
                {"id": "10", "allow": "0", "deny": "3072"},
                {"id": "50", "allow": "1024", "deny": "2048"},
                {"id": "1", "allow": "2048", "deny": "0"}]}),
            path => guild(path, VIEW_AND_SEND),
        });
        assert_eq!(paths.len(), 5, "a guild and a member are asked for once: {paths:?}");
        let error = |at: usize| report["channels"][at]["error"].as_str().unwrap_or("none");
        assert_eq!((error(0), error(2)), ("none", "none"), "{report}");
        assert!(error(1).contains("lacks SendMessages;"), "{report}");
        assert_eq!((&report["ok"], &report["unresolvedChannels"]), (&json!(false), &json!(2)));
    }

    #[test]
    fn a_thread_has_the_permissions_of_its_parent() {
        let (paths, report) = run(check(json!({"100": {}})), |path| match path {
            "/channels/100" => json!({"id": "100", "type": 11, "parent_id": "99"}),
            "/channels/99" => json!({"id": "99", "type": 0}),
            path => guild(path, "274877907968"),
        });
        assert_eq!(paths.last().map(String::as_str), Some("/channels/99"));
        assert_eq!(report["ok"], true, "{report}");
    }

    #[test]
    fn a_guild_or_channel_that_is_not_seen_is_said() {
        let (paths, report) = run(check(json!({"100": {}, "101": {}})), |_| Value::Null);
        assert_eq!(paths, ["/guilds/10"]);
        assert_eq!(report["checkedChannels"], 2);
        let (_, report) = run(check(json!({"100": {}})), |path| guild(path, VIEW_AND_SEND));
        let error = report["channels"][0]["error"].as_str().unwrap_or_default();
        assert!(error.contains("does not see it"), "{report}");
    }

    #[test]
    fn an_administrator_may_everything() {
        let (_, report) = run(check(json!({"100": {}})), |path| match path {
            "/guilds/10/members/1" => json!({"roles": ["60"]}),
            "/channels/100" => json!({"id": "100", "type": 0, "permission_overwrites": [
                {"id": "10", "allow": "0", "deny": "3072"}]}),
            path => guild(path, "0"),
        });
        assert_eq!(report["ok"], true, "{report}");
    }
}
