//! What a key does, in a sentence: `help` of the form and of `config.schema.lookup`. Every top
//! section has one, and the keys that operators change most; a key with an advice of its own says
//! that instead.
//!
//! What agents have in common is written once, as `agent.` (see [`super::reasons`]), and likewise
//! what `session.reset` and its exceptions by type and channel have.

use super::reasons;

/// The help of a row; empty when there is none.
pub(super) fn of(pattern: &str) -> &'static str {
    let at = HELP.binary_search_by(|(key, _)| (*key).cmp(common(pattern).as_str()));
    at.map_or("", |at| HELP[at].1)
}

fn common(pattern: &str) -> String {
    for exceptions in ["session.resetByType.*.", "session.resetByChannel.*."] {
        if let Some(rest) = pattern.strip_prefix(exceptions) {
            return format!("session.reset.{rest}");
        }
    }
    reasons::common(pattern).into_owned()
}

/// Sorted by key.
const HELP: &[(&str, &str)] = &[
    ("accessGroups", "Named groups of senders, to be written in lists of who may come in."),
    (
        "agent.blockStreamingBreak",
        "Blocks go out as they are ready, or when the model's message ends.",
    ),
    ("agent.blockStreamingChunk", "How small and how large a block of an answer is."),
    ("agent.blockStreamingCoalesce", "Blocks that follow each other closely become one message."),
    ("agent.blockStreamingDefault", "on sends an answer in blocks while it is written."),
    ("agent.bootstrapMaxChars", "Characters of one workspace file in the prompt."),
    ("agent.bootstrapTotalMaxChars", "Characters of all workspace files in the prompt."),
    ("agent.compaction", "When the context fills, its older part is summed up."),
    ("agent.compaction.keepRecentTokens", "So much of the end stays as it was said."),
    ("agent.compaction.model", "provider/model that sums up, instead of the agent's own."),
    ("agent.compaction.reserveTokens", "So much of the context is kept free for the answer."),
    ("agent.heartbeat", "The agent is asked regularly whether anything needs attention."),
    (
        "agent.heartbeat.ackMaxChars",
        "An answer that says all is well may have so many other characters.",
    ),
    ("agent.heartbeat.activeHours", "Between these hours only, in this time zone."),
    ("agent.heartbeat.activeHours.end", "24:00 is the end of the day."),
    ("agent.heartbeat.activeHours.start", "From then on, as 08:00."),
    ("agent.heartbeat.every", "How often: 30m, 1h30m; 0m for never."),
    (
        "agent.heartbeat.isolatedSession",
        "Each time in a session of its own, without what was said before.",
    ),
    ("agent.heartbeat.lightContext", "Of the workspace the prompt has HEARTBEAT.md alone."),
    ("agent.heartbeat.model", "provider/model for these questions; a cheap one will do."),
    ("agent.heartbeat.prompt", "What is asked, instead of the usual words."),
    ("agent.heartbeat.session", "The session it happens in; the main one unless set."),
    ("agent.heartbeat.target", "Where an answer goes: owner, last, none, or a channel."),
    ("agent.heartbeat.timeoutSeconds", "Time for one answer."),
    ("agent.humanDelay", "A pause between the blocks of an answer."),
    ("agent.imageModel", "provider/model that looks at images for models that cannot."),
    ("agent.maxConcurrent", "Runs at once; more wait."),
    ("agent.mediaMaxMb", "Megabytes of one file of a chat, where its channel does not say."),
    ("agent.model", "provider/model, or a primary and fallbacks tried in order when it fails."),
    ("agent.skills", "The skills it may use; absent means all."),
    ("agent.skipBootstrap", "New workspaces are not given their first files."),
    ("agent.subagents", "Agents that agents start."),
    ("agent.subagents.model", "provider/model for them, instead of the agent's own."),
    ("agent.thinkingDefault", "How much a model thinks when nobody says."),
    ("agent.timeoutSeconds", "A run that takes longer is ended."),
    (
        "agent.typingIntervalSeconds",
        "How often a conversation shows that an answer is being written.",
    ),
    ("agent.typingMode", "When it begins to show that."),
    ("agent.userTimezone", "The time zone that the model is told, such as Europe/Berlin."),
    ("agent.workspace", "The folder that the agent reads, writes and runs commands in."),
    ("agents", "Who answers: models, workspaces and limits, for all agents and for single ones."),
    ("attachments", "Files that came by chats, in media/inbound of the state directory."),
    ("attachments.ttlHours", "They are removed after so many hours; unset: when many."),
    ("bindings", "Which agent answers which channel, account, group or person."),
    ("broadcast", "Groups that several agents answer."),
    ("channels", "Chat services, who may write on them, and how is answered."),
    ("channels.*.ackReaction", "The emoji put on a message that was taken."),
    ("channels.*.allowFrom", "Ids of people who may write directly; \"*\" is everybody."),
    (
        "channels.*.dmPolicy",
        "Strangers: get a pairing code, are ignored unless listed, or may write.",
    ),
    ("channels.*.enabled", "false keeps what is written here and connects nothing."),
    ("channels.*.groupAllowFrom", "Ids of people who may write in groups."),
    ("channels.*.groupPolicy", "Groups: those listed, all, or none."),
    ("channels.*.groups", "Single groups by their id: whether, who, and with which instructions."),
    ("channels.*.historyLimit", "Messages of a group told to the model with the one meant for it."),
    ("channels.*.replyToMode", "Which pieces of an answer quote the message."),
    ("channels.*.requireMention", "In groups, answer only when named; on unless false."),
    ("channels.*.streaming", "How an answer is shown while it is written."),
    (
        "channels.*.streaming.block.enabled",
        "Send an answer in blocks; off and on come before the agents' default.",
    ),
    ("channels.*.streaming.chunkMode", "newline begins a new message at every blank line."),
    ("channels.*.streaming.mode", "What stands in the chat before the answer is whole."),
    ("channels.*.textChunkLimit", "Characters in one message; longer answers are cut in pieces."),
    ("channels.discord.maxLinesPerMessage", "Lines of one message; taller answers are cut."),
    ("commands", "Commands such as /status in chats, and who may give those of owners."),
    ("commands.ownerAllowFrom", "Ids of the owners: they may give every command."),
    ("cron", "Work at set times."),
    ("cron.enabled", "Off, jobs are kept and wait."),
    ("cron.maxConcurrentRuns", "Jobs at once; 2 unless set."),
    ("cron.runLog", "How much of a job's history is kept."),
    ("cron.sessionRetention", "How long sessions of jobs are kept, such as 24h; false keeps them."),
    ("cron.skipMissedJobs", "What fell due while the gateway was down does not run afterwards."),
    ("cron.store", "The file of jobs."),
    ("diagnostics", "What the gateway counts about itself."),
    ("env", "Variables for this file and for programs, where the environment has none."),
    ("gateway", "The port, who may connect, and how this file is followed."),
    ("gateway.auth.allowTailscale", "People that Tailscale vouches for need no secret."),
    ("gateway.auth.mode", "How people sign in; unless set, by the token or password there is."),
    ("gateway.auth.password", "The password, or a reference to where it is kept."),
    ("gateway.auth.rateLimit", "How many wrong tries one address has, and how long it then waits."),
    ("gateway.auth.token", "The token, or a reference to where it is kept."),
    ("gateway.auth.trustedProxy", "The headers by which a proxy says who somebody is."),
    ("gateway.bind", "Which addresses listen: this machine, its network, its tailnet, or one."),
    ("gateway.controlUi.allowedOrigins", "Other pages that may connect, as https://host:port."),
    ("gateway.controlUi.basePath", "Where this page lies, such as /openclaw."),
    ("gateway.controlUi.enabled", "false serves no page at all."),
    ("gateway.controlUi.root", "A folder with a built page, served instead of this one."),
    ("gateway.customBindHost", "The IPv4 address for bind: custom."),
    ("gateway.mode", "local: the gateway runs here. remote: commands ask another one."),
    ("gateway.port", "The port of everything: clients, this page, the HTTP API."),
    ("gateway.reload.debounceMs", "The file must be still for so long before it is read."),
    ("gateway.reload.deferralTimeoutMs", "How long a restart waits for runs to end."),
    (
        "gateway.reload.mode",
        "An edit: nothing, what needs no restart, always a restart, or as needed.",
    ),
    ("gateway.remote", "The gateway that commands ask with mode: remote."),
    ("gateway.tls.autoGenerate", "Makes a self-signed certificate where there is none."),
    ("gateway.tls.caPath", "Certificates that complete the chain."),
    ("gateway.tls.certPath", "The certificate, PEM."),
    ("gateway.tls.enabled", "The port speaks TLS and nothing else."),
    ("gateway.tls.keyPath", "Its private key, PEM."),
    ("gateway.trustedProxies", "Addresses of proxies whose word on the client's address is taken."),
    ("hooks", "Other programs wake agents by HTTP."),
    ("hooks.allowedAgentIds", "Agents that may be woken; any unless set."),
    ("hooks.enabled", "Off, the addresses do not exist."),
    ("hooks.mappings", "What becomes of a request at an address of its own."),
    ("hooks.path", "Where they lie; /hooks unless set."),
    ("hooks.token", "What callers show as Bearer token; not that of the gateway."),
    ("logging", "What is written down."),
    ("logging.consoleLevel", "The least level on standard output; as in the file unless set."),
    ("logging.file", "Where, instead of the log of the state directory."),
    ("logging.level", "The least level in the file; info unless set."),
    ("logging.maxFileBytes", "A file grows no larger."),
    ("memory", "How agents search their notes."),
    ("messages", "What happens to messages as they come and go."),
    ("messages.ackReaction", "The emoji put on a message that was taken."),
    ("messages.ackReactionScope", "On which messages."),
    (
        "messages.groupChat.historyLimit",
        "Messages of a group told with the one meant for the agent.",
    ),
    ("messages.groupChat.mentionPatterns", "Patterns that count as the agent's name."),
    ("messages.inbound.debounceMs", "Messages of one sender within so long are one."),
    ("messages.queue.cap", "Messages that wait in one session; then drop decides."),
    ("messages.queue.drop", "Beyond the cap: sum up, leave out the oldest, or refuse the newest."),
    ("messages.queue.mode", "During a run: tell its model, wait, wait together, or end the run."),
    ("messages.responsePrefix", "Stands before every answer."),
    ("meta", "What tools noted about this file."),
    ("models", "The servers that models run on."),
    ("models.providers", "One entry a server; models are called provider/model."),
    ("models.providers.*.api", "The dialect it speaks."),
    ("models.providers.*.apiKey", "Its key, or a reference to where it is kept."),
    ("models.providers.*.baseUrl", "Its address, mostly with /v1 at the end."),
    ("models.providers.*.models", "Its models, with their sizes and prices."),
    ("models.providers.*.timeoutSeconds", "Time for a whole answer."),
    ("secrets", "Where secrets are kept: the environment, files, programs."),
    ("security", "Findings of the audit that are known and accepted."),
    ("session", "What belongs to one conversation, and when it begins anew."),
    ("session.dmScope", "Direct messages: one conversation for all people, or one for each."),
    ("session.identityLinks", "A person's name, and the ids that are this person."),
    ("session.mainKey", "The name of the main conversation."),
    ("session.reset", "When a conversation begins anew by itself."),
    ("session.reset.atHour", "The hour of mode: daily, in UTC."),
    ("session.reset.idleMinutes", "So long without a message, with any mode but none."),
    ("session.reset.mode", "never, at an hour every day, or after silence."),
    ("skills", "Instructions that agents load when they need them."),
    ("tools", "What agents can do."),
    ("tools.agentToAgent", "Whether agents may write to each other, and which."),
    ("tools.allow", "Nothing but these tools, or group:… for several."),
    ("tools.alsoAllow", "These tools besides those of the profile."),
    ("tools.deny", "Never these; goes before everything else."),
    ("tools.exec.ask", "When somebody must approve a command."),
    ("tools.exec.backgroundMs", "A command that takes longer goes on in the background."),
    ("tools.exec.cleanupMs", "How long the output of a finished command is kept."),
    ("tools.exec.pathPrepend", "Folders put in front of PATH."),
    ("tools.exec.security", "Which commands may run: none, those on the allowlist, or all."),
    ("tools.exec.timeoutSeconds", "A command that takes longer is ended; 0 is never."),
    ("tools.fs.workspaceOnly", "Files outside the workspace cannot be read or written."),
    ("tools.media.audio", "Whether and how voice notes become text before they are answered."),
    ("tools.media.audio.echoTranscript", "Show the transcript in the conversation first."),
    ("tools.media.audio.enabled", "false hears nothing; unset hears where a key is found."),
    ("tools.media.audio.scope", "Where voice notes are heard; the first rule that fits counts."),
    ("tools.media.models", "Who is asked, in this order; those for audio are acted on."),
    ("tools.profile", "A set of tools to begin with."),
    ("tools.web.fetch", "Whether and how pages are fetched."),
    ("wizard", "What the set-up noted about itself."),
];

