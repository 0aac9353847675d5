//! Hooks: requests from outside that wake a session or start a run. Facts: FACTS.md section 8.6
//! and the reference's page on `hooks`.
//!
//! [`actions`] turns a request into what is to be done, by the two fixed paths `wake` and
//! `agent` or by the mappings of the configuration; nothing is done here. Errors have hooks'
//! own shape, `{ok: false, error}`.

mod template;

use super::Reply;
use crate::config::{HookMapping, Hooks};
use crate::limits;
use crate::wire::http::head::Head;
use crate::wire::url::query_pairs;
use serde_json::{Map, Value, json};
pub use template::render;

/// What a request wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// An event for a session.
    Wake(Wake),
    /// A run.
    Agent(Box<Agent>),
}

/// An event for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake {
    /// What happened; not empty.
    pub text: String,
    /// `next-heartbeat`: told with the next run, none is started for it.
    pub later: bool,
    /// Which agent; the default one when absent.
    pub agent_id: Option<String>,
    /// Which session; the agent's main one when absent.
    pub session_key: Option<Key>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// What the agent is told; not empty.
    pub message: String,
    /// Label.
    pub name: String,
    /// Which agent; the default one when absent.
    pub agent_id: Option<String>,
    /// An unknown `agent_id` means the default agent, as in mappings of the reference.
    pub lenient_agent: bool,
    /// The session's name.
    pub session_key: Option<Key>,
    /// The session is kept from one request to the next.
    pub persistent: bool,
    /// `provider/model`.
    pub model: Option<String>,
    /// Time for the run.
    pub timeout_seconds: Option<u64>,
    /// A good answer is told to the main session, or goes to `place`.
    pub deliver: bool,
    /// `{channel, to, accountId?, threadId?}` that a good answer goes to.
    pub place: Option<Value>,
    /// Without starting a run there for it.
    pub later: bool,
    /// The message is not marked as coming from outside.
    pub unsafe_content: bool,
    /// The answer waits for the end of the run.
    pub wait: bool,
    /// `idempotencyKey` or its header.
    pub idempotency_key: Option<String>,
}

/// The name of a session, and whether the request chose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// As written.
    pub text: String,
    /// From the request or a template; false for what the configuration says.
    pub foreign: bool,
}

/// `{ok: false, error}`.
pub fn error(status: u16, what: &str) -> Reply {
    // In this order, as the reference writes it.
    let text = format!("{{\"ok\":false,\"error\":{}}}", json!(what));
    Reply::raw(status, text.into_bytes())
}

/// A refusal by the HTTP machine itself.
pub fn refused(status: u16, reason: &str) -> Reply {
    error(status, if status == 413 { "payload too large" } else { reason })
}

/// The token that a request shows in a header.
pub fn token(head: &Head) -> Option<&str> {
    let other = || head.headers.only("x-openclaw-token").map(str::trim);
    head.bearer().or_else(other).filter(|token| !token.is_empty())
}

/// A token in the query, where every log would keep it.
pub fn has_query_token(head: &Head) -> bool {
    head.query().is_some_and(|query| {
        let named = |part: &str| part == "token" || part.starts_with("token=");
        query.split('&').any(named)
            || query_pairs(query).is_some_and(|pairs| pairs.iter().any(|(name, _)| name == "token"))
    })
}

/// What a request below [`Hooks::path`] wants; empty when a mapping makes nothing of it.
///
/// # Errors
/// The reply: 400 in hooks' shape, 404 as text for a name without a mapping.
pub fn actions(
    name: &str,
    body: &[u8],
    head: &Head,
    hooks: &Hooks,
    now: &str,
) -> Result<Vec<Action>, Reply> {
    let payload: Value = if body.is_empty() {
        Value::Object(Map::new())
    } else {
        serde_json::from_slice(body)
            .map_err(|fault| error(400, &format!("the body is not JSON: {fault}")))?
    };
    match name {
        "wake" => Ok(vec![Action::Wake(wake(&payload)?)]),
        "agent" => Ok(vec![Action::Agent(Box::new(agent(&payload, head)?))]),
        _ => mapped(name, payload, head, hooks, now),
    }
}

