//! A message for a session that has a run: queue modes, caps, the bound of all runs, and
//! repeated keys over a restart.

mod common;

use common::http::{Http, post};
use common::provider::Provider;
use common::socket::Socket;
use common::{Gateway, Home};
use serde_json::{Value, json};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

/// A provider that says "begun", waits for the test, and repeats what was said.
fn patient() -> (Provider, Sender<()>) {
    let (go, wait) = channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let provider = Provider::start(move |asked, reply| {
        reply.head();
        reply.delta("begun ");
        let _ = wait.lock().unwrap().recv();
        reply.delta(&asked.said());
        reply.finish("stop");
    });
    (provider, go)
}

/// A message of this text and run id; without a mode it does what the configuration says.
fn chat(session: &str, run: &str, mode: &str) -> Value {
    let mut params = json!({"sessionKey": session, "message": run, "idempotencyKey": run});
    if !mode.is_empty() {
        params["queueMode"] = json!(mode);
    }
    params
}

fn send(socket: &mut Socket, session: &str, run: &str, mode: &str) {
    let ack = socket.call("chat.send", &chat(session, run, mode)).unwrap();
    assert_eq!(ack, json!({"runId": run, "status": "started"}));
}

fn text(end: &Value) -> &str {
    end["message"]["content"][0]["text"].as_str().unwrap_or_default()
}

/// `role: text` of every message of a session.
fn history(socket: &mut Socket, session: &str) -> Vec<String> {
    let history = socket.call("chat.history", &json!({"sessionKey": session})).unwrap();
    let messages = history["messages"].as_array().unwrap();
    let word = |message: &Value| {
        let role = message["role"].as_str().unwrap_or_default();
        let content = &message["content"];
        let text = content.as_str().or(content[0]["text"].as_str()).unwrap_or_default();
        format!("{role}: {text}")
    };
    messages.iter().map(word).collect()
}

fn start(more: &str) -> (Home, Provider, Sender<()>, Gateway, Socket) {
    let home = Home::new();
    let (provider, go) = patient();
    home.configure(&provider.config(more));
    let gateway = home.start("");
    let socket = Socket::connect(gateway.port);
    (home, provider, go, gateway, socket)
}

#[test]
fn a_message_steers_the_run_that_goes_on() {
    let (_home, provider, go, _gateway, mut socket) = start("");
    send(&mut socket, "main", "a", "");
    assert_eq!(provider.asked().talk(), ["user: a"]);
    send(&mut socket, "main", "b", "");
    send(&mut socket, "main", "c", "steer");
    go.send(()).unwrap();
    let second = provider.asked().talk();
    assert_eq!(second, ["user: a", "assistant: begun a", "user: b", "user: c"]);
    go.send(()).unwrap();
    let end = socket.chat_end("a");
    assert_eq!((&end["state"], text(&end)), (&json!("final"), "begun c"), "{end}");
    for rider in ["b", "c"] {
        let end = socket.chat_end(rider);
        assert_eq!((&end["state"], text(&end)), (&json!("final"), ""), "{end}");
    }
    let all = ["user: a", "assistant: begun a", "user: b", "user: c", "assistant: begun c"];
    assert_eq!(history(&mut socket, "main"), all);
    // The session is free again.
    send(&mut socket, "main", "d", "");
    go.send(()).unwrap();
    assert_eq!(text(&socket.chat_end("d")), "begun d");
    assert_eq!(provider.rest().len(), 1);
}

#[test]
fn a_message_follows_up_when_it_says_so() {
    let (_home, provider, go, _gateway, mut socket) =
        start("messages: {queue: {mode: 'followup'}}");
    send(&mut socket, "main", "a", "");
    provider.asked();
    send(&mut socket, "main", "b", "");
    go.send(()).unwrap();
    assert_eq!(text(&socket.chat_end("a")), "begun a");
    go.send(()).unwrap();
    assert_eq!(text(&socket.chat_end("b")), "begun b");
    let second = provider.asked().talk();
    assert_eq!(second, ["user: a", "assistant: begun a", "user: b"]);
    assert_eq!(provider.rest().len(), 0);
}

