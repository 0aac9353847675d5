//! Telegram: the Bot API, by long poll or webhook.
//!
//! ```text
//!   Start --> getMe --> [poll]    deleteWebhook --> getUpdates(offset) <----------------+
//!                |                                       | updates, in order            |
//!                |                                       inbound --> all settled -------+
//!                |                                             offset kept, then asked on
//!                +----> [webhook] setWebhook --> requests with our secret --> inbound --> 200
//!   Locate --> getFile --> located: addresses of files hold for an hour
//!   Send --> sendMessage (HTML), sendPhoto, ... --> sent with the message's number
//! ```
//!
//! * One poller a token: nothing else ever calls `getUpdates`. Where Telegram says 409, another
//!   program polls; ours closes, waits out the other's window ([`limits::TELEGRAM_CONFLICT_MS`])
//!   and opens again. A probe asks `getMe`, which disturbs nobody.
//! * The offset moves on when every message before it is durable, is kept before it is shown to
//!   Telegram, and so no update is lost or, with the journal's memory, answered twice.
//! * It is connected once a poll was answered: that Telegram took `deleteWebhook` does not say
//!   that nobody else polls.
//! * Of an answer that is too long fewer updates are asked for; one that is too long alone is
//!   stepped over by its number, and nothing else is.
//! * What the disk refused is not acknowledged: polling goes on from there after a pause, and a
//!   webhook is told 503.
//! * A chat that was told to wait (429) is left alone for that long.
//! * The Bot API has no idempotency key and shows a bot no history: a piece whose answer got lost
//!   is sent again, since a reply too many is better than none.
//!
//! Source: core.telegram.org/bots/api.

mod api;
mod audit;
mod deliver;
mod happenings;
mod poll;
mod updates;

/// Whether an action of this name becomes a call; for the table of actions.
#[cfg(test)]
pub(super) fn is_call(name: &str, params: &Value) -> Result<(), String> {
    let act = super::Act::Other { name: name.to_owned(), params: params.clone() };
    api::act(&act).map(|_| ()).map_err(|failure| failure.what)
}

#[cfg(test)]
mod telegram_tests;

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::{
    Account, Address, Answered, Backoff, Caps, Channel, ChannelInput, ChannelOut, Failure,
    Happening, HookId, HookRequest, Inbound, Kind, Located, Me, Media, ReqId, Retry, State,
    Trouble, Writing, text,
};
use crate::driver::{Now, Time};
use crate::limits;
use crate::wire::hash::constant_time_eq_digest;
use api::Call;
use deliver::acted;
use poll::Polls;
use updates::{Update, Who};

/// The row of [`super::KINDS`].
pub static KIND: Kind = Kind {
    id: "telegram",
    label: "Telegram",
    detail: "Telegram Bot",
    prefixes: &["tg"],
    caps: Caps {
        direct: true,
        group: true,
        threads: true,
        reply: true,
        reactions: true,
        edit: true,
        delete: true,
        finds: false,
        brings_again: true,
        typing: true,
        media: true,
        polls: true,
        buttons: true,
        native_commands: true,
    },
    text_limit: 4096,
    media_max_mb: 100,
    writing: Writing {
        mode: "progress",
        // Twenty messages a minute in a group, edits among them.
        edit_ms: (1_100, 3_500),
        headlines: true,
        rests_chat: true,
        ..Writing::PLAIN
    },
    length: text::utf16,
    render: text::html,
    live_keys: &["capabilities", "linkPreview"],
    not_inherited: &["botToken", "tokenFile", "webhookUrl", "webhookSecret", "webhookPath"],
    file_keys: &[("tokenFile", "botToken")],
    env_keys: &[("botToken", "TELEGRAM_BOT_TOKEN")],
    credentials: &["botToken"],
    build: |account| Telegram::new(account).map(|it| Box::new(it) as Box<dyn Channel>),
    target,
    normal,
    group: updates::rules,
};

/// Telegram's own Bot API server.
const OFFICIAL: &str = "https://api.telegram.org";
const TOO_BIG: &str = "Telegram's Bot API gives no file over 20 MB";

