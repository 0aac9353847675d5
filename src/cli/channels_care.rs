//! `openclaw channels dead-letters …`, `login` and `logout`: what an operator does with accounts
//! and with messages that were given up.

use serde_json::{Value, json};

use super::ask::call;
use super::client::{Target, Trouble};
use super::overview::ago;
use super::table::Args;
use super::{Failed, channels, out, place};
use crate::channels::account::{accounts, default_id, logout, normal_id};
use crate::channels::{KINDS, Kind};
use crate::gateway::dead_letters;
use crate::limits;

/// A flag that must not be blank when it is given.
pub(super) fn named<'a>(args: &'a Args, flag: &'static str) -> Result<Option<&'a str>, Failed> {
    match args.given(flag).map(str::trim) {
        Some("") => Err(Failed::new(
            format!("--{flag} must not be blank"),
            format!("leave --{flag} out, or name one: openclaw channels list"),
        )),
        other => Ok(other),
    }
}

fn scope(args: &Args) -> Result<(Option<&'static Kind>, Option<String>), Failed> {
    let channel = named(args, "channel")?.map(channels::named).transpose()?;
    let account = named(args, "account")?.map(normal_id);
    // As in the reference, an account that is not named is the default one.
    let account = account.or_else(|| channel.map(|_| "default".to_owned()));
    Ok((channel, account))
}

/// `openclaw channels dead-letters list [--channel <id>] [--account <id>]`: those of the running
/// gateway, or of its file when none runs.
///
/// # Errors
/// When neither can be read.
pub fn list(args: &Args) -> Result<u8, Failed> {
    let (channel, account) = scope(args)?;
    let most = args.number("limit").unwrap_or(100);
    let mut params = json!({"limit": most});
    if let Some(kind) = channel {
        params["channel"] = json!(kind.id);
    }
    if let Some(account) = &account {
        params["accountId"] = json!(account);
    }
    let target = Target::find(args)?;
    let letters = match call(args, &target, "channels.deadLetters.list", params) {
        Ok(answer) => answer.get("deadLetters").cloned().unwrap_or_default(),
        Err(Trouble::NoGateway(_)) if target.local => {
            of_the_file(args, channel, account.as_deref(), most)?
        }
        Err(trouble) => return target.fail(args, &trouble),
    };
    if args.has("json") {
        out::json(&json!({
            "channelId": channel.map(|kind| kind.id), "accountId": account,
            "deadLetters": letters,
        }));
        return Ok(0);
    }
    let all = letters.as_array().map(Vec::as_slice).unwrap_or_default();
    let whose = match (channel, &account) {
        (Some(kind), Some(account)) => format!(" ({}/{account})", kind.id),
        (None, Some(account)) => format!(" (account {account})"),
        _ => String::new(),
    };
    out::line(&format!("Dead letters{whose}"));
    let now_ms = super::belongings::now_ms();
    for letter in all {
        out::line(&out::foreign(&line(letter, now_ms)));
    }
    match all.first().and_then(|letter| letter.get("id")).and_then(Value::as_str) {
        None => out::line("Nothing was given up."),
        Some(id) => out::line(&out::foreign(&format!(
            "Send one again: openclaw channels dead-letters resubmit {id}\n\
             Let one go: openclaw channels dead-letters drop {id}"
        ))),
    }
    Ok(0)
}

/// `- ch-1 outbound telegram/default to 5: no such chat; attempts=1; failed 3m ago`.
fn line(letter: &Value, now_ms: u64) -> String {
    let word = |name: &str| letter.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| letter.get(name).and_then(Value::as_u64).unwrap_or_default();
    let way = if word("direction") == "inbound" { "from" } else { "to" };
    let seconds = now_ms.saturating_sub(number("failedAt")) as f64 / 1000.0;
    format!(
        "- {} {} {}/{} {way} {}: {}; attempts={}; failed {}",
        word("id"),
        word("direction"),
        word("channelId"),
        word("accountId"),
        word("lane"),
        word("reason"),
        number("attempts"),
        ago(seconds)
    )
}

fn of_the_file(
    args: &Args,
    channel: Option<&Kind>,
    account: Option<&str>,
    most: u64,
) -> Result<Value, Failed> {
    let env = place::environment();
    let path = dead_letters::path(&place::paths(&env, args)?.state_dir);
    let bytes = match place::read_capped(&path, 2 * limits::DEAD_LETTERS_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let path = path.display();
            return Err(Failed::new(format!("{path}: {error}"), format!("ls -l {path}")));
        }
    };
    let mut all = dead_letters::read(&bytes);
    all.reverse();
    all.retain(|one| {
        channel.is_none_or(|kind| kind.id == one.channel_id)
            && account.is_none_or(|account| account == one.account_id)
    });
    all.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    Ok(serde_json::to_value(all).unwrap_or_default())
}

fn settle(args: &Args, method: &str, done: &str) -> Result<u8, Failed> {
    const LIST: &str = "openclaw channels dead-letters list";
    let Some(id) = args.operands.first().map(|id| id.trim()).filter(|id| !id.is_empty()) else {
        return Err(Failed::new("which one: its id is missing", LIST));
    };
    let mut params = json!({"eventId": id});
    if let Some(kind) = named(args, "channel")?.map(channels::named).transpose()? {
        params["channel"] = json!(kind.id);
    }
    if let Some(account) = named(args, "account")? {
        params["accountId"] = json!(normal_id(account));
    }
    let target = Target::find(args)?;
    let answer = match call(args, &target, method, params) {
        Ok(answer) => answer,
        Err(trouble) => return target.fail(args, &trouble),
    };
    if args.has("json") {
        out::json(&answer);
        return Ok(0);
    }
    let word = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let whose = format!("{}/{}", word("channelId"), word("accountId"));
    out::line(&out::foreign(&format!("{done} {id} ({whose})")));
    Ok(0)
}

