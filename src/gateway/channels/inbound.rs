//! Messages of people on their way in.
//!
//! ```text
//!   Inbound --known already?--> acknowledged
//!      | judged: dropped, overheard (context for later), or a pairing code is sent
//!      v
//!   journal inbox.jsonl --> Accepted, acknowledged --> put together with its burst
//!      --> command, or run (whose journal has it from then on) --> done
//! ```
//!
//! The id of a run is made of the message's, so that a message that the journal brings back after
//! a crash finds its own run and is not answered twice.

use super::super::Gateway;
use super::super::commands::{Call, Command, Name, Outcome};
use super::super::runs::{Asker, Cause, NewRun, Repeated, TOO_SMALL, digest};
use super::super::timers::Timer;
use super::dead::Letter;
use super::outbound::{Delivery, Origin};
use super::pairing::{Asked, Pending};
use super::recent::Recent;
use super::{LiveId, speak};
use crate::agent::Ask;
use crate::agent::turn::Turn;
use crate::channels::access::Verdict;
use crate::channels::pairs::Pairs;
use crate::channels::port::ChannelInput;
use crate::channels::{ChatKind, Inbound, Media, Sender, context, routing, speech};
use crate::driver::{ConnId, Effects, Time};
use crate::limits;
use crate::store::Disk;
use crate::store::journal::Journal;
use crate::wire::hash::{hex, sha256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;

/// No connection: a command that came by a channel.
pub(in crate::gateway) const NOBODY: ConnId = ConnId { slot: u32::MAX, generation: u32::MAX };

/// What the model is told where nobody sees its answer.
const ONLY_BY_TOOL: &str = "In this conversation nobody sees what you answer. Whatever shall be \
                            seen there goes by the message tool (action send, no target).";

/// An accepted message, as the journal has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) channel: String,
    pub(super) account: String,
    pub(super) message: Inbound,
    /// It is for the bot only if that is said in its voice note.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) unjudged: bool,
}

/// A burst of one sender, until it is quiet for a moment.
pub(super) struct Burst {
    entries: Vec<(String, Entry)>,
    due: Time,
    /// How often no run could be begun.
    tries: u32,
}

impl Burst {
    /// Channel and account.
    pub(super) fn names(&self) -> Option<(&str, &str)> {
        self.entries.first().map(|(_, entry)| (entry.channel.as_str(), entry.account.as_str()))
    }

    pub(super) fn is_command(&self) -> bool {
        self.entries.first().is_some_and(|(_, entry)| entry.message.text.starts_with('/'))
    }

    /// The first message of it.
    pub(super) fn first(&self) -> Option<&Entry> {
        self.entries.first().map(|(_, entry)| entry)
    }

    /// Whether it is for the bot is not known before its voice note was heard.
    pub(super) fn is_unjudged(&self) -> bool {
        self.entries.iter().all(|(_, entry)| entry.unjudged)
    }

    /// A file of it is not here and was not given up.
    pub(super) fn has_files_to_fetch(&self) -> bool {
        let mut all = self.entries.iter().flat_map(|(_, entry)| &entry.message.media);
        all.any(|media| media.got.is_none())
    }

    /// The files of each message.
    pub(super) fn all_media_mut(&mut self) -> impl Iterator<Item = &mut Vec<Media>> {
        self.entries.iter_mut().map(|(_, entry)| &mut entry.message.media)
    }
}

/// What was said to others.
pub(super) struct Overheard {
    pub(super) id: String,
    pub(super) sender: Sender,
    pub(super) text: String,
}

/// Accepted messages that are no run yet.
pub(super) struct Inbox {
    journal: Journal,
    seen: Recent,
    unfinished: Vec<(String, Value)>,
    bursts: BTreeMap<String, Burst>,
    /// [`limits::CHANNEL_INBOX`] was reached, and that was said.
    full: bool,
    /// What a group said that was not for the bot, by conversation.
    pub(super) overheard: BTreeMap<String, VecDeque<Overheard>>,
    /// Bots that answer each other.
    pub(super) pairs: Pairs,
    /// Albums of which a part was let in.
    albums: VecDeque<String>,
}

