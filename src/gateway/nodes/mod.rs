//! Nodes: devices that offer commands to operators.
//!
//! ```text
//!   connect as node --> [arrive] --> registry: approved surface? else node.pair.requested
//!   node.invoke --> [invoke] may it? --> node.invoke.request to the node's newest connection
//!                     ^                     |--> node.invoke.result, its time, the node leaves
//!   node.pair.*, node.list --> [pair]       +--> the caller's response
//!   node.event --> [event]     node.pending.* --> [queue]     voicewake.* --> [voicewake]
//! ```
//!
//! The registry ([`crate::auth::nodes`]) is kept in `nodes.json` of the state directory, 0600.
//! What an operator decides is on the disk before it is acknowledged; what was merely seen
//! (names, times) follows within a second.

mod event;
mod invoke;
mod pair;
mod queue;
mod run;
mod show;
mod voicewake;

use super::Gateway;
use super::broadcast::To;
use super::conn::Role;
use super::timers::Armed;
use crate::auth::devices::Via;
use crate::auth::identity::Proof;
use crate::auth::nodes::{Asking, Claims, Registry};
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::protocol::frame::{write_event, write_json};
use crate::store::Disk;
use crate::wire::ws;
pub(super) use run::Binding;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The registry's file name.
const FILE: &str = "nodes.json";

/// A node that is connected; of several connections the newest.
struct Live {
    conn: ConnId,
    claims: Claims,
    since_ms: u64,
    /// Its address, unless it is on this machine.
    ip: Option<std::net::IpAddr>,
    /// When a `node.presence.alive` was kept last.
    alive_ms: u64,
}

/// Everything about nodes.
#[derive(Default)]
pub(super) struct Nodes {
    registry: Registry,
    live: BTreeMap<String, Live>,
    invokes: BTreeMap<String, invoke::Invoke>,
    armed: Armed,
    queues: BTreeMap<String, queue::Queue>,
    wake: voicewake::Wake,
    dirty: bool,
}

impl Nodes {
    /// What the state directory holds.
    ///
    /// # Errors
    /// When a file is there and cannot be read. A damaged one is put aside and the nodes must be
    /// approved anew.
    pub(super) fn open(disk: &mut dyn Disk, state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(FILE);
        let registry = read(disk, &path, limits::NODES_FILE, Registry::from_value)?;
        let wake = voicewake::Wake::open(disk, state_dir)?;
        Ok(Self { registry: registry.unwrap_or_default(), wake, ..Self::default() })
    }

    /// True when something waits to be written.
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Notes what was merely seen, if there is something.
    pub(super) fn save(&mut self, disk: &mut dyn Disk, state_dir: &Path) {
        if self.dirty
            && let Err(error) = keep(disk, state_dir, &self.registry)
        {
            log::error!(target: "nodes", "{}: {error}", state_dir.join(FILE).display());
        } else {
            self.dirty = false;
        }
    }
}

fn keep(disk: &mut dyn Disk, state_dir: &Path, registry: &Registry) -> io::Result<()> {
    let mut text = Vec::new();
    write_json(&mut text, &registry.to_value());
    if text.len() > limits::NODES_FILE {
        return Err(io::Error::other(format!("longer than {} bytes", limits::NODES_FILE)));
    }
    disk.replace(&state_dir.join(FILE), &text)
}

/// A JSON document that may not be there. One that cannot be used is moved aside.
fn read<T>(
    disk: &mut dyn Disk,
    path: &Path,
    max: usize,
    of: impl FnOnce(&Value) -> Result<T, &'static str>,
) -> io::Result<Option<T>> {
    let text = match disk.read_at(path, 0, max + 1) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
        }
    };
    let value = if text.len() > max { None } else { serde_json::from_slice(&text).ok() };
    match value.as_ref().map_or(Err("it is not JSON of a bounded size"), of) {
        Ok(it) => Ok(Some(it)),
        Err(why) => {
            let mut aside = path.as_os_str().to_owned();
            aside.push(".damaged");
            let aside = PathBuf::from(aside);
            log::error!(target: "nodes", "{}: {why}; it is now {}, and nodes must be approved \
                again: openclaw nodes pending", path.display(), aside.display());
            disk.rename(path, &aside)?;
            Ok(None)
        }
    }
}

