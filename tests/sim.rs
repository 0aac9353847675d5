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

/// Every failing seed of every scenario, in a line each: for work on the simulator itself.
#[test]
#[ignore = "a survey, not a check"]
#[expect(clippy::print_stdout, reason = "its whole purpose")]
fn survey() {
    use Scenario::*;
    for scenario in [Mixed, Bytewise, Resets, SlowReaders, Stalls, DiskFull] {
        let begun = std::time::Instant::now();
        let mut failed = 0;
        for seed in seeds(40) {
            if let Err(failure) = run(seed, scenario, Faults::default()) {
                failed += 1;
                if failed <= 6 {
                    let what: String = failure.what.chars().take(260).collect();
                    println!("{scenario:?} {seed} {:?}: {what}", failure.invariant);
                }
            }
        }
        println!("{scenario:?}: {failed} failed in {:?}", begun.elapsed());
    }
}

#[test]
#[ignore = "one world, told in full"]
#[expect(clippy::print_stdout, reason = "its whole purpose")]
fn one() {
    let (name, seed) = (std::env::var("SIM").unwrap(), seeds(1).start);
    let scenario = match name.as_str() {
        "Mixed" => Scenario::Mixed,
        "Bytewise" => Scenario::Bytewise,
        "Resets" => Scenario::Resets,
        "SlowReaders" => Scenario::SlowReaders,
        "Stalls" => Scenario::Stalls,
        _ => Scenario::DiskFull,
    };
    match run(seed, scenario, Faults::default()) {
        Ok(report) => println!("{report:?}"),
        Err(failure) => println!("{failure}"),
    }
}
