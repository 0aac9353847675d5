//! The configuration as it may be shown: every secret replaced by [`REDACTED`].
//!
//! A value is a secret when the key table says so, when its name says so (only below sections
//! that the table does not list key by key), when it came out of a `${VAR}`, when it is an
//! address with credentials in it, or when it repeats a secret found elsewhere. A `${VAR}` as
//! written is not a secret, nor is a SecretRef: both only say where the secret is.
//!
//! [`raw`] works on the text by spans, so that comments and order stay and a client can edit
//! what it was shown; [`restore`] puts the secrets back into the edited text.

use serde_json::{Map, Value};

use super::subst::is_reference;
use super::table::{self, Kind};
use crate::wire::json5::{self, Document, Node, Span, Step};

/// What stands in place of a secret, as in the reference.
pub const REDACTED: &str = "__OPENCLAW_REDACTED__";

/// A secret shorter than this is not looked for elsewhere: it would match by chance.
const REPEATED: usize = 8;

/// Parts of a name, in lower case without `-` and `_`, that make its value a secret.
const NAMES: [&str; 17] = [
    "token",
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "apikey",
    "privatekey",
    "accesskey",
    "signingkey",
    "encryptionkey",
    "authkey",
    "credential",
    "authorization",
    "bearer",
    "cookie",
    "webhookurl",
];

/// `value` without secrets. `written` is the same object before `${VAR}` substitution (or
/// `value` itself): whatever differs from it came from the environment and is not shown.
pub fn value(value: &Value, written: &Value) -> Value {
    let mut secrets = Vec::new();
    collect(value, &mut Vec::new(), false, &mut secrets);
    hide(value, Some(written), &mut Vec::new(), false, &secrets)
}

/// The text of a configuration file without secrets; empty when it is not JSON5, for then
/// nobody knows where they are.
pub fn raw(text: &str) -> String {
    let Ok(document) = json5::parse(text) else { return String::new() };
    let mut secrets = Vec::new();
    collect(&document.root.to_value(), &mut Vec::new(), false, &mut secrets);
    let mut scalars = Vec::new();
    let mut cuts = Vec::new();
    spans(&document.root, &mut Vec::new(), false, &secrets, &mut scalars, &mut cuts);
    let mut edits: Vec<(Span, String)> = Vec::new();
    for span in cuts {
        let quote = if slice(text, span).starts_with('\'') { '\'' } else { '"' };
        edits.push((span, format!("{quote}{REDACTED}{quote}")));
    }
    for comment in comments(text, scalars) {
        let kept = slice(text, comment);
        let shown = comment_without_secrets(kept, &secrets);
        if shown != kept {
            edits.push((comment, shown));
        }
    }
    apply(text, edits)
}

/// `edited`, which began as [`raw`] of `current`, with every [`REDACTED`] replaced by what
/// stands at the same path in `current`. `Err` names the path of one that stands nowhere there,
/// or the fault of a text that is not JSON5.
pub fn restore(edited: &str, current: &str) -> Result<String, String> {
    let new = json5::parse(edited).map_err(|error| error.to_string())?;
    let old = json5::parse(current).ok();
    let mut edits = Vec::new();
    put_back(&new.root, old.as_ref(), &mut Vec::new(), &mut edits)?;
    Ok(apply(edited, edits))
}

fn put_back(
    node: &Node,
    old: Option<&Document>,
    path: &mut Vec<Step>,
    edits: &mut Vec<(Span, String)>,
) -> Result<(), String> {
    match &node.kind {
        json5::Kind::String(text) if text == REDACTED => {
            let secret = old.and_then(|old| Some((old, old.at(path)?)));
            let Some((old, secret)) = secret else {
                return Err(format!(
                    "{}: {REDACTED} stands for a secret that is not in the current file",
                    table::shown(path)
                ));
            };
            edits.push((node.span, slice(old.text(), secret.span).to_owned()));
        }
        json5::Kind::Array(items) => {
            let before = edits.len();
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Index(index));
                put_back(item, old, path, edits)?;
                path.pop();
            }
            let same = old.and_then(|old| old.at(path)).is_some_and(|old| same_elements(old, node));
            if edits.len() > before && !same {
                return Err(format!(
                    "{}: its elements moved, so it is not certain whose secret {REDACTED} stands \
                     for; write the secrets out",
                    table::shown(path)
                ));
            }
        }
        json5::Kind::Object(members) => {
            for member in members {
                path.push(Step::Key(member.key.clone()));
                put_back(&member.value, old, path, edits)?;
                path.pop();
            }
        }
        _ => {}
    }
    Ok(())
}

