//! First steps and looks after things by the real binary: completion, the page's address,
//! onboarding, several gateways on one host, and the sentences of starts that are refused.
#![cfg(feature = "process")]

mod common;

use common::{Home, Ran};
use std::process::Command;

/// What bash offers for these words, the last one unfinished.
fn offered(script: &std::path::Path, words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("$'{}'", word)).collect();
    let line = format!(
        "source {}; complete -p openclaw >/dev/null || exit 9; COMP_WORDS=({}); COMP_CWORD={}; \
         _openclaw; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        quoted.join(" "),
        words.len() - 1
    );
    let out = Command::new("bash").args(["--norc", "-c", &line]).output().expect("bash is there");
    assert!(out.status.success(), "{words:?}: {out:?}");
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_by_the_script_it_is_given() {
    let home = Home::new();
    let script = home.0.join("c.bash");
    let ran = home.run("completion --shell bash");
    assert_eq!(ran.code, 0, "{ran:?}");
    std::fs::write(&script, &ran.out).unwrap();
    std::fs::write(home.0.join("secret-file"), "").unwrap();
    let near = format!("{}/secret", home.0.display());
    let file = format!("{}/secret-file", home.0.display());
    for (words, want) in [
        (&["openclaw", "gatew"][..], &["gateway"][..]),
        (&["openclaw", "gateway", "statu"], &["status"]),
        (&["openclaw", "--profile", "gateway", "gateway", "resta"], &["restart"]),
        (&["openclaw", "gateway", "--allow-u"], &["--allow-unconfigured"]),
        (&["openclaw", "gateway", "--bind", "lo"], &["loopback"]),
        (&["openclaw", "gateway", "--bind", "=", "lo"], &["loopback"]),
        (&["openclaw", "gateway", "--bind", "'lo"], &["loopback"]),
        (&["openclaw", "gateway", "--", "--bin"], &[]),
        (&["openclaw", "gateway", "--password-file", &near], &[&file]),
        (&["openclaw", "backup", "verify", &near], &[&file]),
        (&["openclaw", "no-such-word", "x"], &[]),
    ] {
        // A quote within $'...' is escaped.
        let words: Vec<String> = words.iter().map(|word| word.replace('\'', "\\'")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(offered(&script, &words), want, "{words:?}");
    }
}

#[test]
fn completion_is_kept_and_loaded_from_the_profile_once() {
    let home = Home::new();
    let bash = |line: &str| Ran::of(home.command(line).env("SHELL", "/bin/bash"));
    let ran = bash("completion --install");
    assert!(ran.code == 1 && ran.err.contains("completion --write-state --install"), "{ran:?}");
    std::fs::write(home.0.join(".bashrc"), "alias ll='ls -l'\n").unwrap();
    let ran = bash("completion --write-state --install --yes");
    assert_eq!(ran.code, 0, "{ran:?}");
    for name in ["openclaw.bash", "openclaw.zsh", "openclaw.fish", "openclaw.ps1"] {
        assert!(home.state().join("completions").join(name).is_file(), "{name}");
    }
    let profile = std::fs::read_to_string(home.0.join(".bashrc")).unwrap();
    assert!(profile.starts_with("alias ll='ls -l'\n\n# OpenClaw Completion\n"), "{profile}");
    let again = bash("completion --install");
    assert!(again.code == 0 && again.out.contains("already loads it"), "{again:?}");
    assert_eq!(std::fs::read_to_string(home.0.join(".bashrc")).unwrap(), profile);
    let loaded = Command::new("bash")
        .args(["--norc", "-c", "source ~/.bashrc; complete -p openclaw"])
        .env("HOME", &home.0)
        .output()
        .expect("bash is there");
    assert!(loaded.status.success(), "{loaded:?}");
}

#[test]
fn onboarding_by_flags_writes_what_a_gateway_starts_with() {
    let home = Home::new();
    let ran = home.run("onboard --non-interactive --json");
    let told: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!((ran.code, &told["ok"]), (1, &false.into()), "{ran:?}");
    let line = "onboard --non-interactive --accept-risk --skip-health --json --gateway-port 19555 \
                --auth-choice openai-api-key --secret-input-mode ref --custom-model-id m";
    let ran = home.run(line);
    assert!(ran.code == 1 && ran.out.contains("OPENAI_API_KEY is not set"), "{ran:?}");
    assert!(!home.state().join("openclaw.json").exists());
    let ran = Ran::of(home.command(line).env("OPENAI_API_KEY", "canary-key"));
    let told: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!((ran.code, &told["ok"], &told["gateway"]["port"]), (0, &true.into(), &19555.into()));
    let file = std::fs::read_to_string(home.state().join("openclaw.json")).unwrap();
    assert!(!file.contains("canary-key") && file.contains("OPENAI_API_KEY"), "{file}");
    assert_eq!(common::mode(&home.state().join("openclaw.json")), 0o600);
    assert!(home.state().join("workspace/AGENTS.md").is_file());
    // Once more: what is there stays, the flag's key changes, the old text is kept.
    let again = "onboard --non-interactive --accept-risk --skip-health --gateway-port 19556";
    assert_eq!(home.run(again).code, 0);
    assert_eq!(std::fs::read_to_string(home.state().join("openclaw.json.bak")).unwrap(), file);
    assert_eq!(home.run("config get gateway.port").out.trim(), "19556");
    let token = |home: &Home| home.run("config get agents.defaults.model.primary").out;
    assert!(token(&home).contains("openai/m"));
    let gateway = home.run("doctor --lint --severity-min error");
    assert!(gateway.code == 0 || gateway.out.contains("SecretRef"), "{gateway:?}");
}

#[test]
fn onboarding_for_a_gateway_elsewhere_keeps_to_it() {
    let home = Home::new();
    let start = "onboard --non-interactive --accept-risk --mode remote";
    assert_eq!(home.run(start).code, 2);
    let url = "--remote-url wss://gw.example:18789";
    let ran = home.run(&format!("{start} {url} --gateway-port 1"));
    assert_eq!(ran.code, 2, "{ran:?}");
    let ran = home.run(&format!("{start} {url} --remote-token t-1 --json"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(home.run("config get gateway.mode").out.trim(), "remote");
    let ran = home.run("gateway --port 0");
    assert!(ran.err.contains("Gateway start blocked: set gateway.mode=local"), "{ran:?}");
}

#[test]
fn the_page_is_opened_without_the_token_in_any_argv() {
    let home = Home::new();
    home.configure("{gateway: {mode: 'local', auth: {token: 'canary token'}}}");
    let ran = home.run("dashboard --json");
    assert!(ran.code == 1 && ran.out.contains("\"ok\": false"), "{ran:?}");
    let gateway = home.start("");
    let base = format!("http://127.0.0.1:{}/", gateway.port);
    let ran = home.ask(gateway.port, "dashboard --no-open");
    assert!(ran.code == 0 && ran.out.contains(&base), "{ran:?}");
    assert!(!ran.out.contains("canary"), "{ran:?}");
    let ran = home.ask(gateway.port, "dashboard --json");
    let told: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(told["url"], format!("{base}#token=canary%20token"));
    assert_eq!(told["tokenIncluded"], true);
    // A browser that notes its argv and follows the door.
    let (argv, seen) = (home.0.join("argv"), home.0.join("seen"));
    let browser = home.0.join("browser");
    let script = format!(
        "#!/bin/bash\necho \"$1\" > {argv}\naddr=${{1#http://}}\npath=/${{addr#*/}}\n\
         addr=${{addr%%/*}}\nexec 3<>/dev/tcp/${{addr%:*}}/${{addr#*:}}\n\
         printf 'GET %s HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' \"$path\" >&3\ncat <&3 > {seen}.new\n\
         mv {seen}.new {seen}\n",
        argv = argv.display(),
        seen = seen.display()
    );
    std::fs::write(&browser, script).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o755)).unwrap();
    let port = gateway.port.to_string();
    let mut command = home.command("dashboard");
    command.env("BROWSER", &browser).env("OPENCLAW_GATEWAY_PORT", port);
    let ran = Ran::of(command.env("PATH", std::env::var("PATH").unwrap()));
    assert!(ran.code == 0 && ran.out.contains("Opened in your browser"), "{ran:?}");
    let argv = std::fs::read_to_string(argv).unwrap();
    assert!(!argv.contains("canary") && argv.starts_with("http://127.0.0.1:"), "{argv}");
    let until = std::time::Instant::now() + common::PATIENCE;
    while !seen.exists() && std::time::Instant::now() < until {
        std::thread::yield_now();
    }
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains(&format!("Location: {base}#token=canary%20token")), "{seen}");
}

