//! Which tools an agent has with a model, by configuration alone.
//!
//! ```text
//!  profile + alsoAllow -> provider's profile -> allow/deny -> provider's -> agent's -> agent's
//!  provider's -> switches of single tools
//! ```
//!
//! Each level takes away, none gives back; a deny wins over every allow. An agent's profile
//! stands instead of the global one; an unset profile takes nothing away, and so does `full`.
//! Entries are compared without case: a name, a `group:`, or a pattern with `*`. As documented,
//! allowing `write` allows `apply_patch`, and denying it does not deny that.
//!
//! `group:fs` also holds our `ls`, `find` and `grep`: who denies files means those too.

use super::{Section, TOOLS, Tool};
use crate::config::{Config, ToolLists, ToolPolicy, ToolProfile};
use std::collections::BTreeSet;

/// A model that a policy is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForModel<'a> {
    /// Provider id.
    pub provider: &'a str,
    /// Model id, without the provider.
    pub model: &'a str,
}

/// The tools of an agent, in the order of the table.
pub fn effective(config: &Config, agent: &str, model: Option<ForModel<'_>>) -> Vec<&'static Tool> {
    TOOLS.iter().filter(|tool| permits(config, agent, model, tool)).collect()
}

/// Whether an agent has a tool.
pub fn permits(config: &Config, agent: &str, model: Option<ForModel<'_>>, tool: &Tool) -> bool {
    let global = &config.tools;
    let none = ToolPolicy::default();
    let own = config.agents.agent(agent).map_or(&none, |agent| &agent.tools);
    let (by_global, by_own) = (of_provider(global, model), of_provider(own, model));
    let profile = own.lists.profile.or(global.lists.profile);
    let also = own.lists.also_allow.as_ref().or(global.lists.also_allow.as_ref());
    let provider_profile = by_own.profile.or(by_global.profile);
    let provider_also = by_own.also_allow.as_ref().or(by_global.also_allow.as_ref());
    let in_profile = |profile: Option<ToolProfile>, also: Option<&Vec<String>>| {
        profile.is_none_or(|profile| holds(profile, tool.name))
            || also.is_some_and(|also| names(also, tool.name))
    };
    in_profile(profile, also)
        && in_profile(provider_profile, provider_also)
        && [&global.lists, by_global, &own.lists, by_own].iter().all(|lists| passes(lists, tool))
        && is_on(config, own, model, tool)
}

/// Whether a tool passes each of these layers, which only take away.
pub fn within(layers: &[ToolLists], tool: &Tool) -> bool {
    layers.iter().all(|lists| passes(lists, tool))
}

/// The profile that an agent's tools start from: its own, the global one, else `full`.
pub fn profile_of(config: &Config, agent: &str) -> ToolProfile {
    let own = config.agents.agent(agent).and_then(|agent| agent.tools.lists.profile);
    own.or(config.tools.lists.profile).unwrap_or(ToolProfile::Full)
}

/// Profiles other than `full` that hold a tool, for the catalog.
pub fn profiles_with(tool: &Tool) -> impl Iterator<Item = ToolProfile> {
    let limited = ToolProfile::ALL.into_iter().filter(|profile| *profile != ToolProfile::Full);
    limited.filter(|profile| holds(*profile, tool.name))
}

/// `tools.fs.workspaceOnly` for an agent: whether its file tools are limited to its workspace.
pub fn workspace_only(config: &Config, agent: &str) -> bool {
    let own = config.agents.agent(agent).and_then(|agent| agent.tools.workspace_only);
    own.or(config.tools.workspace_only).unwrap_or(false)
}

/// The same for `apply_patch` alone, which is limited unless it is set free.
pub fn patch_workspace_only(config: &Config, agent: &str) -> bool {
    let own = config.agents.agent(agent).and_then(|agent| agent.tools.patch_workspace_only);
    own.or(config.tools.patch_workspace_only).unwrap_or(true)
}

/// Tools that are not called from outside by HTTP unless `gateway.tools.allow` names them, as
/// documented; names that are not built here stand for their day.
const DOOR_DENY: [&str; 12] = [
    "exec",
    "spawn",
    "shell",
    "fs_write",
    "fs_delete",
    "fs_move",
    "apply_patch",
    "sessions_spawn",
    "sessions_send",
    "cron",
    "gateway",
    "nodes",
];

/// Whether `POST /tools/invoke` may call a tool that the policy permits.
pub fn door_permits(config: &Config, tool: &Tool) -> bool {
    let door = &config.gateway.tools;
    let built_in = DOOR_DENY.contains(&tool.name) && !names(&door.allow, tool.name);
    !built_in && !names(&door.deny, tool.name)
}

/// Names in lists that no tool has, here or in the reference: `(key path, name)`, each once.
pub fn unknown_names(config: &Config) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut look = |path: String, lists: &ToolLists| {
        let also = lists.also_allow.iter().flatten();
        let all = [("allow", lists.allow.iter().collect::<Vec<_>>())];
        let rest = [("alsoAllow", also.collect()), ("deny", lists.deny.iter().collect())];
        for (key, list) in all.into_iter().chain(rest) {
            for name in list.into_iter().filter(|name| !is_known(name)) {
                found.push((format!("{path}.{key}"), name.clone()));
            }
        }
    };
    let mut scope = |path: &str, policy: &ToolPolicy| {
        look(path.to_owned(), &policy.lists);
        for (provider, lists) in &policy.by_provider {
            look(format!("{path}.byProvider.{provider}"), lists);
        }
    };
    scope("tools", &config.tools);
    for agent in &config.agents.list {
        scope(&format!("agents.{}.tools", agent.id), &agent.tools);
    }
    let door = ToolLists {
        allow: config.gateway.tools.allow.clone(),
        deny: config.gateway.tools.deny.clone(),
        ..ToolLists::default()
    };
    look("gateway.tools".to_owned(), &door);
    let mut seen = BTreeSet::new();
    found.retain(|one| seen.insert(one.clone()));
    found
}

