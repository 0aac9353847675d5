//! The rules are noticed, and those who keep them are served.

use super::*;
use crate::sim::peers::fake::perform;
use std::collections::VecDeque;

/// A server, and what it said to its connections.
struct Rig {
    irc: Irc,
    now: Time,
    said: BTreeMap<u64, VecDeque<String>>,
}

impl Rig {
    fn new(kind: u64) -> Self {
        let mut rig = Self { irc: Irc::new(0), now: Time(1_000_000), said: BTreeMap::new() };
        rig.act(json!({"act": "door", "kind": kind, "seed": 1}));
        (rig.irc.door.cookie, rig.irc.door.flood) = (false, Flood::Hybrid);
        rig
    }

    fn act(&mut self, act: Value) {
        perform(&mut self.irc, self.now, &act).expect("a known act");
        self.collect();
    }

    fn collect(&mut self) {
        for (conn, line) in self.irc.desk.taken() {
            let text = match line {
                Line::Text(text) => text.trim_end().to_owned(),
                other => format!("{other:?}"),
            };
            self.said.entry(conn).or_default().push_back(text);
        }
    }

    fn after_ms(&mut self, ms: u64) {
        let end = self.now.after_ms(ms);
        while let Some(due) = self.irc.deadline().filter(|due| *due <= end) {
            self.now = due.max(self.now.after_ms(1));
            self.irc.tick(self.now);
            self.collect();
        }
        self.now = end;
    }

    fn open(&mut self) -> u64 {
        let conn = self.irc.desk.number();
        self.irc.desk.seat(conn);
        self.irc.opened(self.now, conn);
        conn
    }

    /// What is answered to some lines.
    fn says(&mut self, conn: u64, lines: &str) -> String {
        self.said.remove(&conn);
        self.irc.bytes(self.now, conn, lines.replace('\n', "\r\n").as_bytes());
        self.collect();
        self.said.remove(&conn).map(|all| Vec::from(all).join("\n")).unwrap_or_default()
    }

    fn registered(&mut self) -> u64 {
        let conn = self.open();
        let answer = self.says(conn, "NICK bot\nUSER bot 0 * :Bot\n");
        assert!(answer.contains(" 001 bot :") && answer.contains(" 376 bot :"), "{answer}");
        conn
    }

    fn broken(&mut self) -> String {
        std::mem::take(&mut self.irc.desk.broken).join("; ")
    }
}

#[test]
fn whoever_keeps_the_rules_is_served() {
    let mut rig = Rig::new(0);
    let conn = rig.registered();
    let answer = rig.says(conn, "JOIN #a\nUSERHOST al\n");
    assert!(answer.contains("JOIN #a") && answer.contains("366 bot #a"), "{answer}");
    assert!(answer.contains("302 bot :Al=+~al@al.example.com"), "{answer}");
    let answer = rig.says(conn, "PRIVMSG #a :one\nPRIVMSG Al :two\nPING :x\n");
    assert!(answer.contains("PONG irc.example.org :x"), "{answer}");
    let posted: Vec<_> = rig.irc.desk.posted.iter().map(|it| (&*it.to, &*it.text)).collect();
    assert_eq!(posted, [("#a", "one"), ("al", "two")]);
    rig.act(json!({"act": "message", "from": "bo", "room": "#a", "text": "w1"}));
    let heard = rig.said.remove(&conn).expect("words");
    assert!(heard.iter().any(|line| line.starts_with(":bo!~bo@bo.example.com PRIVMSG #a :")));
    rig.after_ms(9_000);
    let answer = rig.says(conn, "QUIT :bye\n");
    assert!(answer.starts_with("ERROR :Closing Link: bot") && answer.ends_with("End"), "{answer}");
    assert_eq!(rig.broken(), "");
}

#[test]
fn doors_want_their_greeting() {
    let mut rig = Rig::new(1);
    let conn = rig.open();
    assert!(rig.says(conn, "NICK bot\nUSER bot 0 * :Bot\n").contains("464 bot :Password"));
    let conn = rig.open();
    let hello = format!("PASS {IRC_PASSWORD}\nNICK bot\nUSER bot 0 * :Bot\n");
    assert!(rig.says(conn, &hello).contains("001 bot"));
    assert_eq!(rig.broken(), "");
    let conn = rig.open();
    rig.says(conn, "NICK bot2\nPASS x\nJOIN #a\n");
    let broken = rig.broken();
    assert!(broken.contains("PASS behind") && broken.contains("before the welcome: JOIN"));

    let mut rig = Rig::new(2);
    let conn = rig.open();
    let answer = rig.says(conn, "CAP REQ :sasl\nNICK bot\nUSER bot 0 * :Bot\n");
    assert!(answer.contains("ACK :sasl") && !answer.contains("001"), "{answer}");
    assert!(rig.says(conn, "AUTHENTICATE PLAIN\n").contains("AUTHENTICATE +"));
    assert!(rig.says(conn, "AUTHENTICATE AAAA\n").contains(" 904 "));
    rig.says(conn, "AUTHENTICATE PLAIN\n");
    let login = crate::wire::hash::base64(format!("\0bot\0{IRC_PASSWORD}").as_bytes());
    assert!(rig.says(conn, &format!("AUTHENTICATE {login}\n")).contains(" 903 "));
    assert!(rig.says(conn, "CAP END\n").contains("001 bot"));
    assert_eq!(rig.broken(), "");

    let mut rig = Rig::new(0);
    rig.irc.door.cookie = true;
    let conn = rig.open();
    let answer = rig.says(conn, "NICK bot\nUSER bot 0 * :Bot\n");
    let cookie = answer.strip_prefix(":irc.example.org NOTICE").unwrap_or(&answer);
    let cookie = cookie.rsplit("PING :").next().expect("a cookie").to_owned();
    assert!(!answer.contains("001"));
    assert!(rig.says(conn, &format!("PONG :{cookie}\n")).contains("001 bot"));
}

