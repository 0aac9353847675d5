//! Health, security, first steps and last ones: the rows.

use super::*;
use crate::cli::{backup, completion, reset};

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

/// See the module's head.
pub const ROWS: &[Command] = &[
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
