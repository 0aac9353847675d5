//! Devices: who is paired by whom, what their tokens open, and how all of that ends.

#![cfg(feature = "tls")]

mod common;

use common::device::{Device, by_token, cli, node, token_of};
use common::http::TOKEN;
use common::provider::config;
use common::socket::Socket;
use common::{Gateway, Home};
use serde_json::{Value, json};

fn start(home: &Home) -> Gateway {
    home.configure(&config(&[], "primary: 'local/echo'", ""));
    home.start("")
}

fn admin(port: u16) -> Socket {
    let mut params = common::socket::params();
    params["scopes"] = json!(["operator.admin"]);
    Socket::with(port, &params)
}

/// Ends it at once, by SIGKILL: what was answered has to be on the disk.
fn stop(gateway: Gateway) {
    drop(gateway);
}

/// The row of a device in `device.pair.list`.
fn row(socket: &mut Socket, id: &str) -> Option<Value> {
    let list = socket.call("device.pair.list", &json!({})).expect("a list");
    list["paired"].as_array().into_iter().flatten().find(|row| row["deviceId"] == id).cloned()
}

#[test]
fn a_local_device_is_paired_silently_and_comes_back_by_its_token() {
    let home = Home::new();
    let gateway = start(&home);
    let device = Device::new(1);
    let first = device.connect(gateway.port, &cli());
    let token = token_of(&first);
    assert_eq!(token.len(), 43, "{token}");
    assert!(first.hello["auth"]["issuedAtMs"].is_u64(), "{}", first.hello["auth"]);

    let mut admin = admin(gateway.port);
    let known = row(&mut admin, &device.id).expect("it is paired");
    assert_eq!(known["approvedVia"], "silent", "{known}");
    assert_eq!(known["publicKey"], json!(device.key), "{known}");
    assert_eq!(known["connected"], true, "{known}");
    assert_eq!(known["lastSeenReason"], "connect", "{known}");
    assert!(!known.to_string().contains(&token), "a token is never listed");

    // The same token for the secret, and entry by that token alone, from anywhere.
    assert_eq!(token_of(&device.connect(gateway.port, &cli())), token);
    let mut by = device.connect_afar(gateway.port, &by_token(cli(), &token));
    assert_eq!(by.hello["auth"]["scopes"], first.hello["auth"]["scopes"]);
    by.is_alive();
    let known = row(&mut admin, &device.id).expect("it is paired");
    assert_eq!(known["lastSeenReason"], "device-token-auth", "{known}");

    // Nothing on the disk admits anybody.
    let kept = std::fs::read_to_string(home.state().join("devices/paired.json")).expect("a file");
    assert!(!kept.contains(&token), "{kept}");
    assert!(kept.contains("tokenSha256"), "{kept}");
    for name in ["paired.json", "token-key"] {
        use std::os::unix::fs::PermissionsExt;
        let file = home.state().join("devices").join(name);
        let mode = std::fs::metadata(file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_token_is_worth_nothing_with_another_key_and_junk_nothing_with_any() {
    let home = Home::new();
    let gateway = start(&home);
    let token = token_of(&Device::new(1).connect(gateway.port, &cli()));
    let other = Device::new(2);
    // GHSA-rv39-79c4-7459: something in auth.token is no proof by being there.
    for (what, auth, code) in [
        ("another's", json!({"token": token, "deviceToken": token}), "AUTH_DEVICE_TOKEN_MISMATCH"),
        ("another's, one field", json!({"token": token}), "AUTH_TOKEN_MISMATCH"),
        ("junk", json!({"token": "junk"}), "AUTH_TOKEN_MISMATCH"),
        ("junk as device token", json!({"deviceToken": "junk"}), "AUTH_DEVICE_TOKEN_MISMATCH"),
        ("junk as setup code", json!({"bootstrapToken": "junk"}), "AUTH_BOOTSTRAP_TOKEN_INVALID"),
        ("the secret as device token", json!({"deviceToken": TOKEN}), "AUTH_DEVICE_TOKEN_MISMATCH"),
        ("nothing", json!({}), "AUTH_TOKEN_MISSING"),
    ] {
        let mut params = cli();
        params["auth"] = auth;
        let refused = other.refused(gateway.port, &params);
        assert_eq!((refused.details(), refused.code), (code, Some(1008)), "{what}: {refused:?}");
    }
    let mut admin = admin(gateway.port);
    assert!(row(&mut admin, &other.id).is_none(), "nothing of that paired it");
    // Its own key, for a role that it is not approved for.
    let refused = Device::new(1).refused(gateway.port, &by_token(node(), &token));
    assert_eq!(refused.details(), "AUTH_DEVICE_TOKEN_MISMATCH", "{refused:?}");
}

#[test]
fn a_device_from_afar_waits_for_an_operator() {
    let home = Home::new();
    let gateway = start(&home);
    let mut admin = admin(gateway.port);
    let device = Device::new(3);
    let refused = device.refused_afar(gateway.port, &cli());
    let details = &refused.error["details"];
    assert_eq!(refused.error["code"], "NOT_PAIRED", "{refused:?}");
    assert_eq!((refused.details(), refused.code), ("PAIRING_REQUIRED", Some(1008)));
    assert_eq!(details["reason"], "not-paired", "{details}");
    assert_eq!(details["deviceId"], json!(device.id), "{details}");
    let id = details["requestId"].as_str().expect("a number").to_owned();
    let event = admin.event(|event| event["event"] == "device.pair.requested");
    assert_eq!(event["payload"]["requestId"], json!(id), "{event}");

    // Asking again is the same request; asking for less is another.
    let again = device.refused_afar(gateway.port, &cli());
    assert_eq!(again.error["details"]["requestId"], json!(id));
    let mut less = cli();
    less["scopes"] = json!(["operator.read"]);
    let other = device.refused_afar(gateway.port, &less);
    let next = other.error["details"]["requestId"].as_str().expect("a number").to_owned();
    assert_ne!(next, id);
    let approve =
        |admin: &mut Socket, id: &str| admin.call("device.pair.approve", &json!({"requestId": id}));
    let gone = approve(&mut admin, &id).expect_err("it was replaced");
    assert_eq!(gone["message"], "unknown requestId");
    let approved = approve(&mut admin, &next).expect("approved");
    assert_eq!(approved["device"]["approvedVia"], "owner", "{approved}");
    let event = admin.event(|event| event["event"] == "device.pair.resolved");
    assert_eq!(event["payload"]["decision"], "approved", "{event}");

    let mut first = device.connect_afar(gateway.port, &less);
    assert_eq!(first.hello["auth"]["scopes"], json!(["operator.read"]));
    assert!(first.call("device.pair.list", &json!({})).is_err(), "what was granted, not more");
    let token = token_of(&first);

    // More than was approved: the secret from afar, and its own token, both wait.
    for params in [cli(), by_token(cli(), &token)] {
        let refused = device.refused_afar(gateway.port, &params);
        assert_eq!(refused.error["details"]["reason"], "scope-upgrade", "{refused:?}");
        assert_eq!(refused.error["details"]["approvedScopes"], json!(["operator.read"]));
    }
    // Even from here: a token does not widen itself, wherever it comes from.
    let refused = device.refused(gateway.port, &by_token(cli(), &token));
    assert_eq!(refused.error["details"]["reason"], "scope-upgrade", "{refused:?}");
    // An approval gives it a new token, and the one it has still lets it in to get it.
    let id = refused.error["details"]["requestId"].as_str().expect("a number").to_owned();
    approve(&mut admin, &id).expect("approved");
    let wider = device.connect_afar(gateway.port, &by_token(cli(), &token));
    let new = token_of(&wider);
    assert_ne!(new, token);
    token_of(&device.connect_afar(gateway.port, &by_token(cli(), &new)));
    let refused = device.refused_afar(gateway.port, &by_token(cli(), &token));
    assert_eq!(refused.details(), "AUTH_DEVICE_TOKEN_MISMATCH", "the new one was used");
}

#[test]
fn signs_of_locality_that_are_none_leave_it_pending() {
    // CVE-2026-53817: forged locality must not mint a token.
    let home = Home::new();
    let gateway = start(&home);
    let hosts = ["127.evil.com", "localhost.evil", "2130706433", "0x7f.1", "192.0.2.7"];
    for (number, host) in (10..).zip(hosts) {
        let device = Device::new(number);
        let refused = match device.try_connect(gateway.port, host, "", &cli()) {
            Ok(socket) => panic!("{host}: {}", socket.hello["auth"]),
            Err(refused) => refused,
        };
        assert_eq!(refused.details(), "PAIRING_REQUIRED", "{host}: {refused:?}");
    }
    for header in ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Real-IP: ::1"] {
        let request = common::socket::upgrade_request("/", &format!("{header}\r\n"));
        let refused = Socket::upgrade_by(gateway.port, &request).err().expect("403");
        assert_eq!(refused.status, 403, "{header}");
    }
    let list = admin(gateway.port).call("device.pair.list", &json!({})).expect("a list");
    assert_eq!(list["paired"], json!([]), "{list}");
}

#[test]
fn with_silent_pairing_off_a_local_device_waits_too() {
    let home = Home::new();
    let text = config(&[], "primary: 'local/echo'", "");
    let off = "{gateway: {nodes: {pairing: {autoApproveLocal: false}}, ";
    home.configure(&text.replacen("{gateway: {", off, 1));
    let gateway = home.start("");
    let device = Device::new(4);
    assert_eq!(device.refused(gateway.port, &cli()).details(), "PAIRING_REQUIRED");
}

/// Paired from afar with these scopes.
fn pair(port: u16, device: &Device, scopes: &Value) -> Socket {
    let mut params = cli();
    params["scopes"] = scopes.clone();
    let refused = device.refused_afar(port, &params);
    let id = &refused.error["details"]["requestId"];
    admin(port).call("device.pair.approve", &json!({"requestId": id})).expect("approved");
    device.connect_afar(port, &params)
}

#[test]
fn an_approver_grants_no_more_than_it_holds() {
    // CVE-2026-33579, GHSA-4jpw-hj22-2xmc: approval and rotation bounded by the caller.
    let home = Home::new();
    let gateway = start(&home);
    let port = gateway.port;
    let pairing = json!(["operator.pairing", "operator.read"]);
    let own = Device::new(20);
    let own_token = token_of(&pair(port, &own, &pairing));
    let mut params = common::socket::params();
    params["scopes"] = pairing.clone();
    let mut secret = Socket::with(port, &params);
    let mut by = cli();
    by["scopes"] = pairing.clone();
    let mut token = own.connect_afar(port, &by_token(by.clone(), &own_token));

    let other = Device::new(21);
    let ask = |params: &Value| {
        let refused = other.refused_afar(port, params);
        json!({"requestId": refused.error["details"]["requestId"]})
    };
    let wide = ask(&cli());
    let refused = secret.call("device.pair.approve", &wide).expect_err("it lacks admin");
    assert_eq!(refused["message"], "missing scope: operator.admin");
    let refused = token.call("device.pair.approve", &wide).expect_err("another's");
    assert_eq!(refused["message"], "device pairing approval denied");
    let refused = token.call("device.pair.reject", &wide).expect_err("another's");
    assert_eq!(refused["message"], "device pairing rejection denied");
    let as_node = ask(&node());
    let refused = secret.call("device.pair.approve", &as_node).expect_err("a node");
    assert_eq!(refused["message"], "missing scope: operator.admin");
    let mut narrow = cli();
    narrow["scopes"] = json!(["operator.read"]);
    let narrow_id = ask(&narrow);
    secret.call("device.pair.approve", &narrow_id).expect("within its own scopes");

    // It sees itself only; the secret's holder sees all.
    let seen = token.call("device.pair.list", &json!({})).expect("a list");
    assert_eq!(seen["paired"].as_array().map(Vec::len), Some(1), "{seen}");
    assert_eq!(seen["pending"], json!([]), "{seen}");
    let seen = secret.call("device.pair.list", &json!({})).expect("a list");
    assert_eq!(seen["paired"].as_array().map(Vec::len), Some(2), "{seen}");

    // Rotation: within the approval and within the caller.
    let rotate =
        |id: &str, scopes: &[&str]| json!({"deviceId": id, "role": "operator", "scopes": scopes});
    let beyond = rotate(&own.id, &["operator.admin"]);
    let refused = token.call("device.token.rotate", &beyond).expect_err("beyond approval");
    let text = refused["message"].as_str().unwrap_or_default();
    assert!(text.contains("more than the device is approved for"), "{refused}");
    let mut admin = admin(port);
    let refused = admin.call("device.token.rotate", &beyond).expect_err("the approval bounds it");
    assert!(refused["message"].as_str().unwrap_or_default().contains("approved for"));
    for (method, params) in [
        ("device.token.rotate", rotate(&other.id, &["operator.read"])),
        ("device.token.revoke", json!({"deviceId": other.id, "role": "operator"})),
        ("device.pair.remove", json!({"deviceId": other.id})),
        ("device.pair.rename", json!({"deviceId": other.id, "label": "x"})),
    ] {
        let refused = token.call(method, &params).expect_err(method);
        assert!(refused["message"].as_str().unwrap_or_default().ends_with("denied"), "{refused}");
    }
    // A wider token than the caller's own cannot be replaced or revoked by it.
    let full = Device::new(22);
    full.connect(port, &cli());
    let whole = json!({"deviceId": full.id, "role": "operator"});
    for method in ["device.token.rotate", "device.token.revoke"] {
        let refused = secret.call(method, &whole).expect_err(method);
        assert_eq!(refused["details"]["code"], "MISSING_SCOPE", "{method}: {refused}");
    }
}

#[test]
fn what_is_withdrawn_closes_its_sockets_and_stays_withdrawn() {
    // CVE-2026-34503: live sockets; CVE-2026-53843: restart and reconnect.
    let home = Home::new();
    let gateway = start(&home);
    let port = gateway.port;
    let mut admin = admin(port);
    let operator = json!(["operator.read"]);
    let devices: Vec<Device> = (30..33).map(Device::new).collect();
    let calls = [
        ("device.pair.remove", json!({"deviceId": devices[0].id}), "device removed"),
        (
            "device.token.revoke",
            json!({"deviceId": devices[1].id, "role": "operator"}),
            "device token revoked",
        ),
        (
            "device.token.rotate",
            json!({"deviceId": devices[2].id, "role": "operator"}),
            "device token rotated",
        ),
    ];
    let mut params = cli();
    params["scopes"] = operator.clone();
    let mut old = Vec::new();
    for (device, (method, call, reason)) in devices.iter().zip(&calls) {
        let token = token_of(&pair(port, device, &operator));
        let mut live = device.connect_afar(port, &by_token(params.clone(), &token));
        let mut bystander = Device::new(34).connect(port, &cli());
        let answer = admin.call(method, call).expect(method);
        assert!(answer.get("token").is_none(), "another's token is not told: {answer}");
        assert_eq!(live.closed(), (Some(1008), (*reason).to_owned()), "{method}");
        bystander.is_alive();
        old.push(token);
    }
    let still_out = |port: u16| {
        for (device, token) in devices.iter().zip(&old) {
            let refused = device.refused_afar(port, &by_token(params.clone(), token));
            assert_eq!(refused.details(), "AUTH_DEVICE_TOKEN_MISMATCH", "{refused:?}");
        }
    };
    still_out(port);
    // Who was removed or revoked is new again, also with the secret; who was rotated is not.
    for (at, device) in devices.iter().enumerate() {
        match device.try_connect(port, "192.0.2.7", "", &params) {
            Err(refused) => assert_eq!((at < 2, refused.details()), (true, "PAIRING_REQUIRED")),
            Ok(socket) => {
                assert_eq!(at, 2);
                assert_ne!(token_of(&socket), old[2]);
            }
        }
    }
    drop(admin);
    stop(gateway);
    let gateway = home.start("");
    still_out(gateway.port);
}

#[test]
fn a_device_rotates_its_own_token_and_is_told_it() {
    let home = Home::new();
    let gateway = start(&home);
    let device = Device::new(40);
    let scopes = json!(["operator.pairing", "operator.read"]);
    let token = token_of(&pair(gateway.port, &device, &scopes));
    let mut params = cli();
    params["scopes"] = scopes;
    let mut live = device.connect_afar(gateway.port, &by_token(params.clone(), &token));
    let call = json!({"deviceId": device.id, "role": "operator", "scopes": ["operator.pairing"]});
    let answer = live.call("device.token.rotate", &call).expect("rotated");
    assert_eq!(answer["tokenDelivery"], "in-band", "{answer}");
    assert_eq!(live.closed().0, Some(1008), "the answer first, then the end");
    let new = answer["token"].as_str().expect("its token").to_owned();
    let refused = device.refused_afar(gateway.port, &by_token(params.clone(), &new));
    assert_eq!(refused.details(), "AUTH_SCOPE_MISMATCH", "approved, but not for this token");
    params["scopes"] = json!(["operator.pairing"]);
    let live = device.connect_afar(gateway.port, &by_token(params.clone(), &new));
    assert_eq!(live.hello["auth"]["scopes"], json!(["operator.pairing"]));
    params["scopes"] = json!([]);
    let live = device.connect_afar(gateway.port, &by_token(params, &new));
    assert_eq!(live.hello["auth"]["scopes"], json!([]), "empty stays empty");
}

#[test]
fn a_setup_code_lets_one_device_in_once() {
    let home = Home::new();
    let gateway = start(&home);
    let mut admin = admin(gateway.port);
    let ask = json!({"publicUrl": "wss://gateway.example/ws"});
    let made = admin.call("device.pair.setupCode", &ask).expect("a code");
    assert_eq!((&made["access"], &made["auth"]), (&json!("full"), &json!("token")), "{made}");
    let code = openclaw_gateway::wire::hash::base64_url_no_pad_decode(
        made["setupCode"].as_str().expect("text"),
    );
    let code: Value = serde_json::from_slice(&code.expect("base64url")).expect("JSON");
    assert_eq!(code["url"], "wss://gateway.example/ws");
    let kept = std::fs::read_to_string(home.state().join("devices/bootstrap.json")).expect("file");
    let token = code["bootstrapToken"].as_str().expect("a token");
    assert!(!kept.contains(token), "kept by its digest: {kept}");

    let status = json!({"setupId": made["setupId"]});
    assert_eq!(admin.call("device.pair.setupStatus", &status), Ok(json!({})));
    let mut params = node();
    params["client"]["id"] = json!("openclaw-ios");
    params["auth"] = json!({"bootstrapToken": token});
    let device = Device::new(50);
    let socket = device.connect_afar(gateway.port, &params);
    let auth = &socket.hello["auth"];
    assert_eq!((&auth["role"], &auth["scopes"]), (&json!("node"), &json!([])), "{auth}");
    let further = &auth["deviceTokens"][0];
    assert_eq!(further["role"], "operator", "{auth}");
    assert!(further["scopes"].as_array().is_some_and(|s| s.contains(&json!("operator.admin"))));
    assert!(!further["scopes"].to_string().contains("pairing"), "never the right to pair");
    let event = admin.event(|event| event["event"] == "device.pair.setup.completed");
    assert_eq!(event["payload"]["deviceId"], json!(device.id));
    let status = admin.call("device.pair.setupStatus", &status).expect("a status");
    assert_eq!(status["completion"]["deviceId"], json!(device.id), "{status}");

    // CVE-2026-53862: used up, for this device and any other, and after a restart.
    for number in [50, 51] {
        let refused = Device::new(number).refused_afar(gateway.port, &params);
        assert_eq!(refused.details(), "AUTH_BOOTSTRAP_TOKEN_INVALID", "{refused:?}");
    }
    let handed = further["deviceToken"].as_str().expect("a token").to_owned();
    let mut operator = cli();
    operator["scopes"] = json!(["operator.read"]);
    device.connect_afar(gateway.port, &by_token(operator, &handed));
    drop(admin);
    stop(gateway);
    let gateway = home.start("");
    let refused = device.refused_afar(gateway.port, &params);
    assert_eq!(refused.details(), "AUTH_BOOTSTRAP_TOKEN_INVALID", "{refused:?}");
    device.connect_afar(gateway.port, &by_token(node(), &token_of(&socket)));
}

#[test]
fn a_device_waits_for_its_upgrade_on_its_own_connection() {
    let home = Home::new();
    let gateway = start(&home);
    let port = gateway.port;
    let device = Device::new(60);
    let mut live = pair(port, &device, &json!(["operator.read"]));
    let asked = live
        .call(
            "device.scopes.requestUpgrade",
            &json!({"scopes": ["operator.read", "operator.write"]}),
        )
        .expect("a request");
    let wait = live.request("device.scopes.waitUpgrade", &asked);
    let mut stranger = pair(port, &Device::new(61), &json!(["operator.read"]));
    let refused = stranger.call("device.scopes.waitUpgrade", &asked).expect_err("another's");
    assert_eq!(refused["message"], "unknown requestId");
    admin(port).call("device.pair.approve", &asked).expect("approved");
    let answer = live.response(&wait).expect("an answer");
    assert_eq!(answer["status"], "approved", "{answer}");
    let token = answer["deviceToken"].as_str().expect("a token").to_owned();
    let mut params = cli();
    params["scopes"] = json!(["operator.read", "operator.write"]);
    params["client"]["platform"] = json!("LINUX ");
    device.connect_afar(port, &by_token(params, &token));
    let asked =
        live.call("device.scopes.requestUpgrade", &json!({"scopes": ["operator.admin"]})).unwrap();
    let wait = live.request("device.scopes.waitUpgrade", &asked);
    admin(port).call("device.pair.reject", &asked).expect("rejected");
    assert_eq!(live.response(&wait).expect("an answer")["status"], "rejected");
}

#[test]
fn a_device_that_changed_its_platform_is_asked_about() {
    let home = Home::new();
    let gateway = start(&home);
    let device = Device::new(70);
    let token = token_of(&device.connect(gateway.port, &cli()));
    let mut moved = by_token(cli(), &token);
    moved["client"]["platform"] = json!("ios");
    let refused = device.refused_afar(gateway.port, &moved);
    assert_eq!(refused.error["details"]["reason"], "metadata-upgrade", "{refused:?}");
    device.connect(gateway.port, &moved);
    device.connect_afar(gateway.port, &moved);
}

#[test]
fn a_helper_of_this_machine_needs_no_record_and_gets_no_token() {
    let home = Home::new();
    let gateway = start(&home);
    let device = Device::new(71);
    let socket = device.connect(gateway.port, &common::socket::params());
    assert!(socket.hello["auth"].get("deviceToken").is_none(), "{}", socket.hello["auth"]);
    assert!(row(&mut admin(gateway.port), &device.id).is_none());
    // CVE-2026-32042: the secret from afar gives an unpaired key nothing.
    let refused = device.refused_afar(gateway.port, &common::socket::params());
    assert_eq!(refused.details(), "PAIRING_REQUIRED", "{refused:?}");
}

#[test]
fn a_damaged_document_pairs_nobody_and_is_kept() {
    let home = Home::new();
    let gateway = start(&home);
    let device = Device::new(72);
    let token = token_of(&device.connect(gateway.port, &cli()));
    stop(gateway);
    let dir = home.state().join("devices");
    let text = std::fs::read_to_string(dir.join("paired.json")).expect("a file");
    std::fs::write(dir.join("paired.json"), &text[..text.len() / 2]).expect("written");
    let gateway = home.start("");
    let refused = device.refused(gateway.port, &by_token(cli(), &token));
    assert_eq!(refused.details(), "AUTH_DEVICE_TOKEN_MISMATCH", "{refused:?}");
    let names = std::fs::read_dir(&dir).expect("a directory");
    let kept = names
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("paired.json.damaged-"));
    assert!(kept, "the damaged document is kept");
    device.connect(gateway.port, &cli());
}

#[test]
fn a_device_token_opens_no_http_door() {
    let home = Home::new();
    let gateway = start(&home);
    let token = token_of(&Device::new(73).connect(gateway.port, &cli()));
    let head = format!(
        "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    assert_eq!(common::http::ask(gateway.port, head).status, 401);
}

#[test]
fn the_gateway_has_an_identity_that_stays() {
    let home = Home::new();
    let gateway = start(&home);
    let ask = |port| admin(port).call("gateway.identity.get", &json!({})).expect("an identity");
    let first = ask(gateway.port);
    assert_eq!(first["deviceId"].as_str().map(str::len), Some(64), "{first}");
    stop(gateway);
    let gateway = home.start("");
    assert_eq!(ask(gateway.port), first);
}

#[test]
fn the_command_line_lists_approves_rotates_and_clears() {
    let home = Home::new();
    let gateway = start(&home);
    let port = gateway.port;
    let device = Device::new(80);
    let none = home.ask(port, "devices approve");
    assert_eq!(none.code, 1, "{none:?}");
    let refused = device.refused_afar(port, &cli());
    let id = refused.error["details"]["requestId"].as_str().expect("a number").to_owned();
    let list = home.ask(port, "devices list");
    assert!(list.code == 0 && list.out.contains(&id), "{list:?}");
    let preview = home.ask(port, "devices approve --latest");
    assert_eq!(preview.code, 1, "{preview:?}");
    assert!(preview.out.contains(&format!("openclaw devices approve {id}")), "{preview:?}");
    assert!(device.refused_afar(port, &cli()).code == Some(1008), "a preview approves nothing");
    let approved = home.ask(port, &format!("devices approve {id} --json"));
    let answer: Value = serde_json::from_str(&approved.out).expect("JSON");
    assert_eq!(answer["device"]["deviceId"], json!(device.id), "{approved:?}");
    device.connect_afar(port, &cli());
    let renamed = home.ask(port, &format!("devices rename --device {} --name Kitchen", device.id));
    assert_eq!(renamed.code, 0, "{renamed:?}");
    let line = format!(
        "devices rotate --device {} --role operator --scope operator.read --scope operator.write",
        device.id
    );
    let rotated: Value = serde_json::from_str(&home.ask(port, &line).out).expect("JSON");
    assert_eq!(rotated["scopes"], json!(["operator.read", "operator.write"]), "{rotated}");
    let line = format!("devices revoke --device {} --role operator", device.id);
    assert_eq!(home.ask(port, &line).code, 0);
    let list = home.ask(port, "devices list");
    assert!(list.out.contains("Kitchen"), "{list:?}");
    assert_ne!(home.ask(port, "devices clear").code, 0, "not without --yes");
    assert_eq!(home.ask(port, "devices clear --yes --pending").code, 0);
    let list = home.ask(port, "devices list --json");
    assert_eq!(list.out.matches("deviceId").count(), 0, "{list:?}");
    let refused = home.ask(port, "devices remove nobody");
    assert!(refused.code != 0 && refused.err.contains("unknown deviceId"), "{refused:?}");

    let code = home.ask(port, "qr --public-url wss://gateway.example --setup-code-only");
    assert!(code.code == 0 && code.out.trim().len() > 60, "{code:?}");
    let lost = home.ask(port, "qr");
    assert!(lost.code != 0 && lost.err.contains("gateway.bind"), "{lost:?}");
    let people = home.ask(port, "pairing list telegram");
    assert!(people.code == 0 && people.out.contains("nobody waits"), "{people:?}");
    let nobody = home.ask(port, "pairing list smoke");
    assert!(nobody.code != 0 && nobody.err.contains("smoke"), "{nobody:?}");
}

#[test]
fn commands_of_this_host_need_no_pairing_in_any_mode() {
    let proxy = "trustedProxies: ['192.0.2.1'], auth: {mode: 'trusted-proxy', \
                 trustedProxy: {userHeader: 'x-user'}}";
    for auth in [
        "auth: {mode: 'token', token: 't0ken-of-the-tests-and-more'}",
        "auth: {mode: 'password', password: 'a-pass-word-of-the-tests'}",
        "auth: {mode: 'none'}",
        proxy,
    ] {
        let home = Home::new();
        home.configure(&format!("{{gateway: {{mode: 'local', {auth}}}}}"));
        let gateway = home.start("");
        let list = home.ask(gateway.port, "devices list");
        assert_eq!(list.code, 0, "{auth}: {list:?}");
        assert!(list.out.contains("none"), "{auth}: {list:?}");
        if auth == proxy {
            // The file is the proof, not the place: the same words from elsewhere are nothing.
            let mut params = common::socket::params();
            params["auth"] = json!({"password": "junk"});
            let mut socket = Socket::open(gateway.port);
            assert!(socket.call("connect", &params).is_err());
        }
    }
}
