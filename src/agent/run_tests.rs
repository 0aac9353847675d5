//! The tool loop of a run, in virtual time.

use super::*;
use crate::config::{Key, Provider, Secret};
use serde_json::{Value, json};

/// A run with its owner's side: what it did, what it told.
struct Bench {
    run: Run,
    now: Time,
    fx: Effects,
    told: Vec<RunEvent>,
    dials: u64,
    conns: u32,
}

fn endpoint() -> Endpoint {
    let secret = Secret::new("key-of-the-test".to_owned());
    let provider = Provider {
        base_url: "http://provider.test/v1".to_owned(),
        keys: vec![Key { name: "apiKey".to_owned(), secret }],
        ..Provider::default()
    };
    Endpoint::new("test", &provider, "m").expect("an endpoint")
}

fn function(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

impl Bench {
    /// A run of a caller who has the tool `theirs`; the gateway has `ours`.
    fn new(may_restart: bool) -> Self {
        let ask = Ask {
            turns: vec![Turn::User(vec![Part::Text("hi".to_owned())])],
            tools: vec![function("theirs")],
            house_tools: [function("ours")].into_iter().collect(),
            tool_choice: Some(json!("required")),
            ..Ask::default()
        };
        let candidate = Candidate {
            provider: "test".to_owned(),
            model: "m".to_owned(),
            via: Via::Http(Box::new(endpoint())),
        };
        let run = Run::new(ask, vec![candidate], Time(0).after_ms(600_000), may_restart);
        let mut bench =
            Self { run, now: Time(1), fx: Effects::new(), told: Vec::new(), dials: 1, conns: 0 };
        let Self { run, now, fx, told, .. } = &mut bench;
        run.begin(*now, DialId(1), fx, &mut |event| told.push(event));
        bench
    }

    /// The dial succeeds; what the model is asked.
    fn connect(&mut self) -> Value {
        let dial = self.run.dialing().expect("a dial");
        self.conns += 1;
        let conn = ConnId { slot: self.conns, generation: 1 };
        self.fx = Effects::new();
        let Self { run, now, fx, told, .. } = self;
        run.on_dialed(*now, dial, Ok(conn), fx, &mut |event| told.push(event));
        let bytes = self.fx.send(conn).clone();
        let text = String::from_utf8(bytes).expect("text");
        serde_json::from_str(text.split_once("\r\n\r\n").expect("a body").1).expect("JSON")
    }

    fn bytes(&mut self, bytes: &str) {
        let Self { run, now, fx, told, .. } = self;
        let now = Now { time: *now, wall_ms: 0 };
        run.on_bytes(now, bytes.as_bytes(), fx, &mut |event| told.push(event));
    }

    fn begin_answer(&mut self) {
        self.bytes("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    }

    fn delta(&mut self, delta: &Value) {
        self.bytes(&format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta}]})));
    }

    /// A whole turn of the model: text, and calls as id, name, arguments.
    fn answer(&mut self, text: &str, calls: &[(&str, &str, &str)]) {
        self.begin_answer();
        if !text.is_empty() {
            self.delta(&json!({"content": text}));
        }
        for (index, (id, name, arguments)) in calls.iter().enumerate() {
            let function = json!({"name": name, "arguments": arguments});
            self.delta(&json!({"tool_calls": [
                {"index": index, "id": id, "type": "function", "function": function},
            ]}));
        }
        let reason = if calls.is_empty() { "stop" } else { "tool_calls" };
        let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]});
        let usage = json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7});
        self.bytes(&format!("data: {end}\n\n"));
        self.bytes(&format!("data: {}\n\n", json!({"choices": [], "usage": usage})));
        self.bytes("data: [DONE]\n\n");
        self.closed();
    }

    fn closed(&mut self) {
        let Self { run, now, fx, told, .. } = self;
        run.on_closed(*now, fx, &mut |event| told.push(event));
    }

    fn go_on(&mut self, new: Vec<Turn>) {
        self.dials += 1;
        let Self { run, now, fx, told, dials, .. } = self;
        run.go_on(*now, DialId(*dials), new, fx, &mut |event| told.push(event));
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.after_ms(ms);
        self.dials += 1;
        let Self { run, now, fx, told, dials, .. } = self;
        run.on_time(*now, DialId(*dials), fx, &mut |event| told.push(event));
    }

    /// Every call of the turn gets a result that names it.
    fn results(&self) -> Vec<Turn> {
        self.run.calls().iter().map(|call| result(&call.id)).collect()
    }

    fn is_told(&self, wanted: &RunEvent) -> usize {
        self.told.iter().filter(|event| *event == wanted).count()
    }

    fn end(&self) -> &Outcome {
        let mut ends = self.told.iter().filter_map(|event| match event {
            RunEvent::Over(outcome) => Some(outcome),
            _ => None,
        });
        let end = ends.next().expect("an end");
        assert!(ends.next().is_none() && self.run.is_over(), "one end");
        end
    }
}

