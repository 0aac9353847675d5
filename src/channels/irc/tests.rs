//! The life of an IRC account on the rig.

use super::*;
use crate::channels::rig::Rig;
use crate::channels::{ChatKind, Retry};
use serde_json::{Value, json};

fn rig(more: Value) -> Rig {
    let mut value = json!({"host": "h", "nick": "bot", "channels": ["#a", "b"]});
    for (key, own) in more.as_object().expect("object") {
        value[key] = own.clone();
    }
    let mut rig = Rig::new(&KIND, value);
    rig.start();
    rig
}

fn live(more: Value) -> (Rig, SockId) {
    let mut rig = rig(more);
    let sock = rig.tcp("h", 6697, true);
    rig.opened(sock);
    rig.said(sock);
    rig.hears(sock, ":srv 001 bot :Welcome\r\n");
    assert_eq!(rig.state(), &State::Connected);
    (rig, sock)
}

#[test]
fn it_registers_and_joins() {
    let mut rig = rig(json!({"password": "pw", "nickserv": {"password": "ns"}}));
    let sock = rig.tcp("h", 6697, true);
    assert_eq!(rig.state(), &State::Connecting);
    rig.opened(sock);
    assert_eq!(rig.said(sock), "PASS :pw\r\nNICK bot\r\nUSER bot 0 * :OpenClaw\r\n");
    rig.hears(sock, "PING :x\r\n:srv 433 * bot :in use\r\n");
    assert_eq!(rig.said(sock), "PONG :x\r\nNICK bot_\r\n");
    rig.hears(sock, ":srv 001 bot_ :Wel");
    rig.hears(sock, "come\r\n");
    assert_eq!(rig.said(sock), "PRIVMSG NickServ :GHOST bot ns\r\nJOIN #a\r\nJOIN #b\r\n");
    assert_eq!((rig.state(), &*rig.me.name), (&State::Connected, "bot_"));
}

#[test]
fn a_welcome_without_the_sasl_that_was_asked_for_is_refused() {
    let mut alone = rig(json!({"sasl": {"password": "pw"}}));
    let sock = alone.tcp("h", 6697, true);
    alone.opened(sock);
    alone.hears(sock, ":s 421 * CAP :Unknown command\r\n:s 001 bot :Welcome\r\n");
    let State::Refused { why } = alone.state() else { panic!("{:?}", alone.state()) };
    assert!(why.contains("set nickserv.password"), "{why}");
    assert_eq!(alone.let_go(sock), Some(1000));
    assert!(!alone.said(sock).contains("JOIN"));
    // NickServ knows us by password as well.
    let both = json!({"sasl": {"password": "pw"}, "nickserv": {"password": "ns"}});
    let mut rig = rig(both);
    let sock = rig.tcp("h", 6697, true);
    rig.opened(sock);
    rig.hears(sock, ":s 421 * CAP :Unknown command\r\n:s 001 bot :Welcome\r\n");
    assert_eq!(rig.state(), &State::Connected);
    assert!(rig.said(sock).contains("IDENTIFY ns"));
}

#[test]
fn sasl_plain_goes_before_the_welcome_and_its_refusal_rests() {
    let mut rig = rig(json!({"sasl": {"password": "pw"}, "tls": false, "port": 7000}));
    let sock = rig.tcp("h", 7000, false);
    rig.opened(sock);
    assert!(rig.said(sock).starts_with("CAP REQ :sasl\r\nNICK"));
    rig.hears(sock, ":s CAP * ACK :sasl\r\nAUTHENTICATE +\r\n");
    let login = base64(b"bot\0bot\0pw");
    assert_eq!(rig.said(sock), format!("AUTHENTICATE PLAIN\r\nAUTHENTICATE {login}\r\n"));
    rig.hears(sock, ":s 903 bot :ok\r\n");
    assert_eq!(rig.said(sock), "CAP END\r\n");
    rig.hears(sock, ":s 904 bot :failed\r\n");
    let State::Refused { why } = rig.state() else { panic!("{:?}", rig.state()) };
    assert!(why.contains("sasl.password"), "{why}");
    assert_eq!(rig.let_go(sock), Some(1000));
    rig.after_ms(3_600_000);
    assert!(rig.effects.is_empty(), "it rests");
}

