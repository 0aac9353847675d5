//! Paired devices: which keys may enter, as what, with which scopes, and by which tokens.
//!
//! ```text
//!   a key that proved itself --wants--> nothing: it is approved for this
//!                              |
//!                              +--> NotPaired | RoleUpgrade | ScopeUpgrade | MetadataUpgrade
//!                                        |
//!              silent (local, by the secret) or a setup code --> admit --> paired, a token
//!              anything else --> request --> pending --approve--> paired
//!                                               |--reject, 5 minutes, another wish--> gone
//! ```
//!
//! An approval holds for one key: a role, and the scopes that were approved. Tokens are kept as
//! SHA-256 digests only. Revoking a token withdraws the approval of its role: whoever comes
//! back is as new as on the first day.
//!
//! Documents in the state directory, in the reference's own shapes before it kept them in a
//! database (`devices/paired.json`, `devices/pending.json`, `devices/bootstrap.json`); a token
//! in clear that stands in such a document is kept as its digest.
//!
//! Bounds: [`limits::DEVICES`], [`limits::PAIRING_PENDING`], [`limits::SETUP_CODES`].

mod authority;
mod document;
mod setup;
mod tokens;

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;

pub use authority::{Approver, Refused, known};
pub use setup::{Access, Profile, Setup, SetupOutcome};
pub use tokens::{Issued, Verified};

use crate::limits;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Roles that a device may be approved for.
pub const ROLES: [&str; 2] = ["operator", "node"];

/// The role of that name, if it is one.
pub fn role(name: &str) -> Option<&'static str> {
    ROLES.into_iter().find(|role| *role == name)
}

/// What a device that proved its key says of itself and asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claim {
    /// `device.id`: lower-case hex SHA-256 of the key.
    pub device_id: String,
    /// The key, base64url.
    pub public_key: String,
    /// One of [`ROLES`].
    pub role: &'static str,
    /// Operator scopes that exist, of those asked; none for a node.
    pub scopes: Vec<&'static str>,
    /// `client.platform`, trimmed, in lower case.
    pub platform: String,
    /// `client.deviceFamily`, likewise; empty when absent.
    pub device_family: String,
    /// `client.id`.
    pub client_id: &'static str,
    /// `client.mode`.
    pub client_mode: &'static str,
    /// `client.displayName`, cut to [`limits::DEVICE_NAME`] characters.
    pub display_name: Option<String>,
    /// Where it came from.
    pub remote_ip: Option<String>,
}

/// Who approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Nobody was asked: a process of this machine that showed the shared secret.
    Silent,
    /// An operator.
    Owner,
    /// A setup code.
    Bootstrap,
    /// Nobody was asked: a new node from a network that the operator named.
    TrustedCidr,
}

impl Via {
    /// `approvedVia` of the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Owner => "owner",
            Self::Bootstrap => "bootstrap",
            Self::TrustedCidr => "trusted-cidr",
        }
    }

    fn from_str(word: &str) -> Option<Self> {
        let all = [Self::Silent, Self::Owner, Self::Bootstrap, Self::TrustedCidr];
        all.into_iter().find(|via| via.as_str() == word)
    }
}

/// A token of a device for one role; the token itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Lower-case hex SHA-256 of the token.
    pub digest: String,
    /// The token before the last change of scopes, until the new one is used: a device that
    /// has nothing else comes back with it and is told the new one. Digest likewise.
    pub previous: Option<String>,
    /// What it is good for; never more than the device is approved for.
    pub scopes: Vec<&'static str>,
    /// Counts every token ever made for this device and role, so that no two are the same.
    pub counter: u64,
    /// When the first one was made, Unix milliseconds.
    pub created_at_ms: u64,
    /// When the last one took its place.
    pub rotated_at_ms: Option<u64>,
    /// It admits nobody since then.
    pub revoked_at_ms: Option<u64>,
    /// When it was last shown.
    pub last_used_at_ms: Option<u64>,
}

impl Token {
    /// When this very token was made.
    pub fn issued_at_ms(&self) -> u64 {
        self.rotated_at_ms.unwrap_or(self.created_at_ms)
    }
}

