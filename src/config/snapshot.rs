//! The typed configuration of a running gateway: immutable, shared as `Rc<Config>`, replaced
//! whole by a reload. No room keeps a copy of its own.
//!
//! [`Config::defaults`] is what an absent file means. Values come from
//! [`crate::config::load::load`], which has already validated them against the key table.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::Value;

use super::agents::Agents;
use super::auth::{IdentityScopes, Proxies, TrustedProxy};
use super::doors::{Embeddings, Endpoints, Hooks, HttpTools};
use super::hands::{Exec, WebFetch};
use super::reach::Reach;
use super::secret::Secret;
use super::secrets::BoundRef;
use super::session::Session;
use super::skills::Skills;
use super::tool_policy::ToolPolicy;

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Section `gateway`.
    pub gateway: Gateway,
    /// `diagnostics.enabled`: what happened lately is recorded, without a word of anybody.
    pub diagnostics: bool,
    /// Section `models`.
    pub models: Models,
    /// Section `agents`.
    pub agents: Agents,
    /// Section `skills`.
    pub skills: Skills,
    /// Section `session`.
    pub session: Session,
    /// Section `cron`.
    pub cron: super::cron::Cron,
    /// Section `messages`.
    pub messages: Messages,
    /// What chat channels read: `channels`, `bindings`, `broadcast`, `commands`, `accessGroups`.
    pub chat: Chat,
    /// How far session tools reach.
    pub reach: Reach,
    /// Section `tools`: which tools agents have.
    pub tools: ToolPolicy,
    /// Section `logging`.
    pub logging: Logging,
    /// Section `tools.exec`.
    pub exec: Exec,
    /// Section `tools.media.audio`.
    pub audio: super::audio::Audio,
    /// Section `tools.web.fetch`.
    pub web_fetch: WebFetch,
    /// Section `hooks`.
    pub hooks: Hooks,
    /// Section `memory.search`.
    pub embeddings: Embeddings,
    /// Where all this came from, for `config.get`.
    pub source: SourceInfo,
    /// Accepted, but without effect or doubtful; each is logged once at start.
    pub warnings: Vec<Issue>,
    /// Every SecretRef of the file and what came of it.
    pub secrets: Vec<BoundRef>,
    /// The environment as the configuration sees it.
    pub env: Env,
    /// What `~` stands for; empty for defaults made of nothing.
    pub home: PathBuf,
}

/// Sections that the room of channels reads by itself, as they stand in the file with secrets in
/// their places; nothing of it is ever printed.
#[derive(Clone, Default)]
pub struct Chat {
    /// Section `channels`.
    pub channels: Value,
    /// Section `bindings`.
    pub bindings: Value,
    /// Section `broadcast`.
    pub broadcast: Value,
    /// Section `commands`.
    pub commands: Value,
    /// Section `accessGroups`.
    pub access_groups: Value,
    /// What `agents.defaults` (`defaults`), an agent (`agents.<id>`) and `session` say of how
    /// replies are written.
    pub replies: Value,
    /// `agents.defaults.mediaMaxMb`: of one file, where the channel does not say.
    pub media_max_mb: Option<f64>,
    /// `attachments.ttlHours`: how long files that came are kept; by default until they are too
    /// many.
    pub media_ttl_hours: Option<f64>,
}

impl std::fmt::Debug for Chat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chat(***)")
    }
}

/// Environment variables: the process's own, then `.env`, then `env` of the file. Values may be
/// secrets, so none is printed.
#[derive(Clone, Default)]
pub struct Env(Rc<BTreeMap<String, String>>);

impl Env {
    /// Keeps a copy.
    pub fn new(env: &BTreeMap<String, String>) -> Self {
        Self(Rc::new(env.clone()))
    }

    /// A variable that is set to something.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All of them.
    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Env({} variables)", self.0.len())
    }
}

