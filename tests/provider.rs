//! Model providers that answer well, badly, slowly or not at all.

mod common;

use common::http::{Http, ask, chat};
use common::provider::{Provider, config};
use common::socket::Socket;
use common::{Gateway, Home, PATIENCE};
use serde_json::{Value, json};
use std::io::{BufWriter, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn user(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

fn send(socket: &mut Socket, run: &str) -> Value {
    let params = json!({"sessionKey": "main", "message": run, "idempotencyKey": run});
    socket.call("chat.send", &params).unwrap();
    socket.chat_end(run)
}

/// A gateway that tries these two in turn.
fn with_fallback(home: &Home, first: u16, second: u16) -> Gateway {
    let model = "primary: 'first/m1', fallbacks: ['second/m1']";
    home.configure(&config(&[("first", first), ("second", second)], model, ""));
    home.start("")
}

#[test]
fn overload_is_retried_after_the_time_the_provider_asks_for() {
    let past = "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for (status, headers, delay) in [
        ("429 Too Many Requests", "Retry-After: 2\r\n", 2000),
        ("500 Internal Server Error", "", 1000),
        ("503 Service Unavailable", "Retry-After: 0\r\n", 1000),
        ("503 Service Unavailable", "Retry-After: 1.25\r\n", 1250),
        ("503 Service Unavailable", "retry-after-ms: 1200\r\n", 1200),
        ("503 Service Unavailable", past, 1000),
    ] {
        let home = Home::new();
        let provider = Provider::start(move |asked, reply| match asked.number {
            0 => reply.refuse(status, headers, "not now"),
            _ => reply.say("here"),
        });
        home.configure(&provider.config(""));
        let gateway = home.start("");
        let mut socket = Socket::connect(gateway.port);
        let params = json!({"sessionKey": "main", "message": "x", "idempotencyKey": "r"});
        socket.call("chat.send", &params).unwrap();
        provider.asked();
        let refused = Instant::now();
        let status_event = socket.event(|event| event["payload"]["data"]["phase"] == "retrying");
        let data = &status_event["payload"]["data"];
        assert_eq!(data["delayMs"], delay, "{data}");
        assert_eq!(data["retryAttempt"], 1, "{data}");
        assert!(data["message"].as_str().unwrap().contains("not now"), "{data}");
        provider.asked();
        assert!(refused.elapsed() >= Duration::from_millis(delay - 100), "{status}: too early");
        let end = socket.chat_end("r");
        assert_eq!(end["state"], "final", "{end}");
        assert_eq!(end["message"]["content"][0]["text"], "here");
    }
}

#[test]
fn whoever_asks_for_too_long_a_pause_is_not_asked_again() {
    for (status, headers, words) in [
        ("429 Too Many Requests", "Retry-After: 5400\r\n", "(it asks to wait 90 min)"),
        ("503 Unavailable", "retry-after-ms: 60001\r\n", "(it asks to wait 61 s)"),
        ("503 Unavailable", "Retry-After: Tue, 31 Dec 2999 23:59:59 GMT\r\n", " h)"),
    ] {
        let home = Home::new();
        let first = Provider::start(move |_, reply| reply.refuse(status, headers, "not now"));
        home.configure(&first.config(""));
        let gateway = home.start("");
        let began = Instant::now();
        let response = ask(gateway.port, chat(&json!({"messages": user("x")})));
        assert!(began.elapsed() < PATIENCE / 2, "{status}: it waited");
        let message = response.json()["error"]["message"].to_string();
        assert!(message.contains("not now") && message.contains(words), "{message}");
        if status.starts_with("429") {
            assert_eq!((response.status, response.header("retry-after")), (429, Some("5400")));
        }
        assert_eq!(first.rest().len(), 1, "{status}: asked once");

        let home = Home::new();
        let second = Provider::echo();
        let gateway = with_fallback(&home, first.port, second.port);
        let mut socket = Socket::connect(gateway.port);
        let end = send(&mut socket, "r");
        assert_eq!(end["message"]["content"][0]["text"], "echo: r", "{end}");
        assert_eq!(first.rest().len(), 1, "{status}: asked once");
    }
}

#[test]
fn a_pause_beyond_its_timeout_leads_to_the_next() {
    let home = Home::new();
    let first = Provider::start(|_, reply| reply.refuse("503 X", "Retry-After: 30\r\n", "no"));
    let second = Provider::echo();
    let model = "primary: 'first/m1', fallbacks: ['second/m1']";
    let config = config(&[("first", first.port), ("second", second.port)], model, "");
    home.configure(&config.replacen("apiKey", "timeoutSeconds: 5, apiKey", 1));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let end = send(&mut socket, "r");
    assert_eq!(end["message"]["content"][0]["text"], "echo: r", "{end}");
    assert_eq!(first.rest().len(), 1);
}

#[test]
fn what_cannot_get_better_is_not_retried() {
    // A refused key rests: whoever comes next is told so, and the provider is left alone.
    for (status, rests) in [("401 Unauthorized", true), ("403 Forbidden", true), ("400 Bad", false)]
    {
        let told = |first: bool| if rests && !first { "rests for" } else { "go away" };
        let home = Home::new();
        let provider = Provider::start(move |_, reply| reply.refuse(status, "", "go away"));
        home.configure(&provider.config(""));
        let gateway = home.start("");
        for stream in [false, true] {
            let body = json!({"messages": user("x"), "stream": stream});
            let response = ask(gateway.port, chat(&body));
            let error = if stream {
                assert_eq!(response.status, 200);
                let data = response.data();
                assert_eq!(data.last().unwrap(), "[DONE]");
                serde_json::from_str::<Value>(&data[data.len() - 2]).unwrap()
            } else {
                assert_eq!(response.status, 400, "{response:?}");
                response.json()
            };
            assert_eq!(error["error"]["type"], "api_error", "{error}");
            let message = error["error"]["message"].as_str().unwrap();
            assert!(message.contains(told(!stream)), "{message}");
            assert!(!message.contains("sk-mock"), "{message}");
        }
        let mut socket = Socket::connect(gateway.port);
        let end = send(&mut socket, "r");
        assert_eq!(end["state"], "error", "{end}");
        assert!(end["errorMessage"].as_str().unwrap().contains(told(false)), "{end}");
        assert_eq!(provider.rest().len(), if rests { 1 } else { 3 }, "{status}");
    }
}

#[cfg(feature = "process")]
#[test]
fn a_key_that_a_provider_repeats_is_seen_nowhere() {
    const KEY: &str = "sk-canary-0123456789";
    const HEADER: &str = "header-canary-987654";
    let home = Home::new();
    let provider = Provider::start(|asked, reply| {
        let head = asked.head.replace("\r\n", " ");
        assert!(head.contains(KEY) && head.contains(HEADER), "{head}");
        let words = format!("who is {KEY} {HEADER}? {head}");
        // Each run is told in one way first, which is tried again, and then in another.
        match (asked.said().as_str(), asked.number % 2) {
            ("plain", 0) => drop(reply.write(format!("HTTP/1.1 503 X\r\n\r\n{words}"))),
            (_, 0) => {
                reply.head();
                reply.event(&json!({"error": {"message": words}}));
            }
            ("plain", _) => drop(reply.write(format!("HTTP/1.1 404 X\r\n\r\n{words}"))),
            _ => reply.refuse("400 Bad Request", "", &words),
        }
    });
    let log = home.0.join("log");
    let logging = format!("logging: {{file: '{}', level: 'trace'}}", log.display());
    let key = format!("headers: {{'X-Extra': '{HEADER}'}}, apiKey: '{KEY}'");
    home.configure(&provider.config(&logging).replace("apiKey: 'sk-mock'", &key));
    let gateway = home.start("");
    let mut seen = String::new();
    for stream in [false, true] {
        let body = json!({"messages": user("x"), "stream": stream});
        seen.push_str(&ask(gateway.port, chat(&body)).text());
    }
    let mut socket = Socket::connect(gateway.port);
    for run in ["event", "plain"] {
        let params = json!({"sessionKey": "main", "message": run, "idempotencyKey": run});
        socket.request("chat.send", &params);
        loop {
            let frame = socket.frame();
            seen.push_str(&frame.to_string());
            if frame["payload"]["runId"] == run && frame["payload"]["state"] == "error" {
                break;
            }
        }
    }
    let history = socket.call("chat.history", &json!({"sessionKey": "main"})).unwrap();
    seen.push_str(&history.to_string());
    let params = json!({"runId": "plain", "timeoutMs": 1});
    seen.push_str(&socket.call("agent.wait", &params).unwrap().to_string());
    drop(socket);
    gateway.signal(rustix::process::Signal::TERM);
    let mut gateway = gateway;
    gateway.wait();
    seen.push_str(&gateway.seen().join("\n"));
    let mut written = 0;
    let mut dirs = vec![home.0.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                dirs.push(entry.path());
            } else if !entry.file_name().to_string_lossy().starts_with("openclaw.json") {
                let text = std::fs::read(entry.path()).unwrap();
                seen.push_str(&String::from_utf8_lossy(&text));
                written += 1;
            }
        }
    }
    assert!(written >= 2, "a transcript and a log");
    assert!(seen.matches("who is *** ***?").count() >= 6, "{seen}");
    for secret in [KEY, HEADER, "canary"] {
        assert!(!seen.contains(secret), "{secret} in {seen}");
    }
}

