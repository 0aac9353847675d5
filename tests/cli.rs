//! The real binary, as an operator meets it.

mod common;

use common::{DeadPort, Gateway, Home, Ran, mode};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const BLOCKED: &str = "Gateway start blocked: set gateway.mode=local";
const LOCAL: &str = "{gateway: {mode: 'local', auth: {token: 'from-the-file'}}}";

#[test]
fn version_and_help_need_no_home_and_read_no_file() {
    let home = Home::new();
    home.configure("{ this is not json5");
    for line in ["--version", "-V", "gateway --version"] {
        let ran = Ran::of(home.command(line).env_remove("HOME"));
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(ran.out, format!("openclaw {}\n", env!("CARGO_PKG_VERSION")));
    }
    for line in ["--help", "help", "gateway --help", "--dev gateway status -h", "agent --help"] {
        let ran = Ran::of(home.command(line).env_remove("HOME"));
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.contains("Usage: openclaw"), "{ran:?}");
    }
}

#[test]
fn a_slip_names_the_nearest_word_and_exits_2() {
    let home = Home::new();
    for (line, want) in [
        ("gateway --prot 1", "did you mean --port?"),
        ("gateway stauts", "did you mean `openclaw gateway status`?"),
        ("lgos", "did you mean `openclaw logs`?"),
    ] {
        let ran = home.run(line);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains(want), "{ran:?}");
        assert!(ran.out.is_empty(), "{ran:?}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_panic() {
    let home = Home::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = home.command("--help").stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn without_a_configuration_the_start_is_blocked_and_leaves_nothing_behind() {
    let home = Home::new();
    let ran = home.run("gateway --port 0");
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.err.contains(BLOCKED), "{ran:?}");
    assert!(ran.err.contains("openclaw setup"), "{ran:?}");
    assert!(!home.state().exists());
}

#[test]
fn a_damaged_or_remote_configuration_blocks() {
    let home = Home::new();
    for text in ["{ gateway: { mode: 'local', ", "{gateway: {mode: 'remote'}}"] {
        home.configure(text);
        let ran = home.run("gateway --port 0");
        assert_eq!(ran.code, 78, "{text}: {ran:?}");
        assert!(ran.err.contains(BLOCKED), "{text}: {ran:?}");
    }
}

#[test]
fn unconfigured_it_keeps_a_private_token_and_never_prints_it() {
    let home = Home::new();
    let token_file = home.state().join("gateway-token");
    let first = {
        let mut gateway = home.start("--allow-unconfigured");
        let token = std::fs::read_to_string(&token_file).unwrap();
        assert_eq!(token.trim().len(), 43);
        assert_eq!(mode(&token_file), 0o600);
        assert_eq!(mode(&home.state()), 0o700);
        assert_eq!(mode(&home.state().join("logs/openclaw.log")), 0o600);
        assert_eq!(mode(&home.state().join("gateway.lock")), 0o600);
        gateway.wait_for("Try it:");
        let said = gateway.seen().join("\n");
        assert!(gateway.seen()[0].contains(&format!("ws://127.0.0.1:{}", gateway.port)), "{said}");
        assert!(!said.contains(token.trim()), "{said}");
        assert!(said.contains(token_file.to_str().unwrap()), "{said}");
        token
    };
    let _again = home.start("--allow-unconfigured");
    assert_eq!(std::fs::read_to_string(&token_file).unwrap(), first);
}

#[test]
fn dev_writes_a_first_configuration_and_never_rewrites_it() {
    let home = Home::new();
    let path = home.0.join(".openclaw-dev/openclaw.json");
    let first = {
        let mut gateway = home.start("--dev");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("mode: \"local\""), "{text}");
        let secret = text.split("token: \"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(secret.len(), 43, "{text}");
        gateway.wait_for("Try it:");
        assert!(!gateway.seen().join("\n").contains(secret), "{:?}", gateway.seen());
        let ran = home.ask(gateway.port, "--dev gateway status");
        assert_eq!(ran.code, 0, "{ran:?}");
        text
    };
    let _again = home.start("--dev");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
}

#[test]
fn flag_beats_file_beats_environment() {
    let home = Home::new();
    home.configure(LOCAL);
    let health = |gateway: &Gateway, token: &str| {
        home.ask(gateway.port, &format!("health --token {token}")).code
    };
    let mut command = home.command("gateway --port 0");
    command.env("OPENCLAW_GATEWAY_TOKEN", "from-env");
    {
        let mut gateway = Gateway::start(&mut command);
        gateway.wait_for("hold different secrets: the file wins");
        assert_eq!(health(&gateway, "from-the-file"), 0);
        assert_eq!(health(&gateway, "from-env"), 1);
    }
    {
        let gateway = Gateway::start(command.args(["--token", "from-flag"]));
        assert_eq!(health(&gateway, "from-flag"), 0);
        assert_eq!(health(&gateway, "from-the-file"), 1);
    }
    home.configure("{gateway: {mode: 'local'}}");
    let mut command = home.command("gateway --port 0");
    let gateway = Gateway::start(command.env("OPENCLAW_GATEWAY_TOKEN", "from-env"));
    assert_eq!(health(&gateway, "from-env"), 0);
}

#[test]
fn a_kept_token_that_others_can_reach_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    drop(home.start("--allow-unconfigured"));
    let file = home.state().join("gateway-token");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = home.run("gateway --port 0 --allow-unconfigured");
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.err.contains("other users can get at the file"), "{ran:?}");
    assert!(ran.err.contains(&format!("rm {}", file.display())), "{ran:?}");
}