#[test]
fn messages_come_in_and_ctcp_does_not() {
    let (mut rig, sock) = live(json!({}));
    rig.hears(sock, ":Al!u@host PRIVMSG #A :bot: hi \u{2}there\u{2}\r\n");
    let message = rig.message().expect("a message");
    assert_eq!((message.chat.kind, &*message.chat.id), (ChatKind::Group, "#a"));
    assert_eq!((&*message.text, message.mentioned), ("hi there", true));
    assert_eq!((&*message.sender.ids[0], &*message.to.chat), ("al!u@host", "#A"));
    rig.hears(sock, ":Al!u@host PRIVMSG #a :robots are fine\r\n");
    assert!(!rig.message().expect("a message").mentioned);
    rig.hears(sock, ":Al!u@host PRIVMSG bot :hello\r\n");
    let direct = rig.message().expect("a message");
    assert_eq!((direct.chat.kind, &*direct.to.chat), (ChatKind::Direct, "Al!u@host"));
    rig.hears(sock, ":Al!u@host PRIVMSG bot :\u{1}VERSION\u{1}\r\n");
    rig.hears(sock, ":Al!u@host NOTICE bot :hm\r\n:bot!x@y PRIVMSG #a :mine\r\n");
    assert_eq!(rig.message(), None);
}

#[test]
fn a_pong_is_the_receipt_and_lines_keep_their_pace() {
    let (mut rig, sock) = live(json!({"channels": []}));
    rig.said(sock);
    let id = rig.send("#a", "one\ntwo");
    assert_eq!(rig.said(sock), "PRIVMSG #a :one\r\nPRIVMSG #a :two\r\nPING :r1\r\n");
    assert_eq!(rig.outcome(), None);
    rig.hears(sock, ":s PONG s :r1\r\n");
    assert_eq!(rig.outcome().expect("sent").0, id);
    rig.send("#a", &"x\n".repeat(8));
    assert_eq!(rig.said(sock).lines().count(), 2, "the burst is used up");
    rig.after_ms(limits::IRC_LINE_EVERY_MS * 3);
    assert_eq!(rig.said(sock).lines().count(), 3);
    rig.after_ms(limits::IRC_LINE_EVERY_MS * 9);
    assert!(rig.said(sock).ends_with("PRIVMSG #a :x\r\nPING :w1\r\n"), "the window is full");
    rig.after_ms(limits::IRC_LINE_EVERY_MS * 9);
    assert_eq!(rig.said(sock), "");
    rig.hears(sock, ":s PONG s :w1\r\n");
    assert_eq!(rig.said(sock), "PRIVMSG #a :x\r\nPING :r2\r\n");
    rig.hears(sock, ":s 404 bot #a :Cannot send\r\n:s PONG s :r2\r\n");
    let (_, outcome) = rig.outcome().expect("settled");
    assert_eq!(outcome.expect_err("refused").retry, Retry::No);
}

#[test]
fn a_lost_connection_gives_messages_back_and_comes_again() {
    let (mut rig, sock) = live(json!({}));
    rig.send("#a", "hi");
    rig.closed(sock, None, "reset");
    let (_, outcome) = rig.outcome().expect("given back");
    assert_eq!(outcome.expect_err("not sent").retry, Retry::Later);
    assert!(matches!(rig.state(), State::Waiting { .. }));
    rig.send("#a", "later");
    assert!(rig.outcome().expect("refused").1.is_err());
    rig.after_ms(limits::CHANNEL_BACKOFF_MS);
    rig.tcp("h", 6697, true);
}

#[test]
fn a_half_open_connection_is_noticed() {
    let (mut rig, sock) = live(json!({}));
    rig.said(sock);
    rig.after_ms(limits::IRC_PING_MS);
    assert!(rig.said(sock).contains("PING :alive"));
    rig.after_ms(limits::IRC_PONG_MS);
    assert_eq!(rig.let_go(sock), Some(0));
    assert!(matches!(rig.state(), State::Waiting { .. }));
}

