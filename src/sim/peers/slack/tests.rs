//! The rules of the fake, one by one.

use super::*;
use crate::sim::peers::fake::testing::{Bench, frames, texts};
use crate::sim::peers::fake::{FLIGHT_MS, GRACE_MS};
use crate::wire::hash::{hex, hmac_sha256};
use crate::wire::ws::Message as Frame;
use std::cell::RefCell;
use std::rc::Rc;

const TOKENS: (&str, &str) = ("xoxb-fake", "xapp-fake");

fn bench() -> Bench {
    let slack = Slack::new(Rng::new(1), TOKENS, "secret", 1_700_000_000_000);
    Bench::new(Rc::new(RefCell::new(slack)))
}

fn call(bench: &mut Bench, method: &str, args: Value) -> (u16, Value) {
    let token = if method.starts_with("apps.") { TOKENS.1 } else { TOKENS.0 };
    let bearer = format!("Bearer {token}");
    bench.ask("POST", &format!("/api/{method}"), &[("Authorization", &bearer)], &args)
}

/// An open socket, greeted.
fn socket(bench: &mut Bench) -> usize {
    greeted(bench).0
}

/// An open socket and the envelopes that waited for it.
fn greeted(bench: &mut Bench) -> (usize, Vec<Value>) {
    let url = call(bench, "apps.connections.open", Value::Null).1;
    let url = url["url"].as_str().expect("a URL").to_owned();
    let target = url.strip_prefix("wss://wss-primary.slack.com").expect("its host");
    let (at, hello) = bench.socket(target);
    let mut said = texts(&hello);
    assert_eq!(said.remove(0)["type"], "hello");
    (at, said)
}

fn later(bench: &mut Bench, ms: u64, at: usize) -> Vec<Frame> {
    frames(&bench.later(ms, at).send)
}

/// Envelopes that came.
fn envelopes(bench: &mut Bench, ms: u64, at: usize) -> Vec<Value> {
    let mut said = texts(&later(bench, ms, at));
    said.retain(|it| it["envelope_id"].is_string());
    said
}

fn ack(bench: &mut Bench, at: usize, envelope: &Value) {
    bench.say(at, &json!({"envelope_id": envelope["envelope_id"]}));
}

#[test]
fn tokens_have_their_methods() {
    let mut bench = bench();
    assert_eq!(call(&mut bench, "auth.test", Value::Null).1["user_id"], Slack::BOT);
    let error = |bench: &mut Bench, token: &str, method: &str| {
        let headers = [("Authorization", token)];
        let headers: &[(&str, &str)] = if token.is_empty() { &[] } else { &headers };
        bench.ask("POST", &format!("/api/{method}"), headers, &Value::Null).1["error"].clone()
    };
    assert_eq!(error(&mut bench, "", "auth.test"), "not_authed");
    assert_eq!(error(&mut bench, "Bearer xoxb-wrong", "auth.test"), "invalid_auth");
    let open = "apps.connections.open";
    assert_eq!(error(&mut bench, "Bearer xoxb-fake", open), "not_allowed_token_type");
    assert_eq!(error(&mut bench, "Bearer xoxb-fake", "no.such"), "unknown_method");
    bench.act(json!({"act": "revoke"}));
    assert_eq!(error(&mut bench, "Bearer xoxb-fake", "auth.test"), "token_revoked");
}

#[test]
fn an_envelope_is_acknowledged_once_and_in_time() {
    let mut bench = bench();
    let at = socket(&mut bench);
    bench.act(json!({"act": "message", "text": "one"}));
    let one = envelopes(&mut bench, 1, at).remove(0);
    assert_eq!(one["payload"]["event"]["text"], "one");
    assert_eq!(one["retry_attempt"], 0);
    ack(&mut bench, at, &one);
    bench.later(5_000, at);
    assert!(bench.broken().is_empty(), "{:?}", bench.broken());
    ack(&mut bench, at, &one);
    assert!(bench.broken()[0].contains("acknowledged twice"));
    bench.act(json!({"act": "message", "text": "two"}));
    let two = envelopes(&mut bench, 1, at).remove(0);
    let again = envelopes(&mut bench, ACK_MS, at).remove(0);
    assert_eq!(again["payload"]["event_id"], two["payload"]["event_id"]);
    assert_eq!((&again["retry_attempt"], &again["retry_reason"]), (&json!(1), &json!("timeout")));
    assert!(bench.broken()[1].contains("not within"));
    bench.say(at, &json!({"envelope_id": "nobody's"}));
    assert!(bench.broken()[2].contains("never sent"));
}

