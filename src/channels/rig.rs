//! A scripted server for tests of a channel: no socket, no clock.
//!
//! ```text
//!   let mut rig = Rig::new(&irc::KIND, json!({"host": "h", "nick": "n"}));
//!   rig.start();
//!   let sock = rig.tcp("h", 6697, true);        // what it opened, or the test fails
//!   rig.opened(sock);
//!   assert_eq!(rig.said(sock), "NICK n\r\n…");  // what it sent since the last look
//!   rig.hears(sock, ":srv 001 n :hi\r\n");
//!   assert_eq!(rig.state(), &State::Connected);
//!   let message = rig.message();                // an inbound message, accepted
//!   rig.after_ms(30_000);                       // time passes, wakes come when they are due
//! ```
//!
//! WebSockets: [`Rig::ws`], [`Rig::hears_text`], [`Rig::said_texts`]. HTTP: [`Rig::request`],
//! [`Rig::answers`]. Webhooks: [`Rig::hook`], [`Rig::hooked`].

use std::collections::VecDeque;

use serde_json::Value;

use super::port::{Answered, ChannelEffect, ChannelInput, ChannelOut, Gone, HookId, HookRequest};
use super::port::{HttpRequest, Located, Me, ReqId, SockId, State, Trouble};
use super::{
    Account, Act, Address, Caps, Channel, Failure, GroupRules, Inbound, Kind, Outgoing, Writing,
};
use crate::driver::{Now, Time};
use crate::wire::http::{Client, ClientEvent, Headers};

/// A kind for tests of the machinery.
pub static KIND: Kind = Kind {
    id: "rig",
    label: "Rig",
    detail: "test rig",
    prefixes: &[],
    caps: Caps {
        direct: true,
        group: true,
        threads: true,
        reply: true,
        reactions: true,
        edit: true,
        delete: true,
        finds: false,
        brings_again: true,
        typing: true,
        media: true,
        polls: true,
        buttons: false,
        native_commands: false,
    },
    text_limit: 400,
    media_max_mb: 20,
    writing: Writing::PLAIN,
    length: |text| text.chars().count(),
    render: str::to_owned,
    live_keys: &["mood"],
    not_inherited: &["token"],
    file_keys: &[("tokenFile", "token")],
    env_keys: &[("host", "RIG_HOST")],
    credentials: &["host"],
    build: |_| Err("a rig builds nothing".to_owned()),
    target: |text| Ok(Address::chat(text)),
    normal: |text| text.trim().to_lowercase(),
    group: |_, _| GroupRules::default(),
};

/// The wall clock at the start of every rig.
pub const WALL_MS: u64 = 1_795_000_000_000;

/// A channel on its stage.
pub struct Rig {
    /// What is tested.
    pub channel: Box<dyn Channel>,
    out: ChannelOut,
    now: Now,
    /// Everything it asked for and nobody looked at yet.
    pub effects: VecDeque<ChannelEffect>,
    state: State,
    /// Who it says it is.
    pub me: Me,
    /// What it kept.
    pub kept: Value,
    /// Whether the disk takes messages.
    pub disk: bool,
    inbound: VecDeque<Inbound>,
    sent: VecDeque<(String, Result<Vec<String>, Failure>)>,
    parts: VecDeque<(String, Vec<String>)>,
    acted: VecDeque<(u64, Result<Value, Failure>)>,
    probed: VecDeque<(u64, Result<Value, String>)>,
    located: VecDeque<(u64, Result<Located, Failure>)>,
    audited: VecDeque<(u64, Value)>,
    sends: u64,
}

impl Rig {
    /// A default account with these keys.
    ///
    /// # Panics
    /// When the channel refuses them.
    pub fn new(kind: &'static Kind, value: Value) -> Self {
        Self::of(kind, &Account::new(kind.id, "default", value))
    }

    /// An account, perhaps with something kept.
    ///
    /// # Panics
    /// When the channel refuses it.
    pub fn of(kind: &'static Kind, account: &Account) -> Self {
        match (kind.build)(account) {
            Ok(channel) => Self::with(channel),
            Err(why) => panic!("not built: {why}"),
        }
    }

    /// A value that was made otherwise.
    pub fn with(channel: Box<dyn Channel>) -> Self {
        Self {
            channel,
            out: ChannelOut::new(1),
            now: Now { time: Time(1_000_000), wall_ms: WALL_MS },
            effects: VecDeque::new(),
            state: State::Stopped,
            me: Me::default(),
            kept: Value::Null,
            disk: true,
            inbound: VecDeque::new(),
            sent: VecDeque::new(),
            parts: VecDeque::new(),
            acted: VecDeque::new(),
            probed: VecDeque::new(),
            located: VecDeque::new(),
            audited: VecDeque::new(),
            sends: 0,
        }
    }

