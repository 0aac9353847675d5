//! A SecretRef: where a secret is, in the grammar that the reference documents.

use serde_json::Value;

/// Who is asked for the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefSource {
    /// A variable of the environment.
    Env,
    /// A file of `secrets.providers`.
    File,
    /// A program of `secrets.providers`.
    Exec,
    /// The shared store of the reference, which this gateway does not have.
    Store,
}

impl RefSource {
    /// The word of `source`.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "env" => Self::Env,
            "file" => Self::File,
            "exec" => Self::Exec,
            "store" => Self::Store,
            _ => return None,
        })
    }

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::File => "file",
            Self::Exec => "exec",
            Self::Store => "store",
        }
    }
}

/// `{ source, provider, id }`, its words checked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretRef {
    /// Who is asked.
    pub source: RefSource,
    /// Name in `secrets.providers`; `None` takes the default of its source.
    pub provider: Option<String>,
    /// Name of a variable, JSON pointer (or `value`), or what the program is asked for.
    pub id: String,
}

impl SecretRef {
    /// Reads an object.
    ///
    /// # Errors
    /// A sentence that names the part; it never quotes one, which may be the secret itself.
    pub fn of(value: &Value) -> Result<Self, String> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let Some(source) = text("source").and_then(RefSource::parse) else {
            return Err("expected a string, or { source: \"env\" | \"file\" | \"exec\", \
                        provider: \"default\", id: \"NAME\" }"
                .to_owned());
        };
        let provider = match value.get("provider") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) if is_provider(name) => Some(name.clone()),
            Some(_) => {
                return Err("SecretRef: expected provider to be a name such as vault: a small \
                            letter, then small letters, digits, `-` and `_`, at most 64"
                    .to_owned());
            }
        };
        let id = text("id").unwrap_or_default();
        let what = match source {
            RefSource::Env if !is_variable(id) => {
                "SecretRef: expected id to be the name of an environment variable in capitals"
            }
            RefSource::Store if !is_variable(id) => {
                "SecretRef: expected id to be the name of a stored secret in capitals"
            }
            RefSource::File if id != SINGLE && !is_pointer(id) => {
                "SecretRef: expected id to be a JSON pointer such as /providers/openai/apiKey, \
                 or \"value\""
            }
            RefSource::Exec if !is_exec_id(id) => {
                "SecretRef: expected id to be 1 to 256 letters, digits and any of `. _ : / # -`, \
                 without the path parts `.` and `..`"
            }
            _ => return Ok(Self { source, provider, id: id.to_owned() }),
        };
        Err(what.to_owned())
    }

    /// The shorthand `$NAME` of a text that stands where a secret may stand; `${NAME}` has been
    /// substituted before.
    pub fn shorthand(text: &str) -> Option<Self> {
        let name = text.strip_prefix('$').filter(|name| is_variable(name))?;
        Some(Self { source: RefSource::Env, provider: None, id: name.to_owned() })
    }
}

/// The id of a file that holds one secret and nothing else.
pub const SINGLE: &str = "value";

/// `^[a-z][a-z0-9_-]{0,63}$`.
pub fn is_provider(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
}

/// `^[A-Z][A-Z0-9_]{0,127}$`.
pub fn is_variable(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// `^[A-Za-z0-9][A-Za-z0-9._:/#-]{0,255}$`, no part between slashes `.` or `..`.
fn is_exec_id(id: &str) -> bool {
    id.len() <= 256
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || "._:/#-".contains(c))
        && !id.split('/').any(|part| matches!(part, "." | ".."))
}

/// An absolute JSON pointer of RFC 6901: `~` only as `~0` and `~1`; at most 1024 bytes.
fn is_pointer(id: &str) -> bool {
    let mut rest = id;
    if !id.starts_with('/') || id.len() > 1024 || id.chars().any(char::is_control) {
        return false;
    }
    while let Some((_, after)) = rest.split_once('~') {
        if !after.starts_with(['0', '1']) {
            return false;
        }
        rest = after;
    }
    true
}

/// The text that a pointer names in a file's document.
///
/// # Errors
/// A reason that quotes nothing of the document.
pub fn at_pointer(document: &Value, pointer: &str) -> Result<String, &'static str> {
    match document.pointer(pointer).filter(|_| is_pointer(pointer)) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err("what stands at the pointer is not a string"),
        None => Err("nothing stands at the pointer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_have_the_documented_grammar() {
        let good = |source: &str, id: &str| {
            SecretRef::of(&json!({"source": source, "provider": "p", "id": id})).is_ok()
        };
        for (source, yes, no) in [
            ("env", vec!["A", "OPENAI_API_KEY", "A1_"], vec!["", "a", "1A", "_A", "A-B", "A B"]),
            ("file", vec!["/a/b", "/", "/a~0~1", "value"], vec!["", "a", "/~", "/~2", "/a\u{7}"]),
            ("exec", vec!["a", "a/b#c", "op:x.y-z_1"], vec!["", "/a", "a/../b", "./a", "a/.", "ä"]),
        ] {
            for id in yes {
                assert!(good(source, id), "{source} {id}");
            }
            for id in no {
                assert!(!good(source, id), "{source} {id}");
            }
        }
        assert!(!good("env", &"A".repeat(129)) && good("env", &"A".repeat(128)));
        assert!(!good("exec", &"a".repeat(257)) && good("exec", &"a".repeat(256)));
        assert!(!good("file", &format!("/{}", "a".repeat(1024))));
        let provider = |name: &str| {
            SecretRef::of(&json!({"source": "env", "provider": name, "id": "A"})).is_ok()
        };
        assert!(provider("a-b_1") && !provider("A") && !provider("1") && !provider(""));
        assert!(provider(&"a".repeat(64)) && !provider(&"a".repeat(65)));
        assert!(SecretRef::shorthand("$A_1").is_some() && SecretRef::shorthand("$a").is_none());
        assert!(SecretRef::shorthand("A").is_none() && SecretRef::shorthand("$").is_none());
    }

    #[test]
    fn pointers_follow_rfc_6901() {
        let document = json!({"a": {"b/c": "one", "~": "two"}, "": "three", "l": ["x"], "n": 1});
        for (pointer, want) in [
            ("/a/b~1c", Ok("one")),
            ("/a/~0", Ok("two")),
            ("/", Ok("three")),
            ("/l/0", Ok("x")),
            ("/n", Err("what stands at the pointer is not a string")),
            ("/l/1", Err("nothing stands at the pointer")),
            ("/a/~", Err("nothing stands at the pointer")),
            ("", Err("nothing stands at the pointer")),
        ] {
            let got = at_pointer(&document, pointer);
            assert_eq!(got.as_deref().map_err(|error| *error), want, "{pointer}");
        }
    }
}