/// `openclaw channels dead-letters resubmit <id>`.
///
/// # Errors
/// When no gateway answers, or there is no such letter.
pub fn resubmit(args: &Args) -> Result<u8, Failed> {
    settle(args, "channels.deadLetters.resubmit", "Resubmitted")
}

/// `openclaw channels dead-letters drop <id>`.
///
/// # Errors
/// As [`resubmit`].
pub fn drop_letter(args: &Args) -> Result<u8, Failed> {
    settle(args, "channels.deadLetters.drop", "Dropped")
}

/// The channel that is named, or the only configured one.
pub(super) fn chosen(args: &Args, action: &str) -> Result<&'static Kind, Failed> {
    if let Some(name) = named(args, "channel")? {
        return channels::named(name);
    }
    let config = channels::configured(args)?;
    let ours: Vec<&'static Kind> = KINDS
        .iter()
        .copied()
        .filter(|kind| {
            let section = config.chat.channels.get(kind.id).unwrap_or(&Value::Null);
            accounts(kind, section, config.env.all()).iter().any(|one| one.enabled())
        })
        .collect();
    match ours.as_slice() {
        [only] => Ok(only),
        [] => Err(Failed::new(
            format!("no channel is configured to {action}"),
            "openclaw channels add --channel <id>",
        )),
        many => {
            let names: Vec<&str> = many.iter().map(|kind| kind.id).collect();
            Err(Failed::new(
                format!("several channels are configured: {}", names.join(", ")),
                format!("openclaw channels {action} --channel <id>"),
            ))
        }
    }
}

/// `openclaw channels login`: none of our channels has a sign-in of its own; the reference fails
/// here as well. What does the same is named.
///
/// # Errors
/// Always, with the command that sets the account up.
pub fn login(args: &Args) -> Result<u8, Failed> {
    let kind = chosen(args, "login")?;
    let (what, how) = match kind.id {
        "telegram" => ("a token of @BotFather", "--token <token>"),
        "discord" => ("a bot token of discord.com/developers", "--token <token>"),
        "slack" => (
            "a bot token and an app token of api.slack.com/apps",
            "--bot-token <xoxb-…> --app-token <xapp-…>",
        ),
        _ => ("a server and a nick", "--host <name> --nick <nick>"),
    };
    let account = named(args, "account")?.map(|id| format!(" --account {}", normal_id(id)));
    let account = account.unwrap_or_default();
    Err(Failed::new(
        format!(
            "Channel login failed: channel \"{}\" does not support login: it needs {what}",
            kind.id
        ),
        format!("openclaw channels add --channel {}{account} {how}", kind.id),
    ))
}

/// `openclaw channels logout`: by the running gateway, which stops the account first; in the file
/// when none runs here.
///
/// # Errors
/// When the gateway refuses, there is no such account, or the file cannot be written.
pub fn logout(args: &Args) -> Result<u8, Failed> {
    let kind = chosen(args, "logout")?;
    let config = channels::configured(args)?;
    let section = config.chat.channels.get(kind.id).unwrap_or(&Value::Null);
    let all = accounts(kind, section, config.env.all());
    let wanted = named(args, "account")?.map(normal_id);
    let account = wanted.or_else(|| default_id(section, &all)).unwrap_or_default();
    let target = Target::find(args)?;
    let params = json!({"channel": kind.id, "accountId": account});
    let answer = match call(args, &target, "channels.logout", params) {
        Ok(answer) => answer,
        Err(Trouble::NoGateway(_)) if target.local => {
            let Some(found) = all.iter().find(|one| one.id == account) else {
                let what = format!("{} has no account \"{account}\"", kind.label);
                return Err(Failed::new(what, "openclaw channels list"));
            };
            let mut cleared = false;
            channels::edit(args, |text| {
                let new = logout::without(kind, &found.path, text)?;
                cleared = new != text;
                Ok(new)
            })?;
            let env = logout::in_environment(kind, &account, config.env.all());
            let mut left = found.clone();
            if cleared {
                let now = channels::configured(args)?;
                let section = now.chat.channels.get(kind.id).unwrap_or(&Value::Null).clone();
                let all = accounts(kind, &section, now.env.all());
                left = all.into_iter().find(|one| one.id == account).unwrap_or(left);
            }
            json!({
                "channel": kind.id, "accountId": account, "cleared": cleared,
                "envToken": env.is_some(),
                "loggedOut": env.is_none() && !logout::has_credentials(kind, &left),
            })
        }
        Err(trouble) => return target.fail(args, &trouble),
    };
    if args.has("json") {
        out::json(&answer);
        return Ok(0);
    }
    let is = |name: &str| answer.get(name) == Some(&Value::Bool(true));
    let did = if is("cleared") { "Cleared saved auth" } else { "No saved auth was cleared" };
    out::line(&format!("{did} for {}/{account}.", kind.id));
    if is("envToken") {
        let names: Vec<&str> = kind.env_keys.iter().map(|(_, name)| *name).collect();
        out::note(&format!(
            "the environment of the gateway still has {}: take it out of its service as well",
            names.join(" or ")
        ));
    } else if !is("loggedOut") {
        out::note("other credentials may still be active: openclaw channels status");
    }
    Ok(0)
}