impl Inbox {
    /// Replays the journal.
    ///
    /// # Errors
    /// When a file cannot be read; the text names it.
    pub(super) fn open(disk: &mut dyn Disk, journals: &Path) -> io::Result<Self> {
        let path = journals.join("inbox.jsonl");
        let (journal, unfinished) = Journal::open(disk, path.clone()).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        let seen = Recent::open(disk, journals.join("inbox-seen.txt"))?;
        let (bursts, overheard) = (BTreeMap::new(), BTreeMap::new());
        let (pairs, albums) = (Pairs::default(), VecDeque::new());
        Ok(Self { journal, seen, unfinished, bursts, full: false, overheard, pairs, albums })
    }

    /// Whether a power cut could take something.
    pub(super) fn is_dirty(&self) -> bool {
        self.journal.is_dirty() || self.seen.is_dirty()
    }

    /// Forces what was accepted to the platter.
    ///
    /// # Errors
    /// When the disk refuses; then it is still dirty.
    pub(super) fn sync(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        self.journal.sync(disk)?;
        self.seen.sync(disk)
    }

    /// Something was accepted and is no run yet.
    pub(super) fn has_work(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// When the next burst is over.
    pub(super) fn due(&self) -> Option<Time> {
        self.bursts.values().map(|burst| burst.due).min()
    }
}

pub(super) fn conversation(channel: &str, account: &str, message: &Inbound) -> String {
    let thread = message.chat.thread.as_deref().unwrap_or_default();
    format!("{channel}\u{1f}{account}\u{1f}{}\u{1f}{thread}", message.chat.id)
}

/// A burst's name without its album: what one person says in one place stays in order.
pub(super) fn line_of(name: &str) -> &str {
    let album = name.match_indices('\u{1f}').nth(4);
    album.map_or(name, |(at, _)| name.get(..at).unwrap_or(name))
}

impl Gateway {
    /// An account gave up a message: settled in this turn, one way or the other.
    pub(super) fn channel_message(&mut self, id: LiveId, message: Inbound, fx: &mut Effects) {
        let token = message.token;
        let kept = self.take_message(id, message, fx);
        self.channel_on(id, ChannelInput::Accepted { token, kept }, fx);
    }

    fn take_message(&mut self, id: LiveId, message: Inbound, fx: &mut Effects) -> bool {
        let now_ms = self.now.wall_ms;
        let Some(live) = self.channels.live.get_mut(&id) else { return false };
        live.seen.inbound = Some(now_ms);
        let (channel, account) = (live.kind.id, live.account.id.clone());
        let text = format!("{}\u{1f}{}", conversation(channel, &account, &message), message.id);
        let mut key = hex(&sha256(text.as_bytes()));
        key.truncate(32);
        if self.channels.inbox.seen.has(&key) {
            return true;
        }
        if message.event.is_some() {
            self.take_happening(id, &message);
            return true;
        }
        let mut message = message;
        message.mentioned |= self.takes_part(id, &message);
        let album = message.album.as_ref().map(|album| {
            let sender = message.sender.ids.first().cloned().unwrap_or_default();
            format!("{}\u{1f}{sender}\u{1f}{album}", conversation(channel, &account, &message))
        });
        let mut unjudged = false;
        match self.judge_message(id, &message) {
            Verdict::Pass => {
                let albums = &mut self.channels.inbox.albums;
                if let Some(album) = album.filter(|album| !albums.contains(album)) {
                    albums.push_back(album);
                    if albums.len() > limits::CHANNEL_ALBUMS {
                        albums.pop_front();
                    }
                }
            }
            // The words stand below one part of an album, and the bot is named in them.
            Verdict::Overhear
                if album.is_some_and(|album| self.channels.inbox.albums.contains(&album)) => {}
            Verdict::Drop(why) => {
                let line = format!("a message was dropped: {why}");
                speak::say(log::Level::Info, channel, &account, &line);
                return true;
            }
            Verdict::Overhear if self.may_name_us(id, &message) => unjudged = true,
            Verdict::Overhear => {
                self.overhear(id, &message);
                return true;
            }
            Verdict::Pair => {
                self.ask_pairing(id, &message, fx);
                return true;
            }
        }
        let entry = Entry { channel: channel.to_owned(), account, message, unjudged };
        if self.channels.inbox.journal.unfinished() >= limits::CHANNEL_INBOX {
            return self.inbox_full(&key, &entry);
        }
        self.channels.inbox.full = false;
        let work = serde_json::to_value(&entry).unwrap_or_default();
        if let Err(error) = self.channels.inbox.journal.accept(self.disk.as_mut(), &key, work) {
            log::error!(target: "store", "a message of {channel} was not accepted: {error}");
            return false;
        }
        if let Err(error) = self.channels.inbox.seen.insert(self.disk.as_mut(), &key) {
            log::error!(target: "store", "inbox-seen.txt: {error}");
        }
        self.put_together(key, entry, fx);
        true
    }

