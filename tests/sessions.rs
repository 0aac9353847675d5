//! `sessions.*`, `chat.inject` and its likes, slash commands: over the socket, against the real
//! binary.
#![cfg(feature = "process")]

mod common;

use common::provider::Provider;
use common::socket::Socket;
use common::{Gateway, Home};
use serde_json::{Value, json};

/// A gateway whose model repeats what it is told.
fn echoing() -> (Home, Provider, Gateway) {
    let home = Home::new();
    let provider = Provider::echo();
    home.configure(&provider.config(""));
    let gateway = home.start("");
    (home, provider, gateway)
}

/// Sends a message and waits for the end of its run.
fn chat(socket: &mut Socket, key: &str, message: &str, run: &str) -> Value {
    let send = json!({"sessionKey": key, "message": message, "idempotencyKey": run});
    assert_eq!(socket.call("chat.send", &send).unwrap()["status"], "started");
    socket.chat_end(run)
}

/// What a final says.
fn said(payload: &Value) -> &str {
    payload["message"]["content"][0]["text"].as_str().unwrap_or_default()
}

fn history(socket: &mut Socket, key: &str) -> Vec<Value> {
    let page = socket.call("chat.history", &json!({"sessionKey": key})).unwrap();
    page["messages"].as_array().unwrap().clone()
}

fn refused(socket: &mut Socket, method: &str, params: &Value) -> String {
    let error = socket.call(method, params).unwrap_err();
    assert_eq!(error["code"], "INVALID_REQUEST", "{error}");
    error["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_session_is_made_changed_emptied_and_deleted() {
    let (home, _provider, gateway) = echoing();
    let mut socket = Socket::connect(gateway.port);
    let mut other = Socket::connect(gateway.port);
    other.call("sessions.subscribe", &json!({})).unwrap();
    let key = "agent:main:one";
    let made = socket.call("sessions.create", &json!({"key": key, "label": "One"})).unwrap();
    assert_eq!((&made["key"], &made["runStarted"]), (&json!(key), &json!(false)));
    assert_eq!(made["entry"]["label"], "One");
    assert_eq!(made["resolved"], json!({"modelProvider": "mock", "model": "m1"}));
    let changed = |wanted: &'static str| {
        move |frame: &Value| {
            frame["event"] == "sessions.changed"
                && frame["payload"]["reason"] == wanted
                && frame["payload"]["sessionKey"] == "agent:main:one"
        }
    };
    let event = other.event(changed("create"));
    assert_eq!(event["payload"]["session"]["label"], "One");
    assert_eq!(event["payload"]["label"], "One", "older clients read it there");
    let again = refused(&mut socket, "sessions.create", &json!({"key": "two", "label": "One"}));
    assert!(again.starts_with("label already in use: One"), "{again}");
    let unnamed = socket.call("sessions.create", &json!({})).unwrap();
    assert!(unnamed["key"].as_str().unwrap().starts_with("agent:main:dashboard:"));

    let patch = json!({"key": key, "label": "Other", "pinned": true, "verboseLevel": "full",
        "sendPolicy": "deny", "unread": true});
    let patched = socket.call("sessions.patch", &patch).unwrap();
    assert_eq!(patched["entry"]["label"], "Other");
    let row = &other.event(changed("patch"))["payload"]["session"];
    assert_eq!((&row["pinned"], &row["unread"]), (&json!(true), &json!(true)));
    let cases = [
        (json!({"model": "nope/x"}), "Unknown provider \"nope\". Use /models to list providers."),
        (
            json!({"thinkingLevel": "low"}),
            "thinkingLevel \"low\" is not supported for mock/m1 (use off)",
        ),
        (json!({"execAsk": "maybe"}), "invalid execAsk (use off|on-miss|always)"),
        (
            json!({"label": "Fine", "verboseLevel": "loud"}),
            "invalid verboseLevel (use off|on|full)",
        ),
        (json!({"expectedSessionId": "x"}), "session agent:main:one is not \"x\" any more"),
    ];
    for (mut params, want) in cases {
        params["key"] = json!(key);
        assert_eq!(refused(&mut socket, "sessions.patch", &params), want);
    }
    let row = socket.call("sessions.describe", &json!({"key": key})).unwrap()["session"].clone();
    assert_eq!(row["label"], "Other", "nothing of a refused patch is applied");
    assert_eq!(row["verboseLevel"], "full");

    chat(&mut socket, key, "hello", "r1");
    assert_eq!(history(&mut socket, key).len(), 2);
    let reset = socket.call("sessions.reset", &json!({"key": key, "reason": "new"})).unwrap();
    assert_eq!(reset["entry"]["sessionId"], row["sessionId"]);
    assert_ne!(reset["entry"]["lifecycleRevision"], row["lifecycleRevision"]);
    other.event(changed("new"));
    assert!(history(&mut socket, key).is_empty());
    chat(&mut socket, key, "again", "r2");
    let deleted = socket.call("sessions.delete", &json!({"key": key})).unwrap();
    assert_eq!(deleted["deleted"], true);
    let archived = deleted["archived"][0].as_str().unwrap();
    assert!(archived.contains(".jsonl.deleted."), "{archived}");
    assert!(std::fs::read_to_string(archived).unwrap().contains("again"));
    other.event(changed("delete"));
    let twice = socket.call("sessions.delete", &json!({"key": key})).unwrap();
    assert_eq!(twice, json!({"ok": true, "key": key, "deleted": false, "archived": []}));
    let main = refused(&mut socket, "sessions.delete", &json!({"key": "main"}));
    assert_eq!(main, "Cannot delete the main session (agent:main:main).");
    let describe = socket.call("sessions.describe", &json!({"key": key})).unwrap();
    assert_eq!(describe, json!({"session": null}));
    drop(home);
}

