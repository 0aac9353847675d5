//! A fake of Telegram's Bot API: `https://api.telegram.org/bot<token>/<method>`.
//!
//! ```text
//!   act --> updates, numbered --+-- getUpdates: held until there is one, or its timeout
//!                               +-- webhook: posted one by one, again until 2xx
//!   sendMessage ... --> chats, each with its messages, its limits, its topics
//! ```
//!
//! Rules kept, with the page of core.telegram.org that states them:
//!
//! * An unknown token is 401, an unknown method 404; parameters come by query, form, JSON or
//!   multipart; an error is `{ok: false, error_code, description}` ("Making requests").
//! * One poll at a time: a second `getUpdates` ends the first with 409; while a webhook is set
//!   there is none, 409 ("Getting updates"; the sentences are those of the open-source server
//!   `tdlib/telegram-bot-api`, as is the three-second pause before a repeated 409).
//! * `offset` confirms every update below it; negative counts from the end; `limit` is 1 to
//!   100, `timeout` up to 50 s; `allowed_updates` selects ("getUpdates").
//! * A webhook has an HTTPS URL on port 443, 80, 88 or 8443 and a secret of 1 to 256 characters
//!   of `A-Za-z0-9_-`, delivered as `X-Telegram-Bot-Api-Secret-Token`; anything but 2xx is
//!   posted again; the answer may hold one method call ("setWebhook").
//! * Text is 1 to 4096 characters after the entities are parsed, a caption 0 to 1024; counted
//!   here in UTF-16 units, the stricter reading ("sendMessage", "sendPhoto"). HTML and MarkdownV2
//!   that does not parse is 400 ("Formatting options"); legacy Markdown is taken as it is.
//! * In one chat about one message a second, in a group 20 a minute, in all 30 a second; short
//!   bursts pass; then 429 with `parameters.retry_after` ("Bots FAQ", "My bot is hitting
//!   limits"). Asking again before that is over is a broken rule.
//! * An edit must change something; only own messages are edited; callback data has 1 to 64
//!   bytes; a callback query wants `answerCallbackQuery` ("Updating messages",
//!   "InlineKeyboardButton", "CallbackQuery").
//! * Photos up to 10 MB, other files 50 MB up and 20 MB down ("Sending files", "getFile").
//!
//! Acts beside those of [`fake`](super::fake): `message` (`chat`, `type`, `from`, `name`, `text`,
//! `topic`, `reply`, `photo`, `document`, `voice`, `caption`, `extra`), `edit`, `press` (`message`,
//! `data`), `update` (any, as `fields`), `again` (the last `count` updates once more, with their
//! old numbers), `shuffle` (what waits changes places), `erase` (`chat`, `message`), `kick`,
//! `migrate` (`to`), `revoke`, `anew` (buttons pressed so far may spin on), `token` (the bot's is
//! another one from here on) and `webhook` (somebody else sets one: `url`).

mod markup;
mod methods;

use super::fake::{Answer, Asked, Call, Desk, FLIGHT_MS, Fake, GRACE_MS, Line, Reply};
use crate::driver::Time;
use crate::sim::rng::Rng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// Longest that a poll is held.
const POLL_S: i64 = 50;
/// A press that was delivered wants an answer within this.
const PRESS_MS: u64 = 60_000;
/// A webhook's answer is waited for so long.
const HOOK_PATIENCE_MS: u64 = 20_000;
/// Updates kept after confirmation, for the act `again`.
const OLD: usize = 100;
/// Kinds that come only when asked for by name.
const UNUSUAL: [&str; 3] = ["chat_member", "message_reaction", "message_reaction_count"];

/// How many messages pass.
#[derive(Debug, Clone)]
pub struct Pace {
    /// So many messages in one chat ...
    pub chat: usize,
    /// ... in this time.
    pub chat_ms: u64,
    /// In a group in a minute.
    pub group: usize,
    /// In all in a second.
    pub all: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { chat: 5, chat_ms: 5_000, group: 20, all: 30 }
    }
}

#[derive(Debug, Clone)]
struct Message {
    ours: bool,
    text: String,
    markup: Value,
    media: bool,
}

