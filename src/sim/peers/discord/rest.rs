//! The REST API.

use super::{ACK_MS, Channel, Discord, Message, NONCE_MS, id};
use crate::driver::Time;
use crate::sim::peers::fake::{Answer, Args, Asked, Posted};
use crate::wire::text::rfc3339_ms;
use serde_json::{Value, json};

const CONTENT_MAX: usize = 2000;
const FILES_MAX: usize = 10 * 1024 * 1024;

type Result<T> = std::result::Result<T, Box<Answer>>;

fn refuse<T>(status: u16, code: u32, message: &str) -> Result<T> {
    Err(Box::new(Answer::json(status, &json!({"message": message, "code": code}))))
}

/// A form error at one field.
fn invalid<T>(field: &str, code: &str, message: &str) -> Result<T> {
    let body = json!({
        "message": "Invalid Form Body", "code": 50035,
        "errors": {field: {"_errors": [{"code": code, "message": message}]}},
    });
    Err(Box::new(Answer::json(400, &body)))
}

fn number(text: &str) -> Result<u64> {
    match text.parse() {
        Ok(number) => Ok(number),
        Err(_) => invalid("id", "NUMBER_TYPE_COERCE", &format!("Value \"{text}\" is no snowflake")),
    }
}

fn nothing() -> Answer {
    Answer::bytes(204, "", Vec::new())
}

/// The JSON of a body: itself, or the part that says so.
fn payload(args: &Args) -> Value {
    match args.value("payload_json") {
        Value::Null => args.all(),
        payload => payload,
    }
}

impl Discord {
    /// One request.
    pub(super) fn rest(&mut self, now: Time, asked: &Asked) -> Answer {
        let segments = asked.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        if parts.first() == Some(&"attachments") {
            return match self.files.get(&parts.join("/")) {
                Some(file) if file.content_type.starts_with("text/") => {
                    Answer::bytes(200, "text/plain; charset=utf-8", file.bytes.clone())
                }
                Some(file) => Answer::bytes(200, "application/octet-stream", file.bytes.clone()),
                None => Answer::bytes(404, "text/plain", b"not found".to_vec()),
            };
        }
        let ["api", "v10", path @ ..] = parts.as_slice() else {
            self.desk.broke(format!("{} is not version 10 of the API", asked.head.path()));
            let body = json!({"message": "404: Not Found", "code": 0});
            return Answer::json(404, &body);
        };
        if !asked.header("user-agent").starts_with("DiscordBot (") {
            self.desk.broke(format!("User-Agent \"{}\" is not valid", asked.header("user-agent")));
        }
        // Tokens of interactions are their own right.
        let open = matches!(path, ["interactions" | "webhooks", ..] | ["gateway"]);
        if !open && asked.header("authorization") != format!("Bot {}", self.token) {
            return Answer::json(401, &json!({"message": "401: Unauthorized", "code": 0}));
        }
        if let Some(answer) = self.limits.refuses(now, asked, &mut self.desk.broken) {
            return answer;
        }
        let args = asked.args();
        if args.malformed {
            self.desk.broke(format!("{}: a body that cannot be read", asked.head.path()));
        }
        let done = match self.route(now, asked.head.method.as_str(), path, &args) {
            Ok(answer) => answer,
            Err(answer) => *answer,
        };
        self.limits.says(now, self.desk.wall_ms(now), asked, done)
    }

