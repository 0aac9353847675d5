//! Runs over the socket: order of events, repetition, queues, aborts, history.

mod common;

use common::Home;
use common::provider::{Provider, config};
use common::socket::{Socket, word};
use serde_json::{Value, json};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

/// A message that waits for a run of its own.
fn chat(session: &str, message: &str, run: &str) -> Value {
    json!({
        "sessionKey": session, "message": message, "idempotencyKey": run, "queueMode": "followup",
    })
}

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

#[test]
fn a_chat_tells_its_events_in_the_recorded_order() {
    let home = Home::new();
    home.configure(&Provider::echo().config("").replace("mock/m1", "local/echo"));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    socket.call("sessions.subscribe", &json!({})).unwrap();
    let id = socket.request("chat.send", &chat("main", "hi", "r"));
    let ack = socket.frame();
    assert_eq!((&ack["id"], &ack["type"]), (&json!(id), &json!("res")), "the answer comes first");
    assert_eq!(ack["payload"], json!({"runId": "r", "status": "started"}));
    let mut frames = Vec::new();
    loop {
        let frame = socket.frame();
        let settled = frame["payload"]["reason"] == "agent.input.settled";
        frames.push(frame);
        if settled {
            break;
        }
    }
    let words: Vec<String> = frames.iter().map(word).collect();
    assert_eq!(
        words,
        [
            "sessions.changed participants",
            "session.message user",
            "chat status preparing_workspace",
            "agent run_status preparing_workspace",
            "chat status preparing_context",
            "agent run_status preparing_context",
            "agent lifecycle start",
            "chat status starting_model",
            "agent run_status starting_model",
            "sessions.changed agent.run.started",
            "sessions.changed  start",
            "agent lifecycle model",
            "sessions.changed  model",
            "agent assistant",
            "chat delta",
            "agent usage",
            "session.message assistant",
            "agent lifecycle finishing",
            "agent lifecycle model",
            "agent lifecycle end",
            "chat final",
            "sessions.changed agent.input.settled",
        ]
    );
    for (n, frame) in frames.iter().enumerate() {
        assert_eq!(frame["seq"], n + 1, "gap-free from 1: {frame}");
    }
    let inner: Vec<u64> = frames
        .iter()
        .filter(|frame| frame["event"] == "agent" || frame["event"] == "chat")
        .map(|frame| frame["payload"]["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(inner, [1, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 9, 10, 10]);
    for frame in frames.iter().filter(|frame| frame["event"] != "sessions.changed") {
        assert_eq!(frame["payload"]["sessionKey"], "agent:main:main", "{frame}");
    }
}

#[test]
fn text_is_told_at_once_then_in_steps_and_whole_before_the_end() {
    let home = Home::new();
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let provider = Provider::start(move |_, reply| {
        reply.head();
        for n in 0..200 {
            reply.delta(&format!("{n:04} ").repeat(200));
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        // The rest is told by the clock.
        let _ = wait.lock().unwrap().recv();
        reply.delta("end");
        reply.finish("stop");
    });
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    socket.call("chat.send", &chat("main", "hi", "r")).unwrap();
    let mut frames: Vec<Value> = Vec::new();
    let mut waiting = true;
    loop {
        let frame = socket.event(|_| true);
        let words = word(&frame);
        frames.push(frame["payload"].clone());
        let text = frame["payload"]["data"]["text"].as_str().unwrap_or_default();
        if waiting && text.len() == 200 * 1000 {
            waiting = false;
            go.send(()).unwrap();
        }
        match words.as_str() {
            "chat final" => break,
            "agent usage" | "agent lifecycle finishing" | "agent lifecycle end" => {
                let told = frames.iter().rev().find(|told| told["stream"] == "assistant").unwrap();
                assert_eq!(told["data"]["text"].as_str().unwrap().len(), 200 * 1000 + 3);
            }
            _ => {}
        }
    }
    let told: Vec<&Value> = frames.iter().filter(|told| told["stream"] == "assistant").collect();
    let (mut text, mut before) = (String::new(), 0);
    for (n, event) in told.iter().enumerate() {
        let due = 75 + text.len() as u64 / 2048;
        text.push_str(event["data"]["delta"].as_str().unwrap());
        assert_eq!(event["data"]["text"], text);
        let ts = event["ts"].as_u64().unwrap();
        let pause = ts - before;
        let last = n + 1 == told.len();
        assert!(last || pause + 5 >= due, "{pause} ms before event {n}, not {due}");
        before = ts;
    }
    assert!((3..60).contains(&told.len()), "{} events", told.len());
    let deltas: Vec<&Value> = frames.iter().filter(|chat| chat["state"] == "delta").collect();
    assert_eq!(deltas.len(), told.len());
    for (delta, event) in deltas.iter().zip(&told) {
        assert_eq!(delta["seq"], event["seq"]);
        assert_eq!(delta["deltaText"], event["data"]["delta"]);
        assert_eq!(delta["message"]["content"][0]["text"], event["data"]["text"]);
    }
}

#[test]
fn numbers_have_no_gap_whatever_a_connection_may_hear() {
    let home = Home::new();
    home.configure(&config(&[], "primary: 'local/echo'", ""));
    let gateway = home.start("");
    let mut all = Socket::connect(gateway.port);
    all.call("sessions.subscribe", &json!({})).unwrap();
    let mut plain = Socket::connect(gateway.port);
    for n in 0..20 {
        let run = format!("r{n}");
        plain.call("chat.send", &chat(&format!("s{}", n % 3), "x", &run)).unwrap();
    }
    for socket in [&mut plain, &mut all] {
        let mut last = 0;
        let mut ended = 0;
        while ended < 20 {
            let frame = socket.event(|_| true);
            assert_eq!(frame["seq"], last + 1, "{frame}");
            last += 1;
            ended += usize::from(frame["payload"]["state"] == "final");
        }
    }
}

#[test]
fn a_repeated_key_runs_once() {
    let home = Home::new();
    let (provider, go) = patient();
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let mut other = Socket::connect(gateway.port);
    let send = chat("main", "hi", "r");
    let status = |socket: &mut Socket| socket.call("chat.send", &send).unwrap();
    assert_eq!(status(&mut socket)["status"], "started");
    assert_eq!(status(&mut socket), json!({"runId": "r", "status": "in_flight"}));
    assert_eq!(status(&mut other)["status"], "in_flight");
    let conflict = |socket: &mut Socket, params: &Value| {
        let error = socket.call("chat.send", params).unwrap_err();
        assert_eq!(error["details"], json!({"reason": "chat-request-conflict"}), "{error}");
        assert!(error["message"].as_str().unwrap().contains("already used"), "{error}");
    };
    conflict(&mut other, &chat("main", "different", "r"));
    conflict(&mut other, &chat("elsewhere", "hi", "r"));
    go.send(()).unwrap();
    assert_eq!(socket.chat_end("r")["message"]["content"][0]["text"], "begun hi");
    assert_eq!(status(&mut other), json!({"runId": "r", "status": "ok"}));
    conflict(&mut socket, &chat("main", "different", "r"));
    let history = socket.call("chat.history", &json!({"sessionKey": "main"})).unwrap();
    assert_eq!(history["totalMessages"], 2, "{history}");
    assert_eq!(provider.rest().len(), 1);
}

#[test]
fn messages_of_one_session_wait_for_each_other_and_others_do_not() {
    let home = Home::new();
    let (provider, go) = patient();
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    for run in ["a", "b", "c"] {
        assert_eq!(socket.call("chat.send", &chat("main", run, run)).unwrap()["status"], "started");
    }
    assert_eq!(provider.asked().said(), "a");
    let pending = socket.call("chat.history", &json!({"sessionKey": "main"})).unwrap();
    assert_eq!(pending["pendingInputs"]["total"], 2, "{pending}");
    assert_eq!(pending["pendingInputs"]["items"][0]["runId"], "b", "{pending}");
    socket.call("chat.send", &chat("other", "d", "d")).unwrap();
    assert_eq!(provider.asked().said(), "d", "another session does not wait");
    let list = socket.call("sessions.list", &json!({})).unwrap();
    assert!(list["sessions"].as_array().unwrap().iter().all(|row| row["hasActiveRun"] == true));
    go.send(()).unwrap();
    go.send(()).unwrap();
    let b = provider.asked();
    assert_eq!(b.said(), "b");
    let told: Vec<&str> = b.body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|message| message["role"] != "system")
        .map(|message| message["content"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["a", "begun a", "b"], "what was said before belongs to it");
    go.send(()).unwrap();
    assert_eq!(provider.asked().said(), "c");
    go.send(()).unwrap();
    assert_eq!(socket.chat_end("c")["state"], "final");
    let history = socket.call("chat.history", &json!({"sessionKey": "main"})).unwrap();
    let said: Vec<&str> = history["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|message| message["content"].as_str())
        .collect();
    assert_eq!(said, ["a", "b", "c"]);
}

#[test]
fn an_abort_ends_a_run_once_and_keeps_what_was_said() {
    let home = Home::new();
    let (provider, _go) = patient();
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let nothing = socket.call("chat.abort", &json!({"sessionKey": "main"})).unwrap();
    assert_eq!(nothing, json!({"ok": true, "aborted": false, "runIds": []}));
    let begin = |socket: &mut Socket, run: &str| {
        socket.call("chat.send", &chat("main", "hi", run)).unwrap();
        provider.asked();
        socket.event(|frame| {
            frame["payload"]["runId"] == run && frame["payload"]["state"] == "delta"
        });
    };
    begin(&mut socket, "r1");
    socket.call("chat.send", &chat("main", "queued", "r2")).unwrap();
    let one = json!({"sessionKey": "main", "runId": "r1"});
    let aborted = socket.call("chat.abort", &one).unwrap();
    assert_eq!(aborted, json!({"ok": true, "aborted": true, "runIds": ["r1"]}));
    let end = socket.chat_end("r1");
    assert_eq!((&end["state"], &end["stopReason"]), (&json!("aborted"), &json!("rpc")), "{end}");
    assert_eq!(end["message"]["content"][0]["text"], "begun ", "{end}");
    // The next in line goes on; then all of the session at once.
    assert_eq!(provider.asked().said(), "queued");
    socket.call("chat.send", &chat("main", "third", "r3")).unwrap();
    let stopped = socket.call("chat.send", &chat("main", "/stop", "k")).unwrap();
    assert_eq!(stopped, json!({"ok": true, "aborted": true, "runIds": ["r2", "r3"]}));
    let ends = |socket: &mut Socket, run: &str| -> usize {
        socket.is_alive();
        let of = socket.events.iter().filter(|frame| frame["payload"]["runId"] == run);
        of.filter(|frame| frame["payload"]["state"] == "aborted").count()
    };
    for run in ["r2", "r3"] {
        assert_eq!(ends(&mut socket, run), 1, "{run}");
    }
    begin(&mut socket, "r4");
    let session = socket.call("sessions.abort", &json!({"runId": "r4"})).unwrap();
    assert_eq!(session, json!({"ok": true, "abortedRunId": "r4", "status": "aborted"}));
    assert_eq!(ends(&mut socket, "r4"), 1);
    let history = socket.call("chat.history", &json!({"sessionKey": "main"})).unwrap();
    let messages = history["messages"].as_array().unwrap();
    let kept = &messages[1];
    assert_eq!(kept["content"][0]["text"], "begun ", "{kept}");
    assert_eq!(kept["openclawAbort"]["runId"], "r1", "{kept}");
    assert_eq!(messages.len(), 8, "{history}");
}

#[test]
fn an_agent_call_has_two_responses_and_may_be_waited_for() {
    let home = Home::new();
    let (provider, go) = patient();
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let mut other = Socket::connect(gateway.port);
    let call = json!({"message": "hi", "idempotencyKey": "r"});
    let id = socket.request("agent", &call);
    let first = socket.response(&id).unwrap();
    assert_eq!((&first["status"], &first["runId"]), (&json!("accepted"), &json!("r")), "{first}");
    assert_eq!(
        (&first["sessionKey"], &first["agentId"]),
        (&json!("agent:main:main"), &json!("main"))
    );
    assert!(first["acceptedAt"].is_u64(), "{first}");
    let wait = other.request("agent.wait", &json!({"runId": "r", "timeoutMs": 20_000}));
    let early = other.call("agent.wait", &json!({"runId": "r", "timeoutMs": 1})).unwrap();
    assert_eq!(early, json!({"runId": "r", "status": "timeout"}));
    let unknown = other.call("agent.wait", &json!({"runId": "nobody", "timeoutMs": 1})).unwrap();
    assert_eq!(unknown, json!({"runId": "nobody", "status": "timeout"}));
    go.send(()).unwrap();
    let second = socket.response(&id).unwrap();
    assert_eq!((&second["status"], &second["summary"]), (&json!("ok"), &json!("completed")));
    assert_eq!(second["result"]["payloads"][0]["text"], "begun hi", "{second}");
    assert_eq!(second["result"]["meta"]["agentMeta"]["usage"]["total"], 18, "{second}");
    let final_event = socket.events.iter().any(|frame| frame["payload"]["state"] == "final");
    assert!(final_event, "events come before the second response");
    let status = socket.events.iter().any(|frame| frame["payload"]["state"] == "status");
    assert!(!status, "no chat status of this call");
    let waited = other.response(&wait).unwrap();
    assert_eq!((&waited["status"], &waited["stopReason"]), (&json!("ok"), &json!("stop")));
    assert_eq!(waited["terminalReply"]["text"], "begun hi", "{waited}");
    // Repeated: the stored end is the only response, also for another connection.
    let again = other.call("agent", &call).unwrap();
    assert_eq!(again, second);

    // A run outlives the connection that asked for it.
    let mut gone = Socket::connect(gateway.port);
    gone.call("agent", &json!({"message": "on", "idempotencyKey": "r2"})).unwrap();
    drop(gone);
    go.send(()).unwrap();
    let waited = other.call("agent.wait", &json!({"runId": "r2"})).unwrap();
    assert_eq!(waited["status"], "ok", "{waited}");
    // Aborted: a good response that says so.
    let id = socket.request("agent", &json!({"message": "x", "idempotencyKey": "r3"}));
    socket.response(&id).unwrap();
    socket.call("chat.abort", &json!({"sessionKey": "main"})).unwrap();
    let end = socket.response(&id).unwrap();
    assert_eq!((&end["summary"], &end["stopReason"]), (&json!("aborted"), &json!("rpc")), "{end}");
}

#[test]
fn a_message_for_a_session_that_is_another_now_is_refused() {
    let home = Home::new();
    home.configure(&config(&[], "primary: 'local/echo'", ""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let mut send = |run: &str, id: &str| {
        let mut params = chat("main", "hi", run);
        params["sessionId"] = json!(id);
        params["deliver"] = json!(false);
        let answer = socket.call("chat.send", &params);
        if answer.as_ref().is_ok_and(|answer| answer["status"] == "started") {
            socket.chat_end(run);
        }
        answer
    };
    let id = "37e76aa0-6f2b-482b-ade9-fe927f9ca63d";
    assert_eq!(send("r1", id).unwrap()["status"], "started", "a new session takes the id");
    assert_eq!(send("r2", id).unwrap()["status"], "started");
    let error = send("r3", "another").unwrap_err();
    assert_eq!(error["code"], "INVALID_REQUEST");
    assert_eq!(error["message"], "session agent:main:main is not \"another\" any more");
    assert_eq!(send("r1", id).unwrap()["status"], "ok");
}

#[test]
fn attachments_are_as_large_as_hello_says() {
    let home = Home::new();
    home.configure(&config(&[], "primary: 'local/echo'", ""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let policy = socket.hello["policy"]["attachments"].clone();
    let limit = |name: &str| usize::try_from(policy[name].as_u64().unwrap()).unwrap();
    let (image, all) = (limit("maxImageBytes"), limit("maxBytes"));
    // Zeros; a count that is no multiple of three ends in padding.
    let zeros = |bytes: usize| {
        let data = "A".repeat((bytes * 4).div_ceil(3)) + ["", "==", "="][bytes % 3];
        json!({"mimeType": "image/png", "content": data})
    };
    let mut send = |run: &str, images: &[usize]| {
        let mut params = chat(run, "", run);
        params["attachments"] = images.iter().map(|bytes| zeros(*bytes)).collect();
        let answer = socket.call("chat.send", &params);
        if answer.is_ok() {
            socket.chat_end(run);
        }
        answer.map_err(|error| error["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(send("r1", &[image]).unwrap()["status"], "started");
    let quarter = all / 4;
    for (images, want) in [
        (vec![1, image + 1], "attachments[1]: 6291457 bytes, and an image may have 6291456"),
        (vec![image + 2], "attachments[0]: 6291458 bytes"),
        (vec![quarter, quarter, quarter, quarter + 1], "attachments: more than 19464192 bytes"),
    ] {
        let error = send("r2", &images).unwrap_err();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn history_comes_in_pages_from_the_end() {
    let home = Home::new();
    home.configure(&config(&[], "primary: 'local/echo'", ""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let empty = socket.call("chat.history", &json!({"sessionKey": "none"})).unwrap();
    assert_eq!((&empty["messages"], &empty["totalMessages"]), (&json!([]), &json!(0)), "{empty}");
    assert!(empty.get("sessionId").is_none(), "{empty}");
    for n in 0..5 {
        let run = format!("r{n}");
        socket.call("chat.send", &chat("main", &format!("message {n}"), &run)).unwrap();
        socket.chat_end(&run);
    }
    for method in ["chat.history", "chat.startup"] {
        let mut page = |limit: u64, offset: u64| {
            let params = json!({"sessionKey": "main", "limit": limit, "offset": offset});
            socket.call(method, &params).unwrap()
        };
        let seqs = |page: &Value| -> Vec<u64> {
            let messages = page["messages"].as_array().unwrap();
            messages.iter().map(|m| m["__openclaw"]["seq"].as_u64().unwrap()).collect()
        };
        let last = page(3, 0);
        assert_eq!(seqs(&last), [8, 9, 10]);
        assert_eq!((&last["hasMore"], &last["totalMessages"]), (&json!(true), &json!(10)));
        assert_eq!(seqs(&page(3, 3)), [5, 6, 7]);
        let first = page(3, 9);
        assert_eq!((seqs(&first), &first["hasMore"]), (vec![1], &json!(false)));
        let all = page(1000, 0);
        assert_eq!((seqs(&all).len(), &all["hasMore"]), (10, &json!(false)));
        assert_eq!(seqs(&page(5, 100)), [0u64; 0]);
        let user = &all["messages"][0];
        assert_eq!((&user["content"], &user["role"]), (&json!("message 0"), &json!("user")));
        assert_eq!(user["idempotencyKey"], "r0:user");
        assert_eq!(all["messages"][1]["stopReason"], "stop");
    }
    let short = json!({"sessionKey": "main", "maxChars": 3, "limit": 2});
    let short = socket.call("chat.history", &short).unwrap();
    assert_eq!(short["messages"][0]["content"], "mes…", "{short}");
}
