//! Nodes: what each device may offer as a node, and what waits for an operator's yes.
//!
//! ```text
//!   connect (claims) --> covered by what was approved? --yes--> usable, pending cleared
//!                                    \--no--> pending --approve--> approved = what was asked
//!                                                \--reject, remove--> gone
//!   usable command = declared now  AND  approved for this node  AND  [policy] permits
//! ```
//!
//! A claim never widens: what a connection declares is looked at anew at every use. Requests do
//! not expire; a changed surface takes the place of the older request. The room is pure: it
//! reads and writes a [`Value`], `gateway::nodes` keeps it on the disk (0600).

pub mod policy;

use crate::config::NodePolicy;
use crate::limits;
use policy::{Platform, approve_scopes, permits};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a connection says of itself: claims, bounded and without control characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// `client` fields as on the wire, such as `displayName`, `platform`, `version`.
    pub about: BTreeMap<String, String>,
    /// Capabilities, in the order declared, each once.
    pub caps: Vec<String>,
    /// Commands, in the order declared, each once.
    pub commands: Vec<String>,
    /// Permissions of the operating system by name.
    pub permissions: BTreeMap<String, bool>,
}

/// What of `connect.client` is kept, by its name there and its name in lists.
const ABOUT: [(&str, &str); 7] = [
    ("id", "clientId"),
    ("mode", "clientMode"),
    ("displayName", "displayName"),
    ("platform", "platform"),
    ("version", "version"),
    ("deviceFamily", "deviceFamily"),
    ("modelIdentifier", "modelIdentifier"),
];

impl Claims {
    /// Of the parameters of `connect`. What goes beyond a bound is left out: a claim only gets
    /// narrower.
    pub fn of(params: &Map<String, Value>) -> Self {
        let client = params.get("client");
        let about = ABOUT.into_iter().filter_map(|(name, kept)| {
            let text = plain(client?.get(name)?.as_str()?)?;
            Some((kept.to_owned(), text))
        });
        let permissions = params.get("permissions").and_then(Value::as_object);
        let permissions = permissions.into_iter().flatten();
        let permissions =
            permissions.filter_map(|(name, value)| Some((plain(name)?, value.as_bool()?)));
        Self {
            about: about.collect(),
            caps: words(params.get("caps"), limits::NODE_CAPS),
            commands: words(params.get("commands"), limits::NODE_COMMANDS),
            permissions: permissions.take(limits::NODE_CAPS).collect(),
        }
    }

    /// The platform as claimed.
    pub fn platform(&self) -> &str {
        self.about.get("platform").map(String::as_str).unwrap_or_default()
    }

    /// Whether it declares a command that the policy permits.
    pub fn offers(&self, config: &NodePolicy, command: &str) -> bool {
        self.commands.iter().any(|declared| declared == command)
            && permits(config, Platform::of(self.platform()), &self.caps, &self.commands, command)
    }

    fn permitted(&self, config: &NodePolicy) -> Vec<String> {
        let offered = self.commands.iter().filter(|command| self.offers(config, command));
        offered.cloned().collect()
    }
}

fn words(list: Option<&Value>, max: usize) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for word in list.and_then(Value::as_array).into_iter().flatten() {
        if let Some(word) = word.as_str().and_then(plain)
            && kept.len() < max
            && !kept.contains(&word)
        {
            kept.push(word);
        }
    }
    kept
}

/// A short text without control characters; none is left of others.
fn plain(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty() && text.len() <= limits::NODE_WORD;
    (fits && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// A surface that an operator approved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approved {
    /// Capabilities.
    pub caps: Vec<String>,
    /// Commands, in the order of the request.
    pub commands: Vec<String>,
    /// Permissions that were granted on the device.
    pub permissions: BTreeMap<String, bool>,
    /// When the first surface of this node was approved.
    pub created_ms: u64,
    /// When this one was.
    pub approved_ms: u64,
}

/// A surface that waits for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// `requestId`.
    pub id: String,
    /// What was declared, commands cut down to those the policy permits.
    pub asked: Claims,
    /// The device was paired without a question.
    pub silent: bool,
    /// When it was asked.
    pub at_ms: u64,
}