/// One finding about a configuration file. As `issues` and `warnings` of `config.get`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Key path such as `gateway.port` or `agents.list[0].id`; empty for the file as a whole.
    pub path: String,
    /// What is wrong, what was expected, what to do. Never holds a secret.
    pub message: String,
    /// The file it stands in; an `$include`d one is named itself.
    pub file: PathBuf,
    /// Line from 1; 0 when there is none (an absent file, an environment variable).
    pub line: usize,
    /// Column in characters from 1; 0 when there is none.
    pub column: usize,
}

impl std::fmt::Display for Issue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        let path = if self.path.is_empty() { "<root>" } else { &self.path };
        write!(f, ": {path}: {}", self.message)
    }
}

/// The file behind a snapshot.
#[derive(Clone, Default)]
pub struct SourceInfo {
    /// The root file.
    pub path: PathBuf,
    /// False when there is no such file and everything is a default.
    pub exists: bool,
    /// The text of the root file, secrets included: redact before showing.
    pub raw: String,
    /// Opaque digest of everything authored (root file and includes), made by
    /// [`crate::config::load::Source::digest`].
    pub hash: String,
    /// The object as written, before includes and substitution. Holds secrets.
    pub authored: Value,
    /// After includes, before `${VAR}` substitution. Holds secrets.
    pub parsed: Value,
    /// After `${VAR}` substitution, before defaults. Holds secrets.
    pub resolved: Value,
    /// `$include`d files in the order read; the watcher polls them too.
    pub includes: Vec<PathBuf>,
}

/// Texts and values hold secrets, so only what does not is printed.
impl std::fmt::Debug for SourceInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceInfo")
            .field("path", &self.path)
            .field("exists", &self.exists)
            .field("hash", &self.hash)
            .field("includes", &self.includes)
            .finish_non_exhaustive()
    }
}

/// `gateway.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The gateway runs on this machine.
    Local,
    /// This machine is a client of a gateway elsewhere.
    Remote,
}

/// `gateway.bind`: which address the port opens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// 127.0.0.1 (and ::1).
    Loopback,
    /// Every interface, 0.0.0.0.
    Lan,
    /// The 100.64.0.0/10 address of this machine.
    Tailnet,
    /// Loopback where it can be, else every interface.
    Auto,
    /// The address in [`Gateway::custom_bind_host`].
    Custom,
}

impl Bind {
    /// Every word of `gateway.bind` and `--bind`.
    pub const WORDS: [&str; 5] = ["loopback", "lan", "tailnet", "auto", "custom"];

    /// From the word in file, flag or environment.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "loopback" => Self::Loopback,
            "lan" => Self::Lan,
            "tailnet" => Self::Tailnet,
            "auto" => Self::Auto,
            "custom" => Self::Custom,
            _ => return None,
        })
    }

    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Lan => "lan",
            Self::Tailnet => "tailnet",
            Self::Auto => "auto",
            Self::Custom => "custom",
        }
    }
}

/// `gateway.auth.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// A shared token.
    Token,
    /// A shared password.
    Password,
    /// Nobody is asked.
    None,
    /// A reverse proxy vouches for users, see [`super::auth::TrustedProxy`].
    TrustedProxy,
}

impl AuthMode {
    /// Every word of `gateway.auth.mode` and `--auth`.
    pub const WORDS: [&str; 4] = ["token", "password", "none", "trusted-proxy"];

    /// From the word in file or flag.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "token" => Self::Token,
            "password" => Self::Password,
            "none" => Self::None,
            "trusted-proxy" => Self::TrustedProxy,
            _ => return None,
        })
    }

    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Password => "password",
            Self::None => "none",
            Self::TrustedProxy => "trusted-proxy",
        }
    }
}

