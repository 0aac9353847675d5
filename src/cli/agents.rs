//! `openclaw agents ...` and `openclaw skills ...`: the agents of the configuration file, and
//! what skills they find here. They look at files and need no gateway; only `agents delete`
//! asks a running one, since that writes the sessions which go away.

use std::io::{self, BufRead, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::client::{CLI, Session, Target, Trouble};
use super::page::{Page, Tone};
use super::table::Args;
use super::{Failed, next, out, place};
use crate::config::edit_agents::{self, Change};
use crate::config::{Config, Paths};
use crate::gateway;
use crate::store::RealDisk;

/// The configuration, and where it stands.
struct Here {
    paths: Paths,
    config: Rc<Config>,
}

impl Here {
    fn find(args: &Args) -> Result<Self, Failed> {
        let env = place::environment();
        let paths = place::paths(&env, args)?;
        let loaded = place::load(&place::Files::new(), &env, &paths)
            .map_err(|error| Failed::config(error.to_string(), "openclaw config validate"))?;
        Ok(Self { paths, config: loaded.config })
    }

    fn known(&self, id: &str) -> Result<String, Failed> {
        let known = id.trim().to_ascii_lowercase();
        if self.config.agents.has(&known) {
            return Ok(known);
        }
        let what = format!("agent \"{}\" not found", out::foreign(id));
        Err(Failed::new(what, "openclaw agents list"))
    }

    fn workspace(&self, id: &str) -> PathBuf {
        self.config.agents.workspace(id, &self.paths.state_dir)
    }

    fn agent_dir(&self, id: &str) -> PathBuf {
        self.paths.state_dir.join("agents").join(id).join("agent")
    }

    /// Writes the file with an edit that concerns one agent.
    fn write(&self, id: &str, text: String) -> Result<Self, Failed> {
        let failed = |why: String| Failed::new(why, "openclaw config validate");
        let state_dir = &self.paths.state_dir;
        let config = super::config_edit::rewrite(&self.paths, &self.config, &text, |after| {
            edit_agents::settle(&self.config.agents, after, id, state_dir).map_err(failed)
        })?;
        Ok(Self { paths: self.paths.clone(), config })
    }
}

const TAKEN_OVER: &str = "A running gateway takes it over with: openclaw gateway restart";

/// `openclaw agents [list]`.
///
/// # Errors
/// When the configuration cannot be read.
pub fn list(args: &Args) -> Result<u8, Failed> {
    let here = Here::find(args)?;
    let agents = &here.config.agents;
    let rows: Vec<Value> = agents.agent_ids().into_iter().map(|id| row(&here, id)).collect();
    if args.has("json") {
        out::json(&Value::Array(rows));
        return Ok(0);
    }
    let mut page = Page::new(args);
    for row in &rows {
        let word = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
        let default = if row["isDefault"] == true { " (default)" } else { "" };
        let name = match (word("identityEmoji"), word("identityName"), word("name")) {
            ("", "", "") => String::new(),
            (emoji, "", name) | (emoji, name, _) => {
                format!("  {}", format!("{emoji} {name}").trim())
            }
        };
        let line =
            format!("{}{default}{name}  {}  {}", word("id"), word("model"), word("workspace"));
        page.line(&line, Tone::Plain);
    }
    page.print();
    Ok(0)
}

fn row(here: &Here, id: &str) -> Value {
    let agents = &here.config.agents;
    let model = agents.model_of(id).primary.clone();
    let identity = gateway::agent_identity(&RealDisk, &here.config, &here.paths.state_dir, id);
    let bindings = here.config.source.resolved.get("bindings").and_then(Value::as_array);
    let bound = |binding: &&Value| binding.get("agentId").and_then(Value::as_str) == Some(id);
    let mut row = json!({
        "id": id, "workspace": here.workspace(id), "agentDir": here.agent_dir(id),
        "model": model.unwrap_or_else(|| "local/echo".to_owned()),
        "isDefault": id == agents.default_agent(),
        "bindings": bindings.into_iter().flatten().filter(bound).count(),
    });
    let name = agents.agent(id).and_then(|agent| agent.name.clone());
    let parts =
        [("name", name), ("identityName", identity.name), ("identityEmoji", identity.emoji)];
    for (key, part) in parts {
        if let Some(part) = part {
            row[key] = json!(part);
        }
    }
    row
}

/// `openclaw agents add <name>`.
///
/// # Errors
/// When the name or the result is not valid, or the file cannot be written.
pub fn add(args: &Args) -> Result<u8, Failed> {
    let here = Here::find(args)?;
    let name = args.operands.first().map(|name| name.trim()).unwrap_or_default();
    let Some(id) = edit_agents::id_of(name) else {
        let what = "the name needs a letter or digit to make an id of";
        return Err(Failed::new(what, "openclaw agents add work"));
    };
    let workspace = args.value("workspace").map(|dir| absolute(&here.paths, dir)).transpose()?;
    let change = Change {
        name: Some(name.to_owned()).filter(|name| *name != id),
        workspace,
        model: args.value("model").map(str::to_owned),
        ..Change::default()
    };
    let text = edit_agents::add(&here.config, &id, change)
        .map_err(|why| Failed::new(why, "openclaw agents list"))?;
    let after = here.write(&id, text)?;
    let workspace = after.workspace(&id);
    let seeded = gateway::seed_agent(&mut RealDisk, &after.config, &after.paths.state_dir, &id);
    seeded.map_err(|error| {
        let what =
            format!("the agent is added, but not its files in {}: {error}", workspace.display());
        Failed::new(what, "check the directory's owner and free space")
    })?;
    if args.has("json") {
        let mut summary = json!({"agentId": id, "name": name, "workspace": workspace,
            "agentDir": after.agent_dir(&id)});
        if let Some(model) = args.value("model") {
            summary["model"] = json!(model);
        }
        out::json(&summary);
        return Ok(0);
    }
    out::line(&format!("agent {id} added, its files in {}", workspace.display()));
    out::line(TAKEN_OVER);
    Ok(0)
}

/// An absolute path, with `~` left for the file.
fn absolute(paths: &Paths, dir: &str) -> Result<String, Failed> {
    if dir.starts_with('~') {
        return Ok(dir.to_owned());
    }
    let path = std::path::absolute(paths.expand(dir))
        .map_err(|error| Failed::new(format!("--workspace {dir}: {error}"), ""))?;
    Ok(path.to_string_lossy().into_owned())
}

/// `openclaw agents set-identity`.
///
/// # Errors
/// When no agent or nothing to set is named, or the file cannot be written.
pub fn set_identity(args: &Args) -> Result<u8, Failed> {
    let here = Here::find(args)?;
    let dir = args.value("workspace").map(|dir| absolute(&here.paths, dir)).transpose()?;
    let dir = dir.map(|dir| here.paths.expand(&dir));
    let id = match (args.value("agent"), &dir) {
        (Some(id), _) => here.known(id)?,
        (None, Some(dir)) => by_workspace(&here, dir)?,
        (None, None) => here.config.agents.default_agent().to_owned(),
    };
    let part = |flag| args.value(flag).map(str::to_owned);
    let mut change = Change {
        identity_name: part("name"),
        theme: part("theme"),
        emoji: part("emoji"),
        avatar: part("avatar"),
        ..Change::default()
    };
    let file = args.value("identity-file").map(PathBuf::from);
    let mut from = None;
    if args.has("from-identity") || file.is_some() || change == Change::default() {
        let path = file.unwrap_or_else(|| {
            dir.clone().unwrap_or_else(|| here.workspace(&id)).join("IDENTITY.md")
        });
        let read = gateway::identity_file(&RealDisk, &path);
        change.identity_name = change.identity_name.or(read.name);
        change.theme = change.theme.or(read.theme);
        change.emoji = change.emoji.or(read.emoji);
        change.avatar = change.avatar.or(read.avatar);
        if change == Change::default() {
            let what = format!("{} says nothing of an identity", path.display());
            return Err(Failed::new(what, "openclaw agents set-identity --name \"...\""));
        }
        from = Some(path);
    }
    let text = edit_agents::update(&here.config, &id, change)
        .map_err(|why| Failed::new(why, "openclaw agents list"))?;
    let after = here.write(&id, text)?;
    if args.has("json") {
        let identity = after.config.agents.agent(&id).map(|agent| agent.identity.clone());
        let identity = identity.unwrap_or_default();
        let stored = after.config.agents.agent(&id).and_then(|agent| agent.workspace.clone());
        let dir = dir.or_else(|| from.as_ref()?.parent().map(Path::to_path_buf));
        out::json(&json!({
            "agentId": id, "identityFile": from, "workspace": dir, "storedWorkspace": stored,
            "identity": {"name": identity.name, "theme": identity.theme,
                "emoji": identity.emoji, "avatar": identity.avatar},
        }));
        return Ok(0);
    }
    out::line(&format!("identity of agent {id} written to {}", after.paths.config_path.display()));
    out::line(TAKEN_OVER);
    Ok(0)
}

fn by_workspace(here: &Here, dir: &Path) -> Result<String, Failed> {
    let ids = here.config.agents.agent_ids();
    let found: Vec<&str> = ids.into_iter().filter(|id| here.workspace(id) == dir).collect();
    match found.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => {
            let what = format!("no agent has the workspace {}", dir.display());
            Err(Failed::new(what, "openclaw agents list"))
        }
        _ => {
            let what = format!("{} have the workspace {}", found.join(", "), dir.display());
            Err(Failed::new(what, "name one with --agent"))
        }
    }
}

