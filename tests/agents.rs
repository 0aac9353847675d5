//! Agents as operators and models see them: workspaces, the prompt, who is the default.
#![cfg(feature = "process")]

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

fn message(error: &Value) -> &str {
    error["message"].as_str().expect("a message")
}

#[test]
fn files_of_a_workspace_are_listed_read_and_written_by_name_only() {
    let home = Home::new();
    home.configure(&config(&[], "primary: 'local/echo'", "env: {}"));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let workspace = home.state().join("workspace");
    let list = socket.call("agents.files.list", &json!({"agentId": "main"})).expect("files");
    assert_eq!(list["workspace"], json!(workspace));
    let row = |name: &str| {
        let files = list["files"].as_array().expect("files").clone();
        files.into_iter().find(|file| file["name"] == name).expect("listed")
    };
    assert_eq!(row("AGENTS.md")["missing"], false, "{list}");
    assert!(row("AGENTS.md")["size"].as_u64() > Some(100), "{list}");
    assert_eq!(row("MEMORY.md")["missing"], true, "{list}");
    let file = |name: &str| json!({"agentId": "MAIN", "name": name});
    let with = |name: &str, content: &str| {
        let mut params = file(name);
        params["content"] = json!(content);
        params
    };
    let missing = socket.call("agents.files.get", &file("MEMORY.md")).expect("no file");
    assert_eq!(missing["file"]["missing"], true, "{missing}");
    let set = socket.call("agents.files.set", &with("MEMORY.md", "tea ☕\n")).expect("written");
    assert_eq!((&set["ok"], &set["file"]["size"]), (&json!(true), &json!(8)), "{set}");
    let got = socket.call("agents.files.get", &file("MEMORY.md")).expect("a file");
    assert_eq!(got["file"]["content"], "tea ☕\n", "{got}");
    assert_eq!(fs::read_to_string(workspace.join("MEMORY.md")).expect("there"), "tea ☕\n");
    for name in ["../openclaw.json", "/etc/passwd", "agents.md", "skills/SKILL.md", "x"] {
        for (method, params) in
            [("agents.files.get", file(name)), ("agents.files.set", with(name, "x"))]
        {
            let error = socket.call(method, &params).expect_err(name);
            assert_eq!(error["code"], "INVALID_REQUEST");
            assert_eq!(message(&error), format!("unsupported file \"{name}\""));
        }
    }
    let large = "x".repeat(512 * 1024 + 1);
    let error = socket.call("agents.files.set", &with("MEMORY.md", &large)).expect_err("too large");
    assert!(message(&error).contains("524289 bytes"), "{error}");
    let error = socket.call("agents.files.list", &json!({"agentId": "nobody"})).expect_err("none");
    assert_eq!(message(&error), "agent \"nobody\" not found");
}

#[test]
fn an_agent_is_who_its_file_and_the_configuration_say() {
    let home = Home::new();
    home.configure(&config(&[], "primary: 'local/echo'", "env: {}"));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let mut identity = |params: Value| socket.call("agent.identity.get", &params).expect("someone");
    let plain = json!({"agentId": "main", "name": "Assistant", "nameSource": "default",
        "avatar": "A"});
    assert_eq!(identity(json!({})), plain);
    let file = home.state().join("workspace/IDENTITY.md");
    fs::write(&file, "- **Name:** Clawd\n- Emoji: 🦞\n").expect("written");
    let written = json!({"agentId": "main", "name": "Clawd", "nameSource": "workspace",
        "avatar": "🦞", "emoji": "🦞"});
    assert_eq!(identity(json!({"sessionKey": "agent:main:x"})), written);
    let list = socket.call("agents.list", &json!({})).expect("agents");
    assert_eq!(list["agents"][0]["identity"], json!({"name": "Clawd", "emoji": "🦞"}), "{list}");
    let change =
        json!({"agentId": "main", "name": "Samantha", "avatar": "https://x.example/s.png"});
    socket.call("agents.update", &change).expect("changed");
    let both = socket.call("agent.identity.get", &json!({"agentId": "main"})).expect("someone");
    let want = json!({"agentId": "main", "name": "Samantha", "nameSource": "agent",
        "avatar": "https://x.example/s.png", "avatarStatus": "remote", "emoji": "🦞"});
    assert_eq!(both, want);
}

