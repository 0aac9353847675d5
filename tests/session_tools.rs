//! Tools across sessions, asked for by a scripted model: what they give, and what comes back.

mod common;

use common::Home;
use common::provider::Provider;
use common::socket::Socket;
use serde_json::json;

fn send(socket: &mut Socket, session: &str, message: &str, run: &str) -> String {
    let params = json!({"sessionKey": session, "message": message, "idempotencyKey": run});
    socket.call("chat.send", &params).unwrap();
    socket.chat_end(run)["message"]["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_session_asks_another_and_hears_its_reply() {
    let home = Home::new();
    let provider = Provider::start(|asked, reply| match (asked.said(), asked.result()) {
        (_, Some(result)) => reply.say(&format!("heard {result}")),
        (said, None) if said == "ask the other" => {
            let args = json!({"sessionKey": "agent:main:other", "message": "what is it?"});
            reply.call("sessions_send", args);
        }
        (said, None) if said == "ask myself" => {
            let args = json!({"sessionKey": "agent:main:main", "message": "x"});
            reply.call("sessions_send", args);
        }
        (said, None) if said == "list" => reply.call("sessions_list", json!({})),
        (said, None) if said == "read" => {
            reply.call("sessions_history", json!({"sessionKey": "agent:main:other"}));
        }
        (said, None) => reply.say(&format!("re: {said}")),
    });
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    send(&mut socket, "agent:main:other", "hello", "r0");
    let heard = send(&mut socket, "main", "ask the other", "r1");
    assert!(heard.contains("\"status\": \"ok\"") && heard.contains("what is it?"), "{heard}");
    assert!(heard.contains("isUser=false"), "the other saw who asks: {heard}");
    let refused = send(&mut socket, "main", "ask myself", "r2");
    assert!(refused.contains("cannot send to itself"), "{refused}");
    let list = send(&mut socket, "main", "list", "r3");
    assert!(list.contains("agent:main:other") && list.contains("agent:main:main"), "{list}");
    let read = send(&mut socket, "main", "read", "r4");
    assert!(read.contains("re: hello") && read.contains("what is it?"), "{read}");
}

#[cfg(feature = "process")]
#[test]
fn what_is_out_of_reach_is_said_to_be() {
    let home = Home::new();
    let provider = Provider::start(|asked, reply| match (asked.said(), asked.result()) {
        (_, Some(result)) => reply.say(&format!("heard {result}")),
        (said, None) if said == "read" => {
            reply.call("sessions_history", json!({"sessionKey": "agent:main:other"}));
        }
        (said, None) => reply.say(&format!("re: {said}")),
    });
    home.configure(&provider.config(""));
    let mut gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    send(&mut socket, "agent:main:other", "hello", "r0");
    assert!(send(&mut socket, "main", "read", "r1").contains("re: hello"));
    home.configure(&provider.config("tools: { sessions: { visibility: 'self' } },"));
    gateway.signal(rustix::process::Signal::HUP);
    gateway.wait_for("reread and applied");
    let hidden = send(&mut socket, "main", "read", "r2");
    assert!(hidden.contains("tools.sessions.visibility"), "{hidden}");
}

#[test]
fn a_spawned_run_reports_to_its_parent_and_ends_with_it() {
    let home = Home::new();
    // The child answers when its parent's run is over: else its report would be said to that run.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let provider = Provider::start(move |asked, reply| match (asked.said(), asked.result()) {
        (_, Some(result)) => reply.say(&format!("spawned {result}")),
        (said, None) if said.starts_with("spawn ") => {
            let args = json!({"task": said.trim_start_matches("spawn "), "label": "the task"});
            reply.call("sessions_spawn", args);
        }
        (said, None) if said == "wait for ever" => {
            reply.head();
            reply.wait_for_close();
        }
        (said, None) if said.contains("Sub-agent report") => reply.say("reported"),
        (said, None) if said == "anything else?" => reply.say("no"),
        (said, None) => {
            let tools = asked.body["tools"].to_string();
            assert!(!tools.contains("\"sessions_spawn\""), "a sub-agent has no session tools");
            let _ = wait.lock().unwrap().recv();
            reply.say(&format!("done: {said}"));
        }
    });
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let spawned = send(&mut socket, "main", "spawn count to three", "r1");
    assert!(spawned.contains("\"status\": \"accepted\""), "{spawned}");
    go.send(()).unwrap();
    let report = socket.event(|frame| {
        frame["event"] == "chat"
            && frame["payload"]["state"] == "final"
            && frame["payload"]["sessionKey"] == "agent:main:main"
    });
    assert_eq!(report["payload"]["message"]["content"][0]["text"], "reported");
    let history = socket.call("chat.history", &json!({"sessionKey": "main"})).unwrap();
    let text = history["messages"].to_string();
    assert!(text.contains("the task: ok") && text.contains("done: count to three"), "{text}");
    // Stopping the parent's session stops what it spawned.
    send(&mut socket, "main", "spawn wait for ever", "r2");
    while provider.asked().said() != "wait for ever" {}
    socket.call("chat.abort", &json!({"sessionKey": "main"})).unwrap();
    let aborted =
        socket.event(|frame| frame["event"] == "chat" && frame["payload"]["state"] == "aborted");
    assert!(aborted["payload"]["sessionKey"].as_str().unwrap().contains(":subagent:"));
    // What was stopped does not start anew with a report of its end.
    provider.rest();
    assert!(send(&mut socket, "main", "anything else?", "r3") == "no");
    assert_eq!(provider.rest().len(), 1, "only what was said since");
}
