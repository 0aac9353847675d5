//! Nodes as their peers see them: claims, approval, invocations, events, wake words.
#![cfg(feature = "tls")]

mod common;

use common::device::{self, Device, by_token, token_of};
use common::http::TOKEN;
use common::provider::config;
use common::socket::{Socket, params};
use common::{Gateway, Home, mode};
use openclaw_gateway::limits;
use serde_json::{Value, json};

const ALL: [&str; 5] =
    ["operator.admin", "operator.read", "operator.write", "operator.pairing", "operator.approvals"];

fn start(home: &Home, more: &str) -> Gateway {
    home.configure(&config(&[], "primary: 'local/echo'", more));
    home.start("")
}

fn operator(port: u16, scopes: &[&str]) -> Socket {
    let mut asked = params();
    asked["scopes"] = json!(scopes);
    asked["caps"] = json!(["approvals"]);
    Socket::with(port, &asked)
}

/// Connects as a node that declares these commands.
fn join(device: &Device, port: u16, commands: &[&str]) -> Socket {
    device.connect(port, &declaring(commands))
}

fn declaring(commands: &[&str]) -> Value {
    let mut asked = device::node();
    asked["client"]["displayName"] = json!("kit node");
    asked["client"]["deviceFamily"] = json!("Linux");
    asked["caps"] = json!(["system"]);
    asked["commands"] = json!(commands);
    asked["permissions"] = json!({"screen": true});
    asked
}

fn request_of(operator: &mut Socket, device: &Device) -> Value {
    let list = operator.call("node.pair.list", &json!({})).expect("a list");
    let rows = list["pending"].as_array().expect("rows").clone();
    rows.into_iter().find(|row| row["nodeId"] == device.id).expect("a request")
}

fn approve(operator: &mut Socket, device: &Device) -> Value {
    let id = request_of(operator, device)["requestId"].clone();
    operator.call("node.pair.approve", &json!({"requestId": id})).expect("approved")
}

fn ask(device: &Device, command: &str, params: Value, key: &str) -> Value {
    json!({"nodeId": device.id, "command": command, "params": params, "idempotencyKey": key,
        "timeoutMs": 10_000})
}

fn asked(node: &mut Socket) -> Value {
    let event = node.event(|frame| frame["event"] == "node.invoke.request");
    assert!(event.get("seq").is_none(), "{event}");
    event["payload"].clone()
}

fn answer(node: &mut Socket, request: &Value, with: &Value) -> Value {
    let mut result = with.clone();
    result["id"] = request["id"].clone();
    result["nodeId"] = request["nodeId"].clone();
    node.call("node.invoke.result", &result).expect("taken")
}

#[test]
fn a_node_is_greeted_asks_and_is_approved_by_who_may() {
    let home = Home::new();
    let gateway = start(&home, "");
    let device = Device::new(1);
    let mut boss = operator(gateway.port, &ALL);
    let mut reader = operator(gateway.port, &["operator.read"]);
    let mut node =
        join(&device, gateway.port, &["system.run", "camera.snap", "system.which", "odd"]);
    assert_eq!(node.hello["auth"]["role"], "node");
    assert_eq!(node.hello["auth"]["scopes"], json!([]));
    for (event, payload) in [
        ("voicewake.changed", json!({"triggers": ["openclaw", "claude", "computer"]})),
        (
            "voicewake.routing.changed",
            json!({"config": {"version": 1, "defaultTarget": {"mode": "current"}, "routes": [],
                "updatedAtMs": 0}}),
        ),
    ] {
        let frame = node.frame();
        assert_eq!((&frame["event"], &frame["payload"]), (&json!(event), &payload));
        assert!(frame.get("seq").is_none(), "{frame}");
    }
    let told = boss.event(|frame| frame["event"] == "node.pair.requested");
    assert_eq!(told["payload"]["commands"], json!(["system.run", "system.which"]));
    let scopes = json!(["operator.pairing", "operator.admin"]);
    assert_eq!(told["payload"]["requiredApproveScopes"], scopes);
    let list = boss.call("node.list", &json!({})).expect("a list");
    let row = &list["nodes"][0];
    assert_eq!(row["approvalState"], "pending-approval");
    assert_eq!((&row["commands"], &row["connected"]), (&json!([]), &json!(true)));
    assert_eq!(row["pendingDeclaredCommands"], json!(["system.run", "system.which"]));

    let request = told["payload"]["requestId"].clone();
    let params = json!({"requestId": request});
    let mut writer = operator(gateway.port, &["operator.pairing", "operator.write"]);
    let error = writer.call("node.pair.approve", &params).expect_err("not an admin");
    let details = json!({"code": "MISSING_SCOPE", "missingScope": "operator.admin",
        "requiredScopes": scopes});
    assert_eq!((&error["code"], &error["details"]), (&json!("FORBIDDEN"), &details));
    let approved = boss.call("node.pair.approve", &params).expect("approved");
    assert_eq!(approved["node"]["commands"], json!(["system.run", "system.which"]));
    let resolved = boss.event(|frame| frame["event"] == "node.pair.resolved");
    assert_eq!(resolved["payload"]["decision"], "approved");
    let heard = node.event(|frame| frame["event"] == "node.pair.resolved");
    assert!(heard.get("seq").is_none(), "{heard}");
    let described = boss.call("node.describe", &json!({"nodeId": device.id})).expect("a row");
    assert_eq!(described["approvalState"], "approved");
    assert_eq!(described["commands"], json!(["system.run", "system.which"]));
    assert_eq!(
        boss.call("node.pair.approve", &params).expect_err("gone")["message"],
        "unknown requestId"
    );
    assert_eq!(mode(&home.state().join("nodes.json")), 0o600);

    reader.is_alive();
    let heard: Vec<&Value> = reader.events.iter().map(|frame| &frame["event"]).collect();
    assert!(
        !heard.iter().any(|event| event.as_str().is_some_and(|e| e.starts_with("node.pair"))),
        "pairing is not for readers: {heard:?}"
    );
}

