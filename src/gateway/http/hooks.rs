//! Hooks at the door: their own token, failed attempts counted, actions carried out.
//!
//! A run that a hook started belongs to nobody: a client that leaves does not end it. Its id is
//! made from the idempotency key, so that a repetition finds the run itself, going on or over,
//! also after a restart.

use super::{Doing, Http};
use crate::agent::run::Outcome;
use crate::api::hooks::{self, Action, Agent, Wake};
use crate::api::{Reply, external, openai};
use crate::auth::Verdict;
use crate::auth::limiter::Shown;
use crate::auth::source::Source;
use crate::config::{AuthMode, Hooks};
use crate::driver::{ConnId, Effects};
use crate::gateway::Gateway;
use crate::gateway::channels::{Delivered, Sending, Wanted};
use crate::gateway::runs::{Active, Cause, NewRun, Repeated, digest, model_exists};
use crate::sessions::key;
use crate::wire::hash::{constant_time_eq_digest, sha256};
use crate::wire::http::head::{Head, Method};
use crate::wire::text::{rfc3339_ms, uuid_v4};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A run that a hook started, until it is over.
struct Running {
    name: String,
    deliver: bool,
    later: bool,
    /// Whose answers wait for its end.
    waiting: Vec<ConnId>,
}

/// Every run that a hook started and that is not over.
#[derive(Default)]
pub(in crate::gateway) struct Started {
    runs: BTreeMap<String, Running>,
}

/// `completion` of `/hooks/agent`.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::gateway) struct Completion {
    status: &'static str,
    reply_disposition: &'static str,
    delivered: bool,
    delivery_attempted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_suppression_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_error: Option<&'static str>,
}

impl Completion {
    /// With what became of the delivery.
    fn with(self, result: &Delivered) -> Self {
        match result {
            Delivered::Sent(_) => Self { delivered: true, delivery_attempted: true, ..self },
            Delivered::Nothing => {
                let why = if self.reply_disposition == "empty" { "empty" } else { "silent" };
                Self { delivery_suppression_reason: Some(why), ..self }
            }
            Delivered::Waits => Self { delivery_attempted: true, ..self },
            Delivered::Failed(..) => {
                let delivery_error = Some("delivery-failed");
                Self { delivery_attempted: true, delivery_error, ..self }
            }
            Delivered::Unaddressed(_) => Self { delivery_error: Some("delivery-failed"), ..self },
        }
    }

    fn of(ok: bool, text: &str) -> Self {
        let reply_disposition = match text.trim() {
            "" => "empty",
            "NO_REPLY" | "HEARTBEAT_OK" => "silent",
            _ => "visible",
        };
        let status = if ok { "ok" } else { "error" };
        Self {
            status,
            reply_disposition,
            delivered: false,
            delivery_attempted: false,
            delivery_suppression_reason: None,
            delivery_error: None,
        }
    }
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Done<'a> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_ids: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dispatched: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_outcome: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion: Option<Completion>,
}

fn reply(done: &Done<'_>) -> Reply {
    Reply::raw(200, serde_json::to_vec(done).unwrap_or_default())
}

/// What one action came to.
enum Did {
    Woke { later: bool, outcome: &'static str },
    Started { run: String },
}

impl Gateway {
    /// The head of a hook's request: `None` when its body may be read.
    pub(super) fn hook_head(&mut self, source: &Source, name: &str, head: &Head) -> Option<Reply> {
        let config = self.config.clone();
        let known = &config.hooks;
        if !known.enabled {
            return Some(openai::disabled("hooks.enabled"));
        }
        if hooks::has_query_token(head) {
            let what = "the hook token goes into a header: Authorization: Bearer <token>, or \
                        x-openclaw-token; never into the address";
            return Some(Reply::text(400, what));
        }
        if head.method != Method::Post {
            return Some(Reply::text(405, "Method Not Allowed").with("Allow", "POST"));
        }
        let shown = hooks::token(head);
        if let Err(wait_ms) = self.may_guess(source, Shown::Hook, shown.is_some()) {
            let seconds = wait_ms.div_ceil(1000).to_string();
            return Some(Reply::text(429, "Too Many Requests").with("Retry-After", seconds));
        }
        let holds = self.hook_token_holds(known, shown);
        self.guessed(source, Shown::Hook, shown.map(|_| holds));
        if !holds {
            return Some(Reply::text(401, "Unauthorized"));
        }
        name.is_empty().then(|| Reply::text(404, "Not Found"))
    }

