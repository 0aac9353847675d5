//! Every hot key of the table is edited while a run streams: each is seen to be applied, the
//! stream finishes, and the process is the same as before.
//!
//! The edits come from the table itself. Each row gets a path (`*` is `x`, `[]` the first
//! element) and values of its kind; the first with which the whole file is valid and the row's
//! own path changes is its edit. Rows that exclude each other stand in [`APART`].
#![cfg(all(feature = "process", feature = "tls"))]

mod common;

use common::Home;
use common::http::{ask, chat};
use common::provider::patient;
use common::socket::Socket;
use openclaw_gateway::config::plan::{Change, changes};
use openclaw_gateway::config::table::{KEYS, Key, Kind, Reload, Status, lookup, parse_path};
use openclaw_gateway::config::{Flags, Paths, Source, load};
use openclaw_gateway::limits;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::Instant;

/// Edits for rows that are not valid beside others; without a path, back to the first file.
const APART: &[(&str, &str)] = &[
    ("tools.alsoAllow", r#"["read"]"#),
    ("tools.byProvider.x", r#"{"alsoAllow": ["read"]}"#),
    ("tools.byProvider.x.alsoAllow", r#"["write"]"#),
    ("agents.entries.x", r#"{"tools": {"byProvider": {"y": {"alsoAllow": ["read"]}}}}"#),
    ("agents.entries.x.tools.byProvider.y.alsoAllow", r#"["write"]"#),
    ("agents.entries.x.tools.alsoAllow", r#"["read"]"#),
    ("", ""),
    ("agents.list", r#"[{"id": "x", "tools": {"byProvider": {"y": {"alsoAllow": ["read"]}}}}]"#),
    ("agents.list[].tools.byProvider.y.alsoAllow", r#"["write"]"#),
    ("agents.list[].tools.alsoAllow", r#"["read"]"#),
    ("cron.runLog", r#"{"maxBytes": "2mb"}"#),
    ("cron.runLog.maxBytes", r#""3mb""#),
];

/// Values of keys that would cut the test off from the gateway: every other one is taken from
/// the kind.
fn chosen(pattern: &str) -> Option<Value> {
    Some(match pattern {
        // No address but the loopback, no log that says nothing, no restart, no certificate.
        "gateway.bind" => json!(["auto", "loopback"]),
        "gateway.auth.mode" => json!(["token"]),
        "gateway.reload.mode" => json!(["hot", "hybrid"]),
        "gateway.tls.enabled" => json!([false]),
        "logging.level" | "logging.consoleLevel" => json!(["info", "debug"]),
        _ => return None,
    })
}

/// Whether an edit of the row must be found. Sections hold no value of their own, what is always
/// refused has no edit, and a channel that is set up connects to its server: that is its own
/// test's business.
fn counts(key: &Key) -> bool {
    let holds = !matches!(key.kind, Kind::Object | Kind::Map | Kind::List);
    let refused = matches!(key.status, Status::Security([]));
    let channel = key.pattern == "channels" || key.pattern.starts_with("channels.");
    holds && !refused && !channel && key.reload != Reload::Restart
}

/// A file in memory, and nothing else.
struct Text(String);

impl Source for Text {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(path.ends_with("openclaw.json").then(|| self.0.clone().into_bytes()))
    }
    fn digest(&self, _: &[u8]) -> String {
        String::new()
    }
}

/// The resolved values, if it is valid.
fn resolved(document: &Value) -> Option<Value> {
    let env = BTreeMap::from([("HOME".to_owned(), "/h".to_owned())]);
    let paths = Paths::resolve(&env, &Flags::default()).expect("paths");
    let loaded = load(&Text(document.to_string()), &env, &paths).ok()?;
    Some(loaded.config.source.resolved.clone())
}

/// Values to try for a row; directories are made below `dir`.
fn values(key: &Key, dir: &str) -> Vec<Value> {
    if let Some(Value::Array(values)) = chosen(key.pattern) {
        return values;
    }
    if let Status::Security(harmless) = key.status {
        return harmless.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
    }
    match key.kind {
        Kind::Object | Kind::Map => vec![json!({})],
        Kind::List => vec![json!([])],
        Kind::Open => {
            vec![json!({}), json!({"a": 1}), json!(true), json!("1d"), json!(7), json!("a")]
        }
        Kind::Text | Kind::Name | Kind::Secret => {
            let paths = ["one", "two"].map(|name| Value::from(format!("{dir}/{name}")));
            let words = [
                "a-text-of-24-characters-1",
                "a-text-of-24-characters-2",
                "2h",
                "3h",
                "ollama/a",
                "ollama/b",
                "UTC",
                "Europe/Berlin",
                "09:00",
                "10:00",
                "main",
                "agent:main:main",
                "http://127.0.0.1:9/a",
                "x",
            ];
            paths.into_iter().chain(words.map(Value::from)).collect()
        }
        Kind::Texts => vec![json!(["10.0.0.0/8"]), json!(["10.0.0.1"]), json!(["read"]), json!([])],
        Kind::WordList(words) => words.iter().map(|word| json!([word])).collect(),
        Kind::Words(words) => words.iter().map(|word| json!(word)).collect(),
        Kind::Bool => vec![json!(true), json!(false)],
        Kind::Integer(least, most) => {
            let near = [least, least + 1, least.max(5), least.max(1_000), least.max(100_000), most];
            near.into_iter().filter(|number| *number <= most).map(Value::from).collect()
        }
        Kind::Number => vec![json!(1), json!(2.5), json!(0)],
        Kind::Model => vec![json!("mock/m1"), json!({"primary": "mock/m1"})],
        Kind::Tools => vec![json!({"deny": ["exec"]}), json!({"allow": ["read"]})],
        Kind::HttpUrl => vec![json!("http://127.0.0.1:9/a"), json!("http://127.0.0.1:9/b")],
        Kind::WsUrl => vec![json!("ws://127.0.0.1:9"), json!("wss://127.0.0.1:9")],
        Kind::Ipv4 => vec![json!("127.0.0.1"), json!("127.0.0.2")],
        Kind::Origins => vec![json!(["https://a.test"]), json!(["https://b.test"])],
        Kind::Fingerprint => vec![json!("ab".repeat(32)), json!("cd".repeat(32)), json!("")],
        Kind::HeaderOrFalse => vec![json!("max-age=1"), json!(false)],
        #[allow(unreachable_patterns, reason = "kinds of tomorrow")]
        _ => vec![json!(["a"]), json!(["b"]), json!("a"), json!("b")],
    }
}

/// The steps to a row: `*` is `x`, `[]` the first element.
fn steps(pattern: &str) -> Vec<String> {
    pattern
        .replace("[]", ".[]")
        .split('.')
        .map(|part| match part {
            "*" => "x".to_owned(),
            part => part.to_owned(),
        })
        .collect()
}

/// Puts a value there, making what is missing above it.
fn put(document: &mut Value, steps: &[String], value: Value) -> Option<()> {
    let Some((first, rest)) = steps.split_first() else {
        *document = value;
        return Some(());
    };
    if first == "[]" {
        if document.is_null() {
            *document = json!([]);
        }
        let list = document.as_array_mut()?;
        if list.is_empty() {
            list.push(Value::Null);
        }
        return put(list.first_mut()?, rest, value);
    }
    if document.is_null() {
        *document = Value::Object(Map::new());
    }
    put(document.as_object_mut()?.entry(first.clone()).or_insert(Value::Null), rest, value)
}

/// The edits that were found, and what each proves.
struct Edits {
    document: Value,
    resolved: Value,
    /// As the last batch leaves it.
    flushed: Value,
    /// Texts in order, with the paths that the log must name.
    batches: Vec<(String, Vec<String>)>,
    proven: BTreeSet<&'static str>,
}

impl Edits {
    fn new(document: Value) -> Self {
        let resolved = resolved(&document).expect("valid from the start");
        let flushed = resolved.clone();
        Self { document, resolved, flushed, batches: Vec::new(), proven: BTreeSet::new() }
    }

    /// Takes a document as the next one of the batch, if it is valid and needs no restart.
    fn take(&mut self, next: Value) -> bool {
        let Some(now) = resolved(&next) else { return false };
        let changed = changes(&self.resolved, &now);
        if changed.is_empty() || changed.iter().any(|change| change.reload == Reload::Restart) {
            return false;
        }
        // Within one batch no change may swallow or undo another.
        let (before, all) = (changes(&self.flushed, &self.resolved), changes(&self.flushed, &now));
        if all.len() != before.len() + changed.len() || all.len() > limits::CONFIG_CHANGES_LOGGED {
            self.flush();
        }
        let row = |change: &Change| parse_path(&change.path).and_then(|path| lookup(&path));
        self.proven.extend(changed.iter().filter_map(row).map(|key| key.pattern));
        (self.document, self.resolved) = (next, now);
        true
    }

    fn flush(&mut self) {
        let paths = changes(&self.flushed, &self.resolved).into_iter().map(|it| it.path).collect();
        self.batches.push((self.document.to_string(), paths));
        self.flushed = self.resolved.clone();
    }

    fn edit(&mut self, steps: &[String], value: Value) -> bool {
        let mut next = self.document.clone();
        put(&mut next, steps, value).is_some() && self.take(next)
    }

    /// Edits a row until its own path has changed.
    fn row(&mut self, key: &'static Key, dir: &str) {
        let steps = steps(key.pattern);
        for value in values(key, dir) {
            if self.proven.contains(key.pattern) {
                return;
            }
            self.edit(&steps, value);
        }
    }
}

/// Edits of every row, beginning and ending with `base`.
fn edits(base: &Value, dir: &str) -> Edits {
    let mut edits = Edits::new(base.clone());
    for (path, value) in APART {
        let done = match serde_json::from_str(value) {
            Ok(value) => edits.edit(&steps(path), value),
            Err(_) => edits.take(base.clone()),
        };
        assert!(done, "{path} is not valid");
        edits.flush();
    }
    assert!(edits.take(base.clone()));
    edits.flush();
    for _ in 0..2 {
        for key in KEYS.iter().filter(|key| counts(key)) {
            edits.row(key, dir);
        }
    }
    edits.flush();
    assert!(edits.take(base.clone()));
    edits
}

#[test]
fn every_hot_key_is_edited_amid_a_stream() {
    let home = Home::new();
    let (provider, go) = patient();
    let text = openclaw_gateway::wire::json5::parse(&provider.config("")).expect("JSON5");
    let mut base = text.root.to_value();
    base["gateway"]["reload"] = json!({"debounceMs": 0});
    let edits = edits(&base, &home.0.display().to_string());
    let hot: Vec<&str> = KEYS.iter().filter(|key| counts(key)).map(|key| key.pattern).collect();
    let missing: Vec<&&str> = hot.iter().filter(|it| !edits.proven.contains(**it)).collect();
    assert_eq!(missing, Vec::<&&str>::new(), "no valid edit was found; see APART");
    assert!(hot.len() > 600, "the table has shrunk to {}", hot.len());

    home.configure(&base.to_string());
    let began = Instant::now();
    let mut gateway = home.start("");
    let (port, pid) = (gateway.port, gateway.pid());
    let body = json!({"model": "openclaw", "stream": true,
        "messages": [{"role": "user", "content": "count"}]});
    let run = std::thread::spawn(move || ask(port, chat(&body)));
    provider.asked();
    for (at, (text, paths)) in edits.batches.iter().enumerate() {
        home.configure(text);
        // The first edits are left to the watcher, which looks once a second.
        if at > 1 {
            gateway.signal(rustix::process::Signal::HUP);
        }
        for path in paths {
            gateway.wait_for(&format!("{path} changed: applied"));
        }
        gateway.wait_for("configuration reread and applied");
    }
    home.configure(&base.to_string());
    gateway.signal(rustix::process::Signal::HUP);
    gateway.wait_for("configuration reread and applied");
    go.send(()).expect("it waits");
    let answer = run.join().expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(answer.data().iter().any(|data| data.contains("done")), "{:?}", answer.data());
    let lived = u64::try_from(began.elapsed().as_millis()).expect("small");
    let status = Socket::connect(port).call("status", &json!({})).expect("status");
    assert_eq!(status["pid"], pid);
    assert_eq!(status["configIssues"], json!([]));
    let uptime = status["uptimeMs"].as_u64().expect("a number");
    assert!(uptime + 2_000 > lived, "{uptime} of {lived} ms: it began anew");
}
