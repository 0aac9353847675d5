//! Previews as the journal knows them: the message that shows an answer while it is written.
//!
//! ```text
//!   sent --> held: outbox.jsonl has `<run>.draft` with the message's id
//!     run over --> the answer's first piece takes its place by an edit (or stands below it)
//!     answer delivered --> what is left of it is deleted, on a line of its own --> done
//! ```
//!
//! A record is held while its run or the answer of it is under way. Whatever a crash leaves
//! held goes the same way: the answer, or the notice in its stead, takes the preview's place.
//! A message whose receipt got lost is found again where the service knows a nonce; elsewhere
//! nobody can tell, and it stays.

use super::super::Gateway;
use super::super::timers::Timer;
use super::outbound::{ActWait, Delivery, Outbox, Step, piece_id};
use super::streaming::Flight;
use super::{LiveId, speak};
use crate::channels::{Act, Failure, Retry, State, draft};
use crate::driver::Effects;
use crate::limits;
use crate::store::Disk;
use crate::wire::hash::{hex, sha256};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The preview of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::gateway) struct Draft {
    /// The message, once the service named it.
    pub(super) message: Option<String>,
    /// It was sent with this text, and its id is not known.
    pub(super) posting: Option<String>,
    /// Which message of its run it is.
    pub(super) number: u32,
    /// The answer's first piece takes its place.
    pub(super) replace: bool,
    /// Messages before it that stay as long as the answer begins as they say.
    pub(super) done: Vec<String>,
    /// How much of the answer those show.
    pub(super) mark: Option<Mark>,
    /// Messages that go when the answer is there.
    pub(super) stale: Vec<String>,
    tries: u32,
}

/// The first bytes of a text, and by what to know them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::gateway) struct Mark {
    pub(super) upto: usize,
    pub(super) print: String,
}

impl Mark {
    /// Of the first `upto` bytes.
    pub(super) fn of(text: &str, upto: usize) -> Self {
        let mut print = hex(&sha256(text.get(..upto).unwrap_or_default().as_bytes()));
        print.truncate(8);
        Self { upto, print }
    }

    /// Whether a text begins so.
    pub(super) fn fits(&self, text: &str) -> bool {
        text.get(..self.upto).is_some() && Self::of(text, self.upto) == *self
    }
}

/// Under which the journal has the preview of a run.
pub(super) fn draft_id(run: &str) -> String {
    format!("{run}.draft")
}

/// Under which it has a block of an answer; what was sent up to it is part of the id.
pub(super) fn block_id(run: &str, number: u32, mark: &Mark) -> String {
    format!("{run}.b{number}-{}-{}", mark.upto, mark.print)
}

fn block_of(id: &str) -> Option<(u32, Mark)> {
    let (_, rest) = id.rsplit_once(".b")?;
    let mut parts = rest.split('-');
    let number = parts.next()?.parse().ok()?;
    let upto = parts.next()?.parse().ok()?;
    Some((number, Mark { upto, print: parts.next()?.to_owned() }))
}

impl Outbox {
    /// Writes down what the preview of a run is now.
    pub(super) fn hold(
        &mut self,
        disk: &mut dyn Disk,
        run: &str,
        delivery: Delivery,
    ) -> std::io::Result<()> {
        let work = serde_json::to_value(&delivery).unwrap_or_default();
        self.journal.accept(disk, &draft_id(run), work)?;
        self.drafts.insert(run.to_owned(), delivery);
        Ok(())
    }

    /// Changes what is held of a run.
    pub(super) fn change(
        &mut self,
        disk: &mut dyn Disk,
        run: &str,
        change: impl FnOnce(&mut Draft),
    ) {
        let Some(mut delivery) = self.drafts.get(run).cloned() else { return };
        if let Some(draft) = &mut delivery.draft {
            change(draft);
        }
        if let Err(error) = self.hold(disk, run, delivery.clone()) {
            log::error!(target: "store", "outbox.jsonl: {error}");
            self.drafts.insert(run.to_owned(), delivery);
        }
    }

    pub(super) fn draft(&self, run: &str) -> Option<&Draft> {
        self.drafts.get(run)?.draft.as_ref()
    }

    /// The preview of a run is no more.
    pub(super) fn forget(&mut self, disk: &mut dyn Disk, run: &str) {
        self.drafts.remove(run);
        if let Err(error) = self.journal.done(disk, &draft_id(run)) {
            log::error!(target: "store", "outbox.jsonl: {error}");
        }
    }

