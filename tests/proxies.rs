//! Behind a proxy: whose word counts for an address and for a user, at every door. Proxies here
//! are on the loopback; those of other machines are in `tests/real/proxies` and in the unit
//! tests of `auth::source` and `auth::proxy`.

#![cfg(all(feature = "tls", feature = "process"))]

mod common;

use common::device::Device;
use common::http::{Response, TOKEN, ask};
use common::socket::{Socket, params};
use common::{Gateway, Home};
use serde_json::{Value, json};

const DOOR: &str = "http: {endpoints: {chatCompletions: {enabled: true}}}";
/// What a good proxy says of a client.
const CLIENT: &str = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n";

fn token_mode(home: &Home, more: &str) -> Gateway {
    home.configure(&format!(
        "{{gateway: {{mode: 'local', {DOOR}, auth: {{mode: 'token', token: '{TOKEN}'}}, {more}}},
          hooks: {{enabled: true, token: 'hook-secret-of-its-own'}}}}"
    ));
    home.start("")
}

/// Mode trusted-proxy; `rules` go into `trustedProxy`.
fn user_mode(home: &Home, rules: &str, more: &str) -> Gateway {
    home.configure(&user_config(rules, more));
    home.start("")
}

fn user_config(rules: &str, more: &str) -> String {
    format!(
        "{{gateway: {{mode: 'local', {DOOR}, trustedProxies: ['127.0.0.1'], {more}
          controlUi: {{allowedOrigins: ['https://ui.example']}},
          auth: {{mode: 'trusted-proxy', password: 'local-password',
            identityScopes: {{'Ann@Example.com': ['operator.approvals']}},
            trustedProxy: {{userHeader: 'x-user', {rules}}}}}}}}}"
    )
}

