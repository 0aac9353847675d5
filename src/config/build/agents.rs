//! Sections `agents` and `skills` of the snapshot.

use super::super::agents::{
    Agent, AgentDefaults, Agents, Compaction, Identity, Injection, Profile,
};
use super::super::heartbeat;
use super::super::paths::Paths;
use super::super::skills::{SkillEntry, Skills};
use super::{At, agent_id};
use serde_json::Value;
use std::path::PathBuf;

pub(super) fn agents(at: At<'_>, paths: &Paths) -> Agents {
    let unset = Agents::default().defaults;
    let defaults = at.get("defaults");
    let aliases = defaults.get("models").entries();
    let listed = at.get("list").items().map(|at| (at.get("id").text().unwrap_or_default(), at));
    let entries = at.get("entries").entries().map(|(id, at)| (id.to_owned(), at));
    let shared = defaults.get("heartbeat").value;
    let turn_seconds = defaults.get("timeoutSeconds").number();
    Agents {
        defaults: AgentDefaults {
            workspace: path(defaults.get("workspace"), paths),
            workspace_dir: workspace_dir(at, paths),
            model: defaults.get("model").model().unwrap_or_default(),
            image_model: defaults.get("imageModel").model().unwrap_or_default(),
            aliases: aliases
                .filter_map(|(model, at)| Some((model.to_owned(), at.get("alias").text()?)))
                .collect(),
            timeout_seconds: defaults
                .get("timeoutSeconds")
                .number()
                .unwrap_or(unset.timeout_seconds),
            max_concurrent: defaults
                .get("maxConcurrent")
                .number()
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(unset.max_concurrent),
            system_agent: defaults
                .get("systemAgent")
                .get("agentId")
                .text()
                .and_then(|id| agent_id(&id)),
            skip_bootstrap: defaults.get("skipBootstrap").flag(false),
            skip_files: defaults.get("skipOptionalBootstrapFiles").texts(),
            repo_root: path(defaults.get("repoRoot"), paths),
            user_timezone: defaults.get("userTimezone").text(),
            compaction: compaction(defaults.get("compaction")),
            heartbeat: heartbeat::resolve(&Value::Null, shared, turn_seconds),
            heartbeat_agent: shared.get("agentId").and_then(Value::as_str).and_then(agent_id),
            profile: profile(defaults),
        },
        by_entries: at.get("list").items().next().is_none() && !at.get("entries").is_null(),
        list: listed
            .chain(entries)
            .filter_map(|(id, at)| {
                Some(Agent {
                    id: agent_id(&id)?,
                    default: at.get("default").flag(false),
                    name: at.get("name").text(),
                    description: at.get("description").text(),
                    workspace: path(at.get("workspace"), paths),
                    model: at.get("model").model(),
                    identity: identity(at.get("identity")),
                    heartbeat: Some(at.get("heartbeat").value)
                        .filter(|own| !own.is_null())
                        .map(|own| heartbeat::resolve(own, shared, turn_seconds)),
                    profile: profile(at),
                    tools: super::tool_policy::policy(at.get("tools")),
                    group_chat: super::group_chat(at.get("groupChat")),
                })
            })
            .collect(),
    }
}

fn compaction(at: At<'_>) -> Compaction {
    let unset = Compaction::default();
    Compaction {
        enabled: at.get("enabled").flag(unset.enabled),
        reserve_tokens: at.get("reserveTokens").number(),
        keep_recent_tokens: at.get("keepRecentTokens").number().unwrap_or(unset.keep_recent_tokens),
        model: at.get("model").text().filter(|model| !model.is_empty()),
    }
}

/// `OPENCLAW_WORKSPACE_DIR`; what is blank is not set.
fn workspace_dir(at: At<'_>, paths: &Paths) -> Option<PathBuf> {
    let named = at.env.get("OPENCLAW_WORKSPACE_DIR").map(|dir| dir.trim());
    named.filter(|dir| !dir.is_empty()).map(|dir| paths.expand(dir))
}

/// A path that is not empty, `~` expanded.
fn path(at: At<'_>, paths: &Paths) -> Option<PathBuf> {
    let text = at.text()?;
    let text = text.trim();
    (!text.is_empty()).then(|| paths.expand(text))
}

fn identity(at: At<'_>) -> Identity {
    let part = |key| at.get(key).text().map(|text| text.trim().to_owned());
    let part = |key| part(key).filter(|text: &String| !text.is_empty());
    Identity {
        name: part("name"),
        theme: part("theme"),
        emoji: part("emoji"),
        avatar: part("avatar"),
    }
}

fn profile(at: At<'_>) -> Profile {
    let object = |at: At<'_>| at.value.as_object().cloned().unwrap_or_default();
    let count = |at: At<'_>| at.number().and_then(|count| usize::try_from(count).ok());
    let models = at.get("models").entries();
    Profile {
        skills: at.get("skills").value.is_array().then(|| at.get("skills").texts()),
        params: object(at.get("params")),
        model_params: models
            .map(|(model, at)| (model.to_owned(), object(at.get("params"))))
            .filter(|(_, params)| !params.is_empty())
            .collect(),
        thinking: at.get("thinkingDefault").text(),
        context_tokens: at.get("contextTokens").number(),
        bootstrap_max_chars: count(at.get("bootstrapMaxChars")),
        bootstrap_total_max_chars: count(at.get("bootstrapTotalMaxChars")),
        injection: at.get("contextInjection").value.as_str().map(|word| match word {
            "never" => Injection::Never,
            _ => Injection::Always,
        }),
        skills_chars: count(at.get("skillsLimits").get("maxSkillsPromptChars")),
    }
}

pub(super) fn skills(at: At<'_>, paths: &Paths) -> Skills {
    let chars = at.get("limits").get("maxSkillsPromptChars").number();
    let dirs = |key| {
        let dirs = at.get("load").get(key).items();
        dirs.filter_map(|dir| path(dir, paths)).collect()
    };
    Skills {
        extra_dirs: dirs("extraDirs"),
        outside: dirs("allowSymlinkTargets"),
        prompt_chars: chars.and_then(|chars| usize::try_from(chars).ok()),
        entries: at
            .get("entries")
            .entries()
            .map(|(key, at)| {
                let env = at.get("env").entries();
                let entry = SkillEntry {
                    enabled: at.get("enabled").flag(true),
                    api_key: at.get("apiKey").secret(),
                    env: env
                        .filter_map(|(name, at)| Some((name.to_owned(), at.secret()?)))
                        .collect(),
                };
                (key.to_owned(), entry)
            })
            .collect(),
    }
}
