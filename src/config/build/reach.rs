//! What [`Reach`] is built from.

use super::At;
use crate::config::reach::{Reach, Visibility};

pub(super) fn reach(root: At<'_>) -> Reach {
    let unset = Reach::default();
    let tools = root.get("tools");
    let word = tools.get("sessions").get("visibility").text();
    let across = tools.get("agentToAgent");
    let subagents = root.get("agents").get("defaults").get("subagents");
    Reach {
        visibility: word.and_then(|w| Visibility::from_word(&w)).unwrap_or(unset.visibility),
        across: across.get("enabled").flag(unset.across),
        across_allow: across.get("allow").texts(),
        subagent_model: subagents.get("model").model().unwrap_or_default(),
        subagent_agents: subagents.get("allowAgents").texts(),
        subagents_max: subagents
            .get("maxConcurrent")
            .number()
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(unset.subagents_max),
        subagent_timeout_seconds: subagents.get("runTimeoutSeconds").number().unwrap_or_default(),
    }
}
