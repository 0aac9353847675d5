//! The skills of an agent on this machine: found, gated, listed for its prompt and for
//! operators.

use super::Gateway;
use crate::agent::skills::{Catalog, Needs, Skill, Source, World, bins, render};
use crate::config::{Config, SKILLS_PROMPT_CHARS, Secret};
use crate::driver::Time;
use crate::limits;
use crate::store::{Disk, Kind};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What was found for an agent, and until when that is taken for true.
#[derive(Default)]
pub(super) struct Seen {
    catalog: Catalog,
    made: Option<(Time, Rc<Config>, Found)>,
}

/// What runs of an agent get of its skills.
#[derive(Clone)]
pub(super) struct Found {
    /// The list in the prompt; empty without any.
    pub(super) text: Rc<str>,
    /// Variables that `skills.entries` has for skills that can be used.
    env: Rc<[(String, Secret)]>,
}

/// A skill with everything that decides whether it is shown.
struct Judged {
    skill: Skill,
    missing: Needs,
    disabled: bool,
    filtered: bool,
}

impl Judged {
    fn eligible(&self) -> bool {
        self.missing.is_empty() && !self.disabled && !self.filtered
    }

    fn visible(&self) -> bool {
        self.eligible() && !self.skill.hidden
    }
}

impl Gateway {
    /// The skills of an agent, looked for at most every [`limits::SKILLS_MS`]; with a list, only
    /// those that it names.
    pub(super) fn skills_found(&mut self, agent: &str, only: Option<&[String]>) -> Found {
        let now = self.now.time;
        let config = Rc::clone(&self.config);
        let seen = &mut self.agents.kept(agent).skills;
        if let Some((at, of, found)) = &seen.made
            && only.is_none()
            && now.ms_since(*at) < limits::SKILLS_MS
            && Rc::ptr_eq(of, &config)
        {
            return found.clone();
        }
        let (disk, os) = (self.disk.as_ref(), self.host.platform);
        let mut all = judged(&mut seen.catalog, disk, &config, &self.state_dir, os, agent);
        all.retain(|it| only.is_none_or(|only| only.contains(&it.skill.name)));
        let shown: Vec<&Skill> = all.iter().filter(|it| it.visible()).map(|it| &it.skill).collect();
        let chars = config.agents.skills_chars(agent).or(config.skills.prompt_chars);
        let found = Found {
            text: render(&shown, chars.unwrap_or(SKILLS_PROMPT_CHARS)).into(),
            env: all.iter().filter(|it| it.eligible()).flat_map(|it| env_of(&config, it)).collect(),
        };
        if only.is_none() {
            seen.made = Some((now, config, found.clone()));
        }
        found
    }

    /// What `skills.entries` has for an agent's commands: variables that nothing else sets.
    pub(super) fn skills_env(
        &mut self,
        agent: &str,
        only: Option<&[String]>,
    ) -> Vec<(String, String)> {
        let env = self.skills_found(agent, only).env;
        env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect()
    }

    /// `skills.status` of an agent.
    pub(super) fn skills_status(&self, agent: &str) -> Value {
        let disk = self.disk.as_ref();
        skills_report(disk, &self.config, &self.state_dir, self.host.platform, agent)
    }
}

/// `skills.status` as an object, also for commands that look without a gateway: `os` is that of
/// `std::env::consts::OS`.
pub fn skills_report(
    disk: &dyn Disk,
    config: &Config,
    state_dir: &Path,
    os: &str,
    agent: &str,
) -> Value {
    let all = judged(&mut Catalog::default(), disk, config, state_dir, os, agent);
    let rows: Vec<Value> = all.iter().map(row).collect();
    json!({
        "workspaceDir": config.agents.workspace(agent, state_dir),
        "managedSkillsDir": state_dir.join("skills"), "agentId": agent, "skills": rows,
    })
}

fn row(judged: &Judged) -> Value {
    let Judged { skill, missing, disabled, filtered } = judged;
    let needs = |needs: &Needs| {
        json!({"bins": needs.bins, "anyBins": needs.any_bins, "env": needs.env,
            "config": needs.config, "os": needs.os})
    };
    let checks: Vec<Value> = skill
        .needs
        .config
        .iter()
        .map(|path| json!({"path": path, "satisfied": !missing.config.contains(path)}))
        .collect();
    let mut row = json!({
        "name": skill.name, "description": skill.description, "source": skill.source.as_str(),
        "bundled": false, "filePath": skill.file, "baseDir": skill.file.parent(),
        "skillKey": skill.key, "always": skill.always, "disabled": disabled,
        "blockedByAllowlist": false, "blockedByAgentFilter": filtered,
        "eligible": missing.is_empty() && !disabled, "platformIncompatible": !missing.os.is_empty(),
        "modelVisible": judged.visible(), "userInvocable": skill.user_invocable,
        "commandVisible": judged.eligible() && skill.user_invocable,
        "requirements": needs(&skill.needs), "missing": needs(missing),
        "configChecks": checks, "install": [],
    });
    let more = [
        ("emoji", &skill.emoji),
        ("homepage", &skill.homepage),
        ("primaryEnv", &skill.primary_env),
    ];
    for (key, value) in more {
        if let Some(value) = value {
            row[key] = json!(value);
        }
    }
    row
}

