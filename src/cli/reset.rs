//! `openclaw reset` and `openclaw uninstall`: removing what belongs to this profile, and nothing
//! else.
//!
//! Both first make a list of what would go, refuse when a gateway has the state directory (its
//! lock is taken meanwhile), and never follow a link: a link goes, what it points to stays. A
//! directory in which more than ours lives is not removed at all.

use std::io;
use std::path::{Path, PathBuf};

use super::belongings::{self, Belongings};
use super::table::Args;
use super::{Failed, out, place, service};

/// Every word of `--scope`.
pub const SCOPES: [&str; 3] = ["config", "config+creds+sessions", "full"];

/// Something that is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A file or link, or a whole directory.
    Remove(PathBuf),
    /// What is in the state directory but for the workspaces in it.
    RemoveBut(PathBuf, Vec<PathBuf>),
}

/// `openclaw reset`.
///
/// # Errors
/// When nobody said what to remove, a gateway runs, or something cannot be removed.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let here = Here::find(args)?;
    let Some(scope) = scope(args)? else {
        out::line("Nothing was removed.");
        return Ok(1);
    };
    out::line(&format!("Recommended first: {} backup create", here.program));
    let steps = here.of_scope(&scope);
    let _lock = match (args.has("dry-run"), scope.as_str()) {
        (true, _) | (_, "config") => None,
        _ => belongings::take(args, &here.ours.state_dir, "reset")?,
    };
    here.carry_out(&steps, args.has("dry-run"))?;
    if scope != "config" {
        out::line(&format!("Next: {} onboard --install-daemon", here.program));
    }
    Ok(0)
}

/// `onboard --reset` and `gateway --dev --reset`: without questions, the words were enough.
///
/// # Errors
/// As [`run`].
pub fn apply(args: &Args, scope: &str) -> Result<(), Failed> {
    let here = Here::find(args)?;
    let _lock = belongings::take(args, &here.ours.state_dir, "a reset")?;
    here.carry_out(&here.of_scope(scope), false)
}

/// `openclaw uninstall`.
///
/// # Errors
/// When nobody said what to remove, a gateway runs, or something cannot be removed.
pub fn uninstall(args: &Args) -> Result<u8, Failed> {
    let here = Here::find(args)?;
    let all = args.has("all");
    let [service, state, workspace, app] =
        ["service", "state", "workspace", "app"].map(|flag| all || args.has(flag));
    if !(service || state || workspace || app) {
        return Err(Failed {
            code: 2,
            ..Failed::new(
                "nothing was named to be removed: --service, --state, --workspace, or --all",
                "openclaw uninstall --dry-run --all",
            )
        });
    }
    let dry_run = args.has("dry-run");
    sure(args, "Remove what was named? [y/N] ")?;
    out::line(&format!("Recommended first: {} backup create", here.program));
    let mut failed = None;
    if service {
        failed = remove_service(args, dry_run).err();
    }
    if app {
        out::line("macOS app cleanup is not applicable: there is no app of this program.");
    }
    let steps = here.of_uninstall(state, workspace);
    if let Some(failed) = failed {
        if !steps.is_empty() {
            out::line("State and workspaces stay: the service is still there.");
        }
        return Err(failed);
    }
    if !steps.is_empty() {
        let _lock =
            if dry_run { None } else { belongings::take(args, &here.ours.state_dir, "uninstall")? };
        here.carry_out(&steps, dry_run)?;
    }
    out::line("The program itself is one file; remove it when nothing needs it any more.");
    Ok(0)
}

/// Stops and removes the service of this profile, if there is one.
fn remove_service(args: &Args, dry_run: bool) -> Result<(), Failed> {
    let paths = place::paths(&place::environment(), args)?;
    let (said, _) = service::remove(&paths, dry_run)?;
    out::line(&said.message);
    for warning in &said.warnings {
        out::line(&format!("Warning: {warning}"));
    }
    Ok(())
}

/// Which scope, from the flag or by asking.
fn scope(args: &Args) -> Result<Option<String>, Failed> {
    let given = args.value("scope").map(str::to_owned);
    if args.has("non-interactive") && (given.is_none() || !args.has("yes")) && !args.has("dry-run")
    {
        return Err(Failed {
            code: 2,
            ..Failed::new(
                "--non-interactive needs --scope and --yes",
                "openclaw reset --scope config --yes --non-interactive",
            )
        });
    }
    let scope = match given {
        Some(scope) => scope,
        None if args.has("dry-run") => "full".to_owned(),
        None if belongings::interactive(args) => {
            let question = "What is to be removed?\n  1) config                 the \
                            configuration file\n  2) config+creds+sessions  that, credentials \
                            and sessions\n  3) full                   the whole state and the \
                            workspaces\nNumber [none]: ";
            match belongings::asked(question, "").as_str() {
                "1" | "config" => "config",
                "2" | "config+creds+sessions" => "config+creds+sessions",
                "3" | "full" => "full",
                _ => return Ok(None),
            }
            .to_owned()
        }
        None => {
            return Err(Failed {
                code: 2,
                ..Failed::new(
                    format!("--scope is missing: one of {}", SCOPES.join(", ")),
                    "openclaw reset --dry-run --scope full",
                )
            });
        }
    };
    sure(args, &format!("Remove {scope}? [y/N] ")).map(|()| Some(scope))
}

/// Goes on only when somebody said so.
fn sure(args: &Args, question: &str) -> Result<(), Failed> {
    if args.has("yes") || args.has("dry-run") {
        return Ok(());
    }
    if !belongings::interactive(args) {
        let what = "nobody can be asked here; --yes says that it is meant";
        return Err(Failed { code: 2, ..Failed::new(what, "add --yes, or --dry-run to look") });
    }
    if belongings::asked(question, "n").eq_ignore_ascii_case("y") {
        return Ok(());
    }
    Err(Failed::new("nothing was removed", ""))
}

