//! SecretRefs: from `{ source, provider, id }` in the file to the secret itself.
//!
//! ```text
//!   validate --Found--> [reference] grammar -> active? -> [provider] who is asked, trusted?
//!       env:  the environment handed in            file: Source::secret_file, once a load
//!       exec: Asked::known, filled by whoever can run a program; what is missing there is
//!             `pending` of the error, a [`Batch`] a provider, and the load is tried again
//!   -> the strings take the places of the references; the shown file keeps the references
//! ```
//!
//! The room starts no program and knows no clock: the command line runs the batches before the
//! loop, the gateway as children of the loop (`gateway::secrets`). A load is all or nothing: an
//! active reference that cannot be resolved fails it, an inactive one is a warning.

pub mod provider;
pub mod reference;
pub mod reply;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::Value;

use super::load::ErrorKind;
use super::paths::Paths;
use super::secret::Secret;
use super::table;
use super::tree::{Files, Place, Tree};
use crate::wire::json5::Step;
pub use provider::{ExecProvider, FactKind, Facts, FileProvider, Provider, Providers};
pub use reference::{RefSource, SecretRef};

/// What a program was asked and answered: value or reason, by provider, its definition and id.
/// A provider that is configured otherwise than it was asked has not been asked.
#[derive(Clone, Default)]
pub struct Resolved {
    answers: BTreeMap<(String, ExecProvider, String), Result<Secret, String>>,
}

impl Resolved {
    /// Takes in what a batch was answered; ids without an answer have none from now on.
    pub fn add(&mut self, batch: &Batch, mut found: BTreeMap<String, Result<Secret, String>>) {
        for id in &batch.ids {
            let none = || Err("it gave no answer".to_owned());
            let answer = found.remove(id).unwrap_or_else(none);
            self.answers.insert((batch.provider.clone(), batch.exec.clone(), id.clone()), answer);
        }
    }

    fn get(&self, key: &(String, ExecProvider, String)) -> Option<&Result<Secret, String>> {
        self.answers.get(key)
    }

    /// What a batch was answered for an id.
    pub fn of(&self, batch: &Batch, id: &str) -> Option<Result<Secret, String>> {
        self.get(&(batch.provider.clone(), batch.exec.clone(), id.to_owned())).cloned()
    }

    /// How many answers there are.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// True when nobody was asked.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }
}

/// One question to one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its name in `secrets.providers`.
    pub provider: String,
    /// Its definition.
    pub exec: ExecProvider,
    /// What is started: `exec.command`, or what it points to. It was found trustworthy.
    pub program: PathBuf,
    /// What it is asked for, each once.
    pub ids: Vec<String>,
}

/// How much must be resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Every active reference: a gateway is about to run with it.
    Active,
    /// What a command shows to a gateway: `gateway.auth.*` and `gateway.remote.*`, by programs
    /// too; the rest as far as it comes by itself. Nothing fails.
    Client,
    /// Every active reference, programs asked; but nothing fails.
    Everything,
    /// As far as it comes by itself, no program is asked. Nothing fails.
    Look,
    /// Every active reference but those that need a program; those programs must be such as may
    /// be trusted.
    Check,
}

/// How a load is to resolve references.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// What programs have answered.
    pub known: &'a Resolved,
    /// What must be there.
    pub need: Need,
}

/// A reference of a configuration in force.
#[derive(Debug, Clone)]
pub struct BoundRef {
    /// Where it stands, for people.
    pub path: String,
    /// Where it stands.
    pub steps: Vec<Step>,
    /// Its row in the key table.
    pub pattern: &'static str,
    /// Who was asked, and by which name.
    pub source: RefSource,
    /// Name in `secrets.providers`.
    pub provider: String,
    /// Why nobody needs it, if so.
    pub inactive: Option<&'static str>,
    /// What it stands for.
    pub value: Option<Secret>,
    /// Why it stands for nothing.
    pub why: Option<Rc<str>>,
}

/// A reference as validation meets it.
pub(super) struct Found {
    pub(super) steps: Vec<Step>,
    pub(super) place: Place,
    pub(super) reference: SecretRef,
}

/// What came of all references.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) bound: Vec<BoundRef>,
    pub(super) pending: Vec<Batch>,
}

/// What a reference may be resolved from.
pub(super) struct World<'a> {
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) paths: &'a Paths,
    pub(super) asked: Asked<'a>,
}

enum Answer {
    Secret(Secret),
    /// Not to be had, and why.
    Fault(String),
    /// A program has to be asked first.
    Pending(Box<Batch>),
    /// Not asked for now.
    Unasked,
}

