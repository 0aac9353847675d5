//! Commands and pages for a scripted model: what runs, what ends, what is refused.
#![cfg(all(target_os = "linux", feature = "process"))]

mod common;

use common::provider::Provider;
use common::socket::Socket;
use common::{Gateway, Home, PATIENCE};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A model that calls the tool its user names: `exec {"command": ...}`, and repeats the result.
fn obedient() -> Provider {
    Provider::start(|asked, reply| match asked.result() {
        Some(result) => reply.say(&result),
        None => match asked.said().split_once(' ') {
            Some((tool, args)) if args.starts_with('{') => reply.call(tool, args),
            _ => reply.say("no tool"),
        },
    })
}

struct Rig {
    home: Home,
    _provider: Provider,
    gateway: Gateway,
    socket: Socket,
    runs: u32,
}

impl Rig {
    fn new(more: &str) -> Self {
        let home = Home::new();
        let provider = obedient();
        home.configure(&provider.config(more));
        let gateway = home.start("");
        let mut params = common::socket::params();
        params["caps"] = json!(["tool-events"]);
        let socket = Socket::with(gateway.port, &params);
        Self { home, _provider: provider, gateway, socket, runs: 0 }
    }

    /// Asks the model for a tool call; the run's id.
    fn begin(&mut self, tool: &str, args: &Value) -> String {
        self.runs += 1;
        let run = format!("r{}", self.runs);
        let message = format!("{tool} {args}");
        let params = json!({"sessionKey": "main", "message": message, "idempotencyKey": run});
        self.socket.call("chat.send", &params).unwrap();
        run
    }

    /// As [`Rig::begin`]; what the tool said.
    fn tool(&mut self, tool: &str, args: &Value) -> String {
        let run = self.begin(tool, args);
        let end = self.socket.chat_end(&run);
        end["message"]["content"][0]["text"].as_str().unwrap_or_default().to_owned()
    }

    /// A file in the home, when it is there.
    fn file(&self, name: &str) -> String {
        let path = self.home.0.join(name);
        let began = Instant::now();
        loop {
            match std::fs::read_to_string(&path) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => assert!(began.elapsed() < PATIENCE, "{name} is written"),
            }
            std::thread::yield_now();
        }
    }
}

/// Waits for the end of a process that is no child of ours; how long it took.
fn gone(pid: &str) -> Duration {
    let began = Instant::now();
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return began.elapsed();
        }
        assert!(began.elapsed() < PATIENCE, "{pid} lives: {stat}");
        std::thread::yield_now();
    }
}

/// A command that leaves its own number and a grandchild's in files, and then takes long.
fn long(rig: &Rig, rest: &str) -> String {
    let home = rig.home.0.display();
    format!("sleep 600 & echo $! > {home}/grandchild; echo $$ > {home}/child; {rest}")
}

#[test]
fn a_command_runs_in_the_workspace_with_a_small_environment() {
    let mut rig = Rig::new("");
    let said = rig.tool("exec", &json!({"command": "pwd; env | sort; echo bad >&2; exit 3"}));
    assert!(said.starts_with(&rig.home.0.display().to_string()), "{said}");
    assert!(said.contains("OPENCLAW_SHELL=exec") && said.contains("bad"), "{said}");
    assert!(said.ends_with("(exit code 3)"), "{said}");
    assert!(!said.contains("TOKEN") && !said.contains("OPENCLAW_GATEWAY"), "{said}");
    let said = rig.tool("exec", &json!({"command": "echo $A", "env": {"A": "b c"}}));
    assert_eq!(said, "b c");
    let said = rig.tool("exec", &json!({"command": "ls", "env": {"LD_PRELOAD": "x"}}));
    assert!(said.contains("LD_PRELOAD is refused"), "{said}");
    let said = rig.tool("exec", &json!({"command": "ls", "workdir": "no/such"}));
    assert!(said.contains("workdir") && said.contains("no/such"), "{said}");
    let said = rig.tool("exec", &json!({"command": "kill -9 $$"}));
    assert!(said.contains("signal 9"), "{said}");
    let said = rig.tool("exec", &json!({"command": "true"}));
    assert_eq!(said, "(no output)");
    let said = rig.tool("exec", &json!({"command": "seq 1 100000; echo end"}));
    assert!(said.contains("not kept") && said.ends_with("end"), "{}", said.len());
}