/// One node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// What it said of itself when it connected last.
    pub about: BTreeMap<String, String>,
    /// The name an operator gave it.
    pub label: Option<String>,
    /// What it may offer.
    pub approved: Option<Approved>,
    /// What it would like to.
    pub pending: Option<Pending>,
    /// When it was first seen.
    pub first_seen_ms: u64,
    /// When it connected last.
    pub connected_ms: u64,
    /// When it was heard of last, and by what.
    pub seen_ms: u64,
    /// `lastSeenReason`.
    pub seen_by: String,
    /// The latest `node.host.stats`, checked.
    pub stats: Option<Value>,
}

impl Node {
    /// The name that is shown: the operator's, else its own.
    pub fn name(&self) -> Option<&str> {
        self.label.as_deref().or_else(|| self.about.get("displayName").map(String::as_str))
    }

    /// Whether a command of a connection may be used now.
    pub fn may(&self, config: &NodePolicy, claims: &Claims, command: &str) -> bool {
        let approved = self.approved.as_ref();
        approved.is_some_and(|approved| approved.commands.iter().any(|it| it == command))
            && claims.offers(config, command)
    }

    fn covers(&self, asked: &Claims) -> bool {
        let Some(approved) = &self.approved else { return false };
        let granted = |name: &String| approved.permissions.get(name) == Some(&true);
        asked.commands.iter().all(|command| approved.commands.contains(command))
            && asked.caps.iter().all(|cap| approved.caps.contains(cap))
            && asked.permissions.iter().all(|(name, on)| !on || granted(name))
    }
}

/// How a connect asks.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// The id of the request, should there be a new one.
    pub request: &'a str,
    /// The device was paired without a question.
    pub silent: bool,
    /// Now.
    pub now_ms: u64,
}

/// What a connect did to the requests of its node.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// A new request waits.
    pub requested: bool,
    /// An older request is gone, and why: `superseded` or `cleared`.
    pub resolved: Option<(String, &'static str)>,
    /// Nodes are known up to the limit, and this is one more: it may connect, not offer.
    pub full: bool,
}

/// All nodes by id, which is the device's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    nodes: BTreeMap<String, Node>,
}

