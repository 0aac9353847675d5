use super::*;
use crate::channels::rig::{Rig, WALL_MS};
use crate::channels::{Act, Attachment, Chat, ChatKind, Media, Retry};
use crate::wire::hash::{hex, hmac_sha256};
use crate::wire::url::query_pairs;
use std::rc::Rc;

const API: &str = "https://slack.com/api";

fn settings() -> Value {
    json!({"botToken": "xoxb-1", "appToken": "xapp-1"})
}

fn me() -> Value {
    json!({"ok": true, "user_id": "U0", "bot_id": "B0", "team_id": "T0", "team": "Crew",
           "user": "claw"})
}

/// The form of the next request, which must be this method.
fn form(rig: &mut Rig, method: &str) -> (ReqId, BTreeMap<String, String>) {
    let Some((req, request)) = rig.request() else { panic!("nothing was asked, want {method}") };
    assert_eq!(request.url, format!("{API}/{method}"));
    let body = String::from_utf8(request.body).expect("a form");
    (req, query_pairs(&body).expect("a form").into_iter().collect())
}

/// Through `auth.test` and the ticket to an open socket without `hello`.
fn opened(rig: &mut Rig) -> SockId {
    let (req, _) = form(rig, "auth.test");
    rig.answers(req, 200, &me());
    ticket(rig)
}

fn ticket(rig: &mut Rig) -> SockId {
    let Some((req, request)) = rig.request() else { panic!("no ticket") };
    assert_eq!(request.url, format!("{API}/apps.connections.open"));
    assert!(request.headers.contains(&("Authorization".into(), "Bearer xapp-1".into())));
    rig.answers(req, 200, &json!({"ok": true, "url": "wss://wss-primary.slack.com/link/?t=1"}));
    let (sock, url) = rig.ws();
    assert_eq!(url, "wss://wss-primary.slack.com/link/?t=1");
    rig.opened(sock);
    sock
}

fn hello() -> Value {
    json!({"type": "hello", "num_connections": 1})
}

fn connected_with(more: Value) -> (Rig, SockId) {
    let mut value = settings();
    for (key, more) in more.as_object().expect("keys") {
        value[key] = more.clone();
    }
    let mut rig = Rig::new(&KIND, value);
    rig.start();
    let sock = opened(&mut rig);
    assert_eq!(rig.state(), &State::Connecting);
    rig.hears_text(sock, &hello());
    assert_eq!(rig.state(), &State::Connected);
    (rig, sock)
}

fn connected() -> (Rig, SockId) {
    connected_with(json!({}))
}

fn envelope(id: &str, event: Value) -> Value {
    json!({"type": "events_api", "envelope_id": id, "payload":
        {"type": "event_callback", "team_id": "T0", "event": event}})
}

fn said(text: &str, ts: &str) -> Value {
    json!({"type": "message", "channel": "C1", "channel_type": "channel", "user": "U1",
           "text": text, "ts": ts})
}

#[test]
fn a_message_is_acknowledged_once_it_is_kept() {
    let (mut rig, sock) = connected();
    assert_eq!((&*rig.me.id, &*rig.me.name), ("U0", "claw"));
    rig.hears_text(sock, &envelope("e1", said("<@U0> hello &amp; bye", "1777244748.777299")));
    let message = rig.message().expect("a message");
    assert_eq!(message.text, "hello & bye");
    assert!(message.mentioned);
    assert_eq!(message.chat.kind, ChatKind::Channel);
    assert_eq!((&*message.chat.id, &*message.id), ("C1", "C1:1777244748.777299"));
    assert_eq!(message.sender.ids, ["U1"]);
    assert_eq!(message.sent_ms, 1_777_244_748_777);
    assert_eq!(rig.said_texts(sock), [json!({"envelope_id": "e1"})]);

    rig.disk = false;
    rig.hears_text(sock, &envelope("e2", said("lost?", "2.0")));
    assert_eq!(rig.said_texts(sock), [Value::Null; 0], "Slack shall bring it again");
    rig.disk = true;
    rig.hears_text(sock, &envelope("e3", said("lost?", "2.0")));
    assert_eq!(rig.said_texts(sock), [json!({"envelope_id": "e3"})]);
}

