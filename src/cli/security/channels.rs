//! Channels: who may talk to agents, read from the file as it is written, so that a channel that
//! is not built in, or not yet started, is judged as well.

use super::{Facts, Finding, Severity, found};
use crate::config::ExecSecurity;
use serde_json::Value;

/// Every channel's name, its path in the file, and its section or that of an account.
fn sections<'a>(facts: &'a Facts<'_>) -> Vec<(&'a str, String, &'a Value)> {
    let mut all = Vec::new();
    let channels = facts.at("/channels").as_object();
    for (name, section) in channels.into_iter().flatten() {
        if section["enabled"] == false || name == "defaults" {
            continue;
        }
        all.push((name.as_str(), format!("channels.{name}"), section));
        for (id, account) in section["accounts"].as_object().into_iter().flatten() {
            if account["enabled"] != false {
                all.push((name.as_str(), format!("channels.{name}.accounts.{id}"), account));
            }
        }
    }
    all
}

/// How many group policies are open, and how many are lists.
pub fn groups(facts: &Facts<'_>) -> (usize, usize) {
    let all = sections(facts);
    let count = |word: &str| all.iter().filter(|(.., it)| it["groupPolicy"] == word).count();
    (count("open"), count("allowlist"))
}

/// Paths of group policies that are open.
pub fn open_groups(file: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (name, section) in file["channels"].as_object().into_iter().flatten() {
        if section["groupPolicy"] == "open" {
            found.push(format!("channels.{name}.groupPolicy"));
        }
        for (id, account) in section["accounts"].as_object().into_iter().flatten() {
            if account["groupPolicy"] == "open" {
                found.push(format!("channels.{name}.accounts.{id}.groupPolicy"));
            }
        }
    }
    found
}

/// Judgements about `channels`.
pub fn judge(facts: &Facts<'_>) -> Vec<Finding> {
    let mut all = Vec::new();
    let mut shared = Vec::new();
    for (name, path, section) in sections(facts) {
        let policy = section["dmPolicy"].as_str().or(section["dm"]["policy"].as_str());
        let from = section["allowFrom"].as_array().or(section["dm"]["allowFrom"].as_array());
        let anybody = from.is_some_and(|from| from.iter().any(|entry| entry == "*"));
        if policy == Some("open") {
            shared.push(path.clone());
            all.push(found(
                format!("channels.{name}.dm.open"),
                Severity::Critical,
                "Anybody can write to the agent",
                format!("{path}.dmPolicy is open."),
                format!("openclaw config set {path}.dmPolicy pairing"),
            ));
            if !anybody {
                all.push(found(
                    format!("channels.{name}.dm.open_invalid"),
                    Severity::Warn,
                    "An open policy without \"*\"",
                    format!("{path}.dmPolicy is open, but allowFrom does not hold \"*\"."),
                    "Write which of the two is meant.",
                ));
            }
        }
        if section["groupPolicy"] == "open" {
            shared.push(path.clone());
        }
        let many = from.is_some_and(|from| from.len() > 1);
        let scope = facts.at("/session/dmScope").as_str().unwrap_or("main");
        if (anybody || many) && scope == "main" {
            all.push(found(
                format!("channels.{name}.dm.scope_main_multiuser"),
                Severity::Warn,
                "Several people share one session",
                format!("{path} lets in more than one sender, and session.dmScope is main."),
                "openclaw config set session.dmScope per-channel-peer",
            ));
        }
    }
    if facts.at("/session/groupScope") == "main" {
        all.push(found(
            "security.trust_model.group_scope_main",
            Severity::Warn,
            "Groups share the main session",
            "session.groupScope is main: every member of every group sees into it.",
            "openclaw config unset session.groupScope",
        ));
    }
    shared.dedup();
    if !shared.is_empty() {
        all.push(found(
            "security.trust_model.multi_user_heuristic",
            Severity::Warn,
            "Several people seem to use this gateway",
            format!("Open to more than its owner: {}.", shared.join(", ")),
            "One gateway trusts its users with each other; give others one of their own.",
        ));
        let exec = &facts.config.exec;
        let denied = facts.config.tools.lists.deny.iter().any(|it| it == "exec" || it == "*");
        if exec.security != ExecSecurity::Deny && !denied {
            all.push(found(
                "security.exposure.open_channels_with_exec",
                Severity::when(exec.security == ExecSecurity::Full),
                "Strangers talk to agents that run commands",
                format!("{} is open, and tools.exec is not denied.", shared.join(", ")),
                "openclaw config set tools.exec.security deny, or close the channel.",
            ));
        }
    }
    all
}