    /// As many messages wait as may: one more is not acknowledged, so that its service brings it
    /// again; where none does that it is a dead letter.
    fn inbox_full(&mut self, key: &str, entry: &Entry) -> bool {
        let most = limits::CHANNEL_INBOX;
        let kind = crate::channels::find(&entry.channel);
        let again = kind.is_some_and(|kind| kind.caps.brings_again);
        if !std::mem::replace(&mut self.channels.inbox.full, true) {
            let line = format!(
                "{most} messages wait for a run already; more are taken when there is room: \
                 look at openclaw sessions for what holds them up"
            );
            speak::say(log::Level::Warn, &entry.channel, &entry.account, &line);
        }
        if !again {
            let why = format!("{most} messages waited for a run already");
            self.bury(entry, &format!("ch-{key}"), &why, 0);
            let line = format!(
                "a message is kept as a dead letter, for {why}: openclaw channels dead-letters \
                 list --channel {}",
                entry.channel
            );
            speak::say(log::Level::Warn, &entry.channel, &entry.account, &line);
        }
        !again
    }

    fn ask_pairing(&mut self, id: LiveId, message: &Inbound, fx: &mut Effects) {
        let now_ms = self.now.wall_ms;
        let Some(live) = self.channels.live.get(&id) else { return };
        let Some(first) = message.sender.ids.first() else { return };
        let (kind, account) = (live.kind, live.account.id.clone());
        let ask = Pending {
            channel: kind.id.to_owned(),
            account_id: account.clone(),
            id: (kind.normal)(first),
            code: String::new(),
            created_at_ms: now_ms,
            last_seen_at_ms: now_ms,
            to: message.to.clone(),
            name: message.sender.name.clone(),
        };
        let shown = ask.id.clone();
        let (disk, entropy) = (self.disk.as_mut(), self.entropy.as_mut());
        match self.channels.pairing.ask(disk, entropy, now_ms, ask) {
            Asked::Waits => {}
            Asked::Full => {
                let line = "three people wait for pairing already: another was ignored";
                speak::say(log::Level::Warn, kind.id, &account, line);
            }
            Asked::New(code) => {
                let line = format!(
                    "somebody asks to be let in: openclaw pairing approve {} {code}",
                    kind.id
                );
                speak::say(log::Level::Info, kind.id, &account, &line);
                let text = format!(
                    "OpenClaw: access not configured.\n\nYour {} id: {shown}\n\n\
                     Pairing code: {code}\n\nAsk the bot owner to approve with:\n\
                     openclaw pairing approve {} {code}",
                    kind.label, kind.id
                );
                let delivery = Delivery::notice(
                    format!("pair-{code}-{now_ms}"),
                    (kind.id, &account),
                    message.to.clone(),
                    text,
                    now_ms,
                );
                self.deliver(delivery, fx);
            }
        }
    }