#[test]
fn a_command_in_the_background_is_polled_written_to_and_killed() {
    let mut rig = Rig::new("");
    let script = "while read l; do echo got $l; done; echo over";
    let said = rig.tool("exec", &json!({"command": script, "background": true}));
    let id = said.split("sessionId ").nth(1).and_then(|rest| rest.split('.').next());
    let id = id.expect("an id").to_owned();
    let process = |rig: &mut Rig, action: &str, mut args: Value| {
        args["action"] = json!(action);
        args["sessionId"] = json!(id);
        rig.tool("process", &args)
    };
    assert!(rig.tool("process", &json!({"action": "list"})).contains(&id));
    let said = process(&mut rig, "poll", json!({}));
    assert!(said.contains("no new output") && said.contains("Still running"), "{said}");
    process(&mut rig, "write", json!({"data": "one\ntwo"}));
    process(&mut rig, "submit", json!({}));
    process(&mut rig, "write", json!({"data": "three\n", "eof": true}));
    let said = process(&mut rig, "poll", json!({"timeout": 20_000}));
    assert!(said.starts_with("got one\ngot two\ngot three\nover"), "{said}");
    assert!(said.ends_with("(exit code 0)"), "{said}");
    let said = process(&mut rig, "log", json!({"offset": 1, "limit": 1}));
    assert!(said.starts_with("got two\n\n[lines 1 to 2 of 4"), "{said}");
    assert!(process(&mut rig, "write", json!({"data": "x"})).contains("no input any more"));
    assert!(process(&mut rig, "clear", json!({})).contains("forgotten"));
    assert!(process(&mut rig, "poll", json!({})).contains("no session"));

    let command = long(&rig, "wait");
    let said = rig.tool("exec", &json!({"command": command, "yieldMs": 10}));
    let id = said.split("sessionId ").nth(1).and_then(|rest| rest.split('.').next());
    let id = id.expect("an id").to_owned();
    let grandchild = rig.file("grandchild");
    rig.tool("process", &json!({"action": "kill", "sessionId": id}));
    assert!(gone(&grandchild) < Duration::from_secs(2));
    let said = rig.tool(
        "process",
        &json!({
            "action": "poll", "sessionId": id, "timeout": 20_000,
        }),
    );
    assert!(said.contains("process kill"), "{said}");
}

