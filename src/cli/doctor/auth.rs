//! Who may come in: is there a secret where one is needed, and is it one.

use std::net::IpAddr;

use super::finding::{Finding, Repair, Severity};
use super::here::Here;
use crate::config::blocked::{self, Start};
use crate::config::credentials::{self, Given, Origin};
use crate::config::{AuthMode, Mode, redact};
use crate::limits;

const AUTH: &str = "core/doctor/gateway-auth";

/// What is known of the secrets; none of them is kept.
#[derive(Debug, Default, PartialEq, Eq)]
struct Known {
    /// What is wrong with the token itself.
    token: Option<Fault>,
    /// What is wrong with the password itself.
    password: Option<Fault>,
    /// The token is written into the file.
    inline: bool,
    /// A secret and another one beside it that differs: key, variable.
    doubled: Vec<(&'static str, &'static str)>,
}

/// Why a text is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It stands for one, or for nothing.
    Placeholder,
    /// It is guessed sooner.
    Short,
}

impl Fault {
    /// What is wrong with this text, if anything is.
    pub fn of(text: &str) -> Option<Self> {
        let word = text.trim().to_ascii_lowercase();
        let marks = ["undefined", "null", "changeme", "change-me", "your-token", "your-password"];
        let placeholder = word.is_empty()
            || marks.contains(&word.as_str())
            || text.contains(redact::REDACTED)
            || (word.starts_with('<') && word.ends_with('>'));
        if placeholder {
            return Some(Self::Placeholder);
        }
        (text.chars().count() < limits::SECRET_CHARS_LOW).then_some(Self::Short)
    }
}

/// `core/doctor/gateway-auth`.
pub fn check(here: &Here<'_>) -> Vec<Finding> {
    let Ok(loaded) = &here.loaded else { return Vec::new() };
    let config = &loaded.config;
    if config.gateway.mode == Some(Mode::Remote) || !config.source.exists {
        return Vec::new();
    }
    let found = credentials::server(config, &loaded.env, &Given::default());
    let kept = super::super::place::token_file(&here.paths).exists();
    let start = Start {
        has_token: found.token.is_some() || kept,
        has_password: found.password.is_some(),
        token_named: found.token.is_some(),
        ..Start::default()
    };
    let mut all = Vec::new();
    let mode = match blocked::auth_mode(config, &start) {
        Ok(mode) => mode,
        Err(error) => {
            let unset = !start.has_token && config.gateway.auth.password.is_none();
            let found = Finding::new(AUTH, Severity::Error, error.to_string()).at("gateway.auth");
            all.push(if unset && config.gateway.auth.mode != Some(AuthMode::TrustedProxy) {
                let found = found.hint("openclaw doctor --fix --generate-gateway-token");
                found.repair(Repair::Token)
            } else {
                found.hint(here.command("config set gateway.auth.mode token"))
            });
            return all;
        }
    };
    let ip = super::super::place::bind_address(config.gateway.bind, config);
    let port = here.paths.port(None, &loaded.env, config).unwrap_or_default();
    all.extend(exposed(ip.ok(), port, mode, &start));
    let fault = |one: &Option<credentials::Credential>| Fault::of(one.as_ref()?.secret.expose());
    let shadowed = |one: &Option<credentials::Credential>| {
        one.as_ref().is_some_and(|it| it.shadows == Some(Origin::Environment))
    };
    let refers = config.secrets.iter().any(|one| one.path == "gateway.auth.token");
    let from_file = found.token.as_ref().is_some_and(|it| it.origin == Origin::File);
    let mut doubled = Vec::new();
    if shadowed(&found.token) {
        doubled.push(("gateway.auth.token", "OPENCLAW_GATEWAY_TOKEN"));
    }
    if shadowed(&found.password) {
        doubled.push(("gateway.auth.password", "OPENCLAW_GATEWAY_PASSWORD"));
    }
    let known = Known {
        token: fault(&found.token).filter(|_| mode == AuthMode::Token),
        password: fault(&found.password).filter(|_| mode == AuthMode::Password),
        inline: from_file && !refers && !config.source.raw.contains("${"),
        doubled,
    };
    all.extend(judge(&known));
    all
}

/// The one rule that a start applies, too.
fn exposed(ip: Option<IpAddr>, port: u16, mode: AuthMode, start: &Start) -> Option<Finding> {
    let refused = blocked::exposure(ip?, port, mode, start).err()?;
    let found = Finding::new(AUTH, Severity::Error, refused.to_string()).at("gateway.bind");
    Some(found.hint("openclaw config set gateway.auth.mode token, or gateway.bind loopback"))
}

fn judge(known: &Known) -> Vec<Finding> {
    let mut all = Vec::new();
    let secrets = [("token", known.token, known.inline), ("password", known.password, false)];
    for (name, fault, inline) in secrets {
        let place = format!("gateway.auth.{name}");
        let new = "openclaw doctor --fix --generate-gateway-token";
        match fault {
            Some(Fault::Placeholder) => {
                let message = format!("the gateway {name} is a placeholder, not a secret.");
                let found = Finding::new(AUTH, Severity::Error, message).at(place);
                all.push(if inline {
                    found.hint(new).repair(Repair::Token)
                } else {
                    found.hint(format!("put a real {name} where it comes from"))
                });
            }
            Some(Fault::Short) => {
                let low = limits::SECRET_CHARS_LOW;
                let message = format!("the gateway {name} is shorter than {low} characters.");
                let found = Finding::new(AUTH, Severity::Warning, message).at(place);
                let change = format!("openclaw config set gateway.auth.{name} <longer>");
                all.push(found.hint(if inline { new.to_owned() } else { change }));
            }
            None => {}
        }
    }
    for (key, variable) in &known.doubled {
        let message = format!("{key} and {variable} hold different secrets: the file's counts.");
        let found = Finding::new(AUTH, Severity::Warning, message).at(*key);
        all.push(found.hint(format!("unset {variable}, or make them equal")));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_secret_is_seen() {
        for text in ["", "  ", "undefined", "null", "__OPENCLAW_REDACTED__", "<token>", "changeme"]
        {
            assert_eq!(Fault::of(text), Some(Fault::Placeholder), "{text:?}");
        }
        assert_eq!(Fault::of("short"), Some(Fault::Short));
        assert_eq!(Fault::of(&"x".repeat(limits::SECRET_CHARS_LOW)), None);
        assert_eq!(Fault::of(&"x".repeat(limits::SECRET_CHARS_LOW - 1)), Some(Fault::Short));
    }

    #[test]
    fn only_what_is_written_in_the_file_is_replaced() {
        let known = |inline| Known {
            token: Some(Fault::Placeholder),
            inline,
            doubled: vec![("gateway.auth.token", "OPENCLAW_GATEWAY_TOKEN")],
            ..Known::default()
        };
        let found = judge(&known(true));
        assert_eq!(found[0].repair, Some(Repair::Token));
        assert_eq!((found.len(), found[1].severity), (2, Severity::Warning));
        assert_eq!(judge(&known(false))[0].repair, None);
        assert_eq!(judge(&Known::default()), []);
    }

    #[test]
    fn an_open_address_without_a_secret_is_an_error() {
        let start = Start::default();
        let open = Some("0.0.0.0".parse().unwrap());
        let found = exposed(open, 18_789, AuthMode::None, &start).unwrap();
        assert!(found.message.starts_with("refusing to bind gateway"), "{found:?}");
        let near = Some("127.0.0.1".parse().unwrap());
        assert_eq!(exposed(near, 18_789, AuthMode::None, &start), None);
    }
}
