//! What [`RateLimit`] is built from.

use super::At;
use crate::config::rate_limit::RateLimit;

pub(super) fn rate_limit(at: At<'_>) -> RateLimit {
    let unset = RateLimit::default();
    let attempts = at.get("maxAttempts").number().and_then(|count| u32::try_from(count).ok());
    RateLimit {
        max_attempts: attempts.unwrap_or(unset.max_attempts),
        window_ms: at.get("windowMs").number().unwrap_or(unset.window_ms),
        lockout_ms: at.get("lockoutMs").number().unwrap_or(unset.lockout_ms),
        exempt_loopback: at.get("exemptLoopback").flag(unset.exempt_loopback),
    }
}