/// Resolves all of them; what is wrong lands in `files`.
pub(super) fn resolve(
    files: &mut Files<'_>,
    root: &Tree,
    found: Vec<Found>,
    world: &World<'_>,
) -> Outcome {
    let section = root.get("secrets").map(Tree::to_value).unwrap_or_default();
    let providers = Providers::of(&section, world.env, world.paths);
    let mut texts: BTreeMap<PathBuf, Result<String, String>> = BTreeMap::new();
    let mut outcome = Outcome::default();
    if world.asked.need == Need::Check {
        check_programs(files, root, &providers);
    }
    for Found { steps, place, reference } in found {
        let pattern = table::lookup(&steps).map_or("", |key| key.pattern);
        let inactive = inactive(root, &steps, pattern);
        let (name, answer) = match providers.find(reference.source, reference.provider.as_deref()) {
            Err(what) => (String::new(), Answer::Fault(what)),
            Ok((name, provider)) => {
                let one = One { name: &name, reference: &reference, pattern, inactive };
                let answer = one.ask(files, &provider, &mut texts, world);
                (name, answer)
            }
        };
        let (mut value, mut why) = (None, None);
        match answer {
            Answer::Secret(secret) => value = Some(secret),
            Answer::Unasked => {}
            Answer::Pending(batch) => pending(&mut outcome.pending, *batch),
            Answer::Fault(what) => {
                let fails = matches!(world.asked.need, Need::Active | Need::Check);
                let strict = fails && inactive.is_none();
                why = Some(Rc::from(what.as_str()));
                match inactive {
                    _ if strict => files.error(ErrorKind::Reference, place, &steps, what),
                    Some(reason) => files.warn(
                        place,
                        &steps,
                        format!(
                            "SECRETS_REF_IGNORED_INACTIVE_SURFACE: {what}; not needed, for {reason}"
                        ),
                    ),
                    None => files.warn(place, &steps, what),
                }
            }
        }
        outcome.bound.push(BoundRef {
            path: table::shown(&steps),
            steps,
            pattern,
            source: reference.source,
            provider: name,
            inactive,
            value,
            why,
        });
    }
    if !files.errors.is_empty() {
        // Asking programs would not help.
        outcome.pending.clear();
    } else {
        for batch in &outcome.pending {
            let what = format!("provider \"{}\" has not been asked yet", batch.provider);
            files.error(ErrorKind::Reference, Place::default(), &[], what);
        }
    }
    outcome
}

/// Puts a question to those that are put together: one child a provider.
fn pending(batches: &mut Vec<Batch>, batch: Batch) {
    let same = |known: &&mut Batch| known.provider == batch.provider && known.exec == batch.exec;
    match batches.iter_mut().find(same) {
        Some(known) => {
            known.ids.extend(batch.ids);
            known.ids.sort();
            known.ids.dedup();
        }
        None => batches.push(batch),
    }
}

fn check_programs(files: &mut Files<'_>, root: &Tree, providers: &Providers) {
    for (name, exec) in providers.programs() {
        let place = root.get("secrets").and_then(|s| s.get("providers")?.get(name));
        let place = place.map_or(Place::default(), |entry| entry.place);
        if let Err(why) = exec.program(files.source()) {
            let path = ["secrets", "providers", name, "command"];
            let path = path.map(|key| Step::Key(key.to_owned()));
            files.error(ErrorKind::Invalid, place, &path, why);
        }
    }
}

/// One reference and whom it asks.
struct One<'a> {
    name: &'a str,
    reference: &'a SecretRef,
    pattern: &'static str,
    inactive: Option<&'static str>,
}

