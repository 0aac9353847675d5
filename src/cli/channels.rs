//! `openclaw channels …` and `openclaw pairing …`: accounts of chat channels, and who may write.

use serde_json::{Map, Value, json};

use super::ask::{call, or_none};
use super::client::{self, CLI, Session, Target};
use super::table::Args;
use super::{Failed, out, place};
use crate::channels::account::{accounts, default_id, normal_id};
use crate::channels::{KINDS, Kind};
use crate::config::load::load_with;
use crate::config::secrets::{Asked, Need, Resolved};
use crate::config::{self, Config};
use crate::wire::json5::{self, Step};

const LIST: &str = "openclaw channels list --all";

pub(super) fn configured(args: &Args) -> Result<std::rc::Rc<Config>, Failed> {
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let files = place::Files::new();
    let none = Resolved::default();
    let asked = Asked { known: &none, need: Need::Look };
    load_with(&files, &env, &paths, None, asked)
        .map(|loaded| loaded.config)
        .map_err(|error| Failed::new(error.to_string(), "openclaw config validate"))
}

/// `openclaw channels capabilities [--channel <id>]`.
///
/// # Errors
/// When there is no such channel.
pub fn capabilities(args: &Args) -> Result<u8, Failed> {
    let wanted = args.value("channel").map(named).transpose()?;
    let mut rows = Vec::new();
    let mut lines = Vec::new();
    for kind in KINDS.iter().filter(|kind| wanted.is_none_or(|wanted| wanted.id == kind.id)) {
        let caps = kind.caps;
        let all = [
            ("direct", caps.direct),
            ("group", caps.group),
            ("threads", caps.threads),
            ("reply", caps.reply),
            ("reactions", caps.reactions),
            ("edit", caps.edit),
            ("unsend", caps.delete),
            ("typing", caps.typing),
            ("media", caps.media),
            ("polls", caps.polls),
            ("buttons", caps.buttons),
            ("nativeCommands", caps.native_commands),
        ];
        let can: Vec<&str> = all.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
        lines.push(format!("{}: {}; {} a message", kind.label, can.join(", "), kind.text_limit));
        let support: Map<String, Value> =
            all.iter().map(|(name, on)| ((*name).to_owned(), json!(on))).collect();
        rows.push(json!({
            "channel": kind.id, "label": kind.label, "support": support,
            "actions": crate::channels::actions::of(kind), "textLimit": kind.text_limit,
        }));
    }
    match args.has("json") {
        true => out::json(&json!({"channels": rows})),
        false => lines.iter().for_each(|line| out::line(line)),
    }
    Ok(0)
}

pub(super) fn named(name: &str) -> Result<&'static Kind, Failed> {
    crate::channels::find(&name.to_lowercase()).ok_or_else(|| {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.id).collect();
        Failed::new(format!("unknown channel \"{name}\"; there are: {}", known.join(", ")), LIST)
    })
}

fn account_of(args: &Args) -> Result<Option<String>, Failed> {
    match args.given("account") {
        Some(id) if id.trim().is_empty() => {
            Err(Failed::new("--account must not be blank", "leave it out for the default account"))
        }
        Some(id) => Ok(Some(normal_id(id))),
        None => Ok(None),
    }
}

/// Flags of `channels add` and the keys they set, tried in this order: the first key that the
/// channel has.
const FLAGS: [(&str, &[&str]); 12] = [
    ("token", &["botToken", "token"]),
    ("bot-token", &["botToken", "token"]),
    ("app-token", &["appToken"]),
    ("signing-secret", &["signingSecret"]),
    ("token-file", &["tokenFile"]),
    ("name", &["name"]),
    ("host", &["host"]),
    ("port", &["port"]),
    ("nick", &["nick"]),
    ("username", &["username"]),
    ("password", &["password"]),
    ("channels", &["channels"]),
];