#[test]
fn roles_do_not_call_each_others_methods() {
    let home = Home::new();
    let gateway = start(&home, "");
    let mut node = join(&Device::new(1), gateway.port, &[]);
    let mut boss = operator(gateway.port, &ALL);
    for method in ["node.list", "status", "chat.send", "voicewake.get", "node.invoke"] {
        let error = node.call(method, &json!({})).expect_err(method);
        assert_eq!(error["message"], "unauthorized role: node", "{method}");
    }
    for method in ["node.event", "node.invoke.result", "skills.bins", "node.pending.pull"] {
        let error = boss.call(method, &json!({})).expect_err(method);
        assert_eq!(error["message"], "unauthorized role: operator", "{method}");
    }
    assert!(node.call("skills.bins", &json!({})).expect("bins")["bins"].is_array());
}

#[test]
fn an_invocation_has_one_answer_from_the_node_that_was_asked() {
    let home = Home::new();
    let gateway = start(&home, "");
    let (device, other) = (Device::new(1), Device::new(2));
    let mut boss = operator(gateway.port, &ALL);
    let mut node = join(&device, gateway.port, &["system.which", "system.notify"]);
    let mut stranger = join(&other, gateway.port, &["system.notify"]);
    approve(&mut boss, &device);
    let id =
        boss.request("node.invoke", &ask(&device, "system.which", json!({"bins": ["ls"]}), "k"));
    let request = asked(&mut node);
    assert_eq!(request["paramsJSON"], "{\"bins\":[\"ls\"]}");
    assert_eq!((&request["idempotencyKey"], &request["timeoutMs"]), (&json!("k"), &json!(10_000)));
    let good = json!({"ok": true, "payloadJSON": "{\"a\":1}"});
    // Another node knows the id: as itself it is nobody, as the asked one it is refused.
    let mut forged = good.clone();
    forged["id"] = request["id"].clone();
    forged["nodeId"] = json!(other.id);
    let said = stranger.call("node.invoke.result", &forged).expect("an answer");
    assert_eq!(said, json!({"ok": true, "ignored": true}));
    forged["nodeId"] = json!(device.id);
    let error = stranger.call("node.invoke.result", &forged).expect_err("another");
    assert_eq!(error["message"], "nodeId mismatch");
    // The same invocation again joins it; another by that key is refused.
    let twin =
        boss.request("node.invoke", &ask(&device, "system.which", json!({"bins": ["ls"]}), "k"));
    let error = boss.call("node.invoke", &ask(&device, "system.notify", json!({}), "k"));
    assert!(error.expect_err("in use")["message"].as_str().unwrap().contains("idempotencyKey"));
    assert_eq!(answer(&mut node, &request, &good), json!({"ok": true}));
    for id in [id, twin] {
        let want = json!({"ok": true, "nodeId": device.id, "command": "system.which",
            "payload": {"a": 1}, "payloadJSON": "{\"a\":1}"});
        assert_eq!(boss.response(&id).expect("an answer"), want);
    }
    assert_eq!(answer(&mut node, &request, &good), json!({"ok": true, "ignored": true}));

    let id = boss.request("node.invoke", &ask(&device, "system.notify", json!({}), "e"));
    let request = asked(&mut node);
    let broken = json!({"ok": false, "error": {"code": "BOOM", "message": "it broke"}});
    answer(&mut node, &request, &broken);
    let error = boss.response(&id).expect_err("failed");
    assert_eq!(error["message"], "BOOM: it broke");
    assert_eq!(
        error["details"],
        json!({"nodeError": broken["error"],
        "nodeCommandDispatched": true})
    );

    let mut quick = ask(&device, "system.notify", json!({}), "t");
    quick["timeoutMs"] = json!(50);
    let error = boss.call("node.invoke", &quick).expect_err("too late");
    assert_eq!(error["details"]["nodeError"]["code"], "TIMEOUT");

    let id = boss.request("node.invoke", &ask(&device, "system.notify", json!({}), "d"));
    asked(&mut node);
    drop(node);
    let error = boss.response(&id).expect_err("gone");
    assert_eq!(error["details"]["nodeError"]["code"], "DISCONNECTED");
    let error = boss.call("node.invoke", &quick).expect_err("away");
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("UNAVAILABLE"), &json!("node not connected"))
    );
    assert_eq!(
        error["details"],
        json!({"code": "NOT_CONNECTED", "nodeCommandDispatched": false,
        "nodeError": {"code": "NOT_CONNECTED", "message": "node not connected"}})
    );
}

