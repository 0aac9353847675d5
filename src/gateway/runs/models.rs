//! Which models a run may ask, in order.

use super::super::Gateway;
use crate::agent::provider::Endpoint;
use crate::agent::run::{Candidate, Via};
use crate::config::Config;
use serde_json::{Value, json};

/// Whether `provider/model` (or an alias) can be asked.
pub(in crate::gateway) fn model_exists(config: &Config, name: &str) -> bool {
    !matches!(candidate(config, name).via, Via::Broken(_))
}

/// The embedded model.
pub(in crate::gateway) const ECHO: (&str, &str) = ("local", "echo");

/// A model by its configured name.
pub(in crate::gateway) fn candidate(config: &Config, name: &str) -> Candidate {
    let alias = config.agents.defaults.aliases.iter().find(|(_, alias)| alias.as_str() == name);
    let full = alias.map_or(name, |(full, _)| full.as_str());
    let (provider, model) = full.split_once('/').unwrap_or(("", full));
    let via = match config.models.provider(provider) {
        _ if (provider, model) == ECHO => Via::Echo,
        Some(found) => match Endpoint::new(provider, found, model) {
            Ok(endpoint) => Via::Http(Box::new(endpoint)),
            Err(why) => Via::Broken(why),
        },
        None => Via::Broken(format!(
            "model \"{name}\": no provider \"{provider}\" under models.providers; \
             add it or set agents.defaults.model.primary to another"
        )),
    };
    Candidate { provider: provider.to_owned(), model: model.to_owned(), via }
}

/// What an agent's runs try, in order.
pub(in crate::gateway) fn candidates(
    config: &Config,
    agent: &str,
    model: Option<&str>,
) -> Vec<Candidate> {
    if let Some(model) = model {
        return vec![candidate(config, model)];
    }
    let choice = config.agents.model_of(agent);
    let Some(primary) = &choice.primary else {
        let (provider, model) = ECHO;
        return vec![candidate(config, &format!("{provider}/{model}"))];
    };
    std::iter::once(primary).chain(&choice.fallbacks).map(|name| candidate(config, name)).collect()
}

/// Tokens a model takes, `null` when nobody said.
pub(in crate::gateway) fn context_window(config: &Config, provider: &str, model: &str) -> Value {
    config.models.model(provider, model).map_or(Value::Null, |known| json!(known.context_window))
}

impl Gateway {
    /// What the configuration allows the first candidate to answer, if it says so.
    pub(super) fn max_tokens(&self, candidates: &[Candidate]) -> Option<u64> {
        let first = candidates.first()?;
        let model = self.config.models.model(&first.provider, &first.model);
        model.map(|model| model.max_tokens)
    }

    /// Puts each candidate's keys into the order in which they may be tried; one without any
    /// that may be tried cannot be asked.
    pub(in crate::gateway) fn arrange_keys(&self, candidates: &mut [Candidate]) {
        for Candidate { provider, model, via } in candidates {
            if let Via::Http(endpoint) = via
                && let Err(why) =
                    self.keyring.arrange(self.now.time, provider, model, &mut endpoint.keys)
            {
                *via = Via::Broken(why);
            }
        }
    }
}
