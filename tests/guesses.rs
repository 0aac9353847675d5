//! Who guesses at the doors is slowed down: one budget for one address over all of them.

mod common;

use common::http::{Http, TOKEN, ask, get};
use common::provider::config;
use common::socket::{Socket, params};
use common::{Gateway, Home};
use serde_json::{Value, json};

const HOOKS: &str = "hooks: {enabled: true, token: 'hook-t0ken'}";

/// A gateway that counts programs of this machine too, with further keys of `rateLimit`.
fn strict(home: &Home, more: &str) -> Gateway {
    home.configure(&text(&format!("exemptLoopback: false, {more}")));
    home.start("")
}

fn text(limit: &str) -> String {
    config(&[], "primary: 'local/echo'", HOOKS)
        .replace("auth: {", &format!("auth: {{rateLimit: {{{limit}}}, "))
}

fn bearer(token: &str) -> String {
    get("/v1/models").replace(TOKEN, token)
}

fn guess(auth: Value) -> Value {
    let mut params = params();
    params["auth"] = auth;
    params
}

/// What a `connect` is refused with.
fn refused(gateway: &Gateway, headers: &str, auth: Value) -> Value {
    let mut socket = Socket::upgrade(gateway.port, "/", headers).expect("101");
    let error = socket.call("connect", &guess(auth)).expect_err("refused");
    assert_eq!(socket.closed().0, Some(1008));
    error
}