    /// The hook token, which is never the gateway's own secret.
    fn hook_token_holds(&self, known: &Hooks, shown: Option<&str>) -> bool {
        let (Some(token), Some(shown)) = (&known.token, shown) else { return false };
        let own = self.credentials.mode != AuthMode::None
            && self.credentials.check([token.expose()]) == Verdict::Granted;
        if own {
            log::error!(target: "hooks",
                "hooks.token is the gateway's own secret, so no hook is let in: set another");
        }
        !own && constant_time_eq_digest(token.expose().as_bytes(), shown.as_bytes())
    }

    /// Carries out what a request wants; no reply when it waits for a run.
    pub(super) fn hook_body(
        &mut self,
        id: ConnId,
        name: &str,
        body: &[u8],
        head: &Head,
    ) -> Option<Reply> {
        let config = self.config.clone();
        let now = rfc3339_ms(self.now.wall_ms);
        let actions = match hooks::actions(name, body, head, &config.hooks, &now) {
            Ok(actions) => actions,
            Err(reply) => return Some(reply),
        };
        if let [Action::Agent(agent)] = actions.as_slice()
            && agent.wait
        {
            return self.hook_and_wait(id, agent, &config.hooks);
        }
        let direct = matches!(name, "wake" | "agent");
        let mut did = Vec::new();
        let mut failed: Option<Reply> = None;
        let mut errors = Vec::new();
        for action in &actions {
            let outcome = match action {
                Action::Wake(wake) => self.hook_wake(wake, &config.hooks),
                Action::Agent(agent) => {
                    self.hook_agent(agent, &config.hooks).map(|run| Did::Started { run })
                }
            };
            match outcome {
                Ok(done) => did.push(done),
                Err(reply) if direct || actions.len() == 1 => return Some(reply),
                Err(reply) => {
                    errors.push(String::from_utf8_lossy(&reply.body).into_owned());
                    failed.get_or_insert(reply);
                }
            }
        }
        Some(answer(&did, failed, &errors))
    }

    fn hook_wake(&mut self, wake: &Wake, known: &Hooks) -> Result<Did, Reply> {
        let agents = &self.config.agents;
        let agent = hooks::agent_of(wake.agent_id.as_deref(), false, agents, known)?;
        let main_key = &self.config.session.main_key;
        let key = match &wake.session_key {
            None => key::main(&agent, main_key),
            Some(asked) => {
                let name = hooks::session_name(Some(asked), known, &agent, "")?;
                key::canonical(&name, &agent, main_key).map_err(|why| hooks::error(400, &why))?
            }
        };
        let outcome = self
            .wake_session(&agent, &key, &wake.text, wake.later)
            .map_err(|error| hooks::error(503, &error.message))?;
        Ok(Did::Woke { later: wake.later, outcome: outcome.as_str() })
    }

