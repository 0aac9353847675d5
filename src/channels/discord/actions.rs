//! The reference's further actions of `message`, one call of the REST API each.
//!
//! Source: docs.discord.com, "Channel", "Guild", "Guild Scheduled Event", "Voice", "Message".

use serde_json::{Map, Value, json};

use super::events::normal;
use super::rest::Call;
use crate::channels::Failure;
use crate::wire::url::percent_encode;

/// What an action is about, as it came.
struct Asked<'a> {
    name: &'a str,
    params: &'a Value,
}

impl Asked<'_> {
    fn text(&self, keys: &[&str]) -> Option<String> {
        let found = keys.iter().find_map(|key| match self.params.get(key)? {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        found.filter(|text| !text.is_empty())
    }

    fn missing(&self, key: &str) -> Failure {
        Failure::permanent(format!("discord {}: {key} is missing", self.name))
    }

    fn must(&self, keys: &[&str]) -> Result<String, Failure> {
        self.text(keys).ok_or_else(|| self.missing(keys.first().copied().unwrap_or_default()))
    }

    /// A number of Discord's.
    fn id(&self, keys: &[&str]) -> Result<String, Failure> {
        let id = self.text(keys).map(|text| normal(&text));
        id.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
            .ok_or_else(|| self.missing(keys.first().copied().unwrap_or_default()))
    }

    fn channel(&self) -> Result<String, Failure> {
        self.id(&["channelId", "to", "target"])
    }

    fn guild(&self) -> Result<String, Failure> {
        self.id(&["guildId"])
    }

    fn number(&self, key: &str) -> Option<u64> {
        match self.params.get(key)? {
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_u64(),
        }
    }

    fn limit(&self) -> u64 {
        self.number("limit").unwrap_or(20).clamp(1, 100)
    }

    /// Ids of a list, or of one text with commas.
    fn ids(&self, keys: &[&str]) -> Vec<String> {
        let list = keys.iter().find_map(|key| self.params.get(key));
        let texts = match list {
            Some(Value::String(text)) => text.split(',').map(str::to_owned).collect(),
            Some(list) => crate::channels::account::texts(list).unwrap_or_default(),
            None => Vec::new(),
        };
        let number = |id: &String| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        texts.iter().map(|id| normal(id)).filter(number).collect()
    }
}

type Found = Result<(Call, &'static str), Failure>;

fn get(path: String, group: &'static str) -> Found {
    Ok((Call::new("GET", path, Value::Null), group))
}

/// The call for an action, and the key of `actions` that switches it.
///
/// # Errors
/// There is no such action here, or something is missing.
pub fn other(name: &str, params: &Value) -> Found {
    let asked = Asked { name, params };
    match name {
        "pin" | "unpin" => {
            let method = if name == "pin" { "PUT" } else { "DELETE" };
            let path = format!("/channels/{}/pins/{}", asked.channel()?, asked.id(&["messageId"])?);
            Ok((Call::new(method, path, Value::Null), "pins"))
        }
        "list-pins" => get(format!("/channels/{}/pins", asked.channel()?), "pins"),
        "read" => read(&asked),
        "reactions" => {
            let (channel, message) = (asked.channel()?, asked.id(&["messageId"])?);
            get(format!("/channels/{channel}/messages/{message}"), "reactions")
        }
        "search" => search(&asked),
        "channel-info" => get(format!("/channels/{}", asked.channel()?), "channelInfo"),
        "channel-list" => get(format!("/guilds/{}/channels", asked.guild()?), "channelInfo"),
        "guild-list" => get("/users/@me/guilds".to_owned(), "channelInfo"),
        "member-info" => {
            let (guild, user) = (asked.guild()?, asked.id(&["userId"])?);
            get(format!("/guilds/{guild}/members/{user}"), "memberInfo")
        }
        "member-search" => {
            let (guild, query) = (asked.guild()?, asked.must(&["query"])?);
            let query = percent_encode(&query);
            let limit = asked.limit();
            get(format!("/guilds/{guild}/members/search?query={query}&limit={limit}"), "memberInfo")
        }
        "role-info" => get(format!("/guilds/{}/roles", asked.guild()?), "roleInfo"),
        "emoji-list" => get(format!("/guilds/{}/emojis", asked.guild()?), "reactions"),
        "voice-status" => {
            let (guild, user) = (asked.guild()?, asked.id(&["userId"])?);
            get(format!("/guilds/{guild}/voice-states/{user}"), "voiceStatus")
        }
        "event-list" => get(format!("/guilds/{}/scheduled-events", asked.guild()?), "events"),
        "thread-create" | "thread-list" => thread(&asked),
        "sticker" => sticker(&asked),
        "event-create" => event(&asked),
        "timeout" | "kick" | "ban" | "role-add" | "role-remove" => moderate(&asked),
        "channel-create" | "category-create" | "channel-edit" | "category-edit"
        | "channel-delete" | "category-delete" => room(&asked),
        _ => Err(Failure::unsupported("discord", name)),
    }
}

fn read(asked: &Asked<'_>) -> Found {
    let channel = asked.channel()?;
    if asked.text(&["messageId"]).is_some() {
        let message = asked.id(&["messageId"])?;
        return get(format!("/channels/{channel}/messages/{message}"), "messages");
    }
    let mut path = format!("/channels/{channel}/messages?limit={}", asked.limit());
    for key in ["before", "after", "around"] {
        if asked.text(&[key]).is_some() {
            path.push_str(&format!("&{key}={}", asked.id(&[key])?));
        }
    }
    get(path, "messages")
}

fn search(asked: &Asked<'_>) -> Found {
    let query = percent_encode(&asked.must(&["query"])?);
    let limit = asked.limit().min(25);
    let mut path =
        format!("/guilds/{}/messages/search?content={query}&limit={limit}", asked.guild()?);
    for (keys, name) in
        [(["channelIds", "channelId"], "channel_id"), (["authorIds", "authorId"], "author_id")]
    {
        for id in asked.ids(&keys) {
            path.push_str(&format!("&{name}={id}"));
        }
    }
    get(path, "search")
}

fn thread(asked: &Asked<'_>) -> Found {
    if asked.name == "thread-list" {
        if asked.params.get("includeArchived") == Some(&Value::Bool(true)) {
            let mut path = format!(
                "/channels/{}/threads/archived/public?limit={}",
                asked.channel()?,
                asked.limit()
            );
            if let Some(before) = asked.text(&["before"]) {
                path.push_str(&format!("&before={}", percent_encode(&before)));
            }
            return get(path, "threads");
        }
        return get(format!("/guilds/{}/threads/active", asked.guild()?), "threads");
    }
    let mut body = json!({"name": asked.must(&["threadName", "name"])?});
    if let Some(minutes) = asked.number("autoArchiveMin") {
        body["auto_archive_duration"] = json!(minutes);
    }
    let channel = asked.channel()?;
    let path = match asked.id(&["messageId"]) {
        Ok(message) => format!("/channels/{channel}/messages/{message}/threads"),
        Err(_) => {
            // A public thread.
            body["type"] = json!(11);
            format!("/channels/{channel}/threads")
        }
    };
    Ok((Call::new("POST", path, body), "threads"))
}

fn sticker(asked: &Asked<'_>) -> Found {
    let ids = asked.ids(&["stickerId", "stickerIds"]);
    if ids.is_empty() {
        return Err(asked.missing("stickerId"));
    }
    let mut body = json!({"sticker_ids": ids});
    if let Some(text) = asked.text(&["message"]) {
        body["content"] = json!(text);
    }
    let path = format!("/channels/{}/messages", asked.channel()?);
    Ok((Call::new("POST", path, body), "stickers"))
}

fn event(asked: &Asked<'_>) -> Found {
    let guild = asked.guild()?;
    let mut body = json!({
        "name": asked.must(&["eventName", "name"])?,
        "scheduled_start_time": asked.must(&["startTime"])?,
        "privacy_level": 2,
    });
    let channel = asked.text(&["channelId"]).map(|_| asked.id(&["channelId"])).transpose()?;
    let place = asked.text(&["location"]);
    // Stage, voice, elsewhere: what else is said tells which.
    let kind = match (asked.text(&["eventType"]).as_deref(), &channel) {
        (Some("stage"), _) => 1,
        (Some("voice"), _) | (None, Some(_)) => 2,
        (Some("external") | None, _) => 3,
        (Some(_), _) => {
            return Err(Failure::permanent(
                "discord event-create: eventType is stage, voice or external",
            ));
        }
    };
    body["entity_type"] = json!(kind);
    if kind == 3 {
        let place = place.ok_or_else(|| asked.missing("location"))?;
        body["entity_metadata"] = json!({"location": place});
        body["scheduled_end_time"] = json!(asked.must(&["endTime"])?);
    } else {
        body["channel_id"] = json!(channel.ok_or_else(|| asked.missing("channelId"))?);
    }
    for (keys, name) in
        [(["desc", "description"], "description"), (["endTime", ""], "scheduled_end_time")]
    {
        if let Some(text) = asked.text(&keys) {
            body[name] = json!(text);
        }
    }
    Ok((Call::new("POST", format!("/guilds/{guild}/scheduled-events"), body), "events"))
}

fn moderate(asked: &Asked<'_>) -> Found {
    let (guild, user) = (asked.guild()?, asked.id(&["userId"])?);
    let member = format!("/guilds/{guild}/members/{user}");
    let (mut call, group) = match asked.name {
        "role-add" | "role-remove" => {
            let method = if asked.name == "role-add" { "PUT" } else { "DELETE" };
            let role = asked.id(&["roleId"])?;
            (Call::new(method, format!("{member}/roles/{role}"), Value::Null), "roles")
        }
        "kick" => (Call::new("DELETE", member, Value::Null), "moderation"),
        "ban" => {
            let days = asked.number("deleteDays").unwrap_or(0).min(7);
            let body = json!({"delete_message_seconds": days * 86_400});
            (Call::new("PUT", format!("/guilds/{guild}/bans/{user}"), body), "moderation")
        }
        _ => {
            // Without a time the timeout is taken back.
            let until = asked.text(&["until"]).map_or(Value::Null, Value::from);
            let body = json!({"communication_disabled_until": until});
            (Call::new("PATCH", member, body), "moderation")
        }
    };
    call.reason = asked.text(&["reason"]);
    Ok((call, group))
}

fn room(asked: &Asked<'_>) -> Found {
    let category = asked.name.starts_with("category");
    let group = "channels";
    if asked.name.ends_with("delete") {
        let id = if category { asked.id(&["categoryId"])? } else { asked.channel()? };
        return Ok((Call::new("DELETE", format!("/channels/{id}"), Value::Null), group));
    }
    let mut body = Map::new();
    if let Some(name) = asked.text(&["name"]) {
        body.insert("name".to_owned(), json!(name));
    }
    if let Some(topic) = asked.text(&["topic"]) {
        body.insert("topic".to_owned(), json!(topic));
    }
    if let Some(position) = asked.number("position") {
        body.insert("position".to_owned(), json!(position));
    }
    if !category && asked.text(&["parentId"]).is_some() {
        body.insert("parent_id".to_owned(), json!(asked.id(&["parentId"])?));
    }
    if asked.name.ends_with("edit") {
        let id = if category { asked.id(&["categoryId"])? } else { asked.channel()? };
        return Ok((Call::new("PATCH", format!("/channels/{id}"), Value::Object(body)), group));
    }
    asked.must(&["name"])?;
    let kind = if category { 4 } else { asked.number("type").unwrap_or(0) };
    body.insert("type".to_owned(), json!(kind));
    let path = format!("/guilds/{}/channels", asked.guild()?);
    Ok((Call::new("POST", path, Value::Object(body)), group))
}
