//! Planted secrets, and every place where they must not turn up: replies of every operation to
//! whoever may call it, events, HTTP answers, logs, standard output, files, `Debug` (which is
//! what a panic would print). `secrets.resolve` alone exists to hand secrets to an admin, and
//! hands out none of these.
#![cfg(all(feature = "tls", feature = "process"))]

mod common;

use common::Home;
use common::device::{Device, by_token, cli, token_of};
use common::http::{Http, ask};
use common::provider::{Provider, config};
use common::socket::{Socket, params};
use openclaw_gateway::protocol::operations::{OPERATIONS, Scope};
use openclaw_gateway::protocol::params::{Field, Kind};
use openclaw_gateway::wire::ws::Message;
use serde_json::{Map, Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const TOKEN: &str = "canary-gateway-token-51b9";
const HOOK: &str = "canary-hook-token-77aa";
const FROM_ENV: &str = "canary-provider-key-from-env-0c1d";
const FROM_FILE: &str = "canary-header-from-file-93fe";
const FROM_EXEC: &str = "canary-provider-key-from-exec-d0d0";
const SKILL: &str = "canary-skill-key-from-dotenv-6e6e";
/// What all of them begin with; secrets that grow later are added by the tests.
const CANARY: &str = "canary-";

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).expect("the file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its mode");
}

/// Every kind of secret from every source.
fn plant(home: &Home, provider: &Provider) {
    let dir = home.0.display();
    write(&home.0.join("s.json"), &json!({"t": TOKEN, "h": {"x": FROM_FILE}}).to_string(), 0o600);
    let answer = json!({"protocolVersion": 1, "values": {"hook": HOOK, "key": FROM_EXEC}});
    let program = format!("#!/bin/sh\necho '{answer}'\necho {CANARY}on-standard-error >&2\n");
    write(&home.0.join("vault"), &program, 0o700);
    let more = format!(
        "secrets: {{providers: {{f: {{source: 'file', path: '{dir}/s.json'}},
            v: {{source: 'exec', command: '{dir}/vault'}}}}}},
         hooks: {{enabled: true, token: {{source: 'exec', provider: 'v', id: 'hook'}}}},
         env: {{vars: {{WRITTEN_OUT: '{CANARY}in-the-file-itself'}}}},
         skills: {{entries: {{s: {{apiKey: '${{SKILL}}', env: {{S: '{CANARY}of-a-skill'}}}}}}}}"
    );
    let text =
        config(&[("mock", provider.port), ("two", provider.port)], "primary: 'mock/m1'", &more)
            .replace(
                &format!("'{}'", common::http::TOKEN),
                "{source: 'file', provider: 'f', id: '/t'}",
            )
            .replace(
                "apiKey: 'sk-mock'",
                "apiKey: '$FROM_ENV',
            headers: {'X-Own': {source: 'file', provider: 'f', id: '/h/x'}}",
            )
            .replace("'sk-two'", "{source: 'exec', provider: 'v', id: 'key'}");
    home.configure(&text);
    write(&home.state().join(".env"), &format!("SKILL={SKILL}\n"), 0o600);
}

/// What a parameter may be: by its name where that matters, else by its kind.
fn value(field: &Field) -> Value {
    match field.name {
        "sessionKey" | "key" | "parentSessionKey" => json!("agent:main:main"),
        "agentId" => json!("main"),
        "provider" => json!("mock"),
        "model" => json!("mock/m1"),
        "path" => json!("gateway.auth.token"),
        "paths" => json!(["gateway.auth.token", "models.providers.mock.apiKey"]),
        "targetIds" => json!(["gateway.auth.token", "hooks.token", "models.providers.*.apiKey"]),
        "raw" => json!("{gateway: {auth: {token: 1}}}"),
        "tool" | "name" => json!("session_status"),
        _ => of_kind(&field.kind),
    }
}

fn of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::Any | Kind::Str | Kind::Text(_) => json!("x"),
        Kind::Bool => json!(false),
        Kind::Int(least, _) => json!(least),
        Kind::Num => json!(1),
        Kind::Obj => json!({}),
        Kind::Strings | Kind::Arr => json!(["x"]),
        Kind::OneOf(words) => json!(words[0]),
        Kind::Fields(fields) => object(fields, true),
        Kind::Nullable(inner) => of_kind(inner),
    }
}