/// `123`, `-100123`, `-100123:topic:42`, `@channel`.
fn target(text: &str) -> Result<Address, String> {
    let text = text.trim();
    let text = ["telegram:", "tg:", "group:", "user:"]
        .iter()
        .fold(text, |text, prefix| text.strip_prefix(prefix).unwrap_or(text));
    let (chat, thread) = match text.split_once(":topic:").or_else(|| text.split_once(':')) {
        Some((chat, topic)) => (chat, Some(topic.to_owned())),
        None => (text, None),
    };
    let name =
        |text: &str| text.len() > 4 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let known = chat.parse::<i64>().is_ok() || chat.strip_prefix('@').is_some_and(name);
    let topic = thread.as_deref().is_none_or(|topic| topic.parse::<u32>().is_ok());
    match known && topic {
        true => Ok(Address { chat: chat.to_owned(), thread }),
        false => Err("a Telegram target is a numeric chat id, with :topic:<n> for a topic, or \
                      @channel"
            .to_owned()),
    }
}

/// A number without prefix; names keep their `@`, lower case.
fn normal(id: &str) -> String {
    let id = id.trim();
    let id = id.strip_prefix("telegram:").or_else(|| id.strip_prefix("tg:")).unwrap_or(id);
    id.to_ascii_lowercase()
}

/// Whose answer a request waits for.
#[derive(Debug)]
enum Job {
    /// `getMe` of the start.
    Hello,
    /// `deleteWebhook` before the first poll.
    Clear,
    /// `setWebhook`.
    Hook,
    /// `getUpdates`.
    Poll,
    /// The head of one update that is too long.
    Peek,
    /// `getFile`, for the question of this number.
    File(u64),
    /// `setMyCommands`: the menu's digest.
    Menu(String),
    /// A button that is to stop spinning, and how often that was tried.
    Press(String, u32),
    /// A probe.
    Probe(u64),
    /// A call of an audit.
    Audit(Box<audit::Check>),
    /// A piece, call by call.
    Send(Box<Sending>),
    /// An act, and the chat it is in.
    Act(u64, String),
}

/// A piece on its way.
#[derive(Debug)]
struct Sending {
    id: String,
    /// The chat, for its pauses.
    chat: String,
    thread: Option<String>,
    /// The text without markup, for when Telegram does not understand ours.
    plain: String,
    calls: VecDeque<Call>,
}

/// An update that is not settled yet.
#[derive(Debug)]
enum Step {
    /// Waits for its turn.
    Waiting,
    /// Given up under this token.
    Given(u64),
    /// Settled, or nothing for us; false when the disk refused it.
    Done(bool),
}

/// One update of a poll, or of a request.
#[derive(Debug)]
struct Pending {
    number: i64,
    update: Option<Update>,
    step: Step,
    hook: Option<HookId>,
}

/// One account.
struct Telegram {
    account: Account,
    token: String,
    root: String,
    hook: Option<(String, String, String)>,
    me: Option<Who>,
    backoff: Backoff,
    retry: Option<Time>,
    resting: bool,
    cleared: bool,
    offset: i64,
    polls: Polls,
    /// Updates that a poll asks for: fewer while an answer with more of them is too long.
    batch: usize,
    /// Digest of the menu that Telegram has.
    menu: Option<String>,
    polling: Option<ReqId>,
    /// When the last poll was begun.
    polled: Time,
    queue: VecDeque<Pending>,
    /// What we sent last, `<chat>:<message>`, and the topic that it is in.
    own: VecDeque<(String, Option<String>)>,
    jobs: BTreeMap<ReqId, Job>,
    /// Chats that must rest.
    rests: BTreeMap<String, Time>,
    /// Buttons that still spin: when to try again, which, and how often that was tried.
    presses: VecDeque<(Time, String, u32)>,
    tokens: u64,
}

