//! The typed snapshot of a configuration that the key table has approved. Nothing here can
//! fail: what is absent has its default, what is present has the right type.

mod agents;
mod audio;
mod cron;
mod hands;
mod nodes;
mod rate_limit;
mod reach;
mod session;
mod tool_policy;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::agents::{GroupChat, ModelChoice};
use super::known;
use super::paths::Paths;
use super::proxy;
use super::secret::Secret;
use super::snapshot::{
    Api, Auth, AuthMode, Bind, Chat, Compat, Config, ControlUi, Cost, Env, Gateway, LogLevel,
    Logging, Messages, Mode, Model, Models, Provider, Queue, QueueDrop, QueueMode, Reload,
    ReloadMode, Remote, SourceInfo, Tunnel,
};
use super::tls::Tls;

/// What a model is taken for when its file does not say: the reference's figures.
const CONTEXT_WINDOW: u64 = 200_000;
const MAX_TOKENS: u64 = 8_192;

/// A part of the resolved configuration; absent parts are [`Value::Null`].
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) value: &'a Value,
    env: &'a BTreeMap<String, String>,
}

impl<'a> At<'a> {
    pub(super) fn get(self, key: &str) -> Self {
        Self { value: self.value.get(key).unwrap_or(&Value::Null), env: self.env }
    }

    pub(super) fn is_null(self) -> bool {
        self.value.is_null()
    }

    pub(super) fn text(self) -> Option<String> {
        self.value.as_str().map(str::to_owned)
    }

    pub(super) fn number(self) -> Option<u64> {
        self.value.as_u64()
    }

    pub(super) fn flag(self, default: bool) -> bool {
        self.value.as_bool().unwrap_or(default)
    }

    pub(super) fn texts(self) -> Vec<String> {
        self.items().filter_map(Self::text).collect()
    }

    /// Texts, or whole numbers as texts.
    pub(super) fn ids(self) -> Vec<String> {
        let one = |at: Self| at.text().or_else(|| Some(at.value.as_number()?.to_string()));
        self.items().filter_map(one).collect()
    }

    pub(super) fn items(self) -> impl Iterator<Item = Self> {
        let list = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().map(move |value| Self { value, env: self.env })
    }

    pub(super) fn entries(self) -> impl Iterator<Item = (&'a str, Self)> {
        let map = self.value.as_object().into_iter().flatten();
        map.map(move |(key, value)| (key.as_str(), Self { value, env: self.env }))
    }

    /// A string, which a SecretRef has become by now; empty is none.
    pub(super) fn secret(self) -> Option<Secret> {
        let text = match self.value {
            Value::String(text) => Some(text),
            _ => None,
        };
        text.filter(|text| !text.is_empty()).map(|text| Secret::new(text.clone()))
    }

    fn model(self) -> Option<ModelChoice> {
        match self.value {
            Value::String(name) => {
                Some(ModelChoice { primary: Some(name.clone()), fallbacks: Vec::new() })
            }
            Value::Object(_) => Some(ModelChoice {
                primary: self.get("primary").text(),
                fallbacks: self.get("fallbacks").texts(),
            }),
            _ => None,
        }
    }

    fn api(self) -> Option<Api> {
        self.value.as_str().map(Api::new)
    }

    /// Texts that may be secrets, by name.
    fn secrets(self) -> BTreeMap<String, Secret> {
        self.entries().filter_map(|(name, at)| Some((name.to_owned(), at.secret()?))).collect()
    }
}

/// The snapshot of a resolved value.
pub(super) fn build(
    resolved: &Value,
    env: &BTreeMap<String, String>,
    paths: &Paths,
    source: SourceInfo,
) -> Config {
    let root = At { value: resolved, env };
    Config {
        gateway: gateway(root.get("gateway"), paths),
        models: models(root.get("models")),
        agents: agents::agents(root.get("agents"), paths),
        skills: agents::skills(root.get("skills"), paths),
        session: session::session(root.get("session")),
        cron: cron::cron(root.get("cron"), paths),
        messages: messages(root.get("messages")),
        chat: chat(root),
        exec: hands::exec(root.get("tools").get("exec"), paths),
        diagnostics: root.get("diagnostics").get("enabled").flag(true),
        audio: audio::audio(root),
        web_fetch: hands::web_fetch(root.get("tools").get("web").get("fetch")),
        reach: reach::reach(root),
        tools: tool_policy::policy(root.get("tools")),
        logging: logging(root.get("logging"), paths),
        hooks: super::doors::hooks(root.get("hooks")),
        embeddings: super::doors::embeddings(root.get("memory").get("search")),
        source,
        warnings: Vec::new(),
        secrets: Vec::new(),
        env: Env::new(env),
        home: paths.home.clone(),
    }
}

