//! `openclaw sessions ...`: sessions of the running gateway, listed, archived, deleted.
//!
//! The reference reads its files for the list; here the gateway is asked, which knows what it
//! has not written yet.

use serde_json::{Value, json};

use super::client::{self, CLI, Session, Target};
use super::page::{Page, Tone};
use super::table::Args;
use super::trouble::Trouble;
use super::{Failed, next, out};
use crate::wire::text::rfc3339_ms;

/// Rows without `--limit`, as in the reference.
const ROWS: u64 = 100;
/// Rows that one call gives at most.
const PAGE: u64 = 1_000;

/// `openclaw sessions` and `openclaw sessions list`.
///
/// # Errors
/// When no gateway answers, or a flag makes no sense.
pub fn list(args: &Args) -> Result<u8, Failed> {
    let limit = match args.value("limit") {
        None => ROWS,
        Some("all") => u64::MAX,
        Some(text) => text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| {
            Failed::new(format!("--limit {text}: write a number, or all"), next::SESSIONS)
        })?,
    };
    let agent = args.value("agent").map(str::trim);
    if agent.is_some_and(str::is_empty) || (agent.is_some() && args.has("all-agents")) {
        let what = "--agent takes the id of one agent, and not beside --all-agents";
        return Err(Failed::new(what, next::SESSIONS));
    }
    let target = Target::find(args)?;
    let list = match pages(args, &target, agent, limit) {
        Ok(list) => list,
        Err(trouble) => return target.fail(args, &trouble),
    };
    if args.has("json") {
        out::json(&list);
        return Ok(0);
    }
    let rows = list["sessions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut page = Page::new(args);
    for row in rows {
        page.line(&line(row), Tone::Plain);
    }
    page.print();
    if rows.is_empty() {
        out::line("no sessions yet");
    } else if list["hasMore"] == true {
        let shown = rows.len();
        out::line(&format!(
            "{shown} of {}; all: openclaw sessions --limit all",
            list["totalCount"]
        ));
    }
    Ok(0)
}

fn pages(args: &Args, target: &Target, agent: Option<&str>, limit: u64) -> Result<Value, Trouble> {
    let scopes = client::scopes_for("sessions.list", &Value::Null);
    let mut session = Session::open(target, CLI, &scopes, client::timeout(args))?;
    let active = args.number("active");
    let mut rows = Vec::new();
    let (mut path, mut total, mut more) = (Value::Null, Value::Null, true);
    while more && (rows.len() as u64) < limit {
        let mut params = json!({"limit": (limit - rows.len() as u64).min(PAGE)});
        params["offset"] = json!(rows.len());
        if let Some(agent) = agent {
            params["agentId"] = json!(agent);
        }
        if let Some(minutes) = active {
            params["activeMinutes"] = json!(minutes);
        }
        let mut page = session.request("sessions.list", Some(params))?;
        path = page["path"].take();
        total = page["totalCount"].take();
        let Value::Array(found) = page["sessions"].take() else { break };
        more = page["hasMore"] == true && !found.is_empty();
        rows.extend(found);
    }
    session.close();
    let all = args.has("all-agents");
    Ok(json!({
        "path": if all { Value::Null } else { path }, "allAgents": all, "count": rows.len(),
        "totalCount": total, "limitApplied": if limit == u64::MAX { Value::Null } else { json!(limit) },
        "hasMore": more, "activeMinutes": active, "sessions": rows,
    }))
}

/// One session for people.
fn line(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    let updated = row["updatedAt"].as_u64().map(rfc3339_ms).unwrap_or_default();
    let mut line =
        format!("{}  {updated}  {}/{}", text("key"), text("modelProvider"), text("model"));
    if let Some(tokens) = row["totalTokens"].as_u64() {
        line.push_str(&format!("  {} tokens", short(tokens)));
    }
    let name = text("derivedTitle");
    if !name.is_empty() {
        line.push_str(&format!("  \"{name}\""));
    }
    line
}

/// Whole below a thousand, then with `k` or `m`.
fn short(tokens: u64) -> String {
    match tokens {
        0..1_000 => tokens.to_string(),
        1_000..1_000_000 => format!("{}.{}k", tokens / 1_000, tokens % 1_000 / 100),
        _ => format!("{}.{}m", tokens / 1_000_000, tokens % 1_000_000 / 100_000),
    }
}

/// `openclaw sessions archive <key>`.
///
/// # Errors
/// When no gateway answers, or it does not know the session.
pub fn archive(args: &Args) -> Result<u8, Failed> {
    let key = args.operands.first().map(String::as_str).unwrap_or_default();
    change(args, "sessions.patch", json!({"key": key, "archived": true}), key, "archived")
}

/// `openclaw sessions delete <key>`: its transcript is kept beside the others, renamed.
///
/// # Errors
/// When no gateway answers, or it does not know the session.
pub fn delete(args: &Args) -> Result<u8, Failed> {
    let key = args.operands.first().map(String::as_str).unwrap_or_default();
    change(args, "sessions.delete", json!({"key": key}), key, "deleted")
}

fn change(args: &Args, method: &str, params: Value, key: &str, done: &str) -> Result<u8, Failed> {
    let target = Target::find(args)?;
    let scopes = client::scopes_for(method, &params);
    let answer = Session::open(&target, CLI, &scopes, client::timeout(args)).and_then(|mut it| {
        // A slip of the hand must not make a session.
        it.request("sessions.resolve", Some(json!({"key": key})))?;
        let answer = it.request(method, Some(params))?;
        it.close();
        Ok(answer)
    });
    match answer {
        Ok(answer) if args.has("json") => out::json(&answer),
        Ok(_) => out::line(&out::foreign(&format!("{done} {key}"))),
        Err(trouble) => return target.fail(args, &trouble),
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_in_one_line() {
        let row = json!({"key": "agent:main:main", "updatedAt": 0, "modelProvider": "p",
            "model": "m", "totalTokens": 12_345, "derivedTitle": "Talk"});
        assert_eq!(
            line(&row),
            "agent:main:main  1970-01-01T00:00:00.000Z  p/m  12.3k tokens  \"Talk\""
        );
        assert_eq!((short(999), short(1_000_000)), ("999".to_owned(), "1.0m".to_owned()));
    }
}
