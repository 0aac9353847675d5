//! Every dialect: recorded streams cut at every byte, and the binary against scripted servers.

mod common;

use common::http::TOKEN;
use common::provider::Provider;
use common::socket::Socket;
use common::{Gateway, Home, PATIENCE};
use openclaw_gateway::agent::call::{Call, CallEvent};
use openclaw_gateway::agent::provider::{Delta, Dialect};
use openclaw_gateway::agent::turn::thinking_content;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

const WALL_MS: u64 = 1_795_008_000_000;

fn recordings() -> Vec<(Dialect, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/providers");
    let mut all = Vec::new();
    for dialect in Dialect::ALL {
        // Azure speaks as its model does.
        if dialect == Dialect::AzureOpenAiResponses {
            continue;
        }
        let entries = fs::read_dir(root.join(dialect.as_str())).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "sse"));
        files.sort();
        assert!(files.len() >= 3, "{}: {} recordings", dialect.as_str(), files.len());
        all.extend(files.into_iter().map(|path| (dialect, path)));
    }
    all
}

fn answer(dialect: Dialect, pieces: &mut dyn Iterator<Item = &[u8]>) -> Vec<CallEvent> {
    let mut events = Vec::new();
    let mut call = Call::new(dialect.reader(), Vec::new());
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    call.push(head, WALL_MS, &mut |event| events.push(event));
    for piece in pieces {
        call.push(piece, WALL_MS, &mut |event| events.push(event));
    }
    call.eof(&mut |event| events.push(event));
    events
}

/// What a run keeps of the deltas.
fn summary(events: &[CallEvent]) -> Value {
    let (mut text, mut reasoning) = (String::new(), String::new());
    let mut calls: Vec<[String; 3]> = Vec::new();
    let mut rest = json!({"thoughts": []});
    for event in events {
        match event {
            CallEvent::Delta(Delta::Text(piece)) => text.push_str(piece),
            CallEvent::Delta(Delta::Reasoning(piece)) => reasoning.push_str(piece),
            CallEvent::Delta(Delta::Thought(thought)) => {
                rest["thoughts"].as_array_mut().unwrap().push(thinking_content(thought));
            }
            CallEvent::Delta(Delta::ToolCall { index, id, name, arguments }) => {
                let index = usize::try_from(*index).unwrap();
                calls.resize_with(calls.len().max(index + 1), Default::default);
                let pieces = [id.as_deref(), name.as_deref(), Some(arguments.as_str())];
                for (whole, piece) in calls[index].iter_mut().zip(pieces) {
                    whole.push_str(piece.unwrap_or_default());
                }
            }
            CallEvent::Delta(Delta::Usage(usage)) => {
                let counts =
                    [usage.input, usage.output, usage.total, usage.cache_read, usage.cache_write];
                rest["usage"] = json!(counts);
            }
            CallEvent::Delta(Delta::ResponseId(id)) => rest["id"] = json!(id),
            CallEvent::Delta(Delta::Finish(reason)) => rest["stop"] = json!(reason.as_str()),
            CallEvent::Done => rest["done"] = json!(true),
            CallEvent::Failed(error) => rest["failed"] = json!(error.message),
        }
    }
    rest["text"] = json!(text);
    rest["reasoning"] = json!(reasoning);
    rest["calls"] = json!(calls);
    rest
}

#[test]
fn recorded_streams_read_as_written_down() {
    for (dialect, path) in recordings() {
        let bytes = fs::read(&path).unwrap();
        let got = summary(&answer(dialect, &mut std::iter::once(bytes.as_slice())));
        let beside = path.with_extension("json");
        let want = fs::read_to_string(&beside).unwrap_or_default();
        let want: Value = serde_json::from_str(&want).unwrap_or_default();
        assert_eq!(got, want, "{}: {got:#}", beside.display());
    }
}

