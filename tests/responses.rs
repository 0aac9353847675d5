//! `/v1/responses`: shapes and order of the answer, items, tools, continuation, media, errors.

mod common;

use common::http::{Http, Response, TOKEN, ask, post};
use common::provider::Provider;
use common::{Gateway, Home};
use serde_json::{Value, json};

fn responses(body: &Value) -> String {
    post("/v1/responses", body)
}

/// The events of a stream: name and data; the name is that of the data.
fn events(response: &Response) -> Vec<Value> {
    assert_eq!(response.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let text = response.text();
    let mut blocks: Vec<&str> = text.trim_end().split("\n\n").collect();
    assert_eq!(blocks.pop(), Some("data: [DONE]"));
    let event = |block: &&str| {
        let (name, data) = block.split_once("\ndata: ").unwrap_or_else(|| panic!("{block}"));
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        data
    };
    blocks.iter().map(event).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let all = events.iter().map(|event| event["type"].as_str().unwrap());
    all.map(|kind| kind.strip_prefix("response.").unwrap()).collect()
}

/// A provider that answers by what it is told: `tool`, `length`, `refuse`, else an echo.
fn provider() -> Provider {
    Provider::start(|asked, reply| {
        let said = asked.said();
        if said.contains("tool") && asked.body["messages"].as_array().unwrap().len() < 3 {
            reply.head();
            let function = json!({"name": "get_weather", "arguments": "{\"city\":\"Oslo\"}"});
            let call = json!({"index": 0, "id": "up-1", "type": "function", "function": function});
            let delta = json!({"tool_calls": [call]});
            reply.event(&json!({"choices": [{"index": 0, "delta": delta}]}));
            reply.finish("tool_calls");
        } else if said.contains("length") {
            reply.head();
            reply.delta("cut");
            reply.finish("length");
        } else if said.contains("refuse") {
            reply.refuse("400 Bad Request", "", "no such thing");
        } else {
            reply.head();
            reply.delta("echo: ");
            reply.delta(&said);
            reply.finish("stop");
        }
    })
}

fn start(home: &Home, provider: &Provider) -> Gateway {
    home.configure(&provider.config(""));
    home.start("")
}

const TOOLS: &str = r#"[{"type": "function", "name": "get_weather", "description": "w",
    "parameters": {"type": "object"}}]"#;

fn tools() -> Value {
    serde_json::from_str(TOOLS).unwrap()
}

#[test]
fn a_response_whole_has_the_recorded_members_in_order() {
    let (home, provider) = (Home::new(), provider());
    let gateway = start(&home, &provider);
    let answer = ask(gateway.port, responses(&json!({"model": "openclaw", "input": "hi"})));
    assert_eq!(answer.status, 200, "{answer:?}");
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let item = answer.json()["output"][0]["id"].as_str().unwrap().to_owned();
    let created = answer.json()["created_at"].as_u64().unwrap();
    assert!(id.starts_with("resp_") && item.starts_with("msg_"));
    let want = format!(
        "{{\"id\":\"{id}\",\"object\":\"response\",\"created_at\":{created},\
         \"status\":\"completed\",\"model\":\"openclaw\",\"output\":[{{\"type\":\"message\",\
         \"id\":\"{item}\",\"role\":\"assistant\",\"content\":[{{\"type\":\"output_text\",\
         \"text\":\"echo: hi\"}}],\"phase\":\"final_answer\",\"status\":\"completed\"}}],\
         \"usage\":{{\"input_tokens\":11,\"input_tokens_details\":{{\"cached_tokens\":0,\
         \"cache_write_tokens\":0}},\"output_tokens\":7,\"output_tokens_details\":\
         {{\"reasoning_tokens\":0}},\"total_tokens\":18}}}}"
    );
    assert_eq!(answer.text(), want);
    let named = json!({"model": "openclaw", "input": "hi", "metadata": {"a": "b"}});
    assert_eq!(ask(gateway.port, responses(&named)).json()["metadata"], json!({"a": "b"}));
}

