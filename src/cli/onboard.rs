//! `openclaw onboard`: everything a first start needs, from flags (`--non-interactive`) or by a
//! few questions (then it is [`super::setup`] with the notice before it).
//!
//! ```text
//!   flags --> checked together --> edits of the file (kept as .bak, comments stay) --> valid?
//!         --> written --> workspace --> --install-daemon --> a gateway answers?
//! ```
//!
//! Keys of providers are written as `${NAME}` whenever the environment has them; a key on the
//! command line is refused with `--secret-input-mode ref` unless it is the variable's own.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{QUICK, Target};
use super::table::{self, Args, Parsed};
use super::{Failed, belongings, entropy, next, out, place, port, reset, service, setup};
use crate::config::load;
use crate::config::secrets::Need;
use crate::config::table::parse_path;
use crate::config::{AuthMode, Config, Paths, known};
use crate::store::copies::Kept;
use crate::store::{Disk, RealDisk};
use crate::wire::json5;

/// How long `onboard` waits for a gateway to answer.
const HEALTH: Duration = Duration::from_secs(15);

/// Runs the command.
///
/// # Errors
/// When the flags do not fit together, or something cannot be written.
pub fn run(args: &Args) -> Result<u8, Failed> {
    match onboard(args) {
        Err(failed) if args.has("json") => {
            let message = failed.to_string();
            out::json(&json!({"ok": false, "phase": "options", "message": message}));
            Ok(failed.code)
        }
        other => other,
    }
}

fn onboard(args: &Args) -> Result<u8, Failed> {
    if !args.has("non-interactive") {
        return by_questions(args);
    }
    if !args.has("accept-risk") {
        let what = "Non-interactive setup requires explicit risk acknowledgement: an agent with \
                    tools can do whatever this user can.";
        return Err(Failed::new(what, "openclaw onboard --non-interactive --accept-risk ..."));
    }
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let remote = args.value("mode") == Some("remote");
    fit(args, remote)?;
    if args.has("reset") {
        reset::apply(args, args.value("reset-scope").unwrap_or("config+creds+sessions"))?;
    }
    let mut edits = if remote { remote_edits(args)? } else { local_edits(args, &env)? };
    edits.extend(model_edits(args, &env)?);
    if let Some(dir) = args.value("workspace") {
        edits.push(("agents.defaults.workspace", json!(dir)).into());
    }
    if args.has("skip-bootstrap") {
        edits.push(("agents.defaults.skipBootstrap", json!(true)).into());
    }
    let config = write(&paths, &edits)?;
    let agent = config.agents.default_agent().to_owned();
    let workspace = config.agents.workspace(&agent, &paths.state_dir);
    if !remote && !args.has("skip-bootstrap") {
        let seeded = crate::gateway::seed_agent(&mut RealDisk, &config, &paths.state_dir, &agent);
        seeded.map_err(|error| {
            let what = format!("cannot write {}: {error}", workspace.display());
            Failed::new(what, "openclaw onboard --workspace <dir> ...")
        })?;
    }
    let install = args.has("install-daemon") && !remote;
    if install && install_daemon(args)? != 0 {
        return Err(Failed::new("the service was not installed", "openclaw gateway install"));
    }
    if !remote && !args.has("skip-health") {
        health(args, install)?;
    }
    told(args, &paths, &config, &workspace.display().to_string(), (remote, install));
    Ok(0)
}

fn by_questions(args: &Args) -> Result<u8, Failed> {
    if !belongings::interactive(args) {
        let what = "onboarding asks questions, and nobody can be asked here";
        return Err(Failed::new(what, "openclaw onboard --non-interactive --accept-risk"));
    }
    if !args.has("accept-risk") {
        let question = "An agent with tools can do whatever you can on this machine, and what it \
                        reads may try to talk it into something. Go on? [y/N] ";
        if !belongings::asked(question, "n").eq_ignore_ascii_case("y") {
            out::line("Nothing was written.");
            return Ok(1);
        }
    }
    setup::run(args)
}