#[test]
fn recorded_streams_read_the_same_split_at_every_byte() {
    for (dialect, path) in recordings() {
        let bytes = fs::read(&path).unwrap();
        let want = answer(dialect, &mut std::iter::once(bytes.as_slice()));
        assert_eq!(want.last(), Some(&CallEvent::Done), "{}", path.display());
        for cut in 0..=bytes.len() {
            let (a, b) = bytes.split_at(cut);
            let got = answer(dialect, &mut [a, b].into_iter());
            assert_eq!(got, want, "{} cut at {cut}", path.display());
        }
        let got = answer(dialect, &mut bytes.chunks(1));
        assert_eq!(got, want, "{} in single bytes", path.display());
    }
}

#[test]
fn recorded_streams_cut_short_end_in_one_way() {
    for (dialect, path) in recordings() {
        let bytes = fs::read(&path).unwrap();
        for cut in 0..bytes.len() {
            let got = answer(dialect, &mut std::iter::once(&bytes[..cut]));
            let ends = got.iter().filter(|event| !matches!(event, CallEvent::Delta(_))).count();
            assert_eq!(ends, 1, "{} cut at {cut}", path.display());
            let finished = got.iter().any(|e| matches!(e, CallEvent::Delta(Delta::Finish(_))));
            let done = got.last() == Some(&CallEvent::Done);
            assert!(done <= finished, "{} cut at {cut}: done without a reason", path.display());
        }
    }
}

/// A gateway's configuration with one provider at this address, and its model `m`.
fn config(name: &str, api: &str, base: &str, more: &str) -> String {
    format!(
        "{{gateway: {{mode: 'local', auth: {{token: '{TOKEN}'}}}},
        models: {{providers: {{{name}: {{baseUrl: '{base}', api: '{api}', {more}
            models: [{{id: 'm', reasoning: true, maxTokens: 4000, input: ['text', 'image']}}]}}}}}},
        agents: {{defaults: {{model: {{primary: '{name}/m'}}}}}}}}"
    )
}

fn recording(dialect: &str, name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/providers");
    fs::read(root.join(dialect).join(name)).unwrap()
}

fn run(gateway: &Gateway, id: &str) -> Value {
    let mut socket = Socket::connect(gateway.port);
    let params = json!({"sessionKey": "main", "message": id, "idempotencyKey": id});
    socket.call("chat.send", &params).unwrap();
    socket.chat_end(id)
}

/// What the run says at its end: its text, or its error.
fn outcome(end: &Value) -> String {
    let text = end["message"]["content"][0]["text"].as_str();
    let error = end["errorMessage"].as_str();
    match end["state"].as_str() {
        Some("final") => text.unwrap_or_default().to_owned(),
        _ => format!("error: {}", error.or(text).unwrap_or_default()),
    }
}

#[test]
fn a_run_in_each_dialect_asks_and_is_answered() {
    for (api, path, header, said) in [
        (
            "openai-completions",
            "POST /v1/chat/completions ",
            "authorization: bearer k-12345678",
            "Grüße from 🦞!",
        ),
        (
            "openai-responses",
            "POST /v1/responses ",
            "authorization: bearer k-12345678",
            "Hi 🦞 there",
        ),
        ("anthropic-messages", "POST /v1/messages ", "x-api-key: k-12345678", "Hello 🦞!"),
        (
            "google-generative-ai",
            "POST /v1/models/m:streamGenerateContent?alt=sse ",
            "x-goog-api-key: k-12345678",
            "AI learns 🦞 patterns.",
        ),
    ] {
        let name = if api == "openai-completions" { "openai-text.sse" } else { "text.sse" };
        let provider = Provider::start(move |_, reply| {
            reply.head();
            reply.write(recording(api, name));
        });
        let home = Home::new();
        let base = format!("http://127.0.0.1:{}/v1", provider.port);
        home.configure(&config("p", api, &base, "apiKey: 'k-12345678',"));
        let gateway = home.start("");
        let end = run(&gateway, "hello there");
        assert_eq!(outcome(&end).trim(), said, "{api}: {end}");
        let asked = provider.asked();
        assert!(asked.head.starts_with(path), "{}", asked.head);
        assert!(asked.head.to_ascii_lowercase().contains(header), "{}", asked.head);
        assert!(asked.body.to_string().contains("hello there"), "{}", asked.body);
    }
}