impl Telegram {
    fn new(account: &Account) -> Result<Self, String> {
        let token = account
            .text("botToken")
            .ok_or_else(|| account.missing("botToken", "the token from @BotFather"))?;
        let path = &account.path;
        let shaped = token.split_once(':').is_some_and(|(id, rest)| {
            id.bytes().all(|byte| byte.is_ascii_digit())
                && !id.is_empty()
                && rest.len() >= 8
                && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        });
        if !shaped {
            return Err(format!(
                "{path}.botToken does not look like a bot token (123456:ABC…): take it from \
                 @BotFather"
            ));
        }
        let hook = match account.text("webhookUrl") {
            None => None,
            Some(url) => {
                let secret = account.text("webhookSecret").ok_or_else(|| {
                    account.missing("webhookSecret", "it proves that a request is Telegram's")
                })?;
                let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
                if secret.len() > 256 || !secret.bytes().all(allowed) {
                    return Err(format!(
                        "{path}.webhookSecret may have A-Z, a-z, 0-9, _ and -, at most 256 of them"
                    ));
                }
                let at = account.text("webhookPath").unwrap_or("/telegram-webhook");
                Some((url.to_owned(), secret.to_owned(), at.to_owned()))
            }
        };
        let root = account.text("apiRoot").unwrap_or(OFFICIAL);
        // An offset counts for the bot it came from, and for no other.
        let bot = token.split(':').next().unwrap_or_default();
        let kept = account.kept.get("bot").and_then(Value::as_str) == Some(bot);
        let offset = account.kept.get("offset").and_then(Value::as_i64).filter(|_| kept);
        let menu = account.kept.get("menu").and_then(Value::as_str).filter(|_| kept);
        Ok(Self {
            token: token.to_owned(),
            root: root.trim_end_matches('/').to_owned(),
            hook,
            me: None,
            backoff: Backoff::new(limits::TELEGRAM_BACKOFF_MS, limits::TELEGRAM_BACKOFF_MAX_MS),
            retry: None,
            resting: false,
            cleared: false,
            offset: offset.unwrap_or(0),
            polls: Polls::Fresh,
            batch: limits::TELEGRAM_UPDATES,
            menu: menu.map(str::to_owned),
            polling: None,
            polled: Time(0),
            queue: VecDeque::new(),
            own: VecDeque::new(),
            jobs: BTreeMap::new(),
            rests: BTreeMap::new(),
            presses: VecDeque::new(),
            tokens: 0,
            account: account.clone(),
        })
    }

    fn ask(&mut self, call: &Call, job: Job, out: &mut ChannelOut) -> ReqId {
        let mut request = call.request(&self.root, &self.token, out.random());
        if matches!(job, Job::Peek) {
            request.max_bytes = limits::TELEGRAM_PEEK;
            request.cut = true;
        }
        if matches!(job, Job::Poll) {
            request.timeout_ms = limits::TELEGRAM_POLL_S
                .saturating_mul(1000)
                .saturating_add(limits::TELEGRAM_POLL_GRACE_MS);
            request.max_bytes = limits::TELEGRAM_POLL_ANSWER;
        }
        if matches!(job, Job::Press(..)) {
            request.timeout_ms = limits::TELEGRAM_PRESS_WAIT_MS;
        }
        request.proxy = self.account.text("proxy").map(str::to_owned);
        let req = out.http(request);
        self.jobs.insert(req, job);
        req
    }

    /// Begins, or goes on where it stopped.
    fn begin(&mut self, now: Now, out: &mut ChannelOut) {
        self.retry = None;
        let busy = |job: &Job| matches!(job, Job::Hello | Job::Clear | Job::Hook);
        if self.resting || self.jobs.values().any(busy) {
            return;
        }
        if self.me.is_none() || self.polls != Polls::Answered {
            out.status(State::Connecting);
        }
        if self.me.is_none() {
            self.ask(&Call::new("getMe", json!({})), Job::Hello, out);
        } else if !self.cleared {
            let call = match &self.hook {
                None => Call::new("deleteWebhook", json!({"drop_pending_updates": false})),
                Some((url, secret, _)) => Call::new(
                    "setWebhook",
                    json!({"url": url, "secret_token": secret, "allowed_updates": updates::WANTED}),
                ),
            };
            let job = if self.hook.is_none() { Job::Clear } else { Job::Hook };
            self.ask(&call, job, out);
        } else {
            self.poll(now, out);
        }
    }

