//! The models that agents use: is their provider known, is there a key, and (`--deep`) does it
//! answer.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::client::Target;
use super::finding::{Finding, Severity};
use super::here::Here;
use crate::config::{Config, Provider, known};
use crate::limits;
use crate::wire::url::Url;

const MODELS: &str = "core/doctor/model-references";

/// `core/doctor/model-references`.
pub fn check(here: &Here<'_>) -> Vec<Finding> {
    let Ok(loaded) = &here.loaded else { return Vec::new() };
    let mut all = judge(&loaded.config);
    if here.args.has("deep") {
        let used = used(&loaded.config);
        let providers: BTreeSet<&str> =
            used.iter().filter_map(|(_, model)| Some(model.split_once('/')?.0)).collect();
        for id in providers {
            if let Some(provider) = loaded.config.models.provider(id) {
                all.extend(unreachable(id, provider));
            }
        }
    }
    all
}

/// Where a model is named, and its name.
fn used(config: &Config) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let listed = !config.agents.list.is_empty();
    for agent in config.agents.agent_ids() {
        let choice = config.agents.model_of(agent);
        let place = if listed { format!("agent {agent}") } else { "agents.defaults.model".into() };
        for model in choice.primary.iter().chain(&choice.fallbacks) {
            if !all.iter().any(|(_, seen)| seen == model) {
                all.push((place.clone(), model.clone()));
            }
        }
    }
    all
}

fn judge(config: &Config) -> Vec<Finding> {
    let models = used(config);
    if models.is_empty() {
        let message = "no model is set: the built-in echo answers.";
        let found = Finding::new(MODELS, Severity::Info, message).at("agents.defaults.model");
        return vec![found.hint("openclaw models set <provider/model>")];
    }
    let mut all = Vec::new();
    for (place, model) in &models {
        let mut say = |severity, message: String, hint: String| {
            all.push(Finding::new(MODELS, severity, message).at(place.as_str()).hint(hint));
        };
        let Some((id, _)) = model.split_once('/') else {
            let message = format!("`{model}` names no provider.");
            say(Severity::Warning, message, "write it as provider/model".to_owned());
            continue;
        };
        let Some(provider) = config.models.provider(id) else {
            let message = format!("`{model}`: there is no provider {id} in models.providers.");
            say(Severity::Error, message, "openclaw models list".to_owned());
            continue;
        };
        let local = known::find(id).is_some_and(|known| known.local)
            || Url::parse(&provider.base_url).is_ok_and(|url| is_near(&url.host));
        if let Some(why) = &provider.broken {
            say(Severity::Error, format!("`{model}` cannot be asked: {why}."), String::new());
        } else if provider.keys.is_empty() && !local && provider.headers.is_empty() {
            let variable = known::find(id).map(known::Known::variable);
            let hint = match variable {
                Some(variable) => format!("set {variable} where the gateway runs"),
                None => format!("set models.providers.{id}.apiKey to a SecretRef"),
            };
            say(Severity::Warning, format!("`{model}`: there is no key for {id}."), hint);
        }
    }
    all
}

fn is_near(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// Asks for `/models` without a key; whatever answer comes, somebody is there.
fn unreachable(id: &str, provider: &Provider) -> Option<Finding> {
    let place = format!("models.providers.{id}");
    let say = |why: String| {
        let message = format!("{id} does not answer at {}: {why}.", provider.base_url);
        let found = Finding::new(MODELS, Severity::Warning, message).at(place.as_str());
        Some(found.hint("check its address, the network and the proxy"))
    };
    if provider.proxy.is_some() {
        return None;
    }
    let url = match Url::parse(&format!("{}/models", provider.base_url)) {
        Ok(url) => url,
        Err(error) => return say(error.to_string()),
    };
    let path = url.path_and_query.clone();
    let quick = Duration::from_millis(limits::DOCTOR_PROBE_MS * 2);
    match Target::bare(url).get(&path, quick) {
        Ok(_) => None,
        Err(trouble) => say(trouble.short()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Key;
    use crate::config::Secret;

    fn config(model: &str) -> Config {
        let mut config = Config::defaults();
        config.agents.defaults.model.primary = Some(model.to_owned());
        let key = Key { name: "k".to_owned(), secret: Secret::new("k".to_owned()) };
        for (id, url, keys) in [
            ("near", "http://127.0.0.1:1/v1", Vec::new()),
            ("far", "https://x.example/v1", Vec::new()),
            ("paid", "https://x.example/v1", vec![key]),
        ] {
            let base_url = url.to_owned();
            let provider = Provider { base_url, keys, ..Provider::default() };
            config.models.providers.insert(id.to_owned(), provider);
        }
        config
    }

    #[test]
    fn a_model_needs_a_provider_and_a_far_one_needs_a_key() {
        assert_eq!(judge(&config("near/m")), []);
        assert_eq!(judge(&config("paid/m")), []);
        assert!(judge(&config("far/m"))[0].message.contains("no key for far"));
        assert_eq!(judge(&config("nobody/m"))[0].severity, Severity::Error);
        assert!(judge(&config("m"))[0].message.contains("names no provider"));
        assert!(judge(&Config::defaults())[0].message.contains("built-in echo"));
    }

    #[test]
    fn a_provider_that_is_not_there_is_told() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let base_url = format!("http://{free}/v1");
        let provider = Provider { base_url, ..Provider::default() };
        let found = unreachable("near", &provider).unwrap();
        assert!(found.message.contains("does not answer"), "{found:?}");
    }
}
