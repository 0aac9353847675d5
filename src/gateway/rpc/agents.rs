//! `agents.*` and `agent.identity.get`: who there is, their files, and edits of the configuration
//! that add, change and remove them.

use super::super::socket::Answer;
use super::super::{Gateway, local};
use super::{Handled, Params, text};
use crate::agent::workspace;
use crate::config::edit_agents::{self, Change};
use crate::config::{Config, Identity};
use crate::driver::Effects;
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::sessions::key;
use crate::store::Stat;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::rc::Rc;

impl Gateway {
    /// `agents.list`.
    pub(in crate::gateway) fn agents_list(&self) -> Value {
        let agents = &self.config.agents;
        let rows: Vec<Value> =
            agents.agent_ids().into_iter().map(|id| self.agent_row(id)).collect();
        let ownership = match (agents.list.len(), agents.by_entries) {
            (0 | 1, _) => "sole",
            (_, true) => "explicit",
            (_, false) => "legacy",
        };
        json!({
            "defaultId": agents.default_agent(), "ownership": ownership,
            "selectionRequired": false,
            "mainKey": self.config.session.main_key, "scope": self.session_defaults(3)["scope"],
            "agents": rows,
        })
    }

    fn agent_row(&self, id: &str) -> Value {
        let agents = &self.config.agents;
        let dir = self.workspace(id);
        let choice = agents.model_of(id);
        let primary = self.default_model(id).0;
        let (provider, model) = primary.split_once('/').unwrap_or(("", &primary));
        let levels = self.thinking_levels(provider, model);
        let labels: Vec<Value> =
            levels.iter().map(|level| json!({"id": level, "label": level})).collect();
        let thinking = agents.thinking(id, &primary);
        let thinking = thinking.filter(|level| levels.contains(&level.as_str()));
        let mut row = json!({
            "id": id, "kind": "agent", "workspace": dir,
            "workspaceGit": self.disk.stat(&dir.join(".git")).is_ok(),
            "model": {"primary": primary}, "thinkingLevels": labels, "thinkingOptions": levels,
            "thinkingDefault": thinking.as_deref().unwrap_or("off"),
        });
        if !choice.fallbacks.is_empty() {
            row["model"]["fallbacks"] = json!(choice.fallbacks);
        }
        if let Some(name) = agents.agent(id).and_then(|agent| agent.name.as_ref()) {
            row["name"] = json!(name);
        }
        let identity = self.identity(id);
        if identity != Identity::default() {
            let parts = [
                ("name", identity.name),
                ("theme", identity.theme),
                ("emoji", identity.emoji),
                ("avatar", identity.avatar),
            ];
            let parts = parts.into_iter().filter_map(|(key, part)| Some((key.to_owned(), part?)));
            row["identity"] = Value::Object(parts.map(|(key, part)| (key, part.into())).collect());
        }
        row
    }

    fn identity(&self, id: &str) -> Identity {
        local::agent_identity(self.disk.as_ref(), &self.config, &self.state_dir, id)
    }

    /// `agent.identity.get {agentId?, sessionKey?}`.
    pub(in crate::gateway) fn agent_identity(&self, params: &Params) -> Handled {
        let of_key = || key::agent_of(text(params, "sessionKey")?);
        let id = text(params, "agentId").or_else(of_key);
        let id = self.known_agent(id.unwrap_or(self.config.agents.default_agent()))?;
        let own = self.config.agents.agent(&id);
        let named = own.and_then(|own| own.identity.name.clone().or_else(|| own.name.clone()));
        let all = self.identity(&id);
        let (name, source) = match (named, all.name) {
            (Some(name), _) => (name, "agent"),
            (None, Some(name)) => (name, "workspace"),
            (None, None) => ("Assistant".to_owned(), "default"),
        };
        let letter = || name.chars().next().map(|c| c.to_uppercase().collect::<String>());
        let avatar = all.avatar.clone().or_else(|| all.emoji.clone()).or_else(letter);
        let mut value = json!({"agentId": id, "name": name, "nameSource": source});
        if let Some(avatar) = avatar {
            value["avatar"] = json!(avatar);
        }
        if let Some(avatar) = &all.avatar {
            value["avatarStatus"] = json!(match avatar.as_str() {
                url if url.starts_with("data:") => "data",
                url if url.starts_with("http://") || url.starts_with("https://") => "remote",
                _ => "local",
            });
        }
        if let Some(emoji) = all.emoji {
            value["emoji"] = json!(emoji);
        }
        Ok(Answer::Value(value))
    }

    /// `skills.status {agentId?, sessionKey?}`.
    pub(super) fn skills(&self, params: &Params) -> Handled {
        let of_key = || key::agent_of(text(params, "sessionKey")?);
        let id = text(params, "agentId").or_else(of_key);
        let id = self.known_agent(id.unwrap_or(self.config.agents.default_agent()))?;
        Ok(Answer::Value(self.skills_status(&id)))
    }

