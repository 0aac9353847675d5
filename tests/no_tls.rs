//! A build without the feature `tls` says so, at the start and as a client.

#![cfg(not(feature = "tls"))]

mod common;

use common::Home;

#[test]
fn tls_on_the_port_is_refused_by_the_name_of_the_feature() {
    let home = Home::new();
    home.configure("{gateway: {mode: 'local', auth: {token: 'x'}, tls: {enabled: true}}}");
    let ran = home.run("gateway --port 0");
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.err.contains("gateway.tls.enabled"), "{ran:?}");
    assert!(ran.err.contains("feature `tls`"), "{ran:?}");
    assert!(!home.state().join("gateway/tls").exists(), "nothing was made");
}

#[test]
fn wss_is_refused_by_the_name_of_the_feature() {
    let home = Home::new();
    home.configure("{gateway: {mode: 'local', auth: {token: 'x'}}}");
    let gateway = home.start("");
    let url = format!("health --url wss://127.0.0.1:{} --token x", gateway.port);
    let ran = home.run(&url);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("feature `tls`"), "{ran:?}");
}
