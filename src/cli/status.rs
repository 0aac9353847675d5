//! `openclaw gateway status` and `openclaw status`.
//!
//! The first one asks the machine (who holds the state directory and the port) and then probes
//! the port without an RPC; the second is an overview of a gateway that answers.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{self, BACKEND, CLI, PROBE, Session, Target, Trouble};
use super::port::Holder;
use super::table::Args;
use super::whence::Whence;
use super::{Failed, health, next, out, place, port};
use crate::config::Paths;

/// What was found out.
struct Found {
    url: String,
    local: bool,
    /// The gateway of this state directory.
    pid: Option<u32>,
    /// Where that process listens, if not where it was looked for.
    elsewhere: Option<SocketAddr>,
    /// Who else holds the port.
    holder: Option<Holder>,
    /// `None` when nobody was asked.
    probe: Option<Result<String, Unwell>>,
    /// The probe read something.
    read: bool,
    config: ConfigFile,
    log: String,
    whence: Whence,
}

/// How a probe failed.
struct Unwell {
    why: String,
    next: String,
    /// It was a gateway that said so.
    answered: bool,
}

struct ConfigFile {
    path: String,
    exists: bool,
    issues: Vec<String>,
}

/// `openclaw gateway status`.
///
/// # Errors
/// When there is no place to look at.
pub fn gateway(args: &Args) -> Result<u8, Failed> {
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let (files, need) = (place::Files::new(), Target::need(args));
    let (loaded, exists, issues) = match place::load_with_programs(&files, &env, &paths, need) {
        Ok((loaded, _)) => {
            let exists = loaded.config.source.exists;
            (loaded, exists, Vec::new())
        }
        // A running gateway does not mind a damaged file; neither does a look at it.
        Err(error) => {
            let issues = error.issues.iter().map(ToString::to_string).collect();
            (place::defaults(&env), error.source.exists, issues)
        }
    };
    let target = match Target::named(args, &env) {
        Some(named) => named?,
        None => Target::configured(args, &paths, &loaded)?,
    };
    let config = ConfigFile { path: paths.config_path.display().to_string(), exists, issues };
    let log = place::log_path(&paths, &loaded.config).display().to_string();
    let mut found = Found {
        url: target.shown(),
        local: target.local,
        pid: None,
        elsewhere: None,
        holder: None,
        probe: None,
        read: args.has("require-rpc"),
        config,
        log,
        whence: target.whence.clone(),
    };
    if !args.has("no-probe") {
        found.probe = Some(probe(args, &target).map_err(|trouble| Unwell {
            why: trouble.short(),
            next: trouble.failed(&target).next,
            answered: matches!(trouble, Trouble::Refused { .. } | Trouble::Rpc { .. }),
        }));
    }
    if target.local {
        look(&mut found, &target, &paths);
    }
    if args.has("json") {
        out::json(&found.json());
    } else {
        out::text(&found.text());
    }
    Ok(u8::from(!found.well()))
}

/// Who holds the state directory, who the port.
fn look(found: &mut Found, target: &Target, paths: &Paths) {
    let Ok(ip) = target.url.host.parse() else { return };
    let wanted = SocketAddr::new(ip, target.url.port);
    found.pid = port::lock_holder(&paths.state_dir);
    match found.pid {
        // It answered where it was looked for; the kernel's tables, milliseconds on a busy
        // host, have nothing to add.
        Some(_) if matches!(found.probe, Some(Ok(_))) => {}
        Some(pid) => {
            let all = port::listening_of(pid);
            let here = all.iter().any(|addr| {
                *addr == wanted || (addr.port() == wanted.port() && addr.ip().is_unspecified())
            });
            if !here {
                let near =
                    |addr: &SocketAddr| SocketAddr::new(place::reachable(addr.ip()), addr.port());
                found.elsewhere = all.first().map(near);
            }
        }
        None => found.holder = port::holders(wanted).into_iter().next(),
    }
}

