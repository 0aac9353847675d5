//! One run: from a conversation to its answer, through retries and fallbacks.

use super::call::{Call, CallError, CallEvent, Class};
use super::provider::keyring::{Fault, News};
use super::provider::{Delta, Endpoint};
use super::turn::{Part, Thought, Turn, text_of_parts};
use super::{Ask, StopReason, ToolCall, Usage};
use crate::driver::{ConnId, DialError, DialId, Effect, Effects, Now, Time};
use crate::limits;
use crate::wire::hash::{hex, sha256};
use std::collections::BTreeSet;

/// A model to try.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Provider id.
    pub provider: String,
    /// Model id without the provider.
    pub model: String,
    /// How to reach it.
    pub via: Via,
}

/// How a candidate is reached.
#[derive(Debug, Clone)]
pub enum Via {
    /// The embedded wiring check: repeats what it is told, no network, no key.
    Echo,
    /// A provider over HTTP.
    Http(Box<Endpoint>),
    /// It cannot be called; why, naming the configuration key.
    Broken(String),
}

/// What a run reports while it goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEvent {
    /// A model was asked: index into the candidates.
    Model(usize),
    /// More of the answer.
    Text(String),
    /// More thinking.
    Reasoning(String),
    /// More of a call of one of the caller's own tools, as the provider streams it.
    ToolCall {
        /// Which of the parallel calls.
        index: usize,
        /// The provider's id, with the first piece.
        id: Option<String>,
        /// The tool, with the first piece.
        name: Option<String>,
        /// More of the JSON text.
        arguments: String,
    },
    /// The model finished a turn and the run goes on: with the gateway's tools that it asked
    /// for ([`Run::calls`]), or with what was said meanwhile. The owner answers by
    /// [`Run::go_on`].
    Turn,
    /// Text told so far no longer counts: a retry starts over.
    Restart,
    /// Waiting before another attempt.
    Retrying {
        /// Which retry, from 1.
        attempt: u32,
        /// Milliseconds until it.
        delay_ms: u64,
        /// What went wrong.
        message: String,
    },
    /// The one end.
    Over(Outcome),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// With an answer.
    Done(StopReason),
    /// Somebody cancelled it; the word for `stopReason`.
    Aborted(&'static str),
    /// No candidate answered; the last error.
    Failed(CallError),
    /// A deadline passed; which.
    TimedOut(&'static str),
}

enum Phase {
    Waiting,
    Dialing(DialId),
    /// A connection; bytes of the answer may come.
    Asking(ConnId, Box<Call>),
    Backoff(Time),
    /// Tools work; [`Run::go_on`] brings their results.
    Tools,
    Over,
}

/// One run. Its owner routes dials, bytes and time to it and carries out its effects.
pub struct Run {
    ask: Ask,
    candidates: Vec<Candidate>,
    current: usize,
    attempt: u32,
    phase: Phase,
    /// The whole run.
    deadline: Time,
    /// The current candidate, by its own time limit, retries included.
    patience: Option<Time>,
    /// No byte for this long ends the attempt; any byte re-arms it.
    idle: Option<Time>,
    /// We do not read from the provider: its silence is ours.
    held: bool,
    /// After `[DONE]`, how long the rest of the body may take.
    tail: Option<Time>,
    /// Told text may be withdrawn by `Restart` (event clients can, HTTP streams cannot).
    may_restart: bool,
    told: bool,
    text: String,
    calls: Vec<ToolCall>,
    /// What the model wants back of its thinking.
    thoughts: Vec<Thought>,
    /// Of keys, for the owner.
    news: Vec<News>,
    /// How much of each call was told: calls of the gateway's tools are not.
    shown: Vec<bool>,
    /// Of this turn of the model, and of those before it.
    usage: Usage,
    spent: Usage,
    stop: Option<StopReason>,
    response_id: Option<String>,
    /// Something was said that this run shall still answer.
    more: bool,
    /// Turns of the model so far, this one included.
    rounds: u32,
    /// Ids of calls in turns that the model is not shown any more.
    called: BTreeSet<String>,
}

impl Run {
    /// A run that waits for `begin`. `candidates` is never empty.
    pub fn new(ask: Ask, candidates: Vec<Candidate>, deadline: Time, may_restart: bool) -> Self {
        debug_assert!(!candidates.is_empty());
        Self {
            ask,
            candidates,
            current: 0,
            attempt: 0,
            phase: Phase::Waiting,
            deadline,
            patience: None,
            idle: None,
            held: false,
            tail: None,
            may_restart,
            told: false,
            text: String::new(),
            calls: Vec::new(),
            thoughts: Vec::new(),
            news: Vec::new(),
            shown: Vec::new(),
            usage: Usage::default(),
            spent: Usage::default(),
            stop: None,
            response_id: None,
            more: false,
            rounds: 1,
            called: BTreeSet::new(),
        }
    }

    /// A run that begins once more in this turn of its model: its rounds go on being counted, and
    /// no call gets an id that one of an earlier round had (`called`), though it may not be shown
    /// that one any more.
    #[must_use]
    pub fn at_round(mut self, round: u32, called: BTreeSet<String>) -> Self {
        self.rounds = round.max(1);
        self.called = called;
        self
    }

    /// Ids that a new call may not have: those of all calls so far.
    pub fn called(&self) -> BTreeSet<String> {
        let parts = self.ask.turns.iter().filter_map(|turn| match turn {
            Turn::Assistant(parts) => Some(parts),
            _ => None,
        });
        let ids = parts.flatten().filter_map(|part| match part {
            Part::ToolCall { id, .. } => Some(id.clone()),
            _ => None,
        });
        ids.chain(self.called.iter().cloned()).collect()
    }

    /// What the model said in this turn so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Tool calls of this turn so far. When the run is over: those of the caller's own tools.
    pub fn calls(&self) -> &[ToolCall] {
        &self.calls
    }

    /// What the model thought in this turn and wants back with the next.
    pub fn thoughts(&self) -> &[Thought] {
        &self.thoughts
    }

    /// Bytes of this turn's answer so far: text and tool calls.
    pub fn answer_bytes(&self) -> usize {
        let call = |call: &ToolCall| call.id.len() + call.name.len() + call.arguments.len();
        self.text.len() + self.calls.iter().map(call).sum::<usize>()
    }

    /// Tokens of all turns, as far as the provider told them.
    pub fn usage(&self) -> Usage {
        self.spent.plus(self.usage)
    }

    /// Tokens of the last turn.
    pub fn last_usage(&self) -> Usage {
        self.usage
    }

    /// Turns of the model so far.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// The conversation as it will be sent, for its size.
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// True while the run waits for [`Run::go_on`].
    pub fn waits_for_tools(&self) -> bool {
        matches!(self.phase, Phase::Tools)
    }

    /// Whether something said meanwhile is to be answered by this run: its end becomes a
    /// [`RunEvent::Turn`].
    pub fn expect_more(&mut self, more: bool) {
        self.more = more;
    }

    /// The provider's id of the answer.
    pub fn response_id(&self) -> Option<&str> {
        self.response_id.as_deref()
    }

    /// The candidate in use.
    pub fn candidate(&self) -> Option<&Candidate> {
        self.candidates.get(self.current)
    }

    /// The provider connection, while there is one.
    pub fn conn(&self) -> Option<ConnId> {
        match &self.phase {
            Phase::Asking(conn, _) => Some(*conn),
            _ => None,
        }
    }

    /// The dial under way.
    pub fn dialing(&self) -> Option<DialId> {
        match &self.phase {
            Phase::Dialing(dial) => Some(*dial),
            _ => None,
        }
    }

    /// True after `Over` was told.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// When `on_time` is due.
    pub fn due(&self) -> Option<Time> {
        let phase = match &self.phase {
            Phase::Over => return None,
            Phase::Backoff(until) => Some(*until),
            _ => None,
        };
        let idle = self.idle.filter(|_| !self.held);
        let all = [Some(self.deadline), self.patience, idle, self.tail, phase];
        all.into_iter().flatten().min()
    }

    /// The owner stopped or resumed reading from the provider, because of whoever listens.
    pub fn hold(&mut self, now: Time, on: bool) {
        if self.held && !on && self.idle.is_some() {
            self.idle = Some(now.after_ms(limits::PROVIDER_IDLE_MS));
        }
        self.held = on;
    }

    /// Asks the first candidate. `dial` is a fresh id for the driver.
    pub fn begin(
        &mut self,
        now: Time,
        dial: DialId,
        fx: &mut Effects,
        tell: &mut dyn FnMut(RunEvent),
    ) {
        if matches!(self.phase, Phase::Waiting) {
            self.attempt(now, dial, fx, tell);
        }
    }

    fn attempt(
        &mut self,
        now: Time,
        dial: DialId,
        fx: &mut Effects,
        tell: &mut dyn FnMut(RunEvent),
    ) {
        let Some(candidate) = self.candidates.get(self.current) else { return };
        tell(RunEvent::Model(self.current));
        match &candidate.via {
            Via::Echo => self.echo(tell),
            Via::Http(endpoint) => {
                let connect_by = now.after_ms(limits::PROVIDER_CONNECT_MS).min(self.deadline);
                let target = endpoint.target.clone();
                fx.push(Effect::Dial { dial, target, deadline: connect_by });
                if let (Some(ms), None) = (endpoint.timeout_ms, self.patience) {
                    self.patience = Some(now.after_ms(ms));
                }
                self.idle = None;
                self.held = false;
                self.phase = Phase::Dialing(dial);
            }
            Via::Broken(why) => {
                let error = CallError {
                    class: Class::Request,
                    status: None,
                    message: why.clone(),
                    retry_after_ms: None,
                };
                self.failed(now, error, fx, tell);
            }
        }
    }

    /// The embedded model: says plainly what it is, then repeats the last thing it was told.
    fn echo(&mut self, tell: &mut dyn FnMut(RunEvent)) {
        let last = self.ask.turns.iter().rev().find_map(|turn| match turn {
            Turn::User(parts) => Some(text_of_parts(parts)),
            _ => None,
        });
        let last: String = last.unwrap_or_default().chars().take(limits::ECHO_CHARS).collect();
        let answer = format!("[local/echo, a wiring check: no model is configured] {last}");
        for piece in answer.split_inclusive(' ') {
            self.text.push_str(piece);
            tell(RunEvent::Text(piece.to_owned()));
        }
        // Words stand in for tokens: the figures are there, and clearly not a model's.
        let words = |text: &str| text.split_whitespace().count() as u64;
        let (input, output) = (words(&last), words(&answer));
        self.usage = Usage { input, output, total: input + output, ..Usage::default() };
        self.over(Outcome::Done(StopReason::Stop), tell);
    }

    /// The driver's answer to a dial of this run.
    pub fn on_dialed(
        &mut self,
        now: Time,
        dial: DialId,
        result: Result<ConnId, DialError>,
        fx: &mut Effects,
        tell: &mut dyn FnMut(RunEvent),
    ) {
        if !matches!(&self.phase, Phase::Dialing(id) if *id == dial) {
            if let Ok(conn) = result {
                fx.push(Effect::Abort { conn });
            }
            return;
        }
        match result {
            Ok(conn) => {
                let Some(Candidate { via: Via::Http(endpoint), .. }) =
                    self.candidates.get(self.current)
                else {
                    return;
                };
                *fx.send(conn) = endpoint.request(&self.ask);
                self.idle = Some(now.after_ms(limits::PROVIDER_IDLE_MS));
                let reader = endpoint.dialect.reader();
                let call = Call::new(reader, endpoint.secrets());
                self.phase = Phase::Asking(conn, Box::new(call));
            }
            Err(error) => {
                let message = error.to_string();
                let class = match error {
                    DialError::NoTls | DialError::Untrusted(_) | DialError::ProxyRefused(_) => {
                        Class::Request
                    }
                    _ => Class::Transient,
                };
                let error = CallError { class, status: None, message, retry_after_ms: None };
                self.failed(now, error, fx, tell);
            }
        }
    }

    /// Bytes from the provider.
    pub fn on_bytes(
        &mut self,
        now: Now,
        bytes: &[u8],
        fx: &mut Effects,
        tell: &mut dyn FnMut(RunEvent),
    ) {
        let Now { time: now, wall_ms } = now;
        self.idle = Some(now.after_ms(limits::PROVIDER_IDLE_MS));
        self.with_call(now, fx, tell, |call, sink| call.push(bytes, wall_ms, sink));
        if self.tail.is_none() && matches!(&self.phase, Phase::Asking(_, call) if call.said_done())
        {
            self.tail = Some(now.after_ms(limits::PROVIDER_TAIL_MS));
        }
    }

    /// The provider closed the connection, in order or not.
    pub fn on_closed(&mut self, now: Time, fx: &mut Effects, tell: &mut dyn FnMut(RunEvent)) {
        self.with_call(now, fx, tell, |call, sink| call.eof(sink));
    }

    fn with_call(
        &mut self,
        now: Time,
        fx: &mut Effects,
        tell: &mut dyn FnMut(RunEvent),
        feed: impl FnOnce(&mut Call, &mut dyn FnMut(CallEvent)),
    ) {
        // What comes too late moves nothing.
        if !matches!(self.phase, Phase::Asking(..)) {
            return;
        }
        let Phase::Asking(conn, mut call) = std::mem::replace(&mut self.phase, Phase::Waiting)
        else {
            return;
        };
        let mut end = None;
        feed(&mut call, &mut |event| match event {
            CallEvent::Delta(delta) => self.delta(delta, tell),
            other => end = Some(other),
        });
        match end {
            None => self.phase = Phase::Asking(conn, call),
            Some(CallEvent::Failed(error)) => {
                fx.push(Effect::Abort { conn });
                self.failed(now, error, fx, tell);
            }
            Some(_) => {
                fx.push(Effect::Abort { conn });
                self.answered(tell);
            }
        }
    }

    /// The model's turn is complete: the run is over, or goes on with tools.
    fn answered(&mut self, tell: &mut dyn FnMut(RunEvent)) {
        if let Some(Candidate { provider, model, via: Via::Http(endpoint) }) = self.candidate()
            && let Some(key) = endpoint.keys.first().cloned()
        {
            let (provider, model) = (provider.clone(), model.clone());
            let news = News { provider, model, key, fault: None, retry_after_ms: None };
            self.news.push(news);
        }
        self.idle = None;
        self.tail = None;
        self.name_calls();
        let ours = self.calls.iter().any(|call| !self.is_callers(&call.name));
        if ours || (self.more && self.calls.is_empty()) {
            self.phase = Phase::Tools;
            self.patience = None;
            tell(RunEvent::Turn);
        } else {
            let stop = self.stop.unwrap_or_default();
            self.over(Outcome::Done(stop), tell);
        }
    }

    /// Some providers give a call no id, or one that was there before; a result must name one call
    /// alone. What a caller was told stays.
    fn name_calls(&mut self) {
        if self.calls.is_empty() {
            return;
        }
        let mut taken = self.called();
        let mut calls = std::mem::take(&mut self.calls);
        for (at, call) in calls.iter_mut().enumerate() {
            let again = taken.contains(&call.id) && !self.is_callers(&call.name);
            if call.id.is_empty() || again {
                let mut ids = (at..).map(|n| format!("call_{}_{n}", self.rounds));
                call.id = ids.find(|id| !taken.contains(id)).unwrap_or_default();
            }
            taken.insert(call.id.clone());
        }
        self.calls = calls;
    }

    /// A tool of whoever asked; every other name is the gateway's business, known or not.
    pub fn is_callers(&self, name: &str) -> bool {
        self.ask.tools.iter().any(|tool| super::tool_name(tool) == Some(name))
    }

    /// Answers [`RunEvent::Turn`]: the results of the gateway's tools and what was said
    /// meanwhile. Asks the model again; or, when the model also asked for tools of the caller,
    /// ends with those. `dial` is a fresh id.
    pub fn go_on(
        &mut self,
        now: Time,
        dial: DialId,
        new: Vec<Turn>,
        fx: &mut Effects,
        tell: &mut dyn FnMut(RunEvent),
    ) {
        if !matches!(self.phase, Phase::Tools) {
            return;
        }
        self.phase = Phase::Waiting;
        let calls = std::mem::take(&mut self.calls);
        let (left, ours): (Vec<_>, Vec<_>) =
            calls.into_iter().partition(|call| self.is_callers(&call.name));
        if !left.is_empty() {
            self.calls = left;
            return self.over(Outcome::Done(StopReason::ToolUse), tell);
        }
        if self.rounds >= limits::TOOL_ROUNDS {
            let message = format!(
                "the model asked for tools {} times in one run; send a new message to go on",
                limits::TOOL_ROUNDS
            );
            let class = Class::Request;
            let error = CallError { class, status: None, message, retry_after_ms: None };
            return self.over(Outcome::Failed(error), tell);
        }
        let text = std::mem::take(&mut self.text);
        let said = (!text.is_empty()).then_some(Part::Text(text));
        let asked = ours.into_iter().map(|call| Part::ToolCall {
            id: call.id,
            name: call.name,
            arguments: call.arguments,
        });
        let thoughts = std::mem::take(&mut self.thoughts).into_iter().map(Part::Thinking);
        let said: Vec<Part> = thoughts.chain(said).chain(asked).collect();
        if !said.is_empty() {
            self.ask.turns.push(Turn::Assistant(said));
        }
        self.ask.turns.extend(new);
        // It was the model's to choose once; forced again it would never answer.
        self.ask.tool_choice = None;
        self.spent = self.usage();
        self.usage = Usage::default();
        self.shown.clear();
        self.stop = None;
        self.more = false;
        self.told = false;
        self.attempt = 0;
        self.rounds += 1;
        self.attempt(now, dial, fx, tell);
    }

    fn delta(&mut self, delta: Delta, tell: &mut dyn FnMut(RunEvent)) {
        match delta {
            Delta::Text(text) => {
                self.told = true;
                self.text.push_str(&text);
                tell(RunEvent::Text(text));
            }
            Delta::Reasoning(text) => tell(RunEvent::Reasoning(text)),
            Delta::Thought(thought) => self.thought(thought),
            Delta::ToolCall { index, id, name, arguments } => {
                self.tool_call(index, id, name, arguments, tell);
            }
            Delta::Usage(usage) => self.usage = usage,
            Delta::ResponseId(id) => self.response_id = Some(id),
            Delta::Finish(reason) => self.stop = Some(reason),
        }
    }

    /// Kept for the next turn, as long as all of them fit into an answer.
    fn thought(&mut self, mut thought: Thought) {
        let size = |thought: &Thought| {
            thought.text.len() + thought.signature.as_ref().map_or(0, String::len)
        };
        let kept: usize = self.thoughts.iter().map(size).sum();
        if kept.saturating_add(size(&thought)) > limits::ANSWER_BYTES {
            return;
        }
        if let Some(Candidate { provider, model, .. }) = self.candidates.get(self.current) {
            thought.by = format!("{provider}/{model}");
        }
        self.thoughts.push(thought);
    }

    /// The id of a call, when the provider's is not used: nine digits, as the reference has it.
    fn made_id(&self, index: usize) -> Option<String> {
        let seed = self.ask.call_ids.as_ref()?;
        let digest = sha256(format!("{seed}\0{}\0{index}", self.rounds).as_bytes());
        Some(hex(&digest).chars().take(9).collect())
    }

    fn tool_call(
        &mut self,
        index: u64,
        id: Option<String>,
        name: Option<String>,
        arguments: String,
        tell: &mut dyn FnMut(RunEvent),
    ) {
        self.told = true;
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if index >= limits::TOOL_CALLS {
            return;
        }
        while self.calls.len() <= index {
            let id = self.made_id(self.calls.len()).unwrap_or_default();
            self.calls.push(ToolCall { id, ..ToolCall::default() });
            self.shown.push(false);
        }
        let id = id.filter(|_| self.ask.call_ids.is_none());
        let Some(call) = self.calls.get_mut(index) else { return };
        if let Some(id) = &id {
            call.id.clone_from(id);
        }
        if let Some(name) = &name {
            call.name.push_str(name);
        }
        call.arguments.push_str(&arguments);
        if self.shown.get(index) == Some(&true) {
            return tell(RunEvent::ToolCall { index, id, name, arguments });
        }
        // The name may come in pieces: nothing is told before it is known whose tool it is.
        let call = call.clone();
        if self.is_callers(&call.name) {
            if let Some(shown) = self.shown.get_mut(index) {
                *shown = true;
            }
            let (id, name) = (Some(call.id), Some(call.name));
            tell(RunEvent::ToolCall { index, id, name, arguments: call.arguments });
        }
    }

    /// An attempt failed: wait and repeat, go to the next candidate, or give up.
    fn failed(
        &mut self,
        now: Time,
        mut error: CallError,
        fx: &mut Effects,
        tell: &mut dyn FnMut(RunEvent),
    ) {
        let _ = fx;
        self.idle = None;
        self.tail = None;
        if self.told && !self.may_restart {
            return self.over(Outcome::Failed(error), tell);
        }
        if self.next_key(&mut error) {
            return self.again(now, 0, error, tell);
        }
        let last_candidate = self.current + 1 >= self.candidates.len();
        let retries =
            if last_candidate { limits::PROVIDER_RETRIES } else { limits::PROVIDER_RETRIES_EARLY };
        let end = self.patience.map_or(self.deadline, |patience| patience.min(self.deadline));
        let backoff = 1000u64.checked_shl(self.attempt).unwrap_or(u64::MAX);
        let asked = error.retry_after_ms.unwrap_or(0);
        let pause = backoff.min(limits::PROVIDER_BACKOFF_MAX_MS).max(asked);
        // Whoever asks for more than we wait is not asked early, but not again.
        let too_long = asked > limits::PROVIDER_BACKOFF_MAX_MS;
        let in_time = last_candidate || now.after_ms(pause) < end;
        let again = error.class == Class::Transient && self.attempt < retries;
        let delay_ms = if again && in_time && !too_long {
            self.attempt += 1;
            Some(pause)
        } else if last_candidate {
            None
        } else {
            self.current += 1;
            self.attempt = 0;
            self.patience = None;
            Some(0)
        };
        if too_long && last_candidate {
            error.message.push_str(&format!(" (it asks to wait {})", span(asked)));
        }
        let Some(delay_ms) = delay_ms else {
            return self.over(Outcome::Failed(error), tell);
        };
        let end = self.patience.map_or(self.deadline, |patience| patience.min(self.deadline));
        if now.after_ms(delay_ms) >= end {
            return self.over(Outcome::Failed(error), tell);
        }
        self.again(now, delay_ms, error, tell);
    }

    /// What an error says about the key in use goes to the owner; true when there is another
    /// key, which is in use now. A key that is used too often is worth waiting for when it is
    /// the last.
    fn next_key(&mut self, error: &mut CallError) -> bool {
        let Some(fault) = Fault::of(error.class, error.status) else { return false };
        let Some(Candidate { provider, model, via: Via::Http(endpoint) }) =
            self.candidates.get_mut(self.current)
        else {
            return false;
        };
        let Some(key) = endpoint.keys.first().cloned() else { return false };
        error.message.push_str(&format!(" (key {})", key.name));
        let next = endpoint.next_key();
        if next || fault != Fault::Rate || self.attempt == 0 {
            self.news.push(News {
                provider: provider.clone(),
                model: model.clone(),
                key,
                fault: Some(fault),
                retry_after_ms: error.retry_after_ms,
            });
        }
        if next {
            self.attempt = 0;
        }
        next
    }

    /// What became known of keys since it was asked for.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    fn again(
        &mut self,
        now: Time,
        delay_ms: u64,
        error: CallError,
        tell: &mut dyn FnMut(RunEvent),
    ) {
        if std::mem::take(&mut self.told) {
            tell(RunEvent::Restart);
        }
        self.text.clear();
        self.calls.clear();
        self.thoughts.clear();
        self.shown.clear();
        self.stop = None;
        let attempt = self.attempt;
        tell(RunEvent::Retrying { attempt, delay_ms, message: error.message });
        self.phase = Phase::Backoff(now.after_ms(delay_ms));
    }

    /// Time passed. `dial` is a fresh id, used if an attempt starts.
    pub fn on_time(
        &mut self,
        now: Time,
        dial: DialId,
        fx: &mut Effects,
        tell: &mut dyn FnMut(RunEvent),
    ) {
        if self.is_over() {
            return;
        }
        if now >= self.deadline {
            self.let_go(fx);
            return self.over(Outcome::TimedOut("the run's deadline"), tell);
        }
        if self.patience.is_some_and(|patience| now >= patience) {
            self.let_go(fx);
            let last = self.current + 1 >= self.candidates.len();
            if last || self.told && !self.may_restart {
                return self.over(Outcome::TimedOut("the provider's timeoutSeconds"), tell);
            }
            let message = "no whole answer within its timeoutSeconds".to_owned();
            let class = Class::Request;
            let error = CallError { class, status: None, message, retry_after_ms: None };
            return self.failed(now, error, fx, tell);
        }
        if self.tail.is_some_and(|tail| now >= tail) {
            // The answer was complete; only the connection's end is missing.
            self.let_go(fx);
            return self.answered(tell);
        }
        if !self.held && self.idle.is_some_and(|idle| now >= idle) {
            self.let_go(fx);
            let message = format!("no byte from it for {} s", limits::PROVIDER_IDLE_MS / 1000);
            let class = Class::Transient;
            let error = CallError { class, status: None, message, retry_after_ms: None };
            return self.failed(now, error, fx, tell);
        }
        if matches!(self.phase, Phase::Backoff(until) if now >= until) {
            self.attempt(now, dial, fx, tell);
        }
    }

    /// Cancels: the provider's connection is closed at once.
    pub fn abort(
        &mut self,
        reason: &'static str,
        fx: &mut Effects,
        tell: &mut dyn FnMut(RunEvent),
    ) {
        if !self.is_over() {
            self.let_go(fx);
            self.over(Outcome::Aborted(reason), tell);
        }
    }

    /// The answer passed [`limits::ANSWER_BYTES`]: the run fails, whatever candidates are left.
    pub fn too_long(&mut self, fx: &mut Effects, tell: &mut dyn FnMut(RunEvent)) {
        let message = format!(
            "the answer is longer than {} MiB; ask for less, or set the model's maxTokens",
            limits::ANSWER_BYTES / (1024 * 1024)
        );
        self.give_up(&message, fx, tell);
    }

    /// The run fails for a reason of its owner's, whatever candidates are left.
    pub fn give_up(&mut self, why: &str, fx: &mut Effects, tell: &mut dyn FnMut(RunEvent)) {
        if self.is_over() {
            return;
        }
        self.let_go(fx);
        let (class, message) = (Class::Request, why.to_owned());
        let error = CallError { class, status: None, message, retry_after_ms: None };
        self.over(Outcome::Failed(error), tell);
    }

    fn let_go(&mut self, fx: &mut Effects) {
        match std::mem::replace(&mut self.phase, Phase::Waiting) {
            Phase::Dialing(dial) => fx.push(Effect::CancelDial { dial }),
            Phase::Asking(conn, _) => fx.push(Effect::Abort { conn }),
            Phase::Waiting | Phase::Backoff(_) | Phase::Tools | Phase::Over => {}
        }
    }

    fn over(&mut self, outcome: Outcome, tell: &mut dyn FnMut(RunEvent)) {
        debug_assert!(!self.is_over(), "a run ends once");
        self.phase = Phase::Over;
        self.idle = None;
        self.tail = None;
        tell(RunEvent::Over(outcome));
    }
}

/// A time for people, rounded up.
fn span(ms: u64) -> String {
    match ms.div_ceil(1000) {
        seconds @ ..=120 => format!("{seconds} s"),
        seconds @ ..=7200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
