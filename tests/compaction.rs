//! Compaction against the real binary and a scripted provider: by command, by call, when the
//! context fills, when the provider refuses.

mod common;

use common::provider::{Asked, Provider, Reply};
use common::socket::Socket;
use common::{Gateway, Home};
use serde_json::{Value, json};

/// About so many tokens.
fn words(tokens: usize) -> String {
    "wor ".repeat(tokens)
}

fn summarises(asked: &Asked) -> bool {
    asked.body["messages"][0]["content"].as_str().is_some_and(|text| text.contains("summarise"))
}

/// A window of 40,000 tokens of which 30,000 are for the conversation; the model answers in a
/// few words.
fn with(script: impl Fn(&Asked, &mut Reply) + Send + Sync + 'static) -> (Home, Provider, Gateway) {
    let home = Home::new();
    let provider = Provider::start(script);
    let config = provider.config("").replace("id: 'm1'", "id: 'm1', contextWindow: 40000").replace(
        "agents: {defaults: {",
        "agents: {defaults: {compaction: {keepRecentTokens: 2000}, ",
    );
    home.configure(&config);
    let gateway = home.start("");
    (home, provider, gateway)
}

fn chat(socket: &mut Socket, message: &str, run: &str) -> Value {
    let send = json!({"sessionKey": "c", "message": message, "idempotencyKey": run});
    assert_eq!(socket.call("chat.send", &send).unwrap()["status"], "started");
    socket.chat_end(run)
}

fn text(payload: &Value) -> &str {
    payload["message"]["content"][0]["text"].as_str().unwrap_or_default()
}

fn compactions(home: &Home) -> Vec<Value> {
    let dir = home.state().join("agents/main/sessions");
    let mut files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let file = files.find(|path| path.extension().is_some_and(|ext| ext == "jsonl"));
    let text = std::fs::read_to_string(file.expect("a transcript")).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["type"] == "compaction").collect()
}

#[test]
fn by_command_and_by_call() {
    let (home, provider, gateway) = with(|asked, reply| match summarises(asked) {
        true => reply.say(&format!("SUMMARY of {}", asked.number)),
        false => reply.say("fine"),
    });
    let mut socket = Socket::connect(gateway.port);
    chat(&mut socket, "small", "s0");
    let small = socket.call("sessions.compact", &json!({"key": "c"})).unwrap();
    let reason = "Nothing to compact (session too small)";
    assert_eq!(
        small,
        json!({"ok": false, "key": "agent:main:c", "compacted": false, "reason": reason})
    );
    assert_eq!(text(&chat(&mut socket, "/compact", "s1")), reason);
    chat(&mut socket, &format!("the first secret {}", words(3000)), "r1");
    chat(&mut socket, &format!("the second secret {}", words(1500)), "r2");
    provider.rest();
    let end = chat(&mut socket, "/compact keep the \"names\"", "s2");
    assert!(text(&end).starts_with("🧹 Compacted: about"), "{end}");
    let asked = provider.asked();
    let system = asked.body["messages"][0]["content"].as_str().unwrap();
    assert!(system.contains("keep the \\\"names\\\""), "{system}");
    assert!(asked.said().contains("first secret") && !asked.said().contains("second secret"));
    assert!(asked.body.get("tools").is_none(), "a summary needs no tools");
    let records = compactions(&home);
    assert_eq!(records.len(), 1);
    assert!(records[0]["summary"].as_str().unwrap().starts_with("SUMMARY of"));
    assert!(records[0]["firstKeptEntryId"].is_string() && records[0]["tokensBefore"].is_u64());
    // What the model is shown afterwards: the summary and what was kept.
    chat(&mut socket, "go on", "r3");
    let shown = provider.asked().body["messages"].to_string();
    assert!(shown.contains("SUMMARY of") && shown.contains("second secret"));
    assert!(!shown.contains("first secret") && !shown.contains("/compact"));
    // The history has everything.
    let page = socket.call("chat.history", &json!({"sessionKey": "c"})).unwrap();
    assert!(page["messages"].to_string().contains("first secret"));
    assert_eq!(page["sessionInfo"]["compactionCount"], 1);
    // Repeated, it is not done again.
    let again = json!({"sessionKey": "c", "message": "/compact keep the \"names\"",
        "idempotencyKey": "s2"});
    assert_eq!(socket.call("chat.send", &again).unwrap()["status"], "ok");
    chat(&mut socket, &words(3000), "r4");
    socket.call("sessions.subscribe", &json!({})).unwrap();
    let id = socket.request("sessions.compact", &json!({"key": "c"}));
    let start = socket.event(|frame| frame["event"] == "session.operation");
    assert_eq!(start["payload"]["phase"], "start");
    let done = socket.response(&id).unwrap();
    assert_eq!((&done["ok"], &done["compacted"]), (&json!(true), &json!(true)));
    let records = compactions(&home);
    assert_eq!(records.len(), 2);
    // After a restart the summary still counts.
    drop(socket);
    drop(gateway);
    let gateway = home.start("");
    provider.rest();
    chat(&mut Socket::connect(gateway.port), "after", "r5");
    assert!(provider.asked().body["messages"].to_string().contains("SUMMARY of"));
}