#[test]
fn agents_are_added_changed_and_removed_in_the_file_that_people_wrote() {
    let home = Home::new();
    let provider = Provider::echo();
    let written = provider.config("env: {TEST_DIR: '/nowhere'}");
    let written = format!("// mine\n{}", written.replace("'/nowhere'", "'${HOME}'"));
    home.configure(&written);
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let path = home.state().join("openclaw.json");
    let text = || fs::read_to_string(&path).expect("the configuration");

    let new = json!({"name": "Kit Agent", "model": "mock/m1", "emoji": "🧰"});
    let made = socket.call("agents.create", &new).expect("made");
    let workspace = home.state().join("workspace-kit-agent");
    assert_eq!(
        made,
        json!({"ok": true, "agentId": "kit-agent", "name": "Kit Agent", "model": "mock/m1",
            "workspace": workspace})
    );
    assert!(workspace.join("AGENTS.md").is_file(), "it has its files");
    assert!(text().starts_with("// mine\n") && text().contains("'${HOME}'"), "{}", text());
    let list = socket.call("agents.list", &json!({})).expect("agents");
    assert_eq!(list["defaultId"], "main", "{list}");
    let rows = list["agents"].as_array().expect("rows");
    assert_eq!(rows.len(), 2, "{list}");
    let main = rows.iter().find(|row| row["id"] == "main").expect("still there");
    assert_eq!(main["workspace"], json!(home.state().join("workspace")), "{list}");
    let error = socket.call("agents.create", &new).expect_err("taken");
    assert_eq!(message(&error), "agent \"kit-agent\" already exists");
    for (name, value, part) in [
        ("name", "日本", "letter or digit"),
        ("model", "no/such", "Unknown model"),
        ("workspace", "relative", "absolute path"),
    ] {
        let mut params = json!({"name": "other"});
        params[name] = json!(value);
        let error = socket.call("agents.create", &params).expect_err(name);
        assert!(message(&error).contains(part), "{error}");
    }

    // It answers at once, and keeps a session.
    let said = json!({"message": "hi", "idempotencyKey": "r1", "agentId": "kit-agent"});
    let id = socket.request("agent", &said);
    socket.response(&id).expect("accepted");
    let answer = socket.response(&id).expect("answered");
    assert_eq!(answer["result"]["payloads"][0]["text"], "echo: hi", "{answer}");
    assert!(system(&provider.asked()).starts_with("You are Kit Agent,"));

    // An edit of the file that was not taken over yet is not written over.
    let before = text();
    fs::write(&path, format!("{before}\n// edited\n")).expect("edited");
    let rename = json!({"agentId": "kit-agent", "name": "Kit"});
    let error = socket.call("agents.update", &rename).expect_err("another file");
    assert!(message(&error).contains("config changed since last load"), "{error}");
    assert!(text().ends_with("// edited\n"));
    fs::write(&path, &before).expect("taken back");
    assert_eq!(
        socket.call("agents.update", &rename).expect("renamed"),
        json!({"ok": true, "agentId": "kit-agent"})
    );
    assert!(text().contains("\"Kit\""), "{}", text());

    let error = socket.call("agents.delete", &json!({"agentId": "main"})).expect_err("main stays");
    assert!(message(&error).contains("cannot be deleted"), "{error}");
    let gone = socket.call("agents.delete", &json!({"agentId": "kit-agent"})).expect("gone");
    assert_eq!((&gone["ok"], &gone["removedBindings"]), (&json!(true), &json!(0)), "{gone}");
    assert!(gone.get("failed").is_none(), "{gone}");
    assert_eq!(gone["removed"].as_array().map(Vec::len), Some(2), "{gone}");
    assert!(!workspace.exists() && !home.state().join("agents/kit-agent").exists());
    let trash: Vec<_> = fs::read_dir(home.state().join("trash")).expect("a trash").collect();
    let kept = trash[0].as_ref().expect("an entry").path();
    assert!(kept.join("workspace/AGENTS.md").is_file());
    assert!(kept.join("agent/sessions").is_dir());
    let error = socket.call("agents.delete", &json!({"agentId": "kit-agent"})).expect_err("gone");
    assert_eq!(message(&error), "agent \"kit-agent\" not found");
    assert!(text().contains("${HOME}"), "{}", text());
    let check = home.run("config validate");
    assert_eq!(check.code, 0, "{} {}", check.out, check.err);
}

