//! Tests of the WebSocket codec.

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn receive(max: usize, bytes: &[u8]) -> Vec<Result<Message, Violation>> {
    let mut receiver = Receiver::new(Role::Server, max);
    receiver.push(bytes);
    std::iter::from_fn(|| receiver.next()).collect()
}

/// A masked frame with any first byte.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    binary_masked(&mut out, payload, MASK);
    out[0] = first;
    out
}

fn conversation() -> (Vec<u8>, Vec<Result<Message, Violation>>) {
    let mut bytes = Vec::new();
    text_masked(&mut bytes, "h\u{e4}llo", MASK);
    bytes.extend(raw(0x01, "\u{1F600}".as_bytes().split_at(1).0));
    ping_masked(&mut bytes, b"are you there", MASK);
    bytes.extend(raw(0x00, b""));
    bytes.extend(raw(0x80, "\u{1F600}".as_bytes().split_at(1).1));
    binary_masked(&mut bytes, &[7; 300], MASK);
    pong_masked(&mut bytes, b"", MASK);
    text_masked(&mut bytes, "", MASK);
    close_masked(&mut bytes, 1000, "bye", MASK);
    text_masked(&mut bytes, "ignored", MASK);
    let want = vec![
        Ok(Message::Text("h\u{e4}llo".into())),
        Ok(Message::Ping(b"are you there".to_vec())),
        Ok(Message::Text("\u{1F600}".into())),
        Ok(Message::Binary(vec![7; 300])),
        Ok(Message::Pong(vec![])),
        Ok(Message::Text(String::new())),
        Ok(Message::Close { code: Some(1000), reason: "bye".into() }),
    ];
    (bytes, want)
}

#[test]
fn every_split_gives_the_same() {
    let (bytes, want) = conversation();
    assert_eq!(receive(300, &bytes), want);
    for at in 0..=bytes.len() {
        let (first, second) = bytes.split_at(at);
        let mut receiver = Receiver::new(Role::Server, 300);
        receiver.push(first);
        let mut found: Vec<_> = std::iter::from_fn(|| receiver.next()).collect();
        receiver.push(second);
        found.extend(std::iter::from_fn(|| receiver.next()));
        assert_eq!(found, want, "cut at {at}");
        assert!(receiver.ended());
        assert_eq!(receiver.input.capacity(), 0);
    }
    let mut receiver = Receiver::new(Role::Server, 300);
    bytes.iter().for_each(|byte| receiver.push(&[*byte]));
    let found: Vec<_> = std::iter::from_fn(|| receiver.next()).collect();
    assert_eq!(found, want);
    let mut input = vec![2 * 38];
    input.extend(&bytes);
    fuzz(&input);
}

#[test]
fn an_idle_receiver_holds_nothing() {
    let mut receiver = Receiver::new(Role::Server, 1000);
    for size in [0, 125, 126, 999] {
        receiver.push(&raw(0x82, &vec![1; size]));
        assert_eq!(receiver.next(), Some(Ok(Message::Binary(vec![1; size]))));
        assert_eq!(receiver.next(), None);
        assert_eq!(receiver.buffered(), 0);
        assert_eq!(receiver.input.capacity(), 0);
        assert!(receiver.joining.is_none() && receiver.frame.is_none());
    }
}

#[test]
fn announced_lengths_are_refused_before_the_payload() {
    for length in [65_537u64, 1 << 31, 1 << 63, u64::MAX] {
        let mut bytes = vec![0x82, 0xff];
        bytes.extend(length.to_be_bytes());
        bytes.extend(MASK);
        assert_eq!(receive(65_536, &bytes), [Err(Violation::TooBig)]);
    }
    assert_eq!(Violation::TooBig.close_code(), 1009);
    // The cap counts all fragments.
    let mut bytes = raw(0x02, &[0; 60]);
    bytes.extend(raw(0x80, &[0; 41]));
    assert_eq!(receive(100, &bytes), [Err(Violation::TooBig)]);
    assert_eq!(receive(101, &bytes), [Ok(Message::Binary(vec![0; 101]))]);
    // Another cap holds from the next header on.
    let mut receiver = Receiver::new(Role::Server, 10);
    receiver.set_max(20);
    receiver.push(&raw(0x82, &[0; 20]));
    assert!(matches!(receiver.next(), Some(Ok(Message::Binary(_)))));
}

