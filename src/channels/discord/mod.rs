//! Discord: the gateway by our WebSocket, answers by REST.
//!
//! ```text
//!   Start --> /users/@me --> /gateway/bot --> [link] hello, identify or resume --> dispatches
//!                                |  no identifies left: waits       |  [events], in order
//!                                                                   v
//!        interaction deferred within 3 s <-- settled <-- inbound <--+-- channel looked up
//!   Send --> POST /channels/<id>/messages (nonce) --> sent with its id
//! ```
//!
//! * The number that a resume begins behind moves on when a message is durable, and is kept, so
//!   that a restart goes on with the session and hears what it missed.
//! * A message of a channel that nobody told us of waits for its look-up, and those behind it
//!   too. A look-up that fails for now is made again, and nothing is lost meanwhile; where one is
//!   refused nobody is heard, unless the configuration names the channel itself.
//! * A route that was used up, or told to wait (429), rests for as long as was said.
//! * `nonce` with `enforce_nonce` makes a repeated piece one message.
//!
//! Source: docs.discord.com.

mod actions;
mod audit;
mod deliver;
mod events;
mod link;
mod looks;
mod rest;

/// Whether an action of this name becomes a call; for the table of actions.
#[cfg(test)]
pub(super) fn is_call(name: &str, params: &Value) -> Result<(), String> {
    let act = super::Act::Other { name: name.to_owned(), params: params.clone() };
    rest::act(&act).map(|_| ()).map_err(|failure| failure.what)
}

#[cfg(test)]
mod discord_tests;

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::{
    Account, Address, Answered, Backoff, Caps, Channel, ChannelInput, ChannelOut, Failure, Inbound,
    Kind, Located, Me, Outgoing, ReqId, Retry, State, Trouble, Writing, text,
};
use crate::driver::{Now, Time};
use crate::limits;
use events::{Interaction, Room};
use link::{Link, Session, Told};
use rest::{Call, Refused, Rests};

/// The row of [`super::KINDS`].
pub static KIND: Kind = Kind {
    id: "discord",
    label: "Discord",
    detail: "Discord Bot",
    prefixes: &[],
    caps: Caps {
        direct: true,
        group: true,
        threads: true,
        reply: true,
        reactions: true,
        edit: true,
        delete: true,
        finds: true,
        brings_again: true,
        typing: true,
        media: true,
        polls: true,
        buttons: true,
        native_commands: true,
    },
    text_limit: 2000,
    media_max_mb: 100,
    writing: Writing {
        block_min: Some(1500),
        headlines: true,
        keeps_failed: true,
        max_lines: Some(17),
        ..Writing::PLAIN
    },
    length: text::utf16,
    render: text::discord,
    live_keys: &["guilds", "allowBots", "slashCommand"],
    not_inherited: &["token", "applicationId"],
    file_keys: &[],
    env_keys: &[("token", "DISCORD_BOT_TOKEN")],
    credentials: &["token"],
    build: |account| Discord::new(account).map(|it| Box::new(it) as Box<dyn Channel>),
    target,
    normal: events::normal,
    group: events::rules,
};

/// `channel:<id>`, `user:<id>`, `<#id>`, `<@id>`, or a bare id of a channel.
fn target(text: &str) -> Result<Address, String> {
    let text = text.trim();
    let text = text.strip_prefix("discord:").unwrap_or(text);
    let person = text.starts_with("user:") || text.starts_with("<@");
    let id = events::normal(text);
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a Discord target is channel:<id> or user:<id>, by number".to_owned());
    }
    Ok(Address::chat(if person { format!("{USER}{id}") } else { id }))
}

/// A chat that is a person: its channel is asked for when something is sent.
const USER: &str = "user:";