#[test]
fn only_admins_change_agents() {
    let home = Home::new();
    home.configure(&config(&[], "primary: 'local/echo'", "env: {}"));
    let gateway = home.start("");
    let mut params = common::socket::params();
    params["scopes"] = json!(["operator.read", "operator.write"]);
    let mut socket = Socket::with(gateway.port, &params);
    let file = json!({"agentId": "main", "name": "SOUL.md", "content": "x"});
    for (method, params) in [
        ("agents.create", json!({"name": "x"})),
        ("agents.update", json!({"agentId": "main", "name": "x"})),
        ("agents.delete", json!({"agentId": "main"})),
        ("agents.files.set", file),
    ] {
        let error = socket.call(method, &params).expect_err(method);
        assert_eq!(error["code"], "FORBIDDEN", "{error}");
    }
    assert!(socket.call("agents.files.list", &json!({"agentId": "main"})).is_ok());
}

#[test]
fn skills_are_found_gated_and_told() {
    let home = Home::new();
    let provider = Provider::echo();
    home.configure(&provider.config(
        "skills: {load: {extraDirs: ['~/more']}, entries: {off: {enabled: false}, \
         keyed: {apiKey: 'sk-skill'}}}",
    ));
    let put = |dir: &str, head: &str| {
        let dir = home.0.join(dir);
        fs::create_dir_all(&dir).expect("a folder");
        fs::write(dir.join("SKILL.md"), format!("---\n{head}\n---\nDo it.\n")).expect("written");
    };
    put(".openclaw/workspace/skills/notes", "name: notes\ndescription: Keep <notes>.");
    put(".openclaw/skills/notes", "name: notes\ndescription: shadowed");
    put("more/group/off", "name: off\ndescription: switched off");
    put(".agents/skills/odd", "name: odd\ndescription: d\nmetadata: {openclaw: {os: ['amiga']}}");
    put(
        "more/keyed",
        "name: keyed\ndescription: d\nmetadata:\n  openclaw:\n    primaryEnv: KEY\n    requires:\n      \
         env: [KEY]\n      bins: [no-such-program]",
    );
    let elsewhere = home.0.join("elsewhere/leak");
    put("elsewhere/leak", "name: leak\ndescription: outside");
    std::os::unix::fs::symlink(elsewhere, home.state().join("workspace/skills/leak"))
        .expect("a link");
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let status = socket.call("skills.status", &json!({"agentId": "main"})).expect("skills");
    let row = |name: &str| {
        let rows = status["skills"].as_array().expect("rows");
        rows.iter().find(|row| row["name"] == name).cloned().unwrap_or_default()
    };
    assert_eq!(row("notes")["description"], "Keep <notes>.", "{status}");
    assert_eq!(row("notes")["source"], "openclaw-workspace", "{status}");
    assert_eq!(row("notes")["modelVisible"], true, "{status}");
    assert_eq!((&row("off")["disabled"], &row("off")["eligible"]), (&json!(true), &json!(false)));
    assert_eq!(row("odd")["platformIncompatible"], true, "{status}");
    assert_eq!(row("keyed")["missing"]["bins"], json!(["no-such-program"]), "{status}");
    assert_eq!(row("keyed")["missing"]["env"], json!([]), "{status}");
    assert_eq!(row("leak"), Value::Null, "a link that leads out of the workspace: {status}");
    assert!(!status.to_string().contains("sk-skill"));
    let error = socket.call("skills.status", &json!({"agentId": "x"})).expect_err("nobody");
    assert_eq!(message(&error), "agent \"x\" not found");
}