#[test]
fn thinking_goes_back_with_the_calls_that_it_led_to() {
    let table = [
        ("anthropic-messages", "\"signature\":\"EqQBCgIYAhIM1gbcDa9GJwZA2b3h\"", "toolu_02"),
        ("openai-responses", "\"encrypted_content\":\"gAAAAABo==\"", "call_b"),
        ("google-generative-ai", "\"thoughtSignature\":\"CiwBVKhc7ks==\"", "get_time"),
    ];
    for (api, signature, call) in table {
        let tools = match api {
            "openai-responses" => "reasoning-tools.sse",
            _ => "thinking-tools.sse",
        };
        let provider = Provider::start(move |asked, reply| {
            reply.head();
            let name = if asked.number == 0 { tools } else { "text.sse" };
            reply.write(recording(api, name));
        });
        let home = Home::new();
        let base = format!("http://127.0.0.1:{}", provider.port);
        home.configure(&config("p", api, &base, ""));
        let gateway = home.start("");
        let end = run(&gateway, "x");
        assert_eq!(end["state"], "final", "{api}: {end}");
        let first = provider.asked();
        assert!(!first.body.to_string().contains("ignature\":\""), "{}", first.body);
        let second = provider.asked().body.to_string();
        assert!(second.contains(signature), "{api}: {second}");
        assert!(second.contains(call), "{api}: {second}");
    }
}

#[test]
fn keys_are_tried_in_turn_and_a_refused_one_rests() {
    for (status, rested) in [("401 Unauthorized", true), ("429 Too Many Requests", true)] {
        let provider = Provider::start(move |asked, reply| {
            if asked.head.contains("key-aaaaaaaa") {
                return reply.refuse(status, "", "bad key-aaaaaaaa");
            }
            reply.say("with the second");
        });
        let home = Home::new();
        let base = format!("http://127.0.0.1:{}/v1", provider.port);
        home.configure(&config("my_box", "openai-completions", &base, ""));
        let mut command = home.command("gateway run --port 0");
        command.env("MY_BOX_API_KEYS", "key-aaaaaaaa, key-bbbbbbbb");
        let gateway = Gateway::start(&mut command);
        let began = Instant::now();
        assert_eq!(outcome(&run(&gateway, "one")), "with the second", "{status}");
        assert!(began.elapsed() < PATIENCE / 2, "{status}: it waited for the first key");
        let keys = || {
            let asked = provider.rest().into_iter();
            asked.map(|asked| asked.head.contains("key-aaaaaaaa")).collect::<Vec<_>>()
        };
        assert_eq!(keys(), [true, false], "{status}");
        assert_eq!(outcome(&run(&gateway, "two")), "with the second");
        assert_eq!(keys() == [false], rested, "{status}: the first key rests");
    }
}

#[test]
fn when_every_key_was_refused_the_run_says_which_and_for_how_long() {
    let provider = Provider::start(|_, reply| {
        reply.refuse("401 Unauthorized", "", "no such key: key-aaaaaaaa");
    });
    let home = Home::new();
    let base = format!("http://127.0.0.1:{}/v1", provider.port);
    home.configure(&config("p", "openai-completions", &base, "apiKey: 'key-aaaaaaaa',"));
    let gateway = home.start("");
    let end = run(&gateway, "one");
    assert_eq!(end["state"], "error", "{end}");
    let first = outcome(&end);
    assert!(first.contains("HTTP 401") && first.contains("models.providers.p.apiKey"), "{first}");
    let second = outcome(&run(&gateway, "two"));
    assert!(second.contains("models.providers.p.apiKey rests for"), "{second}");
    assert!(!format!("{first}{second}").contains("key-aaaaaaaa"), "{first} {second}");
    assert_eq!(provider.rest().len(), 1, "it is not asked again meanwhile");
}

