//! Acceptance: a run is taken on, journalled, and stands in its session's line.

use super::super::Gateway;
use super::super::heartbeat::{Beat, mark_poll};
use super::super::timers::Armed;
use super::models::candidates;
use super::queue::QueueMode;
use super::{Active, Cause, retry};
use crate::agent::tools::loops::LoopGuard;
use crate::agent::turn::{Part, Turn, text_of_parts};
use crate::agent::{Ask, Thinking, value_bytes};
use crate::channels::bounds::Bounds;
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::sessions::{Appended, Entry};
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};
use std::io;

/// What a run costs beside its texts: ids, keys, tables.
const RUN_BYTES: usize = 1024;

/// A run about to be accepted.
pub(in crate::gateway) struct NewRun {
    /// `runId`; for `chat.send` and `agent` the idempotency key.
    pub(in crate::gateway) id: String,
    pub(in crate::gateway) cause: Cause,
    /// Canonical session key.
    pub(in crate::gateway) key: String,
    pub(in crate::gateway) agent: String,
    /// For a new session.
    pub(in crate::gateway) session_id: Option<String>,
    /// The conversation is kept in a transcript.
    pub(in crate::gateway) keep: bool,
    /// What the person said; an HTTP request has it in `ask`.
    pub(in crate::gateway) message: Option<String>,
    /// Images beside it: media type and base64.
    pub(in crate::gateway) images: Vec<(String, String)>,
    /// Turns, tools and sampling of the request itself.
    pub(in crate::gateway) ask: Ask,
    /// `provider/model` instead of the agent's choice.
    pub(in crate::gateway) model: Option<String>,
    pub(in crate::gateway) timeout_ms: Option<u64>,
    /// `client.id` and `client.mode` of the sender.
    pub(in crate::gateway) client: Option<(&'static str, &'static str)>,
    /// Digest of the input, to tell a repetition from a conflict.
    pub(in crate::gateway) digest: [u8; 32],
    /// It is a heartbeat: nobody said anything.
    pub(in crate::gateway) beat: Option<Beat>,
    /// Where its answer goes, if it came by a channel; the journal has it too.
    pub(in crate::gateway) origin: Option<Value>,
    /// What it is held to beside its agent's policies; `None` asks its session.
    pub(in crate::gateway) bounds: Option<Bounds>,
    /// Whoever wrote it owns this gateway.
    pub(in crate::gateway) sender_is_owner: bool,
    /// What it does when its session is busy; `None` leaves it to the configuration.
    pub(in crate::gateway) mode: Option<QueueMode>,
}

impl NewRun {
    /// A run whose conversation is kept, and nothing else said of it yet.
    pub(in crate::gateway) fn new(id: String, cause: Cause, key: String, agent: String) -> Self {
        Self {
            id,
            cause,
            key,
            agent,
            session_id: None,
            keep: true,
            message: None,
            images: Vec::new(),
            ask: Ask::default(),
            model: None,
            timeout_ms: None,
            client: None,
            digest: [0; 32],
            origin: None,
            bounds: None,
            sender_is_owner: true,
            beat: None,
            mode: None,
        }
    }

    /// Work that was acknowledged before its outcome; an HTTP client sees the outcome itself.
    fn cause_is_journalled(&self) -> bool {
        !matches!(self.cause, Cause::Http(_))
    }
}

/// What became of the message of a run.
enum Kept {
    /// There is none.
    Nothing,
    /// It goes to the transcript when the run begins.
    Later(Value),
    /// It stands there.
    Said(Value, Appended),
}

