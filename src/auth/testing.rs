//! Heads for the tests of this room.

use crate::wire::http::head::Headers;
use crate::wire::http::server::{Event, Server};

/// The headers of a request with these lines, each with its end.
pub(crate) fn headers(lines: &str) -> Headers {
    let mut server = Server::new();
    server.push(format!("GET / HTTP/1.0\r\n{lines}\r\n").as_bytes());
    match server.next() {
        Some(Event::Head(head)) => head.headers,
        other => panic!("{lines}: {other:?}"),
    }
}
