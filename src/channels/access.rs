//! Who may write, and whether the bot was meant.
//!
//! ```text
//!   direct: dmPolicy   disabled -> nobody | allowlist -> allowFrom
//!                      pairing (default) -> allowFrom, or approved before; else a code is sent
//!                      open -> allowFrom must hold "*", or the sender
//!   group:  groupPolicy  disabled -> nothing | allowlist (default) -> listed groups only
//!                        open -> any group
//!           then who: groups.<id>.allowFrom, else groupAllowFrom, else allowFrom; empty: only with
//!                     groupPolicy open
//!           then: requireMention (default true): the bot named, answered, or a command
//! ```
//!
//! Only ids that never change hands are matched ([`Sender::ids`]); names too when the operator
//! set `dangerouslyAllowNameMatching`. Whatever cannot be decided is denied.

use serde_json::Value;

use super::account::{Account, texts};
use super::{Chat, ChatKind, GroupRules, Inbound, Kind, Sender, bounds, context};
use crate::config::Config;

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// It goes on as context only: the bot was not meant.
    Overhear,
    /// It is dropped; the reason for the log.
    Drop(&'static str),
    /// It is dropped, and the sender gets a pairing code.
    Pair,
}

/// What of the configuration an account is judged by.
pub struct Rules<'a> {
    /// Its channel.
    pub kind: &'static Kind,
    /// The account.
    pub account: &'a Account,
    /// Everything else.
    pub config: &'a Config,
    /// Who was approved by pairing.
    pub paired: &'a [String],
    /// Whether a text matches a mention pattern of the agent that the message is for.
    pub meant: &'a dyn Fn(&str) -> bool,
}