/// Flags that exclude each other.
fn fit(args: &Args, remote: bool) -> Result<(), Failed> {
    let wrong =
        |what: &str| Err(Failed { code: 2, ..Failed::new(what, "openclaw onboard --help") });
    let given = |flag| args.value(flag).is_some();
    if given("gateway-token") && given("gateway-token-ref-env") {
        return wrong("--gateway-token and --gateway-token-ref-env exclude each other");
    }
    if given("remote-token") && given("remote-password") {
        return wrong("--remote-token and --remote-password exclude each other");
    }
    let local = ["gateway-token", "gateway-token-ref-env", "gateway-password", "gateway-port"];
    if remote && (local.into_iter().any(given) || args.has("install-daemon")) {
        return wrong("--gateway-* and --install-daemon set up a gateway here, not --mode remote");
    }
    if remote && !given("remote-url") {
        return wrong("--mode remote needs --remote-url wss://<host>:18789");
    }
    Ok(())
}

/// A key's path and its value.
struct Edit(String, Value);

impl From<(&str, Value)> for Edit {
    fn from((path, value): (&str, Value)) -> Self {
        Self(path.to_owned(), value)
    }
}

fn env_ref(name: &str) -> Value {
    json!({"source": "env", "provider": "default", "id": name})
}

/// A secret of a flag: itself, or with `--secret-input-mode ref` the variable that holds the same.
fn secret(args: &Args, flag: &'static str, variable: &str) -> Result<Option<Value>, Failed> {
    let Some(text) = args.value(flag) else { return Ok(None) };
    if args.value("secret-input-mode") != Some("ref") {
        return Ok(Some(json!(text)));
    }
    if std::env::var(variable).ok().as_deref() == Some(text) {
        return Ok(Some(env_ref(variable)));
    }
    let what = format!("--secret-input-mode ref needs {variable} with the value of --{flag}");
    Err(Failed::new(what, format!("export {variable}=..., then run the command again")))
}

fn remote_edits(args: &Args) -> Result<Vec<Edit>, Failed> {
    let mut edits = vec![
        ("gateway.mode", json!("remote")).into(),
        ("gateway.remote.url", json!(args.value("remote-url"))).into(),
    ];
    if let Some(token) = secret(args, "remote-token", "OPENCLAW_GATEWAY_TOKEN")? {
        edits.push(("gateway.remote.token", token).into());
    }
    if let Some(password) = secret(args, "remote-password", "OPENCLAW_GATEWAY_PASSWORD")? {
        edits.push(("gateway.remote.password", password).into());
    }
    Ok(edits)
}

fn local_edits(
    args: &Args,
    env: &std::collections::BTreeMap<String, String>,
) -> Result<Vec<Edit>, Failed> {
    let mut edits: Vec<Edit> = vec![("gateway.mode", json!("local")).into()];
    if let Some(port) = args.number("gateway-port") {
        edits.push(("gateway.port", json!(port)).into());
    }
    if let Some(bind) = args.value("gateway-bind") {
        edits.push(("gateway.bind", json!(bind)).into());
    }
    let password = secret(args, "gateway-password", "OPENCLAW_GATEWAY_PASSWORD")?;
    let mode = args.value("gateway-auth").and_then(AuthMode::parse);
    if let Some(password) = password {
        edits.push(("gateway.auth.mode", json!("password")).into());
        edits.push(("gateway.auth.password", password).into());
        return Ok(edits);
    }
    if mode == Some(AuthMode::Password) {
        let what = "--gateway-auth password needs --gateway-password";
        return Err(Failed { code: 2, ..Failed::new(what, "openclaw onboard --help") });
    }
    let token = match args.value("gateway-token-ref-env") {
        Some(name) if place::var(env, name).is_none() => {
            let what = format!("--gateway-token-ref-env: {name} is not set here");
            return Err(Failed::new(what, format!("export {name}=<token>")));
        }
        Some(name) => Some(env_ref(name)),
        None => args.value("gateway-token").map(|token| json!(token)),
    };
    if let Some(token) = token {
        edits.push(("gateway.auth.mode", json!("token")).into());
        edits.push(("gateway.auth.token", token).into());
    }
    Ok(edits)
}