#[test]
fn an_event_on_a_lost_socket_comes_again_on_the_next() {
    let mut bench = bench();
    let at = socket(&mut bench);
    bench.act(json!({"act": "message", "text": "one"}));
    assert_eq!(envelopes(&mut bench, 1, at).len(), 1);
    bench.lose(at);
    let (at, waited) = greeted(&mut bench);
    let again = waited[0].clone();
    assert_eq!(again["retry_attempt"], 1);
    ack(&mut bench, at, &again);
    bench.act(json!({"act": "again"}));
    let twice = envelopes(&mut bench, 1, at).remove(0);
    assert_eq!(twice["payload"]["event_id"], again["payload"]["event_id"]);
    ack(&mut bench, at, &twice);
    // Half-open: nobody acknowledges, and no rule is broken.
    bench.act(json!({"act": "message", "text": "two"}));
    bench.act(json!({"act": "halfOpen", "of": "socket"}));
    bench.later(1, at);
    bench.later(ACK_MS, at);
    assert!(bench.broken().is_empty(), "{:?}", bench.broken());
}

#[test]
fn tickets_work_once_and_three_sockets_are_too_many() {
    let mut bench = bench();
    let sockets: Vec<usize> = (0..2).map(|_| socket(&mut bench)).collect();
    bench.later(GRACE_MS, sockets[0]);
    assert!(bench.broken().is_empty());
    let third = socket(&mut bench);
    bench.later(GRACE_MS, third);
    assert!(bench.broken()[0].contains("3 sockets at once"), "{:?}", bench.broken());
    let headers = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    let used = bench.ask("GET", "/link/?ticket=used&app_id=AFAKE", &headers, &Value::Null);
    assert_eq!(used.0, 403);
    assert!(bench.broken()[1].contains("ticket"));
}

#[test]
fn a_warning_comes_before_the_close() {
    let mut bench = bench();
    let at = socket(&mut bench);
    bench.act(json!({"act": "warn"}));
    assert_eq!(texts(&later(&mut bench, 1, at))[0]["reason"], "warning");
    // What comes now goes to the next socket.
    bench.act(json!({"act": "message", "text": "one"}));
    assert!(envelopes(&mut bench, 1, at).is_empty());
    let (next, waited) = greeted(&mut bench);
    ack(&mut bench, next, &waited[0]);
    let close = later(&mut bench, 10_000, at);
    assert!(close.iter().any(|frame| matches!(frame, Frame::Close { .. })), "{close:?}");
    assert!(bench.broken().is_empty(), "{:?}", bench.broken());
}

#[test]
fn messages_are_judged() {
    let mut bench = bench();
    let first = bench.act(json!({"act": "message", "channel": "C1", "text": "hi"}));
    let mut error = |method: &str, args: Value| call(&mut bench, method, args).1["error"].clone();
    assert_eq!(
        error("chat.postMessage", json!({"channel": "C2", "text": "x"})),
        "channel_not_found"
    );
    assert_eq!(error("chat.postMessage", json!({"channel": "C1", "text": ""})), "no_text");
    let long = json!({"channel": "C1", "text": "x".repeat(40_001)});
    assert_eq!(error("chat.postMessage", long), "msg_too_long");
    let theirs = json!({"channel": "C1", "ts": first["ts"], "text": "x"});
    assert_eq!(error("chat.update", theirs.clone()), "cant_update_message");
    assert_eq!(error("chat.delete", theirs), "cant_delete_message");
    let eyes = json!({"channel": "C1", "timestamp": first["ts"], "name": "eyes"});
    assert_eq!(error("reactions.add", eyes.clone()), Value::Null);
    assert_eq!(error("reactions.add", eyes), "already_reacted");
    let answer = json!({"channel": "C1", "text": "re", "thread_ts": first["ts"]});
    assert_eq!(error("chat.postMessage", answer), Value::Null);
    let replies = json!({"channel": "C1", "ts": first["ts"]});
    let replies = call(&mut bench, "conversations.replies", replies).1;
    assert_eq!(replies["messages"].as_array().map(Vec::len), Some(2));
    assert!(bench.broken().is_empty());
}

#[test]
fn a_channel_has_its_pace_and_impatience_is_a_broken_rule() {
    let mut bench = bench();
    bench.act(json!({"act": "message", "channel": "C1", "text": "hi"}));
    let post =
        |bench: &mut Bench| call(bench, "chat.postMessage", json!({"channel": "C1", "text": "x"}));
    for _ in 0..5 {
        assert_eq!(post(&mut bench).0, 200);
    }
    assert_eq!(post(&mut bench).0, 429);
    bench.now = bench.now.after_ms(FLIGHT_MS + 1);
    assert_eq!(post(&mut bench).0, 429);
    assert!(bench.broken()[0].contains("before Retry-After"));
    bench.now = bench.now.after_ms(5_000);
    assert_eq!(post(&mut bench).1["ok"], true);
}

