//! `doctor` and `security audit` by the real binary: every finding says what, where and what to
//! type; looking changes nothing; `--fix` mends what is safe and keeps what stood there.
#![cfg(feature = "process")]

mod common;

use common::{Home, Ran, mode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const GOOD: &str = "{gateway: {mode: 'local', auth: {token: '0123456789abcdef0123456789abcdef'}}}";

fn chmod(path: &Path, bits: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
}

/// A home with a private state directory and this configuration.
fn home(text: &str) -> Home {
    let home = Home::new();
    home.configure(text);
    chmod(&home.state(), 0o700);
    chmod(&home.state().join("openclaw.json"), 0o600);
    home
}

/// Findings of `doctor --lint` from `info` on, by check; the text on the way.
fn lint(home: &Home) -> Vec<Value> {
    let ran = home.run("doctor --lint --json --severity-min info");
    let report: Value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    assert_eq!(report["schemaVersion"], 1);
    let findings = report["findings"].as_array().unwrap().clone();
    assert_eq!(report["ok"], findings.is_empty());
    assert_eq!(ran.code, i32::from(!findings.is_empty()), "{ran:?}");
    findings
}

fn finding<'a>(findings: &'a [Value], check: &str, part: &str) -> &'a Value {
    let is = |it: &&Value| {
        it["checkId"] == format!("core/doctor/{check}")
            && it["message"].as_str().unwrap().contains(part)
    };
    findings.iter().find(is).unwrap_or_else(|| panic!("{check} {part}: {findings:#?}"))
}

/// Every file below a directory with its bytes and mode.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let mut all = BTreeMap::new();
    let mut rest = vec![dir.to_path_buf()];
    while let Some(dir) = rest.pop() {
        for entry in std::fs::read_dir(&dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                rest.push(path.clone());
                all.insert(path.clone(), (Vec::new(), mode(&path)));
            } else {
                all.insert(path.clone(), (std::fs::read(&path).unwrap(), mode(&path)));
            }
        }
    }
    all
}

#[test]
fn a_good_place_has_no_problem() {
    let home = home(GOOD);
    let ran = home.run("doctor --non-interactive");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("no problems found"), "{ran:?}");
    assert!(ran.out.lines().all(|line| line.len() <= 80 || !line.contains(' ')), "{ran:?}");
    let ran = home.run("doctor --lint");
    assert!(ran.code == 0 && ran.out.contains("finding(s)"), "{ran:?}");
}

#[test]
fn a_damaged_place_is_looked_at_and_nothing_is_written() {
    let home = home("{gateway: {port: 'x', prot: 1}, blorb: 1}");
    let state = home.state();
    std::fs::create_dir_all(state.join("devices")).unwrap();
    std::fs::create_dir_all(state.join("cron")).unwrap();
    std::fs::create_dir_all(state.join("agents/main/sessions")).unwrap();
    std::fs::write(state.join("devices/paired.json"), "{\"a\":").unwrap();
    std::fs::write(state.join("cron/jobs.json"), "nonsense").unwrap();
    std::fs::write(state.join("agents/main/sessions/sessions.json"), "{").unwrap();
    std::fs::write(state.join("agents/main/sessions/stray.jsonl"), "x\n{\"y\":").unwrap();
    chmod(&state, 0o755);
    let before = snapshot(&state);
    let found = lint(&home);
    let port = finding(&found, "final-config-validation", "expected a whole number");
    assert_eq!((&port["path"], &port["line"]), (&"gateway.port".into(), &1.into()), "{port}");
    finding(&found, "final-config-validation", "did you mean gateway.port?");
    let blorb = finding(&found, "final-config-validation", "valid keys here begin with");
    assert!(blorb["fixHint"].as_str().unwrap().contains("doctor --fix"), "{blorb}");
    finding(&found, "state-integrity", "open to other users (mode 755)");
    for name in ["paired.json", "jobs.json", "sessions.json"] {
        let is = |it: &&Value| {
            it["checkId"] == "core/doctor/state-documents"
                && it["path"].as_str().is_some_and(|path| path.ends_with(name))
        };
        assert!(found.iter().any(|it| is(&it)), "{name}: {found:#?}");
    }
    finding(&found, "session-transcripts", "no session names: stray.jsonl");
    finding(&found, "session-transcripts", "1 damaged lines");
    for line in ["doctor", "doctor --json", "doctor --lint --deep", "security audit --deep"] {
        home.run(line);
    }
    assert_eq!(snapshot(&state), before);
}

