//! Secrets: references that stand for nothing, and secrets that are written out.

use super::super::secrets::audit;
use super::finding::{Finding, Severity};
use super::here::Here;
use serde_json::Value;

const SECRETS: &str = "core/doctor/secret-refs";

/// `core/doctor/secret-refs`. Programs are asked only with `--allow-exec`.
pub fn check(here: &Here<'_>) -> Vec<Finding> {
    let found = audit::findings(&here.config, &here.paths, here.args.has("allow-exec"));
    judge(&found, &here.command("secrets audit"))
}

fn judge(found: &[Value], audit: &str) -> Vec<Finding> {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let error = |one: &&Value| one["severity"] == "error";
    let mut all: Vec<Finding> = found
        .iter()
        .filter(error)
        .map(|one| {
            let place = text(one, "jsonPath");
            let place = if place.is_empty() { text(one, "file") } else { place };
            let found = Finding::new(SECRETS, Severity::Error, text(one, "message")).at(place);
            found.hint(format!("{audit}, then: openclaw secrets reload"))
        })
        .collect();
    let plain = found.iter().filter(|one| !error(one)).count();
    if plain > 0 {
        let message = format!(
            "{plain} secrets are written out in files; a SecretRef or ${{VAR}} keeps them elsewhere."
        );
        all.push(Finding::new(SECRETS, Severity::Info, message).hint(audit));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_stands_for_nothing_is_an_error_and_plain_text_is_counted() {
        let found = [
            json!({"code": "REF_UNRESOLVED", "severity": "error", "file": "/c", "jsonPath": "a.b",
                "message": "X is not set"}),
            json!({"code": "PLAINTEXT_FOUND", "severity": "warn", "file": "/c", "jsonPath": "c",
                "message": "c is stored as plaintext."}),
        ];
        let all = judge(&found, "openclaw secrets audit");
        assert_eq!((all[0].severity, all[0].place.as_str()), (Severity::Error, "a.b"));
        assert_eq!(all[1].severity, Severity::Info);
        assert!(all[1].message.starts_with("1 secrets"), "{all:?}");
        assert_eq!(judge(&[], ""), []);
    }
}
