//! Host and Origin at the doors of the real binary: pages of other hosts, look-alikes, loopback
//! pages, and names of containers and local networks.

mod common;

use common::http::{TOKEN, ask};
use common::socket::{Socket, params, upgrade_request};
use common::{Gateway, Home};
use serde_json::json;

/// Origins that no gateway on the loopback serves, with the reason told.
const FOREIGN: &[(&str, &str)] = &[
    ("http://evil.example", "origin not allowed"),
    ("https://127.0.0.1.evil.example", "origin not allowed"),
    ("http://127.evil.com", "origin not allowed"),
    ("http://localhost.evil", "origin not allowed"),
    ("http://localhost.evil.example:18789", "origin not allowed"),
    ("http://evil.localhost", "origin not allowed"),
    ("http://evil.example.", "origin not allowed"),
    ("http://2130706433", "origin missing or invalid"),
    ("http://0x7f.1", "origin missing or invalid"),
    ("http://0177.0.0.1", "origin missing or invalid"),
    ("http://127.1", "origin missing or invalid"),
    ("http://0.0.0.0", "origin not allowed"),
    ("http://[::ffff:10.0.0.1]", "origin not allowed"),
    ("http://10.0.0.1", "origin not allowed"),
    ("null", "origin missing or invalid"),
    ("", "origin missing or invalid"),
    ("localhost", "origin missing or invalid"),
    ("http://localhost/path", "origin missing or invalid"),
    ("http://user@localhost", "origin missing or invalid"),
    ("file://", "origin missing or invalid"),
];

/// Pages of this machine, on any port: they still need the secret.
const OWN: &[&str] = &[
    "http://localhost:5173",
    "http://127.0.0.1:5173",
    "http://127.9.9.9",
    "http://[::1]:5173",
    "http://[::ffff:127.0.0.1]:5173",
    "http://localhost.:5173",
    "https://LOCALHOST",
];

fn start(home: &Home, auth: &str, more: &str) -> Gateway {
    home.configure(&format!("{{gateway: {{mode: 'local', auth: {auth}, {more}}}}}"));
    home.start("")
}

fn token(home: &Home, more: &str) -> Gateway {
    start(home, &format!("{{mode: 'token', token: '{TOKEN}'}}"), more)
}

fn status(gateway: &Gateway, host: &str, headers: &str) -> u16 {
    let head = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
    ask(gateway.port, head).status
}

/// `connect` of a page with the secret: whether it is let in, or why not.
fn connect(gateway: &Gateway, host: &str, origin: &str) -> Result<(), (String, String)> {
    let request = upgrade_request("/", &format!("Origin: {origin}\r\n"));
    let request = request.replace("Host: localhost", &format!("Host: {host}"));
    let mut socket = Socket::upgrade_by(gateway.port, &request).expect("the upgrade succeeds");
    match socket.call("connect", &params()) {
        Ok(_) => Ok(()),
        Err(error) => {
            assert_eq!(socket.closed().0, Some(1008), "{origin}");
            let message = error["message"].as_str().unwrap_or_default();
            assert!(message.contains("gateway.controlUi.allowedOrigins"), "{message}");
            let text = |name: &str| error["details"][name].as_str().unwrap_or_default().to_owned();
            Err((text("code"), text("reason")))
        }
    }
}

#[test]
fn foreign_pages_are_refused_with_the_right_secret_too() {
    let home = Home::new();
    let gateway = token(&home, "");
    let local = format!("127.0.0.1:{}", gateway.port);
    for (origin, reason) in FOREIGN {
        assert_eq!(status(&gateway, &local, &format!("Origin: {origin}\r\n")), 403, "{origin}");
        let want = ("CONTROL_UI_ORIGIN_NOT_ALLOWED".to_owned(), (*reason).to_owned());
        assert_eq!(connect(&gateway, &local, origin), Err(want), "{origin}");
    }
    let twice = format!("Origin: http://{local}\r\nOrigin: http://evil.example\r\n");
    assert_eq!(status(&gateway, &local, &twice), 403, "which of two");
}

#[test]
fn pages_of_this_machine_need_the_secret_on_any_port() {
    let home = Home::new();
    let gateway = token(&home, "");
    let local = format!("127.0.0.1:{}", gateway.port);
    for origin in OWN {
        assert_eq!(status(&gateway, &local, &format!("Origin: {origin}\r\n")), 200, "{origin}");
        assert_eq!(connect(&gateway, &local, origin), Ok(()), "{origin}");
        let head = format!("GET /v1/models HTTP/1.1\r\nHost: {local}\r\nOrigin: {origin}\r\n\r\n");
        assert_eq!(ask(gateway.port, head).status, 401, "{origin}");
        let mut socket =
            Socket::upgrade(gateway.port, "/", &format!("Origin: {origin}\r\n")).expect("101");
        let mut without = params();
        without["auth"] = json!({});
        assert!(socket.call("connect", &without).is_err(), "{origin}");
    }
}

