//! Whose a message is: which agent answers it, in which session.
//!
//! Bindings are tried from the narrowest: peer, the peer that a thread belongs to, any peer of a
//! kind, guild and roles, guild, team, account, channel; then the default agent. All fields that a
//! binding names must match; of two equally narrow ones the first counts.

use serde_json::Value;

use super::account::texts;
use super::{Chat, ChatKind, Inbound};
use crate::config::Config;
use crate::sessions::key::{self, DmScope, Sender};

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The agent.
    pub agent: String,
    /// Its session.
    pub key: String,
    /// What matched, for the log: `binding.peer`, `default`.
    pub by: &'static str,
}

/// How narrow a binding is, narrowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    Peer,
    Parent,
    AnyPeer,
    Roles,
    Guild,
    Team,
    Account,
    Channel,
}

impl Tier {
    fn name(self) -> &'static str {
        match self {
            Self::Peer => "binding.peer",
            Self::Parent => "binding.peer.parent",
            Self::AnyPeer => "binding.peer.wildcard",
            Self::Roles => "binding.guild+roles",
            Self::Guild => "binding.guild",
            Self::Team => "binding.team",
            Self::Account => "binding.account",
            Self::Channel => "binding.channel",
        }
    }
}

/// The route of a message. `topic` is an agent that the group's own settings name.
pub fn route(
    config: &Config,
    channel: &str,
    account: &str,
    default_account: &str,
    message: &Inbound,
    topic: Option<&str>,
) -> Route {
    let none = Vec::new();
    let bindings = config.chat.bindings.as_array().unwrap_or(&none);
    let best = bindings
        .iter()
        .filter_map(|binding| {
            let tier = tier(binding, channel, account, default_account, message)?;
            let agent = binding.get("agentId")?.as_str()?.trim().to_lowercase();
            config.agents.has(&agent).then_some((tier, agent, binding))
        })
        // The first of equals.
        .min_by_key(|(tier, ..)| *tier);
    let topic = topic.map(str::to_lowercase).filter(|agent| config.agents.has(agent));
    let (agent, by, binding) = match (topic, best) {
        (Some(agent), _) => (agent, "topic", None),
        (None, Some((tier, agent, binding))) => (agent, tier.name(), Some(binding)),
        (None, None) => (config.agents.default_agent().to_owned(), "default", None),
    };
    let session = binding.and_then(|binding| binding.get("session"));
    let key = session_key(config, &agent, (channel, account), message, session);
    Route { agent, key, by }
}

fn tier(
    binding: &Value,
    channel: &str,
    account: &str,
    default_account: &str,
    message: &Inbound,
) -> Option<Tier> {
    let at = binding.get("match")?;
    let text = |key: &str| at.get(key).and_then(Value::as_str).map(str::trim);
    if !text("channel")?.eq_ignore_ascii_case(channel) {
        return None;
    }
    // Without an account a binding is the default account's; `*` is anybody's.
    let for_account = match text("accountId") {
        None | Some("") => account == default_account,
        Some("*") => true,
        Some(id) => id.eq_ignore_ascii_case(account),
    };
    if !for_account {
        return None;
    }
    let chat = &message.chat;
    let guild = match text("guildId") {
        Some(id) => (chat.guild.as_deref() == Some(id)).then_some(true)?,
        None => false,
    };
    let team = match text("teamId") {
        Some(id) => (chat.team.as_deref() == Some(id)).then_some(true)?,
        None => false,
    };
    let roles = at.get("roles").and_then(texts).unwrap_or_default();
    if !roles.is_empty() && !roles.iter().any(|role| message.sender.roles.contains(role)) {
        return None;
    }
    if let Some(peer) = at.get("peer").filter(|peer| peer.is_object()) {
        return peer_tier(peer, message);
    }
    Some(match (guild, roles.is_empty(), team, text("accountId")) {
        (true, false, ..) => Tier::Roles,
        (true, true, ..) => Tier::Guild,
        (false, _, true, _) => Tier::Team,
        (.., Some("*")) => Tier::Channel,
        _ => Tier::Account,
    })
}