impl Gateway {
    /// Takes a run on: after this it will have exactly one outcome. It begins at the end of the
    /// turn.
    ///
    /// # Errors
    /// `UNAVAILABLE`, and nothing was kept: the gateway leaves, too many runs, too many bytes,
    /// the disk.
    pub(in crate::gateway) fn accept_run(&mut self, mut new: NewRun) -> Result<u64, ErrorShape> {
        if self.leaving.is_some() {
            let error = ErrorShape::unavailable("the gateway is stopping; try again in a moment");
            return Err(retry(error.with(json!({"reason": "gateway-restarting"}))));
        }
        let mode = self.queue_mode(&new);
        let waiting = self.runs.lines.get(&new.key).map_or(0, VecDeque::len);
        let cap = self.config.messages.queue.cap.min(limits::RUNS_QUEUED_PER_SESSION);
        let full = waiting > cap && !self.makes_room(&new.key, mode);
        if self.runs.active.len() >= limits::RUNS || full {
            return Err(retry(ErrorShape::unavailable(format!(
                "{} runs are active and {waiting} wait in this session; try again later",
                self.runs.active.len()
            ))));
        }
        if new.keep && waiting == 0 {
            self.end_if_stale(&new.key);
        }
        let own_model = self.sessions.get(&new.key).filter(|_| new.keep);
        let model = new.model.clone().or(own_model.and_then(Entry::own_model));
        if let Some(entry) = own_model.filter(|_| new.ask.thinking.is_none()) {
            new.ask.thinking = entry.thinking_level.as_deref().and_then(Thinking::parse);
        }
        let mut candidates = candidates(&self.config, &new.agent, model.as_deref());
        self.arrange_keys(&mut candidates);
        let now_ms = self.now.wall_ms;
        let said = new.keep.then(|| user_message(&new, now_ms)).flatten();
        let copies = 1 + usize::from(new.cause_is_journalled());
        let own = RUN_BYTES + said.as_ref().map_or(0, |said| copies * value_bytes(said));
        let asked = new.ask.bytes() + self.context_bytes(&new, waiting);
        if !self.has_room_for(own + asked) {
            return Err(retry(ErrorShape::unavailable(
                "the gateway holds as much as it may (limit memory); try again later",
            )));
        }
        let session_id = self.session_of(&new);
        let (unsaid, said) = match self.keep_message(&new, said, waiting > 0)? {
            Kept::Nothing => (None, None),
            Kept::Later(message) => (Some(message), None),
            Kept::Said(message, at) => (None, Some((message, at))),
        };
        let (number, cause) = (self.runs.next, new.cause);
        self.runs.next += 1;
        let timeout_ms = self
            .config
            .agents
            .defaults
            .timeout_seconds
            .saturating_mul(1000)
            .min(new.timeout_ms.filter(|ms| *ms > 0).unwrap_or(u64::MAX));
        let item = self.uuid();
        let bounds = new.bounds.take();
        let bounds = bounds.unwrap_or_else(|| self.bounds_of(&new.key, &new.agent));
        let standing = self.standing_of(&new.key, mode, &bounds);
        let loops = LoopGuard::new(&self.config, &new.agent);
        let mut run = Active {
            number,
            voice: super::super::voice::Voice::new(&new, item),
            id: new.id.clone(),
            cause: new.cause,
            key: new.key.clone(),
            agent: new.agent,
            session_id,
            keep: new.keep,
            unsaid,
            said,
            spoken: None,
            ask: Some(new.ask),
            candidates,
            timeout_ms,
            machine: None,
            digest: new.digest,
            origin: new.origin,
            answers: Vec::new(),
            accepted_ms: now_ms,
            started_ms: now_ms,
            mode,
            standing,
            bounds,
            turn: None,
            loops,
            circling: None,
            tools_used: Vec::new(),
            spare: None,
            compacted: false,
            round: 1,
            called: BTreeSet::new(),
            begun: false,
            armed: Armed::default(),
            dial: None,
            upstream: None,
            own,
            asked,
            held: 0,
        };
        self.runs.count(&mut run, own + asked);
        self.runs.active.insert(number, Box::new(run));
        self.runs.by_id.insert(new.id, number);
        self.stand_in_line(number, &new.key, mode);
        self.run_accepted(cause.word());
        self.save_soon();
        Ok(number)
    }