/// The lists for a model: those of `provider/model`, else those of its provider.
fn of_provider<'a>(policy: &'a ToolPolicy, model: Option<ForModel<'_>>) -> &'a ToolLists {
    static NONE: ToolLists =
        ToolLists { profile: None, allow: Vec::new(), also_allow: None, deny: Vec::new() };
    let Some(ForModel { provider, model }) = model else { return &NONE };
    let full = format!("{provider}/{model}").to_lowercase();
    let by = &policy.by_provider;
    by.get(&full).or_else(|| by.get(&provider.to_lowercase())).unwrap_or(&NONE)
}

fn passes(lists: &ToolLists, tool: &Tool) -> bool {
    let allowed = lists.allow.is_empty()
        || names(&lists.allow, tool.name)
        || (tool.name == "apply_patch" && names(&lists.allow, "write"));
    allowed && !names(&lists.deny, tool.name)
}

/// Switches of single tools.
fn is_on(config: &Config, own: &ToolPolicy, model: Option<ForModel<'_>>, tool: &Tool) -> bool {
    match tool.name {
        "apply_patch" => {
            let models = own.patch_models.as_ref().or(config.tools.patch_models.as_ref());
            let fits = |wanted: &String| {
                model.is_some_and(|ForModel { provider, model }| {
                    let wanted = wanted.trim();
                    wanted.eq_ignore_ascii_case(model)
                        || wanted.eq_ignore_ascii_case(&format!("{provider}/{model}"))
                })
            };
            own.patch.or(config.tools.patch).unwrap_or(true)
                && models.is_none_or(|models| models.is_empty() || models.iter().any(fits))
        }
        "web_fetch" => config.web_fetch.enabled,
        _ => true,
    }
}

