//! Channels end to end, by a scripted IRC server: a message in, a run, its answer out; who may
//! write; what a crash leaves; what an edit of the configuration touches.

mod common;

use common::irc::{Peer, Server, irc};
use common::provider::Provider;
use common::socket::Socket;
use common::{Gateway, Home, PATIENCE};
use serde_json::json;
use std::io::BufRead;
use std::time::{Duration, Instant};

fn config(provider: &Provider, channels: &str) -> String {
    provider.config(&format!("channels: {{{channels}}}"))
}

fn start(home: &Home) -> Gateway {
    home.start("")
}

#[test]
fn a_message_gets_its_answer_and_twice_only_where_it_was_sent_twice() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    let own = irc(
        server.port,
        "allowFrom: ['al!u@host'], groupAllowFrom: ['al!u@host'], \
         channels: ['#a'], groups: {'#a': {}}",
    );
    home.configure(&config(&provider, &format!("irc: {{{own}}}")));
    let gateway = start(&home);
    let mut peer = server.accept();
    assert_eq!(peer.line(), "JOIN #a");
    peer.say(":al!u@host PRIVMSG bot :hello there");
    assert!(peer.hears("PRIVMSG al ").contains("hello there"));
    peer.say(":al!u@host PRIVMSG #a :not for you");
    peer.say(":eve!x@y PRIVMSG #a :bot: and me?");
    peer.say(":al!u@host PRIVMSG #a :bot: in the room");
    assert!(peer.hears("al: in the room").starts_with("PRIVMSG #a "));
    let said = provider.rest();
    assert!(said.iter().all(|asked| !asked.said().contains("and me?")));
    assert!(said.iter().any(|asked| asked.said().contains("al: not for you")), "as context");
    let status = home.ask(gateway.port, "channels status --probe --json");
    let status: serde_json::Value = serde_json::from_str(&status.out).expect("JSON");
    let row = &status["channelAccounts"]["irc"][0];
    assert_eq!((&row["connected"], &row["probe"]["ok"]), (&json!(true), &json!(true)), "{row}");
    assert!(row["lastInboundAt"].is_u64() && row["lastOutboundAt"].is_u64(), "{row}");
}

#[test]
fn a_stranger_gets_a_code_and_after_its_approval_an_answer() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    home.configure(&config(&provider, &format!("irc: {{{}}}", irc(server.port, ""))));
    let gateway = start(&home);
    let mut peer = server.accept();
    peer.say(":al!u@host PRIVMSG bot :let me in");
    let line = peer.hears("openclaw pairing approve irc");
    let code = line.rsplit(' ').next().expect("a code").to_owned();
    assert_eq!(code.len(), 8, "{line}");
    let list = home.ask(gateway.port, "pairing list irc");
    assert!(list.out.contains("al!u@host"), "{list:?}");
    assert!(!list.out.contains(&code), "the code is theirs: {list:?}");
    let wrong = home.ask(gateway.port, "pairing approve irc AAAAAAAA");
    assert!(wrong.code != 0 && wrong.err.contains("no longer exists"), "{wrong:?}");
    let done = home.ask(gateway.port, &format!("pairing approve irc {code}"));
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.contains("Command owner now: irc:al!u@host"), "{done:?}");
    peer.say(":al!u@host PRIVMSG bot :now then");
    assert!(peer.hears("now then").starts_with("PRIVMSG al "));
    peer.say(":al!u@host PRIVMSG bot :/status");
    assert!(peer.hears("OpenClaw").starts_with("PRIVMSG al "));
}

#[test]
fn what_is_sent_while_away_waits_and_an_edit_reconnects_one_account() {
    let (home, one, two) = (Home::new(), Server::new(), Server::new());
    let provider = Provider::echo();
    let accounts = |nick: &str, allow: &str| {
        let (one, two) = (irc(one.port, ""), irc(two.port, ""));
        let two = two.replace("'bot'", nick);
        format!("irc: {{accounts: {{a: {{{one}}}, b: {{{two} allowFrom: [{allow}]}}}}}}")
    };
    home.configure(&config(&provider, &accounts("'bot'", "")));
    let gateway = start(&home);
    let (mut a, b) = (one.accept(), two.accept());
    drop(b);
    let mut socket = Socket::connect(gateway.port);
    let sent = json!({
        "to": "#x", "channel": "irc", "accountId": "b", "message": "**later**",
        "idempotencyKey": "k1",
    });
    let id = socket.request("send", &sent);
    let mut b = two.accept();
    assert_eq!(b.hears("PRIVMSG"), "PRIVMSG #x :later");
    b.say(":srv PONG srv :none");
    let answer = loop_until(&mut b, &mut socket, &id);
    assert_eq!((&answer["runId"], &answer["channel"]), (&json!("k1"), &json!("irc")), "{answer}");
    // Once more with the same key: it was delivered.
    let again = socket.call("send", &sent).expect("an answer");
    assert_eq!(again["deduplicated"], true, "{again}");
    // A live key reconnects nobody, a lasting one only its own account.
    home.configure(&config(&provider, &accounts("'bot'", "'al!u@host'")));
    assert!(two.is_left_alone());
    home.configure(&config(&provider, &accounts("'bott'", "'al!u@host'")));
    two.accept();
    assert!(one.is_left_alone());
    a.say("PING :still");
    assert_eq!(a.line(), "PONG :still");
}

