//! Which token and password hold, and where they come from. One rule for the server and its
//! clients, the reference's (docs/gateway/remote.md of 2026.9.6):
//!
//! * server: flag > file (`gateway.auth.*`) > environment (`OPENCLAW_GATEWAY_*`);
//! * client here: the same, then `gateway.remote.*` if `gateway.auth` has neither;
//! * client in mode `remote`: flag > `gateway.remote.token` > environment > `gateway.auth.token`;
//!   of passwords the environment's comes before `gateway.remote.password`. `gateway.auth` is
//!   this machine's own: it counts there only if `gateway.remote` has neither.
//!
//! A reference that stands for nothing ends the search: a nearer secret that cannot be had is
//! never masked by a farther one. Stale copies of a token are the commonest cause of refused
//! clients, so each result also says which other source holds a different value. Values are
//! compared here only with each other.

use std::collections::BTreeMap;

use super::secret::Secret;
use super::snapshot::{Config, Mode};

/// Where a credential was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `--token`, `--password`.
    Flag,
    /// `gateway.auth.*`.
    File,
    /// `gateway.remote.*`.
    Remote,
    /// `OPENCLAW_GATEWAY_TOKEN`, `OPENCLAW_GATEWAY_PASSWORD`, from the process or `.env`.
    Environment,
}

impl Origin {
    /// For `status` and errors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "command line",
            Self::File => "gateway.auth in the configuration file",
            Self::Remote => "gateway.remote in the configuration file",
            Self::Environment => "environment",
        }
    }
}

/// A credential and its origin.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Never empty.
    pub secret: Secret,
    /// Where it was found.
    pub origin: Origin,
    /// Another source that holds a different value and is passed over.
    pub shadows: Option<Origin>,
}

/// What is known.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The shared token.
    pub token: Option<Credential>,
    /// The shared password.
    pub password: Option<Credential>,
    /// Keys that would have counted, but whose reference stands for nothing; why.
    pub unresolved: Vec<(&'static str, String)>,
}

/// `--token` and `--password`.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// `--token`.
    pub token: Option<Secret>,
    /// `--password`.
    pub password: Option<Secret>,
}

/// What the gateway compares its callers with.
pub fn server(config: &Config, env: &BTreeMap<String, String>, given: &Given) -> Credentials {
    let auth = &config.gateway.auth;
    let pick = |flag: &Option<Secret>, file: &Option<Secret>, name| {
        first([
            (Origin::Flag, flag.clone()),
            (Origin::File, file.clone()),
            (Origin::Environment, variable(env, name)),
        ])
    };
    Credentials {
        token: pick(&given.token, &auth.token, TOKEN[2]),
        password: pick(&given.password, &auth.password, PASSWORD[2]),
        unresolved: Vec::new(),
    }
}

/// The keys and the variable of each secret: file, remote, environment.
const TOKEN: [&str; 3] = ["gateway.auth.token", "gateway.remote.token", "OPENCLAW_GATEWAY_TOKEN"];
const PASSWORD: [&str; 3] =
    ["gateway.auth.password", "gateway.remote.password", "OPENCLAW_GATEWAY_PASSWORD"];

/// What a command presents to the gateway it calls.
pub fn client(config: &Config, env: &BTreeMap<String, String>, given: &Given) -> Credentials {
    use Origin::{Environment, File, Remote};
    let auth = &config.gateway.auth;
    let there = config.gateway.mode == Some(Mode::Remote);
    let remote = config.gateway.remote.as_ref();
    // The nearer section has one of the two, or would have.
    let near = usize::from(there);
    let broken_near = [TOKEN[near], PASSWORD[near]].iter().any(|key| broken(config, key).is_some());
    let has = |token: &Option<Secret>, password| usable(token) || usable(password);
    let has_near = match remote.filter(|_| there) {
        Some(remote) => has(&remote.token, &remote.password),
        None => !there && has(&auth.token, &auth.password),
    };
    let orders = match (there, has_near || broken_near) {
        (true, true) => [[Remote, Environment, Remote], [Environment, Remote, Remote]],
        (true, false) => [[Remote, Environment, File], [Environment, Remote, File]],
        (false, true) => [[File, Environment, File]; 2],
        (false, false) => [[File, Environment, Remote]; 2],
    };
    let mut unresolved = Vec::new();
    let mut pick = |flag: &Option<Secret>, order: [Origin; 3], names: [&'static str; 3], what| {
        let (file, remote): (&Option<Secret>, Option<Secret>) = what;
        let mut known: Vec<(Origin, Option<Secret>)> = vec![(Origin::Flag, flag.clone())];
        for origin in order {
            let (key, secret) = match origin {
                File => (names[0], file.clone()),
                Remote => (names[1], remote.clone()),
                _ => (names[2], variable(env, names[2])),
            };
            if known.iter().any(|(_, secret)| usable(secret)) {
                known.push((origin, secret));
            } else if let Some(why) = broken(config, key) {
                unresolved.push((key, why));
                break;
            } else {
                known.push((origin, secret));
            }
        }
        first(known)
    };
    let remote_token = remote.and_then(|remote| remote.token.clone());
    let remote_password = remote.and_then(|remote| remote.password.clone());
    let token = pick(&given.token, orders[0], TOKEN, (&auth.token, remote_token));
    let password = pick(&given.password, orders[1], PASSWORD, (&auth.password, remote_password));
    Credentials { token, password, unresolved }
}

