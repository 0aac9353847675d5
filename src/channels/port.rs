//! What goes into a channel and what comes out of it.

use std::collections::VecDeque;

use serde_json::Value;

use super::{Account, Act, Failure, Inbound, Media, Outgoing};
use crate::driver::{DialError, Time};
use crate::wire::http::Headers;

/// A socket of an account: TCP or WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SockId(pub u64);

/// An HTTP request of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReqId(pub u64);

/// A request of the service to our HTTP door, which waits for [`ChannelOut::answer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HookId(pub u64);

/// What a channel hears.
#[derive(Debug)]
pub enum ChannelInput<'a> {
    /// Connect. Comes first, once.
    Start,
    /// Say goodbye and close everything; the value is dropped afterwards.
    Stop,
    /// [`super::Channel::deadline`] has passed.
    Wake,
    /// Keys that need no new connection changed ([`super::Kind::live_keys`]).
    Configured(&'a Account),
    /// A TCP connection (TLS handshake included) or a WebSocket (after its 101) is open.
    Opened {
        /// Which.
        sock: SockId,
    },
    /// It could not be opened.
    Failed {
        /// Which; dead from here on.
        sock: SockId,
        /// Why.
        trouble: Trouble,
    },
    /// Bytes of a TCP connection.
    Bytes {
        /// Which.
        sock: SockId,
        /// At least one.
        bytes: &'a [u8],
    },
    /// A text message of a WebSocket.
    Text {
        /// Which.
        sock: SockId,
        /// The whole message.
        text: String,
    },
    /// A binary message of a WebSocket.
    Binary {
        /// Which.
        sock: SockId,
        /// The whole message.
        bytes: Vec<u8>,
    },
    /// The peer answered our ping.
    Pong {
        /// Which.
        sock: SockId,
    },
    /// An open socket is gone.
    Closed {
        /// Which; dead from here on.
        sock: SockId,
        /// How.
        gone: Gone,
    },
    /// The outcome of a request.
    Http {
        /// Which.
        req: ReqId,
        /// An answer, whatever its status.
        result: Result<Answered, Trouble>,
    },
    /// A request came to a path of [`ChannelOut::listen`]: to be answered, also later, by
    /// [`ChannelOut::answer`].
    Hook {
        /// Which.
        hook: HookId,
        /// What.
        request: &'a HookRequest,
    },
    /// A message that was given up by [`ChannelOut::inbound`] is settled.
    Accepted {
        /// Its [`Inbound::token`].
        token: u64,
        /// False: the disk refused it; it must not be acknowledged.
        kept: bool,
    },
    /// Send one piece.
    Send(&'a Outgoing),
    /// Do something beside sending; answered by [`ChannelOut::acted`].
    Act {
        /// Number of this act.
        id: u64,
        /// What.
        act: &'a Act,
    },
    /// Say where a file of an accepted message is; answered by [`ChannelOut::located`].
    Locate {
        /// Number of this question.
        id: u64,
        /// The file.
        media: &'a Media,
    },
    /// Find out whether the account works, without disturbing its connection; answered by
    /// [`ChannelOut::probed`].
    Probe {
        /// Number of this probe.
        id: u64,
    },
    /// Find out whether the bot may read and write where the configuration says; only while
    /// connected. Answered by [`ChannelOut::audited`].
    Audit {
        /// Number of this audit.
        id: u64,
    },
}

/// Why a socket could not be opened or a request has no answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// What happened, in words.
    pub what: String,
    /// Status of a server that refused the WebSocket.
    pub status: Option<u16>,
    /// Another try would end the same: a proxy that refuses, a build without TLS.
    pub permanent: bool,
    /// Another try before so many milliseconds would end the same, a later one may not: a
    /// certificate that is not trusted, for the clock is wrong or a portal stands in between.
    pub pause_ms: u64,
    /// The request left and may have been carried out.
    pub sent: bool,
    /// The answer was longer than [`HttpRequest::max_bytes`].
    pub too_long: bool,
}

impl Trouble {
    /// Why a connection did not come about.
    pub fn of_dial(error: &DialError) -> Self {
        let untrusted = matches!(error, DialError::Untrusted(_));
        Self {
            what: error.to_string(),
            permanent: matches!(error, DialError::NoTls | DialError::ProxyRefused(_)),
            pause_ms: if untrusted { crate::limits::CHANNEL_DISTRUST_MS } else { 0 },
            ..Self::default()
        }
    }
}