#[derive(Debug, Default)]
struct Chat {
    kind: String,
    messages: BTreeMap<i64, Message>,
    /// The number of the newest message there ever was.
    last: i64,
    topics: Vec<i64>,
    sent: VecDeque<Time>,
    /// Nothing is to be sent before then; it was said at that time.
    wait: Option<(Time, Time)>,
    kicked: bool,
    migrated: Option<i64>,
}

struct Poll {
    conn: u64,
    limit: usize,
    until: Time,
}

#[derive(Debug, Default)]
struct Hook {
    url: String,
    secret: String,
    max: i64,
    /// The call under way, and which update it carries.
    busy: Option<(u64, i64)>,
    next: Time,
    failures: u32,
    error: Option<(u64, String)>,
}

struct File {
    path: String,
    bytes: Vec<u8>,
}

/// The platform, and one bot of it.
pub struct Telegram {
    desk: Desk,
    rng: Rng,
    token: String,
    /// How many messages pass.
    pub pace: Pace,
    /// A webhook may be plain HTTP, anywhere: for the loopback.
    pub any_hook: bool,
    revoked: bool,
    chats: BTreeMap<i64, Chat>,
    /// Numbered, and when each was delivered last.
    updates: VecDeque<(i64, Value)>,
    old: VecDeque<(i64, Value)>,
    next_update: i64,
    allowed: Option<Vec<String>>,
    poll: Option<Poll>,
    /// Polls that two connections held at once: the older, the newer, since.
    rivals: Vec<(u64, u64, Time)>,
    conflict: Time,
    late: Vec<(Time, u64, Answer)>,
    hook: Option<Hook>,
    files: BTreeMap<String, File>,
    commands: BTreeMap<String, Value>,
    presses: BTreeMap<String, Time>,
    /// The highest number that was shown to anybody, and to who is gone.
    shown: (i64, i64),
    sent: VecDeque<Time>,
    wait: Option<(Time, Time)>,
}

fn error(code: u16, description: &str) -> Answer {
    let body = json!({"ok": false, "error_code": code, "description": description});
    Answer::json(code, &body)
}

fn ok(result: Value) -> Answer {
    Answer::json(200, &json!({"ok": true, "result": result}))
}

/// The same as the real one writes it: everything beyond ASCII as `\u4f60`.
fn escaped(answer: &Answer) -> Answer {
    let text = String::from_utf8_lossy(&answer.body);
    let mut body = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_ascii() {
            true => body.push(c),
            false => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                body.push_str(&format!("\\u{unit:04x}"));
            }),
        }
    }
    Answer::bytes(answer.status, "application/json", body.into_bytes())
}

impl Telegram {
    /// A platform whose bot has this token; `wall_zero_ms` is Unix time at time zero.
    pub fn new(mut rng: Rng, token: &str, wall_zero_ms: u64) -> Self {
        let next_update = 100_000 + rng.below(900_000) as i64;
        Self {
            desk: Desk::new(wall_zero_ms),
            rng,
            token: token.to_owned(),
            pace: Pace::default(),
            any_hook: false,
            revoked: false,
            chats: BTreeMap::new(),
            updates: VecDeque::new(),
            old: VecDeque::new(),
            next_update,
            allowed: None,
            poll: None,
            rivals: Vec::new(),
            conflict: Time(0),
            late: Vec::new(),
            hook: None,
            files: BTreeMap::new(),
            commands: BTreeMap::new(),
            presses: BTreeMap::new(),
            shown: (0, 0),
            sent: VecDeque::new(),
            wait: None,
        }
    }

    /// The number in front of the token.
    fn id(&self) -> i64 {
        self.token.split(':').next().and_then(|id| id.parse().ok()).unwrap_or(1)
    }

    fn me(&self) -> Value {
        json!({
            "id": self.id(), "is_bot": true, "first_name": "Fake", "username": "fake_bot",
            "can_join_groups": true, "can_read_all_group_messages": false,
            "supports_inline_queries": false, "can_connect_to_business": false,
            "has_main_web_app": false,
        })
    }

    /// Everything a test may want to see.
    pub fn report(&self) -> Value {
        let mut report = self.desk.report();
        report["waiting"] = self.updates.len().into();
        report["polled"] = self.poll.is_some().into();
        report["commands"] = json!(self.commands);
        report["presses"] = self.presses.len().into();
        report["webhook"] = self.hook.as_ref().map(|hook| hook.url.clone()).into();
        report
    }

