//! Who may enter: the shared secret, where a peer is, which origins and hosts may ask, and how
//! often anybody may guess.
//!
//! Every question is decided by one function, used by every door. A peer address grants nothing
//! by itself; secrets are compared by digest in constant time.

pub mod device;
pub mod devices;
pub mod identity;
pub mod limiter;
pub mod nodes;
pub mod origin;
pub mod proxy;
pub mod source;
#[cfg(test)]
pub(crate) mod testing;

use crate::config::{Auth, AuthMode, Secret};
use crate::protocol::{CLIENT_IDS, OPERATOR_SCOPES};
use crate::wire::hash::constant_time_eq_digest;
use crate::wire::http::head::Headers;
use std::net::IpAddr;

/// The secret in force, after flags, environment and file were weighed.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// How callers prove themselves.
    pub mode: AuthMode,
    token: Option<Secret>,
    password: Option<Secret>,
}

/// What comparing a presented secret said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the secret (or none is asked for).
    Granted,
    /// Nothing was presented.
    Missing,
    /// Something else was presented.
    Mismatch,
}

impl Credentials {
    /// For a mode and its secrets.
    pub fn new(mode: AuthMode, token: Option<Secret>, password: Option<Secret>) -> Self {
        Self { mode, token, password }
    }

    /// What a configuration section says, for a mode already decided.
    pub fn from_config(mode: AuthMode, auth: &Auth) -> Self {
        Self::new(mode, auth.token.clone(), auth.password.clone())
    }

    /// The configured secret of the mode.
    pub fn secret(&self) -> Option<&Secret> {
        match self.mode {
            AuthMode::Token => self.token.as_ref(),
            AuthMode::Password => self.password.as_ref(),
            AuthMode::None | AuthMode::TrustedProxy => None,
        }
    }

    /// Compares a password with the local one of mode `trusted-proxy`, which is for processes
    /// of this machine that come directly: whoever calls this has made sure of that.
    pub fn check_local_password(&self, presented: Option<&str>) -> Verdict {
        match presented.filter(|text| !text.is_empty()) {
            None => Verdict::Missing,
            Some(text) => {
                let secret = self.password.as_ref().map_or("", Secret::expose);
                let same = constant_time_eq_digest(text.as_bytes(), secret.as_bytes());
                match self.mode == AuthMode::TrustedProxy && !secret.is_empty() && same {
                    true => Verdict::Granted,
                    false => Verdict::Mismatch,
                }
            }
        }
    }

    /// Whether whoever satisfied these satisfies the others as well.
    pub fn same(&self, other: &Self) -> bool {
        let secret = |of: &Self| {
            let local = of.password.as_ref().filter(|_| of.mode == AuthMode::TrustedProxy);
            of.secret().or(local).map_or(String::new(), |secret| secret.expose().to_owned())
        };
        other.mode == AuthMode::None
            || self.mode == other.mode
                && constant_time_eq_digest(secret(self).as_bytes(), secret(other).as_bytes())
    }

    /// Compares what a client presented. Clients put the secret in the token or the password
    /// field, whichever they have; an empty string counts as nothing.
    pub fn check<'a>(&self, presented: impl IntoIterator<Item = &'a str>) -> Verdict {
        if self.mode == AuthMode::None {
            return Verdict::Granted;
        }
        let secret = self.secret().map_or("", Secret::expose);
        let mut verdict = Verdict::Missing;
        for text in presented.into_iter().filter(|text| !text.is_empty()) {
            if !secret.is_empty() && constant_time_eq_digest(text.as_bytes(), secret.as_bytes()) {
                return Verdict::Granted;
            }
            verdict = Verdict::Mismatch;
        }
        verdict
    }
}

/// Loopback, also as an IPv4-mapped IPv6 address.
pub fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Headers that a reverse proxy adds. Without a configured trusted proxy nobody can say what
/// they are worth, so a request that carries one is refused. `Via` is none of them: it names
/// no client.
pub fn has_forwarding_header(headers: &Headers) -> bool {
    const NAMES: [&str; 5] =
        ["forwarded", "x-real-ip", "cf-connecting-ip", "true-client-ip", "tailscale-user-login"];
    const PREFIX: &str = "x-forwarded-";
    headers.iter().any(|(name, _)| {
        NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
            || name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
    })
}

