//! What the disk holds of runs when all is over, held against what clients were told.

use super::check::Message;
use crate::store::Disk;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The sessions of the one agent: the index, and the messages of each transcript.
#[derive(Debug)]
pub struct Kept {
    index: BTreeMap<String, Value>,
    /// Messages in the order of the file, by session id.
    transcripts: BTreeMap<String, Vec<Value>>,
}

/// What a transcript has of one run.
#[derive(Debug, Default)]
pub struct Run {
    /// Its message stands at these places.
    pub said: Vec<usize>,
    /// Its answer or notice, or the answer of a run that lists it, stands at these.
    pub answers: Vec<usize>,
    /// Its message was said to another run.
    pub carried: bool,
    /// Runs that its own answer lists.
    pub lists: Vec<String>,
}

impl Kept {
    /// Reads what a gateway wrote below its state directory.
    pub fn read(disk: &dyn Disk, state: &Path) -> Self {
        let dir = state.join("agents/main/sessions");
        let bytes = disk.read(&dir.join("sessions.json")).unwrap_or_default();
        let index: BTreeMap<String, Value> = serde_json::from_slice(&bytes).unwrap_or_default();
        let ids = index.values().filter_map(|entry| entry["sessionId"].as_str());
        let transcripts = ids
            .map(|id| (id.to_owned(), messages(disk, dir.join(format!("{id}.jsonl")))))
            .collect();
        Self { index, transcripts }
    }

    fn transcript(&self, key: &str) -> &[Value] {
        let id = self.index.get(key).and_then(|entry| entry["sessionId"].as_str());
        id.and_then(|id| self.transcripts.get(id)).map_or(&[], Vec::as_slice)
    }

    /// What the session of this key has of a run.
    pub fn run(&self, key: &str, run: &str) -> Run {
        let mut found = Run::default();
        for (at, message) in self.transcript(key).iter().enumerate() {
            if message["idempotencyKey"] == format!("{run}:user") {
                found.said.push(at);
            }
            let own = &message["__openclaw"];
            if message["role"] != "assistant" || own["continues"] == true {
                continue;
            }
            let lists: Vec<&str> =
                own["answers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            if own["runId"] == run {
                found.answers.push(at);
                found.lists.extend(lists.iter().map(|other| (*other).to_owned()));
            }
            if lists.contains(&run) {
                found.answers.push(at);
                found.carried = true;
            }
        }
        found
    }
}

impl Run {
    /// Whether the text of the run's terminal event answers it: the last that was said to its
    /// model is its own message or one that its answer lists; what was said to another run ends
    /// without words.
    ///
    /// # Errors
    /// What is wrong.
    pub fn fits(
        &self,
        text: &str,
        of: &BTreeMap<String, Message>,
        run: &str,
    ) -> Result<(), String> {
        if self.carried {
            return match text.is_empty() {
                true => Ok(()),
                false => Err(format!("it was said to another run and ends as {text:?}")),
            };
        }
        let mut heard = self.lists.iter().map(String::as_str).chain([run]);
        let answers = |id: &str| {
            let said = of.get(id).map(|message| format!("re: {}", message.text));
            said.is_some_and(|said| text.starts_with(&said))
        };
        if text.starts_with("[local") || heard.any(answers) {
            return Ok(());
        }
        Err(format!("it ends as {text:?} and lists {:?}", self.lists))
    }
}

fn messages(disk: &dyn Disk, path: PathBuf) -> Vec<Value> {
    let bytes = disk.read(&path).unwrap_or_default();
    bytes
        .split(|byte| *byte == b'\n')
        // What a power cut tore is no record.
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter_map(|mut record| record.get_mut("message").map(Value::take))
        .collect()
}