/// `openclaw channels add --channel <id> [--account <id>] …`.
///
/// # Errors
/// When the channel is unknown, nothing is to be set, or the file would not be valid.
pub fn add(args: &Args) -> Result<u8, Failed> {
    const EXAMPLE: &str = "openclaw channels add --channel irc --host irc.example.org --nick bot";
    let name = args.operands.first().map(String::as_str).or(args.value("channel"));
    let name = name.ok_or_else(|| Failed::new("--channel is missing: which one", EXAMPLE))?;
    let kind = named(name)?;
    let account = account_of(args)?;
    let base = base_steps(kind, account.as_deref());
    let mut edits: Vec<(Vec<Step>, String)> = Vec::new();
    for (flag, keys) in FLAGS {
        let Some(value) = args.value(flag) else { continue };
        let known = |key: &&&str| {
            crate::config::table::KEYS
                .iter()
                .any(|row| row.pattern == format!("channels.{}.{key}", kind.id) || **key == "name")
        };
        let key = keys
            .iter()
            .find(known)
            .ok_or_else(|| Failed::new(format!("{} has no --{flag}", kind.label), EXAMPLE))?;
        let value = match (flag, value.parse::<u64>()) {
            ("port", Ok(port)) => json!(port),
            ("channels", _) => value.split(',').map(str::trim).collect(),
            _ => json!(value),
        };
        edits.push((with(&base, key), value.to_string()));
    }
    if args.has("no-tls") {
        edits.push((with(&base, "tls"), "false".to_owned()));
    }
    let missing: Vec<&str> = match args.has("use-env") {
        true => {
            let env = place::environment();
            let lacks = |key: &&&str| {
                let row = kind.env_keys.iter().find(|(own, _)| own == *key);
                row.is_none_or(|(_, variable)| !env.contains_key(*variable))
            };
            kind.credentials.iter().filter(lacks).copied().collect()
        }
        false => Vec::new(),
    };
    if !missing.is_empty() {
        let names = kind.env_keys.iter().filter(|(key, _)| missing.contains(key));
        let names: Vec<&str> = names.map(|(_, variable)| *variable).collect();
        let what = format!("not set in the environment: {}", names.join(", "));
        return Err(Failed::new(what, "set them for the gateway's service as well"));
    }
    if edits.is_empty() && !args.has("use-env") {
        let keys = kind.credentials.join(", ");
        return Err(Failed::new(format!("nothing to set; {} needs {keys}", kind.label), EXAMPLE));
    }
    edits.push((with(&base, "enabled"), "true".to_owned()));
    apply(args, &edits)?;
    let whose = account.unwrap_or_else(|| "default".to_owned());
    out::line(&format!("{} {whose}: saved; a running gateway connects it now", kind.label));
    out::line("Look: openclaw channels status --probe");
    Ok(0)
}

fn base_steps(kind: &Kind, account: Option<&str>) -> Vec<Step> {
    let mut steps = vec![Step::Key("channels".to_owned()), Step::Key(kind.id.to_owned())];
    if let Some(account) = account.filter(|account| *account != "default") {
        steps.extend([Step::Key("accounts".to_owned()), Step::Key(account.to_owned())]);
    }
    steps
}

fn with(base: &[Step], key: &str) -> Vec<Step> {
    let mut steps = base.to_vec();
    steps.push(Step::Key(key.to_owned()));
    steps
}

/// Edits the file, once what comes out is valid.
fn apply(args: &Args, edits: &[(Vec<Step>, String)]) -> Result<(), Failed> {
    edit(args, |text| {
        let mut text = text.to_owned();
        for (steps, value) in edits {
            text = json5::set(&text, steps, value).map_err(|error| error.to_string())?;
        }
        Ok(text)
    })
}

pub(super) fn edit(
    args: &Args,
    change: impl FnOnce(&str) -> Result<String, String>,
) -> Result<(), Failed> {
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let config = configured(args)?;
    let text =
        change(&config.source.raw).map_err(|why| Failed::new(why, "openclaw config validate"))?;
    super::config_edit::rewrite(&paths, &config, &text, |_: &config::Config| Ok(None)).map(|_| ())
}