#[test]
fn messages_that_are_collected_get_one_answer() {
    let (_home, provider, go, _gateway, mut socket) = start("");
    send(&mut socket, "main", "a", "");
    provider.asked();
    for run in ["b", "c", "d"] {
        send(&mut socket, "main", run, "collect");
    }
    // It stands behind them and is none of them.
    send(&mut socket, "main", "e", "followup");
    go.send(()).unwrap();
    let second = provider.asked().talk();
    assert_eq!(second, ["user: a", "assistant: begun a", "user: b", "user: c", "user: d"]);
    go.send(()).unwrap();
    assert_eq!(text(&socket.chat_end("b")), "begun d");
    assert_eq!(text(&socket.chat_end("c")), "");
    assert_eq!(text(&socket.chat_end("d")), "");
    assert_eq!(provider.asked().said(), "e");
    go.send(()).unwrap();
    assert_eq!(text(&socket.chat_end("e")), "begun e");
}

#[test]
fn a_message_interrupts_what_goes_on_and_what_waits() {
    let home = Home::new();
    let (closed, gone) = channel();
    let closed = Mutex::new(closed);
    let provider = Provider::start(move |asked, reply| {
        if asked.said() != "a" {
            return reply.say(&format!("re {}", asked.said()));
        }
        reply.head();
        reply.delta("half");
        reply.wait_for_close();
        closed.lock().unwrap().send(()).unwrap();
    });
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    send(&mut socket, "main", "a", "");
    provider.asked();
    socket.event(|frame| frame["payload"]["state"] == "delta");
    send(&mut socket, "main", "b", "followup");
    send(&mut socket, "main", "c", "interrupt");
    gone.recv_timeout(common::PATIENCE).expect("the provider's connection is closed");
    let mut ends = Vec::new();
    while ends.len() < 3 {
        let frame = socket.event(|frame| {
            let state = frame["payload"]["state"].as_str().unwrap_or_default();
            frame["event"] == "chat" && matches!(state, "final" | "aborted" | "error")
        });
        let payload = &frame["payload"];
        let word = |name: &str| payload[name].as_str().unwrap_or_default().to_owned();
        ends.push(format!("{} {} {}", word("runId"), word("state"), word("stopReason")));
    }
    ends.sort();
    assert_eq!(ends, ["a aborted interrupted", "b aborted interrupted", "c final stop"]);
    assert_eq!(provider.asked().talk().last().unwrap(), "user: c");
    assert_eq!(provider.rest().len(), 0, "b is not answered");
    let said: Vec<String> = history(&mut socket, "main");
    assert_eq!(said.iter().filter(|line| line.starts_with("user")).count(), 3, "{said:?}");
    assert_eq!(said.last().unwrap(), "assistant: re c");
}

#[test]
fn a_full_queue_does_what_its_drop_rule_says() {
    let queue = |drop: &str| format!("messages: {{queue: {{cap: 1, drop: '{drop}'}}}}");
    // The newest is refused.
    let (_home, provider, go, _gateway, mut socket) = start(&queue("new"));
    send(&mut socket, "main", "a", "");
    provider.asked();
    send(&mut socket, "main", "b", "followup");
    let error = socket.call("chat.send", &chat("main", "c", "followup")).unwrap_err();
    assert_eq!((&error["code"], &error["retryable"]), (&json!("UNAVAILABLE"), &json!(true)));
    go.send(()).unwrap();
    go.send(()).unwrap();
    assert_eq!(text(&socket.chat_end("b")), "begun b");
    assert!(!history(&mut socket, "main").contains(&"user: c".to_owned()));
    // The oldest gives way.
    let (_home, provider, go, _gateway, mut socket) = start(&queue("old"));
    send(&mut socket, "main", "a", "");
    provider.asked();
    send(&mut socket, "main", "b", "followup");
    send(&mut socket, "main", "c", "followup");
    let end = socket.chat_end("b");
    assert_eq!((&end["state"], &end["stopReason"]), (&json!("aborted"), &json!("queue-full")));
    go.send(()).unwrap();
    assert_eq!(provider.asked().said(), "c");
    go.send(()).unwrap();
    assert_eq!(text(&socket.chat_end("c")), "begun c");
    // None is lost: those that wait are one turn.
    let (_home, provider, go, _gateway, mut socket) = start(&queue("summarize"));
    send(&mut socket, "main", "a", "");
    provider.asked();
    send(&mut socket, "main", "b", "followup");
    send(&mut socket, "main", "c", "collect");
    go.send(()).unwrap();
    assert_eq!(provider.asked().talk()[2..], ["user: b", "user: c"]);
    go.send(()).unwrap();
    assert_eq!(text(&socket.chat_end("b")), "begun c");
    assert_eq!(text(&socket.chat_end("c")), "");
}

