//! Messages on their way out: journalled, in order within a conversation, one piece at a time.
//!
//! ```text
//!   deliver --> outbox.jsonl --> line of the conversation --account connected--> piece --> Sent
//!                  ^  piece n + 1 ----------------------------------------------------+
//!                  +-- Failed: later, after so many ms, or never
//!   all pieces sent --> remembered in outbox-sent.txt --> journal done --> who waits is answered
//! ```
//!
//! A delivery that was remembered is never made again, whoever asks; so an answer whose run a
//! crash left half closed goes out once. A piece that was begun and not settled when the process
//! died is sent again, marked so ([`Outgoing::again`]): whether it arrived nobody can tell, and
//! a lost answer is worse than a repeated one. Of a piece that takes several calls (an album of
//! files) each part is written down as it is sent, and the next attempt begins behind it.

use super::super::Gateway;
use super::super::http::Completion;
use super::super::timers::Timer;
use super::dead::Letter;
use super::drafts::Draft;
use super::enclose::Enclosure;
use super::recent::Recent;
use super::rests::Rests;
use super::unasked::{Delivered, Told};
use super::{LiveId, speak};
use crate::channels::port::ChannelInput;
use crate::channels::{Address, ChatKind, Failure, Outgoing, Retry};
use crate::channels::{State, text};
use crate::driver::{ConnId, Effects, Time};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::store::Disk;
use crate::store::journal::Journal;
use crate::wire::hash::{hex, sha256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;

/// Where a run came from, and so where its answer goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::gateway) struct Origin {
    pub(super) channel: String,
    pub(super) account: String,
    pub(super) to: Address,
    /// The message that is answered.
    pub(super) message: String,
    pub(super) kind: ChatKind,
    /// A reaction says that it was seen.
    pub(super) acked: bool,
    /// Nobody wrote there: the answer was wanted there by somebody else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) unasked: bool,
}

/// A message to be delivered, as the journal has it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::gateway) struct Delivery {
    pub(in crate::gateway) id: String,
    pub(in crate::gateway) channel: String,
    pub(in crate::gateway) account: String,
    pub(in crate::gateway) to: Address,
    /// Markdown.
    pub(in crate::gateway) text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) reply_to: Option<String>,
    /// Pictures and files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::gateway) media: Vec<Enclosure>,
    #[serde(default)]
    pub(in crate::gateway) as_file: bool,
    /// Sound as a voice note.
    #[serde(default)]
    pub(in crate::gateway) voice: bool,
    #[serde(default)]
    pub(in crate::gateway) silent: bool,
    #[serde(default)]
    pub(in crate::gateway) extra: Value,
    pub(in crate::gateway) created_ms: u64,
    /// The next piece.
    #[serde(default)]
    pub(super) piece: usize,
    /// Parts of it that were sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) parts: usize,
    /// An attempt at it was begun.
    #[serde(default)]
    pub(super) begun: bool,
    #[serde(default)]
    pub(super) attempts: u32,
    /// It is the record of a preview, and delivered by deleting what is left of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) draft: Option<Draft>,
    /// The message of the preview that its first piece took the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) took: Option<String>,
}

impl Delivery {
    /// A short text of our own.
    pub(in crate::gateway) fn notice(
        id: String,
        (channel, account): (&str, &str),
        to: Address,
        text: String,
        created_ms: u64,
    ) -> Self {
        let (channel, account) = (channel.to_owned(), account.to_owned());
        Self { id, channel, account, to, text, created_ms, ..Self::default() }
    }

