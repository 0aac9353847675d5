//! What the gateway keeps of its agents between runs, and the prompt it puts before each.

use super::skills::Seen;
use super::{Gateway, heartbeat, local, runs};
use crate::agent::prompt::{self, Facts};
use crate::agent::run::{Candidate, Via};
use crate::agent::turn::{Part, Turn};
use crate::agent::workspace::{Excerpt, Files};
use crate::agent::{Ask, Thinking, tool_name};
use crate::limits;
use crate::wire::text::rfc3339_ms;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// By agent id; agents that left the configuration are forgotten at a reload.
#[derive(Default)]
pub(super) struct Agents {
    kept: BTreeMap<String, Kept>,
}

impl Agents {
    /// What is kept of an agent.
    pub(super) fn kept(&mut self, agent: &str) -> &mut Kept {
        self.kept.entry(agent.to_owned()).or_default()
    }
}

/// One agent's part.
#[derive(Default)]
pub(super) struct Kept {
    files: Files,
    pub(super) skills: Seen,
    /// Workspace and the repository around it.
    repo: Option<(PathBuf, Option<PathBuf>)>,
}

impl Gateway {
    /// Where an agent's files live.
    pub(super) fn workspace(&self, agent: &str) -> PathBuf {
        self.config.agents.workspace(agent, &self.state_dir)
    }

    /// Gives the workspace of every agent its first files, unless the configuration says not to.
    /// A workspace that cannot be written is told to the log; its agent works without.
    pub fn seed_workspaces(&mut self) {
        let config = self.config.clone();
        for agent in config.agents.agent_ids() {
            self.seed_workspace(agent);
        }
    }

    /// As [`Gateway::seed_workspaces`] for one agent.
    pub(super) fn seed_workspace(&mut self, agent: &str) {
        let dir = self.workspace(agent);
        match local::seed_agent(self.disk.as_mut(), &self.config, &self.state_dir, agent) {
            Ok(0) => {}
            Ok(files) => log::info!(target: "agents", "{agent}: {files} new files in {}",
                dir.display()),
            Err(error) => log::warn!(target: "agents", "{agent}: the workspace {} cannot be \
                written: {error}; check its owner, or set agents.defaults.workspace",
                dir.display()),
        }
    }

    /// Forgets what was kept of agents that are gone.
    pub(super) fn forget_agents(&mut self) {
        let config = self.config.clone();
        self.agents.kept.retain(|id, _| config.agents.has(id));
    }

    /// Makes a request out of a conversation: which model, how it is asked, what it is told
    /// first.
    pub(super) fn prepare(
        &mut self,
        key: &str,
        agent: &str,
        candidates: &mut Vec<Candidate>,
        ask: &mut Ask,
    ) {
        self.choose_for_images(candidates, ask);
        self.set_params(key, agent, candidates, ask);
        self.add_prompt(agent, candidates, ask);
    }

    /// Images go to `agents.defaults.imageModel` when the model in turn is known to take none.
    fn choose_for_images(&self, candidates: &mut Vec<Candidate>, ask: &Ask) {
        let choice = &self.config.agents.defaults.image_model;
        let (Some(primary), Some(first)) = (&choice.primary, candidates.first()) else { return };
        let is_image = |part: &Part| matches!(part, Part::Image { .. });
        let shown = ask.turns.iter().rev().find_map(|turn| match turn {
            Turn::User(parts) => Some(parts.iter().any(is_image)),
            _ => None,
        });
        let provider = self.config.models.providers.get(&first.provider);
        let model = provider.and_then(|it| it.models.iter().find(|model| model.id == first.model));
        let blind = model.is_some_and(|model| !model.input.iter().any(|kind| kind == "image"));
        if shown == Some(true) && blind {
            let names = std::iter::once(primary).chain(&choice.fallbacks);
            *candidates = names.map(|name| runs::candidate(&self.config, name)).collect();
        }
    }

    /// What the configuration and the session say of a request and its caller does not.
    fn set_params(&self, key: &str, agent: &str, candidates: &[Candidate], ask: &mut Ask) {
        let Some(first) = candidates.first() else { return };
        let model = format!("{}/{}", first.provider, first.model);
        let agents = &self.config.agents;
        let params = agents.params(agent, &model);
        let named = |names: [&str; 2]| names.into_iter().find_map(|name| params.get(name));
        let number = |names| named(names).and_then(Value::as_f64);
        let sampling = &mut ask.sampling;
        sampling.temperature = sampling.temperature.or_else(|| number(["temperature"; 2]));
        sampling.top_p = sampling.top_p.or_else(|| number(["topP", "top_p"]));
        sampling.frequency_penalty =
            sampling.frequency_penalty.or_else(|| number(["frequencyPenalty"; 2]));
        sampling.presence_penalty =
            sampling.presence_penalty.or_else(|| number(["presencePenalty"; 2]));
        let max = || named(["maxTokens", "max_tokens"]).and_then(Value::as_u64);
        sampling.max_tokens = sampling.max_tokens.or_else(|| max().filter(|max| *max > 0));
        sampling.seed = sampling.seed.or_else(|| params.get("seed").and_then(Value::as_i64));
        if sampling.stop.is_empty() {
            sampling.stop = match params.get("stop") {
                Some(Value::String(stop)) => vec![stop.clone()],
                Some(Value::Array(all)) => {
                    all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                }
                _ => Vec::new(),
            };
        }
        let of_session = || {
            let level = self.sessions.get(key)?.thinking_level.as_deref()?;
            Thinking::parse(level)
        };
        let of_config = || Thinking::parse(&agents.thinking(agent, &model)?);
        ask.thinking = ask.thinking.or_else(of_session).or_else(of_config);
    }

