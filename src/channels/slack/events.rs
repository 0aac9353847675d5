//! What Slack tells: events, commands and pressed buttons as messages of people.
//!
//! Facts: Slack's Events API (`message` with its subtypes, `app_mention`), slash commands,
//! `block_actions`. The same message comes as `message` and as `app_mention`; both have the same
//! `ts`, so the second is known already.

use serde_json::Value;

use super::mrkdwn;
use crate::channels::{
    Account, Address, Chat, ChatKind, GroupRules, Inbound, Located, Media, Quote, Sender,
};
use crate::wire::url::{Url, same_server};

/// Who we are in the workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Who {
    /// `U…`: our user, as people mention it.
    pub user: String,
    /// `B…`: our bot, as our own messages name it.
    pub bot: Option<String>,
    /// `T…`.
    pub team: String,
    /// Our name.
    pub name: String,
}

/// Subtypes of `message` that are words of a person.
const SPOKEN: [&str; 4] = ["file_share", "thread_broadcast", "me_message", "bot_message"];

pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// An event of the Events API: a message for us, or `None` for whatever is none.
pub fn event(account: &Account, me: &Who, callback: &Value) -> Option<Inbound> {
    let event = callback.get("event")?;
    let mention = match text(event, "type")? {
        "message" => false,
        "app_mention" => true,
        _ => return None,
    };
    let subtype = text(event, "subtype");
    if subtype.is_some_and(|subtype| !SPOKEN.contains(&subtype)) {
        return None;
    }
    let (channel, ts) = (text(event, "channel")?, text(event, "ts")?);
    let bot = text(event, "bot_id");
    let user = text(event, "user").or(bot)?;
    let ours = user == me.user || bot.is_some() && bot == me.bot.as_deref();
    let is_bot = bot.is_some();
    if ours || is_bot && !bots_allowed(account, channel) {
        return None;
    }
    let kind = kind_of(event, channel);
    let team = text(event, "team").or_else(|| text(callback, "team_id"));
    let (words, named) = mrkdwn::plain(text(event, "text").unwrap_or_default(), Some(&me.user));
    let thread = text(event, "thread_ts").filter(|thread| *thread != ts);
    let reply_thread = thread.or_else(|| threads(account, kind, channel).then_some(ts));
    let of_us = text(event, "parent_user_id").is_some_and(|parent| parent == me.user);
    Some(Inbound {
        id: format!("{channel}:{ts}"),
        chat: Chat {
            kind,
            id: if kind == ChatKind::Direct { user.to_owned() } else { channel.to_owned() },
            // A thread of a direct conversation is a matter of looks: it stays one session.
            thread: reply_thread.filter(|_| kind != ChatKind::Direct).map(str::to_owned),
            team: team.map(str::to_owned),
            ..Chat::default()
        },
        sender: Sender {
            ids: vec![user.to_owned()],
            names: Vec::new(),
            name: text(event, "username").map(str::to_owned),
            roles: Vec::new(),
            is_bot,
        },
        text: words,
        mentioned: mention || named,
        others: others(text(event, "text").unwrap_or_default(), &me.user),
        reply_to: thread.map(|thread| Quote {
            id: format!("{channel}:{thread}"),
            sender: text(event, "parent_user_id").map(str::to_owned),
            from: text(event, "parent_user_id").map(str::to_owned).into_iter().collect(),
            text: String::new(),
            of_us,
        }),
        media: files(event),
        sent_ms: moment(ts),
        to: Address { chat: channel.to_owned(), thread: reply_thread.map(str::to_owned) },
        ..Inbound::default()
    })
}

/// Somebody else or a group of people is named; `@here` and its likes are nobody else.
fn others(text: &str, me: &str) -> bool {
    let marks = text.split('<').skip(1).filter_map(|rest| rest.split(['>', '|']).next());
    let is_other = |mark: &str| {
        mark.strip_prefix('@').is_some_and(|id| id != me) || mark.starts_with("!subteam^")
    };
    marks.into_iter().any(is_other)
}