fn object(fields: &[Field], all: bool) -> Value {
    let wanted = fields.iter().filter(|field| all || field.required);
    Value::Object(wanted.map(|field| (field.name.to_owned(), value(field))).collect::<Map<_, _>>())
}

/// What was said to somebody, each with who it was.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    fn note(&mut self, who: impl Into<String>, what: impl Into<String>) {
        self.0.push((who.into(), what.into()));
    }

    fn holds_none_of(&self, canaries: &[&str]) {
        for (who, what) in &self.0 {
            for canary in canaries {
                assert!(!what.contains(canary), "{who} was told {canary}: {what}");
            }
        }
    }
}

/// Calls every operation that an operator may, with no, the least and all parameters.
fn walk(port: u16, token: &str, scopes: &[&str], said: &mut Said) -> usize {
    let mut params = params();
    params["auth"] = json!({"token": token});
    params["scopes"] = json!(scopes);
    let connect = || Socket::with(port, &params);
    let mut socket = connect();
    let mut answered = 0;
    for row in OPERATIONS.iter().filter(|row| row.scope != Scope::Node && row.name != "connect") {
        let tries = [json!({}), object(row.params, false), object(row.params, true)];
        for (number, params) in tries.into_iter().enumerate() {
            let who = format!("{scopes:?} by {} {number}", row.name);
            let id = socket.request(row.name, &params);
            // An answer may come late or, when a reload closed us, never.
            loop {
                match socket.message() {
                    Some(Message::Text(text)) => {
                        let frame: Value = serde_json::from_str(&text).expect("JSON");
                        said.note(&who, text);
                        if frame["id"] == json!(id) {
                            answered += usize::from(frame["ok"] == json!(true));
                            break;
                        }
                    }
                    Some(_) => {}
                    None => {
                        socket = connect();
                        break;
                    }
                }
                if matches!(row.name, "exec.approval.request" | "exec.approval.waitDecision") {
                    break;
                }
            }
        }
    }
    answered
}

/// Every file below a directory but those where the secrets were planted, and the copy of the
/// configuration that is kept as it was written, 0600 like itself.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("readable").map(|entry| entry.expect("an entry")) {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if !["s.json", "vault", ".env", "openclaw.json", "openclaw.json.last-good"]
            .iter()
            .any(|own| path.ends_with(own))
        {
            found.push(path);
        }
    }
}

fn start(home: &Home) -> (common::Gateway, PathBuf) {
    let err = home.0.join("stderr.txt");
    let mut command = home.command("gateway --port 0 --verbose");
    command.env("FROM_ENV", FROM_ENV);
    (common::Gateway::start_with_stderr(&mut command, &err), err)
}