#[test]
fn rules_that_are_broken_are_noticed() {
    let long = format!("PRIVMSG Al :{}\n", "x".repeat(500));
    let cut = format!("PRIVMSG Al :{}\n", "x".repeat(470));
    let cases: [(&str, &str); 9] = [
        (&long, "a line of 514 bytes"),
        (&cut, "others see 512 bytes of"),
        ("PRIVMSG Al :a\rQUIT\n", "inside of a line"),
        ("PRIVMSG #b :hi\n", "which it is not in"),
        ("NOTICE Al :hi\n", "a notice, which nobody asked for"),
        ("NICK 1bot\n", "the nick"),
        ("PRIVMSG Al :\n", "without words"),
        ("FLY\n", "an unknown command"),
        ("PONG :what\n", "and our PING was None"),
    ];
    for (line, what) in cases {
        let mut rig = Rig::new(0);
        let conn = rig.registered();
        rig.says(conn, line);
        let broken = rig.broken();
        assert!(broken.contains(what), "{line:?}: {broken}");
    }
    let mut rig = Rig::new(0);
    let conn = rig.registered();
    rig.irc.bytes(rig.now, conn, b"PING x\n");
    assert!(rig.broken().contains("does not end in CR LF"));
    // Repeating what a notice says is answering it.
    rig.act(json!({"act": "notice", "from": "bo", "text": "n123"}));
    rig.says(conn, "PRIVMSG bo :you said n123\n");
    assert!(rig.broken().contains("a notice is answered"));
}

#[test]
fn who_is_too_fast_waits_and_then_is_killed() {
    for (flood, handled, bytes) in [(Flood::Hybrid, 5, 2_560), (Flood::Penalty, 5, 1_000)] {
        let mut rig = Rig::new(0);
        rig.irc.door.flood = flood;
        let conn = rig.registered();
        rig.after_ms(60_000);
        let answer = rig.says(conn, &"PING x\n".repeat(9));
        assert_eq!(answer.matches("PONG").count(), handled, "{flood:?}: {answer}");
        rig.after_ms(30_000);
        assert_eq!(rig.said.remove(&conn).expect("the rest").len(), 9 - handled);
        assert_eq!(rig.broken(), "");
        let answer = rig.says(conn, &"PING xxxxxxxxx\n".repeat(20 + bytes / 16));
        assert!(answer.contains("(Excess Flood)"), "{answer}");
        assert!(rig.broken().contains("an excess flood"));
    }
}

#[test]
fn a_ghost_keeps_its_nick_until_the_server_notices() {
    let mut rig = Rig::new(0);
    let first = rig.registered();
    rig.says(first, "JOIN #a\n");
    rig.act(json!({"act": "vanish", "seconds": 30}));
    rig.act(json!({"act": "message", "from": "bo", "room": "#a", "text": "w1"}));
    assert_eq!(rig.irc.desk.forgotten, ["w1"]);
    let second = rig.open();
    let answer = rig.says(second, "NICK bot\nUSER bot 0 * :Bot\n");
    assert!(answer.contains("433 * bot :"), "{answer}");
    assert!(rig.says(second, "NICK bot_\n").contains("001 bot_"));
    rig.says(second, "JOIN #a\n");
    rig.after_ms(31_000);
    let heard = rig.said.remove(&second).expect("news");
    assert!(heard.iter().any(|line| line.starts_with(":bot!~bot@") && line.contains("QUIT")));
    assert!(rig.says(second, "NICK bot\n").contains("NICK :bot"));
    assert_eq!(rig.broken(), "");
    // What the ghost's client still said reached nobody.
    rig.irc.bytes(rig.now, first, b"PRIVMSG #a :w2\r\n");
    assert!(rig.irc.desk.posted.is_empty());
}

#[test]
fn receipts_that_may_not_be_read_are_in_doubt() {
    let mut rig = Rig::new(0);
    let conn = rig.registered();
    rig.says(conn, "PRIVMSG Al :1\nPING :a\n");
    rig.after_ms(1_000);
    rig.says(conn, "PRIVMSG Al :2\nPING :b\nPRIVMSG Al :3\n");
    rig.irc.gone(rig.now, conn, None);
    assert_eq!(Vec::from_iter(rig.irc.desk.doubtful.clone()), [1, 2]);
}

#[test]
fn a_ping_must_be_answered_and_one_connection_is_enough() {
    let mut rig = Rig::new(0);
    let conn = rig.registered();
    rig.after_ms(PING_MS + PONG_MS);
    assert!(rig.broken().contains("a PING of the server was not answered"));
    assert!(rig.said.remove(&conn).expect("news").iter().any(|it| it.contains("Ping timeout")));
    let mut rig = Rig::new(0);
    rig.registered();
    let other = rig.open();
    rig.says(other, "NICK bot_\nUSER bot 0 * :Bot\n");
    rig.after_ms(1);
    rig.irc.tick(rig.now);
    rig.after_ms(GRACE_MS + 1_000);
    assert!(rig.broken().contains("2 connections of one bot"));
}
