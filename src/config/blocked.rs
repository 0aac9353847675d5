//! Checks between a valid configuration and an open port, with the sentences that operators
//! and scripts match on.

use std::net::IpAddr;

use super::load::ConfigError;
use super::snapshot::Config;

/// Why the gateway does not start. `Display` is the sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked(pub String);

impl std::fmt::Display for Blocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the command line adds to the file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Start {
    /// `--allow-unconfigured`.
    pub allow_unconfigured: bool,
    /// A token is known: file, environment or flag.
    pub has_token: bool,
    /// A password is known.
    pub has_password: bool,
    /// `--auth`, when given.
    pub auth: Option<super::AuthMode>,
}

/// `gateway.mode` must be local, else `Gateway start blocked: set gateway.mode=local`.
pub fn mode(config: &Config, start: &Start) -> Result<(), Blocked> {
    let _ = (config, start);
    Ok(())
}

/// The same sentence when the file is damaged and its mode cannot be known.
pub fn damaged(error: &ConfigError, start: &Start) -> Blocked {
    let _ = start;
    Blocked(error.to_string())
}

/// The credential kind in force, or why none can be.
pub fn auth_mode(config: &Config, start: &Start) -> Result<super::AuthMode, Blocked> {
    let _ = start;
    Ok(config.gateway.auth.mode.unwrap_or(super::AuthMode::Token))
}

/// `refusing to bind gateway to <host>:<port> without auth` for an address beyond loopback.
pub fn exposure(
    host: IpAddr,
    port: u16,
    mode: super::AuthMode,
    start: &Start,
) -> Result<(), Blocked> {
    let _ = (host, port, mode, start);
    Ok(())
}

/// The file that `--dev` writes when there is none.
pub fn minimal_dev_config(token: &str) -> String {
    let token = serde_json::Value::from(token);
    format!(
        "{{\n  gateway: {{\n    mode: \"local\",\n    auth: {{ mode: \"token\", token: {token} }},\n  }},\n}}\n"
    )
}
