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
        /// `gateway.auth.identityScopes` of that user: granted besides, for the session.
        added: Vec<&'static str>,
        /// `x-openclaw-scopes` of the proxy: the most of all, what was added included.
        cap: Option<Vec<&'static str>>,
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
        let own = |scope: &str| wanted(scope) && self.holds(scope);
        let Proof::Proxy { added, cap, .. } = &self.proof else {
            return OPERATOR_SCOPES.into_iter().filter(|scope| own(scope)).collect();
        };
        let union = OPERATOR_SCOPES.into_iter();
        let union: Vec<_> = union.filter(|scope| own(scope) || added.contains(scope)).collect();
        cap.as_ref().map_or(union.clone(), |cap| both(&union, cap))
    }
}

/// What both allow, capability by capability: admin and {read} make {read}, either way round.
pub fn both(one: &[&'static str], other: &[&'static str]) -> Vec<&'static str> {
    let named = |scope: &&'static str| one.contains(scope) || other.contains(scope);
    let held = |scope: &&'static str| holds(one, scope) && holds(other, scope);
    OPERATOR_SCOPES.into_iter().filter(|scope| named(scope) && held(scope)).collect()
}

/// The known scopes of an `x-openclaw-scopes` header; an empty one names none.
pub fn known_scopes_of(header: &str) -> Vec<&'static str> {
    let said = |scope: &&'static str| header.split(',').any(|word| word.trim() == *scope);
    OPERATOR_SCOPES.into_iter().filter(said).collect()
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

    #[test]
    fn a_scopes_header_only_narrows() {
        let all = OPERATOR_SCOPES.to_vec();
        for (header, want) in [
            ("", &[][..]),
            (" ", &[]),
            ("operator.nonsense", &[]),
            ("operator.read", &["operator.read"]),
            (" operator.read , operator.write,,", &["operator.read", "operator.write"]),
            ("OPERATOR.READ", &[]),
            ("operator.admin", &OPERATOR_SCOPES),
        ] {
            let got = both(&all, &known_scopes_of(header));
            assert_eq!(got, want, "{header}");
        }
        assert_eq!(both(&["operator.read"], &["operator.admin"]), ["operator.read"]);
        assert_eq!(both(&["operator.write"], &["operator.read"]), ["operator.read"]);
        assert!(both(&["operator.pairing"], &["operator.write"]).is_empty());
    }

    #[test]
    fn a_proxys_user_gets_its_own_scopes_within_the_cap() {
        let user = |cap: Option<&[&'static str]>, ceiling: &[&'static str]| Identity {
            proof: Proof::Proxy {
                user: "ann".to_owned(),
                added: vec!["operator.approvals"],
                cap: cap.map(<[_]>::to_vec),
            },
            ceiling: ceiling.to_vec(),
        };
        let read = ["operator.read".to_owned()];
        assert_eq!(user(None, &[]).grant(&read), ["operator.approvals"], "nothing of its own");
        let paired = ["operator.read"];
        assert_eq!(user(None, &paired).grant(&read), ["operator.read", "operator.approvals"]);
        let cap = ["operator.read"];
        assert_eq!(user(Some(&cap), &paired).grant(&read), ["operator.read"]);
        assert!(user(Some(&[]), &paired).grant(&read).is_empty(), "an empty header is none");
        let admin = ["operator.admin"];
        assert_eq!(user(Some(&admin), &[]).grant(&read), ["operator.approvals"], "no grant");
    }
}
