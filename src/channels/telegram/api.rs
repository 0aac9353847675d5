//! The Bot API: what a request looks like, what its answer means, what goes to a chat.
//!
//! Every method takes JSON (or a form with files) and answers `{"ok": true, "result"}` or
//! `{"ok": false, "error_code", "description", "parameters": {"retry_after"}}`.

use serde_json::{Map, Value, json};

use crate::channels::{
    Act, Address, Answered, Attachment, Failure, HttpRequest, Outgoing, Trouble,
};
use crate::limits;

/// A request of one method.
#[derive(Debug, Clone)]
pub struct Call {
    /// `sendMessage`.
    pub method: &'static str,
    /// Its parameters.
    pub params: Map<String, Value>,
    /// A file: the parameter that it stands for, its name, its bytes.
    pub file: Option<(&'static str, String, std::rc::Rc<Vec<u8>>)>,
}

impl Call {
    /// A call with these parameters.
    pub fn new(method: &'static str, params: Value) -> Self {
        let params = params.as_object().cloned().unwrap_or_default();
        Self { method, params, file: None }
    }

    /// The request. `boundary` must not stand in the file.
    pub fn request(&self, root: &str, token: &str, boundary: u64) -> HttpRequest {
        let mut request = HttpRequest::new("POST", format!("{root}/bot{token}/{}", self.method));
        let Some((name, file_name, bytes)) = &self.file else {
            return request.json(&Value::Object(self.params.clone()));
        };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let fields: Vec<(&str, String)> =
            self.params.iter().map(|(key, value)| (&**key, text(value))).collect();
        let fields: Vec<(&str, Option<&str>, &str)> =
            fields.iter().map(|(key, value)| (*key, None, &**value)).collect();
        request.timeout_ms = limits::TELEGRAM_UPLOAD_MS;
        request.form(boundary, &fields, &[(*name, file_name, bytes.as_slice())])
    }
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// `error_code`, or the HTTP status; 0 without an answer.
    pub code: u64,
    /// For whoever asked.
    pub failure: Failure,
}

/// The result of an answer.
///
/// # Errors
/// See [`Refused`].
pub fn read(method: &str, result: Result<Answered, Trouble>) -> Result<Value, Refused> {
    let answer = result.map_err(|trouble| {
        let what = format!("Telegram does not answer {method} ({})", trouble.what);
        Refused { code: 0, failure: Failure::unanswered(what, &trouble) }
    })?;
    let mut document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status == 200 && document.get("ok").and_then(Value::as_bool) == Some(true) {
        return Ok(document.get_mut("result").map(Value::take).unwrap_or_default());
    }
    let said = document.get("error_code").and_then(Value::as_u64);
    let code = said.unwrap_or(u64::from(answer.status));
    let why = document.get("description").and_then(Value::as_str).unwrap_or("no reason given");
    let why: String = why.chars().take(200).collect();
    let what = format!("{method}: {why}{}", advice(code, &why));
    let failure = match code {
        429 => {
            let wait = document.get("parameters").and_then(|it| it.get("retry_after")?.as_u64());
            Failure::after(wait.unwrap_or(5).clamp(1, 3600).saturating_mul(1000), what)
        }
        // 409: another poller. 200 without a document is no answer of the Bot API's.
        200 | 408 | 409 | 500.. => Failure::later(what),
        _ => Failure::permanent(what),
    };
    Err(Refused { code, failure })
}

/// What somebody must do about it; empty for what explains itself.
fn advice(code: u64, why: &str) -> &'static str {
    match code {
        401 | 404 => "; take the token from @BotFather and set channels.telegram.botToken",
        403 if why.contains("blocked") => "; the person must unblock the bot",
        403 => "; the bot is not in that chat, or the person never wrote to it",
        400 if why.contains("chat not found") => "; a target is a numeric chat id, or @channel",
        _ => "",
    }
}

/// The chat and topic of an address. The topic 1, General, is not named when sending.
fn place(to: &Address) -> Map<String, Value> {
    let chat = to.chat.parse::<i64>().map_or_else(|_| json!(to.chat), |id| json!(id));
    let mut params = Map::from_iter([("chat_id".to_owned(), chat)]);
    let topic = to.thread.as_deref().and_then(|thread| thread.parse::<i64>().ok());
    if let Some(topic) = topic.filter(|topic| *topic != 1) {
        params.insert("message_thread_id".to_owned(), json!(topic));
    }
    params
}

/// The message's own number: `-100:7` and `7` are both 7.
fn number(message: &str) -> Option<i64> {
    message.rsplit(':').next()?.trim().parse().ok()
}

/// How pieces look, by the account's keys.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// `linkPreview: false`.
    pub no_preview: bool,
    /// Buttons may be shown in this chat.
    pub buttons: bool,
}

