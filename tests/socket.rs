//! A connected client: frames, scopes, events, subscriptions, configuration and logs.

mod common;

use common::provider::{Provider, config};
use common::socket::{Socket, params};
use common::{Gateway, Home};
use openclaw_gateway::wire::ws::Message;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;

fn start(home: &Home) -> Gateway {
    home.configure(&config(&[], "primary: 'local/echo'", ""));
    home.start("")
}

fn scoped(scopes: &[&str]) -> Value {
    let mut params = params();
    params["scopes"] = json!(scopes);
    params
}

#[test]
fn frames_that_are_no_requests_do_no_harm() {
    let home = Home::new();
    let gateway = start(&home);
    let mut socket = Socket::connect(gateway.port);
    // Ignored: malformed JSON, binary, a pong nobody asked for.
    for text in ["", "{", "hello", "\u{feff}{}", "[1,", "{\"type\":\"req\""] {
        socket.text(text);
    }
    socket.piece(0x82, br#"{"type":"req","id":"b","method":"health"}"#);
    socket.piece(0x8a, b"pong");
    socket.piece(0x89, b"ping");
    assert_eq!(socket.message(), Some(Message::Pong(b"ping".to_vec())));
    // Answered with the id, or with "invalid" where there is none.
    for (text, id) in [
        (r#"{"type":"req","id":"a","method":7}"#, "a"),
        (r#"{"type":"req","id":"a"}"#, "a"),
        (r#"{"type":"req","id":"a","method":"health","extra":1}"#, "a"),
        (r#"{"type":"req","id":"a","method":"health","params":[]}"#, "a"),
        (r#"{"type":"event","event":"x"}"#, "invalid"),
        (r#"{"type":"req","id":"","method":"health"}"#, "invalid"),
        (r#"{"type":"req","id":7,"method":"health"}"#, "invalid"),
        ("7", "invalid"),
        ("null", "invalid"),
        ("[]", "invalid"),
    ] {
        socket.text(text);
        let error = socket.response(id).unwrap_err();
        assert_eq!(error["code"], "INVALID_REQUEST", "{text}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("invalid request frame"), "{text}: {error}");
    }
    // Deep nesting is refused without harm.
    socket.text(&format!(r#"{{"type":"req","id":"deep","params":{}"#, "[".repeat(100_000)));
    // Absent params are as good as empty ones; a request may come in pieces.
    let frame = br#"{"type":"req","id":"pieces","method":"health"}"#;
    let (last, rest) = frame.split_last().unwrap();
    for (n, byte) in rest.iter().enumerate() {
        socket.piece(if n == 0 { 0x01 } else { 0x00 }, &[*byte]);
    }
    socket.piece(0x80, &[*last]);
    assert_eq!(socket.response("pieces").unwrap()["ok"], true);
    let error = socket.call("connect", &params()).unwrap_err();
    assert_eq!(error["message"], "connect is only valid as the first request");
    socket.is_alive();
    // Our close is answered with one.
    socket.piece(0x88, &[0x03, 0xe8]);
    assert_eq!(socket.closed().0, Some(1000));
}

#[test]
fn protocol_faults_close_with_their_code() {
    let home = Home::new();
    let gateway = start(&home);
    type Say = fn(&mut Socket);
    let table: [(&str, Say, u16); 11] = [
        ("an unmasked frame", |s| s.raw(b"\x81\x02{}"), 1002),
        ("a reserved bit", |s| s.piece(0xc1, b"{}"), 1002),
        ("an unknown opcode", |s| s.piece(0x83, b"{}"), 1002),
        ("a control frame in pieces", |s| s.piece(0x09, b"x"), 1002),
        ("a ping of 126 bytes", |s| s.piece(0x89, &[0; 126]), 1002),
        ("a continuation of nothing", |s| s.piece(0x80, b"x"), 1002),
        (
            "a message in a message",
            |s| {
                s.piece(0x01, b"x");
                s.piece(0x81, b"x");
            },
            1002,
        ),
        ("a close of one byte", |s| s.piece(0x88, &[3]), 1002),
        ("a close with 1005", |s| s.piece(0x88, &[0x03, 0xed]), 1002),
        (
            "not UTF-8 across pieces",
            |s| {
                s.piece(0x01, b"\xe2\x82");
                s.piece(0x80, b"x");
            },
            1007,
        ),
        (
            "over 25 MiB announced",
            |s| {
                let mut header = vec![0x81, 0xff];
                header.extend(26_214_401u64.to_be_bytes());
                header.extend([1, 2, 3, 4]);
                s.raw(&header);
            },
            1009,
        ),
    ];
    for (what, say, code) in table {
        let mut socket = Socket::connect(gateway.port);
        say(&mut socket);
        assert_eq!(socket.closed().0, Some(code), "{what}");
    }
    // Sent in full, by a client that looks for an answer only afterwards: it still sees why.
    let mut socket = Socket::connect(gateway.port);
    socket.text(&"x".repeat(26_214_401));
    assert_eq!(socket.closed().0, Some(1009));
    // At the limit it is read.
    let mut socket = Socket::connect(gateway.port);
    let frame = r#"{"type":"req","id":"big","method":"health"}"#;
    socket.text(&format!("{frame}{}", " ".repeat(26_214_400 - frame.len())));
    assert_eq!(socket.response("big").unwrap()["ok"], true);
}

#[test]
fn parameters_are_checked_and_errors_name_them() {
    let home = Home::new();
    let gateway = start(&home);
    let mut socket = Socket::connect(gateway.port);
    let main = "main";
    for (method, params, want) in [
        ("no.such", json!({}), "unknown method: no.such"),
        ("HEALTH", json!({}), "unknown method: HEALTH"),
        ("sessions.unsubscribe", json!({}), "unknown method: sessions.unsubscribe"),
        ("chat.send", json!({"sessionKey": main}), "must have required property 'message'"),
        (
            "chat.send",
            json!({"sessionKey": main, "message": "x", "idempotencyKey": "k", "y": 1}),
            "at root: unexpected property 'y'",
        ),
        (
            "chat.send",
            json!({"sessionKey": 7, "message": "", "idempotencyKey": "k"}),
            "/sessionKey",
        ),
        (
            "chat.send",
            json!({"sessionKey": "a".repeat(513), "message": "x", "idempotencyKey": "k"}),
            "/sessionKey",
        ),
        (
            "chat.send",
            json!({"sessionKey": main, "message": " ", "idempotencyKey": "k"}),
            "message or attachment required",
        ),
        (
            "chat.send",
            json!({"sessionKey": "agent:nope:main", "message": "x", "idempotencyKey": "k"}),
            "Agent \"nope\" no longer exists in configuration",
        ),
        (
            "chat.send",
            json!({"sessionKey": main, "message": "x", "idempotencyKey": "k",
                "expectedSessionRoutingContract": "c"}),
            "at root: unexpected property 'expectedSessionRoutingContract'",
        ),
        (
            "chat.send",
            json!({"sessionKey": main, "message": "x", "idempotencyKey": "k", "deliver": true}),
            "deliver: delivery channel is required: nobody has written to this session",
        ),
        (
            "agent",
            json!({"message": "x", "idempotencyKey": "k", "deliver": true}),
            "pass --reply-channel and --reply-to",
        ),
        (
            "agent",
            json!({"message": "x", "idempotencyKey": "k", "deliver": true, "channel": "last",
                "replyChannel": "telegram"}),
            "Telegram is not configured: openclaw channels add --channel telegram",
        ),
        ("chat.history", json!({"sessionKey": main, "limit": 0}), "/limit"),
        ("chat.history", json!({"sessionKey": main, "limit": 1001}), "/limit"),
        ("logs.tail", json!({"limit": 5001}), "/limit"),
        ("logs.tail", json!({"maxBytes": 1_000_001}), "/maxBytes"),
        ("logs.tail", json!({"cursor": -1}), "/cursor"),
        ("agent", json!({"message": "x"}), "must have required property 'idempotencyKey'"),
        ("agent", json!({"message": " ", "idempotencyKey": "k"}), "message required"),
    ] {
        let error = socket.call(method, &params).unwrap_err();
        assert_eq!(error["code"], "INVALID_REQUEST", "{method} {params}: {error}");
        assert!(error["message"].as_str().unwrap().contains(want), "{method} {params}: {error}");
    }
    // Odd parameters of these are let pass.
    for method in ["health", "status", "config.get"] {
        assert!(socket.call(method, &json!({"probe": true, "x": [1]})).is_ok(), "{method}");
    }
    // Keys that are no file names stay keys.
    for key in ["../../etc/passwd", "agent:main:../../x", "a/b", "..", "\u{202e}x", "é:ü"] {
        let params = json!({"sessionKey": key, "message": "x", "idempotencyKey": key});
        if socket.call("chat.send", &params).is_ok() {
            socket.chat_end(key);
        }
    }
    assert!(!home.0.join("etc").exists() && !home.0.join("x").exists());
    for entry in walk(&home.0) {
        assert!(entry.starts_with(home.state()), "{entry:?} outside of the state directory");
    }
    for key in ["a\0b", "a\nb", "\u{1b}[31m"] {
        let params = json!({"sessionKey": key, "message": "x", "idempotencyKey": "c"});
        assert!(socket.call("chat.send", &params).is_err(), "{key:?}");
    }
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn scopes_hold_at_every_operation() {
    let home = Home::new();
    let gateway = start(&home);
    let reads =
        ["status", "config.get", "models.list", "agents.list", "sessions.list", "logs.tail"];
    let send = json!({"sessionKey": "main", "message": "x", "idempotencyKey": "k"});
    let writes = [
        ("chat.send", send),
        ("chat.abort", json!({"sessionKey": "main"})),
        ("sessions.abort", json!({"key": "main"})),
        ("agent", json!({"message": "x", "idempotencyKey": "k2"})),
        ("agent.wait", json!({"runId": "k", "timeoutMs": 1})),
    ];
    let missing = |socket: &mut Socket, method: &str, params: &Value, scope: &str| {
        let error = socket.call(method, params).unwrap_err();
        assert_eq!(error["code"], "FORBIDDEN", "{method}: {error}");
        assert_eq!(error["message"], format!("missing scope: {scope}"), "{method}");
        assert_eq!(error["details"]["code"], "MISSING_SCOPE", "{error}");
        assert_eq!(error["details"]["missingScope"], scope, "{error}");
        assert_eq!(error["details"]["requiredScopes"], json!([scope]), "{error}");
    };
    let mut none = Socket::with(gateway.port, &scoped(&[]));
    let mut read = Socket::with(gateway.port, &scoped(&["operator.read"]));
    let mut write = Socket::with(gateway.port, &scoped(&["operator.write"]));
    let mut pairing = Socket::with(gateway.port, &scoped(&["operator.pairing"]));
    for method in reads {
        missing(&mut none, method, &json!({}), "operator.read");
        missing(&mut pairing, method, &json!({}), "operator.read");
        assert!(read.call(method, &json!({})).is_ok(), "{method}");
        assert!(write.call(method, &json!({})).is_ok(), "{method}");
    }
    for (method, params) in &writes {
        missing(&mut none, method, params, "operator.write");
        missing(&mut read, method, params, "operator.write");
    }
    for socket in [&mut none, &mut read, &mut pairing] {
        socket.is_alive();
    }
    for (method, params) in &writes {
        assert!(write.call(method, params).is_ok(), "{method}");
    }
    // What was refused was not done, and what the writer did only readers heard.
    write.chat_end("k");
    read.chat_end("k");
    let history = read.call("chat.history", &json!({"sessionKey": "main"})).unwrap();
    let messages = history["messages"].as_array().unwrap();
    let said = messages.iter().filter(|message| message["idempotencyKey"] == "k:user");
    assert_eq!(said.count(), 1, "{history}");
    none.is_alive();
    assert!(none.events.iter().all(|event| event["event"] == "presence"), "{:?}", none.events);
}

#[test]
fn the_generations_have_their_own_shapes() {
    let home = Home::new();
    let gateway = start(&home);
    let old = |max: u32| {
        let mut params = params();
        params["minProtocol"] = json!(3);
        params["maxProtocol"] = json!(max);
        params
    };
    let mut three = Socket::with(gateway.port, &old(3));
    let mut four = Socket::with(gateway.port, &old(4));
    let send = json!({"sessionKey": "main", "message": "hi", "idempotencyKey": "r"});
    for socket in [&mut three, &mut four] {
        socket.call("sessions.subscribe", &json!({})).unwrap();
    }
    three.call("chat.send", &send).unwrap();
    let heard = |socket: &mut Socket| {
        let mut chats = Vec::new();
        let mut numbers = Vec::new();
        loop {
            let frame = socket.event(|_| true);
            if frame["event"] == "session.message" {
                numbers.push(frame["payload"]["messageSeq"].as_u64().unwrap());
            }
            if frame["event"] == "chat" {
                chats.push(frame["payload"].clone());
                if frame["payload"]["state"] == "final" {
                    return (chats, numbers);
                }
            }
        }
    };
    let (chats, numbers) = heard(&mut three);
    assert_eq!(numbers, [0, 1]);
    for chat in &chats {
        assert!(chat.get("deltaText").is_none() && chat.get("agentId").is_none(), "{chat}");
        assert_ne!(chat["state"], "status");
        assert!(chat["message"]["content"][0]["text"].is_string(), "{chat}");
    }
    let (chats, numbers) = heard(&mut four);
    assert_eq!(numbers, [1, 2]);
    assert!(chats.iter().all(|chat| chat["agentId"] == "main"));
    let mut text = String::new();
    for chat in chats.iter().filter(|chat| chat["state"] == "delta") {
        text.push_str(chat["deltaText"].as_str().unwrap());
        assert_eq!(chat["message"]["content"][0]["text"], text);
    }
    assert_eq!(chats.last().unwrap()["message"]["content"][0]["text"], text);
    assert_eq!(three.call("sessions.unsubscribe", &json!({})).unwrap()["subscribed"], false);
    let unknown = three.call("chat.startup", &json!({"sessionKey": "main"})).unwrap_err();
    assert_eq!(unknown["message"], "unknown method: chat.startup");
    assert!(four.call("chat.startup", &json!({"sessionKey": "main"})).is_ok());
}

fn keys(value: &Value) -> String {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys.join(" ")
}

#[test]
fn protocol_three_gets_what_its_traces_have() {
    let home = Home::new();
    let gateway = start(&home);
    let mut old = params();
    old["maxProtocol"] = json!(3);
    let mut three = Socket::with(gateway.port, &old);
    let mut four = Socket::connect(gateway.port);
    assert_eq!(
        keys(&three.hello["snapshot"]["sessionDefaults"]),
        "defaultAgentId mainKey mainSessionKey scope"
    );
    assert_eq!(
        keys(&four.hello["snapshot"]["sessionDefaults"]),
        "defaultAgentId mainKey mainSessionKey modelConfigured ownership scope selectionRequired"
    );
    let send = json!({"sessionKey": "main", "message": "hi", "idempotencyKey": "r"});
    three.call("chat.send", &send).unwrap();
    let heard = |socket: &mut Socket| {
        let mut heard = Vec::new();
        loop {
            let frame = socket.event(|frame| frame["event"] == "agent" || frame["event"] == "chat");
            heard.push(frame["payload"].clone());
            if frame["payload"]["state"] == "final" {
                return heard;
            }
        }
    };
    let told: Vec<(String, String, u64)> = heard(&mut three)
        .iter()
        .map(|payload| {
            let data = payload.get("data").map(keys).unwrap_or_default();
            (keys(payload), data, payload["seq"].as_u64().unwrap())
        })
        .collect();
    let agent = "data runId seq sessionKey stream ts";
    let chat = "message runId seq sessionKey state";
    let want = [
        (agent, "phase startedAt", 1),
        (agent, "delta text", 2),
        (chat, "", 2),
        (agent, "endedAt livenessState phase", 3),
        (chat, "", 3),
    ];
    let want = want.map(|(keys, data, seq)| (keys.to_owned(), data.to_owned(), seq));
    assert_eq!(told, want);
    for payload in heard(&mut four).iter().filter(|payload| payload.get("stream").is_some()) {
        assert_eq!(payload["agentId"], "main", "{payload}");
        assert_eq!(payload["isHeartbeat"], false, "{payload}");
    }
}

#[test]
fn subscriptions_decide_who_hears_of_sessions() {
    let home = Home::new();
    let gateway = start(&home);
    let mut sender = Socket::connect(gateway.port);
    let mut all = Socket::connect(gateway.port);
    let mut one = Socket::connect(gateway.port);
    let with_list = all.call("sessions.subscribe", &json!({"limit": 5})).unwrap();
    assert_eq!(with_list["subscribed"], true);
    assert!(with_list["list"]["sessions"].is_array(), "{with_list}");
    let followed = one.call("sessions.messages.subscribe", &json!({"key": "main"})).unwrap();
    assert_eq!(followed, json!({"subscribed": true, "key": "agent:main:main"}));
    for (run, key) in [("r1", "main"), ("r2", "agent:main:other")] {
        let params = json!({"sessionKey": key, "message": run, "idempotencyKey": run});
        sender.call("chat.send", &params).unwrap();
        sender.chat_end(run);
    }
    let heard = |socket: &mut Socket, event: &str| -> Vec<String> {
        socket.is_alive();
        let of = socket.events.iter().filter(|frame| frame["event"] == event);
        let mut keys: Vec<String> =
            of.map(|frame| frame["payload"]["sessionKey"].as_str().unwrap().to_owned()).collect();
        keys.dedup();
        keys
    };
    assert!(heard(&mut sender, "session.message").is_empty());
    assert_eq!(heard(&mut one, "session.message"), ["agent:main:main"]);
    assert!(heard(&mut one, "sessions.changed").is_empty());
    assert_eq!(heard(&mut all, "session.message"), ["agent:main:main", "agent:main:other"]);
    assert_eq!(heard(&mut all, "sessions.changed"), ["agent:main:main", "agent:main:other"]);
    one.call("sessions.messages.unsubscribe", &json!({"key": "main"})).unwrap();
    one.events.clear();
    let params = json!({"sessionKey": "main", "message": "r3", "idempotencyKey": "r3"});
    sender.call("chat.send", &params).unwrap();
    sender.chat_end("r3");
    assert!(heard(&mut one, "session.message").is_empty());

    let list = sender.call("sessions.list", &json!({"limit": 1})).unwrap();
    assert_eq!((&list["count"], &list["totalCount"]), (&json!(1), &json!(2)), "{list}");
    assert_eq!((&list["hasMore"], &list["nextOffset"]), (&json!(true), &json!(1)), "{list}");
    let row = &list["sessions"][0];
    assert_eq!((&row["key"], &row["status"]), (&json!("agent:main:main"), &json!("done")), "{row}");
    assert_eq!(row["hasActiveRun"], false, "{row}");
    let rest = sender.call("sessions.list", &json!({"limit": 1, "offset": 1})).unwrap();
    assert_eq!(rest["sessions"][0]["key"], "agent:main:other", "{rest}");
    assert_eq!(rest["nextOffset"], Value::Null, "{rest}");
    for index in 0..256 {
        let key = json!({"key": format!("agent:main:s{index}")});
        assert!(sender.call("sessions.messages.subscribe", &key).is_ok());
    }
    let over = sender.call("sessions.messages.subscribe", &json!({"key": "one-more"}));
    assert!(over.unwrap_err()["message"].as_str().unwrap().contains("256"));
}

#[test]
fn a_silent_handshake_ends_in_time() {
    let home = Home::new();
    home.configure("{gateway: {mode: 'local', handshakeTimeoutMs: 200, auth: {token: 'x-y-z'}}}");
    let gateway = home.start("");
    let mut silent = Socket::open(gateway.port);
    let mut chatty = Socket::open(gateway.port);
    // Pings do not put the deadline off.
    chatty.piece(0x89, b"");
    assert_eq!(silent.closed(), (Some(1000), String::new()));
    assert_eq!(chatty.closed(), (Some(1000), String::new()));
}

#[test]
fn no_planted_secret_leaves_by_any_operation() {
    let home = Home::new();
    let provider = Provider::start(|_, reply| {
        reply.refuse("401 Unauthorized", "", "who are you");
    });
    home.configure(&format!(
        r#"{{
  // token: 'canary-comment', was: canary-token
  // apiKey = canary-comment-2
  gateway: {{mode: 'local',
    auth: {{mode: 'token', token: 'canary-token', password: "canary-password"}},
    remote: {{url: 'ws://h:1', token: 'canary-remote-token', password: 'canary-remote-pw'}}}},
  /* password: "canary-block" */
  models: {{providers: {{mock: {{
    baseUrl: 'http://127.0.0.1:{}/v1', api: 'openai-completions',
    apiKey: '${{MY_KEY}}', headers: {{'X-Extra': 'canary-header', 'X-Env': '${{MY_HEADER}}'}},
    models: [{{id: 'm1', name: 'M'}}]}}}}}},
  agents: {{defaults: {{model: {{primary: 'mock/m1'}}}}}},
}}"#,
        provider.port
    ));
    let mut command = home.command("gateway --port 0 --verbose");
    command.env("MY_KEY", "canary-env-key").env("MY_HEADER", "canary-env-header");
    let gateway = Gateway::start(&mut command);
    let mut all = params();
    all["auth"]["token"] = json!("canary-token");
    let mut socket = Socket::with(gateway.port, &all);
    let run = json!({"sessionKey": "main", "message": "x", "idempotencyKey": "r"});
    socket.call("chat.send", &run).unwrap();
    let end = socket.chat_end("r");
    assert_eq!(end["state"], "error", "{end}");
    let asked = provider.asked();
    for header in ["Bearer canary-env-key", "canary-header", "canary-env-header"] {
        assert!(asked.head.contains(header), "{}", asked.head);
    }
    let mut said = vec![end.to_string(), socket.hello.to_string()];
    for method in [
        "config.get",
        "status",
        "health",
        "models.list",
        "agents.list",
        "channels.status",
        "logs.tail",
        "sessions.list",
        "system-presence",
    ] {
        said.push(socket.call(method, &json!({})).unwrap().to_string());
    }
    said.push(socket.call("chat.history", &json!({"sessionKey": "main"})).unwrap().to_string());
    said.extend(socket.events.iter().map(Value::to_string));
    said.push(std::fs::read_to_string(home.state().join("logs/openclaw.log")).unwrap());
    for text in &said {
        assert!(!text.contains("canary-"), "{text}");
    }
    let config = &said[2];
    assert!(config.contains("__OPENCLAW_REDACTED__"), "{config}");
    // The configuration and its copy are where the secrets were planted, for the owner's eyes.
    let planted = home.state().join("openclaw.json");
    let copy = home.state().join("openclaw.json.last-good");
    assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(&planted).unwrap());
    let mode = std::fs::metadata(&copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    for file in walk(&home.state()) {
        if file != planted && file != copy {
            let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
            assert!(!text.contains("canary-"), "{file:?}");
        }
    }
}

#[test]
fn the_log_is_followed_by_cursor() {
    let home = Home::new();
    let gateway = start(&home);
    for _ in 0..3 {
        // Each leaves a line.
        let mut refused = Socket::open(gateway.port);
        refused.call("health", &json!({})).unwrap_err();
    }
    let mut socket = Socket::connect(gateway.port);
    let mut tail = |params: Value| socket.call("logs.tail", &params).unwrap();
    let first = tail(json!({}));
    let lines = first["lines"].as_array().unwrap();
    assert!(!lines.is_empty());
    for line in lines {
        let line: Value = serde_json::from_str(line.as_str().unwrap()).expect("a JSON line");
        assert!(line["_meta"]["logLevelName"].is_string() && line["time"].is_string(), "{line}");
    }
    assert_eq!(first["cursor"], first["size"], "{first}");
    assert_eq!(first["reset"], false);
    let path = home.state().join("logs/openclaw.log");
    assert_eq!(first["file"], path.to_str().unwrap());
    let size = first["size"].as_u64().unwrap();
    let none = tail(json!({"cursor": size}));
    assert_eq!(none["lines"], json!([]), "{none}");
    assert_eq!(none["cursor"], size);
    let all = tail(json!({"cursor": 0}));
    assert_eq!(all["lines"], first["lines"]);
    let last = tail(json!({"limit": 1}));
    assert_eq!(last["lines"].as_array().unwrap().as_slice(), &lines[lines.len() - 1..]);
    assert_eq!(last["truncated"], true);
    // A cut in the middle of a line begins with the next whole one.
    let length = lines.last().unwrap().as_str().unwrap().len();
    let cut = tail(json!({"maxBytes": length + 10}));
    assert_eq!(cut["lines"].as_array().unwrap().as_slice(), &lines[lines.len() - 1..], "{cut}");
    assert_eq!(cut["truncated"], true);
    let beyond = tail(json!({"cursor": size + 1_000_000}));
    assert_eq!(beyond["reset"], true, "{beyond}");
    assert_eq!(beyond["lines"], first["lines"]);
}
