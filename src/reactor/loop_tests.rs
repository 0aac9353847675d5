//! The loop with a small core: real sockets, real children, loopback only.

use super::*;
use crate::driver::{ChildEvent, ChildId, DialError, DialId, Spawn, Target};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener as StdListener, TcpStream as StdStream};

/// A core that is a closure over what happened and what to do.
struct Script<F: FnMut(&Input<'_>, &mut Effects)> {
    step: F,
    start: Option<Vec<Effect>>,
    give_up: Time,
}

impl<F: FnMut(&Input<'_>, &mut Effects)> Core for Script<F> {
    fn on(&mut self, now: Now, input: Input<'_>, fx: &mut Effects) {
        if matches!(input, Input::Wake) {
            if let Some(effects) = self.start.take() {
                effects.into_iter().for_each(|effect| fx.push(effect));
            } else if now.time >= self.give_up {
                fx.push(Effect::Exit { code: 99 });
            }
            return;
        }
        (self.step)(&input, fx);
    }

    fn deadline(&self) -> Option<Time> {
        Some(if self.start.is_some() { Time(0) } else { self.give_up })
    }
}

/// Runs the effects, then the script until it says `Exit { code: 0 }`.
fn play(start: Vec<Effect>, step: impl FnMut(&Input<'_>, &mut Effects)) {
    play_on(&mut Reactor::new().unwrap(), start, step);
}

fn play_on(reactor: &mut Reactor, start: Vec<Effect>, step: impl FnMut(&Input<'_>, &mut Effects)) {
    let mut script = Script { step, start: Some(start), give_up: Time(20_000_000) };
    assert_eq!(reactor.run(&mut script).unwrap(), Leave::Exit(0), "the script came to its end");
}

fn to(host: &str, port: u16) -> Target {
    Target { host: host.to_owned(), port, tls: false, public_only: false, proxy: None }
}

fn dial(id: u64, target: Target, deadline_ms: u64) -> Effect {
    Effect::Dial { dial: DialId(id), target, deadline: Time(deadline_ms * 1000) }
}

/// An address that takes no connection and refuses none: its queue is full.
struct Deaf {
    _listener: StdListener,
    _queue: Vec<StdStream>,
}

impl Deaf {
    fn at(addr: SocketAddr) -> Self {
        let listener = StdListener::bind(addr).unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) = StdStream::connect_timeout(&addr, Duration::from_millis(200)) {
            queue.push(stream);
            assert!(queue.len() < 10_000, "the queue of a listener has an end");
        }
        Self { _listener: listener, _queue: queue }
    }
}

#[test]
fn an_address_that_hangs_is_overtaken_by_the_next() {
    let good = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = good.local_addr().unwrap().port();
    let deaf = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), port));
    let _deaf = Deaf::at(deaf);
    let mut reactor = Reactor::new().unwrap();
    reactor.dials.know("two.invalid", vec![deaf.ip(), Ipv4Addr::LOCALHOST.into()]);
    let mut overtaken = false;
    play_on(&mut reactor, vec![dial(1, to("two.invalid", port), 15_000)], |input, fx| {
        if let Input::Dialed { result, .. } = input {
            overtaken = result.is_ok();
            fx.push(Effect::Exit { code: 0 });
        }
    });
    assert!(overtaken);
    assert!(good.accept().is_ok(), "the second address has the connection");
}

#[test]
fn dials_fail_with_the_reason() {
    let free = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let hanging = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let _deaf = Deaf::at(hanging);
    let mut seen = BTreeMap::new();
    let start = vec![
        dial(1, to("127.0.0.1", free.port()), 15_000),
        dial(2, to("127.0.0.1", hanging.port()), 50),
        dial(3, to("no-such-name.invalid", 80), 15_000),
    ];
    play(start, |input, fx| {
        if let Input::Dialed { dial, result } = input {
            seen.insert(dial.0, result.clone().unwrap_err());
            if seen.len() == 3 {
                fx.push(Effect::Exit { code: 0 });
            }
        }
    });
    assert!(matches!(&seen[&1], DialError::Connect(text) if text.contains("refused")), "{seen:?}");
    assert_eq!(seen[&2], DialError::Timeout);
    assert!(matches!(&seen[&3], DialError::Resolve(_)), "{seen:?}");
}

