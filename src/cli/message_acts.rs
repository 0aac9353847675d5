//! `openclaw message <action>`: every action of the reference beside `send`, as one request
//! `message.action`. The running gateway asks the service; what a channel cannot do is its answer.

use serde_json::{Map, Value, json};

use super::ask::call;
use super::channels_care::{chosen, named};
use super::client::Target;
use super::table::{Args, Takes};
use super::{Failed, channels, entropy, out};
use crate::wire::text::uuid_v4;

/// How the value of a flag is said to the gateway.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Number,
    Switch,
    List,
}

/// Flags and the parameters that they become; those of the same name in camel case are derived.
const FIELDS: &[(&str, &str, Form)] = &[
    ("message", "message", Form::Text),
    ("message-id", "messageId", Form::Text),
    ("emoji", "emoji", Form::Text),
    ("remove", "remove", Form::Switch),
    ("limit", "limit", Form::Number),
    ("before", "before", Form::Text),
    ("after", "after", Form::Text),
    ("around", "around", Form::Text),
    ("query", "query", Form::Text),
    ("thread-id", "threadId", Form::Text),
    ("thread-name", "threadName", Form::Text),
    ("auto-archive-min", "autoArchiveMin", Form::Number),
    ("include-archived", "includeArchived", Form::Switch),
    ("guild-id", "guildId", Form::Text),
    ("channel-id", "channelId", Form::Text),
    ("channel-ids", "channelIds", Form::List),
    ("author-id", "authorId", Form::Text),
    ("author-ids", "authorIds", Form::List),
    ("user-id", "userId", Form::Text),
    ("role-id", "roleId", Form::Text),
    ("sticker-id", "stickerId", Form::List),
    ("poll-question", "pollQuestion", Form::Text),
    ("poll-option", "pollOption", Form::List),
    ("poll-multi", "pollMulti", Form::Switch),
    ("poll-duration-hours", "durationHours", Form::Number),
    ("poll-duration-seconds", "durationSeconds", Form::Number),
    ("poll-anonymous", "isAnonymous", Form::Switch),
    ("silent", "silent", Form::Switch),
    ("event-name", "eventName", Form::Text),
    ("start-time", "startTime", Form::Text),
    ("end-time", "endTime", Form::Text),
    ("desc", "desc", Form::Text),
    ("location", "location", Form::Text),
    ("event-type", "eventType", Form::Text),
    ("duration-min", "durationMin", Form::Number),
    ("until", "until", Form::Text),
    ("reason", "reason", Form::Text),
    ("delete-days", "deleteDays", Form::Number),
    ("media", "media", Form::Text),
    ("reply-to", "replyTo", Form::Text),
];

/// Flags without which an action means nothing.
const REQUIRED: &[(&str, &[&str])] = &[
    ("poll", &["target", "poll-question", "poll-option"]),
    ("react", &["target", "message-id"]),
    ("reactions", &["target", "message-id"]),
    ("read", &["target"]),
    ("edit", &["target", "message-id", "message"]),
    ("delete", &["target", "message-id"]),
    ("pin", &["target", "message-id"]),
    ("unpin", &["target", "message-id"]),
    ("list-pins", &["target"]),
    ("permissions", &["target"]),
    ("search", &["query"]),
    ("thread-create", &["target", "thread-name"]),
    ("thread-list", &["guild-id"]),
    ("thread-reply", &["target", "message"]),
    ("sticker", &["target", "sticker-id"]),
    ("role-info", &["guild-id"]),
    ("role-add", &["guild-id", "user-id", "role-id"]),
    ("role-remove", &["guild-id", "user-id", "role-id"]),
    ("channel-info", &["target"]),
    ("channel-list", &[]),
    ("member-info", &["user-id"]),
    ("voice-status", &["guild-id", "user-id"]),
    ("event-list", &["guild-id"]),
    ("event-create", &["guild-id", "event-name", "start-time"]),
    ("timeout", &["user-id"]),
    ("kick", &["user-id"]),
    ("ban", &["user-id"]),
    ("emoji-list", &[]),
];

