//! The service that starts the gateway: does it say what it should.

use super::super::{Failed, service_look};
use super::finding::{Finding, Repair, Severity};
use super::here::Here;
use serde_json::Value;

const SERVICE: &str = "core/doctor/gateway-daemon";

/// `core/doctor/gateway-daemon`.
pub fn check(here: &Here<'_>) -> Vec<Finding> {
    let Ok(loaded) = &here.loaded else { return Vec::new() };
    let deep = here.args.has("deep");
    let service = service_look::look(&here.paths, loaded, deep);
    let mut all = judge(&service.json);
    for other in &service.extra {
        let label = other["label"].as_str().unwrap_or("another service");
        let place = other["path"].as_str().or(other["detail"].as_str()).unwrap_or_default();
        let message = format!("{label} also starts a gateway on this machine.");
        let found = Finding::new(SERVICE, Severity::Warning, message).at(place);
        all.push(found.hint("stop and disable the one that is not wanted"));
    }
    all
}

/// Writes the definition again.
///
/// # Errors
/// When it cannot be made or written.
pub fn mend(_here: &Here<'_>) -> Result<Vec<String>, Failed> {
    Ok(Vec::new())
}

/// Issues of the audit, as `gateway status --json` has them.
fn judge(service: &Value) -> Vec<Finding> {
    let issues = service["configAudit"]["issues"].as_array();
    let place = service["sourcePath"].as_str().or(service["label"].as_str()).unwrap_or_default();
    let one = |issue: &Value| {
        let text = |name: &str| issue[name].as_str();
        let message = text("message").or(text("code")).unwrap_or("it differs").to_owned();
        let message = match text("detail") {
            Some(detail) => format!("{message} ({detail})"),
            None => message,
        };
        let severity = match text("level") {
            Some("recommended") | None => Severity::Warning,
            Some(_) => Severity::Error,
        };
        let found = Finding::new(SERVICE, severity, message).at(place);
        found
            .hint("openclaw doctor --fix, or: openclaw gateway install --force")
            .repair(Repair::Service)
    };
    issues.into_iter().flatten().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_difference_is_a_finding_that_can_be_mended() {
        let service = json!({"label": "openclaw-gateway.service", "configAudit": {"ok": false,
            "issues": [{"code": "gateway-port-mismatch", "message": "another port",
                "detail": "1 -> 2", "level": "aggressive"}, {"code": "x"}]}});
        let found = judge(&service);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].message, "another port (1 -> 2)");
        assert_eq!(found[0].repair, Some(Repair::Service));
        assert_eq!(judge(&json!({"configAudit": {"ok": true, "issues": []}})), []);
    }
}
