//! `secrets.reload`, `secrets.resolve`, and who the owner of a reference is.

use super::super::Gateway;
use super::super::socket::Answer;
use super::Waiter;
use crate::config::secrets::BoundRef;
use crate::driver::{ConnId, Effects};
use crate::protocol::error::ErrorShape;
use crate::wire::json5::Step;
use serde_json::{Map, Value, json};

/// What commands may have resolved for them: what they show to other servers themselves. What
/// lets callers into this gateway, and what it shows to providers, is handed to nobody.
const HANDED_OUT: [&str; 3] =
    ["gateway.remote.token", "gateway.remote.password", "memory.search.remote.apiKey"];

impl Gateway {
    /// `secrets.reload`: answered when every program was.
    pub(in crate::gateway) fn secrets_reload(
        &mut self,
        conn: ConnId,
        request: &str,
        fx: &mut Effects,
    ) -> Answer {
        self.want_secrets(Waiter { request: Some((conn, request.to_owned())) }, fx);
        Answer::Handled
    }

    /// `secrets.resolve`: the secrets behind the references at these places, from the snapshot
    /// in force; only for an admin, and only of [`HANDED_OUT`].
    pub(in crate::gateway) fn secrets_resolve(
        &self,
        params: &Map<String, Value>,
    ) -> Result<Answer, ErrorShape> {
        let bad = |name: &str| ErrorShape::params("secrets.resolve", name);
        let command = params.get("commandName").and_then(Value::as_str);
        if command.is_none_or(|name| name.trim().is_empty()) {
            return Err(bad("commandName"));
        }
        let targets = params.get("targetIds").and_then(Value::as_array);
        let targets = targets.ok_or_else(|| bad("targetIds"))?;
        let listed = |name: &str, path: &str| {
            let list = params.get(name).and_then(Value::as_array);
            list.map(|list| list.iter().any(|one| one.as_str() == Some(path)))
        };
        let (mut assignments, mut diagnostics, mut inactive) = (vec![], vec![], vec![]);
        for target in targets.iter().filter_map(Value::as_str) {
            if !HANDED_OUT.contains(&target) {
                let shown = crate::wire::text::escape_log(target, 120);
                diagnostics.push(format!("{shown}: this gateway hands out no such secret"));
                continue;
            }
            for one in self.config.secrets.iter().filter(|one| one.pattern == target) {
                if listed("allowedPaths", &one.path) == Some(false) {
                    continue;
                }
                match (&one.value, &one.why) {
                    (Some(secret), _) => assignments.push(json!({
                        "path": one.path, "pathSegments": segments(one), "value": secret.expose(),
                    })),
                    (None, Some(why)) if one.inactive.is_none() => {
                        diagnostics.push(format!("{}: {why}", one.path));
                    }
                    (None, _) => inactive.push(one.path.clone()),
                }
            }
        }
        Ok(Answer::Value(json!({
            "ok": true, "assignments": assignments, "diagnostics": diagnostics,
            "inactiveRefPaths": inactive,
        })))
    }
}

fn segments(one: &BoundRef) -> Vec<String> {
    let text = |step: &Step| match step {
        Step::Key(key) => key.clone(),
        Step::Index(index) => index.to_string(),
    };
    one.steps.iter().map(text).collect()
}

/// Kind and id of whom a secret belongs to.
pub(super) fn owner(one: &BoundRef) -> (&'static str, String) {
    let key = |at: usize| match one.steps.get(at) {
        Some(Step::Key(key)) => key.clone(),
        _ => String::new(),
    };
    match key(0).as_str() {
        "models" => ("model-provider", key(2)),
        "skills" => ("skill", key(2)),
        "gateway" => ("gateway", format!("{}.{}", key(1), key(2))),
        "hooks" => ("hooks", "token".to_owned()),
        "memory" => ("memory", "search".to_owned()),
        "tools" => ("tool", "web.fetch".to_owned()),
        other => ("config", other.to_owned()),
    }
}