#[test]
fn a_stream_is_the_recorded_sequence() {
    let (home, provider) = (Home::new(), provider());
    let gateway = start(&home, &provider);
    let body = json!({"model": "openclaw", "input": "hi", "stream": true});
    let answer = ask(gateway.port, responses(&body));
    let events = events(&answer);
    let mut seen = kinds(&events);
    seen.dedup();
    let want = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(seen, want);
    let deltas: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(deltas, "echo: hi");
    let zero = json!({"input_tokens": 0, "input_tokens_details": {"cached_tokens": 0,
        "cache_write_tokens": 0}, "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 0});
    assert_eq!(events[0]["response"]["usage"], zero);
    assert_eq!(events[0]["response"]["status"], "in_progress");
    let item = &events[2]["item"];
    assert_eq!(item["content"], json!([]));
    assert_eq!(item.get("phase"), None);
    for event in events.iter().filter(|event| event.get("item_id").is_some()) {
        assert_eq!((&event["item_id"], &event["content_index"]), (&item["id"], &json!(0)));
    }
    let last = &events.last().unwrap()["response"];
    assert_eq!(last["output"][0]["content"][0]["text"], "echo: hi");
    assert_eq!(last["usage"]["total_tokens"], 18);
    // Text of one event, member by member.
    let id = item["id"].as_str().unwrap();
    let delta = format!(
        "data: {{\"type\":\"response.output_text.delta\",\"item_id\":\"{id}\",\
         \"output_index\":0,\"content_index\":0,\"delta\":\""
    );
    assert!(answer.text().contains(&delta), "{}", answer.text());
}

#[test]
fn a_call_of_a_client_tool_whole_and_as_a_stream() {
    let (home, provider) = (Home::new(), provider());
    let gateway = start(&home, &provider);
    let mut body = json!({"model": "openclaw", "input": "tool", "tools": tools()});
    let whole = ask(gateway.port, responses(&body)).json();
    let call = &whole["output"][0];
    assert_eq!(whole["output"].as_array().unwrap().len(), 1, "{whole}");
    assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!("get_weather")));
    assert_eq!(call["arguments"], "{\"city\":\"Oslo\"}");
    let id = call["call_id"].as_str().unwrap();
    let plain = id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(plain, "{id} is not the provider's, which may repeat");
    assert_eq!(call.get("status"), None);
    body["stream"] = json!(true);
    let events = events(&ask(gateway.port, responses(&body)));
    let want = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "output_item.done",
        "completed",
    ];
    assert_eq!(kinds(&events), want);
    assert_eq!(events[6]["item"]["phase"], "commentary");
    assert_eq!(events[7]["output_index"], 1);
    assert_eq!(events[7]["item"].get("status"), None);
    assert_eq!(events[8]["item"]["status"], "completed");
    let output = events[9]["response"]["output"].as_array().unwrap();
    assert_eq!((output.len(), &output[1]["status"]), (2, &json!("completed")));
}

#[test]
fn a_required_call_that_was_not_made_is_no_answer() {
    let (home, provider) = (Home::new(), provider());
    let gateway = start(&home, &provider);
    let named = json!({"type": "function", "name": "get_weather"});
    for choice in [json!("required"), named] {
        let mut body = json!({
            "model": "openclaw", "input": "no", "tools": tools(), "tool_choice": choice,
        });
        let whole = ask(gateway.port, responses(&body));
        assert_eq!(whole.status, 502, "{whole:?}");
        assert_eq!(whole.json()["error"]["type"], "api_error");
        body["stream"] = json!(true);
        let events = events(&ask(gateway.port, responses(&body)));
        let want = ["created", "in_progress", "output_item.added", "content_part.added", "failed"];
        assert_eq!(kinds(&events), want, "no word of prose");
        let response = &events[4]["response"];
        assert_eq!((&response["status"], &response["output"]), (&json!("failed"), &json!([])));
        assert_eq!(response["error"]["code"], "api_error");
    }
}

#[test]
fn an_answer_that_was_cut_or_refused_says_so() {
    let (home, provider) = (Home::new(), provider());
    let gateway = start(&home, &provider);
    let body = |input: &str, stream: bool| {
        responses(&json!({"model": "openclaw", "input": input, "stream": stream}))
    };
    let cut = ask(gateway.port, body("length", false)).json();
    assert_eq!(cut["status"], "incomplete");
    assert_eq!(cut["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(cut["output"][0]["status"], "incomplete");
    let text = cut["output"][0]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("cut\n\n"), "{text}");
    let stream = events(&ask(gateway.port, body("length", true)));
    let last = stream.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "cut");
    let refused = ask(gateway.port, body("refuse", false));
    assert_eq!(refused.status, 400);
    let refused = refused.json();
    assert_eq!((&refused["object"], &refused["status"]), (&json!("response"), &json!("failed")));
    assert_eq!(refused["error"]["code"], "api_error");
    assert!(refused["error"]["message"].as_str().unwrap().contains("no such thing"));
    let stream = events(&ask(gateway.port, body("refuse", true)));
    assert_eq!(kinds(&stream).last(), Some(&"failed"));
}