    /// Takes a run on, or finds the one that a repetition is about; its id.
    fn hook_agent(&mut self, agent: &Agent, known: &Hooks) -> Result<String, Reply> {
        let agents = &self.config.agents;
        let asked = agent.agent_id.as_deref();
        let owner = hooks::agent_of(asked, agent.lenient_agent, agents, known)?;
        let uuid = self.uuid();
        if agent.persistent && agent.session_key.is_none() && known.default_session_key.is_none() {
            return Err(hooks::error(400, "sessionMode persistent requires a sessionKey"));
        }
        let foreign = agent.session_key.as_ref().is_some_and(|key| key.foreign);
        if agent.persistent && foreign && known.allowed_session_key_prefixes.is_empty() {
            let what = "sessionMode persistent requires hooks.allowedSessionKeyPrefixes";
            return Err(hooks::error(400, what));
        }
        let name = hooks::session_name(agent.session_key.as_ref(), known, &owner, &uuid)?;
        if let Some(model) = &agent.model
            && !model_exists(&self.config, model)
        {
            let shown: String = model.chars().take(128).collect();
            return Err(hooks::error(400, &format!("unknown model \"{shown}\"")));
        }
        let main = key::main(&owner, &self.config.session.main_key);
        let origin = match &agent.place {
            None => None,
            Some(place) => {
                let found = self.answer_place(Wanted::of(place, &main));
                Some(found.map_err(|why| hooks::error(400, &why.what))?)
            }
        };
        let session = agent.session_key.as_ref().map_or("", |key| key.text.as_str());
        let place = agent.place.as_ref().map(Value::to_string).unwrap_or_default();
        let fields = format!(
            "{owner}\0{session}\0{}\0{}\0{:?}\0{:?}\0{}{place}",
            agent.name, agent.message, agent.model, agent.timeout_seconds, agent.persistent
        );
        let digest = digest("hook", &owner, &fields, None);
        let run = match &agent.idempotency_key {
            None => uuid,
            Some(key) => id_of(&format!("hook\0{key}\0{fields}")),
        };
        match self.repeated(&run, digest) {
            Repeated::No => {}
            Repeated::InFlight(_) | Repeated::Finished(_) => return Ok(run),
            Repeated::Conflict => return Err(hooks::error(409, "this run id is taken")),
        }
        // A run of its own unless the session is kept: its name ends with what is unique.
        let unique = agent.persistent || name.ends_with(&run);
        let name = if unique { name } else { format!("{name}:run:{run}") };
        let key = key::canonical(&name, &owner, &self.config.session.main_key)
            .map_err(|why| hooks::error(400, &why))?;
        let nonce = self.uuid();
        let message = match agent.unsafe_content {
            true => agent.message.clone(),
            false => {
                let source = format!("Webhook {}", agent.name);
                external::wrap(&agent.message, &source, &nonce)
            }
        };
        let new = NewRun {
            message: Some(message),
            model: agent.model.clone(),
            timeout_ms: agent.timeout_seconds.map(|seconds| seconds.saturating_mul(1000)),
            digest,
            origin,
            ..NewRun::new(run.clone(), Cause::Agent, key, owner)
        };
        self.accept_run(new)
            .map_err(|error| hooks::error(503, &error.message).with("Retry-After", "1"))?;
        let running = Running {
            name: agent.name.clone(),
            deliver: agent.deliver && agent.place.is_none(),
            later: agent.later,
            waiting: Vec::new(),
        };
        self.hooked.runs.insert(run.clone(), running);
        Ok(run)
    }

    /// As [`Gateway::hook_agent`]; the answer comes when the run is over.
    fn hook_and_wait(&mut self, id: ConnId, agent: &Agent, known: &Hooks) -> Option<Reply> {
        let run = match self.hook_agent(agent, known) {
            Ok(run) => run,
            Err(reply) => return Some(reply),
        };
        if let Some(running) = self.hooked.runs.get_mut(&run) {
            running.waiting.push(id);
            if let Some(http) = self.http(id) {
                http.doing = Doing::Hook;
            }
            return None;
        }
        let completion = self.runs.finished(&run).map(|finished| finished.hook_completion());
        let (ok, text) = completion.unwrap_or((false, String::new()));
        let completion = Some(Completion::of(ok, &text));
        Some(reply(&Done { ok: true, run_id: Some(&run), completion, ..Done::default() }))
    }