    /// Its conversation; what only tidies up waits for nobody and nobody for it.
    fn line(&self) -> Line {
        let mut to = self.to.clone();
        if super::streaming::tidies(self) {
            to.thread = Some(format!("draft\u{1f}{}", self.id));
        }
        (self.channel.clone(), self.account.clone(), to)
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A conversation.
type Line = (String, String, Address);

/// A delivery under way.
pub(super) struct Open {
    pub(super) delivery: Delivery,
    /// Rendered and plain; made when it is first looked at, for the account's limits.
    pieces: Option<Vec<(String, String)>>,
    pub(super) due: Time,
    /// The account has the piece.
    pub(super) flying: Option<LiveId>,
    /// Whether an attempt before the present one may have arrived.
    again: bool,
    messages: Vec<String>,
}

/// A client that waits for a delivery.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct Wait {
    pub(in crate::gateway) conn: ConnId,
    pub(in crate::gateway) request: String,
    /// It asked by `message.action`.
    pub(in crate::gateway) action: bool,
}

/// Who waits for an act.
#[derive(Debug, Clone)]
pub(super) enum ActWait {
    /// Nobody.
    Nobody,
    /// A client.
    Rpc { conn: ConnId, request: String },
    /// A call of the `message` tool.
    Tool { number: u64 },
    /// A preview that was edited.
    Preview { run: String },
    /// A delivery whose first piece was to take a preview's place.
    Final { id: String },
    /// What is left of a preview.
    Tidy { id: String, message: String },
}

/// Everything that is to be delivered.
pub(in crate::gateway) struct Outbox {
    pub(super) journal: Journal,
    pub(super) rests: Rests,
    pub(super) sent: Recent,
    pub(super) open: BTreeMap<String, Open>,
    /// Previews whose runs, or whose answers, are under way; by run.
    pub(super) drafts: BTreeMap<String, Delivery>,
    lines: BTreeMap<Line, VecDeque<String>>,
    waits: BTreeMap<String, Vec<Wait>>,
    /// Who hears what became of a run's answer, by run.
    pub(super) told: BTreeMap<String, Told>,
    /// Requests of hooks that will be told, until their run's delivery begins.
    pub(super) hooks: BTreeMap<String, (Vec<ConnId>, Option<Completion>)>,
}

impl Outbox {
    /// Replays the journal.
    ///
    /// # Errors
    /// When a file cannot be read; the text names it.
    pub(super) fn open(disk: &mut dyn Disk, journals: &Path) -> io::Result<Self> {
        let path = journals.join("outbox.jsonl");
        let (journal, unfinished) = Journal::open(disk, path.clone()).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        let sent = Recent::open(disk, journals.join("outbox-sent.txt"))?;
        let mut outbox = Self {
            journal,
            rests: Rests::default(),
            sent,
            open: BTreeMap::new(),
            lines: BTreeMap::new(),
            waits: BTreeMap::new(),
            drafts: BTreeMap::new(),
            told: BTreeMap::new(),
            hooks: BTreeMap::new(),
        };
        for (id, work) in unfinished {
            if outbox.rests.replay(&id, &work) {
                continue;
            }
            match serde_json::from_value::<Delivery>(work) {
                Ok(delivery) if super::streaming::tidies(&delivery) => {
                    let run = id.strip_suffix(".draft").unwrap_or(&id).to_owned();
                    outbox.drafts.insert(run, delivery);
                }
                Ok(delivery) if !outbox.sent.has(&id) => outbox.stand(delivery),
                Ok(_) => {
                    let _ = outbox.journal.done(disk, &id);
                }
                Err(error) => {
                    log::error!(target: "store", "outbox.jsonl: {id}: {error}; given up");
                    let _ = outbox.journal.done(disk, &id);
                }
            }
        }
        Ok(outbox)
    }

    pub(super) fn stand(&mut self, delivery: Delivery) {
        self.lines.entry(delivery.line()).or_default().push_back(delivery.id.clone());
        let open = Open {
            pieces: None,
            due: Time(0),
            flying: None,
            again: false,
            messages: Vec::new(),
            delivery,
        };
        self.open.insert(open.delivery.id.clone(), open);
    }

    /// Takes a delivery on, once.
    ///
    /// # Errors
    /// When the disk refuses, or too many wait.
    pub(super) fn accept(
        &mut self,
        disk: &mut dyn Disk,
        delivery: Delivery,
    ) -> Result<bool, String> {
        if self.sent.has(&delivery.id) || self.open.contains_key(&delivery.id) {
            return Ok(false);
        }
        let (channel, account) = (&delivery.channel, &delivery.account);
        let waiting = self.waiting(channel, account);
        if waiting >= limits::CHANNEL_OUTBOX {
            return Err(format!(
                "{waiting} messages of {channel} {account} wait to be delivered already; \
                 openclaw channels status --probe"
            ));
        }
        let work = serde_json::to_value(&delivery).unwrap_or_default();
        self.journal
            .accept(disk, &delivery.id, work)
            .map_err(|error| format!("the message could not be written: {error}"))?;
        self.stand(delivery);
        Ok(true)
    }