    /// Hands in anything and sorts what comes out.
    pub fn on(&mut self, input: ChannelInput<'_>) {
        self.channel.on(self.now, input, &mut self.out);
        while let Some(effect) = self.out.take() {
            match effect {
                ChannelEffect::Inbound(message) => {
                    let token = message.token;
                    let kept = self.disk;
                    if kept {
                        self.inbound.push_back(*message);
                    }
                    let input = ChannelInput::Accepted { token, kept };
                    self.channel.on(self.now, input, &mut self.out);
                }
                ChannelEffect::Status(state) => self.state = state,
                ChannelEffect::Me(me) => self.me = me,
                ChannelEffect::Keep(document) => self.kept = document,
                ChannelEffect::Sent { id, messages } => self.sent.push_back((id, Ok(messages))),
                ChannelEffect::PartSent { id, messages } => self.parts.push_back((id, messages)),
                ChannelEffect::SendFailed { id, failure } => {
                    self.sent.push_back((id, Err(failure)));
                }
                ChannelEffect::Acted { id, result } => self.acted.push_back((id, result)),
                ChannelEffect::Probed { id, result } => self.probed.push_back((id, result)),
                ChannelEffect::Located { id, result } => self.located.push_back((id, result)),
                ChannelEffect::Audited { id, report } => self.audited.push_back((id, report)),
                ChannelEffect::Log(..) => {}
                other => self.effects.push_back(other),
            }
        }
    }

    /// [`ChannelInput::Start`].
    pub fn start(&mut self) {
        self.on(ChannelInput::Start);
    }

    /// The clock.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Lets time pass; every wake comes when it is due.
    pub fn after_ms(&mut self, ms: u64) {
        let end = self.now.time.after_ms(ms);
        let mut wakes = 0;
        while let Some(due) = self.channel.deadline().filter(|due| *due <= end) {
            let due = due.max(self.now.time);
            self.now.wall_ms += due.ms_since(self.now.time);
            self.now.time = due;
            self.on(ChannelInput::Wake);
            wakes += 1;
            assert!(wakes < 10_000, "it wakes and wakes");
        }
        self.now.wall_ms += end.ms_since(self.now.time);
        self.now.time = end;
    }

    fn pick<T>(&mut self, mut want: impl FnMut(&ChannelEffect) -> Option<T>) -> Option<T> {
        let found = self.effects.iter().enumerate().find_map(|(at, it)| Some((at, want(it)?)));
        let (at, found) = found?;
        self.effects.remove(at);
        Some(found)
    }

    /// The TCP connection it opened, to just this server.
    ///
    /// # Panics
    /// When it opened another or none.
    pub fn tcp(&mut self, want_host: &str, want_port: u16, want_tls: bool) -> SockId {
        let found = self.pick(|effect| match effect {
            ChannelEffect::OpenTcp { sock, host, port, tls } => {
                Some((*sock, host.clone(), *port, *tls))
            }
            _ => None,
        });
        match found {
            Some((sock, host, port, tls)) => {
                assert_eq!((&*host, port, tls), (want_host, want_port, want_tls));
                sock
            }
            None => panic!("no TCP connection was opened: {:?}", self.effects),
        }
    }

    /// The WebSocket it opened, and to which URL.
    ///
    /// # Panics
    /// When it opened none.
    pub fn ws(&mut self) -> (SockId, String) {
        let found = self.pick(|effect| match effect {
            ChannelEffect::OpenWs { sock, url, .. } => Some((*sock, url.clone())),
            _ => None,
        });
        match found {
            Some(found) => found,
            None => panic!("no WebSocket was opened: {:?}", self.effects),
        }
    }

    /// The request it made; `None` when it made none.
    pub fn request(&mut self) -> Option<(ReqId, HttpRequest)> {
        self.pick(|effect| match effect {
            ChannelEffect::Http { req, request } => Some((*req, (**request).clone())),
            _ => None,
        })
    }

    /// The socket is open.
    pub fn opened(&mut self, sock: SockId) {
        self.on(ChannelInput::Opened { sock });
    }

    /// It could not be opened.
    pub fn failed(&mut self, sock: SockId, what: &str) {
        let trouble = Trouble { what: what.to_owned(), ..Trouble::default() };
        self.on(ChannelInput::Failed { sock, trouble });
    }

    /// Text comes by TCP.
    pub fn hears(&mut self, sock: SockId, text: &str) {
        self.on(ChannelInput::Bytes { sock, bytes: text.as_bytes() });
    }

    /// A JSON text comes by WebSocket.
    pub fn hears_text(&mut self, sock: SockId, text: &Value) {
        self.on(ChannelInput::Text { sock, text: text.to_string() });
    }

    /// The peer closes.
    pub fn closed(&mut self, sock: SockId, code: Option<u16>, why: &str) {
        let gone = Gone { code, why: why.to_owned() };
        self.on(ChannelInput::Closed { sock, gone });
    }

