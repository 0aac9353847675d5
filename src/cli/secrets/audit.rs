//! `openclaw secrets audit`: secrets that are written out in files, and references that stand
//! for nothing. It reads, and writes nothing; programs are asked only with `--allow-exec`. Shape
//! and exit codes are the reference's: 2 when a reference is unresolved, 1 with `--check` when
//! anything is found. No value is ever printed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::table::Args;
use super::super::{Failed, out, place};
use crate::config::secrets::{BoundRef, Need, RefSource};
use crate::config::table::{self, Kind};
use crate::config::{Config, Paths, redact};
use crate::limits;
use crate::wire::json5::Step;

/// Ends of a variable's name that make its value a secret, as documented.
const SUFFIXES: [&str; 6] =
    ["_API_KEY", "_API_KEYS", "_TOKEN", "_PASSWORD", "_PRIVATE_KEY", "_SECRET"];
/// Parts of a header's name that make its value a secret, as documented.
const HEADERS: [&str; 6] =
    ["authorization", "x-api-key", "token", "secret", "password", "credential"];

/// Runs the command.
///
/// # Errors
/// When the configuration cannot be read.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let need = if args.has("allow-exec") { Need::Everything } else { Need::Look };
    let loaded = place::load_with_programs(&place::Files::new(), &env, &paths, need)
        .map_err(|error| Failed::config(error.to_string(), "openclaw config validate"))?;
    let report = Report::of(&loaded.0.config, &paths, args.has("allow-exec"));
    let value = report.value();
    if args.has("json") {
        out::json(&value);
    } else {
        report.lines(&value).iter().for_each(|line| out::line(&out::foreign(line)));
    }
    Ok(match value["status"].as_str() {
        Some("unresolved") => 2,
        Some("findings") => u8::from(args.has("check")),
        _ => 0,
    })
}

/// What is found, each as `findings` of the report has it; for `doctor`.
pub fn findings(config: &Config, paths: &Paths, programs: bool) -> Vec<Value> {
    Report::of(config, paths, programs).findings
}

#[derive(Default)]
struct Report {
    files: Vec<PathBuf>,
    findings: Vec<Value>,
    checked: usize,
    skipped: usize,
}

impl Report {
    fn of(config: &Config, paths: &Paths, programs: bool) -> Self {
        let mut report = Self::default();
        report.config(config);
        report.references(config, programs);
        report.dotenv(paths);
        report.agents(&paths.state_dir);
        report
    }

    fn found(&mut self, code: &str, file: &Path, at: &str, message: String) -> &mut Value {
        let error = matches!(code, "REF_UNRESOLVED" | "PLACEHOLDER_VALUE");
        self.findings.push(json!({
            "code": code, "severity": if error { "error" } else { "warn" },
            "file": file, "jsonPath": at, "message": message,
        }));
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    /// Texts that stand where a secret may stand. `${VAR}` is none.
    fn config(&mut self, config: &Config) {
        if !config.source.exists {
            return;
        }
        self.files.push(config.source.path.clone());
        self.files.extend(config.source.includes.iter().cloned());
        let mut plain = Vec::new();
        plaintext(&config.source.parsed, &mut Vec::new(), &mut plain);
        for path in plain {
            let shown = table::shown(&path);
            let message = format!("{shown} is stored as plaintext.");
            let found = self.found("PLAINTEXT_FOUND", &config.source.path, &shown, message);
            if let [Step::Key(models), Step::Key(providers), Step::Key(id), ..] = &path[..]
                && models == "models"
                && providers == "providers"
            {
                found["provider"] = json!(id);
            }
        }
    }

    fn references(&mut self, config: &Config, programs: bool) {
        for one in &config.secrets {
            let BoundRef { path, source, value, why, .. } = one;
            match why {
                Some(why) => {
                    self.checked += 1;
                    let code = if why.contains(redact::REDACTED) {
                        "PLACEHOLDER_VALUE"
                    } else {
                        "REF_UNRESOLVED"
                    };
                    self.found(code, &config.source.path, path, why.to_string());
                }
                None if value.is_some() => self.checked += 1,
                None => self.skipped += usize::from(*source == RefSource::Exec && !programs),
            }
        }
    }

    /// `.env` of the state directory and of the configuration's, once when they are one.
    fn dotenv(&mut self, paths: &Paths) {
        let mut files = vec![paths.state_dir.join(".env")];
        files.extend(paths.config_path.parent().map(|dir| dir.join(".env")));
        files.dedup();
        for file in files {
            let Ok(bytes) = place::read_capped(&file, limits::DOTENV_BYTES) else { continue };
            self.files.push(file.clone());
            for (name, value) in crate::config::dotenv(&String::from_utf8_lossy(&bytes)) {
                if !value.is_empty() && SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
                    let message = format!("Potential secret found in .env ({name}).");
                    self.found("PLAINTEXT_FOUND", &file, &format!("$env.{name}"), message);
                }
            }
        }
    }

    /// Files of the reference in `agents/*/agent/`, which a moved installation brings along.
    fn agents(&mut self, state: &Path) {
        let Ok(agents) = std::fs::read_dir(state.join("agents")) else { return };
        let mut dirs: Vec<PathBuf> =
            agents.filter_map(|entry| Some(entry.ok()?.path().join("agent"))).collect();
        dirs.sort();
        for dir in dirs {
            self.agent_file(&dir.join("models.json"), "providers", "PLAINTEXT_FOUND");
            self.agent_file(&dir.join("auth-profiles.json"), "profiles", "PLAINTEXT_FOUND");
            self.agent_file(&dir.join("auth.json"), "", "LEGACY_RESIDUE");
        }
    }

