//! The rows: every flag and every command there is. Data only; see [`super`] for what reads it.

use super::{Command, Flag, Run, Takes};
use crate::config::{AuthMode, Bind};

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
const URL: Flag = text("url", "url", "Gateway to ask, ws://host:port; uses only the flags' secret");
const TOKEN: Flag = text("token", "token", "Gateway token (default: environment, then file)");
const PASSWORD: Flag = text("password", "password", "Gateway password (same order)");
const TIMEOUT: Flag = Flag {
    long: "timeout",
    short: None,
    takes: Takes::Number("ms", 1, 86_400_000),
    about: "Give up after this long (default 10000)",
};

const PATIENCE: Flag = Flag {
    long: "timeout",
    short: None,
    takes: Takes::Number("ms", 1, 86_400_000),
    about: "Wait this long for it (default 30000)",
};

/// Flags that every command takes, before or after its words.
pub const GLOBALS: &[Flag] = &[
    switch("dev", "Isolated dev profile: own state directory, port 19001"),
    text("profile", "name", "Isolated profile: state in ~/.openclaw-<name>"),
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
    text("token", "token", "Token that callers must show (default: environment, then file)"),
    text("password", "password", "Password that callers must show (same order)"),
    text("password-file", "path", "File that holds the password"),
    switch("verbose", "Mirror debug lines to standard output"),
    switch("force", "End a listener of your own user on the port, then start"),
    switch("allow-unconfigured", "Start without a configuration file, with a generated token"),
];

const RUN_EXAMPLES: &[&str] = &[
    "openclaw gateway --dev                try it: writes a minimal dev configuration",
    "openclaw gateway --port 18789         run in the foreground",
    "openclaw gateway status               is it up?",
];

