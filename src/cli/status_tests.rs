use super::*;
use crate::cli::table::{Parsed, parse};

fn seen() -> Seen {
    Seen::of(json!({"protocol": 4, "server": {"version": "1"},
        "auth": {"role": "operator", "scopes": ["operator.read"]}}))
}

fn found() -> Found {
    Found {
        url: "ws://127.0.0.1:18789".to_owned(),
        local: true,
        pid: Some(7),
        elsewhere: None,
        holders: Vec::new(),
        probe: Some(Ok(seen())),
        read: false,
        config: ConfigFile { path: "/c".to_owned(), exists: true, issues: Vec::new() },
        config_of_gateway: None,
        address: Address { bind: "loopback", port: 18789, ..Address::default() },
        credential: "none".to_owned(),
        credentials: serde_json::json!([]),
        log: "/l".to_owned(),
        service: Service { json: json!({}), extra: Vec::new(), facts: Vec::new() },
    }
}

fn text(found: &Found) -> String {
    let words = ["gateway", "status", "--no-color"].map(std::ffi::OsString::from);
    let Ok(Parsed::Run(args)) = parse(words) else { panic!("the row is there") };
    found.page(&args).text().to_owned()
}

fn unwell(why: &str, next: &str, answered: bool) -> Option<Result<Seen, Unwell>> {
    let (why, next) = (why.to_owned(), next.to_owned());
    Some(Err(Unwell { why, next, answered, capability: "unknown" }))
}

#[test]
fn a_healthy_gateway_says_the_two_documented_lines() {
    let said = text(&found());
    assert!(said.starts_with("Runtime: running (pid 7)\n"), "{said}");
    assert!(said.contains("\nRPC probe: ok\n"), "{said}");
    assert!(said.contains("\nCapability: read-only\n"), "{said}");
    assert!(said.contains("\nListening: ws://127.0.0.1:18789\n"), "{said}");
    assert!(!said.contains("Next:"), "{said}");
    assert!(found().well());
    let json = found().json();
    assert_eq!((&json["rpc"]["ok"], &json["rpc"]["kind"]), (&json!(true), &json!("connect")));
    assert_eq!(json["gateway"]["version"], "1");
}

#[test]
fn a_stopped_one_says_what_to_type() {
    let why = "no gateway answers (connection refused)";
    let mut found = Found { pid: None, probe: unwell(why, next::RUN, false), ..found() };
    let said = text(&found);
    assert!(said.starts_with("Runtime: stopped\n"), "{said}");
    assert!(said.contains("RPC probe: failed: no gateway answers"), "{said}");
    assert!(said.ends_with("Next: openclaw gateway run\n"), "{said}");
    assert!(!found.well());
    assert_eq!(found.json()["next"], "openclaw gateway run");
    // With a damaged file it would not start: that comes first.
    found.config.issues.push("gateway.port: no number".to_owned());
    let said = text(&found);
    assert!(said.contains("Config (cli): /c (invalid)\n  gateway.port: no number\n"), "{said}");
    assert!(said.ends_with("Next: openclaw config validate\n"), "{said}");
}

#[test]
fn a_refusal_is_an_answer() {
    let probe = unwell("unauthorized", "show the gateway's token", true);
    let found = Found { pid: None, local: false, probe, ..found() };
    let said = text(&found);
    assert!(said.starts_with("Runtime: running\n"), "{said}");
    assert!(said.ends_with("Next: show the gateway's token\n"), "{said}");
    assert!(!found.well());
}

#[test]
fn a_stranger_on_the_port_is_no_gateway() {
    let holder = Holder { pid: Some(9), uid: 0, name: "nginx".to_owned(), inode: 1 };
    let probe = unwell("the answer is not HTTP/1.1", next::STATUS, false);
    let found = Found { pid: None, holders: vec![holder], probe, ..found() };
    let said = text(&found);
    assert!(said.starts_with("Runtime: stopped\n"), "{said}");
    assert!(said.contains("\nPort held by: nginx (pid 9, uid 0)\n"), "{said}");
    assert!(said.ends_with("Next: openclaw gateway --port <other port>\n"), "{said}");
    assert_eq!(found.json()["port"]["listeners"][0]["command"], "nginx");
}

#[test]
fn one_on_another_port_is_found() {
    let elsewhere = Some("127.0.0.1:5".parse().unwrap());
    let found = Found { elsewhere, probe: unwell("refused", "", false), ..found() };
    let said = text(&found);
    assert!(said.contains("Listening: ws://127.0.0.1:5 (not on ws://127.0.0.1:18789)"));
    assert!(said.contains("Next: OPENCLAW_GATEWAY_PORT=5 openclaw gateway status"), "{said}");
}

#[test]
fn another_file_and_a_refused_file_are_told() {
    let mut seen = seen();
    seen.put(
        "status",
        json!({"configIssues": [{"path": "gateway.port", "message": "no number"}],
            "configWaitsForRestart": ["gateway.bind"]}),
    );
    let probe = Some(Ok(seen));
    let found = Found { probe, config_of_gateway: Some("/other".to_owned()), ..found() };
    let said = text(&found);
    assert!(said.contains("Config (gateway): /other (another file"), "{said}");
    assert!(said.contains("Config in force: the file is not in force"), "{said}");
    assert!(said.contains("\n  gateway.port: no number\n"), "{said}");
    assert!(said.contains("Waits for a restart: gateway.bind"), "{said}");
    let json = found.json();
    assert_eq!(json["config"]["daemon"]["path"], "/other");
    assert_eq!(json["config"]["daemon"]["valid"], false);
}
