//! `gateway` and what it is asked: the rows.

use super::*;
use crate::cli::{call, control, export, gateway_run, health, observe, probe, service, status};

const INSTALL: &[Flag] = &[
    Flag {
        long: "port",
        short: None,
        takes: Takes::Number("port", 1, 65_535),
        about: "Fix the port; else the configuration decides",
    },
    switch("force", "Write it anew if it is installed; restarts the gateway"),
    switch("system", "A service of the machine instead of this user's (systemd)"),
    text("user", "account", "Whose gateway a service of the machine is"),
    switch("allow-unconfigured", "Start without gateway.mode=local"),
    text("token", "token", "Kept in .env of the state directory, never in the service"),
    text("wrapper", "path", "A program that runs the gateway with the words it is given"),
    text("runtime", "node|bun", ""),
    text("runtime-path", "path", ""),
    switch("print", "Print the definition; write and start nothing"),
    JSON,
];
const STOP: &[Flag] = &[
    PATIENCE,
    switch("disable", "launchd: not even a log-in starts it until gateway start"),
    switch("force", "Do not wait for active runs"),
    JSON,
];
const RESTART: &[Flag] = &[
    PATIENCE,
    switch("force", "Do not wait for active runs"),
    switch("safe", "Wait for active runs, within the shutdown budget (as without it)"),
    switch("skip-deferral", "With --safe: do not wait for active runs"),
    text("wait", "time", "Time for active runs and the start: 500, 10s, 5m; 0 for ever"),
    switch("preserve-definition", "Keep the service's definition (as without it)"),
    URL,
    TOKEN,
    PASSWORD,
    JSON,
];

/// See the module's head.
pub const ROWS: &[Command] = &[
    Command {
        path: &["gateway"],
        run: Some(gateway_run::run),
        about: "Run the gateway in the foreground, or ask a running one",
        operands: &[],
        flags: GATEWAY_RUN,
        examples: RUN_EXAMPLES,
    },
    Command {
        path: &["gateway", "run"],
        run: Some(gateway_run::run),
        about: "Run the gateway in the foreground",
        operands: &[],
        flags: GATEWAY_RUN,
        examples: RUN_EXAMPLES,
    },
    Command {
        path: &["gateway", "status"],
        run: Some(status::gateway),
        about: "Is a gateway running, where, and does it answer",
        operands: &[],
        flags: &[
            JSON,
            LOCAL_PORT,
            URL,
            TOKEN,
            PASSWORD,
            TIMEOUT,
            switch("require-rpc", "Fail unless an RPC with read scope succeeds"),
            switch("no-probe", "Do not connect; look only at processes and files"),
            switch("deep", "Look for services of the whole system too"),
        ],
        examples: &[],
    },
    Command {
        path: &["gateway", "install"],
        run: Some(service::install),
        about: "Install the gateway as a service and start it",
        operands: &[],
        flags: INSTALL,
        examples: &[
            "openclaw gateway install                         for this user",
            "sudo openclaw gateway install --system --user me for the machine (systemd)",
        ],
    },
    Command {
        path: &["gateway", "uninstall"],
        run: Some(service::uninstall),
        about: "Stop the gateway's service and remove it",
        operands: &[],
        flags: &[JSON],
        examples: &[],
    },
    Command {
        path: &["gateway", "start"],
        run: Some(service::start),
        about: "Start the installed service",
        operands: &[],
        flags: &[JSON],
        examples: &[],
    },
    Command {
        path: &["gateway", "stop"],
        run: Some(control::stop),
        about: "Stop this profile's gateway once its active runs are done",
        operands: &[],
        flags: STOP,
        examples: &[],
    },
    Command {
        path: &["gateway", "restart"],
        run: Some(control::restart),
        about: "Restart this profile's gateway in place; the port stays open",
        operands: &[],
        flags: RESTART,
        examples: &[],
    },
    Command {
        path: &["gateway", "call"],
        run: Some(call::run),
        about: "Call one method of a running gateway and print its payload",
        operands: &["method"],
        flags: &[
            text("params", "json", "Parameters, a JSON object (default {})"),
            switch("expect-final", "Wait for the final response of a two-stage method"),
            JSON,
            LOCAL_PORT,
            URL,
            TOKEN,
            PASSWORD,
            TIMEOUT,
        ],
        examples: &["openclaw gateway call logs.tail --params '{\"limit\":20}'"],
    },
    Command {
        path: &["gateway", "health"],
        run: Some(health::run),
        about: "Same as `openclaw health`",
        operands: &[],
        flags: HEALTH,
        examples: &[],
    },
    Command {
        path: &["gateway", "probe"],
        run: Some(probe::run),
        about: "Which gateways can be reached, and with which rights",
        operands: &[],
        flags: &[JSON, LOCAL_PORT, URL, TOKEN, PASSWORD, TIMEOUT],
        examples: &[],
    },
    Command {
        path: &["gateway", "usage-cost"],
        run: Some(observe::usage_cost),
        about: "Tokens and what they cost, by day",
        operands: &[],
        flags: &[
            Flag {
                long: "days",
                short: None,
                takes: Takes::Number("days", 1, 3_650),
                about: "How many days (default 30)",
            },
            text("agent", "id", "Only of this agent"),
            switch("all-agents", "Of every agent (what happens without --agent)"),
            JSON,
            LOCAL_PORT,
            URL,
            TOKEN,
            PASSWORD,
            TIMEOUT,
        ],
        examples: &["openclaw gateway usage-cost --days 7"],
    },
    Command {
        path: &["gateway", "stability"],
        run: Some(observe::stability),
        about: "What happened to the gateway lately, without a word of anybody",
        operands: &[],
        flags: STABILITY,
        examples: &["openclaw gateway stability --bundle latest"],
    },
    Command {
        path: &["gateway", "diagnostics"],
        run: None,
        about: "Diagnostics of the gateway",
        operands: &[],
        flags: &[],
        examples: &[],
    },
    Command {
        path: &["gateway", "diagnostics", "export"],
        run: Some(export::run),
        about: "Write a zip for a report: no secrets, no chat text",
        operands: &[],
        flags: EXPORT,
        examples: &["openclaw gateway diagnostics export --output report.zip"],
    },
    Command {
        path: &["gateway", "discover"],
        run: Some(observe::discover),
        about: "Look for gateways on the network (this build has no mDNS)",
        operands: &[],
        flags: &[
            Flag {
                long: "timeout",
                short: None,
                takes: Takes::Number("ms", 1, 86_400_000),
                about: "How long to look (default 2000)",
            },
            JSON,
        ],
        examples: &[],
    },
];