#[test]
fn a_claim_never_widens_what_was_approved_and_permitted() {
    let home = Home::new();
    let nodes = "gateway: {auth: {token: '@'}, nodes: {commands: \
                 {allow: ['camera.snap', 'my.own'], deny: ['system.which']}}}"
        .replace('@', TOKEN);
    let text = format!("{{{nodes}, agents: {{defaults: {{model: {{primary: 'local/echo'}}}}}}}}");
    home.configure(&text.replace("gateway: {", "gateway: {mode: 'local', "));
    let gateway = home.start("");
    let device = Device::new(1);
    let mut boss = operator(gateway.port, &ALL);
    let node = join(&device, gateway.port, &["camera.snap", "system.which", "sms.send", "my.own"]);
    let reason = |boss: &mut Socket, command: &str| {
        let error = boss.call("node.invoke", &ask(&device, command, json!({}), command));
        let error = error.expect_err(command);
        (error["details"].clone(), error["message"].as_str().unwrap().to_owned())
    };
    let (details, _) = reason(&mut boss, "my.own");
    assert_eq!(details["code"], "PAIRING_CHANGED", "nothing before an approval");
    let node_row = approve(&mut boss, &device);
    assert_eq!(node_row["node"]["commands"], json!(["camera.snap", "my.own"]));
    for (command, part) in [
        ("system.which", "gateway.nodes.commands.deny"),
        ("sms.send", "gateway.nodes.commands.allow opt-in"),
        ("device.info", "allowlist for platform \"linux\""),
        ("system.notify", "allowlist for platform \"linux\""),
    ] {
        let (details, message) = reason(&mut boss, command);
        assert_eq!(details, json!({"reason": "command not allowlisted", "command": command}));
        assert!(message.contains(part), "{message}");
    }
    let (_, message) = reason(&mut boss, "system.execApprovals.get");
    assert!(message.contains("exec.approvals.node"), "{message}");
    let mut reader = operator(gateway.port, &["operator.read"]);
    let error = reader.call("node.invoke", &ask(&device, "my.own", json!({}), "r"));
    assert_eq!(error.expect_err("read only")["details"]["missingScope"], "operator.write");

    // It comes back with more: the new command waits, the old one works, the lost one does not.
    drop(node);
    let mut node = join(&device, gateway.port, &["my.own", "system.notify"]);
    let (details, _) = reason(&mut boss, "system.notify");
    assert_eq!(details["reason"], "command not allowlisted");
    let (details, _) = reason(&mut boss, "camera.snap");
    assert_eq!(details["reason"], "command not allowlisted");
    let id = boss.request("node.invoke", &ask(&device, "my.own", json!({}), "m"));
    let request = asked(&mut node);
    answer(&mut node, &request, &json!({"ok": true}));
    assert!(boss.response(&id).is_ok());
    let row = boss.call("node.describe", &json!({"nodeId": device.id})).expect("a row");
    assert_eq!(row["approvalState"], "pending-reapproval");
    assert_eq!(row["commands"], json!(["my.own"]));
    let id = request_of(&mut boss, &device)["requestId"].clone();
    boss.call("node.pair.reject", &json!({"requestId": id})).expect("rejected");
    let row = boss.call("node.describe", &json!({"nodeId": device.id})).expect("a row");
    assert_eq!(row["approvalState"], "approved");
}

/// A gateway whose policy asks for every command.
fn asking(home: &Home) -> Gateway {
    let gateway = start(home, "tools: {exec: {ask: 'always'}}");
    assert!(gateway.port > 0);
    gateway
}

