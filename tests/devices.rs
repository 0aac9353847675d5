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
