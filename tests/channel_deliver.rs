//! What leaves by a channel without being a reply: answers of `openclaw agent --deliver`, of
//! hooks and jobs; what cannot be addressed is told before anything runs.

mod common;

use common::http::{Response, ask};
use common::irc::{Server, irc};
use common::provider::Provider;
use common::service::Telegram;
use common::socket::Socket;
use common::{Gateway, Home};
use serde_json::{Value, json};

const HOOK: &str = "h00k-of-the-tests";

fn config(provider: &Provider, channels: &str, more: &str) -> String {
    provider.config(&format!("channels: {{{channels}}}, {more}"))
}

fn start(home: &Home, provider: &Provider, server: &Server, more: &str) -> Gateway {
    let own = irc(server.port, "channels: ['#a'], allowFrom: ['al!u@host']");
    home.configure(&config(provider, &format!("irc: {{{own}}}"), more));
    home.start("")
}

fn hook(port: u16, path: &str, body: &Value) -> Response {
    let body = body.to_string();
    ask(
        port,
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {HOOK}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
}

#[test]
fn an_agents_answer_goes_where_the_command_says() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    let gateway = start(&home, &provider, &server, "");
    let mut peer = server.accept();
    let line = "agent -m one --deliver --reply-channel irc --reply-to #room --json";
    let asked = std::thread::scope(|scope| {
        let asks = scope.spawn(|| home.ask(gateway.port, line));
        assert_eq!(peer.hears("PRIVMSG"), "PRIVMSG #room :echo: one");
        peer.answers_a_ping();
        asks.join().expect("it ran")
    });
    assert_eq!(asked.code, 0, "{asked:?}");
    let said: Value = serde_json::from_str(&asked.out).expect("JSON");
    let status = json!({"requested": true, "attempted": true, "status": "sent",
        "succeeded": true, "resultCount": 1});
    assert_eq!((&said["deliveryStatus"], &said["result"]["deliveryStatus"]), (&status, &status));
    // Its session is that of the room it is for.
    let line = "agent -m two --deliver --channel irc --to #room";
    let asked = std::thread::scope(|scope| {
        let asks = scope.spawn(|| home.ask(gateway.port, line));
        assert_eq!(peer.hears("PRIVMSG"), "PRIVMSG #room :echo: two");
        peer.answers_a_ping();
        asks.join().expect("it ran")
    });
    assert_eq!((asked.code, asked.out.trim()), (0, "echo: two"), "{asked:?}");
    let sessions = home.ask(gateway.port, "sessions --json");
    assert!(sessions.out.contains("agent:main:irc:group:#room"), "{sessions:?}");
}

#[test]
fn what_cannot_be_addressed_is_told_before_the_run() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    let gateway = start(&home, &provider, &server, "");
    let mut peer = server.accept();
    peer.hears("JOIN");
    for (flags, part) in [
        ("", "nobody has written to this session by a channel yet"),
        ("--reply-channel nope --reply-to x", "unsupported channel: nope"),
        ("--reply-channel telegram --reply-to 5", "openclaw channels add --channel telegram"),
        ("--reply-channel irc", "openclaw config set channels.irc.defaultTo"),
        ("--reply-channel irc --reply-to telegram:5", "not of the channel irc"),
        ("--reply-channel irc --reply-to #a --reply-account b", "no account \"b\" of IRC"),
        ("--reply-channel webchat", "name a chat channel"),
    ] {
        let asked = home.ask(gateway.port, &format!("agent -m hi --deliver {flags}"));
        assert_eq!(asked.code, 1, "{flags}: {asked:?}");
        assert!(asked.err.contains(part), "{flags}: {asked:?}");
    }
    let mut socket = Socket::connect(gateway.port);
    let params = json!({"sessionKey": "main", "message": "hi", "deliver": true,
        "idempotencyKey": "c1"});
    let error = socket.call("chat.send", &params).expect_err("nowhere to");
    assert_eq!(error["details"]["reason"], "no_delivery_target", "{error}");
    assert!(provider.rest().is_empty(), "no model was asked");
    // The run was wanted all the same.
    let params = json!({"message": "hi", "deliver": true, "bestEffortDeliver": true,
        "idempotencyKey": "c2"});
    let id = socket.request("agent", &params);
    assert_eq!(socket.response(&id).expect("accepted")["status"], "accepted");
    let second = socket.response(&id).expect("an answer");
    let status = &second["result"]["deliveryStatus"];
    assert_eq!(
        (&status["status"], &status["reason"]),
        (&json!("failed"), &json!("no_delivery_target"))
    );
    // Who has written is who is answered.
    peer.say(":al!u@host PRIVMSG bot :hello");
    assert_eq!(peer.hears("PRIVMSG"), "PRIVMSG al :echo: hello");
    peer.answers_a_ping();
    let params = json!({"sessionKey": "main", "message": "again", "deliver": true,
        "idempotencyKey": "c3"});
    socket.call("chat.send", &params).expect("accepted");
    assert_eq!(peer.hears("PRIVMSG"), "PRIVMSG al :echo: again");
}

