//! The whole gateway on fake sockets, driven by the bytes of a fuzz input.
//!
//! ```text
//!   first byte: which configuration, how many steps a turn
//!   then steps: low half of a byte says what happens, high half to whom, arguments follow
//!   at the end: every peer leaves, time passes until nothing waits, a second start reads
//!               what the first left on the disk
//! ```
//!
//! A step is raw bytes from a peer, or something valid made from the tables below, so that a
//! few bytes reach a run in the middle of a provider's stream. The driver here keeps the
//! promises of [`crate::driver`] and checks those of the core after every turn:
//!
//! * effects name live connections and pending dials only, and none is forgotten: both sides
//!   have the same table;
//! * a client sees whole frames of valid JSON, event numbers that only grow, one end a run,
//!   nothing after a close frame;
//! * the sums of held and queued bytes are those of the connections;
//! * while time stands still, few turns do: no deadline stays due;
//! * when all have left and time has passed, nothing is kept.

use super::conn::State;
use super::{Gateway, Host, NotLoaded, Reloaded, Setup};
use crate::auth::Credentials;
use crate::config::load::{Source, load};
use crate::config::paths::{Flags, Paths};
use crate::config::secrets::Resolved;
use crate::config::{AuthMode, Config, Secret};
use crate::driver::{
    ChildEvent, Closed, ConnId, Core, DialError, DialId, Effect, Effects, Entropy, Input, Now,
    Signal, Time,
};
use crate::limits;
use crate::store::{Disk, Stat};
use crate::wire::ws::{self, Message, Receiver};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Steps of one input; more bytes are not looked at.
const STEPS: usize = 192;
/// Connections at once.
const LINES: usize = 8;
/// What passes at once between two steps, in milliseconds.
const JUMPS_MS: [u64; 8] = [1, 80, 1_000, 2_500, 15_000, 31_000, 121_000, 3_700_000];
/// What a peer may leave unread.
const BACKLOGS: [usize; 8] =
    [0, 1, 200_000, 300_000, 5 << 20, (16 << 20) - 2_000, 17 << 20, 193 << 20];

const CONFIGS: [&str; 3] = [
    "{agents: {defaults: {timeoutSeconds: 40}}}",
    "{models: {providers: {p: {baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'k', \
       api: 'openai-completions', models: [{id: 'm'}]}}}, \
      agents: {defaults: {timeoutSeconds: 40, model: 'p/m'}}}",
    "{gateway: {controlUi: {allowedOrigins: ['https://a.example']}}, \
      models: {providers: {\
       p: {baseUrl: 'http://127.0.0.1:9/v1', api: 'openai-completions', timeoutSeconds: 9, \
           models: [{id: 'm'}, {id: 'n', contextWindow: 900, maxTokens: 70}]}, \
       q: {baseUrl: 'https://q.example', api: 'openai-completions', models: [{id: 'm'}]}}}, \
      agents: {defaults: {timeoutSeconds: 600, \
        model: {primary: 'p/m', fallbacks: ['none/x', 'q/m', 'p/n', 'local/echo']}}, \
        list: [{id: 'main', default: true}, {id: 'two', model: 'local/echo'}]}}",
];

const REQUESTS: [&str; 12] = [
    "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HEAD /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n\r\n",
    "GET /v1/models/openclaw HTTP/1.0\r\nAuthorization: Bearer t\r\n\r\n",
    "DELETE /v1/chat/completions HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n\
     Content-Length: 80\r\n\r\n\
     {\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hello # and good bye\"}]   }",
    "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n\
     Content-Length: 68\r\n\r\n\
     {\"model\":\"openclaw\",\"user\":\"#\",\"messages\":[{\"role\":\"user\",\"content\":7}]}",
    "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n\
     Content-Length: 69\r\n\r\n\
     {\"user\":\"#\",\"messages\":[{\"role\":\"user\",\"content\":\"whole answer\"}]    }",
    "POST /v1/chat/completions HTTP/1.0\r\nAuthorization: Bearer t\r\nContent-Length: 89\r\n\r\n\
     {\"stream\":true,\"stream_options\":{\"include_usage\":true},\
     \"messages\":[{\"role\":\"user\"}]      }",
    "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n\
     Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n\
     2b\r\n{\"messages\":[{\"role\":\"user\",\"content\":\"#\"}]}\r\n0\r\n\r\n",
    "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer no\r\n\
     Content-Length: 3\r\n\r\nabc",
    "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n",
];