/// Shakes hands; what the gateway calls itself.
fn probe(args: &Args, target: &Target) -> Result<String, Trouble> {
    let timeout = client::timeout(args);
    let scopes = ["operator.read"];
    let read = args.has("require-rpc");
    let who = if read { BACKEND } else { PROBE };
    let mut session = Session::open(target, who, &scopes, timeout)?;
    if read {
        session.request("status", None)?;
    }
    let version = session.hello.pointer("/server/version").and_then(Value::as_str);
    let protocol = session.hello.get("protocol").and_then(Value::as_u64).unwrap_or_default();
    let named = format!("{}, protocol {protocol}", out::foreign(version.unwrap_or("unknown")));
    session.close();
    Ok(named)
}

impl Found {
    fn well(&self) -> bool {
        match &self.probe {
            Some(probe) => probe.is_ok(),
            None => self.pid.is_some(),
        }
    }

    fn runtime(&self) -> &'static str {
        let answered = match &self.probe {
            Some(Ok(_)) => true,
            Some(Err(unwell)) => unwell.answered,
            None => false,
        };
        match self.pid {
            _ if answered => "running",
            Some(_) => "running",
            None if self.local => "stopped",
            None => "unknown",
        }
    }

    /// What to type next, empty when all is well.
    fn next(&self) -> String {
        match (self.elsewhere, &self.probe) {
            _ if self.well() => String::new(),
            (Some(addr), _) => {
                format!("OPENCLAW_GATEWAY_PORT={} openclaw gateway status", addr.port())
            }
            (None, Some(Err(unwell))) if unwell.answered => unwell.next.clone(),
            _ if self.pid.is_some() => "openclaw logs; or openclaw gateway --force".to_owned(),
            _ if self.holder.is_some() => "openclaw gateway --port <other port>".to_owned(),
            (None, Some(Err(unwell))) => unwell.next.clone(),
            (None, _) => next::RUN.to_owned(),
        }
    }

    fn scheme(&self) -> &str {
        self.url.split_once("://").map_or("ws", |(scheme, _)| scheme)
    }

    fn text(&self) -> String {
        let mut text = format!("Runtime: {}", self.runtime());
        if let Some(pid) = self.pid {
            let _ = write!(text, " (pid {pid})");
        }
        let word = if self.runtime() == "running" { "Listening" } else { "Looked at" };
        match self.elsewhere {
            Some(addr) => {
                let scheme = self.scheme();
                let _ = write!(text, "\nListening: {scheme}://{addr} (not on {})", self.url);
            }
            None => {
                let _ = write!(text, "\n{word}: {}", self.url);
            }
        }
        if let Some(holder) = &self.holder {
            let _ = write!(text, "\nPort held by: {holder}");
        }
        text.push_str("\nRPC probe: ");
        match &self.probe {
            Some(Ok(version)) => {
                text.push_str(if self.read { "ok\nRead probe: ok" } else { "ok" });
                let _ = write!(text, "\nGateway version: {version}");
            }
            Some(Err(unwell)) => {
                let _ = write!(text, "failed: {}", unwell.why);
            }
            None => text.push_str("skipped"),
        }
        for line in self.whence.lines() {
            let _ = write!(text, "\nCredential: {}", out::foreign(&line));
        }
        if self.local {
            let note = match (&*self.config.issues, self.config.exists) {
                ([], true) => "",
                ([], false) => " (missing)",
                _ => " (invalid)",
            };
            let _ = write!(text, "\nConfig (cli): {}{note}", self.config.path);
            for issue in &self.config.issues {
                let _ = write!(text, "\n  {}", out::foreign(issue));
            }
            let _ = write!(text, "\nLog: {}", self.log);
        }
        text.push('\n');
        if !self.well() {
            let _ = writeln!(text, "Next: {}", self.next());
        }
        text
    }

    fn json(&self) -> Value {
        let mut rpc = json!({"ok": matches!(self.probe, Some(Ok(_))), "url": self.url});
        if let Some(rpc) = rpc.as_object_mut() {
            match &self.probe {
                Some(Err(unwell)) => {
                    rpc.insert("error".to_owned(), Value::from(unwell.why.as_str()));
                }
                None => {
                    rpc.insert("skipped".to_owned(), Value::Bool(true));
                }
                Some(Ok(version)) => {
                    rpc.insert("version".to_owned(), Value::from(version.as_str()));
                }
            }
        }
        json!({
            "ok": self.well(),
            "service": {"runtime": {"status": self.runtime(), "pid": self.pid}},
            "port": {"heldBy": self.holder.as_ref().map(ToString::to_string)},
            "gateway": {
                "probeUrl": self.url,
                "listening": self.elsewhere.map(|addr| format!("{}://{addr}", self.scheme())),
            },
            "rpc": rpc,
            "credentials": self.whence.json(),
            "config": {"cli": {
                "path": self.config.path,
                "exists": self.config.exists,
                "valid": self.config.issues.is_empty(),
                "issues": self.config.issues,
            }},
            "logFile": self.log,
            "next": self.next(),
        })
    }
}

