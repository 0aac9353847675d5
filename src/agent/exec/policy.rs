//! Whether a command may run: the configuration, the host's approvals document, its allowlist.
//!
//! ```text
//!   security deny ------------------------------------------> Deny
//!   ask always ---------------------------------------------> Ask
//!   security full ------------------------------------------> Run
//!   security allowlist: every simple command on the list ---> Run
//!                       else ask on-miss -------------------> Ask,  ask off --> Deny
//! ```
//!
//! The document (`exec-approvals.json` of the state directory) can only make the configuration
//! stricter. One that cannot be read denies everything: an operator who wrote it counts on it.

use super::shell::{Words, glob};
use crate::config::{ExecAsk, ExecSecurity};
use crate::wire::hash::{hex, sha256};
use serde_json::{Map, Value, json};

/// What happens with a question that nobody answers.
pub use crate::config::ExecSecurity as Fallback;

/// The rules for one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The stricter of configuration, document and call.
    pub security: ExecSecurity,
    /// The stricter of configuration, document and call.
    pub ask: ExecAsk,
    /// `askFallback`.
    pub fallback: Fallback,
    /// Allowlist entries of the agent and of `*`.
    pub allowlist: Vec<Entry>,
}

/// One entry of an allowlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path glob, or a bare command name.
    pub pattern: String,
    /// Restricts the arguments.
    pub args: Option<String>,
}

/// A simple command and the program it would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Its words.
    pub words: Words,
    /// The program's path; `None` when `PATH` has none.
    pub path: Option<String>,
}

/// What follows for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It runs.
    Run,
    /// Somebody has to say so.
    Ask,
    /// It does not.
    Deny,
}

impl Policy {
    /// Of an agent, from the configuration and the document.
    pub fn of(document: &Value, agent: &str, security: ExecSecurity, ask: ExecAsk) -> Self {
        let agents = document.get("agents");
        let scopes = [
            agents.and_then(|agents| agents.get(agent)),
            agents.and_then(|agents| agents.get("*")),
            document.get("defaults"),
        ];
        let word = |name: &str| {
            scopes.iter().flatten().find_map(|scope| scope.get(name).and_then(Value::as_str))
        };
        let own_security = word("security").and_then(ExecSecurity::from_word);
        let own_ask = word("ask").and_then(ExecAsk::from_word);
        let entries = scopes.iter().take(2).flatten().filter_map(|scope| scope.get("allowlist"));
        let allowlist = entries.filter_map(Value::as_array).flatten().filter_map(|entry| {
            let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
            Some(Entry { pattern: text("pattern")?, args: text("argPattern") })
        });
        Self {
            security: own_security.map_or(security, |own| own.min(security)),
            ask: own_ask.map_or(ask, |own| own.min(ask)),
            fallback: word("askFallback").and_then(Fallback::from_word).unwrap_or(Fallback::Deny),
            allowlist: allowlist.collect(),
        }
    }

    /// What follows for a command; `None` for one that cannot be judged.
    pub fn verdict(&self, commands: Option<&[Resolved]>, cwd: &str, home: &str) -> Verdict {
        match (self.security, self.ask) {
            (ExecSecurity::Deny, _) => Verdict::Deny,
            (_, ExecAsk::Always) => Verdict::Ask,
            (ExecSecurity::Full, _) => Verdict::Run,
            (ExecSecurity::Allowlist, ask) => match (self.listed(commands, cwd, home), ask) {
                (true, _) => Verdict::Run,
                (false, ExecAsk::OnMiss) => Verdict::Ask,
                (false, _) => Verdict::Deny,
            },
        }
    }

    /// Whether a command runs though nobody answered.
    pub fn falls_back(&self, commands: Option<&[Resolved]>, cwd: &str, home: &str) -> bool {
        match self.fallback {
            Fallback::Deny => false,
            Fallback::Allowlist => self.listed(commands, cwd, home),
            Fallback::Full => {
                self.security == ExecSecurity::Full || self.listed(commands, cwd, home)
            }
        }
    }

