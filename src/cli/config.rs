//! `openclaw config ...`: the configuration file, looked at and edited in place.
//!
//! `set` and `unset` change one key and leave every comment and blank where it was; what they
//! would write is checked first, so that a typing slip never reaches a running gateway. The
//! whole file is replaced at once. A missing file is not made here: that is `openclaw setup`.

use std::io;
use std::path::PathBuf;

use serde_json::json;

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

/// `openclaw config set <path> <value>`.
///
/// # Errors
/// When the result would not be valid, or cannot be written.
pub fn set(args: &Args) -> Result<u8, Failed> {
    let value = args.operands.get(1).map(String::as_str).unwrap_or_default();
    let value = written(value);
    change(args, |text, steps| json5::set(text, steps, &value))
}

/// `openclaw config unset <path>`.
///
/// # Errors
/// As [`set`], and when there is no such key.
pub fn unset(args: &Args) -> Result<u8, Failed> {
    change(args, json5::remove)
}

fn change(
    args: &Args,
    edit: impl FnOnce(&str, &[Step]) -> Result<String, json5::Json5Error>,
) -> Result<u8, Failed> {
    let typed = args.operands.first().map(String::as_str).unwrap_or_default();
    let shown = out::foreign(typed);
    let steps = steps(typed).ok_or_else(|| {
        let what = format!("`{shown}` is not a path such as gateway.port or agents.list[0].id");
        Failed::new(what, "openclaw config set gateway.mode local")
    })?;
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let (path, before) = read(&paths)?;
    let after = edit(&before, &steps)
        .map_err(|error| Failed::new(format!("{shown}: {error}"), "openclaw config validate"))?;
    let files = place::Files::new();
    config::load::check(&files, &env, &paths, &after).map_err(|error| invalid(&error))?;
    // An editor may have saved meanwhile; its work is worth more than ours.
    if read(&paths)?.1 != before {
        let what = format!("{} was changed meanwhile; nothing was written", path.display());
        return Err(Failed::new(what, "run the command again"));
    }
    RealDisk.replace(&path, after.as_bytes()).map_err(|error| {
        let what = format!("cannot write {}: {error}", path.display());
        Failed::new(what, "check the directory's owner and free space")
    })?;
    out::line(&format!("{shown} changed in {}", path.display()));
    Ok(0)
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
