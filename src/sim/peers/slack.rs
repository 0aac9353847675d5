//! A fake of Slack: Web API `https://slack.com/api/<method>`, Socket Mode, Events API.
//!
//! ```text
//!   act --> envelope --+-- socket mode: one of the open sockets --> ack within 3 s
//!                      |                     \-- none: again, retry_attempt + 1
//!                      +-- events API: signed POST --> 2xx within 3 s, else again
//! ```
//!
//! Rules kept, with the page of docs.slack.dev that states them:
//!
//! * `apps.connections.open` wants the app-level token and gives a URL that works once and not
//!   for long; up to ten sockets an app; the client begins nothing before `hello` ("Using Socket
//!   Mode"). More than [`Slack::sockets_most`] standing sockets are a broken rule: one live, one
//!   warming.
//! * Each envelope is acknowledged by its id within three seconds, once, on the socket it came
//!   on; an event that is not is sent again with `retry_attempt` and `retry_reason`, three times
//!   ("Using Socket Mode", "The Events API", "Retries").
//! * `disconnect` with reason `warning` comes ten seconds before the socket is closed,
//!   `refresh_requested` with it, `link_disabled` when the mode is switched off ("Using Socket
//!   Mode", "Disconnects").
//! * The Events API signs `v0:<timestamp>:<body>` with HMAC-SHA256 as `X-Slack-Signature`, begins
//!   with `url_verification`, says `X-Slack-Retry-Num` ("Verifying requests from Slack").
//! * The Web API answers 200 with `ok: false` and `error`; 429 with `Retry-After`, `ratelimited`
//!   ("Using the Slack Web API", "Rate limits"): posting about one message a second a channel
//!   with short bursts. Asking the same method before that is over is a broken rule.
//! * A text has up to 40,000 characters; only own messages are updated or deleted; reactions are
//!   there once; a `trigger_id` lives three seconds and works once; a `response_url` works five
//!   times in thirty minutes (the methods' pages, "Handling user interaction").
//! * A file is uploaded by `files.getUploadURLExternal`, the URL, `files.completeUploadExternal`,
//!   with as many bytes as were announced; it is fetched with the bot's token ("Working with
//!   files").
//!
//! Acts beside those of [`fake`](super::fake): `message` (`channel`, `user`, `text`, `thread_ts`,
//! `mention`, `file`, `extra`), `event` (any, as `event`), `slash` (`command`, `text`), `press`
//! (`action`, `value`), `erase` (`ts`), `again` (the last `count` events, same `event_id`),
//! `hold` and `release` (what comes in between comes in reverse), `warn` (then close),
//! `refresh`, `disable`, `eventsApi` (`url`: verify it and send events there), `revoke`, `token`
//! (the bot's is another one from here on).

mod socket;
mod web;

use super::fake::{Answer, Asked, Desk, Fake, Hung, Reply};
use crate::driver::Time;
use crate::sim::rng::Rng;
use serde_json::{Value, json};
use socket::{Delivery, Socket};
use std::collections::{BTreeMap, VecDeque};

/// An envelope or event is to be acknowledged within this.
const ACK_MS: u64 = 3_000;
/// Events kept for the act `again`.
const OLD: usize = 100;

#[derive(Debug, Clone)]
struct Message {
    ours: bool,
    user: String,
    text: String,
    thread: Option<String>,
    reactions: Vec<String>,
    /// What the client hung on it for itself.
    metadata: Value,
}

#[derive(Debug, Default)]
struct Channel {
    messages: BTreeMap<String, Message>,
    sent: VecDeque<Time>,
}

struct File {
    name: String,
    bytes: Option<Vec<u8>>,
    /// Bytes that it is told to have.
    length: u64,
    completed: bool,
}

/// How the platform counts what its methods may do.
#[derive(Debug, Default)]
struct Waits {
    /// By method and channel: said when, until when.
    until: BTreeMap<String, (Time, Time)>,
}

