//! The methods of the Bot API that the fake carries out.

use super::{Hook, Message, Telegram, error, markup, ok, too_many};
use crate::driver::Time;
use crate::sim::peers::fake::{Answer, Args, Line, Posted, Reply};
use crate::wire::url::Url;
use serde_json::{Value, json};

/// Reactions that a bot may set ("ReactionTypeEmoji").
const REACTIONS: &str = "❤👍👎🔥🥰👏😁🤔🤯😱🤬😢🎉🤩🤮💩🙏👌🕊🤡🥱🥴😍🐳❤‍🔥🌚🌭💯🤣⚡🍌🏆💔🤨😐🍓🍾💋🖕😈😴😭🤓👻👨‍💻👀🎃🙈😇😨🤝✍🤗🫡🎅🎄☃💅🤪🗿🆒💘🙉🦄😘💊🙊😎👾🤷‍♂🤷🤷‍♀😡";
const ACTIONS: [&str; 11] = [
    "typing",
    "upload_photo",
    "record_video",
    "upload_video",
    "record_voice",
    "upload_voice",
    "upload_document",
    "choose_sticker",
    "find_location",
    "record_video_note",
    "upload_video_note",
];
const TEXT_MAX: usize = 4096;
const CAPTION_MAX: usize = 1024;
const PHOTO_MAX: usize = 10 * 1024 * 1024;
const FILE_UP_MAX: usize = 50 * 1024 * 1024;
const FILE_DOWN_MAX: usize = 20 * 1024 * 1024;

type Result<T> = std::result::Result<T, Box<Answer>>;

fn bad<T>(what: &str) -> Result<T> {
    Err(Box::new(error(400, &format!("Bad Request: {what}"))))
}

/// Plain text of a parameter, of at most so many characters.
fn plain(args: &Args, name: &str, most: usize, long: &str) -> Result<String> {
    let text = args.text(name).unwrap_or_default();
    let parsed = match args.text("parse_mode").unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "markdown" => Ok(text),
        "html" => markup::html(&text),
        "markdownv2" => markup::markdown(&text),
        _ => return bad("unsupported parse_mode"),
    };
    match parsed {
        Err(what) => bad(&format!("can't parse entities: {what}")),
        Ok(text) if text.encode_utf16().count() > most => bad(long),
        Ok(text) => Ok(text.trim().to_owned()),
    }
}

fn buttons(args: &Args) -> Result<Value> {
    let markup = args.value("reply_markup");
    if args.values.contains_key("reply_markup") && !markup.is_object() {
        return bad("object expected as reply markup");
    }
    let rows = markup["inline_keyboard"].as_array().into_iter().flatten();
    for button in rows.flat_map(|row| row.as_array().into_iter().flatten()) {
        if button["text"].as_str().is_none_or(str::is_empty) {
            return bad("text buttons are unallowed in the inline keyboard");
        }
        if let Some(data) = button["callback_data"].as_str()
            && !(1..=64).contains(&data.len())
        {
            return bad("BUTTON_DATA_INVALID");
        }
    }
    Ok(markup)
}

impl Telegram {
    /// Carries out one method.
    pub(super) fn method(&mut self, now: Time, method: &str, args: &Args) -> Answer {
        let done = match method.to_ascii_lowercase().as_str() {
            "getme" => Ok(self.me()),
            "logout" | "close" => Ok(true.into()),
            "setwebhook" => self.set_webhook(now, args),
            "deletewebhook" => {
                self.hook = None;
                if args.flag("drop_pending_updates") {
                    self.updates.clear();
                }
                Ok(true.into())
            }
            "getwebhookinfo" => Ok(self.webhook_info()),
            "sendmessage" => self.send_message(now, args),
            "sendphoto" => self.send_file(now, args, "photo", PHOTO_MAX),
            "senddocument" => self.send_file(now, args, "document", FILE_UP_MAX),
            "sendvoice" => self.send_file(now, args, "voice", FILE_UP_MAX),
            "sendaudio" => self.send_file(now, args, "audio", FILE_UP_MAX),
            "sendvideo" => self.send_file(now, args, "video", FILE_UP_MAX),
            "sendanimation" => self.send_file(now, args, "animation", FILE_UP_MAX),
            "sendpoll" => self.send_poll(now, args),
            "editmessagetext" => self.edit(now, args, "text"),
            "editmessagecaption" => self.edit(now, args, "caption"),
            "editmessagereplymarkup" => self.edit(now, args, ""),
            "deletemessage" => self.delete(now, args),
            "sendchataction" => self.action(args),
            "setmessagereaction" => self.react(now, args),
            "answercallbackquery" => self.answer_press(now, args),
            "setmycommands" => self.set_commands(args),
            "deletemycommands" => {
                self.commands.remove(&Self::scope(args));
                Ok(true.into())
            }
            "getmycommands" => {
                Ok(self.commands.get(&Self::scope(args)).cloned().unwrap_or_else(|| json!([])))
            }
            "getchat" => self.reachable(args).map(|chat| self.chat_value(chat)),
            "getchatmember" => self.reachable(args).map(|_| {
                json!({"status": "member", "user": {"id": args.int("user_id"), "is_bot": false,
                       "first_name": "User"}})
            }),
            "getfile" => self.get_file(args),
            _ => return error(404, "Not Found: method not found"),
        };
        match done {
            Ok(result) => ok(result),
            Err(answer) => *answer,
        }
    }

