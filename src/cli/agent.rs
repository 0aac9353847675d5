//! `openclaw agent --message ...`: one turn of an agent, two-stage on the wire: `accepted` first,
//! then the final response under the same id. Prints the payloads' texts and nothing else.
//!
//! It runs through a gateway or not at all. Ctrl-C and SIGTERM abort the run there before the
//! command leaves with 128 and the signal's number.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use serde_json::{Value, json};
use signal_hook::consts::signal::{SIGINT, SIGTERM};

use super::client::{CLI, Session, Target, Trouble};
use super::table::Args;
use super::{Failed, entropy, next, out};
use crate::config::MAIN_AGENT;
use crate::limits;
use crate::wire::text::uuid_v4;

/// What the gateway may take beyond the run's own time.
const MARGIN: Duration = Duration::from_secs(30);
/// How long an interrupted command tries to abort its run.
const ABORT: Duration = Duration::from_secs(2);
/// `--timeout 0`: as long as a run may take at most.
const FOREVER: u64 = 31_536_000;

/// Runs the command.
///
/// # Errors
/// When no gateway answers, or the run fails.
pub fn run(args: &Args) -> Result<u8, Failed> {
    if args.has("local") {
        return Err(Failed::new(
            "--local: this openclaw runs agents only inside a gateway, so that two of them never \
             write the same state",
            next::RUN,
        ));
    }
    let message = message(args)?;
    let run_id = uuid_v4(entropy::bytes());
    let target = Target::find(args)?;
    let limit = match seconds(args) {
        0 => Duration::from_secs(FOREVER),
        seconds => Duration::from_secs(seconds) + MARGIN,
    };
    let stop = Arc::new(AtomicUsize::new(0));
    for signal in [SIGINT, SIGTERM] {
        let number = usize::try_from(signal).unwrap_or(2);
        signal_hook::flag::register_usize(signal, Arc::clone(&stop), number)
            .map_err(|error| Failed::new(format!("no signal handler: {error}"), ""))?;
    }
    let mut session = match Session::open(&target, CLI, &["operator.admin"], limit) {
        Ok(session) => session,
        Err(trouble) => return target.fail(args, &trouble),
    };
    let default = session.hello.pointer("/snapshot/sessionDefaults/defaultAgentId");
    let default = default.and_then(Value::as_str).unwrap_or(MAIN_AGENT).to_owned();
    let params = params(args, &message, &run_id, &default)?;
    session.stop_by(Some(stop));
    let mut accepted = None;
    let asked = session.request_two("agent", Some(params), |it| accepted = Some(it.clone()));
    match asked {
        Ok(answer) => {
            session.close();
            show(args, &answer)
        }
        Err(Trouble::Interrupted(signal)) => {
            interrupted(session, &run_id, accepted.as_ref());
            Ok(u8::try_from(128 + signal).unwrap_or(1))
        }
        Err(trouble) => lost(args, &target, &trouble, accepted.as_ref()),
    }
}

/// Aborts the run on the gateway; what became of it is told on standard error.
fn interrupted(mut session: Session, run_id: &str, accepted: Option<&Value>) {
    use std::io::Write;
    session.stop_by(None);
    session.allow(ABORT);
    let key = accepted.and_then(|it| it.get("sessionKey")).and_then(Value::as_str);
    // Not accepted yet does not mean that it never will be.
    let aborted = match key {
        Some(key) => {
            session.request("chat.abort", Some(json!({"sessionKey": key, "runId": run_id})))
        }
        None => session.request("sessions.abort", Some(json!({"runId": run_id}))),
    };
    let said = match aborted {
        Ok(_) => format!("interrupted; run {run_id} is aborted"),
        Err(trouble) => format!(
            "interrupted; run {run_id} may go on, for its abort failed: {}",
            trouble.short()
        ),
    };
    session.close();
    let _ = writeln!(std::io::stderr(), "openclaw: {said}");
}

