//! The OpenAI-compatible surface. Models are agents: `openclaw`, `openclaw/default`,
//! `openclaw/<agentId>`.

pub mod chat;

use super::{Reply, error};
use crate::config::Config;
use crate::protocol::frame::write_json;

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

/// One model. Written without a tree: clients ask for the list before every request.
fn write_model(out: &mut Vec<u8>, id: &str) {
    out.extend_from_slice(br#"{"id":"#);
    write_json(out, id);
    out.extend_from_slice(
        br#","object":"model","created":0,"owned_by":"openclaw","permission":[]}"#,
    );
}

/// `GET /v1/models`.
pub fn models(config: &Config) -> Reply {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(br#"{"object":"list","data":["#);
    write_model(&mut out, "openclaw");
    out.push(b',');
    write_model(&mut out, "openclaw/default");
    for id in config.agents.agent_ids() {
        out.push(b',');
        write_model(&mut out, &format!("openclaw/{id}"));
    }
    out.extend_from_slice(b"]}");
    Reply::raw(200, out)
}

/// `GET /v1/models/{id}`.
pub fn model(id: &str, config: &Config) -> Reply {
    match agent_of_model(id, config) {
        None => invalid(400, "Invalid model id."),
        Some(agent) if config.agents.has(agent) => {
            let mut out = Vec::with_capacity(128);
            write_model(&mut out, id);
            Reply::raw(200, out)
        }
        Some(_) => invalid(404, &format!("Model '{id}' not found.")),
    }
}

/// A disabled endpoint: says which key turned it off.
pub fn disabled(key: &str) -> Reply {
    invalid(404, &format!("this endpoint is disabled; set {key}=true in openclaw.json"))
}
