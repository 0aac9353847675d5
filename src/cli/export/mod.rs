//! `openclaw gateway diagnostics export`: a zip for a report of a fault, without secrets, chat
//! text, names or addresses.
//!
//! ```text
//!   configuration, log, stability bundle, gateway status, health
//!         '--> scrub: settings, sizes, states stay; the words of people do not --> zip
//! ```
//!
//! The layout is the reference's: `manifest.json`, `diagnostics.json`, `summary.md`,
//! `config/`, `status/`, `health/`, `logs/`, `stability/`. It works without a gateway: what it
//! could not say is then left out, and that is said.

mod scrub;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{CLI, Target};
use super::page::{Page, Tone};
use super::table::Args;
use super::{Failed, logger, observe, out, place, probing};
use crate::config::{Loaded, Paths};
use crate::limits;
use crate::protocol::VERSION;
use crate::wire::archive::zip;
use crate::wire::text::rfc3339_ms;
use scrub::Scrub;

/// Lines and bytes of the log without flags (the reference's).
const LINES: u64 = 5_000;
const BYTES: u64 = 1_000_000;
/// Time for the gateway without `--timeout` (the reference's).
const TIMEOUT_MS: u64 = 3_000;

const MEDIA: [(&str, &str); 3] = [
    ("json", "application/json"),
    ("jsonl", "application/x-ndjson"),
    ("md", "text/plain; charset=utf-8"),
];

/// What goes into the archive.
struct Export {
    now: String,
    state_dir: PathBuf,
    files: Vec<(String, Vec<u8>)>,
}

/// Runs the command.
///
/// # Errors
/// When the archive cannot be written.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let loaded = place::load_with_programs(&place::Files::new(), &env, &paths, Target::need(args));
    let (loaded, valid) = match loaded {
        Ok((loaded, _)) => (loaded, true),
        Err(_) => (place::defaults(&env), false),
    };
    let now_ms = logger::wall_ms();
    let target = match Target::named(args, &env) {
        Some(named) => named?,
        None => Target::configured(args, &paths, &loaded)?,
    };
    let scrub = Scrub::new(&paths, &loaded, &target);
    let mut export =
        Export { now: rfc3339_ms(now_ms), state_dir: paths.state_dir.clone(), files: Vec::new() };
    let config = export.config(&paths, &loaded, valid, &scrub);
    let logs = export.log(args, &paths, &loaded, &scrub);
    let stability = export.stability(args, &paths, &scrub);
    let (status, health) = export.gateway(args, &target, &scrub);
    export.add_json(
        "diagnostics.json",
        &json!({
            "generatedAt": export.now, "openclawVersion": VERSION,
            "process": process(), "stateDir": scrub::STATE_DIR, "config": config, "logs": logs,
            "stability": stability,
            "bonjour": {"count": 0, "warnings": 0, "flags": {"disabled": true}},
            "status": status, "health": health,
        }),
    );
    export.summary(&logs, &stability, &status, &health);
    let manifest = export.manifest();
    export.add_json("manifest.json", &manifest);
    // The manifest comes first, for whoever lists the archive.
    export.files.rotate_right(1);
    let path = destination(args, &paths, now_ms);
    let bytes = export.write(&path)?;
    let path = path.canonicalize().unwrap_or(path);
    if args.has("json") {
        out::json(&json!({"path": path, "bytes": bytes, "manifest": manifest}));
        return Ok(0);
    }
    let mut page = Page::new(args);
    page.line("Diagnostics export written.", Tone::Good);
    page.fact("Path", &path.display().to_string(), Tone::Plain);
    page.fact("Size", &format!("{bytes} bytes, {} files", export.files.len()), Tone::Plain);
    page.fact("Gateway", status["status"].as_str().unwrap_or("unknown"), Tone::Plain);
    let text = "no secrets, chat text, names or addresses are in it; look before you share it";
    page.fact("Privacy", text, Tone::Plain);
    page.print();
    Ok(0)
}

fn process() -> Value {
    json!({
        "platform": std::env::consts::OS, "arch": std::env::consts::ARCH, "runtime": "rust",
        "pid": std::process::id(),
    })
}