#[test]
fn an_interrupted_command_aborts_its_run_on_the_gateway() {
    for (signal, code) in
        [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)]
    {
        let home = Home::new();
        let (ended, hung_up) = std::sync::mpsc::channel();
        let ended = std::sync::Mutex::new(ended);
        let provider = Provider::start(move |_, reply| {
            reply.head();
            reply.delta("begun");
            reply.wait_for_close();
            let _ = ended.lock().expect("one sender").send(());
        });
        home.configure(&provider.config("env: {}"));
        let gateway = home.start("");
        let child = home
            .command("agent --agent main --message hi")
            .env("OPENCLAW_GATEWAY_PORT", gateway.port.to_string())
            .spawn()
            .expect("the command starts");
        provider.asked();
        let pid = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).expect("signalled");
        hung_up.recv_timeout(PATIENCE).expect("the provider's connection is closed");
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("is aborted"), "{said}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let mut socket = Socket::connect(gateway.port);
        let history = socket.call("chat.history", &json!({"sessionKey": "main"})).expect("kept");
        assert_eq!(history["messages"][1]["openclawAbort"]["aborted"], true, "{history}");
    }
}

#[test]
fn nothing_is_done_behind_the_back_of_a_gateway_that_does_not_answer() {
    let home = Home::new();
    let provider = Provider::echo();
    home.configure(&provider.config("env: {}"));
    let port = common::DeadPort::new();
    for line in [
        "agent --agent main --message hi",
        "message send --channel telegram --target 1 --message hi",
    ] {
        let ran = home.ask(port.number(), line);
        assert_eq!(ran.code, 1, "{ran:?}");
        let url = format!("no gateway answers on ws://127.0.0.1:{}", port.number());
        assert!(ran.err.contains(&url), "{ran:?}");
        assert!(ran.err.contains("Next: openclaw gateway run"), "{ran:?}");
        assert!(ran.out.is_empty(), "{ran:?}");
        let json = home.ask(port.number(), &format!("{line} --json"));
        let document: Value = serde_json::from_str(&json.out).expect("a document");
        assert_eq!(document["ok"], false, "{document}");
        assert_eq!(document["error"]["type"], "gateway_transport_error", "{document}");
    }
    let local = home.ask(port.number(), "agent --agent main --message hi --local");
    assert!(local.code == 1 && local.err.contains("only inside a gateway"), "{local:?}");
    assert!(provider.rest().is_empty(), "no model was asked");
    assert!(!home.state().join("agents").exists(), "no session was written");
}

#[test]
fn a_message_needs_a_channel_that_there_is() {
    let home = Home::new();
    home.configure(&config(&[], "primary: 'local/echo'", "env: {}"));
    let gateway = home.start("");
    let sent = home.ask(gateway.port, "message send --target zalo:1 --message hi --json");
    let document: Value = serde_json::from_str(&sent.out).expect("a document");
    assert_eq!((sent.code, &document["error"]["code"]), (1, &json!("INVALID_REQUEST")));
    let said = document["error"]["message"].as_str().expect("a message");
    assert!(said.starts_with("unsupported channel: zalo (this gateway has: "), "{said}");
    let bare = home.ask(gateway.port, "message send --target irc:#x --message hi");
    assert!(bare.err.contains("openclaw channels add --channel irc"), "{bare:?}");
    let mut socket = Socket::connect(gateway.port);
    let error = socket
        .call("send", &json!({"to": "x", "message": "hi", "idempotencyKey": "s1"}))
        .expect_err("no channel");
    assert!(message(&error).contains("openclaw channels add"), "{error}");
    let error = socket.call("message.action", &json!({"channel": "x"})).expect_err("incomplete");
    assert!(message(&error).contains("must have required property 'action'"), "{error}");
}

#[test]
fn a_turn_by_command_goes_to_the_default_agent_of_the_gateway() {
    let home = Home::new();
    let provider = Provider::echo();
    let text = provider.config("env: {}");
    home.configure(&text.replace("agents: {", "agents: {list: [{id: 'ops'}],"));
    let gateway = home.start("");
    let file = home.0.join("task.md");
    fs::write(&file, "\u{feff}one\ntwo").expect("written");
    let line = format!("agent --message-file {} --timeout 20", file.display());
    let ran = home.ask(gateway.port, &line);
    assert_eq!((ran.code, ran.out.as_str()), (0, "echo: one\ntwo\n"), "{ran:?}");
    assert!(system(&provider.asked()).contains("agent=ops"));
    let unknown = home.ask(gateway.port, "agent --agent nobody -m hi");
    assert!(unknown.code == 1 && unknown.err.contains("unknown agent id"), "{unknown:?}");
}

