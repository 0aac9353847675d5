//! `openclaw health`: the gateway's own view of its health.

use std::fmt::Write as _;

use serde_json::Value;

use super::client::{self, CLI, Session, Target};
use super::table::Args;
use super::{Failed, out};

/// Runs the command.
///
/// # Errors
/// When no gateway answers, or it reports that it is not well.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let target = Target::find(args)?;
    let timeout = client::timeout(args);
    let asked = Session::open(&target, CLI, &["operator.read"], timeout).and_then(|mut it| {
        let health = it.request("health", None);
        it.close();
        health
    });
    let health = match asked {
        Ok(health) => health,
        Err(trouble) => return target.fail(args, &trouble),
    };
    if args.has("json") {
        out::json(&health);
    } else {
        out::text(&describe(&health));
    }
    Ok(if health.get("ok") == Some(&Value::Bool(false)) { 1 } else { 0 })
}

/// A few lines for people; whatever is missing is left out.
pub fn describe(health: &Value) -> String {
    let mut text = String::new();
    let ok = health.get("ok") != Some(&Value::Bool(false));
    let _ = write!(text, "Gateway: {}", if ok { "ok" } else { "not ok" });
    if let Some(ms) = health.get("durationMs").and_then(Value::as_f64) {
        let _ = write!(text, " ({ms} ms)");
    }
    text.push('\n');
    if let Some(agents) = health.get("agents").and_then(Value::as_array) {
        let names: Vec<String> = agents
            .iter()
            .filter_map(|agent| {
                let id = out::foreign(agent.get("agentId")?.as_str()?);
                let default = agent.get("isDefault") == Some(&Value::Bool(true));
                Some(if default { format!("{id} (default)") } else { id })
            })
            .collect();
        if !names.is_empty() {
            let _ = writeln!(text, "Agents: {}", names.join(", "));
        }
    }
    if let Some(count) = health.pointer("/sessions/count").and_then(Value::as_u64) {
        let _ = writeln!(text, "Sessions: {count}");
    }
    if let Some(channels) = health.get("channels").and_then(Value::as_object) {
        let names: Vec<String> = channels.keys().map(|name| out::foreign(name)).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let _ = writeln!(text, "Channels: {names}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn health_in_words() {
        let health = json!({"ok": true, "durationMs": 2, "channels": {},
            "agents": [{"agentId": "main", "isDefault": true}, {"agentId": "b"}],
            "sessions": {"count": 3}});
        assert_eq!(
            describe(&health),
            "Gateway: ok (2 ms)\nAgents: main (default), b\nSessions: 3\nChannels: none\n"
        );
        assert_eq!(describe(&json!({"ok": false})), "Gateway: not ok\n");
    }
}
