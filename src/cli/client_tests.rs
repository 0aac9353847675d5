use super::*;

#[test]
fn scopes_are_the_least_that_do() {
    assert_eq!(scopes_for("status", &Value::Null), ["operator.read"]);
    assert_eq!(scopes_for("logs.tail", &Value::Null), ["operator.read"]);
    assert_eq!(scopes_for("chat.send", &Value::Null), ["operator.write"]);
    assert_eq!(scopes_for("health", &Value::Null), ["operator.read"]);
    assert_eq!(scopes_for("no.such", &Value::Null), ["operator.admin"]);
}

fn target() -> Target {
    Target {
        url: Url::parse("ws://127.0.0.1:18789").unwrap(),
        token: Some(Secret::new("t0p".to_owned())),
        password: None,
        local: true,
        pin: None,
        tunnel: None,
        whence: Whence::default(),
    }
}

#[test]
fn failures_say_what_and_what_next() {
    let failed = Trouble::NoGateway("connection refused".to_owned()).failed(&target());
    assert_eq!(
        failed.to_string(),
        "no gateway answers on ws://127.0.0.1:18789 (connection refused)\n\
         Next: openclaw gateway run"
    );
    let refused = Trouble::Refused {
        code: "INVALID_REQUEST".to_owned(),
        detail: "AUTH_TOKEN_MISMATCH".to_owned(),
        message: "unauthorized: gateway token mismatch".to_owned(),
    };
    let failed = refused.failed(&target());
    assert!(failed.what.contains("unauthorized"), "{failed}");
    assert!(failed.what.contains("No secret was shown"), "{failed}");
    assert!(failed.next.contains("--token"), "{failed}");
    assert!(!failed.to_string().contains("t0p"), "{failed}");
}

#[test]
fn rpc_errors_have_the_reference_document() {
    let rpc = Trouble::Rpc {
        code: "INVALID_REQUEST".to_owned(),
        message: "unknown method: x".to_owned(),
        retryable: false,
        details: Value::Null,
    };
    let want = json!({"ok": false, "error": {
        "type": "gateway_request_error",
        "code": "INVALID_REQUEST",
        "message": "unknown method: x",
        "retryable": false,
    }});
    assert_eq!(rpc.json(&target()), want);
}

#[test]
fn connect_params_carry_the_secret_and_nothing_empty() {
    let params = connect_params(&target(), CLI, &["operator.read"]);
    assert_eq!(params["auth"], json!({"token": "t0p"}));
    assert_eq!(params["client"]["id"], "cli");
    assert_eq!((&params["minProtocol"], &params["maxProtocol"]), (&json!(3), &json!(4)));
    let bare = Target { token: Some(Secret::new(String::new())), ..target() };
    assert!(connect_params(&bare, PROBE, &[]).get("auth").is_none());
}

#[test]
fn nobody_at_the_port_fails_at_once() {
    // The near end of a connection of ours: nobody listens there, nobody else gets it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let port = ours.local_addr().unwrap().port();
    let url = Url::parse(&format!("ws://127.0.0.1:{port}")).unwrap();
    let target = Target { url, ..target() };
    let opened = Session::open(&target, CLI, &[], Duration::from_secs(5));
    assert_eq!(opened.err(), Some(Trouble::NoGateway("connection refused".to_owned())));
}

#[test]
fn a_silent_peer_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("ws://{}", listener.local_addr().unwrap())).unwrap();
    let target = Target { url, ..target() };
    let opened = Session::open(&target, CLI, &[], Duration::from_millis(50));
    assert!(matches!(opened.err(), Some(Trouble::Slow(_))));
}
