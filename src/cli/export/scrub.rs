//! Taking out of texts and documents what is nobody else's business.
//!
//! Three rules, the strictest first: a value under a private name goes; of a text the known
//! secrets, paths and the host's name go, then whatever looks like an address, a number of a
//! person, a session or a token; a text that tells of somebody's words goes as a whole and
//! leaves its length.

use serde_json::{Map, Value, json};

use super::super::client::Target;
use super::super::place;
use crate::config::redact::REDACTED;
use crate::config::{Loaded, Paths};

/// What stands in place of the state directory.
pub const STATE_DIR: &str = "$OPENCLAW_STATE_DIR";
const GONE: &str = "<redacted>";
/// Letters of a log message that stay.
const MESSAGE: usize = 400;
/// Levels of a document that are looked through.
const DEPTH: usize = 32;

/// Ends of names (lower case, without `-` and `_`) whose values are private.
const PRIVATE: [&str; 34] = [
    "token",
    "secret",
    "password",
    "apikey",
    "credential",
    "cookie",
    "authorization",
    "prompt",
    "instructions",
    "text",
    "message",
    "content",
    "body",
    "preview",
    "title",
    "displayname",
    "label",
    "nickname",
    "username",
    "email",
    "phone",
    "allowfrom",
    "to",
    "from",
    "key",
    "sessionid",
    "accountid",
    "chatid",
    "userid",
    "channelid",
    "host",
    "hostname",
    "ip",
    "lasterror",
];
/// Names that end like private ones and are settings.
const OPEN: [&str; 6] =
    ["dmscope", "mainkey", "contexttokens", "maxtokens", "totaltokens", "mediatype"];
/// Whole lists and maps of which only the number stays.
const COUNTED: [&str; 8] = [
    "recent",
    "accounts",
    "presence",
    "groups",
    "guilds",
    "allowusers",
    "identityscopes",
    "queuedsystemevents",
];
/// Signs that a message repeats somebody's words.
const WORDS: [&str; 8] = [
    "user said",
    "chat text",
    "tool output",
    "webhook body",
    "message text",
    "prompt:",
    "reply:",
    "said:",
];

/// What is known of this machine.
pub struct Scrub {
    /// Texts that must not stand anywhere, and what takes their place; longest first.
    known: Vec<(String, &'static str)>,
}

impl Scrub {
    /// With this profile's paths and secrets.
    pub fn new(paths: &Paths, loaded: &Loaded, target: &Target) -> Self {
        let mut known = vec![
            (paths.state_dir.display().to_string(), STATE_DIR),
            (paths.home.display().to_string(), "~"),
            (place::host_name(), "<host>"),
        ];
        for secret in [&target.token, &target.password].into_iter().flatten() {
            known.push((secret.expose().to_owned(), GONE));
        }
        let mut gather = Vec::new();
        strings(&loaded.config.source.resolved, false, &mut gather, 0);
        known.extend(gather.into_iter().map(|text| (text, GONE)));
        for name in ["OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD"] {
            known.extend(place::var(&loaded.env, name).map(|text| (text.to_owned(), GONE)));
        }
        known.retain(|(text, _)| text.len() >= 2 && text != "/");
        known.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        Self { known }
    }

    /// A text of the program's own.
    pub fn text(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (secret, instead) in &self.known {
            if out.contains(secret.as_str()) {
                out = out.replace(secret.as_str(), instead);
            }
        }
        let mut shown = String::with_capacity(out.len());
        let mut quoted = None;
        let mut word = String::new();
        for c in out.chars() {
            if let Some(end) = quoted {
                if c == end {
                    quoted = None;
                    shown.push_str(GONE);
                }
                continue;
            }
            match c {
                '"' | '`' => {
                    push_word(&mut shown, &mut word);
                    quoted = Some(c);
                }
                c if c.is_whitespace() || "()[]{},;=".contains(c) => {
                    push_word(&mut shown, &mut word);
                    shown.push(c);
                }
                c => word.push(c),
            }
        }
        push_word(&mut shown, &mut word);
        if quoted.is_some() {
            shown.push_str(GONE);
        }
        shown
    }