    /// A message waits until its sender is quiet; most wait for nothing.
    fn put_together(&mut self, key: String, entry: Entry, fx: &mut Effects) {
        let messages = &self.config.messages;
        let own = messages.debounce_by_channel.get(&entry.channel).copied();
        let pause = own.unwrap_or(messages.debounce_ms);
        let alone = !entry.message.media.is_empty() || entry.message.text.starts_with('/');
        let sender = entry.message.sender.ids.first().cloned().unwrap_or_default();
        let place = conversation(&entry.channel, &entry.account, &entry.message);
        let mut name = format!("{place}\u{1f}{sender}");
        let (mut pause, mut alone) = (pause, alone);
        if let Some(album) = &entry.message.album {
            // Its parts come as messages of their own, one right behind the other.
            name.push_str(&format!("\u{1f}{album}"));
            (pause, alone) = (limits::CHANNEL_ALBUM_MS, false);
        }
        // An album is whole when something else is said, and waits for nothing said before it.
        let own = |other: &&String| **other != name && line_of(other) == line_of(&name);
        let others: Vec<String> = self.channels.inbox.bursts.keys().filter(own).cloned().collect();
        for other in others {
            if let Some(burst) = self.channels.inbox.bursts.remove(&other) {
                self.dispatch_burst(other, burst, fx);
            }
        }
        if pause == 0 || alone {
            // What came before it is not overtaken.
            if let Some(burst) = self.channels.inbox.bursts.remove(&name) {
                self.dispatch_burst(name.clone(), burst, fx);
            }
            let burst = Burst { entries: vec![(key, entry)], due: self.now.time, tries: 0 };
            return self.dispatch_burst(name, burst, fx);
        }
        let due = self.now.time.after_ms(pause);
        let empty = || Burst { entries: Vec::new(), due, tries: 0 };
        let burst = self.channels.inbox.bursts.entry(name).or_insert_with(empty);
        burst.entries.push((key, entry));
        burst.due = due;
        self.timers.arm(due, Timer::Outbox);
    }

    /// Bursts that are over.
    pub(super) fn inbox_due(&mut self, fx: &mut Effects) {
        self.files_due(fx);
        let now = self.now.time;
        let due: Vec<String> = self
            .channels
            .inbox
            .bursts
            .iter()
            .filter(|(_, burst)| burst.due <= now)
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            if let Some(burst) = self.channels.inbox.bursts.remove(&name) {
                self.dispatch_burst(name, burst, fx);
            }
        }
        if let Some(due) = self.channels.inbox.due() {
            self.look_at(due);
        }
    }

    /// What an earlier life accepted and did not begin.
    pub(super) fn resume_inbox(&mut self, fx: &mut Effects) {
        for (key, work) in std::mem::take(&mut self.channels.inbox.unfinished) {
            match serde_json::from_value::<Entry>(work) {
                Ok(entry) => self.put_together(key, entry, fx),
                Err(error) => {
                    log::error!(target: "store", "inbox.jsonl: {key}: {error}; given up");
                    self.inbox_done(&[key]);
                }
            }
        }
    }

    fn inbox_done(&mut self, keys: &[String]) {
        for key in keys {
            if let Err(error) = self.channels.inbox.journal.done(self.disk.as_mut(), key) {
                log::error!(target: "store", "inbox.jsonl: {error}");
            }
        }
    }

    /// Begins what a burst asks for: a command, a run, or one run an agent of a broadcast group.
    pub(super) fn dispatch_burst(&mut self, name: String, burst: Burst, fx: &mut Effects) {
        let Some(burst) = self.hold_burst(&name, burst, fx) else { return };
        let keys: Vec<String> = burst.entries.iter().map(|(key, _)| key.clone()).collect();
        let Some((first, entry)) = burst.entries.first().cloned() else { return };
        let mut message = entry.message.clone();
        let texts = burst.entries.iter().map(|(_, entry)| entry.message.text.as_str());
        let texts: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
        message.text = texts.join("\n");
        let files = burst.entries.iter().flat_map(|(_, entry)| entry.message.media.iter().cloned());
        message.media = files.collect();
        let heard = speech::heard(&message.media);
        if message.text.is_empty() && !heard.is_empty() {
            (message.text, message.spoken) = (speech::together(&heard), true);
        }
        message.mentioned |= burst.entries.iter().any(|(_, entry)| entry.message.mentioned);
        if let Some((_, last)) = burst.entries.last() {
            message.id.clone_from(&last.message.id);
        }
        // Whoever leaves has not heard it; the journal keeps it.
        let judge = burst.is_unjudged() && self.leaving.is_none();
        if judge && !self.is_named(&entry, &message) {
            return self.inbox_done(&keys);
        }
        let names = (entry.channel.as_str(), entry.account.as_str());
        let routes = match message.chat.kind {
            ChatKind::Direct => Vec::new(),
            _ => routing::broadcast(&self.config, names, &message, |agent| {
                self.is_meant(agent, &message.text)
            }),
        };
        let routes = match routes.is_empty() {
            true => vec![self.route_of(names.0, names.1, &message)],
            false => routes,
        };
        for (at, route) in routes.into_iter().enumerate() {
            let run_id = match at {
                0 => format!("ch-{first}"),
                at => format!("ch-{first}-{at}"),
            };
            if self.begin_message((&entry, burst.tries), &message, route, run_id, fx) {
                continue;
            }
            // Too many runs, or the gateway leaves: the journal keeps it.
            let due = self.now.time.after_ms(limits::CHANNEL_RETRY_MS);
            let empty = || Burst { entries: Vec::new(), due, tries: burst.tries + 1 };
            let waiting = self.channels.inbox.bursts.entry(name).or_insert_with(empty);
            waiting.entries.extend(burst.entries);
            self.timers.arm(due, Timer::Outbox);
            return;
        }
        self.forget_heard(&entry, &message);
        self.inbox_done(&keys);
        self.save_soon();
    }