fn peer_tier(peer: &Value, message: &Inbound) -> Option<Tier> {
    let chat = &message.chat;
    let kind = peer.get("kind").and_then(Value::as_str)?;
    let is_kind = match kind {
        "dm" | "direct" => chat.kind == ChatKind::Direct,
        // Both words mean a conversation of several, as in the reference.
        "group" | "channel" => chat.kind != ChatKind::Direct,
        _ => false,
    };
    let id = match peer.get("id")? {
        Value::String(id) => id.trim().to_lowercase(),
        Value::Number(id) => id.to_string(),
        _ => return None,
    };
    if !is_kind {
        return None;
    }
    if id == "*" {
        return Some(Tier::AnyPeer);
    }
    let own = peer_id(chat);
    let sender = message.sender.ids.iter().any(|it| it.to_lowercase() == id);
    if own == id || chat.id.to_lowercase() == id && chat.thread.is_none() {
        return Some(Tier::Peer);
    }
    if chat.kind == ChatKind::Direct && sender {
        return Some(Tier::Peer);
    }
    let parent = chat.parent.as_ref().is_some_and(|parent| parent.to_lowercase() == id);
    (parent || chat.id.to_lowercase() == id).then_some(Tier::Parent)
}

/// A conversation's id with its topic, as keys and bindings write it.
fn peer_id(chat: &Chat) -> String {
    match &chat.thread {
        Some(thread) => format!("{}:topic:{thread}", chat.id).to_lowercase(),
        None => chat.id.to_lowercase(),
    }
}

/// The session of a message for an agent.
pub fn session_key(
    config: &Config,
    agent: &str,
    (channel, account): (&str, &str),
    message: &Inbound,
    own: Option<&Value>,
) -> String {
    let session = &config.session;
    let chat = &message.chat;
    let word = |name: &str| own.and_then(|own| own.get(name)).and_then(Value::as_str);
    if session.scope == crate::config::SessionScope::Global {
        return key::main(agent, &session.main_key);
    }
    if chat.kind == ChatKind::Direct {
        let said = word("dmScope").or(session.dm_scope.as_deref());
        let scope = said.and_then(DmScope::parse).unwrap_or_default();
        let peer = message.sender.ids.first().map_or(chat.id.as_str(), String::as_str);
        let from = Sender { channel, account, peer };
        let base = key::direct(agent, &session.main_key, scope, &session.identity_links, from);
        return match &chat.thread {
            Some(thread) => format!("{base}:thread:{}", thread.to_lowercase()),
            None => base,
        };
    }
    if word("groupScope").or(session.group_scope.as_deref()) == Some("main") {
        return key::main(agent, &session.main_key);
    }
    let base = format!("agent:{agent}:{channel}:{}:{}", chat.kind.as_str(), chat.id.to_lowercase());
    match &chat.thread {
        Some(thread) if channel == "telegram" => format!("{base}:topic:{}", thread.to_lowercase()),
        Some(thread) => format!("{base}:thread:{}", thread.to_lowercase()),
        None => base,
    }
}

