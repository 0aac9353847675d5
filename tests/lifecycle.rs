//! Signals, restarts and crashes, as the operator and the clients see them.
#![cfg(feature = "process")]

mod common;

use common::http::{Http, ask, chat, get};
use common::provider::{config, patient};
use common::socket::{Socket, params};
use common::{Gateway, Home};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

fn log(home: &Home) -> String {
    std::fs::read_to_string(home.state().join("logs/openclaw.log")).unwrap()
}

fn send(socket: &mut Socket, run: &str) -> Value {
    let params = json!({"sessionKey": "main", "message": run, "idempotencyKey": run});
    socket.call("chat.send", &params).unwrap()
}

fn shutdown(socket: &mut Socket) -> Value {
    assert_eq!(socket.closed(), (Some(1012), "service restart".to_owned()));
    let event = socket.events.iter().find(|frame| frame["event"] == "shutdown");
    event.expect("a shutdown event")["payload"].clone()
}

#[test]
fn an_idle_gateway_leaves_at_once_and_says_so() {
    let home = Home::new();
    home.configure(&config(&[], "primary: 'local/echo'", ""));
    for signal in [Signal::TERM, Signal::INT] {
        let mut gateway = home.start("");
        let mut socket = Socket::connect(gateway.port);
        let mut fresh = Socket::open(gateway.port);
        let mut http = Http::connect(gateway.port);
        http.exchange(get("/healthz"));
        let began = Instant::now();
        gateway.signal(signal);
        assert_eq!(shutdown(&mut socket), json!({"reason": "gateway stopping"}));
        assert_eq!(fresh.closed().0, Some(1012));
        http.ends();
        drop((socket, fresh, http));
        assert_eq!(gateway.wait().code(), Some(0));
        assert!(began.elapsed().as_secs() < 5);
        let said = gateway.seen().join("\n");
        assert!(!said.to_lowercase().contains("error") && !said.contains("panic"), "{said}");
        assert!(TcpStream::connect(("127.0.0.1", gateway.port)).is_err());
    }
}