const OUTPUT: Flag = text("output", "path", "Where to write it (default: logs/support)");
const LOG_LINES: Flag = Flag {
    long: "log-lines",
    short: None,
    takes: Takes::Number("lines", 1, 100_000),
    about: "Lines of the log (default 5000)",
};
const LOG_BYTES: Flag = Flag {
    long: "log-bytes",
    short: None,
    takes: Takes::Number("bytes", 1, 16_000_000),
    about: "Bytes of the log (default 1000000)",
};
const NO_BUNDLE: Flag = switch("no-stability-bundle", "Leave the stability bundle out");
const BUNDLE: Flag = Flag {
    long: "bundle",
    short: None,
    takes: Takes::Maybe("path|latest", "latest"),
    about: "Read what a gateway left behind (default: the newest)",
};

const EXPORT: &[Flag] = &[
    OUTPUT, LOG_LINES, LOG_BYTES, NO_BUNDLE, BUNDLE, JSON, LOCAL_PORT, URL, TOKEN, PASSWORD,
    TIMEOUT,
];

const STABILITY: &[Flag] = &[
    Flag {
        long: "limit",
        short: None,
        takes: Takes::Number("events", 1, 1_000),
        about: "How many events (default 25)",
    },
    text("type", "type", "Only events of this type, such as payload.large"),
    Flag {
        long: "since-seq",
        short: None,
        takes: Takes::Number("number", 0, 9_007_199_254_740_991),
        about: "Only events behind this number",
    },
    BUNDLE,
    switch("export", "Write a diagnostics zip instead of showing it"),
    OUTPUT,
    LOG_LINES,
    LOG_BYTES,
    NO_BUNDLE,
    JSON,
    LOCAL_PORT,
    URL,
    TOKEN,
    PASSWORD,
    TIMEOUT,
];