    /// The answer of a run is there, or there is none: what is left of its preview goes.
    pub(super) fn release(&mut self, disk: &mut dyn Disk, run: &str, took: Option<&str>) {
        self.change(disk, run, |draft| {
            draft.replace = false;
            draft.message.take_if(|message| Some(message.as_str()) == took);
            if draft.mark.is_none() {
                draft.stale.append(&mut draft.done);
            }
            draft.done.clear();
        });
        match self.draft(run) {
            None => {}
            Some(Draft { message: None, posting: None, stale, .. }) if stale.is_empty() => {
                self.forget(disk, run);
            }
            Some(_) => {
                if let Some(delivery) = self.drafts.remove(run) {
                    self.stand(delivery);
                }
            }
        }
    }

    /// Previews that an earlier life left and no answer takes: they go.
    pub(super) fn release_left(&mut self, disk: &mut dyn Disk) {
        let left: Vec<String> =
            self.drafts.keys().filter(|run| !self.open.contains_key(*run)).cloned().collect();
        for run in left {
            self.release(disk, &run, None);
        }
    }

    /// What of an answer is to be sent still: not what blocks have, nor what previews that stay
    /// show; and whether there was any of those.
    pub(super) fn rest_of(&mut self, disk: &mut dyn Disk, run: &str, text: &str) -> (String, bool) {
        let prefix = format!("{run}.b");
        let waiting = self.open.range(prefix.clone()..).map(|(id, _)| id.as_str());
        let waiting = waiting.take_while(|id| id.starts_with(&prefix));
        let blocks = self.sent.beginning(&prefix).chain(waiting).filter_map(block_of);
        let last = blocks.max_by_key(|(number, _)| *number);
        if let Some((_, mark)) = last.filter(|(_, mark)| mark.fits(text)) {
            return (draft::rest(text, mark.upto), true);
        }
        let mark = self.draft(run).and_then(|draft| draft.mark.clone());
        match mark {
            Some(mark) if mark.fits(text) => (draft::rest(text, mark.upto), true),
            Some(_) => {
                self.change(disk, run, |draft| draft.mark = None);
                (text.to_owned(), false)
            }
            None => (text.to_owned(), false),
        }
    }
}

impl Gateway {
    /// The step of a delivery that a preview is part of; `None` when there is none to make.
    pub(super) fn draft_step(
        &mut self,
        id: &str,
        live: LiveId,
        piece: Option<&(String, String)>,
        fx: &mut Effects,
    ) -> Option<Option<Step>> {
        let now = self.now;
        let open = self.channels.outbox.open.get(id)?;
        let tidy = open.delivery.draft.is_some();
        let run = id.strip_suffix(".draft").filter(|_| tidy).unwrap_or(id).to_owned();
        let own = open.delivery.draft.clone();
        let draft = own.or_else(|| self.channels.outbox.draft(&run).cloned())?;
        let first = open.delivery.piece == 0;
        let plain = open.delivery.media.is_empty() && open.delivery.extra.is_null();
        if !(tidy || first && draft.replace && plain && piece.is_some()) {
            return None;
        }
        match self.channels.streams.closing(&run) {
            Some(until) if until > now.time => return Some(Some(Step::At(until))),
            // What is left of it waits for as long as it takes; the answer goes without.
            Some(_) if tidy => return Some(Some(Step::At(now.time.after_ms(1_000)))),
            Some(_) => return None,
            None => {}
        }
        if let (None, Some(text)) = (&draft.message, &draft.posting) {
            let (finds, age) = {
                let kind = self.channels.get(live)?.kind;
                (kind.caps.finds, now.wall_ms.saturating_sub(open.delivery.created_ms))
            };
            let text = text.clone();
            if finds && draft.tries < limits::DRAFT_TRIES && age < limits::DRAFT_FIND_MS {
                self.note_draft(&run, tidy, |draft| draft.tries += 1);
                self.post_draft(live, &run, &text, true, fx);
                return Some(Some(Step::Again));
            }
            self.note_draft(&run, tidy, |draft| draft.posting = None);
            return Some(Some(Step::Again));
        }
        match (piece, draft.message) {
            (Some((rendered, _)), Some(message)) if !tidy => {
                let open = self.channels.outbox.open.get_mut(id)?;
                open.flying = Some(live);
                let (to, text) = (open.delivery.to.clone(), rendered.clone());
                let act = Act::Edit { to, message, text };
                self.act(live, &act, ActWait::Final { id: id.to_owned() }, fx);
                Some(None)
            }
            (_, None) if !tidy => None,
            (_, message) => {
                let Some(message) = message.or_else(|| draft.stale.last().cloned()) else {
                    self.delivery_over(id, Ok(()), fx);
                    return Some(Some(Step::Again));
                };
                let open = self.channels.outbox.open.get_mut(id)?;
                open.flying = Some(live);
                let act = Act::Delete { to: open.delivery.to.clone(), message: message.clone() };
                self.act(live, &act, ActWait::Tidy { id: id.to_owned(), message }, fx);
                Some(None)
            }
        }
    }