#[test]
fn so_many_runs_go_on_at_once_and_the_others_wait() {
    let (_home, provider, go, _gateway, mut socket) = {
        let home = Home::new();
        let (provider, go) = patient();
        home.configure(
            &provider.config("").replace("defaults: {", "defaults: {maxConcurrent: 1, "),
        );
        let gateway = home.start("");
        let socket = Socket::connect(gateway.port);
        (home, provider, go, gateway, socket)
    };
    for run in ["a", "b", "c"] {
        send(&mut socket, &format!("of-{run}"), run, "");
    }
    assert_eq!(provider.asked().said(), "a");
    // One that waits for its place may be cancelled, and holds nobody up.
    socket.call("chat.abort", &json!({"sessionKey": "of-b"})).unwrap();
    assert_eq!(socket.chat_end("b")["state"], "aborted");
    assert_eq!(provider.rest().len(), 0);
    go.send(()).unwrap();
    assert_eq!(text(&socket.chat_end("a")), "begun a");
    assert_eq!(provider.asked().said(), "c");
    go.send(()).unwrap();
    assert_eq!(text(&socket.chat_end("c")), "begun c");
}

#[test]
fn a_request_over_http_that_is_cancelled_while_it_waits_is_answered() {
    let (_home, provider, go, gateway, mut socket) = start("");
    let ask = |text: &str| {
        let said = json!([{"role": "user", "content": text}]);
        let body = json!({"model": "openclaw", "user": "u", "messages": said});
        let mut http = Http::connect(gateway.port);
        http.send(post("/v1/chat/completions", &body));
        http
    };
    let mut first = ask("one");
    assert_eq!(provider.asked().said(), "one");
    let mut second = ask("two");
    let key = "agent:main:openai-user:u";
    let waiting = |socket: &mut Socket| {
        let history = socket.call("chat.history", &json!({"sessionKey": key})).unwrap();
        history["pendingInputs"]["total"] == 1
    };
    let deadline = std::time::Instant::now() + common::PATIENCE;
    while !waiting(&mut socket) {
        assert!(std::time::Instant::now() < deadline, "the second request waits");
    }
    let aborted = socket.call("chat.abort", &json!({"sessionKey": key})).unwrap();
    assert_eq!(aborted["runIds"].as_array().unwrap().len(), 2, "{aborted}");
    for http in [&mut first, &mut second] {
        let answer = http.response();
        assert!(answer.json().is_object(), "{answer:?}");
    }
    drop(go);
}

#[test]
fn a_repeated_key_gets_the_first_outcome_over_a_kill() {
    let home = Home::new();
    let provider = Provider::echo();
    home.configure(&provider.config(""));
    let call = json!({"message": "hi", "idempotencyKey": "agent-run", "sessionKey": "other"});
    let second = {
        let gateway = home.start("");
        let mut socket = Socket::connect(gateway.port);
        send(&mut socket, "main", "chat-run", "");
        socket.chat_end("chat-run");
        let id = socket.request("agent", &call);
        socket.response(&id).unwrap();
        socket.response(&id).unwrap()
        // Dropped: SIGKILL.
    };
    assert_eq!(second["status"], "ok", "{second}");
    assert_eq!(provider.rest().len(), 2);
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let again = socket.call("chat.send", &chat("main", "chat-run", "")).unwrap();
    assert_eq!(again, json!({"runId": "chat-run", "status": "ok"}));
    assert_eq!(socket.call("agent", &call).unwrap(), second, "the stored response");
    let waited = socket.call("agent.wait", &json!({"runId": "agent-run"})).unwrap();
    assert_eq!(waited["status"], "ok", "{waited}");
    for (method, params) in [
        ("chat.send", json!({"sessionKey": "main", "message": "x", "idempotencyKey": "chat-run"})),
        ("agent", json!({"message": "x", "idempotencyKey": "agent-run", "sessionKey": "other"})),
    ] {
        let error = socket.call(method, &params).unwrap_err();
        assert_eq!(error["details"]["reason"], "chat-request-conflict", "{error}");
    }
    assert_eq!(provider.rest().len(), 0, "nobody was asked again");
    assert_eq!(history(&mut socket, "main").len(), 2);
}
