//! What accounts do beside sending: reactions that say a message was seen, and whatever operators,
//! agents and previews ask for.

use super::super::Gateway;
use super::super::rpc::Params;
use super::LiveId;
use super::outbound::{ActWait, Origin};
use super::place::{Wanted, kind_of_target, text};
use crate::agent::tools::Output;
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

    /// An action of the `message` tool beside sending. Without a target it is done in the
    /// conversation of the session; a reaction without a message is on the one that asked.
    ///
    /// # Errors
    /// What the channel cannot do, or what is missing. `false`: it is one that sends.
    pub(in crate::gateway) fn act_for_tool(
        &mut self,
        number: u64,
        (session, asked): (&str, Option<&Value>),
        action: &str,
        args: &Params,
        fx: &mut Effects,
    ) -> Result<bool, String> {
        let mut all = args.clone();
        let to = ["target", "to", "channelId"].into_iter().find_map(|name| text(&all, name));
        let to = to.unwrap_or_default().to_owned();
        let spec = json!({"channel": text(&all, "channel"), "to": to,
            "accountId": text(&all, "accountId"), "threadId": text(&all, "threadId")});
        let place = self.find_place(Wanted::of(&spec, session)).map_err(|why| why.what)?;
        let kind = kind_of_target(place.channel, &place.to).unwrap_or(ChatKind::Channel);
        if !self.may_send(place.channel, kind, session) {
            return Err(format!("session.sendPolicy lets nothing of {session} out there"));
        }
        let asked = asked.and_then(|it| serde_json::from_value::<Origin>(it.clone()).ok());
        let here = asked.filter(|it| {
            it.channel == place.channel && it.account == place.account && it.to == place.to
        });
        if let Some(here) = here.filter(|it| action == "react" && !it.message.is_empty()) {
            all.entry("messageId").or_insert(json!(here.message));
        }
        all.insert("channel".to_owned(), json!(place.channel));
        all.insert("accountId".to_owned(), json!(place.account));
        let to = if to.is_empty() { place.to.chat.clone() } else { to };
        all.entry("to").or_insert(json!(to));
        if let Some(thread) = &place.to.thread {
            all.entry("threadId").or_insert(json!(thread));
        }
        let Some((id, act)) = self.act_of(action, &all, &to).map_err(|error| error.message)? else {
            return Ok(false);
        };
        self.act(id, &act, ActWait::Tool { number }, fx);
        Ok(true)
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
            ActWait::Tool { number } => {
                let output = match result {
                    Ok(value) => Output::value(value),
                    Err(failure) => Output::error(failure.what),
                };
                return self.tool_done(*number, output);
            }
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