#[test]
fn a_password_may_come_from_a_file() {
    let home = Home::new();
    let file = home.0.join("pw");
    std::fs::write(&file, "hunter2\n").unwrap();
    let line = format!("--allow-unconfigured --auth password --password-file {}", file.display());
    let gateway = home.start(&line);
    let good = home.ask(gateway.port, "health --password hunter2");
    assert_eq!(good.code, 0, "{good:?}");
    let bad = home.ask(gateway.port, "health --password hunter3");
    assert_eq!(bad.code, 1, "{bad:?}");
}

#[test]
fn beyond_loopback_there_is_no_start_without_auth() {
    let home = Home::new();
    let ran = home.run("gateway --port 0 --allow-unconfigured --bind lan --auth none");
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.err.contains("refusing to bind gateway to 0.0.0.0:0 without auth"), "{ran:?}");
}

#[test]
fn a_stranger_on_the_port_is_named_and_left_alone() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let ran = home.run(&format!("gateway --port {} --allow-unconfigured", addr.port()));
    assert_eq!(ran.code, 1, "{ran:?}");
    let want = format!("another gateway instance is already listening on ws://{addr}");
    assert!(ran.err.contains(&want), "{ran:?}");
    assert!(ran.err.contains("EADDRINUSE"), "{ran:?}");
    assert!(ran.err.contains(&format!("pid {}", std::process::id())), "{ran:?}");
    assert!(ran.err.contains("Next: openclaw gateway status"), "{ran:?}");
    assert!(TcpStream::connect(addr).is_ok());
}

#[cfg(feature = "process")]
#[test]
fn force_ends_a_listener_of_ours_and_takes_its_port() {
    let (old_home, new_home) = (Home::new(), Home::new());
    let mut old = old_home.start("--allow-unconfigured");
    let line = format!("gateway --port {} --allow-unconfigured --force", old.port);
    let new = Gateway::start(&mut new_home.command(&line));
    assert_eq!(new.port, old.port);
    assert_eq!(old.wait().code(), Some(0), "{:?}", old.seen());
}

#[cfg(feature = "process")]
#[test]
fn force_replaces_the_gateway_of_the_same_state() {
    let home = Home::new();
    let mut old = home.start("--allow-unconfigured");
    let line = format!("gateway --port {} --allow-unconfigured --force", old.port);
    let new = Gateway::start(&mut home.command(&line));
    assert_eq!(new.port, old.port);
    assert_eq!(old.wait().code(), Some(0), "{:?}", old.seen());
    assert_eq!(home.ask(new.port, "health").code, 0);
}

