//! The tool loop: order of events as the reference's recorded timelines have it, cancelling
//! while tools work, and SIGKILL at random instants.
#![cfg(feature = "process")]

mod common;

use common::Home;
use common::http::{Http, get, post};
use common::provider::Provider;
use common::socket::{Socket, params, word};
use openclaw_gateway::driver::Time;
use openclaw_gateway::sim::check;
use openclaw_gateway::sim::kept::Kept;
use openclaw_gateway::sim::rng::Rng;
use openclaw_gateway::store::RealDisk;
use openclaw_gateway::wire::ws::Message;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn chat(session: &str, message: &str, run: &str) -> Value {
    json!({"sessionKey": session, "message": message, "idempotencyKey": run})
}

/// A client that is told of tools.
fn follower(port: u16) -> Socket {
    let mut hello = params();
    hello["caps"] = json!(["tool-events"]);
    let mut socket = Socket::with(port, &hello);
    socket.call("sessions.subscribe", &json!({})).unwrap();
    socket
}

/// Everything up to the frame that `last` knows, in words. What comes when it comes is left out
/// (`sessions.changed`, `tick`), and so are repetitions of text, which comes in as many pieces as
/// it comes.
fn words(socket: &mut Socket, last: impl Fn(&Value) -> bool) -> Vec<String> {
    const TOLD: [&str; 4] = ["chat ", "agent ", "session.message ", "res "];
    const TEXT: [&str; 2] = ["agent assistant", "chat delta"];
    let mut words: Vec<String> = Vec::new();
    loop {
        let frame = match socket.events.pop_front() {
            Some(frame) => frame,
            None => socket.frame(),
        };
        let new = match frame["type"].as_str() {
            Some("res") => format!("res {}", frame["payload"]["status"].as_str().unwrap_or("ok")),
            _ => word(&frame),
        };
        let text = words.iter().rev().take_while(|word| TEXT.contains(&word.as_str()));
        let again = TEXT.contains(&new.as_str()) && text.into_iter().any(|word| *word == new);
        if TOLD.iter().any(|event| new.starts_with(event)) && !again {
            words.push(new);
        }
        if last(&frame) {
            return words;
        }
    }
}

/// A provider whose model wants a session's status when it is told to, and then says so.
fn status_model() -> Provider {
    Provider::start(|asked, reply| match (asked.said().as_str(), asked.rounds()) {
        ("use a tool", 0) => {
            reply.tools(&[("call-1", "session_status", "{}")]);
        }
        (said, _) => reply.say(&format!("done: {said}")),
    })
}

/// The recorded `agent-tool.json`, without what the head of [`words`] names and without the rest
/// of the text, which the reference tells once more between `end` and `final`.
#[test]
fn a_tool_run_has_the_recorded_events() {
    let home = Home::new();
    let provider = status_model();
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = follower(gateway.port);
    let call = json!({"message": "use a tool", "idempotencyKey": "r"});
    let id = socket.request("agent", &call);
    let over = |frame: &Value| frame["id"] == id && frame["payload"]["status"] == "ok";
    let words = words(&mut socket, over);
    assert_eq!(
        words,
        [
            "res accepted",
            "agent lifecycle start",
            "session.message user",
            "agent lifecycle model",
            "agent usage",
            "session.message assistant",
            "agent item start",
            "agent tool start",
            "agent tool result",
            "agent item end",
            "agent lifecycle model",
            "agent assistant",
            "chat delta",
            "agent usage",
            "session.message assistant",
            "agent lifecycle finishing",
            "agent lifecycle model",
            "agent lifecycle end",
            "chat final",
            "res ok",
        ]
    );
    let second = provider.rest().pop().expect("asked twice");
    assert_eq!(second.talk()[0], "user: use a tool");
    assert_eq!(second.talk()[1], "assistant: ");
    assert!(second.talk()[2].starts_with("tool call-1: OpenClaw Gateway"), "{:?}", second.talk());
}

