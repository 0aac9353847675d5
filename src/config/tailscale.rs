//! `gateway.tailscale.mode` and `gateway.auth.allowTailscale`. This gateway starts no tailscale and
//! asks it for nobody's name: a route that `tailscale serve` makes is a proxy on this machine's
//! loopback like any other, whose word for an address counts once `gateway.trustedProxies` names
//! it, and whose word for a user never does. So these keys change nothing but what is advised.

use super::paths::DEFAULT_PORT;
use crate::wire::cidr::Cidr;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr};

/// Every word of `gateway.tailscale.mode` and `--tailscale`.
pub const WORDS: &[&str] = &["off", "serve", "funnel"];

/// What to type for a mode on this port; `None` for `off`. `gateway`: the section as written.
pub fn advice(mode: &str, port: u16, gateway: &Value) -> Option<String> {
    if !matches!(mode, "serve" | "funnel") {
        return None;
    }
    let mut steps = Vec::new();
    let auth = gateway.get("auth").and_then(|auth| auth.get("mode")).and_then(Value::as_str);
    if mode == "funnel" && auth != Some("password") {
        // The whole world knocks there.
        steps.push("openclaw config set gateway.auth.mode password".to_owned());
        steps.push("set OPENCLAW_GATEWAY_PASSWORD".to_owned());
    }
    let tls = gateway.get("tls").and_then(|tls| tls.get("enabled")) == Some(&Value::Bool(true));
    steps.push(match tls {
        true => format!("tailscale {mode} --bg https+insecure://127.0.0.1:{port}"),
        false => format!("tailscale {mode} --bg {port}"),
    });
    if !trusts_loopback(gateway) {
        steps.push(r#"openclaw config set gateway.trustedProxies '["127.0.0.1"]'"#.to_owned());
    }
    Some(format!("this gateway starts no tailscale; type once: {}", steps.join("; then: ")))
}

/// What has to be said of the section: path below `gateway`, and a sentence.
pub(super) fn warnings(gateway: &Value) -> Vec<(Vec<&'static str>, String)> {
    let mut found = Vec::new();
    let mode = gateway.get("tailscale").and_then(|it| it.get("mode")).and_then(Value::as_str);
    let port = gateway.get("port").and_then(Value::as_u64);
    let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(DEFAULT_PORT);
    if let Some(advice) = mode.and_then(|mode| advice(mode, port, gateway)) {
        found.push((vec!["tailscale", "mode"], advice));
    }
    let allow = gateway.get("auth").and_then(|auth| auth.get("allowTailscale"));
    if allow == Some(&Value::Bool(true)) {
        let what = "is accepted but not acted on: nobody comes in by Tailscale's word, the \
                    gateway's secret is asked";
        found.push((vec!["auth", "allowTailscale"], what.to_owned()));
    }
    found
}

fn trusts_loopback(gateway: &Value) -> bool {
    let proxies = gateway.get("trustedProxies").and_then(Value::as_array);
    let own = IpAddr::V4(Ipv4Addr::LOCALHOST);
    proxies
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .any(|text| Cidr::parse(text).is_some_and(|range| range.contains(own)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_advice_is_what_is_left_to_type() {
        let table = [
            (
                json!({}),
                "serve",
                "tailscale serve --bg 18789; then: openclaw config set gateway.\
              trustedProxies '[\"127.0.0.1\"]'",
            ),
            (json!({"trustedProxies": ["127.0.0.0/8"]}), "serve", "tailscale serve --bg 18789"),
            (
                json!({"trustedProxies": ["10.0.0.1"], "tls": {"enabled": true}}),
                "serve",
                "tailscale serve --bg https+insecure://127.0.0.1:18789; then: openclaw config set \
              gateway.trustedProxies '[\"127.0.0.1\"]'",
            ),
            (
                json!({"trustedProxies": ["127.0.0.1"], "auth": {"mode": "password"}}),
                "funnel",
                "tailscale funnel --bg 18789",
            ),
            (
                json!({"trustedProxies": ["127.0.0.1"]}),
                "funnel",
                "openclaw config set \
              gateway.auth.mode password; then: set OPENCLAW_GATEWAY_PASSWORD; then: tailscale \
              funnel --bg 18789",
            ),
        ];
        for (gateway, mode, want) in table {
            let advice = advice(mode, 18789, &gateway).expect("something to type");
            assert_eq!(advice, format!("this gateway starts no tailscale; type once: {want}"));
        }
        assert_eq!(advice("off", 1, &json!({})), None);
    }

    #[test]
    fn only_what_is_asked_for_is_said() {
        let paths = |gateway: Value| -> Vec<String> {
            warnings(&gateway).into_iter().map(|(path, _)| path.join(".")).collect()
        };
        assert!(
            paths(json!({"tailscale": {"mode": "off"}, "auth": {"allowTailscale": false}}))
                .is_empty()
        );
        let both = json!({"port": 19001, "tailscale": {"mode": "serve"},
            "auth": {"allowTailscale": true}});
        assert!(warnings(&both)[0].1.contains("--bg 19001"));
        assert_eq!(paths(both), ["tailscale.mode", "auth.allowTailscale"]);
    }
}
