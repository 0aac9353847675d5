//! Pieces, answers to commands and acts on their way to Discord.

use serde_json::{Value, json};

use super::rest::{Call, Refused};
use super::{Discord, Job, USER, events, rest};
use crate::channels::{Act, ChannelOut, Failure, Outgoing};
use crate::driver::Now;
use crate::limits;

impl Discord {
    pub(super) fn send(&mut self, now: Now, message: &Outgoing, out: &mut ChannelOut) {
        if self.me.is_none() || self.resting {
            return out.send_failed(&message.id, Failure::later("not connected to Discord"));
        }
        let Some(person) = message.to.chat.strip_prefix(USER) else {
            return self.post(now, message, out);
        };
        if let Some(channel) = self.direct.get(&message.to.chat).cloned() {
            let mut message = message.clone();
            message.to.chat = channel;
            return self.post(now, &message, out);
        }
        let call = Call::new("POST", "/users/@me/channels", json!({"recipient_id": person}));
        if self.rests(now, &call, &message.id, out) {
            return;
        }
        self.ask(&call, Job::Open(Box::new(message.clone())), out);
    }

    /// The first answer of this interaction fills in what was deferred.
    pub(super) fn awaits(&mut self, token: String) {
        self.awaited.push_back(token);
        if self.awaited.len() > limits::DISCORD_AWAITED {
            self.awaited.pop_front();
        }
    }

    /// A piece was not taken. A token that is worth nothing refuses the account, and what waits
    /// for another one is not lost.
    pub(super) fn unsent(&mut self, id: &str, no: Refused, out: &mut ChannelOut) {
        if no.status == 401 {
            out.send_failed(id, Failure::later(&*no.failure.what));
            return self.refuse(no.failure.what, out);
        }
        out.send_failed(id, no.failure);
    }

    /// Fails a send whose route rests.
    pub(super) fn rests(&self, now: Now, call: &Call, id: &str, out: &mut ChannelOut) -> bool {
        let left = self.rests.left(now.time, &call.route);
        if let Some(ms) = left {
            out.send_failed(id, Failure::after(ms, "Discord asked for a pause"));
        }
        left.is_some()
    }

    pub(super) fn post(&mut self, now: Now, message: &Outgoing, out: &mut ChannelOut) {
        let token =
            message.to.thread.as_deref().and_then(|it| it.strip_prefix(events::INTERACTION));
        let Some((token, application)) = token.zip(self.application.clone()) else {
            let call = rest::post(&message.to.chat, message);
            if !self.rests(now, &call, &message.id, out) {
                self.ask(&call, Job::Post(message.id.clone()), out);
            }
            return;
        };
        // The first answer takes the place of the one that was deferred; others follow it.
        let first = self.awaited.iter().position(|it| it == token);
        let path = format!("/webhooks/{application}/{token}");
        let mut call = match first {
            Some(_) => Call::new("PATCH", format!("{path}/messages/@original"), Value::Null),
            None => Call::new("POST", path, Value::Null),
        };
        call.route = format!("{} /webhooks/{application}", call.method);
        call.body = rest::content(message);
        call.files = rest::files(message);
        if self.rests(now, &call, &message.id, out) {
            return;
        }
        let first = first.and_then(|at| self.awaited.remove(at));
        self.ask(&call, Job::Reply(Box::new(message.clone()), first), out);
    }

    pub(super) fn act(&mut self, now: Now, id: u64, act: &Act, out: &mut ChannelOut) {
        let (call, group) = match rest::act(act) {
            Ok(found) => found,
            Err(failure) => return out.acted(id, Err(failure)),
        };
        // What changes people's standing is off unless it is switched on, as in the reference.
        let given = !matches!(group, "moderation" | "roles" | "channels");
        if !self.account.flag(&format!("actions.{group}")).unwrap_or(given) {
            let path = format!("{}.actions.{group}", self.account.path);
            let what = format!("{path} is off: openclaw config set {path} true");
            return out.acted(id, Err(Failure::permanent(what)));
        }
        if self.me.is_none() || self.resting {
            return out.acted(id, Err(Failure::later("not connected to Discord")));
        }
        if let Some(ms) = self.rests.left(now.time, &call.route) {
            return out.acted(id, Err(Failure::after(ms, "Discord asked for a pause")));
        }
        self.ask(&call, Job::Act(id), out);
    }
}
