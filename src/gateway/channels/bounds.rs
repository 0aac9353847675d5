//! What runs are held to by the conversation that they answer.
//!
//! A message of a channel brings its own bounds: the group's and its sender's. A run that such a
//! run starts (a spawned task, a message to another session) has them too, and a spawned session
//! keeps them. Whatever else runs in a group's session (a heartbeat, a hook, the operator's page)
//! answers what the group wrote before, so the group's tools are all it has; nobody wrote it, so
//! of `toolsBySender` only `*` counts.

use super::super::Gateway;
use crate::channels::bounds::{self, Bounds, From};
use crate::channels::{Account, Chat, ChatKind, Inbound};
use crate::sessions::key;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Where the bounds of a spawned session are kept in its entry.
const BOUNDS: &str = "toolBounds";
/// Where a session's last conversation is kept in its entry.
const PLACE: &str = "channelPlace";

/// A conversation, for [`PLACE`].
#[derive(Serialize, Deserialize)]
struct Place {
    channel: String,
    account: String,
    chat: Chat,
}

impl Gateway {
    /// The bounds of a run that brings none of its own.
    pub(in crate::gateway) fn bounds_of(&self, session: &str, agent: &str) -> Bounds {
        let entry = self.sessions.get(session);
        let kept = |name: &str| entry.and_then(|entry| entry.extra.get(name));
        if let Some(kept) = kept(BOUNDS).filter(|_| key::is_subagent(session)) {
            return Bounds::from_value(kept);
        }
        let place = kept(PLACE).and_then(|value| Place::deserialize(value).ok());
        // A group that shares the main session bounds its own messages, not the owner's.
        let own = |place: &Place| {
            let main = key::main(agent, &self.config.session.main_key);
            session != main && !place.chat.id.is_empty()
        };
        let Some(place) = place.filter(own) else {
            return bounds::of(&self.config, agent, None, None);
        };
        let Some((kind, account)) = self.account_named(&place.channel, &place.account) else {
            return bounds::of(&self.config, agent, None, None);
        };
        let from = From { kind, account: &account, chat: &place.chat };
        bounds::of(&self.config, agent, Some(from), None)
    }

    /// The bounds of a message's run.
    pub(super) fn bounds_of_message(
        &self,
        (channel, account): (&str, &str),
        agent: &str,
        message: &Inbound,
    ) -> Bounds {
        let Some((kind, account)) = self.account_named(channel, account) else {
            return bounds::of(&self.config, agent, None, None);
        };
        let from = From { kind, account: &account, chat: &message.chat };
        bounds::of(&self.config, agent, Some(from), Some(&message.sender))
    }

    /// An account, running or not.
    fn account_named(
        &self,
        channel: &str,
        account: &str,
    ) -> Option<(&'static crate::channels::Kind, Account)> {
        let kind = crate::channels::find(channel)?;
        let live = self.channels.find(channel, account).and_then(|id| self.channels.get(id));
        if let Some(live) = live {
            return Some((kind, live.account.clone()));
        }
        let section = self.config.chat.channels.get(channel)?;
        let all = crate::channels::account::accounts(kind, section, self.config.env.all());
        all.into_iter().find(|it| it.id == account).map(|it| (kind, it))
    }

    /// A session remembers its conversation.
    pub(super) fn keep_place(&mut self, session: &str, names: (&str, &str), message: &Inbound) {
        let chat = &message.chat;
        let place = json!({"channel": names.0, "account": names.1, "chat": chat});
        if let Some(entry) = self.sessions.get_mut(session) {
            entry.set(PLACE, place);
        }
    }

    /// A spawned session keeps what its spawner was held to.
    pub(in crate::gateway) fn keep_bounds(&mut self, session: &str, bounds: &Bounds) {
        if let Some(entry) = self.sessions.get_mut(session) {
            entry.set(BOUNDS, bounds.to_value());
        }
    }

    /// What a run is held to that another one wants in a session: what both are.
    pub(in crate::gateway) fn bounds_by(
        &self,
        caller: Option<&Bounds>,
        session: &str,
        agent: &str,
    ) -> Bounds {
        let mut bounds = self.bounds_of(session, agent);
        let Some(caller) = caller else { return bounds };
        bounds.tools.extend(caller.tools.iter().cloned());
        bounds.skills = match (bounds.skills, &caller.skills) {
            (Some(own), Some(theirs)) => {
                Some(own.into_iter().filter(|name| theirs.contains(name)).collect())
            }
            (own, theirs) => own.or_else(|| theirs.clone()),
        };
        bounds
    }

    /// Texts that the configuration has for the model about a conversation.
    pub(super) fn prompts_of(&self, names: (&str, &str), message: &Inbound) -> Vec<String> {
        let Some((kind, account)) = self.account_named(names.0, names.1) else { return Vec::new() };
        let all = match message.chat.kind {
            ChatKind::Direct => bounds::direct(&account, &message.chat)
                .and_then(|entry| entry.get("systemPrompt").and_then(Value::as_str))
                .map(str::to_owned)
                .into_iter()
                .collect(),
            ChatKind::Group | ChatKind::Channel => (kind.group)(&account, &message.chat).prompts,
        };
        all.into_iter().filter(|text| !text.trim().is_empty()).collect()
    }
}
