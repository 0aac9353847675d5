//! Who talks to the gateway: scripted clients, providers, and those who mean no good.
//!
//! A peer is told what happens at its end of a connection and says what it does about it
//! through [`Io`]. It knows nothing of slots; the network knows nothing of protocols.

pub mod discord;
pub mod fake;
pub mod garbage;
pub mod heard;
pub mod http;
pub mod irc;
pub mod platforms;
pub mod provider;
pub mod slack;
pub mod telegram;
pub mod ws;

use super::check::Checks;
use crate::driver::Time;

/// The token every well-behaved peer shows.
pub const TOKEN: &str = "simulated-token";

/// What the gateway takes a peer for; decides its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A WebSocket.
    Client,
    /// HTTP, or nothing that can be named.
    Http,
    /// A server the gateway dialled.
    Provider,
}

/// What happens at the peer's end.
#[derive(Debug)]
pub enum Event<'a> {
    /// The connection stands.
    Connected,
    /// Bytes from the gateway, never empty.
    Bytes(&'a [u8]),
    /// The gateway ended its direction.
    Ended,
    /// The connection broke; `injected` when the network did it on purpose.
    Lost {
        /// By the scenario, not by the gateway.
        injected: bool,
    },
    /// The alarm this peer set.
    Wake,
}

/// What the peer does.
#[derive(Debug, Default)]
pub struct Io {
    /// Sends these bytes.
    pub send: Vec<u8>,
    /// Then ends its direction.
    pub end: bool,
    /// Breaks the connection.
    pub reset: bool,
    /// Wants [`Event::Wake`] then.
    pub wake: Option<Time>,
    /// From here on waits so many microseconds between reads; `u64::MAX` does not read at all.
    pub pause_us: Option<u64>,
    /// Other peers have something to say now: those that are [`Peer::rousable`] wake.
    pub rouse: bool,
    /// Has these connect to the gateway.
    pub visits: Vec<Visit>,
}

/// A peer that is to connect to the gateway.
pub struct Visit {
    /// Where it wants to go; the simulator has one gateway only.
    pub url: String,
    /// Who.
    pub peer: Box<dyn Peer>,
}

impl std::fmt::Debug for Visit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", self.peer.state(), self.url)
    }
}

/// One peer on one connection.
pub trait Peer {
    /// What it is.
    fn kind(&self) -> Kind;
    /// Something happened.
    fn on(&mut self, now: Time, event: Event<'_>, io: &mut Io, checks: &mut Checks);
    /// It has [`Event::Wake`] whenever another peer rouses.
    fn rousable(&self) -> bool {
        false
    }
    /// It wants nothing more.
    fn done(&self) -> bool;
    /// The world ends; the last word on what was heard.
    fn at_end(&mut self, _checks: &mut Checks) {}
    /// Where it stands, for the report of a failure.
    fn state(&self) -> String;
}