/// The recorded `chat.send-basic.json`, `agent-two-stage.json` (nothing subscribed) and
/// `chat.inject.json`, in the same way.
#[test]
fn runs_without_tools_have_the_recorded_events() {
    let home = Home::new();
    let provider = status_model();
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = follower(gateway.port);
    let send = |socket: &mut Socket, run: &str| {
        socket.request("chat.send", &chat("main", "hi", run));
    };
    send(&mut socket, "r");
    let basic = words(&mut socket, |frame| frame["payload"]["state"] == "final");
    assert_eq!(
        basic,
        [
            "res started",
            "session.message user",
            "chat status preparing_workspace",
            "agent run_status preparing_workspace",
            "chat status preparing_context",
            "agent run_status preparing_context",
            "agent lifecycle start",
            "chat status starting_model",
            "agent run_status starting_model",
            "agent lifecycle model",
            "agent assistant",
            "chat delta",
            "agent usage",
            "session.message assistant",
            "agent lifecycle finishing",
            "agent lifecycle model",
            "agent lifecycle end",
            "chat final",
        ]
    );
    let mut plain = Socket::connect(gateway.port);
    let id = plain.request("agent", &json!({"message": "hi", "idempotencyKey": "r2"}));
    let over = |frame: &Value| frame["id"] == id && frame["payload"]["status"] == "ok";
    let two_stage = words(&mut plain, over);
    assert_eq!(
        two_stage,
        [
            "res accepted",
            "agent lifecycle start",
            "agent lifecycle model",
            "agent assistant",
            "chat delta",
            "agent usage",
            "agent lifecycle finishing",
            "agent lifecycle model",
            "agent lifecycle end",
            "chat final",
            "res ok",
        ]
    );
    let note = json!({"sessionKey": "main", "message": "a note", "label": "note"});
    let id = plain.request("chat.inject", &note);
    assert_eq!(words(&mut plain, |frame| frame["id"] == id), ["chat final", "res ok"]);
}

/// The recorded `chat.abort.json`. The two `model` events behind the end are a race of the
/// reference's and not in its `agent-abort.json`.
#[test]
fn an_abort_has_the_recorded_events() {
    let home = Home::new();
    let provider = Provider::start(|_, reply| {
        reply.head();
        reply.delta("half");
        reply.wait_for_close();
    });
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    socket.request("chat.send", &chat("main", "hi", "r"));
    let mut all = words(&mut socket, |frame| frame["payload"]["state"] == "delta");
    let id = socket.request("chat.abort", &json!({"sessionKey": "main"}));
    all.extend(words(&mut socket, |frame| frame["payload"]["data"]["phase"] == "error"));
    assert_eq!(
        all,
        [
            "res started",
            "chat status preparing_workspace",
            "agent run_status preparing_workspace",
            "chat status preparing_context",
            "agent run_status preparing_context",
            "agent lifecycle start",
            "chat status starting_model",
            "agent run_status starting_model",
            "agent lifecycle model",
            "agent assistant",
            "chat delta",
            "chat aborted",
            "agent lifecycle end",
            "res ok",
            "agent lifecycle error",
        ]
    );
    assert!(id.contains("chat.abort"));
}

/// A model of which one session waits for another by `sessions_send`, and that other's model for
/// its own end; tells when that one's connection is closed.
fn waiting_model() -> (Provider, Receiver<()>) {
    let (closed, gone) = channel();
    let closed = Mutex::new(closed);
    let provider = Provider::start(move |asked, reply| {
        let said = asked.said();
        if said.contains("are you there?") {
            reply.head();
            reply.delta("hm");
            reply.wait_for_close();
            let _ = closed.lock().unwrap().send(());
        } else if asked.rounds() == 0 && said == "ask" {
            let args = r#"{"sessionKey": "agent:main:other", "message": "are you there?"}"#;
            reply.tools(&[("call-1", "sessions_send", args), ("call-2", "write", WRITE)]);
        } else {
            reply.say(&format!("done: {said}"));
        }
    });
    (provider, gone)
}

const WRITE: &str = r#"{"path": "behind.txt", "content": "x"}"#;

/// Waits until the tool works: the other session's model is asked.
fn at_work(provider: &Provider) {
    while !provider.asked().said().contains("are you there?") {}
}

