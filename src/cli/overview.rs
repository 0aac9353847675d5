//! `openclaw status`: an overview of the gateway, its agents, sessions and channels, fit to be
//! pasted into a report.
//!
//! ```text
//!   /startupz, health, status, system-presence          always
//!   channels.status, last-heartbeat, secrets, service   --deep, --all
//!   usage.status, usage.cost                            --usage
//! ```
//!
//! The document is the reference's: the payload of `status`, and beside it `gateway`,
//! `gatewayService`, `agents`, `os` and what was asked for. When nothing answers it says so in
//! `gateway.error`, and the exit code is 1.

use std::time::Instant;

use serde_json::{Map, Value, json};

use super::client::{self, CLI, Session, Target, Trouble};
use super::page::{Page, Tone};
use super::service_look::{self, Service};
use super::table::Args;
use super::{Failed, channels_look, health, out, place};
use crate::config::{Loaded, Mode, Paths};
use crate::protocol::VERSION;

/// What one look found.
struct Found {
    target: Target,
    paths: Paths,
    loaded: Loaded,
    issues: Vec<String>,
    seen: Result<Seen, Trouble>,
    service: Option<Service>,
}

/// What a gateway said; null where it would not say.
#[derive(Default)]
struct Seen {
    latency_ms: u64,
    startup: Value,
    health: Value,
    status: Value,
    presence: Value,
    channels: Value,
    heartbeat: Value,
    usage: Value,
    cost: Value,
}

/// `openclaw status`.
///
/// # Errors
/// When an address in the configuration is none.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let found = find(args)?;
    if args.has("json") {
        out::json(&found.document());
    } else {
        found.page(args).print();
    }
    Ok(u8::from(found.seen.is_err()))
}

fn find(args: &Args) -> Result<Found, Failed> {
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let loaded = place::load_with_programs(&place::Files::new(), &env, &paths, Target::need(args));
    let (loaded, issues) = match loaded {
        Ok((loaded, _)) => (loaded, Vec::new()),
        // A running gateway does not mind a damaged file; neither does a look at it.
        Err(error) => {
            (place::defaults(&env), error.issues.iter().map(ToString::to_string).collect())
        }
    };
    let target = match Target::named(args, &env) {
        Some(named) => named?,
        None => Target::configured(args, &paths, &loaded)?,
    };
    let seen = ask(args, &target);
    let deep = args.has("deep") || args.has("all");
    let service = target.local.then(|| service_look::look(&paths, &loaded, deep));
    Ok(Found { target, paths, loaded, issues, seen, service })
}

fn ask(args: &Args, target: &Target) -> Result<Seen, Trouble> {
    let timeout = client::timeout(args);
    let deep = args.has("deep") || args.has("all");
    // Older gateways have no such page; only a missing gateway is a failure here.
    let startup = match target.get("/startupz", timeout) {
        Ok((200, body)) => serde_json::from_slice(&body).unwrap_or_default(),
        Err(trouble @ Trouble::NoGateway(_)) => return Err(trouble),
        Ok(_) | Err(_) => Value::Null,
    };
    let mut seen = Seen { startup, ..Seen::default() };
    let began = Instant::now();
    let mut session = Session::open(target, CLI, &["operator.read"], timeout)?;
    seen.latency_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    seen.health = session.request("health", deep.then(|| json!({"probe": true})))?;
    let params = json!({"includeChannelSummary": false});
    seen.status = may(session.request("status", Some(params)))?;
    seen.presence = may(session.request("system-presence", None))?;
    if deep {
        let params = json!({"probe": true, "timeoutMs": 8_000});
        seen.channels = may(session.request("channels.status", Some(params)))?;
        seen.heartbeat = may(session.request("last-heartbeat", None))?;
    }
    if args.has("usage") {
        seen.usage = may(session.request("usage.status", None))?;
        seen.cost = may(session.request("usage.cost", Some(json!({"days": 30}))))?;
    }
    session.close();
    Ok(seen)
}

