//! What a channel is asked to do: messages and acts.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a message goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address {
    /// Id of the conversation, as the service takes it.
    pub chat: String,
    /// Thread or topic in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
}

impl Address {
    /// A conversation without thread.
    pub fn chat(id: impl Into<String>) -> Self {
        Self { chat: id.into(), thread: None }
    }
}

/// One piece of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Id of this piece's delivery.
    pub id: String,
    /// The same for every attempt at this piece, at most 25 characters of `[a-z0-9]`: for
    /// services that refuse a repetition.
    pub nonce: String,
    /// An earlier attempt may have arrived.
    pub again: bool,
    /// Parts of it that arrived by an earlier attempt ([`super::ChannelOut::part_sent`]): they
    /// are left out.
    pub parts: usize,
    /// Where to.
    pub to: Address,
    /// What; rendered and within the limit. Empty when there is only media.
    pub text: String,
    /// The text before it was rendered, for services that take a second, plain form.
    pub plain: String,
    /// The message that it answers, if it is to be seen.
    pub reply_to: Option<String>,
    /// Pictures and files.
    pub media: Vec<Attachment>,
    /// Without a sound.
    pub silent: bool,
    /// What only this channel understands, as `message.action` brought it: `buttons`, `embeds`.
    pub extra: Value,
}

/// A picture or file to send.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attachment {
    /// A public address that the service may fetch itself.
    pub url: Option<String>,
    /// Or its bytes.
    pub bytes: Option<Rc<Vec<u8>>>,
    /// Media type.
    pub mime: String,
    /// Name.
    pub name: String,
    /// As a file, even if it is a picture.
    pub as_file: bool,
    /// Sound as a voice note.
    pub voice: bool,
}

/// Something beside sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Puts an emoji on a message, or takes it off.
    React {
        /// Where it is.
        to: Address,
        /// The message.
        message: String,
        /// The emoji itself; empty with `remove` takes off all of ours.
        emoji: String,
        /// Take off.
        remove: bool,
    },
    /// Changes a message of ours; `text` is rendered and within the limit.
    Edit {
        /// Where it is.
        to: Address,
        /// The message.
        message: String,
        /// Its new text.
        text: String,
    },
    /// Takes a message back.
    Delete {
        /// Where it is.
        to: Address,
        /// The message.
        message: String,
    },
    /// Makes a poll; answers `{"messageId", "pollId"?}`.
    Poll {
        /// Where to.
        to: Address,
        /// The question.
        question: String,
        /// At least two.
        options: Vec<String>,
        /// How many may be chosen.
        max_selections: u32,
        /// How long it is open.
        duration_s: Option<u64>,
        /// Names are not shown.
        anonymous: bool,
        /// Without a sound.
        silent: bool,
    },
    /// Shows for a few seconds that an answer is being written; needs no answer.
    Typing {
        /// Where.
        to: Address,
    },
    /// Any other action of the reference's `message` tool: `pin`, `read`, `thread-create`, ...
    Other {
        /// Its name.
        name: String,
        /// Its parameters as they came.
        params: Value,
    },
}

impl Act {
    /// The conversation that it is about, where its kind says it.
    pub fn to(&self) -> Option<&Address> {
        match self {
            Self::React { to, .. }
            | Self::Edit { to, .. }
            | Self::Delete { to, .. }
            | Self::Poll { to, .. }
            | Self::Typing { to } => Some(to),
            Self::Other { .. } => None,
        }
    }
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What happened, and what to do if somebody can.
    pub what: String,
    /// What to do about it.
    pub retry: Retry,
    /// A pause that was asked for is the whole account's, not only this conversation's.
    pub wide: bool,
}

/// Whether another try has a chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// After the queue's own pause, or once connected.
    Later,
    /// The service said how long to wait, milliseconds. Counts as no attempt.
    After(u64),
    /// Never.
    No,
}

impl Failure {
    /// Another try may do.
    pub fn later(what: impl Into<String>) -> Self {
        Self { what: what.into(), retry: Retry::Later, wide: false }
    }

    /// Another try after so many milliseconds.
    pub fn after(ms: u64, what: impl Into<String>) -> Self {
        Self { what: what.into(), retry: Retry::After(ms), wide: false }
    }

    /// A request has no answer: what follows from why.
    pub fn unanswered(what: impl Into<String>, trouble: &super::Trouble) -> Self {
        match trouble {
            super::Trouble { permanent: true, .. } => Self::permanent(what),
            super::Trouble { pause_ms: 0, .. } => Self::later(what),
            // No message is to blame: none of the account's is tried before.
            super::Trouble { pause_ms, .. } => Self::after(*pause_ms, what).of_account(true),
        }
    }

    /// The same, for every conversation of the account.
    #[must_use]
    pub fn of_account(self, wide: bool) -> Self {
        Self { wide, ..self }
    }

    /// No try will do.
    pub fn permanent(what: impl Into<String>) -> Self {
        Self { what: what.into(), retry: Retry::No, wide: false }
    }

    /// The channel cannot do this.
    pub fn unsupported(channel: &str, act: &str) -> Self {
        Self::permanent(format!("{channel} cannot do \"{act}\""))
    }
}
