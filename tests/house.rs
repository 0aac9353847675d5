//! The layering of `../shared/DESIGN.md`, read off every path in the source: a room that names
//! another one which this table does not grant fails here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Open to every room; use nothing of ours.
const OPEN: [&str; 3] = ["limits", "protocol", "driver"];

/// Room, and the rooms it may use.
const HOUSE: [(&str, &[&str]); 18] = [
    ("limits", &[]),
    ("protocol", &[]),
    ("driver", &[]),
    ("wire", &[]),
    ("reactor", &["wire", "store"]),
    ("store", &[]),
    ("config", &["wire"]),
    ("auth", &["wire", "config", "store"]),
    ("sessions", &["store", "wire"]),
    ("agent", &["sessions", "wire", "config", "store"]),
    ("ui", &[]),
    ("api", &["wire", "config", "auth", "agent", "sessions", "ui"]),
    ("channels", &["wire", "sessions", "config", "store"]),
    ("service", &["config"]),
    ("gateway", &["wire", "config", "auth", "store", "sessions", "agent", "api", "channels"]),
    ("sim", &["gateway", "store", "wire", "config", "auth", "channels"]),
    ("cli", &["wire", "config", "store", "gateway", "reactor", "auth", "channels", "service"]),
    ("main", &["cli"]),
];

/// Rooms whose code may touch sockets, files, clocks, environment or processes.
const OUTSIDE: [&str; 4] = ["reactor", "store", "cli", "main"];

/// What touching the outside looks like.
const OUTWARD: [&str; 9] = [
    "std::fs",
    "std::env::",
    "std::process::",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
    "std::net::Tcp",
    "std::os::",
    "mio::",
];

/// Files under a folder, with what follows `#[cfg(test)]` cut off: tests may reach further.
fn sources(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(dir).expect("src is readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs")
            && !path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("_tests"))
        {
            let text = fs::read_to_string(&path).expect("source is UTF-8");
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            let code = code.split("#[cfg(all(test").next().unwrap_or_default();
            let code: String = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .flat_map(|line| [line, "\n"])
                .collect();
            found.push((path, code));
        }
    }
}

fn room_of(path: &Path) -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let first = path.strip_prefix(&src).expect("under src").components().next().expect("a part");
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Every room that a text names: `crate::room`, `crate::{room, …}`, `openclaw_gateway::room`.
fn named(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for marker in ["crate::", "openclaw_gateway::"] {
        for rest in code.split(marker).skip(1) {
            let word = |text: &str| -> String {
                text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
            };
            match rest.strip_prefix('{') {
                None if word(rest).is_empty() => {}
                None => {
                    rooms.insert(word(rest));
                }
                Some(group) => {
                    let mut depth = 1;
                    let mut fresh = true;
                    for (at, c) in group.char_indices() {
                        match c {
                            '{' => depth += 1,
                            '}' => depth -= 1,
                            ',' if depth == 1 => fresh = true,
                            c if c.is_whitespace() => {}
                            _ if fresh => {
                                rooms.insert(word(&group[at..]));
                                fresh = false;
                            }
                            _ => {}
                        }
                        if depth == 0 {
                            break;
                        }
                    }
                }
            }
        }
    }
    rooms
}

fn house() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 50, "the source was found");
    found
}

#[test]
fn rooms_use_only_what_the_table_grants() {
    let mut wrong = Vec::new();
    for (path, code) in house() {
        let room = room_of(&path);
        if room == "lib" {
            continue;
        }
        let Some((_, granted)) = HOUSE.iter().find(|(name, _)| *name == room) else {
            panic!("{}: no such room in the table", path.display());
        };
        for other in named(&code) {
            let allowed = other == room
                || OPEN.contains(&other.as_str()) && !OPEN[1..].contains(&room.as_str())
                || granted.contains(&other.as_str());
            if !allowed {
                wrong.push(format!("{} uses crate::{other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_outer_rooms_touch_the_outside() {
    let mut wrong = Vec::new();
    for (path, code) in house() {
        if OUTSIDE.contains(&room_of(&path).as_str()) {
            continue;
        }
        for outward in OUTWARD {
            // What a machine is called at compile time is a constant, not the environment.
            if code.replace("std::env::consts::", "").contains(outward) {
                wrong.push(format!("{} names {outward}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_reader_of_paths_reads_them() {
    let code = "use crate::{a::{b, c}, d,\n e::f}; crate::g::h(); openclaw_gateway::i::j";
    let names: Vec<String> = named(code).into_iter().collect();
    assert_eq!(names, ["a", "d", "e", "g", "i"]);
}