/// What a gateway would not say is null; a lost connection is trouble.
fn may(answer: Result<Value, Trouble>) -> Result<Value, Trouble> {
    match answer {
        Err(Trouble::Rpc { .. }) => Ok(Value::Null),
        other => other,
    }
}

impl Found {
    fn remote(&self) -> bool {
        self.loaded.config.gateway.mode == Some(Mode::Remote)
    }

    fn whence(&self) -> &'static str {
        match (self.target.local, self.remote()) {
            (true, _) => "local loopback",
            (false, true) => "config gateway.remote.url",
            (false, false) => "cli --url",
        }
    }

    fn document(&self) -> Value {
        let nothing = Seen::default();
        let seen = self.seen.as_ref().unwrap_or(&nothing);
        let mut all = match &seen.status {
            Value::Object(status) => status.clone(),
            _ => Map::new(),
        };
        let failed = self.seen.as_ref().err();
        let secret =
            self.target.whence.unresolved.first().map(|(key, why)| format!("{key}: {why}"));
        let mut put = |name: &str, value: Value| {
            all.insert(name.to_owned(), value);
        };
        put("ok", json!(failed.is_none()));
        put(
            "gateway",
            json!({
                "mode": if self.remote() { "remote" } else { "local" },
                "url": self.target.shown(), "urlSource": self.whence(), "misconfigured": false,
                "reachable": failed.is_none(),
                "connectLatencyMs": failed.is_none().then_some(seen.latency_ms),
                "self": own_row(&seen.presence), "error": failed.map(Trouble::short),
                "next": failed.map(|trouble| trouble.failed(&self.target).next),
                "authWarning": secret, "startup": seen.startup,
            }),
        );
        put("os", os());
        if let Some(service) = &self.service {
            put("gatewayService", service.json.clone());
        }
        put("agents", agents(&seen.health));
        put(
            "config",
            json!({
                "path": self.paths.config_path, "valid": self.issues.is_empty(), "issues": self.issues,
            }),
        );
        for (name, value) in [
            ("health", &seen.health),
            ("presence", &seen.presence),
            ("channels", &seen.channels),
            ("lastHeartbeat", &seen.heartbeat),
            ("usage", &seen.usage),
            ("usageCost", &seen.cost),
        ] {
            if !value.is_null() {
                put(name, value.clone());
            }
        }
        Value::Object(all)
    }

    fn page(&self, args: &Args) -> Page {
        let mut page = Page::new(args);
        let all = args.has("all");
        page.title(if all { "OpenClaw status --all" } else { "OpenClaw status" });
        if args.has("verbose") || args.has("debug") {
            page.fact("Gateway target", &self.target.shown(), Tone::Plain);
            page.fact("Source", self.whence(), Tone::Plain);
            page.fact("Config", &self.paths.config_path.display().to_string(), Tone::Plain);
        }
        match &self.seen {
            Ok(seen) => self.answered(&mut page, seen, args),
            Err(trouble) => {
                let text = format!("{} · {}", self.target.shown(), trouble.short());
                page.fact("Gateway", &text, Tone::Bad);
            }
        }
        page.fact("Credential", &self.target.whence.lines().join("; "), Tone::Plain);
        if let Some(service) = &self.service {
            for (name, value, tone) in &service.facts {
                page.fact(name, value, *tone);
            }
        }
        if all || !self.issues.is_empty() {
            let path = self.paths.config_path.display().to_string();
            let bad = !self.issues.is_empty();
            let note = if bad { " (invalid)" } else { "" };
            let tone = if bad { Tone::Bad } else { Tone::Plain };
            page.fact("Config", &format!("{}{note}", place::tilde(&path)), tone);
            for issue in &self.issues {
                page.line(&format!("  {issue}"), Tone::Warn);
            }
        }
        if all {
            self.more(&mut page);
        }
        match &self.seen {
            Ok(_) if args.has("deep") || all => page.next("openclaw logs --follow"),
            Ok(_) => page.next("openclaw status --deep; openclaw logs --follow"),
            Err(trouble) => page.next(&trouble.failed(&self.target).next),
        }
        page
    }

    fn answered(&self, page: &mut Page, seen: &Seen, args: &Args) {
        let version = [&seen.status["runtimeVersion"], &seen.startup["version"]];
        let version = version.iter().find_map(|value| value.as_str()).unwrap_or("unknown version");
        let mut text = format!("{} · {version}", self.target.shown());
        if let Some(pid) = seen.status.get("pid").and_then(Value::as_u64) {
            text.push_str(&format!(" · pid {pid}"));
        }
        if let Some(ms) = seen.startup.get("uptimeMs").and_then(Value::as_f64) {
            text.push_str(&format!(" · up {}", duration(ms / 1000.0)));
        }
        page.fact("Gateway", &format!("{text} · {} ms", seen.latency_ms), Tone::Good);
        health::parts(page, &seen.health, args.has("all"));
        if !args.has("all") {
            health::recent(page, seen.health.pointer("/sessions/recent"));
        }
        health::process(page, &seen.status);
        work(page, &seen.status);
        if let Some(rows) = seen.presence.as_array() {
            page.fact("Presence", &rows.len().to_string(), Tone::Plain);
        }
        if !seen.channels.is_null() {
            page.title("Channels");
            channels_look::accounts(page, &seen.channels);
        }
        if let Some(at) = seen.heartbeat.get("ts").and_then(Value::as_u64) {
            let text = crate::wire::text::rfc3339_ms(at);
            page.fact("Last heartbeat", &text, Tone::Plain);
        }
        usage(page, seen);
    }

    /// What a report needs beside that.
    fn more(&self, page: &mut Page) {
        page.title("Host");
        page.fact("OS", os()["label"].as_str().unwrap_or("unknown"), Tone::Plain);
        page.fact("CLI", &format!("{VERSION} ({})", super::status_show::entrypoint()), Tone::Plain);
        let state = self.paths.state_dir.display().to_string();
        page.fact("State", &place::tilde(&state), Tone::Plain);
        let log = place::log_path(&self.paths, &self.loaded.config).display().to_string();
        page.fact("Log", &place::tilde(&log), Tone::Plain);
        for warning in self.loaded.config.warnings.iter().take(WARNINGS) {
            page.line(&format!("  {warning}"), Tone::Warn);
        }
        let text = "openclaw security audit; openclaw gateway diagnostics export";
        page.fact("More", text, Tone::Plain);
    }
}

