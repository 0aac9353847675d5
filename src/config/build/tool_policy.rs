//! Sections `tools`, `agents.list[].tools` and `gateway.tools` as policies.

use super::super::tool_policy::{Loops, ToolLists, ToolPolicy, ToolProfile};
use super::At;

pub(super) fn policy(at: At<'_>) -> ToolPolicy {
    let patch = at.get("exec").get("applyPatch");
    let loops = at.get("loopDetection");
    let count = |key| loops.get(key).number().and_then(|count| u32::try_from(count).ok());
    let providers = at.get("byProvider").entries();
    let models = patch.get("allowModels");
    ToolPolicy {
        lists: lists(at),
        by_provider: providers.map(|(id, at)| (id.trim().to_lowercase(), lists(at))).collect(),
        workspace_only: at.get("fs").get("workspaceOnly").value.as_bool(),
        patch: patch.get("enabled").value.as_bool(),
        patch_workspace_only: patch.get("workspaceOnly").value.as_bool(),
        patch_models: models.value.is_array().then(|| models.texts()),
        by_sender: at.get("toolsBySender").value.clone(),
        loops: Loops {
            enabled: loops.get("enabled").value.as_bool(),
            warning: count("warningThreshold"),
            critical: count("criticalThreshold"),
            history: count("historySize"),
        },
    }
}

fn lists(at: At<'_>) -> ToolLists {
    let also = at.get("alsoAllow");
    ToolLists {
        profile: at.get("profile").value.as_str().and_then(ToolProfile::from_word),
        allow: at.get("allow").texts(),
        also_allow: also.value.is_array().then(|| also.texts()),
        deny: at.get("deny").texts(),
    }
}
