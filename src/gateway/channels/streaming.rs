//! Answers while they are written: blocks, previews, and the sign that somebody types.
//!
//! ```text
//!   run begins --> Stream, by the keys of its account and agent
//!   events of the run --+-- blocks on: [draft::Chunker], [draft::Coalescer] --> deliveries
//!                       +-- preview: [draft::Pace] --> one message, sent, then edited
//!                       +-- typing, now and then
//!   run over --> what no block has said is the answer; it takes the preview's place
//! ```
//!
//! A stream is a convenience: nothing of it ever stops, delays or fails a run. What is durable
//! about it stands in the outbox's journal: blocks as deliveries of their own, and the message of
//! a preview in [`drafts`](super::drafts). While the gateway leaves, no preview is begun.

use super::super::Gateway;
use super::super::runs::Active;
use super::super::timers::Timer;
use super::LiveId;
use super::drafts::{Mark, block_id};
use super::outbound::{ActWait, Delivery, Origin};
use super::shown::{
    Blocks, Mode, Post, Preview, SILENT, Stream, Typing, TypingMode, Way, chunking, mode_of,
    number, shorten, sign, silent_so_far, status, throttle_ms,
};
use crate::agent::run::RunEvent;
use crate::channels::draft::{Block, Chunker, Coalescer, Pace};
use crate::channels::{Account, Act, ChatKind, Failure, Kind, Retry, State, text};
use crate::driver::{Effects, Time};
use crate::limits;
use serde_json::Value;
use std::collections::BTreeMap;

/// Something asked of an account for a preview, and until when an answer of its run waits for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) live: LiveId,
    pub(super) until: Time,
    pub(super) post: bool,
}

/// Every answer that is being written.
#[derive(Default)]
pub(in crate::gateway) struct Streams {
    by_run: BTreeMap<String, Stream>,
    /// What previews have under way.
    flights: BTreeMap<String, Flight>,
}

impl Streams {
    /// A preview asked for something.
    pub(super) fn flies(&mut self, run: &str, flight: Flight) {
        self.flights.insert(run.to_owned(), flight);
    }

    /// Until when the answer of a run waits for what its preview has under way.
    pub(super) fn closing(&self, run: &str) -> Option<Time> {
        self.flights.get(run).map(|flight| flight.until)
    }

    /// What an account had under way is not heard of any more.
    pub(super) fn give_back(&mut self, id: LiveId) {
        for (run, flight) in self.flights.extract_if(.., |_, flight| flight.live == id) {
            if flight.post
                && let Some(Way::Preview(preview)) = self.by_run.get_mut(&run).map(|it| &mut it.way)
            {
                preview.lost();
            }
        }
    }
}

impl Gateway {
    /// A key of replies: the agent's, else everybody's.
    fn reply_key(&self, agent: &str, key: &str) -> Option<&Value> {
        let replies = &self.config.chat.replies;
        let own = replies.get("agents").and_then(|all| all.get(agent)?.get(key));
        own.or_else(|| replies.get("defaults")?.get(key))
    }

    /// A run that came by a channel is accepted: what of it is shown until its answer.
    pub(super) fn begin_stream(
        &mut self,
        run: String,
        agent: &str,
        origin: Origin,
        mentioned: bool,
    ) {
        let Some(id) = self.channels.find(&origin.channel, &origin.account) else { return };
        let Some(live) = self.channels.get(id) else { return };
        let way = self.way(agent, &origin, live.kind, &live.account);
        let typing = self.typing_of(agent, &origin, mentioned, live.kind);
        let stream = Stream { origin, agent: agent.to_owned(), typing, way };
        self.channels.streams.by_run.insert(run, stream);
    }