    /// A method in the answer of a webhook; nobody hears what came of it.
    pub(super) fn inline(&mut self, now: Time, body: &[u8]) {
        let args = Args::read("", "application/json", body);
        if let Some(method) = args.text("method") {
            self.method(now, &method, &args);
        }
    }

    /// The chat named by `chat_id`, if it is there and lets us in.
    fn reachable(&self, args: &Args) -> Result<i64> {
        let Some(text) = args.text("chat_id").filter(|text| !text.is_empty()) else {
            return bad("chat_id is empty");
        };
        let Some(id) = args.int("chat_id") else {
            return bad(&format!("chat not found: {text}"));
        };
        match self.chats.get(&id) {
            None => bad("chat not found"),
            Some(chat) if chat.kicked && chat.kind == "private" => {
                Err(Box::new(error(403, "Forbidden: bot was blocked by the user")))
            }
            Some(chat) if chat.kicked => {
                let what = format!("Forbidden: bot was kicked from the {} chat", chat.kind);
                Err(Box::new(error(403, &what)))
            }
            Some(chat) => match chat.migrated {
                None => Ok(id),
                Some(to) => {
                    let what = "Bad Request: group chat was upgraded to a supergroup chat";
                    let body = json!({
                        "ok": false, "error_code": 400, "description": what,
                        "parameters": {"migrate_to_chat_id": to},
                    });
                    Err(Box::new(Answer::json(400, &body)))
                }
            },
        }
    }

    fn paced(&mut self, now: Time, chat: i64) -> Result<()> {
        self.pass(now, chat).map_err(|seconds| Box::new(too_many(seconds)))
    }

    /// What a message answers, as it is shown; and whether its topic is there.
    fn context(&self, args: &Args, chat: i64) -> Result<(Value, Value)> {
        let reply = args.value("reply_parameters");
        let id = reply["message_id"].as_i64().or_else(|| args.int("reply_to_message_id"));
        let known =
            |id: &i64| self.chats.get(&chat).is_some_and(|known| known.messages.contains_key(id));
        let lenient = reply["allow_sending_without_reply"] == true
            || args.flag("allow_sending_without_reply");
        let answered = match id {
            Some(id) if known(&id) => self.known(chat, id),
            Some(_) if !lenient => return bad("message to be replied not found"),
            _ => Value::Null,
        };
        let topic = args.int("message_thread_id");
        let there =
            |topic: &i64| self.chats.get(&chat).is_some_and(|chat| chat.topics.contains(topic));
        match topic {
            Some(topic) if !there(&topic) => bad("message thread not found"),
            Some(topic) => Ok((answered, topic.into())),
            None => Ok((answered, Value::Null)),
        }
    }

    /// Writes down and stores what was sent; how it looks.
    fn sent(
        &mut self,
        now: Time,
        method: &str,
        args: &Args,
        chat: i64,
        message: Message,
        context: (Value, Value),
    ) -> Value {
        let (text, markup) = (message.text.clone(), message.markup.clone());
        let media = message.media;
        let id = self.keep(chat, message);
        self.desk.posted.push(Posted {
            at: now,
            method: method.to_owned(),
            to: chat.to_string(),
            id: id.to_string(),
            text: text.clone(),
            key: String::new(),
            args: args.all(),
        });
        let mut shown = json!({
            "message_id": id, "date": self.desk.wall_ms(now) / 1000, "from": self.me(),
            "chat": self.chat_value(chat),
        });
        if !media {
            shown["text"] = text.into();
        } else if !text.is_empty() {
            shown["caption"] = text.into();
        }
        for (name, value) in [
            ("reply_to_message", context.0),
            ("message_thread_id", context.1),
            ("reply_markup", markup),
        ] {
            if !value.is_null() {
                shown[name] = value;
            }
        }
        shown
    }

