//! `openclaw channels status` and `channels list`: the accounts of the channels, as the gateway
//! knows them; what the configuration says of them when none answers.

use serde_json::{Map, Value, json};

use super::client::{Target, Trouble};
use super::page::{Page, Tone};
use super::table::Args;
use super::{Failed, ask, out, place};
use crate::config::{Loaded, Mode, Paths};

/// Keys of `channels` that are no channel.
const NO_CHANNEL: [&str; 2] = ["defaults", "modelByChannel"];
/// Keys of an account that hold its credential.
const CREDENTIALS: [&str; 9] = [
    "botToken",
    "tokenFile",
    "token",
    "appToken",
    "accessToken",
    "password",
    "signingSecret",
    "account",
    "host",
];

/// `openclaw channels status`.
///
/// # Errors
/// When the gateway refuses us, or the configuration cannot be read.
pub fn status(args: &Args) -> Result<u8, Failed> {
    let timeout_ms = args.number("timeout").unwrap_or(10_000);
    let mut params = json!({"probe": args.has("probe"), "timeoutMs": timeout_ms});
    let only = args.value("channel");
    if let Some(channel) = only {
        params["channel"] = json!(channel);
    }
    let target = Target::find(args)?;
    match ask::call(args, &target, "channels.status", params) {
        Ok(answer) if args.has("json") => out::json(&answer),
        Ok(answer) => {
            let mut page = Page::new(args);
            page.line("Gateway reachable.", Tone::Good);
            accounts(&mut page, &answer);
            page.print();
        }
        Err(trouble) if target.local && is_away(&trouble) => {
            return of_the_file(args, &target, &trouble, only);
        }
        Err(trouble) => return target.fail(args, &trouble),
    }
    Ok(0)
}

/// Nobody is there to ask.
pub(super) fn is_away(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::NoGateway(_) | Trouble::Slow(_) | Trouble::NotGateway(_))
}

/// The accounts of a `channels.status`, one a line.
pub(super) fn accounts(page: &mut Page, answer: &Value) {
    let order = answer.get("channelOrder").and_then(Value::as_array);
    let mut shown = 0;
    for channel in order.into_iter().flatten().filter_map(Value::as_str) {
        let label = answer.get("channelLabels").and_then(|labels| labels.get(channel));
        let label = label.and_then(Value::as_str).unwrap_or(channel);
        let list = answer.get("channelAccounts").and_then(|all| all.get(channel));
        let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if list.is_empty() {
            page.line(&format!("- {label}: no accounts"), Tone::Dim);
        }
        for account in list {
            let (text, tone) = account_line(account);
            page.line(&format!("- {label} {text}"), tone);
        }
        // The control page is always there.
        shown += usize::from(channel != "webchat");
    }
    if shown == 0 {
        page.line("no channels are configured", Tone::Plain);
    }
    for issue in answer.get("statusIssues").and_then(Value::as_array).into_iter().flatten() {
        let word = |name: &str| issue.get(name).and_then(Value::as_str).unwrap_or_default();
        let text = format!("! {} {}: {}", word("channel"), word("accountId"), word("message"));
        page.line(&text, Tone::Warn);
        page.next(word("fix"));
    }
}

/// `default: enabled, configured, running, connected, mode:polling, works`.
fn account_line(account: &Value) -> (String, Tone) {
    let flag = |name: &str| account.get(name).and_then(Value::as_bool);
    let word = |name: &str| account.get(name).and_then(Value::as_str);
    let mut parts = Vec::new();
    let mut say = |known: Option<bool>, yes: &str, no: &str| {
        if let Some(known) = known {
            parts.push(if known { yes } else { no }.to_owned());
        }
    };
    say(flag("enabled"), "enabled", "disabled");
    say(flag("configured"), "configured", "not configured");
    say(flag("linked"), "linked", "not linked");
    say(flag("running"), "running", "stopped");
    say(flag("connected"), "connected", "disconnected");
    for name in ["health", "lifecycle", "stateReason"] {
        let own = word(name).filter(|own| !parts.iter().any(|part| part == own));
        parts.extend(own.map(str::to_owned));
    }
    parts.extend(word("mode").map(|mode| format!("mode:{mode}")));
    parts.extend(word("tokenSource").map(|source| format!("token:{source}")));
    let probe = account.get("probe");
    let works = probe.and_then(|probe| probe.get("ok")).and_then(Value::as_bool);
    if let Some(works) = works {
        parts.push(if works { "works" } else { "probe failed" }.to_owned());
    }
    let audit = account.pointer("/audit/ok").and_then(Value::as_bool);
    if let Some(audit) = audit {
        parts.push(if audit { "audit ok" } else { "audit failed" }.to_owned());
    }
    if let Some(count) = account.pointer("/deadLetters/count").and_then(Value::as_u64) {
        parts.push(format!("{count} given up"));
    }
    let error = word("lastError").or(account.pointer("/probe/error").and_then(Value::as_str));
    parts.extend(error.filter(|error| !error.is_empty()).map(|error| format!("error: {error}")));
    let tone = match (flag("enabled"), flag("running"), works) {
        (Some(false), ..) => Tone::Dim,
        (_, _, Some(false)) => Tone::Bad,
        _ if error.is_some() || flag("connected") == Some(false) => Tone::Warn,
        (_, Some(true), _) => Tone::Good,
        _ => Tone::Plain,
    };
    (format!("{}: {}", word("accountId").unwrap_or("default"), parts.join(", ")), tone)
}

