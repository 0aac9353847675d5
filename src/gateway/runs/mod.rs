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

mod accept;
mod compaction;
mod goes_on;
mod ledger;
mod models;
mod outcome;
mod queue;
mod registry;
mod settle;
mod tooling;
mod wait;

pub(super) use accept::NewRun;
pub(super) use compaction::{Asker, TOO_SMALL};
pub(super) use models::{ECHO, candidate, candidates, context_window, model_exists};
pub(super) use outcome::{outcome_text, receipt, stop_reason};
pub(super) use queue::QueueMode;
pub(super) use registry::Runs;

use super::Gateway;
use super::channels::{Sending, is_unasked, with_status};
use super::conn::State;
use super::heartbeat::drop_acks;
use super::timers::{Armed, Timer};
use crate::agent::mend::{new_results, new_turns};
use crate::agent::run::{Candidate, Outcome, Run, RunEvent};
use crate::agent::tools::loops::LoopGuard;
use crate::agent::turn::{self, Turn};
use crate::agent::{Ask, Usage, value_bytes};
use crate::channels::bounds::Bounds;
use crate::driver::{ConnId, DialError, DialId, Effects, Time};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::sessions::Appended;
use crate::sessions::transcript::Record;
use crate::wire::hash::sha256;
use goes_on::{has_spoken, is_of_another};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

/// Which door a run came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// `chat.send`.
    Chat,
    /// `agent`.
    Agent,
    /// The gateway itself, for an agent: a message between sessions, a spawned task.
    Session,
    /// `/v1/chat/completions` on this connection.
    Http(ConnId),
    /// A person, by a chat channel.
    Channel,
    /// Nobody's message: a conversation is made shorter.
    Compaction,
}

impl Cause {
    /// In a word, for the recorder.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Agent => "agent",
            Self::Session => "session",
            Self::Http(_) => "http",
            Self::Channel => "channel",
            Self::Compaction => "compaction",
        }
    }
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
    said: Option<(Value, Appended)>,
    /// The same, once told: a compaction may take it out of the context.
    spoken: Option<(Value, Appended)>,
    ask: Option<Ask>,
    pub(super) candidates: Vec<Candidate>,
    timeout_ms: u64,
    pub(super) machine: Option<Run>,
    digest: [u8; 32],
    /// Where its answer goes, if it came by a channel.
    pub(super) origin: Option<Value>,
    /// Clients that get the second response, and under which request id.
    pub(super) answers: Vec<(ConnId, String)>,
    pub(super) accepted_ms: u64,
    pub(super) started_ms: u64,
    pub(super) voice: super::voice::Voice,
    mode: QueueMode,
    standing: queue::Standing,
    /// What it is held to beside its agent's policies.
    pub(super) bounds: Bounds,
    /// The model's turn whose tools work.
    turn: Option<tooling::ToolTurn>,
    /// Whether its model turns in circles, and what is said when the run ends for it.
    loops: LoopGuard,
    circling: Option<String>,
    /// Tools that gave something, each once.
    pub(super) tools_used: Vec<&'static str>,
    /// What it asks beside the conversation, to begin once more with less of that.
    spare: Option<Ask>,
    /// Its conversation was made shorter for it, or could not be.
    compacted: bool,
    /// The turn of its model in which it begins once more, and ids that its calls had before.
    round: u32,
    called: BTreeSet<String>,
    /// Its beginning was told.
    begun: bool,
    armed: Armed,
    /// What the machine holds of the driver: a dial under way or a connection.
    dial: Option<DialId>,
    upstream: Option<ConnId>,
    /// Bytes of what was said, with the journal's copy; of what the model is asked; of both
    /// and the answer so far, as [`Runs::count`] has it.
    own: usize,
    asked: usize,
    held: usize,
}

/// How a run ended, for whoever asks later.
pub(super) struct Finished {
    digest: [u8; 32],
    /// Result of `agent.wait`.
    wait: Vec<u8>,
    /// Second response of `agent`: payload or error.
    second: Result<Vec<u8>, ErrorShape>,
}