    /// False when it has to wait.
    fn begin_message(
        &mut self,
        (entry, tries): (&Entry, u32),
        message: &Inbound,
        route: routing::Route,
        run_id: String,
        fx: &mut Effects,
    ) -> bool {
        if self.leaving.is_some() {
            return false;
        }
        let origin = Origin {
            channel: entry.channel.clone(),
            account: entry.account.clone(),
            to: message.to.clone(),
            message: message.id.clone(),
            kind: message.chat.kind,
            acked: false,
            unasked: false,
        };
        let digest = digest("channel", &route.key, &message.text, None);
        if !matches!(self.repeated(&run_id, digest), Repeated::No) {
            return true;
        }
        let names = (entry.channel.as_str(), entry.account.as_str());
        let rights = self.rights(entry, message);
        let may_send = self.may_send(names.0, message.chat.kind, &route.key);
        let command = Command::read(&message.text).filter(|_| self.text_commands(message));
        if command.is_some() && !rights.commands {
            let answers = message.command && may_send;
            self.refuse_command(&origin, message, answers.then_some(&run_id), fx);
            return true;
        }
        if may_send && !self.is_room_event(names.0, &route.agent, message, rights) {
            self.echo_heard(&run_id, &origin, message, fx);
        }
        let mut text = message.text.clone();
        if let Some(command) = command {
            match self.channel_command(command, &origin, &route, &run_id, digest, &text, fx) {
                None => return true,
                Some(rest) => text = rest,
            }
        }
        let quiet = !may_send || self.is_room_event(names.0, &route.agent, message, rights);
        let mut bounds = self.bounds_of_message(names, &route.agent, message);
        bounds.turns = self.turns_of(names, &route, message);
        // Nobody sees the answer of a quiet run, nor that there is one.
        let mut own_origin = serde_json::to_value(&origin).ok().filter(|_| !quiet);
        let by_tool = !message.command
            && !message.text.starts_with('/')
            && self.speaks_by_tool(message.chat.kind, &route.agent, &bounds);
        if let Some(own) = own_origin.as_mut().filter(|_| by_tool) {
            own["private"] = json!(true);
        }
        let mut prompts = self.prompts_of(names, message);
        if quiet || by_tool {
            prompts.push(ONLY_BY_TOOL.to_owned());
        }
        let ask = Ask { turns: prompts.into_iter().map(Turn::System).collect(), ..Ask::default() };
        let mut said = self.with_context(entry, message, &speech::said(message, &text));
        let (files, images) = self.files_for_model(&message.media);
        said.push_str(&files);
        let now_ms = self.now.wall_ms;
        let place = json!({"channel": entry.channel, "to": message.to, "accountId": entry.account});
        let new = NewRun {
            message: Some(said),
            images,
            digest,
            model: self.model_of(names.0, &route.key, message),
            origin: own_origin,
            sender_is_owner: rights.owner,
            bounds: Some(bounds),
            ask,
            ..NewRun::new(run_id.clone(), Cause::Channel, route.key.clone(), route.agent.clone())
        };
        match self.accept_run(new) {
            Ok(_) => {
                self.keep_place(&route.key, names, message);
                if let Some(entry) = self.sessions.get_mut(&route.key) {
                    entry.set("lastChannel", place["channel"].clone());
                    entry.set("lastTo", place["to"]["chat"].clone());
                    entry.set("lastAccountId", place["accountId"].clone());
                    entry.set("lastThreadId", place["to"]["thread"].clone());
                    entry.chat_type = Some(message.chat.kind.as_str().to_owned());
                }
                if !quiet {
                    self.begin_ack(&origin, message, &route.agent, fx);
                    let meant = message.mentioned || message.command;
                    // Where only the tool speaks, no draft of the answer is shown either.
                    if !by_tool {
                        self.begin_stream(run_id, &route.agent, origin, meant);
                    }
                }
                true
            }
            Err(_) if tries < limits::CHANNEL_TRIES => false,
            Err(_) if quiet => true,
            Err(error) => {
                self.bury(entry, &run_id, &error.message, limits::CHANNEL_TRIES);
                let text = format!("⚠️ {}", error.message);
                let notice = Delivery::notice(
                    run_id,
                    (&origin.channel, &origin.account),
                    origin.to.clone(),
                    text,
                    now_ms,
                );
                self.deliver(notice, fx);
                true
            }
        }
    }

