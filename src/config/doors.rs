//! Typed configuration of the HTTP doors: `gateway.http.endpoints`, `hooks`, `memory.search`.
//! Defaults are the reference's, but for `enabled`: endpoints are on unless switched off.

use std::collections::BTreeMap;

use serde_json::Value;

use super::build::At;
use super::secret::Secret;
use crate::limits;

/// `gateway.http.endpoints`.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// `POST /v1/chat/completions`.
    pub chat_completions: ChatEndpoint,
    /// `POST /v1/responses`.
    pub responses: ResponsesEndpoint,
}

/// `gateway.http.endpoints.chatCompletions`.
#[derive(Debug, Clone)]
pub struct ChatEndpoint {
    /// On for us unless switched off.
    pub enabled: bool,
    /// Bytes of a request.
    pub max_body_bytes: usize,
    /// Image parts of one request.
    pub max_image_parts: usize,
    /// Bytes of its images together, decoded.
    pub max_total_image_bytes: usize,
    /// What images may be.
    pub images: Media,
}

/// `gateway.http.endpoints.responses`.
#[derive(Debug, Clone)]
pub struct ResponsesEndpoint {
    /// On for us unless switched off.
    pub enabled: bool,
    /// Bytes of a request.
    pub max_body_bytes: usize,
    /// Parts given by URL, images and files together.
    pub max_url_parts: usize,
    /// What images may be.
    pub images: Media,
    /// What files may be.
    pub files: Media,
    /// Characters of one file that reach the model.
    pub max_file_chars: usize,
}

/// What an image or a file of a request may be, and how it is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// The key path of this section, for errors.
    pub path: &'static str,
    /// Fetch what a request names by URL.
    pub allow_url: bool,
    /// Hosts it may be fetched from: `cdn.example.com` or `*.example.com`; empty is any.
    pub url_allowlist: Vec<String>,
    /// Media types in lower case.
    pub allowed_mimes: Vec<String>,
    /// Bytes, decoded.
    pub max_bytes: usize,
    /// Redirects followed.
    pub max_redirects: u32,
    /// Time for the whole fetch.
    pub timeout_ms: u64,
}

const IMAGE_MIMES: [&str; 6] =
    ["image/jpeg", "image/png", "image/gif", "image/webp", "image/heic", "image/heif"];
const FILE_MIMES: [&str; 6] =
    ["text/plain", "text/markdown", "text/html", "text/csv", "application/json", "application/pdf"];

impl Media {
    fn images(path: &'static str, allow_url: bool) -> Self {
        Self::new(path, allow_url, &IMAGE_MIMES, limits::HTTP_IMAGE)
    }

    fn new(path: &'static str, allow_url: bool, mimes: &[&str], max_bytes: usize) -> Self {
        Self {
            path,
            allow_url,
            url_allowlist: Vec::new(),
            allowed_mimes: mimes.iter().map(|mime| (*mime).to_owned()).collect(),
            max_bytes,
            max_redirects: 3,
            timeout_ms: 10_000,
        }
    }

    /// Whether a host may be fetched from, as far as the allowlist goes.
    pub fn allows_host(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let matches = |known: &String| match known.strip_prefix("*.") {
            Some(apex) => host.strip_suffix(apex).is_some_and(|sub| sub.ends_with('.')),
            None => host == *known,
        };
        self.url_allowlist.is_empty() || self.url_allowlist.iter().any(matches)
    }

    fn set(mut self, at: At<'_>) -> Self {
        self.allow_url = at.get("allowUrl").flag(self.allow_url);
        self.url_allowlist = lower(at.get("urlAllowlist").texts());
        if !at.get("allowedMimes").is_null() {
            self.allowed_mimes = lower(at.get("allowedMimes").texts());
        }
        self.max_bytes = size(at.get("maxBytes"), self.max_bytes);
        self.max_redirects = at
            .get("maxRedirects")
            .number()
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(self.max_redirects);
        self.timeout_ms = at.get("timeoutMs").number().unwrap_or(self.timeout_ms);
        self
    }
}

