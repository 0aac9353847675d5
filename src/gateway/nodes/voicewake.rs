//! `voicewake.*`: the one list of wake words, kept in `voicewake.json` and told to every node.
//!
//! Words are trimmed, at most 32 of 64 UTF-16 units; an empty list is the built-in one
//! (docs/nodes/voicewake.md). Routing has no method to change it in the reference, so it is what
//! it is after an installation.

use super::super::Gateway;
use super::super::broadcast::To;
use super::super::socket::Answer;
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::store::Disk;
use serde_json::{Map, Value, json};
use std::io;
use std::path::Path;

const FILE: &str = "voicewake.json";
const BUILT_IN: [&str; 3] = ["openclaw", "claude", "computer"];
/// Far more than the longest list takes.
const FILE_MAX: usize = 64 * 1024;

/// The list.
pub(super) struct Wake {
    triggers: Vec<String>,
}

impl Default for Wake {
    fn default() -> Self {
        Self { triggers: normal(std::iter::empty()) }
    }
}

impl Wake {
    pub(super) fn open(disk: &mut dyn Disk, state_dir: &Path) -> io::Result<Self> {
        let read = super::read(disk, &state_dir.join(FILE), FILE_MAX, |value| {
            value.get("triggers").and_then(words).ok_or("it has no triggers")
        })?;
        Ok(read.map_or_else(Self::default, |triggers| Self { triggers }))
    }

    /// What a node is told when it connects.
    pub(super) fn events(&self) -> [(&'static str, Value); 2] {
        [
            ("voicewake.changed", json!({"triggers": self.triggers})),
            ("voicewake.routing.changed", json!({"config": routing()})),
        ]
    }
}

fn routing() -> Value {
    json!({"version": 1, "defaultTarget": {"mode": "current"}, "routes": [], "updatedAtMs": 0})
}

fn words(value: &Value) -> Option<Vec<String>> {
    Some(normal(value.as_array()?.iter().filter_map(Value::as_str)))
}

fn normal<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let cut = |word: &str| {
        let mut units = 0;
        let fits = word.chars().take_while(|c| {
            units += c.len_utf16();
            units <= limits::WAKE_WORD_UNITS
        });
        fits.collect::<String>()
    };
    let words = words.map(str::trim).filter(|word| !word.is_empty());
    let words: Vec<String> = words.take(limits::WAKE_WORDS).map(cut).collect();
    if words.is_empty() { BUILT_IN.map(str::to_owned).to_vec() } else { words }
}

impl Gateway {
    /// `voicewake.get`.
    pub(in crate::gateway) fn voicewake_get(&self) -> Value {
        json!({"triggers": self.nodes.wake.triggers})
    }

    /// `voicewake.routing.get`.
    pub(in crate::gateway) fn voicewake_routing_get(&self) -> Value {
        json!({"config": routing()})
    }

    /// `voicewake.set`: kept, then told to readers and nodes.
    pub(in crate::gateway) fn voicewake_set(
        &mut self,
        params: &Map<String, Value>,
        fx: &mut Effects,
    ) -> Result<Answer, ErrorShape> {
        let triggers = params.get("triggers").and_then(words);
        let triggers = triggers
            .ok_or_else(|| ErrorShape::invalid("voicewake.set requires triggers: string[]"))?;
        let payload = json!({"triggers": triggers});
        let path = self.state_dir.join(FILE);
        self.disk.replace(&path, payload.to_string().as_bytes()).map_err(|error| {
            ErrorShape::unavailable(format!("{} was not written: {error}", path.display()))
        })?;
        self.nodes.wake.triggers = triggers;
        self.broadcast("voicewake.changed", To::All, fx, &|_| Some(payload.clone()));
        let nodes: Vec<ConnId> = self.nodes.live.values().map(|live| live.conn).collect();
        for node in nodes {
            self.tell(node, "voicewake.changed", &payload, fx);
        }
        Ok(Answer::Value(payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_trimmed_cut_and_counted() {
        let of = |value: Value| words(&value);
        assert_eq!(of(json!([" a ", "", 1, "b"])), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(of(json!([])), Some(BUILT_IN.map(str::to_owned).to_vec()));
        assert_eq!(of(json!("a")), None);
        let many: Vec<String> = (0..99).map(|n| format!("w{n}")).collect();
        assert_eq!(of(json!(many)).map(|it| it.len()), Some(limits::WAKE_WORDS));
        // A pair of surrogates is not split.
        let long = format!("{}\u{1f600}", "x".repeat(63));
        assert_eq!(of(json!([long])), Some(vec!["x".repeat(63)]));
    }
}
