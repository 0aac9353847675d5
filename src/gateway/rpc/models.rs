//! `models.list`, `models.authStatus`, `models.probe`.

use super::super::Gateway;
use super::super::exchange::{BodyBound, Exchange, ExchangeError, Purpose, Response};
use super::super::runs::{ECHO, candidate, candidates, context_window};
use super::super::socket::Answer;
use super::{Handled, Params, text};
use crate::agent::provider::errors::{class_of_refusal, error_text};
use crate::agent::provider::keyring::{Fault, Keyring, News};
use crate::agent::provider::{Class, Endpoint, Whole};
use crate::agent::run::Via;
use crate::agent::turn::{Part, Turn};
use crate::agent::{Ask, Sampling};
use crate::config::{Config, Provider, known};
use crate::driver::{ConnId, Effects, Now};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::wire::sse::{Parser, SseItem};
use crate::wire::url::Url;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Time for a probe when the caller sets none (the reference's).
const PROBE_MS: u64 = 8_000;
/// Tokens that a probe asks for.
const PROBE_TOKENS: u64 = 16;
/// Bytes of a probe's answer that are read.
const PROBE_BODY: usize = 64 * 1024;

/// One `models.probe` under way.
struct Probe {
    conn: ConnId,
    request: String,
    provider: String,
    model: String,
    waiting: usize,
    targets: Vec<Target>,
}

struct Target {
    endpoint: Endpoint,
    began: Now,
    /// Status, latency in milliseconds, error.
    result: Option<(&'static str, u64, Option<String>)>,
}

/// All probes under way, by number; at most [`limits::PROBES`].
#[derive(Default)]
pub(in crate::gateway) struct Probes {
    last: u64,
    open: BTreeMap<u64, Probe>,
}

impl Gateway {
    /// Name and context window of what an agent asks first.
    pub(in crate::gateway) fn default_model(&self, agent: &str) -> (String, Value) {
        match candidates(&self.config, agent, None).first() {
            Some(first) => {
                let window = context_window(&self.config, &first.provider, &first.model);
                (format!("{}/{}", first.provider, first.model), window)
            }
            None => (format!("{}/{}", ECHO.0, ECHO.1), Value::Null),
        }
    }

    /// `models.list {view?, agentId?}`: the configured models, those of well-known providers
    /// that an agent names, and the embedded one when it is what answers.
    pub(in crate::gateway) fn models_list(&self, params: &Params) -> Value {
        let agent = text(params, "agentId").unwrap_or(self.config.agents.default_agent());
        let (default, _) = self.default_model(agent);
        let mut models = Vec::new();
        for (provider_id, provider) in &self.config.models.providers {
            for model in &provider.models {
                models.push(self.model_row(provider_id, provider, &model.id, &default));
            }
        }
        for name in named(&self.config, agent) {
            let found = candidate(&self.config, &name);
            let listed = self.config.models.model(&found.provider, &found.model).is_some();
            let provider = self.config.models.provider(&found.provider).filter(|_| !listed);
            let seen = |row: &Value| {
                row["provider"] == found.provider.as_str() && row["id"] == found.model.as_str()
            };
            if let Some(provider) = provider.filter(|_| !models.iter().any(seen)) {
                models.push(self.model_row(&found.provider, provider, &found.model, &default));
            }
        }
        let echo = format!("{}/{}", ECHO.0, ECHO.1);
        if default == echo || models.is_empty() {
            let tags = if default == echo { json!(["default"]) } else { json!([]) };
            models.push(json!({
                "id": ECHO.1, "name": "Echo (wiring check, no model)", "provider": ECHO.0,
                "contextWindow": crate::limits::ECHO_CHARS, "input": ["text"], "reasoning": false,
                "local": true, "thinkingLevels": [{"id": "off", "label": "off"}],
                "thinkingDefault": "off", "available": true, "tags": tags,
            }));
        }
        json!({"models": models})
    }

    fn model_row(&self, id: &str, provider: &Provider, model: &str, default: &str) -> Value {
        let known = provider.models.iter().find(|known| known.id == model);
        let levels = self.thinking_levels(id, model).iter();
        let levels: Vec<Value> = levels.map(|word| json!({"id": word, "label": word})).collect();
        let mut row = json!({
            "id": model, "name": known.map_or(model, |known| &known.name), "provider": id,
            "reasoning": known.is_some_and(|known| known.reasoning),
            "thinkingLevels": levels, "thinkingDefault": "off",
        });
        if let Some(known) = known {
            row["contextWindow"] = json!(known.context_window);
            row["input"] = json!(known.input);
        }
        let full = format!("{id}/{model}");
        let (available, why, until) = self.availability(id, provider, model, &full);
        row["available"] = json!(available);
        if let Some(why) = why {
            row["unavailableReason"] = json!(why);
        }
        if let Some(until) = until {
            row["unavailableUntil"] = json!(until);
        }
        if let Some(alias) = self.config.agents.defaults.aliases.get(&full) {
            row["alias"] = json!(alias);
        }
        if is_local(provider) {
            row["local"] = json!(true);
        }
        if full == default {
            row["tags"] = json!(["default"]);
        }
        row
    }

    /// Whether it may be asked; else why, and until when (Unix milliseconds).
    fn availability(
        &self,
        id: &str,
        provider: &Provider,
        model: &str,
        full: &str,
    ) -> (bool, Option<&'static str>, Option<u64>) {
        let Via::Http(mut endpoint) = candidate(&self.config, full).via else {
            let missing = provider.keys.is_empty() && known::find(id).is_some_and(|k| !k.local);
            return (false, missing.then_some("missing-auth"), None);
        };
        let resting = self.keyring.resting(self.now.time, id, model, &endpoint.keys);
        if self.keyring.arrange(self.now.time, id, model, &mut endpoint.keys).is_ok() {
            return (true, None, None);
        }
        let soonest = resting.iter().min_by_key(|rest| rest.left_ms);
        let until = soonest.map(|rest| self.now.wall_ms.saturating_add(rest.left_ms));
        let auth = resting.iter().any(|rest| rest.fault == Fault::Auth);
        (false, Some(if auth { "auth-failed" } else { "cooldown" }), until)
    }

    /// `models.authStatus {agentId?, refresh?}`.
    pub(in crate::gateway) fn models_auth_status(&self, params: &Params) -> Value {
        let agent = text(params, "agentId").unwrap_or(self.config.agents.default_agent());
        status(&self.config, &self.keyring, self.now, agent)
    }

    /// `models.probe {provider, timeoutMs?, profileId?}`: a tiny request with each key; answers
    /// when all have.
    pub(in crate::gateway) fn models_probe(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let provider = text(params, "provider").unwrap_or_default().to_owned();
        let timeout_ms = params.get("timeoutMs").and_then(Value::as_u64).unwrap_or(PROBE_MS);
        let agent = text(params, "agentId").unwrap_or(self.config.agents.default_agent());
        let Some(found) = self.config.models.provider(&provider) else {
            return Err(ErrorShape::invalid(format!("Unknown provider \"{provider}\".")));
        };
        let one = |status: &str, why: &str| {
            let row = json!({"label": provider, "status": status, "error": why});
            let all = json!({"provider": provider, "status": status, "error": why,
                "results": [row]});
            Ok(Answer::Value(all))
        };
        let Some(model) = probe_model(&self.config, &provider, found, agent) else {
            return one("no_model", "no model of this provider is configured");
        };
        let endpoint = match candidate(&self.config, &format!("{provider}/{model}")).via {
            Via::Http(endpoint) => *endpoint,
            Via::Broken(why) => return one("auth", &why),
            Via::Echo => return one("ok", ""),
        };
        if self.probes.open.len() >= limits::PROBES {
            return Err(ErrorShape::unavailable("other probes are under way; try again later"));
        }
        self.probes.last += 1;
        let number = self.probes.last;
        let mut targets = targets(endpoint, text(params, "profileId"), self.now);
        if targets.is_empty() {
            return one("auth", "there is no key of that name");
        }
        let probe = Probe {
            conn,
            request: request.to_owned(),
            provider,
            model,
            waiting: targets.len(),
            targets: Vec::new(),
        };
        let asks: Vec<Exchange> = targets
            .iter_mut()
            .enumerate()
            .map(|(at, target)| exchange(&target.endpoint, number, at, timeout_ms))
            .collect();
        self.probes.open.insert(number, Probe { targets, ..probe });
        for (at, ask) in asks.into_iter().enumerate() {
            if let Err(error) = self.exchange(ask, fx) {
                self.probed(number, at, Err(error), fx);
            }
        }
        Ok(Answer::Handled)
    }

    /// A probe's answer, or why there is none.
    pub(in crate::gateway) fn probed(
        &mut self,
        number: u64,
        at: usize,
        result: Result<Response, ExchangeError>,
        fx: &mut Effects,
    ) {
        let Some(probe) = self.probes.open.get_mut(&number) else { return };
        let Some(target) = probe.targets.get_mut(at) else { return };
        let latency = self.now.time.ms_since(target.began.time);
        let (status, error, fault) = judge(&target.endpoint, result);
        target.result = Some((status, latency, error));
        if let Some(key) = target.endpoint.keys.first().cloned()
            && (fault.is_some() || status == "ok")
        {
            let (provider, model) = (probe.provider.clone(), probe.model.clone());
            let news = News { provider, model, key, fault, retry_after_ms: None };
            self.keyring.note(self.now.time, news);
        }
        probe.waiting = probe.waiting.saturating_sub(1);
        if probe.waiting > 0 {
            return;
        }
        if let Some(probe) = self.probes.open.remove(&number) {
            self.respond_ok(probe.conn, &probe.request, &probe.answer(), fx);
        }
    }
}

impl Probe {
    fn answer(&self) -> Value {
        let mut rows = Vec::new();
        let mut best: Option<(&'static str, u64, Option<String>)> = None;
        for target in &self.targets {
            let Some((status, latency, error)) = &target.result else { continue };
            let key = target.endpoint.keys.first();
            let label = key.map_or(self.provider.as_str(), |key| &key.name);
            let mut row = json!({"label": label, "status": status, "latencyMs": latency});
            if key.is_some() {
                row["profileId"] = json!(label);
            }
            if let Some(error) = error {
                row["error"] = json!(error);
            }
            rows.push(row);
            if best.is_none() || *status == "ok" && best.as_ref().is_some_and(|b| b.0 != "ok") {
                best = Some((status, *latency, error.clone()));
            }
        }
        let (status, latency, error) = best.unwrap_or(("unknown", 0, None));
        let mut answer = json!({
            "provider": self.provider, "status": status, "latencyMs": latency, "results": rows,
        });
        if let Some(error) = error {
            answer["error"] = json!(error);
        }
        answer
    }
}

/// One target a key, or only the key of this name.
fn targets(endpoint: Endpoint, only: Option<&str>, now: Now) -> Vec<Target> {
    let keys = endpoint.keys.clone();
    if keys.is_empty() {
        return vec![Target { endpoint, began: now, result: None }];
    }
    let keys = keys.into_iter().filter(|key| only.is_none_or(|only| only == key.name));
    keys.map(|key| Target {
        endpoint: Endpoint { keys: vec![key], ..endpoint.clone() },
        began: now,
        result: None,
    })
    .collect()
}

fn exchange(endpoint: &Endpoint, probe: u64, target: usize, timeout_ms: u64) -> Exchange {
    let ask = Ask {
        turns: vec![Turn::User(vec![Part::Text("Reply with OK.".to_owned())])],
        sampling: Sampling { max_tokens: Some(PROBE_TOKENS), ..Sampling::default() },
        ..Ask::default()
    };
    Exchange {
        target: endpoint.target.clone(),
        request: endpoint.request(&ask),
        body: BodyBound { max: PROBE_BODY, cut: true },
        timeout_ms,
        purpose: Purpose::ModelProbe { probe, target },
    }
}

/// The reference's word for a probe's result, the error, and what it says of the key.
fn judge(
    endpoint: &Endpoint,
    result: Result<Response, ExchangeError>,
) -> (&'static str, Option<String>, Option<Fault>) {
    let response = match result {
        Ok(response) => response,
        Err(ExchangeError::Timeout(seconds)) => {
            return ("timeout", Some(format!("no answer within {seconds} s")), None);
        }
        Err(error) => return ("unknown", Some(error.to_string()), None),
    };
    let status = response.status;
    let (class, error) = if (200..300).contains(&status) {
        match report(endpoint, &response.body) {
            None => return ("ok", None, None),
            Some((class, text)) => (class, text),
        }
    } else {
        let said = serde_json::from_slice(&response.body).map(|json| error_text(&json));
        let said = said.unwrap_or_else(|_| String::from_utf8_lossy(&response.body).into_owned());
        (class_of_refusal(status, &response.body), format!("HTTP {status}: {said}"))
    };
    let word = match (class, status) {
        (Class::Auth, _) => "auth",
        (Class::Billing, _) => "billing",
        (Class::Transient, 429) => "rate_limit",
        (Class::Request | Class::Overflow, _) => "format",
        (Class::Transient, _) => "unknown",
    };
    let mut error = error;
    for secret in endpoint.secrets() {
        error = error.replace(secret.expose(), "***");
    }
    let error = crate::wire::text::escape_log(&error, 300);
    (word, Some(error), Fault::of(class, Some(status)))
}

/// What is wrong with an answer under a good status.
fn report(endpoint: &Endpoint, body: &[u8]) -> Option<(Class, String)> {
    let mut reader = endpoint.dialect.reader();
    if body.trim_ascii_start().starts_with(b"{") {
        return match reader.whole(body, &mut |_| {}) {
            Whole::Answer => None,
            Whole::Error(error) => Some((error.class, error.text)),
            Whole::Neither => Some((Class::Request, NO_ANSWER.to_owned())),
        };
    }
    let mut parser = Parser::new();
    parser.push(body);
    let mut events = 0;
    while let Some(item) = parser.next() {
        let Ok(SseItem::Event { data, .. }) = item else { continue };
        events += 1;
        if let Err(error) = reader.event(&data, &mut |_| {}) {
            return Some((error.class, error.text));
        }
    }
    (events == 0).then(|| (Class::Request, NO_ANSWER.to_owned()))
}

const NO_ANSWER: &str = "its answer is none of this dialect; check baseUrl and api";

fn is_local(provider: &Provider) -> bool {
    Url::parse(&provider.base_url)
        .is_ok_and(|url| matches!(url.host.as_str(), "localhost" | "127.0.0.1" | "::1"))
}

/// What an agent names as its models, and every alias.
fn named(config: &Config, agent: &str) -> Vec<String> {
    let choice = config.agents.model_of(agent);
    let own = choice.primary.iter().chain(&choice.fallbacks);
    own.chain(config.agents.defaults.aliases.keys()).cloned().collect()
}

/// The model a probe asks: what the agent would ask of this provider, else its first.
fn probe_model(config: &Config, id: &str, provider: &Provider, agent: &str) -> Option<String> {
    let named = named(config, agent).into_iter().map(|name| candidate(config, &name));
    let used = named.into_iter().find(|found| found.provider == id).map(|found| found.model);
    used.or_else(|| provider.models.first().map(|model| model.id.clone()))
}

/// What `models.authStatus` would answer of a gateway that has just started, for `openclaw
/// models status` when none runs. `wall_ms` is Unix time.
pub fn models_status(config: &Config, wall_ms: u64, agent: &str) -> Value {
    status(config, &Keyring::default(), Now { wall_ms, ..Now::default() }, agent)
}

/// What is known of providers and keys, without any value of a key: `{ts, agentId,
/// defaultModel, fallbacks, aliases, providers: [{provider, authProvider, displayName, status,
/// profiles, apiKey?, api, baseUrl, keys: [{name, source, reason?, until?}]}]}`.
fn status(config: &Config, keyring: &Keyring, now: Now, agent: &str) -> Value {
    let choice = config.agents.model_of(agent);
    let used: Vec<String> =
        named(config, agent).iter().map(|name| candidate(config, name).provider).collect();
    let implied = config.models.implied.iter().filter(|(id, provider)| {
        let configured = config.models.providers.contains_key(*id);
        !configured && (!provider.keys.is_empty() || used.contains(id))
    });
    let rows: Vec<Value> = config
        .models
        .providers
        .iter()
        .chain(implied)
        .map(|(id, provider)| provider_row(id, provider, keyring, now))
        .collect();
    let capabilities: Vec<Value> = known::KNOWN
        .iter()
        .map(|known| {
            json!({"provider": known.id, "apiKeySupported": true, "quickApiKeySetup": false})
        })
        .collect();
    json!({
        "ts": now.wall_ms, "agentId": agent,
        "defaultModel": choice.primary.clone().unwrap_or_else(|| format!("{}/{}", ECHO.0, ECHO.1)),
        "fallbacks": choice.fallbacks, "aliases": config.agents.defaults.aliases,
        "providers": rows, "providerCapabilities": capabilities,
    })
}

fn provider_row(id: &str, provider: &Provider, keyring: &Keyring, now: Now) -> Value {
    let resting = keyring.resting(now.time, id, "", &provider.keys);
    let keys: Vec<Value> = provider
        .keys
        .iter()
        .map(|key| {
            let source = if key.name.starts_with("models.") { "config" } else { "env" };
            let mut row = json!({"name": key.name, "source": source});
            if let Some(rest) = resting.iter().find(|rest| rest.name == key.name) {
                row["reason"] = json!(rest.fault.words());
                row["until"] = json!(now.wall_ms.saturating_add(rest.left_ms));
            }
            row
        })
        .collect();
    let needs = !is_local(provider) && provider.headers.is_empty();
    let mut row = json!({
        "provider": id, "authProvider": id, "displayName": id, "profiles": [],
        "status": if keys.is_empty() && needs { "missing" } else { "static" },
        "api": provider.api.as_str(), "baseUrl": provider.base_url, "keys": keys,
    });
    if let Some(first) = keys.first() {
        row["apiKey"] = json!({"source": first["source"]});
    }
    if let Some(why) = &provider.broken {
        row["error"] = json!(why);
    }
    row
}