    fn get_updates(&mut self, now: Time, conn: u64, asked: &Asked) -> Reply {
        let args = asked.args();
        if self.hook.is_some() {
            let said = "Conflict: can't use getUpdates method while webhook is active; use \
                        deleteWebhook to delete the webhook first";
            return self.conflict(now, conn, said);
        }
        let allowed = args.value("allowed_updates");
        if let Some(kinds) = allowed.as_array() {
            let kinds: Vec<String> =
                kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            self.allowed = (!kinds.is_empty()).then_some(kinds);
        }
        if let Some(poll) = self.poll.take() {
            if poll.conn != conn && self.desk.stands(poll.conn) {
                self.rivals.push((poll.conn, conn, now));
            }
            let said = "Conflict: terminated by other getUpdates request; make sure that only \
                        one bot instance is running";
            if let Reply::Now(answer) = self.conflict(now, poll.conn, said) {
                self.desk.line(poll.conn, Line::Answer(answer));
            }
            self.desk.role(poll.conn, "http");
        }
        let offset = args.int("offset").unwrap_or(0);
        let limit = args.int("limit").unwrap_or(100).clamp(1, 100) as usize;
        let timeout = args.int("timeout").unwrap_or(0).clamp(0, POLL_S) as u64;
        self.confirm(now, offset);
        if !self.updates.is_empty() || timeout == 0 {
            return Reply::Now(self.batch(limit));
        }
        let until = now.after_ms(timeout * 1000);
        self.poll = Some(Poll { conn, limit, until });
        self.desk.role(conn, "poll");
        Reply::Later
    }

    /// 409; a second one within three seconds is held back as long.
    fn conflict(&mut self, now: Time, conn: u64, said: &str) -> Reply {
        let answer = error(409, said);
        if now >= self.conflict {
            self.conflict = now.after_ms(3000);
            return Reply::Now(answer);
        }
        self.late.push((now.after_ms(3000), conn, answer));
        Reply::Later
    }

    /// Forgets what this offset confirms.
    fn confirm(&mut self, now: Time, offset: i64) {
        let keep = match usize::try_from(-offset) {
            Ok(last) if offset < 0 => last.min(self.updates.len()),
            _ => self.updates.iter().filter(|(id, _)| *id >= offset).count(),
        };
        let confirmed: Vec<(i64, Value)> = if offset < 0 {
            let cut = self.updates.len() - keep;
            self.updates.drain(..cut).collect()
        } else {
            let all = std::mem::take(&mut self.updates);
            let (keep, gone) = all.into_iter().partition(|(id, _)| *id >= offset);
            self.updates = keep;
            Vec::from(gone)
        };
        for update in confirmed {
            self.settle(now, update);
        }
    }

    /// An update has reached the client.
    fn settle(&mut self, now: Time, update: (i64, Value)) {
        let again = self.old.iter().any(|(id, _)| *id == update.0);
        if let Some(press) = update.1["callback_query"]["id"].as_str()
            && update.0 > self.shown.1
            && !again
        {
            self.presses.entry(press.to_owned()).or_insert(now.after_ms(PRESS_MS));
        }
        self.old.push_back(update);
        if self.old.len() > OLD {
            self.old.pop_front();
        }
    }

    fn batch(&mut self, limit: usize) -> Answer {
        let shown = self.updates.iter().take(limit).map(|(id, _)| *id).max();
        self.shown.0 = self.shown.0.max(shown.unwrap_or(0));
        let batch: Vec<&Value> =
            self.updates.iter().take(limit).map(|(_, update)| update).collect();
        escaped(&ok(json!(batch)))
    }

