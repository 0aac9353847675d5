//! `models.list`, `models.authStatus`, `models.probe`, and the commands that show them.

mod common;

use common::http::TOKEN;
use common::provider::Provider;
use common::socket::Socket;
use common::{Gateway, Home};
use serde_json::{Value, json};

fn two_keys(provider: &Provider, home: &Home) -> Gateway {
    home.configure(&format!(
        "{{gateway: {{mode: 'local', auth: {{token: '{TOKEN}'}}}},
        models: {{providers: {{box: {{baseUrl: 'http://127.0.0.1:{}/v1',
            models: [{{id: 'm', reasoning: true, contextWindow: 4096}}]}}}}}},
        agents: {{defaults: {{model: {{primary: 'box/m', fallbacks: ['anthropic/claude-opus-5']}},
            models: {{'box/m': {{alias: 'fast'}}}}}}}}}}",
        provider.port
    ));
    let mut command = home.command("gateway run --port 0");
    Gateway::start(command.env("BOX_API_KEYS", "key-aaaaaaaa,key-bbbbbbbb"))
}

fn one_bad_key() -> Provider {
    Provider::start(|asked, reply| {
        if asked.head.contains("key-aaaaaaaa") {
            return reply.refuse("401 Unauthorized", "", "wrong: key-aaaaaaaa");
        }
        reply.say("OK");
    })
}

#[test]
fn the_list_tells_levels_aliases_and_why_a_model_is_not_available() {
    let (provider, home) = (one_bad_key(), Home::new());
    let gateway = two_keys(&provider, &home);
    let mut socket = Socket::connect(gateway.port);
    let list = socket.call("models.list", &json!({"view": "configured"})).unwrap();
    let [own, known] = list["models"].as_array().unwrap().as_slice() else { panic!("{list}") };
    assert_eq!((&own["id"], &own["alias"]), (&json!("m"), &json!("fast")), "{own}");
    assert_eq!(own["contextWindow"], 4096);
    assert_eq!(own["thinkingLevels"].as_array().unwrap().len(), 5, "{own}");
    assert_eq!((&own["available"], &own["tags"][0]), (&json!(true), &json!("default")));
    assert_eq!(known["provider"], "anthropic");
    assert_eq!(known["unavailableReason"], "missing-auth", "{known}");

    let list = home.ask(gateway.port, "models list --provider anthropic");
    assert_eq!(list.out, "anthropic/claude-opus-5  (not available: missing-auth)\n", "{list:?}");
    let list = home.ask(gateway.port, "models list --local --plain");
    assert_eq!(list.out, "box/m\n", "{list:?}");
}

#[test]
fn a_probe_asks_with_each_key_and_the_status_tells_the_outcome() {
    let (provider, home) = (one_bad_key(), Home::new());
    let gateway = two_keys(&provider, &home);
    let status = home.ask(gateway.port, "models status --json");
    let before: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(before["source"], "gateway", "{before}");
    assert_eq!(before["auth"]["missingProvidersInUse"], json!(["anthropic"]));
    assert_eq!(before["auth"]["providers"][0]["effective"]["kind"], "env");
    assert!(provider.rest().is_empty(), "a status asks nobody");

    let status = home.ask(gateway.port, "models status --probe --probe-provider box --json");
    let after: Value = serde_json::from_str(&status.out).unwrap();
    let probe = &after["probes"][0];
    assert_eq!((&probe["provider"], &probe["status"]), (&json!("box"), &json!("ok")), "{probe}");
    let rows = probe["results"].as_array().unwrap();
    assert_eq!(rows[0]["status"], "auth", "{probe}");
    assert_eq!(rows[0]["label"], "BOX_API_KEYS[0]");
    assert_eq!(rows[0]["error"], "HTTP 401: wrong: ***");
    assert_eq!(rows[1]["status"], "ok");
    assert_eq!(provider.rest().len(), 2);
    assert_eq!(status.code, 0, "one key works: {status:?}");
    assert!(!status.out.contains("key-"), "{status:?}");

    let status = home.ask(gateway.port, "models status");
    assert!(status.out.contains("key BOX_API_KEYS[0]: rests until 2"), "{status:?}");
    assert!(!status.out.contains("key-"), "{status:?}");
}

#[test]
fn without_a_gateway_the_status_is_that_of_the_file() {
    let home = Home::new();
    home.configure(
        "{gateway: {mode: 'local'}, agents: {defaults: {model: {primary: 'openai/gpt-5'}}}}",
    );
    let mut command = home.command("models status --json --check");
    command.env("OPENAI_API_KEY", "key-cccccccc").env("OPENCLAW_GATEWAY_PORT", "1");
    let status = common::Ran::of(&mut command);
    let report: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(report["source"], "file", "{report}");
    assert_eq!(report["auth"]["providers"][0]["effective"]["detail"], "OPENAI_API_KEY");
    assert_eq!(status.code, 0, "{status:?}");
    let mut command = home.command("models status --check");
    let status = common::Ran::of(command.env("OPENCLAW_GATEWAY_PORT", "1"));
    assert_eq!(status.code, 1, "{status:?}");
    assert!(status.out.contains("No gateway answers"), "{status:?}");
    assert!(status.out.contains("Missing: provider \"openai\""), "{status:?}");
    let mut command = home.command("models status --probe");
    let status = common::Ran::of(command.env("OPENCLAW_GATEWAY_PORT", "1"));
    assert_eq!(status.code, 1, "a probe needs a gateway: {status:?}");
}

#[test]
fn a_probe_says_what_is_wrong() {
    for (status, body, want) in [
        ("429 X", "{\"error\":{\"message\":\"slow\"}}", "rate_limit"),
        ("402 X", "{\"error\":{\"message\":\"pay\"}}", "billing"),
        ("404 X", "{\"error\":{\"message\":\"no such model\"}}", "format"),
        ("200 OK", "<html>hello</html>", "format"),
        ("200 OK", "data: {\"error\":{\"message\":\"no\",\"code\":503}}\n\n", "unknown"),
    ] {
        let provider = Provider::start(move |_, reply| {
            let length = body.len();
            reply.write(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"));
        });
        let home = Home::new();
        home.configure(&provider.config(""));
        let gateway = home.start("");
        let mut socket = Socket::connect(gateway.port);
        let probe = socket.call("models.probe", &json!({"provider": "mock"})).unwrap();
        assert_eq!(probe["status"], want, "{status} {body}: {probe}");
        let unknown = socket.call("models.probe", &json!({"provider": "nobody"})).unwrap_err();
        assert_eq!(unknown["code"], "INVALID_REQUEST");
    }
    let provider = Provider::start(|_, reply| reply.wait_for_close());
    let home = Home::new();
    home.configure(&provider.config(""));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let params = json!({"provider": "mock", "timeoutMs": 100});
    let probe = socket.call("models.probe", &params).unwrap();
    assert_eq!(probe["status"], "timeout", "{probe}");
}
