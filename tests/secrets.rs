//! SecretRefs as an operator has them: files and programs, rotation, what fails and what stays.
#![cfg(unix)]

mod common;

use common::http::{Response, ask};
use common::provider::Provider;
use common::socket::{Socket, params};
use common::{Gateway, Home, Ran};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Writes a file of this mode.
fn write(home: &Home, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = home.0.join(name);
    let beside = home.0.join(format!("{name}.new"));
    std::fs::write(&beside, text).expect("the file");
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(mode)).expect("its mode");
    std::fs::rename(&beside, &path).expect("its place");
    path
}

/// A program that answers every id `x` with the content of the file `x` beside it.
const VAULT: &str = r#"#!/bin/sh
read -r line
ids=$(echo "$line" | /bin/sed 's/.*"ids":\["\([^]]*\)"\].*/\1/; s/","/ /g')
out=""
for id in $ids; do
  [ -f "./$id" ] || { out="$out\"$id\":null,"; continue; }
  out="$out\"$id\":\"$(/bin/cat "./$id")\","
done
echo noise-on-standard-error >&2
echo "{\"protocolVersion\":1,\"values\":{${out%,}}}"
"#;

/// Gateway token from a file, hook token from a program.
fn config(home: &Home, provider: &Provider, more: &str) -> String {
    let dir = home.0.display();
    let text = provider.config(&format!(
        "secrets: {{providers: {{
            f: {{source: 'file', path: '{dir}/secrets.json'}},
            v: {{source: 'exec', command: '{dir}/vault', passEnv: ['PATH']}}}}}},
         hooks: {{enabled: true, token: {{source: 'exec', provider: 'v', id: 'hook'}}}}{more}"
    ));
    let token = format!("'{}'", common::http::TOKEN);
    assert!(text.contains(&token), "{text}");
    text.replace(&token, "{source: 'file', provider: 'f', id: '/gateway/token'}")
}

fn file(token: &str) -> String {
    json!({"gateway": {"token": token}}).to_string()
}

fn start(home: &Home, provider: &Provider) -> Gateway {
    home.configure(&config(home, provider, ""));
    write(home, "secrets.json", &file("old-token"), 0o600);
    write(home, "vault", VAULT, 0o700);
    write(home, "hook", "old-hook", 0o600);
    home.start("")
}

fn bearer(gateway: &Gateway, method: &str, path: &str, token: &str, body: &str) -> Response {
    ask(
        gateway.port,
        format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
}

/// Status of every door with these secrets: /v1, /tools and hooks.
fn doors(gateway: &Gateway, token: &str, hook: &str) -> [u16; 3] {
    let tool = r#"{"tool": "session_status", "args": {}}"#;
    let wake = r#"{"text": "x", "mode": "next-heartbeat"}"#;
    [
        bearer(gateway, "GET", "/v1/models", token, "").status,
        bearer(gateway, "POST", "/tools/invoke", token, tool).status,
        bearer(gateway, "POST", "/hooks/wake", hook, wake).status,
    ]
}

fn connect(gateway: &Gateway, token: &str) -> Socket {
    let mut params = params();
    params["auth"] = json!({"token": token});
    Socket::with(gateway.port, &params)
}

fn reload(home: &Home, gateway: &Gateway, token: &str) -> Ran {
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    home.run(&format!("secrets reload --json --url {url} --token {token}"))
}

fn ok(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.out).expect("JSON")
}

#[test]
fn a_rotated_secret_holds_from_the_next_request_on_at_every_door() {
    let (home, provider) = (Home::new(), Provider::echo());
    let gateway = start(&home, &provider);
    assert_eq!(doors(&gateway, "old-token", "old-hook"), [200; 3]);
    let mut old = connect(&gateway, "old-token");
    write(&home, "secrets.json", &file("new-token"), 0o600);
    write(&home, "hook", "new-hook", 0o600);
    assert_eq!(doors(&gateway, "old-token", "old-hook"), [200; 3], "not before the reload");
    assert_eq!(ok(&reload(&home, &gateway, "old-token")), json!({"ok": true, "warningCount": 0}));
    assert_eq!(doors(&gateway, "old-token", "old-hook"), [401; 3]);
    assert_eq!(doors(&gateway, "new-token", "new-hook"), [200; 3]);
    assert_eq!(old.closed().0, Some(1008), "who came in with the old one goes");
    let mut new = connect(&gateway, "new-token");
    // Nothing rotated: nobody is disturbed.
    assert_eq!(ok(&reload(&home, &gateway, "new-token"))["ok"], true);
    new.is_alive();
}

