//! `config.patch`: a merge patch laid on the text of the file, with comments, order and `${VAR}`
//! references of everything else kept.
//!
//! Objects merge, `null` removes, arrays of objects with ids merge by id. An array that would
//! lose elements must be named in `replacePaths`, so that a client that saw a part of a list
//! does not cut it down to that part. [`REDACTED`] in place of a value keeps the value.

use super::redact::REDACTED;
use super::table;
use crate::wire::json5::{self, Step};
use serde_json::{Map, Value};

/// The text with the patch on it. The error is a sentence for people.
///
/// # Errors
/// When the patch is no object, loses elements of an array that `replace` does not name, or
/// touches what the text does not hold.
pub fn merge(text: &str, patch: &Value, replace: &[String]) -> Result<String, String> {
    let Value::Object(members) = patch else {
        return Err("the patch must be an object".to_owned());
    };
    let mut edit = Edit { text: text.to_owned(), replace };
    let old = edit.value()?;
    edit.members(members, &old, &mut Vec::new())?;
    Ok(edit.text)
}

struct Edit<'a> {
    text: String,
    replace: &'a [String],
}

impl Edit<'_> {
    fn value(&self) -> Result<Value, String> {
        json5::parse(&self.text)
            .map(|document| document.root.to_value())
            .map_err(|error| error.to_string())
    }

    fn members(
        &mut self,
        members: &Map<String, Value>,
        old: &Value,
        path: &mut Vec<Step>,
    ) -> Result<(), String> {
        for (key, new) in members {
            path.push(Step::Key(key.clone()));
            self.one(new, old.get(key), path)?;
            path.pop();
        }
        Ok(())
    }

    fn one(
        &mut self,
        new: &Value,
        old: Option<&Value>,
        path: &mut Vec<Step>,
    ) -> Result<(), String> {
        match (new, old) {
            (Value::String(text), Some(_)) if text == REDACTED => Ok(()),
            (Value::Null, None) => Ok(()),
            (Value::Null, Some(old)) => {
                self.may_lose(old, path)?;
                self.text = json5::remove(&self.text, path).map_err(|error| error.to_string())?;
                Ok(())
            }
            (Value::Object(new), Some(old @ Value::Object(_))) => self.members(new, old, path),
            (Value::Array(new), Some(Value::Array(old))) => self.array(new, old, path),
            (new, Some(old)) if new == old => Ok(()),
            (new, old) => {
                if let Some(old) = old {
                    self.may_lose(old, path)?;
                }
                self.set(new, path)
            }
        }
    }

    fn set(&mut self, new: &Value, path: &[Step]) -> Result<(), String> {
        let new = without_nulls(new);
        if holds_sentinel(&new) {
            return Err(format!(
                "{}: {REDACTED} stands for a secret that is not in the current file",
                table::shown(path)
            ));
        }
        let json = match &new {
            Value::Object(fields) if fields.len() > 1 => serde_json::to_string_pretty(&new),
            _ => serde_json::to_string(&new),
        };
        self.text = json5::set(&self.text, path, &json.unwrap_or_default())
            .map_err(|error| error.to_string())?;
        Ok(())
    }

    fn array(&mut self, new: &[Value], old: &[Value], path: &mut Vec<Step>) -> Result<(), String> {
        let named = self.names(path);
        let ids = |items: &[Value]| {
            items.iter().map(id_of).collect::<Option<Vec<_>>>().filter(|ids| !ids.is_empty())
        };
        if !named && let (Some(_), Some(old_ids)) = (ids(new), ids(old)) {
            let mut length = old.len();
            for item in new {
                let at = old_ids.iter().position(|id| Some(id) == id_of(item).as_ref());
                path.push(Step::Index(at.unwrap_or(length)));
                self.one(item, at.and_then(|at| old.get(at)), path)?;
                path.pop();
                length += usize::from(at.is_none());
            }
            return Ok(());
        }
        // Where a client was shown no secret, it sends the sentinel back at the same place.
        let restored: Vec<Value> =
            new.iter().enumerate().map(|(at, new)| restored(new, old.get(at))).collect();
        if restored == old {
            return Ok(());
        }
        let loses = old.iter().any(|item| !restored.contains(item));
        if loses && !named {
            return Err(lost(path));
        }
        self.set(&Value::Array(restored), path)
    }

    /// What goes may hold arrays, each of which must be named.
    fn may_lose(&self, old: &Value, path: &mut Vec<Step>) -> Result<(), String> {
        match old {
            Value::Array(_) if !self.names(path) => Err(lost(path)),
            Value::Object(members) => {
                for (key, part) in members {
                    path.push(Step::Key(key.clone()));
                    self.may_lose(part, path)?;
                    path.pop();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// `replacePaths` holds exactly this array; indices are written `[]`.
    fn names(&self, path: &[Step]) -> bool {
        let mut shown = String::new();
        for step in path {
            match step {
                Step::Index(_) => shown.push_str("[]"),
                Step::Key(key) if shown.is_empty() => shown.push_str(key),
                Step::Key(key) => shown.extend([".", key]),
            }
        }
        self.replace.contains(&shown)
    }
}

fn lost(path: &[Step]) -> String {
    let path = table::shown(path);
    format!("the patch would remove elements of the array {path}; name it in replacePaths if so")
}

fn id_of(item: &Value) -> Option<String> {
    item.get("id").and_then(Value::as_str).map(str::to_owned)
}

fn restored(new: &Value, old: Option<&Value>) -> Value {
    match (new, old) {
        (Value::String(text), Some(old)) if text == REDACTED => old.clone(),
        (Value::Object(new), Some(Value::Object(old))) => Value::Object(
            new.iter().map(|(key, part)| (key.clone(), restored(part, old.get(key)))).collect(),
        ),
        (Value::Array(new), Some(Value::Array(old))) => Value::Array(
            new.iter().enumerate().map(|(at, part)| restored(part, old.get(at))).collect(),
        ),
        (new, _) => new.clone(),
    }
}

fn holds_sentinel(value: &Value) -> bool {
    match value {
        Value::String(text) => text == REDACTED,
        Value::Array(items) => items.iter().any(holds_sentinel),
        Value::Object(members) => members.values().any(holds_sentinel),
        _ => false,
    }
}

/// In a merge patch a `null` says "no such key", also where nothing was before.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, part)| !part.is_null());
            Value::Object(kept.map(|(key, part)| (key.clone(), without_nulls(part))).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TEXT: &str = "// the gateway\n{\n  b: {x: '${VAR}', y: [1, 2]}, // b\n  a: {\n    list: \
                        [{id: 'm', k: 'secret-1'}, {id: 'n'}],\n  },\n}\n";

    fn merged(patch: Value, replace: &[&str]) -> Result<String, String> {
        let replace: Vec<String> = replace.iter().map(|path| (*path).to_owned()).collect();
        merge(TEXT, &patch, &replace)
    }

    #[test]
    fn everything_else_stays_as_it_was_written() {
        assert_eq!(merged(json!({}), &[]).unwrap(), TEXT);
        assert_eq!(merged(json!({"b": {"x": REDACTED}, "c": null}), &[]).unwrap(), TEXT);
        let after = merged(json!({"b": {"z": 3}, "a": {"list": [{"id": "n", "k": 1}]}}), &[]);
        assert_eq!(
            after.unwrap(),
            TEXT.replace("[1, 2]}", "[1, 2], z: 3}").replace("{id: 'n'}", "{id: 'n', k: 1}")
        );
        let added = merged(json!({"a": {"list": [{"id": "o"}]}}), &[]).unwrap();
        assert!(added.contains("{id: 'm', k: 'secret-1'}, {id: 'n'}, {\"id\":\"o\"}]"), "{added}");
    }

    #[test]
    fn elements_are_lost_only_where_that_was_said() {
        for (patch, path) in [
            (json!({"b": {"y": [1]}}), "b.y"),
            (json!({"b": {"y": null}}), "b.y"),
            (json!({"b": null}), "b.y"),
            (json!({"b": 7}), "b.y"),
            (json!({"a": {"list": []}}), "a.list"),
        ] {
            let error = merged(patch.clone(), &[]).unwrap_err();
            assert!(error.contains(&format!("array {path};")), "{error}");
            assert!(merged(patch, &[path]).is_ok(), "{path}");
        }
        assert!(merged(json!({"b": {"y": [2, 1, 3]}}), &[]).is_ok(), "nothing is lost");
        assert!(merged(json!([]), &[]).is_err());
        assert!(merged(json!({"new": {"k": REDACTED}}), &[]).is_err());
        let nulls = merged(json!({"new": {"k": null, "l": 1}}), &[]).unwrap();
        assert!(nulls.contains("new: {\"l\":1}"), "{nulls}");
    }
}
