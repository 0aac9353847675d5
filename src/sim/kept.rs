//! What the disk holds of runs when all is over, held against what clients were told.

use super::check::Message;
use crate::store::Disk;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
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

impl Kept {
    /// Whether each call in the transcripts has one result behind it. A call may lack its result
    /// when its run has none but a notice, which names the tool; and when the disk refused it.
    ///
    /// # Errors
    /// What is wrong.
    pub fn tools(&self, of: &BTreeMap<String, Message>, full: bool) -> Result<(), String> {
        for messages in self.transcripts.values() {
            let calls = calls(messages)?;
            for (run, name) in calls.iter().filter(|_| !full) {
                let Some(message) = of.get(run) else { continue };
                let left = self.run(&message.key, run);
                // Whether it must have an answer at all is not the question here.
                let Some(at) = left.answers.last() else { continue };
                let told = self.transcript(&message.key).get(*at);
                let why = told.and_then(|told| told["errorMessage"].as_str()).unwrap_or_default();
                if !why.contains("cut short, and perhaps done in part: ") || !why.contains(name) {
                    return Err(format!("{run}: {name} has no result, and its end says {why:?}"));
                }
            }
        }
        Ok(())
    }
}

/// Calls without a result: run and tool.
fn calls(messages: &[Value]) -> Result<BTreeSet<(String, String)>, String> {
    let mut open = BTreeMap::new();
    let mut results = BTreeSet::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for message in messages {
        let run = text(&message["__openclaw"]["runId"]);
        if message["role"] == "toolResult" {
            let id = (run, text(&message["toolCallId"]));
            if open.remove(&id).is_none() || !results.insert(id.clone()) {
                return Err(format!("{}: a result too many for the call {}", id.0, id.1));
            }
            continue;
        }
        let parts = message["content"].as_array().into_iter().flatten();
        for part in parts.filter(|part| part["type"] == "toolCall") {
            let id = (run.clone(), text(&part["id"]));
            if results.contains(&id) || open.insert(id.clone(), text(&part["name"])).is_some() {
                return Err(format!("{}: the call {} stands twice", id.0, id.1));
            }
        }
    }
    Ok(open.into_iter().map(|((run, _), name)| (run, name)).collect())
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
            // A long turn may have become a summary, which has its message.
            let shorter = "re: The conversation before this point was made shorter.";
            of.get(id).is_some_and(|Message { text: said, .. }| {
                let own = text.strip_prefix("re: ").is_some_and(|rest| rest.starts_with(said));
                own || text.starts_with(shorter) && text.contains(said)
            })
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