/// The channels of a `health`, one a line; `Channels: none` when there are none.
pub(super) fn of_health(page: &mut Page, health: &Value) {
    let Some(channels) = health.get("channels").and_then(Value::as_object) else { return };
    if channels.is_empty() {
        page.fact("Channels", "none", Tone::Plain);
    }
    for (channel, summary) in channels {
        let label = health.get("channelLabels").and_then(|labels| labels.get(channel));
        let label = label.and_then(Value::as_str).unwrap_or(channel);
        let (text, tone) = account_line(summary);
        let text = text.split_once(": ").map_or(text.as_str(), |(_, rest)| rest);
        page.fact(label, if text.is_empty() { "known" } else { text }, tone);
    }
}

/// An account as the file has it.
struct Written {
    channel: String,
    account: String,
    enabled: bool,
    credential: Option<&'static str>,
    mode: Option<String>,
}

impl Written {
    fn line(&self) -> String {
        let mut parts = vec![if self.enabled { "enabled" } else { "disabled" }.to_owned()];
        parts.push(if self.credential.is_some() { "configured" } else { "not configured" }.into());
        parts.extend(self.mode.iter().map(|mode| format!("mode:{mode}")));
        parts.extend(self.credential.map(|name| format!("{name}:***")));
        format!("{} {}: {}", self.channel, self.account, parts.join(", "))
    }
}

/// Accounts of `channels`, in the file's order; a channel without `accounts` is its own one.
fn written(resolved: &Value) -> Vec<Written> {
    let channels = resolved.get("channels").and_then(Value::as_object);
    let mut found = Vec::new();
    for (channel, section) in channels.into_iter().flatten() {
        let Some(section) = section.as_object().filter(|_| !NO_CHANNEL.contains(&channel.as_str()))
        else {
            continue;
        };
        let own = |account: &str, settings: &Map<String, Value>| {
            let flag = |of: &Map<String, Value>| of.get("enabled").and_then(Value::as_bool);
            let credential = CREDENTIALS.into_iter().find(|name| {
                settings.get(*name).is_some_and(|value| !value.is_null() && *value != "")
            });
            Written {
                channel: channel.clone(),
                account: account.to_owned(),
                enabled: flag(section) != Some(false) && flag(settings) != Some(false),
                credential,
                mode: settings.get("mode").and_then(Value::as_str).map(str::to_owned),
            }
        };
        match section.get("accounts").and_then(Value::as_object).filter(|all| !all.is_empty()) {
            Some(accounts) => {
                for (id, settings) in accounts {
                    found.extend(settings.as_object().map(|settings| own(id, settings)));
                }
            }
            None => found.push(own("default", section)),
        }
    }
    found
}

fn of_the_file(
    args: &Args,
    target: &Target,
    trouble: &Trouble,
    only: Option<&str>,
) -> Result<u8, Failed> {
    let (paths, loaded) = file(args)?;
    let mut accounts = written(&loaded.config.source.resolved);
    accounts.retain(|account| only.is_none_or(|only| only == account.channel));
    let failed = trouble.failed(target);
    let remote = loaded.config.gateway.mode == Some(Mode::Remote);
    let mode = if remote { "remote" } else { "local" };
    if args.has("json") {
        let mut names: Vec<&str> = accounts.iter().map(|one| one.channel.as_str()).collect();
        names.dedup();
        out::json(&json!({
            "gatewayReachable": false, "error": failed.what, "next": failed.next,
            "gatewayAuthUnavailable": !target.whence.unresolved.is_empty(), "configOnly": true,
            "config": {"path": paths.config_path, "mode": mode}, "configuredChannels": names,
        }));
        return Ok(0);
    }
    let mut page = Page::new(args);
    page.line("Gateway not reachable; showing config-only status.", Tone::Warn);
    page.line(&failed.what, Tone::Warn);
    page.fact("Config", &place::tilde(&paths.config_path.display().to_string()), Tone::Plain);
    page.fact("Mode", mode, Tone::Plain);
    for account in &accounts {
        page.line(&format!("- {}", account.line()), Tone::Plain);
    }
    if accounts.is_empty() {
        page.line("no channels are configured", Tone::Plain);
    }
    page.next(&failed.next);
    page.print();
    // What the file says was shown: as in the reference, that is no failure.
    Ok(0)
}