#[test]
fn faults() {
    let unmasked = |payload: &[u8]| {
        let mut out = Vec::new();
        binary(&mut out, payload);
        out
    };
    let mut inside = raw(0x01, b"a");
    inside.extend(raw(0x81, b"b"));
    let mut long_form = vec![0x82, 0xfe, 0, 1];
    long_form.extend(MASK);
    long_form.push(0);
    let cases: Vec<(Vec<u8>, Violation, u16)> = vec![
        (raw(0xC1, b"x"), Violation::ReservedBits, 1002),
        (raw(0x83, b"x"), Violation::Opcode, 1002),
        (raw(0x8B, b"x"), Violation::Opcode, 1002),
        (unmasked(b"x"), Violation::Mask, 1002),
        (long_form, Violation::LengthForm, 1002),
        (raw(0x09, b"x"), Violation::Control, 1002),
        (raw(0x89, &[0; 126]), Violation::Control, 1002),
        (raw(0x80, b"x"), Violation::Continuation, 1002),
        (inside, Violation::Continuation, 1002),
        (raw(0x88, &[3]), Violation::CloseCode, 1002),
        (raw(0x88, &1005u16.to_be_bytes()), Violation::CloseCode, 1002),
        (raw(0x88, &[3, 0xE8, 0xff]), Violation::NotUtf8, 1007),
        (raw(0x81, &[0xff]), Violation::NotUtf8, 1007),
        (raw(0x81, &[0xe2, 0x82]), Violation::NotUtf8, 1007),
        (raw(0x01, &[0xed, 0xa0]), Violation::NotUtf8, 1007),
    ];
    for (bytes, want, code) in cases {
        assert_eq!(receive(1000, &bytes), [Err(want)], "{bytes:?}");
        assert_eq!(want.close_code(), code);
        let mut receiver = Receiver::new(Role::Server, 1000);
        let mut found = Vec::new();
        for byte in &bytes {
            receiver.push(&[*byte]);
            found.extend(receiver.next());
        }
        assert_eq!(found, [Err(want)]);
        receiver.push(&raw(0x81, b"more"));
        assert_eq!(receiver.next(), None);
        assert_eq!(receiver.buffered(), 0);
    }
    let mut client = Receiver::new(Role::Client, 1000);
    client.push(&raw(0x81, b"x"));
    assert_eq!(client.next(), Some(Err(Violation::Mask)));
}

#[test]
fn fragments_are_counted() {
    let mut receiver = Receiver::new(Role::Server, 1000);
    receiver.push(&raw(0x02, b""));
    let empty = raw(0x00, b"");
    for _ in 1..limits::WS_FRAGMENTS {
        receiver.push(&empty);
        assert_eq!(receiver.next(), None);
    }
    receiver.push(&empty);
    assert_eq!(receiver.next(), Some(Err(Violation::TooManyFragments)));
}

#[test]
fn writers_and_a_client() {
    let mut bytes = Vec::new();
    let long = "x".repeat(70_000);
    text(&mut bytes, &long);
    ping(&mut bytes, &[1; 200]);
    close(&mut bytes, 1008, &"\u{e4}".repeat(100));
    let mut client = Receiver::new(Role::Client, 100_000);
    client.push(&bytes);
    assert_eq!(client.next(), Some(Ok(Message::Text(long))));
    assert_eq!(client.next(), Some(Ok(Message::Ping(vec![1; 125]))));
    let reason = "\u{e4}".repeat(61);
    assert_eq!(client.next(), Some(Ok(Message::Close { code: Some(1008), reason })));
    let mut empty = Vec::new();
    control(&mut empty, Control::Close, b"", None);
    let mut client = Receiver::new(Role::Client, 0);
    client.push(&empty);
    assert_eq!(client.next(), Some(Ok(Message::Close { code: None, reason: String::new() })));
}

/// RFC 6455 section 1.3.
#[test]
fn handshake() {
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    assert_eq!(accept_key(key).as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    for bad in ["", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZ===", "a b=="] {
        assert_eq!(accept_key(bad), None);
    }
    let mut request = Vec::new();
    client_request(&mut request, "h:1", "/ws", key, &[("Origin", "http://h:1")]);
    let mut server = crate::wire::http::server::Server::new();
    server.push(&request);
    let Some(crate::wire::http::server::Event::Head(head)) = server.next() else { panic!() };
    assert!(head.is_upgrade_websocket());
    let accept = check_upgrade(&head).unwrap();
    let mut answer = Vec::new();
    upgrade_response(&mut answer, &accept, &[]);
    let mut client = crate::wire::http::client::Client::new(false);
    client.push(&answer);
    client.push(b"\x81\x00");
    let Some(crate::wire::http::client::ClientEvent::Head { status, headers }) = client.next()
    else {
        panic!()
    };
    assert_eq!(check_answer(status, &headers, key), Ok(()));
    assert_eq!(
        check_answer(status, &headers, "AAAAAAAAAAAAAAAAAAAAAA=="),
        Err(HandshakeError::Accept)
    );
    assert_eq!(check_answer(200, &headers, key), Err(HandshakeError::Status(200)));
    assert_eq!(client.take_rest(), b"\x81\x00");
}
