//! `gateway.shutdownBudgetMs`: how long a gateway that was told to stop may take in all.
//!
//! ```text
//!   SIGTERM --- active runs finish: drain_ms --> told, closed, flushed, saved: reserve_ms --> gone
//!   |<----------------------- the budget: gateway.shutdownBudgetMs ----------------------->|
//!   |<----------------------- the service manager kills: stop_timeout_secs --------------------->|
//! ```
//!
//! The key is ours: the reference's budget of 325 s is built in. A file that names it is not for
//! the reference. Generated units read [`ShutdownBudget::stop_timeout_secs`], so that whatever
//! the budget, the manager's patience exceeds it.

use crate::limits;

/// The time between the request to stop and the end of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownBudget {
    /// In all, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for ShutdownBudget {
    fn default() -> Self {
        Self { timeout_ms: limits::SHUTDOWN_BUDGET_MS }
    }
}

impl ShutdownBudget {
    /// The part kept for telling peers, flushing and saving, in milliseconds; half of a budget
    /// that is smaller than two of them.
    pub const fn reserve_ms(self) -> u64 {
        let half = self.timeout_ms / 2;
        if half < limits::SHUTDOWN_RESERVE_MS { half } else { limits::SHUTDOWN_RESERVE_MS }
    }

    /// How long active runs may go on, in milliseconds.
    pub const fn drain_ms(self) -> u64 {
        self.timeout_ms - self.reserve_ms()
    }

    /// For the unit's `TimeoutStopSec`: seconds, always more than the budget.
    pub const fn stop_timeout_secs(self) -> u64 {
        self.timeout_ms.div_ceil(1000) + limits::SHUTDOWN_UNIT_MARGIN_SECS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_references() {
        let budget = ShutdownBudget::default();
        assert_eq!(
            (budget.timeout_ms, budget.reserve_ms(), budget.drain_ms()),
            (325_000, 10_000, 315_000)
        );
        assert_eq!(budget.stop_timeout_secs(), 330);
    }

    #[test]
    fn a_manager_always_waits_longer_than_the_budget() {
        for timeout_ms in [0, 1, 999, 1_000, 5_000, 19_999, 20_000, 86_400_000] {
            let budget = ShutdownBudget { timeout_ms };
            assert_eq!(budget.drain_ms() + budget.reserve_ms(), timeout_ms);
            assert!(budget.stop_timeout_secs() * 1000 > timeout_ms, "{timeout_ms}");
        }
    }
}
