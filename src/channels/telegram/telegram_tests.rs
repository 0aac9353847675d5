use super::*;
use crate::channels::rig::Rig;
use crate::channels::{Act, Attachment, Chat, ChatKind, Outgoing};
use std::rc::Rc;

const TOKEN: &str = "123456:ABC-def_123";
const ROOT: &str = "https://api.telegram.org/bot123456:ABC-def_123/";

/// The next request, which must be this method; its parameters.
fn asked(rig: &mut Rig, method: &str) -> (ReqId, Value) {
    let Some((req, request)) = rig.request() else { panic!("nothing was asked, want {method}") };
    assert_eq!(request.url, format!("{ROOT}{method}"));
    (req, serde_json::from_slice(&request.body).unwrap_or_default())
}

fn ok(result: Value) -> Value {
    json!({"ok": true, "result": result})
}

fn bad(code: u64, why: &str) -> Value {
    json!({"ok": false, "error_code": code, "description": why})
}

fn me() -> Value {
    ok(json!({"id": 123_456, "is_bot": true, "first_name": "Claw", "username": "ClawBot"}))
}

/// Through getMe, deleteWebhook and the menu to the first poll.
fn polling_with(mut value: Value) -> (Rig, ReqId) {
    value["botToken"] = TOKEN.into();
    let mut rig = Rig::new(&KIND, value);
    rig.start();
    let req = greeted(&mut rig);
    (rig, req)
}

fn greeted(rig: &mut Rig) -> ReqId {
    assert_eq!(rig.state(), &State::Connecting);
    let (req, _) = asked(rig, "getMe");
    rig.answers(req, 200, &me());
    cleared(rig)
}

fn cleared(rig: &mut Rig) -> ReqId {
    let (req, params) = asked(rig, "deleteWebhook");
    assert_eq!(params, json!({"drop_pending_updates": false}));
    rig.answers(req, 200, &ok(json!(true)));
    assert_eq!(rig.state(), &State::Connecting, "it may be that somebody else polls");
    let (req, request) = rig.request().expect("the menu or the poll");
    let (req, first) = match request.url.ends_with("getUpdates") {
        true => (req, serde_json::from_slice(&request.body).expect("JSON")),
        false => {
            assert!(request.url.ends_with("setMyCommands"), "{}", request.url);
            rig.answers(req, 200, &ok(json!(true)));
            asked(rig, "getUpdates")
        }
    };
    assert_eq!(first["timeout"], 0, "whether it can poll is known at once");
    rig.answers(req, 200, &ok(json!([])));
    assert_eq!(rig.state(), &State::Connected);
    let (req, next) = asked(rig, "getUpdates");
    assert_eq!(next["timeout"], limits::TELEGRAM_POLL_S);
    req
}

fn polling() -> (Rig, ReqId) {
    polling_with(json!({}))
}

fn said(number: i64, text: &str) -> Value {
    json!({"update_id": number, "message": {"message_id": number * 10, "date": 1_700_000_000,
        "chat": {"id": 77, "type": "private"}, "text": text,
        "from": {"id": 77, "first_name": "Ann", "last_name": "Lee", "username": "Ann_L"}}})
}

fn in_group(number: i64, text: &str) -> Value {
    let mut update = said(number, text);
    update["message"]["chat"] = json!({"id": -1005, "type": "supergroup", "title": "Crew"});
    update
}

#[test]
fn updates_are_acknowledged_once_they_are_kept() {
    let (mut rig, poll) = polling();
    rig.answers(poll, 200, &ok(json!([said(5, "one"), said(6, "two")])));
    let first = rig.message().expect("one");
    assert_eq!((&*first.text, &*first.id, &*first.chat.id), ("one", "77:50", "77"));
    assert_eq!(first.chat.kind, ChatKind::Direct);
    assert_eq!((&*first.sender.ids[0], &*first.sender.names[0]), ("77", "@Ann_L"));
    assert_eq!(first.sender.name.as_deref(), Some("Ann Lee"));
    assert_eq!(first.sent_ms, 1_700_000_000_000);
    assert_eq!(rig.message().expect("two").text, "two");
    assert_eq!(rig.kept["offset"], 7, "kept before Telegram is told");
    let (poll, params) = asked(&mut rig, "getUpdates");
    assert_eq!((&params["offset"], &params["timeout"]), (&json!(7), &json!(30)));
    assert_eq!(params["allowed_updates"], json!(super::updates::WANTED));
    // An empty poll is followed by the next one, and there is never a second at once.
    rig.after_ms(limits::TELEGRAM_POLL_EMPTY_MS);
    rig.answers(poll, 200, &ok(json!([])));
    let (poll, _) = asked(&mut rig, "getUpdates");
    assert!(rig.request().is_none());
    // A server that does not hold it is not asked in a circle.
    rig.answers(poll, 200, &ok(json!([])));
    assert!(rig.request().is_none());
    assert_eq!(rig.state(), &State::Connected);
    rig.after_ms(limits::TELEGRAM_POLL_EMPTY_MS);
    asked(&mut rig, "getUpdates");
}

