//! `gateway` and what it is asked: the rows.

use super::*;
use crate::cli::{call, control, gateway_run, health, service, status};

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
        flags: &[JSON, URL, TOKEN, PASSWORD, TIMEOUT],
        examples: &[],
    },
];