fn yes(asker: &mut Socket, boss: &mut Socket, question: &Value) -> String {
    let id = asker.request("exec.approval.request", question);
    let told = boss.event(|frame| frame["event"] == "exec.approval.requested");
    let approval = told["payload"]["id"].as_str().expect("an id").to_owned();
    let answer = json!({"id": approval, "decision": "allow-once"});
    boss.call("exec.approval.resolve", &answer).expect("resolved");
    asker.response(&id).expect("a decision");
    approval
}

#[test]
fn a_command_on_a_node_needs_a_yes_that_is_for_it_and_good_once() {
    let home = Home::new();
    let gateway = asking(&home);
    let (device, other) = (Device::new(1), Device::new(2));
    let mut boss = operator(gateway.port, &ALL);
    let mut asker = operator(gateway.port, &["operator.write", "operator.approvals"]);
    let mut node = join(&device, gateway.port, &["system.run"]);
    let _second = join(&other, gateway.port, &["system.run"]);
    approve(&mut boss, &device);
    approve(&mut boss, &other);
    let code = |asker: &mut Socket, device: &Device, params: Value| {
        let error = asker.call("node.invoke", &ask(device, "system.run", params, "x"));
        error.expect_err("refused")["details"]["code"].as_str().unwrap_or_default().to_owned()
    };
    let ls = |more: Value| {
        let mut params = json!({"command": ["ls", "-l"]});
        for (name, value) in more.as_object().expect("an object") {
            params[name] = value.clone();
        }
        params
    };
    assert_eq!(code(&mut asker, &device, ls(json!({}))), "APPROVAL_REQUIRED");
    let claimed = json!({"approved": true, "approvalDecision": "allow-always"});
    assert_eq!(code(&mut asker, &device, ls(claimed)), "MISSING_RUN_ID");
    let made_up = json!({"approved": true, "runId": "made-up"});
    assert_eq!(code(&mut asker, &device, ls(made_up)), "UNKNOWN_APPROVAL_ID");
    assert_eq!(code(&mut asker, &device, json!({"command": "ls"})), "INVALID_PARAMS");
    let raw = json!({"rawCommand": "rm -rf /"});
    assert_eq!(code(&mut asker, &device, ls(raw)), "RAW_COMMAND_MISMATCH");

    let question = json!({"host": "node", "nodeId": device.id, "commandArgv": ["ls", "-l"],
        "cwd": "/tmp"});
    let run = yes(&mut asker, &mut boss, &question);
    let with = |more: Value| {
        let mut params = ls(json!({"approved": true, "runId": run, "cwd": "/tmp"}));
        for (name, value) in more.as_object().expect("an object") {
            params[name] = value.clone();
        }
        params
    };
    assert_eq!(code(&mut boss, &device, with(json!({}))), "APPROVAL_CLIENT_MISMATCH");
    assert_eq!(code(&mut asker, &other, with(json!({}))), "APPROVAL_NODE_MISMATCH");
    for wrong in [
        json!({"command": ["ls", "-l", "/"]}),
        json!({"command": ["ls -l"]}),
        json!({"cwd": "/"}),
        json!({"env": {"PATH": "/evil"}}),
    ] {
        assert_eq!(
            code(&mut asker, &device, with(wrong.clone())),
            "APPROVAL_REQUEST_MISMATCH",
            "{wrong}"
        );
    }
    let params = with(json!({"approvalDecision": "allow-always", "evil": 1}));
    let id = asker.request("node.invoke", &ask(&device, "system.run", params.clone(), "go"));
    let request = asked(&mut node);
    let sent: Value = serde_json::from_str(request["paramsJSON"].as_str().unwrap()).unwrap();
    assert_eq!(
        sent,
        json!({"command": ["ls", "-l"], "cwd": "/tmp", "runId": run,
        "approved": true, "approvalDecision": "allow-once"})
    );
    answer(&mut node, &request, &json!({"ok": true, "payloadJSON": "{}"}));
    asker.response(&id).expect("run");
    assert_eq!(code(&mut asker, &device, params), "UNKNOWN_APPROVAL_ID", "good once");
}

#[test]
fn without_a_policy_that_asks_a_command_goes_through_bare_of_approval() {
    let home = Home::new();
    let gateway = start(&home, "");
    let device = Device::new(1);
    let mut boss = operator(gateway.port, &ALL);
    let mut node = join(&device, gateway.port, &["system.run"]);
    approve(&mut boss, &device);
    let params = json!({"command": ["ls"], "approved": false, "evil": true, "runId": "mine"});
    let id = boss.request("node.invoke", &ask(&device, "system.run", params, "k"));
    let request = asked(&mut node);
    let sent: Value = serde_json::from_str(request["paramsJSON"].as_str().unwrap()).unwrap();
    assert_eq!(sent["command"], json!(["ls"]));
    assert!(sent.get("approved").is_none() && sent.get("evil").is_none(), "{sent}");
    assert_ne!(sent["runId"], "mine");
    answer(&mut node, &request, &json!({"ok": true}));
    boss.response(&id).expect("an answer");
    // Switched off at the gateway, it is off on nodes too.
    let document = json!({"version": 1, "defaults": {"security": "deny"}});
    std::fs::write(home.state().join("exec-approvals.json"), document.to_string()).unwrap();
    let error =
        boss.call("node.invoke", &ask(&device, "system.run", json!({"command": ["ls"]}), "n"));
    assert_eq!(error.expect_err("denied")["details"]["code"], "SYSTEM_RUN_DENIED");
}

