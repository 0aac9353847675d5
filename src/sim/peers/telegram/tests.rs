//! The rules of the fake, one by one.

use super::*;
use crate::sim::peers::fake::testing::{Bench, read};
use std::cell::RefCell;
use std::rc::Rc;

const TOKEN: &str = "42:secret";

fn bench() -> Bench {
    Bench::new(Rc::new(RefCell::new(Telegram::new(Rng::new(1), TOKEN, 1_700_000_000_000))))
}

fn call(bench: &mut Bench, method: &str, args: Value) -> (u16, Value) {
    bench.ask("POST", &format!("/bot{TOKEN}/{method}"), &[], &args)
}

fn poll(bench: &mut Bench, at: usize, args: &Value) -> (u16, Value) {
    read(&bench.ask_on(at, "POST", &format!("/bot{TOKEN}/getUpdates"), &[], args).send)
}

fn described(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["description"].as_str().unwrap_or_default())
}

#[test]
fn tokens_and_methods_are_known() {
    let mut bench = bench();
    let answer = call(&mut bench, "getMe", Value::Null);
    assert_eq!((answer.0, &answer.1["result"]["id"]), (200, &json!(42)));
    assert_eq!(bench.ask("GET", "/bot42:wrong/getMe", &[], &Value::Null).0, 401);
    assert_eq!(bench.ask("GET", "/botwrong/getMe", &[], &Value::Null).0, 404);
    assert_eq!(call(&mut bench, "getNothing", Value::Null).0, 404);
    bench.act(json!({"act": "revoke"}));
    assert_eq!(call(&mut bench, "getMe", Value::Null).0, 401);
}

#[test]
fn an_offset_confirms_and_a_poll_is_held() {
    let mut bench = bench();
    let at = bench.connect();
    let (status, _) = poll(&mut bench, at, &json!({"timeout": 30}));
    assert_eq!(status, 0, "nothing yet");
    bench.act(json!({"act": "message", "chat": 7, "text": "hi"}));
    let first = read(&bench.later(10, at).send).1;
    assert_eq!(first["result"][0]["message"]["text"], "hi");
    let id = first["result"][0]["update_id"].as_i64().expect("a number");
    // Not confirmed: again.
    assert_eq!(poll(&mut bench, at, &json!({"timeout": 30})).1, first);
    assert_eq!(poll(&mut bench, at, &json!({"offset": id + 1, "timeout": 30})).0, 0);
    // Held to its end.
    assert_eq!(read(&bench.later(29_000, at).send).0, 0);
    assert_eq!(read(&bench.later(1_001, at).send).1["result"], json!([]));
    bench.act(json!({"act": "again"}));
    assert_eq!(poll(&mut bench, at, &json!({"offset": id, "timeout": 0})).1, first);
    assert!(bench.broken().is_empty());
}

#[test]
fn a_kind_nobody_asked_for_does_not_come() {
    let mut bench = bench();
    let at = bench.connect();
    let update = json!({"act": "update", "fields": {"message_reaction": {"date": 1}}});
    bench.act(update.clone());
    assert_eq!(poll(&mut bench, at, &json!({})).1["result"], json!([]));
    poll(&mut bench, at, &json!({"allowed_updates": ["message_reaction"]}));
    bench.act(update);
    bench.act(json!({"act": "message", "text": "not this"}));
    let got = poll(&mut bench, at, &json!({"timeout": 0})).1;
    assert_eq!(got["result"].as_array().map(Vec::len), Some(1), "{got}");
}

#[test]
fn a_second_poller_ends_the_first() {
    let mut bench = bench();
    let (one, two) = (bench.connect(), bench.connect());
    poll(&mut bench, one, &json!({"timeout": 30}));
    assert_eq!(poll(&mut bench, two, &json!({"timeout": 30})).0, 0);
    let answer = read(&bench.later(0, one).send);
    assert_eq!(answer.0, 409);
    assert!(described(&answer).1.starts_with("Conflict: terminated by other getUpdates request"));
    bench.later(GRACE_MS, two);
    assert_eq!(bench.broken().len(), 1, "{:?}", bench.broken());
}

#[test]
fn a_poll_whose_connection_broke_is_no_rival() {
    let mut bench = bench();
    let (one, two) = (bench.connect(), bench.connect());
    poll(&mut bench, one, &json!({"timeout": 30}));
    poll(&mut bench, two, &json!({"timeout": 30}));
    // The news of its end was on its way.
    bench.lose(one);
    bench.later(GRACE_MS, two);
    assert!(bench.broken().is_empty());
    // Half-open: only one end knows.
    let three = bench.connect();
    bench.act(json!({"act": "halfOpen", "of": "poll"}));
    bench.later(0, two);
    poll(&mut bench, three, &json!({"timeout": 30}));
    bench.later(GRACE_MS, three);
    assert!(bench.broken().is_empty());
}

