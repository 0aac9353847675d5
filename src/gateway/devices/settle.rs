//! The handshake's last question: is this device approved for what it asks.
//!
//! Silent approval is for a process of this machine (a direct loopback peer with a loopback
//! Host and no forwarding header) that proved the shared secret: never by locality alone, never
//! for another page than the control UI, and never by a device token, which would widen itself.

use super::super::Gateway;
use super::Granted;
use super::show::{pairing_details, pairing_message};
use crate::auth::devices::{Access, Claim, Full, Reason, SetupOutcome, Via};
use crate::auth::identity::{Identity, Proof};
use crate::auth::source::Source;
use crate::driver::Effects;
use crate::limits;
use crate::protocol::error::{Code, ErrorShape};
use serde_json::json;

impl Gateway {
    /// Admits a device that proved its key, or says why not. Narrows the identity to what the
    /// device is approved for.
    pub(in super::super) fn settle_device(
        &mut self,
        claim: &Claim,
        source: &Source,
        identity: &mut Identity,
        shown: Option<&str>,
        fx: &mut Effects,
    ) -> Result<Granted, ErrorShape> {
        if self.needs_no_pairing(claim, source, identity) {
            return Ok(Granted::default());
        }
        if matches!(identity.proof, Proof::Setup { .. }) {
            return self.settle_setup(claim, identity, shown, fx);
        }
        let vouched = self.claim_of_proxy(claim, identity);
        let claim = vouched.as_ref().unwrap_or(claim);
        if let Some(reason) = self.devices.wants(claim) {
            let silent = vouched.as_ref().is_some_and(|_| self.is_eligible(claim, reason))
                || self.is_silent(claim, source, identity, reason);
            let named = self.is_from_named_network(claim, source, identity, reason);
            if !silent && !named {
                return Err(self.ask_for_pairing(claim, reason, fx));
            }
            match reason {
                Reason::MetadataUpgrade => self.devices.refresh(claim),
                _ if !silent => self.approve_network(claim, source)?,
                _ => self.approve_silently(claim, &identity.proof)?,
            }
        }
        let by_token = matches!(identity.proof, Proof::Device { .. });
        let own = self.device_token(&claim.device_id, claim.role, shown.filter(|_| by_token));
        let device = self.devices.paired(&claim.device_id);
        let ceiling = device.map(|device| device.claim.scopes.clone()).unwrap_or_default();
        identity.ceiling = cut(&identity.ceiling, &ceiling);
        if let (Proof::Device { issued_at_ms, .. }, Some(own)) = (&mut identity.proof, &own) {
            *issued_at_ms = own.issued_at_ms;
        }
        self.devices.seen(&claim.device_id, claim.role, by_token, self.now.wall_ms);
        // An error is told and tried again; nothing was widened by it.
        let _ = self.save_devices();
        Ok(Granted { own, further: Vec::new() })
    }

    /// One proves enough by itself: a helper of this machine with the secret (its device makes
    /// no record).
    fn needs_no_pairing(&self, claim: &Claim, source: &Source, identity: &Identity) -> bool {
        let operator = claim.role == "operator";
        match identity.proof {
            Proof::Secret => {
                operator
                    && source.local
                    && !source.browser
                    && claim.client_id == "gateway-client"
                    && claim.client_mode == "backend"
                    && self.devices.paired(&claim.device_id).is_none()
            }
            Proof::Proxy { .. } | Proof::Open | Proof::Device { .. } | Proof::Setup { .. } => false,
        }
    }

    fn is_silent(
        &self,
        claim: &Claim,
        source: &Source,
        identity: &Identity,
        reason: Reason,
    ) -> bool {
        if !source.local || source.proxied {
            return false;
        }
        let page = claim.client_id == "openclaw-control-ui";
        let secret = matches!(identity.proof, Proof::Secret | Proof::Open);
        match reason {
            // A system update changes what a client says of its platform.
            Reason::MetadataUpgrade => !source.browser,
            Reason::NotPaired | Reason::RoleUpgrade | Reason::ScopeUpgrade => {
                secret && (!source.browser || page) && self.config.gateway.pair_local_silently
            }
        }
    }

