//! Socket Mode: at most one live socket, and one that comes before it or goes after it.
//!
//! ```text
//!            open            hello                  disconnect: warning, refresh
//!   ticket --------> coming --------> live ----------------------------------> ticket, coming
//!                       |               |  its successor's hello
//!                       +- 15 s --x     +-------> going --- Slack closes it, or 10 s ---x
//! ```
//!
//! While a socket is coming, or one is going beside a live one, no other is asked for, so there
//! are never more than two.
//! The socket is alive while it answers pings; messages are no sign of life.

use serde_json::{Value, json};

use crate::channels::{ChannelOut, Gone, SockId, Trouble};
use crate::driver::{Now, Time};
use crate::limits;

/// What a socket's input means for the account.
#[derive(Debug)]
pub enum Told {
    /// Nothing.
    Nothing,
    /// Messages flow.
    Live,
    /// The live socket will end soon.
    Renew,
    /// No socket is left, or the one that was to come did not.
    Lost {
        /// What happened.
        why: String,
        /// Not before so many milliseconds; 0 is as the pauses say.
        pause_ms: u64,
    },
    /// Only the operator can mend it.
    Hopeless(String),
    /// Something to acknowledge.
    Envelope {
        /// On which socket.
        sock: SockId,
        /// `envelope_id`.
        id: String,
        /// `events_api`, `slash_commands`, `interactive`.
        kind: String,
        /// What.
        payload: Value,
    },
}

impl Told {
    /// Lost, and to be had again as the pauses say.
    pub fn lost(why: impl Into<String>) -> Self {
        Self::Lost { why: why.into(), pause_ms: 0 }
    }
}

#[derive(Debug)]
struct Live {
    sock: SockId,
    /// When to ping, or, after a ping, until when its answer must have come.
    due: Time,
    pinged: bool,
}

/// The sockets of one account.
#[derive(Debug, Default)]
pub struct Link {
    /// `apps.connections.open` is under way.
    pub ticket: bool,
    coming: Option<(SockId, Time)>,
    live: Option<Live>,
    going: Option<(SockId, Time)>,
}

/// Acknowledges an envelope.
pub fn acknowledge(sock: SockId, id: &str, out: &mut ChannelOut) {
    out.text(sock, json!({"envelope_id": id}).to_string());
}

impl Link {
    /// Whether another socket may and should be asked for.
    pub fn wants_ticket(&self) -> bool {
        !self.ticket && self.coming.is_none() && (self.going.is_none() || self.live.is_none())
    }

    /// Whether messages flow.
    pub fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Opens the socket of a ticket.
    pub fn open(&mut self, now: Now, url: &str, out: &mut ChannelOut) {
        let sock = out.open_ws(url, Vec::new());
        self.coming = Some((sock, now.time.after_ms(limits::SLACK_HELLO_MS)));
        debug_assert!(self.going.is_none() || self.live.is_none(), "never a third socket");
    }

    /// A message of Slack's.
    pub fn text(&mut self, now: Now, sock: SockId, text: &str, out: &mut ChannelOut) -> Told {
        if !self.knows(sock) {
            return Told::Nothing;
        }
        let Ok(mut message) = serde_json::from_str::<Value>(text) else { return Told::Nothing };
        let kind = message.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        match &*kind {
            "hello" => self.hello(now, sock),
            "disconnect" => self.disconnect(sock, &message, out),
            _ => {
                let id = message.get("envelope_id").and_then(Value::as_str).map(str::to_owned);
                let payload = message.get_mut("payload").map(Value::take).unwrap_or_default();
                match id {
                    Some(id) => Told::Envelope { sock, id, kind, payload },
                    None => Told::Nothing,
                }
            }
        }
    }

    fn knows(&self, sock: SockId) -> bool {
        self.coming.is_some_and(|(it, _)| it == sock)
            || self.going.is_some_and(|(it, _)| it == sock)
            || self.live.as_ref().is_some_and(|it| it.sock == sock)
    }

