//! `secrets.providers`: who may be asked, and what a file or a program must look like before it
//! is. All judged here on facts handed in; nothing is read or started.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::reference::RefSource;
use crate::config::{Paths, Source};
use crate::limits;

/// One entry of `secrets.providers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// Variables; `None` allows every name.
    Env(Option<Vec<String>>),
    /// A file.
    File(FileProvider),
    /// A program.
    Exec(ExecProvider),
    /// The reference's store, which does not exist here.
    Store,
}

/// A file of secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProvider {
    /// Absolute.
    pub path: PathBuf,
    /// The whole file is the secret (`mode: "singleValue"`).
    pub single: bool,
    /// Bytes it may have.
    pub max_bytes: usize,
}

/// A program that knows secrets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExecProvider {
    /// As configured; [`ExecProvider::program`] says what is started.
    pub command: PathBuf,
    /// Arguments after the program's name.
    pub args: Vec<String>,
    /// The whole environment: `passEnv` of ours, then `env`. Holds secrets.
    pub env: BTreeMap<String, String>,
    /// Time in all.
    pub timeout_ms: u64,
    /// Time without a byte of output.
    pub silence_ms: u64,
    /// Bytes of output, standard error counted too.
    pub max_output: usize,
    /// Plain text is no answer.
    pub json_only: bool,
    /// Directories it must lie in; empty is anywhere.
    pub trusted_dirs: Vec<PathBuf>,
    /// A link is followed, and what it points to is judged.
    pub follow_link: bool,
}

/// Without arguments and environment, which may hold secrets.
impl std::fmt::Debug for ExecProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.command.display())
    }
}

/// What stands at a path, the path itself and no link followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// What it is.
    pub kind: FactKind,
    /// Permission bits, sticky included.
    pub mode: u32,
    /// Number of the owner.
    pub owner: u32,
    /// Hard links.
    pub links: u64,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// Anything else.
    Other,
}

/// Section `secrets`.
#[derive(Debug, Clone, Default)]
pub struct Providers {
    all: BTreeMap<String, Provider>,
    defaults: BTreeMap<&'static str, String>,
}

impl Providers {
    /// Of a section that the key table has approved; `env` is what `passEnv` takes from.
    pub fn of(section: &Value, env: &BTreeMap<String, String>, paths: &Paths) -> Self {
        let all = section.get("providers").and_then(Value::as_object);
        let all = all
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), provider(value, env, paths)?)));
        let defaults = section.get("defaults");
        let defaults = ["env", "file", "exec", "store"]
            .into_iter()
            .filter_map(|source| Some((source, defaults?.get(source)?.as_str()?.to_owned())));
        Self { all: all.collect(), defaults: defaults.collect() }
    }

    /// The provider of a reference and its name.
    ///
    /// # Errors
    /// A sentence that says what to configure.
    pub fn find(
        &self,
        source: RefSource,
        named: Option<&str>,
    ) -> Result<(String, Provider), String> {
        let word = source.as_str();
        let usual = self.defaults.get(word).map_or("default", String::as_str);
        let name = named.unwrap_or(usual);
        let found = self.all.get(name).filter(|provider| provider.source() == source);
        match (found, source) {
            (Some(provider), _) => Ok((name.to_owned(), provider.clone())),
            (None, RefSource::Env) if name == usual => Ok((name.to_owned(), Provider::Env(None))),
            (None, RefSource::Store) if name == usual => Ok((name.to_owned(), Provider::Store)),
            (None, _) if self.all.contains_key(name) => Err(format!(
                "SecretRef: its provider in secrets.providers is not one of source {word}"
            )),
            (None, _) => Err(format!(
                "SecretRef: provider \"{name}\" is not configured: add it to secrets.providers \
                 with source {word}"
            )),
        }
    }

    /// Every program, by the provider's name.
    pub fn programs(&self) -> impl Iterator<Item = (&str, &ExecProvider)> {
        self.all.iter().filter_map(|(name, provider)| match provider {
            Provider::Exec(exec) => Some((name.as_str(), exec)),
            _ => None,
        })
    }
}

impl Provider {
    fn source(&self) -> RefSource {
        match self {
            Self::Env(_) => RefSource::Env,
            Self::File(_) => RefSource::File,
            Self::Exec(_) => RefSource::Exec,
            Self::Store => RefSource::Store,
        }
    }
}

