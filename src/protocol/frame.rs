//! Frames: reading requests, writing responses and events.

use super::error::ErrorShape;
use super::params::{Field, Kind, check, may, must};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A request frame: `{type:"req", id, method, params?, traceparent?, expectedProfileId?}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Any non-empty string; echoed in the response.
    pub id: String,
    /// Method name.
    pub method: String,
    /// Parameters; absent means `{}`.
    pub params: Map<String, Value>,
}

/// Why a text message is not a request.
#[derive(Debug, Clone, PartialEq)]
pub enum BadFrame {
    /// Not JSON.
    Malformed,
    /// JSON, but not a request frame: the id to answer under and what is wrong.
    Invalid {
        /// The frame's own id, or the literal `invalid`.
        id: String,
        /// The complaint, without the leading `invalid request frame: `.
        what: String,
    },
}

/// Characters of a request id, and of a method name.
const ID: usize = 1024;
const METHOD: usize = 256;

const FRAME: &[Field] = &[
    must("type", Kind::OneOf(&["req"])),
    must("id", Kind::Text(ID)),
    must("method", Kind::Text(METHOD)),
    may("params", Kind::Any),
    may("traceparent", Kind::Str),
    may("expectedProfileId", Kind::Str),
];

/// A frame that is right at first sight: what nearly every frame is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    r#type: Req,
    id: String,
    method: String,
    params: Option<Map<String, Value>>,
    #[serde(default, rename = "traceparent")]
    _traceparent: String,
    #[serde(default, rename = "expectedProfileId")]
    _expected_profile_id: String,
}

#[derive(Deserialize)]
enum Req {
    #[serde(rename = "req")]
    Req,
}

/// Reads a request.
///
/// # Errors
/// See [`BadFrame`].
pub fn parse(text: &str) -> Result<Request, BadFrame> {
    if let Ok(plain) = serde_json::from_str::<Plain>(text) {
        let Plain { r#type: Req::Req, id, method, params, .. } = plain;
        let fits = |text: &str, most: usize| !text.is_empty() && text.chars().count() <= most;
        if fits(&id, ID) && fits(&method, METHOD) {
            return Ok(Request { id, method, params: params.unwrap_or_default() });
        }
    }
    look_closer(text)
}

/// Says what is wrong with a frame, in the schema's words.
fn look_closer(text: &str) -> Result<Request, BadFrame> {
    let value: Value = serde_json::from_str(text).map_err(|_| BadFrame::Malformed)?;
    let Value::Object(mut frame) = value else {
        return Err(BadFrame::Invalid {
            id: "invalid".to_owned(),
            what: "must be object".to_owned(),
        });
    };
    let id = match frame.get("id") {
        Some(Value::String(id)) if !id.is_empty() => id.clone(),
        _ => "invalid".to_owned(),
    };
    if let Err(what) = check(&frame, FRAME, false) {
        return Err(BadFrame::Invalid { id, what });
    }
    let method = match frame.remove("method") {
        Some(Value::String(method)) => method,
        _ => String::new(),
    };
    let params = match frame.remove("params") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => {
            let what = "at /params: must be object".to_owned();
            return Err(BadFrame::Invalid { id, what });
        }
    };
    Ok(Request { id, method, params })
}

/// Appends a successful response around an already serialised payload.
pub fn write_ok(out: &mut Vec<u8>, id: &str, payload: &[u8]) {
    out.extend_from_slice(br#"{"type":"res","id":"#);
    write_string(out, id);
    out.extend_from_slice(br#","ok":true,"payload":"#);
    out.extend_from_slice(payload);
    out.push(b'}');
}

/// Appends an error response.
pub fn write_error(out: &mut Vec<u8>, id: &str, error: &ErrorShape) {
    out.extend_from_slice(br#"{"type":"res","id":"#);
    write_string(out, id);
    out.extend_from_slice(br#","ok":false,"error":"#);
    write_json(out, error);
    out.push(b'}');
}

/// Appends an event around an already serialised payload; `state` is `{presence, health}`.
pub fn write_event(
    out: &mut Vec<u8>,
    event: &str,
    payload: &[u8],
    seq: Option<u64>,
    state: Option<(u64, u64)>,
) {
    out.extend_from_slice(br#"{"type":"event","event":"#);
    write_string(out, event);
    out.extend_from_slice(br#","payload":"#);
    out.extend_from_slice(payload);
    if let Some(seq) = seq {
        out.extend_from_slice(br#","seq":"#);
        write_json(out, &seq);
    }
    if let Some((presence, health)) = state {
        out.extend_from_slice(br#","stateVersion":{"presence":"#);
        write_json(out, &presence);
        out.extend_from_slice(br#","health":"#);
        write_json(out, &health);
        out.push(b'}');
    }
    out.push(b'}');
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    write_json(out, &text);
}

/// Appends a value as JSON text. Values of ours have string keys and finite numbers, so that
/// serialising into memory cannot fail; if it did, `null` keeps the frame well-formed.
pub fn write_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

/// Feeds arbitrary bytes to the frame reader; whatever it accepts must survive a round trip.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(request) = parse(text) {
        assert!(!request.id.is_empty() && !request.method.is_empty());
        let mut again = Vec::new();
        write_ok(&mut again, &request.id, b"{}");
        let back: Value = serde_json::from_slice(&again).expect("our own frame is JSON");
        assert_eq!(back.get("id").and_then(Value::as_str), Some(request.id.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read() {
        let request = parse(r#"{"type":"req","id":"1","method":"health"}"#).unwrap();
        assert_eq!(request.method, "health");
        assert!(request.params.is_empty());
    }

    #[test]
    fn what_is_not_a_request_is_named() {
        assert_eq!(parse("{"), Err(BadFrame::Malformed));
        let table = [
            ("[]", "invalid", "must be object"),
            (r#"{"type":"event","event":"x"}"#, "invalid", "at /type"),
            (r#"{"type":"req","id":"7","method":"h","bogus":1}"#, "7", "unexpected property"),
            (r#"{"type":"req","id":"","method":"h"}"#, "invalid", "at /id"),
            (r#"{"type":"req","id":"7","method":"h","params":[]}"#, "7", "at /params"),
        ];
        for (text, want_id, want) in table {
            let Err(BadFrame::Invalid { id, what }) = parse(text) else { panic!("{text}") };
            assert_eq!(id, want_id, "{text}");
            assert!(what.contains(want), "{text}: {what}");
        }
    }

    #[test]
    fn both_ways_of_reading_agree() {
        for text in [
            r#"{"type":"req","id":"1","method":"health"}"#,
            r#"{"type":"req","id":"1","method":"h","params":null}"#,
            r#"{"type":"req","id":"1","method":"h","params":{"a":[1,{"b":null}]}}"#,
            r#"{"type":"req","id":"1","method":"h","traceparent":"x","expectedProfileId":"y"}"#,
            r#"{"type":"req","id":"1","method":"h","params":3}"#,
            r#"{"type":"req","id":"1","id":"2","method":"h"}"#,
            r#"{"type":"req","id":"1","method":"h","traceparent":null}"#,
            r#"{"type":"req","id":1,"method":"h"}"#,
            r#"{"type":"res","id":"1","method":"h"}"#,
        ] {
            assert_eq!(parse(text), look_closer(text), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        let deep = format!(
            r#"{{"type":"req","id":"1","method":"h","params":{{"a":{}{}}}}}"#,
            "[".repeat(5000),
            "]".repeat(5000)
        );
        assert_eq!(parse(&deep), Err(BadFrame::Malformed));
    }

    #[test]
    fn events_carry_seq_and_state_version() {
        let mut out = Vec::new();
        write_event(&mut out, "tick", br#"{"ts":1}"#, Some(7), Some((2, 3)));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"type":"event","event":"tick","payload":{"ts":1},"seq":7,"stateVersion":{"presence":2,"health":3}}"#
        );
    }
}