    fn typing_of(&self, agent: &str, origin: &Origin, mentioned: bool, kind: &Kind) -> Typing {
        let session = self.config.chat.replies.get("session");
        let of = |key: &str| {
            self.reply_key(agent, key).or_else(|| session.and_then(|session| session.get(key)))
        };
        let mode = match of("typingMode").and_then(Value::as_str) {
            _ if !kind.caps.typing => TypingMode::Never,
            Some("never") => TypingMode::Never,
            Some("instant") => TypingMode::Instant,
            Some("thinking") => TypingMode::Thinking,
            Some("message") => TypingMode::Message,
            _ if origin.kind == ChatKind::Direct || mentioned => TypingMode::Instant,
            _ => TypingMode::Message,
        };
        let every = of("typingIntervalSeconds").and_then(Value::as_u64);
        let every_ms = every.map_or(limits::CHANNEL_TYPING_MS, |s| s.saturating_mul(1000));
        Typing { mode, every_ms: every_ms.max(1000), due: None }
    }

    fn way(&self, agent: &str, origin: &Origin, kind: &Kind, account: &Account) -> Way {
        let explicit = account.flag("streaming.block.enabled");
        let key = |name: &str| self.reply_key(agent, name);
        let inherited = key("blockStreamingDefault").and_then(Value::as_str) == Some("on");
        let (mode, said) = mode_of(kind, account);
        let acts = ["editMessage", "deleteMessage", "messages"];
        let may = acts.iter().all(|act| account.flag(&format!("actions.{act}")) != Some(false));
        // An answer to a command of Discord's own has its waiting message already.
        let own = origin.to.thread.as_deref().is_some_and(|it| it.starts_with("interaction:"));
        let mode = mode.filter(|_| may && !own);
        match (explicit, mode) {
            (Some(true), _) => Way::Blocks(Box::new(self.blocks(agent, kind, account))),
            (_, Some(mode)) if said || !inherited => {
                Way::Preview(Box::new(self.preview(agent, origin, mode, kind, account)))
            }
            (None, _) if inherited => Way::Blocks(Box::new(self.blocks(agent, kind, account))),
            (_, Some(mode)) => {
                Way::Preview(Box::new(self.preview(agent, origin, mode, kind, account)))
            }
            _ => Way::Whole,
        }
    }

    fn blocks(&self, agent: &str, kind: &Kind, account: &Account) -> Blocks {
        let key = |name: &str| self.reply_key(agent, name);
        let most = account.number("textChunkLimit").and_then(|n| usize::try_from(n).ok());
        let most = most.map_or(kind.text_limit, |most| most.min(kind.text_limit));
        let rules = chunking(key("blockStreamingChunk"), (800, 1200), kind, most);
        let own = account.get("streaming.block.coalesce");
        let shared = key("blockStreamingCoalesce");
        let of = |name: &str| number(own, name).or_else(|| number(shared, name));
        let min = of("minChars").or(kind.writing.block_min).unwrap_or(rules.min);
        let usual = if kind.writing.block_min.is_some() { most } else { rules.max };
        let max = of("maxChars").unwrap_or(usual).min(most);
        let idle = of("idleMs").map_or(1000, |ms| ms as u64);
        let delay = key("humanDelay");
        let bound = |name: &str, usual: u64| {
            delay.and_then(|delay| delay.get(name)?.as_u64()).unwrap_or(usual).min(60_000)
        };
        let pause = match delay.and_then(|delay| delay.get("mode")?.as_str()) {
            Some("natural") => Some((800, 2500)),
            Some("custom") => Some((bound("minMs", 800), bound("maxMs", 2500))),
            _ => None,
        };
        Blocks {
            coalescer: Coalescer::new((min, max, idle), rules.prefer.joiner(), kind.length),
            chunker: Chunker::new(rules),
            at_end: key("blockStreamingBreak").and_then(Value::as_str) == Some("message_end"),
            taken: String::new(),
            number: 0,
            pause,
            last: Time(0),
        }
    }

    fn preview(
        &self,
        agent: &str,
        origin: &Origin,
        mode: Mode,
        kind: &Kind,
        account: &Account,
    ) -> Preview {
        let most = account.number("textChunkLimit").and_then(|n| usize::try_from(n).ok());
        let most = most.map_or(kind.text_limit, |most| most.min(kind.text_limit));
        let rules = chunking(account.get("streaming.preview.chunk"), (200, 800), kind, most);
        let first = if mode == Mode::Progress { usize::MAX } else { limits::DRAFT_FIRST_CHARS };
        Preview {
            mode,
            pace: Pace::new(throttle_ms(kind, origin.kind), first, limits::DRAFT_FIRST_MS),
            post: Post::None,
            before: String::new(),
            failures: 0,
            prefix: self.response_prefix(agent, origin),
            said: String::new(),
            coalescer: Coalescer::new(
                (rules.max, rules.max, u64::MAX / 4_000),
                rules.prefer.joiner(),
                kind.length,
            ),
            chunker: Chunker::new(rules),
            taken: String::new(),
            anew: false,
            complete: None,
            status: status(mode, kind, account, &origin.message),
        }
    }

