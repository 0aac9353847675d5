//! `${VAR}` in strings, and `.env` files.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::load::ErrorKind;
use super::tree::{Files, Kind, Tree};
use crate::wire::json5::Step;

/// The name between `${` and `}` at the beginning of `text`, and its length in all. Only
/// `[A-Z_][A-Z0-9_]*` is a name; anything else is ordinary text, as in the reference.
fn reference(text: &str) -> Option<(&str, usize)> {
    let (name, _) = text.strip_prefix("${")?.split_once('}')?;
    let fits = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    fits.then_some((name, name.len() + 3))
}

/// True when all of `text` is references and their punctuation: then it gives no secret away.
pub fn is_reference(text: &str) -> bool {
    reference(text).is_some_and(|(_, length)| length == text.len())
}

/// `text` with `${VAR}` replaced and `$${VAR}` turned into `${VAR}`; `Err` names the first
/// variable that is not set, or set to nothing.
pub(super) fn expand<'a>(
    text: &'a str,
    env: &BTreeMap<String, String>,
) -> Result<Cow<'a, str>, String> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, at) = rest.split_at(dollar);
        out.push_str(before);
        let escaped = at.get(1..).and_then(reference);
        if let Some((_, length)) = escaped {
            out.push_str(at.get(1..=length).unwrap_or_default());
            rest = at.get(length + 1..).unwrap_or_default();
        } else if let Some((name, length)) = reference(at) {
            match env.get(name).filter(|value| !value.is_empty()) {
                Some(value) => out.push_str(value),
                None => return Err(name.to_owned()),
            }
            rest = at.get(length..).unwrap_or_default();
        } else {
            out.push('$');
            rest = at.get(1..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// Replaces every `${VAR}` below a tree. What is not set is an issue that names the key.
pub(super) fn substitute(
    files: &mut Files<'_>,
    tree: &mut Tree,
    env: &BTreeMap<String, String>,
    path: &mut Vec<Step>,
) {
    let place = tree.place;
    match &mut tree.kind {
        Kind::Leaf(Value::String(text)) => match expand(text, env) {
            Ok(Cow::Borrowed(_)) => {}
            Ok(Cow::Owned(new)) => *text = new,
            Err(name) => {
                let what = format!(
                    "environment variable {name} is not set or empty: set it, or write \
                     `$${{{name}}}` for the text itself"
                );
                files.error(ErrorKind::Reference, place, path, what);
                tree.kind = Kind::Broken;
            }
        },
        Kind::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                path.push(Step::Index(index));
                substitute(files, item, env, path);
                path.pop();
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                path.push(Step::Key(entry.key.clone()));
                substitute(files, &mut entry.value, env, path);
                path.pop();
            }
        }
        Kind::Leaf(_) | Kind::Broken => {}
    }
}

/// A name that an environment variable may have.
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The variables of a `.env` file in the order written, as `dotenv` reads them.
pub fn variables(text: &str) -> Vec<(String, String)> {
    dotenv(text).0
}

/// The variables of a `.env` file in the order written, and the lines that are none.
/// `NAME=value`, `export NAME=value`, `#` comments; single quotes take everything as it is,
/// double quotes know `\n \r \t \" \\`; both may span lines.
pub(super) fn dotenv(text: &str) -> (Vec<(String, String)>, Vec<usize>) {
    let (mut variables, mut bad) = (Vec::new(), Vec::new());
    let mut rest = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut line = 1;
    while !rest.is_empty() {
        let end = rest.find('\n').map_or(rest.len(), |newline| newline + 1);
        let (this, mut after) = rest.split_at(end);
        let entry = this.trim();
        let entry = entry.strip_prefix("export ").unwrap_or(entry);
        if !entry.is_empty() && !entry.starts_with('#') {
            match entry.split_once('=').map(|(name, value)| (name.trim(), value.trim_start())) {
                Some((name, value)) if is_variable(name) => {
                    // A quoted value is read from the text itself, for it may go on below.
                    let start = this.find('=').map_or(0, |equals| equals + 1);
                    let raw = rest.get(start..).unwrap_or_default().trim_start_matches([' ', '\t']);
                    match quoted(raw) {
                        Some((value, tail)) => {
                            let tail_end =
                                tail.find('\n').map_or(tail.len(), |newline| newline + 1);
                            after = tail.get(tail_end..).unwrap_or_default();
                            variables.push((name.to_owned(), value));
                        }
                        None => variables.push((name.to_owned(), plain(value).to_owned())),
                    }
                }
                _ => bad.push(line),
            }
        }
        let taken = rest.len() - after.len();
        line += rest.get(..taken).unwrap_or_default().matches('\n').count();
        rest = after;
    }
    (variables, bad)
}

/// An unquoted value ends at ` #`.
fn plain(value: &str) -> &str {
    let end = value.find(" #").or_else(|| value.find("\t#")).unwrap_or(value.len());
    value.get(..end).unwrap_or_default().trim()
}

/// A value in quotes and what follows it; `None` when it is not quoted or never closed.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((out, text.get(at + 1..)?)),
            '\\' if quote == '"' => match chars.next()?.1 {
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                c @ ('"' | '\\' | '$') => out.push(c),
                c => out.extend(['\\', c]),
            },
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn references_and_escapes() {
        let env = env(&[("A", "one"), ("_B2", "${A}"), ("EMPTY", "")]);
        for (text, want) in [
            ("", Ok("")),
            ("plain $ $A $(A) {A}", Ok("plain $ $A $(A) {A}")),
            ("${A}", Ok("one")),
            ("x${A}y${_B2}z", Ok("xoney${A}z")),
            ("$${A}", Ok("${A}")),
            ("$$${A}", Ok("$${A}")),
            ("$${a} ${a} ${1A} ${} ${A", Ok("$${a} ${a} ${1A} ${} ${A")),
            ("${A}${MISSING}", Err("MISSING")),
            ("${EMPTY}", Err("EMPTY")),
            ("\u{1F600}${A}\u{1F600}", Ok("\u{1F600}one\u{1F600}")),
        ] {
            let got = expand(text, &env);
            assert_eq!(got.as_deref().map_err(String::as_str), want, "{text}");
        }
        assert!(is_reference("${A}") && !is_reference("${A}x") && !is_reference("$${A}"));
    }

    #[test]
    fn dotenv_files() {
        let text = "\u{FEFF}# c\n\nA=1\r\nexport B = two words # c\nC='x # $y\\n'\nD=\"l1\n\
                    l2\\n\\\"\" # e\n\
                    no equals\n1X=2\nE=\nF=a#b\nG='open\nH=`t`";
        let (variables, bad) = dotenv(text);
        let got: Vec<_> = variables.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            got,
            [
                ("A", "1"),
                ("B", "two words"),
                ("C", "x # $y\\n"),
                ("D", "l1\nl2\n\""),
                ("E", ""),
                ("F", "a#b"),
                ("G", "'open"),
                ("H", "t"),
            ]
        );
        assert_eq!(bad, [8, 9]);
    }
}
