//! Setup codes: a token that an administrator hands to one new device.
//!
//! A code is good for one device within [`limits::SETUP_CODE_MS`], and for no more than its
//! profile says. It is used up before the device hears of it, so that a copy is worth nothing.

use super::Devices;
use crate::limits;
use crate::wire::hash::{constant_time_eq, hex, hex_decode, sha256};

/// How much a code hands over; `access` of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A node, and an operator with administration.
    Full,
    /// A node, and an operator without it.
    Limited,
    /// A node and nothing else.
    Node,
}

/// What a code lets its device become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Roles.
    pub roles: &'static [&'static str],
    /// Scopes of the operator's token, in the table's order.
    pub scopes: &'static [&'static str],
}

impl Access {
    /// The word of the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Limited => "limited",
            Self::Node => "node",
        }
    }

    pub(super) fn from_str(word: &str) -> Option<Self> {
        [Self::Full, Self::Limited, Self::Node].into_iter().find(|access| access.as_str() == word)
    }

    /// What it hands over (qr.md, "Setup code contents"); never pairing.
    pub fn profile(self) -> Profile {
        match self {
            Self::Full => Profile {
                roles: &["node", "operator"],
                scopes: &[
                    "operator.admin",
                    "operator.read",
                    "operator.write",
                    "operator.approvals",
                    "operator.talk.secrets",
                ],
            },
            Self::Limited => Profile {
                roles: &["node", "operator"],
                scopes: &[
                    "operator.read",
                    "operator.write",
                    "operator.approvals",
                    "operator.talk.secrets",
                ],
            },
            Self::Node => Profile { roles: &["node"], scopes: &[] },
        }
    }
}

/// A code that was not used yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Its public number.
    pub setup_id: String,
    /// Lower-case hex SHA-256 of the token in it.
    pub digest: String,
    /// What it hands over.
    pub access: Access,
    /// Until when, Unix milliseconds.
    pub expires_at_ms: u64,
}

/// What became of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupOutcome {
    /// Its public number.
    pub setup_id: String,
    /// The device that used it.
    pub device_id: String,
    /// What that device calls itself.
    pub device_name: Option<String>,
    /// What it was given.
    pub access: Access,
    /// When, Unix milliseconds.
    pub at_ms: u64,
}

impl Devices {
    /// Keeps a new code by the digest of its token. The oldest goes when there are too many:
    /// only administrators make them.
    pub fn add_setup(&mut self, setup_id: String, token: &str, access: Access, now_ms: u64) -> u64 {
        self.setups.retain(|setup| setup.expires_at_ms > now_ms);
        if self.setups.len() >= limits::SETUP_CODES {
            self.setups.remove(0);
        }
        let expires_at_ms = now_ms.saturating_add(limits::SETUP_CODE_MS);
        let digest = hex(&sha256(token.as_bytes()));
        self.setups.push(Setup { setup_id, digest, access, expires_at_ms });
        self.dirty[2] = true;
        expires_at_ms
    }

    /// The code that a token is, while it is good.
    pub fn setup(&self, token: &str, now_ms: u64) -> Option<&Setup> {
        let shown = sha256(token.as_bytes());
        let is = |setup: &&Setup| {
            let kept: Option<[u8; 32]> =
                hex_decode(&setup.digest).and_then(|bytes| bytes.try_into().ok());
            setup.expires_at_ms > now_ms && kept.is_some_and(|kept| constant_time_eq(&kept, &shown))
        };
        self.setups.iter().find(is)
    }

    /// Uses a code up.
    pub fn use_setup(&mut self, setup_id: &str) -> Option<Setup> {
        let at = self.setups.iter().position(|setup| setup.setup_id == setup_id)?;
        self.dirty[2] = true;
        Some(self.setups.remove(at))
    }

    /// Remembers what became of a code; the oldest is forgotten first.
    pub fn settle_setup(&mut self, outcome: SetupOutcome) {
        if self.outcomes.len() >= limits::SETUP_CODES {
            self.outcomes.remove(0);
        }
        self.outcomes.push(outcome);
    }

    /// What became of a code, as long as it is remembered.
    pub fn setup_outcome(&self, setup_id: &str) -> Option<&SetupOutcome> {
        self.outcomes.iter().rev().find(|outcome| outcome.setup_id == setup_id)
    }
}