    /// `channels.modelByChannel`, unless somebody chose a model for the session.
    fn model_of(&self, channel: &str, key: &str, message: &Inbound) -> Option<String> {
        if self.sessions.get(key).is_some_and(|entry| entry.own_model().is_some()) {
            return None;
        }
        let model = context::model(&self.config, channel, message)?;
        if !super::super::runs::model_exists(&self.config, model) {
            log::warn!(target: "channels",
                "channels.modelByChannel.{channel}: model {model} is unknown; see openclaw models");
            return None;
        }
        Some(model.to_owned())
    }

    /// How much of a direct conversation its model is told; the main session is never cut.
    fn turns_of(
        &self,
        (channel, account): (&str, &str),
        route: &routing::Route,
        message: &Inbound,
    ) -> Option<usize> {
        let main = crate::sessions::key::main(&route.agent, &self.config.session.main_key);
        if message.chat.kind != ChatKind::Direct || route.key == main {
            return None;
        }
        let live = self.channels.find(channel, account).and_then(|id| self.channels.get(id))?;
        let mut peers = message.sender.ids.clone();
        peers.extend(route.key.rsplit(':').next().map(str::to_owned));
        context::direct_turns(&live.account, &peers)
    }

    /// Keeps a message for which no run could be begun.
    fn bury(&mut self, entry: &Entry, run: &str, why: &str, attempts: u32) {
        let now_ms = self.now.wall_ms;
        let letter = Letter {
            id: run.trim_start_matches("ch-").to_owned(),
            direction: "inbound".to_owned(),
            channel_id: entry.channel.clone(),
            account_id: entry.account.clone(),
            lane: entry.message.chat.id.clone(),
            reason: why.to_owned(),
            attempts,
            received_at: entry.message.sent_ms,
            failed_at: now_ms,
            resubmits: 0,
            payload: serde_json::to_value(entry).unwrap_or_default(),
        };
        if let Err(error) = self.channels.dead.add(self.disk.as_mut(), &letter) {
            log::error!(target: "store", "dead-letters.jsonl: {error}");
        }
    }

    /// Takes a message that was given up on once more, under a key of its own: its run is
    /// another one.
    ///
    /// # Errors
    /// When the record is none, or the disk refuses.
    pub(super) fn take_again(&mut self, letter: &Letter, fx: &mut Effects) -> Result<(), String> {
        let entry = serde_json::from_value::<Entry>(letter.payload.clone());
        let entry = entry.map_err(|error| format!("its record is damaged: {error}"))?;
        let key = format!("{}~{}", letter.id, self.now.wall_ms);
        let journal = &mut self.channels.inbox.journal;
        journal
            .accept(self.disk.as_mut(), &key, letter.payload.clone())
            .map_err(|error| format!("it could not be written: {error}"))?;
        self.put_together(key, entry, fx);
        Ok(())
    }

    /// A command of somebody who may give none: a service that shows commands in a menu wants an
    /// answer, under the id of its run; what was typed is nobody's business, the model's neither.
    fn refuse_command(
        &mut self,
        origin: &Origin,
        message: &Inbound,
        answers: Option<&String>,
        fx: &mut Effects,
    ) {
        let who = message.sender.ids.first().map_or("somebody", String::as_str);
        let line = format!(
            "a command of {who} in {} is not obeyed: commands.allowFrom, or a list of who may \
             speak there, has to name them",
            origin.to.chat
        );
        speak::say(log::Level::Info, &origin.channel, &origin.account, &line);
        if let Some(run_id) = answers {
            let text = "⚠️ You are not authorized to use this command.".to_owned();
            self.say_by_channel(run_id, origin, text, fx);
        }
    }

