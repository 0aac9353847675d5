//! Skills: folders with a `SKILL.md` that tell a model how one kind of task is done here.
//!
//! ```text
//!   roots, highest precedence first --> [Catalog::look] --> skills by name --> gates --> prompt
//! ```
//!
//! Only the head of a file is read, and only when it changed; the model reads the rest with its
//! `read` tool when a task fits. Nothing of a skill is ever executed by the gateway.

mod yaml;

use crate::limits;
use crate::store::{Disk, Kind, Stat};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where a skill was found; the words are the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `<workspace>/skills`.
    Workspace,
    /// `<workspace>/.agents/skills`.
    Project,
    /// `~/.agents/skills`.
    Personal,
    /// `<state>/skills`.
    Managed,
    /// `skills.load.extraDirs`.
    Extra,
}

impl Source {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Workspace => "openclaw-workspace",
            Self::Project => "agents-skills-project",
            Self::Personal => "agents-skills-personal",
            Self::Managed => "openclaw-managed",
            Self::Extra => "openclaw-extra",
        }
    }

    /// Its folders may be links that lead elsewhere: the person put them there.
    const fn may_lead_out(self) -> bool {
        matches!(self, Self::Personal | Self::Managed)
    }
}

/// What a skill needs; also what of it is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Programs that must all be found.
    pub bins: Vec<String>,
    /// Programs of which one must be found.
    pub any_bins: Vec<String>,
    /// Variables that must be set.
    pub env: Vec<String>,
    /// Key paths of the configuration that must be true.
    pub config: Vec<String>,
    /// Systems it runs on: `linux`, `darwin`, `win32`.
    pub os: Vec<String>,
}

impl Needs {
    /// Nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A skill as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skill {
    /// Its name; the folder's when the file gives none.
    pub name: String,
    /// When to use it.
    pub description: String,
    /// Its `SKILL.md`.
    pub file: PathBuf,
    /// Where it was found.
    pub source: Source,
    /// Its key under `skills.entries`.
    pub key: String,
    /// For lists.
    pub emoji: Option<String>,
    /// Where people read about it.
    pub homepage: Option<String>,
    /// Needs but the system's are not looked at.
    pub always: bool,
    /// The variable that `skills.entries.<key>.apiKey` stands for.
    pub primary_env: Option<String>,
    /// People may call it by its name.
    pub user_invocable: bool,
    /// It stays out of the prompt.
    pub hidden: bool,
    /// What it needs.
    pub needs: Needs,
}

/// What the gates ask of the machine and the configuration.
pub struct World<'a> {
    /// `linux`, `darwin` or `win32`.
    pub os: &'a str,
    /// A program is found.
    pub has_bin: &'a dyn Fn(&str) -> bool,
    /// A variable is set, for the skill of this key.
    pub has_env: &'a dyn Fn(&Skill, &str) -> bool,
    /// A key path of the configuration is true.
    pub is_true: &'a dyn Fn(&str) -> bool,
}

impl Skill {
    /// What is missing here.
    pub fn missing(&self, world: &World<'_>) -> Needs {
        let os = &self.needs.os;
        let wrong_os = !os.is_empty() && !os.iter().any(|os| os == world.os);
        let mut missing =
            Needs { os: if wrong_os { os.clone() } else { Vec::new() }, ..Needs::default() };
        if self.always {
            return missing;
        }
        let without = |names: &[String], has: &dyn Fn(&str) -> bool| -> Vec<String> {
            names.iter().filter(|name| !has(name)).cloned().collect()
        };
        missing.bins = without(&self.needs.bins, world.has_bin);
        let none = without(&self.needs.any_bins, world.has_bin);
        if none.len() == self.needs.any_bins.len() {
            missing.any_bins = none;
        }
        missing.env = without(&self.needs.env, &|name| (world.has_env)(self, name));
        missing.config = without(&self.needs.config, world.is_true);
        missing
    }
}

/// What was read, kept between looks.
#[derive(Debug, Default)]
pub struct Catalog {
    read: BTreeMap<PathBuf, (Stat, Option<Skill>)>,
}

