//! What an exec provider is asked and what it answers: protocol version 1 on its standard input
//! and output. Nothing it says is quoted: it may be a secret.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::config::Secret;
use crate::config::redact::REDACTED;

/// The line on the program's standard input.
pub fn request(provider: &str, ids: &[String]) -> Vec<u8> {
    let mut line =
        json!({"protocolVersion": 1, "provider": provider, "ids": ids}).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// The secret of each id, or why there is none.
pub fn answers(
    output: &[u8],
    ids: &[String],
    json_only: bool,
) -> BTreeMap<String, Result<Secret, String>> {
    let all = |why: &str| ids.iter().map(|id| (id.clone(), Err(why.to_owned()))).collect();
    let Ok(text) = std::str::from_utf8(output) else {
        return all("its output is not UTF-8");
    };
    let map = match serde_json::from_str::<Value>(text.trim()) {
        Ok(Value::Object(map)) => map,
        _ if !json_only && ids.len() == 1 => {
            let one = usable(text.trim_end_matches(['\r', '\n']));
            return ids.iter().map(|id| (id.clone(), one.clone())).collect();
        }
        _ if text.trim().is_empty() => return all("it wrote nothing"),
        _ => return all("its output is not a JSON object"),
    };
    if map.get("protocolVersion").and_then(Value::as_u64) != Some(1) {
        return all("its output has no protocolVersion 1");
    }
    let Some(values) = map.get("values").and_then(Value::as_object) else {
        return all("its output has no object values");
    };
    let errors = map.get("errors").and_then(Value::as_object);
    ids.iter().map(|id| (id.clone(), of(id, values, errors))).collect()
}

fn of(
    id: &str,
    values: &Map<String, Value>,
    errors: Option<&Map<String, Value>>,
) -> Result<Secret, String> {
    if let Some(error) = errors.and_then(|errors| errors.get(id)) {
        // Only the documented codes are said; a text of its own may hold anything.
        let code = error.get("code").and_then(Value::as_str);
        let known = ["NOT_FOUND", "AMBIGUOUS_DUPLICATE_KEY"];
        return Err(match known.into_iter().find(|known| code == Some(known)) {
            Some(code) => format!("it answered {code}"),
            None => "it answered an error".to_owned(),
        });
    }
    match values.get(id) {
        Some(Value::String(text)) => usable(text),
        Some(_) => Err("its value is not a string".to_owned()),
        None => Err("it gave no value for the id".to_owned()),
    }
}

/// Empty texts and what only stands for a secret are none.
pub fn usable(text: &str) -> Result<Secret, String> {
    if text.trim().is_empty() {
        return Err("the value is empty".to_owned());
    }
    if text.trim() == REDACTED {
        return Err(format!("the value is the placeholder {REDACTED}"));
    }
    Ok(Secret::new(text.to_owned()))
}

/// Any bytes as a program's output and as a file of secrets: every id has an answer, and no
/// reason quotes them.
pub fn fuzz(data: &[u8]) {
    let ids = ["a".to_owned(), "b/c#d".to_owned()];
    for json_only in [true, false] {
        for asked in [&ids[..], ids.get(..1).unwrap_or_default()] {
            let found = answers(data, asked, json_only);
            assert_eq!(found.len(), asked.len());
            for answer in found.into_values() {
                match answer {
                    Ok(secret) => assert!(!secret.expose().trim().is_empty()),
                    Err(why) => assert!(why.len() < 80, "{why}"),
                }
            }
        }
    }
    if let Ok(document) = serde_json::from_slice::<Value>(data) {
        let text = String::from_utf8_lossy(data);
        for pointer in ["/a", "/a/0/b", "/~0~1", text.as_ref()] {
            let _ = super::reference::at_pointer(&document, pointer);
            let _ = super::SecretRef::of(&document);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn one(output: &str, json_only: bool) -> Result<String, String> {
        let found = answers(output.as_bytes(), &ids(&["k"]), json_only);
        let answer = found.get("k").cloned().expect("every id has an answer");
        answer.map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn the_protocol() {
        let text = String::from_utf8(request("vault", &ids(&["a", "b#c"]))).expect("UTF-8");
        let sent: Value = serde_json::from_str(&text).expect("JSON");
        let want = json!({"protocolVersion": 1, "provider": "vault", "ids": ["a", "b#c"]});
        assert_eq!(sent, want);
        let good = r#"{"protocolVersion":1,"values":{"k":"s3"}}"#;
        assert_eq!(one(good, true), Ok("s3".to_owned()));
        for (output, part) in [
            ("", "wrote nothing"),
            ("plain", "not a JSON object"),
            ("[1]", "not a JSON object"),
            (r#"{"values":{"k":"x"}}"#, "protocolVersion"),
            (r#"{"protocolVersion":2,"values":{"k":"x"}}"#, "protocolVersion"),
            (r#"{"protocolVersion":1}"#, "values"),
            (r#"{"protocolVersion":1,"values":{}}"#, "no value"),
            (r#"{"protocolVersion":1,"values":{"k":1}}"#, "not a string"),
            (r#"{"protocolVersion":1,"values":{"k":" "}}"#, "empty"),
            (r#"{"protocolVersion":1,"values":{"k":"__OPENCLAW_REDACTED__"}}"#, "placeholder"),
            (
                r#"{"protocolVersion":1,"values":{"k":"x"},"errors":{"k":{"code":"NOT_FOUND"}}}"#,
                "NOT_FOUND",
            ),
            (r#"{"protocolVersion":1,"values":{},"errors":{"k":{"code":"x canary"}}}"#, "an error"),
        ] {
            let why = one(output, true).expect_err(output);
            assert!(why.contains(part) && !why.contains("canary"), "{output}: {why}");
        }
        let binary = answers(b"\xff", &ids(&["a"]), false);
        assert!(binary.get("a").is_some_and(Result::is_err));
    }

    #[test]
    fn plain_output_is_one_secret() {
        assert_eq!(one("s3 cret\r\n", false), Ok("s3 cret".to_owned()));
        assert_eq!(one("12345\n", false), Ok("12345".to_owned()));
        assert!(one("\n", false).is_err());
        let object = r#"{"protocolVersion":1,"values":{"k":"s3"}}"#;
        assert_eq!(one(object, false), Ok("s3".to_owned()));
        let two = answers(b"plain", &ids(&["a", "b"]), false);
        assert!(two.values().all(Result::is_err));
    }
}
