use super::super::fuzz::{Memory, boot};
use super::*;
use crate::config::{AuthMode, Config};
use crate::driver::{ConnId, Core, Effect, Effects, Input, Now};
use std::rc::Rc;

/// A gateway that nobody talks to yet.
fn gateway(metrics: bool, diagnostics: bool) -> (Gateway, Effects, Now) {
    let now = Now::default();
    let mut gateway = boot(0, AuthMode::Token, &Memory::default(), now);
    let mut config = Config::clone(&gateway.config);
    config.gateway.metrics = metrics;
    config.diagnostics = diagnostics;
    gateway.config = Rc::new(config);
    gateway.host.vitals = || Some(Vitals { rss_bytes: 9 << 20, data_bytes: 12 << 20, cpu_ms: 40 });
    gateway.diagnostics = Diagnostics::new(now.time);
    gateway.begin_diagnostics();
    (gateway, Effects::new(), now)
}

const CONN: ConnId = ConnId { slot: 0, generation: 0 };

/// What an HTTP request with this head is answered.
fn ask(gateway: &mut Gateway, fx: &mut Effects, now: Now, head: &str) -> String {
    let addr = "127.0.0.1:1".parse().unwrap();
    gateway.on(now, Input::Accepted { conn: CONN, peer: addr, local: addr }, fx);
    gateway.on(now, Input::Received { conn: CONN, bytes: head.as_bytes() }, fx);
    gateway.turn_end(now, fx);
    let bytes = fx.drain().filter_map(|effect| match effect {
        Effect::Send { bytes, .. } => Some(bytes),
        _ => None,
    });
    let text = String::from_utf8(bytes.flatten().collect()).unwrap();
    gateway.on(now, Input::Closed { conn: CONN, why: crate::driver::Closed::ByPeer }, fx);
    fx.drain().for_each(drop);
    text
}

const PATHS: [&str; 2] = ["/metrics", "/api/diagnostics/prometheus"];

fn head(path: &str, bearer: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n\r\n")
}