/// The gateway failed us; a run that it had accepted may go on there.
fn lost(
    args: &Args,
    target: &Target,
    trouble: &Trouble,
    accepted: Option<&Value>,
) -> Result<u8, Failed> {
    let Some(run) = accepted.and_then(|it| it.get("runId")).and_then(Value::as_str) else {
        return target.fail(args, trouble);
    };
    let mut failed = trouble.failed(target);
    if args.has("json") {
        let mut document = trouble.json(target);
        document["runId"] = json!(run);
        document["origin"] = json!("gateway");
        out::json(&document);
        return Ok(failed.code);
    }
    if !matches!(trouble, Trouble::Rpc { .. }) {
        failed.what = format!("{}\nrun {} may still go on there", failed.what, out::foreign(run));
        failed.next =
            "openclaw gateway status, and look at the session before you repeat it".into();
    }
    Err(failed)
}

fn show(args: &Args, answer: &Value) -> Result<u8, Failed> {
    let ok = answer.get("status").and_then(Value::as_str) == Some("ok");
    let aborted = answer.get("summary").and_then(Value::as_str) == Some("aborted");
    let ok = ok && !aborted;
    let delivery = answer.pointer("/result/deliveryStatus");
    let undelivered = delivery.and_then(undelivered);
    let failed = delivery.is_some_and(|it| it.get("error") == Some(&Value::Bool(true)));
    if args.has("json") {
        let mut answer = answer.clone();
        if let Some(delivery) = delivery {
            answer["deliveryStatus"] = delivery.clone();
        }
        out::json(&answer);
        return Ok(u8::from(!ok || failed));
    }
    for text in texts(answer) {
        out::line(&out::foreign(text));
    }
    match undelivered {
        Some(what) if ok && failed => {
            return Err(Failed::new(out::foreign(&what), "openclaw channels status --probe"));
        }
        Some(what) if ok => out::note(&format!("{what}; openclaw channels status")),
        _ => {}
    }
    if ok {
        return Ok(0);
    }
    let word = |key| answer.get(key).and_then(Value::as_str).unwrap_or("unknown");
    let what = format!("the run ended without an answer: {} ({})", word("status"), word("summary"));
    Err(Failed::new(out::foreign(&what), "openclaw logs"))
}

/// What to say of an answer that has not arrived; `None` when it has, or there was none.
fn undelivered(delivery: &Value) -> Option<String> {
    let word = |name: &str| delivery.get(name).and_then(Value::as_str);
    let why = word("errorMessage").or(word("reason")).unwrap_or("no reason given");
    Some(match word("status")? {
        "failed" => format!("the answer was not delivered: {why}"),
        "partial_failed" => format!("only a part of the answer was delivered: {why}"),
        "queued" => "the answer waits for its channel and will be delivered".to_owned(),
        _ => return None,
    })
}

fn seconds(args: &Args) -> u64 {
    args.number("timeout").unwrap_or(600)
}