/// The agents of a broadcast group, each with its session; empty when the conversation is none.
/// Of a group that selects by mention, `named` says which agents a text names.
pub fn broadcast(
    config: &Config,
    (channel, account): (&str, &str),
    message: &Inbound,
    named: impl Fn(&str) -> bool,
) -> Vec<Route> {
    let Some(map) = config.chat.broadcast.as_object() else { return Vec::new() };
    let key = format!("{channel}:{}", message.chat.id).to_lowercase();
    let Some((_, entry)) = map.iter().find(|(name, _)| name.to_lowercase() == key) else {
        return Vec::new();
    };
    let (agents, gated) = match entry {
        Value::Array(_) => (texts(entry), true),
        entry => (
            entry.get("agents").and_then(texts),
            entry.get("mentionGating").and_then(Value::as_bool).unwrap_or(true),
        ),
    };
    let mut all: Vec<String> = agents.unwrap_or_default();
    all.iter_mut().for_each(|agent| *agent = agent.to_lowercase());
    all.retain(|agent| config.agents.has(agent));
    let mut known = std::collections::BTreeSet::new();
    all.retain(|agent| known.insert(agent.clone()));
    all.truncate(crate::limits::BROADCAST_AGENTS);
    if gated && all.iter().any(|agent| named(agent)) {
        all.retain(|agent| named(agent));
    }
    let turns = entry.get("maxTurns").and_then(Value::as_u64);
    if let Some(turns) = turns.and_then(|turns| usize::try_from(turns).ok()) {
        all.truncate(turns);
    }
    all.into_iter()
        .map(|agent| {
            let key = session_key(config, &agent, (channel, account), message, None);
            Route { agent, key, by: "broadcast" }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Agent, Config};
    use serde_json::json;

    fn config(bindings: Value) -> Config {
        let mut config = Config::defaults();
        for id in ["peer", "parent", "any", "roles", "guild", "team", "account", "channel"] {
            config.agents.list.push(Agent { id: id.to_owned(), ..Agent::default() });
        }
        config.chat.bindings = bindings;
        config
    }

    fn message() -> Inbound {
        Inbound {
            chat: Chat {
                kind: ChatKind::Channel,
                id: "C1".to_owned(),
                parent: Some("P1".to_owned()),
                guild: Some("g".to_owned()),
                team: Some("t".to_owned()),
                ..Chat::default()
            },
            sender: crate::channels::Sender {
                ids: vec!["u".to_owned()],
                roles: vec!["r".to_owned()],
                ..crate::channels::Sender::default()
            },
            ..Inbound::default()
        }
    }

    #[test]
    fn the_narrowest_binding_counts() {
        let at = |agent: &str, rest: Value| {
            let mut matched = json!({"channel": "x"});
            for (name, value) in rest.as_object().expect("object") {
                matched[name] = value.clone();
            }
            json!({"agentId": agent, "match": matched})
        };
        let mut all = vec![
            at("channel", json!({"accountId": "*"})),
            at("account", json!({"accountId": "work"})),
            at("team", json!({"accountId": "*", "teamId": "t"})),
            at("guild", json!({"accountId": "*", "guildId": "g"})),
            at("roles", json!({"accountId": "*", "guildId": "g", "roles": ["q", "r"]})),
            at("any", json!({"accountId": "*", "peer": {"kind": "group", "id": "*"}})),
            at("parent", json!({"accountId": "*", "peer": {"kind": "channel", "id": "p1"}})),
            at("peer", json!({"accountId": "*", "peer": {"kind": "channel", "id": "c1"}})),
        ];
        let want = ["peer", "parent", "any", "roles", "guild", "team", "account", "channel"];
        for agent in want {
            let config = config(Value::Array(all.clone()));
            let route = route(&config, "x", "work", "default", &message(), None);
            assert_eq!(route.agent, agent);
            assert_eq!(route.key, format!("agent:{agent}:x:channel:c1"));
            all.pop();
        }
        let config = config(json!([
            at("peer", json!({})),
            at("guild", json!({"accountId": "*", "guildId": "other"})),
            at("nobody", json!({"accountId": "*"})),
            {"agentId": "peer", "match": {"channel": "y", "accountId": "*"}},
        ]));
        let found = route(&config, "x", "work", "default", &message(), None);
        assert_eq!((&*found.agent, found.by), (config.agents.default_agent(), "default"));
        assert_eq!(route(&config, "x", "default", "default", &message(), None).agent, "peer");
        assert_eq!(route(&config, "x", "work", "default", &message(), Some("Any")).agent, "any");
    }

    #[test]
    fn threads_and_direct_conversations_have_their_keys() {
        let mut config = config(Value::Null);
        let mut message = message();
        message.chat.thread = Some("T9".to_owned());
        let of = |config: &Config, channel: &str, message: &Inbound| {
            session_key(config, "a", (channel, "work"), message, None)
        };
        assert_eq!(of(&config, "slack", &message), "agent:a:slack:channel:c1:thread:t9");
        message.chat.kind = ChatKind::Group;
        assert_eq!(of(&config, "telegram", &message), "agent:a:telegram:group:c1:topic:t9");
        config.session.group_scope = Some("main".to_owned());
        assert_eq!(of(&config, "telegram", &message), "agent:a:main");
        message.chat = Chat { id: "u".to_owned(), ..Chat::default() };
        assert_eq!(of(&config, "x", &message), "agent:a:main");
        config.session.dm_scope = Some("per-account-channel-peer".to_owned());
        assert_eq!(of(&config, "x", &message), "agent:a:x:work:direct:u");
    }

    #[test]
    fn a_broadcast_group_has_many_agents() {
        let mut config = config(Value::Null);
        config.chat.broadcast =
            json!({"x:C1": {"agents": ["peer", "team", "no", "peer"], "maxTurns": 5}});
        let agents = |named: &[&str]| -> Vec<String> {
            let routes = broadcast(&config, ("x", "w"), &message(), |id| named.contains(&id));
            routes.into_iter().map(|route| route.key).collect()
        };
        assert_eq!(agents(&[]), ["agent:peer:x:channel:c1", "agent:team:x:channel:c1"]);
        assert_eq!(agents(&["team"]), ["agent:team:x:channel:c1"]);
        let other = Inbound { chat: Chat::default(), ..message() };
        assert!(broadcast(&config, ("x", "w"), &other, |_| true).is_empty());
    }
}