#[test]
fn whoever_is_not_there_is_replaced_by_the_next() {
    // A port that was free a moment ago.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let home = Home::new();
    let second = Provider::echo();
    let gateway = with_fallback(&home, nobody, second.port);
    let response = ask(gateway.port, chat(&json!({"messages": user("hi")})));
    assert!(response.text().contains("echo: hi"), "{response:?}");

    let home = Home::new();
    let first = Provider::start(|_, reply| reply.refuse("401 Unauthorized", "", "no"));
    let gateway = with_fallback(&home, first.port, second.port);
    let mut socket = Socket::connect(gateway.port);
    let end = send(&mut socket, "r");
    assert_eq!(end["message"]["content"][0]["text"], "echo: r", "{end}");
    assert_eq!(first.rest().len(), 1);
}

#[test]
fn an_answer_that_breaks_off_is_taken_back_and_asked_for_again() {
    let home = Home::new();
    let provider = Provider::start(|asked, reply| match asked.number {
        0 => {
            reply.head();
            reply.delta("lost ");
            reply.delta("words");
            // A close without an end, and with bytes unread: a reset for the gateway.
        }
        _ => reply.say("whole"),
    });
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let end = send(&mut socket, "r");
    assert_eq!(end["state"], "final", "{end}");
    assert_eq!(end["message"]["content"][0]["text"], "whole", "{end}");
    let history = socket.call("chat.history", &json!({"sessionKey": "main"})).unwrap();
    assert!(!history.to_string().contains("lost"), "{history}");

    // Over HTTP what was sent cannot be taken back: the stream says so.
    let home = Home::new();
    let provider = Provider::start(|_, reply| {
        reply.head();
        reply.delta("lost");
    });
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let response = ask(gateway.port, chat(&json!({"messages": user("x"), "stream": true})));
    let data = response.data();
    assert!(response.text().contains("lost"), "{response:?}");
    assert!(data[data.len() - 2].contains("in the middle of the answer"), "{data:?}");
    assert_eq!(data.last().unwrap(), "[DONE]");
    assert_eq!(provider.rest().len(), 1, "asked once");
}