#[test]
fn an_answer_goes_to_the_person_and_not_to_the_nick() {
    let (mut rig, sock) = live(json!({"channels": []}));
    rig.send("al!u@host", "hi");
    assert_eq!(rig.said(sock), "USERHOST al\r\n");
    rig.hears(sock, ":s 302 bot :al=+v@elsewhere\r\n");
    let (_, outcome) = rig.outcome().expect("settled");
    assert!(outcome.expect_err("refused").what.contains("somebody else"));
    rig.send("al!u@host", "hi");
    rig.said(sock);
    rig.hears(sock, ":s 302 bot :Al=+u@host\r\n");
    assert!(rig.said(sock).starts_with("PRIVMSG al :hi\r\n"));
}

#[test]
fn our_nick_is_asked_for_until_it_is_ours_again() {
    let mut rig = rig(json!({"nickserv": {"password": "ns"}, "channels": []}));
    let sock = rig.tcp("h", 6697, true);
    rig.opened(sock);
    rig.said(sock);
    rig.hears(sock, ":srv 433 * bot :in use\r\n:srv 001 bot_ :Welcome\r\n");
    assert_eq!(rig.said(sock), "NICK bot_\r\nPRIVMSG NickServ :GHOST bot ns\r\n");
    rig.after_ms(limits::IRC_GHOST_MS);
    assert_eq!(rig.said(sock), "NICK bot\r\n");
    rig.hears(sock, ":srv 433 bot_ bot :in use\r\n");
    assert_eq!(rig.said(sock), "", "not at once");
    rig.hears(sock, ":bot!thief@x QUIT :bye\r\n");
    rig.after_ms(1);
    assert_eq!(rig.said(sock), "NICK bot\r\n");
    rig.hears(sock, ":bot_!u@h NICK :bot\r\n");
    assert_eq!(rig.said(sock), "PRIVMSG NickServ :IDENTIFY ns\r\n");
    assert_eq!(&*rig.me.name, "bot");
    rig.after_ms(limits::IRC_REGAIN_MS / 2);
    assert!(!rig.said(sock).contains("NICK"));
    // Services may rename whoever does not identify in time.
    rig.hears(sock, ":bot!u@h NICK :Guest1\r\n");
    rig.after_ms(limits::IRC_REGAIN_MS);
    assert!(rig.said(sock).contains("NICK bot\r\n"));
}

#[test]
fn whoever_a_netsplit_took_is_waited_for() {
    let (mut rig, sock) = live(json!({"channels": []}));
    rig.hears(sock, ":Al!u@host PRIVMSG bot :hello\r\n");
    rig.message().expect("a message");
    rig.said(sock);
    rig.hears(sock, ":Al!u@host QUIT :a.net b.net\r\n");
    rig.send("Al!u@host", "hi");
    assert_eq!(rig.said(sock), "USERHOST Al\r\n", "heard of before, but gone since");
    rig.hears(sock, ":s 302 bot :\r\n");
    let (_, outcome) = rig.outcome().expect("settled");
    assert_eq!(outcome.expect_err("away").retry, Retry::Later);
    // Gone between our question and our line.
    rig.send("Al!u@host", "hi");
    rig.hears(sock, ":s 302 bot :Al=+u@host\r\n:s 401 bot Al :No such nick\r\n");
    rig.hears(sock, ":s PONG s :r3\r\n");
    let (_, outcome) = rig.outcome().expect("settled");
    assert_eq!(outcome.expect_err("away").retry, Retry::Later);
}

