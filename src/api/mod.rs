//! The HTTP doors: which path is what, what it takes to enter, and the shapes of the answers.
//!
//! Nothing here answers a socket: [`route`] names the door, `gateway::http` checks the caller
//! and feeds the door, the door returns a [`Reply`] or a request for a run.

pub mod external;
pub mod hooks;
pub mod invoke;
pub mod openai;
pub mod page;
pub mod probes;

use crate::config::Config;
use crate::limits;
use crate::protocol::NEWEST;
use crate::protocol::operations::{Operation, find};
use crate::wire::http::head::{Head, Method};
use crate::wire::http::respond::Response;
use crate::wire::url::percent_decode;
use serde_json::{Value, json};

/// A door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// `/health`, `/healthz`: the process is alive.
    Live,
    /// `/ready`, `/readyz`: it accepts work.
    Ready,
    /// `/startupz`.
    Startup,
    /// `GET /metrics`, and by the reference's path `/api/diagnostics/prometheus`.
    Metrics,
    /// `GET /v1/models`.
    Models,
    /// `GET /v1/models/{id}`, decoded.
    Model(String),
    /// `POST /v1/chat/completions`.
    ChatCompletions,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `POST /tools/invoke`.
    ToolsInvoke,
    /// A path below `hooks.path`, without slashes around; empty is the path itself. Its methods
    /// and its token are its own matter.
    Hook(String),
    /// A path that an account of a channel listens to. It proves its requests itself.
    Channel,
}

impl Door {
    /// The operation behind the door, a row of the table over WebSocket too; none where nobody
    /// is asked, or where the door has a token of its own.
    pub fn operation(&self) -> Option<&'static Operation> {
        let name = match self {
            Self::Live | Self::Ready | Self::Startup | Self::Hook(_) | Self::Channel => {
                return None;
            }
            Self::Metrics => "status",
            Self::Models | Self::Model(_) => "models.list",
            Self::ChatCompletions => "chat.send",
            // Embeddings take what a run takes, as the reference does.
            Self::Responses | Self::Embeddings => "agent",
            Self::ToolsInvoke => "tools.invoke",
        };
        let row = find(name, NEWEST);
        debug_assert!(row.is_some(), "{name} is no operation");
        row
    }

    /// The largest body it takes.
    pub fn body_max(&self, config: &Config) -> usize {
        let endpoints = &config.gateway.endpoints;
        match self {
            Self::ChatCompletions => endpoints.chat_completions.max_body_bytes,
            Self::Responses => endpoints.responses.max_body_bytes,
            Self::Hook(_) => config.hooks.max_body_bytes,
            Self::Channel => limits::CHANNEL_HOOK,
            Self::Embeddings => limits::BODY_EMBEDDINGS,
            Self::ToolsInvoke => limits::BODY_TOOLS,
            _ => limits::BODY_OTHER,
        }
    }

    /// The key that switched it off. Models are there for both doors, so only both together
    /// switch them off.
    pub fn switched_off(&self, config: &Config) -> Option<&'static str> {
        const CHAT: &str = "gateway.http.endpoints.chatCompletions.enabled";
        const RESPONSES: &str = "gateway.http.endpoints.responses.enabled";
        let endpoints = &config.gateway.endpoints;
        let (chat, responses) = (endpoints.chat_completions.enabled, endpoints.responses.enabled);
        match self {
            Self::ChatCompletions => (!chat).then_some(CHAT),
            Self::Responses => (!responses).then_some(RESPONSES),
            Self::Models | Self::Model(_) | Self::Embeddings => {
                (!chat && !responses).then_some(CHAT)
            }
            Self::Metrics => (!config.gateway.metrics).then_some("gateway.metrics.enabled"),
            Self::Live
            | Self::Ready
            | Self::Startup
            | Self::Hook(_)
            | Self::Channel
            | Self::ToolsInvoke => None,
        }
    }
}