fn lower(texts: Vec<String>) -> Vec<String> {
    let plain = texts.into_iter().map(|text| text.trim().to_ascii_lowercase());
    plain.filter(|text| !text.is_empty()).collect()
}

fn size(at: At<'_>, default: usize) -> usize {
    at.number().map_or(default, |n| usize::try_from(n).unwrap_or(usize::MAX))
}

impl Default for Endpoints {
    fn default() -> Self {
        const CHAT: &str = "gateway.http.endpoints.chatCompletions.images";
        const IMAGES: &str = "gateway.http.endpoints.responses.images";
        const FILES: &str = "gateway.http.endpoints.responses.files";
        Self {
            chat_completions: ChatEndpoint {
                enabled: true,
                max_body_bytes: limits::BODY_OPENAI,
                max_image_parts: 8,
                max_total_image_bytes: limits::BODY_OPENAI,
                images: Media::images(CHAT, false),
            },
            responses: ResponsesEndpoint {
                enabled: true,
                max_body_bytes: limits::BODY_OPENAI,
                max_url_parts: 8,
                images: Media::images(IMAGES, true),
                files: Media::new(FILES, true, &FILE_MIMES, limits::HTTP_FILE),
                max_file_chars: limits::HTTP_FILE_CHARS,
            },
        }
    }
}

/// `gateway.http.endpoints`. No key raises a body's bound above the house's own.
pub(super) fn endpoints(at: At<'_>) -> Endpoints {
    let unset = Endpoints::default();
    let (chat, responses) = (at.get("chatCompletions"), at.get("responses"));
    let body = |at: At<'_>| size(at.get("maxBodyBytes"), usize::MAX).min(limits::BODY_OPENAI);
    let (of_chat, of_responses) = (unset.chat_completions, unset.responses);
    Endpoints {
        chat_completions: ChatEndpoint {
            enabled: chat.get("enabled").flag(of_chat.enabled),
            max_body_bytes: body(chat),
            max_image_parts: size(chat.get("maxImageParts"), of_chat.max_image_parts),
            max_total_image_bytes: size(
                chat.get("maxTotalImageBytes"),
                of_chat.max_total_image_bytes,
            ),
            images: of_chat.images.set(chat.get("images")),
        },
        responses: ResponsesEndpoint {
            enabled: responses.get("enabled").flag(of_responses.enabled),
            max_body_bytes: body(responses),
            max_url_parts: size(responses.get("maxUrlParts"), of_responses.max_url_parts),
            images: of_responses.images.set(responses.get("images")),
            max_file_chars: size(
                responses.get("files").get("maxChars"),
                of_responses.max_file_chars,
            ),
            files: of_responses.files.set(responses.get("files")),
        },
    }
}

/// `gateway.tools`: what `/tools/invoke` may call beside an agent's own policy.
#[derive(Debug, Clone, Default)]
pub struct HttpTools {
    /// Tools taken off the built-in list of what is denied there.
    pub allow: Vec<String>,
    /// Further tools that are denied there.
    pub deny: Vec<String>,
}

/// `gateway.tools`.
pub(super) fn http_tools(at: At<'_>) -> HttpTools {
    HttpTools { allow: lower(at.get("allow").texts()), deny: lower(at.get("deny").texts()) }
}

/// Section `hooks`: who may start work from outside, and how requests become runs.
#[derive(Debug, Clone)]
pub struct Hooks {
    /// Off unless switched on; then `token` is there.
    pub enabled: bool,
    /// What callers show; never the gateway's own secret.
    pub token: Option<Secret>,
    /// Path prefix: `/x`, no slash at the end.
    pub path: String,
    /// Bytes of a request.
    pub max_body_bytes: usize,
    /// Agents that hooks may reach; `None` is any.
    pub allowed_agent_ids: Option<Vec<String>>,
    /// Session of runs whose request names none.
    pub default_session_key: Option<String>,
    /// Requests may name a session.
    pub allow_request_session_key: bool,
    /// What such names begin with, lower case; empty is anything.
    pub allowed_session_key_prefixes: Vec<String>,
    /// First match wins.
    pub mappings: Vec<HookMapping>,
}