/// Section `gateway`.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// `gateway.channelHealthCheckMinutes`; 0 is never.
    pub channel_health_minutes: u64,
    /// `gateway.channelStaleEventThresholdMinutes`.
    pub channel_stale_minutes: u64,
    /// `gateway.channelMaxRestartsPerHour`.
    pub channel_restarts_per_hour: u64,
    /// `gateway.mode`; absent is not the same as local, see [`crate::config::blocked`].
    pub mode: Option<Mode>,
    /// `gateway.port`.
    pub port: Option<u16>,
    /// `gateway.bind`.
    pub bind: Bind,
    /// `gateway.customBindHost`, an IP literal.
    pub custom_bind_host: Option<String>,
    /// `gateway.auth`.
    pub auth: Auth,
    /// `gateway.handshakeTimeoutMs`.
    pub handshake_timeout_ms: u64,
    /// A new device of this machine that shows the shared secret is paired without a question
    /// (`gateway.nodes.pairing.autoApproveLocal`).
    pub pair_local_silently: bool,
    /// `gateway.http.endpoints`.
    pub endpoints: Endpoints,
    /// `gateway.tools`.
    pub tools: HttpTools,
    /// `gateway.controlUi`.
    pub control_ui: ControlUi,
    /// `gateway.reload`.
    pub reload: Reload,
    /// `gateway.shutdownBudgetMs`.
    pub shutdown: super::ShutdownBudget,
    /// `gateway.nodes`.
    pub nodes: super::NodePolicy,
    /// `gateway.trustedProxies` and `gateway.allowRealIpFallback`.
    pub proxies: Proxies,
    /// `gateway.remote`: the gateway that this machine's commands talk to in remote mode.
    pub remote: Option<Remote>,
    /// `gateway.tls`.
    pub tls: super::Tls,
    /// `gateway.metrics.enabled`: `GET /metrics` answers.
    pub metrics: bool,
    /// `gateway.http.securityHeaders.strictTransportSecurity`: the header's value, if it is sent.
    pub hsts: Option<String>,
}

/// `gateway.auth`.
#[derive(Debug, Clone, Default)]
pub struct Auth {
    /// Absent means: token if there is one, else password if there is one, else token.
    pub mode: Option<AuthMode>,
    /// The shared token.
    pub token: Option<Secret>,
    /// The shared password.
    pub password: Option<Secret>,
    /// `gateway.auth.trustedProxy`; counts in that mode only.
    pub trusted_proxy: Option<TrustedProxy>,
    /// `gateway.auth.identityScopes`.
    pub identity_scopes: IdentityScopes,
    /// `gateway.auth.rateLimit`.
    pub rate_limit: super::RateLimit,
}

/// `gateway.controlUi`.
#[derive(Debug, Clone)]
pub struct ControlUi {
    /// Serve the page at all.
    pub enabled: bool,
    /// Path prefix: empty or `/x`, never a slash at the end.
    pub base_path: String,
    /// Full origins such as `https://host.example`, lower case; `*` stands for any.
    pub allowed_origins: Vec<String>,
    /// Folder of a built page to serve instead of the embedded one.
    pub root: Option<PathBuf>,
}

/// `gateway.reload.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadMode {
    /// Do not look at the file.
    Off,
    /// Apply what needs no restart.
    Hot,
    /// Restart for any change.
    Restart,
    /// Apply what can be, restart for the rest.
    Hybrid,
}

/// `gateway.reload`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reload {
    /// What an edit does.
    pub mode: ReloadMode,
    /// The file must be still this long.
    pub debounce_ms: u64,
    /// How long a restart waits for active runs.
    pub deferral_timeout_ms: u64,
}

/// `gateway.remote`.
#[derive(Debug, Clone)]
pub struct Remote {
    /// `ws://` or `wss://` address.
    pub url: String,
    /// Its token.
    pub token: Option<Secret>,
    /// Its password.
    pub password: Option<Secret>,
    /// SHA-256 of the one certificate that it may show.
    pub tls_fingerprint: Option<[u8; 32]>,
    /// `transport: "ssh"`, the default; `None` is `direct`. No ssh is ever started: it is what a
    /// command advises when nothing answers at an address of this machine.
    pub tunnel: Option<Tunnel>,
}

