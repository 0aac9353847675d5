//! The WebSocket handshake: each row of the failure table as the peer sees it.

mod common;

use common::http::{TOKEN, ask};
use common::provider::config;
use common::socket::{Socket, params, upgrade_request};
use common::{Gateway, Home};
use openclaw_gateway::wire::ws;
use serde_json::{Value, json};

fn start(home: &Home) -> Gateway {
    home.configure(&config(&[], "primary: 'local/echo'", ""));
    home.start("")
}

/// The parameters with some members replaced; `null` removes one.
fn changed(changes: &[(&str, Value)]) -> Value {
    let mut params = params();
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = params.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        if value.is_null() {
            parent.remove(name);
        } else {
            parent.insert(name.to_owned(), value.clone());
        }
    }
    params
}

fn refused(port: u16, headers: &str, params: &Value) -> (Value, Option<u16>, String) {
    let mut socket = Socket::upgrade(port, "/", headers).expect("101");
    let error = socket.call("connect", params).expect_err("a refusal");
    let (code, reason) = socket.closed();
    (error, code, reason)
}

/// What, header lines, parameters; code, message and details of the error; close code.
type Row = (&'static str, &'static str, Value, &'static str, &'static str, Option<Value>, u16);

#[test]
fn each_refusal_has_its_error_details_and_close_code() {
    let home = Home::new();
    let gateway = start(&home);
    let device = || {
        json!({"id": "0".repeat(64), "publicKey": "AAAA", "signature": "AAAA",
            "signedAt": 1, "nonce": "x"})
    };
    let mismatch = json!({
        "code": "AUTH_TOKEN_MISMATCH", "authReason": "token_mismatch",
        "canRetryWithDeviceToken": false, "recommendedNextStep": "update_auth_credentials",
    });
    let wrong_range = |min: u32, max: u32| {
        json!({
            "code": "PROTOCOL_MISMATCH", "clientMinProtocol": min, "clientMaxProtocol": max,
            "expectedProtocol": 4, "minimumProbeProtocol": 3,
        })
    };
    let range =
        |min: u32, max: u32| changed(&[("/minProtocol", json!(min)), ("/maxProtocol", json!(max))]);
    let no_device = json!({"code": "DEVICE_IDENTITY_REQUIRED"});
    let origin = |reason: &str| json!({"code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": reason});
    let page = changed(&[("/client/id", json!("openclaw-control-ui"))]);
    let page_device = json!({"code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"});
    let id = json!({
        "code": "DEVICE_AUTH_DEVICE_ID_MISMATCH", "reason": "device-id-mismatch",
    });
    let foreign = "Origin: http://evil.example\r\n";
    let with = |pointer: &str, value: Value| changed(&[(pointer, value)]);
    let table: Vec<Row> = vec![
        (
            "a wrong token",
            "",
            with("/auth/token", json!("x")),
            "INVALID_REQUEST",
            "unauthorized: gateway token mismatch",
            Some(mismatch.clone()),
            1008,
        ),
        (
            "a wrong password",
            "",
            with("/auth", json!({"password": "x"})),
            "INVALID_REQUEST",
            "unauthorized: gateway token mismatch",
            Some(mismatch.clone()),
            1008,
        ),
        (
            "a wrong device token",
            "",
            with("/auth", json!({"deviceToken": "x"})),
            "INVALID_REQUEST",
            "unauthorized: gateway token mismatch",
            Some(mismatch),
            1008,
        ),
        (
            "no auth",
            "",
            with("/auth", Value::Null),
            "NOT_PAIRED",
            "device identity required",
            Some(no_device.clone()),
            1008,
        ),
        (
            "an empty token",
            "",
            with("/auth/token", json!("")),
            "NOT_PAIRED",
            "device identity required",
            Some(no_device.clone()),
            1008,
        ),
        (
            "a node without device",
            "",
            with("/role", json!("node")),
            "NOT_PAIRED",
            "device identity required",
            Some(no_device),
            1008,
        ),
        (
            "an unknown property",
            "",
            with("/x", json!(1)),
            "INVALID_REQUEST",
            "invalid connect params: at root: unexpected property 'x'",
            None,
            1008,
        ),
        (
            "no client",
            "",
            with("/client", Value::Null),
            "INVALID_REQUEST",
            "invalid connect params: must have required property 'client'",
            None,
            1008,
        ),
        (
            "an unknown client",
            "",
            with("/client/id", json!("Cli")),
            "INVALID_REQUEST",
            "invalid connect params: at /client/id: must be equal to one of the allowed",
            None,
            1008,
        ),
        (
            "mode operator",
            "",
            with("/client/mode", json!("operator")),
            "INVALID_REQUEST",
            "invalid connect params: at /client/mode",
            None,
            1008,
        ),
        (
            "a text as protocol",
            "",
            with("/minProtocol", json!("4")),
            "INVALID_REQUEST",
            "invalid connect params: at /minProtocol",
            None,
            1008,
        ),
        (
            "no nonce in the device",
            "",
            with("/device", json!({"id": "x", "publicKey": "x", "signature": "x", "signedAt": 1})),
            "INVALID_REQUEST",
            "invalid connect params: ",
            None,
            1008,
        ),
        (
            "protocol 1 to 2",
            "",
            range(1, 2),
            "INVALID_REQUEST",
            "protocol mismatch",
            Some(wrong_range(1, 2)),
            1002,
        ),
        (
            "protocol 5 to 9",
            "",
            range(5, 9),
            "INVALID_REQUEST",
            "protocol mismatch",
            Some(wrong_range(5, 9)),
            1002,
        ),
        (
            "protocol 4 to 3",
            "",
            range(4, 3),
            "INVALID_REQUEST",
            "protocol mismatch",
            Some(wrong_range(4, 3)),
            1002,
        ),
        (
            "an unknown role",
            "",
            with("/role", json!("admin")),
            "INVALID_REQUEST",
            "invalid role",
            None,
            1008,
        ),
        (
            "a foreign page",
            foreign,
            params(),
            "INVALID_REQUEST",
            "origin not allowed",
            Some(origin("origin not allowed")),
            1008,
        ),
        (
            "a page without origin",
            "Origin: null\r\n",
            params(),
            "INVALID_REQUEST",
            "origin not allowed",
            Some(origin("origin missing or invalid")),
            1008,
        ),
        (
            "the page without a device",
            "",
            page,
            "INVALID_REQUEST",
            "control ui requires device identity",
            Some(page_device),
            1008,
        ),
        (
            "a device that is not its key",
            "",
            with("/device", device()),
            "INVALID_REQUEST",
            "device identity mismatch",
            Some(id.clone()),
            1008,
        ),
        // The order of the checks, by double faults.
        (
            "params before protocol",
            "",
            changed(&[("/x", json!(1)), ("/minProtocol", json!(9))]),
            "INVALID_REQUEST",
            "invalid connect params",
            None,
            1008,
        ),
        (
            "protocol before role",
            "",
            changed(&[("/maxProtocol", json!(1)), ("/role", json!("x"))]),
            "INVALID_REQUEST",
            "protocol mismatch",
            Some(wrong_range(3, 1)),
            1002,
        ),
        (
            "role before origin",
            foreign,
            with("/role", json!("x")),
            "INVALID_REQUEST",
            "invalid role",
            None,
            1008,
        ),
        (
            "origin before device",
            foreign,
            with("/device", device()),
            "INVALID_REQUEST",
            "origin not allowed",
            Some(origin("origin not allowed")),
            1008,
        ),
        (
            "device before secret",
            "",
            changed(&[("/device", device()), ("/auth/token", json!("x"))]),
            "INVALID_REQUEST",
            "device identity mismatch",
            Some(id),
            1008,
        ),
    ];
    for (what, headers, params, code, message, details, close) in table {
        let (error, closed, reason) = refused(gateway.port, headers, &params);
        let said = error["message"].as_str().unwrap();
        assert_eq!(error["code"], code, "{what}: {error}");
        assert!(said.starts_with(message), "{what}: {error}");
        assert_eq!(error.get("details"), details.as_ref(), "{what}");
        assert_eq!(closed, Some(close), "{what}");
        assert!(
            said.starts_with(&reason) && reason.len() >= said.len().min(120),
            "{what}: {reason}"
        );
        assert!(!said.contains(TOKEN), "{what}: {said}");
    }
}

