//! Commands that talk to a gateway elsewhere: mode `remote`, `--url`, and what a refused client
//! is told.
#![cfg(feature = "process")]

mod common;

use common::{DeadPort, Gateway, Home, Ran};

const TOKEN: &str = "a-token-of-the-gateway-there-0123456789";
const LOCAL_TOKEN: &str = "a-token-of-this-machine-only-0123456789";

/// One command of every family that asks a gateway.
const FAMILIES: &[&str] = &[
    "gateway status --require-rpc",
    "gateway call health",
    "gateway health",
    "health",
    "status",
    "logs",
    "sessions",
    "models list",
    "cron list",
    "devices list",
    "nodes status",
    "system presence",
    "secrets reload",
    "agent --message hi",
];

/// A gateway in a home of its own, and the home of a machine that only asks it.
fn pair(auth: &str) -> (Home, Gateway, Home) {
    let there = Home::new();
    there.configure(&format!("{{gateway: {{mode: 'local', auth: {{{auth}}}}}}}"));
    let gateway = there.start("");
    (there, gateway, Home::new())
}

fn with_env(home: &Home, line: &str, env: &[(&str, &str)]) -> Ran {
    Ran::of(home.command(line).envs(env.iter().copied()))
}

/// What was said, in one line: terminals have 80 columns.
fn unwrapped(ran: &Ran) -> String {
    ran.out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn remote(port: u16, rest: &str) -> String {
    format!("{{gateway: {{mode: 'remote', remote: {{url: 'ws://127.0.0.1:{port}', {rest}}}}}}}")
}

#[test]
fn every_family_asks_the_gateway_of_mode_remote() {
    let (_there, gateway, here) = pair(&format!("token: '{TOKEN}'"));
    here.configure(&remote(gateway.port, &format!("token: '{TOKEN}'")));
    for line in FAMILIES {
        let ran = here.run(line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
    }
    let status = here.run("gateway status");
    assert!(unwrapped(&status).contains("token from gateway.remote.token in /"), "{status:?}");
    assert!(!status.out.contains(TOKEN), "{status:?}");
    let ran = here.run("gateway run --port 0");
    assert_eq!(ran.code, 78, "{ran:?}");
    let want = "Gateway start blocked: set gateway.mode=local (current: remote";
    assert!(ran.err.contains(want), "{ran:?}");
}

#[test]
fn an_address_on_the_command_line_borrows_no_secret_in_any_family() {
    let (_there, gateway, here) = pair(&format!("token: '{TOKEN}'"));
    // It is the very gateway that the configuration and the environment know the token of.
    here.configure(&remote(gateway.port, &format!("token: '{TOKEN}'")));
    let env = [("OPENCLAW_GATEWAY_TOKEN", TOKEN), ("OPENCLAW_GATEWAY_PASSWORD", TOKEN)];
    for line in FAMILIES {
        let line = format!("{line} --url ws://127.0.0.1:{}", gateway.port);
        let ran = with_env(&here, &line, &env);
        assert_eq!(ran.code, 1, "{line}: {ran:?}");
        let said = format!("{}{}", ran.out, ran.err);
        assert!(said.contains("unauthorized"), "{line}: {said}");
        assert!(!said.contains(TOKEN), "{line}: {said}");
        let ran = with_env(&here, &format!("{line} --token {TOKEN}"), &[]);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
    }
}

#[test]
fn an_address_of_the_environment_borrows_only_from_the_environment() {
    let (_there, gateway, here) = pair(&format!("token: '{TOKEN}'"));
    here.configure(&format!("{{gateway: {{mode: 'local', auth: {{token: '{TOKEN}'}}}}}}"));
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    let bare = with_env(&here, "health", &[("OPENCLAW_GATEWAY_URL", &url)]);
    assert_eq!(bare.code, 1, "{bare:?}");
    assert!(bare.err.contains("OPENCLAW_GATEWAY_URL uses nothing else"), "{bare:?}");
    let env = [("OPENCLAW_GATEWAY_URL", url.as_str()), ("OPENCLAW_GATEWAY_TOKEN", TOKEN)];
    let ran = with_env(&here, "health", &env);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn mode_remote_without_an_address_says_which_key_to_set() {
    let here = Home::new();
    here.configure("{gateway: {mode: 'remote'}}");
    for line in ["health", "gateway status", "logs"] {
        let ran = here.run(line);
        assert_eq!(ran.code, 78, "{line}: {ran:?}");
        assert!(ran.err.contains("gateway.remote.url is not set in"), "{line}: {ran:?}");
        assert!(ran.err.contains("config set gateway.remote.url"), "{line}: {ran:?}");
    }
}

#[test]
fn references_in_the_remote_section_resolve_and_are_not_masked() {
    let (_there, gateway, here) = pair(&format!("token: '{TOKEN}'"));
    let reference = "token: {source: 'env', provider: 'default', id: 'THE_REMOTE_TOKEN'}";
    here.configure(&remote(gateway.port, reference));
    let ran = with_env(&here, "health", &[("THE_REMOTE_TOKEN", TOKEN)]);
    assert_eq!(ran.code, 0, "{ran:?}");
    // A reference that stands for nothing is not replaced by whatever else is around.
    let ran = with_env(&here, "health", &[("OPENCLAW_GATEWAY_TOKEN", TOKEN)]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("Nothing from gateway.remote.token"), "{ran:?}");
    assert!(ran.err.contains("THE_REMOTE_TOKEN"), "{ran:?}");
    assert!(ran.err.contains("Next: openclaw secrets audit"), "{ran:?}");
    let file = here.0.join("password");
    std::fs::write(&file, TOKEN).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (_other, password, _) = pair(&format!("mode: 'password', password: '{TOKEN}'"));
    here.configure(&format!(
        "{{secrets: {{providers: {{pw: {{source: 'file', mode: 'singleValue', path: '{}'}}}}}}, \
         gateway: {{mode: 'remote', remote: {{url: 'ws://127.0.0.1:{}', password: {{source: \
         'file', provider: 'pw', id: 'value'}}}}}}}}",
        file.display(),
        password.port
    ));
    let ran = here.run("health");
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn plaintext_beyond_private_networks_is_refused_before_a_socket_opens() {
    let here = Home::new();
    for line in FAMILIES {
        let ran = here.run(&format!("{line} --url ws://8.8.8.8:18789 --token {TOKEN}"));
        assert_eq!(ran.code, 1, "{line}: {ran:?}");
        assert!(ran.err.contains("--url: refusing ws:// to 8.8.8.8"), "{line}: {ran:?}");
        assert!(ran.err.contains("Next: use wss://"), "{line}: {ran:?}");
    }
    here.configure("{gateway: {mode: 'remote', remote: {url: 'ws://gateway.example:18789'}}}");
    let ran = here.run("health");
    assert!(ran.err.contains("gateway.remote.url: refusing ws:// to gateway.example"), "{ran:?}");
    // Whoever knows better says so; then the name is looked up, and is none.
    let allow = [("OPENCLAW_ALLOW_INSECURE_PRIVATE_WS", "1")];
    let ran = with_env(&here, "health --timeout 20000", &allow);
    assert!(ran.err.contains("no gateway answers on ws://gateway.example"), "{ran:?}");
}

#[test]
fn no_gateway_is_told_at_once_and_nothing_is_done_without_one() {
    let here = Home::new();
    let dead = DeadPort::new();
    here.configure(&remote(dead.number(), &format!("token: '{TOKEN}'")));
    for line in FAMILIES {
        let ran = here.run(line);
        assert_eq!(ran.code, 1, "{line}: {ran:?}");
        let said = format!("{}{}", ran.out, ran.err);
        assert!(said.contains("no gateway answers"), "{line}: {said}");
        assert!(ran.took.as_secs() < 5, "{line}: {ran:?}");
    }
    // The address is the near end of a tunnel, unless somebody says that it is not.
    let port = dead.number();
    for (keys, next) in [
        ("", format!("ssh -N -L {port}:127.0.0.1:18789 user@host")),
        (
            "transport: 'ssh', sshTarget: 'me@pi', remotePort: 19001, sshIdentity: '~/.ssh/pi', ",
            format!("ssh -N -L {port}:127.0.0.1:19001 -i ~/.ssh/pi me@pi"),
        ),
        ("sshTarget: '-oProxyCommand=x', ", format!("ssh -N -L {port}:127.0.0.1:18789 user@host")),
        ("transport: 'direct', ", "check the address and that its gateway runs".to_owned()),
    ] {
        here.configure(&remote(port, &format!("{keys}token: '{TOKEN}'")));
        let ran = here.run("health");
        assert!(ran.err.contains(&format!("Next: {next}\n")), "{keys}: {ran:?}");
        assert!(!ran.err.contains("warning"), "{keys}: {ran:?}");
    }
}

/// The shown secret, and what the refusal says of it.
fn refused(home: &Home, port: u16, line: &str, env: &[(&str, &str)], wants: &[&str]) {
    let port = port.to_string();
    let mut env = env.to_vec();
    env.push(("OPENCLAW_GATEWAY_PORT", &port));
    let ran = with_env(home, line, &env);
    assert_eq!(ran.code, 1, "{line}: {ran:?}");
    assert!(ran.err.contains("unauthorized"), "{line}: {ran:?}");
    for want in wants {
        assert!(ran.err.contains(want), "{line}: no `{want}` in {ran:?}");
    }
    for secret in [TOKEN, LOCAL_TOKEN] {
        assert!(!ran.err.contains(secret), "{line}: {ran:?}");
    }
}

#[test]
fn a_refusal_names_the_secret_that_was_tried_and_which_side_is_stale() {
    let (there, gateway, here) = pair(&format!("token: '{TOKEN}'"));
    let port = gateway.port;
    let wrong = [("OPENCLAW_GATEWAY_TOKEN", LOCAL_TOKEN)];
    let flag = format!("health --token {LOCAL_TOKEN}");
    let tried = "Tried: token from --token";
    refused(&there, port, &flag, &[], &[tried, "Stale: --token of", "leave --token out"]);
    let tried = "Tried: token from OPENCLAW_GATEWAY_TOKEN";
    refused(&here, port, "health", &wrong, &[tried, "of this shell, or of", "unset OPENCLAW"]);
    refused(&here, port, "health", &[], &["No secret was shown", "gateway.auth.token and"]);
    here.configure(&format!("{{gateway: {{mode: 'local', auth: {{token: '{LOCAL_TOKEN}'}}}}}}"));
    let tried = "Tried: token from gateway.auth.token in ";
    refused(&here, port, "health", &[], &[tried, "Stale: the running gateway", "restart"]);
    here.configure(&remote(port, &format!("token: '{LOCAL_TOKEN}'")));
    let tried = "Tried: token from gateway.remote.token in ";
    let next = "config set gateway.remote.token";
    refused(&here, port, "health", &[], &[tried, "the gateway there has another", next]);
    let url = format!("health --url ws://127.0.0.1:{port}");
    refused(&here, port, &url, &[], &["--url uses nothing else", "--token <the gateway's"]);
}

#[test]
fn the_same_for_passwords() {
    let (there, gateway, here) = pair(&format!("mode: 'password', password: '{TOKEN}'"));
    let port = gateway.port;
    let flag = format!("health --password {LOCAL_TOKEN}");
    let tried = "Tried: password from --password";
    refused(&there, port, &flag, &[], &[tried, "leave --password out"]);
    let wrong = [("OPENCLAW_GATEWAY_PASSWORD", LOCAL_TOKEN)];
    let tried = "Tried: password from OPENCLAW_GATEWAY_PASSWORD";
    refused(&here, port, "health", &wrong, &[tried, "unset OPENCLAW_GATEWAY_PASSWORD"]);
    here.configure(&remote(port, &format!("password: '{LOCAL_TOKEN}'")));
    refused(&here, port, "health", &[], &["gateway.remote.password in", "gateway.remote.password"]);
    here.configure(&format!("{{gateway: {{mode: 'local', auth: {{token: '{LOCAL_TOKEN}'}}}}}}"));
    refused(&here, port, "health", &[], &["Tried: token from", "wants its password"]);
}

/// Route by route: the copy that was left behind is named, and the new one gets in.
#[test]
fn each_route_of_a_rotation_names_the_copy_that_was_left_behind() {
    let config = |token: &str| {
        format!(
            "{{gateway: {{mode: 'local', reload: {{debounceMs: 0}}, auth: {{token: {token}}}}}}}"
        )
    };
    let there = Home::new();
    there.configure(&config(&format!("'{LOCAL_TOKEN}'")));
    let mut gateway = there.start("");
    let port = gateway.port;
    let old = [("OPENCLAW_GATEWAY_TOKEN", LOCAL_TOKEN)];
    let laptop = Home::new();
    laptop.configure(&remote(port, &format!("token: '{LOCAL_TOKEN}'")));
    let stale = |wants: &[&str]| refused(&laptop, port, "health", &[], wants);

    // 1. By an edit of the file: this host's commands follow, an old shell variable does no harm.
    there.configure(&config(&format!("'{TOKEN}'")));
    gateway.wait_for("gateway.auth.token changed: applied");
    assert_eq!(there.ask(port, "health").code, 0);
    let port_text = port.to_string();
    let both = [old[0], ("OPENCLAW_GATEWAY_PORT", port_text.as_str())];
    assert_eq!(with_env(&there, "health", &both).code, 0);
    let status = with_env(&there, "gateway status", &both);
    let wants = "OPENCLAW_GATEWAY_TOKEN holds another one";
    assert!(unwrapped(&status).contains(wants), "{status:?}");
    stale(&["Stale: gateway.remote.token in"]);

    // 2. By the RPC.
    let line = format!("gateway call config.get --json --token {TOKEN}");
    let got = there.ask(port, &line);
    let got: serde_json::Value = serde_json::from_str(&got.out).expect("config.get");
    let hash = got["hash"].as_str().unwrap();
    let raw = serde_json::json!({"gateway": {"auth": {"token": "third-token-0123456789-0123"}}});
    let params = serde_json::json!({"raw": raw.to_string(), "baseHash": hash}).to_string();
    let mut patch = there.command("gateway call config.patch --params");
    patch.arg(&params).env("OPENCLAW_GATEWAY_PORT", &port_text);
    assert_eq!(Ran::of(&mut patch).code, 0);
    assert_eq!(there.ask(port, "health").code, 0);
    stale(&["Stale: gateway.remote.token in"]);

    // 3. By a SecretRef and `secrets reload`: nothing to do for this host's commands.
    let secret = there.0.join("secret");
    let write = |text: &str| {
        std::fs::write(&secret, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&secret, mode).unwrap();
    };
    write(TOKEN);
    let reference = "{source: 'file', provider: 'one', id: 'value'}";
    let provider = format!(
        "secrets: {{providers: {{one: {{source: 'file', mode: 'singleValue', path: '{}'}}}}}}",
        secret.display()
    );
    let text = config(reference).replacen('{', &format!("{{{provider}, "), 1);
    there.configure(&text);
    gateway.wait_for("changed: applied");
    write("a-fifth-token-0123456789-0123456789");
    let port_env = [("OPENCLAW_GATEWAY_PORT", port_text.as_str())];
    refused(&there, port, "health", &[], &["gateway.auth.token in", "has not taken that file"]);
    assert_eq!(with_env(&there, "secrets reload", &port_env).code, 0);
    assert_eq!(there.ask(port, "health").code, 0);
    stale(&["Stale: gateway.remote.token in"]);
    drop(gateway);

    // 4. By the variable of whoever starts it.
    there.configure("{gateway: {mode: 'local'}}");
    let mut command = there.command("gateway --port 0");
    let gateway = Gateway::start(command.env("OPENCLAW_GATEWAY_TOKEN", TOKEN));
    refused(&there, gateway.port, "health", &old, &["of this shell, or of the shell that started"]);
    refused(&there, gateway.port, "health", &[], &["No secret was shown"]);
}

#[test]
fn a_file_that_the_running_gateway_does_not_follow_is_told() {
    let there = Home::new();
    there.configure("{gateway: {mode: 'local', auth: {token: 'x'}}}");
    let gateway = there.start(&format!("--token {TOKEN}"));
    let wants = ["gateway.auth.token in", "it was started with another token (--token)"];
    refused(&there, gateway.port, "health", &[], &wants);
    // The same for one that keeps its own token.
    let other = Home::new();
    drop(other.start("--allow-unconfigured"));
    let gateway = other.start(&format!("--allow-unconfigured --token {TOKEN}"));
    let wants = ["Tried: token from", "gateway-token", "Stale: the running gateway"];
    refused(&other, gateway.port, "health", &[], &wants);
}