/// All skills of an agent with what keeps each from being shown.
fn judged(
    catalog: &mut Catalog,
    disk: &dyn Disk,
    config: &Config,
    state_dir: &Path,
    os: &str,
    agent: &str,
) -> Vec<Judged> {
    let skills = catalog.look(disk, &roots(config, state_dir, agent), &config.skills.outside);
    let found = found_bins(disk, config.env.get("PATH").unwrap_or_default(), bins(&skills));
    let allowed = config.agents.skills(agent);
    let world = World {
        os: match os {
            "macos" => "darwin",
            "windows" => "win32",
            other => other,
        },
        has_bin: &|name| found.contains(name),
        has_env: &|skill, name| has_env(config, skill, name),
        is_true: &|path| is_true(config, path),
    };
    let missing: Vec<Needs> = skills.iter().map(|skill| skill.missing(&world)).collect();
    let judge = |(skill, missing): (Skill, Needs)| Judged {
        missing,
        disabled: config.skills.entries.get(&skill.key).is_some_and(|entry| !entry.enabled),
        filtered: allowed.as_ref().is_some_and(|names| !names.contains(&skill.name)),
        skill,
    };
    skills.into_iter().zip(missing).map(judge).collect()
}

fn roots(config: &Config, state_dir: &Path, agent: &str) -> Vec<(Source, PathBuf)> {
    let workspace = config.agents.workspace(agent, state_dir);
    let mut roots = vec![
        (Source::Workspace, workspace.join("skills")),
        (Source::Project, workspace.join(".agents").join("skills")),
    ];
    // A state directory of its own is a gateway of its own: nothing of the home belongs to it.
    if config.home.join(".openclaw") == state_dir {
        roots.push((Source::Personal, config.home.join(".agents").join("skills")));
    }
    roots.push((Source::Managed, state_dir.join("skills")));
    roots.extend(config.skills.extra_dirs.iter().map(|dir| (Source::Extra, dir.clone())));
    roots
}

fn found_bins<'a>(disk: &dyn Disk, path: &str, wanted: BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    let dirs: Vec<&Path> = path
        .split(if cfg!(windows) { ';' } else { ':' })
        .map(Path::new)
        .filter(|dir| dir.is_absolute())
        .take(limits::PATH_DIRS)
        .collect();
    let there = |name: &str| {
        let plain = !name.is_empty() && !name.contains(['/', '\\']) && name != "..";
        let is_file =
            |dir: &&Path| matches!(disk.kind(&dir.join(name)), Ok(Kind::File | Kind::Link));
        plain && dirs.iter().any(is_file)
    };
    wanted.into_iter().filter(|name| there(name)).collect()
}

/// What the operator wrote for a skill: variables, and the key under its primary name. Never
/// anything of the gateway's own environment, for a skill is a file that others may write.
fn env_of(config: &Config, judged: &Judged) -> Vec<(String, Secret)> {
    let Some(entry) = config.skills.entries.get(&judged.skill.key) else { return Vec::new() };
    let own = entry.env.iter().map(|(name, value)| (name.clone(), value.clone()));
    let key = judged.skill.primary_env.clone().zip(entry.api_key.clone());
    let is_name = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
    own.chain(key).filter(|(name, _)| is_name(name)).collect()
}

fn has_env(config: &Config, skill: &Skill, name: &str) -> bool {
    let entry = config.skills.entries.get(&skill.key);
    config.env.get(name).is_some()
        || entry.is_some_and(|entry| {
            entry.env.contains_key(name)
                || entry.api_key.is_some() && skill.primary_env.as_deref() == Some(name)
        })
}

/// A key path such as `channels.discord` that stands for something.
fn is_true(config: &Config, path: &str) -> bool {
    let mut value = &config.source.resolved;
    for part in path.split('.') {
        match value.get(part) {
            Some(inner) => value = inner,
            None => return false,
        }
    }
    match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::String(text) => !text.trim().is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Array(_) | Value::Object(_) => true,
    }
}
