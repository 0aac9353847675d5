//! Chat channels: how a message of a person reaches an agent and the answer finds its way back.
//!
//! ```text
//!   socket, answer, webhook --ChannelInput--> [irc], [telegram], ... : one value an account
//!                                              |            ^
//!                              ChannelOut::inbound          | ChannelInput::Send, Act, Probe
//!                                              v            |
//!              [access] may it pass? --> [routing] whose is it? --> inbound journal --> run
//!                                                                                        |
//!              [text] render, cut into pieces <-- outbound journal, in order <-- answer -+
//! ```
//!
//! The room holds protocols and rules as plain values; it sees no socket, clock, file or random
//! generator. `gateway::channels` owns the values, opens what they ask for, journals and runs.
//!
//! # Writing a channel
//!
//! A channel is one file (or folder) with a [`Kind`] for the table [`KINDS`] and a value that
//! implements [`Channel`]. One value serves one account. The rules:
//!
//! * [`Channel::on`] takes one [`ChannelInput`] and says what follows by calling the methods of
//!   [`ChannelOut`]; it never blocks and never panics. [`Channel::deadline`] says when it wants
//!   [`ChannelInput::Wake`]; asked after every input.
//! * Ids of sockets, requests and sends are given by [`ChannelOut`] or handed in; none is used
//!   twice in an account's life. What comes for an id that the value has forgotten is ignored.
//! * After [`ChannelOut::close`] or [`ChannelOut::abort`] nothing more is heard of that socket;
//!   after [`ChannelOut::cancel`] nothing of that request.
//! * Pings of a WebSocket are answered by the gateway, which also masks, checks UTF-8 and joins
//!   fragments. The close code and reason of the peer come with [`ChannelInput::Closed`].
//! * A message is given up by [`ChannelOut::inbound`] with a `token` of the channel's choice.
//!   In the same turn [`ChannelInput::Accepted`] says that it is durable (or was known already,
//!   or may be dropped): **only then** is it acknowledged to the service: the offset moves on,
//!   the envelope is acked, the webhook answered. With `kept: false` the disk refused: do not
//!   acknowledge, the service shall bring it again.
//! * What must survive a restart (an update offset, a session to resume) goes out by
//!   [`ChannelOut::keep`] and comes back as [`Account::kept`] when the value is built.
//! * Every [`ChannelInput::Send`] has exactly one [`ChannelOut::sent`] or
//!   [`ChannelOut::send_failed`]; sends to one conversation come one at a time, so order needs no
//!   thought. A piece that takes several calls tells each that is done by
//!   [`ChannelOut::part_sent`], and leaves out [`Outgoing::parts`] of them: no failure and no
//!   crash repeats what arrived. While not connected, answer with [`Failure::later`]: the queue
//!   tries again when [`State::Connected`] is told. `again: true` marks a send whose earlier
//!   attempt may have arrived; give [`Outgoing::nonce`] to services that refuse a repetition.
//! * A fault that a new connection may mend: [`ChannelOut::status`] with [`State::Waiting`] and
//!   a [`Backoff`]. One that only the operator can mend (token refused): [`State::Refused`] with
//!   a sentence that ends in what to do; the account then rests until its keys change or
//!   somebody starts it.
//! * A file of an accepted message is asked for by [`ChannelInput::Locate`], perhaps more than
//!   once and perhaps in another life; each is answered by one [`ChannelOut::located`].
//! * A [`ChannelInput::Audit`] is answered by [`ChannelOut::audited`]: whether the bot may read and
//!   write in the conversations that the configuration names, see [`audit`].
//! * Text arrives rendered by [`Kind::render`] and cut at [`Kind::text_limit`]: one piece a send.
//! * Who may write and whether the bot was meant is decided outside ([`access`]); the channel
//!   only reports ids that never change in [`Sender::ids`] and names that may in
//!   [`Sender::names`], and whether it saw itself mentioned.
//!
//! A skeleton:
//!
//! ```
//! use openclaw_gateway::channels::{
//!     Account, Backoff, Channel, ChannelInput, ChannelOut, Failure, SockId, State,
//! };
//! use openclaw_gateway::driver::{Now, Time};
//!
//! struct Example { host: String, sock: Option<SockId>, backoff: Backoff, due: Option<Time> }
//!
//! impl Channel for Example {
//!     fn on(&mut self, now: Now, input: ChannelInput<'_>, out: &mut ChannelOut) {
//!         match input {
//!             ChannelInput::Start | ChannelInput::Wake => {
//!                 self.due = None;
//!                 self.sock = Some(out.open_tcp(&self.host, 7, true));
//!                 out.status(State::Connecting);
//!             }
//!             ChannelInput::Opened { sock } if self.sock == Some(sock) => {
//!                 self.backoff.reset();
//!                 out.status(State::Connected);
//!             }
//!             ChannelInput::Failed { sock, trouble } if self.sock == Some(sock) => {
//!                 let pause = self.backoff.next_ms(out.random());
//!                 let until = now.time.after_ms(pause);
//!                 self.due = Some(until);
//!                 self.sock = None;
//!                 out.status(State::Waiting { until, why: trouble.what });
//!             }
//!             ChannelInput::Send(message) => match self.sock {
//!                 Some(sock) => {
//!                     out.bytes(sock, message.text.clone().into_bytes());
//!                     out.sent(&message.id, Vec::new());
//!                 }
//!                 None => out.send_failed(&message.id, Failure::later("not connected")),
//!             },
//!             ChannelInput::Stop => {
//!                 if let Some(sock) = self.sock.take() {
//!                     out.close(sock, 1000, "");
//!                 }
//!                 self.due = None;
//!             }
//!             _ => {}
//!         }
//!     }
//!     fn deadline(&self) -> Option<Time> { self.due }
//! }
//! ```
//!
//! Tests drive the value with [`rig::Rig`], a scripted server: it hands in answers, moves the
//! clock, and says what the channel did. `irc_tests.rs` shows its use.