    /// Where a pause means the whole chat its messages are left alone, too, also in another life.
    pub(super) fn note_rest(&mut self, run: &str, failure: &Failure) {
        let Retry::After(ms) = failure.retry else { return };
        let outbox = &mut self.channels.outbox;
        let open = outbox.open.get(run).or_else(|| outbox.open.get(&draft_id(run)));
        let Some(delivery) = open.map(|open| &open.delivery).or(outbox.drafts.get(run)) else {
            return;
        };
        let kind = crate::channels::find(&delivery.channel);
        let Some(kind) = kind.filter(|kind| kind.writing.rests_chat) else { return };
        let (account, chat) = (delivery.account.clone(), delivery.to.chat.clone());
        let until_ms = self.now.wall_ms.saturating_add(ms.min(limits::CHANNEL_OUTBOX_TTL_MS));
        let (disk, journal) = (self.disk.as_mut(), &mut outbox.journal);
        outbox.rests.begin(disk, journal, (kind.id, &account, &chat), until_ms);
    }

    /// Changes what is known of a preview, wherever it stands.
    fn note_draft(&mut self, run: &str, tidy: bool, change: impl FnOnce(&mut Draft)) {
        let (outbox, disk) = (&mut self.channels.outbox, self.disk.as_mut());
        if !tidy {
            return outbox.change(disk, run, change);
        }
        let id = draft_id(run);
        let Some(open) = outbox.open.get_mut(&id) else { return };
        if let Some(draft) = &mut open.delivery.draft {
            change(draft);
        }
        let work = serde_json::to_value(&open.delivery).unwrap_or_default();
        if let Err(error) = outbox.journal.accept(disk, &id, work) {
            log::error!(target: "store", "outbox.jsonl: {error}");
        }
    }

    /// The answer's first piece was to take the preview's place.
    pub(super) fn final_edited(
        &mut self,
        id: &str,
        result: Result<Value, Failure>,
        fx: &mut Effects,
    ) {
        let now = self.now.time;
        if let Err(failure) = &result {
            self.note_rest(id, failure);
        }
        let Some(message) = self.channels.outbox.draft(id).and_then(|it| it.message.clone()) else {
            return;
        };
        let Some(open) = self.channels.outbox.open.get_mut(id) else { return };
        let Some(live) = open.flying else { return };
        match result {
            Ok(_) => {
                open.delivery.took = Some(message.clone());
                open.delivery.piece = 1;
                let work = serde_json::to_value(&open.delivery).unwrap_or_default();
                open.delivery.piece = 0;
                let disk = self.disk.as_mut();
                // From here on the message is the answer's: before anything forgets the preview.
                if let Err(error) = self.channels.outbox.journal.accept(disk, id, work) {
                    log::error!(target: "store", "outbox.jsonl: {error}");
                }
                self.channels.outbox.change(disk, id, |draft| {
                    draft.message = None;
                    draft.replace = false;
                });
                self.piece_sent(live, &piece_id(id, 0), vec![message], fx);
            }
            Err(failure) => {
                open.flying = None;
                let connected =
                    self.channels.get(live).is_some_and(|live| live.state == State::Connected);
                let tries = self.channels.outbox.draft(id).map_or(0, |draft| draft.tries);
                let wait = match failure.retry {
                    Retry::After(ms) if ms <= limits::DRAFT_PATIENCE_MS => Some(ms.max(1)),
                    Retry::Later if !connected => Some(1),
                    Retry::Later if tries < limits::DRAFT_TRIES => Some(500 << tries),
                    _ => None,
                };
                let counts = connected && failure.retry == Retry::Later;
                self.note_draft(id, false, |draft| {
                    draft.tries += u32::from(counts);
                    draft.replace = wait.is_some();
                });
                let due = now.after_ms(wait.unwrap_or(0));
                if let Some(open) = self.channels.outbox.open.get_mut(id) {
                    open.due = due;
                }
                self.timers.arm(due, Timer::Outbox);
            }
        }
    }

