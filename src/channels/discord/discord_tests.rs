use super::*;
use crate::channels::rig::Rig;
use crate::channels::{Act, Attachment, ChannelEffect, Chat, ChatKind, SockId};
use std::rc::Rc;

const TOKEN: &str = "MTk4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs";
const ROOT: &str = "https://discord.com/api/v10";
const GUILD: &str = "700000000000000001";
const ROOM: &str = "800000000000000001";

fn asked(rig: &mut Rig, method: &str, path: &str) -> (ReqId, Value) {
    let Some((req, request)) = rig.request() else { panic!("nothing was asked: {method} {path}") };
    assert_eq!((request.method, &*request.url), (method, &*format!("{ROOT}{path}")));
    let bot = ("Authorization".to_owned(), format!("Bot {TOKEN}"));
    assert!(request.headers.contains(&bot));
    assert!(
        request
            .headers
            .iter()
            .any(|(name, it)| name == "User-Agent" && it.starts_with("DiscordBot ("))
    );
    (req, serde_json::from_slice(&request.body).unwrap_or_default())
}

fn place(remaining: u64) -> Value {
    json!({"url": "wss://gateway.discord.gg", "shards": 1, "session_start_limit":
        {"total": 1000, "remaining": remaining, "reset_after": 90_000, "max_concurrency": 1}})
}

fn located(rig: &mut Rig) -> SockId {
    let (req, _) = asked(rig, "GET", "/users/@me");
    rig.answers(req, 200, &json!({"id": "1", "username": "claw"}));
    let (req, _) = asked(rig, "GET", "/gateway/bot");
    rig.answers(req, 200, &place(9));
    open(rig, "wss://gateway.discord.gg")
}

fn open(rig: &mut Rig, url: &str) -> SockId {
    let (sock, opened) = rig.ws();
    assert_eq!(opened, format!("{url}/?v=10&encoding=json"));
    rig.opened(sock);
    rig.hears_text(sock, &json!({"op": 10, "d": {"heartbeat_interval": 40_000}}));
    sock
}

/// Time passes until it opens a socket.
fn until_open(rig: &mut Rig, url: &str) -> SockId {
    let opens = |rig: &Rig| rig.effects.iter().any(|it| matches!(it, ChannelEffect::OpenWs { .. }));
    for _ in 0..1000 {
        if opens(rig) {
            return open(rig, url);
        }
        rig.after_ms(100);
    }
    panic!("no socket in a hundred seconds: {:?}", rig.state());
}

fn ready(rig: &mut Rig, sock: SockId) {
    rig.hears_text(sock, &json!({"op": 0, "s": 1, "t": "READY", "d": {"session_id": "s1",
        "resume_gateway_url": "wss://resume.discord.gg", "application": {"id": "900000000000000001"}}}));
    assert_eq!(rig.state(), &State::Connected);
}

fn connected_with(mut value: Value) -> (Rig, SockId) {
    value["token"] = TOKEN.into();
    let mut rig = Rig::new(&KIND, value);
    rig.start();
    let sock = located(&mut rig);
    let said = rig.said_texts(sock);
    assert_eq!((said.len(), &said[0]["op"], &said[0]["d"]["token"]), (1, &json!(2), &json!(TOKEN)));
    ready(&mut rig, sock);
    let (req, menu) = asked(&mut rig, "PUT", "/applications/900000000000000001/commands");
    assert_eq!(menu[0]["name"], "help");
    rig.answers(req, 200, &json!([]));
    let guild = json!({"op": 0, "s": 2, "t": "GUILD_CREATE", "d": {"id": GUILD,
        "channels": [{"id": ROOM, "type": 0, "name": "general"}],
        "threads": [{"id": "800000000000000009", "type": 11, "parent_id": ROOM, "name": "plan"}]}});
    rig.hears_text(sock, &guild);
    (rig, sock)
}

fn connected() -> (Rig, SockId) {
    connected_with(json!({}))
}

fn said(seq: u64, channel: &str, text: &str) -> Value {
    json!({"op": 0, "s": seq, "t": "MESSAGE_CREATE", "d": {"id": format!("{}", 175_928_847_299_117_063_u64 + seq),
        "channel_id": channel, "guild_id": GUILD, "content": text, "type": 0, "mentions": [],
        "author": {"id": "77", "username": "ann", "global_name": "Ann"},
        "member": {"nick": "Annie", "roles": ["5"]}}})
}

