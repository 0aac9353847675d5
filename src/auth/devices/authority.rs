//! Who may approve, change and see which device.
//!
//! An operator grants no more than it holds. One that came by a device token of its own, and
//! is no administrator, has only itself to manage; roles other than operator are for
//! administrators (operator-scopes.md, "Device pairing approvals").

use super::{Claim, Devices, Full, Pending, Token, Via};
use crate::protocol::OPERATOR_SCOPES;
use crate::protocol::operations::holds;

/// Who asks for a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approver {
    /// Scopes of its connection.
    pub scopes: Vec<&'static str>,
    /// Its device, if that device's token is what let it in.
    pub token_of: Option<String>,
}

impl Approver {
    /// It holds everything.
    pub fn is_admin(&self) -> bool {
        self.scopes.contains(&"operator.admin")
    }

    /// Whether it may see and change this device at all.
    pub fn manages(&self, device: &str) -> bool {
        self.is_admin() || self.token_of.as_ref().is_none_or(|own| own == device)
    }

    /// The first scope that it lacks of these.
    pub fn lacks(&self, scopes: &[&'static str]) -> Option<&'static str> {
        scopes.iter().copied().find(|scope| !holds(&self.scopes, scope))
    }
}

/// Why a change was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no such request, device or token; or it is none of the caller's business.
    Unknown,
    /// It is another device's.
    NotOwn,
    /// The caller lacks this scope.
    Scope(&'static str),
    /// The device is not approved for the scopes that its token shall have.
    Beyond,
    /// No room for another device.
    Full(Full),
}

/// Whether a set of scopes allows all that another does.
pub(super) fn covers(has: &[&'static str], asked: &[&'static str]) -> bool {
    asked.iter().all(|scope| holds(has, scope))
}

/// Both sets, in the table's order.
pub(super) fn union(a: &[&'static str], b: &[&'static str]) -> Vec<&'static str> {
    OPERATOR_SCOPES.into_iter().filter(|scope| a.contains(scope) || b.contains(scope)).collect()
}

/// Names that exist, in the table's order, each once.
pub fn known<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<&'static str> {
    let asked = |scope: &str| names.clone().any(|name| name == scope);
    OPERATOR_SCOPES.into_iter().filter(|scope| asked(scope)).collect()
}

impl Devices {
    /// What approving a request would grant: a device that asks for nothing new keeps what it
    /// has, so that is what the approver has to hold.
    fn granted_by(&self, pending: &Pending) -> Vec<&'static str> {
        let claim = &pending.claim;
        let kept = || Some(self.paired(&claim.device_id)?.claim.scopes.clone());
        if claim.role == "operator" && claim.scopes.is_empty() {
            return kept().unwrap_or_default();
        }
        claim.scopes.clone()
    }

    /// Approves a request. Returns what was approved.
    ///
    /// # Errors
    /// When the caller may not; the request then waits on.
    pub fn approve(
        &mut self,
        request_id: &str,
        by: &Approver,
        now_ms: u64,
    ) -> Result<Claim, Refused> {
        self.expire(now_ms);
        let pending = self.request_of(request_id).ok_or(Refused::Unknown)?;
        if !by.manages(&pending.claim.device_id) {
            return Err(Refused::NotOwn);
        }
        if pending.claim.role != "operator" && !by.is_admin() {
            return Err(Refused::Scope("operator.admin"));
        }
        if let Some(scope) = by.lacks(&self.granted_by(pending)) {
            return Err(Refused::Scope(scope));
        }
        let claim = pending.claim.clone();
        self.admit(&claim, Via::Owner, now_ms).map_err(Refused::Full)?;
        self.take_request(request_id);
        Ok(claim)
    }

    /// Rejects a request.
    ///
    /// # Errors
    /// When there is none, or it is another device's.
    pub fn reject(
        &mut self,
        request_id: &str,
        by: &Approver,
        now_ms: u64,
    ) -> Result<Pending, Refused> {
        self.expire(now_ms);
        let pending = self.request_of(request_id).ok_or(Refused::Unknown)?;
        if !by.manages(&pending.claim.device_id) {
            return Err(Refused::NotOwn);
        }
        self.take_request(request_id).ok_or(Refused::Unknown)
    }

    /// Whether the caller may remove this device: it is its own, or it is an administrator, or
    /// an operator without a device token and the device no node.
    ///
    /// # Errors
    /// Why not.
    pub fn may_remove(&self, id: &str, by: &Approver) -> Result<(), Refused> {
        let device = self.paired(id).ok_or(Refused::Unknown)?;
        if !by.manages(id) {
            return Err(Refused::NotOwn);
        }
        let node = device.roles.iter().any(|role| *role != "operator");
        if node && !by.is_admin() {
            return Err(Refused::Scope("operator.admin"));
        }
        Ok(())
    }

    /// The token of a role that the caller may replace or revoke.
    pub(super) fn may_change_token(
        &self,
        id: &str,
        role: &str,
        by: &Approver,
    ) -> Result<&Token, Refused> {
        let device = self.paired(id).ok_or(Refused::Unknown)?;
        if !by.manages(id) {
            return Err(Refused::NotOwn);
        }
        if role != "operator" && !by.is_admin() {
            return Err(Refused::Scope("operator.admin"));
        }
        let token = device.tokens.get(role).filter(|_| device.roles.contains(&role));
        let token = token.ok_or(Refused::Unknown)?;
        by.lacks(&token.scopes).map_or(Ok(token), |scope| Err(Refused::Scope(scope)))
    }
}