#[test]
fn what_is_nothing_for_us_is_acknowledged_and_dropped() {
    let (mut rig, sock) = connected();
    let cases = [
        json!({"type": "message", "subtype": "message_changed", "channel": "C1", "ts": "1.0"}),
        json!({"type": "message", "user": "U0", "channel": "C1", "ts": "1.0", "text": "mine"}),
        json!({"type": "message", "bot_id": "B0", "channel": "C1", "ts": "1.0", "text": "mine"}),
        json!({"type": "message", "bot_id": "B7", "channel": "C1", "ts": "1.0", "text": "robot"}),
        json!({"type": "reaction_added", "user": "U1"}),
        json!({"type": "message"}),
    ];
    for (number, event) in cases.into_iter().enumerate() {
        let id = format!("e{number}");
        rig.hears_text(sock, &envelope(&id, event));
        assert_eq!(rig.said_texts(sock), [json!({"envelope_id": id})]);
        assert!(rig.message().is_none());
    }
    // No text of a stranger's breaks it.
    rig.on(ChannelInput::Text { sock, text: "{".to_owned() });
    rig.on(ChannelInput::Text { sock: SockId(99), text: hello().to_string() });
    assert_eq!(rig.state(), &State::Connected);

    let (mut rig, sock) = connected_with(json!({"channels": {"C1": {"allowBots": true}}}));
    let robot =
        json!({"type": "message", "bot_id": "B7", "channel": "C1", "ts": "1.0", "text": "x"});
    rig.hears_text(sock, &envelope("e", robot));
    assert!(rig.message().expect("allowed there").sender.is_bot);
}

#[test]
fn direct_and_group_conversations_and_threads() {
    let (mut rig, sock) = connected();
    let direct = json!({"type": "message", "channel": "D1", "channel_type": "im", "user": "U1",
        "text": "hi", "ts": "3.0", "thread_ts": "2.0"});
    rig.hears_text(sock, &envelope("e1", direct));
    let message = rig.message().expect("direct");
    assert_eq!((message.chat.kind, &*message.chat.id), (ChatKind::Direct, "U1"));
    assert_eq!(message.chat.thread, None, "a thread of a direct conversation is one session");
    assert_eq!((&*message.to.chat, message.to.thread.as_deref()), ("D1", Some("2.0")));

    let group = json!({"type": "message", "channel": "G1", "channel_type": "mpim", "user": "U1",
        "text": "hi", "ts": "3.0"});
    rig.hears_text(sock, &envelope("e2", group));
    let message = rig.message().expect("group");
    assert_eq!((message.chat.kind, &*message.chat.id), (ChatKind::Group, "G1"));

    let mut below = said("and you", "5.0");
    below["thread_ts"] = "4.0".into();
    below["parent_user_id"] = "U0".into();
    rig.hears_text(sock, &envelope("e3", below));
    let message = rig.message().expect("thread");
    assert_eq!(message.chat.thread.as_deref(), Some("4.0"));
    assert!(message.reply_to.expect("quotes").of_us, "an answer to us counts as a mention");

    let (mut rig, sock) = connected_with(json!({"replyToMode": "all"}));
    rig.hears_text(sock, &envelope("e1", said("x", "6.0")));
    let message = rig.message().expect("root");
    assert_eq!(message.to.thread.as_deref(), Some("6.0"), "the answer opens a thread");
    assert_eq!(message.chat.thread.as_deref(), Some("6.0"), "which is one session with its root");
}

#[test]
fn commands_and_buttons() {
    let (mut rig, sock) = connected_with(json!({"channels": {"C1": {}}}));
    let command = |command: &str, text: &str, channel: &str| {
        json!({"type": "slash_commands", "envelope_id": "e", "payload": {"command": command,
            "text": text, "user_id": "U1", "user_name": "ann", "channel_id": channel,
            "team_id": "T0", "trigger_id": format!("{command}{text}")}})
    };
    for (name, words, want) in [
        ("/openclaw", "status", "/status"),
        ("/openclaw", "", "/help"),
        ("/new", "x y", "/new x y"),
    ] {
        rig.hears_text(sock, &command(name, words, "C1"));
        let message = rig.message().expect("a command");
        assert_eq!((&*message.text, message.command), (want, true));
        assert_eq!(message.to.thread.as_deref(), Some("ephemeral:U1"));
        assert_eq!(rig.said_texts(sock).len(), 1);
    }
    rig.hears_text(sock, &command("/status", "", "D1"));
    let message = rig.message().expect("in private");
    assert_eq!((message.chat.kind, message.to.thread), (ChatKind::Direct, None));

    let pressed = json!({"type": "interactive", "envelope_id": "e", "payload": {
        "type": "block_actions", "trigger_id": "t", "user": {"id": "U1"}, "channel": {"id": "C1"},
        "team": {"id": "T0"}, "message": {"ts": "1.0", "thread_ts": "0.5"},
        "actions": [{"value": "/approve 1 yes"}]}});
    rig.hears_text(sock, &pressed);
    let message = rig.message().expect("a button");
    assert_eq!((&*message.text, message.command), ("/approve 1 yes", true));
    assert_eq!(message.to.thread.as_deref(), Some("0.5"));

    // An answer to a command is for the one who typed it.
    let to = Address { chat: "C1".into(), thread: Some("ephemeral:U1".into()) };
    let message = Outgoing { id: "d".into(), to, text: "fine".into(), ..Outgoing::default() };
    rig.on(ChannelInput::Send(&message));
    let (req, fields) = form(&mut rig, "chat.postEphemeral");
    assert_eq!((&*fields["channel"], &*fields["user"], &*fields["text"]), ("C1", "U1", "fine"));
    rig.answers(req, 200, &json!({"ok": true, "message_ts": "9.0"}));
    assert_eq!(rig.outcome(), Some(("d".into(), Ok(vec!["9.0".into()]))));
}

