//! The rows: every flag and every command there is, one file a family. Data only; see
//! [`super::table`] for what reads it.

mod agents;
mod care;
mod config;
mod cron;
mod devices;
mod first;
mod gateway;
mod look;
mod message;

use super::table::{Command, Flag, Handler, Takes};
use crate::config::{AuthMode, Bind, tailscale};

const fn switch(long: &'static str, about: &'static str) -> Flag {
    Flag { long, short: None, takes: Takes::Nothing, about }
}

const fn text(long: &'static str, placeholder: &'static str, about: &'static str) -> Flag {
    Flag { long, short: None, takes: Takes::Text(placeholder), about }
}

const fn short(
    long: &'static str,
    letter: char,
    placeholder: &'static str,
    about: &'static str,
) -> Flag {
    Flag { long, short: Some(letter), takes: Takes::Text(placeholder), about }
}

const JSON: Flag = switch("json", "Print one JSON document (logs: one a line)");
const URL: Flag =
    text("url", "url", "Gateway to ask, ws[s]://host:port; uses only the flags' secret");
const TOKEN: Flag = text("token", "token", "Gateway token (default: file, then environment)");
const PASSWORD: Flag = text("password", "password", "Gateway password (same order)");
const LOCAL_PORT: Flag = Flag {
    long: "port",
    short: None,
    takes: Takes::Number("port", 1, 65_535),
    about: "Ask the gateway on this port of this machine",
};
const TIMEOUT: Flag = Flag {
    long: "timeout",
    short: None,
    takes: Takes::Number("ms", 1, 86_400_000),
    about: "Give up after this long (default 10000)",
};

const HEALTH: &[Flag] = &[
    switch("verbose", "Ask every channel; show every account and agent"),
    switch("debug", "Same as --verbose"),
    JSON,
    LOCAL_PORT,
    URL,
    TOKEN,
    PASSWORD,
    TIMEOUT,
];

const SESSIONS: &[Flag] = &[
    text("limit", "count|all", "How many (default 100)"),
    text("agent", "id", "Only of this agent"),
    switch("all-agents", "Of every agent (what happens without --agent)"),
    Flag {
        long: "active",
        short: None,
        takes: Takes::Number("minutes", 1, 10_000_000),
        about: "Only those changed within so many minutes",
    },
    JSON,
    URL,
    TOKEN,
    PASSWORD,
    TIMEOUT,
];

const PATIENCE: Flag = Flag {
    long: "timeout",
    short: None,
    takes: Takes::Number("ms", 1, 86_400_000),
    about: "Wait this long for it (default 30000)",
};

const NODE: Flag = text("node", "id|name|ip", "Which node: its id, name, address, or start of id");
const INVOKE_TIMEOUT: Flag = Flag {
    long: "invoke-timeout",
    short: None,
    takes: Takes::Number("ms", 1, 3_600_000),
    about: "What the node has for it (default 15000)",
};
const CONNECTED: Flag = switch("connected", "Only nodes that are connected");
const LAST_CONNECTED: Flag =
    text("last-connected", "duration", "Only nodes that connected within, such as 24h or 7d");

const DEVICE: Flag = text("device", "id", "Which device: its id (openclaw devices list)");
const ROLE: Flag = Flag {
    long: "role",
    short: None,
    takes: Takes::Word(&crate::auth::devices::ROLES),
    about: "Which of its roles",
};

/// A command that asks the gateway, without words of its own.
const fn of_gateway(
    path: &'static [&'static str],
    run: Option<Handler>,
    about: &'static str,
    flags: &'static [Flag],
    examples: &'static [&'static str],
) -> Command {
    Command { path, run, about, operands: &[], flags, examples }
}

const DRY_RUN: Flag = switch("dry-run", "Check the result and write nothing");

const AGENT_OF_LIST: Flag = text("agent", "id", "Whose list (default: *, every agent's)");

/// Flags that every command takes, before or after its words.
pub const GLOBALS: &[Flag] = &[
    switch("dev", "Isolated dev profile: own state directory, port 19001"),
    text("profile", "name", "Isolated profile: state in ~/.openclaw-<name>"),
    text("tls-fingerprint", "sha256", "Trust exactly this certificate of the gateway (wss://)"),
    switch("no-color", "Never in colour, as with NO_COLOR=1"),
    Flag { long: "help", short: Some('h'), takes: Takes::Nothing, about: "Show this help" },
    Flag { long: "version", short: Some('V'), takes: Takes::Nothing, about: "Show the version" },
];

