//! `gateway.nodes`: which commands of nodes may be used, and which networks nodes are paired
//! from without a question (reference: docs/nodes/command-policy.md, docs/gateway/pairing.md).

use crate::wire::cidr::Cidr;

/// The policy of nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodePolicy {
    /// Exact names that are usable beyond the platform's table: `commands.allow` and the older
    /// `allowCommands`.
    pub allow: Vec<String>,
    /// Exact names that never are, whatever else says so: `commands.deny` and `denyCommands`.
    pub deny: Vec<String>,
    /// `pairing.autoApproveCidrs`: where a new device may become a node without a question. Its
    /// surface still needs one.
    pub pair_from: Vec<Cidr>,
}
