//! What a conversation takes from a run: tools, skills; and what it says to it.
//!
//! ```text
//!   the conversation's settings, narrowest first: each by its toolsBySender, else its tools;
//!                                        the first that says anything counts --+
//!   agents.<id>.tools.toolsBySender, else tools.toolsBySender ----------------+--> layers
//! ```
//!
//! Every layer takes away from what the agent has, none gives. Keys of `toolsBySender` are
//! `channel:<channel>:<id>`, `id:<id>`, `e164:<phone>`, `username:<name>`, `name:<shown name>`
//! and `*`, tried in this order; a key without a prefix is an id. Names change hands, so they
//! count only where the operator set `dangerouslyAllowNameMatching`.

use serde_json::{Map, Value, json};

use super::account::{Account, texts};
use super::{Chat, ChatKind, Kind, Sender};
use crate::config::{Config, ToolLists};

/// What a run is held to beside the policies of its agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Lists each of which a tool has to pass.
    pub tools: Vec<ToolLists>,
    /// The only skills it is shown; `None` is all of the agent's.
    pub skills: Option<Vec<String>>,
    /// How many turns of the user before its own it is told; `None` is all.
    pub turns: Option<usize>,
}

impl Bounds {
    /// For the entry of a session: see [`Bounds::from_value`].
    pub fn to_value(&self) -> Value {
        let list = |lists: &ToolLists| json!({"allow": lists.allow, "deny": lists.deny});
        let tools: Vec<Value> = self.tools.iter().map(list).collect();
        json!({"tools": tools, "skills": self.skills})
    }

    /// From [`Bounds::to_value`]. What cannot be read allows nothing.
    pub fn from_value(value: &Value) -> Self {
        let read = |lists: &Value| -> Option<ToolLists> {
            let list = |key: &str| lists.get(key).and_then(texts);
            Some(ToolLists { allow: list("allow")?, deny: list("deny")?, ..ToolLists::default() })
        };
        let all = value.get("tools").and_then(Value::as_array);
        let tools = all.and_then(|all| all.iter().map(read).collect::<Option<Vec<_>>>());
        Self {
            tools: tools.unwrap_or_else(|| vec![nothing()]),
            skills: value.get("skills").and_then(texts),
            turns: None,
        }
    }
}

fn nothing() -> ToolLists {
    ToolLists { deny: vec!["*".to_owned()], ..ToolLists::default() }
}

/// Where a message came from.
#[derive(Clone, Copy)]
pub struct From<'a> {
    /// The channel.
    pub kind: &'static Kind,
    /// The account.
    pub account: &'a Account,
    /// The conversation.
    pub chat: &'a Chat,
}

/// The bounds of a run of an agent. Without a place it is nobody's of a channel; without a
/// sender nobody wrote: only `*` counts then.
pub fn of(config: &Config, agent: &str, from: Option<From<'_>>, sender: Option<&Sender>) -> Bounds {
    let mut bounds = Bounds::default();
    if let Some(from) = from {
        let scopes = scopes(from.kind, from.account, from.chat);
        let policy = scopes.iter().find_map(|scope| {
            let by_sender = scope.get("toolsBySender").and_then(Value::as_object);
            by_sender
                .and_then(|map| pick(map, Some(from), sender))
                .or_else(|| scope.get("tools").filter(|tools| !tools.is_null()))
        });
        bounds.tools.extend(policy.map(lists));
        bounds.skills = scopes.iter().find_map(|scope| texts(scope.get("skills")?));
    }
    let own = config.agents.agent(agent).map(|agent| &agent.tools.by_sender);
    let policy = [own, Some(&config.tools.by_sender)]
        .into_iter()
        .flatten()
        .find_map(|map| pick(map.as_object()?, from, sender));
    bounds.tools.extend(policy.map(lists));
    bounds
}

/// The settings of a conversation, narrowest first.
pub fn scopes(kind: &Kind, account: &Account, chat: &Chat) -> Vec<Value> {
    match chat.kind {
        ChatKind::Direct => direct(account, chat).cloned().into_iter().collect(),
        ChatKind::Group | ChatKind::Channel => (kind.group)(account, chat).scopes,
    }
}

/// `direct.<id>`, which stands whole in the place of `direct.*`.
pub fn direct<'a>(account: &'a Account, chat: &Chat) -> Option<&'a Value> {
    let all = account.get("direct")?;
    all.get(&chat.id).or_else(|| all.get("*")).filter(|entry| entry.is_object())
}

