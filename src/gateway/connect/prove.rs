//! Who a client proves to be: its device, its secret, and what they cover.

use super::super::Gateway;
use super::super::conn::{Handshake, Role};
use super::super::devices::bad_setup;
use super::Refusal;
use crate::auth::Verdict;
use crate::auth::devices::{Claim, Reason, Verified};
use crate::auth::identity::{Identity, Proof};
use crate::config::AuthMode;
use crate::protocol::error::{Code, ErrorShape};
use serde_json::{Map, Value, json};

impl Gateway {
    /// A device that shows itself must prove itself; the control page and nodes must show one.
    pub(super) fn device(
        &self,
        params: &Map<String, Value>,
        shake: &Handshake,
        id: &str,
        role: Role,
    ) -> Result<(), Refusal> {
        match params.get("device") {
            Some(Value::Object(device)) => {
                let now_ms = self.now.wall_ms;
                crate::auth::device::verify(device, params, &shake.nonce, now_ms).map_err(|why| {
                    Refusal::policy(ErrorShape::invalid(why.message()).with(json!({
                        "code": why.code(), "reason": why.reason(),
                    })))
                })
            }
            _ if id == "openclaw-control-ui" && self.page_of_proxy(shake) => Ok(()),
            _ if id == "openclaw-control-ui" => {
                let text = "control ui requires device identity \
                            (use HTTPS or localhost secure context)";
                let details = json!({"code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"});
                Err(Refusal::policy(ErrorShape::invalid(text).with(details)))
            }
            _ if role == Role::Node => Err(device_required()),
            _ => Ok(()),
        }
    }

    /// What the caller proves by: the shared secret, its device's own token, or a setup code,
    /// in that order. Something presented that is none of these is refused as such; it never
    /// falls through to less.
    pub(super) fn proof(
        &self,
        params: &Map<String, Value>,
        shake: &Handshake,
        claim: Option<&Claim>,
    ) -> Result<Identity, Refusal> {
        if let Some(found) = self.by_proxy(params, shake, claim) {
            return found;
        }
        let field = |name| presented(params, name);
        let secrets = ["token", "password"].into_iter().filter_map(field);
        let verdict = self.credentials.check(secrets);
        if verdict == Verdict::Granted {
            return Ok(Identity::full(match self.credentials.mode {
                AuthMode::None => Proof::Open,
                _ => Proof::Secret,
            }));
        }
        let Some(claim) = claim else {
            if self.credentials.mode == AuthMode::TrustedProxy {
                return Err(self.no_proxy(params, shake));
            }
            // A device's token or a setup code is nothing without the device's key.
            let other = ["deviceToken", "bootstrapToken"].into_iter().any(|n| field(n).is_some());
            let verdict = if other { Verdict::Mismatch } else { verdict };
            return Err(self.no_secret(params, verdict, false));
        };
        if let Some(found) = self.by_device_token(params, claim) {
            return found;
        }
        if field("deviceToken").is_none()
            && let Some(code) = field("bootstrapToken")
        {
            let setup = self.devices.setup(code, self.now.wall_ms);
            let setup = setup.ok_or_else(|| Refusal::policy(bad_setup()))?;
            let proof = Proof::Setup { id: claim.device_id.clone() };
            return Ok(Identity { proof, ceiling: setup.access.profile().scopes.to_vec() });
        }
        if self.credentials.mode == AuthMode::TrustedProxy {
            return Err(self.no_proxy(params, shake));
        }
        let retry = self.devices.has_token(&claim.device_id, claim.role);
        Err(self.no_secret(params, verdict, retry))
    }

