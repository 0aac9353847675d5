//! What the configuration says of the tools that reach outside: `tools.exec` and
//! `tools.web.fetch`.

use super::secret::Secret;
use std::path::PathBuf;

/// `tools.exec.security`: which commands may run at all. Ordered from strict to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExecSecurity {
    /// None.
    Deny,
    /// Those on the allowlist; others when somebody allows them.
    Allowlist,
    /// All.
    Full,
}

/// `tools.exec.ask`: when somebody is asked. Ordered from strict to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExecAsk {
    /// For every command.
    Always,
    /// For a command that is not on the allowlist.
    OnMiss,
    /// Never.
    Off,
}

impl ExecSecurity {
    /// From the word in files and requests.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Deny, Self::Allowlist, Self::Full].into_iter().find(|it| it.as_str() == word)
    }

    /// The word in files and requests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allowlist => "allowlist",
            Self::Full => "full",
        }
    }
}

impl ExecAsk {
    /// From the word in files and requests.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Always, Self::OnMiss, Self::Off].into_iter().find(|it| it.as_str() == word)
    }

    /// The word in files and requests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::OnMiss => "on-miss",
            Self::Off => "off",
        }
    }
}

/// `tools.exec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// `security`, or as `mode` says.
    pub security: ExecSecurity,
    /// `ask`, or as `mode` says.
    pub ask: ExecAsk,
    /// `timeoutSeconds`: the life of a command; 0 is no end.
    pub timeout_seconds: u64,
    /// `backgroundMs`: after so long a command goes on in the background.
    pub background_ms: u64,
    /// `cleanupMs`: how long the output of a finished command is kept.
    pub cleanup_ms: u64,
    /// `pathPrepend`: directories put in front of `PATH`, `~` expanded.
    pub path_prepend: Vec<PathBuf>,
}

impl Default for Exec {
    fn default() -> Self {
        Self {
            security: ExecSecurity::Full,
            ask: ExecAsk::Off,
            timeout_seconds: 1_800,
            background_ms: 10_000,
            cleanup_ms: 1_800_000,
            path_prepend: Vec::new(),
        }
    }
}

/// `tools.web.fetch`.
#[derive(Debug, Clone)]
pub struct WebFetch {
    /// The tool exists.
    pub enabled: bool,
    /// `maxChars`: characters of an answer when the call does not say.
    pub max_chars: usize,
    /// `maxCharsCap`: the most that a call may ask for.
    pub max_chars_cap: usize,
    /// `maxResponseBytes`: what is read of a page.
    pub max_response_bytes: usize,
    /// `timeoutSeconds`: for the whole fetch.
    pub timeout_seconds: u64,
    /// `cacheTtlMinutes`: how long an answer is kept; 0 keeps none.
    pub cache_minutes: u64,
    /// `maxRedirects`.
    pub max_redirects: u32,
    /// `userAgent`.
    pub user_agent: String,
    /// `headers`: for the first URL's server alone.
    pub headers: Vec<(String, Secret)>,
    /// `ssrfPolicy.dangerouslyAllowPrivateNetwork`.
    pub private: bool,
    /// `ssrfPolicy.allowedHostnames`: these may have private addresses.
    pub allowed: Vec<String>,
    /// `ssrfPolicy.blockedHostnames`: these are never asked.
    pub blocked: Vec<String>,
}

impl Default for WebFetch {
    fn default() -> Self {
        Self {
            enabled: true,
            max_chars: 20_000,
            max_chars_cap: 20_000,
            max_response_bytes: 750_000,
            timeout_seconds: 30,
            cache_minutes: 15,
            max_redirects: 3,
            user_agent: concat!("openclaw-gateway/", env!("CARGO_PKG_VERSION")).to_owned(),
            headers: Vec::new(),
            private: false,
            allowed: Vec::new(),
            blocked: Vec::new(),
        }
    }
}
