//! How far an agent's session tools reach: `tools.sessions`, `tools.agentToAgent`,
//! `agents.defaults.subagents` (reference: docs/gateway/config-tools/sessions-and-subagents.md).

use super::ModelChoice;

/// `tools.sessions.visibility`: which sessions the session tools see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Only their own.
    Own,
    /// Their own and those they spawned; an agent's main session sees all of that agent.
    Tree,
    /// Every session of their agent.
    Agent,
    /// Every session.
    All,
}

impl Visibility {
    /// Every word of the key.
    pub const WORDS: [&str; 4] = ["self", "tree", "agent", "all"];

    /// By its word.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "self" => Self::Own,
            "tree" => Self::Tree,
            "agent" => Self::Agent,
            "all" => Self::All,
            _ => return None,
        })
    }
}

/// The settings.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Which sessions.
    pub visibility: Visibility,
    /// Whether other agents' sessions are within reach at all.
    pub across: bool,
    /// Agents that may take part, `*` as a wildcard; empty means all.
    pub across_allow: Vec<String>,
    /// What spawned runs ask; the parent's model if unset.
    pub subagent_model: ModelChoice,
    /// Agents that may be named in `sessions_spawn`; `*` means any, empty the same agent.
    pub subagent_agents: Vec<String>,
    /// Spawned runs at once.
    pub subagents_max: u32,
    /// Seconds for a spawned run; 0 leaves it to `agents.defaults.timeoutSeconds`.
    pub subagent_timeout_seconds: u64,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            visibility: Visibility::All,
            across: true,
            across_allow: Vec::new(),
            subagent_model: ModelChoice::default(),
            subagent_agents: Vec::new(),
            subagents_max: 8,
            subagent_timeout_seconds: 0,
        }
    }
}

impl Reach {
    /// Whether two agents may reach each other.
    pub fn may_cross(&self, from: &str, to: &str) -> bool {
        let listed = |agent: &str| self.across_allow.iter().any(|known| matches(known, agent));
        from == to || self.across && (self.across_allow.is_empty() || (listed(from) && listed(to)))
    }

    /// Whether an agent may spawn runs of another.
    pub fn may_spawn(&self, from: &str, to: &str) -> bool {
        from == to || self.subagent_agents.iter().any(|known| known == "*" || known == to)
    }
}

/// An id, or a pattern with `*`.
fn matches(pattern: &str, agent: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == agent };
    let (head, tail) = (head.to_ascii_lowercase(), tail.to_ascii_lowercase());
    let agent = agent.to_ascii_lowercase();
    match agent.strip_prefix(&head) {
        None => false,
        Some(rest) if tail.contains('*') => {
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.into_iter().any(|at| matches(&tail, rest.get(at..).unwrap_or_default()))
        }
        Some(rest) => rest.ends_with(&tail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_agents_must_be_listed() {
        let mut reach = Reach::default();
        assert!(reach.may_cross("a", "b"));
        reach.across_allow = vec!["home".to_owned(), "Wo*k*".to_owned()];
        assert!(reach.may_cross("home", "work-2") && reach.may_cross("x", "x"));
        assert!(!reach.may_cross("home", "other") && !reach.may_cross("other", "home"));
        assert!(!reach.may_cross("home", "wo"));
        reach.across = false;
        assert!(!reach.may_cross("home", "work") && reach.may_cross("home", "home"));
        assert!(reach.may_spawn("a", "a") && !reach.may_spawn("a", "b"));
        reach.subagent_agents = vec!["*".to_owned()];
        assert!(reach.may_spawn("a", "b"));
    }
}