fn gateway(at: At<'_>, paths: &Paths) -> Gateway {
    let unset = Gateway::default();
    let auth = at.get("auth");
    let page = at.get("controlUi");
    let reload = at.get("reload");
    let remote = at.get("remote");
    let minutes = |key: &str, unset: u64| at.get(key).number().unwrap_or(unset);
    Gateway {
        channel_health_minutes: minutes("channelHealthCheckMinutes", unset.channel_health_minutes),
        channel_stale_minutes: minutes(
            "channelStaleEventThresholdMinutes",
            unset.channel_stale_minutes,
        ),
        channel_restarts_per_hour: minutes(
            "channelMaxRestartsPerHour",
            unset.channel_restarts_per_hour,
        ),
        mode: match at.get("mode").value.as_str() {
            Some("local") => Some(Mode::Local),
            Some("remote") => Some(Mode::Remote),
            _ => None,
        },
        port: at.get("port").number().and_then(|port| u16::try_from(port).ok()),
        bind: at.get("bind").value.as_str().and_then(Bind::parse).unwrap_or(unset.bind),
        custom_bind_host: at.get("customBindHost").text(),
        auth: Auth {
            mode: auth.get("mode").value.as_str().and_then(AuthMode::parse),
            token: auth.get("token").secret(),
            password: auth.get("password").secret(),
            trusted_proxy: super::auth::trusted_proxy(auth.get("trustedProxy")),
            identity_scopes: super::auth::identity_scopes(auth.get("identityScopes")),
            rate_limit: rate_limit::rate_limit(auth.get("rateLimit")),
        },
        pair_local_silently: at
            .get("nodes")
            .get("pairing")
            .get("autoApproveLocal")
            .flag(unset.pair_local_silently),
        handshake_timeout_ms: at
            .get("handshakeTimeoutMs")
            .number()
            .unwrap_or(unset.handshake_timeout_ms),
        endpoints: super::doors::endpoints(at.get("http").get("endpoints")),
        tools: super::doors::http_tools(at.get("tools")),
        control_ui: ControlUi {
            enabled: page.get("enabled").flag(unset.control_ui.enabled),
            base_path: base_path(page.get("basePath").value.as_str().unwrap_or_default()),
            allowed_origins: page
                .get("allowedOrigins")
                .items()
                .filter_map(|item| super::validate::origin(item.value.as_str()?))
                .collect(),
            root: page.get("root").text().map(|path| paths.expand(&path)),
        },
        reload: Reload {
            mode: match reload.get("mode").value.as_str() {
                Some("off") => ReloadMode::Off,
                Some("hot") => ReloadMode::Hot,
                Some("restart") => ReloadMode::Restart,
                _ => ReloadMode::Hybrid,
            },
            debounce_ms: reload.get("debounceMs").number().unwrap_or(unset.reload.debounce_ms),
            deferral_timeout_ms: reload
                .get("deferralTimeoutMs")
                .number()
                .unwrap_or(unset.reload.deferral_timeout_ms),
        },
        shutdown: at
            .get("shutdownBudgetMs")
            .number()
            .map_or(unset.shutdown, |timeout_ms| super::ShutdownBudget { timeout_ms }),
        nodes: nodes::nodes(at.get("nodes")),
        proxies: super::auth::proxies(at),
        remote: remote.get("url").text().map(|url| Remote {
            url,
            token: remote.get("token").secret(),
            password: remote.get("password").secret(),
            tls_fingerprint: remote
                .get("tlsFingerprint")
                .value
                .as_str()
                .and_then(super::tls::fingerprint),
            tunnel: (remote.get("transport").text().as_deref() != Some("direct")).then(|| Tunnel {
                target: remote.get("sshTarget").text(),
                port: remote.get("remotePort").number().and_then(|port| u16::try_from(port).ok()),
                identity: remote.get("sshIdentity").text(),
            }),
        }),
        tls: tls(at.get("tls"), paths),
        metrics: at.get("metrics").get("enabled").flag(false),
        hsts: at.get("http").get("securityHeaders").get("strictTransportSecurity").text(),
    }
}

fn tls(at: At<'_>, paths: &Paths) -> Tls {
    let path = |key: &str| {
        at.get(key).text().filter(|path| !path.trim().is_empty()).map(|path| paths.expand(&path))
    };
    let (cert, key) = Tls::own(paths);
    Tls {
        enabled: at.get("enabled").flag(false),
        auto_generate: at.get("autoGenerate").flag(true),
        cert_path: path("certPath").unwrap_or(cert),
        key_path: path("keyPath").unwrap_or(key),
        ca_path: path("caPath"),
    }
}