    /// Whether a power cut could take something.
    pub(super) fn is_dirty(&self) -> bool {
        self.journal.is_dirty() || self.sent.is_dirty()
    }

    /// Forces what waits, and what was sent, to the platter.
    ///
    /// # Errors
    /// When the disk refuses; then it is still dirty.
    pub(super) fn sync(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        self.journal.sync(disk)?;
        self.sent.sync(disk)
    }

    /// This one waits to be delivered.
    pub(super) fn has(&self, id: &str) -> bool {
        self.open.contains_key(id)
    }

    /// A delivery of this id was taken on, in this life or another.
    pub(super) fn knows(&self, id: &str) -> bool {
        !id.is_empty() && (self.sent.has(id) || self.open.contains_key(id))
    }

    /// Files of ours that deliveries need.
    pub(super) fn enclosures(&self) -> std::collections::BTreeSet<std::path::PathBuf> {
        let all = self.open.values().flat_map(|open| &open.delivery.media);
        all.cloned().filter_map(Enclosure::into_path).collect()
    }

    /// Something waits to be delivered.
    pub(super) fn has_work(&self) -> bool {
        !self.open.is_empty() || !self.drafts.is_empty()
    }

    /// Something waits to be delivered where this came from.
    pub(super) fn has_line(&self, origin: &Origin) -> bool {
        let line = (origin.channel.clone(), origin.account.clone(), origin.to.clone());
        self.lines.contains_key(&line)
    }

    /// What an account had in hand is to be sent by its next life.
    pub(super) fn give_back(&mut self, id: LiveId) {
        for open in self.open.values_mut().filter(|open| open.flying == Some(id)) {
            open.flying = None;
        }
    }

    /// How many wait, of all accounts.
    pub(in crate::gateway) fn len(&self) -> usize {
        self.open.len()
    }

    /// How many wait, of one account.
    pub(in crate::gateway) fn waiting(&self, channel: &str, account: &str) -> usize {
        let ours =
            |open: &&Open| open.delivery.channel == channel && open.delivery.account == account;
        self.open.values().filter(ours).count()
    }
}

/// The id of a piece, as the account hears it.
pub(super) fn piece_id(id: &str, piece: usize) -> String {
    format!("{id}#{piece}")
}

impl Gateway {
    /// Takes a delivery on; a repeated id is the first one.
    pub(in crate::gateway) fn deliver(&mut self, delivery: Delivery, fx: &mut Effects) {
        if let Err(why) = self.try_deliver(delivery.clone(), fx) {
            self.refuse_delivery(&delivery, &why);
            let failure = Failure::permanent(why.clone());
            self.tell_delivered(&delivery.id, &Delivered::Failed(failure, 0), fx);
            self.cron_given_up(&delivery.id, &why, fx);
        }
    }

    /// What there is no room for is a dead letter: nothing that was to be said is lost. Where the
    /// disk refuses that, too, the next life may try again.
    pub(super) fn refuse_delivery(&mut self, delivery: &Delivery, why: &str) {
        if !self.bury_delivery(delivery, &Failure::permanent(why)) {
            return;
        }
        let outbox = &mut self.channels.outbox;
        outbox.forget(self.disk.as_mut(), &delivery.id);
        if let Err(error) = outbox.sent.insert(self.disk.as_mut(), &delivery.id) {
            log::error!(target: "store", "outbox: {error}");
        }
        self.save_soon();
    }

    /// Keeps what is given up as a dead letter, and says so; false when the disk refused it.
    fn bury_delivery(&mut self, delivery: &Delivery, failure: &Failure) -> bool {
        let letter = dead_letter(delivery, failure, self.now.wall_ms);
        let kept = self.channels.dead.add(self.disk.as_mut(), &letter);
        if let Err(error) = &kept {
            log::error!(target: "store", "dead-letters.jsonl: {error}");
        }
        let (channel, account) = (&delivery.channel, &delivery.account);
        let line = format!(
            "a message was not delivered: {}; openclaw channels dead-letters list --channel \
             {channel} --account {account}",
            failure.what
        );
        speak::say(log::Level::Error, channel, account, &line);
        if let Some(id) = self.channels.find(channel, account)
            && let Some(live) = self.channels.live.get_mut(&id)
        {
            live.seen.error = Some(line);
        }
        kept.is_ok()
    }

