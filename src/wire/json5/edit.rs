//! Edits of a JSON5 text that leave everything else as it was written.
//!
//! An edit is worked out from spans, applied to the text, and the result parsed again: what is
//! returned is a document that holds what was asked for, or an error.

use super::parse::{Fault, Parser, fault, is_newline};
use super::{Document, Json5Error, Kind, Node, Span, Step, parse};

/// Replace these bytes by this text.
struct Edit {
    span: Span,
    text: String,
}

impl Edit {
    fn insert(at: usize, text: String) -> Self {
        Self { span: Span { start: at, end: at }, text }
    }

    const fn cut(start: usize, end: usize) -> Self {
        Self { span: Span { start, end }, text: String::new() }
    }
}

/// The text with the value at `path` replaced or added. `new_json` is one JSON5 value. Missing
/// objects on the way are made; an array grows by one at its end; a path through anything else
/// is an error.
pub fn set(text: &str, path: &[Step], new_json: &str) -> Result<String, Json5Error> {
    let document = parse(text)?;
    let new = parse(new_json).map_err(|error| {
        let what = format!("the new value is not JSON5: {}", error.message);
        Fault { offset: 0, message: what }.locate(text)
    })?;
    let wanted = new.root.to_value();
    // Comments around the value stay behind: one of `//` would swallow what follows.
    let value = slice(new_json, new.root.span.start, new.root.span.end);
    let edits =
        plan_set(&document, path, value, strict(new_json)).map_err(|fault| fault.locate(text))?;
    let edited = apply(text, edits);
    match parse(&edited) {
        Ok(after) if after.at(path).map(Node::to_value) == Some(wanted) => Ok(edited),
        Ok(_) => Err(lost(text, path)),
        Err(error) => Err(error),
    }
}

/// The text without the member or element at `path`. It is an error if there is none.
pub fn remove(text: &str, path: &[Step]) -> Result<String, Json5Error> {
    let document = parse(text)?;
    let edits = plan_remove(&document, path).map_err(|fault| fault.locate(text))?;
    let edited = apply(text, edits);
    parse(&edited).map(|_| edited)
}

fn lost(text: &str, path: &[Step]) -> Json5Error {
    let message = format!("cannot edit `{}` in place: write the file by hand", shown(path));
    Fault { offset: 0, message }.locate(text)
}

fn slice(text: &str, start: usize, end: usize) -> &str {
    text.get(start..end).unwrap_or_default()
}

fn strict(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// A path for a message: `a.b[0]`.
fn shown(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Key(key) if out.is_empty() => out.push_str(key),
            Step::Key(key) => out.extend([".", key]),
            Step::Index(index) => out.push_str(&format!("[{index}]")),
        }
    }
    crate::wire::text::escape_log(&out, 200)
}

/// Edits do not overlap; they are applied from the back, so that offsets stay true.
fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.span.start);
    let mut out = text.to_owned();
    for edit in edits.iter().rev() {
        if out.get(edit.span.start..edit.span.end).is_some() {
            out.replace_range(edit.span.start..edit.span.end, &edit.text);
        }
    }
    out
}

fn plan_set(
    document: &Document,
    path: &[Step],
    value: &str,
    strict: bool,
) -> Result<Vec<Edit>, Fault> {
    let text = document.text();
    let mut node = &document.root;
    for (depth, step) in path.iter().enumerate() {
        if let Some(next) = node.step(step) {
            node = next;
            continue;
        }
        let rest = path.get(depth + 1..).unwrap_or_default();
        let here = path.get(..=depth).unwrap_or(path);
        let entry = match (&node.kind, step) {
            (Kind::Object(_), Step::Key(key)) => {
                let quoted = quotes_keys(document, node);
                format!("{}: {}", key_text(key, quoted), wrap(rest, value, quoted)?)
            }
            (Kind::Array(items), Step::Index(index)) if *index == items.len() => {
                wrap(rest, value, quotes_keys(document, node))?
            }
            (Kind::Array(items), Step::Index(_)) => {
                let what = format!("`{}`: the array has {} elements", shown(here), items.len());
                return fault(node.span.start, what);
            }
            _ => {
                let what = format!("`{}`: what stands here has no such part", shown(here));
                return fault(node.span.start, what);
            }
        };
        return insert(text, node, &entry, strict, depth == 0);
    }
    let indented = if strict { reindent(value, indent_at(text, node.span.start)) } else { None };
    Ok(vec![Edit { span: node.span, text: indented.unwrap_or_else(|| value.to_owned()) }])
}