    /// One such file: objects by name, below `section` if there is one.
    fn agent_file(&mut self, file: &Path, section: &str, code: &str) {
        let Ok(meta) = std::fs::symlink_metadata(file) else { return };
        let text = if meta.is_file() {
            place::read_capped(file, limits::AUDIT_FILE).map_err(|error| error.to_string())
        } else {
            Err("is not a regular file".to_owned())
        };
        self.files.push(file.to_path_buf());
        let parsed = text.and_then(|bytes| {
            serde_json::from_slice::<Value>(&bytes).map_err(|_| "is not JSON".to_owned())
        });
        let whole = match parsed {
            Ok(whole) => whole,
            Err(why) => {
                let message = format!("{} cannot be audited: {why}", file.display());
                self.found("REF_UNRESOLVED", file, "", message);
                return;
            }
        };
        let part = if section.is_empty() { Some(&whole) } else { whole.get(section) };
        let start = if section.is_empty() { String::new() } else { format!("{section}.") };
        for (name, one) in part.and_then(Value::as_object).into_iter().flatten() {
            let mut secrets: BTreeMap<String, &Value> = BTreeMap::new();
            for key in ["apiKey", "key", "token"] {
                secrets.extend(one.get(key).map(|value| (key.to_owned(), value)));
            }
            let headers = one.get("headers").and_then(Value::as_object).into_iter().flatten();
            let headers = headers.filter(|(name, _)| is_secret_header(name));
            secrets.extend(headers.map(|(name, value)| (format!("headers.{name}"), value)));
            for (key, value) in secrets {
                if value.as_str().is_some_and(is_plain) {
                    let at = format!("{start}{name}.{key}");
                    let message = format!("{at} is stored as plaintext.");
                    self.found(code, file, &at, message);
                }
            }
        }
    }

    fn value(&self) -> Value {
        let count = |codes: &[&str]| {
            let has = |finding: &&Value| codes.iter().any(|code| finding["code"] == *code);
            self.findings.iter().filter(has).count()
        };
        let unresolved = count(&["REF_UNRESOLVED", "PLACEHOLDER_VALUE"]);
        let status = match (unresolved, self.findings.is_empty()) {
            (0, true) => "clean",
            (0, false) => "findings",
            _ => "unresolved",
        };
        let mut files = self.files.clone();
        files.sort();
        json!({
            "version": 1, "status": status,
            "resolution": {
                "refsChecked": self.checked, "skippedExecRefs": self.skipped,
                "resolvabilityComplete": self.skipped == 0,
            },
            "filesScanned": files,
            "summary": {
                "plaintextCount": count(&["PLAINTEXT_FOUND"]), "unresolvedRefCount": unresolved,
                "shadowedRefCount": 0, "storeResidueCount": 0,
                "legacyResidueCount": count(&["LEGACY_RESIDUE"]),
            },
            "findings": self.findings,
        })
    }

    fn lines(&self, value: &Value) -> Vec<String> {
        let number = |name: &str| value["summary"][name].as_u64().unwrap_or_default();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut lines = vec![format!(
            "Secrets audit: {}. plaintext={}, unresolved={}, shadowed=0, storeResidue=0, legacy={}.",
            word(&value["status"]),
            number("plaintextCount"),
            number("unresolvedRefCount"),
            number("legacyResidueCount")
        )];
        lines.extend(self.findings.iter().map(|one| {
            let [code, file, at, message] =
                ["code", "file", "jsonPath", "message"].map(|name| word(&one[name]));
            format!("- [{code}] {file}:{at} {message}")
        }));
        if self.skipped > 0 {
            lines.push(format!(
                "{} exec references were not checked; with their programs: openclaw secrets audit \
                 --allow-exec",
                self.skipped
            ));
        }
        lines
    }
}

/// Paths of the texts that are secrets and written out.
fn plaintext(value: &Value, path: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    match value {
        // A reference says where a secret is, and is none.
        Value::Object(_) if table::lookup(path).is_some_and(|key| key.kind == Kind::Secret) => {}
        Value::Object(map) => {
            for (key, part) in map {
                path.push(Step::Key(key.clone()));
                plaintext(part, path, found);
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Index(index));
                plaintext(item, path, found);
                path.pop();
            }
        }
        Value::String(text) => {
            let Some(key) = table::lookup(path).filter(|key| key.kind == Kind::Secret) else {
                return;
            };
            let name = match path.last() {
                Some(Step::Key(name)) => name.as_str(),
                _ => "",
            };
            let counts = !key.pattern.contains("headers.") || is_secret_header(name);
            if counts && is_plain(text) {
                found.push(path.clone());
            }
        }
        _ => {}
    }
}

fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    HEADERS.iter().any(|part| name.contains(part))
}

/// A value itself: neither a reference nor one of the marks that stand for one.
fn is_plain(text: &str) -> bool {
    let refers = crate::config::is_reference(text)
        || text.starts_with("secretref-")
        || text.strip_prefix('$').is_some_and(is_variable)
        || is_variable(text) && SUFFIXES.iter().any(|suffix| text.ends_with(suffix));
    !text.trim().is_empty() && !refers
}

fn is_variable(text: &str) -> bool {
    crate::config::secrets::reference::is_variable(text)
}
