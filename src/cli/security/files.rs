//! Modes on the disk: who else may read or write what is ours.

use std::path::{Path, PathBuf};

use super::super::belongings::Belongings;
use super::super::modes::{self, Mode};
use super::super::place;
use super::{Finding, Severity, found};
use crate::config::{Config, Paths};

/// Ids of one kind of file: writable by others, readable by all, readable by the group.
struct Ids {
    writable: &'static str,
    world: (&'static str, Severity),
    group: (&'static str, Severity),
}

const CONFIG: Ids = Ids {
    writable: "fs.config.perms_writable",
    world: ("fs.config.perms_world_readable", Severity::Critical),
    group: ("fs.config.perms_group_readable", Severity::Warn),
};
const INCLUDE: Ids = Ids {
    writable: "fs.config_include.perms_writable",
    world: ("fs.config_include.perms_world_readable", Severity::Critical),
    group: ("fs.config_include.perms_group_readable", Severity::Warn),
};
const CREDENTIALS: Ids = Ids {
    writable: "fs.credentials_dir.perms_writable",
    world: ("fs.credentials_dir.perms_readable", Severity::Warn),
    group: ("fs.credentials_dir.perms_readable", Severity::Warn),
};
const AUTH: Ids = Ids {
    writable: "fs.auth_profiles.perms_writable",
    world: ("fs.auth_profiles.perms_readable", Severity::Warn),
    group: ("fs.auth_profiles.perms_readable", Severity::Warn),
};
/// Ours: the kept token, the key of device tokens, paired devices, `.env`.
const SECRET: Ids = Ids {
    writable: "fs.secret_file.perms_writable",
    world: ("fs.secret_file.perms_readable", Severity::Critical),
    group: ("fs.secret_file.perms_readable", Severity::Warn),
};
const SESSIONS: Ids = Ids {
    writable: "fs.sessions_store.perms_writable",
    world: ("fs.sessions_store.perms_readable", Severity::Warn),
    group: ("fs.sessions_store.perms_readable", Severity::Warn),
};
const LOG: Ids = Ids {
    writable: "fs.log_file.perms_writable",
    world: ("fs.log_file.perms_readable", Severity::Warn),
    group: ("fs.log_file.perms_readable", Severity::Warn),
};

/// Judgements about what lies on the disk.
pub fn check(paths: &Paths, config: &Config) -> Vec<Finding> {
    let mut all = Vec::new();
    let state = &paths.state_dir;
    if let Some(mode) = modes::of(state) {
        all.extend(state_dir(state, mode));
    }
    all.extend(synced(state));
    if let Some(mode) = modes::of(&paths.config_path) {
        if mode.link {
            all.push(found(
                "fs.config.symlink",
                Severity::Warn,
                "The configuration is a link",
                format!("{} is only as safe as what it points to.", paths.config_path.display()),
                "Point OPENCLAW_CONFIG_PATH at the real file.",
            ));
        } else {
            all.extend(judge(&CONFIG, &paths.config_path, mode));
        }
    }
    for (ids, path) in listed(paths, config) {
        if let Some(mode) = modes::of(&path).filter(|mode| !mode.link) {
            all.extend(judge(ids, &path, mode));
        }
    }
    all.extend(escapes(paths, config));
    all
}

/// What `--fix` may take the rights of others from: path and mode.
pub fn mendable(paths: &Paths, config: &Config) -> Vec<(PathBuf, u32)> {
    let files = listed(paths, config).into_iter().map(|(_, path)| path);
    [paths.state_dir.clone(), paths.config_path.clone()]
        .into_iter()
        .chain(files)
        .filter_map(|path| {
            let mode = modes::of(&path).filter(|mode| !mode.link && mode.bits & 0o077 != 0)?;
            Some((path, if mode.dir { 0o700 } else { 0o600 }))
        })
        .collect()
}

fn listed(paths: &Paths, config: &Config) -> Vec<(&'static Ids, PathBuf)> {
    let state = &paths.state_dir;
    let mut all: Vec<(&Ids, PathBuf)> =
        config.source.includes.iter().map(|path| (&INCLUDE, path.clone())).collect();
    all.push((&CREDENTIALS, state.join("credentials")));
    all.push((&LOG, place::log_path(paths, config)));
    let ours = Belongings::of(paths, Some(config));
    for (path, _) in modes::private_files(state, &ours.workspaces).0 {
        let inside = path.strip_prefix(state).unwrap_or(&path);
        let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
        let name = parts.last().map_or("", |name| name.as_ref());
        let ids = match parts.first().map_or("", |part| part.as_ref()) {
            _ if path == paths.config_path => continue,
            _ if name.starts_with("auth") && name.ends_with(".json") => &AUTH,
            "credentials" | "devices" | "identity" | "tls" | ".env" | "gateway-token" => &SECRET,
            "agents" => &SESSIONS,
            _ => continue,
        };
        all.push((ids, path));
    }
    all
}

fn state_dir(dir: &Path, mode: Mode) -> Option<Finding> {
    let shown = dir.display();
    let remedy = format!("chmod 700 {shown}");
    let say = |id, severity, title, what: &str| {
        Some(found(id, severity, title, format!("{shown} {what}"), remedy.clone()))
    };
    if mode.link {
        let title = "The state directory is a link";
        return say("fs.state_dir.symlink", Severity::Warn, title, "points elsewhere.");
    }
    let what = format!("has mode {}.", mode.shown());
    if mode.world_writable() {
        let id = "fs.state_dir.perms_world_writable";
        return say(id, Severity::Critical, "Everybody can change the state", &what);
    }
    if mode.writable() {
        let id = "fs.state_dir.perms_group_writable";
        return say(id, Severity::Warn, "Its group can change the state", &what);
    }
    if mode.readable() {
        let id = "fs.state_dir.perms_readable";
        return say(id, Severity::Warn, "Others can look into the state", &what);
    }
    None
}

fn judge(ids: &Ids, path: &Path, mode: Mode) -> Option<Finding> {
    let (id, severity, title) = if mode.writable() {
        (ids.writable, Severity::Critical, "Others can write it")
    } else if mode.world_readable() {
        (ids.world.0, ids.world.1, "Everybody can read it")
    } else if mode.readable() {
        (ids.group.0, ids.group.1, "Its group can read it")
    } else {
        return None;
    };
    let shown = path.display();
    let bits = if mode.dir { "700" } else { "600" };
    let detail = format!("{shown} has mode {}.", mode.shown());
    Some(found(id, severity, title, detail, format!("chmod {bits} {shown}")))
}

/// Directories that a program copies elsewhere.
fn synced(dir: &Path) -> Option<Finding> {
    const SYNCED: [&str; 6] =
        ["dropbox", "onedrive", "google drive", "googledrive", "mobile documents", "icloud"];
    let part = dir.iter().map(|part| part.to_string_lossy().to_lowercase());
    let service = part.into_iter().find(|part| SYNCED.iter().any(|name| part.contains(name)))?;
    Some(found(
        "fs.synced_dir",
        Severity::Warn,
        "The state is copied elsewhere",
        format!("{} lies in {service}, which copies tokens and transcripts.", dir.display()),
        "Set OPENCLAW_STATE_DIR to a directory that is not synced.",
    ))
}

/// Skills of a workspace that are links out of it.
fn escapes(paths: &Paths, config: &Config) -> Option<Finding> {
    let ours = Belongings::of(paths, Some(config));
    for workspace in &ours.workspaces {
        let Ok(root) = workspace.canonicalize() else { continue };
        let skills = std::fs::read_dir(root.join("skills")).into_iter().flatten().flatten();
        for skill in skills.take(crate::limits::TREE_ENTRIES) {
            let file = skill.path().join("SKILL.md");
            if file.canonicalize().is_ok_and(|real| !real.starts_with(&root)) {
                return Some(found(
                    "skills.workspace.symlink_escape",
                    Severity::Warn,
                    "A skill lies outside its workspace",
                    format!("{} is a link out of it.", file.display()),
                    "Copy the skill into the workspace.",
                ));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(bits: u32) -> Option<(String, Severity)> {
        let mode = Mode { bits, owner: 1, dir: false, link: false };
        judge(&CONFIG, Path::new("/c"), mode).map(|found| (found.id, found.severity))
    }

    #[test]
    fn modes_have_the_documented_ids() {
        let want = |id: &str, severity| Some((id.to_owned(), severity));
        assert_eq!(ids(0o600), None);
        assert_eq!(ids(0o640), want("fs.config.perms_group_readable", Severity::Warn));
        assert_eq!(ids(0o644), want("fs.config.perms_world_readable", Severity::Critical));
        assert_eq!(ids(0o620), want("fs.config.perms_writable", Severity::Critical));
        let dir =
            |bits| state_dir(Path::new("/s"), Mode { bits, owner: 1, dir: true, link: false });
        assert_eq!(dir(0o700), None);
        assert_eq!(dir(0o755).unwrap().id, "fs.state_dir.perms_readable");
        assert_eq!(dir(0o770).unwrap().id, "fs.state_dir.perms_group_writable");
        assert_eq!(dir(0o777).unwrap().id, "fs.state_dir.perms_world_writable");
        assert!(synced(Path::new("/home/a/Dropbox/oc")).is_some());
        assert_eq!(synced(Path::new("/home/a/.openclaw")), None);
    }
}