#[test]
fn a_run_has_a_deadline_whatever_the_provider_does() {
    let home = Home::new();
    let provider = Provider::start(|asked, reply| {
        if asked.said() == "drip" {
            reply.head();
            while reply.write(": still here\n\n") {
                std::thread::sleep(Duration::from_millis(50));
            }
        } else {
            reply.wait_for_close();
        }
    });
    let config = provider.config("").replace("apiKey: 'sk", "timeoutSeconds: 1, apiKey: 'sk");
    home.configure(&config);
    let gateway = home.start("");
    for said in ["silence", "drip"] {
        let response = ask(gateway.port, chat(&json!({"messages": user(said)})));
        assert_eq!(response.status, 504, "{said}: {response:?}");
        assert_eq!(response.json()["error"]["type"], "api_error");
    }
    let mut socket = Socket::connect(gateway.port);
    let end = send(&mut socket, "silence");
    assert_eq!((&end["state"], &end["errorKind"]), (&json!("error"), &json!("timeout")), "{end}");
}

#[test]
fn the_request_upstream_is_what_was_configured_and_asked() {
    let home = Home::new();
    let provider = Provider::start(|_, reply| {
        let call =
            |delta: Value| json!({"choices": [{"index": 0, "delta": {"tool_calls": [delta]}}]});
        reply.head();
        let start = json!({"name": "look", "arguments": ""});
        reply.event(&call(json!({"index": 0, "id": "c0", "type": "function", "function": start})));
        reply.event(&call(json!({"index": 0, "function": {"arguments": "{\"a\":"}})));
        reply.event(&call(json!({"index": 0, "function": {"arguments": "1}"}})));
        let other = json!({"name": "see", "arguments": "{}"});
        reply.event(&call(json!({"index": 1, "id": "c1", "type": "function", "function": other})));
        reply.finish("tool_calls");
    });
    home.configure(&provider.config("").replace("'sk-mock'", "'${MY_KEY}'"));
    let mut command = home.command("gateway --port 0");
    let gateway = Gateway::start(command.env("MY_KEY", "sk-from-env"));
    let tool = |name: &str| {
        let parameters = json!({"type": "object", "properties": {"a": {"type": "number"}}});
        json!({"type": "function", "function": {"name": name, "parameters": parameters}})
    };
    let tools = json!([tool("look"), tool("see")]);
    let body = json!({
        "messages": [{"role": "system", "content": "be brief"},
            {"role": "user", "content": "grüß \u{1f600} \"x\"\n"}],
        "tools": tools, "temperature": 0.5, "seed": 7, "stop": ["END"],
    });
    let whole = ask(gateway.port, chat(&body)).json();
    let calls = &whole["choices"][0]["message"]["tool_calls"];
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls", "{whole}");
    assert_eq!(calls[0]["function"], json!({"name": "look", "arguments": "{\"a\":1}"}), "{whole}");
    assert_eq!(calls[1]["function"], json!({"name": "see", "arguments": "{}"}), "{whole}");
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    assert_eq!(whole["usage"]["total_tokens"], 18, "{whole}");

    let asked = provider.asked();
    assert!(asked.head.starts_with("POST /v1/chat/completions HTTP/1.1"), "{}", asked.head);
    assert!(asked.head.contains("Bearer sk-from-env"), "{}", asked.head);
    let sent = &asked.body;
    assert_eq!(sent["model"], "m1");
    assert_eq!(sent["stream"], true);
    assert_eq!(sent["stream_options"]["include_usage"], true);
    assert_eq!(sent["max_completion_tokens"], 777, "{sent}");
    let system = sent["messages"][0]["content"].as_str().unwrap();
    assert!(system.starts_with("You are main,") && system.ends_with("be brief"), "{system}");
    assert_eq!(sent["messages"][1], body["messages"][1], "{sent}");
    assert_eq!(sent["messages"].as_array().unwrap().len(), 2, "{sent}");
    let sent_tools = sent["tools"].as_array().unwrap();
    let callers = sent_tools.get(sent_tools.len() - 2..).unwrap();
    assert_eq!(json!(callers), tools, "behind the gateway's own");
    assert_eq!(
        (&sent["temperature"], &sent["seed"], &sent["stop"]),
        (&json!(0.5), &json!(7), &json!(["END"])),
        "{sent}"
    );

    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    streamed["max_tokens"] = json!(5);
    let response = ask(gateway.port, chat(&streamed));
    let mut arguments = [String::new(), String::new()];
    let mut finish = Value::Null;
    for chunk in response.data().iter().filter(|data| *data != "[DONE]") {
        let chunk: Value = serde_json::from_str(chunk).unwrap();
        let choice = &chunk["choices"][0];
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            arguments[index].push_str(call["function"]["arguments"].as_str().unwrap());
        }
        if !choice["finish_reason"].is_null() {
            finish = choice["finish_reason"].clone();
        }
    }
    assert_eq!(arguments, ["{\"a\":1}", "{}"]);
    assert_eq!(finish, "tool_calls");
    assert_eq!(provider.asked().body["max_completion_tokens"], 5, "what was asked comes first");
}

