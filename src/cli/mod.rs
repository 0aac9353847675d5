//! What an operator types.
//!
//! [`table`] is the one table of commands and flags; [`run`] parses with it and hands over to
//! one file a command. [`gateway_run`] joins the reactor and the gateway; all other commands
//! are clients that speak the same wire protocol through [`client`] and fail fast, saying what
//! happened and the next command to type.
//!
//! ```text
//!   words --> table --> gateway_run --> reactor + gateway   (port, logger: what it needs)
//!                  \--> status, call, health, logs, agent, ... --> client --> a running gateway
//!                  \--> setup, config --> the configuration file
//! ```
//!
//! Exit codes: 0 done; 1 it failed; 2 the words were wrong; 78 the gateway may not start as it
//! is configured (`EX_CONFIG`: a service manager should not try again).

pub mod agent;
pub mod agents;
pub mod approvals;
pub mod ask;
pub mod backup;
pub mod belongings;
pub mod call;
mod channels;
mod channels_care;
pub mod channels_look;
pub mod client;
pub mod completion;
pub mod config;
pub mod config_edit;
pub mod control;
pub mod cron;
pub mod dashboard;
mod devices;
mod directory;
pub mod doctor;
pub mod entropy;
pub mod export;
pub mod gateway_run;
pub mod health;
pub mod interfaces;
pub mod listen;
pub mod logger;
pub mod logs;
pub mod message;
mod message_acts;
pub mod models;
mod modes;
pub mod nodes;
pub mod observe;
pub mod onboard;
pub mod out;
pub mod overview;
pub mod page;
pub mod place;
pub mod plaintext;
pub mod port;
pub mod probe;
pub mod probing;
pub mod reexec;
pub mod reset;
pub mod rows;
pub mod secrets;
pub mod security;
pub mod service;
pub mod service_look;
pub mod service_run;
pub mod service_want;
pub mod sessions;
pub mod setup;
pub mod status;
mod status_show;
pub mod stream;
pub mod system;
pub mod table;
pub mod tls;
pub mod trouble;
pub mod vitals;
pub mod whence;

use std::ffi::OsString;

use table::Parsed;

/// Commands to type next, where several places advise the same.
pub mod next {
    /// Read the help.
    pub const HELP: &str = "openclaw --help";
    /// Start a gateway.
    pub const RUN: &str = "openclaw gateway run";
    /// Look whether one runs.
    pub const STATUS: &str = "openclaw gateway status";
    /// Write a first configuration.
    pub const SETUP: &str = "openclaw setup";
    /// Read the help of `sessions`.
    pub const SESSIONS: &str = "openclaw sessions --help";
}

/// A command that did not succeed: what happened, and what to type next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What happened and where.
    pub what: String,
    /// The next command, empty when `what` already says it.
    pub next: String,
    /// Exit code.
    pub code: u8,
}

impl Failed {
    /// With exit code 1.
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: next.into(), code: 1 }
    }

    /// The configuration forbids it: exit code 78.
    pub fn config(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { code: 78, ..Self::new(what, next) }
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        if !self.next.is_empty() {
            write!(f, "\nNext: {}", self.next)?;
        }
        Ok(())
    }
}

/// Runs what was typed; the words behind the program's name. Returns the exit code.
pub fn run(words: impl IntoIterator<Item = OsString>) -> u8 {
    let args = match table::parse(words) {
        Ok(Parsed::Text(text)) => {
            out::text(&text);
            return 0;
        }
        Ok(Parsed::Run(args)) => args,
        Err(usage) => {
            complain(&usage);
            return 2;
        }
    };
    let Some(handler) = args.command.run else {
        out::text(&table::help_text(args.command));
        return 0;
    };
    match handler(&args) {
        Ok(code) => code,
        Err(failed) => {
            if args.knows("json") && args.has("json") {
                let error = serde_json::json!({"type": "cli_error", "message": failed.what});
                out::json(&serde_json::json!({"ok": false, "error": error}));
            }
            complain(&failed);
            failed.code
        }
    }
}

/// Says on standard error what went wrong; a closed one is nobody's problem.
fn complain(what: &dyn std::fmt::Display) {
    use std::io::Write;
    let name = page::Ink::of_stderr().paint(page::Tone::Bad, "openclaw:");
    let _ = writeln!(std::io::stderr(), "{name} {what}");
}
