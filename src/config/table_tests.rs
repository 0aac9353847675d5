use super::*;

fn path(text: &str) -> Vec<Step> {
    parse_path(text).unwrap()
}

#[test]
fn every_row_hangs_on_another_and_stands_once() {
    for (index, key) in KEYS.iter().enumerate() {
        let pattern = key.pattern;
        assert!(KEYS.iter().skip(index + 1).all(|other| other.pattern != pattern), "{pattern}");
        let parent = pattern
            .strip_suffix("[]")
            .or_else(|| pattern.rsplit_once('.').map(|(parent, _)| parent))
            .unwrap_or_default();
        if parent.is_empty() {
            continue;
        }
        let Some(above) = KEYS.iter().find(|other| other.pattern == parent) else {
            panic!("{pattern} has no row above it");
        };
        let fits = match key.name() {
            "[]" => above.kind == Kind::List,
            "*" => {
                let open = ["env", "memory", "channels", "commands", "messages", "diagnostics"];
                let section = parent.split('.').next().unwrap_or_default();
                above.kind == Kind::Map || open.contains(&section)
            }
            _ => above.kind == Kind::Object,
        };
        assert!(fits, "{pattern} below a {:?}", above.kind);
    }
    for key in KEYS.iter().filter(|key| matches!(key.kind, Kind::Map | Kind::List)) {
        assert!(children(key.pattern).next().is_some(), "{}", key.pattern);
    }
}

#[test]
fn refusals_say_what_to_do_and_harmless_values_are_json() {
    for key in KEYS {
        if let Status::Security(harmless) = key.status {
            assert!(!key.advice.is_empty(), "{}", key.pattern);
            for text in harmless {
                let value: serde_json::Value = serde_json::from_str(text).unwrap();
                assert_eq!(value.to_string(), *text, "{}", key.pattern);
            }
        }
    }
}

#[test]
fn paths_find_their_row() {
    for (text, pattern) in [
        ("gateway.port", "gateway.port"),
        ("models.providers.mock.models[3].cost.input", "models.providers.*.models[].cost.input"),
        ("models.providers[\"a.b\"].headers.X-Y", "models.providers.*.headers.*"),
        ("agents.defaults.models[\"openai/gpt-4.1\"].alias", "agents.defaults.models.*.alias"),
        ("env.vars.A", "env.vars.*"),
        ("env.A", "env.*"),
        ("channels.zalo.accounts[0].token", "channels.*.*"),
        ("channels.zalo.dmPolicy", "channels.*.dmPolicy"),
        ("channels.irc.host", "channels.irc.host"),
        ("channels.irc.dmPolicy", "channels.*.dmPolicy"),
        ("channels.irc.accounts.work.nickserv.password", "channels.irc.nickserv.password"),
        ("channels.irc.accounts.work.dmPolicy", "channels.*.dmPolicy"),
        ("channels.irc.groups[\"#a\"].enabled", "channels.*.groups.*.enabled"),
        ("agents.defaults.model.primary", "agents.defaults.model"),
        ("gateway.trustedProxies[0]", "gateway.trustedProxies"),
    ] {
        assert_eq!(lookup(&path(text)).map(|key| key.pattern), Some(pattern), "{text}");
        assert_eq!(shown(&path(text)), text);
    }
    assert!(member("gateway", "auth.token").is_none());
    assert!(member("models.providers.*", "models[]").is_none());
    assert_eq!(member("env", "*").map(|key| key.pattern), Some("env.*"));
    for text in [
        "gatewya",
        "gateway.nope",
        "agents.defaults.nope.x",
        "models.providers.x.nope",
        "channels.irc.accounts.a.defaultAccount",
        "channels.irc.accounts.a.accounts",
    ] {
        assert!(lookup(&path(text)).is_none(), "{text}");
    }
    for text in ["", "a..b", "a[", "a[x]", "a[\"b\"", ".a", "a.", "a]b["] {
        assert!(parse_path(text).is_none() || text == "a]b[", "{text}");
    }
}

#[test]
fn nearest_keys() {
    for (parent, name, want) in [
        ("", "gatway", Some("gateway")),
        ("", "agent", Some("agents")),
        ("gateway", "prot", Some("gateway.port")),
        ("gateway", "token", Some("gateway.auth.token")),
        ("", "customBindHost", Some("gateway.customBindHost")),
        ("gateway", "zzzzzz", None),
    ] {
        assert_eq!(nearest(parent, name).as_deref(), want, "{parent} {name}");
    }
}

#[test]
fn whatever_has_no_effect_says_why() {
    for key in KEYS {
        let acted = key.status == Status::Acted;
        let why = key.reason();
        assert_eq!(acted, why.is_empty(), "{}", key.pattern);
        // It ends a sentence in a warning and stands in a cell of the README's table.
        assert!(!why.ends_with('.') && !why.contains('|') && why.len() < 100, "{why}");
    }
    let of = |pattern: &str| lookup(&path(pattern)).unwrap().reason();
    assert_eq!(of("agents.entries.a.tools.swarm"), of("tools.swarm"));
    assert_eq!(of("plugins.entries.x"), "no code is loaded into this gateway");
}