#[test]
fn a_removed_node_is_closed_at_once_and_has_nothing_after_a_restart() {
    let home = Home::new();
    let gateway = start(&home, "");
    let device = Device::new(1);
    let mut boss = operator(gateway.port, &ALL);
    let mut node = join(&device, gateway.port, &["system.which"]);
    let token = token_of(&node);
    approve(&mut boss, &device);
    let id = boss.request("node.invoke", &ask(&device, "system.which", json!({}), "k"));
    asked(&mut node);
    boss.call("node.pair.remove", &json!({"nodeId": device.id})).expect("removed");
    assert_eq!(
        boss.response(&id).expect_err("gone")["details"]["nodeError"]["code"],
        "DISCONNECTED"
    );
    assert_eq!(node.closed(), (Some(4001), "device removed".to_owned()));
    let told = boss.event(|frame| {
        frame["event"] == "node.pair.resolved" && frame["payload"]["decision"] == "removed"
    });
    assert_eq!(told["payload"]["nodeId"], json!(device.id));
    let list = boss.call("node.list", &json!({})).expect("a list");
    assert_eq!(list["nodes"], json!([]));
    let unknown = boss.call("node.pair.remove", &json!({"nodeId": device.id}));
    assert_eq!(unknown.expect_err("unknown")["message"], "unknown nodeId");
    // Its own token is void from here on, and after a restart.
    let own = by_token(declaring(&["system.which"]), &token);
    assert_eq!(device.refused(gateway.port, &own).code, Some(1008));
    drop((boss, gateway));
    let gateway = home.start("");
    assert_eq!(device.refused(gateway.port, &own).code, Some(1008));
    // With the shared secret it is a new node, that may nothing.
    let mut boss = operator(gateway.port, &ALL);
    let _node = join(&device, gateway.port, &["system.which"]);
    let error = boss.call("node.invoke", &ask(&device, "system.which", json!({}), "k2"));
    assert_eq!(error.expect_err("not approved")["details"]["code"], "PAIRING_CHANGED");
}

#[test]
fn approvals_names_and_requests_survive_a_crash() {
    let home = Home::new();
    let gateway = start(&home, "");
    let (device, waiting) = (Device::new(1), Device::new(2));
    let mut boss = operator(gateway.port, &ALL);
    let _node = join(&device, gateway.port, &["system.which"]);
    approve(&mut boss, &device);
    let name = json!({"nodeId": device.id, "displayName": "Kitchen"});
    boss.call("node.rename", &name).expect("renamed");
    let _other = join(&waiting, gateway.port, &["system.notify"]);
    let request = request_of(&mut boss, &waiting);
    // A rename is written at once, and everything else with it.
    boss.call("node.rename", &name).expect("renamed");
    drop((boss, gateway));
    let gateway = home.start("");
    let mut boss = operator(gateway.port, &ALL);
    assert_eq!(request_of(&mut boss, &waiting)["requestId"], request["requestId"]);
    let row = boss.call("node.describe", &json!({"nodeId": device.id})).expect("a row");
    assert_eq!((&row["displayName"], &row["connected"]), (&json!("Kitchen"), &json!(false)));
    assert_eq!(row["commands"], json!(["system.which"]));
    let mut node = join(&device, gateway.port, &["system.which"]);
    let id = boss.request("node.invoke", &ask(&device, "system.which", json!({}), "k"));
    let request = asked(&mut node);
    answer(&mut node, &request, &json!({"ok": true}));
    boss.response(&id).expect("an answer");
}

#[test]
fn a_damaged_registry_is_put_aside_and_approves_nobody() {
    let home = Home::new();
    home.configure(&config(&[], "primary: 'local/echo'", ""));
    std::fs::write(home.state().join("nodes.json"), "{\"version\":1,\"nodes\":[").unwrap();
    let gateway = home.start("");
    let mut boss = operator(gateway.port, &ALL);
    assert_eq!(boss.call("node.list", &json!({})).expect("a list")["nodes"], json!([]));
    assert!(home.state().join("nodes.json.damaged").exists());
}

