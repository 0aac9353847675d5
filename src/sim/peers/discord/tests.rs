//! The rules of the fake, one by one.

use super::*;
use crate::sim::peers::fake::GRACE_MS;
use crate::sim::peers::fake::testing::{Bench, frames, texts};
use crate::wire::ws::{self, Message as Frame};
use std::cell::RefCell;
use std::rc::Rc;

const TOKEN: &str = "fake-token";
const INTENTS: u64 = 1 | 1 << 9 | 1 << 12 | 1 << 15;

fn bench() -> Bench {
    Bench::new(Rc::new(RefCell::new(Discord::new(Rng::new(1), TOKEN, 1_700_000_000_000))))
}

fn rest(bench: &mut Bench, method: &str, path: &str, body: Value) -> (u16, Value) {
    let authorization = format!("Bot {TOKEN}");
    let headers =
        [("Authorization", authorization.as_str()), ("User-Agent", "DiscordBot (https://x, 1)")];
    bench.ask(method, &format!("/api/v10{path}"), &headers, &body)
}

fn identify(intents: u64) -> Value {
    json!({"op": 2, "d": {"token": TOKEN, "intents": intents, "properties": {"os": "linux"}}})
}

/// Identified; the socket and the name of its session.
fn ready(bench: &mut Bench) -> (usize, String) {
    let (at, hello) = bench.socket("/?v=10&encoding=json");
    assert_eq!(texts(&hello)[0]["op"], 10);
    let said = texts(&bench.say(at, &identify(INTENTS)));
    assert_eq!(said[0]["t"], "READY", "{said:?}");
    (at, said[0]["d"]["session_id"].as_str().expect("a session").to_owned())
}

fn later(bench: &mut Bench, ms: u64, at: usize) -> Vec<Frame> {
    frames(&bench.later(ms, at).send)
}

fn code(frames: &[Frame]) -> Option<u16> {
    frames.iter().find_map(|frame| match frame {
        Frame::Close { code, .. } => *code,
        _ => None,
    })
}

#[test]
fn a_session_is_resumed_where_it_was_told_and_replays_what_was_missed() {
    let mut bench = bench();
    let (at, session) = ready(&mut bench);
    bench.act(json!({"act": "message", "channel": 700, "content": "one"}));
    let one = texts(&later(&mut bench, 1, at));
    assert_eq!(one.last().map(|it| &it["d"]["content"]), Some(&json!("one")));
    let seq = one.last().map(|it| it["s"].clone());
    bench.lose(at);
    bench.act(json!({"act": "message", "channel": 700, "content": "two"}));
    let (at, _) = bench.socket("/resume?v=10&encoding=json");
    let resume = json!({"op": 6, "d": {"token": TOKEN, "session_id": session, "seq": seq}});
    let said = texts(&bench.say(at, &resume));
    let kinds: Vec<&str> = said.iter().filter_map(|it| it["t"].as_str()).collect();
    assert_eq!(kinds, ["MESSAGE_CREATE", "RESUMED"]);
    assert_eq!(said[0]["d"]["content"], "two");
    assert!(bench.broken().is_empty(), "{:?}", bench.broken());
    // Elsewhere it works, but is a broken rule.
    bench.lose(at);
    let (at, _) = bench.socket("/?v=10&encoding=json");
    bench.say(at, &resume);
    assert!(bench.broken()[0].contains("resume_gateway_url"));
}

#[test]
fn a_session_closed_with_1000_is_over() {
    let mut bench = bench();
    let (at, session) = ready(&mut bench);
    let mut bytes = Vec::new();
    ws::close_masked(&mut bytes, 1000, "", [1, 2, 3, 4]);
    bench.send(at, &bytes);
    let (at, _) = bench.socket("/resume?v=10&encoding=json");
    let resume = json!({"op": 6, "d": {"token": TOKEN, "session_id": session, "seq": 1}});
    assert_eq!(
        texts(&bench.say(at, &resume))[0],
        json!({"op": 9, "d": false, "t": null, "s": null})
    );
    let beyond = json!({"op": 6, "d": {"token": "wrong", "session_id": session, "seq": 1}});
    assert_eq!(code(&bench.say(at, &beyond)), Some(4004));
}