#[test]
fn a_hooks_answer_goes_to_its_destination() {
    let (home, server) = (Home::new(), Server::new());
    let provider = Provider::start(|_, reply| reply.say("done"));
    let mappings = "{match: {path: 'build'}, messageTemplate: 'build {{n}}', channel: 'irc', \
                    to: '{{room}}'}, {match: {path: 'half'}, messageTemplate: 'x', \
                    channel: 'irc'}, {match: {path: 'last'}, messageTemplate: 'x', \
                    channel: 'last'}";
    let more = format!("hooks: {{enabled: true, token: '{HOOK}', mappings: [{mappings}]}}");
    let gateway = start(&home, &provider, &server, &more);
    let mut peer = server.accept();
    let port = gateway.port;
    let body = json!({"message": "deploy", "channel": "irc", "to": "#ops",
        "waitForCompletion": true, "idempotencyKey": "h1"});
    let answer = std::thread::scope(|scope| {
        let asks = scope.spawn(|| hook(port, "/hooks/agent", &body));
        assert_eq!(peer.hears("PRIVMSG"), "PRIVMSG #ops :done");
        peer.answers_a_ping();
        asks.join().expect("it ran")
    });
    assert_eq!(answer.status, 200, "{}", answer.text());
    let done = answer.json();
    assert_eq!(done["completion"]["delivered"], true, "{done}");
    assert_eq!(done["completion"]["deliveryAttempted"], true, "{done}");
    for (path, body, part) in [
        ("agent", json!({"message": "x", "channel": "irc"}), "to required"),
        ("agent", json!({"message": "x", "to": "#a"}), "channel required"),
        ("agent", json!({"message": "x", "accountId": "a"}), "needs channel and to"),
        ("agent", json!({"message": "x", "channel": "last", "to": "#a"}), "not for direct hooks"),
        ("agent", json!({"message": "x", "channel": "nope", "to": "#a"}), "unsupported channel"),
        (
            "agent",
            json!({"message": "x", "channel": "irc", "to": "#a", "accountId": "b"}),
            "no account",
        ),
        ("agent", json!({"message": "x", "channel": "irc", "to": "a b"}), "no IRC target"),
        ("half", json!({}), "names a channel and no to"),
        ("last", json!({}), "nobody has written"),
        ("build", json!({"n": 1}), "to came out empty"),
    ] {
        let answer = hook(port, &format!("/hooks/{path}"), &body);
        assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text());
        assert!(answer.text().contains(part), "{path} {body}: {}", answer.text());
    }
    let taken = hook(port, "/hooks/build", &json!({"n": 7, "room": "#builds"}));
    assert_eq!(taken.status, 200, "{}", taken.text());
    assert_eq!(peer.hears("PRIVMSG"), "PRIVMSG #builds :done");
}