    fn route(&mut self, now: Time, method: &str, path: &[&str], args: &Args) -> Result<Answer> {
        let fine = |value: Value| Ok(Answer::json(200, &value));
        match (method, path) {
            ("GET", ["gateway"]) => fine(json!({"url": self.gateway_url})),
            ("GET", ["gateway", "bot"]) => fine(json!({
                "url": self.gateway_url, "shards": 1,
                "session_start_limit": {
                    "total": 1000, "remaining": self.remaining, "reset_after": 14_400_000,
                    "max_concurrency": 1,
                },
            })),
            ("GET", ["users", "@me"]) => fine(self.me()),
            ("GET", ["oauth2" | "applications", "@me"]) => fine(json!({
                "id": Self::APP.to_string(), "name": "fake", "flags": 0, "bot": self.me(),
                "description": "", "bot_public": true, "bot_require_code_grant": false,
            })),
            ("POST", ["users", "@me", "channels"]) => self.open_dm(args),
            ("GET", ["users", user]) => {
                number(user)?;
                fine(json!({
                    "id": user, "username": "user", "discriminator": "0", "avatar": null,
                    "global_name": "user",
                }))
            }
            ("GET", ["users", "@me", "guilds"]) => {
                let guilds = self.guilds.iter();
                fine(guilds.map(|id| json!({"id": id.to_string(), "name": "Guild"})).collect())
            }
            ("GET", ["guilds", guild]) if self.guilds.contains(&number(guild)?) => {
                fine(self.guild_value(number(guild)?))
            }
            ("GET", ["guilds", guild, "channels"]) if self.guilds.contains(&number(guild)?) => {
                fine(self.guild_value(number(guild)?)["channels"].clone())
            }
            ("GET", ["guilds", _, "members", user]) => {
                number(user)?;
                let mut member = Self::member();
                member["user"] = json!({"id": user, "username": "user", "discriminator": "0"});
                fine(member)
            }
            ("GET", ["guilds", _, "roles"]) => fine(json!([])),
            (_, ["guilds", ..]) => refuse(404, 10004, "Unknown Guild"),
            (_, ["applications", _, rest @ ..]) => self.commands_route(method, rest, args),
            (_, ["channels", channel, rest @ ..]) => {
                let channel = number(channel)?;
                if !self.channels.contains_key(&channel) {
                    return refuse(404, 10003, "Unknown Channel");
                }
                self.channel_route(now, method, channel, rest, args)
            }
            ("POST", ["interactions", interaction, token, "callback"]) => {
                self.callback(now, number(interaction)?, token, args)
            }
            (_, ["webhooks", _, token, rest @ ..]) => self.follow(now, method, token, rest, args),
            _ => Ok(Answer::json(404, &json!({"message": "404: Not Found", "code": 0}))),
        }
    }

    fn open_dm(&mut self, args: &Args) -> Result<Answer> {
        let Some(user) = args.text("recipient_id").and_then(|id| id.parse::<u64>().ok()) else {
            return invalid("recipient_id", "BASE_TYPE_REQUIRED", "This field is required");
        };
        // Channels of the script for two are numbered a hundred times their user.
        let channel = user * 100;
        let fresh = || Channel { kind: 1, ..Channel::default() };
        self.channels.entry(channel).or_insert_with(fresh);
        Ok(Answer::json(200, &self.channel_value(channel, &json!({"from": user}))))
    }

    fn channel_route(
        &mut self,
        now: Time,
        method: &str,
        channel: u64,
        path: &[&str],
        args: &Args,
    ) -> Result<Answer> {
        match (method, path) {
            ("GET", []) => Ok(Answer::json(200, &self.channel_value(channel, &Value::Null))),
            ("POST", ["typing"]) => Ok(nothing()),
            ("POST", ["messages"]) => {
                let id = self.post(now, "create", channel, args, None)?;
                Ok(Answer::json(200, &self.message_value(channel, id)))
            }
            ("GET", ["messages"]) => self.list(channel, args),
            ("POST", ["threads"]) => self.start_thread(now, channel, None, args),
            ("POST", ["messages", message, "threads"]) => {
                let message = number(message)?;
                self.start_thread(now, channel, Some(message), args)
            }
            (_, ["messages", message, rest @ ..]) => {
                let message = number(message)?;
                let known = self.channels.get(&channel);
                if !known.is_some_and(|known| known.messages.contains_key(&message)) {
                    return refuse(404, 10008, "Unknown Message");
                }
                self.message_route(now, method, (channel, message), rest, args)
            }
            (_, ["permissions" | "pins" | "thread-members", ..]) => Ok(nothing()),
            _ => refuse(404, 0, "404: Not Found"),
        }
    }

