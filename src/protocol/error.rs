//! The one error shape of the wire: `{code, message, details?, retryable?, retryAfterMs?}`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Stable codes the reference uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// The request is wrong; repeating it will not help.
    InvalidRequest,
    /// The gateway or what stands behind it cannot do it now.
    Unavailable,
    /// The caller lacks a scope.
    Forbidden,
    /// The caller has no identity that may connect.
    NotPaired,
}

/// An error as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorShape {
    /// Which kind.
    pub code: Code,
    /// For people: what happened and what to do.
    pub message: String,
    /// For programs: `{code, …}` as published for this cause.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub details: Option<Value>,
    /// Whether the same request may succeed later.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retryable: Option<bool>,
    /// How long to wait before repeating, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_after_ms: Option<u64>,
}

impl ErrorShape {
    /// An error of one code without details.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, retryable: None, retry_after_ms: None }
    }

    /// `INVALID_REQUEST`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// `UNAVAILABLE`.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// The same error with details.
    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// `unknown method: NAME`.
    pub fn unknown_method(name: &str) -> Self {
        Self::invalid(format!("unknown method: {name}"))
    }

    /// `missing scope: S` with the published `MISSING_SCOPE` details.
    pub fn missing_scope(scope: &str) -> Self {
        Self::new(Code::Forbidden, format!("missing scope: {scope}")).with(json!({
            "code": "MISSING_SCOPE", "missingScope": scope, "requiredScopes": [scope],
        }))
    }

    /// `invalid METHOD params: …`.
    pub fn params(method: &str, what: &str) -> Self {
        Self::invalid(format!("invalid {method} params: {what}"))
    }
}