#[test]
fn a_conversation_too_long_for_the_model_is_not_repeated() {
    for (api, status, body) in [
        (
            "anthropic-messages",
            "400 Bad Request",
            "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\
             \"message\":\"prompt is too long: 9 tokens > 8 maximum\"}}",
        ),
        (
            "openai-completions",
            "500 Internal Server Error",
            "{\"error\":{\"message\":\"context size has been exceeded\"}}",
        ),
    ] {
        let provider = Provider::start(move |_, reply| {
            let length = body.len();
            reply.write(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"));
        });
        let home = Home::new();
        let base = format!("http://127.0.0.1:{}/v1", provider.port);
        home.configure(&config("p", api, &base, "apiKey: 'key-aaaaaaaa',"));
        let gateway = home.start("");
        let said = outcome(&run(&gateway, "one"));
        assert!(said.contains("too long") || said.contains("exceeded"), "{said}");
        assert_eq!(provider.rest().len(), 1, "{api}: asked once");
    }
}

/// A proxy that answers its first request by the script and tells what it was asked.
fn proxy(answer: impl Fn(&mut TcpStream) + Send + 'static) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            answer(&mut stream);
            if tell.send(String::from_utf8_lossy(&head).into_owned()).is_err() {
                return;
            }
        }
    });
    (port, told)
}

#[test]
fn an_https_provider_is_reached_through_the_proxys_tunnel() {
    let (tell_hello, hello) = channel();
    let (port, asked) = proxy(move |stream| {
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let mut first = [0; 1];
        let _ = stream.read(&mut first);
        let _ = tell_hello.send(first[0]);
    });
    let home = Home::new();
    let more = format!(
        "request: {{proxy: {{mode: 'explicit-proxy', url: 'http://me:pass@127.0.0.1:{port}'}}}},
         timeoutSeconds: 5,"
    );
    home.configure(&config("p", "openai-completions", "https://model.invalid/v1", &more));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let params = json!({"sessionKey": "main", "message": "x", "idempotencyKey": "x"});
    socket.call("chat.send", &params).unwrap();
    // A ClientHello: the name is the proxy's to look up, and the tunnel carries TLS.
    assert_eq!(hello.recv_timeout(PATIENCE).unwrap(), 0x16);
    let head = asked.recv_timeout(PATIENCE).unwrap();
    assert!(head.starts_with("CONNECT model.invalid:443 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic bWU6cGFzcw==\r\n"), "{head}");
    assert!(!head.contains("Bearer"), "{head}");
}

#[test]
fn a_proxy_that_refuses_ends_the_run_with_its_words() {
    let (port, asked) = proxy(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    });
    let home = Home::new();
    home.configure(&config("p", "openai-completions", "https://model.invalid/v1", ""));
    let mut command = home.command("gateway run --port 0");
    command.env("HTTPS_PROXY", format!("http://127.0.0.1:{port}"));
    let gateway = Gateway::start(&mut command);
    let said = outcome(&run(&gateway, "x"));
    assert!(said.contains("407") && said.contains("HTTPS_PROXY"), "{said}");
    assert!(asked.recv_timeout(PATIENCE).unwrap().starts_with("CONNECT model.invalid:443"));
    assert!(asked.try_recv().is_err(), "it is asked once");
}

#[test]
fn a_plain_provider_is_asked_for_by_its_whole_address_at_the_proxy() {
    let provider = Provider::start(|_, reply| reply.say("through it"));
    let home = Home::new();
    home.configure(&config("p", "openai-completions", "http://model.invalid:81/v1", ""));
    let mut command = home.command("gateway run --port 0");
    command.env("http_proxy", format!("127.0.0.1:{}", provider.port));
    let gateway = Gateway::start(&mut command);
    assert_eq!(outcome(&run(&gateway, "x")), "through it");
    let head = provider.asked().head;
    let want = "POST http://model.invalid:81/v1/chat/completions HTTP/1.1\r\n";
    assert!(head.starts_with(want) && head.contains("Host: model.invalid:81\r\n"), "{head}");
}

#[test]
fn a_known_provider_without_a_key_says_what_to_set() {
    let home = Home::new();
    let agents = "agents: {defaults: {model: {primary: 'anthropic/claude-opus-5'}}}";
    home.configure(&format!(
        "{{gateway: {{mode: 'local', auth: {{token: '{TOKEN}'}}}}, {agents}}}"
    ));
    let gateway = home.start("");
    let said = outcome(&run(&gateway, "x"));
    assert!(said.contains("ANTHROPIC_API_KEY") && said.contains("\"anthropic\""), "{said}");
}
