//! Slack: Socket Mode, or the Events API by webhook; answers by the Web API.
//!
//! ```text
//!   Start --> auth.test --> who we are
//!                |  mode http ----> listen on webhookPath: signed requests only ---+
//!                |  mode relay ---> [relay]: a socket to a router -----------------+
//!                |  mode socket --> [socket]: a ticket, a socket, `hello` ---------+--> [events]
//!                |                                                                        |
//!                |   envelope or request acknowledged once the message is kept <--- inbound
//!   Send --> [web] chat.postMessage (files: upload, upload, complete) --> sent with its `ts`
//! ```
//!
//! * An envelope is acknowledged in the turn in which its message became durable, so well within
//!   Slack's three seconds; what is nothing for us at once; what the disk refused never, and Slack
//!   brings it again.
//! * Where Slack does not say what kind of conversation something is from, what was heard there
//!   before does (`kinds`).
//! * A piece that may have been posted by an earlier attempt is looked for by its nonce, which
//!   every message carries as metadata, before it is posted again. Files take no metadata: one
//!   whose receipt is lost is shared again.
//! * A method that was told to wait (429) rests for as long as was said; nothing asks it before.
//! * Errors that only the operator mends (token, scope, Socket Mode switched off) refuse the
//!   account; all others are tried again.
//!
//! Sources: Slack's "Using Socket Mode", "Events API", "Verifying requests", "Rate limits".

mod audit;
mod deliver;
mod events;
mod happenings;
mod kinds;
mod mrkdwn;
mod relay;
mod socket;
mod web;

/// Whether an action of this name becomes a call; for the table of actions.
#[cfg(test)]
pub(super) fn is_call(name: &str, params: &Value) -> Result<(), String> {
    let act = super::Act::Other { name: name.to_owned(), params: params.clone() };
    web::act(&act).map(|_| ()).map_err(|failure| failure.what)
}

#[cfg(test)]
mod slack_tests;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::audit::Audit;
use super::{
    Account, Address, Backoff, Caps, Channel, ChannelInput, ChannelOut, Failure, HookId,
    HookRequest, Inbound, Kind, Me, Outgoing, ReqId, SockId, State, Writing,
};
use crate::driver::{Now, Time};
use crate::limits;
use crate::wire::url::query_value;
use deliver::look_method;
use events::Who;
use relay::Relay;
use socket::{Link, Told};
use web::{Call, Refused, Rests};

/// The row of [`super::KINDS`].
pub static KIND: Kind = Kind {
    id: "slack",
    label: "Slack",
    detail: "Slack Bot",
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
        typing: false,
        media: true,
        polls: false,
        buttons: true,
        native_commands: true,
    },
    text_limit: 8000,
    media_max_mb: 20,
    writing: Writing { mode: "progress", block_min: Some(1500), ..Writing::PLAIN },
    length: |text| text.chars().count(),
    render: super::text::mrkdwn,
    live_keys: &["channels", "thread", "unfurlLinks", "unfurlMedia", "allowBots", "slashCommand"],
    not_inherited: &["botToken", "appToken", "userToken", "signingSecret", "webhookPath"],
    file_keys: &[],
    env_keys: &[
        ("botToken", "SLACK_BOT_TOKEN"),
        ("appToken", "SLACK_APP_TOKEN"),
        ("signingSecret", "SLACK_SIGNING_SECRET"),
    ],
    credentials: &["botToken"],
    build: |account| Slack::new(account).map(|slack| Box::new(slack) as Box<dyn Channel>),
    target,
    normal: events::normal,
    group: events::rules,
};

/// `channel:C…`, `user:U…`, `<@U…>`, `<#C…>` or a bare id; `:thread:<ts>` may follow.
fn target(text: &str) -> Result<Address, String> {
    let (chat, thread) = match text.split_once(":thread:") {
        Some((chat, thread)) => (chat, Some(thread.trim().to_owned())),
        None => (text, None),
    };
    let chat = events::normal(chat);
    let known = chat.starts_with(['C', 'G', 'D', 'U', 'W'])
        // A name of a room may look like an id, but for the digits.
        && chat.contains(|c: char| c.is_ascii_digit())
        && chat.chars().all(|c| c.is_ascii_alphanumeric());
    match known {
        true => Ok(Address { chat, thread }),
        false => {
            Err("a Slack target is channel:<C…> or user:<U…>, by id, never by name".to_owned())
        }
    }
}

/// How Slack's events come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// By our own WebSocket.
    Socket,
    /// By requests to our port.
    Http,
    /// By a router's WebSocket.
    Relay,
}