#[test]
fn a_message_of_a_guild_and_one_in_private() {
    let (mut rig, sock) = connected();
    let mut event = said(3, ROOM, "<@1> hi <@!88>");
    event["d"]["mentions"] =
        json!([{"id": "1", "username": "claw"}, {"id": "88", "username": "bob"}]);
    event["d"]["attachments"] = json!([{"url": "https://cdn.discordapp.com/a.png", "size": 5,
        "content_type": "image/png", "filename": "a.png"}]);
    event["d"]["referenced_message"] =
        json!({"id": "6", "content": "sure?", "author": {"id": "1"}});
    rig.hears_text(sock, &event);
    let message = rig.message().expect("a message");
    assert_eq!((&*message.text, message.mentioned), ("hi @bob", true));
    assert_eq!((message.chat.kind, &*message.chat.id), (ChatKind::Channel, ROOM));
    assert_eq!((message.chat.guild.as_deref(), message.chat.parent), (Some(GUILD), None));
    assert_eq!((&*message.sender.ids[0], &message.sender.roles[..]), ("77", &["5".to_owned()][..]));
    assert_eq!(message.sender.name.as_deref(), Some("Annie"));
    assert_eq!(message.media[0].name.as_deref(), Some("a.png"));
    assert!(message.reply_to.expect("quotes").of_us);
    assert_eq!(message.sent_ms, 1_462_015_105_796);
    assert_eq!(rig.kept["seq"], 3);

    let mut private = said(4, "600000000000000001", "psst");
    private["d"].as_object_mut().expect("fields").remove("guild_id");
    rig.hears_text(sock, &private);
    let message = rig.message().expect("in private");
    assert_eq!((message.chat.kind, &*message.chat.id), (ChatKind::Direct, "77"));
    assert_eq!(message.to, Address::chat("600000000000000001"));
    assert!(rig.request().is_none(), "nothing is looked up for it");
}

#[test]
fn threads_know_their_channel_and_unknown_ones_are_looked_up_in_order() {
    let (mut rig, sock) = connected();
    rig.hears_text(sock, &said(3, "800000000000000009", "known"));
    let message = rig.message().expect("a thread");
    assert_eq!(message.chat.parent.as_deref(), Some(ROOM));
    assert_eq!(message.chat.id, "800000000000000009");

    rig.hears_text(sock, &said(4, "800000000000000555", "new thread"));
    rig.hears_text(sock, &said(5, ROOM, "behind it"));
    assert!(rig.message().is_none(), "order counts");
    let (req, _) = asked(&mut rig, "GET", "/channels/800000000000000555");
    rig.answers(req, 200, &json!({"id": "800000000000000555", "type": 11, "parent_id": ROOM}));
    assert_eq!(rig.message().expect("first").chat.parent.as_deref(), Some(ROOM));
    assert_eq!(rig.message().expect("second").text, "behind it");
    assert_eq!(rig.kept["seq"], 5);

    rig.hears_text(sock, &said(6, "800000000000000666", "hidden"));
    let (req, _) = asked(&mut rig, "GET", "/channels/800000000000000666");
    rig.answers(req, 403, &json!({"message": "Missing Access", "code": 50_001}));
    assert!(rig.message().is_none(), "a look-up that is refused is a denial");
    rig.hears_text(sock, &said(7, "800000000000000666", "still hidden"));
    assert!(rig.message().is_none() && rig.request().is_none(), "it is known now");
    let shown = json!({"id": "800000000000000666", "type": 11, "parent_id": ROOM});
    rig.hears_text(sock, &json!({"op": 0, "s": 8, "t": "THREAD_UPDATE", "d": shown}));
    rig.hears_text(sock, &said(9, "800000000000000666", "shown"));
    assert_eq!(rig.message().expect("heard").chat.parent.as_deref(), Some(ROOM));
}