    /// Every simple command is on the allowlist.
    fn listed(&self, commands: Option<&[Resolved]>, cwd: &str, home: &str) -> bool {
        commands.is_some_and(|commands| {
            !commands.is_empty()
                && commands.iter().all(|command| {
                    self.allowlist.iter().any(|entry| entry.covers(command, cwd, home))
                })
        })
    }
}

impl Entry {
    fn covers(&self, command: &Resolved, cwd: &str, home: &str) -> bool {
        let (Some(path), Some(program)) = (&command.path, command.words.first()) else {
            return false;
        };
        let program = if self.pattern.contains('/') {
            let pattern = match self.pattern.strip_prefix("~/") {
                Some(rest) => format!("{home}/{rest}"),
                None => self.pattern.clone(),
            };
            glob(&pattern, path)
        } else {
            // A bare name is a program found by PATH, never one named by its path.
            !program.contains('/') && glob(&self.pattern, program)
        };
        program
            && match &self.args {
                None => true,
                Some(args) => *args == exact_args(&command.words, cwd),
            }
    }
}

/// The `argPattern` of an entry made by allow-always: these arguments, in this directory. Regular
/// expressions of hand-written entries match nothing here.
fn exact_args(words: &Words, cwd: &str) -> String {
    let mut text = cwd.as_bytes().to_vec();
    for word in words.iter().skip(1) {
        text.push(0);
        text.extend_from_slice(word.as_bytes());
    }
    format!("sha256:argv:{}", hex(&sha256(&text)))
}

/// Adds what allow-always means to a document: each simple command, with its arguments, in this
/// directory. `ids` are for the entries.
pub fn allow_always(
    document: &mut Value,
    agent: &str,
    commands: &[Resolved],
    cwd: &str,
    ids: impl FnMut() -> String,
) {
    let mut ids = ids;
    for command in commands {
        let Some(path) = &command.path else { continue };
        let args = exact_args(&command.words, cwd);
        let list = allowlist(document, agent);
        let known = list.iter().any(|entry| {
            entry.get("pattern").and_then(Value::as_str) == Some(path)
                && entry.get("argPattern").and_then(Value::as_str) == Some(&args)
        });
        if !known {
            list.push(json!({
                "id": ids(), "pattern": path, "argPattern": args, "source": "allow-always",
                "lastResolvedPath": path,
            }));
        }
    }
}

/// The allowlist of an agent in a document that was checked; created when it is not there.
pub fn allowlist<'a>(document: &'a mut Value, agent: &str) -> &'a mut Vec<Value> {
    fn object(value: &mut Value) -> &mut Map<String, Value> {
        if !value.is_object() {
            *value = json!({});
        }
        match value {
            Value::Object(fields) => fields,
            _ => unreachable!("it was made an object"),
        }
    }
    let agents = object(object(document).entry("agents").or_insert_with(|| json!({})));
    let own = object(agents.entry(agent).or_insert_with(|| json!({})));
    let list = own.entry("allowlist").or_insert_with(|| json!([]));
    if !list.is_array() {
        *list = json!([]);
    }
    match list {
        Value::Array(list) => list,
        _ => unreachable!("it was made an array"),
    }
}

/// The document when there is no file.
pub fn empty() -> Value {
    json!({"version": 1, "defaults": {}, "agents": {}})
}

/// A document from its text.
///
/// # Errors
/// What is wrong, with its path in the document.
pub fn read(text: &[u8]) -> Result<Value, String> {
    let value: Value =
        serde_json::from_slice(text).map_err(|error| format!("it is not JSON: {error}"))?;
    check(&value)?;
    Ok(value)
}