/// The platform: one workspace with one app.
pub struct Slack {
    desk: Desk,
    rng: Rng,
    bot_token: String,
    app_token: String,
    secret: String,
    /// Where sockets are opened.
    pub socket_url: String,
    /// Where files go up and down, and `response_url`s are.
    pub site_url: String,
    /// Sockets that may stand at once; a third is a broken rule.
    pub sockets_most: usize,
    /// Between a warning and the close.
    pub warning_ms: u64,
    revoked: bool,
    tickets: BTreeMap<String, Time>,
    sockets: BTreeMap<u64, Socket>,
    /// More sockets than allowed, since.
    crowd: Option<Time>,
    waiting: VecDeque<Delivery>,
    old: VecDeque<Value>,
    held: Option<Vec<Delivery>>,
    /// The client's address for the Events API.
    hook: Option<String>,
    channels: BTreeMap<String, Channel>,
    files: BTreeMap<String, File>,
    triggers: BTreeMap<String, Time>,
    responses: BTreeMap<String, (Time, u32, String)>,
    waits: Waits,
    stamps: u64,
}

impl Slack {
    /// The workspace's bot.
    pub const BOT: &str = "UFAKEBOT";
    /// Its team.
    pub const TEAM: &str = "TFAKE";
    /// The app.
    pub const APP: &str = "AFAKE";

    /// A platform with these tokens and this signing secret.
    pub fn new(rng: Rng, tokens: (&str, &str), secret: &str, wall_zero_ms: u64) -> Self {
        Self {
            desk: Desk::new(wall_zero_ms),
            rng,
            bot_token: tokens.0.to_owned(),
            app_token: tokens.1.to_owned(),
            secret: secret.to_owned(),
            socket_url: "wss://wss-primary.slack.com".to_owned(),
            site_url: "https://slack.com".to_owned(),
            sockets_most: 2,
            warning_ms: 10_000,
            revoked: false,
            tickets: BTreeMap::new(),
            sockets: BTreeMap::new(),
            crowd: None,
            waiting: VecDeque::new(),
            old: VecDeque::new(),
            held: None,
            hook: None,
            channels: BTreeMap::new(),
            files: BTreeMap::new(),
            triggers: BTreeMap::new(),
            responses: BTreeMap::new(),
            waits: Waits::default(),
            stamps: 0,
        }
    }