#[cfg(feature = "process")]
#[test]
fn force_kills_what_does_not_listen_to_term() {
    let (old_home, new_home) = (Home::new(), Home::new());
    let mut old = old_home.start("--allow-unconfigured");
    // A stopped process takes no TERM.
    old.signal(rustix::process::Signal::STOP);
    let line = format!("gateway --port {} --allow-unconfigured --force", old.port);
    let new = Gateway::start(&mut new_home.command(&line));
    assert_eq!(new.port, old.port);
    assert_eq!(old.wait().code(), None);
}

#[test]
fn one_gateway_a_state_directory() {
    let home = Home::new();
    let gateway = home.start("--allow-unconfigured");
    let ran = home.run("gateway --port 0 --allow-unconfigured");
    assert_eq!(ran.code, 1, "{ran:?}");
    let want = format!("another gateway (pid {}) already uses", gateway.pid());
    assert!(ran.err.contains(&want), "{ran:?}");

    // On its own port it is told of by that, and a stranger elsewhere is not ended in vain.
    let line = format!("gateway --port {} --allow-unconfigured", gateway.port);
    let ran = home.run(&line);
    assert!(ran.err.contains("already listening"), "{ran:?}");
    let other_home = Home::new();
    let other = other_home.start("--allow-unconfigured");
    let line = format!("gateway --port {} --allow-unconfigured --force", other.port);
    let ran = home.run(&line);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains(&want), "{ran:?}");
    assert_eq!(other_home.ask(other.port, "health").code, 0);
}

#[test]
fn with_no_gateway_every_client_command_fails_fast_and_says_what_to_type() {
    let home = Home::new();
    let dead = DeadPort::new();
    let port = dead.number();
    for line in [
        "gateway status",
        "gateway call health",
        "gateway health",
        "health",
        "status",
        "logs",
        "logs --follow",
        "agent --message hi",
        "sessions",
        "models list",
        "channels status",
    ] {
        let ran = home.ask(port, line);
        // What the file says of the channels is shown: no failure, as in the reference.
        let of_the_file = line == "channels status";
        assert_eq!(ran.code, i32::from(!of_the_file), "{line}: {ran:?}");
        let said = format!("{}{}", ran.out, ran.err);
        assert!(said.contains(&format!("ws://127.0.0.1:{port}")), "{line}: {said}");
        assert!(said.contains("no gateway answers"), "{line}: {said}");
        assert!(said.contains("Next: openclaw gateway run"), "{line}: {said}");
        assert!(ran.took < Duration::from_secs(5), "{line}: {ran:?}");
        let as_json = home.ask(port, &format!("{line} --json"));
        assert_eq!(as_json.code, i32::from(!of_the_file), "{line}: {as_json:?}");
        let value: serde_json::Value = serde_json::from_str(&as_json.out).expect(line);
        assert!(of_the_file || value["ok"] == false, "{line}: {value}");
    }
    assert!(!home.state().exists(), "asking writes nothing");
}

#[test]
fn a_healthy_gateway_answers_every_command() {
    let home = Home::new();
    let gateway = home.start("--allow-unconfigured");
    for (line, want) in [
        ("gateway status", "Runtime: running"),
        ("gateway status", "RPC probe: ok"),
        ("gateway status --deep --require-rpc", "Read probe: ok"),
        ("gateway status --no-probe", "RPC probe: skipped"),
        ("gateway health", "Gateway: ok"),
        ("health", "Agents: main (default)"),
        ("status", "OpenClaw status\nGateway: ws://"),
        ("logs", "listening on ws://"),
        ("logs --plain", "listening on ws://"),
        ("gateway call status", "runtimeVersion"),
        ("agent --message ping", "ping"),
        ("sessions", "agent:main:main"),
        ("models list", "/"),
        ("channels status --probe", "no channels are configured"),
    ] {
        let ran = home.ask(gateway.port, line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        assert!(ran.out.contains(want), "{line}: {ran:?}");
        assert!(ran.err.is_empty(), "{line}: {ran:?}");
    }
    for line in ["gateway status --json", "health --json", "status --json"] {
        let ran = home.ask(gateway.port, line);
        let value: serde_json::Value = serde_json::from_str(&ran.out).expect(line);
        assert_eq!(value["ok"], true, "{line}: {value}");
    }
    let ran = home.ask(gateway.port, "logs --json");
    for line in ran.out.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(value["type"] == "meta" || value["type"] == "log", "{value}");
    }
    let ran = home.ask(gateway.port, "agent --message ping --json");
    let value: serde_json::Value = serde_json::from_str(&ran.out).expect("a final response");
    assert_eq!(value["status"], "ok", "{value}");
}