    /// The same, with the reason when it is not taken; true when it is new.
    pub(in crate::gateway) fn try_deliver(
        &mut self,
        delivery: Delivery,
        fx: &mut Effects,
    ) -> Result<bool, String> {
        let new = self.channels.outbox.accept(self.disk.as_mut(), delivery)?;
        self.save_soon();
        // Whoever leaves leaves it to the next life: nobody would hear its receipt.
        if self.leaving.is_none() {
            self.pump_outbox(fx);
        }
        Ok(new)
    }

    /// Takes a delivery on; it leaves in a turn of its own.
    ///
    /// # Errors
    /// When the disk refuses, or too many wait.
    pub(super) fn queue_delivery(&mut self, delivery: Delivery) -> Result<(), String> {
        self.queue_delivery_at(delivery, self.now.time)
    }

    /// Takes a delivery on; it leaves at its time, or with the next life.
    ///
    /// # Errors
    /// When the disk refuses, or too many wait.
    pub(super) fn queue_delivery_at(
        &mut self,
        delivery: Delivery,
        due: Time,
    ) -> Result<(), String> {
        let id = delivery.id.clone();
        if self.channels.outbox.accept(self.disk.as_mut(), delivery)?
            && let Some(open) = self.channels.outbox.open.get_mut(&id)
        {
            open.due = due;
        }
        self.save_soon();
        self.timers.arm(self.now.time, Timer::Outbox);
        Ok(())
    }

    /// Takes a delivery on for a client that waits for its end; false when it is over already.
    pub(super) fn accept_waiting(
        &mut self,
        delivery: Delivery,
        wait: Wait,
        fx: &mut Effects,
    ) -> Result<bool, String> {
        let id = delivery.id.clone();
        self.channels.outbox.accept(self.disk.as_mut(), delivery)?;
        if !self.channels.outbox.open.contains_key(&id) {
            return Ok(false);
        }
        self.channels.outbox.waits.entry(id).or_default().push(wait);
        self.save_soon();
        self.pump_outbox(fx);
        Ok(true)
    }

    /// Gives every account what it may send now.
    pub(super) fn pump_outbox(&mut self, fx: &mut Effects) {
        let mut next: Option<Time> = None;
        let lines: Vec<Line> = self.channels.outbox.lines.keys().cloned().collect();
        for line in lines {
            while let Some(id) = self.channels.outbox.lines.get(&line).and_then(VecDeque::front) {
                let id = id.clone();
                match self.advance(&id, fx) {
                    Some(Step::Again) => {}
                    Some(Step::At(due)) => {
                        next = Some(next.map_or(due, |next: Time| next.min(due)));
                        break;
                    }
                    None => break,
                }
            }
        }
        if let Some(due) = next {
            self.look_at(due);
        }
    }

    /// The deliveries', bursts' and typing's time.
    pub(in crate::gateway) fn outbox_due(&mut self, fx: &mut Effects) {
        self.channels.looks.past(self.now.time);
        self.start_channels(fx);
        self.inbox_due(fx);
        self.streams_due(fx);
        let now_ms = self.now.wall_ms;
        let outbox = &mut self.channels.outbox;
        outbox.rests.end_over(self.disk.as_mut(), &mut outbox.journal, now_ms);
        self.pump_outbox(fx);
        self.end_waits_for_deliveries(fx);
        self.end_probings(fx);
    }

    /// Looks again at this time, or before.
    pub(super) fn look_at(&mut self, due: Time) {
        self.channels.looks.at(&mut self.timers, Some(due), Timer::Outbox);
    }