    /// Everything a test may want to see.
    pub fn report(&self) -> Value {
        let mut report = self.desk.report();
        report["sockets"] = self.sockets.values().filter(|it| it.live()).count().into();
        report["waiting"] = (self.waiting.len() + self.under_way()).into();
        let whole = self.files.values().filter(|file| file.completed);
        let text = |file: &File| {
            file.bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        report["files"] = whole.filter_map(text).collect();
        report
    }

    /// A message's name: seconds and six digits, never twice.
    fn stamp(&mut self, now: Time) -> String {
        self.stamps += 1;
        format!("{}.{:06}", self.desk.wall_ms(now) / 1000, self.stamps)
    }

    fn incoming(&mut self, now: Time, act: &Value) -> Value {
        let channel = act["channel"].as_str().unwrap_or("D0FAKE").to_owned();
        let user = act["user"].as_str().unwrap_or("U0USER").to_owned();
        let ts = self.stamp(now);
        let mention = act["mention"] == true;
        let mut text = act["text"].as_str().unwrap_or_default().to_owned();
        if mention {
            text = format!("<@{}> {text}", Self::BOT);
        }
        let thread = act["thread_ts"].as_str().map(str::to_owned);
        let message = Message {
            ours: false,
            user: user.clone(),
            text: text.clone(),
            thread: thread.clone(),
            reactions: Vec::new(),
            metadata: Value::Null,
        };
        self.channels.entry(channel.clone()).or_default().messages.insert(ts.clone(), message);
        let kind = match channel.chars().next() {
            Some('D') => "im",
            Some('G') => "group",
            _ if is_mpim(&channel) => "mpim",
            _ => "channel",
        };
        let mut event = json!({
            "type": "message", "channel": channel, "channel_type": kind, "user": user,
            "text": text, "ts": ts, "event_ts": ts, "team": Self::TEAM,
        });
        if let Some(thread) = thread {
            event["thread_ts"] = thread.into();
        }
        if let Some(Hung { name, content_type, bytes, size }) = Hung::of(act) {
            let id = format!("F{:08X}", self.rng.below(1 << 32));
            let url = format!("{}/files-pri/{id}/{name}", self.site_url);
            event["subtype"] = "file_share".into();
            event["files"] = json!([{
                "id": id, "name": name, "mimetype": content_type, "size": size,
                "url_private": url, "url_private_download": url, "mode": "hosted",
            }]);
            self.files.insert(id, File { name, bytes: Some(bytes), length: size, completed: true });
        }
        if let Some(extra) = act["extra"].as_object() {
            for (name, value) in extra {
                event[name] = value.clone();
            }
        }
        // A mention comes twice, as in the real one: as a message and as a mention.
        let mut twin = event.clone();
        self.happened(now, event);
        if mention {
            twin["type"] = "app_mention".into();
            // It does not say in what kind of conversation.
            twin.as_object_mut().map(|fields| fields.remove("channel_type"));
            self.happened(now, twin);
        }
        json!({"channel": channel, "ts": ts})
    }

    /// An event, in the callback that carries it.
    fn happened(&mut self, now: Time, event: Value) {
        let id = format!("Ev{:010X}", self.rng.below(1 << 40));
        let callback = json!({
            "token": "unused", "team_id": Self::TEAM, "api_app_id": Self::APP, "event": event,
            "type": "event_callback", "event_id": id, "is_ext_shared_channel": false,
            "event_time": self.desk.wall_ms(now) / 1000,
            "authorizations": [{
                "enterprise_id": null, "team_id": Self::TEAM, "user_id": Self::BOT,
                "is_bot": true, "is_enterprise_install": false,
            }],
        });
        self.old.push_back(callback.clone());
        if self.old.len() > OLD {
            self.old.pop_front();
        }
        self.queue(now, Delivery::new("events_api", callback));
    }

    /// A slash command or a press, with what lets the client answer.
    fn interactive(&mut self, now: Time, act: &Value) -> Value {
        let trigger = format!("{}.{:x}", self.desk.wall_ms(now), self.rng.next());
        self.triggers.insert(trigger.clone(), now);
        let token = format!("{:016x}", self.rng.next());
        let channel = act["channel"].as_str().unwrap_or("D0FAKE").to_owned();
        self.channels.entry(channel.clone()).or_default();
        let url = format!("{}/response/{token}", self.site_url);
        self.responses.insert(token, (now, 5, channel.clone()));
        let user = act["user"].as_str().unwrap_or("U0USER");
        let name = match channel.chars().next() {
            Some('D') => "directmessage".to_owned(),
            Some('G') => "privategroup".to_owned(),
            _ => channel.to_ascii_lowercase(),
        };
        let (kind, payload) = match act["act"] == "slash" {
            true => (
                "slash_commands",
                json!({
                    "token": "unused", "team_id": Self::TEAM, "team_domain": "fake",
                    "channel_id": channel, "channel_name": name, "user_id": user,
                    "user_name": "user", "command": act["command"], "text": act["text"],
                    "api_app_id": Self::APP, "is_enterprise_install": "false",
                    "response_url": url, "trigger_id": trigger,
                }),
            ),
            false => (
                "interactive",
                json!({
                    "type": "block_actions", "team": {"id": Self::TEAM, "domain": "fake"},
                    "user": {"id": user, "username": "user", "team_id": Self::TEAM},
                    "api_app_id": Self::APP, "token": "unused", "trigger_id": trigger,
                    "channel": {"id": channel, "name": name}, "response_url": url,
                    "container": {"type": "message", "channel_id": channel},
                    "actions": [{
                        "action_id": act["action"], "block_id": "b", "type": "button",
                        "value": act["value"], "action_ts": self.desk.wall_ms(now).to_string(),
                    }],
                }),
            ),
        };
        self.queue(now, Delivery::new(kind, payload));
        json!({"trigger": trigger, "responseUrl": url})
    }
}

/// Direct conversations of several people, whose ids look like a channel's.
fn is_mpim(id: &str) -> bool {
    id.starts_with("C0MPIM")
}

impl Fake for Slack {
    fn desk(&mut self) -> &mut Desk {
        &mut self.desk
    }