/// Empty or `/x`: one slash in front, none behind.
pub(super) fn base_path(text: &str) -> String {
    let inner = text.trim().trim_matches('/');
    if inner.is_empty() { String::new() } else { format!("/{inner}") }
}

/// Sections as they stand.
fn chat(root: At<'_>) -> Chat {
    let section = |key: &str| root.get(key).value.clone();
    Chat {
        channels: section("channels"),
        bindings: section("bindings"),
        broadcast: section("broadcast"),
        commands: section("commands"),
        access_groups: section("accessGroups"),
        replies: replies(root),
        media_max_mb: root.get("agents").get("defaults").get("mediaMaxMb").value.as_f64(),
        media_ttl_hours: root.get("attachments").get("ttlHours").value.as_f64(),
    }
}

/// Keys of replies, wherever they stand.
fn replies(root: At<'_>) -> Value {
    const KEYS: [&str; 7] = [
        "blockStreamingBreak",
        "blockStreamingChunk",
        "blockStreamingCoalesce",
        "blockStreamingDefault",
        "humanDelay",
        "typingIntervalSeconds",
        "typingMode",
    ];
    let pick = |at: At<'_>| -> Value {
        let said = KEYS.iter().filter(|key| !at.get(key).is_null());
        said.map(|key| ((*key).to_owned(), at.get(key).value.clone())).collect::<Map<_, _>>().into()
    };
    let agents = root.get("agents");
    let listed = agents.get("list").items();
    let listed = listed.map(|at| (at.get("id").text().unwrap_or_default(), at));
    let entries = agents.get("entries").entries().map(|(id, at)| (id.to_owned(), at));
    let each = listed.chain(entries).filter_map(|(id, at)| Some((agent_id(&id)?, pick(at))));
    serde_json::json!({
        "defaults": pick(agents.get("defaults")),
        "agents": each.collect::<Map<_, _>>(),
        "session": pick(root.get("session")),
    })
}

fn models(at: At<'_>) -> Models {
    let providers = at.get("providers").entries().map(|(id, at)| (id.to_owned(), provider(id, at)));
    Models {
        // One without address cannot be called; validation has warned of it.
        providers: providers.filter(|(_, one)| !one.base_url.is_empty()).collect(),
        implied: known::implied(at.env),
    }
}

fn provider(id: &str, at: At<'_>) -> Provider {
    let mut headers = at.get("headers").secrets();
    headers.extend(at.get("request").get("headers").secrets());
    let known = known::find(id);
    let base_url = at.get("baseUrl").text().map(base_url);
    let at_home = base_url.is_none();
    let base_url = base_url.or(known.map(|known| known.base_url.to_owned())).unwrap_or_default();
    let api = at.get("api").api().or_else(|| known.filter(|_| at_home).map(known::Known::api));
    let proxy = proxy::of(id, at.get("request").get("proxy").value, &base_url, at.env);
    let (proxy, broken) = match proxy {
        Ok(proxy) => (proxy, None),
        Err(why) => (None, Some(why)),
    };
    Provider {
        keys: known::keys(id, at.get("apiKey").secret(), &base_url, at.env),
        base_url,
        api: api.unwrap_or_default(),
        auth_header: at.get("authHeader").value.as_bool(),
        headers,
        timeout_seconds: at.get("timeoutSeconds").number(),
        proxy,
        broken,
        models: at.get("models").items().map(|own| model(own, at)).collect(),
    }
}

fn base_url(text: String) -> String {
    text.trim_end_matches('/').to_owned()
}

fn model(at: At<'_>, provider: At<'_>) -> Model {
    let id = at.get("id").text().unwrap_or_default();
    let cost = at.get("cost");
    let price = |key| cost.get(key).value.as_f64().unwrap_or_default();
    let input = at.get("input").texts();
    let number = |key| at.get(key).number().or_else(|| provider.get(key).number());
    Model {
        name: at.get("name").text().unwrap_or_else(|| id.clone()),
        id,
        reasoning: at.get("reasoning").flag(false),
        input: if input.is_empty() { vec!["text".to_owned()] } else { input },
        cost: Cost {
            input: price("input"),
            output: price("output"),
            cache_read: price("cacheRead"),
            cache_write: price("cacheWrite"),
        },
        context_window: number("contextWindow").unwrap_or(CONTEXT_WINDOW),
        max_tokens: number("maxTokens").unwrap_or(MAX_TOKENS),
        api: at.get("api").api(),
        base_url: at.get("baseUrl").text().map(base_url),
        headers: at.get("headers").secrets(),
        compat: compat(at.get("compat")),
    }
}

