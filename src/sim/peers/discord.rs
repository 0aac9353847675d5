//! A fake of Discord: REST `https://discord.com/api/v10`, gateway `wss://gateway.discord.gg`.
//!
//! ```text
//!   socket: hello --> identify --> READY, GUILD_CREATE ... --> dispatches, numbered, kept
//!                 \-> resume ---> what was missed, RESUMED -/
//!   session: lives on without its socket, unless that was closed with 1000 or 1001
//! ```
//!
//! Rules kept, with the page of docs.discord.com that states them:
//!
//! * Version 10 and JSON are named in the URL; a heartbeat every `heartbeat_interval`; an
//!   unanswered one means: close with another code than 1000 and resume, never beat again
//!   ("Gateway", "Sending heartbeats"). Half an interval late is a broken rule and 4009.
//! * `resume_gateway_url` is used to resume, `seq` is not beyond what was sent (4007); a session
//!   closed with 1000 or 1001 is over, operation 9 says whether it can be resumed ("Gateway",
//!   "Resuming").
//! * Close codes 4001 to 4014; after 4004 and 4010 to 4014 the same identify is not tried again
//!   ("Opcodes and Status Codes").
//! * At most `max_concurrency` identifies in five seconds, else operation 9; a daily budget,
//!   as `GET /gateway/bot` says ("Gateway", "Session start limit").
//! * 120 events a minute from a client, else 4008; 4096 bytes in one, else 4002 ("Gateway",
//!   "Rate limiting", "Sending events").
//! * Intents select events; privileged ones must be enabled, else 4014; without MESSAGE_CONTENT
//!   the content of what does not concern the bot is empty ("Gateway", "Gateway intents").
//! * A valid User-Agent, `Authorization: Bot`; a bucket a route and channel, `X-RateLimit-*` on
//!   every answer, 429 with `retry_after`; 50 requests a second in all ("Rate Limits",
//!   "Reference"). Asking before that is over is a broken rule. Sizes of buckets are not
//!   published; those here are what is seen in practice.
//! * Content up to 2000 characters, an edit of own messages only, `nonce` with `enforce_nonce`
//!   posts once ("Message"); files are members `files[n]` of a form, 10 MB together ("Uploading
//!   Files"); 100 commands, their names and descriptions ("Application commands").
//! * An interaction is answered once and within three seconds, followed up for 15 minutes
//!   ("Receiving and Responding").
//!
//! Acts beside those of [`fake`](super::fake): `message` (`channel`, `guild`, `from`, `name`,
//! `content`, `mention`, `reply`, `file`), `edit`, `remove`, `react`, `command` (`name`,
//! `options`), `press` (`data`, `message`), `thread` (`parent`), `reconnect` (operation 7),
//! `invalidate` (operation 9; `resumable`), `close` (`code`), `muteAcks` (`count`), `beat`
//! (operation 1), `again` (the last `count` dispatches, under new numbers), `hold` and `release`
//! (dispatches in between come in reverse), `budget` (`remaining`), `revoke`,
//! `token` (the bot's is another one from here on).

mod gateway;
mod limits;
mod rest;

use super::fake::{Answer, Asked, Desk, Fake, Hung, Reply};
use crate::driver::Time;
use crate::sim::rng::Rng;
use crate::wire::text::rfc3339_ms;
use gateway::{Session, Socket};
use limits::Limits;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// First millisecond of Discord's ids.
const EPOCH_MS: u64 = 1_420_070_400_000;
/// An interaction is to be answered within this.
const ACK_MS: u64 = 3_000;
/// And followed up within this.
const FOLLOW_MS: u64 = 15 * 60_000;
/// A nonce is remembered so long.
const NONCE_MS: u64 = 120_000;

#[derive(Debug, Clone)]
struct Message {
    ours: bool,
    author: Value,
    content: String,
    /// Whatever else was given.
    rest: Value,
    reply: Option<u64>,
    mention: bool,
    at_ms: u64,
    edited_ms: Option<u64>,
}

