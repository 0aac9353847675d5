//! The table of commands as a shell needs it: for each place among the words, what may follow.

use super::super::table::{Command, Flag, GLOBALS, Takes, commands};

/// A place: the words of a command, typed so far.
#[derive(Debug)]
pub struct Node {
    /// `gateway status`; empty for the program itself.
    pub path: String,
    /// Words that lead on.
    pub next: Vec<(&'static str, &'static str)>,
    /// Flags and what they are about.
    pub flags: Vec<(String, &'static str)>,
    /// Flags that take a value, and what is known of it.
    pub takes: Vec<(String, Offer)>,
    /// Whether its operand is a path.
    pub path_operand: bool,
}

/// What is known of a flag's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Nothing.
    Any,
    /// It is a file or directory.
    Path,
    /// It is one of these.
    Words(&'static [&'static str]),
}

/// Every place, the program's first.
pub fn nodes() -> Vec<Node> {
    commands().map(node).collect()
}

fn node(command: &'static Command) -> Node {
    let children = commands().filter(|row| {
        row.path.len() == command.path.len() + 1 && row.path.starts_with(command.path)
    });
    let next = children.filter_map(|row| Some((*row.path.last()?, row.about))).collect();
    let (mut flags, mut takes) = (Vec::new(), Vec::new());
    for flag in command.flags.iter().chain(GLOBALS).filter(|flag| !flag.about.is_empty()) {
        let names = [Some(format!("--{}", flag.long)), flag.short.map(|short| format!("-{short}"))];
        for name in names.into_iter().flatten() {
            if let Some(offer) = offer(flag) {
                takes.push((name.clone(), offer));
            }
            if name.starts_with("--") {
                flags.push((name, flag.about));
            }
        }
    }
    let path_operand = command.operands.iter().any(|name| is_path(name.trim_end_matches('?')));
    Node { path: command.path.join(" "), next, flags, takes, path_operand }
}

fn offer(flag: &Flag) -> Option<Offer> {
    Some(match flag.takes {
        // Where a value may be left out, anything may follow.
        Takes::Nothing | Takes::Maybe(..) => return None,
        Takes::Word(words) => Offer::Words(words),
        Takes::Text(name) | Takes::Texts(name) | Takes::Each(name) if is_path(name) => Offer::Path,
        Takes::Text(_) | Takes::Texts(_) | Takes::Each(_) | Takes::Number(..) => Offer::Any,
    })
}

/// Whether a placeholder stands for a file.
fn is_path(name: &str) -> bool {
    ["path", "file", "dir", "directory", "archive", "path-or-url"].contains(&name)
}
