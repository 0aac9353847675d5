//! `openclaw cron ...` (or `openclaw automations ...`): scheduled work of the running gateway.
//!
//! `list`, `show` and `runs` are for people unless `--json` is given; what changes something
//! prints the gateway's own answer as JSON, as in the reference.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::client::{self, CLI, Session, Target};
use super::page::{Page, Tone};
use super::table::Args;
use super::{Failed, ask, out};
use crate::config::cron::duration_ms;
use crate::gateway::cron_time_ms;
use crate::store::RealDisk;
use crate::wire::text::rfc3339_ms;

/// Jobs that one question asks for: the most there are on a page.
const PAGE: u64 = 200;
const ADD: &str =
    "openclaw cron add --name \"Morning brief\" --cron \"0 7 * * *\" --message \"...\"";

/// `openclaw cron status`.
///
/// # Errors
/// When no gateway answers.
pub fn status(args: &Args) -> Result<u8, Failed> {
    print(args, "cron.status", json!({}))
}

/// `openclaw cron list`.
///
/// # Errors
/// When no gateway answers.
pub fn list(args: &Args) -> Result<u8, Failed> {
    let mut params = json!({"includeDisabled": args.has("all"), "limit": PAGE, "offset": 0});
    if let Some(agent) = args.value("agent") {
        params["agentId"] = json!(agent);
    }
    let target = Target::find(args)?;
    let mut answer = match ask::call(args, &target, "cron.list", params) {
        Ok(answer) => answer,
        Err(trouble) => return target.fail(args, &trouble),
    };
    for job in answer["jobs"].as_array_mut().into_iter().flatten() {
        job["status"] = json!(state(job));
    }
    if args.has("json") {
        out::json(&answer);
        return Ok(0);
    }
    let now = now_ms();
    let jobs = answer["jobs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut page = Page::new(args);
    for job in jobs {
        lines(job, now).iter().for_each(|line| page.line(line, Tone::Plain));
    }
    page.print();
    if jobs.is_empty() {
        out::line("no jobs; the first: openclaw cron add --help");
    } else if answer["hasMore"] == true {
        out::line(&format!("{} of {} jobs", jobs.len(), answer["total"]));
    }
    Ok(0)
}

/// `openclaw cron get <id>`.
///
/// # Errors
/// When no gateway answers, or it has no such job.
pub fn get(args: &Args) -> Result<u8, Failed> {
    print(args, "cron.get", json!({"id": id(args)}))
}

/// `openclaw cron show <id>`: for people.
///
/// # Errors
/// As [`get`].
pub fn show(args: &Args) -> Result<u8, Failed> {
    ask::ask(args, "cron.get", json!({"id": id(args)}), |job| {
        let mut shown = lines(job, now_ms());
        for (name, at) in [
            ("says", "/payload/text"),
            ("asks", "/payload/message"),
            ("model", "/payload/model"),
            ("session", "/sessionTarget"),
            ("delivery", "/delivery/mode"),
            ("last error", "/state/lastError"),
            ("last delivery", "/state/lastDeliveryError"),
        ] {
            if let Some(text) = job.pointer(at).and_then(Value::as_str) {
                shown.push(format!("    {name}: {text}"));
            }
        }
        shown
    })
}

/// `openclaw cron add` and `openclaw cron create <schedule> <prompt>`.
///
/// # Errors
/// When the flags make no job, no gateway answers, or it refuses.
pub fn add(args: &Args) -> Result<u8, Failed> {
    let wrong = |what: &str| Failed::new(what, ADD);
    let mut job = fields(args)?;
    if let [expr, prompt] = args.operands.as_slice() {
        job.entry("schedule").or_insert(positional(args, expr)?);
        job.entry("payload").or_insert(json!({"kind": "agentTurn", "message": prompt}));
    }
    for (name, what) in [
        ("name", "--name is missing: what the job is called"),
        ("schedule", "when? --at, --every or --cron is missing"),
        ("payload", "what? --message (an agent's turn) or --system-event is missing"),
    ] {
        if !job.contains_key(name) {
            return Err(wrong(what));
        }
    }
    job.entry("wakeMode").or_insert(json!("now"));
    print(args, "cron.add", Value::Object(job))
}

/// `openclaw cron edit <id>`.
///
/// # Errors
/// As [`add`]; also when nothing would change.
pub fn edit(args: &Args) -> Result<u8, Failed> {
    let mut patch = fields(args)?;
    for (flag, name) in [("clear-agent", "agentId"), ("clear-display-name", "displayName")] {
        if args.has(flag) {
            patch.insert(name.to_owned(), Value::Null);
        }
    }
    for (flag, name) in [("clear-model", "model"), ("clear-thinking", "thinking")] {
        if args.has(flag) {
            let payload = patch.entry("payload").or_insert_with(|| json!({"kind": "agentTurn"}));
            payload[name] = Value::Null;
        }
    }
    if args.has("enable") {
        patch.insert("enabled".to_owned(), true.into());
    }
    if patch.is_empty() {
        let next = format!("openclaw cron edit {} --help", id(args));
        return Err(Failed::new("nothing to change: no flag was given", next));
    }
    print(args, "cron.update", json!({"id": id(args), "patch": patch}))
}

/// `openclaw cron enable <id>` and `disable`.
///
/// # Errors
/// As [`get`].
pub fn enable(args: &Args, on: bool) -> Result<u8, Failed> {
    print(args, "cron.update", json!({"id": id(args), "patch": {"enabled": on}}))
}

/// `openclaw cron rm <id>`.
///
/// # Errors
/// As [`get`].
pub fn remove(args: &Args) -> Result<u8, Failed> {
    print(args, "cron.remove", json!({"id": id(args)}))
}

/// `openclaw cron runs [<id>]`.
///
/// # Errors
/// When no gateway answers, or a flag makes no sense.
pub fn runs(args: &Args) -> Result<u8, Failed> {
    let mut params = Map::new();
    match args.value("id").or(args.operands.first().map(String::as_str)) {
        Some(id) => params.insert("id".to_owned(), json!(id)),
        None => params.insert("scope".to_owned(), json!("all")),
    };
    for (flag, name) in [
        ("run-id", "runId"),
        ("status", "status"),
        ("delivery-status", "deliveryStatus"),
        ("query", "query"),
        ("sort", "sortDir"),
    ] {
        if let Some(value) = args.value(flag) {
            params.insert(name.to_owned(), json!(value));
        }
    }
    for flag in ["limit", "offset"] {
        if let Some(text) = args.value(flag) {
            let number: u64 = text.parse().map_err(|_| {
                Failed::new(format!("--{flag} {text}: write a number"), "openclaw cron runs --help")
            })?;
            params.insert(flag.to_owned(), json!(number));
        }
    }
    print(args, "cron.runs", Value::Object(params))
}

/// `openclaw cron run <id> [--due] [--wait]`.
///
/// # Errors
/// As [`get`]; with `--wait` the exit code is 0 only for a run that succeeded.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let id = id(args);
    let params = json!({"id": id, "mode": if args.has("due") { "due" } else { "force" }});
    if !args.has("wait") {
        return print(args, "cron.run", params);
    }
    let wait = |flag, default| match args.value(flag) {
        None => Ok(default),
        Some(text) => duration_ms(text, 0).filter(|ms| *ms > 0).ok_or_else(|| {
            Failed::new(format!("--{flag} {text}: write a duration such as 10m"), "")
        }),
    };
    let (most, poll) = (wait("wait-timeout", 600_000)?, wait("poll-interval", 2_000)?);
    let target = Target::find(args)?;
    let scopes = client::scopes_for("cron.run", &params);
    let asked = Session::open(&target, CLI, &scopes, client::timeout(args)).and_then(|mut it| {
        let started = it.request("cron.run", Some(params))?;
        let mut waited = 0;
        while let Some(run) = started["runId"].as_str()
            && waited < most
        {
            let about = json!({"id": id, "runId": run, "limit": 1});
            let found = it.request("cron.runs", Some(about))?;
            if let Some(entry) = found.pointer("/entries/0") {
                return Ok((started.clone(), Some(entry.clone())));
            }
            it.idle(Duration::from_millis(poll))?;
            it.allow(client::timeout(args));
            waited += poll;
        }
        it.close();
        Ok((started, None))
    });
    match asked {
        Ok((mut started, Some(entry))) => {
            let done = entry["completionStatus"] == "succeeded";
            for name in ["status", "completionStatus", "error", "summary", "durationMs"] {
                if let Some(value) = entry.get(name) {
                    started[name] = value.clone();
                }
            }
            out::json(&started);
            Ok(u8::from(!done))
        }
        Ok((started, None)) => {
            out::json(&started);
            Ok(1)
        }
        Err(trouble) => target.fail(args, &trouble),
    }
}