/// Whether an entry of a list names a tool.
fn names(list: &[String], tool: &str) -> bool {
    list.iter().any(|entry| {
        let entry = normal(entry);
        match entry.strip_prefix("group:") {
            Some(group) => in_group(group, tool),
            None => fits(&entry, tool),
        }
    })
}

fn normal(entry: &str) -> String {
    let entry = entry.trim().to_lowercase();
    match entry.as_str() {
        "bash" => "exec".to_owned(),
        "apply-patch" => "apply_patch".to_owned(),
        _ => entry,
    }
}

/// A pattern in which `*` is anything.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Groups and what they hold, as documented, our file tools added. `openclaw` is made of them.
const GROUPS: [(&str, &[&str]); 11] = [
    ("runtime", &["exec", "process", "code_execution"]),
    ("fs", &["read", "write", "edit", "apply_patch", "ls", "find", "grep"]),
    (
        "sessions",
        &[
            "sessions",
            "sessions_list",
            "sessions_history",
            "sessions_search",
            "conversations_list",
            "conversations_send",
            "conversations_turn",
            "sessions_send",
            "sessions_spawn",
            "sessions_yield",
            "subagents",
            "session_status",
            "suggest_task",
            "dismiss_task",
        ],
    ),
    ("memory", &["memory_search", "memory_get"]),
    ("web", &["web_search", "x_search", "web_fetch"]),
    (
        "ui",
        &["browser", "screen", "theme", "dashboard", "terminal", "portal", "canvas", "show_widget"],
    ),
    ("automation", &["heartbeat_respond", "automations", "cron", "gateway", "plugins", "openclaw"]),
    ("messaging", &["message"]),
    ("nodes", &["nodes", "computer"]),
    (
        "agents",
        &[
            "agents_list",
            "get_goal",
            "create_goal",
            "update_goal",
            "progress_card",
            "ask_user",
            "skill_workshop",
        ],
    ),
    ("media", &["view_image", "image_generate", "music_generate", "video_generate", "tts", "pdf"]),
];

/// Names of the reference that are in no group, and groups without a tool here.
const OTHERS: [&str; 7] =
    ["group:plugins", "bundle-mcp", "secrets", "intent", "image", "update_plan", "lobster"];

fn in_group(group: &str, tool: &str) -> bool {
    match group {
        // Everything built in but the tools that touch files and commands directly.
        "openclaw" => {
            let direct = ["fs", "runtime"].iter().any(|group| in_group(group, tool));
            !direct && tool != "canvas"
        }
        _ => GROUPS.iter().any(|(name, tools)| *name == group && tools.contains(&tool)),
    }
}

/// Profiles of the reference; names of its tools that are not built are left in for their day.
fn holds(profile: ToolProfile, tool: &str) -> bool {
    let (groups, single): (&[&str], &[&str]) = match profile {
        ToolProfile::Full => return true,
        ToolProfile::Minimal => (&[], &["session_status", "gateway"]),
        ToolProfile::Coding => (
            &["fs", "runtime", "web", "sessions", "memory", "media"],
            &[
                "cron",
                "gateway",
                "get_goal",
                "create_goal",
                "update_goal",
                "progress_card",
                "ask_user",
                "skill_workshop",
            ],
        ),
        ToolProfile::Messaging => (
            &["messaging"],
            &[
                "sessions",
                "sessions_list",
                "sessions_history",
                "sessions_search",
                "conversations_list",
                "conversations_send",
                "conversations_turn",
                "sessions_send",
                "sessions_spawn",
                "sessions_yield",
                "subagents",
                "session_status",
                "gateway",
                "ask_user",
            ],
        ),
    };
    single.contains(&tool) || groups.iter().any(|group| in_group(group, tool))
}

