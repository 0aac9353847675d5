//! `openclaw devices ...`, `openclaw qr`, `openclaw pairing ...`: who may enter, and by whose
//! word.
//!
//! Every command asks the gateway, with the secret of the configuration: the shared secret is
//! what a command of the same host and user has, so it never needs pairing itself.

use serde_json::{Value, json};

use super::client::{self, CLI, Session, Target, Trouble};
use super::table::Args;
use super::{Failed, ask, out};
use crate::wire::text::rfc3339_ms;

const LIST: &str = "openclaw devices list";

/// `openclaw devices list`.
///
/// # Errors
/// When no gateway answers.
pub fn list(args: &Args) -> Result<u8, Failed> {
    ask::ask(args, "device.pair.list", json!({}), |answer| {
        let mut lines = vec!["Pending:".to_owned()];
        let pending: Vec<String> =
            rows(answer, "pending").iter().flat_map(|row| request(row, answer)).collect();
        let some = !pending.is_empty();
        lines.extend(ask::or_none(pending, "  none"));
        if some {
            lines.push("Approve one: openclaw devices approve <requestId>".to_owned());
        }
        lines.push("Paired:".to_owned());
        let paired = rows(answer, "paired").iter().flat_map(device).collect();
        lines.extend(ask::or_none(paired, "  none"));
        lines
    })
}

/// `openclaw devices approve [requestId]`: without the id, or with `--latest`, only shows the
/// newest request.
///
/// # Errors
/// When no gateway answers, or no such request waits.
pub fn approve(args: &Args) -> Result<u8, Failed> {
    let Some(request_id) = args.operands.first().filter(|_| !args.has("latest")) else {
        return preview(args);
    };
    change(args, "device.pair.approve", json!({"requestId": request_id}), |answer| {
        vec![format!(
            "Approved {} {}.",
            name(&answer["device"]),
            word(&answer["device"], "deviceId")
        )]
    })
}

fn preview(args: &Args) -> Result<u8, Failed> {
    let target = Target::find(args)?;
    let list = match ask::call(args, &target, "device.pair.list", json!({})) {
        Ok(list) => list,
        Err(trouble) => return target.fail(args, &trouble),
    };
    let newest = rows(&list, "pending").iter().max_by_key(|row| row["ts"].as_u64());
    let Some(newest) = newest else {
        return Err(Failed::new("no device waits for an approval", LIST));
    };
    let mut command = format!("openclaw devices approve {}", word(newest, "requestId"));
    if let Some(url) = args.value("url") {
        command.push_str(&format!(" --url {url}"));
    }
    if args.has("json") {
        out::json(&json!({"pending": newest, "approveCommand": command}));
        return Ok(1);
    }
    print(&request(newest, &list));
    print(&["Nothing was approved. If this is right, run:".to_owned(), format!("  {command}")]);
    if args.value("token").or(args.value("password")).is_some() {
        print(&["with the same --token or --password again.".to_owned()]);
    }
    Ok(1)
}

/// `openclaw devices reject <requestId>`.
///
/// # Errors
/// When no gateway answers, or no such request waits.
pub fn reject(args: &Args) -> Result<u8, Failed> {
    let id = operand(args);
    change(args, "device.pair.reject", json!({"requestId": id}), |answer| {
        vec![format!("Rejected {}.", word(answer, "deviceId"))]
    })
}

/// `openclaw devices remove <deviceId>`.
///
/// # Errors
/// When no gateway answers, or there is no such device.
pub fn remove(args: &Args) -> Result<u8, Failed> {
    let id = operand(args);
    change(args, "device.pair.remove", json!({"deviceId": id}), |answer| {
        vec![format!("Removed {}; its connections are closed.", word(answer, "deviceId"))]
    })
}

/// `openclaw devices rename --device <id> --name <label>`.
///
/// # Errors
/// When no gateway answers, or there is no such device.
pub fn rename(args: &Args) -> Result<u8, Failed> {
    let id = needed(args, "device")?;
    let label = needed(args, "name")?;
    change(args, "device.pair.rename", json!({"deviceId": id, "label": label}), |answer| {
        vec![format!("{} is called {} now.", word(answer, "deviceId"), word(answer, "label"))]
    })
}

