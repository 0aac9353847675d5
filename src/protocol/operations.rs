//! The operations table: every method the gateway answers, with what it takes to call it.
//!
//! `hello-ok.features.methods`, dispatch, the scope check of every door and the parameter check
//! are read from here. `Op` has one variant a row and the gateway matches on it exhaustively,
//! so a method without a handler does not compile, and nothing is listed that only answers
//! with an error.

use super::params::{Field, Kind, may, must};
use serde_json::{Map, Value};

/// What the caller must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Nothing: any connected operator or node.
    None,
    /// This operator scope (or `operator.admin`; `write` includes `read`).
    Operator(&'static str),
    /// The node role; no operator may.
    Node,
}

/// `operator.read`.
pub const READ: Scope = Scope::Operator("operator.read");
/// `operator.write`.
pub const WRITE: Scope = Scope::Operator("operator.write");
/// `operator.approvals`.
pub const APPROVALS: Scope = Scope::Operator("operator.approvals");
/// `operator.pairing`.
pub const PAIRING: Scope = Scope::Operator("operator.pairing");
/// `operator.admin`.
pub const ADMIN: Scope = Scope::Operator("operator.admin");

/// Which protocol generations know the method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Protocol 3 and 4.
    V3,
    /// Only protocol 4.
    V4,
    /// Only protocol 3.
    V3Only,
}

/// The scope that these parameters take, if it is another than the row's.
pub type ByParams = fn(&Map<String, Value>) -> Option<&'static str>;

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Method name on the wire.
    pub name: &'static str,
    /// Its handler, by name.
    pub op: Op,
    /// What the caller must hold.
    pub scope: Scope,
    /// The scope that certain parameters take instead (`dynamic` in the published list).
    pub raised: Option<ByParams>,
    /// Its parameters.
    pub params: &'static [Field],
    /// Tolerates unknown parameters, as the reference does for the methods that clients call
    /// with odd ones.
    pub open: bool,
    /// Where it exists.
    pub since: Since,
}

/// The handlers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is the method of its row")]
pub enum Op {
    Agent,
    AgentIdentityGet,
    AgentWait,
    AgentsCreate,
    AgentsDelete,
    AgentsFilesGet,
    AgentsFilesList,
    AgentsFilesSet,
    AgentsList,
    AgentsUpdate,
    ChannelsDeadLettersDrop,
    ChannelsDeadLettersList,
    ChannelsDeadLettersResubmit,
    ChannelsLogout,
    ChannelsPairingApprove,
    ChannelsPairingDismiss,
    ChannelsPairingList,
    ChannelsStart,
    ChannelsStatus,
    ChannelsStop,
    ChatAbort,
    ChatHistory,
    ChatInject,
    ChatMessageGet,
    ChatMetadata,
    ChatSend,
    ChatStartup,
    CommandsList,
    ConfigApply,
    ConfigGet,
    ConfigOpenFile,
    ConfigPatch,
    ConfigSchema,
    ConfigSchemaLookup,
    ConfigSet,
    CronAdd,
    CronGet,
    CronList,
    CronRemove,
    CronRun,
    CronRuns,
    CronStatus,
    CronUpdate,
    DevicePairApprove,
    DevicePairList,
    DevicePairReject,
    DevicePairRemove,
    DevicePairRename,
    DevicePairSetupCode,
    DevicePairSetupStatus,
    DeviceScopesRequestUpgrade,
    DeviceScopesWaitUpgrade,
    DeviceTokenRevoke,
    DeviceTokenRotate,
    DiagnosticsStability,
    ExecApprovalGet,
    ExecApprovalList,
    ExecApprovalRequest,
    ExecApprovalResolve,
    ExecApprovalWaitDecision,
    ExecApprovalsGet,
    ExecApprovalsNodeGet,
    ExecApprovalsNodeSet,
    ExecApprovalsSet,
    GatewayIdentityGet,
    Health,
    LastHeartbeat,
    LogsTail,
    MessageAction,
    ModelsAuthStatus,
    ModelsList,
    ModelsProbe,
    NodeDescribe,
    NodeEvent,
    NodeInvoke,
    NodeInvokeProgress,
    NodeInvokeResult,
    NodeList,
    NodePairApprove,
    NodePairList,
    NodePairReject,
    NodePairRemove,
    NodePendingAck,
    NodePendingDrain,
    NodePendingEnqueue,
    NodePendingPull,
    NodePluginSurfaceRefresh,
    NodePluginToolsUpdate,
    NodeRename,
    NodeSkillsUpdate,
    PluginApprovalList,
    SecretsReload,
    SecretsResolve,
    Poll,
    Send,
    SessionsAbort,
    SessionsCompact,
    SessionsCreate,
    SessionsDelete,
    SessionsDescribe,
    SessionsList,
    SessionsMessagesSubscribe,
    SessionsMessagesUnsubscribe,
    SessionsPatch,
    SessionsPreview,
    SessionsReset,
    SessionsResolve,
    SessionsSend,
    SessionsSubscribe,
    SessionsUnsubscribe,
    SessionsUsage,
    SessionsUsageLogs,
    SessionsUsageTimeseries,
    SetHeartbeats,
    SkillsBins,
    SkillsStatus,
    Status,
    SystemEvent,
    SystemPresence,
    ToolsCatalog,
    ToolsEffective,
    ToolsInvoke,
    UsageCost,
    UsageStatus,
    VoicewakeGet,
    VoicewakeRoutingGet,
    VoicewakeSet,
    Wake,
}

/// Longest session key (reference: 512 characters).
pub const SESSION_KEY: Kind = Kind::Text(512);
const ID: Kind = Kind::Text(512);
const MS: Kind = Kind::Int(0, 9_007_199_254_740_991);
const COUNT: Kind = Kind::Int(0, 9_007_199_254_740_991);