/// The calls that send a piece: its text, or its files, the first with the text as its caption.
pub fn send(message: &Outgoing, style: Style) -> Vec<Call> {
    let mut base = place(&message.to);
    if message.silent {
        base.insert("disable_notification".to_owned(), json!(true));
    }
    if let Some(id) = message.reply_to.as_deref().and_then(number) {
        let reply = json!({"message_id": id, "allow_sending_without_reply": true});
        base.insert("reply_parameters".to_owned(), reply);
    }
    let keyboard = keyboard(&message.extra).filter(|_| style.buttons);
    let mut calls: Vec<Call> = Vec::new();
    let fits = crate::channels::text::utf16(&message.text) <= limits::TELEGRAM_CAPTION;
    for attachment in &message.media {
        let (method, key) = kind(attachment);
        let mut params = base.clone();
        if calls.is_empty() && fits && !message.text.is_empty() {
            params.insert("caption".to_owned(), json!(message.text));
            params.insert("parse_mode".to_owned(), json!("HTML"));
        }
        let mut file = None;
        match (&attachment.bytes, &attachment.url) {
            (Some(bytes), _) => {
                let name = if attachment.name.is_empty() { "file" } else { &*attachment.name };
                file = Some((key, name.to_owned(), bytes.clone()));
            }
            (None, Some(url)) => {
                params.insert(key.to_owned(), json!(url));
            }
            (None, None) => continue,
        }
        calls.push(Call { method, params, file });
    }
    if !message.text.is_empty() && (calls.is_empty() || !fits) {
        let mut params = base;
        params.insert("text".to_owned(), json!(message.text));
        params.insert("parse_mode".to_owned(), json!("HTML"));
        if style.no_preview {
            params.insert("link_preview_options".to_owned(), json!({"is_disabled": true}));
        }
        calls.push(Call { method: "sendMessage", params, file: None });
    }
    if let (Some(keyboard), Some(last)) = (keyboard, calls.last_mut()) {
        last.params.insert("reply_markup".to_owned(), json!({"inline_keyboard": keyboard}));
    }
    calls
}

/// How an attachment is sent: the method and its parameter.
fn kind(attachment: &Attachment) -> (&'static str, &'static str) {
    let family = attachment.mime.split('/').next().unwrap_or_default();
    let bytes = attachment.bytes.as_ref().map_or(0, |bytes| bytes.len());
    match (attachment.as_file, family, &*attachment.mime) {
        (true, ..) => ("sendDocument", "document"),
        (_, _, "image/gif") => ("sendAnimation", "animation"),
        (_, "image", _) if bytes > limits::TELEGRAM_PHOTO => ("sendDocument", "document"),
        (_, "image", "image/png" | "image/jpeg" | "image/webp") => ("sendPhoto", "photo"),
        (_, _, "audio/ogg" | "audio/opus" | "audio/mpeg" | "audio/mp4") if attachment.voice => {
            ("sendVoice", "voice")
        }
        (_, "audio", _) => ("sendAudio", "audio"),
        (_, "video", "video/mp4") => ("sendVideo", "video"),
        _ => ("sendDocument", "document"),
    }
}

/// Buttons as `message.action` brings them: rows of `{text, callback_data | value | url}`.
fn keyboard(extra: &Value) -> Option<Value> {
    let rows = extra.get("buttons")?.as_array()?;
    let button = |button: &Value| {
        let text = button.get("text").or_else(|| button.get("label"))?.as_str()?;
        if let Some(url) = button.get("url").and_then(Value::as_str) {
            return Some(json!({"text": text, "url": url}));
        }
        let data = button.get("callback_data").or_else(|| button.get("value"))?.as_str()?;
        // The Bot API refuses the whole message for one button with more.
        (data.len() <= limits::TELEGRAM_CALLBACK)
            .then(|| json!({"text": text, "callback_data": data}))
    };
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| match row.as_array() {
            Some(row) => row.iter().filter_map(button).collect::<Vec<_>>(),
            None => button(row).into_iter().collect(),
        })
        .filter(|row| !row.is_empty())
        .map(Value::Array)
        .collect();
    (!rows.is_empty()).then_some(Value::Array(rows))
}

