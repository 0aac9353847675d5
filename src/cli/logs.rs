//! `openclaw logs`: the gateway's log through `logs.tail`, so that it works from anywhere the
//! gateway does.
//!
//! `--follow` keeps one connection and asks again from the last cursor. A gateway that restarts
//! under it is waited for; one that was never there fails at once. Of the gateway on this
//! machine the end of its file is shown then, since a crash is what one reads a log for.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::client::{self, CLI, Session, Target, Trouble};
use super::page::{Ink, Tone};
use super::table::Args;
use super::{Failed, out, place};
use crate::gateway::LocalTime;

/// How often a lost gateway is looked for again before `--follow` gives up.
const TRIES_AGAIN: u32 = 30;
/// Lines and bytes that are asked for at once (the reference's).
const LINES: u64 = 200;
const BYTES: u64 = 250_000;

/// Runs the command.
///
/// # Errors
/// When no gateway answers, or a followed one stays away.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let target = Target::find(args)?;
    let interval = Duration::from_millis(args.number("interval").unwrap_or(1000));
    let mut tail = Tail::new(args);
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
            return gone(args, &target, &trouble, &mut tail);
        }
        if tries == 1 {
            let text = format!("the connection was lost ({}); waiting", trouble.short());
            notice(args, &text);
        }
        std::thread::park_timeout(interval);
    }
}

/// Whoever asks for the log of a gateway that is gone wants to read it all the same; a file that
/// no gateway writes is not followed.
fn gone(args: &Args, target: &Target, trouble: &Trouble, tail: &mut Tail) -> Result<u8, Failed> {
    let away = matches!(trouble, Trouble::NoGateway(_) | Trouble::Slow(_) | Trouble::NotGateway(_));
    let env = place::environment();
    let path = match place::paths(&env, args) {
        Ok(paths) if target.local && away => place::load(&place::Files::new(), &env, &paths)
            .ok()
            .map(|loaded| place::log_path(&paths, &loaded.config))
            .filter(|path| path.exists()),
        _ => None,
    };
    let Some(path) = path else { return target.fail(args, trouble) };
    let mut failed = trouble.failed(target);
    failed.next = format!("{}; the log so far is {}", failed.next, path.display());
    let notice_text = format!("{}; {}", failed.what, failed.next);
    if tail.answers > 0 || args.has("follow") {
        return if args.has("json") { target.fail(args, trouble) } else { Err(failed) };
    }
    let bytes = args.number("max-bytes").unwrap_or(BYTES);
    let Ok((lines, size)) = end_of(&path, bytes, args.number("limit").unwrap_or(LINES)) else {
        return target.fail(args, trouble);
    };
    tail.local_fallback = true;
    let answer = json!({"file": path, "cursor": size, "size": size, "lines": lines});
    show(args, &answer, tail);
    // It was read all the same: as in the reference, that is no failure.
    notice(args, &notice_text);
    Ok(0)
}

/// The last whole lines of a file, and its size.
pub(super) fn end_of(
    path: &std::path::Path,
    bytes: u64,
    limit: u64,
) -> std::io::Result<(Vec<String>, u64)> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    let size = file.metadata()?.len();
    let from = size.saturating_sub(bytes);
    file.seek(SeekFrom::Start(from))?;
    let mut read = Vec::new();
    file.take(bytes).read_to_end(&mut read)?;
    let text = String::from_utf8_lossy(&read);
    // The first line may have begun before.
    let whole = if from > 0 { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
    let lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let spare = lines.len().saturating_sub(limit);
    Ok((lines.into_iter().skip(spare).collect(), size))
}

/// Where we are in the log, and how it is shown.
struct Tail {
    cursor: Option<u64>,
    answers: u64,
    local_fallback: bool,
    ink: Ink,
    /// `None`: as the log has it, in UTC.
    time: Option<LocalTime>,
}

impl Tail {
    fn new(args: &Args) -> Self {
        let time = (!args.has("utc") && !args.has("json")).then(local_time).flatten();
        Self { cursor: None, answers: 0, local_fallback: false, ink: Ink::of(args), time }
    }

