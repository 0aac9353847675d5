//! Heartbeats of a running gateway: the model is asked at its times, what it answers becomes an
//! event, and edits of the file count at once. A cadence of one second is the shortest there is.
#![cfg(feature = "process")]

mod common;

use common::provider::{Asked, Provider, config};
use common::socket::Socket;
use common::{Gateway, Home};
use serde_json::{Value, json};
use std::fs;

/// Answers what the prompt says after `answer `.
fn told() -> Provider {
    Provider::start(|asked, reply| {
        let said = asked.said();
        let answer = said.rsplit_once("answer ").map_or("nothing", |(_, answer)| answer);
        reply.say(answer);
    })
}

fn start(home: &Home, provider: &Provider, heartbeat: &str) -> Gateway {
    write(home, provider, heartbeat);
    home.start("")
}

fn write(home: &Home, provider: &Provider, heartbeat: &str) {
    let text =
        config(&[("mock", provider.port), ("other", provider.port)], "primary: 'mock/m1'", "");
    let defaults = format!("defaults: {{heartbeat: {{{heartbeat}}}, ");
    let text = text.replacen("defaults: {", &defaults, 1);
    home.configure(&text.replacen("gateway: {", "gateway: {reload: {debounceMs: 0}, ", 1));
}

/// The next event of a heartbeat.
fn beat(socket: &mut Socket) -> Value {
    socket.event(|frame| frame["event"] == "heartbeat")["payload"].clone()
}

fn system(asked: &Asked) -> String {
    asked.body["messages"][0]["content"].as_str().expect("a prompt").to_owned()
}

#[test]
fn an_agent_is_asked_and_its_answer_becomes_an_event() {
    let (home, provider) = (Home::new(), told());
    let prompt = "every: '1s', target: 'none', prompt: 'answer HEARTBEAT_OK'";
    let gateway = start(&home, &provider, prompt);
    let mut socket = Socket::connect(gateway.port);
    let health = socket.call("health", &json!({})).expect("health");
    assert_eq!(health["agents"][0]["heartbeat"]["every"], "1s", "{health}");
    let event = beat(&mut socket);
    assert_eq!((&event["status"], &event["reason"]), (&json!("ok-token"), &json!("interval")));
    assert_eq!((&event["silent"], &event["indicatorType"]), (&json!(true), &json!("ok")));
    assert!(event["ts"].is_u64() && event["durationMs"].is_u64(), "{event}");
    assert_eq!(provider.asked().talk(), ["user: answer HEARTBEAT_OK"]);
    let shown = |socket: &mut Socket| {
        let history = json!({"sessionKey": "main"});
        socket.call("chat.history", &history).expect("a history")["messages"].clone()
    };
    assert_eq!(shown(&mut socket), json!([]), "nobody is shown what needs no attention");
    // The next model is not told of it either.
    assert_eq!(provider.asked().talk(), ["user: answer HEARTBEAT_OK"]);

    write(&home, &provider, "every: '1s', target: 'none', prompt: 'answer The oven is on'");
    let alert = loop {
        let event = beat(&mut socket);
        if event["status"] != "ok-token" {
            break event;
        }
    };
    assert_eq!((&alert["status"], &alert["reason"]), (&json!("skipped"), &json!("target-none")));
    assert_eq!((&alert["preview"], &alert["hasMedia"]), (&json!("The oven is on"), &json!(false)));
    let text = shown(&mut socket).to_string();
    assert!(text.contains("The oven is on") && !text.contains("answer"), "{text}");

    write(&home, &provider, "every: '0m'");
    socket.event(|frame| frame["event"] == "config.changed");
    let health = socket.call("health", &json!({})).expect("health");
    assert_eq!(health["agents"][0]["heartbeat"]["every"], "disabled");
    assert_eq!(health["heartbeatSeconds"], 0);
    let last = home.ask(gateway.port, "system heartbeat last");
    assert!(last.out.contains("\"status\": \"skipped\""), "{}", last.out);
}