#[test]
fn what_the_disk_refused_comes_again() {
    let (mut rig, poll) = polling();
    rig.disk = false;
    rig.answers(poll, 200, &ok(json!([said(5, "one")])));
    assert!(matches!(rig.state(), State::Waiting { .. }));
    assert!(rig.request().is_none());
    rig.disk = true;
    rig.after_ms(limits::TELEGRAM_BACKOFF_MS);
    let (poll, params) = asked(&mut rig, "getUpdates");
    assert_eq!(params["offset"], 0);
    rig.answers(poll, 200, &ok(json!([said(5, "one")])));
    assert_eq!(rig.message().expect("again").text, "one");
    assert_eq!(rig.state(), &State::Connected);
    assert_eq!(asked(&mut rig, "getUpdates").1["offset"], 6);
}

#[test]
fn a_restart_goes_on_where_it_was_and_only_for_the_same_bot() {
    for (bot, want) in [("123456", 42), ("999", 0)] {
        let mut account = Account::new("telegram", "default", json!({"botToken": TOKEN}));
        account.kept = json!({"bot": bot, "offset": 42});
        let mut rig = Rig::of(&KIND, &account);
        rig.start();
        let (req, _) = asked(&mut rig, "getMe");
        rig.answers(req, 200, &me());
        let (req, _) = asked(&mut rig, "deleteWebhook");
        rig.answers(req, 200, &ok(json!(true)));
        let (_, menu) = asked(&mut rig, "setMyCommands");
        assert_eq!(menu["commands"][0]["command"], "help");
        assert_eq!(asked(&mut rig, "getUpdates").1["offset"], want);
    }
}

#[test]
fn the_menu_is_set_once() {
    let (rig, _) = polling();
    let mut account = Account::new("telegram", "default", json!({"botToken": TOKEN}));
    account.kept = rig.kept.clone();
    let mut rig = Rig::of(&KIND, &account);
    rig.start();
    let (req, _) = asked(&mut rig, "getMe");
    rig.answers(req, 200, &me());
    let (req, _) = asked(&mut rig, "deleteWebhook");
    rig.answers(req, 200, &ok(json!(true)));
    asked(&mut rig, "getUpdates");
    assert!(rig.request().is_none());
}

#[test]
fn another_poller_is_waited_out() {
    let (mut rig, poll) = polling();
    let why = "Conflict: terminated by other getUpdates request";
    rig.answers(poll, 409, &bad(409, why));
    let State::Waiting { why, .. } = rig.state().clone() else { panic!("{:?}", rig.state()) };
    assert!(why.contains("another program"), "{why}");
    rig.after_ms(limits::TELEGRAM_CONFLICT_MS - 1);
    assert!(rig.request().is_none(), "the other's window is waited out");
    rig.after_ms(1);
    // Another one that polls on ends ours a little later, so only a poll that was held counts.
    for _ in 0..3 {
        let (req, _) = asked(&mut rig, "deleteWebhook");
        rig.answers(req, 200, &ok(json!(true)));
        let (poll, params) = asked(&mut rig, "getUpdates");
        assert_eq!(params["timeout"], limits::TELEGRAM_POLL_S);
        assert_eq!(rig.state(), &State::Connecting);
        let why = "Conflict: terminated by other getUpdates request";
        rig.answers(poll, 409, &bad(409, why));
        assert!(matches!(rig.state(), State::Waiting { .. }));
        rig.after_ms(limits::TELEGRAM_BACKOFF_MAX_MS);
    }
    let (req, _) = asked(&mut rig, "deleteWebhook");
    rig.answers(req, 200, &ok(json!(true)));
    let (poll, _) = asked(&mut rig, "getUpdates");
    rig.answers(poll, 200, &ok(json!([said(5, "one")])));
    assert_eq!(rig.state(), &State::Connected);
    // A webhook that somebody set is taken away, and that is all.
    let (poll, _) = asked(&mut rig, "getUpdates");
    let why = "Conflict: can't use getUpdates method while webhook is active";
    rig.answers(poll, 409, &bad(409, why));
    rig.after_ms(limits::TELEGRAM_CONFLICT_MS);
    cleared(&mut rig);
}

#[test]
fn an_answer_that_is_too_long_is_asked_for_in_smaller_parts() {
    let (mut rig, mut poll) = polling();
    let too_long = || Trouble { what: "too long".into(), too_long: true, ..Trouble::default() };
    let mut limit = limits::TELEGRAM_UPDATES;
    while limit > 1 {
        rig.troubled(poll, too_long());
        limit /= 2;
        let (req, params) = asked(&mut rig, "getUpdates");
        assert_eq!((&params["limit"], &params["offset"]), (&json!(limit), &json!(0)));
        poll = req;
    }
    assert_eq!(rig.state(), &State::Connected, "it goes on");
    rig.answers(poll, 200, &ok(json!([said(7, "small")])));
    assert_eq!(rig.message().expect("it").text, "small");
    let (poll, params) = asked(&mut rig, "getUpdates");
    assert_eq!((&params["limit"], &params["offset"]), (&json!(2), &json!(8)), "more again");

    // Alone it is too long: its number is asked for, and just that one is left out.
    rig.troubled(poll, too_long());
    let (poll, _) = asked(&mut rig, "getUpdates");
    rig.troubled(poll, too_long());
    let (peek, request) = rig.request().expect("a look at its head");
    assert_eq!((request.max_bytes, request.cut), (limits::TELEGRAM_PEEK, true));
    let head = br#"{"ok":true, "result":[{"update_id":912, "message":{"text":"xxx"#;
    let length = (limits::TELEGRAM_POLL_ANSWER + 1).to_string();
    rig.answers_bytes(peek, &[("Content-Length", &length)], head);
    assert_eq!(rig.kept["offset"], 913);
    let (poll, params) = asked(&mut rig, "getUpdates");
    assert_eq!((&params["offset"], &params["limit"]), (&json!(913), &json!(100)));
    rig.answers(poll, 200, &ok(json!([said(913, "next")])));
    assert_eq!(rig.message().expect("the next one").text, "next");
}

