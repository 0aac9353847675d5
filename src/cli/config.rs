//! `openclaw config ...`: the configuration file, looked at and edited in place.
//!
//! `set` and `unset` change one key and leave every comment and blank where it was; what they
//! would write is checked first, so that a typing slip never reaches a running gateway. The
//! whole file is replaced at once. A missing file is not made here: that is `openclaw setup`.

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::table::Args;
use super::{Failed, next, out, place};
use crate::config::secrets::Need;
use crate::config::{self, ConfigError, Paths};
use crate::store::{Disk, RealDisk};
use crate::wire::json5::{self, Step};

/// `openclaw config file`.
///
/// # Errors
/// When there is no place for one.
pub fn file(args: &Args) -> Result<u8, Failed> {
    let paths = place::paths(&place::environment(), args)?;
    out::line(&paths.config_path.display().to_string());
    Ok(0)
}

/// `openclaw config validate`.
///
/// # Errors
/// When there is no place for a file; a bad file is a result.
pub fn validate(args: &Args) -> Result<u8, Failed> {
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let path = paths.config_path.display().to_string();
    let (exists, issues, warnings) =
        match place::load_with_programs(&place::Files::new(), &env, &paths, Need::Check) {
            Ok((loaded, _)) => {
                let config = loaded.config;
                let warnings = config.warnings.iter().map(ToString::to_string).collect();
                (config.source.exists, Vec::new(), warnings)
            }
            Err(error) => {
                let issues = error.issues.iter().map(ToString::to_string).collect();
                (error.source.exists, issues, Vec::new())
            }
        };
    let valid = issues.is_empty() && exists;
    if args.has("json") {
        out::json(&json!({
            "path": path,
            "exists": exists,
            "valid": valid,
            "issues": issues,
            "warnings": warnings,
        }));
        return Ok(u8::from(!valid));
    }
    if !exists && issues.is_empty() {
        return Err(Failed::new(format!("there is no {path}"), next::SETUP));
    }
    for issue in &issues {
        out::line(&out::foreign(issue));
    }
    for warning in &warnings {
        out::line(&format!("warning: {}", out::foreign(warning)));
    }
    if valid {
        out::line(&format!("{path} is valid"));
        return Ok(0);
    }
    Err(Failed::new(format!("{path} is not valid"), "fix it, then: openclaw config validate"))
}

/// `openclaw config schema`.
///
/// # Errors
/// Never: it needs no file.
pub fn schema() -> Result<u8, Failed> {
    out::json(&config::schema::root());
    Ok(0)
}

/// `openclaw config keys`: every key that is known but has no effect here, and why.
///
/// # Errors
/// Never: it needs no file.
pub fn keys(args: &Args) -> Result<u8, Failed> {
    let rows = config::table::without_effect();
    if args.has("markdown") {
        out::text(&config::table::markdown());
    } else if args.has("json") {
        let rows =
            rows.map(|(key, happens, why)| json!({"key": key, "happens": happens, "why": why}));
        out::json(&Value::Array(rows.collect()));
    } else {
        for (key, happens, why) in rows {
            out::line(&format!("{key}\n    {happens}: {why}"));
        }
    }
    Ok(0)
}

/// `openclaw config get <path>`: as the file says after `$include` and `${VAR}`, secrets hidden.
///
/// # Errors
/// When the file is not valid, the key is not set, or there is no such key.
pub fn get(args: &Args) -> Result<u8, Failed> {
    let (shown, steps) = typed_path(args)?;
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let loaded = place::load(&place::Files::new(), &env, &paths)
        .map_err(|error| Failed::new(error.to_string(), ""))?;
    let source = &loaded.config.source;
    let value = config::redact::value(&source.resolved, &source.parsed);
    let found = steps.iter().try_fold(&value, |at, step| match step {
        Step::Key(key) => at.get(key),
        Step::Index(index) => at.get(index),
    });
    match found {
        Some(value) if args.has("json") => out::json(value),
        Some(Value::String(text)) => out::line(&out::foreign(text)),
        Some(value @ (Value::Object(_) | Value::Array(_))) => out::json(value),
        Some(value) => out::line(&value.to_string()),
        None if config::table::lookup(&steps).is_some() => {
            let what = format!("{shown} is not set: its default holds");
            return Err(Failed::new(what, format!("openclaw config set {shown} <value>")));
        }
        None => {
            let what = format!("there is no key {shown}");
            return Err(Failed::new(what, "openclaw config schema"));
        }
    }
    Ok(0)
}