const WORD: Kind = Kind::Nullable(&Kind::Str);
const OF_JOB: &[Field] = &[may("id", ID), may("jobId", ID)];
const CRON_ADD: &[Field] = &[
    must("name", Kind::Text(200)),
    may("declarationKey", Kind::Text(200)),
    may("displayName", Kind::Text(200)),
    may("owner", Kind::Obj),
    may("agentId", Kind::Nullable(&Kind::Text(64))),
    may("sessionKey", Kind::Nullable(&SESSION_KEY)),
    may("description", Kind::Str),
    may("enabled", Kind::Bool),
    may("deleteAfterRun", Kind::Bool),
    must("schedule", Kind::Obj),
    may("pacing", Kind::Nullable(&Kind::Obj)),
    may("trigger", Kind::Nullable(&Kind::Obj)),
    may("sessionTarget", Kind::Text(512)),
    may("wakeMode", Kind::OneOf(&["now", "next-heartbeat"])),
    must("payload", Kind::Obj),
    may("delivery", Kind::Nullable(&Kind::Obj)),
    may("failureAlert", Kind::Any),
];
const CRON_PATCH: &[Field] = &[
    may("name", Kind::Text(200)),
    may("displayName", Kind::Nullable(&Kind::Text(200))),
    may("agentId", Kind::Nullable(&Kind::Text(64))),
    may("sessionKey", Kind::Nullable(&SESSION_KEY)),
    may("description", Kind::Str),
    may("enabled", Kind::Bool),
    may("deleteAfterRun", Kind::Bool),
    may("schedule", Kind::Obj),
    may("pacing", Kind::Nullable(&Kind::Obj)),
    may("trigger", Kind::Nullable(&Kind::Obj)),
    may("sessionTarget", Kind::Text(512)),
    may("wakeMode", Kind::OneOf(&["now", "next-heartbeat"])),
    may("payload", Kind::Obj),
    may("delivery", Kind::Nullable(&Kind::Obj)),
    may("failureAlert", Kind::Any),
    may("state", Kind::Obj),
];
const CRON_LIST: &[Field] = &[
    may("includeDisabled", Kind::Bool),
    may("limit", Kind::Int(1, 200)),
    may("offset", COUNT),
    may("query", Kind::Str),
    may("enabled", Kind::OneOf(&["all", "enabled", "disabled"])),
    may("scheduleKind", Kind::OneOf(&["all", "at", "every", "cron", "on-exit", "stream"])),
    may("lastRunStatus", Kind::OneOf(&["all", "ok", "error", "skipped", "unknown"])),
    may("trigger", Kind::OneOf(&["all", "conditional", "unconditional"])),
    may("sortBy", Kind::OneOf(&["nextRunAtMs", "updatedAtMs", "name"])),
    may("sortDir", Kind::OneOf(&["asc", "desc"])),
    may("agentId", ID),
    may("compact", Kind::Bool),
    may("includeDeliveryPreviews", Kind::Bool),
];
const CRON_RUNS: &[Field] = &[
    may("agentId", ID),
    may("scope", Kind::OneOf(&["job", "all"])),
    may("id", ID),
    may("jobId", ID),
    may("runId", ID),
    may("limit", Kind::Int(1, 200)),
    may("offset", COUNT),
    may("statuses", Kind::Strings),
    may("status", Kind::OneOf(&["all", "ok", "error", "skipped"])),
    may("deliveryStatuses", Kind::Strings),
    may("deliveryStatus", Kind::OneOf(&["delivered", "not-delivered", "unknown", "not-requested"])),
    may("query", Kind::Str),
    may("sortDir", Kind::OneOf(&["asc", "desc"])),
];
const EXEC_APPROVAL_REQUEST: &[Field] = &[
    may("id", ID),
    may("command", Kind::Text(usize::MAX)),
    may("commandArgv", Kind::Strings),
    may("systemRunPlan", Kind::Obj),
    may("env", Kind::Obj),
    may("cwd", WORD),
    may("nodeId", WORD),
    may("host", WORD),
    may("security", WORD),
    may("ask", WORD),
    may("warningText", WORD),
    may("scope", Kind::Obj),
    may("unavailableDecisions", Kind::Arr),
    may("commandSpans", Kind::Arr),
    may("agentId", WORD),
    may("resolvedPath", WORD),
    may("sessionKey", WORD),
    may("sessionId", WORD),
    may("runId", WORD),
    may("toolCallId", WORD),
    may("turnSourceChannel", WORD),
    may("turnSourceTo", WORD),
    may("turnSourceAccountId", WORD),
    may("turnSourceThreadId", Kind::Any),
    may("approvalReviewerDeviceIds", Kind::Arr),
    may("requireDeliveryRoute", Kind::Bool),
    may("suppressDelivery", Kind::Bool),
    may("deliverToApprovalClientsOnly", Kind::Bool),
    may("timeoutMs", Kind::Int(1, 9_007_199_254_740_991)),
    may("twoPhase", Kind::Bool),
];

const AGENT: &[Field] = &[
    must("message", Kind::Text(usize::MAX)),
    may("agentId", Kind::Str),
    may("provider", Kind::Str),
    may("model", Kind::Str),
    may("to", Kind::Str),
    may("replyTo", Kind::Str),
    may("sessionId", ID),
    may("sessionKey", SESSION_KEY),
    may("thinking", Kind::Str),
    may("deliver", Kind::Bool),
    may("attachments", Kind::Arr),
    may("channel", Kind::Str),
    may("replyChannel", Kind::Str),
    may("accountId", Kind::Str),
    may("replyAccountId", Kind::Str),
    may("threadId", Kind::Str),
    may("groupId", Kind::Str),
    may("groupChannel", Kind::Str),
    may("groupSpace", Kind::Str),
    may("timeout", Kind::Int(0, 9_007_199_254_740_991)),
    may("bestEffortDeliver", Kind::Bool),
    may("lane", Kind::Str),
    may("extraSystemPrompt", Kind::Str),
    may("internalEvents", Kind::Arr),
    may("inputProvenance", Kind::Obj),
    may("voiceWakeTrigger", Kind::Str),
    may("workspaceDir", Kind::Str),
    may("label", Kind::Text(512)),
    may("spawnedBy", Kind::Str),
    may("expectedExistingSessionId", ID),
    may("cwd", Kind::Str),
    may("cleanupBundleMcpOnRunEnd", Kind::Bool),
    may("modelRun", Kind::Bool),
    may("promptMode", Kind::OneOf(&["full", "minimal", "none"])),
    may("bootstrapContextMode", Kind::OneOf(&["full", "lightweight"])),
    may("bootstrapContextRunKind", Kind::OneOf(&["default", "heartbeat", "cron"])),
    may("sourceReplyDeliveryMode", Kind::OneOf(&["automatic", "message_tool_only"])),
    may("disableMessageTool", Kind::Bool),
    must("idempotencyKey", Kind::Text(256)),
];

