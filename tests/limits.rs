//! What many, large and slow peers leave behind: nothing.

mod common;

use common::http::{Http, ask, chat, get};
use common::provider::{Provider, config};
use common::socket::Socket;
use common::{Gateway, Home, PATIENCE, rss_kb};
use openclaw_gateway::wire::ws::Message;
use serde_json::{Value, json};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// As many descriptors as the system lets us have: a thousand peers of several tests at once
/// are more than the usual 1,024. The gateway inherits it.
#[cfg(feature = "process")]
fn room_for_peers() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the soft limit may be raised to the hard one");
}

#[cfg(not(feature = "process"))]
fn room_for_peers() {}

fn start(home: &Home) -> Gateway {
    room_for_peers();
    home.configure(&config(&[], "primary: 'local/echo'", ""));
    home.start("")
}

/// Open sockets of the gateway, to tell when it has noticed that peers are gone.
fn descriptors(gateway: &Gateway) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap().count()
}

/// Waits for a condition that another process brings about.
fn until(what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Uses every path once to warm up, takes the level, runs a load: once its peers are gone
/// the memory is back within 1 MB.
fn leaves_nothing(gateway: &Gateway, load: impl Fn()) {
    let idle = descriptors(gateway);
    warm(gateway);
    let gone = || {
        until("the peers are gone", || descriptors(gateway) <= idle);
        // One more turn of the loop, after everything was freed.
        assert_eq!(ask(gateway.port, get("/healthz")).status, 200);
        until("and the last one", || descriptors(gateway) <= idle);
        rss_kb(gateway.pid())
    };
    let fresh = gone();
    load();
    let mut last = gone();
    // The system may take a moment to take pages back.
    let deadline = Instant::now() + Duration::from_secs(3);
    while last > fresh + 1024 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        last = rss_kb(gateway.pid());
    }
    assert!(last <= fresh + 1024, "{fresh} kB fresh, {last} kB at the end");
}

/// The state of affairs after start: each path was used once.
fn warm(gateway: &Gateway) {
    let mut socket = Socket::connect(gateway.port);
    socket.is_alive();
    let said = json!([{"role": "user", "content": "x"}]);
    for stream in [false, true] {
        ask(gateway.port, chat(&json!({"messages": said, "stream": stream})));
    }
}

#[test]
fn a_thousand_idle_connections() {
    let home = Home::new();
    let gateway = start(&home);
    let before = rss_kb(gateway.pid());
    leaves_nothing(&gateway, || {
        let idle: Vec<TcpStream> =
            (0..1000).map(|_| TcpStream::connect(("127.0.0.1", gateway.port)).unwrap()).collect();
        until("all accepted", || descriptors(&gateway) >= 1000);
        let each = (rss_kb(gateway.pid()).saturating_sub(before)) / 1000;
        assert!(each <= 4, "{each} kB for each idle connection");
        drop(idle);
    });
}

#[test]
fn a_thousand_idle_clients() {
    let home = Home::new();
    let gateway = start(&home);
    let thousand = || {
        let idle: Vec<Socket> = (0..1000).map(|_| Socket::connect(gateway.port)).collect();
        drop(idle);
    };
    // The places of a thousand clients stay, about 1 kB each; the next thousand take them again.
    thousand();
    leaves_nothing(&gateway, thousand);
}

#[test]
fn a_frame_of_25_mib() {
    let home = Home::new();
    let gateway = start(&home);
    leaves_nothing(&gateway, || {
        let mut socket = Socket::connect(gateway.port);
        let frame = |text: &str| {
            let params = json!({"x": text});
            json!({"type": "req", "id": "big", "method": "health", "params": params})
        };
        let room = 26_214_400 - frame("").to_string().len();
        socket.text(&frame(&"x".repeat(room)).to_string());
        assert_eq!(socket.response("big").unwrap()["ok"], true);
        // And one that never ends.
        socket.piece(0x01, &[b'x'; 20_000_000]);
    });
}