impl Finished {
    /// Whether it went well, and the text of its answer.
    pub(super) fn hook_completion(&self) -> (bool, String) {
        let Ok(second) = &self.second else { return (false, String::new()) };
        let second: Value = serde_json::from_slice(second).unwrap_or_default();
        let text = second.pointer("/result/payloads/0/text").and_then(Value::as_str);
        (second["status"] == "ok", text.unwrap_or_default().to_owned())
    }

    /// An outcome with its second response.
    pub(in crate::gateway) fn of(
        digest: [u8; 32],
        wait: Vec<u8>,
        second: Result<Vec<u8>, ErrorShape>,
    ) -> Self {
        Self { digest, wait, second }
    }

    /// The outcome of what was no run: a command.
    pub(in crate::gateway) fn new(digest: [u8; 32], wait: Vec<u8>, second: Vec<u8>) -> Self {
        Self { digest, wait, second: Ok(second) }
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
        match self.runs.finished(id) {
            None => Repeated::No,
            Some(finished) if finished.digest == digest => Repeated::Finished(&finished.second),
            Some(_) => Repeated::Conflict,
        }
    }

    /// Appends a message to a session's transcript.
    pub(super) fn append_message(
        &mut self,
        key: &str,
        run: &str,
        message: &Value,
    ) -> io::Result<Appended> {
        let record = self.uuid();
        let now_ms = self.now.wall_ms;
        let appended = self.sessions.append(self.disk.as_mut(), key, record, message, now_ms);
        if let Err(error) = &appended {
            log::error!(target: "sessions", "run {run}: session {key} not written: {error}");
        }
        if appended.is_ok() {
            self.count_usage(key, message);
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
        self.cancel_replaced(fx);
        loop {
            self.settle_tools(fx);
            for number in std::mem::take(&mut self.runs.going_on) {
                self.continue_run(number, fx);
            }
            for number in std::mem::take(&mut self.runs.accepted) {
                if self.may_begin(number) {
                    self.begin(number, fx);
                }
            }
            if !self.runs.to_begin() && !self.tools.to_settle() {
                break;
            }
        }
        self.speak_trailing(fx);
    }

    fn begin(&mut self, number: u64, fx: &mut Effects) {
        let Some(mut run) = self.runs.active.remove(&number) else { return };
        run.started_ms = self.now.wall_ms;
        if run.cause == Cause::Compaction {
            return self.begin_compaction(run, fx);
        }
        self.runs.running += 1;
        if !self.faults.acknowledge_before_append {
            self.say(&mut run);
        }
        let mut ask = run.ask.take().unwrap_or_default();
        let again = run.keep && !matches!(run.cause, Cause::Http(_));
        let spare = again.then(|| ask.clone());
        if run.keep {
            let results = new_results(&ask.turns, self.now.wall_ms);
            ask.turns = self.conversation(&run, std::mem::take(&mut ask.turns));
            self.keep_results(&run, &results);
            ask.turns.extend(self.collect_riders(&run, fx));
            turn::repair(&mut ask.turns);
            self.tell_events(&run.key, &mut ask.turns);
        }
        ask.house_tools = self.house_tools(&run);
        ask.skills.clone_from(&run.bounds.skills);
        let Active { key, agent, candidates, .. } = run.as_mut();
        self.prepare(key, agent, candidates, &mut ask);
        run.asked = ask.bytes();
        if ask.sampling.max_tokens.is_none() {
            ask.sampling.max_tokens = self.max_tokens(&run.candidates);
        }
        if self.compacts_first(&mut run, &ask, spare, fx) {
            self.runs.active.insert(number, run);
            return;
        }
        let said = run.said.take();
        if said.is_some() {
            run.spoken.clone_from(&said);
        }
        // As recorded: of a chat the message is told first, of an `agent` call behind the start.
        let late = run.cause == Cause::Agent;
        if let Some((message, appended)) = said.as_ref().filter(|_| !late) {
            self.tell_message(&run, message, appended, fx);
        }
        let deadline = self.now.time.after_ms(run.timeout_ms);
        let may_restart = !matches!(run.cause, Cause::Http(_));
        let candidates = run.candidates.clone();
        let called = std::mem::take(&mut run.called);
        let machine = Run::new(ask, candidates, deadline, may_restart);
        let machine = machine.at_round(run.round, called);
        run.machine = Some(machine);
        if let Some(entry) = self.sessions.get_mut(&run.key).filter(|_| run.keep) {
            entry.status = Some("running".to_owned());
            entry.started_at = Some(run.started_ms);
            entry.last_run_id = Some(run.id.clone());
        }
        if run.compacted {
            self.speak_compaction(&mut run, json!({"phase": "end", "willRetry": true}), fx);
        }
        if !std::mem::replace(&mut run.begun, true) {
            self.speak_start(&mut run, fx);
        }
        if let Some((message, appended)) = said.as_ref().filter(|_| late) {
            self.tell_message(&run, message, appended, fx);
        }
        let dial = self.next_dial();
        self.drive(run, fx, |machine, now, fx, tell| machine.begin(now, dial, fx, tell));
    }

    /// The message of a run that waited goes to the transcript now.
    fn say(&mut self, run: &mut Active) {
        let Some(message) = run.unsaid.take() else { return };
        match self.append_message(&run.key, &run.id, &message) {
            Ok(appended) => run.said = Some((message, appended)),
            // The journal has it; at the end of the run there is another try.
            Err(_) => run.unsaid = Some(message),
        }
    }

    /// What the model is shown: system turns of the request, the transcript, then the rest of
    /// the request or the message of the run. That message comes last wherever it stands: others
    /// may have been written behind it since, and a full disk may have kept it out.
    fn conversation(&self, run: &Active, request: Vec<Turn>) -> Vec<Turn> {
        let (mut turns, rest): (Vec<Turn>, Vec<Turn>) =
            request.into_iter().partition(|turn| matches!(turn, Turn::System(_)));
        let said = run.said.as_ref().or(run.spoken.as_ref());
        let (own, own_id) = match (said, &run.unsaid) {
            (Some((message, appended)), None) => (Some(message), Some(&appended.id)),
            (_, unsaid) => (unsaid.as_ref(), None),
        };
        // An image sent now does not take the place of what was said before.
        let max_bytes = limits::CONTEXT_BYTES + own.map_or(0, value_bytes);
        let disk = self.disk.as_ref();
        let (summary, mut records) = self
            .sessions
            .context(disk, &run.key, limits::CONTEXT_MESSAGES, max_bytes)
            .unwrap_or_default();
        drop_acks(&mut records);
        // A run that begins once more, behind a compaction, goes on where it was: its message is
        // the last only as long as its model has not said anything.
        let goes_on = run.spoken.is_some() && has_spoken(&records, &run.id);
        let (own, own_id) = if goes_on { (None, None) } else { (own, own_id) };
        turns.extend(summary.as_ref().map(compaction::summary_turn));
        // What others said meanwhile and took back is no word to this one's model.
        let not_for = |record: &&Record| goes_on && is_of_another(&records, record, &run.id);
        let kept = records
            .iter()
            .filter(|record| Some(&record.id) != own_id)
            .filter(|record| !not_for(record))
            .filter_map(|record| Turn::from_transcript(&record.message));
        let system = turns.len();
        turns.extend(newest(kept.collect(), run.bounds.turns));
        if rest.is_empty() {
            turns.extend(own.and_then(Turn::from_transcript));
        }
        let new = new_turns(turns.get(system..).unwrap_or_default(), rest);
        turns.extend(new);
        turns
    }

    /// Results of a client's own tools are part of the conversation: what a request brings goes
    /// to the transcript. What cannot be written is told as missing next time.
    fn keep_results(&mut self, run: &Active, results: &[Value]) {
        for message in results {
            let _ = self.append_message(&run.key, &run.id, message);
        }
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
            if machine.answer_bytes() > limits::ANSWER_BYTES && !machine.is_over() {
                machine.too_long(fx, &mut |event| events.push(event));
            }
        }
        let answer = run.machine.as_ref().map_or(0, Run::answer_bytes);
        let held = run.own + run.asked + answer;
        self.runs.count(&mut run, held);
        let dial = run.machine.as_ref().and_then(Run::dialing);
        if run.dial != dial {
            if let Some(old) = run.dial.take() {
                self.runs.dials.remove(&old);
            }
            if let Some(new) = dial {
                self.runs.dials.insert(new, run.number);
            }
            run.dial = dial;
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
        for news in run.machine.as_mut().map(Run::take_news).unwrap_or_default() {
            self.keyring.note(self.now.time, news);
        }
        for event in events {
            self.speak(&mut run, event, fx);
        }
        let turn = events.iter().any(|event| matches!(event, RunEvent::Turn));
        let over = events.iter().any(|event| matches!(event, RunEvent::Over(_)));
        self.speak_text(&mut run, over || turn, fx);
        self.stream_run(&run, events);
        if let (Cause::Http(conn), false) = (run.cause, events.is_empty()) {
            match &run.machine {
                Some(m) => self.http_events(conn, events, m.text(), m.calls(), m.usage(), fx),
                // Cancelled while it waited in its line: its client hears so all the same.
                None => self.http_events(conn, events, "", &[], Usage::default(), fx),
            }
        }
        match events.iter().rev().find_map(|event| match event {
            RunEvent::Over(outcome) => Some(outcome),
            _ => None,
        }) {
            Some(outcome) if self.recovers(&mut run, outcome, fx) => {
                self.runs.active.insert(number, run);
            }
            Some(outcome) => self.conclude(run, outcome, fx),
            None => {
                let due = run.due();
                if !self.faults.lost_wake_up {
                    run.armed.at(&mut self.timers, due, Timer::Run(number));
                }
                if turn {
                    self.turn_over(&mut run, fx);
                }
                self.runs.active.insert(number, run);
                if turn {
                    self.start_tools(number, fx);
                }
            }
        }
    }

    /// The end of a run: durable first, then told.
    fn conclude(&mut self, mut run: Box<Active>, outcome: &Outcome, fx: &mut Effects) {
        let ended_ms = self.now.wall_ms;
        self.runs.count(&mut run, 0);
        let in_tools = self.abandon_turn(&mut run, fx);
        self.speak_usage(&mut run, outcome, fx);
        let riders = self.riders_of(run.number);
        let mut kept = false;
        if run.keep {
            // A run that was cancelled while it waited: what was said stays.
            self.say(&mut run);
            let carried = riders.iter().filter_map(|rider| self.runs.get(*rider));
            let answers: Vec<String> = carried.map(|rider| rider.id.clone()).collect();
            let message = self.assistant_message(&run, outcome, in_tools, &answers);
            // An answer to nothing would be worse than none: the journal stays open, and the
            // next start writes both the message and a notice.
            let appended = match run.unsaid {
                None => self.append_message(&run.key, &run.id, &message),
                Some(_) => Err(io::ErrorKind::StorageFull.into()),
            };
            kept = appended.is_ok();
            if let Ok(appended) = &appended {
                self.tell_message(&run, &message, appended, fx);
            }
            self.session_ended(&run, outcome, ended_ms);
        }
        let said = run.machine.as_ref().map(|machine| machine.text().to_owned());
        let place = run.origin.clone();
        self.end_told(&mut run, outcome, kept, said.clone(), fx);
        for rider in riders {
            if let Some(mut rider) = self.runs.active.remove(&rider) {
                self.runs.count(&mut rider, 0);
                // Who spoke elsewhere hears the answer there, too.
                let answer = said.clone().filter(|_| {
                    rider.origin.as_ref().is_some_and(|it| is_elsewhere(place.as_ref(), it))
                });
                self.end_told(&mut rider, outcome, kept, answer, fx);
            }
        }
        if run.machine.is_some() {
            self.runs.running -= 1;
            self.begin_ready();
        }
        self.next_in_line(&run);
        self.save_soon();
        self.leave_if_idle(fx);
    }

    /// Everybody who waits for the outcome of a run hears it. `kept`: its session has the answer,
    /// its own or that of the run it was said to. `answer`: what goes where its message came from.
    fn end_told(
        &mut self,
        run: &mut Active,
        outcome: &Outcome,
        kept: bool,
        answer: Option<String>,
        fx: &mut Effects,
    ) {
        let ended_ms = self.now.wall_ms;
        if run.cause == Cause::Compaction {
            return self.compaction_over(run, outcome, fx);
        }
        self.runs.by_id.remove(&run.id);
        if kept {
            self.runs.answered.push(run.id.clone());
        }
        self.speak_end(run, outcome, ended_ms, fx);
        if self.faults.second_terminal_event {
            self.speak_end(run, outcome, ended_ms, fx);
        }
        let wait = self.wait_result(run, outcome, ended_ms);
        let mut second = self.second_response(run, outcome, ended_ms);
        let origin = run.origin.take();
        let sending = match &origin {
            Some(origin) if is_unasked(Some(origin)) => {
                self.answer_destination(run, origin, outcome, answer.clone(), fx)
            }
            _ => Sending::None,
        };
        if let Sending::Over(result) = &sending {
            second = second.map(|second| with_status(&second, result));
        }
        self.hook_over(run, outcome, &sending, fx);
        if matches!(sending, Sending::UnderWay) {
            self.tell_when_delivered(run, (&second, &wait));
        }
        for (conn, request) in std::mem::take(&mut run.answers) {
            match &second {
                Ok(payload) => self.respond_json(conn, &request, payload, fx),
                Err(error) => self.respond_error(conn, &request, error, fx),
            }
        }
        self.answer_waits(&run.id, &wait, fx);
        if let Some(origin) = origin.filter(|origin| !is_unasked(Some(origin))) {
            let answer = self.seen_answer(run, &origin, outcome, answer);
            self.channel_run_over((&run.id, &run.agent), &origin, outcome, answer, fx);
        }
        self.cron_over(run, outcome, fx);
        self.heartbeat_over(run, outcome, fx);
        if !matches!(run.cause, Cause::Http(_)) {
            let finished = Finished { digest: run.digest, wait, second };
            self.runs.remember(self.disk.as_mut(), run.id.clone(), finished);
        }
        self.tell_of_run(run, outcome);
        self.run_ended(run, outcome);
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
            let now = self.now;
            self.drive(run, fx, |machine, _, fx, tell| machine.on_bytes(now, bytes, fx, tell));
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
        let due = run.due();
        if !run.armed.came_up(&mut self.timers, due, Timer::Run(number), now) {
            return;
        }
        let dial = self.next_dial();
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
            let due = run.due();
            run.armed.at(&mut self.timers, due, Timer::Run(number));
        }
    }
}