const UPGRADES: [&str; 4] = [
    "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nUpgrade: websocket\r\n\
     Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.example\r\nUpgrade: websocket\r\n\
     Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Extensions: permessage-deflate\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 8\r\n\r\n",
];

const CONNECTS: [&str; 8] = [
    r#"{"type":"req","id":"c","method":"connect","params":{"minProtocol":4,"maxProtocol":4,"client":{"id":"gateway-client","version":"1","platform":"linux","mode":"backend"},"role":"operator","scopes":["operator.admin"],"auth":{"token":"t"}}}"#,
    r#"{"type":"req","id":"c","method":"connect","params":{"minProtocol":3,"maxProtocol":3,"client":{"id":"cli","version":"1","platform":"linux","mode":"cli"},"scopes":["operator.read","operator.write"],"auth":{"password":"t"}}}"#,
    r#"{"type":"req","id":"c","method":"connect","params":{"minProtocol":3,"maxProtocol":9,"client":{"id":"gateway-client","version":"1","platform":"macos","mode":"ui","instanceId":"i-#"},"scopes":["operator.read"],"auth":{"token":"t"}}}"#,
    r#"{"type":"req","id":"c","method":"connect","params":{"minProtocol":4,"maxProtocol":4,"client":{"id":"node-host","version":"1","platform":"linux","mode":"node"},"role":"node","caps":["x"],"commands":["y"],"auth":{"token":"t"},"device":{"id":"d","publicKey":"k","signature":"s","signedAt":1,"nonce":"n"}}}"#,
    r#"{"type":"req","id":"c","method":"connect","params":{"minProtocol":4,"maxProtocol":4,"client":{"id":"openclaw-control-ui","version":"1","platform":"web","mode":"webchat"},"scopes":["operator.admin"],"auth":{"token":"t"}}}"#,
    r#"{"type":"req","id":"c","method":"connect","params":{"minProtocol":1,"maxProtocol":2,"client":{"id":"cli","version":"1","platform":"linux","mode":"cli"},"auth":{"token":"t"}}}"#,
    r#"{"type":"req","id":"c","method":"connect","params":{"minProtocol":4,"maxProtocol":4,"client":{"id":"cli","version":"1","platform":"linux","mode":"probe"},"auth":{"token":"wrong"}}}"#,
    r#"{"type":"req","id":"c","method":"health"}"#,
];

const CALLS: [&str; 33] = [
    r##""chat.send","params":{"sessionKey":"main","message":"hello","idempotencyKey":"k#"}"##,
    r##""chat.send","params":{"sessionKey":"agent:main:s#","message":"hello #","idempotencyKey":"k#","timeoutMs":3000}"##,
    r##""chat.send","params":{"sessionKey":"agent:two:s","message":"to the other","idempotencyKey":"e#"}"##,
    r##""chat.send","params":{"sessionKey":"main","message":"/stop","idempotencyKey":"k#"}"##,
    r##""chat.abort","params":{"sessionKey":"main"}"##,
    r##""chat.abort","params":{"sessionKey":"agent:main:s#","runId":"k#"}"##,
    r##""agent","params":{"message":"hi","idempotencyKey":"k#","sessionKey":"main"}"##,
    r##""agent","params":{"message":"hi #","idempotencyKey":"a#","agentId":"two"}"##,
    r##""agent.wait","params":{"runId":"k#","timeoutMs":1000}"##,
    r##""agent.wait","params":{"runId":"a#"}"##,
    r##""sessions.subscribe","params":{}"##,
    r##""sessions.unsubscribe","params":{}"##,
    r##""sessions.messages.subscribe","params":{"key":"main"}"##,
    r##""sessions.messages.unsubscribe","params":{"key":"agent:main:s#"}"##,
    r##""sessions.abort","params":{"key":"main","runId":"k#"}"##,
    r##""sessions.list","params":{"limit":2,"includeDerivedTitles":true,"includeLastMessage":true}"##,
    r##""chat.history","params":{"sessionKey":"main","limit":1}"##,
    r##""chat.startup","params":{"sessionKey":"agent:main:s#"}"##,
    r##""status","params":{}"##,
    r##""logs.tail","params":{"cursor":3,"maxBytes":10}"##,
    r##""models.list","params":{"view":"all"}"##,
    r##""config.get""##,
    r##""system-presence","params":{}"##,
    r##""nope.#","params":[]"##,
    r##""sessions.create","params":{"key":"s#","label":"L#","message":"first #","idempotencyKey":"m#"}"##,
    r##""sessions.patch","params":{"key":"s#","model":"local/echo","pinned":true,"queueMode":"collect"}"##,
    r##""sessions.reset","params":{"key":"main"}"##,
    r##""sessions.delete","params":{"key":"agent:main:s#"}"##,
    r##""sessions.compact","params":{"key":"main"}"##,
    r##""chat.inject","params":{"sessionKey":"main","message":"note #"}"##,
    r##""chat.send","params":{"sessionKey":"main","message":"/new hello #","idempotencyKey":"c#"}"##,
    r##""agent","params":{"sessionKey":"main","message":"/compact #","idempotencyKey":"c#"}"##,
    r##""sessions.usage","params":{"limit":3}"##,
];