impl Registry {
    /// A node.
    pub fn get(&self, id: &str) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// A node, to note what was heard of it.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut Node> {
        self.nodes.get_mut(id)
    }

    /// Every node, by id.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(id, node)| (id.as_str(), node))
    }

    /// The node of a request that waits.
    pub fn asking(&self, request: &str) -> Option<(&str, &Node, &Pending)> {
        self.all().find_map(|(id, node)| {
            let pending = node.pending.as_ref().filter(|pending| pending.id == request)?;
            Some((id, node, pending))
        })
    }

    /// A node connected. `online` tells of nodes that are connected, which are never forgotten to
    /// make room.
    pub fn arrived(
        &mut self,
        id: &str,
        claims: &Claims,
        config: &NodePolicy,
        asking: Asking<'_>,
        online: impl Fn(&str) -> bool,
    ) -> Arrival {
        let Asking { request, silent, now_ms } = asking;
        if !self.nodes.contains_key(id) && !self.make_room(online) {
            return Arrival { full: true, ..Arrival::default() };
        }
        let node = self.nodes.entry(id.to_owned()).or_default();
        if node.first_seen_ms == 0 {
            node.first_seen_ms = now_ms;
        }
        node.about.clone_from(&claims.about);
        (node.connected_ms, node.seen_ms) = (now_ms, now_ms);
        node.seen_by = "connect".to_owned();
        let asked = Claims { commands: claims.permitted(config), ..claims.clone() };
        if node.covers(&asked) {
            let resolved = node.pending.take().map(|old| (old.id, "cleared"));
            return Arrival { resolved, ..Arrival::default() };
        }
        if let Some(old) = &mut node.pending
            && same_surface(&old.asked, &asked)
        {
            old.asked = asked;
            return Arrival::default();
        }
        let new = Pending { id: request.to_owned(), asked, silent, at_ms: now_ms };
        let resolved = node.pending.replace(new).map(|old| (old.id, "superseded"));
        Arrival { requested: true, resolved, full: false }
    }

    /// Forgets the node that was away longest among those nobody ever approved.
    fn make_room(&mut self, online: impl Fn(&str) -> bool) -> bool {
        if self.nodes.len() < limits::NODES {
            return true;
        }
        let strangers =
            self.nodes.iter().filter(|(id, node)| node.approved.is_none() && !online(id));
        let oldest = strangers.min_by_key(|(_, node)| node.seen_ms).map(|(id, _)| id.clone());
        oldest.is_some_and(|id| self.nodes.remove(&id).is_some())
    }

    /// Approves a request: the surface is what was asked. `None` when no such request waits.
    pub fn approve(&mut self, request: &str, now_ms: u64) -> Option<String> {
        let id = self.asking(request)?.0.to_owned();
        let node = self.nodes.get_mut(&id)?;
        let Pending { asked, .. } = node.pending.take()?;
        let created_ms = node.approved.as_ref().map_or(now_ms, |old| old.created_ms);
        node.approved = Some(Approved {
            caps: asked.caps,
            commands: asked.commands,
            permissions: asked.permissions,
            created_ms,
            approved_ms: now_ms,
        });
        Some(id)
    }

    /// Rejects a request; what was approved before stays.
    pub fn reject(&mut self, request: &str) -> Option<String> {
        let id = self.asking(request)?.0.to_owned();
        self.nodes.get_mut(&id)?.pending = None;
        Some(id)
    }

    /// Forgets every node whose device may no longer be one. True when there was one.
    pub fn retain(&mut self, paired: impl Fn(&str) -> bool) -> bool {
        let before = self.nodes.len();
        self.nodes.retain(|id, _| paired(id));
        self.nodes.len() != before
    }

    /// Gives a node a name.
    pub fn rename(&mut self, id: &str, label: &str) -> bool {
        let node = self.nodes.get_mut(id);
        node.map(|node| node.label = Some(label.to_owned())).is_some()
    }
}

/// Whether two requests are for the same: order does not matter.
fn same_surface(a: &Claims, b: &Claims) -> bool {
    let same =
        |a: &[String], b: &[String]| a.len() == b.len() && a.iter().all(|word| b.contains(word));
    same(&a.caps, &b.caps) && same(&a.commands, &b.commands) && a.permissions == b.permissions
}

impl Pending {
    /// As in `node.pair.list` and `node.pair.requested`.
    pub fn to_value(&self, node: &str) -> Value {
        let mut row = Map::new();
        row.insert("requestId".to_owned(), json!(self.id));
        row.insert("nodeId".to_owned(), json!(node));
        for (name, text) in &self.asked.about {
            row.insert(name.clone(), json!(text));
        }
        row.insert("caps".to_owned(), json!(self.asked.caps));
        row.insert("commands".to_owned(), json!(self.asked.commands));
        row.insert("requiredApproveScopes".to_owned(), json!(self.scopes()));
        if !self.asked.permissions.is_empty() {
            row.insert("permissions".to_owned(), json!(self.asked.permissions));
        }
        row.insert("silent".to_owned(), json!(self.silent));
        row.insert("ts".to_owned(), json!(self.at_ms));
        Value::Object(row)
    }

    /// What it takes to approve it.
    pub fn scopes(&self) -> &'static [&'static str] {
        approve_scopes(&self.asked.commands)
    }
}

mod document;

#[cfg(test)]
#[path = "nodes_tests.rs"]
mod tests;
