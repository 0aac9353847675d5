//! Dispatches and interactions as messages of people.
//!
//! Source: docs.discord.com, "Message", "Channel", "Receiving and Responding".

use serde_json::Value;

use crate::channels::account::texts;
use crate::channels::{
    Account, Address, Chat, ChatKind, GroupRules, Happening, Inbound, Media, Quote, Sender,
};
use crate::limits;

/// First millisecond of Discord's ids.
const EPOCH_MS: u64 = 1_420_070_400_000;

/// What is known of a channel of a guild.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// It is a thread.
    pub thread: bool,
    /// The channel that a thread belongs to.
    pub parent: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Discord does not say what it is, so no rule can be held against it: nobody is heard there.
    pub unknown: bool,
}

impl Room {
    /// What a look-up that was refused leaves.
    pub fn unknown() -> Self {
        Self { unknown: true, ..Self::default() }
    }

    /// A thread whose channel nobody named: its rules are not known yet.
    pub fn is_half(&self) -> bool {
        self.thread && self.parent.is_none()
    }
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// Reads a channel object: its id and what it is.
pub fn room(channel: &Value) -> Option<(String, Room)> {
    let kind = channel.get("type").and_then(Value::as_u64).unwrap_or(0);
    // Announcement, public and private threads.
    let thread = (10..=12).contains(&kind);
    let parent = text(channel, "parent_id").filter(|_| thread).map(str::to_owned);
    let name = text(channel, "name").map(str::to_owned);
    Some((text(channel, "id")?.to_owned(), Room { thread, parent, name, unknown: false }))
}

/// Takes mentions of `me` out and puts names in the place of others.
fn words(message: &Value, me: &str) -> (String, bool) {
    let mut out = text(message, "content").unwrap_or_default().to_owned();
    let mut mentioned = false;
    let list = message.get("mentions").and_then(Value::as_array).map(Vec::as_slice);
    for user in list.unwrap_or_default() {
        let Some(id) = text(user, "id") else { continue };
        let ours = id == me;
        mentioned |= ours;
        let name = text(user, "global_name").or_else(|| text(user, "username"));
        let put = if ours { String::new() } else { format!("@{}", name.unwrap_or(id)) };
        for mark in [format!("<@{id}>"), format!("<@!{id}>")] {
            out = out.replace(&mark, &put);
        }
    }
    (out.trim().to_owned(), mentioned)
}

fn sender(user: &Value, member: Option<&Value>) -> Option<Sender> {
    let id = text(user, "id")?;
    let nick = member.and_then(|member| text(member, "nick"));
    let shown = nick.or_else(|| text(user, "global_name")).or_else(|| text(user, "username"));
    Some(Sender {
        ids: vec![id.to_owned()],
        names: text(user, "username").map(str::to_owned).into_iter().collect(),
        name: shown.map(str::to_owned),
        roles: member.and_then(|member| texts(member.get("roles")?)).unwrap_or_default(),
        is_bot: user.get("bot").and_then(Value::as_bool) == Some(true),
    })
}

fn chat(channel: &str, guild: Option<&str>, person: &str, room: Option<&Room>) -> Chat {
    match guild {
        None => Chat { kind: ChatKind::Direct, id: person.to_owned(), ..Chat::default() },
        Some(guild) => Chat {
            kind: ChatKind::Channel,
            id: channel.to_owned(),
            parent: room.and_then(|room| room.parent.clone()),
            guild: Some(guild.to_owned()),
            title: room.and_then(|room| room.name.clone()),
            ..Chat::default()
        },
    }
}

/// `MESSAGE_CREATE`: a message for us, or `None` for whatever is none.
pub fn message(account: &Account, me: &str, event: &Value, room: Option<&Room>) -> Option<Inbound> {
    // A message and an answer; not joins, pins, boosts, or what commands said.
    if !matches!(event.get("type").and_then(Value::as_u64).unwrap_or(0), 0 | 19) {
        return None;
    }
    let author = event.get("author")?;
    let mut sender = sender(author, event.get("member"))?;
    let person = sender.ids.first().cloned().unwrap_or_default();
    if person == me {
        return None;
    }
    sender.is_bot |= event.get("webhook_id").is_some();
    let (words, mentioned) = words(event, me);
    if sender.is_bot && !bots(account, mentioned) {
        return None;
    }
    let channel = text(event, "channel_id")?;
    let media = attachments(event);
    if words.is_empty() && media.is_empty() && !mentioned {
        return None;
    }
    let id = text(event, "id")?;
    let quoted = event.get("referenced_message").filter(|it| it.is_object()).and_then(|it| {
        let author = it.get("author");
        Some(Quote {
            id: text(it, "id")?.to_owned(),
            sender: author.and_then(|author| text(author, "username")).map(str::to_owned),
            from: author.and_then(|it| text(it, "id")).map(str::to_owned).into_iter().collect(),
            text: text(it, "content").unwrap_or_default().to_owned(),
            of_us: author.and_then(|author| text(author, "id")) == Some(me),
        })
    });
    Some(Inbound {
        id: id.to_owned(),
        chat: chat(channel, text(event, "guild_id"), &person, room),
        sender,
        text: words,
        mentioned,
        others: others(event, me),
        reply_to: quoted,
        media,
        sent_ms: id.parse::<u64>().map_or(0, |id| (id >> 22).saturating_add(EPOCH_MS)),
        to: Address::chat(channel),
        ..Inbound::default()
    })
}

/// `MESSAGE_REACTION_ADD`, `MESSAGE_REACTION_REMOVE` and `MESSAGE_UPDATE`.
pub fn happening(name: &str, me: &str, event: &Value, room: Option<&Room>) -> Option<Inbound> {
    let channel = text(event, "channel_id")?;
    if name == "MESSAGE_UPDATE" {
        // Without the time of an edit it is a link that got its picture.
        let at = text(event, "edited_timestamp")?;
        let sender = sender(event.get("author")?, event.get("member"))?;
        let person = sender.ids.first().cloned().unwrap_or_default();
        let id = text(event, "id")?.to_owned();
        return Some(Inbound {
            id: format!("edit:{id}:{at}"),
            chat: chat(channel, text(event, "guild_id"), &person, room),
            sender,
            event: Some(Happening::Edited { text: words(event, me).0, on: id }),
            to: Address::chat(channel),
            ..Inbound::default()
        });
    }
    let person = text(event, "user_id").filter(|person| *person != me)?;
    let member = event.get("member");
    let sender = member
        .and_then(|it| sender(it.get("user")?, Some(it)))
        .unwrap_or_else(|| Sender { ids: vec![person.to_owned()], ..Sender::default() });
    let emoji = event.get("emoji").and_then(|emoji| text(emoji, "name"))?;
    let on = text(event, "message_id")?;
    let verb = if name == "MESSAGE_REACTION_ADD" { "added" } else { "removed" };
    let who = sender.name.clone().unwrap_or_else(|| person.to_owned());
    let place = match room.and_then(|room| room.name.as_deref()) {
        Some(room) => format!("#{room} msg {on}"),
        None => format!("msg {on}"),
    };
    Some(Inbound {
        // The same emoji may come and go: nothing in the event tells the times apart.
        id: String::new(),
        chat: chat(channel, text(event, "guild_id"), person, room),
        sender,
        text: format!("Discord reaction {verb}: {emoji} by {who} on {place}"),
        event: Some(Happening::Reaction { of_us: text(event, "message_author_id") == Some(me) }),
        to: Address::chat(channel),
        ..Inbound::default()
    })
}

/// Somebody else or a role is named, or another bot answered; `@everyone` is nobody else.
fn others(event: &Value, me: &str) -> bool {
    let list = |key: &str| event.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let named = list("mentions").iter().any(|user| text(user, "id").is_some_and(|id| id != me));
    let answered = event.get("referenced_message").is_some_and(|it| {
        let author = it.get("author");
        let bot = author.and_then(|author| author.get("bot")) == Some(&Value::Bool(true));
        let ours = author.and_then(|author| text(author, "id")) == Some(me);
        bot && !ours && it.get("webhook_id").is_none()
    });
    named || answered || !list("mention_roles").is_empty()
}

fn bots(account: &Account, mentioned: bool) -> bool {
    match account.get("allowBots") {
        Some(Value::Bool(allowed)) => *allowed,
        Some(Value::String(word)) => word == "mentions" && mentioned,
        _ => false,
    }
}

fn attachments(event: &Value) -> Vec<Media> {
    let list = event.get("attachments").and_then(Value::as_array).map(Vec::as_slice);
    let one = |file: &Value| {
        Some(Media {
            url: text(file, "url")?.to_owned(),
            mime: text(file, "content_type").map(str::to_owned),
            name: text(file, "filename").map(str::to_owned),
            bytes: file.get("size").and_then(Value::as_u64),
            ..Media::default()
        })
    };
    list.unwrap_or_default().iter().filter_map(one).take(limits::CHANNEL_MEDIA).collect()
}

/// An interaction that must be answered within three seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interaction {
    /// Its id.
    pub id: String,
    /// Its token: answers go by it for 15 minutes.
    pub token: String,
    /// A command: its answer is awaited; else a button, which only stops spinning.
    pub command: bool,
    /// The message it stands for.
    pub message: Inbound,
}