    /// One step of the first of a line.
    fn advance(&mut self, id: &str, fx: &mut Effects) -> Option<Step> {
        let now = self.now;
        let outbox = &mut self.channels.outbox;
        let open = outbox.open.get_mut(id)?;
        if open.flying.is_some() {
            return None;
        }
        let age = now.wall_ms.saturating_sub(open.delivery.created_ms);
        if age > limits::CHANNEL_OUTBOX_TTL_MS {
            let failure = Failure::permanent("it waited for a day");
            self.delivery_over(id, Err(failure), fx);
            return Some(Step::Again);
        }
        if open.due > now.time {
            return Some(Step::At(open.due));
        }
        let name = (open.delivery.channel.as_str(), open.delivery.account.as_str());
        let chat = (name.0, name.1, open.delivery.to.chat.as_str());
        if let Some(left) = outbox.rests.left_ms(chat, false, now.wall_ms) {
            return Some(Step::At(now.time.after_ms(left)));
        }
        let kind = crate::channels::find(name.0)?;
        let live_id = self.channels.by_name.get(&(kind.id, name.1.to_owned())).copied()?;
        let live = self.channels.live.get(&live_id)?;
        if !live.running || live.state != State::Connected {
            return None;
        }
        let outbox = &mut self.channels.outbox;
        let open = outbox.open.get_mut(id)?;
        let pieces = open.pieces.get_or_insert_with(|| {
            let limit = live.account.number("textChunkLimit").and_then(|n| usize::try_from(n).ok());
            let newline = live.account.text("streaming.chunkMode") == Some("newline");
            let mut pieces = text::for_channel(kind, &open.delivery.text, limit, newline);
            if let Some(usual) = kind.writing.max_lines {
                let lines = live.account.number("maxLinesPerMessage").unwrap_or(usual);
                let lines = usize::try_from(lines).unwrap_or(usize::MAX);
                pieces = text::not_tall(kind, pieces, lines);
            }
            if pieces.is_empty() && !open.delivery.media.is_empty() {
                pieces.push((String::new(), String::new()));
            }
            pieces
        });
        let at = open.delivery.piece;
        let piece = pieces.get(at).cloned();
        let count = pieces.len();
        if let Some(step) = self.draft_step(id, live_id, piece.as_ref(), fx) {
            return step;
        }
        let outbox = &mut self.channels.outbox;
        let live = self.channels.live.get(&live_id)?;
        let open = outbox.open.get_mut(id)?;
        let Some((rendered, plain)) = piece else {
            let result = match at {
                0 => Err(Failure::permanent("nothing is left of the text to send")),
                _ => Ok(()),
            };
            self.delivery_over(id, result, fx);
            return Some(Step::Again);
        };
        let last = at + 1 == count;
        let (all, how) = (&open.delivery.media, (open.delivery.as_file, open.delivery.voice));
        let read = |one: &Enclosure| one.attachment(self.disk.as_ref(), how);
        let media: Result<Vec<_>, String> = all.iter().filter(|_| last).map(read).collect();
        let media = match media {
            Ok(media) => media,
            Err(why) => {
                self.delivery_over(id, Err(Failure::permanent(why)), fx);
                return Some(Step::Again);
            }
        };
        let again = std::mem::replace(&mut open.delivery.begun, true);
        open.again = again;
        open.delivery.attempts += 1;
        let delivery = open.delivery.clone();
        let piece = piece_id(id, at);
        let mut nonce = hex(&sha256(piece.as_bytes()));
        nonce.truncate(24);
        let first_only = live.account.text("replyToMode") == Some("first");
        let reply = delivery.reply_to.clone().filter(|_| at == 0 || !first_only);
        open.flying = Some(live_id);
        let work = serde_json::to_value(&delivery).unwrap_or_default();
        if let Err(error) = outbox.journal.accept(self.disk.as_mut(), id, work) {
            // It is in the journal as it was before, so nothing is lost by sending it.
            log::error!(target: "store", "outbox.jsonl: {error}");
        }
        let message = Outgoing {
            id: piece,
            nonce,
            again,
            parts: delivery.parts,
            to: delivery.to,
            text: rendered,
            plain,
            reply_to: reply,
            media,
            silent: delivery.silent,
            extra: delivery.extra,
        };
        self.channel_on(live_id, ChannelInput::Send(&message), fx);
        None
    }