#[test]
fn a_webhook_excludes_polls_and_is_posted_until_it_is_taken() {
    let mut bench = bench();
    let (poller, secret) = (bench.connect(), "s3cret_-");
    let url = "https://example.com/hook";
    poll(&mut bench, poller, &json!({"timeout": 30}));
    for (args, status) in [
        (json!({"url": "http://example.com/"}), 400),
        (json!({"url": "https://example.com:444/"}), 400),
        (json!({"url": url, "secret_token": "a b"}), 400),
        (json!({"url": url, "secret_token": secret}), 200),
    ] {
        assert_eq!(call(&mut bench, "setWebhook", args).0, status);
    }
    assert_eq!(read(&bench.later(0, poller).send).0, 409);
    bench.later(3_001, poller);
    let answer = poll(&mut bench, poller, &json!({}));
    assert!(described(&answer).1.contains("webhook is active"), "{answer:?}");
    // The calls would be taken by a connection: only the clock moves here.
    perform_message(&mut bench, "one");
    let first = bench.calls().pop().expect("a call");
    let said = ("X-Telegram-Bot-Api-Secret-Token".to_owned(), secret.to_owned());
    assert!(first.headers.contains(&said) && first.url == url);
    let now = bench.now;
    bench.fake.borrow_mut().answered(now, first.id, Some((500, Vec::new())));
    assert!(bench.calls().is_empty(), "not at once");
    bench.now = bench.now.after_ms(60_000);
    bench.fake.borrow_mut().tick(bench.now);
    let again = bench.calls().pop().expect("a second call");
    assert_eq!(again.body, first.body);
    let reply = json!({"method": "sendMessage", "chat_id": 7, "text": "inline"}).to_string();
    bench.fake.borrow_mut().answered(bench.now, again.id, Some((200, reply.into_bytes())));
    assert_eq!(bench.fake.borrow_mut().desk().posted[0].text, "inline");
    let info = call(&mut bench, "getWebhookInfo", Value::Null).1;
    assert_eq!(info["result"]["pending_update_count"], 0);
    assert!(info["result"]["last_error_message"].as_str().is_some_and(|text| text.contains("500")));
}

fn perform_message(bench: &mut Bench, text: &str) {
    bench.act(json!({"act": "message", "chat": 7, "text": text}));
}

#[test]
fn what_is_sent_is_judged() {
    let mut bench = bench();
    perform_message(&mut bench, "hello");
    let cases = [
        (json!({"chat_id": 8, "text": "x"}), "chat not found"),
        (json!({"text": "x"}), "chat_id is empty"),
        (json!({"chat_id": 7, "text": " "}), "message text is empty"),
        (json!({"chat_id": 7, "text": "x".repeat(4097)}), "message is too long"),
        (json!({"chat_id": 7, "text": "😀".repeat(2049)}), "message is too long"),
        (json!({"chat_id": 7, "text": "<b>x", "parse_mode": "HTML"}), "can't parse entities"),
        (
            json!({"chat_id": 7, "text": "x", "reply_parameters": {"message_id": 99}}),
            "message to be replied not found",
        ),
        (json!({"chat_id": 7, "text": "x", "message_thread_id": 5}), "message thread not found"),
        (
            json!({"chat_id": 7, "text": "x", "reply_markup": {"inline_keyboard":
                [[{"text": "b", "callback_data": "y".repeat(65)}]]}}),
            "BUTTON_DATA_INVALID",
        ),
    ];
    for (args, what) in cases {
        let answer = call(&mut bench, "sendMessage", args);
        assert!(answer.0 == 400 && described(&answer).1.contains(what), "{what}: {answer:?}");
    }
    let whole = format!("<b>{}</b>", "x".repeat(4096));
    let args = json!({"chat_id": "7", "text": whole, "parse_mode": "HTML"});
    let answer = call(&mut bench, "sendMessage", args);
    assert_eq!(answer.1["result"]["message_id"], 2);
    let edit = json!({"chat_id": 7, "message_id": 2, "text": "x".repeat(4096)});
    let answer = call(&mut bench, "editMessageText", edit);
    assert!(described(&answer).1.contains("message is not modified"));
    let edit = json!({"chat_id": 7, "message_id": 1, "text": "theirs"});
    assert!(described(&call(&mut bench, "editMessageText", edit)).1.contains("can't be edited"));
    let thumb = json!([{"type": "emoji", "emoji": "👀"}]);
    let react = json!({"chat_id": 7, "message_id": 1, "reaction": thumb});
    assert_eq!(call(&mut bench, "setMessageReaction", react).0, 200);
    let bad =
        json!({"chat_id": 7, "message_id": 1, "reaction": [{"type": "emoji", "emoji": "🧀"}]});
    assert!(described(&call(&mut bench, "setMessageReaction", bad)).1.contains("REACTION_INVALID"));
}