    fn text_commands(&self, message: &Inbound) -> bool {
        message.command || self.config.chat.commands.get("text") != Some(&Value::Bool(false))
    }

    /// What the model reads: what was said since, what is answered, who speaks in a group, what
    /// came with it.
    fn with_context(&self, entry: &Entry, message: &Inbound, text: &str) -> String {
        let mut out = self.heard(entry, message);
        let name = message.sender.name.as_deref().filter(|_| message.chat.kind != ChatKind::Direct);
        if let Some(name) = name {
            out.push_str(&format!("{name}: "));
        }
        out.push_str(text);
        if let Some(quote) = message.reply_to.as_ref().filter(|_| self.quotes(entry, message)) {
            let whom = quote.sender.as_deref().unwrap_or("an earlier message");
            let text: String = quote.text.chars().take(limits::CHANNEL_QUOTE_CHARS).collect();
            out.push_str(&format!("\n\n[Replying to {whom} id:{}]\n{text}\n[/Replying]", quote.id));
        }
        out
    }

    /// Obeys a command; `None` when that was all, else what is left for the model.
    #[expect(clippy::too_many_arguments, reason = "each says something else")]
    fn channel_command(
        &mut self,
        command: Command<'_>,
        origin: &Origin,
        route: &routing::Route,
        run_id: &str,
        digest: [u8; 32],
        said: &str,
        fx: &mut Effects,
    ) -> Option<String> {
        let call = Call {
            conn: NOBODY,
            request: "",
            key: route.key.clone(),
            agent: route.agent.clone(),
            run_id: run_id.to_owned(),
            digest,
            said,
        };
        let text = match command.name {
            Name::Stop => {
                let stopped = self.abort_session(&route.key, None, fx).run_ids.len();
                match stopped {
                    0 => "⚙️ Nothing was running.".to_owned(),
                    1 => "⚙️ Stopped 1 run.".to_owned(),
                    n => format!("⚙️ Stopped {n} runs."),
                }
            }
            Name::Whoami => {
                format!("You write by {} in {}.", origin.channel, origin.to.chat)
            }
            _ => match self.obey_channel(command, &call, fx) {
                Ok(Outcome::Go(rest)) => return Some(rest),
                Ok(Outcome::Say(text)) => {
                    self.answer_command(&call, &text, true, fx);
                    text
                }
                Ok(Outcome::Fresh(text)) => {
                    self.answer_command(&call, &text, false, fx);
                    text
                }
                Ok(Outcome::Compact(focus)) => {
                    let to = serde_json::to_value(origin).unwrap_or_default();
                    let asker = Asker::Channel(said.to_owned(), to);
                    let whose = (route.key.as_str(), route.agent.as_str());
                    let id = (run_id.to_owned(), digest);
                    match self.start_compaction(whose, id, &focus, asker, false) {
                        Ok(true) => return None,
                        Ok(false) => TOO_SMALL.to_owned(),
                        Err(error) => format!("⚠️ {}", error.message),
                    }
                }
                Err(error) => format!("⚠️ {}", error.message),
            },
        };
        if self.may_send(&origin.channel, origin.kind, &route.key) {
            self.say_by_channel(run_id, origin, text, fx);
        }
        None
    }

    fn say_by_channel(&mut self, id: &str, origin: &Origin, text: String, fx: &mut Effects) {
        let now_ms = self.now.wall_ms;
        let names = (origin.channel.as_str(), origin.account.as_str());
        let answer = Delivery::notice(id.to_owned(), names, origin.to.clone(), text, now_ms);
        self.deliver(answer, fx);
    }

    /// The answer to a command that took its time.
    pub(in crate::gateway) fn answer_by_channel(
        &mut self,
        id: &str,
        origin: &Value,
        text: String,
        fx: &mut Effects,
    ) {
        if let Ok(origin) = serde_json::from_value::<Origin>(origin.clone()) {
            self.say_by_channel(id, &origin, text, fx);
        }
    }
}
