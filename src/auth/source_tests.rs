use super::*;
use crate::auth::testing::headers;
use crate::wire::cidr::Cidr;

fn proxies(trusted: &[&str], real_ip_fallback: bool) -> Proxies {
    let trusted = trusted.iter().map(|text| Cidr::parse(text).unwrap()).collect();
    Proxies { trusted, real_ip_fallback }
}

fn from(trusted: &[&str], real_ip: bool, peer: &str, head: &str) -> Result<Source, Unattributed> {
    attribute(&headers(head), peer.parse().unwrap(), &proxies(trusted, real_ip))
}

#[test]
fn without_a_trusted_proxy_no_forwarding_header_passes() {
    for peer in ["127.0.0.1", "::1", "10.0.0.9", "203.0.113.9"] {
        for name in [
            "X-Forwarded-For: 203.0.113.9",
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Proto: https",
            "X-Forwarded-User: ann",
            "X-Real-IP: 127.0.0.1",
            "Forwarded: for=127.0.0.1",
            "CF-Connecting-IP: 127.0.0.1",
            "Tailscale-User-Login: ann",
        ] {
            for trusted in [&[][..], &["192.0.2.1", "10.0.1.0/24"]] {
                let got = from(trusted, true, peer, &format!("Host: localhost\r\n{name}\r\n"));
                assert_eq!(got, Err(Unattributed), "{peer} {name}");
            }
        }
        let direct = from(&[], false, peer, "Host: localhost\r\nVia: 1.1 x\r\n").unwrap();
        assert_eq!(direct.ip, peer.parse::<IpAddr>().unwrap());
        assert_eq!(direct.local, is_loopback(direct.ip), "{peer}");
        assert!(!direct.proxied);
    }
}

#[test]
fn the_rightmost_untrusted_address_is_the_client() {
    let trusted = ["127.0.0.1", "10.0.0.0/8"];
    for (chain, want) in [
        ("203.0.113.9", Some("203.0.113.9")),
        (" 203.0.113.9 ", Some("203.0.113.9")),
        ("203.0.113.9, 10.0.0.2", Some("203.0.113.9")),
        ("198.51.100.1, 203.0.113.9, 10.0.0.2, ::ffff:10.0.0.3", Some("203.0.113.9")),
        // What the client itself claims to have come through changes nothing.
        ("127.0.0.1, 203.0.113.9", Some("203.0.113.9")),
        ("junk, 203.0.113.9", Some("203.0.113.9")),
        ("10.0.0.2, 203.0.113.9", Some("203.0.113.9")),
        ("203.0.113.9:4444", Some("203.0.113.9")),
        ("[2001:db8::1]:99", Some("2001:db8::1")),
        ("[2001:db8::1]", Some("2001:db8::1")),
        ("2001:db8::1", Some("2001:db8::1")),
        ("::ffff:203.0.113.9", Some("203.0.113.9")),
        // Nobody outside, or nothing that can be read on the way to somebody.
        ("", None),
        (",", None),
        ("junk", None),
        ("203.0.113.9,", None),
        ("203.0.113.9, junk", None),
        ("203.0.113.9, junk, 10.0.0.2", None),
        ("10.0.0.2", None),
        ("127.0.0.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("203.0.113.9, 127.0.0.2", None),
        ("0.0.0.0", None),
        ("::", None),
        ("unknown", None),
        ("localhost", None),
        ("2130706433", None),
        ("0x7f.1", None),
        ("fe80::1%eth0", None),
    ] {
        for peer in ["127.0.0.1", "10.0.0.1", "::ffff:10.0.0.1"] {
            let head = format!("Host: localhost\r\nX-Forwarded-For: {chain}\r\n");
            let got = from(&trusted, false, peer, &head);
            let got = got.map(|source| {
                assert!(source.proxied && !source.local, "never local: {chain}");
                source.ip
            });
            assert_eq!(got.ok(), want.map(|ip| ip.parse().unwrap()), "{peer} {chain:?}");
        }
    }
    let two = "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.9\r\n";
    assert_eq!(from(&trusted, false, "10.0.0.1", two).unwrap().ip.to_string(), "203.0.113.9");
}

#[test]
fn x_real_ip_counts_only_by_configuration_and_alone() {
    let trusted = ["10.0.0.1"];
    for (real_ip, head, want) in [
        (false, "X-Real-IP: 203.0.113.9\r\n", None),
        (true, "X-Real-IP: 203.0.113.9\r\n", Some("203.0.113.9")),
        (true, "X-Real-IP: 127.0.0.1\r\n", None),
        (true, "X-Real-IP: 203.0.113.9, 198.51.100.1\r\n", None),
        (true, "X-Real-IP: 203.0.113.9\r\nX-Real-IP: 198.51.100.1\r\n", None),
        (true, "X-Real-IP: 203.0.113.9\r\nX-Forwarded-For: 198.51.100.1\r\n", Some("198.51.100.1")),
        (true, "X-Real-IP: 203.0.113.9\r\nX-Forwarded-For: 127.0.0.1\r\n", None),
        (true, "Forwarded: for=203.0.113.9\r\n", None),
        (true, "X-Forwarded-Proto: https\r\n", None),
    ] {
        let got = from(&trusted, real_ip, "10.0.0.1", head).ok().map(|source| source.ip);
        assert_eq!(got, want.map(|ip| ip.parse().unwrap()), "{real_ip} {head}");
    }
}

#[test]
fn a_scopes_header_on_several_lines_is_one() {
    let head = "x-openclaw-scopes: operator.read\r\nX-OpenClaw-Scopes: operator.write\r\n";
    let source = from(&[], false, "127.0.0.1", head).unwrap();
    assert_eq!(source.scopes_header.as_deref(), Some("operator.read,operator.write"));
    let empty = from(&[], false, "127.0.0.1", "x-openclaw-scopes:\r\n").unwrap();
    assert_eq!(empty.scopes_header.as_deref(), Some(""));
}