/// `openclaw config set <path> <value>`.
///
/// # Errors
/// When the result would not be valid, or cannot be written.
pub fn set(args: &Args) -> Result<u8, Failed> {
    let value = args.operands.get(1).map(String::as_str).unwrap_or_default();
    let value = if args.has("strict-json") {
        serde_json::from_str::<Value>(value).map_err(|error| {
            Failed::new(format!("the value is not JSON: {error}"), "quote it for your shell")
        })?;
        value.to_owned()
    } else {
        written(value)
    };
    change(args, |text, steps| {
        if args.has("merge") {
            return merged(text, steps, &value);
        }
        if !args.has("replace") {
            loses_nothing(text, steps, &value)?;
        }
        json5::set(text, steps, &value).map_err(|error| error.to_string())
    })
}

/// `openclaw config unset <path>`.
///
/// # Errors
/// As [`set`], and when there is no such key.
pub fn unset(args: &Args) -> Result<u8, Failed> {
    change(args, |text, steps| json5::remove(text, steps).map_err(|error| error.to_string()))
}

/// A value laid on what stands at a path.
fn merged(text: &str, steps: &[Step], value: &str) -> Result<String, String> {
    let new = json5::parse(value).map_err(|error| error.to_string())?.root.to_value();
    let mut patch = new;
    for step in steps.iter().rev() {
        let Step::Key(key) = step else {
            return Err("--merge takes a path without [..]".to_owned());
        };
        patch = Value::Object([(key.clone(), patch)].into_iter().collect());
    }
    config::patch::merge(text, &patch, &[])
}

/// Maps and lists that people add to: a value that would remove entries there is refused.
const PROTECTED: [&str; 7] = [
    "agents.defaults.models",
    "agents.entries",
    "models.providers",
    "models.providers.*",
    "models.providers.*.models",
    "plugins.entries",
    "auth.profiles",
];

fn loses_nothing(text: &str, steps: &[Step], value: &str) -> Result<(), String> {
    let guarded = PROTECTED.iter().any(|pattern| {
        let parts: Vec<&str> = pattern.split('.').collect();
        let is = |(part, step): (&&str, &Step)| match step {
            Step::Key(key) => *part == "*" || *part == key,
            Step::Index(_) => false,
        };
        parts.len() == steps.len() && parts.iter().zip(steps).all(is)
    });
    let parsed = |text: &str| json5::parse(text).map_err(|error| error.to_string());
    let document = parsed(text)?;
    let Some(old) = document.at(steps).filter(|_| guarded) else { return Ok(()) };
    let (old, new) = (old.to_value(), parsed(value)?.root.to_value());
    let id = |item: &Value| item.get("id").cloned();
    let lost: Vec<String> = match (&old, &new) {
        (Value::Object(old), new) => {
            old.keys().filter(|key| new.get(key.as_str()).is_none()).cloned().collect()
        }
        (Value::Array(old), new) => {
            let new = new.as_array().map_or(&[] as &[Value], Vec::as_slice);
            let kept = |item: &&Value| !new.iter().any(|new| id(new) == id(item));
            old.iter().filter(kept).filter_map(|item| Some(id(item)?.to_string())).collect()
        }
        _ => Vec::new(),
    };
    if lost.is_empty() {
        return Ok(());
    }
    let lost = out::foreign(&lost.join(", "));
    Err(format!("that would remove {lost}; add --merge to keep, or --replace to mean it"))
}

fn typed_path(args: &Args) -> Result<(String, Vec<Step>), Failed> {
    let typed = args.operands.first().map(String::as_str).unwrap_or_default();
    let shown = out::foreign(typed);
    let steps = steps(typed).or_else(|| config::table::parse_path(typed)).ok_or_else(|| {
        let what = format!("`{shown}` is not a path such as gateway.port or agents.list[0].id");
        Failed::new(what, "openclaw config set gateway.mode local")
    })?;
    Ok((shown, steps))
}

fn change(
    args: &Args,
    edit: impl FnOnce(&str, &[Step]) -> Result<String, String>,
) -> Result<u8, Failed> {
    let (shown, steps) = typed_path(args)?;
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let (path, before) = read(&paths)?;
    let after = edit(&before, &steps)
        .map_err(|error| Failed::new(format!("{shown}: {error}"), "openclaw config validate"))?;
    let files = place::Files::new();
    let new = config::load::check(&files, &env, &paths, &after).map_err(|error| invalid(&error))?;
    if after == before {
        out::line("No change");
        return Ok(0);
    }
    if args.has("dry-run") {
        out::line(&format!("{shown} would change in {}; nothing was written", path.display()));
        return Ok(0);
    }
    // An editor may have saved meanwhile; its work is worth more than ours.
    if read(&paths)?.1 != before {
        let what = format!("{} was changed meanwhile; nothing was written", path.display());
        return Err(Failed::new(what, "run the command again"));
    }
    // What stood there before need not have been valid.
    let old = config::load::check(&files, &env, &paths, &before);
    RealDisk.replace(&path, after.as_bytes()).map_err(|error| {
        let what = format!("cannot write {}: {error}", path.display());
        Failed::new(what, "check the directory's owner and free space")
    })?;
    out::line(&format!("{shown} changed in {}", path.display()));
    if let Ok(old) = old {
        out::line(hint(&old.config, &new.config));
    }
    Ok(0)
}

