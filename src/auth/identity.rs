//! Who a caller turned out to be, by what proof, and the most it may do.
//!
//! Granted scopes are what was requested, cut down to the ceiling of the proof; an empty request
//! stays empty, and a client's name may only narrow. The proof is kept as long as the connection
//! lives: when a secret, a device token or a proxy rule is changed, whoever came in by it goes.

use crate::protocol::OPERATOR_SCOPES;
use crate::protocol::operations::holds;

/// How a caller proved itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Mode `none`: nobody is asked.
    Open,
    /// The shared token or password of `gateway.auth`.
    Secret,
    /// A trusted proxy vouches for this user (mode `trusted-proxy`).
    Proxy {
        /// The value of the user header.
        user: String,
    },
    /// A paired device's own token.
    Device {
        /// The device's id.
        id: String,
        /// The role of its token.
        role: &'static str,
        /// When that token was issued or last rotated: another token has another time.
        issued_at_ms: u64,
    },
    /// A setup code (bootstrap token), good for one pairing.
    Setup {
        /// The device that it lets in.
        id: String,
    },
}

/// Who a caller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// How it proved itself.
    pub proof: Proof,
    /// The most it may do: names from [`OPERATOR_SCOPES`], in that order.
    pub ceiling: Vec<&'static str>,
}

impl Identity {
    /// Somebody whose proof covers every operator scope.
    pub fn full(proof: Proof) -> Self {
        Self { proof, ceiling: OPERATOR_SCOPES.to_vec() }
    }

    /// Whether it may do what takes this scope.
    pub fn holds(&self, scope: &str) -> bool {
        holds(&self.ceiling, scope)
    }

    /// What is granted of what was asked: known scopes within the ceiling, in the table's order.
    pub fn grant(&self, asked: &[String]) -> Vec<&'static str> {
        let wanted = |scope: &str| asked.iter().any(|asked| asked == scope);
        OPERATOR_SCOPES.into_iter().filter(|scope| wanted(scope) && self.holds(scope)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_is_asked_known_and_within_the_ceiling() {
        let asked = |scopes: &[&str]| scopes.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let full = Identity::full(Proof::Secret);
        assert_eq!(full.grant(&asked(&["operator.nonsense", "operator.read"])), ["operator.read"]);
        assert!(full.grant(&[]).is_empty(), "empty stays empty");
        let reader = Identity { proof: Proof::Secret, ceiling: vec!["operator.read"] };
        assert!(reader.grant(&asked(&["operator.admin"])).is_empty());
        assert_eq!(reader.grant(&asked(&["operator.admin", "operator.read"])), ["operator.read"]);
    }
}
