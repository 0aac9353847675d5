//! Every kind of drift, each made from a definition of ours by one edit.

use super::*;
use crate::service::tests::service;

fn codes(text: &str, wanted: &Service) -> Vec<&'static str> {
    audit(text, wanted).into_iter().map(|finding| finding.code).collect()
}

const ALL: [Manager; 4] =
    [Manager::SystemdUser, Manager::SystemdSystem, Manager::LaunchAgent, Manager::ScheduledTask];

#[test]
fn what_we_write_has_not_drifted() {
    for manager in ALL {
        for profile in [None, Some("rescue")] {
            let wanted = service(manager, profile);
            let text = wanted.definition().unwrap();
            assert_eq!(audit(&text, &wanted), [], "{manager:?} {profile:?}");
        }
    }
}

#[test]
fn every_part_that_differs_is_found() {
    for manager in ALL {
        let written = service(manager, Some("rescue"));
        let text = written.definition().unwrap();
        let mut wanted = written.clone();
        wanted.program.push_str(".new");
        assert_eq!(codes(&text, &wanted), ["gateway-entrypoint-mismatch"], "{manager:?}");
        let mut wanted = written.clone();
        wanted.port = Some(20_001);
        assert_eq!(codes(&text, &wanted), ["gateway-port-mismatch"], "{manager:?}");
        let mut wanted = written.clone();
        wanted.profile = Some("other".to_owned());
        assert_eq!(codes(&text, &wanted), ["gateway-profile-mismatch"], "{manager:?}");
        let mut wanted = written.clone();
        wanted.env.insert("TZ".to_owned(), "UTC".to_owned());
        assert_eq!(codes(&text, &wanted), ["gateway-env-missing"], "{manager:?}");
        let mut wanted = written.clone();
        wanted.state_dir.push_str("-b");
        assert!(codes(&text, &wanted).contains(&"gateway-env-mismatch"), "{manager:?}");
    }
}

#[test]
fn stops_that_are_too_short_and_missing_restarts_are_found() {
    let wanted = service(Manager::SystemdUser, None);
    let text = wanted.definition().unwrap();
    let edit = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        codes(&text.replace(from, to), &wanted)
    };
    assert_eq!(edit("TimeoutStopSec=330", "TimeoutStopSec=329"), ["systemd-stop-timeout"]);
    assert_eq!(edit("TimeoutStopSec=330\n", ""), ["systemd-stop-timeout"]);
    assert!(edit("TimeoutStopSec=330", "TimeoutStopSec=infinity").is_empty());
    assert!(edit("TimeoutStopSec=330", "TimeoutStopSec=1h").is_empty());
    assert_eq!(edit("Restart=always", "Restart=on-failure"), ["systemd-restart"]);
    assert_eq!(edit("KillMode=mixed\n", ""), ["systemd-kill-mode-control-group"]);
    let codes_none = edit("KillMode=mixed", "KillMode=none");
    assert_eq!(codes_none, ["systemd-kill-mode-process-or-none"]);
    assert_eq!(edit("WantedBy=default.target\n", ""), ["service-autostart"]);
    let mut longer = wanted.clone();
    longer.budget.timeout_ms = 600_000;
    assert_eq!(codes(&text, &longer), ["systemd-stop-timeout"]);

    let wanted = service(Manager::LaunchAgent, None);
    let text = wanted.definition().unwrap();
    let short = text.replace("<integer>330</integer>", "<integer>20</integer>");
    assert_eq!(codes(&short, &wanted), ["launchd-exit-timeout"]);
    let off = text.replace("<key>KeepAlive</key>\n  <true/>", "<key>KeepAlive</key>\n  <false/>");
    assert_eq!(codes(&off, &wanted), ["launchd-keep-alive"]);
    let off = text.replace("<key>RunAtLoad</key>\n  <true/>", "");
    assert_eq!(codes(&off, &wanted), ["launchd-run-at-load"]);
}

#[test]
fn a_secret_in_a_definition_is_found_and_not_shown() {
    let wanted = service(Manager::SystemdUser, None);
    let text = wanted.definition().unwrap();
    for (line, code) in [
        ("Environment=OPENCLAW_GATEWAY_TOKEN=canary-1", "gateway-token-embedded"),
        ("Environment=\"OPENCLAW_GATEWAY_PASSWORD=canary-1\"", "gateway-password-embedded"),
        ("Environment=OPENAI_API_KEY=canary-1", "gateway-managed-env-embedded"),
        ("Environment=HTTPS_PROXY=http://canary-1@p:1", "gateway-proxy-env-embedded"),
        ("Environment=PLAIN=sk-canary-1", "gateway-managed-env-embedded"),
    ] {
        let edited = text.replace("Type=notify\n", &format!("Type=notify\n{line}\n"));
        let found = audit(&edited, &wanted);
        assert_eq!(found.iter().map(|it| it.code).collect::<Vec<_>>(), [code], "{line}");
        assert!(!format!("{found:?}").contains("canary"), "{found:?}");
    }
    for word in ["\"--token\" \"canary-1\"", "\"--token=canary-1\""] {
        let edited = text.replace(" \"gateway\"", &format!(" \"gateway\" {word}"));
        let found = audit(&edited, &wanted);
        assert_eq!(found.iter().map(|it| it.code).collect::<Vec<_>>(), ["gateway-token-embedded"]);
        assert!(!format!("{found:?}").contains("canary"), "{found:?}");
    }
}

#[test]
fn another_command_or_account_is_found() {
    let wanted = service(Manager::SystemdSystem, None);
    let text = wanted.definition().unwrap();
    let other = text.replace("User=claw", "User=nobody");
    assert_eq!(codes(&other, &wanted), ["service-account-mismatch"]);
    assert_eq!(codes(&text.replace("User=claw\n", ""), &wanted), ["service-account-mismatch"]);
    let other = text.replace("\"gateway\"", "\"node\"");
    assert_eq!(codes(&other, &wanted), ["gateway-command-missing"]);
    assert!(codes("", &wanted).contains(&"gateway-command-missing"));
}
