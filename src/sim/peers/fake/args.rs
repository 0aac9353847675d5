//! Parameters of a request, however they came: query, form, JSON, multipart.

use crate::wire::url::query_pairs;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A file in a multipart body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its name.
    pub name: String,
    /// Its media type, as announced.
    pub content_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Parameters by name.
#[derive(Debug, Clone, Default)]
pub struct Args {
    /// Values; those of forms are strings.
    pub values: Map<String, Value>,
    /// Files.
    pub files: BTreeMap<String, Upload>,
    /// The body is not what its type says.
    pub malformed: bool,
}

impl Args {
    /// From the query and the body.
    pub fn read(query: &str, content_type: &str, body: &[u8]) -> Self {
        let mut args = Self::default();
        args.pairs(query);
        let (kind, options) = content_type.split_once(';').unwrap_or((content_type, ""));
        match kind.trim().to_ascii_lowercase().as_str() {
            _ if body.is_empty() => {}
            "application/json" => match serde_json::from_slice(body) {
                Ok(Value::Object(object)) => args.values.extend(object),
                Ok(other) => {
                    args.values.insert("".to_owned(), other);
                }
                Err(_) => args.malformed = true,
            },
            "application/x-www-form-urlencoded" => match std::str::from_utf8(body) {
                Ok(text) => args.pairs(text),
                Err(_) => args.malformed = true,
            },
            "multipart/form-data" => args.multipart(options, body),
            _ => args.malformed = true,
        }
        args
    }

    fn pairs(&mut self, text: &str) {
        match query_pairs(text) {
            Some(pairs) => {
                self.values.extend(pairs.into_iter().map(|(name, value)| (name, value.into())));
            }
            None => self.malformed = true,
        }
    }

    fn multipart(&mut self, options: &str, body: &[u8]) {
        let boundary = options.split(';').find_map(|option| {
            let (name, value) = option.trim().split_once('=')?;
            name.eq_ignore_ascii_case("boundary").then(|| value.trim_matches('"'))
        });
        let Some(boundary) = boundary else { return self.malformed = true };
        let line = format!("\r\n--{boundary}");
        // The first one has no line end before it.
        let whole = [b"\r\n", body].concat();
        let mut rest = whole.as_slice();
        let mut begun = false;
        loop {
            let Some(at) = find(rest, line.as_bytes()) else { return self.malformed = true };
            if begun && self.part(&rest[..at]).is_none() {
                return self.malformed = true;
            }
            begun = true;
            rest = &rest[at + line.len()..];
            if rest.starts_with(b"--") {
                return;
            }
        }
    }

    /// One part, from the line end behind its boundary.
    fn part(&mut self, part: &[u8]) -> Option<()> {
        let end = find(part, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&part[..end]).ok()?;
        let bytes = part[end + 4..].to_vec();
        let (mut name, mut file, mut content_type) = (None, None, String::new());
        for line in head.split("\r\n") {
            let Some((header, value)) = line.split_once(':') else { continue };
            if header.eq_ignore_ascii_case("content-disposition") {
                name = quoted(value, "name=");
                file = quoted(value, "filename=");
            } else if header.eq_ignore_ascii_case("content-type") {
                content_type = value.trim().to_owned();
            }
        }
        let name = name?;
        match file {
            Some(file) => {
                self.files.insert(name, Upload { name: file, content_type, bytes });
            }
            None => {
                self.values.insert(name, String::from_utf8(bytes).ok()?.into());
            }
        }
        Some(())
    }

    /// A text, or a number as text.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.values.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// An integer, or a text that is one.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.values.get(name)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// True when it says so.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.text(name).as_deref(), Some("true" | "True" | "1"))
    }

    /// Structure: itself, or the JSON that a text holds; null where there is none.
    pub fn value(&self, name: &str) -> Value {
        match self.values.get(name) {
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
            Some(value) => value.clone(),
            None => Value::Null,
        }
    }

    /// All values, for the record.
    pub fn all(&self) -> Value {
        Value::Object(self.values.clone())
    }
}

fn quoted(value: &str, name: &str) -> Option<String> {
    // Behind a semicolon, so that `name=` is not found in `filename=`.
    let begins = |at: &usize| value[..*at].trim_end().ends_with(';');
    let at = value.match_indices(name).map(|(at, _)| at).find(begins)?;
    let rest = &value[at + name.len()..];
    match rest.strip_prefix('"') {
        Some(rest) => Some(rest.split('"').next().unwrap_or_default().to_owned()),
        None => Some(rest.split(';').next().unwrap_or_default().trim().to_owned()),
    }
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_in_four_ways() {
        let form = Args::read("a=1", "application/x-www-form-urlencoded", b"b=x+y&c=%7B%22d%22:2}");
        assert_eq!((form.int("a"), form.text("b").as_deref()), (Some(1), Some("x y")));
        assert_eq!(form.value("c")["d"], 2);
        let json = Args::read("", "application/json; charset=utf-8", br#"{"a":1,"f":true}"#);
        assert!(json.flag("f") && json.text("a").as_deref() == Some("1"));
        let body = b"--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\nline\r\n\
            --xx\r\ncontent-disposition:form-data;name=\"f\";filename=\"x.png\"\r\n\
            Content-Type: image/png\r\n\r\n\x01\r\n--x\r\n--xx--\r\n";
        let parts = Args::read("", "multipart/form-data; boundary=\"xx\"", body);
        assert_eq!(parts.text("a").as_deref(), Some("\r\nline"));
        let file = &parts.files["f"];
        assert_eq!((file.name.as_str(), file.bytes.as_slice()), ("x.png", &b"\x01\r\n--x"[..]));
        assert!(!parts.malformed);
        assert!(Args::read("", "multipart/form-data; boundary=xx", b"--xx\r\nabc").malformed);
        assert!(Args::read("", "application/json", b"{").malformed);
        assert!(Args::read("", "text/plain", b"{}").malformed);
    }
}
