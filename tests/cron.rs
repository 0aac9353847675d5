//! Scheduled work: the real binary, the real clock, jobs that are due at once, and their files.

#![cfg(feature = "process")]

mod common;

use common::http::TOKEN;
use common::provider::Provider;
use common::socket::Socket;
use common::{Gateway, Home, mode};
use serde_json::{Value, json};

fn job(more: &Value) -> Value {
    let mut job = json!({
        "name": "n", "schedule": {"kind": "at", "at": "2020-01-01T00:00:00Z"},
        "payload": {"kind": "agentTurn", "message": "say it"},
    });
    for (name, field) in more.as_object().expect("an object") {
        job[name.as_str()] = field.clone();
    }
    job
}

fn event(socket: &mut Socket, job: &str, action: &str) -> Value {
    socket.event(|frame| {
        frame["event"] == "cron"
            && frame["payload"]["jobId"] == job
            && frame["payload"]["action"] == action
    })["payload"]
        .clone()
}

fn ask(home: &Home, gateway: &Gateway, words: &[&str]) -> (i32, String, String) {
    let mut command = home.command("cron");
    command.args(words).env("OPENCLAW_GATEWAY_PORT", gateway.port.to_string());
    let ran = common::Ran::of(&mut command);
    (ran.code, ran.out, ran.err)
}

#[test]
fn a_job_that_is_due_runs_and_leaves_its_history() {
    let (home, provider) = (Home::new(), Provider::echo());
    home.configure(&provider.config("cron: {maxConcurrentRuns: 1}"));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let added = socket.call("cron.add", &job(&json!({"deleteAfterRun": false}))).expect("a job");
    let id = added["id"].as_str().expect("an id").to_owned();
    assert_eq!(added["sessionTarget"], "isolated");
    let started = event(&mut socket, &id, "started");
    assert!(started["runAtMs"].is_u64());
    let finished = event(&mut socket, &id, "finished");
    assert_eq!(
        (&finished["status"], &finished["completionStatus"]),
        (&json!("ok"), &json!("succeeded"))
    );
    assert!(finished["summary"].as_str().expect("text").contains("say it"), "{finished}");
    let said = provider.asked().said();
    assert!(said.contains(&format!("[cron:{id} n] say it")), "{said}");
    let runs = socket.call("cron.runs", &json!({"id": id})).expect("runs");
    assert_eq!(runs["total"], 1);
    assert_eq!(runs["entries"][0]["runId"], finished["runId"]);
    let got = socket.call("cron.get", &json!({"id": id})).expect("it stays");
    assert_eq!((&got["enabled"], &got["lastRunStatus"]), (&json!(false), &json!("ok")));
    // The files are the owner's alone.
    let file = home.state().join("cron/jobs.json");
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(&home.state().join(format!("cron/runs/{id}.jsonl"))), 0o600);
    let text = std::fs::read_to_string(&file).expect("jobs.json");
    let kept: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&kept["version"], &kept["jobs"][0]["id"]), (&json!(1), &json!(id)));
}

#[test]
fn an_event_wakes_the_main_session_or_waits() {
    let (home, provider) = (Home::new(), Provider::echo());
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let event_job = |mode: &str| {
        job(
            &json!({"wakeMode": mode, "payload": {"kind": "systemEvent", "text": format!("it is {mode}")}}),
        )
    };
    let later = socket.call("cron.add", &event_job("next-heartbeat")).expect("a job");
    event(&mut socket, later["id"].as_str().expect("id"), "removed");
    let now = socket.call("cron.add", &event_job("now")).expect("a job");
    let id = now["id"].as_str().expect("id").to_owned();
    let finished = event(&mut socket, &id, "finished");
    assert_eq!(finished["sessionKey"], "agent:main:main");
    let said = provider.asked().said();
    // One run told both.
    assert!(said.contains("it is next-heartbeat") && said.contains("it is now"), "{said}");
    assert!(provider.rest().is_empty());
    event(&mut socket, &id, "removed");
    let error = socket.call("cron.get", &json!({"id": id})).expect_err("it is gone");
    assert_eq!(error["details"]["code"], "CRON_JOB_NOT_FOUND");
}