/// A message that the server refuses becomes a dead letter; it is shown wherever somebody looks,
/// and goes out when it is sent again.
#[test]
fn what_is_given_up_is_kept_shown_and_sent_again() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    let gateway = start(&home, &provider, &server, "");
    let mut peer = server.accept();
    let line = "message send --channel irc --target nobody -m lost";
    let asked = std::thread::scope(|scope| {
        let asks = scope.spawn(|| home.ask(gateway.port, line));
        assert_eq!(peer.hears("PRIVMSG"), "PRIVMSG nobody :lost");
        peer.say(":srv 401 bot nobody :No such nick/channel");
        peer.answers_a_ping();
        asks.join().expect("it ran")
    });
    assert_eq!(asked.code, 1, "{asked:?}");
    let listed = home.ask(gateway.port, "channels dead-letters list --channel irc --json");
    let listed: Value = serde_json::from_str(&listed.out).expect("JSON");
    let letter = &listed["deadLetters"][0];
    assert_eq!((&listed["channelId"], &listed["accountId"]), (&json!("irc"), &json!("default")));
    assert_eq!(
        (&letter["direction"], &letter["lane"], &letter["payload"]["text"]),
        (&json!("outbound"), &json!("nobody"), &json!("lost")),
        "{letter}"
    );
    let id = letter["id"].as_str().expect("an id").to_owned();
    for line in ["channels status", "health", "doctor"] {
        let said = home.ask(gateway.port, line);
        let said = format!("{}{}", said.out, said.err);
        assert!(said.contains("given up"), "{line}: {said}");
    }
    let other = home.ask(gateway.port, &format!("channels dead-letters drop {id} --account b"));
    assert!(other.code == 1 && other.err.contains("no dead letter"), "{other:?}");
    let blank = home.run("channels dead-letters list --channel irc --account=");
    assert!(blank.code != 0 && blank.err.contains("must not be blank"), "{blank:?}");
    // The list outlives the gateway, and so does what is sent again.
    drop(gateway);
    let dead = common::DeadPort::new();
    let of_file = home.ask(dead.number(), "channels dead-letters list");
    assert!(of_file.code == 0 && of_file.out.contains(&id), "{of_file:?}");
    let gateway = home.start("");
    let mut peer = server.accept();
    let again = home.ask(gateway.port, &format!("channels dead-letters resubmit {id}"));
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(peer.hears("PRIVMSG"), "PRIVMSG nobody :lost");
    peer.answers_a_ping();
    let twice = home.ask(gateway.port, &format!("channels dead-letters resubmit {id}"));
    assert!(twice.code == 1 && twice.err.contains("sent again already"), "{twice:?}");
    let none = home.ask(gateway.port, "channels dead-letters list");
    assert!(none.out.contains("Nothing was given up"), "{none:?}");
}

#[test]
fn a_log_out_stops_the_account_and_takes_its_credentials() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    let own = irc(server.port, "password: 'hush', channels: ['#a']");
    home.configure(&config(&provider, &format!("irc: {{{own}}}"), ""));
    let gateway = home.start("");
    let mut peer = server.accept();
    assert_eq!(peer.line(), "JOIN #a");
    let out = home.ask(gateway.port, "channels logout --json");
    assert_eq!(out.code, 0, "{out:?}");
    let said: Value = serde_json::from_str(&out.out).expect("JSON");
    let want = json!({"channel": "irc", "accountId": "default", "cleared": true,
        "envToken": false, "loggedOut": true});
    assert_eq!(said, want);
    peer.hears("QUIT");
    let text = std::fs::read_to_string(home.state().join("openclaw.json")).expect("the file");
    assert!(!text.contains("hush") && text.contains("#a"), "{text}");
    let again = home.ask(gateway.port, "channels logout");
    assert!(again.code == 0 && again.out.starts_with("No saved auth"), "{again:?}");
    let login = home.ask(gateway.port, "channels login");
    assert!(login.code == 1 && login.err.contains("channels add --channel irc"), "{login:?}");
    // Without a gateway the file is edited here.
    drop(gateway);
    let own = "telegram: {botToken: '1:ABCDEFGH', tokenFile: '/nowhere'}";
    home.configure(&config(&provider, own, ""));
    let dead = common::DeadPort::new();
    let out = home.ask(dead.number(), "channels logout --channel telegram");
    assert!(
        out.code == 0 && out.out.contains("Cleared saved auth for telegram/default"),
        "{out:?}"
    );
    assert!(out.err.contains("other credentials may still be active"), "{out:?}");
}

/// The body of the next request that comes to a listener, which is answered with 204.
fn posted(listener: &std::net::TcpListener) -> (String, Value) {
    use std::io::{Read, Write};
    let (mut stream, _) = listener.accept().expect("somebody posts");
    stream.set_read_timeout(Some(common::PATIENCE)).expect("it");
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(value) = serde_json::from_str(body)
        {
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("answered");
            return (head.to_owned(), value);
        }
        let n = stream.read(&mut piece).expect("a request");
        assert!(n > 0, "{text}");
        bytes.extend_from_slice(&piece[..n]);
    }
}

