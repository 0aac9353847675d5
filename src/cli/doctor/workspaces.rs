//! Workspaces: are they there, can they be written, does another profile use them too.

use std::path::Path;

use super::super::belongings::Belongings;
use super::super::modes;
use super::finding::{Finding, Severity};
use super::here::Here;

const WORKSPACES: &str = "core/doctor/workspace-status";

/// `core/doctor/workspace-status`.
pub fn check(here: &Here<'_>) -> Vec<Finding> {
    let ours = Belongings::of(&here.paths, Some(&here.config));
    let mut all: Vec<Finding> = ours.workspaces.iter().filter_map(|dir| judge(dir)).collect();
    for (other, workspace) in ours.shared_workspaces() {
        let message = format!(
            "the workspace is also used by {}: two gateways would write the same files.",
            ours.shown(&other)
        );
        let found = Finding::new(WORKSPACES, Severity::Warning, message);
        let found = found.at(ours.shown(&workspace));
        all.push(found.hint(here.command("config set agents.defaults.workspace <its own>")));
    }
    all
}

fn judge(dir: &Path) -> Option<Finding> {
    let shown = dir.display().to_string();
    let meta = match std::fs::metadata(dir) {
        // The first start makes it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            let message = format!("the workspace cannot be looked at: {error}");
            let found = Finding::new(WORKSPACES, Severity::Error, message).at(&shown);
            return Some(found.hint(format!("ls -ld {shown}")));
        }
        Ok(meta) => meta,
    };
    if !meta.is_dir() {
        let found = Finding::new(WORKSPACES, Severity::Error, "the workspace is no directory.");
        return Some(found.at(&shown).hint("openclaw config set agents.defaults.workspace <dir>"));
    }
    let locked = modes::of(dir).is_some_and(|mode| !mode.link && mode.bits & 0o200 == 0);
    (meta.permissions().readonly() || locked).then(|| {
        let message = "the workspace cannot be written: agents can keep nothing in it.";
        let found = Finding::new(WORKSPACES, Severity::Warning, message).at(&shown);
        found.hint(format!("chmod u+w {shown}"))
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_is_a_directory_that_can_be_written() {
        let dir = std::env::temp_dir().join(format!("openclaw-space-{}", std::process::id()));
        assert_eq!(judge(&dir), None);
        std::fs::write(&dir, "").unwrap();
        assert!(judge(&dir).unwrap().message.contains("no directory"));
        std::fs::remove_file(&dir).unwrap();
        std::fs::create_dir(&dir).unwrap();
        assert_eq!(judge(&dir), None);
        modes::set(&dir, 0o555).unwrap();
        assert!(judge(&dir).unwrap().message.contains("cannot be written"));
        std::fs::remove_dir(&dir).unwrap();
    }
}