/// The tunnel behind [`Remote::url`]: `sshTarget`, `remotePort`, `sshIdentity`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tunnel {
    /// `user@host`.
    pub target: Option<String>,
    /// The gateway's port there.
    pub port: Option<u16>,
    /// A file with a key.
    pub identity: Option<String>,
}

impl Tunnel {
    /// What to type so that this port leads to the gateway. What would not survive a shell as it
    /// stands is left for the person to put in.
    pub fn command(&self, local_port: u16) -> String {
        fn plain<'a>(text: &'a Option<String>, or: &'a str) -> &'a str {
            let safe = |c: char| c.is_ascii_alphanumeric() || "@._:/~-".contains(c);
            let safe = |text: &&str| text.chars().all(safe) && !text.starts_with('-');
            text.as_deref()
                .filter(|text| !text.is_empty())
                .map_or(or, |text| Some(text).filter(safe).unwrap_or(or))
        }
        let port = self.port.unwrap_or(super::paths::DEFAULT_PORT);
        let identity = match self.identity {
            Some(_) => format!("-i {} ", plain(&self.identity, "<key>")),
            None => String::new(),
        };
        let target = plain(&self.target, "user@host");
        format!("ssh -N -L {local_port}:127.0.0.1:{port} {identity}{target}")
    }
}

/// Section `models`.
#[derive(Debug, Clone, Default)]
pub struct Models {
    /// By provider id as written.
    pub providers: BTreeMap<String, Provider>,
    /// The well-known ones, with the keys of the environment ([`super::known`]).
    pub implied: BTreeMap<String, Provider>,
}

impl Models {
    /// A provider by its id: as configured, else as everybody knows it.
    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers.get(id).or_else(|| self.implied.get(id))
    }

    /// What the configuration says of a model.
    pub fn model(&self, provider: &str, model: &str) -> Option<&Model> {
        self.provider(provider)?.models.iter().find(|known| known.id == model)
    }
}

/// A key of a provider and where it comes from.
#[derive(Debug, Clone)]
pub struct Key {
    /// `models.providers.<id>.apiKey` or the environment variable: for people, no secret.
    pub name: String,
    /// The key.
    pub secret: Secret,
}

/// An HTTP proxy on the way to a provider.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Name or address literal, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Value of `Proxy-Authorization`, if its address had a user and a password.
    pub authorization: Option<Secret>,
}

/// `models.providers.*.api`: the dialect, by the reference's word. Those that are not spoken are
/// refused when a model is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api(String);

impl Api {
    /// From the word in the file.
    pub fn new(word: &str) -> Self {
        Self(word.to_owned())
    }

    /// The word in the file.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a provider speaks that does not say.
impl Default for Api {
    fn default() -> Self {
        Self::new("openai-completions")
    }
}

/// `models.providers.<id>`.
#[derive(Debug, Clone, Default)]
pub struct Provider {
    /// `http://` or `https://`, without a slash at the end.
    pub base_url: String,
    /// The dialect.
    pub api: Api,
    /// Its keys in the order in which they are tried; the header is the dialect's.
    pub keys: Vec<Key>,
    /// True: the key goes into `Authorization`, whatever the dialect. False: it does not go
    /// there, so not at all where that is the dialect's own header.
    pub auth_header: Option<bool>,
    /// Extra request headers; values may be credentials.
    pub headers: BTreeMap<String, Secret>,
    /// Time for a whole answer.
    pub timeout_seconds: Option<u64>,
    /// On the way to it.
    pub proxy: Option<Proxy>,
    /// Why it cannot be called, whatever is asked.
    pub broken: Option<String>,
    /// Its models in the order written.
    pub models: Vec<Model>,
}

/// `models.providers.<id>.models[]`.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// The id the provider knows, without the provider's prefix.
    pub id: String,
    /// For people; the id when absent.
    pub name: String,
    /// It thinks before it answers.
    pub reasoning: bool,
    /// `text`, `image`, ...; `["text"]` when absent.
    pub input: Vec<String>,
    /// US dollars per million tokens.
    pub cost: Cost,
    /// Tokens in and out together.
    pub context_window: u64,
    /// Tokens of one answer.
    pub max_tokens: u64,
    /// Its own dialect, when it differs from the provider's.
    pub api: Option<Api>,
    /// Its own address, when it differs from the provider's.
    pub base_url: Option<String>,
    /// Its own headers, instead of the provider's of the same names.
    pub headers: BTreeMap<String, Secret>,
    /// In what its endpoint differs from the inventor's of its dialect.
    pub compat: Compat,
}

