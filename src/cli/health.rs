//! `openclaw health`: the gateway's own view of its health.

use serde_json::{Value, json};

use super::client::{self, CLI, Session, Target};
use super::observe::mib;
use super::overview::ago;
use super::page::{Page, Tone};
use super::table::Args;
use super::{Failed, channels_look, out};

/// Runs the command.
///
/// # Errors
/// When no gateway answers, or it reports that it is not well.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let target = Target::find(args)?;
    let timeout = client::timeout(args);
    let verbose = args.has("verbose") || args.has("debug");
    let params = verbose.then(|| json!({"probe": true}));
    let asked = Session::open(&target, CLI, &["operator.read"], timeout).and_then(|mut it| {
        let health = it.request("health", params)?;
        // Older gateways and narrow rights do without; it only tells more.
        let status = if verbose { it.request("status", None).ok() } else { None };
        it.close();
        Ok((health, status))
    });
    let (health, status) = match asked {
        Ok(answers) => answers,
        Err(trouble) => return target.fail(args, &trouble),
    };
    if args.has("json") {
        out::json(&health);
    } else {
        let mut page = Page::new(args);
        if verbose {
            page.fact("Gateway target", &target.shown(), Tone::Plain);
            page.fact("Credential", &target.whence.lines().join("; "), Tone::Plain);
        }
        describe(&mut page, &health, verbose);
        if let Some(status) = &status {
            process(&mut page, status);
        }
        page.print();
    }
    Ok(if health.get("ok") == Some(&Value::Bool(false)) { 1 } else { 0 })
}

/// A few lines for people; whatever is missing is left out. `all` shows every agent's sessions.
pub fn describe(page: &mut Page, health: &Value, all: bool) {
    let ok = health.get("ok") != Some(&Value::Bool(false));
    let took = health.get("durationMs").and_then(Value::as_f64);
    let took = took.map(|ms| format!(" ({ms} ms)")).unwrap_or_default();
    let word = if ok { "ok" } else { "not ok" };
    page.fact("Gateway", &format!("{word}{took}"), Tone::of(ok));
    parts(page, health, all);
}

/// The same without the first line.
pub fn parts(page: &mut Page, health: &Value, all: bool) {
    if let Some(event_loop) = health.get("eventLoop").filter(|value| value.is_object()) {
        let (text, tone) = loop_line(event_loop);
        page.fact("Event loop", &text, tone);
    }
    let agents = health.get("agents").and_then(Value::as_array).map(Vec::as_slice);
    let agents = agents.unwrap_or_default();
    let names: Vec<String> = agents.iter().filter_map(agent_name).collect();
    if !names.is_empty() {
        page.fact("Agents", &names.join(", "), Tone::Plain);
    }
    if let Some(count) = health.pointer("/sessions/count").and_then(Value::as_u64) {
        page.fact("Sessions", &count.to_string(), Tone::Plain);
    }
    for agent in agents.iter().filter(|_| all) {
        let id = agent.get("agentId").and_then(Value::as_str).unwrap_or("unknown");
        let count = agent.pointer("/sessions/count").and_then(Value::as_u64).unwrap_or_default();
        let path = agent.pointer("/sessions/path").and_then(Value::as_str).unwrap_or_default();
        page.line(&format!("  {id}: {count} in {}", super::place::tilde(path)), Tone::Plain);
        recent(page, agent.pointer("/sessions/recent"));
    }
    channels_look::of_health(page, health);
    let issues = health.get("configIssues").and_then(Value::as_array);
    for issue in issues.into_iter().flatten() {
        let word = |name: &str| issue.get(name).and_then(Value::as_str).unwrap_or_default();
        page.line(&format!("Config: {}: {}", word("path"), word("message")), Tone::Warn);
    }
    if issues.is_some_and(|issues| !issues.is_empty()) {
        page.next("openclaw config validate");
    }
}

fn agent_name(agent: &Value) -> Option<String> {
    let id = agent.get("agentId")?.as_str()?;
    let default = agent.get("isDefault") == Some(&Value::Bool(true));
    Some(if default { format!("{id} (default)") } else { id.to_owned() })
}

/// Sessions that changed last: key and age.
pub fn recent(page: &mut Page, list: Option<&Value>) {
    for entry in list.and_then(Value::as_array).into_iter().flatten().take(5) {
        let Some(key) = entry.get("key").and_then(Value::as_str) else { continue };
        let age = entry.get("age").and_then(Value::as_f64).unwrap_or_default();
        page.line(&format!("    {key} ({})", ago(age / 1000.0)), Tone::Dim);
    }
}

/// `ok · max 0.4 ms · p99 0.1 ms · cpu 0.01`.
pub fn loop_line(event_loop: &Value) -> (String, Tone) {
    let number = |name: &str| event_loop.get(name).and_then(Value::as_f64).unwrap_or_default();
    let degraded = event_loop.get("degraded") == Some(&Value::Bool(true));
    let word = if degraded { "late" } else { "ok" };
    let text = format!(
        "{word} · max {} ms · p99 {} ms · cpu {}",
        number("delayMaxMs"),
        number("delayP99Ms"),
        number("cpuCoreRatio")
    );
    (text, if degraded { Tone::Warn } else { Tone::Good })
}

/// Memory, and what the loop was slowest at.
pub fn process(page: &mut Page, status: &Value) {
    if let Some(rss) = status.pointer("/processMemory/rssBytes").and_then(Value::as_u64) {
        let held = status.pointer("/processMemory/heapUsedBytes").and_then(Value::as_u64);
        let text = format!("{} resident, {} held", mib(rss), mib(held.unwrap_or_default()));
        page.fact("Memory", &text, Tone::Plain);
    }
    let slowest = status.get("slowestWork").and_then(Value::as_str).unwrap_or_default();
    if !slowest.is_empty() && status.pointer("/eventLoop/degraded") == Some(&Value::Bool(true)) {
        page.fact("Slowest work", slowest, Tone::Warn);
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::Ink;
    use super::*;

    fn text(health: &Value, all: bool) -> String {
        let mut page = Page::with(Ink::NONE, 80);
        describe(&mut page, health, all);
        page.text().to_owned()
    }

    #[test]
    fn health_in_words() {
        let health = json!({"ok": true, "durationMs": 2, "channels": {},
            "agents": [{"agentId": "main", "isDefault": true}, {"agentId": "b"}],
            "sessions": {"count": 3}});
        assert_eq!(
            text(&health, false),
            "Gateway: ok (2 ms)\nAgents: main (default), b\nSessions: 3\nChannels: none\n"
        );
        assert_eq!(text(&json!({"ok": false}), false), "Gateway: not ok\n");
    }

    #[test]
    fn trouble_is_named_with_its_next_command() {
        let health = json!({"ok": true, "eventLoop": {"degraded": true, "delayMaxMs": 812.5,
            "delayP99Ms": 800, "cpuCoreRatio": 0.9}, "agents": [{"agentId": "main",
            "sessions": {"count": 1, "path": "/s/\u{1b}x", "recent": [
            {"key": "agent:main:main", "age": 61_000}]}}],
            "configIssues": [{"path": "gateway.port", "message": "no"}]});
        let text = text(&health, true);
        assert!(text.contains("Event loop: late · max 812.5 ms · p99 800 ms"), "{text}");
        assert!(text.contains("    agent:main:main (1m ago)"), "{text}");
        assert!(text.contains("Config: gateway.port: no\nNext: openclaw config"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
