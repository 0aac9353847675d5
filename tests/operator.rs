//! First steps and looks after things by the real binary: completion, the page's address,
//! onboarding, several gateways on one host, and the sentences of starts that are refused.
#![cfg(feature = "process")]

mod common;

use common::{Home, Ran};
use std::process::Command;

/// What bash offers for these words, the last one unfinished.
fn offered(script: &std::path::Path, words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("$'{}'", word)).collect();
    let line = format!(
        "source {}; complete -p openclaw >/dev/null || exit 9; COMP_WORDS=({}); COMP_CWORD={}; \
         _openclaw; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        quoted.join(" "),
        words.len() - 1
    );
    let out = Command::new("bash").args(["--norc", "-c", &line]).output().expect("bash is there");
    assert!(out.status.success(), "{words:?}: {out:?}");
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_by_the_script_it_is_given() {
    let home = Home::new();
    let script = home.0.join("c.bash");
    let ran = home.run("completion --shell bash");
    assert_eq!(ran.code, 0, "{ran:?}");
    std::fs::write(&script, &ran.out).unwrap();
    std::fs::write(home.0.join("secret-file"), "").unwrap();
    let near = format!("{}/secret", home.0.display());
    let file = format!("{}/secret-file", home.0.display());
    for (words, want) in [
        (&["openclaw", "gatew"][..], &["gateway"][..]),
        (&["openclaw", "gateway", "sta"], &["status"]),
        (&["openclaw", "--profile", "gateway", "gateway", "resta"], &["restart"]),
        (&["openclaw", "gateway", "--allow-u"], &["--allow-unconfigured"]),
        (&["openclaw", "gateway", "--bind", "lo"], &["loopback"]),
        (&["openclaw", "gateway", "--bind", "=", "lo"], &["loopback"]),
        (&["openclaw", "gateway", "--bind", "'lo"], &["loopback"]),
        (&["openclaw", "gateway", "--", "--bin"], &[]),
        (&["openclaw", "gateway", "--password-file", &near], &[&file]),
        (&["openclaw", "backup", "verify", &near], &[&file]),
        (&["openclaw", "no-such-word", "x"], &[]),
    ] {
        // A quote within $'...' is escaped.
        let words: Vec<String> = words.iter().map(|word| word.replace('\'', "\\'")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(offered(&script, &words), want, "{words:?}");
    }
}

#[test]
fn completion_is_kept_and_loaded_from_the_profile_once() {
    let home = Home::new();
    let bash = |line: &str| Ran::of(home.command(line).env("SHELL", "/bin/bash"));
    let ran = bash("completion --install");
    assert!(ran.code == 1 && ran.err.contains("completion --write-state --install"), "{ran:?}");
    std::fs::write(home.0.join(".bashrc"), "alias ll='ls -l'\n").unwrap();
    let ran = bash("completion --write-state --install --yes");
    assert_eq!(ran.code, 0, "{ran:?}");
    for name in ["openclaw.bash", "openclaw.zsh", "openclaw.fish", "openclaw.ps1"] {
        assert!(home.state().join("completions").join(name).is_file(), "{name}");
    }
    let profile = std::fs::read_to_string(home.0.join(".bashrc")).unwrap();
    assert!(profile.starts_with("alias ll='ls -l'\n\n# OpenClaw Completion\n"), "{profile}");
    let again = bash("completion --install");
    assert!(again.code == 0 && again.out.contains("already loads it"), "{again:?}");
    assert_eq!(std::fs::read_to_string(home.0.join(".bashrc")).unwrap(), profile);
    let loaded = Command::new("bash")
        .args(["--norc", "-c", "source ~/.bashrc; complete -p openclaw"])
        .env("HOME", &home.0)
        .output()
        .expect("bash is there");
    assert!(loaded.status.success(), "{loaded:?}");
}