    fn send_message(&mut self, now: Time, args: &Args) -> Result<Value> {
        let chat = self.reachable(args)?;
        let text = plain(args, "text", TEXT_MAX, "message is too long")?;
        if text.is_empty() {
            return bad("message text is empty");
        }
        let markup = buttons(args)?;
        let context = self.context(args, chat)?;
        self.paced(now, chat)?;
        let message = Message { ours: true, text, markup, media: false };
        Ok(self.sent(now, "sendMessage", args, chat, message, context))
    }

    fn send_file(&mut self, now: Time, args: &Args, kind: &str, most: usize) -> Result<Value> {
        let chat = self.reachable(args)?;
        let text = plain(args, "caption", CAPTION_MAX, "message caption is too long")?;
        let markup = buttons(args)?;
        let context = self.context(args, chat)?;
        let named = args.text(kind).unwrap_or_default();
        let upload = match named.strip_prefix("attach://") {
            Some(part) => args.files.get(part),
            None => args.files.get(kind),
        };
        let (name, bytes) = match upload {
            Some(upload) if upload.bytes.is_empty() => return bad("file must be non-empty"),
            Some(upload) => (upload.name.clone(), upload.bytes.clone()),
            None if self.files.contains_key(&named) => (named.clone(), Vec::new()),
            None if Url::parse(&named).is_ok() => ("fetched".to_owned(), named.into_bytes()),
            None if named.is_empty() => return bad(&format!("there is no {kind} in the request")),
            None => return bad("wrong file identifier/HTTP URL specified"),
        };
        if bytes.len() > most {
            return Err(Box::new(error(413, "Request Entity Too Large")));
        }
        self.paced(now, chat)?;
        let size = bytes.len();
        let file = match bytes.is_empty() {
            true => name.clone(),
            false => self.file(&name, bytes),
        };
        let mut about = json!({
            "file_id": file, "file_unique_id": format!("u{file}"), "file_size": size,
        });
        match kind {
            "photo" => {
                about["width"] = 1.into();
                about["height"] = 1.into();
                about = json!([about]);
            }
            "document" => about["file_name"] = name.into(),
            _ => about["duration"] = 1.into(),
        }
        let method = format!("send{}{}", kind[..1].to_ascii_uppercase(), &kind[1..]);
        let message = Message { ours: true, text, markup, media: true };
        let mut shown = self.sent(now, &method, args, chat, message, context);
        shown[kind] = about;
        Ok(shown)
    }

    fn send_poll(&mut self, now: Time, args: &Args) -> Result<Value> {
        let chat = self.reachable(args)?;
        let question = args.text("question").unwrap_or_default();
        if !(1..=300).contains(&question.encode_utf16().count()) {
            return bad("poll question must be of length 1 to 300");
        }
        let options = args.value("options");
        let text = |option: &Value| {
            option.as_str().or_else(|| option["text"].as_str()).unwrap_or_default().to_owned()
        };
        let options: Vec<String> = options.as_array().into_iter().flatten().map(text).collect();
        if !(2..=12).contains(&options.len()) {
            return bad("poll must have 2 to 12 options");
        }
        if options.iter().any(|option| !(1..=100).contains(&option.encode_utf16().count())) {
            return bad("poll options length must not exceed 100");
        }
        let context = self.context(args, chat)?;
        self.paced(now, chat)?;
        let message =
            Message { ours: true, text: question.clone(), markup: Value::Null, media: true };
        let mut shown = self.sent(now, "sendPoll", args, chat, message, context);
        let choices: Vec<Value> =
            options.iter().map(|text| json!({"text": text, "voter_count": 0})).collect();
        shown["poll"] = json!({
            "id": format!("poll{:x}", self.rng.next()), "question": question, "options": choices,
            "total_voter_count": 0, "is_closed": false, "is_anonymous": true, "type": "regular",
            "allows_multiple_answers": args.flag("allows_multiple_answers"),
        });
        Ok(shown)
    }

