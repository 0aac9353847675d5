//! Relay mode: a router that its operator trusts owns the Socket Mode connection, chooses a
//! gateway for each event, and hands it on by a WebSocket of ours.
//!
//! ```text
//!   open --101--> live <-- {type: hello, slack_identity}: how our posts are signed from here on
//!                  |  <-- {type: slack_event, delivery_id, route: {kind, key}, payload: {event}}
//!                  |  --> {type: ack, delivery_id}, once the message is kept
//!                  +-- a ping without its answer, or the close: gone, and with it the signature
//! ```
//!
//! Who may be where is the router's to say: what it sends is meant for us, as if we had been
//! mentioned. Senders and channels are judged here as everywhere. Source: the reference's manual,
//! "Slack transports", and what its plugin speaks.

use serde_json::{Map, Value, json};

use super::socket::Told;
use crate::channels::{Account, ChannelOut, Gone, SockId, Trouble};
use crate::driver::{Now, Time};
use crate::limits;
use crate::wire::url::{Url, percent_encode};

/// How the router names the reason why an event is ours.
const ROUTES: [&str; 3] = ["user_group", "thread_affinity", "channel_default"];

/// Where the router is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    url: String,
    token: String,
}

impl Place {
    /// Reads `relay` of an account.
    ///
    /// # Errors
    /// What is missing or cannot be.
    pub fn of(account: &Account) -> Result<Self, String> {
        let need = |key: &str, what: &str| {
            account.text(key).map(str::to_owned).ok_or_else(|| account.missing(key, what))
        };
        let url = need("relay.url", "the router's WebSocket, wss://…")?;
        let token = need("relay.authToken", "the router's bearer token")?;
        let gateway = need("relay.gatewayId", "the name by which the router knows this gateway")?;
        let path = &account.path;
        // `http` is written where `ws` is meant, as in the reference.
        let url = match url.split_once("://") {
            Some(("http", rest)) => format!("ws://{rest}"),
            Some(("https", rest)) => format!("wss://{rest}"),
            _ => url,
        };
        let parsed = Url::parse(&url).map_err(|_| {
            format!("{path}.relay.url is no address of a WebSocket: wss://router.example.com/path")
        })?;
        let host = parsed.host.trim_matches(['[', ']']).to_ascii_lowercase();
        let here = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if !parsed.scheme.is_tls() && !here {
            return Err(format!(
                "{path}.relay.url would send its token as plain text: write wss://, ws:// is for \
                 localhost"
            ));
        }
        if matches!(&*parsed.path_and_query, "" | "/") {
            return Err(format!("{path}.relay.url needs the path of the router's WebSocket"));
        }
        let sign = if parsed.path_and_query.contains('?') { '&' } else { '?' };
        Ok(Self { url: format!("{url}{sign}gateway_id={}", percent_encode(&gateway)), token })
    }
}

#[derive(Debug)]
struct Sock {
    id: SockId,
    live: bool,
    /// When to ping, or until when something is awaited.
    due: Time,
    pinged: bool,
}

/// The socket to the router.
#[derive(Debug, Default)]
pub struct Relay {
    sock: Option<Sock>,
    /// `username`, `icon_url`, `icon_emoji` of what we post.
    identity: Map<String, Value>,
}

/// Tells the router that an event is kept.
pub fn acknowledge(sock: SockId, id: &str, out: &mut ChannelOut) {
    out.text(sock, json!({"type": "ack", "delivery_id": id}).to_string());
}

impl Relay {
    /// Whether a socket is open or on its way.
    pub const fn is_open(&self) -> bool {
        self.sock.is_some()
    }

    /// How posts are signed that do not say so themselves.
    pub const fn identity(&self) -> &Map<String, Value> {
        &self.identity
    }

    /// Connects.
    pub fn open(&mut self, now: Now, place: &Place, out: &mut ChannelOut) {
        debug_assert!(self.sock.is_none(), "one socket at a time");
        let bearer = ("Authorization".to_owned(), format!("Bearer {}", place.token));
        let id = out.open_ws(&place.url, vec![bearer]);
        let due = now.time.after_ms(limits::SLACK_HELLO_MS);
        self.sock = Some(Sock { id, live: false, due, pinged: false });
    }

    /// The WebSocket stands: events may come, with or without a `hello`.
    pub fn opened(&mut self, now: Now, id: SockId) -> Told {
        let Some(sock) = self.sock.as_mut().filter(|sock| sock.id == id) else {
            return Told::Nothing;
        };
        sock.live = true;
        sock.due = now.time.after_ms(limits::SLACK_PING_MS);
        Told::Live
    }