#[test]
fn a_chat_has_its_pace_and_impatience_is_a_broken_rule() {
    let mut bench = bench();
    perform_message(&mut bench, "hello");
    let send = |bench: &mut Bench| call(bench, "sendMessage", json!({"chat_id": 7, "text": "x"}));
    for _ in 0..5 {
        assert_eq!(send(&mut bench).0, 200);
    }
    let answer = send(&mut bench);
    assert_eq!((answer.0, &answer.1["parameters"]["retry_after"]), (429, &json!(5)));
    // What was on its way is excused.
    bench.now = bench.now.after_ms(100);
    assert_eq!(send(&mut bench).0, 429);
    assert!(bench.broken().is_empty());
    bench.now = bench.now.after_ms(1_000);
    assert_eq!(send(&mut bench).0, 429);
    assert_eq!(bench.broken().len(), 1);
    bench.now = bench.now.after_ms(5_000);
    assert_eq!(send(&mut bench).0, 200);
}

#[test]
fn a_press_wants_its_answer_once() {
    let mut bench = bench();
    perform_message(&mut bench, "hello");
    let query = bench.act(json!({"act": "press", "chat": 7, "message": 1, "data": "go"}));
    let args = json!({"callback_query_id": query["query"]});
    let at = bench.connect();
    let got = poll(&mut bench, at, &json!({"timeout": 0})).1;
    let last = got["result"][1]["update_id"].as_i64().expect("a number");
    assert_eq!(got["result"][1]["callback_query"]["data"], "go");
    poll(&mut bench, at, &json!({"offset": last + 1}));
    assert_eq!(call(&mut bench, "answerCallbackQuery", args.clone()).0, 200);
    assert_eq!(call(&mut bench, "answerCallbackQuery", args).0, 400);
    bench.act(json!({"act": "press", "chat": 7, "message": 1, "data": "go"}));
    poll(&mut bench, at, &json!({"offset": last + 2}));
    bench.later(PRESS_MS + 1, at);
    assert!(bench.broken()[0].contains("never answered"));
}

#[test]
fn files_go_up_and_down() {
    let mut bench = bench();
    bench.act(json!({"act": "message", "chat": 7, "document": "content", "file": "a.txt"}));
    let at = bench.connect();
    let got = poll(&mut bench, at, &json!({"timeout": 0})).1;
    let document = &got["result"][0]["message"]["document"];
    let file = call(&mut bench, "getFile", json!({"file_id": document["file_id"]})).1;
    let path = file["result"]["file_path"].as_str().expect("a path");
    let io = bench.ask_on(at, "GET", &format!("/file/bot{TOKEN}/{path}"), &[], &Value::Null);
    assert!(io.send.ends_with(b"\r\n\r\ncontent"));
    let body = "--b\r\nContent-Disposition: form-data; name=\"chat_id\"\r\n\r\n7\r\n--b\r\n\
        Content-Disposition: form-data; name=\"photo\"\r\n\r\nattach://p\r\n--b\r\n\
        Content-Disposition: form-data; name=\"p\"; filename=\"p.png\"\r\n\r\nPNG\r\n--b--\r\n";
    let mut bytes = Vec::new();
    let headers = [("Content-Type", "multipart/form-data; boundary=b")];
    let target = format!("/bot{TOKEN}/sendPhoto");
    let body = Some(body.as_bytes());
    crate::wire::http::client::request(&mut bytes, "POST", "fake", &target, &headers, body);
    let answer = read(&bench.send(at, &bytes).send);
    assert_eq!(answer.1["result"]["photo"][0]["file_size"], 3, "{answer:?}");
}

#[test]
fn trouble_comes_as_ordered() {
    let mut bench = bench();
    perform_message(&mut bench, "hello");
    let args = json!({"chat_id": 7, "text": "x"});
    let trouble = |woe: &str| json!({"act": "trouble", "path": "sendMessage", "woe": woe});
    bench.act(trouble("losesAnswer"));
    let at = bench.connect();
    let io = bench.ask_on(at, "POST", &format!("/bot{TOKEN}/sendMessage"), &[], &args);
    assert!(io.reset && io.send.is_empty());
    assert_eq!(bench.fake.borrow_mut().desk().posted.len(), 1, "it was carried out");
    bench.act(trouble("fails"));
    assert_eq!(call(&mut bench, "sendMessage", args.clone()).0, 502);
    bench.act(trouble("tooMany"));
    assert_eq!(call(&mut bench, "sendMessage", args.clone()).0, 429);
    bench.now = bench.now.after_ms(1_000);
    assert_eq!(call(&mut bench, "sendMessage", args).0, 200);
    bench.act(json!({"act": "kick", "chat": 7}));
    let answer = call(&mut bench, "sendMessage", json!({"chat_id": 7, "text": "x"}));
    assert_eq!(described(&answer), (403, "Forbidden: bot was blocked by the user"));
    assert!(bench.broken().is_empty());
}
