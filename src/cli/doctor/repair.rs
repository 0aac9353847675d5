//! Repairs: only what is safe, each said, and what stood there kept.
//!
//! ```text
//!   findings --> modes, directories      at once, whoever runs
//!            --> edits of the file       together, checked before they are written, .bak kept
//!            --> last good, new token    .clobbered or .bak kept
//!            --> documents               with the state directory's lock, as a start does it
//!            --> service                 the definition again
//! ```

use std::path::Path;

use serde_json::Value;

use super::super::{Failed, belongings, entropy, modes, place};
use super::finding::{Edit, Finding, Repair};
use super::here::Here;
use super::{documents, service};
use crate::config::load;
use crate::config::table::parse_path;
use crate::store::copies::{self, Kept};
use crate::store::{Disk, RealDisk};
use crate::wire::json5::{self, Step};

/// What was done, and what could not be.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Sentences.
    pub done: Vec<String>,
    /// Sentences with the next command.
    pub failed: Vec<String>,
}

impl Outcome {
    fn note(&mut self, what: Result<String, Failed>) {
        match what {
            Ok(done) => self.done.push(done),
            Err(failed) => self.failed.push(failed.to_string().replace('\n', "; ")),
        }
    }
}

/// Carries out what the findings allow. Looked at once more afterwards by the caller.
pub fn all(here: &Here<'_>, findings: &[Finding]) -> Outcome {
    let mut out = Outcome::default();
    let (mut edits, mut documents_too, mut service_too) = (Vec::new(), false, false);
    for repair in findings.iter().filter_map(|finding| finding.repair.as_ref()) {
        match repair {
            Repair::Chmod(path, bits) => out.note(chmod(path, *bits)),
            Repair::Edit(edit) => edits.push(edit.clone()),
            Repair::Token => {
                let token = Value::from(entropy::token());
                edits.push(Edit::Set("gateway.auth.token".to_owned(), token));
            }
            Repair::LastGood => out.note(last_good(here)),
            Repair::Documents => documents_too = true,
            Repair::Service => service_too = true,
        }
    }
    if !edits.is_empty() {
        match edit(here, &edits) {
            Ok(done) => out.done.extend(done),
            Err(failed) => out.note(Err(failed)),
        }
    }
    if documents_too {
        out.note(mend_documents(here));
    }
    if service_too {
        match service::mend(here) {
            Ok(done) => out.done.extend(done),
            Err(failed) => out.note(Err(failed)),
        }
    }
    out
}

fn chmod(path: &Path, bits: u32) -> Result<String, Failed> {
    modes::set(path, bits).map_err(|error| {
        let what = format!("cannot change the mode of {}: {error}", path.display());
        Failed::new(what, format!("chmod {bits:o} {} as its owner", path.display()))
    })?;
    Ok(format!("chmod {bits:o} {}", path.display()))
}

/// A file of the configuration before it is written over.
fn keep(kept: Kept, here: &Here<'_>, real: &Path, bytes: &[u8]) -> Result<String, Failed> {
    let copy = kept.keep(&mut RealDisk, real, bytes, here.now_ms).map_err(|error| {
        let what =
            format!("nothing was changed: no copy of {} can be kept: {error}", real.display());
        Failed::new(what, "check the directory's owner and free space")
    })?;
    Ok(copy.display().to_string())
}

fn read(here: &Here<'_>) -> Result<(std::path::PathBuf, Vec<u8>), Failed> {
    let path = &here.paths.config_path;
    let read = || {
        let real = path.canonicalize()?;
        let bytes = place::read_capped(&real, crate::limits::CONFIG_BYTES)?;
        Ok((real, bytes))
    };
    read().map_err(|error: std::io::Error| {
        Failed::new(format!("cannot read {}: {error}", path.display()), "openclaw setup")
    })
}

fn write(real: &Path, bytes: &[u8]) -> Result<(), Failed> {
    RealDisk.replace(real, bytes).map_err(|error| {
        let what = format!("cannot write {}: {error}", real.display());
        Failed::new(what, "check the directory's owner and free space")
    })
}

/// The edits, as one write. What they come to must have less that is wrong with it than before.
fn edit(here: &Here<'_>, edits: &[Edit]) -> Result<Vec<String>, Failed> {
    let (real, before) = read(here)?;
    let text = String::from_utf8(before.clone()).map_err(|_| {
        Failed::new(format!("{} is not UTF-8", real.display()), "openclaw config validate")
    })?;
    let (after, mut done) = edited(&text, edits);
    if after == text {
        return Ok(Vec::new());
    }
    let files = place::Files::new();
    let issues = |text: &str| match load::check(&files, &here.env, &here.paths, text) {
        Ok(_) => 0,
        Err(error) => error.issues.len(),
    };
    let (was, is) = (issues(&text), issues(&after));
    if is > 0 && is >= was {
        let what = format!("{} was left as it is: the edits would not mend it", real.display());
        return Err(Failed::new(what, "openclaw config validate"));
    }
    let copy = keep(Kept::Backup, here, &real, &before)?;
    write(&real, after.as_bytes())?;
    done.push(format!("wrote {} (before: {copy})", real.display()));
    Ok(done)
}

