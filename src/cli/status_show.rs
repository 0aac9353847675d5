//! `gateway status` in words and as a document.

use serde_json::{Value, json};

use super::page::{Page, Tone};
use super::place;
use super::probing;
use super::status::Found;
use super::table::Args;
use crate::protocol::VERSION;

impl Found {
    /// The runbook's lines, most important first.
    pub fn page(&self, args: &Args) -> Page {
        let mut page = Page::new(args);
        self.show_process(&mut page);
        self.show_probe(&mut page);
        if self.local {
            self.show_place(&mut page);
        }
        page.next(&self.next());
        page
    }

    fn show_process(&self, page: &mut Page) {
        let runtime = self.runtime();
        let process = self.pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
        let tone = if runtime == "running" { Tone::Good } else { Tone::Bad };
        page.fact("Runtime", &format!("{runtime}{process}"), tone);
        let word = if runtime == "running" { "Listening" } else { "Looked at" };
        match self.elsewhere {
            Some(addr) => {
                let scheme = self.scheme();
                let text = format!("{scheme}://{addr} (not on {})", self.url);
                page.fact("Listening", &text, Tone::Warn);
            }
            None => page.fact(word, &self.url, Tone::Plain),
        }
        for holder in &self.holders {
            page.fact("Port held by", &holder.to_string(), Tone::Warn);
        }
    }

    fn show_probe(&self, page: &mut Page) {
        match &self.probe {
            Some(Ok(seen)) => {
                page.fact("RPC probe", "ok", Tone::Good);
                if self.read {
                    page.fact("Read probe", "ok", Tone::Good);
                }
                page.fact("Capability", &probing::spoken(seen.capability()), Tone::Plain);
                let version = seen.version().unwrap_or_else(|| "unknown".to_owned());
                let text = format!("{version}, protocol {}", seen.protocol());
                page.fact("Gateway version", &text, Tone::Plain);
                if version != VERSION {
                    page.fact("CLI version", VERSION, Tone::Warn);
                }
            }
            Some(Err(unwell)) => {
                page.fact("RPC probe", &format!("failed: {}", unwell.why), Tone::Bad);
            }
            None => page.fact("RPC probe", "skipped", Tone::Dim),
        }
        page.fact("Credential", &self.credential, Tone::Plain);
    }

    fn show_place(&self, page: &mut Page) {
        let at = &self.address;
        let tls = if at.tls { ", TLS" } else { "" };
        let text =
            format!("bind={} ({}), port={} ({}){tls}", at.bind, at.host, at.port, at.port_source);
        page.fact("Gateway", &text, Tone::Plain);
        let (note, tone) = match (&*self.config.issues, self.config.exists) {
            ([], true) => ("", Tone::Plain),
            ([], false) => (" (missing)", Tone::Plain),
            _ => (" (invalid)", Tone::Bad),
        };
        page.fact("Config (cli)", &format!("{}{note}", place::tilde(&self.config.path)), tone);
        for issue in &self.config.issues {
            page.line(&format!("  {issue}"), Tone::Warn);
        }
        if let Some(path) = &self.config_of_gateway {
            let other = *path != self.config.path;
            let note = if other { " (another file than the command line's)" } else { "" };
            let tone = if other { Tone::Warn } else { Tone::Plain };
            page.fact("Config (gateway)", &format!("{}{note}", place::tilde(path)), tone);
        }
        let issues = self.not_in_force();
        if !issues.is_empty() {
            let text = "the file is not in force; the last valid one runs on";
            page.fact("Config in force", text, Tone::Warn);
            for issue in issues {
                page.line(&format!("  {issue}"), Tone::Warn);
            }
        }
        let waits = self.waits();
        if !waits.is_empty() {
            page.fact("Waits for a restart", &waits.join(", "), Tone::Warn);
        }
        for (name, value, tone) in &self.service.facts {
            page.fact(name, value, *tone);
        }
        page.fact("Log", &place::tilde(&self.log), Tone::Plain);
    }

    /// The reference's document, and beside it `ok` and `next`.
    pub fn json(&self) -> Value {
        let at = &self.address;
        let mut service = self.service.json.clone();
        service["runtime"] = json!({"status": self.runtime(), "pid": self.pid,
            "detail": format!("{} of this state directory", self.runtime())});
        let daemon = self.config_of_gateway.as_deref().unwrap_or(&self.config.path);
        let issues = self.not_in_force();
        let busy = self.pid.is_some() || !self.holders.is_empty();
        let http = self.url.replacen("ws", "http", 1);
        let mut gateway = json!({
            "bindMode": at.bind, "bindHost": at.host, "port": at.port,
            "portSource": at.port_source, "probeUrl": self.url,
            "probeNote": self.note(),
            "controlUiLinks": {"httpUrl": format!("{http}/"), "wsUrl": self.url},
            "listening": self.elsewhere.map(|addr| format!("{}://{addr}", self.scheme())),
        });
        if let Some(Ok(seen)) = &self.probe {
            gateway["version"] = json!(seen.version());
        }
        json!({
            "ok": self.well(),
            "cli": {"version": VERSION, "entrypoint": entrypoint()},
            "logFile": self.log,
            "service": service,
            "config": {
                "cli": {
                    "path": self.config.path, "exists": self.config.exists,
                    "valid": self.config.issues.is_empty(), "issues": self.config.issues,
                },
                "daemon": {
                    "path": daemon, "exists": std::path::Path::new(daemon).exists(),
                    "valid": issues.is_empty(), "issues": issues,
                },
                "waitsForRestart": self.waits(),
            },
            "credential": self.credential,
            "credentials": self.credentials,
            "gateway": gateway,
            "hostDesktop": {"enabled": false, "state": "disabled"},
            "port": {
                "port": at.port, "status": if busy { "busy" } else { "free" },
                "listeners": self.listeners(), "hints": [],
                "heldBy": self.holders.first().map(ToString::to_string),
            },
            "rpc": self.rpc(),
            "extraServices": self.service.extra,
            "pluginVersionDrift": {"gatewayVersion": gateway_version(self), "drifts": []},
            "next": self.next(),
        })
    }

    fn rpc(&self) -> Value {
        let kind = if self.read { "read" } else { "connect" };
        match &self.probe {
            Some(Ok(seen)) => {
                let version = seen.version().unwrap_or_default();
                json!({
                    "ok": true, "kind": kind, "capability": seen.capability(),
                    "auth": seen.auth(), "server": seen.server(), "url": self.url,
                    "version": version, "protocol": seen.protocol(),
                    "latencyMs": seen.latency_ms,
                })
            }
            Some(Err(unwell)) => json!({
                "ok": false, "kind": kind, "url": self.url, "error": unwell.why,
                "capability": unwell.capability,
                "auth": {"role": null, "scopes": [], "capability": unwell.capability},
            }),
            None => json!({"ok": false, "kind": kind, "url": self.url, "skipped": true}),
        }
    }

    /// Who can reach what is probed.
    fn note(&self) -> &'static str {
        match self.address.bind {
            _ if !self.local => "Another machine's gateway, by its address.",
            "loopback" | "auto" => "Loopback only: programs of this machine can connect.",
            _ => "Open to other machines; the firewall decides who gets here.",
        }
    }
}

fn gateway_version(found: &Found) -> String {
    match &found.probe {
        Some(Ok(seen)) => seen.version().unwrap_or_default(),
        _ => String::new(),
    }
}

/// The program that runs now.
pub(super) fn entrypoint() -> String {
    std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default()
}
