//! Mode `trusted-proxy`: whom the reverse proxy vouches for.
//!
//! The order is the reference's (docs/gateway/trusted-proxy-auth.md): the peer is a trusted
//! proxy, and not of this machine, where any process could play it; the required headers are
//! there; the user is named, and let in. Whoever fails has nothing else to show but, as a direct
//! process of this machine, the local password.

use super::is_loopback;
use crate::config::auth::{Proxies, TrustedProxy};
use crate::wire::http::head::Headers;
use std::net::IpAddr;

/// Why a proxy's word does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// `gateway.auth.trustedProxy` is missing.
    ConfigMissing,
    /// `gateway.trustedProxies` is empty.
    NoProxies,
    /// The peer is no trusted proxy, or did not come as one.
    UntrustedSource,
    /// A loopback peer, without `allowLoopback`.
    LoopbackSource,
    /// An address of this machine.
    LocalInterfaceSource,
    /// Nobody can say which addresses this machine has.
    LocalInterfaceCheckFailed,
    /// A required header, in lower case, is absent or blank.
    MissingHeader(String),
    /// The user header is absent or blank.
    UserMissing,
    /// The user is not in `allowUsers`.
    UserNotAllowed,
}

impl Refused {
    /// The reference's word in `details.authReason`, and in the log.
    pub fn reason(&self) -> String {
        let word = match self {
            Self::ConfigMissing => "config_missing",
            Self::NoProxies => "no_proxies_configured",
            Self::UntrustedSource => "untrusted_source",
            Self::LoopbackSource => "loopback_source",
            Self::LocalInterfaceSource => "local_interface_source",
            Self::LocalInterfaceCheckFailed => "local_interface_check_failed",
            Self::MissingHeader(name) => return format!("trusted_proxy_missing_header_{name}"),
            Self::UserMissing => "user_missing",
            Self::UserNotAllowed => "user_not_allowed",
        };
        format!("trusted_proxy_{word}")
    }

    /// `details.code` of the published list.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingHeader(_) | Self::UserMissing => "AUTH_IDENTITY_HEADER_REQUIRED",
            _ => "AUTH_UNAUTHORIZED",
        }
    }
}

/// The user whom the peer vouches for. `interfaces` are this machine's addresses, if anybody
/// can say; asked only for a trusted peer that is not on the loopback.
///
/// # Errors
/// See [`Refused`].
pub fn vouch(
    headers: &Headers,
    peer: IpAddr,
    proxies: &Proxies,
    rules: Option<&TrustedProxy>,
    interfaces: impl FnOnce() -> Option<Vec<IpAddr>>,
) -> Result<String, Refused> {
    let rules = rules.ok_or(Refused::ConfigMissing)?;
    if proxies.trusted.is_empty() {
        return Err(Refused::NoProxies);
    }
    if !proxies.trusted.iter().any(|range| range.contains(peer)) {
        return Err(Refused::UntrustedSource);
    }
    if is_loopback(peer) {
        if !rules.allow_loopback {
            return Err(Refused::LoopbackSource);
        }
    } else {
        let own = interfaces().ok_or(Refused::LocalInterfaceCheckFailed)?;
        let peer = peer.to_canonical();
        if own.iter().any(|own| own.to_canonical() == peer) {
            return Err(Refused::LocalInterfaceSource);
        }
    }
    for name in &rules.required_headers {
        if headers.get(name).is_none_or(|value| value.trim().is_empty()) {
            return Err(Refused::MissingHeader(name.to_ascii_lowercase()));
        }
    }
    // Twice would be two users: the proxy's and one that slipped through.
    let user = headers.only(&rules.user_header).map(str::trim).unwrap_or_default();
    if user.is_empty() {
        return Err(Refused::UserMissing);
    }
    if !rules.allow_users.is_empty() && !rules.allow_users.iter().any(|known| known == user) {
        return Err(Refused::UserNotAllowed);
    }
    Ok(user.to_owned())
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