/// Why the reference at a key, which somebody needs, stands for nothing.
fn broken(config: &Config, key: &str) -> Option<String> {
    let one = config.secrets.iter().find(|one| one.path == key && one.inactive.is_none())?;
    one.value.is_none().then(|| one.why.as_deref().unwrap_or("it was not asked").to_owned())
}

fn variable(env: &BTreeMap<String, String>, name: &str) -> Option<Secret> {
    env.get(name).map(|value| Secret::new(value.trim().to_owned()))
}

fn usable(secret: &Option<Secret>) -> bool {
    secret.as_ref().is_some_and(|secret| !secret.is_empty())
}

fn first(sources: impl IntoIterator<Item = (Origin, Option<Secret>)>) -> Option<Credential> {
    let mut known = sources
        .into_iter()
        .filter_map(|(origin, secret)| Some((origin, secret?)))
        .filter(|(_, secret)| !secret.is_empty());
    let (origin, secret) = known.next()?;
    let other = known.find(|(_, other)| other.expose() != secret.expose());
    let shadows = other.map(|(origin, _)| origin);
    Some(Credential { secret, origin, shadows })
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::Remote;
    use super::*;

    type Found = Option<(String, Origin, Option<Origin>)>;

    fn found(credential: Option<Credential>) -> Found {
        credential.map(|c| (c.secret.expose().to_owned(), c.origin, c.shadows))
    }

    fn is(secret: &str, origin: Origin, shadows: Option<Origin>) -> Found {
        Some((secret.to_owned(), origin, shadows))
    }

    fn secret(text: &str) -> Option<Secret> {
        Some(Secret::new(text.to_owned()))
    }

    #[test]
    fn one_rule_each() {
        let mut config = Config::defaults();
        let env = BTreeMap::from([("OPENCLAW_GATEWAY_TOKEN".to_owned(), " env ".to_owned())]);
        let (none, no_env) = (Given::default(), BTreeMap::new());
        assert_eq!(found(server(&config, &no_env, &none).token), None);
        assert_eq!(found(server(&config, &env, &none).token), is("env", Origin::Environment, None));
        config.gateway.auth.token = secret("file");
        let server_token = found(server(&config, &env, &none).token);
        assert_eq!(server_token, is("file", Origin::File, Some(Origin::Environment)));
        let client_token = found(client(&config, &env, &none).token);
        assert_eq!(client_token, is("file", Origin::File, Some(Origin::Environment)));
        let flag = Given { token: secret("flag"), password: secret("") };
        for all in [server(&config, &env, &flag), client(&config, &env, &flag)] {
            assert_eq!(found(all.token).map(|t| t.0).as_deref(), Some("flag"));
            assert_eq!(found(all.password), None);
        }
        config.gateway.auth.token = secret("env");
        let same = found(server(&config, &env, &none).token);
        assert_eq!(same, is("env", Origin::File, None));
    }

    #[test]
    fn a_client_of_a_remote_gateway() {
        let mut config = Config::defaults();
        let (none, no_env) = (Given::default(), BTreeMap::new());
        config.gateway.remote = Some(Remote {
            url: "wss://x".to_owned(),
            token: secret("remote"),
            password: None,
            tls_fingerprint: None,
            tunnel: None,
        });
        // Nothing of our own: the remote one is better than none.
        let token = |config: &Config| found(client(config, &no_env, &none).token);
        assert_eq!(token(&config), is("remote", Origin::Remote, None));
        assert_eq!(found(server(&config, &no_env, &none).token), None);
        config.gateway.auth.password = secret("own");
        assert_eq!(token(&config), None);
        config.gateway.mode = Some(Mode::Remote);
        assert_eq!(token(&config), is("remote", Origin::Remote, None));
        assert_eq!(found(client(&config, &no_env, &none).password), None);
        let shown = format!("{:?}", client(&config, &no_env, &none));
        assert!(!shown.contains("\"remote\""), "{shown}");
    }
}
