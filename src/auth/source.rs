//! Where a request comes from, decided once from its head and the peer's address.
//!
//! A peer address grants nothing by itself, and a forwarding header is worth nothing unless a
//! configured trusted proxy sent it (`gateway.trustedProxies`):
//!
//! ```text
//!   no forwarding header ----------------------------> the peer itself
//!   forwarding header, peer is no trusted proxy -----> refused
//!   X-Forwarded-For: a, b, c  from a trusted proxy --> from the right, the first that is no
//!                                                      trusted proxy; what is no address, the
//!                                                      loopback or nobody: refused
//!   X-Real-IP alone, with allowRealIpFallback -------> that address, on the same terms
//! ```

use super::{has_forwarding_header, is_loopback};
use crate::auth::origin::is_local_name;
use crate::auth::proxy;
use crate::config::auth::Proxies;
use crate::wire::http::head::Headers;
use crate::wire::url::parse_host_port;
use std::net::{IpAddr, SocketAddr};

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
    /// `x-openclaw-scopes`, if it was there (all lines, joined); only narrows, and only where
    /// the caller's identity comes with the request.
    pub scopes_header: Option<String>,
    /// The user whom a trusted proxy vouches for, or why nobody is; asked in mode
    /// `trusted-proxy` only, see [`proxy::vouch`].
    pub vouched: Option<Result<String, proxy::Refused>>,
}

/// Why nobody can say where a request comes from: a forwarding header that no trusted proxy
/// sent, or none that names a client. Told as `proxy_attribution_required` at every door
/// (FACTS.md section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unattributed;

/// Decides.
///
/// # Errors
/// See [`Unattributed`].
pub fn attribute(
    headers: &Headers,
    peer: IpAddr,
    proxies: &Proxies,
) -> Result<Source, Unattributed> {
    let proxied = has_forwarding_header(headers);
    let ip = match proxied {
        true => client(headers, peer, proxies).ok_or(Unattributed)?,
        false => peer.to_canonical(),
    };
    // One that cannot be read, as `2130706433`, names no machine, so not this one either.
    let local_host =
        |host: &str| parse_host_port(host).is_some_and(|(name, _)| is_local_name(&name));
    let scopes: Vec<&str> = headers.get_all("x-openclaw-scopes").collect();
    Ok(Source {
        ip,
        local: !proxied && is_loopback(peer) && headers.get("host").is_some_and(local_host),
        proxied,
        origin: headers.get("origin").map(str::to_owned),
        browser: headers.get("origin").is_some() || headers.get("sec-fetch-site").is_some(),
        scopes_header: (!scopes.is_empty()).then(|| scopes.join(",")),
        vouched: None,
    })
}

/// The client that a trusted proxy names.
fn client(headers: &Headers, peer: IpAddr, proxies: &Proxies) -> Option<IpAddr> {
    let trusted = |ip: IpAddr| proxies.trusted.iter().any(|range| range.contains(ip));
    if !trusted(peer) {
        return None;
    }
    let chain: Vec<&str> = headers.get_all("x-forwarded-for").collect();
    let found = if chain.is_empty() {
        let named = headers.only("x-real-ip").filter(|_| proxies.real_ip_fallback)?;
        address(named)?
    } else {
        // What a client wrote itself stands left of what the proxies added.
        let hops = chain.iter().flat_map(|line| line.split(',')).rev().map(address);
        let mut hops = hops.skip_while(|hop| hop.is_some_and(trusted));
        hops.next()??
    };
    (!is_loopback(found) && !found.is_unspecified()).then_some(found)
}

/// An address as proxies write it: plain, in brackets, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let plain = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let ip = match plain.parse::<IpAddr>() {
        Ok(ip) => ip,
        Err(_) => text.parse::<SocketAddr>().ok()?.ip(),
    };
    Some(ip.to_canonical())
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
