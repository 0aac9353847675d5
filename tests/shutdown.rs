//! The shutdown budget, and a restart that has waited long enough.
#![cfg(feature = "process")]

mod common;

use common::provider::{Provider, patient};
use common::socket::Socket;
use common::{Gateway, Home};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Instant;

/// The provider's configuration with further keys of `gateway`.
fn config(provider: &Provider, gateway: &str, more: &str) -> String {
    provider.config(more).replace("gateway: {", &format!("gateway: {{{gateway}, "))
}

fn send(socket: &mut Socket, run: &str) {
    let params = json!({"sessionKey": "main", "message": run, "idempotencyKey": run});
    socket.call("chat.send", &params).expect("accepted");
}

fn budget(socket: &mut Socket) -> Value {
    socket.call("status", &json!({})).expect("status")["shutdownBudget"].clone()
}

/// What the session `main` holds.
fn said(gateway: &Gateway) -> String {
    let mut socket = Socket::connect(gateway.port);
    let history = socket.call("chat.history", &json!({"sessionKey": "main"})).expect("history");
    history["messages"].to_string()
}

#[test]
fn status_shows_the_budget_and_what_it_would_be_spent_on() {
    let home = Home::new();
    let (provider, go) = patient();
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let idle = json!({
        "timeoutMs": 325_000, "reserveMs": 10_000, "nativeStopBudget": false,
        "activeWork": {"rootRequests": 0, "cronRuns": 0, "sessionMutations": 0,
            "terminalPersistence": 0, "lifecycleWrites": 0},
        "writeCustody": [],
    });
    assert_eq!(budget(&mut socket), idle);
    send(&mut socket, "r");
    provider.asked();
    assert_eq!(budget(&mut socket)["activeWork"]["rootRequests"], 1);
    go.send(()).expect("it waits");
    socket.chat_end("r");
}

#[test]
fn a_stop_takes_no_longer_than_its_budget() {
    let home = Home::new();
    let (provider, _go) = patient();
    home.configure(&config(&provider, "shutdownBudgetMs: 3000", ""));
    let mut gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    assert_eq!(budget(&mut socket)["timeoutMs"], 3000);
    assert_eq!(budget(&mut socket)["reserveMs"], 1500);
    send(&mut socket, "r");
    provider.asked();
    let began = Instant::now();
    gateway.signal(Signal::TERM);
    let end = socket.chat_end("r");
    let drained = began.elapsed().as_millis();
    assert!(drained >= 1400, "the run had {drained} ms only");
    assert_eq!((&end["state"], &end["stopReason"]), (&json!("aborted"), &json!("restart")));
    assert_eq!(socket.closed().0, Some(1012));
    drop(socket);
    assert_eq!(gateway.wait().code(), Some(0));
    let all = began.elapsed().as_millis();
    assert!(all <= 3000, "{all} ms");
    assert!(gateway.seen().iter().any(|line| line.contains("the drain time is over")));
    drop(gateway);
    for start in 0..2 {
        let said = said(&home.start(""));
        assert_eq!(said.matches("\"role\":\"assistant\"").count(), 1, "start {start}: {said}");
        assert!(said.contains("openclawAbort") && said.contains("begun "), "{said}");
    }
}

#[test]
fn a_restart_waits_no_longer_than_its_deferral() {
    let home = Home::new();
    let (provider, _go) = patient();
    let keys = "reload: {debounceMs: 0, deferralTimeoutMs: 900}";
    home.configure(&config(&provider, keys, ""));
    let mut gateway = home.start("");
    let pid = gateway.pid();
    let mut socket = Socket::connect(gateway.port);
    send(&mut socket, "r");
    provider.asked();
    home.configure(&config(&provider, keys, "logging: {maxFileBytes: 7654321}"));
    gateway.wait_for("logging.maxFileBytes changed: the gateway restarts in place");
    let waits = gateway.wait_for("the restart waits for 1 active runs");
    assert!(waits.contains("900 ms at most"), "{waits}");
    let began = Instant::now();
    let end = socket.chat_end("r");
    assert_eq!(end["stopReason"], "restart", "{end}");
    gateway.wait_for("is listening on ws://");
    assert!(began.elapsed().as_secs() < 10, "the drain of a stop is not added to it");
    assert_eq!(gateway.pid(), pid);
    assert!(said(&gateway).contains("assistant"), "the cut run left its answer");
}

/// `gateway.reload.deferralTimeoutMs` is the longest wait, not the wait.
#[test]
fn a_restart_comes_as_soon_as_the_run_that_it_waits_for_ends() {
    let home = Home::new();
    let (provider, go) = patient();
    let keys = "reload: {debounceMs: 0, deferralTimeoutMs: 600000}";
    home.configure(&config(&provider, keys, ""));
    let mut gateway = home.start("");
    let pid = gateway.pid();
    let mut socket = Socket::connect(gateway.port);
    send(&mut socket, "r");
    provider.asked();
    home.configure(&config(&provider, keys, "logging: {maxFileBytes: 7654321}"));
    let waits = gateway.wait_for("the restart waits for 1 active runs");
    assert!(waits.contains("600000 ms at most"), "{waits}");
    // It goes on meanwhile.
    assert!(budget(&mut socket).is_object());
    go.send(()).expect("it waits");
    let end = socket.chat_end("r");
    assert_eq!(end["state"], "final", "{end}");
    gateway.wait_for("re-executing in place");
    gateway.wait_for("is listening on ws://");
    assert_eq!(gateway.pid(), pid);
    let said = said(&gateway);
    assert!(said.contains("begun done"), "{said}");
}