pub mod access;
pub mod account;
pub mod actions;
pub mod audit;
pub mod backoff;
pub mod bounds;
pub mod context;
pub mod discord;
pub mod draft;
pub mod enclosed;
pub mod fuzz;
pub mod irc;
pub mod menu;
pub mod outgoing;
pub mod pairs;
pub mod port;
#[doc(hidden)]
pub mod rig;
pub mod routing;
pub mod slack;
pub mod speech;
pub mod telegram;
pub mod text;

pub use account::Account;
pub use backoff::Backoff;
pub use outgoing::{Act, Address, Attachment, Failure, Outgoing, Retry};
pub use port::{
    Answered, ChannelEffect, ChannelInput, ChannelOut, Gone, HookId, HookRequest, HttpRequest,
    Located, Me, ReqId, SockId, State, Trouble,
};

use crate::driver::{Now, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One account on one service, as a state machine.
pub trait Channel {
    /// Takes one input; what follows from it is said to `out`.
    fn on(&mut self, now: Now, input: ChannelInput<'_>, out: &mut ChannelOut);
    /// When [`ChannelInput::Wake`] is due; `None` when nothing waits for time.
    fn deadline(&self) -> Option<Time>;
}

/// What a channel is, beside its protocol: one row of [`KINDS`].
#[derive(Clone, Copy)]
pub struct Kind {
    /// Id, as in `channels.<id>` and in session keys.
    pub id: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// A few words for `channelDetailLabels`.
    pub detail: &'static str,
    /// Prefixes of targets that mean this channel, beside its id: `tg` for Telegram.
    pub prefixes: &'static [&'static str],
    /// What it can do.
    pub caps: Caps,
    /// Most that [`Kind::length`] may give for one piece of text.
    pub text_limit: usize,
    /// Megabytes of one file either way where `mediaMaxMb` does not say.
    pub media_max_mb: u64,
    /// How answers are shown there while they are written.
    pub writing: Writing,
    /// How the service counts a text: characters, UTF-16 units or bytes.
    pub length: fn(&str) -> usize,
    /// Markdown as the service wants it.
    pub render: fn(&str) -> String,
    /// Keys of an account that take effect without a new connection, beside
    /// [`account::LIVE_KEYS`]. A change of any other key builds the value anew.
    pub live_keys: &'static [&'static str],
    /// Keys of the channel that a named account does not inherit: tokens, of which two pollers
    /// would be one too many.
    pub not_inherited: &'static [&'static str],
    /// Keys that name a file, and the key that its content stands for: `passwordFile` and
    /// `password`. Dots reach into an object.
    pub file_keys: &'static [(&'static str, &'static str)],
    /// Environment variables that stand for keys of the default account.
    pub env_keys: &'static [(&'static str, &'static str)],
    /// Keys without which an account is not configured; all of them.
    pub credentials: &'static [&'static str],
    /// Builds the value of an account.
    ///
    /// # Errors
    /// What is missing or wrong, and the command that mends it.
    pub build: fn(&Account) -> Result<Box<dyn Channel>, String>,
    /// What an operator or agent wrote as a target: `#room`, `@name`, `channel:C1`. Without the
    /// channel's prefix.
    ///
    /// # Errors
    /// What a target looks like.
    pub target: fn(&str) -> Result<Address, String>,
    /// An entry of an allowlist or an id in its comparable form: no prefix, lower case where
    /// the service does not tell cases apart.
    pub normal: fn(&str) -> String,
    /// What the configuration says of a group: see [`GroupRules`].
    pub group: fn(&Account, &Chat) -> GroupRules,
}