/// The provider of `--auth-choice`, its key and its model.
fn model_edits(
    args: &Args,
    env: &std::collections::BTreeMap<String, String>,
) -> Result<Vec<Edit>, Failed> {
    let choice = args.value("auth-choice").unwrap_or("skip");
    let wrong = |what: String| Failed { code: 2, ..Failed::new(what, "openclaw onboard --help") };
    if choice == "skip" {
        return Ok(Vec::new());
    }
    let custom = choice == "custom-api-key";
    let id = if custom { "custom" } else { choice.trim_end_matches("-api-key") };
    let known = known::find(id);
    if known.is_none() && !custom {
        let what = format!("--auth-choice {choice} is not known here");
        return Err(wrong(format!("{what}: skip, custom-api-key, ollama, or <provider>-api-key")));
    }
    let base_url = args.value("custom-base-url").or(known.map(|known| known.base_url));
    let Some(base_url) = base_url else {
        return Err(wrong("--auth-choice custom-api-key needs --custom-base-url".to_owned()));
    };
    let variable = known.map_or_else(|| "CUSTOM_API_KEY".to_owned(), known::Known::variable);
    let typed = secret(args, "custom-api-key", &variable)?;
    let local = known.is_some_and(|known| known.local);
    let set = place::var(env, &variable).is_some();
    let key = match (typed, set, local) {
        (Some(key), ..) => Some(key),
        (None, true, _) => Some(env_ref(&variable)),
        (None, false, true) => None,
        (None, false, false) if custom => None,
        (None, false, false) => {
            let what = format!("{choice}: {variable} is not set here");
            return Err(Failed::new(what, format!("export {variable}=<key>")));
        }
    };
    let api = match (args.value("custom-compatibility"), known) {
        (Some("anthropic"), _) => "anthropic-messages".to_owned(),
        (Some("openai-responses"), _) => "openai-responses".to_owned(),
        (Some(_), _) | (None, None) => "openai-completions".to_owned(),
        (None, Some(known)) => known.api().as_str().to_owned(),
    };
    let model = args.value("custom-model-id");
    let mut provider = json!({"baseUrl": base_url, "api": api});
    if let Some(key) = key {
        provider["apiKey"] = key;
    }
    if let Some(model) = model {
        let images = args.has("custom-image-input");
        let input = if images { json!(["text", "image"]) } else { json!(["text"]) };
        provider["models"] = json!([{"id": model, "name": model, "input": input}]);
    }
    let mut edits = Vec::new();
    let model = model.or_else(|| setup::usual_model(id));
    if model.is_none() && !local {
        return Err(wrong(format!("--auth-choice {choice} needs --custom-model-id")));
    }
    edits.push(Edit(format!("models.providers.{id}"), provider));
    if let Some(model) = model {
        let primary = json!({"primary": format!("{id}/{model}")});
        edits.push(("agents.defaults.model", primary).into());
    }
    Ok(edits)
}

