//! `models.list`.

use super::super::Gateway;
use super::super::runs::{ECHO, candidate, candidates, context_window};
use super::{Params, text};
use crate::agent::run::Via;
use crate::wire::url::Url;
use serde_json::{Value, json};

impl Gateway {
    /// Name and context window of what an agent asks first.
    pub(in crate::gateway) fn default_model(&self, agent: &str) -> (String, Value) {
        match candidates(&self.config, agent, None).first() {
            Some(first) => {
                let window = context_window(&self.config, &first.provider, &first.model);
                (format!("{}/{}", first.provider, first.model), window)
            }
            None => (format!("{}/{}", ECHO.0, ECHO.1), Value::Null),
        }
    }

    /// `models.list {view?, agentId?}`: the configured models, and the embedded one when it is
    /// what answers.
    pub(in crate::gateway) fn models_list(&self, params: &Params) -> Value {
        let agent = text(params, "agentId").unwrap_or(self.config.agents.default_agent());
        let (default, _) = self.default_model(agent);
        let off = json!([{"id": "off", "label": "off"}]);
        let mut models = Vec::new();
        for (provider_id, provider) in &self.config.models.providers {
            let local = Url::parse(&provider.base_url)
                .is_ok_and(|url| matches!(url.host.as_str(), "localhost" | "127.0.0.1" | "::1"));
            for model in &provider.models {
                let full = format!("{provider_id}/{}", model.id);
                let callable = !matches!(candidate(&self.config, &full).via, Via::Broken(_));
                let mut row = json!({
                    "id": model.id, "name": model.name, "provider": provider_id,
                    "contextWindow": model.context_window, "input": model.input,
                    "reasoning": model.reasoning, "thinkingLevels": off, "thinkingDefault": "off",
                    "available": callable,
                });
                if local {
                    row["local"] = json!(true);
                }
                if full == default {
                    row["tags"] = json!(["default"]);
                }
                models.push(row);
            }
        }
        let echo = format!("{}/{}", ECHO.0, ECHO.1);
        if default == echo || models.is_empty() {
            models.push(json!({
                "id": ECHO.1, "name": "Echo (wiring check, no model)", "provider": ECHO.0,
                "contextWindow": crate::limits::ECHO_CHARS, "input": ["text"], "reasoning": false,
                "local": true, "thinkingLevels": off, "thinkingDefault": "off",
                "available": true, "tags": if default == echo { json!(["default"]) } else { json!([]) },
            }));
        }
        json!({"models": models})
    }
}
