//! What was said against what was posted.

use super::{Broken, Which, World};
use crate::driver::Time;
use crate::sim::check::Invariant;
use crate::sim::peers::fake::Posted;
use std::collections::BTreeMap;

/// A request, and its answer, are on their way for less than this.
const TRAVEL_MS: u64 = 200;
/// Discord remembers a nonce so long.
const NONCE_MS: u64 = 120_000;

/// Methods that post a message.
const POSTS: [&str; 3] = ["sendMessage", "create", "chat.postMessage"];

/// A look at a world.
pub struct Ledger<'a> {
    world: &'a World,
    /// Posts by the word they repeat, and whether their receipt may have got lost.
    posts: BTreeMap<String, Vec<(Posted, bool)>>,
    /// Posts that repeat nobody's word.
    strange: Vec<Posted>,
}

impl World {
    /// What was said and posted until now.
    pub(super) fn ledger(&self) -> Ledger<'_> {
        let mut posts: BTreeMap<String, Vec<(Posted, bool)>> = BTreeMap::new();
        let mut strange = Vec::new();
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
                None => strange.push(post.clone()),
            }
        }
        Ledger { world: self, posts, strange }
    }
}

impl Ledger<'_> {
    /// A message that is owed an answer and has none.
    pub fn unanswered(&self) -> Option<String> {
        let notes = self.world.notes.borrow();
        let mut fake = self.world.fake.borrow_mut();
        let forgotten = &fake.desk().forgotten;
        let owed = notes.said.iter().find(|(_, said)| {
            let given_up = forgotten.iter().any(|text| text.contains(&said.word));
            !self.posts.contains_key(&said.word)
                && (!given_up || self.world.checks.disk.holds(said.word.as_bytes()))
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
        for (_, said) in &self.world.notes.borrow().said {
            let posts = self.posts.get(&said.word).map(Vec::as_slice).unwrap_or_default();
            if let Some((post, _)) = posts.iter().find(|(post, _)| post.to != said.to) {
                let what = format!("{} of {} is answered in {}", said.word, said.to, post.to);
                return Err((Invariant::OwnReplies, what));
            }
            for pair in posts.windows(2) {
                let [(first, lost), (second, _)] = pair else { continue };
                let excused = match self.world.which {
                    Which::Telegram => *lost,
                    Which::Discord => *lost && second.at.ms_since(first.at) >= NONCE_MS,
                    Which::Slack => false,
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
