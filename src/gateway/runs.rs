//! The registry of runs: from acceptance to the one outcome, whoever asked.
//!
//! ```text
//!   accept_run --> journal, transcript --> queued behind the session's run, or accepted
//!     --turn_end--> begin --> machine (agent::Run) <-- dials, bytes, time
//!     --Over--> transcript, journal, events, responses, waits --> remembered --> next in line
//! ```
//!
//! One run at a time a session; the others wait in order. What was journalled gets exactly one
//! answer or one notice, also after `kill -9`: [`Gateway::settle_unfinished`].

use super::Gateway;
use super::conn::State;
use super::socket::Answer;
use super::timers::{Armed, Timer};
use crate::agent::provider::Endpoint;
use crate::agent::run::{Candidate, Outcome, Run, RunEvent, Via};
use crate::agent::turn::{Part, Turn, assistant_content, text_of_parts};
use crate::agent::{Ask, StopReason};
use crate::config::Config;
use crate::driver::{ConnId, DialError, DialId, Effects, Time};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::protocol::frame::write_json;
use crate::sessions::transcript::Record;
use crate::store::Disk;
use crate::store::journal::Journal;
use crate::wire::hash::sha256;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// Which door a run came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// `chat.send`.
    Chat,
    /// `agent`.
    Agent,
    /// `/v1/chat/completions` on this connection.
    Http(ConnId),
}

/// A run about to be accepted.
pub(super) struct NewRun {
    /// `runId`; for `chat.send` and `agent` the idempotency key.
    pub(super) id: String,
    pub(super) cause: Cause,
    /// Canonical session key.
    pub(super) key: String,
    pub(super) agent: String,
    /// For a new session.
    pub(super) session_id: Option<String>,
    /// The conversation is kept in a transcript.
    pub(super) keep: bool,
    /// What the person said; an HTTP request has it in `ask`.
    pub(super) message: Option<String>,
    /// Images beside it: media type and base64.
    pub(super) images: Vec<(String, String)>,
    /// Turns, tools and sampling of the request itself.
    pub(super) ask: Ask,
    /// `provider/model` instead of the agent's choice.
    pub(super) model: Option<String>,
    pub(super) timeout_ms: Option<u64>,
    /// `client.id` and `client.mode` of the sender.
    pub(super) client: Option<(&'static str, &'static str)>,
    /// Digest of the input, to tell a repetition from a conflict.
    pub(super) digest: [u8; 32],
}

/// A run that is accepted and not over.
pub(super) struct Active {
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) cause: Cause,
    pub(super) key: String,
    pub(super) agent: String,
    pub(super) session_id: String,
    keep: bool,
    /// The user message of a queued run, not in the transcript yet.
    unsaid: Option<Value>,
    /// The user message in the transcript, not told to clients yet.
    said: Option<(Value, crate::sessions::Appended)>,
    ask: Option<Ask>,
    candidates: Vec<Candidate>,
    timeout_ms: u64,
    pub(super) machine: Option<Run>,
    digest: [u8; 32],
    /// Clients that get the second response, and under which request id.
    pub(super) answers: Vec<(ConnId, String)>,
    pub(super) accepted_ms: u64,
    pub(super) started_ms: u64,
    pub(super) voice: super::voice::Voice,
    armed: Armed,
    upstream: Option<ConnId>,
}

/// How a run ended, for whoever asks later.
pub(super) struct Finished {
    digest: [u8; 32],
    /// Result of `agent.wait`.
    wait: Vec<u8>,
    /// Second response of `agent`: payload or error.
    second: Result<Vec<u8>, ErrorShape>,
}

struct Wait {
    conn: ConnId,
    request: String,
    run: String,
}

/// All runs.
pub(super) struct Runs {
    journal: Journal,
    unfinished: Vec<(String, Value)>,
    unsynced: bool,
    active: BTreeMap<u64, Box<Active>>,
    by_id: BTreeMap<String, u64>,
    /// Sessions with a run: the first is the one that goes on.
    lines: BTreeMap<String, VecDeque<u64>>,
    dials: BTreeMap<DialId, u64>,
    /// To begin at the end of this turn.
    accepted: Vec<u64>,
    finished: BTreeMap<String, Finished>,
    finished_order: VecDeque<String>,
    finished_bytes: usize,
    waits: BTreeMap<u64, Wait>,
    next: u64,
}

impl Runs {
    /// Replays the journal.
    pub(super) fn open(disk: &mut dyn Disk, state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join("journal").join("inbound.jsonl");
        let (journal, unfinished) = Journal::open(disk, path.clone()).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        Ok(Self {
            journal,
            unfinished,
            unsynced: false,
            active: BTreeMap::new(),
            by_id: BTreeMap::new(),
            lines: BTreeMap::new(),
            dials: BTreeMap::new(),
            accepted: Vec::new(),
            finished: BTreeMap::new(),
            finished_order: VecDeque::new(),
            finished_bytes: 0,
            waits: BTreeMap::new(),
            next: 1,
        })
    }

