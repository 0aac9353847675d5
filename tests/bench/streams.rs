//! Measures what a gateway adds to each token of many streams at once.
//!
//! `cargo run --release --example streams -- [--port N --token T --pid P] [--streams 100]`
//!
//! One thread is both ends: a model provider on a port of its own (printed), which stamps each
//! token with the time it is written, and the clients, which read the stamp back. Without
//! `--port` the clients ask the provider itself: that is the floor. With `--pid` the resident
//! memory of the gateway is read before, and in the middle of the streams.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "what it measured")]

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const PROVIDER: Token = Token(0);
/// Between two tokens of a stream.
const PACE: Duration = Duration::from_millis(20);

struct Options {
    gateway: Option<u16>,
    provider: u16,
    token: String,
    pid: Option<u32>,
    streams: usize,
    tokens: usize,
}

fn options() -> Options {
    let mut options = Options {
        gateway: None,
        provider: 0,
        token: String::new(),
        pid: None,
        streams: 100,
        tokens: 200,
    };
    let mut args = std::env::args().skip(1);
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        match name.as_str() {
            "--port" => options.gateway = value.parse().ok(),
            "--provider-port" => options.provider = value.parse().unwrap_or(0),
            "--token" => options.token = value,
            "--pid" => options.pid = value.parse().ok(),
            "--streams" => options.streams = value.parse().unwrap_or(100),
            "--tokens" => options.tokens = value.parse().unwrap_or(200),
            _ => panic!("unknown option {name}"),
        }
    }
    options
}

/// One end of a connection.
enum End {
    /// Of the provider: what was read of the request, tokens left, when the next is due.
    Serves { asked: Vec<u8>, left: Option<usize>, due: Instant },
    /// Of a client: the unread tail.
    Reads { tail: Vec<u8>, over: bool },
}

struct Conn {
    stream: TcpStream,
    end: End,
}

struct World {
    poll: Poll,
    conns: BTreeMap<usize, Conn>,
    next: usize,
    zero: Instant,
    /// Nanoseconds each token took.
    took: Vec<u64>,
    done: usize,
    failed: usize,
    tokens: usize,
}

impl World {
    fn add(&mut self, mut stream: TcpStream, end: End) -> usize {
        let id = self.next;
        self.next += 1;
        let _ = stream.set_nodelay(true);
        let interest = Interest::READABLE.add(Interest::WRITABLE);
        self.poll.registry().register(&mut stream, Token(id), interest).expect("register");
        self.conns.insert(id, Conn { stream, end });
        id
    }