#[cfg(test)]
mod tests {
    use super::super::{KEYS, Status};
    use super::*;

    #[test]
    fn every_help_is_of_a_key_that_acts_and_in_order() {
        assert!(HELP.is_sorted_by(|a, b| a.0 < b.0));
        for (path, help) in HELP {
            let rows = KEYS.iter().filter(|key| common(key.pattern) == *path);
            let acted = rows.filter(|key| key.status == Status::Acted);
            assert!(acted.count() > 0, "{path}");
            assert!(help.ends_with('.') && help.len() <= 80, "{path}: {help}");
        }
    }

    #[test]
    fn every_section_that_acts_says_what_it_is_for() {
        for key in KEYS.iter().filter(|key| !key.pattern.contains(['.', '$'])) {
            let silent = key.advice.is_empty() && of(key.pattern).is_empty();
            assert!(key.status != Status::Acted || !silent, "{}", key.pattern);
        }
    }

    #[test]
    fn what_is_common_is_said_everywhere() {
        let every = of("agents.defaults.heartbeat.every");
        assert!(!every.is_empty());
        assert_eq!(of("agents.list[].heartbeat.every"), every);
        assert_eq!(of("agents.entries.*.heartbeat.every"), every);
        assert_eq!(of("agents.entries.*.tools.deny"), of("tools.deny"));
        assert_eq!(of("session.resetByType.*.mode"), of("session.reset.mode"));
        assert_eq!(of("no.such"), "");
    }
}
