//! `openclaw config set`, `unset` and `patch`: the file is edited in place.
//!
//! Comments, blanks and `${VAR}` stay where they were. What would be written is checked first, so
//! that a typing slip never reaches a running gateway; what is not valid is kept beside the file
//! as `.rejected`, what stood there before as `.bak`. The whole file is replaced at once. A
//! missing file is not made here: that is `openclaw setup`. Where `OPENCLAW_CONFIG_READONLY` or
//! `OPENCLAW_NIX_MODE` is 1, nothing is written at all.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::belongings::now_ms;
use super::config::typed_path;
use super::table::Args;
use super::{Failed, next, out, place};
use crate::config::secrets::{BoundRef, RefSource};
use crate::config::{self, ConfigError, Loaded, Paths};
use crate::limits;
use crate::store::copies::Kept;
use crate::store::{Disk, RealDisk};
use crate::wire::json5::{self, Step};

/// `openclaw config set <path> <value>`, or `--ref-source`, `--ref-provider` and `--ref-id` in
/// place of the value.
///
/// # Errors
/// When the result would not be valid, or cannot be written.
pub fn set(args: &Args) -> Result<u8, Failed> {
    let (value, mode) = value(args)?;
    let (shown, steps) = typed_path(args)?;
    change(args, &shown, mode, Some(&steps), |text| {
        if args.has("merge") {
            return merged(text, &steps, &value);
        }
        if !args.has("replace") {
            loses_nothing(text, &steps, &value)?;
        }
        json5::set(text, &steps, &value).map_err(|error| error.to_string())
    })
}

/// The value to set as JSON5, and what the reference calls this way of giving it.
fn value(args: &Args) -> Result<(String, &'static str), Failed> {
    let typed = args.operands.get(1);
    let parts = ["ref-source", "ref-provider", "ref-id"].map(|name| args.value(name));
    if let [Some(source), Some(provider), Some(id)] = parts {
        if typed.is_some() {
            let what = "a value and --ref-source, --ref-provider, --ref-id exclude each other";
            return Err(Failed::new(what, "openclaw help config set"));
        }
        let reference = json!({"source": source, "provider": provider, "id": id});
        return Ok((reference.to_string(), "builder"));
    }
    if parts.iter().any(Option::is_some) {
        let what = "a SecretRef needs all of --ref-source, --ref-provider and --ref-id";
        return Err(Failed::new(what, "openclaw help config set"));
    }
    let Some(typed) = typed else {
        return Err(Failed::new("there is no value", "openclaw config set <path> <value>"));
    };
    // `--json` is the older word for it; with `--dry-run` it is the form of the answer as well.
    if args.has("strict-json") || args.has("json") {
        serde_json::from_str::<Value>(typed).map_err(|error| {
            Failed::new(format!("the value is not JSON: {error}"), "quote it for your shell")
        })?;
        return Ok((typed.clone(), "json"));
    }
    Ok((written(typed), "value"))
}

/// `openclaw config unset <path>`.
///
/// # Errors
/// As [`set`], and when there is no such key.
pub fn unset(args: &Args) -> Result<u8, Failed> {
    let (shown, steps) = typed_path(args)?;
    change(args, &shown, "unset", None, |text| {
        json5::remove(text, &steps).map_err(|error| error.to_string())
    })
}

/// `openclaw config patch --file <path>` or `--stdin`: a part of a configuration laid on the
/// file; `null` removes.
///
/// # Errors
/// As [`set`], and when there is nothing to read.
pub fn patch(args: &Args) -> Result<u8, Failed> {
    let (shown, text) = match (args.value("file"), args.has("stdin")) {
        (Some(path), false) => {
            let file = std::fs::File::open(path);
            (out::foreign(path), bounded(file, limits::CONFIG_BYTES))
        }
        (None, true) => ("standard input".to_owned(), bounded(Ok(io::stdin()), STDIN_BYTES)),
        _ => {
            let what = "give the patch by either --file <path> or --stdin";
            return Err(Failed::new(what, "openclaw config patch --file ./patch.json5 --dry-run"));
        }
    };
    let text = text.map_err(|error| Failed::new(format!("cannot read {shown}: {error}"), ""))?;
    let document = json5::parse(&text)
        .map_err(|error| Failed::new(format!("{shown}: {error}"), "write it as JSON5"))?;
    let new = document.root.to_value();
    let whole: Vec<String> = args.value("replace-path").into_iter().map(str::to_owned).collect();
    change(args, &shown, "json", None, |before| {
        let mut patch = new.clone();
        let mut text = before.to_owned();
        for path in &whole {
            let steps = config::table::parse_path(path).ok_or("--replace-path is not a path")?;
            let at = new.pointer(&pointer(&steps)).ok_or("--replace-path is not in the patch")?;
            text = json5::set(&text, &steps, &at.to_string()).map_err(|error| error.to_string())?;
            cut(&mut patch, &steps);
        }
        // What the operator wrote is meant: arrays replace.
        config::patch::merge(&text, &patch, &arrays(&patch))
    })
}

