//! The OpenAI-compatible surface. Models are agents: `openclaw`, `openclaw/default`,
//! `openclaw/<agentId>`.

pub mod chat;

use super::{Reply, error};
use crate::config::Config;
use serde_json::{Value, json};

/// `invalid_request_error` with a status.
pub fn invalid(status: u16, message: &str) -> Reply {
    error(status, "invalid_request_error", message)
}

/// The agent a `model` names: `None` when it names none, the id otherwise (not checked to exist).
pub fn agent_of_model<'a>(model: &'a str, config: &'a Config) -> Option<&'a str> {
    match model.strip_prefix("openclaw") {
        Some("" | "/default") => Some(config.agents.default_agent()),
        Some(rest) => rest.strip_prefix('/').filter(|id| !id.is_empty()),
        None => None,
    }
}

fn model_object(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 0, "owned_by": "openclaw", "permission": []})
}

/// `GET /v1/models`.
pub fn models(config: &Config) -> Reply {
    let mut data = vec![model_object("openclaw"), model_object("openclaw/default")];
    data.extend(
        config.agents.agent_ids().into_iter().map(|id| model_object(&format!("openclaw/{id}"))),
    );
    Reply::json(200, &json!({"object": "list", "data": data}))
}

/// `GET /v1/models/{id}`.
pub fn model(id: &str, config: &Config) -> Reply {
    match agent_of_model(id, config) {
        None => invalid(400, "Invalid model id."),
        Some(agent) if config.agents.has(agent) => Reply::json(200, &model_object(id)),
        Some(_) => invalid(404, &format!("Model '{id}' not found.")),
    }
}

/// A disabled endpoint: says which key turned it off.
pub fn disabled(key: &str) -> Reply {
    invalid(404, &format!("this endpoint is disabled; set {key}=true in openclaw.json"))
}
