//! Why keys of the reference have no effect here, for rows that say nothing of it themselves: what
//! a warning at start says, and the README's table.
//!
//! A rule is the beginning of a pattern, up to a `.` or a `[`; the longest one counts. What
//! agents have in common is written once, as `agent.` for `agents.defaults.`, `agents.list[].` and
//! `agents.entries.*.`, and `tools.` for the tools of one agent.

use std::borrow::Cow;

/// The reason of a row; empty when no rule covers it.
pub(super) fn of(pattern: &str) -> &'static str {
    let pattern = common(pattern);
    let covers = |rule: &str| {
        pattern
            .strip_prefix(rule)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let rules = RULES.iter().filter(|(rule, _)| covers(rule));
    rules.max_by_key(|(rule, _)| rule.len()).map_or("", |(_, reason)| reason)
}

pub(super) fn common(pattern: &str) -> Cow<'_, str> {
    for scope in ["agents.defaults.", "agents.list[].", "agents.entries.*."] {
        if let Some(rest) = pattern.strip_prefix(scope) {
            return match rest.strip_prefix("tools.") {
                Some(_) => Cow::Borrowed(rest),
                None => Cow::Owned(format!("agent.{rest}")),
            };
        }
    }
    Cow::Borrowed(pattern)
}

const NO_CHANNEL: &str = "chat channels have no such part yet";
const NO_PAGE: &str = "the built-in page has no such part";
const NO_SSH: &str = "open the tunnel yourself: ssh -N -L 18789:127.0.0.1:18789 user@host";
const NO_TAILSCALE: &str = "Tailscale is not managed: run tailscale serve by hand";
const NO_HARNESS: &str = "runs happen in this gateway, not in other agent programs";
const MEDIA_REQUEST: &str = "set headers here, and the proxy in models.providers.<id>.request";
const NO_MEDIA: &str = "no media is made or converted";
const NO_PDF: &str = "PDF files are refused: send their text";
const NO_TERMINAL: &str = "there is no terminal";
const NO_CODE_MODE: &str = "there is no code mode: tools are called one by one";
const NO_PARAMS: &str = "set params of the agent or of its models instead";
const NO_ENVELOPE: &str = "messages reach the model as they were sent";
const ONE_MODEL: &str = "the agent's own model does that work";
const COMPACT: &str = "compaction has one way: the oldest part becomes a summary";
const WHOLE: &str = "replies are streamed as the model sends them";
const NO_CATALOG: &str = "only what models.providers lists is known";
const DIALECT: &str = "requests of this dialect do not depend on it";
const LOOPS: &str = "the counts of loopDetection that are acted on suffice here";
const EXEC: &str = "exec has no such part; approvals and the allowlist decide";
const NO_PLUGINS: &str = "no code is loaded into this gateway";
const NO_CLEANING: &str = "sessions are pruned by maxEntries alone";