#[test]
fn files_carry_the_token_to_slack_and_to_nobody_else() {
    let (mut rig, sock) = connected();
    let mut event = said("look", "1.0");
    event["subtype"] = "file_share".into();
    event["files"] = json!([
        {"url_private_download": "https://files.slack.com/f/1", "mimetype": "image/png",
         "name": "a.png", "size": 12},
        {"url_private": "https://evil.example/slack.com"},
        {"url_private": "https://evilslack.com/x"},
        {"url_private": "http://files.slack.com/x"},
        {"mode": "tombstone", "url_private": "https://files.slack.com/f/2"},
    ]);
    rig.hears_text(sock, &envelope("e", event));
    let media = rig.message().expect("files").media;
    assert_eq!(media.len(), 4);
    assert!(!serde_json::to_string(&media).expect("JSON").contains("xoxb"), "the journal has it");
    let mut lines = |file: &Media| {
        rig.on(ChannelInput::Locate { id: 1, media: file });
        rig.located().expect("located").1.expect("a place").headers
    };
    let own = [("Authorization".to_owned(), "Bearer xoxb-1".to_owned())];
    assert_eq!(lines(&media[0]), own);
    for other in &media[1..] {
        assert!(lines(other).is_empty(), "{}", other.url);
    }
    assert_eq!((media[0].mime.as_deref(), media[0].bytes), (Some("image/png"), Some(12)));
}

#[test]
fn pieces_are_posted_and_looked_for_before_they_are_posted_again() {
    let (mut rig, _) = connected();
    let id = rig.send("C1", "hello");
    let (req, fields) = form(&mut rig, "chat.postMessage");
    assert_eq!((&*fields["channel"], &*fields["text"]), ("C1", "hello"));
    assert_eq!(fields["unfurl_links"], "false");
    assert!(fields["metadata"].contains(&format!("\"nonce\":\"{id}\"")), "{fields:?}");
    rig.answers(req, 200, &json!({"ok": true, "ts": "7.1"}));
    assert_eq!(rig.outcome(), Some((id, Ok(vec!["7.1".into()]))));

    let mut again = Outgoing {
        id: "d9".into(),
        nonce: "n9".into(),
        again: true,
        to: Address { chat: "C1".into(), thread: Some("4.0".into()) },
        text: "maybe".into(),
        ..Outgoing::default()
    };
    rig.on(ChannelInput::Send(&again));
    let (req, fields) = form(&mut rig, "conversations.replies");
    assert_eq!((&*fields["ts"], &*fields["include_all_metadata"]), ("4.0", "true"));
    let there = json!({"ok": true, "messages": [{"ts": "8.0"}, {"ts": "8.5", "metadata":
        {"event_type": "openclaw_delivery", "event_payload": {"nonce": "n9"}}}]});
    rig.answers(req, 200, &there);
    assert_eq!(rig.outcome(), Some(("d9".into(), Ok(vec!["8.5".into()]))));
    assert!(rig.request().is_none(), "it is not posted twice");

    again.to.thread = None;
    rig.on(ChannelInput::Send(&again));
    let (req, _) = form(&mut rig, "conversations.history");
    rig.answers(req, 200, &json!({"ok": false, "error": "missing_scope"}));
    let (req, fields) = form(&mut rig, "chat.postMessage");
    assert_eq!(fields.get("thread_ts"), None);
    rig.answers(req, 200, &json!({"ok": true, "ts": "9.9"}));
    assert_eq!(rig.outcome(), Some(("d9".into(), Ok(vec!["9.9".into()]))));
}

#[test]
fn a_method_that_must_wait_is_left_alone() {
    let (mut rig, _) = connected();
    let first = rig.send("C1", "one");
    let (req, _) = form(&mut rig, "chat.postMessage");
    rig.answers_with(req, 429, &[("Retry-After", "7")], &json!({"ok": false}));
    let (id, outcome) = rig.outcome().expect("refused");
    assert_eq!((id, outcome.map_err(|it| it.retry)), (first, Err(Retry::After(7000))));
    rig.after_ms(5000);
    rig.send("C2", "two");
    let left = rig.outcome().expect("at once").1.expect_err("rests").retry;
    assert_eq!(left, Retry::After(2000));
    assert!(rig.request().is_none(), "Slack is not asked");
    rig.after_ms(2000);
    rig.send("C2", "two");
    form(&mut rig, "chat.postMessage");
}

