//! What a stranger gets from every door: the same few headers on every answer, and nothing of
//! the inside, whatever is wrong with the request.

mod common;

use common::http::{Http, Response, post};
use common::{Gateway, Home};
use openclaw_gateway::protocol::VERSION;
use serde_json::json;

const TOKEN: &str = "0123456789abcdef-0123456789abcdef";

fn home(more: &str) -> Home {
    let home = Home::new();
    home.configure(&format!(
        "{{gateway: {{mode: 'local', auth: {{token: '{TOKEN}'}}, {more} \
         http: {{endpoints: {{chatCompletions: {{enabled: true}}, responses: {{enabled: true}}}}\
         }}}}, hooks: {{enabled: true, token: 'a-hook-token-of-its-own-0123456789'}}}}"
    ));
    home
}

/// Every kind of request that shows no secret, or a wrong one, with the statuses it may get.
fn strangers() -> Vec<(String, &'static [u16])> {
    let get = |path: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}Connection: close\r\n\r\n")
    };
    let small = json!({"model": "openclaw", "messages": []});
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n";
    vec![
        (get("/healthz", ""), &[200]),
        (get("/health", ""), &[200]),
        (get("/readyz", ""), &[200]),
        (get("/ready", ""), &[200]),
        (get("/startupz", ""), &[200]),
        (get("/healthz", "").replace("GET", "HEAD"), &[200]),
        (get("/healthz", "").replace("GET", "DELETE"), &[405]),
        (get("/v1/chat/completions", ""), &[405]),
        (get("/v1/models", ""), &[401]),
        (get("/v1/models/openclaw", ""), &[401]),
        (get("/v1/models", "Authorization: Bearer wrong\r\n"), &[401]),
        (get("/v1/models", "Authorization: Bearer\r\n"), &[401]),
        (post("/v1/chat/completions", &small), &[401]),
        (post("/v1/responses", &small), &[401]),
        (post("/v1/embeddings", &small), &[401]),
        (post("/tools/invoke", &small), &[401]),
        (post("/hooks/wake", &small), &[401]),
        (post("/hooks/nothing", &small), &[401, 404]),
        (get("/hooks/wake", ""), &[405]),
        (get("/", ""), &[200]),
        (get("/", "If-None-Match: *\r\n"), &[304]),
        (get("/chat", "Accept: text/html\r\n"), &[200]),
        (get("/chat", ""), &[404]),
        (get("/assets/app.js", ""), &[200]),
        (get("/control-ui-config.json", ""), &[401]),
        (get("/../../etc/passwd", ""), &[400, 404]),
        (get("/nothing.js", ""), &[404]),
        (get("/v1/nothing", ""), &[404, 401]),
        (get("/v1/models", "X-Forwarded-For: 1.2.3.4\r\n"), &[403]),
        (get("/v1/models", "Origin: https://evil.example\r\n"), &[403]),
        (get("/v1/models", "Origin: null\r\n"), &[403]),
        (get("/", upgrade), &[400]),
        (get(&format!("/{}", "x".repeat(9_000)), ""), &[414]),
        (get("/", &format!("X: {}\r\n", "x".repeat(17_000))), &[431]),
        (get("/", &"X: y\r\n".repeat(200)), &[431]),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), &[400]),
        ("rubbish\r\n\r\n".to_owned(), &[400]),
        (
            "POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
                .to_owned(),
            &[401, 413],
        ),
        (
            "POST /hooks/wake HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\
          Transfer-Encoding: chunked\r\n\r\n"
                .to_owned(),
            &[400],
        ),
        ("GET / HTTP/3.0\r\nHost: localhost\r\n\r\n".to_owned(), &[400, 505]),
    ]
}

fn answer(gateway: &Gateway, request: &str) -> Response {
    let mut http = Http::connect(gateway.port);
    http.send(request.as_bytes());
    http.answer(request.starts_with("HEAD")).expect("an answer")
}

fn shown(request: &str) -> String {
    request.chars().take(100).collect()
}

#[test]
fn every_answer_carries_the_common_headers_and_hsts_when_it_is_set() {
    let home = home("");
    let gateway = home.start("");
    for (request, statuses) in strangers() {
        let got = answer(&gateway, &request);
        assert!(statuses.contains(&got.status), "{}: {got:?}", shown(&request));
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("permissions-policy", "camera=(), microphone=(self), geolocation=()"),
        ] {
            assert_eq!(got.header(name), Some(value), "{}: {got:?}", shown(&request));
        }
        assert_eq!(got.header("strict-transport-security"), None);
        assert_eq!(got.header("server"), None);
        let html = got.header("content-type").unwrap_or_default().contains("html");
        let page = ["GET / ", "GET /chat "].iter().any(|line| request.starts_with(line));
        assert!(!html || page && matches!(got.status, 200 | 304), "{}: {got:?}", shown(&request));
        assert!(!html || got.header("x-frame-options") == Some("DENY"), "{got:?}");
    }
}

#[test]
fn a_stranger_learns_nothing_of_the_inside() {
    let home = home("");
    let gateway = home.start("");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim().to_owned();
    let pid = gateway.pid().to_string();
    let directory = home.0.file_name().expect("a name").to_string_lossy().into_owned();
    for (request, _) in strangers() {
        let got = answer(&gateway, &request);
        let all = format!("{:?} {}", got.headers, got.text());
        for inside in [directory.as_str(), ".openclaw", TOKEN, "openclaw.json", "src/"] {
            assert!(!all.contains(inside), "{inside}: {}: {all}", shown(&request));
        }
        if !request.contains("/startupz") {
            assert!(!all.contains(VERSION), "{}: {all}", shown(&request));
        }
        let mut words = all.split(|c: char| !c.is_alphanumeric() && c != '-');
        let told = words.find(|word| !word.is_empty() && (*word == host || *word == pid));
        assert_eq!(told, None, "{}: {all}", shown(&request));
    }
}

#[cfg(feature = "process")]
#[test]
fn strict_transport_security_follows_the_configuration_on_every_answer() {
    use rustix::process::Signal;
    const VALUE: &str = "max-age=31536000; includeSubDomains";
    let set = home("");
    let file = set.state().join("openclaw.json");
    let plain = std::fs::read_to_string(&file).expect("written above");
    let headers = format!("http: {{securityHeaders: {{strictTransportSecurity: '{VALUE}'}}, ");
    let with = plain.replace("http: {", &headers);
    std::fs::write(&file, &with).expect("written");
    let mut gateway = set.start("");
    for (request, _) in strangers() {
        let got = answer(&gateway, &request);
        let name = "strict-transport-security";
        assert_eq!(got.header(name), Some(VALUE), "{}: {got:?}", shown(&request));
    }
    std::fs::write(&file, with.replace(&format!("'{VALUE}'"), "false")).expect("written");
    gateway.signal(Signal::HUP);
    gateway.wait_for("reread and applied");
    let got = answer(&gateway, &strangers()[0].0);
    assert_eq!(got.header("strict-transport-security"), None, "{got:?}");
    for bad in ["true", "''", "'a\\nb'", "3"] {
        std::fs::write(&file, with.replace(&format!("'{VALUE}'"), bad)).expect("written");
        let ran = set.run("config validate");
        let all = format!("{}{}", ran.out, ran.err);
        assert!(ran.code != 0 && all.contains("strictTransportSecurity"), "{bad}: {ran:?}");
    }
}