    fn wait(&mut self, now: Now, why: String, at_least_ms: u64, out: &mut ChannelOut) {
        let pause = self.backoff.next_ms(out.random()).max(at_least_ms);
        let until = now.time.after_ms(pause);
        self.retry = Some(until);
        out.status(State::Waiting { until, why });
    }

    /// A step towards being connected, or a poll, failed.
    fn begin_failed(&mut self, now: Now, no: api::Refused, out: &mut ChannelOut) {
        match no.code {
            401 | 403 | 404 => {
                self.resting = true;
                out.status(State::Refused { why: no.failure.what });
            }
            409 => {
                // A webhook that somebody set meanwhile is a 409 as well.
                self.cleared = false;
                let hook = no.failure.what.contains("webhook");
                self.polls = if hook { Polls::Fresh } else { Polls::Contested };
                let why = format!("another program takes this bot's messages: {}", no.failure.what);
                self.wait(now, why, limits::TELEGRAM_CONFLICT_MS, out);
            }
            _ => {
                if self.polls == Polls::Answered {
                    // That it is well again is to be known soon.
                    self.polls = Polls::Fresh;
                }
                let at_least = match no.failure.retry {
                    Retry::After(ms) => ms,
                    _ => 0,
                };
                self.wait(now, no.failure.what, at_least, out);
            }
        }
    }

    fn on_answer(&mut self, now: Now, job: Job, result: Answer, out: &mut ChannelOut) {
        match job {
            Job::Hello => match api::read("getMe", result) {
                Ok(user) => {
                    self.known(&user, out);
                    self.begin(now, out);
                }
                Err(no) => self.begin_failed(now, no, out),
            },
            Job::Clear | Job::Hook => {
                let by_hook = matches!(job, Job::Hook);
                let method = if by_hook { "setWebhook" } else { "deleteWebhook" };
                match api::read(method, result) {
                    Ok(_) => {
                        self.cleared = true;
                        if let Some((_, _, path)) = &self.hook {
                            out.listen(path);
                            self.backoff.reset();
                            // A poll says so when it is answered: another program may poll.
                            out.status(State::Connected);
                        }
                        self.show_menu(out);
                        self.poll(now, out);
                    }
                    Err(no) => self.begin_failed(now, no, out),
                }
            }
            Job::Poll => {
                self.polling = None;
                if result.as_ref().is_err_and(|trouble| trouble.too_long) {
                    return self.too_long(now, out);
                }
                match api::read("getUpdates", result) {
                    Ok(list) => self.polled(now, &list, out),
                    Err(no) => self.begin_failed(now, no, out),
                }
            }
            Job::Peek => {
                self.polling = None;
                self.peeked(now, result, out);
            }
            Job::File(id) => out.located(id, self.found(result)),
            Job::Menu(digest) => match api::read("setMyCommands", result) {
                Ok(_) => {
                    self.menu = Some(digest);
                    self.keep(out);
                }
                // Without a menu the commands still work.
                Err(no) => out.log(log::Level::Warn, no.failure.what),
            },
            Job::Press(id, tries) => {
                if let Err(no) = api::read("answerCallbackQuery", result) {
                    self.spins_on(now, id, tries, &no.failure);
                }
            }
            Job::Probe(id) => out.probed(
                id,
                api::read("getMe", result).map_err(|no| no.failure.what).map(|user| {
                    let said = |key: &str| user.get(key).cloned().unwrap_or_default();
                    let groups = user.get("can_read_all_group_messages").cloned();
                    json!({"bot": {
                        "id": said("id"),
                        "username": said("username"),
                        "canReadAllGroupMessages": groups.unwrap_or_default(),
                    }})
                }),
            ),
            Job::Audit(mut check) => {
                check.heard(&self.account, api::read(check.method(), result));
                self.check(now, check, out);
            }
            Job::Send(sending) => self.went(now, *sending, result, out),
            Job::Act(id, chat) => {
                let result = api::read("telegram", result).map_err(|no| no.failure);
                if let Err(Failure { retry: Retry::After(ms), .. }) = &result {
                    self.rest(now, &chat, *ms);
                }
                out.acted(
                    id,
                    match result {
                        Err(failure) if failure.what.contains("message is not modified") => {
                            Ok(json!({"ok": true}))
                        }
                        Ok(done) => Ok(acted(&done)),
                        Err(failure) => Err(failure),
                    },
                );
            }
        }
    }