/// A device that may enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paired {
    /// What it said of itself when it was approved last. `claim.role` is the role then,
    /// `claim.scopes` every operator scope it is approved for.
    pub claim: Claim,
    /// Roles that it is approved for.
    pub roles: Vec<&'static str>,
    /// The operator's own name for it.
    pub operator_label: Option<String>,
    /// Who approved it last.
    pub approved_via: Via,
    /// When it was paired first, Unix milliseconds.
    pub created_at_ms: u64,
    /// When it was approved last.
    pub approved_at_ms: u64,
    /// When it connected last.
    pub last_seen_at_ms: Option<u64>,
    /// By what: `connect` or `device-token-auth`.
    pub last_seen_reason: Option<&'static str>,
    /// By role.
    pub tokens: BTreeMap<&'static str, Token>,
}

/// A device that waits for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its number.
    pub request_id: String,
    /// What it asks.
    pub claim: Claim,
    /// It is paired already and asks for more.
    pub repair: bool,
    /// When it asked last, Unix milliseconds.
    pub at_ms: u64,
}

/// Why a device that proved its key may not enter just so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nobody approved it.
    NotPaired,
    /// It is approved, but not for this role.
    RoleUpgrade,
    /// It asks for scopes beyond its approval.
    ScopeUpgrade,
    /// Its platform or family is not what was approved.
    MetadataUpgrade,
}

impl Reason {
    /// `details.reason` of the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotPaired => "not-paired",
            Self::RoleUpgrade => "role-upgrade",
            Self::ScopeUpgrade => "scope-upgrade",
            Self::MetadataUpgrade => "metadata-upgrade",
        }
    }
}

/// The table is full; holds the name of its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full(pub &'static str);

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "too many devices (limit {}): see `openclaw devices list`, and remove or reject some",
            self.0
        )
    }
}

/// Devices as they stood before a change.
pub struct Checkpoint {
    paired: BTreeMap<String, Paired>,
    pending: Vec<Pending>,
}

/// All devices. Lives as long as the gateway; changes reach the disk by [`Devices::save`].
pub struct Devices {
    dir: PathBuf,
    paired: BTreeMap<String, Paired>,
    pending: Vec<Pending>,
    setups: Vec<Setup>,
    outcomes: Vec<SetupOutcome>,
    /// What tokens are derived from; see [`tokens`].
    key: Option<[u8; 32]>,
    /// Which documents differ from the disk: paired, pending, bootstrap.
    dirty: [bool; 3],
}

impl Devices {
    /// A device that may enter.
    pub fn paired(&self, id: &str) -> Option<&Paired> {
        self.paired.get(id)
    }

    /// Every device that may enter, by id.
    pub fn all(&self) -> impl Iterator<Item = &Paired> {
        self.paired.values()
    }

    /// Every device that waits, the newest last.
    pub fn waiting(&self) -> &[Pending] {
        &self.pending
    }

    /// One that waits.
    pub fn request_of(&self, request_id: &str) -> Option<&Pending> {
        self.pending.iter().find(|pending| pending.request_id == request_id)
    }

    /// Whether a device is approved for a role.
    pub fn approved(&self, id: &str, role: &str) -> bool {
        self.paired.get(id).is_some_and(|device| device.roles.contains(&role))
    }

    /// What keeps a claim from being admitted as it is; `None` when it is approved.
    pub fn wants(&self, claim: &Claim) -> Option<Reason> {
        let Some(device) = self.paired.get(&claim.device_id) else {
            return Some(Reason::NotPaired);
        };
        if device.claim.public_key != claim.public_key {
            return Some(Reason::NotPaired);
        }
        if !device.roles.contains(&claim.role) {
            // Nothing is left of an approval whose every role was revoked.
            let none = device.roles.is_empty();
            return Some(if none { Reason::NotPaired } else { Reason::RoleUpgrade });
        }
        if !authority::covers(&device.claim.scopes, &claim.scopes) {
            return Some(Reason::ScopeUpgrade);
        }
        let pinned = &device.claim;
        let moved = pinned.platform != claim.platform
            || !pinned.device_family.is_empty() && pinned.device_family != claim.device_family;
        moved.then_some(Reason::MetadataUpgrade)
    }

