//! What belongs to this profile on the disk, for commands that copy, look over or remove it:
//! the state directory, the configuration, credentials, sessions and workspaces. One answer for
//! all of them, and one rule for what may never be removed.

use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::table::Args;
use super::{Failed, place, port};
use crate::config::{Config, Paths};
use crate::store::lock::{LockError, StateLock};

/// Where everything of one profile lies. Nothing here need exist.
#[derive(Debug, Clone)]
pub struct Belongings {
    /// The home that `~` stands for.
    pub home: PathBuf,
    /// The state directory.
    pub state_dir: PathBuf,
    /// The configuration file.
    pub config_path: PathBuf,
    /// `credentials/` of the state directory.
    pub credentials: PathBuf,
    /// Agents by id and the directory of each.
    pub agents: Vec<(String, PathBuf)>,
    /// Workspaces, each once.
    pub workspaces: Vec<PathBuf>,
}

impl Belongings {
    /// As a configuration says; without one, as an absent file does.
    pub fn of(paths: &Paths, config: Option<&Config>) -> Self {
        let defaults = Config::defaults();
        let agents = &config.unwrap_or(&defaults).agents;
        let state_dir = paths.state_dir.clone();
        let ids = agents.agent_ids();
        let mut workspaces: Vec<PathBuf> =
            ids.iter().map(|id| agents.workspace(id, &state_dir)).collect();
        workspaces.sort();
        workspaces.dedup();
        let root = |id: &&str| ((*id).to_owned(), state_dir.join("agents").join(id).join("agent"));
        Self {
            home: paths.home.clone(),
            config_path: paths.config_path.clone(),
            credentials: state_dir.join("credentials"),
            agents: ids.iter().map(root).collect(),
            workspaces,
            state_dir,
        }
    }

    /// A path as people write it: `~` for the home.
    pub fn shown(&self, path: &Path) -> String {
        let inside = path.strip_prefix(&self.home).ok().filter(|_| self.home != Path::new("/"));
        match inside {
            Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
            Some(rest) => format!("~/{}", rest.display()),
            None => path.display().to_string(),
        }
    }

    /// Directories of sessions, of every agent that ever had one.
    pub fn sessions(&self) -> Vec<PathBuf> {
        let agents = std::fs::read_dir(self.state_dir.join("agents"));
        let each = agents.into_iter().flatten().flatten();
        let mut dirs: Vec<PathBuf> = each
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path().join("sessions"))
            .filter(|dir| dir.symlink_metadata().is_ok())
            .collect();
        dirs.sort();
        dirs
    }

    /// Why a directory must not be removed as a whole, if it must not: it is a link, it is no
    /// absolute path, or more than ours lives there.
    pub fn untouchable(&self, dir: &Path) -> Option<String> {
        let shown = dir.display();
        let Ok(meta) = dir.symlink_metadata() else { return None };
        if meta.is_symlink() {
            let to = std::fs::read_link(dir).unwrap_or_default();
            let to = to.display();
            return Some(format!("{shown} is a link to {to}: what it points to is left alone"));
        }
        let real = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
        let odd = !dir.is_absolute() || dir.components().any(|part| part == Component::ParentDir);
        if odd || real.parent().is_none_or(|parent| parent.parent().is_none()) {
            return Some(format!("{shown} is too near the root to be removed by a program"));
        }
        let home = self.home.canonicalize().unwrap_or_else(|_| self.home.clone());
        if home.starts_with(&real) {
            return Some(format!("{shown} holds the home directory"));
        }
        None
    }

    /// Other state directories of the same home that use one of our workspaces, and are not
    /// ours: `(their directory, the workspace)`. Their configuration is only searched for the
    /// path as written, so a hit is sure and a miss is not.
    pub fn shared_workspaces(&self) -> Vec<(PathBuf, PathBuf)> {
        let mut found = Vec::new();
        let entries = std::fs::read_dir(&self.home).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let dir = entry.path();
            if !name.starts_with(".openclaw") || dir == self.state_dir || !dir.is_dir() {
                continue;
            }
            let file = dir.join("openclaw.json");
            let bytes = place::read_capped(&file, crate::limits::CONFIG_BYTES);
            let text = String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
            for workspace in &self.workspaces {
                let written = [workspace.display().to_string(), self.shown(workspace)];
                let named =
                    written.iter().any(|path| text.contains(&serde_json::json!(path).to_string()));
                if named || workspace.starts_with(&dir) {
                    found.push((dir.clone(), workspace.clone()));
                }
            }
        }
        found.sort();
        found
    }
}