#[test]
fn sessions_are_found_by_key_id_and_label() {
    let (_home, _provider, gateway) = echoing();
    let mut socket = Socket::connect(gateway.port);
    let made = socket.call("sessions.create", &json!({"key": "a", "label": "A"})).unwrap();
    let found = json!({"ok": true, "key": "agent:main:a", "agentId": "main"});
    for ask in [
        json!({"key": "a"}),
        json!({"key": "agent:main:a"}),
        json!({"label": "A"}),
        json!({"sessionId": made["sessionId"]}),
        json!({"shortId": made["sessionId"].as_str().unwrap()[..8]}),
    ] {
        assert_eq!(socket.call("sessions.resolve", &ask).unwrap(), found, "{ask}");
    }
    let cases = [
        (json!({"key": "b"}), "No session found: b"),
        (json!({"label": "B"}), "No session found with label: B"),
        (json!({"sessionId": "none"}), "No session found: none"),
        (json!({}), "Either key, sessionId, or label is required"),
        (
            json!({"key": "a", "label": "A"}),
            "Provide either key, sessionId, or label (not multiple)",
        ),
    ];
    for (ask, want) in cases {
        assert_eq!(refused(&mut socket, "sessions.resolve", &ask), want);
    }
    let missing = json!({"key": "b", "allowMissing": true});
    assert_eq!(socket.call("sessions.resolve", &missing).unwrap(), json!({"ok": false}));
    chat(&mut socket, "a", "the first words\nand more", "r1");
    let preview = json!({"keys": ["a", "none", "main"]});
    let preview = socket.call("sessions.preview", &preview).unwrap();
    assert_eq!(preview["previews"][0]["status"], "ok");
    assert_eq!(preview["previews"][0]["items"][0]["text"], "the first words\nand more");
    assert_eq!(preview["previews"][1]["status"], "missing");
    let list =
        json!({"includeDerivedTitles": true, "includeLastMessage": true, "search": "MAIN:A"});
    let list = socket.call("sessions.list", &list).unwrap();
    assert_eq!(list["sessions"][0]["derivedTitle"], "A");
    assert!(list["sessions"][0]["lastMessagePreview"].as_str().unwrap().contains("first words"));
}

