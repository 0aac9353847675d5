//! Updates as messages of people.
//!
//! Source: Bot API, `Update`, `Message`, `CallbackQuery`. A message's id counts in its chat, so
//! the id we report is `<chat>:<message>`.

use serde_json::Value;

use super::happenings;
use crate::channels::{
    Account, Address, Chat, ChatKind, GroupRules, Inbound, Media, Quote, Sender,
};

/// Who we are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Who {
    /// Our number.
    pub id: i64,
    /// Our name without `@`.
    pub username: String,
}

/// What an update means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// The message; its file has an id and no address yet.
    pub message: Inbound,
    /// A pressed button, to be answered.
    pub callback: Option<String>,
}

/// Kinds of updates we ask for.
pub const WANTED: [&str; 6] = [
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "callback_query",
    "message_reaction",
];

pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

fn id(value: Option<&Value>) -> Option<i64> {
    value?.get("id")?.as_i64()
}

/// Reads an update; `None` for what says nothing to us.
pub fn read(account: &Account, me: &Who, update: &Value) -> Option<Update> {
    if let Some(pressed) = update.get("callback_query") {
        return button(account, me, pressed);
    }
    if let Some(reaction) = update.get("message_reaction") {
        return happenings::reaction(me, reaction);
    }
    if let Some(message) =
        update.get("edited_message").or_else(|| update.get("edited_channel_post"))
    {
        return happenings::edited(account, me, message);
    }
    let message = update.get("message").or_else(|| update.get("channel_post"))?;
    let (chat, to) = place(message)?;
    let sender = sender(message)?;
    if sender.ids.first().is_some_and(|id| *id == me.id.to_string()) {
        return None;
    }
    let raw = text(message, "text").or_else(|| text(message, "caption")).unwrap_or_default();
    let (words, named) = strip(raw, &me.username);
    let (words, command) = command(&words, me)?;
    let entities = message.get("entities").or_else(|| message.get("caption_entities"));
    let meant = |entity: &Value| id(entity.get("user")) == Some(me.id);
    let mentioned =
        named || entities.and_then(Value::as_array).is_some_and(|list| list.iter().any(meant));
    let file = file(message);
    let place = located(message).or_else(|| moving(message));
    if words.is_empty() && file.is_none() && place.is_none() {
        // Somebody joined, a title changed: nothing was said.
        return None;
    }
    let number = message.get("message_id")?.as_i64()?;
    let direct = chat.kind == ChatKind::Direct;
    let message = Inbound {
        id: format!("{}:{number}", to.chat),
        sender,
        text: [words, place.unwrap_or_default()].join("\n").trim().to_owned(),
        mentioned,
        // In a group a command without our name is everybody's; the rules there decide.
        command: command && (direct || named),
        reply_to: message.get("reply_to_message").and_then(|answered| quote(me, message, answered)),
        sent_ms: message.get("date").and_then(Value::as_u64).unwrap_or(0).saturating_mul(1000),
        media: file.into_iter().collect(),
        album: text(message, "media_group_id").map(str::to_owned),
        chat,
        to,
        ..Inbound::default()
    };
    Some(Update { message, callback: None })
}

/// The conversation of a message, and where an answer goes.
pub(super) fn place(message: &Value) -> Option<(Chat, Address)> {
    let chat = message.get("chat")?;
    let number = id(Some(chat))?;
    let kind = match text(chat, "type")? {
        "private" => ChatKind::Direct,
        "channel" => ChatKind::Channel,
        _ => ChatKind::Group,
    };
    let forum = chat.get("is_forum").and_then(Value::as_bool) == Some(true);
    let in_topic = message.get("is_topic_message").and_then(Value::as_bool) == Some(true);
    // Without `is_topic_message` the number names a chain of answers, which is no topic.
    let topic = message.get("message_thread_id").and_then(Value::as_i64).filter(|_| in_topic);
    let topic = topic.or(forum.then_some(1)).map(|topic| topic.to_string());
    let title = text(chat, "title").map(str::to_owned);
    let to = Address { chat: number.to_string(), thread: topic.clone() };
    Some((Chat { kind, id: number.to_string(), thread: topic, title, ..Chat::default() }, to))
}

