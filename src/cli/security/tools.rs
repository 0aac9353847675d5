//! Tools: what an agent that was talked into something could do.

use super::{Facts, Finding, Severity, channels, found};
use crate::config::{ExecSecurity, ToolProfile};
use serde_json::Value;

/// Tools that do more than a caller of `/tools/invoke` should (tools-invoke-http-api.md).
const STRONG: [&str; 10] = [
    "exec",
    "process",
    "write",
    "edit",
    "apply_patch",
    "sessions_spawn",
    "sessions_send",
    "gateway",
    "cron",
    "nodes",
];

/// Judgements about `tools` and `gateway.tools`.
pub fn judge(facts: &Facts<'_>) -> Vec<Finding> {
    let config = facts.config;
    let mut all = Vec::new();
    let opened: Vec<&str> = config.gateway.tools.allow.iter().map(String::as_str).collect();
    let opened: Vec<&str> = opened.into_iter().filter(|name| STRONG.contains(name)).collect();
    if !opened.is_empty() {
        all.push(found(
            "gateway.tools_invoke_http.dangerous_allow",
            Severity::when(facts.exposed),
            "Strong tools are open over HTTP",
            format!(
                "gateway.tools.allow takes {} off the list of what is denied.",
                opened.join(", ")
            ),
            "Remove them from gateway.tools.allow.",
        ));
    }
    let denied = &config.tools.lists.deny;
    let exec_on = config.exec.security != ExecSecurity::Deny && !denies(denied, "exec");
    if exec_on && config.exec.security == ExecSecurity::Full {
        let open = channels::groups(facts).0 > 0;
        all.push(found(
            "tools.exec.security_full_configured",
            Severity::when(open),
            "Agents run any command",
            "tools.exec.security is full: whatever an agent is talked into runs as this user.",
            "openclaw config set tools.exec.security allowlist",
        ));
    }
    let no_writing = ["write", "edit", "apply_patch"].iter().all(|tool| denies(denied, tool));
    if exec_on && no_writing {
        all.push(found(
            "tools.exec.fs_tools_disabled_but_exec_enabled",
            Severity::Warn,
            "Writing is denied, running commands is not",
            "tools.deny holds the tools that write, but a command writes as well.",
            "Deny exec too, or allow writing.",
        ));
    }
    if config.tools.lists.profile == Some(ToolProfile::Minimal) {
        let wider = |agent: &&Value| {
            let profile = agent.pointer("/tools/profile").and_then(Value::as_str);
            profile.is_some_and(|profile| profile != "minimal")
        };
        let listed = facts.at("/agents/list").as_array().into_iter().flatten();
        let entries = facts.at("/agents/entries").as_object().into_iter().flatten();
        if listed.chain(entries.map(|(_, agent)| agent)).any(|agent| wider(&agent)) {
            all.push(found(
                "tools.profile_minimal_overridden",
                Severity::Warn,
                "An agent has more than the minimal profile",
                "tools.profile is minimal, but an agent names another one.",
                "Remove tools.profile of that agent.",
            ));
        }
    }
    all.extend(elevated(facts));
    all
}

fn denies(list: &[String], tool: &str) -> bool {
    let group = match tool {
        "exec" | "process" => "group:runtime",
        _ => "group:fs",
    };
    list.iter().any(|entry| entry == tool || entry == group || entry == "*")
}

fn elevated(facts: &Facts<'_>) -> Vec<Finding> {
    const MANY: usize = 25;
    let mut all = Vec::new();
    let lists = facts.at("/tools/elevated/allowFrom").as_object();
    for (provider, list) in lists.into_iter().flatten() {
        let list = list.as_array().map_or(&[] as &[Value], Vec::as_slice);
        let key = format!("tools.elevated.allowFrom.{provider}");
        if list.iter().any(|entry| entry == "*") {
            let detail = format!("{key} holds \"*\": every sender is approved.");
            let title = "Everybody may use elevated tools";
            let id = format!("{key}.wildcard");
            all.push(found(id, Severity::Critical, title, detail, "List the senders."));
        } else if list.len() > MANY {
            let detail = format!("{key} has {} entries.", list.len());
            let title = "Many senders may use elevated tools";
            all.push(found(format!("{key}.large"), Severity::Warn, title, detail, "Shorten it."));
        }
    }
    all
}
