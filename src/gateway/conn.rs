//! The table of connections, by slot and generation.
//!
//! ```text
//!   Accepted --> Http --upgrade--> Handshake --connect--> Client
//!   Dialed   --> Upstream(run) | Exchange(id) | Channel(account, socket)
//! ```
//!
//! A late event of an earlier connection in the same slot finds another generation here and is
//! dropped.

use super::http::Http;
use super::timers::Armed;
use crate::driver::{ConnId, Time};
use crate::limits;
use crate::wire::ws::Receiver;
use std::net::SocketAddr;

/// One connection.
pub(super) struct Conn {
    generation: u32,
    /// Who it is from; ours, for an upstream.
    pub(super) peer: SocketAddr,
    /// It reached us at a loopback address, or is ours.
    pub(super) inward: bool,
    /// What it is.
    pub(super) state: State,
    /// Bytes the driver holds for it, by its last report.
    pub(super) queued: usize,
    /// Bytes sent in turn `turn`, not in that report yet.
    sent: usize,
    turn: u64,
    /// Bytes of input we hold for it.
    pub(super) held: usize,
    /// Its number among those that have not proved who they are ([`super::strangers`]).
    pub(super) stranger: Option<u64>,
    /// We asked the driver not to read.
    pub(super) paused: bool,
    /// When it has waited too long.
    pub(super) due: Option<Time>,
    pub(super) armed: Armed,
}

/// What a connection is.
pub(super) enum State {
    /// HTTP/1.1.
    Http(Box<Http>),
    /// A WebSocket before `connect`.
    Handshake(Box<Handshake>),
    /// A connected client.
    Client(Box<Client>),
    /// A provider's connection; the number of its run.
    Upstream(u64),
    /// A server's connection for something else.
    Exchange(super::exchange::ExchangeId),
    /// A socket of a channel's account.
    Channel(super::channels::LiveId, crate::channels::SockId),
}

/// A WebSocket that has been challenged.
pub(super) struct Handshake {
    pub(super) recv: Receiver,
    pub(super) nonce: String,
    /// What the origin check said at the upgrade; told only after the frame is well-formed.
    pub(super) browser: Result<bool, crate::auth::origin::Refused>,
    /// Where the upgrade came from.
    pub(super) source: crate::auth::source::Source,
}

/// Who connects as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A person's client.
    Operator,
    /// A device that offers commands.
    Node,
}

impl Role {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Node => "node",
        }
    }
}

/// A connected client.
pub(super) struct Client {
    pub(super) recv: Receiver,
    pub(super) protocol: u32,
    pub(super) role: Role,
    /// What it may do: granted, not asked.
    pub(super) scopes: Vec<&'static str>,
    /// How it proved itself; when that is revoked, it goes.
    pub(super) proof: crate::auth::identity::Proof,
    /// The device that it proved to be.
    pub(super) device: Option<String>,
    /// `client.id` and `client.mode`, for the transcript and presence.
    pub(super) id: &'static str,
    pub(super) mode: &'static str,
    /// Capabilities it said it has, of those that make a difference here.
    pub(super) caps: Vec<&'static str>,
    /// Its row of the presence list, if it has one.
    pub(super) presence: Option<Box<serde_json::Value>>,
    /// Number of the last event.
    pub(super) seq: u64,
    /// `sessions.subscribe` is in force.
    pub(super) all_sessions: bool,
    /// Keys of `sessions.messages.subscribe`.
    pub(super) sessions: Vec<String>,
}

impl Client {
    /// Whether it may manage this device at all: one that came by a device token of its own
    /// has only itself, unless it is an administrator.
    pub(super) fn manages_device(&self, device: &str) -> bool {
        use crate::auth::identity::Proof;
        match &self.proof {
            Proof::Device { id, .. } | Proof::Setup { id } => {
                id == device || self.scopes.contains(&"operator.admin")
            }
            Proof::Open | Proof::Secret | Proof::Proxy { .. } => true,
        }
    }

    /// Shows approvals to somebody who may answer them.
    pub(super) fn approves(&self) -> bool {
        let shows = self.caps.iter().any(|cap| matches!(*cap, "approvals" | "exec-approvals"));
        shows && crate::protocol::operations::holds(&self.scopes, "operator.approvals")
    }
}

