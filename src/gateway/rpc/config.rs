//! `config.get`: the configuration in force, without its secrets.

use super::super::Gateway;
use crate::config::redact;
use serde_json::{Value, json};

impl Gateway {
    /// As the reference's, redacted by `__OPENCLAW_REDACTED__`.
    pub(super) fn config_get(&self) -> Value {
        let source = &self.config.source;
        let resolved = redact::value(&source.resolved, &source.parsed);
        let warnings: Vec<Value> = self
            .config
            .warnings
            .iter()
            .map(|issue| json!({"path": issue.path, "message": issue.message}))
            .collect();
        json!({
            "path": source.path, "includedPaths": source.includes, "includeProvenance": [],
            "exists": source.exists, "raw": redact::raw(&source.raw),
            "parsed": redact::value(&source.parsed, &source.parsed),
            "sourceConfig": redact::value(&source.authored, &source.authored),
            "resolved": resolved, "valid": true, "runtimeConfig": resolved, "config": resolved,
            "hash": source.hash, "configRevisionHash": source.hash,
            "appliedConfigHash": source.hash, "issues": [], "warnings": warnings,
            "legacyIssues": [],
        })
    }
}