    /// Puts the system prompt before a conversation, with the caller's own instructions at its
    /// end: one system message, for there are models that take no more. The embedded model gets
    /// none.
    fn add_prompt(&mut self, agent: &str, candidates: &[Candidate], ask: &mut Ask) {
        let Some(first) = candidates.first().filter(|first| !matches!(first.via, Via::Echo)) else {
            return;
        };
        let model = format!("{}/{}", first.provider, first.model);
        let dir = self.workspace(agent);
        let config = self.config.clone();
        let skills = match ask.prompt {
            prompt::Mode::None => "".into(),
            _ => self.skills_found(agent, ask.skills.as_deref()).text,
        };
        let kept = self.agents.kept(agent);
        let disk = self.disk.as_ref();
        let mut files = None;
        if config.agents.injects(agent) && ask.prompt != prompt::Mode::None {
            files = Some(kept.files.look(disk, &dir, config.agents.bootstrap_chars(agent)));
        }
        // Nobody reads what only beats are for when none comes.
        let beats = config.agents.heartbeat(agent).every_ms > 0;
        let mut files = files.as_deref().unwrap_or_default();
        let some: Vec<Excerpt>;
        if ask.light || !beats {
            let shown = |file: &&Excerpt| match file.name {
                heartbeat::FILE => beats,
                _ => !ask.light,
            };
            some = files.iter().filter(shown).cloned().collect();
            files = &some;
        }
        let repo = match &config.agents.defaults.repo_root {
            Some(root) => Some(root.clone()),
            None => kept.repo_of(&dir, |path| disk.stat(path).is_ok()),
        };
        let house = ask.house_tools.clone();
        let tools = house.iter().filter_map(|tool| {
            let about = tool.get("function").and_then(|it| it.get("description"));
            Some((tool_name(tool)?, about.and_then(Value::as_str).unwrap_or_default()))
        });
        let turns = std::mem::take(&mut ask.turns);
        let (systems, turns): (Vec<Turn>, Vec<Turn>) =
            turns.into_iter().partition(|turn| matches!(turn, Turn::System(_)));
        let extra: Vec<&str> = systems
            .iter()
            .filter_map(|turn| match turn {
                Turn::System(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        let (workspace, repo) = (dir.to_string_lossy(), repo.map(shown));
        let mut runtime = vec![
            ("agent", agent),
            ("host", self.host.name.as_str()),
            ("os", self.host.platform),
            ("model", model.as_str()),
        ];
        runtime.extend(repo.as_deref().map(|repo| ("repo", repo)));
        let own = config.agents.agent(agent);
        let text = prompt::render(&Facts {
            mode: ask.prompt,
            agent,
            name: own.and_then(|own| own.identity.name.as_deref().or(own.name.as_deref())),
            tools: tools.collect(),
            skills: &skills,
            workspace: &workspace,
            files,
            date: &date(self.now.wall_ms),
            timezone: config.agents.defaults.user_timezone.as_deref(),
            runtime: &runtime,
            extra: &extra,
        });
        ask.turns.reserve(turns.len() + 1);
        ask.turns.push(Turn::System(text));
        ask.turns.extend(turns);
    }
}

impl Kept {
    /// The nearest directory from the workspace upwards that holds `.git`.
    fn repo_of(&mut self, dir: &Path, exists: impl Fn(&Path) -> bool) -> Option<PathBuf> {
        if let Some((of, found)) = &self.repo
            && of == dir
        {
            return found.clone();
        }
        let mut above = dir.ancestors().take(limits::REPO_LEVELS);
        let found = above.find(|dir| exists(&dir.join(".git"))).map(Path::to_path_buf);
        self.repo = Some((dir.to_path_buf(), found.clone()));
        found
    }
}

fn shown(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}

/// `Monday 2026-11-23 (UTC)`.
fn date(wall_ms: u64) -> String {
    const DAYS: [&str; 7] =
        ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    let since = usize::try_from(wall_ms / 86_400_000).unwrap_or(0);
    let day = DAYS.get(since % 7).copied().unwrap_or_default();
    let text = rfc3339_ms(wall_ms);
    format!("{day} {} (UTC)", text.get(..10).unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_its_day() {
        assert_eq!(date(0), "Thursday 1970-01-01 (UTC)");
        assert_eq!(date(1_795_392_000_000), "Monday 2026-11-23 (UTC)");
        assert_eq!(date(1_795_392_000_000 - 1), "Sunday 2026-11-22 (UTC)");
    }

    #[test]
    fn the_repository_around_a_workspace_is_found_once() {
        let mut kept = Kept::default();
        let dir = Path::new("/a/b/c");
        let found = kept.repo_of(dir, |path| path == Path::new("/a/.git"));
        assert_eq!(found.as_deref(), Some(Path::new("/a")));
        assert_eq!(kept.repo_of(dir, |_| panic!("looked again")), found);
        assert_eq!(kept.repo_of(Path::new("/x"), |_| false), None);
    }
}