/// A thread in which an interaction is answered: `interaction:<token>`.
pub const INTERACTION: &str = "interaction:";

/// `INTERACTION_CREATE`: a command or a pressed button as a message.
pub fn interaction(event: &Value, room: Option<&Room>) -> Option<Interaction> {
    let (id, token) = (text(event, "id")?, text(event, "token")?);
    let data = event.get("data")?;
    let command = match event.get("type").and_then(Value::as_u64)? {
        2 => true,
        3 => false,
        _ => return None,
    };
    let said = match command {
        true => {
            let options = data.get("options").and_then(Value::as_array).map(Vec::as_slice);
            let values = options.unwrap_or_default().iter().filter_map(|option| {
                match option.get("value")? {
                    Value::String(text) => Some(text.trim().to_owned()),
                    other => Some(other.to_string()),
                }
            });
            let words: Vec<String> =
                std::iter::once(format!("/{}", text(data, "name")?)).chain(values).collect();
            words.join(" ").trim().to_owned()
        }
        false => {
            let chosen = data.get("values").and_then(|values| values.get(0)?.as_str());
            chosen.or_else(|| text(data, "custom_id"))?.to_owned()
        }
    };
    let member = event.get("member");
    let user = member.and_then(|member| member.get("user")).or_else(|| event.get("user"))?;
    let sender = sender(user, member)?;
    let channel = text(event, "channel_id")?;
    let person = sender.ids.first().cloned().unwrap_or_default();
    let thread = command.then(|| format!("{INTERACTION}{token}"));
    Some(Interaction {
        id: id.to_owned(),
        token: token.to_owned(),
        command,
        message: Inbound {
            id: format!("interaction:{id}"),
            chat: chat(channel, text(event, "guild_id"), &person, room),
            sender,
            command: said.starts_with('/'),
            text: said,
            mentioned: true,
            to: Address { chat: channel.to_owned(), thread },
            ..Inbound::default()
        },
    })
}

