//! Templates of hook mappings: `{{payload.a.b}}` or `{{a.b}}`, `{{items[0].name}}`,
//! `{{headers.x-kind}}`, `{{query.kind}}`, `{{path}}`, `{{now}}`.
//!
//! What is missing or null becomes nothing, objects and arrays become JSON. There is nothing
//! else: no conditions, no code. A result is at most [`limits::HOOK_TEXT`] bytes.

use crate::limits;
use crate::wire::http::head::Head;
use crate::wire::url::query_value;
use serde_json::Value;

/// What a template can name.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The body.
    pub payload: &'a Value,
    /// Headers and query; credentials among the headers are never there.
    pub head: &'a Head,
    /// The path below the hooks' own.
    pub path: &'a str,
    /// ISO time.
    pub now: &'a str,
}

/// Fills a template.
pub fn render(template: &str, view: &View<'_>) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, behind)) = after.split_once("}}") else { break };
        push(&mut out, before);
        push(&mut out, &value(name.trim(), view));
        rest = behind;
        if out.len() >= limits::HOOK_TEXT {
            return out;
        }
    }
    push(&mut out, rest);
    out
}

/// Appends what fits.
fn push(out: &mut String, text: &str) {
    let room = limits::HOOK_TEXT.saturating_sub(out.len());
    let end = text.floor_char_boundary(room);
    out.push_str(text.get(..end).unwrap_or_default());
}

fn value(name: &str, view: &View<'_>) -> String {
    let secret = |name: &str| {
        ["authorization", "x-openclaw-token", "cookie", "proxy-authorization"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    };
    match name.split_once('.') {
        _ if name.is_empty() => String::new(),
        _ if name == "path" => view.path.to_owned(),
        _ if name == "now" => view.now.to_owned(),
        Some(("headers", header)) if !secret(header) => {
            view.head.headers.get(header).unwrap_or_default().to_owned()
        }
        Some(("headers", _)) => String::new(),
        Some(("query", name)) => {
            view.head.query().and_then(|query| query_value(query, name)).unwrap_or_default()
        }
        Some(("payload", path)) => shown(look_up(view.payload, path)),
        _ if name == "payload" => shown(Some(view.payload)),
        _ => shown(look_up(view.payload, name)),
    }
}

/// `a.b[0].c` in a value.
fn look_up<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = value;
    for part in path.split('.') {
        let (name, indexes) = match part.split_once('[') {
            Some((name, rest)) => (name, Some(rest)),
            None => (part, None),
        };
        if !name.is_empty() {
            at = at.get(name)?;
        }
        for index in indexes.into_iter().flat_map(|rest| rest.split('[')) {
            let index: usize = index.strip_suffix(']')?.parse().ok()?;
            at = at.get(index)?;
        }
    }
    Some(at)
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
