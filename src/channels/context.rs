//! What of a conversation is told to the model, with which model, and whether it is answered
//! aloud: settings that an account, a group, an agent and everybody may have.

use serde_json::Value;

use super::account::{Account, texts};
use super::{Chat, ChatKind, Inbound};
use crate::config::Config;

/// `contextVisibility`: whose words are told beside the message itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody's.
    All,
    /// Those of people who may speak there.
    Allowlist,
    /// The same, and what the message answers, whoever said it.
    AllowlistQuote,
}

/// The account's, the one of `channels.defaults`, else all. A word that is none hides most.
pub fn visibility(config: &Config, account: &Account) -> Visibility {
    let all = || config.chat.channels.pointer("/defaults/contextVisibility");
    match account.get("contextVisibility").or_else(all).map(Value::as_str) {
        None | Some(Some("all")) => Visibility::All,
        Some(Some("allowlist_quote")) => Visibility::AllowlistQuote,
        _ => Visibility::Allowlist,
    }
}

/// Whether mention patterns count in a conversation: `mentionPatterns` of the account.
pub fn patterns_count(account: &Account, chat: &Chat) -> bool {
    let Some(policy) = account.get("mentionPatterns") else { return true };
    let topic = chat.thread.as_ref().map(|thread| format!("{}:topic:{thread}", chat.id));
    let ids = [Some(&chat.id), topic.as_ref(), chat.parent.as_ref()];
    let named = |key: &str| {
        let list = policy.get(key).and_then(texts).unwrap_or_default();
        ids.iter().flatten().any(|id| list.iter().any(|it| it.eq_ignore_ascii_case(id)))
    };
    match policy.get("mode").and_then(Value::as_str) {
        _ if policy == &Value::Bool(false) || named("denyIn") => false,
        Some("deny") => named("allowIn"),
        _ => true,
    }
}

/// How many overheard messages are told with the next one for the bot, if somebody says.
pub fn history_limit(config: &Config, account: &Account, agent: &str) -> Option<u64> {
    let own = config.agents.agent(agent).and_then(|agent| agent.group_chat.history_limit);
    account.number("historyLimit").or(own).or(config.messages.group_chat.history_limit)
}

/// User turns of a direct conversation's own session that its model is told: `dms.<id>`, else
/// `dmHistoryLimit`; 0 and silence are all of them.
pub fn direct_turns(account: &Account, peers: &[String]) -> Option<usize> {
    let own = account
        .get("dms")
        .and_then(|dms| peers.iter().find_map(|peer| dms.get(peer)?.get("historyLimit")?.as_u64()));
    let limit = own.or_else(|| account.number("dmHistoryLimit"))?;
    usize::try_from(limit).ok().filter(|limit| *limit > 0)
}

/// `channels.modelByChannel.<channel>`: by the conversation's topic, itself, the one that it is a
/// thread of; of a direct one by the person.
pub fn model<'a>(config: &'a Config, channel: &str, message: &Inbound) -> Option<&'a str> {
    let map = config.chat.channels.get("modelByChannel")?.get(channel)?.as_object()?;
    let chat = &message.chat;
    let mut keys: Vec<String> = Vec::new();
    match chat.kind {
        ChatKind::Direct => {
            for id in &message.sender.ids {
                keys.push(id.clone());
                keys.push(format!("user:{id}"));
                keys.push(format!("{channel}:{id}"));
            }
        }
        ChatKind::Group | ChatKind::Channel => {
            if let Some(thread) = &chat.thread {
                keys.push(format!("{}:topic:{thread}", chat.id));
                keys.push(format!("{}:thread:{thread}", chat.id));
            }
            keys.push(chat.id.clone());
            keys.push(format!("channel:{}", chat.id));
            keys.extend(chat.parent.clone());
        }
    }
    let find = |key: &String| {
        map.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).and_then(|(_, it)| it.as_str())
    };
    keys.iter().find_map(find).or_else(|| map.get("*").and_then(Value::as_str))
}

