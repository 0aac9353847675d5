//! HTTP as strangers meet it: framing, limits, and who may pass which door.

mod common;

use common::http::{Http, Response, TOKEN, ask, chat, get};
use common::provider::config;
use common::{Gateway, Home};
use serde_json::json;

fn start(home: &Home) -> Gateway {
    home.configure(&config(&[], "primary: 'local/echo'", ""));
    home.start("")
}

const HEALTHZ: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The answer is this error in OpenAI's shape.
fn assert_error(response: &Response, status: u16, kind: &str, part: &str) {
    assert_eq!(response.status, status, "{response:?}");
    let error = &response.json()["error"];
    assert_eq!(error["type"], kind, "{error}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains(part)), "{error}");
}

#[test]
fn a_connection_is_kept_and_pipelined_requests_are_answered_in_order() {
    let home = Home::new();
    let gateway = start(&home);
    let mut http = Http::connect(gateway.port);
    for _ in 0..3 {
        let response = http.exchange(HEALTHZ);
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, r#"{"ok":true,"status":"live"}"#)
        );
    }
    let completion = |text: &str, stream: bool| {
        chat(&json!({"messages": [{"role": "user", "content": text}], "stream": stream}))
    };
    let burst = [
        HEALTHZ.to_owned(),
        completion("one", false),
        "HEAD /readyz HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        completion("two", true),
        "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /startupz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
    ];
    http.send(burst.concat());
    assert_eq!(http.response().json()["status"], "live");
    let one = http.response().json();
    assert!(one["choices"][0]["message"]["content"].as_str().unwrap().ends_with("one"), "{one}");
    let ready = http.answer(true).unwrap();
    assert_eq!(ready.status, 200);
    assert_ne!(ready.header("content-length"), Some("0"));
    let two = http.response();
    assert_eq!(two.data().last().unwrap(), "[DONE]");
    assert_eq!(http.response().status, 404);
    let last = http.response();
    assert_eq!(last.json()["version"], openclaw_gateway::protocol::VERSION);
    assert_eq!(last.header("connection"), Some("close"));
    http.ends();
}

#[test]
fn many_pipelined_requests_are_all_answered_though_reading_pauses() {
    let home = Home::new();
    let gateway = start(&home);
    let mut http = Http::connect(gateway.port);
    let mut sender = http.stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        use std::io::Write;
        for _ in 0..20 {
            sender.write_all(HEALTHZ.repeat(500).as_bytes()).unwrap();
        }
    });
    for n in 0..10_000 {
        assert_eq!(http.response().status, 200, "answer {n}");
    }
    writer.join().unwrap();
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let home = Home::new();
    let gateway = start(&home);
    let mut http = Http::connect(gateway.port);
    let body = json!({"messages": [{"role": "user", "content": "slowly"}]}).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    );
    let (a, b) = body.split_at(9);
    let chunks =
        format!("{:x};ext=1\r\n{a}\r\n{:X}\r\n{b}\r\n0\r\nX-Sum: 1\r\n\r\n", a.len(), b.len());
    for byte in format!("{head}{chunks}").bytes() {
        http.send([byte]);
    }
    let response = http.response();
    assert_eq!(response.status, 200, "{response:?}");
    assert!(response.text().contains("slowly"), "{response:?}");
    assert_eq!(http.exchange(HEALTHZ).status, 200, "the connection is still good");
}

#[test]
fn expect_100_continue_is_answered_before_the_body_or_refused_without_it() {
    let home = Home::new();
    let gateway = start(&home);
    let body = json!({"messages": [{"role": "user", "content": "x"}]}).to_string();
    let head = |token: &str, length: usize| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let mut http = Http::connect(gateway.port);
    assert_eq!(http.exchange(head(TOKEN, body.len())).status, 100);
    assert_eq!(http.exchange(&body).status, 200);
    assert_eq!(http.exchange(HEALTHZ).status, 200);

    // Refused before a byte of the body: it is not asked for, and not taken for a request.
    for (token, length, status) in [("wrong", body.len(), 401), (TOKEN, 50_000_000, 413)] {
        let mut http = Http::connect(gateway.port);
        assert_eq!(http.exchange(head(token, length)).status, status);
        http.send(HEALTHZ);
        http.ends();
    }
    let other = HEALTHZ.replace("\r\n\r\n", "\r\nExpect: the unexpected\r\n\r\n");
    assert_eq!(ask(gateway.port, other).status, 417);
}

