//! The gateway as a service: what `gateway install` writes and types, on a host without a user
//! bus, with a `systemctl` that notes what it was asked, and through a whole life.

#![cfg(all(target_os = "linux", feature = "process"))]

mod common;

use common::{Gateway, Home, PATIENCE, Ran, mode};
use serde_json::Value;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::process::Command;

const CONFIG: &str = "{gateway: {mode: 'local', auth: {token: 'canary-config-token'}}}";

fn unit(home: &Home, name: &str) -> PathBuf {
    home.0.join(".config/systemd/user").join(name)
}

fn read(path: &PathBuf) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A `systemctl` that writes its words down and answers as told.
fn noted(home: &Home, body: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let dir = home.0.join("bin");
    std::fs::create_dir_all(&dir).unwrap();
    let script = dir.join("systemctl");
    let log = home.0.join("typed");
    let text = format!("#!/bin/sh\necho \"systemctl $*\" >> {}\n{body}\n", log.display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    log
}

fn with_path(home: &Home, line: &str) -> Command {
    let mut command = home.command(line);
    command.env("PATH", format!("{}:/usr/bin:/bin", home.0.join("bin").display()));
    command
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[test]
fn without_a_user_bus_the_unit_is_written_and_two_commands_are_left() {
    let home = Home::new();
    home.configure(CONFIG);
    let ran = home.run("--profile rescue gateway install");
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.err.contains("Gateway start blocked: set gateway.mode=local"), "{ran:?}");
    assert!(!unit(&home, "openclaw-gateway-rescue.service").exists());

    let ran = home.run("gateway install");
    assert_eq!(ran.code, 0, "{ran:?}");
    let path = unit(&home, "openclaw-gateway.service");
    let text = read(&path);
    for part in [
        "Restart=always\n",
        "TimeoutStopSec=330\n",
        "Type=notify\n",
        "WatchdogSec=60\n",
        "NoNewPrivileges=yes\n",
        env!("CARGO_BIN_EXE_openclaw"),
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("canary"), "{text}");
    assert_eq!(mode(&path), 0o644);
    let typed: Vec<&str> =
        ran.out.lines().map(str::trim).filter(|line| line.starts_with("systemctl")).collect();
    assert_eq!(
        typed,
        [
            "systemctl --user daemon-reload",
            "systemctl --user enable --now openclaw-gateway.service"
        ],
        "{ran:?}"
    );
    assert!(ran.out.contains("no user bus"), "{ran:?}");

    // Again: nothing is written; with --force it is.
    std::fs::write(&path, text.replace("TimeoutStopSec=330", "TimeoutStopSec=10")).unwrap();
    let ran = home.run("gateway install --json");
    let said = json(&ran);
    assert_eq!((&said["result"], &said["ok"]), (&"already-installed".into(), &true.into()));
    assert!(said["warnings"][0].as_str().unwrap().contains("shutdown budget"), "{said}");
    assert!(read(&path).contains("TimeoutStopSec=10\n"));
    let ran = home.run("gateway install --force --json");
    let said = json(&ran);
    assert_eq!((&said["action"], &said["result"]), (&"install".into(), &"installed".into()));
    assert_eq!(said["service"]["label"], "systemd");
    assert_eq!(read(&path), text);

    let ran = home.run("gateway start");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("systemctl --user start openclaw-gateway.service"), "{ran:?}");
    let ran = home.run("gateway uninstall");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!path.exists(), "{ran:?}");
    let ran = home.run("gateway uninstall --json");
    assert_eq!(json(&ran)["result"], "not-loaded");
    for line in ["gateway start", "gateway restart"] {
        let ran = home.run(line);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains("openclaw gateway install"), "{ran:?}");
    }
}

#[test]
fn no_secret_gets_into_a_unit_and_the_place_for_it_is_named() {
    let home = Home::new();
    home.configure(
        "{gateway: {mode: 'local'}, models: {providers: {lab: {baseUrl: \
        'http://127.0.0.1:1/v1', api: 'openai-completions', apiKey: '${LAB_KEY}', \
        models: [{id: 'x'}]}}}}",
    );
    let mut install = home.command("gateway install --token canary-flag");
    install
        .env("LAB_KEY", "canary-key")
        .env("OPENCLAW_GATEWAY_PASSWORD", "canary-password")
        .env("HTTPS_PROXY", "http://u:canary-proxy@127.0.0.1:1")
        .env("TZ", "Europe/Berlin");
    let ran = Ran::of(&mut install);
    assert_eq!(ran.code, 0, "{ran:?}");
    let text = read(&unit(&home, "openclaw-gateway.service"));
    assert!(!text.contains("canary"), "{text}");
    assert!(text.contains("\"TZ=Europe/Berlin\""), "{text}");
    assert!(!ran.out.contains("canary"), "{ran:?}");
    for part in ["LAB_KEY", "OPENCLAW_GATEWAY_PASSWORD", ".openclaw/.env"] {
        assert!(ran.out.contains(part), "{part}: {ran:?}");
    }
    let dotenv = home.state().join(".env");
    assert_eq!(read(&dotenv), "OPENCLAW_GATEWAY_TOKEN='canary-flag'\n");
    assert_eq!(mode(&dotenv), 0o600);

    // What the configuration has already is not doubled.
    home.configure(CONFIG);
    let ran = home.run("gateway install --force --token other");
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.err.contains("gateway.auth.token stands in"), "{ran:?}");
}