/// Answers PINGs until the response is there.
fn loop_until(peer: &mut Peer, socket: &mut Socket, id: &str) -> serde_json::Value {
    let stream = peer.lines.get_ref().try_clone().expect("it");
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("it");
    let end = Instant::now() + PATIENCE;
    let mut line = String::new();
    while Instant::now() < end {
        let _ = peer.lines.read_line(&mut line);
        if let Some(token) = line.trim_end().strip_prefix("PING ") {
            let answer = format!(":srv PONG srv {token}");
            peer.say(&answer);
            break;
        }
        if line.ends_with('\n') {
            line.clear();
        }
    }
    stream.set_read_timeout(Some(PATIENCE)).expect("it");
    socket.response(id).expect("sent")
}

#[test]
fn a_killed_gateway_answers_what_it_had_accepted_exactly_once() {
    let (home, server) = (Home::new(), Server::new());
    let (provider, go) = common::provider::patient();
    let own = irc(server.port, "dmPolicy: 'open', allowFrom: ['*']");
    home.configure(&config(&provider, &format!("irc: {{{own}}}")));
    let gateway = start(&home);
    let mut peer = server.accept();
    peer.say(":al!u@host PRIVMSG bot :think about it");
    provider.asked();
    drop(gateway);
    drop(go);
    drop(peer);
    let _gateway = start(&home);
    let mut peer = server.accept();
    let notice = peer.hears("PRIVMSG al ");
    assert!(notice.contains("stopped before this was answered"), "{notice}");
    peer.say(":al!u@host PRIVMSG bot :/whoami");
    let next = peer.hears("PRIVMSG al ");
    assert!(next.contains("You write by irc"), "nothing between: {next}");
}

#[test]
fn status_tells_good_misconfigured_and_unreachable_apart() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    let dead = Server::new();
    let unreachable = dead.port;
    drop(dead);
    let accounts = format!(
        "irc: {{accounts: {{good: {{{}}}, bad: {{nick: 'x'}}, gone: {{{}}}}}}}",
        irc(server.port, ""),
        irc(unreachable, "")
    );
    home.configure(&config(&provider, &accounts));
    let gateway = start(&home);
    let mut peer = server.accept();
    peer.say("PING :ready");
    assert_eq!(peer.line(), "PONG :ready");
    let status = home.ask(gateway.port, "channels status --probe");
    let line = |name: &str| {
        let lines: Vec<&str> = status.out.lines().collect();
        let start = format!("- IRC {name}:");
        let at = lines.iter().position(|line| line.starts_with(&start));
        let found = &lines[at.unwrap_or_else(|| panic!("{status:?}"))..];
        let end = found.iter().skip(1).position(|line| line.starts_with(['-', '!']));
        let words: Vec<&str> =
            found[..end.map_or(found.len(), |end| end + 1)].iter().map(|it| it.trim()).collect();
        words.join(" ")
    };
    assert!(line("good").contains("connected, healthy, works"), "{}", line("good"));
    assert!(line("bad").contains("not configured"), "{}", line("bad"));
    assert!(line("bad").contains("config set channels.irc.accounts.bad.host"), "{}", line("bad"));
    assert!(line("gone").contains("reconnecting"), "{}", line("gone"));
    assert!(line("gone").contains("no connection"), "{}", line("gone"));
    let stopped = home.ask(
        gateway.port,
        "gateway call channels.stop --params {\"channel\":\"irc\",\"accountId\":\"good\"}",
    );
    assert_eq!(stopped.code, 0, "{stopped:?}");
    peer.hears("QUIT");
}

#[test]
fn a_server_that_says_nothing_is_told_in_time_and_keeps_nobody_waiting() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    let deaf = Server::new();
    let accounts = format!(
        "irc: {{accounts: {{good: {{{}}}}}}}, telegram: {{accounts: {{bad: {{}}, deaf: {{{}}}}}}}",
        irc(server.port, ""),
        format_args!("botToken: '1:ABCDEFGH', apiRoot: 'http://127.0.0.1:{}'", deaf.port),
    );
    home.configure(&config(&provider, &accounts));
    let gateway = start(&home);
    let mut peer = server.accept();
    peer.say("PING :ready");
    assert_eq!(peer.line(), "PONG :ready");
    let _silent = deaf.listener.accept().expect("a connection");
    let status = home.ask(gateway.port, "channels status --probe --timeout 3000");
    assert_eq!(status.code, 0, "{status:?}");
    let told = status.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("IRC good: enabled, configured"), "{told}");
    assert!(told.contains("connected, healthy, works"), "{told}");
    assert!(told.contains("! telegram bad: channels.telegram.accounts.bad.botToken"), "{told}");
    assert!(told.contains("Next: openclaw config get channels.telegram.accounts.bad"), "{told}");
    assert!(told.contains("! telegram deaf: no answer within 2.0 s"), "{told}");
    assert!(told.contains("Next: check network and server; openclaw channels logs"), "{told}");
}