    /// How many runs are accepted and not over.
    pub(super) fn active_len(&self) -> usize {
        self.active.len()
    }

    /// Their numbers.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.active.keys().copied().collect()
    }

    /// The active runs of a session, the running one first.
    pub(super) fn of_session(&self, key: &str) -> Vec<u64> {
        self.lines.get(key).map(|line| line.iter().copied().collect()).unwrap_or_default()
    }

    pub(super) fn get(&self, number: u64) -> Option<&Active> {
        self.active.get(&number).map(|run| &**run)
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&Active> {
        self.get(*self.by_id.get(id)?)
    }

    /// Forces the journal to the platter, if it grew.
    pub(super) fn sync(&mut self, disk: &mut dyn Disk) {
        if std::mem::take(&mut self.unsynced)
            && let Err(error) = disk.sync(self.journal.path())
        {
            log::error!(target: "store", "{}: {error}", self.journal.path().display());
        }
    }

    fn remember(&mut self, id: String, finished: Finished) {
        let bytes = |finished: &Finished| {
            finished.wait.len() + finished.second.as_ref().map_or(256, Vec::len)
        };
        self.finished_bytes += bytes(&finished);
        if let Some(old) = self.finished.insert(id.clone(), finished) {
            self.finished_bytes -= bytes(&old);
        } else {
            self.finished_order.push_back(id);
        }
        while self.finished_order.len() > limits::RUNS_REMEMBERED
            || (self.finished_bytes > limits::RUNS_REMEMBERED_BYTES
                && self.finished_order.len() > 1)
        {
            let Some(oldest) = self.finished_order.pop_front() else { break };
            if let Some(old) = self.finished.remove(&oldest) {
                self.finished_bytes -= bytes(&old);
            }
        }
    }
}

/// What an idempotency key says of a request.
pub(super) enum Repeated<'a> {
    /// It is new.
    No,
    /// The same, and it goes on.
    InFlight(u64),
    /// The same, and this was its second response.
    Finished(&'a Result<Vec<u8>, ErrorShape>),
    /// Another input under the same key.
    Conflict,
}

/// Digest of what makes two requests the same.
pub(super) fn digest(
    cause: &str,
    key: &str,
    message: &str,
    attachments: Option<&Value>,
) -> [u8; 32] {
    let attachments = attachments.map(Value::to_string).unwrap_or_default();
    sha256(format!("{cause}\0{key}\0{message}\0{attachments}").as_bytes())
}

/// Whether `provider/model` (or an alias) can be asked.
pub(super) fn model_exists(config: &Config, name: &str) -> bool {
    !matches!(candidate(config, name).via, Via::Broken(_))
}

/// The embedded model.
pub(super) const ECHO: (&str, &str) = ("local", "echo");

/// A model by its configured name.
pub(super) fn candidate(config: &Config, name: &str) -> Candidate {
    let alias = config.agents.defaults.aliases.iter().find(|(_, alias)| alias.as_str() == name);
    let full = alias.map_or(name, |(full, _)| full.as_str());
    let (provider, model) = full.split_once('/').unwrap_or(("", full));
    let via = match config.models.providers.get(provider) {
        _ if (provider, model) == ECHO => Via::Echo,
        Some(found) => match Endpoint::new(provider, found, model) {
            Ok(endpoint) => Via::Http(Box::new(endpoint)),
            Err(why) => Via::Broken(why),
        },
        None => Via::Broken(format!(
            "model \"{name}\": no provider \"{provider}\" under models.providers; \
             add it or set agents.defaults.model.primary to another"
        )),
    };
    Candidate { provider: provider.to_owned(), model: model.to_owned(), via }
}

/// What an agent's runs try, in order.
pub(super) fn candidates(config: &Config, agent: &str, model: Option<&str>) -> Vec<Candidate> {
    if let Some(model) = model {
        return vec![candidate(config, model)];
    }
    let choice = config.agents.model_of(agent);
    let Some(primary) = &choice.primary else {
        let (provider, model) = ECHO;
        return vec![candidate(config, &format!("{provider}/{model}"))];
    };
    std::iter::once(primary).chain(&choice.fallbacks).map(|name| candidate(config, name)).collect()
}

