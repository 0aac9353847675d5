//! What strangers can cost: thousands of connections that have not proved who they are, and
//! those that send or read as slowly as they can. Whoever has the secret is served all the time.

mod common;

use common::http::{Http, TOKEN, ask, get};
use common::provider::config;
use common::socket::{Socket, upgrade_request};
use common::{Gateway, Home, PATIENCE, rss_kb};
use openclaw_gateway::limits;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpStream};
use std::time::{Duration, Instant};

/// Raises our own bound of descriptors, which the gateway inherits; how many peers fit.
#[cfg(feature = "process")]
fn room_for(wanted: usize) -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the soft limit may be raised to the hard one");
    let most = limit.maximum.map_or(wanted, |most| usize::try_from(most).unwrap_or(wanted));
    wanted.min(most.saturating_sub(400))
}

#[cfg(not(feature = "process"))]
fn room_for(wanted: usize) -> usize {
    wanted.min(500)
}

fn start(home: &Home) -> Gateway {
    home.configure(&config(&[], "primary: 'local/echo'", ""));
    home.start("")
}

/// Each path was used once, so that the level is that of a gateway at work.
fn level(gateway: &Gateway) -> u64 {
    for _ in 0..3 {
        Socket::connect(gateway.port).is_alive();
        assert_eq!(ask(gateway.port, get("/v1/models")).status, 200);
    }
    rss_kb(gateway.pid())
}

/// Waits until memory is back below a level.
fn back_below(gateway: &Gateway, most: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = rss_kb(gateway.pid());
        if now <= most {
            return;
        }
        assert!(Instant::now() < deadline, "{now} kB, more than {most} kB");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn connect(gateway: &Gateway) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", gateway.port)).expect("the gateway accepts");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sockets of the gateway.
fn descriptors(gateway: &Gateway) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap().count()
}