#[test]
fn metrics_are_off_until_asked_for_and_never_for_strangers() {
    let (mut off, mut fx, now) = gateway(false, true);
    assert!(off.diagnostics.counters.is_none(), "nothing is counted for nobody");
    for path in PATHS {
        let answer = ask(&mut off, &mut fx, now, &head(path, "t"));
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        assert!(answer.contains("gateway.metrics.enabled"), "{answer}");
        let answer = ask(&mut off, &mut fx, now, &head(path, "wrong"));
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    let (mut on, mut fx, now) = gateway(true, true);
    for path in PATHS {
        let answer = ask(&mut on, &mut fx, now, &head(path, "wrong"));
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        let answer = ask(&mut on, &mut fx, now, &head(path, "t"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("text/plain; version=0.0.4"), "{answer}");
        assert!(answer.contains("\nopenclaw_memory_bytes{kind=\"rss\"} 9437184\n"), "{answer}");
    }
    let post = head("/metrics", "t").replace("GET", "POST");
    assert!(ask(&mut on, &mut fx, now, &post).starts_with("HTTP/1.1 405"));
}

#[test]
fn what_is_counted_stands_on_the_page() {
    let (mut gateway, _, _) = gateway(true, true);
    gateway.request_counted("sessions.list", "ok");
    gateway.request_counted("sessions.patch", "ok");
    gateway.request_counted("unknown", "error");
    gateway.error_counted(&ErrorShape::invalid("x"));
    gateway.events_dropped(3);
    gateway.run_accepted("chat");
    gateway.payload_refused("gateway.ws", 1);
    let totals = crate::sessions::usage::Totals {
        input: 5,
        output: 7,
        total_cost: 0.25,
        ..Default::default()
    };
    gateway.tokens_counted(&totals);
    let text = gateway.metrics_text().unwrap();
    for line in [
        "openclaw_gateway_rpc_requests_total{family=\"sessions\",outcome=\"ok\"} 2",
        "openclaw_gateway_rpc_requests_total{family=\"unknown\",outcome=\"error\"} 1",
        "openclaw_gateway_rpc_errors_total{code=\"INVALID_REQUEST\"} 1",
        "openclaw_gateway_events_dropped_total 3",
        "openclaw_run_started_total 1",
        "openclaw_payload_large_total 1",
        "openclaw_model_tokens_total{token_type=\"output\"} 7",
        "openclaw_model_cost_usd_total 0.25",
        "openclaw_gateway_config_version 1",
        "openclaw_gateway_config_valid 1",
        "openclaw_gateway_connections{kind=\"operator\"} 0",
        "openclaw_gateway_held_bytes{kind=\"output\"} 0",
        "openclaw_runs{state=\"running\"} 0",
        "openclaw_gateway_uptime_seconds 0.000",
        "openclaw_metrics_series_dropped 0",
    ] {
        assert!(text.lines().any(|own| own == line), "{line}\n{text}");
    }
    // Every family is told of before its samples, and no name stands twice.
    let mut names = std::collections::BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        assert!(names.insert(line.to_owned()), "{line} twice");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(line.starts_with("openclaw_"), "{line}");
    }
}

#[test]
fn a_switch_of_the_key_begins_and_ends_the_counting() {
    let (mut gateway, _, _) = gateway(false, true);
    gateway.request_counted("health", "ok");
    assert!(gateway.metrics_text().is_none());
    for on in [true, false] {
        let mut config = Config::clone(&gateway.config);
        config.gateway.metrics = on;
        gateway.config = Rc::new(config);
        gateway.diagnostics_on_config();
        assert_eq!(gateway.metrics_text().is_some(), on);
    }
}

#[test]
fn a_late_timer_is_told_in_health_and_recorded_with_its_cause() {
    let (mut gateway, _, _) = gateway(false, true);
    gateway.working_on("sessions.list");
    let due = gateway.now.time;
    gateway.now.time = due.after_ms(limits::LOOP_LATE_MS);
    gateway.woke(due);
    let status = gateway.status_value();
    assert_eq!(status["eventLoop"]["degraded"], true);
    assert_eq!(status["slowestWork"], "sessions.list");
    assert_eq!(status["processMemory"]["rssBytes"], 9 << 20);
    assert_eq!(gateway.health_value()["eventLoop"]["reasons"][0], "event_loop_delay");
    assert_eq!(gateway.channels_status()["eventLoop"]["degraded"], true);
    let kind = json!({"type": "diagnostic.liveness.warning"});
    let report = gateway.stability(kind.as_object().unwrap());
    assert_eq!(report["events"][0]["work"], "sessions.list");
    assert_eq!(report["events"][0]["eventLoopDelayMaxMs"], limits::LOOP_LATE_MS);
}

#[test]
fn the_recorder_can_be_switched_off() {
    let (mut gateway, _, _) = gateway(false, false);
    gateway.pulse();
    gateway.payload_refused("gateway.ws", 1);
    assert_eq!(gateway.stability(&Map::new())["count"], 0);
}

#[test]
fn a_pulse_tells_of_work_and_memory() {
    let (mut gateway, _, _) = gateway(false, true);
    gateway.pulse();
    let report = gateway.stability(&Map::new());
    assert_eq!(report["summary"]["byType"]["diagnostic.heartbeat"], 1);
    assert_eq!(report["summary"]["memory"]["latest"]["rssBytes"], 9 << 20);
    assert_eq!(report["events"][0]["phase"], "gateway.ready");
}

#[test]
fn bundles_are_kept_up_to_their_limit() {
    let (mut gateway, _, _) = gateway(false, true);
    for _ in 0..limits::STABILITY_BUNDLES + 3 {
        gateway.now.wall_ms += 1;
        gateway.keep_bundle("gateway.shutdown_timeout");
    }
    let dir = gateway.state_dir.join("logs").join("stability");
    let mut names = gateway.disk.list(&dir).unwrap();
    names.sort_unstable();
    assert_eq!(names.len(), limits::STABILITY_BUNDLES);
    let newest = gateway.disk.read(&dir.join(names.last().unwrap())).unwrap();
    let bundle: Value = serde_json::from_slice(&newest).unwrap();
    assert_eq!(bundle["reason"], "gateway.shutdown_timeout");
    assert_eq!(bundle["snapshot"]["events"][0]["phase"], "gateway.ready");
}

#[test]
fn a_cursor_of_a_log_that_went_round_starts_over() {
    let (mut gateway, _, _) = gateway(false, true);
    let path = gateway.log_path.clone();
    let tail = |gateway: &Gateway, params: Value| {
        let params = params.as_object().unwrap().clone();
        gateway.log_lines(&params)
    };
    gateway.disk.replace(&path, b"one\ntwo\n").unwrap();
    let first = tail(&gateway, json!({}));
    assert_eq!((&first["lines"], &first["cursor"]), (&json!(["one", "two"]), &json!(8)));
    let cursor = json!({"cursor": 8});
    gateway.disk.append(&path, b"three\nfou").unwrap();
    let more = tail(&gateway, cursor.clone());
    assert_eq!((&more["lines"], &more["reset"]), (&json!(["three"]), &json!(false)));
    assert_eq!(more["cursor"], 14, "half a line waits");
    // The file went round, and the new one is already longer than the old.
    gateway.disk.replace(&path, b"a longer first line\nnext\n").unwrap();
    let over = tail(&gateway, cursor.clone());
    assert_eq!(
        (&over["reset"], &over["lines"]),
        (&json!(true), &json!(["a longer first line", "next"]))
    );
    gateway.disk.replace(&path, b"x\n").unwrap();
    let over = tail(&gateway, cursor);
    assert_eq!((&over["reset"], &over["lines"]), (&json!(true), &json!(["x"])));
}