const GATEWAY_RUN: &[Flag] = &[
    Flag {
        long: "port",
        short: None,
        takes: Takes::Number("port", 0, 65_535),
        about: "Port to open (default: environment, file, 18789; 0 picks a free one)",
    },
    Flag {
        long: "bind",
        short: None,
        takes: Takes::Word(&Bind::WORDS),
        about: "Address to open it on (default: file, loopback)",
    },
    Flag {
        long: "auth",
        short: None,
        takes: Takes::Word(&AuthMode::WORDS),
        about: "How callers prove themselves (default: file, token)",
    },
    Flag {
        long: "tailscale",
        short: None,
        takes: Takes::Word(tailscale::WORDS),
        about: "Say what to type for a route of Tailscale's; none is made",
    },
    text("token", "token", "Token that callers must show (default: file, then environment)"),
    text("password", "password", "Password that callers must show (same order)"),
    text("password-file", "path", "File that holds the password"),
    switch("verbose", "Mirror debug lines to standard output"),
    switch("force", "End a listener of your own user on the port, then start"),
    switch("allow-unconfigured", "Start without a configuration file, with a generated token"),
    switch("reset", "With --dev: begin with an empty state directory"),
    switch("last-known-good", "If the file is damaged, start with the last good copy of it"),
];

const SKILLS_AGENT: Flag = text("agent", "id", "Of which agent (default: the default one)");
const SKILLS: &[Flag] = &[SKILLS_AGENT, switch("eligible", "Only what the model is shown"), JSON];

const RUN_EXAMPLES: &[&str] = &[
    "openclaw gateway --dev                try it: writes a minimal configuration",
    "openclaw gateway --port 18789         run in the foreground",
    "openclaw gateway status               is it up?",
];

const fn of_cron(
    path: &'static [&'static str],
    run: Option<Handler>,
    about: &'static str,
    operands: &'static [&'static str],
) -> Command {
    const FLAGS: &[Flag] = &[JSON, URL, TOKEN, PASSWORD, TIMEOUT];
    Command { path, run, about, operands, flags: FLAGS, examples: &[] }
}

const CRON_JOB: &[Flag] = &[
    text("name", "name", "What it is called (add: required)"),
    text("at", "when", "Once: a time (UTC unless --tz) or from now, such as 20m"),
    text("every", "duration", "Again and again: 10m, 1h, 1d"),
    text("cron", "expression", "By the calendar: minute hour day month weekday"),
    text("tz", "zone", "Time zone: Europe/Berlin, UTC, +02:00 (default: the gateway's)"),
    switch("exact", "On the minute: not spread over a window"),
    text("stagger", "duration", "Spread over this window"),
    short("message", 'm', "text", "What the agent is asked"),
    text("system-event", "text", "What the main session is told"),
    text("agent", "id", "Which agent (default: the configured default)"),
    text("model", "provider/model", "Another model"),
    text("thinking", "level", "How much to think: off, minimal, low, medium, high, ..."),
    Flag {
        long: "timeout-seconds",
        short: None,
        takes: Takes::Number("seconds", 0, 31_536_000),
        about: "Time of one run (default 3600; 0: the agent's own)",
    },
    switch("light-context", ""),
    text("session", "target", "main, isolated, current or session:<id>"),
    text("session-key", "key", "The session of --session current"),
    text("wake", "now|next-heartbeat", "System event: ask the model now (default), or later"),
    text("display-name", "name", "What lists show"),
    text("description", "text", "What it is for"),
    switch("disabled", "Keep it switched off"),
    switch("enable", "Switch it on (edit)"),
    switch("disable", "Switch it off (edit)"),
    switch("delete-after-run", "Single time: remove it when it succeeded (default)"),
    switch("keep-after-run", "Single time: keep it"),
    switch("announce", "Send the answer by a channel (none is built yet)"),
    switch("no-deliver", "Keep the answer in the run log"),
    switch("best-effort-deliver", "A failed delivery is no failure"),
    text("channel", "name", "By which channel"),
    short("to", 't', "recipient", "To whom"),
    text("account", "id", "By which account of it"),
    text("thread-id", "id", "In which thread"),
    switch("clear-agent", "Back to the default agent (edit)"),
    switch("clear-display-name", "Back to its name (edit)"),
    switch("clear-model", "Back to the agent's model (edit)"),
    switch("clear-thinking", "Back to the agent's level (edit)"),
    JSON,
    URL,
    TOKEN,
    PASSWORD,
    TIMEOUT,
];

/// Every command, by families; help lists them in this order. The root comes first; a row whose
/// path is the beginning of others is also their parent.
pub const FAMILIES: &[&[Command]] = &[
    ROOT,
    first::ROWS,
    gateway::ROWS,
    look::ROWS,
    message::ROWS,
    agents::ROWS,
    config::ROWS,
    care::ROWS,
    devices::ROWS,
    cron::ROWS,
];

const ROOT: &[Command] = &[Command {
    path: &[],
    run: None,
    about: "One gateway for personal AI agents: channels, sessions, models, one port.",
    operands: &[],
    flags: &[],
    examples: &[
        "openclaw setup                        write a first configuration",
        "openclaw gateway                      run the gateway in the foreground",
        "openclaw status                       how is it doing?",
    ],
}];
