//! The service this profile should have, and the definitions of it that lie on this disk.
//!
//! [`wanted`] is the one place that turns paths, configuration and shell into a
//! [`Service`]; `install` writes its definition, the audit holds what it finds against it.

use std::path::{Path, PathBuf};

use super::belongings::Belongings;
use super::{Failed, place};
use crate::config::{Loaded, Paths, Source as _};
use crate::limits;
use crate::service::control::Control;
use crate::service::{Manager, Places, Service, Written, environment};

/// A definition that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Whose.
    pub manager: Manager,
    /// The service's name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its text; of a systemd unit the drop-ins' too, in the order in which they count.
    pub text: String,
    /// The drop-ins that are part of it.
    pub drop_ins: Vec<PathBuf>,
    /// What it says.
    pub written: Written,
}

/// Directories of this account and profile.
///
/// # Errors
/// When a path is not UTF-8: no definition could name it.
pub fn places(paths: &Paths) -> Result<Places, Failed> {
    let config_home = std::env::var("XDG_CONFIG_HOME").ok().filter(|dir| dir.starts_with('/'));
    // Definitions lie in the account's own home, wherever OPENCLAW_HOME says `~` is.
    let own = std::env::var(if cfg!(windows) { "USERPROFILE" } else { "HOME" });
    let home = own
        .ok()
        .filter(|home| !home.is_empty())
        .map_or_else(|| text(&paths.home, "the home directory"), Ok)?;
    let state_dir = text(&absolute(&paths.state_dir), "the state directory")?;
    Ok(Places::of(home.trim_end_matches('/'), config_home.as_deref(), &state_dir))
}

/// The commands for a service of this profile.
pub fn control(manager: Manager, paths: &Paths, places: &Places) -> Control {
    let profile = paths.profile.as_deref();
    Control {
        manager,
        name: manager.name(profile),
        place: manager.place(profile, places),
        uid: uid(),
    }
}

/// Our user's number; 0 where there is none.
pub fn uid() -> u32 {
    place::Files::new().user()
}

/// The service as it should be. `port` was asked for in words, `account` is a system service's.
///
/// # Errors
/// When a path is not UTF-8, or the system does not tell where this program lies.
pub fn wanted(
    manager: Manager,
    paths: &Paths,
    loaded: &Loaded,
    account: Option<String>,
) -> Result<Service, Failed> {
    let config = &loaded.config;
    let ours = Belongings::of(paths, Some(config));
    let mut writes = Vec::new();
    for dir in ours.workspaces {
        writes.push(text(&absolute(&dir), "a workspace")?);
    }
    let log = absolute(&place::log_path(paths, config));
    let config_path = absolute(&paths.config_path);
    let state_dir = absolute(&paths.state_dir);
    for file in [&log, &config_path] {
        if let Some(dir) = file.parent().filter(|dir| !dir.starts_with(&state_dir)) {
            writes.push(text(dir, "a directory the gateway writes to")?);
        }
    }
    Ok(Service {
        manager,
        profile: paths.profile.clone(),
        program: text(&program()?, "this program's path")?,
        port: None,
        allow_unconfigured: false,
        state_dir: text(&state_dir, "the state directory")?,
        config_path: text(&config_path, "the configuration's path")?,
        writes,
        account,
        env: environment::carried(&place::environment()),
        budget: config.gateway.shutdown,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// Where this program is found again after an upgrade: the way it was called by if that leads
/// here (a link that an upgrade turns elsewhere), else the file itself.
///
/// # Errors
/// When the system does not tell.
pub fn program() -> Result<PathBuf, Failed> {
    let file = std::env::current_exe().map_err(|error| {
        Failed::new(format!("the system does not tell where this program lies: {error}"), "")
    })?;
    let here = file.canonicalize().unwrap_or_else(|_| file.clone());
    let leads_here = |path: &Path| path.canonicalize().is_ok_and(|found| found == here);
    let typed = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    if typed.components().count() > 1 {
        let typed = absolute(&typed);
        return Ok(if leads_here(&typed) { typed } else { file });
    }
    let dirs = std::env::var_os("PATH").unwrap_or_default();
    let mut on_path = std::env::split_paths(&dirs)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(&typed))
        .filter(|path| leads_here(path));
    Ok(on_path.next().unwrap_or(file))
}

/// From the working directory, without `.` and `..`, links as they are.
fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}

fn text(path: &Path, what: &str) -> Result<String, Failed> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        let what = format!("{what} is not UTF-8, which no service definition can say: {path:?}");
        Failed::new(what, "rename it, then: openclaw gateway install")
    })
}

/// The definitions of this profile, the user's before the machine's.
pub fn found(paths: &Paths) -> Vec<Found> {
    let Ok(places) = places(paths) else { return Vec::new() };
    let managers = [Manager::here(false), Manager::here(true)];
    let mut all: Vec<Found> = managers
        .iter()
        .filter_map(|manager| read(*manager, paths.profile.as_deref(), &places))
        .collect();
    all.dedup_by(|a, b| a.path == b.path);
    all
}

/// Those of them that run a gateway of this state directory: what may be started, stopped and
/// removed from here. One of another directory under the same name is somebody else's.
pub fn ours(paths: &Paths) -> Vec<Found> {
    let here = absolute(&paths.state_dir);
    let usual = match paths.profile.as_deref() {
        Some(profile) => format!(".openclaw-{profile}"),
        None => ".openclaw".to_owned(),
    };
    let mut all = found(paths);
    // Root has another home than the account of the machine's service.
    let root = uid() == 0 && std::env::var_os("OPENCLAW_STATE_DIR").is_none();
    all.retain(|found| {
        if root && found.manager == Manager::SystemdSystem {
            return true;
        }
        let named = found.written.env.get("OPENCLAW_STATE_DIR").map(PathBuf::from);
        let dir = named.unwrap_or_else(|| paths.home.join(&usual));
        dir == here
            || dir.canonicalize().is_ok_and(|dir| here.canonicalize().is_ok_and(|it| it == dir))
    });
    all
}

fn read(manager: Manager, profile: Option<&str>, places: &Places) -> Option<Found> {
    let path = PathBuf::from(manager.place(profile, places));
    let mut text = definition_text(&path)?;
    let mut drop_ins = Vec::new();
    if matches!(manager, Manager::SystemdUser | Manager::SystemdSystem) {
        let dir = PathBuf::from(format!("{}.d", path.display()));
        let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ext| ext == "conf"))
            .take(limits::SERVICE_FILES)
            .collect();
        files.sort();
        for file in files {
            if let Some(more) = definition_text(&file) {
                text.push('\n');
                text.push_str(&more);
                drop_ins.push(file);
            }
        }
    }
    let written = Written::read(manager, &text);
    Some(Found { manager, name: manager.name(profile), path, text, drop_ins, written })
}

/// The text of a definition; nothing when there is none, or it is no text of a sane length.
pub fn definition_text(path: &Path) -> Option<String> {
    if !path.is_file() {
        return None;
    }
    let bytes = place::read_capped(path, limits::SERVICE_DEFINITION).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a systemd unit starts by itself: a link in a `.wants` directory, so that nothing has
/// to be run to know it. Other managers do not show it in files.
pub fn enabled(found: &Found) -> Option<bool> {
    let target = match found.manager {
        Manager::SystemdUser => "default.target.wants",
        Manager::SystemdSystem => "multi-user.target.wants",
        _ => return None,
    };
    let link = found.path.parent()?.join(target).join(&found.name);
    Some(link.symlink_metadata().is_ok())
}
