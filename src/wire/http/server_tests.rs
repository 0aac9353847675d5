//! Tests of the HTTP server's side.

use super::*;
use crate::wire::http::Method;

fn first(bytes: &[u8]) -> Option<Event> {
    let mut server = Server::new();
    server.push(bytes);
    server.next()
}

fn status(bytes: &[u8]) -> u16 {
    match first(bytes) {
        Some(Event::Refused(refusal)) => refusal.status,
        Some(Event::Head(_)) => 0,
        other => panic!("{other:?} for {}", bytes.escape_ascii()),
    }
}

fn head(bytes: &[u8]) -> Head {
    match first(bytes) {
        Some(Event::Head(head)) => head,
        other => panic!("{other:?} for {}", bytes.escape_ascii()),
    }
}

/// A GET with more header lines.
fn with(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n").into_bytes()
}

const PIPELINE: &[u8] = b"\r\nGET /a?b=1 HTTP/1.1\r\nHost: h\r\n\r\n\
    POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello\
    PUT /skipped HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyz\r\n\
    PUT /chunks HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n\
    POST /d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n\
    3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: u\r\n\r\n\
    GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn every_split_gives_the_same() {
    let want = trace(&[PIPELINE], 1000);
    assert_eq!(want.1, Phase::Closed);
    let heads = want.0.iter().filter(|line| line.starts_with("Head")).count();
    assert_eq!((heads, want.0.len()), (6, 10), "{:#?}", want.0);
    for at in 0..=PIPELINE.len() {
        let (first, second) = PIPELINE.split_at(at);
        assert_eq!(trace(&[first, second], 1000), want, "cut at {at}");
    }
    let single: Vec<&[u8]> = PIPELINE.chunks(1).collect();
    assert_eq!(trace(&single, 1000), want);
    fuzz(PIPELINE);
}

