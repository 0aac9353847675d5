//! Worlds of IRC, and their ledger.
//!
//! IRC has no history, no ids and no receipts, so what may be promised is less than elsewhere:
//!
//! - What was said while no connection of ours stood, or so shortly before one broke that it may
//!   not have been read, is lost by the protocol, and owed an answer only if the gateway had it on
//!   disk. Everything else is owed one.
//! - The receipt of a line is the `PONG` to the `PING` behind it. A line whose `PONG` may not
//!   have been read may come again, and only such a line: at least once.
//! - A goodbye (an edit of the file, SIGTERM) takes what left just before it for sent, for a
//!   server that lives reads on to the end. Where it did not live, a half-open connection in that
//!   moment, that line is lost.
//! - What a room does not let be said (`+m`) is refused for good, and a dead letter.
//!
//! Answers of one conversation stand in the order of what they answer, word for word.

use super::ledger::NOTICE;
use super::plan::{Room, Said};
use super::{Broken, Edits, World, written};
use crate::driver::Time;
use crate::limits;
use crate::sim::check::Invariant;
use crate::sim::peers::fake::Posted;
use crate::sim::peers::platforms::IRC_HOST;
use crate::sim::rng::Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A request and its answer are on their way for less than this.
const TRAVEL_MS: u64 = super::ledger::TRAVEL_MS;

/// So long after it was said a word is on disk or never will be.
const CERTAIN_MS: u64 = 10_000;

/// The account in the file.
pub(super) fn section(token: &str, edits: Edits) -> Value {
    let mut section = json!({
        "host": IRC_HOST, "nick": "bot", "channels": ["#a", "#b"],
        "groups": {"*": {"requireMention": false}},
        "realname": format!("Claw {}", edits.lasting), "healthMonitor": {"enabled": edits.live},
    });
    match edits.door {
        1 => section["password"] = token.into(),
        2 => section["sasl"] = json!({"username": "bot", "password": token}),
        3 => section["nickserv"] = json!({"password": token}),
        _ => {}
    }
    section
}

/// Where somebody speaks.
pub(super) fn room(rng: &mut Rng) -> Room {
    let from = rng.pick(&["Al", "bo", "cy[m]", "Di", "ed"]);
    let mention = rng.percent(30);
    match rng.below(5) {
        0 => {
            let act = json!({"act": "message", "from": from, "room": "#a", "mention": mention});
            Room::new("#a", "text", act)
        }
        1 => {
            let act = json!({"act": "message", "from": from, "room": "#b", "mention": mention});
            Room::new("#b", "text", act)
        }
        _ => {
            let to = match from {
                "Al" => "al",
                "cy[m]" => "cy{m}",
                "Di" => "di",
                other => other,
            };
            Room::new(to, "text", json!({"act": "message", "from": from}))
        }
    }
}

/// One line of words, sometimes as long as a line may be.
pub(super) fn text(word: &str, rng: &mut Rng) -> String {
    let count = rng.pick(&[1, 1, 2, 5, 25]);
    let words: Vec<String> = (0..count).map(|n| written::token(word, n)).collect();
    words.join(" ")
}

/// What only IRC does.
pub(super) fn own(rng: &mut Rng) -> Value {
    let room = rng.pick(&["#a", "#b"]);
    let who = rng.pick(&["Al", "bo", "cy[m]", "Di", "ed"]);
    let word = format!("n{:05x}", rng.below(1 << 20));
    match rng.below(16) {
        0 | 1 => json!({"act": "kick", "room": room, "seconds": rng.pick(&[0, 0, 20, 100])}),
        2 => json!({"act": "split", "who": who, "seconds": rng.pick(&[2, 20, 90])}),
        3 => json!({"act": "thief", "seconds": rng.pick(&[2, 20, 90])}),
        4 => json!({"act": "rename"}),
        5 => {
            let why = rng.pick(&["Server going down", "Killed (Oper (no))", "Excess trouble"]);
            json!({"act": "close", "why": why})
        }
        6..=8 => json!({"act": "vanish", "seconds": rng.pick(&[5, 60, 180])}),
        9 => json!({"act": "lag", "seconds": rng.pick(&[2, 20, 100])}),
        10 => json!({"act": "noise"}),
        11 => json!({"act": "notice", "from": who, "text": word}),
        12 => json!({"act": "notice", "from": who, "room": room, "text": word}),
        13 => {
            let text = rng.pick(&["VERSION", "PING", "ACTION", "DCC SEND"]);
            json!({"act": "ctcp", "from": who, "text": format!("{text} {word}")})
        }
        14 => json!({"act": "moderate", "room": room, "seconds": rng.pick(&[2, 20])}),
        _ => json!({"act": "drop", "of": "all"}),
    }
}

/// Where the words of people stand among what was posted.
struct Spoken {
    posted: Vec<Posted>,
    /// Whether a post's receipt may have got lost.
    doubt: Vec<bool>,
}

impl Spoken {
    /// Posts that have a word.
    fn of<'a>(&'a self, token: &'a str) -> impl Iterator<Item = usize> + 'a {
        let has = move |(_, post): &(usize, &Posted)| post.text.contains(token);
        self.posted.iter().enumerate().filter(has).map(|(at, _)| at)
    }
}

