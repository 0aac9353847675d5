//! A secret that was changed counts from the next request on, at every door, and whoever came in
//! by the old one goes.
#![cfg(feature = "process")]

mod common;

use common::http::{Response, TOKEN, ask};
use common::socket::{Socket, params};
use common::{Gateway, Home};
use serde_json::json;

const NEW: &str = "another-secret-of-the-gateway-0123456789";
const HOOK: &str = "the-first-hook-token-0123456789";
const NEW_HOOK: &str = "the-second-hook-token-0123456789";

fn config(auth: &str, hook: &str) -> String {
    format!(
        "{{gateway: {{mode: 'local', auth: {{{auth}}}, reload: {{debounceMs: 0}}, http: \
         {{endpoints: {{chatCompletions: {{enabled: true}}, responses: {{enabled: true}}}}}}}}, \
         hooks: {{enabled: true, path: '/hooks', token: '{hook}'}}}}"
    )
}

fn token(secret: &str) -> String {
    format!("token: '{secret}'")
}

fn send(gateway: &Gateway, method: &str, path: &str, secret: &str) -> Response {
    let body = if method == "POST" { "{\"text\":\"hi\",\"tool\":\"none\"}" } else { "" };
    ask(
        gateway.port,
        format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
}

const DOORS: [(&str, &str); 5] = [
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/embeddings"),
    ("POST", "/tools/invoke"),
];

/// The old secret opens nothing more, the new one opens everything.
fn turned(gateway: &Gateway, old: &str, new: &str) {
    for (method, path) in DOORS {
        assert_eq!(send(gateway, method, path, old).status, 401, "{path} by the old one");
        assert_ne!(send(gateway, method, path, new).status, 401, "{path} by the new one");
    }
    let mut connect = params();
    let error = Socket::open(gateway.port).call("connect", &connect);
    assert_eq!(error.is_ok(), old != TOKEN, "connect by the first secret");
    connect["auth"]["token"] = json!(new);
    Socket::with(gateway.port, &connect);
}

#[test]
fn by_an_edit_of_the_file() {
    let home = Home::new();
    home.configure(&config(&token(TOKEN), HOOK));
    let mut gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    assert_eq!(send(&gateway, "POST", "/hooks/wake", HOOK).status, 200);
    home.configure(&config(&token(NEW), NEW_HOOK));
    let (code, why) = socket.closed();
    assert_eq!((code, why.as_str()), (Some(1008), "the gateway's credentials changed"));
    turned(&gateway, TOKEN, NEW);
    assert_eq!(send(&gateway, "POST", "/hooks/wake", HOOK).status, 401);
    assert_eq!(send(&gateway, "POST", "/hooks/wake", NEW_HOOK).status, 200);
    let line = gateway.wait_for("gateway.auth.token changed: applied");
    assert!(!line.contains(NEW) && !line.contains(TOKEN), "{line}");
}

#[test]
fn by_config_patch_whose_answer_still_arrives() {
    let home = Home::new();
    home.configure(&config(&token(TOKEN), HOOK));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let mut other = Socket::connect(gateway.port);
    let hash = socket.call("config.get", &json!({})).expect("it")["hash"].clone();
    let raw = json!({"gateway": {"auth": {"token": NEW}}}).to_string();
    let done = socket.call("config.patch", &json!({"raw": raw, "baseHash": hash}));
    assert_eq!(done.expect("written")["changedPaths"], json!(["gateway.auth.token"]));
    for socket in [&mut socket, &mut other] {
        assert_eq!(socket.closed().0, Some(1008));
    }
    turned(&gateway, TOKEN, NEW);
}

#[test]
fn an_unrelated_edit_closes_nobody() {
    let home = Home::new();
    home.configure(&config(&token(TOKEN), HOOK));
    let mut gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    home.configure(&config(&format!("{}, mode: 'token'", token(TOKEN)), NEW_HOOK));
    gateway.wait_for("reread and applied");
    socket.is_alive();
}

#[test]
fn whoever_came_in_without_a_secret_goes_when_one_is_asked() {
    let home = Home::new();
    home.configure(&config("mode: 'none'", HOOK));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    home.configure(&config(&token(NEW), HOOK));
    assert_eq!(socket.closed().0, Some(1008));
    turned(&gateway, TOKEN, NEW);
}