    /// A line of the log: time, level, part, message.
    pub fn log_line(&self, raw: &str) -> Value {
        let parsed: Option<Value> = serde_json::from_str(raw).ok();
        let Some(line) = parsed else { return json!({"omitted": "no JSON", "bytes": raw.len()}) };
        let zero = word(line.get("0"));
        let part: Option<Value> = serde_json::from_str(zero).ok();
        let part = part.and_then(|part| part.get("subsystem")?.as_str().map(str::to_owned));
        let message = word(line.get("1"));
        let mut shown = json!({
            "time": word(line.get("time")), "level": word(line.pointer("/_meta/logLevelName")),
            "logger": "openclaw", "subsystem": part,
        });
        let lower = message.to_lowercase();
        if WORDS.iter().any(|sign| lower.contains(sign)) {
            shown["omitted"] = json!("somebody's words");
            shown["bytes"] = json!(message.len());
        } else {
            shown["msg"] = json!(self.text(message).chars().take(MESSAGE).collect::<String>());
        }
        shown
    }

    /// The configuration after [`crate::config::redact`].
    pub fn config(&self, value: &Value) -> Value {
        self.walk(value, "", 0, true)
    }

    /// A document of the gateway.
    pub fn value(&self, value: &Value) -> Value {
        self.walk(value, "", 0, false)
    }

