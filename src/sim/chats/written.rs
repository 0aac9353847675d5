//! Worlds in which answers appear while they are written: a slow model repeats a text of numbered
//! words, and the chats are read as people see them at the end, with edits and deletions.
//!
//! No word is lost or stands there twice; what was cut short has one notice, and no part of it
//! is left where a preview was to go. Where a receipt got lost a platform without nonces may show
//! a message too many.

use super::ledger::{NONCE_MS, POSTS, TRAVEL_MS};
use super::{Broken, Which, World};
use crate::driver::Time;
use crate::sim::check::Invariant;
use crate::sim::rng::Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Methods that change and that delete a message.
const EDITS: [&str; 3] = ["editMessageText", "edit", "chat.update"];
const DELETES: [&str; 3] = ["deleteMessage", "delete", "chat.delete"];

/// How answers appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// In one message that grows.
    Partial,
    /// In messages that grow by steps.
    Steps,
    /// In messages of their own.
    Blocks,
    /// Under a status.
    Progress,
}

impl Style {
    /// Of a world.
    pub fn of(seed: u64) -> Self {
        match seed % 4 {
            0 => Self::Partial,
            1 => Self::Steps,
            2 => Self::Blocks,
            _ => Self::Progress,
        }
    }

    /// `streaming` of the account.
    pub fn keys(self) -> Value {
        let chunk = json!({"minChars": 30, "maxChars": 90});
        match self {
            Self::Partial => json!({"mode": "partial"}),
            Self::Steps => json!({"mode": "block", "preview": {"chunk": chunk}}),
            Self::Blocks => json!({
                "block": {"enabled": true, "coalesce": {"minChars": 1, "idleMs": 300}},
            }),
            Self::Progress => json!({"mode": "progress", "progress": {"toolProgress": true}}),
        }
    }
}

/// A text of some words that no other text has.
pub fn text(word: &str, rng: &mut Rng) -> String {
    let count = rng.range(3, 24);
    let mut out = String::new();
    for n in 0..count {
        out.push_str(&token(word, n as usize));
        out.push_str(rng.pick(&[" ", " and ", ". ", "\n\n", "\n"]));
    }
    out.push_str("end");
    out
}

pub(super) fn token(word: &str, n: usize) -> String {
    format!("{word}q{n};")
}

/// A message as it stands there at the end.
struct Seen {
    to: String,
    id: String,
    text: String,
    at: Time,
    /// Whether its receipt may have got lost.
    lost: bool,
}

impl World {
    fn seen(&self) -> Vec<Seen> {
        let mut fake = self.fake.borrow_mut();
        let desk = fake.desk();
        let mut seen: Vec<Seen> = Vec::new();
        for (at, post) in desk.posted.iter().enumerate() {
            let place = |it: &Seen| it.to == post.to && it.id == post.id;
            if POSTS.contains(&&*post.method) {
                let near = |broken: &Time| {
                    broken.ms_since(post.at).max(post.at.ms_since(*broken)) <= TRAVEL_MS
                };
                let lost = desk.doubtful.contains(&at) || self.net.breaks.iter().any(near);
                seen.push(Seen {
                    to: post.to.clone(),
                    id: post.id.clone(),
                    text: post.text.clone(),
                    at: post.at,
                    lost,
                });
            } else if EDITS.contains(&&*post.method) {
                if let Some(it) = seen.iter_mut().find(|it| place(it)) {
                    it.text.clone_from(&post.text);
                }
            } else if DELETES.contains(&&*post.method) {
                seen.retain(|it| !place(it));
            }
        }
        seen
    }

    /// Messages that are owed an answer or a notice and have neither, by chat.
    pub(super) fn owed(&self) -> Option<String> {
        let seen = self.seen();
        let short = self.short(&seen);
        let owed = short.iter().find(|(to, words)| words.len() > notices(&seen, to));
        owed.map(|(to, words)| format!("{words:?} of {to}"))
    }

    /// Words whose answers are not whole, by chat.
    fn short(&self, seen: &[Seen]) -> BTreeMap<String, Vec<String>> {
        let mut short: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let forgotten = self.fake.borrow_mut().desk().forgotten.clone();
        for (_, said) in &self.notes.borrow().said {
            let whole = said
                .tokens()
                .iter()
                .all(|token| seen.iter().any(|it| it.text.contains(token.as_str())));
            let given_up = forgotten.iter().any(|text| text.contains(&said.word));
            let known = self.checks.disk.holds(said.word.as_bytes());
            if !whole && (!given_up || known) {
                short.entry(said.to.clone()).or_default().push(said.word.clone());
            }
        }
        short
    }