fn result(id: &str) -> Turn {
    Turn::ToolResult {
        call_id: id.to_owned(),
        name: None,
        parts: vec![Part::Text(format!("result of {id}"))],
        is_error: false,
    }
}

/// `role` and, for tools, `role id` of what a model is asked.
fn roles(asked: &Value) -> Vec<String> {
    let messages = asked["messages"].as_array().expect("messages");
    let role = |message: &Value| match message["tool_call_id"].as_str() {
        Some(id) => format!("tool {id}"),
        None => message["role"].as_str().unwrap_or_default().to_owned(),
    };
    messages.iter().map(role).collect()
}

#[test]
fn tools_then_an_answer() {
    let mut bench = Bench::new(true);
    let first = bench.connect();
    assert_eq!(first["tool_choice"], "required");
    assert_eq!(first["tools"].as_array().map(Vec::len), Some(2));
    bench.answer("let me see", &[("a", "ours", "{}"), ("b", "nobodys", "{bad")]);
    assert_eq!(bench.is_told(&RunEvent::Turn), 1);
    assert!(bench.run.waits_for_tools() && bench.run.conn().is_none());
    assert_eq!(bench.run.calls().len(), 2);
    bench.go_on(bench.results());
    let second = bench.connect();
    assert_eq!(roles(&second), ["user", "assistant", "tool a", "tool b"]);
    assert_eq!(second["messages"][1]["content"], "let me see");
    assert_eq!(second["tool_choice"], "auto", "forced once is enough");
    bench.answer("done", &[]);
    assert_eq!(*bench.end(), Outcome::Done(StopReason::Stop));
    assert_eq!((bench.run.text(), bench.run.rounds()), ("done", 2));
    assert_eq!((bench.run.usage().total, bench.run.last_usage().total), (14, 7));
    // Nothing moves it any more.
    bench.go_on(Vec::new());
    bench.pass(1_000_000);
    bench.closed();
    assert_eq!(*bench.end(), Outcome::Done(StopReason::Stop));
}