#[test]
fn without_a_secret_only_our_own_page_may_ask() {
    let home = Home::new();
    let gateway = start(&home, "{mode: 'none'}", "");
    let port = gateway.port;
    let local = format!("127.0.0.1:{port}");
    for (origin, _) in FOREIGN {
        assert_eq!(status(&gateway, &local, &format!("Origin: {origin}\r\n")), 403, "{origin}");
        assert!(connect(&gateway, &local, origin).is_err(), "{origin}");
    }
    for origin in OWN {
        assert_eq!(status(&gateway, &local, &format!("Origin: {origin}\r\n")), 403, "{origin}");
        assert!(connect(&gateway, &local, origin).is_err(), "{origin}");
    }
    for origin in [format!("http://{local}"), format!("http://localhost:{port}")] {
        assert_eq!(status(&gateway, &local, &format!("Origin: {origin}\r\n")), 200, "{origin}");
        assert_eq!(connect(&gateway, &local, &origin), Ok(()), "{origin}");
    }
    for (host, want) in [
        ("evil.example", 403),
        ("127.evil.com", 403),
        ("localhost.evil", 403),
        ("2130706433", 403),
        ("0x7f.1", 403),
        ("localhost.", 200),
        ("127.0.0.1", 200),
        ("[::1]:1", 200),
        ("[::ffff:127.0.0.1]", 200),
    ] {
        assert_eq!(status(&gateway, host, ""), want, "{host}");
    }
}

#[test]
fn names_of_networks_and_containers_work_or_name_the_key() {
    let home = Home::new();
    let gateway = token(&home, "");
    for name in ["host.docker.internal", "gateway", "nas.fritz.box", "pi5.lan"] {
        let host = format!("{name}:{}", gateway.port);
        // A program is no browser: any name serves.
        assert_eq!(status(&gateway, &host, ""), 200, "{name}");
        for headers in
            [format!("Origin: http://{host}\r\n"), "Sec-Fetch-Site: same-origin\r\n".to_owned()]
        {
            let head = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
            let refused = ask(gateway.port, head);
            assert_eq!(refused.status, 403, "{name}");
            assert!(refused.text().contains("gateway.controlUi.allowedOrigins"), "{name}");
        }
    }
    let home = Home::new();
    let listed = "controlUi: {allowedOrigins: ['http://host.docker.internal:8080', \
                  'http://gateway:18789']}";
    let gateway = token(&home, listed);
    for (host, origin, want) in [
        ("host.docker.internal:8080", "http://host.docker.internal:8080", 200),
        ("gateway:18789", "http://gateway:18789", 200),
        ("gateway.:18789", "http://gateway:18789", 200),
        ("gateway:18789", "http://gateway:18789.evil.example", 403),
        ("gateway:18789", "http://gateway.evil.example:18789", 403),
        ("localhost", "http://gateway:18789", 200),
        ("localhost", "http://gateway:1", 403),
    ] {
        assert_eq!(
            status(&gateway, host, &format!("Origin: {origin}\r\n")),
            want,
            "{host} {origin}"
        );
    }
}

#[test]
fn a_browser_is_one_without_an_origin_too() {
    let home = Home::new();
    let gateway = token(&home, "");
    for (host, want) in [
        ("localhost", 200),
        ("192.168.1.7", 200),
        ("evil.example", 403),
        ("metadata.google.internal", 403),
        ("metadata.google.internal.", 403),
    ] {
        for site in ["none", "cross-site", "same-origin"] {
            let headers = format!("Sec-Fetch-Site: {site}\r\n");
            assert_eq!(status(&gateway, host, &headers), want, "{host} {site}");
        }
    }
}

#[test]
fn a_proxied_name_is_as_good_as_the_proxy_says() {
    let home = Home::new();
    let gateway = token(&home, "trustedProxies: ['127.0.0.1']");
    let client = "X-Forwarded-For: 203.0.113.9\r\n";
    for (host, headers, want) in [
        ("gw.example", "Origin: http://gw.example\r\n", 200),
        ("gw.example", "Sec-Fetch-Site: same-origin\r\n", 200),
        ("gw.example", "X-Forwarded-Proto: https\r\nOrigin: https://gw.example\r\n", 200),
        ("gw.example", "X-Forwarded-Proto: https\r\nOrigin: http://gw.example\r\n", 403),
        ("gw.example", "Origin: http://evil.example\r\n", 403),
        ("gw.example", "Origin: null\r\n", 403),
        ("127.0.0.1", "X-Forwarded-Host: gw.example\r\nOrigin: http://gw.example\r\n", 200),
        ("gw.example", "X-Forwarded-Host: other.example\r\nOrigin: http://gw.example\r\n", 403),
        (
            "gw.example",
            "X-Forwarded-Host: a.example, gw.example\r\nOrigin: http://gw.example\r\n",
            403,
        ),
        // A page of another machine's loopback is none of ours.
        ("localhost", "Origin: http://localhost:5173\r\n", 403),
    ] {
        let got = status(&gateway, host, &format!("{client}{headers}"));
        assert_eq!(got, want, "{host} {headers}");
    }
    // Without a proxy that is trusted these headers are no help.
    let direct = "X-Forwarded-Host: gw.example\r\nOrigin: http://gw.example\r\n";
    let home = Home::new();
    assert_eq!(status(&token(&home, ""), "127.0.0.1", direct), 403);
    // Nobody is asked for a secret: a name that merely points at the proxy is not ours.
    let home = Home::new();
    let open = start(&home, "{mode: 'none'}", "trustedProxies: ['127.0.0.1']");
    let rebound = format!("{client}Origin: http://evil.example\r\n");
    assert_eq!(status(&open, "evil.example", &rebound), 403);
}
