//! Who can reach the port, and what he must show.

use super::{Facts, Finding, Severity, found};
use crate::cli::doctor::Fault;
use crate::config::{AuthMode, Secret};

/// Judgements about `gateway`.
pub fn judge(facts: &Facts<'_>) -> Vec<Finding> {
    let mut all = auth(facts);
    all.extend(secrets(facts));
    all.extend(proxies(facts));
    all.extend(page(facts));
    all.extend(nodes(facts));
    if facts.at("/discovery/mdns/mode") == "full" {
        all.push(found(
            "discovery.mdns_full_mode",
            Severity::when(facts.exposed),
            "Discovery tells more than it must",
            "discovery.mdns.mode is full: TXT records name paths and ports of this host.",
            "Set discovery.mdns.mode to minimal or off.",
        ));
    }
    let mut flags = Vec::new();
    dangerous(facts.file, "", &mut flags);
    all.extend(flags.into_iter().map(|path| {
        found(
            "config.insecure_or_dangerous_flags",
            Severity::Warn,
            "A break-glass setting is on",
            format!("{path}=true"),
            format!("openclaw config unset {path}, when it is not needed any more."),
        )
    }));
    all
}

fn auth(facts: &Facts<'_>) -> Vec<Finding> {
    let mut all = Vec::new();
    if !facts.guarded() && facts.exposed {
        all.push(found(
            "gateway.bind_no_auth",
            Severity::Critical,
            "Gateway is open beyond this machine without auth",
            "gateway.bind is not loopback and callers need show nothing.",
            "Set gateway.auth.mode to token, or gateway.bind to loopback.",
        ));
    } else if !facts.guarded() {
        all.push(found(
            "gateway.loopback_no_auth",
            Severity::Critical,
            "Gateway auth missing on loopback",
            "Every program of this machine may use the gateway, and so may whoever comes through a \
             reverse proxy on it.",
            "openclaw doctor --fix --generate-gateway-token",
        ));
    }
    if facts.mode == AuthMode::None {
        all.push(found(
            "gateway.http.no_auth",
            Severity::when(facts.exposed),
            "HTTP APIs are reachable without auth",
            "gateway.auth.mode is none: /tools/invoke and /v1/* answer everybody who reaches them.",
            "Set gateway.auth.mode to token or password.",
        ));
    }
    if facts.mode != AuthMode::TrustedProxy {
        return all;
    }
    all.push(found(
        "gateway.trusted_proxy_auth",
        Severity::Critical,
        "A reverse proxy decides who comes in",
        "gateway.auth.mode is trusted-proxy: whoever reaches the port from a trusted address and \
         names a user is that user.",
        "Make the proxy the only way to the port, and have it drop the header of its callers.",
    ));
    let gateway = &facts.config.gateway;
    if gateway.proxies.trusted.is_empty() {
        all.push(found(
            "gateway.trusted_proxy_no_proxies",
            Severity::Critical,
            "No proxy is trusted",
            "gateway.trustedProxies is empty: nobody gets in.",
            "Set it to the address of your reverse proxy.",
        ));
    }
    let Some(proxy) = &gateway.auth.trusted_proxy else {
        all.push(found(
            "gateway.trusted_proxy_no_user_header",
            Severity::Critical,
            "The header with the user is not named",
            "gateway.auth.trustedProxy.userHeader is not set.",
            "Set it to the header in which your proxy names the user.",
        ));
        return all;
    };
    if proxy.allow_users.is_empty() {
        all.push(found(
            "gateway.trusted_proxy_no_allowlist",
            Severity::Warn,
            "Every user of the proxy comes in",
            "gateway.auth.trustedProxy.allowUsers is empty.",
            "List the users.",
        ));
    }
    if proxy.allow_loopback {
        all.push(found(
            "gateway.trusted_proxy_allow_loopback",
            Severity::Warn,
            "Programs of this machine can speak as the proxy",
            "gateway.auth.trustedProxy.allowLoopback is on: each of them can name a user.",
            "Let the proxy come from an address of its own.",
        ));
    }
    all
}