/// `openclaw agents delete <id>`: by the running gateway, else here.
///
/// # Errors
/// When it must stay, nobody confirmed, or the file cannot be written.
pub fn delete(args: &Args) -> Result<u8, Failed> {
    let here = Here::find(args)?;
    let id = here.known(args.operands.first().map(String::as_str).unwrap_or_default())?;
    if !args.has("force") && !confirmed(&id)? {
        return Err(Failed::new(format!("agent {id} stays"), ""));
    }
    let workspace = here.workspace(&id);
    let target = Target::find(args)?;
    let timeout = Duration::from_secs(10);
    let asked = Session::open(&target, CLI, &["operator.admin"], timeout).and_then(|mut it| {
        let answer = it.request("agents.delete", Some(json!({"agentId": id})));
        it.close();
        answer
    });
    let mut summary = match asked {
        Ok(answer) => answer,
        Err(Trouble::NoGateway(_)) => {
            let (text, bindings) = edit_agents::delete(&here.config, &id)
                .map_err(|why| Failed::new(why, "openclaw agents list"))?;
            let after = here.write(&id, text)?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let (removed, failed) = gateway::trash_agent(
                &mut RealDisk,
                &after.config,
                &here.paths.state_dir,
                (&id, &workspace),
                u64::try_from(now.as_millis()).unwrap_or_default(),
            );
            json!({"agentId": id, "removedBindings": bindings, "removed": removed,
                "failed": failed})
        }
        Err(trouble) => return target.fail(args, &trouble),
    };
    if args.has("json") {
        summary["workspace"] = json!(workspace);
        summary["agentDir"] = json!(here.agent_dir(&id));
        out::json(&summary);
        return Ok(0);
    }
    out::line(&format!("agent {id} deleted"));
    let rows = |key: &str| summary.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let word = |row: &Value, key: &str| {
        out::foreign(row.get(key).and_then(Value::as_str).unwrap_or_default())
    };
    for row in rows("removed").iter().filter(|row| row["method"] == "trash") {
        let trash = here.paths.state_dir.join("trash");
        out::line(&format!("  {} moved to {}", word(row, "path"), trash.display()));
    }
    for row in rows("failed") {
        out::line(&format!("  {} stays: {}", word(&row, "path"), word(&row, "reason")));
    }
    Ok(0)
}

