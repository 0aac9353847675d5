//! `openclaw status`: an overview of a gateway that answers.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{self, CLI, Session, Target, Trouble};
use super::table::Args;
use super::{Failed, health, out};

/// `openclaw status`.
///
/// # Errors
/// When no gateway answers.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let target = Target::find(args)?;
    let timeout = client::timeout(args);
    let (started, health, status, presence) = match ask(&target, timeout) {
        Ok(answers) => answers,
        Err(trouble) => return target.fail(args, &trouble),
    };
    if args.has("json") {
        out::json(&json!({
            "ok": true,
            "gateway": {"url": target.shown(), "reachable": true, "startup": started},
            "health": health,
            "status": status,
            "presence": presence,
        }));
        return Ok(0);
    }
    let mut text = format!("Gateway: {} answers", target.shown());
    let version = status.get("runtimeVersion").or_else(|| started.get("version"));
    if let Some(version) = version.and_then(Value::as_str) {
        let _ = write!(text, " (version {})", out::foreign(version));
    }
    if let Some(pid) = status.get("pid").and_then(Value::as_u64) {
        let _ = write!(text, ", pid {pid}");
    }
    if let Some(ms) = started.get("uptimeMs").and_then(Value::as_f64) {
        let _ = write!(text, ", up {}", duration(ms / 1000.0));
    }
    text.push('\n');
    // The first line of the health text repeats what was just said.
    for line in health::describe(&health).lines().skip(1) {
        let _ = writeln!(text, "{line}");
    }
    if let Some(recent) = health.pointer("/sessions/recent").and_then(Value::as_array) {
        for entry in recent.iter().take(5) {
            let Some(key) = entry.get("key").and_then(Value::as_str) else { continue };
            let age = entry.get("age").and_then(Value::as_f64).unwrap_or_default();
            let _ = writeln!(text, "  {} ({} ago)", out::foreign(key), duration(age / 1000.0));
        }
    }
    if let Some(rows) = presence.as_array() {
        let _ = writeln!(text, "Presence: {}", rows.len());
    }
    text.push_str("More: openclaw logs --follow\n");
    out::text(&text);
    Ok(0)
}

type Answers = (Value, Value, Value, Value);

fn ask(target: &Target, timeout: Duration) -> Result<Answers, Trouble> {
    // Older gateways have no such page; only a missing gateway is a failure here.
    let started = match target.get("/startupz", timeout) {
        Ok((200, body)) => serde_json::from_slice(&body).unwrap_or_default(),
        Ok(_) => Value::Null,
        Err(trouble @ Trouble::NoGateway(_)) => return Err(trouble),
        Err(_) => Value::Null,
    };
    let mut session = Session::open(target, CLI, &["operator.read"], timeout)?;
    let health = session.request("health", None)?;
    let status = session.request("status", Some(json!({"includeChannelSummary": false})))?;
    let presence = session.request("system-presence", None)?;
    session.close();
    Ok((started, health, status, presence))
}

/// `3 s`, `5 min`, `2 h`, `4 d`: the largest unit is enough for a look.
pub(super) fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    let (value, unit) = match seconds {
        s if s < 60.0 => (s, "s"),
        s if s < 3600.0 => (s / 60.0, "min"),
        s if s < 86_400.0 => (s / 3600.0, "h"),
        s => (s / 86_400.0, "d"),
    };
    format!("{} {unit}", value.floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (seconds, want) in [(0.4, "0 s"), (61.0, "1 min"), (7200.0, "2 h"), (9e5, "10 d")] {
            assert_eq!(duration(seconds), want);
        }
    }
}