#[test]
fn a_request_carries_what_the_configuration_and_the_caller_say() {
    let home = Home::new();
    let provider = Provider::echo();
    let text = provider.config("env: {}").replace("name: 'M1'", "name: 'M1', reasoning: true");
    let defaults = "agents: {list: [{id: 'main'}, {id: 'b', thinkingDefault: 'high', \
        params: {temperature: 0.25, maxTokens: 99}}],";
    let text = text.replace("agents: {", defaults).replace(
        "defaults: {",
        "defaults: {params: {temperature: 1.5, topP: 0.5, cacheRetention: 'long'}, \
         models: {'mock/m1': {params: {seed: 5}}}, thinkingDefault: 'low', ",
    );
    home.configure(&text);
    let check = home.run("config validate");
    assert_eq!(check.code, 0, "{check:?}");
    assert!(check.out.contains("agents.defaults.params.cacheRetention"), "{check:?}");
    assert!(!check.out.contains("temperature"), "{check:?}");
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let mut asked = |run: &str, agent: &str, more: Value| {
        let mut params = json!({"message": "hi", "idempotencyKey": run, "agentId": agent});
        if let (Some(params), Some(more)) = (params.as_object_mut(), more.as_object()) {
            params.extend(more.clone());
        }
        let id = socket.request("agent", &params);
        socket.response(&id).expect("accepted");
        let body = provider.asked().body;
        // Whoever comes while it runs is heard by it, with its own level.
        socket.response(&id).expect("done");
        body
    };
    let main = asked("r1", "main", json!({}));
    let of = |body: &Value| {
        ["temperature", "top_p", "seed", "max_completion_tokens", "reasoning_effort"]
            .map(|name| body[name].clone())
    };
    assert_eq!(of(&main), [json!(1.5), json!(0.5), json!(5), json!(777), json!("low")], "{main}");
    let other = asked("r2", "b", json!({}));
    assert_eq!(of(&other), [json!(0.25), json!(0.5), json!(5), json!(99), json!("high")]);
    let told = asked("r3", "main", json!({"thinking": "medium"}));
    assert_eq!(told["reasoning_effort"], "medium", "{told}");
    let error = socket
        .call("agent", &json!({"message": "x", "idempotencyKey": "r4", "thinking": "hard"}))
        .expect_err("no level");
    assert!(message(&error).contains("invalid thinking level \"hard\""), "{error}");
    let chat = json!({"sessionKey": "main", "message": "hi", "idempotencyKey": "r5",
        "thinking": "high"});
    socket.call("chat.send", &chat).expect("started");
    assert_eq!(provider.asked().body["reasoning_effort"], "high");
    // The caller of the HTTP door says it for itself.
    let mut body = completion("openclaw/b", json!([{"role": "user", "content": "hi"}]));
    body["temperature"] = json!(0.75);
    assert_eq!(ask(gateway.port, common::http::chat(&body)).status, 200);
    assert_eq!(of(&provider.asked().body)[0], json!(0.75));
    let list = socket.call("agents.list", &json!({})).expect("agents");
    assert_eq!(list["agents"][0]["thinkingDefault"], "low", "{list}");
    assert_eq!(list["agents"][1]["thinkingDefault"], "high", "{list}");
}

#[test]
fn images_go_to_the_model_that_sees() {
    let home = Home::new();
    let (blind, seeing) = (Provider::echo(), Provider::echo());
    let text =
        config(&[("blind", blind.port), ("seeing", seeing.port)], "primary: 'blind/m1'", "env: {}");
    home.configure(&text.replace("defaults: {", "defaults: {imageModel: 'seeing/m1', "));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let image = json!([{"mimeType": "image/png", "content": pixel}]);
    let sent = json!({"sessionKey": "main", "message": "see", "idempotencyKey": "r1",
        "attachments": image});
    socket.call("chat.send", &sent).expect("started");
    socket.chat_end("r1");
    assert!(seeing.asked().body.to_string().contains(pixel));
    let plain = json!({"sessionKey": "other", "message": "hi", "idempotencyKey": "r2"});
    socket.call("chat.send", &plain).expect("started");
    socket.chat_end("r2");
    assert_eq!(blind.asked().said(), "hi");
    assert!(blind.rest().is_empty() && seeing.rest().is_empty());
}