    /// The next call of an audit, or its end.
    fn check(&mut self, now: Now, check: Box<audit::Check>, out: &mut ChannelOut) {
        match check.call() {
            Some(call) => {
                self.ask(&call, Job::Audit(check), out);
            }
            None => {
                let (id, report) = check.report(now.time);
                out.audited(id, report);
            }
        }
    }

    fn known(&mut self, user: &Value, out: &mut ChannelOut) {
        let id = user.get("id").and_then(Value::as_i64).unwrap_or_default();
        let username = user.get("username").and_then(Value::as_str).unwrap_or_default();
        out.me(Me {
            id: id.to_string(),
            name: username.to_owned(),
            more: json!({"username": username}),
        });
        self.me = Some(Who { id, username: username.to_owned() });
    }

    /// The commands in Telegram's own menu, when they are not there yet.
    fn show_menu(&mut self, out: &mut ChannelOut) {
        if self.account.get("commands.native").and_then(Value::as_bool) == Some(false) {
            return;
        }
        let own = super::menu::COMMANDS
            .iter()
            .map(|(name, about)| json!({"command": name, "description": about}));
        let more = self.account.get("customCommands").and_then(Value::as_array);
        let more = more.map(Vec::as_slice).unwrap_or_default().iter().filter_map(|command| {
            let name = command.get("command")?.as_str()?.trim_start_matches('/').to_lowercase();
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let known = !name.is_empty() && name.len() <= 32 && name.chars().all(fits);
            let about = command.get("description")?.as_str()?;
            known.then(|| json!({"command": name, "description": about}))
        });
        let list: Vec<Value> = own.chain(more).take(limits::TELEGRAM_COMMANDS).collect();
        let list = Value::Array(list);
        let digest =
            crate::wire::hash::hex(&crate::wire::hash::sha256(list.to_string().as_bytes()));
        if self.menu.as_ref() != Some(&digest) {
            self.ask(
                &Call::new("setMyCommands", json!({"commands": list})),
                Job::Menu(digest),
                out,
            );
        }
    }

    fn keep(&self, out: &mut ChannelOut) {
        let bot = self.token.split(':').next().unwrap_or_default();
        out.keep(json!({"bot": bot, "offset": self.offset, "menu": self.menu}));
    }

    fn enqueue(&mut self, number: i64, update: &Value, hook: Option<HookId>) {
        let me = self.me.clone().unwrap_or_default();
        let mut update = updates::read(&self.account, &me, update);
        update = update.and_then(|update| self.with_own(update));
        self.queue.push_back(Pending { number, update, step: Step::Waiting, hook });
    }

    /// Says of a reaction whether it is on a message of ours, and in which topic: Telegram does
    /// not. In a forum one whose topic is unknown is none.
    fn with_own(&self, mut update: updates::Update) -> Option<updates::Update> {
        let message = &mut update.message;
        if !matches!(message.event, Some(Happening::Reaction { .. })) {
            return Some(update);
        }
        let on = message.reply_to.take().map(|quote| quote.id).unwrap_or_default();
        let own = self.own.iter().find(|(id, _)| *id == on);
        if message.chat.thread.is_some() {
            message.chat.thread = own?.1.clone();
            message.to.thread.clone_from(&message.chat.thread);
        }
        message.event = Some(Happening::Reaction { of_us: own.is_some() });
        Some(update)
    }

