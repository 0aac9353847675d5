//! `openclaw agent --message ...`: one turn of an agent, two-stage on the wire: `accepted` first,
//! then the final response under the same id. Prints the payloads' texts and nothing else.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{CLI, Session, Target};
use super::table::Args;
use super::{Failed, entropy, next, out};
use crate::config::MAIN_AGENT;
use crate::wire::text::uuid_v4;

/// What the gateway may take beyond the run's own time.
const MARGIN: Duration = Duration::from_secs(30);

/// Runs the command.
///
/// # Errors
/// When no gateway answers, or the run fails.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let params = params(args, &uuid_v4(entropy::bytes()))?;
    let target = Target::find(args)?;
    let limit = Duration::from_secs(seconds(args)) + MARGIN;
    let asked = Session::open(&target, CLI, &["operator.admin"], limit).and_then(|mut session| {
        let answer = session.request_final("agent", Some(params));
        session.close();
        answer
    });
    let answer = match asked {
        Ok(answer) => answer,
        Err(trouble) => return target.fail(args, &trouble),
    };
    let ok = answer.get("status").and_then(Value::as_str) == Some("ok");
    if args.has("json") {
        out::json(&answer);
        return Ok(u8::from(!ok));
    }
    for text in texts(&answer) {
        out::line(&out::foreign(text));
    }
    if ok {
        return Ok(0);
    }
    let word = |key| answer.get(key).and_then(Value::as_str).unwrap_or("unknown");
    let what = format!("the run ended without an answer: {} ({})", word("status"), word("summary"));
    Err(Failed::new(out::foreign(&what), "openclaw logs"))
}

fn seconds(args: &Args) -> u64 {
    args.number("timeout").unwrap_or(600)
}

fn params(args: &Args, key: &str) -> Result<Value, Failed> {
    let Some(message) = args.value("message") else {
        return Err(Failed::new("nothing to say", "openclaw agent --message \"...\""));
    };
    let mut params = json!({
        "message": message,
        "deliver": false,
        "timeout": seconds(args),
        "idempotencyKey": key,
    });
    let mut set = |key: &str, value: String| {
        if let Some(params) = params.as_object_mut() {
            params.insert(key.to_owned(), Value::from(value));
        }
    };
    let agent = args.value("agent");
    if let Some(agent) = agent {
        set("agentId", agent.to_owned());
    }
    match (args.value("session-id"), args.value("session-key")) {
        (Some(_), Some(_)) => {
            let what = "--session-id and --session-key name two sessions";
            return Err(Failed::new(what, next::HELP));
        }
        (Some(id), None) => {
            set("sessionId", id.to_owned());
            let agent = agent.unwrap_or(MAIN_AGENT);
            set("sessionKey", format!("agent:{agent}:explicit:{id}"));
        }
        (None, Some(key)) => set("sessionKey", key.to_owned()),
        (None, None) if agent.is_none() => set("agentId", MAIN_AGENT.to_owned()),
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

    fn made(line: &[&str]) -> Result<Value, Failed> {
        let words = ["agent"].iter().chain(line).map(std::ffi::OsString::from);
        let Ok(Parsed::Run(args)) = parse(words) else { panic!("{line:?}") };
        params(&args, "k")
    }

    #[test]
    fn the_session_is_named_as_the_reference_names_it() {
        let plain = made(&["-m", "hi"]).unwrap();
        assert_eq!(
            plain,
            json!({"message": "hi", "agentId": "main", "deliver": false, "timeout": 600,
                "idempotencyKey": "k"})
        );
        let by_id = made(&["-m", "hi", "--session-id", "s1", "--timeout", "5"]).unwrap();
        assert_eq!(by_id["sessionKey"], "agent:main:explicit:s1");
        assert_eq!(by_id["sessionId"], "s1");
        assert_eq!(by_id["timeout"], 5);
        let of_agent = made(&["-m", "hi", "--session-id", "s1", "--agent", "ops"]).unwrap();
        assert_eq!(of_agent["sessionKey"], "agent:ops:explicit:s1");
        assert!(made(&[]).unwrap_err().next.contains("--message"));
        assert!(made(&["-m", "x", "--session-id", "a", "--session-key", "b"]).is_err());
    }

    #[test]
    fn texts_are_found() {
        let answer =
            json!({"result": {"payloads": [{"text": "a"}, {"text": null}, {"text": "b"}]}});
        assert_eq!(texts(&answer).collect::<Vec<_>>(), ["a", "b"]);
    }
}