impl Catalog {
    /// The skills below these roots sorted by name; of one name, that of the first root.
    /// `outside` are directories that links in workspaces may lead into.
    pub fn look(
        &mut self,
        disk: &dyn Disk,
        roots: &[(Source, PathBuf)],
        outside: &[PathBuf],
    ) -> Vec<Skill> {
        let mut walk = Walk {
            disk,
            outside,
            old: &mut self.read,
            read: BTreeMap::new(),
            dirs: 0,
            found: Vec::new(),
        };
        for (source, root) in roots {
            if let Ok(real) = disk.canonical(root) {
                walk.folder(*source, root, &real, 0);
            }
        }
        let Walk { read, found, .. } = walk;
        self.read = read;
        let mut named = BTreeMap::new();
        for skill in found {
            named.entry(skill.name.clone()).or_insert(skill);
        }
        named.into_values().take(limits::SKILLS).collect()
    }
}

struct Walk<'a> {
    disk: &'a dyn Disk,
    outside: &'a [PathBuf],
    old: &'a mut BTreeMap<PathBuf, (Stat, Option<Skill>)>,
    read: BTreeMap<PathBuf, (Stat, Option<Skill>)>,
    dirs: usize,
    found: Vec<Skill>,
}

impl Walk<'_> {
    /// A folder below `root` (its real path): a skill, or a group of them.
    fn folder(&mut self, source: Source, dir: &Path, root: &Path, depth: usize) {
        self.dirs += 1;
        if self.dirs > limits::SKILL_DIRS {
            return;
        }
        let file = dir.join("SKILL.md");
        if depth > 0 && self.disk.kind(&file).is_ok() {
            let inside = match (self.disk.canonical(&file), self.disk.canonical(dir)) {
                (Ok(file), Ok(dir)) => file.starts_with(dir),
                _ => false,
            };
            if inside {
                self.skill(source, dir, file);
            }
            return;
        }
        if depth >= limits::SKILL_DEPTH {
            return;
        }
        let Ok((entries, _)) = self.disk.entries(dir, limits::SKILL_DIRS) else { return };
        for entry in entries {
            if entry.name.starts_with('.') || entry.name == "node_modules" {
                continue;
            }
            let path = dir.join(&entry.name);
            match entry.kind {
                Kind::Dir => self.folder(source, &path, root, depth + 1),
                Kind::Link => {
                    let Ok(real) = self.disk.canonical(&path) else { continue };
                    let allowed = source.may_lead_out()
                        || real.starts_with(root)
                        || self.outside.iter().any(|dir| real.starts_with(dir));
                    if allowed && self.disk.kind(&real).is_ok_and(|kind| kind == Kind::Dir) {
                        self.folder(source, &path, root, depth + 1);
                    }
                }
                Kind::File | Kind::Other => {}
            }
        }
    }

    fn skill(&mut self, source: Source, dir: &Path, file: PathBuf) {
        let Ok(stat) = self.disk.stat(&file) else { return };
        let known = self.old.remove(&file).filter(|(then, _)| *then == stat);
        let skill = match known {
            Some((_, skill)) => skill,
            None if stat.len == 0 => None,
            None => match self.disk.read_at(&file, 0, limits::SKILL_HEAD) {
                Ok(bytes) => parse(&String::from_utf8_lossy(&bytes), source, dir, &file),
                Err(_) => None,
            },
        };
        if skill.is_none() && !self.read.contains_key(&file) {
            log::debug!(target: "skills", "{} has no name and description", file.display());
        }
        self.found.extend(skill.clone());
        self.read.insert(file, (stat, skill));
    }
}