impl Conn {
    /// Counts bytes on their way to the driver.
    pub(super) fn sending(&mut self, bytes: usize, turn: u64) {
        if self.turn != turn {
            self.turn = turn;
            self.sent = 0;
        }
        self.sent += bytes;
    }

    /// Bytes that may wait for the peer before its further requests do.
    pub(super) fn out_max(&self) -> usize {
        if self.stranger.is_some() { limits::STRANGER_OUT } else { limits::STREAM_HIGH }
    }

    /// Bytes waiting for the peer, those of this turn included.
    pub(super) fn waiting(&self, turn: u64) -> usize {
        self.queued + if self.turn == turn { self.sent } else { 0 }
    }
}

/// All connections.
#[derive(Default)]
pub(super) struct Conns {
    slots: Vec<Option<Box<Conn>>>,
    /// Slots of connected clients, ascending: what a broadcast walks.
    clients: Vec<u32>,
}

impl Conns {
    pub(super) fn insert(&mut self, id: ConnId, peer: SocketAddr, state: State) -> &mut Conn {
        let index = id.slot as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        let conn = Conn {
            generation: id.generation,
            peer,
            inward: true,
            state,
            queued: 0,
            sent: 0,
            turn: 0,
            stranger: None,
            held: 0,
            paused: false,
            due: None,
            armed: Armed::default(),
        };
        self.slots[index].insert(Box::new(conn))
    }

    pub(super) fn get(&self, id: ConnId) -> Option<&Conn> {
        let conn = self.slots.get(id.slot as usize)?.as_deref()?;
        (conn.generation == id.generation).then_some(conn)
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        let conn = self.slots.get_mut(id.slot as usize)?.as_deref_mut()?;
        (conn.generation == id.generation).then_some(conn)
    }

    pub(super) fn remove(&mut self, id: ConnId) -> Option<Box<Conn>> {
        self.get(id)?;
        if let Ok(at) = self.clients.binary_search(&id.slot) {
            self.clients.remove(at);
        }
        self.slots.get_mut(id.slot as usize)?.take()
    }

    /// The handshake is over: broadcasts reach it from here on.
    pub(super) fn is_client_now(&mut self, id: ConnId) {
        if let Err(at) = self.clients.binary_search(&id.slot) {
            self.clients.insert(at, id.slot);
        }
    }

    pub(super) fn client(&self, id: ConnId) -> Option<&Client> {
        match &self.get(id)?.state {
            State::Client(client) => Some(client),
            _ => None,
        }
    }

    pub(super) fn client_mut(&mut self, id: ConnId) -> Option<&mut Client> {
        match &mut self.get_mut(id)?.state {
            State::Client(client) => Some(client),
            _ => None,
        }
    }

    /// How many clients would show an approval, but for this one.
    pub(super) fn approvers(&self, except: Option<ConnId>) -> usize {
        self.all()
            .filter(|(id, _)| Some(*id) != except)
            .filter(|(_, conn)| matches!(&conn.state, State::Client(client) if client.approves()))
            .count()
    }

    /// How many clients are connected.
    pub(super) fn clients_len(&self) -> usize {
        self.clients.len()
    }

    /// Walks the connected clients.
    pub(super) fn each_client(&mut self, mut visit: impl FnMut(ConnId, &mut Conn)) {
        for &slot in &self.clients {
            if let Some(conn) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) {
                let id = ConnId { slot, generation: conn.generation };
                visit(id, conn);
            }
        }
    }

    /// Whether a client has called `sessions.subscribe`.
    pub(super) fn any_follows_sessions(&self) -> bool {
        let conns = self.clients.iter().filter_map(|slot| self.slots.get(*slot as usize)?.as_ref());
        let mut states = conns.map(|conn| &conn.state);
        states.any(|state| matches!(state, State::Client(client) if client.all_sessions))
    }

    /// Every connection.
    pub(super) fn all(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.slots.iter().enumerate().filter_map(|(slot, conn)| {
            let conn = conn.as_deref()?;
            let slot = u32::try_from(slot).ok()?;
            Some((ConnId { slot, generation: conn.generation }, conn))
        })
    }
}