    /// A piece was sent.
    pub(super) fn piece_sent(
        &mut self,
        live: LiveId,
        piece: &str,
        mut messages: Vec<String>,
        fx: &mut Effects,
    ) {
        let now_ms = self.now.wall_ms;
        if piece.starts_with("draft:") {
            if let Some(message) = messages.pop() {
                self.draft_posted(piece, Ok(message));
            }
            return;
        }
        let Some(id) = self.flying(live, piece) else { return };
        if let Some(live) = self.channels.live.get_mut(&live) {
            live.seen.outbound = Some(now_ms);
        }
        let outbox = &mut self.channels.outbox;
        let Some(open) = outbox.open.get_mut(&id) else { return };
        open.flying = None;
        open.messages.append(&mut messages);
        open.delivery.piece += 1;
        open.delivery.parts = 0;
        open.delivery.begun = false;
        open.delivery.attempts = 0;
        let done = open.pieces.as_ref().is_none_or(|all| open.delivery.piece >= all.len());
        if done {
            self.delivery_over(&id, Ok(()), fx);
        } else {
            let work = serde_json::to_value(&open.delivery).unwrap_or_default();
            if let Err(error) = outbox.journal.accept(self.disk.as_mut(), &id, work) {
                log::error!(target: "store", "outbox.jsonl: {error}");
            }
        }
        self.timers.arm(self.now.time, Timer::Outbox);
    }

    /// A part of a piece was sent: written down at once, so that no later attempt says it again.
    pub(super) fn part_sent(&mut self, live: LiveId, piece: &str, mut messages: Vec<String>) {
        let Some(id) = self.flying(live, piece) else { return };
        let outbox = &mut self.channels.outbox;
        let Some(open) = outbox.open.get_mut(&id) else { return };
        open.messages.append(&mut messages);
        open.delivery.parts += 1;
        open.delivery.attempts = 1;
        let work = serde_json::to_value(&open.delivery).unwrap_or_default();
        if let Err(error) = outbox.journal.accept(self.disk.as_mut(), &id, work) {
            log::error!(target: "store", "outbox.jsonl: {error}");
        }
    }

    /// The delivery whose piece an account has in hand.
    fn flying(&self, live: LiveId, piece: &str) -> Option<String> {
        let (id, number) = piece.rsplit_once('#')?;
        let open = self.channels.outbox.open.get(id)?;
        let ours = open.flying == Some(live) && open.delivery.piece.to_string() == number;
        ours.then(|| id.to_owned())
    }

    /// A piece was not sent.
    pub(super) fn piece_failed(
        &mut self,
        live: LiveId,
        piece: &str,
        failure: &Failure,
        fx: &mut Effects,
    ) {
        let now = self.now.time;
        if piece.starts_with("draft:") {
            return self.draft_posted(piece, Err(failure.clone()));
        }
        let Some(id) = self.flying(live, piece) else { return };
        let connected =
            self.channels.live.get(&live).is_some_and(|live| live.state == State::Connected);
        let Some(open) = self.channels.outbox.open.get_mut(&id) else { return };
        open.flying = None;
        match failure.retry {
            Retry::No => return self.delivery_over(&id, Err(failure.clone()), fx),
            Retry::After(ms) => {
                open.delivery.attempts = open.delivery.attempts.saturating_sub(1);
                // This attempt did not arrive; one before it still may have.
                open.delivery.begun = open.again;
                let ms = ms.clamp(1, limits::CHANNEL_OUTBOX_TTL_MS);
                open.due = now.after_ms(ms);
                // What the service asked for is kept, and holds for the conversation's other
                // messages as well.
                let outbox = &mut self.channels.outbox;
                let Some(delivery) = outbox.open.get(&id).map(|open| &open.delivery) else {
                    return;
                };
                let (channel, account) = (delivery.channel.clone(), delivery.account.clone());
                let chat = if failure.wide { String::new() } else { delivery.to.chat.clone() };
                let work = serde_json::to_value(delivery).unwrap_or_default();
                let until_ms = self.now.wall_ms.saturating_add(ms);
                let place = (channel.as_str(), account.as_str(), chat.as_str());
                let (disk, journal) = (self.disk.as_mut(), &mut outbox.journal);
                outbox.rests.begin(disk, journal, place, until_ms);
                if let Err(error) = outbox.journal.accept(self.disk.as_mut(), &id, work) {
                    log::error!(target: "store", "outbox.jsonl: {error}");
                }
                self.timers.arm(now.after_ms(ms), Timer::Outbox);
                return;
            }
            Retry::Later if !connected => {
                // It waits for the connection, which is no fault of the message.
                open.delivery.attempts = open.delivery.attempts.saturating_sub(1);
                open.due = now;
            }
            Retry::Later if open.delivery.attempts >= limits::CHANNEL_ATTEMPTS => {
                return self.delivery_over(&id, Err(failure.clone()), fx);
            }
            Retry::Later => {
                let doubled = 1_000u64 << open.delivery.attempts.min(10);
                open.due = now.after_ms(doubled);
            }
        }
        let due = open.due;
        self.timers.arm(due, Timer::Outbox);
    }