#[test]
fn status_finds_a_gateway_on_another_port() {
    let home = Home::new();
    let gateway = home.start("--allow-unconfigured");
    let dead = DeadPort::new();
    let ran = home.ask(dead.number(), "gateway status");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains(&format!("Runtime: running (pid {})", gateway.pid())), "{ran:?}");
    let next = format!("Next: OPENCLAW_GATEWAY_PORT={} openclaw gateway status", gateway.port);
    assert!(ran.out.contains(&next), "{ran:?}");
}

#[test]
fn errors_of_the_gateway_are_told_and_fail() {
    let home = Home::new();
    let gateway = home.start("--allow-unconfigured");
    let ran = home.ask(gateway.port, "gateway call no.such --json");
    assert_eq!(ran.code, 1, "{ran:?}");
    let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(value["error"]["type"], "gateway_request_error", "{value}");
    assert_eq!(value["error"]["code"], "INVALID_REQUEST", "{value}");
    let ran = home.ask(gateway.port, "gateway call health --params [1]");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("--params must be a JSON object"), "{ran:?}");
    let ran = home.ask(gateway.port, "health --token wrong");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("unauthorized"), "{ran:?}");
    assert!(ran.err.contains("--token"), "{ran:?}");
}

#[test]
fn an_address_of_the_command_line_gets_no_configured_secret() {
    let home = Home::new();
    let gateway = home.start("--allow-unconfigured");
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    let bare = home.run(&format!("health --url {url}"));
    assert_eq!(bare.code, 1, "{bare:?}");
    assert!(bare.err.contains("refused us"), "{bare:?}");
    let token = std::fs::read_to_string(home.state().join("gateway-token")).unwrap();
    let shown = home.run(&format!("health --url {url} --token {}", token.trim()));
    assert_eq!(shown.code, 0, "{shown:?}");
    let wss = home.run("health --url wss://127.0.0.1:1");
    assert_eq!(wss.code, 1, "{wss:?}");
    assert!(wss.err.contains("wss://"), "{wss:?}");
}

#[test]
fn verbose_mirrors_debug_lines() {
    let home = Home::new();
    let mut gateway = home.start("--allow-unconfigured --verbose");
    assert_eq!(home.ask(gateway.port, "health").code, 0);
    gateway.wait_for("debug:");
    let quiet_home = Home::new();
    let mut quiet = quiet_home.start("--allow-unconfigured");
    assert_eq!(quiet_home.ask(quiet.port, "health").code, 0);
    finish(&mut quiet);
    assert!(!quiet.seen().iter().any(|line| line.contains("debug:")), "{:?}", quiet.seen());
}

#[cfg(feature = "process")]
fn finish(gateway: &mut Gateway) {
    gateway.signal(rustix::process::Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(0), "{:?}", gateway.seen());
}

#[cfg(not(feature = "process"))]
fn finish(gateway: &mut Gateway) {
    gateway.wait_for("Try it:");
}

#[cfg(feature = "process")]
#[test]
fn usr1_re_executes_in_place_and_keeps_the_listener() {
    let home = Home::new();
    let mut gateway = home.start("--allow-unconfigured");
    let (pid, port) = (gateway.pid(), gateway.port);
    for _ in 0..3 {
        gateway.signal(rustix::process::Signal::USR1);
        // Whoever connects meanwhile waits in the listener's queue and is not refused.
        let waiting = TcpStream::connect(("127.0.0.1", port));
        assert!(waiting.is_ok(), "{waiting:?}");
        let line = gateway.wait_for("is listening on ws://");
        assert!(line.contains(&format!("ws://127.0.0.1:{port}")), "{line}");
        assert_eq!(home.ask(port, "health").code, 0);
    }
    let status = home.ask(port, "gateway status");
    assert!(status.out.contains(&format!("Runtime: running (pid {pid})")), "{status:?}");
    let links: Vec<_> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten()
        .filter_map(|entry| Some((entry.file_name(), std::fs::read_link(entry.path()).ok()?)))
        .collect();
    let stdin = links.iter().find(|(name, _)| name == "0").map(|(_, link)| link.clone());
    assert_eq!(stdin.as_deref(), Some(std::path::Path::new("/dev/null")), "{links:?}");
    finish(&mut gateway);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the port leaked");
}

