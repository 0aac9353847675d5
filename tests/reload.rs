//! The file of a running gateway: edits are taken over, bad ones change nothing, runs go on.
#![cfg(feature = "process")]

mod common;

use common::http::{TOKEN, ask, get};
use common::socket::Socket;
use common::{Home, PATIENCE, mode};
use serde_json::{Value, json};
use std::fs;
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
        ("config file --json", 0, "\"path\": "),
        ("config schema --json", 0, "json-schema.org/draft-07"),
        ("config get gateway.port --json", 1, "\"type\": \"cli_error\""),
        ("config get models[\"providers\"].p.models[0].id", 0, "m"),
        ("config set gateway.port 7000 --dry-run --json", 0, "\"inputModes\": ["),
        ("config set gateway.port \"x\" --dry-run --json", 1, "\"kind\": \"schema\""),
        ("config unset gateway.nothing --dry-run --json", 1, "\"kind\": \"missing-path\""),
        ("config set gateway.port", 1, "there is no value"),
        ("config set gateway.port 7 --expect-current-absent --expect-current-json 6", 1, "exclude"),
        ("config set agents.defaults.timeoutSeconds 7 --expect-current-absent", 1, "not what was"),
        ("config set agents.defaults.timeoutSeconds 7 --expect-current-json 6", 1, "not what was"),
        ("config set hooks.token --ref-source env", 1, "needs all of"),
        ("config patch", 1, "--stdin"),
        ("config patch --file /nowhere", 1, "cannot read /nowhere"),
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

#[test]
fn a_file_cut_at_every_byte_never_stops_the_gateway() {
    let home = Home::new();
    home.configure(&config(""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let file = home.state().join("openclaw.json");
    let whole = fs::read_to_string(&file).expect("it");
    // The last byte that counts is the closing brace.
    let end = whole.trim_end().len();
    for cut in 0..whole.len() {
        fs::write(&file, &whole[..cut]).expect("written");
        let said = socket.call("secrets.reload", &json!({}));
        assert_eq!(said.is_ok(), cut >= end, "{cut}: {said:?}");
    }
    let status = socket.call("status", &json!({})).expect("the same socket");
    assert_eq!(status["pid"], gateway.pid());
    assert_eq!(status["configIssues"], json!([]));
    assert_eq!(timeout(&mut socket), 500);
}

#[test]
fn a_damaged_file_stops_no_restart_and_a_start_only_when_asked_otherwise() {
    let home = Home::new();
    home.configure(&config(""));
    let file = home.state().join("openclaw.json");
    let good = home.state().join("openclaw.json.last-good");
    let mut gateway = home.start("");
    assert_eq!(fs::read_to_string(&good).expect("kept"), config(""));
    assert_eq!(mode(&good), 0o600);
    home.configure(&config("").replace("500", "501"));
    gateway.wait_for("agents.defaults.timeoutSeconds changed: applied");
    gateway.wait_for("configuration reread and applied");
    assert!(fs::read_to_string(&good).expect("kept").contains("501"));

    // A restart with a damaged file would be the end: it is refused, by the gateway itself too.
    let damaged = config("").replace("timeoutSeconds", "timeoutSecond");
    home.configure(&damaged);
    let ran = home.run("gateway restart");
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.err.contains("goes on") && ran.err.contains(":4:23: "), "{ran:?}");
    gateway.signal(rustix::process::Signal::USR1);
    gateway.wait_for("no restart: the new gateway would refuse the configuration");
    let mut socket = Socket::connect(gateway.port);
    assert_eq!(timeout(&mut socket), 501);
    gateway.signal(rustix::process::Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(0));

    let ran = home.run("gateway --port 0");
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.err.contains("did you mean agents.defaults.timeoutSeconds?"), "{ran:?}");
    assert!(ran.err.contains("openclaw gateway --last-known-good"), "{ran:?}");
    let mut gateway = home.start("--last-known-good");
    let mut socket = Socket::connect(gateway.port);
    gateway.wait_for("config reload skipped");
    assert_eq!(config_of(&mut socket)["valid"], false);
    assert_eq!(timeout(&mut socket), 501);
    assert_eq!(fs::read_to_string(&file).expect("it"), damaged, "nothing rewrites it");
    home.configure(&config("").replace("500", "502"));
    gateway.wait_for("is valid again");
    until("taken over", || timeout(&mut socket) == 502);
    // What was shown in place of a secret is never kept as good.
    home.configure(&config("").replace(TOKEN, "__OPENCLAW_REDACTED__"));
    gateway.wait_for("promotion skipped");
    assert!(fs::read_to_string(&good).expect("kept").contains("502"));
}

#[test]
fn without_a_good_copy_the_flag_says_so() {
    let home = Home::new();
    home.configure("{gateway: {mode: 'local'");
    let ran = home.run("gateway --port 0 --last-known-good");
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.err.contains("no last-known-good copy"), "{ran:?}");
    let ran = home.run("gateway --port 0");
    assert!(!ran.err.contains("--last-known-good"), "{ran:?}");
}