/// How an open socket ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gone {
    /// Close code of a WebSocket's peer.
    pub code: Option<u16>,
    /// Its reason, or the error in words.
    pub why: String,
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Status.
    pub status: u16,
    /// Header lines.
    pub headers: Headers,
    /// All of it.
    pub body: Vec<u8>,
}

/// Where a file can be fetched now.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Located {
    /// `http://` or `https://`; may hold a token, so it is never logged.
    pub url: String,
    /// Header lines: credentials. They go to this server only.
    pub headers: Vec<(String, String)>,
    /// The server is the one that the operator put in the place of the service (`apiRoot`), so
    /// it may have a private address.
    pub home: bool,
    /// `http://[user:password@]host:port` of a proxy to go through.
    pub proxy: Option<String>,
    /// What it means when a page comes instead of the file.
    pub page: Option<&'static str>,
}

/// Without URL and headers.
impl std::fmt::Debug for Located {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Located").field("home", &self.home).finish_non_exhaustive()
    }
}

/// A request of a channel.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST`, ...
    pub method: &'static str,
    /// `http://` or `https://`; may hold a token, so it is never logged.
    pub url: String,
    /// Header lines beside Host, Accept-Encoding, Content-Length and Connection.
    pub headers: Vec<(String, String)>,
    /// Body; empty is none for `GET`.
    pub body: Vec<u8>,
    /// For all of it. A long poll takes what it needs.
    pub timeout_ms: u64,
    /// Most bytes of an answer; more fails the request.
    pub max_bytes: usize,
    /// More does not fail it: the answer is its first `max_bytes`.
    pub cut: bool,
    /// `http://[user:password@]host:port` of a proxy to go through.
    pub proxy: Option<String>,
}

impl HttpRequest {
    /// A request with the usual bounds: 30 s and 1 MiB.
    pub fn new(method: &'static str, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: crate::limits::CHANNEL_HTTP_MS,
            max_bytes: crate::limits::CHANNEL_HTTP_ANSWER,
            cut: false,
            proxy: None,
        }
    }

    /// With a header line.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With a form (RFC 7578): fields with the media type of their text, if it is to be said, and
    /// files. `boundary` is random, so that it stands in none of them.
    #[must_use]
    pub fn form(
        mut self,
        boundary: u64,
        fields: &[(&str, Option<&str>, &str)],
        files: &[(&str, &str, &[u8])],
    ) -> Self {
        let mark = format!("openclaw{boundary:016x}");
        let disposition =
            |name: &str| format!("--{mark}\r\nContent-Disposition: form-data; name=\"{name}\"");
        let mut body = Vec::new();
        for (name, mime, text) in fields {
            let mime = mime.map(|mime| format!("\r\nContent-Type: {mime}")).unwrap_or_default();
            let part = format!("{}{mime}\r\n\r\n{text}\r\n", disposition(name));
            body.extend_from_slice(part.as_bytes());
        }
        for (name, file, bytes) in files {
            let odd = |c: char| c.is_control() || "\"\\".contains(c);
            let shown: String = file.chars().map(|c| if odd(c) { '_' } else { c }).collect();
            let head = format!(
                "{}; filename=\"{shown}\"\r\nContent-Type: application/octet-stream\r\n\r\n",
                disposition(name)
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{mark}--\r\n").as_bytes());
        self.body = body;
        self.header("Content-Type", format!("multipart/form-data; boundary={mark}"))
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("Content-Type", "application/json")
    }
}

/// Without URL, headers and body: each may hold a token.
impl std::fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.method, self.body.len())
    }
}

/// A request that came to our HTTP door.
#[derive(Debug, Clone)]
pub struct HookRequest {
    /// Method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Query without `?`.
    pub query: String,
    /// Header lines.
    pub headers: Headers,
    /// At most [`crate::limits::CHANNEL_HOOK`] bytes.
    pub body: Vec<u8>,
}

/// How an account is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// On its way.
    Connecting,
    /// Messages flow.
    Connected,
    /// Not connected; tries again by itself.
    Waiting {
        /// When.
        until: Time,
        /// What happened.
        why: String,
    },
    /// Not connected, and only the operator can mend it.
    Refused {
        /// What happened, and what to do.
        why: String,
    },
    /// Told to stop.
    Stopped,
}

/// Who the account is on the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Me {
    /// Its id.
    pub id: String,
    /// Its name, as people mention it.
    pub name: String,
    /// More for `channels.status`: `{"username": …}`.
    pub more: Value,
}