/// A patch by standard input (the reference's bound).
const STDIN_BYTES: usize = 1024 * 1024;

fn bounded(source: io::Result<impl Read>, most: usize) -> io::Result<String> {
    let mut text = String::new();
    source?.take(most as u64 + 1).read_to_string(&mut text)?;
    match text.len() > most {
        true => Err(io::Error::other(format!("it has more than {most} bytes"))),
        false => Ok(text),
    }
}

fn pointer(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        let part = match step {
            Step::Key(key) => key.replace('~', "~0").replace('/', "~1"),
            Step::Index(index) => index.to_string(),
        };
        out.extend(["/", part.as_str()]);
    }
    out
}

/// Takes what stands at a path out of a patch.
fn cut(patch: &mut Value, steps: &[Step]) {
    let Some((Step::Key(last), above)) = steps.split_last() else { return };
    if let Some(Value::Object(members)) = patch.pointer_mut(&pointer(above)) {
        members.remove(last);
    }
}

/// The path of every array in a patch.
fn arrays(patch: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(patch, &mut Vec::new(), &mut found);
    found
}

fn walk(value: &Value, path: &mut Vec<Step>, found: &mut Vec<String>) {
    match value {
        Value::Array(_) => found.push(config::table::shown(path)),
        Value::Object(members) => {
            for (key, value) in members {
                path.push(Step::Key(key.clone()));
                walk(value, path, found);
                path.pop();
            }
        }
        _ => {}
    }
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

/// Lays an edit on the file: checks, keeps, writes, and says what a gateway makes of it. `mode`
/// is the reference's word for how it was given; `expected` the path that `--expect-current-...`
/// is about.
fn change(
    args: &Args,
    shown: &str,
    mode: &str,
    expected: Option<&[Step]>,
    edit: impl FnOnce(&str) -> Result<String, String>,
) -> Result<u8, Failed> {
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let dry = args.has("dry-run");
    if !dry {
        may_write(&env, &paths)?;
    }
    let (path, before) = read(&paths)?;
    let files = place::Files::new();
    // What stands there now need not be valid.
    let old = config::load::check(&files, &env, &paths, &before);
    if let Some(steps) = expected {
        as_expected(args, steps, old.as_ref().ok())?;
    }
    let after = edit(&before)
        .map_err(|error| Failed::new(format!("{shown}: {error}"), "openclaw config validate"));
    let new = after.and_then(|after| {
        let new = config::load::check(&files, &env, &paths, &after);
        Ok((
            new.map_err(|error| invalid(&error, (!dry).then_some((path.as_path(), &after))))?,
            after,
        ))
    });
    if dry && args.has("json") {
        let known = old.as_ref().map_or(&[][..], |old| &old.config.secrets);
        return Ok(rehearsed(&path, mode, known, new.as_ref().map(|(new, _)| new)));
    }
    let (new, after) = new?;
    if after == before {
        out::line("No change");
        return Ok(0);
    }
    if dry {
        out::line(&format!("{shown} would change in {}; nothing was written", path.display()));
        return Ok(0);
    }
    // An editor may have saved meanwhile; its work is worth more than ours.
    if read(&paths)?.1 != before {
        let what = format!("{} was changed meanwhile; nothing was written", path.display());
        return Err(Failed::new(what, "run the command again"));
    }
    publish(&path, &before, &after)?;
    out::line(&format!("{shown} changed in {}", path.display()));
    if let Ok(old) = old {
        out::line(hint(&old.config, &new.config));
    }
    Ok(0)
}

/// Whether this host's configuration is anybody's to write.
fn may_write(env: &BTreeMap<String, String>, paths: &Paths) -> Result<(), Failed> {
    let set = |name: &&&str| env.get(**name).is_some_and(|value| value == "1");
    let Some(name) = place::READ_ONLY.iter().find(set) else { return Ok(()) };
    let what = format!(
        "{} is managed from outside ({name}=1): nothing was written",
        paths.config_path.display()
    );
    Err(Failed::new(what, "change it there, or unset the variable"))
}

/// `--expect-current-json` and `--expect-current-absent`: neither value is printed.
fn as_expected(args: &Args, steps: &[Step], old: Option<&Loaded>) -> Result<(), Failed> {
    let (json, absent) = (args.value("expect-current-json"), args.has("expect-current-absent"));
    if json.is_none() && !absent {
        return Ok(());
    }
    if json.is_some() && absent || args.has("dry-run") {
        let what =
            "--expect-current-json, --expect-current-absent and --dry-run exclude each other";
        return Err(Failed::new(what, "openclaw help config set"));
    }
    let Some(old) = old else {
        let what = "the file is not valid, so what it holds now cannot be compared";
        return Err(Failed::new(what, "openclaw config validate"));
    };
    let now = old.config.source.resolved.pointer(&pointer(steps));
    let wanted = match json.map(serde_json::from_str::<Value>) {
        None => None,
        Some(Ok(value)) => Some(value),
        Some(Err(error)) => {
            let what = format!("the expected value is not JSON: {error}");
            return Err(Failed::new(what, "quote it for your shell"));
        }
    };
    if now == wanted.as_ref() {
        return Ok(());
    }
    let what =
        format!("{} is not what was expected; nothing was written", config::table::shown(steps));
    Err(Failed::new(what, "look at it again: openclaw config get"))
}

/// The answer of a rehearsal, in the reference's shape; the exit code.
fn rehearsed(path: &Path, mode: &str, known: &[BoundRef], new: Result<&Loaded, &Failed>) -> u8 {
    let mut errors = Vec::new();
    let (mut checked, mut skipped) = (0, 0);
    match new {
        Err(failed) => {
            let kind = if mode == "unset" && failed.what.contains(": there is no `") {
                "missing-path"
            } else {
                "schema"
            };
            errors.push(json!({"kind": kind, "message": failed.what}));
        }
        Ok(new) => {
            let old = |one: &&BoundRef| {
                known.iter().any(|old| old.path == one.path && old.source == one.source)
            };
            for one in new.config.secrets.iter().filter(|one| !old(one)) {
                if one.source == RefSource::Exec {
                    skipped += 1;
                    continue;
                }
                checked += 1;
                if let Some(why) = &one.why {
                    let message = format!("{}: {why}", one.path);
                    errors.push(json!({"kind": "resolvability", "message": message}));
                }
            }
        }
    }
    let ok = errors.is_empty();
    let mut answer = json!({
        "ok": ok, "operations": 1, "configPath": path, "inputModes": [mode],
        "checks": {
            "schema": true, "resolvability": new.is_ok(),
            "resolvabilityComplete": new.is_ok() && skipped == 0,
        },
        "refsChecked": checked, "skippedExecRefs": skipped,
    });
    if !ok {
        answer["errors"] = Value::Array(errors);
    }
    out::json(&answer);
    u8::from(!ok)
}

/// Keeps what stood there, and replaces it.
fn publish(path: &Path, before: &str, after: &str) -> Result<(), Failed> {
    let mut disk = RealDisk;
    let kept = Kept::Backup.keep(&mut disk, path, before.as_bytes(), 0).map(drop);
    kept.and_then(|()| disk.replace(path, after.as_bytes())).map_err(|error| {
        let what = format!("cannot write {}: {error}", path.display());
        Failed::new(what, "check the directory's owner and free space")
    })
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
    may_write(&env, paths)?;
    let files = place::Files::new();
    let check = |text: &str| {
        config::load::check(&files, &env, paths, text).map_err(|error| invalid(&error, None))
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
    publish(&path, &now, &after.source.raw)?;
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

/// What would not be valid; where it would have been written, it is kept beside the file.
fn invalid(error: &ConfigError, written: Option<(&Path, &String)>) -> Failed {
    let issues: Vec<String> = error.issues.iter().map(|it| out::foreign(&it.to_string())).collect();
    let mut what =
        format!("nothing was written, since it would not be valid:\n{}", issues.join("\n"));
    if let Some((path, text)) = written
        && let Ok(kept) = Kept::Rejected.keep(&mut RealDisk, path, text.as_bytes(), now_ms())
    {
        what.push_str(&format!("\nThe rejected text is kept in {}", kept.display()));
    }
    Failed::new(what, "openclaw config validate")
}

/// A value as typed: JSON5 where it is, a text where it is not.
fn written(value: &str) -> String {
    match json5::parse(value) {
        Ok(_) => value.to_owned(),
        Err(_) => serde_json::Value::from(value).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_array_of_a_patch_is_meant() {
        let patch = json!({"a": {"b.c": [1], "d": {"e": [[2]]}}, "f": null});
        assert_eq!(arrays(&patch), [r#"a["b.c"]"#, "a.d.e"]);
        let mut patch = patch;
        cut(&mut patch, &[Step::Key("a".to_owned()), Step::Key("d".to_owned())]);
        assert_eq!(patch, json!({"a": {"b.c": [1]}, "f": null}));
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