    /// Changes the text, the caption, or only the buttons of a message.
    fn edit(&mut self, now: Time, args: &Args, what: &str) -> Result<Value> {
        let chat = self.reachable(args)?;
        let id = args.int("message_id").unwrap_or(0);
        let Some(message) = self.chats.get(&chat).and_then(|known| known.messages.get(&id)) else {
            return bad("message to edit not found");
        };
        if !message.ours {
            return bad("message can't be edited");
        }
        let before = message.clone();
        let text = match what {
            "" => before.text.clone(),
            "caption" => plain(args, what, CAPTION_MAX, "message caption is too long")?,
            _ => plain(args, what, TEXT_MAX, "message is too long")?,
        };
        if what == "text" && before.media {
            return bad("there is no text in the message to edit");
        }
        if what == "text" && text.is_empty() {
            return bad("message text is empty");
        }
        let markup = buttons(args)?;
        if text == before.text && markup == before.markup {
            return bad(
                "message is not modified: specified new message content and reply markup are \
                 exactly the same as a current content and reply markup of the message",
            );
        }
        self.paced(now, chat)?;
        let message = Message { text: text.clone(), markup, ..before };
        if let Some(known) = self.chats.get_mut(&chat) {
            known.messages.insert(id, message);
        }
        self.desk.posted.push(Posted {
            at: now,
            method: "editMessageText".to_owned(),
            to: chat.to_string(),
            id: id.to_string(),
            text,
            key: String::new(),
            args: args.all(),
        });
        let mut shown = self.known(chat, id);
        shown["edit_date"] = (self.desk.wall_ms(now) / 1000).into();
        Ok(shown)
    }

    fn delete(&mut self, now: Time, args: &Args) -> Result<Value> {
        let chat = self.reachable(args)?;
        let id = args.int("message_id").unwrap_or(0);
        let known = self.chats.get_mut(&chat).and_then(|known| known.messages.remove(&id));
        let Some(message) = known else { return bad("message to delete not found") };
        self.desk.posted.push(Posted {
            at: now,
            method: "deleteMessage".to_owned(),
            to: chat.to_string(),
            id: id.to_string(),
            text: message.text,
            key: String::new(),
            args: args.all(),
        });
        Ok(true.into())
    }

    fn action(&mut self, args: &Args) -> Result<Value> {
        self.reachable(args)?;
        let action = args.text("action").unwrap_or_default();
        match ACTIONS.contains(&action.as_str()) {
            true => Ok(true.into()),
            false => bad("wrong parameter action in request"),
        }
    }

    fn react(&mut self, now: Time, args: &Args) -> Result<Value> {
        let chat = self.reachable(args)?;
        let id = args.int("message_id").unwrap_or(0);
        if !self.chats.get(&chat).is_some_and(|known| known.messages.contains_key(&id)) {
            return bad("message to react not found");
        }
        let reactions = args.value("reaction");
        let reactions = reactions.as_array().cloned().unwrap_or_default();
        if reactions.len() > 1 {
            return bad("REACTIONS_TOO_MANY");
        }
        let emoji = reactions.first().and_then(|reaction| reaction["emoji"].as_str());
        if let Some(emoji) = emoji
            && (emoji.is_empty() || !REACTIONS.contains(emoji.trim_end_matches('\u{fe0f}')))
        {
            return bad("REACTION_INVALID");
        }
        self.desk.posted.push(Posted {
            at: now,
            method: "setMessageReaction".to_owned(),
            to: chat.to_string(),
            id: id.to_string(),
            text: emoji.unwrap_or_default().to_owned(),
            key: String::new(),
            args: args.all(),
        });
        Ok(true.into())
    }

    fn answer_press(&mut self, now: Time, args: &Args) -> Result<Value> {
        let query = args.text("callback_query_id").unwrap_or_default();
        // Answered as soon as it is read: it is not yet confirmed.
        let waits = |update: &(i64, Value)| update.1["callback_query"]["id"] == query.as_str();
        let waiting = self.updates.iter().any(waits);
        if self.presses.remove(&query).is_none() && !waiting {
            let what = "query is too old and response timeout expired or query ID is invalid";
            return bad(what);
        }
        if waiting {
            // Never due.
            self.presses.insert(query.clone(), Time(u64::MAX));
        }
        let text = args.text("text").unwrap_or_default();
        if text.chars().count() > 200 {
            return bad("MESSAGE_TOO_LONG");
        }
        self.desk.posted.push(Posted {
            at: now,
            method: "answerCallbackQuery".to_owned(),
            to: String::new(),
            id: query,
            text,
            key: String::new(),
            args: args.all(),
        });
        Ok(true.into())
    }