/// `--output`, a file or a folder; else below the state directory.
fn destination(args: &Args, paths: &Paths, now_ms: u64) -> PathBuf {
    let time = rfc3339_ms(now_ms).replace([':', '.'], "-");
    let name = format!("openclaw-diagnostics-{time}-{}.zip", std::process::id());
    match args.value("output").map(PathBuf::from) {
        Some(dir) if dir.is_dir() => dir.join(name),
        Some(file) => file,
        None => paths.state_dir.join("logs").join("support").join(name),
    }
}

impl Export {
    fn add(&mut self, path: &str, bytes: Vec<u8>) {
        self.files.push((path.to_owned(), bytes));
    }

    fn add_json(&mut self, path: &str, value: &Value) {
        let text = serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
        self.add(path, text.into_bytes());
    }

    /// The shape of the file, and its settings without what is private.
    fn config(&mut self, paths: &Paths, loaded: &Loaded, valid: bool, scrub: &Scrub) -> Value {
        let meta = std::fs::metadata(&paths.config_path).ok();
        let resolved = &loaded.config.source.resolved;
        let names = |value: Option<&Value>| -> Vec<String> {
            value
                .and_then(Value::as_object)
                .map(|map| map.keys().cloned().collect())
                .unwrap_or_default()
        };
        let gateway = &loaded.config.gateway;
        let mode = resolved.pointer("/gateway/mode").and_then(Value::as_str);
        let auth = gateway.auth.mode.map(crate::config::AuthMode::as_str);
        let channels = names(resolved.get("channels"));
        let shape = json!({
            "path": scrub.text(&paths.config_path.display().to_string()),
            "exists": meta.is_some(), "parseOk": valid, "bytes": meta.map(|meta| meta.len()),
            "topLevelKeys": names(Some(resolved)),
            "gateway": {"mode": mode, "port": gateway.port, "authMode": auth,
                "bind": gateway.bind.as_str()},
            "channels": {"count": channels.len(), "ids": channels},
        });
        self.add_json("config/shape.json", &shape);
        let shown = crate::config::redact::value(resolved, &loaded.config.source.parsed);
        self.add_json("config/sanitized.json", &scrub.config(&shown));
        shape
    }

    /// The end of the log, line by line.
    fn log(&mut self, args: &Args, paths: &Paths, loaded: &Loaded, scrub: &Scrub) -> Value {
        let path = place::log_path(paths, &loaded.config);
        let bytes = args.number("log-bytes").unwrap_or(BYTES);
        let lines = args.number("log-lines").unwrap_or(LINES);
        let read = super::logs::end_of(&path, bytes, lines);
        let shown = scrub.text(&path.display().to_string());
        let Ok((lines, size)) = read else {
            return json!({"file": shown, "status": "missing", "lineCount": 0});
        };
        let mut text = String::new();
        for line in &lines {
            text.push_str(&scrub.log_line(line).to_string());
            text.push('\n');
        }
        self.add("logs/openclaw-sanitized.jsonl", text.into_bytes());
        json!({
            "file": shown, "status": "included", "size": size, "lineCount": lines.len(),
            "truncated": size > bytes,
        })
    }

    fn stability(&mut self, args: &Args, paths: &Paths, scrub: &Scrub) -> Value {
        let dir = scrub.text(&observe::bundles(&paths.state_dir).display().to_string());
        if args.has("no-stability-bundle") {
            return json!({"status": "skipped", "dir": dir});
        }
        let bundle = match args.value("bundle") {
            Some(named) if named != "latest" => Some(PathBuf::from(named)),
            _ => observe::newest_bundle(&paths.state_dir),
        };
        let read = bundle.and_then(|path| place::read_capped(&path, limits::STABILITY_BUNDLE).ok());
        let parsed = read.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let Some(bundle) = parsed else { return json!({"status": "missing", "dir": dir}) };
        self.add_json("stability/latest.json", &scrub.value(&bundle));
        json!({"status": "included", "path": "stability/latest.json"})
    }