    fn params(&self, args: &Args) -> Value {
        let mut params = json!({
            "limit": args.number("limit").unwrap_or(LINES),
            "maxBytes": args.number("max-bytes").unwrap_or(BYTES),
        });
        if let (Some(cursor), Some(params)) = (self.cursor, params.as_object_mut()) {
            params.insert("cursor".to_owned(), Value::from(cursor));
        }
        params
    }
}

/// The zone of `TZ`, else of the machine.
fn local_time() -> Option<LocalTime> {
    let env = place::environment();
    let name = place::var(&env, "TZ").map(|name| name.trim_start_matches(':'));
    let read = |path: &str| place::read_capped(std::path::Path::new(path), LocalTime::FILE).ok();
    LocalTime::find(name, &read)
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
        meta.insert("sourceKind".to_owned(), Value::from("file"));
        if tail.local_fallback {
            meta.insert("localFallback".to_owned(), Value::from(true));
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
            out::line(&line.text(args.has("plain"), tail.ink, tail.time.as_ref()));
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

/// A line of the log file as `channels logs --json` has it: `{time, level, subsystem, message,
/// raw}`.
pub(super) fn entry(raw: &Value) -> Value {
    let raw = raw.as_str().unwrap_or_default();
    let line = Line::parse(raw);
    json!({
        "time": line.time, "level": line.level, "subsystem": line.subsystem,
        "message": line.message, "raw": raw,
    })
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

    fn text(&self, plain: bool, ink: Ink, local: Option<&LocalTime>) -> String {
        let message = out::foreign(&self.message).replace('\n', " ");
        if plain || self.time.is_empty() {
            return message;
        }
        let time = local.and_then(|local| local.shown(&self.time));
        let time = time.unwrap_or_else(|| out::foreign(&self.time));
        let tone = match self.level.as_str() {
            "error" | "fatal" => Tone::Bad,
            "warn" => Tone::Warn,
            "debug" | "trace" => Tone::Dim,
            _ => Tone::Plain,
        };
        let level = ink.paint(tone, &format!("{:5}", out::foreign(&self.level)));
        let time = ink.paint(Tone::Dim, &time);
        format!("{time} {level} [{}] {message}", out::foreign(&self.subsystem))
    }

    fn json(&self, raw: &str) -> Value {
        let mut line = json!({
            "type": "log", "time": self.time, "level": self.level, "message": self.message,
            "raw": raw,
        });
        if !self.subsystem.is_empty() {
            line["subsystem"] = json!(self.subsystem);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_gateways_are_read() {
        let raw = r#"{"0":"{\"subsystem\":\"gateway\"}","1":"starting","_meta":{"logLevelName":"INFO"},"time":"2026-11-22T09:47:12.586Z"}"#;
        let line = Line::parse(raw);
        let text = |plain| line.text(plain, Ink::NONE, None);
        assert_eq!(text(false), "2026-11-22T09:47:12.586Z info  [gateway] starting");
        assert_eq!(text(true), "starting");
        let east = LocalTime::find(Some("+02:00"), &|_| None).unwrap();
        let shown = line.text(false, Ink::NONE, Some(&east));
        assert!(shown.starts_with("2026-11-22T11:47:12.586+02:00 info "), "{shown}");
        assert_eq!(line.json(raw)["raw"], raw);
        assert_eq!(Line::parse("not json").text(false, Ink::NONE, Some(&east)), "not json");
        assert_eq!(Line::parse(r#"{"0":"plain text","time":"t"}"#).message, "plain text");
    }

    #[test]
    fn a_line_cannot_drive_the_terminal() {
        let raw = json!({"1": "a\u{1b}[2J\nb", "time": "\u{1b}x"}).to_string();
        let text = Line::parse(&raw).text(false, Ink::NONE, None);
        assert!(!text.contains(['\u{1b}', '\n']), "{text:?}");
    }

    #[test]
    fn the_end_of_a_file_is_whole_lines() {
        let path = std::env::temp_dir().join(format!("openclaw-logs-{}", std::process::id()));
        std::fs::write(&path, "first\nsecond\nthird\n").unwrap();
        let (all, size) = end_of(&path, 1_000, 10).unwrap();
        assert_eq!((all.len(), size), (3, 19));
        assert_eq!(end_of(&path, 1_000, 1).unwrap().0, ["third"]);
        assert_eq!(end_of(&path, 10, 9).unwrap().0, ["third"]);
        let _ = std::fs::remove_file(&path);
    }
}
