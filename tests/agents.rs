//! Agents as operators and models see them: workspaces, the prompt, who is the default.

mod common;

use common::http::{ask, chat, get};
use common::provider::{Asked, Provider, config};
use common::socket::Socket;
use common::{Home, PATIENCE};
use serde_json::{Value, json};
use std::fs;
use std::time::Instant;

/// The system message of a request to the model; there is exactly one, in front.
fn system(asked: &Asked) -> String {
    let messages = asked.body["messages"].as_array().expect("messages");
    let systems = messages.iter().filter(|message| message["role"] == "system").count();
    assert_eq!(systems, 1, "{messages:?}");
    assert_eq!(messages[0]["role"], "system", "{messages:?}");
    messages[0]["content"].as_str().expect("text").to_owned()
}

/// Rereads the configuration and waits until it is in force.
fn reload(gateway: &common::Gateway, socket: &mut Socket, known: impl Fn(&Value) -> bool) {
    gateway.signal(rustix::process::Signal::HUP);
    let until = Instant::now() + PATIENCE;
    while !known(&socket.call("agents.list", &json!({})).expect("agents")) {
        assert!(Instant::now() < until, "the configuration is not taken over");
    }
}

fn completion(model: &str, messages: Value) -> Value {
    json!({"model": model, "messages": messages})
}

#[test]
fn the_prompt_holds_the_workspace_and_the_callers_words() {
    let home = Home::new();
    let provider = Provider::echo();
    home.configure(&provider.config("env: {}"));
    let gateway = home.start("");
    let workspace = home.state().join("workspace");
    for file in ["AGENTS.md", "SOUL.md", "IDENTITY.md", "USER.md", "BOOTSTRAP.md"] {
        assert!(workspace.join(file).is_file(), "{file} was given to the new workspace");
    }
    fs::remove_file(workspace.join("SOUL.md")).expect("removed");
    fs::write(workspace.join("USER.md"), format!("likes tea {}", "x".repeat(9_000))).expect("ok");
    let body = completion(
        "openclaw",
        json!([{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"},
            {"role": "developer", "content": "be kind"}, {"role": "user", "content": "there"}]),
    );
    assert_eq!(ask(gateway.port, chat(&body)).status, 200);
    let asked = provider.asked();
    let first = system(&asked);
    for part in [
        "You are main,".to_owned(),
        format!("`{}`", workspace.display()),
        "### AGENTS.md\n# How to work here".to_owned(),
        "### SOUL.md\n[missing".to_owned(),
        "### USER.md\nlikes tea x".to_owned(),
        "USER.md is longer".to_owned(),
        " (UTC).".to_owned(),
        "Runtime: agent=main | host=".to_owned(),
        "model=mock/m1".to_owned(),
    ] {
        assert!(first.contains(&part), "{part:?} in {first}");
    }
    assert!(first.ends_with("## This conversation\nbe brief\nbe kind"), "{first}");
    let said: Vec<&Value> = asked.body["messages"].as_array().unwrap().iter().skip(1).collect();
    assert_eq!(said.len(), 2, "{said:?}");

    // The same words again the next time, and an edit is seen at once.
    ask(gateway.port, chat(&body));
    assert_eq!(system(&provider.asked()), first);
    fs::write(workspace.join("MEMORY.md"), "the key is under the mat").expect("written");
    let mut socket = Socket::connect(gateway.port);
    let id = socket.request("agent", &json!({"message": "hi", "idempotencyKey": "r1"}));
    socket.response(&id).expect("accepted");
    let text = system(&provider.asked());
    assert!(text.contains("### MEMORY.md\nthe key is under the mat"), "{text}");
    for (mode, holds, lacks) in
        [("minimal", "### AGENTS.md", "MEMORY.md"), ("none", "You are main", "## ")]
    {
        let params = json!({"message": "hi", "idempotencyKey": mode, "promptMode": mode,
            "sessionKey": mode});
        let id = socket.request("agent", &params);
        socket.response(&id).expect("accepted");
        let text = system(&provider.asked());
        assert!(text.contains(holds) && !text.contains(&format!("### {lacks}")), "{mode}: {text}");
    }
}

#[test]
fn no_workspace_is_made_where_the_configuration_says_so() {
    let home = Home::new();
    let provider = Provider::echo();
    let text = config(
        &[("mock", provider.port)],
        "primary: 'mock/m1'}, skipBootstrap: true, contextInjection: 'never', x: {",
        "env: {}",
    );
    home.configure(&text.replace(", x: {}", ""));
    let gateway = home.start("");
    let body = completion("openclaw", json!([{"role": "user", "content": "hi"}]));
    assert_eq!(ask(gateway.port, chat(&body)).status, 200);
    let text = system(&provider.asked());
    assert!(!text.contains("AGENTS.md") && text.contains("## Workspace\n"), "{text}");
    assert!(!home.state().join("workspace").exists());
}

#[test]
fn openclaw_default_follows_another_default_agent() {
    let home = Home::new();
    let (one, two) = (Provider::echo(), Provider::echo());
    let agents = |second: bool| {
        let text = config(&[("one", one.port), ("two", two.port)], "primary: 'one/m1'", "env: {}");
        text.replace(
            "agents: {",
            &format!(
                "agents: {{list: [{{id: 'main', default: {}}}, \
                 {{id: 'ops', default: {second}, model: 'two/m1', name: 'Operator'}}],",
                !second
            ),
        )
    };
    home.configure(&agents(false));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let models = || {
        let list = ask(gateway.port, get("/v1/models")).json();
        let rows = list["data"].as_array().expect("models").clone();
        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(models(), ["openclaw", "openclaw/default", "openclaw/main", "openclaw/ops"]);
    let body = completion("openclaw/default", json!([{"role": "user", "content": "hi"}]));
    assert_eq!(ask(gateway.port, chat(&body)).status, 200);
    assert!(system(&one.asked()).starts_with("You are main,"));

    home.configure(&agents(true));
    reload(&gateway, &mut socket, |list| list["defaultId"] == "ops");
    assert_eq!(models(), ["openclaw", "openclaw/default", "openclaw/main", "openclaw/ops"]);
    assert_eq!(ask(gateway.port, chat(&body)).status, 200);
    let asked = two.asked();
    assert!(system(&asked).starts_with("You are Operator,"), "{asked:?}");
    assert!(system(&asked).contains("Runtime: agent=ops |"), "{asked:?}");
    assert!(one.rest().is_empty(), "the first agent is not asked any more");
    let named = completion("openclaw/main", json!([{"role": "user", "content": "hi"}]));
    assert_eq!(ask(gateway.port, chat(&named)).status, 200);
    assert!(system(&one.asked()).starts_with("You are main,"));
}