#[test]
fn close_codes_say_what_was_wrong() {
    let wrong = |intents: Value, token: &str| json!({"op": 2, "d": {"token": token, "intents": intents, "properties": {}}});
    let cases = [
        (json!({"op": 77, "d": null}), 4001),
        (json!({"d": null}), 4002),
        (json!({"op": 1, "d": "x".repeat(5000)}), 4002),
        (json!({"op": 3, "d": {}}), 4003),
        (wrong(json!(1), "wrong"), 4004),
        (wrong(json!(1_u64 << 40), TOKEN), 4013),
        (wrong(json!(1 << 1), TOKEN), 4014),
    ];
    for (event, expected) in cases {
        let fake = Discord::new(Rng::new(1), TOKEN, 0);
        let fake = Rc::new(RefCell::new(Discord { intents: 1 << 15, ..fake }));
        let mut bench = Bench::new(fake);
        let (at, _) = bench.socket("/?v=10&encoding=json");
        assert_eq!(code(&bench.say(at, &event)), Some(expected), "{event}");
    }
    let mut bench = bench();
    let (at, _) = ready(&mut bench);
    assert_eq!(code(&bench.say(at, &identify(INTENTS))), Some(4005));
    let (_, hello) = bench.socket("/?v=9&encoding=json");
    assert_eq!(code(&hello), Some(4012));
}

#[test]
fn identify_has_a_pace_and_a_fatal_code_is_heeded() {
    let mut bench = bench();
    let (at, _) = ready(&mut bench);
    bench.lose(at);
    let (at, _) = bench.socket("/?v=10&encoding=json");
    assert_eq!(texts(&bench.say(at, &identify(INTENTS)))[0]["op"], 9);
    assert!(bench.broken().is_empty(), "the first time may be another process");
    bench.say(at, &identify(INTENTS));
    assert_eq!(bench.broken().len(), 1);
    bench.later(5_000, at);
    assert_eq!(texts(&bench.say(at, &identify(INTENTS)))[0]["t"], "READY");
    bench.act(json!({"act": "revoke"}));
    for broken in [1, 2] {
        let (at, _) = bench.socket("/?v=10&encoding=json");
        assert_eq!(code(&bench.say(at, &identify(INTENTS))), Some(4004));
        assert_eq!(bench.broken().len(), broken);
    }
}

#[test]
fn heartbeats_come_in_time_and_stop_when_unanswered() {
    let mut bench = bench();
    let (at, _) = ready(&mut bench);
    let beat = json!({"op": 1, "d": 1});
    assert_eq!(texts(&bench.say(at, &beat))[0]["op"], 11);
    bench.act(json!({"act": "muteAcks"}));
    assert!(texts(&bench.say(at, &beat)).is_empty());
    assert!(bench.broken().is_empty());
    bench.say(at, &beat);
    assert!(bench.broken()[0].contains("close and resume"));
    assert_eq!(code(&later(&mut bench, 41_250 * 3 / 2, at)), Some(4009));
    assert!(bench.broken()[1].contains("no heartbeat"));
}

#[test]
fn two_sessions_at_once_are_a_broken_rule() {
    let mut bench = bench();
    ready(&mut bench);
    bench.now = bench.now.after_ms(6_000);
    let (at, _) = ready(&mut bench);
    bench.later(GRACE_MS, at);
    assert!(bench.broken()[0].contains("two sessions"));
}

#[test]
fn a_client_that_floods_is_closed() {
    let mut bench = bench();
    let (at, _) = ready(&mut bench);
    let mut last = None;
    for _ in 0..120 {
        last = code(&bench.say(at, &json!({"op": 1, "d": null})));
    }
    assert_eq!(last, Some(4008));
}

#[test]
fn intents_hide_content() {
    let mut bench = bench();
    let (at, _) = bench.socket("/?v=10&encoding=json");
    bench.say(at, &identify(1 | 1 << 9));
    let say = |more: Value| {
        let mut act = json!({"act": "message", "channel": 600, "guild": 500, "content": "x"});
        act.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("one"));
        act
    };
    bench.act(say(json!({})));
    bench.act(say(json!({"mention": true})));
    bench.act(json!({"act": "message", "channel": 700, "content": "direct: no intent"}));
    let said = texts(&later(&mut bench, 1, at));
    let content: Vec<&Value> = said
        .iter()
        .filter(|it| it["t"] == "MESSAGE_CREATE")
        .map(|it| &it["d"]["content"])
        .collect();
    assert_eq!(content, [&json!(""), &json!("<@42> x")]);
}