/// `hooks.mappings[]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HookMapping {
    /// For the log.
    pub id: String,
    /// Path below [`Hooks::path`], without slashes around; `None` is any.
    pub match_path: Option<String>,
    /// `source` in the payload; `None` is any.
    pub match_source: Option<String>,
    /// A wake instead of a run.
    pub wake: bool,
    /// `wakeMode` is `next-heartbeat`.
    pub later: bool,
    /// Template of the label.
    pub name: Option<String>,
    /// Which agent.
    pub agent_id: Option<String>,
    /// Template of the session.
    pub session_key: Option<String>,
    /// The session is kept from one request to the next.
    pub persistent: bool,
    /// Template of what the agent is told.
    pub message: Option<String>,
    /// Template of what a wake says.
    pub text: Option<String>,
    /// An array of the payload: one action an element.
    pub for_each: Option<String>,
    /// A good answer is told to the main session, or goes to `to`.
    pub deliver: bool,
    /// The channel of `to`; `last` and nothing are that of who last wrote to the main session.
    pub channel: Option<String>,
    /// Template of the recipient.
    pub to: Option<String>,
    /// The account of the channel.
    pub account_id: Option<String>,
    /// Topic or thread of the recipient.
    pub thread_id: Option<String>,
    /// Template of `provider/model`.
    pub model: Option<String>,
    /// Time for the run.
    pub timeout_seconds: Option<u64>,
    /// The message is not marked as coming from outside.
    pub unsafe_content: bool,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            enabled: false,
            token: None,
            path: "/hooks".to_owned(),
            max_body_bytes: limits::BODY_HOOK,
            allowed_agent_ids: None,
            default_session_key: None,
            allow_request_session_key: false,
            allowed_session_key_prefixes: Vec::new(),
            mappings: Vec::new(),
        }
    }
}

impl Hooks {
    /// Whether hooks may reach an agent.
    pub fn allows_agent(&self, id: &str) -> bool {
        self.allowed_agent_ids
            .as_ref()
            .is_none_or(|known| known.iter().any(|agent| agent == "*" || agent == id))
    }

    /// Whether a session name begins as it must.
    pub fn allows_prefix(&self, key: &str) -> bool {
        let key = key.to_ascii_lowercase();
        self.allowed_session_key_prefixes.is_empty()
            || self.allowed_session_key_prefixes.iter().any(|prefix| key.starts_with(prefix))
    }
}

/// `/x` of `hooks.path`: one slash in front, none behind.
pub(super) fn hooks_path(text: &str) -> String {
    format!("/{}", text.trim().trim_matches('/'))
}

/// Section `hooks`.
pub(super) fn hooks(at: At<'_>) -> Hooks {
    let unset = Hooks::default();
    let allowed = at.get("allowedAgentIds");
    let mut mappings: Vec<HookMapping> =
        at.get("mappings").items().enumerate().map(|(n, at)| mapping(n, at)).collect();
    if at.get("presets").texts().iter().any(|preset| preset == "gmail") {
        mappings.push(gmail());
    }
    Hooks {
        enabled: at.get("enabled").flag(false),
        token: at.get("token").secret(),
        path: at.get("path").text().map_or(unset.path, |path| hooks_path(&path)),
        max_body_bytes: size(at.get("maxBodyBytes"), unset.max_body_bytes).min(limits::BODY_HOOK),
        allowed_agent_ids: (!allowed.is_null()).then(|| lower(allowed.texts())),
        default_session_key: at
            .get("defaultSessionKey")
            .text()
            .map(|key| key.trim().to_owned())
            .filter(|key| !key.is_empty()),
        allow_request_session_key: at.get("allowRequestSessionKey").flag(false),
        allowed_session_key_prefixes: lower(at.get("allowedSessionKeyPrefixes").texts()),
        mappings,
    }
}

