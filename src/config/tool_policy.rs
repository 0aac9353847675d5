//! What the configuration says of which tools an agent has: `tools.*`, the same below an agent,
//! and `gateway.tools`. `agent::tools::policy` decides by it.

use serde_json::Value;
use std::collections::BTreeMap;

/// `tools.profile`: the base of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the profile of its name")]
pub enum ToolProfile {
    Minimal,
    Coding,
    Messaging,
    Full,
}

impl ToolProfile {
    /// Every profile, in the order in which clients show them.
    pub const ALL: [Self; 4] = [Self::Minimal, Self::Coding, Self::Messaging, Self::Full];
    /// Their words.
    pub const WORDS: [&str; 4] = ["minimal", "coding", "messaging", "full"];

    /// From the word in the file.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == word)
    }

    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Coding => "coding",
            Self::Messaging => "messaging",
            Self::Full => "full",
        }
    }

    /// For people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Minimal => "Minimal",
            Self::Coding => "Coding",
            Self::Messaging => "Messaging",
            Self::Full => "Full",
        }
    }
}

/// Profile and lists of one scope: `tools`, an agent's `tools`, or one provider of either.
/// Entries are names, `group:` names, or patterns with `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolLists {
    /// `profile`.
    pub profile: Option<ToolProfile>,
    /// `allow`: when there are any, nothing else.
    pub allow: Vec<String>,
    /// `alsoAllow`: beside what the profile holds; `None` when it is not written.
    pub also_allow: Option<Vec<String>>,
    /// `deny`: never, whatever else says so.
    pub deny: Vec<String>,
}

/// `tools` or `agents.list[].tools`. What is `None` is not written there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolPolicy {
    /// Its own lists.
    pub lists: ToolLists,
    /// `byProvider`: by `provider` or `provider/model`, in lower case.
    pub by_provider: BTreeMap<String, ToolLists>,
    /// `fs.workspaceOnly`.
    pub workspace_only: Option<bool>,
    /// `exec.applyPatch.enabled`.
    pub patch: Option<bool>,
    /// `exec.applyPatch.workspaceOnly`.
    pub patch_workspace_only: Option<bool>,
    /// `exec.applyPatch.allowModels`: raw ids or `provider/model`; empty is every model.
    pub patch_models: Option<Vec<String>>,
    /// `toolsBySender`: read by `channels::bounds`, for who a sender is only a channel knows.
    pub by_sender: Value,
    /// `loopDetection`.
    pub loops: Loops,
}

/// `loopDetection`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loops {
    /// `enabled`; off unless it says true.
    pub enabled: Option<bool>,
    /// `warningThreshold`: repetitions without progress after which the model is told.
    pub warning: Option<u32>,
    /// `criticalThreshold`: repetitions after which a call is not made.
    pub critical: Option<u32>,
    /// `historySize`: calls that are looked back at.
    pub history: Option<u32>,
}
