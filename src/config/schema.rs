//! JSON Schema (draft-07) and hints for forms, generated from the key table: what
//! `config.schema`, `config.schema.lookup` and `openclaw config schema` say. The table is the one
//! place where a key is described, so none of them can lie about what validation accepts.

use super::table::{self, Key, Kind, Reload, Status};
use crate::wire::json5::Step;
use serde_json::{Map, Value, json};

/// The schema of the whole file.
pub fn root() -> Value {
    let mut schema = object("");
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("OpenClaw configuration");
    schema
}

/// `uiHints`: by pattern.
pub fn hints() -> Value {
    Value::Object(table::KEYS.iter().map(|key| (key.pattern.to_owned(), hint(key))).collect())
}

/// `config.schema.lookup`: one key with its children, by path or by pattern; `None` when there
/// is no such key.
pub fn lookup(path: &str) -> Option<Value> {
    let key = find(path)?;
    let children: Vec<Value> = table::children(key.pattern)
        .map(|child| {
            let mut row = json!({
                "key": child.name(), "path": below(path, child),
                "required": child.required,
                "hasChildren": table::children(child.pattern).next().is_some(),
                "reloadKind": reload_kind(child), "hint": hint(child), "hintPath": child.pattern,
            });
            if let Some(kind) = shallow(child).get("type") {
                row["type"] = kind.clone();
            }
            row
        })
        .collect();
    Some(json!({
        "path": path, "schema": shallow(key), "reloadKind": reload_kind(key), "hint": hint(key),
        "hintPath": key.pattern, "children": children,
    }))
}

/// A key's row by its pattern or by a path that it rules.
fn find(path: &str) -> Option<&'static Key> {
    let path = path.trim_matches('.').replace('/', ".");
    if let Some(key) = table::KEYS.iter().find(|key| key.pattern == path) {
        return Some(key);
    }
    // `agents.list.0.id`, as the reference writes indices as well.
    let steps = table::parse_path(&path.replace("[]", "[0]"))?;
    let mut found: Option<&'static Key> = None;
    for step in &steps {
        let parent = found.map_or("", |key| key.pattern);
        found = Some(match step {
            Step::Index(_) => table::element(parent)?,
            Step::Key(name) if name == "*" => {
                table::member(parent, "*").filter(|it| it.name() == "*")?
            }
            Step::Key(name) => table::member(parent, name)
                .or_else(|| name.parse::<usize>().ok().and_then(|_| table::element(parent)))?,
        });
    }
    found
}

fn below(path: &str, child: &Key) -> String {
    if child.name() == "[]" { format!("{path}[]") } else { format!("{path}.{}", child.name()) }
}

/// What an edit causes in mode `hybrid`.
fn reload_kind(key: &Key) -> &'static str {
    match key.reload {
        Reload::Live | Reload::Channel | Reload::Rebind => "hot",
        Reload::Restart => "restart",
    }
}

/// `allowUrl` is `Allow url`.
fn label(key: &Key) -> String {
    let mut out = String::new();
    for c in key.name().chars() {
        if out.is_empty() {
            out.extend(c.to_uppercase());
        } else if c.is_ascii_uppercase() {
            out.push(' ');
            out.push(c.to_ascii_lowercase());
        } else {
            out.push(c);
        }
    }
    out
}

fn hint(key: &Key) -> Value {
    let mut hint = json!({"label": label(key), "advanced": key.pattern.matches('.').count() > 2});
    let help = match key.status {
        Status::Acted => key.help().to_owned(),
        Status::Accepted => format!("Accepted, but not acted on: {}.", key.reason()),
        Status::Moved => format!("Refused: it is {} now.", key.advice),
        Status::Security(_) => format!("Refused until it is acted on: {}.", key.advice),
    };
    if !help.is_empty() {
        hint["help"] = json!(help);
    }
    if key.secret {
        hint["sensitive"] = json!(true);
    }
    hint
}