pub(super) fn sender(message: &Value) -> Option<Sender> {
    // An anonymous administrator and a channel's post have a chat for their sender.
    let chat = message.get("sender_chat");
    let from = message.get("from").filter(|_| chat.is_none()).or(chat)?;
    let number = id(Some(from))?;
    let name = [text(from, "first_name"), text(from, "last_name")];
    let name = name.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let username = text(from, "username").map(|name| format!("@{name}"));
    let title = text(from, "title").map(str::to_owned);
    Some(Sender {
        ids: vec![number.to_string()],
        name: Some(name).filter(|name| !name.is_empty()).or(title).or_else(|| username.clone()),
        names: username.into_iter().collect(),
        roles: Vec::new(),
        is_bot: from.get("is_bot").and_then(Value::as_bool) == Some(true),
    })
}

/// Takes `@us` out; whether it was there.
fn strip(raw: &str, username: &str) -> (String, bool) {
    if username.is_empty() {
        return (raw.trim().to_owned(), false);
    }
    let (lower, needle) = (raw.to_ascii_lowercase(), format!("@{}", username.to_ascii_lowercase()));
    let mut out = String::with_capacity(raw.len());
    let (mut from, mut found) = (0, false);
    while let Some(at) = lower.get(from..).and_then(|rest| rest.find(&needle)) {
        let (start, end) = (from + at, from + at + needle.len());
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        out.push_str(raw.get(from..start).unwrap_or_default());
        if lower.get(end..).is_some_and(|rest| rest.starts_with(word)) {
            // A longer name that begins like ours.
            out.push_str(raw.get(start..end).unwrap_or_default());
        } else {
            found = true;
        }
        from = end;
    }
    out.push_str(raw.get(from..).unwrap_or_default());
    (out.trim().to_owned(), found)
}

/// Whether the words are a command; `None` when it is another bot's.
fn command(words: &str, me: &Who) -> Option<(String, bool)> {
    let Some(rest) = words.strip_prefix('/') else { return Some((words.to_owned(), false)) };
    let name = rest.split_whitespace().next().unwrap_or_default();
    match name.split_once('@') {
        Some((_, other)) if !other.eq_ignore_ascii_case(&me.username) => None,
        _ => Some((words.to_owned(), !name.is_empty())),
    }
}

fn quote(me: &Who, message: &Value, answered: &Value) -> Option<Quote> {
    let number = answered.get("message_id")?.as_i64()?;
    // In a forum every message answers the one that opened its topic.
    let opener = answered.get("forum_topic_created").is_some();
    let part = message.get("quote").and_then(|quote| text(quote, "text"));
    let said = part.or_else(|| text(answered, "text")).or_else(|| text(answered, "caption"));
    let chat = id(message.get("chat"))?;
    (!opener).then(|| Quote {
        id: format!("{chat}:{number}"),
        sender: sender(answered).and_then(|sender| sender.name),
        from: sender(answered).map(|sender| sender.ids).unwrap_or_default(),
        text: said.unwrap_or_default().to_owned(),
        of_us: id(answered.get("from")) == Some(me.id),
    })
}

/// The file of a message: of a photo its largest form.
fn file(message: &Value) -> Option<Media> {
    if let Some(photo) = message.get("photo").and_then(Value::as_array).and_then(|it| it.last()) {
        return of(photo, Some("image/jpeg"), None);
    }
    let kinds = [
        ("document", None),
        ("voice", Some("audio/ogg")),
        ("audio", Some("audio/mpeg")),
        ("video", Some("video/mp4")),
        ("video_note", Some("video/mp4")),
        ("animation", Some("video/mp4")),
    ];
    for (kind, mime) in kinds {
        if let Some(found) = message.get(kind) {
            return of(found, mime, text(found, "file_name"));
        }
    }
    let sticker = message.get("sticker")?;
    let moves = |key: &str| sticker.get(key).and_then(Value::as_bool) == Some(true);
    (!moves("is_animated") && !moves("is_video")).then(|| of(sticker, Some("image/webp"), None))?
}