    fn ready(&mut self, id: usize) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let mut bytes = [0; 64 * 1024];
        loop {
            let read = match conn.stream.read(&mut bytes) {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => 0,
            };
            let now = self.zero.elapsed().as_nanos() as u64;
            let got = bytes.get(..read).unwrap_or_default();
            match &mut conn.end {
                End::Serves { asked, left, .. } if read > 0 => {
                    asked.extend_from_slice(got);
                    if left.is_none() && complete(asked) {
                        *left = Some(self.tokens);
                        asked.clear();
                        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
                        let _ = conn.stream.write_all(head.as_bytes());
                    }
                }
                End::Reads { tail, over } if read > 0 => {
                    tail.extend_from_slice(got);
                    self.took.extend(stamps(tail).iter().map(|sent| now.saturating_sub(*sent)));
                    if !*over && find(tail, b"[DONE]").is_some() {
                        *over = true;
                        self.done += 1;
                    }
                    if tail.len() > 64 {
                        let keep = tail.len() - 64;
                        tail.drain(..keep.min(last_stamp(tail)));
                    }
                }
                _ => {
                    if let Some(Conn { end: End::Reads { over: false, .. }, .. }) =
                        self.conns.remove(&id)
                    {
                        self.failed += 1;
                    }
                    return;
                }
            }
        }
    }

    /// Writes the tokens that are due; when the next one is.
    fn speak(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let mut over = Vec::new();
        for (id, conn) in &mut self.conns {
            let End::Serves { left: Some(left), due, .. } = &mut conn.end else { continue };
            if *due <= now {
                *due = now + PACE;
                let sent = self.zero.elapsed().as_nanos();
                let text = if *left == 0 {
                    over.push(*id);
                    let usage = r#"{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}"#;
                    let stop = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
                    format!(
                        "data: {stop}\n\ndata: {{\"choices\":[],\"usage\":{usage}}}\n\n\
                         data: [DONE]\n\n"
                    )
                } else {
                    *left -= 1;
                    let delta = format!(r#"{{"content":"t={sent}; "}}"#);
                    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n")
                };
                let _ = conn.stream.write_all(text.as_bytes());
            }
            next = Some(next.map_or(*due, |next| next.min(*due)));
        }
        for id in over {
            self.conns.remove(&id);
        }
        next
    }
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

/// A whole request with its body.
fn complete(asked: &[u8]) -> bool {
    let Some(end) = find(asked, b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(asked.get(..end).unwrap_or_default()).to_lowercase();
    let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
    let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    asked.len() >= end + 4 + length
}

/// Takes the stamps out of what was read; what is left of the text begins behind the last one.
fn stamps(tail: &mut Vec<u8>) -> Vec<u64> {
    let mut found = Vec::new();
    while let Some(at) = find(tail, b"\"t=") {
        let rest = tail.get(at + 3..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b';') else { break };
        let digits = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
        found.extend(digits.parse::<u64>());
        tail.drain(..at + 4 + end);
    }
    found
}

/// Where an unfinished stamp begins.
fn last_stamp(tail: &[u8]) -> usize {
    find(tail, b"\"t=").unwrap_or(tail.len())
}

fn rss_kb(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0)
}

fn main() {
    let options = options();
    let poll = Poll::new().expect("poll");
    let address = format!("127.0.0.1:{}", options.provider).parse().expect("address");
    let mut listener = TcpListener::bind(address).expect("listen");
    poll.registry().register(&mut listener, PROVIDER, Interest::READABLE).expect("register");
    let own = listener.local_addr().expect("address").port();
    let mut world = World {
        poll,
        conns: BTreeMap::new(),
        next: 1,
        zero: Instant::now(),
        took: Vec::new(),
        done: 0,
        failed: 0,
        tokens: options.tokens,
    };
    let before = options.pid.map(rss_kb);
    let body = r#"{"model":"openclaw","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let port = options.gateway.unwrap_or(own);
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
         Authorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        options.token,
        body.len()
    );
    for _ in 0..options.streams {
        // Blocking: the requests are not what is measured.
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connect");
        stream.write_all(request.as_bytes()).expect("write");
        stream.set_nonblocking(true).expect("nonblocking");
        let stream = TcpStream::from_std(stream);
        world.add(stream, End::Reads { tail: Vec::new(), over: false });
    }
    let mut events = Events::with_capacity(1024);
    let mut middle = None;
    let half = options.streams * options.tokens / 2;
    while world.done + world.failed < options.streams {
        let wait = world.speak().map(|due| due.saturating_duration_since(Instant::now()));
        let wait = wait.unwrap_or(Duration::from_millis(100));
        world.poll.poll(&mut events, Some(wait)).expect("poll");
        for event in &events {
            if event.token() == PROVIDER {
                while let Ok((stream, _)) = listener.accept() {
                    // Spread over the pace, so that tokens do not come in bursts.
                    let share = u32::try_from(world.next % 100).unwrap_or(0);
                    let due = Instant::now() + PACE * share / 100;
                    let id = world.add(stream, End::Serves { asked: Vec::new(), left: None, due });
                    world.ready(id);
                }
            } else {
                world.ready(event.token().0);
            }
        }
        if middle.is_none() && world.took.len() >= half {
            middle = options.pid.map(rss_kb);
        }
    }
    report(&options, &mut world, before, middle);
}

fn report(options: &Options, world: &mut World, before: Option<u64>, middle: Option<u64>) {
    world.took.sort_unstable();
    let at = |share: f64| {
        let last = world.took.len().saturating_sub(1);
        world.took.get((last as f64 * share) as usize).copied().unwrap_or(0) as f64 / 1e6
    };
    println!(
        "{} streams, {} tokens, {} failed: p50 {:.3} ms, p90 {:.3}, p99 {:.3}, p99.9 {:.3}, max \
         {:.3}",
        world.done,
        world.took.len(),
        world.failed,
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    if let (Some(before), Some(middle)) = (before, middle) {
        let each = middle.saturating_sub(before) as f64 / options.streams as f64;
        println!("resident: {before} kB before, {middle} kB amid; {each:.1} kB a stream");
    }
}
