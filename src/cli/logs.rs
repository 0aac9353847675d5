//! `openclaw logs`: the gateway's log through `logs.tail`, so that it works from anywhere the
//! gateway does.
//!
//! `--follow` keeps one connection and asks again from the last cursor. A gateway that restarts
//! under it is waited for; one that was never there fails at once.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::client::{self, CLI, Session, Target, Trouble};
use super::table::Args;
use super::{Failed, out, place};

/// How often a lost gateway is looked for again before `--follow` gives up.
const TRIES_AGAIN: u32 = 30;

/// Runs the command.
///
/// # Errors
/// When no gateway answers, or a followed one stays away.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let target = Target::find(args)?;
    let interval = Duration::from_millis(args.number("interval").unwrap_or(1000));
    let mut tail = Tail::default();
    let mut tries = 0;
    loop {
        let before = tail.answers;
        let trouble = match watch(args, &target, &mut tail, interval) {
            Ok(()) => return Ok(0),
            Err(trouble) => trouble,
        };
        tries = if tail.answers > before { 1 } else { tries + 1 };
        let lost = matches!(trouble, Trouble::NoGateway(_) | Trouble::NotGateway(_));
        // Nothing was shown yet, or waiting will not help: fail fast.
        if tail.answers == 0 || !lost || tries > TRIES_AGAIN {
            return target.fail(args, &trouble).map_err(|failed| with_file(args, &target, failed));
        }
        if tries == 1 {
            let text = format!("the connection was lost ({}); waiting", trouble.short());
            notice(args, &text);
        }
        std::thread::park_timeout(interval);
    }
}

/// Whoever asks for the log of a gateway that is gone wants to know where it lies.
fn with_file(args: &Args, target: &Target, mut failed: Failed) -> Failed {
    let env = place::environment();
    if let (true, Ok(paths)) = (target.local, place::paths(&env, args))
        && let Ok(loaded) = place::load(&place::Files::new(), &env, &paths)
    {
        let path = place::log_path(&paths, &loaded.config);
        if path.exists() {
            failed.next = format!("{}; the log so far is {}", failed.next, path.display());
        }
    }
    failed
}

/// Where we are in the log.
#[derive(Debug, Default)]
struct Tail {
    cursor: Option<u64>,
    answers: u64,
}

impl Tail {
    fn params(&self, args: &Args) -> Value {
        let mut params = json!({
            "limit": args.number("limit").unwrap_or(200),
            "maxBytes": args.number("max-bytes").unwrap_or(250_000),
        });
        if let (Some(cursor), Some(params)) = (self.cursor, params.as_object_mut()) {
            params.insert("cursor".to_owned(), Value::from(cursor));
        }
        params
    }
}

/// One connection: shows what there is, and with `--follow` what comes.
fn watch(args: &Args, target: &Target, tail: &mut Tail, interval: Duration) -> Result<(), Trouble> {
    let timeout = client::timeout(args);
    let mut session = Session::open(target, CLI, &["operator.read"], timeout)?;
    loop {
        session.allow(timeout);
        let answer = session.request("logs.tail", Some(tail.params(args)))?;
        show(args, &answer, tail);
        if !args.has("follow") {
            session.close();
            return Ok(());
        }
        session.idle(interval)?;
    }
}

fn show(args: &Args, answer: &Value, tail: &mut Tail) {
    let as_json = args.has("json");
    let cursor = answer.get("cursor").and_then(Value::as_u64);
    if tail.answers == 0 && as_json {
        let mut meta = Map::new();
        meta.insert("type".to_owned(), Value::from("meta"));
        for key in ["file", "cursor", "size"] {
            meta.insert(key.to_owned(), answer.get(key).cloned().unwrap_or_default());
        }
        out::line(&Value::Object(meta).to_string());
    }
    if tail.answers > 0 && answer.get("reset") == Some(&Value::Bool(true)) {
        notice(args, "the log was started anew");
    }
    if answer.get("truncated") == Some(&Value::Bool(true)) {
        notice(args, "older lines were left out (--limit, --max-bytes)");
    }
    let lines = answer.get("lines").and_then(Value::as_array);
    for raw in lines.into_iter().flatten().filter_map(Value::as_str) {
        let line = Line::parse(raw);
        if as_json {
            out::line(&line.json(raw).to_string());
        } else {
            out::line(&line.text(args.has("plain")));
        }
    }
    tail.cursor = cursor.or(tail.cursor);
    tail.answers = tail.answers.saturating_add(1);
}

/// A word about the showing itself: a document with `--json`, else on standard error.
fn notice(args: &Args, text: &str) {
    use std::io::Write;
    if args.has("json") {
        out::line(&json!({"type": "notice", "message": text}).to_string());
    } else {
        let _ = writeln!(std::io::stderr(), "openclaw: {text}");
    }
}

/// A line of the log file, or any text.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line {
    time: String,
    level: String,
    subsystem: String,
    message: String,
}

impl Line {
    fn parse(raw: &str) -> Self {
        let Ok(value) = serde_json::from_str::<Value>(raw) else {
            return Self { message: raw.to_owned(), ..Self::default() };
        };
        let word =
            |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let zero = word(value.get("0"));
        let subsystem = serde_json::from_str::<Value>(&zero)
            .map(|inner| word(inner.get("subsystem")))
            .unwrap_or_default();
        let message = match value.get("1") {
            Some(Value::String(message)) => message.clone(),
            Some(other) => other.to_string(),
            // Lines without a subsystem hold their text first.
            None => zero,
        };
        Self {
            time: word(value.get("time")),
            level: word(value.pointer("/_meta/logLevelName")).to_lowercase(),
            subsystem,
            message,
        }
    }

    fn text(&self, plain: bool) -> String {
        let message = out::foreign(&self.message).replace('\n', " ");
        if plain || self.time.is_empty() {
            return message;
        }
        let (time, level) = (out::foreign(&self.time), out::foreign(&self.level));
        format!("{time} {level:5} [{}] {message}", out::foreign(&self.subsystem))
    }

    fn json(&self, raw: &str) -> Value {
        json!({
            "type": "log",
            "time": self.time,
            "level": self.level,
            "subsystem": self.subsystem,
            "message": self.message,
            "raw": raw,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_gateways_are_read() {
        let raw = r#"{"0":"{\"subsystem\":\"gateway\"}","1":"starting","_meta":{"logLevelName":"INFO"},"time":"2026-11-22T09:47:12.586Z"}"#;
        let line = Line::parse(raw);
        assert_eq!(line.text(false), "2026-11-22T09:47:12.586Z info  [gateway] starting");
        assert_eq!(line.text(true), "starting");
        assert_eq!(line.json(raw)["raw"], raw);
        assert_eq!(Line::parse("not json").text(false), "not json");
        assert_eq!(Line::parse(r#"{"0":"plain text","time":"t"}"#).message, "plain text");
    }

    #[test]
    fn a_line_cannot_drive_the_terminal() {
        let raw = json!({"1": "a\u{1b}[2J\nb", "time": "\u{1b}x"}).to_string();
        let text = Line::parse(&raw).text(false);
        assert!(!text.contains(['\u{1b}', '\n']), "{text:?}");
    }
}
