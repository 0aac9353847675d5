//! `openclaw message send`: asks the gateway to send; never reaches a channel by itself, for two
//! connections of one account would disturb each other.

use serde_json::{Map, Value, json};

use super::client::{self, CLI, Session, Target};
use super::table::Args;
use super::{Failed, entropy, out};
use crate::limits;
use crate::wire::hash::base64;
use crate::wire::text::uuid_v4;

/// Flags and the parameters of the action they become.
const TEXTS: [(&str, &str); 5] = [
    ("message", "message"),
    ("media", "media"),
    ("reply-to", "replyTo"),
    ("thread-id", "threadId"),
    ("account", "accountId"),
];
/// As [`TEXTS`], for values that are JSON.
const DOCUMENTS: [&str; 2] = ["presentation", "delivery"];
const SWITCHES: [(&str, &str); 4] = [
    ("silent", "silent"),
    ("pin", "pin"),
    ("force-document", "forceDocument"),
    ("gif-playback", "gifPlayback"),
];

/// Runs the command.
///
/// # Errors
/// When the words do not make a message, no gateway answers, or it cannot send.
pub fn send(args: &Args) -> Result<u8, Failed> {
    let params = params(args, &uuid_v4(entropy::bytes()))?;
    let channel = params["channel"].as_str().unwrap_or_default().to_owned();
    if args.has("dry-run") {
        out::json(&json!({
            "action": "send", "channel": params["channel"], "dryRun": true, "handledBy": "core",
            "payload": params["params"],
        }));
        return Ok(0);
    }
    let target = Target::find(args)?;
    let scopes = client::scopes_for("message.action", &Value::Null);
    let asked = Session::open(&target, CLI, &scopes, client::timeout(args)).and_then(|mut it| {
        let answer = it.request("message.action", Some(params));
        it.close();
        answer
    });
    let answer = match asked {
        Ok(answer) => answer,
        Err(trouble) => return target.fail(args, &trouble),
    };
    // A send that was suppressed or failed half-way is answered, and is not done.
    let ok = answer.get("ok") != Some(&Value::Bool(false));
    super::message_acts::show(args, "send", &channel, &answer);
    Ok(u8::from(!ok))
}

fn params(args: &Args, key: &str) -> Result<Value, Failed> {
    const EXAMPLE: &str =
        "openclaw message send --channel telegram --target @name --message \"...\"";
    let Some(target) = args.value("target") else {
        return Err(Failed::new("--target is missing: who gets it", EXAMPLE));
    };
    let channel = super::message_acts::channel(args, Some(target))?;
    let mut action = Map::new();
    let mut set = |name: &str, value: Value| drop(action.insert(name.to_owned(), value));
    for (flag, name) in TEXTS {
        if let Some(value) = args.value(flag) {
            set(name, value.into());
        }
    }
    for flag in DOCUMENTS {
        if let Some(text) = args.value(flag) {
            let value: Value = serde_json::from_str(text)
                .map_err(|error| Failed::new(format!("--{flag} is not JSON: {error}"), EXAMPLE))?;
            set(flag, value);
        }
    }
    if let Some(place) = args.value("media").filter(|place| !place.contains("://")) {
        drop(action.remove("media"));
        for (name, value) in local(place)? {
            drop(action.insert(name.to_owned(), value));
        }
    }
    let mut set = |name: &str, value: Value| drop(action.insert(name.to_owned(), value));
    if !["message", "media", "presentation"].iter().any(|flag| args.value(flag).is_some()) {
        let what = "nothing to send: --message, --media or --presentation";
        return Err(Failed::new(what, EXAMPLE));
    }
    for (flag, name) in SWITCHES {
        if args.has(flag) {
            set(name, true.into());
        }
    }
    set("channel", channel.as_str().into());
    set("target", target.into());
    set("to", target.into());
    let mut params = json!({
        "channel": channel, "action": "send", "params": action, "senderIsOwner": true,
        "conversationReadOrigin": "direct-operator", "idempotencyKey": key,
    });
    if let Some(account) = args.value("account") {
        params["accountId"] = json!(account);
    }
    Ok(params)
}

/// A file of the operator's own: read here, with the operator's rights, so that it need not lie
/// where the gateway may look, nor on its machine.
fn local(place: &str) -> Result<[(&'static str, Value); 2], Failed> {
    let path = std::path::Path::new(place);
    let wrong = |what: String| Failed::new(format!("--media {place}: {what}"), EXAMPLE_MEDIA);
    let meta = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if !meta.is_file() {
        return Err(wrong("not a regular file".to_owned()));
    }
    if meta.len() > limits::MEDIA_BY_CLI {
        let most = limits::MEDIA_BY_CLI / (1024 * 1024);
        return Err(wrong(format!("larger than the {most} MB that one request carries")));
    }
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok([("buffer", base64(&bytes).into()), ("filename", name.unwrap_or_default().into())])
}

const EXAMPLE_MEDIA: &str =
    "openclaw message send --channel telegram --target @name --media ./photo.jpg";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::{Parsed, parse};

    fn made(line: &[&str]) -> Result<Value, Failed> {
        let words = ["message", "send"].iter().chain(line).map(std::ffi::OsString::from);
        let Ok(Parsed::Run(args)) = parse(words) else { panic!("{line:?}") };
        params(&args, "k")
    }

    #[test]
    fn words_make_one_action() {
        let sent = made(&["-t", "telegram:1", "-m", "hi", "--silent"]).unwrap();
        assert_eq!(sent["channel"], "telegram");
        assert_eq!(
            sent["params"],
            json!({"channel": "telegram", "target": "telegram:1", "to": "telegram:1",
                "message": "hi", "silent": true})
        );
        assert_eq!((&sent["action"], &sent["idempotencyKey"]), (&json!("send"), &json!("k")));
        let named = made(&["--channel", "slack", "-t", "channel:C1", "--presentation", "{}"]);
        assert_eq!(named.unwrap()["params"]["presentation"], json!({}));
        for (line, part) in [
            (&["-m", "hi"][..], "--target"),
            (&["-t", "telegram:1"], "nothing to send"),
            (&["-t", "irc:1", "--presentation", "{"], "not JSON"),
        ] {
            let error = made(line).unwrap_err();
            assert!(error.what.contains(part), "{error}");
            assert!(error.next.starts_with("openclaw message send"), "{error}");
        }
    }

    #[test]
    fn a_file_of_the_operators_own_fits_into_one_request() {
        let dir = std::env::temp_dir().join(format!("openclaw-media-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("a.bin");
        let place = path.display().to_string();
        let sized = |bytes: u64| {
            std::fs::File::create(&path).unwrap().set_len(bytes).unwrap();
            local(&place)
        };
        let [(_, buffer), (_, name)] = sized(limits::MEDIA_BY_CLI).unwrap();
        assert_eq!(name, "a.bin");
        let carried = buffer.as_str().map_or(0, str::len);
        assert!(carried < limits::WS_MESSAGE, "{carried} bytes are no frame");
        let error = sized(limits::MEDIA_BY_CLI + 1).unwrap_err();
        assert!(error.what.contains(&place) && error.what.contains("larger than the 18 MB"));
        assert!(error.next.starts_with("openclaw message send"), "{error}");
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(local(&place).unwrap_err().what.contains("No such file"));
    }
}