    fn hello(&mut self, now: Now, sock: SockId) -> Told {
        if self.coming.is_none_or(|(it, _)| it != sock) {
            return Told::Nothing;
        }
        self.coming = None;
        // What Slack put on the old socket is still read there; new messages come by this one.
        if let Some(old) = self.live.take() {
            self.going = Some((old.sock, now.time.after_ms(limits::SLACK_GOING_MS)));
        }
        let due = now.time.after_ms(limits::SLACK_PING_MS);
        self.live = Some(Live { sock, due, pinged: false });
        Told::Live
    }

    fn disconnect(&mut self, sock: SockId, message: &Value, out: &mut ChannelOut) -> Told {
        let reason = message.get("reason").and_then(Value::as_str).unwrap_or_default();
        if reason == "link_disabled" {
            return Told::Hopeless(super::web::refusal("Socket Mode", "link_disabled"));
        }
        if self.live.as_ref().is_some_and(|it| it.sock == sock) {
            // One that is still going would be the third.
            if let Some((old, _)) = self.going.take() {
                out.close(old, 1000, "");
            }
            return Told::Renew;
        }
        Told::Nothing
    }

    /// A socket did not come.
    pub fn failed(&mut self, sock: SockId, trouble: &Trouble) -> Told {
        if self.coming.is_none_or(|(it, _)| it != sock) {
            return Told::Nothing;
        }
        self.coming = None;
        let what = format!("no WebSocket to Slack ({})", trouble.what);
        match trouble.permanent {
            true => Told::Hopeless(what),
            false => Told::Lost { why: what, pause_ms: trouble.pause_ms },
        }
    }

    /// A socket is gone.
    pub fn closed(&mut self, sock: SockId, gone: &Gone) -> Told {
        if self.going.is_some_and(|(it, _)| it == sock) {
            self.going = None;
            return Told::Nothing;
        }
        let live = self.live.as_ref().is_some_and(|it| it.sock == sock);
        if live {
            self.live = None;
        } else if self.coming.is_some_and(|(it, _)| it == sock) {
            self.coming = None;
        } else {
            return Told::Nothing;
        }
        if self.coming.is_some() || self.ticket {
            // Its successor is on the way.
            return Told::Nothing;
        }
        let why = if gone.why.is_empty() { "without a reason" } else { &*gone.why };
        Told::lost(format!("Slack closed the WebSocket ({why})"))
    }

    /// The live socket answered.
    pub fn pong(&mut self, now: Now, sock: SockId) {
        if let Some(live) = self.live.as_mut().filter(|live| live.sock == sock) {
            live.pinged = false;
            live.due = now.time.after_ms(limits::SLACK_PING_MS);
        }
    }

    /// A deadline has passed.
    pub fn wake(&mut self, now: Now, out: &mut ChannelOut) -> Told {
        if let Some((sock, due)) = self.going
            && due <= now.time
        {
            self.going = None;
            out.close(sock, 1000, "");
        }
        if let Some((sock, due)) = self.coming
            && due <= now.time
        {
            self.coming = None;
            out.abort(sock);
            return Told::lost("Slack did not greet");
        }
        let Some(live) = self.live.as_mut().filter(|live| live.due <= now.time) else {
            return Told::Nothing;
        };
        if live.pinged {
            out.abort(live.sock);
            self.live = None;
            if self.coming.is_some() || self.ticket {
                return Told::Nothing;
            }
            return Told::lost("Slack did not answer a ping");
        }
        out.ping(live.sock);
        live.pinged = true;
        live.due = now.time.after_ms(limits::SLACK_PONG_MS);
        Told::Nothing
    }

    /// Lets go of all of them.
    pub fn close_all(&mut self, out: &mut ChannelOut) {
        self.ticket = false;
        let coming = self.coming.take().map(|(sock, _)| sock);
        let going = self.going.take().map(|(sock, _)| sock);
        let live = self.live.take().map(|live| live.sock);
        for sock in [coming, going, live].into_iter().flatten() {
            out.close(sock, 1000, "");
        }
    }

    /// When [`Link::wake`] is due.
    pub fn deadline(&self) -> Option<Time> {
        let live = self.live.as_ref().map(|live| live.due);
        let coming = self.coming.map(|(_, due)| due);
        let going = self.going.map(|(_, due)| due);
        [live, coming, going].into_iter().flatten().min()
    }
}