/// The objects that are missing below a new key, around the value.
fn wrap(rest: &[Step], value: &str, quoted: bool) -> Result<String, Fault> {
    let mut out = value.to_owned();
    for step in rest.iter().rev() {
        out = match step {
            Step::Key(key) => format!("{{ {}: {out} }}", key_text(key, quoted)),
            Step::Index(0) => format!("[{out}]"),
            Step::Index(_) => return fault(0, "a new array begins at index 0"),
        };
    }
    Ok(out)
}

/// A multi-line value moved in by `indent`. Only for strict JSON, where no string spans lines.
fn reindent(value: &str, indent: &str) -> Option<String> {
    value.contains('\n').then(|| value.replace('\n', &format!("\n{indent}")))
}

/// Start, end of each child, key included.
fn children(node: &Node) -> Vec<Span> {
    match &node.kind {
        Kind::Array(items) => items.iter().map(|item| item.span).collect(),
        Kind::Object(members) => members
            .iter()
            .map(|m| Span { start: m.key_span.start, end: m.value.span.end })
            .collect(),
        _ => Vec::new(),
    }
}

/// True when keys near `node` are written in quotes; as in JSON when there is no example.
fn quotes_keys(document: &Document, node: &Node) -> bool {
    let example = |node: &Node| match &node.kind {
        Kind::Object(members) => members.last().map(|member| member.key_span.start),
        _ => None,
    };
    let at = example(node).or_else(|| example(&document.root));
    at.is_none_or(|at| matches!(document.text().as_bytes().get(at), Some(b'"' | b'\'')))
}

fn key_text(key: &str, quoted: bool) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '$')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
    if plain && !quoted { key.to_owned() } else { serde_json::Value::from(key).to_string() }
}

/// Where the white space and comments after `at` end.
fn after_space(text: &str, at: usize) -> Result<usize, Fault> {
    let mut cursor = Parser { text, at };
    cursor.space()?;
    Ok(cursor.at)
}

/// The offset after the comma that follows `at`, if one does.
fn after_comma(text: &str, at: usize) -> Result<Option<usize>, Fault> {
    let next = after_space(text, at)?;
    Ok((text.as_bytes().get(next) == Some(&b',')).then_some(next + 1))
}

/// White space at the beginning of the line that `at` stands in.
fn indent_at(text: &str, at: usize) -> &str {
    let start = line_start(text, at);
    let line = slice(text, start, at);
    slice(line, 0, line.len() - line.trim_start_matches([' ', '\t']).len())
}

fn line_start(text: &str, at: usize) -> usize {
    slice(text, 0, at).rfind('\n').map_or(0, |newline| newline + 1)
}

/// Where the blanks and comments end that belong to the line of `at`: before its line break, or
/// before the first thing that is neither.
fn end_of_remarks(text: &str, mut at: usize) -> Result<usize, Fault> {
    let mut end = at;
    loop {
        let rest = slice(text, at, text.len());
        if rest.starts_with([' ', '\t']) {
            at += 1;
        } else if rest.starts_with("//") {
            let line = rest.find(is_newline).unwrap_or(rest.len());
            // A CR belongs to the line break.
            return Ok(at + line);
        } else if rest.starts_with("/*") {
            let Some(length) = rest.find("*/") else { return fault(at, "open comment") };
            at += length + 2;
            end = at;
        } else {
            return Ok(end);
        }
    }
}

