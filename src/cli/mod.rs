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
pub mod call;
pub mod client;
pub mod config;
pub mod control;
mod devices;
pub mod entropy;
pub mod gateway_run;
pub mod health;
pub mod interfaces;
pub mod listen;
pub mod logger;
pub mod logs;
pub mod message;
pub mod models;
pub mod nodes;
pub mod out;
pub mod place;
pub mod port;
pub mod reexec;
pub mod secrets;
pub mod sessions;
pub mod setup;
pub mod status;
pub mod stream;
pub mod table;
pub mod tls;
pub mod trouble;

use std::ffi::OsString;

use table::{Args, Parsed, Run};

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
    match dispatch(&args) {
        Ok(code) => code,
        Err(failed) => {
            complain(&failed);
            failed.code
        }
    }
}

fn dispatch(args: &Args) -> Result<u8, Failed> {
    match args.command.run {
        Run::Help => Ok(0),
        Run::GatewayRun => gateway_run::run(args),
        Run::GatewayStatus => status::gateway(args),
        Run::GatewayCall => call::run(args),
        Run::Health => health::run(args),
        Run::Status => status::overview(args),
        Run::Logs => logs::run(args),
        Run::Agent => agent::run(args),
        Run::AgentsList => agents::list(args),
        Run::AgentsAdd => agents::add(args),
        Run::AgentsDelete => agents::delete(args),
        Run::AgentsSetIdentity => agents::set_identity(args),
        Run::SkillsList => agents::skills_list(args),
        Run::SkillsInfo => agents::skills_info(args),
        Run::SkillsCheck => agents::skills_check(args),
        Run::MessageSend => message::send(args),
        Run::Setup => setup::run(args),
        Run::ConfigFile => config::file(args),
        Run::ConfigGet => config::get(args),
        Run::ConfigSchema => config::schema(),
        Run::ConfigValidate => config::validate(args),
        Run::ConfigSet => config::set(args),
        Run::ConfigUnset => config::unset(args),
        Run::ApprovalsGet => approvals::get(args),
        Run::ApprovalsSet => approvals::set(args),
        Run::ApprovalsAdd => approvals::add(args),
        Run::ApprovalsRemove => approvals::remove(args),
        Run::ApprovalsPending => approvals::pending(args),
        Run::ApprovalsResolve => approvals::resolve(args),
        Run::GatewayStop => control::stop(args),
        Run::GatewayRestart => control::restart(args),
        Run::Channels => ask::channels(args),
        Run::NodeHost => nodes::host(args),
        Run::DevicesApprove => devices::approve(args),
        Run::DevicesClear => devices::clear(args),
        Run::DevicesList => devices::list(args),
        Run::DevicesReject => devices::reject(args),
        Run::DevicesRemove => devices::remove(args),
        Run::DevicesRename => devices::rename(args),
        Run::DevicesRevoke => devices::revoke(args),
        Run::DevicesRotate => devices::rotate(args),
        Run::Pairing => devices::pairing(args),
        Run::Qr => devices::qr(args),
        Run::NodesApprove => nodes::approve(args),
        Run::NodesDescribe => nodes::describe(args),
        Run::NodesInvoke => nodes::invoke(args),
        Run::NodesList => nodes::list(args),
        Run::NodesNotify => nodes::notify(args),
        Run::NodesPending => nodes::pending(args),
        Run::NodesReject => nodes::reject(args),
        Run::NodesRemove => nodes::remove(args),
        Run::NodesRename => nodes::rename(args),
        Run::NodesStatus => nodes::status(args),
        Run::Models => models::list(args),
        Run::ModelsStatus => models::status(args),
        Run::SecretsAudit => secrets::audit::run(args),
        Run::SecretsReload => secrets::reload(args),
        Run::Sessions => sessions::list(args),
        Run::SessionsArchive => sessions::archive(args),
        Run::SessionsDelete => sessions::delete(args),
    }
}

/// Says on standard error what went wrong; a closed one is nobody's problem.
fn complain(what: &dyn std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "openclaw: {what}");
}