    /// Goes through the queue in order as far as it can, settles it when all of it is done, and
    /// polls on.
    fn advance(&mut self, now: Now, out: &mut ChannelOut) {
        for at in 0..self.queue.len() {
            let Some(pending) = self.queue.get_mut(at) else { break };
            match pending.step {
                Step::Given(_) | Step::Done(_) => {}
                Step::Waiting => {
                    let Some(update) = pending.update.as_mut() else {
                        pending.step = Step::Done(true);
                        continue;
                    };
                    self.tokens = self.tokens.wrapping_add(1);
                    let mut message: Inbound = std::mem::take(&mut update.message);
                    message.token = self.tokens;
                    pending.step = Step::Given(self.tokens);
                    out.inbound(message);
                }
            }
        }
        if self.queue.iter().all(|pending| matches!(pending.step, Step::Done(_))) {
            self.settle(now, out);
        }
    }

    /// Asks for the address of a file.
    fn locate(&mut self, id: u64, media: &Media, out: &mut ChannelOut) {
        let Some(file) = &media.file else {
            return out.located(id, Err(Failure::permanent("Telegram gave no id of the file")));
        };
        // A Bot API server of one's own (`--local`) has no such bound.
        let bound = self.root == OFFICIAL;
        if bound && media.bytes.is_some_and(|bytes| bytes > limits::TELEGRAM_FILE) {
            return out.located(id, Err(Failure::permanent(TOO_BIG)));
        }
        self.ask(&Call::new("getFile", json!({"file_id": file})), Job::File(id), out);
    }

    fn found(&self, result: Answer) -> Result<Located, Failure> {
        let found = api::read("getFile", result).map_err(|no| match no.failure.what {
            what if what.contains("file is too big") => Failure::permanent(TOO_BIG),
            _ => no.failure,
        })?;
        let path = found.get("file_path").and_then(Value::as_str).unwrap_or_default();
        if path.starts_with('/') {
            let what = "the Bot API server names a path of its own machine: run it without --local";
            return Err(Failure::permanent(what));
        }
        Ok(Located {
            url: format!("{}/file/bot{}/{path}", self.root, self.token),
            home: self.root != OFFICIAL,
            proxy: self.account.text("proxy").map(str::to_owned),
            ..Located::default()
        })
    }

    fn accepted(&mut self, now: Now, token: u64, kept: bool, out: &mut ChannelOut) {
        let given = |it: &&mut Pending| matches!(it.step, Step::Given(own) if own == token);
        let Some(pending) = self.queue.iter_mut().find(given) else { return };
        pending.step = Step::Done(kept);
        let callback = pending.update.take().and_then(|update| update.callback);
        if let Some(id) = callback.filter(|_| kept) {
            self.stop_spinning(id, 0, out);
        }
        self.advance(now, out);
    }

    fn stop_spinning(&mut self, id: String, tries: u32, out: &mut ChannelOut) {
        let call = Call::new("answerCallbackQuery", json!({"callback_query_id": id}));
        self.ask(&call, Job::Press(id, tries), out);
    }

    /// A button was not told to stop: once more in a while, if that can help.
    fn spins_on(&mut self, now: Now, id: String, tries: u32, failure: &Failure) {
        let pause = match failure.retry {
            Retry::No => return,
            Retry::Later => limits::TELEGRAM_PRESS_MS,
            Retry::After(ms) => ms,
        };
        let room = self.presses.len() < limits::TELEGRAM_UPDATES;
        if tries < limits::TELEGRAM_PRESS_TRIES && room {
            self.presses.push_back((now.time.after_ms(pause), id, tries.saturating_add(1)));
        }
    }

    /// Everything in the queue is done: acknowledges as much as is durable.
    fn settle(&mut self, now: Now, out: &mut ChannelOut) {
        let mut refused = false;
        let before = self.offset;
        for pending in std::mem::take(&mut self.queue) {
            let kept = matches!(pending.step, Step::Done(true));
            match pending.hook {
                Some(hook) if kept => out.answer(hook, 200, "text/plain", Vec::new()),
                Some(hook) => out.answer(hook, 503, "text/plain", Vec::new()),
                None => {
                    refused |= !kept;
                    if !refused {
                        self.offset = self.offset.max(pending.number.saturating_add(1));
                    }
                }
            }
        }
        if self.offset != before {
            self.keep(out);
        }
        if refused {
            let why = "a message could not be kept: the disk refused it, or too many wait; \
                       openclaw logs says which";
            self.wait(now, why.to_owned(), 0, out);
            return;
        }
        let well = self.cleared && self.polls == Polls::Answered;
        if well && self.hook.is_none() && self.retry.is_none() && !self.resting {
            out.status(State::Connected);
        }
        self.poll(now, out);
    }