#[test]
fn events_of_a_node_are_kept_or_said_to_be_not() {
    let home = Home::new();
    let gateway = start(&home, "");
    let device = Device::new(1);
    let mut boss = operator(gateway.port, &ALL);
    let mut node = join(&device, gateway.port, &[]);
    let stats = json!({"cpuCount": 8, "memoryTotalBytes": 100, "memoryFreeBytes": 10});
    for (event, payload, handled, reason) in [
        ("node.presence.alive", json!({"trigger": "manual"}), true, "persisted"),
        ("node.presence.alive", json!({}), true, "throttled"),
        ("node.host.stats", stats.clone(), true, "updated"),
        ("node.host.stats", json!({"cpuCount": 0}), false, "invalid_payload"),
        ("exec.finished", json!({"sessionKey": "main"}), false, "unmatched_exec_event"),
        ("agent.request", json!({"message": "hi"}), false, "unsupported_event"),
    ] {
        let said = node.call("node.event", &json!({"event": event, "payload": payload}));
        let want = json!({"ok": true, "event": event, "handled": handled, "reason": reason});
        assert_eq!(said.expect("an answer"), want);
    }
    let bad = json!({"event": "node.host.stats", "payloadJSON": "{oops"});
    assert_eq!(node.call("node.event", &bad).expect("an answer")["reason"], "invalid_payload");
    let told = boss.event(|frame| frame["event"] == "node.hostStats");
    assert_eq!(told["payload"]["hostStats"]["cpuCount"], 8);
    // An older connection of the same node no longer speaks for it.
    let _newer = join(&device, gateway.port, &[]);
    let stale = node.call("node.event", &json!({"event": "node.host.stats", "payload": stats}));
    assert_eq!(stale.expect("an answer")["reason"], "stale_connection");
}

#[test]
fn pending_work_waits_for_its_node() {
    let home = Home::new();
    let gateway = start(&home, "");
    let device = Device::new(1);
    let mut boss = operator(gateway.port, &ALL);
    let mut node = join(&device, gateway.port, &[]);
    let put = |boss: &mut Socket, kind: &str, priority: &str| {
        let params = json!({"nodeId": device.id, "type": kind, "priority": priority});
        boss.call("node.pending.enqueue", &params).expect("queued")
    };
    let first = put(&mut boss, "status.request", "normal");
    assert_eq!((&first["revision"], &first["wakeTriggered"]), (&json!(1), &json!(false)));
    assert_eq!(put(&mut boss, "status.request", "normal")["queued"], first["queued"]);
    put(&mut boss, "location.request", "high");
    let error =
        boss.call("node.pending.enqueue", &json!({"nodeId": "x", "type": "status.request"}));
    assert_eq!(error.expect_err("unknown")["details"]["code"], "PAIRING_CHANGED");
    let got = node.call("node.pending.drain", &json!({"maxItems": 1})).expect("items");
    assert_eq!(
        (&got["items"][0]["type"], &got["hasMore"]),
        (&json!("location.request"), &json!(true))
    );
    let got = node.call("node.pending.drain", &json!({})).expect("items");
    assert_eq!(
        (&got["items"][0]["type"], &got["hasMore"]),
        (&json!("status.request"), &json!(false))
    );
    let got = node.call("node.pending.drain", &json!({})).expect("items");
    assert_eq!(got["items"][0]["id"], "baseline-status");
    let got = node.call("node.pending.pull", &json!({})).expect("actions");
    assert_eq!(got, json!({"nodeId": device.id, "actions": []}));
}

#[test]
fn wake_words_are_one_list_for_all() {
    let home = Home::new();
    let gateway = start(&home, "");
    let mut boss = operator(gateway.port, &ALL);
    let mut node = join(&Device::new(1), gateway.port, &[]);
    let set = boss.call("voicewake.set", &json!({"triggers": [" Hey ", "", "x".repeat(80)]}));
    let want = json!({"triggers": ["Hey", "x".repeat(64)]});
    assert_eq!(set.expect("set"), want);
    let told = |frame: &Value| frame["event"] == "voicewake.changed" && frame["payload"] == want;
    assert!(boss.event(told)["seq"].is_u64());
    node.event(told);
    let error = boss.call("voicewake.set", &json!({"triggers": "x"})).expect_err("no list");
    assert_eq!(error["message"], "voicewake.set requires triggers: string[]");
    drop((boss, node, gateway));
    let gateway = home.start("");
    let mut boss = operator(gateway.port, &ALL);
    assert_eq!(boss.call("voicewake.get", &json!({})).expect("words"), want);
    let many: Vec<String> = (0..limits::WAKE_WORDS + 1).map(|n| format!("w{n}")).collect();
    let set = boss.call("voicewake.set", &json!({"triggers": many})).expect("set");
    assert_eq!(set["triggers"].as_array().map(Vec::len), Some(limits::WAKE_WORDS));
}