fn messages(provider: &Provider) -> Vec<Value> {
    provider.asked().body["messages"].as_array().unwrap().clone()
}

/// Role and content of messages, without what the gateway itself puts before them.
fn told(messages: &[Value]) -> Vec<(String, String)> {
    let text = |message: &Value| match &message["content"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let role = |message: &Value| message["role"].as_str().unwrap().to_owned();
    let all = messages.iter().map(|message| (role(message), text(message)));
    all.filter(|(role, _)| role != "system").collect()
}

#[test]
fn items_reach_the_model_in_their_roles() {
    let (home, provider) = (Home::new(), provider());
    let gateway = start(&home, &provider);
    let input = json!([
        {"role": "user", "content": "earlier"},
        {"type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": "ok"}], "phase": "final_answer"},
        {"type": "reasoning", "summary": "x"},
        {"type": "item_reference", "id": "msg_1"},
        {"type": "function_call", "id": "a", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": ""},
        {"type": "message", "role": "developer", "content": "be brief"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "now"}]},
    ]);
    let body = json!({"model": "openclaw", "instructions": "be nice", "input": input,
        "max_output_tokens": 5, "temperature": 0.5, "store": false});
    assert_eq!(ask(gateway.port, responses(&body)).status, 200);
    let asked = provider.asked().body;
    assert_eq!(asked["temperature"], 0.5);
    assert!(asked.to_string().contains(":5"), "the token cap");
    let messages = asked["messages"].as_array().unwrap();
    let system: String = messages
        .iter()
        .filter(|message| message["role"] == "system")
        .map(|message| message["content"].to_string())
        .collect();
    assert!(system.find("be nice") < system.find("be brief"), "{system}");
    let roles: Vec<String> = told(messages).into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "user"]);
    assert_eq!(told(messages).last().unwrap().1, "now");
}

#[test]
fn a_response_id_continues_its_conversation_with_tools_too() {
    let (home, provider) = (Home::new(), provider());
    let gateway = start(&home, &provider);
    let first = json!({"model": "openclaw", "input": "tool please", "tools": tools()});
    let first = ask(gateway.port, responses(&first)).json();
    messages(&provider);
    let output = json!([{"type": "function_call_output",
        "call_id": first["output"][0]["call_id"], "output": "sunny"}]);
    let second = json!({"model": "openclaw", "previous_response_id": first["id"],
        "input": output, "tools": tools()});
    let second = ask(gateway.port, responses(&second));
    assert_eq!(second.status, 200, "{second:?}");
    let heard = told(&messages(&provider));
    let roles: Vec<&str> = heard.iter().map(|(role, _)| role.as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "tool"]);
    assert_eq!(heard[2].1, "sunny");
    let third = json!({"model": "openclaw", "previous_response_id": second.json()["id"],
        "input": "and now?"});
    assert_eq!(ask(gateway.port, responses(&third)).status, 200);
    let heard = told(&messages(&provider));
    let roles: Vec<&str> = heard.iter().map(|(role, _)| role.as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "assistant", "user"]);
    // An unknown id, and one of a response that was not kept, begin anew.
    let unkept = json!({"model": "openclaw", "input": "lost", "store": false});
    let unkept = ask(gateway.port, responses(&unkept)).json();
    messages(&provider);
    for id in [unkept["id"].clone(), json!("resp_unknown")] {
        let body = json!({"model": "openclaw", "previous_response_id": id, "input": "alone"});
        assert_eq!(ask(gateway.port, responses(&body)).status, 200);
        assert_eq!(told(&messages(&provider)), [("user".to_owned(), "alone".to_owned())]);
    }
}