    /// Journals a message and, unless its run has to wait, appends it to the transcript.
    fn keep_message(
        &mut self,
        new: &NewRun,
        message: Option<Value>,
        waits: bool,
    ) -> Result<Kept, ErrorShape> {
        let Some(message) = message else { return Ok(Kept::Nothing) };
        if self.faults.acknowledge_before_append {
            return Ok(Kept::Later(message));
        }
        if new.cause_is_journalled() {
            let digest = crate::wire::hash::hex(&new.digest);
            let mut work = json!({"sessionKey": new.key, "message": message, "digest": digest});
            if let Some(origin) = &new.origin {
                work["origin"] = origin.clone();
            }
            self.runs.journal.accept(self.disk.as_mut(), &new.id, work).map_err(disk_error)?;
        }
        if waits {
            return Ok(Kept::Later(message));
        }
        match self.append_message(&new.key, &new.id, &message) {
            Ok(appended) => Ok(Kept::Said(message, appended)),
            Err(error) => {
                // It is refused, so no later start may take it for accepted.
                let _ = self.runs.journal.done(self.disk.as_mut(), &new.id);
                Err(disk_error(error))
            }
        }
    }

    /// How much of the conversation a run will hold at most. One that waits takes the place of
    /// the one before it.
    fn context_bytes(&self, new: &NewRun, waiting: usize) -> usize {
        if !new.keep || waiting > 0 {
            return 0;
        }
        let path = self.sessions.transcript_path(&new.key);
        let stat = path.and_then(|path| self.disk.stat(&path).ok());
        let len = stat.map_or(0, |stat| usize::try_from(stat.len).unwrap_or(usize::MAX));
        len.min(limits::CONTEXT_BYTES)
    }

    /// The session of a run; created, if the conversation is kept.
    fn session_of(&mut self, new: &NewRun) -> String {
        let fresh = new.session_id.clone().unwrap_or_else(|| self.uuid());
        if !new.keep {
            return fresh;
        }
        let now_ms = self.now.wall_ms;
        if self.sessions.ensure(self.disk.as_mut(), &new.key, || fresh.clone(), now_ms) {
            self.archive_surplus(&new.key);
        }
        if new.beat.is_none() {
            self.touch_session(&new.key, new.client.map(|(id, _)| id));
        }
        self.sessions.get(&new.key).map_or(fresh, |entry| entry.session_id.clone())
    }
}

fn disk_error(error: io::Error) -> ErrorShape {
    ErrorShape::unavailable(format!(
        "the message was not accepted: the state directory cannot be written ({error}); \
         check its disk and permissions"
    ))
}

/// The user's message for the transcript; `None` when a request ends with something else.
fn user_message(new: &NewRun, now_ms: u64) -> Option<Value> {
    let text = match &new.message {
        Some(text) => text.clone(),
        None => match new.ask.turns.last()? {
            Turn::User(parts) => text_of_parts(parts),
            _ => return None,
        },
    };
    let images: Vec<(&str, &str)> = match new.ask.turns.last() {
        Some(Turn::User(parts)) => parts
            .iter()
            .filter_map(|part| match part {
                Part::Image { mime, data } => Some((mime.as_str(), data.as_str())),
                _ => None,
            })
            .collect(),
        _ => new.images.iter().map(|(mime, data)| (mime.as_str(), data.as_str())).collect(),
    };
    let content = if images.is_empty() {
        Value::String(text)
    } else {
        let mut parts = vec![json!({"type": "text", "text": text})];
        for (mime, data) in images {
            parts.push(json!({"type": "image", "mimeType": mime, "data": data}));
        }
        Value::Array(parts)
    };
    let key = format!("{}:user", new.id);
    let mut own = json!({"senderIsOwner": new.sender_is_owner, "idempotencyKey": key});
    if new.beat == Some(Beat::Poll) {
        mark_poll(&mut own);
    }
    if let Some((id, mode)) = new.client {
        own["transport"] = json!({"clients": [{"id": id, "mode": mode}]});
    }
    Some(json!({
        "role": "user", "content": content, "timestamp": now_ms, "idempotencyKey": key,
        "__openclaw": own,
    }))
}