#[test]
fn setup_writes_once_and_copies_no_key() {
    let home = Home::new();
    let path = home.state().join("openclaw.json");
    let mut command = home.command("setup --yes");
    let ran = Ran::of(command.env("OPENAI_API_KEY", "sk-very-secret"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("OPENAI_API_KEY"), "{ran:?}");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&home.state()), 0o700);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("mode: \"local\""), "{text}");
    assert!(!text.contains("sk-very-secret"), "{text}");
    let token = text.split("token: \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(!ran.out.contains(token), "{ran:?}");

    let again = home.run("setup --yes");
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.out.contains("not rewritten"), "{again:?}");
    let refused = home.run("setup --yes --token other");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn what_setup_writes_starts() {
    let home = Home::new();
    let ran = home.run("setup --yes");
    assert_eq!(ran.code, 0, "{ran:?}");
    let gateway = home.start("");
    let status = home.ask(gateway.port, "gateway status");
    assert_eq!(status.code, 0, "{status:?}");
}

#[test]
fn config_set_keeps_comments_and_refuses_what_would_not_start() {
    let home = Home::new();
    let path = home.state().join("openclaw.json");
    let missing = home.run("config set gateway.port 1");
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.err.contains("openclaw setup"), "{missing:?}");

    home.configure("{\n  // mine\n  gateway: { mode: 'local' }, // too\n}\n");
    for line in ["config set gateway.port 7777", "config set gateway.auth.token abc"] {
        let ran = home.run(line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
    }
    let text = std::fs::read_to_string(&path).unwrap();
    for part in ["// mine", "// too", "7777", "abc"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(mode(&path), 0o600);
    for line in ["config set gateway.port moon", "config set gatway.port 1", "config unset a.b"] {
        let ran = home.run(line);
        assert_eq!(ran.code, 1, "{line}: {ran:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{line}");
    }
    assert_eq!(home.run("config validate").code, 0);
    assert_eq!(home.run("config unset gateway.port").code, 0);
    assert!(!std::fs::read_to_string(&path).unwrap().contains("7777"));
    assert_eq!(home.run("config file").out.trim(), path.to_str().unwrap());

    home.configure("{\n  gateway: { port: 'x' },\n}\n");
    let ran = home.run("config validate");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("openclaw.json:2:"), "{ran:?}");
    let status = home.run("gateway status");
    assert!(status.out.contains("(invalid)"), "{status:?}");
}

#[cfg(feature = "process")]
#[test]
fn logs_follow_survives_a_restart() {
    let home = Home::new();
    let mut gateway = home.start("--allow-unconfigured");
    let port = gateway.port;
    let mut command = home.command("logs --follow --plain --interval 100");
    command.env("OPENCLAW_GATEWAY_PORT", port.to_string());
    let mut follower = common::Lines::start(&mut command);
    let ours = format!("listening on ws://127.0.0.1:{port}");
    follower.wait_for(&ours);
    finish(&mut gateway);
    drop(gateway);
    let line = format!("gateway --port {port} --allow-unconfigured");
    let _again = Gateway::start(&mut home.command(&line));
    follower.wait_for("stopped");
    follower.wait_for(&ours);
}

#[test]
fn no_log_line_holds_a_secret() {
    let home = Home::new();
    let token = "seven-times-seven-is-a-secret";
    let gateway = home.start(&format!("--allow-unconfigured --verbose --token {token}"));
    assert_eq!(home.ask(gateway.port, &format!("health --token {token}")).code, 0);
    assert_eq!(home.ask(gateway.port, "health --token another-secret-try").code, 1);
    let log = std::fs::read_to_string(home.state().join("logs/openclaw.log")).unwrap();
    assert!(!log.contains(token) && !log.contains("another-secret-try"), "{log}");
    assert!(!home.state().join("gateway-token").exists(), "a named token is not kept");
}