/// Whose answer a request waits for.
#[derive(Debug)]
enum Job {
    /// `/users/@me` of the start.
    Hello,
    /// `/gateway/bot`.
    Where,
    /// The channel of the dispatch in front.
    Room(String),
    /// The commands: their digest.
    Menu(String),
    /// An interaction that was acknowledged: its token, if an answer follows.
    Deferred(Option<String>),
    /// A probe.
    Probe(u64),
    /// A call of an audit.
    Audit(Box<audit::Check>),
    /// A channel with a person, for a piece.
    Open(Box<Outgoing>),
    /// A piece.
    Post(String),
    /// An answer to an interaction.
    Reply(Box<Outgoing>, Option<String>),
    /// An act.
    Act(u64),
}

/// A dispatch that is not settled yet.
#[derive(Debug)]
struct Pending {
    number: u64,
    name: String,
    data: Value,
    /// Its token as a message, once given up.
    given: Option<u64>,
    /// To acknowledge when it is durable.
    interaction: Option<Interaction>,
}

/// One account.
struct Discord {
    account: Account,
    token: String,
    root: String,
    me: Option<String>,
    application: Option<String>,
    url: Option<String>,
    link: Link,
    backoff: Backoff,
    retry: Option<Time>,
    resting: bool,
    menu: Option<String>,
    rooms: BTreeMap<String, Room>,
    /// Channels with persons.
    direct: BTreeMap<String, String>,
    queue: VecDeque<Pending>,
    looking: bool,
    /// A look-up that failed for now: when it is made again.
    look: Option<Time>,
    /// The pauses between such.
    looks: Backoff,
    jobs: BTreeMap<ReqId, (Job, String)>,
    rests: Rests,
    /// Tokens of interactions whose first answer is still awaited.
    awaited: VecDeque<String>,
    tokens: u64,
}

