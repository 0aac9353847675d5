//! Parameter checks: a small declarative schema and the sentences the reference answers with.
//!
//! Sentences: `must have required property 'x'`, `at root: unexpected property 'y'`,
//! `at /path: must be string`, joined with `; ` in the order found.

use serde_json::{Map, Value};

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Anything.
    Any,
    /// A string; may be empty.
    Str,
    /// A string of at least one character and at most so many.
    Text(usize),
    /// True or false.
    Bool,
    /// An integer in a closed range.
    Int(i64, i64),
    /// Any number.
    Num,
    /// Any object.
    Obj,
    /// An array of strings.
    Strings,
    /// Any array.
    Arr,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// An object with these fields and no others.
    Fields(&'static [Field]),
    /// `null` or the inner kind.
    Nullable(&'static Kind),
}

/// One property.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name on the wire.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
}

/// A property that must be there.
pub const fn must(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: true }
}

/// A property that may be absent.
pub const fn may(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: false }
}

/// Checks an object against its fields. `open` tolerates unknown properties.
///
/// # Errors
/// All complaints, joined with `; `.
pub fn check(object: &Map<String, Value>, fields: &[Field], open: bool) -> Result<(), String> {
    let mut found = Vec::new();
    check_fields(object, fields, open, "", &mut found);
    if found.is_empty() { Ok(()) } else { Err(found.join("; ")) }
}

fn at(path: &str) -> String {
    if path.is_empty() { "at root: ".to_owned() } else { format!("at {path}: ") }
}

fn check_fields(
    object: &Map<String, Value>,
    fields: &[Field],
    open: bool,
    path: &str,
    found: &mut Vec<String>,
) {
    for field in fields {
        match object.get(field.name) {
            None if field.required => {
                let place = if path.is_empty() { String::new() } else { at(path) };
                found.push(format!("{place}must have required property '{}'", field.name));
            }
            None => {}
            Some(value) => {
                check_value(value, field.kind, &format!("{path}/{}", field.name), found);
            }
        }
    }
    if !open {
        for name in object.keys().filter(|name| fields.iter().all(|field| field.name != *name)) {
            let name: String = name.chars().take(64).collect();
            found.push(format!("{}unexpected property '{name}'", at(path)));
        }
    }
}

fn check_value(value: &Value, kind: Kind, path: &str, found: &mut Vec<String>) {
    let mut fail = |what: String| found.push(format!("{}{what}", at(path)));
    match (kind, value) {
        (Kind::Any, _)
        | (Kind::Str, Value::String(_))
        | (Kind::Bool, Value::Bool(_))
        | (Kind::Num, Value::Number(_))
        | (Kind::Obj, Value::Object(_))
        | (Kind::Arr, Value::Array(_))
        | (Kind::Nullable(_), Value::Null) => {}
        (Kind::Nullable(inner), value) => check_value(value, *inner, path, found),
        (Kind::Text(max), Value::String(text)) => {
            if text.is_empty() {
                fail("must NOT have fewer than 1 characters".to_owned());
            } else if text.len() > max && text.chars().count() > max {
                fail(format!("must NOT have more than {max} characters"));
            }
        }
        (Kind::Int(min, max), Value::Number(number)) => match number.as_i64() {
            None => fail("must be integer".to_owned()),
            Some(n) if n < min => fail(format!("must be >= {min}")),
            Some(n) if n > max => fail(format!("must be <= {max}")),
            Some(_) => {}
        },
        (Kind::Strings, Value::Array(items)) => {
            for (n, item) in items.iter().enumerate().filter(|(_, item)| !item.is_string()) {
                let _ = item;
                found.push(format!("at {path}/{n}: must be string"));
            }
        }
        (Kind::OneOf(values), Value::String(text)) => {
            if !values.contains(&text.as_str()) {
                fail("must be equal to one of the allowed values".to_owned());
            }
        }
        (Kind::Fields(fields), Value::Object(object)) => {
            check_fields(object, fields, false, path, found);
        }
        (kind, _) => fail(format!("must be {}", kind.name())),
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Str | Self::Text(_) | Self::OneOf(_) => "string",
            Self::Bool => "boolean",
            Self::Int(..) => "integer",
            Self::Num => "number",
            Self::Obj | Self::Fields(_) => "object",
            Self::Strings | Self::Arr => "array",
            Self::Nullable(inner) => inner.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[Field] = &[
        must("key", Kind::Text(4)),
        may("limit", Kind::Int(1, 10)),
        may("client", Kind::Fields(&[must("id", Kind::OneOf(&["a", "b"]))])),
    ];

    fn complaint(json: &str) -> String {
        let Value::Object(object) = serde_json::from_str(json).unwrap() else { panic!() };
        check(&object, FIELDS, false).err().unwrap_or_default()
    }

    #[test]
    fn sentences_are_the_references() {
        assert_eq!(complaint(r#"{"key":"k"}"#), "");
        assert_eq!(complaint("{}"), "must have required property 'key'");
        assert_eq!(complaint(r#"{"key":"k","x":1}"#), "at root: unexpected property 'x'");
        assert_eq!(complaint(r#"{"key":"k","limit":0}"#), "at /limit: must be >= 1");
        assert_eq!(complaint(r#"{"key":"k","limit":1.5}"#), "at /limit: must be integer");
        assert_eq!(
            complaint(r#"{"key":"longer"}"#),
            "at /key: must NOT have more than 4 characters"
        );
        assert_eq!(
            complaint(r#"{"key":"k","client":{"id":"c"}}"#),
            "at /client/id: must be equal to one of the allowed values"
        );
        assert_eq!(
            complaint(r#"{"key":1,"client":{}}"#),
            "at /key: must be string; at /client: must have required property 'id'"
        );
    }
}