/// `session.sendPolicy`: whether what is said in a session may leave by a channel. Any rule that
/// denies counts, then any that allows, then `default`.
pub fn may_send(policy: &Value, channel: &str, kind: ChatKind, key: &str) -> bool {
    let bare = key.splitn(3, ':').nth(2).filter(|_| key.starts_with("agent:")).unwrap_or(key);
    let fits = |rule: &Value| {
        let Some(at) = rule.get("match") else { return true };
        let text = |name: &str| at.get(name).and_then(Value::as_str).map(str::to_lowercase);
        let kind = kind.as_str();
        text("channel").is_none_or(|it| it == channel)
            && text("chatType").is_none_or(|it| it == kind || (it == "dm" && kind == "direct"))
            && text("keyPrefix").is_none_or(|it| bare.to_lowercase().starts_with(&it))
            && text("rawKeyPrefix").is_none_or(|it| key.to_lowercase().starts_with(&it))
    };
    let rules = policy.get("rules").and_then(Value::as_array).map(Vec::as_slice);
    let has = |action: &str| {
        let mut rules = rules.unwrap_or_default().iter();
        rules.any(|rule| rule.get("action").is_some_and(|it| it == action) && fits(rule))
    };
    let default = policy.get("default").is_none_or(|it| it != "deny");
    !has("deny") && (has("allow") || default)
}