/// `models.providers.*.models[].compat`: in what an endpoint differs. `None` is the dialect's
/// default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compat {
    /// `supportsDeveloperRole`: takes `developer` messages.
    pub developer_role: Option<bool>,
    /// `supportsReasoningEffort`: takes a level in words.
    pub reasoning_effort: Option<bool>,
    /// `supportsTemperature`.
    pub temperature: Option<bool>,
    /// `supportsUsageInStreaming`: takes `stream_options`.
    pub usage_in_streaming: Option<bool>,
    /// `supportsInstructions`: takes the system prompt beside the conversation.
    pub instructions: Option<bool>,
    /// `supportsTools`.
    pub tools: Option<bool>,
    /// `requiresStringContent`: a message is one string.
    pub string_content: bool,
    /// `requiresToolResultName`.
    pub tool_result_name: bool,
    /// `requiresAssistantAfterToolResult`.
    pub assistant_after_tool_result: bool,
    /// `requiresThinkingAsText`: thinking goes back as text.
    pub thinking_as_text: bool,
    /// `requiresReasoningContentOnAssistantMessages`.
    pub reasoning_content: bool,
    /// `supportedReasoningEfforts`: the levels it takes; empty when nobody said.
    pub reasoning_efforts: Vec<String>,
    /// `reasoningEffortMap`: its word by our level.
    pub reasoning_effort_map: BTreeMap<String, String>,
    /// `maxTokensField`: `max_tokens` or `max_completion_tokens`.
    pub max_tokens_field: Option<String>,
    /// `thinkingFormat`.
    pub thinking_format: Option<String>,
    /// `unsupportedToolSchemaKeywords`.
    pub unsupported_schema_keywords: Vec<String>,
}

/// US dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// Prompt.
    pub input: f64,
    /// Answer.
    pub output: f64,
    /// Prompt read from the provider's cache.
    pub cache_read: f64,
    /// Prompt written to the provider's cache.
    pub cache_write: f64,
}

/// `messages`.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    /// What messages do that come while their session is busy.
    pub queue: Queue,
    /// Messages of one sender that come within so many milliseconds are one.
    pub debounce_ms: u64,
    /// `messages.inbound.byChannel`: the same for one channel.
    pub debounce_by_channel: BTreeMap<String, u64>,
    /// `messages.queue.byChannel`.
    pub queue_by_channel: BTreeMap<String, QueueMode>,
    /// `messages.groupChat`.
    pub group_chat: super::agents::GroupChat,
    /// `messages.visibleReplies` is `message_tool`.
    pub by_tool: Option<bool>,
    /// `messages.responsePrefix`.
    pub response_prefix: Option<String>,
    /// `messages.ackReaction`.
    pub ack_reaction: Option<String>,
    /// `messages.ackReactionScope`.
    pub ack_scope: Option<String>,
    /// `messages.removeAckAfterReply`.
    pub remove_ack: bool,
}

/// `messages.queue`.
#[derive(Debug, Clone)]
pub struct Queue {
    /// For messages that do not say.
    pub mode: QueueMode,
    /// Messages that wait in one session; then `drop` decides.
    pub cap: usize,
    /// What happens beyond the cap.
    pub drop: QueueDrop,
}