#[test]
fn nonsense_from_a_provider_is_an_error_and_nothing_worse() {
    let home = Home::new();
    let provider = Provider::start(|asked, reply| {
        let said = asked.said();
        match said.as_str() {
            "no http" => drop(reply.write("hello, I am a mail server\r\n\r\n")),
            "no sse" => {
                reply.head();
                reply.write("{\"choices\": 7}\n\n");
            }
            "no json" => {
                reply.head();
                reply.write("data: {{{\n\n");
            }
            "error event" => {
                reply.head();
                reply.event(&json!({"error": {"message": "out of credit"}}));
            }
            "endless line" => {
                reply.head();
                reply.write("data: ");
                while reply.write("x".repeat(64 * 1024)) {}
            }
            "redirect" => reply.refuse("302 Found", "Location: http://127.0.0.1:1/\r\n", "there"),
            _ => reply.say("fine"),
        }
    });
    home.configure(&provider.config("").replace("apiKey: 'sk", "timeoutSeconds: 1, apiKey: 'sk"));
    let gateway = home.start("");
    for said in ["no http", "no sse", "no json", "error event", "endless line", "redirect"] {
        let response = ask(gateway.port, chat(&json!({"messages": user(said)})));
        assert!(matches!(response.status, 400 | 502 | 504), "{said}: {response:?}");
        assert_eq!(response.json()["error"]["type"], "api_error", "{said}");
    }
    let response = ask(gateway.port, chat(&json!({"messages": user("good")})));
    assert!(response.text().contains("fine"), "{response:?}");
}

