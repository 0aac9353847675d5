//! Beats from their time to their event, on a gateway whose clock is ours. The embedded model
//! answers with the prompt, so a prompt says what is answered.

use super::super::cron::tests::Clock;
use super::super::cron::zone::tests::{BERLIN, tzif};
use super::super::fuzz::Memory;
use super::*;
use crate::config::ActiveHours;
use crate::protocol::operations::Op;
use crate::store::Disk;
use std::path::Path;

/// Midnight of a Monday in UTC.
const MIDNIGHT: u64 = 1_795_392_000_000;
const MINUTE: u64 = 60_000;

/// A gateway whose agent beats every half hour, by this.
fn beating(disk: &Memory, by: Heartbeat) -> Clock {
    let mut clock = Clock::start(disk, MIDNIGHT);
    set(&mut clock, by);
    clock
}

fn set(clock: &mut Clock, by: Heartbeat) {
    let mut config = clock.gateway.config.as_ref().clone();
    config.agents.defaults.heartbeat = by;
    clock.gateway.config = std::rc::Rc::new(config);
    clock.gateway.plan_heartbeats();
}

fn told(prompt: &str) -> Heartbeat {
    Heartbeat { target: "none".to_owned(), prompt: prompt.to_owned(), ..Heartbeat::default() }
}

fn last(clock: &mut Clock) -> Value {
    clock.call(Op::LastHeartbeat, json!({})).expect("an answer")
}

/// The last event's status and reason, and how long before now it was told.
fn what(clock: &mut Clock) -> (String, String, u64) {
    let event = last(clock);
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let ago = clock.now.wall_ms - event["ts"].as_u64().expect("a time");
    (text("status"), text("reason"), ago)
}

fn history(clock: &mut Clock, key: &str) -> Vec<Value> {
    let value = clock.call(Op::ChatHistory, json!({"sessionKey": key})).expect("a history");
    value["messages"].as_array().expect("messages").clone()
}

#[test]
fn a_beat_comes_once_a_cadence_and_keeps_its_rhythm() {
    let disk = Memory::default();
    let mut clock = beating(&disk, told("The oven is on"));
    assert_eq!(last(&mut clock), Value::Null);
    clock.pass(30 * MINUTE);
    let event = last(&mut clock);
    let ts = event["ts"].as_u64().expect("a time");
    let want = json!({
        "ts": ts, "status": "skipped", "reason": "target-none",
        "preview": "[local/echo, a wiring check: no model is configured] The oven is on",
        "hasMedia": false, "durationMs": 0,
    });
    assert_eq!(event, want);
    let phase = ts % (30 * MINUTE);
    clock.pass(90 * MINUTE);
    let (.., ago) = what(&mut clock);
    assert_eq!((clock.now.wall_ms - ago) % (30 * MINUTE), phase);
    let answers = |clock: &mut Clock| history(clock, "main").len();
    assert_eq!(answers(&mut clock), 4, "prompts are not shown, answers are");
    let now = clock.now.wall_ms;
    drop(clock);

    // Two hours later: what was missed is not made up for, and the rhythm is the same.
    let mut clock = Clock::start(&disk, now + 120 * MINUTE);
    set(&mut clock, told("The oven is on"));
    assert_eq!(answers(&mut clock), 4);
    clock.pass(30 * MINUTE);
    assert_eq!(answers(&mut clock), 5);
    let (.., ago) = what(&mut clock);
    assert_eq!((clock.now.wall_ms - ago) % (30 * MINUTE), phase);
}

#[test]
fn an_acknowledgement_is_kept_from_people_and_models() {
    let disk = Memory::default();
    let mut clock = beating(&disk, told("HEARTBEAT_OK"));
    clock.pass(30 * MINUTE);
    let event = last(&mut clock);
    assert_eq!(event["status"], "ok-token");
    assert_eq!((&event["silent"], &event["indicatorType"]), (&json!(true), &json!("ok")));
    assert_eq!((&event["reason"], event.get("preview")), (&json!("interval"), None));
    assert!(history(&mut clock, "main").is_empty());
    let sessions = &clock.gateway.sessions;
    let (_, mut kept) = sessions.context(&disk, "agent:main:main", 100, 1 << 20).expect("there");
    assert_eq!(kept.len(), 2, "the transcript has both");
    drop_acks(&mut kept);
    assert!(kept.is_empty());
    let entry = clock.gateway.sessions.get("agent:main:main").expect("a session");
    assert_eq!(entry.last_interaction_at, None, "nobody said anything");
}

#[test]
fn the_window_is_that_of_its_zone() {
    let mut disk = Memory::default();
    let path = Path::new("/usr/share/zoneinfo/Europe/Berlin");
    disk.replace(path, &tzif(3600, &[], BERLIN)).expect("written");
    // Midnight in UTC is one o'clock in Berlin's winter.
    let hours = |start: u16, end: u16, zone: &str| {
        let timezone = match zone {
            "user" => crate::config::Clock::User,
            "local" => crate::config::Clock::Local,
            name => crate::config::Clock::Zone(name.to_owned()),
        };
        let active_hours = Some(ActiveHours { start, end, timezone });
        Heartbeat { active_hours, ..told("x") }
    };
    let table = [
        (hours(60, 91, "Europe/Berlin"), true),
        (hours(0, 60, "Europe/Berlin"), false),
        (hours(0, 31, "local"), true),
        (hours(60, 91, "local"), false),
        (hours(60, 91, "user"), true),
        (hours(60, 91, "No/Where"), true),
        (hours(60, 60, "Europe/Berlin"), false),
    ];
    for (by, comes) in table {
        let mut clock = Clock::start(&disk, MIDNIGHT);
        let mut config = clock.gateway.config.as_ref().clone();
        config.agents.defaults.user_timezone = Some("Europe/Berlin".to_owned());
        clock.gateway.config = std::rc::Rc::new(config);
        let shown = format!("{by:?}");
        set(&mut clock, by);
        clock.pass(30 * MINUTE);
        assert_eq!(last(&mut clock) != Value::Null, comes, "{shown}");
    }
}