#[test]
fn a_repair_mends_what_is_safe_and_keeps_what_stood_there() {
    let text = "// mine\n{\n  gateway: { token: '0123456789abcdef0123456789abcdef' }, // old\n  \
                blorb: 1,\n}\n";
    let home = home(text);
    let state = home.state();
    std::fs::create_dir_all(state.join("devices")).unwrap();
    std::fs::write(state.join("devices/paired.json"), "{\"a\":").unwrap();
    chmod(&state, 0o755);
    chmod(&state.join("openclaw.json"), 0o644);
    let ran = home.run("doctor --fix --non-interactive");
    assert_eq!(ran.code, 0, "{ran:?}");
    let file = std::fs::read_to_string(state.join("openclaw.json")).unwrap();
    assert!(file.starts_with("// mine\n") && file.contains("// old"), "{file}");
    assert!(!file.contains("blorb"), "{file}");
    let said = format!("{}{}", ran.out, ran.err);
    assert!(!said.contains("0123456789abcdef"), "{said}");
    assert!(said.contains("removed blorb"), "{said}");
    assert!(said.contains("moved gateway.token to gateway.auth.token"), "{said}");
    assert_eq!(std::fs::read_to_string(state.join("openclaw.json.bak.1")).unwrap(), text);
    assert_eq!((mode(&state), mode(&state.join("openclaw.json"))), (0o700, 0o600));
    let kept = std::fs::read_dir(state.join("devices")).unwrap().flatten();
    let kept = kept.map(|entry| entry.file_name().into_string().unwrap());
    assert!(kept.into_iter().any(|name| name.starts_with("paired.json.damaged-")));
    // The mode was found missing once the file could be read.
    assert!(home.run("config get gateway.mode").out.contains("local"));
    assert_eq!(home.run("doctor --lint").code, 0);
    let once = snapshot(&state);
    assert_eq!(home.run("doctor --fix").code, 0);
    assert_eq!(snapshot(&state), once, "nothing left to mend, nothing written");
}

#[test]
fn a_file_that_cannot_be_read_gets_its_last_good_copy_back_only_by_a_repair() {
    let home = home("{gateway: {mode: 'local'");
    let state = home.state();
    let ran = home.run("doctor --fix");
    assert_eq!(ran.code, 0, "no copy to put back: {ran:?}");
    assert!(ran.out.contains("config validate"), "{ran:?}");
    std::fs::write(state.join("openclaw.json.last-good"), GOOD).unwrap();
    let found = lint(&home);
    let hint = &finding(&found, "final-config-validation", "")["fixHint"];
    assert!(hint.as_str().unwrap().contains("last-good"), "{hint}");
    assert!(std::fs::read_to_string(state.join("openclaw.json")).unwrap().ends_with("'local'"));
    let ran = home.run("doctor --fix");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(std::fs::read_to_string(state.join("openclaw.json")).unwrap(), GOOD);
    let mut names = std::fs::read_dir(&state).unwrap().flatten().map(|it| it.file_name());
    assert!(names.any(|name| name.to_string_lossy().starts_with("openclaw.json.clobbered.")));
}

#[test]
fn a_weak_token_is_told_and_a_new_one_is_written_when_asked() {
    let home = home("{gateway: {mode: 'local', auth: {token: 'undefined'}}}");
    finding(&lint(&home), "gateway-auth", "placeholder");
    let ran = home.run("doctor --fix --generate-gateway-token");
    assert_eq!(ran.code, 0, "{ran:?}");
    let file = std::fs::read_to_string(home.state().join("openclaw.json")).unwrap();
    assert!(!file.contains("undefined"), "{file}");
    let value: Value =
        serde_json::from_str(home.run("config get gateway.auth --json").out.trim()).expect("JSON");
    assert!(value["token"].is_string(), "{value}");
    assert_eq!(home.run("doctor --lint --only core/doctor/gateway-auth").code, 0);
}

#[test]
fn words_that_contradict_each_other_are_refused() {
    let home = home(GOOD);
    for line in ["doctor --lint --fix", "doctor --json --yes", "doctor --severity-min info"] {
        let ran = home.run(line);
        assert!(ran.code == 2 && ran.err.contains("doctor --help"), "{line}: {ran:?}");
    }
    let ran = home.run("doctor --lint --only no/such/check --json");
    assert!(ran.code == 1 && ran.out.contains("core/doctor/lint-selection"), "{ran:?}");
    let ran = home.run("doctor --lint --only core/doctor/clock --json");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &report["checksRun"]), (0, &1.into()), "{ran:?}");
}