/// Takes the state directory for a removal: nobody else may have it.
///
/// # Errors
/// When a gateway has it; its pid is named. Without the directory there is nothing to take.
pub fn take(args: &Args, state_dir: &Path, to: &str) -> Result<Option<StateLock>, Failed> {
    if !state_dir.join("gateway.lock").exists() {
        return Ok(None);
    }
    match StateLock::take(state_dir) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Held(pid)) => {
            let pid = pid.or_else(|| port::lock_holder(state_dir));
            let who = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
            let what =
                format!("a gateway{who} runs on {}; {to} needs it stopped", state_dir.display());
            Err(Failed::new(what, format!("{} gateway stop", program(args))))
        }
        Err(LockError::Io(error)) => {
            let what = format!("cannot look at the lock of {}: {error}", state_dir.display());
            Err(Failed::new(what, "check the directory's owner"))
        }
    }
}

/// The program with the flags of this profile, for the next command.
pub fn program(args: &Args) -> String {
    match (args.has("dev"), args.value("profile")) {
        (true, _) => "openclaw --dev".to_owned(),
        (_, Some(name)) => format!("openclaw --profile {name}"),
        _ => "openclaw".to_owned(),
    }
}

/// Milliseconds since 1970 by the system's clock.
pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Asks a question on the terminal; an empty answer or the end of input is the default.
pub fn asked(question: &str, default: &str) -> String {
    use std::io::BufRead;
    super::out::text(question);
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    let answer = answer.trim();
    if answer.is_empty() { default.to_owned() } else { answer.to_owned() }
}

/// Whether somebody can be asked: both ends are a terminal.
pub fn interactive(args: &Args) -> bool {
    use std::io::IsTerminal;
    !args.has("non-interactive")
        && std::io::stdin().is_terminal()
        && std::io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(home: &Path) -> Belongings {
        let state_dir = home.join(".openclaw");
        Belongings {
            home: home.to_path_buf(),
            config_path: state_dir.join("openclaw.json"),
            credentials: state_dir.join("credentials"),
            agents: Vec::new(),
            workspaces: vec![state_dir.join("workspace")],
            state_dir,
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_more_than_ours_is_never_removed() {
        let home = std::env::temp_dir().join(format!("openclaw-belong-{}", std::process::id()));
        let ours = ours(&home);
        std::fs::create_dir_all(ours.state_dir.join("workspace")).unwrap();
        assert_eq!(ours.untouchable(&ours.state_dir), None);
        assert_eq!(ours.untouchable(&home.join("not-there")), None);
        for dir in [home.as_path(), Path::new("/"), Path::new("/tmp"), &home.join("x/..")] {
            let _ = std::fs::create_dir_all(home.join("x"));
            assert!(ours.untouchable(dir).is_some(), "{}", dir.display());
        }
        let link = home.join("link");
        std::os::unix::fs::symlink(&ours.state_dir, &link).unwrap();
        assert!(ours.untouchable(&link).unwrap().contains("is a link to"));
        assert_eq!(ours.shown(&ours.state_dir), "~/.openclaw");
        assert_eq!(ours.shown(Path::new("/etc/x")), "/etc/x");
        let other = home.join(".openclaw-b");
        std::fs::create_dir_all(&other).unwrap();
        assert!(ours.shared_workspaces().is_empty());
        let text = "{agents:{defaults:{workspace:\"~/.openclaw/workspace\"}}}";
        std::fs::write(other.join("openclaw.json"), text).unwrap();
        assert_eq!(ours.shared_workspaces(), [(other, ours.state_dir.join("workspace"))]);
        std::fs::remove_dir_all(&home).unwrap();
    }
}