fn file(args: &Args) -> Result<(Paths, Loaded), Failed> {
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let loaded = place::load(&place::Files::new(), &env, &paths)
        .map_err(|error| Failed::config(error.to_string(), "openclaw config validate"))?;
    Ok((paths, loaded))
}

/// `openclaw channels list`: the accounts of the file; no gateway is asked.
///
/// # Errors
/// When the configuration cannot be read.
pub fn list(args: &Args) -> Result<u8, Failed> {
    let (_, loaded) = file(args)?;
    let accounts = written(&loaded.config.source.resolved);
    if args.has("json") {
        let mut chat: Map<String, Value> = Map::new();
        for account in &accounts {
            let entry = chat.entry(account.channel.clone()).or_insert_with(|| {
                json!({
                    "accounts": [], "label": account.channel, "installed": true,
                    "origin": "configured",
                })
            });
            if let Some(list) = entry.get_mut("accounts").and_then(Value::as_array_mut) {
                list.push(json!(account.account));
            }
        }
        out::json(&json!({"chat": chat}));
        return Ok(0);
    }
    let mut page = Page::new(args);
    page.line("Chat channels:", Tone::Head);
    for account in &accounts {
        page.line(&format!("- {}", account.line()), Tone::Plain);
    }
    if accounts.is_empty() {
        page.line("no channels are configured", Tone::Plain);
        page.next("openclaw config set channels.<name>.enabled true");
    } else {
        page.next("openclaw channels status --probe");
    }
    page.print();
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::super::page::Ink;
    use super::*;

    #[test]
    fn accounts_of_the_file_are_found_and_never_their_secrets() {
        let file = json!({"channels": {
            "defaults": {"x": 1},
            "telegram": {"botToken": "123:secret", "mode": "polling"},
            "slack": {"enabled": false, "accounts": {"a": {"botToken": "xoxb-secret"}, "b": {}}},
        }});
        let mut lines: Vec<String> = written(&file).iter().map(Written::line).collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "slack a: disabled, configured, botToken:***",
                "slack b: disabled, not configured",
                "telegram default: enabled, configured, mode:polling, botToken:***",
            ]
        );
        assert!(written(&json!({})).is_empty());
    }

    #[test]
    fn an_account_in_one_line() {
        let account = json!({"accountId": "default", "enabled": true, "configured": true,
            "running": true, "connected": true, "mode": "polling", "probe": {"ok": true}});
        let (text, tone) = account_line(&account);
        let want = "default: enabled, configured, running, connected, mode:polling, works";
        assert_eq!((text.as_str(), tone), (want, Tone::Good));
        let failed = json!({"running": false, "lastError": "401", "probe": {"ok": false}});
        let (text, tone) = account_line(&failed);
        assert_eq!(
            (text.as_str(), tone),
            ("default: stopped, probe failed, error: 401", Tone::Bad)
        );
    }

    #[test]
    fn an_answer_is_shown_by_channel_with_its_issues() {
        let answer = json!({"channelOrder": ["telegram", "x"], "channelLabels": {"telegram":
            "Telegram"}, "channelAccounts": {"telegram": [{"accountId": "a\u{1b}", "running":
            false}]}, "statusIssues": [{"channel": "telegram", "accountId": "a", "message": "no",
            "fix": "openclaw doctor"}]});
        let mut page = Page::with(Ink::NONE, 80);
        accounts(&mut page, &answer);
        let text = page.text();
        assert!(text.contains("- Telegram a") && text.contains("- x: no accounts"), "{text}");
        assert!(text.contains("! telegram a: no\nNext: openclaw doctor\n"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let mut page = Page::with(Ink::NONE, 80);
        accounts(&mut page, &json!({}));
        assert_eq!(page.text(), "no channels are configured\n");
    }
}
