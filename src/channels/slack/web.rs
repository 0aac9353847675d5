//! Slack's Web API: what a request looks like and what its answer means.
//!
//! Every method takes a form and answers 200 with `{"ok": bool, "error"?}`, or 429 with
//! `Retry-After` (Slack, "Web API" and "Rate limits").

use serde_json::{Value, json};

use super::events::EPHEMERAL;
use crate::channels::{Act, Address, Answered, Failure, HttpRequest, Outgoing, Retry, Trouble};
use crate::driver::{Now, Time};
use crate::limits;
use crate::wire::url::percent_encode;
use std::collections::BTreeMap;

/// The event type of the metadata by which a posted message is found again.
const DELIVERY: &str = "openclaw_delivery";

/// A call of one method: its name and its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// `chat.postMessage`.
    pub method: &'static str,
    /// Fields of the form; what is no text is JSON.
    pub fields: Vec<(&'static str, String)>,
}

impl Call {
    /// A call without fields.
    pub fn new(method: &'static str) -> Self {
        Self { method, fields: Vec::new() }
    }

    /// With a field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// With a field, if there is one.
    #[must_use]
    pub fn maybe(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The request, with the token that the method takes.
    pub fn request(&self, api: &str, token: &str) -> HttpRequest {
        let fields: Vec<String> = self
            .fields
            .iter()
            .map(|(name, value)| format!("{name}={}", percent_encode(value)))
            .collect();
        let mut request = HttpRequest::new("POST", format!("{api}/{}", self.method))
            .header("Authorization", format!("Bearer {token}"))
            .header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
        request.body = fields.join("&").into_bytes();
        request
    }
}

/// Which methods must rest, since Slack said so.
#[derive(Debug, Default)]
pub struct Rests(BTreeMap<&'static str, Time>);

impl Rests {
    /// How long `method` still rests, milliseconds.
    pub fn left(&self, now: Time, method: &str) -> Option<u64> {
        self.0.get(method).filter(|until| **until > now).map(|until| until.ms_since(now).max(1))
    }

    /// `method` was told to wait.
    pub fn rest(&mut self, now: Time, method: &'static str, ms: u64) {
        self.0.retain(|_, until| *until > now);
        self.0.insert(method, now.after_ms(ms));
    }
}

/// Errors that go away by themselves.
const PASSING: [&str; 7] = [
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
    "org_login_required",
    "accesslimited",
];

/// What somebody must do about an error; empty for one that explains itself.
fn advice(error: &str) -> &'static str {
    match error {
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive" => {
            "; make a new token at api.slack.com/apps and set channels.slack.botToken"
        }
        "not_allowed_token_type" => {
            "; botToken is the one that begins with xoxb-, appToken the one with xapp-"
        }
        "missing_scope" | "no_permission" => {
            "; add the scope at api.slack.com/apps, OAuth & Permissions, and reinstall the app"
        }
        "not_in_channel" => "; invite the app to that channel: /invite @<app>",
        "channel_not_found" | "user_not_found" => {
            "; a target is channel:<C…> or user:<U…>, and the app must see it"
        }
        "is_archived" => "; the channel is archived",
        "link_disabled" => "; switch Socket Mode on at api.slack.com/apps",
        _ => "",
    }
}

/// Errors that only the operator mends, whatever is asked: the account is refused.
pub fn is_fatal(error: &str) -> bool {
    const FATAL: [&str; 9] = [
        "invalid_auth",
        "not_authed",
        "token_revoked",
        "token_expired",
        "account_inactive",
        "not_allowed_token_type",
        "missing_scope",
        "team_access_not_granted",
        "link_disabled",
    ];
    FATAL.contains(&error)
}

/// Of them, those that say that the token is worth nothing.
pub fn is_token(error: &str) -> bool {
    matches!(
        error,
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive"
    )
}

/// What a refused account says: the error and what to do.
pub fn refusal(method: &str, error: &str) -> String {
    format!("Slack refuses {method}: {error}{}", advice(error))
}