#[test]
fn a_public_only_dial_is_refused_by_the_address_it_would_connect_to() {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut reactor = Reactor::new().unwrap();
    // A name that answers with a public address and, as rebinding does, with one of ours.
    let public = Ipv4Addr::new(8, 8, 8, 8);
    reactor.dials.know("rebind.invalid", vec![public.into(), Ipv4Addr::LOCALHOST.into()]);
    let guarded = |host: &str| Target { public_only: true, ..to(host, port) };
    let start = vec![
        dial(1, guarded("127.0.0.1"), 15_000),
        dial(2, guarded("rebind.invalid"), 15_000),
        dial(3, guarded("localhost"), 15_000),
        dial(4, guarded("::ffff:127.0.0.1"), 15_000),
    ];
    let mut seen = BTreeMap::new();
    play_on(&mut reactor, start, |input, fx| {
        if let Input::Dialed { dial, result } = input {
            seen.insert(dial.0, result.clone().unwrap_err());
            if seen.len() == 4 {
                fx.push(Effect::Exit { code: 0 });
            }
        }
    });
    for (number, error) in &seen {
        assert!(matches!(error, DialError::Forbidden(_)), "dial {number}: {error:?}");
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody connected");
}

#[test]
fn a_cancelled_dial_is_not_heard_of_again() {
    let hanging = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let _deaf = Deaf::at(hanging);
    let good = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let start = vec![
        dial(1, to("127.0.0.1", hanging.port()), 100),
        Effect::CancelDial { dial: DialId(1) },
        dial(2, to("127.0.0.1", good.local_addr().unwrap().port()), 15_000),
    ];
    play(start, |input, fx| {
        if let Input::Dialed { dial, .. } = input {
            assert_eq!(*dial, DialId(2));
            fx.push(Effect::Exit { code: 0 });
        }
    });
}

#[test]
fn a_core_that_stops_reading_gets_nothing_until_it_goes_on() {
    let server = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = server.local_addr().unwrap();
    let pause = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let paused_at = pause.local_addr().unwrap();
    let feeder = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        stream.write_all(b"first").unwrap();
        // The core has stopped reading once it dials the second address.
        let (_second, _) = pause.accept().unwrap();
        stream.write_all(b"second").unwrap();
        let mut end = [0];
        let _ = stream.read(&mut end);
    });
    let mut quiet = None;
    let mut got = Vec::new();
    play(vec![dial(1, to("127.0.0.1", addr.port()), 15_000)], |input, fx| match input {
        Input::Received { conn, bytes } => {
            got.extend_from_slice(bytes);
            if got == b"first" {
                assert!(quiet.is_none());
                quiet = Some(*conn);
                fx.push(Effect::Read { conn: *conn, on: false });
                fx.push(dial(2, to("127.0.0.1", paused_at.port()), 15_000));
                // While this one hangs, the bytes are there and must not come.
                fx.push(dial(3, to("127.0.0.1", 9), 15_000));
            } else {
                assert_eq!(got, b"firstsecond");
                fx.push(Effect::Abort { conn: *conn });
                fx.push(Effect::Exit { code: 0 });
            }
        }
        Input::Dialed { dial: DialId(2), result } => {
            assert!(result.is_ok());
            assert_eq!(got, b"first");
            let conn = quiet.expect("the first connection");
            fx.push(Effect::Read { conn, on: true });
        }
        _ => {}
    });
    feeder.join().unwrap();
}

#[test]
fn a_slot_used_again_has_another_generation() {
    let mut reactor = Reactor::new().unwrap();
    let addr = reactor.listen(StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).unwrap();
    let mut first = StdStream::connect(addr).unwrap();
    let again = std::thread::spawn(move || {
        let mut end = Vec::new();
        let _ = first.read_to_end(&mut end);
        // The core has let go of the first: its slot is free.
        let _second = StdStream::connect(addr).unwrap();
        let _ = first.write(b"late");
        let mut end = Vec::new();
        let _ = (&_second).read_to_end(&mut end);
    });
    let mut seen: Vec<ConnId> = Vec::new();
    play_on(&mut reactor, Vec::new(), |input, fx| {
        if let Input::Accepted { conn, .. } = input {
            seen.push(*conn);
            fx.push(Effect::Abort { conn: *conn });
            if seen.len() == 2 {
                fx.push(Effect::Exit { code: 0 });
            }
        }
    });
    again.join().unwrap();
    assert_eq!(seen[0].slot, seen[1].slot);
    assert_ne!(seen[0].generation, seen[1].generation);
}

#[cfg(unix)]
fn shell(script: &str, stdin: &[u8]) -> Effect {
    let spawn = Spawn {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: BTreeMap::from([("ONLY".into(), "this".into())]),
        cwd: "/".into(),
        stdin: stdin.to_vec(),
        keep_stdin: false,
    };
    Effect::Spawn { child: ChildId(1), spawn }
}

#[cfg(unix)]
#[test]
fn a_child_gets_its_input_and_is_heard_to_its_end() {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let script = "cat; echo \"$ONLY-$HOME\" >&2; exit 3";
    play(vec![shell(script, b"through")], |input, fx| {
        if let Input::Child { event, .. } = input {
            match event {
                ChildEvent::Stdout(bytes) => out.extend_from_slice(bytes),
                ChildEvent::Stderr(bytes) => err.extend_from_slice(bytes),
                ChildEvent::Exited(code) => {
                    assert_eq!(*code, crate::driver::Exit::Code(3));
                    fx.push(Effect::Exit { code: 0 });
                }
                ChildEvent::Failed(text) => panic!("{text}"),
            }
        }
    });
    assert_eq!(out, b"through");
    assert_eq!(err, b"this-\n", "the environment is exactly what was given");
}