/// An id as it is compared: its digits.
pub fn normal(id: &str) -> String {
    let mut id = id.trim();
    for prefix in ["discord:", "user:", "channel:", "<@!", "<@&", "<@", "<#"] {
        id = id.strip_prefix(prefix).unwrap_or(id);
    }
    id.trim_end_matches('>').trim_start_matches('@').to_ascii_lowercase()
}

/// Whether the configuration names this channel of a guild itself: its rules are its own,
/// whatever it belongs to.
pub fn is_named(account: &Account, guild: &str, channel: &str) -> bool {
    let guilds = account.get("guilds");
    let own = guilds.and_then(|guilds| guilds.get(guild).or_else(|| guilds.get("*")));
    let rooms = own.and_then(|guild| guild.get("channels")?.as_object());
    rooms.is_some_and(|rooms| rooms.keys().any(|key| normal(key) == channel))
}

/// See [`GroupRules`]: `guilds.<guild>` and its `channels.<channel>`, a thread's by its parent.
pub fn rules(account: &Account, chat: &Chat) -> GroupRules {
    let guilds = account.get("guilds").and_then(Value::as_object);
    let guild = |key: &str| guilds.and_then(|guilds| guilds.get(key));
    let own = chat.guild.as_deref().and_then(guild).or_else(|| guild("*"));
    let rooms = own.and_then(|guild| guild.get("channels")?.as_object());
    let of = |id: &str| {
        rooms.and_then(|rooms| rooms.iter().find(|(key, _)| normal(key) == id).map(|(_, it)| it))
    };
    let room = of(&chat.id)
        .or_else(|| chat.parent.as_deref().and_then(of))
        .or_else(|| rooms.and_then(|rooms| rooms.get("*")));
    let flag = |value: Option<&Value>, name: &str| value.and_then(|it| it.get(name)?.as_bool());
    let list = |name: &str| {
        let here = room.and_then(|room| texts(room.get(name)?));
        here.or_else(|| own.and_then(|guild| texts(guild.get(name)?)))
    };
    // A guild that lists channels means only those.
    let narrowed = rooms.is_some_and(|rooms| !rooms.is_empty());
    GroupRules {
        listed: own.is_some() && (room.is_some() || !narrowed),
        open: true,
        inherits: false,
        enabled: flag(room, "enabled").or_else(|| flag(room, "allow")),
        require_mention: flag(room, "requireMention").or_else(|| flag(own, "requireMention")),
        allow_from: list("users"),
        roles: list("roles").unwrap_or_default(),
        prompts: [own, room]
            .into_iter()
            .flatten()
            .filter_map(|it| it.get("systemPrompt")?.as_str())
            .map(str::to_owned)
            .collect(),
        agent: None,
        policy: None,
        scopes: [room, own].into_iter().flatten().cloned().collect(),
    }
}
