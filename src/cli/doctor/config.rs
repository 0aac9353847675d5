//! The configuration: is it there, can it be read, is every key one, may a gateway start with it.

use super::finding::{Edit, Finding, Repair, Severity};
use super::here::Here;
use super::legacy;
use crate::config::load::ErrorKind;
use crate::config::{Issue, Mode};
use crate::store::copies;

const VALID: &str = "core/doctor/final-config-validation";
const MODE: &str = "core/doctor/gateway-config";
/// Issues that are listed one by one.
const SHOWN: usize = 50;
/// How validation begins to speak of a key that is none.
const UNKNOWN: &str = "unknown key";

/// `core/doctor/final-config-validation`.
pub fn validation(here: &Here<'_>) -> Vec<Finding> {
    let validate = here.command("config validate");
    let error = match &here.loaded {
        Ok(loaded) => return warnings(&loaded.config.warnings, &validate),
        Err(error) => error,
    };
    let root = &here.paths.config_path;
    if matches!(error.kind, ErrorKind::Io | ErrorKind::Syntax) {
        let good = copies::last_good(root);
        let mut found = issues(&error.issues, &validate, |_| None);
        if good.is_file()
            && let Some(first) = found.first_mut()
        {
            first.hint = format!(
                "mend the file, or put back the last good one ({}): {}",
                good.display(),
                here.command("doctor --fix")
            );
            first.repair = Some(Repair::LastGood);
        }
        return found;
    }
    let include = |issue: &Issue| issue.file != *root;
    issues(&error.issues, &validate, |issue| if include(issue) { None } else { repair(issue) })
}

/// What a rename or a removal can mend; a key that is spelt almost right is the user's to mend.
fn repair(issue: &Issue) -> Option<(String, Repair)> {
    if let Some(edit) = legacy::edit(&issue.path) {
        let what = match &edit {
            Edit::Move(_, to) => format!("is now {to}; move it"),
            Edit::Nest(path, name) => format!("is now {path}.{name}; move it"),
            _ => "was retired; remove it".to_owned(),
        };
        return Some((what, Repair::Edit(edit)));
    }
    let spare = issue.message.starts_with(UNKNOWN) && !issue.message.contains("did you mean");
    spare.then(|| ("remove it".to_owned(), Repair::Edit(Edit::Remove(issue.path.clone()))))
}

fn issues(
    all: &[Issue],
    validate: &str,
    repair: impl Fn(&Issue) -> Option<(String, Repair)>,
) -> Vec<Finding> {
    let one = |issue: &Issue| {
        let place = if issue.path.is_empty() {
            issue.file.display().to_string()
        } else {
            issue.path.clone()
        };
        let mut found = Finding::new(VALID, Severity::Error, issue.message.clone()).at(place);
        found.at = (issue.line > 0).then_some((issue.line, issue.column));
        found.hint = format!("edit {}, then: {validate}", issue.file.display());
        if let Some((what, repair)) = repair(issue) {
            found.hint = format!("{what}: openclaw doctor --fix");
            found.repair = Some(repair);
        }
        found
    };
    let mut found: Vec<Finding> = all.iter().take(SHOWN).map(one).collect();
    if all.len() > SHOWN {
        let message = format!("{} more issues are not listed", all.len() - SHOWN);
        found.push(Finding::new(VALID, Severity::Error, message).hint(validate));
    }
    found
}

/// Keys that have no effect: one line for all of them.
fn warnings(all: &[Issue], validate: &str) -> Vec<Finding> {
    let Some(first) = all.first() else { return Vec::new() };
    let message = match all.len() {
        1 => first.message.clone(),
        more => format!("{more} keys are accepted but not acted on, or doubtful"),
    };
    vec![Finding::new(VALID, Severity::Info, message).at(first.path.clone()).hint(validate)]
}

/// `core/doctor/gateway-config`: may a gateway start.
pub fn mode(here: &Here<'_>) -> Vec<Finding> {
    let Ok(loaded) = &here.loaded else { return Vec::new() };
    let gateway = &loaded.config.gateway;
    if !loaded.config.source.exists {
        let message = "there is no configuration file; gateway start will be blocked.";
        let place = here.paths.config_path.display().to_string();
        let found = Finding::new(MODE, Severity::Warning, message).at(place);
        return vec![found.hint(here.command("setup"))];
    }
    let set = here.command("config set gateway.mode local");
    match gateway.mode {
        Some(Mode::Local) => Vec::new(),
        Some(Mode::Remote) => {
            let message = "gateway.mode is remote: commands ask the gateway of gateway.remote.url, \
                           and none starts here.";
            let found = Finding::new(MODE, Severity::Info, message).at("gateway.mode");
            vec![found.hint(format!("to run one here: {set}"))]
        }
        None => {
            let message = "gateway.mode is unset; gateway start will be blocked.";
            let found = Finding::new(MODE, Severity::Warning, message).at("gateway.mode").hint(set);
            // With a remote address it may have been meant the other way.
            vec![match gateway.remote {
                None => {
                    found.repair(Repair::Edit(Edit::Set("gateway.mode".into(), "local".into())))
                }
                Some(_) => found,
            }]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(path: &str, message: &str) -> Issue {
        let (line, column, file) = (3, 5, std::path::PathBuf::from("/c/openclaw.json"));
        Issue { path: path.to_owned(), message: message.to_owned(), file, line, column }
    }

    #[test]
    fn a_typing_slip_is_the_users_to_mend_and_a_stray_key_goes() {
        let near = issue("gateway.prot", "unknown key; did you mean gateway.port?");
        assert_eq!(repair(&near), None);
        let stray = issue("blorb", "unknown key; valid keys here begin with: gateway");
        let removed = Repair::Edit(Edit::Remove("blorb".to_owned()));
        assert_eq!(repair(&stray).map(|(_, repair)| repair), Some(removed));
        let moved = issue("gateway.token", "unknown key; did you mean gateway.auth.token?");
        assert!(matches!(repair(&moved), Some((_, Repair::Edit(Edit::Move(..))))));
        assert_eq!(repair(&issue("gateway.port", "expected a number")), None);
    }

    #[test]
    fn each_issue_says_where_and_a_flood_is_counted() {
        let all = vec![issue("gateway.port", "expected a number"); SHOWN + 7];
        let found = issues(&all, "openclaw config validate", |_| None);
        assert_eq!(found.len(), SHOWN + 1);
        assert_eq!((found[0].place.as_str(), found[0].at), ("gateway.port", Some((3, 5))));
        assert!(found[SHOWN].message.starts_with("7 more"), "{found:?}");
    }
}