    fn asked(&mut self, now: Time, _conn: u64, asked: &Asked) -> Reply {
        Reply::Now(self.web(now, asked))
    }

    fn too_many(&mut self, now: Time, asked: &Asked, seconds: u64) -> Answer {
        self.must_wait(now, asked, seconds)
    }

    fn upgrade(&mut self, now: Time, conn: u64, asked: &Asked) -> Result<(), Answer> {
        self.ticket(now, conn, asked)
    }

    fn opened(&mut self, now: Time, conn: u64) {
        self.hello(now, conn);
    }

    fn heard(&mut self, now: Time, conn: u64, text: &str) {
        self.acked(now, conn, text);
    }

    fn gone(&mut self, now: Time, conn: u64, _code: Option<u16>) {
        self.socket_gone(now, conn);
    }

    fn answered(&mut self, now: Time, call: u64, answer: Option<(u16, Vec<u8>)>) {
        self.hook_answered(now, call, answer);
    }

    fn act(&mut self, now: Time, act: &Value) -> Result<Value, String> {
        match act["act"].as_str().unwrap_or_default() {
            "message" => return Ok(self.incoming(now, act)),
            "slash" | "press" => return Ok(self.interactive(now, act)),
            "event" => self.happened(now, act["event"].clone()),
            // Somebody deletes a message of ours.
            "erase" => {
                let (channel, ts) = (act["channel"].as_str(), act["ts"].as_str());
                let known = self.channels.get_mut(channel.unwrap_or_default());
                let message = known.and_then(|it| it.messages.remove(ts.unwrap_or_default()));
                return Ok(json!({"erased": message.is_some()}));
            }
            "again" => {
                let count = act["count"].as_u64().unwrap_or(1) as usize;
                let from = self.old.len().saturating_sub(count);
                let again: Vec<Value> = self.old.iter().skip(from).cloned().collect();
                for event in again {
                    self.queue(now, Delivery::new("events_api", event));
                }
            }
            "hold" => {
                self.held.get_or_insert_with(Vec::new);
            }
            "release" => {
                for delivery in self.held.take().unwrap_or_default().into_iter().rev() {
                    self.queue(now, delivery);
                }
            }
            "warn" | "refresh" | "disable" => self.disconnect(now, act),
            "stranger" => self.waits.until.clear(),
            "eventsApi" => self.verify(now, act["url"].as_str().unwrap_or_default()),
            "token" => self.bot_token = act["token"].as_str().unwrap_or_default().to_owned(),
            "revoke" => self.revoked = act["revoked"].as_bool().unwrap_or(true),
            other => return Err(format!("no such act: {other}")),
        }
        Ok(Value::Null)
    }

    fn tick(&mut self, now: Time) {
        self.tick_sockets(now);
        self.triggers.retain(|_, at| now.ms_since(*at) < ACK_MS);
        self.tickets.retain(|_, until| *until > now);
        self.responses.retain(|_, (at, left, _)| *left > 0 && now.ms_since(*at) < 1_800_000);
    }

    fn deadline(&self) -> Option<Time> {
        self.sockets_deadline()
    }
}

#[cfg(test)]
mod tests;