#[test]
fn a_manager_is_asked_in_the_runbooks_words() {
    let home = Home::new();
    home.configure(CONFIG);
    std::fs::create_dir_all(home.0.join(".openclaw-rescue")).unwrap();
    std::fs::write(home.0.join(".openclaw-rescue/openclaw.json"), CONFIG).unwrap();
    let log = noted(&home, "exit 0");
    let run = |line: &str| {
        let _ = std::fs::remove_file(&log);
        let ran = Ran::of(&mut with_path(&home, line));
        (ran, std::fs::read_to_string(&log).unwrap_or_default())
    };
    let (ran, typed) = run("--profile rescue gateway install --port 19555");
    assert_eq!(ran.code, 0, "{ran:?}");
    let name = "openclaw-gateway-rescue.service";
    assert_eq!(
        typed,
        format!("systemctl --user daemon-reload\nsystemctl --user enable --now {name}\n")
    );
    assert!(ran.out.contains("openclaw config set gateway.port 19555"), "{ran:?}");
    let text = read(&unit(&home, name));
    assert!(text.contains("\"gateway\" \"--port\" \"19555\"\n"), "{text}");
    assert!(text.contains("\"OPENCLAW_PROFILE=rescue\"\n"), "{text}");

    let (ran, typed) = run("--profile rescue gateway start");
    assert_eq!(
        (ran.code, typed.as_str()),
        (0, "systemctl --user start openclaw-gateway-rescue.service\n")
    );
    let (ran, typed) = run("--profile rescue gateway restart");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        typed.ends_with("systemctl --user restart openclaw-gateway-rescue.service\n"),
        "{typed}"
    );
    // Another state directory under the same name is not ours to stop.
    let mut other = with_path(&home, "--profile rescue gateway uninstall");
    let ran = Ran::of(other.env("OPENCLAW_STATE_DIR", home.0.join("elsewhere")));
    assert!(ran.out.contains("another state directory"), "{ran:?}");
    assert!(unit(&home, name).exists());
    let (ran, typed) = run("--profile rescue uninstall --service --yes");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        typed,
        format!("systemctl --user disable --now {name}\nsystemctl --user daemon-reload\n")
    );
    assert!(!unit(&home, name).exists(), "{ran:?}");
}

