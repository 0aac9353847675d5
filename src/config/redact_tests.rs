use serde_json::json;

use super::*;

const CANARY: &str = "canary-0f3a9c";

/// A path to a place that the pattern describes.
fn concrete(pattern: &str) -> Vec<Step> {
    let text = pattern.replace("[]", "[0]").replace('*', "some");
    table::parse_path(&text).unwrap()
}

fn planted(path: &[Step], leaf: Value) -> Value {
    path.iter().rev().fold(leaf, |inner, step| match step {
        Step::Key(key) => json!({ key.as_str(): inner }),
        Step::Index(_) => json!([inner]),
    })
}

#[test]
fn every_secret_key_of_the_table_is_hidden() {
    let mut count = 0;
    for key in table::KEYS.iter().filter(|key| key.secret) {
        let path = concrete(key.pattern);
        for leaf in [json!(CANARY), json!({"x": [CANARY, 123_456]}), json!(["a", CANARY])] {
            let whole = planted(&path, leaf);
            let shown = value(&whole, &whole).to_string();
            assert!(!shown.contains(CANARY) && !shown.contains("123456"), "{}", key.pattern);
            assert!(shown.contains(REDACTED), "{}", key.pattern);
            let text = raw(&whole.to_string());
            assert!(!text.contains(CANARY) && !text.contains("123456"), "{}", key.pattern);
            assert!(json5::parse(&text).is_ok(), "{text}");
        }
        count += 1;
    }
    assert!(count > 8, "{count}");
}

#[test]
fn names_of_secrets_are_hidden_where_the_table_lists_no_keys() {
    for path in [
        "hooks.token",
        "channels.telegram.botToken",
        "channels.slack.accounts.a.signing_secret",
        "channels.x[\"api-key\"]",
        "plugins.entries.p.config.password",
        "memory.search.remote.apiKey",
        "memory.search.remote.headers.Authorization",
        "talk.providers.p.apiKey",
        "cron.webhookToken",
        "mcp.servers.s.env.GITHUB_TOKEN",
        "nonsense.secret",
        "gateway.auth.trustedProxy.x.clientSecret",
        "secrets.providers.p.token",
    ] {
        let whole = planted(&table::parse_path(path).unwrap(), json!(CANARY));
        assert!(!value(&whole, &whole).to_string().contains(CANARY), "{path}");
        assert!(!raw(&whole.to_string()).contains(CANARY), "{path}");
    }
    for wrong in
        [json!({"source": "env", "id": CANARY}), json!({"source": "env", "id": {"x": CANARY}})]
    {
        let whole = json!({"gateway": {"auth": {"token": wrong}}});
        assert!(!value(&whole, &whole).to_string().contains(CANARY));
        assert!(!raw(&whole.to_string()).contains(CANARY));
    }
    // What only sounds like one stays.
    for (path, leaf) in [
        ("models.providers.p.models[0].maxTokens", json!(8192)),
        ("models.providers.p.models[0].compat.maxTokens", json!(8192)),
        ("gateway.auth.mode", json!("token")),
        ("gateway.controlUi.basePath", json!("/token")),
        ("gateway.port", json!(18_789)),
        ("hooks.path", json!("/hooks")),
        ("hooks.token", json!("${HOOK_TOKEN}")),
        ("gateway.auth.token", json!("")),
        ("gateway.auth.token", json!({"source": "env", "provider": "default", "id": "TOK"})),
        ("models.providers.p.baseUrl", json!("https://x/v1?a=b")),
    ] {
        let whole = planted(&table::parse_path(path).unwrap(), leaf);
        assert_eq!(value(&whole, &whole), whole, "{path}");
        assert_eq!(raw(&whole.to_string()), whole.to_string(), "{path}");
    }
}

#[test]
fn addresses_with_credentials_and_repeated_secrets() {
    for url in ["http://u:pw@h/x", "https://h/x?api_key=abc", "https://h/?a=b&key=abc"] {
        let whole = json!({"models": {"providers": {"p": {"baseUrl": url}}}});
        assert!(value(&whole, &whole).to_string().contains(REDACTED), "{url}");
        assert!(raw(&whole.to_string()).contains(REDACTED), "{url}");
    }
    let whole =
        json!({"gateway": {"auth": {"token": CANARY}}, "ui": {"note": format!("x{CANARY}")}});
    assert!(!value(&whole, &whole).to_string().contains(CANARY));
    assert!(!raw(&whole.to_string()).contains(CANARY));
}

