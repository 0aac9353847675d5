//! Guesses at the doors: asked for before anything is compared, counted afterwards.
//!
//! Every door that takes a credential comes through [`Gateway::may_guess`] and
//! [`Gateway::guessed`]: bearers in [`super::admit`], hook tokens in `http::hooks`, all that a
//! `connect` shows in `connect::guess`. What an address used up at one door is used up at all.

use super::Gateway;
use crate::api::Reply;
use crate::auth::identity::{Identity, Proof};
use crate::auth::limiter::{Key, Shown};
use crate::auth::source::Source;
use crate::config::AuthMode;
use crate::wire::http::head::Head;

impl Gateway {
    /// Whether what a request shows may be compared; `shows` is false when it shows nothing.
    ///
    /// # Errors
    /// The milliseconds to wait.
    pub(super) fn may_guess(
        &mut self,
        source: &Source,
        shown: Shown,
        shows: bool,
    ) -> Result<(), u64> {
        if !shows || self.is_exempt(source, shown) {
            return Ok(());
        }
        let limit = self.config.gateway.auth.rate_limit;
        self.limiter.check(Key::of_source(source), shown, &limit, self.now.time)
    }

    /// What came of it: `None` when nothing was shown.
    pub(super) fn guessed(&mut self, source: &Source, shown: Shown, right: Option<bool>) {
        let Some(right) = right else { return };
        if self.is_exempt(source, shown) {
            return;
        }
        let key = Key::of_source(source);
        if right {
            return self.limiter.passed(key, shown);
        }
        let limit = self.config.gateway.auth.rate_limit;
        if self.limiter.failed(key, shown, &limit, self.now.time) {
            let (what, wait_ms) = match shown {
                Shown::Hook => ("hook tokens", crate::limits::HOOK_FAILURES_MS),
                _ => ("credentials", limit.lockout_ms),
            };
            log::warn!(target: "gateway/auth",
                "{} showed too many wrong {what}: refused for {} s (gateway.auth.rateLimit)",
                source.ip, wait_ms.div_ceil(1000));
        }
    }

    /// A bearer that was judged: 401 means that it was wrong, anything else that it was right.
    pub(super) fn guessed_bearer(
        &mut self,
        source: &Source,
        head: &Head,
        judged: &Result<Identity, Reply>,
    ) {
        if head.bearer().is_none() {
            return;
        }
        let (shown, right) = match judged {
            Ok(identity) => (kind(&identity.proof), true),
            Err(reply) => (Shown::Secret, reply.status != 401),
        };
        if right && judged.is_err() {
            return;
        }
        self.guessed(source, shown, Some(right));
    }

    /// Programs of this machine, unless the operator says else. A page is none of them, and
    /// hooks are meant for what is not of this machine. Without a secret there is none to guess.
    fn is_exempt(&self, source: &Source, shown: Shown) -> bool {
        if shown == Shown::Hook {
            return false;
        }
        let exempt = self.config.gateway.auth.rate_limit.exempt_loopback;
        self.credentials.mode == AuthMode::None || exempt && source.local && !source.browser
    }
}

/// What a proof was made by.
pub(super) fn kind(proof: &Proof) -> Shown {
    match proof {
        Proof::Open | Proof::Secret | Proof::Proxy { .. } => Shown::Secret,
        Proof::Device { .. } => Shown::Device,
        Proof::Setup { .. } => Shown::Setup,
    }
}