#[test]
fn a_jobs_answer_is_announced_whole_or_posted() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    let hooks = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/hook", hooks.local_addr().expect("it"));
    let policy = "cron: {webhookToken: 'wh', webhookSsrfPolicy: {allowedHostnames: ['127.0.0.1']}}";
    let gateway = start(&home, &provider, &server, policy);
    let mut peer = server.accept();
    let mut socket = Socket::connect(gateway.port);
    let job = |name: &str, delivery: &Value| {
        json!({"name": name, "schedule": {"kind": "every", "everyMs": 3_600_000},
            "payload": {"kind": "agentTurn", "message": "the report"}, "delivery": delivery})
    };
    let said = json!({"mode": "announce", "channel": "irc", "to": "#report"});
    let made = socket.call("cron.add", &job("a", &said)).expect("a job");
    socket.call("cron.run", &json!({"id": made["id"], "mode": "force"})).expect("begun");
    assert!(peer.hears("PRIVMSG #report").contains("the report"));
    let hook = json!({"mode": "webhook", "to": address});
    let made = socket.call("cron.add", &job("b", &hook)).expect("a job");
    socket.call("cron.run", &json!({"id": made["id"], "mode": "force"})).expect("begun");
    let (head, event) = posted(&hooks);
    assert!(head.starts_with("POST /hook ") && head.contains("Bearer wh"), "{head}");
    assert_eq!((&event["action"], &event["status"]), (&json!("finished"), &json!("ok")), "{event}");
    assert!(event["summary"].as_str().expect("a text").contains("the report"), "{event}");
    for (delivery, part) in [
        (json!({"mode": "announce", "channel": "nope", "to": "x"}), "there is no channel"),
        (json!({"mode": "webhook", "to": "file:///x"}), "http:// or https://"),
    ] {
        let error = socket.call("cron.add", &job("c", &delivery)).expect_err("nowhere");
        assert!(error["message"].as_str().expect("words").contains(part), "{error}");
    }
}

#[test]
fn failures_of_a_job_are_told_once_an_incident() {
    let (home, server) = (Home::new(), Server::new());
    let provider = Provider::start(|_, reply| reply.refuse("400 Bad Request", "", "no"));
    let alert = "cron: {failureAlert: {channel: 'irc', to: '#ops', after: 1, cooldownMs: 0}}";
    let gateway = start(&home, &provider, &server, alert);
    let mut peer = server.accept();
    let mut socket = Socket::connect(gateway.port);
    let job = json!({"name": "nightly", "schedule": {"kind": "every", "everyMs": 3_600_000},
        "payload": {"kind": "agentTurn", "message": "x"}});
    let made = socket.call("cron.add", &job).expect("a job");
    let run = json!({"id": made["id"], "mode": "force"});
    socket.call("cron.run", &run).expect("begun");
    let said = peer.hears("PRIVMSG #ops");
    assert!(said.contains("nightly") && said.contains("failed 1 times"), "{said}");
    peer.answers_a_ping();
    // The same again is no news.
    let ended =
        |frame: &Value| frame["event"] == "cron" && frame["payload"]["action"] == "finished";
    socket.event(ended);
    socket.call("cron.run", &run).expect("begun");
    socket.event(ended);
    peer.say(":al!u@host PRIVMSG bot :/whoami");
    let next = peer.hears("PRIVMSG");
    assert!(next.starts_with("PRIVMSG al "), "nothing between: {next}");
}

#[test]
fn a_heartbeat_reaches_the_owner_once_a_day_with_the_same() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    let beat = |more: &str, channels: &str| {
        let own = irc(server.port, channels);
        let text = config(
            &provider,
            &format!("irc: {{{own}}}"),
            "commands: {ownerAllowFrom: ['irc:al!u@host']}",
        );
        let beat = format!("defaults: {{heartbeat: {{every: '1s', prompt: 'the oven', {more}}}, ");
        text.replacen("defaults: {", &beat, 1)
    };
    home.configure(&beat("", ""));
    let gateway = home.start("");
    let mut peer = server.accept();
    assert!(peer.hears("PRIVMSG").starts_with("PRIVMSG al :"), "the owner, by nick");
    peer.answers_a_ping();
    let mut socket = Socket::connect(gateway.port);
    let reason = |socket: &mut Socket, wanted: &str| {
        let event = socket
            .event(|frame| frame["event"] == "heartbeat" && frame["payload"]["reason"] == wanted);
        assert_eq!(event["payload"]["status"], "skipped", "{event}");
    };
    reason(&mut socket, "duplicate");
    home.configure(&beat("directPolicy: 'block'", ""));
    reason(&mut socket, "dm-blocked");
    home.configure(&beat("", "heartbeatVisibility: {showAlerts: false}"));
    reason(&mut socket, "alerts-disabled");
    // What needs no attention is told where that is wanted.
    let ok = "heartbeatVisibility: {showOk: true, useIndicator: false}";
    home.configure(&beat("", ok).replace("the oven", "HEARTBEAT_OK"));
    assert!(peer.hears("HEARTBEAT_OK").starts_with("PRIVMSG al :"));
}

