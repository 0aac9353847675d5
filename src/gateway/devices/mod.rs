//! Paired devices behind the port: who is let in at the handshake, their methods and events.
//!
//! ```text
//!   device proved its key, caller proved itself (connect::prove)
//!      --> settle: approved? silent? a setup code? --> Issued, for hello-ok
//!                     | no
//!                     v
//!          NOT_PAIRED, PAIRING_REQUIRED; event device.pair.requested
//! ```
//!
//! What is decided here reaches the disk in the same turn. A device or token that is revoked
//! takes its live sockets with it, in that turn too.

mod code;
mod identity;
mod rpc;
mod settle;
mod show;

pub(super) use identity::OwnIdentity;
pub(super) use settle::bad_setup;

use super::Gateway;
use super::conn::State;
use crate::auth::devices::{Approver, Claim, Issued};
use crate::auth::identity::Proof;
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::close;

/// What a device is told in `hello-ok.auth`.
#[derive(Debug, Default)]
pub(super) struct Granted {
    /// Its token for this role.
    pub(super) own: Option<Issued>,
    /// Further tokens that a setup code hands over.
    pub(super) further: Vec<Issued>,
}

/// Somebody waits for the end of a scope upgrade.
pub(super) struct Upgrade {
    /// Who.
    pub(super) conn: ConnId,
    /// The request to answer.
    request: String,
    /// The pairing request that it waits for.
    request_id: String,
    /// Its device.
    device: String,
}

impl Gateway {
    /// Whether a device has a connection.
    pub(super) fn device_connected(&self, id: &str) -> bool {
        self.conns.all().any(|(_, conn)| {
            matches!(&conn.state, State::Client(client) if client.device.as_deref() == Some(id))
        })
    }

    /// Closes every connection of a device, or those of one role.
    pub(super) fn close_device(
        &mut self,
        id: &str,
        role: Option<&str>,
        why: &str,
        fx: &mut Effects,
    ) {
        let its = |state: &State| match state {
            State::Client(client) => {
                client.device.as_deref() == Some(id)
                    && role.is_none_or(|role| client.role.as_str() == role)
            }
            _ => false,
        };
        let conns: Vec<ConnId> =
            self.conns.all().filter(|(_, conn)| its(&conn.state)).map(|(id, _)| id).collect();
        for conn in conns {
            self.close_socket(conn, close::POLICY, why, fx);
        }
    }

    /// Who a connection is when it asks to change devices.
    pub(super) fn approver(&self, id: ConnId) -> Approver {
        let Some(client) = self.conns.client(id) else {
            return Approver { scopes: Vec::new(), token_of: Some(String::new()) };
        };
        let token_of = match &client.proof {
            Proof::Device { id, .. } | Proof::Setup { id } => Some(id.clone()),
            Proof::Open | Proof::Secret | Proof::Proxy { .. } => None,
        };
        Approver { scopes: client.scopes.clone(), token_of }
    }

    /// The token of an approved device; `shown` is what it came with.
    fn device_token(
        &mut self,
        id: &str,
        role: &'static str,
        shown: Option<&str>,
    ) -> Option<Issued> {
        if !self.devices.has_key() {
            let mut random = [0; 32];
            self.entropy.fill(&mut random);
            self.devices.make_key(self.disk.as_mut(), random);
        }
        self.devices.token(id, role, shown, self.now.wall_ms)
    }

    /// Writes what changed. A disk that refuses is asked again later; what was revoked is
    /// revoked meanwhile, and what was approved silently is approved again.
    pub(super) fn save_devices(&mut self) -> std::io::Result<()> {
        let saved = self.devices.save(self.disk.as_mut());
        self.forget_unpaired_nodes();
        if let Err(error) = &saved {
            log::error!(target: "devices", "devices were not written, and will be tried again: \
                {error}");
            self.save_soon();
        }
        saved
    }

    /// Removes earlier devices of the same local client that nobody uses.
    fn retire_superseded(&mut self, claim: &Claim) {
        let connected = |id: &str| self.device_connected(id);
        let old = self.devices.superseded(claim, self.now.wall_ms, connected);
        for id in old {
            log::info!(target: "devices", "device {id} was replaced by {}", claim.device_id);
            self.devices.remove(&id);
        }
    }
}

/// A device's name as it is kept: cut, without control characters; nothing when blank.
pub(super) fn name_of(text: &str) -> Option<String> {
    let shown = text.trim().chars().filter(|c| !c.is_control()).take(limits::DEVICE_NAME);
    Some(shown.collect::<String>()).filter(|name| !name.is_empty())
}
