//! Discord's REST API: requests, buckets, errors.
//!
//! Source: docs.discord.com, "API Reference", "Rate Limits", "Opcodes and Status Codes".

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::channels::{Act, Address, Answered, Failure, HttpRequest, Outgoing, Trouble};
use crate::driver::Time;
use crate::limits;
use crate::wire::url::percent_encode;

/// One request: where, what, and with which files.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// `GET`, `POST`, ...
    pub method: &'static str,
    /// Behind `/api/v10`.
    pub path: String,
    /// What shares a bucket: the method and the path with only its first id left in it.
    pub route: String,
    /// The body; null is none.
    pub body: Value,
    /// For the guild's audit log.
    pub reason: Option<String>,
    /// Name and bytes.
    pub files: Vec<(String, std::rc::Rc<Vec<u8>>)>,
}

impl Call {
    /// A call whose path is its route.
    pub fn new(method: &'static str, path: impl Into<String>, body: Value) -> Self {
        let path = path.into();
        let route = route(method, &path);
        Self { method, path, route, body, reason: None, files: Vec::new() }
    }

    /// The request.
    pub fn request(&self, root: &str, token: &str, boundary: u64) -> HttpRequest {
        let mut request = HttpRequest::new(self.method, format!("{root}{}", self.path))
            .header("Authorization", format!("Bot {token}"))
            .header(
                "User-Agent",
                concat!("DiscordBot (openclaw, ", env!("CARGO_PKG_VERSION"), ")"),
            );
        if let Some(reason) = &self.reason {
            request = request.header("X-Audit-Log-Reason", percent_encode(reason));
        }
        request.max_bytes = limits::DISCORD_ANSWER;
        if self.files.is_empty() {
            return match &self.body {
                Value::Null => request,
                body => request.json(body),
            };
        }
        let names: Vec<String> = (0..self.files.len()).map(|at| format!("files[{at}]")).collect();
        let files: Vec<(&str, &str, &[u8])> = names
            .iter()
            .zip(&self.files)
            .map(|(name, (file, bytes))| (&**name, &**file, bytes.as_slice()))
            .collect();
        request.timeout_ms = limits::DISCORD_UPLOAD_MS;
        let payload = self.body.to_string();
        request.form(boundary, &[("payload_json", Some("application/json"), &payload)], &files)
    }
}

/// The method and the path in which every id but the first is `*`: buckets are by the top-level
/// resource (channel, guild, webhook).
fn route(method: &str, path: &str) -> String {
    let mut ids = 0;
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path
        .split('/')
        .map(|part| {
            let id = part.len() >= 15 && part.bytes().all(|byte| byte.is_ascii_digit());
            ids += usize::from(id);
            let emoji = part.starts_with('%');
            if id && ids > 1 || emoji { "*" } else { part }
        })
        .collect();
    format!("{method} {}", parts.join("/"))
}

/// Which routes must rest, and until when everything must.
#[derive(Debug, Default)]
pub struct Rests {
    routes: BTreeMap<String, Time>,
    all: Option<Time>,
}

impl Rests {
    /// How long a route still rests, milliseconds.
    pub fn left(&self, now: Time, route: &str) -> Option<u64> {
        let until = self.routes.get(route).copied().max(self.all)?;
        (until > now).then(|| until.ms_since(now).max(1))
    }

    /// Learns from the headers of an answer, and from a 429.
    pub fn learn(&mut self, now: Time, route: &str, answer: &Answered) {
        let header = |name: &str| answer.headers.get(name).map(str::trim);
        let seconds = |text: Option<&str>| text.and_then(|text| text.parse::<f64>().ok());
        let mut wait = None;
        if header("x-ratelimit-remaining") == Some("0") {
            wait = seconds(header("x-ratelimit-reset-after"));
        }
        if answer.status == 429 {
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let said = body.get("retry_after").and_then(Value::as_f64);
            wait = said.or_else(|| seconds(header("retry-after"))).or(Some(5.0));
            let global = body.get("global").and_then(Value::as_bool) == Some(true)
                || header("x-ratelimit-scope") == Some("global");
            if global {
                self.all = wait.map(|seconds| now.after_ms(ms(seconds)));
            }
        }
        let Some(seconds) = wait else { return };
        self.routes.retain(|_, until| *until > now);
        if self.routes.len() < limits::DISCORD_RESTS {
            self.routes.insert(route.to_owned(), now.after_ms(ms(seconds)));
        }
    }
}

/// Seconds as milliseconds, rounded up, an hour at most.
fn ms(seconds: f64) -> u64 {
    let ms = (seconds.clamp(0.0, 3600.0) * 1000.0).ceil();
    // Between 0 and 3,600,000: it fits.
    ms as u64
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status; 0 without an answer.
    pub status: u16,
    /// Discord's own number; 0 when it gave none.
    pub code: u64,
    /// For whoever asked.
    pub failure: Failure,
}

