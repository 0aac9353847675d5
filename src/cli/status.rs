//! `openclaw gateway status`: the machine (who holds the state directory and the port), the
//! service manager, then a probe of the port.
//!
//! A small frame: `Found` is what was found out, `status_show.rs` says it, the service manager
//! is asked by [`super::service_look`]. It stays useful when the configuration is damaged, when
//! nothing runs and when somebody else holds the port.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::client::{self, BACKEND, PROBE, Target, Trouble};
use super::port::Holder;
use super::probing::{self, Seen};
use super::service_look::{self, Service};
use super::table::Args;
use super::{Failed, next, out, place, port};
use crate::config::{Loaded, Paths};

/// What was found out.
pub(super) struct Found {
    pub url: String,
    pub local: bool,
    /// The gateway of this state directory.
    pub pid: Option<u32>,
    /// Where that process listens, if not where it was looked for.
    pub elsewhere: Option<SocketAddr>,
    /// Who else holds the port.
    pub holders: Vec<Holder>,
    /// `None` when nobody was asked.
    pub probe: Option<Result<Seen, Unwell>>,
    /// The probe has to read something.
    pub read: bool,
    pub config: ConfigFile,
    /// The file that the running gateway was started with, if it said so.
    pub config_of_gateway: Option<String>,
    pub address: Address,
    /// Where the credential came from, in words; never the credential.
    pub credential: String,
    /// The same for scripts.
    pub credentials: Value,
    pub log: String,
    pub service: Service,
}

/// How a probe failed.
pub(super) struct Unwell {
    pub why: String,
    pub next: String,
    /// It was a gateway that said so.
    pub answered: bool,
    pub capability: &'static str,
}

/// The file as the command line reads it.
pub(super) struct ConfigFile {
    pub path: String,
    pub exists: bool,
    pub issues: Vec<String>,
}

/// Where the gateway of this profile should be, and who says so.
#[derive(Default)]
pub(super) struct Address {
    pub bind: &'static str,
    pub host: String,
    pub port: u16,
    pub port_source: &'static str,
    pub tls: bool,
}

/// `openclaw gateway status`.
///
/// # Errors
/// When there is no place to look at.
pub fn gateway(args: &Args) -> Result<u8, Failed> {
    if args.has("no-probe") && args.has("require-rpc") {
        let what = "--no-probe and --require-rpc cannot stand together";
        return Err(Failed {
            code: 2,
            ..Failed::new(what, "openclaw gateway status --require-rpc")
        });
    }
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let (files, need) = (place::Files::new(), Target::need(args));
    let (loaded, exists, issues) = match place::load_with_programs(&files, &env, &paths, need) {
        Ok((loaded, _)) => {
            let exists = loaded.config.source.exists;
            (loaded, exists, Vec::new())
        }
        // A running gateway does not mind a damaged file; neither does a look at it.
        Err(error) => {
            let issues = error.issues.iter().map(ToString::to_string).collect();
            (place::defaults(&env), error.source.exists, issues)
        }
    };
    let target = match Target::named(args, &env) {
        Some(named) => named?,
        None => Target::configured(args, &paths, &loaded)?,
    };
    let config = ConfigFile { path: paths.config_path.display().to_string(), exists, issues };
    let mut found = Found {
        url: target.shown(),
        local: target.local,
        pid: None,
        elsewhere: None,
        holders: Vec::new(),
        probe: None,
        read: args.has("require-rpc"),
        config,
        config_of_gateway: None,
        address: address(&paths, &loaded),
        credential: target.whence.lines().join("; "),
        credentials: target.whence.json(),
        log: place::log_path(&paths, &loaded.config).display().to_string(),
        service: service_look::look(&paths, &loaded, args.has("deep")),
    };
    if !args.has("no-probe") {
        found.probe = Some(probe(args, &target));
    }
    if target.local {
        look(&mut found, &target, &paths);
    }
    if args.has("json") {
        out::json(&found.json());
    } else {
        found.page(args).print();
    }
    Ok(u8::from(!found.well()))
}

/// Where the configuration puts the gateway.
pub(super) fn address(paths: &Paths, loaded: &Loaded) -> Address {
    let gateway = &loaded.config.gateway;
    let host = place::bind_address(gateway.bind, &loaded.config);
    let port_source = if place::var(&loaded.env, "OPENCLAW_GATEWAY_PORT").is_some() {
        "OPENCLAW_GATEWAY_PORT"
    } else if gateway.port.is_some() {
        "gateway.port"
    } else {
        "default"
    };
    Address {
        bind: gateway.bind.as_str(),
        host: host.map(|ip| ip.to_string()).unwrap_or_else(|_| "unknown".to_owned()),
        port: place::port(paths, None, &loaded.env, &loaded.config).unwrap_or_default(),
        port_source,
        tls: gateway.tls.enabled,
    }
}