#[derive(Debug, Default)]
struct Channel {
    guild: Option<u64>,
    kind: u64,
    parent: Option<u64>,
    messages: BTreeMap<u64, Message>,
}

struct Interaction {
    token: String,
    at: Time,
    acked: bool,
    /// Whether the three seconds were judged.
    judged: bool,
    /// The socket that it was told on.
    heard_by: Option<u64>,
    /// How often connections had been broken on purpose by then.
    shakes: u64,
    channel: u64,
    original: Option<u64>,
}

struct File {
    content_type: String,
    bytes: Vec<u8>,
}

/// The platform, and one application of it.
pub struct Discord {
    desk: Desk,
    rng: Rng,
    token: String,
    /// Milliseconds between heartbeats.
    pub beat_ms: u64,
    /// Where `GET /gateway/bot` sends clients.
    pub gateway_url: String,
    /// Where READY sends those who resume; its path or host tells it apart.
    pub resume_url: String,
    /// Where files are downloaded from.
    pub cdn_url: String,
    /// Intents that may be asked for.
    pub intents: u64,
    limits: Limits,
    sockets: BTreeMap<u64, Socket>,
    sessions: BTreeMap<String, Session>,
    /// Sessions that stand at once: the older's and the newer's socket, since.
    rivals: Vec<(u64, u64, Time)>,
    identifies: VecDeque<Time>,
    /// The last identify came too soon.
    hasty: bool,
    remaining: u64,
    /// Close code that forbids another try, and what was said.
    fatal: Option<(u16, Value)>,
    mute_acks: u64,
    held: Option<Vec<(String, Value)>>,
    channels: BTreeMap<u64, Channel>,
    guilds: Vec<u64>,
    interactions: BTreeMap<u64, Interaction>,
    commands: BTreeMap<String, Vec<Value>>,
    nonces: BTreeMap<(u64, String), (Time, u64)>,
    files: BTreeMap<String, File>,
    snowflakes: u64,
}