fn provider(value: &Value, env: &BTreeMap<String, String>, paths: &Paths) -> Option<Provider> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let number = |name: &str| value.get(name).and_then(Value::as_u64);
    let size = |name: &str, unset: usize| {
        number(name).map_or(unset, |n| usize::try_from(n).unwrap_or(usize::MAX))
    };
    let texts = |name: &str| -> Option<Vec<String>> {
        let items = value.get(name)?.as_array()?.iter();
        Some(items.filter_map(|item| item.as_str().map(str::to_owned)).collect())
    };
    Some(match RefSource::parse(text("source")?)? {
        RefSource::Env => Provider::Env(texts("allowlist")),
        RefSource::Store => Provider::Store,
        RefSource::File => Provider::File(FileProvider {
            path: paths.expand(text("path").unwrap_or_default()),
            single: text("mode") == Some("singleValue"),
            max_bytes: size("maxBytes", limits::SECRET_FILE).min(limits::SECRET_FILE_MAX),
        }),
        RefSource::Exec => {
            let pass = texts("passEnv").unwrap_or_default().into_iter();
            let mut child: BTreeMap<String, String> =
                pass.filter_map(|name| Some((name.clone(), env.get(&name)?.clone()))).collect();
            let own = value.get("env").and_then(Value::as_object).into_iter().flatten();
            child.extend(own.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))));
            let timeout_ms = number("timeoutMs").unwrap_or(limits::SECRET_EXEC_MS);
            let dirs = texts("trustedDirs").unwrap_or_default().into_iter();
            Provider::Exec(ExecProvider {
                command: paths.expand(text("command").unwrap_or_default()),
                args: texts("args").unwrap_or_default(),
                env: child,
                timeout_ms,
                silence_ms: number("noOutputTimeoutMs").unwrap_or(timeout_ms),
                max_output: size("maxOutputBytes", limits::SECRET_OUTPUT)
                    .min(limits::SECRET_OUTPUT_MAX),
                json_only: value.get("jsonOnly").and_then(Value::as_bool).unwrap_or(true),
                trusted_dirs: dirs.map(|dir| paths.expand(&dir)).collect(),
                follow_link: value.get("allowSymlinkCommand") == Some(&Value::Bool(true)),
            })
        }
    })
}

impl FileProvider {
    /// The file's text, when the file itself may be trusted.
    ///
    /// # Errors
    /// A reason with the path; never a part of the file.
    pub fn text(&self, source: &dyn Source) -> Result<String, String> {
        let shown = self.path.display();
        plain(&self.path).map_err(|why| format!("{shown} {why}"))?;
        let (facts, bytes) = source
            .secret_file(&self.path, self.max_bytes)
            .map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let what = match facts.kind {
            FactKind::File if facts.links > 1 => {
                "must not be hardlinked: copy it to a new file of mode 0600 and put that in its \
                 place"
            }
            FactKind::File if !owned(source, facts.owner) => {
                "belongs to another user: it must belong to the gateway's"
            }
            FactKind::File if facts.mode & 0o077 != 0 => "is open to other users: chmod 600 it",
            FactKind::File if bytes.len() > self.max_bytes => "is larger than maxBytes",
            FactKind::File => {
                ancestors(source, &self.path)?;
                return String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8"));
            }
            FactKind::Link => "is a symbolic link: name the file itself",
            FactKind::Dir | FactKind::Other => "is not a regular file",
        };
        Err(format!("{shown} {what}"))
    }
}

impl ExecProvider {
    /// The path to start, when it may be trusted.
    ///
    /// # Errors
    /// A reason with the path and what to do.
    pub fn program(&self, source: &dyn Source) -> Result<PathBuf, String> {
        let mut path = self.command.clone();
        let shown = self.command.display();
        plain(&path).map_err(|why| format!("{shown} {why}"))?;
        let facts = |path: &Path| {
            source.facts(path).map_err(|error| format!("{shown} cannot be looked at: {error}"))
        };
        let mut found = facts(&path)?;
        if found.kind == FactKind::Link && self.follow_link {
            path = source
                .canonical(&path)
                .map_err(|error| format!("{shown} points nowhere: {error}"))?;
            found = facts(&path)?;
        }
        let within = |dir: &PathBuf| path.starts_with(dir);
        let what = match found.kind {
            FactKind::Link => "is a symbolic link: name the program itself (realpath tells it)",
            FactKind::Dir | FactKind::Other => "is not a regular file",
            FactKind::File if !owned(source, found.owner) => {
                "belongs to another user: it must belong to the gateway's or to root"
            }
            FactKind::File if found.mode & 0o022 != 0 => {
                "can be written by other users: chmod go-w it"
            }
            FactKind::File if found.mode & 0o111 == 0 => "is not executable: chmod u+x it",
            FactKind::File
                if !self.trusted_dirs.is_empty() && !self.trusted_dirs.iter().any(within) =>
            {
                "lies in none of trustedDirs"
            }
            FactKind::File => {
                ancestors(source, &path)?;
                return Ok(path);
            }
        };
        Err(format!("{shown} {what}"))
    }
}

/// An absolute path whose parts mean what they say.
fn plain(path: &Path) -> Result<(), &'static str> {
    if !path.is_absolute() {
        return Err("is not an absolute path");
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err("goes up by `..`: write the path itself");
    }
    Ok(())
}

/// Ours, or root's, who could read us anyway.
fn owned(source: &dyn Source, owner: u32) -> bool {
    owner == source.user() || owner == 0
}

/// Whoever may write a directory may put another file into it; only the sticky bit forbids that.
fn ancestors(source: &dyn Source, path: &Path) -> Result<(), String> {
    for dir in path.ancestors().skip(1) {
        let open = source.facts(dir).is_ok_and(|facts| facts.mode & 0o1002 == 0o002);
        if open {
            let (path, dir) = (path.display(), dir.display());
            return Err(format!("{path} lies in {dir}, which every user can write: chmod o-w it"));
        }
    }
    Ok(())
}