    fn on_hook(&mut self, now: Now, hook: HookId, request: &HookRequest, out: &mut ChannelOut) {
        let Some((_, secret, _)) = &self.hook else {
            return out.answer(hook, 404, "text/plain", Vec::new());
        };
        let shown = request.headers.only("x-telegram-bot-api-secret-token").unwrap_or_default();
        if request.method != "POST" {
            return out.answer(hook, 405, "text/plain", b"POST only".to_vec());
        }
        if !constant_time_eq_digest(secret.as_bytes(), shown.as_bytes()) {
            out.log(log::Level::Warn, "a request without the webhook's secret was refused");
            return out.answer(hook, 401, "text/plain", b"not sent by Telegram".to_vec());
        }
        let update: Option<Value> = serde_json::from_slice(&request.body).ok();
        let number = update.as_ref().and_then(|update| update.get("update_id")?.as_i64());
        let (Some(update), Some(number)) = (update, number) else {
            return out.answer(hook, 400, "text/plain", b"no update".to_vec());
        };
        if self.queue.len() >= limits::TELEGRAM_UPDATES {
            return out.answer(hook, 503, "text/plain", Vec::new());
        }
        self.enqueue(number, &update, Some(hook));
        self.advance(now, out);
    }
}

type Answer = Result<Answered, Trouble>;

impl Channel for Telegram {
    fn on(&mut self, now: Now, input: ChannelInput<'_>, out: &mut ChannelOut) {
        match input {
            ChannelInput::Start => {
                self.resting = false;
                self.begin(now, out);
            }
            ChannelInput::Stop => {
                self.resting = true;
                self.retry = None;
                self.presses.clear();
                self.polling = None;
                for req in std::mem::take(&mut self.jobs).into_keys() {
                    out.cancel(req);
                }
                for hook in self.queue.drain(..).filter_map(|pending| pending.hook) {
                    out.answer(hook, 503, "text/plain", Vec::new());
                }
                out.status(State::Stopped);
            }
            ChannelInput::Wake => {
                for _ in 0..self.presses.len() {
                    match self.presses.pop_front() {
                        Some((due, id, tries)) if due <= now.time => {
                            self.stop_spinning(id, tries, out);
                        }
                        Some(press) => self.presses.push_back(press),
                        None => break,
                    }
                }
                if self.retry.is_some_and(|retry| retry <= now.time) {
                    self.begin(now, out);
                }
            }
            ChannelInput::Configured(account) => self.account = account.clone(),
            ChannelInput::Http { req, result } => {
                if let Some(job) = self.jobs.remove(&req) {
                    self.on_answer(now, job, result, out);
                }
            }
            ChannelInput::Hook { hook, request } => self.on_hook(now, hook, request, out),
            ChannelInput::Accepted { token, kept } => self.accepted(now, token, kept, out),
            ChannelInput::Send(message) => self.send(now, message, out),
            ChannelInput::Act { id, act } => self.act(now, id, act, out),
            ChannelInput::Locate { id, media } => self.locate(id, media, out),
            ChannelInput::Probe { id } => {
                self.ask(&Call::new("getMe", json!({})), Job::Probe(id), out);
            }
            ChannelInput::Audit { id } => {
                let bot = self.me.as_ref().map_or(0, |me| me.id);
                match audit::Check::new(&self.account, (id, now.time), bot) {
                    Some(check) => self.check(now, Box::new(check), out),
                    None => out.audited(id, Value::Null),
                }
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        let presses = self.presses.iter().map(|(due, ..)| *due);
        presses.chain(self.retry).min()
    }
}
