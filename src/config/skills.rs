//! Section `skills` of the typed configuration: where skills lie beside the usual places, and
//! what is said of single ones.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::secret::Secret;

/// Section `skills`.
#[derive(Debug, Clone, Default)]
pub struct Skills {
    /// `skills.load.extraDirs`, of the lowest precedence; `~` is expanded.
    pub extra_dirs: Vec<PathBuf>,
    /// `skills.load.allowSymlinkTargets`: links in workspaces may lead into these.
    pub outside: Vec<PathBuf>,
    /// `skills.limits.maxSkillsPromptChars`.
    pub prompt_chars: Option<usize>,
    /// `skills.entries`, by the key of a skill.
    pub entries: BTreeMap<String, SkillEntry>,
}

/// `skills.entries.<key>`.
#[derive(Debug, Clone)]
pub struct SkillEntry {
    /// False hides the skill whatever else is true of it.
    pub enabled: bool,
    /// Stands for the variable that the skill calls its primary one.
    pub api_key: Option<Secret>,
    /// Variables for the skill's programs.
    pub env: BTreeMap<String, Secret>,
}