/// Whether a fact counts as a mention: `implicitMentions.<fact>` of the account, of
/// `channels.defaults`, else it does.
pub fn implicit(config: &Config, account: &Account, fact: &str) -> bool {
    let own = account.flag(&format!("implicitMentions.{fact}"));
    let all = || {
        let all = config.chat.channels.pointer("/defaults/implicitMentions")?;
        all.get(fact)?.as_bool()
    };
    own.or_else(all).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::Sender;
    use serde_json::json;

    fn account(value: Value) -> Account {
        Account::new("rig", "default", value)
    }

    fn config(channels: Value) -> Config {
        let mut config = Config::defaults();
        config.chat.channels = channels;
        config
    }

    #[test]
    fn whose_words_are_told() {
        use Visibility::{All, Allowlist, AllowlistQuote};
        let defaults = config(json!({"defaults": {"contextVisibility": "allowlist"}}));
        let none = config(json!({}));
        assert_eq!(visibility(&none, &account(json!({}))), All);
        assert_eq!(visibility(&defaults, &account(json!({}))), Allowlist);
        let table = [("all", All), ("allowlist_quote", AllowlistQuote), ("allowlist", Allowlist)];
        for (word, want) in table {
            let own = account(json!({"contextVisibility": word}));
            assert_eq!(visibility(&defaults, &own), want);
        }
        assert_eq!(visibility(&none, &account(json!({"contextVisibility": "al"}))), Allowlist);
        assert_eq!(visibility(&none, &account(json!({"contextVisibility": 1}))), Allowlist);
    }

    #[test]
    fn where_patterns_count() {
        let chat = Chat { id: "G".to_owned(), thread: Some("4".to_owned()), ..Chat::default() };
        for (policy, want) in [
            (json!(null), true),
            (json!(false), false),
            (json!({"denyIn": ["g"]}), false),
            (json!({"denyIn": ["G:topic:4"], "allowIn": ["g"]}), false),
            (json!({"denyIn": ["G:topic:5"]}), true),
            (json!({"mode": "deny"}), false),
            (json!({"mode": "deny", "allowIn": ["g"]}), true),
            (json!({"mode": "deny", "allowIn": ["g"], "denyIn": ["g"]}), false),
        ] {
            let own = account(json!({"mentionPatterns": policy}));
            assert_eq!(patterns_count(&own, &chat), want, "{policy}");
        }
    }

    #[test]
    fn a_conversation_has_its_model() {
        let config = config(json!({"modelByChannel": {"x": {
            "g": "p/group", "G:topic:4": "p/topic", "user:u1": "p/person", "p1": "p/parent"}}}));
        let group = |id: &str, thread: Option<&str>| Inbound {
            chat: Chat {
                kind: ChatKind::Group,
                id: id.to_owned(),
                thread: thread.map(str::to_owned),
                parent: (id == "t").then(|| "P1".to_owned()),
                ..Chat::default()
            },
            sender: Sender { ids: vec!["u1".to_owned()], ..Sender::default() },
            ..Inbound::default()
        };
        assert_eq!(model(&config, "x", &group("G", None)), Some("p/group"));
        assert_eq!(model(&config, "x", &group("G", Some("4"))), Some("p/topic"));
        assert_eq!(model(&config, "x", &group("G", Some("5"))), Some("p/group"));
        assert_eq!(model(&config, "x", &group("t", None)), Some("p/parent"));
        assert_eq!(model(&config, "x", &group("other", None)), None, "a person's is for alone");
        assert_eq!(model(&config, "y", &group("G", None)), None);
        let direct = Inbound { chat: Chat::default(), ..group("u1", None) };
        assert_eq!(model(&config, "x", &direct), Some("p/person"));
    }

    #[test]
    fn a_send_policy_denies_first() {
        let group = ChatKind::Group;
        let key = "agent:main:discord:group:1";
        let may = |policy: &Value| may_send(policy, "discord", group, key);
        assert!(may(&json!({})) && may(&Value::Null));
        assert!(!may(&json!({"default": "deny"})));
        for at in [
            json!({"channel": "discord"}),
            json!({"chatType": "group"}),
            json!({"channel": "discord", "chatType": "group", "keyPrefix": "discord:"}),
            json!({"rawKeyPrefix": "agent:main:disc"}),
            json!({}),
        ] {
            let deny = json!({"rules": [{"action": "deny", "match": at}]});
            assert!(!may(&deny), "{at}");
            let both = json!({"rules": [{"action": "allow"}, {"action": "deny", "match": at}]});
            assert!(!may(&both), "{at}");
            let allow = json!({"default": "deny", "rules": [{"action": "allow", "match": at}]});
            assert!(may(&allow), "{at}");
        }
        for at in [
            json!({"channel": "slack"}),
            json!({"chatType": "dm"}),
            json!({"keyPrefix": "agent:main"}),
            json!({"rawKeyPrefix": "discord"}),
        ] {
            assert!(may(&json!({"rules": [{"action": "deny", "match": at}]})), "{at}");
        }
    }

    #[test]
    fn limits_are_the_narrowest() {
        let own = account(json!({"dmHistoryLimit": 9, "dms": {"u1": {"historyLimit": 2}, "u3":
            {"historyLimit": 0}}}));
        let of = |peer: &str| direct_turns(&own, &[peer.to_owned()]);
        assert_eq!((of("u1"), of("u2"), of("u3")), (Some(2), Some(9), None));
        assert_eq!(direct_turns(&account(json!({})), &[]), None);
        let mut config = config(json!({"defaults": {"implicitMentions": {"replyToBot": false}}}));
        assert!(!implicit(&config, &own, "replyToBot") && implicit(&config, &own, "quotedBot"));
        let own = account(json!({"implicitMentions": {"replyToBot": true}, "historyLimit": 3}));
        assert!(implicit(&config, &own, "replyToBot"));
        config.messages.group_chat.history_limit = Some(7);
        assert_eq!(history_limit(&config, &own, "main"), Some(3));
        assert_eq!(history_limit(&config, &account(json!({})), "main"), Some(7));
        let mut agent = crate::config::Agent { id: "main".to_owned(), ..Default::default() };
        agent.group_chat.history_limit = Some(5);
        config.agents.list = vec![agent];
        assert_eq!(history_limit(&config, &account(json!({})), "main"), Some(5));
    }
}
