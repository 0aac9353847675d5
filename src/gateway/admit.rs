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
use crate::auth::Verdict;
use crate::auth::identity::{Identity, Proof};
use crate::auth::limiter::Shown;
use crate::auth::source::Source;
use crate::config::AuthMode;
use crate::wire::http::head::Head;

impl Gateway {
    /// Who asks over HTTP, and whether it may do what the door does; guesses are counted.
    pub(super) fn admit(
        &mut self,
        source: &Source,
        head: &Head,
        scope: Option<&str>,
    ) -> Result<Identity, Reply> {
        self.may_guess(source, Shown::Secret, head.bearer().is_some())
            .map_err(|wait_ms| api::too_many_attempts(head.path(), wait_ms))?;
        let judged = self.judge_bearer(source, head, scope);
        self.guessed_bearer(source, head, &judged);
        judged
    }

    /// Who asks over HTTP, by its bearer; and whether it may do what the door does.
    fn judge_bearer(
        &mut self,
        _source: &Source,
        head: &Head,
        scope: Option<&str>,
    ) -> Result<Identity, Reply> {
        if self.credentials.check(head.bearer()) != Verdict::Granted {
            return Err(api::unauthorized());
        }
        let proof = match self.credentials.mode {
            AuthMode::None => Proof::Open,
            _ => Proof::Secret,
        };
        let identity = Identity::full(proof);
        match scope {
            Some(scope) if !identity.holds(scope) => Err(api::missing_scope(scope)),
            _ => Ok(identity),
        }
    }
}