    /// Puts a claim among those that wait, under the number `id` unless the same claim waits
    /// already. Returns its number and whether it is new.
    ///
    /// # Errors
    /// When as many wait as may.
    pub fn request(
        &mut self,
        claim: Claim,
        id: String,
        now_ms: u64,
    ) -> Result<(String, bool), Full> {
        self.expire(now_ms);
        let same = |pending: &Pending| {
            pending.claim.device_id == claim.device_id && pending.claim.role == claim.role
        };
        if let Some(at) = self.pending.iter().position(same) {
            let Some(known) = self.pending.get_mut(at) else { return Err(Full("pairing")) };
            if known.claim == claim {
                known.at_ms = now_ms;
                return Ok((known.request_id.clone(), false));
            }
            self.pending.remove(at);
        }
        if self.pending.len() >= limits::PAIRING_PENDING {
            return Err(Full("PAIRING_PENDING"));
        }
        let repair = self.paired.contains_key(&claim.device_id);
        self.pending.push(Pending { request_id: id.clone(), claim, repair, at_ms: now_ms });
        self.dirty[1] = true;
        Ok((id, true))
    }

    /// Lets a claim in: adds its role and scopes to what the device is approved for. A token
    /// that it has for that role is replaced by one with those scopes.
    ///
    /// # Errors
    /// When there is no room for another device.
    pub fn admit(&mut self, claim: &Claim, via: Via, now_ms: u64) -> Result<(), Full> {
        debug_assert!(ROLES.contains(&claim.role));
        debug_assert!(claim.role == "operator" || claim.scopes.is_empty());
        if !self.paired.contains_key(&claim.device_id) && self.paired.len() >= limits::DEVICES {
            return Err(Full("DEVICES"));
        }
        self.dirty[0] = true;
        let kept = self.paired.remove(&claim.device_id);
        let mut device = match kept.filter(|kept| kept.claim.public_key == claim.public_key) {
            Some(device) => device,
            None => Paired {
                claim: Claim { scopes: Vec::new(), ..claim.clone() },
                roles: Vec::new(),
                operator_label: None,
                approved_via: via,
                created_at_ms: now_ms,
                approved_at_ms: now_ms,
                last_seen_at_ms: None,
                last_seen_reason: None,
                tokens: BTreeMap::new(),
            },
        };
        let scopes = authority::union(&device.claim.scopes, &claim.scopes);
        if !device.roles.contains(&claim.role) {
            device.roles.push(claim.role);
        }
        device.claim = Claim { scopes, ..claim.clone() };
        device.approved_via = via;
        device.approved_at_ms = now_ms;
        self.paired.insert(claim.device_id.clone(), device);
        self.widen(&claim.device_id, claim.role, &claim.scopes, now_ms);
        self.forget_requests(&claim.device_id, Some(claim));
        Ok(())
    }

    /// Takes the claim's platform and family for the approved ones.
    pub fn refresh(&mut self, claim: &Claim) {
        if let Some(device) = self.paired.get_mut(&claim.device_id) {
            device.claim.platform.clone_from(&claim.platform);
            device.claim.device_family.clone_from(&claim.device_family);
            self.dirty[0] = true;
        }
    }

    /// A device connected.
    pub fn seen(&mut self, id: &str, role: &str, by_token: bool, now_ms: u64) {
        if let Some(device) = self.paired.get_mut(id) {
            device.last_seen_at_ms = Some(now_ms);
            device.last_seen_reason = Some(if by_token { "device-token-auth" } else { "connect" });
            if by_token && let Some(token) = device.tokens.get_mut(role) {
                token.last_used_at_ms = Some(now_ms);
            }
            self.dirty[0] = true;
        }
    }

    /// Forgets a device, its tokens and what it waits for. False when there was none.
    pub fn remove(&mut self, id: &str) -> bool {
        let known = self.paired.remove(id).is_some();
        self.dirty[0] |= known;
        self.forget_requests(id, None);
        known
    }