#[test]
fn what_came_from_the_environment_is_hidden_everywhere() {
    let written = json!({"ui": {"a": "${A}", "b": "plain"}, "gateway": {"port": 1}});
    let resolved = json!({"ui": {"a": "from env", "b": "plain"}, "gateway": {"port": 1}});
    let shown = value(&resolved, &written);
    assert_eq!(shown, json!({"ui": {"a": REDACTED, "b": "plain"}, "gateway": {"port": 1}}));
    assert_eq!(value(&written, &written), written);
}

const FILE: &str = "{ // the gateway's file
  gateway: {
    auth: { token: 'canary-0f3a9c' /* do not show */, mode: 'token' }, // was token: \"canary-old\"
    port: 18789, // canary-0f3a9c is the token
    /* password = canary-old2
       bind: lan */
    remote: { password: \"${PW}\", token: { source: 'env', id: 'T' } },
  },
  // \"apiKey\": \"canary-old3\", keep
  models: { providers: { p: { baseUrl: 'http://x//y', apiKey: 5123,
    headers: { 'X-A': 'canary-4' } } } },
  env: { vars: { ANY: 'canary-5' } },
  hooks: { mappings: [{ token: 'canary-6' }], note: '// token: not a comment' },
}
";

#[test]
fn a_text_keeps_everything_but_its_secrets() {
    let want = FILE
        .replace("'canary-0f3a9c' /*", "'__OPENCLAW_REDACTED__' /*")
        .replace(": \"canary-old\"", ": __OPENCLAW_REDACTED__")
        .replace("// canary-0f3a9c is", "// __OPENCLAW_REDACTED__ is")
        .replace("= canary-old2", "= __OPENCLAW_REDACTED__")
        .replace(": \"canary-old3\", keep", ": __OPENCLAW_REDACTED__")
        .replace("5123", "\"__OPENCLAW_REDACTED__\"")
        .replace("canary-4", REDACTED)
        .replace("canary-5", REDACTED)
        .replace("canary-6", REDACTED);
    assert_eq!(raw(FILE), want);
    assert!(!want.contains("canary"));
    assert_eq!(raw("{gateway: {auth: {token: 'canary"), "");
    assert_eq!(raw("{} // token: x */"), "{} // token: __OPENCLAW_REDACTED__ */");
}

#[test]
fn secrets_come_back_into_an_edited_text() {
    let shown = raw(FILE);
    let edited = shown.replace("18789", "19001").replace("note:", "remark:");
    let restored = restore(&edited, FILE).unwrap();
    let old = json5::parse(FILE).unwrap();
    let new = json5::parse(&restored).unwrap();
    let mut want = old.root.to_value();
    want["gateway"]["port"] = json!(19_001);
    want["hooks"] =
        json!({"mappings": [{"token": "canary-6"}], "remark": "// token: not a comment"});
    assert_eq!(new.root.to_value(), want);
    // Nobody gets the secret of somebody else.
    let list = "{hooks: {mappings: [{id: 'a', token: 'canary-a'}, {id: 'b', token: 'canary-b'}]}}";
    let shown = raw(list);
    assert_eq!(restore(&shown, list).as_deref(), Ok(list));
    let one = shown.replace("{id: 'a', token: '__OPENCLAW_REDACTED__'}, ", "");
    let swapped = shown.replace("'a'", "'x'");
    for moved in [one, swapped] {
        assert_ne!(moved, shown);
        assert!(
            restore(&moved, list).unwrap_err().starts_with("hooks.mappings: its elements moved")
        );
    }
    let moved = format!("{{hooks: {{other: '{REDACTED}'}}}}");
    let error = restore(&moved, FILE).unwrap_err();
    assert!(error.starts_with("hooks.other: "), "{error}");
    assert!(restore("{", FILE).is_err() && restore(&moved, "{").is_err());
}