#[test]
fn a_running_gateway_is_seen_and_its_documents_are_left_alone() {
    let home = home(GOOD);
    let gateway = home.start("");
    let ask = |line: &str| home.ask(gateway.port, line);
    let ran = ask("doctor --lint --only core/doctor/gateway-health --severity-min info");
    assert_eq!(ran.code, 0, "{ran:?}");
    std::fs::create_dir_all(home.state().join("devices")).unwrap();
    std::fs::write(home.state().join("devices/pending.json"), "{").unwrap();
    let ran = ask("doctor --fix");
    assert!(ran.code == 1 && ran.out.contains("needs it stopped"), "{ran:?}");
    assert_eq!(std::fs::read(home.state().join("devices/pending.json")).unwrap(), b"{");
    // Somebody else on the port.
    drop(gateway);
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ran = home.ask(busy.local_addr().unwrap().port(), "doctor --lint --json");
    assert!(ran.code == 1 && ran.out.contains("held by another program"), "{ran:?}");
    assert!(ran.out.contains(&format!("pid {}", std::process::id())), "{ran:?}");
}

fn audit(home: &Home, flags: &str) -> (Ran, Value) {
    let ran = home.run(&format!("security audit --json {flags}"));
    let report = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    (ran, report)
}

fn ids(report: &Value) -> Vec<&str> {
    let all = report["findings"].as_array().unwrap().iter();
    all.map(|it| it["checkId"].as_str().unwrap()).collect()
}

#[test]
fn an_audit_has_the_reference_shape_and_a_fix_takes_rights_away_only() {
    let text = "{gateway: {mode: 'local', auth: {token: 'short-token'}}, \
                channels: {telegram: {groupPolicy: 'open', botToken: 'canary-bot-token'}}}";
    let home = home(text);
    let state = home.state();
    std::fs::create_dir_all(state.join("devices")).unwrap();
    std::fs::write(state.join("devices/paired.json"), "{}").unwrap();
    chmod(&state.join("devices/paired.json"), 0o644);
    chmod(&state.join("openclaw.json"), 0o664);
    chmod(&state, 0o777);
    let (ran, report) = audit(&home, "");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.out.contains("canary") && !ran.out.contains("short-token"), "{ran:?}");
    for key in ["ts", "summary", "findings", "secretDiagnostics"] {
        assert!(report.get(key).is_some(), "{report}");
    }
    let found = ids(&report);
    for id in [
        "summary.attack_surface",
        "gateway.token_too_short",
        "fs.state_dir.perms_world_writable",
        "fs.config.perms_writable",
        "fs.secret_file.perms_readable",
        "security.trust_model.multi_user_heuristic",
    ] {
        assert!(found.contains(&id), "{id}: {found:?}");
    }
    let critical = |it: &&Value| it["severity"] == "critical";
    let counted = report["findings"].as_array().unwrap().iter().filter(critical).count();
    assert_eq!(report["summary"]["critical"], counted);
    let (ran, fixed) = audit(&home, "--fix");
    assert_eq!((ran.code, &fixed["fix"]["ok"]), (0, &true.into()), "{ran:?}");
    assert_eq!(fixed["fix"]["configWritten"], true);
    let left = ids(&fixed["report"]);
    assert!(!left.iter().any(|id| id.starts_with("fs.")), "{left:?}");
    assert!(left.contains(&"gateway.token_too_short"), "secrets stay: {left:?}");
    assert_eq!((mode(&state), mode(&state.join("openclaw.json"))), (0o700, 0o600));
    assert_eq!(mode(&state.join("devices/paired.json")), 0o600);
    let file = std::fs::read_to_string(state.join("openclaw.json")).unwrap();
    assert!(file.contains("groupPolicy: \"allowlist\"") && file.contains("short-token"), "{file}");
    assert_eq!(std::fs::read_to_string(state.join("openclaw.json.bak")).unwrap(), text);
}

#[test]
fn a_deep_audit_looks_at_the_gateway() {
    let home = home(GOOD);
    let (_, report) = audit(&home, "--deep");
    assert_eq!(report["deep"]["gateway"]["ok"], false);
    assert!(ids(&report).contains(&"gateway.probe_failed"), "{report}");
    let gateway = home.start("");
    let ran = home.ask(gateway.port, "security audit --deep --json");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["deep"]["gateway"]["ok"], true, "{report}");
    let page = home.ask(gateway.port, "security audit");
    assert!(page.code == 0 && page.out.contains("Summary: "), "{page:?}");
}