#[test]
fn a_body_of_20_mib() {
    let home = Home::new();
    let gateway = start(&home);
    leaves_nothing(&gateway, || {
        let said = json!([{"role": "user", "content": "x".repeat(19_000_000)}]);
        let response = ask(gateway.port, chat(&json!({"messages": said})));
        assert_eq!(response.status, 200);
        assert_eq!(response.json()["choices"][0]["finish_reason"], "stop");
    });
}

/// A provider that talks as fast as it can.
fn fast(pieces: usize) -> Provider {
    Provider::start(move |_, reply| {
        let data = json!({"choices": [{"index": 0, "delta": {"content": "0123456789"}}]});
        let block = format!("data: {data}\n\n").repeat(100);
        reply.head();
        for _ in 0..pieces / 100 {
            if !reply.write(&block) {
                return;
            }
        }
        reply.finish("stop");
    })
}

#[test]
fn a_slow_reader_of_a_fast_stream() {
    let home = Home::new();
    let provider = fast(30_000);
    home.configure(&provider.config(""));
    let gateway = home.start("");
    warm(&gateway);
    let stream = json!({"messages": [{"role": "user", "content": "x"}], "stream": true});
    leaves_nothing(&gateway, || {
        // One reads late but all of it, one leaves in the middle.
        let mut late = Http::connect(gateway.port);
        late.send(chat(&stream));
        let mut leaver = Http::connect(gateway.port);
        leaver.send(chat(&stream));
        leaver.head().unwrap();
        leaver.chunk().unwrap();
        drop(leaver);
        assert_eq!(late.head().unwrap().status, 200);
        let mut total = 0;
        while let Some(chunk) = late.chunk() {
            total += chunk.len();
        }
        assert!(total > 3_000_000, "{total}");
    });
}

#[test]
fn sixty_four_streams_at_once() {
    let home = Home::new();
    let provider = fast(2_000);
    home.configure(&provider.config(""));
    let gateway = home.start("");
    warm(&gateway);
    let stream = json!({"messages": [{"role": "user", "content": "x"}], "stream": true});
    let load = || {
        let mut all: Vec<Http> = (0..64)
            .map(|_| {
                let mut http = Http::connect(gateway.port);
                http.send(chat(&stream));
                http
            })
            .collect();
        for http in &mut all {
            let response = http.response();
            assert_eq!(response.data().last().unwrap(), "[DONE]");
        }
    };
    // The first time makes the room that prompts, tools and requests of so many need at once.
    load();
    leaves_nothing(&gateway, load);
}

/// Reads until the connection ends; numbers of the events and the close frame, if it came.
fn read_on(slow: &mut Socket, until: impl Fn(&Value) -> bool) -> (Vec<u64>, Option<String>) {
    let mut numbers: Vec<u64> = Vec::new();
    loop {
        match slow.message() {
            Some(Message::Text(text)) => {
                let frame: Value = serde_json::from_str(&text).unwrap();
                numbers.extend(frame["seq"].as_u64());
                if until(&frame) {
                    return (numbers, None);
                }
            }
            Some(Message::Close { code, reason }) => {
                return (numbers, Some(format!("{} {reason}", code.unwrap_or(0))));
            }
            Some(_) => {}
            None => return (numbers, None),
        }
    }
}

#[test]
fn a_client_that_does_not_read_loses_events_and_sees_the_gap() {
    let home = Home::new();
    // Each answer is some 3 MB of events: together more than socket buffers take.
    let provider = Provider::start(|_, reply| reply.say(&"x".repeat(500_000)));
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut slow = Socket::connect(gateway.port);
    let mut sender = Socket::connect(gateway.port);
    for n in 0..8 {
        let run = format!("r{n}");
        let params = json!({"sessionKey": run, "message": "x", "idempotencyKey": run});
        sender.call("chat.send", &params).unwrap();
        sender.chat_end(&run);
    }
    // It reads on, and hears of what comes now.
    slow.request("health", &json!({}));
    let (mut numbers, _) = read_on(&mut slow, |frame| frame["type"] == "res");
    let params = json!({"sessionKey": "main", "message": "/x", "idempotencyKey": "last"});
    sender.call("chat.send", &params).unwrap();
    let (more, _) =
        read_on(&mut slow, |frame| frame["event"] == "chat" && frame["payload"]["runId"] == "last");
    numbers.extend(more);
    assert_eq!(numbers.first(), Some(&1));
    assert!(numbers.is_sorted_by(|a, b| a < b), "in order");
    assert!(numbers.last().unwrap() > &(numbers.len() as u64), "nothing was lost");
}