    fn scope(args: &Args) -> String {
        let scope = args.value("scope");
        let kind = scope["type"].as_str().unwrap_or("default");
        format!("{kind}{}{}", scope["chat_id"], args.text("language_code").unwrap_or_default())
            .replace("null", "")
    }

    fn set_commands(&mut self, args: &Args) -> Result<Value> {
        let commands = args.value("commands");
        let Some(list) = commands.as_array() else {
            return bad("parameter \"commands\" is required");
        };
        if list.len() > 100 {
            return bad("BOT_COMMANDS_TOO_MUCH");
        }
        for command in list {
            let name = command["command"].as_str().unwrap_or_default().trim_start_matches('/');
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if !(1..=32).contains(&name.len()) || !name.chars().all(fits) {
                return bad("BOT_COMMAND_INVALID");
            }
            let description = command["description"].as_str().unwrap_or_default();
            if !(1..=256).contains(&description.chars().count()) {
                return bad("BOT_COMMAND_DESCRIPTION_INVALID");
            }
        }
        self.commands.insert(Self::scope(args), commands);
        Ok(true.into())
    }

    fn get_file(&mut self, args: &Args) -> Result<Value> {
        let id = args.text("file_id").unwrap_or_default();
        match self.files.get(&id) {
            None => bad("invalid file_id"),
            Some(file) if file.bytes.len() > FILE_DOWN_MAX => bad("file is too big"),
            Some(file) => Ok(json!({
                "file_id": id, "file_unique_id": format!("u{id}"), "file_path": file.path,
                "file_size": file.bytes.len(),
            })),
        }
    }

    fn set_webhook(&mut self, now: Time, args: &Args) -> Result<Value> {
        let url = args.text("url").unwrap_or_default();
        if args.flag("drop_pending_updates") {
            self.updates.clear();
        }
        if url.is_empty() {
            self.hook = None;
            return Ok(true.into());
        }
        if !self.any_hook {
            let Some(rest) = url.strip_prefix("https://") else {
                return bad("bad webhook: An HTTPS URL must be provided for webhook");
            };
            let port = Url::parse(&format!("https://{rest}")).map_or(0, |url| url.port);
            if ![443, 80, 88, 8443].contains(&port) {
                return bad("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443");
            }
        }
        let secret = args.text("secret_token").unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if secret.len() > 256 || !secret.chars().all(fits) {
            return bad("secret token contains unallowed characters");
        }
        let max = args.int("max_connections").unwrap_or(40);
        if !(1..=100).contains(&max) {
            return bad("max_connections must be between 1 and 100");
        }
        if let Some(kinds) = args.value("allowed_updates").as_array() {
            let kinds: Vec<String> =
                kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            self.allowed = (!kinds.is_empty()).then_some(kinds);
        }
        self.set_hook(now, &url, &secret, max);
        Ok(true.into())
    }

    /// A webhook ends the poll.
    pub(super) fn set_hook(&mut self, now: Time, url: &str, secret: &str, max: i64) {
        if let Some(poll) = self.poll.take() {
            let said = "Conflict: terminated by setWebhook request";
            if let Reply::Now(answer) = self.conflict(now, poll.conn, said) {
                self.desk.line(poll.conn, Line::Answer(answer));
            }
        }
        self.hook = Some(Hook {
            url: url.to_owned(),
            secret: secret.to_owned(),
            max,
            next: now,
            ..Hook::default()
        });
    }

    fn webhook_info(&self) -> Value {
        let none = Hook::default();
        let hook = self.hook.as_ref().unwrap_or(&none);
        let mut info = json!({
            "url": hook.url, "has_custom_certificate": false,
            "pending_update_count": self.updates.len(),
        });
        if self.hook.is_some() {
            info["max_connections"] = hook.max.into();
            info["ip_address"] = "127.0.0.1".into();
        }
        if let Some((wall_ms, what)) = &hook.error {
            info["last_error_date"] = (wall_ms / 1000).into();
            info["last_error_message"] = what.clone().into();
        }
        if let Some(kinds) = &self.allowed {
            info["allowed_updates"] = json!(kinds);
        }
        info
    }
}