/// Warnings of the configuration that a report shows.
const WARNINGS: usize = 20;

/// Runs, clients, secrets and keys that wait.
fn work(page: &mut Page, status: &Value) {
    if let Some(active) = status.pointer("/tasks/active").and_then(Value::as_u64) {
        page.fact("Runs", &format!("{active} active"), Tone::Plain);
    }
    let degraded = status.get("degradedSecretOwners").and_then(Value::as_array);
    let degraded = degraded.map_or(0, Vec::len);
    if degraded > 0 {
        let text = format!("{degraded} stand for nothing (openclaw secrets audit)");
        page.fact("Degraded secrets", &text, Tone::Warn);
    }
    let waits = status.get("configWaitsForRestart").and_then(Value::as_array);
    let waits: Vec<&str> = waits.into_iter().flatten().filter_map(Value::as_str).collect();
    if !waits.is_empty() {
        let text = format!("{} (openclaw gateway restart)", waits.join(", "));
        page.fact("Waits for a restart", &text, Tone::Warn);
    }
}

fn usage(page: &mut Page, seen: &Seen) {
    if seen.usage.is_null() && seen.cost.is_null() {
        return;
    }
    page.title("Usage");
    let providers = seen.usage.get("providers").and_then(Value::as_array);
    let mut shown = 0;
    for provider in providers.into_iter().flatten() {
        let word = |name: &str| provider.get(name).and_then(Value::as_str);
        let name = word("displayName").or(word("provider")).unwrap_or("unknown");
        for window in provider.get("windows").and_then(Value::as_array).into_iter().flatten() {
            let used = window.get("usedPercent").and_then(Value::as_f64).unwrap_or_default();
            let label = window.get("label").and_then(Value::as_str).unwrap_or("window");
            let left = (100.0 - used).max(0.0);
            page.line(&format!("  {name} {label}: {left:.0}% left"), Tone::Plain);
            shown += 1;
        }
    }
    if shown == 0 {
        page.line("  no provider tells its quota", Tone::Dim);
    }
    if let Some(totals) = seen.cost.get("totals") {
        let cost = totals.get("totalCost").and_then(Value::as_f64).unwrap_or_default();
        let tokens = totals.get("totalTokens").and_then(Value::as_u64).unwrap_or_default();
        page.fact("30 days", &format!("${cost:.4} · {tokens} tokens"), Tone::Plain);
    }
}