fn of(file: &Value, mime: Option<&str>, name: Option<&str>) -> Option<Media> {
    Some(Media {
        file: Some(text(file, "file_id")?.to_owned()),
        mime: text(file, "mime_type").or(mime).map(str::to_owned),
        name: name.map(str::to_owned),
        bytes: file.get("file_size").and_then(Value::as_u64),
        ..Media::default()
    })
}

/// A sticker that moves, which no model sees: the emoji that it stands for.
fn moving(message: &Value) -> Option<String> {
    let sticker = message.get("sticker")?;
    Some(text(sticker, "emoji").unwrap_or("<media:sticker>").to_owned())
}

/// A place that was shared, in words.
fn located(message: &Value) -> Option<String> {
    let at = message.get("location")?;
    let (latitude, longitude) = (at.get("latitude")?.as_f64()?, at.get("longitude")?.as_f64()?);
    let venue = message.get("venue").and_then(|venue| text(venue, "title")).unwrap_or_default();
    Some(format!("📍 {venue} {latitude}, {longitude}").replace("  ", " "))
}

/// A pressed button, as if its value had been said.
fn button(account: &Account, me: &Who, pressed: &Value) -> Option<Update> {
    let data = text(pressed, "data")?;
    let message = pressed.get("message")?;
    let (chat, to) = place(message)?;
    let from = pressed.get("from")?;
    let person = sender(&serde_json::json!({"from": from}))?;
    let callback = text(pressed, "id")?.to_owned();
    if !buttons(account, chat.kind) || person.ids.first() == Some(&me.id.to_string()) {
        return None;
    }
    Some(Update {
        message: Inbound {
            id: format!("callback:{callback}"),
            chat,
            sender: person,
            text: data.to_owned(),
            mentioned: true,
            command: data.starts_with('/'),
            to,
            ..Inbound::default()
        },
        callback: Some(callback),
    })
}

/// Whether buttons are shown and heard there: `capabilities.inlineButtons`.
pub fn buttons(account: &Account, kind: ChatKind) -> bool {
    match account.text("capabilities.inlineButtons").unwrap_or("allowlist") {
        "off" => false,
        "dm" => kind == ChatKind::Direct,
        "group" => kind != ChatKind::Direct,
        _ => true,
    }
}

/// See [`GroupRules`]: `groups.<chat>` and its `topics.<topic>`, each before its `*`.
pub fn rules(account: &Account, chat: &Chat) -> GroupRules {
    let groups = account.get("groups");
    let group = |key: &str| groups.and_then(|groups| groups.get(key));
    let topic = |group: Option<&Value>, key: &str| -> Option<Value> {
        group?.get("topics")?.get(key).cloned()
    };
    let (own, all) = (group(&chat.id), group("*"));
    let thread = chat.thread.as_deref().unwrap_or_default();
    let topics = [
        topic(own, thread),
        topic(own, "*").filter(|_| !thread.is_empty()),
        topic(all, thread),
        topic(all, "*").filter(|_| !thread.is_empty()),
    ];
    // The nearest that says it counts; of prompts all do, the outer ones first.
    let layers: Vec<&Value> = topics.iter().flatten().chain(own).chain(all).collect();
    let flag = |name: &str| layers.iter().find_map(|layer| layer.get(name)?.as_bool());
    let list = |name: &str| {
        layers.iter().find_map(|layer| crate::channels::account::texts(layer.get(name)?))
    };
    GroupRules {
        listed: own.or(all).is_some(),
        // Who is listed nowhere is judged by groupAllowFrom.
        open: false,
        inherits: true,
        enabled: flag("enabled"),
        policy: layers
            .iter()
            .find_map(|layer| layer.get("groupPolicy")?.as_str())
            .map(str::to_owned),
        require_mention: flag("requireMention"),
        allow_from: list("allowFrom"),
        roles: Vec::new(),
        prompts: layers
            .iter()
            .rev()
            .filter_map(|layer| layer.get("systemPrompt")?.as_str())
            .map(str::to_owned)
            .collect(),
        agent: layers.iter().find_map(|layer| layer.get("agentId")?.as_str()).map(str::to_owned),
        scopes: layers.iter().map(|layer| (*layer).clone()).collect(),
    }
}