#[cfg(feature = "process")]
#[test]
fn stop_and_restart_reach_the_gateway_of_the_profile() {
    let home = Home::new();
    let none = home.run("gateway stop");
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.err.contains("Next: openclaw gateway run"), "{none:?}");

    let mut gateway = home.start("--allow-unconfigured");
    let ran = home.run("gateway restart");
    assert_eq!(ran.code, 0, "{ran:?}");
    let want = format!("restarted (pid {}) on ws://127.0.0.1:{}", gateway.pid(), gateway.port);
    assert!(ran.out.contains(&want), "{ran:?}");
    let ran = home.run("gateway stop");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(gateway.wait().code(), Some(0), "{:?}", gateway.seen());
    let logs = home.ask(gateway.port, "logs");
    assert_eq!(logs.code, 0, "what there is was shown: {logs:?}");
    assert!(logs.err.contains("the log so far is"), "{logs:?}");
}

#[cfg(feature = "process")]
#[test]
fn hup_takes_a_new_token_and_a_new_log_level_and_survives_a_broken_file() {
    let home = Home::new();
    home.configure("{gateway: {mode: 'local', auth: {token: 'one'}}}");
    let mut gateway = home.start("");
    let health = |token: &str| home.ask(gateway.port, &format!("health --token {token}")).code;
    assert_eq!((health("one"), health("two")), (0, 1));
    home.configure("{gateway: {mode: 'local', auth: {token: 'two'}}, logging: {level: 'debug'}}");
    gateway.signal(rustix::process::Signal::HUP);
    gateway.wait_for("configuration reread");
    let health = |token: &str| home.ask(gateway.port, &format!("health --token {token}")).code;
    assert_eq!((health("one"), health("two")), (1, 0));
    gateway.wait_for("debug:");

    home.configure("{gateway: {");
    gateway.signal(rustix::process::Signal::HUP);
    gateway.wait_for("error:");
    assert_eq!(home.ask(gateway.port, "health --token two").code, 0);
}

#[cfg(feature = "process")]
#[test]
fn hup_never_opens_an_exposed_listener_to_everybody() {
    let home = Home::new();
    home.configure("{gateway: {mode: 'local', bind: 'lan', auth: {token: 'one'}}}");
    let mut gateway = home.start("");
    home.configure("{gateway: {mode: 'local', bind: 'lan', auth: {mode: 'none'}}}");
    gateway.signal(rustix::process::Signal::HUP);
    gateway.wait_for("without auth");
    assert_eq!(home.ask(gateway.port, "health --token two").code, 1);

    // The listener moves first; what it takes from callers counts from then on.
    home.configure("{gateway: {mode: 'local', bind: 'loopback', auth: {mode: 'none'}}}");
    gateway.signal(rustix::process::Signal::HUP);
    let line = gateway.wait_for("listening on ws://127.0.0.1:");
    assert!(!line.contains("0.0.0.0"), "{line}");
    gateway.wait_for("gateway.bind changed: applied, the listener moved");
    assert_eq!(home.ask(gateway.port, "health").code, 0);
}

#[test]
fn an_agent_is_asked_in_the_session_whose_id_is_named() {
    let home = Home::new();
    home.configure(LOCAL);
    let gateway = home.start("");
    let ask = |line: &str| {
        let ran = home.ask(gateway.port, line);
        assert_eq!(ran.code, 0, "{ran:?}");
        serde_json::from_str::<serde_json::Value>(&ran.out).unwrap()
    };
    let first = ask("agent --json --message one");
    let id = first.pointer("/result/meta/agentMeta/sessionId").and_then(|id| id.as_str()).unwrap();
    ask(&format!("agent --json --message two --session-id {id}"));
    let history = ask("gateway call chat.history --json --params {\"sessionKey\":\"main\"}");
    let messages = history.pointer("/messages").or(history.pointer("/payload/messages"));
    assert_eq!(messages.and_then(|all| all.as_array()).map(Vec::len), Some(4), "{history}");
    ask("agent --json --message three --session-id another");
    let list = ask("gateway call sessions.list --json");
    let count = list.pointer("/totalCount").or(list.pointer("/payload/totalCount"));
    assert_eq!(count.and_then(serde_json::Value::as_u64), Some(2), "{list}");
}