    /// All bytes it sent by TCP since the last look, as text.
    pub fn said(&mut self, want: SockId) -> String {
        let mut all = Vec::new();
        while let Some(bytes) = self.pick(|effect| match effect {
            ChannelEffect::Bytes { sock, bytes } if *sock == want => Some(bytes.clone()),
            _ => None,
        }) {
            all.extend(bytes);
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    /// All texts it sent by WebSocket since the last look, as JSON.
    pub fn said_texts(&mut self, want: SockId) -> Vec<Value> {
        let mut all = Vec::new();
        while let Some(text) = self.pick(|effect| match effect {
            ChannelEffect::Text { sock, text } if *sock == want => Some(text.clone()),
            _ => None,
        }) {
            all.push(serde_json::from_str(&text).unwrap_or(Value::String(text)));
        }
        all
    }

    /// Whether it closed or dropped the socket, and with which code.
    pub fn let_go(&mut self, want: SockId) -> Option<u16> {
        self.pick(|effect| match effect {
            ChannelEffect::Close { sock, code, .. } if *sock == want => Some(*code),
            ChannelEffect::Abort { sock } if *sock == want => Some(0),
            _ => None,
        })
    }

    /// The service answers a request with JSON.
    pub fn answers(&mut self, req: ReqId, status: u16, body: &Value) {
        self.answers_with(req, status, &[], body);
    }

    /// The same, with header lines.
    pub fn answers_with(&mut self, req: ReqId, status: u16, lines: &[(&str, &str)], body: &Value) {
        let (headers, body) = (headers(lines), body.to_string().into_bytes());
        let result = Ok(Answered { status, headers, body });
        self.on(ChannelInput::Http { req, result });
    }

    /// The same with any bytes.
    pub fn answers_bytes(&mut self, req: ReqId, lines: &[(&str, &str)], body: &[u8]) {
        let result = Ok(Answered { status: 200, headers: headers(lines), body: body.to_vec() });
        self.on(ChannelInput::Http { req, result });
    }

    /// A request has no answer, for this reason.
    pub fn troubled(&mut self, req: ReqId, trouble: Trouble) {
        self.on(ChannelInput::Http { req, result: Err(trouble) });
    }

    /// A request has no answer.
    pub fn unanswered(&mut self, req: ReqId, what: &str, sent: bool) {
        let trouble = Trouble { what: what.to_owned(), sent, ..Trouble::default() };
        self.on(ChannelInput::Http { req, result: Err(trouble) });
    }

    /// The service calls our HTTP door.
    pub fn hook(&mut self, number: u64, path: &str, lines: &[(&str, &str)], body: &str) {
        let request = HookRequest {
            method: "POST".to_owned(),
            path: path.to_owned(),
            query: String::new(),
            headers: headers(lines),
            body: body.as_bytes().to_vec(),
        };
        self.on(ChannelInput::Hook { hook: HookId(number), request: &request });
    }

    /// How it answered such a call.
    pub fn hooked(&mut self) -> Option<(HookId, u16, String)> {
        self.pick(|effect| match effect {
            ChannelEffect::Answer { hook, status, body, .. } => {
                Some((*hook, *status, String::from_utf8_lossy(body).into_owned()))
            }
            _ => None,
        })
    }

    /// How it is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The next message it gave up.
    pub fn message(&mut self) -> Option<Inbound> {
        self.inbound.pop_front()
    }

    /// Asks it to send; the id of the delivery.
    pub fn send(&mut self, to: &str, text: &str) -> String {
        self.sends += 1;
        let id = format!("d{}", self.sends);
        let message = Outgoing {
            nonce: id.clone(),
            to: Address::chat(to),
            text: text.to_owned(),
            plain: text.to_owned(),
            id: id.clone(),
            ..Outgoing::default()
        };
        self.on(ChannelInput::Send(&message));
        id
    }

    /// What became of the next send that is settled.
    pub fn outcome(&mut self) -> Option<(String, Result<Vec<String>, Failure>)> {
        self.sent.pop_front()
    }

    /// The next part of a piece that was sent: the delivery, and its ids.
    pub fn part(&mut self) -> Option<(String, Vec<String>)> {
        self.parts.pop_front()
    }

    /// Asks for an act.
    pub fn act(&mut self, id: u64, act: &Act) {
        self.on(ChannelInput::Act { id, act });
    }

    /// What became of the next act that is over.
    pub fn acted(&mut self) -> Option<(u64, Result<Value, Failure>)> {
        self.acted.pop_front()
    }

    /// Where the next file is that was asked for.
    pub fn located(&mut self) -> Option<(u64, Result<Located, Failure>)> {
        self.located.pop_front()
    }

    /// What became of the next probe that is over.
    pub fn probed(&mut self) -> Option<(u64, Result<Value, String>)> {
        self.probed.pop_front()
    }

    /// The next audit that ended: its number and report.
    pub fn audited(&mut self) -> Option<(u64, Value)> {
        self.audited.pop_front()
    }
}

/// Header lines as a server's answer brings them.
fn headers(lines: &[(&str, &str)]) -> Headers {
    let mut head = "HTTP/1.1 200 OK\r\n".to_owned();
    for (name, value) in lines {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut client = Client::new(false);
    client.push(format!("{head}\r\n").as_bytes());
    match client.next() {
        Some(ClientEvent::Head { headers, .. }) => headers,
        _ => panic!("no header lines: {lines:?}"),
    }
}
