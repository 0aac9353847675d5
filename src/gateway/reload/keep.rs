//! What is kept of the configuration: the last one that a gateway ran with, and how often clients
//! have written the file.

use crate::driver::Time;
use crate::gateway::Gateway;
use crate::limits;
use crate::store::copies::{Kept, last_good};
use serde_json::Value;
use std::collections::BTreeMap;

/// Writes by method and caller.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Writes {
    by: BTreeMap<(&'static str, String), (Time, u32)>,
}

impl Writes {
    /// Counts one; how long to wait when that is too many.
    pub(in crate::gateway) fn count(
        &mut self,
        method: &'static str,
        who: String,
        now: Time,
    ) -> Option<u64> {
        let window = limits::CONFIG_WRITES_MS;
        self.by.retain(|_, (since, _)| now.ms_since(*since) < window);
        let key = (method, who);
        if !self.by.contains_key(&key) && self.by.len() >= limits::CONFIG_WRITERS {
            return Some(window);
        }
        let (since, count) = self.by.entry(key).or_insert((now, 0));
        if *count >= limits::CONFIG_WRITES {
            return Some(window - now.ms_since(*since));
        }
        *count += 1;
        None
    }
}

/// What stands for a secret where a file was shown; a file with one in it is no configuration.
const PLACEHOLDERS: [&str; 3] = ["__OPENCLAW_REDACTED__", "***", "[redacted]"];

fn holds_placeholder(value: &Value) -> bool {
    match value {
        Value::String(text) => PLACEHOLDERS.contains(&text.as_str()),
        Value::Array(list) => list.iter().any(holds_placeholder),
        Value::Object(members) => members.values().any(holds_placeholder),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

impl Gateway {
    /// Keeps the root file that is in force as `openclaw.json.last-good`, 0600. Only `openclaw
    /// doctor --fix` and `openclaw gateway --last-known-good` ever read it. A disk that refuses
    /// costs a line in the log.
    pub fn keep_last_good(&mut self) {
        let source = &self.config.source;
        if !source.exists || self.reload.is_none() {
            return;
        }
        if holds_placeholder(&source.parsed) {
            log::warn!(target: "config", "Config last-known-good promotion skipped: the file holds \
                a placeholder in place of a secret");
            return;
        }
        let (path, raw) = (source.path.clone(), source.raw.clone());
        let disk = self.disk.as_mut();
        if disk.read(&last_good(&path)).is_ok_and(|bytes| bytes == raw.as_bytes()) {
            return;
        }
        if let Err(error) = Kept::LastGood.keep(disk, &path, raw.as_bytes(), 0) {
            let path = path.display();
            log::warn!(target: "config", "no last-known-good copy of {path}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_counted_by_method_and_caller() {
        let mut writes = Writes::default();
        let mut at = Time(0);
        for _ in 0..limits::CONFIG_WRITES {
            assert_eq!(writes.count("config.set", "a".to_owned(), at), None);
        }
        at = at.after_ms(1_000);
        let window = limits::CONFIG_WRITES_MS;
        assert_eq!(writes.count("config.set", "a".to_owned(), at), Some(window - 1_000));
        assert_eq!(writes.count("config.patch", "a".to_owned(), at), None);
        assert_eq!(writes.count("config.set", "b".to_owned(), at), None);
        for n in 0..limits::CONFIG_WRITERS {
            writes.count("config.set", format!("n{n}"), at);
        }
        assert!(writes.by.len() <= limits::CONFIG_WRITERS);
        assert_eq!(writes.count("config.set", "late".to_owned(), at), Some(window));
        assert_eq!(writes.count("config.set", "a".to_owned(), at.after_ms(window)), None);
    }
}
