//! A model of a configured provider, ready to be called: address, headers, request.

use super::{Dialect, Spec, anthropic_messages};
use crate::agent::Ask;
use crate::config::{self, Api, Key, Model, Provider, Secret, known};
use crate::driver::{Proxy, Target};
use crate::wire::http::client;
use crate::wire::url::{Scheme, Url};

/// Length from which a key or a header value is taken out of errors.
const SECRET: usize = 8;
/// Room for the request's head.
const HEAD: usize = 1024;

/// A model of a configured provider, ready to be called.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// How it is spoken to.
    pub dialect: Dialect,
    /// Where to connect.
    pub target: Target,
    /// `Host` header.
    pub host: String,
    /// Path of the request.
    pub path: String,
    /// Its keys in the order in which they are tried; the first is in use.
    pub keys: Vec<Key>,
    /// The key goes into `Authorization`, whatever the dialect's own header is; or it does not
    /// go at all, where that is the dialect's own.
    pub auth_header: Option<bool>,
    /// Further headers.
    pub headers: Vec<(String, Secret)>,
    /// For a proxy that gets the request itself, since the provider speaks plain HTTP.
    pub proxy_authorization: Option<Secret>,
    /// Time for a whole answer, if the provider sets one.
    pub timeout_ms: Option<u64>,
    /// What the dialect must know of the model.
    pub spec: Spec,
}

impl Endpoint {
    /// From the configuration.
    ///
    /// # Errors
    /// A sentence that names the key when this provider cannot be called.
    pub fn new(id: &str, provider: &Provider, model: &str) -> Result<Self, String> {
        if let Some(why) = &provider.broken {
            return Err(why.clone());
        }
        if let Some(why) = without_key(id, provider) {
            return Err(why);
        }
        let known = provider.models.iter().find(|known| known.id == model);
        let api = known.and_then(|known| known.api.as_ref()).unwrap_or(&provider.api);
        let dialect = dialect(id, api)?;
        let base_url = known.and_then(|known| known.base_url.as_ref());
        let place = match base_url {
            Some(_) => format!("models.providers.{id}.models[].baseUrl"),
            None => format!("models.providers.{id}.baseUrl"),
        };
        let url = Url::parse(base_url.unwrap_or(&provider.base_url))
            .map_err(|error| format!("{place}: {error}"))?;
        let tls = match url.scheme {
            Scheme::Http => false,
            Scheme::Https => true,
            _ => return Err(format!("{place}: use http:// or https://")),
        };
        let own = known.into_iter().flat_map(|known| &known.headers);
        let headers = provider.headers.iter().filter(|(name, _)| {
            let own = known.into_iter().flat_map(|known| known.headers.keys());
            !own.into_iter().any(|other| other.eq_ignore_ascii_case(name))
        });
        let path = path(dialect, &url, model);
        let (target, path, proxy_authorization) = way(&url, tls, path, provider.proxy.as_ref());
        Ok(Self {
            dialect,
            host: url.host_header(),
            path,
            target,
            proxy_authorization,
            keys: provider.keys.clone(),
            auth_header: provider.auth_header,
            headers: headers.chain(own).map(|(k, v)| (k.clone(), v.clone())).collect(),
            timeout_ms: provider.timeout_seconds.map(|s| s.saturating_mul(1000)),
            spec: spec(id, dialect, &url, known, model),
        })
    }

    /// The key in use did not do: goes on to the next one. False when there is none left; then
    /// the last one stays.
    pub fn next_key(&mut self) -> bool {
        if self.keys.len() < 2 {
            return false;
        }
        self.keys.remove(0);
        true
    }

