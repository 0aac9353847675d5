//! Discord's gateway, version 10: one session over one socket after another.
//!
//! ```text
//!   open --> hello --> identify --> READY ----> dispatches, each with its number `s`
//!              |                                    | op 7, lost, or a beat without its ack:
//!              +-----> resume ---> RESUMED -->      | close 4000, open resume_gateway_url
//!                        | op 9: the session is over, 1 to 5 s, identify anew
//! ```
//!
//! The first beat comes after a random part of the interval; each must be acknowledged before the
//! next. A socket is closed with 4000 where the session shall go on, with 1000 only at the end.
//! What is greeted and has neither READY nor RESUMED after [`limits::DISCORD_LIVE_MS`] is closed
//! too; a session that is resumed in vain three times over is given up.
//! An identify is not made within [`limits::DISCORD_IDENTIFY_MS`] of the one before.
//!
//! Source: docs.discord.com, "Gateway", "Opcodes and Status Codes".

use serde_json::{Value, json};

use super::events::text;
use crate::channels::{ChannelOut, Gone, SockId, Trouble};
use crate::driver::{Now, Time};
use crate::limits;

/// What can be gone on with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// The last dispatch that was settled or told us nothing.
    pub seq: u64,
    /// Where it is resumed.
    pub url: String,
}

/// What a socket's input means for the account.
#[derive(Debug)]
pub enum Told {
    /// Nothing.
    Nothing,
    /// Dispatches flow; the document of READY, null after RESUMED.
    Live(Value),
    /// A dispatch: its number, name and document.
    Dispatch(u64, String, Value),
    /// The socket is gone: open another after so many milliseconds, or as the pauses say.
    Lost {
        /// What happened.
        why: String,
        /// At least so long; `None` is at once.
        pause_ms: Option<u64>,
    },
    /// Only the operator can mend it.
    Hopeless(String),
}

#[derive(Debug)]
struct Sock {
    id: SockId,
    /// When to beat next; before `hello`, until when it must have come.
    due: Time,
    interval_ms: u64,
    acked: bool,
    greeted: bool,
    live: bool,
    /// Until when dispatches must flow, once it said hello.
    live_by: Option<Time>,
}

/// The gateway connection of one account.
#[derive(Debug, Default)]
pub struct Link {
    sock: Option<Sock>,
    /// What is gone on with.
    pub session: Option<Session>,
    /// The last number that came: what beats and resumes tell.
    seen: Option<u64>,
    identified: Option<Time>,
    /// Resumes in a row that were greeted and came to nothing.
    vain: u32,
}

/// Close codes after which nothing but an operator helps, and what to do.
const HOPELESS: [(u16, &str); 6] = [
    (
        4004,
        "the token is not valid: make a new one at discord.com/developers and set \
            channels.discord.token",
    ),
    (4010, "the shard is not valid"),
    (4011, "the bot is in so many guilds that it needs sharding, which this gateway has not"),
    (4012, "the API version is not valid"),
    (4013, "the intents are not valid"),
    (
        4014,
        "an intent is not allowed: switch Message Content Intent on at discord.com/developers, \
            Bot, or leave out what channels.discord.intents asks for",
    ),
];

impl Link {
    /// A link that goes on with this session, if there is one.
    pub fn of(session: Option<Session>) -> Self {
        Self { session, ..Self::default() }
    }

    /// Whether a socket is open or on its way.
    pub const fn is_open(&self) -> bool {
        self.sock.is_some()
    }

    /// Whether dispatches flow.
    pub fn is_live(&self) -> bool {
        self.sock.as_ref().is_some_and(|sock| sock.live)
    }

    /// Milliseconds until another identify is allowed; 0 for now, and for a resume.
    pub fn identify_in(&self, now: Now) -> u64 {
        let next = self.identified.map(|at| at.after_ms(limits::DISCORD_IDENTIFY_MS));
        match next.filter(|next| *next > now.time && self.session.is_none()) {
            Some(next) => next.ms_since(now.time).max(1),
            None => 0,
        }
    }

