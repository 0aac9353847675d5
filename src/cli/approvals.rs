//! `openclaw approvals ...`: the host's exec approvals, and questions that wait for an answer.
//!
//! `get`, `set` and `allowlist` read and replace `exec-approvals.json` of the state directory; a
//! running gateway reads it anew for every command, so an edit counts at once. `pending` and
//! `resolve` ask the gateway.

use std::io::{self, Read};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::table::Args;
use super::{Failed, ask, out, place};
use crate::gateway::exec_approvals as document;
use crate::store::{Disk, RealDisk};

/// The agent whose list is edited when none is named.
const EVERY_AGENT: &str = "*";

/// `openclaw approvals get`.
///
/// # Errors
/// When the document is damaged or cannot be read.
pub fn get(args: &Args) -> Result<u8, Failed> {
    let (path, exists, value) = read(args)?;
    if args.has("json") {
        let path = path.display().to_string();
        out::json(&json!({"path": path, "exists": exists, "file": shown(value)}));
        return Ok(0);
    }
    let note = if exists { "" } else { " (not there: tools.exec of the configuration decides)" };
    out::line(&format!("{}{note}", path.display()));
    let text = serde_json::to_string_pretty(&shown(value)).unwrap_or_default();
    for line in text.lines() {
        out::line(&out::foreign(line));
    }
    Ok(0)
}

/// `openclaw approvals set`.
///
/// # Errors
/// When the new document is not valid or cannot be written; the old one then stands.
pub fn set(args: &Args) -> Result<u8, Failed> {
    let text = match (args.value("file"), args.has("stdin")) {
        (Some(file), false) => std::fs::read(file).map_err(|error| {
            Failed::new(format!("cannot read {}: {error}", out::foreign(file)), "")
        })?,
        (None, true) => {
            let mut text = Vec::new();
            let max = crate::limits::APPROVALS_FILE as u64;
            io::stdin()
                .take(max)
                .read_to_end(&mut text)
                .map_err(|error| Failed::new(format!("cannot read standard input: {error}"), ""))?;
            text
        }
        _ => {
            return Err(Failed::new(
                "say where the new document is: --file or --stdin",
                "openclaw approvals set --file exec-approvals.json",
            ));
        }
    };
    let text = String::from_utf8_lossy(&text);
    let value = crate::wire::json5::parse(&text)
        .map(|parsed| parsed.root.to_value())
        .map_err(|error| Failed::new(format!("not JSON5: {error}"), "openclaw approvals get"))?;
    document::check(&value).map_err(|why| Failed::new(why, "openclaw approvals get --json"))?;
    let path = path(args)?;
    write(&path, &value)?;
    out::line(&format!("{} replaced", path.display()));
    Ok(0)
}

/// `openclaw approvals allowlist add <pattern>`.
///
/// # Errors
/// As [`set`].
pub fn add(args: &Args) -> Result<u8, Failed> {
    let pattern = pattern(args);
    let agent = args.value("agent").unwrap_or(EVERY_AGENT).to_owned();
    let (path, _, mut value) = read(args)?;
    let list = document::allowlist(&mut value, &agent);
    let plain = |entry: &Value| {
        entry.get("pattern").and_then(Value::as_str) == Some(&pattern)
            && entry.get("argPattern").is_none()
    };
    if list.iter().any(plain) {
        out::line("It is on the list already.");
        return Ok(0);
    }
    let id = crate::wire::text::uuid_v4(super::entropy::bytes());
    list.push(json!({"id": id, "pattern": pattern}));
    document::check(&value).map_err(|why| Failed::new(why, "openclaw approvals get"))?;
    write(&path, &value)?;
    out::line(&format!("Added to the allowlist of {}.", out::foreign(&agent)));
    Ok(0)
}

/// `openclaw approvals allowlist remove <pattern>`.
///
/// # Errors
/// As [`set`], and when no such entry is there.
pub fn remove(args: &Args) -> Result<u8, Failed> {
    let pattern = pattern(args);
    let agent = args.value("agent").unwrap_or(EVERY_AGENT).to_owned();
    let (path, _, mut value) = read(args)?;
    let list = document::allowlist(&mut value, &agent);
    let before = list.len();
    list.retain(|entry| entry.get("pattern").and_then(Value::as_str) != Some(&pattern));
    if list.len() == before {
        let what = format!("no such entry on the allowlist of {}", out::foreign(&agent));
        return Err(Failed::new(what, "openclaw approvals get"));
    }
    write(&path, &value)?;
    out::line(&format!("Removed from the allowlist of {}.", out::foreign(&agent)));
    Ok(0)
}

/// `openclaw approvals pending`.
///
/// # Errors
/// When no gateway answers.
pub fn pending(args: &Args) -> Result<u8, Failed> {
    ask::ask(args, "exec.approval.list", json!({}), |answer| {
        let rows = answer.as_array().into_iter().flatten();
        let lines: Vec<String> = rows
            .filter_map(|row| {
                let id = row.get("id")?.as_str()?;
                let command = row.pointer("/request/command")?.as_str()?;
                let agent = row.pointer("/request/agentId").and_then(Value::as_str);
                Some(format!("{id}  {}  {command}", agent.unwrap_or("-")))
            })
            .collect();
        ask::or_none(lines, "nothing waits for an approval")
    })
}

/// `openclaw approvals resolve <id> <decision>`.
///
/// # Errors
/// When no gateway answers, or the question is over.
pub fn resolve(args: &Args) -> Result<u8, Failed> {
    let word = |at: usize| args.operands.get(at).cloned().unwrap_or_default();
    let params = json!({"id": word(0), "decision": word(1)});
    ask::ask(args, "exec.approval.resolve", params, |_| vec!["Done.".to_owned()])
}

fn pattern(args: &Args) -> String {
    args.operands.first().map(|pattern| pattern.trim().to_owned()).unwrap_or_default()
}

fn path(args: &Args) -> Result<PathBuf, Failed> {
    Ok(place::paths(&place::environment(), args)?.state_dir.join("exec-approvals.json"))
}

fn read(args: &Args) -> Result<(PathBuf, bool, Value), Failed> {
    let path = path(args)?;
    match RealDisk.read(&path) {
        Ok(text) => {
            let value = document::read(&text).map_err(|why| {
                let what = format!("{}: {why}", path.display());
                Failed::new(what, "openclaw approvals set --file FILE")
            })?;
            Ok((path, true, value))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok((path, false, document::empty()))
        }
        Err(error) => {
            let what = format!("cannot read {}: {error}", path.display());
            Err(Failed::new(what, "check its owner and permissions"))
        }
    }
}

fn write(path: &std::path::Path, value: &Value) -> Result<(), Failed> {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    RealDisk.replace(path, text.as_bytes()).map_err(|error| {
        let what = format!("cannot write {}: {error}", path.display());
        Failed::new(what, "check the directory's owner and free space")
    })
}

/// Without the socket's token.
fn shown(mut value: Value) -> Value {
    if let Some(token) = value.pointer_mut("/socket/token") {
        *token = json!("__OPENCLAW_REDACTED__");
    }
    value
}
