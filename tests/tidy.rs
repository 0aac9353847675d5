//! Style as a test: what may stand in the tree, how long lines are, what is never called, how
//! many crates are built.

use std::fs;
use std::path::{Path, PathBuf};

/// Packages of Cargo.lock, ours included. It may shrink; a new crate needs a line of reason in
/// Cargo.toml and in the README's ledger before this number grows.
const LOCKED: usize = 60;

/// What the top level holds.
const TOP: [&str; 9] =
    ["Cargo.toml", "Cargo.lock", "src", "tests", "fuzz", "README.md", "LICENSE", "target", ".git"];

/// Never in the source: why.
const BANNED: [(&str, &str); 6] = [
    ("thread::sleep", "wait for the event"),
    ("dbg!(", "left over"),
    ("todo!(", "no stubs"),
    ("unimplemented!(", "no stubs"),
    ("#[ignore", "a test runs or is not there"),
    (".unwrap()", "bad input never panics; say why by expect, or return the error"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("readable").flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

fn all() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for dir in ["src", "tests", "fuzz"] {
        rust_files(&root().join(dir), &mut files);
    }
    assert!(files.len() > 60, "the source was found");
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("UTF-8");
            (path, text)
        })
        .collect()
}

#[test]
fn lines_are_short_and_clean() {
    let mut wrong = Vec::new();
    for (path, text) in all() {
        for (number, line) in text.lines().enumerate() {
            let long = line.chars().count() > 100
                && !line.contains("http")
                && !line.contains("r#\"")
                && !line.contains('"');
            if long || line.ends_with(' ') || line.contains('\t') || line.contains('\r') {
                wrong.push(format!("{}:{}", path.display(), number + 1));
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            wrong.push(format!("{}: no line end at the end", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn banned_calls_are_not_there() {
    let mut wrong = Vec::new();
    for (path, text) in all() {
        if !path.starts_with(root().join("src"))
            || path.to_string_lossy().ends_with("_tests.rs")
            || path.starts_with(root().join("src/sim"))
        {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code = code.split("#[cfg(all(test").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            for (call, why) in BANNED {
                if line.contains(call) {
                    wrong.push(format!("{}:{}: {call} ({why})", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A limit that nobody names bounds nothing.
#[test]
fn every_limit_is_enforced_somewhere() {
    let limits = root().join("src/limits.rs");
    let text = fs::read_to_string(&limits).expect("limits.rs");
    let code: String = all()
        .into_iter()
        .filter(|(path, _)| path.starts_with(root().join("src")) && *path != limits)
        .map(|(_, text)| text)
        .collect();
    for line in text.lines().filter_map(|line| line.strip_prefix("pub const ")) {
        let name = line.split(':').next().unwrap_or_default();
        assert!(code.contains(name), "limits::{name} is used nowhere");
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for (path, text) in all() {
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let said = first.starts_with("//!")
            || path.to_string_lossy().ends_with("_tests.rs")
            || first.starts_with("#![");
        assert!(said, "{} has no head", path.display());
    }
}

#[test]
fn the_top_level_holds_what_it_may() {
    for entry in fs::read_dir(root()).expect("readable").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(TOP.contains(&name.as_str()) || name.starts_with('.'), "{name} at the top level");
    }
}

#[test]
fn the_number_of_crates_is_frozen() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let packages = lock.lines().filter(|line| line.starts_with("name = ")).count();
    assert_eq!(packages, LOCKED, "Cargo.lock changed: see the head of this test");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    assert!(!manifest.contains("[dev-dependencies]"), "tests run on the graph that ships");
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let direct = manifest
        .split("[dependencies]")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next())
        .expect("a dependency section");
    let mut reasoned = false;
    for line in direct.lines() {
        match line.split_once(" = ") {
            _ if line.starts_with('#') => reasoned = true,
            Some((name, _)) => {
                assert!(reasoned, "{name} has no line of reason in Cargo.toml");
                assert!(readme.contains(&format!("`{name}`")), "{name} is not in the README");
                reasoned = false;
            }
            None => {}
        }
    }
}

/// Lines of tests/guards.tsv: rows, file, guard, replacement, test.
fn guards() -> Vec<[String; 5]> {
    let text = fs::read_to_string(root().join("tests/guards.tsv")).expect("tests/guards.tsv");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let fields = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
    lines
        .map(|line| fields(line).try_into().unwrap_or_else(|_| panic!("five fields: {line}")))
        .collect()
}

/// `.ci/guards` takes each guard out and sees its test fail; here it is only seen that guard and
/// test are still what the table says.
#[test]
fn each_guard_and_its_test_are_there() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let mut wrong = Vec::new();
    for [rows, file, guard, _, test] in guards() {
        let text = fs::read_to_string(root().join(&file)).unwrap_or_default();
        let found = text.matches(&guard.replace("\\n", "\n")).count();
        if found != 1 {
            wrong.push(format!("{rows}: {file} holds its guard {found} times: {guard}"));
        }
        let (place, name) = test.split_once(' ').unwrap_or(("", &test));
        let name = name.rsplit("::").next().unwrap_or(name);
        let dir = if place == "lib" { "src".to_owned() } else { format!("tests/{place}.rs") };
        let there = all().iter().any(|(path, text)| {
            path.starts_with(root().join(&dir)) && text.contains(&format!("fn {name}("))
        });
        if !there {
            wrong.push(format!("{rows}: {dir} has no test {name}"));
        }
        if !readme.contains(&format!("| {rows} |")) || !readme.contains(&format!("`{name}`")) {
            wrong.push(format!("{rows}: not in the README; run .ci/guards --table"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