    /// The id of a configured agent as a caller wrote it.
    fn known_agent(&self, id: &str) -> Result<String, ErrorShape> {
        let known = id.trim().to_ascii_lowercase();
        if self.config.agents.has(&known) {
            return Ok(known);
        }
        let shown: String = id.chars().take(64).collect();
        Err(ErrorShape::invalid(format!("agent \"{shown}\" not found")))
    }

    /// `agents.files.list {agentId}`.
    pub(super) fn agents_files_list(&self, params: &Params) -> Handled {
        let id = self.known_agent(text(params, "agentId").unwrap_or_default())?;
        let dir = self.workspace(&id);
        let files: Vec<Value> =
            workspace::FILES.iter().map(|file| self.file_entry(&dir, file.name).0).collect();
        Ok(Answer::Value(json!({"agentId": id, "workspace": dir, "files": files})))
    }

    fn file_entry(&self, dir: &Path, name: &str) -> (Value, Option<Stat>) {
        let path = dir.join(name);
        let stat = self.disk.stat(&path).ok();
        let mut entry = json!({"name": name, "path": path, "missing": stat.is_none()});
        if let Some(stat) = &stat {
            entry["size"] = json!(stat.len);
            let ms = u64::try_from(stat.modified_ns / 1_000_000).unwrap_or_default();
            entry["updatedAtMs"] = json!(ms);
        } else if name == "BOOTSTRAP.md" {
            entry["expectedAbsent"] = json!(true);
        }
        (entry, stat)
    }

    /// Agent, workspace and the one known file that a request names.
    fn named_file(&self, params: &Params) -> Result<(String, PathBuf, &'static str), ErrorShape> {
        let id = self.known_agent(text(params, "agentId").unwrap_or_default())?;
        let name = text(params, "name").unwrap_or_default();
        let Some(file) = workspace::find(name) else {
            return Err(ErrorShape::invalid(format!("unsupported file \"{name}\"")));
        };
        let dir = self.workspace(&id);
        Ok((id, dir, file.name))
    }

    /// `agents.files.get {agentId, name}`.
    pub(super) fn agents_files_get(&self, params: &Params) -> Handled {
        let (id, dir, name) = self.named_file(params)?;
        let (mut entry, stat) = self.file_entry(&dir, name);
        if let Some(stat) = stat {
            if stat.len > limits::WORKSPACE_FILE as u64 {
                return Err(ErrorShape::invalid(format!(
                    "{} has {} bytes, and at most {} are shown here; open it on the gateway's \
                     machine",
                    dir.join(name).display(),
                    stat.len,
                    limits::WORKSPACE_FILE
                )));
            }
            entry["content"] = json!(workspace::read(self.disk.as_ref(), &dir.join(name), &stat));
        }
        Ok(Answer::Value(json!({"agentId": id, "workspace": dir, "file": entry})))
    }

    /// `agents.files.set {agentId, name, content}`: the whole file at once.
    pub(super) fn agents_files_set(&mut self, params: &Params) -> Handled {
        let (id, dir, name) = self.named_file(params)?;
        let content = text(params, "content").unwrap_or_default();
        if content.len() > limits::WORKSPACE_FILE {
            return Err(ErrorShape::invalid(format!(
                "content has {} bytes, and a workspace file may have {}",
                content.len(),
                limits::WORKSPACE_FILE
            )));
        }
        let path = dir.join(name);
        // The file behind a link that the person made.
        let real = self.disk.canonical(&path).unwrap_or_else(|_| path.clone());
        self.disk.write_file(&real, content.as_bytes()).map_err(|error| {
            ErrorShape::unavailable(format!(
                "{} cannot be written: {error}; check its owner and free space",
                real.display()
            ))
        })?;
        let mut entry = self.file_entry(&dir, name).0;
        entry["content"] = json!(content);
        Ok(Answer::Value(json!({"ok": true, "agentId": id, "workspace": dir, "file": entry})))
    }

    /// `agents.create {name, workspace?, model?, emoji?, avatar?}`.
    pub(super) fn agents_create(&mut self, params: &Params, fx: &mut Effects) -> Handled {
        let name = text(params, "name").unwrap_or_default().trim();
        let Some(id) = edit_agents::id_of(name) else {
            return Err(ErrorShape::invalid("name must have a letter or digit to make an id of"));
        };
        let change = self.change(params, Some(name).filter(|name| *name != id))?;
        let model = change.model.clone();
        let text = edit_agents::add(&self.config, &id, change).map_err(ErrorShape::invalid)?;
        self.edit_config(&id, text, fx)?;
        self.seed_workspace(&id);
        let mut value =
            json!({"ok": true, "agentId": id, "name": name, "workspace": self.workspace(&id)});
        if let Some(model) = model {
            value["model"] = json!(model);
        }
        Ok(Answer::Value(value))
    }

