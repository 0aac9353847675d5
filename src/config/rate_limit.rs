//! `gateway.auth.rateLimit`: how often an address may show wrong credentials.

/// The section; absent keys have the reference's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// `maxAttempts`: wrong credentials within a window, then the address is locked out (10).
    pub max_attempts: u32,
    /// `windowMs` (1 min).
    pub window_ms: u64,
    /// `lockoutMs` (5 min).
    pub lockout_ms: u64,
    /// `exemptLoopback`: programs of this machine are not counted (true). Pages and hooks are,
    /// also there.
    pub exempt_loopback: bool,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { max_attempts: 10, window_ms: 60_000, lockout_ms: 300_000, exempt_loopback: true }
    }
}