/// Why a call failed: in words for the queue, and Slack's own word if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// For whoever asked.
    pub failure: Failure,
    /// `error` of the answer.
    pub error: Option<String>,
}

/// The document of an answer, or why there is none.
///
/// # Errors
/// See [`Refused`].
pub fn read(method: &str, result: Result<Answered, Trouble>) -> Result<Value, Refused> {
    let refused = |failure| Refused { failure, error: None };
    let answer = result.map_err(|trouble| {
        let what = format!("Slack does not answer {method} ({})", trouble.what);
        refused(Failure::unanswered(what, &trouble))
    })?;
    if answer.status == 429 {
        return Err(refused(
            Failure::after(retry_after(&answer), format!("{method}: too fast")).of_account(true),
        ));
    }
    if answer.status != 200 {
        let what = format!("{method}: Slack answers {}", answer.status);
        let passing = answer.status >= 500 || answer.status == 408;
        return Err(refused(match passing {
            true => Failure::later(what),
            false => Failure::permanent(what),
        }));
    }
    let document: Value = serde_json::from_slice(&answer.body)
        .map_err(|_| refused(Failure::later(format!("{method}: Slack's answer is no JSON"))))?;
    if document.get("ok").and_then(Value::as_bool) == Some(true) {
        return Ok(document);
    }
    let error = document.get("error").and_then(Value::as_str).unwrap_or("no reason given");
    let error: String = error.chars().take(64).collect();
    let retry = match &*error {
        "ratelimited" | "rate_limited" => Retry::After(retry_after(&answer)),
        passing if PASSING.contains(&passing) => Retry::Later,
        _ => Retry::No,
    };
    let what = format!("{method}: {error}{}", advice(&error));
    Err(Refused { failure: Failure { what, retry, wide: true }, error: Some(error) })
}

/// `Retry-After` in milliseconds; 30 s where none is said, an hour at most.
fn retry_after(answer: &Answered) -> u64 {
    let said = answer.headers.get("retry-after").and_then(|text| text.trim().parse::<u64>().ok());
    said.unwrap_or(30).clamp(1, 3600).saturating_mul(1000)
}

/// The call that posts a piece of text. `thread` opens or continues a thread.
pub fn post(message: &Outgoing, thread: Option<&str>, unfurl: (bool, Option<bool>)) -> Call {
    let mut words = message.text.clone();
    for attachment in &message.media {
        if let (Some(url), None) = (&attachment.url, &attachment.bytes) {
            words.push_str(if words.is_empty() { "" } else { "\n" });
            words.push_str(url);
        }
    }
    if let Some(user) = thread.and_then(|thread| thread.strip_prefix(EPHEMERAL)) {
        return Call::new("chat.postEphemeral")
            .with("channel", &*message.to.chat)
            .with("user", user)
            .with("text", words);
    }
    let metadata = json!({"event_type": DELIVERY, "event_payload": {"nonce": message.nonce}});
    let mut call = Call::new("chat.postMessage")
        .with("channel", &*message.to.chat)
        .with("text", words)
        .maybe("thread_ts", thread)
        .with("unfurl_links", unfurl.0.to_string())
        .with("metadata", metadata.to_string());
    if let Some(media) = unfurl.1 {
        call = call.with("unfurl_media", media.to_string());
    }
    for name in ["blocks", "attachments", "username", "icon_url", "icon_emoji", "reply_broadcast"] {
        match message.extra.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => call = call.with(name, &**text),
            Some(other) => call = call.with(name, other.to_string()),
        }
    }
    call
}

/// The call that looks whether a piece was posted by an earlier attempt.
pub fn look(channel: &str, thread: Option<&str>) -> Call {
    let method = if thread.is_some() { "conversations.replies" } else { "conversations.history" };
    Call::new(method)
        .with("channel", channel)
        .maybe("ts", thread)
        .with("include_all_metadata", "true")
        .with("limit", limits::SLACK_LOOK.to_string())
}

