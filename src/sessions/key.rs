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
    }
}