const RULES: &[(&str, &str)] = &[
    // gateway
    ("gateway.controlUi", NO_PAGE),
    ("gateway.remote", NO_SSH),
    ("gateway.tailscale", NO_TAILSCALE),
    ("gateway.nodes.browser", "nodes' browsers are not used by agents"),
    ("gateway.terminal", NO_TERMINAL),
    ("gateway.publicOrigin", "list the page's origin in gateway.controlUi.allowedOrigins"),
    ("gateway.portals", "there are no portals"),
    ("gateway.cliAgents", NO_HARNESS),
    ("gateway.push", "nothing is pushed to telephones"),
    ("gateway.webchat", NO_PAGE),
    // models
    ("models.catalogRefresh", NO_CATALOG),
    ("models.pricing", "prices are those of models[].cost"),
    ("models.providers.*.auth", "a provider is asked with its apiKey, or with headers"),
    ("models.providers.*.contextTokens", "set contextWindow"),
    ("models.providers.*.region", "write the region into baseUrl"),
    ("models.providers.*.injectNumCtxForOpenAICompat", "set num_ctx in params of the agent"),
    ("models.providers.*.params", NO_PARAMS),
    ("models.providers.*.agentRuntime", NO_HARNESS),
    ("models.providers.*.localService", "start the local model server yourself"),
    ("models.providers.*.models[].cost.tieredPricing", "one price a model is counted"),
    ("models.providers.*.models[].contextTokens", "set contextWindow"),
    ("models.providers.*.models[].thinkingLevelMap", "set compat.reasoningEffortMap"),
    ("models.providers.*.models[].params", NO_PARAMS),
    ("models.providers.*.models[].agentRuntime", NO_HARNESS),
    ("models.providers.*.models[].compat", DIALECT),
    ("models.providers.*.models[].compat.codeMode", NO_CODE_MODE),
    ("models.providers.*.models[].mediaInput", "images are passed on as they came"),
    ("models.providers.*.models[].metadataSource", NO_CATALOG),
    // agents
    ("agents.ownership", "the first default agent answers what names none"),
    ("agent.models.*.agentRuntime", NO_HARNESS),
    ("agent.models.*.pickerRuntimes", NO_HARNESS),
    ("agent.models.*.codeMode", NO_CODE_MODE),
    ("agent.models.*.streaming", WHOLE),
    ("agent.models.*.alias", "write the alias into agents.defaults.models"),
    ("agent.modelSelectionScope", "a model is chosen for one session"),
    ("agent.utilityModel", ONE_MODEL),
    ("agent.decisionModel", ONE_MODEL),
    ("agent.imageGenerationModel", NO_MEDIA),
    ("agent.musicGenerationModel", NO_MEDIA),
    ("agent.videoGenerationModel", NO_MEDIA),
    ("agent.mediaGenerationAutoProviderFallback", NO_MEDIA),
    ("agent.mediaModels", NO_MEDIA),
    ("agent.voiceModel", NO_MEDIA),
    ("agent.imageMaxDimensionPx", "images are passed on as they came"),
    ("agent.imageQuality", "images are passed on as they came"),
    ("agent.pdfModel", NO_PDF),
    ("agent.pdfMaxMb", NO_PDF),
    ("agent.pdfMaxBytesMb", NO_PDF),
    ("agent.pdfMaxPages", NO_PDF),
    ("agent.cwd", "tools work in the agent's workspace"),
    ("agent.silentReply", NO_CHANNEL),
    ("agent.silentReplyRewrite", NO_CHANNEL),
    ("agent.bootstrapPromptTruncationWarning", "a file that was cut short says so in its text"),
    ("agent.experimental", "experiments of the reference are not built"),
    ("agent.timeFormat", "times are written in 24 hours"),
    ("agent.envelopeTimezone", NO_ENVELOPE),
    ("agent.envelopeTimestamp", NO_ENVELOPE),
    ("agent.envelopeElapsed", NO_ENVELOPE),
    ("agent.startupContext", "a new session starts with the workspace's files"),
    ("agent.contextPruning", "old tool results stay until compaction"),
    ("agent.contextTokens", "set contextWindow of the model"),
    ("agent.contextLimits", "the limits of tools and of compaction hold"),
    ("agent.compaction", COMPACT),
    ("agent.embeddedAgent", NO_HARNESS),
    ("agent.embeddedHarness", NO_HARNESS),
    ("agent.embeddedPi", NO_HARNESS),
    ("agent.agentRuntime", NO_HARNESS),
    ("agent.runtime", NO_HARNESS),
    ("agent.cliBackends", NO_HARNESS),
    ("agent.memorySearch", "memory is searched by words; embeddings are set in memory.search"),
    ("agent.memory", "memory is searched by words; embeddings are set in memory.search"),
    ("agent.promptOverlays", "write it into AGENTS.md of the workspace"),
    ("agent.systemPromptOverride", "write it into AGENTS.md of the workspace"),
    ("agent.fastModeDefault", "set service_tier in params"),
    ("agent.verboseDefault", "clients choose what they show"),
    ("agent.toolProgressDetail", "clients choose what they show"),
    ("agent.reasoningDefault", "clients choose what they show"),
    ("agent.groupChat", NO_CHANNEL),
    ("agent.tts", NO_MEDIA),
    ("agent.authInheritance", "credentials stand in models.providers, for all agents"),
    ("agent.sessionStore", "each agent has its own store in the state directory"),
    ("agent.agentDir", "each agent has its own folder in the state directory"),
    ("agent.subagents", "set agents.defaults.subagents: its acted-on keys hold for all agents"),
    ("agent.heartbeat.includeReasoning", "reasoning is not sent to anybody"),
    ("agent.heartbeat.includeSystemPromptSection", "the prompt has no section about heartbeats"),
    ("agent.heartbeat.suppressToolErrorWarnings", "a tool's error goes to the model alone"),
    // session
    ("channels.*.streaming", "previews are messages that are sent and edited"),
    ("session.notifyOnCreate", NO_CHANNEL),
    ("session.resetTriggers", "/new and /reset are the words"),
    ("session.store", "each agent has its own store in the state directory"),
    ("session.parentForkMaxTokens", "threads of chat channels are not built yet"),
    ("session.agentToAgent", "one message, one answer: there is no ping-pong"),
    ("session.threadBindings", NO_CHANNEL),
    ("session.sharing", "sessions are not shared between users"),
    ("session.maintenance", NO_CLEANING),
    // logging, environment, secrets
    ("logging.consoleStyle", "the console has one style"),
    ("env.shellEnv", "no shell is started: put the variables into .env of the state directory"),
    ("secrets.resolution", "limits of resolution are fixed, see the limits in the README"),
    // tools
    ("tools.loopDetection", LOOPS),
    ("tools.exec", EXEC),
    ("tools.web.search", "there is no web search"),
    ("tools.web.fetch.provider", "pages are fetched directly"),
    ("tools.web.fetch.firecrawl", "pages are fetched directly"),
    ("tools.web.fetch.readability", "the text of a page is taken by one rule"),
    ("tools.github", "there is no GitHub tool: use exec with gh"),
    ("tools.media", "tools.media of the root counts, for all agents"),
    ("tools.media.models[]", "no command is run for audio: name a provider"),
    ("tools.media.models[].profile", "credentials stand in models.providers, for all agents"),
    (
        "tools.media.models[].preferredProfile",
        "credentials stand in models.providers, for all agents",
    ),
    ("tools.media.models[].request", MEDIA_REQUEST),
    ("tools.media.audio.request", MEDIA_REQUEST),
    ("tools.media.image", "pictures go to the model itself"),
    ("tools.media.video", "nothing describes videos"),
    ("tools.links", "links are fetched when the model asks"),
    ("tools.toolSearch", "every allowed tool is shown to the model"),
    ("tools.codeMode", NO_CODE_MODE),
    ("tools.swarm", "there are no swarms: use subagents"),
    ("tools.updatePlan", "there is no such tool"),
    ("tools.experimental", "experiments of the reference are not built"),
    // messages, memory, skills, hooks
    ("messages", NO_ENVELOPE),
    ("messages.queue", "messages wait for the run, without a pause"),
    ("messages.tts", NO_MEDIA),
    ("memory", "memory is the workspace's MEMORY.md and memory/, searched by words"),
    ("skills.load", "folders are looked at when a run begins"),
    ("skills.install", "skills are installed by hand: copy the folder"),
    ("skills.workshop", "there is no workshop"),
    ("hooks.mappings[].thinking", "the agent's thinking level counts"),
    // Sections
    ("acp", NO_HARNESS),
    ("audio", NO_MEDIA),
    ("browser", "there is no browser control"),
    ("canvasHost", "there is no canvas"),
    ("channels", "this program has no such channel, or it has no such part"),
    ("cli", "the command line has no settings of its own"),
    ("cloudWorkers", "there are no cloud workers"),
    ("commands", "the words of openclaw commands list are all there are"),
    ("crestodian", NO_PAGE),
    ("desktop", "there is no desktop app here"),
    ("diagnostics.*", "nothing is traced or sent; there are openclaw logs and GET /metrics"),
    ("discovery", "nothing is announced on the network"),
    ("mcp", "no MCP servers are started"),
    ("media", NO_MEDIA),
    ("nodeHost", "this program is no node"),
    ("plugins", NO_PLUGINS),
    ("surfaces", NO_PAGE),
    ("talk", NO_MEDIA),
    ("telemetry", "nothing is ever sent"),
    ("transcripts", "transcripts are kept as they are written"),
    ("tts", NO_MEDIA),
    ("ui", NO_PAGE),
    ("update", "this program never updates itself"),
    ("web", NO_CHANNEL),
    ("worktreeAcceleration", "no worktrees are made"),
    ("worktreeRoot", "no worktrees are made"),
];