/// The `ts` of the message with this nonce in an answer to [`look`].
pub fn found(document: &Value, nonce: &str) -> Option<String> {
    let messages = document.get("messages")?.as_array()?;
    let of_nonce = |message: &&Value| {
        let metadata = message.get("metadata");
        let payload = metadata.and_then(|metadata| metadata.get("event_payload"));
        payload.and_then(|payload| payload.get("nonce")?.as_str()) == Some(nonce)
    };
    messages.iter().find(of_nonce)?.get("ts")?.as_str().map(str::to_owned)
}

/// The message's own number: `C1:1777.1` and `1777.1` are both `1777.1`.
fn ts(message: &str) -> &str {
    message.rsplit(':').next().unwrap_or(message)
}

/// The call for an act, and the key of `actions` that switches it.
///
/// # Errors
/// The channel cannot do it, or something is missing.
pub fn act(act: &Act) -> Result<(Call, &'static str), Failure> {
    let on = |method, to: &Address, message: &str, key| {
        Call::new(method).with("channel", &*to.chat).with(key, ts(message))
    };
    Ok(match act {
        Act::React { to, message, emoji, remove } => {
            let method = if *remove { "reactions.remove" } else { "reactions.add" };
            let name = shortcode(emoji).ok_or_else(|| {
                Failure::permanent(format!("name the emoji as Slack does, :eyes: say, not {emoji}"))
            })?;
            (on(method, to, message, "timestamp").with("name", name), "reactions")
        }
        Act::Edit { to, message, text } => {
            (on("chat.update", to, message, "ts").with("text", &**text), "messages")
        }
        Act::Delete { to, message } => (on("chat.delete", to, message, "ts"), "messages"),
        Act::Poll { .. } => return Err(Failure::unsupported("slack", "poll")),
        // Slack shows no typing of an app outside of its assistant threads.
        Act::Typing { .. } => return Err(Failure::unsupported("slack", "typing")),
        Act::Other { name, params } => other(name, params)?,
    })
}

/// The reference's further actions.
fn other(name: &str, params: &Value) -> Result<(Call, &'static str), Failure> {
    let field = |keys: &[&str]| {
        keys.iter()
            .find_map(|key| params.get(key)?.as_str())
            .map(str::trim)
            .filter(|text| !text.is_empty())
    };
    let need = |keys: &[&str]| {
        let missing = || {
            let first = keys.first().copied().unwrap_or_default();
            Failure::permanent(format!("slack {name}: {first} is missing"))
        };
        field(keys).ok_or_else(missing)
    };
    let channel = || need(&["channelId", "to", "target"]).map(super::events::normal);
    let limit = params.get("limit").and_then(Value::as_u64).unwrap_or(20).clamp(1, 100).to_string();
    let message = || need(&["messageId"]).map(ts);
    Ok(match name {
        "pin" => {
            let call = Call::new("pins.add").with("channel", channel()?);
            (call.with("timestamp", message()?), "pins")
        }
        "unpin" => {
            let call = Call::new("pins.remove").with("channel", channel()?);
            (call.with("timestamp", message()?), "pins")
        }
        "list-pins" => (Call::new("pins.list").with("channel", channel()?), "pins"),
        "read" => {
            let thread = field(&["threadId"]);
            let method = if thread.is_some() { "conversations.replies" } else { HISTORY };
            let call = Call::new(method).with("channel", channel()?).maybe("ts", thread);
            let call = call.maybe("latest", field(&["before"])).maybe("oldest", field(&["after"]));
            (call.with("limit", limit), "messages")
        }
        "reactions" => {
            let call = Call::new("reactions.get").with("channel", channel()?);
            (call.with("timestamp", message()?).with("full", "true"), "reactions")
        }
        "member-info" => {
            let user = super::events::normal(need(&["userId"])?);
            (Call::new("users.info").with("user", user), "memberInfo")
        }
        "channel-info" => {
            (Call::new("conversations.info").with("channel", channel()?), "channelInfo")
        }
        "channel-list" => {
            let call = Call::new("conversations.list").maybe("cursor", field(&["cursor"]));
            let kinds = "public_channel,private_channel";
            (
                call.with("types", kinds).with("exclude_archived", "true").with("limit", "200"),
                "channelInfo",
            )
        }
        "member-list" => {
            let call = Call::new("users.list").maybe("cursor", field(&["cursor"]));
            (call.with("limit", "200"), "memberInfo")
        }
        "group-members" => {
            let call = Call::new("conversations.members").with("channel", channel()?);
            (call.maybe("cursor", field(&["cursor"])).with("limit", "200"), "memberInfo")
        }
        "kick" => {
            let user = super::events::normal(need(&["userId"])?);
            (
                Call::new("conversations.kick").with("channel", channel()?).with("user", user),
                "moderation",
            )
        }
        "emoji-list" => (Call::new("emoji.list"), "emojiList"),
        _ => return Err(Failure::unsupported("slack", name)),
    })
}