#[cfg(all(unix, feature = "process"))]
#[test]
fn a_killed_child_takes_its_children_along() {
    // The grandchild holds the pipe open: without the group's end there is no end of file.
    let mut told = false;
    play(vec![shell("sleep 1000 & echo up; wait", b"")], |input, fx| {
        if let Input::Child { event, .. } = input {
            match event {
                ChildEvent::Stdout(_) => {
                    fx.push(Effect::Kill { child: ChildId(1), kill: true });
                }
                ChildEvent::Exited(code) => {
                    assert_eq!(*code, crate::driver::Exit::Signal(9));
                    told = true;
                    fx.push(Effect::Exit { code: 0 });
                }
                _ => {}
            }
        }
    });
    assert!(told);
}

#[cfg(unix)]
#[test]
fn a_program_that_is_not_there_fails_at_once() {
    let spawn = Spawn {
        program: "/no/such/program".into(),
        args: Vec::new(),
        env: BTreeMap::new(),
        cwd: "/".into(),
        stdin: Vec::new(),
        keep_stdin: false,
    };
    play(vec![Effect::Spawn { child: ChildId(1), spawn }], |input, fx| {
        if let Input::Child { event: ChildEvent::Failed(text), .. } = input {
            assert!(text.contains("No such file"), "{text}");
            fx.push(Effect::Exit { code: 0 });
        }
    });
}

#[cfg(unix)]
#[test]
fn a_child_is_talked_to_until_its_input_ends() {
    let Effect::Spawn { child, mut spawn } = shell("while read l; do echo got $l; done", b"")
    else {
        panic!("a spawn");
    };
    spawn.keep_stdin = true;
    let mut out = Vec::new();
    let mut over = false;
    let first = Effect::ChildInput { child, bytes: b"one\n".to_vec() };
    play(vec![Effect::Spawn { child, spawn }, first], |input, fx| {
        if let Input::Child { event, .. } = input {
            match event {
                ChildEvent::Stdout(bytes) => {
                    out.extend_from_slice(bytes);
                    if out == b"got one\n" {
                        fx.push(Effect::ChildInput { child, bytes: b"two\n".to_vec() });
                        fx.push(Effect::ChildInputEnd { child });
                    }
                }
                ChildEvent::Exited(_) => {
                    over = true;
                    fx.push(Effect::Exit { code: 0 });
                }
                _ => {}
            }
        }
    });
    assert!(over);
    assert_eq!(out, b"got one\ngot two\n");
}

#[cfg(all(unix, feature = "process"))]
#[test]
fn what_a_child_leaves_behind_goes_with_it() {
    let mut told = None;
    play(vec![shell("sleep 1000 & echo $!; exit 4", b"")], |input, fx| {
        if let Input::Child { event: ChildEvent::Exited(exit), .. } = input {
            told = Some(*exit);
            fx.push(Effect::Exit { code: 0 });
        }
    });
    assert_eq!(told, Some(crate::driver::Exit::Code(4)));
}

#[cfg(unix)]
#[test]
fn a_child_that_never_stops_writing_does_not_hold_the_loop() {
    let mut bytes_seen = 0;
    let mut turns = 0;
    let mut over = false;
    let start = vec![shell("exec yes", b""), dial(1, to("127.0.0.1", 1), 15_000)];
    play(start, |input, fx| match input {
        Input::Child { event: ChildEvent::Stdout(bytes), .. } => {
            bytes_seen += bytes.len();
            if bytes_seen > 8 * limits::READ_BUDGET && turns == 0 {
                turns = 1;
                fx.push(Effect::Kill { child: ChildId(1), kill: true });
            }
        }
        Input::Child { event: ChildEvent::Exited(_), .. } => {
            over = true;
            fx.push(Effect::Exit { code: 0 });
        }
        _ => {}
    });
    assert!(over, "the order to kill came through between two budgets");
}

#[cfg(all(unix, feature = "process"))]
#[test]
fn the_process_leaves_without_children() {
    let mut pid = String::new();
    play(vec![shell("trap '' TERM; sleep 1000 & echo $!; wait; wait; wait", b"")], |input, fx| {
        if let Input::Child { event: ChildEvent::Stdout(bytes), .. } = input {
            pid.push_str(&String::from_utf8_lossy(bytes));
            fx.push(Effect::Kill { child: ChildId(1), kill: false });
            fx.push(Effect::Exit { code: 0 });
        }
    });
    // It was sent SIGKILL; a busy machine takes its time to carry that out.
    let path = format!("/proc/{}/stat", pid.trim());
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let state = std::fs::read_to_string(&path).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") {
            return;
        }
        assert!(std::time::Instant::now() < until, "the grandchild lives: {state}");
        std::thread::yield_now();
    }
}
