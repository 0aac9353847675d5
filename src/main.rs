//! The binary: parse, dispatch, exit code. Everything else is [`openclaw_gateway::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(openclaw_gateway::cli::run(std::env::args_os().skip(1)))
}
