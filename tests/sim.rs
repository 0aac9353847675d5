//! Worlds by seed: the gateway over a simulated network, clock and disk.

use openclaw_gateway::gateway::Faults;
use openclaw_gateway::sim::{Scenario, run};

/// `SIM_SEED=n` runs one seed, `SIM_SEEDS=n` that many.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, many) => 0..many.unwrap_or(usual),
    }
}

fn every_seed(usual: u64, scenario: Scenario) {
    for seed in seeds(usual) {
        if let Err(failure) = run(seed, scenario, Faults::default()) {
            panic!("{failure}");
        }
    }
}

#[test]
fn a_bit_of_everything() {
    every_seed(256, Scenario::Mixed);
}