    /// What people see at the end.
    ///
    /// # Errors
    /// What should not be so.
    pub(super) fn settle_written(&self) -> Result<(), Broken> {
        let seen = self.seen();
        if let Some(owed) = self.owed() {
            return Err((Invariant::Durable, format!("never answered: {owed}")));
        }
        let short = self.short(&seen);
        let notes = self.notes.borrow();
        for it in &seen {
            let ours = notes.said.iter().any(|(_, said)| it.text.contains(&said.word));
            // What is said before a tool works is a block like others.
            let block = self.style == Some(Style::Blocks) && it.text == BEFORE;
            let ours = ours || block || !is_status(&it.text);
            if !ours && !is_notice(&it.text) && !self.excused(it) {
                return Err((Invariant::OneEnd, format!("left over in {}: {}", it.to, it.text)));
            }
        }
        for (_, said) in &notes.said {
            for token in said.tokens() {
                let of: Vec<&Seen> =
                    seen.iter().filter(|it| it.text.contains(token.as_str())).collect();
                if let Some(it) = of.iter().find(|it| it.to != said.to) {
                    let what = format!("{token} of {} is answered in {}", said.to, it.to);
                    return Err((Invariant::OwnReplies, what));
                }
                let twice = of.iter().map(|it| it.text.matches(token.as_str()).count());
                let excused = of.iter().any(|it| self.excused(it));
                if twice.sum::<usize>() > 1 && !excused {
                    let texts: Vec<&str> = of.iter().map(|it| it.text.as_str()).collect();
                    return Err((Invariant::OneEnd, format!("{token} twice: {texts:?}")));
                }
                let cut = short.get(&said.to).is_some_and(|all| all.contains(&said.word));
                let stays = self.style == Some(Style::Blocks);
                // A failure of the run itself says what there was of it.
                let alone = of.iter().find(|it| !is_notice(&it.text) && !self.excused(it));
                if let (true, false, Some(it)) = (cut, stays, alone) {
                    let what = format!("half of {} is left: {}", said.word, it.text);
                    return Err((Invariant::OneEnd, what));
                }
            }
        }
        for to in seen.iter().map(|it| &it.to) {
            let owed = match self.style {
                // Every block may be there, and a crash still come before the run knew its end.
                Some(Style::Blocks) => notes.said.iter().filter(|(_, it)| it.to == *to).count(),
                _ => short.get(to).map_or(0, Vec::len),
            };
            let doubt = seen.iter().any(|it| it.to == *to && it.lost);
            if notices(&seen, to) > owed && !doubt {
                let all = seen.iter().filter(|it| it.to == *to && is_notice(&it.text));
                let all: Vec<String> =
                    all.map(|it| format!("{} at {:?}", it.text, it.at)).collect();
                let what = format!("more notices in {to} than {owed}: {all:#?}");
                return Err((Invariant::OneEnd, what));
            }
        }
        Ok(())
    }

    /// Whether a message may be there once more, or still.
    fn excused(&self, it: &Seen) -> bool {
        match self.which {
            Which::Telegram | Which::TelegramHook => it.lost,
            Which::Discord => it.lost && self.net.now.ms_since(it.at) >= NONCE_MS,
            Which::Slack | Which::SlackHttp | Which::Irc => false,
        }
    }
}

/// What the model says before it calls a tool.
const BEFORE: &str = "I look.";

/// Whether a text is of a run that works still. A piece of an answer may hold no word of it: the
/// words of a quote, the end.
fn is_status(text: &str) -> bool {
    let signs = ["Working", BEFORE, "🛠", "🔎", "✍", "📖", "🧩"];
    text.trim().is_empty() || signs.iter().any(|sign| text.contains(sign))
}

fn is_notice(text: &str) -> bool {
    text.contains("please ask again") || text.contains('⚠')
}

fn notices(seen: &[Seen], to: &str) -> usize {
    seen.iter().filter(|it| it.to == to && is_notice(&it.text)).count()
}

/// The words of an answer, from what was said.
pub fn tokens(word: &str, text: &str) -> Vec<String> {
    let all = (0..).map(|n| token(word, n));
    all.take_while(|token| text.contains(token.as_str())).collect()
}