const PROVIDER: [&str; 16] = [
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    "data: {\"id\":\"r#\",\"choices\":[{\"delta\":{\"content\":\"word # \"}}]}\n\n",
    "2f\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"w# \"}}]}\n\n\r\n",
    "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c#\",\
     \"function\":{\"name\":\"look\",\"arguments\":\"{\\\"a\\\":\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":200,\
     \"function\":{\"arguments\":\"1}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\
     \"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8}}\n\n",
    "data: [DONE]\n\n",
    "e\r\ndata: [DONE]\n\n\r\n",
    "0\r\n\r\n",
    ": keep-alive\n\n",
    "data: {\"error\":{\"message\":\"no # left\",\"code\":\"rate_limit\"}}\n\n",
    "HTTP/1.1 429 Too Many\r\nRetry-After: 2\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 401 No\r\nContent-Length: 26\r\n\r\n{\"error\":{\"message\":\"bad\"}}",
];

/// Any bytes as a story of the gateway: never a panic, and the promises in the head hold.
pub fn fuzz(data: &[u8]) {
    let mut input = Bytes(data);
    let Some(first) = input.next() else { return };
    let mut world = World::new(first);
    let turn_of = 1 + usize::from(first >> 6);
    for step in 1..=STEPS {
        let Some(byte) = input.next() else { break };
        world.step(byte & 15, byte >> 4, &mut input);
        if step % turn_of == 0 {
            world.end_turn();
        }
        if world.left {
            break;
        }
    }
    world.end_turn();
    world.finish();
}

/// What is left of the input.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A byte, zero at the end.
    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// At most `len` bytes.
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One of a table, with `#` made a letter.
    fn pick(&mut self, table: &[&str]) -> String {
        let byte = usize::from(self.byte());
        let text = table.get(byte % table.len()).copied().unwrap_or_default();
        let letter = char::from(b'a' + (byte / table.len() % 4) as u8);
        text.replace('#', letter.encode_utf8(&mut [0; 4]))
    }
}

/// One connection as its other end sees it.
struct Line {
    upstream: bool,
    paused: bool,
    /// What the peer does not read, and what was reported of it.
    backlog: usize,
    reported: usize,
    /// After the upgrade: what the gateway says.
    frames: Option<Receiver>,
    seq: u64,
    /// Runs whose end it was told.
    over: BTreeSet<String>,
    closed: bool,
}

/// The driver.
struct World {
    gateway: Gateway,
    fx: Effects,
    now: Now,
    disk: Memory,
    config: usize,
    /// Generation and, if it is in use, the connection of each slot.
    slots: Vec<(u32, Option<Line>)>,
    /// Connections that ended in this turn: what the core queued before it heard is lost.
    ended: BTreeSet<ConnId>,
    dials: BTreeSet<DialId>,
    /// Dials whose outcome was told in this turn: the core may have cancelled them before.
    dialed: BTreeSet<DialId>,
    left: bool,
}