fn request(line: &str, headers: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

fn models(gateway: &Gateway, headers: &str) -> Response {
    ask(gateway.port, request("GET /v1/models", headers))
}

fn bearer(secret: &str) -> String {
    format!("Authorization: Bearer {secret}\r\n")
}

/// Connects through (or past) the proxy: `hello-ok.auth`, or the error.
fn connect(gateway: &Gateway, headers: &str, params: &Value) -> Result<Value, Value> {
    let mut socket = match Socket::upgrade(gateway.port, "/", headers) {
        Ok(socket) => socket,
        Err(response) => return Err(json!({"http": response.status})),
    };
    socket.call("connect", params).map(|hello| hello["auth"].clone())
}

fn without_secret() -> Value {
    let mut params = params();
    params["minProtocol"] = json!(4);
    params.as_object_mut().expect("an object").remove("auth");
    params
}

fn page() -> Value {
    let mut params = without_secret();
    params["client"]["id"] = json!("openclaw-control-ui");
    params["client"]["mode"] = json!("ui");
    params
}

#[test]
fn a_trusted_proxy_changes_nothing_about_the_secret() {
    let home = Home::new();
    let gateway = token_mode(&home, "trustedProxies: ['127.0.0.1']");
    for (headers, status) in [
        (CLIENT.to_owned(), 401),
        (CLIENT.to_owned() + &bearer("wrong"), 401),
        (CLIENT.to_owned() + &bearer(TOKEN), 200),
        // Nobody's client, or nobody that can be named.
        (format!("X-Forwarded-For: 127.0.0.1\r\n{}", bearer(TOKEN)), 403),
        (format!("X-Forwarded-For: ::1\r\n{}", bearer(TOKEN)), 403),
        (format!("X-Forwarded-For: junk\r\n{}", bearer(TOKEN)), 403),
        (format!("X-Forwarded-Proto: https\r\n{}", bearer(TOKEN)), 403),
        (format!("X-Real-IP: 203.0.113.9\r\n{}", bearer(TOKEN)), 403),
        (format!("Forwarded: for=203.0.113.9\r\n{}", bearer(TOKEN)), 403),
        // Identity headers say nothing in this mode.
        (format!("{CLIENT}X-User: ann\r\nX-Forwarded-User: ann\r\n"), 401),
        (bearer(TOKEN), 200),
    ] {
        let response = models(&gateway, &headers);
        assert_eq!(response.status, status, "{headers} {response:?}");
        if status == 403 {
            assert_eq!(response.json()["error"]["type"], "proxy_attribution_required");
        }
    }
    let hello = connect(&gateway, CLIENT, &params()).expect("let in with the token");
    assert_eq!(hello["method"], "token");
    let error = connect(&gateway, CLIENT, &without_secret()).expect_err("no secret");
    assert_eq!(error["details"]["code"], "DEVICE_IDENTITY_REQUIRED");
    let error = connect(&gateway, "X-Forwarded-For: 127.0.0.1\r\n", &params());
    assert_eq!(error.expect_err("unattributed"), json!({"http": 403}));
    // What is told to local callers only.
    let ready = |headers: &str| ask(gateway.port, request("GET /readyz", headers)).text();
    assert!(ready("").contains("uptimeMs"));
    assert!(!ready(CLIENT).contains("uptimeMs"));
}

#[test]
fn every_door_asks_whose_word_it_is() {
    let home = Home::new();
    let trusting = token_mode(&home, "trustedProxies: ['10.0.0.1']");
    for line in [
        "GET /healthz",
        "GET /readyz",
        "GET /startupz",
        "GET /v1/models",
        "POST /v1/chat/completions",
        "POST /tools/invoke",
        "POST /hooks/wake",
        "GET /nowhere",
    ] {
        let headers = format!("{CLIENT}{}Content-Length: 0\r\n", bearer(TOKEN));
        let response = ask(trusting.port, request(line, &headers));
        assert_eq!(response.status, 403, "{line}");
        assert_eq!(response.json()["error"]["type"], "proxy_attribution_required", "{line}");
    }
    let refused = connect(&trusting, CLIENT, &params());
    assert_eq!(refused.expect_err("untrusted peer"), json!({"http": 403}));
}

#[test]
fn x_real_ip_is_a_fallback_by_configuration() {
    let home = Home::new();
    let gateway =
        token_mode(&home, "trustedProxies: ['::ffff:127.0.0.1'], allowRealIpFallback: true");
    let with = |headers: &str| models(&gateway, &(headers.to_owned() + &bearer(TOKEN))).status;
    assert_eq!(with("X-Real-IP: 203.0.113.9\r\n"), 200);
    assert_eq!(with("X-Real-IP: 127.0.0.1\r\n"), 403);
    assert_eq!(with("X-Real-IP: 203.0.113.9\r\nX-Forwarded-For: 127.0.0.1\r\n"), 403);
}

#[test]
fn a_device_behind_a_proxy_is_not_paired_silently() {
    let home = Home::new();
    let gateway = token_mode(&home, "trustedProxies: ['127.0.0.1']");
    let params = common::device::cli();
    let refused = Device::new(7).try_connect(gateway.port, "localhost", CLIENT, &params);
    let refused = refused.err().expect("it waits for approval");
    assert_eq!(refused.details(), "PAIRING_REQUIRED", "{refused:?}");
}

#[test]
fn a_user_comes_in_by_the_word_of_the_proxy() {
    let home = Home::new();
    let rules = "allowLoopback: true, requiredHeaders: ['X-Forwarded-Proto'], \
                 allowUsers: ['ann@example.com', 'bob']";
    let gateway = user_mode(&home, rules, "");
    let ann = format!("{CLIENT}X-User: ann@example.com\r\n");
    let bob = format!("{CLIENT}X-User: bob\r\n");
    for (headers, status) in [
        (ann.clone(), 200),
        (bob.clone(), 200),
        (format!("{CLIENT}X-User: eve\r\n"), 401),
        (format!("{CLIENT}X-User: ANN@example.com\r\n"), 401),
        (format!("{CLIENT}X-User: eve\r\nX-User: bob\r\n"), 401),
        (CLIENT.to_owned(), 401),
        ("X-User: bob\r\nX-Forwarded-For: 203.0.113.9\r\n".to_owned(), 401),
        ("X-User: bob\r\n".to_owned(), 401),
        ("X-User: bob\r\nX-Forwarded-For: 127.0.0.1\r\n".to_owned(), 403),
    ] {
        assert_eq!(models(&gateway, &headers).status, status, "{headers}");
    }
    // No scopes of its own without a device; what its identity has is added.
    let hello = connect(&gateway, &bob, &without_secret()).expect("bob");
    assert_eq!((&hello["method"], &hello["scopes"]), (&json!("trusted-proxy"), &json!([])));
    let hello = connect(&gateway, &ann, &without_secret()).expect("ann");
    assert_eq!(hello["scopes"], json!(["operator.approvals"]));
    let capped = format!("{ann}x-openclaw-scopes: operator.read\r\n");
    let hello = connect(&gateway, &capped, &without_secret()).expect("ann, capped");
    assert_eq!(hello["scopes"], json!([]), "a cap grants nothing");
    let eve = format!("{CLIENT}X-User: eve\r\n");
    let mut shown = without_secret();
    shown["auth"] = json!({"token": "x"});
    let error = connect(&gateway, &eve, &shown).expect_err("not allowed");
    assert_eq!(error["details"]["code"], "AUTH_UNAUTHORIZED");
    assert_eq!(error["details"]["authReason"], "trusted_proxy_user_not_allowed");
    let error = connect(&gateway, CLIENT, &shown).expect_err("nobody");
    assert_eq!(error["details"]["code"], "AUTH_IDENTITY_HEADER_REQUIRED");
    assert_eq!(error["details"]["authReason"], "trusted_proxy_user_missing");
    // A page may come without a device, from a listed origin only.
    let ui = "Origin: https://ui.example\r\n";
    assert!(connect(&gateway, &format!("{ann}{ui}"), &page()).is_ok());
    for (headers, code) in [
        (ann.clone(), "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"),
        (format!("{eve}{ui}"), "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"),
        (format!("{ann}Origin: https://evil.example\r\n"), "CONTROL_UI_ORIGIN_NOT_ALLOWED"),
        // The browser's name for us, which its page merely shares.
        (
            format!("{ann}X-Forwarded-Host: evil.example\r\nOrigin: https://evil.example\r\n"),
            "CONTROL_UI_ORIGIN_NOT_ALLOWED",
        ),
    ] {
        let error = connect(&gateway, &headers, &page()).expect_err("refused");
        assert_eq!(error["details"]["code"], code, "{headers}");
    }
    assert_eq!(models(&gateway, &format!("{bob}Origin: https://evil.example\r\n")).status, 403);
    assert_eq!(models(&gateway, &format!("{bob}{ui}")).status, 200);
}

#[test]
fn the_loopback_forges_no_user() {
    let home = Home::new();
    let gateway = user_mode(&home, "", "");
    let headers = format!("{CLIENT}X-User: ann@example.com\r\nX-Forwarded-User: ann\r\n");
    assert_eq!(models(&gateway, &headers).status, 401);
    let mut shown = without_secret();
    shown["auth"] = json!({"token": "x"});
    let error = connect(&gateway, &headers, &shown).expect_err("a local process");
    assert_eq!(error["details"]["authReason"], "trusted_proxy_loopback_source");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("gateway.trustedProxies")));
}

