//! Checks between a valid configuration and an open port, with the sentences that operators
//! and scripts match on.
//!
//! The order at a start: [`mode`] (or [`damaged`] when there is no valid configuration), then
//! [`auth_mode`], then [`exposure`] for every address about to be bound.

use std::net::IpAddr;

use super::load::{ConfigError, ErrorKind};
use super::snapshot::{AuthMode, Config, Mode};

/// Why the gateway does not start. `Display` is the sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked(pub String);

impl std::fmt::Display for Blocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Blocked {}

/// What the command line adds to the file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Start {
    /// `--allow-unconfigured`.
    pub allow_unconfigured: bool,
    /// A token is known: file, environment or flag.
    pub has_token: bool,
    /// A password is known.
    pub has_password: bool,
    /// That token was named by somebody: it is no left-over of an unconfigured start.
    pub token_named: bool,
    /// `--auth`, when given.
    pub auth: Option<super::AuthMode>,
}

/// The words that runbooks look for.
const SET_MODE: &str = "Gateway start blocked: set gateway.mode=local";

/// `gateway.mode` must be local, else `Gateway start blocked: set gateway.mode=local`.
pub fn mode(config: &Config, start: &Start) -> Result<(), Blocked> {
    if start.allow_unconfigured || config.gateway.mode == Some(Mode::Local) {
        return Ok(());
    }
    let path = config.source.path.display();
    Err(Blocked(match (config.source.exists, config.gateway.mode) {
        (false, _) => format!(
            "{SET_MODE} (Missing config: there is no {path}). Run `openclaw setup`, or start with \
             --dev to write a minimal one, or pass --allow-unconfigured."
        ),
        (true, Some(_)) => format!(
            "{SET_MODE} (current: remote, in {path}). Run `openclaw config set gateway.mode \
             local`, or pass --allow-unconfigured."
        ),
        (true, None) => format!(
            "{SET_MODE} (existing config is missing gateway.mode: {path}). Run `openclaw config \
             set gateway.mode local` or `openclaw setup`, or pass --allow-unconfigured."
        ),
    }))
}

/// The same sentence when the file is damaged and its mode cannot be known. A damaged file
/// blocks with `--allow-unconfigured` too: it may have lost more than its mode.
pub fn damaged(error: &ConfigError, start: &Start) -> Blocked {
    let local = mode_in(&error.source.resolved).or_else(|| mode_in(&error.source.parsed));
    let head = match (error.kind, local) {
        (ErrorKind::Invalid | ErrorKind::Reference, Some("local")) => {
            "Gateway start blocked: the configuration is not valid.".to_owned()
        }
        (ErrorKind::Invalid | ErrorKind::Reference, Some(_)) => {
            format!("{SET_MODE} (current: remote), and the configuration is not valid.")
        }
        _ => format!(
            "{SET_MODE} (gateway.mode cannot be read from the damaged {}).",
            error.source.path.display()
        ),
    };
    let note = if start.allow_unconfigured {
        "\n--allow-unconfigured is for a missing configuration; it does not pass over a damaged \
         one."
    } else {
        ""
    };
    Blocked(format!("{head}\n{error}{note}"))
}

fn mode_in(value: &serde_json::Value) -> Option<&str> {
    value.pointer("/gateway/mode")?.as_str().filter(|word| matches!(*word, "local" | "remote"))
}

/// The credential kind in force, or why none can be: the flag, else the file's, else token if
/// there is one, else password if there is one, else token. A file with both secrets must say
/// which counts. Mode token without a token passes only with `--allow-unconfigured`; the caller
/// then makes one up.
pub fn auth_mode(config: &Config, start: &Start) -> Result<AuthMode, Blocked> {
    let auth = &config.gateway.auth;
    if auth.token.is_some() && auth.password.is_some() && start.auth.or(auth.mode).is_none() {
        return Err(Blocked(
            "Gateway start blocked: gateway.auth.token and gateway.auth.password are both set, \
             but gateway.auth.mode is not. Set gateway.auth.mode to token or password."
                .to_owned(),
        ));
    }
    let mode = start.auth.or(config.gateway.auth.mode).unwrap_or({
        if start.has_password && !start.has_token { AuthMode::Password } else { AuthMode::Token }
    });
    match mode {
        AuthMode::Token if !start.has_token && !start.allow_unconfigured => Err(Blocked(
            "Gateway start blocked: gateway.auth.mode is token, but no token is set. Set \
             gateway.auth.token or OPENCLAW_GATEWAY_TOKEN, or run `openclaw setup`."
                .to_owned(),
        )),
        AuthMode::Password if !start.has_password => Err(Blocked(
            "Gateway start blocked: gateway.auth.mode is password, but no password is set. Set \
             gateway.auth.password or OPENCLAW_GATEWAY_PASSWORD."
                .to_owned(),
        )),
        AuthMode::TrustedProxy => trusted_proxy(config, start).map(|()| mode),
        mode => Ok(mode),
    }
}

/// What mode `trusted-proxy` cannot do without, and cannot have beside it.
fn trusted_proxy(config: &Config, start: &Start) -> Result<(), Blocked> {
    let gateway = &config.gateway;
    let what = if start.token_named {
        "gateway auth mode is trusted-proxy, but a shared token is also configured. Remove \
         gateway.auth.token, OPENCLAW_GATEWAY_TOKEN and --token, or set gateway.auth.mode to token."
    } else if gateway.proxies.trusted.is_empty() {
        "gateway.auth.mode is trusted-proxy, but gateway.trustedProxies is empty. Set it to the \
         address of your reverse proxy."
    } else if gateway.auth.trusted_proxy.is_none() {
        "gateway.auth.mode is trusted-proxy, but gateway.auth.trustedProxy.userHeader is not set. \
         Set it to the header in which your reverse proxy names the user."
    } else {
        return Ok(());
    };
    Err(Blocked(format!("Gateway start blocked: {what}")))
}

/// `refusing to bind gateway to <host>:<port> without auth` for an address beyond loopback.
pub fn exposure(
    host: IpAddr,
    port: u16,
    mode: super::AuthMode,
    start: &Start,
) -> Result<(), Blocked> {
    let secret = match mode {
        AuthMode::Token => start.has_token,
        AuthMode::Password => start.has_password,
        // Only its proxies get in; `auth_mode` has seen that there are some.
        AuthMode::TrustedProxy => true,
        AuthMode::None => false,
    };
    // `::ffff:127.0.0.1` is loopback too.
    if secret || host.to_canonical().is_loopback() {
        return Ok(());
    }
    let host = match host {
        IpAddr::V4(host) => host.to_string(),
        IpAddr::V6(host) => format!("[{host}]"),
    };
    Err(Blocked(format!(
        "refusing to bind gateway to {host}:{port} without auth (set \
         gateway.auth.token/password, or OPENCLAW_GATEWAY_TOKEN/OPENCLAW_GATEWAY_PASSWORD)"
    )))
}

/// The file that `--dev` writes when there is none.
pub fn minimal_dev_config(token: &str) -> String {
    let token = serde_json::Value::from(token);
    format!(
        "{{\n  gateway: {{\n    mode: \"local\",\n    \
         auth: {{ mode: \"token\", token: {token} }},\n  }},\n}}\n"
    )
}

#[cfg(test)]
#[path = "blocked_tests.rs"]
mod tests;