    /// Opens a socket: where the session is resumed, else at `url`.
    pub fn open(&mut self, now: Now, url: &str, proxy: Option<String>, out: &mut ChannelOut) {
        debug_assert!(self.sock.is_none(), "one socket at a time");
        let base = self.session.as_ref().map_or(url, |session| &*session.url);
        let url = format!("{}/?v=10&encoding=json", base.trim_end_matches('/'));
        let id = out.open_ws_by(&url, Vec::new(), proxy);
        let due = now.time.after_ms(limits::DISCORD_HELLO_MS);
        self.seen = self.session.as_ref().map(|session| session.seq);
        self.sock = Some(Sock {
            id,
            due,
            interval_ms: 0,
            acked: true,
            greeted: false,
            live: false,
            live_by: None,
        });
    }

    /// A message of Discord's.
    pub fn text(
        &mut self,
        now: Now,
        id: SockId,
        message: &str,
        identify: impl FnOnce() -> Value,
        out: &mut ChannelOut,
    ) -> Told {
        let Some(sock) = self.sock.as_mut().filter(|sock| sock.id == id) else {
            return Told::Nothing;
        };
        let Ok(mut message) = serde_json::from_str::<Value>(message) else { return Told::Nothing };
        let data = message.get_mut("d").map(Value::take).unwrap_or_default();
        match message.get("op").and_then(Value::as_u64) {
            Some(0) => self.dispatch(&message, data),
            Some(1) => {
                self.beat(now, out);
                Told::Nothing
            }
            Some(7) => self.leave("Discord asks for a new connection", None, out),
            Some(9) => {
                let resumable = data.as_bool() == Some(true);
                if !resumable {
                    self.forget();
                }
                let pause = 1000_u64.saturating_add(out.random() % 4001);
                self.leave("Discord ended the session", Some(pause), out)
            }
            Some(10) => {
                let interval = data.get("heartbeat_interval").and_then(Value::as_u64);
                // Kept within what makes sense: a beat a millisecond would be no heart.
                sock.interval_ms = interval.unwrap_or(41_250).clamp(1000, 600_000);
                sock.greeted = true;
                sock.acked = true;
                sock.live_by = Some(now.time.after_ms(limits::DISCORD_LIVE_MS));
                sock.due = now.time.after_ms(out.random() % sock.interval_ms.max(1));
                let first = match &self.session {
                    Some(session) => json!({"op": 6, "d": {
                        "token": identify()["token"], "session_id": session.id,
                        "seq": session.seq}}),
                    None => {
                        self.identified = Some(now.time);
                        json!({"op": 2, "d": identify()})
                    }
                };
                out.text(id, first.to_string());
                Told::Nothing
            }
            Some(11) => {
                sock.acked = true;
                Told::Nothing
            }
            _ => Told::Nothing,
        }
    }

    fn dispatch(&mut self, message: &Value, data: Value) -> Told {
        let number = message.get("s").and_then(Value::as_u64).unwrap_or(0);
        self.seen = self.seen.max(Some(number));
        let name = text(message, "t").unwrap_or_default().to_owned();
        let Some(sock) = self.sock.as_mut() else { return Told::Nothing };
        match &*name {
            "READY" => {
                sock.live = true;
                sock.live_by = None;
                self.vain = 0;
                let id = text(&data, "session_id").unwrap_or_default().to_owned();
                let url = text(&data, "resume_gateway_url").unwrap_or_default().to_owned();
                self.session = Some(Session { id, seq: number, url });
                Told::Live(data)
            }
            "RESUMED" => {
                sock.live = true;
                sock.live_by = None;
                self.vain = 0;
                Told::Live(Value::Null)
            }
            _ => Told::Dispatch(number, name, data),
        }
    }

    /// Everything up to this dispatch is settled: a resume begins behind it.
    pub fn settled(&mut self, number: u64) {
        if let Some(session) = self.session.as_mut() {
            session.seq = session.seq.max(number);
        }
    }

