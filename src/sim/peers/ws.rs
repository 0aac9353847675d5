//! A client of the gateway protocol that remembers everything it asked and heard.

use super::heard::Heard;
use super::{Event, Io, Kind, Peer, TOKEN};
use crate::driver::Time;
use crate::sim::check::{Checks, Invariant, Message};
use crate::sim::rng::Rng;
use crate::wire::hash::base64;
use crate::wire::http::client::{Client, ClientEvent};
use crate::wire::ws::{self, Message as Frame, Receiver, Role};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How a client leaves when its work is done (or at once, if it is hasty).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A close frame, then the end.
    Close,
    /// Ends its direction without a word.
    Hangup,
    /// Breaks the connection.
    Reset,
    /// Stays until everybody else is done, then closes.
    Watch,
}

/// What a client is to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// 3 or 4.
    pub protocol: u64,
    /// How many requests.
    pub actions: u32,
    /// How it leaves.
    pub ending: Ending,
    /// It does not wait for answers before it leaves.
    pub hasty: bool,
    /// Microseconds between reads; `u64::MAX` stops reading after the handshake.
    pub pause_us: u64,
    /// Bytes of a message's text.
    pub size: usize,
    /// It sends so many pings and reads nothing.
    pub flood: u32,
    /// Only these methods, in this order, instead of a random choice.
    pub script: Option<&'static [&'static str]>,
}

