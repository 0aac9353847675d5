//! Health, security, first steps and last ones: the rows.

use super::*;
use crate::cli::{backup, completion, doctor, reset, security};

const BACKUP_CREATE: &[Flag] = &[
    text("output", "path", "Archive file or directory (default: here)"),
    switch("dry-run", "Say what would be in it and write nothing"),
    switch("verify", "Read the archive back when it is written"),
    switch("only-config", "Only the configuration file"),
    switch("no-include-workspace", "Leave the workspaces out"),
    JSON,
];

const YES: Flag =
    Flag { long: "yes", short: Some('y'), takes: Takes::Nothing, about: "Do it without asking" };
const NEVER_ASK: Flag = switch("non-interactive", "Never ask; what needs an answer needs a flag");
const LOOK: Flag = switch("dry-run", "Say what would happen and change nothing");

const DOCTOR: &[Flag] = &[
    switch("fix", "Repair; what is written over is kept beside"),
    switch("repair", "Same as --fix"),
    Flag { about: "Same as --fix, without a question", ..YES },
    NEVER_ASK,
    switch("force", ""),
    switch("deep", "Ask model providers and the machine's services too"),
    switch("json", "Print what is found as one JSON document; nothing is changed"),
    switch("lint", "Fail (1) when something is found; nothing is changed"),
    Flag {
        long: "severity-min",
        short: None,
        takes: Takes::Word(&doctor::Severity::WORDS),
        about: "--lint: from which severity on (default warning)",
    },
    Flag {
        long: "only",
        short: None,
        takes: Takes::Texts("id"),
        about: "--lint: only this check; may be given again",
    },
    Flag {
        long: "skip",
        short: None,
        takes: Takes::Texts("id"),
        about: "--lint: not this check; may be given again",
    },
    switch("all", "--lint: every check (all of them run anyway)"),
    switch("allow-exec", "Ask the programs of exec SecretRefs too"),
    switch("generate-gateway-token", "Write a new gateway token into the file"),
    TOKEN,
    PASSWORD,
    switch("post-upgrade", ""),
    switch("no-workspace-suggestions", ""),
];

/// See the module's head.
pub const ROWS: &[Command] = &[
    Command {
        path: &["doctor"],
        run: Some(doctor::run),
        about: "Find what is wrong with this profile, and repair what is safe to repair",
        operands: &[],
        flags: DOCTOR,
        examples: &[
            "openclaw doctor",
            "openclaw doctor --fix",
            "openclaw doctor --lint --json          a gate for scripts",
        ],
    },
    Command {
        path: &["security"],
        run: None,
        about: "Look for settings and files that help somebody who means harm",
        operands: &[],
        flags: &[],
        examples: &["openclaw security audit"],
    },
    Command {
        path: &["security", "audit"],
        run: Some(security::audit),
        about: "List what is open, weak or readable by others, with the remedy of each",
        operands: &[],
        flags: &[
            switch("deep", "Ask the running gateway, too"),
            switch("fix", "Take the rights of others away, close open groups"),
            Flag {
                long: "auth",
                short: None,
                takes: Takes::Word(&AuthMode::WORDS),
                about: "The kind of credential that the gateway is started with",
            },
            TOKEN,
            PASSWORD,
            JSON,
        ],
        examples: &["openclaw security audit --fix"],
    },
    Command {
        path: &["completion"],
        run: Some(completion::run),
        about: "Print what your shell needs to complete commands at Tab",
        operands: &[],
        flags: &[
            Flag {
                long: "shell",
                short: Some('s'),
                takes: Takes::Word(&completion::SHELLS),
                about: "For which shell (default: by $SHELL)",
            },
            switch("write-state", "Keep the scripts in <state>/completions instead"),
            Flag {
                long: "install",
                short: Some('i'),
                takes: Takes::Nothing,
                about: "Load the kept script from your shell's profile",
            },
            YES,
        ],
        examples: &[
            "source <(openclaw completion --shell bash)",
            "openclaw completion --write-state --install",
        ],
    },
    Command {
        path: &["backup"],
        run: None,
        about: "Copy state, configuration and workspaces into one archive",
        operands: &[],
        flags: &[],
        examples: &["openclaw backup create --output ~/Backups"],
    },
    Command {
        path: &["backup", "create"],
        run: Some(backup::create),
        about: "Write a .tar.gz of everything this profile keeps; it may run meanwhile",
        operands: &[],
        flags: BACKUP_CREATE,
        examples: &["openclaw backup create --verify"],
    },
    Command {
        path: &["backup", "verify"],
        run: Some(backup::verify),
        about: "Check that an archive is whole and holds what its manifest says",
        operands: &["archive"],
        flags: &[JSON],
        examples: &[],
    },
    Command {
        path: &["backup", "restore"],
        run: Some(backup::restore),
        about: "Say how to put an archive back (tar does it)",
        operands: &["archive?"],
        flags: &[text("target", "directory", ""), JSON],
        examples: &[],
    },
    Command {
        path: &["reset"],
        run: Some(reset::run),
        about: "Remove configuration, credentials and sessions, or everything",
        operands: &[],
        flags: &[
            Flag {
                long: "scope",
                short: None,
                takes: Takes::Word(&reset::SCOPES),
                about: "What goes",
            },
            YES,
            NEVER_ASK,
            LOOK,
        ],
        examples: &["openclaw reset --scope config+creds+sessions --yes"],
    },
    Command {
        path: &["uninstall"],
        run: Some(reset::uninstall),
        about: "Remove the service, the state, the workspaces",
        operands: &[],
        flags: &[
            switch("service", "The service of this profile"),
            switch("state", "State and configuration"),
            switch("workspace", "The workspaces"),
            switch("app", ""),
            switch("all", "All of it"),
            YES,
            NEVER_ASK,
            LOOK,
        ],
        examples: &["openclaw uninstall --all --dry-run"],
    },
];