#[test]
fn a_failed_reload_changes_nothing_and_is_told() {
    let (home, provider) = (Home::new(), Provider::echo());
    let gateway = start(&home, &provider);
    let mut socket = connect(&gateway, "old-token");
    // One of two fails: the other one stays old, too.
    write(&home, "secrets.json", &file("new-token"), 0o600);
    std::fs::remove_file(home.0.join("hook")).expect("it was there");
    let error = socket.call("secrets.reload", &json!({})).expect_err("the hook has no token");
    assert_eq!(error["code"], "UNAVAILABLE");
    let text = error["message"].as_str().expect("a text");
    for part in ["hooks.token", "provider \"v\"", "not a string", "openclaw secrets audit"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(doors(&gateway, "old-token", "old-hook"), [200; 3]);
    let status = socket.call("status", &json!({})).expect("status");
    let owner = &status["degradedSecretOwners"][0];
    assert_eq!(owner["paths"], json!(["hooks.token"]), "{status}");
    assert_eq!(owner["state"], "stale");
    for (vault, part) in [
        ("#!/bin/sh\nexit 3\n", "exit code 3"),
        ("#!/bin/sh\necho '{\"values\": {\"hook\": \"canary\"}}'\n", "protocolVersion"),
        ("#!/bin/sh\nyes canary\n", "more than 65536 bytes"),
        ("#!/nowhere/at-all\n", "cannot be started"),
    ] {
        write(&home, "vault", vault, 0o700);
        let error = socket.call("secrets.reload", &json!({})).expect_err(part);
        let text = error["message"].as_str().expect("a text");
        assert!(text.contains(part) && !text.contains("canary"), "{part}: {text}");
    }
    write(&home, "vault", VAULT, 0o722);
    let error = socket.call("secrets.reload", &json!({})).expect_err("others can write it");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("chmod go-w")), "{error}");
    // All is well again.
    write(&home, "vault", VAULT, 0o700);
    write(&home, "hook", "new-hook", 0o600);
    let done = socket.call("secrets.reload", &json!({})).expect("it works again");
    assert_eq!(done, json!({"ok": true, "warningCount": 0}));
    assert_eq!(socket.closed().0, Some(1008));
    assert_eq!(doors(&gateway, "new-token", "new-hook"), [200; 3]);
    let mut socket = connect(&gateway, "new-token");
    let status = socket.call("status", &json!({})).expect("status");
    assert_eq!(status["degradedSecretOwners"], json!([]));
}

#[test]
fn the_loop_goes_on_while_a_program_thinks_and_a_slow_one_is_ended() {
    let (home, provider) = (Home::new(), Provider::echo());
    let slow = "models: {";
    let text = config(&home, &provider, "")
        .replace("passEnv: ['PATH']", "passEnv: ['PATH'], timeoutMs: 700");
    assert!(text.contains(slow), "{text}");
    home.configure(&text);
    write(&home, "secrets.json", &file("old-token"), 0o600);
    write(&home, "vault", VAULT, 0o700);
    write(&home, "hook", "old-hook", 0o600);
    let gateway = home.start("");
    write(&home, "vault", "#!/bin/sh\nexec sleep 60\n", 0o700);
    let mut socket = connect(&gateway, "old-token");
    let first = socket.request("secrets.reload", &json!({}));
    let second = socket.request("secrets.reload", &json!({}));
    // Others are served meanwhile.
    assert_eq!(doors(&gateway, "old-token", "old-hook"), [200; 3]);
    for id in [first, second] {
        let error = socket.response(&id).expect_err("it never answers");
        let text = error["message"].as_str().expect("a text");
        assert!(text.contains("did not end within 700 ms"), "{text}");
    }
    assert_eq!(doors(&gateway, "old-token", "old-hook"), [200; 3]);
}