#[test]
fn errors_say_what_to_do_and_whether_to_try_again() {
    let (mut rig, _) = connected();
    for (error, retry, hint) in [
        ("not_in_channel", Retry::No, "/invite"),
        ("channel_not_found", Retry::No, "channel:<C…>"),
        ("msg_too_long", Retry::No, "msg_too_long"),
        ("internal_error", Retry::Later, "internal_error"),
        ("ratelimited", Retry::After(30_000), "ratelimited"),
    ] {
        rig.send("C1", "x");
        let (req, _) = form(&mut rig, "chat.postMessage");
        rig.answers(req, 200, &json!({"ok": false, "error": error}));
        let failure = rig.outcome().expect("failed").1.expect_err("failed");
        assert_eq!(failure.retry, retry, "{error}");
        assert!(failure.what.contains(hint), "{}", failure.what);
    }
    rig.after_ms(30_000);
    rig.send("C1", "x");
    let (req, _) = form(&mut rig, "chat.postMessage");
    rig.unanswered(req, "connection reset", true);
    assert_eq!(rig.outcome().expect("failed").1.expect_err("failed").retry, Retry::Later);
    rig.send("C1", "x");
    let (req, _) = form(&mut rig, "chat.postMessage");
    rig.answers(req, 503, &json!("busy"));
    assert_eq!(rig.outcome().expect("failed").1.expect_err("failed").retry, Retry::Later);
}