/// The document of an answer; null for one without a body.
///
/// # Errors
/// See [`Refused`].
pub fn read(what: &str, result: Result<Answered, Trouble>) -> Result<Value, Refused> {
    let answer = result.map_err(|trouble| {
        let text = format!("Discord does not answer {what} ({})", trouble.what);
        Refused { status: 0, code: 0, failure: Failure::unanswered(text, &trouble) }
    })?;
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if (200..300).contains(&answer.status) {
        return Ok(document);
    }
    let code = document.get("code").and_then(Value::as_u64).unwrap_or(0);
    let why = document.get("message").and_then(Value::as_str).unwrap_or("no reason given");
    let why: String = why.chars().take(200).collect();
    let text = format!("{what}: {why} ({}, {code}){}", answer.status, advice(answer.status, code));
    let failure = match answer.status {
        429 => {
            let wait = document.get("retry_after").and_then(Value::as_f64).unwrap_or(5.0);
            let all = document.get("global").and_then(Value::as_bool) == Some(true);
            Failure::after(ms(wait).max(1), text).of_account(all)
        }
        408 | 500.. => Failure::later(text),
        _ => Failure::permanent(text),
    };
    Err(Refused { status: answer.status, code, failure })
}

/// What somebody must do about it; empty for what explains itself.
fn advice(status: u16, code: u64) -> &'static str {
    match (status, code) {
        (401, _) => "; make a new token at discord.com/developers and set channels.discord.token",
        (_, 50_001 | 50_013) => "; give the bot's role the right to see and write there",
        (_, 50_007) => "; that person takes no messages from the bot",
        (413, _) | (_, 40_005) => {
            "; Discord takes no file over 10 MB where nobody boosts the server"
        }
        (_, 10_003) => "; a target is channel:<id> or user:<id>, and the bot must see it",
        _ => "",
    }
}

/// The body of a message.
pub fn content(message: &Outgoing) -> Value {
    let mut words = message.text.clone();
    for attachment in &message.media {
        if let (Some(url), None) = (&attachment.url, &attachment.bytes) {
            words.push_str(if words.is_empty() { "" } else { "\n" });
            words.push_str(url);
        }
    }
    let mut body = json!({
        "content": words,
        // A model that writes @everyone shall not wake everyone.
        "allowed_mentions": {"parse": ["users"], "replied_user": false},
    });
    if message.silent {
        // SUPPRESS_NOTIFICATIONS.
        body["flags"] = json!(1 << 12);
    }
    for name in ["embeds", "components"] {
        if let Some(value) = message.extra.get(name).filter(|value| !value.is_null()) {
            body[name] = value.clone();
        }
    }
    body
}

/// The call that posts a piece to a channel.
pub fn post(channel: &str, message: &Outgoing) -> Call {
    let mut body = content(message);
    body["nonce"] = json!(message.nonce);
    body["enforce_nonce"] = json!(true);
    if let Some(id) = message.reply_to.as_deref().filter(|id| !id.contains(':')) {
        body["message_reference"] = json!({"message_id": id, "fail_if_not_exists": false});
    }
    let mut call = Call::new("POST", format!("/channels/{channel}/messages"), body);
    call.files = files(message);
    call
}

/// The files of a piece.
pub fn files(message: &Outgoing) -> Vec<(String, std::rc::Rc<Vec<u8>>)> {
    let named = |name: &str| if name.is_empty() { "file".to_owned() } else { name.to_owned() };
    let of = |file: &crate::channels::Attachment| Some((named(&file.name), file.bytes.clone()?));
    message.media.iter().filter_map(of).take(limits::CHANNEL_MEDIA).collect()
}

/// The call for an act, and the key of `actions` that switches it.
///
/// # Errors
/// The channel cannot do it, or something is missing.
pub fn act(act: &Act) -> Result<(Call, &'static str), Failure> {
    let at = |to: &Address, message: &str| {
        let number = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        match number(&to.chat) && number(message) {
            true => Ok(format!("/channels/{}/messages/{message}", to.chat)),
            false => Err(Failure::permanent("discord: a message is named by channel and number")),
        }
    };
    Ok(match act {
        Act::React { to, message, emoji, remove } => {
            if emoji.is_empty() {
                return Err(Failure::permanent("discord: say which emoji to take off"));
            }
            // Own emoji are written <:name:id> and named name:id.
            let emoji = emoji.trim_matches(['<', '>']).trim_start_matches("a:");
            let emoji = percent_encode(emoji.trim_start_matches(':'));
            let method = if *remove { "DELETE" } else { "PUT" };
            let path = format!("{}/reactions/{emoji}/@me", at(to, message)?);
            (Call::new(method, path, Value::Null), "reactions")
        }
        Act::Edit { to, message, text } => {
            (Call::new("PATCH", at(to, message)?, json!({"content": text})), "messages")
        }
        Act::Delete { to, message } => {
            (Call::new("DELETE", at(to, message)?, Value::Null), "messages")
        }
        Act::Poll { to, question, options, max_selections, duration_s, .. } => {
            let answers: Vec<Value> =
                options.iter().map(|text| json!({"poll_media": {"text": text}})).collect();
            let hours = duration_s.unwrap_or(86_400).div_ceil(3600).clamp(1, 768);
            let body = json!({"poll": {
                "question": {"text": question},
                "answers": answers,
                "duration": hours,
                "allow_multiselect": *max_selections > 1,
            }});
            (Call::new("POST", format!("/channels/{}/messages", to.chat), body), "polls")
        }
        Act::Typing { to } => {
            (Call::new("POST", format!("/channels/{}/typing", to.chat), Value::Null), "typing")
        }
        Act::Other { name, params } => super::actions::other(name, params)?,
    })
}