#[test]
fn only_an_administrator_changes_jobs_and_readers_hear_of_them() {
    let (home, provider) = (Home::new(), Provider::echo());
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let scoped = |scopes: &Value| {
        let mut params = common::socket::params();
        params["scopes"] = scopes.clone();
        Socket::with(gateway.port, &params)
    };
    let mut writer = scoped(&json!(["operator.write"]));
    let mut paired = scoped(&json!(["operator.pairing"]));
    let mut admin = scoped(&json!(["operator.admin"]));
    for (method, params) in [
        ("cron.add", job(&json!({}))),
        ("cron.update", json!({"id": "x", "patch": {}})),
        ("cron.remove", json!({"id": "x"})),
        ("cron.run", json!({"id": "x"})),
    ] {
        let error = writer.call(method, &params).expect_err(method);
        assert_eq!(error["details"]["missingScope"], "operator.admin", "{method}");
    }
    for method in ["cron.list", "cron.status", "cron.runs"] {
        writer.call(method, &json!({})).expect(method);
        let error = paired.call(method, &json!({})).expect_err(method);
        assert_eq!(error["details"]["missingScope"], "operator.read", "{method}");
    }
    let far = json!({"schedule": {"kind": "every", "everyMs": 86_400_000}});
    let added = admin.call("cron.add", &job(&far)).expect("a job");
    let id = added["id"].as_str().expect("id").to_owned();
    event(&mut writer, &id, "added");
    paired.call("cron.list", &json!({})).expect_err("and still may not");
    assert!(paired.events.iter().all(|frame| frame["event"] != "cron"), "{:?}", paired.events);
}

#[test]
fn jobs_outlive_a_kill_and_what_was_cut_short_is_told() {
    let home = Home::new();
    // Never answers, so that the run is under way when the gateway dies.
    let provider = Provider::start(|_, reply| reply.wait_for_close());
    home.configure(&provider.config(""));
    let mut gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let every = json!({"schedule": {"kind": "every", "everyMs": 86_400_000}});
    let added = socket.call("cron.add", &job(&every)).expect("a job");
    let id = added["id"].as_str().expect("id").to_owned();
    socket.call("cron.run", &json!({"id": id})).expect("by hand");
    provider.asked();
    let again = socket.call("cron.run", &json!({"id": id})).expect("asked");
    assert_eq!(again["reason"], "already-running");
    gateway.signal(rustix::process::Signal::KILL);
    gateway.wait();
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let got = socket.call("cron.get", &json!({"id": id})).expect("it is there");
    assert_eq!(got["lastRunStatus"], "error");
    assert!(got["lastRunError"].as_str().expect("why").contains("stopped"), "{got}");
    assert_eq!(got["nextRunAtMs"].as_u64(), added["nextRunAtMs"].as_u64());
    let runs = socket.call("cron.runs", &json!({"scope": "all"})).expect("runs");
    assert_eq!((&runs["total"], &runs["entries"][0]["status"]), (&json!(1), &json!("error")));
}