/// Guards of the schema that we could not honour (`expectedLeafEntryId`, routing contracts, tool
/// bindings, permission modes) are left out on purpose: a client that sends one is told.
const CHAT_SEND: &[Field] = &[
    must("sessionKey", SESSION_KEY),
    may("sessionId", ID),
    must("message", Kind::Str),
    may("agentId", Kind::Str),
    may("thinking", Kind::Str),
    may("fastMode", Kind::Any),
    may("fastAutoOnSeconds", Kind::Int(1, 9_007_199_254_740_991)),
    may("deliver", Kind::Bool),
    may("queueMode", Kind::OneOf(&["steer", "followup", "collect", "interrupt"])),
    may("replyToId", ID),
    may("suppressCommandInterpretation", Kind::Bool),
    may("attachments", Kind::Arr),
    may("timeoutMs", MS),
    may("originatingChannel", Kind::Str),
    may("originatingTo", Kind::Str),
    may("originatingAccountId", Kind::Str),
    may("originatingThreadId", Kind::Str),
    may("systemInputProvenance", Kind::Obj),
    may("systemProvenanceReceipt", Kind::Str),
    must("idempotencyKey", Kind::Text(256)),
];

/// The text of a whole configuration, as long as one may be.
const CONFIG_RAW: Kind = Kind::Text(4 * 1024 * 1024);

const CONFIG_WRITE: &[Field] = &[
    must("raw", CONFIG_RAW),
    may("baseHash", Kind::Text(256)),
    may("sessionKey", Kind::Str),
    may("deliveryContext", Kind::Obj),
    may("note", Kind::Str),
    may("restartDelayMs", COUNT),
];

const CONFIG_PATCH: &[Field] = &[
    must("raw", CONFIG_RAW),
    may("baseHash", Kind::Text(256)),
    may("sessionKey", Kind::Str),
    may("deliveryContext", Kind::Obj),
    may("note", Kind::Str),
    may("restartDelayMs", COUNT),
    may("replacePaths", Kind::Strings),
];

const CHAT_HISTORY: &[Field] = &[
    must("sessionKey", SESSION_KEY),
    may("agentId", Kind::Str),
    may("sessionId", ID),
    may("limit", Kind::Int(1, 1000)),
    may("offset", COUNT),
    may("cursor", Kind::Str),
    may("messageId", ID),
    may("pendingBefore", Kind::Int(1, 9_007_199_254_740_991)),
    may("inputRunIds", Kind::Strings),
    may("maxChars", Kind::Int(1, 500_000)),
    may("maxBytes", Kind::Int(1, 100_000_000)),
];

const SESSIONS_LIST: &[Field] = &[
    may("limit", Kind::Int(1, 10_000)),
    may("offset", COUNT),
    may("activeMinutes", Kind::Int(1, 10_000_000)),
    may("includeGlobal", Kind::Bool),
    may("includeUnknown", Kind::Bool),
    may("configuredAgentsOnly", Kind::Bool),
    may("includeDerivedTitles", Kind::Bool),
    may("includeLastMessage", Kind::Bool),
    may("requireLastInteraction", Kind::Bool),
    may("includePeople", Kind::Bool),
    may("involvingMe", Kind::Bool),
    may("involvingProfileId", ID),
    may("boardFace", Kind::OneOf(&["chat", "dashboard"])),
    may("creatorId", ID),
    may("ownerId", ID),
    may("archived", Kind::Any),
    may("ownerFirst", Kind::Bool),
    may("label", Kind::Text(512)),
    may("spawnedBy", Kind::Str),
    may("agentId", Kind::Str),
    may("search", Kind::Str),
    may("sortBy", Kind::OneOf(&["updatedAt", "lastInteractionAt"])),
];

const NAME: Kind = Kind::Text(512);
const NAME_OR_NULL: Kind = Kind::Nullable(&NAME);
const STR_OR_NULL: Kind = Kind::Nullable(&Kind::Str);

/// Of the schema's parameters those for forks, worktrees, projects, nodes and incognito sessions
/// are left out: a client that sends one is told that it is not known here.
const SESSIONS_CREATE: &[Field] = &[
    may("key", SESSION_KEY),
    may("idempotencyKey", Kind::Text(256)),
    may("agentId", ID),
    may("label", NAME),
    may("displayName", Kind::Text(500)),
    may("category", NAME),
    may("model", ID),
    may("thinkingLevel", ID),
    may("fastMode", Kind::Any),
    may("visibility", Kind::OneOf(&["shared"])),
    may("parentSessionKey", SESSION_KEY),
    may("emitCommandHooks", Kind::Bool),
    may("succeedsParent", Kind::Bool),
    may("task", Kind::Str),
    may("message", Kind::Str),
    may("attachments", Kind::Arr),
];

/// Permission modes, tool overlays and context windows of the schema are left out: nothing here
/// would honour them.
const SESSIONS_PATCH: &[Field] = &[
    must("key", SESSION_KEY),
    may("agentId", ID),
    may("expectedSessionId", ID),
    may("expectedLifecycleRevision", ID),
    may("expectedMarkedUnreadAt", Kind::Nullable(&Kind::Num)),
    may("label", NAME_OR_NULL),
    may("icon", STR_OR_NULL),
    may("color", STR_OR_NULL),
    may("category", NAME_OR_NULL),
    may("boardFace", Kind::OneOf(&["chat", "dashboard"])),
    may("statusNote", Kind::Nullable(&Kind::Text(120))),
    may(
        "attention",
        Kind::Nullable(&Kind::OneOf(&["hand", "key", "alert", "flag", "lock", "hourglass"])),
    ),
    may("archived", Kind::Bool),
    may("pinned", Kind::Bool),
    may("unread", Kind::Bool),
    may("thinkingLevel", NAME_OR_NULL),
    may("fastMode", Kind::Any),
    may("verboseLevel", NAME_OR_NULL),
    may("traceLevel", NAME_OR_NULL),
    may("reasoningLevel", NAME_OR_NULL),
    may("responseUsage", Kind::Nullable(&Kind::OneOf(&["off", "tokens", "full", "on"]))),
    may("elevatedLevel", NAME_OR_NULL),
    may("execHost", NAME_OR_NULL),
    may("execSecurity", NAME_OR_NULL),
    may("execAsk", NAME_OR_NULL),
    may("execNode", NAME_OR_NULL),
    may("model", NAME_OR_NULL),
    may("queueMode", NAME_OR_NULL),
    may("sendPolicy", Kind::Nullable(&Kind::OneOf(&["allow", "deny"]))),
    may("groupActivation", Kind::Nullable(&Kind::OneOf(&["mention", "always"]))),
];