#[test]
fn the_local_password_is_for_direct_processes_of_this_machine() {
    let home = Home::new();
    let gateway = user_mode(&home, "allowLoopback: true, allowUsers: ['bob']", "");
    let password = bearer("local-password");
    for (headers, status) in [
        (password.clone(), 200),
        // The shared secret ignores the scopes header.
        (format!("{password}x-openclaw-scopes: operator.approvals\r\n"), 200),
        (bearer("wrong"), 401),
        (format!("{password}{CLIENT}"), 401),
        (format!("{password}{CLIENT}X-User: eve\r\n"), 401),
        (format!("{password}X-Forwarded-Proto: https\r\n"), 403),
    ] {
        assert_eq!(models(&gateway, &headers).status, status, "{headers}");
    }
    // By another name than this machine's it is not local.
    let named = request("GET /v1/models", &password).replace("localhost", "gw.example");
    assert_eq!(ask(gateway.port, named).status, 401);
    let with = |auth: Value| {
        let mut params = without_secret();
        params["auth"] = auth;
        params
    };
    let right = with(json!({"password": "local-password"}));
    let hello = connect(&gateway, "", &right).expect("local");
    assert_eq!(hello["method"], "password");
    assert!(hello["scopes"].as_array().is_some_and(|scopes| !scopes.is_empty()));
    let code = |headers: &str, params: &Value| {
        connect(&gateway, headers, params).expect_err("refused")["details"]["code"].clone()
    };
    assert_eq!(code("", &with(json!({"password": "wrong"}))), "AUTH_PASSWORD_MISMATCH");
    // A token is none, and a proxied client has no password.
    assert_eq!(code("", &with(json!({"token": "local-password"}))), "AUTH_UNAUTHORIZED");
    assert_eq!(code(CLIENT, &right), "AUTH_IDENTITY_HEADER_REQUIRED");
}

