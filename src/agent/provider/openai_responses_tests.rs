//! Requests and single events; whole streams are in `tests/data/providers`.

use super::super::json::object;
use super::*;
use crate::agent::Sampling;

fn read(reader: &mut Reader, data: &Value) -> Vec<Delta> {
    let mut deltas = Vec::new();
    reader.event(&data.to_string(), &mut |delta| deltas.push(delta)).unwrap();
    deltas
}

#[test]
fn a_conversation_is_written_in_the_dialect() {
    let item = r#"{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"xyz"}"#;
    let thought = |signature: &str, by: &str| {
        Part::Thinking(Thought {
            signature: Some(signature.to_owned()),
            by: by.to_owned(),
            ..Thought::default()
        })
    };
    let image = Part::Image { mime: "image/png".to_owned(), data: "AA==".to_owned() };
    let text = |text: &str| Part::Text(text.to_owned());
    let result =
        |parts| Turn::ToolResult { call_id: "c1".to_owned(), name: None, parts, is_error: false };
    let ask = Ask {
        turns: vec![
            Turn::System("be kind".to_owned()),
            Turn::User(vec![text("look"), image.clone()]),
            Turn::Assistant(vec![
                thought(item, "openai/m"),
                thought(item, "openai/other"),
                thought("broken", "openai/m"),
                text("well"),
                Part::ToolCall {
                    id: "c1".to_owned(),
                    name: "f".to_owned(),
                    arguments: "{\"a\":1}".to_owned(),
                },
            ]),
            result(vec![text("20C")]),
            result(vec![text("a picture"), image]),
        ],
        tools: vec![json!({"type": "function", "function": {"name": "f", "description": "d",
            "parameters": {"type": "object"}}})],
        tool_choice: Some(json!({"type": "function", "function": {"name": "f"}})),
        thinking: Some(Thinking::High),
        sampling: Sampling { max_tokens: Some(5), ..Sampling::default() },
        ..Ask::default()
    };
    let mut spec = Spec { reasoning: true, native: true, ..Spec::named("openai", "m") };
    let body = object(|w| super::body(w, &spec, &ask));
    assert_eq!(body["instructions"], "be kind");
    let input = body["input"].as_array().unwrap();
    let want = json!([
        {"role": "user", "content": [{"type": "input_text", "text": "look"},
            {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,AA=="}]},
        {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "xyz"},
        {"type": "message", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "well", "annotations": []}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"a\":1}"},
        {"type": "function_call_output", "call_id": "c1", "output": "20C"},
    ]);
    assert_eq!(input.get(..5).unwrap(), want.as_array().unwrap().as_slice());
    assert_eq!(input[5]["output"][1]["type"], "input_image");
    assert_eq!(body["tools"][0]["name"], "f");
    assert_eq!(body["tools"][0]["strict"], false);
    assert_eq!(body["tool_choice"], json!({"type": "function", "name": "f"}));
    assert_eq!(body["reasoning"], json!({"effort": "high", "summary": "auto"}));
    assert_eq!(body["max_output_tokens"], 16);
    assert_eq!((&body["store"], &body["stream"]), (&json!(false), &json!(true)));

    spec.native = false;
    spec.reasoning = false;
    let body = object(|w| super::body(w, &spec, &ask));
    assert_eq!(body["input"][0], json!({"role": "system", "content": "be kind"}));
    assert!(body.get("instructions").is_none() && body.get("reasoning").is_none());
}

#[test]
fn calls_are_told_apart_and_told_once() {
    let mut reader = Reader::default();
    let added = |at: u64, id: &str| {
        json!({"type": "response.output_item.added", "output_index": at,
            "item": {"type": "function_call", "id": "fc", "call_id": id, "name": "f"}})
    };
    let call = |index, id: Option<&str>, arguments: &str| {
        let name = id.map(|_| "f".to_owned());
        let (id, arguments) = (id.map(str::to_owned), arguments.to_owned());
        vec![Delta::ToolCall { index, id, name, arguments }]
    };
    assert_eq!(read(&mut reader, &added(1, "a")), call(0, Some("a"), ""));
    assert_eq!(read(&mut reader, &added(3, "b")), call(1, Some("b"), ""));
    let piece = json!({"type": "response.function_call_arguments.delta", "output_index": 3,
        "delta": "{}"});
    assert_eq!(read(&mut reader, &piece), call(1, None, "{}"));
    let done = |at: u64| {
        json!({"type": "response.function_call_arguments.done", "output_index": at,
            "arguments": "{\"x\":2}"})
    };
    assert_eq!(read(&mut reader, &done(3)), []);
    assert_eq!(read(&mut reader, &done(1)), call(0, None, "{\"x\":2}"));
    assert_eq!(read(&mut reader, &done(9)), []);
}

#[test]
fn errors_in_a_stream_are_classed() {
    use super::super::Class;
    for (event, class, text) in [
        (
            json!({"type": "error", "code": "rate_limit_exceeded", "message": "slow down"}),
            Class::Transient,
            "slow down",
        ),
        (
            json!({"type": "response.failed", "response": {"status": "failed",
                "error": {"code": "context_length_exceeded", "message": "too long"}}}),
            Class::Overflow,
            "too long",
        ),
        (
            json!({"type": "response.failed", "response": {"error": null}}),
            Class::Transient,
            "the provider's answer failed",
        ),
        (json!({"error": {"message": "m", "type": "invalid_request_error"}}), Class::Request, "m"),
    ] {
        let error = Reader::default().event(&event.to_string(), &mut |_| {}).unwrap_err();
        assert_eq!((error.class, error.text.as_str()), (class, text));
    }
    assert!(Reader::default().event("x", &mut |_| {}).is_err());
}
