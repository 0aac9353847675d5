//! A connection as the server sees it: its lines, what it may still send, how far it is.

use super::Irc;
use crate::driver::Time;
use std::collections::{BTreeSet, VecDeque};

/// A line with its end (RFC 1459, 2.3).
pub const LINE: usize = 512;
/// Where our bot comes from, as others see it.
pub const HOST: &str = "gateway.example.net";

/// How a server deals with whoever sends too fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    /// As `ircd-hybrid` and its kin: five lines at once, then one a second; what is behind
    /// waits, and 2,560 bytes of it are an excess flood.
    Hybrid,
    /// As RFC 1459, 8.10, and IRCnet's `ircd`: two seconds a line, and one more per 100 bytes, ten
    /// in advance; what is behind waits, and 1,000 bytes of it are an excess flood.
    Penalty,
    /// Everything at once; 8,192 bytes in one second are an excess flood.
    Loose,
}

impl Flood {
    const fn waiting(self) -> usize {
        match self {
            Self::Hybrid => 2_560,
            Self::Penalty => 1_000,
            Self::Loose => 8_192,
        }
    }
}

/// What a client may send before its lines wait.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    flood: Flood,
    /// Up to then it has been paid for.
    since: Time,
}

impl Budget {
    pub(super) const fn new(flood: Flood, now: Time) -> Self {
        Self { flood, since: now }
    }

    /// In advance.
    const fn ahead_ms(&self) -> u64 {
        match self.flood {
            Flood::Hybrid => 4_000,
            Flood::Penalty => 9_999,
            Flood::Loose => u64::MAX / 4_000,
        }
    }

    /// When the next line is handled.
    pub(super) fn next(&self, now: Time) -> Time {
        Time(self.since.0.saturating_sub(self.ahead_ms() * 1_000)).max(now)
    }

    fn charge(&mut self, now: Time, bytes: usize) {
        let cost = match self.flood {
            Flood::Hybrid => 1_000,
            Flood::Penalty => 2_000 + bytes as u64 / 100 * 1_000,
            Flood::Loose => 0,
        };
        self.since = self.since.max(now).after_ms(cost);
    }
}

/// A line that was posted, and its receipt.
#[derive(Debug, Clone, Copy)]
pub struct Receipt {
    /// Which post.
    pub post: usize,
    /// When its `PING` came, and when the `PONG` left.
    pub ponged: Option<(Time, Time)>,
}

/// How far the capability negotiation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// There is none.
    None,
    /// It goes on; registration waits for its end.
    Open,
    /// `sasl` was granted.
    Granted,
    /// PLAIN was chosen; what it says is due.
    Plain,
    /// It has proved who it is.
    Proved,
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    pub(super) opened: Time,
    /// Bytes without an end yet.
    held: Vec<u8>,
    /// Lines that wait, and when they came.
    pub(super) queue: VecDeque<(Time, String)>,
    pub(super) budget: Budget,
    pub(super) nick: Option<String>,
    pub(super) user: Option<String>,
    pub(super) pass: Option<String>,
    pub(super) cap: Cap,
    pub(super) login: String,
    /// What it has to answer before it is welcome.
    pub(super) cookie: Option<String>,
    /// It was welcomed.
    pub(super) welcome: bool,
    pub(super) rooms: BTreeSet<String>,
    /// When it was put out of a room last.
    pub(super) out: Vec<(Time, String)>,
    /// When something of it came last.
    pub(super) heard: Time,
    /// Our PING and when it left.
    pub(super) pinged: Option<(Time, String)>,
    pub(super) receipts: Vec<Receipt>,
    /// Nothing moves any more, and the server does not know it until then.
    pub(super) ghost: Option<Time>,
    /// The server did not answer for a while: what is late is its own fault.
    pub(super) lagged: bool,
    /// An end was sent.
    pub(super) over: bool,
}

