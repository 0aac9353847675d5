//! Pauses between tries: doubled each time, within bounds, spread by chance so that accounts
//! which fell together do not come back together.

use crate::limits;

/// The pauses of one account.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    first_ms: u64,
    max_ms: u64,
    tries: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(limits::CHANNEL_BACKOFF_MS, limits::CHANNEL_BACKOFF_MAX_MS)
    }
}

impl Backoff {
    /// Pauses from `first_ms` to `max_ms`.
    pub const fn new(first_ms: u64, max_ms: u64) -> Self {
        Self { first_ms, max_ms, tries: 0 }
    }

    /// The next pause, between half of it and all of it.
    pub fn next_ms(&mut self, random: u64) -> u64 {
        let doubled = self.first_ms.saturating_mul(1 << self.tries.min(20));
        self.tries = self.tries.saturating_add(1);
        let whole = doubled.min(self.max_ms);
        let half = whole / 2;
        half.saturating_add(random % (half.saturating_add(1)))
    }

    /// All is well again.
    pub const fn reset(&mut self) {
        self.tries = 0;
    }

    /// How many tries in a row there were.
    pub const fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound_and_are_spread() {
        let mut backoff = Backoff::new(1000, 60_000);
        for (random, low, high) in [(0, 500, 500), (u64::MAX, 1000, 2000), (7, 2000, 4000)] {
            let pause = backoff.next_ms(random);
            assert!((low..=high).contains(&pause), "{pause}");
        }
        for _ in 0..100 {
            backoff.next_ms(3);
        }
        assert!((30_000..=60_000).contains(&backoff.next_ms(12_345)));
        backoff.reset();
        assert_eq!(backoff.next_ms(0), 500);
    }
}
