//! What a job may be: the parameters of `cron.add` and `cron.update`, with the published shapes
//! and a plain refusal of what is not built here. Nothing that is accepted is ignored, but for
//! `lightContext` and `allowUnsafeExternalContent`, which only make a run cheaper or trust more.

use super::job::{Job, Payload, State, WakeMode};
use super::schedule::{Schedule, time_ms};
use super::zone::Zone;
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::protocol::params::{Field, Kind, check, may, must};
use crate::wire::url::Scheme;
use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

/// Latest time of the published schema: what a JavaScript date can hold.
const TIME: Kind = Kind::Int(0, 8_640_000_000_000_000);
const TEXT: Kind = Kind::Text(limits::CRON_JOB_BYTES);
const WORD: Kind = Kind::Text(200);

const AT: &[Field] = &[must("kind", Kind::Str), must("at", WORD)];
const EVERY: &[Field] = &[
    must("kind", Kind::Str),
    must("everyMs", Kind::Int(1, 8_640_000_000_000_000)),
    may("anchorMs", TIME),
];
const CRON: &[Field] =
    &[must("kind", Kind::Str), must("expr", WORD), may("tz", Kind::Str), may("staggerMs", TIME)];
const SYSTEM_EVENT: &[Field] = &[
    must("kind", Kind::Str),
    must("text", TEXT),
    may("toolsAllow", Kind::Strings),
    may("toolsAllowIsDefault", Kind::Bool),
];
const AGENT_TURN: &[Field] = &[
    must("kind", Kind::Str),
    must("message", TEXT),
    may("model", WORD),
    may("fallbacks", Kind::Strings),
    may("thinking", Kind::Str),
    may("timeoutSeconds", Kind::Num),
    may("allowUnsafeExternalContent", Kind::Bool),
    may("lightContext", Kind::Bool),
    may("toolsAllow", Kind::Strings),
    may("toolsAllowIsDefault", Kind::Bool),
];
const DELIVERY: &[Field] = &[
    must("mode", Kind::OneOf(&["none", "announce", "webhook"])),
    may("channel", WORD),
    may("to", WORD),
    may("threadId", Kind::Any),
    may("accountId", WORD),
    may("bestEffort", Kind::Bool),
    may("failureDestination", Kind::Obj),
    may("completionDestination", Kind::Obj),
];

/// A job from the parameters of `cron.add`, whose plain fields the operations table has checked.
///
/// # Errors
/// `INVALID_REQUEST`: what is wrong, and what to write instead.
pub(in crate::gateway) fn defined(
    method: &str,
    id: &str,
    params: &Object,
    now_ms: u64,
) -> Result<Job, ErrorShape> {
    let wrong = |what: &str| ErrorShape::params(method, what);
    let schedule = schedule(params.get("schedule"), now_ms).map_err(|what| wrong(&what))?;
    let payload = payload(params.get("payload")).map_err(|what| wrong(&what))?;
    for (name, what) in [
        ("trigger", "condition scripts are not built here"),
        ("pacing", "dynamic cadence is not built here"),
    ] {
        if params.get(name).is_some_and(|value| !value.is_null()) {
            return Err(wrong(&format!("at /{name}: {what}; leave it out")));
        }
    }
    let text = |name: &str| params.get(name).and_then(Value::as_str).map(str::to_owned);
    let is_event = matches!(payload, Payload::SystemEvent { .. });
    let key = text("sessionKey");
    let target = text("sessionTarget").unwrap_or_else(|| {
        match (is_event, &key) {
            (true, _) => "main",
            (false, Some(_)) => "current",
            (false, None) => "isolated",
        }
        .to_owned()
    });
    let delivery = params.get("delivery").filter(|value| !value.is_null()).cloned();
    targets(&target, is_event, delivery.as_ref()).map_err(|what| wrong(&what))?;
    let wake_mode = match text("wakeMode").as_deref() {
        Some("next-heartbeat") => WakeMode::NextHeartbeat,
        _ => WakeMode::Now,
    };
    let job = Job {
        id: id.to_owned(),
        declaration_key: text("declarationKey"),
        display_name: text("displayName"),
        agent_id: text("agentId").map(|agent| agent.trim().to_ascii_lowercase()),
        session_key: key,
        name: text("name").unwrap_or_default(),
        description: text("description"),
        enabled: params.get("enabled").and_then(Value::as_bool).unwrap_or(true),
        delete_after_run: params.get("deleteAfterRun").and_then(Value::as_bool),
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
        schedule,
        session_target: target,
        wake_mode,
        payload,
        delivery,
        failure_alert: params.get("failureAlert").filter(|value| !value.is_null()).cloned(),
        state: State::default(),
        extra: Map::new(),
    };
    if job.name.trim().is_empty() {
        return Err(wrong("at /name: must NOT have fewer than 1 characters"));
    }
    let bytes = job.value().to_string().len();
    if bytes > limits::CRON_JOB_BYTES {
        let max = limits::CRON_JOB_BYTES;
        return Err(wrong(&format!("the job has {bytes} bytes; at most {max} are kept")));
    }
    Ok(job)
}