    fn message_route(
        &mut self,
        now: Time,
        method: &str,
        (channel, message): (u64, u64),
        path: &[&str],
        args: &Args,
    ) -> Result<Answer> {
        match (method, path) {
            ("GET", []) => Ok(Answer::json(200, &self.message_value(channel, message))),
            ("PATCH", []) => {
                self.edit(now, channel, message, args)?;
                Ok(Answer::json(200, &self.message_value(channel, message)))
            }
            ("DELETE", []) => {
                self.delete(now, channel, message);
                Ok(nothing())
            }
            ("PUT" | "DELETE", ["reactions", emoji, "@me"]) => {
                let custom = emoji.split_once(':').is_some_and(|(_, id)| id.parse::<u64>().is_ok());
                if emoji.is_empty() || emoji.is_ascii() && !custom {
                    return refuse(400, 10014, "Unknown Emoji");
                }
                let what = if method == "PUT" { "react" } else { "unreact" };
                self.note(now, what, channel, message, emoji, "", Value::Null);
                Ok(nothing())
            }
            _ => refuse(404, 0, "404: Not Found"),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one line of the record")]
    fn note(
        &mut self,
        now: Time,
        method: &str,
        channel: u64,
        message: u64,
        text: &str,
        key: &str,
        args: Value,
    ) {
        self.desk.posted.push(Posted {
            at: now,
            method: method.to_owned(),
            to: channel.to_string(),
            id: message.to_string(),
            text: text.to_owned(),
            key: key.to_owned(),
            args,
        });
    }

    /// Content of a payload, judged.
    fn content(payload: &Value) -> Result<String> {
        let content = payload["content"].as_str().unwrap_or_default();
        if content.chars().count() > CONTENT_MAX {
            let what = format!("Must be {CONTENT_MAX} or fewer in length.");
            return invalid("content", "BASE_TYPE_MAX_LENGTH", &what);
        }
        if payload["embeds"].as_array().is_some_and(|embeds| embeds.len() > 10) {
            return invalid("embeds", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.");
        }
        Ok(content.to_owned())
    }

    /// Posts a message; its id. The same nonce gives the same message.
    fn post(
        &mut self,
        now: Time,
        how: &str,
        channel: u64,
        args: &Args,
        shown: Option<&Value>,
    ) -> Result<u64> {
        let payload = shown.cloned().unwrap_or_else(|| payload(args));
        let content = Self::content(&payload)?;
        let nonce = match &payload["nonce"] {
            Value::Number(number) => number.to_string(),
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        if nonce.len() > 25 {
            return invalid("nonce", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.");
        }
        let once = payload["enforce_nonce"] == true && !nonce.is_empty();
        let key = (channel, nonce.clone());
        if let Some((at, known)) = self.nonces.get(&key).filter(|_| once)
            && now.ms_since(*at) < NONCE_MS
        {
            return Ok(*known);
        }
        let filled = ["embeds", "components", "sticker_ids", "poll"];
        let filled = filled.iter().any(|name| match &payload[*name] {
            Value::Array(list) => !list.is_empty(),
            other => !other.is_null(),
        });
        if content.is_empty() && args.files.is_empty() && !filled {
            return refuse(400, 50006, "Cannot send an empty message");
        }
        let reference = &payload["message_reference"];
        let mut reply = id(&reference["message_id"]);
        let known = |reply: &u64| {
            self.channels.get(&channel).is_some_and(|known| known.messages.contains_key(reply))
        };
        if reply.is_some_and(|reply| !known(&reply)) {
            if reference["fail_if_not_exists"] != false {
                return invalid("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message");
            }
            reply = None;
        }
        if args.files.values().map(|file| file.bytes.len()).sum::<usize>() > FILES_MAX {
            return refuse(413, 40005, "Request entity too large");
        }
        let mut attachments = Vec::new();
        let member = |name: &str| {
            let number = name.strip_prefix("files[").and_then(|rest| rest.strip_suffix(']'));
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        };
        for name in args.files.keys().filter(|name| !member(name)) {
            self.desk.broken.push(format!("a file comes as {name}, not as files[n]"));
        }
        for file in args.files.values() {
            attachments.push(self.attach(now, &file.name, &file.content_type, file.bytes.clone()));
        }
        let mut rest = json!({
            "embeds": payload["embeds"], "components": payload["components"],
            "nonce": payload["nonce"],
        });
        if !attachments.is_empty() {
            rest["attachments"] = json!(attachments);
        }
        let message = Message {
            ours: true,
            author: self.me(),
            content: content.clone(),
            rest,
            reply,
            mention: false,
            at_ms: self.desk.wall_ms(now),
            edited_ms: None,
        };
        let id = self.snowflake(now);
        self.channels.entry(channel).or_default().messages.insert(id, message);
        if once {
            self.nonces.insert(key, (now, id));
        }
        let mut kept = payload;
        if !args.files.is_empty() {
            // By which member of the form each came.
            let named = args.files.iter().map(|(field, file)| (field.clone(), json!(file.name)));
            kept["uploads"] = Value::Object(named.collect());
        }
        self.note(now, how, channel, id, &content, &nonce, kept);
        let event = self.message_event(channel, id);
        self.dispatch("MESSAGE_CREATE", event);
        Ok(id)
    }

    fn edit(&mut self, now: Time, channel: u64, message: u64, args: &Args) -> Result<()> {
        let payload = payload(args);
        let content = Self::content(&payload)?;
        let at_ms = self.desk.wall_ms(now);
        let messages = self.channels.get_mut(&channel).map(|known| &mut known.messages);
        let Some(known) = messages.and_then(|messages| messages.get_mut(&message)) else {
            return refuse(404, 10008, "Unknown Message");
        };
        if !known.ours {
            return refuse(403, 50005, "Cannot edit a message authored by another user");
        }
        if payload["content"].is_string() {
            known.content = content.clone();
        }
        for name in ["embeds", "components"] {
            if !payload[name].is_null() {
                known.rest[name] = payload[name].clone();
            }
        }
        known.edited_ms = Some(at_ms);
        self.note(now, "edit", channel, message, &content, "", payload);
        let event = self.message_event(channel, message);
        self.dispatch("MESSAGE_UPDATE", event);
        Ok(())
    }

    fn delete(&mut self, now: Time, channel: u64, message: u64) {
        let Some(known) = self.channels.get_mut(&channel) else { return };
        known.messages.remove(&message);
        let mut event = json!({"id": message.to_string(), "channel_id": channel.to_string()});
        if let Some(guild) = known.guild {
            event["guild_id"] = guild.to_string().into();
        }
        self.note(now, "delete", channel, message, "", "", Value::Null);
        self.dispatch("MESSAGE_DELETE", event);
    }

    fn list(&self, channel: u64, args: &Args) -> Result<Answer> {
        let limit = args.int("limit").unwrap_or(50);
        if !(1..=100).contains(&limit) {
            let what = "int value should be between 1 and 100.";
            return invalid("limit", "NUMBER_TYPE_MAX", what);
        }
        let bound = |name: &str| args.text(name).and_then(|text| text.parse::<u64>().ok());
        let (before, after) = (bound("before"), bound("after"));
        let known = self.channels.get(&channel);
        let ids = known.into_iter().flat_map(|known| known.messages.keys().copied());
        let mut ids: Vec<u64> = ids
            .filter(|id| before.is_none_or(|before| *id < before))
            .filter(|id| after.is_none_or(|after| *id > after))
            .collect();
        // Behind `after` the oldest come, else the newest; in either case newest first.
        let limit = limit as usize;
        if after.is_some() {
            ids.truncate(limit);
        }
        let shown: Vec<Value> =
            ids.iter().rev().take(limit).map(|id| self.message_value(channel, *id)).collect();
        Ok(Answer::json(200, &json!(shown)))
    }

    fn start_thread(
        &mut self,
        now: Time,
        channel: u64,
        message: Option<u64>,
        args: &Args,
    ) -> Result<Answer> {
        let name = args.text("name").unwrap_or_default();
        if !(1..=100).contains(&name.chars().count()) {
            let what = "Must be between 1 and 100 in length.";
            return invalid("name", "BASE_TYPE_BAD_LENGTH", what);
        }
        let guild = self.channels.get(&channel).and_then(|known| known.guild);
        let Some(guild) = guild else {
            return refuse(400, 50024, "Cannot execute action on this channel type");
        };
        // A thread has the id of its first message.
        let thread = message.unwrap_or_else(|| self.snowflake(now));
        if self.channels.contains_key(&thread) {
            let what = "A thread has already been created for this message";
            return refuse(400, 160_004, what);
        }
        let act = json!({"channel": thread, "guild": guild, "parent": channel});
        self.channel(&act);
        Ok(Answer::json(201, &self.channel_value(thread, &act)))
    }

    fn commands_route(&mut self, method: &str, path: &[&str], args: &Args) -> Result<Answer> {
        let (scope, rest) = match path {
            ["commands", rest @ ..] => (String::new(), rest),
            ["guilds", guild, "commands", rest @ ..] => ((*guild).to_owned(), rest),
            _ => return refuse(404, 0, "404: Not Found"),
        };
        let judged = |command: &Value| -> Result<()> {
            let name = command["name"].as_str().unwrap_or_default();
            let fits = |c: char| c.is_alphanumeric() && !c.is_uppercase() || c == '-' || c == '_';
            if !(1..=32).contains(&name.chars().count()) || !name.chars().all(fits) {
                return invalid(
                    "name",
                    "APPLICATION_COMMAND_INVALID_NAME",
                    "Command name is invalid",
                );
            }
            let description = command["description"].as_str().unwrap_or_default();
            let chat = command["type"].as_u64().unwrap_or(1) == 1;
            if chat && !(1..=100).contains(&description.chars().count()) {
                let what = "Must be between 1 and 100 in length.";
                return invalid("description", "BASE_TYPE_BAD_LENGTH", what);
            }
            Ok(())
        };
        let whole = |commands: &[Value]| -> Value {
            let shown = |(n, command): (usize, &Value)| {
                let mut command = command.clone();
                command["id"] = (900 + n).to_string().into();
                command["application_id"] = Self::APP.to_string().into();
                command["version"] = "1".into();
                command
            };
            commands.iter().enumerate().map(shown).collect()
        };
        let list = self.commands.entry(scope).or_default();
        match (method, rest) {
            ("GET", []) => {}
            ("PUT", []) => {
                let commands = args.values.get("").cloned().unwrap_or_default();
                let commands = commands.as_array().cloned().unwrap_or_default();
                commands.iter().try_for_each(judged)?;
                if commands.len() > 100 {
                    return refuse(
                        400,
                        30032,
                        "Maximum number of application commands reached (100)",
                    );
                }
                *list = commands;
            }
            ("POST", []) => {
                let command = args.all();
                judged(&command)?;
                list.retain(|known| known["name"] != command["name"]);
                list.push(command);
                let made = whole(list);
                let made = made.as_array().and_then(|all| all.last()).cloned();
                return Ok(Answer::json(201, &made.unwrap_or_default()));
            }
            _ => return refuse(404, 10063, "Unknown application command"),
        }
        Ok(Answer::json(200, &whole(list)))
    }

    fn callback(&mut self, now: Time, id: u64, token: &str, args: &Args) -> Result<Answer> {
        let Some(interaction) = self.interactions.get_mut(&id).filter(|it| it.token == token)
        else {
            return refuse(404, 10062, "Unknown interaction");
        };
        if interaction.acked {
            return refuse(400, 40060, "Interaction has already been acknowledged.");
        }
        if now.ms_since(interaction.at) > ACK_MS {
            return refuse(404, 10062, "Unknown interaction");
        }
        let payload = payload(args);
        let kind = payload["type"].as_u64().unwrap_or(0);
        if !(4..=10).contains(&kind) {
            return invalid(
                "type",
                "BASE_TYPE_CHOICES",
                "Value must be one of {4, 5, 6, 7, 8, 9}.",
            );
        }
        interaction.acked = true;
        let channel = interaction.channel;
        if kind == 4 {
            let message = self.post(now, "interaction", channel, args, Some(&payload["data"]))?;
            if let Some(interaction) = self.interactions.get_mut(&id) {
                interaction.original = Some(message);
            }
        }
        if args.flag("with_response") {
            let shown = json!({
                "interaction": {"id": id.to_string(), "type": 2, "response_message_ephemeral": false},
            });
            return Ok(Answer::json(200, &shown));
        }
        Ok(nothing())
    }

    /// What follows an interaction's first answer.
    fn follow(
        &mut self,
        now: Time,
        method: &str,
        token: &str,
        path: &[&str],
        args: &Args,
    ) -> Result<Answer> {
        let found = self.interactions.iter().find(|(_, it)| it.token == token);
        let Some((key, interaction)) = found.map(|(key, it)| (*key, it)) else {
            return refuse(404, 10015, "Unknown Webhook");
        };
        let (channel, original) = (interaction.channel, interaction.original);
        if !interaction.acked {
            return refuse(404, 10015, "Unknown Webhook");
        }
        let named = match path {
            [] => None,
            ["messages", "@original"] => original,
            ["messages", message] => Some(number(message)?),
            _ => return refuse(404, 0, "404: Not Found"),
        };
        let message = match (method, named) {
            ("POST", None) => self.post(now, "followup", channel, args, None)?,
            // A deferred answer is filled in.
            ("PATCH", None) if path == ["messages", "@original"] => {
                let message = self.post(now, "interaction", channel, args, None)?;
                if let Some(interaction) = self.interactions.get_mut(&key) {
                    interaction.original = Some(message);
                }
                message
            }
            ("PATCH", Some(message)) => {
                self.edit(now, channel, message, args)?;
                message
            }
            ("DELETE", Some(message)) => {
                self.delete(now, channel, message);
                return Ok(nothing());
            }
            ("GET", Some(message)) => message,
            _ => return refuse(404, 10008, "Unknown Message"),
        };
        let mut shown = self.message_value(channel, message);
        shown["webhook_id"] = Self::APP.to_string().into();
        shown["edited_at"] = rfc3339_ms(self.desk.wall_ms(now)).into();
        Ok(Answer::json(200, &shown))
    }
}