/// As many elements, and those with an `id` where they were.
fn same_elements(old: &Node, new: &Node) -> bool {
    let (json5::Kind::Array(old), json5::Kind::Array(new)) = (&old.kind, &new.kind) else {
        return false;
    };
    let id = Step::Key("id".to_owned());
    let same = |(old, new): (&Node, &Node)| {
        old.step(&id).map(Node::to_value) == new.step(&id).map(Node::to_value)
    };
    old.len() == new.len() && old.iter().zip(new).all(same)
}

/// True when what stands at `path` is a secret. `above` says that its parent is one.
fn is_secret(path: &[Step], above: bool) -> bool {
    let Some(key) = table::lookup(path) else {
        // A key that does not exist: the file is refused, and shown all the same.
        return above || named(path);
    };
    above || key.secret || (key.kind == Kind::Open && named(path))
}

/// True when the nearest key of the path has the name of a secret.
fn named(path: &[Step]) -> bool {
    path.iter()
        .rev()
        .find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
        .is_some_and(is_secret_name)
}

fn is_secret_name(name: &str) -> bool {
    let name: String =
        name.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect();
    NAMES.iter().any(|part| name.contains(part))
}

/// Counts and limits (`maxTokens: 100`) are not secrets, whatever they count.
fn counts_tokens(path: &[Step]) -> bool {
    matches!(path.last(), Some(Step::Key(key)) if key.to_ascii_lowercase().contains("tokens"))
}

/// `{ source, id }`, perhaps with `provider`: it says where a secret is. An id that cannot name
/// a variable may be the secret itself, put into the wrong place.
fn is_secret_ref(map: &Map<String, Value>) -> bool {
    let text = |key| map.get(key).and_then(Value::as_str);
    let known = match (text("source"), text("id")) {
        (Some("env"), Some(id)) => is_reference(&format!("${{{id}}}")),
        (Some("file" | "exec" | "store"), Some(_)) => true,
        _ => false,
    };
    let provider = map.get("provider").is_none_or(Value::is_string);
    known && provider && map.keys().all(|key| matches!(key.as_str(), "source" | "provider" | "id"))
}

/// An address that carries credentials: `x://user:word@host`, or a query that names one.
fn has_credentials(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let query = tail.split_once('?').map_or("", |(_, query)| query);
    let parts = query.split('&').filter_map(|pair| pair.split_once('='));
    authority.contains('@')
        || parts.into_iter().any(|(name, _)| is_secret_name(name) || matches!(name, "key" | "sig"))
}

/// A leaf that must not be shown at a place that is a secret.
fn hides(leaf: &Value, path: &[Step], secret: bool, secrets: &[String]) -> bool {
    match leaf {
        Value::String(text) if text.is_empty() || is_reference(text) || text == REDACTED => false,
        Value::String(text) => {
            secret
                || has_credentials(text)
                || secrets.iter().any(|s| s.len() >= REPEATED && text.contains(s.as_str()))
        }
        Value::Number(_) => secret && !counts_tokens(path),
        _ => false,
    }
}

fn collect(value: &Value, path: &mut Vec<Step>, above: bool, out: &mut Vec<String>) {
    let secret = is_secret(path, above);
    match value {
        Value::Object(map) if is_secret_ref(map) => {}
        Value::Object(map) => {
            for (key, part) in map {
                path.push(Step::Key(key.clone()));
                collect(part, path, secret, out);
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Index(index));
                collect(item, path, secret, out);
                path.pop();
            }
        }
        leaf if hides(leaf, path, secret, &[]) => {
            out.push(leaf.as_str().map_or_else(|| leaf.to_string(), str::to_owned));
        }
        _ => {}
    }
}

fn hide(
    value: &Value,
    written: Option<&Value>,
    path: &mut Vec<Step>,
    above: bool,
    secrets: &[String],
) -> Value {
    let secret = is_secret(path, above);
    match value {
        Value::Object(map) if is_secret_ref(map) => value.clone(),
        Value::Object(map) => {
            let mut out = Map::new();
            for (key, part) in map {
                path.push(Step::Key(key.clone()));
                let written = written.and_then(|w| w.get(key));
                out.insert(key.clone(), hide(part, written, path, secret, secrets));
                path.pop();
            }
            Value::Object(out)
        }
        Value::Array(items) => {
            let mut out = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Index(index));
                let written = written.and_then(|w| w.get(index));
                out.push(hide(item, written, path, secret, secrets));
                path.pop();
            }
            Value::Array(out)
        }
        leaf if written != Some(leaf) || hides(leaf, path, secret, secrets) => {
            Value::from(REDACTED)
        }
        leaf => leaf.clone(),
    }
}

