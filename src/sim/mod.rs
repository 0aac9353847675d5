//! The simulator: the same gateway over a seeded network, clock and disk.
//!
//! ```text
//!   seed --> [rng] --> plans of [peers], knobs of [net], trouble of [disk]
//!              |
//!   [world]: Gateway::new on the simulated disk, driven by [net] turn by turn
//!              |            `kill -9` and a start on what the disk holds
//!              v
//!   [check]: invariants, held at every byte and at the end --> Report or Failure
//! ```
//!
//! A world is small: a few clients, a provider in some mood, a few dozen requests. Virtual time
//! jumps to whatever happens next, so a stalled provider costs no real seconds. Everything
//! random comes from the seed: `SIM_SEED=n cargo test --test sim` runs one seed of every
//! scenario again, byte for byte.

pub mod chats;
pub mod check;
pub mod disk;
pub mod kept;
pub mod net;
pub mod peers;
pub mod pipe;
pub mod rng;
pub mod trace;
pub mod world;

pub use check::Invariant;
pub use world::{Failure, Report, Scenario, run};
