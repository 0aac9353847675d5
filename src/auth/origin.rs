//! Host and Origin, decided once for every door.
//!
//! Host stops DNS rebinding: it is checked always in mode `none`, and otherwise for requests a
//! browser makes (Origin or Sec-Fetch-* present). Origin stops foreign pages: a page may talk to
//! the gateway that served it, to one that lists its origin, or, from a loopback address and
//! towards a loopback name, to a gateway on the same machine.

use super::is_loopback;
use crate::config::AuthMode;
use crate::wire::http::head::Headers;
use crate::wire::url::{Url, parse_host_port};
use std::net::IpAddr;

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
        && !host_is_ours(name, policy)
    {
        return Err(Refused::Host);
    }
    let Some(origin) = origin else { return Ok(browser) };
    let url = Url::parse(origin).map_err(|_| Refused::OriginInvalid)?;
    if url.path_and_query != "/" {
        return Err(Refused::OriginInvalid);
    }
    let listed = policy
        .allowed_origins
        .iter()
        .any(|allowed| any_origin(allowed, policy) || allowed.eq_ignore_ascii_case(origin));
    if listed {
        return Ok(true);
    }
    let (host_name, host_port) = host.ok_or(Refused::Origin)?;
    let host_port = host_port.unwrap_or(url.scheme.default_port());
    if same_name(&url.host, &host_name) && url.port == host_port {
        return Ok(true);
    }
    // Two loopback names of one machine; in mode `none` only our own port, since another
    // local page would need no secret.
    let both_local = is_loopback(peer) && is_local_name(&url.host) && is_local_name(&host_name);
    if both_local && (policy.mode != AuthMode::None || url.port == policy.port) {
        return Ok(true);
    }
    Err(Refused::Origin)
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
    allowed == "*" && policy.mode != AuthMode::None
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
mod tests {
    use super::*;
    use crate::wire::http::server::{Event, Server};

    fn headers(text: &str) -> Headers {
        let mut server = Server::new();
        server.push(format!("GET / HTTP/1.1\r\n{text}\r\n").as_bytes());
        match server.next() {
            Some(Event::Head(head)) => head.headers,
            other => panic!("{other:?}"),
        }
    }

    fn verdict(mode: AuthMode, peer: &str, text: &str) -> Result<bool, Refused> {
        let allowed = ["https://ui.example".to_owned()];
        let policy = Policy { allowed_origins: &allowed, mode, hostname: "pi", port: 18789 };
        decide(&headers(text), peer.parse().unwrap(), policy)
    }

    #[test]
    fn origins_and_hosts() {
        use AuthMode::{None, Token};
        let here = "127.0.0.1";
        let table: [(AuthMode, &str, &str, Result<bool, Refused>); 24] = [
            (Token, here, "Host: anything.example\r\n", Ok(false)),
            (None, here, "Host: anything.example\r\n", Err(Refused::Host)),
            (None, here, "Host: localhost:18789\r\n", Ok(false)),
            (Token, here, "Host: a!b\r\n", Ok(false)),
            (None, here, "Host: a!b\r\n", Err(Refused::Host)),
            (None, here, "Host: evil.example:0\r\n", Err(Refused::Host)),
            (Token, here, "Host: a!b\r\nOrigin: https://ui.example\r\n", Err(Refused::Host)),
            (None, here, "Host: 127.evil.com\r\n", Err(Refused::Host)),
            (None, here, "Host: localhost.\r\n", Ok(false)),
            (None, here, "Host: pi.local:18789\r\n", Ok(false)),
            (Token, here, "Host: localhost:1\r\nOrigin: http://localhost:1\r\n", Ok(true)),
            (Token, here, "Host: 127.0.0.1:1\r\nOrigin: http://localhost:5173\r\n", Ok(true)),
            (Token, "10.0.0.9", "Host: pi:1\r\nOrigin: http://pi:1\r\n", Ok(true)),
            (
                Token,
                "10.0.0.9",
                "Host: 10.0.0.1:1\r\nOrigin: http://localhost:5173\r\n",
                Err(Refused::Origin),
            ),
            (
                None,
                here,
                "Host: 127.0.0.1:18789\r\nOrigin: http://localhost:5173\r\n",
                Err(Refused::Origin),
            ),
            (None, here, "Host: 127.0.0.1:18789\r\nOrigin: http://localhost:18789\r\n", Ok(true)),
            (
                Token,
                here,
                "Host: localhost:1\r\nOrigin: https://evil.example\r\n",
                Err(Refused::Origin),
            ),
            (
                Token,
                here,
                "Host: evil.example\r\nOrigin: http://evil.example\r\n",
                Err(Refused::Host),
            ),
            (Token, here, "Host: localhost:1\r\nOrigin: null\r\n", Err(Refused::OriginInvalid)),
            (
                Token,
                here,
                "Host: localhost:1\r\nOrigin: http://localhost.evil:1\r\n",
                Err(Refused::Origin),
            ),
            (
                Token,
                here,
                "Host: localhost:1\r\nOrigin: http://127.0.0.1.evil.com\r\n",
                Err(Refused::Origin),
            ),
            (Token, here, "Host: localhost:1\r\nOrigin: https://ui.example\r\n", Ok(true)),
            (Token, here, "Host: ui.example\r\nOrigin: https://ui.example\r\n", Ok(true)),
            (Token, here, "Host: localhost:1\r\nSec-Fetch-Site: cross-site\r\n", Ok(true)),
        ];
        for (mode, peer, text, want) in table {
            assert_eq!(verdict(mode, peer, text), want, "{mode:?} {peer} {text}");
        }
    }

    #[test]
    fn any_origin_is_not_for_a_gateway_without_a_secret() {
        let asked = |mode, text| {
            let allowed = ["*".to_owned()];
            let policy = Policy { allowed_origins: &allowed, mode, hostname: "pi", port: 1 };
            decide(&headers(text), "127.0.0.1".parse().unwrap(), policy)
        };
        let evil = "Host: evil.example\r\nOrigin: https://evil.example\r\n";
        assert_eq!(asked(AuthMode::Token, evil), Ok(true));
        assert_eq!(asked(AuthMode::None, evil), Err(Refused::Host));
        let evil = "Host: localhost:1\r\nOrigin: https://evil.example\r\n";
        assert_eq!(asked(AuthMode::None, evil), Err(Refused::Origin));
    }
}
