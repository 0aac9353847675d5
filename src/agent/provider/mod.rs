//! Providers: one file a dialect. A dialect writes the request and reads the stream's events;
//! HTTP, SSE, retries and time are its callers' business.

pub mod openai_completions;

use super::{Ask, StopReason, Usage};
use crate::config::{Api, Provider, Secret};
use crate::driver::Target;
use crate::wire::url::{Scheme, Url};

/// Length from which a key or a header value is taken out of errors.
const SECRET: usize = 8;

/// What a stream says, one piece at a time.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// More of the answer.
    Text(String),
    /// More of the model's thinking.
    Reasoning(String),
    /// More of a tool call: `index` tells parallel calls apart.
    ToolCall {
        /// Which of the parallel calls.
        index: u64,
        /// With its first piece.
        id: Option<String>,
        /// With its first piece.
        name: Option<String>,
        /// More of the JSON text.
        arguments: String,
    },
    /// Token counts; may come before or after the end.
    Usage(Usage),
    /// The provider's id of the answer.
    ResponseId(String),
    /// Why the model stopped.
    Finish(StopReason),
}

/// A stream event that is an error report, or no event of the dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamError(pub String);

/// What one event of a stream amounted to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Go on.
    More,
    /// The provider says that the stream is complete.
    End,
}

/// A model of a configured provider, ready to be called.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where to connect.
    pub target: Target,
    /// `Host` header.
    pub host: String,
    /// Path of the request.
    pub path: String,
    /// Bearer key.
    pub key: Option<Secret>,
    /// Further headers.
    pub headers: Vec<(String, Secret)>,
    /// Time for a whole answer, if the provider sets one.
    pub timeout_ms: Option<u64>,
    /// The name the provider knows the model by.
    pub model: String,
}

impl Endpoint {
    /// From the configuration.
    ///
    /// # Errors
    /// A sentence that names the key when this provider cannot be called.
    pub fn new(id: &str, provider: &Provider, model: &str) -> Result<Self, String> {
        if provider.api != Api::OpenAiCompletions {
            return Err(format!(
                "models.providers.{id}.api is \"{}\"; this build speaks \"openai-completions\"",
                provider.api.as_str()
            ));
        }
        let url = Url::parse(&provider.base_url)
            .map_err(|error| format!("models.providers.{id}.baseUrl: {error}"))?;
        let tls = match url.scheme {
            Scheme::Http => false,
            Scheme::Https => true,
            _ => return Err(format!("models.providers.{id}.baseUrl: use http:// or https://")),
        };
        Ok(Self {
            host: url.host_header(),
            path: url.join_path("chat/completions"),
            target: Target { host: url.host, port: url.port, tls, public_only: false },
            key: provider.api_key.clone().filter(|_| provider.auth_header),
            headers: provider.headers.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            timeout_ms: provider.timeout_seconds.map(|s| s.saturating_mul(1000)),
            model: model.to_owned(),
        })
    }

    /// What a request carries and an error must not repeat: the key, the values of the further
    /// headers, an authorization's credentials without their scheme, and each of them as JSON
    /// writes it. Shorter than `SECRET` it would hit ordinary words.
    pub fn secrets(&self) -> Vec<Secret> {
        let mut found = Vec::new();
        let mut add = |text: &str| {
            let mut json = Vec::new();
            crate::wire::text::json_string(&mut json, text);
            let json = String::from_utf8(json).unwrap_or_default();
            let json = json.trim_start_matches('"').strip_suffix('"').unwrap_or_default();
            if text.len() >= SECRET {
                found.push(Secret::new(text.to_owned()));
                if json != text && !json.is_empty() {
                    found.push(Secret::new(json.to_owned()));
                }
            }
        };
        if let Some(key) = &self.key {
            add(key.expose());
        }
        for (name, value) in &self.headers {
            add(value.expose());
            if let Some((_, credentials)) = value.expose().split_once(' ')
                && name.to_ascii_lowercase().ends_with("authorization")
            {
                add(credentials.trim());
            }
        }
        found
    }

    /// The whole HTTP request.
    pub fn request(&self, ask: &Ask) -> Vec<u8> {
        let body = openai_completions::body(&self.model, ask);
        let bearer = self.key.as_ref().map(|key| format!("Bearer {}", key.expose()));
        let mut headers: Vec<(&str, &str)> = vec![
            ("Content-Type", "application/json"),
            ("Accept", "text/event-stream"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", concat!("openclaw-gateway/", env!("CARGO_PKG_VERSION"))),
        ];
        if let Some(bearer) = &bearer {
            headers.push(("Authorization", bearer));
        }
        headers.extend(self.headers.iter().map(|(name, value)| (name.as_str(), value.expose())));
        let mut out = Vec::with_capacity(body.len() + 512);
        crate::wire::http::client::request(
            &mut out,
            "POST",
            &self.host,
            &self.path,
            &headers,
            Some(&body),
        );
        out
    }
}