    /// By the token of the device: clients put it in `deviceToken`, in `token`, or in both.
    fn by_device_token(
        &self,
        params: &Map<String, Value>,
        claim: &Claim,
    ) -> Option<Result<Identity, Refusal>> {
        let (id, role) = (&claim.device_id, claim.role);
        let mut beyond = false;
        for name in ["deviceToken", "token"] {
            let Some(token) = presented(params, name) else { continue };
            match self.devices.verify(id, role, token, &claim.scopes) {
                Verified::Yes => {}
                Verified::Scopes => beyond = true,
                Verified::No => continue,
            }
            let device = self.devices.paired(id)?;
            let known = device.tokens.get(role)?;
            // Beyond the approval too: that is for an operator to decide, and settled later.
            if beyond && self.devices.wants(claim) != Some(Reason::ScopeUpgrade) {
                return Some(Err(scope_mismatch()));
            }
            let issued_at_ms = known.issued_at_ms();
            let proof = Proof::Device { id: id.clone(), role, issued_at_ms };
            return Some(Ok(Identity { proof, ceiling: known.scopes.clone() }));
        }
        presented(params, "deviceToken").map(|_| Err(device_token_mismatch()))
    }

    /// Neither the shared secret nor anything else that admits.
    fn no_secret(&self, params: &Map<String, Value>, verdict: Verdict, retry: bool) -> Refusal {
        let kind = match self.credentials.mode {
            AuthMode::Password => "password",
            _ => "token",
        };
        let upper = kind.to_ascii_uppercase();
        let (message, what, step) = match verdict {
            Verdict::Missing if params.get("device").is_none() => return device_required(),
            Verdict::Missing => (
                format!(
                    "unauthorized: gateway {kind} missing (pass the gateway's {kind}, from \
                     gateway.auth.{kind} or OPENCLAW_GATEWAY_{upper})"
                ),
                "missing",
                "update_auth_configuration",
            ),
            Verdict::Mismatch | Verdict::Granted => (
                format!(
                    "unauthorized: gateway {kind} mismatch (the client's {kind} is not the one \
                     of gateway.auth.{kind})"
                ),
                "mismatch",
                if retry { "retry_with_device_token" } else { "update_auth_credentials" },
            ),
        };
        Refusal::policy(ErrorShape::invalid(message).with(json!({
            "code": format!("AUTH_{upper}_{}", what.to_ascii_uppercase()),
            "authReason": format!("{kind}_{what}"),
            "canRetryWithDeviceToken": retry && what == "mismatch",
            "recommendedNextStep": step,
        })))
    }
}

/// A non-empty member of `auth`.
pub(super) fn presented<'a>(params: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let text = params.get("auth")?.get(name)?.as_str();
    text.filter(|text| !text.is_empty())
}

/// The secret that a proof rests on, if it is the device's own.
pub(super) fn shown<'a>(params: &'a Map<String, Value>, proof: &Proof) -> Option<&'a str> {
    match proof {
        Proof::Device { .. } => {
            presented(params, "deviceToken").or_else(|| presented(params, "token"))
        }
        Proof::Setup { .. } => presented(params, "bootstrapToken"),
        Proof::Open | Proof::Secret | Proof::Proxy { .. } => None,
    }
}

fn device_token_mismatch() -> Refusal {
    let text = "unauthorized: device token mismatch (rotate or approve the device again: \
                openclaw devices list)";
    Refusal::policy(ErrorShape::invalid(text).with(json!({
        "code": "AUTH_DEVICE_TOKEN_MISMATCH", "authReason": "device_token_mismatch",
        "canRetryWithDeviceToken": false, "recommendedNextStep": "update_auth_credentials",
    })))
}

fn scope_mismatch() -> Refusal {
    let text = "unauthorized: device token scope mismatch (the token is good for less than was \
                asked; openclaw devices rotate --device ID --role ROLE --scope SCOPE)";
    Refusal::policy(ErrorShape::invalid(text).with(json!({
        "code": "AUTH_SCOPE_MISMATCH", "authReason": "scope_mismatch",
        "canRetryWithDeviceToken": false, "recommendedNextStep": "review_auth_configuration",
    })))
}

pub(super) fn device_required() -> Refusal {
    let details = json!({"code": "DEVICE_IDENTITY_REQUIRED"});
    Refusal::policy(ErrorShape::new(Code::NotPaired, "device identity required").with(details))
}