/// `{allow, alsoAllow, deny}` as one layer. What has another form allows nothing.
fn lists(policy: &Value) -> ToolLists {
    if !policy.is_object() {
        return nothing();
    }
    let list = |key: &str| match policy.get(key) {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(value) => texts(value),
    };
    let (Some(mut allow), Some(also), Some(deny)) =
        (list("allow"), list("alsoAllow"), list("deny"))
    else {
        return nothing();
    };
    // Beside no list at all there is nothing to add to: everything is allowed already.
    if !allow.is_empty() {
        allow.extend(also);
    }
    ToolLists { allow, deny, ..ToolLists::default() }
}

/// The entry of `toolsBySender` that is the sender's.
fn pick<'a>(
    map: &'a Map<String, Value>,
    from: Option<From<'_>>,
    sender: Option<&Sender>,
) -> Option<&'a Value> {
    const PREFIXES: [&str; 5] = ["channel", "id", "e164", "username", "name"];
    let split = |key: &'a str| -> (&'static str, &'a str) {
        let found = PREFIXES.iter().find_map(|prefix| {
            let head = key.get(..prefix.len())?;
            let rest = key.get(prefix.len()..)?.strip_prefix(':')?;
            head.eq_ignore_ascii_case(prefix).then_some((*prefix, rest))
        });
        found.unwrap_or(("id", key))
    };
    let entries = || {
        let keys = map.iter().filter(|(key, policy)| key.trim() != "*" && !policy.is_null());
        keys.map(|(key, policy)| (split(key.trim()), policy))
    };
    let find = |prefix: &str, is: &dyn Fn(&str) -> bool| {
        let mut all = entries().filter(|((kind, _), _)| *kind == prefix);
        all.find(|((_, value), _)| is(value.trim())).map(|(_, policy)| policy)
    };
    let everybody = map.iter().find(|(key, _)| key.trim() == "*").map(|(_, policy)| policy);
    let everybody = everybody.filter(|policy| !policy.is_null());
    let (Some(From { kind, account, .. }), Some(sender)) = (from, sender) else {
        return everybody;
    };
    let named = account.flag("dangerouslyAllowNameMatching") == Some(true);
    let same = |one: &str, other: &str| {
        let one = (kind.normal)(one);
        !one.is_empty() && one == (kind.normal)(other)
    };
    let is_id = |value: &str| {
        sender.ids.iter().any(|id| same(id, value))
            || named && sender.names.iter().any(|name| same(name, value))
    };
    let is_name = |value: &str| {
        let bare = |text: &str| text.trim().trim_start_matches('@').to_lowercase();
        named && sender.names.iter().any(|name| !value.is_empty() && bare(name) == bare(value))
    };
    let is_shown = |value: &str| {
        let shown = sender.name.as_deref().unwrap_or_default().trim().to_lowercase();
        named && !shown.is_empty() && shown == value.to_lowercase()
    };
    let here = |value: &str| {
        value.split_once(':').is_some_and(|(channel, id)| {
            let channel = channel.trim().to_lowercase();
            super::find(&channel).map_or(channel == kind.id, |it| it.id == kind.id) && is_id(id)
        })
    };
    find("channel", &here)
        .or_else(|| find("id", &is_id))
        .or_else(|| find("username", &is_name))
        .or_else(|| find("name", &is_shown))
        .or(everybody)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::access;
    use crate::channels::rig::KIND;

    static TEST: Kind =
        Kind { group: |account, chat| access::groups(account, |name| name == chat.id), ..KIND };

    fn sender() -> Sender {
        Sender {
            ids: vec!["U1".to_owned()],
            names: vec!["ann".to_owned()],
            name: Some("Ann B".to_owned()),
            ..Sender::default()
        }
    }

    fn deny(account: &Value, chat: &str, sender: Option<&Sender>) -> String {
        let account = Account::new("rig", "default", account.clone());
        let kind = if chat == "u1" { ChatKind::Direct } else { ChatKind::Group };
        let chat = Chat { kind, id: chat.to_owned(), ..Chat::default() };
        let from = From { kind: &TEST, account: &account, chat: &chat };
        let bounds = of(&Config::defaults(), "main", Some(from), sender);
        let all: Vec<String> = bounds.tools.iter().map(|lists| lists.deny.join(" ")).collect();
        all.join("|")
    }

    #[test]
    fn the_narrowest_setting_that_says_anything_counts() {
        let all = json!({"deny": ["all"]});
        let table: [(Value, &str); 8] = [
            (json!({}), ""),
            (json!({"*": {"tools": all}}), "all"),
            (json!({"g": {}, "*": {"tools": all}}), "all"),
            (json!({"g": {"tools": {}}, "*": {"tools": all}}), ""),
            (json!({"g": {"tools": {"deny": ["g"]}}, "*": {"tools": all}}), "g"),
            (
                json!({"g": {"tools": {"deny": ["g"]}, "toolsBySender": {"*": {"deny": ["s"]}}}}),
                "s",
            ),
            (json!({"g": {"toolsBySender": {"id:u2": {}}}, "*": {"tools": all}}), "all"),
            (json!({"g": {"toolsBySender": {"id:u1": {"alsoAllow": ["exec"]}}, "tools": all}}), ""),
        ];
        for (groups, want) in table {
            assert_eq!(deny(&json!({"groups": groups}), "g", Some(&sender())), want, "{groups}");
        }
        let direct = json!({"direct": {"*": {"tools": all}, "u2": {}}, "groups": {"*": {}}});
        assert_eq!(deny(&direct, "u1", Some(&sender())), "all");
    }

    #[test]
    fn a_sender_is_known_by_ids_and_by_names_only_where_that_was_asked_for() {
        let of = |map: Value, named: bool, who: Option<&Sender>| {
            let groups = json!({"g": {"toolsBySender": map, "tools": {"deny": ["rest"]}}});
            let named = json!({"groups": groups, "dangerouslyAllowNameMatching": named});
            deny(&named, "g", who)
        };
        let one = |key: &str| json!({key: {"deny": ["own"]}});
        let who = sender();
        for key in ["id:u1", "ID:U1", "u1", "channel:rig:u1", "id: u1 "] {
            assert_eq!(of(one(key), false, Some(&who)), "own", "{key}");
        }
        for key in ["username:ann", "username:@Ann", "name:ann b", "id:ann", "ann"] {
            assert_eq!(of(one(key), false, Some(&who)), "rest", "{key} may be anybody's");
            assert_eq!(of(one(key), true, Some(&who)), "own", "{key}");
        }
        for key in ["channel:irc:u1", "id:u2", "e164:u1", "id:", "channel:rig:", "name:", ""] {
            assert_eq!(of(one(key), true, Some(&who)), "rest", "{key}");
        }
        let both = json!({"*": {"deny": ["any"]}, "id:u1": {"deny": ["own"]},
            "channel:rig:u1": {"deny": ["here"]}});
        assert_eq!(of(both.clone(), false, Some(&who)), "here");
        assert_eq!(of(both, false, None), "any", "nobody wrote");
    }

    #[test]
    fn what_has_another_form_allows_nothing() {
        for tools in [json!("read"), json!({"allow": "read"}), json!({"deny": {"a": 1}})] {
            let groups = json!({"groups": {"g": {"tools": tools}}});
            assert_eq!(deny(&groups, "g", None), "*", "{tools}");
        }
        let bounds = Bounds {
            tools: vec![lists(&json!({"allow": ["read"], "alsoAllow": ["ls"], "deny": ["x"]}))],
            skills: Some(vec!["s".to_owned()]),
            turns: None,
        };
        assert_eq!(bounds.tools[0].allow, ["read", "ls"]);
        assert_eq!(Bounds::from_value(&bounds.to_value()), bounds);
        assert_eq!(Bounds::from_value(&Bounds::default().to_value()), Bounds::default());
        assert_eq!(Bounds::from_value(&json!({"tools": [1]})).tools, [nothing()]);
    }

    #[test]
    fn senders_have_policies_of_their_own_everywhere() {
        let mut config = Config::defaults();
        config.tools.by_sender = json!({"*": {"deny": ["exec"]}, "id:u1": {"deny": ["write"]}});
        let own = |agent: &str, config: &Config, sender: Option<&Sender>| {
            let account = Account::new("rig", "default", json!({}));
            let chat = Chat { kind: ChatKind::Group, id: "g".to_owned(), ..Chat::default() };
            let from = From { kind: &TEST, account: &account, chat: &chat };
            let bounds = of(config, agent, sender.map(|_| from), sender);
            bounds.tools.iter().flat_map(|lists| lists.deny.clone()).collect::<Vec<_>>()
        };
        assert_eq!(own("main", &config, Some(&sender())), ["write"]);
        assert_eq!(own("main", &config, None), ["exec"]);
        let mut agent = crate::config::Agent { id: "main".to_owned(), ..Default::default() };
        agent.tools.by_sender = json!({"id:u1": {}});
        config.agents.list = vec![agent];
        assert!(own("main", &config, Some(&sender())).is_empty(), "the agent's stands instead");
        assert_eq!(own("main", &config, None), ["exec"]);
    }
}
