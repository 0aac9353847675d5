//! What was said against what was posted.

use super::{Broken, Which, World};
use crate::driver::Time;
use crate::limits;
use crate::sim::check::Invariant;
use crate::sim::peers::fake::Posted;
use std::collections::BTreeMap;

/// A request, and its answer, are on their way for less than this.
pub(super) const TRAVEL_MS: u64 = 200;
/// Discord remembers a nonce so long.
pub(super) const NONCE_MS: u64 = 120_000;

/// A power cut takes at most what was written so shortly before it.
const YOUNG_MS: u64 = 2 * limits::SAVE_MS;
/// An edit of the file is heard of within this.
const HEARD_MS: u64 = 10_000;
/// Somebody's words reach the gateway within this, if they ever do.
const COMES_MS: u64 = 300_000;

/// Methods that post a message.
pub(super) const POSTS: [&str; 6] = [
    "sendMessage",
    "create",
    "chat.postMessage",
    "chat.postEphemeral",
    // Answers to a command of Discord's: the first, and those that follow.
    "interaction",
    "followup",
];

/// A look at a world.
pub struct Ledger<'a> {
    world: &'a World,
    /// Posts by the word they repeat, and whether their receipt may have got lost.
    posts: BTreeMap<String, Vec<(Posted, bool)>>,
    /// Posts that repeat nobody's word.
    strange: Vec<Posted>,
    /// Notices that a power cut took an answer, by chat.
    notices: BTreeMap<String, usize>,
}

/// How such a notice begins.
pub(super) const NOTICE: &str = "⚠️ the gateway stopped before this was answered";

impl World {
    /// What was said and posted until now.
    pub(super) fn ledger(&self) -> Ledger<'_> {
        let mut posts: BTreeMap<String, Vec<(Posted, bool)>> = BTreeMap::new();
        let mut strange = Vec::new();
        let mut notices: BTreeMap<String, usize> = BTreeMap::new();
        let mut fake = self.fake.borrow_mut();
        let desk = fake.desk();
        let notes = self.notes.borrow();
        for (at, post) in desk.posted.iter().enumerate() {
            if !POSTS.contains(&&*post.method) {
                continue;
            }
            // Broken just before: the request was on its way already.
            let on_its_way = |broken: &Time| {
                broken.ms_since(post.at).max(post.at.ms_since(*broken)) <= TRAVEL_MS
            };
            let lost = desk.doubtful.contains(&at) || self.net.breaks.iter().any(on_its_way);
            match notes.said.iter().find(|(_, said)| post.text.contains(&said.word)) {
                Some((_, said)) => {
                    posts.entry(said.word.clone()).or_default().push((post.clone(), lost));
                }
                None if !self.cuts.is_empty() && post.text.starts_with(NOTICE) => {
                    *notices.entry(post.to.clone()).or_default() += 1;
                }
                None => strange.push(post.clone()),
            }
        }
        Ledger { world: self, posts, strange, notices }
    }
}

impl World {
    /// The power failed shortly after this was done.
    pub(super) fn cut_after(&self, at: Time) -> bool {
        self.cuts.iter().any(|cut| at <= *cut && cut.ms_since(at) <= YOUNG_MS)
    }

    /// A power cut may have taken this message before it had lasted long enough.
    pub(super) fn taken(&self, word: &str) -> bool {
        self.kept.get(word).is_some_and(|at| self.cut_after(*at))
    }

    /// This was said, and answered, while nobody might write.
    pub(super) fn shut(&self, said: Time, answered: Time) -> bool {
        let inside = |(from, to): &(Time, Time)| said >= from.after_ms(HEARD_MS) && answered < *to;
        self.closed.iter().any(inside)
    }

    /// Nobody might write about then, or it was heard of late.
    pub(super) fn shut_around(&self, at: Time) -> bool {
        let late = |(from, to): &(Time, Time)| {
            at.after_ms(COMES_MS) >= *from && at.ms_since(*to) <= HEARD_MS
        };
        self.closed.iter().any(late)
    }
}

impl Ledger<'_> {
    /// A message that is owed an answer and has none.
    pub fn unanswered(&self) -> Option<String> {
        let notes = self.world.notes.borrow();
        let mut fake = self.world.fake.borrow_mut();
        let forgotten = &fake.desk().forgotten;
        let mut notices = self.notices.clone();
        let mut told = |said: &super::plan::Said| {
            let left = notices.get_mut(&said.to).filter(|left| **left > 0);
            left.map(|left| *left -= 1).is_some()
        };
        let owed = notes.said.iter().find(|(at, said)| {
            let given_up = forgotten.iter().any(|text| text.contains(&said.word));
            !self.posts.contains_key(&said.word)
                && !self.world.taken(&said.word)
                && !self.world.shut_around(*at)
                && (!given_up || self.world.checks.disk.holds(said.word.as_bytes()))
                && !told(said)
        });
        owed.map(|(at, said)| {
            format!("{} in {}, written at {:.3} s", said.word, said.to, at.0 as f64 / 1e6)
        })
    }

    /// Everything was answered, and once.
    ///
    /// # Errors
    /// What was not.
    pub fn settle(&self) -> Result<(), Broken> {
        if let Some(what) = self.unanswered() {
            return Err((Invariant::Durable, format!("{what}, was never answered")));
        }
        if let Some(post) = self.strange.first() {
            return Err((Invariant::OneEnd, format!("nobody asked for this: {}", post.text)));
        }
        for (at, said) in &self.world.notes.borrow().said {
            let posts = self.posts.get(&said.word).map(Vec::as_slice).unwrap_or_default();
            if let Some((post, _)) = posts.iter().find(|(post, _)| post.to != said.to) {
                let what = format!("{} of {} is answered in {}", said.word, said.to, post.to);
                return Err((Invariant::OwnReplies, what));
            }
            if let Some((post, _)) = posts.iter().find(|(post, _)| self.world.shut(*at, post.at)) {
                let what =
                    format!("{} is answered in {} while nobody may write", said.word, post.to);
                return Err((Invariant::OwnReplies, what));
            }
            for pair in posts.windows(2) {
                let [(first, lost), (second, _)] = pair else { continue };
                let excused = match self.world.which {
                    _ if self.world.cut_after(first.at) => true,
                    Which::Telegram | Which::TelegramHook | Which::Irc => *lost,
                    // What follows the answer to a command has no nonce.
                    Which::Discord if second.method == "followup" => *lost,
                    Which::Discord => *lost && second.at.ms_since(first.at) >= NONCE_MS,
                    // What only one person sees is in no history.
                    Which::Slack | Which::SlackHttp => *lost && first.method.ends_with("Ephemeral"),
                };
                if !excused {
                    let at = |time: Time| time.0 as f64 / 1e6;
                    let what = format!(
                        "{} is answered at {:.3} s (receipt lost: {lost}) and again at {:.3} s",
                        said.word,
                        at(first.at),
                        at(second.at)
                    );
                    return Err((Invariant::OneEnd, what));
                }
            }
        }
        Ok(())
    }
}