fn mapping(number: usize, at: At<'_>) -> HookMapping {
    let text = |name| at.get(name).text().filter(|text| !text.is_empty());
    let is = |name, word| at.get(name).value.as_str() == Some(word);
    let matches = at.get("match");
    HookMapping {
        id: text("id").unwrap_or_else(|| format!("mapping-{}", number + 1)),
        match_path: matches.get("path").text().map(|path| path.trim_matches('/').to_owned()),
        match_source: matches.get("source").text(),
        wake: is("action", "wake"),
        later: is("wakeMode", "next-heartbeat"),
        name: text("name"),
        agent_id: text("agentId"),
        session_key: text("sessionKey"),
        persistent: is("sessionMode", "persistent"),
        message: text("messageTemplate"),
        text: text("textTemplate"),
        for_each: text("forEach"),
        deliver: at.get("deliver").flag(true),
        channel: text("channel"),
        to: text("to"),
        account_id: text("accountId"),
        thread_id: text("threadId"),
        model: text("model"),
        timeout_seconds: at.get("timeoutSeconds").number(),
        unsafe_content: at.get("allowUnsafeExternalContent").flag(false),
    }
}

/// The preset `gmail`: one run a message.
fn gmail() -> HookMapping {
    let message = "New email\nFrom: {{messages[0].from}}\nSubject: {{messages[0].subject}}\n\n\
                   {{messages[0].snippet}}\n{{messages[0].body}}";
    HookMapping {
        id: "gmail".to_owned(),
        match_path: Some("gmail".to_owned()),
        name: Some("Gmail".to_owned()),
        session_key: Some("hook:gmail:{{messages[0].id}}".to_owned()),
        message: Some(message.to_owned()),
        for_each: Some("messages".to_owned()),
        deliver: true,
        ..HookMapping::default()
    }
}

/// Section `memory.search`, as far as embeddings go.
#[derive(Debug, Clone, Default)]
pub struct Embeddings {
    /// `provider`: an adapter's name, or an id of `models.providers`.
    pub provider: Option<String>,
    /// `model`: the name that the provider knows.
    pub model: Option<String>,
    /// `outputDimensionality`.
    pub dimensions: Option<u64>,
    /// `remote.baseUrl`, without a slash at the end.
    pub base_url: Option<String>,
    /// `remote.apiKey`.
    pub api_key: Option<Secret>,
    /// `remote.headers`.
    pub headers: BTreeMap<String, Secret>,
}

/// Section `memory.search`.
pub(super) fn embeddings(at: At<'_>) -> Embeddings {
    let remote = at.get("remote");
    let text = |at: At<'_>| at.text().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
    let headers = remote.get("headers").entries();
    Embeddings {
        provider: text(at.get("provider")),
        model: text(at.get("model")),
        dimensions: at.get("outputDimensionality").number(),
        base_url: text(remote.get("baseUrl")).map(|url| url.trim_end_matches('/').to_owned()),
        api_key: remote.get("apiKey").secret(),
        headers: headers
            .filter_map(|(name, value)| Some((name.to_owned(), value.secret()?)))
            .collect(),
    }
}