#[test]
fn an_answer_that_is_no_stream_is_taken_or_refused_at_once() {
    let home = Home::new();
    let provider = Provider::start(|asked, reply| {
        let (kind, body) = match asked.said().as_str() {
            "page" => ("text/html; charset=utf-8", "<html>Welcome to the mock".to_owned()),
            "error" => ("application/json", json!({"error": {"message": "unpaid"}}).to_string()),
            "other" => ("application/json", json!({"object": "list", "data": []}).to_string()),
            said => {
                let function = json!({"name": "look", "arguments": "{}"});
                let call = json!({"id": "c0", "type": "function", "function": function});
                let mut message = json!({"role": "assistant", "content": "whole"});
                if said == "answer" {
                    message["tool_calls"] = json!([call]);
                }
                let choice = json!({"message": message, "finish_reason": "tool_calls"});
                let usage = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
                let answer = json!({
                    "object": "chat.completion", "id": "x", "choices": [choice], "usage": usage,
                });
                ("application/json", answer.to_string())
            }
        };
        let length = body.len();
        reply.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        reply.wait_for_close();
    });
    home.configure(&provider.config(""));
    let gateway = home.start("");
    for (said, words) in [
        ("page", "did not stream (content type text/html; charset=utf-8); check baseUrl and api"),
        ("error", "unpaid"),
        ("other", "did not stream (content type application/json)"),
    ] {
        let response = ask(gateway.port, chat(&json!({"messages": user(said)})));
        assert_eq!(response.status, 502, "{said}: {response:?}");
        let message = response.json()["error"]["message"].to_string();
        assert!(message.contains(words), "{said}: {message}");
        assert_eq!(provider.rest().len(), 1, "{said}: asked once");
    }
    for stream in [false, true] {
        let tools = json!([{"type": "function", "function": {"name": "look"}}]);
        let body = json!({"messages": user("answer"), "stream": stream, "tools": tools});
        let response = ask(gateway.port, chat(&body));
        assert_eq!(response.status, 200, "{response:?}");
        for part in ["whole", "look", "tool_calls"] {
            assert!(response.text().contains(part), "{part}: {response:?}");
        }
        assert!(stream || response.json()["usage"]["total_tokens"] == 3, "{response:?}");
    }
    let mut socket = Socket::connect(gateway.port);
    assert_eq!(send(&mut socket, "r")["message"]["content"][0]["text"], "whole");
}