    /// What a run told goes to its conversation.
    pub(in crate::gateway) fn stream_run(&mut self, run: &Active, events: &[RunEvent]) {
        let now = self.now.time;
        let Some(stream) = self.channels.streams.by_run.get_mut(&run.id) else { return };
        let Some(machine) = run.machine.as_ref() else { return };
        let said = machine.text();
        let mut turn = false;
        let mut shows = false;
        for event in events {
            match event {
                RunEvent::Over(_) => return,
                RunEvent::Model(_) => stream.typing.reach(now, TypingMode::Instant),
                RunEvent::Reasoning(_) => stream.typing.reach(now, TypingMode::Thinking),
                RunEvent::Text(_) => {
                    shows = true;
                    if !silent_so_far(said) {
                        stream.typing.reach(now, TypingMode::Message);
                    }
                }
                RunEvent::Turn => {
                    turn = true;
                    stream.typing.reach(now, TypingMode::Message);
                }
                RunEvent::Restart | RunEvent::ToolCall { .. } | RunEvent::Retrying { .. } => {}
            }
        }
        let mut blocks = Vec::new();
        let mut anew = turn;
        match &mut stream.way {
            Way::Whole => {}
            Way::Blocks(way) if shows || turn => {
                let quiet = turn && silent_so_far(said);
                blocks = if quiet { Vec::new() } else { way.feed(now, said, turn) };
                if turn {
                    way.fresh();
                }
            }
            Way::Preview(preview) if shows || turn => {
                preview.feed(now, said, turn);
                if turn {
                    preview.turn(now, said);
                }
                anew |= std::mem::take(&mut preview.anew);
            }
            _ => {}
        }
        for (block, mark) in blocks {
            self.send_block(&run.id, block, &mark);
        }
        let outbox = &mut self.channels.outbox;
        if anew && outbox.draft(&run.id).is_some_and(|draft| draft.mark.is_some()) {
            // Messages of a turn before, or of what a retry says otherwise, are no part of it.
            outbox.change(self.disk.as_mut(), &run.id, |draft| {
                draft.mark = None;
                draft.stale.append(&mut draft.done);
            });
        }
        self.look_at(now);
    }

    /// A tool of a run begins.
    pub(in crate::gateway) fn stream_tool(
        &mut self,
        run: &str,
        (name, title): (&str, &str),
        detail: Option<&str>,
    ) {
        let now = self.now.time;
        let Some(stream) = self.channels.streams.by_run.get_mut(run) else { return };
        stream.typing.reach(now, TypingMode::Message);
        if let Way::Preview(preview) = &mut stream.way {
            preview.status.works = true;
            if preview.status.tools {
                let command = matches!(name, "exec" | "process");
                let detail = detail.filter(|_| preview.status.raw || !command);
                let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
                let line = format!("{} {title}{detail}", sign(name));
                let line = shorten(&line, preview.status.max_chars);
                preview.status.line(&line);
            }
            preview.show(now);
        }
        self.timers.arm(now, Timer::Outbox);
    }