/// `openclaw channels remove --channel <id> [--account <id>] [--delete]`.
///
/// # Errors
/// When there is no such account, or the file cannot be written.
pub fn remove(args: &Args) -> Result<u8, Failed> {
    let name = args.operands.first().map(String::as_str).or(args.value("channel"));
    let name = name
        .ok_or_else(|| Failed::new("--channel is missing: which one", "openclaw channels list"))?;
    let kind = named(name)?;
    let account = account_of(args)?;
    let config = configured(args)?;
    let section = config.chat.channels.get(kind.id).unwrap_or(&Value::Null);
    let all = accounts(kind, section, config.env.all());
    let wanted = account.or_else(|| default_id(section, &all)).unwrap_or_default();
    let Some(found) = all.iter().find(|one| one.id == wanted) else {
        let what = format!("{} has no account \"{wanted}\"", kind.label);
        return Err(Failed::new(what, "openclaw channels list"));
    };
    let steps = crate::config::table::parse_path(&found.path).unwrap_or_default();
    match args.has("delete") {
        true => edit(args, |text| json5::remove(text, &steps).map_err(|it| it.to_string()))?,
        false => apply(args, &[(with(&steps, "enabled"), "false".to_owned())])?,
    }
    let done = if args.has("delete") { "deleted" } else { "disabled, its keys are kept" };
    out::line(&format!("{} {wanted}: {done}", kind.label));
    Ok(0)
}

/// `openclaw channels logs [--channel <id>] [--lines <n>]`.
///
/// # Errors
/// When no gateway answers.
pub fn logs(args: &Args) -> Result<u8, Failed> {
    let wanted = args.value("channel").filter(|name| *name != "all").map(named).transpose()?;
    let lines = args.value("lines").and_then(|text| text.parse::<usize>().ok()).unwrap_or(200);
    let target = Target::find(args)?;
    let params = json!({"limit": 5000, "maxBytes": 1_000_000});
    let (file, all) = match call(args, &target, "logs.tail", params) {
        Ok(answer) => {
            let lines = answer.get("lines").and_then(Value::as_array).cloned();
            (answer.get("file").cloned().unwrap_or_default(), lines.unwrap_or_default())
        }
        // Whoever asks for the log of a gateway that is gone reads its file, as in the reference.
        Err(trouble) if target.local && super::channels_look::is_away(&trouble) => {
            let config = configured(args)?;
            let paths = place::paths(&place::environment(), args)?;
            let path = place::log_path(&paths, &config);
            let Ok((lines, _)) = super::logs::end_of(&path, 1_000_000, 5_000) else {
                return target.fail(args, &trouble);
            };
            out::note(&format!("{}; this is its file", trouble.failed(&target).what));
            (json!(path), lines.into_iter().map(Value::from).collect())
        }
        Err(trouble) => return target.fail(args, &trouble),
    };
    let prefix = wanted.map_or("channels".to_owned(), |kind| format!("channels/{}", kind.id));
    let ours = |line: &&Value| {
        line.as_str().is_some_and(|text| {
            text.contains(&format!("\"{prefix}\"")) || text.contains(&format!("\"{prefix}/"))
        })
    };
    let mut ours: Vec<&Value> = all.iter().filter(ours).collect();
    let skip = ours.len().saturating_sub(lines);
    ours.drain(..skip);
    if args.has("json") {
        let channel = wanted.map_or("all", |kind| kind.id);
        let lines: Vec<Value> = ours.iter().map(|line| super::logs::entry(line)).collect();
        out::json(&json!({"file": file, "channel": channel, "lines": lines}));
        return Ok(0);
    }
    for line in &ours {
        let text = line.as_str().unwrap_or_default();
        let record: Value = serde_json::from_str(text).unwrap_or_default();
        let word = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
        let message = record.get("message").and_then(Value::as_str).unwrap_or(text);
        let subsystem = if word("subsystem").is_empty() { &prefix } else { word("subsystem") };
        out::line(&out::foreign(format!("{} {subsystem} {message}", word("time")).trim()));
    }
    if ours.is_empty() {
        out::line("no lines of channels in the log yet");
    }
    Ok(0)
}