    /// A frame of the router's.
    pub fn text(&mut self, id: SockId, text: &str) -> Told {
        if self.sock.as_ref().is_none_or(|sock| sock.id != id) {
            return Told::Nothing;
        }
        let Ok(mut frame) = serde_json::from_str::<Value>(text) else { return Told::Nothing };
        let said = |value: &Value, key: &str| {
            value
                .get(key)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        match said(&frame, "type").as_deref() {
            Some("hello") => {
                let identity = frame.get("slack_identity").or_else(|| frame.get("slackIdentity"));
                self.identity = identity.map(signature).unwrap_or_default();
                Told::Nothing
            }
            Some("slack_event") => {
                let route = frame.get("route").cloned().unwrap_or_default();
                let known = said(&route, "kind").is_some_and(|kind| ROUTES.contains(&&*kind))
                    && said(&route, "key").is_some();
                let payload = frame.get_mut("payload").map(Value::take).unwrap_or_default();
                match said(&frame, "delivery_id").filter(|_| known) {
                    Some(delivery) => {
                        let kind = "relayed".to_owned();
                        Told::Envelope { sock: id, id: delivery, kind, payload }
                    }
                    None => Told::Nothing,
                }
            }
            _ => Told::Nothing,
        }
    }

    fn lose(&mut self, id: SockId) -> bool {
        let ours = self.sock.take_if(|sock| sock.id == id).is_some();
        if ours {
            self.identity.clear();
        }
        ours
    }

    /// It did not open.
    pub fn failed(&mut self, id: SockId, trouble: &Trouble) -> Told {
        if !self.lose(id) {
            return Told::Nothing;
        }
        let what = format!("no WebSocket to the relay ({})", trouble.what);
        match trouble.status {
            Some(401 | 403) => Told::Hopeless(format!(
                "{what}: check channels.slack.relay.authToken and relay.gatewayId"
            )),
            _ if trouble.permanent => Told::Hopeless(what),
            _ => Told::Lost { why: what, pause_ms: trouble.pause_ms },
        }
    }

    /// It is gone.
    pub fn closed(&mut self, id: SockId, gone: &Gone) -> Told {
        if !self.lose(id) {
            return Told::Nothing;
        }
        let why = if gone.why.is_empty() { "without a reason" } else { &*gone.why };
        Told::lost(format!("the relay closed the WebSocket ({why})"))
    }

    /// It answered.
    pub fn pong(&mut self, now: Now, id: SockId) {
        if let Some(sock) = self.sock.as_mut().filter(|sock| sock.id == id) {
            sock.pinged = false;
            sock.due = now.time.after_ms(limits::SLACK_PING_MS);
        }
    }

    /// A deadline has passed.
    pub fn wake(&mut self, now: Now, out: &mut ChannelOut) -> Told {
        let Some(sock) = self.sock.as_mut().filter(|sock| sock.due <= now.time) else {
            return Told::Nothing;
        };
        if sock.live && !sock.pinged {
            out.ping(sock.id);
            sock.pinged = true;
            sock.due = now.time.after_ms(limits::SLACK_PONG_MS);
            return Told::Nothing;
        }
        let (id, live) = (sock.id, sock.live);
        out.abort(id);
        self.lose(id);
        Told::lost(match live {
            true => "the relay did not answer a ping".to_owned(),
            false => "the relay did not open the WebSocket in time".to_owned(),
        })
    }

    /// Lets go of it.
    pub fn close(&mut self, out: &mut ChannelOut) {
        self.identity.clear();
        if let Some(sock) = self.sock.take() {
            out.close(sock.id, 1000, "");
        }
    }

    /// When [`Relay::wake`] is due.
    pub fn deadline(&self) -> Option<Time> {
        self.sock.as_ref().map(|sock| sock.due)
    }
}

/// The members of an identity that Slack takes.
fn signature(identity: &Value) -> Map<String, Value> {
    let of = |own: &str, other: &str| {
        let value = identity.get(own).or_else(|| identity.get(other));
        value.and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    };
    let pairs = [
        ("username", of("username", "username")),
        ("icon_url", of("icon_url", "iconUrl")),
        ("icon_emoji", of("icon_emoji", "iconEmoji")),
    ];
    let known = pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value?))));
    known.collect()
}
