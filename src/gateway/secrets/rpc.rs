//! `secrets.reload`, and who the owner of a reference is.

use super::super::Gateway;
use super::super::socket::Answer;
use super::Waiter;
use crate::config::secrets::BoundRef;
use crate::driver::{ConnId, Effects};
use crate::wire::json5::Step;

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