impl Gateway {
    /// Whether a request was made before.
    pub(super) fn repeated(&self, id: &str, digest: [u8; 32]) -> Repeated<'_> {
        if let Some(run) = self.runs.by_id(id) {
            return if run.digest == digest {
                Repeated::InFlight(run.number)
            } else {
                Repeated::Conflict
            };
        }
        match self.runs.finished.get(id) {
            None => Repeated::No,
            Some(finished) if finished.digest == digest => Repeated::Finished(&finished.second),
            Some(_) => Repeated::Conflict,
        }
    }

    /// Takes a run on: after this it will have exactly one outcome. It begins at the end of the
    /// turn.
    ///
    /// # Errors
    /// `UNAVAILABLE`, and nothing was kept.
    pub(super) fn accept_run(&mut self, new: NewRun) -> Result<u64, ErrorShape> {
        if self.leaving.is_some() {
            let error = ErrorShape::unavailable("the gateway is stopping; try again in a moment");
            return Err(retry(error.with(json!({"reason": "gateway-restarting"}))));
        }
        let waiting = self.runs.lines.get(&new.key).map_or(0, VecDeque::len);
        if self.runs.active.len() >= limits::RUNS || waiting > limits::RUNS_QUEUED_PER_SESSION {
            return Err(retry(ErrorShape::unavailable(format!(
                "{} runs are active and {waiting} wait in this session; try again later",
                self.runs.active.len()
            ))));
        }
        let candidates = candidates(&self.config, &new.agent, new.model.as_deref());
        let now_ms = self.now.wall_ms;
        let session_id = self.session_of(&new);
        let said = new.keep.then(|| user_message(&new, now_ms)).flatten();
        let (mut unsaid, mut appended) = (None, None);
        if let Some(message) = said {
            let late = self.faults.acknowledge_before_append;
            if new.cause_is_journalled() && !late {
                let work = json!({"sessionKey": new.key, "message": message});
                self.runs.journal.accept(self.disk.as_mut(), &new.id, work).map_err(disk_error)?;
                self.runs.unsynced = true;
            }
            if waiting == 0 && !late {
                let at = self.append_message(&new.key, &new.id, &message).map_err(disk_error)?;
                appended = Some((message, at));
            } else {
                unsaid = Some(message);
            }
        }
        let number = self.runs.next;
        self.runs.next += 1;
        let timeout_ms = self
            .config
            .agents
            .defaults
            .timeout_seconds
            .saturating_mul(1000)
            .min(new.timeout_ms.filter(|ms| *ms > 0).unwrap_or(u64::MAX));
        let item = self.uuid();
        let run = Active {
            number,
            voice: super::voice::Voice::new(&new, item),
            id: new.id.clone(),
            cause: new.cause,
            key: new.key.clone(),
            agent: new.agent,
            session_id,
            keep: new.keep,
            unsaid,
            said: appended,
            ask: Some(new.ask),
            candidates,
            timeout_ms,
            machine: None,
            digest: new.digest,
            answers: Vec::new(),
            accepted_ms: now_ms,
            started_ms: now_ms,
            armed: Armed::default(),
            upstream: None,
        };
        self.runs.active.insert(number, Box::new(run));
        self.runs.by_id.insert(new.id, number);
        let line = self.runs.lines.entry(new.key).or_default();
        line.push_back(number);
        if line.len() == 1 {
            self.runs.accepted.push(number);
        }
        self.save_soon();
        Ok(number)
    }

    /// The session of a run; created, if the conversation is kept.
    fn session_of(&mut self, new: &NewRun) -> String {
        let fresh = new.session_id.clone().unwrap_or_else(|| self.uuid());
        if !new.keep {
            return fresh;
        }
        let now_ms = self.now.wall_ms;
        self.sessions.ensure(self.disk.as_mut(), &new.key, || fresh.clone(), now_ms);
        self.sessions.get(&new.key).map_or(fresh, |entry| entry.session_id.clone())
    }

    /// Appends a message to a session's transcript.
    pub(super) fn append_message(
        &mut self,
        key: &str,
        run: &str,
        message: &Value,
    ) -> io::Result<crate::sessions::Appended> {
        let record = self.uuid();
        let now_ms = self.now.wall_ms;
        let appended = self.sessions.append(self.disk.as_mut(), key, record, message, now_ms);
        if let Err(error) = &appended {
            log::error!(target: "sessions", "run {run}: session {key} not written: {error}");
        }
        self.save_soon();
        appended
    }

    /// A client that gets the second response of a run.
    pub(super) fn answer_later(&mut self, number: u64, conn: ConnId, request: &str) {
        if let Some(run) = self.runs.active.get_mut(&number) {
            run.answers.push((conn, request.to_owned()));
        }
    }

    /// Starts what was accepted in this turn.
    pub(super) fn begin_accepted(&mut self, fx: &mut Effects) {
        while !self.runs.accepted.is_empty() {
            for number in std::mem::take(&mut self.runs.accepted) {
                self.begin(number, fx);
            }
        }
        self.speak_trailing(fx);
    }

    fn begin(&mut self, number: u64, fx: &mut Effects) {
        let Some(mut run) = self.runs.active.remove(&number) else { return };
        run.started_ms = self.now.wall_ms;
        if !self.faults.acknowledge_before_append {
            self.say(&mut run);
        }
        if let Some((message, appended)) = run.said.take() {
            self.tell_message(&run, &message, &appended, fx);
        }
        let mut ask = run.ask.take().unwrap_or_default();
        if run.keep {
            ask.turns = self.conversation(&run.key, std::mem::take(&mut ask.turns));
        }
        if ask.sampling.max_tokens.is_none() {
            ask.sampling.max_tokens = self.max_tokens(&run.candidates);
        }
        let deadline = self.now.time.after_ms(run.timeout_ms);
        let may_restart = !matches!(run.cause, Cause::Http(_));
        let candidates = run.candidates.clone();
        run.machine = Some(Run::new(ask, candidates, deadline, may_restart));
        if let Some(entry) = self.sessions.get_mut(&run.key).filter(|_| run.keep) {
            entry.status = Some("running".to_owned());
            entry.started_at = Some(run.started_ms);
            entry.last_run_id = Some(run.id.clone());
        }
        self.speak_start(&mut run, fx);
        let dial = self.next_dial();
        self.runs.dials.insert(dial, number);
        self.drive(run, fx, |machine, now, fx, tell| machine.begin(now, dial, fx, tell));
    }

    /// What the configuration allows the first candidate to answer, if it says so.
    fn max_tokens(&self, candidates: &[Candidate]) -> Option<u64> {
        let first = candidates.first()?;
        let provider = self.config.models.providers.get(&first.provider)?;
        provider.models.iter().find(|model| model.id == first.model).map(|model| model.max_tokens)
    }

    /// The message of a run that waited goes to the transcript now.
    fn say(&mut self, run: &mut Active) {
        if let Some(message) = run.unsaid.take()
            && let Ok(appended) = self.append_message(&run.key, &run.id, &message)
        {
            run.said = Some((message, appended));
        }
    }

    /// What the model is shown: system turns of the request, the transcript, then the rest of
    /// the request.
    fn conversation(&self, key: &str, request: Vec<Turn>) -> Vec<Turn> {
        let (mut turns, rest): (Vec<Turn>, Vec<Turn>) =
            request.into_iter().partition(|turn| matches!(turn, Turn::System(_)));
        let records = self.sessions.messages(self.disk.as_ref(), key).unwrap_or_default();
        let skip = records.len().saturating_sub(limits::CONTEXT_MESSAGES);
        let mut kept: Vec<Turn> = records
            .iter()
            .skip(skip)
            .filter_map(|record: &Record| Turn::from_transcript(&record.message))
            .collect();
        // The request's own last message stands in the transcript already.
        if !rest.is_empty() {
            kept.pop();
        }
        turns.extend(kept);
        turns.extend(rest);
        turns
    }

    /// Lets the machine do something and tells what came of it.
    fn drive(
        &mut self,
        mut run: Box<Active>,
        fx: &mut Effects,
        act: impl FnOnce(&mut Run, Time, &mut Effects, &mut dyn FnMut(RunEvent)),
    ) {
        let mut events = Vec::new();
        let now = self.now.time;
        if let Some(machine) = &mut run.machine {
            act(machine, now, fx, &mut |event| events.push(event));
            if machine.text().len() > limits::ANSWER_BYTES && !machine.is_over() {
                machine.abort("answer too long", fx, &mut |event| events.push(event));
            }
        }
        let conn = run.machine.as_ref().and_then(Run::conn);
        if run.upstream != conn {
            if let Some(old) = run.upstream.take() {
                self.drop_upstream(old);
            }
            run.upstream = conn;
        }
        self.told(run, &events, fx);
    }

    /// What a machine told goes to events, the HTTP client, and at the end to everything that
    /// waits for the outcome.
    fn told(&mut self, mut run: Box<Active>, events: &[RunEvent], fx: &mut Effects) {
        let number = run.number;
        for event in events {
            self.speak(&mut run, event, fx);
        }
        self.speak_text(&mut run, false, fx);
        if let (Cause::Http(conn), Some(machine), false) =
            (run.cause, &run.machine, events.is_empty())
        {
            self.http_events(conn, events, machine.text(), machine.calls(), machine.usage(), fx);
        }
        match events.iter().rev().find_map(|event| match event {
            RunEvent::Over(outcome) => Some(outcome),
            _ => None,
        }) {
            Some(outcome) => self.conclude(run, outcome, fx),
            None => {
                let machine = run.machine.as_ref().and_then(Run::due);
                let due = [machine, run.voice.due()].into_iter().flatten().min();
                if !self.faults.lost_wake_up {
                    run.armed.at(&mut self.timers, due, Timer::Run(number));
                }
                self.runs.active.insert(number, run);
            }
        }
    }

    /// The end of a run: durable first, then told.
    fn conclude(&mut self, mut run: Box<Active>, outcome: &Outcome, fx: &mut Effects) {
        let ended_ms = self.now.wall_ms;
        self.runs.by_id.remove(&run.id);
        self.runs.dials.retain(|_, number| *number != run.number);
        self.speak_usage(&mut run, outcome, fx);
        if run.keep {
            // A run that was cancelled while it waited: what was said stays.
            self.say(&mut run);
            let message = self.assistant_message(&run, outcome);
            let appended = self.append_message(&run.key, &run.id, &message);
            if let Ok(appended) = &appended {
                self.tell_message(&run, &message, appended, fx);
                if let Err(error) = self.runs.journal.done(self.disk.as_mut(), &run.id) {
                    log::error!(target: "store", "run {} not marked done: {error}", run.id);
                }
                self.runs.unsynced = true;
            }
            self.session_ended(&run, outcome, ended_ms);
        }
        self.speak_end(&mut run, outcome, ended_ms, fx);
        if self.faults.second_terminal_event {
            self.speak_end(&mut run, outcome, ended_ms, fx);
        }
        let wait = self.wait_result(&run, outcome, ended_ms);
        let second = self.second_response(&run, outcome, ended_ms);
        for (conn, request) in std::mem::take(&mut run.answers) {
            match &second {
                Ok(payload) => self.respond_json(conn, &request, payload, fx),
                Err(error) => self.respond_error(conn, &request, error, fx),
            }
        }
        let waiting: Vec<u64> = self
            .runs
            .waits
            .iter()
            .filter(|(_, wait)| wait.run == run.id)
            .map(|(number, _)| *number)
            .collect();
        for number in waiting {
            if let Some(waiter) = self.runs.waits.remove(&number) {
                self.respond_json(waiter.conn, &waiter.request, &wait, fx);
            }
        }
        if !matches!(run.cause, Cause::Http(_)) {
            let finished = Finished { digest: run.digest, wait, second };
            self.runs.remember(run.id.clone(), finished);
        }
        self.next_in_line(&run);
        self.save_soon();
        self.leave_if_idle(fx);
    }

    fn next_in_line(&mut self, run: &Active) {
        let Some(line) = self.runs.lines.get_mut(&run.key) else { return };
        let was_first = line.front() == Some(&run.number);
        line.retain(|number| *number != run.number);
        match line.front() {
            None => {
                self.runs.lines.remove(&run.key);
            }
            Some(next) if was_first => {
                let next = *next;
                self.runs.accepted.push(next);
            }
            Some(_) => {}
        }
    }

    fn session_ended(&mut self, run: &Active, outcome: &Outcome, ended_ms: u64) {
        let Some(entry) = self.sessions.get_mut(&run.key) else { return };
        entry.status = Some(
            match outcome {
                Outcome::Done(_) => "done",
                Outcome::Aborted(_) => "killed",
                Outcome::Failed(_) => "failed",
                Outcome::TimedOut(_) => "timeout",
            }
            .to_owned(),
        );
        entry.ended_at = Some(ended_ms);
        entry.runtime_ms = Some(ended_ms.saturating_sub(run.started_ms));
        entry.aborted_last_run = matches!(outcome, Outcome::Aborted(_));
        if let Some(machine) = &run.machine {
            let usage = machine.usage();
            entry.input_tokens = Some(usage.input);
            entry.output_tokens = Some(usage.output);
            entry.total_tokens = Some(usage.total);
            if let Some(candidate) = machine.candidate() {
                entry.model_provider = Some(candidate.provider.clone());
                entry.model = Some(candidate.model.clone());
            }
        }
    }

    fn assistant_message(&self, run: &Active, outcome: &Outcome) -> Value {
        let now_ms = self.now.wall_ms;
        let Some(machine) = &run.machine else {
            return notice(&run.id, "cancelled before it began", now_ms);
        };
        let mut text = machine.text().to_owned();
        let (provider, model) = match machine.candidate() {
            Some(candidate) => (candidate.provider.as_str(), candidate.model.as_str()),
            None => ("", ""),
        };
        let mut message = json!({
            "role": "assistant", "api": "openai-completions", "provider": provider,
            "model": model, "timestamp": now_ms, "usage": usage_value(machine),
            "stopReason": "stop", "__openclaw": {"runId": run.id},
        });
        match outcome {
            Outcome::Done(stop) => {
                let stop = match stop {
                    StopReason::Stop if !machine.calls().is_empty() => StopReason::ToolUse,
                    other => *other,
                };
                message["stopReason"] = json!(stop.as_str());
            }
            Outcome::Aborted(reason) => {
                message["provider"] = json!("openclaw");
                message["model"] = json!("gateway-injected");
                message["idempotencyKey"] = json!(format!("{}:assistant", run.id));
                message["openclawAbort"] =
                    json!({"aborted": true, "origin": reason, "runId": run.id});
            }
            Outcome::Failed(_) | Outcome::TimedOut(_) => {
                let why = outcome_text(outcome);
                message["stopReason"] = json!("error");
                message["errorMessage"] = json!(why);
                if text.is_empty() {
                    text = format!("[the run failed: {why}]");
                }
            }
        }
        message["content"] = assistant_content(&text, machine.calls());
        if let Some(id) = machine.response_id() {
            message["responseId"] = json!(id);
        }
        message
    }

    /// Ends a run; false when it was over already.
    pub(super) fn cancel_run(
        &mut self,
        number: u64,
        reason: &'static str,
        fx: &mut Effects,
    ) -> bool {
        let Some(run) = self.runs.active.remove(&number) else { return false };
        if run.machine.is_some() {
            self.drive(run, fx, |machine, _, fx, tell| machine.abort(reason, fx, tell));
        } else {
            self.told(run, &[RunEvent::Over(Outcome::Aborted(reason))], fx);
        }
        true
    }

    pub(super) fn run_bytes(&mut self, number: u64, bytes: &[u8], fx: &mut Effects) {
        if let Some(run) = self.runs.active.remove(&number) {
            self.drive(run, fx, |machine, now, fx, tell| machine.on_bytes(now, bytes, fx, tell));
        }
    }

    pub(super) fn run_closed(&mut self, number: u64, fx: &mut Effects) {
        if let Some(run) = self.runs.active.remove(&number) {
            self.drive(run, fx, |machine, now, fx, tell| machine.on_closed(now, fx, tell));
        }
    }

    pub(super) fn run_dialed(
        &mut self,
        dial: DialId,
        result: Result<ConnId, DialError>,
        fx: &mut Effects,
    ) {
        let run = self.runs.dials.remove(&dial).and_then(|n| self.runs.active.remove(&n));
        let Some(run) = run else {
            if let Ok(conn) = result {
                fx.push(crate::driver::Effect::Abort { conn });
            }
            return;
        };
        if let Ok(conn) = result {
            let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
            self.conns.insert(conn, nobody, State::Upstream(run.number));
        }
        self.drive(run, fx, |machine, now, fx, tell| {
            machine.on_dialed(now, dial, result, fx, tell);
        });
    }

    pub(super) fn run_due(&mut self, number: u64, fx: &mut Effects) {
        let now = self.now.time;
        let Some(run) = self.runs.active.get_mut(&number) else { return };
        let machine = run.machine.as_ref().and_then(Run::due);
        let due = [machine, run.voice.due()].into_iter().flatten().min();
        if !run.armed.came_up(&mut self.timers, due, Timer::Run(number), now) {
            return;
        }
        let dial = self.next_dial();
        self.runs.dials.insert(dial, number);
        let Some(run) = self.runs.active.remove(&number) else { return };
        self.drive(run, fx, |machine, now, fx, tell| machine.on_time(now, dial, fx, tell));
    }

    /// The HTTP client of a run does not keep up, or does again: so does its provider.
    pub(super) fn press(&mut self, number: u64, queued: usize, fx: &mut Effects) {
        let Some(upstream) = self.runs.get(number).and_then(|run| run.upstream) else { return };
        let on = match queued {
            _ if queued > limits::STREAM_HIGH => false,
            _ if queued <= limits::STREAM_HIGH / 2 => true,
            _ => return,
        };
        self.set_reading(upstream, on, fx);
        let now = self.now.time;
        let Some(run) = self.runs.active.get_mut(&number) else { return };
        if let Some(machine) = &mut run.machine {
            machine.hold(now, !on);
            let due = [machine.due(), run.voice.due()].into_iter().flatten().min();
            run.armed.at(&mut self.timers, due, Timer::Run(number));
        }
    }

    /// `agent.wait`: answers when the run is over, or after the timeout.
    pub(super) fn wait_for(
        &mut self,
        conn: ConnId,
        request: &str,
        run: &str,
        timeout_ms: u64,
    ) -> Result<Answer, ErrorShape> {
        if let Some(finished) = self.runs.finished.get(run) {
            return Ok(Answer::Json(finished.wait.clone()));
        }
        if self.runs.waits.len() >= limits::WAITS {
            return Err(retry(ErrorShape::unavailable(format!(
                "{} calls of agent.wait are open; try again later",
                limits::WAITS
            ))));
        }
        let number = self.runs.next;
        self.runs.next += 1;
        let wait = Wait { conn, request: request.to_owned(), run: run.to_owned() };
        self.runs.waits.insert(number, wait);
        let due = self.now.time.after_ms(timeout_ms.min(limits::WAIT_MS_MAX));
        self.timers.arm(due, Timer::Wait(number));
        Ok(Answer::Handled)
    }

    pub(super) fn wait_due(&mut self, number: u64, fx: &mut Effects) {
        if let Some(wait) = self.runs.waits.remove(&number) {
            let payload = json!({"runId": wait.run, "status": "timeout"});
            self.respond_ok(wait.conn, &wait.request, &payload, fx);
        }
    }

    fn wait_result(&self, run: &Active, outcome: &Outcome, ended_ms: u64) -> Vec<u8> {
        let mut value = json!({
            "runId": run.id, "status": status(outcome), "startedAt": run.started_ms,
            "endedAt": ended_ms, "stopReason": stop_reason(outcome), "livenessState": "working",
        });
        if let Outcome::Failed(_) | Outcome::TimedOut(_) = outcome {
            value["error"] = json!(outcome_text(outcome));
        }
        if let Some(machine) = &run.machine {
            value["terminalReply"] = json!({"disposition": "visible", "text": machine.text()});
            value["terminalReceipt"] = receipt(run, machine);
        }
        let mut out = Vec::new();
        write_json(&mut out, &value);
        out
    }

    /// `{runId, status, summary, result}` of `agent` (FACTS.md section 6).
    fn second_response(
        &self,
        run: &Active,
        outcome: &Outcome,
        ended_ms: u64,
    ) -> Result<Vec<u8>, ErrorShape> {
        let value = match outcome {
            Outcome::Done(_) => self.completed(run, outcome, ended_ms),
            Outcome::Aborted(reason) => json!({
                "runId": run.id, "status": "timeout", "summary": "aborted", "stopReason": reason,
            }),
            Outcome::TimedOut(_) => json!({
                "runId": run.id, "status": "timeout", "summary": "timed out",
                "stopReason": "timeout", "error": outcome_text(outcome),
            }),
            Outcome::Failed(_) => {
                return Err(ErrorShape::unavailable(outcome_text(outcome))
                    .with(json!({"runId": run.id, "status": "error"})));
            }
        };
        let mut out = Vec::new();
        write_json(&mut out, &value);
        Ok(out)
    }

    fn completed(&self, run: &Active, outcome: &Outcome, ended_ms: u64) -> Value {
        let Some(machine) = &run.machine else { return Value::Null };
        let (provider, model) =
            machine.candidate().map_or(("", ""), |c| (c.provider.as_str(), c.model.as_str()));
        let usage = machine.usage();
        json!({
            "runId": run.id, "status": "ok", "summary": "completed",
            "result": {
                "payloads": [{"text": machine.text(), "mediaUrl": null}],
                "meta": {
                    "durationMs": ended_ms.saturating_sub(run.started_ms),
                    "agentMeta": {
                        "sessionId": run.session_id, "sessionFile": run.key,
                        "provider": provider, "model": model,
                        "contextTokens": context_window(&self.config, provider, model),
                        "usage": {
                            "input": usage.input, "output": usage.output,
                            "cacheRead": usage.cache_read, "cacheWrite": 0, "total": usage.total,
                        },
                        "promptTokens": usage.input,
                        "assistantTurns": 1,
                    },
                    "aborted": false,
                    "finalAssistantVisibleText": machine.text(),
                    "stopReason": stop_reason(outcome),
                },
            },
        })
    }

    /// After a crash: what was journalled and has no answer gets a notice, exactly one.
    pub(super) fn settle_unfinished(&mut self) {
        let now_ms = self.now.wall_ms;
        for (id, work) in std::mem::take(&mut self.runs.unfinished) {
            let key = work.get("sessionKey").and_then(Value::as_str).unwrap_or_default().to_owned();
            if let Some(agent) = crate::sessions::key::agent_of(&key) {
                self.sessions.open(self.disk.as_mut(), agent);
            }
            let fresh = self.uuid();
            self.sessions.ensure(self.disk.as_mut(), &key, || fresh, now_ms);
            let records = self.sessions.messages(self.disk.as_ref(), &key).unwrap_or_default();
            let said = format!("{id}:user");
            let has_user = records.iter().any(|record| {
                record.message.get("idempotencyKey").and_then(Value::as_str) == Some(&said)
            });
            let answered = records.iter().any(|record| {
                let run = record.message.get("__openclaw").and_then(|own| own.get("runId"));
                run.and_then(Value::as_str) == Some(&id)
            });
            let mut kept = true;
            if !has_user && let Some(message) = work.get("message") {
                kept &= self.append_message(&key, &id, message).is_ok();
            }
            if !answered {
                let notice = notice(&id, "the gateway stopped before this was answered", now_ms);
                kept &= self.append_message(&key, &id, &notice).is_ok();
                log::warn!(target: "gateway",
                    "run {id} in {key} was cut short by the last stop; its session says so");
            }
            if kept && let Err(error) = self.runs.journal.done(self.disk.as_mut(), &id) {
                log::error!(target: "store", "run {id} not marked done: {error}");
            }
            if let Some(entry) = self.sessions.get_mut(&key) {
                entry.status = Some("failed".to_owned());
                entry.ended_at = Some(now_ms);
            }
        }
        if self.sessions.is_dirty() {
            self.sessions.save(self.disk.as_mut());
        }
    }
}

