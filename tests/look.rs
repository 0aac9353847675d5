//! Commands by which an operator looks, against the real binary: what they print, in which
//! shape, how wide, and what they say when nobody answers.

mod common;

use common::{DeadPort, Home, http};
use serde_json::Value;
use std::time::Duration;

const CONFIG: &str = "{
  gateway: {mode: 'local', auth: {token: 'planted-canary-token-0123'}, metrics: {enabled: true}},
  models: {providers: {p: {baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'planted-canary-key-77',
    api: 'openai-completions', models: [{id: 'm'}]}}},
  channels: {telegram: {botToken: '123:planted-canary-bot', allowFrom: ['4912345678']}},
  agents: {defaults: {model: 'local/echo'}},
}";

/// Every command that looks, without flags.
const LOOKS: [&str; 18] = [
    "gateway status",
    "gateway status --deep",
    "gateway probe",
    "gateway health",
    "gateway stability",
    "gateway usage-cost",
    "gateway discover",
    "status",
    "status --all",
    "status --deep",
    "status --usage",
    "health",
    "health --verbose",
    "channels status",
    "channels status --probe",
    "channels list",
    "agents list",
    "sessions",
];

/// The keys of a document, to the second level, as `a`, `a.b`.
fn keys(value: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for (name, inner) in value.as_object().into_iter().flatten() {
        all.push(name.clone());
        for below in inner.as_object().into_iter().flatten() {
            all.push(format!("{name}.{}", below.0));
        }
    }
    all
}