#[test]
fn status_shows_the_definition_and_how_it_has_drifted() {
    let home = Home::new();
    home.configure(CONFIG);
    let status = |line: &str| home.run(&format!("gateway status --no-probe {line}"));
    assert!(status("").out.contains("not installed"));
    assert_eq!(json(&status("--json"))["service"]["command"], Value::Null);
    assert_eq!(home.run("gateway install").code, 0);
    let service = json(&status("--json"))["service"].clone();
    assert_eq!(service["label"], "systemd");
    assert_eq!(service["configAudit"]["ok"], true, "{service}");
    assert_eq!(service["command"]["programArguments"][1], "gateway", "{service}");
    let dir = home.state();
    assert_eq!(service["command"]["environment"]["OPENCLAW_STATE_DIR"], dir.to_str().unwrap());

    let path = unit(&home, "openclaw-gateway.service");
    let drifted = read(&path)
        .replace("\"gateway\"", "\"gateway\" \"--port\" \"1234\"")
        .replace("Type=notify\n", "Type=notify\nEnvironment=OPENCLAW_GATEWAY_TOKEN=canary\n");
    std::fs::write(&path, drifted).unwrap();
    let ran = status("--json");
    assert!(!ran.out.contains("canary"), "{ran:?}");
    let issues = json(&ran)["service"]["configAudit"]["issues"].clone();
    let codes: Vec<&str> =
        issues.as_array().unwrap().iter().map(|it| it["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["gateway-port-mismatch", "gateway-token-embedded"]);
    let ran = status("");
    assert!(ran.out.contains("Service drift"), "{ran:?}");
    assert!(ran.out.contains("(1234"), "{ran:?}");
    assert!(!ran.out.contains("canary"), "{ran:?}");

    // A drop-in is part of what is in force.
    assert_eq!(home.run("gateway install --force").code, 0);
    let dir = home.0.join(".config/systemd/user/openclaw-gateway.service.d");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("a.conf"), "[Service]\nTimeoutStopSec=5\n").unwrap();
    let issues = json(&status("--json"))["service"]["configAudit"]["issues"].clone();
    assert_eq!(issues[0]["code"], "systemd-stop-timeout");

    // Others are found when asked for.
    let other = unit(&home, "openclaw-gateway-other.service");
    std::fs::write(&other, "[Service]\nExecStart=/opt/openclaw gateway --port 1\n").unwrap();
    assert_eq!(json(&status("--json"))["extraServices"], serde_json::json!([]));
    let extra = json(&status("--json --deep"))["extraServices"].clone();
    assert_eq!(extra[0]["label"], "openclaw-gateway-other", "{extra}");
    assert_eq!((&extra[0]["scope"], &extra[0]["platform"]), (&"user".into(), &"linux".into()));
}

#[test]
fn a_system_unit_needs_an_account_and_is_printed_without_being_written() {
    let home = Home::new();
    home.configure(CONFIG);
    let ran = home.run("gateway install --system --print");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("--user <account>"), "{ran:?}");
    let ran = home.run("gateway install --system --user root --print");
    assert!(ran.err.contains("as root"), "{ran:?}");
    let ran = home.run("gateway install --system --user claw --print");
    assert_eq!(ran.code, 0, "{ran:?}");
    // The account's own home counts, not that of who types.
    let mut daemon = home.command("gateway install --system --user daemon --print");
    let ran_daemon = Ran::of(daemon.env_remove("OPENCLAW_STATE_DIR"));
    assert!(ran_daemon.out.contains("User=daemon\n"), "{ran_daemon:?}");
    let state = "\"OPENCLAW_STATE_DIR=/usr/sbin/.openclaw\"\n";
    assert!(ran_daemon.out.contains(state), "{ran_daemon:?}");
    for part in ["User=claw\n", "ProtectSystem=strict\n", "CapabilityBoundingSet=\n"] {
        assert!(ran.out.contains(part), "{part}: {ran:?}");
    }
    assert!(!home.0.join(".config").exists());
}

/// The next message that is no sign of life.
fn heard(manager: &UnixDatagram) -> String {
    let mut bytes = [0; 1024];
    loop {
        let n = manager.recv(&mut bytes).expect("a message in time");
        let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
        if text != "WATCHDOG=1" {
            return text;
        }
    }
}

#[test]
fn the_manager_hears_of_every_change_on_both_kinds_of_sockets() {
    let home = Home::new();
    home.configure(CONFIG);
    let path = home.0.join("notify");
    let name = format!("openclaw-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
    for (manager, socket) in [
        (UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap().to_owned()),
        (UnixDatagram::bind_addr(&address).unwrap(), format!("@{name}")),
    ] {
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = home.command("gateway --port 0");
        command.env("NOTIFY_SOCKET", &socket);
        let mut gateway = Gateway::start(&mut command);
        let ready = heard(&manager);
        let main = format!("MAINPID={}", gateway.pid());
        assert!(ready.starts_with("READY=1\n") && ready.contains(&main), "{ready}");
        let port = format!("STATUS=listening on 127.0.0.1:{}", gateway.port);
        assert!(ready.contains(&port), "{ready}");

        gateway.signal(rustix::process::Signal::HUP);
        assert!(heard(&manager).starts_with("RELOADING=1"));
        assert!(heard(&manager).starts_with("READY=1"));
        // The image after a restart in place has the same pid, and says so again.
        gateway.signal(rustix::process::Signal::USR1);
        assert!(heard(&manager).starts_with("STATUS=restarting"));
        assert!(heard(&manager).starts_with("RELOADING=1"));
        let ready = heard(&manager);
        assert!(ready.starts_with("READY=1\n") && ready.contains(&main), "{ready}");
        gateway.signal(rustix::process::Signal::TERM);
        assert!(heard(&manager).starts_with("STOPPING=1"));
        assert_eq!(gateway.wait().code(), Some(0));
    }
    // A name that leads nowhere is no reason not to serve.
    let mut command = home.command("gateway --port 0");
    let mut gateway = Gateway::start(command.env("NOTIFY_SOCKET", "nowhere"));
    gateway.signal(rustix::process::Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(0));
}