/// `message thread create` is the action `thread-create`.
fn action(args: &Args) -> String {
    let words = args.command.path.get(1..).unwrap_or_default().join("-");
    match words.as_str() {
        "pins" => "list-pins".to_owned(),
        "sticker-send" => "sticker".to_owned(),
        _ => words,
    }
}

fn has_flag(args: &Args, long: &str) -> bool {
    args.command.flags.iter().any(|flag| flag.long == long)
}

/// What the flags say, by the names of the wire.
fn fields(args: &Args) -> Map<String, Value> {
    let mut all = Map::new();
    for (flag, name, form) in FIELDS.iter().filter(|(flag, ..)| has_flag(args, flag)) {
        let value = match form {
            Form::Switch => args.has(flag).then_some(Value::Bool(true)),
            Form::Text => args.value(flag).map(Value::from),
            Form::Number => args.number(flag).map(Value::from),
            Form::List => {
                let list = args.each(flag);
                (!list.is_empty()).then(|| list.into())
            }
        };
        if let Some(value) = value {
            all.insert((*name).to_owned(), value);
        }
    }
    if has_flag(args, "poll-public") && args.has("poll-public") {
        all.insert("isAnonymous".to_owned(), Value::Bool(false));
    }
    all
}

/// The channel that the flags, the target or the configuration name.
pub(super) fn channel(args: &Args, target: Option<&str>) -> Result<String, Failed> {
    if let Some(name) = named(args, "channel")? {
        return channels::named(name).map(|kind| kind.id.to_owned());
    }
    let prefix = target.and_then(|target| target.split_once(':')).map(|(prefix, _)| prefix);
    if let Some(kind) = prefix.and_then(crate::channels::find) {
        return Ok(kind.id.to_owned());
    }
    match (chosen(args, "message"), prefix) {
        (Ok(kind), _) => Ok(kind.id.to_owned()),
        // The gateway says which channels it has.
        (Err(_), Some(name))
            if !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase()) =>
        {
            Ok(name.to_owned())
        }
        (Err(mut failed), _) => {
            failed.next = "name it with --channel <id>".to_owned();
            Err(failed)
        }
    }
}

/// The request for an action.
pub(super) fn request(
    channel: &str,
    action: &str,
    mut fields: Map<String, Value>,
    account: Option<&str>,
    key: &str,
) -> Value {
    fields.insert("channel".to_owned(), channel.into());
    let mut params = json!({
        "channel": channel, "action": action, "params": fields, "senderIsOwner": true,
        "conversationReadOrigin": "direct-operator", "idempotencyKey": key,
    });
    if let Some(account) = account {
        params["accountId"] = json!(account);
    }
    params
}

/// Runs an action.
///
/// # Errors
/// Something is missing, no gateway answers, or the channel cannot do it.
pub fn act(args: &Args) -> Result<u8, Failed> {
    let action = action(args);
    let needs = REQUIRED.iter().find(|(name, _)| *name == action).map_or(&[][..], |(_, it)| it);
    if let Some(flag) = needs.iter().find(|flag| args.optional(flag).is_none()) {
        let command = args.command.path.join(" ");
        return Err(Failed::new(
            format!("--{flag} is missing"),
            format!("openclaw {command} --help"),
        ));
    }
    let target = args.optional("target");
    let channel = channel(args, target)?;
    let mut fields = fields(args);
    if let Some(target) = target {
        fields.insert("target".to_owned(), target.into());
        fields.insert("to".to_owned(), target.into());
    }
    let account = named(args, "account")?;
    let params = request(&channel, &action, fields, account, &uuid_v4(entropy::bytes()));
    if args.has("dry-run") {
        out::json(&json!({
            "action": action, "channel": channel, "dryRun": true, "handledBy": "core",
            "payload": params["params"],
        }));
        return Ok(0);
    }
    let gateway = Target::find(args)?;
    let answer = match call(args, &gateway, "message.action", params) {
        Ok(answer) => answer,
        Err(trouble) => return gateway.fail(args, &trouble),
    };
    show(args, &action, &channel, &answer);
    Ok(u8::from(answer.get("ok") == Some(&Value::Bool(false))))
}