    /// Gives what waits to whoever waits for it.
    fn deliver(&mut self, now: Time) {
        let some = !self.updates.is_empty();
        if let Some(poll) = self.poll.take_if(|poll| some || poll.until <= now) {
            let answer = self.batch(poll.limit);
            self.desk.line(poll.conn, Line::Answer(answer));
            self.desk.role(poll.conn, "http");
        }
        let Some(hook) = &mut self.hook else { return };
        let Some((id, update)) = self.updates.front() else { return };
        if hook.busy.is_some() || hook.next > now {
            return;
        }
        let call = self.desk.number();
        self.shown.0 = self.shown.0.max(*id);
        hook.busy = Some((call, *id));
        let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        if !hook.secret.is_empty() {
            let name = "X-Telegram-Bot-Api-Secret-Token".to_owned();
            headers.push((name, hook.secret.clone()));
        }
        self.desk.call(Call {
            id: call,
            url: hook.url.clone(),
            headers,
            body: update.to_string().into_bytes(),
            patience_ms: HOOK_PATIENCE_MS,
        });
    }

    /// Numbers an update and queues it; its number, unless the client does not want its kind.
    fn update(&mut self, kind: &str, what: Value) -> Option<i64> {
        let wanted = match &self.allowed {
            Some(kinds) => kinds.iter().any(|wanted| wanted == kind),
            None => !UNUSUAL.contains(&kind),
        };
        if !wanted {
            return None;
        }
        let id = self.next_update;
        self.next_update += 1;
        self.updates.push_back((id, json!({"update_id": id, kind: what})));
        Some(id)
    }

    fn chat(&mut self, act: &Value) -> i64 {
        let id = act["chat"].as_i64().unwrap_or(7);
        let usual = if id < 0 { "supergroup" } else { "private" };
        let chat = self.chats.entry(id).or_default();
        if chat.kind.is_empty() {
            chat.kind = act["type"].as_str().unwrap_or(usual).to_owned();
        }
        id
    }

    fn chat_value(&self, id: i64) -> Value {
        let kind = self.chats.get(&id).map_or("private", |chat| chat.kind.as_str());
        match kind {
            "private" => json!({"id": id, "type": kind, "first_name": "User"}),
            _ => json!({
                "id": id, "type": kind, "title": "Group",
                "is_forum": self.chats.get(&id).is_some_and(|chat| !chat.topics.is_empty()),
            }),
        }
    }

    fn sender(act: &Value, chat: i64) -> Value {
        let from = act["from"].as_i64().unwrap_or(chat.abs());
        let name = act["name"].as_str().unwrap_or("User");
        json!({"id": from, "is_bot": false, "first_name": name, "language_code": "en"})
    }

    fn keep(&mut self, chat: i64, message: Message) -> i64 {
        let known = self.chats.entry(chat).or_default();
        // A number is never used twice, also when its message is gone.
        known.last += 1;
        known.messages.insert(known.last, message);
        known.last
    }

    /// Stores a file; its id.
    fn file(&mut self, name: &str, bytes: Vec<u8>) -> String {
        let id = format!("file{:016x}", self.rng.next());
        let path = format!("documents/{}_{name}", self.desk.number());
        self.files.insert(id.clone(), File { path, bytes });
        id
    }

    /// A message of somebody.
    fn incoming(&mut self, now: Time, act: &Value) -> Value {
        let chat = self.chat(act);
        let text = act["text"].as_str().unwrap_or_default().to_owned();
        let caption = act["caption"].as_str().unwrap_or_default();
        let media = ["photo", "document", "voice"].iter().find(|kind| act[**kind].is_string());
        let said = if text.is_empty() { caption.to_owned() } else { text.clone() };
        let kept = Message { ours: false, text: said, markup: Value::Null, media: media.is_some() };
        let id = self.keep(chat, kept);
        let mut message = json!({
            "message_id": id, "date": self.desk.wall_ms(now) / 1000,
            "chat": self.chat_value(chat), "from": Self::sender(act, chat),
        });
        match media {
            Some(kind) => {
                let bytes = act[*kind].as_str().unwrap_or_default().as_bytes().to_vec();
                let size = bytes.len();
                let name = act["file"].as_str().unwrap_or("file.bin").to_owned();
                let file = self.file(&name, bytes);
                let mut about = json!({
                    "file_id": file, "file_unique_id": format!("u{file}"), "file_size": size,
                });
                match *kind {
                    "photo" => {
                        about["width"] = 1.into();
                        about["height"] = 1.into();
                        about = json!([about]);
                    }
                    "document" => about["file_name"] = name.into(),
                    _ => about["duration"] = 1.into(),
                }
                message[*kind] = about;
                if !caption.is_empty() {
                    message["caption"] = caption.into();
                }
            }
            None => message["text"] = text.clone().into(),
        }
        if let Some(topic) = act["topic"].as_i64() {
            message["message_thread_id"] = topic.into();
            message["is_topic_message"] = true.into();
            if let Some(chat) = self.chats.get_mut(&chat) {
                chat.topics.push(topic);
            }
        }
        if let Some(reply) = act["reply"].as_i64() {
            message["reply_to_message"] = self.known(chat, reply);
        }
        if text.starts_with('/') {
            let length =
                text.split_whitespace().next().map_or(0, |word| word.encode_utf16().count());
            message["entities"] = json!([{"type": "bot_command", "offset": 0, "length": length}]);
        }
        if let Some(extra) = act["extra"].as_object() {
            for (name, value) in extra {
                message[name] = value.clone();
            }
        }
        let update = self.update("message", message);
        json!({"chat": chat, "message": id, "update": update})
    }