/// The last turns, from the one of the user that begins so many.
fn newest(mut turns: Vec<Turn>, of_user: Option<usize>) -> Vec<Turn> {
    let Some(most) = of_user else { return turns };
    let mut starts = turns.iter().enumerate().rev().filter(|(_, it)| matches!(it, Turn::User(_)));
    if let Some((at, _)) = starts.nth(most.saturating_sub(1)) {
        turns.drain(..at);
    }
    turns
}

impl Active {
    /// Digest of its input.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Whether the conversation is kept; else nothing of it is a session.
    pub(super) fn keeps_transcript(&self) -> bool {
        self.keep
    }

    /// When the machine or held-back text wants to be looked at.
    fn due(&self) -> Option<Time> {
        let machine = self.machine.as_ref().and_then(Run::due);
        [machine, self.voice.due()].into_iter().flatten().min()
    }
}

/// Whether two messages came from different conversations.
fn is_elsewhere(first: Option<&Value>, other: &Value) -> bool {
    let same = |first: &Value| {
        ["channel", "account", "to"].iter().all(|name| first.get(name) == other.get(name))
    };
    !first.is_some_and(same)
}

fn retry(mut error: ErrorShape) -> ErrorShape {
    error.retryable = Some(true);
    error.retry_after_ms = Some(500);
    error
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