#[test]
fn files_go_up_in_three_steps_and_down_with_the_token() {
    let mut bench = bench();
    bench.act(json!({"act": "message", "channel": "C1", "text": "hi", "file": "content"}));
    let (at, waited) = greeted(&mut bench);
    let event = &waited[0];
    ack(&mut bench, at, event);
    let url = event["payload"]["event"]["files"][0]["url_private"].as_str().expect("a URL");
    let path = url.strip_prefix("https://slack.com").expect("its host").to_owned();
    let plain = bench.connect();
    let bearer = [("Authorization", "Bearer xoxb-fake")];
    let io = bench.ask_on(plain, "GET", &path, &bearer, &Value::Null);
    assert!(io.send.ends_with(b"\r\n\r\ncontent"));
    let args = json!({"filename": "a.txt", "length": 5});
    let up = call(&mut bench, "files.getUploadURLExternal", args).1;
    let done = json!({"files": [{"id": up["file_id"]}], "channel_id": "C1"});
    assert_eq!(call(&mut bench, "files.completeUploadExternal", done.clone()).1["ok"], false);
    let path = up["upload_url"].as_str().expect("a URL");
    let path = path.strip_prefix("https://slack.com").expect("its host").to_owned();
    let io = bench.ask_on(plain, "POST", &path, &[], &json!("abc"));
    assert!(io.send.ends_with(b"OK - 5"));
    assert_eq!(call(&mut bench, "files.completeUploadExternal", done).1["ok"], true);
    assert_eq!(bench.broken().len(), 1, "completed too early: {:?}", bench.broken());
}

#[test]
fn the_events_api_signs_and_tries_again() {
    let mut bench = bench();
    bench.act(json!({"act": "eventsApi", "url": "https://example.com/slack"}));
    let first = bench.calls().remove(0);
    let header = |call: &crate::sim::peers::fake::Call, name: &str| {
        let found = call.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let stamp = header(&first, "X-Slack-Request-Timestamp");
    let base = [b"v0:", stamp.as_bytes(), b":", first.body.as_slice()].concat();
    let expected = format!("v0={}", hex(&hmac_sha256(b"secret", &base)));
    assert_eq!(header(&first, "X-Slack-Signature"), expected);
    let body: Value = serde_json::from_slice(&first.body).expect("JSON");
    let now = bench.now;
    let challenge = body["challenge"].as_str().expect("one").as_bytes().to_vec();
    bench.fake.borrow_mut().answered(now, first.id, Some((200, challenge)));
    bench.act(json!({"act": "message", "text": "one"}));
    let one = bench.calls().remove(0);
    bench.fake.borrow_mut().answered(now, one.id, None);
    let again = bench.calls().remove(0);
    assert_eq!(header(&again, "X-Slack-Retry-Num"), "1");
    assert_eq!(again.body, one.body);
    bench.fake.borrow_mut().answered(now, again.id, Some((200, Vec::new())));
    assert!(bench.calls().is_empty() && bench.broken().is_empty());
}

#[test]
fn a_command_is_answered_by_its_url_and_a_trigger_works_once() {
    let mut bench = bench();
    let at = socket(&mut bench);
    let given = bench.act(json!({"act": "slash", "command": "/ask", "text": "x"}));
    let envelope = envelopes(&mut bench, 1, at).remove(0);
    assert_eq!(
        (&envelope["type"], &envelope["accepts_response_payload"]),
        (&json!("slash_commands"), &json!(true))
    );
    let said = json!({"envelope_id": envelope["envelope_id"], "payload": {"text": "at once"}});
    bench.say(at, &said);
    let url = given["responseUrl"].as_str().expect("a URL").to_owned();
    let path = url.strip_prefix("https://slack.com").expect("its host");
    for n in 0..6 {
        let status = bench.ask("POST", path, &[], &json!({"text": "later"})).0;
        assert_eq!(status, if n < 5 { 200 } else { 404 });
    }
    let view = json!({"trigger_id": given["trigger"], "view": {}});
    assert_eq!(call(&mut bench, "views.open", view.clone()).1["ok"], true);
    assert_eq!(call(&mut bench, "views.open", view).1["error"], "exchanged_trigger_id");
    let posted: Vec<String> =
        bench.fake.borrow_mut().desk().posted.iter().map(|it| it.text.clone()).collect();
    assert_eq!(posted[..2], ["at once", "later"]);
}
