//! Who a client proves to be: its device, its secret, and what they cover.

use super::super::Gateway;
use super::super::conn::{Handshake, Role};
use super::Refusal;
use crate::auth::Verdict;
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

    pub(super) fn secret(
        &self,
        params: &Map<String, Value>,
        shake: &Handshake,
    ) -> Result<Identity, Refusal> {
        if self.credentials.mode == AuthMode::TrustedProxy {
            let vouched = self.by_proxy(shake);
            return vouched.map_or_else(|| self.without_proxy(params, shake), Ok);
        }
        let auth = params.get("auth");
        let field = |name| auth.and_then(|auth| auth.get(name)).and_then(Value::as_str);
        let presented = ["token", "password", "deviceToken", "bootstrapToken"];
        let verdict = self.credentials.check(presented.into_iter().filter_map(field));
        let kind = match self.credentials.mode {
            AuthMode::Password => "password",
            _ => "token",
        };
        let upper = kind.to_ascii_uppercase();
        match verdict {
            Verdict::Granted => Ok(Identity::full(match self.credentials.mode {
                AuthMode::None => Proof::Open,
                _ => Proof::Secret,
            })),
            Verdict::Missing if params.get("device").is_none() => Err(device_required()),
            Verdict::Missing => Err(Refusal::policy(
                ErrorShape::invalid(format!(
                    "unauthorized: gateway {kind} missing (pass the gateway's {kind}, from \
                     gateway.auth.{kind} or OPENCLAW_GATEWAY_{upper})"
                ))
                .with(json!({
                    "code": format!("AUTH_{upper}_MISSING"),
                    "authReason": format!("{kind}_missing"),
                    "canRetryWithDeviceToken": false,
                    "recommendedNextStep": "update_auth_configuration",
                })),
            )),
            Verdict::Mismatch => Err(Refusal::policy(
                ErrorShape::invalid(format!(
                    "unauthorized: gateway {kind} mismatch (the client's {kind} is not the one \
                     of gateway.auth.{kind})"
                ))
                .with(json!({
                    "code": format!("AUTH_{upper}_MISMATCH"),
                    "authReason": format!("{kind}_mismatch"),
                    "canRetryWithDeviceToken": false,
                    "recommendedNextStep": "update_auth_credentials",
                })),
            )),
        }
    }
}

pub(super) fn device_required() -> Refusal {
    let details = json!({"code": "DEVICE_IDENTITY_REQUIRED"});
    Refusal::policy(ErrorShape::new(Code::NotPaired, "device identity required").with(details))
}
