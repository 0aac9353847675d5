//! One verdict for an operation, whoever asks and through whichever door: the tables of operations
//! and events against every scope, over WebSocket and over HTTP.

mod common;

use common::http::ask;
use common::socket::{Socket, params};
use common::{Gateway, Home};
use openclaw_gateway::protocol::OPERATOR_SCOPES;
use openclaw_gateway::protocol::events::scope_of;
use openclaw_gateway::protocol::operations::{OPERATIONS, Scope, find, holds};
use serde_json::{Map, Value, json};

/// A gateway that asks nobody for a secret, so that a caller is worth what it says it wants.
fn start(home: &Home) -> Gateway {
    home.configure(
        "{gateway: {mode: 'local', auth: {mode: 'none'}}, \
          agents: {defaults: {model: {primary: 'local/echo'}}}}",
    );
    home.start("")
}

/// Nothing, each scope alone, and all of them.
fn scope_sets() -> Vec<Vec<&'static str>> {
    let mut sets = vec![Vec::new(), OPERATOR_SCOPES.to_vec()];
    sets.extend(OPERATOR_SCOPES.map(|scope| vec![scope]));
    sets
}

fn connected(port: u16, scopes: &[&str]) -> Socket {
    let mut asked = params();
    asked["scopes"] = json!(scopes);
    asked["caps"] = json!(["approvals"]);
    asked.as_object_mut().expect("an object").remove("auth");
    Socket::with(port, &asked)
}

/// A parameter that no method has: what gets past the scope is refused for it, so nothing is done.
const STRANGE: &str = "noSuchParameter";

#[test]
fn every_operation_takes_its_scope_and_no_other() {
    let home = Home::new();
    let gateway = start(&home);
    let params = Map::from_iter([(STRANGE.to_owned(), json!(true))]);
    let mut judged = 0;
    for scopes in scope_sets() {
        let mut socket = connected(gateway.port, &scopes);
        for row in OPERATIONS.iter().filter(|row| row.exists_in(4) && !row.open) {
            let answer = socket.call(row.name, &Value::Object(params.clone()));
            let error = answer.expect_err("a parameter that no method has");
            let told = &error["details"]["missingScope"];
            match row.missing(&scopes, &params) {
                _ if row.scope == Scope::Node => {
                    assert_eq!(error["message"], "unauthorized role: operator", "{}", row.name);
                }
                Some(scope) => {
                    assert_eq!(error["code"], "FORBIDDEN", "{} {scopes:?}: {error}", row.name);
                    assert_eq!(told, scope, "{} {scopes:?}: {error}", row.name);
                }
                None => {
                    assert_eq!(error["code"], "INVALID_REQUEST", "{} {scopes:?}", row.name);
                    assert!(told.is_null(), "{} {scopes:?}: {error}", row.name);
                }
            }
            judged += 1;
        }
        socket.is_alive();
    }
    assert!(judged > 500, "{judged}");
}

/// What is behind each HTTP door, and a request that gets no further than its scope.
const DOORS: [(&str, &str, &str); 6] = [
    ("GET", "/v1/models", "models.list"),
    ("GET", "/v1/models/openclaw", "models.list"),
    ("POST", "/v1/chat/completions", "chat.send"),
    ("POST", "/v1/responses", "agent"),
    ("POST", "/v1/embeddings", "agent"),
    ("POST", "/tools/invoke", "tools.invoke"),
];

#[test]
fn an_operation_takes_the_same_at_every_door() {
    let home = Home::new();
    let gateway = start(&home);
    for scopes in scope_sets() {
        let mut socket = connected(gateway.port, &scopes);
        for (method, path, operation) in DOORS {
            let row = find(operation, 4).expect("a row");
            let over_ws = socket.call(operation, &json!({STRANGE: true}));
            let refused = over_ws.is_err_and(|error| error["code"] == "FORBIDDEN");
            let body = if method == "POST" { "{}" } else { "" };
            let answer = ask(
                gateway.port,
                format!(
                    "{method} {path} HTTP/1.1\r\nHost: localhost\r\nx-openclaw-scopes: {}\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    scopes.join(","),
                    body.len(),
                ),
            );
            let missing = row.missing(&scopes, &Map::new());
            assert_eq!(refused, missing.is_some(), "{operation} {scopes:?}");
            assert_eq!(answer.status == 403, refused, "{path} {scopes:?}: {}", answer.text());
            if let Some(scope) = missing {
                let message = format!("missing scope: {scope}");
                assert!(answer.text().contains(&message), "{path}: {}", answer.text());
            }
        }
    }
}

#[test]
fn events_reach_those_who_could_have_asked() {
    let home = Home::new();
    let gateway = start(&home);
    let mut clients: Vec<(Vec<&str>, Socket)> = scope_sets()
        .into_iter()
        .map(|scopes| {
            let mut socket = connected(gateway.port, &scopes);
            if holds(&scopes, "operator.read") {
                socket.call("sessions.subscribe", &json!({})).expect("subscribed");
            }
            (scopes, socket)
        })
        .collect();
    let mut worker = connected(gateway.port, &OPERATOR_SCOPES);
    let send = json!({"sessionKey": "main", "message": "hello", "idempotencyKey": "r"});
    worker.call("chat.send", &send).expect("started");
    worker.chat_end("r");
    let question = json!({"command": "ls", "twoPhase": true, "timeoutMs": 60_000});
    let question = worker.call("exec.approval.request", &question).expect("asked");
    let decide = json!({"id": question["id"], "decision": "deny"});
    worker.call("exec.approval.resolve", &decide).expect("decided");
    let mut heard_by_somebody = std::collections::BTreeSet::new();
    for (scopes, socket) in &mut clients {
        // What was told before this answer has arrived with it.
        socket.is_alive();
        for event in socket.events.iter().filter_map(|event| event["event"].as_str()) {
            let allowed = match scope_of(event).expect("in the table") {
                Scope::None => true,
                Scope::Operator(scope) => holds(scopes, scope),
                Scope::Node => false,
            };
            assert!(allowed, "{event} reached {scopes:?}");
            heard_by_somebody.insert(event.to_owned());
        }
    }
    for event in ["agent", "chat", "sessions.changed", "exec.approval.requested"] {
        assert!(heard_by_somebody.contains(event), "{heard_by_somebody:?}");
    }
}