    /// A message that is there, as it stands inside others.
    fn known(&self, chat: i64, id: i64) -> Value {
        let message = self.chats.get(&chat).and_then(|known| known.messages.get(&id));
        let text = message.map(|message| message.text.clone()).unwrap_or_default();
        let from = match message {
            Some(Message { ours: true, .. }) => self.me(),
            _ => Self::sender(&Value::Null, chat),
        };
        json!({
            "message_id": id, "date": 1, "chat": self.chat_value(chat), "from": from, "text": text,
        })
    }

    /// Whether the chat takes a message now; if not, after how many seconds.
    fn pass(&mut self, now: Time, chat: i64) -> Result<(), u64> {
        let pace = self.pace.clone();
        let Some(known) = self.chats.get_mut(&chat) else { return Ok(()) };
        for wait in [&mut known.wait, &mut self.wait] {
            let Some((said, until)) = *wait else { continue };
            if now >= until {
                *wait = None;
                continue;
            }
            if now.ms_since(said) > FLIGHT_MS {
                let early = until.ms_since(now);
                self.desk
                    .broken
                    .push(format!("chat {chat}: {early} ms before retry_after is over"));
            }
            return Err(until.ms_since(now).div_ceil(1000).max(1));
        }
        let group = known.kind != "private";
        let windows = [
            (pace.chat_ms, pace.chat, &known.sent),
            (60_000, if group { pace.group } else { usize::MAX }, &known.sent),
            (1000, pace.all, &self.sent),
        ];
        let mut seconds = 0;
        for (ms, most, sent) in windows {
            let recent = sent.iter().filter(|at| now.ms_since(**at) < ms);
            if recent.clone().count() >= most
                && let Some(first) = recent.min()
            {
                seconds = seconds.max((ms - now.ms_since(*first)).div_ceil(1000));
            }
        }
        if seconds > 0 {
            known.wait = Some((now, now.after_ms(seconds * 1000)));
            return Err(seconds);
        }
        for sent in [&mut known.sent, &mut self.sent] {
            sent.push_back(now);
            if sent.len() > 64 {
                sent.pop_front();
            }
        }
        Ok(())
    }

    fn file_answer(&self, path: &str) -> Answer {
        match self.files.values().find(|file| file.path == path) {
            Some(file) => Answer::bytes(200, "application/octet-stream", file.bytes.clone()),
            None => error(404, "Not Found"),
        }
    }
}

impl Fake for Telegram {
    fn desk(&mut self) -> &mut Desk {
        &mut self.desk
    }

