//! Tests of the HTTP client's side.

use super::*;

fn read(bytes: &[u8]) -> Vec<ClientEvent> {
    let mut client = Client::new(false);
    client.push(bytes);
    std::iter::from_fn(|| client.next()).collect()
}

fn end(bytes: &[u8]) -> Option<ClientEvent> {
    read(bytes).pop()
}

const CHUNKED: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
    HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
    6\r\ndata: \r\n3\r\n1\n\n\r\n0\r\n\r\n";

#[test]
fn every_split_gives_the_same() {
    let (events, data) = trace(false, &[CHUNKED]);
    assert_eq!(data, b"data: 1\n\n");
    assert!(matches!(events[..], [ClientEvent::Head { status: 200, .. }, ClientEvent::End { .. }]));
    for at in 0..=CHUNKED.len() {
        let (first, second) = CHUNKED.split_at(at);
        let found = trace(false, &[first, second]);
        assert_eq!((&found.0, &found.1), (&events, &data), "cut at {at}");
    }
    let single: Vec<&[u8]> = CHUNKED.chunks(1).collect();
    assert_eq!(trace(false, &single), (events, data));
    fuzz(CHUNKED);
    fuzz(&[&[0], CHUNKED].concat());
}

#[test]
fn reuse() {
    let reusable = Some(ClientEvent::End { reusable: true });
    let spent = Some(ClientEvent::End { reusable: false });
    assert_eq!(end(CHUNKED), reusable);
    assert_eq!(end(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), reusable);
    assert_eq!(end(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), reusable);
    assert_eq!(end(b"HTTP/1.1 204 No Content\r\n\r\n"), reusable);
    assert_eq!(end(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nokHTTP"), spent);
    assert_eq!(end(b"HTTP/1.1 200 \r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), spent);
    assert_eq!(end(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"), spent);
    let mut client = Client::new(true);
    client.push(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n");
    assert!(matches!(client.next(), Some(ClientEvent::Head { .. })));
    assert_eq!(client.next(), reusable);
}

#[test]
fn ends_of_the_connection() {
    let after = |bytes: &[u8]| {
        let mut client = Client::new(false);
        client.push(bytes);
        client.eof();
        let last = std::iter::from_fn(|| client.next()).last();
        assert!(client.finished());
        last
    };
    let failed = |error| Some(ClientEvent::Failed(error));
    assert_eq!(after(b""), failed(ClientError::NoResponse));
    assert_eq!(after(b"HTTP/1.1 2"), failed(ClientError::Truncated));
    assert_eq!(
        after(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"),
        failed(ClientError::Truncated)
    );
    assert_eq!(after(b"HTTP/1.1 200 OK\r\n\r\nbody"), Some(ClientEvent::End { reusable: false }));
}

#[test]
fn refuses() {
    let head = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n").into_bytes();
    for (bytes, error) in [
        (b"\x16\x03\x01".to_vec(), ClientError::Malformed),
        (b"SSH-2.0-x\r\n\r\n".to_vec(), ClientError::Malformed),
        (b"HTTP/1.1 200 OK\n\n".to_vec(), ClientError::Malformed),
        (b"HTTP/2.0 200 OK\r\n\r\n".to_vec(), ClientError::Malformed),
        (b"HTTP/1.1 099 No\r\n\r\n".to_vec(), ClientError::Malformed),
        (b"HTTP/1.1 600 No\r\n\r\n".to_vec(), ClientError::Malformed),
        (head("A: b\r\n c"), ClientError::Malformed),
        (head("A : b"), ClientError::Malformed),
        (head("Content-Length: 1\r\nContent-Length: 1"), ClientError::Framing),
        (head("Content-Length: +1"), ClientError::Framing),
        (head("Content-Length: 1\r\nTransfer-Encoding: chunked"), ClientError::Framing),
        (head("Transfer-Encoding: gzip, chunked"), ClientError::Framing),
        (head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), ClientError::Framing),
        (head(&format!("A: {}", "x".repeat(limits::HTTP_HEAD))), ClientError::HeadTooLarge),
        (head(&"A: b\r\n".repeat(limits::HTTP_HEADERS + 1)), ClientError::HeadTooLarge),
        (b"HTTP/1.1 102 P\r\n\r\n".repeat(limits::HTTP_INTERIM + 1), ClientError::Interim),
    ] {
        let shown = bytes.escape_ascii().to_string();
        let want = ClientEvent::Failed(error);
        assert_eq!(end(&bytes), Some(want), "{}", shown.get(..80).unwrap_or(&shown));
    }
    let mut bad = head("Transfer-Encoding: chunked");
    bad.extend_from_slice(b"zz\r\n");
    assert_eq!(end(&bad), Some(ClientEvent::Failed(ClientError::Chunk)));
}

#[test]
fn odd_bytes_in_values_are_replaced() {
    let events = read(b"HTTP/1.1 200 OK\r\nServer: \xff\r\nContent-Length: 0\r\n\r\n");
    let Some(ClientEvent::Head { headers, .. }) = events.first() else { panic!() };
    assert_eq!(headers.get("server"), Some("\u{FFFD}"));
}

#[test]
fn requests() {
    let mut out = Vec::new();
    let headers = [("Authorization", "Bearer x\r\nEvil: 1")];
    request(&mut out, "POST", "h:1", "/v1 x", &headers, Some(b"{}"));
    assert_eq!(
        out,
        b"POST /v1%20x HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer xEvil: 1\r\n\
          Content-Length: 2\r\n\r\n{}"
    );
}