/// Checks a document as the published schema does, and its words as well.
///
/// # Errors
/// What is wrong, with its path in the document.
pub fn check(document: &Value) -> Result<(), String> {
    let fields = object(document, "", &["version", "socket", "defaults", "agents"])?;
    if fields.get("version").and_then(Value::as_f64) != Some(1.0) {
        return Err("version: must be 1".to_owned());
    }
    if let Some(socket) = fields.get("socket") {
        for (name, value) in object(socket, "socket", &["path", "token"])? {
            text(value, &format!("socket.{name}"))?;
        }
    }
    if let Some(defaults) = fields.get("defaults") {
        object(defaults, "defaults", &SCOPE)?;
        scope(defaults, "defaults")?;
    }
    let Some(agents) = fields.get("agents") else { return Ok(()) };
    let Value::Object(agents) = agents else { return Err("agents: must be an object".to_owned()) };
    for (id, agent) in agents {
        let at = format!("agents.{}", crate::wire::text::escape_log(id, 64));
        let mut names = SCOPE.to_vec();
        names.extend(["allowlist", "mcpTools"]);
        let fields = object(agent, &at, &names)?;
        scope(agent, &at)?;
        let Some(list) = fields.get("allowlist") else { continue };
        let Value::Array(list) = list else {
            return Err(format!("{at}.allowlist: must be an array"));
        };
        for (n, entry) in list.iter().enumerate() {
            self::entry(entry, &format!("{at}.allowlist[{n}]"))?;
        }
    }
    Ok(())
}

const SCOPE: [&str; 4] = ["security", "ask", "askFallback", "autoAllowSkills"];

fn entry(entry: &Value, at: &str) -> Result<(), String> {
    let names = [
        "id",
        "pattern",
        "source",
        "commandText",
        "argPattern",
        "lastUsedAt",
        "lastUsedCommand",
        "lastResolvedPath",
    ];
    let fields = object(entry, at, &names)?;
    let pattern = fields.get("pattern").and_then(Value::as_str);
    if pattern.is_none_or(|pattern| pattern.trim().is_empty()) {
        return Err(format!("{at}.pattern: must be a path glob or a command name"));
    }
    for (name, value) in fields.iter().filter(|(name, _)| *name != "lastUsedAt") {
        text(value, &format!("{at}.{name}"))?;
    }
    Ok(())
}

fn scope(value: &Value, at: &str) -> Result<(), String> {
    let word = |name: &str, fits: &dyn Fn(&str) -> bool, words: &str| match value.get(name) {
        None => Ok(()),
        Some(value) if value.as_str().is_some_and(fits) => Ok(()),
        Some(_) => Err(format!("{at}.{name}: must be {words}")),
    };
    let security = |word: &str| ExecSecurity::from_word(word).is_some();
    word("security", &security, "deny, allowlist or full")?;
    word("ask", &|word| ExecAsk::from_word(word).is_some(), "off, on-miss or always")?;
    word("askFallback", &security, "deny, allowlist or full")
}

fn object<'a>(
    value: &'a Value,
    at: &str,
    names: &[&str],
) -> Result<&'a Map<String, Value>, String> {
    let dot = if at.is_empty() { "" } else { "." };
    let Value::Object(fields) = value else {
        let at = if at.is_empty() { "the document" } else { at };
        return Err(format!("{at}: must be an object"));
    };
    match fields.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => {
            let name = crate::wire::text::escape_log(name, 64);
            Err(format!("{at}{dot}{name}: is not known"))
        }
        None => Ok(fields),
    }
}