#[test]
fn actions_names_and_broadcasts_by_the_command_line() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    let gateway = start(&home, &provider, &server, "");
    let mut peer = server.accept();
    let cannot = home.ask(gateway.port, "message pin --target #a --message-id 5");
    assert_eq!(cannot.code, 1, "{cannot:?}");
    assert!(cannot.err.contains("IRC cannot do \"pin\"; it can: send, reply"), "{cannot:?}");
    let missing = home.run("message react --target #a --emoji x");
    assert!(missing.code != 0 && missing.err.contains("--message-id is missing"), "{missing:?}");
    let dry = home.run(
        "message poll --target #a --poll-question q --poll-option a --poll-option b --dry-run",
    );
    let dry: Value = serde_json::from_str(&dry.out).expect("JSON");
    assert_eq!((&dry["dryRun"], &dry["payload"]["pollOption"]), (&json!(true), &json!(["a", "b"])));
    let found = home.ask(gateway.port, "channels resolve #a someone --json");
    let found: Value = serde_json::from_str(&found.out).expect("JSON");
    assert_eq!(found[0], json!({"input": "#a", "resolved": true, "id": "#a", "name": null}));
    let own = home.ask(gateway.port, "directory self --json");
    let own: Value = serde_json::from_str(&own.out).expect("JSON");
    assert_eq!((&own["kind"], &own["id"]), (&json!("user"), &json!("bot")), "{own}");
    let peers = home.ask(gateway.port, "directory peers list");
    assert!(peers.out.contains("al!u@host"), "{peers:?}");
    let line =
        "message broadcast --message hi --targets irc:#x --targets irc:#y --targets nope:1 --json";
    let sent = std::thread::scope(|scope| {
        let asks = scope.spawn(|| home.ask(gateway.port, line));
        for room in ["#x", "#y"] {
            assert_eq!(peer.hears("PRIVMSG"), format!("PRIVMSG {room} :hi"));
            peer.answers_a_ping();
        }
        // A name without a channel of its own is a nick of the only one.
        peer.hears("PRIVMSG nope:1");
        peer.say(":srv 401 bot nope:1 :No such nick/channel");
        peer.answers_a_ping();
        asks.join().expect("it ran")
    });
    assert_eq!(sent.code, 1, "{sent:?}");
    let sent: Value = serde_json::from_str(&sent.out).expect("JSON");
    let ok: Vec<&Value> =
        sent["payload"]["results"].as_array().expect("rows").iter().map(|row| &row["ok"]).collect();
    assert_eq!(ok, [&json!(true), &json!(true), &json!(false)], "{sent}");
}