/// The call for an act, and the key of `actions` that switches it.
///
/// # Errors
/// The channel cannot do it, or something is missing.
pub fn act(act: &Act) -> Result<(Call, &'static str), Failure> {
    let of_message = |to: &Address, message: &str| {
        let id = number(message)
            .ok_or_else(|| Failure::permanent(format!("telegram: no message number: {message}")))?;
        let chat = place(to).remove("chat_id").unwrap_or_default();
        Ok::<_, Failure>(json!({"chat_id": chat, "message_id": id}))
    };
    Ok(match act {
        Act::React { to, message, emoji, remove } => {
            let mut params = of_message(to, message)?;
            params["reaction"] = match *remove || emoji.is_empty() {
                true => json!([]),
                false => json!([{"type": "emoji", "emoji": emoji}]),
            };
            (Call::new("setMessageReaction", params), "reactions")
        }
        Act::Edit { to, message, text } => {
            let mut params = of_message(to, message)?;
            params["text"] = json!(text);
            params["parse_mode"] = json!("HTML");
            (Call::new("editMessageText", params), "editMessage")
        }
        Act::Delete { to, message } => {
            (Call::new("deleteMessage", of_message(to, message)?), "deleteMessage")
        }
        Act::Poll { to, question, options, max_selections, duration_s, anonymous, silent } => {
            let mut params = place(to);
            let options: Vec<Value> = options.iter().map(|text| json!({"text": text})).collect();
            params.insert("question".to_owned(), json!(question));
            params.insert("options".to_owned(), Value::Array(options));
            params.insert("is_anonymous".to_owned(), json!(anonymous));
            params.insert("allows_multiple_answers".to_owned(), json!(*max_selections > 1));
            params.insert("disable_notification".to_owned(), json!(silent));
            if let Some(seconds) = duration_s {
                params.insert("open_period".to_owned(), json!(seconds));
            }
            (Call { method: "sendPoll", params, file: None }, "poll")
        }
        Act::Typing { to } => {
            let mut params = place(to);
            // The one method that takes General by its number.
            if to.thread.as_deref() == Some("1") {
                params.insert("message_thread_id".to_owned(), json!(1));
            }
            params.insert("action".to_owned(), json!("typing"));
            (Call { method: "sendChatAction", params, file: None }, "typing")
        }
        Act::Other { name, params } => other(name, params)?,
    })
}

/// The reference's further actions.
fn other(name: &str, params: &Value) -> Result<(Call, &'static str), Failure> {
    let text = |keys: &[&str]| {
        let found = keys.iter().find_map(|key| params.get(key));
        found.and_then(|value| match value {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    let need = |keys: &[&str]| {
        let first = keys.first().copied().unwrap_or_default();
        let missing = || Failure::permanent(format!("telegram {name}: {first} is missing"));
        text(keys).ok_or_else(missing)
    };
    let to = need(&["to", "target", "chatId"])?;
    let to = super::target(&to).map_err(Failure::permanent)?;
    let mut fields = place(&to);
    let message = |fields: &mut Map<String, Value>| {
        let id = need(&["messageId"])?;
        let id = number(&id).ok_or_else(|| Failure::permanent("telegram: no message number"))?;
        fields.insert("message_id".to_owned(), json!(id));
        fields.remove("message_thread_id");
        Ok::<_, Failure>(())
    };
    let (method, group) = match name {
        "pin" => {
            message(&mut fields)?;
            ("pinChatMessage", "sendMessage")
        }
        "unpin" => {
            message(&mut fields)?;
            ("unpinChatMessage", "sendMessage")
        }
        "channel-info" => ("getChat", "channelInfo"),
        "member-info" | "ban" | "kick" | "timeout" => {
            let user = need(&["userId"])?;
            let user = user.trim_start_matches("user:").parse::<i64>();
            let user = user
                .map_err(|_| Failure::permanent(format!("telegram {name}: userId is a number")))?;
            fields.remove("message_thread_id");
            fields.insert("user_id".to_owned(), json!(user));
            match name {
                "member-info" => ("getChatMember", "memberInfo"),
                "ban" => ("banChatMember", "moderation"),
                // Whoever is no longer banned is no longer a member either.
                "kick" => ("unbanChatMember", "moderation"),
                _ => {
                    let until = text(&["untilSeconds"]).and_then(|it| it.parse::<u64>().ok());
                    fields.insert("until_date".to_owned(), json!(until.unwrap_or(0)));
                    let may = until.is_none();
                    fields.insert("permissions".to_owned(), permissions(may));
                    ("restrictChatMember", "moderation")
                }
            }
        }
        "sticker" => {
            fields.insert("sticker".to_owned(), json!(need(&["fileId", "stickerId"])?));
            ("sendSticker", "sticker")
        }
        "topic-create" | "thread-create" => {
            fields.remove("message_thread_id");
            fields.insert("name".to_owned(), json!(need(&["name", "threadName"])?));
            ("createForumTopic", "createForumTopic")
        }
        "topic-edit" => {
            let topic = need(&["threadId", "messageThreadId"])?;
            let topic = topic
                .parse::<i64>()
                .map_err(|_| Failure::permanent("telegram topic-edit: threadId is a number"))?;
            fields.insert("message_thread_id".to_owned(), json!(topic));
            fields.insert("name".to_owned(), json!(need(&["name", "threadName"])?));
            ("editForumTopic", "editForumTopic")
        }
        _ => return Err(Failure::unsupported("telegram", name)),
    };
    Ok((Call { method, params: fields, file: None }, group))
}

/// Everything that a member may do, or nothing.
fn permissions(may: bool) -> Value {
    const ALL: [&str; 10] = [
        "can_send_messages",
        "can_send_audios",
        "can_send_documents",
        "can_send_photos",
        "can_send_videos",
        "can_send_video_notes",
        "can_send_voice_notes",
        "can_send_polls",
        "can_send_other_messages",
        "can_add_web_page_previews",
    ];
    ALL.iter().map(|name| ((*name).to_owned(), json!(may))).collect::<Map<String, Value>>().into()
}
