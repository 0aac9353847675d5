//! Where a running gateway listens: port and address change without a restart.
#![cfg(feature = "process")]

mod common;

use common::http::{TOKEN, ask, chat, get};
use common::provider::Provider;
use common::socket::Socket;
use common::{Gateway, Home};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::channel;

/// The configuration with these keys in `gateway`.
fn config(more: &str) -> String {
    format!(
        "{{\n  gateway: {{mode: 'local', auth: {{token: '{TOKEN}'}}, reload: {{debounceMs: 0}},\n  \
         {more}}},\n}}\n"
    )
}

/// A port that nobody has.
fn free(taken: &[u16]) -> u16 {
    loop {
        let probe = TcpListener::bind("127.0.0.1:0").expect("a port");
        let number = probe.local_addr().expect("an address").port();
        if !taken.contains(&number) {
            return number;
        }
    }
}

fn port(number: u16) -> String {
    config(&format!("port: {number}"))
}

fn status(socket: &mut Socket) -> Value {
    socket.call("status", &json!({})).expect("status")
}

#[test]
fn another_port_opens_amid_a_stream_and_everybody_stays() {
    let home = Home::new();
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let provider = Provider::start(move |_, reply| {
        reply.head();
        reply.delta("one ");
        wait.lock().expect("it").recv().expect("the test says when");
        reply.delta("two");
        reply.finish("stop");
    });
    let first = free(&[]);
    let text = |number: u16| {
        provider.config("").replacen("gateway: {", &format!("gateway: {{port: {number}, "), 1)
    };
    assert!(text(first).contains("port: "), "{}", text(first));
    home.configure(&text(first));
    let mut gateway = Gateway::start(&mut home.command("gateway"));
    assert_eq!(gateway.port, first);
    let mut socket = Socket::connect(first);
    let body = json!({"model": "openclaw", "stream": true,
        "messages": [{"role": "user", "content": "count"}]});
    let run = std::thread::spawn(move || ask(first, chat(&body)));
    provider.asked();

    let second = free(&[first]);
    home.configure(&text(second));
    gateway.wait_for(&format!("listening on ws://127.0.0.1:{second}"));
    gateway.wait_for("gateway.port changed: applied, the listener moved");
    assert!(TcpStream::connect(("127.0.0.1", first)).is_err(), "the old port refuses");
    assert_eq!(ask(second, get("/health")).status, 200);
    let said = status(&mut socket);
    assert_eq!(said["pid"], gateway.pid());
    assert_eq!(said["listening"][0], format!("127.0.0.1:{second}"));
    let health = socket.call("health", &json!({})).expect("health");
    assert_eq!(health["listening"], said["listening"]);
    go.send(()).expect("it waits");
    let answer = run.join().expect("an answer");
    assert!(answer.data().iter().any(|data| data.contains("two")), "{:?}", answer.data());

    let ran = home.run("gateway status --json");
    let shown: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"));
    assert_eq!(shown["port"]["port"], second, "{shown}");
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_taken_port_leaves_the_old_one_and_says_who_has_it() {
    let home = Home::new();
    let first = free(&[]);
    home.configure(&port(first));
    let mut gateway = Gateway::start(&mut home.command("gateway"));
    let mut socket = Socket::connect(first);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let number = taken.local_addr().expect("an address").port();
    home.configure(&port(number));
    gateway.wait_for("config reload skipped");
    let issue = status(&mut socket)["configIssues"][0].clone();
    assert_eq!((&issue["path"], &issue["line"]), (&json!("gateway.port"), &json!(3)), "{issue}");
    let message = issue["message"].as_str().expect("a text");
    for part in [
        &format!("cannot move to 127.0.0.1:{number}"),
        &format!("still listens on ws://127.0.0.1:{first}"),
        &format!("(pid {}", std::process::id()),
        "openclaw config set gateway.port",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(ask(first, get("/health")).status, 200);
    // The same by a client: nothing is written.
    let before = socket.call("config.get", &json!({})).expect("config.get");
    let raw = json!({"gateway": {"port": number}}).to_string();
    let patch = json!({"raw": raw, "baseHash": before["hash"]});
    let error = socket.call("config.patch", &patch).expect_err("taken");
    assert!(error["message"].as_str().expect("text").contains("gateway.port"), "{error}");
    drop(taken);
    home.configure(&port(free(&[first, number])));
    gateway.wait_for("is valid again");
    gateway.wait_for("gateway.port changed: applied, the listener moved");
    socket.is_alive();
}

#[test]
fn an_address_that_cannot_be_had_on_the_same_port_reopens_the_old_one() {
    let home = Home::new();
    home.configure(&config("bind: 'loopback'"));
    let mut gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    // Every interface takes that port on all of them; one is somebody else's.
    let taken = TcpListener::bind(("127.0.0.3", gateway.port)).expect("it is free");
    home.configure(&config("bind: 'lan'"));
    gateway.wait_for("gateway.bind: the gateway cannot move to 0.0.0.0");
    assert_eq!(ask(gateway.port, get("/health")).status, 200, "the old one is open again");
    let said = status(&mut socket);
    assert_eq!(said["listening"][0], format!("127.0.0.1:{}", gateway.port));
    assert_eq!(said["configIssues"][0]["path"], "gateway.bind");
    drop(taken);
    // An address beside the old one: open before that closes.
    home.configure(&config("bind: 'custom', customBindHost: '127.0.0.2'"));
    gateway.wait_for("gateway.customBindHost changed: applied, the listener moved");
    assert!(TcpStream::connect(("127.0.0.1", gateway.port)).is_err());
    assert!(TcpStream::connect(("127.0.0.2", gateway.port)).is_ok());
    let said = status(&mut socket);
    assert_eq!(said["listening"], json!([format!("127.0.0.2:{}", gateway.port)]));
    assert_eq!(said["pid"], gateway.pid());
}

#[test]
fn an_edit_that_would_be_open_to_all_is_refused_before_it_listens() {
    let home = Home::new();
    home.configure(&config("bind: 'loopback'"));
    let mut gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    home.configure(&config("bind: 'lan'").replace(&format!("token: '{TOKEN}'"), "mode: 'none'"));
    gateway.wait_for("without auth");
    let said = status(&mut socket);
    assert_eq!(said["listening"][0], format!("127.0.0.1:{}", gateway.port));
}

#[test]
fn re_executed_twice_it_still_leaves_its_port() {
    let home = Home::new();
    let first = free(&[]);
    home.configure(&port(first));
    let mut gateway = Gateway::start(&mut home.command("gateway"));
    let pid = gateway.pid();
    for _ in 0..2 {
        let mut socket = Socket::connect(first);
        gateway.signal(Signal::USR1);
        assert_eq!(socket.closed().0, Some(1012));
        gateway.wait_for("listening on ws");
    }
    let mut socket = Socket::connect(first);
    let second = free(&[first]);
    home.configure(&port(second));
    gateway.wait_for("gateway.port changed: applied, the listener moved");
    assert!(TcpStream::connect(("127.0.0.1", first)).is_err(), "no copy of the listener is left");
    assert_eq!(status(&mut socket)["pid"], pid);
    // And the moved listener is the one that the next restart keeps.
    gateway.signal(Signal::USR1);
    assert_eq!(socket.closed().0, Some(1012));
    gateway.wait_for(&format!("listening on ws://127.0.0.1:{second}"));
    let mut socket = Socket::connect(second);
    assert_eq!(status(&mut socket)["pid"], pid);
    assert!(TcpStream::connect(("127.0.0.1", first)).is_err());
}

#[test]
fn a_flag_rules_over_the_key() {
    let home = Home::new();
    home.configure(&config("bind: 'loopback'"));
    let mut gateway = home.start("");
    home.configure(&port(free(&[gateway.port])));
    gateway.wait_for("gateway.port changed: applied, the listener stays");
    assert_eq!(ask(gateway.port, get("/health")).status, 200);
}