#[test]
fn a_client_that_asks_and_does_not_read_is_closed() {
    let home = Home::new();
    let provider = fast(20_000);
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut slow = Socket::connect(gateway.port);
    let params = json!({"sessionKey": "main", "message": "x", "idempotencyKey": "r"});
    slow.call("chat.send", &params).unwrap();
    slow.chat_end("r");
    let log = || std::fs::read_to_string(home.state().join("logs/openclaw.log")).unwrap();
    // Responses are not dropped: they pile up to the limit, which is more than what socket
    // buffers take.
    let mut asked = 0;
    until("it is closed", || {
        slow.request("chat.history", &json!({"sessionKey": "main"}));
        asked += 1;
        assert!(rss_kb(gateway.pid()) < 60_000, "{} kB", rss_kb(gateway.pid()));
        log().contains("does not read")
    });
    let (_, close) = read_on(&mut slow, |_| false);
    // Whoever reads on only after the second of grace finds the connection gone.
    assert!(close.is_none_or(|close| close == "1008 slow consumer"));
    assert!(asked > 20, "{asked}");
    Socket::connect(gateway.port).is_alive();
}

/// Clock ticks of processor time that a process has used.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn without_descriptors_it_neither_spins_nor_dies() {
    let home = Home::new();
    home.configure(&config(&[], "primary: 'local/echo'", ""));
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "ulimit -n 40; exec \"$0\" gateway --port 0"])
        .arg(env!("CARGO_BIN_EXE_openclaw"))
        .env_clear()
        .env("HOME", &home.0)
        .stdin(std::process::Stdio::null());
    let gateway = Gateway::start(&mut command);
    let mut kept = Http::connect(gateway.port);
    assert_eq!(kept.exchange(get("/v1/models")).status, 200);
    // Silent ones make room for each other and for whoever has something to say.
    let crowd: Vec<TcpStream> =
        (0..80).map(|_| TcpStream::connect(("127.0.0.1", gateway.port)).unwrap()).collect();
    assert_eq!(ask(gateway.port, get("/v1/models")).status, 200);
    drop(crowd);
    // Those who have proved who they are do not: when they hold everything, the next is told so.
    let mut known = Vec::new();
    let turned_away = loop {
        let mut next = Http::connect(gateway.port);
        next.send(get("/v1/models"));
        // The answer may be lost in the reset that follows what was never read.
        match next.answer(false).map(|answer| answer.status) {
            Some(200) => known.push(next),
            other => break other,
        }
        assert!(known.len() < 40, "descriptors have an end");
    };
    assert!(matches!(turned_away, None | Some(503)), "{turned_away:?}");
    let log = || std::fs::read_to_string(home.state().join("logs/openclaw.log")).unwrap();
    until("accept fails", || log().contains("no new connections"));
    assert!(log().contains("ulimit -n"));
    let before = cpu_ticks(gateway.pid());
    std::thread::sleep(Duration::from_secs(1));
    let used = cpu_ticks(gateway.pid()) - before;
    assert!(used <= 20, "{used} ticks of 100 in a second of waiting");
    // Those that are in are served meanwhile.
    assert_eq!(kept.exchange(get("/healthz")).status, 200);
    // Some leave: the next ones come in.
    known.drain(..5);
    until("a place is free", || {
        let mut next = Http::connect(gateway.port);
        next.send(get("/healthz"));
        next.answer(false).is_some_and(|answer| answer.status == 200)
    });
    assert_eq!(kept.exchange(get("/v1/models")).status, 200);
}