    /// A new device that wants to be a node and nothing else, from a network that
    /// `gateway.nodes.pairing.autoApproveCidrs` names: no page, no proxy between, and the shared
    /// secret shown. Never an upgrade of a known device.
    fn is_from_named_network(
        &self,
        claim: &Claim,
        source: &Source,
        identity: &Identity,
        reason: Reason,
    ) -> bool {
        let ranges = &self.config.gateway.nodes.pair_from;
        reason == Reason::NotPaired
            && self.devices.paired(&claim.device_id).is_none()
            && claim.role == "node"
            && claim.client_mode == "node"
            && claim.scopes.is_empty()
            && !source.proxied
            && !source.browser
            && matches!(identity.proof, Proof::Secret)
            && ranges.iter().any(|range| range.contains(source.ip))
    }

    fn approve_network(&mut self, claim: &Claim, source: &Source) -> Result<(), ErrorShape> {
        self.devices.admit(claim, Via::TrustedCidr, self.now.wall_ms).map_err(full)?;
        log::info!(target: "devices", "paired node {} from {} \
            (gateway.nodes.pairing.autoApproveCidrs)", claim.device_id, source.ip);
        Ok(())
    }

    /// What a device asks for through a proxy that vouches for its user: within the proxy's
    /// cap, and, where its approval is nobody's to give, within what is approved by itself.
    fn claim_of_proxy(&self, claim: &Claim, identity: &Identity) -> Option<Claim> {
        let Proof::Proxy { cap, .. } = &identity.proof else { return None };
        let within = |scopes: &[&'static str]| match cap {
            Some(cap) => cut(scopes, cap),
            None => scopes.to_vec(),
        };
        let mut claim = Claim { scopes: within(&claim.scopes), ..claim.clone() };
        if let Some(reason) = self.devices.wants(&claim)
            && self.is_eligible(&claim, reason)
            && let Some(auto) = self.auto_approve()
        {
            claim.scopes = within(&auto.grant(&claim.scopes));
        }
        Some(claim)
    }

    /// Whether `deviceAutoApprove` covers a device of a user whom a proxy vouches for: pages and
    /// native apps that a person uses, new or with more scopes, never another role or platform.
    fn is_eligible(&self, claim: &Claim, reason: Reason) -> bool {
        const PERSONS: [&str; 7] = [
            "openclaw-control-ui",
            "webchat-ui",
            "webchat",
            "openclaw-macos",
            "openclaw-linux",
            "openclaw-ios",
            "openclaw-android",
        ];
        let person = PERSONS.contains(&claim.client_id)
            && matches!(claim.client_mode, "ui" | "webchat")
            && claim.role == "operator";
        let kind = matches!(reason, Reason::NotPaired | Reason::ScopeUpgrade);
        person && kind && self.auto_approve().is_some()
    }

    fn auto_approve(&self) -> Option<&crate::config::auth::DeviceAutoApprove> {
        self.config.gateway.auth.trusted_proxy.as_ref()?.device_auto_approve.as_ref()
    }

    fn approve_silently(&mut self, claim: &Claim, proof: &Proof) -> Result<(), ErrorShape> {
        let now_ms = self.now.wall_ms;
        let new = self.devices.paired(&claim.device_id).is_none();
        if new {
            self.retire_superseded(claim);
        }
        self.devices.admit(claim, Via::Silent, now_ms).map_err(full)?;
        if new {
            let why = match proof {
                Proof::Proxy { user, .. } => format!("for {user}, by deviceAutoApprove"),
                _ => "local and with the secret".to_owned(),
            };
            let why = crate::wire::text::escape_log(&why, limits::LOG_USER);
            log::info!(target: "devices", "paired {} {} {}, {why}",
                claim.client_id, claim.role, claim.device_id);
        }
        Ok(())
    }

    /// Puts the device among those that wait, and tells it.
    fn ask_for_pairing(&mut self, claim: &Claim, reason: Reason, fx: &mut Effects) -> ErrorShape {
        let id = self.uuid();
        let (id, new) = match self.devices.request(claim.clone(), id, self.now.wall_ms) {
            Ok(asked) => asked,
            Err(error) => return full(error),
        };
        if self.save_devices().is_err() {
            self.devices.take_request(&id);
            return ErrorShape::unavailable("the request for pairing could not be written");
        }
        if new {
            log::warn!(target: "devices", "{} {} asks to be paired as {} ({}); see \
                `openclaw devices list`, then `openclaw devices approve {id}`",
                claim.client_id, claim.device_id, claim.role, reason.as_str());
            self.tell_requested(&id, fx);
        }
        let device = self.devices.paired(&claim.device_id);
        ErrorShape::new(Code::NotPaired, pairing_message(reason))
            .with(pairing_details(claim, reason, &id, device))
    }