#[test]
fn no_reply_no_event_no_log_and_no_file_holds_a_planted_secret() {
    let home = Home::new();
    let provider = Provider::start(|asked, reply| {
        // A provider that quotes what it was shown, as real ones do.
        let quotes = |line: &&str| {
            let line = line.to_ascii_lowercase();
            line.starts_with("authorization:") || line.starts_with("x-own:")
        };
        let shown: Vec<&str> = asked.head.lines().filter(quotes).collect();
        let shown = shown.join(" and ").replace("Bearer ", "");
        reply.refuse("401 Unauthorized", "", &format!("Incorrect API key provided: {shown}"));
    });
    plant(&home, &provider);
    let (gateway, err) = start(&home);
    let mut said = Said::default();
    let device = Device::new(9);
    let mut by_secret = cli();
    by_secret["auth"] = json!({"token": TOKEN});
    let issued = token_of(&device.connect(gateway.port, &by_secret));
    device.connect(gateway.port, &by_token(cli(), &issued));
    let reader = ["operator.read"];
    let all = [
        "operator.read",
        "operator.write",
        "operator.admin",
        "operator.approvals",
        "operator.pairing",
    ];
    let reads = walk(gateway.port, TOKEN, &reader, &mut said);
    let does = walk(gateway.port, TOKEN, &all, &mut said);
    assert!(reads > 40 && does > reads, "the walk reaches handlers: {reads}, {does}");
    for path in [
        "/",
        "/healthz",
        "/readyz",
        "/startupz",
        "/v1/models",
        "/tools/invoke",
        "/nope",
        "/hooks/wake",
        "/hooks/x",
        "/control-ui-config.json",
        "/metrics",
    ] {
        for head in [
            "",
            "Authorization: Bearer no\r\n",
            "X-OpenClaw-Token: no\r\n",
            &format!("Authorization: Bearer {TOKEN}\r\n"),
        ] {
            for method in ["GET", "POST", "PUT"] {
                let answer = ask(
                    gateway.port,
                    format!(
                        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{head}Content-Length: 2\r\n\
                     Connection: close\r\n\r\n{{}}"
                    ),
                );
                said.note(format!("{method} {path}"), format!("{answer:?}{}", answer.text()));
            }
        }
    }
    // A run by each provider, whose refusal quotes the key.
    for model in ["mock/m1", "two/m1"] {
        let body = json!({"model": "openclaw", "messages": [{"role": "user", "content": "x"}]});
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\
             \r\nx-openclaw-model: {model}\r\nContent-Length: {}\r\n\r\n{body}",
            body.to_string().len()
        );
        let answer = Http::connect(gateway.port).exchange(request);
        said.note(format!("a run of {model}"), format!("{answer:?}{}", answer.text()));
    }
    let keys: Vec<String> = provider.rest().into_iter().map(|asked| asked.head).collect();
    assert!(keys.iter().any(|head| head.contains(FROM_ENV)), "the keys did reach the provider");
    assert!(keys.iter().any(|head| head.contains(FROM_FILE)), "{keys:?}");
    for command in [
        "config validate",
        "secrets audit --json",
        "models status --json",
        "status --json",
        "health --json",
        "gateway status --json",
    ] {
        let ran = common::Ran::of(
            home.command(command)
                .env("FROM_ENV", FROM_ENV)
                .env("OPENCLAW_GATEWAY_PORT", gateway.port.to_string()),
        );
        said.note(command, format!("{}{}", ran.out, ran.err));
    }
    said.note("standard output", gateway.seen().join("\n"));
    drop(gateway);
    said.note("standard error", std::fs::read_to_string(&err).expect("it is there"));
    let mut kept = Vec::new();
    files(&home.0, &mut kept);
    assert!(kept.iter().any(|path| path.ends_with("openclaw.log")), "{kept:?}");
    for path in kept {
        let bytes = std::fs::read(&path).expect("readable");
        said.note(path.display().to_string(), String::from_utf8_lossy(&bytes));
    }
    said.holds_none_of(&[CANARY, &issued]);
}

/// What a panic or a `{:?}` in a log would print of the values that hold secrets.
#[test]
fn what_holds_secrets_does_not_print_them() {
    use openclaw_gateway::cli::place::Files;
    use openclaw_gateway::config::load::load_with;
    use openclaw_gateway::config::secrets::{Asked, Need, Resolved};
    use openclaw_gateway::config::{Flags, Paths, Secret};

    let (home, provider) = (Home::new(), Provider::echo());
    plant(&home, &provider);
    let env: std::collections::BTreeMap<String, String> = [
        ("HOME", home.0.to_str().expect("UTF-8")),
        ("FROM_ENV", FROM_ENV),
        ("OPENCLAW_GATEWAY_PASSWORD", "canary-password-of-the-environment"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let paths = Paths::resolve(&env, &Flags::default()).expect("a home");
    let load = |known: &Resolved| {
        let asked = Asked { known, need: Need::Active };
        load_with(&Files::new(), &env, &paths, None, asked)
    };
    let error = load(&Resolved::default()).expect_err("programs were not asked");
    assert_eq!(error.pending.len(), 1);
    let mut known = Resolved::default();
    let value = |text: &str| Ok(Secret::new(text.to_owned()));
    let answers = [("hook".to_owned(), value(HOOK)), ("key".to_owned(), value(FROM_EXEC))];
    known.add(&error.pending[0], answers.into());
    let loaded = load(&known).expect("all is known");
    let token = loaded.config.gateway.auth.token.as_ref().map(Secret::expose);
    assert_eq!(token, Some(TOKEN));
    let credentials = openclaw_gateway::auth::Credentials::from_config(
        openclaw_gateway::config::AuthMode::Token,
        &loaded.config.gateway.auth,
    );
    for shown in [
        format!("{error:?}"),
        format!("{error}"),
        format!("{loaded:?}"),
        format!("{credentials:?}"),
        format!("{:?}", loaded.config.secrets),
        format!("{:?}", loaded.config.models),
        format!("{:?}", openclaw_gateway::gateway::NotLoaded::from(&error)),
    ] {
        assert!(!shown.contains(CANARY), "{shown}");
    }
}