#[test]
fn a_server_that_sends_us_away_is_not_run_into() {
    let (mut rig, sock) = live(json!({}));
    rig.hears(sock, "ERROR :Closing Link: bot[h] (Throttled: Reconnecting too fast)\r\n");
    let State::Waiting { until, why } = rig.state().clone() else { panic!("{:?}", rig.state()) };
    assert!(
        why.contains("Throttled") && until >= rig.now().time.after_ms(limits::IRC_THROTTLED_MS)
    );
    // Welcome and away again: each pause is longer, until a connection lasts.
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let State::Waiting { until, .. } = rig.state().clone() else { panic!() };
        rig.after_ms(until.ms_since(rig.now().time) + 1);
        let sock = rig.tcp("h", 6697, true);
        rig.opened(sock);
        rig.hears(sock, ":srv 001 bot :Welcome\r\nERROR :Closing Link (bye)\r\n");
        let State::Waiting { until, .. } = rig.state().clone() else { panic!() };
        pauses.push(until.ms_since(rig.now().time));
    }
    assert!(pauses[3] > 2 * limits::CHANNEL_BACKOFF_MS, "{pauses:?}");
}

#[test]
fn what_is_missing_is_named_with_the_command() {
    let of = |value: Value| Irc::new(&Account::new("irc", "default", value)).map(|_| ());
    let error = of(json!({"nick": "n"})).expect_err("no host");
    assert!(error.contains("openclaw config set channels.irc.host"), "{error}");
    assert!(of(json!({"host": "h", "nick": "a b"})).is_err());
    assert!(target("a b").is_err() && target("").is_err() && target("@al").is_ok());
    assert_eq!(target("channel:#x").expect("a target"), Address::chat("#x"));
}

#[test]
fn a_line_without_end_is_no_irc_server() {
    let (mut rig, sock) = live(json!({}));
    rig.hears(sock, &"x".repeat(limits::IRC_LINE + 1));
    assert_eq!(rig.let_go(sock), Some(0));
    assert!(matches!(rig.state(), State::Waiting { .. }));
}

/// Whoever is put out of a room in the middle of a message goes on where the room broke off.
#[test]
fn a_kick_parts_a_message_and_a_join_goes_on_with_it() {
    let (mut rig, sock) = live(json!({"channels": ["#a"]}));
    rig.hears(sock, ":bot!u@h JOIN #a\r\n");
    rig.after_ms(limits::IRC_LINE_EVERY_MS * 9);
    rig.said(sock);
    let id = rig.send("#a", "1\n2\n3\n4\n5\n6");
    assert_eq!(rig.said(sock).lines().count(), 5);
    // It had taken two lines, and the last one has not left.
    rig.hears(sock, ":op!o@h KICK #a bot :out\r\n");
    rig.hears(sock, &":s 404 bot #a :Cannot send to channel\r\n".repeat(3));
    rig.after_ms(limits::IRC_LINE_EVERY_MS);
    assert_eq!(rig.said(sock), "PING :r1\r\n");
    rig.hears(sock, ":s PONG s :r1\r\n");
    assert_eq!(rig.outcome(), None);
    rig.after_ms(limits::IRC_REJOIN_MS);
    assert_eq!(rig.said(sock), "JOIN #a\r\n");
    // What comes meanwhile waits for the room as well.
    let other = rig.send("#a", "7");
    assert_eq!(rig.said(sock), "");
    rig.hears(sock, ":bot!u@h JOIN #a\r\n");
    rig.after_ms(limits::IRC_LINE_EVERY_MS * 9);
    let said = rig.said(sock);
    let line = |n: u32| format!("PRIVMSG #a :{n}\r\n");
    let all =
        format!("{}{}{}{}PING :r1\r\n{}PING :r2\r\n", line(3), line(4), line(5), line(6), line(7));
    assert_eq!(said, all);
    rig.hears(sock, ":s PONG s :r1\r\n:s PONG s :r2\r\n");
    assert!(matches!(rig.outcome(), Some((sent, Ok(_))) if sent == id));
    assert!(matches!(rig.outcome(), Some((sent, Ok(_))) if sent == other));
}

