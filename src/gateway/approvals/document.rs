//! `exec-approvals.json` in the state directory: read anew for every question, so that an edit
//! from anywhere counts at once; replaced as a whole.

use super::super::Gateway;
use crate::agent::exec::policy;
use crate::config::{ExecAsk, ExecSecurity};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::wire::hash::{hex, sha256};
use serde_json::{Value, json};
use std::io;
use std::path::PathBuf;

/// Its file name.
const NAME: &str = "exec-approvals.json";
/// Stands for the socket's token wherever the document is shown.
const REDACTED: &str = "__OPENCLAW_REDACTED__";

/// The document as it stands.
pub(in crate::gateway) struct Document {
    pub(super) exists: bool,
    pub(super) hash: String,
    /// Or why it cannot be used.
    pub(in crate::gateway) value: Result<Value, String>,
}

impl Gateway {
    pub(super) fn approvals_path(&self) -> PathBuf {
        self.state_dir.join(NAME)
    }

    pub(in crate::gateway) fn approvals_document(&self) -> Document {
        let path = self.approvals_path();
        let max = limits::APPROVALS_FILE;
        match self.disk.read_at(&path, 0, max + 1) {
            Ok(text) if text.len() > max => Document {
                exists: true,
                hash: String::new(),
                value: Err(format!("{}: longer than {max} bytes", path.display())),
            },
            Ok(text) => Document {
                exists: true,
                hash: hex(&sha256(&text)),
                value: policy::read(&text)
                    .map_err(|why| format!("{}: {why}; mend or remove the file", path.display())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Document { exists: false, hash: hex(&sha256(b"")), value: Ok(policy::empty()) }
            }
            Err(error) => Document {
                exists: true,
                hash: String::new(),
                value: Err(format!("{}: {error}", path.display())),
            },
        }
    }

    /// Replaces the document.
    pub(super) fn write_approvals(&mut self, document: &Value) -> Result<(), ErrorShape> {
        let path = self.approvals_path();
        let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
        text.push('\n');
        if text.len() > limits::APPROVALS_FILE {
            let max = limits::APPROVALS_FILE;
            return Err(ErrorShape::invalid(format!("the document is longer than {max} bytes")));
        }
        self.disk.replace(&path, text.as_bytes()).map_err(|error| {
            ErrorShape::unavailable(format!("{} was not written: {error}", path.display()))
        })
    }

    /// Result of `exec.approvals.get`.
    pub(super) fn approvals_snapshot(&self) -> Result<Value, ErrorShape> {
        let document = self.approvals_document();
        let file = document.value.map_err(ErrorShape::unavailable)?;
        let word = |name: &str| file.get("defaults")?.get(name)?.as_str();
        let exec = &self.config.exec;
        let security = word("security").and_then(ExecSecurity::from_word);
        let ask = word("ask").and_then(ExecAsk::from_word);
        let skills = file["defaults"]["autoAllowSkills"].as_bool().unwrap_or(false);
        let resolved = json!({
            "security": security.unwrap_or(exec.security).min(exec.security).as_str(),
            "ask": ask.unwrap_or(exec.ask).min(exec.ask).as_str(),
            "askFallback": word("askFallback").unwrap_or("deny"), "autoAllowSkills": skills,
        });
        Ok(json!({
            "path": self.approvals_path(), "exists": document.exists, "hash": document.hash,
            "file": redacted(file), "resolvedDefaults": resolved,
        }))
    }
}

fn redacted(mut file: Value) -> Value {
    if let Some(token) = file.pointer_mut("/socket/token") {
        *token = json!(REDACTED);
    }
    file
}

/// A document that comes back with the token left out keeps the old one.
pub(super) fn unredacted(mut file: Value, old: &Value) -> Value {
    if let Some(token) = file.pointer_mut("/socket/token")
        && *token == REDACTED
    {
        *token = old.pointer("/socket/token").cloned().unwrap_or_else(|| json!(""));
    }
    file
}