fn insert(
    text: &str,
    node: &Node,
    entry: &str,
    strict: bool,
    root: bool,
) -> Result<Vec<Edit>, Fault> {
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let own = indent_at(text, node.span.start).to_owned();
    let closer = node.span.end.saturating_sub(1);
    let inside = slice(text, node.span.start + 1, closer);
    let place = |entry: &str, indent: &str| {
        let moved = if strict { reindent(entry, indent) } else { None };
        moved.unwrap_or_else(|| entry.to_owned())
    };
    let Some(last) = children(node).last().copied() else {
        let kept = inside.trim_end();
        let at = node.span.start + 1 + kept.len();
        if root || inside.contains('\n') {
            let indent = format!("{own}  ");
            let entry = place(entry, &indent);
            let tail =
                if inside.contains('\n') { String::new() } else { format!("{newline}{own}") };
            return Ok(vec![Edit::insert(at, format!("{newline}{indent}{entry}{tail}"))]);
        }
        let object = matches!(node.kind, Kind::Object(_));
        let pad = if object && inside.is_empty() { " " } else { "" };
        let lead = if kept.is_empty() { pad } else { " " };
        return Ok(vec![Edit::insert(at, format!("{lead}{}{pad}", place(entry, &own)))]);
    };
    let comma = after_comma(text, last.end)?;
    let at = end_of_remarks(text, comma.unwrap_or(last.end))?;
    let trail = if comma.is_some() { "," } else { "" };
    // Its own line when its neighbour has one, else behind it.
    let own_line = slice(text, line_start(text, last.start), last.start).trim().is_empty();
    let remark = slice(text, last.end, at).contains("//");
    let entry = if own_line || remark {
        let indent = indent_at(text, last.start);
        format!("{newline}{indent}{}{trail}", place(entry, indent))
    } else {
        format!(" {}{trail}", place(entry, &own))
    };
    if comma.is_some() {
        return Ok(vec![Edit::insert(at, entry)]);
    }
    // One edit when both stand at the same place, so that their order is certain.
    if at == last.end {
        return Ok(vec![Edit::insert(at, format!(",{entry}"))]);
    }
    Ok(vec![Edit::insert(last.end, ",".to_owned()), Edit::insert(at, entry)])
}

fn plan_remove(document: &Document, path: &[Step]) -> Result<Vec<Edit>, Fault> {
    let text = document.text();
    let missing = || Fault { offset: 0, message: format!("there is no `{}`", shown(path)) };
    let Some((step, above)) = path.split_last() else {
        return fault(0, "the document as a whole cannot be removed");
    };
    let parent = document.at(above).ok_or_else(missing)?;
    let index = match (&parent.kind, step) {
        (Kind::Object(members), Step::Key(key)) => members.iter().position(|m| m.key == *key),
        (Kind::Array(items), Step::Index(index)) => Some(*index).filter(|i| *i < items.len()),
        _ => None,
    };
    let spans = children(parent);
    let index = index.ok_or_else(missing)?;
    let gone = spans.get(index).copied().ok_or_else(missing)?;
    let before = index.checked_sub(1).and_then(|index| spans.get(index)).copied();
    let comma = after_comma(text, gone.end)?;
    let mut edits = Vec::new();
    // A last element without comma takes the comma of its neighbour along: strict JSON has none
    // there.
    if let (None, Some(before)) = (comma, before)
        && let Some(end) = after_comma(text, before.end)?
    {
        edits.push(Edit::cut(end - 1, end));
    }
    // Remarks between the value and its comma stay.
    let end = match comma {
        Some(end) if slice(text, gone.end, end - 1).trim().is_empty() => end,
        Some(end) => {
            edits.push(Edit::cut(end - 1, end));
            gone.end
        }
        None => gone.end,
    };
    edits.push(blanks(text, gone.start, end));
    Ok(edits)
}

/// The cut widened to the blanks that would be left over: a whole line, or one side.
fn blanks(text: &str, start: usize, end: usize) -> Edit {
    let line = line_start(text, start);
    let alone = slice(text, line, start).trim_matches([' ', '\t']).is_empty() && line > 0;
    let rest = slice(text, end, text.len());
    let tail = rest.trim_start_matches([' ', '\t']);
    let after = end + (rest.len() - tail.len());
    if alone && let Some(left) = tail.strip_prefix("\r\n").or_else(|| tail.strip_prefix('\n')) {
        return Edit::cut(line, text.len() - left.len());
    }
    let head = slice(text, 0, start);
    let from = head.trim_end_matches([' ', '\t']).len();
    if tail.starts_with([']', '}']) && !alone {
        let opened = slice(text, 0, from).ends_with(['{', '[']);
        return if opened { Edit::cut(start, after) } else { Edit::cut(from, end) };
    }
    Edit::cut(start, after)
}
