//! `openclaw nodes ...`: what devices offer as nodes, and who decided it.
//!
//! Every command asks the gateway. `--node` is an exact id or address, else a name, else the
//! start of an id (six characters at least); of several that fit equally well the connected one
//! is meant, and two such are a mistake that is told.

use serde_json::{Map, Value, json};

use super::client::{self, CLI, Session, Target, Trouble};
use super::table::Args;
use super::{Failed, ask, out};
use crate::wire::text::rfc3339_ms;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A node's time for a command, and what the way there and back may add.
const INVOKE_MS: u64 = 15_000;
const TRANSPORT_MS: u64 = 30_000;
const GRACE_MS: u64 = 10_000;
/// Shortest start of an id.
const PREFIX: usize = 6;

/// `openclaw node run` and its like.
///
/// # Errors
/// Always: the node host is not part of this program.
pub fn host(_: &Args) -> Result<u8, Failed> {
    Err(Failed::new(
        "this program is a gateway; the node host (openclaw node run) is not part of it. Run the \
         node host of the npm package, or a node app, against this gateway",
        "openclaw nodes --help",
    ))
}

/// `openclaw nodes status`.
///
/// # Errors
/// When no gateway answers, or a duration is none.
pub fn status(args: &Args) -> Result<u8, Failed> {
    let since_ms = since(args)?;
    let target = Target::find(args)?;
    let mut list = match ask::call(args, &target, "node.list", json!({})) {
        Ok(list) => list,
        Err(trouble) => return target.fail(args, &trouble),
    };
    if let Some(rows) = list["nodes"].as_array_mut() {
        rows.retain(|row| wanted(args, row, since_ms));
    }
    if args.has("json") {
        out::json(&list);
        return Ok(0);
    }
    let rows = list["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lines: Vec<String> = rows.iter().flat_map(short).collect();
    print(&ask::or_none(lines, "no nodes"));
    Ok(0)
}

/// `openclaw nodes list`.
///
/// # Errors
/// As [`status`].
pub fn list(args: &Args) -> Result<u8, Failed> {
    let since_ms = since(args)?;
    let target = Target::find(args)?;
    let both =
        Session::open(&target, CLI, &["operator.read", "operator.pairing"], client::timeout(args))
            .and_then(|mut session| {
                let pairs = session.request("node.pair.list", Some(json!({})))?;
                let nodes = session.request("node.list", Some(json!({})))?;
                session.close();
                Ok((pairs, nodes))
            });
    let (mut pairs, nodes) = match both {
        Ok(both) => both,
        Err(trouble) => return target.fail(args, &trouble),
    };
    let known = nodes["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(rows) = pairs["paired"].as_array_mut() {
        rows.retain(|row| {
            let state = known.iter().find(|it| it["nodeId"] == row["nodeId"]);
            state.is_none_or(|state| wanted(args, state, since_ms))
        });
    }
    if args.has("json") {
        out::json(&pairs);
        return Ok(0);
    }
    let rows = |name: &str| pairs[name].as_array().cloned().unwrap_or_default();
    let mut lines = vec!["Pending:".to_owned()];
    lines.extend(ask::or_none(rows("pending").iter().map(request).collect(), "  none"));
    lines.push("Paired:".to_owned());
    let paired = rows("paired");
    let paired = paired.iter().map(|row| {
        let at = row["lastConnectedAtMs"].as_u64().filter(|at| *at > 0).map(rfc3339_ms);
        let at = at.unwrap_or_else(|| "never".to_owned());
        format!("  {}  {}  last connect {at}", id(row), name(row))
    });
    lines.extend(ask::or_none(paired.collect(), "  none"));
    print(&lines);
    Ok(0)
}

/// `openclaw nodes describe --node <node>`.
///
/// # Errors
/// As [`status`], and when no node or more than one is meant.
pub fn describe(args: &Args) -> Result<u8, Failed> {
    with_node(
        args,
        "node.describe",
        |id| json!({"nodeId": id}),
        |row| {
            let mut lines = short(row);
            for (title, name) in [
                ("permissions", "permissions"),
                ("stats", "hostStats"),
                ("waits for approval", "pendingDeclaredCommands"),
                ("request", "pendingRequestId"),
            ] {
                match &row[name] {
                    Value::Null => {}
                    Value::String(text) => lines.push(format!("  {title}: {text}")),
                    value => lines.push(format!("  {title}: {value}")),
                }
            }
            lines
        },
    )
}

/// `openclaw nodes pending`.
///
/// # Errors
/// When no gateway answers.
pub fn pending(args: &Args) -> Result<u8, Failed> {
    let target = Target::find(args)?;
    match ask::call(args, &target, "node.pair.list", json!({})) {
        Ok(answer) if args.has("json") => out::json(&answer["pending"]),
        Ok(answer) => {
            let rows = answer["pending"].as_array().map(Vec::as_slice).unwrap_or_default();
            let mut lines: Vec<String> = rows.iter().map(request).collect();
            if !lines.is_empty() {
                lines.push("Approve one: openclaw nodes approve <requestId>".to_owned());
            }
            print(&ask::or_none(lines, "nothing waits for an approval"));
        }
        Err(trouble) => return target.fail(args, &trouble),
    }
    Ok(0)
}

/// `openclaw nodes approve <requestId>`: asks with the scopes that the request takes.
///
/// # Errors
/// When no gateway answers, or no such request waits.
pub fn approve(args: &Args) -> Result<u8, Failed> {
    let request = args.operands.first().cloned().unwrap_or_default();
    let target = Target::find(args)?;
    let timeout = client::timeout(args);
    let answer = Session::open(&target, CLI, &["operator.pairing"], timeout).and_then(|mut it| {
        let list = it.request("node.pair.list", Some(json!({})))?;
        it.close();
        let rows = list["pending"].as_array().map(Vec::as_slice).unwrap_or_default();
        let row = rows.iter().find(|row| row["requestId"] == request.as_str());
        let needed = row.and_then(|row| row["requiredApproveScopes"].as_array());
        let needed = needed.into_iter().flatten().filter_map(Value::as_str);
        let mut scopes: Vec<&str> = needed.collect();
        if scopes.is_empty() {
            scopes.push("operator.pairing");
        }
        let mut session = Session::open(&target, CLI, &scopes, timeout)?;
        let answer = session.request("node.pair.approve", Some(json!({"requestId": request})))?;
        session.close();
        Ok(answer)
    });
    match answer {
        Ok(answer) if args.has("json") => out::json(&answer),
        Ok(answer) => {
            let node = &answer["node"];
            print(&[format!("Approved {} {}: {}", id(node), name(node), words(&node["commands"]))]);
        }
        Err(trouble) => return target.fail(args, &trouble),
    }
    Ok(0)
}

/// `openclaw nodes reject <requestId>`.
///
/// # Errors
/// When no gateway answers, or no such request waits.
pub fn reject(args: &Args) -> Result<u8, Failed> {
    let request = args.operands.first().cloned().unwrap_or_default();
    ask::ask(args, "node.pair.reject", json!({"requestId": request}), |answer| {
        vec![format!("Rejected what {} asked for.", id(answer))]
    })
}

/// `openclaw nodes remove --node <node>`.
///
/// # Errors
/// As [`describe`].
pub fn remove(args: &Args) -> Result<u8, Failed> {
    with_node(
        args,
        "node.pair.remove",
        |id| json!({"nodeId": id}),
        |answer| vec![format!("Removed {}; its connections as a node are closed.", id(answer))],
    )
}

/// `openclaw nodes rename --node <node> --name <name>`.
///
/// # Errors
/// As [`describe`], and without a name.
pub fn rename(args: &Args) -> Result<u8, Failed> {
    let name =
        args.value("name").map(str::trim).filter(|name| !name.is_empty()).ok_or_else(|| {
            Failed::new("say its new name", "openclaw nodes rename --node 0f3c1a --name Kitchen")
        })?;
    let params = |id: &str| json!({"nodeId": id, "displayName": name});
    with_node(args, "node.rename", params, |answer| vec![format!("{} is now {name}.", id(answer))])
}

/// `openclaw nodes invoke --node <node> --command <command>`.
///
/// # Errors
/// As [`describe`], for bad parameters, and for commands that only the `exec` tool may send.
pub fn invoke(args: &Args) -> Result<u8, Failed> {
    const EXAMPLE: &str = "openclaw nodes invoke --node kitchen --command device.info";
    let command = args.value("command").map(str::trim).unwrap_or_default();
    if command.is_empty() {
        return Err(Failed::new("say which command: --command", EXAMPLE));
    }
    if matches!(command, "system.run" | "system.run.prepare") {
        return Err(Failed::new(
            format!("{command} is not for nodes invoke: programs on a node run through approvals"),
            "openclaw approvals pending",
        ));
    }
    let params: Value = match args.value("params").map(serde_json::from_str) {
        None => json!({}),
        Some(Ok(params @ Value::Object(_))) => params,
        Some(Ok(_)) => return Err(Failed::new("--params must be a JSON object", EXAMPLE)),
        Some(Err(error)) => {
            return Err(Failed::new(format!("--params is not JSON: {error}"), EXAMPLE));
        }
    };
    send(args, command, params)
}

/// `openclaw nodes notify --node <node>`.
///
/// # Errors
/// As [`describe`], and with neither title nor body.
pub fn notify(args: &Args) -> Result<u8, Failed> {
    if args.value("title").is_none() && args.value("body").is_none() {
        let example = "openclaw nodes notify --node kitchen --title Build --body Done";
        return Err(Failed::new("say what to show: --title, --body or both", example));
    }
    let mut params = Map::new();
    for name in ["title", "body", "sound", "priority", "delivery"] {
        if let Some(text) = args.value(name) {
            params.insert(name.to_owned(), json!(text));
        }
    }
    send(args, "system.notify", Value::Object(params))
}

fn send(args: &Args, command: &str, params: Value) -> Result<u8, Failed> {
    let wait_ms = args.number("invoke-timeout").unwrap_or(INVOKE_MS);
    let transport_ms = args.number("timeout").unwrap_or(TRANSPORT_MS).max(wait_ms + GRACE_MS);
    let key = args.value("idempotency-key").map(str::to_owned);
    let key = key.unwrap_or_else(|| crate::wire::text::uuid_v4(super::entropy::bytes()));
    let asked = |id: &str| {
        json!({"nodeId": id, "command": command, "params": params, "timeoutMs": wait_ms,
            "idempotencyKey": key})
    };
    let timeout = Duration::from_millis(transport_ms);
    node_call(args, "node.invoke", timeout, asked, |answer| {
        vec![serde_json::to_string_pretty(&answer["payload"]).unwrap_or_default()]
    })
}

fn with_node(
    args: &Args,
    method: &str,
    params: impl FnOnce(&str) -> Value,
    show: impl FnOnce(&Value) -> Vec<String>,
) -> Result<u8, Failed> {
    node_call(args, method, client::timeout(args), params, show)
}

/// Finds the node, asks about it, prints.
fn node_call(
    args: &Args,
    method: &str,
    timeout: Duration,
    params: impl FnOnce(&str) -> Value,
    show: impl FnOnce(&Value) -> Vec<String>,
) -> Result<u8, Failed> {
    let wanted = args.value("node").map(str::trim).filter(|node| !node.is_empty());
    let wanted = wanted
        .ok_or_else(|| Failed::new("say which node: --node", "openclaw nodes status"))?
        .to_owned();
    let target = Target::find(args)?;
    let mut scopes = client::scopes_for(method, &Value::Null);
    scopes.push("operator.read");
    let mut session = match Session::open(&target, CLI, &scopes, timeout) {
        Ok(session) => session,
        Err(trouble) => return target.fail(args, &trouble),
    };
    let mut step = |method: &str, params: Value| -> Result<Value, Trouble> {
        session.request(method, Some(params))
    };
    let list = match step("node.list", json!({})) {
        Ok(list) => list,
        Err(trouble) => return target.fail(args, &trouble),
    };
    let rows = list["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = find(rows, &wanted).map_err(|what| Failed::new(what, "openclaw nodes status"))?;
    match step(method, params(&found)) {
        Ok(answer) if args.has("json") => out::json(&answer),
        Ok(answer) => print(&show(&answer)),
        Err(trouble) => return target.fail(args, &trouble),
    }
    session.close();
    Ok(0)
}

/// The id of the node that is meant.
fn find(rows: &[Value], wanted: &str) -> Result<String, String> {
    let is = |row: &Value, name: &str| row[name].as_str() == Some(wanted);
    let ranks: [&dyn Fn(&Value) -> bool; 4] = [
        &|row| is(row, "nodeId"),
        &|row| is(row, "remoteIp"),
        &|row| row["displayName"].as_str().is_some_and(|it| it.eq_ignore_ascii_case(wanted)),
        &|row| wanted.len() >= PREFIX && id(row).starts_with(wanted),
    ];
    for fits in ranks {
        let all: Vec<&Value> = rows.iter().filter(|row| fits(row)).collect();
        let up: Vec<&Value> = all.iter().copied().filter(|row| row["connected"] == true).collect();
        match (all.as_slice(), up.as_slice()) {
            ([], _) => {}
            ([one], _) | (_, [one]) => return Ok(id(one).to_owned()),
            (many, _) => {
                let ids: Vec<&str> = many.iter().map(|row| id(row)).collect();
                return Err(format!(
                    "{} nodes are called {}: {}; use the whole id",
                    many.len(),
                    out::foreign(wanted),
                    ids.join(", ")
                ));
            }
        }
    }
    Err(format!("no node is called {}", out::foreign(wanted)))
}

/// `--last-connected`: the earliest time that counts.
fn since(args: &Args) -> Result<Option<u64>, Failed> {
    let Some(text) = args.value("last-connected") else { return Ok(None) };
    let ms = duration_ms(text.trim()).ok_or_else(|| {
        let what = format!("--last-connected takes a duration, not `{}`", out::foreign(text));
        Failed::new(what, "openclaw nodes status --last-connected 24h")
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Ok(Some(u64::try_from(now).unwrap_or(u64::MAX).saturating_sub(ms)))
}

/// `90s`, `15m`, `24h`, `7d`, `500ms`.
fn duration_ms(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_ms)
}

fn wanted(args: &Args, row: &Value, since_ms: Option<u64>) -> bool {
    let connected = row["lastConnectedAtMs"].as_u64().unwrap_or(0);
    (!args.has("connected") || row["connected"] == true)
        && since_ms.is_none_or(|since_ms| connected >= since_ms)
}

fn id(row: &Value) -> &str {
    row["nodeId"].as_str().unwrap_or_default()
}

fn name(row: &Value) -> &str {
    row["displayName"].as_str().unwrap_or("-")
}

fn words(list: &Value) -> String {
    let words: Vec<&str> =
        list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if words.is_empty() { "no commands".to_owned() } else { words.join(", ") }
}

/// A node in a few lines, none of them wide.
fn short(row: &Value) -> Vec<String> {
    let text = |name: &str| row[name].as_str().unwrap_or("-");
    let up = if row["connected"] == true { "connected" } else { "away" };
    let mut lines = vec![
        format!("{}  {up}  {}", name(row), text("approvalState")),
        format!("  id: {}", id(row)),
        format!("  {} {}  {}", text("platform"), text("version"), text("clientId")),
        format!("  commands: {}", words(&row["commands"])),
    ];
    if let Some(request) = row["pendingRequestId"].as_str() {
        lines.push(format!("  waits: openclaw nodes approve {request}"));
    }
    lines
}

/// A request in one line.
fn request(row: &Value) -> String {
    let scopes = words(&row["requiredApproveScopes"]);
    let request = row["requestId"].as_str().unwrap_or_default();
    format!("  {request}  {}  {}  (takes {scopes})", name(row), words(&row["commands"]))
}

fn print(lines: &[String]) {
    lines.iter().for_each(|line| out::line(&out::foreign(line)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_found_by_id_address_name_or_start_of_id() {
        let rows = [
            json!({"nodeId": "aaaaaa11", "displayName": "Kitchen", "connected": false}),
            json!({"nodeId": "aaaaaa22", "displayName": "Kitchen", "connected": true}),
            json!({"nodeId": "bbbbbb33", "displayName": "aaaaaa11", "remoteIp": "10.0.0.7",
                "connected": true}),
            json!({"nodeId": "cccccc44", "displayName": "Twin", "connected": true}),
            json!({"nodeId": "cccccc55", "displayName": "Twin", "connected": true}),
        ];
        for (wanted, id) in [
            ("aaaaaa11", "aaaaaa11"),
            ("10.0.0.7", "bbbbbb33"),
            ("kitchen", "aaaaaa22"),
            ("bbbbbb", "bbbbbb33"),
            ("aaaaaa", "aaaaaa22"),
        ] {
            assert_eq!(find(&rows, wanted).as_deref(), Ok(id), "{wanted}");
        }
        assert!(find(&rows, "Twin").unwrap_err().contains("cccccc44, cccccc55"));
        for none in ["bbbbb", "nobody"] {
            assert!(find(&rows, none).unwrap_err().contains("no node"), "{none}");
        }
    }

    #[test]
    fn durations_are_read_or_refused() {
        for (text, want) in [
            ("24h", Some(86_400_000)),
            ("7d", Some(604_800_000)),
            ("500ms", Some(500)),
            ("5", None),
            ("h", None),
            ("-1h", None),
            ("99999999999999999999d", None),
            ("300000000000000d", None),
        ] {
            assert_eq!(duration_ms(text), want, "{text}");
        }
    }
}