#[test]
fn nothing_is_left_out_that_is_not_known_to_be_too_long() {
    let most = limits::TELEGRAM_POLL_ANSWER.to_string();
    let over = (limits::TELEGRAM_POLL_ANSWER + 1).to_string();
    let good = &br#"{"ok":true,"result":[{"update_id":912,"m"#[..];
    for (length, head, waits) in [
        (Some(&*most), good, true),
        (None, good, true),
        (Some(&*over), &br#"{"ok":true,"result":[{"message":{"update_id":912,"#[..], true),
        (Some(&*over), br#"{"ok":true,"result":[{"update_id":912"#, true),
        (Some("23"), br#"{"ok":true,"result":[]}"#, false),
    ] {
        let (mut rig, mut poll) = polling();
        let peek = loop {
            let trouble = Trouble { too_long: true, ..Trouble::default() };
            rig.troubled(poll, trouble);
            let (req, request) = rig.request().expect("the next one");
            match request.cut {
                true => break req,
                false => poll = req,
            }
        };
        let lines: Vec<(&str, &str)> =
            length.map(|it| ("Content-Length", it)).into_iter().collect();
        rig.answers_bytes(peek, &lines, head);
        assert_eq!(
            matches!(rig.state(), State::Waiting { why, .. } if why.contains("apiRoot")),
            waits
        );
        rig.after_ms(limits::TELEGRAM_BACKOFF_MAX_MS);
        assert_eq!(asked(&mut rig, "getUpdates").1["offset"], 0);
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_tried_again_in_a_while() {
    let untrusted = || Trouble::of_dial(&crate::driver::DialError::Untrusted("expired".into()));
    let mut rig = Rig::new(&KIND, json!({"botToken": TOKEN}));
    rig.start();
    let (req, _) = asked(&mut rig, "getMe");
    rig.troubled(req, untrusted());
    assert!(matches!(rig.state(), State::Waiting { why, .. } if why.contains("SSL_CERT_FILE")));
    rig.after_ms(limits::CHANNEL_DISTRUST_MS - 1);
    assert!(rig.request().is_none());
    rig.after_ms(1);
    let (req, _) = asked(&mut rig, "getMe");
    rig.answers(req, 200, &me());
    cleared(&mut rig);
    rig.send("77", "x");
    let (req, _) = asked(&mut rig, "sendMessage");
    rig.troubled(req, untrusted());
    let failure = rig.outcome().expect("over").1.expect_err("not sent");
    assert_eq!((failure.retry, failure.wide), (Retry::After(limits::CHANNEL_DISTRUST_MS), true));
}

#[test]
fn a_token_that_is_refused_is_not_tried_again() {
    let mut rig = Rig::new(&KIND, json!({"botToken": TOKEN}));
    rig.start();
    let (req, _) = asked(&mut rig, "getMe");
    rig.answers(req, 401, &bad(401, "Unauthorized"));
    assert!(matches!(rig.state(), State::Refused { why } if why.contains("@BotFather")));
    rig.after_ms(3_600_000);
    assert!(rig.request().is_none());
    let refused = |value: Value| {
        let account = Account::new("telegram", "default", value);
        Telegram::new(&account).err().expect("refused")
    };
    for (value, want) in [
        (json!({}), "channels.telegram.botToken is not set"),
        (json!({"botToken": "xoxb-1"}), "@BotFather"),
        (json!({"botToken": "1:../../../x"}), "@BotFather"),
        (json!({"botToken": TOKEN, "webhookUrl": "https://a.example"}), "webhookSecret is not set"),
        (
            json!({"botToken": TOKEN, "webhookUrl": "https://a.example", "webhookSecret": "a b"}),
            "webhookSecret may have",
        ),
    ] {
        let why = refused(value);
        assert!(why.contains(want), "{why}");
    }
}

#[test]
fn troubles_of_a_poll_are_waited_out() {
    let (mut rig, mut poll) = polling();
    for _ in 0..6 {
        rig.answers(poll, 502, &json!("bad gateway"));
        assert!(matches!(rig.state(), State::Waiting { .. }));
        rig.after_ms(limits::TELEGRAM_BACKOFF_MAX_MS);
        poll = asked(&mut rig, "getUpdates").0;
    }
    rig.unanswered(poll, "timed out", true);
    rig.after_ms(limits::TELEGRAM_BACKOFF_MAX_MS);
    poll = asked(&mut rig, "getUpdates").0;
    let mut slow = bad(429, "Too Many Requests: retry after 90");
    slow["parameters"] = json!({"retry_after": 90});
    rig.answers(poll, 429, &slow);
    rig.after_ms(89_000);
    assert!(rig.request().is_none());
    rig.after_ms(1_000);
    poll = asked(&mut rig, "getUpdates").0;
    rig.answers(poll, 200, &ok(json!([])));
    assert_eq!(rig.state(), &State::Connected);
}

#[test]
fn groups_mentions_commands_and_other_bots() {
    let (mut rig, poll) = polling();
    let mut robot = in_group(1, "beep");
    robot["message"]["from"] = json!({"id": 9, "is_bot": true, "first_name": "R"});
    let mut meant = in_group(2, "Claw, hi");
    meant["message"]["entities"] = json!([{"type": "text_mention", "user": {"id": 123_456}}]);
    let mut answer = in_group(3, "yes");
    answer["message"]["reply_to_message"] = json!({"message_id": 8, "text": "sure?",
        "from": {"id": 123_456, "first_name": "Claw"}});
    let mut own = in_group(4, "mine");
    own["message"]["from"]["id"] = 123_456.into();
    let mut joined = in_group(5, "");
    joined["message"]["new_chat_members"] = json!([{"id": 5}]);
    let batch = json!([
        robot,
        meant,
        answer,
        own,
        joined,
        in_group(6, "@clawbot what? @ClawBotany"),
        in_group(7, "/status@ClawBot"),
        in_group(8, "/status@OtherBot"),
        in_group(9, "/status"),
        said(10, "/new go"),
        json!({"update_id": 11, "poll": {}}),
    ]);
    rig.answers(poll, 200, &ok(batch));
    let mut next = || rig.message().expect("a message");
    let message = next();
    assert!(message.sender.is_bot && message.chat.kind == ChatKind::Group);
    assert_eq!((&*message.chat.id, message.chat.title.as_deref()), ("-1005", Some("Crew")));
    assert!(next().mentioned, "meant by number");
    let quote = next().reply_to.expect("quotes");
    assert_eq!((&*quote.id, &*quote.text, quote.of_us), ("-1005:8", "sure?", true));
    let message = next();
    assert_eq!((&*message.text, message.mentioned), ("what? @ClawBotany", true));
    let message = next();
    assert_eq!((&*message.text, message.command, message.mentioned), ("/status", true, true));
    let message = next();
    assert_eq!((&*message.text, message.command), ("/status", false), "to nobody by name");
    let message = next();
    assert_eq!((&*message.text, message.command), ("/new go", true));
    assert!(rig.message().is_none());
    assert_eq!(asked(&mut rig, "getUpdates").1["offset"], 12, "what says nothing is acknowledged");
}

#[test]
fn topics_are_threads_and_answers_are_none() {
    let (mut rig, poll) = polling();
    let forum = |number: i64, topic: Option<i64>| {
        let mut update = in_group(number, "x");
        update["message"]["chat"]["is_forum"] = true.into();
        if let Some(topic) = topic {
            update["message"]["message_thread_id"] = topic.into();
            update["message"]["is_topic_message"] = true.into();
        }
        update
    };
    let mut chain = in_group(3, "x");
    chain["message"]["message_thread_id"] = 40.into();
    rig.answers(poll, 200, &ok(json!([forum(1, Some(42)), forum(2, None), chain])));
    for want in [Some("42"), Some("1"), None] {
        let message = rig.message().expect("a message");
        assert_eq!(message.chat.thread.as_deref(), want);
        assert_eq!(message.to.thread.as_deref(), want);
    }
}

#[test]
fn files_are_looked_up_when_they_are_wanted() {
    let (mut rig, poll) = polling();
    let mut photo = said(1, "");
    photo["message"]["caption"] = "see".into();
    photo["message"]["media_group_id"] = "77".into();
    photo["message"]["photo"] = json!([{"file_id": "small"}, {"file_id": "big", "file_size": 9}]);
    let mut huge = said(3, "");
    huge["message"]["document"] = json!({"file_id": "doc", "mime_type": "application/pdf",
        "file_name": "a.pdf", "file_size": 30_000_000});
    let mut moving = said(4, "");
    moving["message"]["sticker"] = json!({"file_id": "s", "is_animated": true, "emoji": "🎉"});
    rig.answers(poll, 200, &ok(json!([photo, said(2, "after"), huge, moving])));
    let message = rig.message().expect("the photo");
    assert_eq!((&*message.text, message.album.as_deref()), ("see", Some("77")));
    let media = message.media[0].clone();
    assert_eq!((media.url.as_str(), media.file.as_deref()), ("", Some("big")));
    assert_eq!((media.mime.as_deref(), media.bytes), (Some("image/jpeg"), Some(9)));
    assert_eq!(rig.message().expect("the next").text, "after");
    let big = rig.message().expect("the document").media[0].clone();
    assert_eq!(rig.message().expect("a sticker").text, "🎉");
    assert_eq!(asked(&mut rig, "getUpdates").1["offset"], 5, "acknowledged before it is fetched");

    rig.on(ChannelInput::Locate { id: 1, media: &media });
    let (req, params) = asked(&mut rig, "getFile");
    assert_eq!(params["file_id"], "big");
    rig.answers(req, 200, &ok(json!({"file_path": "photos/1.jpg"})));
    let (id, place) = rig.located().expect("an answer");
    let place = place.expect("a place");
    assert_eq!((id, place.home), (1, false));
    assert_eq!(place.url, format!("https://api.telegram.org/file/bot{TOKEN}/photos/1.jpg"));
    assert!(!format!("{place:?}").contains("ABC"), "no token in a log");

    rig.on(ChannelInput::Locate { id: 2, media: &big });
    let why = rig.located().expect("an answer").1.expect_err("known before it is asked");
    assert!(why.what.contains("no file over 20 MB") && why.retry == Retry::No, "{why:?}");
    rig.on(ChannelInput::Locate { id: 3, media: &Media { bytes: None, ..big } });
    let (req, _) = asked(&mut rig, "getFile");
    rig.answers(req, 400, &bad(400, "Bad Request: file is too big"));
    let why = rig.located().expect("an answer").1.expect_err("Telegram says so");
    assert!(why.what.contains("no file over 20 MB") && why.retry == Retry::No, "{why:?}");
}

#[test]
fn a_pressed_button_is_a_message_and_is_answered() {
    let (mut rig, poll) = polling();
    let pressed = json!({"update_id": 1, "callback_query": {"id": "cb1", "data": "/approve 1 yes",
        "from": {"id": 77, "first_name": "Ann"},
        "message": {"message_id": 3, "chat": {"id": -1005, "type": "supergroup"}}}});
    rig.answers(poll, 200, &ok(json!([pressed.clone()])));
    let message = rig.message().expect("pressed");
    assert_eq!(
        (&*message.text, message.command, message.mentioned),
        ("/approve 1 yes", true, true)
    );
    assert_eq!(message.sender.ids, ["77"]);
    assert_eq!(asked(&mut rig, "answerCallbackQuery").1, json!({"callback_query_id": "cb1"}));

    let (mut rig, poll) = polling_with(json!({"capabilities": {"inlineButtons": "dm"}}));
    rig.answers(poll, 200, &ok(json!([pressed])));
    assert!(rig.message().is_none());
    asked(&mut rig, "getUpdates");
}

#[test]
fn a_piece_is_sent_with_markup_or_without_what_is_not_understood() {
    let (mut rig, _) = polling();
    let message = Outgoing {
        id: "d".into(),
        to: Address { chat: "-1005".into(), thread: Some("42".into()) },
        text: "<b>hi</b>".into(),
        plain: "**hi**".into(),
        reply_to: Some("-1005:8".into()),
        silent: true,
        extra: json!({"buttons": [[{"text": "Yes", "callback_data": "/y"}], [{"text": "x".repeat(9),
            "callback_data": "z".repeat(65)}]]}),
        ..Outgoing::default()
    };
    rig.on(ChannelInput::Send(&message));
    let (req, params) = asked(&mut rig, "sendMessage");
    assert_eq!(params["chat_id"], -1005);
    assert_eq!(params["message_thread_id"], 42);
    assert_eq!((&params["text"], &params["parse_mode"]), (&json!("<b>hi</b>"), &json!("HTML")));
    assert_eq!(params["disable_notification"], true);
    assert_eq!(
        params["reply_parameters"],
        json!({"message_id": 8, "allow_sending_without_reply": true})
    );
    let rows = &params["reply_markup"]["inline_keyboard"];
    assert_eq!(
        rows,
        &json!([[{"text": "Yes", "callback_data": "/y"}]]),
        "too long a value is left out"
    );
    rig.answers(req, 400, &bad(400, "Bad Request: can't parse entities: x"));
    let (req, params) = asked(&mut rig, "sendMessage");
    assert_eq!((&params["text"], params.get("parse_mode")), (&json!("**hi**"), None));
    rig.answers(req, 400, &bad(400, "Bad Request: message thread not found"));
    let (req, params) = asked(&mut rig, "sendMessage");
    assert_eq!(params.get("message_thread_id"), None);
    let sent = json!({"message_id": 12, "chat": {"id": -1005}});
    rig.answers(req, 200, &ok(sent));
    assert_eq!(rig.outcome(), Some(("d".into(), Ok(vec!["-1005:12".into()]))));

    let general = Address { chat: "-1005".into(), thread: Some("1".into()) };
    let message = Outgoing { id: "e".into(), to: general.clone(), text: "x".into(), ..message };
    rig.on(ChannelInput::Send(&message));
    assert_eq!(asked(&mut rig, "sendMessage").1.get("message_thread_id"), None, "General has none");
    rig.act(1, &Act::Typing { to: general });
    assert_eq!(asked(&mut rig, "sendChatAction").1["message_thread_id"], 1);
}

#[test]
fn a_chat_that_must_rest_is_left_alone_and_others_are_not() {
    let (mut rig, _) = polling();
    rig.send("77", "one");
    let (req, _) = asked(&mut rig, "sendMessage");
    let mut slow = bad(429, "Too Many Requests: retry after 7");
    slow["parameters"] = json!({"retry_after": 7});
    rig.answers(req, 429, &slow);
    let failure = rig.outcome().expect("refused").1.expect_err("slow");
    assert_eq!(failure.retry, Retry::After(7000));
    rig.after_ms(3000);
    rig.send("77", "one");
    assert_eq!(rig.outcome().expect("rests").1.expect_err("rests").retry, Retry::After(4000));
    rig.send("78", "two");
    asked(&mut rig, "sendMessage");
    rig.after_ms(4000);
    rig.send("77", "one");
    asked(&mut rig, "sendMessage");
}

#[test]
fn errors_say_what_to_do() {
    let (mut rig, _) = polling();
    for (code, why, retry, hint) in [
        (403, "Forbidden: bot was blocked by the user", Retry::No, "unblock"),
        (403, "Forbidden: bot is not a member", Retry::No, "not in that chat"),
        (400, "Bad Request: chat not found", Retry::No, "numeric chat id"),
        (500, "Internal Server Error", Retry::Later, "Internal"),
    ] {
        rig.send("77", "x");
        let (req, _) = asked(&mut rig, "sendMessage");
        rig.answers(req, u16::try_from(code).expect("a status"), &bad(code, why));
        let failure = rig.outcome().expect("failed").1.expect_err("failed");
        assert_eq!(failure.retry, retry, "{why}");
        assert!(failure.what.contains(hint), "{}", failure.what);
    }
    rig.send("77", "x");
    let (req, _) = asked(&mut rig, "sendMessage");
    rig.unanswered(req, "reset", true);
    assert_eq!(rig.outcome().expect("failed").1.expect_err("failed").retry, Retry::Later);
}

#[test]
fn files_go_by_address_or_as_a_form() {
    let (mut rig, _) = polling();
    let photo = Attachment {
        url: Some("https://a.example/c.png".into()),
        mime: "image/png".into(),
        ..Attachment::default()
    };
    let file = Attachment {
        bytes: Some(Rc::new(b"\0PDF\r\n".to_vec())),
        mime: "application/pdf".into(),
        name: "a\"b.pdf".into(),
        ..Attachment::default()
    };
    let message = Outgoing {
        id: "d".into(),
        to: Address::chat("77"),
        text: "see".into(),
        media: vec![photo, file],
        ..Outgoing::default()
    };
    rig.on(ChannelInput::Send(&message));
    let (req, params) = asked(&mut rig, "sendPhoto");
    assert_eq!(
        (&params["photo"], &params["caption"]),
        (&json!("https://a.example/c.png"), &json!("see"))
    );
    rig.answers(req, 200, &ok(json!({"message_id": 1, "chat": {"id": 77}})));
    let (req, request) = rig.request().expect("the file");
    assert!(request.url.ends_with("/sendDocument"));
    let body = String::from_utf8_lossy(&request.body).into_owned();
    assert!(body.contains("name=\"document\"; filename=\"a_b.pdf\"\r\n"), "{body}");
    assert!(body.contains("\r\n\r\n\0PDF\r\n\r\n--openclaw"), "{body}");
    assert!(body.contains("name=\"chat_id\"\r\n\r\n77\r\n"), "{body}");
    assert_eq!(rig.part(), Some(("d".into(), vec!["77:1".into()])));
    rig.answers(req, 200, &ok(json!({"message_id": 2, "chat": {"id": 77}})));
    assert_eq!(rig.outcome(), Some(("d".into(), Ok(vec!["77:2".into()]))));

    // Long words follow their picture.
    let long = Outgoing {
        id: "e".into(),
        text: "w".repeat(1025),
        media: vec![message.media[0].clone()],
        to: Address::chat("77"),
        ..Outgoing::default()
    };
    rig.on(ChannelInput::Send(&long));
    let (req, params) = asked(&mut rig, "sendPhoto");
    assert_eq!(params.get("caption"), None);
    rig.answers(req, 200, &ok(json!({"message_id": 3, "chat": {"id": 77}})));
    assert_eq!(rig.part(), Some(("e".into(), vec!["77:3".into()])));
    let (req, _) = asked(&mut rig, "sendMessage");
    rig.answers(req, 400, &bad(400, "Bad Request: message is too long"));
    let (id, failed) = rig.outcome().expect("over");
    assert_eq!((&*id, failed.expect_err("the words are not there").retry), ("e", Retry::No));

    // The picture is there: whenever the rest is tried, it is not shown twice.
    rig.on(ChannelInput::Send(&Outgoing { parts: 1, ..long.clone() }));
    let (req, _) = asked(&mut rig, "sendMessage");
    rig.answers(req, 200, &ok(json!({"message_id": 4, "chat": {"id": 77}})));
    assert_eq!(rig.outcome(), Some(("e".into(), Ok(vec!["77:4".into()]))));
    rig.on(ChannelInput::Send(&Outgoing { parts: 2, ..long }));
    assert_eq!(rig.outcome(), Some(("e".into(), Ok(Vec::new()))), "all of it is there");
}

#[test]
fn of_several_files_those_that_arrived_are_told_before_a_pause() {
    let (mut rig, _) = polling();
    let photo = Attachment {
        url: Some("https://a.example/c.png".into()),
        mime: "image/png".into(),
        ..Attachment::default()
    };
    let mut album = Outgoing {
        id: "d".into(),
        to: Address::chat("77"),
        text: "see".into(),
        media: vec![photo; 3],
        ..Outgoing::default()
    };
    let (mut posted, mut tries) = (Vec::new(), 0);
    while posted.len() < 3 {
        rig.on(ChannelInput::Send(&album));
        while let Some((req, request)) = rig.request() {
            let params: Value = serde_json::from_slice(&request.body).expect("JSON");
            tries += 1;
            if tries == 2 {
                let mut slow = bad(429, "Too Many Requests: retry after 1");
                slow["parameters"] = json!({"retry_after": 1});
                rig.answers(req, 429, &slow);
            } else if tries == 4 {
                rig.answers(req, 502, &json!("bad gateway"));
            } else {
                posted.push(params.get("caption").cloned());
                rig.answers(req, 200, &ok(json!({"message_id": tries, "chat": {"id": 77}})));
            }
        }
        while rig.part().is_some() {
            album.parts += 1;
        }
        assert!(rig.outcome().is_some(), "each try is settled");
        rig.after_ms(1000);
    }
    assert_eq!((tries, album.parts), (5, 2));
    assert_eq!(posted, [Some(json!("see")), None, None], "each once, the words with the first");
}

#[test]
fn acts_and_their_switches() {
    let (mut rig, _) = polling_with(json!({"actions": {"poll": false}}));
    let to = Address::chat("77");
    let react =
        |remove| Act::React {
            to: to.clone(), message: "77:5".into(), emoji: "👀".into(), remove
        };
    rig.act(1, &react(false));
    let (req, params) = asked(&mut rig, "setMessageReaction");
    assert_eq!(params["reaction"], json!([{"type": "emoji", "emoji": "👀"}]));
    rig.answers(req, 200, &ok(json!(true)));
    assert_eq!(rig.acted(), Some((1, Ok(json!({"ok": true})))));
    rig.act(2, &react(true));
    assert_eq!(asked(&mut rig, "setMessageReaction").1["reaction"], json!([]));
    rig.act(3, &Act::Edit { to: to.clone(), message: "77:5".into(), text: "new".into() });
    let (req, _) = asked(&mut rig, "editMessageText");
    rig.answers(req, 400, &bad(400, "Bad Request: message is not modified: x"));
    assert_eq!(rig.acted(), Some((3, Ok(json!({"ok": true})))));
    let poll = Act::Poll {
        to: to.clone(),
        question: "?".into(),
        options: vec!["a".into(), "b".into()],
        max_selections: 1,
        duration_s: None,
        anonymous: true,
        silent: false,
    };
    rig.act(4, &poll);
    let failure = rig.acted().expect("off").1.expect_err("off");
    assert!(failure.what.contains("channels.telegram.actions.poll is off"), "{}", failure.what);
    let params = json!({"to": "-1005", "name": "Plans"});
    rig.act(5, &Act::Other { name: "topic-create".into(), params });
    let (req, params) = asked(&mut rig, "createForumTopic");
    assert_eq!(params, json!({"chat_id": -1005, "name": "Plans"}));
    rig.answers(req, 200, &ok(json!({"message_thread_id": 9, "name": "Plans"})));
    assert_eq!(rig.acted().expect("made").1.expect("made")["topicId"], 9);
    rig.act(6, &Act::Other { name: "pin".into(), params: json!({"to": "77"}) });
    assert!(rig.acted().expect("refused").1.expect_err("needs").what.contains("messageId"));
    assert!(rig.request().is_none());
}

#[test]
fn a_probe_never_polls() {
    let (mut rig, _) = polling();
    rig.on(ChannelInput::Probe { id: 4 });
    let (req, _) = asked(&mut rig, "getMe");
    rig.answers(req, 200, &me());
    let (id, facts) = rig.probed().expect("probed");
    assert_eq!((id, &facts.expect("works")["bot"]["username"]), (4, &json!("ClawBot")));
    assert!(rig.request().is_none());
    rig.on(ChannelInput::Audit { id: 5 });
    assert_eq!(rig.audited(), Some((5, Value::Null)), "no group is configured");
    rig.on(ChannelInput::Stop);
    assert_eq!(rig.state(), &State::Stopped);
    let cancelled =
        rig.effects.iter().any(|it| matches!(it, crate::channels::ChannelEffect::Cancel { .. }));
    assert!(cancelled, "the poll ends with it");
}

#[test]
fn an_audit_asks_about_the_groups_of_the_configuration() {
    let (mut rig, _) = polling_with(json!({"groups": {"-5": {}}}));
    rig.on(ChannelInput::Audit { id: 6 });
    let (req, _) = asked(&mut rig, "getMe");
    rig.answers(req, 200, &me());
    let (req, params) = asked(&mut rig, "getChatMember");
    assert_eq!(params, json!({"chat_id": -5, "user_id": 123_456}));
    rig.answers(req, 400, &bad(400, "Bad Request: chat not found"));
    let (id, report) = rig.audited().expect("over");
    assert_eq!((id, &report["ok"]), (6, &json!(false)));
    let error = report["groups"][0]["error"].as_str().unwrap_or_default();
    assert!(error.contains("chat not found"), "{report}");
}

#[test]
fn by_webhook_only_with_the_secret() {
    let value = json!({"botToken": TOKEN, "webhookUrl": "https://a.example/telegram-webhook",
        "webhookSecret": "s3cret", "commands": {"native": false}});
    let mut rig = Rig::new(&KIND, value);
    rig.start();
    let (req, _) = asked(&mut rig, "getMe");
    rig.answers(req, 200, &me());
    let (req, params) = asked(&mut rig, "setWebhook");
    assert_eq!(params["secret_token"], "s3cret");
    assert_eq!(params["url"], "https://a.example/telegram-webhook");
    rig.answers(req, 200, &ok(json!(true)));
    assert_eq!(rig.state(), &State::Connected);
    assert!(rig.request().is_none(), "nothing is polled");
    let body = said(5, "hi").to_string();
    let mut number = 0;
    let mut call = |rig: &mut Rig, secret: &str, body: &str| {
        number += 1;
        let lines = [("X-Telegram-Bot-Api-Secret-Token", secret)];
        rig.hook(number, "/telegram-webhook", &lines, body);
        rig.hooked().map(|(_, status, _)| status)
    };
    assert_eq!(call(&mut rig, "wrong", &body), Some(401));
    assert!(rig.message().is_none());
    assert_eq!(call(&mut rig, "s3cret", &body), Some(200));
    assert_eq!(rig.message().expect("kept").text, "hi");
    assert_eq!(call(&mut rig, "s3cret", "{}"), Some(400));
    rig.disk = false;
    assert_eq!(call(&mut rig, "s3cret", &body), Some(503));
}

#[test]
fn groups_and_topics_have_their_rules() {
    let account = Account::new(
        "telegram",
        "default",
        json!({"groups": {
            "-1005": {"requireMention": false, "allowFrom": [1, "2"], "systemPrompt": "group",
                "topics": {"42": {"requireMention": true, "agentId": "ops", "systemPrompt": "topic"},
                           "*": {"enabled": false}}},
            "*": {"systemPrompt": "all"}}}),
    );
    let chat = |id: &str, thread: Option<&str>| Chat {
        kind: ChatKind::Group,
        id: id.into(),
        thread: thread.map(str::to_owned),
        ..Chat::default()
    };
    let rules = updates::rules(&account, &chat("-1005", Some("42")));
    assert_eq!((rules.require_mention, rules.agent.as_deref()), (Some(true), Some("ops")));
    assert_eq!(rules.prompts, ["all", "group", "topic"]);
    assert_eq!(rules.allow_from, Some(vec!["1".into(), "2".into()]));
    let rules = updates::rules(&account, &chat("-1005", Some("7")));
    assert_eq!((rules.enabled, rules.require_mention), (Some(false), Some(false)));
    let rules = updates::rules(&account, &chat("-9", None));
    assert_eq!((rules.listed, rules.enabled, rules.prompts), (true, None, vec!["all".into()]));
    for (text, chat, topic) in [
        ("tg:123", "123", None),
        ("-1005:topic:42", "-1005", Some("42")),
        ("@news_a", "@news_a", None),
    ] {
        let address = target(text).expect("a target");
        assert_eq!((&*address.chat, address.thread.as_deref()), (chat, topic));
    }
    for text in ["ann", "-100:topic:x", "", "@a b"] {
        assert!(target(text).is_err(), "{text}");
    }
    assert_eq!((normal("tg:77"), normal(" @Ann ")), ("77".into(), "@ann".into()));
}

/// One file of so many bytes: the method it goes by, or why it does not.
fn sent_by(mime: &str, bytes: usize) -> Result<String, Failure> {
    let (mut rig, _) = polling();
    let file = Attachment {
        bytes: Some(Rc::new(vec![b'x'; bytes])),
        mime: mime.into(),
        name: "a.png".into(),
        ..Attachment::default()
    };
    let to = Address::chat("77");
    let message = Outgoing { id: "d".into(), to, media: vec![file], ..Outgoing::default() };
    rig.on(ChannelInput::Send(&message));
    match rig.request() {
        Some((_, request)) => Ok(request.url.rsplit('/').next().unwrap_or_default().to_owned()),
        None => Err(rig.outcome().expect("settled").1.expect_err("refused")),
    }
}

#[test]
fn a_photo_too_large_for_one_is_a_document_and_a_file_too_large_is_refused() {
    assert_eq!(sent_by("image/png", limits::TELEGRAM_PHOTO).expect("sent"), "sendPhoto");
    assert_eq!(sent_by("image/png", limits::TELEGRAM_PHOTO + 1).expect("sent"), "sendDocument");
    let most = limits::TELEGRAM_UPLOAD;
    assert_eq!(sent_by("application/zip", most).expect("sent"), "sendDocument");
    let failure = sent_by("application/zip", most + 1).expect_err("too large");
    assert_eq!(failure.retry, Retry::No);
    assert!(failure.what.contains("takes no file over 50 MB"), "{}", failure.what);
}