/// The text with each edit that can be made, and what was done.
fn edited(text: &str, edits: &[Edit]) -> (String, Vec<String>) {
    let (mut text, mut done) = (text.to_owned(), Vec::new());
    for edit in edits {
        let after = match edit {
            Edit::Set(path, value) => {
                steps(path).and_then(|at| json5::set(&text, &at, &value.to_string()).ok())
            }
            Edit::Remove(path) => steps(path).and_then(|at| json5::remove(&text, &at).ok()),
            Edit::Move(from, to) => moved(&text, from, to),
            Edit::Nest(path, name) => nested(&text, path, name),
        };
        let Some(after) = after else { continue };
        text = after;
        done.push(match edit {
            // The value may be a secret.
            Edit::Set(path, _) => format!("set {path}"),
            Edit::Remove(path) => format!("removed {path}"),
            Edit::Move(from, to) => format!("moved {from} to {to}"),
            Edit::Nest(path, name) => format!("moved {path} to {path}.{name}"),
        });
    }
    (text, done)
}

fn moved(text: &str, from: &str, to: &str) -> Option<String> {
    let (from, to) = (steps(from)?, steps(to)?);
    let document = json5::parse(text).ok()?;
    let node = document.at(&from)?;
    let taken = document.at(&to).is_some();
    let value = text.get(node.span.start..node.span.end)?;
    // What stands at the new place was written by somebody who knew it.
    let text = if taken { text.to_owned() } else { json5::set(text, &to, value).ok()? };
    json5::remove(&text, &from).ok()
}

fn nested(text: &str, path: &str, name: &str) -> Option<String> {
    let at = steps(path)?;
    let document = json5::parse(text).ok()?;
    let node = document.at(&at)?;
    let word = match text.get(node.span.start..node.span.end)?.trim() {
        "true" => "\"partial\"",
        "false" => "\"off\"",
        word if word.starts_with(['"', '\'']) => word,
        _ => return None,
    };
    json5::set(text, &at, &format!("{{ {name}: {word} }}")).ok()
}

fn steps(path: &str) -> Option<Vec<Step>> {
    parse_path(path).filter(|steps| !steps.is_empty())
}

/// The last file that a gateway ran with in place of the damaged one.
fn last_good(here: &Here<'_>) -> Result<String, Failed> {
    let (real, before) = read(here)?;
    let good = copies::last_good(&here.paths.config_path);
    let bytes = place::read_capped(&good, crate::limits::CONFIG_BYTES).map_err(|error| {
        Failed::new(format!("cannot read {}: {error}", good.display()), "openclaw config validate")
    })?;
    let text = String::from_utf8_lossy(&bytes);
    let files = place::Files::new();
    if load::check(&files, &here.env, &here.paths, &text).is_err() {
        let what = format!("{} is not valid either", good.display());
        return Err(Failed::new(what, "openclaw config validate"));
    }
    let copy = keep(Kept::Clobbered, here, &real, &before)?;
    write(&real, &bytes)?;
    Ok(format!("put {} back as {} (the damaged one: {copy})", good.display(), real.display()))
}

fn mend_documents(here: &Here<'_>) -> Result<String, Failed> {
    let _lock = belongings::take(here.args, &here.paths.state_dir, "this repair")?;
    documents::mend(here).map_err(|error| {
        Failed::new(format!("a document cannot be mended: {error}"), "openclaw doctor")
    })?;
    Ok("read the documents again: what was damaged is kept beside them".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "// mine\n{\n  gateway: { port: 1, token: \"old\" }, // here\n  \
                        session: { idleMinutes: 30 },\n  tui: {},\n}\n";

    fn go(edits: &[Edit]) -> (String, Vec<String>) {
        edited(TEXT, edits)
    }

    #[test]
    fn comments_stay_and_values_move_as_they_are() {
        let to = |from: &str, to: &str| Edit::Move(from.to_owned(), to.to_owned());
        let (text, done) = go(&[
            to("gateway.token", "gateway.auth.token"),
            to("session.idleMinutes", "session.reset.idleMinutes"),
            Edit::Remove("tui".to_owned()),
            Edit::Set("gateway.mode".to_owned(), "local".into()),
            to("not.there", "gateway.port"),
        ]);
        assert_eq!(done.len(), 4, "{done:?}");
        assert!(text.starts_with("// mine\n") && text.contains("// here"), "{text}");
        let value = json5::parse(&text).unwrap().root.to_value();
        let want = serde_json::json!({
            "gateway": {"port": 1, "auth": {"token": "old"}, "mode": "local"},
            "session": {"reset": {"idleMinutes": 30}},
        });
        assert_eq!(value, want, "{text}");
    }

    #[test]
    fn what_stands_at_the_new_place_wins_and_no_value_is_said() {
        let both = "{gateway: {token: 'old', auth: {token: 'new'}}}";
        let edit = Edit::Move("gateway.token".to_owned(), "gateway.auth.token".to_owned());
        let (text, done) = edited(both, &[edit]);
        assert!(text.contains("'new'") && !text.contains("'old'"), "{text}");
        assert_eq!(done, ["moved gateway.token to gateway.auth.token"]);
        let set = Edit::Set("gateway.auth.token".to_owned(), "hush".into());
        assert_eq!(edited(both, &[set]).1, ["set gateway.auth.token"]);
    }
}