#[test]
fn skills_stand_in_the_prompt_of_an_agent_that_can_read_them() {
    let home = Home::new();
    let provider = Provider::echo();
    let text = provider
        .config("env: {}")
        .replace("agents: {", "agents: {list: [{id: 'main'}, {id: 'b', skills: ['other']}],");
    home.configure(&text);
    let dir = home.state().join("skills/notes");
    fs::create_dir_all(&dir).expect("a folder");
    let head = "---\nname: notes\ndescription: Keep <notes>.\n---\nSECRET STEPS\n";
    fs::write(dir.join("SKILL.md"), head).expect("written");
    let gateway = home.start("");
    let prompt = |model: &str| {
        let body = completion(model, json!([{"role": "user", "content": "hi"}]));
        assert_eq!(ask(gateway.port, common::http::chat(&body)).status, 200);
        system(&provider.asked())
    };
    let text = prompt("openclaw/main");
    assert!(text.contains("\n- read: "), "{text}");
    let skill = format!(
        "<skill><name>notes</name><description>Keep &lt;notes&gt;.</description>\
         <location>{}</location></skill>",
        dir.join("SKILL.md").display()
    );
    assert!(text.contains(&skill), "{text}");
    assert!(!text.contains("SECRET STEPS"), "{text}");
    assert!(!prompt("openclaw/b").contains("available_skills"), "not on its list");
}

#[test]
fn agents_are_kept_by_commands_without_a_gateway() {
    let home = Home::new();
    home.configure(&format!("// mine\n{}", config(&[], "primary: 'local/echo'", "env: {}")));
    let state = home.state();
    let json_of = |ran: common::Ran| -> Value {
        assert_eq!(ran.code, 0, "{ran:?}");
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    };
    let listed = json_of(home.run("agents --json"));
    assert_eq!(
        listed,
        json!([{"id": "main", "workspace": state.join("workspace"), "model": "local/echo",
            "agentDir": state.join("agents/main/agent"), "isDefault": true, "bindings": 0}])
    );
    let added = json_of(home.run("agents add Work --non-interactive --json"));
    assert_eq!(
        added,
        json!({"agentId": "work", "name": "Work", "workspace": state.join("workspace-work"),
            "agentDir": state.join("agents/work/agent")})
    );
    assert!(state.join("workspace-work/SOUL.md").is_file());
    let again = home.run("agents add work");
    assert!(again.code == 1 && again.err.contains("already exists"), "{again:?}");
    fs::write(state.join("workspace-work/IDENTITY.md"), "- Name: Wanda\n- Emoji: 🐟\n").unwrap();
    let set =
        json_of(home.run("agents set-identity --agent work --from-identity --theme calm --json"));
    assert_eq!(
        set["identity"],
        json!({"name": "Wanda", "theme": "calm", "emoji": "🐟", "avatar": null})
    );
    let shown = home.run("agents list");
    assert!(shown.out.contains("main (default)  local/echo  "), "{shown:?}");
    assert!(shown.out.contains("work  🐟 Wanda  local/echo  "), "{shown:?}");
    let text = fs::read_to_string(state.join("openclaw.json")).expect("the configuration");
    assert!(text.starts_with("// mine\n"), "{text}");

    let asked = home.run("agents delete work");
    assert!(asked.code == 1 && asked.err.contains("agents delete work --force"), "{asked:?}");
    // With a gateway that answers it does it, so that no session is written again behind it.
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    assert_eq!(socket.call("agents.list", &json!({})).unwrap()["agents"][1]["id"], "work");
    let gone = json_of(home.ask(gateway.port, "agents delete work --force --json"));
    assert_eq!(gone["removed"][0]["method"], "trash", "{gone}");
    assert_eq!(socket.call("agents.list", &json!({})).unwrap()["agents"][1], Value::Null);
    drop(gateway);
    // Without one it happens here.
    let port = common::DeadPort::new();
    json_of(home.run("agents add two --json"));
    let gone = json_of(home.ask(port.number(), "agents delete two --force --json"));
    assert_eq!(gone["removed"][1]["method"], "missing", "{gone}");
    assert!(!state.join("workspace-two").exists());
    for line in ["agents delete main --force", "agents delete none --force", "agents add -"] {
        let ran = home.ask(port.number(), line);
        assert!(ran.code == 1 && !ran.err.is_empty(), "{line}: {ran:?}");
    }
    assert_eq!(home.run("config validate").code, 0);
}