#[test]
fn a_file_is_uploaded_step_by_step() {
    let (mut rig, _) = connected();
    let file = Attachment {
        bytes: Some(Rc::new(b"PNG".to_vec())),
        name: "a.png".into(),
        ..Attachment::default()
    };
    let linked = Attachment { url: Some("https://a.example/b".into()), ..Attachment::default() };
    let message = Outgoing {
        id: "d".into(),
        to: Address::chat("U1"),
        text: "see".into(),
        media: vec![linked, file],
        ..Outgoing::default()
    };
    rig.on(ChannelInput::Send(&message));
    let (req, fields) = form(&mut rig, "conversations.open");
    assert_eq!(fields["users"], "U1");
    rig.answers(req, 200, &json!({"ok": true, "channel": {"id": "D1"}}));
    let (req, fields) = form(&mut rig, "files.getUploadURLExternal");
    assert_eq!((&*fields["filename"], &*fields["length"]), ("a.png", "3"));
    let place = json!({"ok": true, "upload_url": "https://files.slack.com/up/1", "file_id": "F1"});
    rig.answers(req, 200, &place);
    let (req, request) = rig.request().expect("the bytes");
    assert_eq!((&*request.url, &*request.body), ("https://files.slack.com/up/1", &b"PNG"[..]));
    assert!(request.headers.iter().all(|(name, _)| name != "Authorization"));
    rig.answers(req, 200, &json!("OK"));
    let (req, fields) = form(&mut rig, "files.completeUploadExternal");
    assert_eq!((&*fields["channel_id"], &*fields["initial_comment"]), ("D1", "see"));
    assert_eq!(fields["files"], r#"[{"id":"F1","title":"a.png"}]"#);
    let done = json!({"ok": true, "files": [{"shares": {"private": {"D1": [{"ts": "5.0"}]}}}]});
    rig.answers(req, 200, &done);
    assert_eq!(rig.outcome(), Some(("d".into(), Ok(vec!["5.0".into()]))));
}

#[test]
fn acts_and_their_switches() {
    let (mut rig, _) = connected_with(json!({"actions": {"pins": false}}));
    let to = Address::chat("C1");
    let act =
        Act::React {
            to: to.clone(), message: "C1:1.0".into(), emoji: "👀".into(), remove: false
        };
    rig.act(1, &act);
    let (req, fields) = form(&mut rig, "reactions.add");
    assert_eq!((&*fields["timestamp"], &*fields["name"]), ("1.0", "eyes"));
    rig.answers(req, 200, &json!({"ok": false, "error": "already_reacted"}));
    assert_eq!(rig.acted(), Some((1, Ok(json!({"ok": true})))));

    rig.act(2, &Act::Edit { to: to.clone(), message: "1.0".into(), text: "new".into() });
    let (req, fields) = form(&mut rig, "chat.update");
    assert_eq!((&*fields["ts"], &*fields["text"]), ("1.0", "new"));
    rig.answers(req, 200, &json!({"ok": true, "ts": "1.0"}));
    assert_eq!(rig.acted(), Some((2, Ok(json!({"ok": true, "ts": "1.0"})))));

    let pin = json!({"channelId": "channel:C1", "messageId": "1.0"});
    rig.act(3, &Act::Other { name: "pin".into(), params: pin });
    let (_, refused) = rig.acted().expect("refused");
    assert!(refused.expect_err("off").what.contains("channels.slack.actions.pins"));
    rig.act(4, &Act::Other { name: "member-info".into(), params: json!({}) });
    assert!(rig.acted().expect("refused").1.expect_err("needs").what.contains("userId"));
    rig.act(5, &Act::Other { name: "dance".into(), params: json!({}) });
    assert!(rig.acted().expect("refused").1.is_err());
    assert!(rig.request().is_none());
    assert_eq!(web::shortcode(":party_parrot:").as_deref(), Some("party_parrot"));
    assert_eq!(web::shortcode("❤️").as_deref(), Some("heart"));
    assert_eq!(web::shortcode("🫥"), None);
}

#[test]
fn a_warning_brings_the_next_socket_before_the_old_one_ends() {
    let (mut rig, old) = connected();
    rig.hears_text(old, &json!({"type": "disconnect", "reason": "warning"}));
    let new = ticket(&mut rig);
    assert_eq!(rig.state(), &State::Connected, "the old one still serves");
    rig.hears_text(old, &envelope("e1", said("still", "1.0")));
    assert_eq!(rig.said_texts(old), [json!({"envelope_id": "e1"})]);
    // A second warning asks for no third socket.
    rig.hears_text(old, &json!({"type": "disconnect", "reason": "refresh_requested"}));
    assert!(rig.request().is_none());
    rig.hears_text(new, &hello());
    rig.closed(old, Some(1000), "");
    rig.hears_text(new, &envelope("e2", said("now here", "2.0")));
    assert_eq!(rig.said_texts(new), [json!({"envelope_id": "e2"})]);
    assert_eq!(rig.state(), &State::Connected);
    rig.after_ms(limits::SLACK_GOING_MS);
    assert_eq!(rig.let_go(old), None, "it is gone already");
}

#[test]
fn an_old_socket_that_stays_is_closed() {
    let (mut rig, old) = connected();
    rig.hears_text(old, &json!({"type": "disconnect", "reason": "warning"}));
    let new = ticket(&mut rig);
    rig.hears_text(new, &hello());
    // Warned again at once: the one that goes makes room first.
    rig.hears_text(new, &json!({"type": "disconnect", "reason": "warning"}));
    assert_eq!(rig.let_go(old), Some(1000));
    let third = ticket(&mut rig);
    rig.hears_text(third, &hello());
    rig.after_ms(limits::SLACK_GOING_MS);
    assert_eq!(rig.let_go(new), Some(1000));
}

#[test]
fn a_new_socket_that_breaks_while_the_old_one_goes_is_replaced() {
    let (mut rig, old) = connected();
    rig.hears_text(old, &json!({"type": "disconnect", "reason": "warning"}));
    let new = ticket(&mut rig);
    rig.hears_text(new, &hello());
    rig.closed(new, Some(1006), "reset");
    rig.after_ms(limits::SLACK_BACKOFF_MS);
    assert_eq!(rig.let_go(old), None, "it still goes");
    let third = ticket(&mut rig);
    rig.hears_text(third, &hello());
    assert_eq!(rig.state(), &State::Connected);
    rig.after_ms(limits::SLACK_GOING_MS);
    assert_eq!(rig.let_go(old), Some(1000));
}

#[test]
fn silence_ends_a_socket_and_another_one_comes() {
    let (mut rig, sock) = connected();
    rig.after_ms(limits::SLACK_PING_MS);
    rig.on(ChannelInput::Pong { sock });
    rig.after_ms(limits::SLACK_PING_MS);
    // Messages are no sign of life: only the answer to the ping is.
    rig.after_ms(limits::SLACK_PONG_MS);
    assert_eq!(rig.let_go(sock), Some(0));
    let State::Waiting { why, .. } = rig.state().clone() else { panic!("{:?}", rig.state()) };
    assert!(why.contains("ping"), "{why}");
    rig.after_ms(limits::SLACK_BACKOFF_MS);
    let sock = ticket(&mut rig);
    rig.hears_text(sock, &hello());
    assert_eq!(rig.state(), &State::Connected);

    rig.closed(sock, Some(1006), "reset");
    rig.after_ms(limits::SLACK_BACKOFF_MS);
    let sock = ticket(&mut rig);
    rig.after_ms(limits::SLACK_HELLO_MS);
    assert_eq!(rig.let_go(sock), Some(0), "no greeting");
}

#[test]
fn what_only_the_operator_mends_is_not_tried_again() {
    for error in ["invalid_auth", "missing_scope"] {
        let mut rig = Rig::new(&KIND, settings());
        rig.start();
        let (req, _) = form(&mut rig, "auth.test");
        rig.answers(req, 200, &json!({"ok": false, "error": error}));
        let State::Refused { why } = rig.state().clone() else { panic!("{:?}", rig.state()) };
        assert!(why.contains(error) && why.contains("api.slack.com"), "{why}");
        rig.after_ms(3_600_000);
        assert!(rig.request().is_none());
        rig.start();
        form(&mut rig, "auth.test");
    }
    let (mut rig, sock) = connected();
    rig.hears_text(sock, &json!({"type": "disconnect", "reason": "link_disabled"}));
    assert!(matches!(rig.state(), State::Refused { why } if why.contains("Socket Mode")));
    assert_eq!(rig.let_go(sock), Some(1000));
}

#[test]
fn a_slack_that_is_down_is_asked_less_and_less() {
    let mut rig = Rig::new(&KIND, settings());
    rig.start();
    for _ in 0..8 {
        let (req, _) = form(&mut rig, "auth.test");
        rig.answers(req, 503, &json!("down"));
        assert!(matches!(rig.state(), State::Waiting { .. }));
        rig.after_ms(limits::SLACK_BACKOFF_MAX_MS);
    }
    let (req, _) = form(&mut rig, "auth.test");
    rig.answers_with(req, 429, &[("Retry-After", "120")], &json!({}));
    rig.after_ms(119_000);
    assert!(rig.request().is_none());
    rig.after_ms(1_000);
    form(&mut rig, "auth.test");
}

#[test]
fn stopping_leaves_nothing_open() {
    let (mut rig, sock) = connected();
    rig.send("C1", "x");
    rig.on(ChannelInput::Stop);
    assert_eq!(rig.let_go(sock), Some(1000));
    assert_eq!(rig.state(), &State::Stopped);
    assert_eq!(rig.channel.deadline(), None);
}

#[test]
fn a_probe_asks_beside_the_connection() {
    let (mut rig, _) = connected_with(json!({"channels": {"C1": {}}}));
    rig.on(ChannelInput::Audit { id: 4 });
    let (req, fields) = form(&mut rig, "conversations.info");
    assert_eq!(fields["channel"], "C1");
    rig.answers(req, 200, &json!({"ok": true, "channel": {"id": "C1", "is_member": true}}));
    let (id, report) = rig.audited().expect("over");
    assert_eq!((id, &report["ok"]), (4, &json!(true)));
    rig.on(ChannelInput::Probe { id: 5 });
    let (req, _) = form(&mut rig, "auth.test");
    rig.answers(req, 200, &me());
    let (id, facts) = rig.probed().expect("probed");
    let facts = facts.expect("works");
    assert_eq!((id, &facts["team"]["name"]), (5, &json!("Crew")));
    rig.on(ChannelInput::Probe { id: 6 });
    let (req, _) = form(&mut rig, "auth.test");
    rig.answers(req, 200, &json!({"ok": false, "error": "token_revoked"}));
    let why = rig.probed().expect("probed").1.expect_err("revoked");
    assert!(why.contains("token_revoked") && why.contains("api.slack.com"), "{why}");
}

#[test]
fn what_is_missing_or_mixed_up_is_said() {
    let refused = |value: Value| {
        let account = Account::new("slack", "default", value);
        Slack::new(&account).err().expect("refused")
    };
    let cases = [
        (json!({}), "channels.slack.botToken is not set"),
        (json!({"botToken": "xoxb-1"}), "channels.slack.appToken is not set"),
        (json!({"botToken": "xapp-1", "appToken": "xapp-1"}), "does not begin with xoxb-"),
        (json!({"botToken": "xoxb-1", "mode": "http"}), "channels.slack.signingSecret is not set"),
        (json!({"botToken": "xoxb-1", "mode": "pigeon"}), "\"relay\""),
        (json!({"botToken": "xoxb-1", "mode": "relay"}), "channels.slack.relay.url"),
        (relayed(json!({"url": "ws://router.example.com/ws"})), "plain text"),
        (relayed(json!({"url": "wss://router.example.com"})), "needs the path"),
        (relayed(json!({"authToken": ""})), "relay.authToken"),
    ];
    for (value, want) in cases {
        let why = refused(value);
        assert!(why.contains(want), "{why}");
    }
}

fn signed(body: &str, at: u64, secret: &str) -> (String, String) {
    let mac = hmac_sha256(secret.as_bytes(), format!("v0:{at}:{body}").as_bytes());
    (at.to_string(), format!("v0={}", hex(&mac)))
}

#[test]
fn by_webhook_only_what_slack_signed_lately() {
    let value = json!({"botToken": "xoxb-1", "mode": "http", "signingSecret": "shh"});
    let mut rig = Rig::new(&KIND, value);
    rig.start();
    let (req, _) = form(&mut rig, "auth.test");
    rig.answers(req, 200, &me());
    assert_eq!(rig.state(), &State::Connected);
    let now = WALL_MS / 1000;
    let body = envelope("e", said("hi", "1.0"))["payload"].to_string();
    let mut number = 0;
    let mut call = |rig: &mut Rig, at: u64, secret: &str, kind: &str, body: &str| {
        number += 1;
        let (stamp, signature) = signed(body, at, secret);
        let lines = [
            ("X-Slack-Request-Timestamp", &*stamp),
            ("X-Slack-Signature", &*signature),
            ("Content-Type", kind),
        ];
        rig.hook(number, "/slack/events", &lines, body);
        rig.hooked().map(|(_, status, body)| (status, body))
    };
    let json_type = "application/json";
    assert_eq!(call(&mut rig, now, "shh", json_type, &body), Some((200, String::new())));
    assert_eq!(rig.message().expect("kept").text, "hi");
    for (at, secret) in [(now, "other"), (now - 301, "shh"), (now + 301, "shh")] {
        assert_eq!(call(&mut rig, at, secret, json_type, &body).map(|it| it.0), Some(401));
        assert!(rig.message().is_none());
    }
    let asked = json!({"type": "url_verification", "challenge": "abc"}).to_string();
    assert_eq!(call(&mut rig, now, "shh", json_type, &asked), Some((200, "abc".into())));
    assert_eq!(call(&mut rig, now, "shh", json_type, "{").map(|it| it.0), Some(400));
    let form_type = "application/x-www-form-urlencoded";
    let typed = "command=%2Fstatus&text=&user_id=U1&channel_id=D1&trigger_id=t1";
    assert_eq!(call(&mut rig, now, "shh", form_type, typed), Some((200, String::new())));
    assert_eq!(rig.message().expect("typed").text, "/status");
    rig.disk = false;
    assert_eq!(call(&mut rig, now, "shh", json_type, &body).map(|it| it.0), Some(503));
}

#[test]
fn rooms_are_named_by_id_and_group_conversations_are_off() {
    let account = Account::new(
        "slack",
        "default",
        json!({"requireMention": true, "channels": {
            "channel:c1": {"requireMention": false, "users": ["U1"], "systemPrompt": "own"},
            "*": {"systemPrompt": "all"}, "#general": {}}}),
    );
    let chat = |kind, id: &str| Chat { kind, id: id.to_owned(), ..Chat::default() };
    let own = events::rules(&account, &chat(ChatKind::Channel, "C1"));
    assert_eq!((own.listed, own.require_mention), (true, Some(false)));
    assert_eq!(
        (own.allow_from, own.prompts),
        (Some(vec!["U1".into()]), vec!["all".into(), "own".into()])
    );
    let group = events::rules(&account, &chat(ChatKind::Group, "G1"));
    assert_eq!((group.listed, group.enabled), (false, Some(false)));
    let account = Account::new("slack", "default", json!({"dm": {"groupEnabled": true}}));
    assert!(events::rules(&account, &chat(ChatKind::Group, "G1")).listed);
    for (text, want) in [("channel:C123", "C123"), ("<@u1x>", "U1X"), ("slack:user:U1X", "U1X")] {
        assert_eq!(target(text).expect("a target").chat, want);
    }
    assert_eq!(target("C123:thread:1.5").expect("a target").thread.as_deref(), Some("1.5"));
    assert!(target("#general").is_err());
}

/// An account in mode relay.
fn relayed(more: Value) -> Value {
    let mut relay = json!({
        "url": "http://localhost:9/gateway/ws", "authToken": "rt", "gatewayId": "team gate",
    });
    for (key, value) in more.as_object().expect("an object") {
        relay[key] = value.clone();
    }
    json!({"botToken": "xoxb-1", "mode": "relay", "relay": relay})
}

#[test]
fn a_router_hands_events_on_and_hears_when_they_are_kept() {
    let mut rig = Rig::new(&KIND, relayed(json!({})));
    rig.start();
    let (hello, _) = form(&mut rig, "auth.test");
    rig.answers(hello, 200, &me());
    let (sock, url) = rig.ws();
    assert_eq!(url, "ws://localhost:9/gateway/ws?gateway_id=team%20gate");
    rig.opened(sock);
    assert_eq!(rig.state(), &State::Connected);
    let frame = |id: &str, kind: &str, text: &str| {
        json!({
            "type": "slack_event", "delivery_id": id, "route": {"kind": kind, "key": "C1"},
            "payload": {"event": {
                "type": "message", "channel": "C1", "channel_type": "channel", "user": "U7",
                "text": text, "ts": "1777244748.777299",
            }},
        })
    };
    let identity = json!({"username": "Desk", "icon_emoji": ":desk:", "other": 1});
    rig.hears_text(sock, &json!({"type": "hello", "slack_identity": identity}));
    rig.hears_text(sock, &frame("d1", "channel_default", "hello"));
    let message = rig.message().expect("a message");
    assert!(message.mentioned && message.text == "hello", "{message:?}");
    assert_eq!(rig.said_texts(sock), [json!({"type": "ack", "delivery_id": "d1"})]);
    // No route that is known, no acknowledgement; an event that says nothing is done with.
    rig.hears_text(sock, &frame("d2", "by_chance", "hm"));
    assert_eq!((rig.message(), rig.said_texts(sock).len()), (None, 0));
    rig.disk = false;
    rig.hears_text(sock, &frame("d3", "user_group", "later"));
    assert_eq!(rig.said_texts(sock).len(), 0, "what was not kept comes again");
    rig.disk = true;
    rig.send("C1", "signed");
    let (_, params) = form(&mut rig, "chat.postMessage");
    assert_eq!((&*params["username"], &*params["icon_emoji"]), ("Desk", ":desk:"));
    // A ping without its answer: gone, and the signature with it.
    rig.after_ms(limits::SLACK_PING_MS + limits::SLACK_PONG_MS);
    assert!(matches!(rig.state(), State::Waiting { .. }));
    let State::Waiting { until, .. } = rig.state().clone() else { panic!() };
    rig.after_ms(until.ms_since(rig.now().time) + 1);
    let (sock, _) = rig.ws();
    rig.opened(sock);
    rig.send("C1", "plain");
    assert!(!form(&mut rig, "chat.postMessage").1.contains_key("username"));
    rig.closed(sock, Some(1001), "moving");
    assert!(matches!(rig.state(), State::Waiting { .. }));
}

fn mention(id: &str, channel: &str, ts: &str) -> Value {
    envelope(
        id,
        json!({"type": "app_mention", "channel": channel, "user": "U1", "text": "<@U0> hi",
            "ts": ts}),
    )
}

#[test]
fn a_group_conversation_is_known_by_its_name_and_by_what_was_heard_there() {
    let (mut rig, sock) = connected();
    let slash = |channel: &str, name: &str| {
        json!({"type": "slash_commands", "envelope_id": "e", "payload": {"command": "/status",
            "channel_id": channel, "channel_name": name, "user_id": "U1",
            "trigger_id": format!("{channel}{name}")}})
    };
    let mut kind = |said: &Value| {
        rig.hears_text(sock, said);
        rig.message().expect("a message").chat.kind
    };
    assert_eq!(kind(&slash("C8", "mpdm-ann--bo--claw-1")), ChatKind::Group);
    assert_eq!(kind(&mention("e", "C8", "1.0")), ChatKind::Group);
    let mut heard = said("hello", "2.0");
    heard["channel"] = "C9".into();
    heard["channel_type"] = "mpim".into();
    assert_eq!(kind(&envelope("e", heard)), ChatKind::Group);
    assert_eq!(kind(&mention("e", "C9", "3.0")), ChatKind::Group);
    assert_eq!(kind(&slash("C9", "privategroup")), ChatKind::Group);
    let button = json!({"type": "block_actions", "trigger_id": "t2", "user": {"id": "U1"},
        "channel": {"id": "C9", "name": "privategroup"}, "actions": [{"value": "yes"}]});
    let button = json!({"type": "interactive", "envelope_id": "e3", "payload": button});
    assert_eq!(kind(&button), ChatKind::Group);
    assert_eq!(kind(&mention("e", "C1", "4.0")), ChatKind::Channel);
    // Of too many any one is forgotten.
    for at in 0..=limits::SLACK_ROOMS {
        let mut event = said("hello", "2.0");
        event["channel"] = format!("C{at}X").into();
        event["channel_type"] = "mpim".into();
        assert_eq!(kind(&envelope("e", event)), ChatKind::Group);
    }
    assert_eq!(kind(&mention("e", "C0X", "5.0")), ChatKind::Channel, "the first to go");
}

#[test]
fn a_certificate_that_is_not_trusted_is_no_reason_to_give_up() {
    let untrusted =
        || super::super::Trouble::of_dial(&crate::driver::DialError::Untrusted("x".into()));
    let mut rig = Rig::new(&KIND, settings());
    rig.start();
    let (req, _) = form(&mut rig, "auth.test");
    rig.troubled(req, untrusted());
    rig.after_ms(limits::CHANNEL_DISTRUST_MS - 1);
    assert!(rig.request().is_none());
    rig.after_ms(1);
    let (req, _) = form(&mut rig, "auth.test");
    rig.answers(req, 200, &me());
    let (req, request) = rig.request().expect("a ticket");
    assert_eq!(request.url, format!("{API}/apps.connections.open"));
    rig.answers(req, 200, &json!({"ok": true, "url": "wss://wss-primary.slack.com/link/?t=1"}));
    let (sock, _) = rig.ws();
    rig.on(ChannelInput::Failed { sock, trouble: untrusted() });
    assert!(matches!(rig.state(), State::Waiting { .. }), "{:?}", rig.state());
    rig.after_ms(limits::CHANNEL_DISTRUST_MS);
    ticket(&mut rig);
}
