//! `gateway.nodes`: which commands of nodes may be used (reference:
//! docs/nodes/command-policy.md).

/// The policy of node commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodePolicy {
    /// Exact names that are usable beyond the platform's table: `commands.allow` and the older
    /// `allowCommands`.
    pub allow: Vec<String>,
    /// Exact names that never are, whatever else says so: `commands.deny` and `denyCommands`.
    pub deny: Vec<String>,
}