struct Here {
    ours: Belongings,
    program: String,
}

impl Here {
    fn find(args: &Args) -> Result<Self, Failed> {
        let env = place::environment();
        let paths = place::paths(&env, args)?;
        // A damaged file is a reason to reset; its workspaces are then the default ones.
        let loaded = place::load(&place::Files::new(), &env, &paths).ok();
        let ours = Belongings::of(&paths, loaded.as_ref().map(|loaded| &*loaded.config));
        Ok(Self { ours, program: belongings::program(args) })
    }

    fn of_scope(&self, scope: &str) -> Vec<Step> {
        let ours = &self.ours;
        let config = Step::Remove(ours.config_path.clone());
        let steps = match scope {
            "config" => vec![config],
            "full" => {
                let mut steps = vec![Step::Remove(ours.state_dir.clone())];
                if !ours.config_path.starts_with(&ours.state_dir) {
                    steps.push(config);
                }
                steps.extend(ours.workspaces.iter().cloned().map(Step::Remove));
                steps
            }
            _ => {
                let mut steps = vec![config, Step::Remove(ours.credentials.clone())];
                steps.extend(ours.sessions().into_iter().map(Step::Remove));
                steps
            }
        };
        there(steps)
    }

    fn of_uninstall(&self, state: bool, workspace: bool) -> Vec<Step> {
        let ours = &self.ours;
        let mut steps = Vec::new();
        if state {
            let inside = |dir: &&PathBuf| dir.starts_with(&ours.state_dir) && dir.exists();
            let kept: Vec<PathBuf> = ours.workspaces.iter().filter(inside).cloned().collect();
            steps.push(if workspace || kept.is_empty() {
                Step::Remove(ours.state_dir.clone())
            } else {
                Step::RemoveBut(ours.state_dir.clone(), kept)
            });
            if !ours.config_path.starts_with(&ours.state_dir) {
                steps.push(Step::Remove(ours.config_path.clone()));
            }
        }
        if workspace {
            steps.extend(ours.workspaces.iter().cloned().map(Step::Remove));
        }
        there(steps)
    }

    /// Does it, saying each step. Everything is looked at before the first one.
    fn carry_out(&self, steps: &[Step], dry_run: bool) -> Result<(), Failed> {
        let prefix = if dry_run { "[dry-run] remove" } else { "Removed" };
        for step in steps {
            let (Step::Remove(path) | Step::RemoveBut(path, _)) = step;
            // A file of ours goes whatever it is; a directory may hold more than ours.
            let whole = path.is_dir() || matches!(step, Step::RemoveBut(..));
            if let Some(why) = self.ours.untouchable(path).filter(|_| whole) {
                let next = format!("remove it by hand if that is meant: {}", path.display());
                return Err(Failed::new(format!("nothing was removed: {why}"), next));
            }
        }
        if steps.is_empty() {
            out::line("There is nothing to remove.");
        }
        for step in steps {
            let (path, kept) = match step {
                Step::Remove(path) => (path, &[] as &[PathBuf]),
                Step::RemoveBut(path, kept) => (path, kept.as_slice()),
            };
            let removed = if dry_run { Ok(()) } else { remove(path, kept) };
            removed.map_err(|error| {
                let what = format!("cannot remove {}: {error}", path.display());
                Failed::new(what, "check its owner, then run the command again")
            })?;
            let mut line = format!("{prefix} {}", self.ours.shown(path));
            if !kept.is_empty() {
                let kept: Vec<String> = kept.iter().map(|path| self.ours.shown(path)).collect();
                line.push_str(&format!(" (kept: {})", kept.join(", ")));
            }
            out::line(&line);
        }
        Ok(())
    }
}

/// Only what is there, each once.
fn there(steps: Vec<Step>) -> Vec<Step> {
    let mut found: Vec<Step> = Vec::new();
    for step in steps {
        let (Step::Remove(path) | Step::RemoveBut(path, _)) = &step;
        if path.symlink_metadata().is_ok() && !found.contains(&step) {
            found.push(step);
        }
    }
    found
}

/// Removes a file, a link or a directory, but for what is to be kept and the way to it.
fn remove(path: &Path, kept: &[PathBuf]) -> io::Result<()> {
    let meta = match path.symlink_metadata() {
        Ok(meta) => meta,
        // An earlier step took it along.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if kept.iter().any(|dir| dir == path) {
        return Ok(());
    }
    if !meta.is_dir() {
        return std::fs::remove_file(path);
    }
    if !kept.iter().any(|dir| dir.starts_with(path)) {
        return std::fs::remove_dir_all(path);
    }
    for entry in std::fs::read_dir(path)? {
        remove(&entry?.path(), kept)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn what_is_kept_stays_and_links_are_not_followed() {
        let root = std::env::temp_dir().join(format!("openclaw-remove-{}", std::process::id()));
        let state = root.join("state");
        std::fs::create_dir_all(state.join("workspace/sub")).unwrap();
        std::fs::create_dir_all(state.join("agents/main")).unwrap();
        std::fs::create_dir_all(root.join("other")).unwrap();
        std::fs::write(root.join("other/file"), "x").unwrap();
        std::fs::write(state.join("openclaw.json"), "{}").unwrap();
        std::os::unix::fs::symlink(root.join("other"), state.join("agents/link")).unwrap();
        remove(&state, &[state.join("workspace")]).unwrap();
        let left: Vec<_> = std::fs::read_dir(&state).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(state.join("workspace/sub").is_dir() && root.join("other/file").exists());
        remove(&state, &[]).unwrap();
        assert!(!state.exists());
        remove(&state, &[]).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
    }
}
