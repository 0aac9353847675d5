//! Edits of the agents in the configuration file's text, with everything else left as written.
//!
//! An edit concerns one agent only: [`settle`] finds what it would change for the others (which
//! directory they live in, who is the default) and writes down what they had. Nothing here reads
//! or writes a file; the caller checks the text before it does.

use super::agents::{Agents, MAIN_AGENT};
use super::build::agent_id;
use super::snapshot::Config;
use crate::wire::json5::{self, Step};
use serde_json::{Map, Value};
use std::path::Path;

/// What to write for an agent; `None` leaves a part as it is, an empty text removes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the key of its name")]
pub struct Change {
    pub name: Option<String>,
    pub workspace: Option<String>,
    pub model: Option<String>,
    pub identity_name: Option<String>,
    pub theme: Option<String>,
    pub emoji: Option<String>,
    pub avatar: Option<String>,
}

impl Change {
    fn parts(self) -> Vec<(&'static [&'static str], String)> {
        let parts: [(&'static [&'static str], _); 7] = [
            (&["name"], self.name),
            (&["workspace"], self.workspace),
            (&["model"], self.model),
            (&["identity", "name"], self.identity_name),
            (&["identity", "theme"], self.theme),
            (&["identity", "emoji"], self.emoji),
            (&["identity", "avatar"], self.avatar),
        ];
        parts.into_iter().filter_map(|(path, text)| Some((path, text?))).collect()
    }
}

/// The id that a name for people makes: lower case, everything but letters, digits, `-` and `_`
/// becomes `-`. `None` when nothing is left.
pub fn id_of(name: &str) -> Option<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let id: String = name.trim().to_ascii_lowercase().chars().map(plain).take(64).collect();
    agent_id(id.trim_matches(['-', '_']))
}

/// The text with an agent added.
///
/// # Errors
/// When its id is taken, or the file cannot hold it; a sentence for people.
pub fn add(config: &Config, id: &str, change: Change) -> Result<String, String> {
    if config.agents.has(id) {
        return Err(format!("agent \"{id}\" already exists"));
    }
    let mut text = config.source.raw.clone();
    let list = listed(config).map(<[Value]>::len);
    let mut entry = Map::new();
    if list.is_some() {
        entry.insert("id".to_owned(), id.into());
    }
    for (path, value) in change.parts() {
        if value.is_empty() {
            continue;
        }
        match path {
            [key] => drop(entry.insert((*key).to_owned(), value.into())),
            [key, part] => {
                let inner = entry.entry(*key).or_insert_with(|| Value::Object(Map::new()));
                if let Some(inner) = inner.as_object_mut() {
                    inner.insert((*part).to_owned(), value.into());
                }
            }
            _ => {}
        }
    }
    let path = match list {
        Some(length) => vec![key("agents"), key("list"), Step::Index(length)],
        None => {
            owned_here(config)?;
            if config.agents.list.is_empty() && id != MAIN_AGENT {
                // The agent that was there without being written down stays.
                text = set(&text, &entry_path(MAIN_AGENT), &Value::Object(Map::new()))?;
            }
            entry_path(id)
        }
    };
    set(&text, &path, &Value::Object(entry))
}

/// The text with parts of an agent changed.
///
/// # Errors
/// When there is no such agent, or it stands in another file; a sentence for people.
pub fn update(config: &Config, id: &str, change: Change) -> Result<String, String> {
    let path = path_of(config, id)?;
    let mut text = config.source.raw.clone();
    for (part, value) in change.parts() {
        let path: Vec<Step> = path.iter().cloned().chain(part.iter().map(|it| key(it))).collect();
        if !value.is_empty() {
            text = set(&text, &path, &value.into())?;
        } else if json5::parse(&text).is_ok_and(|document| document.at(&path).is_some()) {
            text = json5::remove(&text, &path).map_err(|error| error.to_string())?;
        }
    }
    Ok(text)
}