/// Every command. A row whose path is the beginning of others is also their parent.
pub const COMMANDS: &[Command] = &[
    Command {
        path: &[],
        run: Run::Help,
        about: "One gateway for personal AI agents: channels, sessions, models, one port.",
        operands: &[],
        flags: &[],
        examples: &[
            "openclaw setup                        write a first configuration",
            "openclaw gateway                      run the gateway in the foreground",
            "openclaw status                       how is it doing?",
        ],
    },
    Command {
        path: &["gateway"],
        run: Run::GatewayRun,
        about: "Run the gateway in the foreground, or ask a running one",
        operands: &[],
        flags: GATEWAY_RUN,
        examples: RUN_EXAMPLES,
    },
    Command {
        path: &["gateway", "run"],
        run: Run::GatewayRun,
        about: "Run the gateway in the foreground",
        operands: &[],
        flags: GATEWAY_RUN,
        examples: RUN_EXAMPLES,
    },
    Command {
        path: &["gateway", "status"],
        run: Run::GatewayStatus,
        about: "Is a gateway running, where, and does it answer",
        operands: &[],
        flags: &[
            JSON,
            URL,
            TOKEN,
            PASSWORD,
            TIMEOUT,
            switch("require-rpc", "Fail unless an RPC with read scope succeeds"),
            switch("no-probe", "Do not connect; look only at processes and files"),
            switch("deep", ""),
        ],
        examples: &[],
    },
    Command {
        path: &["gateway", "stop"],
        run: Run::GatewayStop,
        about: "Stop this profile's gateway once its active runs are done",
        operands: &[],
        flags: &[PATIENCE],
        examples: &[],
    },
    Command {
        path: &["gateway", "restart"],
        run: Run::GatewayRestart,
        about: "Restart this profile's gateway in place; the port stays open",
        operands: &[],
        flags: &[PATIENCE, URL, TOKEN, PASSWORD],
        examples: &[],
    },
    Command {
        path: &["gateway", "call"],
        run: Run::GatewayCall,
        about: "Call one method of a running gateway and print its payload",
        operands: &["method"],
        flags: &[
            text("params", "json", "Parameters, a JSON object (default {})"),
            switch("expect-final", "Wait for the final response of a two-stage method"),
            JSON,
            URL,
            TOKEN,
            PASSWORD,
            TIMEOUT,
        ],
        examples: &["openclaw gateway call logs.tail --params '{\"limit\":20}'"],
    },
    Command {
        path: &["gateway", "health"],
        run: Run::Health,
        about: "Same as `openclaw health`",
        operands: &[],
        flags: &[JSON, URL, TOKEN, PASSWORD, TIMEOUT],
        examples: &[],
    },
    Command {
        path: &["health"],
        run: Run::Health,
        about: "Health of the running gateway",
        operands: &[],
        flags: &[JSON, URL, TOKEN, PASSWORD, TIMEOUT],
        examples: &[],
    },
    Command {
        path: &["status"],
        run: Run::Status,
        about: "Overview: gateway, agents, sessions, channels",
        operands: &[],
        flags: &[JSON, URL, TOKEN, PASSWORD, TIMEOUT],
        examples: &[],
    },
    Command {
        path: &["logs"],
        run: Run::Logs,
        about: "Show the gateway's log",
        operands: &[],
        flags: &[
            switch("follow", "Keep showing new lines"),
            JSON,
            switch("plain", "The messages only, without time and subsystem"),
            Flag {
                long: "limit",
                short: None,
                takes: Takes::Number("lines", 1, 5000),
                about: "Lines to ask for at once (default 200)",
            },
            Flag {
                long: "max-bytes",
                short: None,
                takes: Takes::Number("bytes", 1, 1_000_000),
                about: "Bytes to ask for at once (default 250000)",
            },
            Flag {
                long: "interval",
                short: None,
                takes: Takes::Number("ms", 100, 3_600_000),
                about: "Pause between two looks with --follow (default 1000)",
            },
            URL,
            TOKEN,
            PASSWORD,
            TIMEOUT,
        ],
        examples: &["openclaw logs --follow"],
    },
    Command {
        path: &["agent"],
        run: Run::Agent,
        about: "Send one message to an agent and print its answer",
        operands: &[],
        flags: &[
            short("message", 'm', "text", "What to say"),
            text("message-file", "path", "A UTF-8 file that says it"),
            text("agent", "id", "Which agent (default: the configured default)"),
            text("session-id", "id", "Continue this session"),
            text("session-key", "key", "Continue the session with this key"),
            short("to", 't', "recipient", "Continue the session with this person"),
            text("model", "provider/model", "Another model for this turn"),
            text("thinking", "level", "How much to think: off, minimal, low, medium, high, ..."),
            switch("deliver", "Send the answer by a channel too"),
            text("channel", "name", "The channel to send it by"),
            text("reply-to", "target", "Whom to send it to"),
            text("reply-channel", "name", "By which channel, if not the session's"),
            text("reply-account", "id", "By which account of it"),
            switch("local", ""),
            Flag {
                long: "timeout",
                short: None,
                takes: Takes::Number("seconds", 0, 86_400_000),
                about: "Give up after this long (default 600; 0 never)",
            },
            JSON,
            URL,
            TOKEN,
            PASSWORD,
        ],
        examples: &["openclaw agent --message \"What can you do?\""],
    },
    Command {
        path: &["message"],
        run: Run::Help,
        about: "Messages by the channels of the running gateway",
        operands: &[],
        flags: &[],
        examples: &[],
    },
    Command {
        path: &["message", "send"],
        run: Run::MessageSend,
        about: "Send a message by a channel of the running gateway",
        operands: &[],
        flags: &[
            short("target", 't', "recipient", "Who gets it (required)"),
            short("message", 'm', "text", "What to say"),
            text("channel", "name", "By which channel"),
            text("account", "id", "By which account of it"),
            text("media", "path-or-url", "A file to send with it"),
            text("reply-to", "id", "The message it answers"),
            text("thread-id", "id", "The thread it belongs to"),
            text("presentation", "json", "Blocks, buttons and tables"),
            text("delivery", "json", "Preferences of delivery"),
            switch("silent", "Without a notification"),
            switch("pin", "Pin it"),
            switch("force-document", "Media as a document, uncompressed"),
            switch("gif-playback", "Video as a moving picture"),
            switch("dry-run", "Print what would be asked, and ask nothing"),
            JSON,
            URL,
            TOKEN,
            PASSWORD,
            TIMEOUT,
        ],
        examples: &["openclaw message send --channel telegram --target @name --message \"hi\""],
    },
    Command {
        path: &["sessions"],
        run: Run::Sessions,
        about: "List the sessions of the running gateway",
        operands: &[],
        flags: &[
            Flag {
                long: "limit",
                short: None,
                takes: Takes::Number("count", 1, 5000),
                about: "How many (default 50)",
            },
            JSON,
            URL,
            TOKEN,
            PASSWORD,
            TIMEOUT,
        ],
        examples: &[],
    },
    Command {
        path: &["models"],
        run: Run::Help,
        about: "Models of the running gateway",
        operands: &[],
        flags: &[],
        examples: &[],
    },
    Command {
        path: &["models", "list"],
        run: Run::Models,
        about: "List the models that may answer",
        operands: &[],
        flags: &[
            text("provider", "id", "Only the models of this provider"),
            switch("local", "Only models on this machine"),
            text("agent", "id", "As this agent sees them"),
            switch("plain", "Only the names"),
            JSON,
            URL,
            TOKEN,
            PASSWORD,
            TIMEOUT,
        ],
        examples: &[],
    },
    Command {
        path: &["models", "status"],
        run: Run::ModelsStatus,
        about: "Show the models in use, their providers and keys",
        operands: &[],
        flags: &[
            switch("probe", "Ask each provider for a few tokens, with each key"),
            text("probe-provider", "id", "Ask only this provider"),
            text("probe-profile", "key", "Ask only with the key of this name"),
            Flag {
                long: "probe-timeout",
                short: None,
                takes: Takes::Number("ms", 1, 120_000),
                about: "Time for each answer (default 8000)",
            },
            text("agent", "id", "As this agent sees them"),
            switch("check", "Exit with 1 when a model in use has no key that may be tried"),
            JSON,
            URL,
            TOKEN,
            PASSWORD,
            TIMEOUT,
        ],
        examples: &["openclaw models status --probe      does each key work?"],
    },
    Command {
        path: &["channels"],
        run: Run::Help,
        about: "Channels of the running gateway",
        operands: &[],
        flags: &[],
        examples: &[],
    },
    Command {
        path: &["channels", "status"],
        run: Run::Channels,
        about: "List the channels and their accounts",
        operands: &[],
        flags: &[
            switch("probe", "Ask each account whether it is connected"),
            JSON,
            URL,
            TOKEN,
            PASSWORD,
            TIMEOUT,
        ],
        examples: &[],
    },
    Command {
        path: &["setup"],
        run: Run::Setup,
        about: "Write a first configuration; an existing file is never rewritten",
        operands: &[],
        flags: &[
            Flag {
                long: "yes",
                short: Some('y'),
                takes: Takes::Nothing,
                about: "Ask nothing, take what was found",
            },
            switch("non-interactive", "Same as --yes"),
            text("token", "token", "Gateway token to write (default: a generated one)"),
        ],
        examples: &[],
    },
    Command {
        path: &["config"],
        run: Run::Help,
        about: "Look at the configuration file, or change one key of it",
        operands: &[],
        flags: &[],
        examples: &["openclaw config set gateway.mode local"],
    },
    Command {
        path: &["config", "file"],
        run: Run::ConfigFile,
        about: "Print where the configuration file lies",
        operands: &[],
        flags: &[],
        examples: &[],
    },
    Command {
        path: &["config", "validate"],
        run: Run::ConfigValidate,
        about: "Check the file and name every fault with its line",
        operands: &[],
        flags: &[JSON],
        examples: &[],
    },
    Command {
        path: &["config", "set"],
        run: Run::ConfigSet,
        about: "Set one key; comments stay, an invalid result is not written",
        operands: &["path", "value"],
        flags: &[],
        examples: &[
            "openclaw config set gateway.port 18789",
            "openclaw config set agents.defaults.model.primary ollama/qwen3:8b",
        ],
    },
    Command {
        path: &["config", "unset"],
        run: Run::ConfigUnset,
        about: "Remove one key; comments stay, an invalid result is not written",
        operands: &["path"],
        flags: &[],
        examples: &["openclaw config unset gateway.port"],
    },
];
