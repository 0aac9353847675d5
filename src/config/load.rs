//! From files to a [`Config`], or to every issue with its place.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::paths::Paths;
use super::secrets::{self, Asked, Batch, BoundRef, Facts, Need, Resolved, World};
use super::snapshot::{Config, Issue, SourceInfo};
use super::tree::{self, Files, Tree};
use super::{build, subst, validate};
use crate::limits::{CONFIG_BYTES, DOTENV_BYTES};
use crate::wire::json5::Step;
use serde_json::Value;

/// The only way this room sees a file.
pub trait Source {
    /// The bytes of a file; `None` when there is none. An implementation may stop reading
    /// after [`crate::limits::CONFIG_BYTES`] + 1 bytes.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// The path with every symbolic link followed, for the escape check of `$include`.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_path_buf())
    }
    /// What stands at a path itself, before a secret's file or program is trusted.
    fn facts(&self, _path: &Path) -> io::Result<Facts> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
    /// The bytes of a regular file, at most `max` + 1 of them, and the facts of just the file
    /// that was read; of anything else only the facts.
    fn secret_file(&self, _path: &Path, _max: usize) -> io::Result<(Facts, Vec<u8>)> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
    /// The number of the user we are.
    fn user(&self) -> u32 {
        0
    }
    /// An opaque digest of what was authored, `hmac-sha256:v1:<43 base64url>`; keyed, so that
    /// it can be shown beside a redacted file.
    fn digest(&self, bytes: &[u8]) -> String;
}

/// A good load.
#[derive(Clone)]
pub struct Loaded {
    /// The snapshot.
    pub config: Rc<Config>,
    /// The environment as the configuration sees it: the process's own, then `.env`, then
    /// `env` of the file, the first to name a variable wins.
    pub env: BTreeMap<String, String>,
    /// Every file that was read or looked for, to be watched.
    pub files: Vec<PathBuf>,
}

/// Without the environment, whose values may be secrets.
impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { config, env: _, files } = self;
        f.debug_struct("Loaded").field("config", config).field("files", files).finish()
    }
}

/// A load that failed. `Display` lists every issue and the next command.
#[derive(Debug, Clone)]
pub struct ConfigError {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// At least one.
    pub issues: Vec<Issue>,
    /// What could be read, for `config.get` with `valid: false`.
    pub source: Box<SourceInfo>,
    /// Every file that was read or looked for, to be watched.
    pub files: Vec<PathBuf>,
    /// Programs that must be asked for secrets before the load can be tried again; only then
    /// is nothing else wrong.
    pub pending: Vec<Batch>,
    /// Every SecretRef that was looked at.
    pub secrets: Vec<BoundRef>,
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
/// `source.exists == false`. No program has been asked for secrets.
pub fn load(
    source: &dyn Source,
    env: &BTreeMap<String, String>,
    paths: &Paths,
) -> Result<Loaded, ConfigError> {
    let none = Resolved::default();
    load_with(source, env, paths, None, Asked { known: &none, need: Need::Active })
}

/// As [`load`], with `raw` in place of the root file's text: what `config.set` and
/// `config validate` ask before anything is written. Secrets are only looked at.
pub fn check(
    source: &dyn Source,
    env: &BTreeMap<String, String>,
    paths: &Paths,
    raw: &str,
) -> Result<Loaded, ConfigError> {
    let none = Resolved::default();
    load_with(source, env, paths, Some(raw), Asked { known: &none, need: Need::Look })
}

/// As [`load`], perhaps with another text in place of the root file's, and with the answers that
/// programs gave.
pub fn load_with(
    source: &dyn Source,
    env: &BTreeMap<String, String>,
    paths: &Paths,
    raw: Option<&str>,
    asked: Asked<'_>,
) -> Result<Loaded, ConfigError> {
    let root = &paths.config_path;
    let mut info = SourceInfo { path: root.clone(), ..SourceInfo::default() };
    let mut env = env.clone();
    let mut files = Files::new(source, root);
    read_dotenv(source, &mut files, &mut env, &paths.state_dir.join(".env"));
    let text = match raw {
        Some(raw) if raw.len() > CONFIG_BYTES => {
            Err((ErrorKind::Io, format!("is larger than {} MiB", CONFIG_BYTES / 1024 / 1024)))
        }
        Some(raw) => Ok(Some(raw.to_owned())),
        None => files.read(root),
    };
    let text = match text {
        Ok(Some(text)) => text,
        Ok(None) if files.errors.is_empty() => {
            info.hash = source.digest(&[]);
            let mut config = build::build(&Value::Null, &env, paths, SourceInfo::default());
            config.source = info;
            config.warnings = files.warnings;
            return Ok(Loaded { config: Rc::new(config), env, files: files.watched });
        }
        Ok(None) => return Err(failed(files, info)),
        Err((kind, what)) => {
            info.exists = true;
            files.file_error(kind, root, what);
            return Err(failed(files, info));
        }
    };
    info.exists = true;
    info.raw.clone_from(&text);
    let Some(file) = files.parse(root, &text) else {
        info.hash = source.digest(&files.authored);
        return Err(failed(files, info));
    };
    info.authored = files.list.get(file).map(|f| f.document.root.to_value()).unwrap_or_default();
    let mut tree = files.tree(file);
    info.hash = source.digest(&files.authored);
    info.includes = files.list.iter().skip(1).map(|file| file.path.clone()).collect();
    info.parsed = tree.to_value();

    add_env_section(&mut files, &tree, &mut env);
    subst::substitute(&mut files, &mut tree, &env, &mut Vec::new());
    info.resolved = tree.to_value();
    let found = validate::validate(&mut files, &tree);
    let world = World { env: &env, paths, asked };
    let outcome = secrets::resolve(&mut files, &tree, found, &world);
    if !files.errors.is_empty() {
        let (pending, secrets) = (outcome.pending, outcome.bound);
        return Err(ConfigError { pending, secrets, ..failed(files, info) });
    }
    let mut resolved = info.resolved.clone();
    secrets::put(&mut resolved, &outcome.bound);
    let mut config = build::build(&resolved, &env, paths, info);
    config.warnings = files.warnings;
    config.secrets = outcome.bound;
    Ok(Loaded { config: Rc::new(config), env, files: files.watched })
}

/// The first kind that occurred, in the order of the stages, names the failure.
fn failed(files: Files<'_>, source: SourceInfo) -> ConfigError {
    let stages = [ErrorKind::Io, ErrorKind::Syntax, ErrorKind::Reference, ErrorKind::Invalid];
    let first = stages.into_iter().find(|kind| files.errors.iter().any(|(k, _)| k == kind));
    let mut issues: Vec<Issue> = files.errors.into_iter().map(|(_, issue)| issue).collect();
    issues.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    ConfigError {
        kind: first.unwrap_or(ErrorKind::Invalid),
        issues,
        source: Box::new(source),
        files: files.watched,
        pending: Vec::new(),
        secrets: Vec::new(),
    }
}

/// `.env` of the state directory: only there, for a file in a workspace belongs to whoever
/// wrote the workspace. What the process's environment names already stays.
fn read_dotenv(
    source: &dyn Source,
    files: &mut Files<'_>,
    env: &mut BTreeMap<String, String>,
    path: &Path,
) {
    files.watched.push(path.to_path_buf());
    let text = match source.read(path) {
        Ok(None) => return,
        Ok(Some(bytes)) if bytes.len() > DOTENV_BYTES => {
            let limit = DOTENV_BYTES / 1024;
            files.file_error(ErrorKind::Io, path, format!("is larger than {limit} KiB"));
            return;
        }
        Ok(Some(bytes)) => match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(_) => {
                files.file_error(ErrorKind::Syntax, path, "is not UTF-8".to_owned());
                return;
            }
        },
        Err(error) => {
            files.file_error(ErrorKind::Io, path, format!("cannot be read: {error}"));
            return;
        }
    };
    let (variables, bad) = subst::dotenv(&text);
    for (name, value) in variables {
        env.entry(name).or_insert(value);
    }
    for line in bad {
        files.warnings.push(Issue {
            path: String::new(),
            message: "this line is not NAME=value and was skipped".to_owned(),
            file: path.to_path_buf(),
            line,
            column: 1,
        });
    }
}

