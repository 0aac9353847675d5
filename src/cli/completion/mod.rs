//! `openclaw completion`: what a shell offers at Tab, made from the table of commands.
//!
//! ```text
//!   table --> tree --> bash, zsh, fish, powershell --> standard output
//!                                                 \--> <state>/completions/openclaw.<ext>
//!   --install: profile --> one source line in the shell's own file
//! ```
//!
//! The scripts hold words only and start no program, so that Tab costs nothing.

mod bash;
mod fish;
mod powershell;
mod profile;
mod tree;
mod zsh;

use std::path::{Path, PathBuf};

use super::table::Args;
use super::{Failed, belongings, out, place};
use crate::store::{Disk, RealDisk};

/// Every word of `--shell`.
pub const SHELLS: [&str; 4] = ["bash", "zsh", "fish", "powershell"];

/// A shell that can be taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
    Pwsh,
}

impl Shell {
    const ALL: [Self; 4] = [Self::Bash, Self::Zsh, Self::Fish, Self::Pwsh];

    const fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Pwsh => "powershell",
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Pwsh => "ps1",
            other => other.name(),
        }
    }

    fn script(self) -> String {
        let nodes = tree::nodes();
        match self {
            Self::Bash => bash::script(&nodes),
            Self::Zsh => zsh::script(&nodes),
            Self::Fish => fish::script(&nodes),
            Self::Pwsh => powershell::script(&nodes),
        }
    }

    /// By `--shell`, else by `$SHELL`, else the system's usual one (as the reference decides).
    fn of(args: &Args, variable: Option<&str>) -> Self {
        let named = |name: &str| Self::ALL.into_iter().find(|shell| shell.name() == name);
        let by_variable = || {
            let file = Path::new(variable?).file_name()?.to_str()?;
            if file == "pwsh" { Some(Self::Pwsh) } else { named(file) }
        };
        let usual = if cfg!(windows) { Self::Pwsh } else { Self::Zsh };
        args.value("shell").and_then(named).or_else(by_variable).unwrap_or(usual)
    }
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be written, or `--install` finds no script to point at.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let env = place::environment();
    let shell = Shell::of(args, place::var(&env, "SHELL"));
    let (keep, install) = (args.has("write-state"), args.has("install"));
    if !keep && !install {
        out::text(&shell.script());
        return Ok(0);
    }
    let paths = place::paths(&env, args)?;
    let dir = paths.state_dir.join("completions");
    let script = |shell: Shell| dir.join(format!("openclaw.{}", shell.extension()));
    if keep {
        let one = args.value("shell").map(|_| vec![shell]);
        for shell in one.unwrap_or_else(|| Shell::ALL.to_vec()) {
            let path = script(shell);
            RealDisk.replace(&path, shell.script().as_bytes()).map_err(|error| {
                let what = format!("cannot write {}: {error}", path.display());
                Failed::new(what, "check the directory's owner and free space")
            })?;
            out::line(&format!("Wrote {}", path.display()));
        }
    }
    if install {
        let cached = script(shell);
        if !cached.is_file() {
            let what = format!("there is no {} to point your profile at", cached.display());
            let next = format!("{} completion --write-state --install", belongings::program(args));
            return Err(Failed::new(what, next));
        }
        let profile = profile::path(shell, &env, &paths.home);
        return into_profile(args, shell, &cached, &profile, &paths.home);
    }
    Ok(0)
}

/// Puts the source line into the shell's own file, once.
fn into_profile(
    args: &Args,
    shell: Shell,
    cached: &Path,
    profile: &Path,
    home: &Path,
) -> Result<u8, Failed> {
    // A profile is often a link into a repository of dotfiles: the link stays.
    let real: PathBuf = profile.canonicalize().unwrap_or_else(|_| profile.to_path_buf());
    let unread = |why: String| {
        let what = format!("cannot read {}: {why}", profile.display());
        Failed::new(what, format!("add by hand: {}", profile::source_line(shell, cached)))
    };
    let before = match place::read_capped(&real, crate::limits::CONFIG_BYTES) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| unread("is not UTF-8".to_owned()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(unread(error.to_string())),
    };
    let Some(after) = profile::with_source(&before, shell, cached, home) else {
        out::line(&format!("{} already loads it; nothing was changed.", profile.display()));
        return Ok(0);
    };
    let question = format!("Add completion to {}? [Y/n] ", profile.display());
    let sure = args.has("yes") || !belongings::interactive(args);
    if !sure && !belongings::asked(&question, "y").eq_ignore_ascii_case("y") {
        out::line("Nothing was changed.");
        return Ok(1);
    }
    RealDisk.write_file(&real, after.as_bytes()).map_err(|error| {
        let what = format!("cannot write {}: {error}", profile.display());
        Failed::new(what, format!("add by hand: {}", profile::source_line(shell, cached)))
    })?;
    out::line(&format!("Completion is in {}.", profile.display()));
    out::line(&format!("Next: start a new shell, or: {}", profile::reload(shell, profile)));
    Ok(0)
}

#[cfg(test)]
#[path = "completion_tests.rs"]
mod tests;
