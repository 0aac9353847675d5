//! `gateway` and what it is asked: the rows.

use super::*;
use crate::cli::{call, control, gateway_run, health, status};

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
        path: &["gateway", "stop"],
        run: Some(control::stop),
        about: "Stop this profile's gateway once its active runs are done",
        operands: &[],
        flags: &[PATIENCE],
        examples: &[],
    },
    Command {
        path: &["gateway", "restart"],
        run: Some(control::restart),
        about: "Restart this profile's gateway in place; the port stays open",
        operands: &[],
        flags: &[PATIENCE, URL, TOKEN, PASSWORD],
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
