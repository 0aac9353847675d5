//! Whether a message is for the bot, whose it is, and what its sender may: the account's and the
//! agents' settings put to [`crate::channels::access`], which judges.

use super::super::Gateway;
use super::inbound::{Entry, Overheard, conversation};
use super::{Live, LiveId};
use crate::agent::tools::policy;
use crate::agent::tools::regex::Regex;
use crate::channels::access::{Rules, Verdict};
use crate::channels::bounds::{Bounds, scopes};
use crate::channels::context::{self, Visibility};
use crate::channels::{ChatKind, Inbound, Sender, pairs, routing};
use crate::limits;
use serde_json::Value;

/// What a message is and what its sender may.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rights {
    /// Commands are obeyed.
    pub(super) commands: bool,
    /// Who wrote it owns this gateway.
    pub(super) owner: bool,
    /// The bot was meant.
    pub(super) meant: bool,
}

impl Gateway {
    /// What becomes of a message.
    pub(super) fn judge_message(&mut self, id: LiveId, message: &Inbound) -> Verdict {
        let Some(live) = self.channels.live.get(&id) else { return Verdict::Drop("no account") };
        let verdict = self.with_rules(live, message, |rules| rules.judge(message));
        if !message.sender.is_bot || !matches!(verdict, Verdict::Pass) {
            return verdict;
        }
        let scopes = scopes(live.kind, &live.account, &message.chat);
        let budget = pairs::budget(&self.config, &live.account, &scopes);
        let place = conversation(live.kind.id, &live.account.id, message);
        let pair = format!("{place}\u{1f}{}", message.sender.ids.join(" "));
        if self.channels.inbox.pairs.passes(&pair, budget, self.now.wall_ms) {
            return verdict;
        }
        Verdict::Drop("two bots answer each other (botLoopProtection)")
    }

