use super::*;
use crate::config::{Flags, load};
use std::collections::BTreeMap;
use std::path::Path;

struct Text(&'static str);

impl crate::config::Source for Text {
    fn read(&self, path: &Path) -> std::io::Result<Option<Vec<u8>>> {
        Ok(path.ends_with("openclaw.json").then(|| self.0.as_bytes().to_vec()))
    }
    fn digest(&self, _: &[u8]) -> String {
        String::new()
    }
}

fn args() -> Args {
    let words = ["security", "audit"].map(std::ffi::OsString::from);
    match super::super::table::parse(words) {
        Ok(super::super::table::Parsed::Run(args)) => args,
        other => panic!("{other:?}"),
    }
}

/// Ids and severities of the pure judgements.
fn judged(text: &'static str) -> Vec<(String, Severity)> {
    let env = BTreeMap::from([("HOME".to_owned(), "/no/such/home".to_owned())]);
    let paths = Paths::resolve(&env, &Flags::default()).unwrap();
    let loaded = load(&Text(text), &env, &paths).unwrap_or_else(|error| panic!("{error}"));
    let facts = Facts::of(&args(), &loaded, &paths);
    let mut all = exposure::judge(&facts);
    all.extend(hooks::judge(&facts));
    all.extend(tools::judge(&facts));
    all.extend(channels::judge(&facts));
    let (left, suppressed) = suppress(&facts, all);
    assert!(suppressed.iter().all(|one| !left.contains(one)));
    left.into_iter().map(|one| (one.id, one.severity)).collect()
}

fn has(text: &'static str, id: &str, severity: Severity) {
    let found = judged(text);
    assert!(found.contains(&(id.to_owned(), severity)), "{text}: {id} in {found:?}");
}

const LONG: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn each_setting_has_its_finding() {
    use Severity::{Critical, Info, Warn};
    for (text, id, severity) in [
        ("{gateway: {auth: {mode: 'none'}}}", "gateway.loopback_no_auth", Critical),
        ("{gateway: {auth: {mode: 'none'}}}", "gateway.http.no_auth", Warn),
        ("{gateway: {bind: 'lan', auth: {mode: 'none'}}}", "gateway.bind_no_auth", Critical),
        ("{gateway: {bind: 'lan', auth: {mode: 'none'}}}", "gateway.http.no_auth", Critical),
        ("{gateway: {auth: {token: 'short'}}}", "gateway.token_too_short", Warn),
        ("{gateway: {auth: {token: 'undefined'}}}", "gateway.token_placeholder_value", Critical),
        ("{gateway: {auth: {password: 'x'}}}", "gateway.password_too_short", Warn),
        ("{gateway: {auth: {password: 'x'}}}", "config.secrets.gateway_password_in_config", Warn),
        ("{gateway: {allowRealIpFallback: true}}", "gateway.real_ip_fallback_enabled", Warn),
        ("{}", "gateway.trusted_proxies_missing", Warn),
        (
            "{gateway: {controlUi: {allowedOrigins: ['*']}}}",
            "gateway.control_ui.allowed_origins_wildcard",
            Warn,
        ),
        (
            "{gateway: {nodes: {commands: {allow: ['camera.snap']}}}}",
            "gateway.nodes.allow_commands_dangerous",
            Warn,
        ),
        (
            "{gateway: {nodes: {commands: {deny: ['system.*']}}}}",
            "gateway.nodes.deny_commands_ineffective",
            Warn,
        ),
        (
            "{gateway: {tools: {allow: ['exec']}}}",
            "gateway.tools_invoke_http.dangerous_allow",
            Warn,
        ),
        (
            "{tools: {web: {fetch: {ssrfPolicy: {dangerouslyAllowPrivateNetwork: true}}}}}",
            "config.insecure_or_dangerous_flags",
            Warn,
        ),
        ("{tools: {exec: {security: 'full'}}}", "tools.exec.security_full_configured", Warn),
        (
            "{tools: {deny: ['write', 'edit', 'apply_patch'], exec: {security: 'allowlist'}}}",
            "tools.exec.fs_tools_disabled_but_exec_enabled",
            Warn,
        ),
        (
            "{tools: {profile: 'minimal'}, agents: {list: [{id: 'a', tools: {profile: 'full'}}]}}",
            "tools.profile_minimal_overridden",
            Warn,
        ),
        ("{channels: {telegram: {dmPolicy: 'open'}}}", "channels.telegram.dm.open", Critical),
        ("{channels: {telegram: {dmPolicy: 'open'}}}", "channels.telegram.dm.open_invalid", Warn),
        (
            "{channels: {telegram: {allowFrom: ['1', '2']}}}",
            "channels.telegram.dm.scope_main_multiuser",
            Warn,
        ),
        (
            "{channels: {telegram: {groupPolicy: 'open'}}, tools: {exec: {security: 'full'}}}",
            "security.exposure.open_channels_with_exec",
            Critical,
        ),
        ("{session: {groupScope: 'main'}}", "security.trust_model.group_scope_main", Warn),
        ("{discovery: {mdns: {mode: 'full'}}}", "discovery.mdns_full_mode", Warn),
        (
            "{security: {audit: {suppressions: [{checkId: 'gateway.trusted_proxies_missing'}]}}}",
            "security.audit.suppressions.active",
            Info,
        ),
    ] {
        has(text, id, severity);
    }
}

#[test]
fn hooks_are_judged_when_they_are_on() {
    use Severity::{Critical, Warn};
    let on = "{gateway: {auth: {token: 'same'}}, hooks: {enabled: true, token: 'other', \
              allowRequestSessionKey: true}}";
    for (id, severity) in [
        ("hooks.token_too_short", Warn),
        ("hooks.default_session_key_unset", Warn),
        ("hooks.allowed_agent_ids_unrestricted", Warn),
        ("hooks.request_session_key_enabled", Warn),
        ("hooks.request_session_key_prefixes_missing", Warn),
    ] {
        has(on, id, severity);
    }
    assert!(judged(on).iter().all(|(id, _)| id != "hooks.token_reuse_gateway_token"));
    let _ = Critical;
}

#[test]
fn a_narrow_configuration_is_quiet() {
    let text = "{gateway: {auth: {token: '0123456789abcdef0123456789abcdef'}, \
                trustedProxies: ['127.0.0.1']}, tools: {exec: {security: 'deny'}}}";
    assert!(text.contains(LONG));
    assert_eq!(judged(text), []);
}

#[test]
fn what_is_accepted_is_taken_out_by_its_words_only() {
    let one = "{security: {audit: {suppressions: [{checkId: 'gateway.trusted_proxies_missing', \
               detailIncludes: 'TRUSTEDPROXIES IS EMPTY'}]}}}";
    let ids: Vec<String> = judged(one).into_iter().map(|(id, _)| id).collect();
    assert!(!ids.iter().any(|id| id == "gateway.trusted_proxies_missing"), "{ids:?}");
    let other = "{security: {audit: {suppressions: [{checkId: 'gateway.trusted_proxies_missing', \
                 titleIncludes: 'something else'}]}}}";
    has(other, "gateway.trusted_proxies_missing", Severity::Warn);
}