#[test]
fn ten_thousand_silent_upgrades() {
    let home = Home::new();
    let count = room_for(10_000);
    let gateway = start(&home);
    let before = level(&gateway);
    let mut kept = Socket::connect(gateway.port);
    let upgrade = upgrade_request("/", "");
    let mut silent = Vec::with_capacity(count);
    for n in 0..count {
        let mut stream = connect(&gateway);
        let _ = stream.write_all(upgrade.as_bytes());
        silent.push(stream);
        if n % 1000 == 999 {
            // Whoever proves itself gets in, and stays in.
            Socket::connect(gateway.port).is_alive();
            kept.is_alive();
            assert!(descriptors(&gateway) <= limits::STRANGERS_PER_PEER + 40);
            let now = rss_kb(gateway.pid());
            assert!(now <= before + 16 * 1024, "{before} kB before, {now} kB");
        }
    }
    let ran = home.ask(gateway.port, &format!("health --token {TOKEN}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    // The oldest were let go, the newest are still welcome.
    if count > limits::STRANGERS_PER_PEER + 100 {
        let mut rest = Vec::new();
        let first = silent[0].read_to_end(&mut rest);
        assert!(first.is_ok() || first.unwrap_err().kind() == std::io::ErrorKind::ConnectionReset);
    }
    let mut answer = [0; 12];
    silent[count - 1].read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    drop(silent);
    kept.is_alive();
    back_below(&gateway, before + 3 * 1024);
}

#[test]
fn five_thousand_unauthenticated_posts() {
    let home = Home::new();
    let count = room_for(5_000);
    let gateway = start(&home);
    let before = level(&gateway);
    let post = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n\r\n{}",
        "x".repeat(4_000)
    );
    let mut posts = Vec::with_capacity(count);
    for n in 0..count {
        let mut stream = connect(&gateway);
        let _ = stream.write_all(post.as_bytes());
        posts.push(stream);
        if n % 500 == 499 {
            assert_eq!(ask(gateway.port, get("/v1/models")).status, 200);
            let now = rss_kb(gateway.pid());
            assert!(now <= before + 16 * 1024, "{before} kB before, {now} kB");
        }
    }
    // Nobody was asked for the body: each was answered from its head.
    let mut answered = 0;
    for mut stream in posts {
        let mut answer = [0; 12];
        if stream.read_exact(&mut answer).is_ok() {
            assert_eq!(&answer, b"HTTP/1.1 401");
            answered += 1;
        }
    }
    // Those that a full second passed for may have lost it in a reset.
    assert!(answered > count / 2, "{answered} of {count}");
    back_below(&gateway, before + 3 * 1024);
}

#[test]
fn a_body_that_nobody_asked_for_is_not_waited_for() {
    let home = Home::new();
    let gateway = start(&home);
    let before = level(&gateway);
    for length in ["Content-Length: 1073741824", "Transfer-Encoding: chunked"] {
        let mut http = Http::connect(gateway.port);
        http.send(format!("POST /v1/responses HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n"));
        let mut sender = http.stream.try_clone().unwrap();
        let answer = http.response();
        assert_eq!(answer.status, 401, "{length}");
        // One byte now and then does not keep the connection.
        let began = Instant::now();
        let drip: &[u8] = if length.starts_with('C') { b"x" } else { b"1\r\nx\r\n" };
        while sender.write_all(drip).is_ok() {
            assert!(began.elapsed() < Duration::from_secs(5), "{length}: still open");
            std::thread::sleep(Duration::from_millis(50));
            if length.starts_with('T') && began.elapsed() > Duration::from_millis(300) {
                // A small chunked body may be read over; too much of it is not.
                let _ = sender.write_all(&drip.repeat(limits::HTTP_DISCARD / 4));
            }
        }
    }
    back_below(&gateway, before + 2 * 1024);
}

#[test]
fn a_stranger_who_never_reads_gets_little_written() {
    let home = Home::new();
    let gateway = start(&home);
    let before = level(&gateway);
    let burst = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    let mut deaf: Vec<TcpStream> = (0..50).map(|_| connect(&gateway)).collect();
    for stream in &mut deaf {
        stream.set_nonblocking(true).unwrap();
        // Until neither side's buffers take any more.
        let mut refused = 0;
        while refused < 3 {
            // Not all of a burst: as much as there is room for.
            let taken = stream.write(burst.as_bytes()).unwrap_or(0);
            if taken > 0 {
                refused = 0;
            } else {
                refused += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    // What we hold is a part of a request and a few answers; the rest is the system's.
    let now = rss_kb(gateway.pid());
    assert!(now <= before + 20 * 1024, "{before} kB before, {now} kB");
    assert_eq!(ask(gateway.port, get("/v1/models")).status, 200);
    drop(deaf);
    back_below(&gateway, before + 4 * 1024);
}

#[test]
fn frames_before_connect_are_small() {
    let home = Home::new();
    let gateway = start(&home);
    let before = level(&gateway);
    for length in [65_537u64, 1 << 31, 1 << 63, u64::MAX] {
        let mut socket = Socket::open(gateway.port);
        let mut header = vec![0x81, 0xff];
        header.extend(length.to_be_bytes());
        header.extend([1, 2, 3, 4]);
        socket.raw(&header);
        assert_eq!(socket.closed().0, Some(1009), "{length}");
    }
    // Many half of the largest: what is held of all of them together is bounded.
    let mut half = Vec::new();
    for _ in 0..600 {
        let mut socket = Socket::open(gateway.port);
        let mut frame = vec![0x81, 0xff];
        frame.extend(65_536u64.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(vec![b' '; 65_000]);
        socket.raw(&frame);
        half.push(socket);
    }
    Socket::connect(gateway.port).is_alive();
    let now = rss_kb(gateway.pid());
    let most = before + 3 * (limits::STRANGERS_BYTES as u64 / 1024);
    assert!(now <= most, "{before} kB before, {now} kB");
    drop(half);
    back_below(&gateway, before + 8 * 1024);
}

#[test]
fn a_million_fragments_of_one_byte_end_the_connection() {
    let home = Home::new();
    let gateway = start(&home);
    let before = level(&gateway);
    for known in [false, true] {
        let mut socket =
            if known { Socket::connect(gateway.port) } else { Socket::open(gateway.port) };
        // Masked with zero: a piece is its byte.
        let mut pieces = b"\x01\x81\0\0\0\0x".to_vec();
        pieces.extend(b"\x00\x81\0\0\0\0x".repeat(10_000));
        let next = b"\x00\x81\0\0\0\0x".repeat(10_000);
        let mut sender = socket.stream.try_clone().unwrap();
        let flood = std::thread::spawn(move || {
            let mut open = sender.write_all(&pieces).is_ok();
            for _ in 1..100 {
                open = open && sender.write_all(&next).is_ok();
            }
        });
        let (code, _) = socket.closed();
        let want = if known { 1008..=1009 } else { 1009..=1009 };
        assert!(code.is_some_and(|code| want.contains(&code)), "{known}: {code:?}");
        flood.join().unwrap();
    }
    Socket::connect(gateway.port).is_alive();
    back_below(&gateway, before + 4 * 1024);
}

#[test]
fn both_loopbacks_are_listened_on_and_both_are_this_machine() {
    let home = Home::new();
    let gateway = start(&home);
    let Ok(stream) = TcpStream::connect((Ipv6Addr::LOCALHOST, gateway.port)) else {
        assert!(std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err(), "there is IPv6");
        return;
    };
    let mut http = Http::over(stream);
    assert_eq!(http.exchange(get("/v1/models")).status, 200);
    let local = http.exchange("GET /readyz HTTP/1.1\r\nHost: [::1]:1\r\n\r\n");
    assert!(local.json()["uptimeMs"].is_u64(), "{local:?}");
    // Wrong tokens of this machine's programs are not counted there either.
    for _ in 0..20 {
        assert_eq!(http.exchange(get("/v1/models").replace(TOKEN, "no")).status, 401);
    }
    assert_eq!(http.exchange(get("/v1/models")).status, 200);
    let ran = home.ask(gateway.port, &format!("gateway call health --token {TOKEN}"));
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[cfg(feature = "process")]
#[test]
fn a_restart_in_place_keeps_both_loopbacks() {
    let home = Home::new();
    home.configure(&config(&[], "primary: 'local/echo'", ""));
    let mut gateway = home.start("");
    let six = || TcpStream::connect((Ipv6Addr::LOCALHOST, gateway.port)).is_ok();
    if !six() {
        return;
    }
    let port = gateway.port;
    gateway.signal(rustix::process::Signal::USR1);
    gateway.wait_for("listening on");
    assert_eq!(ask(port, get("/v1/models")).status, 200);
    let stream = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
    assert_eq!(Http::over(stream).exchange(get("/v1/models")).status, 200);
}
