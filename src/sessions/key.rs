//! Session keys: `agent:<agentId>:<rest>`, and what clients may write instead.

/// Longest key, characters (reference: 512).
pub const MAX: usize = 512;

/// The agent of a canonical key.
pub fn agent_of(key: &str) -> Option<&str> {
    let (agent, rest) = key.strip_prefix("agent:")?.split_once(':')?;
    let plain = agent.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    (plain && !agent.is_empty() && !rest.is_empty()).then_some(agent)
}

/// What a client wrote as a canonical key: `main` and the configured main key mean the default
/// agent's main session; a key without `agent:` belongs to `agent`.
///
/// # Errors
/// A sentence for the client when the key cannot be one.
pub fn canonical(key: &str, agent: &str, main_key: &str) -> Result<String, String> {
    let key = key.trim();
    if key.is_empty() || key.chars().count() > MAX {
        return Err(format!("a session key has 1 to {MAX} characters"));
    }
    if key.chars().any(char::is_control) {
        return Err("a session key has no control characters".to_owned());
    }
    if key == "main" || key == main_key {
        return Ok(main(agent, main_key));
    }
    if let Some(rest) = key.strip_prefix("agent:") {
        let Some((id, rest)) = rest.split_once(':') else {
            return Err(format!("malformed session key \"{key}\"; write agent:<agentId>:<name>"));
        };
        let canonical = format!("agent:{}:{rest}", id.to_ascii_lowercase());
        return match agent_of(&canonical) {
            Some(_) => Ok(canonical),
            None => Err(format!("malformed session key \"{key}\"; write agent:<agentId>:<name>")),
        };
    }
    Ok(format!("agent:{agent}:{key}"))
}

/// An agent's main session.
pub fn main(agent: &str, main_key: &str) -> String {
    format!("agent:{agent}:{main_key}")
}

/// True for names that only the gateway itself may use (reference: subagents, cron, acp).
pub fn is_reserved(key: &str) -> bool {
    let rest = match key.strip_prefix("agent:") {
        Some(rest) => rest.split_once(':').map_or(rest, |(_, rest)| rest),
        None => key,
    };
    let rest = rest.trim().to_ascii_lowercase();
    ["subagent:", "cron:", "acp:"].iter().any(|prefix| rest.starts_with(prefix))
}

/// The part of a key behind its agent.
pub fn rest_of(key: &str) -> Option<&str> {
    key.strip_prefix("agent:")?.split_once(':').map(|(_, rest)| rest)
}

/// Kinds of peers as they stand in keys.
const GROUPS: [&str; 3] = ["group", "channel", "room"];

/// The channel that a key names, `agent:<id>:<channel>:<group|channel|room|direct>:<peer>`.
pub fn channel_of(key: &str) -> Option<&str> {
    let mut parts = rest_of(key)?.split(':');
    let (channel, kind) = (parts.next()?, parts.next()?);
    parts.next()?;
    (GROUPS.contains(&kind) || matches!(kind, "direct" | "dm")).then_some(channel)
}

/// A conversation of several.
pub fn is_group(key: &str) -> bool {
    rest_of(key).and_then(|rest| rest.split(':').nth(1)).is_some_and(|kind| GROUPS.contains(&kind))
}

/// A thread within another conversation.
pub fn is_thread(key: &str) -> bool {
    rest_of(key).is_some_and(|rest| rest.split(':').any(|part| matches!(part, "thread" | "topic")))
}

/// `session.dmScope`: whose direct messages share a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DmScope {
    /// Everybody's, with the agent's main session.
    #[default]
    Main,
    /// One person's, on all channels.
    PerPeer,
    /// One person's on one channel.
    PerChannelPeer,
    /// One person's with one of our accounts on one channel.
    PerAccountChannelPeer,
}

impl DmScope {
    /// Every word of `session.dmScope`.
    pub const WORDS: [&str; 4] =
        ["main", "per-peer", "per-channel-peer", "per-account-channel-peer"];

    /// From the word in the file.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "main" => Self::Main,
            "per-peer" => Self::PerPeer,
            "per-channel-peer" => Self::PerChannelPeer,
            "per-account-channel-peer" => Self::PerAccountChannelPeer,
            _ => return None,
        })
    }
}

/// Who sends a direct message.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// Channel id, such as `telegram`.
    pub channel: &'a str,
    /// Our account on it; `default` when there is one only.
    pub account: &'a str,
    /// The person's id there.
    pub peer: &'a str,
}