#[test]
fn a_program_has_only_the_environment_it_was_promised_and_no_shell() {
    let (home, provider) = (Home::new(), Provider::echo());
    let vault = "#!/bin/sh\n/usr/bin/env > ./seen\necho \"args: $*\" >> ./seen\nexec ./real\n";
    write(&home, "secrets.json", &file("old-token"), 0o600);
    write(&home, "real", VAULT, 0o700);
    write(&home, "vault", vault, 0o700);
    write(&home, "hook", "old-hook", 0o600);
    let text = config(&home, &provider, "").replace(
        "passEnv: ['PATH']",
        "args: ['$(touch owned)', ';touch owned'], passEnv: ['PASSED'], env: {OWN: '1'}",
    );
    home.configure(&text);
    let mut command = home.command("gateway --port 0");
    command.env("PASSED", "yes").env("OPENCLAW_GATEWAY_PASSWORD", "canary").env("OTHER", "no");
    let gateway = Gateway::start(&mut command);
    assert_eq!(doors(&gateway, "old-token", "old-hook"), [200; 3]);
    let seen = std::fs::read_to_string(home.0.join("seen")).expect("it ran beside itself");
    assert!(seen.contains("PASSED=yes\n") && seen.contains("OWN=1\n"), "{seen}");
    assert!(!["canary", "OTHER", "HOME="].iter().any(|no| seen.contains(no)), "{seen}");
    assert!(seen.contains("args: $(touch owned) ;touch owned"), "{seen}");
    assert!(!home.0.join("owned").exists());
}

#[test]
fn a_secret_that_is_not_there_keeps_the_gateway_from_starting() {
    let (home, provider) = (Home::new(), Provider::echo());
    home.configure(&config(&home, &provider, ""));
    write(&home, "vault", VAULT, 0o700);
    write(&home, "hook", "old-hook", 0o600);
    let refused = |parts: &[&str]| {
        let ran = home.run("gateway --port 0");
        assert_eq!(ran.code, 78, "{ran:?}");
        for part in parts {
            assert!(ran.err.contains(part), "{part}: {}", ran.err);
        }
    };
    refused(&["gateway.auth.token", "provider \"f\"", "cannot be read", "openclaw "]);
    write(&home, "secrets.json", &file("old-token"), 0o644);
    refused(&["gateway.auth.token", "chmod 600"]);
    write(&home, "secrets.json", &file("old-token"), 0o600);
    std::fs::hard_link(home.0.join("secrets.json"), home.0.join("other")).expect("a link");
    refused(&["must not be hardlinked"]);
    std::fs::remove_file(home.0.join("other")).expect("it is there");
    write(&home, "vault", "#!/bin/sh\necho canary >&2\nexit 9\n", 0o700);
    refused(&["hooks.token", "provider \"v\"", "exit code 9", "--allow-exec"]);
    assert!(!home.run("gateway --port 0").err.contains("canary"));
    let real = home.0.join("real");
    std::fs::rename(home.0.join("vault"), &real).expect("moved");
    std::os::unix::fs::symlink(&real, home.0.join("vault")).expect("a link");
    refused(&["symbolic link", "realpath"]);
}

/// An edit that names another program: it is asked first, then the edit applies.
#[test]
#[cfg(feature = "process")]
fn an_edit_with_a_new_reference_is_applied_when_its_program_has_answered() {
    let (home, provider) = (Home::new(), Provider::echo());
    let gateway = start(&home, &provider);
    write(&home, "other", "other-hook", 0o600);
    let text = config(&home, &provider, "").replace("id: 'hook'", "id: 'other'");
    home.configure(&text);
    gateway.signal(rustix::process::Signal::HUP);
    let deadline = std::time::Instant::now() + common::PATIENCE;
    // Asked with what still opens the door: wrong tokens would soon be slowed down.
    while doors(&gateway, "old-token", "old-hook") == [200; 3] {
        assert!(std::time::Instant::now() < deadline, "the new hook token never came in force");
    }
    assert_eq!(doors(&gateway, "old-token", "other-hook"), [200; 3]);
    // One that nobody answers changes nothing.
    home.configure(&text.replace("id: 'other'", "id: 'nobody'"));
    let mut socket = connect(&gateway, "old-token");
    let error = socket.call("secrets.reload", &json!({})).expect_err("nobody knows it");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("hooks.token")), "{error}");
    assert_eq!(doors(&gateway, "old-token", "other-hook"), [200; 3]);
}

#[test]
fn the_command_reloads_even_what_it_would_have_to_show() {
    let (home, provider) = (Home::new(), Provider::echo());
    let gateway = start(&home, &provider);
    write(&home, "secrets.json", &file("new-token"), 0o600);
    // The file has the new token, the gateway the old one: the command finds a way.
    let ran = home.ask(gateway.port, "secrets reload");
    assert_eq!((ran.code, ran.out.as_str()), (0, "secrets reloaded\n"), "{ran:?}");
    assert_eq!(doors(&gateway, "old-token", "old-hook"), [401, 401, 200]);
    let health = home.ask(gateway.port, "health --json");
    assert_eq!(health.code, 0, "{health:?}");
    // A secret that somebody names is the one that is shown.
    let ran = home.ask(gateway.port, "secrets reload --token wrong --timeout 2000");
    assert_eq!(ran.code, 1, "{ran:?}");
}