impl Rules<'_> {
    /// Judges a message.
    pub fn judge(&self, message: &Inbound) -> Verdict {
        if let Some(why) = self.refuses_bot(message) {
            return Verdict::Drop(why);
        }
        match message.chat.kind {
            ChatKind::Direct => self.direct(message),
            ChatKind::Group | ChatKind::Channel => self.group(message),
        }
    }

    /// Why a bot is not listened to: `allowBots` of the room or the account.
    fn refuses_bot(&self, message: &Inbound) -> Option<&'static str> {
        if !message.sender.is_bot {
            return None;
        }
        let scopes = bounds::scopes(self.kind, self.account, &message.chat);
        let own = scopes.iter().find_map(|scope| scope.get("allowBots"));
        match own.or_else(|| self.account.get("allowBots")) {
            Some(Value::Bool(true)) => {}
            Some(Value::String(word)) if word == "mentions" => {
                if !self.was_meant(message) {
                    return Some("a bot did not mention ours (allowBots mentions)");
                }
            }
            _ => return Some("the sender is a bot"),
        }
        // The reference also asks Slack whether an owner is in the room; we take the list alone.
        let listed = || {
            let rules = (self.kind.group)(self.account, &message.chat);
            let mut named = rules.allow_from.unwrap_or_default();
            named.retain(|entry| entry.trim() != "*");
            self.matches(&named, &message.sender)
        };
        if self.kind.id == "slack" && message.chat.kind == ChatKind::Channel && !listed() {
            return Some("the bot is not in users of the room");
        }
        None
    }

    fn direct(&self, message: &Inbound) -> Verdict {
        let (account, sender) = (self.account, &message.sender);
        if account.flag("dm.enabled") == Some(false) {
            return Verdict::Drop("dm.enabled is false");
        }
        // What is said of this one conversation stands in the place of what is said of all.
        let own = bounds::direct(account, &message.chat);
        if own.is_some_and(|own| own.get("enabled") == Some(&Value::Bool(false))) {
            return Verdict::Drop("the conversation is disabled");
        }
        let allow = own.and_then(|own| texts(own.get("allowFrom")?));
        let allow = allow.unwrap_or_else(|| self.allow_from());
        let listed = self.matches(&allow, sender);
        let policy = own.and_then(|own| own.get("dmPolicy")?.as_str());
        match policy.unwrap_or_else(|| self.dm_policy()) {
            "disabled" => Verdict::Drop("dmPolicy is disabled"),
            "open" | "allowlist" if listed => Verdict::Pass,
            "open" => Verdict::Drop("dmPolicy is open, but allowFrom has neither \"*\" nor them"),
            "allowlist" => Verdict::Drop("not in allowFrom"),
            // `pairing`, and whatever validation should have refused.
            _ if listed || self.is_paired(sender) => Verdict::Pass,
            _ => Verdict::Pair,
        }
    }

    /// `dmPolicy` in force.
    pub fn dm_policy(&self) -> &str {
        let said = self.account.text("dmPolicy").or_else(|| self.account.text("dm.policy"));
        said.unwrap_or("pairing")
    }

    fn allow_from(&self) -> Vec<String> {
        let account = self.account;
        account.texts("allowFrom").or_else(|| account.texts("dm.allowFrom")).unwrap_or_default()
    }

    fn is_paired(&self, sender: &Sender) -> bool {
        let first = sender.ids.first().map(|id| (self.kind.normal)(id));
        first.is_some_and(|id| self.paired.contains(&id))
    }

    fn group(&self, message: &Inbound) -> Verdict {
        let rules = (self.kind.group)(self.account, &message.chat);
        let policy = rules.policy.as_deref().unwrap_or_else(|| self.group_policy());
        match policy {
            "disabled" => return Verdict::Drop("groupPolicy is disabled"),
            "allowlist" if !rules.listed => {
                return Verdict::Drop("the group is not listed (groupPolicy allowlist)");
            }
            _ if rules.enabled == Some(false) => return Verdict::Drop("the group is disabled"),
            // With groupPolicy open, a list is about settings, not about who is heard.
            _ => {}
        }
        if !self.may_speak(&rules, &message.sender, policy) {
            return Verdict::Drop("not in the group's allowlist");
        }
        let meant = message.command || self.was_meant(message);
        let ignores = |scope: &Value| scope.get("ignoreOtherMentions").and_then(Value::as_bool);
        let others = message.others && message.chat.kind == ChatKind::Channel;
        if others && !meant && rules.scopes.iter().find_map(ignores) == Some(true) {
            return Verdict::Drop("somebody else was meant (ignoreOtherMentions)");
        }
        if meant || !self.needs_mention(&rules) {
            return Verdict::Pass;
        }
        Verdict::Overhear
    }

    /// Whether a person may speak in a conversation, and so be quoted there.
    pub fn is_heard(&self, chat: &Chat, sender: &Sender) -> bool {
        match chat.kind {
            ChatKind::Direct => self.is_paired(sender) || self.matches(&self.allow_from(), sender),
            ChatKind::Group | ChatKind::Channel => {
                let rules = (self.kind.group)(self.account, chat);
                let policy = rules.policy.as_deref().unwrap_or_else(|| self.group_policy());
                self.may_speak(&rules, sender, policy)
            }
        }
    }

    /// `groupPolicy` in force.
    pub fn group_policy(&self) -> &str {
        let own = self.account.text("groupPolicy");
        let all = || self.config.chat.channels.pointer("/defaults/groupPolicy")?.as_str();
        own.or_else(all).unwrap_or("allowlist")
    }

    fn may_speak(&self, rules: &GroupRules, sender: &Sender, policy: &str) -> bool {
        let role = rules.roles.iter().any(|role| sender.roles.contains(role));
        if let Some(allow) = &rules.allow_from {
            return role || self.matches(allow, sender);
        }
        if !rules.roles.is_empty() {
            return role;
        }
        if policy == "open" {
            return true;
        }
        match self.named_for_groups(rules.inherits) {
            Some(allow) => self.matches(&allow, sender),
            // Nobody is named: a service whose groups are listed one by one is meant whole.
            None => rules.open,
        }
    }

    /// The account's list for all groups, when it names anybody: `groupAllowFrom`, or `allowFrom`
    /// where that counts as well.
    fn named_for_groups(&self, inherits: bool) -> Option<Vec<String>> {
        let named = |key: &str| self.account.texts(key).filter(|list| !list.is_empty());
        named("groupAllowFrom").or_else(|| named("allowFrom").filter(|_| inherits))
    }

    fn needs_mention(&self, rules: &GroupRules) -> bool {
        rules.require_mention.or_else(|| self.account.flag("requireMention")).unwrap_or(true)
    }

    /// The bot was named, answered, or its mention pattern matches.
    pub fn was_meant(&self, message: &Inbound) -> bool {
        let answered = message.reply_to.as_ref().is_some_and(|quote| quote.of_us);
        // Of the four only Slack lets this fact be switched off.
        let counts = || {
            self.kind.id != "slack" || context::implicit(self.config, self.account, "replyToBot")
        };
        message.mentioned
            || (answered && counts())
            || self.account.get("mentionPatterns") != Some(&Value::Bool(false))
                && (self.meant)(&message.text)
    }

    /// Whether a list names the sender.
    pub fn matches(&self, list: &[String], sender: &Sender) -> bool {
        let names = self.account.flag("dangerouslyAllowNameMatching") == Some(true);
        let normal = self.kind.normal;
        list.iter().any(|entry| {
            if entry.trim() == "*" {
                return true;
            }
            if let Some(group) = entry.strip_prefix("accessGroup:") {
                return self.in_group(group.trim(), sender, names);
            }
            let entry = normal(entry);
            !entry.is_empty()
                && (sender.ids.iter().any(|id| normal(id) == entry)
                    || names && sender.names.iter().any(|name| normal(name) == entry))
        })
    }

    /// `accessGroups.<name>`; a group that does not exist has no members.
    fn in_group(&self, name: &str, sender: &Sender, names: bool) -> bool {
        let group = self.config.chat.access_groups.get(name);
        let is_senders = |it: &&Value| it.get("type").is_some_and(|t| t == "message.senders");
        let Some(members) = group.filter(is_senders).and_then(|it| it.get("members")) else {
            return false;
        };
        let normal = self.kind.normal;
        let listed = |key: &str| members.get(key).and_then(texts).unwrap_or_default();
        listed(self.kind.id).into_iter().chain(listed("*")).any(|entry| {
            let entry = normal(&entry);
            !entry.is_empty()
                && (sender.ids.iter().any(|id| normal(id) == entry)
                    || names && sender.names.iter().any(|name| normal(name) == entry))
        })
    }

    /// Whether the sender may give commands: `commands.allowFrom` alone when it is set, else
    /// whoever was paired or is named by the account's list (direct), or is named by a list of
    /// the group's or the account's (groups: being heard there is not enough, nor is pairing).
    pub fn may_command(&self, message: &Inbound) -> bool {
        let commands = &self.config.chat.commands;
        if let Some(allow) = commands.get("allowFrom").filter(|it| it.is_object()) {
            let list = |key: &str| allow.get(key).and_then(texts).unwrap_or_default();
            let own = list(self.kind.id);
            let list = if own.is_empty() { list("*") } else { own };
            return self.matches(&list, &message.sender);
        }
        if self.is_owner(&message.sender) {
            return true;
        }
        match message.chat.kind {
            ChatKind::Direct => {
                self.is_paired(&message.sender) || self.matches(&self.allow_from(), &message.sender)
            }
            ChatKind::Group | ChatKind::Channel => {
                let rules = (self.kind.group)(self.account, &message.chat);
                self.is_named(&rules, &message.sender)
            }
        }
    }

    /// Whether a list that says who may speak in a group names the sender. Where none does,
    /// everybody may speak and nobody command; where only places are listed (Discord, Slack),
    /// the account's `allowFrom` names who is trusted.
    fn is_named(&self, rules: &GroupRules, sender: &Sender) -> bool {
        if rules.allow_from.is_some() || !rules.roles.is_empty() {
            return self.may_speak(rules, sender, "allowlist");
        }
        let named = self.named_for_groups(rules.inherits || rules.open);
        named.is_some_and(|list| self.matches(&list, sender))
    }

    /// Whether the sender is an owner: `commands.ownerAllowFrom`.
    pub fn is_owner(&self, sender: &Sender) -> bool {
        let owners = self.config.chat.commands.get("ownerAllowFrom").and_then(texts);
        let own = owners.unwrap_or_default();
        let of_us: Vec<String> = own
            .into_iter()
            .filter_map(|entry| match entry.split_once(':') {
                Some((channel, id)) if super::find(channel).is_some() => {
                    (super::find(channel)?.id == self.kind.id).then(|| id.to_owned())
                }
                _ => Some(entry),
            })
            .collect();
        // Everybody is nobody's owner.
        let named: Vec<String> = of_us.into_iter().filter(|entry| entry.trim() != "*").collect();
        self.matches(&named, sender)
    }
}

