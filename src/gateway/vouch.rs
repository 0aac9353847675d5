//! Callers whose identity comes with the request: the user of a trusted proxy, or nobody in
//! mode `none`; and the scopes header, which only ever narrows them.

use super::Gateway;
use super::conn::{Conn, State};
use crate::auth::Verdict;
use crate::auth::identity::{Identity, Proof, both, known_scopes_of};
use crate::auth::proxy::{Refused, vouch};
use crate::auth::source::Source;
use crate::config::{AuthMode, Config};
use crate::driver::Effects;
use crate::limits;
use crate::protocol::close;
use crate::wire::http::head::Headers;
use std::net::IpAddr;

/// This machine's addresses, read lately.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    read_at: Option<crate::driver::Time>,
    known: Option<Vec<IpAddr>>,
}

impl Gateway {
    /// In mode `trusted-proxy`, the user whom the peer vouches for, or why nobody is.
    pub(super) fn vouch(&mut self, source: &mut Source, headers: &Headers, peer: IpAddr) {
        if self.credentials.mode != AuthMode::TrustedProxy {
            return;
        }
        let config = self.config.clone();
        let gateway = &config.gateway;
        let rules = gateway.auth.trusted_proxy.as_ref();
        let vouched = match crate::auth::is_loopback(peer) && !source.proxied {
            // A process of this machine that says nothing of a client is no proxy.
            true => Err(Refused::UntrustedSource),
            false => vouch(headers, peer, &gateway.proxies, rules, || self.own_addresses()),
        };
        if let Err(refused) = &vouched {
            log::debug!(target: "gateway/auth", "{peer}: {}", refused.reason());
        }
        source.vouched = Some(vouched);
    }

    /// The addresses of this machine; read anew now and then, for they come and go.
    fn own_addresses(&mut self) -> Option<Vec<IpAddr>> {
        let now = self.now.time;
        let fresh = |at| now.ms_since(at) < limits::INTERFACES_MS;
        if !self.interfaces.read_at.is_some_and(fresh) {
            let known = (self.host.interfaces)();
            if known.is_none() {
                log::warn!(target: "gateway/auth", "the addresses of this machine cannot be \
                    read, so that no proxy is trusted with users; on Linux they are in \
                    /proc/net/fib_trie and /proc/net/if_inet6");
            }
            self.interfaces = Interfaces { read_at: Some(now), known };
        }
        self.interfaces.known.clone()
    }

    /// Who asks over HTTP; none when nothing proves it.
    pub(super) fn bearer_identity(
        &self,
        source: &Source,
        bearer: Option<&str>,
    ) -> Option<Identity> {
        let mut identity = match self.credentials.mode {
            AuthMode::None => Identity::full(Proof::Open),
            AuthMode::Token | AuthMode::Password => {
                let granted = self.credentials.check(bearer) == Verdict::Granted;
                return granted.then(|| Identity::full(Proof::Secret));
            }
            AuthMode::TrustedProxy => match &source.vouched {
                Some(Ok(user)) => Identity::full(self.proxy_proof(user, source)),
                _ => {
                    let granted = source.local
                        && self.credentials.check_local_password(bearer) == Verdict::Granted;
                    return granted.then(|| Identity::full(Proof::Secret));
                }
            },
        };
        if let Some(text) = &source.scopes_header {
            identity.ceiling = both(&identity.ceiling, &known_scopes_of(text));
        }
        Some(identity)
    }

    /// What stands behind a client that a proxy vouches for.
    pub(super) fn proxy_proof(&self, user: &str, source: &Source) -> Proof {
        Proof::Proxy {
            user: user.to_owned(),
            added: self.config.gateway.auth.identity_scopes.of(user),
            cap: source.scopes_header.as_deref().map(known_scopes_of),
        }
    }

    /// After an edit: when other proxies are trusted, or other users, whoever came in by the old
    /// rules comes in anew, and who is about to begins again.
    pub(super) fn revouch(&mut self, old: &Config, fx: &mut Effects) {
        let (old, new) = (&old.gateway, &self.config.gateway);
        let same = old.proxies == new.proxies
            && old.auth.trusted_proxy == new.auth.trusted_proxy
            && old.auth.identity_scopes == new.auth.identity_scopes;
        if same {
            return;
        }
        let stale = |conn: &Conn| match &conn.state {
            State::Handshake(shake) => shake.source.proxied || shake.source.vouched.is_some(),
            State::Client(client) => matches!(client.proof, Proof::Proxy { .. }),
            _ => false,
        };
        let stale: Vec<_> =
            self.conns.all().filter(|(_, conn)| stale(conn)).map(|(id, _)| id).collect();
        for id in stale {
            self.close_socket(id, close::POLICY, "the gateway's proxy rules changed", fx);
        }
    }
}