    /// A run is over: perhaps a hook started it, and somebody waits or wants to know.
    pub(in crate::gateway) fn hook_over(
        &mut self,
        run: &Active,
        outcome: &Outcome,
        sending: &Sending,
        fx: &mut Effects,
    ) {
        let Some(running) = self.hooked.runs.remove(&run.id) else { return };
        let text = run.machine.as_ref().map_or("", |machine| machine.text()).to_owned();
        let ok = matches!(outcome, Outcome::Done(_));
        let mut completion = Completion::of(ok, &text);
        let silent = completion.reply_disposition != "visible";
        if let Sending::Over(result) = sending {
            completion = completion.with(result);
        }
        match sending {
            Sending::UnderWay => self.hook_waits(&run.id, running.waiting, completion),
            _ => self.answer_hooks(&run.id, running.waiting, completion, fx),
        }
        let (name, id) = (&running.name, &run.id);
        let event = match (ok, running.deliver) {
            (true, true) if !silent => format!("Hook {name}: {text}"),
            (true, _) => {
                log::info!(target: "hooks", "hook agent run completed: {name}, run {id}, ok");
                return;
            }
            (false, _) => {
                log::warn!(target: "hooks", "hook agent run failed: {name}, run {id}");
                format!("Hook {name} failed: run {id}; its session says why")
            }
        };
        let main = key::main(&run.agent, &self.config.session.main_key);
        let later = running.later || !ok;
        if let Err(error) = self.wake_session(&run.agent, &main, &event, later) {
            log::warn!(target: "hooks", "the end of run {id} is not told: {}", error.message);
        }
    }
}

impl Gateway {
    fn answer_hooks(
        &mut self,
        run: &str,
        waiting: Vec<ConnId>,
        completion: Completion,
        fx: &mut Effects,
    ) {
        for id in waiting {
            let waits = matches!(self.http(id), Some(Http { doing: Doing::Hook, .. }));
            if waits {
                let (completion, run_id) = (Some(completion), Some(run));
                let done = Done { ok: true, run_id, completion, ..Done::default() };
                self.respond(id, &reply(&done), false, fx);
                self.serve_http(id, fx);
                self.count_held(id);
            }
        }
    }

    /// The delivery of a hook's answer is over.
    pub(in crate::gateway) fn hook_delivered(
        &mut self,
        run: &str,
        waiting: Vec<ConnId>,
        completion: Completion,
        result: &Delivered,
        fx: &mut Effects,
    ) {
        if let Delivered::Failed(failure, _) = result {
            log::warn!(target: "hooks",
                "the answer of hook run {run} was not delivered: {}; openclaw channels \
                 dead-letters list", failure.what);
        }
        self.answer_hooks(run, waiting, completion.with(result), fx);
    }
}

/// A run id that only this text has.
fn id_of(text: &str) -> String {
    let digest = sha256(text.as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(digest.first_chunk::<16>().unwrap_or(&[0; 16]));
    uuid_v4(id)
}

/// The answer to all actions of a request.
fn answer(did: &[Did], failed: Option<Reply>, errors: &[String]) -> Reply {
    let runs: Vec<String> = did
        .iter()
        .filter_map(|did| match did {
            Did::Started { run } => Some(run.clone()),
            Did::Woke { .. } => None,
        })
        .collect();
    if let Some(failed) = failed {
        let errors: Vec<Value> = errors.iter().take(5).map(|error| json!(error)).collect();
        let body = json!({
            "ok": false, "error": "not every action of this request was taken",
            "runIds": runs, "errors": errors,
        });
        return Reply { body: body.to_string().into_bytes(), ..failed };
    }
    if did.is_empty() {
        return Reply::raw(204, Vec::new());
    }
    let mut done = Done { ok: true, run_id: runs.first().map(String::as_str), ..Done::default() };
    if runs.len() > 1 {
        done.run_ids = Some(&runs);
        done.dispatched = Some(runs.len());
    }
    for did in did {
        if let Did::Woke { later, outcome } = did {
            if runs.is_empty() {
                done.mode = Some(if *later { "next-heartbeat" } else { "now" });
            }
            if done.event_outcome != Some("queued") {
                done.event_outcome = Some(outcome);
            }
        }
    }
    reply(&done)
}