impl One<'_> {
    fn ask(
        &self,
        files: &Files<'_>,
        provider: &Provider,
        texts: &mut BTreeMap<PathBuf, Result<String, String>>,
        world: &World<'_>,
    ) -> Answer {
        let id = &self.reference.id;
        match provider {
            Provider::Env(allow) => {
                if allow.as_ref().is_some_and(|allow| !allow.contains(id)) {
                    let what = format!(
                        "SecretRef: secrets.providers.{}.allowlist does not list {id}",
                        self.name
                    );
                    return Answer::Fault(what);
                }
                match world.env.get(id).filter(|value| !value.is_empty()) {
                    Some(value) => match reply::usable(value) {
                        Ok(secret) => Answer::Secret(secret),
                        Err(why) => self.fault(&why),
                    },
                    None => Answer::Fault(format!(
                        "SecretRef: environment variable {id} is not set or empty"
                    )),
                }
            }
            // An inactive reference touches neither file nor program.
            Provider::File(_) | Provider::Exec(_) if self.inactive.is_some() => Answer::Unasked,
            Provider::File(file) => {
                if file.single != (id == reference::SINGLE) {
                    let what = if file.single {
                        "its mode is singleValue, so the id must be \"value\""
                    } else {
                        "its mode is json, so the id must be a JSON pointer"
                    };
                    return self.fault(what);
                }
                let text =
                    texts.entry(file.path.clone()).or_insert_with(|| file.text(files.source()));
                match text.as_ref().map_err(Clone::clone).and_then(|text| in_file(text, file, id)) {
                    Ok(secret) => Answer::Secret(secret),
                    Err(why) => self.fault(&why),
                }
            }
            Provider::Exec(exec) => self.ask_program(files, exec, world),
            Provider::Store => {
                self.fault("this gateway has no secret store: use source env, file or exec")
            }
        }
    }

    fn ask_program(&self, files: &Files<'_>, exec: &ExecProvider, world: &World<'_>) -> Answer {
        let asks = match world.asked.need {
            Need::Active | Need::Everything => true,
            Need::Client => {
                self.pattern.starts_with("gateway.auth.")
                    || self.pattern.starts_with("gateway.remote.")
            }
            Need::Look | Need::Check => false,
        };
        let id = &self.reference.id;
        match world.asked.known.get(&(self.name.to_owned(), exec.clone(), id.clone())) {
            Some(Ok(secret)) => Answer::Secret(secret.clone()),
            Some(Err(why)) => self.fault(why),
            None if !asks => Answer::Unasked,
            None => match exec.program(files.source()) {
                Err(why) => self.fault(&why),
                Ok(program) => Answer::Pending(Box::new(Batch {
                    provider: self.name.to_owned(),
                    exec: exec.clone(),
                    program,
                    ids: vec![id.clone()],
                })),
            },
        }
    }

    fn fault(&self, why: &str) -> Answer {
        let source = self.reference.source.as_str();
        let what = format!(
            "SecretRef: provider \"{}\" ({source}): {why}; check it with: openclaw secrets audit{}",
            self.name,
            if self.reference.source == RefSource::Exec { " --allow-exec" } else { "" }
        );
        Answer::Fault(what)
    }
}

fn in_file(text: &str, file: &FileProvider, id: &str) -> Result<Secret, String> {
    if file.single {
        let line = text.strip_suffix('\n').unwrap_or(text);
        return reply::usable(line.strip_suffix('\r').unwrap_or(line));
    }
    let shown = file.path.display();
    let document: Value =
        serde_json::from_str(text).map_err(|_| format!("{shown} is not a JSON document"))?;
    let found = reference::at_pointer(&document, id).map_err(|why| format!("{shown}: {why}"))?;
    reply::usable(&found)
}

/// Why nobody needs the secret at a path, if so: the surface that would use it is switched off.
fn inactive(root: &Tree, steps: &[Step], pattern: &str) -> Option<&'static str> {
    let at =
        |path: &[&str]| path.iter().try_fold(root, |tree, key| tree.get(key)).map(Tree::to_value);
    let off = |path: &[&str]| at(path) == Some(Value::Bool(false));
    let auth = at(&["gateway", "auth", "mode"]);
    let auth = auth.as_ref().and_then(Value::as_str);
    let second = match steps.get(2) {
        Some(Step::Key(key)) => key.as_str(),
        _ => "",
    };
    match pattern {
        "gateway.auth.token" if auth.is_some_and(|mode| mode != "token") => {
            Some("gateway.auth.mode does not use the token")
        }
        "gateway.auth.password" if matches!(auth, Some("token" | "none")) => {
            Some("gateway.auth.mode does not use the password")
        }
        "gateway.remote.token" | "gateway.remote.password"
            if at(&["gateway", "remote", "url"]).is_none() =>
        {
            Some("gateway.remote.url is not set")
        }
        "hooks.token" if at(&["hooks", "enabled"]) != Some(Value::Bool(true)) => {
            Some("hooks.enabled is not true")
        }
        _ if pattern.starts_with("skills.entries.")
            && off(&["skills", "entries", second, "enabled"]) =>
        {
            Some("the skill is switched off")
        }
        _ if pattern.starts_with("memory.search.") && off(&["memory", "search", "enabled"]) => {
            Some("memory.search is switched off")
        }
        _ if pattern.starts_with("tools.web.fetch.")
            && off(&["tools", "web", "fetch", "enabled"]) =>
        {
            Some("tools.web.fetch is switched off")
        }
        _ => None,
    }
}

/// Puts the secrets in the places of their references; what has none becomes `null`.
pub(super) fn put(value: &mut Value, bound: &[BoundRef]) {
    for one in bound {
        let mut at = Some(&mut *value);
        for step in &one.steps {
            at = at.and_then(|value| match step {
                Step::Key(key) => value.get_mut(key),
                Step::Index(index) => value.get_mut(index),
            });
        }
        if let Some(place) = at {
            let text = one.value.as_ref().map(|secret| secret.expose().to_owned());
            *place = text.map_or(Value::Null, Value::String);
        }
    }
}

#[cfg(test)]
#[path = "secrets_tests.rs"]
mod tests;