fn id(args: &Args) -> &str {
    args.operands.first().map(String::as_str).unwrap_or_default()
}

/// Asks, and prints the answer as it is.
fn print(args: &Args, method: &str, params: Value) -> Result<u8, Failed> {
    let target = Target::find(args)?;
    match ask::call(args, &target, method, params) {
        Ok(answer) => out::json(&answer),
        Err(trouble) => return target.fail(args, &trouble),
    }
    Ok(0)
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// What the flags of `add` and `edit` say of a job.
fn fields(args: &Args) -> Result<Map<String, Value>, Failed> {
    let mut job = Map::new();
    let mut set = |name: &str, value: Value| drop(job.insert(name.to_owned(), value));
    for (flag, name) in [
        ("name", "name"),
        ("display-name", "displayName"),
        ("description", "description"),
        ("agent", "agentId"),
        ("session-key", "sessionKey"),
        ("session", "sessionTarget"),
        ("wake", "wakeMode"),
    ] {
        if let Some(value) = args.value(flag) {
            set(name, json!(value));
        }
    }
    if args.has("disabled") || args.has("disable") {
        set("enabled", false.into());
    }
    if args.has("delete-after-run") || args.has("keep-after-run") {
        set("deleteAfterRun", args.has("delete-after-run").into());
    }
    if let Some(schedule) = schedule(args)? {
        set("schedule", schedule);
    }
    if let Some(payload) = payload(args)? {
        set("payload", payload);
    }
    if let Some(delivery) = delivery(args)? {
        set("delivery", delivery);
    }
    Ok(job)
}

fn schedule(args: &Args) -> Result<Option<Value>, Failed> {
    let wrong = |what: String| Failed::new(what, ADD);
    let given: Vec<&str> =
        ["at", "every", "cron"].into_iter().filter(|flag| args.value(flag).is_some()).collect();
    let tz = args.value("tz");
    let (kind, text) = match given.as_slice() {
        [] if tz.is_some() || args.value("stagger").is_some() || args.has("exact") => {
            return Err(wrong(
                "--tz, --exact and --stagger go with --cron (--tz with --at)".into(),
            ));
        }
        [] => return Ok(None),
        [kind] => (*kind, args.value(kind).unwrap_or_default()),
        _ => return Err(wrong("--at, --every and --cron: only one of them".to_owned())),
    };
    if kind != "cron" && (args.has("exact") || args.value("stagger").is_some()) {
        return Err(wrong(format!("--exact and --stagger do not go with --{kind}")));
    }
    Ok(Some(match kind {
        "at" => at(text, tz)?,
        "every" => {
            if tz.is_some() {
                return Err(wrong("--tz does not go with --every".to_owned()));
            }
            let ms = duration_ms(text, 0).filter(|ms| *ms > 0).ok_or_else(|| {
                wrong(format!("--every {text}: write a duration such as 10m, 1h or 1d"))
            })?;
            json!({"kind": "every", "everyMs": ms})
        }
        _ => cron(args, text)?,
    }))
}

fn cron(args: &Args, expr: &str) -> Result<Value, Failed> {
    let mut schedule = json!({"kind": "cron", "expr": expr});
    if let Some(tz) = args.value("tz") {
        schedule["tz"] = json!(tz);
    }
    if args.has("exact") {
        schedule["staggerMs"] = json!(0);
    } else if let Some(text) = args.value("stagger") {
        let ms = duration_ms(text, 0).ok_or_else(|| {
            Failed::new(format!("--stagger {text}: write a duration such as 30s"), ADD)
        })?;
        schedule["staggerMs"] = json!(ms);
    }
    Ok(schedule)
}

/// A time, or a duration from now.
fn at(text: &str, tz: Option<&str>) -> Result<Value, Failed> {
    let ms = match duration_ms(text.trim_start_matches('+'), 0) {
        Some(ms) => now_ms().saturating_add(ms),
        None => cron_time_ms(&RealDisk, text, tz)
            .map_err(|what| Failed::new(format!("--at: {what}, or like 20m"), ADD))?,
    };
    Ok(json!({"kind": "at", "at": rfc3339_ms(ms)}))
}

/// The schedule of `create`: an expression, a duration or a time.
fn positional(args: &Args, text: &str) -> Result<Value, Failed> {
    if text.split_ascii_whitespace().count() >= 5 || text.starts_with('@') {
        return cron(args, text);
    }
    match duration_ms(text, 0) {
        Some(ms) => Ok(json!({"kind": "every", "everyMs": ms})),
        None => at(text, args.value("tz")),
    }
}

fn payload(args: &Args) -> Result<Option<Value>, Failed> {
    let (message, event) = (args.value("message"), args.value("system-event"));
    let mut more = Map::new();
    for flag in ["model", "thinking"] {
        if let Some(value) = args.value(flag) {
            more.insert(flag.to_owned(), json!(value));
        }
    }
    if let Some(seconds) = args.number("timeout-seconds") {
        more.insert("timeoutSeconds".to_owned(), json!(seconds));
    }
    if args.has("light-context") {
        more.insert("lightContext".to_owned(), true.into());
    }
    match (message, event) {
        (Some(_), Some(_)) => Err(Failed::new("--message or --system-event: not both", ADD)),
        (None, Some(_)) if !more.is_empty() => Err(Failed::new(
            "--model, --thinking, --timeout-seconds and --light-context go with --message",
            ADD,
        )),
        (None, Some(text)) => Ok(Some(json!({"kind": "systemEvent", "text": text}))),
        (None, None) if more.is_empty() => Ok(None),
        (message, None) => {
            more.insert("kind".to_owned(), json!("agentTurn"));
            if let Some(message) = message {
                more.insert("message".to_owned(), json!(message));
            }
            Ok(Some(Value::Object(more)))
        }
    }
}

fn delivery(args: &Args) -> Result<Option<Value>, Failed> {
    if args.has("announce") && args.has("no-deliver") {
        return Err(Failed::new("--announce or --no-deliver: not both", ADD));
    }
    let mut delivery = Map::new();
    for (flag, name) in
        [("channel", "channel"), ("to", "to"), ("account", "accountId"), ("thread-id", "threadId")]
    {
        if let Some(value) = args.value(flag) {
            delivery.insert(name.to_owned(), json!(value));
        }
    }
    if args.has("best-effort-deliver") {
        delivery.insert("bestEffort".to_owned(), true.into());
    }
    if args.has("no-deliver") {
        delivery.insert("mode".to_owned(), json!("none"));
    } else if args.has("announce") || !delivery.is_empty() {
        delivery.insert("mode".to_owned(), json!("announce"));
    }
    Ok((!delivery.is_empty()).then_some(Value::Object(delivery)))
}

/// `status` of a row: as the reference computes it.
fn state(job: &Value) -> &str {
    if job["enabled"] == false {
        return "disabled";
    }
    if job.pointer("/state/runningAtMs").is_some() {
        return "running";
    }
    job.pointer("/state/lastRunStatus").and_then(Value::as_str).unwrap_or("idle")
}

/// One job for people, in two lines.
fn lines(job: &Value, now: u64) -> Vec<String> {
    let text = |name: &str| job[name].as_str().unwrap_or_default();
    let name = job["displayName"].as_str().unwrap_or(text("name"));
    let time = |at: &str| job.pointer(at).and_then(Value::as_u64);
    let next = time("/state/nextRunAtMs").map_or("never".to_owned(), |at| match at > now {
        true => format!("in {}", span(at - now)),
        false => "now".to_owned(),
    });
    let last = time("/state/lastRunAtMs")
        .map(|at| format!(", last {} ago", span(now.saturating_sub(at))))
        .unwrap_or_default();
    let errors = time("/state/consecutiveErrors").filter(|count| *count > 1);
    let errors = errors.map(|count| format!(" ({count} times)")).unwrap_or_default();
    let agent = job["effectiveAgentId"].as_str().or(job["agentId"].as_str());
    let agent = agent.map(|agent| format!(", agent {agent}")).unwrap_or_default();
    vec![
        format!("{}  {name}", text("id")),
        format!(
            "    {}, {}{errors}, next {next}{last}, {}{agent}",
            when(&job["schedule"]),
            state(job),
            text("sessionTarget")
        ),
    ]
}

/// A schedule for people; intervals keep their milliseconds.
fn when(schedule: &Value) -> String {
    let text = |name: &str| schedule[name].as_str().unwrap_or_default();
    match text("kind") {
        "every" => format!("every {}", exact(schedule["everyMs"].as_u64().unwrap_or(0))),
        "at" => format!("at {}", text("at")),
        _ => {
            let tz = schedule["tz"].as_str().map(|tz| format!(" ({tz})")).unwrap_or_default();
            let stagger = schedule["staggerMs"].as_u64().filter(|ms| *ms > 0);
            let stagger = stagger.map(|ms| format!(" stagger {}", exact(ms))).unwrap_or_default();
            format!("cron {}{tz}{stagger}", text("expr"))
        }
    }
}

/// `1m 30s`, `1s 1ms`.
fn exact(ms: u64) -> String {
    let parts = [
        (ms / 86_400_000, "d"),
        (ms / 3_600_000 % 24, "h"),
        (ms / 60_000 % 60, "m"),
        (ms / 1_000 % 60, "s"),
        (ms % 1_000, "ms"),
    ];
    let shown: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if shown.is_empty() { "0ms".to_owned() } else { shown.join(" ") }
}

/// The same, rounded down to its largest unit.
fn span(ms: u64) -> String {
    let shown = exact(ms);
    shown.split(' ').next().filter(|first| !first.ends_with("ms")).unwrap_or("a moment").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::{Parsed, parse};

    fn made(line: &[&str]) -> Result<Value, Failed> {
        let words = ["cron", "edit", "id"].iter().chain(line).map(std::ffi::OsString::from);
        let parsed = parse(words);
        let Ok(Parsed::Run(args)) = parsed else { panic!("{line:?} {parsed:?}") };
        fields(&args).map(Value::Object)
    }

    #[test]
    fn flags_make_a_job() {
        let job = made(&[
            "--name",
            "n",
            "--cron",
            "0 7 * * *",
            "--tz",
            "Europe/Berlin",
            "--exact",
            "--message",
            "m",
            "--model",
            "p/m",
            "--timeout-seconds",
            "0",
            "--agent",
            "ops",
        ]);
        assert_eq!(
            job.unwrap(),
            json!({"name": "n", "agentId": "ops",
                "schedule": {"kind": "cron", "expr": "0 7 * * *", "tz": "Europe/Berlin",
                    "staggerMs": 0},
                "payload": {"kind": "agentTurn", "message": "m", "model": "p/m",
                    "timeoutSeconds": 0}})
        );
        let job = made(&["--every", "90s", "--system-event", "t", "--keep-after-run"]).unwrap();
        assert_eq!(job["schedule"], json!({"kind": "every", "everyMs": 90_000}));
        assert_eq!(job["payload"], json!({"kind": "systemEvent", "text": "t"}));
        assert_eq!(job["deleteAfterRun"], false);
        let job = made(&["--at", "2026-02-01T16:00:00", "--tz", "+02:00", "--to", "x"]).unwrap();
        assert_eq!(job["schedule"]["at"], "2026-02-01T14:00:00.000Z");
        assert_eq!(job["delivery"], json!({"mode": "announce", "to": "x"}));
        for (line, part) in [
            (&["--at", "1m", "--every", "1m"][..], "only one"),
            (&["--every", "soon"], "10m, 1h or 1d"),
            (&["--every", "1h", "--tz", "UTC"], "--tz"),
            (&["--at", "soon"], "2026-02-01T16:00:00Z"),
            (&["--at", "2026-02-01", "--tz", "No/Where"], "No/Where"),
            (&["--exact"], "--cron"),
            (&["--at", "1m", "--exact"], "--at"),
            (&["--message", "m", "--system-event", "t"], "not both"),
            (&["--system-event", "t", "--model", "p/m"], "--message"),
            (&["--announce", "--no-deliver"], "not both"),
            (&["--cron", "* * * * *", "--stagger", "x"], "30s"),
        ] {
            let error = made(line).unwrap_err();
            assert!(error.what.contains(part), "{error}");
            assert!(error.next.starts_with("openclaw cron add"), "{error}");
        }
    }

    #[test]
    fn a_job_in_two_lines() {
        let job = json!({"id": "j", "name": "n", "enabled": true, "sessionTarget": "main",
            "schedule": {"kind": "every", "everyMs": 90_000}, "effectiveAgentId": "main",
            "state": {"nextRunAtMs": 5_400_000, "lastRunAtMs": 0, "lastRunStatus": "error",
                "consecutiveErrors": 3}});
        assert_eq!(
            lines(&job, 1_800_000),
            [
                "j  n",
                "    every 1m 30s, error (3 times), next in 1h, last 30m ago, main, agent main"
            ]
        );
        assert_eq!((exact(1_001).as_str(), span(90_061_000).as_str()), ("1s 1ms", "1d"));
        assert_eq!((exact(0).as_str(), span(5).as_str()), ("0ms", "a moment"));
        assert_eq!(state(&json!({"enabled": false})), "disabled");
    }
}
