//! What the service manager of this machine knows of our gateway, for `gateway status`.
//!
//! The frame that room `service` fills: [`look`] hands back the `service` object of the document,
//! services of other installations, and lines for people. Here only files are looked at: whether
//! a unit or agent of this profile is installed. No program is started.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::page::Tone;
use crate::config::{Loaded, Paths};

/// What is known.
pub struct Service {
    /// The document's `service`; `runtime` is added by whoever prints it.
    pub json: Value,
    /// The document's `extraServices`.
    pub extra: Vec<Value>,
    /// Lines for people: name, value, meaning.
    pub facts: Vec<(String, String, Tone)>,
}

/// Looks for an installed service of this profile; `deep` asks for those of the system too.
pub fn look(paths: &Paths, _loaded: &Loaded, deep: bool) -> Service {
    let installed = places(paths, deep).into_iter().find(|path| path.exists());
    let label = label(paths);
    let (status, said) = match &installed {
        Some(path) => ("installed", path.display().to_string()),
        None => ("not-installed", "not installed".to_owned()),
    };
    Service {
        json: json!({
            "label": label,
            "installed": installed.is_some(),
            "loaded": false,
            "loadState": {"status": status},
            "loadedText": "enabled",
            "notLoadedText": "disabled",
            "targetRole": "diagnostic-only",
            "command": null,
            "configAudit": {"ok": true, "issues": []},
        }),
        extra: Vec::new(),
        facts: vec![("Service".to_owned(), format!("{label}: {said}"), Tone::Plain)],
    }
}

/// The name of this profile's service.
fn label(paths: &Paths) -> String {
    let profile = paths.profile.as_deref();
    if cfg!(target_os = "macos") {
        format!("ai.openclaw.{}", profile.unwrap_or("gateway"))
    } else if cfg!(windows) {
        match profile {
            Some(profile) => format!("OpenClaw Gateway ({profile})"),
            None => "OpenClaw Gateway".to_owned(),
        }
    } else {
        match profile {
            Some(profile) => format!("openclaw-gateway-{profile}.service"),
            None => "openclaw-gateway.service".to_owned(),
        }
    }
}

/// Where its definition would lie.
fn places(paths: &Paths, deep: bool) -> Vec<PathBuf> {
    let label = label(paths);
    if cfg!(target_os = "macos") {
        let mut all = vec![paths.home.join("Library/LaunchAgents").join(format!("{label}.plist"))];
        if deep {
            all.push(PathBuf::from("/Library/LaunchDaemons").join(format!("{label}.plist")));
        }
        return all;
    }
    if cfg!(windows) {
        return vec![paths.state_dir.join("gateway.cmd")];
    }
    let mut all = vec![paths.home.join(".config/systemd/user").join(&label)];
    if deep {
        all.push(PathBuf::from("/etc/systemd/system").join(&label));
    }
    all
}