impl World {
    fn new(first: u8) -> Self {
        let config = usize::from(first & 3) % CONFIGS.len();
        let mode = if first & 4 == 0 { AuthMode::Token } else { AuthMode::None };
        let disk = Memory::default();
        let now = Now { time: Time(1), wall_ms: 1_795_000_000_000 };
        let gateway = boot(config, mode, &disk, now);
        let fx = Effects::new();
        Self {
            gateway,
            fx,
            now,
            disk,
            config,
            slots: Vec::new(),
            ended: BTreeSet::new(),
            dials: BTreeSet::new(),
            dialed: BTreeSet::new(),
            left: false,
        }
    }

    fn on(&mut self, input: Input<'_>) {
        self.gateway.on(self.now, input, &mut self.fx);
    }

    fn step(&mut self, what: u8, who: u8, input: &mut Bytes<'_>) {
        match what {
            0 => {
                self.accept(who);
            }
            1 => {
                let len = usize::from(input.byte());
                self.receive(who, false, input.take(len));
            }
            2 => {
                let text = input.pick(&REQUESTS);
                self.receive(who, false, text.as_bytes());
            }
            3 => {
                let text = input.pick(&UPGRADES);
                self.receive(who, false, text.as_bytes());
            }
            4 => {
                let text = input.pick(&CONNECTS);
                self.frame(who, text.as_bytes());
            }
            5 => {
                let len = usize::from(input.byte());
                self.frame(who, input.take(len));
            }
            6 => {
                let call = input.pick(&CALLS);
                let text = format!(r#"{{"type":"req","id":"r","method":{call}}}"#);
                self.frame(who, text.as_bytes());
            }
            7 => {
                // The way to a connected client in one step.
                let connect = input.pick(&CONNECTS);
                let Some(conn) = self.accept(who) else { return };
                let mut bytes = UPGRADES[0].as_bytes().to_vec();
                ws::text_masked(&mut bytes, connect, [1, 2, 3, 4]);
                self.on(Input::Received { conn, bytes: &bytes });
            }
            8 => self.dialed(who, input.byte()),
            9 => {
                let text = input.pick(&PROVIDER);
                self.receive(who, true, text.as_bytes());
            }
            10 => {
                let len = usize::from(input.byte());
                self.receive(who, true, input.take(len));
            }
            11 => self.hang_up(who, input.byte()),
            12 => self.back_up(who, input.byte()),
            13 => self.pass(who),
            14 => match who {
                0 => self.on(Input::Signal(Signal::Terminate)),
                1 => self.on(Input::Signal(Signal::Restart)),
                2..8 => self.on(Input::Signal(Signal::Reload)),
                _ => self.disk.0.broken.set(!self.disk.0.broken.get()),
            },
            _ => self.late(who),
        }
    }

    /// The connection `who` means: by its number among the peers, or among the providers.
    fn line(&self, who: u8, upstream: bool) -> Option<ConnId> {
        let meant: Vec<ConnId> =
            self.live().filter(|(_, line)| line.upstream == upstream).map(|(id, _)| id).collect();
        meant.get(usize::from(who) % meant.len().max(1)).copied()
    }

    fn live(&self) -> impl Iterator<Item = (ConnId, &Line)> {
        self.slots.iter().enumerate().filter_map(|(slot, (generation, line))| {
            Some((ConnId { slot: slot as u32, generation: *generation }, line.as_ref()?))
        })
    }

    fn get(&mut self, id: ConnId) -> Option<&mut Line> {
        let (generation, line) = self.slots.get_mut(id.slot as usize)?;
        line.as_mut().filter(|_| *generation == id.generation)
    }

    fn free(&mut self, id: ConnId) {
        if let Some((generation, line)) = self.slots.get_mut(id.slot as usize)
            && *generation == id.generation
        {
            *line = None;
        }
    }

    fn open(&mut self, upstream: bool) -> Option<ConnId> {
        let line = Line {
            upstream,
            paused: false,
            backlog: 0,
            reported: 0,
            frames: None,
            seq: 0,
            over: BTreeSet::new(),
            closed: false,
        };
        // A slot freed in this turn is not given away before the turn is over.
        let ended: BTreeSet<u32> = self.ended.iter().map(|id| id.slot).collect();
        let free = self
            .slots
            .iter()
            .enumerate()
            .position(|(slot, (_, line))| line.is_none() && !ended.contains(&(slot as u32)));
        let slot = match free {
            Some(slot) => slot,
            None if self.slots.len() < 4 * LINES => {
                self.slots.push((0, None));
                self.slots.len() - 1
            }
            None => return None,
        };
        let (generation, place) = self.slots.get_mut(slot)?;
        *generation += 1;
        *place = Some(line);
        Some(ConnId { slot: slot as u32, generation: *generation })
    }

    fn accept(&mut self, who: u8) -> Option<ConnId> {
        if self.live().filter(|(_, line)| !line.upstream).count() >= LINES {
            return None;
        }
        let conn = self.open(false)?;
        let peer = match who % 4 {
            0 | 1 => "127.0.0.1:50000",
            2 => "[::1]:50000",
            _ => "192.0.2.7:50000",
        };
        let peer: SocketAddr = peer.parse().expect("an address");
        let local = SocketAddr::from(([127, 0, 0, 1], 18789));
        self.on(Input::Accepted { conn, peer, local });
        Some(conn)
    }

    fn receive(&mut self, who: u8, upstream: bool, bytes: &[u8]) {
        let Some(conn) = self.line(who, upstream) else { return };
        if !bytes.is_empty() && self.get(conn).is_some_and(|line| !line.paused) {
            self.on(Input::Received { conn, bytes });
        }
    }

    fn frame(&mut self, who: u8, text: &[u8]) {
        let mut bytes = Vec::new();
        ws::text_masked(&mut bytes, text, [who, 7, 0, 255]);
        self.receive(who, false, &bytes);
    }

    fn dialed(&mut self, who: u8, how: u8) {
        let which = usize::from(who) % self.dials.len().max(1);
        let Some(dial) = self.dials.iter().nth(which).copied() else { return };
        let result = match how % 16 {
            0 => Err(DialError::Resolve("no such host".to_owned())),
            1 => Err(DialError::ResolverBusy),
            2 => Err(DialError::Connect("refused".to_owned())),
            3 => Err(DialError::Timeout),
            4 => Err(DialError::Tls("expired".to_owned())),
            5 => Err(DialError::NoTls),
            _ => self.open(true).ok_or(DialError::ResolverBusy),
        };
        self.dials.remove(&dial);
        self.dialed.insert(dial);
        self.on(Input::Dialed { dial, result });
    }

    fn hang_up(&mut self, who: u8, how: u8) {
        let Some(conn) = self.line(who, how & 1 == 1) else { return };
        let why = match how >> 1 & 3 {
            0 | 1 => return self.on(Input::Ended { conn }),
            2 => Closed::ByPeer,
            _ => Closed::Error("reset".to_owned()),
        };
        self.free(conn);
        self.ended.insert(conn);
        self.on(Input::Closed { conn, why });
    }

    fn back_up(&mut self, who: u8, how: u8) {
        let Some(conn) = self.line(who, how & 8 == 8) else { return };
        let bytes = BACKLOGS.get(usize::from(how & 7)).copied().unwrap_or(0);
        if let Some(line) = self.get(conn) {
            line.backlog = bytes;
        }
    }

    fn pass(&mut self, how: u8) {
        let ms = JUMPS_MS.get(usize::from(how & 7)).copied().unwrap_or(1);
        self.end_turn();
        self.now.time = self.now.time.after_ms(ms);
        // The clock on the wall may be set back.
        self.now.wall_ms =
            if how & 8 == 0 { self.now.wall_ms + ms } else { self.now.wall_ms.saturating_sub(ms) };
    }

    /// News of connections that are gone: nothing may come of it.
    fn late(&mut self, who: u8) {
        self.end_turn();
        let slot = u32::from(who) % 5;
        let generation = self.slots.get(slot as usize).map_or(9, |(generation, line)| {
            if line.is_some() { generation.wrapping_sub(1) } else { *generation }
        });
        let conn = ConnId { slot, generation };
        match who % 4 {
            0 => self.on(Input::Received { conn, bytes: b"GET / HTTP/1.1\r\n\r\n" }),
            1 => self.on(Input::Ended { conn }),
            2 => self.on(Input::Queued { conn, bytes: 7 }),
            _ => self.on(Input::Closed { conn, why: Closed::ByPeer }),
        }
        assert!(self.fx.is_empty(), "late news of {conn:?} had an effect");
    }

    /// Turns until nothing is due any more; time stands still, so few must do.
    fn end_turn(&mut self) {
        for _ in 0..64 {
            if self.gateway.deadline().is_some_and(|due| due <= self.now.time) {
                self.on(Input::Wake);
            }
            self.gateway.turn_end(self.now, &mut self.fx);
            self.carry_out();
            if self.left || self.gateway.deadline().is_none_or(|due| due > self.now.time) {
                return self.check();
            }
        }
        panic!("woken and woken, and still due");
    }

    fn carry_out(&mut self) {
        for _ in 0..8 {
            let effects: Vec<Effect> = self.fx.drain().collect();
            for effect in effects {
                self.effect(effect);
            }
            self.report();
        }
        let rest: Vec<Effect> = self.fx.drain().collect();
        assert!(rest.is_empty(), "the core and its driver talk for ever: {rest:?}");
        self.ended.clear();
        self.dialed.clear();
    }

    /// Tells the core what its peers left unread.
    fn report(&mut self) {
        let mut changed = Vec::new();
        for (slot, (generation, line)) in self.slots.iter_mut().enumerate() {
            if let Some(line) = line
                && line.backlog != line.reported
            {
                line.reported = line.backlog;
                let conn = ConnId { slot: slot as u32, generation: *generation };
                changed.push((conn, line.backlog));
            }
        }
        for (conn, bytes) in changed {
            if self.get(conn).is_some() {
                self.on(Input::Queued { conn, bytes });
            }
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Send { conn, bytes } => {
                let gone = self.ended.contains(&conn);
                match self.get(conn) {
                    Some(line) => line.sent(&bytes),
                    None => assert!(gone, "bytes for {conn:?}, which is gone"),
                }
            }
            Effect::Read { conn, on } => {
                let gone = self.ended.contains(&conn);
                match self.get(conn) {
                    Some(line) => line.paused = !on,
                    None => assert!(gone, "Read for {conn:?}, which is gone"),
                }
            }
            Effect::Close { conn } | Effect::Abort { conn } => {
                let known = self.get(conn).is_some() || self.ended.contains(&conn);
                assert!(known, "{conn:?} closed twice");
                self.free(conn);
            }
            Effect::Dial { dial, target, deadline } => {
                assert!(!target.host.is_empty() && target.port > 0);
                assert!(deadline > self.now.time, "a dial that is over before it begins");
                assert!(self.dials.insert(dial), "a dial's number twice");
            }
            Effect::CancelDial { dial } => {
                let known = self.dials.remove(&dial) || self.dialed.contains(&dial);
                assert!(known, "no such dial to cancel");
            }
            Effect::Exit { .. } | Effect::Reexec => self.left = true,
            Effect::Listen(places) => {
                let all = places.iter().map(|place| place.addr).collect();
                self.on(Input::Listening(Ok(all)));
            }
            Effect::StopListening | Effect::ListenerTls(_) | Effect::Tell(_) => {}
            Effect::Spawn { child, .. } => {
                let event = ChildEvent::Failed("there are no children here".to_owned());
                self.on(Input::Child { child, event });
            }
            Effect::Kill { .. } | Effect::ChildInput { .. } | Effect::ChildInputEnd { .. } => {}
        }
    }

    /// Both sides of the seam agree.
    fn check(&self) {
        let gateway = &self.gateway;
        let ours: BTreeMap<ConnId, bool> = gateway
            .conns
            .all()
            .map(|(id, c)| (id, matches!(c.state, State::Upstream(_))))
            .collect();
        let theirs: BTreeMap<ConnId, bool> =
            self.live().map(|(id, line)| (id, line.upstream)).collect();
        assert_eq!(ours, theirs, "connections: the core's, the driver's");
        let held: usize = gateway.conns.all().map(|(_, conn)| conn.held).sum();
        let queued: usize = gateway.conns.all().map(|(_, conn)| conn.queued).sum();
        assert_eq!((gateway.held, gateway.queued), (held, queued), "sums of bytes");
        let reported: usize = self.live().map(|(_, line)| line.reported).sum();
        assert_eq!(queued, reported, "queued bytes: the core's, the driver's");
        for (id, conn) in gateway.conns.all() {
            let client = matches!(conn.state, State::Client(_));
            assert!(!client || conn.queued <= limits::WS_SLOW_CONSUMER, "{id:?} does not read");
            let paused = self.slots.get(id.slot as usize).and_then(|(_, line)| line.as_ref());
            assert_eq!(paused.map(|line| line.paused), Some(conn.paused), "reading of {id:?}");
        }
        gateway.runs.check_invariants();
        assert_eq!(gateway.runs.dialing(), self.dials.iter().copied().collect::<Vec<_>>());
    }

    /// Everybody leaves, everything that waits for time gets it; then a second life.
    fn finish(mut self) {
        let broken = self.disk.0.broken.replace(false);
        let peers: Vec<ConnId> =
            self.live().filter(|(_, line)| !line.upstream).map(|(id, _)| id).collect();
        for conn in peers {
            self.free(conn);
            self.ended.insert(conn);
            self.on(Input::Closed { conn, why: Closed::ByPeer });
        }
        self.end_turn();
        for _ in 0..4096 {
            // What is done is written off once its transcript is synced.
            let settled = self.gateway.runs.unfinished() == 0 || self.disk.0.failed.get();
            if self.gateway.runs.is_idle() && settled {
                break;
            }
            let due = self.gateway.deadline().expect("something waits, so a time is known");
            self.now.time = self.now.time.max(due);
            self.end_turn();
        }
        assert!(self.gateway.runs.is_idle(), "runs or waits are kept for ever");
        assert_eq!(self.live().count(), 0, "connections are kept");
        assert_eq!((self.gateway.held, self.gateway.queued), (0, 0));
        let faultless = !broken && !self.disk.0.failed.get();
        if faultless {
            assert_eq!(self.gateway.runs.unfinished(), 0, "accepted work without an end");
        }
        let (disk, mode) = (self.disk.clone(), self.gateway.credentials.mode);
        drop(self.gateway);
        let again = boot(self.config, mode, &disk, self.now);
        assert_eq!(again.runs.unfinished(), 0, "a start settles what the last one left");
    }
}

impl Line {
    /// Bytes reach the peer.
    fn sent(&mut self, bytes: &[u8]) {
        const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n";
        if self.upstream {
            return;
        }
        if let Some(frames) = &mut self.frames {
            frames.push(bytes);
        } else if let Some(rest) = after(bytes, SWITCHED).and_then(|rest| after(rest, b"\r\n\r\n"))
        {
            let mut frames = Receiver::new(ws::Role::Client, limits::WS_MESSAGE);
            frames.push(rest);
            self.frames = Some(frames);
        }
        let Some(frames) = &mut self.frames else { return };
        while let Some(message) = frames.next() {
            assert!(!self.closed, "a frame after the close frame");
            match message.expect("the gateway's frames are well-formed") {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).expect("JSON");
                    if let Some(seq) = frame.get("seq").and_then(Value::as_u64) {
                        assert!(seq > self.seq, "event numbers only grow");
                        self.seq = seq;
                    }
                    if let Some(run) = chat_end(&frame) {
                        assert!(self.over.insert(run.to_owned()), "the end of {run}, twice");
                    }
                }
                Message::Close { .. } => self.closed = true,
                Message::Pong(_) => {}
                other => panic!("the gateway never sends {other:?}"),
            }
        }
        assert_eq!(frames.buffered(), 0, "the gateway sends whole frames");
    }
}