/// What an edit of each class causes in each mode, on the real file of a real gateway.
#[test]
fn modes_by_classes_of_keys() {
    let file = |mode: &str, seconds: u32, bytes: u32, jobs: &str| {
        format!(
            "{{gateway: {{mode: 'local', auth: {{token: '{TOKEN}'}}, reload: {{mode: '{mode}', \
             debounceMs: 0}}}}, agents: {{defaults: {{timeoutSeconds: {seconds}}}}}, logging: \
             {{maxFileBytes: {bytes}}}, cron: {{store: '~/{jobs}.json'}}}}"
        )
    };
    const HOT: &str = "agents.defaults.timeoutSeconds changed: ";
    const RESTARTS: [&str; 2] = ["logging.maxFileBytes changed: ", "cron.store changed: "];
    let waits = "takes effect after: openclaw gateway restart";
    let restarts = "the gateway restarts in place";
    let off = "it waits for openclaw gateway restart (gateway.reload.mode is off)";
    // Mode, what is said of a hot key and of one that needs a restart, whether each restarts.
    for (mode, hot, cold, hot_restarts, cold_restarts) in [
        ("off", off, off, false, false),
        ("hot", "applied", waits, false, false),
        ("restart", restarts, restarts, true, true),
        ("hybrid", "applied", restarts, false, true),
    ] {
        let home = Home::new();
        home.configure(&file(mode, 500, 1_000_000, "a"));
        let mut gateway = home.start("");
        let pid = gateway.pid();
        let mut socket = Socket::connect(gateway.port);
        for (key, said, goes, text) in [
            (HOT, hot, hot_restarts, file(mode, 501, 1_000_000, "a")),
            (RESTARTS[0], cold, cold_restarts, file(mode, 501, 2_000_000, "a")),
            (RESTARTS[1], cold, cold_restarts, file(mode, 501, 2_000_000, "b")),
        ] {
            home.configure(&text);
            gateway.wait_for(&format!("{key}{said}"));
            if goes {
                assert_eq!(socket.closed().0, Some(1012), "{mode}: {key}");
                gateway.wait_for("listening on ws");
                socket = Socket::connect(gateway.port);
            }
            let status = socket.call("status", &json!({})).expect("the same socket");
            assert_eq!(status["pid"], pid);
            let waits = status["configWaitsForRestart"].to_string();
            let name = key.split(' ').next().expect("a key");
            let stays = mode == "off" || (mode == "hot" && key != HOT);
            assert_eq!(waits.contains(name), stays, "{mode}: {key}: {waits}");
            let want = if mode == "off" { 500 } else { 501 };
            assert_eq!(timeout(&mut socket), want, "{mode}: {key}");
        }
        if mode == "off" {
            gateway.signal(rustix::process::Signal::HUP);
            gateway.wait_for("configuration reread and applied");
            assert_eq!(timeout(&mut socket), 501, "a signal asks for it");
        }
    }
}

#[test]
fn the_command_line_lays_a_patch_and_keeps_what_it_replaces() {
    let home = Home::new();
    let first = config(
        "models: {providers: {p: {baseUrl: 'http://127.0.0.1:9/v1', models: \
        [{id: 'm'}, {id: 'n'}]}}}, env: {vars: {A: 'x'}}, messages: {responsePrefix: '${A}'},",
    );
    home.configure(&first);
    let state = home.state();
    let text = || fs::read_to_string(state.join("openclaw.json")).expect("it");
    let patch = home.0.join("a patch.json5");
    let run = |more: &[&str]| {
        let mut command = home.command("config patch --file");
        common::Ran::of(command.arg(&patch).args(more))
    };
    fs::write(
        &patch,
        "{agents: {defaults: {timeoutSeconds: 8}}, gateway: {port: 7001}, \
        models: {providers: {p: {models: [{id: 'n'}]}}}, // mine too\n session: null}",
    )
    .expect("it");
    let ran = run(&["--dry-run"]);
    assert!(ran.code == 0 && ran.out.contains("nothing was written"), "{ran:?}");
    assert_eq!(text(), first);
    let ran = run(&[]);
    assert!(ran.code == 0 && ran.out.contains("without restarting"), "{ran:?}");
    for part in ["// mine", "// ours", "${A}", "timeoutSeconds: 8", "7001"] {
        assert!(text().contains(part), "{part}: {}", text());
    }
    assert!(!text().contains("id: 'm'"), "an array replaces: {}", text());
    assert_eq!(fs::read_to_string(state.join("openclaw.json.bak")).expect("it"), first);
    assert_eq!(mode(&state.join("openclaw.json.bak")), 0o600);

    // What is not valid is kept, 0600, and the file is as it was.
    let before = text();
    fs::write(&patch, "{gateway: {prot: 1}}").expect("it");
    let ran = run(&[]);
    assert!(ran.code == 1 && ran.err.contains("did you mean gateway.port?"), "{ran:?}");
    assert_eq!(text(), before);
    let names = fs::read_dir(&state).expect("it").flatten().map(|it| it.path());
    let kept: Vec<_> = names.filter(|it| it.to_string_lossy().contains(".rejected.")).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(fs::read_to_string(&kept[0]).expect("it").contains("prot"));
    assert_eq!(mode(&kept[0]), 0o600);

    // A reference that stands for nothing is told before it is written.
    let line = "config set hooks.token --ref-source env --ref-provider default --ref-id NOT_SET";
    let ran = home.run(&format!("{line} --dry-run --json"));
    let said: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"));
    assert_eq!((ran.code, &said["ok"]), (1, &json!(false)), "{said}");
    assert_eq!(said["inputModes"], json!(["builder"]));
    assert_eq!(said["errors"][0]["kind"], "resolvability", "{said}");
    // Somebody else's file is not written, by the gateway neither.
    let line = "config set agents.defaults.timeoutSeconds 9";
    let ran = common::Ran::of(home.command(line).env("OPENCLAW_CONFIG_READONLY", "1"));
    assert!(ran.code == 1 && ran.err.contains("OPENCLAW_CONFIG_READONLY=1"), "{ran:?}");
    let mut command = home.command("gateway --port 0");
    let gateway = common::Gateway::start(command.env("OPENCLAW_CONFIG_READONLY", "1"));
    let mut socket = Socket::connect(gateway.port);
    let error = socket.call("config.patch", &json!({"raw": "{}"})).expect_err("not ours");
    assert!(error["message"].as_str().expect("text").contains("managed from outside"), "{error}");
    assert_eq!(text(), before);
}
