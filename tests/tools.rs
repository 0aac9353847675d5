//! File tools in the real binary: a scripted model reads, writes, edits and searches; policies
//! and the workspace hold; clients see and call tools by RPC.

mod common;

use common::Home;
use common::provider::{Asked, Provider, Reply};
use common::socket::Socket;
use serde_json::{Value, json};

/// What a message `tool {json}` asks for: the model does as it is told, then repeats the result.
fn obedient(asked: &Asked, reply: &mut Reply) {
    match asked.result() {
        Some(result) => reply.say(&format!("got {result}")),
        None => {
            let said = asked.said();
            let (name, args) = said.split_once(' ').expect("a tool and its arguments");
            reply.call(name, args);
        }
    }
}

fn ask(socket: &mut Socket, run: &str, message: &str) -> String {
    let params = json!({"sessionKey": "main", "message": message, "idempotencyKey": run});
    socket.call("chat.send", &params).unwrap();
    socket.chat_end(run)["message"]["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_model_works_on_files_and_stays_in_the_workspace() {
    let home = Home::new();
    let provider = Provider::start(obedient);
    let more = "tools: { fs: { workspaceOnly: true }, deny: ['session_status'] },";
    home.configure(&provider.config(more));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let workspace = home.state().join("workspace");
    let outside = home.state().join("outside.txt");
    std::fs::write(&outside, "secret words").expect("written");
    let mut run = 0;
    let mut tool = |name: &str, args: Value| {
        run += 1;
        ask(&mut socket, &format!("r{run}"), &format!("{name} {args}"))
    };
    let said = tool("write", json!({"path": "src/a.txt", "content": "one\ntwo\nthree\n"}));
    assert!(said.contains("Wrote 14 bytes to src/a.txt"), "{said}");
    let said =
        tool("edit", json!({"path": "src/a.txt", "edits": [{"oldText": "two", "newText": "2"}]}));
    assert!(said.contains("Edited src/a.txt"), "{said}");
    let said = tool("read", json!({"path": "src/a.txt", "offset": 2}));
    assert!(said.contains("2") && said.contains("three") && !said.contains("one"), "{said}");
    let said = tool("grep", json!({"pattern": "^t\\w+e$"}));
    assert!(said.contains("src/a.txt:3: three"), "{said}");
    let said = tool("find", json!({"pattern": "*.txt"}));
    assert!(said.contains("src/a.txt"), "{said}");
    let patch = "*** Begin Patch\n*** Update File: src/a.txt\n*** Move to: b.txt\n@@\n-three\n\
                 +3\n*** End Patch";
    let said = tool("apply_patch", json!({"input": patch}));
    assert!(said.contains("A b.txt") && said.contains("D src/a.txt"), "{said}");
    assert_eq!(std::fs::read_to_string(workspace.join("b.txt")).expect("moved"), "one\n2\n3\n");
    std::fs::write(workspace.join("MEMORY.md"), "Anna likes green tea\n").expect("written");
    let said = tool("memory_search", json!({"query": "what tea does Anna like"}));
    assert!(said.contains("MEMORY.md") && said.contains("green tea"), "{said}");
    std::os::unix::fs::symlink(&outside, workspace.join("link")).expect("a link");
    for args in [
        json!({"path": "../outside.txt"}),
        json!({"path": outside.to_str()}),
        json!({"path": "link"}),
        json!({"path": "src/../../outside.txt"}),
    ] {
        let said = tool("read", args.clone());
        assert!(said.contains("outside the workspace"), "{args}: {said}");
        assert!(!said.contains("secret words"));
    }
    let said = tool("write", json!({"path": "link", "content": "x"}));
    assert!(said.contains("outside the workspace"), "{said}");
    assert_eq!(std::fs::read_to_string(&outside).expect("still there"), "secret words");
    let said = tool("session_status", json!({}));
    assert!(said.contains("Tool session_status not found"), "denied: {said}");
    let declared = provider.asked().body["tools"].to_string();
    assert!(declared.contains("\"apply_patch\"") && !declared.contains("session_status"));
}

#[test]
fn a_model_that_turns_in_circles_is_told_and_stopped() {
    let home = Home::new();
    let provider = Provider::start(|_, reply: &mut Reply| reply.call("ls", json!({})));
    let more = "tools: { loopDetection: { enabled: true, warningThreshold: 2, \
                criticalThreshold: 4 } },";
    home.configure(&provider.config(more));
    let gateway = home.start("");
    let mut socket = Socket::connect(gateway.port);
    let params = json!({"sessionKey": "main", "message": "go", "idempotencyKey": "r"});
    socket.call("chat.send", &params).unwrap();
    let end = socket.chat_end("r").to_string();
    assert!(end.contains("loopDetection"), "{end}");
    let asked = provider.rest();
    assert_eq!(asked.len(), 6, "four calls, one blocked, one that ends the run");
    let last = asked.last().map(|asked| asked.body["messages"].to_string()).unwrap_or_default();
    assert!(last.contains("2 times with the same result") && last.contains("is not made"));
}

#[test]
fn clients_see_and_call_tools() {
    let home = Home::new();
    let provider = Provider::start(obedient);
    home.configure(&provider.config("tools: { profile: 'coding', deny: ['web_fetch', 'raed'] },"));
    let mut gateway = home.start("");
    gateway.wait_for("no tool is called \"raed\"");
    let mut socket = Socket::connect(gateway.port);
    std::fs::write(home.state().join("workspace/a.txt"), "text").expect("written");
    let catalog = socket.call("tools.catalog", &json!({})).unwrap();
    assert_eq!(catalog["groups"][0]["id"], "fs");
    assert!(catalog.to_string().contains("web_fetch"), "the catalog has everything");
    let effective = socket.call("tools.effective", &json!({"sessionKey": "main"})).unwrap();
    assert_eq!(effective["profile"], "coding");
    let rows = effective["groups"][0]["tools"].as_array().expect("rows");
    let has = |name: &str| rows.iter().any(|row| row["id"] == name);
    assert!(has("read") && !has("web_fetch") && !has("message"));
    let params = json!({"name": "read", "args": {"path": "a.txt"}});
    let answer = socket.call("tools.invoke", &params).unwrap();
    assert_eq!(answer["ok"], true);
    assert_eq!(answer["output"]["content"][0]["text"], "text");
    for (params, code) in [
        (json!({"name": "read", "args": {"path": "none"}}), "tool_error"),
        (json!({"name": "read", "args": {}}), "tool_error"),
        (json!({"name": "nope"}), "not_found"),
        (json!({"name": "web_fetch", "args": {"url": "http://x"}}), "not_found"),
        (json!({"name": "apply_patch", "args": {"input": "x"}}), "not_found"),
    ] {
        let answer = socket.call("tools.invoke", &params).unwrap();
        assert_eq!((&answer["ok"], &answer["error"]["code"]), (&json!(false), &json!(code)));
    }
}