/// `openclaw devices clear --yes [--pending]`.
///
/// # Errors
/// Without `--yes`, and when no gateway answers.
pub fn clear(args: &Args) -> Result<u8, Failed> {
    if !args.has("yes") {
        return Err(Failed::new(
            "this removes every paired device and closes their connections; say --yes",
            "openclaw devices clear --yes",
        ));
    }
    let target = Target::find(args)?;
    match clear_all(args, &target) {
        Ok((removed, rejected)) if args.has("json") => {
            out::json(&json!({"removed": removed, "rejectedPending": rejected}));
        }
        Ok((removed, rejected)) => print(&[format!(
            "Removed {} devices, rejected {} requests.",
            removed.len(),
            rejected.len()
        )]),
        Err(trouble) => return target.fail(args, &trouble),
    }
    Ok(0)
}

fn clear_all(args: &Args, target: &Target) -> Result<(Vec<String>, Vec<String>), Trouble> {
    let mut session = Session::open(target, CLI, &["operator.admin"], client::timeout(args))?;
    let list = session.request("device.pair.list", Some(json!({})))?;
    let mut done = (Vec::new(), Vec::new());
    for row in rows(&list, "paired") {
        let id = word(row, "deviceId").to_owned();
        session.request("device.pair.remove", Some(json!({"deviceId": id})))?;
        done.0.push(id);
    }
    let pending = if args.has("pending") { rows(&list, "pending") } else { &[] };
    for row in pending {
        let id = word(row, "requestId").to_owned();
        session.request("device.pair.reject", Some(json!({"requestId": id})))?;
        done.1.push(id);
    }
    session.close();
    Ok(done)
}

/// `openclaw devices rotate --device <id> --role <role>`.
///
/// # Errors
/// When no gateway answers, or the scopes are beyond what the device is approved for.
pub fn rotate(args: &Args) -> Result<u8, Failed> {
    let mut params = json!({"deviceId": needed(args, "device")?, "role": needed(args, "role")?});
    match (args.value("scope"), args.has("no-scopes")) {
        (Some(_), true) => {
            return Err(Failed::new(
                "--scope and --no-scopes contradict each other",
                "openclaw devices rotate --help",
            ));
        }
        (Some(scopes), false) => {
            params["scopes"] = json!(scopes.split(',').map(str::trim).collect::<Vec<_>>());
        }
        (None, true) => params["scopes"] = json!([]),
        (None, false) => {}
    }
    // The answer is for programs either way, as in the reference.
    let target = Target::find(args)?;
    match call(args, &target, "device.token.rotate", params) {
        Ok(answer) => out::json(&answer),
        Err(trouble) => return target.fail(args, &trouble),
    }
    Ok(0)
}

/// `openclaw devices revoke --device <id> --role <role>`.
///
/// # Errors
/// When no gateway answers, or there is no such token.
pub fn revoke(args: &Args) -> Result<u8, Failed> {
    let params = json!({"deviceId": needed(args, "device")?, "role": needed(args, "role")?});
    change(args, "device.token.revoke", params, |answer| {
        let (role, id) = (word(answer, "role"), word(answer, "deviceId"));
        vec![format!("Revoked the {role} token of {id}; its connections are closed.")]
    })
}