impl Gateway {
    /// A node has connected and heard hello.
    pub(super) fn node_arrived(
        &mut self,
        id: ConnId,
        params: &Map<String, Value>,
        fx: &mut Effects,
    ) {
        let Some(node) = self.conns.client(id).and_then(|client| client.device.clone()) else {
            return;
        };
        for (event, payload) in self.nodes.wake.events() {
            self.tell(id, event, &payload, fx);
        }
        let claims = Claims::of(params);
        let request = self.uuid();
        let silent =
            self.devices.paired(&node).is_some_and(|device| device.approved_via == Via::Silent);
        let by_setup =
            self.conns.client(id).is_some_and(|client| matches!(client.proof, Proof::Setup { .. }));
        let live = &self.nodes.live;
        let now_ms = self.now.wall_ms;
        let asking = Asking { request: &request, silent, now_ms };
        let nodes = &self.config.gateway.nodes;
        let arrival =
            self.nodes.registry.arrived(&node, &claims, nodes, asking, |id| live.contains_key(id));
        if arrival.full {
            log::warn!(target: "nodes", "{node} may offer nothing: {} nodes are known; remove one \
                with openclaw nodes remove", limits::NODES);
        }
        let ip = self.conns.get(id).map(|conn| conn.peer.ip().to_canonical());
        let ip = ip.filter(|ip| !crate::auth::is_loopback(*ip));
        let new = Live { conn: id, claims, since_ms: now_ms, ip, alive_ms: 0 };
        self.nodes.live.insert(node.clone(), new);
        self.node_changed();
        if let Some((request, why)) = arrival.resolved {
            self.node_resolved(&request, &node, why, fx);
        }
        let first = self.nodes.registry.get(&node).is_some_and(|known| known.approved.is_none());
        if arrival.requested && by_setup && first {
            return self.approve_enrolled(&request, &node);
        }
        if arrival.requested
            && let Some(pending) = self.nodes.registry.get(&node).and_then(|it| it.pending.as_ref())
        {
            let payload = pending.to_value(&node);
            log::info!(target: "nodes", "{node} asks to offer commands: openclaw nodes approve {}",
                pending.id);
            self.broadcast("node.pair.requested", To::All, fx, &|_| Some(payload.clone()));
        }
    }

    /// A setup code is an administrator's word for the device and for what it offers first
    /// (docs/gateway/pairing.md); a later, wider surface asks like any other.
    fn approve_enrolled(&mut self, request: &str, node: &str) {
        let now_ms = self.now.wall_ms;
        match self.decide(|registry| registry.approve(request, now_ms), "no such request") {
            Ok(_) => log::info!(target: "nodes", "{node} was approved by its setup code"),
            Err(error) => log::error!(target: "nodes", "{node}: {}; approve it by hand: openclaw \
                nodes pending", error.message),
        }
    }

    /// A device that lost its role as a node has no surface left, so that none comes back when
    /// it is paired anew. Called whenever devices change, and at the start.
    pub(super) fn forget_unpaired_nodes(&mut self) {
        let devices = &self.devices;
        if !self.nodes.registry.retain(|id| devices.approved(id, "node")) {
            return;
        }
        let registry = &self.nodes.registry;
        self.nodes.queues.retain(|id, _| registry.get(id).is_some());
        self.nodes.dirty = true;
        self.nodes.save(self.disk.as_mut(), &self.state_dir);
        if self.nodes.dirty {
            self.save_soon();
        }
    }

    /// A node's connection is gone.
    pub(super) fn node_left(&mut self, id: ConnId, node: &str, fx: &mut Effects) {
        if self.nodes.live.get(node).is_some_and(|live| live.conn == id) {
            self.nodes.live.remove(node);
        }
        self.invokes_lost(id, fx);
    }

    /// Something that was merely seen is written soon.
    fn node_changed(&mut self) {
        self.nodes.dirty = true;
        self.save_soon();
    }

    /// Changes the registry as an operator decided: all of it and on the disk, or nothing.
    fn decide<T>(
        &mut self,
        change: impl FnOnce(&mut Registry) -> Option<T>,
        unknown: &str,
    ) -> Result<T, ErrorShape> {
        let mut registry = self.nodes.registry.clone();
        let made = change(&mut registry).ok_or_else(|| ErrorShape::invalid(unknown))?;
        keep(self.disk.as_mut(), &self.state_dir, &registry).map_err(|error| {
            let path = self.state_dir.join(FILE);
            ErrorShape::unavailable(format!("{} was not written: {error}", path.display()))
        })?;
        self.nodes.registry = registry;
        self.nodes.dirty = false;
        Ok(made)
    }

    /// A request is over: approvers and the node hear of it.
    fn node_resolved(&mut self, request: &str, node: &str, decision: &str, fx: &mut Effects) {
        let payload = json!({
            "requestId": request, "nodeId": node, "decision": decision, "ts": self.now.wall_ms,
        });
        self.broadcast("node.pair.resolved", To::All, fx, &|_| Some(payload.clone()));
        if let Some(live) = self.nodes.live.get(node) {
            self.tell(live.conn, "node.pair.resolved", &payload, fx);
        }
    }

    /// An event for one client alone, without a number, as the reference sends them to nodes.
    fn tell(&mut self, id: ConnId, event: &str, payload: &Value, fx: &mut Effects) {
        if self.conns.client(id).is_none() {
            return;
        }
        let mut text = Vec::with_capacity(256);
        write_json(&mut text, payload);
        self.send(id, fx, |out| {
            let mut frame = Vec::with_capacity(text.len() + 96);
            write_event(&mut frame, event, &text, None, None);
            ws::text(out, &frame);
        });
        self.check_slow(id, fx);
    }

    /// The node that a connection speaks for.
    fn node_of(&self, id: ConnId) -> Option<&str> {
        let client = self.conns.client(id).filter(|client| client.role == Role::Node)?;
        client.device.as_deref()
    }

    /// Closes every connection of a device as a node.
    fn close_node(&mut self, node: &str, fx: &mut Effects) {
        let mut gone = Vec::new();
        self.conns.each_client(|id, conn| {
            if let super::conn::State::Client(client) = &conn.state
                && client.role == Role::Node
                && client.device.as_deref() == Some(node)
            {
                gone.push(id);
            }
        });
        for id in gone {
            self.close_socket(id, crate::protocol::close::DEVICE_REMOVED, "device removed", fx);
        }
    }
}