/// The run whose end a frame tells, if it is a `chat` event that does so.
fn chat_end(frame: &Value) -> Option<&str> {
    let (event, payload) = (frame.get("event")?.as_str()?, frame.get("payload")?);
    let over = matches!(payload.get("state")?.as_str()?, "final" | "aborted" | "error");
    (event == "chat" && over).then(|| payload.get("runId")?.as_str()).flatten()
}

/// What follows the first occurrence of `mark`.
fn after<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    bytes.get(at + mark.len()..)
}

pub(super) fn boot(config: usize, mode: AuthMode, disk: &Memory, now: Now) -> Gateway {
    let config = CONFIG_CACHE.with(|cache| cache.get(config).cloned()).expect("one of the table");
    boot_with(config, mode, disk, now)
}

/// The same with a configuration of one's own.
pub(super) fn boot_with(config: Rc<Config>, mode: AuthMode, disk: &Memory, now: Now) -> Gateway {
    let secret = Some(Secret::new("t".to_owned()));
    let host = Host {
        name: "host".to_owned(),
        address: None,
        platform: "linux",
        pid: 7,
        port: 18789,
        listening: vec![([127, 0, 0, 1], 18_789).into()],
        interfaces: || Some(Vec::new()),
        vitals: || None,
    };
    let setup = Setup {
        config: Rc::clone(&config),
        credentials: Credentials::new(mode, secret.clone(), secret.clone()),
        resolved: Default::default(),
        reload: Some(Box::new(
            move |_: Option<&str>, _: &Resolved| -> Result<Reloaded, NotLoaded> {
                let token = Credentials::new(AuthMode::Token, secret.clone(), None);
                let files = vec![PathBuf::from("/state/openclaw.json")];
                let config = Rc::clone(&config);
                Ok(Reloaded { config, credentials: token, files, moves: None })
            },
        )),
        host,
        state_dir: PathBuf::from("/state"),
        log_path: PathBuf::from("/state/log"),
        disk: Box::new(disk.clone()),
        entropy: Box::new(Counter(now.time.0)),
    };
    Gateway::new(setup, now).expect("the disk works at the start")
}

