//! What models are told of the tools that look at the gateway itself; `gateway::tools` carries
//! them out.

use super::{HostTool, How, Section, Tool, object};
use serde_json::{Value, json};

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn whole(about: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": about})
}

pub(super) const AGENTS_LIST: Tool = Tool {
    name: "agents_list",
    title: "Agents",
    description: "List the agents of this gateway that you may name in sessions_spawn.",
    parameters: || object(&[]),
    section: Section::Agents,
    changes: false,
    how: How::Host(HostTool::AgentsList),
};

pub(super) const SESSION_STATUS: Tool = Tool {
    name: "session_status",
    title: "Session Status",
    description: "Show a session's time, model, tokens and queue as a status card.",
    parameters: || object(&[("sessionKey", text("Default: this session"), false)]),
    section: Section::Sessions,
    changes: false,
    how: How::Host(HostTool::SessionStatus),
};

pub(super) const SESSIONS_LIST: Tool = Tool {
    name: "sessions_list",
    title: "Sessions",
    description: "List sessions with their metadata, the newest first. Page with offset.",
    parameters: || {
        object(&[
            ("limit", whole("At most 200; default 100"), false),
            ("offset", whole("From nextOffset of the page before"), false),
            ("activeMinutes", whole("Only those used within so many minutes"), false),
            ("agentId", text("Only this agent's"), false),
            ("label", text("Only with exactly this label"), false),
            ("search", text("Only whose key or label contains this"), false),
        ])
    },
    section: Section::Sessions,
    changes: false,
    how: How::Host(HostTool::SessionsList),
};

pub(super) const SESSIONS_HISTORY: Tool = Tool {
    name: "sessions_history",
    title: "Session History",
    description: "Read the newest messages of a session; long texts are shortened.",
    parameters: || {
        object(&[
            ("sessionKey", text("From sessions_list"), true),
            ("limit", whole("Messages; default 50, at most 500"), false),
            ("includeTools", json!({"type": "boolean"}), false),
        ])
    },
    section: Section::Sessions,
    changes: false,
    how: How::Host(HostTool::SessionsHistory),
};

pub(super) const SESSIONS_SEND: Tool = Tool {
    name: "sessions_send",
    title: "Session Send",
    description: "Send a message to another session of this gateway and wait for its reply. \
                  timeoutSeconds 0 does not wait.",
    parameters: || {
        object(&[
            ("sessionKey", text("Key or label, from sessions_list"), true),
            ("message", text("What to say"), true),
            ("timeoutSeconds", whole("How long to wait; default 30"), false),
        ])
    },
    section: Section::Sessions,
    changes: true,
    how: How::Host(HostTool::SessionsSend),
};

pub(super) const SESSIONS_SPAWN: Tool = Tool {
    name: "sessions_spawn",
    title: "Sub-agent",
    description: "Start a sub-agent on a task of its own, in the background. Its result is said \
                  to this session when it is done; do not wait or poll for it.",
    parameters: || {
        object(&[
            ("task", text("All it needs to know: it does not see this conversation"), true),
            ("label", text("A short title"), false),
            ("agentId", text("Another agent, from agents_list"), false),
            ("model", text("provider/model instead of the default"), false),
            ("runTimeoutSeconds", whole("0: no limit of its own"), false),
        ])
    },
    section: Section::Sessions,
    changes: true,
    how: How::Host(HostTool::SessionsSpawn),
};

pub(super) const MESSAGE: Tool = Tool {
    name: "message",
    title: "Message",
    description: "Send a message through a connected channel, react to one, edit or delete one, \
                  make a poll, or what else the channel has. To answer here, just answer.",
    parameters: || {
        object(&[
            (
                "action",
                text("send (default), react, edit, delete, poll, pin, ...; a refusal names all"),
                false,
            ),
            ("channel", text("Channel id, such as telegram; default: where this was asked"), false),
            ("target", text("Peer or chat in that channel; default: who asked"), false),
            ("message", text("What to say; the caption of media"), false),
            ("messageId", text("The message to act on; react: default the one asked"), false),
            ("emoji", text("With react"), false),
            ("pollQuestion", text("With poll"), false),
            ("pollOption", json!({"type": "array", "items": {"type": "string"}}), false),
            (
                "media",
                text("A file to send: a path below the workspace, or an https address"),
                false,
            ),
            ("buffer", text("Or its content as base64"), false),
            ("filename", text("Its name, with buffer"), false),
            (
                "attachments",
                json!({"type": "array", "items": {"type": "object"},
                "description": "Several: [{\"media\": path or address}]"}),
                false,
            ),
            ("asVoice", json!({"type": "boolean", "description": "Sound as a voice note"}), false),
            (
                "forceDocument",
                json!({"type": "boolean",
                "description": "Pictures as files, uncompressed"}),
                false,
            ),
        ])
    },
    section: Section::Messaging,
    changes: true,
    how: How::Host(HostTool::Message),
};
