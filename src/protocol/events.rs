//! The table of events: what the gateway tells, and what a client must hold to be told.
//!
//! `hello-ok.features.events` and every broadcast are read from here, so that no event reaches
//! somebody who could not have asked for what it says.

use super::operations::{APPROVALS, PAIRING, READ, Scope};

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// Its name on the wire.
    pub name: &'static str,
    /// What a client must hold; [`Scope::None`] is every connected client, [`Scope::Node`] only
    /// nodes.
    pub scope: Scope,
}

const fn row(name: &'static str, scope: Scope) -> Event {
    Event { name, scope }
}

/// Every event, in the order in which `hello-ok` lists them.
pub const EVENTS: &[Event] = &[
    row("connect.challenge", Scope::None),
    row("agent", READ),
    row("chat", READ),
    row("config.changed", READ),
    row("cron", READ),
    row("device.pair.requested", PAIRING),
    row("device.pair.resolved", PAIRING),
    row("device.pair.setup.completed", PAIRING),
    row("exec.approval.requested", APPROVALS),
    row("exec.approval.resolved", APPROVALS),
    row("health", READ),
    row("heartbeat", READ),
    row("node.hostStats", READ),
    row("node.invoke.request", Scope::Node),
    row("node.pair.requested", PAIRING),
    row("node.pair.resolved", PAIRING),
    row("presence", READ),
    row("session.message", READ),
    row("session.operation", READ),
    row("session.tool", READ),
    row("sessions.changed", READ),
    row("shutdown", Scope::None),
    row("tick", Scope::None),
    // Nodes hear these two as well, each by itself.
    row("voicewake.changed", READ),
    row("voicewake.routing.changed", READ),
];

/// What an event takes; one that has no row takes more than anybody has.
pub fn scope_of(name: &str) -> Option<Scope> {
    EVENTS.iter().find(|event| event.name == name).map(|event| event.scope)
}