/// The only pairing channel, or the one that is named.
fn pairing_channel(args: &Args, operand: Option<&String>) -> Result<&'static Kind, Failed> {
    if let Some(name) = args.value("channel").or(operand.map(String::as_str)) {
        return named(name);
    }
    let config = configured(args)?;
    let ours: Vec<&'static Kind> = KINDS
        .iter()
        .copied()
        .filter(|kind| {
            let section = config.chat.channels.get(kind.id).unwrap_or(&Value::Null);
            !accounts(kind, section, config.env.all()).is_empty()
        })
        .collect();
    match ours.as_slice() {
        [only] => Ok(only),
        _ => Err(Failed::new("say which channel", "openclaw pairing list <channel>")),
    }
}

fn pairing_call(args: &Args, method: &str, params: Value) -> Result<Result<Value, u8>, Failed> {
    let target = Target::find(args)?;
    let scopes = client::scopes_for(method, &params);
    let asked = Session::open(&target, CLI, &scopes, client::timeout(args)).and_then(|mut it| {
        let answer = it.request(method, Some(params));
        it.close();
        answer
    });
    match asked {
        Ok(answer) => Ok(Ok(answer)),
        Err(trouble) => target.fail(args, &trouble).map(Err),
    }
}

/// `openclaw pairing list [channel]`.
///
/// # Errors
/// When no gateway answers.
pub fn pairing_list(args: &Args) -> Result<u8, Failed> {
    let kind = pairing_channel(args, args.operands.first())?;
    let mut params = json!({"channel": kind.id});
    if let Some(account) = account_of(args)? {
        params["accountId"] = json!(account);
    }
    let answer = match pairing_call(args, "channels.pairing.list", params)? {
        Ok(answer) => answer,
        Err(code) => return Ok(code),
    };
    let requests = answer.get("requests").and_then(Value::as_array).cloned().unwrap_or_default();
    if args.has("json") {
        out::json(&json!({"channel": kind.id, "requests": requests}));
        return Ok(0);
    }
    let lines: Vec<String> = requests
        .iter()
        .map(|row| {
            let word = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
            let name = row.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("-");
            let (account, until) = (word("accountId"), word("expiresAt"));
            format!("{} ({name}), account {account}, until {until}", word("senderId"))
        })
        .collect();
    let none = format!("nobody waits to write to {}", kind.label);
    or_none(lines, &none).iter().for_each(|line| out::line(&out::foreign(line)));
    if !requests.is_empty() {
        out::line(&format!("They were sent a code: openclaw pairing approve {} <code>", kind.id));
    }
    Ok(0)
}

/// `openclaw pairing approve [channel] <code>`. The first who is approved becomes the command
/// owner, as in the reference.
///
/// # Errors
/// When no gateway answers, or the code is none.
pub fn pairing_approve(args: &Args) -> Result<u8, Failed> {
    let (channel, code) = match args.operands.as_slice() {
        [channel, code] => (Some(channel), code),
        [code] => (None, code),
        _ => {
            let next = "openclaw pairing approve <channel> <code>";
            return Err(Failed::new("say the code that they were sent", next));
        }
    };
    let kind = pairing_channel(args, channel)?;
    let mut params = json!({"channel": kind.id, "code": code.trim(), "notify": args.has("notify")});
    if let Some(account) = account_of(args)? {
        params["accountId"] = json!(account);
    }
    let answer = match pairing_call(args, "channels.pairing.approve", params)? {
        Ok(answer) => answer,
        Err(code) => return Ok(code),
    };
    let sender = answer.get("senderId").and_then(Value::as_str).unwrap_or_default().to_owned();
    let has_owner = answer.get("commandOwnerConfigured") == Some(&Value::Bool(true));
    let entry = format!("{}:{sender}", kind.id);
    let mut owner = false;
    if !has_owner {
        let steps = [Step::Key("commands".to_owned()), Step::Key("ownerAllowFrom".to_owned())];
        owner = apply(args, &[(steps.to_vec(), json!([entry]).to_string())]).is_ok();
    }
    if args.has("json") {
        out::json(&json!({
            "channel": kind.id, "id": sender, "approved": true, "commandOwner": owner,
        }));
        return Ok(0);
    }
    out::line(&out::foreign(&format!("Approved {} sender {sender}.", kind.id)));
    if owner {
        out::line(&out::foreign(&format!("Command owner now: {entry}")));
    }
    Ok(0)
}