/// The text without an agent and its bindings, and how many of those there were.
///
/// # Errors
/// When there is no such agent, it must stay, or it stands in another file.
pub fn delete(config: &Config, id: &str) -> Result<(String, usize), String> {
    if !config.agents.has(id) {
        return Err(format!("agent \"{id}\" not found"));
    }
    if id == MAIN_AGENT {
        return Err(format!("\"{MAIN_AGENT}\" cannot be deleted"));
    }
    if config.agents.list.len() <= 1 {
        return Err(format!("agent \"{id}\" is the only one and cannot be deleted"));
    }
    let path = path_of(config, id)?;
    let failed = |error: json5::Json5Error| error.to_string();
    let mut text = json5::remove(&config.source.raw, &path).map_err(failed)?;
    let system = ["agents", "defaults", "systemAgent", "agentId"].map(key);
    if config.agents.defaults.system_agent.as_deref() == Some(id)
        && json5::parse(&text).is_ok_and(|document| document.at(&system).is_some())
    {
        text = json5::remove(&text, &system).map_err(failed)?;
    }
    let bindings = config.source.authored.get("bindings").and_then(Value::as_array);
    let of_agent = |binding: &Value| {
        binding.get("agentId").and_then(Value::as_str).and_then(agent_id).as_deref() == Some(id)
    };
    let bound: Vec<usize> = bindings
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(at, binding)| of_agent(binding).then_some(at))
        .collect();
    for at in bound.iter().rev() {
        text = json5::remove(&text, &[key("bindings"), Step::Index(*at)]).map_err(failed)?;
    }
    Ok((text, bound.len()))
}

/// What an edit would change beyond the agent `id` is written down as it was: the workspaces of
/// the others, and who is the default. `after` is what `text` means; `None` when that is
/// nothing.
///
/// # Errors
/// When an agent stands in another file; a sentence for people.
pub fn settle(
    before: &Agents,
    after: &Config,
    id: &str,
    state_dir: &Path,
) -> Result<Option<String>, String> {
    let mut text = after.source.raw.clone();
    let mut changed = false;
    for other in before.agent_ids().into_iter().filter(|other| *other != id) {
        let was = before.workspace(other, state_dir);
        if after.agents.has(other) && after.agents.workspace(other, state_dir) != was {
            let path: Vec<Step> =
                path_of(after, other)?.into_iter().chain([key("workspace")]).collect();
            text = set(&text, &path, &was.to_string_lossy().into_owned().into())?;
            changed = true;
        }
    }
    let default = before.default_agent();
    if after.agents.has(default) && after.agents.default_agent() != default {
        let path = ["agents", "defaults", "systemAgent", "agentId"].map(key);
        text = set(&text, &path, &default.into())?;
        changed = true;
    }
    Ok(changed.then_some(text))
}

fn key(name: &str) -> Step {
    Step::Key(name.to_owned())
}

fn entry_path(id: &str) -> Vec<Step> {
    ["agents", "entries", id].map(key).to_vec()
}

fn set(text: &str, path: &[Step], value: &Value) -> Result<String, String> {
    let json = match value {
        Value::Object(fields) if fields.len() > 1 => serde_json::to_string_pretty(value),
        _ => serde_json::to_string(value),
    };
    json5::set(text, path, &json.unwrap_or_default()).map_err(|error| error.to_string())
}

/// `agents.list` as it stands in the root file.
fn listed(config: &Config) -> Option<&[Value]> {
    let list = config.source.authored.get("agents")?.get("list")?.as_array()?;
    Some(list).filter(|list| !list.is_empty()).map(Vec::as_slice)
}

/// Agents that come from an included file are not ours to edit.
fn owned_here(config: &Config) -> Result<(), String> {
    let agents = config.source.authored.get("agents");
    let entries = agents.and_then(|agents| agents.get("entries")).and_then(Value::as_object);
    if config.agents.list.is_empty() || entries.is_some() {
        return Ok(());
    }
    Err("the agents are written in an included file: edit that file, then reload".to_owned())
}

/// Where a configured agent stands in the root file; the implied one has a place too.
fn path_of(config: &Config, id: &str) -> Result<Vec<Step>, String> {
    if !config.agents.has(id) {
        return Err(format!("agent \"{id}\" not found"));
    }
    if let Some(list) = listed(config) {
        let is_it = |agent: &Value| {
            agent.get("id").and_then(Value::as_str).and_then(agent_id).as_deref() == Some(id)
        };
        if let Some(at) = list.iter().position(is_it) {
            return Ok(vec![key("agents"), key("list"), Step::Index(at)]);
        }
    }
    owned_here(config)?;
    let agents = config.source.authored.get("agents");
    let entries = agents.and_then(|agents| agents.get("entries")).and_then(Value::as_object);
    let written = entries.into_iter().flatten().map(|(name, _)| name.as_str());
    let found = written.into_iter().find(|name| agent_id(name).as_deref() == Some(id));
    if found.is_none() && !config.agents.list.is_empty() {
        return Err(format!("agent \"{id}\" is written in an included file: edit that file"));
    }
    Ok(entry_path(found.unwrap_or(id)))
}

#[cfg(test)]
#[path = "edit_agents_tests.rs"]
mod tests;