    /// What a request carries and an error must not repeat: the key, the values of the further
    /// headers, an authorization's credentials without their scheme, and each of them as JSON
    /// writes it. Shorter than `SECRET` it would hit ordinary words.
    pub fn secrets(&self) -> Vec<Secret> {
        let mut found = Vec::new();
        let mut add = |text: &str| {
            let mut json = Vec::new();
            crate::wire::text::json_escape(&mut json, text);
            let json = String::from_utf8(json).unwrap_or_default();
            if text.len() >= SECRET {
                found.push(Secret::new(text.to_owned()));
                if json != text && !json.is_empty() {
                    found.push(Secret::new(json));
                }
            }
        };
        for key in &self.keys {
            add(key.secret.expose());
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

    /// The header that carries the key.
    fn key_header(&self) -> Option<(&'static str, String)> {
        let key = self.keys.first()?.secret.expose();
        let bearer = || Some(("Authorization", format!("Bearer {key}")));
        match (self.dialect, self.auth_header) {
            (Dialect::OpenAiCompletions | Dialect::OpenAiResponses, Some(false)) => None,
            (_, Some(true)) | (Dialect::OpenAiCompletions | Dialect::OpenAiResponses, None) => {
                bearer()
            }
            (Dialect::AzureOpenAiResponses, _) => Some(("api-key", key.to_owned())),
            // A subscription's token, not a key.
            (Dialect::AnthropicMessages, _) if key.starts_with("sk-ant-oat") => bearer(),
            (Dialect::AnthropicMessages, _) => Some(("x-api-key", key.to_owned())),
            (Dialect::GoogleGenerativeAi, _) => Some(("x-goog-api-key", key.to_owned())),
        }
    }

    /// The whole HTTP request. The conversation is written once, behind its head.
    pub fn request(&self, ask: &Ask) -> Vec<u8> {
        let key = self.key_header();
        let mut headers: Vec<(&str, &str)> = vec![
            ("Content-Type", "application/json"),
            ("Accept", "text/event-stream"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", concat!("openclaw-gateway/", env!("CARGO_PKG_VERSION"))),
        ];
        if self.dialect == Dialect::AnthropicMessages {
            headers.push(("anthropic-version", anthropic_messages::VERSION));
        }
        if let Some(value) = &self.proxy_authorization {
            headers.push(("Proxy-Authorization", value.expose()));
        }
        if let Some((name, value)) = &key {
            headers.push((name, value));
        }
        // What the operator wrote goes before what we think.
        let own = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        headers.retain(|(name, _)| !own(name));
        headers.extend(self.headers.iter().map(|(name, value)| (name.as_str(), value.expose())));
        let mut out = Vec::with_capacity(ask.bytes() + HEAD);
        client::request_with(&mut out, "POST", &self.host, &self.path, &headers, |out| {
            self.dialect.body(out, &self.spec, ask);
        });
        out
    }
}

/// A known provider in its known place answers nobody without a key.
fn without_key(id: &str, provider: &Provider) -> Option<String> {
    let known = known::find(id).filter(|known| !known.local)?;
    let bare = provider.keys.is_empty() && provider.headers.is_empty();
    (bare && provider.base_url == known.base_url).then(|| {
        format!(
            "provider \"{id}\" has no key: set {} in the gateway's environment, or \
             models.providers.{id}.apiKey",
            known.variable()
        )
    })
}

/// Where to connect and what to ask there: a proxy tunnels TLS, and is asked for the whole
/// address otherwise (RFC 9112 section 3.2.2).
pub fn way(
    url: &Url,
    tls: bool,
    path: String,
    proxy: Option<&config::Proxy>,
) -> (Target, String, Option<Secret>) {
    let direct =
        Target { host: url.host.clone(), port: url.port, tls, public_only: false, proxy: None };
    match proxy {
        None => (direct, path, None),
        Some(proxy) if tls => {
            let authorization = proxy.authorization.as_ref().map(|text| text.expose().to_owned());
            let proxy = Proxy { host: proxy.host.clone(), port: proxy.port, authorization };
            (Target { proxy: Some(Box::new(proxy)), ..direct }, path, None)
        }
        Some(proxy) => {
            let whole = format!("http://{}{path}", url.host_header());
            let target = Target { host: proxy.host.clone(), port: proxy.port, ..direct };
            (target, whole, proxy.authorization.clone())
        }
    }
}

fn dialect(id: &str, api: &Api) -> Result<Dialect, String> {
    Dialect::of(api).ok_or_else(|| {
        let known: Vec<&str> = Dialect::ALL.into_iter().map(Dialect::as_str).collect();
        format!(
            "models.providers.{id}.api is \"{}\"; this build speaks {}",
            api.as_str(),
            known.join(", ")
        )
    })
}

/// Where a dialect's requests go below the base URL.
fn path(dialect: Dialect, url: &Url, model: &str) -> String {
    match dialect {
        Dialect::OpenAiCompletions => url.join_path("chat/completions"),
        Dialect::OpenAiResponses => url.join_path("responses"),
        Dialect::AzureOpenAiResponses => {
            format!("{}?api-version=v1", url.join_path("responses"))
        }
        Dialect::AnthropicMessages if url.path().trim_end_matches('/').ends_with("/v1") => {
            url.join_path("messages")
        }
        Dialect::AnthropicMessages => url.join_path("v1/messages"),
        Dialect::GoogleGenerativeAi => {
            let version = if url.path().trim_matches('/').is_empty() { "v1beta/" } else { "" };
            let model = if model.contains('/') { model } else { &format!("models/{model}") };
            url.join_path(&format!("{version}{model}:streamGenerateContent?alt=sse"))
        }
    }
}

fn spec(id: &str, dialect: Dialect, url: &Url, known: Option<&Model>, model: &str) -> Spec {
    let native = match dialect {
        Dialect::OpenAiCompletions | Dialect::OpenAiResponses => url.host == "api.openai.com",
        Dialect::AzureOpenAiResponses => url.host.ends_with(".openai.azure.com"),
        Dialect::AnthropicMessages => url.host == "api.anthropic.com",
        Dialect::GoogleGenerativeAi => url.host == "generativelanguage.googleapis.com",
    };
    Spec {
        provider: id.to_owned(),
        model: model.to_owned(),
        reasoning: known.is_some_and(|known| known.reasoning),
        max_tokens: known.map(|known| known.max_tokens),
        native,
        compat: known.map(|known| known.compat.clone()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(api: &str, base_url: &str) -> Provider {
        Provider {
            base_url: base_url.to_owned(),
            api: Api::new(api),
            keys: vec![Key {
                name: "apiKey".to_owned(),
                secret: Secret::new("key-of-tests".to_owned()),
            }],
            ..Provider::default()
        }
    }

    fn head(provider: &Provider, model: &str) -> String {
        let endpoint = Endpoint::new("p", provider, model).unwrap();
        let request = String::from_utf8(endpoint.request(&Ask::default())).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let length = format!("Content-Length: {}\r\n", body.len());
        assert!(format!("{head}\r\n").contains(&length), "{head}");
        assert!(serde_json::from_str::<serde_json::Value>(body).unwrap().is_object());
        head.to_owned()
    }

    #[test]
    fn each_dialect_has_its_path_and_its_header() {
        let bearer = "Authorization: Bearer key-of-tests";
        for (api, base, path, key) in [
            ("openai-completions", "http://h/v1/", "/v1/chat/completions", bearer),
            ("openai-responses", "http://h/v1", "/v1/responses", bearer),
            (
                "azure-openai-responses",
                "http://h/openai/v1",
                "/openai/v1/responses?api-version=v1",
                "api-key: key-of-tests",
            ),
            ("anthropic-messages", "http://h", "/v1/messages", "x-api-key: key-of-tests"),
            ("anthropic-messages", "http://h/v1", "/v1/messages", "x-api-key: key-of-tests"),
            ("anthropic-messages", "http://h/a", "/a/v1/messages", "x-api-key: key-of-tests"),
            (
                "google-generative-ai",
                "http://h/v1beta",
                "/v1beta/models/m:streamGenerateContent?alt=sse",
                "x-goog-api-key: key-of-tests",
            ),
            (
                "google-generative-ai",
                "http://h",
                "/v1beta/models/m:streamGenerateContent?alt=sse",
                "x-goog-api-key: key-of-tests",
            ),
        ] {
            let head = head(&provider(api, base), "m");
            assert!(head.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{head}");
            assert!(head.lines().any(|line| line == key), "{head}");
            assert_eq!(head.contains("anthropic-version"), api == "anthropic-messages");
        }
        let error = Endpoint::new("p", &provider("ollama", "http://h"), "m").unwrap_err();
        assert!(error.contains("models.providers.p.api") && error.contains("google"), "{error}");
    }

    #[test]
    fn the_operators_headers_go_before_ours() {
        let mut provider = provider("anthropic-messages", "http://h");
        provider.auth_header = Some(true);
        let text = head(&provider, "m");
        assert!(text.contains("Authorization: Bearer key") && !text.contains("x-api-key"));
        let secret = |text: &str| Secret::new(text.to_owned());
        provider.headers.insert("Anthropic-Version".to_owned(), secret("2099-01-01"));
        provider.headers.insert("X-Team".to_owned(), secret("one"));
        provider.models.push(Model {
            id: "m".to_owned(),
            headers: [("x-team".to_owned(), secret("two"))].into(),
            base_url: Some("http://other/x".to_owned()),
            api: Some(Api::new("openai-completions")),
            ..Model::default()
        });
        let text = head(&provider, "n");
        assert_eq!(text.to_ascii_lowercase().matches("anthropic-version").count(), 1, "{text}");
        assert!(text.contains("2099-01-01") && text.contains("X-Team: one"), "{text}");
        let text = head(&provider, "m");
        assert!(text.starts_with("POST /x/chat/completions "), "{text}");
        assert!(text.contains("Host: other\r\n") && text.contains("x-team: two"), "{text}");
        assert!(!text.contains("X-Team: one"), "{text}");
    }
}
