//! Requests and single events; whole streams are in `tests/data/providers`.

use super::super::json::object;
use super::*;
use crate::agent::Sampling;

#[test]
fn a_conversation_is_written_in_the_dialect() {
    let text = |text: &str| Part::Text(text.to_owned());
    let image = Part::Image { mime: "image/png".to_owned(), data: "AA==".to_owned() };
    let call = |id: &str, name: &str| Part::ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: "{\"a\":1}".to_owned(),
    };
    let result = |id: &str, parts, is_error| Turn::ToolResult {
        call_id: id.to_owned(),
        name: None,
        parts,
        is_error,
    };
    let thought = Part::Thinking(Thought {
        signature: Some("sig".to_owned()),
        by: "google/gemini-3-pro".to_owned(),
        ..Thought::default()
    });
    let ask = Ask {
        turns: vec![
            Turn::System("be kind".to_owned()),
            Turn::User(vec![text("look"), image.clone()]),
            Turn::Assistant(vec![thought, call("1", "f"), call("2", "g")]),
            result("1", vec![text("ok"), image], false),
            result("2", vec![text("no")], true),
        ],
        tools: vec![json!({"type": "function", "function": {"name": "f", "description": "d",
            "parameters": {"type": "object", "additionalProperties": false}}})],
        tool_choice: Some(json!({"type": "function", "function": {"name": "f"}})),
        sampling: Sampling {
            max_tokens: Some(9),
            stop: vec!["x".to_owned()],
            ..Sampling::default()
        },
        thinking: Some(Thinking::High),
        ..Ask::default()
    };
    let spec = Spec { reasoning: true, ..Spec::named("google", "gemini-3-pro") };
    let body = object(|w| super::body(w, &spec, &ask));
    let inline = json!({"inlineData": {"mimeType": "image/png", "data": "AA=="}});
    let want = json!({
        "systemInstruction": {"parts": [{"text": "be kind"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "look"}, inline]},
            {"role": "model", "parts": [
                {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "sig"},
                {"functionCall": {"name": "g", "args": {"a": 1}}}]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "f", "response": {"output": "ok"}}}, inline,
                {"functionResponse": {"name": "g", "response": {"error": "no"}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "f", "description": "d",
            "parametersJsonSchema": {"type": "object", "additionalProperties": false}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {"maxOutputTokens": 9, "stopSequences": ["x"],
            "thinkingConfig": {"includeThoughts": true, "thinkingLevel": "HIGH"}},
    });
    assert_eq!(body, want);
}

#[test]
fn each_family_has_its_own_measure_of_thinking() {
    for (model, level, want) in [
        ("gemini-2.5-flash", Thinking::Off, json!({"thinkingBudget": 0})),
        ("gemini-2.5-pro", Thinking::Off, json!({"thinkingBudget": 128})),
        (
            "gemini-2.5-pro",
            Thinking::Adaptive,
            json!({"includeThoughts": true, "thinkingBudget": -1}),
        ),
        ("gemini-3-pro-preview", Thinking::Off, json!({"thinkingLevel": "LOW"})),
        ("gemini-3.5-flash", Thinking::Adaptive, json!({"includeThoughts": true})),
        (
            "models/gemini-3-flash",
            Thinking::Minimal,
            json!({"includeThoughts": true, "thinkingLevel": "MINIMAL"}),
        ),
    ] {
        assert_eq!(thinking(model, level), want, "{model}");
    }
}

#[test]
fn an_answer_in_one_piece_may_be_a_list() {
    let one = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#;
    let two = r#"{"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"}]}"#;
    let read = |body: &str| {
        let mut told = Vec::new();
        let whole = Reader::default().whole(body.as_bytes(), &mut |delta| told.push(delta));
        (whole, told)
    };
    let text = |text: &str| Delta::Text(text.to_owned());
    let stop = Delta::Finish(StopReason::Stop);
    let (whole, told) = read(&format!("[{one},{two}]"));
    assert_eq!((whole, told), (Whole::Answer, vec![text("a"), text("b"), stop.clone()]));
    let (whole, told) = read(one);
    assert_eq!((whole, told), (Whole::Answer, vec![text("a"), stop]));
    for body in ["{}", "[]", "[{}]", "x"] {
        assert_eq!(read(body), (Whole::Neither, vec![]), "{body}");
    }
    let list = r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]"#;
    let (Whole::Error(error), _) = read(list) else { panic!("no error") };
    assert_eq!((error.class, error.status), (Class::Transient, Some(429)));
}

#[test]
fn what_is_blocked_or_malformed_is_told() {
    let read = |data: &str| {
        let mut told = Vec::new();
        let step = Reader::default().event(data, &mut |delta| told.push(delta));
        (step, told)
    };
    let (step, told) = read(r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#);
    assert_eq!((step, told), (Ok(Step::More), vec![Delta::Finish(StopReason::ContentFilter)]));
    let (step, _) = read(r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#);
    assert_eq!(step.unwrap_err().class, Class::Transient);
}