#[test]
fn a_look_up_that_fails_for_now_is_made_again_and_nothing_is_lost() {
    let (mut rig, sock) = connected();
    let path = "/channels/800000000000000555";
    rig.hears_text(sock, &said(3, "800000000000000555", "first"));
    rig.hears_text(sock, &said(4, ROOM, "behind it"));
    let (req, _) = asked(&mut rig, "GET", path);
    rig.answers(req, 500, &json!({"message": "oops"}));
    assert!(rig.message().is_none() && rig.request().is_none());
    rig.after_ms(limits::DISCORD_LOOK_MS);
    let (req, _) = asked(&mut rig, "GET", path);
    rig.answers(req, 429, &json!({"message": "slow", "retry_after": 9.0}));
    rig.after_ms(8_999);
    assert!(rig.request().is_none(), "the pause that was asked for");
    rig.after_ms(1);
    let (req, _) = asked(&mut rig, "GET", path);
    rig.unanswered(req, "reset", true);
    rig.after_ms(4 * limits::DISCORD_LOOK_MS);
    let (req, _) = asked(&mut rig, "GET", path);
    rig.answers(req, 200, &json!({"id": "800000000000000555", "type": 11, "parent_id": ROOM}));
    let first = rig.message().expect("it waited");
    assert_eq!((&*first.text, first.chat.parent.as_deref()), ("first", Some(ROOM)));
    assert_eq!(rig.message().expect("in order").text, "behind it");

    // A thread that names no channel, and a command of which nothing is known, are denied.
    rig.hears_text(sock, &said(5, "800000000000000777", "half"));
    let (req, _) = asked(&mut rig, "GET", "/channels/800000000000000777");
    rig.answers(req, 200, &json!({"id": "800000000000000777", "type": 11}));
    assert!(rig.message().is_none());
    let mut asks = command(6, "new", "tok");
    asks["d"]["channel_id"] = "800000000000000888".into();
    rig.hears_text(sock, &asks);
    assert!(rig.message().is_none() && rig.request().is_none());
    asks["s"] = 7.into();
    asks["d"]["channel"] = json!({"id": "800000000000000888", "type": 11, "parent_id": ROOM});
    rig.hears_text(sock, &asks);
    assert_eq!(rig.message().expect("it came with it").chat.parent.as_deref(), Some(ROOM));
}

#[test]
fn pauses_between_look_ups_are_bounded_and_a_lost_socket_ends_them() {
    let (mut rig, sock) = connected();
    rig.hears_text(sock, &said(3, "800000000000000555", "first"));
    for _ in 0..12 {
        let (req, _) = asked(&mut rig, "GET", "/channels/800000000000000555");
        rig.answers(req, 503, &json!({}));
        let mut left = limits::DISCORD_LOOK_MAX_MS;
        while left > 0 {
            rig.after_ms(1_000);
            rig.hears_text(sock, &json!({"op": 11}));
            left -= 1_000;
        }
    }
    let (req, _) = asked(&mut rig, "GET", "/channels/800000000000000555");
    rig.answers(req, 503, &json!({}));
    rig.hears_text(sock, &json!({"op": 7, "d": null}));
    let sock = until_open(&mut rig, "wss://resume.discord.gg");
    assert_eq!(rig.said_texts(sock)[0]["d"]["seq"], 2, "it comes again");
    rig.after_ms(limits::DISCORD_LOOK_MAX_MS);
    assert!(rig.request().is_none());
}

#[test]
fn a_channel_that_is_named_needs_no_look_up() {
    let named = json!({"guilds": {GUILD: {"channels": {"800000000000000555": {}, "*": {}}}}});
    let (mut rig, sock) = connected_with(named);
    rig.hears_text(sock, &said(3, "800000000000000555", "by name"));
    assert_eq!(rig.message().expect("heard").text, "by name");
    assert!(rig.request().is_none());
    rig.hears_text(sock, &said(4, "800000000000000556", "by *"));
    asked(&mut rig, "GET", "/channels/800000000000000556");
}

#[test]
fn a_gateway_that_greets_and_says_no_more_is_left() {
    let mut rig = Rig::new(&KIND, json!({"token": TOKEN}));
    rig.start();
    let sock = located(&mut rig);
    let acks = |rig: &mut Rig, sock: SockId, ms: u64| {
        let end = rig.now().time.after_ms(ms);
        while rig.now().time < end {
            rig.hears_text(sock, &json!({"op": 11}));
            rig.after_ms(100.min(end.ms_since(rig.now().time)));
        }
    };
    acks(&mut rig, sock, limits::DISCORD_LIVE_MS - 1);
    assert_eq!(rig.state(), &State::Connecting);
    assert_eq!(rig.let_go(sock), None);
    acks(&mut rig, sock, 1);
    assert_eq!(rig.let_go(sock), Some(4000));
    assert!(
        matches!(rig.state(), State::Waiting { why, .. } if why.contains("look at discordstatus.com"))
    );

    // A resume that comes to nothing is tried again, and after some the session is given up.
    let (mut rig, sock) = connected();
    rig.hears_text(sock, &json!({"op": 7, "d": null}));
    for _ in 0..limits::DISCORD_RESUMES {
        let sock = until_open(&mut rig, "wss://resume.discord.gg");
        assert_eq!(rig.state(), &State::Connecting, "no state of the past stays");
        acks(&mut rig, sock, limits::DISCORD_LIVE_MS);
        assert_eq!(rig.let_go(sock), Some(4000));
    }
    rig.after_ms(limits::DISCORD_BACKOFF_MAX_MS);
    let (req, _) = asked(&mut rig, "GET", "/gateway/bot");
    rig.answers(req, 200, &place(9));
    let sock = open(&mut rig, "wss://gateway.discord.gg");
    ready(&mut rig, sock);
    acks(&mut rig, sock, 2 * limits::DISCORD_LIVE_MS);
    assert_eq!((rig.let_go(sock), rig.state()), (None, &State::Connected));
}