#[test]
fn an_audit_finds_what_is_written_out_and_what_resolves_to_nothing() {
    let (home, provider) = (Home::new(), Provider::echo());
    let audit = |flags: &str| home.run(&format!("secrets audit {flags}"));
    let report = |ran: &Ran| -> Value { serde_json::from_str(&ran.out).expect("JSON") };
    home.configure(&config(&home, &provider, ""));
    write(&home, "secrets.json", &file("canary-token"), 0o600);
    write(&home, "vault", VAULT, 0o700);
    write(&home, "hook", "canary-hook", 0o600);
    let ran = audit("--json");
    assert_eq!(ran.code, 0);
    let found = report(&ran);
    assert_eq!(found["status"], "findings");
    let resolution =
        json!({"refsChecked": 1, "skippedExecRefs": 1, "resolvabilityComplete": false});
    assert_eq!(found["resolution"], resolution);
    assert_eq!(found["findings"].as_array().map(Vec::len), Some(1), "{found}");
    let one = &found["findings"][0];
    assert_eq!(one["jsonPath"], "models.providers.mock.apiKey");
    assert_eq!((&one["code"], &one["severity"]), (&json!("PLAINTEXT_FOUND"), &json!("warn")));
    assert_eq!((one["provider"].as_str(), audit("--check").code), (Some("mock"), 1));
    // Every key that is a secret, but for the references.
    let clean = config(&home, &provider, "").replace("'sk-mock'", "'${SK}'");
    home.configure(&clean);
    std::fs::write(home.state().join(".env"), "SK=canary\nOTHER_API_KEY=canary\n").expect("it");
    let agent = home.state().join("agents/main/agent");
    std::fs::create_dir_all(&agent).expect("a directory");
    let profiles = json!({"profiles": {
        "a:default": {"type": "api_key", "key": "canary"},
        "b:default": {"type": "api_key", "keyRef": {"source": "env", "id": "B"}},
    }});
    std::fs::write(agent.join("auth-profiles.json"), profiles.to_string()).expect("it");
    let models = json!({"providers": {"p": {"apiKey": "OPENAI_API_KEY",
        "headers": {"Authorization": "canary", "X-Plain": "fine"}}}});
    std::fs::write(agent.join("models.json"), models.to_string()).expect("it");
    std::fs::write(agent.join("auth.json"), "{canary").expect("it");
    let ran = audit("--json --allow-exec");
    assert_eq!(ran.code, 2, "what cannot be read is unresolved");
    let found = report(&ran);
    let codes: Vec<(&str, &str)> = found["findings"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|one| (one["code"].as_str().expect("it"), one["jsonPath"].as_str().expect("it")))
        .collect();
    let want = [
        ("PLAINTEXT_FOUND", "$env.OTHER_API_KEY"),
        ("PLAINTEXT_FOUND", "providers.p.headers.Authorization"),
        ("PLAINTEXT_FOUND", "profiles.a:default.key"),
        ("REF_UNRESOLVED", ""),
    ];
    assert_eq!(codes, want);
    let resolution = json!({"refsChecked": 2, "skippedExecRefs": 0, "resolvabilityComplete": true});
    assert_eq!(found["resolution"], resolution);
    assert_eq!(found["summary"]["plaintextCount"], 3);
    std::fs::remove_dir_all(&agent).expect("gone");
    std::fs::remove_file(home.0.join("hook")).expect("gone");
    std::fs::write(home.state().join(".env"), "SK=canary\n").expect("it");
    let ran = audit("--allow-exec");
    assert_eq!(ran.code, 2);
    assert!(ran.out.starts_with("Secrets audit: unresolved. plaintext=0, unresolved=1"), "{ran:?}");
    write(&home, "hook", "canary-hook", 0o600);
    let ran = audit("--check --allow-exec");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.starts_with("Secrets audit: clean."), "{ran:?}");
    for ran in [audit("--json"), audit("--allow-exec"), home.run("config validate")] {
        assert!(!ran.out.contains("canary") && !ran.err.contains("canary"), "{ran:?}");
    }
}