#[test]
fn rooms_that_keep_us_out_are_asked_again_and_say_why() {
    let (mut rig, sock) = live(json!({}));
    rig.said(sock);
    rig.send("#a", "hi");
    assert_eq!(rig.said(sock), "", "not before the server has let us in");
    rig.hears(sock, ":s 473 bot #a :Cannot join channel (+i)\r\n");
    let failure = rig.outcome().expect("given back").1.expect_err("not in");
    assert!(failure.what.contains("not in #a (Cannot join channel (+i))"), "{}", failure.what);
    assert_eq!(failure.retry, Retry::Later);
    rig.send("#a", "hi");
    assert_eq!(rig.outcome().expect("at once").1.expect_err("not in").retry, Retry::Later);
    // Two rooms at once: neither is forgotten.
    rig.hears(sock, ":bot!u@h JOIN #b\r\n:op!o@h KICK #b bot :out\r\n");
    rig.after_ms(limits::IRC_REJOIN_MS);
    let said = rig.said(sock);
    assert!(said.contains("JOIN #a\r\n") && said.contains("JOIN #b\r\n"), "{said}");
    rig.hears(sock, ":bot!u@h JOIN #a\r\n");
    rig.send("#a", "hi");
    assert!(rig.said(sock).contains("PRIVMSG #a :hi\r\n"));
}

/// A room that neither lets us in nor says no.
#[test]
fn a_message_waits_for_a_room_so_long() {
    let (mut rig, sock) = live(json!({}));
    rig.send("#a", "hi");
    rig.after_ms(limits::IRC_PARKED_MS - limits::IRC_PONG_MS);
    rig.hears(sock, ":s PONG s :alive\r\n");
    assert_eq!(rig.outcome(), None);
    rig.hears(sock, ":s PONG s :alive\r\n");
    rig.after_ms(limits::IRC_PONG_MS);
    let failure = rig.outcome().expect("given back").1.expect_err("not in");
    assert!(failure.what.contains("has not let us into #a"), "{}", failure.what);
}

/// Only what was not heard is said again to whom a netsplit took in the middle.
#[test]
fn a_netsplit_parts_a_message_too() {
    let (mut rig, sock) = live(json!({"channels": []}));
    rig.hears(sock, ":al!u@host PRIVMSG bot :hello\r\n");
    rig.said(sock);
    let id = rig.send("al!u@host", "1\n2");
    assert!(rig.said(sock).ends_with("PING :r2\r\n"));
    rig.hears(sock, ":al!u@host QUIT :a.net b.net\r\n:s 401 bot al :No such nick\r\n");
    rig.hears(sock, ":s PONG s :r2\r\n");
    rig.after_ms(limits::IRC_REJOIN_MS);
    assert_eq!(rig.said(sock), "USERHOST al\r\n");
    rig.hears(sock, ":s 302 bot :\r\n");
    rig.after_ms(limits::IRC_REJOIN_MS);
    assert_eq!(rig.said(sock), "USERHOST al\r\n");
    rig.hears(sock, ":s 302 bot :al=+u@host\r\n");
    assert_eq!(rig.said(sock), "PRIVMSG al :2\r\nPING :r2\r\n");
    rig.hears(sock, ":s PONG s :r2\r\n");
    assert!(matches!(rig.outcome(), Some((sent, Ok(_))) if sent == id));
}

/// A goodbye takes for sent what has just left, and only from a server that answers.
#[test]
fn a_goodbye_knows_what_was_sent() {
    for (ms, sent) in [(0, true), (limits::IRC_GOODBYE_MS, false)] {
        let (mut rig, sock) = live(json!({"channels": []}));
        rig.send("al", "hi");
        rig.after_ms(ms);
        rig.on(ChannelInput::Stop);
        let outcome = rig.outcome().expect("settled").1;
        assert_eq!(outcome.is_ok(), sent, "after {ms} ms");
        assert!(rig.said(sock).ends_with("QUIT :leaving\r\n"));
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_looked_at_again() {
    let mut rig = rig(json!({}));
    let sock = rig.tcp("h", 6697, true);
    let error = crate::driver::DialError::Untrusted("expired".into());
    let trouble = crate::channels::Trouble::of_dial(&error);
    rig.on(ChannelInput::Failed { sock, trouble });
    assert!(matches!(rig.state(), State::Waiting { why, .. } if why.contains("SSL_CERT_FILE")));
    rig.after_ms(limits::CHANNEL_DISTRUST_MS);
    rig.tcp("h", 6697, true);
}
