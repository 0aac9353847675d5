//! A WebSocket client of the gateway protocol over the crate's own codecs.

use super::PATIENCE;
use super::http::{Http, Response, TOKEN};
use openclaw_gateway::wire::ws::{self, Message, Receiver, Role};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// Scopes that tests ask for.
pub const ALL: [&str; 3] = ["operator.admin", "operator.read", "operator.write"];

/// One WebSocket.
pub struct Socket {
    /// The socket; reads give up after [`PATIENCE`].
    pub stream: TcpStream,
    recv: Receiver,
    /// The payload of the challenge.
    pub challenge: Value,
    /// Payload of `hello-ok`.
    pub hello: Value,
    /// Events not looked at yet.
    pub events: VecDeque<Value>,
    /// Responses that nobody waited for.
    pub responses: VecDeque<Value>,
    next: u64,
}

/// The upgrade with further header lines.
pub fn upgrade_request(path: &str, headers: &str) -> String {
    let version = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         {version}{headers}\r\n"
    )
}

/// `connect` of a backend with every scope that is asked for here.
pub fn params() -> Value {
    json!({
        "minProtocol": 3, "maxProtocol": 4, "role": "operator", "scopes": ALL,
        "client": {
            "id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend",
        },
        "auth": {"token": TOKEN},
    })
}

impl Socket {
    /// Upgrades on a path with further header lines, and reads the challenge.
    pub fn upgrade(port: u16, path: &str, headers: &str) -> Result<Self, Response> {
        Self::upgrade_by(port, upgrade_request(path, headers))
    }

    /// Upgrades by these bytes: a request, perhaps with frames behind it.
    pub fn upgrade_by(port: u16, request: impl AsRef<[u8]>) -> Result<Self, Response> {
        let mut http = Http::connect(port);
        http.send(request);
        let head = http.head().expect("an answer");
        if head.status != 101 {
            return Err(head);
        }
        assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        let (stream, rest) = http.into_parts();
        let mut recv = Receiver::new(Role::Client, usize::MAX >> 1);
        recv.push(&rest);
        let mut socket = Self {
            stream,
            recv,
            challenge: Value::Null,
            hello: Value::Null,
            events: VecDeque::new(),
            responses: VecDeque::new(),
            next: 0,
        };
        let challenge = socket.frame();
        assert_eq!(challenge["event"], "connect.challenge", "{challenge}");
        assert!(challenge.get("seq").is_none(), "{challenge}");
        socket.challenge = challenge["payload"].clone();
        Ok(socket)
    }

    /// Upgraded and challenged.
    pub fn open(port: u16) -> Self {
        Self::upgrade(port, "/", "").expect("101")
    }

    /// Connected with these parameters.
    pub fn with(port: u16, params: &Value) -> Self {
        let mut socket = Self::open(port);
        socket.hello = socket.call("connect", params).expect("hello");
        assert_eq!(socket.hello["type"], "hello-ok");
        socket
    }

    /// A connected backend with read, write and admin.
    pub fn connect(port: u16) -> Self {
        Self::with(port, &params())
    }

    /// Sends raw bytes; a peer that has closed already is no error.
    pub fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a text frame.
    pub fn text(&mut self, text: &str) {
        let mut out = Vec::new();
        ws::text_masked(&mut out, text, MASK);
        self.raw(&out);
    }

    /// Sends a frame with this first byte (FIN, opcode) and payload.
    pub fn piece(&mut self, first: u8, payload: &[u8]) {
        let mut out = Vec::new();
        ws::binary_masked(&mut out, payload, MASK);
        out[0] = first;
        self.raw(&out);
    }

    /// The next message, whatever it is; `None` when the connection ended.
    pub fn message(&mut self) -> Option<Message> {
        let mut chunk = [0; 64 * 1024];
        loop {
            if let Some(message) = self.recv.next() {
                return Some(message.expect("the gateway keeps the protocol"));
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(n) => self.recv.push(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}; events {:?}", self.events),
            }
        }
    }

    /// The next JSON frame.
    pub fn frame(&mut self) -> Value {
        match self.message() {
            Some(Message::Text(text)) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("{other:?} instead of a frame; events {:?}", self.events),
        }
    }

    /// Sends a request and returns its id.
    pub fn request(&mut self, method: &str, params: &Value) -> String {
        self.next += 1;
        let id = format!("{}:{method}", self.next);
        self.text(
            &json!({"type": "req", "id": id, "method": method, "params": params}).to_string(),
        );
        id
    }

    /// The response to a request; events meanwhile are kept.
    pub fn response(&mut self, id: &str) -> Result<Value, Value> {
        let deadline = Instant::now() + PATIENCE;
        let frame = loop {
            let known = self.responses.iter().position(|frame| frame["id"] == id);
            if let Some(frame) = known.and_then(|at| self.responses.remove(at)) {
                break frame;
            }
            assert!(Instant::now() < deadline, "no response to {id}; {:?}", self.events);
            let frame = self.frame();
            if frame["type"] == "event" {
                self.events.push_back(frame);
            } else {
                self.responses.push_back(frame);
            }
        };
        if frame["ok"] == true { Ok(frame["payload"].clone()) } else { Err(frame["error"].clone()) }
    }

    /// A request and its response.
    pub fn call(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        let id = self.request(method, params);
        self.response(&id)
    }

    /// The next event that satisfies `wanted`; others are dropped.
    pub fn event(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let frame = match self.events.pop_front() {
                Some(event) => event,
                None => self.frame(),
            };
            if frame["type"] == "event" && wanted(&frame) {
                return frame;
            }
            if frame["type"] == "res" {
                self.responses.push_back(frame);
            }
            assert!(Instant::now() < deadline, "no such event");
        }
    }

    /// The terminal `chat` event of a run.
    pub fn chat_end(&mut self, run: &str) -> Value {
        let states = ["final", "aborted", "error"];
        self.event(|frame| {
            frame["event"] == "chat"
                && frame["payload"]["runId"] == run
                && states.iter().any(|state| frame["payload"]["state"] == *state)
        })["payload"]
            .clone()
    }

    /// Reads to the close frame (what comes before it is dropped), then to the end of the
    /// connection.
    pub fn closed(&mut self) -> (Option<u16>, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.message() {
                Some(Message::Close { code, reason }) => {
                    let mut rest = [0; 16];
                    let end = self.stream.read(&mut rest);
                    assert!(matches!(end, Ok(0)), "{end:?} behind the close frame");
                    return (code, reason);
                }
                Some(Message::Text(text)) => {
                    if let Ok(frame) = serde_json::from_str::<Value>(&text) {
                        let queue = if frame["type"] == "event" {
                            &mut self.events
                        } else {
                            &mut self.responses
                        };
                        queue.push_back(frame);
                    }
                }
                Some(_) => {}
                None => panic!("the connection ended without a close frame"),
            }
            assert!(Instant::now() < deadline, "no close frame");
        }
    }

    /// Proves that the connection still works.
    pub fn is_alive(&mut self) {
        assert!(self.call("health", &json!({})).is_ok());
    }
}

/// An event in a few words.
pub fn word(frame: &Value) -> String {
    let payload = &frame["payload"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let words = match frame["event"].as_str().unwrap() {
        "chat" => [text(&payload["state"]), text(&payload["phase"])],
        "agent" => [text(&payload["stream"]), text(&payload["data"]["phase"])],
        "session.message" => [text(&payload["message"]["role"]), String::new()],
        "sessions.changed" => [text(&payload["reason"]), text(&payload["phase"])],
        _ => Default::default(),
    };
    format!("{} {}", text(&frame["event"]), words.join(" ")).trim().to_owned()
}
