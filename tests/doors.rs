//! The HTTP doors: the session rule row by row, what is switched off, embeddings, one tool.

mod common;

use common::http::{Http, Response, TOKEN, ask, chat, get, post};
use common::provider::Provider;
use common::{Gateway, Home};
use serde_json::{Value, json};

/// A request with a header more.
fn with(request: String, name: &str, value: &str) -> String {
    request.replacen("\r\n\r\n", &format!("\r\n{name}: {value}\r\n\r\n"), 1)
}

fn start(home: &Home, provider: &Provider, more: &str) -> Gateway {
    home.configure(
        &provider
            .config(more)
            .replace("agents: {", "agents: {list: [{id: 'main', default: true}, {id: 'two'}], "),
    );
    home.start("")
}

/// What the person said, as the model was told it.
fn heard(provider: &Provider) -> Vec<String> {
    let body = provider.asked().body;
    let messages = body["messages"].as_array().unwrap().iter();
    let users = messages.filter(|message| message["role"] == "user");
    users.map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

/// A door of the session rule: its path and the prefix of `user` sessions.
#[derive(Clone, Copy, PartialEq)]
enum Door {
    Chat,
    Responses,
}

struct Row {
    what: &'static str,
    door: Door,
    /// Members of both requests, headers of the first and of the second.
    body: Value,
    first: &'static [(&'static str, &'static str)],
    second: &'static [(&'static str, &'static str)],
    /// The second request names the response of the first.
    previous: bool,
    /// The second sees what was said in the first.
    continues: bool,
    /// The session that both are kept in, if its key is no secret.
    key: Option<&'static str>,
}

const PLAIN: Row = Row {
    what: "",
    door: Door::Chat,
    body: Value::Null,
    first: &[],
    second: &[],
    previous: false,
    continues: false,
    key: None,
};

/// The table that the README prints.
fn rows() -> Vec<Row> {
    const KEY: &[(&str, &str)] = &[("x-openclaw-session-key", "notes")];
    const OTHER: &[(&str, &str)] = &[("x-openclaw-session-key", "other")];
    const TWO: &[(&str, &str)] = &[("x-openclaw-agent-id", "two")];
    let user = || json!({"user": "ann"});
    let responses = || Row { door: Door::Responses, body: json!({}), ..PLAIN };
    vec![
        Row { what: "chat: nothing", body: json!({}), ..PLAIN },
        Row {
            what: "chat: user",
            body: user(),
            continues: true,
            key: Some("agent:main:openai-user:ann"),
            ..PLAIN
        },
        Row { what: "chat: user of another agent", body: user(), second: TWO, ..PLAIN },
        Row {
            what: "chat: key",
            body: json!({}),
            first: KEY,
            second: KEY,
            continues: true,
            key: Some("agent:main:notes"),
            ..PLAIN
        },
        Row { what: "chat: key before user", body: user(), first: KEY, ..PLAIN },
        Row { what: "chat: another key", body: json!({}), first: KEY, second: OTHER, ..PLAIN },
        Row {
            what: "chat: a key of another agent chooses it",
            body: json!({}),
            first: &[("x-openclaw-session-key", "agent:two:notes")],
            second: &[("x-openclaw-session-key", "notes"), ("x-openclaw-agent-id", "two")],
            continues: true,
            key: Some("agent:two:notes"),
            ..PLAIN
        },
        Row { what: "responses: nothing", ..responses() },
        Row {
            what: "responses: user",
            body: user(),
            continues: true,
            key: Some("agent:main:openresponses-user:ann"),
            ..responses()
        },
        Row {
            what: "responses: previous_response_id",
            previous: true,
            continues: true,
            ..responses()
        },
        Row {
            what: "responses: previous_response_id with the same user",
            body: user(),
            previous: true,
            continues: true,
            ..responses()
        },
        Row {
            what: "responses: previous_response_id of another agent",
            second: TWO,
            previous: true,
            ..responses()
        },
        Row {
            what: "responses: previous_response_id, now with a key",
            second: KEY,
            previous: true,
            ..responses()
        },
        Row {
            what: "responses: previous_response_id of one that was not stored",
            body: json!({"store": false}),
            previous: true,
            ..responses()
        },
        Row {
            what: "responses: key",
            first: KEY,
            second: KEY,
            continues: true,
            key: Some("agent:main:notes"),
            ..responses()
        },
    ]
}

fn say(row: &Row, text: &str, headers: &[(&str, &str)], previous: Option<&Value>) -> String {
    let mut body = row.body.clone();
    body["model"] = json!("openclaw");
    if let Some(id) = previous {
        body["previous_response_id"] = id.clone();
    }
    let mut request = match row.door {
        Door::Chat => {
            body["messages"] = json!([{"role": "user", "content": text}]);
            chat(&body)
        }
        Door::Responses => {
            body["input"] = json!(text);
            post("/v1/responses", &body)
        }
    };
    for (name, value) in headers {
        request = with(request, name, value);
    }
    request
}

#[test]
fn the_session_rule_row_by_row() {
    for row in rows() {
        let (home, provider) = (Home::new(), Provider::echo());
        let gateway = start(&home, &provider, "");
        let first = ask(gateway.port, say(&row, "first", row.first, None));
        assert_eq!(first.status, 200, "{}: {first:?}", row.what);
        assert_eq!(heard(&provider), ["first"], "{}", row.what);
        let id = first.json()["id"].clone();
        let second = say(&row, "second", row.second, row.previous.then_some(&id));
        let second = ask(gateway.port, second);
        assert_eq!(second.status, 200, "{}: {second:?}", row.what);
        let want: &[&str] = if row.continues { &["first", "second"] } else { &["second"] };
        assert_eq!(heard(&provider), want, "{}", row.what);
        if let Some(key) = row.key {
            let agent = key.split(':').nth(1).unwrap();
            let index = home.state().join(format!("agents/{agent}/sessions/sessions.json"));
            drop(gateway);
            let restarted = home.start("");
            let third = ask(restarted.port, say(&row, "third", row.second, None));
            assert_eq!(third.status, 200, "{}", row.what);
            assert_eq!(heard(&provider), ["first", "second", "third"], "{}", row.what);
            drop(restarted);
            let text = std::fs::read_to_string(&index).unwrap_or_default();
            assert!(text.contains(&format!("\"{key}\"")), "{}: {text}", row.what);
        }
    }
}

#[test]
fn a_session_that_may_not_be_named_is_refused() {
    let (home, provider) = (Home::new(), Provider::echo());
    let gateway = start(&home, &provider, "");
    let body = json!({"model": "openclaw", "messages": [{"role": "user", "content": "x"}]});
    for (key, part) in [
        ("subagent:x", "reserved"),
        ("cron:x", "reserved"),
        ("acp:x", "reserved"),
        ("agent:main:subagent:x", "reserved"),
        ("agent:nope:x", "Unknown agent"),
        ("agent:main", "malformed"),
    ] {
        let answer = ask(gateway.port, with(chat(&body), "x-openclaw-session-key", key));
        assert_eq!(answer.status, 400, "{key}");
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
        assert!(answer.text().contains(part), "{key}: {answer:?}");
    }
    let foreign = with(chat(&body), "x-openclaw-session-key", "agent:two:x");
    let foreign = with(foreign, "x-openclaw-agent-id", "main");
    assert_eq!(ask(gateway.port, foreign).status, 400);
    assert!(provider.rest().is_empty());
}

#[test]
fn nothing_below_the_programs_paths_is_a_page() {
    let (home, provider) = (Home::new(), Provider::echo());
    let gateway = start(&home, &provider, "");
    for path in ["/v1", "/v1/nope", "/tools", "/tools/nope", "/api", "/api/x"] {
        let gone = ask(gateway.port, get(path));
        assert_eq!(gone.status, 404, "{path}");
        assert_eq!(gone.json()["error"]["type"], "invalid_request_error", "{path}");
    }
    for path in ["/v1/embeddings", "/v1/responses", "/tools/invoke"] {
        let wrong = ask(gateway.port, get(path));
        assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")), "{path}");
    }
}

#[test]
fn endpoints_are_on_and_each_is_switched_off_by_its_key() {
    let provider = Provider::echo();
    let chat_off = "chatCompletions: {enabled: false}";
    let responses_off = "responses: {enabled: false}";
    let both = format!("{chat_off}, {responses_off}");
    for (off, table) in [
        ("", [200, 200, 200]),
        (chat_off, [404, 200, 200]),
        (responses_off, [200, 404, 200]),
        (both.as_str(), [404, 404, 404]),
    ] {
        let home = Home::new();
        let old = "chatCompletions: {enabled: true}";
        home.configure(&provider.config("").replace(old, off));
        let gateway = home.start("");
        let message = json!([{"role": "user", "content": "x"}]);
        let answers = [
            ask(gateway.port, chat(&json!({"messages": message}))),
            ask(gateway.port, post("/v1/responses", &json!({"model": "openclaw", "input": "x"}))),
            ask(gateway.port, get("/v1/models")),
        ];
        assert_eq!(answers.each_ref().map(|answer| answer.status), table, "{off}");
        let keys = ["chatCompletions", "responses", "chatCompletions"];
        for (answer, key) in answers.iter().zip(keys).filter(|(answer, _)| answer.status == 404) {
            let key = format!("gateway.http.endpoints.{key}.enabled");
            assert!(answer.json()["error"]["message"].as_str().unwrap().contains(&key));
        }
        let body = json!({"model": "openclaw", "input": 5});
        let embeddings = ask(gateway.port, post("/v1/embeddings", &body)).status;
        assert_eq!(embeddings, if table[2] == 200 { 400 } else { 404 }, "{off}");
    }
}

/// A provider of embeddings: the length of each input, and its place.
fn embedder() -> Provider {
    Provider::start(|asked, reply| {
        let input = asked.body["input"].as_array().unwrap().clone();
        if input[0] == "refuse" {
            return reply.refuse("401 Unauthorized", "", "no key sk-embed here");
        }
        let row = |(n, text): (usize, &Value)| {
            let length = text.as_str().unwrap().len();
            json!({"object": "embedding", "index": n, "embedding": [length, 0.25]})
        };
        let rows: Vec<Value> = input.iter().enumerate().map(row).collect();
        let usage = json!({"prompt_tokens": 3, "total_tokens": 3});
        let body = json!({"data": rows, "usage": usage}).to_string();
        reply.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
    })
}

fn embed(gateway: &Gateway, body: &Value) -> Response {
    ask(gateway.port, post("/v1/embeddings", body))
}

fn with_embeddings(home: &Home, provider: &Provider) -> Gateway {
    start(
        home,
        provider,
        &format!(
            "memory: {{search: {{provider: 'openai-compatible', model: 'emb', remote: {{baseUrl: \
             'http://127.0.0.1:{}/v1/', apiKey: 'sk-embed', headers: {{'X-Team': 'a'}}}}}}}}",
            provider.port
        ),
    )
}

#[test]
fn embeddings_as_floats_and_as_base64() {
    let (home, provider) = (Home::new(), embedder());
    let gateway = with_embeddings(&home, &provider);
    let body = json!({"model": "openclaw/default", "input": ["a", "bcd"], "dimensions": 2});
    let answer = embed(&gateway, &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    let want = "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\
                \"embedding\":[1.0,0.25]},{\"object\":\"embedding\",\"index\":1,\
                \"embedding\":[3.0,0.25]}],\"model\":\"openclaw/default\",\
                \"usage\":{\"prompt_tokens\":3,\"total_tokens\":3}}";
    assert_eq!(answer.text(), want);
    let asked = provider.asked();
    assert!(asked.head.starts_with("POST /v1/embeddings "), "{}", asked.head);
    assert!(asked.head.contains("Authorization: Bearer sk-embed"), "{}", asked.head);
    assert!(asked.head.contains("X-Team: a"), "{}", asked.head);
    assert_eq!((&asked.body["model"], &asked.body["dimensions"]), (&json!("emb"), &json!(2)));
    let one = json!({"model": "openclaw", "input": "abcd", "encoding_format": "base64"});
    let one = embed(&gateway, &one).json();
    // 4.0 and 0.25 as little-endian 32-bit floats.
    assert_eq!(one["data"][0]["embedding"], "AACAQAAAgD4=");
    let other = with(
        post("/v1/embeddings", &json!({"model": "openclaw", "input": "a"})),
        "x-openclaw-model",
        "emb-2",
    );
    assert_eq!(ask(gateway.port, other).status, 200);
    provider.asked();
    assert_eq!(provider.asked().body["model"], "emb-2");
    let many: Vec<String> = (0..300).map(|n| "x".repeat(n)).collect();
    let many = embed(&gateway, &json!({"model": "openclaw", "input": many})).json();
    let rows = many["data"].as_array().unwrap();
    assert_eq!(rows.len(), 300);
    assert!(rows.iter().enumerate().all(|(n, row)| row["embedding"][0] == n as f64));
    let batches: Vec<usize> =
        provider.rest().iter().map(|asked| asked.body["input"].as_array().unwrap().len()).collect();
    assert_eq!(batches, [128, 128, 44]);
}

#[test]
fn embeddings_that_cannot_be() {
    let (home, provider) = (Home::new(), embedder());
    let gateway = with_embeddings(&home, &provider);
    for (body, part) in [
        (json!({"model": "text-embedding-3-small", "input": "a"}), "Invalid `model`"),
        (json!({"model": "openclaw"}), "`input` must be a string or an array of strings."),
        (json!({"model": "openclaw", "input": 5}), "input: Invalid input"),
        (json!({"model": "openclaw", "input": [1]}), "input: Invalid input"),
        (json!({"model": "openclaw", "input": []}), "at least one non-empty string"),
        (json!({"model": "openclaw", "input": " "}), "at least one non-empty string"),
        (json!({"model": "openclaw", "input": "a", "encoding_format": "hex"}), "float or base64"),
        (json!({"model": "openclaw", "input": "a", "dimensions": 0}), "dimensions"),
    ] {
        let answer = embed(&gateway, &body);
        assert_eq!(answer.status, 400, "{body}");
        let error = &answer.json()["error"];
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["message"].as_str().unwrap().contains(part), "{body}: {error}");
    }
    let foreign = post("/v1/embeddings", &json!({"model": "openclaw", "input": "a"}));
    let foreign = ask(gateway.port, with(foreign, "x-openclaw-model", "mock/emb"));
    assert_eq!(foreign.status, 400);
    let refused = embed(&gateway, &json!({"model": "openclaw", "input": "refuse"}));
    assert_eq!(refused.status, 502);
    assert!(!refused.text().contains("sk-embed"), "{refused:?}");
    let large = "x".repeat(9 * 1024 * 1024);
    let large = embed(&gateway, &json!({"model": "openclaw", "input": large}));
    assert_eq!(large.status, 413);
    assert_eq!(ask(gateway.port, get("/healthz")).status, 200);

    let home = Home::new();
    let bare = home_without_embeddings(&home);
    let unset = embed(&bare, &json!({"model": "openclaw", "input": "a"}));
    assert_eq!(unset.status, 500);
    assert_eq!(unset.json()["error"]["type"], "api_error");
    assert!(unset.text().contains("memory.search"), "{unset:?}");
}

#[test]
fn a_client_that_leaves_cancels_the_question_for_embeddings() {
    let (told, closed) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let provider = Provider::start(move |_, reply| {
        reply.wait_for_close();
        told.lock().unwrap().send(()).unwrap();
    });
    let home = Home::new();
    let gateway = with_embeddings(&home, &provider);
    let mut http = Http::connect(gateway.port);
    http.send(post("/v1/embeddings", &json!({"model": "openclaw", "input": "a"})));
    provider.asked();
    drop(http);
    closed.recv_timeout(common::PATIENCE).unwrap();
}

fn home_without_embeddings(home: &Home) -> Gateway {
    let search = "memory: {search: {provider: 'nowhere', model: 'e'}}";
    home.configure(&common::provider::config(&[], "primary: 'local/echo'", search));
    home.start("")
}

#[test]
fn one_tool_over_http() {
    let (home, provider) = (Home::new(), Provider::echo());
    let gateway = start(&home, &provider, "");
    let invoke = |body: &Value| ask(gateway.port, post("/tools/invoke", body));
    let listed = invoke(&json!({"name": "agents_list", "tool": "exec", "args": "x"}));
    assert_eq!(listed.status, 200, "{listed:?}");
    assert!(listed.text().starts_with("{\"ok\":true,\"result\":{\"content\":[{"), "{listed:?}");
    assert!(listed.json()["result"]["content"][0]["text"].as_str().unwrap().contains("two"));
    let status = invoke(&json!({"tool": "session_status", "sessionKey": "main"}));
    assert_eq!(status.json()["ok"], true, "{status:?}");
    let told = |body: Value, status: u16, kind: &str, part: &str| {
        let answer = invoke(&body);
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert_eq!(answer.json()["ok"], false, "{body}");
        assert_eq!(answer.json()["error"]["type"], kind, "{body}");
        assert!(answer.text().contains(part), "{body}: {answer:?}");
    };
    for name in ["nope_tool", "exec", "apply_patch", "sessions_spawn", "sessions_send", "cron"] {
        told(json!({"tool": name}), 404, "not_found", &format!("Tool not available: {name}"));
    }
    told(json!({}), 400, "invalid_request", "tools.invoke requires name");
    told(json!([]), 400, "invalid_request", "tools.invoke requires name");
    told(json!({"tool": "agents_list", "agentId": "other"}), 400, "invalid_request", "other");
    let conflict = json!({"tool": "agents_list", "agentId": "two", "sessionKey": "agent:main:x"});
    told(conflict, 400, "invalid_request", "does not own");
    told(json!({"tool": "read"}), 400, "tool_error", "path");
    let broken = format!(
        "POST /tools/invoke HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Length: 1\r\n\r\n{{"
    );
    let broken = ask(gateway.port, broken);
    assert_eq!(broken.json()["error"]["type"], "invalid_request_error");
    let large = invoke(&json!({"tool": "x".repeat(2_200_000)}));
    assert_eq!(large.status, 413);
    assert_eq!(large.json()["error"]["type"], "invalid_request_error");
}

#[test]
fn what_the_operator_allows_and_denies_over_http() {
    let home = Home::new();
    let text = common::provider::config(&[], "primary: 'local/echo'", "").replace(
        "gateway: {",
        "gateway: {tools: {allow: ['sessions_send'], deny: ['agents_list']}, ",
    );
    home.configure(&text);
    let gateway = home.start("");
    let invoke = |name: &str| ask(gateway.port, post("/tools/invoke", &json!({"tool": name})));
    assert_eq!(invoke("agents_list").status, 404);
    assert_eq!(invoke("sessions_send").status, 400, "it is called, and misses its arguments");
    assert_eq!(invoke("session_status").status, 200);
}

#[test]
fn an_address_of_this_machine_is_not_fetched() {
    let (home, provider) = (Home::new(), Provider::echo());
    let gateway = start(&home, &provider, "");
    let image = |url: String| {
        let part = json!({"type": "input_image", "source": {"type": "url", "url": url}});
        let file = json!({"type": "input_file", "source": {"type": "url", "url": url}});
        [part, file].map(|part| {
            let input = json!([{"type": "message", "role": "user", "content": [part]}]);
            let body = json!({"model": "openclaw", "input": input});
            ask(gateway.port, post("/v1/responses", &body))
        })
    };
    let url = format!("http://127.0.0.1:{}/x.png", provider.port);
    for url in [url, "http://169.254.169.254/latest/meta-data".to_owned()] {
        for answer in image(url.clone()) {
            assert_eq!(answer.status, 400, "{url}: {answer:?}");
            assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
            assert!(answer.text().contains("could not be fetched"), "{answer:?}");
        }
    }
    let url = json!({"url": "http://example.com/x.png"});
    let part = json!({"type": "image_url", "image_url": url});
    let body = json!({"messages": [{"role": "user", "content": [part]}]});
    let off = ask(gateway.port, chat(&body));
    assert_eq!(off.status, 400);
    assert!(off.text().contains("chatCompletions.images.allowUrl"), "{off:?}");
    assert!(provider.rest().is_empty(), "no model was asked");
}

/// A provider that asks for a tool of the gateway first.
fn two_turns() -> Provider {
    Provider::start(|asked, reply| {
        let messages = asked.body["messages"].as_array().unwrap();
        reply.head();
        if messages.iter().any(|message| message["role"] == "tool") {
            reply.delta("two ");
            reply.delta("agents");
            reply.finish("stop");
        } else {
            reply.delta("let me look");
            let function = json!({"name": "agents_list", "arguments": "{}"});
            let call = json!({"index": 0, "id": "c", "type": "function", "function": function});
            reply.event(&json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}));
            reply.finish("tool_calls");
        }
    })
}