thread_local! {
    static CONFIG_CACHE: Vec<Rc<Config>> = CONFIGS.iter().map(|text| parse(text)).collect();
}

pub(super) fn parse(text: &str) -> Rc<Config> {
    struct Only<'a>(&'a str);
    impl Source for Only<'_> {
        fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
            let config = path.extension().is_some_and(|ext| ext == "json");
            Ok(config.then(|| self.0.as_bytes().to_vec()))
        }
        fn digest(&self, _: &[u8]) -> String {
            "digest".to_owned()
        }
    }
    let env = BTreeMap::from([("HOME".to_owned(), "/h".to_owned())]);
    let paths = Paths::resolve(&env, &Flags::default()).expect("paths");
    load(&Only(text), &env, &paths).expect("a valid configuration").config
}

/// Different bytes every time, the same in every run.
struct Counter(u64);

impl Entropy for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

#[cfg(test)]
impl Memory {
    /// From now on writes fail, or do not.
    pub(super) fn refuse(&self, on: bool) {
        self.0.broken.set(on);
    }
}

/// A disk in memory; the test keeps a handle to it.
#[derive(Clone, Default)]
pub(super) struct Memory(Rc<Files>);

#[derive(Default)]
struct Files {
    files: RefCell<BTreeMap<PathBuf, Vec<u8>>>,
    /// Writes fail.
    broken: Cell<bool>,
    /// A write has failed.
    failed: Cell<bool>,
}