#[test]
fn messages_are_judged_and_a_nonce_posts_once() {
    let mut bench = bench();
    let first = bench.act(json!({"act": "message", "channel": 700, "content": "hi"}));
    let path = "/channels/700/messages";
    let long = rest(&mut bench, "POST", path, json!({"content": "x".repeat(2001)}));
    assert_eq!((long.0, &long.1["code"]), (400, &json!(50035)));
    assert_eq!(rest(&mut bench, "POST", path, json!({"content": ""})).1["code"], 50006);
    assert_eq!(rest(&mut bench, "POST", "/channels/1/messages", json!({})).1["code"], 10003);
    let once = json!({"content": "x", "nonce": "n1", "enforce_nonce": true});
    let one = rest(&mut bench, "POST", path, once.clone()).1;
    let two = rest(&mut bench, "POST", path, once).1;
    assert!(one["id"].is_string() && one["id"] == two["id"]);
    assert_eq!(bench.fake.borrow_mut().desk().posted.len(), 1);
    let theirs = format!("{path}/{}", first["message"].as_str().expect("an id"));
    assert_eq!(rest(&mut bench, "PATCH", &theirs, json!({"content": "y"})).1["code"], 50005);
    let ours = format!("{path}/{}", one["id"].as_str().expect("an id"));
    assert_eq!(rest(&mut bench, "PATCH", &ours, json!({"content": "y"})).1["content"], "y");
    let emoji = format!("{theirs}/reactions/%F0%9F%91%80/@me");
    assert_eq!(rest(&mut bench, "PUT", &emoji, Value::Null).0, 204);
    assert_eq!(rest(&mut bench, "DELETE", &ours, Value::Null).0, 204);
    let none = bench.ask("GET", "/api/v10/users/@me", &[("User-Agent", "curl")], &Value::Null);
    assert_eq!(none.0, 401);
    assert!(bench.broken()[0].contains("User-Agent"));
}

#[test]
fn buckets_run_empty_and_impatience_is_a_broken_rule() {
    let mut bench = bench();
    bench.act(json!({"act": "message", "channel": 700, "content": "hi"}));
    let post =
        |bench: &mut Bench| rest(bench, "POST", "/channels/700/messages", json!({"content": "x"}));
    for _ in 0..5 {
        assert_eq!(post(&mut bench).0, 200);
    }
    let refused = post(&mut bench);
    assert_eq!((refused.0, &refused.1["retry_after"]), (429, &json!(5.0)));
    assert!(bench.broken().is_empty(), "it was on its way");
    bench.now = bench.now.after_ms(1_000);
    assert_eq!(post(&mut bench).0, 429);
    assert_eq!(bench.broken().len(), 1);
    bench.now = bench.now.after_ms(4_000);
    assert_eq!(post(&mut bench).0, 200);
    assert_eq!(rest(&mut bench, "POST", "/channels/700/typing", json!({})).0, 204);
}

#[test]
fn an_interaction_is_answered_once_and_in_time() {
    let mut bench = bench();
    let (at, _) = ready(&mut bench);
    let given = bench.act(json!({"act": "command", "name": "ask", "channel": 700}));
    let (id, token) = (given["interaction"].as_str(), given["token"].as_str());
    let callback = format!("/interactions/{}/{}/callback", id.expect("an id"), token.expect("one"));
    let answer = json!({"type": 5});
    assert_eq!(rest(&mut bench, "POST", &callback, answer.clone()).0, 204);
    assert_eq!(rest(&mut bench, "POST", &callback, answer.clone()).1["code"], 40060);
    let original = format!("/webhooks/42/{}/messages/@original", token.expect("one"));
    let filled = rest(&mut bench, "PATCH", &original, json!({"content": "done"}));
    assert_eq!(filled.1["content"], "done");
    let late = bench.act(json!({"act": "command", "name": "ask", "channel": 700}));
    bench.later(ACK_MS + 1, at);
    assert!(bench.broken()[0].contains("was not answered within"));
    let id = late["interaction"].as_str().expect("an id");
    let callback = format!("/interactions/{id}/{}/callback", late["token"].as_str().expect("one"));
    assert_eq!(rest(&mut bench, "POST", &callback, answer).1["code"], 10062);
}
