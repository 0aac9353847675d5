//! What a `connect` shows, before and after it was compared.

use super::super::Gateway;
use super::super::conn::{Conn, State};
use super::super::guess::kind;
use super::{Asked, Refusal};
use crate::auth::limiter::Shown;
use crate::auth::source::Source;
use crate::driver::ConnId;
use crate::protocol::error::ErrorShape;
use crate::protocol::frame::Request;
use serde_json::{Value, json};

/// The published codes of a credential that was compared and is none.
const WRONG: [(&str, Shown); 4] = [
    ("AUTH_TOKEN_MISMATCH", Shown::Secret),
    ("AUTH_PASSWORD_MISMATCH", Shown::Secret),
    ("AUTH_DEVICE_TOKEN_MISMATCH", Shown::Device),
    ("AUTH_BOOTSTRAP_TOKEN_INVALID", Shown::Setup),
];

impl Gateway {
    /// Whether what this request shows may be compared.
    pub(super) fn may_connect(&mut self, id: ConnId, request: &Request) -> Result<(), ErrorShape> {
        let Some(source) = self.source_of(id) else { return Ok(()) };
        self.may_guess(&source, Shown::Secret, shows(request)).map_err(locked_out)
    }

    /// Counts what came of it.
    pub(super) fn guessed_connect(
        &mut self,
        id: ConnId,
        request: &Request,
        judged: &Result<Asked, Refusal>,
    ) {
        if !shows(request) {
            return;
        }
        let Some(source) = self.source_of(id) else { return };
        match judged {
            Ok(asked) => {
                let shown = kind(&asked.identity.proof);
                self.guessed(&source, shown, Some(true));
                // Whoever comes in by a device's token has not guessed the secret beside it.
                if shown != Shown::Secret && secret_beside(request) {
                    self.guessed(&source, Shown::Secret, Some(false));
                }
            }
            Err(refusal) => {
                let code = refusal.error.details.as_ref().and_then(|of| of["code"].as_str());
                if let Some((_, shown)) = WRONG.iter().find(|(wrong, _)| Some(*wrong) == code) {
                    self.guessed(&source, *shown, Some(false));
                }
            }
        }
    }

    fn source_of(&self, id: ConnId) -> Option<Source> {
        match self.conns.get(id) {
            Some(Conn { state: State::Handshake(shake), .. }) => Some(shake.source.clone()),
            _ => None,
        }
    }
}

/// A credential that is not empty.
fn field<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let text = request.params.get("auth").and_then(|auth| auth.get(name)).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
}

/// Whether there is anything to compare.
fn shows(request: &Request) -> bool {
    ["token", "password", "deviceToken", "bootstrapToken"]
        .into_iter()
        .any(|name| field(request, name).is_some())
}

/// A token or password that is not the device's own token or setup code once more.
fn secret_beside(request: &Request) -> bool {
    let own = ["deviceToken", "bootstrapToken"].map(|name| field(request, name));
    ["token", "password"]
        .into_iter()
        .filter_map(|name| field(request, name))
        .any(|text| own.iter().any(Option::is_some) && !own.contains(&Some(text)))
}

/// As published (docs/gateway/security/rate-limiting.md).
fn locked_out(wait_ms: u64) -> ErrorShape {
    let text = "unauthorized: too many failed authentication attempts (retry later)";
    let mut error = ErrorShape::invalid(text).with(json!({
        "code": "AUTH_RATE_LIMITED",
        "authReason": "rate_limited",
        "recommendedNextStep": "wait_then_retry",
    }));
    error.retryable = Some(true);
    error.retry_after_ms = Some(wait_ms);
    error
}