/// A port that nobody has just now.
fn free() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn two_gateways_run_by_the_manuals_own_lines() {
    let home = Home::new();
    let token = |name: &str| {
        let text = format!("{{gateway: {{mode: 'local', auth: {{token: 'token-of-{name}'}}}}}}");
        std::fs::create_dir_all(home.state()).unwrap();
        std::fs::write(home.state().join(format!("{name}.json")), text).unwrap();
    };
    token("a");
    token("b");
    // Our binary under the name that the manual types.
    let bin = home.0.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_openclaw"), bin.join("openclaw")).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let shell = |line: &str| {
        let mut command = Command::new("bash");
        command
            .args(["--norc", "-c", line])
            .env_clear()
            .env("HOME", &home.0)
            .env("PATH", &path)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        command
    };
    let (first, second) = (free(), free());
    let line = |name: &str, port: u16| {
        format!(
            "OPENCLAW_CONFIG_PATH=~/.openclaw/{name}.json OPENCLAW_STATE_DIR=~/.openclaw-{name} \
             openclaw gateway --port {port}"
        )
    };
    let a = common::Gateway::start(&mut shell(&line("a", first)));
    let b = common::Gateway::start(&mut shell(&line("b", second)));
    assert_eq!((a.port, b.port), (first, second));
    for name in ["a", "b"] {
        let dir = home.0.join(format!(".openclaw-{name}"));
        assert!(dir.join("workspace/AGENTS.md").is_file() && dir.join("gateway.lock").is_file());
    }
    // A third in the same state directory is told who has it.
    let third = Ran::of(&mut shell(&line("a", free())));
    assert_eq!(third.code, 1, "{third:?}");
    let said = format!("another gateway (pid {}) already uses the state directory", a.pid());
    assert!(third.err.contains(&said), "{third:?}");
    // The kernel frees the lock of a gateway that is killed.
    a.signal(rustix::process::Signal::KILL);
    let mut a = a;
    a.wait();
    let again = common::Gateway::start(&mut shell(&line("a", free())));
    drop((again, b));
}

#[test]
fn the_dev_profile_by_the_manuals_own_lines() {
    let home = Home::new();
    let ran = home.run("--dev setup --non-interactive");
    assert_eq!(ran.code, 0, "{ran:?}");
    let dir = home.0.join(".openclaw-dev");
    assert!(dir.join("openclaw.json").is_file() && !home.state().exists());
    let port = free();
    let line = format!("--dev gateway --allow-unconfigured --port {port}");
    let gateway = common::Gateway::start(&mut home.command(&line));
    let ran = home.ask(port, "--dev status --json");
    assert!(ran.code == 0, "{ran:?}");
    let ran = home.run("gateway --reset --port 0");
    assert!(ran.code == 2 && ran.err.contains("--dev"), "{ran:?}");
    let busy = home.run("gateway --dev --reset --port 0");
    assert!(busy.code == 1 && busy.err.contains("needs it stopped"), "{busy:?}");
    drop(gateway);
    std::fs::write(dir.join("marker"), "").unwrap();
    let gateway = home.start("--dev --reset");
    assert!(!dir.join("marker").exists() && dir.join("openclaw.json").is_file());
    drop(gateway);
}