#[test]
fn invocations_under_way_are_bounded() {
    let home = Home::new();
    let gateway = start(&home, "");
    let device = Device::new(1);
    let mut boss = operator(gateway.port, &ALL);
    let _node = join(&device, gateway.port, &["system.notify"]);
    approve(&mut boss, &device);
    for n in 0..limits::NODE_INVOKES {
        boss.request("node.invoke", &ask(&device, "system.notify", json!({}), &format!("k{n}")));
    }
    let error = boss.call("node.invoke", &ask(&device, "system.notify", json!({}), "more"));
    let error = error.expect_err("too many");
    assert_eq!((&error["code"], &error["retryable"]), (&json!("UNAVAILABLE"), &json!(true)));
}

#[test]
fn a_device_with_two_roles_has_one_row() {
    let home = Home::new();
    let gateway = start(&home, "");
    let device = Device::new(1);
    let mut boss = operator(gateway.port, &ALL);
    let node = join(&device, gateway.port, &[]);
    let mut asked = params();
    asked["client"] = json!({"id": "openclaw-macos", "version": "1", "platform": "macos",
        "mode": "ui"});
    asked["scopes"] = json!(["operator.read"]);
    let _person = device.connect(gateway.port, &asked);
    let rows = |boss: &mut Socket| {
        let list = boss.call("system-presence", &json!({})).expect("a list");
        let rows = list.as_array().expect("rows").clone();
        rows.into_iter().filter(|row| row["deviceId"] == device.id).collect::<Vec<_>>()
    };
    let both = rows(&mut boss);
    assert_eq!(both.len(), 1, "{both:?}");
    assert_eq!(both[0]["roles"], json!(["node", "operator"]));
    assert_eq!(both[0]["scopes"], json!(["operator.read"]));
    drop(node);
    boss.event(|frame| {
        let rows = frame["payload"]["presence"].as_array();
        rows.is_some_and(|rows| rows.iter().any(|row| row["roles"] == json!(["operator"])))
    });
}

#[test]
fn the_command_line_manages_nodes() {
    let home = Home::new();
    let gateway = start(&home, "");
    let port = gateway.port;
    let device = Device::new(1);
    let mut node = join(&device, port, &["system.which", "system.notify"]);
    let json = |line: &str| -> Value {
        let ran = home.ask(port, line);
        assert_eq!(ran.code, 0, "{line}: {}{}", ran.out, ran.err);
        serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{line}: {}", ran.out))
    };
    let pending = json("nodes pending --json");
    let request = pending[0]["requestId"].as_str().expect("a request").to_owned();
    let ran = home.ask(port, "nodes pending");
    assert!(ran.out.contains(&request) && ran.out.contains("operator.admin"), "{}", ran.out);
    let ran = home.ask(port, &format!("nodes approve {request}"));
    assert!(ran.out.contains("system.which, system.notify"), "{}{}", ran.out, ran.err);
    let ran = home.ask(port, &format!("nodes approve {request}"));
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("unknown requestId"), "{}", ran.err);
    assert_eq!(json("nodes status --connected --json")["nodes"][0]["nodeId"], device.id);
    assert_eq!(json("nodes status --last-connected 7d --json")["nodes"][0]["connected"], true);
    assert_eq!(json("nodes list --json")["paired"][0]["nodeId"], device.id);
    let start_of_id = device.id.get(..8).expect("hex").to_owned();
    json(&format!("nodes rename --node {start_of_id} --name Kitchen --json"));
    let ran = home.ask(port, "nodes describe --node kitchen");
    assert!(ran.out.contains("Kitchen  connected  approved"), "{}{}", ran.out, ran.err);

    let serve = std::thread::spawn(move || {
        let request = asked(&mut node);
        answer(&mut node, &request, &json!({"ok": true, "payloadJSON": "{\"bins\":{}}"}));
        (node, request)
    });
    let line = "nodes invoke --node kitchen --command system.which --params {\"bins\":[]} --json";
    let answer = json(line);
    assert_eq!(answer["payload"], json!({"bins": {}}));
    let (mut node, request) = serve.join().expect("served");
    assert_eq!(request["paramsJSON"], "{\"bins\":[]}");
    for (line, part) in [
        ("nodes invoke --node kitchen --command system.run", "is not for nodes invoke"),
        ("nodes invoke --node kitchen --command sms.send", "commands.allow opt-in"),
        ("nodes invoke --node attic --command device.info", "no node is called attic"),
        ("nodes notify --node kitchen", "--title, --body"),
        ("nodes status --last-connected soon", "takes a duration"),
        ("node run", "the node host (openclaw node run) is not part of it"),
    ] {
        let ran = home.ask(port, line);
        assert_eq!(ran.code, 1, "{line}");
        assert!(ran.err.contains(part), "{line}: {}", ran.err);
    }
    assert_eq!(json("nodes remove --node kitchen --json")["nodeId"], device.id);
    assert_eq!(node.closed().0, Some(4001));
    assert!(home.ask(port, "nodes status").out.contains("no nodes"));
}