    fn walk(&self, value: &Value, name: &str, depth: usize, config: bool) -> Value {
        let plain: String =
            name.chars().filter(|c| !"-_".contains(*c)).flat_map(char::to_lowercase).collect();
        let open = OPEN.contains(&plain.as_str());
        let private = !open && PRIVATE.iter().any(|end| plain.ends_with(end));
        match value {
            _ if depth > DEPTH => json!(GONE),
            Value::Array(list) if COUNTED.contains(&plain.as_str()) || private => {
                json!({"count": list.len()})
            }
            Value::Object(map) if COUNTED.contains(&plain.as_str()) => json!({"count": map.len()}),
            Value::String(text) if text.is_empty() => json!(""),
            Value::String(text) if private || text.contains(REDACTED) => json!(GONE),
            Value::String(text) if config && text.split_whitespace().count() > 3 => {
                json!(format!("<text, {} bytes>", text.len()))
            }
            Value::String(text) => json!(self.text(text)),
            Value::Array(list) => {
                list.iter().map(|item| self.walk(item, name, depth + 1, config)).collect()
            }
            Value::Object(map) => {
                let field = |(name, value): (&String, &Value)| {
                    (self.text(name), self.walk(value, name, depth + 1, config))
                };
                Value::Object(map.iter().map(field).collect::<Map<_, _>>())
            }
            other => other.clone(),
        }
    }
}

/// Strings below private names: what must not stand in any text either.
fn strings(value: &Value, private: bool, found: &mut Vec<String>, depth: usize) {
    const SECRET: [&str; 6] = ["token", "secret", "password", "apikey", "credential", "cookie"];
    match value {
        _ if depth > DEPTH => {}
        Value::String(text) if private && text.len() >= 6 => found.push(text.clone()),
        Value::Array(list) => {
            list.iter().for_each(|item| strings(item, private, found, depth + 1));
        }
        Value::Object(map) => {
            for (name, value) in map {
                let name = name.to_lowercase();
                let secret = private || SECRET.iter().any(|end| name.ends_with(end));
                strings(value, secret, found, depth + 1);
            }
        }
        _ => {}
    }
}

/// A string, else the empty one.
fn word(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

/// Adds a word, or what stands in place of one that looks private.
fn push_word(out: &mut String, word: &mut String) {
    if word.is_empty() {
        return;
    }
    let text = std::mem::take(word);
    // The point of a sentence, and the colon of a list.
    let end = text.trim_end_matches(['.', ':', '!', '?', '\'']);
    let tail = text.get(end.len()..).unwrap_or_default();
    let start = end.trim_start_matches('\'');
    out.push_str(&plain(start).unwrap_or_else(|| start.to_owned()));
    out.push_str(tail);
}

/// What stands in place of a word; `None` when it may stay.
fn plain(word: &str) -> Option<String> {
    if let Some((scheme, rest)) = word.split_once("://") {
        let (host, path) = rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path));
        let near = ["127.0.0.1", "localhost", "[::1]"].iter().any(|own| host.starts_with(own));
        let host = if near && !host.contains('@') { host } else { "<host>" };
        let path = if path.is_empty() { "" } else { "/..." };
        return Some(format!("{scheme}://{host}{path}"));
    }
    let bare = word.rsplit_once(':').map_or(word, |(host, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { host } else { word }
    });
    let address = bare.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    if let Ok(ip) = address {
        let near = ip.is_loopback() || ip.is_unspecified();
        return (!near).then(|| "<ip>".to_owned());
    }
    if word.contains('@') {
        return Some("<address>".to_owned());
    }
    if word.starts_with("agent:") {
        return Some("<session>".to_owned());
    }
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    let time = word.len() >= 20 && word.contains('T') && word.contains(':');
    if time {
        return None;
    }
    if digits >= 6 && letters == 0 && word.bytes().all(|b| b.is_ascii_digit() || b"+-".contains(&b))
    {
        return Some("<number>".to_owned());
    }
    let joined = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_+=/.~$:".contains(&b));
    let path = word.contains('/') || word.starts_with(STATE_DIR);
    (joined && !path && word.len() >= 20 && digits >= 3).then(|| "<id>".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrub() -> Scrub {
        let known =
            vec![("/home/ann/.openclaw".to_owned(), STATE_DIR), ("s3cretsecret".into(), GONE)];
        Scrub { known }
    }

    #[test]
    fn texts_keep_the_programs_words_only() {
        let scrub = scrub();
        for (text, want) in [
            ("the log /home/ann/.openclaw/logs/x.log", "the log $OPENCLAW_STATE_DIR/logs/x.log"),
            ("token s3cretsecret.", "token <redacted>."),
            ("peer 10.0.0.7:5123 left", "peer <ip> left"),
            ("listening on ws://127.0.0.1:18789", "listening on ws://127.0.0.1:18789"),
            ("GET https://u:p@api.example.com/v1/x", "GET https://<host>/..."),
            ("job \"call Ann at nine\" ran", "job <redacted> ran"),
            ("from ann@example.com to +491701234567", "from <address> to <number>"),
            ("session agent:main:telegram:123", "session <session>"),
            ("id 6f1c9a52-1b7e-4c55-8a49-1f0b2c3d4e5f gone", "id <id> gone"),
            ("took 1204 ms (sessions.list)", "took 1204 ms (sessions.list)"),
            ("an open \"quote", "an open <redacted>"),
        ] {
            assert_eq!(scrub.text(text), want);
        }
    }

    #[test]
    fn lines_that_repeat_somebody_leave_their_length() {
        let line = |message: &str| {
            json!({"0": "{\"subsystem\":\"gateway\"}", "1": message, "time": "t",
                "_meta": {"logLevelName": "INFO"}})
            .to_string()
        };
        let shown = scrub().log_line(&line("user said hello"));
        assert_eq!((&shown["bytes"], &shown["msg"]), (&json!(15), &Value::Null));
        let shown = scrub().log_line(&line("stopped; s3cretsecret"));
        assert_eq!(
            (&shown["msg"], &shown["subsystem"]),
            (&json!("stopped; <redacted>"), &json!("gateway"))
        );
        assert_eq!(scrub().log_line("not json s3cretsecret")["bytes"], 21);
    }

    #[test]
    fn documents_keep_settings_and_states() {
        let config = json!({"gateway": {"port": 18789, "auth": {"mode": "token", "token": "x"}},
            "agents": {"defaults": {"systemPrompt": "be kind to Ann", "model": "p/m"}},
            "channels": {"telegram": {"allowFrom": ["1", "2"], "accounts": {"ann": {}}}}});
        let shown = scrub().config(&config);
        assert_eq!(shown["gateway"]["port"], 18789);
        assert_eq!(shown["gateway"]["auth"], json!({"mode": "token", "token": GONE}));
        assert_eq!(shown["agents"]["defaults"], json!({"systemPrompt": GONE, "model": "p/m"}));
        assert_eq!(shown["channels"]["telegram"]["allowFrom"], json!({"count": 2}));
        assert_eq!(shown["channels"]["telegram"]["accounts"], json!({"count": 1}));
        let health = json!({"ok": true, "sessions": {"count": 1, "recent": [{"key": "agent:a:b"}]},
            "eventLoop": {"delayMaxMs": 1.5}});
        let shown = scrub().value(&health);
        assert_eq!(shown["sessions"], json!({"count": 1, "recent": {"count": 1}}));
        assert_eq!(shown["eventLoop"]["delayMaxMs"], 1.5);
    }
}