/// What a running gateway makes of it.
fn hint(old: &config::Config, new: &config::Config) -> &'static str {
    use config::ReloadMode;
    use config::plan::{changes, needs};
    use config::table::Reload;
    let changes = changes(&old.source.resolved, &new.source.resolved);
    match (needs(&changes), new.gateway.reload.mode) {
        (None, _) => "No gateway restart needed.",
        (_, ReloadMode::Off | ReloadMode::Restart) | (Some(Reload::Restart), _) => {
            "Restart the gateway to apply."
        }
        (Some(Reload::Live | Reload::Channel | Reload::Rebind), _) => {
            "Change will apply without restarting the gateway."
        }
    }
}

/// Replaces the file that `before` was loaded from by a text, once that is found valid. `settle`
/// may ask for another text when it has seen what the first would mean. Returns what is in force
/// from the next start on.
///
/// # Errors
/// When there is no file, the result would not be valid, the file was changed meanwhile, or it
/// cannot be written.
pub fn rewrite(
    paths: &Paths,
    before: &config::Config,
    text: &str,
    settle: impl FnOnce(&config::Config) -> Result<Option<String>, Failed>,
) -> Result<std::rc::Rc<config::Config>, Failed> {
    let env = place::environment();
    let files = place::Files::new();
    let check = |text: &str| {
        config::load::check(&files, &env, paths, text).map_err(|error| invalid(&error))
    };
    let (path, now) = read(paths)?;
    if now != before.source.raw {
        let what = format!("{} was changed meanwhile; nothing was written", path.display());
        return Err(Failed::new(what, "run the command again"));
    }
    let mut after = check(text)?.config;
    if let Some(text) = settle(&after)? {
        after = check(&text)?.config;
    }
    RealDisk.replace(&path, after.source.raw.as_bytes()).map_err(|error| {
        let what = format!("cannot write {}: {error}", path.display());
        Failed::new(what, "check the directory's owner and free space")
    })?;
    Ok(after)
}

/// The file behind any symbolic link, and its text.
fn read(paths: &Paths) -> Result<(PathBuf, String), Failed> {
    let path = &paths.config_path;
    let text = path.canonicalize().and_then(|real| Ok((std::fs::read_to_string(&real)?, real)));
    match text {
        Ok((text, real)) => Ok((real, text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failed::new(format!("there is no {}", path.display()), next::SETUP))
        }
        Err(error) => Err(Failed::new(format!("cannot read {}: {error}", path.display()), "")),
    }
}

fn invalid(error: &ConfigError) -> Failed {
    let issues: Vec<String> = error.issues.iter().map(|it| out::foreign(&it.to_string())).collect();
    let what = format!("nothing was written, since it would not be valid:\n{}", issues.join("\n"));
    Failed::new(what, "openclaw config validate")
}

/// A value as typed: JSON5 where it is, a text where it is not.
fn written(value: &str) -> String {
    match json5::parse(value) {
        Ok(_) => value.to_owned(),
        Err(_) => serde_json::Value::from(value).to_string(),
    }
}

/// `a.b[0].c`; `None` when it is no such path.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (key, indices) = match part.find('[') {
            Some(at) => part.split_at(at),
            None => (part, ""),
        };
        if key.is_empty() || key.contains(char::is_control) {
            return None;
        }
        steps.push(Step::Key(key.to_owned()));
        let mut rest = indices;
        while !rest.is_empty() {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read() {
        let key = |text: &str| Step::Key(text.to_owned());
        assert_eq!(steps("gateway.port"), Some(vec![key("gateway"), key("port")]));
        assert_eq!(
            steps("a.list[0][2].id"),
            Some(vec![key("a"), key("list"), Step::Index(0), Step::Index(2), key("id")])
        );
        for bad in ["", ".", "a.", "a..b", "[0]", "a[", "a[x]", "a[0]b", "a[-1]", "a\u{1b}"] {
            assert_eq!(steps(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn values_are_json5_or_text() {
        for (typed, want) in [
            ("7", "7"),
            ("true", "true"),
            ("{a: 1}", "{a: 1}"),
            ("'x'", "'x'"),
            ("local", "\"local\""),
            ("a\"b", "\"a\\\"b\""),
            ("", "\"\""),
        ] {
            assert_eq!(written(typed), want);
        }
    }
}