#[test]
fn one_budget_over_websocket_http_and_hooks() {
    let home = Home::new();
    let gateway = strict(&home, "");
    for n in 0..5 {
        assert_eq!(ask(gateway.port, bearer("nope")).status, 401, "{n}");
        let error = refused(&gateway, "", json!({"token": "nope"}));
        assert_eq!(error["details"]["code"], "AUTH_TOKEN_MISMATCH", "{n}");
    }
    // The eleventh is not compared, be it right or wrong, at whichever door.
    for token in ["nope", TOKEN] {
        let slowed = ask(gateway.port, bearer(token));
        assert_eq!(slowed.status, 429, "{slowed:?}");
        let seconds: u64 = slowed.header("retry-after").unwrap().parse().unwrap();
        assert!((290..=300).contains(&seconds), "{seconds}");
        assert_eq!(slowed.json()["error"]["type"], "rate_limited");
        let error = refused(&gateway, "", json!({"token": token}));
        assert_eq!(error["code"], "INVALID_REQUEST");
        let text = "unauthorized: too many failed authentication attempts (retry later)";
        assert_eq!(error["message"], text);
        assert_eq!(
            error["details"],
            json!({"code": "AUTH_RATE_LIMITED", "authReason": "rate_limited",
                   "recommendedNextStep": "wait_then_retry"})
        );
        assert_eq!(error["retryable"], true);
        assert!(error["retryAfterMs"].as_u64().is_some_and(|wait| wait <= 300_000), "{error}");
    }
    let hook = "POST /hooks/wake HTTP/1.1\r\nHost: localhost\r\nX-OpenClaw-Token: hook-t0ken\r\n\
                Content-Length: 0\r\n\r\n";
    let slowed = ask(gateway.port, hook);
    assert_eq!((slowed.status, slowed.text().as_str()), (429, "Too Many Requests"));
    // Who shows nothing is not counted and is told what is missing.
    let nothing = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(ask(gateway.port, nothing).status, 401);
    assert_eq!(ask(gateway.port, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
    let log = std::fs::read_to_string(home.state().join("logs/openclaw.log")).unwrap();
    assert!(log.contains("too many wrong credentials"), "{log}");
}

#[test]
fn by_default_programs_of_this_machine_are_not_counted_and_pages_are() {
    let home = Home::new();
    home.configure(&config(&[], "primary: 'local/echo'", HOOKS));
    let gateway = home.start("");
    let mut http = Http::connect(gateway.port);
    for _ in 0..30 {
        assert_eq!(http.exchange(bearer("nope")).status, 401);
    }
    let page = "Origin: http://localhost:3000\r\n";
    for _ in 0..10 {
        let error = refused(&gateway, page, json!({"token": "nope"}));
        assert_eq!(error["details"]["code"], "AUTH_TOKEN_MISMATCH");
    }
    let error = refused(&gateway, page, json!({"token": TOKEN}));
    assert_eq!(error["details"]["code"], "AUTH_RATE_LIMITED");
    let from =
        |origin: &str| bearer("nope").replace("\r\nAuth", &format!("\r\nOrigin: {origin}\r\nAuth"));
    assert_eq!(ask(gateway.port, from("http://localhost:3000")).status, 429, "one budget");
    // Another page has its own, and whoever is no page is not touched.
    assert_eq!(ask(gateway.port, from("http://localhost:3001")).status, 401);
    Socket::connect(gateway.port).is_alive();
    // A name that is not of this machine only makes a request less local.
    let named = bearer("nope").replace("Host: localhost", "Host: box.example");
    for _ in 0..10 {
        assert_eq!(ask(gateway.port, &named).status, 401);
    }
    assert_eq!(ask(gateway.port, &named).status, 429);
    Socket::connect(gateway.port).is_alive();
}

#[test]
fn junk_beside_the_guess_does_not_switch_the_limit_off() {
    let home = Home::new();
    let gateway = strict(&home, "maxAttempts: 6");
    for n in 0..2 {
        for auth in [
            json!({"token": "nope", "deviceToken": format!("junk{n}")}),
            json!({"password": "nope", "bootstrapToken": "junk", "approvalRuntimeToken": "x"}),
            json!({"deviceToken": "nope"}),
        ] {
            let error = refused(&gateway, "", auth);
            assert_ne!(error["details"]["code"], "AUTH_RATE_LIMITED", "{error}");
        }
    }
    let error = refused(&gateway, "", json!({"token": TOKEN, "deviceToken": "junk"}));
    assert_eq!(error["details"]["code"], "AUTH_RATE_LIMITED");
}

#[test]
fn missing_credentials_are_not_counted_and_the_right_one_clears() {
    let home = Home::new();
    let gateway = strict(&home, "maxAttempts: 3");
    for _ in 0..3 {
        for _ in 0..2 {
            assert_eq!(ask(gateway.port, bearer("nope")).status, 401);
        }
        let nothing = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n";
        assert_eq!(ask(gateway.port, nothing).status, 401);
        refused(&gateway, "", json!({}));
        refused(&gateway, "", json!({"token": ""}));
        Socket::connect(gateway.port).is_alive();
    }
    assert_eq!(ask(gateway.port, bearer(TOKEN)).status, 200);
}

#[cfg(feature = "process")]
#[test]
fn a_new_limit_holds_at_once_and_what_was_counted_stays() {
    let home = Home::new();
    let gateway = strict(&home, "");
    let mut client = Socket::connect(gateway.port);
    for _ in 0..4 {
        assert_eq!(ask(gateway.port, bearer("nope")).status, 401);
    }
    let mut change = |limit: &str| {
        let mut hash = || client.call("config.get", &json!({})).unwrap()["hash"].clone();
        let before = hash();
        home.configure(&text(limit));
        gateway.signal(rustix::process::Signal::HUP);
        let deadline = std::time::Instant::now() + common::PATIENCE;
        while hash() == before {
            assert!(std::time::Instant::now() < deadline, "not applied");
        }
    };
    change("maxAttempts: 4, lockoutMs: 86400000, exemptLoopback: false");
    assert_eq!(ask(gateway.port, bearer(TOKEN)).status, 429);
    change("maxAttempts: 100, exemptLoopback: false");
    assert_eq!(ask(gateway.port, bearer(TOKEN)).status, 429, "an earned lock stays");
    change("exemptLoopback: true");
    assert_eq!(ask(gateway.port, bearer(TOKEN)).status, 200);
}