    pub(super) fn with_rules<T>(
        &self,
        live: &Live,
        message: &Inbound,
        ask: impl FnOnce(&Rules<'_>) -> T,
    ) -> T {
        let names = (live.kind.id, live.account.id.as_str());
        let mut agents = vec![self.route_of(names.0, names.1, message).agent];
        // Whoever is named of a group with several agents may be meant by it.
        let all = routing::broadcast(&self.config, names, message, |_| false);
        agents.extend(all.into_iter().map(|route| route.agent));
        let counts = context::patterns_count(&live.account, &message.chat);
        let meant = |text: &str| counts && agents.iter().any(|agent| self.is_meant(agent, text));
        ask(&Rules {
            kind: live.kind,
            account: &live.account,
            config: &self.config,
            paired: self.channels.pairing.allowed(live.kind.id, &live.account.id),
            meant: &meant,
        })
    }

    /// A follow-up in a thread of Slack that the bot has answered in is meant for it.
    pub(super) fn takes_part(&self, id: LiveId, message: &Inbound) -> bool {
        let Some(live) = self.channels.live.get(&id) else { return false };
        let in_thread = message.chat.thread.is_some() && message.reply_to.is_some();
        if live.kind.id != "slack"
            || !in_thread
            || !context::implicit(&self.config, &live.account, "threadParticipation")
        {
            return false;
        }
        let key = self.route_of(live.kind.id, &live.account.id, message).key;
        self.sessions.get(&key).is_some_and(|entry| entry.last_run_id.is_some())
    }

    /// Whether anything that is said could be meant for one of those who listen there.
    pub(super) fn can_be_meant(&self, live: &Live, message: &Inbound) -> bool {
        let names = (live.kind.id, live.account.id.as_str());
        let mut agents = vec![self.route_of(names.0, names.1, message).agent];
        let all = routing::broadcast(&self.config, names, message, |_| false);
        agents.extend(all.into_iter().map(|route| route.agent));
        let named = |agent: &String| {
            let own = self.config.agents.agent(agent);
            let patterns = own.and_then(|agent| agent.group_chat.mention_patterns.as_ref());
            match patterns.or(self.config.messages.group_chat.mention_patterns.as_ref()) {
                Some(patterns) => !patterns.is_empty(),
                None => own.is_some_and(|own| {
                    let identity = &own.identity;
                    identity.emoji.is_some() || identity.name.is_some() || own.name.is_some()
                }),
            }
        };
        live.account.get("mentionPatterns") != Some(&Value::Bool(false))
            && context::patterns_count(&live.account, &message.chat)
            && agents.iter().any(named)
    }

    /// Whether a text matches a mention pattern of an agent: its own, everybody's, else its name
    /// and emoji.
    pub(super) fn is_meant(&self, agent: &str, text: &str) -> bool {
        let own = self.config.agents.agent(agent);
        let patterns = own.and_then(|agent| agent.group_chat.mention_patterns.as_ref());
        let patterns = patterns.or(self.config.messages.group_chat.mention_patterns.as_ref());
        if let Some(patterns) = patterns {
            let matches = |pattern: &String| {
                Regex::new(pattern, true).is_ok_and(|regex| regex.is_match(text))
            };
            return patterns.iter().any(matches);
        }
        let Some(own) = own else { return false };
        let emoji = own.identity.emoji.as_deref().map(str::trim).filter(|it| !it.is_empty());
        if emoji.is_some_and(|emoji| text.contains(emoji)) {
            return true;
        }
        let name = own.identity.name.as_deref().or(own.name.as_deref());
        name.is_some_and(|name| names(text, name.trim()))
    }

    /// Whose a message is.
    pub(super) fn route_of(
        &self,
        channel: &str,
        account: &str,
        message: &Inbound,
    ) -> routing::Route {
        let section = self.config.chat.channels.get(channel).unwrap_or(&Value::Null);
        let live = self.channels.find(channel, account).and_then(|id| self.channels.get(id));
        let accounts = crate::channels::find(channel)
            .map(|kind| crate::channels::account::accounts(kind, section, self.config.env.all()))
            .unwrap_or_default();
        let default = crate::channels::account::default_id(section, &accounts);
        let default = default.unwrap_or_else(|| account.to_owned());
        let topic = live.and_then(|live| (live.kind.group)(&live.account, &message.chat).agent);
        routing::route(&self.config, channel, account, &default, message, topic.as_deref())
    }

    /// Keeps what was said to others, for the next message that is for the bot.
    pub(super) fn overhear(&mut self, id: LiveId, message: &Inbound) {
        let Some(live) = self.channels.live.get(&id) else { return };
        let agent = self.route_of(live.kind.id, &live.account.id, message).agent;
        let said = context::history_limit(&self.config, &live.account, &agent);
        let most = said.map_or(limits::CHANNEL_HISTORY, |n| usize::try_from(n).unwrap_or(0));
        let most = most.min(limits::CHANNEL_HISTORY);
        let key = self.history_place(live.kind.id, &live.account.id, message);
        let all = &mut self.channels.inbox.overheard;
        if all.len() >= limits::CHANNEL_HISTORIES && !all.contains_key(&key) {
            all.pop_first();
        }
        let list = all.entry(key).or_default();
        let text: String = message.text.chars().take(limits::CHANNEL_HISTORY_CHARS).collect();
        let (id, sender) = (message.id.clone(), message.sender.clone());
        list.push_back(Overheard { id, sender, text });
        while list.len() > most {
            list.pop_front();
        }
    }

    /// Where the talk of a conversation is kept; a thread's with `thread.historyScope: "channel"`
    /// is its channel's.
    fn history_place(&self, channel: &str, account: &str, message: &Inbound) -> String {
        let live = self.channels.find(channel, account).and_then(|id| self.channels.get(id));
        let scope = live.and_then(|live| live.account.text("thread.historyScope"));
        if scope != Some("channel") {
            return conversation(channel, account, message);
        }
        let mut whole = message.clone();
        whole.chat.thread = None;
        conversation(channel, account, &whole)
    }

    /// What was said to others since, as the model reads it; empty when nothing was.
    pub(super) fn heard(&self, entry: &Entry, message: &Inbound) -> String {
        let place = self.history_place(&entry.channel, &entry.account, message);
        let id = self.channels.find(&entry.channel, &entry.account);
        let live = id.and_then(|id| self.channels.get(id));
        let (Some(all), Some(live)) = (self.channels.inbox.overheard.get(&place), live) else {
            return String::new();
        };
        let every = context::visibility(&self.config, &live.account) == Visibility::All;
        // The rules are made once, not for everything that was said.
        let out: String = self.with_rules(live, message, |rules| {
            let shown = |said: &&Overheard| every || rules.is_heard(&message.chat, &said.sender);
            let line = |said: &Overheard| {
                // On Slack a person is known by id alone.
                let who = said.sender.name.as_ref().or(said.sender.ids.first());
                format!("{}: {}\n", who.map_or("", String::as_str), said.text)
            };
            all.iter().filter(shown).map(line).collect()
        });
        if out.is_empty() {
            return out;
        }
        format!(
            "[Chat messages since your last reply - for context]\n{out}\n\
             [Current message - respond to this]\n"
        )
    }

    /// It was told.
    pub(super) fn forget_heard(&mut self, entry: &Entry, message: &Inbound) {
        let place = self.history_place(&entry.channel, &entry.account, message);
        self.channels.inbox.overheard.remove(&place);
    }

    /// Whether what a message answers is told with it: `contextVisibility`.
    pub(super) fn quotes(&self, entry: &Entry, message: &Inbound) -> bool {
        let Some(quote) = &message.reply_to else { return false };
        let id = self.channels.find(&entry.channel, &entry.account);
        let Some(live) = id.and_then(|id| self.channels.get(id)) else { return false };
        let sender = Sender { ids: quote.from.clone(), ..Sender::default() };
        quote.of_us
            || context::visibility(&self.config, &live.account) != Visibility::Allowlist
            || self.with_rules(live, message, |rules| rules.is_heard(&message.chat, &sender))
    }

    /// What the sender of a message may, and whether the bot was meant by it.
    pub(super) fn rights(&self, entry: &Entry, message: &Inbound) -> Rights {
        let id = self.channels.find(&entry.channel, &entry.account);
        let Some(live) = id.and_then(|id| self.channels.get(id)) else { return Rights::default() };
        self.with_rules(live, message, |rules| Rights {
            commands: rules.may_command(message),
            owner: rules.is_owner(&message.sender),
            meant: message.command || rules.was_meant(message),
        })
    }

    /// Whether a message that nobody addressed to the bot is told quietly: nothing of the run is
    /// seen there but what its `message` tool sends.
    pub(super) fn is_room_event(
        &self,
        channel: &str,
        agent: &str,
        message: &Inbound,
        rights: Rights,
    ) -> bool {
        let own = self.config.agents.agent(agent).and_then(|agent| agent.group_chat.room_events);
        let on = own.or(self.config.messages.group_chat.room_events) == Some(true);
        let has = matches!(channel, "discord" | "slack" | "telegram");
        on && has && message.chat.kind != ChatKind::Direct && !rights.meant
    }

    /// Whether only the `message` tool speaks there (`visibleReplies`); a run without the tool
    /// speaks itself.
    pub(super) fn speaks_by_tool(&self, kind: ChatKind, agent: &str, bounds: &Bounds) -> bool {
        let messages = &self.config.messages;
        let group = messages.group_chat.by_tool.filter(|_| kind != ChatKind::Direct);
        if group.or(messages.by_tool) != Some(true) {
            return false;
        }
        let tools = policy::effective(&self.config, agent, None);
        tools.iter().any(|it| it.name == "message" && policy::within(&bounds.tools, it))
    }

    /// Whether what is said in a session may leave by this channel: the session's own
    /// `sendPolicy`, else the configuration's.
    pub(in crate::gateway) fn may_send(&self, channel: &str, kind: ChatKind, key: &str) -> bool {
        let own = self.sessions.get(key).and_then(|entry| entry.extra.get("sendPolicy"));
        match own.and_then(Value::as_str) {
            Some("deny") => false,
            Some("allow") => true,
            _ => context::may_send(&self.config.session.send_policy, channel, kind, key),
        }
    }
}

/// Whether a text holds a name as a word of its own.
fn names(text: &str, name: &str) -> bool {
    if name.chars().count() < 2 {
        return false;
    }
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    text.match_indices(&name).any(|(at, _)| {
        let before = text.get(..at).and_then(|front| front.chars().next_back());
        let after = text.get(at + name.len()..).and_then(|rest| rest.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}