/// How answers are shown on a service while they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writing {
    /// `streaming.mode` where it is not said.
    pub mode: &'static str,
    /// Milliseconds between two edits of one message: of a person's chat, of several people's.
    pub edit_ms: (u64, u64),
    /// Characters from which blocks of an answer go out, where nothing says; else the chunk's own.
    pub block_min: Option<usize>,
    /// A status takes what the model says before its tools as its headline.
    pub headlines: bool,
    /// A status stays as the record of a run that failed.
    pub keeps_failed: bool,
    /// A 429 means the whole chat, its messages as well.
    pub rests_chat: bool,
    /// `maxLinesPerMessage` where it is not said; `None` where lines do not matter.
    pub max_lines: Option<u64>,
}

impl Writing {
    /// Nothing of its own.
    pub const PLAIN: Self = Self {
        mode: "off",
        edit_ms: (1_250, 1_250),
        block_min: None,
        headlines: false,
        keeps_failed: false,
        rests_chat: false,
        max_lines: None,
    };
}

/// What a channel can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caps {
    /// People write to it alone.
    pub direct: bool,
    /// It can be in conversations of several.
    pub group: bool,
    /// Conversations have threads or topics.
    pub threads: bool,
    /// It answers a message so that people see which.
    pub reply: bool,
    /// It can put an emoji on a message.
    pub reactions: bool,
    /// It can change what it said.
    pub edit: bool,
    /// It can take back what it said.
    pub delete: bool,
    /// A message that may have been sent is found by its nonce instead of being sent twice.
    pub finds: bool,
    /// What was not acknowledged comes again.
    pub brings_again: bool,
    /// It shows that it types.
    pub typing: bool,
    /// It sends pictures and files.
    pub media: bool,
    /// It makes polls.
    pub polls: bool,
    /// It has buttons.
    pub buttons: bool,
    /// The service knows commands of ours by itself.
    pub native_commands: bool,
}

/// What the configuration says of one group; `None` is not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupRules {
    /// The group is listed, by its id or by `*`. With `groupPolicy: "allowlist"` others are
    /// not listened to.
    pub listed: bool,
    /// Listed without saying who may speak there, it is meant whole: everybody may.
    pub open: bool,
    /// The account's `allowFrom` names who may speak there, where `groupAllowFrom` names nobody.
    pub inherits: bool,
    /// `enabled`.
    pub enabled: Option<bool>,
    /// `groupPolicy` of this group alone.
    pub policy: Option<String>,
    /// `requireMention`.
    pub require_mention: Option<bool>,
    /// `allowFrom`: who may speak to it there.
    pub allow_from: Option<Vec<String>>,
    /// Roles one of which a sender must have; any when empty.
    pub roles: Vec<String>,
    /// `systemPrompt`, outer ones first.
    pub prompts: Vec<String>,
    /// The settings themselves, narrowest first: [`bounds`] reads tools and skills of them.
    pub scopes: Vec<Value>,
    /// `agentId` of a topic or room.
    pub agent: Option<String>,
}