#[test]
fn http_1_0_is_served_and_closed_unless_it_asks_to_stay() {
    let home = Home::new();
    let gateway = start(&home);
    let mut http = Http::connect(gateway.port);
    let response = http.exchange("GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(response.status, 200);
    http.ends();
    let mut http = Http::connect(gateway.port);
    let kept = http.exchange("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(kept.header("connection"), Some("keep-alive"), "{kept:?}");
    assert_eq!(http.exchange(HEALTHZ).status, 200);
    // A stream to a 1.0 client has no chunks and ends with the connection.
    let body = json!({"messages": [{"role": "user", "content": "x"}], "stream": true});
    let request = chat(&body).replace(" HTTP/1.1", " HTTP/1.0");
    let mut http = Http::connect(gateway.port);
    let response = http.exchange(request);
    assert_eq!(response.header("transfer-encoding"), None);
    assert_eq!(response.data().last().unwrap(), "[DONE]");
}

#[test]
fn each_limit_of_a_request_has_its_status() {
    let home = Home::new();
    let gateway = start(&home);
    let long = |n: usize| "a".repeat(n);
    let get =
        |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let sized = |length: usize| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    };
    let chunked = |chunk: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
             Transfer-Encoding: chunked\r\n\r\n{chunk}"
        )
    };
    let table = [
        ("a target at its limit", get(&format!("/{}", long(8191)), ""), 404),
        ("a target over it", get(&format!("/{}", long(8192)), ""), 414),
        ("an endless first line", format!("GET /{}", long(20_000)), 414),
        ("a head under its limit", get("/healthz", &format!("X-A: {}\r\n", long(15_000))), 200),
        ("a head over it", get("/healthz", &format!("X-A: {}\r\n", long(17_000))), 431),
        ("an endless head", format!("GET / HTTP/1.1\r\nX-A: {}", long(17_000)), 431),
        ("99 headers more", get("/healthz", &"X-A: 1\r\n".repeat(99)), 200),
        ("100 headers more", get("/healthz", &"X-A: 1\r\n".repeat(100)), 431),
        ("a body over 20 MiB", sized(20 * 1024 * 1024 + 1), 413),
        ("a length of 19 digits", sized(9_000_000_000_000_000_000), 413),
        ("a chunk over 20 MiB", chunked("2000000\r\n"), 413),
        ("an overflowing chunk", chunked("fffffffffffffffff\r\n"), 400),
        ("an endless extension", chunked(&format!("1;{}", long(2000))), 400),
        ("endless trailers", chunked(&format!("0\r\n{}", "X-A: 12345678\r\n".repeat(700))), 431),
        ("no proxy", "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n".to_owned(), 501),
    ];
    for (what, request, status) in table {
        let response = ask(gateway.port, &request);
        assert_eq!(response.status, status, "{what}: {response:?}");
        if !matches!(status, 200 | 404) {
            assert_eq!(response.header("connection"), Some("close"), "{what}: {response:?}");
        }
    }
}

