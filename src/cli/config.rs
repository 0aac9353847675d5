//! `openclaw config ...`: the configuration file, looked at. [`super::config_edit`] changes it.

use serde_json::{Value, json};

use super::table::Args;
use super::{Failed, next, out, place};
use crate::config;
use crate::config::secrets::Need;
use crate::wire::json5::Step;

/// `openclaw config file`.
///
/// # Errors
/// When there is no place for one.
pub fn file(args: &Args) -> Result<u8, Failed> {
    let paths = place::paths(&place::environment(), args)?;
    if args.has("json") {
        out::json(&json!({"path": paths.config_path}));
    } else {
        out::line(&paths.config_path.display().to_string());
    }
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

/// The path as typed, for people, and its steps.
pub(super) fn typed_path(args: &Args) -> Result<(String, Vec<Step>), Failed> {
    let typed = args.operands.first().map(String::as_str).unwrap_or_default();
    let shown = out::foreign(typed);
    let steps = steps(typed).or_else(|| config::table::parse_path(typed)).ok_or_else(|| {
        let what = format!("`{shown}` is not a path such as gateway.port or agents.list[0].id");
        Failed::new(what, "openclaw config set gateway.mode local")
    })?;
    Ok((shown, steps))
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
}
