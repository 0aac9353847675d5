//! Which configuration file, which state directory, which port: from the environment and the
//! global flags, by the reference's precedence.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::snapshot::{Bind, Config};

/// The port when nobody says otherwise.
pub const DEFAULT_PORT: u16 = 18_789;
/// The port of `--dev`.
pub const DEV_PORT: u16 = 19_001;
/// The profile of `--dev`.
pub const DEV_PROFILE: &str = "dev";

/// Global flags that move the gateway to another place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--profile <name>`.
    pub profile: Option<String>,
    /// `--dev`, short for `--profile dev` with port 19001.
    pub dev: bool,
}

/// Where this gateway lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The home that `~` stands for.
    pub home: PathBuf,
    /// State directory, `~/.openclaw` or `~/.openclaw-<profile>`.
    pub state_dir: PathBuf,
    /// The configuration file, `<state>/openclaw.json` unless named.
    pub config_path: PathBuf,
    /// The profile, `None` for the default one.
    pub profile: Option<String>,
    /// Port of this profile when neither flag, environment nor file names one.
    pub default_port: u16,
}

/// Why there is no place to live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathsError {
    /// Neither `HOME` nor `OPENCLAW_HOME` is set.
    NoHome,
    /// Not a name that can be part of a directory name; holds it.
    BadProfile(String),
    /// `--dev` and `--profile <other>` together; holds the other.
    DevAndProfile(String),
}

impl std::fmt::Display for PathsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |name: &str| crate::wire::text::escape_log(name, 80);
        match self {
            Self::NoHome => f.write_str(
                "no home directory: set HOME, or OPENCLAW_HOME, or both OPENCLAW_STATE_DIR and \
                 OPENCLAW_CONFIG_PATH to absolute paths",
            ),
            Self::BadProfile(name) => write!(
                f,
                "`{}` is not a profile name: use 1 to 64 letters, digits, `-` and `_`, beginning \
                 with a letter or digit",
                shown(name)
            ),
            Self::DevAndProfile(name) => write!(
                f,
                "--dev means --profile dev and cannot be combined with --profile {}: leave one out",
                shown(name)
            ),
        }
    }
}

impl std::error::Error for PathsError {}

/// A variable that is set to something; blanks around it are typing slips.
fn named<'a>(env: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    env.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

fn is_profile(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

impl Paths {
    /// Decides all places at once.
    pub fn resolve(env: &BTreeMap<String, String>, flags: &Flags) -> Result<Self, PathsError> {
        let profile = match (flags.dev, flags.profile.as_deref()) {
            (true, Some(other)) if other != DEV_PROFILE => {
                return Err(PathsError::DevAndProfile(other.to_owned()));
            }
            (true, _) => Some(DEV_PROFILE),
            (false, Some(name)) => Some(name),
            (false, None) => named(env, "OPENCLAW_PROFILE"),
        };
        if let Some(name) = profile.filter(|name| !is_profile(name)) {
            return Err(PathsError::BadProfile(name.to_owned()));
        }
        let profile = profile.filter(|name| *name != "default");
        let state = named(env, "OPENCLAW_STATE_DIR");
        let config = named(env, "OPENCLAW_CONFIG_PATH");
        let home = home(env);
        // A service without a home can still say where everything is.
        let rooted = |path: Option<&str>| path.is_some_and(|path| path.starts_with('/'));
        let home = match home {
            Some(home) => home,
            None if rooted(state) && (config.is_none() || rooted(config)) => PathBuf::from("/"),
            None => return Err(PathsError::NoHome),
        };
        let state_dir = match (state, profile) {
            (Some(dir), _) => expand(&home, dir),
            (None, Some(profile)) => home.join(format!(".openclaw-{profile}")),
            (None, None) => home.join(".openclaw"),
        };
        let config_path = match config {
            Some(path) => expand(&home, path),
            None => state_dir.join("openclaw.json"),
        };
        let default_port = if profile == Some(DEV_PROFILE) { DEV_PORT } else { DEFAULT_PORT };
        let profile = profile.map(str::to_owned);
        Ok(Self { home, state_dir, config_path, profile, default_port })
    }

    /// A path of the file with `~` expanded.
    pub fn expand(&self, path: &str) -> PathBuf {
        expand(&self.home, path)
    }

    /// `--port` > `OPENCLAW_GATEWAY_PORT` > `gateway.port` > the profile's default. A flag of 0
    /// asks the system for any free port.
    pub fn port(
        &self,
        flag: Option<u16>,
        env: &BTreeMap<String, String>,
        config: &Config,
    ) -> Result<u16, String> {
        if let Some(port) = flag {
            return Ok(port);
        }
        let Some(text) = named(env, "OPENCLAW_GATEWAY_PORT") else {
            return Ok(config.gateway.port.unwrap_or(self.default_port));
        };
        let digits = text.chars().all(|c| c.is_ascii_digit());
        match text.parse() {
            Ok(port) if port > 0 && digits => Ok(port),
            _ => {
                let shown = crate::wire::text::escape_log(text, 40);
                Err(format!("OPENCLAW_GATEWAY_PORT={shown} is not a port (1-65535)"))
            }
        }
    }
}

/// `OPENCLAW_HOME`, in which `~` is the real home, else `HOME`.
fn home(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let real = named(env, "HOME").map(PathBuf::from);
    match (named(env, "OPENCLAW_HOME"), real) {
        (Some(own), Some(real)) => Some(expand(&real, own)),
        (Some(own), None) if !own.starts_with('~') => Some(PathBuf::from(own)),
        (_, real) => real,
    }
}

fn expand(home: &std::path::Path, path: &str) -> PathBuf {
    match path.strip_prefix('~') {
        Some("") => home.to_path_buf(),
        Some(rest) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

/// `--bind` > `gateway.bind` > loopback.
pub fn bind(flag: Option<Bind>, config: &Config) -> Bind {
    flag.unwrap_or(config.gateway.bind)
}

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