    /// A block of an answer is a delivery of its own.
    fn send_block(&mut self, run: &str, block: Block, mark: &Mark) {
        let Some(stream) = self.channels.streams.by_run.get(run) else { return };
        let (origin, agent) = (stream.origin.clone(), stream.agent.clone());
        let Way::Blocks(way) = &stream.way else { return };
        let (number, pause, last) = (way.number, way.pause, way.last);
        let mut text = block.text;
        if number == 0
            && let Some(prefix) = self.response_prefix(&agent, &origin)
        {
            text = format!("{prefix} {text}");
        }
        let id = block_id(run, number, mark);
        let mut delivery = self.reply(&id, &origin, text);
        if number > 0 && !self.replies_to_all(&origin) {
            delivery.reply_to = None;
        }
        let mut due = self.now.time;
        if let Some((least, most)) = pause.filter(|_| number > 0) {
            let mut seed = [0; 8];
            self.entropy.fill(&mut seed);
            let span = most.saturating_sub(least).saturating_add(1);
            let ms = least.saturating_add(u64::from_le_bytes(seed) % span);
            due = due.max(last.after_ms(ms));
        }
        if let Some(Way::Blocks(way)) =
            self.channels.streams.by_run.get_mut(run).map(|stream| &mut stream.way)
        {
            way.number += 1;
            way.last = due;
        }
        if let Err(why) = self.queue_delivery_at(delivery, due) {
            log::error!(target: "channels", "a block of an answer is lost: {why}");
        }
    }

    fn replies_to_all(&self, origin: &Origin) -> bool {
        let live = self.channels.find(&origin.channel, &origin.account);
        let mode = live.and_then(|id| self.channels.get(id)?.account.text("replyToMode"));
        matches!(mode, Some("all"))
    }

    /// A run is over and says this: what of it is to be sent still, and whether some of it is
    /// there already.
    pub(super) fn end_stream(&mut self, run: &str, said: &str, failed: bool) -> (String, bool) {
        let now = self.now.time;
        let Some(mut stream) = self.channels.streams.by_run.remove(run) else {
            return (said.to_owned(), false);
        };
        if let Way::Blocks(way) = &mut stream.way
            && !SILENT.contains(&said.trim())
        {
            let (blocks, left, begun) = way.finish(now, said);
            self.channels.streams.by_run.insert(run.to_owned(), stream);
            for (block, mark) in blocks {
                self.send_block(run, block, &mark);
            }
            self.channels.streams.by_run.remove(run);
            return (left, begun);
        }
        if let Way::Preview(preview) = &stream.way {
            let kind = crate::channels::find(&stream.origin.channel);
            let keeps = failed && kind.is_some_and(|kind| kind.writing.keeps_failed);
            let (disk, outbox) = (self.disk.as_mut(), &mut self.channels.outbox);
            if keeps && preview.mode == Mode::Progress {
                // It is the record of what went wrong.
                outbox.forget(disk, run);
            } else if outbox.draft(run).is_some_and(|it| it.replace != preview.replaces()) {
                outbox.change(disk, run, |draft| draft.replace = preview.replaces());
            }
        }
        self.channels.outbox.rest_of(self.disk.as_mut(), run, said)
    }

    /// What is due: typing, blocks that waited for more, edits of previews.
    pub(super) fn streams_due(&mut self, fx: &mut Effects) {
        let now = self.now.time;
        let runs = &self.runs;
        self.channels.streams.by_run.retain(|run, _| runs.by_id(run).is_some());
        let mut blocks: Vec<(String, Block, Mark)> = Vec::new();
        let mut previews = Vec::new();
        let mut types = Vec::new();
        for (run, stream) in &mut self.channels.streams.by_run {
            if stream.typing.due.is_some_and(|due| due <= now) {
                stream.typing.due = Some(now.after_ms(stream.typing.every_ms));
                types.push(stream.origin.clone());
            }
            match &mut stream.way {
                Way::Whole => {}
                Way::Blocks(way) => {
                    let block = way.coalescer.take(now).into_iter().collect();
                    let block = way.marked(block).into_iter();
                    blocks.extend(block.map(|(block, mark)| (run.clone(), block, mark)));
                }
                Way::Preview(_) => previews.push(run.clone()),
            }
        }
        for origin in types {
            self.show_typing(origin, fx);
        }
        for (run, block, mark) in blocks {
            self.send_block(&run, block, &mark);
        }
        for run in previews {
            self.preview_step(&run, fx);
        }
        let streams = &self.channels.streams;
        let next = streams.by_run.iter().filter_map(|(run, stream)| {
            let way = match &stream.way {
                Way::Whole => None,
                Way::Blocks(way) => way.coalescer.due(),
                Way::Preview(_) if streams.flights.contains_key(run) => None,
                Way::Preview(preview) if preview.post == Post::Gone => None,
                Way::Preview(preview) => preview.pace.due(),
            };
            [way, stream.typing.due].into_iter().flatten().min()
        });
        if let Some(due) = next.min() {
            // What could not be done now is tried again soon.
            self.look_at(due.max(now.after_ms(200)));
        }
    }