#[test]
fn an_operator_types_it() {
    let (home, provider) = (Home::new(), Provider::echo());
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let (code, out, err) = ask(&home, &gateway, &["list"]);
    assert_eq!((code, out.trim()), (0, "no jobs; the first: openclaw cron add --help"), "{err}");
    let words = ["add", "--name", "Brief", "--cron", "0 7 * * *", "--tz", "UTC", "--message", "hi"];
    let (code, out, err) = ask(&home, &gateway, &words);
    assert_eq!(code, 0, "{err}");
    let id =
        serde_json::from_str::<Value>(&out).expect("JSON")["id"].as_str().expect("id").to_owned();
    let (_, out, _) = ask(&home, &gateway, &["list"]);
    assert!(
        out.starts_with(&format!("{id}  Brief\n    cron 0 7 * * * (UTC), idle, next in ")),
        "{out}"
    );
    assert!(out.lines().all(|line| line.len() <= 80), "{out}");
    let (_, out, _) = ask(&home, &gateway, &["list", "--json"]);
    let list: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&list["jobs"][0]["status"], &list["total"]), (&json!("idle"), &json!(1)));
    let (code, out, err) = ask(&home, &gateway, &["run", &id, "--wait", "--poll-interval", "20ms"]);
    assert_eq!(code, 0, "{out}{err}");
    let ran: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(ran["completionStatus"], "succeeded");
    let (_, out, _) = ask(&home, &gateway, &["runs", &id]);
    assert_eq!(serde_json::from_str::<Value>(&out).expect("JSON")["total"], 1);
    let (code, _, err) = ask(&home, &gateway, &["edit", &id, "--model", "no/such"]);
    assert_eq!(code, 0, "{err}");
    let (code, out, _) = ask(&home, &gateway, &["run", &id, "--wait", "--poll-interval", "20ms"]);
    assert_eq!(code, 1, "a run that failed is no success: {out}");
    assert!(out.contains("openclaw models list"), "{out}");
    assert_eq!(ask(&home, &gateway, &["disable", &id]).0, 0);
    let (_, out, _) = ask(&home, &gateway, &["show", &id]);
    assert!(out.contains("disabled") && out.contains("asks: hi"), "{out}");
    assert_eq!(ask(&home, &gateway, &["enable", &id]).0, 0);
    let (code, out, _) = ask(&home, &gateway, &["remove", &id, "--json"]);
    assert_eq!((code, out.contains("\"removed\": true")), (0, true), "{out}");
    let (code, _, err) = ask(&home, &gateway, &["get", &id]);
    assert_eq!(code, 1);
    assert!(
        err.contains("cron job not found") && err.contains("openclaw cron list --all"),
        "{err}"
    );
    let (code, _, err) = ask(&home, &gateway, &["add", "--name", "x"]);
    assert_eq!(code, 1);
    assert!(err.contains("--at, --every or --cron"), "{err}");
    let status = home.ask(gateway.port, "automations status");
    assert!(status.out.contains("\"enabled\": true"), "{}{}", status.out, status.err);
}

#[test]
fn system_commands_reach_the_session() {
    let (home, provider) = (Home::new(), Provider::echo());
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let ran = home.ask(gateway.port, "system event --text later");
    assert_eq!((ran.code, ran.out.as_str()), (0, "ok\n"), "{}", ran.err);
    let last = home.ask(gateway.port, "system heartbeat last");
    assert_eq!(last.out.trim(), "null");
    let ran = home.ask(gateway.port, "system heartbeat disable");
    assert!(ran.out.contains("\"enabled\": false"), "{}", ran.err);
    let ran = home.ask(gateway.port, "system event --text muted --mode now");
    assert_eq!(ran.code, 0);
    assert!(home.ask(gateway.port, "system heartbeat enable").out.contains("true"));
    let ran = home.ask(gateway.port, "system event --text urgent --mode now --json");
    assert!(ran.out.contains("\"ok\": true"), "{}", ran.err);
    let said = provider.asked().said();
    assert!(["later", "muted", "urgent"].iter().all(|word| said.contains(word)), "{said}");
    let mut last = home.ask(gateway.port, "system heartbeat last");
    for _ in 0..500 {
        if last.out.trim() != "null" {
            break;
        }
        last = home.ask(gateway.port, "system heartbeat last");
    }
    assert!(last.out.contains("\"ts\"") && last.out.contains("\"no-route\""), "{}", last.out);
    let presence = home.ask(gateway.port, "system presence");
    assert!(serde_json::from_str::<Value>(&presence.out).expect("JSON").is_array());
    let none = home.ask(gateway.port, "system event");
    assert_eq!(none.code, 1);
    assert!(none.err.contains("--text is missing"), "{}", none.err);
    assert!(!TOKEN.is_empty());
}

#[test]
fn a_section_that_is_wrong_is_named() {
    let home = Home::new();
    home.configure(
        "{gateway: {mode: 'local'}, cron: {sessionRetention: 'soon', runLog: {maxBytes: 5}}}",
    );
    let ran = home.run("config validate");
    assert_eq!(ran.code, 1, "{}", ran.out);
    let told = format!("{}{}", ran.out, ran.err);
    assert!(told.contains("cron.sessionRetention") && told.contains("24h"), "{told}");
    assert!(told.contains("cron.runLog.maxBytes"), "{told}");
}