/// The file with these edits; a new one when there is none, and a token when nobody named one.
fn write(paths: &Paths, edits: &[Edit]) -> Result<std::rc::Rc<Config>, Failed> {
    let path = &paths.config_path;
    let env = place::environment();
    let old = match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(Failed::new(format!("cannot read {}: {error}", path.display()), ""));
        }
    };
    let fresh = "// Written by `openclaw onboard`; it is yours from here on.\n{\n}\n";
    let mut text = old.clone().unwrap_or_else(|| fresh.to_owned());
    let broken = |why: String| Failed::config(why, "openclaw doctor --fix");
    let put = |text: &str, path: &str, value: &Value| {
        let steps = parse_path(path).ok_or_else(|| broken(format!("{path} is no path")))?;
        json5::set(text, &steps, &value.to_string()).map_err(|error| broken(error.to_string()))
    };
    for Edit(at, value) in edits {
        text = put(&text, at, value)?;
    }
    let files = place::Files::new();
    let check = |text: &str| {
        load::check(&files, &env, paths, text)
            .map(|loaded| loaded.config)
            .map_err(|error| Failed::config(format!("nothing was written:\n{error}"), ""))
    };
    let mut config = check(&text)?;
    let auth = &config.gateway.auth;
    let local = config.gateway.mode == Some(crate::config::Mode::Local);
    let refers = config.secrets.iter().any(|one| one.path.starts_with("gateway.auth."));
    if local && auth.token.is_none() && auth.password.is_none() && auth.mode.is_none() && !refers {
        text = put(&text, "gateway.auth.mode", &json!("token"))?;
        text = put(&text, "gateway.auth.token", &json!(entropy::token()))?;
        config = check(&text)?;
    }
    let failed = |error: std::io::Error| {
        let what = format!("cannot write {}: {error}", path.display());
        Failed::new(what, "check the directory's owner and free space")
    };
    match old {
        Some(old) if old == text => {}
        Some(old) => {
            let real = path.canonicalize().map_err(failed)?;
            let now = belongings::now_ms();
            Kept::Backup.keep(&mut RealDisk, &real, old.as_bytes(), now).map_err(failed)?;
            RealDisk.replace(&real, text.as_bytes()).map_err(failed)?;
        }
        None => place::write_new_config(path, &text).map_err(failed)?,
    }
    Ok(config)
}

/// `gateway install` with the flags of this profile.
fn install_daemon(args: &Args) -> Result<u8, Failed> {
    let program = belongings::program(args);
    let words = format!("{program} gateway install");
    match table::parse(words.split(' ').skip(1).map(std::ffi::OsString::from)) {
        Ok(Parsed::Run(install)) => service::install(&install),
        _ => Err(Failed::new("the service cannot be installed", words)),
    }
}

/// Waits until a gateway answers; one that was never started is only told.
fn health(args: &Args, must: bool) -> Result<(), Failed> {
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let loaded = place::load_with_programs(&place::Files::new(), &env, &paths, Need::Client)
        .map_err(|error| Failed::config(error.to_string(), "openclaw doctor"))?
        .0;
    let target = Target::configured(args, &paths, &loaded)?;
    let deadline = Instant::now() + HEALTH;
    loop {
        match target.get("/healthz", QUICK) {
            Ok(_) => return Ok(()),
            Err(trouble) if Instant::now() >= deadline || !must => {
                let spared = args.has("skip-daemon") || args.has("no-install-daemon");
                if must || !spared {
                    let failed = trouble.failed(&target);
                    let next = format!("{}, or --skip-health", next::RUN);
                    return Err(Failed::new(failed.what, next));
                }
                let _ = std::io::Write::write_all(
                    &mut std::io::stderr(),
                    b"openclaw: the gateway was not started\n",
                );
                return Ok(());
            }
            Err(_) => port::pause(),
        }
    }
}

fn told(args: &Args, paths: &Paths, config: &Config, workspace: &str, did: (bool, bool)) {
    let (remote, install) = did;
    let port = config.gateway.port.unwrap_or(paths.default_port);
    let auth = config.gateway.auth.mode.unwrap_or(AuthMode::Token).as_str();
    if args.has("json") {
        let mut value = json!({
            "ok": true, "mode": if remote { "remote" } else { "local" },
            "workspace": workspace,
            "authChoice": args.value("auth-choice").unwrap_or("skip"),
            "installDaemon": install,
            "skipSkills": args.has("skip-skills"), "skipHealth": args.has("skip-health"),
        });
        if remote {
            value["remoteUrl"] = json!(args.value("remote-url"));
        } else {
            value["gateway"] = json!({
                "port": port, "bind": config.gateway.bind.as_str(), "authMode": auth,
                "tailscaleMode": "off",
            });
        }
        out::json(&value);
        return;
    }
    let program = belongings::program(args);
    out::line(&format!("Config:    {}", paths.config_path.display()));
    if remote {
        out::line(&format!("Next: {program} status"));
        return;
    }
    out::line(&format!("Workspace: {workspace}"));
    out::line(&format!("Gateway:   port {port}, {}, auth {auth}", config.gateway.bind.as_str()));
    let then = if install { "dashboard" } else { "gateway" };
    out::line(&format!("Next: {program} {then}"));
}