fn is_known(entry: &str) -> bool {
    let entry = normal(entry);
    let named = |name: &str| match entry.strip_prefix("group:") {
        Some(group) => group == "openclaw" || GROUPS.iter().any(|(known, _)| *known == group),
        None => fits(&entry, name),
    };
    OTHERS.contains(&entry.as_str())
        || DOOR_DENY.contains(&entry.as_str())
        || TOOLS.iter().any(|tool| named(tool.name))
        || GROUPS.iter().any(|(_, tools)| tools.iter().any(|tool| named(tool)))
}

/// Section headings of `tools.catalog`: id and label.
pub const fn section_label(section: Section) -> (&'static str, &'static str) {
    match section {
        Section::Fs => ("fs", "Files"),
        Section::Runtime => ("runtime", "Runtime"),
        Section::Web => ("web", "Web"),
        Section::Memory => ("memory", "Memory"),
        Section::Sessions => ("sessions", "Sessions"),
        Section::Messaging => ("messaging", "Messaging"),
        Section::Agents => ("agents", "Agents"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Agent;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    fn lists(profile: Option<ToolProfile>, allow: &[&str], deny: &[&str]) -> ToolLists {
        ToolLists { profile, allow: texts(allow), also_allow: None, deny: texts(deny) }
    }

    fn config(global: ToolPolicy, own: ToolPolicy) -> Config {
        let mut config = Config::defaults();
        config.tools = global;
        let agent = Agent { id: "main".to_owned(), tools: own, ..Agent::default() };
        config.agents.list = vec![agent];
        config
    }

    fn has(config: &Config, model: Option<ForModel<'_>>, name: &str) -> bool {
        effective(config, "main", model).iter().any(|tool| tool.name == name)
    }

    #[test]
    fn lists_of_one_scope() {
        use ToolProfile::{Coding, Full, Messaging, Minimal};
        let table: [(ToolLists, &[&str], &[&str]); 12] = [
            (ToolLists::default(), &["read", "message", "session_status"], &[]),
            (lists(Some(Full), &[], &[]), &["read", "message"], &[]),
            (
                lists(Some(Minimal), &[], &[]),
                &["session_status"],
                &["read", "message", "web_fetch"],
            ),
            (lists(Some(Coding), &[], &[]), &["read", "grep", "web_fetch"], &["message"]),
            (
                lists(Some(Messaging), &[], &[]),
                &["message", "sessions_send"],
                &["read", "write", "web_fetch"],
            ),
            (lists(None, &["READ", " group:web "], &[]), &["read", "web_fetch"], &["write"]),
            (lists(None, &["write"], &[]), &["write", "apply_patch"], &["read"]),
            (lists(None, &[], &["write"]), &["apply_patch", "read"], &["write"]),
            (lists(None, &["*"], &["session*"]), &["read"], &["session_status", "sessions_list"]),
            (lists(None, &["read"], &["group:fs"]), &[], &["read", "ls", "apply_patch"]),
            (lists(None, &[], &["group:openclaw"]), &["read", "write"], &["message", "web_fetch"]),
            (lists(Some(Minimal), &["read"], &[]), &[], &["read", "session_status"]),
        ];
        for (lists, there, gone) in table {
            let config = config(
                ToolPolicy { lists: lists.clone(), ..Default::default() },
                Default::default(),
            );
            for name in there {
                assert!(has(&config, None, name), "{name} by {lists:?}");
            }
            for name in gone {
                assert!(!has(&config, None, name), "{name} by {lists:?}");
            }
        }
        let also = ToolLists {
            profile: Some(Minimal),
            also_allow: Some(texts(&["read"])),
            ..ToolLists::default()
        };
        let config = config(ToolPolicy { lists: also, ..Default::default() }, Default::default());
        assert!(has(&config, None, "read") && has(&config, None, "session_status"));
        assert!(!has(&config, None, "write"));
    }

    #[test]
    fn agents_and_providers_take_away() {
        let mini = ForModel { provider: "Small", model: "mini" };
        let other = ForModel { provider: "small", model: "other" };
        let by_provider = [
            ("small".to_owned(), lists(Some(ToolProfile::Minimal), &[], &[])),
            ("small/mini".to_owned(), lists(None, &["read", "write"], &[])),
        ];
        let global = ToolPolicy { by_provider: by_provider.into(), ..ToolPolicy::default() };
        let own = ToolPolicy {
            lists: lists(None, &[], &["write"]),
            by_provider: [("big".to_owned(), lists(None, &[], &["*"]))].into(),
            ..ToolPolicy::default()
        };
        let config = config(global, own);
        assert!(has(&config, Some(mini), "read") && !has(&config, Some(mini), "write"));
        assert!(!has(&config, Some(other), "read") && has(&config, Some(other), "session_status"));
        assert!(has(&config, None, "read") && !has(&config, None, "write"));
        let big = ForModel { provider: "big", model: "x" };
        assert_eq!(effective(&config, "main", Some(big)).len(), 0);
        let global = ToolPolicy {
            lists: lists(Some(ToolProfile::Minimal), &[], &[]),
            ..ToolPolicy::default()
        };
        let own = ToolPolicy {
            lists: lists(Some(ToolProfile::Coding), &[], &[]),
            ..ToolPolicy::default()
        };
        let config = super::tests::config(global, own);
        assert!(has(&config, None, "read"), "the agent's profile stands instead");
        assert!(!effective(&config, "other", None).iter().any(|tool| tool.name == "read"));
    }

    #[test]
    fn apply_patch_has_switches() {
        let model = ForModel { provider: "openai", model: "gpt" };
        let other = ForModel { provider: "x", model: "y" };
        let with = |policy: ToolPolicy| config(policy, ToolPolicy::default());
        let off = with(ToolPolicy { patch: Some(false), ..Default::default() });
        assert!(!has(&off, Some(model), "apply_patch"));
        for id in ["gpt", "openai/GPT"] {
            let some = with(ToolPolicy { patch_models: Some(texts(&[id])), ..Default::default() });
            assert!(has(&some, Some(model), "apply_patch"), "{id}");
            assert!(!has(&some, Some(other), "apply_patch") && !has(&some, None, "apply_patch"));
        }
        let plain = Config::defaults();
        assert!(patch_workspace_only(&plain, "main") && !workspace_only(&plain, "main"));
        let own = ToolPolicy {
            workspace_only: Some(true),
            patch_workspace_only: Some(false),
            ..Default::default()
        };
        let config = config(ToolPolicy::default(), own);
        assert!(workspace_only(&config, "main") && !workspace_only(&config, "other"));
        assert!(!patch_workspace_only(&config, "main"));
    }

    #[test]
    fn the_door_denies_what_is_documented() {
        let mut config = Config::defaults();
        let tool = |name| super::super::find(name).expect(name);
        assert!(!door_permits(&config, tool("apply_patch")));
        assert!(!door_permits(&config, tool("sessions_send")));
        assert!(door_permits(&config, tool("read")));
        config.gateway.tools.allow = texts(&["apply_patch"]);
        config.gateway.tools.deny = texts(&["group:web"]);
        assert!(door_permits(&config, tool("apply_patch")));
        assert!(!door_permits(&config, tool("web_fetch")));
    }

    #[test]
    fn unknown_names_are_told() {
        let global = ToolPolicy {
            lists: lists(None, &["read", "raed", "group:fs", "group:sf"], &["browser", "x*", "w*"]),
            ..ToolPolicy::default()
        };
        let own = ToolPolicy { lists: lists(None, &[], &["nope", "nope"]), ..Default::default() };
        let told = unknown_names(&config(global, own));
        let told: Vec<_> = told.iter().map(|(path, name)| format!("{path} {name}")).collect();
        let want = ["tools.allow raed", "tools.allow group:sf", "agents.main.tools.deny nope"];
        assert_eq!(told, want, "x* is x_search");
    }
}