#[cfg(feature = "tls")]
mod device {
    use super::*;
    use openclaw_gateway::wire::hash::{base64_url_no_pad, hex, sha256};
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use std::time::{SystemTime, UNIX_EPOCH};

    fn now_ms() -> i64 {
        let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(age.as_millis()).unwrap()
    }

    /// Signed as the official client does, with what a test wants to be wrong.
    fn signed(socket: &Socket, skew_ms: i64, nonce: Option<&str>, version: &str) -> Value {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = pair.public_key().as_ref();
        let id = hex(&sha256(key));
        let nonce = nonce.unwrap_or_else(|| socket.challenge["nonce"].as_str().unwrap());
        let at = now_ms() + skew_ms;
        let mut line = format!(
            "{version}|{id}|gateway-client|backend|operator|\
             operator.admin,operator.read,operator.write|{at}|{TOKEN}|{nonce}"
        );
        if version == "v3" {
            line.push_str("|linux|");
        }
        let signature = base64_url_no_pad(pair.sign(line.as_bytes()).as_ref());
        let mut params = params();
        params["device"] = json!({
            "id": id, "publicKey": base64_url_no_pad(key), "signature": signature,
            "signedAt": at, "nonce": nonce,
        });
        params
    }

    #[test]
    fn a_device_proves_itself_or_is_told_what_is_wrong() {
        let home = Home::new();
        let gateway = start(&home);
        for version in ["v3", "v2"] {
            for skew in [0, 110_000, -110_000] {
                let mut socket = Socket::open(gateway.port);
                let params = signed(&socket, skew, None, version);
                let hello = socket.call("connect", &params).unwrap();
                assert_eq!(hello["auth"]["scopes"].as_array().unwrap().len(), 3, "{hello}");
            }
        }
        let fails = |code: &str, reason: &str, message: &str, make: &dyn Fn(&Socket) -> Value| {
            let mut socket = Socket::open(gateway.port);
            let params = make(&socket);
            let error = socket.call("connect", &params).unwrap_err();
            assert_eq!(error["message"], message);
            assert_eq!(error["details"], json!({"code": code, "reason": reason}));
            assert_eq!(socket.closed(), (Some(1008), message.to_owned()));
        };
        for skew in [130_000, -130_000] {
            fails(
                "DEVICE_AUTH_SIGNATURE_EXPIRED",
                "device-signature-stale",
                "device signature expired",
                &|socket| signed(socket, skew, None, "v3"),
            );
        }
        fails(
            "DEVICE_AUTH_NONCE_MISMATCH",
            "device-nonce-mismatch",
            "device nonce mismatch",
            &|socket| signed(socket, 0, Some("another"), "v3"),
        );
        fails(
            "DEVICE_AUTH_NONCE_REQUIRED",
            "device-nonce-missing",
            "device nonce required",
            &|socket| signed(socket, 0, Some(" "), "v3"),
        );
        fails(
            "DEVICE_AUTH_SIGNATURE_INVALID",
            "device-signature",
            "device signature invalid",
            &|socket| {
                let mut params = signed(socket, 0, None, "v3");
                // Signed for fewer scopes than are asked for now.
                params["scopes"] = json!(["operator.admin", "operator.pairing"]);
                params
            },
        );
    }
}