impl Active {
    /// Whether the conversation is kept; else nothing of it is a session.
    pub(super) fn keeps_transcript(&self) -> bool {
        self.keep
    }
}

impl NewRun {
    /// Work that was acknowledged before its outcome; an HTTP client sees the outcome itself.
    fn cause_is_journalled(&self) -> bool {
        !matches!(self.cause, Cause::Http(_))
    }
}

fn retry(mut error: ErrorShape) -> ErrorShape {
    error.retryable = Some(true);
    error.retry_after_ms = Some(500);
    error
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
    let mut own = json!({"senderIsOwner": true, "idempotencyKey": key});
    if let Some((id, mode)) = new.client {
        own["transport"] = json!({"clients": [{"id": id, "mode": mode}]});
    }
    Some(json!({
        "role": "user", "content": content, "timestamp": now_ms, "idempotencyKey": key,
        "__openclaw": own,
    }))
}

/// What stands in a transcript where an answer would.
fn notice(run: &str, why: &str, now_ms: u64) -> Value {
    json!({
        "role": "assistant", "content": [{"type": "text", "text": format!("[{why}]")}],
        "provider": "openclaw", "model": "gateway-injected", "stopReason": "error",
        "errorMessage": why, "timestamp": now_ms,
        "idempotencyKey": format!("{run}:assistant"), "__openclaw": {"runId": run},
    })
}