/// Every scalar and key of a document, and the scalars to be cut.
fn spans(
    node: &Node,
    path: &mut Vec<Step>,
    above: bool,
    secrets: &[String],
    scalars: &mut Vec<Span>,
    cuts: &mut Vec<Span>,
) {
    let reference = matches!(&node.kind, json5::Kind::Object(_))
        && node.to_value().as_object().is_some_and(is_secret_ref);
    let secret = is_secret(path, above);
    match &node.kind {
        json5::Kind::Object(members) => {
            for member in members {
                scalars.push(member.key_span);
                path.push(Step::Key(member.key.clone()));
                if reference {
                    scalars.push(member.value.span);
                } else {
                    spans(&member.value, path, secret, secrets, scalars, cuts);
                }
                path.pop();
            }
        }
        json5::Kind::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Index(index));
                spans(item, path, secret, secrets, scalars, cuts);
                path.pop();
            }
        }
        _ => {
            scalars.push(node.span);
            if hides(&node.to_value(), path, secret, secrets) {
                cuts.push(node.span);
            }
        }
    }
}

/// The comments of a text, of which all keys and scalars are given in order.
fn comments(text: &str, scalars: Vec<Span>) -> Vec<Span> {
    let mut found = Vec::new();
    let end = Span { start: text.len(), end: text.len() };
    let mut at = 0;
    for scalar in scalars.into_iter().chain([end]) {
        // Between two of them there is only white space, punctuation and comments.
        while let Some(next) = slice(text, Span { start: at, end: scalar.start }).find('/') {
            let start = at + next;
            let rest = slice(text, Span { start, end: scalar.start });
            let length = if rest.starts_with("//") {
                rest.find(['\n', '\r', '\u{2028}', '\u{2029}']).unwrap_or(rest.len())
            } else {
                rest.find("*/").map_or(rest.len(), |length| length + 2)
            };
            found.push(Span { start, end: start + length });
            at = start + length.max(1);
        }
        at = scalar.end;
    }
    found
}

/// A comment in which known secrets, and what is assigned to a name like theirs, are replaced:
/// people comment out old tokens.
fn comment_without_secrets(comment: &str, secrets: &[String]) -> String {
    let mut comment = comment.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        comment = comment.replace(secret.as_str(), REDACTED);
    }
    let mut out = String::with_capacity(comment.len());
    for line in comment.split_inclusive('\n') {
        let assigned = line.find([':', '=']).filter(|at| {
            let name = line.get(..*at).unwrap_or_default();
            is_secret_name(name.rsplit([',', '{', '}', ';']).next().unwrap_or(name))
        });
        let later = || {
            // Not the first assignment of the line: look at each.
            line.match_indices([':', '=']).map(|(at, _)| at).find(|at| {
                let name = line.get(..*at).unwrap_or_default().trim_end_matches([' ', '"', '\'']);
                let word = name.rsplit(|c: char| !c.is_alphanumeric() && !"_-".contains(c)).next();
                word.is_some_and(is_secret_name)
            })
        };
        match assigned.or_else(later) {
            Some(at) => {
                out.push_str(line.get(..=at).unwrap_or_default());
                out.extend([" ", REDACTED]);
                if line.trim_end().ends_with("*/") {
                    out.push_str(" */");
                }
                if line.ends_with('\n') {
                    out.push('\n');
                }
            }
            None => out.push_str(line),
        }
    }
    out
}

fn slice(text: &str, span: Span) -> &str {
    text.get(span.start..span.end).unwrap_or_default()
}

/// Replaces spans that do not overlap.
fn apply(text: &str, mut edits: Vec<(Span, String)>) -> String {
    edits.sort_by_key(|(span, _)| span.start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (span, new) in edits {
        out.push_str(slice(text, Span { start: at, end: span.start }));
        out.push_str(&new);
        at = span.end;
    }
    out.push_str(slice(text, Span { start: at, end: text.len() }));
    out
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
