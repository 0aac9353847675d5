//! Which kind of conversation something came from, where Slack does not say it.
//!
//! ```text
//!   event, command, button --kind said, or known--------------------------> given up
//!                           \--not--> held --conversations.info--> known --^
//!                                      | refused, or no answer time after time: a denial, logged
//!                                      | no answer for now: acknowledged, and looked up again;
//!                                        an event that came by request comes again itself
//! ```
//!
//! `app_mention`, commands and buttons do not say whether several people's direct conversation
//! (`mpim`) is meant, which has rules of its own: taken for a channel it would pass by what is said
//! of `*`. What the configuration names by its id is as good as a channel, and needs no look-up.

use serde_json::{Value, json};

use super::events::{self, text};
use super::web::Call;
use super::{Answer, Job, Owed, Slack};
use crate::channels::{ChannelOut, ChatKind, Inbound, Retry};
use crate::driver::{Now, Time};
use crate::limits;

/// The method that tells.
pub const METHOD: &str = "conversations.info";

/// What waits to hear what kind of conversation it is from.
#[derive(Debug)]
pub struct Held {
    channel: String,
    kind: String,
    payload: Value,
    id: String,
    owed: Owed,
    /// Look-ups that had no answer, and when the next one is made.
    tries: u32,
    again: Option<Time>,
}

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

/// Writes a kind into a payload, where [`events`] reads it.
fn tell(kind: &str, payload: &mut Value, what: &str) {
    let at = match kind {
        "events_api" => payload.get_mut("event"),
        _ => Some(payload),
    };
    if let Some(at) = at.filter(|at| at.is_object()) {
        at["channel_type"] = json!(what);
    }
}

/// `conversations.info` as the word of an event.
fn word(document: &Value) -> Option<&'static str> {
    let channel = document.get("channel")?;
    let is = |key: &str| channel.get(key).and_then(Value::as_bool) == Some(true);
    match (is("is_im"), is("is_mpim"), is("is_channel") || is("is_group")) {
        (true, ..) => Some("im"),
        (_, true, _) => Some("mpim"),
        (.., true) => Some("channel"),
        _ => None,
    }
}

impl Slack {
    /// Takes what came: gives it up, holds it until its kind is known, or acknowledges what says
    /// nothing.
    pub(super) fn came(
        &mut self,
        now: Now,
        (kind, mut payload, id): (String, Value, String),
        owed: Owed,
        out: &mut ChannelOut,
    ) {
        if let Some(what) = said(&kind, &payload).map(str::to_owned) {
            tell(&kind, &mut payload, &what);
            let Some(message) = self.take(&kind, &payload, &id) else {
                return self.settle(owed, true, out);
            };
            self.learn(&message.to.chat, &what);
            return self.give_up(message, owed, out);
        }
        let Some(message) = self.take(&kind, &payload, &id) else {
            return self.settle(owed, true, out);
        };
        let channel = message.to.chat.clone();
        if message.chat.kind == ChatKind::Direct || events::is_named(&self.account, &channel) {
            return self.give_up(message, owed, out);
        }
        let held = Held { channel, kind, payload, id, owed, tries: 0, again: None };
        if let Some(what) = self.kinds.get(&held.channel).cloned() {
            return self.let_go(held, &what, out);
        }
        self.hold(now, held, out);
    }

    fn hold(&mut self, now: Now, held: Held, out: &mut ChannelOut) {
        let channel = held.channel.clone();
        if self.held.len() >= limits::SLACK_HELD {
            let line = format!("what came from {channel} is to come again: too much waits");
            out.log(log::Level::Warn, line);
            return self.settle(held.owed, false, out);
        }
        match self.rests.left(now.time, METHOD) {
            Some(left) => self.put_off(now, held, left, out),
            None => {
                self.held.push_back(held);
                self.ask_kind(channel, out);
            }
        }
    }

    fn ask_kind(&mut self, channel: String, out: &mut ChannelOut) {
        let asked = |job: &Job| matches!(job, Job::Kind(it) if *it == channel);
        if !self.jobs.values().any(asked) {
            let call = Call::new(METHOD).with("channel", &*channel);
            self.ask(&call, Job::Kind(channel), out);
        }
    }