#[test]
fn an_answer_after_tools_of_the_gateway_is_one_answer() {
    const WANT: &str = "let me look\n\ntwo agents";
    let (home, provider) = (Home::new(), two_turns());
    let gateway = start(&home, &provider, "");
    let message = json!([{"role": "user", "content": "who?"}]);
    let whole = ask(gateway.port, chat(&json!({"messages": message}))).json();
    assert_eq!(whole["choices"][0]["message"], json!({"role": "assistant", "content": WANT}));
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    assert_eq!(whole["usage"]["total_tokens"], 36, "of both turns");
    let stream = ask(gateway.port, chat(&json!({"messages": message, "stream": true})));
    let data = stream.data();
    let chunks = data.iter().filter(|chunk| *chunk != "[DONE]");
    let chunks: Vec<Value> = chunks.map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
    let deltas = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]);
    let text: String = deltas.clone().filter_map(|delta| delta["content"].as_str()).collect();
    assert_eq!(text, WANT);
    assert!(deltas.clone().all(|delta| delta.get("tool_calls").is_none()), "no tool of the client");
    for stream in [false, true] {
        let body = json!({"model": "openclaw", "input": "who?", "stream": stream});
        let answer = ask(gateway.port, post("/v1/responses", &body));
        let last = match stream {
            false => answer.json(),
            true => {
                let data = answer.data();
                let last: Value = serde_json::from_str(&data[data.len() - 2]).unwrap();
                last["response"].clone()
            }
        };
        assert_eq!(last["output"][0]["content"][0]["text"], WANT, "{last}");
        assert_eq!(last["output"].as_array().unwrap().len(), 1, "{last}");
    }
}