/// What a channel asks for. Channels use the methods of [`ChannelOut`].
#[derive(Debug)]
pub enum ChannelEffect {
    /// Connect.
    OpenTcp {
        /// Our number.
        sock: SockId,
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// Speak TLS, the certificate checked against `host`.
        tls: bool,
    },
    /// Connect and upgrade.
    OpenWs {
        /// Our number.
        sock: SockId,
        /// `ws://` or `wss://`; may hold a ticket, so it is never logged.
        url: String,
        /// Further header lines.
        headers: Vec<(String, String)>,
        /// `http://[user:password@]host:port` of a proxy to go through.
        proxy: Option<String>,
    },
    /// Bytes for a TCP connection.
    Bytes {
        /// Which.
        sock: SockId,
        /// What.
        bytes: Vec<u8>,
    },
    /// A text message for a WebSocket.
    Text {
        /// Which.
        sock: SockId,
        /// What.
        text: String,
    },
    /// A ping for a WebSocket.
    Ping {
        /// Which.
        sock: SockId,
    },
    /// Flush and close; a WebSocket with code and reason.
    Close {
        /// Which.
        sock: SockId,
        /// Close code.
        code: u16,
        /// Close reason.
        reason: String,
    },
    /// Drop at once.
    Abort {
        /// Which.
        sock: SockId,
    },
    /// Ask.
    Http {
        /// Our number.
        req: ReqId,
        /// What.
        request: Box<HttpRequest>,
    },
    /// Forget a request.
    Cancel {
        /// Which.
        req: ReqId,
    },
    /// Requests to this path of our HTTP door are this account's.
    Listen {
        /// `/telegram-webhook`.
        path: String,
    },
    /// Answer one.
    Answer {
        /// Which.
        hook: HookId,
        /// Status.
        status: u16,
        /// Media type of the body.
        mime: &'static str,
        /// Body.
        body: Vec<u8>,
    },
    /// A message came.
    Inbound(Box<Inbound>),
    /// A piece was sent.
    Sent {
        /// [`Outgoing::id`].
        id: String,
        /// Ids the service gave it.
        messages: Vec<String>,
    },
    /// A part of a piece was sent; the rest is on its way.
    PartSent {
        /// [`Outgoing::id`].
        id: String,
        /// Ids the service gave it.
        messages: Vec<String>,
    },
    /// A piece was not sent.
    SendFailed {
        /// [`Outgoing::id`].
        id: String,
        /// Why, and whether to try again.
        failure: Failure,
    },
    /// An act is over.
    Acted {
        /// Its number.
        id: u64,
        /// What came of it.
        result: Result<Value, Failure>,
    },
    /// Where a file is.
    Located {
        /// Number of the question.
        id: u64,
        /// Where, or why nobody knows.
        result: Result<Located, Failure>,
    },
    /// A probe is over.
    Probed {
        /// Its number.
        id: u64,
        /// Facts, or why it does not work and what to do.
        result: Result<Value, String>,
    },
    /// An audit is over.
    Audited {
        /// Its number.
        id: u64,
        /// [`super::audit::Audit::report`]; null when there was nothing to ask about.
        report: Value,
    },
    /// The account's state changed.
    Status(State),
    /// Who we are.
    Me(Me),
    /// To survive a restart.
    Keep(Value),
    /// A line for the log, target `channels/<id>`.
    Log(log::Level, String),
}

/// Where a channel says what follows. Lives as long as its account.
#[derive(Debug)]
pub struct ChannelOut {
    list: VecDeque<ChannelEffect>,
    next: u64,
    seed: u64,
}

impl ChannelOut {
    /// `seed` is unpredictable in production and fixed in tests.
    pub fn new(seed: u64) -> Self {
        Self { list: VecDeque::new(), next: 1, seed }
    }