#[test]
fn skills_are_shown_by_commands() {
    let home = Home::new();
    home.configure(&config(&[], "primary: 'local/echo'", "env: {}"));
    let empty = home.run("skills");
    assert!(empty.out.contains("no skills; put folders with a SKILL.md into"), "{empty:?}");
    for (name, more) in
        [("good", ""), ("bad", "\nmetadata: {openclaw: {requires: {bins: ['x-y']}}}")]
    {
        let dir = home.state().join("skills").join(name);
        fs::create_dir_all(&dir).expect("a folder");
        let head = format!("---\nname: {name}\ndescription: Is {name}.{more}\n---\n");
        fs::write(dir.join("SKILL.md"), head).expect("written");
    }
    let list = home.run("skills list");
    assert_eq!(list.out, "- bad  Is bad.\n+ good  Is good.\n", "{list:?}");
    let eligible = home.run("skills list --eligible --json");
    let report: Value = serde_json::from_str(&eligible.out).expect("a document");
    assert_eq!(report["skills"].as_array().map(Vec::len), Some(1), "{report}");
    let info = home.run("skills info bad");
    assert!(info.out.contains("state   needs program x-y"), "{info:?}");
    let check = home.run("skills check");
    assert!(
        check.out.starts_with("2 skills, 1 of them shown to the model\n  bad: needs"),
        "{check:?}"
    );
    let none = home.run("skills info none");
    assert!(none.code == 1 && none.err.contains("openclaw skills list"), "{none:?}");
}

#[test]
fn a_skills_key_reaches_the_commands_of_its_agent_and_nothing_else() {
    let home = Home::new();
    let provider = Provider::start(|asked, reply| {
        let messages = asked.body["messages"].as_array().expect("messages");
        if messages.iter().any(|message| message["role"] == "tool") {
            return reply.say("done");
        }
        let arguments =
            json!({"command": "echo \"[$SKILL_KEY][$OTHER][$PLAIN][$OPENAI_API_KEY]\""});
        reply.head();
        reply.event(&json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0,
            "id": "c1", "function": {"name": "exec", "arguments": arguments.to_string()}}]}}]}));
        reply.finish("tool_calls");
    });
    home.configure(&provider.config(
        "env: {OPENAI_API_KEY: 'sk-of-the-gateway'}, skills: {entries: {\
           keyed: {apiKey: 'sk-skill', env: {PLAIN: 'plain'}}, off: {enabled: false, env: {OTHER: 'x'}}}}",
    ));
    for (name, variable) in [("keyed", "SKILL_KEY"), ("off", "OTHER"), ("thief", "OPENAI_API_KEY")]
    {
        let dir = home.state().join("skills").join(name);
        fs::create_dir_all(&dir).expect("a folder");
        let head = format!(
            "---\nname: {name}\ndescription: d\nmetadata: {{openclaw: {{primaryEnv: '{variable}', \
             requires: {{env: ['{variable}']}}}}}}\n---\n"
        );
        fs::write(dir.join("SKILL.md"), head).expect("written");
    }
    let gateway = home.start("");
    let ran = home.ask(gateway.port, "agent --agent main -m go");
    assert_eq!((ran.code, ran.out.as_str()), (0, "done\n"), "{ran:?}");
    provider.asked();
    let second = provider.asked().body;
    let messages = second["messages"].as_array().expect("messages");
    let result = messages.iter().find(|message| message["role"] == "tool").expect("a result");
    let text = result["content"].to_string();
    assert!(text.contains("[sk-skill][][plain][]"), "{text}");
}
