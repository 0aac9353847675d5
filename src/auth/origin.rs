//! Host and Origin, decided once for every door.
//!
//! Host stops DNS rebinding: it is checked always in mode `none`, and otherwise for requests a
//! browser makes (Origin or Sec-Fetch-* present). Origin stops foreign pages: a page may talk to
//! the gateway that served it, to one that lists its origin, or, from a loopback address and
//! towards a loopback name, to a gateway on the same machine.

use super::is_loopback;
use crate::config::AuthMode;
use crate::wire::http::head::Headers;
use crate::wire::url::{Scheme, Url, parse_host_port};
use std::net::IpAddr;

/// A host in lower case, and its port if one is written.
type HostPort = (String, Option<u16>);

/// What the decision depends on besides the request.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// `gateway.controlUi.allowedOrigins`.
    pub allowed_origins: &'a [String],
    /// The mode in force.
    pub mode: AuthMode,
    /// This machine's name.
    pub hostname: &'a str,
    /// The port the peer reached.
    pub port: u16,
    /// A trusted proxy handed the request on.
    pub proxied: bool,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The page's origin may not talk to us.
    Origin,
    /// `null` or not an origin at all.
    OriginInvalid,
    /// The name the page used for us is not ours.
    Host,
}

impl Refused {
    /// The reference's word in `details.reason`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Origin => "origin not allowed",
            Self::OriginInvalid => "origin missing or invalid",
            Self::Host => "host not allowed",
        }
    }

    /// For people, with the key to set.
    pub fn message(self) -> &'static str {
        match self {
            Self::Origin | Self::OriginInvalid => {
                "origin not allowed (open the Control UI from the gateway host or allow it in \
                 gateway.controlUi.allowedOrigins)"
            }
            Self::Host => {
                "host not allowed (use an address or this machine's name, or list the page's \
                 origin in gateway.controlUi.allowedOrigins)"
            }
        }
    }
}

/// Decides. `Ok(true)` means a browser asks.
///
/// # Errors
/// See [`Refused`].
pub fn decide(headers: &Headers, peer: IpAddr, policy: Policy<'_>) -> Result<bool, Refused> {
    let origin = headers.get("origin");
    let browser = origin.is_some() || headers.get("sec-fetch-site").is_some();
    if !browser && policy.mode != AuthMode::None {
        return Ok(false);
    }
    let host = match headers.get("host") {
        None => None,
        // What is no host is none of ours.
        Some(text) => Some(parse_host_port(text).ok_or(Refused::Host)?),
    };
    if let Some((name, _)) = &host
        && !policy.proxied
        && !host_is_ours(name, policy)
    {
        return Err(Refused::Host);
    }
    let Some(origin) = origin else { return Ok(browser) };
    let url = Url::parse(origin).map_err(|_| Refused::OriginInvalid)?;
    if url.path_and_query != "/" || headers.only("origin").is_none() {
        return Err(Refused::OriginInvalid);
    }
    let listed = policy
        .allowed_origins
        .iter()
        .any(|allowed| any_origin(allowed, policy) || allowed.eq_ignore_ascii_case(origin));
    if listed {
        return Ok(true);
    }
    let host = if policy.proxied { outer_host(headers, &url, host) } else { host };
    let (host_name, host_port) = host.ok_or(Refused::Origin)?;
    let host_port = host_port.unwrap_or(url.scheme.default_port());
    let known = !policy.proxied || !is_ambient(policy.mode) || host_is_ours(&host_name, policy);
    if known && same_name(&url.host, &host_name) && url.port == host_port {
        return Ok(true);
    }
    // Two loopback names of one machine; in mode `none` only our own port, since another
    // local page would need no secret. Not through a proxy: that is another machine's page.
    let both_local = !policy.proxied
        && is_loopback(peer)
        && is_local_name(&url.host)
        && is_local_name(&host_name);
    if both_local && (policy.mode != AuthMode::None || url.port == policy.port) {
        return Ok(true);
    }
    Err(Refused::Origin)
}

/// The host that the page's browser used, as a trusted proxy tells it; `None` when what it
/// tells is not one host, or another scheme than the page's.
fn outer_host(headers: &Headers, page: &Url, host: Option<HostPort>) -> Option<HostPort> {
    if headers.get("x-forwarded-proto").is_some() {
        let scheme = headers.only("x-forwarded-proto")?;
        let scheme = scheme.to_ascii_lowercase();
        if !matches!(
            (scheme.as_str(), page.scheme),
            ("http", Scheme::Http) | ("https", Scheme::Https)
        ) {
            return None;
        }
    }
    match headers.get("x-forwarded-host") {
        None => host,
        Some(_) => parse_host_port(headers.only("x-forwarded-host")?),
    }
}

/// Modes in which a page's request proves itself without the page knowing anything: nobody is
/// asked, or the proxy recognises the browser (by a cookie, a certificate). There a page whose
/// host name was merely pointed at the proxy must not pass for ours, nor may any page at all.
fn is_ambient(mode: AuthMode) -> bool {
    matches!(mode, AuthMode::None | AuthMode::TrustedProxy)
}

fn host_is_ours(name: &str, policy: Policy<'_>) -> bool {
    let name = name.trim_end_matches('.');
    let own = policy.hostname.to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok()
        || is_local_name(name)
        || (!own.is_empty()
            && (name.eq_ignore_ascii_case(&own)
                || name.eq_ignore_ascii_case(&format!("{own}.local"))))
        || policy.allowed_origins.iter().any(|origin| {
            any_origin(origin, policy)
                || Url::parse(origin).is_ok_and(|url| same_name(&url.host, name))
        })
}

/// `*` lets any page try its secret. Where none is asked, every page of the web would be an
/// operator: there origins are named one by one.
fn any_origin(allowed: &str, policy: Policy<'_>) -> bool {
    allowed == "*" && !is_ambient(policy.mode)
}

/// `localhost` or a loopback literal; never a prefix match.
pub fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(is_loopback)
}

fn same_name(a: &str, b: &str) -> bool {
    a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.'))
}

#[cfg(test)]
#[path = "origin_tests.rs"]
mod tests;
