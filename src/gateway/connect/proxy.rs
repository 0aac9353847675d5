//! `connect` in mode `trusted-proxy`: the user whom the proxy vouched for at the upgrade, or,
//! for a direct process of this machine, the local password (docs/gateway/trusted-proxy-auth.md;
//! openclaw#78684: never for what came through a proxy).

use super::super::Gateway;
use super::super::conn::Handshake;
use super::Refusal;
use super::prove::device_required;
use crate::auth::Verdict;
use crate::auth::identity::{Identity, Proof};
use crate::auth::proxy;
use crate::protocol::error::ErrorShape;
use serde_json::{Map, Value, json};

impl Gateway {
    /// Whom the proxy vouched for. Its ceiling is empty: what a device may do is what it was
    /// approved for, and without one only the identity's own scopes are granted.
    pub(super) fn by_proxy(&self, shake: &Handshake) -> Option<Identity> {
        let Some(Ok(user)) = &shake.source.vouched else { return None };
        let proof = self.proxy_proof(user, &shake.source);
        Some(Identity { proof, ceiling: Vec::new() })
    }

    /// A page whose user a proxy vouches for may come without a device.
    pub(super) fn page_of_proxy(&self, shake: &Handshake) -> bool {
        matches!(shake.source.vouched, Some(Ok(_))) && shake.browser == Ok(true)
    }

    /// Without a proxy's word: the local password, or the reason of the refusal.
    pub(super) fn without_proxy(
        &self,
        params: &Map<String, Value>,
        shake: &Handshake,
    ) -> Result<Identity, Refusal> {
        let auth = params.get("auth").and_then(Value::as_object);
        let field = |name: &str| auth.and_then(|auth| auth.get(name)).and_then(Value::as_str);
        if shake.source.local {
            match self.credentials.check_local_password(field("password")) {
                Verdict::Granted => return Ok(Identity::full(Proof::Secret)),
                Verdict::Missing => {}
                Verdict::Mismatch => {
                    let text = "unauthorized: gateway password mismatch (the client's password \
                                is not the one of gateway.auth.password)";
                    return Err(Refusal::policy(ErrorShape::invalid(text).with(json!({
                        "code": "AUTH_PASSWORD_MISMATCH",
                        "authReason": "password_mismatch",
                        "canRetryWithDeviceToken": false,
                        "recommendedNextStep": "update_auth_credentials",
                    }))));
                }
            }
        }
        let nothing = auth.is_none_or(|auth| auth.values().all(|text| text == ""));
        if nothing && params.get("device").is_none() {
            return Err(device_required());
        }
        let why = match &shake.source.vouched {
            Some(Err(why)) => why.clone(),
            _ => proxy::Refused::UntrustedSource,
        };
        let text = format!(
            "unauthorized: {} (see gateway.trustedProxies and gateway.auth.trustedProxy)",
            why.reason()
        );
        Err(Refusal::policy(ErrorShape::invalid(text).with(json!({
            "code": why.code(),
            "authReason": why.reason(),
            "canRetryWithDeviceToken": false,
            "recommendedNextStep": "review_auth_configuration",
        }))))
    }
}