fn usage_value(machine: &Run) -> Value {
    let usage = machine.usage();
    json!({
        "input": usage.input, "output": usage.output, "totalTokens": usage.total,
        "cacheRead": usage.cache_read, "cacheWrite": 0,
    })
}

/// `status` of `agent.wait`.
fn status(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done(_) => "ok",
        Outcome::Failed(_) => "error",
        Outcome::Aborted(_) | Outcome::TimedOut(_) => "timeout",
    }
}

/// `stopReason` of events and results.
pub(super) fn stop_reason(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done(stop) => stop.as_str(),
        Outcome::Aborted(reason) => reason,
        Outcome::Failed(_) => "error",
        Outcome::TimedOut(_) => "timeout",
    }
}

/// What went wrong, in words.
pub(super) fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(_) => String::new(),
        Outcome::Aborted(_) => "This operation was aborted".to_owned(),
        Outcome::Failed(error) => error.message.clone(),
        Outcome::TimedOut(what) => format!("{what} passed"),
    }
}

/// `terminalReceipt`: what was asked and what answered.
pub(super) fn receipt(run: &Active, machine: &Run) -> Value {
    let pair = |candidate: Option<&Candidate>| match candidate {
        Some(c) => json!({"provider": c.provider, "model": c.model}),
        None => Value::Null,
    };
    let (asked, answered) = (run.candidates.first(), machine.candidate());
    let rerouted =
        asked.map(|c| (&c.provider, &c.model)) != answered.map(|c| (&c.provider, &c.model));
    json!({
        "runId": run.id, "sessionId": run.session_id, "turnId": run.id,
        "requested": pair(asked), "effective": pair(answered), "successfulToolNames": [],
        "rerouted": rerouted, "terminalDisposition": "visible",
    })
}

/// Tokens a model takes, `null` when nobody said.
pub(super) fn context_window(config: &Config, provider: &str, model: &str) -> Value {
    config
        .models
        .providers
        .get(provider)
        .and_then(|provider| provider.models.iter().find(|known| known.id == model))
        .map_or(Value::Null, |known| json!(known.context_window))
}