fn text(payload: &Value, name: &str) -> Option<String> {
    let text = payload.get(name).and_then(Value::as_str).map(str::trim);
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn foreign(payload: &Value) -> Option<Key> {
    text(payload, "sessionKey").map(|text| Key { text, foreign: true })
}

fn wake(payload: &Value) -> Result<Wake, Reply> {
    let text_ = text(payload, "text").ok_or_else(|| error(400, "text required"))?;
    let later = payload.get("mode").and_then(Value::as_str) == Some("next-heartbeat");
    let session_key = foreign(payload);
    if later && session_key.is_some() {
        return Err(error(400, "sessionKey requires mode \"now\""));
    }
    Ok(Wake { text: text_, later, agent_id: text(payload, "agentId"), session_key })
}

/// The key of a repetition: headers go first. Longer ones than
/// [`limits::HOOK_KEY`] are none.
fn idempotency_key(payload: &Value, head: &Head) -> Option<String> {
    let header = |name| head.headers.get(name).map(str::trim).map(str::to_owned);
    let found = header("idempotency-key")
        .filter(|key| !key.is_empty())
        .or_else(|| header("x-openclaw-idempotency-key").filter(|key| !key.is_empty()))
        .or_else(|| text(payload, "idempotencyKey"));
    found.filter(|key| key.chars().count() <= limits::HOOK_KEY)
}

fn agent(payload: &Value, head: &Head) -> Result<Agent, Reply> {
    let message = text(payload, "message").ok_or_else(|| error(400, "message required"))?;
    let deliver = payload.get("deliver") != Some(&Value::Bool(false));
    let place = if deliver { destination(payload)? } else { None };
    let seconds = payload.get("timeoutSeconds").and_then(Value::as_f64);
    let seconds = seconds.filter(|n| (1.0..=31_536_000.0).contains(n));
    Ok(Agent {
        message,
        name: label(text(payload, "name")),
        agent_id: text(payload, "agentId"),
        lenient_agent: false,
        session_key: foreign(payload),
        persistent: payload.get("sessionMode").and_then(Value::as_str) == Some("persistent"),
        model: text(payload, "model"),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        timeout_seconds: seconds.map(|n| n as u64),
        deliver,
        place,
        later: payload.get("wakeMode").and_then(Value::as_str) == Some("next-heartbeat"),
        unsafe_content: false,
        wait: payload.get("waitForCompletion") == Some(&Value::Bool(true)),
        idempotency_key: idempotency_key(payload, head),
    })
}

/// Where the answer of a direct hook goes: a channel and a recipient, or nowhere. Whether they
/// exist is the gateway's to say.
fn destination(payload: &Value) -> Result<Option<Value>, Reply> {
    const FIELDS: [&str; 4] = ["channel", "to", "accountId", "threadId"];
    let thread = payload.get("threadId").and_then(Value::as_i64).map(|id| id.to_string());
    let fields = FIELDS.map(|name| text(payload, name));
    let [channel, to, account, topic] = fields;
    match (&channel, &to) {
        (Some(name), _) if name == "last" => {
            let what = "channel \"last\" is not for direct hooks: name a channel and to, or leave \
                        both out";
            Err(error(400, what))
        }
        (Some(_), None) => Err(error(400, "to required: channel needs a recipient")),
        (None, Some(_)) => Err(error(400, "channel required: to needs a channel")),
        (None, None) if account.is_some() => {
            Err(error(400, "accountId needs channel and to; or set deliver:false"))
        }
        (None, None) => Ok(None),
        (Some(channel), Some(to)) => Ok(Some(place(channel, to, account, topic.or(thread)))),
    }
}

fn place(channel: &str, to: &str, account: Option<String>, thread: Option<String>) -> Value {
    let mut place = json!({"channel": channel, "to": to});
    for (name, value) in [("accountId", account), ("threadId", thread)] {
        if let Some(value) = value {
            place[name] = json!(value);
        }
    }
    place
}

/// Where the answer of a mapped hook goes: its `to`, by its channel or the one that `last` means.
/// Without both it is told to the main session.
fn mapped_place(mapping: &HookMapping, to: Option<String>) -> Result<Option<Value>, Reply> {
    let channel = mapping.channel.as_deref();
    if !mapping.deliver {
        return Ok(None);
    }
    let written = mapping.to.is_some();
    match (channel, to) {
        (_, None) if written => Err(error(400, "the mapping's to came out empty")),
        (None, None) => Ok(None),
        (Some("last"), None) => Ok(Some(json!({"channel": "last"}))),
        (Some(_), None) => Err(error(400, "the mapping names a channel and no to")),
        (channel, Some(to)) => {
            let thread = mapping.thread_id.clone();
            Ok(Some(place(channel.unwrap_or("last"), &to, mapping.account_id.clone(), thread)))
        }
    }
}

/// A label of one short line.
fn label(name: Option<String>) -> String {
    let name = name.unwrap_or_else(|| "Hook".to_owned());
    name.chars().filter(|c| !c.is_control()).take(limits::HOOK_NAME).collect()
}

fn mapped(
    name: &str,
    payload: Value,
    head: &Head,
    hooks: &Hooks,
    now: &str,
) -> Result<Vec<Action>, Reply> {
    let source = payload.get("source").and_then(Value::as_str).map(str::to_owned);
    let matching = hooks.mappings.iter().find(|mapping| {
        mapping.match_path.as_deref().is_none_or(|path| path == name)
            && mapping.match_source.as_ref().is_none_or(|wanted| Some(wanted) == source.as_ref())
    });
    let Some(mapping) = matching else { return Err(Reply::text(404, "Not Found")) };
    let mut actions = Vec::new();
    for payload in each(mapping, payload) {
        let view = template::View { payload: &payload, head, path: name, now };
        actions.push(action(mapping, &view)?);
    }
    Ok(actions)
}

/// The payload once, or once for each element of the array that the mapping names.
fn each(mapping: &HookMapping, payload: Value) -> Vec<Value> {
    let Some(name) = &mapping.for_each else { return vec![payload] };
    let items = match payload.get(name) {
        Some(Value::Array(items)) => items.clone(),
        _ => return Vec::new(),
    };
    if items.len() > limits::HOOK_ITEMS {
        log::warn!(target: "hooks", "mapping {}: {} items in {name}; the first {} are taken",
            mapping.id, items.len(), limits::HOOK_ITEMS);
    }
    items
        .into_iter()
        .take(limits::HOOK_ITEMS)
        .map(|item| {
            let mut one = payload.clone();
            if let Some(list) = one.get_mut(name) {
                *list = Value::Array(vec![item]);
            }
            one
        })
        .collect()
}

fn action(mapping: &HookMapping, view: &template::View<'_>) -> Result<Action, Reply> {
    let fill = |template: &Option<String>| {
        let text = template.as_deref().map(|template| render(template, view));
        text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let session_key = match &mapping.session_key {
        None => None,
        Some(template) => {
            let foreign = template.contains("{{");
            let text = fill(&mapping.session_key)
                .ok_or_else(|| error(400, "the mapping's sessionKey came out empty"))?;
            Some(Key { text, foreign })
        }
    };
    if mapping.wake {
        let text = fill(&mapping.text)
            .ok_or_else(|| error(400, "hook mapping requires text: its textTemplate is empty"))?;
        let later = mapping.later;
        let agent_id = mapping.agent_id.clone();
        return Ok(Action::Wake(Wake { text, later, agent_id, session_key }));
    }
    let place = mapped_place(mapping, fill(&mapping.to))?;
    let message = fill(&mapping.message)
        .ok_or_else(|| error(400, "hook mapping requires message: its messageTemplate is empty"))?;
    Ok(Action::Agent(Box::new(Agent {
        message,
        name: label(fill(&mapping.name)),
        agent_id: mapping.agent_id.clone(),
        lenient_agent: true,
        session_key,
        persistent: mapping.persistent,
        model: fill(&mapping.model),
        timeout_seconds: mapping.timeout_seconds,
        deliver: mapping.deliver,
        place,
        later: mapping.later,
        unsafe_content: mapping.unsafe_content,
        wait: false,
        idempotency_key: idempotency_key(view.payload, view.head),
    })))
}

/// The agent of an action.
///
/// # Errors
/// 400: unknown, or not allowed.
pub fn agent_of(
    asked: Option<&str>,
    lenient: bool,
    agents: &crate::config::Agents,
    hooks: &Hooks,
) -> Result<String, Reply> {
    let named = asked.map(str::to_ascii_lowercase);
    let agent = match named {
        Some(id) if agents.has(&id) => id,
        Some(id) if !lenient => {
            let shown: String = id.chars().take(64).collect();
            return Err(error(400, &format!("unknown agentId \"{shown}\"")));
        }
        _ => agents.default_agent().to_owned(),
    };
    if !hooks.allows_agent(&agent) {
        let what = format!("agentId \"{agent}\" is not in hooks.allowedAgentIds");
        return Err(error(400, &what));
    }
    Ok(agent)
}

/// The logical session name of an action: what was asked for, if that is allowed, else the
/// configuration's default, else `hook:<uuid>`.
///
/// # Errors
/// 400: the request may not name one, or not this one.
pub fn session_name(
    asked: Option<&Key>,
    hooks: &Hooks,
    agent: &str,
    uuid: &str,
) -> Result<String, Reply> {
    let Some(asked) = asked else {
        let default = hooks.default_session_key.clone();
        return Ok(unscoped(&default.unwrap_or_else(|| format!("hook:{uuid}"))).to_owned());
    };
    if asked.foreign && !hooks.allow_request_session_key {
        let what = "sessionKey is switched off; set hooks.allowRequestSessionKey=true";
        return Err(error(400, what));
    }
    let name = unscoped(&asked.text);
    if crate::sessions::key::is_reserved(&asked.text) {
        return Err(error(400, "sessionKey is reserved for the gateway itself"));
    }
    let scoped = format!("agent:{agent}:{name}");
    if !hooks.allows_prefix(name) && !hooks.allows_prefix(&scoped) {
        let what = format!(
            "sessionKey must begin with one of: {}",
            hooks.allowed_session_key_prefixes.join(", ")
        );
        return Err(error(400, &what));
    }
    Ok(name.to_owned())
}

/// A key without `agent:<id>:`: it belongs to whichever agent the hook reaches.
fn unscoped(key: &str) -> &str {
    let rest = key.strip_prefix("agent:").and_then(|rest| rest.split_once(':'));
    rest.map_or(key, |(_, rest)| rest)
}

/// Any body through any path and mapping: actions or a reply, never a panic.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let template = String::from_utf8_lossy(body).into_owned();
    let mapping = HookMapping {
        session_key: Some(format!("hook:{template}")),
        message: Some(template.clone()),
        text: Some(template.clone()),
        for_each: (choice & 4 != 0).then(|| "items".to_owned()),
        wake: choice & 8 != 0,
        ..HookMapping::default()
    };
    let hooks = Hooks { mappings: vec![mapping], ..Hooks::default() };
    let head = Head {
        method: crate::wire::http::head::Method::Post,
        target: "/hooks/x?kind=a".to_owned(),
        http10: false,
        headers: crate::wire::http::head::Headers::default(),
    };
    let name = ["wake", "agent", "x", ""].get(usize::from(choice & 3)).copied();
    match actions(name.unwrap_or_default(), body, &head, &hooks, "now") {
        Ok(actions) => {
            assert!(actions.len() <= limits::HOOK_ITEMS);
            for action in actions {
                match action {
                    Action::Wake(wake) => assert!(!wake.text.is_empty()),
                    Action::Agent(agent) => assert!(!agent.message.is_empty()),
                }
            }
        }
        Err(reply) => assert!((400..500).contains(&reply.status)),
    }
}

#[cfg(test)]
#[path = "hooks_tests.rs"]
mod tests;
