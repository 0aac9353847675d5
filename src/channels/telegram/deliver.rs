//! Pieces and acts on their way to a chat, call by call.

use serde_json::{Value, json};

use super::api::{self, Style};
use super::{Answer, Job, Sending, Telegram, updates};
use crate::channels::{Act, Attachment, ChannelOut, ChatKind, Failure, Outgoing, Retry, State};
use crate::driver::Now;
use crate::limits;

impl Telegram {
    pub(super) fn send(&mut self, now: Now, message: &Outgoing, out: &mut ChannelOut) {
        if self.me.is_none() || self.resting {
            out.send_failed(&message.id, Failure::later("not connected to Telegram"));
            return;
        }
        if self.account.flag("actions.sendMessage") == Some(false) {
            let what = format!("{}.actions.sendMessage is false", self.account.path);
            return out.send_failed(&message.id, Failure::permanent(what));
        }
        let large = |file: &Attachment| {
            file.bytes.as_ref().is_some_and(|bytes| bytes.len() > limits::TELEGRAM_UPLOAD)
        };
        if message.media.iter().any(large) {
            let what = "Telegram's Bot API takes no file over 50 MB";
            return out.send_failed(&message.id, Failure::permanent(what));
        }
        let kind = match message.to.chat.starts_with(['-', '@']) {
            true => ChatKind::Group,
            false => ChatKind::Direct,
        };
        let style = Style {
            no_preview: self.account.flag("linkPreview") == Some(false),
            buttons: updates::buttons(&self.account, kind),
        };
        let sending = Sending {
            id: message.id.clone(),
            chat: message.to.chat.clone(),
            thread: message.to.thread.clone(),
            plain: message.plain.clone(),
            // Parts that arrived by an earlier attempt are there.
            calls: api::send(message, style).into_iter().skip(message.parts).collect(),
        };
        self.next_call(now, sending, out);
    }

    pub(super) fn next_call(&mut self, now: Now, sending: Sending, out: &mut ChannelOut) {
        let Some(call) = sending.calls.front().cloned() else {
            return out.sent(&sending.id, Vec::new());
        };
        if let Some(until) = self.rests.get(&sending.chat).filter(|until| **until > now.time) {
            let left = until.ms_since(now.time).max(1);
            let failure = Failure::after(left, "Telegram asked for a pause in this chat");
            return out.send_failed(&sending.id, failure);
        }
        self.ask(&call, Job::Send(Box::new(sending)), out);
    }

    pub(super) fn went(
        &mut self,
        now: Now,
        mut sending: Sending,
        result: Answer,
        out: &mut ChannelOut,
    ) {
        let method = sending.calls.front().map_or("send", |call| call.method);
        match api::read(method, result) {
            Ok(message) => {
                let number = message.get("message_id").and_then(Value::as_i64);
                let chat = message.get("chat").and_then(|chat| chat.get("id")?.as_i64());
                let mut ids = Vec::new();
                if let Some(number) = number {
                    let chat = chat.map_or_else(|| sending.chat.clone(), |chat| chat.to_string());
                    let id = format!("{chat}:{number}");
                    self.own.push_back((id.clone(), sending.thread.clone()));
                    if self.own.len() > limits::TELEGRAM_OWN {
                        self.own.pop_front();
                    }
                    ids.push(id);
                }
                sending.calls.pop_front();
                if sending.calls.is_empty() {
                    return out.sent(&sending.id, ids);
                }
                out.part_sent(&sending.id, ids);
                self.next_call(now, sending, out);
            }
            Err(no) => {
                if no.code == 401 {
                    // A new token may come: what waits for it is not lost.
                    self.resting = true;
                    out.send_failed(&sending.id, Failure::later(&*no.failure.what));
                    return out.status(State::Refused { why: no.failure.what });
                }
                if let Retry::After(ms) = no.failure.retry {
                    self.rest(now, &sending.chat, ms);
                }
                if no.code == 400 && mended(&mut sending, &no.failure.what) {
                    return self.next_call(now, sending, out);
                }
                out.send_failed(&sending.id, no.failure);
            }
        }
    }

    /// Leaves a chat alone for so long.
    pub(super) fn rest(&mut self, now: Now, chat: &str, ms: u64) {
        self.rests.retain(|_, until| *until > now.time);
        if self.rests.len() < limits::TELEGRAM_RESTS {
            self.rests.insert(chat.to_owned(), now.time.after_ms(ms));
        }
    }

    pub(super) fn act(&mut self, now: Now, id: u64, act: &Act, out: &mut ChannelOut) {
        let (call, group) = match api::act(act) {
            Ok(found) => found,
            Err(failure) => return out.acted(id, Err(failure)),
        };
        let off = |key: &str| self.account.flag(&format!("actions.{key}")) == Some(false);
        // What changes people's standing is off unless it is switched on.
        let unset = group == "moderation" && self.account.flag("actions.moderation") != Some(true);
        if unset || off(group) || group == "poll" && off("sendMessage") {
            let path = format!("{}.actions.{group}", self.account.path);
            let what = format!("{path} is off: openclaw config set {path} true");
            return out.acted(id, Err(Failure::permanent(what)));
        }
        if self.me.is_none() || self.resting {
            return out.acted(id, Err(Failure::later("not connected to Telegram")));
        }
        let chat = call.params.get("chat_id").map(Value::to_string).unwrap_or_default();
        let chat = chat.trim_matches('"').to_owned();
        if let Some(until) = self.rests.get(&chat).filter(|until| **until > now.time) {
            let left = until.ms_since(now.time).max(1);
            return out.acted(id, Err(Failure::after(left, "Telegram asked for a pause")));
        }
        self.ask(&call, Job::Act(id, chat), out);
    }
}

/// What an act has to tell: the numbers of what it made.
pub(super) fn acted(done: &Value) -> Value {
    let of = |key: &str| done.get(key).cloned();
    match (of("message_id"), of("message_thread_id")) {
        (Some(message), _) => {
            let poll = done.get("poll").and_then(|poll| poll.get("id").cloned());
            json!({"ok": true, "messageId": message.to_string(), "pollId": poll})
        }
        (None, Some(topic)) => json!({"ok": true, "topicId": topic, "name": of("name")}),
        // What was asked about: a chat, a member.
        _ if of("id").is_some() || of("user").is_some() => json!({"ok": true, "result": done}),
        _ => json!({"ok": true}),
    }
}

/// Changes the call in front so that Telegram may take it: without markup that it does not
/// understand, without a topic that is gone. False when there is nothing to change.
pub(super) fn mended(sending: &mut Sending, why: &str) -> bool {
    let plain = sending.plain.clone();
    let Some(call) = sending.calls.front_mut() else { return false };
    if why.contains("can't parse entities") && call.params.remove("parse_mode").is_some() {
        for key in ["text", "caption"] {
            if let Some(text) = call.params.get_mut(key) {
                *text = json!(plain);
            }
        }
        return true;
    }
    let gone = why.contains("message thread not found");
    gone && call.params.remove("message_thread_id").is_some()
}
