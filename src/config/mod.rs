//! From bytes, environment and flags to a validated, immutable [`Config`].
//!
//! ```text
//!   flags, environment --> [paths]  which file, which state directory, which port
//!   file, $include, .env -> [load]  JSON5 with spans -> merged -> ${VAR} -> checked against
//!                                   [table] -> [snapshot]   or every issue with its place
//!   snapshot, flags ------> [blocked], [credentials]   may it start, which secret holds
//!   old, new snapshot ----> [plan]  what changed and which rooms must hear of it
//!   snapshot -------------> [redact]   what may be shown; and back, when it was edited
//! ```
//!
//! [secrets] puts what SecretRefs stand for into the snapshot, all or nothing.
//!
//! The room reads nothing itself: files come through [`load::Source`], the environment is a
//! map. It never writes a file, never starts a program, and no error of it holds a secret.

mod agents;
pub mod audio;
pub mod auth;
pub mod blocked;
mod build;
pub mod credentials;
pub mod cron;
pub mod doors;
pub mod edit_agents;
mod hands;
mod heartbeat;
pub mod known;
pub mod load;
mod nodes;
pub mod patch;
pub mod paths;
pub mod plan;
mod proxy;
mod rate_limit;
pub mod reach;
pub mod redact;
pub mod schema;
pub mod secret;
pub mod secrets;
mod session;
mod shutdown;
mod skills;
pub mod snapshot;
mod subst;
pub mod table;
pub mod tailscale;
pub mod tls;
mod tool_policy;
mod tree;
mod validate;

pub use agents::*;
pub use doors::*;
pub use hands::{Exec, ExecAsk, ExecSecurity, WebFetch};
pub use heartbeat::{ActiveHours, Clock, Heartbeat};
pub use load::{ConfigError, Loaded, Source, load};
pub use nodes::NodePolicy;
pub use paths::{Flags, Paths};
pub use rate_limit::RateLimit;
pub use secret::Secret;
pub use session::{Session, SessionReset, SessionScope};
pub use shutdown::ShutdownBudget;
pub use skills::{SkillEntry, Skills};
pub use snapshot::*;
pub use subst::{is_reference, variables as dotenv};
pub use tls::Tls;
pub use tool_policy::{Loops, ToolLists, ToolPolicy, ToolProfile};
pub(crate) use tree::normal;