impl World {
    fn spoken(&self) -> Spoken {
        let mut fake = self.fake.borrow_mut();
        let desk = fake.desk();
        let near = |at: Time| {
            let breaks = self.net.breaks.iter();
            breaks.into_iter().any(|it| it.ms_since(at).max(at.ms_since(*it)) <= TRAVEL_MS)
        };
        let doubt = desk.posted.iter().enumerate();
        let doubt = doubt.map(|(n, it)| desk.doubtful.contains(&n) || near(it.at)).collect();
        Spoken { posted: desk.posted.clone(), doubt }
    }

    /// A goodbye took this for sent.
    fn taken_for_sent(&self, word: &str) -> bool {
        let irc = self.irc.borrow();
        let ours = irc.swallowed.iter().filter(|(_, text)| text.contains(word));
        ours.into_iter().any(|(at, _)| {
            let late = at.after_ms(limits::IRC_GOODBYE_MS + TRAVEL_MS);
            self.stops.iter().any(|(from, to)| late >= *from && at <= to)
        })
    }

    /// Words that are owed an answer and have none, or not all of it.
    fn unanswered_words(&self, spoken: &Spoken) -> Vec<(Time, Said)> {
        let (notes, forgotten) =
            (self.notes.borrow(), self.fake.borrow_mut().desk().forgotten.clone());
        let refused = self.irc.borrow().refused.clone();
        let notice = |post: &&Posted| post.text.starts_with(NOTICE) && !self.cuts.is_empty();
        let mut notices: BTreeMap<String, usize> = BTreeMap::new();
        for post in spoken.posted.iter().filter(notice) {
            *notices.entry(post.to.clone()).or_default() += 1;
        }
        let mut told = |said: &Said| {
            let left = notices.get_mut(&said.to).filter(|left| **left > 0);
            left.map(|left| *left -= 1).is_some()
        };
        let owed = notes.said.iter().filter(|(at, said)| {
            let whole = said.tokens().iter().all(|token| spoken.of(token).next().is_some());
            let lost = forgotten.iter().any(|text| text.contains(&said.word));
            !whole
                && !self.taken(&said.word)
                && !self.shut_around(*at)
                && !refused.iter().any(|text| text.contains(&said.word))
                && !self.taken_for_sent(&said.word)
                && (!lost || self.held(*at, &said.word))
                && !told(said)
        });
        owed.cloned().collect()
    }

    /// Whether a word reached the gateway's disk; what does not at once never does.
    fn held(&self, said: Time, word: &str) -> bool {
        if let Some(known) = self.held.borrow().get(word) {
            return *known;
        }
        let certain = self.net.now.ms_since(said) > CERTAIN_MS;
        let held = !certain || self.checks.disk.holds(word.as_bytes());
        if certain {
            self.held.borrow_mut().insert(word.to_owned(), held);
        }
        held
    }

    pub(super) fn owed_spoken(&self) -> Option<String> {
        let short = self.unanswered_words(&self.spoken());
        let (at, said) = short.first()?;
        Some(format!("{} in {}, said at {:.3} s", said.word, said.to, at.0 as f64 / 1e6))
    }

    /// Everything was answered, once and in order.
    ///
    /// # Errors
    /// What was not.
    pub(super) fn settle_spoken(&self) -> Result<(), Broken> {
        if let Some(what) = self.owed_spoken() {
            return Err((Invariant::Durable, format!("{what}, was never answered")));
        }
        let spoken = self.spoken();
        let notes = self.notes.borrow();
        for post in &spoken.posted {
            let asked = notes.said.iter().any(|(_, said)| post.text.contains(&said.word));
            let notice = post.text.starts_with(NOTICE) && !self.cuts.is_empty();
            if !(asked || notice) {
                return Err((Invariant::OneEnd, format!("nobody asked for this: {}", post.text)));
            }
        }
        // The last post of each conversation so far, and its word.
        let mut last: BTreeMap<&str, (usize, String)> = BTreeMap::new();
        for (at, said) in &notes.said {
            for token in said.tokens() {
                let posts: Vec<usize> = spoken.of(&token).collect();
                let Some(first) = posts.first() else { continue };
                self.placed(&spoken, (*at, said), &token, &posts)?;
                if let Some((before, word)) = last.get(&*said.to)
                    && before > first
                {
                    let what = format!("{token} is answered before {word} in {}", said.to);
                    return Err((Invariant::OneEnd, what));
                }
                last.insert(&said.to, (*first, token));
            }
        }
        Ok(())
    }

    /// One word stands where it was said, while somebody might, and once.
    fn placed(
        &self,
        spoken: &Spoken,
        (at, said): (Time, &Said),
        token: &str,
        posts: &[usize],
    ) -> Result<(), Broken> {
        let all: Vec<&Posted> = posts.iter().filter_map(|n| spoken.posted.get(*n)).collect();
        if let Some(post) = all.iter().find(|post| post.to != said.to) {
            let what = format!("{token} of {} is answered in {}", said.to, post.to);
            return Err((Invariant::OwnReplies, what));
        }
        if let Some(post) = all.iter().find(|post| self.shut(at, post.at)) {
            let what = format!("{token} is answered in {} while nobody may write", post.to);
            return Err((Invariant::OwnReplies, what));
        }
        for pair in posts.windows(2) {
            let [first, second] = pair else { continue };
            let (one, two) = (&spoken.posted[*first], &spoken.posted[*second]);
            if !spoken.doubt[*first] && !self.cut_after(one.at) {
                let seconds = |time: Time| time.0 as f64 / 1e6;
                let (one, two) = (seconds(one.at), seconds(two.at));
                let what = format!("{token} is answered at {one:.3} s and again at {two:.3} s");
                return Err((Invariant::OneEnd, what));
            }
        }
        Ok(())
    }
}
