//! Where a request comes from, decided once from its head and the peer's address.
//!
//! A peer address grants nothing by itself, and a forwarding header is worth nothing unless a
//! configured trusted proxy sent it (`gateway.trustedProxies`).

use super::{has_forwarding_header, is_loopback};
use crate::auth::origin::is_local_name;
use crate::wire::http::head::Headers;
use crate::wire::url::parse_host_port;
use std::net::IpAddr;

/// Where a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The client's address: the peer's own, or the one that a trusted proxy vouches for.
    /// IPv4-mapped IPv6 is folded.
    pub ip: IpAddr,
    /// A direct loopback peer, no forwarding header, and `Host` a loopback name or literal: a
    /// process of this machine. It relaxes pairing and throttling, and never replaces a secret.
    pub local: bool,
    /// A trusted proxy handed it on.
    pub proxied: bool,
    /// A page asks: Origin or Sec-Fetch-Site was there.
    pub browser: bool,
    /// The page's origin, as it was told.
    pub origin: Option<String>,
    /// `x-openclaw-scopes`, if it was there; only narrows, and only where a proxy vouches.
    pub scopes_header: Option<String>,
}

/// Why nobody can say where a request comes from: a forwarding header that no trusted proxy
/// sent. Told as `proxy_attribution_required` at every door (FACTS.md section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unattributed;

/// Decides.
///
/// # Errors
/// See [`Unattributed`].
pub fn attribute(headers: &Headers, peer: IpAddr) -> Result<Source, Unattributed> {
    if has_forwarding_header(headers) {
        return Err(Unattributed);
    }
    // One that cannot be read, as `2130706433`, names no machine, so not this one either.
    let local_host =
        |host: &str| parse_host_port(host).is_some_and(|(name, _)| is_local_name(&name));
    Ok(Source {
        ip: peer.to_canonical(),
        local: is_loopback(peer) && headers.get("host").is_none_or(local_host),
        proxied: false,
        origin: headers.get("origin").map(str::to_owned),
        browser: headers.get("origin").is_some() || headers.get("sec-fetch-site").is_some(),
        scopes_header: headers.get("x-openclaw-scopes").map(str::to_owned),
    })
}