#[test]
fn documents_have_the_references_keys() {
    let home = Home::new();
    home.configure(CONFIG);
    let gateway = home.start("");
    // Recorded from the reference 2026.9.6 with the same commands.
    let table: &[(&str, &[&str])] = &[
        (
            "gateway status --json",
            &[
                "service",
                "service.label",
                "service.loaded",
                "service.runtime",
                "config.cli",
                "config.daemon",
                "gateway.bindMode",
                "gateway.bindHost",
                "gateway.port",
                "gateway.portSource",
                "gateway.probeUrl",
                "gateway.probeNote",
                "gateway.version",
                "gateway.controlUiLinks",
                "port.port",
                "port.status",
                "port.listeners",
                "port.hints",
                "rpc.ok",
                "rpc.kind",
                "rpc.capability",
                "rpc.auth",
                "rpc.url",
                "rpc.server",
                "extraServices",
                "logFile",
                "cli.version",
                "cli.entrypoint",
                "hostDesktop.enabled",
                "pluginVersionDrift.drifts",
            ],
        ),
        (
            "gateway probe --json",
            &[
                "ok",
                "degraded",
                "capability",
                "ts",
                "durationMs",
                "timeoutMs",
                "primaryTargetId",
                "warnings",
                "network.localLoopbackUrl",
                "network.localTailnetUrl",
                "network.tailnetIPv4",
                "discovery.timeoutMs",
                "discovery.count",
                "discovery.beacons",
                "targets",
            ],
        ),
        (
            "gateway health --json",
            &[
                "ok",
                "ts",
                "durationMs",
                "plugins.loaded",
                "plugins.errors",
                "configReload.hotReloadStatus",
                "channels",
                "channelOrder",
                "channelLabels",
                "heartbeatSeconds",
                "defaultAgentId",
                "agents",
                "sessions.path",
                "sessions.count",
                "sessions.recent",
                "eventLoop.degraded",
                "eventLoop.reasons",
                "eventLoop.intervalMs",
                "eventLoop.delayP99Ms",
                "eventLoop.delayMaxMs",
                "eventLoop.utilization",
                "eventLoop.cpuCoreRatio",
            ],
        ),
        (
            "status --json --usage",
            &[
                "runtimeVersion",
                "heartbeat.defaultAgentId",
                "channelSummary",
                "queuedSystemEvents",
                "degradedSecretOwners",
                "tasks.total",
                "sessions.count",
                "modelRuntime.degraded",
                "eventLoop.delayMaxMs",
                "processMemory.rssBytes",
                "processMemory.heapUsedBytes",
                "pid",
                "shutdownBudget.timeoutMs",
                "os.label",
                "os.platform",
                "gateway.mode",
                "gateway.url",
                "gateway.urlSource",
                "gateway.misconfigured",
                "gateway.reachable",
                "gateway.connectLatencyMs",
                "gateway.self",
                "gateway.error",
                "gateway.authWarning",
                "gatewayService.label",
                "gatewayService.installed",
                "gatewayService.loadState",
                "agents.defaultId",
                "agents.agents",
                "agents.totalSessions",
                "usage.providers",
            ],
        ),
        (
            "gateway stability --json",
            &[
                "generatedAt",
                "capacity",
                "count",
                "dropped",
                "firstSeq",
                "lastSeq",
                "events",
                "summary.byType",
            ],
        ),
        (
            "gateway usage-cost --json",
            &[
                "updatedAt",
                "days",
                "daily",
                "totals.input",
                "totals.totalCost",
                "totals.totalTokens",
                "totals.missingCostEntries",
                "cacheStatus.status",
            ],
        ),
        ("gateway discover --json", &["timeoutMs", "domains", "count", "beacons"]),
        ("channels list --json", &["chat", "chat.telegram"]),
        (
            "channels status --json",
            &[
                "ts",
                "channelOrder",
                "channelLabels",
                "channelDetailLabels",
                "channelSystemImages",
                "channelMeta",
                "channels",
                "channelAccounts",
                "channelDefaultAccountId",
                "statusIssues",
                "eventLoop.degraded",
            ],
        ),
        (
            "gateway diagnostics export --json",
            &[
                "path",
                "bytes",
                "manifest.version",
                "manifest.generatedAt",
                "manifest.openclawVersion",
                "manifest.contents",
                "manifest.privacy",
            ],
        ),
    ];
    for (line, want) in table {
        let ran = home.ask(gateway.port, line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        let value: Value = serde_json::from_str(&ran.out).expect(line);
        let keys = keys(&value);
        for key in *want {
            assert!(keys.iter().any(|own| own == key), "{line}: no {key} in {keys:?}");
        }
        assert!(!ran.out.contains("planted-canary"), "{line}: {}", ran.out);
    }
    let ran = home.ask(gateway.port, "gateway probe --json");
    let probe: Value = serde_json::from_str(&ran.out).unwrap();
    let target = keys(&probe["targets"][0]);
    for key in [
        "id",
        "kind",
        "url",
        "active",
        "tunnel",
        "connect.ok",
        "connect.rpcOk",
        "connect.scopeLimited",
        "connect.latencyMs",
        "connect.error",
        "connect.close",
        "auth.role",
        "auth.scopes",
        "auth.capability",
        "server.version",
        "server.connId",
        "self",
        "config",
        "health",
        "summary",
        "presence",
    ] {
        assert!(target.iter().any(|own| own == key), "no {key} in {target:?}");
    }
    assert_eq!(probe["primaryTargetId"], "localLoopback");
    assert_eq!(probe["targets"][0]["connect"]["rpcOk"], true, "{probe}");
}

#[test]
fn pages_fit_80_columns_and_take_no_colour_along() {
    let home = Home::new();
    home.configure(CONFIG);
    let gateway = home.start("");
    let ran = home.ask(gateway.port, "agent --message hello");
    assert_eq!(ran.code, 0, "{ran:?}");
    for line in LOOKS.iter().chain(&["models list", "models status", "cron list", "logs --plain"]) {
        let ran = home.ask(gateway.port, line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        assert!(!ran.out.contains('\u{1b}'), "{line}: {ran:?}");
        assert!(!ran.out.contains("planted-canary"), "{line}: {ran:?}");
        for shown in ran.out.lines().filter(|_| !line.starts_with("logs")) {
            // A path, an address or a command stays whole, to be copied.
            let longest = shown.split(' ').map(str::len).max().unwrap_or_default();
            let fits = shown.chars().count() <= 80 || longest > 60;
            assert!(fits, "{line}: {} columns: {shown}", shown.chars().count());
        }
    }
    // Asked for, there is colour even into a pipe; NO_COLOR and the flag win.
    let ran = common::Ran::of(
        home.command("health").env("FORCE_COLOR", "1").args(["--port", &gateway.port.to_string()]),
    );
    assert!(ran.out.contains("\u{1b}[32m"), "{ran:?}");
    let mut quiet = home.command("health --no-color");
    quiet.env("FORCE_COLOR", "1").args(["--port", &gateway.port.to_string()]);
    assert!(!common::Ran::of(&mut quiet).out.contains('\u{1b}'));
}

#[test]
fn nobody_there_is_said_at_once_with_the_next_command() {
    let home = Home::new();
    home.configure(CONFIG);
    let dead = DeadPort::new();
    for line in LOOKS.iter().filter(|line| !line.ends_with("list") && !line.ends_with("discover")) {
        for json in ["", " --json"] {
            let ran = home.ask(dead.number(), &format!("{line}{json}"));
            // What the file says of the channels is shown, and that is no failure.
            let of_the_file = line.starts_with("channels status");
            assert_eq!(ran.code, i32::from(!of_the_file), "{line}{json}: {ran:?}");
            assert!(ran.took < Duration::from_secs(5), "{line}: {ran:?}");
            let said = format!("{}{}", ran.out, ran.err);
            assert!(said.contains("openclaw gateway"), "{line}{json}: {ran:?}");
            assert!(!said.contains("planted-canary"), "{line}{json}: {ran:?}");
            if !json.is_empty() {
                let value: Value = serde_json::from_str(&ran.out).expect(line);
                assert!(of_the_file || value["ok"] == false, "{line}: {value}");
            }
        }
    }
    let ran = home.ask(dead.number(), "channels status");
    for want in ["showing config-only status", "telegram default: enabled, configured", "Next: "] {
        assert!(ran.out.contains(want), "{want}: {ran:?}");
    }
    let ran = home.ask(dead.number(), "channels status --json");
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(value["gatewayReachable"], false);
    assert_eq!(value["configOnly"], true);
    assert_eq!(value["configuredChannels"], serde_json::json!(["telegram"]));
    let ran = home.ask(dead.number(), "status --json");
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(value["gateway"]["reachable"], false);
    assert!(value["gateway"]["next"].as_str().unwrap().contains("openclaw gateway"), "{value}");
}

#[cfg(feature = "process")]
#[test]
fn after_a_kill_the_log_is_still_read_and_everything_says_so() {
    let home = Home::new();
    home.configure(CONFIG);
    let mut gateway = home.start("");
    let port = gateway.port;
    // Once it answers, its start is in the log.
    assert_eq!(home.ask(port, "health").code, 0);
    gateway.signal(rustix::process::Signal::KILL);
    gateway.wait();
    for line in ["gateway status", "status", "health", "gateway probe"] {
        let ran = home.ask(port, line);
        assert_eq!(ran.code, 1, "{line}: {ran:?}");
        let said = format!("{}{}", ran.out, ran.err);
        assert!(said.contains("Next: openclaw gateway"), "{line}: {ran:?}");
    }
    let ran = home.ask(port, "logs");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("listening on ws://"), "{ran:?}");
    assert!(ran.err.contains("the log so far is"), "{ran:?}");
    let ran = home.ask(port, "logs --json");
    let lines: Vec<Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!((&lines[0]["type"], &lines[0]["localFallback"]), (&"meta".into(), &true.into()));
    let last = lines.last().unwrap();
    assert_eq!((ran.code, &last["type"]), (0, &"notice".into()), "{last}");
    let ran = home.ask(port, "channels logs --json");
    let value: Value = serde_json::from_str(&ran.out).expect("a document");
    assert_eq!((ran.code, &value["channel"]), (0, &"all".into()), "{ran:?}");
    assert!(value["file"].is_string() && value["lines"].is_array(), "{value}");
    // The export does without a gateway.
    let ran = home.ask(port, "gateway diagnostics export --output /dev/null/x.zip");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("--output <elsewhere>"), "{ran:?}");
    let ran = home.ask(port, "gateway diagnostics export --json");
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn an_export_holds_what_helps_and_nobodys_secret_or_word() {
    let home = Home::new();
    home.configure(CONFIG);
    let gateway = home.start("");
    let ran = home.ask(gateway.port, "agent --message sentence-of-a-person-4711");
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = home.ask(gateway.port, "gateway diagnostics export --json");
    assert_eq!(ran.code, 0, "{ran:?}");
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    let path = std::path::Path::new(value["path"].as_str().unwrap()).to_owned();
    assert_eq!(common::mode(&path), 0o600);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(value["bytes"], bytes.len());
    assert!(bytes.starts_with(b"PK\x03\x04"), "a zip");
    // Stored, so that every text can be looked through as it is.
    let text = String::from_utf8_lossy(&bytes);
    for canary in ["planted-canary", "sentence-of-a-person", "4912345678", "agent:main"] {
        assert!(!text.contains(canary), "{canary} is in the archive");
    }
    let home_path = home.0.display().to_string();
    assert!(!text.contains(&home_path), "a path of the user is in the archive");
    for name in [
        "manifest.json",
        "diagnostics.json",
        "config/sanitized.json",
        "config/shape.json",
        "logs/openclaw-sanitized.jsonl",
        "status/gateway-status.json",
        "health/gateway-health.json",
        "summary.md",
    ] {
        assert!(text.contains(name), "{name}");
    }
    assert!(text.contains("\"status\": \"included\""), "the gateway's words are in");
}

#[test]
fn metrics_are_scraped_with_the_secret_only() {
    let home = Home::new();
    home.configure(CONFIG);
    let gateway = home.start("");
    let ran = home.ask(gateway.port, "agent --message hi");
    assert_eq!(ran.code, 0, "{ran:?}");
    let get = |path: &str, bearer: &str| {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n\r\n"
        );
        http::ask(gateway.port, head)
    };
    assert_eq!(get("/metrics", "wrong").status, 401);
    for path in ["/metrics", "/api/diagnostics/prometheus"] {
        let page = get(path, "planted-canary-token-0123");
        assert_eq!(page.status, 200);
        assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        let text = page.text();
        for want in [
            "openclaw_run_completed_total{outcome=\"completed\"} 1",
            "openclaw_run_started_total 1",
            "openclaw_gateway_rpc_requests_total{family=\"agent\",outcome=\"later\"} 1",
            "openclaw_gateway_connections{kind=\"http\"} 1",
            "openclaw_gateway_config_valid 1",
        ] {
            assert!(text.lines().any(|line| line == want), "{want}\n{text}");
        }
        assert!(!text.contains("planted-canary") && !text.contains("agent:main"), "{text}");
    }
    // Switched off while it runs, it is gone.
    home.configure(&CONFIG.replace("metrics: {enabled: true}", "metrics: {enabled: false}"));
    let ran = home.ask(gateway.port, "gateway call secrets.reload");
    assert!(ran.took < Duration::from_secs(10), "{ran:?}");
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while get("/metrics", "planted-canary-token-0123").status != 404 {
        assert!(std::time::Instant::now() < deadline, "the switch is not taken over");
    }
}

#[test]
fn a_port_means_this_machine_and_not_beside_a_url() {
    let home = Home::new();
    home.configure(
        "{gateway: {mode: 'remote', remote: {url: 'wss://gateway.invalid', token: 'x'}, \
         auth: {token: 'planted-canary-token-0123'}}}",
    );
    let other = Home::new();
    other.configure(CONFIG);
    let gateway = other.start("");
    let line = format!("health --port {} --token planted-canary-token-0123", gateway.port);
    let ran = home.run(&line);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = home.run("gateway probe --port 1 --url ws://127.0.0.1:1");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("--port and --url cannot stand together"), "{ran:?}");
}