/// A skill from the text of its file; `None` without a description.
fn parse(text: &str, source: Source, dir: &Path, file: &Path) -> Option<Skill> {
    let (head, _) = yaml::head(text)?;
    let word = |key: &str| head.get(key).and_then(Value::as_str).map(one_line);
    let word = |key: &str| word(key).filter(|text| !text.is_empty());
    let folder = || dir.file_name().map(|name| one_line(&name.to_string_lossy()));
    let name = word("name").or_else(folder)?;
    let metadata = match head.get("metadata") {
        // Heads that quote their JSON.
        Some(Value::String(text)) => {
            crate::wire::json5::parse(text).map(|it| it.root.to_value()).unwrap_or_default()
        }
        other => other.cloned().unwrap_or_default(),
    };
    let own = ["openclaw", "clawdbot"].iter().find_map(|key| metadata.get(key)?.as_object());
    let empty = Map::new();
    let own = own.unwrap_or(&empty);
    let of_own = |key: &str| own.get(key).and_then(Value::as_str).map(one_line);
    let needs = |key: &str| own.get("requires").map(|it| texts(it.get(key))).unwrap_or_default();
    Some(Skill {
        description: word("description")?,
        file: file.to_path_buf(),
        source,
        key: of_own("skillKey").unwrap_or_else(|| name.clone()),
        emoji: of_own("emoji"),
        homepage: word("homepage").or_else(|| of_own("homepage")),
        always: own.get("always").is_some_and(is_true),
        primary_env: of_own("primaryEnv"),
        user_invocable: head.get("user-invocable").is_none_or(is_true),
        hidden: head.get("disable-model-invocation").is_some_and(is_true),
        needs: Needs {
            bins: needs("bins"),
            any_bins: needs("anyBins"),
            env: needs("env"),
            config: needs("config"),
            os: texts(own.get("os")),
        },
        name,
    })
}

/// At most [`limits::SKILL_TEXT`] characters on one line.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(limits::SKILL_TEXT).map(plain).collect()
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(one_line).take(32).collect()
}

fn is_true(value: &Value) -> bool {
    value == &Value::Bool(true) || value.as_str().is_some_and(|word| word == "true")
}

/// The list for the prompt, at most `max` characters: names and places first, then as much of
/// the descriptions as fits; what is left out is told.
pub fn render(skills: &[&Skill], max: usize) -> String {
    if skills.is_empty() || max == 0 {
        return String::new();
    }
    let whole = list(skills, usize::MAX, "");
    if whole.chars().count() <= max {
        return whole;
    }
    const NOTE: &str = "<!-- shortened: run `openclaw skills check` for the whole list -->\n";
    // The longest descriptions that fit, by halving.
    let (mut fits, mut over) = (0, limits::SKILL_TEXT);
    while over - fits > 1 {
        let half = fits.midpoint(over);
        match list(skills, half, NOTE).chars().count() <= max {
            true => fits = half,
            false => over = half,
        }
    }
    let mut shown = skills;
    loop {
        let text = list(shown, fits, NOTE);
        if text.chars().count() <= max {
            return text;
        }
        match shown.split_last() {
            Some((_, fewer)) if !fewer.is_empty() => shown = fewer,
            _ => return String::new(),
        }
    }
}

fn list(skills: &[&Skill], description: usize, note: &str) -> String {
    let mut out = String::from("<available_skills>\n");
    for skill in skills {
        let _ = write!(out, "<skill><name>{}</name>", escaped(&skill.name));
        if description > 0 {
            let mut text: String = skill.description.chars().take(description).collect();
            if text.len() < skill.description.len() {
                text.push('…');
            }
            let _ = write!(out, "<description>{}</description>", escaped(&text));
        }
        let file = one_line(&skill.file.to_string_lossy());
        let _ = writeln!(out, "<location>{}</location></skill>", escaped(&file));
    }
    out.push_str(note);
    out.push_str("</available_skills>\n");
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

/// The programs that skills ask for, without repetition.
pub fn bins(skills: &[Skill]) -> BTreeSet<&str> {
    let all = skills.iter().flat_map(|skill| skill.needs.bins.iter().chain(&skill.needs.any_bins));
    all.map(String::as_str).collect()
}

#[cfg(test)]
#[path = "skills_tests.rs"]
mod tests;