/// Where a request leads.
#[derive(Debug, PartialEq, Eq)]
pub enum Routed {
    /// To a door, with a method that it takes.
    Door(Door),
    /// The path exists, the method does not: the `Allow` header.
    MethodNotAllowed(&'static str),
    /// Nowhere.
    NotFound,
}

/// Finds the door of a request; `hooks` is `hooks.path`.
pub fn route(head: &Head, hooks: &str) -> Routed {
    let path = head.path();
    if let Some(name) = path.strip_prefix(hooks).filter(|n| n.is_empty() || n.starts_with('/')) {
        return Routed::Door(Door::Hook(name.trim_matches('/').to_owned()));
    }
    let (door, allow) = match path {
        "/health" | "/healthz" => (Door::Live, "GET, HEAD"),
        "/ready" | "/readyz" => (Door::Ready, "GET, HEAD"),
        "/startupz" => (Door::Startup, "GET, HEAD"),
        "/metrics" | "/api/diagnostics/prometheus" => (Door::Metrics, "GET"),
        "/v1/models" => (Door::Models, "GET"),
        "/v1/chat/completions" => (Door::ChatCompletions, "POST"),
        "/v1/responses" => (Door::Responses, "POST"),
        "/v1/embeddings" => (Door::Embeddings, "POST"),
        "/tools/invoke" => (Door::ToolsInvoke, "POST"),
        _ => match path.strip_prefix("/v1/models/").filter(|id| !id.is_empty()) {
            Some(id) => match percent_decode(id) {
                Some(id) => (Door::Model(id), "GET"),
                None => return Routed::NotFound,
            },
            None => return Routed::NotFound,
        },
    };
    let allowed = match &head.method {
        Method::Get => allow.starts_with("GET"),
        // RFC 9110 section 9.3.2: HEAD wherever GET is, though the reference lists only GET.
        Method::Head => allow.starts_with("GET"),
        Method::Post => allow == "POST",
        _ => false,
    };
    if allowed { Routed::Door(door) } else { Routed::MethodNotAllowed(allow) }
}

/// Paths under which every answer is JSON in OpenAI's shape: nobody who asks there wants a page.
pub fn is_openai_path(path: &str) -> bool {
    let roots = ["/v1", "/tools", "/api"];
    roots.iter().any(|root| {
        path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `application/json` unless it says else.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// `Allow`, `Retry-After`, `Cache-Control`.
    pub headers: Vec<(&'static str, String)>,
}

const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

impl Reply {
    /// JSON with a status.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::raw(status, body.to_string().into_bytes())
    }

    /// JSON that is text already.
    pub fn raw(status: u16, body: Vec<u8>) -> Self {
        Self { status, content_type: JSON, body, headers: Vec::new() }
    }

    /// Plain text.
    pub fn text(status: u16, body: &str) -> Self {
        Self { status, content_type: TEXT, body: body.into(), headers: Vec::new() }
    }

    /// The same with a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Writes it; `hsts` is the value of Strict-Transport-Security, if that is sent.
    pub fn write(&self, out: &mut Vec<u8>, head_only: bool, keep_alive: bool, hsts: Option<&str>) {
        let mut response = Response::new(self.status).hsts(hsts);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        response.body(self.content_type, &self.body).write(out, head_only, keep_alive);
    }
}

/// `{error: {message, type, code: null, param: null}}`, OpenAI's shape.
pub fn error(status: u16, kind: &str, message: &str) -> Reply {
    Reply::json(
        status,
        &json!({"error": {"message": message, "type": kind, "code": null, "param": null}}),
    )
}

/// 403 for a caller whose proof does not cover what the door does.
pub fn missing_scope(scope: &str) -> Reply {
    error(403, "forbidden", &format!("missing scope: {scope}"))
}

/// 401 as every door but hooks answers it.
pub fn unauthorized() -> Reply {
    error(401, "unauthorized", "Unauthorized")
}

/// 429 for an address that has shown too many wrong credentials.
pub fn too_many_attempts(path: &str, wait_ms: u64) -> Reply {
    let text = "too many failed authentication attempts (retry later)";
    let reply = match is_openai_path(path) {
        true => error(429, "rate_limited", text),
        false => Reply::text(429, text),
    };
    reply.with("Retry-After", wait_ms.div_ceil(1000).max(1).to_string())
}

/// 403 for a request behind a proxy that nobody vouches for.
pub fn proxy_attribution_required() -> Reply {
    error(
        403,
        "proxy_attribution_required",
        "Proxy client attribution is required: a forwarding header came from a peer that is not \
         in gateway.trustedProxies",
    )
}

/// 404: JSON where programs ask, else text.
pub fn not_found(path: &str) -> Reply {
    if is_openai_path(path) {
        error(
            404,
            "invalid_request_error",
            "Not Found: this gateway serves /v1/models, /v1/chat/completions, /v1/responses, \
             /v1/embeddings and /tools/invoke",
        )
    } else {
        Reply::text(404, "Not Found")
    }
}

/// 405 with `Allow`: JSON where programs ask, else text.
pub fn method_not_allowed(path: &str, allow: &'static str) -> Reply {
    let reply = if is_openai_path(path) {
        error(405, "invalid_request_error", "Method Not Allowed")
    } else {
        Reply::text(405, "Method Not Allowed")
    };
    reply.with("Allow", allow)
}

/// A refusal by the HTTP machine itself.
pub fn refused(path: Option<&str>, status: u16, reason: &str) -> Reply {
    if path.is_none_or(is_openai_path) {
        error(status, "invalid_request_error", reason)
    } else {
        Reply::text(status, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::http::server::{Event, Server};

    fn routed(line: &str) -> Routed {
        let mut server = Server::new();
        server.push(format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        match server.next() {
            Some(Event::Head(head)) => route(&head, "/in/hooks"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn paths_lead_to_doors() {
        let table = [
            ("GET /healthz", Routed::Door(Door::Live)),
            ("HEAD /readyz?x=1", Routed::Door(Door::Ready)),
            ("POST /healthz", Routed::MethodNotAllowed("GET, HEAD")),
            ("GET /v1/models", Routed::Door(Door::Models)),
            ("POST /v1/models", Routed::MethodNotAllowed("GET")),
            ("GET /v1/models/openclaw%2Fmain", Routed::Door(Door::Model("openclaw/main".into()))),
            ("GET /v1/models/openclaw/main", Routed::Door(Door::Model("openclaw/main".into()))),
            ("GET /v1/models/%zz", Routed::NotFound),
            ("GET /v1/models/", Routed::NotFound),
            ("OPTIONS /v1/chat/completions", Routed::MethodNotAllowed("POST")),
            ("GET /", Routed::NotFound),
            ("POST /in/hooks", Routed::Door(Door::Hook(String::new()))),
            ("GET /in/hooks/a/b/?x", Routed::Door(Door::Hook("a/b".into()))),
            ("POST /in/hooksx", Routed::NotFound),
            ("POST /hooks/wake", Routed::NotFound),
        ];
        for (line, want) in table {
            assert_eq!(routed(line), want, "{line}");
        }
    }
}
