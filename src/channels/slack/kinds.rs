//! Which kind of conversation something came from, where Slack does not say it.
//!
//! `app_mention`, commands and buttons do not say whether several people's direct conversation
//! (`mpim`) is meant, which has rules of its own: taken for a channel it would pass by what is said
//! of `*`. Its name tells it from others, and so does any message that was heard there.

use serde_json::{Value, json};

use super::events::text;
use super::{Owed, Slack};
use crate::channels::{ChannelOut, ChatKind};
use crate::limits;

/// What a payload says of the kind itself.
fn said<'a>(kind: &str, payload: &'a Value) -> Option<&'a str> {
    let name = match kind {
        "events_api" => return text(payload.get("event")?, "channel_type"),
        "slash_commands" => text(payload, "channel_name"),
        _ => text(payload.get("channel")?, "name"),
    };
    // What conversations of several people are called, and nothing else may be.
    name.filter(|name| name.starts_with("mpdm-")).map(|_| "mpim")
}

/// Writes a kind into a payload, where [`super::events`] reads it.
fn tell(kind: &str, payload: &mut Value, what: &str) {
    let at = match kind {
        "events_api" => payload.get_mut("event"),
        _ => Some(payload),
    };
    if let Some(at) = at.filter(|at| at.is_object()) {
        at["channel_type"] = json!(what);
    }
}

impl Slack {
    /// Takes what came: gives it up as what it is known to be, or acknowledges what says nothing.
    pub(super) fn came(
        &mut self,
        (kind, mut payload, id): (&str, Value, &str),
        owed: Owed,
        out: &mut ChannelOut,
    ) {
        let what = said(kind, &payload).map(str::to_owned);
        if let Some(what) = &what {
            tell(kind, &mut payload, what);
        }
        let Some(mut message) = self.take(kind, &payload, id) else {
            return self.settle(owed, true, out);
        };
        let channel = message.to.chat.clone();
        match (what, self.kinds.get(&channel).cloned()) {
            (Some(what), _) => self.learn(&channel, &what),
            (None, Some(known)) if message.chat.kind != ChatKind::Direct => {
                tell(kind, &mut payload, &known);
                if let Some(again) = self.take(kind, &payload, id) {
                    message = again;
                }
            }
            _ => {}
        }
        self.give_up(message, owed, out);
    }

    fn learn(&mut self, channel: &str, what: &str) {
        if self.kinds.len() >= limits::SLACK_ROOMS && !self.kinds.contains_key(channel) {
            // Any one: its next event says it again.
            self.kinds.pop_first();
        }
        self.kinds.insert(channel.to_owned(), what.to_owned());
    }
}
