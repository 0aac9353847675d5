//! Who vouches for callers: `gateway.trustedProxies`, `gateway.auth.trustedProxy`,
//! `gateway.auth.identityScopes`.

use serde_json::Value;

use super::build::At;
use crate::protocol::OPERATOR_SCOPES;
use crate::protocol::operations::holds;
use crate::wire::cidr::Cidr;

/// Whose word about a client's address counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// `gateway.trustedProxies`.
    pub trusted: Vec<Cidr>,
    /// `gateway.allowRealIpFallback`: X-Real-IP counts where there is no X-Forwarded-For.
    pub real_ip_fallback: bool,
}

/// `gateway.auth.trustedProxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxy {
    /// Header with the user's name.
    pub user_header: String,
    /// Headers that must be there as well, and not blank.
    pub required_headers: Vec<String>,
    /// Users let in, exactly as the header names them; empty lets in whomever the proxy does.
    pub allow_users: Vec<String>,
    /// A proxy on this machine's loopback counts too.
    pub allow_loopback: bool,
    /// `deviceAutoApprove`, when it is enabled.
    pub device_auto_approve: Option<DeviceAutoApprove>,
}

/// `gateway.auth.trustedProxy.deviceAutoApprove`: new operator devices of users whom the proxy
/// vouches for are approved without a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceAutoApprove {
    /// The most that such a device gets.
    pub scopes: Vec<&'static str>,
    /// `scopes` was not set: the documented default, to which `operator.questions` is added
    /// whether a client asks for it or not.
    pub default_scopes: bool,
}

/// What an auto-approved device gets unless `scopes` says else (docs/gateway/
/// trusted-proxy-auth.md).
const AUTO_APPROVED: [&str; 4] =
    ["operator.read", "operator.write", "operator.approvals", "operator.questions"];

impl DeviceAutoApprove {
    /// The scopes for a device that asked for these; asking for nothing gets all of them.
    pub fn grant(&self, asked: &[&'static str]) -> Vec<&'static str> {
        let wanted = |scope: &&'static str| {
            asked.is_empty()
                || holds(asked, scope)
                || (self.default_scopes && *scope == "operator.questions")
        };
        self.scopes.iter().copied().filter(wanted).collect()
    }
}

/// `gateway.auth.identityScopes`: scopes of a verified user, for the session only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityScopes(Vec<(String, Vec<&'static str>)>);

impl IdentityScopes {
    /// What a user gets. Addresses (`a@b`) compare without case, other names exactly.
    pub fn of(&self, user: &str) -> Vec<&'static str> {
        let same = |name: &str| {
            name == user || (user.contains('@') && name.to_lowercase() == user.to_lowercase())
        };
        let granted: Vec<&str> = (self.0.iter())
            .filter(|(name, _)| same(name))
            .flat_map(|(_, scopes)| scopes.iter().copied())
            .collect();
        OPERATOR_SCOPES.into_iter().filter(|scope| granted.contains(scope)).collect()
    }
}

pub(super) fn proxies(gateway: At<'_>) -> Proxies {
    let trusted = gateway.get("trustedProxies");
    Proxies {
        trusted: trusted.items().filter_map(|at| Cidr::parse(at.value.as_str()?)).collect(),
        real_ip_fallback: gateway.get("allowRealIpFallback").flag(false),
    }
}

pub(super) fn trusted_proxy(at: At<'_>) -> Option<TrustedProxy> {
    let words = |key| {
        let trimmed = |text: String| text.trim().to_owned();
        at.get(key).texts().into_iter().map(trimmed).filter(|text| !text.is_empty()).collect()
    };
    let auto = at.get("deviceAutoApprove");
    Some(TrustedProxy {
        user_header: at.get("userHeader").text()?.trim().to_owned(),
        required_headers: words("requiredHeaders"),
        allow_users: words("allowUsers"),
        allow_loopback: at.get("allowLoopback").flag(false),
        device_auto_approve: auto.get("enabled").flag(false).then(|| {
            let default_scopes = auto.get("scopes").is_null();
            let scopes = match default_scopes {
                true => AUTO_APPROVED.to_vec(),
                false => scopes(auto.get("scopes").value),
            };
            DeviceAutoApprove { scopes, default_scopes }
        }),
    })
}

pub(super) fn identity_scopes(at: At<'_>) -> IdentityScopes {
    IdentityScopes(
        at.entries().map(|(user, at)| (user.trim().to_owned(), scopes(at.value))).collect(),
    )
}

/// The known scopes of a list, in the table's order.
fn scopes(list: &Value) -> Vec<&'static str> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    OPERATOR_SCOPES.into_iter().filter(|scope| list.iter().any(|item| item == scope)).collect()
}

/// What is wrong with addresses and header names of the section `gateway`: key path below it,
/// and what was expected.
pub(super) fn faults(gateway: &Value) -> Vec<(Vec<&'static str>, String)> {
    let proxy = &gateway["auth"]["trustedProxy"];
    let texts = |value: &Value| match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(text) => vec![text.clone()],
        _ => Vec::new(),
    };
    let mut faults = Vec::new();
    let pairing = &gateway["nodes"]["pairing"]["autoApproveCidrs"];
    for (path, ranges) in [
        (vec!["trustedProxies"], texts(&gateway["trustedProxies"])),
        (vec!["nodes", "pairing", "autoApproveCidrs"], texts(pairing)),
    ] {
        if let Some(index) = ranges.iter().position(|text| Cidr::parse(text).is_none()) {
            let what = format!(
                "entry {index} is no address or range: expected ones like 10.0.0.1, 10.0.0.0/8, \
                 fd00::/8"
            );
            faults.push((path, what));
        }
    }
    for name in ["userHeader", "requiredHeaders"] {
        if texts(&proxy[name]).iter().any(|text| !is_header_name(text.trim())) {
            let what = "expected the name of a header".to_owned();
            faults.push((vec!["auth", "trustedProxy", name], what));
        }
    }
    faults
}

/// A header name (RFC 9110 section 5.1).
fn is_header_name(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_users_compare_without_case() {
        let scopes = IdentityScopes(vec![
            ("Ann@Example.com".to_owned(), vec!["operator.approvals"]),
            ("ann@example.com".to_owned(), vec!["operator.read"]),
            ("bob".to_owned(), vec!["operator.admin"]),
        ]);
        assert_eq!(scopes.of("ann@EXAMPLE.com"), ["operator.read", "operator.approvals"]);
        assert_eq!(scopes.of("bob"), ["operator.admin"]);
        assert!(scopes.of("Bob").is_empty(), "a name that is no address compares exactly");
        assert!(scopes.of("").is_empty());
    }

    #[test]
    fn what_an_approved_device_gets() {
        let set = DeviceAutoApprove {
            scopes: vec!["operator.read", "operator.write"],
            default_scopes: false,
        };
        assert_eq!(set.grant(&[]), ["operator.read", "operator.write"]);
        assert_eq!(set.grant(&["operator.read"]), ["operator.read"]);
        assert_eq!(set.grant(&["operator.admin"]), ["operator.read", "operator.write"]);
        assert!(set.grant(&["operator.pairing"]).is_empty());
        let unset = DeviceAutoApprove { scopes: AUTO_APPROVED.to_vec(), default_scopes: true };
        assert_eq!(unset.grant(&["operator.read"]), ["operator.read", "operator.questions"]);
    }
}