/// Section `env`: what neither the process nor `.env` has set. Its values may refer to those.
fn add_env_section(files: &mut Files<'_>, tree: &Tree, env: &mut BTreeMap<String, String>) {
    let Some(section) = tree.get("env") else { return };
    let mut added = Vec::new();
    for part in [Some(section), section.get("vars")].into_iter().flatten() {
        let tree::Kind::Map(entries) = &part.kind else { continue };
        for entry in entries {
            let Some(value) = entry.value.as_str() else { continue };
            if !subst::is_variable(&entry.key) {
                let path = ["env".to_owned(), entry.key.clone()].map(Step::Key);
                let what = "is not a name that an environment variable can have".to_owned();
                files.error(ErrorKind::Invalid, entry.place, &path, what);
            } else if let Ok(value) = subst::expand(value, env)
                && !env.contains_key(&entry.key)
            {
                // A value that refers to nothing is reported when the whole tree is substituted.
                added.push((entry.key.clone(), value.into_owned()));
            }
        }
    }
    env.extend(added);
}

/// Any bytes as configuration, include and `.env`: a load gives a configuration or issues, what
/// is shown of the text is a document again, and never one that still has something to hide.
pub fn fuzz(data: &[u8]) {
    struct Same<'a>(&'a [u8]);
    impl Source for Same<'_> {
        fn read(&self, _: &Path) -> io::Result<Option<Vec<u8>>> {
            Ok(Some(self.0.to_vec()))
        }
        fn digest(&self, _: &[u8]) -> String {
            String::new()
        }
    }
    let env = BTreeMap::from([("HOME".to_owned(), "/h".to_owned())]);
    let Ok(paths) = Paths::resolve(&env, &super::Flags::default()) else { return };
    match load(&Same(data), &env, &paths) {
        Ok(loaded) => {
            let source = &loaded.config.source;
            let shown = super::redact::value(&source.resolved, &source.parsed);
            assert_eq!(super::redact::value(&shown, &shown), shown);
        }
        Err(error) => assert!(!error.issues.is_empty()),
    }
    let shown = super::redact::raw(&String::from_utf8_lossy(data));
    if !shown.is_empty() {
        assert_eq!(super::redact::raw(&shown), shown);
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