/// The gateway's own row of the presence list: name, address, version, system.
fn own_row(presence: &Value) -> Value {
    let mut rows = presence.as_array().into_iter().flatten();
    let own = rows.find(|row| row.get("mode").and_then(Value::as_str) == Some("gateway"));
    own.map_or(Value::Null, |row| {
        json!({
            "host": row.get("host"), "ip": row.get("ip"), "version": row.get("version"),
            "platform": row.get("platform"),
        })
    })
}

/// The reference's `agents`: what the gateway says of each in `health`.
fn agents(health: &Value) -> Value {
    let rows: Vec<Value> = health
        .get("agents")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|agent| {
            let newest = agent.pointer("/sessions/recent/0");
            let field = |name: &str| newest.and_then(|row| row.get(name));
            json!({
                "id": agent.get("agentId"), "workspaceDir": null, "bootstrapPending": null,
                "sessionsPath": agent.pointer("/sessions/path"),
                "sessionsCount": agent.pointer("/sessions/count"),
                "lastUpdatedAt": field("updatedAt"), "lastActiveAgeMs": field("age"),
            })
        })
        .collect();
    let total: u64 = rows.iter().filter_map(|row| row["sessionsCount"].as_u64()).sum();
    json!({
        "defaultId": health.get("defaultAgentId"), "ownership": "sole",
        "selectionRequired": false, "agents": rows, "totalSessions": total,
        "bootstrapPendingCount": null,
    })
}

fn os() -> Value {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let (platform, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let label = format!("{platform} {release} ({arch})").replace("  ", " ");
    json!({"platform": platform, "arch": arch, "release": release, "label": label})
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

/// `just now`, `5m ago`: as the reference says it.
pub(super) fn ago(seconds: f64) -> String {
    if seconds < 60.0 {
        return "just now".to_owned();
    }
    let text = duration(seconds).replace(" min", "m").replace(' ', "");
    format!("{text} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (seconds, want) in [(0.4, "0 s"), (61.0, "1 min"), (7200.0, "2 h"), (9e5, "10 d")] {
            assert_eq!(duration(seconds), want);
        }
        assert_eq!((ago(3.0).as_str(), ago(7300.0).as_str()), ("just now", "2h ago"));
    }

    #[test]
    fn agents_and_the_own_row_have_the_references_shape() {
        let health = json!({"defaultAgentId": "main", "agents": [{"agentId": "main", "sessions":
            {"count": 2, "path": "/p", "recent": [{"key": "k", "updatedAt": 5, "age": 7}]}}]});
        let agents = agents(&health);
        assert_eq!(agents["totalSessions"], 2);
        assert_eq!(agents["agents"][0]["lastActiveAgeMs"], 7);
        let presence = json!([{"mode": "cli"}, {"mode": "gateway", "host": "pi", "x": 1}]);
        assert_eq!(own_row(&presence)["host"], "pi");
        assert_eq!(own_row(&presence).get("x"), None);
        assert_eq!(own_row(&json!(null)), Value::Null);
        assert!(os()["label"].as_str().is_some_and(|label| !label.is_empty()));
    }
}
