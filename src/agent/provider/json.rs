//! JSON written straight into the bytes that will be sent: a conversation of megabytes is
//! copied once, from its turns to the request, with no tree of values in between.

use crate::wire::text::{json_escape, json_string};
use serde_json::Value;

/// A writer at the end of `out`. Commas are its business; keys and values the caller's.
pub(super) struct Json<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Json<'a> {
    /// Writes one object after whatever `out` holds.
    pub(super) fn object_at(out: &'a mut Vec<u8>, fill: impl FnOnce(&mut Json<'_>)) {
        let mut json = Json { out };
        json.out.push(b'{');
        fill(&mut json);
        json.out.push(b'}');
    }

    fn comma(&mut self) {
        // Strings end with a quote, so the last byte tells where we are.
        if !matches!(self.out.last(), Some(b'{' | b'[' | b':')) {
            self.out.push(b',');
        }
    }

    /// A member's name; its value must follow.
    pub(super) fn key(&mut self, name: &str) -> &mut Self {
        self.comma();
        json_string(self.out, name);
        self.out.push(b':');
        self
    }

    /// A string.
    pub(super) fn text(&mut self, text: &str) {
        self.comma();
        json_string(self.out, text);
    }

    /// One string of several pieces.
    pub(super) fn texts<'t>(&mut self, pieces: impl IntoIterator<Item = &'t str>) {
        self.comma();
        self.out.push(b'"');
        for piece in pieces {
            json_escape(self.out, piece);
        }
        self.out.push(b'"');
    }

    /// Any value.
    pub(super) fn value(&mut self, value: &Value) {
        self.comma();
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(&mut *self.out, value);
    }

    /// Text that is JSON already; the caller has checked that.
    pub(super) fn raw(&mut self, json: &str) {
        self.comma();
        self.out.extend_from_slice(json.as_bytes());
    }

    /// `{...}`.
    pub(super) fn object(&mut self, fill: impl FnOnce(&mut Json<'_>)) {
        self.comma();
        Json::object_at(self.out, fill);
    }

    /// `[...]`.
    pub(super) fn array(&mut self, fill: impl FnOnce(&mut Json<'_>)) {
        self.comma();
        self.out.push(b'[');
        fill(&mut Json { out: self.out });
        self.out.push(b']');
    }

    /// A member that is a string.
    pub(super) fn field(&mut self, name: &str, text: &str) {
        self.key(name).text(text);
    }

    /// A member that is a number or a flag.
    pub(super) fn plain(&mut self, name: &str, value: impl Into<Value>) {
        self.key(name).value(&value.into());
    }
}

/// A whole object as bytes.
#[cfg(test)]
pub(super) fn object(fill: impl FnOnce(&mut Json<'_>)) -> Value {
    let mut out = b"head\r\n".to_vec();
    Json::object_at(&mut out, fill);
    serde_json::from_slice(out.strip_prefix(b"head\r\n").unwrap_or_default()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn commas_and_escapes_are_right() {
        let written = object(|w| {
            w.field("a", "x\"\n{");
            w.key("b").array(|w| {
                w.text("[");
                w.object(|_| {});
                w.texts(["data:", "a\"b", "", "{"]);
                w.array(|_| {});
                w.raw("{\"r\":1}");
            });
            w.plain("n", 3);
            w.plain("t", true);
            w.key("v").value(&json!({"k": [1, null]}));
            w.key("o").object(|w| w.plain("f", 0.5));
        });
        let want = json!({
            "a": "x\"\n{", "b": ["[", {}, "data:a\"b{", [], {"r": 1}], "n": 3, "t": true,
            "v": {"k": [1, null]}, "o": {"f": 0.5},
        });
        assert_eq!(written, want);
    }
}