impl Client {
    pub(super) const fn new(flood: Flood, now: Time) -> Self {
        Self {
            opened: now,
            held: Vec::new(),
            queue: VecDeque::new(),
            budget: Budget::new(flood, now),
            nick: None,
            user: None,
            pass: None,
            cap: Cap::None,
            login: String::new(),
            cookie: None,
            welcome: false,
            rooms: BTreeSet::new(),
            out: Vec::new(),
            heard: now,
            pinged: None,
            receipts: Vec::new(),
            ghost: None,
            lagged: false,
            over: false,
        }
    }

    /// `nick!user@host`.
    pub(super) fn mask(&self) -> String {
        let nick = self.nick.as_deref().unwrap_or("*");
        format!("{nick}!~{}@{HOST}", self.user.as_deref().unwrap_or("unknown"))
    }

    /// Both ends know of it and talk.
    pub(super) const fn is_live(&self) -> bool {
        self.welcome && self.ghost.is_none() && !self.over
    }
}

/// Why bytes are no line of IRC.
fn malformed(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line).into_owned();
    let Some(body) = line.strip_suffix(b"\r\n") else {
        return Some(format!("a line that does not end in CR LF: {text:?}"));
    };
    if line.len() > LINE {
        return Some(format!("a line of {} bytes: {text:?}", line.len()));
    }
    let odd = body.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    odd.then(|| format!("a line end or NUL inside of a line: {text:?}"))
}

impl Irc {
    /// Bytes came: lines are handled as far as the budget goes.
    pub(super) fn received(&mut self, now: Time, conn: u64, bytes: &[u8]) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        if client.ghost.is_some() || client.over {
            // The one does not arrive, the other is not read any more.
            let text = String::from_utf8_lossy(bytes).into_owned();
            return self.swallowed.push((now, text));
        }
        client.heard = now;
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            client.held.extend_from_slice(part);
            if part.ends_with(b"\n") {
                lines.push(std::mem::take(&mut client.held));
            }
        }
        let endless = client.held.len() > LINE;
        for line in &lines {
            if let Some(what) = malformed(line) {
                self.broke(what);
            }
            let text = String::from_utf8_lossy(line).trim_end().to_owned();
            if let Some(client) = self.clients.get_mut(&conn) {
                client.queue.push_back((now, text));
            }
            self.work(now, conn);
        }
        if endless {
            self.broke(format!("more than {LINE} bytes without an end"));
        }
        let Some(client) = self.clients.get(&conn) else { return };
        let waiting: usize = client.queue.iter().map(|(_, line)| line.len() + 2).sum();
        if !self.lagging(now) && waiting > client.budget.flood.waiting() {
            self.broke(format!("an excess flood of {waiting} bytes ({:?})", client.budget.flood));
            self.close(now, conn, "Excess Flood");
        }
    }

    /// Handles what the budget of a connection lets through.
    pub(super) fn work(&mut self, now: Time, conn: u64) {
        while !self.lagging(now)
            && let Some(client) = self.clients.get_mut(&conn)
            && client.ghost.is_none()
            && !client.over
            // Whoever registers is not slowed down.
            && (client.budget.next(now) <= now || !client.welcome)
            && let Some((came, line)) = client.queue.pop_front()
        {
            client.budget.charge(now, line.len());
            if !client.welcome {
                client.budget.since = now;
            }
            self.handle(now, conn, came, &line);
        }
    }

    /// When a line that waits is handled.
    pub(super) fn work_due(&self) -> Option<Time> {
        let waiting = self
            .clients
            .values()
            .filter(|client| !client.queue.is_empty() && client.ghost.is_none() && !client.over);
        let next = waiting.map(|client| client.budget.next(client.heard)).min()?;
        Some(next.max(self.lag.unwrap_or(next)))
    }

    /// The server does nothing now.
    pub(super) fn lagging(&self, now: Time) -> bool {
        self.lag.is_some_and(|until| until > now)
    }
}
