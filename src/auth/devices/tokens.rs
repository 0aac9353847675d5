//! Tokens of devices: made, checked, replaced, revoked.
//!
//! A device that comes back with the shared secret is told the same token again (FACTS.md
//! section 2.2), and yet no token is kept: it is HMAC-SHA-256 over device, role, a counter and
//! the time, under a random key of this gateway in a 0600 file of its own
//! (`devices/token-key`). What is kept and compared, in constant time, is its SHA-256 digest; so
//! a document of devices that leaks admits nobody, and a lost key only means that the next
//! connect makes a new token.

use super::authority::{Approver, Refused, covers, union};
use super::{Devices, Token};
use crate::wire::hash::{
    base64_url_no_pad, constant_time_eq, hex, hex_decode, hmac_sha256, sha256,
};

/// A token as it is handed out.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// 43 characters of base64url; a secret.
    pub token: String,
    /// Its role.
    pub role: &'static str,
    /// What it is good for.
    pub scopes: Vec<&'static str>,
    /// When it was made, Unix milliseconds.
    pub issued_at_ms: u64,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Issued({} ***)", self.role)
    }
}

/// What a presented token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// The device's own, for this role.
    Yes,
    /// None of this device and role, or a revoked one.
    No,
    /// Its own, but not good for all that is asked.
    Scopes,
}

fn digest_of(token: &str) -> String {
    hex(&sha256(token.as_bytes()))
}

fn is(digest: &str, token: &str) -> bool {
    let kept: Option<[u8; 32]> = hex_decode(digest).and_then(|bytes| bytes.try_into().ok());
    kept.is_some_and(|kept| constant_time_eq(&kept, &sha256(token.as_bytes())))
}

/// The time is in it so that a device which is removed and paired again has another token.
fn derive(key: &[u8; 32], id: &str, role: &str, counter: u64, issued_at_ms: u64) -> String {
    let line = format!("openclaw-device-token|{id}|{role}|{counter}|{issued_at_ms}");
    base64_url_no_pad(&hmac_sha256(key, line.as_bytes()))
}

impl Devices {
    /// Whether the key that tokens are derived from is there.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Sets that key: 32 random bytes.
    pub fn set_key(&mut self, key: [u8; 32]) {
        self.key = Some(key);
    }