    fn beat(&mut self, now: Now, out: &mut ChannelOut) {
        let seen = self.seen;
        let Some(sock) = self.sock.as_mut() else { return };
        out.text(sock.id, json!({"op": 1, "d": seen}).to_string());
        sock.acked = false;
        sock.due = now.time.after_ms(sock.interval_ms);
    }

    /// Closes so that the session goes on.
    fn leave(&mut self, why: &str, pause_ms: Option<u64>, out: &mut ChannelOut) -> Told {
        if let Some(sock) = self.sock.take() {
            out.close(sock.id, 4000, "");
        }
        Told::Lost { why: why.to_owned(), pause_ms }
    }

    fn forget(&mut self) {
        self.session = None;
        self.seen = None;
    }

    /// It did not open.
    pub fn failed(&mut self, id: SockId, trouble: &Trouble) -> Told {
        if self.sock.take_if(|sock| sock.id == id).is_none() {
            return Told::Nothing;
        }
        let why = format!("no WebSocket to Discord ({})", trouble.what);
        if trouble.permanent {
            return Told::Hopeless(why);
        }
        Told::Lost { why, pause_ms: Some(trouble.pause_ms) }
    }

    /// The socket is gone.
    pub fn closed(&mut self, id: SockId, gone: &Gone) -> Told {
        let Some(sock) = self.sock.take_if(|sock| sock.id == id) else { return Told::Nothing };
        let code = gone.code.unwrap_or(1006);
        if let Some((_, what)) = HOPELESS.iter().find(|(own, _)| *own == code) {
            return Told::Hopeless(format!("Discord closed with {code}: {what}"));
        }
        // Not authenticated, a number that never was, a session that timed out: it is over.
        if matches!(code, 4003 | 4007 | 4009) {
            self.forget();
        }
        let why = format!("Discord closed the connection ({code} {})", gone.why);
        let slow = !sock.live || code == 4008;
        Told::Lost { why: why.trim().to_owned(), pause_ms: slow.then_some(0) }
    }

    /// A deadline has passed.
    pub fn wake(&mut self, now: Now, out: &mut ChannelOut) -> Told {
        let late = self.sock.as_ref().and_then(|sock| sock.live_by);
        if late.is_some_and(|late| late <= now.time) {
            return self.never_live(out);
        }
        let Some(sock) = self.sock.as_ref().filter(|sock| sock.due <= now.time) else {
            return Told::Nothing;
        };
        if !sock.greeted {
            return self.leave("Discord did not say hello", Some(0), out);
        }
        if !sock.acked {
            return self.leave("Discord did not acknowledge a heartbeat", None, out);
        }
        self.beat(now, out);
        Told::Nothing
    }

    /// It said hello, takes beats, and no dispatch comes.
    fn never_live(&mut self, out: &mut ChannelOut) -> Told {
        let missing = match &self.session {
            Some(_) => "RESUMED",
            None => "READY",
        };
        if self.session.is_some() {
            self.vain = self.vain.saturating_add(1);
        }
        if self.vain >= limits::DISCORD_RESUMES {
            // Where it is resumed nobody knows it, and nobody says so.
            self.forget();
            self.vain = 0;
        }
        let why = format!(
            "Discord says hello and no {missing} follows within {} s; if it stays so, look at \
             discordstatus.com and at what stands between (channels.discord.proxy)",
            limits::DISCORD_LIVE_MS / 1000
        );
        self.leave(&why, Some(0), out)
    }

    /// Ends it; the session can be gone on with after a restart.
    pub fn close(&mut self, out: &mut ChannelOut) {
        if let Some(sock) = self.sock.take() {
            out.close(sock.id, 4000, "");
        }
    }

    /// When [`Link::wake`] is due.
    pub fn deadline(&self) -> Option<Time> {
        self.sock.as_ref().map(|sock| sock.live_by.map_or(sock.due, |late| late.min(sock.due)))
    }
}