    fn show_typing(&mut self, origin: Origin, fx: &mut Effects) {
        let Some(id) = self.channels.find(&origin.channel, &origin.account) else { return };
        if self.channels.get(id).is_some_and(|live| live.state == State::Connected) {
            self.act(id, &Act::Typing { to: origin.to }, ActWait::Nobody, fx);
        }
    }

    /// Sends or edits the message of a preview, if it is time.
    fn preview_step(&mut self, run: &str, fx: &mut Effects) {
        let now = self.now.time;
        if self.leaving.is_some() || self.channels.streams.flights.contains_key(run) {
            return;
        }
        let Some(stream) = self.channels.streams.by_run.get(run) else { return };
        let origin = stream.origin.clone();
        let Some(id) = self.channels.find(&origin.channel, &origin.account) else { return };
        let Some(live) = self.channels.get(id) else { return };
        if !live.running || live.state != State::Connected {
            return;
        }
        let (kind, limit) = (live.kind, live.account.number("textChunkLimit"));
        let limit = limit.and_then(|n| usize::try_from(n).ok());
        // A preview does not overtake what waits for its conversation.
        let waits = self.channels.outbox.has_line(&origin);
        let Some(stream) = self.channels.streams.by_run.get_mut(run) else { return };
        let Way::Preview(preview) = &mut stream.way else { return };
        if preview.post == Post::Gone || matches!(preview.post, Post::None) && waits {
            return;
        }
        if let Some(block) = preview.complete.take_if(|block| {
            preview.pace.shown().ends_with(block.text.as_str())
                && matches!(preview.post, Post::Known(_))
        }) {
            return self.rotate(run, &block);
        }
        let before = preview.pace.shown().to_owned();
        let Some(text) = preview.pace.take(now).map(str::to_owned) else { return };
        let first = |text: &str| text::for_channel(kind, text, limit, false).into_iter().next();
        let Some((rendered, plain)) = first(&text) else { return };
        if !before.is_empty() && first(&before).is_some_and(|(old, _)| old == rendered) {
            return;
        }
        preview.before = before;
        match preview.post.clone() {
            Post::None => self.first_post(run, id, &origin, &plain, fx),
            Post::Doubt(_) if !kind.caps.finds => preview.post = Post::Gone,
            Post::Doubt(text) => {
                // What is found says what was sent then.
                preview.pace.failed(now, &text);
                self.post_draft(id, run, &text, true, fx);
            }
            Post::Known(message) => {
                let act = Act::Edit { to: origin.to, message, text: rendered };
                let until = now.after_ms(limits::DRAFT_PATIENCE_MS);
                self.channels.streams.flies(run, Flight { live: id, until, post: false });
                self.act(id, &act, ActWait::Preview { run: run.to_owned() }, fx);
            }
            Post::Gone => {}
        }
    }

    /// The message is not there yet: the journal first.
    fn first_post(
        &mut self,
        run: &str,
        live: LiveId,
        origin: &Origin,
        plain: &str,
        fx: &mut Effects,
    ) {
        let mut draft = self.channels.outbox.draft(run).cloned().unwrap_or_default();
        let Some(stream) = self.channels.streams.by_run.get_mut(run) else { return };
        let Way::Preview(preview) = &mut stream.way else { return };
        draft.posting = Some(plain.to_owned());
        draft.message = None;
        draft.replace = preview.replaces();
        let mut delivery = self.reply(&super::drafts::draft_id(run), origin, String::new());
        delivery.draft = Some(draft);
        let held = self.channels.outbox.hold(self.disk.as_mut(), run, delivery);
        if let Err(error) = held {
            log::error!(target: "store", "outbox.jsonl: {error}; no preview");
            if let Some(Stream { way: Way::Preview(preview), .. }) =
                self.channels.streams.by_run.get_mut(run)
            {
                preview.post = Post::Gone;
            }
            return;
        }
        self.save_soon();
        self.post_draft(live, run, plain, false, fx);
    }