#[test]
fn a_certificate_that_is_not_trusted_does_not_refuse_the_account() {
    let (mut rig, sock) = connected();
    rig.hears_text(sock, &json!({"op": 7, "d": null}));
    rig.after_ms(limits::DISCORD_AGAIN_MS);
    let (sock, _) = rig.ws();
    let trouble = Trouble::of_dial(&crate::driver::DialError::Untrusted("not yet valid".into()));
    rig.on(ChannelInput::Failed { sock, trouble });
    assert!(matches!(rig.state(), State::Waiting { why, .. } if why.contains("SSL_CERT_FILE")));
    rig.after_ms(limits::CHANNEL_DISTRUST_MS);
    open(&mut rig, "wss://resume.discord.gg");
}

#[test]
fn what_is_nothing_for_us_moves_on() {
    let (mut rig, sock) = connected();
    let change = |seq: u64, change: &dyn Fn(&mut Value)| {
        let mut event = said(seq, ROOM, "x");
        change(&mut event["d"]);
        event
    };
    for event in [
        change(3, &|d| d["author"]["id"] = "1".into()),
        change(4, &|d| d["author"]["bot"] = true.into()),
        change(5, &|d| d["webhook_id"] = "5".into()),
        change(6, &|d| d["type"] = 7.into()),
        change(7, &|d| d["content"] = "".into()),
        change(8, &|d| d["channel_id"] = "../x".into()),
        json!({"op": 0, "s": 9, "t": "TYPING_START", "d": {}}),
        json!({"op": 0, "s": 10, "t": "MESSAGE_CREATE", "d": null}),
        json!({"op": 77}),
        json!([]),
    ] {
        rig.hears_text(sock, &event);
    }
    rig.on(ChannelInput::Text { sock, text: "{".to_owned() });
    assert!(rig.message().is_none() && rig.request().is_none());
    rig.hears_text(sock, &said(11, ROOM, "x"));
    assert_eq!(rig.message().expect("goes on").text, "x");
    assert_eq!(rig.kept["seq"], 11);

    let (mut rig, sock) = connected_with(json!({"allowBots": "mentions"}));
    let mut robot = said(3, ROOM, "<@1> beep");
    robot["d"]["author"]["bot"] = true.into();
    rig.hears_text(sock, &robot);
    assert!(rig.message().is_none(), "the mention must be Discord's own");
    robot["s"] = 4.into();
    robot["d"]["mentions"] = json!([{"id": "1"}]);
    rig.hears_text(sock, &robot);
    assert!(rig.message().expect("mentioned").sender.is_bot);
}

#[test]
fn beats_come_in_time_and_a_missing_ack_resumes() {
    let (mut rig, sock) = connected();
    let beats = |rig: &mut Rig| {
        let said = rig.said_texts(sock);
        said.into_iter().filter(|it| it["op"] == 1).collect::<Vec<_>>()
    };
    // The first within the interval, by chance; then one an interval, each acknowledged.
    rig.after_ms(40_000);
    assert_eq!(beats(&mut rig), [json!({"op": 1, "d": 2})]);
    rig.hears_text(sock, &json!({"op": 11}));
    rig.hears_text(sock, &json!({"op": 1, "d": null}));
    assert_eq!(beats(&mut rig).len(), 1, "asked for");
    rig.hears_text(sock, &json!({"op": 11}));
    rig.after_ms(40_000);
    assert_eq!(beats(&mut rig).len(), 1);
    rig.after_ms(40_000);
    assert_eq!(beats(&mut rig).len(), 0, "never without the ack of the one before");
    assert_eq!(rig.let_go(sock), Some(4000));
    rig.after_ms(limits::DISCORD_AGAIN_MS);
    let sock = open(&mut rig, "wss://resume.discord.gg");
    let said = rig.said_texts(sock);
    assert_eq!(said, [json!({"op": 6, "d": {"token": TOKEN, "session_id": "s1", "seq": 2}})]);
    rig.hears_text(sock, &json!({"op": 0, "s": 2, "t": "RESUMED", "d": {}}));
    assert_eq!(rig.state(), &State::Connected);
}

