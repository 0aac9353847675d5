//! What runs hold, and where it ends.

use super::super::fuzz::{Memory, boot};
use super::*;
use crate::agent::turn::Part;
use crate::config::AuthMode;
use crate::driver::{Core, Input, Now};
use crate::protocol::error::Code;
use serde_json::json;

fn start(disk: &Memory) -> Gateway {
    let now = Now { time: Time(1), wall_ms: 1_795_000_000_000 };
    // With a provider: runs wait for it.
    boot(1, AuthMode::None, disk, now)
}

fn said(id: &str, key: &str, bytes: usize) -> NewRun {
    NewRun {
        message: Some("x".repeat(bytes)),
        ..NewRun::new(id.to_owned(), Cause::Chat, key.to_owned(), "main".to_owned())
    }
}

#[test]
fn what_runs_hold_counts_against_the_bound_of_all_memory() {
    let mut gateway = start(&Memory::default());
    let mut fx = Effects::new();
    gateway.memory_max = 100_000;
    // Twice: the message and the journal's copy.
    let first = gateway.accept_run(said("a", "agent:main:a", 20_000)).expect("room");
    let held = gateway.runs.bytes();
    assert!((40_000..45_000).contains(&held), "{held}");
    gateway.accept_run(said("b", "agent:main:a", 20_000)).expect("room");
    assert!(!gateway.memory_full());
    let error = gateway.accept_run(said("c", "agent:main:c", 20_000)).expect_err("no room");
    assert_eq!(error.retryable, Some(true));
    assert_eq!(error.code, Code::Unavailable);
    assert!(error.message.contains("limit memory"), "{error:?}");
    assert!(gateway.sessions.get("agent:main:c").is_none(), "nothing was kept");
    assert_eq!(gateway.runs.unfinished(), 2);
    gateway.begin_accepted(&mut fx);
    gateway.runs.check_invariants();
    // What the model is asked is held beside it: the bound is passed, nothing is taken back.
    let began = gateway.runs.bytes();
    assert!(began > held + 55_000, "{began}");
    gateway.memory_max = began - 1;
    assert!(gateway.memory_full());
    // An image counts, as base64, and so does what an HTTP request asks.
    gateway.memory_max = began + 50_000;
    let image = ("image/png".to_owned(), "A".repeat(40_000));
    let with_image = NewRun { images: vec![image], ..said("d", "agent:main:d", 1) };
    assert!(gateway.accept_run(with_image).is_err());
    let turns = vec![Turn::User(vec![Part::Text("x".repeat(60_000))])];
    let ask = Ask { turns, ..Ask::default() };
    let cause = Cause::Http(ConnId { slot: 9, generation: 1 });
    let http = NewRun { cause, keep: false, ask, ..said("e", "agent:main:e", 0) };
    assert!(gateway.accept_run(http).is_err());
    // An end makes room; at the last one nothing is held.
    assert!(gateway.cancel_run(first, "rpc", &mut fx));
    gateway.begin_accepted(&mut fx);
    gateway.runs.check_invariants();
    for number in gateway.runs.numbers() {
        assert!(gateway.cancel_run(number, "rpc", &mut fx));
    }
    gateway.runs.check_invariants();
    assert_eq!(gateway.runs.bytes(), 0);
}

#[test]
fn a_request_over_http_that_does_not_fit_is_told_503() {
    let mut gateway = start(&Memory::default());
    let mut fx = Effects::new();
    gateway.memory_max = 4_000;
    let conn = ConnId { slot: 0, generation: 1 };
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000));
    let now = gateway.now;
    gateway.on(now, Input::Accepted { conn, peer: here, local: here }, &mut fx);
    let said = "x".repeat(4_000);
    let body = json!({"messages": [{"role": "user", "content": said}]}).to_string();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n";
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    gateway.on(now, Input::Received { conn, bytes: request.as_bytes() }, &mut fx);
    let answer = String::from_utf8_lossy(fx.send(conn)).into_owned();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("Retry-After: 1") && answer.contains("limit memory"), "{answer}");
    assert_eq!((gateway.runs.active_len(), gateway.runs.bytes()), (0, 0));
}

#[test]
fn the_answer_so_far_is_held() {
    let mut gateway = start(&Memory::default());
    let mut fx = Effects::new();
    let number = gateway.accept_run(said("a", "agent:main:a", 10)).expect("room");
    gateway.begin_accepted(&mut fx);
    let dial = *gateway.runs.dialing().first().expect("a dial");
    let conn = ConnId { slot: 3, generation: 1 };
    gateway.run_dialed(dial, Ok(conn), &mut fx);
    let before = gateway.runs.bytes();
    let text = "y".repeat(5_000);
    let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    gateway.run_bytes(number, format!("{head}{event}").as_bytes(), &mut fx);
    assert_eq!(gateway.runs.bytes(), before + 5_000);
    gateway.runs.check_invariants();
    gateway.cancel_run(number, "rpc", &mut fx);
    assert_eq!(gateway.runs.bytes(), 0);
}

#[test]
fn an_answer_without_end_fails_the_run_and_says_so() {
    let mut gateway = start(&Memory::default());
    let mut fx = Effects::new();
    let number = gateway.accept_run(said("a", "agent:main:a", 10)).expect("room");
    gateway.begin_accepted(&mut fx);
    let dial = *gateway.runs.dialing().first().expect("a dial");
    let conn = ConnId { slot: 3, generation: 1 };
    gateway.run_dialed(dial, Ok(conn), &mut fx);
    gateway.run_bytes(
        number,
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        &mut fx,
    );
    let text = "y".repeat(500_000);
    let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    for _ in 0..=limits::ANSWER_BYTES / 500_000 {
        assert!(gateway.runs.get(number).is_some());
        gateway.run_bytes(number, event.as_bytes(), &mut fx);
    }
    assert!(gateway.runs.get(number).is_none(), "it is over");
    assert_eq!(gateway.runs.bytes(), 0);
    match gateway.repeated("a", [0; 32]) {
        Repeated::Finished(Err(error)) => assert!(error.message.contains("2 MiB"), "{error:?}"),
        _ => panic!("it failed"),
    }
}