const SESSIONS_USAGE: &[Field] = &[
    may("key", SESSION_KEY),
    may("agentId", ID),
    may("agentScope", Kind::OneOf(&["all"])),
    may("startDate", Kind::Str),
    may("endDate", Kind::Str),
    may("days", Kind::Int(1, 100_000)),
    may("mode", Kind::OneOf(&["utc", "gateway", "specific"])),
    may("range", Kind::OneOf(&["7d", "30d", "90d", "1y", "all"])),
    may("groupBy", Kind::OneOf(&["instance", "family"])),
    may("includeHistorical", Kind::Bool),
    may("utcOffset", Kind::Str),
    may("timeZone", Kind::Str),
    may("limit", Kind::Int(1, 100_000)),
    may("includeContextWeight", Kind::Bool),
];
const USAGE_OF_SESSION: &[Field] =
    &[must("key", SESSION_KEY), may("agentId", ID), may("limit", Kind::Int(1, 100_000))];

const NODE_ID: &[Field] = &[must("nodeId", ID)];
const REQUEST_ID: &[Field] = &[must("requestId", ID)];
const NODE_EVENT: &[Field] =
    &[must("event", ID), may("payload", Kind::Any), may("payloadJSON", Kind::Str)];
const NODE_ERROR: &[Field] = &[may("code", ID), may("message", Kind::Text(65_536))];
const NODE_INVOKE: &[Field] = &[
    must("nodeId", ID),
    must("command", ID),
    may("params", Kind::Any),
    may("timeoutMs", MS),
    must("idempotencyKey", Kind::Text(256)),
    may("sessionKey", SESSION_KEY),
    may("turnSourceChannel", Kind::Str),
    may("turnSourceTo", Kind::Str),
    may("turnSourceAccountId", Kind::Str),
    may("turnSourceThreadId", Kind::Any),
];

const CHANNEL_ACCOUNT: &[Field] = &[must("channel", ID), may("accountId", Kind::Str)];
const DEAD_LETTER: &[Field] =
    &[must("eventId", ID), may("channel", Kind::Str), may("accountId", Kind::Str)];
const CHANNEL_PAIRING: &[Field] = &[
    must("channel", ID),
    may("accountId", Kind::Str),
    may("requestId", Kind::Str),
    may("code", Kind::Str),
    may("notify", Kind::Bool),
    may("bootstrapCommandOwner", Kind::Bool),
];

const fn row(
    name: &'static str,
    op: Op,
    scope: Scope,
    params: &'static [Field],
    since: Since,
) -> Operation {
    Operation { name, op, scope, raised: None, params, open: false, since }
}

const fn open(name: &'static str, op: Op, scope: Scope) -> Operation {
    Operation { name, op, scope, raised: None, params: &[], open: true, since: Since::V3 }
}

/// The same row, whose scope depends on its parameters.
const fn by_params(row: Operation, raised: ByParams) -> Operation {
    Operation { raised: Some(raised), ..row }
}

/// `agent`: to begin a session anew is `sessions.reset`, and a model of the caller's choice is
/// an owner's matter (as `x-openclaw-model` over HTTP).
fn agent_scope(params: &Map<String, Value>) -> Option<&'static str> {
    let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default().trim();
    let message = text("message").to_ascii_lowercase();
    let word = message.split(|c: char| c.is_whitespace() || c == ':').next();
    let anew = matches!(word, Some("/new" | "/reset"));
    let chooses = !text("model").is_empty() || !text("provider").is_empty();
    (anew || chooses).then_some("operator.admin")
}

/// Fields of `sessions.patch` that put a session in order; the others change what runs may do.
const ORDERING: [&str; 19] = [
    "key",
    "agentId",
    "expectedSessionId",
    "expectedLifecycleRevision",
    "expectedMarkedUnreadAt",
    "label",
    "icon",
    "color",
    "category",
    "boardFace",
    "statusNote",
    "attention",
    "archived",
    "pinned",
    "unread",
    "model",
    "thinkingLevel",
    "fastMode",
    "displayName",
];

fn patch_scope(params: &Map<String, Value>) -> Option<&'static str> {
    let ordering = params.keys().all(|name| ORDERING.contains(&name.as_str()));
    (!ordering).then_some("operator.admin")
}