const HISTORY: &str = "conversations.history";

/// The name that Slack has for an emoji: what is named already, or a common one.
pub fn shortcode(emoji: &str) -> Option<String> {
    let bare = emoji.trim().trim_matches(':');
    let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-+'".contains(c);
    if !bare.is_empty() && bare.chars().all(named) {
        return Some(bare.to_owned());
    }
    // Variation selectors ask for the coloured form; Slack's names do not know them.
    let plain: String = bare.chars().filter(|c| *c != '\u{fe0f}').collect();
    EMOJI.iter().find(|(sign, _)| *sign == plain).map(|(_, name)| (*name).to_owned())
}

/// Signs that models and operators use, and Slack's names.
const EMOJI: &[(&str, &str)] = &[
    ("👀", "eyes"),
    ("👍", "+1"),
    ("👎", "-1"),
    ("✅", "white_check_mark"),
    ("❌", "x"),
    ("❤", "heart"),
    ("🔥", "fire"),
    ("🎉", "tada"),
    ("👏", "clap"),
    ("🙏", "pray"),
    ("😀", "grinning"),
    ("😂", "joy"),
    ("😢", "cry"),
    ("😮", "open_mouth"),
    ("😡", "rage"),
    ("🤔", "thinking_face"),
    ("👋", "wave"),
    ("💯", "100"),
    ("🚀", "rocket"),
    ("⏳", "hourglass_flowing_sand"),
    ("⚠", "warning"),
    ("💡", "bulb"),
    ("👌", "ok_hand"),
    ("🙌", "raised_hands"),
    ("😄", "smile"),
    ("😍", "heart_eyes"),
    ("🤖", "robot_face"),
    ("🦞", "lobster"),
    ("⭐", "star"),
    ("✨", "sparkles"),
    ("📌", "pushpin"),
    ("🐛", "bug"),
    ("🛠", "hammer_and_wrench"),
    ("🔧", "wrench"),
    ("🧠", "brain"),
    ("💬", "speech_balloon"),
    ("✍", "writing_hand"),
    ("😱", "scream"),
    ("🥱", "yawning_face"),
    ("👨‍💻", "male-technologist"),
    ("⚡", "zap"),
];

/// The time of a signed request may be five minutes off (Slack, "Verifying requests").
const SKEW_S: u64 = 300;

/// Whether a request is Slack's: `v0=` and the HMAC of `v0:<timestamp>:<body>`.
pub fn is_signed(secret: &str, now: Now, timestamp: &str, signature: &str, body: &[u8]) -> bool {
    let Ok(at) = timestamp.trim().parse::<u64>() else { return false };
    if (now.wall_ms / 1000).abs_diff(at) > SKEW_S {
        return false;
    }
    let mut text = format!("v0:{}:", timestamp.trim()).into_bytes();
    text.extend_from_slice(body);
    let digest = crate::wire::hash::hmac_sha256(secret.as_bytes(), &text);
    let want = format!("v0={}", crate::wire::hash::hex(&digest));
    crate::wire::hash::constant_time_eq_digest(want.as_bytes(), signature.trim().as_bytes())
}