    /// `agents.update {agentId, name?, workspace?, model?, emoji?, avatar?}`.
    pub(super) fn agents_update(&mut self, params: &Params, fx: &mut Effects) -> Handled {
        let id = self.known_agent(text(params, "agentId").unwrap_or_default())?;
        let mut change = self.change(params, text(params, "name"))?;
        if params.get("model") == Some(&Value::Null) {
            change.model = Some(String::new());
        }
        if change != Change::default() {
            let text =
                edit_agents::update(&self.config, &id, change).map_err(ErrorShape::invalid)?;
            self.edit_config(&id, text, fx)?;
            self.seed_workspace(&id);
        }
        Ok(Answer::Value(json!({"ok": true, "agentId": id})))
    }

    fn change(&self, params: &Params, name: Option<&str>) -> Result<Change, ErrorShape> {
        let part = |key| text(params, key).map(|text| text.trim().to_owned());
        let change = Change {
            name: name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()),
            workspace: part("workspace"),
            model: part("model"),
            emoji: part("emoji"),
            avatar: part("avatar"),
            ..Change::default()
        };
        if let Some(dir) = &change.workspace
            && !Path::new(dir).is_absolute()
            && !dir.starts_with("~/")
        {
            return Err(ErrorShape::invalid(
                "workspace must be an absolute path, or begin with ~/",
            ));
        }
        if let Some(model) = change.model.as_deref().filter(|model| !model.is_empty())
            && !super::super::runs::model_exists(&self.config, model)
        {
            return Err(ErrorShape::invalid(format!(
                "Unknown model \"{model}\". Run: openclaw models list"
            )));
        }
        Ok(change)
    }

    /// `agents.delete {agentId, deleteFiles?}`: out of the configuration; its files go to
    /// `<state>/trash`, where the person can take them back.
    pub(super) fn agents_delete(&mut self, params: &Params, fx: &mut Effects) -> Handled {
        let id = self.known_agent(text(params, "agentId").unwrap_or_default())?;
        let dir = self.workspace(&id);
        let (text, bindings) =
            edit_agents::delete(&self.config, &id).map_err(ErrorShape::invalid)?;
        self.edit_config(&id, text, fx)?;
        let of_agent = |run: &u64| self.runs.get(*run).is_some_and(|run| run.agent == id);
        let runs: Vec<u64> = self.runs.numbers().into_iter().filter(of_agent).collect();
        for run in runs {
            self.cancel_run(run, "agent deleted", fx);
        }
        let mut value = json!({"ok": true, "agentId": id, "removedBindings": bindings});
        let files = params.get("deleteFiles").and_then(Value::as_bool).unwrap_or(true);
        if files {
            let (removed, failed) = local::trash_agent(
                self.disk.as_mut(),
                &self.config,
                &self.state_dir,
                (&id, &dir),
                self.now.wall_ms,
            );
            value["removed"] = json!(removed);
            if !failed.is_empty() {
                value["failed"] = json!(failed);
            }
        }
        self.sessions.forget(&id);
        Ok(Answer::Value(value))
    }

    /// Writes the configuration file with an edit that concerns the agent `id`, and takes it
    /// over at once.
    ///
    /// # Errors
    /// `INVALID_REQUEST` when the result is not valid or the file is not what is in force;
    /// `UNAVAILABLE` when it cannot be written. Nothing has changed then.
    fn edit_config(&mut self, id: &str, text: String, fx: &mut Effects) -> Result<(), ErrorShape> {
        let before = Rc::clone(&self.config);
        if !before.source.exists {
            return Err(ErrorShape::invalid(
                "there is no configuration file to edit; run: openclaw setup",
            ));
        }
        let state_dir = self.state_dir.clone();
        let mut after = self.checked_config(&text)?;
        let settled = edit_agents::settle(&before.agents, &after, id, &state_dir);
        if let Some(text) = settled.map_err(ErrorShape::invalid)? {
            after = self.checked_config(&text)?;
        }
        let path = &before.source.path;
        let failed = |error: std::io::Error| {
            ErrorShape::unavailable(format!("{} cannot be written: {error}", path.display()))
        };
        // The file behind a link stays the file behind it.
        let real = self.disk.canonical(path).map_err(failed)?;
        if self.disk.read(&real).map_err(failed)? != before.source.raw.as_bytes() {
            return Err(ErrorShape::invalid(format!(
                "config changed since last load: {} is not what the gateway runs with; reload it \
                 (SIGHUP or openclaw gateway restart) and retry",
                path.display()
            )));
        }
        self.disk.replace(&real, after.source.raw.as_bytes()).map_err(failed)?;
        self.reread(fx);
        Ok(())
    }

    /// What a text would mean as the configuration file.
    fn checked_config(&mut self, text: &str) -> Result<Rc<Config>, ErrorShape> {
        let Some(reload) = &mut self.reload else {
            return Err(ErrorShape::unavailable("this gateway runs without a configuration file"));
        };
        match reload.load(Some(text), &self.secrets.resolved) {
            Ok(new) => Ok(new.config),
            Err(not) => Err(ErrorShape::invalid(format!("invalid config: {}", not.text))),
        }
    }
}