    /// A random number for jitter and nonces that need not be secret (splitmix64).
    pub fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        number
    }

    /// Connects; [`ChannelInput::Opened`] or [`ChannelInput::Failed`] follows.
    pub fn open_tcp(&mut self, host: &str, port: u16, tls: bool) -> SockId {
        let sock = SockId(self.number());
        let host = host.to_owned();
        self.list.push_back(ChannelEffect::OpenTcp { sock, host, port, tls });
        sock
    }

    /// Connects a WebSocket.
    pub fn open_ws(&mut self, url: &str, headers: Vec<(String, String)>) -> SockId {
        self.open_ws_by(url, headers, None)
    }

    /// Connects a WebSocket, perhaps through a proxy.
    pub fn open_ws_by(
        &mut self,
        url: &str,
        headers: Vec<(String, String)>,
        proxy: Option<String>,
    ) -> SockId {
        let sock = SockId(self.number());
        let url = url.to_owned();
        self.list.push_back(ChannelEffect::OpenWs { sock, url, headers, proxy });
        sock
    }

    /// Sends bytes by TCP.
    pub fn bytes(&mut self, sock: SockId, bytes: Vec<u8>) {
        self.list.push_back(ChannelEffect::Bytes { sock, bytes });
    }

    /// Sends a text message by WebSocket.
    pub fn text(&mut self, sock: SockId, text: String) {
        self.list.push_back(ChannelEffect::Text { sock, text });
    }

    /// Pings by WebSocket.
    pub fn ping(&mut self, sock: SockId) {
        self.list.push_back(ChannelEffect::Ping { sock });
    }

    /// Flushes and closes; nothing more is heard of it.
    pub fn close(&mut self, sock: SockId, code: u16, reason: &str) {
        self.list.push_back(ChannelEffect::Close { sock, code, reason: reason.to_owned() });
    }

    /// Drops it at once, or stops it from opening; nothing more is heard of it.
    pub fn abort(&mut self, sock: SockId) {
        self.list.push_back(ChannelEffect::Abort { sock });
    }

    /// Asks; [`ChannelInput::Http`] follows.
    pub fn http(&mut self, request: HttpRequest) -> ReqId {
        let req = ReqId(self.number());
        self.list.push_back(ChannelEffect::Http { req, request: Box::new(request) });
        req
    }

    /// Forgets a request; its connection is closed.
    pub fn cancel(&mut self, req: ReqId) {
        self.list.push_back(ChannelEffect::Cancel { req });
    }

    /// Takes requests to a path of our HTTP door until the account stops.
    pub fn listen(&mut self, path: &str) {
        self.list.push_back(ChannelEffect::Listen { path: path.to_owned() });
    }

    /// Answers a request to our HTTP door.
    pub fn answer(&mut self, hook: HookId, status: u16, mime: &'static str, body: Vec<u8>) {
        self.list.push_back(ChannelEffect::Answer { hook, status, mime, body });
    }

    /// Gives up a message; [`ChannelInput::Accepted`] follows in the same turn.
    pub fn inbound(&mut self, message: Inbound) {
        self.list.push_back(ChannelEffect::Inbound(Box::new(message)));
    }

    /// A piece was sent; `messages` are the ids the service gave it.
    pub fn sent(&mut self, id: &str, messages: Vec<String>) {
        self.list.push_back(ChannelEffect::Sent { id: id.to_owned(), messages });
    }

    /// One more part of a piece of several was sent, and more of them follow. No attempt after
    /// this one begins before it: [`Outgoing::parts`] counts them.
    pub fn part_sent(&mut self, id: &str, messages: Vec<String>) {
        self.list.push_back(ChannelEffect::PartSent { id: id.to_owned(), messages });
    }

    /// A piece was not sent.
    pub fn send_failed(&mut self, id: &str, failure: Failure) {
        self.list.push_back(ChannelEffect::SendFailed { id: id.to_owned(), failure });
    }

    /// An act is over.
    pub fn acted(&mut self, id: u64, result: Result<Value, Failure>) {
        self.list.push_back(ChannelEffect::Acted { id, result });
    }

    /// Where a file is, or why it cannot be had.
    pub fn located(&mut self, id: u64, result: Result<Located, Failure>) {
        self.list.push_back(ChannelEffect::Located { id, result });
    }

    /// A probe is over: facts, or why it does not work and what to do.
    pub fn probed(&mut self, id: u64, result: Result<Value, String>) {
        self.list.push_back(ChannelEffect::Probed { id, result });
    }

    /// An audit is over; null when there was nothing to ask about.
    pub fn audited(&mut self, id: u64, report: Value) {
        self.list.push_back(ChannelEffect::Audited { id, report });
    }

    /// The account's state changed.
    pub fn status(&mut self, state: State) {
        self.list.push_back(ChannelEffect::Status(state));
    }

    /// Who we are on the service.
    pub fn me(&mut self, me: Me) {
        self.list.push_back(ChannelEffect::Me(me));
    }

    /// Keeps a small document for the next life; the last one counts.
    pub fn keep(&mut self, document: Value) {
        self.list.push_back(ChannelEffect::Keep(document));
    }

    /// A line for the log; never a secret, never the text of a message.
    pub fn log(&mut self, level: log::Level, line: impl Into<String>) {
        self.list.push_back(ChannelEffect::Log(level, line.into()));
    }

    /// Takes the next effect, in order.
    pub fn take(&mut self) -> Option<ChannelEffect> {
        let effect = self.list.pop_front();
        if self.list.is_empty() {
            // An idle account holds no buffer.
            self.list = VecDeque::new();
        }
        effect
    }
}