/// Who holds the state directory, who the port.
fn look(found: &mut Found, target: &Target, paths: &Paths) {
    let Ok(ip) = target.url.host.parse() else { return };
    let wanted = SocketAddr::new(ip, target.url.port);
    found.pid = port::lock_holder(&paths.state_dir);
    found.config_of_gateway =
        found.pid.and_then(|_| crate::store::lock::config_of_holder(&paths.state_dir));
    match found.pid {
        // It answered where it was looked for; the kernel's tables, milliseconds on a busy
        // host, have nothing to add.
        Some(_) if matches!(found.probe, Some(Ok(_))) => {}
        Some(pid) => {
            let all = port::listening_of(pid);
            let here = all.iter().any(|addr| {
                *addr == wanted || (addr.port() == wanted.port() && addr.ip().is_unspecified())
            });
            if !here {
                let near =
                    |addr: &SocketAddr| SocketAddr::new(place::reachable(addr.ip()), addr.port());
                found.elsewhere = all.first().map(near);
            }
        }
        None => found.holders = port::holders(wanted),
    }
}

/// Shakes hands and looks at `status`; without `--require-rpc` it does not matter whether the
/// latter is allowed.
fn probe(args: &Args, target: &Target) -> Result<Seen, Unwell> {
    let read = args.has("require-rpc");
    let who = if read { BACKEND } else { PROBE };
    let unwell = |trouble: &Trouble| Unwell {
        why: trouble.short(),
        next: trouble.failed(target).next,
        answered: matches!(trouble, Trouble::Refused { .. } | Trouble::Rpc { .. }),
        capability: probing::capability_refused(trouble),
    };
    let seen = probing::look(target, who, &[("status", None)], client::timeout(args))
        .map_err(|trouble| unwell(&trouble))?;
    match seen.trouble() {
        Some(trouble) if read => Err(unwell(trouble)),
        _ => Ok(seen),
    }
}

impl Found {
    /// The exit code is 0.
    pub fn well(&self) -> bool {
        match &self.probe {
            Some(probe) => probe.is_ok(),
            None => self.pid.is_some(),
        }
    }

    /// The runbook's word.
    pub fn runtime(&self) -> &'static str {
        let answered = match &self.probe {
            Some(Ok(_)) => true,
            Some(Err(unwell)) => unwell.answered,
            None => false,
        };
        match self.pid {
            _ if answered => "running",
            Some(_) => "running",
            None if self.local => "stopped",
            None => "unknown",
        }
    }

    /// What to type next, empty when all is well.
    pub fn next(&self) -> String {
        match (self.elsewhere, &self.probe) {
            _ if self.well() => String::new(),
            (Some(addr), _) => {
                format!("OPENCLAW_GATEWAY_PORT={} openclaw gateway status", addr.port())
            }
            (None, Some(Err(unwell))) if unwell.answered => unwell.next.clone(),
            _ if self.pid.is_some() => "openclaw logs; or openclaw gateway --force".to_owned(),
            _ if !self.holders.is_empty() => "openclaw gateway --port <other port>".to_owned(),
            _ if !self.config.issues.is_empty() => "openclaw config validate".to_owned(),
            (None, Some(Err(unwell))) => unwell.next.clone(),
            (None, _) => next::RUN.to_owned(),
        }
    }

    /// What the running gateway says of the file, where that is not what runs.
    pub fn not_in_force(&self) -> Vec<String> {
        let Some(Ok(seen)) = &self.probe else { return Vec::new() };
        let status = seen.answer("status");
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Object(issue) => {
                let word = |name: &str| issue.get(name).and_then(Value::as_str).unwrap_or_default();
                format!("{}: {}", word("path"), word("message"))
            }
            other => other.to_string(),
        };
        let list = |name: &str| status.get(name).and_then(Value::as_array).cloned();
        list("configIssues").unwrap_or_default().iter().map(text).collect()
    }

    /// Keys that wait for a restart.
    pub fn waits(&self) -> Vec<String> {
        let Some(Ok(seen)) = &self.probe else { return Vec::new() };
        let waits = seen.answer("status").get("configWaitsForRestart").and_then(Value::as_array);
        let keys = waits.into_iter().flatten().filter_map(Value::as_str);
        keys.map(str::to_owned).collect()
    }

    /// Its scheme.
    pub fn scheme(&self) -> &str {
        self.url.split_once("://").map_or("ws", |(scheme, _)| scheme)
    }

    /// Who listens on the port, for the document; never a command line, it may hold a secret.
    pub fn listeners(&self) -> Vec<Value> {
        let one = |pid: Option<u32>, name: &str, uid: Option<u32>| {
            json!({
                "pid": pid, "ppid": pid.and_then(port::parent), "command": name,
                "commandLine": name, "address": self.url.split_once("://").map(|(_, at)| at),
                "user": uid.map(place::user_name),
            })
        };
        match (self.pid, &self.probe) {
            (Some(pid), Some(Ok(_))) => {
                vec![one(Some(pid), &port::process_name(pid), port::owner(pid))]
            }
            _ => self
                .holders
                .iter()
                .map(|holder| one(holder.pid, &holder.name, Some(holder.uid)))
                .collect(),
        }
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