/// A conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chat {
    /// What kind.
    pub kind: ChatKind,
    /// Its id; for a direct conversation the person's.
    pub id: String,
    /// The thread or topic in it.
    pub thread: Option<String>,
    /// The conversation that a thread of its own id belongs to (Discord).
    pub parent: Option<String>,
    /// Server of the service that it belongs to (Discord).
    pub guild: Option<String>,
    /// Workspace (Slack).
    pub team: Option<String>,
    /// What people call it; may change.
    pub title: Option<String>,
}

/// Kinds of conversations, as session keys and bindings name them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatKind {
    /// One person and the bot.
    #[default]
    Direct,
    /// Several people.
    Group,
    /// A room of a server or workspace.
    Channel,
}

impl ChatKind {
    /// The word in session keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Group => "group",
            Self::Channel => "channel",
        }
    }
}

/// Who wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sender {
    /// Ids that never change hands; the first is the one that is shown and paired.
    pub ids: Vec<String>,
    /// Names that may change hands; matched only with `dangerouslyAllowNameMatching`.
    pub names: Vec<String>,
    /// What to call the person.
    pub name: Option<String>,
    /// Roles in the guild.
    pub roles: Vec<String>,
    /// It says that it is a program.
    pub is_bot: bool,
}

/// A picture or file that came with a message; fetched by the gateway after acceptance. The
/// journal has it, so nothing in it is secret: credentials are asked for when it is fetched
/// ([`ChannelInput::Locate`]).
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Media {
    /// Where it is; empty when the service must be asked first.
    pub url: String,
    /// The service's own id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Media type, if the service told.
    pub mime: Option<String>,
    /// Name, if it has one.
    pub name: Option<String>,
    /// Size the service told; not trusted.
    pub bytes: Option<u64>,
    /// What became of it.
    #[serde(skip)]
    pub got: Option<Result<Stored, String>>,
    /// What is said in it, or why that is not known; `None` when nobody listened.
    #[serde(skip)]
    pub heard: Option<Result<String, String>>,
}

/// A file that was fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Where it lies.
    pub path: std::path::PathBuf,
    /// Media type, judged by its bytes.
    pub mime: String,
    /// Its size.
    pub bytes: u64,
}

/// Without the URL, which may hold a ticket.
impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Media").field("mime", &self.mime).field("name", &self.name).finish()
    }
}

/// What a message answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quote {
    /// The message's id.
    pub id: String,
    /// Who wrote it.
    pub sender: Option<String>,
    /// Ids of who wrote it, as far as the service tells.
    pub from: Vec<String>,
    /// What it says.
    pub text: String,
    /// It is one of ours: counts as a mention.
    pub of_us: bool,
}

/// A message of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inbound {
    /// The channel's number for [`ChannelInput::Accepted`].
    pub token: u64,
    /// Unique in the conversation; a message that comes again has the same.
    pub id: String,
    /// Where.
    pub chat: Chat,
    /// Who.
    pub sender: Sender,
    /// What it says, mentions of the bot taken out.
    pub text: String,
    /// Nothing was written: `text` is what was heard in a voice note.
    #[serde(skip)]
    pub spoken: bool,
    /// The bot was named.
    pub mentioned: bool,
    /// Somebody else was named, or another bot answered.
    pub others: bool,
    /// It is a command of ours that the service delivered as such: meant for the bot, and
    /// `text` begins with `/`.
    pub command: bool,
    /// What it answers.
    pub reply_to: Option<Quote>,
    /// What came with it.
    pub media: Vec<Media>,
    /// The album that it is a part of: messages with the same one are one message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// When it was written, Unix time in milliseconds; 0 when not told.
    pub sent_ms: u64,
    /// Where an answer goes.
    pub to: Address,
    /// Nothing was said: this happened. `text` is the line for the session; no run begins.
    pub event: Option<Happening>,
}

/// What happens in a conversation without anybody saying something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happening {
    /// An emoji came or went.
    Reaction {
        /// On a message of ours.
        of_us: bool,
    },
    /// A message has another text now.
    Edited {
        /// Its id.
        on: String,
        /// What it says.
        text: String,
    },
    /// Somebody came or went, something was pinned, a room was made.
    Other,
}

/// Every channel of this build, by id.
pub static KINDS: &[&Kind] = &[&discord::KIND, &irc::KIND, &slack::KIND, &telegram::KIND];

/// The one with this id or target prefix.
pub fn find(id: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.id == id || kind.prefixes.contains(&id)).copied()
}