#[test]
fn tools_of_the_caller_end_the_run_with_those_alone() {
    let mut bench = Bench::new(false);
    bench.connect();
    bench.answer("", &[("a", "ours", "{}"), ("b", "theirs", "{\"x\": 1}")]);
    bench.go_on(vec![result("a")]);
    assert_eq!(*bench.end(), Outcome::Done(StopReason::ToolUse));
    let names: Vec<&str> = bench.run.calls().iter().map(|call| call.name.as_str()).collect();
    assert_eq!(names, ["theirs"]);
    // Told to the caller: its own call, whole, and nothing of the other.
    let told = bench.told.iter().filter_map(|event| match event {
        RunEvent::ToolCall { id, name, arguments, .. } => {
            Some((id.clone(), name.clone(), arguments))
        }
        _ => None,
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0.as_deref(), Some("b"));
    assert_eq!(told[0].2, "{\"x\": 1}");
    // Only its own: over at once.
    let mut bench = Bench::new(false);
    bench.connect();
    bench.answer("", &[("b", "theirs", "{}")]);
    assert_eq!(bench.is_told(&RunEvent::Turn), 0);
    assert!(matches!(bench.end(), Outcome::Done(_)));
}

#[test]
fn what_is_said_meanwhile_is_answered_by_the_same_run() {
    let mut bench = Bench::new(true);
    bench.connect();
    bench.run.expect_more(true);
    bench.answer("one", &[]);
    assert_eq!(bench.is_told(&RunEvent::Turn), 1);
    bench.go_on(vec![Turn::User(vec![Part::Text("and this".to_owned())])]);
    let second = bench.connect();
    assert_eq!(roles(&second), ["user", "assistant", "user"]);
    bench.answer("two", &[]);
    assert_eq!((bench.end(), bench.run.text()), (&Outcome::Done(StopReason::Stop), "two"));
    // Whoever took it back meanwhile is not waited for.
    let mut bench = Bench::new(true);
    bench.connect();
    bench.run.expect_more(true);
    bench.run.expect_more(false);
    bench.answer("one", &[]);
    assert_eq!(*bench.end(), Outcome::Done(StopReason::Stop));
}

#[test]
fn a_retry_in_a_later_turn_keeps_the_conversation() {
    for may_restart in [true, false] {
        let mut bench = Bench::new(may_restart);
        bench.connect();
        bench.answer("first", &[("a", "ours", "{}")]);
        bench.go_on(bench.results());
        bench.connect();
        bench.begin_answer();
        bench.closed();
        let retrying = |event: &RunEvent| matches!(event, RunEvent::Retrying { attempt: 1, .. });
        assert_eq!(bench.told.iter().filter(|event| retrying(event)).count(), 1);
        bench.pass(limits::PROVIDER_BACKOFF_MAX_MS);
        let again = bench.connect();
        assert_eq!(roles(&again), ["user", "assistant", "tool a"]);
        bench.answer("done", &[]);
        assert_eq!((bench.end(), bench.run.text()), (&Outcome::Done(StopReason::Stop), "done"));
        assert_eq!(bench.is_told(&RunEvent::Restart), 0, "nothing was told of that turn");
    }
}

#[test]
fn a_turn_cut_in_its_calls_starts_over_without_them() {
    let mut bench = Bench::new(true);
    bench.connect();
    bench.begin_answer();
    let function = json!({"name": "ours", "arguments": "{\"half"});
    bench.delta(&json!({"tool_calls": [{"index": 0, "id": "a", "function": function}]}));
    bench.closed();
    assert!(bench.run.calls().is_empty());
    assert_eq!(bench.is_told(&RunEvent::Restart), 1);
    bench.pass(limits::PROVIDER_BACKOFF_MAX_MS);
    assert_eq!(roles(&bench.connect()), ["user"]);
    bench.answer("done", &[]);
    assert_eq!(*bench.end(), Outcome::Done(StopReason::Stop));
}

#[test]
fn a_run_ends_while_its_tools_work() {
    type End = fn(&mut Bench);
    let ends: [(&str, End); 3] = [
        ("deadline", |bench| bench.pass(600_000)),
        ("abort", |bench| {
            let Bench { run, fx, told, .. } = bench;
            run.abort("rpc", fx, &mut |event| told.push(event));
        }),
        ("give up", |bench| {
            let Bench { run, fx, told, .. } = bench;
            run.give_up("enough", fx, &mut |event| told.push(event));
        }),
    ];
    for (name, end) in ends {
        let mut bench = Bench::new(true);
        bench.connect();
        bench.answer("", &[("a", "ours", "{}")]);
        // Tools may take longer than a provider may be silent.
        bench.pass(limits::PROVIDER_IDLE_MS + 1);
        assert!(bench.run.waits_for_tools(), "{name}");
        assert_eq!(bench.run.due(), Some(Time(0).after_ms(600_000)), "{name}");
        end(&mut bench);
        match (name, bench.end()) {
            ("deadline", Outcome::TimedOut(_)) => {}
            ("abort", Outcome::Aborted("rpc")) => {}
            ("give up", Outcome::Failed(error)) => assert_eq!(error.message, "enough"),
            (_, other) => panic!("{name}: {other:?}"),
        }
        bench.go_on(vec![result("a")]);
        assert!(bench.run.dialing().is_none(), "{name}: late results ask nobody");
    }
}

#[test]
fn a_model_that_never_stops_asking_is_stopped() {
    let mut bench = Bench::new(true);
    for round in 1..=limits::TOOL_ROUNDS {
        bench.connect();
        bench.answer("", &[("same", "nobodys", "{}")]);
        assert_eq!(bench.run.rounds(), round);
        bench.go_on(bench.results());
    }
    match bench.end() {
        Outcome::Failed(error) => {
            let text = format!("asked for tools {} times", limits::TOOL_ROUNDS);
            assert!(error.message.contains(&text), "{error:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(bench.run.dialing().is_none());
}

#[test]
fn every_call_has_an_id_of_its_own() {
    let mut bench = Bench::new(true);
    bench.connect();
    bench.answer("", &[("x", "ours", "{}"), ("", "ours", "{}"), ("x", "ours", "{}")]);
    let ids = |bench: &Bench| -> Vec<String> {
        bench.run.calls().iter().map(|call| call.id.clone()).collect()
    };
    assert_eq!(ids(&bench), ["x", "call_1_1", "call_1_2"]);
    bench.go_on(bench.results());
    bench.connect();
    bench.answer("", &[("call_1_1", "ours", "{}"), ("x", "ours", "{}"), ("new", "ours", "{}")]);
    assert_eq!(ids(&bench), ["call_2_0", "call_2_1", "new"]);
    // Begun once more behind a compaction, which took the earlier calls out of what it is shown.
    let mut bench = Bench::new(true);
    let called = ["again", "call_7_0"].map(str::to_owned);
    bench.run = Bench::new(true).run.at_round(7, called.clone().into());
    bench.connect();
    bench.answer("", &[("", "ours", "{}"), ("again", "ours", "{}"), ("new", "ours", "{}")]);
    assert_eq!(ids(&bench), ["call_7_1", "call_7_2", "new"]);
    assert!(called.into_iter().all(|id| bench.run.called().contains(&id)));
    // More than a turn may have are left out.
    let mut bench = Bench::new(true);
    bench.connect();
    let many: Vec<(&str, &str, &str)> = vec![("", "ours", "{}"); limits::TOOL_CALLS + 3];
    bench.answer("", &many);
    assert_eq!(bench.run.calls().len(), limits::TOOL_CALLS);
}
