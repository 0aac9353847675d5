//! Requests and single events; whole streams are in `tests/data/providers`.

use super::super::json::object;
use super::*;
use crate::agent::Sampling;

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn call(id: &str, arguments: &str) -> Part {
    Part::ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: arguments.to_owned() }
}

fn result(id: &str, parts: Vec<Part>, is_error: bool) -> Turn {
    Turn::ToolResult { call_id: id.to_owned(), name: None, parts, is_error }
}

#[test]
fn a_conversation_is_written_in_the_dialect() {
    let thought = |signature: &str, redacted| {
        Part::Thinking(Thought {
            text: "hm".to_owned(),
            signature: Some(signature.to_owned()),
            redacted,
            by: "anthropic/m".to_owned(),
        })
    };
    let image = Part::Image { mime: "image/png".to_owned(), data: "AA==".to_owned() };
    let ask = Ask {
        turns: vec![
            Turn::System("one".to_owned()),
            Turn::User(vec![text("look"), text(" "), image.clone()]),
            Turn::System("two".to_owned()),
            Turn::Assistant(vec![
                thought("sig", false),
                thought("data", true),
                text(""),
                call("c|1", "{\"a\":1}"),
                call("c2", "broken"),
            ]),
            Turn::Assistant(vec![text("")]),
            result("c|1", vec![image], false),
            result("c2", vec![], true),
            Turn::User(vec![text("go on")]),
        ],
        tools: vec![json!({"type": "function", "function": {"name": "f"}})],
        tool_choice: Some(json!("required")),
        sampling: Sampling { temperature: Some(1.5), ..Sampling::default() },
        ..Ask::default()
    };
    let body = object(|w| super::body(w, &Spec::named("anthropic", "m"), &ask));
    let mark = json!({"type": "ephemeral"});
    let want = json!([{"type": "text", "text": "one\n\ntwo", "cache_control": mark}]);
    assert_eq!(body["system"], want);
    let source = json!({"type": "base64", "media_type": "image/png", "data": "AA=="});
    let want = json!([
        {"role": "user", "content": [{"type": "text", "text": "look"},
            {"type": "image", "source": source}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "redacted_thinking", "data": "data"},
            {"type": "tool_use", "id": "c_1", "name": "f", "input": {"a": 1}},
            {"type": "tool_use", "id": "c2", "name": "f", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c_1",
                "content": [{"type": "image", "source": source}]},
            {"type": "tool_result", "tool_use_id": "c2", "is_error": true},
            {"type": "text", "text": "go on", "cache_control": mark}]},
    ]);
    assert_eq!(body["messages"], want);
    assert_eq!(body["tool_choice"], json!({"type": "any"}));
    assert_eq!(body["tools"][0]["input_schema"]["type"], "object");
    assert_eq!((&body["max_tokens"], &body["temperature"]), (&json!(8192), &json!(1.0)));
}

#[test]
fn thinking_takes_its_share_of_the_answer() {
    let body = |model: &str, level, max: Option<u64>, asked: Option<u64>| {
        let spec = Spec { reasoning: true, max_tokens: max, ..Spec::named("anthropic", model) };
        let sampling =
            Sampling { max_tokens: asked, temperature: Some(0.5), ..Sampling::default() };
        let ask = Ask { thinking: Some(level), sampling, ..Ask::default() };
        object(|w| super::body(w, &spec, &ask))
    };
    let old = "claude-sonnet-4-20250514";
    let high = body(old, Thinking::High, Some(64_000), Some(4000));
    assert_eq!(high["thinking"], json!({"type": "enabled", "budget_tokens": 16_384}));
    assert_eq!(high["max_tokens"], 20_384);
    assert!(high.get("temperature").is_none());
    let tight = body(old, Thinking::High, Some(4096), None);
    assert_eq!(tight["thinking"]["budget_tokens"], 3072);
    assert_eq!(tight["max_tokens"], 4096);
    let none = body(old, Thinking::Low, Some(1500), None);
    assert!(none.get("thinking").is_none(), "{none}");
    let off = body(old, Thinking::Off, Some(4096), None);
    assert!(off.get("thinking").is_none() && off["temperature"] == 0.5);
    let new = body("claude-opus-4-6", Thinking::Medium, Some(4096), None);
    assert_eq!(new["thinking"]["type"], "adaptive");
    assert_eq!(new["output_config"], json!({"effort": "medium"}));
    for (model, adaptive) in [
        ("claude-opus-5", true),
        ("anthropic/claude-sonnet-4.6", true),
        ("claude-opus-4-7-20260416", true),
        ("claude-opus-4-5-20251101", false),
        ("claude-3-7-sonnet-20250219", false),
        ("claude-sonnet-4-0", false),
        ("MiniMax-M3", false),
    ] {
        assert_eq!(is_adaptive(model), adaptive, "{model}");
    }
}

#[test]
fn errors_in_a_stream_are_classed() {
    use super::super::Class;
    for (kind, message, class) in [
        ("overloaded_error", "Overloaded", Class::Transient),
        ("rate_limit_error", "slow down", Class::Transient),
        ("authentication_error", "invalid x-api-key", Class::Auth),
        ("invalid_request_error", "prompt is too long: 1 > 0", Class::Overflow),
        ("invalid_request_error", "messages: wrong", Class::Request),
    ] {
        let event = json!({"type": "error", "error": {"type": kind, "message": message}});
        let error = Reader::default().event(&event.to_string(), &mut |_| {}).unwrap_err();
        assert_eq!((error.class, error.text.as_str()), (class, message));
    }
}