/// Every operation, sorted by name.
pub const OPERATIONS: &[Operation] = &[
    by_params(row("agent", Op::Agent, WRITE, AGENT, Since::V3), agent_scope),
    row(
        "agent.identity.get",
        Op::AgentIdentityGet,
        READ,
        &[may("agentId", ID), may("sessionKey", Kind::Str)],
        Since::V3,
    ),
    row("agent.wait", Op::AgentWait, WRITE, &[must("runId", ID), may("timeoutMs", MS)], Since::V3),
    row(
        "agents.create",
        Op::AgentsCreate,
        ADMIN,
        &[
            must("name", ID),
            may("workspace", Kind::Text(4096)),
            may("model", ID),
            may("emoji", Kind::Str),
            may("avatar", Kind::Str),
        ],
        Since::V3,
    ),
    row(
        "agents.delete",
        Op::AgentsDelete,
        ADMIN,
        &[must("agentId", ID), may("deleteFiles", Kind::Bool)],
        Since::V3,
    ),
    row(
        "agents.files.get",
        Op::AgentsFilesGet,
        READ,
        &[must("agentId", ID), must("name", ID)],
        Since::V3,
    ),
    row("agents.files.list", Op::AgentsFilesList, READ, &[must("agentId", ID)], Since::V3),
    row(
        "agents.files.set",
        Op::AgentsFilesSet,
        ADMIN,
        &[must("agentId", ID), must("name", ID), must("content", Kind::Str)],
        Since::V3,
    ),
    row("agents.list", Op::AgentsList, READ, &[may("includeDetails", Kind::Bool)], Since::V3),
    row(
        "agents.update",
        Op::AgentsUpdate,
        ADMIN,
        &[
            must("agentId", ID),
            may("name", ID),
            may("workspace", Kind::Text(4096)),
            may("model", Kind::Nullable(&ID)),
            may("emoji", Kind::Str),
            may("avatar", Kind::Str),
        ],
        Since::V3,
    ),
    row("channels.deadLetters.drop", Op::ChannelsDeadLettersDrop, ADMIN, DEAD_LETTER, Since::V4),
    row(
        "channels.deadLetters.list",
        Op::ChannelsDeadLettersList,
        READ,
        &[may("channel", Kind::Str), may("accountId", Kind::Str), may("limit", Kind::Int(1, 1000))],
        Since::V4,
    ),
    row(
        "channels.deadLetters.resubmit",
        Op::ChannelsDeadLettersResubmit,
        ADMIN,
        DEAD_LETTER,
        Since::V4,
    ),
    row("channels.logout", Op::ChannelsLogout, ADMIN, CHANNEL_ACCOUNT, Since::V3),
    row(
        "channels.pairing.approve",
        Op::ChannelsPairingApprove,
        PAIRING,
        CHANNEL_PAIRING,
        Since::V4,
    ),
    row(
        "channels.pairing.dismiss",
        Op::ChannelsPairingDismiss,
        PAIRING,
        CHANNEL_PAIRING,
        Since::V4,
    ),
    row(
        "channels.pairing.list",
        Op::ChannelsPairingList,
        PAIRING,
        &[may("channel", Kind::Str), may("accountId", Kind::Str)],
        Since::V4,
    ),
    row("channels.start", Op::ChannelsStart, ADMIN, CHANNEL_ACCOUNT, Since::V3),
    row(
        "channels.status",
        Op::ChannelsStatus,
        READ,
        &[
            may("probe", Kind::Bool),
            may("timeoutMs", MS),
            may("channel", Kind::Str),
            may("accountId", Kind::Str),
        ],
        Since::V3,
    ),
    row("channels.stop", Op::ChannelsStop, ADMIN, CHANNEL_ACCOUNT, Since::V3),
    row(
        "chat.abort",
        Op::ChatAbort,
        WRITE,
        &[
            must("sessionKey", SESSION_KEY),
            may("runId", ID),
            may("agentId", Kind::Str),
            may("preserveSideRuns", Kind::Bool),
        ],
        Since::V3,
    ),
    row("chat.history", Op::ChatHistory, READ, CHAT_HISTORY, Since::V3),
    row(
        "chat.inject",
        Op::ChatInject,
        ADMIN,
        &[
            must("sessionKey", SESSION_KEY),
            may("agentId", ID),
            must("message", Kind::Text(usize::MAX)),
            may("label", Kind::Str),
        ],
        Since::V3,
    ),
    row(
        "chat.message.get",
        Op::ChatMessageGet,
        READ,
        &[
            must("sessionKey", SESSION_KEY),
            may("agentId", ID),
            must("messageId", ID),
            may("maxChars", Kind::Int(1, 2_000_000)),
        ],
        Since::V4,
    ),
    row(
        "chat.metadata",
        Op::ChatMetadata,
        READ,
        &[may("agentId", ID), may("sessionKey", SESSION_KEY)],
        Since::V4,
    ),
    row("chat.send", Op::ChatSend, WRITE, CHAT_SEND, Since::V3),
    row("chat.startup", Op::ChatStartup, READ, CHAT_HISTORY, Since::V4),
    row(
        "commands.list",
        Op::CommandsList,
        READ,
        &[
            may("sessionKey", SESSION_KEY),
            may("agentId", ID),
            may("provider", ID),
            may("scope", Kind::OneOf(&["text", "native", "both"])),
            may("includeArgs", Kind::Bool),
        ],
        Since::V3,
    ),
    row("config.apply", Op::ConfigApply, ADMIN, CONFIG_WRITE, Since::V3),
    open("config.get", Op::ConfigGet, READ),
    row("config.openFile", Op::ConfigOpenFile, ADMIN, &[], Since::V3),
    row("config.patch", Op::ConfigPatch, ADMIN, CONFIG_PATCH, Since::V3),
    row("config.schema", Op::ConfigSchema, READ, &[], Since::V3),
    row(
        "config.schema.lookup",
        Op::ConfigSchemaLookup,
        READ,
        &[must("path", Kind::Text(1024))],
        Since::V3,
    ),
    row(
        "config.set",
        Op::ConfigSet,
        ADMIN,
        &[must("raw", CONFIG_RAW), may("baseHash", Kind::Text(256))],
        Since::V3,
    ),
    row("cron.add", Op::CronAdd, ADMIN, CRON_ADD, Since::V3),
    row("cron.get", Op::CronGet, READ, OF_JOB, Since::V3),
    row("cron.list", Op::CronList, READ, CRON_LIST, Since::V3),
    row("cron.remove", Op::CronRemove, ADMIN, OF_JOB, Since::V3),
    row(
        "cron.run",
        Op::CronRun,
        ADMIN,
        &[
            may("id", ID),
            may("jobId", ID),
            may("mode", Kind::OneOf(&["due", "force", "if-enabled"])),
            may("expectedProcessInstanceId", ID),
        ],
        Since::V3,
    ),
    row("cron.runs", Op::CronRuns, READ, CRON_RUNS, Since::V3),
    row("cron.status", Op::CronStatus, READ, &[], Since::V3),
    row(
        "cron.update",
        Op::CronUpdate,
        ADMIN,
        &[
            may("id", ID),
            may("jobId", ID),
            must("patch", Kind::Fields(CRON_PATCH)),
            may("expectedConfigRevision", Kind::Text(128)),
        ],
        Since::V3,
    ),
    row("device.pair.approve", Op::DevicePairApprove, PAIRING, REQUEST_ID, Since::V3),
    row("device.pair.list", Op::DevicePairList, PAIRING, &[], Since::V3),
    row("device.pair.reject", Op::DevicePairReject, PAIRING, REQUEST_ID, Since::V3),
    row("device.pair.remove", Op::DevicePairRemove, PAIRING, &[must("deviceId", ID)], Since::V3),
    row(
        "device.pair.rename",
        Op::DevicePairRename,
        PAIRING,
        &[must("deviceId", ID), must("label", Kind::Text(64))],
        Since::V4,
    ),
    row(
        "device.pair.setupCode",
        Op::DevicePairSetupCode,
        ADMIN,
        &[
            may("publicUrl", Kind::Text(2048)),
            may("preferRemoteUrl", Kind::Bool),
            may("includeQr", Kind::Bool),
            may("bootstrapProfile", Kind::OneOf(&["limited", "node"])),
            may("joinUrl", Kind::Bool),
        ],
        Since::V3,
    ),
    row(
        "device.pair.setupStatus",
        Op::DevicePairSetupStatus,
        ADMIN,
        &[must("setupId", Kind::Text(128))],
        Since::V4,
    ),
    row(
        "device.scopes.requestUpgrade",
        Op::DeviceScopesRequestUpgrade,
        READ,
        &[must("scopes", Kind::Strings)],
        Since::V4,
    ),
    row("device.scopes.waitUpgrade", Op::DeviceScopesWaitUpgrade, READ, REQUEST_ID, Since::V4),
    row(
        "device.token.revoke",
        Op::DeviceTokenRevoke,
        PAIRING,
        &[must("deviceId", ID), must("role", Kind::Text(32))],
        Since::V3,
    ),
    row(
        "device.token.rotate",
        Op::DeviceTokenRotate,
        PAIRING,
        &[must("deviceId", ID), must("role", Kind::Text(32)), may("scopes", Kind::Strings)],
        Since::V3,
    ),
    row(
        "diagnostics.stability",
        Op::DiagnosticsStability,
        READ,
        &[may("limit", Kind::Int(1, 1000)), may("type", ID), may("sinceSeq", COUNT)],
        Since::V3,
    ),
    row("exec.approval.get", Op::ExecApprovalGet, APPROVALS, &[must("id", ID)], Since::V3),
    row("exec.approval.list", Op::ExecApprovalList, APPROVALS, &[], Since::V3),
    row(
        "exec.approval.request",
        Op::ExecApprovalRequest,
        APPROVALS,
        EXEC_APPROVAL_REQUEST,
        Since::V3,
    ),
    row(
        "exec.approval.resolve",
        Op::ExecApprovalResolve,
        APPROVALS,
        &[
            must("id", ID),
            must("decision", ID),
            may("reviewer", Kind::Obj),
            may("grantExpiresInDays", Kind::Int(1, 3650)),
        ],
        Since::V3,
    ),
    row(
        "exec.approval.waitDecision",
        Op::ExecApprovalWaitDecision,
        APPROVALS,
        &[must("id", ID)],
        Since::V3,
    ),
    row("exec.approvals.get", Op::ExecApprovalsGet, ADMIN, &[], Since::V3),
    row("exec.approvals.node.get", Op::ExecApprovalsNodeGet, ADMIN, NODE_ID, Since::V3),
    row(
        "exec.approvals.node.set",
        Op::ExecApprovalsNodeSet,
        ADMIN,
        &[
            must("nodeId", ID),
            may("file", Kind::Obj),
            may("native", Kind::Obj),
            may("baseHash", ID),
        ],
        Since::V3,
    ),
    row(
        "exec.approvals.set",
        Op::ExecApprovalsSet,
        ADMIN,
        &[must("file", Kind::Obj), may("baseHash", ID)],
        Since::V3,
    ),
    row("gateway.identity.get", Op::GatewayIdentityGet, READ, &[], Since::V3),
    open("health", Op::Health, Scope::None),
    row("last-heartbeat", Op::LastHeartbeat, READ, &[], Since::V3),
    row(
        "logs.tail",
        Op::LogsTail,
        READ,
        &[
            may("cursor", COUNT),
            may("limit", Kind::Int(1, 5000)),
            may("maxBytes", Kind::Int(1, 1_000_000)),
        ],
        Since::V3,
    ),
    row(
        "message.action",
        Op::MessageAction,
        WRITE,
        &[
            must("channel", ID),
            must("action", ID),
            must("params", Kind::Obj),
            may("reply", Kind::Obj),
            may("accountId", Kind::Str),
            may("requesterAccountId", Kind::Str),
            may("requesterSenderId", Kind::Str),
            may("senderIsOwner", Kind::Bool),
            may("sessionKey", Kind::Str),
            may("sessionId", Kind::Str),
            may("inboundTurnKind", Kind::OneOf(&["user_request", "room_event"])),
            may("agentId", Kind::Str),
            may("toolContext", Kind::Obj),
            may("conversationReadOrigin", Kind::OneOf(&["direct-operator"])),
            must("idempotencyKey", Kind::Text(256)),
        ],
        Since::V3,
    ),
    row(
        "models.authStatus",
        Op::ModelsAuthStatus,
        READ,
        &[may("agentId", Kind::Str), may("refresh", Kind::Bool)],
        Since::V4,
    ),
    row(
        "models.list",
        Op::ModelsList,
        READ,
        &[
            may("view", Kind::OneOf(&["default", "configured", "provider-config", "all"])),
            may("refresh", Kind::Bool),
            may("includeProviderCapabilities", Kind::Bool),
            may("includeDetails", Kind::Bool),
            may("sessionKey", SESSION_KEY),
            may("agentId", Kind::Str),
            may("preparedOnly", Kind::Bool),
        ],
        Since::V3,
    ),
    row(
        "models.probe",
        Op::ModelsProbe,
        ADMIN,
        &[
            must("provider", ID),
            may("profileId", ID),
            may("timeoutMs", Kind::Int(1, 120_000)),
            may("agentId", Kind::Str),
        ],
        Since::V4,
    ),
    row("node.describe", Op::NodeDescribe, READ, NODE_ID, Since::V3),
    row("node.event", Op::NodeEvent, Scope::Node, NODE_EVENT, Since::V3),
    row("node.invoke", Op::NodeInvoke, WRITE, NODE_INVOKE, Since::V3),
    row(
        "node.invoke.progress",
        Op::NodeInvokeProgress,
        Scope::Node,
        &[must("invokeId", ID), must("nodeId", ID), must("seq", COUNT), must("chunk", Kind::Str)],
        Since::V4,
    ),
    row(
        "node.invoke.result",
        Op::NodeInvokeResult,
        Scope::Node,
        &[
            must("id", ID),
            must("nodeId", ID),
            must("ok", Kind::Bool),
            may("payload", Kind::Any),
            may("payloadJSON", Kind::Str),
            may("error", Kind::Fields(NODE_ERROR)),
        ],
        Since::V3,
    ),
    row("node.list", Op::NodeList, READ, &[], Since::V3),
    row("node.pair.approve", Op::NodePairApprove, PAIRING, REQUEST_ID, Since::V3),
    row("node.pair.list", Op::NodePairList, PAIRING, &[], Since::V3),
    row("node.pair.reject", Op::NodePairReject, PAIRING, REQUEST_ID, Since::V3),
    row("node.pair.remove", Op::NodePairRemove, PAIRING, NODE_ID, Since::V3),
    row(
        "node.pending.ack",
        Op::NodePendingAck,
        Scope::Node,
        &[must("ids", Kind::Strings)],
        Since::V3,
    ),
    row(
        "node.pending.drain",
        Op::NodePendingDrain,
        Scope::Node,
        &[may("maxItems", Kind::Int(1, 10))],
        Since::V3,
    ),
    row(
        "node.pending.enqueue",
        Op::NodePendingEnqueue,
        WRITE,
        &[
            must("nodeId", ID),
            must("type", Kind::OneOf(&["status.request", "location.request"])),
            may("priority", Kind::OneOf(&["normal", "high"])),
            may("expiresInMs", Kind::Int(1_000, 86_400_000)),
            may("wake", Kind::Bool),
        ],
        Since::V3,
    ),
    row("node.pending.pull", Op::NodePendingPull, Scope::Node, &[], Since::V3),
    row(
        "node.pluginSurface.refresh",
        Op::NodePluginSurfaceRefresh,
        Scope::Node,
        &[may("surface", Kind::Str)],
        Since::V4,
    ),
    row(
        "node.pluginTools.update",
        Op::NodePluginToolsUpdate,
        Scope::Node,
        &[must("tools", Kind::Arr)],
        Since::V4,
    ),
    row(
        "node.rename",
        Op::NodeRename,
        PAIRING,
        &[must("nodeId", ID), must("displayName", ID)],
        Since::V3,
    ),
    row(
        "node.skills.update",
        Op::NodeSkillsUpdate,
        Scope::Node,
        &[must("skills", Kind::Arr)],
        Since::V4,
    ),
    row("plugin.approval.list", Op::PluginApprovalList, APPROVALS, &[], Since::V3),
    row(
        "poll",
        Op::Poll,
        WRITE,
        &[
            must("to", ID),
            must("question", Kind::Text(1_000)),
            must("options", Kind::Strings),
            may("maxSelections", COUNT),
            may("durationSeconds", COUNT),
            may("durationHours", COUNT),
            may("silent", Kind::Bool),
            may("isAnonymous", Kind::Bool),
            may("threadId", Kind::Str),
            may("channel", Kind::Str),
            may("accountId", Kind::Str),
            must("idempotencyKey", Kind::Text(256)),
        ],
        Since::V3,
    ),
    row("secrets.reload", Op::SecretsReload, ADMIN, &[], Since::V3),
    row(
        "secrets.resolve",
        Op::SecretsResolve,
        ADMIN,
        // The handler asks for what must be there, in the reference's words.
        &[
            may("commandName", Kind::Str),
            may("targetIds", Kind::Strings),
            may("allowedPaths", Kind::Strings),
            may("forcedActivePaths", Kind::Strings),
            may("optionalActivePaths", Kind::Strings),
            may("providerOverrides", Kind::Obj),
        ],
        Since::V3,
    ),
    row(
        "send",
        Op::Send,
        WRITE,
        &[
            must("to", ID),
            may("message", Kind::Str),
            may("mediaUrl", Kind::Str),
            may("mediaUrls", Kind::Strings),
            may("buffer", Kind::Str),
            may("filename", Kind::Str),
            may("contentType", Kind::Str),
            may("asVoice", Kind::Bool),
            may("gifPlayback", Kind::Bool),
            may("channel", Kind::Str),
            may("accountId", Kind::Str),
            may("agentId", Kind::Str),
            may("replyToId", Kind::Str),
            may("threadId", Kind::Str),
            may("forceDocument", Kind::Bool),
            may("silent", Kind::Bool),
            may("parseMode", Kind::OneOf(&["HTML"])),
            may("sessionKey", Kind::Str),
            must("idempotencyKey", Kind::Text(256)),
        ],
        Since::V3,
    ),
    row(
        "sessions.abort",
        Op::SessionsAbort,
        WRITE,
        &[
            may("key", SESSION_KEY),
            may("runId", ID),
            may("agentId", Kind::Str),
            may("clearQueued", Kind::Bool),
        ],
        Since::V3,
    ),
    row(
        "sessions.compact",
        Op::SessionsCompact,
        ADMIN,
        &[must("key", SESSION_KEY), may("agentId", ID)],
        Since::V3,
    ),
    row("sessions.create", Op::SessionsCreate, WRITE, SESSIONS_CREATE, Since::V3),
    row(
        "sessions.delete",
        Op::SessionsDelete,
        ADMIN,
        &[
            must("key", SESSION_KEY),
            may("agentId", ID),
            may("deleteTranscript", Kind::Bool),
            may("expectedSessionId", ID),
            may("expectedLifecycleRevision", ID),
            may("expectedSessionUpdatedAt", Kind::Num),
            may("emitLifecycleHooks", Kind::Bool),
            may("archivedOnly", Kind::Bool),
        ],
        Since::V3,
    ),
    row(
        "sessions.describe",
        Op::SessionsDescribe,
        READ,
        &[
            must("key", SESSION_KEY),
            may("includeDerivedTitles", Kind::Bool),
            may("includeLastMessage", Kind::Bool),
        ],
        Since::V3,
    ),
    row("sessions.list", Op::SessionsList, READ, SESSIONS_LIST, Since::V3),
    row(
        "sessions.messages.subscribe",
        Op::SessionsMessagesSubscribe,
        READ,
        &[must("key", SESSION_KEY), may("agentId", Kind::Str), may("includeApprovals", Kind::Bool)],
        Since::V3,
    ),
    row(
        "sessions.messages.unsubscribe",
        Op::SessionsMessagesUnsubscribe,
        READ,
        &[must("key", SESSION_KEY), may("agentId", Kind::Str)],
        Since::V3,
    ),
    by_params(
        row("sessions.patch", Op::SessionsPatch, WRITE, SESSIONS_PATCH, Since::V3),
        patch_scope,
    ),
    row(
        "sessions.preview",
        Op::SessionsPreview,
        READ,
        &[
            must("keys", Kind::Strings),
            may("limit", Kind::Int(1, 9_007_199_254_740_991)),
            may("maxChars", Kind::Int(20, 9_007_199_254_740_991)),
        ],
        Since::V3,
    ),
    row(
        "sessions.reset",
        Op::SessionsReset,
        ADMIN,
        &[
            must("key", SESSION_KEY),
            may("agentId", ID),
            may("reason", Kind::OneOf(&["new", "reset"])),
        ],
        Since::V3,
    ),
    row(
        "sessions.resolve",
        Op::SessionsResolve,
        READ,
        &[
            may("key", SESSION_KEY),
            may("sessionId", ID),
            may("label", NAME),
            may("shortId", ID),
            may("slugHint", ID),
            may("agentId", ID),
            may("spawnedBy", ID),
            may("includeGlobal", Kind::Bool),
            may("includeUnknown", Kind::Bool),
            may("allowMissing", Kind::Bool),
        ],
        Since::V3,
    ),
    row(
        "sessions.send",
        Op::SessionsSend,
        WRITE,
        &[
            must("key", SESSION_KEY),
            may("agentId", ID),
            must("message", Kind::Str),
            may("thinking", Kind::Str),
            may("attachments", Kind::Arr),
            may("timeoutMs", MS),
            may("idempotencyKey", Kind::Text(256)),
        ],
        Since::V3,
    ),
    row("sessions.subscribe", Op::SessionsSubscribe, READ, SESSIONS_LIST, Since::V3),
    row("sessions.unsubscribe", Op::SessionsUnsubscribe, READ, &[], Since::V3Only),
    row("sessions.usage", Op::SessionsUsage, READ, SESSIONS_USAGE, Since::V3),
    row("sessions.usage.logs", Op::SessionsUsageLogs, READ, USAGE_OF_SESSION, Since::V3),
    row(
        "sessions.usage.timeseries",
        Op::SessionsUsageTimeseries,
        READ,
        USAGE_OF_SESSION,
        Since::V3,
    ),
    row("set-heartbeats", Op::SetHeartbeats, ADMIN, &[must("enabled", Kind::Bool)], Since::V3),
    row("skills.bins", Op::SkillsBins, Scope::Node, &[], Since::V3),
    row(
        "skills.status",
        Op::SkillsStatus,
        READ,
        &[may("agentId", ID), may("sessionKey", SESSION_KEY)],
        Since::V3,
    ),
    open("status", Op::Status, READ),
    open("system-event", Op::SystemEvent, ADMIN),
    row("system-presence", Op::SystemPresence, READ, &[], Since::V3),
    row(
        "tools.catalog",
        Op::ToolsCatalog,
        READ,
        &[may("agentId", ID), may("includePlugins", Kind::Bool)],
        Since::V3,
    ),
    row(
        "tools.effective",
        Op::ToolsEffective,
        READ,
        &[must("sessionKey", SESSION_KEY), may("agentId", ID)],
        Since::V3,
    ),
    row(
        "tools.invoke",
        Op::ToolsInvoke,
        WRITE,
        &[
            must("name", Kind::Text(256)),
            may("args", Kind::Obj),
            may("sessionKey", SESSION_KEY),
            may("agentId", ID),
            may("confirm", Kind::Bool),
            may("idempotencyKey", Kind::Text(256)),
            may("conversationReadOrigin", Kind::OneOf(&["direct-operator"])),
        ],
        Since::V4,
    ),
    row("usage.cost", Op::UsageCost, READ, SESSIONS_USAGE, Since::V3),
    row("usage.status", Op::UsageStatus, READ, &[], Since::V3),
    open("voicewake.get", Op::VoicewakeGet, READ),
    open("voicewake.routing.get", Op::VoicewakeRoutingGet, READ),
    open("voicewake.set", Op::VoicewakeSet, WRITE),
    open("wake", Op::Wake, WRITE),
];

