//! `connect` in mode `trusted-proxy`: the user whom the proxy vouched for at the upgrade, or,
//! for a direct process of this machine, the local password (docs/gateway/trusted-proxy-auth.md;
//! openclaw#78684: never for what came through a proxy).

use super::super::Gateway;
use super::super::conn::Handshake;
use super::Refusal;
use super::prove::{device_required, presented};
use crate::auth::Verdict;
use crate::auth::devices::Claim;
use crate::auth::identity::{Identity, Proof};
use crate::auth::proxy;
use crate::config::AuthMode;
use crate::protocol::OPERATOR_SCOPES;
use crate::protocol::error::ErrorShape;
use serde_json::{Map, Value, json};

impl Gateway {
    /// Whom the proxy vouched for, else a process of this machine with the local password;
    /// `None` in another mode, or when it shows neither.
    pub(super) fn by_proxy(
        &self,
        params: &Map<String, Value>,
        shake: &Handshake,
        claim: Option<&Claim>,
    ) -> Option<Result<Identity, Refusal>> {
        if self.credentials.mode != AuthMode::TrustedProxy {
            return None;
        }
        if let Some(Ok(user)) = &shake.source.vouched {
            let proof = self.proxy_proof(user, &shake.source);
            // A device may do what it is approved for, which is settled next; without one
            // there is nothing but what its user is granted besides.
            let ceiling = claim.map_or_else(Vec::new, |_| OPERATOR_SCOPES.to_vec());
            return Some(Ok(Identity { proof, ceiling }));
        }
        if !shake.source.local {
            return None;
        }
        match self.credentials.check_local_password(presented(params, "password")) {
            Verdict::Granted => Some(Ok(Identity::full(Proof::Secret))),
            Verdict::Missing => None,
            Verdict::Mismatch => {
                let text = "unauthorized: gateway password mismatch (the client's password is \
                            not the one of gateway.auth.password)";
                Some(Err(Refusal::policy(ErrorShape::invalid(text).with(json!({
                    "code": "AUTH_PASSWORD_MISMATCH",
                    "authReason": "password_mismatch",
                    "canRetryWithDeviceToken": false,
                    "recommendedNextStep": "update_auth_credentials",
                })))))
            }
        }
    }

    /// A page whose user a proxy vouches for may come without a device.
    pub(super) fn page_of_proxy(&self, shake: &Handshake) -> bool {
        matches!(shake.source.vouched, Some(Ok(_))) && shake.browser == Ok(true)
    }

    /// Why nobody vouches.
    pub(super) fn no_proxy(&self, params: &Map<String, Value>, shake: &Handshake) -> Refusal {
        let names = ["token", "password", "deviceToken", "bootstrapToken"];
        let nothing = names.into_iter().all(|name| presented(params, name).is_none());
        if nothing && params.get("device").is_none() {
            return device_required();
        }
        let why = match &shake.source.vouched {
            Some(Err(why)) => why.clone(),
            _ => proxy::Refused::UntrustedSource,
        };
        let text = format!(
            "unauthorized: {} (see gateway.trustedProxies and gateway.auth.trustedProxy)",
            why.reason()
        );
        Refusal::policy(ErrorShape::invalid(text).with(json!({
            "code": why.code(),
            "authReason": why.reason(),
            "canRetryWithDeviceToken": false,
            "recommendedNextStep": "review_auth_configuration",
        })))
    }
}