#[test]
fn a_scopes_header_narrows_whoever_comes_with_an_identity() {
    let home = Home::new();
    let gateway = user_mode(&home, "allowLoopback: true", "");
    let other = Home::new();
    other.configure(&format!("{{gateway: {{mode: 'local', {DOOR}, auth: {{mode: 'none'}}}}}}"));
    let open = other.start("");
    let third = Home::new();
    let secret = token_mode(&third, "");
    let bob = format!("{CLIENT}X-User: bob\r\n");
    let post = |gateway: &Gateway, path: &str, headers: &str| {
        let headers = format!("{headers}Content-Type: application/json\r\nContent-Length: 2\r\n");
        ask(gateway.port, request(&format!("POST {path}"), &headers) + "{}")
    };
    for (gateway, who) in [(&gateway, bob.as_str()), (&open, "")] {
        for (scopes, reads, writes) in [
            (None, true, true),
            (Some(""), false, false),
            (Some("operator.nonsense"), false, false),
            (Some("operator.read"), true, false),
            (Some(" operator.read , operator.write"), true, true),
            (Some("operator.admin"), true, true),
            (Some("operator.approvals"), false, false),
        ] {
            let header = scopes.map(|text| format!("x-openclaw-scopes: {text}\r\n"));
            let headers = format!("{who}{}", header.unwrap_or_default());
            assert_eq!(models(gateway, &headers).status == 200, reads, "{headers}");
            for path in ["/v1/chat/completions", "/v1/embeddings", "/tools/invoke"] {
                let response = post(gateway, path, &headers);
                assert_eq!(response.status != 403, writes, "{path} {headers}");
                if !writes {
                    assert!(response.text().contains("missing scope: operator.write"), "{path}");
                }
            }
            // Another model is the owner's to choose.
            let model = format!("{headers}x-openclaw-model: local/echo\r\n");
            let admin = scopes.is_none_or(|text| text == "operator.admin");
            let response = post(gateway, "/v1/chat/completions", &model);
            assert_eq!(response.status != 403, admin, "{model}");
        }
    }
    let ignored = format!("{}x-openclaw-scopes:\r\n", bearer(TOKEN));
    assert_eq!(models(&secret, &ignored).status, 200, "the secret is the owner's");
}

#[test]
fn an_edit_of_the_rules_is_in_force_at_once() {
    let home = Home::new();
    let rules = "allowLoopback: true, allowUsers: ['bob']";
    let mut gateway = user_mode(&home, rules, "");
    let bob = format!("{CLIENT}X-User: bob\r\n");
    let mut socket = Socket::upgrade(gateway.port, "/", &bob).expect("101");
    assert!(socket.call("connect", &without_secret()).is_ok());
    let mut pending = Socket::upgrade(gateway.port, "/", &bob).expect("101");
    assert_eq!(models(&gateway, &bob).status, 200);
    home.configure(&user_config("allowLoopback: true, allowUsers: ['ann']", ""));
    gateway.signal(rustix::process::Signal::HUP);
    gateway.wait_for("configuration reread and applied");
    assert_eq!(socket.closed().0, Some(1008));
    assert_eq!(pending.closed().0, Some(1008), "an upgrade of before, too");
    assert_eq!(models(&gateway, &bob).status, 401);
}