#[test]
fn operations_seven_and_nine() {
    let (mut rig, sock) = connected();
    rig.hears_text(sock, &json!({"op": 7, "d": null}));
    assert_eq!(rig.let_go(sock), Some(4000), "never 1000: the session goes on");
    rig.after_ms(limits::DISCORD_AGAIN_MS);
    let sock = open(&mut rig, "wss://resume.discord.gg");
    assert_eq!(rig.said_texts(sock)[0]["op"], 6);
    // It cannot be resumed: between one and five seconds later, anew, by the budget.
    rig.hears_text(sock, &json!({"op": 9, "d": false}));
    rig.after_ms(999);
    assert!(rig.request().is_none());
    rig.after_ms(limits::DISCORD_BACKOFF_MAX_MS);
    let (req, _) = asked(&mut rig, "GET", "/gateway/bot");
    rig.answers(req, 200, &place(1));
    let sock = open(&mut rig, "wss://gateway.discord.gg");
    assert_eq!(rig.said_texts(sock)[0]["op"], 2);
    // Not resumable once more, at once: the next identify still waits its five seconds.
    rig.hears_text(sock, &json!({"op": 9, "d": false}));
    let begin = rig.now().time;
    while rig.request().is_none() {
        rig.after_ms(100);
    }
    assert!(rig.now().time.ms_since(begin) >= 1000);
}

#[test]
fn close_codes_have_their_rules() {
    for code in [4004, 4010, 4011, 4012, 4013, 4014] {
        let (mut rig, sock) = connected();
        rig.closed(sock, Some(code), "");
        let State::Refused { why } = rig.state().clone() else { panic!("{code}") };
        assert!(why.contains(&code.to_string()), "{why}");
        rig.after_ms(3_600_000);
        assert!(rig.effects.iter().all(|it| !matches!(it, ChannelEffect::OpenWs { .. })));
    }
    for (code, resumes) in [
        (1000, true),
        (1006, true),
        (4000, true),
        (4008, true),
        (4003, false),
        (4007, false),
        (4009, false),
    ] {
        let (mut rig, sock) = connected();
        rig.closed(sock, Some(code), "");
        if resumes {
            let sock = until_open(&mut rig, "wss://resume.discord.gg");
            assert_eq!(rig.said_texts(sock)[0]["op"], 6, "{code}");
        } else {
            rig.after_ms(limits::DISCORD_BACKOFF_MAX_MS);
            asked(&mut rig, "GET", "/gateway/bot");
        }
    }
}

#[test]
fn identifies_are_a_budget() {
    let mut rig = Rig::new(&KIND, json!({"token": TOKEN}));
    rig.start();
    let (req, _) = asked(&mut rig, "GET", "/users/@me");
    rig.answers(req, 200, &json!({"id": "1", "username": "claw"}));
    let (req, _) = asked(&mut rig, "GET", "/gateway/bot");
    rig.answers(req, 200, &place(0));
    let State::Waiting { why, .. } = rig.state().clone() else { panic!("{:?}", rig.state()) };
    assert!(why.contains("identifies"), "{why}");
    rig.after_ms(89_999);
    assert!(rig.request().is_none());
    rig.after_ms(1);
    asked(&mut rig, "GET", "/gateway/bot");
}

#[test]
fn a_restart_goes_on_with_the_session_of_the_same_token() {
    let (rig, _) = connected();
    let mut account = Account::new("discord", "default", json!({"token": TOKEN}));
    account.kept = rig.kept.clone();
    assert!(!account.kept.to_string().contains("ZnCjm"), "the token is not kept");
    let mut rig = Rig::of(&KIND, &account);
    rig.start();
    let (req, _) = asked(&mut rig, "GET", "/users/@me");
    rig.answers(req, 200, &json!({"id": "1", "username": "claw"}));
    let sock = open(&mut rig, "wss://resume.discord.gg");
    assert_eq!(rig.said_texts(sock)[0]["d"]["session_id"], "s1");

    let mut other = Account::new("discord", "default", json!({"token": "another.token.x"}));
    other.kept = account.kept.clone();
    let mut rig = Rig::of(&KIND, &other);
    rig.start();
    assert!(rig.request().is_some());
    let silent = Rig::of(&KIND, &other);
    assert_eq!(silent.channel.deadline(), None);
}

