use super::*;
use crate::auth::testing::headers;
use crate::wire::cidr::Cidr;

const PROXY: &str = "X-User: ann\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 203.0.113.9\r\n";

fn rules() -> TrustedProxy {
    TrustedProxy {
        user_header: "X-User".to_owned(),
        required_headers: vec!["X-Forwarded-Proto".to_owned()],
        allow_users: vec!["ann".to_owned(), "bob@example.com".to_owned()],
        allow_loopback: false,
        device_auto_approve: None,
    }
}

fn ask(peer: &str, rules: Option<&TrustedProxy>, head: &str) -> Result<String, Refused> {
    let trusted = ["127.0.0.1", "::1", "10.0.0.0/8"].map(|text| Cidr::parse(text).unwrap());
    let proxies = Proxies { trusted: trusted.to_vec(), real_ip_fallback: false };
    let own = || Some(vec!["127.0.0.1".parse().unwrap(), "10.0.0.7".parse().unwrap()]);
    vouch(&headers(head), peer.parse().unwrap(), &proxies, rules, own)
}

#[test]
fn the_rules_in_the_order_of_the_page() {
    let (usual, mut open) = (rules(), rules());
    open.allow_loopback = true;
    let missing = || Refused::MissingHeader("x-forwarded-proto".to_owned());
    type Row<'a> = (&'a str, Option<&'a TrustedProxy>, &'a str, Result<&'a str, Refused>);
    let table: [Row<'_>; 17] = [
        ("10.0.0.1", Some(&usual), PROXY, Ok("ann")),
        ("::ffff:10.0.0.1", Some(&usual), PROXY, Ok("ann")),
        ("10.0.0.1", None, PROXY, Err(Refused::ConfigMissing)),
        ("192.0.2.1", Some(&usual), PROXY, Err(Refused::UntrustedSource)),
        ("127.0.0.1", Some(&usual), PROXY, Err(Refused::LoopbackSource)),
        ("::1", Some(&usual), PROXY, Err(Refused::LoopbackSource)),
        // The loopback is told before the headers.
        ("127.0.0.1", Some(&usual), "", Err(Refused::LoopbackSource)),
        ("127.0.0.1", Some(&open), PROXY, Ok("ann")),
        ("127.0.0.1", Some(&open), "", Err(missing())),
        ("10.0.0.7", Some(&usual), PROXY, Err(Refused::LocalInterfaceSource)),
        ("::ffff:10.0.0.7", Some(&open), PROXY, Err(Refused::LocalInterfaceSource)),
        ("10.0.0.1", Some(&usual), "X-User: ann\r\nX-Forwarded-Proto: \r\n", Err(missing())),
        ("10.0.0.1", Some(&usual), "X-Forwarded-Proto: h\r\n", Err(Refused::UserMissing)),
        (
            "10.0.0.1",
            Some(&usual),
            "X-Forwarded-Proto: h\r\nX-User:  \r\n",
            Err(Refused::UserMissing),
        ),
        (
            "10.0.0.1",
            Some(&usual),
            "X-Forwarded-Proto: h\r\nX-User: eve\r\nX-User: ann\r\n",
            Err(Refused::UserMissing),
        ),
        (
            "10.0.0.1",
            Some(&usual),
            "X-Forwarded-Proto: h\r\nX-User: ANN\r\n",
            Err(Refused::UserNotAllowed),
        ),
        (
            "10.0.0.1",
            Some(&usual),
            "X-Forwarded-Proto: h\r\nx-user: bob@example.com\r\n",
            Ok("bob@example.com"),
        ),
    ];
    for (peer, rules, head, want) in table {
        assert_eq!(ask(peer, rules, head), want.map(str::to_owned), "{peer} {head}");
    }
}

#[test]
fn what_nobody_can_check_does_not_pass() {
    let trusted = vec![Cidr::parse("10.0.0.0/8").unwrap()];
    let proxies = Proxies { trusted, real_ip_fallback: false };
    let peer = "10.0.0.1".parse().unwrap();
    let got = vouch(&headers(PROXY), peer, &proxies, Some(&rules()), || None);
    assert_eq!(got, Err(Refused::LocalInterfaceCheckFailed));
    let nobody = Proxies::default();
    let got = vouch(&headers(PROXY), peer, &nobody, Some(&rules()), || Some(Vec::new()));
    assert_eq!(got, Err(Refused::NoProxies));
    assert_eq!(Refused::NoProxies.reason(), "trusted_proxy_no_proxies_configured");
    assert_eq!(Refused::UserMissing.code(), "AUTH_IDENTITY_HEADER_REQUIRED");
}
