use super::*;
use crate::wire::http::server::{Event, Server};

fn head(line: &str) -> Head {
    let mut server = Server::new();
    server.push(format!("POST {line}\r\nHost: x\r\n\r\n").replace('|', "\r\n").as_bytes());
    match server.next() {
        Some(Event::Head(head)) => head,
        other => panic!("{other:?}"),
    }
}

fn plain() -> Head {
    head("/hooks/x HTTP/1.1")
}

fn told(reply: Reply) -> String {
    format!("{} {}", reply.status, String::from_utf8(reply.body).expect("UTF-8"))
}

fn of(name: &str, body: &str, hooks: &Hooks) -> Result<Vec<Action>, String> {
    actions(name, body.as_bytes(), &plain(), hooks, "2026-11-23T22:00:00.000Z").map_err(told)
}

#[test]
fn templates_are_filled() {
    let head = head("/hooks/gh?kind=push&x=%41 HTTP/1.1|X-Event: issue|Authorization: Bearer t");
    let payload = json!({"a": {"b": [{"c": "deep"}, [1, 2]]}, "n": 3, "nil": null, "s": "{{n}}"});
    let view = template::View { payload: &payload, head: &head, path: "gh", now: "NOW" };
    for (template, want) in [
        ("plain", "plain"),
        ("{{payload.a.b[0].c}}-{{ a.b[0].c }}", "deep-deep"),
        ("{{a.b[1][0]}} {{a.b[1]}} {{n}}", "1 [1,2] 3"),
        ("[{{missing.x}}{{nil}}{{a.b[9]}}{{a.b[x]}}{{a.b[}}]", "[]"),
        ("{{headers.x-event}}/{{headers.X-EVENT}}/{{headers.authorization}}", "issue/issue/"),
        ("{{query.kind}}{{query.x}}{{query.none}}", "pushA"),
        ("{{path}} {{now}}", "gh NOW"),
        ("{{s}}", "{{n}}"),
        ("open {{n", "open {{n"),
        ("{{}}}", "}"),
    ] {
        assert_eq!(render(template, &view), want, "{template}");
    }
    let long = json!({"t": "ü".repeat(limits::HOOK_TEXT)});
    let view = template::View { payload: &long, ..view };
    assert!(render("x{{t}}{{t}}", &view).len() <= limits::HOOK_TEXT);
}