fn results(socket: &mut Socket, key: &str) -> Vec<String> {
    let history = socket.call("chat.history", &json!({"sessionKey": key})).unwrap();
    let messages = history["messages"].as_array().unwrap();
    let of_tools = messages.iter().filter(|message| message["role"] == "toolResult");
    of_tools
        .map(|message| message["content"][0]["text"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn is_idle(socket: &mut Socket) -> bool {
    let list = socket.call("sessions.list", &json!({})).unwrap();
    list["sessions"].as_array().unwrap().iter().all(|row| row["hasActiveRun"] == false)
}

#[test]
fn a_run_is_cancelled_while_its_tool_works() {
    let home = Home::new();
    let (provider, gone) = waiting_model();
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = follower(gateway.port);
    for (run, method) in [("r1", "chat.abort"), ("r2", "sessions.abort")] {
        socket.call("chat.send", &chat("main", "ask", run)).unwrap();
        at_work(&provider);
        let began = Instant::now();
        let params = match method {
            "chat.abort" => json!({"sessionKey": "main", "runId": run}),
            _ => json!({"key": "main", "runId": run}),
        };
        socket.call(method, &params).unwrap();
        let end = socket.chat_end(run);
        assert_eq!((&end["state"], &end["stopReason"]), (&json!("aborted"), &json!("rpc")));
        // The other session's run is its own, until it is cancelled too.
        socket.call("chat.abort", &json!({"sessionKey": "agent:main:other"})).unwrap();
        gone.recv_timeout(Duration::from_secs(1)).expect("the provider's connection is closed");
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        socket.is_alive();
        let again = socket.events.iter().filter(|frame| {
            let state = frame["payload"]["state"].as_str().unwrap_or_default();
            frame["payload"]["runId"] == run && matches!(state, "final" | "aborted" | "error")
        });
        assert_eq!(again.count(), 0, "one terminal event");
        assert!(is_idle(&mut socket));
    }
    let results = results(&mut socket, "main");
    assert_eq!(results.len(), 4, "{results:?}");
    for pair in results.chunks(2) {
        assert!(pair[0].contains("while this tool worked"), "{results:?}");
        assert!(pair[1].contains("before this tool began"), "{results:?}");
    }
    assert!(!home.state().join("workspace/behind.txt").exists());
    assert!(provider.rest().is_empty(), "the model is not asked again");
}

#[test]
fn an_http_client_that_leaves_takes_its_tools_along() {
    let home = Home::new();
    let (provider, gone) = waiting_model();
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    for stream in [true, false] {
        let said = json!([{"role": "user", "content": "ask"}]);
        let body = json!({"stream": stream, "user": "u", "messages": said});
        let mut http = Http::connect(gateway.port);
        http.send(post("/v1/chat/completions", &body));
        at_work(&provider);
        drop(http);
        let deadline = Instant::now() + common::PATIENCE;
        let key = "agent:main:openai-user:u";
        while results(&mut socket, key).len() % 2 == 1 || results(&mut socket, key).is_empty() {
            assert!(Instant::now() < deadline, "the run ends");
        }
        socket.call("chat.abort", &json!({"sessionKey": "agent:main:other"})).unwrap();
        gone.recv_timeout(common::PATIENCE).expect("closed");
        let results = results(&mut socket, key);
        assert!(results.iter().all(|text| text.starts_with("cancelled")), "{results:?}");
        while !is_idle(&mut socket) {
            assert!(Instant::now() < deadline, "nothing goes on");
        }
    }
    assert!(provider.rest().is_empty(), "the model is not asked again");
}

#[cfg(feature = "process")]
#[test]
fn a_gateway_that_leaves_lets_tools_finish_and_cuts_them_when_asked_twice() {
    use rustix::process::Signal;
    for twice in [false, true] {
        let home = Home::new();
        let (provider, gone) = waiting_model();
        home.configure(&provider.config(""));
        let mut gateway = home.start("");
        let mut socket = follower(gateway.port);
        socket.call("chat.send", &chat("main", "ask", "r")).unwrap();
        at_work(&provider);
        gateway.signal(Signal::TERM);
        let mut probe = Http::connect(gateway.port);
        while probe.exchange(get("/readyz")).status == 200 {}
        if twice {
            gateway.signal(Signal::TERM);
        } else {
            // The tool's wait ends, the model hears of it and answers.
            socket.call("chat.abort", &json!({"sessionKey": "agent:main:other"})).unwrap();
        }
        gone.recv_timeout(Duration::from_secs(5)).expect("closed");
        let end = socket.chat_end("r");
        let want = if twice { ("aborted", "restart") } else { ("final", "stop") };
        assert_eq!((&end["state"], &end["stopReason"]), (&json!(want.0), &json!(want.1)), "{end}");
        assert_eq!(socket.closed().0, Some(1012));
        drop((socket, probe));
        assert_eq!(gateway.wait().code(), Some(0));
        assert_eq!(home.state().join("workspace/behind.txt").exists(), !twice);
        let gateway = home.start("");
        let mut socket = Socket::connect(gateway.port);
        let results = results(&mut socket, "main");
        assert_eq!(results.len(), 2, "{results:?}");
        assert_eq!(results[0].contains("while this tool worked"), twice, "{results:?}");
    }
}

/// Messages that were acknowledged: run and session.
type Acked = Arc<Mutex<BTreeMap<String, (String, bool)>>>;

const KEYS: [&str; 3] = ["agent:main:main", "agent:main:a", "agent:main:b"];

/// Sends messages until the connection breaks.
fn load(mut socket: Socket, name: &str, mut rng: Rng, sent: &Acked) {
    for n in 0.. {
        let run = format!("{name}-{n}");
        let key = rng.pick(&KEYS);
        let method = rng.pick(&["chat.send", "chat.send", "agent"]);
        let mut params = json!({"sessionKey": key, "message": run, "idempotencyKey": run});
        let mode = rng.pick(&["", "steer", "followup", "collect", "interrupt"]);
        if method == "chat.send" && !mode.is_empty() {
            params["queueMode"] = json!(mode);
        }
        sent.lock().unwrap().insert(run.clone(), (key.to_owned(), false));
        let id = socket.request(method, &params);
        loop {
            let Some(Message::Text(text)) = socket.message() else { return };
            let frame: Value = serde_json::from_str(&text).expect("JSON");
            if frame["id"] == id {
                if frame["ok"] == true {
                    sent.lock().unwrap().insert(run.clone(), (key.to_owned(), true));
                }
                break;
            }
        }
    }
}

/// SIGKILL at random instants of the real process, under load, and what stands in the
/// transcripts then. `KILL_SEED=n` repeats the choices, not the instants.
#[test]
#[expect(clippy::print_stdout, reason = "the seed is worth knowing")]
fn after_kills_at_random_instants_each_message_has_one_reply_or_notice() {
    let began = Instant::now();
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos() as u64);
    let seed = std::env::var("KILL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(clock);
    println!("KILL_SEED={seed}");
    let mut rng = Rng::new(seed);
    let home = Home::new();
    let provider = Provider::start(|asked, reply| {
        let mut rng = Rng::new(asked.number as u64);
        if asked.rounds() < 2 && rng.percent(40) {
            let write = format!("{{\"path\": \"once-{}\", \"content\": \"x\"}}", rng.next());
            let ids = [format!("c{}", rng.next()), format!("c{}", rng.next())];
            let calls = [
                (ids[0].as_str(), "write", write.as_str()),
                (ids[1].as_str(), rng.pick(&["session_status", "none", "ls"]), "{}"),
            ];
            reply.tools(&calls);
            return;
        }
        reply.head();
        reply.delta(&format!("re: {}", asked.said()));
        let (nobody, never) = channel::<()>();
        let _ = never.recv_timeout(Duration::from_millis(rng.below(30)));
        drop(nobody);
        reply.finish("stop");
    });
    home.configure(&provider.config(""));
    let sent: Acked = Arc::default();
    let mut rounds = 0;
    while rounds < 20 && began.elapsed() < Duration::from_secs(15) {
        let gateway = home.start("");
        let clients: Vec<_> = (0..3)
            .map(|client| {
                let (sent, rng) = (Arc::clone(&sent), rng.fork());
                let name = format!("r{rounds}-{client}");
                let socket = Socket::connect(gateway.port);
                std::thread::spawn(move || load(socket, &name, rng, &sent))
            })
            .collect();
        let (nobody, never) = channel::<()>();
        let _ = never.recv_timeout(Duration::from_millis(rng.range(5, 250)));
        drop((nobody, gateway));
        for client in clients {
            client.join().expect("a client");
        }
        rounds += 1;
    }
    // The last start settles what the last kill left.
    drop(home.start(""));
    let sent = std::mem::take(&mut *sent.lock().unwrap());
    let kept = Kept::read(&RealDisk, &home.state());
    let messages: BTreeMap<String, check::Message> = sent
        .iter()
        .map(|(run, (key, _))| {
            let (key, text) = (key.clone(), run.clone());
            let message = check::Message { key, text, sent: Time(0), acked: None, ended: None };
            (run.clone(), message)
        })
        .collect();
    let mut acked = 0;
    for (run, (key, was_acked)) in &sent {
        let left = kept.run(key, run);
        let (said, answers) = (left.said.len(), left.answers.len());
        let whole = said == answers && said <= 1 && (said == 1 || !was_acked);
        assert!(whole, "seed {seed}: {run} in {key} (acked {was_acked}): {left:?}");
        assert!(left.said <= left.answers, "seed {seed}: {run}: {left:?}");
        acked += usize::from(*was_acked);
    }
    if let Err(what) = kept.tools(&messages, false) {
        panic!("seed {seed}: {what}");
    }
    println!("{rounds} kills, {acked} messages acknowledged of {}", sent.len());
    assert!(rounds >= 5 && acked > rounds, "{rounds} rounds, {acked} acknowledged");
}
