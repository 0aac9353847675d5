//! The configuration file and its secrets: the rows.

use super::*;
use crate::cli::{config, secrets, setup};

/// See the module's head.
pub const ROWS: &[Command] = &[
    Command {
        path: &["secrets"],
        run: None,
        about: "SecretRefs: resolve them anew, and find secrets that are none",
        operands: &[],
        flags: &[],
        examples: &[],
    },
    Command {
        path: &["secrets", "reload"],
        run: Some(secrets::reload),
        about: "Resolve every SecretRef of the running gateway anew: all of them or none",
        operands: &[],
        flags: &[JSON, URL, TOKEN, PASSWORD, TIMEOUT],
        examples: &[],
    },
    Command {
        path: &["secrets", "audit"],
        run: Some(secrets::audit::run),
        about: "Find secrets written out in files, and references that resolve to nothing",
        operands: &[],
        flags: &[
            switch("check", "Exit code 1 when anything is found"),
            switch("allow-exec", "Ask exec providers, too: it runs their programs"),
            JSON,
        ],
        examples: &["openclaw secrets audit --check"],
    },
    Command {
        path: &["setup"],
        run: Some(setup::run),
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
        run: None,
        about: "Look at the configuration file, or change one key of it",
        operands: &[],
        flags: &[],
        examples: &["openclaw config set gateway.mode local"],
    },
    Command {
        path: &["config", "file"],
        run: Some(config::file),
        about: "Print where the configuration file lies",
        operands: &[],
        flags: &[],
        examples: &[],
    },
    Command {
        path: &["config", "get"],
        run: Some(config::get),
        about: "Print one value of the file, secrets hidden",
        operands: &["path"],
        flags: &[JSON],
        examples: &["openclaw config get agents.defaults.model --json"],
    },
    Command {
        path: &["config", "schema"],
        run: Some(|_| config::schema()),
        about: "Print the JSON Schema of the file, for editors and forms",
        operands: &[],
        flags: &[],
        examples: &["openclaw config schema > openclaw.schema.json"],
    },
    Command {
        path: &["config", "keys"],
        run: Some(config::keys),
        about: "List the keys of the reference that have no effect here, and why",
        operands: &[],
        flags: &[JSON, switch("markdown", "As the table that the README holds")],
        examples: &[],
    },
    Command {
        path: &["config", "validate"],
        run: Some(config::validate),
        about: "Check the file and name every fault with its line",
        operands: &[],
        flags: &[JSON],
        examples: &[],
    },
    Command {
        path: &["config", "set"],
        run: Some(config::set),
        about: "Set one key; comments stay, an invalid result is not written",
        operands: &["path", "value"],
        flags: &[
            switch("strict-json", "The value is strict JSON, never a bare text"),
            switch("merge", "Lay the value on what is there: objects by key, lists by id"),
            switch("replace", "Replace a map or list even where that removes entries"),
            DRY_RUN,
        ],
        examples: &[
            "openclaw config set gateway.port 18789",
            "openclaw config set agents.defaults.model.primary ollama/qwen3:8b",
        ],
    },
    Command {
        path: &["config", "unset"],
        run: Some(config::unset),
        about: "Remove one key; comments stay, an invalid result is not written",
        operands: &["path"],
        flags: &[DRY_RUN],
        examples: &["openclaw config unset gateway.port"],
    },
];