    /// A delivery is over: first durable, then told.
    pub(super) fn delivery_over(
        &mut self,
        id: &str,
        result: Result<(), Failure>,
        fx: &mut Effects,
    ) {
        let outbox = &mut self.channels.outbox;
        let Some(open) = outbox.open.remove(id) else { return };
        if let Err(failure) = &result {
            self.bury_delivery(&open.delivery, failure);
        }
        let outbox = &mut self.channels.outbox;
        if let Some(line) = outbox.lines.get_mut(&open.delivery.line()) {
            line.retain(|other| other != id);
            if line.is_empty() {
                outbox.lines.remove(&open.delivery.line());
            }
        }
        let disk = self.disk.as_mut();
        if let Some(run) = id.strip_suffix(".draft").filter(|_| open.delivery.draft.is_some()) {
            return outbox.forget(disk, run);
        }
        let kept = outbox.sent.insert(disk, id).and_then(|()| outbox.journal.done(disk, id));
        if let Err(error) = kept {
            log::error!(target: "store", "outbox: {error}");
        }
        match &result {
            Ok(()) => {
                outbox.release(disk, id, open.delivery.took.as_deref());
                self.let_go_of(&open.delivery.media);
            }
            Err(_) => {
                // The preview is all there is to see of the answer.
                outbox.forget(disk, id);
                // The dead letter names the copies; those of letters that are gone go.
                self.sweep_outbound();
            }
        }
        let given_up = result.as_ref().err().map(|failure| failure.what.clone());
        for wait in self.channels.outbox.waits.remove(id).unwrap_or_default() {
            match &result {
                Ok(()) => {
                    let answer = receipt(&open.delivery, &open.messages, wait.action);
                    self.respond_ok(wait.conn, &wait.request, &answer, fx);
                }
                Err(failure) => {
                    let error = ErrorShape::unavailable(failure.what.clone());
                    self.respond_error(wait.conn, &wait.request, &error, fx);
                }
            }
        }
        let delivered = match result {
            Ok(()) => Delivered::Sent(open.messages.len().max(1)),
            Err(failure) => Delivered::Failed(failure, open.messages.len()),
        };
        self.tell_delivered(id, &delivered, fx);
        if let Some(why) = given_up {
            self.cron_given_up(id, &why, fx);
        }
        self.timers.arm(self.now.time, Timer::Outbox);
    }
}

pub(super) enum Step {
    /// Look at the line once more.
    Again,
    /// Not before then.
    At(Time),
}

/// What is kept of a delivery that is given up: it goes on at the piece that failed.
fn dead_letter(delivery: &Delivery, failure: &Failure, now_ms: u64) -> Letter {
    let lane = match &delivery.to.thread {
        Some(thread) => format!("{}:{thread}", delivery.to.chat),
        None => delivery.to.chat.clone(),
    };
    Letter {
        id: delivery.id.clone(),
        direction: "outbound".to_owned(),
        channel_id: delivery.channel.clone(),
        account_id: delivery.account.clone(),
        lane,
        reason: failure.what.clone(),
        attempts: delivery.attempts,
        received_at: delivery.created_ms,
        failed_at: now_ms,
        resubmits: 0,
        payload: serde_json::to_value(delivery).unwrap_or_default(),
    }
}

impl Delivery {
    /// A dead letter once more, under an id of its own: the first one counts as settled.
    pub(super) fn again(letter: &Letter, now_ms: u64) -> Option<Self> {
        let own = serde_json::from_value::<Self>(letter.payload.clone()).ok()?;
        let id = format!("{}~{}", letter.id, now_ms);
        Some(Self { id, created_ms: now_ms, attempts: 0, ..own })
    }
}

/// What a client hears of a delivery.
fn receipt(delivery: &Delivery, messages: &[String], action: bool) -> Value {
    let mut value = json!({
        "runId": delivery.id, "messageId": messages.first(), "channel": delivery.channel,
        "chatId": delivery.to.chat, "messageIds": messages,
    });
    if action {
        value["ok"] = json!(true);
    }
    value
}
