//! What must hold whatever happens. Peers and driver report here; the first violation stands.

use super::disk::SimDisk;
use super::peers::Kind;
use crate::driver::Time;
use crate::limits;
use std::collections::BTreeMap;

/// The promises of the gateway that a world is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// What was acknowledged is on disk, and after a crash has one answer or one notice.
    Durable,
    /// One terminal chat event a run and client, nothing after it, deltas add up to the text.
    OneEnd,
    /// A tool call begins once, ends once, has one result, and is never carried out again.
    ToolsOnce,
    /// A response only to a request of this connection, once (twice for `agent`).
    OwnReplies,
    /// Event numbers ascend by one.
    Sequence,
    /// What the driver holds for a peer stays within its limit.
    Bounded,
    /// Every run ends, every gone peer is forgotten, a stop stops.
    Live,
    /// Nothing is done that the rules of a platform forbid.
    KeepsRules,
    /// A well-behaved peer is served.
    WellServed,
    /// The core keeps the promises of the seam.
    Seam,
}

/// One message that a client handed in.
#[derive(Debug, Clone)]
pub struct Message {
    /// Canonical session key.
    pub key: String,
    /// What it says.
    pub text: String,
    /// When it was sent first.
    pub sent: Time,
    /// When its acknowledgement arrived.
    pub acked: Option<Time>,
    /// Text of its final event, as the first client heard it.
    pub ended: Option<String>,
}

/// Everything observed so far.
#[derive(Debug)]
pub struct Checks {
    /// The first violation.
    pub failure: Option<(Invariant, String)>,
    /// What the gateway writes to.
    pub disk: SimDisk,
    /// Messages by run id.
    pub messages: BTreeMap<String, Message>,
    /// A signal to leave was given.
    pub leaving: Option<Time>,
    /// Writes may be refused.
    pub disk_trouble: bool,
    /// Providers may fail, so runs may.
    pub provider_trouble: bool,
    /// Queues are short and drop nothing: messages may be refused.
    pub short_queues: bool,
    /// Most bytes the driver held for one peer.
    pub peak: usize,
    /// Terminal chat events heard by all clients.
    pub ends: u64,
    /// Responses heard.
    pub responses: u64,
    /// Everybody but the watchers is done: they may go.
    pub closing: bool,
}

impl Checks {
    /// Nothing observed yet.
    pub fn new(disk: SimDisk) -> Self {
        Self {
            failure: None,
            disk,
            messages: BTreeMap::new(),
            leaving: None,
            disk_trouble: false,
            provider_trouble: false,
            short_queues: false,
            peak: 0,
            ends: 0,
            responses: 0,
            closing: false,
        }
    }

    /// Records a violation.
    pub fn fail(&mut self, invariant: Invariant, what: impl FnOnce() -> String) {
        if self.failure.is_none() {
            self.failure = Some((invariant, what()));
        }
    }

    /// `holds`, or it is a violation.
    pub fn require(&mut self, holds: bool, invariant: Invariant, what: impl FnOnce() -> String) {
        if !holds {
            self.fail(invariant, what);
        }
    }

    /// The driver holds so many bytes for a peer of this kind.
    pub fn held(&mut self, kind: Kind, bytes: usize) {
        self.peak = self.peak.max(bytes);
        let limit = match kind {
            // One message more: the largest is a page of history.
            Kind::Client => limits::WS_SLOW_CONSUMER + 8 * 1024 * 1024,
            // What a provider may send in a turn, dressed as chunks.
            Kind::Http => limits::STREAM_HIGH + 2 * 1024 * 1024,
            Kind::Provider => limits::BODY_OPENAI + 1024 * 1024,
        };
        self.require(bytes <= limit, Invariant::Bounded, || {
            format!("{bytes} bytes are held for one peer ({kind:?}), {limit} are allowed")
        });
    }

    /// A message is acknowledged: it must be on disk by now.
    pub fn acknowledged(&mut self, now: Time, run: &str) {
        let kept = self.disk.holds(format!("\"{run}:user\"").as_bytes());
        self.require(kept, Invariant::Durable, || {
            format!("{run} was acknowledged and no file holds its message")
        });
        if let Some(message) = self.messages.get_mut(run) {
            message.acked.get_or_insert(now);
        }
    }
}
