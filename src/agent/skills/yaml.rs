//! The head of a `SKILL.md`: the part of YAML that such heads use, read into JSON values.
//!
//! Mappings and lists by indentation, quoted and plain texts over several lines, block texts,
//! and JSON5 where a value begins with a bracket. Anchors, tags and merges are not read: they
//! come out as text. Nothing fails; what makes no sense is left out.

use crate::wire::json5;
use serde_json::{Map, Value};

/// Nesting of a head.
const DEPTH: usize = 8;

struct Line<'a> {
    indent: usize,
    text: &'a str,
}

/// The mapping between the first two `---` lines, and what follows them; `None` without a head.
pub fn head(text: &str) -> Option<(Map<String, Value>, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rest = text.strip_prefix("---")?;
    let rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n'))?;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            let (head, body) = rest.split_at(at);
            let body = body.get(line.len()..).unwrap_or_default();
            return Some((mapping(head), body));
        }
        at += line.len();
    }
    None
}

fn mapping(text: &str) -> Map<String, Value> {
    let lines: Vec<Line<'_>> = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|line| {
            let text = line.trim_end();
            let indent = text.len() - text.trim_start().len();
            Line { indent, text: text.trim_start() }
        })
        .collect();
    match block(&lines, 0) {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn block(lines: &[Line<'_>], depth: usize) -> Value {
    let Some(first) = lines.first() else { return Value::Null };
    if depth > DEPTH {
        return Value::Null;
    }
    if first.text.starts_with(['{', '[']) {
        return flow(&joined(first.text, lines.get(1..).unwrap_or_default()));
    }
    let is_item = |text: &str| text == "-" || text.starts_with("- ");
    let mut list = Vec::new();
    let mut map = Map::new();
    let mut rest = lines;
    while let Some((line, after)) = rest.split_first() {
        let inner = after.iter().take_while(|next| next.indent > first.indent).count();
        let (children, next) = after.split_at(inner);
        rest = next;
        if line.indent != first.indent {
            continue;
        }
        if is_item(first.text) {
            let Some(item) = line.text.strip_prefix('-') else { continue };
            list.push(item_of(item.trim_start(), children, depth));
        } else if let Some((key, value)) = pair(line.text) {
            map.insert(key, value_of(value, children, depth));
        }
    }
    if is_item(first.text) { Value::Array(list) } else { Value::Object(map) }
}

/// An element of a list: a text, or a mapping that begins on the line of its dash.
fn item_of(text: &str, children: &[Line<'_>], depth: usize) -> Value {
    if text.starts_with(['{', '[', '"', '\'']) || pair(text).is_none() {
        return value_of(text, children, depth);
    }
    let indent = children.first().map_or(2, |child| child.indent);
    let own = std::iter::once(Line { indent, text });
    let all = children.iter().map(|line| Line { indent: line.indent, text: line.text });
    block(&own.chain(all).collect::<Vec<_>>(), depth + 1)
}

fn pair(text: &str) -> Option<(String, &str)> {
    let (key, value) = match text.split_once(": ") {
        Some(split) => split,
        None => (text.strip_suffix(':')?, ""),
    };
    let key = key.trim().trim_matches(['"', '\'']);
    (!key.is_empty()).then(|| (key.to_owned(), value.trim()))
}

fn value_of(text: &str, children: &[Line<'_>], depth: usize) -> Value {
    match text.chars().next() {
        None => block(children, depth + 1),
        Some('|') => {
            let lines: Vec<&str> = children.iter().map(|line| line.text).collect();
            Value::from(lines.join("\n"))
        }
        Some('>') => Value::from(joined("", children).trim()),
        Some('{' | '[') => flow(&joined(text, children)),
        Some('#') => block(children, depth + 1),
        Some(_) => Value::from(scalar(&joined(text, children))),
    }
}

fn joined(first: &str, rest: &[Line<'_>]) -> String {
    let mut all = first.to_owned();
    for line in rest {
        all.push(' ');
        all.push_str(line.text);
    }
    all
}

fn scalar(text: &str) -> String {
    if let Some(inner) = text.strip_prefix('"') {
        // As JSON, with whatever stands behind it left out.
        let mut stream = serde_json::Deserializer::from_str(text).into_iter::<String>();
        return match stream.next() {
            Some(Ok(value)) => value,
            _ => inner.trim_end_matches('"').to_owned(),
        };
    }
    if let Some(inner) = text.strip_prefix('\'') {
        let plain = inner.replace("''", "\u{0}");
        return plain.split('\'').next().unwrap_or_default().replace('\u{0}', "'");
    }
    text.split(" #").next().unwrap_or(text).trim_end().to_owned()
}

/// JSON5; else a bare list such as `[a, b]`.
fn flow(text: &str) -> Value {
    if let Ok(document) = json5::parse(text) {
        return document.root.to_value();
    }
    let Some(items) = text.trim().strip_prefix('[').and_then(|text| text.strip_suffix(']')) else {
        return Value::Null;
    };
    items.split(',').map(|item| scalar(item.trim())).filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Value {
        let (map, body) = head(text).expect("a head");
        assert_eq!(body, "body\n---\n", "{text}");
        Value::Object(map)
    }

    #[test]
    fn heads_as_people_write_them() {
        let table = [
            (
                "name: a-b\ndescription: Does: this # not this",
                json!({"name": "a-b", "description": "Does: this"}),
            ),
            ("description: \"a \\\"b\\\" # c\"", json!({"description": "a \"b\" # c"})),
            ("description: 'it''s'  # x", json!({"description": "it's"})),
            (
                "d: >-\n  folded\n  text\ne: |\n  two\n  lines",
                json!({"d": "folded text", "e": "two\nlines"}),
            ),
            ("d: plain text\n  goes on", json!({"d": "plain text goes on"})),
            (
                "metadata:\n  {\n    \"openclaw\":\n      { \"emoji\": \"x\", \"requires\": { \"bins\": [\"a\"], }, },\n  }",
                json!({"metadata": {"openclaw": {"emoji": "x", "requires": {"bins": ["a"]}}}}),
            ),
            (
                "metadata: {openclaw: {always: true}}",
                json!({"metadata": {"openclaw": {"always": true}}}),
            ),
            (
                "metadata:\n  openclaw:\n    os: [linux, darwin]\n    requires:\n      bins:\n        - jq\n        - 'rg'\n    install:\n      - id: brew\n        kind: brew\n      - id: go",
                json!({"metadata": {"openclaw": {"os": ["linux", "darwin"],
                    "requires": {"bins": ["jq", "rg"]},
                    "install": [{"id": "brew", "kind": "brew"}, {"id": "go"}]}}}),
            ),
            ("# remark\n\nname: x\n  \nbroken line\n", json!({"name": "x"})),
            ("", json!({})),
        ];
        for (text, want) in table {
            assert_eq!(read(&format!("---\n{text}\n---\nbody\n---\n")), want, "{text}");
        }
        let windows = head("\u{feff}---\r\nname: w\r\n---\r\nbody").expect("a head");
        assert_eq!((windows.0["name"].as_str(), windows.1), (Some("w"), "body"));
        for none in ["", "name: x\n", "---\nname: x\n", "--- \nname: x\n---\n"] {
            assert!(head(none).is_none(), "{none:?}");
        }
    }

    #[test]
    fn nonsense_is_left_out_and_depth_is_bounded() {
        let mut deep = String::from("---\n");
        for level in 0..100 {
            deep.push_str(&format!("{}k:\n", " ".repeat(level)));
        }
        deep.push_str("---\n");
        let (map, _) = head(&deep).expect("a head");
        assert_eq!(map.len(), 1);
        for odd in ["{", "[", "- a", ": :", "a: {b", "a:\n - - -", "a: [b, 'c]", "a: '", "a: \""] {
            let text = format!("---\n{odd}\n---\n");
            assert!(head(&text).is_some(), "{odd}");
        }
    }
}