#[test]
fn notes_are_injected_and_messages_fetched() {
    let (_home, _provider, gateway) = echoing();
    let mut socket = Socket::connect(gateway.port);
    let unknown = json!({"sessionKey": "n", "message": "x"});
    assert_eq!(refused(&mut socket, "chat.inject", &unknown), "session not found: agent:main:n");
    chat(&mut socket, "n", "one", "r1");
    let page = socket.call("chat.history", &json!({"sessionKey": "n"})).unwrap();
    socket.call("sessions.messages.subscribe", &json!({"key": "n"})).unwrap();
    let inject = json!({"sessionKey": "n", "message": "a note", "label": "cron"});
    let id = socket.request("chat.inject", &inject);
    let event = socket.event(|frame| frame["event"] == "chat");
    assert_eq!(said(&event["payload"]), "[cron]\n\na note");
    assert_eq!(event["payload"]["seq"], 0);
    let message = socket.event(|frame| frame["event"] == "session.message");
    let done = socket.response(&id).unwrap();
    assert_eq!(message["payload"]["messageId"], done["messageId"]);
    assert_eq!(
        event["payload"]["runId"],
        format!("inject-{}", done["messageId"].as_str().unwrap())
    );
    let get = json!({"sessionKey": "n", "messageId": done["messageId"]});
    let got = socket.call("chat.message.get", &get).unwrap();
    assert_eq!(got["message"]["__openclaw"]["seq"], 3);
    let none = json!({"sessionKey": "n", "messageId": "none"});
    let none = socket.call("chat.message.get", &none).unwrap();
    assert_eq!(none, json!({"ok": false, "unavailableReason": "not_found"}));
    // What is newer than the page that was seen; and a page when that is too old.
    let since = json!({"sessionKey": "n", "cursor": page["deltaCursor"]});
    let delta = socket.call("chat.history", &since).unwrap();
    assert_eq!((&delta["kind"], delta["messages"].as_array().unwrap().len()), (&json!("delta"), 1));
    socket.call("sessions.reset", &json!({"key": "n"})).unwrap();
    let whole = socket.call("chat.history", &since).unwrap();
    assert!(whole.get("kind").is_none() && whole["messages"] == json!([]));
    let metadata = socket.call("chat.metadata", &json!({})).unwrap();
    let list = socket.call("commands.list", &json!({"includeArgs": true})).unwrap();
    assert_eq!(metadata["commands"], list["commands"]);
}

#[test]
fn commands_are_answered_without_the_model() {
    let (_home, provider, gateway) = echoing();
    let mut socket = Socket::connect(gateway.port);
    let cases = [
        ("/status", "Model: mock/m1"),
        ("/help", "/model [model]"),
        ("/commands", "/think, /thinking, /t"),
        ("/models", "- mock/m1 (default)"),
        ("/model nope/x", "⚠️ Unknown provider \"nope\""),
        ("/model local/echo", "Model set to local/echo"),
        ("/model", "local/echo (this session)"),
        ("/model default", "back to the default, mock/m1"),
        ("/think high", "⚠️ thinkingLevel \"high\" is not supported"),
        ("/think", "Options for mock/m1: off"),
        ("/verbose on", "Verbose set to on"),
        ("/queue collect", "Queue mode set to collect"),
        ("/queue often", "⚠️ Unknown value"),
        ("/reasoning", "Reasoning: default"),
        ("/name My talk", "\"My talk\""),
        ("/whoami", "operator.admin"),
        ("/context", "messages"),
    ];
    for (n, (command, want)) in cases.iter().enumerate() {
        let end = chat(&mut socket, "c", command, &format!("c{n}"));
        assert!(end["state"] == "final" && said(&end).contains(want), "{command}: {end}");
    }
    assert!(provider.rest().is_empty(), "no model was asked");
    assert_eq!(history(&mut socket, "c").len(), 2 * cases.len(), "they stand in the history");
    // Sent again, it is not obeyed again; another text under its id is refused.
    let again = json!({"sessionKey": "c", "message": "/name My talk", "idempotencyKey": "c14"});
    assert_eq!(socket.call("chat.send", &again).unwrap()["status"], "ok");
    let other = json!({"sessionKey": "c", "message": "/name Other", "idempotencyKey": "c14"});
    assert!(refused(&mut socket, "chat.send", &other).contains("already used"));
    // In other words, suppressed or unknown it is text; the commands are not shown to the model.
    chat(&mut socket, "c", "what does /status do", "t1");
    let asked = provider.asked();
    assert!(asked.said().contains("what does /status do"));
    assert!(!asked.body.to_string().contains("My talk"), "{}", asked.body);
    let plain = json!({"sessionKey": "c", "message": "/help", "idempotencyKey": "t2",
        "suppressCommandInterpretation": true});
    socket.call("chat.send", &plain).unwrap();
    assert!(said(&socket.chat_end("t2")).contains("/help"));
    assert!(said(&chat(&mut socket, "c", "/unheard of", "t3")).contains("/unheard of"));
}