#[test]
fn starts_that_would_let_in_the_wrong_ones_are_refused() {
    for (text, part) in [
        (
            "auth: {mode: 'trusted-proxy', trustedProxy: {userHeader: 'x'}}",
            "gateway.trustedProxies",
        ),
        ("trustedProxies: ['10.0.0.1'], auth: {mode: 'trusted-proxy'}", "userHeader is not set"),
        (
            "trustedProxies: ['10.0.0.1'], auth: {mode: 'trusted-proxy', trustedProxy: {}}",
            "gateway.auth.trustedProxy.userHeader: is missing",
        ),
        (
            "trustedProxies: ['10.0.0.1'], auth: {mode: 'trusted-proxy', token: 't', \
             trustedProxy: {userHeader: 'x'}}",
            "a shared token is also configured",
        ),
        ("auth: {token: 't', password: 'p'}", "gateway.auth.mode is not"),
        ("bind: 'lan', auth: {mode: 'none'}", "without auth"),
        ("trustedProxies: ['proxy.local'], auth: {token: 't'}", "gateway.trustedProxies: entry 0"),
        ("trustedProxies: ['10.0.0.0/33'], auth: {token: 't'}", "gateway.trustedProxies: entry 0"),
        (
            "auth: {token: 't', trustedProxy: {userHeader: 'x y'}}",
            "gateway.auth.trustedProxy.userHeader: expected the name of a header",
        ),
        (
            "auth: {token: 't', identityScopes: {ann: ['operator.root']}}",
            "gateway.auth.identityScopes",
        ),
        (
            "auth: {token: 't'}, controlUi: {dangerouslyAllowHostHeaderOriginFallback: true}",
            "dangerouslyAllowHostHeaderOriginFallback",
        ),
    ] {
        let home = Home::new();
        home.configure(&format!("{{gateway: {{mode: 'local', {text}}}}}"));
        let ran = home.run("gateway --port 0");
        assert_ne!(ran.code, 0, "{text}");
        assert!(ran.err.contains(part), "{text}: {}", ran.err);
    }
}

#[test]
fn a_device_of_a_vouched_user_is_approved_by_policy_alone() {
    let home = Home::new();
    let auto = "allowLoopback: true, deviceAutoApprove: {enabled: true, \
                scopes: ['operator.read', 'operator.write']}";
    let gateway = user_mode(&home, auto, "");
    let headers = format!("{CLIENT}X-User: bob\r\nOrigin: https://ui.example\r\n");
    let app = |scopes: &[&str]| {
        let mut params = page();
        params["scopes"] = json!(scopes);
        params
    };
    let connect = |device: u8, headers: &str, params: &Value| {
        let device = Device::new(device);
        let done = device.try_connect(gateway.port, "localhost", headers, params);
        done.map(|socket| socket.hello["auth"]["scopes"].clone())
            .map_err(|refused| refused.details().to_owned())
    };
    let all = app(&["operator.admin", "operator.read"]);
    assert_eq!(connect(1, &headers, &all), Ok(json!(["operator.read"])));
    // The proxy's cap is the device's as well, for good.
    let capped = format!("{headers}x-openclaw-scopes: operator.read\r\n");
    let both = app(&["operator.read", "operator.write"]);
    assert_eq!(connect(2, &capped, &both), Ok(json!(["operator.read"])));
    let empty = format!("{headers}x-openclaw-scopes:\r\n");
    assert_eq!(connect(3, &empty, &both), Ok(json!([])));
    // No node, and no program that is not a person's.
    let mut node = common::device::node();
    node.as_object_mut().expect("an object").remove("auth");
    let user = format!("{CLIENT}X-User: bob\r\n");
    assert_eq!(connect(4, &user, &node), Err("PAIRING_REQUIRED".to_owned()));
    let program = without_secret();
    assert_eq!(connect(5, &user, &program), Err("PAIRING_REQUIRED".to_owned()));

    let home = Home::new();
    let gateway = user_mode(&home, "allowLoopback: true", "");
    let refused = Device::new(1).try_connect(gateway.port, "localhost", &headers, &all);
    assert_eq!(refused.err().expect("it waits").details(), "PAIRING_REQUIRED");
}
