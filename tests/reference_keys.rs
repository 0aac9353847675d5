//! The whole configuration reference is accepted: every key path of the reference's own schema is
//! known here, and every value that its schema takes is taken, or refused for a reason that the
//! table of keys names.

use openclaw_gateway::config::{Flags, Paths, Source, load};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

const LIST: &str = include_str!("data/reference_keys.txt");

/// Values that the reference takes and we do not, each with what we want instead.
const STRICTER: [(&str, &str); 6] = [
    ("gateway.auth.rateLimit.", "a whole number from 1 to"),
    ("models.providers.*.maxTokens", "a whole number of at least 1"),
    ("models.providers.*.models[].contextWindow", "a whole number of at least 1"),
    ("models.providers.*.models[].maxTokens", "a whole number of at least 1"),
    // What a secret may be long is bounded by what a small host has.
    ("secrets.providers.*.max", "a whole number from 1 to"),
    ("tools.web.fetch.cacheTtlMinutes", "a whole number from 0 to 1440"),
];

/// A file in memory, and nothing else.
struct Text(String);

impl Source for Text {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(path.ends_with("openclaw.json").then(|| self.0.clone().into_bytes()))
    }
    fn digest(&self, _: &[u8]) -> String {
        String::new()
    }
}

fn rows() -> impl Iterator<Item = (&'static str, Vec<Value>)> {
    LIST.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (path, values) = line.split_once('\t').expect("two columns");
        (path, serde_json::from_str(values).expect("JSON"))
    })
}

/// A document with this value at this path, and the path as issues write it.
fn document(pattern: &str, value: &Value) -> (Value, String) {
    let mut value = value.clone();
    let mut shown = String::new();
    let parts: Vec<String> = pattern.replace("[]", ".[]").split('.').map(str::to_owned).collect();
    for part in &parts {
        match part.as_str() {
            "[]" => shown.push_str("[0]"),
            "*" => shown.push_str(".x"),
            name if shown.is_empty() => shown.push_str(name),
            name => shown.extend([".", name]),
        }
    }
    for part in parts.iter().rev() {
        value = match part.as_str() {
            "[]" => json!([value]),
            "*" => json!({"x": value}),
            name => Value::Object(Map::from_iter([(name.to_owned(), value)])),
        };
    }
    (value, shown)
}

fn issues(document: &Value) -> Vec<(String, String)> {
    let env = BTreeMap::from([("HOME".to_owned(), "/h".to_owned())]);
    let paths = Paths::resolve(&env, &Flags::default()).expect("paths");
    match load(&Text(document.to_string()), &env, &paths) {
        Ok(_) => Vec::new(),
        Err(error) => error.issues.into_iter().map(|issue| (issue.path, issue.message)).collect(),
    }
}

#[test]
fn no_path_of_the_reference_is_unknown_and_no_value_of_it_mistyped() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (pattern, mut values) in rows() {
        count += 1;
        if values.is_empty() {
            values.push(if pattern.ends_with("[]") { json!({}) } else { json!(null) });
        }
        let composite = values == [json!(null)];
        for value in values {
            let (document, path) = document(pattern, &value);
            for (at, what) in issues(&document) {
                let unknown = what.starts_with("unknown key") && path.starts_with(&at);
                let typed = what.starts_with("expected") && at == path && !composite;
                let stricter = STRICTER
                    .iter()
                    .any(|(start, want)| pattern.starts_with(start) && what.contains(want));
                if unknown || typed && !stricter {
                    wrong.push(format!("{pattern} = {value}: {at}: {what}"));
                }
            }
        }
    }
    assert!(count > 1_900, "{count} paths");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn each_key_without_effect_stands_in_the_readme_with_its_reason() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    let table = openclaw_gateway::config::table::markdown();
    let (_, rest) = readme.split_once("<!-- config-keys -->\n").expect("the table's marker");
    let (shown, _) = rest.split_once("<!-- /config-keys -->").expect("the table's end");
    assert!(shown == table, "make it anew: .ci/config-keys");
    for (pattern, _) in rows() {
        let key = openclaw_gateway::config::table::row(pattern).expect(pattern);
        let folded = key.pattern.replace("agents.list[]", "agents.entries.*");
        let acted = key.reason().is_empty();
        assert!(acted || table.contains(&format!("`{folded}`")), "{pattern} is not listed");
    }
}