    /// What a running gateway says of itself.
    fn gateway(&mut self, args: &Args, target: &Target, scrub: &Scrub) -> (Value, Value) {
        let timeout = Duration::from_millis(args.number("timeout").unwrap_or(TIMEOUT_MS));
        let asked = [("status", None), ("health", None)];
        let seen = probing::look(target, CLI, &asked, timeout);
        let mut keep = |path: &str, method: &str| {
            let (status, data) = match &seen {
                Ok(seen) if !seen.answer(method).is_null() => ("ok", seen.answer(method).clone()),
                Ok(_) => ("refused", Value::Null),
                Err(trouble) => ("unreachable", json!({"error": trouble.short()})),
            };
            let data = scrub.value(&data);
            let whole = json!({"status": status, "capturedAt": self.now, "data": data});
            self.add_json(path, &whole);
            json!({"status": if status == "ok" { "included" } else { status }, "path": path})
        };
        let status = keep("status/gateway-status.json", "status");
        (status, keep("health/gateway-health.json", "health"))
    }

    fn summary(&mut self, logs: &Value, stability: &Value, status: &Value, health: &Value) {
        let word = |value: &Value| value["status"].as_str().unwrap_or("unknown").to_owned();
        let text = format!(
            "# OpenClaw diagnostics\n\n\
             Made: {}\nVersion: {VERSION}, {} {}\n\n\
             - log: {} ({} lines)\n- stability bundle: {}\n- gateway status: {}\n\
             - gateway health: {}\n\n\
             ## Where to begin\n\n\
             - `diagnostics.json`: what was found, in one page\n\
             - `status/gateway-status.json`, `health/gateway-health.json`: its own words\n\
             - `logs/openclaw-sanitized.jsonl`: time, level, part and message\n\
             - `config/sanitized.json`: the settings\n\n\
             ## Privacy\n\n\
             Secrets, chat text, tool output, the words of prompts, names, ids of accounts and\n\
             sessions, host names and addresses were taken out. Read it before you share it.\n",
            self.now,
            std::env::consts::OS,
            std::env::consts::ARCH,
            word(logs),
            logs["lineCount"],
            word(stability),
            word(status),
            word(health),
        );
        self.add("summary.md", text.into_bytes());
    }

    fn manifest(&self) -> Value {
        let media = |path: &str| {
            let ext = path.rsplit_once('.').map_or("", |(_, ext)| ext);
            MEDIA.iter().find(|(own, _)| *own == ext).map(|(_, media)| *media)
        };
        let contents: Vec<Value> = self
            .files
            .iter()
            .map(|(path, bytes)| {
                json!({"path": path, "mediaType": media(path), "bytes": bytes.len()})
            })
            .collect();
        json!({
            "version": 1, "generatedAt": self.now, "openclawVersion": VERSION,
            "platform": std::env::consts::OS, "arch": std::env::consts::ARCH, "runtime": "rust",
            "stateDir": scrub::STATE_DIR, "contents": contents,
            "privacy": {"payloadFree": true, "rawLogsIncluded": false, "notes": [
                "The stability bundle holds counts, sizes and words of the program only.",
                "Log messages keep the program's words; quoted text, ids and addresses are out.",
                "Status, health and configuration keep settings, sizes and states.",
            ]},
        })
    }

    /// Written beside under another name and put in its place, 0600.
    fn write(&self, path: &Path) -> Result<usize, Failed> {
        let failed = |why: String| {
            let what = format!("cannot write {}: {why}", path.display());
            Failed::new(what, "openclaw gateway diagnostics export --output <elsewhere>.zip")
        };
        let files: Vec<(&str, &[u8])> =
            self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        let bytes = zip::stored(&files).map_err(|fault| failed(fault.0.to_owned()))?;
        let write = || -> io::Result<()> {
            use crate::store::{Disk, RealDisk};
            let absolute = std::path::absolute(path)?;
            if !absolute.starts_with(&self.state_dir) {
                // A folder of the operator's: it keeps its mode.
                if let Some(parent) = absolute.parent() {
                    std::fs::metadata(parent)?;
                }
            }
            RealDisk.replace(&absolute, &bytes)
        };
        write().map_err(|error| failed(error.to_string()))?;
        Ok(bytes.len())
    }
}