#[test]
fn a_beat_has_a_model_a_session_and_a_context_of_its_own() {
    let (home, provider) = (Home::new(), told());
    fs::create_dir_all(home.state().join("workspace")).expect("a folder");
    fs::write(home.state().join("workspace/HEARTBEAT.md"), "Look at the oven.").expect("written");
    let keys = "every: '1s', target: 'none', model: 'other/m1', lightContext: true, \
        isolatedSession: true, prompt: 'answer all is well'";
    let gateway = start(&home, &provider, keys);
    let mut socket = Socket::connect(gateway.port);
    let (first, second) = (provider.asked(), provider.asked());
    assert!(first.head.contains("sk-other"), "{}", first.head);
    assert_eq!(first.talk(), ["user: answer all is well"]);
    assert_eq!(second.talk(), first.talk(), "it begins anew");
    let prompt = system(&first);
    assert!(prompt.contains("Look at the oven.") && !prompt.contains("SOUL.md"), "{prompt}");
    let run = json!({"sessionKey": "main", "message": "answer hi", "idempotencyKey": "r"});
    socket.call("chat.send", &run).expect("accepted");
    let mine = loop {
        let asked = provider.asked();
        if asked.head.contains("sk-mock") {
            break asked;
        }
    };
    assert_eq!(mine.talk(), ["user: answer hi"]);
    assert!(system(&mine).contains("SOUL.md"));
    let beating = socket.event(|frame| frame["payload"]["isHeartbeat"] == true);
    assert_eq!(beating["payload"]["sessionKey"], "agent:main:main:heartbeat");
}

#[test]
fn what_is_empty_or_asleep_asks_no_model() {
    let (home, provider) = (Home::new(), told());
    fs::create_dir_all(home.state().join("workspace")).expect("a folder");
    let file = home.state().join("workspace/HEARTBEAT.md");
    fs::write(&file, "# Nothing yet\n").expect("written");
    let gateway = start(&home, &provider, "every: '1s', target: 'none', prompt: 'answer x'");
    let mut socket = Socket::connect(gateway.port);
    let event = beat(&mut socket);
    assert_eq!(
        (&event["status"], &event["reason"]),
        (&json!("skipped"), &json!("empty-heartbeat-file"))
    );
    fs::remove_file(&file).expect("gone");
    write(&home, &provider, "every: '1s', prompt: 'answer x'");
    let routeless = loop {
        let event = beat(&mut socket);
        if event["reason"] != "empty-heartbeat-file" {
            break event;
        }
    };
    assert_eq!(routeless["reason"], "no-route", "{routeless}");
    assert!(provider.rest().is_empty(), "no model was asked");
    let status = socket.call("status", &json!({})).expect("status");
    assert_eq!(status["heartbeat"]["agents"][0]["waitingForRoute"], true, "{status}");

    // Somebody asks: it comes at any hour, with what happened.
    let asleep = "activeHours: {start: '00:00', end: '00:00'}";
    write(&home, &provider, &format!("every: '1s', target: 'none', {asleep}"));
    socket.event(|frame| frame["event"] == "config.changed");
    let ran = home.ask(gateway.port, "system event --text later");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let ran = home.ask(gateway.port, "system event --text bell --mode now");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let said = provider.asked().said();
    assert!(said.contains("later") && said.contains("bell"), "{said}");
    let woken = loop {
        let event = beat(&mut socket);
        if event["reason"] == "wake" {
            break event;
        }
    };
    // What it was asked ends with the word, and so does what it answered.
    assert_eq!((&woken["status"], &woken["reason"]), (&json!("ok-token"), &json!("wake")));
    let last = socket.call("last-heartbeat", &json!({})).expect("the last");
    assert_eq!(last, woken, "while it sleeps none comes by itself");
}

#[test]
fn a_cadence_that_cannot_be_read_is_named() {
    let home = Home::new();
    let table = [
        ("defaults: {heartbeat: {every: 'often'}}", "agents.defaults.heartbeat.every", "30m"),
        (
            "list: [{id: 'a', heartbeat: {activeHours: {start: '9:00'}}}]",
            "agents.list[0].heartbeat.activeHours.start",
            "HH:MM",
        ),
        (
            "entries: {a: {heartbeat: {activeHours: {end: '25:00'}}}}",
            "agents.entries.a.heartbeat.activeHours.end",
            "HH:MM",
        ),
    ];
    for (agents, path, advice) in table {
        home.configure(&format!("{{agents: {{{agents}}}}}"));
        let ran = home.run("config validate");
        let text = format!("{}{}", ran.out, ran.err);
        assert_ne!(ran.code, 0, "{text}");
        assert!(text.contains(path) && text.contains(advice), "{text}");
    }
}