/// The row of a method, if that protocol knows it.
pub fn find(name: &str, protocol: u32) -> Option<&'static Operation> {
    let index = OPERATIONS.binary_search_by(|row| row.name.cmp(name)).ok()?;
    OPERATIONS.get(index).filter(|row| row.exists_in(protocol))
}

impl Operation {
    /// Whether clients of this protocol see the method.
    pub fn exists_in(&self, protocol: u32) -> bool {
        match self.since {
            Since::V3 => true,
            Since::V4 => protocol >= 4,
            Since::V3Only => protocol == 3,
        }
    }

    /// The operator scope that a call with these parameters takes, if any.
    pub fn needs(&self, params: &Map<String, Value>) -> Option<&'static str> {
        match (self.raised.and_then(|raised| raised(params)), self.scope) {
            (Some(scope), _) | (None, Scope::Operator(scope)) => Some(scope),
            (None, Scope::None | Scope::Node) => None,
        }
    }

    /// The scope that a caller lacks for these parameters, if any.
    pub fn missing<S: AsRef<str>>(
        &self,
        held: &[S],
        params: &Map<String, Value>,
    ) -> Option<&'static str> {
        self.needs(params).filter(|scope| !holds(held, scope))
    }
}

/// Whether a set of scopes includes one: `admin` includes all, `write` includes `read`.
pub fn holds<S: AsRef<str>>(held: &[S], wanted: &str) -> bool {
    held.iter().map(AsRef::as_ref).any(|scope| {
        scope == wanted
            || scope == "operator.admin"
            || (wanted == "operator.read" && scope == "operator.write")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_raise_what_a_call_takes() {
        let admin = Some("operator.admin");
        for (method, params, raised) in [
            ("agent", serde_json::json!({"message": "hello"}), None),
            ("agent", serde_json::json!({"message": "  /Reset now"}), admin),
            ("agent", serde_json::json!({"message": "/new: x"}), admin),
            ("agent", serde_json::json!({"message": "/newer"}), None),
            ("agent", serde_json::json!({"message": "hi", "model": "a/b"}), admin),
            ("agent", serde_json::json!({"message": "hi", "model": ""}), None),
            ("sessions.patch", serde_json::json!({"key": "k", "label": "l", "model": null}), None),
            (
                "sessions.patch",
                serde_json::json!({"key": "k", "label": "l", "execAsk": null}),
                admin,
            ),
            ("sessions.patch", serde_json::json!({"key": "k", "verboseLevel": "on"}), admin),
        ] {
            let row = find(method, 4).expect("a row");
            let params = params.as_object().expect("an object");
            assert_eq!(row.missing(&["operator.write"], params), raised, "{method} {params:?}");
            assert_eq!(row.missing(&["operator.admin"], params), None);
        }
    }

    #[test]
    fn the_table_is_sorted_and_unique() {
        let names: Vec<&str> = OPERATIONS.iter().map(|row| row.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
    }

    #[test]
    fn generations_see_their_own_methods() {
        assert!(find("chat.startup", 4).is_some());
        assert!(find("chat.startup", 3).is_none());
        assert!(find("sessions.unsubscribe", 4).is_none());
        assert!(find("sessions.unsubscribe", 3).is_some());
        assert!(find("no.such", 4).is_none());
    }

    #[test]
    fn admin_includes_all_and_write_includes_read() {
        assert!(holds(&["operator.admin"], "operator.pairing"));
        assert!(holds(&["operator.write"], "operator.read"));
        assert!(!holds(&["operator.read"], "operator.write"));
        assert!(!holds(&["operator.pairing"], "operator.read"));
        assert!(!holds::<&str>(&[], "operator.read"));
    }
}