fn confirmed(id: &str) -> Result<bool, Failed> {
    if !io::stdin().is_terminal() {
        let what = "deleting an agent needs a yes, and nobody is here to give it";
        return Err(Failed::new(what, format!("openclaw agents delete {id} --force")));
    }
    out::text(&format!("Delete agent {id} and move its files to the trash? [y/N] "));
    let _ = io::stdout().flush();
    let mut answer = String::new();
    let _ = io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn skills_of(args: &Args) -> Result<Value, Failed> {
    let here = Here::find(args)?;
    let id = match args.value("agent") {
        Some(id) => here.known(id)?,
        None => here.config.agents.default_agent().to_owned(),
    };
    let os = std::env::consts::OS;
    Ok(gateway::skills_report(&RealDisk, &here.config, &here.paths.state_dir, os, &id))
}

fn rows_of(report: &Value) -> Vec<Value> {
    report.get("skills").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn word<'a>(row: &'a Value, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// What keeps a skill from being shown, in words; empty when nothing does.
fn why_not(row: &Value) -> String {
    let mut why = Vec::new();
    if row["disabled"] == true {
        why.push("switched off by skills.entries".to_owned());
    }
    if row["blockedByAgentFilter"] == true {
        why.push("not on the agent's list".to_owned());
    }
    let parts = [
        ("os", "system"),
        ("bins", "program"),
        ("anyBins", "one program of"),
        ("env", "variable"),
        ("config", "setting"),
    ];
    for (key, what) in parts {
        let missing = row.pointer(&format!("/missing/{key}")).and_then(Value::as_array);
        let names: Vec<&str> = missing.into_iter().flatten().filter_map(Value::as_str).collect();
        if !names.is_empty() {
            why.push(format!("needs {what} {}", names.join(", ")));
        }
    }
    why.join("; ")
}

/// `openclaw skills [list]`.
///
/// # Errors
/// When the configuration cannot be read.
pub fn skills_list(args: &Args) -> Result<u8, Failed> {
    let mut report = skills_of(args)?;
    let mut rows = rows_of(&report);
    if args.has("eligible") {
        rows.retain(|row| row["modelVisible"] == true);
    }
    if args.has("json") {
        report["skills"] = json!(rows);
        out::json(&report);
        return Ok(0);
    }
    for row in &rows {
        let mark = if row["modelVisible"] == true { "+" } else { "-" };
        let line = format!("{mark} {}  {}", word(row, "name"), word(row, "description"));
        out::line(&out::foreign(&line));
    }
    if rows.is_empty() {
        out::line(&format!(
            "no skills; put folders with a SKILL.md into {}/skills",
            out::foreign(word(&report, "workspaceDir"))
        ));
    }
    Ok(0)
}

/// `openclaw skills info <name>`.
///
/// # Errors
/// When there is no such skill.
pub fn skills_info(args: &Args) -> Result<u8, Failed> {
    let name = args.operands.first().map(String::as_str).unwrap_or_default();
    let rows = rows_of(&skills_of(args)?);
    let Some(row) = rows.iter().find(|row| word(row, "name") == name) else {
        let what = format!("there is no skill \"{}\"", out::foreign(name));
        return Err(Failed::new(what, "openclaw skills list"));
    };
    if args.has("json") {
        out::json(row);
        return Ok(0);
    }
    let why = why_not(row);
    let state = if why.is_empty() { "ready".to_owned() } else { why };
    for line in [
        format!("{}: {}", word(row, "name"), word(row, "description")),
        format!("  file    {}", word(row, "filePath")),
        format!("  source  {}", word(row, "source")),
        format!("  state   {state}"),
    ] {
        out::line(&out::foreign(&line));
    }
    Ok(0)
}

/// `openclaw skills check`.
///
/// # Errors
/// When the configuration cannot be read.
pub fn skills_check(args: &Args) -> Result<u8, Failed> {
    let report = skills_of(args)?;
    let rows = rows_of(&report);
    if args.has("json") {
        out::json(&report);
        return Ok(0);
    }
    let ready = rows.iter().filter(|row| row["modelVisible"] == true).count();
    out::line(&format!("{} skills, {ready} of them shown to the model", rows.len()));
    for row in rows.iter().filter(|row| !why_not(row).is_empty()) {
        out::line(&out::foreign(&format!("  {}: {}", word(row, "name"), why_not(row))));
    }
    if rows.is_empty() {
        out::line(&format!("Next: {}", next::HELP));
    }
    Ok(0)
}