    /// Compares a token with the one of a device and role that proved its key.
    pub fn verify(&self, id: &str, role: &str, token: &str, asked: &[&'static str]) -> Verified {
        let Some(device) = self.paired(id).filter(|device| device.roles.contains(&role)) else {
            return Verified::No;
        };
        let Some(known) = device.tokens.get(role).filter(|token| token.revoked_at_ms.is_none())
        else {
            return Verified::No;
        };
        let previous = known.previous.as_ref().is_some_and(|digest| is(digest, token));
        if token.is_empty() || !is(&known.digest, token) && !previous {
            return Verified::No;
        }
        if covers(&known.scopes, asked) { Verified::Yes } else { Verified::Scopes }
    }

    /// Whether some device's token for that role is this one and good for these scopes: for what
    /// a page may read by its token alone, without proving the device's key.
    pub fn admits(&self, token: &str, role: &str, asked: &[&'static str]) -> bool {
        let yes = |id: &str| self.verify(id, role, token, asked) == Verified::Yes;
        self.all().any(|device| yes(&device.claim.device_id))
    }

    /// Whether a device has a token for a role that would admit it.
    pub fn has_token(&self, id: &str, role: &str) -> bool {
        let live = |token: &Token| token.revoked_at_ms.is_none();
        self.paired(id).and_then(|device| device.tokens.get(role)).is_some_and(live)
    }

    /// The token of an approved device and role: the one it has, or a new one if it has none,
    /// if its scopes are no longer those approved, or if it cannot be told again. `shown` is the
    /// token it came with, which is told again as it is. `None` for a device that is not
    /// approved, and without a key.
    pub fn token(
        &mut self,
        id: &str,
        role: &'static str,
        shown: Option<&str>,
        now_ms: u64,
    ) -> Option<Issued> {
        let key = self.key?;
        let device = self.paired.get_mut(id)?;
        if !device.roles.contains(&role) {
            return None;
        }
        if let Some(known) = device.tokens.get_mut(role).filter(|t| t.revoked_at_ms.is_none()) {
            let again = shown.filter(|shown| is(&known.digest, shown)).map(str::to_owned);
            let again = again.or_else(|| {
                let token = derive(&key, id, role, known.counter, known.issued_at_ms());
                is(&known.digest, &token).then_some(token)
            });
            if let Some(token) = again {
                if shown == Some(token.as_str()) && known.previous.take().is_some() {
                    self.dirty[0] = true;
                }
                let scopes = known.scopes.clone();
                return Some(Issued { token, role, scopes, issued_at_ms: known.issued_at_ms() });
            }
        }
        let scopes = if role == "operator" { device.claim.scopes.clone() } else { Vec::new() };
        self.make(id, role, scopes, None, now_ms)
    }

    /// Adds scopes that were approved to a role's token, by a new token. The one before stays
    /// good until the new one is used, with the new scopes: a device that has nothing but its
    /// token could not come back otherwise.
    pub(super) fn widen(&mut self, id: &str, role: &'static str, by: &[&'static str], now_ms: u64) {
        let known = self.paired.get(id).and_then(|device| device.tokens.get(role));
        let Some(known) = known.filter(|token| token.revoked_at_ms.is_none()) else { return };
        let scopes = union(&known.scopes, by);
        if role == "operator" && known.scopes != scopes {
            let previous = Some(known.digest.clone());
            self.make(id, role, scopes, previous, now_ms);
        }
    }

    /// Makes the next token of a role; the one before is worth nothing from here on, unless it
    /// is kept as `previous`.
    fn make(
        &mut self,
        id: &str,
        role: &'static str,
        scopes: Vec<&'static str>,
        previous: Option<String>,
        now_ms: u64,
    ) -> Option<Issued> {
        let key = self.key?;
        let device = self.paired.get_mut(id)?;
        let last = device.tokens.get(role);
        let counter = last.map_or(1, |last| last.counter.saturating_add(1));
        let token = derive(&key, id, role, counter, now_ms);
        let made = Token {
            digest: digest_of(&token),
            previous,
            scopes: scopes.clone(),
            counter,
            created_at_ms: last.map_or(now_ms, |last| last.created_at_ms),
            rotated_at_ms: last.map(|_| now_ms),
            revoked_at_ms: None,
            last_used_at_ms: last.and_then(|last| last.last_used_at_ms),
        };
        device.tokens.insert(role, made);
        self.dirty[0] = true;
        Some(Issued { token, role, scopes, issued_at_ms: now_ms })
    }

    /// Replaces the token of a role: with `scopes`, or with those it had.
    ///
    /// # Errors
    /// When the caller may not, or would get more than it holds or than was approved; nothing
    /// has changed then.
    pub fn rotate(
        &mut self,
        id: &str,
        role: &'static str,
        scopes: Option<Vec<&'static str>>,
        by: &Approver,
        now_ms: u64,
    ) -> Result<Issued, Refused> {
        let token = self.may_change_token(id, role, by)?;
        let scopes = scopes.unwrap_or_else(|| token.scopes.clone());
        let approved = self.paired(id).map(|d| d.claim.scopes.clone()).unwrap_or_default();
        if role != "operator" && !scopes.is_empty() || !covers(&approved, &scopes) {
            return Err(Refused::Beyond);
        }
        if let Some(scope) = by.lacks(&scopes) {
            return Err(Refused::Scope(scope));
        }
        self.make(id, role, scopes, None, now_ms).ok_or(Refused::Unknown)
    }

    /// Revokes the token of a role, and with it the approval of that role.
    ///
    /// # Errors
    /// When the caller may not; nothing has changed then.
    pub fn revoke(
        &mut self,
        id: &str,
        role: &str,
        by: &Approver,
        now_ms: u64,
    ) -> Result<u64, Refused> {
        self.may_change_token(id, role, by)?;
        let device = self.paired.get_mut(id).ok_or(Refused::Unknown)?;
        if let Some(token) = device.tokens.get_mut(role) {
            token.revoked_at_ms = Some(now_ms);
            token.previous = None;
        }
        device.roles.retain(|has| *has != role);
        if role == "operator" {
            device.claim.scopes.clear();
        }
        self.dirty[0] = true;
        Ok(now_ms)
    }
}