/// The answer of an action, as the reference prints it.
pub(super) fn show(args: &Args, action: &str, channel: &str, answer: &Value) {
    if args.has("json") {
        let mut document = json!({
            "action": action, "channel": channel, "dryRun": false, "handledBy": "core",
            "payload": answer,
        });
        for name in ["ok", "messageId"] {
            if let Some(value) = answer.get(name).filter(|value| !value.is_null()) {
                document[name] = value.clone();
            }
        }
        return out::json(&document);
    }
    let lines = lines(answer);
    if lines.is_empty() {
        return out::line(&format!("{action}: done"));
    }
    lines.iter().for_each(|line| out::line(&out::foreign(line)));
}

/// An answer in lines: ids first, one thing a line.
fn lines(answer: &Value) -> Vec<String> {
    if let Some(id) = answer.get("messageId").and_then(Value::as_str)
        && answer.get("result").is_none()
    {
        return vec![id.to_owned()];
    }
    let fields = answer.get("result").unwrap_or(answer);
    let list = match fields {
        Value::Array(list) => Some(list),
        Value::Object(fields) => fields.values().find_map(Value::as_array),
        _ => None,
    };
    match list {
        Some(list) => list.iter().map(row).collect(),
        None => {
            let row = row(fields);
            if row.is_empty() { Vec::new() } else { vec![row] }
        }
    }
}

/// One thing in a line: its id, its name, what it says.
fn row(value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    let word = |path: &str| value.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let first = |paths: &[&str]| paths.iter().find_map(|path| word(path));
    let id = first(&["/id", "/ts", "/user/id", "/channel/id", "/message/ts"]);
    let number = value.get("id").and_then(Value::as_i64).map(|id| id.to_string());
    let name = first(&[
        "/name",
        "/title",
        "/user/name",
        "/user/username",
        "/username",
        "/channel/name",
        "/author/username",
    ]);
    let text = first(&["/content", "/text", "/description", "/topic", "/status"]);
    let parts: Vec<String> = [id.or(number), name, text].into_iter().flatten().collect();
    parts.join("  ").replace('\n', " ")
}

/// `openclaw message broadcast --targets <target> …`: one message to each.
///
/// # Errors
/// Nothing to send, or no gateway answers.
pub fn broadcast(args: &Args) -> Result<u8, Failed> {
    const EXAMPLE: &str =
        "openclaw message broadcast --targets telegram:1 --targets irc:#room --message \"hi\"";
    let mut targets: Vec<String> = args.each("targets").into_iter().map(str::to_owned).collect();
    targets.extend(args.operands.iter().cloned());
    if targets.is_empty() {
        return Err(Failed::new("--targets is missing: who gets it", EXAMPLE));
    }
    if args.value("message").is_none() && args.value("media").is_none() {
        return Err(Failed::new("nothing to send: --message or --media", EXAMPLE));
    }
    let account = named(args, "account")?;
    let all = args.value("channel").is_none_or(|name| name == "all");
    let gateway = Target::find(args)?;
    let (mut results, mut failed) = (Vec::new(), 0);
    for target in &targets {
        let channel = match all {
            true => {
                let prefix = target.split_once(':').map(|(prefix, _)| prefix);
                match prefix.and_then(crate::channels::find) {
                    Some(kind) => kind.id.to_owned(),
                    None => {
                        chosen(args, "message").map(|it| it.id.to_owned()).map_err(|mut it| {
                            it.next = format!("write it as <channel>:{target}");
                            it
                        })?
                    }
                }
            }
            false => channel(args, Some(target))?,
        };
        let mut fields = fields(args);
        fields.insert("target".to_owned(), json!(target));
        fields.insert("to".to_owned(), json!(target));
        let params = request(&channel, "send", fields, account, &uuid_v4(entropy::bytes()));
        let mut row = json!({"channel": channel, "to": target, "ok": true});
        if args.has("dry-run") {
            row["dryRun"] = json!(true);
            results.push(row);
            continue;
        }
        match call(args, &gateway, "message.action", params) {
            Ok(answer) if answer.get("ok") != Some(&Value::Bool(false)) => row["result"] = answer,
            Ok(answer) => {
                row["ok"] = json!(false);
                row["error"] = answer.get("error").cloned().unwrap_or(json!("not delivered"));
            }
            Err(trouble) => {
                row["ok"] = json!(false);
                row["error"] = json!(trouble.short());
            }
        }
        failed += u8::from(row["ok"] == false);
        results.push(row);
    }
    if args.has("json") {
        out::json(&json!({
            "ok": failed == 0, "action": "broadcast", "channel": "all",
            "dryRun": args.has("dry-run"), "handledBy": "core", "payload": {"results": results},
        }));
        return Ok(u8::from(failed > 0));
    }
    for row in &results {
        let word = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let said = if row["ok"] == true { "sent" } else { word("error") };
        out::line(&out::foreign(&format!("{} {}: {said}", word("channel"), word("to"))));
    }
    Ok(u8::from(failed > 0))
}