#[test]
fn when_the_context_fills() {
    let (home, provider, gateway) = with(|asked, reply| match summarises(asked) {
        true => reply.say("SUMMARY"),
        false => reply.say("fine"),
    });
    let mut socket = Socket::connect(gateway.port);
    chat(&mut socket, &format!("alpha {}", words(16_000)), "r1");
    provider.rest();
    let send = format!("beta {}", words(16_000));
    let send = json!({"sessionKey": "c", "message": send, "idempotencyKey": "r2"});
    socket.call("chat.send", &send).unwrap();
    let start = socket.event(|frame| frame["payload"]["stream"] == "compaction");
    assert_eq!(
        (&start["payload"]["runId"], &start["payload"]["data"]["phase"]),
        (&json!("r2"), &json!("start"))
    );
    let end = socket.event(|frame| frame["payload"]["stream"] == "compaction");
    assert_eq!(end["payload"]["data"]["phase"], "end");
    assert_eq!(text(&socket.chat_end("r2")), "fine");
    let asked = provider.rest();
    assert_eq!(asked.len(), 2, "the summary, then the run");
    assert!(asked[0].said().contains("alpha"));
    let shown = asked[1].body["messages"].to_string();
    assert!(shown.contains("SUMMARY") && shown.contains("beta") && !shown.contains("alpha"));
    assert_eq!(compactions(&home).len(), 1);
}

#[test]
fn when_the_provider_refuses_and_once_only() {
    // The window is smaller than the configuration says.
    let (home, provider, gateway) = with(|asked, reply| {
        let bytes = asked.body.to_string().len();
        if summarises(asked) {
            reply.say("SUMMARY");
        } else if bytes > 60_000 {
            reply.refuse("400 Bad Request", "", "maximum context length exceeded");
        } else {
            reply.say("fine");
        }
    });
    let mut socket = Socket::connect(gateway.port);
    chat(&mut socket, &format!("alpha {}", words(8_000)), "r1");
    chat(&mut socket, &format!("beta {}", words(2_500)), "r2");
    let end = chat(&mut socket, &format!("gamma {}", words(5_000)), "r3");
    assert_eq!((&end["state"], text(&end)), (&json!("final"), "fine"));
    assert_eq!(compactions(&home).len(), 1);
    let last = provider.rest().pop().unwrap().body["messages"].to_string();
    assert!(last.contains("SUMMARY") && last.contains("gamma") && !last.contains("alpha"));
    // What cannot be made to fit fails, once, with the provider's words.
    let end = chat(&mut socket, &format!("delta {}", words(20_000)), "r4");
    assert_eq!(end["state"], "error");
    assert!(end["errorMessage"].as_str().unwrap().contains("context length"), "{end}");
}