#[test]
fn a_request() {
    let get = head(
        b"GET /v1/models?x=1?2 HTTP/1.1\r\nHost: localhost:1\r\nauthorization: bearer  tok \r\n\
          X-A: 1\r\nx-a:2\r\nEmpty:\r\n\r\n",
    );
    assert_eq!((get.path(), get.query()), ("/v1/models", Some("x=1?2")));
    assert_eq!(get.method, Method::Get);
    assert_eq!(get.bearer(), Some("tok"));
    assert_eq!(get.headers.get("X-a"), Some("1"));
    assert_eq!(get.headers.get_all("x-A").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(get.headers.only("x-a"), None);
    assert_eq!(get.headers.get("empty"), Some(""));
    assert_eq!(get.headers.len(), 5);
    assert!(get.wants_keep_alive() && !get.http10 && !get.is_upgrade_websocket());

    assert_eq!(head(b"GET http://h:80 HTTP/1.1\r\nHost: H:80\r\n\r\n").target, "/");
    assert_eq!(head(b"GET HTTPS://h?x HTTP/1.1\r\nHost: h\r\n\r\n").target, "/?x");
    assert_eq!(head(b"OPTIONS * HTTP/1.1\r\nHost: [::1]:1\r\n\r\n").target, "*");
    assert_eq!(head(b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n").method, Method::Other("BREW".into()));
    let old = head(b"GET / HTTP/1.0\r\n\r\n");
    assert!(old.http10 && !old.wants_keep_alive());
    assert!(head(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").wants_keep_alive());
    assert!(!head(&with("Connection: x, Close")).wants_keep_alive());
    for two in [
        "Authorization: Bearer a\r\nAuthorization: Bearer b",
        "Authorization: Bearer ",
        "Authorization: Basic x",
    ] {
        assert_eq!(head(&with(two)).bearer(), None);
    }
}

#[test]
fn heads_are_refused() {
    for bad in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a:x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"GET / HTTP/1.1\r\nHost: h\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\n",
        b"GET / HTTP/1.1\r\n Host: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\tc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\x7f\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: \xff\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA(: b\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.2\r\nHost: h\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: h\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / http/1.1\r\nHost: h\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / x HTTP/1.1\r\nHost: h\r\n\r\n",
        b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET x HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /#f HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\x16\x03\x01\x02",
        b" GET / HTTP/1.1\r\n",
        b"\n",
        b"\r\n\r\n\r\n\r\n\r\n",
        b"\rGET",
    ] {
        assert_eq!(status(bad), 400, "{}", bad.escape_ascii());
        fuzz(bad);
    }
    assert_eq!(status(b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"), 501);
    assert_eq!(status(&with("Expect: 200-maybe")), 417);
    assert_eq!(status(&with("Expect: 100-continue, x")), 417);
}

#[test]
fn smuggling_is_refused() {
    for lines in [
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5_0",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\r\n chunked",
    ] {
        let mut bytes = with(lines);
        bytes.extend_from_slice(b"0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(status(&bytes), 400, "{lines}");
        let mut server = Server::new();
        server.push(&bytes);
        assert!(matches!(server.next(), Some(Event::Refused(_))));
        assert!(server.must_close() && !server.keep_alive() && !server.wants_input());
        server.push(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!((server.next(), server.buffered()), (None, 0));
        fuzz(&bytes);
    }
    assert_eq!(status(b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    assert_eq!(status("GET /\u{4ee} HTTP/1.1\r\nHost: h\r\n\r\n".as_bytes()), 400);
}

#[test]
fn head_limits() {
    let sized = |size: usize| {
        let frame = with("A: ").len();
        with(&format!("A: {}", "x".repeat(size - frame)))
    };
    assert_eq!(status(&sized(15_000)), 0);
    assert_eq!(status(&sized(limits::HTTP_HEAD)), 0);
    assert_eq!(status(&sized(limits::HTTP_HEAD + 1)), 431);
    assert_eq!(status(&sized(17_000)), 431);
    // One is the Host.
    let many = |count: usize| with(vec!["A: b"; count - 1].join("\r\n").as_str());
    assert_eq!(status(&many(limits::HTTP_HEADERS)), 0);
    assert_eq!(status(&many(limits::HTTP_HEADERS + 1)), 431);
    let target = |size: usize| {
        format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(size - 1)).into_bytes()
    };
    assert_eq!(status(&target(limits::HTTP_TARGET)), 0);
    assert_eq!(status(&target(limits::HTTP_TARGET + 1)), 414);
    assert_eq!(status(&target(12_000)), 414);
    // Refused while it is still coming, and never kept.
    let mut server = Server::new();
    server.push(&target(12_000)[..9_000]);
    assert!(matches!(server.next(), Some(Event::Refused(Refusal { status: 414, .. }))));
    assert_eq!(server.buffered(), 0);
    for bytes in [sized(limits::HTTP_HEAD), sized(limits::HTTP_HEAD + 1), target(9_000)] {
        fuzz(&bytes);
    }
}

#[test]
fn bodies() {
    let post = |lines: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n{body}").into_bytes()
    };
    let read = |bytes: &[u8], max| {
        let mut server = Server::new();
        server.push(bytes);
        assert!(matches!(server.next(), Some(Event::Head(_))));
        server.read_body(max);
        server.next()
    };
    let refused = |event| match event {
        Some(Event::Refused(refusal)) => refusal.status,
        other => panic!("{other:?}"),
    };
    assert_eq!(read(&post("Content-Length: 2", "ok"), 2), Some(Event::Body(b"ok".to_vec())));
    assert_eq!(read(&post("Content-Length: 0", ""), 0), Some(Event::Body(vec![])));
    assert_eq!(read(&post("X: y", ""), 0), Some(Event::Body(vec![])));
    assert_eq!(refused(read(&post("Content-Length: 3", ""), 2)), 413);
    assert_eq!(refused(read(&post("Content-Length: 9223372036854775807", ""), 2)), 413);
    assert_eq!(refused(read(&post("Transfer-Encoding: chunked", "3\r\n"), 2)), 413);
    assert_eq!(refused(read(&post("Transfer-Encoding: chunked", "x"), 2)), 400);
    let trailers = format!("0\r\n{}", "a: b\r\n".repeat(limits::HTTP_TRAILERS));
    assert_eq!(refused(read(&post("Transfer-Encoding: chunked", &trailers), 2)), 431);
    // A great announcement costs nothing.
    let mut server = Server::new();
    server.push(&post("Content-Length: 1000000000", "x"));
    server.next();
    server.read_body(usize::MAX);
    assert_eq!((server.next(), server.buffered()), (None, 1));
    let State::Body { content, .. } = &server.state else { panic!() };
    assert!(content.capacity() < 100);
    assert_eq!(server.phase(), Phase::Body);
    assert!(!server.keep_alive());
    assert_eq!(server.timed_out().status, 408);
    assert_eq!(server.phase(), Phase::Closed);
}

#[test]
fn expectations() {
    let expecting =
        b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
    let mut server = Server::new();
    server.push(expecting);
    assert!(matches!(server.next(), Some(Event::Head(_))));
    assert_eq!(server.next(), None);
    server.read_body(10);
    assert_eq!(server.next(), Some(Event::Continue));
    assert_eq!(server.next(), None);
    server.push(b"ok");
    assert_eq!(server.next(), Some(Event::Body(b"ok".to_vec())));
    assert!(server.keep_alive() && server.response_done());
    // Not when the body is already coming, nor when there is none, nor to 1.0.
    for bytes in [
        [&expecting[..], b"o"].concat(),
        b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n".to_vec(),
        b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n".to_vec(),
    ] {
        let mut server = Server::new();
        server.push(&bytes);
        server.next();
        server.read_body(10);
        assert_ne!(server.next(), Some(Event::Continue));
    }
    // A client that asked and got a final answer may send the body or not: no reuse.
    let mut server = Server::new();
    server.push(expecting);
    server.next();
    server.skip_body();
    assert!(!server.keep_alive() && !server.response_done() && server.must_close());
}

#[test]
fn unwanted_bodies() {
    let put = |length: usize| {
        format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n").into_bytes()
    };
    let mut server = Server::new();
    server.push(&put(10));
    server.next();
    server.skip_body();
    assert!(server.keep_alive());
    server.push(b"01234");
    assert_eq!(server.buffered(), 0);
    assert!(server.response_done());
    assert_eq!(server.phase(), Phase::Body);
    server.push(b"56789GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    let next = server.next();
    assert!(matches!(next, Some(Event::Head(Head { target, .. })) if target == "/2"));

    let mut server = Server::new();
    server.push(&put(limits::HTTP_DISCARD + 1));
    server.next();
    server.skip_body();
    assert!(!server.keep_alive() && !server.response_done());

    let mut server = Server::new();
    server.push(b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    server.next();
    server.skip_body();
    assert!(server.keep_alive() && server.response_done());
    for _ in 0..=limits::HTTP_DISCARD / 1024 {
        server.push(b"400\r\n");
        server.push(&[b'x'; 1024]);
        server.push(b"\r\n");
    }
    assert!(server.must_close() && server.next().is_none());
}

#[test]
fn pipelines_are_bounded_and_answered_in_order() {
    let get = b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut server = Server::new();
    server.push(get);
    server.push(get);
    assert!(matches!(server.next(), Some(Event::Head(_))));
    server.skip_body();
    assert_eq!(server.next(), None);
    assert!(server.wants_input());
    while server.buffered() <= limits::HTTP_PIPELINE {
        server.push(get);
    }
    assert!(!server.wants_input());
    let mut served = 0;
    while server.response_done() {
        match server.next() {
            Some(Event::Head(_)) => server.skip_body(),
            None => break,
            other => panic!("{other:?}"),
        }
        served += 1;
    }
    assert_eq!(served, limits::HTTP_PIPELINE / get.len() + 1);
    assert_eq!(server.phase(), Phase::Idle);
    assert_eq!((server.buffered(), server.input.capacity()), (0, 0));
}

#[test]
fn early_answers_and_leaving() {
    let mut server = Server::new();
    server.push(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx");
    server.next();
    server.read_body(10);
    assert_eq!(server.next(), None);
    assert!(!server.keep_alive() && !server.response_done());

    let mut server = Server::new();
    server.push(b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET");
    server.next();
    server.skip_body();
    assert!(server.keep_alive());
    server.close_after_response();
    assert!(!server.keep_alive() && server.buffered() == 0 && !server.response_done());
}

#[test]
fn upgrades_hand_over_the_rest() {
    let upgrade = "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade";
    let mut bytes = with(upgrade);
    bytes.extend_from_slice(b"\x81\x80rest");
    for at in 0..bytes.len() {
        let (one, two) = bytes.split_at(at);
        let mut server = Server::new();
        server.push(one);
        let mut event = server.next();
        let (early, late) = if event.is_some() { (&b""[..], two) } else { (two, &b""[..]) };
        server.push(early);
        event = event.or_else(|| server.next());
        let Some(Event::Head(head)) = event else { panic!() };
        assert!(head.is_upgrade_websocket());
        let mut rest = server.take_rest();
        rest.extend_from_slice(late);
        assert_eq!(rest, b"\x81\x80rest");
        assert!(server.must_close());
    }
    for no in [
        "Upgrade: websocket".to_owned(),
        "Connection: Upgrade".to_owned(),
        format!("{upgrade}\r\nContent-Length: 1"),
        format!("{upgrade}\r\nTransfer-Encoding: chunked"),
    ] {
        assert!(!head(&with(&no)).is_upgrade_websocket());
    }
}

#[test]
fn phases() {
    let mut server = Server::new();
    assert_eq!(server.phase(), Phase::Idle);
    server.push(b"\r\n");
    assert_eq!(server.phase(), Phase::Idle);
    server.push(b"GET / HT");
    assert_eq!(server.phase(), Phase::Head);
    server.push(b"TP/1.1\r\nHost: h\r\n\r\n");
    assert!(server.next().is_some());
    assert_eq!(server.phase(), Phase::Responding);
    server.read_body(0);
    assert_eq!(server.next(), Some(Event::Body(vec![])));
    server.response_done();
    assert_eq!(server.phase(), Phase::Idle);
    assert_eq!(server.input.capacity(), 0);
}
