//! What commands do to agents without a running gateway, by the same code that serves its RPC.

use crate::agent::{identity, workspace};
use crate::config::{Config, Identity};
use crate::store::Disk;
use serde_json::{Value, json};
use std::io;
use std::path::Path;

/// Gives the workspace of an agent its first files, unless the configuration says not to. How
/// many were written.
///
/// # Errors
/// The system's.
pub fn seed_agent(
    disk: &mut dyn Disk,
    config: &Config,
    state_dir: &Path,
    agent: &str,
) -> io::Result<usize> {
    let defaults = &config.agents.defaults;
    if defaults.skip_bootstrap {
        return Ok(0);
    }
    workspace::seed(disk, &config.agents.workspace(agent, state_dir), &defaults.skip_files)
}

/// How an agent shows itself: the configuration's part, then `IDENTITY.md`'s.
pub fn agent_identity(disk: &dyn Disk, config: &Config, state_dir: &Path, agent: &str) -> Identity {
    let path = config.agents.workspace(agent, state_dir).join("IDENTITY.md");
    let own = config.agents.agent(agent).map(|agent| agent.identity.clone());
    identity::merge(&own.unwrap_or_default(), identity_file(disk, &path))
}

/// What a file such as `IDENTITY.md` says; nothing where there is none.
pub fn identity_file(disk: &dyn Disk, path: &Path) -> Identity {
    match disk.stat(path) {
        Ok(stat) => identity::parse(&workspace::read(disk, path, &stat)),
        Err(_) => Identity::default(),
    }
}

/// Moves the workspace and the state of an agent that is out of `config` to `<state>/trash`.
/// What another agent or the gateway itself lives in stays. Returns `removed` and `failed` of
/// `agents.delete`.
pub fn trash_agent(
    disk: &mut dyn Disk,
    config: &Config,
    state_dir: &Path,
    (agent, workspace): (&str, &Path),
    now_ms: u64,
) -> (Vec<Value>, Vec<Value>) {
    let (mut removed, mut failed) = (Vec::new(), Vec::new());
    let state = state_dir.join("agents").join(agent);
    let trash = state_dir.join("trash").join(format!("{agent}-{now_ms}"));
    let near = |other: &&str| {
        let other = config.agents.workspace(other, state_dir);
        other.starts_with(workspace) || workspace.starts_with(&other)
    };
    let shared = config.agents.agent_ids().into_iter().find(near);
    for (name, path) in [("workspace", workspace), ("agent", state.as_path())] {
        let shown = path.display().to_string();
        let keep = match shared {
            _ if name != "workspace" => None,
            _ if state_dir.starts_with(workspace) || config.home.starts_with(workspace) => {
                Some("more than the agent lives there".to_owned())
            }
            Some(other) => Some(format!("agent \"{other}\" works there too")),
            None => None,
        };
        if let Some(reason) = keep {
            failed.push(json!({"path": shown, "reason": reason}));
            continue;
        }
        if disk.kind(path).is_err() {
            removed.push(json!({"path": shown, "method": "missing"}));
            continue;
        }
        // The note makes the directory, and says what to move back where.
        let note = format!("{shown}\n");
        let moved = disk
            .replace(&trash.join(format!("{name}.from")), note.as_bytes())
            .and_then(|()| disk.rename(path, &trash.join(name)));
        match moved {
            Ok(()) => removed.push(json!({"path": shown, "method": "trash"})),
            Err(error) => failed.push(json!({"path": shown, "reason": error.to_string()})),
        }
    }
    (removed, failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::disk::SimDisk;
    use std::path::PathBuf;

    #[test]
    fn what_others_live_in_is_not_thrown_away() {
        let mut config = Config::defaults();
        config.home = PathBuf::from("/h");
        let agent = |id: &str, dir: &str| crate::config::Agent {
            id: id.to_owned(),
            workspace: Some(PathBuf::from(dir)),
            ..crate::config::Agent::default()
        };
        config.agents.list = vec![agent("main", "/w/main"), agent("b", "/w/b/inner")];
        let mut disk = SimDisk::new();
        let state = Path::new("/h/.openclaw");
        for (dir, part) in [
            ("/w", "works there too"),
            ("/w/b", "\"b\" works"),
            ("/w/main/sub", "\"main\" works"),
            ("/h", "more than the agent"),
            ("/", "more than the agent"),
        ] {
            let (removed, failed) =
                trash_agent(&mut disk, &config, state, ("x", Path::new(dir)), 7);
            assert_eq!(failed.len(), 1, "{dir}: {failed:?}");
            assert!(failed[0]["reason"].as_str().unwrap().contains(part), "{dir}: {failed:?}");
            assert_eq!(removed[0]["method"], "missing", "{removed:?}");
        }
        let (removed, failed) = trash_agent(&mut disk, &config, state, ("x", Path::new("/w/x")), 7);
        assert!(failed.is_empty() && removed.len() == 2, "{failed:?}");
    }
}
