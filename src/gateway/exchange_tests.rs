//! Exchanges on a gateway whose driver is the test itself.

use super::super::fuzz::{Memory, boot};
use super::*;
use crate::config::AuthMode;
use crate::driver::{Core, Input, Now, Time};
use std::cell::RefCell;

type Heard = (u32, Result<(u16, Vec<u8>, bool, Option<String>), ExchangeError>);

thread_local! {
    static HEARD: RefCell<Vec<Heard>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn heard(number: u32, result: Result<Response, ExchangeError>) {
    let result =
        result.map(|it| (it.status, it.body, it.truncated, it.url.map(|url| url.to_string())));
    HEARD.with(|list| list.borrow_mut().push((number, result)));
}

struct Rig {
    gateway: Gateway,
    fx: Effects,
    now: Now,
    slots: u32,
}

impl Rig {
    fn new() -> Self {
        HEARD.with(|list| list.borrow_mut().clear());
        let now = Now { time: Time(1), wall_ms: 1_795_000_000_000 };
        let gateway = boot(0, AuthMode::None, &Memory::default(), now);
        Self { gateway, fx: Effects::new(), now, slots: 0 }
    }

    fn fetch(&mut self, url: &str, body: BodyBound, redirects: u32) -> ExchangeId {
        let fetch = FetchUrl {
            url: Url::parse(url).expect("a URL"),
            headers: vec![("A".into(), "1".into()), ("X-Own".into(), "2".into())],
            plain: 1,
            body,
            timeout_ms: 5_000,
            redirects,
            reach: Reach::default(),
            proxy: None,
            sink: None,
            purpose: Purpose::Test(7),
        };
        self.gateway.fetch_url(fetch, &mut self.fx).expect("begun")
    }

    /// The dial that was asked for, connected; and what was sent on it.
    fn connect(&mut self) -> (ConnId, Target, String) {
        let mut dials = self.fx.drain().filter_map(|effect| match effect {
            Effect::Dial { dial, target, .. } => Some((dial, target)),
            _ => None,
        });
        let (dial, target) = dials.next().expect("a dial");
        drop(dials);
        let conn = ConnId { slot: self.slots, generation: 0 };
        self.slots += 1;
        self.on(Input::Dialed { dial, result: Ok(conn) });
        let sent = self.fx.drain().find_map(|effect| match effect {
            Effect::Send { conn: to, bytes } if to == conn => String::from_utf8(bytes).ok(),
            _ => None,
        });
        (conn, target, sent.expect("the request"))
    }

    fn on(&mut self, input: Input<'_>) {
        self.gateway.on(self.now, input, &mut self.fx);
    }

    fn aborted(&mut self, conn: ConnId) -> bool {
        self.fx.drain().any(|effect| effect == Effect::Abort { conn })
    }

    fn heard(&self) -> Vec<Heard> {
        assert!(self.gateway.idle().exchanges == 0 && self.gateway.idle().held == 0);
        HEARD.with(|list| std::mem::take(&mut *list.borrow_mut()))
    }
}

const BOUND: BodyBound = BodyBound { max: 10, cut: false };

#[test]
fn an_answer_comes_in_pieces_and_the_connection_is_let_go() {
    let mut rig = Rig::new();
    rig.fetch("http://a.example/x?y=1", BOUND, 0);
    let (conn, target, sent) = rig.connect();
    assert!(target.public_only && target.host == "a.example");
    assert!(sent.starts_with("GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\n"), "{sent}");
    assert!(sent.contains("Accept-Encoding: identity\r\n") && sent.contains("X-Own: 2"), "{sent}");
    for piece in ["HTTP/1.1 200 OK\r\nContent-Le", "ngth: 10\r\n\r\n01234", "56789"] {
        rig.on(Input::Received { conn, bytes: piece.as_bytes() });
    }
    assert!(rig.aborted(conn));
    let url = Some("http://a.example/x?y=1".to_owned());
    assert_eq!(rig.heard(), [(7, Ok((200, b"0123456789".to_vec(), false, url)))]);
    assert_eq!(rig.gateway.idle().conns, 0);
}

#[test]
fn a_body_over_its_bound_is_cut_or_fails() {
    for cut in [true, false] {
        let mut rig = Rig::new();
        rig.fetch("http://a.example/", BodyBound { max: 4, cut }, 0);
        let (conn, ..) = rig.connect();
        rig.on(Input::Received { conn, bytes: b"HTTP/1.1 200 OK\r\n\r\n01234567" });
        assert!(rig.aborted(conn));
        let want = match cut {
            true => Ok((200, b"0123".to_vec(), true, Some("http://a.example/".to_owned()))),
            false => Err(ExchangeError::TooLarge(4)),
        };
        assert_eq!(rig.heard(), [(7, want)]);
    }
}

#[test]
fn redirects_are_followed_checked_and_counted() {
    let mut rig = Rig::new();
    let hop = |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n\r\n");
    rig.fetch("http://a.example/x/y", BOUND, 2);
    let (conn, _, sent) = rig.connect();
    assert!(sent.contains("X-Own"));
    rig.on(Input::Received { conn, bytes: hop("../z").as_bytes() });
    let (conn, target, sent) = rig.connect();
    assert!(sent.starts_with("GET /z HTTP") && sent.contains("X-Own"), "{sent}");
    assert!(target.public_only);
    rig.on(Input::Received { conn, bytes: hop("https://b.example").as_bytes() });
    let (conn, target, sent) = rig.connect();
    assert!(target.tls && target.public_only && target.host == "b.example");
    assert!(sent.contains("A: 1") && !sent.contains("X-Own"), "not to another server: {sent}");
    rig.on(Input::Received { conn, bytes: hop("/again").as_bytes() });
    assert_eq!(rig.heard(), [(7, Err(ExchangeError::Redirects(2)))]);
    for (to, why) in [("ftp://a/", UrlError::Scheme), ("http://u:p@a/", UrlError::Userinfo)] {
        rig.fetch("http://a.example/", BOUND, 2);
        let (conn, ..) = rig.connect();
        rig.on(Input::Received { conn, bytes: hop(to).as_bytes() });
        assert_eq!(rig.heard(), [(7, Err(ExchangeError::Location(why)))]);
    }
}

#[test]
fn failures_deadlines_and_owners_that_go() {
    let mut rig = Rig::new();
    rig.fetch("http://a.example/", BOUND, 0);
    let forbidden = DialError::Forbidden(Ipv4Addr::LOCALHOST.into());
    let dial = rig.fx.drain().find_map(|effect| match effect {
        Effect::Dial { dial, .. } => Some(dial),
        _ => None,
    });
    rig.on(Input::Dialed { dial: dial.expect("a dial"), result: Err(forbidden.clone()) });
    assert_eq!(rig.heard(), [(7, Err(ExchangeError::Dial(forbidden)))]);

    rig.fetch("http://a.example/", BOUND, 0);
    let (conn, ..) = rig.connect();
    rig.on(Input::Received { conn, bytes: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab" });
    assert_eq!(rig.gateway.idle().held, 2, "what is held is counted");
    rig.on(Input::Ended { conn });
    let broken = ExchangeError::Http(ClientError::Truncated);
    assert_eq!(rig.heard(), [(7, Err(broken))]);

    rig.fetch("http://a.example/", BOUND, 0);
    let (conn, ..) = rig.connect();
    rig.now.time = rig.now.time.after_ms(5_000);
    rig.on(Input::Wake);
    assert!(rig.aborted(conn));
    assert_eq!(rig.heard(), [(7, Err(ExchangeError::Timeout(5)))]);

    let id = rig.fetch("http://a.example/", BOUND, 0);
    let (conn, ..) = rig.connect();
    rig.gateway.cancel_exchange(id, &mut rig.fx);
    assert!(rig.aborted(conn));
    rig.now.time = rig.now.time.after_ms(60_000);
    rig.on(Input::Wake);
    assert_eq!(rig.heard(), []);
}

#[test]
fn so_many_at_once_and_no_more() {
    let mut rig = Rig::new();
    let target = Target { host: "a".into(), port: 80, tls: false, public_only: false, proxy: None };
    let exchange = || Exchange {
        target: target.clone(),
        request: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        body: BOUND,
        timeout_ms: 1_000,
        purpose: Purpose::Test(1),
    };
    for _ in 0..limits::EXCHANGES {
        rig.gateway.exchange(exchange(), &mut rig.fx).expect("room");
    }
    let refused = rig.gateway.exchange(exchange(), &mut rig.fx);
    assert_eq!(refused, Err(ExchangeError::Busy));
    rig.gateway.cancel_exchanges(&mut rig.fx);
    assert_eq!(rig.heard(), []);
}

#[test]
fn hosts_are_allowed_and_blocked_by_name() {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let reach = Reach {
        allowed: list(&["internal.example."]),
        blocked: list(&["Bad.example", "*.ads.example"]),
        ..Reach::default()
    };
    assert_eq!(reach.public_only("a.example", 443), Ok(true));
    assert_eq!(reach.public_only("internal.example", 443), Ok(false));
    assert_eq!(reach.public_only("sub.internal.example", 443), Ok(true));
    assert_eq!(reach.public_only("ads.example", 443), Ok(true));
    for host in ["bad.example", "bad.example.", "x.ads.example", "x.y.ads.example"] {
        assert!(matches!(reach.public_only(host, 443), Err(ExchangeError::Blocked(_))), "{host}");
    }
    let only = Reach { only: list(&["*.cdn.example"]), private: true, ..Reach::default() };
    assert_eq!(only.public_only("a.cdn.example", 443), Ok(false));
    assert!(only.public_only("cdn.example", 443).is_err());
}
