//! The line in a shell's own file that loads the script: pure text in, text out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::place::var;
use super::{Shell, fish, zsh};

/// The line over ours.
const MARK: &str = "# OpenClaw Completion";

/// The file that a shell reads when it starts.
pub fn path(shell: Shell, env: &BTreeMap<String, String>, home: &Path) -> PathBuf {
    // The shell's home, wherever ours is.
    let home = var(env, "HOME").map_or_else(|| home.to_path_buf(), PathBuf::from);
    match shell {
        Shell::Bash => {
            let (rc, login) = (home.join(".bashrc"), home.join(".bash_profile"));
            if !rc.exists() && login.exists() { login } else { rc }
        }
        Shell::Zsh => match env.get("ZDOTDIR") {
            Some(dir) => Path::new("/").join(dir).join(".zshrc"),
            None => home.join(".zshrc"),
        },
        Shell::Fish => home.join(".config/fish/config.fish"),
        Shell::Pwsh if cfg!(windows) => {
            home.join("Documents/PowerShell/Microsoft.PowerShell_profile.ps1")
        }
        Shell::Pwsh => home.join(".config/powershell/Microsoft.PowerShell_profile.ps1"),
    }
}

/// Loads the script if it is there.
pub fn source_line(shell: Shell, cached: &Path) -> String {
    let path = cached.display().to_string();
    match shell {
        Shell::Bash | Shell::Zsh => {
            let path = zsh::quoted(&path);
            format!("[ -f {path} ] && source {path}")
        }
        Shell::Fish => {
            let path = fish::quoted(&path);
            format!("test -f {path}; and source {path}")
        }
        Shell::Pwsh => {
            let path = path.replace('\'', "''");
            format!("if (Test-Path -LiteralPath '{path}') {{ . '{path}' }}")
        }
    }
}

/// What to type to have it at once.
pub fn reload(shell: Shell, profile: &Path) -> String {
    let profile = profile.display();
    if shell == Shell::Pwsh { format!(". '{profile}'") } else { format!("source {profile}") }
}

/// The file with our line in it, in place of older ones; `None` when it stands there already, or
/// somebody wrote one of his own for the same script.
pub fn with_source(before: &str, shell: Shell, cached: &Path, home: &Path) -> Option<String> {
    let line = source_line(shell, cached);
    let name = format!("openclaw.{}", shell.extension());
    let (mut kept, mut ours, mut lines) = (Vec::new(), false, before.lines().peekable());
    while let Some(one) = lines.next() {
        if one.trim() == MARK {
            // The mark and the line under it are ours, if that is still a line for our script.
            if let Some(under) = lines.next_if(|under| under.contains(&name)) {
                ours |= under == line;
            }
            continue;
        }
        if loads(one, cached, home) {
            return None;
        }
        // Slow: it starts the program with every shell.
        if !(one.contains("openclaw completion") && one.contains("source")) || is_comment(one) {
            kept.push(one);
        }
    }
    if ours && kept.len() + 2 == before.lines().count() {
        return None;
    }
    let mut after = kept.join("\n");
    let end = after.trim_end_matches('\n').len();
    after.truncate(end);
    if !after.is_empty() {
        after.push_str("\n\n");
    }
    Some(format!("{after}{MARK}\n{line}\n"))
}

/// Whether a line of the user's loads just this script, however he writes his home.
fn loads(line: &str, cached: &Path, home: &Path) -> bool {
    if is_comment(line) || !(line.contains("source ") || line.contains(". ")) {
        return false;
    }
    let home = home.display().to_string();
    let line = line.replace("${HOME}", &home).replace("$HOME", &home).replace("~/", &(home + "/"));
    line.contains(&cached.display().to_string())
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "/h/o";

    fn with(before: &str) -> Option<String> {
        let cached = Path::new("/h/o/.openclaw/completions/openclaw.bash");
        with_source(before, Shell::Bash, cached, Path::new(HOME))
    }

    #[test]
    fn one_line_and_only_once() {
        let path = "/h/o/.openclaw/completions/openclaw.bash";
        let block = format!("{MARK}\n[ -f '{path}' ] && source '{path}'\n");
        assert_eq!(with("").as_deref(), Some(block.as_str()));
        let after = with("alias l=ls\n").unwrap();
        assert_eq!(after, format!("alias l=ls\n\n{block}"));
        assert_eq!(with(&after), None);
        let old = after.replace("/.openclaw/", "/.openclaw-old/");
        assert_eq!(with(&old), Some(after.clone()));
        let slow = "source <(openclaw completion --shell bash)\nalias l=ls\n";
        assert_eq!(with(slow), Some(after));
    }

    #[test]
    fn what_somebody_wrote_himself_stays() {
        for own in [
            "[[ -f \"${HOME}/.openclaw/completions/openclaw.bash\" ]] && source \
             \"${HOME}/.openclaw/completions/openclaw.bash\"",
            ". ~/.openclaw/completions/openclaw.bash",
        ] {
            assert_eq!(with(own), None, "{own}");
        }
        let comment = "# source ~/.openclaw/completions/openclaw.bash\n";
        assert!(with(comment).unwrap().starts_with(comment));
        // A mark without a line of ours under it takes nothing along.
        let stray = format!("{MARK}\nexport A=1\n");
        assert!(with(&stray).unwrap().starts_with("export A=1\n\n"));
    }

    #[test]
    fn odd_paths_are_quoted() {
        let path = Path::new("/a b/it's/$x/openclaw.bash");
        let line = source_line(Shell::Bash, path);
        assert!(line.contains(r"'/a b/it'\''s/$x/openclaw.bash'"), "{line}");
        assert!(source_line(Shell::Fish, path).contains(r"'/a b/it\'s/$x/openclaw.bash'"));
        assert!(source_line(Shell::Pwsh, path).contains("'/a b/it''s/$x/openclaw.bash'"));
    }
}
