//! The service that starts the gateway: does it say what it should.

use super::super::{Failed, service_look};
use super::finding::{Finding, Repair, Severity};
use super::here::Here;
use crate::service::audit::{self, Weight};
use serde_json::Value;

const SERVICE: &str = "core/doctor/gateway-daemon";

/// `core/doctor/gateway-daemon`. `--deep` looks for those of the machine, too.
pub fn check(here: &Here<'_>) -> Vec<Finding> {
    let Ok(loaded) = &here.loaded else { return Vec::new() };
    let mut all = Vec::new();
    for one in service_look::audit(&here.paths, loaded) {
        let path = one.found.path.display().to_string();
        let mend = |it: &audit::Finding| service_look::mendable(it, &one.found);
        all.extend(one.findings.iter().map(|it| judge(it, &path, mend(it))));
    }
    if here.args.has("deep") {
        let extra = service_look::look(&here.paths, loaded, true).extra;
        all.extend(extra.iter().map(another));
    }
    all
}

/// Writes the definitions that differ again.
///
/// # Errors
/// When one cannot be made or written.
pub fn mend(here: &Here<'_>) -> Result<Vec<String>, Failed> {
    let Ok(loaded) = &here.loaded else { return Ok(Vec::new()) };
    let mut done = Vec::new();
    for one in service_look::audit(&here.paths, loaded) {
        if one.findings.iter().any(|it| service_look::mendable(it, &one.found)) {
            done.extend(service_look::repair(&here.paths, loaded, &one)?);
        }
    }
    Ok(done)
}

fn judge(drift: &audit::Finding, path: &str, mendable: bool) -> Finding {
    let message = match &drift.detail {
        Some(detail) => format!("{} ({detail}).", drift.message),
        None => format!("{}.", drift.message),
    };
    let severity = match drift.weight {
        Weight::Recommended => Severity::Warning,
        Weight::Wrong => Severity::Error,
    };
    let found = Finding::new(SERVICE, severity, message).at(path);
    if mendable {
        let hint = "openclaw doctor --fix, or: openclaw gateway install --force";
        return found.hint(hint).repair(Repair::Service);
    }
    found.hint("mend what is named there, then: openclaw gateway install --force")
}

fn another(other: &Value) -> Finding {
    let text = |name: &str| other[name].as_str();
    let label = text("label").unwrap_or("another service");
    let message = format!("{label} also starts a gateway on this machine.");
    let place = text("path").or(text("detail")).unwrap_or_default();
    let found = Finding::new(SERVICE, Severity::Warning, message).at(place);
    found.hint("stop and disable the one that is not wanted")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_says_whether_a_repair_mends_it() {
        let drift = audit::Finding {
            code: "gateway-port-mismatch",
            message: "The service names another port".to_owned(),
            detail: Some("1 -> 2".to_owned()),
            weight: Weight::Wrong,
        };
        let found = judge(&drift, "/u/x.service", true);
        assert_eq!(found.message, "The service names another port (1 -> 2).");
        assert_eq!((found.severity, found.repair), (Severity::Error, Some(Repair::Service)));
        assert_eq!(judge(&drift, "/u/x.service", false).repair, None);
        let other = another(&serde_json::json!({"label": "old.service", "detail": "unit: /e/o"}));
        assert!(other.message.starts_with("old.service also") && other.place == "unit: /e/o");
    }
}
