//! The state directory: is it ours, is it private, can it be written.

use std::path::Path;

use super::super::belongings::Belongings;
use super::super::modes::{self, Mode};
use super::super::port;
use super::finding::{Finding, Repair, Severity};
use super::here::Here;

const STATE: &str = "core/doctor/state-integrity";
/// Files that are listed one by one.
const SHOWN: usize = 20;

/// `core/doctor/state-integrity`.
pub fn check(here: &Here<'_>) -> Vec<Finding> {
    let dir = &here.paths.state_dir;
    let ours = port::owner(std::process::id());
    let Some(mode) = modes::of(dir) else {
        return match dir.try_exists() {
            // A fresh place, or a system without modes: a start makes it.
            Ok(_) => Vec::new(),
            Err(error) => vec![unreadable(dir, &error.to_string())],
        };
    };
    let mut all: Vec<Finding> = judge_dir(dir, mode, ours).into_iter().collect();
    if let Err(error) = std::fs::read_dir(dir) {
        all.push(unreadable(dir, &error.to_string()));
        return all;
    }
    let config = &here.paths.config_path;
    if let Some(mode) = modes::of(config).filter(|mode| !mode.link) {
        all.extend(judge_file(config, mode, ours));
    }
    let ours_of = Belongings::of(&here.paths, Some(&here.config));
    let (files, more) = modes::private_files(dir, &ours_of.workspaces);
    let open = |(path, mode): &(std::path::PathBuf, Mode)| {
        (path != config).then(|| judge_file(path, *mode, ours)).flatten()
    };
    let open: Vec<Finding> = files.iter().filter_map(open).collect();
    if open.len() > SHOWN || more {
        let message = match more {
            true => "the directory is too large to be looked through; only a part was".to_owned(),
            false => format!("{} more files are open to others", open.len() - SHOWN),
        };
        let shown = dir.display().to_string();
        all.push(
            Finding::new(STATE, Severity::Warning, message)
                .at(shown.clone())
                .hint(format!("chmod 700 {shown}: then nobody else comes at them")),
        );
    }
    all.extend(open.into_iter().take(SHOWN));
    all
}

fn unreadable(dir: &Path, why: &str) -> Finding {
    let message = format!("the state directory cannot be read: {why}");
    let shown = dir.display().to_string();
    let hint = format!("ls -ld {shown}; give it to the user that runs the gateway");
    Finding::new(STATE, Severity::Error, message).at(shown).hint(hint)
}

fn judge_dir(dir: &Path, mode: Mode, ours: Option<u32>) -> Option<Finding> {
    let shown = dir.display().to_string();
    if !mode.dir && !mode.link {
        let found = Finding::new(STATE, Severity::Error, "the state directory is a file.");
        return Some(found.at(shown).hint("set OPENCLAW_STATE_DIR to a directory"));
    }
    if mode.link {
        return None;
    }
    if ours.is_some_and(|ours| ours != mode.owner) {
        let message = format!("the state directory belongs to user {}, not to us.", mode.owner);
        let hint = format!("run as that user, or: chown -R \"$(id -u)\" {shown}");
        return Some(Finding::new(STATE, Severity::Error, message).at(shown).hint(hint));
    }
    let locked = mode.bits & 0o700 != 0o700;
    if locked || mode.bits & 0o077 != 0 {
        let what = if locked { "cannot be used by its owner" } else { "is open to other users" };
        let severity = if locked { Severity::Error } else { Severity::Warning };
        let message = format!("the state directory {what} (mode {}).", mode.shown());
        let found = Finding::new(STATE, severity, message).at(&shown);
        return Some(
            found
                .hint(format!("chmod 700 {shown}, or: openclaw doctor --fix"))
                .repair(Repair::Chmod(dir.to_path_buf(), 0o700)),
        );
    }
    None
}

fn judge_file(path: &Path, mode: Mode, ours: Option<u32>) -> Option<Finding> {
    let shown = path.display().to_string();
    if ours.is_some_and(|ours| ours != mode.owner && ours != 0) {
        let message = format!("it belongs to user {}, not to us.", mode.owner);
        let hint = format!("chown \"$(id -u)\" {shown}");
        return Some(Finding::new(STATE, Severity::Error, message).at(shown).hint(hint));
    }
    let locked = mode.bits & 0o600 != 0o600;
    if !locked && mode.bits & 0o077 == 0 {
        return None;
    }
    let what = if locked { "its owner cannot use it" } else { "other users can get at it" };
    let found = Finding::new(STATE, Severity::Warning, format!("{what} (mode {}).", mode.shown()));
    let found = found.at(&shown).hint(format!("chmod 600 {shown}, or: openclaw doctor --fix"));
    Some(found.repair(Repair::Chmod(path.to_path_buf(), 0o600)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(bits: u32, dir: bool) -> Mode {
        Mode { bits, owner: 7, dir, link: false }
    }

    #[test]
    fn only_what_is_open_or_locked_is_mended() {
        let dir = Path::new("/s");
        assert_eq!(judge_dir(dir, mode(0o700, true), Some(7)), None);
        let open = judge_dir(dir, mode(0o755, true), Some(7)).unwrap();
        assert_eq!(open.repair, Some(Repair::Chmod(dir.to_path_buf(), 0o700)));
        assert!(open.message.contains("755"), "{open:?}");
        let locked = judge_dir(dir, mode(0o500, true), Some(7)).unwrap();
        assert_eq!(locked.severity, Severity::Error);
        let foreign = judge_dir(dir, mode(0o700, true), Some(8)).unwrap();
        assert!(foreign.repair.is_none() && foreign.hint.contains("chown"), "{foreign:?}");
        assert!(judge_dir(dir, mode(0o600, false), Some(7)).unwrap().message.contains("a file"));
        let file = Path::new("/s/openclaw.json");
        assert_eq!(judge_file(file, mode(0o600, false), Some(7)), None);
        let open = judge_file(file, mode(0o640, false), Some(7)).unwrap();
        assert_eq!(open.repair, Some(Repair::Chmod(file.to_path_buf(), 0o600)));
    }
}