impl Memory {
    fn write(&self) -> io::Result<std::cell::RefMut<'_, BTreeMap<PathBuf, Vec<u8>>>> {
        if self.0.broken.get() {
            self.0.failed.set(true);
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(self.0.files.borrow_mut())
    }
}

impl Disk for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.files.borrow().get(path).cloned().ok_or(io::ErrorKind::NotFound.into())
    }

    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let files = self.0.files.borrow();
        let bytes = files.get(path).ok_or(io::ErrorKind::NotFound)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let to = from.saturating_add(len).min(bytes.len());
        Ok(bytes[from..to].to_vec())
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let files = self.0.files.borrow();
        let bytes = files.get(path).ok_or(io::ErrorKind::NotFound)?;
        // Another content is another time.
        let sum = bytes
            .iter()
            .take(4096)
            .fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        Ok(Stat { len: bytes.len() as u64, modified_ns: u128::from(sum), inode: 1 })
    }

    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write()?.entry(path.to_path_buf()).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write()?.insert(path.to_path_buf(), bytes.to_vec());
        Ok(())
    }

    fn sync(&mut self, _: &Path) -> io::Result<()> {
        self.write().map(|_| ())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.write()?;
        let bytes = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_path_buf(), bytes);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let files = self.0.files.borrow();
        let names: BTreeSet<String> = files
            .keys()
            .filter_map(|path| path.strip_prefix(dir).ok()?.components().next())
            .map(|name| name.as_os_str().to_string_lossy().into_owned())
            .collect();
        Ok(names.into_iter().collect())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.write()?.remove(path).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }
}