#[test]
fn the_two_fixed_paths() {
    let hooks = Hooks::default();
    let wake = |later| {
        vec![Action::Wake(Wake { text: "up".to_owned(), later, agent_id: None, session_key: None })]
    };
    assert_eq!(of("wake", r#"{"text": " up "}"#, &hooks), Ok(wake(false)));
    assert_eq!(of("wake", r#"{"text": "up", "mode": "zzz"}"#, &hooks), Ok(wake(false)));
    assert_eq!(of("wake", r#"{"text": "up", "mode": "next-heartbeat"}"#, &hooks), Ok(wake(true)));
    for (name, body, want) in [
        ("wake", "{}", r#"400 {"ok":false,"error":"text required"}"#),
        ("wake", "[]", r#"400 {"ok":false,"error":"text required"}"#),
        ("agent", "{}", r#"400 {"ok":false,"error":"message required"}"#),
        ("agent", "", r#"400 {"ok":false,"error":"message required"}"#),
        (
            "agent",
            r#"{"message": "x", "channel": "telegram"}"#,
            r#"400 {"ok":false,"error":"to required: channel needs a recipient"}"#,
        ),
        ("zzz", "{}", "404 Not Found"),
        ("", "{}", "404 Not Found"),
    ] {
        assert_eq!(of(name, body, &hooks), Err(want.to_owned()), "{name} {body}");
    }
    assert!(of("wake", "{", &hooks).expect_err("no JSON").starts_with("400 {\"ok\":false"));
    let body = r#"{"message": "m", "deliver": false, "channel": "x", "timeoutSeconds": 9.9,
        "waitForCompletion": true, "idempotencyKey": "k", "sessionKey": "s", "name": "a\nb"}"#;
    let actions = of("agent", body, &hooks).expect("an action");
    let [Action::Agent(agent)] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!((agent.timeout_seconds, agent.wait, agent.deliver), (Some(9), true, false));
    assert_eq!(agent.name, "ab");
    assert_eq!(agent.idempotency_key.as_deref(), Some("k"));
    assert_eq!(agent.session_key, Some(Key { text: "s".to_owned(), foreign: true }));
    let head = head("/hooks/agent HTTP/1.1|Idempotency-Key: h");
    assert_eq!(idempotency_key(&json!({"idempotencyKey": "k"}), &head).as_deref(), Some("h"));
    let long = "k".repeat(limits::HOOK_KEY + 1);
    assert_eq!(idempotency_key(&json!({"idempotencyKey": long}), &plain()), None);
}

#[test]
fn the_first_matching_mapping_makes_the_actions() {
    let text = |text: &str| Some(text.to_owned());
    let by_path = HookMapping {
        match_path: text("gh"),
        match_source: text("ci"),
        message: text("{{title}}"),
        session_key: text("hook:gh:{{id}}"),
        name: text("GH"),
        ..HookMapping::default()
    };
    let wakes = HookMapping {
        match_path: text("bell"),
        wake: true,
        text: text("rang {{n}}"),
        ..HookMapping::default()
    };
    let fan = HookMapping {
        match_path: text("mail"),
        for_each: text("messages"),
        message: text("{{messages[0].s}}"),
        ..HookMapping::default()
    };
    let hooks = Hooks { mappings: vec![by_path, wakes, fan], ..Hooks::default() };
    let actions = of("gh", r#"{"source": "ci", "title": "T", "id": 7}"#, &hooks).expect("one");
    let [Action::Agent(agent)] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!((agent.message.as_str(), agent.name.as_str()), ("T", "GH"));
    assert_eq!(agent.session_key, Some(Key { text: "hook:gh:7".to_owned(), foreign: true }));
    assert_eq!(of("gh", r#"{"title": "T"}"#, &hooks), Err("404 Not Found".to_owned()));
    let empty = of("gh", r#"{"source": "ci"}"#, &hooks).expect_err("no message");
    assert!(empty.starts_with("400 "), "{empty}");
    let actions = of("bell", r#"{"n": 2}"#, &hooks).expect("one");
    assert!(matches!(&actions[..], [Action::Wake(wake)] if wake.text == "rang 2"));
    let many: Vec<Value> = (0..limits::HOOK_ITEMS + 5).map(|n| json!({"s": n})).collect();
    let actions = of("mail", &json!({"messages": many}).to_string(), &hooks).expect("many");
    assert_eq!(actions.len(), limits::HOOK_ITEMS);
    assert!(matches!(&actions[3], Action::Agent(agent) if agent.message == "3"));
    assert_eq!(of("mail", "{}", &hooks), Ok(Vec::new()));
}

#[test]
fn who_may_name_which_session() {
    let key = |text: &str, foreign| Key { text: text.to_owned(), foreign };
    let name = |asked: Option<Key>, hooks: &Hooks| {
        session_name(asked.as_ref(), hooks, "main", "u").map_err(told)
    };
    let mut hooks = Hooks::default();
    assert_eq!(name(None, &hooks).as_deref(), Ok("hook:u"));
    assert!(name(Some(key("x", true)), &hooks).is_err());
    assert_eq!(name(Some(key("x", false)), &hooks).as_deref(), Ok("x"));
    hooks.allow_request_session_key = true;
    hooks.default_session_key = Some("daily".to_owned());
    assert_eq!(name(None, &hooks).as_deref(), Ok("daily"));
    assert_eq!(name(Some(key("agent:other:x", true)), &hooks).as_deref(), Ok("x"));
    for reserved in ["cron:x", "agent:main:subagent:x", "ACP:y"] {
        assert!(name(Some(key(reserved, true)), &hooks).is_err(), "{reserved}");
    }
    hooks.allowed_session_key_prefixes = vec!["hook:".to_owned()];
    assert_eq!(name(Some(key("Hook:t", true)), &hooks).as_deref(), Ok("Hook:t"));
    assert!(name(Some(key("web:t", true)), &hooks).is_err());
    assert!(name(Some(key("web:t", false)), &hooks).is_err());

    let agents = crate::config::Agents::default();
    let agent = |asked, lenient, hooks: &Hooks| agent_of(asked, lenient, &agents, hooks).is_ok();
    assert!(agent(None, false, &hooks) && agent(Some("MAIN"), false, &hooks));
    assert!(!agent(Some("nope"), false, &hooks) && agent(Some("nope"), true, &hooks));
    hooks.allowed_agent_ids = Some(Vec::new());
    assert!(!agent(None, false, &hooks));
    // A blank or oddly written name is no way around the list.
    hooks.allowed_agent_ids = Some(vec!["other".to_owned()]);
    for asked in [None, Some(""), Some(" "), Some("MAIN"), Some("null"), Some("*")] {
        assert!(!agent(asked, false, &hooks) && !agent(asked, true, &hooks), "{asked:?}");
    }
    hooks.allowed_agent_ids = Some(vec!["*".to_owned()]);
    assert!(agent(None, false, &hooks));
}

#[test]
fn a_token_in_the_query_is_seen() {
    for (line, want) in [
        ("/hooks/wake?token=x HTTP/1.1", true),
        ("/hooks/wake?a=1&token HTTP/1.1", true),
        ("/hooks/wake?t%6Fken=x HTTP/1.1", true),
        ("/hooks/wake?tokens=x HTTP/1.1", false),
        ("/hooks/wake HTTP/1.1", false),
    ] {
        assert_eq!(has_query_token(&head(line)), want, "{line}");
    }
    let both = head("/hooks/wake HTTP/1.1|Authorization: Bearer a|X-OpenClaw-Token: b");
    assert_eq!(token(&both), Some("a"));
    assert_eq!(token(&head("/hooks/wake HTTP/1.1|X-OpenClaw-Token: b")), Some("b"));
}