#[test]
fn what_is_no_request_ends_it_without_an_answer() {
    let home = Home::new();
    let gateway = start(&home);
    type Say = fn(&mut Socket);
    let table: [(&str, Say, u16, &str); 9] = [
        ("an event", |s| s.text(r#"{"type":"event","event":"x"}"#), 1008, "invalid request frame"),
        ("an object", |s| s.text("{}"), 1008, "invalid request frame"),
        ("a number", |s| s.text("7"), 1008, "invalid request frame"),
        ("no JSON", |s| s.text("hello"), 1000, ""),
        ("an empty text", |s| s.text(""), 1000, ""),
        ("a binary frame", |s| s.piece(0x82, b"{}"), 1000, ""),
        ("over 64 KiB", |s| s.text(&"x".repeat(65_537)), 1009, ""),
        ("not UTF-8", |s| s.piece(0x81, b"\xff"), 1007, "not UTF-8"),
        ("a reserved bit", |s| s.piece(0xc1, b"{}"), 1002, "reserved bits set"),
    ];
    for (what, say, code, reason) in table {
        let mut socket = Socket::open(gateway.port);
        say(&mut socket);
        assert_eq!(socket.closed(), (Some(code), reason.to_owned()), "{what}");
        assert!(socket.responses.is_empty(), "{what}: {:?}", socket.responses);
    }
    let mut socket = Socket::open(gateway.port);
    let error = socket.call("health", &json!({})).unwrap_err();
    assert_eq!(error["message"], "invalid handshake: first request must be connect");
    assert_eq!(error.get("details"), None);
    assert_eq!(socket.closed().0, Some(1008));
}

#[test]
fn announced_lengths_are_judged_before_a_byte_of_the_payload() {
    let home = Home::new();
    let gateway = start(&home);
    for length in [65_537, 1 << 31, u64::MAX >> 1, u64::MAX] {
        let mut socket = Socket::open(gateway.port);
        let mut header = vec![0x81, 0xff];
        header.extend(length.to_be_bytes());
        header.extend([1, 2, 3, 4]);
        socket.raw(&header);
        assert_eq!(socket.closed().0, Some(1009), "{length}");
    }
    // Fragments count together.
    let mut socket = Socket::open(gateway.port);
    socket.piece(0x01, &[b' '; 40_000]);
    socket.piece(0x80, &[b' '; 40_000]);
    assert_eq!(socket.closed().0, Some(1009));
    // An unmasked frame.
    let mut socket = Socket::open(gateway.port);
    socket.raw(b"\x81\x02{}");
    assert_eq!(socket.closed().0, Some(1002));
    // A connect frame close to the cap is read; it may come in pieces with a ping between.
    let big = changed(&[("/userAgent", json!("u".repeat(60_000)))]);
    assert_eq!(Socket::with(gateway.port, &big).hello["protocol"], 4);
    let mut socket = Socket::open(gateway.port);
    let frame = json!({"type": "req", "id": "c", "method": "connect", "params": big}).to_string();
    let (a, b) = frame.as_bytes().split_at(30_000);
    socket.piece(0x01, a);
    socket.piece(0x89, b"between");
    socket.piece(0x80, b);
    let pong = openclaw_gateway::wire::ws::Message::Pong(b"between".to_vec());
    assert_eq!(socket.message(), Some(pong));
    assert_eq!(socket.response("c").unwrap()["type"], "hello-ok");
}

#[test]
fn every_path_upgrades_and_a_bad_upgrade_is_told_in_http() {
    let home = Home::new();
    let gateway = start(&home);
    for path in ["/", "/ws", "/v1/models", "/a/b?c=d", "/healthz"] {
        let mut socket = Socket::upgrade(gateway.port, path, "").unwrap();
        assert!(socket.call("connect", &params()).is_ok(), "{path}");
    }
    // Extensions and sub-protocols are offered, not taken.
    let offers = "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: x\r\n";
    let mut http = common::http::Http::connect(gateway.port);
    http.send(upgrade_request("/", offers));
    let head = http.head().unwrap();
    assert_eq!(head.status, 101);
    assert_eq!(head.header("sec-websocket-extensions"), None, "{head:?}");
    assert_eq!(head.header("sec-websocket-protocol"), None, "{head:?}");

    let old = upgrade_request("/", "").replace("Version: 13", "Version: 12");
    let response = ask(gateway.port, old);
    assert_eq!(response.status, 400, "{response:?}");
    assert!(response.header("sec-websocket-version").unwrap().contains("13"), "{response:?}");
    for bad in [
        upgrade_request("/", "").replace("dGhlIHNhbXBsZSBub25jZQ==", "dG9vIHNob3J0"),
        upgrade_request("/", "").replace("Sec-WebSocket-Key", "X-Key"),
    ] {
        assert_eq!(ask(gateway.port, bad).status, 400);
    }
    // A foreign host in front of a browser's upgrade is refused before it.
    let page = upgrade_request("/", "Origin: http://evil.example\r\n")
        .replace("Host: localhost", "Host: evil.example");
    assert_eq!(ask(gateway.port, page).status, 403);
    let proxied = upgrade_request("/", "X-Forwarded-For: 127.0.0.1\r\n");
    let response = ask(gateway.port, proxied);
    assert_eq!(response.status, 403);
    assert_eq!(response.json()["error"]["type"], "proxy_attribution_required");
    // Bytes behind the head are the first frames.
    let mut bytes = upgrade_request("/", "").into_bytes();
    let frame = json!({"type": "req", "id": "c", "method": "connect", "params": params()});
    openclaw_gateway::wire::ws::text_masked(&mut bytes, frame.to_string(), [1, 2, 3, 4]);
    let mut http = common::http::Http::connect(gateway.port);
    http.send(bytes);
    assert_eq!(http.head().unwrap().status, 101);
    let (mut stream, mut rest) = http.into_parts();
    while !String::from_utf8_lossy(&rest).contains("hello-ok") {
        use std::io::Read;
        let mut chunk = [0; 4096];
        let n = stream.read(&mut chunk).unwrap();
        assert!(n > 0);
        rest.extend_from_slice(&chunk[..n]);
    }
}

#[test]
fn hello_says_what_was_granted() {
    let home = Home::new();
    let gateway = start(&home);
    let port = gateway.port;
    let hello = Socket::connect(port).hello;
    assert_eq!(hello["protocol"], 4);
    assert_eq!(hello["policy"]["maxPayload"], 26_214_400);
    assert_eq!(hello["policy"]["tickIntervalMs"], 30_000);
    let attachments = json!({"maxBytes": 19_464_192, "maxImageBytes": 6_291_456});
    assert_eq!(hello["policy"]["attachments"], attachments);
    let auth = json!({
        "role": "operator", "method": "token",
        "scopes": ["operator.admin", "operator.read", "operator.write"],
    });
    let other = Socket::connect(port);
    let granted = |hello: &Value| {
        let mut auth = hello["auth"].clone();
        auth["scopes"].as_array_mut().unwrap().sort_by_key(|scope| scope.to_string());
        // The same for this gateway and its people whenever they come.
        let recovery = auth.as_object_mut().and_then(|auth| auth.remove("recoveryScope"));
        assert_eq!(recovery, Some(other.hello["auth"]["recoveryScope"].clone()));
        auth
    };
    assert_eq!(granted(&hello), auth);
    assert_eq!(hello["snapshot"]["sessionDefaults"]["mainSessionKey"], "agent:main:main");
    assert!(!hello.to_string().contains(TOKEN));

    let range =
        |min: u32, max: u32| changed(&[("/minProtocol", json!(min)), ("/maxProtocol", json!(max))]);
    for (min, max, want) in [(3, 3, 3), (1, 3, 3), (3, 4, 4), (4, 4, 4), (4, 9, 4)] {
        let hello = Socket::with(port, &range(min, max)).hello;
        assert_eq!(hello["protocol"], want, "{min} to {max}");
        let startup = json!("chat.startup");
        let known = hello["features"]["methods"].as_array().unwrap().contains(&startup);
        assert_eq!(known, want == 4);
        assert_eq!(hello["policy"].get("attachments").is_some(), want == 4);
    }
    let scopes = |changes: &[(&str, Value)], headers: &str| {
        let mut socket = Socket::upgrade(port, "/", headers).unwrap();
        socket.call("connect", &changed(changes)).unwrap()["auth"]["scopes"].clone()
    };
    let client = |id: &str, mode: &str| {
        ("/client", json!({"id": id, "mode": mode, "version": "1", "platform": "linux"}))
    };
    let only_read = ("/scopes", json!(["operator.read"]));
    for (what, changes, headers, want) in [
        ("no scopes asked", vec![("/scopes", Value::Null)], "", json!([])),
        ("empty stays empty", vec![("/scopes", json!([]))], "", json!([])),
        ("what was asked", vec![only_read.clone()], "", json!(["operator.read"])),
        ("an unknown scope", vec![("/scopes", json!(["operator.nonsense"]))], "", json!([])),
        (
            "the secret as password",
            vec![only_read.clone(), ("/auth", json!({"password": TOKEN}))],
            "",
            json!(["operator.read"]),
        ),
        ("the cli", vec![client("cli", "cli"), only_read.clone()], "", json!(["operator.read"])),
        ("a probe", vec![client("cli", "probe")], "", json!([])),
        ("a test", vec![client("test", "test")], "", json!([])),
        ("a page of this machine", vec![], "Origin: http://localhost:5173\r\n", json!([])),
    ] {
        assert_eq!(scopes(&changes, headers), want, "{what}");
    }
}

#[test]
fn hello_tells_places_to_administrators_only() {
    let home = Home::new();
    let gateway = start(&home);
    for (scope, told) in [("operator.admin", true), ("operator.write", false)] {
        let mut socket = Socket::upgrade(gateway.port, "/", "").expect("101");
        let params = changed(&[("/scopes", json!([scope]))]);
        let hello = socket.call("connect", &params).expect("hello-ok");
        for name in ["configPath", "stateDir", "authMode"] {
            let shown = hello.pointer(&format!("/snapshot/{name}")).is_some();
            assert_eq!(shown, told, "{scope} {name}");
        }
    }
}

#[test]
fn frames_right_behind_the_upgrade_are_served_once() {
    let home = Home::new();
    let gateway = start(&home);
    let mut bytes = upgrade_request("/", "").into_bytes();
    let connect = json!({"type": "req", "id": "c", "method": "connect", "params": params()});
    ws::text_masked(&mut bytes, connect.to_string(), [1, 2, 3, 4]);
    let health = json!({"type": "req", "id": "h", "method": "health"});
    ws::text_masked(&mut bytes, health.to_string(), [1, 2, 3, 4]);
    let mut socket = Socket::upgrade_by(gateway.port, &bytes).expect("101");
    assert_eq!(socket.response("c").expect("hello")["type"], "hello-ok");
    assert_eq!(socket.response("h").expect("health")["ok"], true);
    socket.is_alive();
    assert!(socket.responses.is_empty(), "{:?}", socket.responses);
}