#[test]
fn an_audit_names_the_room_that_lets_the_bot_not_in() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    let own = irc(server.port, "channels: ['#in', '#out']");
    home.configure(&config(&provider, &format!("irc: {{{own}}}")));
    let gateway = start(&home);
    let mut peer = server.accept();
    peer.lets_in = false;
    assert_eq!(peer.hears("JOIN"), "JOIN #in");
    peer.say(":bot!u@host JOIN #in");
    peer.say(":srv 474 bot #out :Cannot join channel (+b)");
    peer.say("PING :heard");
    assert_eq!(peer.hears("PONG"), "PONG :heard");
    let status = home.ask(gateway.port, "channels status --probe");
    let told = status.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("works, audit failed"), "{status:?}");
    assert!(told.contains("#out: not in the room (Cannot join channel (+b))"), "{status:?}");
    assert!(!told.contains("#in: not"), "{status:?}");
}

#[test]
fn skip_channels_starts_none() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    home.configure(&config(&provider, &format!("irc: {{{}}}", irc(server.port, ""))));
    let mut command = home.command("gateway --port 0");
    let gateway = Gateway::start(command.env("OPENCLAW_SKIP_CHANNELS", "1"));
    server.listener.set_nonblocking(true).expect("it");
    assert!(server.is_left_alone());
    let status = home.ask(gateway.port, "channels status");
    assert!(status.out.contains("skipped"), "{status:?}");
}

/// The README's first lines of this section, but for the server's address.
#[test]
fn a_channel_is_added_and_spoken_through_by_the_command_line() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    home.configure(&provider.config("env: {}"));
    let gateway = start(&home);
    let line = format!(
        "channels add --channel irc --host 127.0.0.1 --port {} --no-tls --nick claw --channels #home",
        server.port
    );
    let added = home.run(&line);
    assert_eq!(added.code, 0, "{added:?}");
    let mut peer = server.accept();
    assert_eq!(peer.line(), "JOIN #home", "the running gateway took it over");
    let line = "message send --channel irc --target #home -m hello";
    let asked = std::thread::scope(|scope| {
        let sends = scope.spawn(|| home.ask(gateway.port, line));
        assert_eq!(peer.hears("PRIVMSG"), "PRIVMSG #home :hello");
        peer.answers_a_ping();
        sends.join().expect("it ran")
    });
    assert_eq!(asked.code, 0, "{asked:?}");
}

#[test]
fn a_heartbeat_reaches_the_channel_that_it_names() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    let text = config(&provider, &format!("irc: {{{}}}", irc(server.port, "channels: ['#a']")));
    let beat = "defaults: {heartbeat: {every: '1s', target: 'irc', to: '#a', prompt: 'the oven'}, ";
    home.configure(&text.replacen("defaults: {", beat, 1));
    let gateway = start(&home);
    let mut socket = Socket::connect(gateway.port);
    let mut peer = server.accept();
    assert!(peer.hears("PRIVMSG #a").contains("the oven"));
    peer.answers_a_ping();
    // Beats that say the same again are told, too.
    let sent = |frame: &serde_json::Value| {
        frame["event"] == "heartbeat" && frame["payload"]["status"] == "sent"
    };
    let event = socket.event(sent)["payload"].clone();
    assert_eq!(event["channel"], "irc", "{event}");
    assert_eq!(event["to"], "#a");
}

#[test]
fn a_token_is_good_for_one_account() {
    let (home, provider) = (Home::new(), Provider::echo());
    // Nobody answers there; that two accounts share a token is known before.
    let root = "apiRoot: 'http://127.0.0.1:1', botToken: '1:ABCDEFGH'";
    let own = format!("telegram: {{accounts: {{a: {{{root}}}, b: {{{root}}}}}}}");
    home.configure(&config(&provider, &own));
    let gateway = start(&home);
    let status = home.ask(gateway.port, "channels status --json");
    let status: serde_json::Value = serde_json::from_str(&status.out).expect("JSON");
    let rows = status["channelAccounts"]["telegram"].as_array().expect("rows");
    assert_ne!(rows[0]["healthState"], "blocked", "{rows:?}");
    assert_eq!(rows[1]["healthState"], "blocked");
    let why = rows[1]["lastError"].as_str().expect("a reason");
    assert!(
        why.contains("accounts.b.botToken is the one of channels.telegram.accounts.a"),
        "{why}"
    );
}