/// A key without what lies below it.
fn shallow(key: &Key) -> Value {
    let mut schema = match key.kind {
        Kind::Object => json!({"type": "object", "additionalProperties": false}),
        Kind::Map => json!({"type": "object"}),
        Kind::List => json!({"type": "array"}),
        Kind::Open => json!({}),
        Kind::Text => json!({"type": "string"}),
        Kind::Name => json!({"type": "string", "minLength": 1}),
        Kind::Texts | Kind::Origins => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Ids => json!({
            "type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        }),
        Kind::WordList(words) => json!({"type": "array", "items": words_of(words)}),
        Kind::Words(words) => words_of(words),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Integer(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Number => json!({"type": "number", "minimum": 0}),
        Kind::Secret => json!({"anyOf": [{"type": "string"}, {
            "type": "object", "required": ["source", "id"], "additionalProperties": false,
            "properties": {
                "source": words_of(&["env", "file", "exec"]),
                "provider": {"type": "string"}, "id": {"type": "string"},
            },
        }]}),
        Kind::Model => json!({"anyOf": [{"type": "string"}, {
            "type": "object", "additionalProperties": false,
            "properties": {
                "primary": {"type": "string"},
                "fallbacks": {"type": "array", "items": {"type": "string"}},
            },
        }]}),
        Kind::Tools => {
            let names = json!({"type": "array", "items": {"type": "string"}});
            json!({
                "type": "object", "additionalProperties": false,
                "properties": {"allow": names, "alsoAllow": names, "deny": names},
            })
        }
        Kind::HttpUrl => json!({"type": "string", "pattern": "^https?://"}),
        Kind::WsUrl => json!({"type": "string", "pattern": "^wss?://"}),
        Kind::Ipv4 => json!({"type": "string", "format": "ipv4"}),
        Kind::Fingerprint => json!({"type": "string", "pattern": "^([0-9A-Fa-f]{2}:?){32}$|^$"}),
        Kind::HeaderOrFalse => json!({"anyOf": [{"type": "string"}, {"const": false}]}),
    };
    schema["title"] = json!(label(key));
    schema
}

fn words_of(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

/// A key with everything below it.
fn deep(key: &'static Key) -> Value {
    let mut schema = match key.kind {
        Kind::Object | Kind::Map => object(key.pattern),
        _ => shallow(key),
    };
    if matches!(key.kind, Kind::List)
        && let Some(element) = table::element(key.pattern)
    {
        schema["items"] = deep(element);
    }
    schema["title"] = json!(label(key));
    schema
}

/// The keys below a pattern; the depth is that of the table.
fn object(pattern: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut others = json!(false);
    for key in table::children(pattern) {
        if key.name() == "*" {
            others = deep(key);
            continue;
        }
        properties.insert(key.name().to_owned(), deep(key));
        if key.required {
            required.push(key.name());
        }
    }
    let mut schema = json!({
        "type": "object", "properties": properties, "additionalProperties": others,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_by_its_pattern_and_in_the_schema() {
        let schema = root();
        for key in table::KEYS {
            let found = lookup(key.pattern).unwrap_or_else(|| panic!("{}", key.pattern));
            assert_eq!(found["hintPath"], key.pattern);
            let mut node = &schema;
            for part in key.pattern.replace("[]", ".[]").split('.') {
                node = match part {
                    "*" => &node["additionalProperties"],
                    "[]" => &node["items"],
                    name => &node["properties"][name],
                };
            }
            assert_eq!(node["title"], json!(label(key)), "{}", key.pattern);
        }
    }

    #[test]
    fn a_look_up_is_by_path_or_pattern() {
        let port = lookup("gateway.port").expect("a key");
        assert_eq!(port["schema"]["type"], "integer");
        assert_eq!(port["schema"]["maximum"], 65_535);
        assert_eq!(port["children"], json!([]));
        assert!(port["hint"]["help"].as_str().is_some_and(|help| help.contains("port")), "{port}");
        assert_eq!(hints()["gateway.port"], port["hint"]);
        for path in ["models.providers.mine.models[3].id", "models.providers.*.models[].id"] {
            let found = lookup(path).expect(path);
            assert_eq!(found["hintPath"], "models.providers.*.models[].id");
        }
        assert_eq!(lookup("gateway.auth.token").expect("it")["hint"]["sensitive"], true);
        for path in ["no.such", "gateway.prot", "", ".", "gateway.port.x", "[0]"] {
            assert_eq!(lookup(path), None, "{path}");
        }
    }
}
