//! `openclaw gateway probe`: every gateway that might be meant, asked one after the other: the
//! address of `--url`, the configured remote one, this machine's own.
//!
//! Unlike `gateway status` it looks at no process and no service; it tells what can be reached,
//! with which rights, and what does not work. Exit code 0 when one of them answers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{CLI, Target};
use super::page::{Page, Tone};
use super::table::Args;
use super::trouble::Trouble;
use super::{Failed, next, out, place, probing};
use crate::config::Mode;

/// What is asked of each; the last three only tell more.
const ASKED: [(&str, Option<Value>); 4] =
    [("health", None), ("status", None), ("system-presence", None), ("config.get", None)];
/// Time for all of it without `--timeout`, in milliseconds (the reference's).
const BUDGET_MS: u64 = 3_000;

/// A gateway that may be there.
struct Candidate {
    kind: &'static str,
    label: &'static str,
    target: Target,
    seen: Result<probing::Seen, Trouble>,
}

impl Candidate {
    fn capability(&self) -> &'static str {
        match &self.seen {
            Ok(seen) => seen.capability(),
            Err(trouble) => probing::capability_refused(trouble),
        }
    }

    /// Connected, and something that was asked was not answered.
    fn trouble(&self) -> Option<&Trouble> {
        self.seen.as_ref().ok().and_then(probing::Seen::trouble)
    }

    fn scope_limited(&self) -> bool {
        matches!(self.trouble(), Some(Trouble::Rpc { code, .. }) if code == "FORBIDDEN")
    }

    fn json(&self) -> Value {
        let seen = self.seen.as_ref().ok();
        let error = match &self.seen {
            Ok(_) => self.trouble().map(Trouble::short),
            Err(trouble) => Some(trouble.short()),
        };
        let answer = |method: &str| seen.map_or(Value::Null, |seen| seen.answer(method).clone());
        let nothing = json!({"version": null, "connId": null});
        let nobody = json!({"role": null, "scopes": [], "capability": self.capability()});
        json!({
            "id": self.kind, "kind": self.kind, "url": self.target.shown(), "active": true,
            "tunnel": null,
            "connect": {
                "ok": seen.is_some(), "rpcOk": seen.is_some() && self.trouble().is_none(),
                "scopeLimited": self.scope_limited(),
                "latencyMs": seen.map(|seen| seen.latency_ms), "error": error,
                "close": null,
            },
            "auth": seen.map_or(nobody, probing::Seen::auth),
            "server": seen.map_or(nothing, probing::Seen::server),
            "self": null, "config": answer("config.get").get("path").map(|path| json!({
                "path": path, "exists": answer("config.get").get("exists"),
                "valid": answer("config.get").get("valid"),
            })),
            "health": answer("health"), "summary": answer("status"),
            "presence": answer("system-presence"),
        })
    }

    fn show(&self, page: &mut Page) {
        let url = self.target.shown();
        page.line(&format!("{} {url}", self.label), Tone::Plain);
        match &self.seen {
            Ok(seen) => {
                let connect = format!(
                    "  Connect: ok ({} ms) · Capability: {}",
                    seen.latency_ms,
                    probing::spoken(seen.capability())
                );
                page.line(&connect, Tone::Good);
                match self.trouble() {
                    None => page.line("  Read probe: ok", Tone::Good),
                    Some(trouble) => {
                        let word = if self.scope_limited() { "limited" } else { "failed" };
                        let text = format!("  Read probe: {word} - {}", trouble.short());
                        page.line(&text, Tone::Warn);
                    }
                }
                if let Some(version) = seen.version() {
                    page.line(&format!("  Version: {version}"), Tone::Plain);
                }
            }
            Err(trouble) => {
                let text = format!("  Connect: failed - {}", trouble.short());
                page.line(&text, Tone::Bad);
                page.line(&format!("  Next: {}", trouble.failed(&self.target).next), Tone::Plain);
            }
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When the configuration or an address cannot be read.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let began = Instant::now();
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let loaded = place::load_with_programs(&place::Files::new(), &env, &paths, Target::need(args));
    let loaded = loaded.map(|(loaded, _)| loaded).unwrap_or_else(|_| place::defaults(&env));
    let mut targets: Vec<(&'static str, &'static str, Target)> = Vec::new();
    if let Some(named) = Target::named(args, &env) {
        targets.push(("explicit", "URL (explicit)", named?));
    }
    let remote = loaded.config.gateway.mode == Some(Mode::Remote);
    if args.number("port").is_none() && remote {
        let configured = Target::configured(args, &paths, &loaded)?;
        targets.push(("configRemote", "Remote (configured)", configured));
    }
    // This machine, also while the configuration means another one.
    let near = Target::near(args, &paths, &loaded)?;
    targets.push(("localLoopback", "Local loopback", near));
    let timeout = Duration::from_millis(args.number("timeout").unwrap_or(BUDGET_MS));
    let all: Vec<Candidate> = targets
        .into_iter()
        .map(|(kind, label, target)| {
            let seen = probing::look(&target, CLI, &ASKED, timeout);
            Candidate { kind, label, target, seen }
        })
        .collect();
    let ok = all.iter().any(|one| one.seen.is_ok());
    if args.has("json") {
        out::json(&document(&all, timeout, began));
    } else {
        show(args, &all, timeout).print();
    }
    Ok(u8::from(!ok))
}

/// `{code, message, targetIds}` for what is not as it should be.
fn warnings(all: &[Candidate]) -> Vec<(&'static str, String, Vec<&'static str>)> {
    let of = |test: &dyn Fn(&Candidate) -> bool| -> Vec<&'static str> {
        all.iter().filter(|one| test(one)).map(|one| one.kind).collect()
    };
    let mut found = Vec::new();
    if all.iter().all(|one| one.seen.is_err()) {
        let what = format!("no gateway answered; look with: {}", next::STATUS);
        found.push(("no_gateway_reachable", what, of(&|_| true)));
    }
    let limited = of(&Candidate::scope_limited);
    if !limited.is_empty() {
        let what = "connected, but the rights granted do not cover reading (operator.read)";
        found.push(("probe_scope_limited", what.to_owned(), limited));
    }
    let failed = of(&|one| one.trouble().is_some() && !one.scope_limited());
    if !failed.is_empty() {
        let what = "connected, but not every question was answered in time";
        found.push(("probe_incomplete", what.to_owned(), failed));
    }
    let secrets = of(&|one| one.seen.is_err() && !one.target.whence.unresolved.is_empty());
    if !secrets.is_empty() {
        let what = "a SecretRef of the credential stands for nothing; openclaw secrets audit";
        found.push(("auth_secretref_unresolved", what.to_owned(), secrets));
    }
    let mut boots: Vec<(&'static str, Value)> = Vec::new();
    for one in all {
        let Ok(seen) = &one.seen else { continue };
        let boot = seen.server().get("bootId").cloned().unwrap_or_default();
        if boot.is_null() || boots.iter().all(|(_, other)| *other != boot) {
            boots.push((one.kind, boot));
        }
    }
    if boots.len() > 1 {
        let what = "several gateways answer; one for each machine is usual";
        let ids = boots.into_iter().map(|(kind, _)| kind).collect();
        found.push(("multiple_gateways", what.to_owned(), ids));
    }
    found
}

/// The best capability of those that answer.
fn best(all: &[Candidate]) -> &'static str {
    const ORDER: [&str; 5] = [
        "admin_capable",
        "write_capable",
        "read_only",
        "pairing_pending",
        "connected_no_operator_scope",
    ];
    let has = |word: &&&str| all.iter().any(|one| one.capability() == **word);
    ORDER.iter().find(has).copied().unwrap_or("unknown")
}