#[test]
fn a_client_that_does_not_read_stops_its_provider_and_still_gets_every_byte() {
    // Few letters an event, so that far more bytes flow than socket buffers take.
    const PIECES: usize = 260_000;
    let home = Home::new();
    let written = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&written);
    let provider = Provider::start(move |_, reply| {
        let mut out = BufWriter::new(reply.stream.try_clone().unwrap());
        out.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        for n in 0..PIECES {
            let pad = "p".repeat(100);
            let data = format!("{{\"choices\":[{{\"delta\":{{\"content\":\"{n:08}\"}}}}]");
            writeln!(out, "data: {data},\"pad\":\"{pad}\"}}\n").unwrap();
            theirs.fetch_add(1, Ordering::Relaxed);
        }
        out.flush().unwrap();
        reply.finish("stop");
    });
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut http = Http::connect(gateway.port);
    http.send(chat(&json!({"messages": user("x"), "stream": true})));
    provider.asked();
    // It stands still when nothing was written for a while.
    let deadline = Instant::now() + PATIENCE;
    let mut before = usize::MAX;
    while written.load(Ordering::Relaxed) != before {
        before = written.load(Ordering::Relaxed);
        assert!(Instant::now() < deadline, "it never stands still");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!((1..PIECES).contains(&before), "the provider was never held back");
    let rss = common::rss_kb(gateway.pid());
    assert!(rss < 40_000, "{rss} kB for one slow reader");
    assert_eq!(http.head().unwrap().status, 200);
    let mut body = Vec::new();
    while let Some(chunk) = http.chunk() {
        body.extend(chunk);
    }
    let body = String::from_utf8(body).unwrap();
    let told = body.split("\"content\":\"").skip(1).map(|rest| &rest[..8]);
    let mut count = 0;
    for (n, piece) in told.enumerate() {
        assert_eq!(piece.parse(), Ok(n));
        count = n + 1;
    }
    assert_eq!(count, PIECES);
    assert!(body.ends_with("data: [DONE]\n\n"));
}

#[test]
fn a_provider_that_takes_too_long_is_replaced_by_the_next() {
    let home = Home::new();
    let slow = Provider::start(|_, reply| {
        reply.head();
        reply.delta("slow");
        reply.wait_for_close();
    });
    let second = Provider::echo();
    let model = "primary: 'first/m1', fallbacks: ['second/m1']";
    let config = config(&[("first", slow.port), ("second", second.port)], model, "");
    home.configure(&config.replacen("apiKey", "timeoutSeconds: 1, apiKey", 1));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let end = send(&mut socket, "r");
    assert_eq!(end["message"]["content"][0]["text"], "echo: r", "{end}");
    assert_eq!(slow.rest().len(), 1);
}

#[cfg(feature = "tls")]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
#[test]
fn an_unknown_authority_is_told_as_a_fault_of_tls() {
    let home = Home::new();
    let made = std::process::Command::new("openssl")
        .args("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost".split(' '))
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(&home.0)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: no openssl on this machine, so no TLS server to distrust");
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = std::process::Command::new("openssl");
    command
        .args(["s_server", "-accept", &format!("127.0.0.1:{port}")])
        .args(["-key", "key.pem", "-cert", "cert.pem", "-www"])
        .current_dir(&home.0)
        .stdin(std::process::Stdio::null());
    let mut server = common::Lines::start(&mut command);
    server.wait_for("ACCEPT");
    home.configure(
        &config(&[("mock", port)], "primary: 'mock/m1'", "").replace("'http://127", "'https://127"),
    );
    let gateway = home.start("");
    let began = Instant::now();
    let response = ask(gateway.port, chat(&json!({"messages": user("x")})));
    assert_eq!(response.status, 502, "{response:?}");
    assert!(began.elapsed() < PATIENCE / 2, "it was tried again and again");
    let message = response.json()["error"]["message"].to_string();
    assert!(message.contains("TLS") && message.contains("certificate"), "{message}");
    assert!(message.contains("SSL_CERT_FILE"), "{message}");
}