/// A member that is a number or a text that is one.
fn id(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

impl Discord {
    /// A platform whose bot has this token; `wall_zero_ms` is Unix time at time zero.
    pub fn new(rng: Rng, token: &str, wall_zero_ms: u64) -> Self {
        Self {
            desk: Desk::new(wall_zero_ms),
            rng,
            token: token.to_owned(),
            beat_ms: 41_250,
            gateway_url: "wss://gateway.discord.gg".to_owned(),
            resume_url: "wss://gateway-us-east1-b.discord.gg".to_owned(),
            cdn_url: "https://cdn.discordapp.com".to_owned(),
            intents: (1 << 26) - 1,
            limits: Limits::default(),
            sockets: BTreeMap::new(),
            sessions: BTreeMap::new(),
            rivals: Vec::new(),
            identifies: VecDeque::new(),
            hasty: false,
            remaining: 1000,
            fatal: None,
            mute_acks: 0,
            held: None,
            channels: BTreeMap::new(),
            guilds: vec![500],
            interactions: BTreeMap::new(),
            commands: BTreeMap::new(),
            nonces: BTreeMap::new(),
            files: BTreeMap::new(),
            snowflakes: 0,
        }
    }

    /// Id of the application and of its user.
    pub const APP: u64 = 42;

    fn me(&self) -> Value {
        json!({
            "id": Self::APP.to_string(), "username": "fake", "discriminator": "0",
            "global_name": null, "avatar": null, "bot": true, "verified": true,
            "mfa_enabled": false, "flags": 0, "email": null,
        })
    }

    /// Everything a test may want to see.
    pub fn report(&self) -> Value {
        let mut report = self.desk.report();
        let resumes: u64 = self.sessions.values().map(|session| session.resumes).sum();
        report["sessions"] = self.sessions.len().into();
        report["resumes"] = resumes.into();
        report["live"] = self.sessions.values().filter(|it| it.conn.is_some()).count().into();
        report["commands"] = json!(self.commands);
        let text = |file: &File| String::from_utf8_lossy(&file.bytes).into_owned();
        report["files"] = self.files.values().map(text).collect();
        report
    }

    fn snowflake(&mut self, now: Time) -> u64 {
        self.snowflakes += 1;
        (self.desk.wall_ms(now).saturating_sub(EPOCH_MS) << 22) | (self.snowflakes & 0xfff)
    }

    fn user(act: &Value) -> Value {
        let from = id(&act["from"]).unwrap_or(7);
        let name = act["name"].as_str().unwrap_or("user");
        json!({
            "id": from.to_string(), "username": name, "discriminator": "0", "global_name": name,
            "avatar": null, "bot": act["bot"] == true, "public_flags": 0,
        })
    }

    fn member() -> Value {
        json!({
            "roles": [], "joined_at": "2026-01-01T00:00:00.000000+00:00", "deaf": false,
            "mute": false, "flags": 0, "nick": null, "avatar": null, "premium_since": null,
            "pending": false, "communication_disabled_until": null,
        })
    }

    /// The channel of an act; made when it is not there.
    fn channel(&mut self, act: &Value) -> u64 {
        let channel = id(&act["channel"]).unwrap_or(700);
        let guild = id(&act["guild"]);
        let fresh = !self.channels.contains_key(&channel);
        if let Some(guild) = guild.filter(|guild| !self.guilds.contains(guild)) {
            self.guilds.push(guild);
        }
        let known = self.channels.entry(channel).or_default();
        if fresh {
            known.guild = guild;
            known.kind = u64::from(guild.is_none());
            known.parent = id(&act["parent"]);
            if known.parent.is_some() {
                known.kind = 11;
            }
            let made = self.channel_value(channel, act);
            let name = if known_thread(&made) { "THREAD_CREATE" } else { "CHANNEL_CREATE" };
            self.dispatch(name, made);
        }
        channel
    }

    fn channel_value(&self, channel: u64, act: &Value) -> Value {
        let Some(known) = self.channels.get(&channel) else { return Value::Null };
        let mut value = json!({
            "id": channel.to_string(), "type": known.kind, "flags": 0,
            "last_message_id": known.messages.last_key_value().map(|(id, _)| id.to_string()),
        });
        match known.guild {
            None => value["recipients"] = json!([Self::user(act)]),
            Some(guild) => {
                value["guild_id"] = guild.to_string().into();
                value["name"] = format!("channel-{channel}").into();
                value["position"] = 0.into();
                value["permission_overwrites"] = json!([]);
                value["nsfw"] = false.into();
                value["topic"] = Value::Null;
                value["rate_limit_per_user"] = 0.into();
                value["parent_id"] = known.parent.map(|parent| parent.to_string()).into();
            }
        }
        if known.kind == 11 {
            value["owner_id"] = "7".into();
            value["thread_metadata"] = json!({
                "archived": false, "auto_archive_duration": 1440, "locked": false,
                "archive_timestamp": "2026-01-01T00:00:00.000000+00:00",
            });
            value["message_count"] = 0.into();
            value["member_count"] = 1.into();
        }
        value
    }

    fn guild_value(&self, guild: u64) -> Value {
        let inside = |thread: bool| -> Vec<Value> {
            self.channels
                .iter()
                .filter(|(_, known)| known.guild == Some(guild) && (known.kind == 11) == thread)
                .map(|(id, _)| self.channel_value(*id, &Value::Null))
                .collect()
        };
        let mut member = Self::member();
        member["user"] = self.me();
        let mut whole = json!({
            "id": guild.to_string(), "name": "Guild", "owner_id": "7", "afk_timeout": 300,
            "verification_level": 0, "default_message_notifications": 0,
            "explicit_content_filter": 0, "emojis": [], "features": [], "mfa_level": 0,
            "system_channel_flags": 0, "premium_tier": 0, "preferred_locale": "en-US",
            "nsfw_level": 0, "stickers": [], "premium_progress_bar_enabled": false,
            "joined_at": "2026-01-01T00:00:00.000000+00:00", "large": false,
            "unavailable": false, "member_count": 2, "members": [member],
            "channels": inside(false), "threads": inside(true),
            "roles": [{
                "id": guild.to_string(), "name": "@everyone", "color": 0, "hoist": false,
                "position": 0, "permissions": "8", "managed": false, "mentionable": false,
                "flags": 0, "colors": {"primary_color": 0},
            }],
        });
        for name in [
            "icon",
            "splash",
            "discovery_splash",
            "afk_channel_id",
            "application_id",
            "system_channel_id",
            "rules_channel_id",
            "vanity_url_code",
            "description",
            "banner",
            "public_updates_channel_id",
            "safety_alerts_channel_id",
        ] {
            whole[name] = Value::Null;
        }
        let empty = ["voice_states", "presences", "stage_instances", "guild_scheduled_events"];
        for name in empty {
            whole[name] = json!([]);
        }
        whole
    }

    fn message_value(&self, channel: u64, id: u64) -> Value {
        let Some(known) = self.channels.get(&channel) else { return Value::Null };
        let Some(message) = known.messages.get(&id) else { return Value::Null };
        let mentions = if message.mention { json!([self.me()]) } else { json!([]) };
        let mut value = json!({
            "id": id.to_string(), "channel_id": channel.to_string(), "author": message.author,
            "content": message.content, "timestamp": rfc3339_ms(message.at_ms),
            "edited_timestamp": message.edited_ms.map(rfc3339_ms), "tts": false,
            "mention_everyone": false, "mentions": mentions, "mention_roles": [],
            "attachments": [], "embeds": [], "pinned": false,
            "type": if message.reply.is_some() { 19 } else { 0 }, "flags": 0, "components": [],
        });
        for name in ["embeds", "components", "attachments", "nonce"] {
            if !message.rest[name].is_null() {
                value[name] = message.rest[name].clone();
            }
        }
        if let Some(reply) = message.reply {
            let mut reference = json!({
                "type": 0, "message_id": reply.to_string(), "channel_id": channel.to_string(),
            });
            if let Some(guild) = known.guild {
                reference["guild_id"] = guild.to_string().into();
            }
            value["message_reference"] = reference;
            let answered = self.message_value(channel, reply);
            value["referenced_message"] = answered;
        }
        value
    }

    /// As an event shows it: with guild and member.
    fn message_event(&self, channel: u64, id: u64) -> Value {
        let mut value = self.message_value(channel, id);
        if let Some(guild) = self.channels.get(&channel).and_then(|known| known.guild) {
            value["guild_id"] = guild.to_string().into();
            value["member"] = Self::member();
        }
        value
    }

    /// Stores a file; how it looks attached.
    fn attach(&mut self, now: Time, name: &str, content_type: &str, bytes: Vec<u8>) -> Value {
        let file = self.snowflake(now);
        let path = format!("attachments/{file}/{name}");
        let size = bytes.len();
        let url = format!("{}/{path}", self.cdn_url);
        self.files.insert(path, File { content_type: content_type.to_owned(), bytes });
        json!({
            "id": file.to_string(), "filename": name, "size": size, "url": url,
            "proxy_url": url, "content_type": content_type,
        })
    }

    /// A message of somebody.
    fn incoming(&mut self, now: Time, act: &Value) -> Value {
        let channel = self.channel(act);
        let mut content = act["content"].as_str().unwrap_or_default().to_owned();
        let mention = act["mention"] == true;
        if mention {
            content = format!("<@{}> {content}", Self::APP);
        }
        let mut rest = json!({});
        if let Some(file) = Hung::of(act) {
            let kind = match file.content_type.as_str() {
                "text/plain" => "text/plain; charset=utf-8",
                other => other,
            };
            let mut shown = self.attach(now, &file.name, kind, file.bytes);
            shown["size"] = file.size.into();
            rest["attachments"] = json!([shown]);
        }
        let message = Message {
            ours: false,
            author: Self::user(act),
            content,
            rest,
            reply: id(&act["reply"]),
            mention,
            at_ms: self.desk.wall_ms(now),
            edited_ms: None,
        };
        let id = self.snowflake(now);
        self.channels.entry(channel).or_default().messages.insert(id, message);
        let event = self.message_event(channel, id);
        self.dispatch("MESSAGE_CREATE", event);
        json!({"channel": channel.to_string(), "message": id.to_string()})
    }

    fn interaction(&mut self, now: Time, act: &Value) -> Value {
        let channel = self.channel(act);
        let id = self.snowflake(now);
        let token = format!("interaction{:016x}", self.rng.next());
        let press = act["act"] == "press";
        let about = match press {
            true => json!({"custom_id": act["data"], "component_type": 2}),
            false => json!({
                "id": "900", "name": act["name"], "type": 1, "options": act["options"],
            }),
        };
        let shown = self.channel_value(channel, act);
        let mut event = json!({
            "id": id.to_string(), "application_id": Self::APP.to_string(),
            "type": if press { 3 } else { 2 }, "data": about, "token": token, "version": 1,
            "channel_id": channel.to_string(), "channel": shown, "locale": "en-US",
            "app_permissions": "8", "entitlements": [], "authorizing_integration_owners": {},
            "context": 0, "attachment_size_limit": 10_485_760,
        });
        if press {
            let message = self::id(&act["message"]).unwrap_or(0);
            event["message"] = self.message_value(channel, message);
        }
        match self.channels.get(&channel).and_then(|known| known.guild) {
            Some(guild) => {
                let mut member = Self::member();
                member["user"] = Self::user(act);
                member["permissions"] = "8".into();
                event["guild_id"] = guild.to_string().into();
                event["member"] = member;
            }
            None => event["user"] = Self::user(act),
        }
        let kept = Interaction {
            token: token.clone(),
            at: now,
            acked: false,
            // Held back, it comes too late.
            judged: self.held.is_some(),
            heard_by: self.hearing(),
            shakes: self.desk.shakes,
            channel,
            original: None,
        };
        self.interactions.insert(id, kept);
        self.dispatch("INTERACTION_CREATE", event);
        json!({"interaction": id.to_string(), "token": token})
    }

    fn changed(&mut self, now: Time, act: &Value) -> Result<Value, String> {
        let channel = self.channel(act);
        let message = id(&act["message"]).ok_or("which message?")?;
        let mut about = json!({
            "id": message.to_string(), "channel_id": channel.to_string(),
        });
        if let Some(guild) = self.channels.get(&channel).and_then(|known| known.guild) {
            about["guild_id"] = guild.to_string().into();
        }
        let at_ms = self.desk.wall_ms(now);
        let messages = &mut self.channels.entry(channel).or_default().messages;
        match act["act"].as_str().unwrap_or_default() {
            "edit" => {
                let known = messages.get_mut(&message).ok_or("no such message")?;
                known.content = act["content"].as_str().unwrap_or_default().to_owned();
                known.edited_ms = Some(at_ms);
                let event = self.message_event(channel, message);
                self.dispatch("MESSAGE_UPDATE", event);
            }
            "remove" => {
                messages.remove(&message);
                self.dispatch("MESSAGE_DELETE", about);
            }
            _ => {
                about["message_id"] = message.to_string().into();
                about["user_id"] = Self::user(act)["id"].clone();
                about["emoji"] = json!({"id": null, "name": act["emoji"]});
                about["burst"] = false.into();
                about["type"] = 0.into();
                self.dispatch("MESSAGE_REACTION_ADD", about);
            }
        }
        Ok(Value::Null)
    }
}

fn known_thread(channel: &Value) -> bool {
    channel["type"] == 11
}

impl Fake for Discord {
    fn desk(&mut self) -> &mut Desk {
        &mut self.desk
    }

    fn asked(&mut self, now: Time, _conn: u64, asked: &Asked) -> Reply {
        Reply::Now(self.rest(now, asked))
    }

    fn too_many(&mut self, now: Time, asked: &Asked, seconds: u64) -> Answer {
        self.limits.order(now, asked, seconds)
    }

    fn upgrade(&mut self, now: Time, conn: u64, asked: &Asked) -> Result<(), Answer> {
        self.connect(now, conn, asked);
        Ok(())
    }

    fn opened(&mut self, now: Time, conn: u64) {
        self.hello(now, conn);
    }

    fn heard(&mut self, now: Time, conn: u64, text: &str) {
        self.event(now, conn, text);
    }

    fn gone(&mut self, now: Time, conn: u64, code: Option<u16>) {
        self.socket_gone(now, conn, code);
    }

    fn spoiled(&mut self, asked: &Asked) {
        if let Some(id) = asked.segments().iter().find_map(|part| part.parse::<u64>().ok())
            && let Some(interaction) = self.interactions.get_mut(&id)
        {
            interaction.judged = true;
        }
    }

    fn act(&mut self, now: Time, act: &Value) -> Result<Value, String> {
        match act["act"].as_str().unwrap_or_default() {
            "message" => return Ok(self.incoming(now, act)),
            "command" | "press" => return Ok(self.interaction(now, act)),
            "edit" | "remove" | "react" => return self.changed(now, act),
            "thread" => {
                let channel = self.channel(act);
                return Ok(json!({"channel": channel.to_string()}));
            }
            "hold" => {
                self.held.get_or_insert_with(Vec::new);
            }
            "release" => {
                for (name, what) in self.held.take().unwrap_or_default().into_iter().rev() {
                    self.dispatch(&name, what);
                }
            }
            "again" => self.again(act["count"].as_u64().unwrap_or(1) as usize),
            "stranger" => {
                self.limits.forget();
                self.hasty = false;
                // Whoever heard of those is gone.
                self.interactions.values_mut().for_each(|it| it.judged = true);
            }
            "budget" => self.remaining = act["remaining"].as_u64().unwrap_or(0),
            "muteAcks" => self.mute_acks = act["count"].as_u64().unwrap_or(1),
            "revoke" => self.token = "revoked".to_owned(),
            "token" => {
                self.token = act["token"].as_str().unwrap_or_default().to_owned();
                self.renewed();
            }
            "reconnect" | "invalidate" | "close" | "beat" => self.push_around(act),
            other => return Err(format!("no such act: {other}")),
        }
        Ok(Value::Null)
    }

    fn tick(&mut self, now: Time) {
        self.tick_sockets(now);
        let mut late = Vec::new();
        for (id, interaction) in &mut self.interactions {
            if now.ms_since(interaction.at) < ACK_MS {
                continue;
            }
            let judged = std::mem::replace(&mut interaction.judged, true) || interaction.acked;
            // Whoever heard of it was there all the time, and nothing stood in the way.
            let there = interaction.heard_by.is_some_and(|conn| self.desk.stands(conn));
            if !judged && there && interaction.shakes == self.desk.shakes {
                late.push(*id);
            }
        }
        for id in late {
            self.desk.broke(format!("interaction {id} was not answered within {ACK_MS} ms"));
        }
        self.interactions.retain(|_, it| now.ms_since(it.at) < FOLLOW_MS);
        self.nonces.retain(|_, (at, _)| now.ms_since(*at) < NONCE_MS);
    }

    fn deadline(&self) -> Option<Time> {
        let waiting = self.interactions.values().filter(|it| !it.judged);
        waiting.map(|it| it.at.after_ms(ACK_MS)).chain(self.sockets_deadline()).min()
    }
}

#[cfg(test)]
mod tests;