fn document(all: &[Candidate], timeout: Duration, began: Instant) -> Value {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let warnings: Vec<Value> = warnings(all)
        .into_iter()
        .map(|(code, message, ids)| json!({"code": code, "message": message, "targetIds": ids}))
        .collect();
    let near = all.iter().find(|one| one.kind == "localLoopback");
    let tailnet = place::tailnet().map(|ip| ip.to_string());
    let port = near.map(|near| near.target.url.port);
    let first = all.iter().find(|one| one.seen.is_ok());
    json!({
        "ok": first.is_some(),
        "degraded": all.iter().any(|one| one.trouble().is_some()),
        "capability": best(all), "ts": super::logger::wall_ms(),
        "durationMs": millis(began.elapsed()), "timeoutMs": millis(timeout),
        "primaryTargetId": first.map(|one| one.kind), "warnings": warnings,
        "network": {
            "localLoopbackUrl": near.map(|near| near.target.shown()),
            "localTailnetUrl": tailnet.as_ref().zip(port).map(|(ip, port)| {
                format!("ws://{ip}:{port}")
            }),
            "tailnetIPv4": tailnet,
        },
        // Nobody is looked for on the network: there is no mDNS here.
        "discovery": {"timeoutMs": 0, "count": 0, "beacons": []},
        "targets": all.iter().map(Candidate::json).collect::<Vec<_>>(),
    })
}

fn show(args: &Args, all: &[Candidate], timeout: Duration) -> Page {
    let mut page = Page::new(args);
    page.title("Gateway Status");
    let ok = all.iter().any(|one| one.seen.is_ok());
    page.fact("Reachable", if ok { "yes" } else { "no" }, Tone::of(ok));
    page.fact("Capability", &probing::spoken(best(all)), Tone::Plain);
    page.fact("Probe budget", &format!("{} ms", timeout.as_millis()), Tone::Dim);
    let warnings = warnings(all);
    if !warnings.is_empty() {
        page.title("Warnings");
        for (code, message, _) in warnings {
            page.line(&format!("- {message} ({code})"), Tone::Warn);
        }
    }
    page.title("Targets");
    for one in all {
        one.show(&mut page);
    }
    page
}