#[test]
fn a_node_that_is_an_operator_too_loses_one_role_and_only_to_an_administrator() {
    let home = Home::new();
    let gateway = start(&home, "");
    let device = Device::new(1);
    let mut boss = operator(gateway.port, &ALL);
    let mut node = join(&device, gateway.port, &["system.which"]);
    approve(&mut boss, &device);
    let mut person = device.connect(gateway.port, &device::cli());
    let params = json!({"nodeId": device.id});
    let mut pairing = operator(gateway.port, &["operator.pairing"]);
    let error = pairing.call("node.pair.remove", &params).expect_err("not an admin");
    assert_eq!(error["details"]["missingScope"], "operator.admin");
    boss.call("node.pair.remove", &params).expect("removed");
    assert_eq!(node.closed().0, Some(4001));
    person.is_alive();
    let other = Device::new(2);
    let mut node = join(&other, gateway.port, &[]);
    pairing.call("node.pair.remove", &json!({"nodeId": other.id})).expect("a mere node");
    assert_eq!(node.closed().0, Some(4001));
}

#[test]
fn a_node_comes_back_by_its_own_token_with_what_was_approved() {
    let home = Home::new();
    let gateway = start(&home, "");
    let device = Device::new(1);
    let mut boss = operator(gateway.port, &ALL);
    let node = join(&device, gateway.port, &["system.which"]);
    let token = token_of(&node);
    approve(&mut boss, &device);
    drop((node, boss, gateway));
    let gateway = home.start("");
    let mut boss = operator(gateway.port, &ALL);
    let own = by_token(declaring(&["system.which", "system.run"]), &token);
    let mut node = device.connect(gateway.port, &own);
    assert_eq!(node.hello["auth"]["role"], "node");
    assert_eq!(token_of(&node), token);
    let id = boss.request("node.invoke", &ask(&device, "system.which", json!({}), "k"));
    let request = asked(&mut node);
    answer(&mut node, &request, &json!({"ok": true}));
    boss.response(&id).expect("an answer");
    let run = ask(&device, "system.run", json!({"command": ["ls"]}), "r");
    let error = boss.call("node.invoke", &run).expect_err("never approved");
    assert_eq!(error["details"]["reason"], "command not allowlisted");
}

#[test]
fn a_named_network_pairs_new_nodes_and_approves_nothing_of_theirs() {
    let home = Home::new();
    let text = |pairing: &str| {
        format!(
            "{{gateway: {{mode: 'local', auth: {{token: '{TOKEN}'}}, nodes: {{pairing: {pairing}}}}}, \
             agents: {{defaults: {{model: {{primary: 'local/echo'}}}}}}}}"
        )
    };
    home.configure(&text("{autoApproveCidrs: ['127.0.0.0/8']}"));
    let gateway = home.start("");
    let device = Device::new(1);
    let mut boss = operator(gateway.port, &ALL);
    // By its Host it is none of this machine, so nothing is silent about it.
    let _node = device.connect_afar(gateway.port, &declaring(&["system.which"]));
    let list = boss.call("device.pair.list", &json!({})).expect("a list");
    assert_eq!(list["paired"][0]["approvedVia"], "trusted-cidr");
    assert_eq!(request_of(&mut boss, &device)["silent"], false);
    let error = boss.call("node.invoke", &ask(&device, "system.which", json!({}), "k"));
    assert_eq!(error.expect_err("not approved")["details"]["code"], "PAIRING_CHANGED");
    // Operators, upgrades and asked scopes are not covered.
    let other = Device::new(2);
    let mut scoped = declaring(&[]);
    scoped["client"]["mode"] = json!("cli");
    assert_eq!(other.refused_afar(gateway.port, &scoped).details(), "PAIRING_REQUIRED");
    assert_eq!(other.refused_afar(gateway.port, &device::cli()).details(), "PAIRING_REQUIRED");
    assert_eq!(device.refused_afar(gateway.port, &device::cli()).details(), "PAIRING_REQUIRED");
    drop((boss, gateway));
    home.configure(&text("{autoApproveCidrs: ['10.0.0.0/8']}"));
    let gateway = home.start("");
    let third = Device::new(3);
    assert_eq!(third.refused_afar(gateway.port, &declaring(&[])).details(), "PAIRING_REQUIRED");
}