impl Discord {
    fn new(account: &Account) -> Result<Self, String> {
        let token = account
            .text("token")
            .ok_or_else(|| account.missing("token", "the bot's token"))?
            .trim_start_matches("Bot ");
        if token.len() < 8 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "{}.token does not look like a bot token: copy it from discord.com/developers, Bot",
                account.path
            ));
        }
        let root = account.text("apiRoot").unwrap_or("https://discord.com/api/v10");
        let kept = |key: &str| account.kept.get(key).and_then(Value::as_str).map(str::to_owned);
        // A session goes on only with the token it was made by.
        let same = kept("token") == Some(print_of(token));
        let session = kept("session").zip(kept("url")).filter(|_| same).map(|(id, url)| Session {
            id,
            url,
            seq: account.kept.get("seq").and_then(Value::as_u64).unwrap_or(0),
        });
        Ok(Self {
            token: token.to_owned(),
            root: root.trim_end_matches('/').to_owned(),
            me: None,
            application: account.text("applicationId").map(str::to_owned),
            url: None,
            link: Link::of(session),
            backoff: Backoff::new(limits::DISCORD_BACKOFF_MS, limits::DISCORD_BACKOFF_MAX_MS),
            retry: None,
            resting: false,
            menu: kept("menu").filter(|_| same),
            rooms: BTreeMap::new(),
            direct: BTreeMap::new(),
            queue: VecDeque::new(),
            looking: false,
            look: None,
            looks: Backoff::new(limits::DISCORD_LOOK_MS, limits::DISCORD_LOOK_MAX_MS),
            jobs: BTreeMap::new(),
            rests: Rests::default(),
            awaited: VecDeque::new(),
            tokens: 0,
            account: account.clone(),
        })
    }

    fn proxy(&self) -> Option<String> {
        self.account.text("proxy").map(str::to_owned)
    }

    fn ask(&mut self, call: &Call, job: Job, out: &mut ChannelOut) {
        let mut request = call.request(&self.root, &self.token, out.random());
        request.proxy = self.proxy();
        let req = out.http(request);
        self.jobs.insert(req, (job, call.route.clone()));
    }

    /// Begins, or goes on where it stopped.
    fn begin(&mut self, now: Now, out: &mut ChannelOut) {
        self.retry = None;
        let busy = |(job, _): &(Job, String)| matches!(job, Job::Hello | Job::Where);
        if self.resting || self.link.is_open() || self.jobs.values().any(busy) {
            return;
        }
        out.status(State::Connecting);
        if self.me.is_none() {
            self.ask(&Call::new("GET", "/users/@me", Value::Null), Job::Hello, out);
        } else if self.url.is_none() && self.link.session.is_none() {
            self.ask(&Call::new("GET", "/gateway/bot", Value::Null), Job::Where, out);
        } else {
            let wait = self.link.identify_in(now);
            if wait > 0 {
                self.retry = Some(now.time.after_ms(wait));
                return;
            }
            let (url, proxy) = (self.url.clone().unwrap_or_default(), self.proxy());
            self.link.open(now, &url, proxy, out);
        }
    }

    fn wait(&mut self, now: Now, why: String, at_least_ms: u64, out: &mut ChannelOut) {
        let pause = self.backoff.next_ms(out.random()).max(at_least_ms);
        let until = now.time.after_ms(pause);
        self.retry = Some(until);
        out.status(State::Waiting { until, why });
    }

    fn refuse(&mut self, why: String, out: &mut ChannelOut) {
        self.resting = true;
        self.retry = None;
        self.link.close(out);
        out.status(State::Refused { why });
    }

    fn begin_failed(&mut self, now: Now, no: Refused, out: &mut ChannelOut) {
        if matches!(no.status, 401 | 403) {
            return self.refuse(no.failure.what, out);
        }
        let at_least = match no.failure.retry {
            Retry::After(ms) => ms,
            _ => 0,
        };
        self.wait(now, no.failure.what, at_least, out);
    }

    /// What we say when we come: `d` of an identify.
    fn identify(&self) -> Value {
        let asked = |key: &str| self.account.flag(&format!("intents.{key}")) == Some(true);
        // GUILDS, GUILD_MESSAGES and their reactions, DIRECT_MESSAGES and theirs, MESSAGE_CONTENT.
        let mut intents: u64 = 1 | 1 << 9 | 1 << 10 | 1 << 12 | 1 << 13 | 1 << 15;
        intents |= if asked("guildMembers") { 1 << 1 } else { 0 };
        intents |= if asked("presence") { 1 << 8 } else { 0 };
        if self.account.flag("intents.messageContent") == Some(false) {
            intents &= !(1 << 15);
        }
        json!({
            "token": self.token,
            "intents": intents,
            "properties": {"os": std::env::consts::OS, "browser": "openclaw", "device": "openclaw"},
        })
    }

    fn on_told(&mut self, now: Now, told: Told, out: &mut ChannelOut) {
        match told {
            Told::Nothing => {}
            Told::Live(ready) => {
                self.backoff.reset();
                self.retry = None;
                out.status(State::Connected);
                if let Some(id) = ready.get("application").and_then(|it| events::text(it, "id")) {
                    self.application = Some(id.to_owned());
                }
                if !ready.is_null() {
                    self.keep(out);
                    self.show_menu(out);
                }
            }
            Told::Dispatch(number, name, data) => {
                let full = self.queue.len() >= limits::DISCORD_QUEUE;
                if full {
                    // The session keeps what is not settled: it comes again with a resume.
                    self.queue.clear();
                    self.look_no_more();
                    self.link.close(out);
                    return self.wait(now, "too many messages at once".to_owned(), 0, out);
                }
                self.queue.push_back(Pending {
                    number,
                    name,
                    data,
                    given: None,
                    interaction: None,
                });
                self.advance(out);
            }
            Told::Lost { why, pause_ms } => {
                // What is not settled comes again, by the session.
                self.queue.retain(|pending| pending.given.is_some());
                self.look_no_more();
                if self.link.session.is_none() {
                    // The budget of identifies is looked at before one is used.
                    self.url = None;
                }
                match pause_ms {
                    None => {
                        let until = now.time.after_ms(limits::DISCORD_AGAIN_MS);
                        self.retry = Some(until);
                        out.status(State::Waiting { until, why });
                    }
                    Some(pause) => self.wait(now, why, pause, out),
                }
            }
            Told::Hopeless(why) => self.refuse(why, out),
        }
    }

    /// Goes through the dispatches in order, as far as it can.
    fn advance(&mut self, out: &mut ChannelOut) {
        while !self.looking {
            let next = self.queue.iter_mut().find(|pending| pending.given.is_none());
            let Some(pending) = next else { return };
            let (number, name) = (pending.number, pending.name.clone());
            let data = std::mem::take(&mut pending.data);
            match self.understand(&name, &data, out) {
                Understood::Look(channel) => {
                    if let Some(it) = self.queue.iter_mut().find(|it| it.number == number) {
                        it.data = data;
                    }
                    self.looking = true;
                    let call = Call::new("GET", format!("/channels/{channel}"), Value::Null);
                    self.ask(&call, Job::Room(channel), out);
                }
                Understood::Nothing => {
                    self.queue.retain(|it| it.number != number || it.given.is_some());
                    self.settle(number);
                }
                Understood::Message(mut message, interaction) => {
                    self.tokens = self.tokens.wrapping_add(1);
                    message.token = self.tokens;
                    let own = |it: &&mut Pending| it.number == number && it.given.is_none();
                    if let Some(it) = self.queue.iter_mut().find(own) {
                        it.given = Some(self.tokens);
                        it.interaction = interaction.map(|it| *it);
                    }
                    out.inbound(*message);
                }
            }
        }
    }

    fn understand(&mut self, name: &str, data: &Value, out: &mut ChannelOut) -> Understood {
        match name {
            "MESSAGE_CREATE" | "INTERACTION_CREATE" | "MESSAGE_UPDATE" => {}
            "MESSAGE_REACTION_ADD" | "MESSAGE_REACTION_REMOVE" => {}
            "GUILD_CREATE" => {
                for key in ["channels", "threads"] {
                    let list = data.get(key).and_then(Value::as_array).map(Vec::as_slice);
                    list.unwrap_or_default().iter().for_each(|channel| self.learn(channel));
                }
                return Understood::Nothing;
            }
            "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "THREAD_CREATE" | "THREAD_UPDATE" => {
                self.learn(data);
                return Understood::Nothing;
            }
            "CHANNEL_DELETE" | "THREAD_DELETE" => {
                self.rooms.remove(events::text(data, "id").unwrap_or_default());
                return Understood::Nothing;
            }
            _ => return Understood::Nothing,
        }
        let me = self.me.clone().unwrap_or_default();
        let guild = events::text(data, "guild_id");
        let channel = events::text(data, "channel_id").unwrap_or_default();
        let mine = data.get("author").and_then(|author| events::text(author, "id")) == Some(&me);
        let digits = !channel.is_empty() && channel.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || mine {
            return Understood::Nothing;
        }
        // An interaction has three seconds and brings its channel with it.
        if let Some(told) = data.get("channel").filter(|_| guild.is_some()) {
            self.learn(told);
        }
        let named = guild.is_some_and(|guild| events::is_named(&self.account, guild, channel));
        let room = self.rooms.get(channel);
        let denied = |room: &Room| room.unknown || room.is_half();
        if name == "INTERACTION_CREATE" {
            // It does not wait for a look-up.
            if guild.is_some() && !named && room.is_none_or(denied) {
                let line =
                    format!("an interaction in channel {channel}, of which nothing is known");
                out.log(log::Level::Warn, line);
                return Understood::Nothing;
            }
            let Some(interaction) = events::interaction(data, room) else {
                out.log(log::Level::Debug, "an interaction that is none of ours");
                return Understood::Nothing;
            };
            let message = Box::new(interaction.message.clone());
            return Understood::Message(message, Some(Box::new(interaction)));
        }
        if guild.is_some() && !named && room.is_none_or(Room::is_half) {
            return Understood::Look(channel.to_owned());
        }
        if guild.is_some() && !named && room.is_some_and(|room| room.unknown) {
            return Understood::Nothing;
        }
        if name != "MESSAGE_CREATE" {
            let happened = events::happening(name, &me, data, room);
            return happened
                .map_or(Understood::Nothing, |it| Understood::Message(Box::new(it), None));
        }
        match events::message(&self.account, &me, data, room) {
            Some(message) => Understood::Message(Box::new(message), None),
            None => Understood::Nothing,
        }
    }

    /// A dispatch is settled: if none before it is waiting, a resume begins behind it.
    fn settle(&mut self, number: u64) {
        let first = self.queue.front().map(|pending| pending.number);
        let upto = match first {
            Some(first) if first <= number => first.saturating_sub(1),
            Some(first) => first.saturating_sub(1).max(number),
            None => number,
        };
        self.link.settled(upto);
    }

    fn accepted(&mut self, now: Now, token: u64, kept: bool, out: &mut ChannelOut) {
        let at = self.queue.iter().position(|pending| pending.given == Some(token));
        let Some(pending) = at.and_then(|at| self.queue.remove(at)) else { return };
        if !kept {
            // It comes again with a resume, and so does everything behind it.
            self.queue.clear();
            self.look_no_more();
            self.link.close(out);
            let why = "a message could not be kept: the disk refused it, or too many wait; \
                       openclaw logs says which";
            return self.wait(now, why.to_owned(), 0, out);
        }
        self.settle(pending.number);
        self.keep(out);
        if let Some(interaction) = pending.interaction {
            self.acknowledge(interaction, out);
        }
    }

    /// Tells Discord within its three seconds that an answer will come.
    fn acknowledge(&mut self, interaction: Interaction, out: &mut ChannelOut) {
        let alone = self.account.flag("slashCommand.ephemeral") != Some(false);
        let body = match interaction.command {
            // A deferred answer; 64 shows it to who asked only.
            true => json!({"type": 5, "data": {"flags": if alone { 64 } else { 0 }}}),
            false => json!({"type": 6}),
        };
        let path = format!("/interactions/{}/{}/callback", interaction.id, interaction.token);
        let mut call = Call::new("POST", path, body);
        // Not bound to the bot's limits, and its token is in no log.
        call.route = format!("POST /interactions/{}", interaction.id);
        let token = interaction.command.then_some(interaction.token);
        self.ask(&call, Job::Deferred(token), out);
    }

    fn keep(&self, out: &mut ChannelOut) {
        let session = self.link.session.as_ref();
        out.keep(json!({
            "token": print_of(&self.token),
            "session": session.map(|it| &*it.id),
            "seq": session.map(|it| it.seq),
            "url": session.map(|it| &*it.url),
            "menu": self.menu,
        }));
    }

    /// The commands in Discord's own menu, when they are not there yet.
    fn show_menu(&mut self, out: &mut ChannelOut) {
        let on = self.account.get("commands.native").and_then(Value::as_bool) != Some(false);
        let Some(application) = self.application.clone().filter(|_| on) else { return };
        let list: Vec<Value> = super::menu::COMMANDS
            .iter()
            .take(limits::DISCORD_COMMANDS)
            .map(|(name, about)| {
                json!({
                    "name": name,
                    "description": about.chars().take(100).collect::<String>(),
                    "type": 1,
                    "options": [{
                        "type": 3,
                        "name": "input",
                        "description": "What follows the command",
                        "required": false,
                    }],
                })
            })
            .collect();
        let list = Value::Array(list);
        let digest =
            crate::wire::hash::hex(&crate::wire::hash::sha256(list.to_string().as_bytes()));
        if self.menu.as_ref() != Some(&digest) {
            let call = Call::new("PUT", format!("/applications/{application}/commands"), list);
            self.ask(&call, Job::Menu(digest), out);
        }
    }

    fn on_answer(&mut self, now: Now, job: Job, result: Answer, out: &mut ChannelOut) {
        match job {
            Job::Hello => match rest::read("/users/@me", result) {
                Ok(user) => {
                    let id = events::text(&user, "id").unwrap_or_default().to_owned();
                    let name = events::text(&user, "username").unwrap_or_default().to_owned();
                    let more = json!({"username": name});
                    out.me(Me { id: id.clone(), name, more });
                    self.me = Some(id);
                    self.begin(now, out);
                }
                Err(no) => self.begin_failed(now, no, out),
            },
            Job::Where => match rest::read("/gateway/bot", result) {
                Ok(place) => self.found(now, &place, out),
                Err(no) => self.begin_failed(now, no, out),
            },
            Job::Room(channel) => self.looked(now, channel, result, out),
            Job::Menu(digest) => match rest::read("the commands", result) {
                Ok(_) => {
                    self.menu = Some(digest);
                    self.keep(out);
                }
                Err(no) => out.log(log::Level::Warn, no.failure.what),
            },
            Job::Deferred(token) => match (rest::read("an interaction", result), token) {
                (Ok(_), Some(token)) => {
                    self.awaits(token);
                }
                (Ok(_), None) => {}
                (Err(no), _) => out.log(log::Level::Warn, no.failure.what),
            },
            Job::Probe(id) => out.probed(
                id,
                rest::read("/users/@me", result).map_err(|no| no.failure.what).map(|user| {
                    let said = |key: &str| user.get(key).cloned().unwrap_or_default();
                    json!({"bot": {"id": said("id"), "username": said("username")}})
                }),
            ),
            Job::Audit(mut check) => {
                check.heard(rest::read("an audit", result));
                self.check(now, check, out);
            }
            Job::Open(mut message) => match rest::read("a direct channel", result) {
                Ok(channel) => match events::text(&channel, "id") {
                    Some(id) => {
                        if self.direct.len() >= limits::DISCORD_DIRECT {
                            self.direct.pop_first();
                        }
                        self.direct.insert(message.to.chat.clone(), id.to_owned());
                        message.to.chat = id.to_owned();
                        self.post(now, &message, out);
                    }
                    None => {
                        let what = "Discord named no channel with that person";
                        out.send_failed(&message.id, Failure::permanent(what));
                    }
                },
                Err(no) => self.unsent(&message.id, no, out),
            },
            Job::Post(id) => match rest::read("a message", result) {
                Ok(message) => {
                    let number = events::text(&message, "id").map(str::to_owned);
                    out.sent(&id, number.into_iter().collect());
                }
                Err(no) => self.unsent(&id, no, out),
            },
            Job::Reply(mut message, first) => match rest::read("an answer to a command", result) {
                Ok(document) => {
                    let number = events::text(&document, "id").map(str::to_owned);
                    out.sent(&message.id, number.into_iter().collect());
                }
                // The quarter of an hour is over, or the command was never acknowledged: the
                // answer goes to the channel.
                Err(no) if matches!(no.status, 401 | 404) || no.code == 50_027 => {
                    message.to.thread = None;
                    self.post(now, &message, out);
                }
                Err(no) => {
                    // Filled in perhaps: the same place is filled in again, nothing is added.
                    if let Some(token) = first.filter(|_| no.failure.retry != Retry::No) {
                        self.awaits(token);
                    }
                    out.send_failed(&message.id, no.failure);
                }
            },
            Job::Act(id) => out.acted(
                id,
                rest::read("discord", result).map_err(|no| no.failure).map(|done| match done {
                    Value::Null => json!({"ok": true}),
                    Value::Object(fields) if fields.contains_key("author") => {
                        json!({"ok": true, "messageId": fields.get("id"), "message": fields})
                    }
                    done => json!({"ok": true, "result": done}),
                }),
            ),
        }
    }

    /// The next call of an audit, or its end.
    fn check(&mut self, now: Now, mut check: Box<audit::Check>, out: &mut ChannelOut) {
        match check.call() {
            Some(call) => self.ask(&call, Job::Audit(check), out),
            None => {
                let (id, report) = check.report(now.time);
                out.audited(id, report);
            }
        }
    }

    /// `/gateway/bot`: where, and whether an identify is left.
    fn found(&mut self, now: Now, place: &Value, out: &mut ChannelOut) {
        let budget = place.get("session_start_limit");
        let number = |key: &str| budget.and_then(|budget| budget.get(key)?.as_u64());
        if number("remaining") == Some(0) {
            let pause = number("reset_after").unwrap_or(3_600_000).min(86_400_000);
            let why = "all of today's identifies are used up".to_owned();
            return self.wait(now, why, pause.max(1), out);
        }
        match events::text(place, "url") {
            Some(url) => {
                self.url = Some(url.to_owned());
                self.begin(now, out);
            }
            None => self.wait(now, "Discord named no gateway".to_owned(), 0, out),
        }
    }
}