    /// The message of a preview is complete and stays; the next one begins below it.
    fn rotate(&mut self, run: &str, block: &Block) {
        let now = self.now.time;
        let Some(stream) = self.channels.streams.by_run.get_mut(run) else { return };
        let Way::Preview(preview) = &mut stream.way else { return };
        let upto = block.upto;
        let mark = Mark::of(&preview.taken, upto);
        preview.post = Post::None;
        preview.pace.fresh();
        preview.prefix = None;
        let said = std::mem::take(&mut preview.said);
        preview.cut(now, &said, false);
        preview.said = said;
        preview.show(now);
        self.channels.outbox.change(self.disk.as_mut(), run, |draft| {
            draft.done.extend(draft.message.take());
            draft.mark = Some(mark);
            draft.number += 1;
        });
        self.timers.arm(now, Timer::Outbox);
    }

    /// The message of a preview was sent, or not.
    pub(super) fn draft_posted(&mut self, piece: &str, result: Result<String, Failure>) {
        let Some((run, _)) = piece.strip_prefix("draft:").and_then(|it| it.rsplit_once('#')) else {
            return;
        };
        let now = self.now.time;
        self.channels.streams.flights.remove(run);
        self.timers.arm(now, Timer::Outbox);
        if let Err(failure) = &result {
            self.note_rest(run, failure);
        }
        let Some(Stream { way: Way::Preview(preview), .. }) =
            self.channels.streams.by_run.get_mut(run)
        else {
            return self.late_post(run, &result);
        };
        let posted = preview.pace.shown().to_owned();
        match result {
            Ok(message) => {
                preview.failures = 0;
                preview.post = Post::Known(message.clone());
                self.channels.outbox.change(self.disk.as_mut(), run, |draft| {
                    draft.message = Some(message);
                    draft.posting = None;
                });
                self.save_soon();
            }
            Err(failure) => {
                preview.failures += 1;
                let (wait, certain) = match failure.retry {
                    Retry::After(ms) => (ms.max(1), true),
                    Retry::Later => (2_000, false),
                    Retry::No => (0, true),
                };
                let sure = certain && !matches!(preview.post, Post::Doubt(_));
                preview.pace.failed(now.after_ms(wait), "");
                if !certain && preview.post == Post::None {
                    preview.post = Post::Doubt(posted);
                }
                if failure.retry == Retry::No || preview.failures >= limits::DRAFT_FAILURES {
                    preview.post = Post::Gone;
                }
                if sure {
                    self.channels.outbox.change(self.disk.as_mut(), run, |it| it.posting = None);
                }
            }
        }
    }

    /// An edit of a preview is over.
    pub(super) fn preview_edited(&mut self, run: &str, result: Result<Value, Failure>) {
        let now = self.now.time;
        self.channels.streams.flights.remove(run);
        self.timers.arm(now, Timer::Outbox);
        if let Err(failure) = &result {
            self.note_rest(run, failure);
        }
        let Some(stream) = self.channels.streams.by_run.get_mut(run) else { return };
        let Way::Preview(preview) = &mut stream.way else { return };
        let Err(failure) = result else {
            preview.failures = 0;
            return;
        };
        preview.failures += 1;
        let before = std::mem::take(&mut preview.before);
        let wait = match failure.retry {
            Retry::After(ms) => ms.max(1),
            Retry::Later | Retry::No => 2_000,
        };
        preview.pace.failed(now.after_ms(wait), &before);
        if failure.retry == Retry::No || preview.failures >= limits::DRAFT_FAILURES {
            preview.post = Post::Gone;
            let (channel, account) = (&stream.origin.channel, &stream.origin.account);
            let line = format!("a preview was not edited: {}", failure.what);
            super::speak::say(log::Level::Info, channel, account, &line);
        }
    }
}

/// What a delivery has of this room.
pub(super) fn tidies(delivery: &Delivery) -> bool {
    delivery.draft.is_some()
}

#[cfg(test)]
#[path = "streaming_tests.rs"]
mod tests;