fn text(value: &Value, at: &str) -> Result<(), String> {
    if value.is_string() { Ok(()) } else { Err(format!("{at}: must be a string")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::exec::shell::simple_commands;

    fn resolved(text: &str) -> Option<Vec<Resolved>> {
        let commands = simple_commands(text)?;
        let path = |words: &Words| match words.first() {
            Some(program) if program.contains('/') => Some(program.clone()),
            Some(program) if program != "nowhere" => Some(format!("/usr/bin/{program}")),
            _ => None,
        };
        Some(commands.into_iter().map(|words| Resolved { path: path(&words), words }).collect())
    }

    fn verdict(policy: &Policy, text: &str) -> Verdict {
        policy.verdict(resolved(text).as_deref(), "/work", "/home/u")
    }

    fn policy(document: &Value) -> Policy {
        Policy::of(document, "main", ExecSecurity::Allowlist, ExecAsk::OnMiss)
    }

    #[test]
    fn every_part_of_a_command_must_be_listed() {
        let document = json!({"version": 1, "agents": {
            "main": {"allowlist": [{"pattern": "rg"}, {"pattern": "/usr/bin/g*"}]},
            "*": {"allowlist": [{"pattern": "~/bin/**"}]},
            "other": {"allowlist": [{"pattern": "**"}, {"pattern": "/**"}]},
        }});
        check(&document).expect("valid");
        let policy = policy(&document);
        for (text, want) in [
            ("rg x", Verdict::Run),
            ("rg x | grep y && git log", Verdict::Run),
            ("/home/u/bin/a/b", Verdict::Run),
            ("rg x | rm y", Verdict::Ask),
            ("rg x; rm y", Verdict::Ask),
            ("rg x && rm y", Verdict::Ask),
            ("rg x\nrm y", Verdict::Ask),
            ("rg x > y", Verdict::Ask),
            ("rg $(rm y)", Verdict::Ask),
            ("rg x & rm y", Verdict::Ask),
            ("./rg x", Verdict::Ask),
            ("/tmp/rg x", Verdict::Ask),
            ("nowhere", Verdict::Ask),
            ("rm rg", Verdict::Ask),
            ("A=b rg", Verdict::Ask),
        ] {
            assert_eq!(verdict(&policy, text), want, "{text}");
        }
        let quiet = Policy { ask: ExecAsk::Off, ..policy.clone() };
        assert_eq!(verdict(&quiet, "rm x"), Verdict::Deny);
        let always = Policy { ask: ExecAsk::Always, ..policy };
        assert_eq!(verdict(&always, "rg x"), Verdict::Ask);
    }

    #[test]
    fn the_document_only_tightens() {
        let open = json!({"version": 1, "defaults": {"security": "full", "ask": "off"}});
        let it = Policy::of(&open, "a", ExecSecurity::Deny, ExecAsk::Always);
        assert_eq!((it.security, it.ask), (ExecSecurity::Deny, ExecAsk::Always));
        let strict = json!({"version": 1, "defaults": {"security": "deny"},
            "agents": {"a": {"security": "allowlist", "ask": "always", "askFallback": "full"}}});
        let it = Policy::of(&strict, "a", ExecSecurity::Full, ExecAsk::Off);
        assert_eq!((it.security, it.ask), (ExecSecurity::Allowlist, ExecAsk::Always));
        assert!(!it.falls_back(resolved("ls").as_deref(), "/", "/"), "not on the list");
        let it = Policy::of(&strict, "b", ExecSecurity::Full, ExecAsk::Off);
        assert_eq!(it.verdict(None, "/", "/"), Verdict::Deny);
    }

    #[test]
    fn allow_always_means_these_arguments_here() {
        let mut document = empty();
        let commands = resolved("git log -1 | wc -l").expect("judged");
        allow_always(&mut document, "main", &commands, "/work", || "id".to_owned());
        allow_always(&mut document, "main", &commands, "/work", || "id".to_owned());
        check(&document).expect("still valid");
        assert_eq!(allowlist(&mut document, "main").len(), 2, "known ones are not added again");
        let policy = policy(&document);
        assert_eq!(verdict(&policy, "git log -1 | wc -l"), Verdict::Run);
        assert_eq!(verdict(&policy, "git log -2"), Verdict::Ask);
        let elsewhere = policy.verdict(resolved("git log -1").as_deref(), "/other", "/home/u");
        assert_eq!(elsewhere, Verdict::Ask);
    }

    #[test]
    fn bad_documents_are_told_by_path() {
        for (text, why) in [
            ("", "not JSON"),
            ("[]", "the document: must be an object"),
            ("{}", "version"),
            (r#"{"version": 1, "x": 1}"#, "x: is not known"),
            (r#"{"version": 1, "defaults": {"security": "open"}}"#, "defaults.security"),
            (r#"{"version": 1, "agents": {"a": {"ask": 1}}}"#, "agents.a.ask"),
            (r#"{"version": 1, "agents": {"a": {"allowlist": [{}]}}}"#, "allowlist[0].pattern"),
            (r#"{"version": 1, "agents": {"a": {"allowlist": {}}}}"#, "must be an array"),
        ] {
            let error = read(text.as_bytes()).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