/// What a dispatch means.
enum Understood {
    /// Nothing that is told on.
    Nothing,
    /// Its channel must be looked up first.
    Look(String),
    /// A message.
    Message(Box<Inbound>, Option<Box<Interaction>>),
}

type Answer = Result<Answered, Trouble>;

/// By what a kept session knows its token without holding it.
fn print_of(token: &str) -> String {
    let digest = crate::wire::hash::sha256(format!("discord session {token}").as_bytes());
    crate::wire::hash::hex(&digest).chars().take(16).collect()
}

impl Channel for Discord {
    fn on(&mut self, now: Now, input: ChannelInput<'_>, out: &mut ChannelOut) {
        match input {
            ChannelInput::Start => {
                self.resting = false;
                self.begin(now, out);
            }
            ChannelInput::Stop => {
                self.resting = true;
                self.retry = None;
                for req in std::mem::take(&mut self.jobs).into_keys() {
                    out.cancel(req);
                }
                if self.link.is_live() {
                    self.keep(out);
                }
                self.link.close(out);
                out.status(State::Stopped);
            }
            ChannelInput::Wake => {
                let told = self.link.wake(now, out);
                self.on_told(now, told, out);
                if self.look.take_if(|due| *due <= now.time).is_some() {
                    self.looking = false;
                    self.advance(out);
                }
                if self.retry.is_some_and(|retry| retry <= now.time) {
                    self.begin(now, out);
                }
            }
            ChannelInput::Configured(account) => self.account = account.clone(),
            ChannelInput::Http { req, result } => {
                if let Some((job, route)) = self.jobs.remove(&req) {
                    if let Ok(answer) = &result {
                        self.rests.learn(now.time, &route, answer);
                    }
                    self.on_answer(now, job, result, out);
                }
            }
            ChannelInput::Text { sock, text } => {
                let who = self.identify();
                let told = self.link.text(now, sock, &text, || who, out);
                self.on_told(now, told, out);
            }
            ChannelInput::Failed { sock, trouble } => {
                let told = self.link.failed(sock, &trouble);
                self.on_told(now, told, out);
            }
            ChannelInput::Closed { sock, gone } => {
                let told = self.link.closed(sock, &gone);
                self.on_told(now, told, out);
            }
            ChannelInput::Accepted { token, kept } => self.accepted(now, token, kept, out),
            ChannelInput::Send(message) => self.send(now, message, out),
            ChannelInput::Act { id, act } => self.act(now, id, act, out),
            ChannelInput::Locate { id, media } => {
                let home = crate::wire::url::same_server(&self.root, &media.url);
                let (url, proxy) = (media.url.clone(), self.proxy());
                out.located(id, Ok(Located { url, home, proxy, ..Located::default() }));
            }
            ChannelInput::Probe { id } => {
                self.ask(&Call::new("GET", "/users/@me", Value::Null), Job::Probe(id), out);
            }
            ChannelInput::Audit { id } => {
                let me = self.me.clone().unwrap_or_default();
                match audit::Check::new(&self.account, (id, now.time), &me) {
                    Some(check) => self.check(now, Box::new(check), out),
                    None => out.audited(id, Value::Null),
                }
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        [self.retry, self.link.deadline(), self.look].into_iter().flatten().min()
    }
}