/// A slash command: `/openclaw status` and `/status` are both `/status`.
pub fn command(account: &Account, payload: &Value, id: &str) -> Option<Inbound> {
    let own = account.text("slashCommand.name").unwrap_or("openclaw").trim_start_matches('/');
    let name = text(payload, "command")?.trim_start_matches('/');
    let words = text(payload, "text").unwrap_or_default().trim();
    let said = match name.eq_ignore_ascii_case(own) {
        true if words.is_empty() => "/help".to_owned(),
        true => format!("/{}", words.trim_start_matches('/')),
        false => format!("/{name} {words}").trim().to_owned(),
    };
    let (channel, user) = (text(payload, "channel_id")?, text(payload, "user_id")?);
    let direct = channel.starts_with('D');
    // Only who typed it sees the answer, unless the operator wants otherwise.
    let alone = !direct && account.flag("slashCommand.ephemeral") != Some(false);
    Some(Inbound {
        id: format!("command:{}", text(payload, "trigger_id").unwrap_or(id)),
        chat: chat_of(payload, channel, user, text(payload, "team_id")),
        sender: Sender {
            ids: vec![user.to_owned()],
            name: text(payload, "user_name").map(str::to_owned),
            names: text(payload, "user_name").map(str::to_owned).into_iter().collect(),
            ..Sender::default()
        },
        text: said,
        mentioned: true,
        command: true,
        to: Address {
            chat: channel.to_owned(),
            thread: alone.then(|| format!("{EPHEMERAL}{user}")),
        },
        ..Inbound::default()
    })
}

/// A thread that only one person sees: `ephemeral:U1`.
pub const EPHEMERAL: &str = "ephemeral:";

/// A pressed button or a chosen entry, as if its value had been said.
pub fn action(payload: &Value, id: &str) -> Option<Inbound> {
    if text(payload, "type")? != "block_actions" {
        return None;
    }
    let pressed = payload.get("actions")?.get(0)?;
    let chosen = pressed.get("selected_option");
    let said = text(pressed, "value").or_else(|| text(chosen?, "value"))?;
    let user = text(payload.get("user")?, "id")?;
    let channel = text(payload.get("channel")?, "id")?;
    let team = payload.get("team").and_then(|team| text(team, "id"));
    let message = payload.get("message");
    let thread = message.and_then(|message| text(message, "thread_ts"));
    Some(Inbound {
        id: format!("action:{}", text(payload, "trigger_id").unwrap_or(id)),
        chat: Chat {
            thread: thread.filter(|_| !channel.starts_with('D')).map(str::to_owned),
            ..chat_of(payload, channel, user, team)
        },
        sender: Sender { ids: vec![user.to_owned()], ..Sender::default() },
        text: said.to_owned(),
        mentioned: true,
        command: said.starts_with('/'),
        to: Address { chat: channel.to_owned(), thread: thread.map(str::to_owned) },
        ..Inbound::default()
    })
}

fn kind_of(at: &Value, channel: &str) -> ChatKind {
    match text(at, "channel_type") {
        Some("im") => ChatKind::Direct,
        Some("mpim") => ChatKind::Group,
        Some(_) => ChatKind::Channel,
        // `app_mention` does not say; only a direct conversation begins with a D.
        None if channel.starts_with('D') => ChatKind::Direct,
        None => ChatKind::Channel,
    }
}

/// The conversation of what `at` says, by its `channel_type`: Slack's own word, or what
/// [`super::kinds`] found out.
pub(super) fn chat_of(at: &Value, channel: &str, user: &str, team: Option<&str>) -> Chat {
    let kind = kind_of(at, channel);
    let direct = kind == ChatKind::Direct;
    Chat {
        kind,
        id: if direct { user.to_owned() } else { channel.to_owned() },
        team: team.map(str::to_owned),
        ..Chat::default()
    }
}

/// Files that can be fetched.
fn files(event: &Value) -> Vec<Media> {
    let list = event.get("files").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .filter(|file| !matches!(text(file, "mode"), Some("tombstone" | "hidden_by_limit")))
        .filter_map(|file| {
            let url = text(file, "url_private_download").or_else(|| text(file, "url_private"))?;
            Some(Media {
                url: url.to_owned(),
                file: text(file, "id").map(str::to_owned),
                mime: text(file, "mimetype").map(|mime| match text(file, "subtype") {
                    // A clip of sound alone is told to be a video.
                    Some("slack_audio") => mime.replacen("video/", "audio/", 1),
                    _ => mime.to_owned(),
                }),
                name: text(file, "name").map(str::to_owned),
                bytes: file.get("size").and_then(Value::as_u64),
                ..Media::default()
            })
        })
        .take(crate::limits::CHANNEL_MEDIA)
        .collect()
}

/// How a file is fetched. The bot's token goes to Slack's own hosts and to nobody else.
pub fn located(account: &Account, token: &str, media: &Media) -> Located {
    let headers = match of_slack(account, &media.url) {
        true => vec![("Authorization".to_owned(), format!("Bearer {token}"))],
        false => Vec::new(),
    };
    Located {
        url: media.url.clone(),
        headers,
        home: account.text("apiUrl").is_some_and(|api| same_server(api, &media.url)),
        page: Some(
            "Slack gives a page instead of the file, so the token may not read files: add the \
             scope files:read at api.slack.com/apps, OAuth & Permissions, and reinstall the app",
        ),
        ..Located::default()
    }
}

