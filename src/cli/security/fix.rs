//! `security audit --fix`: modes, and group policies that are open.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::page::{Page, Tone};
use super::super::{config_edit, modes};
use super::{channels, files};
use crate::config::table::parse_path;
use crate::config::{Loaded, Paths};
use crate::wire::json5;

/// What was done.
pub struct Fixed {
    state_dir: PathBuf,
    config_path: PathBuf,
    written: bool,
    changes: Vec<String>,
    actions: Vec<Value>,
    errors: Vec<String>,
}

/// Does what is safe.
pub fn all(paths: &Paths, loaded: &Loaded) -> Fixed {
    let mut fixed = Fixed {
        state_dir: paths.state_dir.clone(),
        config_path: paths.config_path.clone(),
        written: false,
        changes: Vec::new(),
        actions: Vec::new(),
        errors: Vec::new(),
    };
    fixed.close_groups(paths, loaded);
    for (path, bits) in files::mendable(paths, &loaded.config) {
        let done = modes::set(&path, bits);
        let mut action = json!({
            "kind": "chmod", "path": path, "mode": bits, "ok": done.is_ok(),
        });
        if let Err(error) = done {
            action["error"] = json!(error.to_string());
            fixed.errors.push(format!("chmod {bits:o} {}: {error}", path.display()));
        }
        fixed.actions.push(action);
    }
    fixed
}

impl Fixed {
    /// Everything was done.
    pub fn ok(&self) -> bool {
        self.errors.is_empty()
    }

    /// Open groups become lists; what stood there is kept as `.bak`.
    fn close_groups(&mut self, paths: &Paths, loaded: &Loaded) {
        let source = &loaded.config.source;
        let open = channels::open_groups(&source.authored);
        let mut text = source.raw.clone();
        for path in &open {
            let Some(steps) = parse_path(path) else { continue };
            if let Ok(after) = json5::set(&text, &steps, "\"allowlist\"") {
                text = after;
                self.changes.push(format!("{path}: open -> allowlist"));
            }
        }
        if text == source.raw {
            return;
        }
        let done = config_edit::rewrite(paths, &loaded.config, &text, |_| Ok(None));
        let done = done.map(drop).map_err(|failed| failed.what);
        match done {
            Ok(()) => self.written = true,
            Err(error) => {
                self.changes.clear();
                self.errors.push(error);
            }
        }
    }

    /// As the reference shows it.
    pub fn json(&self) -> Value {
        json!({
            "ok": self.ok(), "stateDir": self.state_dir, "configPath": self.config_path,
            "configWritten": self.written, "changes": self.changes, "actions": self.actions,
            "errors": self.errors,
        })
    }

    /// For people.
    pub fn lines(&self, page: &mut Page) {
        page.title("Fixed");
        if self.changes.is_empty() && self.actions.is_empty() {
            page.line("Nothing needed it.", Tone::Plain);
        }
        for change in &self.changes {
            page.line(&format!("  {change}"), Tone::Good);
        }
        for action in self.actions.iter().filter(|action| action["ok"] == true) {
            let (path, bits) = (&action["path"], action["mode"].as_u64().unwrap_or_default());
            let path = path.as_str().unwrap_or_default();
            page.line(&format!("  chmod {bits:o} {path}"), Tone::Good);
        }
        for error in &self.errors {
            page.line(&format!("  failed: {error}"), Tone::Bad);
        }
    }
}