#[test]
fn what_the_disk_refused_comes_again_by_a_resume() {
    let (mut rig, sock) = connected();
    rig.disk = false;
    rig.hears_text(sock, &said(3, ROOM, "one"));
    assert_eq!(rig.let_go(sock), Some(4000));
    rig.disk = true;
    let sock = until_open(&mut rig, "wss://resume.discord.gg");
    assert_eq!(rig.said_texts(sock)[0]["d"]["seq"], 2, "behind what was settled");
    rig.hears_text(sock, &said(3, ROOM, "one"));
    assert_eq!(rig.message().expect("again").text, "one");
}

#[test]
fn dispatches_that_wait_are_bounded() {
    let (mut rig, sock) = connected();
    rig.hears_text(sock, &said(3, "800000000000000555", "unknown"));
    for seq in 0..u64::try_from(limits::DISCORD_QUEUE).expect("fits") {
        rig.hears_text(sock, &said(4 + seq, ROOM, "more"));
    }
    assert_eq!(rig.let_go(sock), Some(4000), "the session keeps them");
    let sock = until_open(&mut rig, "wss://resume.discord.gg");
    assert_eq!(rig.said_texts(sock)[0]["d"]["seq"], 2);
}

fn command(seq: u64, name: &str, token: &str) -> Value {
    json!({"op": 0, "s": seq, "t": "INTERACTION_CREATE", "d": {"id": "500", "token": token,
        "type": 2, "channel_id": ROOM, "guild_id": GUILD, "member": {"user": {"id": "77",
        "username": "ann"}, "roles": ["5"]}, "data": {"name": name,
        "options": [{"name": "input", "value": "go on"}]}}})
}

#[test]
fn commands_are_acknowledged_when_kept_and_answered_in_place() {
    let (mut rig, sock) = connected();
    rig.hears_text(sock, &command(3, "new", "tok1"));
    let message = rig.message().expect("a command");
    assert_eq!((&*message.text, message.command), ("/new go on", true));
    assert_eq!(message.to.thread.as_deref(), Some("interaction:tok1"));
    let (req, body) = asked(&mut rig, "POST", "/interactions/500/tok1/callback");
    assert_eq!(body, json!({"type": 5, "data": {"flags": 64}}));
    rig.answers(req, 204, &Value::Null);

    let answer = |id: &str, token: &str| Outgoing {
        id: id.into(),
        to: Address { chat: ROOM.into(), thread: Some(format!("interaction:{token}")) },
        text: "fine".into(),
        ..Outgoing::default()
    };
    rig.on(ChannelInput::Send(&answer("d1", "tok1")));
    let hook = "/webhooks/900000000000000001/tok1";
    let (req, body) = asked(&mut rig, "PATCH", &format!("{hook}/messages/@original"));
    assert_eq!(body["content"], "fine");
    rig.answers(req, 200, &json!({"id": "11"}));
    assert_eq!(rig.outcome(), Some(("d1".into(), Ok(vec!["11".into()]))));
    rig.on(ChannelInput::Send(&answer("d2", "tok1")));
    let (req, _) = asked(&mut rig, "POST", hook);
    rig.answers(req, 404, &json!({"message": "Unknown Webhook", "code": 10_015}));
    let (req, _) = asked(&mut rig, "POST", &format!("/channels/{ROOM}/messages"));
    rig.answers(req, 200, &json!({"id": "12"}));
    assert_eq!(rig.outcome(), Some(("d2".into(), Ok(vec!["12".into()]))), "said in the channel");

    let pressed = json!({"op": 0, "s": 4, "t": "INTERACTION_CREATE", "d": {"id": "501",
        "token": "tok2", "type": 3, "channel_id": ROOM, "guild_id": GUILD,
        "member": {"user": {"id": "77"}}, "data": {"custom_id": "/approve 1 yes"}}});
    rig.hears_text(sock, &pressed);
    let message = rig.message().expect("a button");
    assert_eq!(
        (&*message.text, message.command, message.to.thread),
        ("/approve 1 yes", true, None)
    );
    assert_eq!(asked(&mut rig, "POST", "/interactions/501/tok2/callback").1, json!({"type": 6}));
}