#[test]
fn a_timeout_ends_the_whole_group() {
    let mut rig = Rig::new("");
    let command = long(&rig, "trap '' TERM; while :; do sleep 1; done");
    let began = Instant::now();
    let said = rig.tool("exec", &json!({"command": command, "timeoutSeconds": 1}));
    assert!(said.contains("timed out after 1 s"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    for name in ["child", "grandchild"] {
        let pid = rig.file(name);
        assert!(gone(&pid) < Duration::from_secs(1), "{name}");
    }
}

#[test]
fn an_aborted_run_takes_its_commands_along() {
    let mut rig = Rig::new("");
    let command = long(&rig, "wait");
    let run = rig.begin("exec", &json!({"command": command}));
    let (child, grandchild) = (rig.file("child"), rig.file("grandchild"));
    rig.socket.call("chat.abort", &json!({"sessionKey": "main", "runId": run})).unwrap();
    assert!(gone(&child) < Duration::from_secs(1));
    assert!(gone(&grandchild) < Duration::from_secs(1));
}

#[test]
fn the_gateway_leaves_no_child_behind() {
    let mut rig = Rig::new("");
    let command = long(&rig, "trap '' TERM; while :; do sleep 1; done");
    rig.tool("exec", &json!({"command": command, "background": true}));
    let (child, grandchild) = (rig.file("child"), rig.file("grandchild"));
    rig.gateway.signal(rustix::process::Signal::TERM);
    assert!(rig.gateway.wait().success());
    gone(&child);
    gone(&grandchild);
}

#[test]
fn output_is_shown_while_a_command_runs() {
    let mut rig = Rig::new("");
    rig.begin("exec", &json!({"command": "echo early; read l", "timeoutSeconds": 30}));
    let update = rig.socket.event(|frame| {
        frame["payload"]["stream"] == "tool" && frame["payload"]["data"]["phase"] == "update"
    });
    let partial = &update["payload"]["data"]["partialResult"];
    assert_eq!(partial["content"][0]["text"], "early\n");
    assert_eq!(partial["details"]["status"], "running");
}

#[test]
fn pages_of_this_machine_are_not_fetched_unless_the_operator_says_so() {
    let page = Provider::start(|_, _| {});
    drop(page);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let n = stream.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..n]).into_owned();
            let answer = if text.starts_with("GET /hop") {
                let port = stream.local_addr().map(|addr| addr.port()).unwrap_or(0);
                format!("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{port}/page\r\n\r\n")
            } else {
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>T</title>\
                 <h1>Secret</h1>"
                    .to_owned()
            };
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let fetch = |rig: &mut Rig, host: &str, path: &str| {
        rig.tool("web_fetch", &json!({"url": format!("http://{host}:{port}/{path}")}))
    };
    let mut rig = Rig::new("");
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "169.254.169.254", "0.0.0.0"] {
        let said = fetch(&mut rig, host, "page");
        assert!(said.contains("not an address of the open Internet"), "{host}: {said}");
        assert!(!said.contains("Secret"));
    }
    let policy = "tools: {web: {fetch: {ssrfPolicy: {allowedHostnames: ['localhost']}}}}";
    let mut rig = Rig::new(policy);
    let said = fetch(&mut rig, "localhost", "page");
    assert!(said.contains("# Secret") && said.contains("web page, begin"), "{said}");
    let said = fetch(&mut rig, "localhost", "hop");
    assert!(said.contains("not an address of the open Internet"), "a redirect: {said}");
    let all = "tools: {web: {fetch: {ssrfPolicy: {dangerouslyAllowPrivateNetwork: true}}}}";
    let mut rig = Rig::new(all);
    assert!(fetch(&mut rig, "127.0.0.1", "hop").contains("# Secret"));
}

/// A second operator, who shows approvals.
fn approver(rig: &Rig) -> Socket {
    let mut params = common::socket::params();
    params["caps"] = json!(["exec-approvals"]);
    params["scopes"] = json!(["operator.read", "operator.approvals", "operator.admin"]);
    Socket::with(rig.gateway.port, &params)
}

fn asked(socket: &mut Socket) -> Value {
    socket.event(|frame| frame["event"] == "exec.approval.requested")["payload"].clone()
}