#[test]
fn new_and_reset_begin_anew_and_may_carry_a_message() {
    let (_home, provider, gateway) = echoing();
    let mut socket = Socket::connect(gateway.port);
    chat(&mut socket, "n", "remember this", "r1");
    assert!(said(&chat(&mut socket, "n", "/new", "r2")).contains("New session started"));
    assert!(history(&mut socket, "n").is_empty());
    chat(&mut socket, "n", "second", "r3");
    provider.rest();
    let end = chat(&mut socket, "n", "/reset what now", "r4");
    assert!(said(&end).contains("what now"));
    let asked = provider.asked();
    assert!(!asked.body.to_string().contains("second"));
    assert_eq!(history(&mut socket, "n").len(), 2);
    let end = chat(&mut socket, "n", "/new local/echo hello there", "r5");
    assert!(said(&end).contains("hello there") && said(&end).contains("local/echo"));
    // Through `agent` there are two responses.
    let id = socket.request(
        "agent",
        &json!({"message": "/status", "sessionKey": "n", "idempotencyKey": "a1"}),
    );
    assert_eq!(socket.response(&id).unwrap()["status"], "accepted");
    let second = socket.response(&id).unwrap();
    assert_eq!(second["status"], "ok");
    let text = second["result"]["payloads"][0]["text"].as_str().unwrap();
    assert!(text.contains("agent:main:n"), "{text}");
}

#[test]
fn tokens_and_cost_are_counted_by_message_session_and_day() {
    let home = Home::new();
    let provider = Provider::echo();
    let priced = "id: 'm1', cost: {input: 1000, output: 2000, cacheRead: 0, cacheWrite: 0}";
    home.configure(&provider.config("").replace("id: 'm1'", priced));
    let mut gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    for n in 0..3 {
        chat(&mut socket, "u", "count this", &format!("u{n}"));
    }
    chat(&mut socket, "v", "and this", "v0");
    // 11 tokens in and 7 out an answer.
    let near = |value: &Value, want: f64| (value.as_f64().unwrap() - want).abs() < 1e-9;
    let last = history(&mut socket, "u").pop().unwrap();
    assert!(near(&last["usage"]["cost"]["total"], 0.025), "{last}");
    let row = socket.call("sessions.describe", &json!({"key": "u"})).unwrap();
    assert!(near(&row["session"]["estimatedCostUsd"], 0.075), "{row}");
    let check = |socket: &mut Socket| {
        let cost = socket.call("usage.cost", &json!({"days": 7})).unwrap();
        assert_eq!((cost["days"].as_u64(), cost["daily"].as_array().unwrap().len()), (Some(7), 7));
        assert_eq!(cost["totals"]["input"], 44);
        assert!(near(&cost["totals"]["totalCost"], 0.1), "{cost}");
        assert_eq!(cost["daily"][6]["output"], 28);
        let usage = socket.call("sessions.usage", &json!({"key": "u"})).unwrap();
        assert_eq!(usage["sessions"].as_array().unwrap().len(), 1);
        assert_eq!(usage["sessions"][0]["usage"]["messageCounts"]["user"], 3);
        assert_eq!(usage["aggregates"]["byModel"][0]["count"], 3);
    };
    check(&mut socket);
    let series = socket.call("sessions.usage.timeseries", &json!({"key": "u"})).unwrap();
    assert_eq!(series["points"][2]["cumulativeTokens"], 54);
    let logs = socket.call("sessions.usage.logs", &json!({"key": "u", "limit": 2})).unwrap();
    assert_eq!(
        (&logs["logs"][0]["role"], &logs["logs"][1]["tokens"]),
        (&json!("user"), &json!(18))
    );
    let odd = json!({"startDate": "2026-02-30"});
    assert!(refused(&mut socket, "usage.cost", &odd).contains("is no date"));
    let odd = json!({"startDate": "2026-02-02", "endDate": "2026-02-01"});
    assert!(refused(&mut socket, "sessions.usage", &odd).contains("after endDate"));
    let end = chat(&mut socket, "u", "/usage", "u9");
    assert!(said(&end).contains("This session: $0.0750"), "{end}");
    assert!(socket.call("usage.status", &json!({})).unwrap()["providers"].is_array());
    gateway.signal(rustix::process::Signal::TERM);
    gateway.wait();
    let gateway = home.start("");
    check(&mut Socket::connect(gateway.port));
}