    /// A setup code: used up on the disk before the device hears that it is paired.
    fn settle_setup(
        &mut self,
        claim: &Claim,
        identity: &mut Identity,
        shown: Option<&str>,
        fx: &mut Effects,
    ) -> Result<Granted, ErrorShape> {
        let now_ms = self.now.wall_ms;
        let setup = shown.and_then(|token| self.devices.setup(token, now_ms)).cloned();
        let setup = setup.ok_or_else(bad_setup)?;
        let profile = setup.access.profile();
        let within = claim.scopes.iter().all(|scope| identity.holds(scope));
        if !profile.roles.contains(&claim.role) || !within {
            return Err(ErrorShape::invalid("unauthorized: setup code does not cover this").with(
                json!({
                    "code": "AUTH_SCOPE_MISMATCH", "authReason": "scope_mismatch",
                    "canRetryWithDeviceToken": false,
                    "recommendedNextStep": "review_auth_configuration",
                }),
            ));
        }
        self.devices.use_setup(&setup.setup_id);
        if self.save_devices().is_err() {
            return Err(ErrorShape::unavailable("the setup code could not be used up on the disk"));
        }
        for role in profile.roles {
            let scopes = if *role == "operator" { profile.scopes.to_vec() } else { Vec::new() };
            let claim = Claim { role, scopes, ..claim.clone() };
            self.devices.admit(&claim, Via::Bootstrap, now_ms).map_err(full)?;
        }
        let mut granted = Granted::default();
        for role in profile.roles {
            let issued = self.device_token(&claim.device_id, role, None);
            match *role == claim.role {
                true => granted.own = issued,
                false => granted.further.extend(issued),
            }
        }
        self.devices.seen(&claim.device_id, claim.role, false, now_ms);
        let _ = self.save_devices();
        self.tell_setup_done(claim, setup.setup_id, setup.access, fx);
        Ok(granted)
    }

    fn tell_setup_done(
        &mut self,
        claim: &Claim,
        setup_id: String,
        access: Access,
        fx: &mut Effects,
    ) {
        let outcome = SetupOutcome {
            setup_id,
            device_id: claim.device_id.clone(),
            device_name: claim.display_name.clone(),
            access,
            at_ms: self.now.wall_ms,
        };
        log::info!(target: "devices", "paired {} {} by a setup code",
            claim.client_id, claim.device_id);
        self.devices.settle_setup(outcome.clone());
        self.tell_setup_completed(&outcome, fx);
    }
}

/// Scopes of the ceiling that the approval covers as well.
fn cut(ceiling: &[&'static str], approved: &[&'static str]) -> Vec<&'static str> {
    let narrow = |has: &[&'static str], other: &[&'static str]| -> Vec<&'static str> {
        let held = |scope: &&'static str| crate::protocol::operations::holds(other, scope);
        has.iter().copied().filter(held).collect()
    };
    // What either names and the other holds: admin ∩ {read} is read, either way round.
    let mut both = narrow(ceiling, approved);
    for scope in narrow(approved, ceiling) {
        if !both.contains(&scope) {
            both.push(scope);
        }
    }
    both
}

fn full(error: Full) -> ErrorShape {
    ErrorShape::new(Code::NotPaired, error.to_string())
        .with(json!({"code": "PAIRING_REQUIRED", "recommendedNextStep": "wait_then_retry"}))
}

/// A setup code that is none, used up or too old.
pub(in super::super) fn bad_setup() -> ErrorShape {
    ErrorShape::invalid(
        "unauthorized: bootstrap token invalid or expired (make a new setup code: openclaw qr)",
    )
    .with(json!({
        "code": "AUTH_BOOTSTRAP_TOKEN_INVALID", "authReason": "bootstrap_token_invalid",
        "canRetryWithDeviceToken": false, "recommendedNextStep": "review_auth_configuration",
    }))
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_ceiling_and_an_approval_leave_what_both_allow() {
        let all = crate::protocol::OPERATOR_SCOPES;
        assert_eq!(cut(&all, &["operator.read"]), ["operator.read"]);
        assert_eq!(cut(&["operator.read"], &["operator.admin"]), ["operator.read"]);
        assert_eq!(cut(&["operator.write"], &["operator.read"]), ["operator.read"]);
        assert!(cut(&["operator.pairing"], &["operator.read"]).is_empty());
        assert!(cut(&all, &[]).is_empty());
    }
}