/// Whether an address is one of Slack's over TLS, or of the server that `apiUrl` puts in its place.
fn of_slack(account: &Account, url: &str) -> bool {
    if let Some(api) = account.text("apiUrl").filter(|api| Url::parse(api).is_ok()) {
        return same_server(api, url);
    }
    let Ok(url) = Url::parse(url) else { return false };
    let host = url.host.trim_end_matches('.');
    let slack = ["slack.com", "slack-files.com", "slack-gov.com"];
    url.scheme.is_tls()
        && slack.iter().any(|own| {
            host.strip_suffix(own).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
}

fn bots_allowed(account: &Account, channel: &str) -> bool {
    let own = room(account, channel).and_then(|room| room.get("allowBots"));
    match own.or_else(|| account.get("allowBots")) {
        Some(Value::Bool(on)) => *on,
        // Whether ours is mentioned is judged with everything else.
        Some(Value::String(word)) => word == "mentions",
        _ => false,
    }
}

/// Whether an answer opens a thread below the message (`replyToMode`).
fn threads(account: &Account, kind: ChatKind, channel: &str) -> bool {
    let mode = room(account, channel)
        .and_then(|room| room.get("replyToMode")?.as_str())
        .or_else(|| account.text(&format!("replyToModeByChatType.{}", kind.as_str())))
        .or_else(|| account.text("dm.replyToMode").filter(|_| kind == ChatKind::Direct))
        .or_else(|| account.text("replyToMode"));
    matches!(mode, Some("all" | "batched"))
}

/// The entry of a room in `channels`, by its id alone.
fn room<'a>(account: &'a Account, channel: &str) -> Option<&'a Value> {
    let rooms = account.get("channels")?.as_object()?;
    rooms.iter().find(|(key, _)| normal(key) == normal(channel)).map(|(_, room)| room)
}

/// An id as it is compared: without prefix, upper case as Slack writes it.
pub fn normal(id: &str) -> String {
    let mut id = id.trim();
    for prefix in ["slack:", "user:", "channel:", "<@", "<#"] {
        id = id.strip_prefix(prefix).unwrap_or(id);
    }
    let id = id.trim_end_matches('>').split('|').next().unwrap_or_default();
    id.trim_start_matches(['@', '#']).to_ascii_uppercase()
}

/// See [`GroupRules`]; group conversations (`mpim`) are off unless `dm.groupEnabled`.
pub fn rules(account: &Account, chat: &Chat) -> GroupRules {
    let own = room(account, &chat.id);
    let all = account.get("channels").and_then(|rooms| rooms.get("*"));
    let scopes = [own, all].into_iter().flatten().cloned().collect();
    if chat.kind == ChatKind::Group {
        let listed = account.texts("dm.groupChannels").unwrap_or_default();
        let on = account.flag("dm.groupEnabled").unwrap_or(false);
        let here = listed.is_empty() || listed.iter().any(|id| normal(id) == normal(&chat.id));
        return GroupRules {
            listed: on && here,
            open: true,
            enabled: Some(on && here),
            scopes,
            ..GroupRules::default()
        };
    }
    let key = |name: &str| {
        own.and_then(|room| room.get(name)).or_else(|| all.and_then(|room| room.get(name)))
    };
    let flag = |name: &str| key(name).and_then(Value::as_bool);
    GroupRules {
        listed: own.or(all).is_some(),
        open: true,
        inherits: false,
        enabled: flag("enabled").or_else(|| flag("allow")),
        require_mention: flag("requireMention").or_else(|| account.flag("requireMention")),
        allow_from: key("users").and_then(crate::channels::account::texts),
        roles: Vec::new(),
        prompts: [all, own]
            .into_iter()
            .flatten()
            .filter_map(|room| room.get("systemPrompt")?.as_str())
            .map(str::to_owned)
            .collect(),
        agent: None,
        policy: None,
        scopes,
    }
}

/// `1777244748.777299` as Unix milliseconds; 0 for anything else.
fn moment(ts: &str) -> u64 {
    let (seconds, micros) = ts.split_once('.').unwrap_or((ts, "0"));
    let millis = micros.get(..3).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    seconds.parse::<u64>().ok().and_then(|s| s.checked_mul(1000)?.checked_add(millis)).unwrap_or(0)
}
