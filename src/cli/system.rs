//! `openclaw system ...`: events for sessions, heartbeats on and off, who is there.

use serde_json::{Value, json};

use super::table::Args;
use super::{Failed, ask, client::Target, out};

/// `openclaw system event --text <text>`.
///
/// # Errors
/// When there is no text, or no gateway answers.
pub fn event(args: &Args) -> Result<u8, Failed> {
    let text = args.value("text").map(str::trim).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| {
        let next = "openclaw system event --text \"Check the inbox\" --mode now";
        Failed::new("--text is missing: what happened", next)
    })?;
    let mut params = json!({"text": text, "mode": args.value("mode").unwrap_or("next-heartbeat")});
    if let Some(key) = args.value("session-key") {
        params["sessionKey"] = json!(key);
        // As in the reference: an event for one session does not wait for a beat of the main one.
        params["mode"] = json!("now");
    }
    ask::ask(args, "wake", params, |_| vec!["ok".to_owned()])
}

/// `openclaw system heartbeat last`: when a run was last started for events, as JSON.
///
/// # Errors
/// When no gateway answers.
pub fn last(args: &Args) -> Result<u8, Failed> {
    print(args, "last-heartbeat", json!({}))
}

/// `openclaw system heartbeat enable` and `disable`.
///
/// # Errors
/// When no gateway answers.
pub fn heartbeats(args: &Args, on: bool) -> Result<u8, Failed> {
    print(args, "set-heartbeats", json!({"enabled": on}))
}

/// `openclaw system presence`: who is connected, as JSON.
///
/// # Errors
/// When no gateway answers.
pub fn presence(args: &Args) -> Result<u8, Failed> {
    print(args, "system-presence", json!({}))
}

fn print(args: &Args, method: &str, params: Value) -> Result<u8, Failed> {
    let target = Target::find(args)?;
    match ask::call(args, &target, method, params) {
        Ok(answer) => out::json(&answer),
        Err(trouble) => return target.fail(args, &trouble),
    }
    Ok(0)
}