    /// No answer for now. Slack waits three seconds: it is acknowledged, and looked up again; only
    /// an event that came by request is left to Slack.
    fn put_off(&mut self, now: Now, mut held: Held, pause_ms: u64, out: &mut ChannelOut) {
        held.tries = held.tries.saturating_add(1);
        if held.kind == "events_api" && matches!(held.owed, Owed::Hook(_)) {
            return self.settle(held.owed, false, out);
        }
        self.settle(std::mem::replace(&mut held.owed, Owed::Nothing), true, out);
        if held.tries > limits::SLACK_KIND_TRIES {
            let line = format!(
                "what came from {} is left out: {METHOD} had no answer {} times",
                held.channel, held.tries
            );
            return out.log(log::Level::Error, line);
        }
        held.again = Some(now.time.after_ms(pause_ms));
        self.held.push_back(held);
    }

    /// When a look-up is made again.
    pub(super) fn kinds_due(&self) -> Option<Time> {
        self.held.iter().filter_map(|held| held.again).min()
    }

    /// Makes those that are due.
    pub(super) fn look_again(&mut self, now: Now, out: &mut ChannelOut) {
        let mut due = Vec::new();
        for held in &mut self.held {
            if held.again.take_if(|at| *at <= now.time).is_some() {
                due.push(held.channel.clone());
            }
        }
        due.into_iter().for_each(|channel| self.ask_kind(channel, out));
    }

    /// The kind of a conversation is known, or cannot be.
    pub(super) fn kind_known(
        &mut self,
        now: Now,
        channel: &str,
        result: Answer,
        out: &mut ChannelOut,
    ) {
        let answer = self.heard(now, METHOD, result, out);
        let all = std::mem::take(&mut self.held);
        let (ours, others) = all.into_iter().partition(|held| held.channel == channel);
        self.held = others;
        let ours: std::collections::VecDeque<Held> = ours;
        let what = answer.as_ref().ok().and_then(word);
        if let Some(what) = what {
            self.learn(channel, what);
            ours.into_iter().for_each(|held| self.let_go(held, what, out));
            return;
        }
        let (why, again) = match answer {
            Ok(_) => ("Slack does not say what it is".to_owned(), None),
            Err(failure) => {
                let again = match failure.retry {
                    Retry::No => None,
                    Retry::Later => Some(limits::SLACK_KIND_AGAIN_MS),
                    Retry::After(ms) => Some(ms),
                };
                (failure.what, again)
            }
        };
        let path = &self.account.path;
        let line = match again {
            Some(_) => format!("what came from {channel} waits: {why}"),
            None => format!(
                "nobody is heard in {channel}, for its kind is not known: {why}; the app needs \
                 the scopes channels:read, groups:read and mpim:read, or name it: openclaw config \
                 set {path}.channels.{channel}.enabled true"
            ),
        };
        out.log(log::Level::Warn, line);
        for held in ours {
            match again {
                Some(pause_ms) => self.put_off(now, held, pause_ms, out),
                None => self.settle(held.owed, true, out),
            }
        }
    }

    /// Gives up what was held, as what it is.
    fn let_go(&mut self, held: Held, what: &str, out: &mut ChannelOut) {
        let Held { kind, mut payload, id, owed, .. } = held;
        tell(&kind, &mut payload, what);
        let message: Option<Inbound> = self.take(&kind, &payload, &id);
        match message {
            Some(message) => self.give_up(message, owed, out),
            None => self.settle(owed, true, out),
        }
    }

    fn learn(&mut self, channel: &str, what: &str) {
        if self.kinds.len() >= limits::SLACK_ROOMS && !self.kinds.contains_key(channel) {
            // Any one: it is looked up again.
            self.kinds.pop_first();
        }
        self.kinds.insert(channel.to_owned(), what.to_owned());
    }

    /// Nothing of it is given up any more.
    pub(super) fn drop_held(&mut self, out: &mut ChannelOut) {
        for held in std::mem::take(&mut self.held) {
            self.settle(held.owed, false, out);
        }
    }
}