/// The session of a direct message. `links` are `session.identityLinks`: a person's name and
/// the ids, `<channel>:<peer>`, that are this person.
pub fn direct(
    agent: &str,
    main_key: &str,
    scope: DmScope,
    links: &std::collections::BTreeMap<String, Vec<String>>,
    from: Sender<'_>,
) -> String {
    let full = format!("{}:{}", from.channel, from.peer);
    let is_one = |id: &String| id.eq_ignore_ascii_case(&full) || id == from.peer;
    let linked = links.iter().find(|(_, ids)| ids.iter().any(is_one));
    let peer = linked.map_or(from.peer, |(name, _)| name).trim().to_lowercase();
    let Sender { channel, account, .. } = from;
    match scope {
        DmScope::Main => main(agent, main_key),
        _ if peer.is_empty() => main(agent, main_key),
        DmScope::PerPeer => format!("agent:{agent}:direct:{peer}"),
        DmScope::PerChannelPeer => format!("agent:{agent}:{channel}:direct:{peer}"),
        DmScope::PerAccountChannelPeer => {
            format!("agent:{agent}:{channel}:{account}:direct:{peer}")
        }
    }
}

/// True for the session of a spawned run: `agent:<agentId>:subagent:<uuid>`.
pub fn is_subagent(key: &str) -> bool {
    agent_of(key).is_some_and(|agent| {
        let rest = key.strip_prefix("agent:").and_then(|rest| rest.strip_prefix(agent));
        rest.is_some_and(|rest| rest.starts_with(":subagent:"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_write_becomes_canonical() {
        let table = [
            ("main", Ok("agent:main:main")),
            ("agent:main:main", Ok("agent:main:main")),
            ("agent:Ops:x:y", Ok("agent:ops:x:y")),
            ("notes", Ok("agent:main:notes")),
            ("", Err(())),
            ("agent:main", Err(())),
            ("agent:a/b:x", Err(())),
            ("agent::x", Err(())),
            ("a\nb", Err(())),
        ];
        for (text, want) in table {
            let got = canonical(text, "main", "main").map_err(|_| ());
            assert_eq!(got.as_deref(), want.as_ref().copied(), "{text:?}");
        }
        assert!(canonical(&"x".repeat(513), "main", "main").is_err());
        assert!(canonical(&"ü".repeat(512), "main", "main").is_ok());
    }

    #[test]
    fn reserved_names_are_seen_behind_an_agent_too() {
        for key in ["subagent:x", "cron:x", "acp:x", "agent:main:subagent:x", " CRON:x"] {
            assert!(is_reserved(key), "{key}");
        }
        assert!(!is_reserved("agent:main:main"));
        assert!(!is_reserved("agent:cron:main"));
        assert!(is_subagent("agent:main:subagent:x") && !is_subagent("agent:subagent:main"));
        assert!(!is_subagent("agent:main:a:subagent:x"));
    }

    #[test]
    fn direct_messages_group_as_configured() {
        let links = [("Alice".to_owned(), vec!["telegram:7".to_owned(), "discord:9".to_owned()])];
        let links = links.into();
        let of = |scope, channel, peer| {
            direct("main", "main", scope, &links, Sender { channel, account: "work", peer })
        };
        let table = [
            (DmScope::Main, "telegram", "1", "agent:main:main"),
            (DmScope::PerPeer, "telegram", "1", "agent:main:direct:1"),
            (DmScope::PerPeer, "telegram", "7", "agent:main:direct:alice"),
            (DmScope::PerPeer, "discord", "9", "agent:main:direct:alice"),
            (DmScope::PerChannelPeer, "irc", "Bob", "agent:main:irc:direct:bob"),
            (DmScope::PerChannelPeer, "irc", " ", "agent:main:main"),
            (DmScope::PerAccountChannelPeer, "irc", "b", "agent:main:irc:work:direct:b"),
        ];
        for (scope, channel, peer, want) in table {
            assert_eq!(of(scope, channel, peer), want);
        }
        for word in DmScope::WORDS {
            assert!(DmScope::parse(word).is_some(), "{word}");
        }
    }

    #[test]
    fn keys_tell_their_channel_and_kind() {
        let table = [
            ("agent:main:main", None, false, false),
            ("agent:main:direct:1", None, false, false),
            ("agent:main:irc:direct:1", Some("irc"), false, false),
            ("agent:main:irc:group:1", Some("irc"), true, false),
            ("agent:main:irc:channel:1:thread:2", Some("irc"), true, true),
            ("odd", None, false, false),
        ];
        for (key, channel, group, thread) in table {
            assert_eq!((channel_of(key), is_group(key), is_thread(key)), (channel, group, thread));
        }
    }
}