/// `--message`, or the file of `--message-file`.
fn message(args: &Args) -> Result<String, Failed> {
    let path = match (args.value("message"), args.value("message-file")) {
        (Some(message), None) => return Ok(message.to_owned()),
        (None, Some(path)) => path,
        (Some(_), Some(_)) => {
            return Err(Failed::new("--message and --message-file say two things", next::HELP));
        }
        (None, None) => {
            return Err(Failed::new("nothing to say", "openclaw agent --message \"...\""));
        }
    };
    let failed = |why: String| Failed::new(format!("{path}: {why}"), "check --message-file");
    let bytes = super::place::read_capped(path.as_ref(), limits::MESSAGE_FILE)
        .map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| failed("is not UTF-8".to_owned()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if text.trim().is_empty() {
        return Err(failed("says nothing".to_owned()));
    }
    Ok(text.to_owned())
}

fn params(args: &Args, message: &str, key: &str, default: &str) -> Result<Value, Failed> {
    let mut params = json!({
        "message": message,
        "deliver": args.has("deliver"),
        "timeout": seconds(args),
        "idempotencyKey": key,
    });
    let mut set = |key: &str, value: &str| params[key] = Value::from(value);
    for (flag, name) in [
        ("model", "model"),
        ("thinking", "thinking"),
        ("to", "to"),
        ("channel", "channel"),
        ("reply-to", "replyTo"),
        ("reply-channel", "replyChannel"),
        ("reply-account", "replyAccountId"),
    ] {
        if let Some(value) = args.value(flag) {
            set(name, value);
        }
    }
    let agent = args.value("agent");
    if let Some(agent) = agent {
        set("agentId", agent);
    }
    match (args.value("session-id"), args.value("session-key")) {
        (Some(_), Some(_)) => {
            let what = "--session-id and --session-key name two sessions";
            return Err(Failed::new(what, next::HELP));
        }
        (Some(id), None) => {
            set("sessionId", id);
            set("sessionKey", &format!("agent:{}:explicit:{id}", agent.unwrap_or(default)));
        }
        (None, Some(key)) => set("sessionKey", key),
        (None, None) if agent.is_none() => set("agentId", default),
        (None, None) => {}
    }
    Ok(params)
}

fn texts(answer: &Value) -> impl Iterator<Item = &str> {
    let payloads = answer.pointer("/result/payloads").and_then(Value::as_array);
    payloads.into_iter().flatten().filter_map(|payload| payload.get("text")?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::{Parsed, parse};

    fn args(line: &[&str]) -> Args {
        let words = ["agent"].iter().chain(line).map(std::ffi::OsString::from);
        let Ok(Parsed::Run(args)) = parse(words) else { panic!("{line:?}") };
        args
    }

    fn made(line: &[&str]) -> Result<Value, Failed> {
        let args = args(line);
        params(&args, &message(&args)?, "k", "first")
    }

    #[test]
    fn the_session_is_named_as_the_reference_names_it() {
        let plain = made(&["-m", "hi"]).unwrap();
        assert_eq!(
            plain,
            json!({"message": "hi", "agentId": "first", "deliver": false, "timeout": 600,
                "idempotencyKey": "k"})
        );
        let by_id = made(&["-m", "hi", "--session-id", "s1", "--timeout", "5"]).unwrap();
        assert_eq!(by_id["sessionKey"], "agent:first:explicit:s1");
        assert_eq!(by_id["sessionId"], "s1");
        assert_eq!(by_id["timeout"], 5);
        let of_agent = made(&["-m", "hi", "--session-id", "s1", "--agent", "ops"]).unwrap();
        assert_eq!(of_agent["sessionKey"], "agent:ops:explicit:s1");
        assert!(made(&[]).unwrap_err().next.contains("--message"));
        assert!(made(&["-m", "x", "--session-id", "a", "--session-key", "b"]).is_err());
        assert!(made(&["-m", "x", "--message-file", "y"]).is_err());
        let error = made(&["--message-file", "/no/such/file"]).unwrap_err();
        assert!(error.what.starts_with("/no/such/file: "), "{error}");
    }

    #[test]
    fn every_flag_reaches_the_gateway() {
        let line = [
            "-m",
            "hi",
            "--agent",
            "ops",
            "--thinking",
            "low",
            "--model",
            "p/m",
            "-t",
            "+1",
            "--channel",
            "telegram",
            "--deliver",
            "--reply-to",
            "#r",
            "--reply-channel",
            "slack",
            "--reply-account",
            "a",
            "--timeout",
            "0",
        ];
        assert_eq!(
            made(&line).unwrap(),
            json!({"message": "hi", "agentId": "ops", "thinking": "low", "model": "p/m",
                "to": "+1", "channel": "telegram", "deliver": true, "replyTo": "#r",
                "replyChannel": "slack", "replyAccountId": "a", "timeout": 0,
                "idempotencyKey": "k"})
        );
    }

    #[test]
    fn texts_are_found() {
        let answer =
            json!({"result": {"payloads": [{"text": "a"}, {"text": null}, {"text": "b"}]}});
        assert_eq!(texts(&answer).collect::<Vec<_>>(), ["a", "b"]);
    }
}