    fn asked(&mut self, now: Time, conn: u64, asked: &Asked) -> Reply {
        let segments = asked.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (token, rest) = match parts.as_slice() {
            ["file", token, rest @ ..] => (token, Some(rest.join("/"))),
            [token, _method] => (token, None),
            _ => return Reply::Now(error(404, "Not Found")),
        };
        let Some(token) = token.strip_prefix("bot").filter(|token| token.contains(':')) else {
            return Reply::Now(error(404, "Not Found"));
        };
        if token != self.token || self.revoked {
            // Nobody can stop a button from spinning that way.
            self.presses.clear();
            return Reply::Now(error(401, "Unauthorized"));
        }
        if let Some(path) = rest {
            return Reply::Now(self.file_answer(&path));
        }
        let method = parts.get(1).copied().unwrap_or_default();
        if !matches!(asked.head.method.as_str(), "GET" | "POST") {
            return Reply::Now(error(405, "Method Not Allowed"));
        }
        let args = asked.args();
        if args.malformed {
            self.desk.broke(format!("{method}: a body that is not what its type says"));
            return Reply::Now(error(400, "Bad Request: can't parse request"));
        }
        if method.eq_ignore_ascii_case("getUpdates") {
            return self.get_updates(now, conn, asked);
        }
        let answer = self.method(now, method, &args);
        // A deleted or replaced webhook lets what waits go on.
        self.deliver(now);
        Reply::Now(answer)
    }

    fn too_many(&mut self, now: Time, asked: &Asked, seconds: u64) -> Answer {
        let until = (now, now.after_ms(seconds * 1000));
        match asked.args().int("chat_id").and_then(|chat| self.chats.get_mut(&chat)) {
            Some(chat) => chat.wait = Some(until),
            None => self.wait = Some(until),
        }
        too_many(seconds)
    }

    fn gone(&mut self, now: Time, conn: u64, _code: Option<u16>) {
        self.poll.take_if(|poll| poll.conn == conn);
        self.rivals.retain(|(old, new, since)| {
            now.ms_since(*since) > GRACE_MS || (*old != conn && *new != conn)
        });
        self.late.retain(|(_, held, _)| *held != conn);
    }

    fn answered(&mut self, now: Time, call: u64, answer: Option<(u16, Vec<u8>)>) {
        let Some(hook) = self.hook.as_mut() else { return };
        let Some((_, id)) = hook.busy.take_if(|(busy, _)| *busy == call) else { return };
        match answer {
            Some((200..=299, body)) => {
                hook.failures = 0;
                hook.next = now;
                let update = self.updates.front().is_some_and(|(first, _)| *first == id);
                if let Some(update) = update.then(|| self.updates.pop_front()).flatten() {
                    self.settle(now, update);
                }
                self.inline(now, &body);
            }
            other => {
                let said = match other {
                    Some((status, _)) => format!("Wrong response from the webhook: {status}"),
                    None => "Read timeout expired".to_owned(),
                };
                hook.error = Some((self.desk.wall_zero_ms + now.0 / 1000, said));
                hook.failures = (hook.failures + 1).min(6);
                hook.next = now.after_ms(500 << hook.failures);
            }
        }
        self.deliver(now);
    }