impl Default for Queue {
    fn default() -> Self {
        Self { mode: QueueMode::Steer, cap: 20, drop: QueueDrop::Summarize }
    }
}

/// What a message does while its session has a run (reference: docs/concepts/queue.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueMode {
    /// It is said to the model of that run, at its next turn.
    Steer,
    /// It waits for a run of its own.
    Followup,
    /// It waits for a run together with its likes.
    Collect,
    /// It ends that run and takes its place.
    Interrupt,
}

impl QueueMode {
    /// Every word of `messages.queue.mode`.
    pub const WORDS: [&str; 4] = ["steer", "followup", "collect", "interrupt"];

    /// By its word.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "steer" => Self::Steer,
            "followup" => Self::Followup,
            "collect" => Self::Collect,
            "interrupt" => Self::Interrupt,
            _ => return None,
        })
    }
}

/// What a full queue does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueDrop {
    /// What waits becomes one turn.
    Summarize,
    /// The oldest that waits is cancelled.
    Old,
    /// The newest is refused.
    New,
}

impl QueueDrop {
    /// Every word of `messages.queue.drop`.
    pub const WORDS: [&str; 3] = ["summarize", "old", "new"];

    /// By its word.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "summarize" => Self::Summarize,
            "old" => Self::Old,
            "new" => Self::New,
            _ => return None,
        })
    }
}

/// `logging.level` and `logging.consoleLevel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing.
    Silent,
    /// Only what ends the process.
    Fatal,
    /// Failures.
    Error,
    /// Doubts.
    Warn,
    /// The day's events.
    Info,
    /// Decisions.
    Debug,
    /// Everything.
    Trace,
}

/// Section `logging`.
#[derive(Debug, Clone)]
pub struct Logging {
    /// For the file.
    pub level: LogLevel,
    /// For standard output; the file's level when absent.
    pub console_level: Option<LogLevel>,
    /// Where; `None` is the rolling default in the state directory or /tmp.
    pub file: Option<PathBuf>,
    /// A file grows no larger.
    pub max_file_bytes: u64,
}

impl Config {
    /// What an absent file means.
    pub fn defaults() -> Self {
        Self {
            gateway: Gateway::default(),
            diagnostics: true,
            models: Models::default(),
            agents: Agents::default(),
            skills: Skills::default(),
            session: Session::default(),
            cron: super::cron::Cron::default(),
            messages: Messages::default(),
            chat: Chat::default(),
            reach: Reach::default(),
            tools: ToolPolicy::default(),
            logging: Logging::default(),
            exec: Exec::default(),
            audio: super::audio::Audio::default(),
            web_fetch: WebFetch::default(),
            hooks: Hooks::default(),
            embeddings: Embeddings::default(),
            source: SourceInfo::default(),
            warnings: Vec::new(),
            secrets: Vec::new(),
            env: Env::default(),
            home: PathBuf::new(),
        }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            channel_health_minutes: 5,
            channel_stale_minutes: 30,
            channel_restarts_per_hour: 10,
            mode: None,
            port: None,
            bind: Bind::Loopback,
            custom_bind_host: None,
            auth: Auth::default(),
            handshake_timeout_ms: crate::limits::WS_HANDSHAKE_MS,
            pair_local_silently: true,
            endpoints: Endpoints::default(),
            tools: HttpTools::default(),
            control_ui: ControlUi {
                enabled: true,
                base_path: String::new(),
                allowed_origins: Vec::new(),
                root: None,
            },
            reload: Reload {
                mode: ReloadMode::Hybrid,
                debounce_ms: 300,
                deferral_timeout_ms: 300_000,
            },
            shutdown: super::ShutdownBudget::default(),
            nodes: super::NodePolicy::default(),
            proxies: Proxies::default(),
            remote: None,
            tls: super::Tls::default(),
            metrics: false,
            hsts: None,
        }
    }
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            console_level: None,
            file: None,
            max_file_bytes: crate::limits::LOG_FILE,
        }
    }
}