#[test]
fn pieces_are_posted_once() {
    let (mut rig, _) = connected();
    let message = Outgoing {
        id: "d".into(),
        nonce: "abc123".into(),
        to: Address::chat(ROOM),
        text: "hi".into(),
        reply_to: Some("6".into()),
        silent: true,
        ..Outgoing::default()
    };
    rig.on(ChannelInput::Send(&message));
    let (req, body) = asked(&mut rig, "POST", &format!("/channels/{ROOM}/messages"));
    assert_eq!((&body["nonce"], &body["enforce_nonce"]), (&json!("abc123"), &json!(true)));
    assert_eq!(body["message_reference"], json!({"message_id": "6", "fail_if_not_exists": false}));
    assert_eq!(body["allowed_mentions"], json!({"parse": ["users"], "replied_user": false}));
    assert_eq!(body["flags"], 4096);
    rig.answers(req, 200, &json!({"id": "12"}));
    assert_eq!(rig.outcome(), Some(("d".into(), Ok(vec!["12".into()]))));

    // A person's channel is asked for once.
    for round in 0..2 {
        rig.send("user:77", "psst");
        if round == 0 {
            let (req, body) = asked(&mut rig, "POST", "/users/@me/channels");
            assert_eq!(body, json!({"recipient_id": "77"}));
            rig.answers(req, 200, &json!({"id": "600000000000000001"}));
        }
        let (req, _) = asked(&mut rig, "POST", "/channels/600000000000000001/messages");
        rig.answers(req, 200, &json!({"id": "13"}));
        assert!(rig.outcome().expect("sent").1.is_ok());
    }

    let file = Attachment {
        bytes: Some(Rc::new(b"PNG".to_vec())),
        name: "a.png".into(),
        ..Attachment::default()
    };
    rig.on(ChannelInput::Send(&Outgoing { media: vec![file], ..message }));
    let (_, request) = rig.request().expect("a form");
    let body = String::from_utf8_lossy(&request.body).into_owned();
    assert!(
        body.contains("name=\"payload_json\"") && body.contains("filename=\"a.png\""),
        "{body}"
    );
}

