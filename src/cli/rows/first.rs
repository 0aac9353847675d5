//! First steps: onboarding and the control page: the rows.

use super::*;
use crate::cli::{dashboard, onboard, reset};

const ONBOARD: &[Flag] = &[
    switch("non-interactive", "Never ask; needs --accept-risk"),
    switch("accept-risk", "You know that an agent can do whatever this user can"),
    Flag {
        long: "mode",
        short: None,
        takes: Takes::Word(&["local", "remote"]),
        about: "A gateway here (default), or one elsewhere",
    },
    text("auth-choice", "choice", "skip (default), ollama, custom-api-key, <provider>-api-key"),
    text("custom-base-url", "url", "Address of the provider"),
    text("custom-model-id", "id", "Its model"),
    text("custom-api-key", "key", "Its key (default: from its environment variable)"),
    Flag {
        long: "custom-compatibility",
        short: None,
        takes: Takes::Word(&["openai", "openai-responses", "anthropic"]),
        about: "What it speaks",
    },
    switch("custom-image-input", "The model takes images"),
    switch("custom-text-input", ""),
    Flag {
        long: "secret-input-mode",
        short: None,
        takes: Takes::Word(&["plaintext", "ref"]),
        about: "Write secrets themselves, or SecretRefs to the environment",
    },
    Flag {
        long: "gateway-port",
        short: None,
        takes: Takes::Number("port", 1, 65_535),
        about: "gateway.port",
    },
    Flag {
        long: "gateway-bind",
        short: None,
        takes: Takes::Word(&Bind::WORDS),
        about: "gateway.bind",
    },
    Flag {
        long: "gateway-auth",
        short: None,
        takes: Takes::Word(&["token", "password"]),
        about: "How callers prove themselves (default token)",
    },
    text("gateway-token", "token", "The token (default: a new one)"),
    text("gateway-token-ref-env", "name", "Variable that holds it, kept as a SecretRef"),
    text("gateway-password", "password", "The password"),
    text("remote-url", "url", "--mode remote: ws[s]://host:port"),
    text("remote-token", "token", "--mode remote: its token"),
    text("remote-password", "password", "--mode remote: its password"),
    text("workspace", "dir", "agents.defaults.workspace"),
    switch("install-daemon", "Install and start the service"),
    switch("no-install-daemon", "Do not (default); a gateway that is not there is no failure"),
    switch("skip-daemon", "Same as --no-install-daemon"),
    switch("skip-health", "Do not wait for a gateway to answer"),
    switch("skip-bootstrap", "Write no files into the workspace"),
    switch("reset", "Remove configuration, credentials and sessions first"),
    Flag {
        long: "reset-scope",
        short: None,
        takes: Takes::Word(&reset::SCOPES),
        about: "--reset: what goes",
    },
    JSON,
    TOKEN,
    PASSWORD,
    Flag { long: "yes", short: Some('y'), takes: Takes::Nothing, about: "" },
    switch("dry-run", ""),
    text("flow", "flow", ""),
    text("agent-name", "name", ""),
    text("node-manager", "name", ""),
    text("daemon-runtime", "name", ""),
    switch("skip-skills", ""),
    switch("skip-channels", ""),
    switch("skip-search", ""),
    switch("skip-ui", ""),
    switch("skip-hooks", ""),
    switch("suppress-gateway-token-output", ""),
];

/// See the module's head.
pub const ROWS: &[Command] = &[
    Command {
        path: &["onboard"],
        run: Some(onboard::run),
        about: "Set up everything for a first start, by questions or by flags",
        operands: &[],
        flags: ONBOARD,
        examples: &[
            "openclaw onboard --non-interactive --accept-risk --skip-health \\",
            "  --auth-choice openai-api-key --secret-input-mode ref",
        ],
    },
    Command {
        path: &["dashboard"],
        run: Some(dashboard::run),
        about: "Open the control page in a browser, signed in",
        operands: &[],
        flags: &[
            switch("no-open", "Print its address only"),
            switch("yes", ""),
            JSON,
            TOKEN,
            PASSWORD,
        ],
        examples: &["openclaw dashboard --no-open"],
    },
];
