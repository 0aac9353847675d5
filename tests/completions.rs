//! The OpenAI surface: models, completions, their errors, and a client that leaves.

mod common;

use common::http::{Http, Response, TOKEN, ask, chat, get, post};
use common::provider::{Provider, config};
use common::{Gateway, Home};
use serde_json::{Value, json};

fn start(home: &Home) -> Gateway {
    home.configure(&config(&[], "primary: 'local/echo'", ""));
    home.start("")
}

/// The answer is this error in OpenAI's shape.
fn assert_error(response: &Response, status: u16, kind: &str, part: &str) {
    assert_eq!(response.status, status, "{response:?}");
    let error = &response.json()["error"];
    assert_eq!(error["type"], kind, "{error}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains(part)), "{error}");
}

#[test]
fn models_are_the_agents() {
    let home = Home::new();
    home.configure(
        &config(&[], "primary: 'local/echo'", "")
            .replace("agents: {", "agents: {list: [{id: 'main', default: true}, {id: 'work'}], "),
    );
    let gateway = home.start("");
    let list = ask(gateway.port, get("/v1/models")).json();
    let ids: Vec<&str> =
        list["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["openclaw", "openclaw/default", "openclaw/main", "openclaw/work"]);
    assert_eq!(list["object"], "list");
    for id in ["openclaw", "openclaw/work", "openclaw%2Fwork", "openclaw%2fdefault"] {
        let model = ask(gateway.port, get(&format!("/v1/models/{id}")));
        assert_eq!(model.status, 200, "{id}: {model:?}");
        let want = json!({
            "id": id.replace("%2F", "/").replace("%2f", "/"), "object": "model", "created": 0,
            "owned_by": "openclaw", "permission": [],
        });
        assert_eq!(model.json(), want);
    }
    let gone = ask(gateway.port, get("/v1/models/openclaw%2Fnope"));
    assert_error(&gone, 404, "invalid_request_error", "Model 'openclaw/nope' not found.");
    let foreign = ask(gateway.port, get("/v1/models/gpt-4o"));
    assert_error(&foreign, 400, "invalid_request_error", "Invalid model id.");
    let posted = ask(gateway.port, post("/v1/models", &json!({})));
    assert_error(&posted, 405, "invalid_request_error", "Method Not Allowed");
    assert!(posted.header("allow").unwrap().starts_with("GET"), "{posted:?}");
}

#[test]
fn a_switched_off_endpoint_names_its_key() {
    let home = Home::new();
    home.configure(
        &config(&[], "primary: 'local/echo'", "").replace("enabled: true", "enabled: false"),
    );
    let gateway = home.start("");
    let body = json!({"messages": [{"role": "user", "content": "x"}]});
    let key = "gateway.http.endpoints.chatCompletions.enabled";
    let response = ask(gateway.port, chat(&body));
    assert_error(&response, 404, "invalid_request_error", key);
    assert_eq!(ask(gateway.port, get("/v1/models")).status, 200);
}

fn user(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

#[test]
fn a_completion_whole_and_as_a_stream() {
    let home = Home::new();
    let provider = Provider::echo();
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let whole = ask(gateway.port, chat(&json!({"model": "openclaw/main", "messages": user("hi")})));
    assert_eq!(whole.status, 200, "{whole:?}");
    let whole = whole.json();
    assert!(whole["id"].as_str().unwrap().starts_with("chatcmpl_"), "{whole}");
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["model"], "openclaw/main");
    let message = json!({"role": "assistant", "content": "echo: hi"});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    assert_eq!(whole["choices"], json!([choice]));
    let usage = json!({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18});
    assert_eq!(whole["usage"], usage);

    for include_usage in [false, true] {
        let mut body = json!({"messages": user("hi"), "stream": true});
        if include_usage {
            body["stream_options"] = json!({"include_usage": true});
        }
        let response = ask(gateway.port, chat(&body));
        assert_eq!(response.header("content-type"), Some("text/event-stream; charset=utf-8"));
        assert_eq!(response.header("cache-control"), Some("no-cache"));
        let data = response.data();
        let (done, chunks) = data.split_last().unwrap();
        assert_eq!(done, "[DONE]");
        let chunks: Vec<Value> =
            chunks.iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
        assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant"}));
        assert_eq!(chunks[1]["choices"][0]["delta"], json!({"content": "echo: hi"}));
        assert_eq!(chunks[2]["choices"][0]["delta"], json!({}));
        assert_eq!(chunks[2]["choices"][0]["finish_reason"], "stop");
        assert_eq!(chunks.len(), if include_usage { 4 } else { 3 });
        if include_usage {
            assert_eq!(chunks[3]["choices"], json!([]));
            assert_eq!(chunks[3]["usage"], usage);
        }
        assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
        assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
    }
}

#[test]
fn a_bad_request_is_told_in_openais_shape() {
    let home = Home::new();
    let gateway = start(&home);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (body, part) in [
        ("", "Missing user message"),
        ("{", "not JSON"),
        ("\u{feff}{}", "not JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "Missing user message"),
        (deep.as_str(), "not JSON"),
        (r#"{"messages": []}"#, "Missing user message"),
        (r#"{"messages": "x"}"#, "messages: Invalid input: expected array, received string"),
        (r#"{"messages": [{"role": "system", "content": "x"}]}"#, "Missing user message"),
        (r#"{"messages": [{"role": "user", "content": "x"}], "stream": 1}"#, "stream"),
        (r#"{"messages": [{"role": "user", "content": "x"}], "model": "gpt"}"#, "Invalid `model`"),
        (
            r#"{"messages": [{"role": "user", "content": "x"}], "model": "openclaw/nope"}"#,
            "Unknown agent 'nope'",
        ),
        (r#"{"messages": [{"role": "user", "content": "x"}], "temperature": 9}"#, "temperature"),
        (r#"{"messages": [{"role": "user", "content": "x"}], "tools": [1]}"#, "tools[0]"),
    ] {
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let shown: String = body.chars().take(80).collect();
        let response = ask(gateway.port, request);
        assert_eq!(response.status, 400, "{shown}: {response:?}");
        assert_error(&response, 400, "invalid_request_error", part);
    }
    let get = ask(gateway.port, get("/v1/chat/completions"));
    assert_error(&get, 405, "invalid_request_error", "Method Not Allowed");
    assert_eq!(get.header("allow"), Some("POST"));
    let mut with_model = chat(&json!({"messages": user("x")}));
    with_model = with_model.replacen("\r\n\r\n", "\r\nx-openclaw-model: no/such\r\n\r\n", 1);
    let response = ask(gateway.port, with_model);
    assert_error(&response, 404, "invalid_request_error", "no/such");
}

#[test]
fn a_client_that_leaves_cancels_its_run_upstream() {
    let home = Home::new();
    let (told, closed) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let provider = Provider::start(move |asked, reply| {
        reply.head();
        if asked.said() == "stream" {
            reply.delta("first");
        }
        reply.wait_for_close();
        told.lock().unwrap().send(asked.said()).unwrap();
    });
    home.configure(&provider.config(""));
    let gateway = home.start("");
    for (said, stream) in [("stream", true), ("whole", false)] {
        let mut http = Http::connect(gateway.port);
        http.send(chat(&json!({"messages": user(said), "stream": stream})));
        provider.asked();
        if stream {
            http.head().unwrap();
            while !String::from_utf8(http.chunk().unwrap()).unwrap().contains("first") {}
        }
        drop(http);
        assert_eq!(closed.recv_timeout(common::PATIENCE).unwrap(), said);
    }
    assert_eq!(ask(gateway.port, get("/healthz")).status, 200);
}