/// [`GroupRules`] of the map `groups`, for channels that have one: the entry whose name `is`
/// this group, over the one of `*`.
pub fn groups(account: &Account, is: impl Fn(&str) -> bool) -> GroupRules {
    let Some(Value::Object(map)) = account.get("groups") else { return GroupRules::default() };
    let own = map.iter().find(|(name, _)| name.as_str() != "*" && is(name)).map(|(_, it)| it);
    let all = map.get("*");
    let flag = |key: &str| {
        let of = |value: Option<&Value>| value?.get(key)?.as_bool();
        of(own).or_else(|| of(all))
    };
    let list = |key: &str| {
        let of = |value: Option<&Value>| texts(value?.get(key)?);
        of(own).or_else(|| of(all))
    };
    let prompt = |value: Option<&Value>| {
        value?.get("systemPrompt")?.as_str().map(str::to_owned).filter(|it| !it.trim().is_empty())
    };
    GroupRules {
        listed: own.is_some() || all.is_some(),
        enabled: flag("enabled"),
        require_mention: flag("requireMention"),
        allow_from: list("allowFrom"),
        prompts: prompt(own).or_else(|| prompt(all)).into_iter().collect(),
        scopes: [own, all].into_iter().flatten().cloned().collect(),
        ..GroupRules::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::rig::KIND;
    use crate::channels::{Chat, Quote};
    use serde_json::json;

    static TEST: Kind =
        Kind { group: |account, chat| groups(account, |name| name == chat.id), ..KIND };

    fn judged(account: &Value, paired: &[&str], message: &Inbound) -> Verdict {
        let account = Account::new("rig", "default", account.clone());
        let config = Config::defaults();
        let paired: Vec<String> = paired.iter().map(|id| (*id).to_owned()).collect();
        let rules = Rules {
            kind: &TEST,
            account: &account,
            config: &config,
            paired: &paired,
            meant: &|_| false,
        };
        rules.judge(message)
    }

    fn said(kind: ChatKind, chat: &str, sender: &str) -> Inbound {
        Inbound {
            chat: Chat { kind, id: chat.to_owned(), ..Chat::default() },
            sender: Sender {
                ids: vec![sender.to_owned()],
                names: vec!["bob".to_owned()],
                ..Sender::default()
            },
            text: "hi".to_owned(),
            ..Inbound::default()
        }
    }

    #[test]
    fn direct_messages_follow_their_policy() {
        type Want = fn(&Verdict) -> bool;
        let message = said(ChatKind::Direct, "u1", "U1");
        let drop = |verdict: &Verdict| matches!(verdict, Verdict::Drop(_));
        let table: [(Value, &[&str], Want); 11] = [
            (json!({}), &[], |it| *it == Verdict::Pair),
            (json!({}), &["u1"], |it| *it == Verdict::Pass),
            (json!({"allowFrom": ["u1"]}), &[], |it| *it == Verdict::Pass),
            (json!({"dmPolicy": "allowlist", "allowFrom": ["u2"]}), &["u1"], drop),
            (json!({"dmPolicy": "allowlist", "allowFrom": ["U1"]}), &[], |it| *it == Verdict::Pass),
            (json!({"dmPolicy": "open"}), &["u1"], drop),
            (json!({"dmPolicy": "open", "allowFrom": ["*"]}), &[], |it| *it == Verdict::Pass),
            (json!({"dmPolicy": "disabled", "allowFrom": ["*"]}), &["u1"], drop),
            (json!({"dmPolicy": "allowlist", "allowFrom": ["bob"]}), &[], drop),
            (
                json!({"dmPolicy": "allowlist", "allowFrom": ["bob"],
                    "dangerouslyAllowNameMatching": true}),
                &[],
                |it| *it == Verdict::Pass,
            ),
            (json!({"dmPolicy": "allowlist", "allowFrom": ["accessGroup:none"]}), &[], drop),
        ];
        for (account, paired, want) in table {
            let verdict = judged(&account, paired, &message);
            assert!(want(&verdict), "{account} {paired:?}: {verdict:?}");
        }
    }

    #[test]
    fn groups_need_a_place_a_sender_and_a_mention() {
        let message = said(ChatKind::Group, "g", "u1");
        let named = Inbound { mentioned: true, ..message.clone() };
        let answered = Inbound {
            reply_to: Some(Quote { of_us: true, ..Quote::default() }),
            ..message.clone()
        };
        let any = json!({"groups": {"g": {"allowFrom": ["*"]}}});
        assert_eq!(judged(&any, &[], &message), Verdict::Overhear);
        assert_eq!(judged(&any, &[], &named), Verdict::Pass);
        assert_eq!(judged(&any, &[], &answered), Verdict::Pass);
        let free = json!({"groups": {"*": {"allowFrom": ["*"], "requireMention": false}}});
        assert_eq!(judged(&free, &[], &message), Verdict::Pass);
        for account in [
            json!({}),
            json!({"groups": {"other": {"allowFrom": ["*"]}}}),
            json!({"groups": {"g": {}}}),
            json!({"groups": {"g": {"enabled": false, "allowFrom": ["*"]}}}),
            json!({"groupPolicy": "disabled", "groups": {"g": {"allowFrom": ["*"]}}}),
            json!({"groups": {"g": {}}, "groupAllowFrom": ["u2"]}),
        ] {
            // Pairing opens no group.
            let verdict = judged(&account, &["u1"], &named);
            assert!(matches!(verdict, Verdict::Drop(_)), "{account}: {verdict:?}");
        }
        for account in [
            json!({"groupPolicy": "open"}),
            // Who is named elsewhere shuts nobody out of what is open.
            json!({"groupPolicy": "open", "allowFrom": ["u2"], "groupAllowFrom": ["u3"]}),
            json!({"groups": {"g": {}}, "groupAllowFrom": ["u1"]}),
        ] {
            assert_eq!(judged(&account, &[], &named), Verdict::Pass, "{account}");
        }
        // The list for direct messages names nobody for groups, unless the service says so.
        let direct_list = json!({"groups": {"g": {}}, "allowFrom": ["u1"]});
        assert!(matches!(judged(&direct_list, &[], &named), Verdict::Drop(_)));
        let own = json!({"groupPolicy": "open", "groups": {"g": {"allowFrom": ["u2"]}}});
        assert!(matches!(judged(&own, &[], &named), Verdict::Drop(_)));
    }

    /// Whether `u1` may command in the group `g` of a channel.
    fn commands(channel: &'static str, account: Value, chat: Chat) -> bool {
        let kind = crate::channels::find(channel).expect("a channel");
        let account = Account::new(channel, "default", account);
        let config = Config::defaults();
        // Pairing opens no group.
        let paired = vec!["u1".to_owned(), "U1".to_owned(), "1".to_owned()];
        let sender = Sender {
            ids: vec!["u1!u@host".to_owned(), "U1".to_owned(), "1".to_owned()],
            roles: vec!["7".to_owned()],
            ..Sender::default()
        };
        let message = Inbound { chat, sender, ..Inbound::default() };
        let meant = |_: &str| false;
        let rules =
            Rules { kind, account: &account, config: &config, paired: &paired, meant: &meant };
        rules.may_command(&message)
    }

    #[test]
    fn commands_in_a_group_are_of_those_that_a_list_names() {
        let chat = |id: &str, guild: Option<&str>| Chat {
            kind: ChatKind::Channel,
            id: id.to_owned(),
            guild: guild.map(str::to_owned),
            ..Chat::default()
        };
        let group = || Chat { kind: ChatKind::Group, id: "-1".to_owned(), ..Chat::default() };
        let slack = |account| commands("slack", account, chat("C1", None));
        assert!(!slack(json!({"channels": {"C1": {}}})));
        assert!(!slack(json!({"groupPolicy": "open"})));
        assert!(!slack(json!({"channels": {"C1": {"users": ["U2"]}}, "allowFrom": ["U1"]})));
        assert!(slack(json!({"channels": {"C1": {"users": ["U1"]}}})));
        assert!(slack(json!({"channels": {"C1": {}}, "allowFrom": ["U1"]})));
        let discord = |account| commands("discord", account, chat("5", Some("9")));
        assert!(!discord(json!({"guilds": {"9": {}}})));
        assert!(!discord(json!({"guilds": {"9": {"roles": ["8"]}}})));
        assert!(discord(json!({"guilds": {"9": {"roles": ["7"]}}})));
        assert!(discord(json!({"guilds": {"9": {"users": ["1"]}}})));
        let telegram = |account| commands("telegram", account, group());
        assert!(!telegram(json!({"groups": {"-1": {"groupPolicy": "open"}}})));
        assert!(!telegram(json!({"groupPolicy": "open", "allowFrom": ["2"]})));
        assert!(telegram(json!({"groups": {"-1": {}}, "allowFrom": ["1"]})));
        let irc = |account| commands("irc", account, chat("#a", None));
        assert!(!irc(json!({"groups": {"#a": {}}, "allowFrom": ["u1!u@host"]})));
        assert!(irc(json!({"groups": {"#a": {}}, "groupAllowFrom": ["u1!u@host"]})));
    }

    fn says_hi(text: &str) -> bool {
        text == "hi"
    }

    #[test]
    fn mention_patterns_and_commands() {
        let account = Account::new("rig", "default", json!({"allowFrom": ["u1"]}));
        let mut config = Config::defaults();
        config.chat.commands = json!({"ownerAllowFrom": ["rig:u9", "irc:u1", "*"]});
        let rules =
            Rules { kind: &TEST, account: &account, config: &config, paired: &[], meant: &says_hi };
        let message = said(ChatKind::Group, "g", "u1");
        assert!(rules.was_meant(&message));
        assert!(rules.may_command(&said(ChatKind::Direct, "u1", "u1")));
        assert!(!rules.may_command(&said(ChatKind::Direct, "u2", "u2")));
        config.chat.commands = json!({"allowFrom": {"*": ["u2"]}});
        let rules =
            Rules { kind: &TEST, account: &account, config: &config, paired: &[], meant: &says_hi };
        assert!(!rules.may_command(&said(ChatKind::Direct, "u1", "u1")));
        assert!(rules.may_command(&said(ChatKind::Direct, "u2", "u2")));
    }
}
