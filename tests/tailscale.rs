//! What `tailscale serve` sends, played from the loopback, and what this gateway says of the keys
//! about Tailscale. The real bind to an address of a tailnet is in `tests/real/tailnet`.
#![cfg(feature = "process")]

mod common;

use common::device::{Device, cli};
use common::http::{TOKEN, ask};
use common::socket::{Socket, params};
use common::{Gateway, Home};
use serde_json::{Value, json};

/// What serve adds to a request of a person of the tailnet (tailscale.com/kb/1312/serve).
const SERVE: &str = "X-Forwarded-For: 100.101.102.103\r\nX-Forwarded-Proto: https\r\n\
    X-Forwarded-Host: pi.tail1234.ts.net\r\nTailscale-User-Login: ann@example.com\r\n\
    Tailscale-User-Name: Ann\r\nTailscale-User-Profile-Pic: https://example.com/ann.png\r\n\
    Tailscale-Headers-Info: https://tailscale.com/s/serve-headers\r\n";

fn start(home: &Home, more: &str, auth: &str) -> Gateway {
    home.configure(&format!(
        "{{gateway: {{mode: 'local', http: {{endpoints: {{chatCompletions: {{enabled: true}}}}}}, \
         {more}, auth: {{token: '{TOKEN}'{auth}}}}}}}"
    ));
    home.start("")
}

fn get(gateway: &Gateway, path: &str, headers: &str) -> u16 {
    let host = "Host: pi.tail1234.ts.net\r\n";
    ask(gateway.port, format!("GET {path} HTTP/1.1\r\n{host}{headers}\r\n")).status
}

fn connect(gateway: &Gateway, params: &Value) -> Result<Value, Value> {
    let mut socket = Socket::upgrade(gateway.port, "/", SERVE).map_err(|r| json!(r.status))?;
    socket.call("connect", params)
}

#[test]
fn who_comes_by_serve_shows_the_token_like_everybody() {
    let home = Home::new();
    // The key that would let people in by their header changes nothing.
    let gateway = start(&home, "trustedProxies: ['127.0.0.1']", ", allowTailscale: true");
    let bearer = format!("{SERVE}Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(get(&gateway, "/v1/models", &bearer), 200);
    for (headers, path) in [
        (SERVE.to_owned(), "/v1/models"),
        (SERVE.to_owned(), "/v1/models/openclaw"),
        (format!("{SERVE}Authorization: Bearer wrong\r\n"), "/v1/models"),
        (format!("{SERVE}Authorization: Bearer ann@example.com\r\n"), "/v1/models"),
    ] {
        assert_eq!(get(&gateway, path, &headers), 401, "{headers}");
    }
    assert_eq!(get(&gateway, "/healthz", SERVE), 200);

    let hello = connect(&gateway, &params()).expect("let in with the token");
    assert_eq!(hello["auth"]["method"], "token");
    let mut without = params();
    without.as_object_mut().expect("an object").remove("auth");
    for id in ["cli", "openclaw-control-ui"] {
        without["client"]["id"] = json!(id);
        without["client"]["mode"] = json!(if id == "cli" { "cli" } else { "ui" });
        let error = connect(&gateway, &without).expect_err("no token, no entrance");
        assert!(error["details"]["code"].is_string(), "{error}");
    }
    // A device is known by its key and an operator's word, not by the header either.
    let refused = Device::new(9).try_connect(gateway.port, "localhost", SERVE, &cli());
    assert_eq!(refused.err().expect("it waits").details(), "PAIRING_REQUIRED");
}

#[test]
fn until_the_loopback_is_a_trusted_proxy_serve_is_refused_at_every_door() {
    let home = Home::new();
    let gateway = start(&home, "tailscale: {mode: 'serve'}", "");
    let bearer = format!("{SERVE}Authorization: Bearer {TOKEN}\r\n");
    for path in ["/v1/models", "/healthz", "/"] {
        assert_eq!(get(&gateway, path, &bearer), 403, "{path}");
    }
    assert_eq!(connect(&gateway, &params()).expect_err("refused"), 403);
}

#[test]
fn the_keys_and_the_flag_say_what_to_type() {
    let home = Home::new();
    let port = "port: 19234, tailscale: {mode: 'serve'}";
    home.configure(&format!(
        "{{gateway: {{mode: 'local', {port}, auth: {{token: '{TOKEN}', allowTailscale: true}}}}}}"
    ));
    let ran = home.run("config validate");
    let text = format!("{}{}", ran.out, ran.err);
    assert_eq!(ran.code, 0, "{text}");
    for part in [
        "tailscale serve --bg 19234",
        "openclaw config set gateway.trustedProxies '[\"127.0.0.1\"]'",
        "nobody comes in by Tailscale's word",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // What it says can be typed, and then only the route is left.
    let words = ["config", "set", "gateway.trustedProxies", "[\"127.0.0.1\"]"];
    let mut command = home.command("");
    let ran = common::Ran::of(command.args(words));
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = home.run("config validate");
    let text = format!("{}{}", ran.out, ran.err);
    assert!(text.contains("--bg 19234") && !text.contains("trustedProxies"), "{text}");

    home.configure(&format!("{{gateway: {{mode: 'local', auth: {{token: '{TOKEN}'}}}}}}"));
    let mut gateway = home.start("--tailscale funnel");
    let advice = gateway.wait_for("--tailscale: this gateway starts no tailscale");
    let port = gateway.port;
    let wants = ["gateway.auth.mode password", &format!("tailscale funnel --bg {port}")];
    assert!(wants.iter().all(|part| advice.contains(part)), "{advice}");
    let ran = home.run("gateway run --tailscale moon");
    assert!(ran.code != 0 && ran.err.contains("off, serve, funnel"), "{ran:?}");
}
