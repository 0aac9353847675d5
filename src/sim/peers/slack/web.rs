//! The Web API, files and response URLs.

use super::socket::TICKET_MS;
use super::{ACK_MS, File, Message, Slack};
use crate::driver::Time;
use crate::sim::peers::fake::{Answer, Args, Asked, FLIGHT_MS, Posted};
use serde_json::{Value, json};

const TEXT_MAX: usize = 40_000;
/// So many messages in a channel ...
const BURST: usize = 5;
/// ... in this time.
const BURST_MS: u64 = 5_000;

/// What a method comes to: its members, or its error.
type Done = Result<Value, &'static str>;

impl Slack {
    /// One request.
    pub(super) fn web(&mut self, now: Time, asked: &Asked) -> Answer {
        let segments = asked.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["api", method] => self.method(now, asked, method),
            ["upload", file] => self.upload(asked, file),
            ["files-pri", file, ..] => self.download(asked, file),
            ["response", token] => self.response(now, asked, token),
            _ => Answer::bytes(404, "text/html", b"not found".to_vec()),
        }
    }

    fn method(&mut self, now: Time, asked: &Asked, method: &str) -> Answer {
        let args = asked.args();
        if args.malformed {
            self.desk.broke(format!("{method}: a body that is not what its type says"));
            return Answer::json(200, &json!({"ok": false, "error": "invalid_post_type"}));
        }
        let token = match asked.head.bearer() {
            Some(bearer) => Some(bearer.to_owned()),
            None => args.text("token"),
        };
        let app = method.starts_with("apps.connections");
        let right = if app { &self.app_token } else { &self.bot_token };
        let refused = match token {
            None => Some("not_authed"),
            Some(_) if self.revoked => Some("token_revoked"),
            Some(token) if token == *right => None,
            Some(token) if token == self.bot_token || token == self.app_token => {
                Some("not_allowed_token_type")
            }
            Some(_) => Some("invalid_auth"),
        };
        if let Some(error) = refused {
            return Answer::json(200, &json!({"ok": false, "error": error}));
        }
        if let Some(seconds) = self.waits(now, asked, &args) {
            return limited(seconds);
        }
        let done = match method {
            "chat.postMessage" | "chat.postEphemeral" if !self.paced(now, &args) => {
                return self.must_wait(now, asked, 1);
            }
            _ => self.carry_out(now, method, &args),
        };
        let whole = match done {
            Ok(mut members) => {
                members["ok"] = true.into();
                members
            }
            Err(error) => json!({"ok": false, "error": error}),
        };
        Answer::json(200, &whole).with("X-OAuth-Scopes", "chat:write,files:write,reactions:write")
    }

    fn key(asked: &Asked, args: &Args) -> String {
        format!("{} {}", asked.head.path(), args.text("channel").unwrap_or_default())
    }

    /// From here on the client is to wait with this method and channel.
    pub(super) fn must_wait(&mut self, now: Time, asked: &Asked, seconds: u64) -> Answer {
        let key = Self::key(asked, &asked.args());
        self.waits.until.insert(key, (now, now.after_ms(seconds * 1000)));
        limited(seconds)
    }

    /// Seconds that are left to wait.
    fn waits(&mut self, now: Time, asked: &Asked, args: &Args) -> Option<u64> {
        let key = Self::key(asked, args);
        let (said, until) = *self.waits.until.get(&key)?;
        if until <= now {
            self.waits.until.remove(&key);
            return None;
        }
        if now.ms_since(said) > FLIGHT_MS {
            let early = until.ms_since(now);
            self.desk.broke(format!("{key}: {early} ms before Retry-After is over"));
        }
        Some(until.ms_since(now).div_ceil(1000))
    }

    fn paced(&mut self, now: Time, args: &Args) -> bool {
        let channel = args.text("channel").unwrap_or_default();
        let Some(channel) = self.channels.get_mut(&channel) else { return true };
        channel.sent.retain(|at| now.ms_since(*at) < BURST_MS);
        let passes = channel.sent.len() < BURST;
        if passes {
            channel.sent.push_back(now);
        }
        passes
    }

    fn carry_out(&mut self, now: Time, method: &str, args: &Args) -> Done {
        match method {
            "api.test" => Ok(json!({})),
            "auth.test" => Ok(json!({
                "url": "https://fake.slack.com/", "team": "Fake", "user": "fake",
                "team_id": Self::TEAM, "user_id": Self::BOT, "bot_id": "BFAKE",
                "is_enterprise_install": false,
            })),
            "apps.connections.open" => {
                let ticket = format!("{:016x}", self.rng.next());
                self.tickets.insert(ticket.clone(), now.after_ms(TICKET_MS));
                let base = &self.socket_url;
                let url = format!("{base}/link/?ticket={ticket}&app_id={}", Self::APP);
                Ok(json!({ "url": url }))
            }
            "chat.postMessage" => self.post_message(now, args),
            "chat.postEphemeral" => self.post_ephemeral(now, args),
            "chat.update" => self.update(now, args),
            "chat.delete" => self.delete(now, args),
            "reactions.add" => self.react(now, args, true),
            "reactions.remove" => self.react(now, args, false),
            "conversations.info" => self.known(args).map(|id| json!({"channel": shown(&id)})),
            "conversations.list" => {
                let all: Vec<Value> = self.channels.keys().map(|id| shown(id)).collect();
                Ok(json!({"channels": all, "response_metadata": {"next_cursor": ""}}))
            }
            "conversations.members" => self.known(args).map(|_| {
                json!({
                    "members": ["U0USER", Self::BOT], "response_metadata": {"next_cursor": ""},
                })
            }),
            "conversations.open" => {
                let user = args.text("users").ok_or("users_list_not_supplied")?;
                let id = format!("D{}", user.trim_start_matches('U'));
                self.channels.entry(id.clone()).or_default();
                Ok(json!({"channel": {"id": id}}))
            }
            "conversations.join" => self.known(args).map(|id| json!({"channel": shown(&id)})),
            "conversations.history" => self.history(args, false),
            "conversations.replies" => self.history(args, true),
            "users.info" => {
                let user = args.text("user").unwrap_or_default();
                match user.starts_with(['U', 'W']) {
                    true => Ok(json!({"user": {
                        "id": user, "team_id": Self::TEAM, "name": "user", "real_name": "User",
                        "is_bot": user == Self::BOT, "deleted": false, "tz": "Etc/UTC",
                        "profile": {"display_name": "user", "real_name": "User"},
                    }})),
                    false => Err("user_not_found"),
                }
            }
            "users.list" => Ok(json!({"members": [], "response_metadata": {"next_cursor": ""}})),
            "files.getUploadURLExternal" => self.upload_url(args),
            "files.completeUploadExternal" => self.complete(now, args),
            "files.info" => {
                let id = args.text("file").unwrap_or_default();
                let file = self.files.get(&id).ok_or("file_not_found")?;
                let url = format!("{}/files-pri/{id}/{}", self.site_url, file.name);
                Ok(json!({"file": {"id": id, "name": file.name, "url_private": url}}))
            }
            "views.open" | "views.push" => self.open_view(now, method, args),
            "views.publish" | "views.update" => {
                Ok(json!({"view": {"id": "V0FAKE", "type": "home", "hash": "1"}}))
            }
            _ => Err("unknown_method"),
        }
    }

    fn known(&self, args: &Args) -> Result<String, &'static str> {
        let channel = args.text("channel").ok_or("channel_not_found")?;
        match self.channels.contains_key(&channel) {
            true => Ok(channel),
            false => Err("channel_not_found"),
        }
    }

    fn note(&mut self, now: Time, method: &str, channel: &str, ts: &str, text: &str, args: &Args) {
        self.desk.posted.push(Posted {
            at: now,
            method: method.to_owned(),
            to: channel.to_owned(),
            id: ts.to_owned(),
            text: text.to_owned(),
            key: args.text("client_msg_id").unwrap_or_default(),
            args: args.all(),
        });
    }

    /// Text that is long enough and not too long; blocks and attachments speak too.
    fn text(args: &Args) -> Result<String, &'static str> {
        let text = args.text("text").unwrap_or_default();
        let filled = |name: &str| args.value(name).as_array().is_some_and(|list| !list.is_empty());
        if args.value("blocks").as_array().is_some_and(|blocks| blocks.len() > 50) {
            return Err("invalid_blocks");
        }
        match text.chars().count() {
            0 if !filled("blocks") && !filled("attachments") => Err("no_text"),
            length if length > TEXT_MAX => Err("msg_too_long"),
            _ => Ok(text),
        }
    }

    fn say(&mut self, now: Time, channel: &str, text: &str, thread: Option<String>) -> String {
        let ts = self.stamp(now);
        let message = Message {
            ours: true,
            user: Self::BOT.to_owned(),
            text: text.to_owned(),
            thread,
            reactions: Vec::new(),
            metadata: Value::Null,
        };
        let known = self.channels.entry(channel.to_owned()).or_default();
        known.messages.insert(ts.clone(), message);
        ts
    }

    fn post_message(&mut self, now: Time, args: &Args) -> Done {
        let channel = self.known(args)?;
        let text = Self::text(args)?;
        let thread = args.text("thread_ts").filter(|thread| !thread.is_empty());
        if let Some(thread) = &thread
            && !self.channels.get(&channel).is_some_and(|it| it.messages.contains_key(thread))
        {
            self.desk.broke(format!("thread {thread} of {channel} has no first message"));
        }
        let ts = self.say(now, &channel, &text, thread.clone());
        let known = self.channels.get_mut(&channel).and_then(|it| it.messages.get_mut(&ts));
        if let Some(message) = known {
            message.metadata = args.value("metadata");
        }
        self.note(now, "chat.postMessage", &channel, &ts, &text, args);
        let mut message = json!({
            "type": "message", "user": Self::BOT, "bot_id": "BFAKE", "text": text, "ts": ts,
            "team": Self::TEAM,
        });
        if let Some(thread) = thread {
            message["thread_ts"] = thread.into();
        }
        Ok(json!({"channel": channel, "ts": ts, "message": message}))
    }

    /// Only one person sees it, and no history has it.
    fn post_ephemeral(&mut self, now: Time, args: &Args) -> Done {
        let channel = self.known(args)?;
        let text = Self::text(args)?;
        if args.text("user").is_none_or(|user| user.is_empty()) {
            return Err("user_not_in_channel");
        }
        let ts = self.stamp(now);
        self.note(now, "chat.postEphemeral", &channel, &ts, &text, args);
        Ok(json!({ "message_ts": ts }))
    }

    /// The message named by `ts` (or `timestamp`), and where it is.
    fn named(&self, args: &Args, name: &str) -> Result<(String, String), &'static str> {
        let channel = self.known(args)?;
        let ts = args.text(name).unwrap_or_default();
        match self.channels.get(&channel).is_some_and(|it| it.messages.contains_key(&ts)) {
            true => Ok((channel, ts)),
            false => Err("message_not_found"),
        }
    }

    fn update(&mut self, now: Time, args: &Args) -> Done {
        let (channel, ts) = self.named(args, "ts")?;
        let text = Self::text(args)?;
        let known = self.channels.get_mut(&channel).and_then(|it| it.messages.get_mut(&ts));
        let message = known.filter(|message| message.ours).ok_or("cant_update_message")?;
        message.text.clone_from(&text);
        self.note(now, "chat.update", &channel, &ts, &text, args);
        let message = json!({"type": "message", "user": Self::BOT, "text": text});
        Ok(json!({"channel": channel, "ts": ts, "text": text, "message": message}))
    }

    fn delete(&mut self, now: Time, args: &Args) -> Done {
        let (channel, ts) = self.named(args, "ts")?;
        let messages = self.channels.get_mut(&channel).map(|it| &mut it.messages);
        let messages = messages.ok_or("channel_not_found")?;
        if !messages.get(&ts).is_some_and(|message| message.ours) {
            return Err("cant_delete_message");
        }
        messages.remove(&ts);
        self.note(now, "chat.delete", &channel, &ts, "", args);
        Ok(json!({"channel": channel, "ts": ts}))
    }

    fn react(&mut self, now: Time, args: &Args, add: bool) -> Done {
        let (channel, ts) = self.named(args, "timestamp")?;
        let name = args.text("name").unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-+':".contains(c);
        if name.is_empty() || !name.chars().all(fits) {
            return Err("invalid_name");
        }
        let known = self.channels.get_mut(&channel).and_then(|it| it.messages.get_mut(&ts));
        let message = known.ok_or("message_not_found")?;
        match (add, message.reactions.iter().position(|known| *known == name)) {
            (true, None) => message.reactions.push(name.clone()),
            (true, Some(_)) => return Err("already_reacted"),
            (false, Some(at)) => {
                message.reactions.remove(at);
            }
            (false, None) => return Err("no_reaction"),
        }
        let method = if add { "reactions.add" } else { "reactions.remove" };
        self.note(now, method, &channel, &ts, &name, args);
        Ok(json!({}))
    }

    fn history(&self, args: &Args, replies: bool) -> Done {
        let channel = self.known(args)?;
        let thread = args.text("ts");
        let whole = args.flag("include_all_metadata");
        let messages = self.channels.get(&channel).into_iter().flat_map(|it| &it.messages);
        let wanted = |ts: &str, message: &Message| match (&thread, replies) {
            (Some(thread), true) => ts == thread || message.thread.as_ref() == Some(thread),
            _ => message.thread.is_none(),
        };
        let mut found: Vec<Value> = messages
            .filter(|(ts, message)| wanted(ts, message))
            .map(|(ts, it)| {
                let mut shown =
                    json!({"type": "message", "user": it.user, "text": it.text, "ts": ts});
                if whole && !it.metadata.is_null() {
                    shown["metadata"] = it.metadata.clone();
                }
                shown
            })
            .collect();
        // History is newest first, replies oldest first.
        if !replies {
            found.reverse();
        } else if found.is_empty() {
            return Err("thread_not_found");
        }
        found.truncate(args.int("limit").unwrap_or(100).clamp(1, 999) as usize);
        Ok(json!({
            "messages": found, "has_more": false, "response_metadata": {"next_cursor": ""},
        }))
    }

    fn upload_url(&mut self, args: &Args) -> Done {
        let name = args.text("filename").filter(|name| !name.is_empty());
        let name = name.ok_or("invalid_arguments")?;
        let length = args.int("length").and_then(|length| u64::try_from(length).ok());
        let length = length.filter(|length| *length > 0).ok_or("invalid_arguments")?;
        let id = format!("F{:08X}", self.rng.below(1 << 32));
        self.files.insert(id.clone(), File { name, bytes: None, length, completed: false });
        Ok(json!({"file_id": id, "upload_url": format!("{}/upload/{id}", self.site_url)}))
    }

    fn upload(&mut self, asked: &Asked, file: &str) -> Answer {
        let args = asked.args();
        let bytes = args.files.into_values().next().map(|file| file.bytes);
        let bytes = bytes.unwrap_or_else(|| asked.body.clone());
        let said = format!("OK - {}", bytes.len());
        match self.files.get_mut(file).filter(|file| !file.completed) {
            Some(file) => {
                if file.length != bytes.len() as u64 {
                    let (told, came) = (file.length, bytes.len());
                    self.desk.broke(format!("an upload of {told} bytes has {came}"));
                }
                file.bytes = Some(bytes);
            }
            None => return Answer::bytes(404, "text/plain", b"no such upload".to_vec()),
        }
        Answer::bytes(200, "text/plain", said.into_bytes())
    }

    fn complete(&mut self, now: Time, args: &Args) -> Done {
        let files = args.value("files");
        let mut shown = Vec::new();
        let mut names = Vec::new();
        for file in files.as_array().into_iter().flatten() {
            let id = file["id"].as_str().unwrap_or_default();
            let Some(known) = self.files.get_mut(id) else { return Err("file_not_found") };
            if known.bytes.is_none() {
                self.desk.broke(format!("file {id} is completed and was never uploaded"));
                return Err("file_not_found");
            }
            known.completed = true;
            names.push(known.name.clone());
            let title = file["title"].as_str().unwrap_or(&known.name);
            shown.push(json!({"id": id, "title": title, "name": known.name}));
        }
        if shown.is_empty() {
            return Err("invalid_arguments");
        }
        if let Some(channel) = args.text("channel_id") {
            if !self.channels.contains_key(&channel) {
                return Err("channel_not_found");
            }
            let comment = args.text("initial_comment").unwrap_or_default();
            let ts = self.say(now, &channel, &comment, args.text("thread_ts"));
            let text = if comment.is_empty() { names.join(" ") } else { comment };
            self.note(now, "files.completeUploadExternal", &channel, &ts, &text, args);
        }
        Ok(json!({ "files": shown }))
    }

    fn download(&mut self, asked: &Asked, file: &str) -> Answer {
        if asked.head.bearer() != Some(self.bot_token.as_str()) {
            self.desk.broke(format!("file {file} is asked for without the bot's token"));
            // The real one sends people to a page to log in.
            return Answer::bytes(200, "text/html", b"<html>sign in</html>".to_vec());
        }
        match self.files.get(file).and_then(|file| file.bytes.clone()) {
            Some(bytes) => Answer::bytes(200, "application/octet-stream", bytes),
            None => Answer::bytes(404, "text/html", b"not found".to_vec()),
        }
    }

    fn open_view(&mut self, now: Time, method: &str, args: &Args) -> Done {
        let trigger = args.text("trigger_id").ok_or("invalid_arguments")?;
        match self.triggers.remove(&trigger) {
            Some(at) if now.ms_since(at) <= ACK_MS => {}
            Some(_) => return Err("expired_trigger_id"),
            None => return Err("exchanged_trigger_id"),
        }
        self.note(now, method, "", "V0FAKE", "", args);
        Ok(json!({"view": {"id": "V0FAKE", "type": "modal", "hash": "1"}}))
    }

    fn response(&mut self, now: Time, asked: &Asked, token: &str) -> Answer {
        let Some((_, left, channel)) = self.responses.get_mut(token).filter(|it| it.1 > 0) else {
            return Answer::json(404, &json!({"ok": false, "error": "used_url"}));
        };
        *left -= 1;
        let channel = channel.clone();
        let args = asked.args();
        let text = args.text("text").unwrap_or_default();
        let ts = self.say(now, &channel, &text, None);
        self.note(now, "response_url", &channel, &ts, &text, &args);
        Answer::json(200, &json!({"ok": true}))
    }

    /// The answer inside an acknowledgement.
    pub(super) fn responded(&mut self, now: Time, asked: &Value, said: &Value) {
        let channel = asked["channel_id"].as_str().or_else(|| asked["channel"]["id"].as_str());
        let channel = channel.unwrap_or_default().to_owned();
        let text = said["text"].as_str().unwrap_or_default();
        if text.is_empty() {
            return;
        }
        let ts = self.say(now, &channel, text, None);
        let args = Args::read("", "application/json", said.to_string().as_bytes());
        self.note(now, "acknowledgement", &channel, &ts, text, &args);
    }
}

fn shown(id: &str) -> Value {
    let several = super::is_mpim(id);
    json!({
        "id": id, "name": id.to_ascii_lowercase(), "is_channel": id.starts_with('C') && !several,
        "is_group": id.starts_with('G'), "is_im": id.starts_with('D'), "is_mpim": several,
        "is_member": true, "is_archived": false, "is_private": !id.starts_with('C'),
    })
}

fn limited(seconds: u64) -> Answer {
    Answer::json(429, &json!({"ok": false, "error": "ratelimited"}))
        .with("Retry-After", &seconds.max(1).to_string())
}