    fn act(&mut self, now: Time, act: &Value) -> Result<Value, String> {
        let done = match act["act"].as_str().unwrap_or_default() {
            "message" => self.incoming(now, act),
            "edit" => {
                let chat = self.chat(act);
                let id = act["message"].as_i64().unwrap_or(1);
                let mut message = self.known(chat, id);
                message["text"] = act["text"].clone();
                message["edit_date"] = (self.desk.wall_ms(now) / 1000).into();
                json!({"update": self.update("edited_message", message)})
            }
            "press" => {
                let chat = self.chat(act);
                let query = format!("press{:016x}", self.rng.next());
                let message = self.known(chat, act["message"].as_i64().unwrap_or(1));
                let press = json!({
                    "id": query, "from": Self::sender(act, chat), "message": message,
                    "chat_instance": "1", "data": act["data"],
                });
                json!({"query": query, "update": self.update("callback_query", press)})
            }
            "update" => {
                let fields = act["fields"].as_object().cloned().unwrap_or_default();
                let ids: Vec<Option<i64>> =
                    fields.into_iter().map(|(kind, what)| self.update(&kind, what)).collect();
                json!({"updates": ids})
            }
            "again" => {
                let count = act["count"].as_u64().unwrap_or(1) as usize;
                let from = self.old.len().saturating_sub(count);
                let again: Vec<(i64, Value)> = self.old.iter().skip(from).cloned().collect();
                for update in again.iter().rev() {
                    self.updates.push_front(update.clone());
                }
                json!({"updates": again.len()})
            }
            "shuffle" => {
                let updates = self.updates.make_contiguous();
                for at in (1..updates.len()).rev() {
                    updates.swap(at, self.rng.size(0, at));
                }
                json!({"updates": updates.len()})
            }
            "kick" => {
                let chat = self.chat(act);
                self.chats.entry(chat).or_default().kicked = true;
                let member = json!({"status": "kicked", "user": self.me(), "until_date": 0});
                let what = json!({
                    "chat": self.chat_value(chat), "from": Self::sender(act, chat),
                    "date": self.desk.wall_ms(now) / 1000, "new_chat_member": member,
                    "old_chat_member": {"status": "member", "user": self.me()},
                });
                json!({"update": self.update("my_chat_member", what)})
            }
            "migrate" => {
                let chat = self.chat(act);
                let to = act["to"].as_i64().unwrap_or(-1_000_000_000_000 - chat.abs());
                self.chats.entry(chat).or_default().migrated = Some(to);
                self.chats.entry(to).or_default().kind = "supergroup".to_owned();
                json!({ "to": to })
            }
            // Somebody deletes a message of ours.
            "erase" => {
                let chat = self.chat(act);
                let id = act["message"].as_i64().unwrap_or(0);
                let messages = self.chats.get_mut(&chat).map(|known| &mut known.messages);
                json!({"erased": messages.is_some_and(|all| all.remove(&id).is_some())})
            }
            "stranger" => {
                self.wait = None;
                self.chats.values_mut().for_each(|chat| chat.wait = None);
                // Whoever was to stop those buttons from spinning is gone.
                self.presses.clear();
                self.shown.1 = self.shown.0;
                Value::Null
            }
            "anew" => {
                self.presses.clear();
                self.shown.1 = self.shown.0;
                Value::Null
            }
            "revoke" => {
                self.revoked = act["revoked"].as_bool().unwrap_or(true);
                Value::Null
            }
            "token" => {
                self.token = act["token"].as_str().unwrap_or_default().to_owned();
                self.presses.clear();
                self.shown.1 = self.shown.0;
                if let Some(poll) = self.poll.take() {
                    self.desk.role(poll.conn, "http");
                    self.desk.line(poll.conn, Line::Answer(error(401, "Unauthorized")));
                }
                Value::Null
            }
            "webhook" => {
                self.set_hook(now, act["url"].as_str().unwrap_or_default(), "", 40);
                Value::Null
            }
            other => return Err(format!("no such act: {other}")),
        };
        self.deliver(now);
        Ok(done)
    }

    fn tick(&mut self, now: Time) {
        for (at, conn, answer) in std::mem::take(&mut self.late) {
            match at <= now {
                true => self.desk.line(conn, Line::Answer(answer)),
                false => self.late.push((at, conn, answer)),
            }
        }
        for (old, new, since) in std::mem::take(&mut self.rivals) {
            if now.ms_since(since) < GRACE_MS {
                self.rivals.push((old, new, since));
            } else if self.desk.stands(old) && self.desk.stands(new) {
                self.desk.broke(format!("two polls at once, on connections {old} and {new}"));
            }
        }
        let overdue: Vec<String> = self
            .presses
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(press, _)| press.clone())
            .collect();
        for press in overdue {
            self.presses.remove(&press);
            self.desk.broke(format!("callback query {press} was never answered"));
        }
        self.deliver(now);
    }

    fn deadline(&self) -> Option<Time> {
        let poll = self.poll.as_ref().map(|poll| poll.until);
        let late = self.late.iter().map(|(at, ..)| *at);
        let rivals = self.rivals.iter().map(|(.., since)| since.after_ms(GRACE_MS));
        let hook =
            self.hook.as_ref().filter(|hook| hook.busy.is_none() && !self.updates.is_empty());
        let hook = hook.map(|hook| hook.next);
        let presses = self.presses.values().copied();
        poll.into_iter().chain(late).chain(rivals).chain(hook).chain(presses).min()
    }
}

fn too_many(seconds: u64) -> Answer {
    let description = format!("Too Many Requests: retry after {seconds}");
    let body = json!({
        "ok": false, "error_code": 429, "description": description,
        "parameters": {"retry_after": seconds},
    });
    Answer::json(429, &body)
}

#[cfg(test)]
mod tests;