/// A Bot API that asks for a pause at the first message; tells when each message came.
fn slow_telegram() -> (u16, std::sync::mpsc::Receiver<std::time::Instant>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it").port();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // The first poll of a life is answered at once; others stay open, for there is nothing
        // to tell.
        let (mut held, mut messages, mut first) = (Vec::new(), 0, true);
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
            while !String::from_utf8_lossy(&bytes).contains("\r\n\r\n") {
                match stream.read(&mut piece) {
                    Ok(n) if n > 0 => bytes.extend_from_slice(&piece[..n]),
                    _ => break,
                }
            }
            let head = String::from_utf8_lossy(&bytes).into_owned();
            let path = head.split_whitespace().nth(1).unwrap_or_default();
            let (status, body) = match path.rsplit('/').next().unwrap_or_default() {
                "getUpdates" if std::mem::take(&mut first) => {
                    (200, json!({"ok": true, "result": []}))
                }
                "getUpdates" => {
                    held.push(stream);
                    continue;
                }
                "getMe" => {
                    first = true;
                    (
                        200,
                        json!({"ok": true, "result": {"id": 1, "is_bot": true,
                            "first_name": "b", "username": "b_bot"}}),
                    )
                }
                "sendMessage" => {
                    messages += 1;
                    if tell.send(std::time::Instant::now()).is_err() {
                        return;
                    }
                    match messages {
                        1 => (
                            429,
                            json!({"ok": false, "error_code": 429, "description":
                                "Too Many Requests: retry after 3",
                                "parameters": {"retry_after": 3}}),
                        ),
                        n => (
                            200,
                            json!({"ok": true, "result": {"message_id": n, "date": 1,
                                "chat": {"id": 5, "type": "private"}}}),
                        ),
                    }
                }
                _ => (200, json!({"ok": true, "result": true})),
            };
            let body = body.to_string();
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: \
                 {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    (port, told)
}

/// The pause that Telegram asked for holds for the chat, also behind a kill -9.
#[test]
fn a_pause_that_was_asked_for_outlives_the_process() {
    let (home, provider) = (Home::new(), Provider::echo());
    let (port, told) = slow_telegram();
    let own = format!(
        "telegram: {{apiRoot: 'http://127.0.0.1:{port}', botToken: '1:ABCDEFGH', \
         commands: {{native: false}}}}"
    );
    home.configure(&config(&provider, &own, ""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let say = |key: &str| json!({"to": "5", "channel": "telegram", "message": key, "idempotencyKey": key});
    socket.request("send", &say("one"));
    let first = told.recv_timeout(common::PATIENCE).expect("it is tried");
    // The answer is read before the process dies.
    let journal = home.state().join("journal/outbox.jsonl");
    let end = std::time::Instant::now() + common::PATIENCE;
    while !std::fs::read_to_string(&journal).unwrap_or_default().contains("restUntilMs") {
        assert!(std::time::Instant::now() < end, "the pause is journalled");
        std::thread::yield_now();
    }
    drop(gateway);
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let id = socket.request("send", &say("two"));
    let second = told.recv_timeout(common::PATIENCE).expect("it is tried again");
    assert!(second - first >= std::time::Duration::from_millis(2_900), "{:?}", second - first);
    socket.response(&id).expect("both arrive");
}

/// Whoever asked by a channel for something that takes longer hears there what came of it.
#[test]
fn a_report_of_a_spawned_run_is_answered_where_it_was_asked_for() {
    let (home, server) = (Home::new(), Server::new());
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let provider = Provider::start(move |asked, reply| match (asked.said(), asked.result()) {
        (_, Some(_)) => reply.say("I have sent somebody"),
        (said, None) if said.contains("Sub-agent report") => reply.say("there are three"),
        (said, None) if said == "count" => {
            let _ = wait.lock().expect("it").recv();
            reply.say("one two three");
        }
        (_, None) => reply.call("sessions_spawn", json!({"task": "count"})),
    });
    let _gateway = start(&home, &provider, &server, "");
    let mut peer = server.accept();
    peer.hears("JOIN #a");
    peer.say(":al!u@host PRIVMSG bot :how many are there?");
    assert_eq!(peer.hears("PRIVMSG"), "PRIVMSG al :I have sent somebody");
    peer.answers_a_ping();
    go.send(()).expect("it waits");
    assert_eq!(peer.hears("PRIVMSG"), "PRIVMSG al :there are three");
}

/// The `message` tool does what its channel has, in the conversation that asked unless another is
/// named; what changes people's standing stays off.
#[test]
fn an_agent_reacts_edits_and_polls_by_its_tool() {
    let home = Home::new();
    let telegram = Telegram::start();
    let provider = Provider::start(|asked, reply| {
        let call = |action: Value| ("c", "message", action.to_string());
        let next = match asked.rounds() {
            0 => call(json!({"action": "react", "emoji": "👍"})),
            1 => call(json!({"action": "edit", "messageId": "5", "message": "new"})),
            2 => call(json!({"action": "poll", "pollQuestion": "Tea?", "pollOption": ["y", "n"]})),
            3 => call(json!({"action": "kick", "userId": "1"})),
            _ => return reply.say(&format!("done: {}", asked.result().unwrap_or_default())),
        };
        reply.tools(&[(next.0, next.1, &next.2)]);
    });
    let channels = telegram.config("streaming: {mode: 'off'}");
    home.configure(&provider.config(&format!("channels: {{{channels}}}")));
    telegram.says(&json!({"text": "do it all"}));
    let _gateway = home.start("");
    let reaction = telegram.asked("setMessageReaction").json();
    assert_eq!(reaction["reaction"][0]["emoji"], "👍", "{reaction}");
    assert!(reaction["message_id"].is_i64() && reaction["chat_id"].is_i64(), "{reaction}");
    let edit = telegram.asked("editMessageText").json();
    assert_eq!((&edit["message_id"], &edit["text"]), (&json!(5), &json!("new")));
    assert_eq!(edit["chat_id"], reaction["chat_id"]);
    assert_eq!(telegram.asked("sendPoll").json()["question"], "Tea?");
    let said = telegram.asked("sendMessage").json();
    let said = said["text"].as_str().expect("a text");
    assert!(said.contains("actions.moderation is off"), "nobody is thrown out: {said}");
}