/// What is to be acknowledged when a message is durable.
#[derive(Debug)]
enum Owed {
    /// An envelope of this socket.
    Envelope(SockId, String),
    /// A request.
    Hook(HookId),
    /// A delivery of the relay's.
    Relayed(SockId, String),
}

/// Whose answer a request waits for.
#[derive(Debug)]
enum Job {
    /// `auth.test` of the start.
    Hello,
    /// `auth.test` of a probe.
    Probe(u64),
    /// `conversations.info` of an audit.
    Audit(Box<Audit>),
    /// `apps.connections.open`.
    Ticket,
    /// `chat.postMessage`: the delivery.
    Post(&'static str, String),
    /// Whether a piece was posted before.
    Look(Box<Outgoing>),
    /// A conversation with a person, for a file.
    Open(Box<Outgoing>),
    /// An upload, file by file.
    Upload(Box<Upload>),
    /// An act.
    Act(&'static str, u64),
}

/// Where an upload stands.
#[derive(Debug)]
struct Upload {
    message: Outgoing,
    /// Which attachment.
    at: usize,
    /// Files that Slack has: `{id, title}`.
    files: Vec<Value>,
    /// The last step is under way.
    completing: bool,
    /// The bytes of the present file are under way.
    sending: bool,
}

/// One account.
struct Slack {
    account: Account,
    mode: Mode,
    bot: String,
    app: String,
    signing: String,
    path: String,
    api: String,
    me: Option<Who>,
    link: Link,
    /// The router, in mode relay.
    place: Option<relay::Place>,
    relay: Relay,
    backoff: Backoff,
    /// When to begin anew.
    retry: Option<Time>,
    /// Refused or stopped: nothing is begun.
    resting: bool,
    jobs: BTreeMap<ReqId, Job>,
    rests: Rests,
    owed: BTreeMap<u64, Owed>,
    /// Conversations whose kind was told, in the words of events.
    kinds: BTreeMap<String, String>,
    tokens: u64,
}

impl Slack {
    fn new(account: &Account) -> Result<Self, String> {
        let path = &account.path;
        let mode = match account.text("mode").unwrap_or("socket") {
            "socket" => Mode::Socket,
            "http" => Mode::Http,
            "relay" => Mode::Relay,
            other => {
                return Err(format!(
                    "{path}.mode is \"{other}\"; this gateway has \"socket\", \"http\" and \
                     \"relay\": \
                     openclaw config set {path}.mode socket"
                ));
            }
        };
        let need = |key: &str, what: &str| {
            account.text(key).map(str::to_owned).ok_or_else(|| account.missing(key, what))
        };
        let bot = need("botToken", "the bot token, xoxb-…")?;
        let mut app = String::new();
        let mut signing = String::new();
        let mut place = None;
        match mode {
            Mode::Socket => {
                app = need("appToken", "the app-level token, xapp-…, scope connections:write")?;
            }
            Mode::Http => signing = need("signingSecret", "the app's signing secret")?,
            Mode::Relay => place = Some(relay::Place::of(account)?),
        }
        for (key, token, prefix) in [("botToken", &bot, "xoxb-"), ("appToken", &app, "xapp-")] {
            if !token.is_empty() && !token.starts_with(prefix) {
                return Err(format!(
                    "{path}.{key} does not begin with {prefix}: copy the right one from \
                     api.slack.com/apps"
                ));
            }
        }
        let api = account.text("apiUrl").unwrap_or("https://slack.com/api");
        Ok(Self {
            mode,
            bot,
            app,
            signing,
            path: account.text("webhookPath").unwrap_or("/slack/events").to_owned(),
            api: api.trim_end_matches('/').to_owned(),
            me: None,
            link: Link::default(),
            place,
            relay: Relay::default(),
            backoff: Backoff::new(limits::SLACK_BACKOFF_MS, limits::SLACK_BACKOFF_MAX_MS),
            retry: None,
            resting: false,
            jobs: BTreeMap::new(),
            rests: Rests::default(),
            owed: BTreeMap::new(),
            kinds: BTreeMap::new(),
            tokens: 0,
            account: account.clone(),
        })
    }

    fn ask(&mut self, call: &Call, job: Job, out: &mut ChannelOut) {
        let token = if matches!(job, Job::Ticket) { &self.app } else { &self.bot };
        let req = out.http(call.request(&self.api, token));
        self.jobs.insert(req, job);
    }

    /// Begins, or goes on where it stopped.
    fn begin(&mut self, now: Now, out: &mut ChannelOut) {
        self.retry = None;
        if self.me.is_none() {
            let asked = self.jobs.values().any(|job| matches!(job, Job::Hello));
            if !asked {
                out.status(State::Connecting);
                self.ask(&Call::new("auth.test"), Job::Hello, out);
            }
        } else if self.mode == Mode::Socket && self.link.wants_ticket() {
            self.link.ticket = true;
            if !self.link.is_live() {
                out.status(State::Connecting);
            }
            self.ask(&Call::new("apps.connections.open"), Job::Ticket, out);
        } else if let Some(place) = self.place.clone().filter(|_| !self.relay.is_open()) {
            out.status(State::Connecting);
            self.relay.open(now, &place, out);
        }
    }

    /// Something failed that a later try may mend.
    fn wait(&mut self, now: Now, why: String, at_least_ms: u64, out: &mut ChannelOut) {
        let pause = self.backoff.next_ms(out.random()).max(at_least_ms);
        let until = now.time.after_ms(pause);
        self.retry = Some(until);
        // A second socket that does not come is no trouble as long as the first one lives.
        if !self.link.is_live() {
            out.status(State::Waiting { until, why });
        }
    }

    fn refuse(&mut self, why: String, out: &mut ChannelOut) {
        self.resting = true;
        self.retry = None;
        self.link.close_all(out);
        self.relay.close(out);
        out.status(State::Refused { why });
    }

    /// A step towards being connected failed.
    fn begin_failed(&mut self, now: Now, method: &'static str, no: Refused, out: &mut ChannelOut) {
        match no.error.as_deref() {
            Some(error) if web::is_fatal(error) => self.refuse(web::refusal(method, error), out),
            _ => {
                let at_least = match no.failure.retry {
                    super::Retry::After(ms) => ms,
                    _ => 0,
                };
                self.wait(now, no.failure.what, at_least, out);
            }
        }
    }

    /// The next call of an audit, or its end.
    fn check(&mut self, now: Now, one: Box<Audit>, out: &mut ChannelOut) {
        match audit::call(&one) {
            Some(call) => self.ask(&call, Job::Audit(one), out),
            None => {
                let id = one.id;
                out.audited(id, one.report(now.time));
            }
        }
    }

    fn on_answer(&mut self, now: Now, job: Job, result: Answer, out: &mut ChannelOut) {
        match job {
            Job::Hello => match web::read("auth.test", result) {
                Ok(document) => {
                    self.known(&document, out);
                    match self.mode {
                        Mode::Socket | Mode::Relay => self.begin(now, out),
                        Mode::Http => {
                            self.backoff.reset();
                            out.listen(&self.path);
                            out.status(State::Connected);
                        }
                    }
                }
                Err(no) => self.begin_failed(now, "auth.test", no, out),
            },
            Job::Ticket => {
                self.link.ticket = false;
                match web::read("apps.connections.open", result) {
                    Ok(document) => match document.get("url").and_then(Value::as_str) {
                        Some(url) => self.link.open(now, url, out),
                        None => self.wait(now, "Slack gave no address".to_owned(), 0, out),
                    },
                    Err(no) => self.begin_failed(now, "apps.connections.open", no, out),
                }
            }
            Job::Probe(id) => out.probed(
                id,
                web::read("auth.test", result).map_err(|no| no.failure.what).map(|document| {
                    let said = |key: &str| document.get(key).cloned().unwrap_or_default();
                    json!({
                        "bot": {"id": said("user_id"), "name": said("user")},
                        "team": {"id": said("team_id"), "name": said("team")},
                    })
                }),
            ),
            Job::Audit(mut one) => {
                audit::heard(&mut one, web::read(audit::METHOD, result));
                self.check(now, one, out);
            }
            Job::Post(method, id) => match self.heard(now, method, result, out) {
                Ok(document) => {
                    let ts = document.get("ts").or_else(|| document.get("message_ts"));
                    let ts = ts.and_then(Value::as_str).map(str::to_owned);
                    out.sent(&id, ts.into_iter().collect());
                }
                Err(failure) => out.send_failed(&id, failure),
            },
            Job::Look(message) => match self.heard(now, look_method(&message), result, out) {
                Ok(document) => match web::found(&document, &message.nonce) {
                    Some(ts) => out.sent(&message.id, vec![ts]),
                    None => self.post(now, *message, out),
                },
                // Without the right to read, posting twice is better than losing an answer.
                Err(Failure { retry: super::Retry::No, .. }) => self.post(now, *message, out),
                Err(failure) => out.send_failed(&message.id, failure),
            },
            Job::Open(mut message) => match self.heard(now, OPEN, result, out) {
                Ok(document) => {
                    let id = document.get("channel").and_then(|it| it.get("id")?.as_str());
                    match id {
                        Some(id) => {
                            message.to.chat = id.to_owned();
                            self.post(now, *message, out);
                        }
                        None => {
                            let what = "conversations.open: Slack named no conversation";
                            out.send_failed(&message.id, Failure::permanent(what));
                        }
                    }
                }
                Err(failure) => out.send_failed(&message.id, failure),
            },
            Job::Upload(upload) => self.uploaded(now, *upload, result, out),
            Job::Act(method, id) => {
                let done = self.heard(now, method, result, out).map(|mut document| {
                    if let Some(fields) = document.as_object_mut()
                        && let Some(more) = fields.remove("response_metadata")
                        && let Some(next) = more.get("next_cursor").and_then(Value::as_str)
                        && !next.is_empty()
                    {
                        fields.insert("nextCursor".to_owned(), Value::from(next));
                    }
                    document
                });
                // What is there already, or gone already, is as it was wanted.
                out.acted(
                    id,
                    done.or_else(|failure| match DONE.iter().any(|it| failure.what.contains(it)) {
                        true => Ok(json!({"ok": true})),
                        false => Err(failure),
                    }),
                );
            }
        }
    }

    fn known(&mut self, document: &Value, out: &mut ChannelOut) {
        let said = |key: &str| document.get(key).and_then(Value::as_str).map(str::to_owned);
        let who = Who {
            user: said("user_id").unwrap_or_default(),
            bot: said("bot_id"),
            team: said("team_id").unwrap_or_default(),
            name: said("user").unwrap_or_default(),
        };
        out.me(Me {
            id: who.user.clone(),
            name: who.name.clone(),
            more: json!({"teamId": who.team, "team": said("team")}),
        });
        self.me = Some(who);
    }

    /// Gives up what a payload says, and says what is owed for it; `None` when it says nothing.
    fn take(&mut self, kind: &str, payload: &Value, id: &str) -> Option<Inbound> {
        let me = self.me.as_ref()?;
        match kind {
            "events_api" => events::event(&self.account, me, payload)
                .or_else(|| happenings::happening(me, payload)),
            "slash_commands" => events::command(&self.account, payload, id),
            "interactive" => events::action(payload, id),
            _ => None,
        }
    }

    fn give_up(&mut self, mut message: Inbound, owed: Owed, out: &mut ChannelOut) {
        // Messages are settled in the turn in which they are given up: this never grows.
        debug_assert!(self.owed.len() <= limits::CHANNEL_MEDIA);
        self.tokens = self.tokens.wrapping_add(1);
        message.token = self.tokens;
        // The router chose us: it is as good as a mention.
        message.mentioned |= matches!(owed, Owed::Relayed(..));
        self.owed.insert(self.tokens, owed);
        out.inbound(message);
    }

    fn accepted(&mut self, token: u64, kept: bool, out: &mut ChannelOut) {
        if let Some(owed) = self.owed.remove(&token) {
            self.settle(owed, kept, out);
        }
    }

    /// Acknowledges, or lets it come again.
    fn settle(&self, owed: Owed, kept: bool, out: &mut ChannelOut) {
        match owed {
            Owed::Envelope(sock, id) if kept => socket::acknowledge(sock, &id, out),
            Owed::Relayed(sock, id) if kept => relay::acknowledge(sock, &id, out),
            Owed::Hook(hook) => match kept {
                true => out.answer(hook, 200, "text/plain", Vec::new()),
                false => out.answer(hook, 503, "text/plain", Vec::new()),
            },
            Owed::Envelope(..) | Owed::Relayed(..) => {}
        }
    }

    fn on_hook(&mut self, now: Now, hook: HookId, request: &HookRequest, out: &mut ChannelOut) {
        let header = |name: &str| request.headers.only(name).unwrap_or_default();
        let (at, sign) = (header("x-slack-request-timestamp"), header("x-slack-signature"));
        if request.method != "POST" {
            return out.answer(hook, 405, "text/plain", b"POST only".to_vec());
        }
        if !web::is_signed(&self.signing, now, at, sign, &request.body) {
            out.log(log::Level::Warn, "a request without Slack's signature was refused");
            return out.answer(hook, 401, "text/plain", b"not signed by Slack".to_vec());
        }
        let form = header("content-type").starts_with("application/x-www-form-urlencoded");
        let (kind, payload) = match form {
            true => posted(&request.body),
            false => ("events_api", serde_json::from_slice(&request.body).ok()),
        };
        let Some(payload) = payload else {
            return out.answer(hook, 400, "text/plain", b"not understood".to_vec());
        };
        if let Some(challenge) = payload.get("challenge").and_then(Value::as_str) {
            return out.answer(hook, 200, "text/plain", challenge.as_bytes().to_vec());
        }
        self.came((kind, payload, "hook"), Owed::Hook(hook), out);
    }

    fn on_told(&mut self, now: Now, told: Told, out: &mut ChannelOut) {
        match told {
            Told::Nothing => {}
            Told::Live => {
                self.backoff.reset();
                self.retry = None;
                out.status(State::Connected);
            }
            // The present socket will end: its successor comes first.
            Told::Renew => self.begin(now, out),
            Told::Lost { why, pause_ms } => self.wait(now, why, pause_ms, out),
            Told::Hopeless(why) => self.refuse(why, out),
            Told::Envelope { sock, id, kind, payload } if kind == "relayed" => {
                let owed = Owed::Relayed(sock, id.clone());
                self.came(("events_api", payload, &id), owed, out);
            }
            Told::Envelope { sock, id, kind, payload } => {
                let owed = Owed::Envelope(sock, id.clone());
                self.came((&kind, payload, &id), owed, out);
            }
        }
    }
}

type Answer = Result<super::Answered, super::Trouble>;

const OPEN: &str = "conversations.open";
const PLACE: &str = "files.getUploadURLExternal";
const COMPLETE: &str = "files.completeUploadExternal";

/// Errors that say that nothing was left to do.
const DONE: [&str; 3] = ["already_reacted", "no_reaction", "already_pinned"];

/// A form: a slash command, or `payload=` of a pressed button.
fn posted(body: &[u8]) -> (&'static str, Option<Value>) {
    let Ok(text) = std::str::from_utf8(body) else { return ("", None) };
    if let Some(payload) = query_value(text, "payload") {
        return ("interactive", serde_json::from_str(&payload).ok());
    }
    let pairs = crate::wire::url::query_pairs(text);
    let fields = |pairs: Vec<(String, String)>| {
        Value::Object(pairs.into_iter().map(|(key, value)| (key, Value::String(value))).collect())
    };
    ("slash_commands", pairs.map(fields))
}

impl Channel for Slack {
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
                self.link.close_all(out);
                self.relay.close(out);
                out.status(State::Stopped);
            }
            ChannelInput::Wake => {
                let told = self.link.wake(now, out);
                self.on_told(now, told, out);
                let told = self.relay.wake(now, out);
                self.on_told(now, told, out);
                if self.retry.is_some_and(|retry| retry <= now.time) && !self.resting {
                    self.begin(now, out);
                }
            }
            ChannelInput::Configured(account) => self.account = account.clone(),
            ChannelInput::Http { req, result } => {
                if let Some(job) = self.jobs.remove(&req) {
                    self.on_answer(now, job, result, out);
                }
            }
            ChannelInput::Text { sock, text } => {
                let told = match self.mode {
                    Mode::Relay => self.relay.text(sock, &text),
                    _ => self.link.text(now, sock, &text, out),
                };
                self.on_told(now, told, out);
            }
            ChannelInput::Failed { sock, trouble } => {
                let told = match self.mode {
                    Mode::Relay => self.relay.failed(sock, &trouble),
                    _ => self.link.failed(sock, &trouble),
                };
                self.on_told(now, told, out);
            }
            ChannelInput::Closed { sock, gone } => {
                let told = match self.mode {
                    Mode::Relay => self.relay.closed(sock, &gone),
                    _ => self.link.closed(sock, &gone),
                };
                self.on_told(now, told, out);
            }
            ChannelInput::Pong { sock } => {
                self.link.pong(now, sock);
                self.relay.pong(now, sock);
            }
            ChannelInput::Hook { hook, request } => self.on_hook(now, hook, request, out),
            ChannelInput::Accepted { token, kept } => self.accepted(token, kept, out),
            ChannelInput::Send(message) => self.send(now, message, out),
            ChannelInput::Act { id, act } => self.act(now, id, act, out),
            ChannelInput::Locate { id, media } => {
                out.located(id, Ok(events::located(&self.account, &self.bot, media)));
            }
            ChannelInput::Probe { id } => {
                self.ask(&Call::new("auth.test"), Job::Probe(id), out);
            }
            ChannelInput::Audit { id } => match audit::begin(&self.account, (id, now.time)) {
                Some(one) => self.check(now, Box::new(one), out),
                None => out.audited(id, Value::Null),
            },
            ChannelInput::Opened { sock } => {
                let told = self.relay.opened(now, sock);
                self.on_told(now, told, out);
            }
            ChannelInput::Bytes { .. } => {}
            ChannelInput::Binary { .. } => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        [self.retry, self.link.deadline(), self.relay.deadline()].into_iter().flatten().min()
    }
}
