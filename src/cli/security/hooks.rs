//! Webhooks: who may start work from outside.

use super::{Facts, Finding, Severity, found};
use crate::limits;

/// Judgements about `hooks`.
pub fn judge(facts: &Facts<'_>) -> Vec<Finding> {
    let hooks = &facts.config.hooks;
    if !hooks.enabled {
        return Vec::new();
    }
    let mut all = Vec::new();
    if let Some(token) = &hooks.token {
        let same = |other: &Option<crate::config::Secret>| {
            other.as_ref().is_some_and(|other| other.expose() == token.expose())
        };
        if same(&facts.token) || same(&facts.password) {
            all.push(found(
                "hooks.token_reuse_gateway_token",
                Severity::Critical,
                "hooks.token is the gateway's own secret",
                "Whoever may start a hook may do everything.",
                "openclaw config set hooks.token <another secret>",
            ));
        }
        if token.expose().chars().count() < limits::SECRET_CHARS_LOW {
            all.push(found(
                "hooks.token_too_short",
                Severity::Warn,
                "hooks.token is short",
                format!("It has fewer than {} characters.", limits::SECRET_CHARS_LOW),
                "openclaw config set hooks.token <a longer one>",
            ));
        }
    }
    if hooks.path.trim_end_matches('/').is_empty() {
        all.push(found(
            "hooks.path_root",
            Severity::Critical,
            "Hooks answer at the root",
            "hooks.path is \"/\": every request is taken for one.",
            "openclaw config set hooks.path /hooks",
        ));
    }
    if hooks.default_session_key.is_none() {
        all.push(found(
            "hooks.default_session_key_unset",
            Severity::Warn,
            "Each hook gets a session of its own",
            "hooks.defaultSessionKey is not set.",
            "openclaw config set hooks.defaultSessionKey hook:ingress",
        ));
    }
    if hooks.allowed_agent_ids.as_ref().is_none_or(|ids| ids.iter().any(|id| id == "*")) {
        all.push(found(
            "hooks.allowed_agent_ids_unrestricted",
            Severity::when(facts.exposed),
            "Hooks reach every agent",
            "hooks.allowedAgentIds is not set, or holds \"*\".",
            "openclaw config set hooks.allowedAgentIds '[\"<agent>\"]'",
        ));
    }
    if hooks.allow_request_session_key {
        all.push(found(
            "hooks.request_session_key_enabled",
            Severity::when(facts.exposed),
            "Requests may name a session",
            "hooks.allowRequestSessionKey is on: a hook may write into any session it can name.",
            "openclaw config unset hooks.allowRequestSessionKey",
        ));
        if hooks.allowed_session_key_prefixes.is_empty() {
            all.push(found(
                "hooks.request_session_key_prefixes_missing",
                Severity::when(facts.exposed),
                "Which session is not limited",
                "hooks.allowedSessionKeyPrefixes is empty.",
                "openclaw config set hooks.allowedSessionKeyPrefixes '[\"hook:\"]'",
            ));
        }
    }
    all
}