#[test]
fn images_and_files_by_base64() {
    let (home, provider) = (Home::new(), provider());
    let gateway = start(&home, &provider);
    let png = "iVBORw0KGgo=";
    let content = json!([
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "source": {"type": "base64", "media_type": "image/jpeg",
            "data": png}},
        {"type": "input_image", "image_url": format!("data:image/png;base64,{png}")},
        {"type": "input_file", "source": {"type": "base64", "media_type": "text/plain",
            "data": "SGVsbG8gV29ybGQh", "filename": "hello.txt"}},
        {"type": "input_file", "filename": "b.txt",
            "file_data": "data:text/plain;base64,c2Vjb25k"},
    ]);
    let body = json!({"model": "openclaw", "user": "u",
        "input": [{"role": "user", "content": content}]});
    let answer = ask(gateway.port, responses(&body));
    assert_eq!(answer.status, 200, "{answer:?}");
    let asked = provider.asked().body.to_string();
    assert_eq!(asked.matches(&format!("data:image/png;base64,{png}")).count(), 2, "{asked}");
    assert!(asked.contains("Hello World!") && asked.contains("second"), "{asked}");
    assert!(asked.contains("EXTERNAL_UNTRUSTED_CONTENT"), "{asked}");
    // A file is for this request alone.
    let next = json!({"model": "openclaw", "user": "u", "input": "again"});
    assert_eq!(ask(gateway.port, responses(&next)).status, 200);
    assert!(!provider.asked().body.to_string().contains("Hello World!"));
    for (part, what) in [
        (
            json!({"type": "input_file", "source": {"type": "base64",
            "media_type": "application/pdf", "data": "JVBERi0xLjc="}}),
            "PDF",
        ),
        (
            json!({"type": "input_image", "source": {"type": "base64", "media_type": "image/tiff",
            "data": "AAAA"}}),
            "images.allowedMimes",
        ),
        (json!({"type": "input_image", "file_id": "file-1"}), "input_image"),
        (json!({"type": "input_image", "image_url": "ftp://x/y.png"}), "input_image"),
        (json!({"type": "input_audio"}), "unsupported content part"),
    ] {
        let body = json!({"model": "openclaw", "input": [{"role": "user", "content": [part]}]});
        let answer = ask(gateway.port, responses(&body));
        assert_eq!(answer.status, 400, "{part}");
        let error = &answer.json()["error"];
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["message"].as_str().unwrap().contains(what), "{error}");
    }
}

#[test]
fn a_bad_request_is_told_in_openais_shape() {
    let (home, provider) = (Home::new(), provider());
    let gateway = start(&home, &provider);
    for (body, part) in [
        ("{", "not JSON"),
        (r#"{"input": "x"}"#, "model: Invalid input: expected string, received undefined"),
        (r#"{"model": "openclaw"}"#, "input: Invalid input"),
        (r#"{"model": "openclaw", "input": []}"#, "Missing user message"),
        (r#"{"model": "openclaw", "input": ""}"#, "Missing user message"),
        (r#"{"model": "openclaw", "input": [{"type": "zzz"}]}"#, "input: Invalid input"),
        (r#"{"model": "openclaw", "input": [7]}"#, "input: Invalid input"),
        (r#"{"model": "gpt-4o", "input": "x"}"#, "Invalid `model`"),
        (r#"{"model": "openclaw/nope", "input": "x"}"#, "Unknown agent 'nope'."),
        (r#"{"model": "openclaw", "input": "x", "max_output_tokens": 0}"#, "max_output_tokens"),
        (r#"{"model": "openclaw", "input": "x", "temperature": 3}"#, "between 0 and 2"),
        (r#"{"model": "openclaw", "input": "x", "tools": [{"type": "web"}]}"#, "function tools"),
        (r#"{"model": "openclaw", "input": "x", "tool_choice": "required"}"#, "tool_choice"),
        (r#"{"model": "openclaw", "input": "x", "metadata": 3}"#, "metadata"),
        (r#"{"model": "openclaw", "input": "x", "user": 3}"#, "user"),
    ] {
        let request = format!(
            "POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = ask(gateway.port, request);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        let error = answer.json()["error"].clone();
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["message"].as_str().unwrap().contains(part), "{body}: {error}");
    }
    let get = ask(gateway.port, common::http::get("/v1/responses"));
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    assert!(provider.rest().is_empty(), "no model was asked");
}

#[test]
fn a_client_that_leaves_cancels_its_run() {
    let (told, closed) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let provider = Provider::start(move |_, reply| {
        reply.head();
        reply.delta("first");
        reply.wait_for_close();
        told.lock().unwrap().send(()).unwrap();
    });
    let home = Home::new();
    let gateway = start(&home, &provider);
    for stream in [true, false] {
        let mut http = Http::connect(gateway.port);
        http.send(responses(&json!({"model": "openclaw", "input": "x", "stream": stream})));
        provider.asked();
        drop(http);
        closed.recv_timeout(common::PATIENCE).unwrap();
    }
}
