//! Which configuration file, which state directory, which port: from the environment and the
//! global flags, by the reference's precedence.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::snapshot::{Bind, Config};

/// The port when nobody says otherwise.
pub const DEFAULT_PORT: u16 = 18_789;
/// The port of `--dev`.
pub const DEV_PORT: u16 = 19_001;

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

impl Paths {
    /// Decides all places at once.
    pub fn resolve(env: &BTreeMap<String, String>, flags: &Flags) -> Result<Self, PathsError> {
        let _ = (env, flags);
        Err(PathsError::NoHome)
    }

    /// A path of the file with `~` expanded.
    pub fn expand(&self, path: &str) -> PathBuf {
        PathBuf::from(path)
    }

    /// `--port` > `OPENCLAW_GATEWAY_PORT` > `gateway.port` > the profile's default.
    pub fn port(
        &self,
        flag: Option<u16>,
        env: &BTreeMap<String, String>,
        config: &Config,
    ) -> Result<u16, String> {
        let _ = env;
        Ok(flag.or(config.gateway.port).unwrap_or(self.default_port))
    }
}

/// `--bind` > `gateway.bind` > loopback.
pub fn bind(flag: Option<Bind>, config: &Config) -> Bind {
    flag.unwrap_or(config.gateway.bind)
}