    /// Withdraws one role of a device with its token; without a role left the device goes.
    /// False when it did not have that role.
    pub fn drop_role(&mut self, id: &str, role: &str) -> bool {
        let Some(device) = self.paired.get_mut(id) else { return false };
        let had = device.roles.contains(&role);
        device.roles.retain(|has| *has != role);
        device.tokens.remove(role);
        if role == "operator" {
            device.claim.scopes.clear();
        }
        if device.roles.is_empty() {
            self.paired.remove(id);
        } else if let Some(first) = device.roles.first() {
            device.claim.role = first;
        }
        self.dirty[0] |= had;
        had
    }

    /// Sets the operator's own name for a device. False when there is none.
    pub fn rename(&mut self, id: &str, label: &str) -> bool {
        let Some(device) = self.paired.get_mut(id) else { return false };
        device.operator_label = Some(label.to_owned());
        self.dirty[0] = true;
        true
    }

    /// Takes a request off the list.
    pub fn take_request(&mut self, request_id: &str) -> Option<Pending> {
        let at = self.pending.iter().position(|pending| pending.request_id == request_id)?;
        self.dirty[1] = true;
        Some(self.pending.remove(at))
    }

    /// Drops what waited too long. Returns the numbers of those requests.
    pub fn expire(&mut self, now_ms: u64) -> Vec<String> {
        let late =
            |pending: &Pending| now_ms.saturating_sub(pending.at_ms) >= limits::PAIRING_PENDING_MS;
        let gone: Vec<String> =
            self.pending.iter().filter(|p| late(p)).map(|p| p.request_id.clone()).collect();
        if !gone.is_empty() {
            self.pending.retain(|pending| !late(pending));
            self.dirty[1] = true;
        }
        gone
    }

    /// Earlier devices of the same local client that nobody uses: a client whose home is
    /// thrown away brings a new key with every run, and each was approved silently. Returns
    /// their ids; the caller removes them. Only devices whose last approval was silent, and
    /// none of the last minute, whose connection may not be counted yet.
    pub fn superseded(
        &self,
        claim: &Claim,
        now_ms: u64,
        connected: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let alike = |device: &&Paired| {
            device.approved_via == Via::Silent
                && device.claim.device_id != claim.device_id
                && device.claim.client_id == claim.client_id
                && device.claim.client_mode == claim.client_mode
                && device.claim.display_name == claim.display_name
                && now_ms.saturating_sub(device.approved_at_ms) > limits::SUPERSEDE_MS
                && device.operator_label.is_none()
                && !connected(&device.claim.device_id)
        };
        self.paired.values().filter(alike).map(|device| device.claim.device_id.clone()).collect()
    }

    /// Requests of a device that an approval has settled; all of them without a claim.
    fn forget_requests(&mut self, id: &str, settled: Option<&Claim>) {
        let before = self.pending.len();
        self.pending.retain(|pending| {
            let covered = settled.is_none_or(|claim| {
                claim.role == pending.claim.role
                    && authority::covers(&claim.scopes, &pending.claim.scopes)
            });
            pending.claim.device_id != id || !covered
        });
        self.dirty[1] |= self.pending.len() != before;
    }

    /// What stands now, to go back to when the disk refuses an approval.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { paired: self.paired.clone(), pending: self.pending.clone() }
    }

    /// Goes back.
    pub fn restore(&mut self, to: Checkpoint) {
        self.paired = to.paired;
        self.pending = to.pending;
        self.dirty[0] = true;
        self.dirty[1] = true;
    }

    /// What must always hold; tests ask after every step.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        assert!(self.paired.len() <= limits::DEVICES);
        assert!(self.pending.len() <= limits::PAIRING_PENDING);
        assert!(self.setups.len() <= limits::SETUP_CODES);
        for (id, device) in &self.paired {
            assert_eq!(id, &device.claim.device_id);
            for (role, token) in &device.tokens {
                let live = token.revoked_at_ms.is_none();
                assert!(!live || device.roles.contains(role), "a live token without its role");
                assert!(*role == "operator" || token.scopes.is_empty());
                assert!(
                    !live || authority::covers(&device.claim.scopes, &token.scopes),
                    "a token beyond its approval"
                );
            }
        }
    }
}