/// Whether a flag may be given more than once.
pub(super) const fn each(
    long: &'static str,
    name: &'static str,
    about: &'static str,
) -> super::table::Flag {
    super::table::Flag { long, short: None, takes: Takes::Each(name), about }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::{Parsed, parse};

    fn args(line: &[&str]) -> Args {
        let words = ["message"].iter().chain(line).map(std::ffi::OsString::from);
        match parse(words) {
            Ok(Parsed::Run(args)) => args,
            other => panic!("{line:?}: {other:?}"),
        }
    }

    #[test]
    fn words_become_actions_and_fields() {
        let poll = args(&[
            "poll",
            "--channel",
            "discord",
            "--target",
            "channel:1",
            "--poll-question",
            "Snack?",
            "--poll-option",
            "Pizza, cold",
            "--poll-option",
            "Sushi",
            "--poll-multi",
            "--poll-duration-hours",
            "48",
        ]);
        assert_eq!(action(&poll), "poll");
        assert_eq!(
            Value::Object(fields(&poll)),
            json!({"pollQuestion": "Snack?", "pollOption": ["Pizza, cold", "Sushi"],
                "pollMulti": true, "durationHours": 48})
        );
        for (line, want) in [
            (&["pins", "--target", "x"][..], "list-pins"),
            (&["sticker", "send", "--target", "x"], "sticker"),
            (&["thread", "create", "--target", "x"], "thread-create"),
            (&["timeout", "--user-id", "1"], "timeout"),
        ] {
            assert_eq!(action(&args(line)), want);
        }
        let request = request("irc", "kick", Map::new(), Some("a"), "k");
        assert_eq!((&request["accountId"], &request["action"]), (&json!("a"), &json!("kick")));
    }

    #[test]
    fn what_is_required_has_a_row_and_a_flag() {
        for row in crate::cli::rows::FAMILIES.iter().flat_map(|family| family.iter()) {
            let [first, rest @ ..] = row.path else { continue };
            if *first != "message" || row.run.is_none() || matches!(rest, ["send" | "broadcast"]) {
                continue;
            }
            let words: Vec<&str> = row.path.to_vec();
            let Ok(Parsed::Run(args)) = parse(words.iter().map(std::ffi::OsString::from)) else {
                panic!("{words:?}")
            };
            let action = action(&args);
            let needs = REQUIRED.iter().find(|(name, _)| *name == action);
            let (_, needs) = needs.unwrap_or_else(|| panic!("{action} is in no table"));
            assert!(needs.iter().all(|flag| has_flag(&args, flag)), "{action}: {needs:?}");
        }
    }

    #[test]
    fn answers_in_lines() {
        assert_eq!(lines(&json!({"ok": true, "messageId": "5"})), ["5"]);
        let list = json!({"ok": true, "result": [{"id": "1", "name": "a"}, {"id": "2",
            "author": {"username": "b"}, "content": "x\ny"}]});
        assert_eq!(lines(&list), ["1  a", "2  b  x y"]);
        assert_eq!(lines(&json!({"ok": true, "members": ["U1"]})), ["U1"]);
        assert_eq!(lines(&json!({"ok": true, "result": {"id": -5, "title": "t"}})), ["-5  t"]);
        assert!(lines(&json!({"ok": true})).is_empty());
    }
}