/// A job with the changes of `cron.update`: `null` takes a field away, `payload` and `delivery`
/// are merged.
///
/// # Errors
/// As [`defined`]; the job stays as it was.
pub(in crate::gateway) fn patched(
    job: &Job,
    patch: &Object,
    now_ms: u64,
) -> Result<Job, ErrorShape> {
    if patch.contains_key("state") {
        let what = "at /patch/state: the scheduler keeps the state of a job itself";
        return Err(ErrorShape::params("cron.update", what));
    }
    let Value::Object(mut fields) = job.value() else { return Ok(job.clone()) };
    for (name, value) in patch {
        match (fields.get_mut(name), value) {
            (_, Value::Null) => {
                fields.remove(name);
            }
            (Some(Value::Object(old)), Value::Object(new)) if name == "delivery" => {
                merge(old, new);
            }
            (Some(Value::Object(old)), Value::Object(new))
                if name == "payload"
                    && new.get("kind").is_none_or(|k| old.get("kind") == Some(k)) =>
            {
                merge(old, new);
            }
            _ => {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
    let changed = defined("cron.update", &job.id, &fields, now_ms)?;
    Ok(Job {
        created_at_ms: job.created_at_ms,
        state: job.state.clone(),
        extra: job.extra.clone(),
        ..changed
    })
}

fn merge(old: &mut Object, new: &Object) {
    for (name, value) in new {
        match value {
            Value::Null => old.remove(name),
            value => old.insert(name.clone(), value.clone()),
        };
    }
}

fn at(path: &str, complaint: &str) -> String {
    // The complaints of the table speak of the root; here that is a part of the parameters.
    match complaint.strip_prefix("at /") {
        Some(rest) => format!("at {path}/{rest}"),
        None => format!("at {path}: {}", complaint.trim_start_matches("at root: ")),
    }
}

fn object<'a>(value: Option<&'a Value>, name: &str) -> Result<(&'a Object, &'a str), String> {
    let object = value.and_then(Value::as_object);
    let object = object.ok_or_else(|| format!("must have required property '{name}'"))?;
    let kind = object.get("kind").and_then(Value::as_str);
    let kind = kind.ok_or_else(|| format!("at /{name}: must have required property 'kind'"))?;
    Ok((object, kind))
}

fn schedule(value: Option<&Value>, now_ms: u64) -> Result<Schedule, String> {
    let (object, kind) = object(value, "schedule")?;
    let fields = match kind {
        "at" => AT,
        "every" => EVERY,
        "cron" => CRON,
        "on-exit" | "stream" => {
            return Err(format!(
                "at /schedule/kind: \"{kind}\" is not built here; use at, every or cron"
            ));
        }
        _ => return Err("at /schedule/kind: must be equal to one of the allowed values".to_owned()),
    };
    check(object, fields, false).map_err(|what| at("/schedule", &what))?;
    let mut schedule: Schedule = serde_json::from_value(Value::Object(object.clone()))
        .map_err(|error| format!("at /schedule: {error}"))?;
    match &mut schedule {
        Schedule::At { at } => {
            time_ms(at, &Zone::UTC).map_err(|what| format!("at /schedule/at: {what}"))?;
        }
        Schedule::Every { anchor_ms, .. } => {
            anchor_ms.get_or_insert(now_ms);
        }
        Schedule::Cron { .. } => {}
    }
    Ok(schedule)
}

fn payload(value: Option<&Value>) -> Result<Payload, String> {
    let (object, kind) = object(value, "payload")?;
    let fields = match kind {
        "systemEvent" => SYSTEM_EVENT,
        "agentTurn" => AGENT_TURN,
        "command" | "script" => {
            return Err(format!(
                "at /payload/kind: \"{kind}\" is not built here; use systemEvent or agentTurn"
            ));
        }
        _ => return Err("at /payload/kind: must be equal to one of the allowed values".to_owned()),
    };
    check(object, fields, false).map_err(|what| at("/payload", &what))?;
    let all = json!(["*"]);
    if object.get("toolsAllow").is_some_and(|tools| *tools != all) {
        return Err("at /payload/toolsAllow: tools of one job are not limited here; leave it out \
                    and set agents.entries.<id>.tools for the job's agent"
            .to_owned());
    }
    if object.get("fallbacks").is_some() {
        return Err("at /payload/fallbacks: models of one job have no fallbacks of their own \
                    here; leave it out, and those of the agent hold"
            .to_owned());
    }
    if let Some(level) = object.get("thinking").and_then(Value::as_str)
        && crate::agent::Thinking::parse(level).is_none()
    {
        return Err("at /payload/thinking: write off, minimal, low, medium, high, xhigh, \
                    adaptive or max"
            .to_owned());
    }
    let seconds = object.get("timeoutSeconds").and_then(Value::as_f64);
    if seconds.is_some_and(|seconds| seconds < 0.0) {
        return Err("at /payload/timeoutSeconds: must be >= 0".to_owned());
    }
    serde_json::from_value(Value::Object(object.clone()))
        .map_err(|error| format!("at /payload: {error}"))
}

/// Which session, payload and delivery go together.
fn targets(target: &str, is_event: bool, delivery: Option<&Value>) -> Result<(), String> {
    let named = target.strip_prefix("session:").is_some_and(|name| !name.trim().is_empty());
    if !matches!(target, "main" | "isolated" | "current") && !named {
        return Err("at /sessionTarget: must be main, isolated, current or session:<id>".to_owned());
    }
    match (target, is_event) {
        ("main", false) => {
            return Err("main cron jobs require payload.kind=\"systemEvent\"".to_owned());
        }
        ("main", true) | (_, false) => {}
        (_, true) => {
            return Err(
                "isolated, current and session cron jobs require payload.kind=\"agentTurn\""
                    .to_owned(),
            );
        }
    }
    let Some(delivery) = delivery else { return Ok(()) };
    let Some(object) = delivery.as_object() else {
        return Err("at /delivery: must be object".to_owned());
    };
    check(object, DELIVERY, false).map_err(|what| at("/delivery", &what))?;
    let word = |name: &str| object.get(name).and_then(Value::as_str).map(str::trim);
    match word("mode") {
        Some("webhook") => match word("to").map(crate::wire::url::Url::parse) {
            Some(Ok(url)) if matches!(url.scheme, Scheme::Http | Scheme::Https) => Ok(()),
            _ => Err("at /delivery/to: an http:// or https:// address for the event".to_owned()),
        },
        Some("announce") if target == "main" => Err(
            "cron channel delivery config is only supported for sessionTarget=\"isolated\"; leave \
             delivery out"
                .to_owned(),
        ),
        Some("announce") => destination(word("channel"), word("to")),
        _ => Ok(()),
    }
}

/// A channel that there is, and a target that it takes.
fn destination(channel: Option<&str>, to: Option<&str>) -> Result<(), String> {
    let Some(name) = channel.filter(|name| !matches!(*name, "" | "last")) else { return Ok(()) };
    let Some(kind) = crate::channels::find(name) else {
        let known: Vec<&str> = crate::channels::KINDS.iter().map(|kind| kind.id).collect();
        return Err(format!(
            "at /delivery/channel: there is no channel \"{name}\"; there are: {}",
            known.join(", ")
        ));
    };
    let Some(to) = to.filter(|to| !to.is_empty()) else { return Ok(()) };
    let target = match to.split_once(':') {
        Some((prefix, rest)) => match crate::channels::find(prefix) {
            Some(own) if own.id == kind.id => rest,
            Some(_) => return Err(format!("at /delivery/to: {to} is not of the channel {name}")),
            None => to,
        },
        None => to,
    };
    (kind.target)(target).map(|_| ()).map_err(|what| format!("at /delivery/to: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(value: &Value) -> Result<Job, String> {
        let params = value.as_object().expect("an object");
        defined("cron.add", "j", params, 1_000).map_err(|error| error.message)
    }

    fn event(more: &Value) -> Value {
        let mut value = json!({
            "name": "n", "schedule": {"kind": "every", "everyMs": 5_000},
            "payload": {"kind": "systemEvent", "text": "t"},
        });
        for (name, field) in more.as_object().expect("an object") {
            value[name.as_str()] = field.clone();
        }
        value
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let job = add(&event(&json!({}))).expect("a job");
        assert_eq!((job.session_target.as_str(), job.wake_mode), ("main", WakeMode::Now));
        assert_eq!(job.schedule, Schedule::Every { every_ms: 5_000, anchor_ms: Some(1_000) });
        let turn = json!({"payload": {"kind": "agentTurn", "message": "m"}});
        assert_eq!(add(&event(&turn)).expect("a job").session_target, "isolated");
        let mut bound = turn;
        bound["sessionKey"] = json!("agent:main:x");
        assert_eq!(add(&event(&bound)).expect("a job").session_target, "current");
    }

    #[test]
    fn what_is_wrong_or_not_built_says_so() {
        for (more, part) in [
            (json!({"schedule": null}), "required property 'schedule'"),
            (
                json!({"schedule": {"everyMs": 5}}),
                "at /schedule: must have required property 'kind'",
            ),
            (json!({"schedule": {"kind": "every"}}), "at /schedule: must have required property"),
            (json!({"schedule": {"kind": "every", "everyMs": 0}}), "at /schedule/everyMs"),
            (json!({"schedule": {"kind": "at", "at": "soon"}}), "2026-02-01T16:00:00Z"),
            (json!({"schedule": {"kind": "at", "at": "2026-01-01", "x": 1}}), "'x'"),
            (json!({"schedule": {"kind": "stream", "command": ["x"]}}), "not built"),
            (json!({"schedule": {"kind": "moon"}}), "allowed values"),
            (json!({"payload": {"kind": "command", "argv": ["x"]}}), "not built"),
            (json!({"payload": {"kind": "systemEvent"}}), "'text'"),
            (
                json!({"payload": {"kind": "agentTurn", "message": "m", "toolsAllow": ["ls"]}}),
                "tools",
            ),
            (
                json!({"payload": {"kind": "agentTurn", "message": "m", "fallbacks": []}}),
                "fallbacks",
            ),
            (json!({"payload": {"kind": "agentTurn", "message": "m", "thinking": "x"}}), "minimal"),
            (
                json!({"payload": {"kind": "agentTurn", "message": "m", "timeoutSeconds": -1}}),
                ">= 0",
            ),
            (json!({"sessionTarget": "isolated"}), "agentTurn"),
            (json!({"sessionTarget": "session:"}), "session:<id>"),
            (
                json!({"sessionTarget": "main", "payload": {"kind": "agentTurn", "message": "m"}}),
                "systemEvent",
            ),
            (json!({"delivery": {"mode": "announce"}}), "isolated"),
            (json!({"delivery": {"mode": "webhook", "to": "ftp://x"}}), "http:// or https://"),
            (json!({"delivery": {"mode": "webhook"}}), "http:// or https://"),
            (json!({"delivery": 5}), "object"),
            (json!({"trigger": {"script": "x"}}), "at /trigger"),
            (json!({"pacing": {"min": "5m"}}), "at /pacing"),
            (json!({"name": " "}), "at /name"),
            (json!({"description": "x".repeat(limits::CRON_JOB_BYTES)}), "bytes"),
        ] {
            let error = add(&event(&more)).expect_err(&more.to_string());
            assert!(error.contains(part), "{more}: {error}");
            assert!(error.starts_with("invalid cron.add params: "), "{error}");
        }
    }

    #[test]
    fn a_delivery_names_a_channel_that_there_is() {
        let turn = |delivery: Value| {
            event(&json!({"payload": {"kind": "agentTurn", "message": "m"}, "delivery": delivery}))
        };
        for (delivery, part) in [
            (json!({"mode": "announce", "channel": "nope"}), "there is no channel"),
            (json!({"mode": "announce", "channel": "irc", "to": "a b"}), "no IRC target"),
            (
                json!({"mode": "announce", "channel": "irc", "to": "telegram:5"}),
                "not of the channel",
            ),
        ] {
            let error = add(&turn(delivery.clone())).expect_err(&delivery.to_string());
            assert!(error.contains(part), "{delivery}: {error}");
        }
        for delivery in [
            json!({"mode": "announce", "channel": "irc", "to": "irc:#a"}),
            json!({"mode": "announce", "channel": "last"}),
            json!({"mode": "webhook", "to": "https://example.org/hook"}),
        ] {
            add(&turn(delivery.clone())).expect("a job");
        }
    }

    #[test]
    fn a_patch_changes_what_it_names() {
        let turn = json!({"payload": {"kind": "agentTurn", "message": "m", "model": "p/m"},
            "delivery": {"mode": "announce", "to": "x"}, "agentId": "main"});
        let job = add(&event(&turn)).expect("a job");
        let patch = json!({"payload": {"kind": "agentTurn", "model": null, "thinking": "low"},
            "delivery": {"to": null}, "agentId": null, "enabled": false});
        let patch = patch.as_object().expect("an object");
        let new = patched(&job, patch, 2_000).expect("changed");
        let value = new.value();
        assert_eq!(
            value["payload"],
            json!({"kind": "agentTurn", "message": "m", "thinking": "low"})
        );
        assert_eq!(value["delivery"], json!({"mode": "announce"}));
        assert_eq!((new.agent_id, new.enabled), (None, false));
        assert_eq!((new.created_at_ms, new.updated_at_ms), (1_000, 2_000));
        assert_eq!(new.schedule, job.schedule, "its anchor stays");
        for (patch, part) in [
            (json!({"state": {}}), "the scheduler"),
            (json!({"payload": {"kind": "systemEvent", "text": "t"}}), "agentTurn"),
            (json!({"schedule": {"kind": "at", "at": "x"}}), "no time"),
            (json!({"name": null}), "at /name"),
        ] {
            let error = patched(&job, patch.as_object().expect("an object"), 2_000);
            let error = error.expect_err(&patch.to_string()).message;
            assert!(error.contains(part), "{patch}: {error}");
        }
    }
}
