//! What happens in a conversation without anybody saying something: reactions, edits, people who
//! come and go. It is told to the session as a system event, which the next run reads; none of it
//! starts a run.
//!
//! Who may not speak somewhere is not heard there this way either. An edit of what was not told
//! yet changes that, and is no event of its own but on Slack.

use super::super::Gateway;
use super::LiveId;
use super::inbound::conversation;
use crate::channels::access::Verdict;
use crate::channels::account::texts;
use crate::channels::bounds::scopes;
use crate::channels::{Happening, Inbound};
use crate::limits;

impl Gateway {
    /// Takes what happened; true when it was told to a session.
    pub(super) fn take_happening(&mut self, id: LiveId, message: &Inbound) -> bool {
        let Some(what) = &message.event else { return false };
        if let Happening::Edited { on, text } = what {
            self.edit_heard(id, message, on, text);
        }
        if message.text.is_empty() || !self.wants(id, message, what) {
            return false;
        }
        // Whether the bot was meant is no question here.
        let judged = Inbound { mentioned: true, ..message.clone() };
        if self.judge_message(id, &judged) != Verdict::Pass {
            return false;
        }
        let Some(live) = self.channels.live.get(&id) else { return false };
        let key = self.route_of(live.kind.id, &live.account.id, message).key;
        self.events.put(&key, &message.text, self.now.wall_ms).is_some()
    }

    /// Whether such events are wanted: `reactionNotifications` of the guild or account.
    fn wants(&self, id: LiveId, message: &Inbound, what: &Happening) -> bool {
        let Happening::Reaction { of_us } = what else { return true };
        let Some(live) = self.channels.live.get(&id) else { return false };
        let scopes = scopes(live.kind, &live.account, &message.chat);
        let own = scopes.iter().find_map(|scope| scope.get("reactionNotifications")?.as_str());
        match own.or_else(|| live.account.text("reactionNotifications")).unwrap_or("own") {
            "all" => true,
            "own" => *of_us,
            "allowlist" => {
                let listed = live.account.texts("reactionAllowlist");
                let users = || scopes.iter().find_map(|scope| texts(scope.get("users")?));
                let list: Vec<String> = listed.or_else(users).unwrap_or_default();
                self.with_rules(live, message, |rules| rules.matches(&list, &message.sender))
            }
            _ => false,
        }
    }

    /// What was overheard and not told yet is told as it is now.
    fn edit_heard(&mut self, id: LiveId, message: &Inbound, on: &str, text: &str) {
        let Some(live) = self.channels.live.get(&id) else { return };
        let place = conversation(live.kind.id, &live.account.id, message);
        let Some(list) = self.channels.inbox.overheard.get_mut(&place) else { return };
        for said in list.iter_mut().filter(|said| said.id == on) {
            said.text = text.chars().take(limits::CHANNEL_HISTORY_CHARS).collect();
        }
    }
}
