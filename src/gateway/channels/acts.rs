//! What accounts do beside sending: reactions that say a message was seen, and whatever operators,
//! agents and previews ask for.

use super::super::Gateway;
use super::LiveId;
use super::outbound::{ActWait, Origin};
use crate::channels::port::ChannelInput;
use crate::channels::{Act, ChatKind, Failure, Inbound, Retry};
use crate::driver::Effects;
use crate::limits;
use crate::protocol::error::ErrorShape;
use serde_json::{Value, json};

impl Gateway {
    /// The reaction that says a message was seen: `messages.ackReaction` and its scope.
    pub(super) fn begin_ack(
        &mut self,
        origin: &Origin,
        message: &Inbound,
        _agent: &str,
        fx: &mut Effects,
    ) {
        let Some(id) = self.channels.find(&origin.channel, &origin.account) else { return };
        let Some(live) = self.channels.live.get(&id) else { return };
        if !live.kind.caps.reactions {
            return;
        }
        let own = live.account.get("ackReaction").and_then(Value::as_str).map(str::to_owned);
        let emoji = own.or_else(|| self.config.messages.ack_reaction.clone());
        let emoji = emoji.unwrap_or_else(|| "👀".to_owned());
        let group = message.chat.kind != ChatKind::Direct;
        let meant = message.mentioned || message.reply_to.as_ref().is_some_and(|it| it.of_us);
        let wanted = match self.config.messages.ack_scope.as_deref().unwrap_or("group-mentions") {
            "all" => true,
            "direct" => !group,
            "group-all" => group,
            "group-mentions" => group && meant,
            _ => false,
        };
        if wanted && !emoji.is_empty() {
            self.react(origin, &emoji, false, fx);
        }
    }

    pub(super) fn react(&mut self, origin: &Origin, emoji: &str, remove: bool, fx: &mut Effects) {
        let Some(id) = self.channels.find(&origin.channel, &origin.account) else { return };
        let act = Act::React {
            to: origin.to.clone(),
            message: origin.message.clone(),
            emoji: emoji.to_owned(),
            remove,
        };
        self.act(id, &act, ActWait::Nobody, fx);
    }

    /// Asks an account for an act.
    pub(super) fn act(&mut self, id: LiveId, act: &Act, wait: ActWait, fx: &mut Effects) {
        let number = self.channels.number();
        let now_ms = self.now.wall_ms;
        let Some(live) = self.channels.live.get_mut(&id) else { return };
        let chat = (live.kind.id, live.account.id.as_str(), act.to().map_or("", |to| &to.chat));
        if !chat.2.is_empty()
            && let Some(ms) = self.channels.outbox.rests.left_ms(chat, true, now_ms)
        {
            let what = format!("{} asked for a pause in this chat", live.kind.label);
            return self.act_told(&wait, Err(Failure::after(ms, what)), fx);
        }
        if live.acts.len() >= limits::CHANNEL_ACTS {
            return self.act_told(&wait, Err(Failure::later("too many acts wait")), fx);
        }
        live.acts.insert(number, wait);
        self.channel_on(id, ChannelInput::Act { id: number, act }, fx);
    }

    /// An act is over.
    pub(super) fn act_over(
        &mut self,
        id: LiveId,
        number: u64,
        result: Result<Value, Failure>,
        fx: &mut Effects,
    ) {
        let wait = self.channels.live.get_mut(&id).and_then(|live| live.acts.remove(&number));
        if let Some(wait) = wait {
            self.act_told(&wait, result, fx);
        }
    }

    pub(super) fn act_told(
        &mut self,
        wait: &ActWait,
        result: Result<Value, Failure>,
        fx: &mut Effects,
    ) {
        let (conn, request) = match wait {
            ActWait::Nobody => return,
            ActWait::Preview { run } => return self.preview_edited(run, result),
            ActWait::Final { id } => return self.final_edited(id, result, fx),
            ActWait::Tidy { id, message } => return self.draft_deleted(id, message, result),
            ActWait::Rpc { conn, request } => (conn, request),
        };
        match result {
            Ok(Value::Object(mut answer)) => {
                answer.entry("ok").or_insert(json!(true));
                self.respond_ok(*conn, request, &Value::Object(answer), fx);
            }
            Ok(_) => self.respond_ok(*conn, request, &json!({"ok": true}), fx),
            Err(failure) => {
                let error = match failure.retry {
                    Retry::No => ErrorShape::invalid(failure.what),
                    Retry::Later | Retry::After(_) => ErrorShape::unavailable(failure.what),
                };
                self.respond_error(*conn, request, &error, fx);
            }
        }
    }
}
