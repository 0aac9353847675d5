//! The file of a running gateway: edits are taken over, bad ones change nothing, runs go on.
#![cfg(feature = "process")]

mod common;

use common::http::{TOKEN, ask, chat, get};
use common::provider::Provider;
use common::socket::Socket;
use common::{Home, PATIENCE, mode};
use serde_json::{Value, json};
use std::fs;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Instant;

fn config(more: &str) -> String {
    format!(
        "// mine\n{{\n  gateway: {{mode: 'local', auth: {{token: '{TOKEN}'}}, reload: {{debounceMs: \
         0}}}}, // ours\n  agents: {{defaults: {{timeoutSeconds: 500}}}},\n  {more}\n}}\n"
    )
}

/// Asks until the answer is right.
fn until(what: &str, mut right: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !right() {
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

fn config_of(socket: &mut Socket) -> Value {
    socket.call("config.get", &json!({})).expect("config.get")
}

fn timeout(socket: &mut Socket) -> Value {
    config_of(socket)["config"]["agents"]["defaults"]["timeoutSeconds"].clone()
}

#[test]
fn an_edit_is_taken_over_and_a_bad_one_is_not() {
    let home = Home::new();
    home.configure(&config(""));
    let mut gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let file = home.state().join("openclaw.json");
    // An editor: beside, then renamed over it.
    fs::write(home.state().join("new"), config("").replace("500", "501")).expect("written");
    fs::rename(home.state().join("new"), &file).expect("renamed");
    gateway.wait_for("agents.defaults.timeoutSeconds changed: applied");
    let event = socket.event(|frame| frame["event"] == "config.changed");
    assert_eq!(event["payload"]["path"], json!(file));
    let after = config_of(&mut socket);
    assert_eq!(after["config"]["agents"]["defaults"]["timeoutSeconds"], 501);
    assert_eq!(after["hash"], event["payload"]["hash"]);

    let whole = fs::read_to_string(&file).expect("it");
    for cut in (0..whole.trim_end().len()).step_by(23) {
        fs::write(&file, &whole[..cut]).expect("written");
    }
    fs::write(&file, whole.replace("timeoutSeconds", "timeoutSecond")).expect("written");
    gateway.wait_for("did you mean agents.defaults.timeoutSeconds?");
    let broken = config_of(&mut socket);
    assert_eq!(broken["valid"], false);
    assert_eq!(broken["issues"][0]["line"], 4);
    assert_eq!(broken["issues"][0]["path"], "agents.defaults.timeoutSecond");
    assert_eq!(broken["config"]["agents"]["defaults"]["timeoutSeconds"], 501);
    let health = socket.call("health", &json!({})).expect("health");
    assert_eq!(health["configReload"]["hotReloadStatus"], "disabled");
    assert_eq!(health["configIssues"][0]["column"], 23, "{health}");
    let status = socket.call("status", &json!({})).expect("status");
    assert_eq!(status["configIssues"][0]["file"], json!(file));
    fs::write(&file, whole.replace("501", "502")).expect("written");
    gateway.wait_for("is valid again");
    until("taken over", || timeout(&mut socket) == 502);
}

#[test]
fn every_hot_key_is_edited_amid_a_run_and_the_run_goes_on() {
    let home = Home::new();
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let provider = Provider::start(move |_, reply| {
        reply.head();
        reply.delta("one ");
        wait.lock().expect("it").recv().expect("the test says when");
        reply.delta("two");
        reply.finish("stop");
    });
    let text = provider.config("logging: {level: 'info'}");
    home.configure(&text);
    let mut gateway = home.start("");
    let port = gateway.port;
    let mut socket = Socket::connect(port);
    let body = json!({"model": "openclaw", "stream": true,
        "messages": [{"role": "user", "content": "count"}]});
    let run = std::thread::spawn(move || ask(port, chat(&body)));
    provider.asked();
    let pid = gateway.pid();
    for (path, more) in [
        ("session.scope", ", session: {scope: 'global'}"),
        ("messages.responsePrefix", ", messages: {queue: {cap: 5}}"),
        ("hooks.enabled", ", hooks: {enabled: true, token: 'hook-token-hook-token', path: '/h'}"),
        ("tools.web", ", tools: {exec: {timeoutSec: 9}}"),
        ("skills", ", skills: {entries: {none: {enabled: false}}}"),
        ("agents", ", env: {vars: {A_NAME: 'b'}}"),
    ] {
        let open = text.trim_end().strip_suffix('}').expect("an object");
        home.configure(&format!("{open}{more}}}"));
        let valid = home.run("config validate");
        assert_eq!(valid.code, 0, "{path}: {}", valid.out);
        gateway.wait_for("configuration reread and applied");
    }
    home.configure(&text.replace(
        "chatCompletions: {",
        "responses: {enabled: true}, \
        chatCompletions: {",
    ));
    gateway.wait_for("gateway.http.endpoints.responses.enabled changed: applied");
    go.send(()).expect("it waits");
    let answer = run.join().expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(answer.data().iter().any(|data| data.contains("two")), "{:?}", answer.data());
    let status = socket.call("status", &json!({})).expect("the same socket");
    assert_eq!(status["pid"], pid);
}

#[test]
fn a_key_that_needs_a_restart_restarts_in_place() {
    let home = Home::new();
    home.configure(&config(""));
    let mut gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    home.configure(&config("logging: {maxFileBytes: 7654321},"));
    gateway.wait_for("logging.maxFileBytes changed: the gateway restarts in place");
    assert_eq!(socket.closed().0, Some(1012));
    gateway.wait_for("ws://");
    let mut socket = Socket::connect(gateway.port);
    let status = socket.call("status", &json!({})).expect("status");
    assert_eq!(status["pid"], gateway.pid(), "the same process");
    assert_eq!(status["configWaitsForRestart"], json!([]));
}

#[test]
fn a_write_is_guarded_redacted_kept_and_announced() {
    let home = Home::new();
    home.configure(&config("env: {vars: {A: 'x'}}, messages: {responsePrefix: '${A}'},"));
    let mut gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let file = home.state().join("openclaw.json");
    let before = config_of(&mut socket);
    let raw = before["raw"].as_str().expect("text").to_owned();
    assert!(!raw.contains(TOKEN), "{raw}");
    let patch = |hash: &Value, raw: Value| json!({"raw": raw.to_string(), "baseHash": hash});
    let new = json!({"agents": {"defaults": {"timeoutSeconds": 77}}});
    let done = socket.call("config.patch", &patch(&before["hash"], new)).expect("written");
    assert_eq!(done["changedPaths"], json!(["agents.defaults.timeoutSeconds"]));
    assert_eq!(done["config"]["gateway"]["auth"]["token"], "__OPENCLAW_REDACTED__");
    let event = socket.event(|frame| frame["event"] == "config.changed");
    assert_eq!(event["payload"]["hash"], done["hash"]);
    let text = fs::read_to_string(&file).expect("it");
    for kept in ["// mine", "// ours", "${A}", TOKEN, "timeoutSeconds: 77"] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    assert_eq!(mode(&file), 0o600);
    let bak = home.state().join("openclaw.json.bak");
    assert!(fs::read_to_string(&bak).expect("a copy").contains("timeoutSeconds: 500"));
    assert_eq!(mode(&bak), 0o600);

    for (method, params, want) in [
        ("config.set", json!({"raw": raw}), "config base hash required"),
        ("config.set", json!({"raw": raw, "baseHash": before["hash"]}), "changed since last load"),
        ("config.set", json!({"raw": "{oops", "baseHash": done["hash"]}), "SyntaxError: JSON5: "),
        ("config.apply", json!({"raw": "{a: 1}", "baseHash": done["hash"]}), "invalid config: a:"),
        ("config.apply", json!({"raw": "{}", "baseHash": done["hash"]}), "invalid config: "),
        ("config.patch", patch(&done["hash"], json!({"gateway": {"port": "x"}})), "gateway.port"),
        ("config.openFile", json!({}), "not offered"),
        ("config.apply", json!({}), "must have required property 'raw'"),
    ] {
        let error = socket.call(method, &params).expect_err(method);
        let message = error["message"].as_str().expect("a text").to_owned();
        assert!(message.contains(want), "{method}: {message}");
    }
    assert_eq!(fs::read_to_string(&file).expect("it"), text, "nothing was written");
    let names = fs::read_dir(home.state()).expect("it").flatten();
    let rejected = |name: &str| name.contains(".rejected.");
    assert!(names.map(|it| it.file_name()).any(|name| rejected(&name.to_string_lossy())));

    // Back to what was shown: the secret stays the secret.
    let set = json!({"raw": raw, "baseHash": done["hash"]});
    let done = socket.call("config.set", &set).expect("written");
    assert_eq!(timeout(&mut socket), 500);
    assert_eq!(
        fs::read_to_string(&file).expect("it"),
        config("env: {vars: {A: 'x'}}, messages: {responsePrefix: '${A}'},")
    );
    assert_eq!(ask(gateway.port, get("/v1/models")).status, 200, "the secret still opens");
    // An edit by hand in between is not overwritten.
    fs::write(&file, text.replace("77", "78")).expect("written");
    let late = json!({"raw": raw, "baseHash": done["hash"]});
    assert!(socket.call("config.set", &late).is_err());
    gateway.wait_for("agents.defaults.timeoutSeconds changed");
}

#[test]
fn who_may_not_administer_may_not_write() {
    let home = Home::new();
    home.configure(&config(""));
    let gateway = home.start("");
    let mut params = common::socket::params();
    params["scopes"] = json!(["operator.read", "operator.write"]);
    let mut socket = Socket::with(gateway.port, &params);
    for method in ["config.set", "config.patch", "config.apply", "config.openFile"] {
        let error = socket.call(method, &json!({"raw": "{}"})).expect_err(method);
        assert_eq!(error["details"]["missingScope"], "operator.admin", "{error}");
    }
}

#[test]
fn writes_are_limited() {
    let home = Home::new();
    home.configure(&config(""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let mut refused = 0;
    for _ in 0..31 {
        let error = socket.call("config.patch", &json!({"raw": "{}"})).expect_err("no hash");
        refused += u32::from(error["code"] == "UNAVAILABLE");
        assert!(refused == 0 || error["retryAfterMs"].as_u64().is_some_and(|ms| ms <= 60_000));
    }
    assert_eq!(refused, 1);
}

#[test]
fn the_command_line_looks_and_edits() {
    let home = Home::new();
    home.configure(&config(
        "models: {providers: {p: {baseUrl: 'http://127.0.0.1:9/v1', models: \
        [{id: 'm'}]}}},",
    ));
    let text = || fs::read_to_string(home.state().join("openclaw.json")).expect("it");
    let before = text();
    for (line, code, part) in [
        ("config get agents.defaults.timeoutSeconds", 0, "500"),
        ("config get gateway.auth.token", 0, "__OPENCLAW_REDACTED__"),
        ("config get models.providers.p.models[0].id --json", 0, "\"m\""),
        ("config get gateway.port", 1, "its default holds"),
        ("config get gateway.prot", 1, "openclaw config schema"),
        ("config schema", 0, "json-schema.org/draft-07"),
        ("config set agents.defaults.timeoutSeconds 500", 0, "No change"),
        ("config set gateway.port 7000 --dry-run", 0, "nothing was written"),
        ("config set gateway.port x --dry-run", 1, "gateway.port"),
        ("config set gateway.port 'x --strict-json", 1, "is not JSON"),
        ("config set models.providers {\"q\":{}} --strict-json", 1, "would remove p"),
        ("config unset gateway.reload --dry-run", 0, "nothing was written"),
        ("config unset gateway.nothing", 1, "gateway.nothing"),
    ] {
        let ran = home.run(line);
        assert_eq!(ran.code, code, "{line}: {}{}", ran.out, ran.err);
        assert!(format!("{}{}", ran.out, ran.err).contains(part), "{line}: {}{}", ran.out, ran.err);
    }
    assert_eq!(text(), before, "nothing was written");
    for (line, part) in [
        ("config set agents.defaults.timeoutSeconds 9", "without restarting"),
        ("config set logging.maxFileBytes 7000000", "Restart the gateway to apply."),
        ("config set models.providers.p.models [{\"id\":\"n\"}] --strict-json --merge", "without"),
    ] {
        let ran = home.run(line);
        assert!(ran.code == 0 && ran.out.contains(part), "{line}: {}{}", ran.out, ran.err);
    }
    let after = text();
    for part in ["// mine", "timeoutSeconds: 9", "7000000", "{id: 'm'}, {\"id\":\"n\"}"] {
        assert!(after.contains(part), "{part}: {after}");
    }
}