impl Plan {
    /// An ordinary client.
    pub fn ordinary(rng: &mut Rng) -> Self {
        Self {
            protocol: rng.pick(&[3, 4, 4]),
            actions: rng.range(2, 9) as u32,
            ending: rng.pick(&[Ending::Close, Ending::Close, Ending::Hangup, Ending::Watch]),
            hasty: false,
            pause_us: 0,
            size: rng.size(1, 60),
            flood: 0,
            script: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Upgrading,
    Challenged,
    Connecting,
    Ready,
    /// It has said goodbye.
    Leaving,
    Gone,
}

#[derive(Debug)]
struct Asked {
    method: &'static str,
    run: String,
    /// `agent`: the first response is here.
    accepted: bool,
}

/// The client.
pub struct WsClient {
    name: usize,
    rng: Rng,
    plan: Plan,
    phase: Phase,
    key: String,
    http: Client,
    recv: Receiver,
    asked: BTreeMap<String, Asked>,
    over: BTreeSet<String>,
    requests: u32,
    seq: u64,
    /// When hello came.
    since: Option<Time>,
    /// Until the end it missed nothing.
    whole: bool,
    runs: BTreeMap<String, Heard>,
    own: Vec<String>,
}

/// What a message does while its session has a run; without a word it steers.
const MODES: [Option<&str>; 6] =
    [None, None, Some("steer"), Some("followup"), Some("collect"), Some("interrupt")];

const SESSIONS: [&str; 3] = ["agent:main:main", "agent:main:a", "agent:main:b"];

impl WsClient {
    /// A client; `name` makes its ids its own.
    pub fn new(name: usize, mut rng: Rng, plan: Plan) -> Self {
        let mut key = [0; 16];
        crate::driver::Entropy::fill(&mut rng, &mut key);
        Self {
            name,
            rng,
            plan,
            phase: Phase::Upgrading,
            key: base64(&key),
            http: Client::new(false),
            recv: Receiver::new(Role::Client, crate::limits::WS_MESSAGE * 2),
            asked: BTreeMap::new(),
            over: BTreeSet::new(),
            requests: 0,
            seq: 0,
            since: None,
            whole: true,
            runs: BTreeMap::new(),
            own: Vec::new(),
        }
    }

    fn text(&mut self, value: &Value, io: &mut Io) {
        let mask = (self.rng.next() as u32).to_be_bytes();
        ws::text_masked(&mut io.send, value.to_string(), mask);
    }

    fn request(&mut self, method: &'static str, params: Value, run: &str, io: &mut Io) {
        self.requests += 1;
        let id = format!("c{}-{}", self.name, self.requests);
        let mut frame = json!({"type": "req", "id": id, "method": method});
        if !params.is_null() {
            frame["params"] = params;
        }
        self.text(&frame, io);
        self.asked.insert(id, Asked { method, run: run.to_owned(), accepted: false });
    }

    fn connect(&mut self, io: &mut Io) {
        let version = self.plan.protocol;
        let caps: &[&str] = if self.rng.percent(60) { &["tool-events"] } else { &[] };
        let params = json!({
            "caps": caps,
            "minProtocol": version, "maxProtocol": version,
            "client": {"id": "gateway-client", "version": "1", "platform": "sim",
                       "mode": "backend"},
            "role": "operator", "scopes": ["operator.admin", "operator.read", "operator.write"],
            "auth": {"token": TOKEN},
        });
        self.request("connect", params, "", io);
    }

    /// One request of the client's choice.
    fn act(&mut self, now: Time, io: &mut Io, checks: &mut Checks) {
        const CHOICE: [&str; 14] = [
            "chat.send",
            "chat.send",
            "chat.send",
            "agent",
            "agent",
            "agent.wait",
            "chat.history",
            "chat.abort",
            "again",
            "health",
            "sessions.list",
            "sessions.subscribe",
            "sessions.messages.subscribe",
            "no.such.method",
        ];
        let done = self.requests.saturating_sub(1) as usize;
        let method = match self.plan.script {
            Some(script) => script[done % script.len()],
            None => self.rng.pick(&CHOICE),
        };
        let key = self.rng.pick(&SESSIONS);
        let known = self.own.last().cloned();
        match (method, known) {
            ("agent.wait", Some(run)) => {
                let timeout = self.rng.range(0, 5000);
                self.request(method, json!({"runId": run, "timeoutMs": timeout}), &run, io);
            }
            ("chat.abort", Some(run)) => {
                let key = checks.messages[&run].key.clone();
                let mut params = json!({"sessionKey": key});
                if self.rng.percent(50) {
                    params["runId"] = json!(run);
                }
                self.request(method, params, "", io);
            }
            ("again", Some(run)) if checks.messages[&run].text.starts_with("chat") => {
                self.say("chat.send", &run, io, checks);
            }
            ("chat.history", _) => {
                let limit = self.rng.range(1, 50);
                self.request(method, json!({"sessionKey": key, "limit": limit}), "", io);
            }
            ("sessions.messages.subscribe", _) => {
                self.request(method, json!({"key": key}), "", io);
            }
            ("sessions.list" | "sessions.subscribe" | "no.such.method", _) => {
                self.request(method, json!({}), "", io);
            }
            ("chat.send" | "agent", _) => {
                let run = format!("run-{}-{}", self.name, self.requests);
                // Chat and agent are told apart by their text, for repetitions.
                let text = format!("{method} {run} {}", "x".repeat(self.plan.size));
                let message =
                    Message { key: key.to_owned(), text, sent: now, acked: None, ended: None };
                checks.messages.insert(run.clone(), message);
                self.own.push(run.clone());
                self.say(method, &run, io, checks);
            }
            _ => self.request("health", Value::Null, "", io),
        }
    }

    fn say(&mut self, method: &'static str, run: &str, io: &mut Io, checks: &Checks) {
        let message = &checks.messages[run];
        let mut params = json!({
            "sessionKey": message.key, "message": message.text, "idempotencyKey": run,
        });
        if method == "chat.send"
            && let Some(mode) = self.rng.pick(&MODES)
        {
            params["queueMode"] = json!(mode);
        }
        self.request(method, params, run, io);
    }

    fn frame(&mut self, now: Time, text: &str, io: &mut Io, checks: &mut Checks) {
        let name = self.name;
        let Ok(frame) = serde_json::from_str::<Value>(text) else {
            return checks
                .fail(Invariant::WellServed, || format!("client {name}: not JSON: {text}"));
        };
        match frame["type"].as_str() {
            Some("res") => self.response(now, &frame, io, checks),
            Some("event") => self.event(now, &frame, io, checks),
            _ => checks.fail(Invariant::WellServed, || format!("client {name}: odd frame {text}")),
        }
    }

    fn response(&mut self, now: Time, frame: &Value, io: &mut Io, checks: &mut Checks) {
        let name = self.name;
        let id = frame["id"].as_str().unwrap_or_default().to_owned();
        checks.responses += 1;
        let Some(asked) = self.asked.get_mut(&id) else {
            let what = if self.over.contains(&id) { "again" } else { "unasked" };
            return checks.fail(Invariant::OwnReplies, || {
                format!("client {name}: a response {what}: {frame}")
            });
        };
        let (payload, ok) = (&frame["payload"], frame["ok"] == true);
        let (method, run, second) = (asked.method, asked.run.clone(), asked.accepted);
        if method == "agent" && ok && payload["status"] == "accepted" {
            let first = !std::mem::replace(&mut asked.accepted, true);
            checks.require(first, Invariant::OwnReplies, || {
                format!("client {name}: accepted twice: {frame}")
            });
            return checks.acknowledged(now, &run);
        }
        self.asked.remove(&id);
        self.over.insert(id);
        let full = checks.short_queues && frame["error"]["retryable"] == true;
        let excused = checks.leaving.is_some() || checks.disk_trouble || full;
        let refused = matches!(method, "chat.send" | "agent") && !ok && !second;
        if refused && checks.messages.get(&run).is_some_and(|message| message.acked.is_none()) {
            self.own.retain(|own| *own != run);
        }
        let fine = match method {
            "connect" => {
                self.since = Some(now);
                self.phase = Phase::Ready;
                io.pause_us = Some(self.plan.pause_us);
                io.wake = Some(now.after_ms(self.rng.range(0, 200)));
                ok && payload["protocol"] == self.plan.protocol
            }
            "no.such.method" => frame["error"]["code"] == "INVALID_REQUEST",
            "chat.send" if ok => {
                let known = ["started", "in_flight", "ok"];
                let known = known.iter().any(|status| payload["status"] == *status);
                checks.acknowledged(now, &run);
                known && payload["runId"] == *run
            }
            "agent" if ok => payload["runId"] == *run,
            "agent" if second => checks.provider_trouble || checks.disk_trouble,
            "chat.abort" => ok && payload["ok"] == true,
            "agent.wait" => ok && payload["runId"] == *run,
            _ => ok,
        };
        checks.require(fine || excused, Invariant::WellServed, || {
            format!("client {name}: {method} was answered {frame}")
        });
    }

    fn event(&mut self, now: Time, frame: &Value, io: &mut Io, checks: &mut Checks) {
        let name = self.name;
        if frame["event"] == "connect.challenge" {
            checks.require(self.phase == Phase::Challenged, Invariant::WellServed, || {
                format!("client {name}: challenged twice")
            });
            self.phase = Phase::Connecting;
            return self.connect(io);
        }
        let seq = frame["seq"].as_u64().unwrap_or(0);
        if seq != self.seq + 1 {
            // Only whoever does not read may lose events.
            let slow = self.plan.pause_us > 0 && seq > self.seq;
            self.whole = false;
            checks.require(slow, Invariant::Sequence, || {
                format!("client {name}: event {seq} after {}: {}", self.seq, frame["event"])
            });
        }
        self.seq = seq;
        if frame["event"] == "shutdown" {
            checks.require(checks.leaving.is_some(), Invariant::WellServed, || {
                format!("client {name}: a shutdown nobody asked for")
            });
        }
        if matches!(frame["event"].as_str(), Some("chat" | "agent")) {
            let run = frame["payload"]["runId"].as_str().unwrap_or_default().to_owned();
            let heard = self.runs.entry(run).or_default();
            heard.event(name, self.plan.protocol, frame, checks);
            io.wake = Some(now);
        }
    }

    fn finished(&self) -> bool {
        self.requests > self.plan.actions
            && self.asked.is_empty()
            && self.own.iter().all(|run| self.runs.get(run).is_some_and(|heard| heard.ended))
    }

    fn wake(&mut self, now: Time, io: &mut Io, checks: &mut Checks) {
        if self.phase != Phase::Ready {
            return;
        }
        if self.plan.flood > 0 {
            let batch = self.plan.flood.min(4000);
            self.plan.flood -= batch;
            for _ in 0..batch {
                ws::ping_masked(&mut io.send, &[b'p'; 125], [1, 2, 3, 4]);
            }
            io.wake = Some(now.after_ms(1));
            return;
        }
        let asked = self.requests.saturating_sub(1);
        if asked < self.plan.actions && checks.leaving.is_none() {
            // Heard events wake too; requests keep their own pace by chance.
            if self.plan.script.is_some() || self.rng.percent(40) {
                for _ in 0..self.rng.range(1, 2) {
                    self.act(now, io, checks);
                }
            }
            io.wake = Some(now.after_ms(self.rng.range(1, 400)));
            return;
        }
        let may_go = match self.plan.ending {
            Ending::Watch => checks.closing && self.finished(),
            _ => self.plan.hasty || self.finished() || checks.disk_trouble,
        };
        if !may_go {
            return;
        }
        self.phase = Phase::Leaving;
        self.whole &= self.plan.ending == Ending::Watch;
        match self.plan.ending {
            Ending::Close | Ending::Watch => {
                ws::close_masked(&mut io.send, 1000, "bye", [9, 9, 9, 9]);
            }
            Ending::Hangup => io.end = true,
            Ending::Reset => {
                io.reset = true;
                self.phase = Phase::Gone;
            }
        }
    }

    fn closed(&mut self, code: Option<u16>, reason: &str, io: &mut Io, checks: &mut Checks) {
        let name = self.name;
        let slow = code == Some(1008) && reason == "slow consumer" && self.plan.pause_us > 0;
        let stopping = code == Some(1012) && checks.leaving.is_some();
        let leaving = self.phase == Phase::Leaving;
        checks.require(slow || stopping || leaving, Invariant::WellServed, || {
            format!("client {name}: closed with {code:?} {reason:?}")
        });
        self.whole &= leaving;
        self.phase = Phase::Leaving;
        io.end = true;
    }
}

impl Peer for WsClient {
    fn kind(&self) -> Kind {
        Kind::Client
    }

    fn on(&mut self, now: Time, event: Event<'_>, io: &mut Io, checks: &mut Checks) {
        match event {
            Event::Connected => {
                let host = "127.0.0.1:18789";
                ws::client_request(&mut io.send, host, "/", &self.key, &[]);
            }
            Event::Bytes(bytes) if self.phase == Phase::Upgrading => {
                self.http.push(bytes);
                if let Some(ClientEvent::Head { status, headers }) = self.http.next() {
                    let name = self.name;
                    let stopping = status == 503 && checks.leaving.is_some();
                    if stopping {
                        self.phase = Phase::Gone;
                        io.end = true;
                        return;
                    }
                    let answer = ws::check_answer(status, &headers, &self.key);
                    checks.require(answer.is_ok(), Invariant::WellServed, || {
                        format!("client {name}: no upgrade: {answer:?}")
                    });
                    self.phase = Phase::Challenged;
                    let rest = self.http.take_rest();
                    if !rest.is_empty() {
                        self.on(now, Event::Bytes(&rest), io, checks);
                    }
                }
            }
            Event::Bytes(_) if self.phase == Phase::Gone => {}
            Event::Bytes(bytes) => {
                let heard = self.over.len();
                self.recv.push(bytes);
                while let Some(message) = self.recv.next() {
                    match message {
                        Ok(Frame::Text(text)) => self.frame(now, &text, io, checks),
                        Ok(Frame::Close { code, reason }) => {
                            self.closed(code, &reason, io, checks);
                        }
                        Ok(_) => {}
                        Err(violation) => checks.fail(Invariant::WellServed, || {
                            format!("a client was sent a bad frame: {violation}")
                        }),
                    }
                }
                if self.over.len() > heard && io.wake.is_none() {
                    io.wake = Some(now);
                }
            }
            Event::Ended | Event::Lost { .. } => {
                let name = self.name;
                let injected = matches!(event, Event::Lost { injected: true });
                let known = self.phase == Phase::Leaving
                    || self.phase == Phase::Gone
                    || injected
                    || self.plan.pause_us > 0
                    || checks.leaving.is_some();
                checks.require(known, Invariant::WellServed, || {
                    format!("client {name}: {event:?} out of the blue in {:?}", self.phase)
                });
                self.whole &= self.phase == Phase::Leaving && matches!(event, Event::Ended);
                self.phase = Phase::Gone;
                io.end = true;
            }
            Event::Wake => self.wake(now, io, checks),
        }
    }

    fn done(&self) -> bool {
        let stuck = self.plan.pause_us == u64::MAX && self.plan.flood == 0;
        match self.phase {
            Phase::Gone => true,
            Phase::Ready => self.plan.ending == Ending::Watch && self.finished() || stuck,
            _ => stuck,
        }
    }

    fn at_end(&mut self, checks: &mut Checks) {
        let name = self.name;
        if !self.whole
            || self.plan.pause_us == u64::MAX
            || checks.leaving.is_some()
            || checks.disk_trouble
        {
            return;
        }
        let Some(since) = self.since else { return };
        for (id, message) in &checks.messages.clone() {
            let ended = self.runs.get(id).is_some_and(|heard| heard.ended);
            let due = message.acked.is_some() && message.sent > since;
            checks.require(ended || !due, Invariant::OneEnd, || {
                format!("client {name} never heard the end of {id}")
            });
        }
    }

    fn state(&self) -> String {
        format!(
            "client {} {:?} whole {} seq {} since {:?} asked {}/{} open {:?} own {:?}",
            self.name,
            self.phase,
            self.whole,
            self.seq,
            self.since,
            self.requests.saturating_sub(1),
            self.plan.actions,
            self.asked,
            self.own,
        )
    }
}