/// `openclaw status`.
///
/// # Errors
/// When no gateway answers.
pub fn overview(args: &Args) -> Result<u8, Failed> {
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
fn duration(seconds: f64) -> String {
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

    fn found() -> Found {
        Found {
            url: "ws://127.0.0.1:18789".to_owned(),
            local: true,
            pid: Some(7),
            elsewhere: None,
            holder: None,
            probe: Some(Ok("1, protocol 4".to_owned())),
            read: false,
            config: ConfigFile { path: "/c".to_owned(), exists: true, issues: Vec::new() },
            log: "/l".to_owned(),
            whence: Whence::default(),
        }
    }

    fn unwell(why: &str, next: &str, answered: bool) -> Option<Result<String, Unwell>> {
        Some(Err(Unwell { why: why.to_owned(), next: next.to_owned(), answered }))
    }

    #[test]
    fn a_healthy_gateway_says_the_two_documented_lines() {
        let text = found().text();
        assert!(text.starts_with("Runtime: running (pid 7)\n"), "{text}");
        assert!(text.contains("\nRPC probe: ok\n"), "{text}");
        assert!(text.contains("\nListening: ws://127.0.0.1:18789\n"), "{text}");
        assert!(!text.contains("Next:"), "{text}");
        assert!(found().well());
        assert_eq!(found().json()["rpc"]["ok"], true);
    }

    #[test]
    fn a_stopped_one_says_what_to_type() {
        let why = "no gateway answers (connection refused)";
        let found = Found { pid: None, probe: unwell(why, next::RUN, false), ..found() };
        let text = found.text();
        assert!(text.starts_with("Runtime: stopped\n"), "{text}");
        assert!(text.contains("RPC probe: failed: no gateway answers"), "{text}");
        assert!(text.ends_with("Next: openclaw gateway run\n"), "{text}");
        assert!(!found.well());
        assert_eq!(found.json()["next"], "openclaw gateway run");
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let probe = unwell("unauthorized", "show the gateway's token", true);
        let found = Found { pid: None, local: false, probe, ..found() };
        let text = found.text();
        assert!(text.starts_with("Runtime: running\n"), "{text}");
        assert!(text.ends_with("Next: show the gateway's token\n"), "{text}");
        assert!(!found.well());
    }

    #[test]
    fn a_stranger_on_the_port_is_no_gateway() {
        let holder = Holder { pid: Some(9), uid: 0, name: "nginx".to_owned(), inode: 1 };
        let probe = unwell("the answer is not HTTP/1.1", next::STATUS, false);
        let found = Found { pid: None, holder: Some(holder), probe, ..found() };
        let text = found.text();
        assert!(text.starts_with("Runtime: stopped\n"), "{text}");
        assert!(text.contains("\nPort held by: nginx (pid 9, uid 0)\n"), "{text}");
        assert!(text.ends_with("Next: openclaw gateway --port <other port>\n"), "{text}");
    }

    #[test]
    fn one_on_another_port_is_found() {
        let elsewhere = Some("127.0.0.1:5".parse().unwrap());
        let found = Found { elsewhere, probe: unwell("refused", "", false), ..found() };
        let text = found.text();
        assert!(text.contains("Listening: ws://127.0.0.1:5 (not on ws://127.0.0.1:18789)"));
        assert!(text.contains("Next: OPENCLAW_GATEWAY_PORT=5 openclaw gateway status"), "{text}");
    }

    #[test]
    fn durations_are_short() {
        for (seconds, want) in [(0.4, "0 s"), (61.0, "1 min"), (7200.0, "2 h"), (9e5, "10 d")] {
            assert_eq!(duration(seconds), want);
        }
    }
}