/// What no single key of `hooks` can know; each with the key it concerns.
pub(super) fn hook_faults(hooks: &Value) -> Vec<(&'static str, String)> {
    let text = |name: &str| hooks.get(name).and_then(Value::as_str).map(str::trim);
    let on = hooks.get("enabled") == Some(&Value::Bool(true));
    let mut faults = Vec::new();
    let token = hooks.get("token");
    if on && token.is_none_or(|token| token.is_null() || token.as_str() == Some("")) {
        let what = "is missing: hooks.enabled is true; set a long random text of its own";
        faults.push(("token", what.to_owned()));
    }
    if let Some(path) = text("path") {
        let path = hooks_path(path);
        if path == "/" || !path.bytes().all(|b| b.is_ascii_graphic() && !b"?#%".contains(&b)) {
            let what = "expected a path of its own such as \"/hooks\"";
            faults.push(("path", what.to_owned()));
        }
        let ours = ["/v1", "/tools", "/api", "/health", "/healthz", "/ready", "/readyz"];
        if ours.iter().any(|own| path == *own || path.starts_with(&format!("{own}/"))) {
            let what = format!("expected a path of its own: {path} is another door's");
            faults.push(("path", what));
        }
    }
    let prefixes = hooks.get("allowedSessionKeyPrefixes").and_then(Value::as_array);
    let prefixes = prefixes
        .map(|list| lower(list.iter().filter_map(Value::as_str).map(str::to_owned).collect()));
    let prefixes = prefixes.unwrap_or_default();
    let admits = |key: &str| prefixes.iter().any(|prefix| key.starts_with(prefix));
    match text("defaultSessionKey").filter(|key| !key.is_empty()) {
        _ if prefixes.is_empty() => {}
        Some(key) if !admits(&key.to_ascii_lowercase()) => {
            let what = "begins with none of hooks.allowedSessionKeyPrefixes; change one of them";
            faults.push(("defaultSessionKey", what.to_owned()));
        }
        None if !admits("hook:") => {
            let what = "must hold \"hook:\", for sessions made by the gateway begin so; or set \
                        hooks.defaultSessionKey";
            faults.push(("allowedSessionKeyPrefixes", what.to_owned()));
        }
        _ => {}
    }
    let templated = |mapping: &Value| {
        mapping.get("sessionKey").and_then(Value::as_str).is_some_and(|key| key.contains("{{"))
    };
    let mappings = hooks.get("mappings").and_then(Value::as_array);
    if prefixes.is_empty() && mappings.is_some_and(|list| list.iter().any(templated)) {
        let what = "is missing: a mapping makes its sessionKey from the payload, so say what such \
                    keys begin with";
        faults.push(("allowedSessionKeyPrefixes", what.to_owned()));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowlists_of_hosts() {
        let mut media = Endpoints::default().responses.images;
        assert!(media.allows_host("any.example"));
        media.url_allowlist = vec!["cdn.example.com".to_owned(), "*.assets.example".to_owned()];
        for (host, want) in [
            ("cdn.example.com", true),
            ("CDN.example.com.", true),
            ("x.cdn.example.com", false),
            ("a.assets.example", true),
            ("a.b.assets.example", true),
            ("assets.example", false),
            ("evilassets.example", false),
        ] {
            assert_eq!(media.allows_host(host), want, "{host}");
        }
    }

    #[test]
    fn hooks_that_cannot_hold_are_told() {
        let table = [
            (r#"{"enabled": true}"#, "token"),
            (r#"{"enabled": true, "token": ""}"#, "token"),
            (r#"{"path": "/"}"#, "path"),
            (r#"{"path": "v1/x"}"#, "path"),
            (r#"{"path": "/a?b"}"#, "path"),
            (
                r#"{"defaultSessionKey": "x", "allowedSessionKeyPrefixes": ["hook:"]}"#,
                "defaultSessionKey",
            ),
            (r#"{"allowedSessionKeyPrefixes": ["web:"]}"#, "allowedSessionKeyPrefixes"),
            (r#"{"mappings": [{"sessionKey": "hook:{{id}}"}]}"#, "allowedSessionKeyPrefixes"),
            (r#"{"enabled": false, "path": "in", "mappings": [{"sessionKey": "hook:a"}]}"#, ""),
            (r#"{"defaultSessionKey": "Web:1", "allowedSessionKeyPrefixes": ["WEB:"]}"#, ""),
        ];
        for (text, want) in table {
            let faults = hook_faults(&serde_json::from_str(text).expect("JSON"));
            let keys: Vec<&str> = faults.iter().map(|(key, _)| *key).collect();
            let want: Vec<&str> = Some(want).filter(|key| !key.is_empty()).into_iter().collect();
            assert_eq!(keys, want, "{text}");
        }
    }
}