#[test]
fn the_command_line_lists_archives_and_deletes() {
    let (home, _provider, gateway) = echoing();
    let mut socket = Socket::connect(gateway.port);
    for key in ["one", "two", "three"] {
        chat(&mut socket, key, &format!("said in {key}"), key);
    }
    let ran = home.ask(gateway.port, "sessions --limit 2");
    assert!(ran.out.contains("agent:main:three") && ran.out.contains("2 of 3; all:"), "{ran:?}");
    let ran = home.ask(gateway.port, "sessions list --active 5 --limit all --json");
    let list: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&list["count"], &list["totalCount"], &list["hasMore"]),
        (&json!(3), &json!(3), &json!(false))
    );
    let ran = home.ask(gateway.port, "sessions archive agent:main:one");
    assert_eq!((ran.code, ran.out.trim()), (0, "archived agent:main:one"), "{ran:?}");
    let ran = home.ask(gateway.port, "sessions delete agent:main:two");
    assert_eq!((ran.code, ran.out.trim()), (0, "deleted agent:main:two"), "{ran:?}");
    let ran = home.ask(gateway.port, "sessions archive agent:main:none");
    assert!(ran.code == 1 && ran.err.contains("No session found"), "{ran:?}");
    let ran = home.ask(gateway.port, "sessions");
    assert_eq!(ran.out.lines().count(), 1, "{ran:?}");
    let ran = home.ask(gateway.port, "sessions --limit few");
    assert!(ran.code == 1 && ran.err.contains("write a number, or all"), "{ran:?}");
}

#[test]
fn ten_thousand_sessions_do_not_hold_the_gateway_up() {
    let (home, _provider, mut gateway) = echoing();
    gateway.signal(rustix::process::Signal::TERM);
    gateway.wait();
    let dir = home.state().join("agents/main/sessions");
    std::fs::create_dir_all(&dir).unwrap();
    let mut index = serde_json::Map::new();
    for n in 0..10_000_u64 {
        let entry = json!({"sessionId": format!("id-{n}"), "updatedAt": 1_700_000_000_000 + n,
            "label": format!("Label {n}"), "unknownField": {"kept": true}});
        index.insert(format!("agent:main:s{n}"), entry);
    }
    std::fs::write(dir.join("sessions.json"), Value::Object(index).to_string()).unwrap();
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let began = std::time::Instant::now();
    let mut seen = std::collections::BTreeSet::new();
    let mut offset = json!(0);
    while !offset.is_null() {
        let page = json!({"limit": 500, "offset": offset, "includeLastMessage": true});
        let page = socket.call("sessions.list", &page).unwrap();
        assert_eq!(page["totalCount"], 10_000);
        for row in page["sessions"].as_array().unwrap() {
            assert!(seen.insert(row["key"].as_str().unwrap().to_owned()), "once: {row}");
        }
        offset = page["nextOffset"].clone();
    }
    assert_eq!(seen.len(), 10_000);
    let most = socket.call("sessions.list", &json!({"limit": 10_000})).unwrap();
    assert_eq!((&most["count"], &most["limitApplied"]), (&json!(1_000), &json!(1_000)));
    let found = socket.call("sessions.list", &json!({"search": "label 777"})).unwrap();
    assert_eq!(found["totalCount"], 11);
    // Twenty-two lists of an unoptimised build: far from a second each.
    assert!(began.elapsed() < common::PATIENCE / 2, "{:?}", began.elapsed());
    chat(&mut socket, "agent:main:s5", "hello", "r");
    let first = socket.call("sessions.list", &json!({"limit": 1})).unwrap();
    assert_eq!(first["sessions"][0]["key"], "agent:main:s5");
}
