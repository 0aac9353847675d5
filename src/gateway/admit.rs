//! The one judgement of every door: who is this caller, and may it do this.
//!
//! ```text
//!  head --attribute--> Source --decide(host, origin)--> browser?
//!       --admit--> Identity (proof, ceiling) --operations table--> the door's handler
//! ```
//!
//! HTTP doors, the WebSocket handshake and hooks come through here, so that no door checks what
//! another does not.

use super::Gateway;
use crate::api::{self, Reply};
use crate::auth::identity::Identity;
use crate::auth::limiter::Shown;
use crate::auth::source::Source;
use crate::protocol::operations::Operation;
use crate::wire::http::head::Head;
use serde_json::Map;

impl Gateway {
    /// Who asks over HTTP, and whether it may do what the door does; guesses are counted.
    pub(super) fn admit(
        &mut self,
        source: &Source,
        head: &Head,
        operation: &Operation,
    ) -> Result<Identity, Reply> {
        self.may_guess(source, Shown::Secret, head.bearer().is_some())
            .map_err(|wait_ms| api::too_many_attempts(head.path(), wait_ms))?;
        let judged = self.judge_bearer(source, head, operation);
        self.guessed_bearer(source, head, &judged);
        judged
    }

    /// Who asks over HTTP, by its bearer; and whether it may do what the door does.
    fn judge_bearer(
        &mut self,
        source: &Source,
        head: &Head,
        operation: &Operation,
    ) -> Result<Identity, Reply> {
        let Some(identity) = self.bearer_identity(source, head.bearer()) else {
            return Err(api::unauthorized());
        };
        // Another model than the agent's is the owner's to choose (GHSA-jhfx-v2j8-x3m6).
        let model = head.headers.get("x-openclaw-model").map(|_| "operator.admin");
        let scope = operation.needs(&Map::new());
        match scope.into_iter().chain(model).find(|scope| !identity.holds(scope)) {
            Some(scope) => Err(api::missing_scope(scope)),
            None => Ok(identity),
        }
    }
}