fn compat(at: At<'_>) -> Compat {
    let may = |key| at.get(key).value.as_bool();
    let must = |key| at.get(key).flag(false);
    let map = at.get("reasoningEffortMap");
    Compat {
        developer_role: may("supportsDeveloperRole"),
        reasoning_effort: may("supportsReasoningEffort"),
        temperature: may("supportsTemperature"),
        usage_in_streaming: may("supportsUsageInStreaming"),
        instructions: may("supportsInstructions"),
        tools: may("supportsTools"),
        string_content: must("requiresStringContent"),
        tool_result_name: must("requiresToolResultName"),
        assistant_after_tool_result: must("requiresAssistantAfterToolResult"),
        thinking_as_text: must("requiresThinkingAsText"),
        reasoning_content: must("requiresReasoningContentOnAssistantMessages"),
        reasoning_efforts: at.get("supportedReasoningEfforts").texts(),
        reasoning_effort_map: map
            .entries()
            .filter_map(|(level, at)| Some((level.to_owned(), at.text()?)))
            .collect(),
        max_tokens_field: at.get("maxTokensField").text(),
        thinking_format: at.get("thinkingFormat").text(),
        unsupported_schema_keywords: at.get("unsupportedToolSchemaKeywords").texts(),
    }
}

/// An agent id in lower case; `None` when it is none. The reference turns other characters into
/// `-`; here that would make two ids one, so it is an error.
pub(super) fn agent_id(text: &str) -> Option<String> {
    let id = text.trim().to_ascii_lowercase();
    let fits = !id.is_empty()
        && id.len() <= 64
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    fits.then_some(id)
}

fn messages(at: At<'_>) -> Messages {
    let unset = Queue::default();
    let (queue, inbound, group) = (at.get("queue"), at.get("inbound"), at.get("groupChat"));
    let word = |name: &str| queue.get(name).text();
    Messages {
        queue: Queue {
            mode: word("mode").and_then(|w| QueueMode::from_word(&w)).unwrap_or(unset.mode),
            cap: queue
                .get("cap")
                .number()
                .and_then(|cap| usize::try_from(cap).ok())
                .unwrap_or(unset.cap),
            drop: word("drop").and_then(|w| QueueDrop::from_word(&w)).unwrap_or(unset.drop),
        },
        debounce_ms: inbound.get("debounceMs").number().unwrap_or(0),
        debounce_by_channel: inbound
            .get("byChannel")
            .entries()
            .filter_map(|(id, at)| Some((id.to_owned(), at.number()?)))
            .collect(),
        queue_by_channel: queue
            .get("byChannel")
            .entries()
            .filter_map(|(id, at)| Some((id.to_owned(), QueueMode::from_word(&at.text()?)?)))
            .collect(),
        group_chat: group_chat(group),
        by_tool: by_tool(at.get("visibleReplies")),
        response_prefix: at.get("responsePrefix").text(),
        ack_reaction: at.get("ackReaction").text(),
        ack_scope: at.get("ackReactionScope").text(),
        remove_ack: at.get("removeAckAfterReply").flag(false),
    }
}

fn group_chat(at: At<'_>) -> GroupChat {
    let patterns = at.get("mentionPatterns");
    let unmentioned = at.get("unmentionedInbound").value.as_str();
    GroupChat {
        mention_patterns: patterns.value.is_array().then(|| patterns.texts()),
        history_limit: at.get("historyLimit").number(),
        room_events: unmentioned.map(|word| word == "room_event"),
        by_tool: by_tool(at.get("visibleReplies")),
    }
}

/// `visibleReplies`; older files say true for `automatic`.
fn by_tool(at: At<'_>) -> Option<bool> {
    match at.value {
        Value::String(word) => Some(word == "message_tool"),
        Value::Bool(visible) => Some(!visible),
        _ => None,
    }
}

fn logging(at: At<'_>, paths: &Paths) -> Logging {
    let unset = Logging::default();
    Logging {
        level: level(at.get("level")).unwrap_or(unset.level),
        console_level: level(at.get("consoleLevel")),
        file: at.get("file").text().filter(|path| !path.is_empty()).map(|path| paths.expand(&path)),
        max_file_bytes: at.get("maxFileBytes").number().unwrap_or(unset.max_file_bytes),
    }
}

fn level(at: At<'_>) -> Option<LogLevel> {
    Some(match at.value.as_str()? {
        "silent" => LogLevel::Silent,
        "fatal" => LogLevel::Fatal,
        "error" => LogLevel::Error,
        "warn" => LogLevel::Warn,
        "info" => LogLevel::Info,
        "debug" => LogLevel::Debug,
        "trace" => LogLevel::Trace,
        _ => return None,
    })
}