/// Requests that two readers may cut differently. Each is refused, the connection ends, and
/// what stands behind it is not served.
#[test]
fn nothing_is_smuggled() {
    let home = Home::new();
    let gateway = start(&home);
    let with = |headers: &str, body: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
             {headers}\r\n{body}"
        )
    };
    let line = |headers: &str| with(headers, "0\r\n\r\n");
    let table = [
        ("two lengths", line("Content-Length: 5\r\nContent-Length: 6\r\n")),
        ("the same length twice", line("Content-Length: 5\r\nContent-Length: 5\r\n")),
        ("a list of lengths", line("Content-Length: 5, 5\r\n")),
        ("a signed length", line("Content-Length: +5\r\n")),
        ("a negative length", line("Content-Length: -5\r\n")),
        ("a hex length", line("Content-Length: 0x5\r\n")),
        ("an empty length", line("Content-Length: \r\n")),
        ("a length of 20 digits", line("Content-Length: 18446744073709551621\r\n")),
        ("length and chunked", line("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")),
        ("chunked and length", line("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n")),
        ("chunked twice", line("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
        ("chunked not last", line("Transfer-Encoding: chunked, identity\r\n")),
        ("identity, chunked", line("Transfer-Encoding: identity, chunked\r\n")),
        ("gzip, chunked", line("Transfer-Encoding: gzip, chunked\r\n")),
        ("xchunked", line("Transfer-Encoding: xchunked\r\n")),
        ("chunked with a tab", line("Transfer-Encoding: \x0bchunked\r\n")),
        ("chunked in quotes", line("Transfer-Encoding: \"chunked\"\r\n")),
        ("space before colon", line("Transfer-Encoding : chunked\r\n")),
        ("space before length", line("Content-Length : 5\r\n")),
        ("obs-fold", line("X-A: 1\r\n Transfer-Encoding: chunked\r\n")),
        ("folded value", line("Transfer-Encoding:\r\n chunked\r\n")),
        ("a line that begins with space", with(" X-A: 1\r\n", "")),
        ("a name with a NUL", line("X-\0A: 1\r\n")),
        ("a value with a NUL", line("X-A: 1\0\r\n")),
        ("a bare CR in a value", line("X-A: 1\rTransfer-Encoding: chunked\r\n")),
        ("a line without a colon", line("X-A\r\n")),
        ("an empty name", line(": 1\r\n")),
        ("bare LF", with("Content-Length: 0\n", "")),
        ("bare LF at the end", "GET /healthz HTTP/1.1\r\nHost: x\r\n\n".to_owned()),
        ("only LF", "GET /healthz HTTP/1.1\nHost: x\n\n".to_owned()),
        ("a chunk that ends with LF", with("Transfer-Encoding: chunked\r\n", "1\na\r\n0\r\n\r\n")),
        ("LF in an extension", with("Transfer-Encoding: chunked\r\n", "1;a\nb\r\na\r\n0\r\n\r\n")),
        ("a chunk size with 0x", with("Transfer-Encoding: chunked\r\n", "0x1\r\na\r\n0\r\n\r\n")),
        ("a chunk size with +", with("Transfer-Encoding: chunked\r\n", "+1\r\na\r\n0\r\n\r\n")),
        ("a chunk size with _", with("Transfer-Encoding: chunked\r\n", "1_0\r\na\r\n0\r\n\r\n")),
        ("a chunk without its CRLF", with("Transfer-Encoding: chunked\r\n", "1\r\naX0\r\n\r\n")),
        ("an empty chunk size", with("Transfer-Encoding: chunked\r\n", "\r\na\r\n0\r\n\r\n")),
        ("chunked in 1.0", line("Transfer-Encoding: chunked\r\n").replace("/1.1", "/1.0")),
        ("no Host", "GET /healthz HTTP/1.1\r\n\r\n".to_owned()),
        ("two Hosts", "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n".to_owned()),
        ("a bad Host", "GET /healthz HTTP/1.1\r\nHost: x y\r\n\r\n".to_owned()),
        ("a Host with a user", "GET /healthz HTTP/1.1\r\nHost: a@x\r\n\r\n".to_owned()),
        ("another authority", "GET http://a/healthz HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("a target of another scheme", "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("a fragment", "GET /healthz#a HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("a target without a slash", "GET healthz HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("an asterisk with GET", "GET * HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("two spaces", "GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("a NUL in the target", "GET /health\0z HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("version 1.2", "GET /healthz HTTP/1.2\r\nHost: x\r\n\r\n".to_owned()),
        ("version 2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("no version", "GET /healthz\r\nHost: x\r\n\r\n".to_owned()),
        ("not HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}".to_owned()),
    ];
    for (what, request) in table {
        let mut http = Http::connect(gateway.port);
        http.send(format!("{request}{}", get("/v1/models")));
        let response = http.response();
        assert_eq!(response.status, 400, "{what}: {response:?}");
        assert_eq!(response.header("connection"), Some("close"), "{what}: {response:?}");
        http.ends();
    }
    assert_eq!(ask(gateway.port, HEALTHZ).status, 200);
}

#[test]
fn a_refused_body_is_not_the_next_request() {
    let home = Home::new();
    let gateway = start(&home);
    let hidden = get("/v1/models");
    for (path, status) in [("/nowhere", 404), ("/healthz", 405), ("/v1/models", 405)] {
        let mut http = Http::connect(gateway.port);
        http.send(format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Length: {}\r\n\r\n{hidden}{HEALTHZ}",
            hidden.len()
        ));
        assert_eq!(http.response().status, status, "{path}");
        assert_eq!(http.response().json()["status"], "live", "{path}");
    }
    // A GET with a body.
    let mut http = Http::connect(gateway.port);
    http.send(format!(
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{hidden}{}",
        hidden.len(),
        HEALTHZ.replace("healthz", "startupz")
    ));
    assert_eq!(http.response().json()["status"], "live");
    assert_eq!(http.response().json()["status"], "started");
}

#[test]
fn probes_answer_strangers_and_take_no_other_method() {
    let home = Home::new();
    let gateway = start(&home);
    for path in ["/health", "/healthz", "/ready", "/readyz", "/startupz"] {
        let line = |method: &str| format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut http = Http::connect(gateway.port);
        let got = http.exchange(line("GET"));
        assert_eq!(got.status, 200, "{path}: {got:?}");
        assert_eq!(got.header("cache-control"), Some("no-store"), "{path}: {got:?}");
        assert_eq!(got.header("content-type"), Some("application/json; charset=utf-8"));
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"), "{got:?}");
        assert_eq!(got.header("referrer-policy"), Some("no-referrer"), "{got:?}");
        http.send(line("HEAD"));
        let head = http.answer(true).unwrap();
        assert_eq!(head.status, 200);
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            let refused = http.exchange(line(method));
            assert_eq!(refused.status, 405, "{method} {path}: {refused:?}");
            assert_eq!(refused.header("allow"), Some("GET, HEAD"), "{refused:?}");
            assert_eq!(refused.text(), "Method Not Allowed");
        }
    }
    let ready = ask(gateway.port, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").json();
    assert_eq!((&ready["ready"], &ready["failing"]), (&json!(true), &json!([])));
    let started = ask(gateway.port, "GET /startupz HTTP/1.1\r\nHost: x\r\n\r\n").json();
    assert_eq!(started["ok"], true);
}

#[test]
fn an_unknown_path_is_text_and_json_under_v1() {
    let home = Home::new();
    let gateway = start(&home);
    for path in ["/nowhere", "/v2/models", "/healthz/", "/HEALTHZ", "/%68ealthz", "/v1x"] {
        let response = ask(gateway.port, get(path));
        assert_eq!(response.status, 404, "{path}");
        assert_eq!(response.text(), "Not Found", "{path}");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    for path in ["/v1", "/v1/", "/v1/nowhere", "/v1/models/", "/v1/completions?x=1"] {
        let response = ask(gateway.port, get(path));
        assert_error(&response, 404, "invalid_request_error", "/v1/chat/completions");
    }
}

#[test]
fn without_the_secret_there_is_401_and_nothing_else() {
    let home = Home::new();
    let gateway = start(&home);
    let longer = format!("Bearer {TOKEN}x");
    let twice = format!("Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}");
    let values = [
        None,
        Some("Bearer wrong"),
        Some("Bearer "),
        Some("Bearer"),
        Some("Basic dDp0"),
        Some(TOKEN),
        Some(longer.as_str()),
        Some(twice.as_str()),
    ];
    for value in values {
        let header = value.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
        for (method, path) in [
            ("GET", "/v1/models"),
            ("GET", "/v1/models/openclaw"),
            ("POST", "/v1/chat/completions"),
            ("POST", "/v1/chat/completions?token=t0ken-of-the-tests"),
        ] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nX-Openclaw-Scopes: operator.admin\r\n\
                 {header}\r\n"
            );
            let response = ask(gateway.port, request);
            assert_error(&response, 401, "unauthorized", "Unauthorized");
            assert_eq!(response.header("www-authenticate"), None);
        }
    }
    let lower = get("/v1/models").replace("Bearer", "bearer");
    assert_eq!(ask(gateway.port, lower).status, 200);
}

#[test]
fn a_forwarding_header_is_refused_at_every_door() {
    let home = Home::new();
    let gateway = start(&home);
    for header in [
        "X-Forwarded-For: 127.0.0.1",
        "x-real-ip: 127.0.0.1",
        "Forwarded: for=127.0.0.1",
        "X-Forwarded-For: 127.0.0.1, ::1",
        "X-Forwarded-Host: localhost",
        "X-Forwarded-Port: 443",
        "CF-Connecting-IP: 127.0.0.1",
        "Tailscale-User-Login: a@b",
    ] {
        for path in ["/healthz", "/readyz", "/v1/models", "/nowhere"] {
            let with = format!("\r\n{header}\r\n\r\n");
            let response = ask(gateway.port, get(path).replacen("\r\n\r\n", &with, 1));
            assert_error(&response, 403, "proxy_attribution_required", "trustedProxies");
        }
    }
}

#[test]
fn host_and_origin_stop_foreign_pages_and_rebinding() {
    let home = Home::new();
    let gateway = start(&home);
    let port = gateway.port;
    let ask_as = |host: &str, headers: &str| {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
        ask(port, request).status
    };
    let local = format!("127.0.0.1:{port}");
    for (host, headers, status) in [
        // No browser: any Host.
        ("evil.example", "", 200),
        // A browser without an origin: a navigation or an image.
        (&local, "Sec-Fetch-Site: none\r\n", 200),
        ("evil.example", "Sec-Fetch-Site: cross-site\r\n", 403),
        ("evil!example", "Sec-Fetch-Site: cross-site\r\n", 403),
        ("evil.example:80", "Origin: http://evil.example\r\n", 403),
        (&local, "Origin: http://evil.example\r\n", 403),
        (&local, "Origin: null\r\n", 403),
        (&local, "Origin: \r\n", 403),
        (&local, "Origin: http://localhost.evil.example\r\n", 403),
        (&local, "Origin: http://127.0.0.1.evil.example\r\n", 403),
        (&local, "Origin: http://localhost:5173\r\n", 200),
        (&local, "Origin: http://[::1]:5173\r\n", 200),
        (&local, &format!("Origin: http://127.0.0.1:{port}\r\n"), 200),
        (&local, &format!("Origin: http://127.0.0.1:{port}/path\r\n"), 403),
        ("127.evil.com", "Origin: http://127.evil.com\r\n", 403),
        ("localhost.", "Origin: http://localhost.\r\n", 200),
    ] {
        assert_eq!(ask_as(host, headers), status, "{host} {headers}");
    }
    let refused = ask(
        port,
        "GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nSec-Fetch-Site: same-origin\r\n\r\n",
    );
    assert_error(&refused, 403, "host_not_allowed", "gateway.controlUi.allowedOrigins");

    let home = Home::new();
    home.configure(
        "{gateway: {mode: 'local', auth: {mode: 'none'}, \
         controlUi: {allowedOrigins: ['https://ours.example']}}}",
    );
    let gateway = home.start("");
    let ask_as = |host: &str, headers: &str| {
        let request = format!("GET /v1/models HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
        ask(gateway.port, request).status
    };
    let own = format!("Origin: http://localhost:{}\r\n", gateway.port);
    for (host, headers, status) in [
        ("evil.example", "", 403),
        ("localhost", "", 200),
        ("ours.example", "", 200),
        ("ours.example", "Origin: https://ours.example\r\n", 200),
        // Without a secret another page of this machine is a stranger too.
        ("localhost", "Origin: http://localhost:5173\r\n", 403),
        (&format!("localhost:{}", gateway.port), &own, 200),
    ] {
        assert_eq!(ask_as(host, headers), status, "{host} {headers}");
    }
}