#[test]
fn a_command_waits_for_an_operator() {
    let mut rig = Rig::new("tools: {exec: {security: 'allowlist', ask: 'on-miss'}}");
    let alone = rig.tool("exec", &json!({"command": "echo never"}));
    assert!(alone.contains("denied") && alone.contains("nobody who may approve"), "{alone}");
    let mut operator = approver(&rig);
    let decide = |rig: &mut Rig, operator: &mut Socket, command: &str, decision: &str| {
        let run = rig.begin("exec", &json!({"command": command}));
        let question = asked(operator);
        assert_eq!(question["request"]["command"], command);
        assert_eq!(question["request"]["agentId"], "main");
        let id = question["id"].as_str().unwrap().to_owned();
        let list = operator.call("exec.approval.list", &json!({})).unwrap();
        assert_eq!(list[0]["id"], id.as_str());
        let params = json!({"id": id, "decision": decision});
        operator.call("exec.approval.resolve", &params).unwrap();
        let end = rig.socket.chat_end(&run);
        end["message"]["content"][0]["text"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(decide(&mut rig, &mut operator, "echo once", "allow-once"), "once");
    let said = decide(&mut rig, &mut operator, "echo no", "deny");
    assert!(said.contains("an operator said no"), "{said}");
    assert_eq!(decide(&mut rig, &mut operator, "echo a | cat", "allow-always"), "a");
    assert_eq!(rig.tool("exec", &json!({"command": "echo a | cat"})), "a", "known by now");
    assert_eq!(rig.tool("exec", &json!({"command": "echo a; echo a"})), "a\na");
}

#[test]
fn an_aborted_run_takes_its_question_back() {
    let mut rig = Rig::new("tools: {exec: {ask: 'always'}}");
    let mut operator = approver(&rig);
    let run = rig.begin("exec", &json!({"command": "echo x"}));
    let question = asked(&mut operator);
    assert_eq!(question["request"]["allowedDecisions"], json!(["allow-once", "deny"]));
    rig.socket.call("chat.abort", &json!({"sessionKey": "main", "runId": run})).unwrap();
    let over = operator.event(|frame| frame["event"] == "exec.approval.resolved");
    assert_eq!(over["payload"]["decision"], "deny");
    let params = json!({"id": question["id"], "decision": "allow-once"});
    let error = operator.call("exec.approval.resolve", &params).unwrap_err();
    assert_eq!(error["details"]["reason"], "APPROVAL_NOT_FOUND");
}

#[test]
fn the_document_is_guarded_and_decides() {
    let mut rig = Rig::new("");
    let mut operator = approver(&rig);
    let first = operator.call("exec.approvals.get", &json!({})).unwrap();
    assert_eq!((&first["exists"], &first["file"]["version"]), (&json!(false), &json!(1)));
    assert_eq!(first["resolvedDefaults"]["security"], "full");
    let file = json!({"version": 1, "socket": {"token": "t0k"}, "defaults": {"security": "deny"}});
    let set = |operator: &mut Socket, file: &Value, hash: &Value| {
        operator.call("exec.approvals.set", &json!({"file": file, "baseHash": hash}))
    };
    let second = set(&mut operator, &file, &first["hash"]).unwrap();
    assert_eq!(second["file"]["socket"]["token"], "__OPENCLAW_REDACTED__");
    let stale = set(&mut operator, &file, &first["hash"]).unwrap_err();
    assert!(stale["message"].as_str().unwrap().contains("changed since last load"), "{stale}");
    let bad = json!({"version": 1, "defaults": {"security": "open"}});
    let bad = set(&mut operator, &bad, &second["hash"]).unwrap_err();
    assert!(bad["message"].as_str().unwrap().contains("defaults.security"), "{bad}");
    let said = rig.tool("exec", &json!({"command": "echo x"}));
    assert!(said.contains("denied: ") && said.contains("commands are off"), "{said}");
    set(&mut operator, &second["file"], &second["hash"]).unwrap();
    let path = rig.home.state().join("exec-approvals.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("t0k"), "the token that was not shown is kept: {text}");
    std::fs::write(&path, "{broken").unwrap();
    let said = rig.tool("exec", &json!({"command": "echo x"}));
    assert!(said.contains("cannot be read"), "{said}");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(rig.tool("exec", &json!({"command": "echo x"})), "x");
}

#[test]
fn a_question_of_a_client_is_answered_in_two_steps_or_times_out() {
    let mut rig = Rig::new("");
    let mut operator = approver(&rig);
    let params = json!({"command": "echo kit", "timeoutMs": 20_000, "twoPhase": true});
    let request = rig.socket.request("exec.approval.request", &params);
    let first = rig.socket.response(&request).unwrap();
    assert_eq!(first["status"], "accepted");
    let id = first["id"].clone();
    assert_eq!(asked(&mut operator)["id"], id);
    operator.call("exec.approval.resolve", &json!({"id": id, "decision": "deny"})).unwrap();
    let second = rig.socket.response(&request).unwrap();
    assert_eq!((&second["id"], &second["decision"]), (&id, &json!("deny")));
    let waited = operator.call("exec.approval.waitDecision", &json!({"id": id})).unwrap();
    assert_eq!(waited["decision"], "deny");
    let params = json!({"command": "echo kit", "timeoutMs": 300});
    let late = rig.socket.call("exec.approval.request", &params).unwrap();
    assert_eq!(late["decision"], Value::Null);
    // Without anybody else there is nobody to ask.
    drop(operator);
    let params = json!({"command": "echo kit", "timeoutMs": 20_000});
    let began = Instant::now();
    let alone = rig.socket.call("exec.approval.request", &params).unwrap();
    assert_eq!(alone["decision"], Value::Null);
    assert!(began.elapsed() < Duration::from_secs(5));
}
