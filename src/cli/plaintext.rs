//! Where a command may speak `ws://`: unencrypted, so that everybody on the way can read the
//! secret and the conversation.
//!
//! The rule is the reference's (docs/gateway/security/network-exposure.md): this machine, private
//! and link-local addresses, Tailscale's addresses and `.ts.net` names, `.local` names. Another
//! name may stand for a private address; who knows that says so in the environment. A public
//! address is never spoken to in the clear.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Failed, place};
use crate::wire::url::Url;

/// What lets other names through.
pub const ALLOW: &str = "OPENCLAW_ALLOW_INSECURE_PRIVATE_WS";

/// How far a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Private,
    Name,
    Public,
}

/// Refuses what would go out in the clear; `whence` is where the address was written.
///
/// # Errors
/// For `ws://` and `http://` beyond a private network.
pub fn check(url: &Url, whence: &str, env: &BTreeMap<String, String>) -> Result<(), Failed> {
    if url.scheme.is_tls() {
        return Ok(());
    }
    let allowed = place::var(env, ALLOW) == Some("1");
    let host = &url.host;
    let why = match reach(host) {
        Reach::Private => return Ok(()),
        Reach::Name if allowed => return Ok(()),
        Reach::Name => format!("`{host}` may be a public host"),
        Reach::Public => format!("{host} is a public address"),
    };
    let scheme = url.scheme.as_str();
    let what = format!(
        "{whence}: refusing {scheme}:// to {host}: it is not encrypted, and {why}. \
         Secret and conversation would be readable on the way"
    );
    let mut next = format!(
        "use wss://, or a tunnel: ssh -N -L {port}:127.0.0.1:{port} user@{host}, then \
         ws://127.0.0.1:{port}",
        port = url.port
    );
    if reach(host) == Reach::Name {
        next.push_str(&format!("; if the name is private: {ALLOW}=1 openclaw ..."));
    }
    Err(Failed::new(what, next))
}

fn reach(host: &str) -> Reach {
    let host = host.strip_suffix('.').unwrap_or(host);
    if let Ok(ip) = host.parse::<IpAddr>() {
        return if private(ip.to_canonical()) { Reach::Private } else { Reach::Public };
    }
    let under = |domain: &str| host.strip_suffix(domain).is_some_and(|name| !name.is_empty());
    if host == "localhost" || under(".local") || under(".ts.net") {
        return Reach::Private;
    }
    Reach::Name
}

fn private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let cgnat = first == 100 && (64..128).contains(&second);
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || cgnat
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(url: &str, allow: bool) -> Result<(), String> {
        let allow = allow.then(|| (ALLOW.to_owned(), "1".to_owned()));
        let env = allow.into_iter().collect();
        check(&Url::parse(url).unwrap(), "--url", &env).map_err(|failed| failed.to_string())
    }

    #[test]
    fn private_hosts_may_speak_in_the_clear() {
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "localhost",
            "localhost.",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.202",
            "169.254.3.4",
            "100.64.0.9",
            "[fd7a::1]",
            "[fe80::1]",
            "mac.local",
            "box.tail1234.ts.net",
        ] {
            assert_eq!(verdict(&format!("ws://{host}:18789"), false), Ok(()), "{host}");
        }
    }

    #[test]
    fn other_names_need_a_word_and_public_addresses_tls() {
        for host in ["gateway", "gw.example", "127.evil.com", "evillocal", "ts.net", "local"] {
            let refused = verdict(&format!("ws://{host}:7"), false).unwrap_err();
            assert!(refused.contains("--url: refusing ws://"), "{refused}");
            assert!(refused.contains(ALLOW), "{refused}");
            assert!(refused.contains("ssh -N -L 7:127.0.0.1:7"), "{refused}");
            assert_eq!(verdict(&format!("ws://{host}:7"), true), Ok(()), "{host}");
            assert_eq!(verdict(&format!("wss://{host}:7"), false), Ok(()), "{host}");
        }
        for host in ["8.8.8.8", "100.128.0.1", "172.32.0.1", "[2001:db8::1]", "0.0.0.0"] {
            let refused = verdict(&format!("ws://{host}"), true).unwrap_err();
            assert!(refused.contains("public address"), "{refused}");
            assert!(!refused.contains(ALLOW), "{refused}");
        }
    }
}