#[test]
fn a_used_up_route_rests_and_others_do_not() {
    let (mut rig, _) = connected();
    let other = "800000000000000002";
    rig.send(ROOM, "one");
    let (req, _) = asked(&mut rig, "POST", &format!("/channels/{ROOM}/messages"));
    let lines = [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset-After", "1.5")];
    rig.answers_with(req, 200, &lines, &json!({"id": "1"}));
    assert!(rig.outcome().expect("sent").1.is_ok());
    rig.send(ROOM, "two");
    assert_eq!(rig.outcome().expect("rests").1.expect_err("rests").retry, Retry::After(1500));
    rig.send(other, "elsewhere");
    let (req, _) = asked(&mut rig, "POST", &format!("/channels/{other}/messages"));
    let body =
        json!({"message": "You are being rate limited.", "retry_after": 2.25, "global": true});
    rig.answers(req, 429, &body);
    assert_eq!(rig.outcome().expect("slow").1.expect_err("slow").retry, Retry::After(2250));
    rig.act(1, &Act::Typing { to: Address::chat(ROOM) });
    assert_eq!(rig.acted().expect("all rest").1.expect_err("rests").retry, Retry::After(2250));
    rig.after_ms(2250);
    rig.send(ROOM, "two");
    asked(&mut rig, "POST", &format!("/channels/{ROOM}/messages"));
}

#[test]
fn errors_say_what_to_do() {
    let (mut rig, _) = connected();
    for (status, code, retry, hint) in [
        (403, 50_001, Retry::No, "role"),
        (404, 10_003, Retry::No, "channel:<id>"),
        (403, 50_007, Retry::No, "takes no messages"),
        (502, 0, Retry::Later, "502"),
    ] {
        rig.send(ROOM, "x");
        let (req, _) = asked(&mut rig, "POST", &format!("/channels/{ROOM}/messages"));
        rig.answers(req, status, &json!({"message": "no", "code": code}));
        let failure = rig.outcome().expect("failed").1.expect_err("failed");
        assert_eq!(failure.retry, retry, "{code}");
        assert!(failure.what.contains(hint), "{}", failure.what);
    }
    let mut rig = Rig::new(&KIND, json!({"token": TOKEN}));
    rig.start();
    let (req, _) = asked(&mut rig, "GET", "/users/@me");
    rig.answers(req, 401, &json!({"message": "401: Unauthorized", "code": 0}));
    assert!(
        matches!(rig.state(), State::Refused { why } if why.contains("channels.discord.token"))
    );
    let account = Account::new("discord", "default", json!({}));
    assert!(
        Discord::new(&account)
            .err()
            .expect("refused")
            .contains("channels.discord.token is not set")
    );
}

#[test]
fn acts_and_their_switches() {
    let (mut rig, _) = connected_with(json!({"actions": {"pins": false}}));
    let to = Address::chat(ROOM);
    let react =
        Act::React { to: to.clone(), message: "66".into(), emoji: "👀".into(), remove: false };
    rig.act(1, &react);
    let path = format!("/channels/{ROOM}/messages/66/reactions/%F0%9F%91%80/@me");
    let (req, _) = asked(&mut rig, "PUT", &path);
    rig.answers(req, 204, &Value::Null);
    assert_eq!(rig.acted(), Some((1, Ok(json!({"ok": true})))));
    rig.act(2, &Act::Edit { to: to.clone(), message: "66".into(), text: "new".into() });
    assert_eq!(
        asked(&mut rig, "PATCH", &format!("/channels/{ROOM}/messages/66")).1,
        json!({"content": "new"})
    );
    rig.act(
        3,
        &Act::Other { name: "pin".into(), params: json!({"channelId": ROOM, "messageId": "66"}) },
    );
    assert!(rig.acted().expect("off").1.expect_err("off").what.contains("actions.pins is off"));
    rig.act(4, &Act::Delete { to, message: "../66".into() });
    assert!(rig.acted().expect("refused").1.is_err(), "no path of anybody's making");
    let params = json!({"to": format!("channel:{ROOM}"), "threadName": "Plans"});
    rig.act(5, &Act::Other { name: "thread-create".into(), params });
    let (req, body) = asked(&mut rig, "POST", &format!("/channels/{ROOM}/threads"));
    assert_eq!(body, json!({"name": "Plans", "type": 11}));
    rig.answers(req, 201, &json!({"id": "9", "name": "Plans"}));
    assert_eq!(rig.acted().expect("made").1.expect("made")["result"]["id"], "9");
    assert!(rig.request().is_none());
}

#[test]
fn stopping_keeps_the_session_and_a_probe_disturbs_nothing() {
    let (mut rig, sock) = connected_with(json!({"guilds": {GUILD: {"channels": {ROOM: {}}}}}));
    rig.on(ChannelInput::Probe { id: 3 });
    let (req, _) = asked(&mut rig, "GET", "/users/@me");
    rig.answers(req, 200, &json!({"id": "1", "username": "claw"}));
    assert_eq!(rig.probed().expect("probed").1.expect("works")["bot"]["username"], "claw");
    rig.on(ChannelInput::Audit { id: 4 });
    let (req, _) = asked(&mut rig, "GET", &format!("/guilds/{GUILD}"));
    rig.answers(req, 404, &json!({"code": 10_004, "message": "Unknown Guild"}));
    let (id, report) = rig.audited().expect("over");
    assert_eq!((id, &report["channels"][0]["channelId"]), (4, &json!(ROOM)));
    rig.on(ChannelInput::Stop);
    assert_eq!(rig.let_go(sock), Some(4000));
    assert_eq!(rig.kept["session"], "s1");
    assert_eq!((rig.state(), rig.channel.deadline()), (&State::Stopped, None));
}

#[test]
fn guilds_channels_and_threads_have_their_rules() {
    let account = Account::new(
        "discord",
        "default",
        json!({"guilds": {GUILD: {"requireMention": false, "users": ["7"], "roles": ["5"],
            "systemPrompt": "guild", "channels": {
                ROOM: {"requireMention": true, "users": ["discord:8"], "systemPrompt": "room"},
                "802": {"enabled": false}}}}}),
    );
    let chat = |id: &str, parent: Option<&str>, guild: &str| Chat {
        kind: ChatKind::Channel,
        id: id.into(),
        parent: parent.map(str::to_owned),
        guild: Some(guild.into()),
        ..Chat::default()
    };
    let rules = events::rules(&account, &chat("809", Some(ROOM), GUILD));
    assert_eq!(
        (rules.listed, rules.require_mention),
        (true, Some(true)),
        "a thread by its channel"
    );
    assert_eq!((rules.allow_from, rules.roles), (Some(vec!["discord:8".into()]), vec!["5".into()]));
    assert_eq!(rules.prompts, ["guild", "room"]);
    assert_eq!(events::rules(&account, &chat("802", None, GUILD)).enabled, Some(false));
    assert!(
        !events::rules(&account, &chat("803", None, GUILD)).listed,
        "only those that are named"
    );
    assert!(!events::rules(&account, &chat(ROOM, None, "701")).listed);
    for (text, want) in [
        ("channel:801", "801"),
        ("user:77", "user:77"),
        ("<@!77>", "user:77"),
        ("<#801>", "801"),
        ("801", "801"),
    ] {
        assert_eq!(target(text).expect("a target").chat, want);
    }
    for text in ["general", "#general", "user:ann", ""] {
        assert!(target(text).is_err(), "{text}");
    }
}