#[test]
fn what_is_left_out_says_why() {
    let mut disk = Memory::default();
    let mut clock = beating(&disk, Heartbeat { target: "owner".to_owned(), ..told("x") });
    clock.pass(30 * MINUTE);
    let event = last(&mut clock);
    assert_eq!((&event["status"], &event["reason"]), (&json!("skipped"), &json!("no-route")));
    assert!(event["message"].as_str().expect("a text").contains("heartbeat.target"));
    assert!(history(&mut clock, "main").is_empty(), "no model was asked");

    let file = clock.gateway.workspace("main").join(FILE);
    disk.replace(&file, b"# Heartbeat\n").expect("written");
    set(&mut clock, told("x"));
    clock.pass(30 * MINUTE);
    assert_eq!(what(&mut clock).1, "empty-heartbeat-file");
    disk.replace(&file, b"# Heartbeat\n- the oven\n").expect("written");
    clock.pass(30 * MINUTE);
    assert_eq!(what(&mut clock).1, "target-none");

    let off = clock.call(Op::SetHeartbeats, json!({"enabled": false})).expect("off");
    assert_eq!(off, json!({"ok": true, "enabled": false}));
    clock.pass(30 * MINUTE);
    assert!(what(&mut clock).2 >= 30 * MINUTE, "nothing new was told");
    clock.call(Op::SetHeartbeats, json!({"enabled": true})).expect("on");
    clock.pass(30 * MINUTE);
    assert!(what(&mut clock).2 < 30 * MINUTE);

    set(&mut clock, Heartbeat { every_ms: 0, ..told("x") });
    clock.pass(60 * MINUTE);
    assert!(what(&mut clock).2 >= 60 * MINUTE, "0m: none comes by itself");
    clock.call(Op::Wake, json!({"mode": "now", "text": "the bell"})).expect("woken");
    clock.pass(1);
    let (status, reason, _) = what(&mut clock);
    assert_eq!((status.as_str(), reason.as_str()), ("skipped", "target-none"));
}

#[test]
fn what_happened_comes_with_the_next_beat() {
    let disk = Memory::default();
    let mut clock = beating(&disk, Heartbeat { target: "last".to_owned(), ..told("x") });
    let event = json!({"text": "the door opened"});
    clock.call(Op::SystemEvent, event).expect("left");
    assert_eq!(last(&mut clock), Value::Null);
    clock.pass(30 * MINUTE);
    // Without a route it would have been left out.
    let event = last(&mut clock);
    assert_eq!((&event["status"], &event["reason"]), (&json!("skipped"), &json!("no-route")));
    let preview = event["preview"].as_str().expect("an answer");
    assert!(preview.contains("System: [") && preview.contains("the door opened"), "{preview}");
    clock.pass(30 * MINUTE);
    assert_eq!(last(&mut clock).get("preview"), None, "it was told once");
}

#[test]
fn sessions_of_their_own_begin_anew() {
    let disk = Memory::default();
    let by = Heartbeat { isolated_session: true, session: Some("side".to_owned()), ..told("hi") };
    let mut clock = beating(&disk, by);
    clock.call(Op::SystemEvent, json!({"text": "tick", "sessionKey": "side"})).expect("left");
    clock.pass(90 * MINUTE);
    assert!(history(&mut clock, "main").is_empty());
    assert_eq!(history(&mut clock, "agent:main:side:heartbeat").len(), 1);
    set(&mut clock, Heartbeat { session: Some("agent:other:main".to_owned()), ..told("hi") });
    clock.pass(30 * MINUTE);
    assert_eq!(history(&mut clock, "main").len(), 1, "another agent's session is not its own");
}

#[test]
fn a_clock_that_is_set_moves_no_beat_further_than_one_cadence() {
    let mut clock = beating(&Memory::default(), told("x"));
    clock.now.wall_ms -= 48 * 60 * MINUTE;
    clock.pass(32 * MINUTE);
    assert!(last(&mut clock) != Value::Null, "set back two days, it beats all the same");
    clock.now.wall_ms += 48 * 60 * MINUTE;
    clock.pass(2 * MINUTE);
    assert!(what(&mut clock).2 <= 2 * MINUTE, "two days went by: one beat");
    let answers = history(&mut clock, "main").len();
    assert!(answers <= 4, "{answers}");
}

#[test]
fn durations_are_shown_as_they_are_written() {
    let table = [(1_800_000, "30m"), (3_600_000, "1h"), (90_000, "90s"), (1_500, "1500ms")];
    for (ms, want) in table {
        assert_eq!(shown_duration(ms), want);
    }
    assert_eq!(shown_duration(0), "0m");
}