fn secrets(facts: &Facts<'_>) -> Vec<Finding> {
    let fault = |secret: &Option<Secret>| Fault::of(secret.as_ref()?.expose());
    let mut all = Vec::new();
    let both = [("token", fault(&facts.token)), ("password", fault(&facts.password))];
    for (name, fault) in both {
        let Some(fault) = fault else { continue };
        let (id, severity, title, detail) = match fault {
            Fault::Placeholder => {
                let detail = format!("gateway.auth.{name} is a placeholder that everybody knows.");
                ("placeholder_value", Severity::Critical, "Placeholder instead of a secret", detail)
            }
            Fault::Short => {
                let low = crate::limits::SECRET_CHARS_LOW;
                let detail = format!("gateway.auth.{name} has fewer than {low} characters.");
                ("too_short", Severity::Warn, "Short secret", detail)
            }
        };
        let remedy = "openclaw doctor --fix --generate-gateway-token";
        all.push(found(format!("gateway.{name}_{id}"), severity, title, detail, remedy));
    }
    let written = |pointer: &str| {
        let text = facts.config.source.authored.pointer(pointer).and_then(|it| it.as_str());
        text.is_some_and(|text| !text.is_empty() && !crate::config::is_reference(text))
    };
    for (pointer, id, key) in [
        ("/gateway/auth/password", "gateway_password_in_config", "gateway.auth.password"),
        ("/hooks/token", "hooks_token_in_config", "hooks.token"),
    ] {
        if written(pointer) {
            all.push(found(
                format!("config.secrets.{id}"),
                Severity::Warn,
                "A secret is written into the configuration",
                format!("{key} is plain text."),
                format!("Keep it elsewhere and set {key} to a SecretRef or ${{VAR}}."),
            ));
        }
    }
    all
}

fn proxies(facts: &Facts<'_>) -> Vec<Finding> {
    let gateway = &facts.config.gateway;
    let mut all = Vec::new();
    if gateway.proxies.real_ip_fallback {
        all.push(found(
            "gateway.real_ip_fallback_enabled",
            Severity::when(facts.exposed),
            "X-Real-IP is believed",
            "gateway.allowRealIpFallback is on: a proxy that passes the header through lets callers \
             choose their address.",
            "Have the proxy send X-Forwarded-For and unset gateway.allowRealIpFallback.",
        ));
    }
    if !facts.exposed && gateway.control_ui.enabled && gateway.proxies.trusted.is_empty() {
        all.push(found(
            "gateway.trusted_proxies_missing",
            Severity::Warn,
            "Reverse proxy headers are not trusted",
            "gateway.bind is loopback and gateway.trustedProxies is empty. Behind a reverse proxy \
             every caller would come from the proxy's address.",
            "Set gateway.trustedProxies to your proxy's address, or keep the page local.",
        ));
    }
    all
}

fn page(facts: &Facts<'_>) -> Vec<Finding> {
    let origins = &facts.config.gateway.control_ui.allowed_origins;
    if !origins.iter().any(|origin| origin == "*") {
        return Vec::new();
    }
    vec![found(
        "gateway.control_ui.allowed_origins_wildcard",
        Severity::when(facts.exposed),
        "Every web page may call the gateway",
        "gateway.controlUi.allowedOrigins holds \"*\".",
        "List the origins that serve the control page.",
    )]
}

/// What watches or changes things at whoever carries the node (command-policy.md).
const PRIVACY: [&str; 10] = [
    "camera.snap",
    "camera.clip",
    "camera.ptz.control",
    "screen.record",
    "contacts.add",
    "calendar.add",
    "reminders.add",
    "health.summary",
    "sms.send",
    "sms.search",
];

fn nodes(facts: &Facts<'_>) -> Vec<Finding> {
    let policy = &facts.config.gateway.nodes;
    let mut all = Vec::new();
    let opened: Vec<&str> = policy
        .allow
        .iter()
        .map(String::as_str)
        .filter(|name| PRIVACY.contains(name) && !policy.deny.iter().any(|deny| deny == name))
        .collect();
    if !opened.is_empty() {
        all.push(found(
            "gateway.nodes.allow_commands_dangerous",
            Severity::when(facts.exposed),
            "Privacy-heavy node commands are allowed",
            format!("gateway.nodes.commands.allow holds {}.", opened.join(", ")),
            "Remove those that are not used.",
        ));
    }
    let odd = |name: &&String| {
        !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    let odd: Vec<&str> = policy.deny.iter().filter(odd).map(String::as_str).collect();
    if !odd.is_empty() {
        all.push(found(
            "gateway.nodes.deny_commands_ineffective",
            Severity::Warn,
            "Denied node commands that match nothing",
            format!("Names are matched exactly; these are no names: {}.", odd.join(", ")),
            "Write whole command names such as system.run.",
        ));
    }
    all
}

/// Paths of `dangerous…` and `dangerously…` settings that are on, and of their kin.
fn dangerous(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    const KIN: [&str; 3] = ["allowInsecureAuth", "allowUnsafeExternalContent", "allowInsecurePath"];
    let Some(object) = value.as_object() else {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            dangerous(item, &format!("{path}[{index}]"), found);
        }
        return;
    };
    for (key, value) in object {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let named = key.starts_with("dangerous") || KIN.contains(&key.as_str());
        if named && value == true {
            found.push(path.clone());
        }
        dangerous(value, &path, found);
    }
}