    /// A message of a preview was to be deleted.
    pub(super) fn draft_deleted(
        &mut self,
        id: &str,
        message: &str,
        result: Result<Value, Failure>,
    ) {
        let now = self.now.time;
        let run = id.strip_suffix(".draft").unwrap_or(id).to_owned();
        if let Err(failure) = &result {
            self.note_rest(&run, failure);
        }
        let Some(open) = self.channels.outbox.open.get_mut(id) else { return };
        let live = open.flying.take();
        open.delivery.attempts += 1;
        let tries = open.delivery.attempts;
        let connected = live.and_then(|live| self.channels.get(live));
        let connected = connected.is_some_and(|live| live.state == State::Connected);
        let wait = match result {
            Err(Failure { retry: Retry::After(ms), .. }) => Some(ms.max(1)),
            Err(Failure { retry: Retry::Later, .. }) if !connected => Some(1),
            Err(Failure { retry: Retry::Later, .. }) if tries < limits::CHANNEL_ATTEMPTS => {
                Some(1_000 << tries.min(8))
            }
            _ => None,
        };
        let due = now.after_ms(wait.unwrap_or(0));
        let Some(open) = self.channels.outbox.open.get_mut(id) else { return };
        open.due = due;
        if wait.is_none() {
            if let Err(failure) = &result {
                let (channel, account) = (&open.delivery.channel, &open.delivery.account);
                let line = format!("a preview was not deleted: {}", failure.what);
                speak::say(log::Level::Info, channel, account, &line);
            }
            open.delivery.attempts = 0;
            self.note_draft(&run, true, |draft| {
                draft.message.take_if(|it| it == message);
                draft.stale.retain(|it| it != message);
            });
        }
        self.timers.arm(due, Timer::Outbox);
    }

    /// A post of a preview whose run is over, or that was looked for, is settled.
    pub(super) fn late_post(&mut self, run: &str, result: &Result<String, Failure>) {
        let tidy = self.channels.outbox.open.contains_key(&draft_id(run));
        match result {
            Ok(message) => self.note_draft(run, tidy, |draft| {
                draft.message = Some(message.clone());
                draft.posting = None;
            }),
            Err(failure) if failure.retry == Retry::No => {
                self.note_draft(run, tidy, |draft| draft.posting = None);
            }
            Err(_) => {}
        }
        let pause = match result {
            Err(Failure { retry: Retry::After(ms), .. }) => *ms,
            Err(_) => 500,
            Ok(_) => 0,
        };
        let due = self.now.time.after_ms(pause);
        if let Some(open) = self.channels.outbox.open.get_mut(&draft_id(run)) {
            open.due = open.due.max(due);
        }
        self.timers.arm(due, Timer::Outbox);
    }

    /// Sends the message of a preview, or asks for the one that was sent.
    pub(super) fn post_draft(
        &mut self,
        live: LiveId,
        run: &str,
        text: &str,
        again: bool,
        fx: &mut Effects,
    ) {
        let until = self.now.time.after_ms(limits::DRAFT_PATIENCE_MS);
        let outbox = &self.channels.outbox;
        let open = outbox.open.get(&draft_id(run)).map(|open| &open.delivery);
        let Some(delivery) = outbox.drafts.get(run).or(open) else { return };
        let number = delivery.draft.as_ref().map_or(0, |draft| draft.number);
        let piece = format!("draft:{run}#{number}");
        let mut nonce = hex(&sha256(piece.as_bytes()));
        nonce.truncate(24);
        let Some(kind) = self.channels.get(live).map(|live| live.kind) else { return };
        let message = crate::channels::Outgoing {
            id: piece,
            nonce,
            again,
            to: delivery.to.clone(),
            text: (kind.render)(text),
            plain: text.to_owned(),
            reply_to: delivery.reply_to.clone(),
            silent: delivery.silent,
            ..crate::channels::Outgoing::default()
        };
        self.channels.streams.flies(run, Flight { live, until, post: true });
        self.channel_on(live, crate::channels::ChannelInput::Send(&message), fx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_says_how_far_it_went() {
        let mark = Mark::of("abcdef", 3);
        let id = block_id("ch-1.b2", 17, &mark);
        assert_eq!(block_of(&id), Some((17, mark.clone())));
        assert!(mark.fits("abcxyz") && !mark.fits("abdxyz") && !mark.fits("ab"));
        assert_eq!(block_of("ch-1"), None);
    }
}