/// `openclaw qr`: a setup code for one new device.
///
/// # Errors
/// When no gateway answers, or devices could not reach it.
pub fn qr(args: &Args) -> Result<u8, Failed> {
    let mut params = json!({"includeQr": false});
    if let Some(url) = args.value("public-url").or(args.value("url")) {
        params["publicUrl"] = json!(url);
    }
    if args.has("remote") {
        params["preferRemoteUrl"] = json!(true);
    }
    match (args.has("limited"), args.has("node")) {
        (true, true) => {
            return Err(Failed::new("--limited and --node contradict each other", "openclaw qr"));
        }
        (true, false) => params["bootstrapProfile"] = json!("limited"),
        (false, true) => params["bootstrapProfile"] = json!("node"),
        (false, false) => {}
    }
    let target = Target::find(args)?;
    let answer = match call(args, &target, "device.pair.setupCode", params) {
        Ok(answer) => answer,
        Err(trouble) => return target.fail(args, &trouble),
    };
    if args.has("json") {
        out::json(&answer);
        return Ok(0);
    }
    let code = word(&answer, "setupCode");
    if args.has("setup-code-only") {
        print(&[code.to_owned()]);
        return Ok(0);
    }
    let until = answer["expiresAtMs"].as_u64().map(rfc3339_ms).unwrap_or_default();
    let mut lines = vec![
        format!("Setup code for one device, good until {until}; treat it like a password:"),
        String::new(),
        code.to_owned(),
        String::new(),
        format!("Gateway: {}  Access: {}", word(&answer, "gatewayUrl"), word(&answer, "access")),
        "On the phone: Settings, Gateway, paste the setup code.".to_owned(),
    ];
    if answer["accessDowngraded"] == true {
        lines.push(
            "Without administration, since the address is not wss://: give one with --public-url."
                .to_owned(),
        );
    }
    print(&lines);
    Ok(0)
}

fn call(args: &Args, target: &Target, method: &str, params: Value) -> Result<Value, Trouble> {
    // What a change takes depends on the device; whoever has the secret holds it all.
    let mut session = Session::open(target, CLI, &["operator.admin"], client::timeout(args))?;
    let answer = session.request(method, Some(params))?;
    session.close();
    Ok(answer)
}

fn change(
    args: &Args,
    method: &str,
    params: Value,
    show: impl FnOnce(&Value) -> Vec<String>,
) -> Result<u8, Failed> {
    let target = Target::find(args)?;
    match call(args, &target, method, params) {
        Ok(answer) if args.has("json") => out::json(&answer),
        Ok(answer) => print(&show(&answer)),
        Err(trouble) => return target.fail(args, &trouble),
    }
    Ok(0)
}

fn operand(args: &Args) -> String {
    args.operands.first().cloned().unwrap_or_default()
}

fn needed<'a>(args: &'a Args, flag: &'static str) -> Result<&'a str, Failed> {
    let value = args.value(flag).map(str::trim).filter(|value| !value.is_empty());
    value.ok_or_else(|| Failed::new(format!("say which {flag}: --{flag}"), LIST))
}

fn print(lines: &[String]) {
    for line in lines {
        out::line(&out::foreign(line));
    }
}

fn rows<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn word<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

/// The operator's label, else what the device calls itself.
fn name(row: &Value) -> &str {
    let named = |name: &str| row[name].as_str().filter(|text| !text.is_empty());
    let known = ["operatorLabel", "displayName", "clientId", "deviceId"];
    known.into_iter().find_map(named).unwrap_or("a device")
}

fn words(list: &Value) -> String {
    let names: Vec<&str> =
        list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn request(row: &Value, list: &Value) -> Vec<String> {
    let id = word(row, "deviceId");
    let mut lines = vec![format!(
        "  {}  {} ({}) wants {}: {}",
        word(row, "requestId"),
        name(row),
        word(row, "remoteIp"),
        word(row, "role"),
        words(&row["scopes"])
    )];
    lines.push(format!("    device {id}, {} {}", word(row, "clientId"), word(row, "platform")));
    if let Some(known) = rows(list, "paired").iter().find(|known| word(known, "deviceId") == id) {
        lines.push(format!(
            "    approved so far: {}: {}",
            words(&known["roles"]),
            words(&known["scopes"])
        ));
    }
    lines
}

fn device(row: &Value) -> Vec<String> {
    let seen = row["lastSeenAtMs"].as_u64().map_or_else(|| "never".to_owned(), rfc3339_ms);
    let state = if row["connected"] == true { "connected" } else { "away" };
    vec![
        format!("  {}  {} ({state}, last seen {seen})", word(row, "deviceId"), name(row)),
        format!(
            "    {}: {}; approved by {}",
            words(&row["roles"]),
            words(&row["scopes"]),
            word(row, "approvedVia")
        ),
    ]
}