#[test]
fn active_runs_finish_while_new_work_is_refused() {
    let home = Home::new();
    let (provider, go) = patient();
    home.configure(&provider.config(""));
    let mut gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    send(&mut socket, "r");
    provider.asked();
    gateway.signal(Signal::TERM);
    let mut probe = Http::connect(gateway.port);
    let ready = loop {
        let ready = probe.exchange(get("/readyz"));
        if ready.status != 200 {
            break ready;
        }
    };
    assert_eq!(ready.status, 503, "{ready:?}");
    assert_eq!(ready.json()["failing"], json!(["gateway-draining"]));
    assert_eq!(ask(gateway.port, get("/healthz")).status, 200);
    let params = json!({"sessionKey": "main", "message": "x", "idempotencyKey": "late"});
    let refused = socket.call("chat.send", &params).unwrap_err();
    assert_eq!(refused["code"], "UNAVAILABLE", "{refused}");
    assert_eq!(refused["retryable"], true, "{refused}");
    let body = json!({"messages": [{"role": "user", "content": "x"}]});
    let late = ask(gateway.port, chat(&body));
    assert_eq!(late.status, 503, "{late:?}");
    assert!(late.header("retry-after").is_some(), "{late:?}");
    go.send(()).unwrap();
    let end = socket.chat_end("r");
    assert_eq!(end["message"]["content"][0]["text"], "begun done", "{end}");
    assert_eq!(shutdown(&mut socket)["reason"], "gateway stopping");
    drop((socket, probe));
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_second_signal_cuts_the_drain_and_the_session_says_so() {
    let home = Home::new();
    let (provider, _go) = patient();
    home.configure(&provider.config(""));
    let mut gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    send(&mut socket, "r");
    provider.asked();
    gateway.signal(Signal::TERM);
    let mut probe = Http::connect(gateway.port);
    while probe.exchange(get("/readyz")).status == 200 {}
    gateway.signal(Signal::TERM);
    let end = socket.chat_end("r");
    assert_eq!((&end["state"], &end["stopReason"]), (&json!("aborted"), &json!("restart")));
    assert_eq!(socket.closed().0, Some(1012));
    drop((socket, probe));
    assert_eq!(gateway.wait().code(), Some(0));
    drop(gateway);
    let gateway = home.start("");
    let roles = transcript(&gateway);
    assert_eq!(roles, ["user", "assistant"]);
}

fn transcript(gateway: &Gateway) -> Vec<String> {
    let mut socket = Socket::connect(gateway.port);
    let history = socket.call("chat.history", &json!({"sessionKey": "main"})).unwrap();
    let messages = history["messages"].as_array().unwrap();
    messages.iter().map(|message| message["role"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn after_a_kill_each_accepted_message_has_one_answer_or_one_notice() {
    let home = Home::new();
    let (provider, go) = patient();
    home.configure(&provider.config(""));
    let mut gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    send(&mut socket, "done");
    provider.asked();
    go.send(()).unwrap();
    socket.chat_end("done");
    // One is running, two wait behind it.
    for run in ["cut", "second", "third"] {
        assert_eq!(send(&mut socket, run)["status"], "started");
    }
    provider.asked();
    gateway.signal(Signal::KILL);
    assert_eq!(gateway.wait().code(), None);
    drop(gateway);
    for round in 0..3 {
        let gateway = home.start("");
        let mut socket = Socket::connect(gateway.port);
        let history = socket.call("chat.history", &json!({"sessionKey": "main"})).unwrap();
        let messages = history["messages"].as_array().unwrap();
        for run in ["done", "cut", "second", "third"] {
            let said: Vec<usize> = (0..messages.len())
                .filter(|n| messages[*n]["idempotencyKey"] == format!("{run}:user"))
                .collect();
            assert_eq!(said.len(), 1, "round {round}, {run}: {history}");
            let answers: Vec<usize> = (0..messages.len())
                .filter(|n| messages[*n]["role"] == "assistant")
                .filter(|n| messages[*n]["__openclaw"]["runId"] == *run)
                .collect();
            assert_eq!(answers.len(), 1, "round {round}, {run}: {history}");
            assert!(answers[0] > said[0], "{history}");
            let notice = messages[answers[0]].to_string().contains("before this was answered");
            assert_eq!(notice, run != "done", "{history}");
        }
        assert_eq!(messages.len(), 8, "{history}");
    }
    assert!(provider.rest().is_empty(), "nothing is asked again");
}

#[test]
fn hup_applies_a_valid_file_and_keeps_the_old_one_beside_a_broken_one() {
    let home = Home::new();
    let with = |list: &str| {
        let more = format!("agents: {{list: [{list}], ");
        config(&[], "primary: 'local/echo'", "").replace("agents: {", &more)
    };
    home.configure(&with("{id: 'main'}"));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let agents = |socket: &mut Socket| -> Vec<String> {
        let list = socket.call("agents.list", &json!({})).unwrap();
        let rows = list["agents"].as_array().unwrap();
        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(agents(&mut socket), ["main"]);
    home.configure(&with("{id: 'main'}, {id: 'late'}"));
    gateway.signal(Signal::HUP);
    let deadline = Instant::now() + common::PATIENCE;
    while agents(&mut socket).len() == 1 {
        assert!(Instant::now() < deadline, "it is not applied: {}", log(&home));
    }
    assert_eq!(agents(&mut socket), ["main", "late"]);
    let run = json!({"sessionKey": "agent:late:main", "message": "x", "idempotencyKey": "r"});
    socket.call("chat.send", &run).unwrap();
    assert_eq!(socket.chat_end("r")["state"], "final");

    let text = with("{id: 'main'}");
    home.configure(&format!("{}\n  oops", text.trim_end_matches('}')));
    gateway.signal(Signal::HUP);
    while !log(&home).contains("config reload skipped") {
        assert!(Instant::now() < deadline, "no word of it: {}", log(&home));
    }
    assert!(log(&home).contains("openclaw.json:2:"), "{}", log(&home));
    assert_eq!(agents(&mut socket), ["main", "late"]);

    // A new secret: the old one opens nothing any more.
    home.configure(&with("{id: 'main'}").replace(common::http::TOKEN, "another-secret"));
    gateway.signal(Signal::HUP);
    while ask(gateway.port, get("/v1/models")).status == 200 {
        assert!(Instant::now() < deadline, "the old secret still holds");
    }
    let mut old = Socket::open(gateway.port);
    assert!(old.call("connect", &params()).is_err());
    let mut new = params();
    new["auth"]["token"] = json!("another-secret");
    assert_eq!(Socket::with(gateway.port, &new).hello["type"], "hello-ok");
    // And whoever came in with it is out.
    assert_eq!(socket.closed().0, Some(1008));
}

fn listeners(pid: u32, port: u16) -> usize {
    let hex = format!(":{port:04X} ");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let inodes: Vec<String> = table
        .lines()
        .filter(|line| line.contains(&hex) && line.contains(" 0A "))
        .filter_map(|line| line.split_whitespace().nth(9).map(|inode| format!("socket:[{inode}]")))
        .collect();
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    fds.filter_map(|fd| std::fs::read_link(fd.path()).ok())
        .filter(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str()))
        .count()
}

#[test]
fn usr1_restarts_in_place_after_the_runs_are_over() {
    let home = Home::new();
    let (provider, go) = patient();
    home.configure(&provider.config(""));
    let mut gateway = home.start("");
    let (pid, port) = (gateway.pid(), gateway.port);
    for round in 0..2 {
        let mut socket = Socket::connect(port);
        let run = format!("r{round}");
        send(&mut socket, &run);
        provider.asked();
        gateway.signal(Signal::USR1);
        let mut probe = Http::connect(port);
        while probe.exchange(get("/readyz")).status == 200 {}
        go.send(()).unwrap();
        assert_eq!(socket.chat_end(&run)["state"], "final");
        let payload = shutdown(&mut socket);
        assert_eq!(payload["reason"], "gateway restarting");
        assert!(payload["restartExpectedMs"].is_u64(), "{payload}");
        drop((socket, probe));
        gateway.wait_for("is listening on ws://");
        assert_eq!(ask(port, get("/healthz")).status, 200);
        assert_eq!(gateway.pid(), pid);
        assert_eq!(listeners(pid, port), 1, "round {round}");
        assert!(TcpListener::bind(("127.0.0.1", port)).is_err(), "the port is ours");
        assert_eq!(transcript(&gateway).len(), 2 * (round + 1));
    }
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(0));
    drop(gateway);
    assert!(TcpListener::bind(("127.0.0.1", port)).is_ok(), "the port is free");
}
