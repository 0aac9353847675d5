use super::*;
use crate::auth::testing::headers;

fn verdict(mode: AuthMode, peer: &str, text: &str) -> Result<bool, Refused> {
    let allowed = ["https://ui.example".to_owned()];
    let policy =
        Policy { allowed_origins: &allowed, mode, hostname: "pi", port: 18789, proxied: false };
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
        (Token, here, "Host: evil.example\r\nOrigin: http://evil.example\r\n", Err(Refused::Host)),
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
        let policy =
            Policy { allowed_origins: &allowed, mode, hostname: "pi", port: 1, proxied: false };
        decide(&headers(text), "127.0.0.1".parse().unwrap(), policy)
    };
    let evil = "Host: evil.example\r\nOrigin: https://evil.example\r\n";
    assert_eq!(asked(AuthMode::Token, evil), Ok(true));
    assert_eq!(asked(AuthMode::None, evil), Err(Refused::Host));
    let evil = "Host: localhost:1\r\nOrigin: https://evil.example\r\n";
    assert_eq!(asked(AuthMode::None, evil), Err(Refused::Origin));
}