/// The scopes a device-less client keeps when it shows the shared secret: what it asked for and
/// what exists. Probes and tests get none, as in the reference; a browser origin that is not the
/// control page cannot declare scopes for itself. A client name only ever narrows.
pub fn granted_scopes(
    asked: &[String],
    client_id: &str,
    client_mode: &str,
    browser: bool,
) -> Vec<String> {
    debug_assert!(CLIENT_IDS.contains(&client_id));
    let narrowed = browser || matches!(client_mode, "probe" | "test");
    if narrowed {
        return Vec::new();
    }
    known_scopes(asked)
}

/// The scopes among these that exist, in the order asked, each once.
pub fn known_scopes(asked: &[String]) -> Vec<String> {
    let mut granted: Vec<String> = Vec::new();
    for scope in asked {
        if OPERATOR_SCOPES.contains(&scope.as_str()) && !granted.contains(scope) {
            granted.push(scope.clone());
        }
    }
    granted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Credentials {
        Credentials::new(AuthMode::Token, Some(Secret::new("s3cret".to_owned())), None)
    }

    #[test]
    fn a_secret_is_the_secret_in_either_field() {
        let table: [(&[&str], Verdict); 7] = [
            (&["s3cret"], Verdict::Granted),
            (&["nope", "s3cret"], Verdict::Granted),
            (&["s3cre"], Verdict::Mismatch),
            (&["s3cret "], Verdict::Mismatch),
            (&[""], Verdict::Missing),
            (&[], Verdict::Missing),
            (&["", "x"], Verdict::Mismatch),
        ];
        for (presented, want) in table {
            assert_eq!(token().check(presented.iter().copied()), want, "{presented:?}");
        }
    }

    #[test]
    fn an_unset_secret_admits_nobody() {
        let unset = Credentials::new(AuthMode::Token, None, None);
        assert_eq!(unset.check(["", "x"]), Verdict::Mismatch);
        let empty = Credentials::new(AuthMode::Password, None, Some(Secret::new(String::new())));
        assert_eq!(empty.check([""]), Verdict::Missing);
        assert_eq!(empty.check(["x"]), Verdict::Mismatch);
    }

    #[test]
    fn scopes_are_what_was_asked_and_exists() {
        let asked: Vec<String> =
            ["operator.read", "operator.nonsense", "operator.read"].map(str::to_owned).to_vec();
        assert_eq!(granted_scopes(&asked, "cli", "cli", false), ["operator.read"]);
        assert!(granted_scopes(&asked, "cli", "probe", false).is_empty());
        assert!(granted_scopes(&asked, "test", "test", false).is_empty());
        assert!(granted_scopes(&asked, "gateway-client", "backend", true).is_empty());
    }

    #[test]
    fn headers_of_proxies_are_known() {
        for (name, want) in [
            ("X-Forwarded-For", true),
            ("x-forwarded-", true),
            ("X-FORWARDED-Client-Cert", true),
            ("X-Real-IP", true),
            ("Forwarded", true),
            ("CF-Connecting-IP", true),
            ("True-Client-IP", true),
            ("Tailscale-User-Login", true),
            ("Via", false),
            ("X-Forwarded", false),
            ("X-Forward-For", false),
        ] {
            let mut server = crate::wire::http::server::Server::new();
            server.push(format!("GET / HTTP/1.1\r\nHost: x\r\n{name}: \r\n\r\n").as_bytes());
            let Some(crate::wire::http::server::Event::Head(head)) = server.next() else {
                panic!("{name}");
            };
            assert_eq!(has_forwarding_header(&head.headers), want, "{name}");
        }
    }

    #[test]
    fn mapped_loopback_is_loopback() {
        for (ip, want) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("::ffff:10.0.0.1", false),
            ("10.0.0.1", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(is_loopback(ip.parse().unwrap()), want, "{ip}");
        }
    }
}
