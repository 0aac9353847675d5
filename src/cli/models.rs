//! `openclaw models list` and `openclaw models status`: which models answer, with which keys,
//! and whether those work. A key is named, never shown.
//!
//! The gateway knows best: its environment holds the keys and it knows which of them rest. When
//! none answers, the status is what this shell's file and environment say; a probe needs one.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{self, CLI, Session, Target, Trouble};
use super::page::{Page, Tone};
use super::table::Args;
use super::{Failed, ask, out, place};
use crate::gateway::models_status;
use crate::wire::text::rfc3339_ms;

/// Time for one probe (the reference's), and what the way to the gateway adds.
const PROBE_MS: u64 = 8_000;
const PROBE_SLACK_MS: u64 = 5_000;

/// `openclaw models list`.
///
/// # Errors
/// When no gateway answers.
pub fn list(args: &Args) -> Result<u8, Failed> {
    let mut params = json!({"view": "default", "includeDetails": true});
    if let Some(agent) = args.value("agent") {
        params["agentId"] = json!(agent);
    }
    let (provider, local) = (args.value("provider").map(str::to_owned), args.has("local"));
    let plain = args.has("plain");
    let keep = move |row: &Value| {
        provider.as_ref().is_none_or(|id| row["provider"] == id.as_str())
            && (!local || row["local"] == true)
    };
    let narrow = move |answer: &mut Value| {
        if let Some(models) = answer.get_mut("models").and_then(Value::as_array_mut) {
            models.retain(|row| keep(row));
        }
    };
    let target = Target::find(args)?;
    let mut answer = match ask::call(args, &target, "models.list", params) {
        Ok(answer) => answer,
        Err(trouble) => return target.fail(args, &trouble),
    };
    narrow(&mut answer);
    if args.has("json") {
        out::json(&answer);
        return Ok(0);
    }
    let models = answer.get("models").and_then(Value::as_array);
    let lines = models.into_iter().flatten().filter_map(|model| model_line(model, plain));
    let lines = ask::or_none(lines.collect(), "no models are configured");
    let mut page = Page::new(args);
    lines.iter().for_each(|line| page.line(line, Tone::Plain));
    page.print();
    Ok(0)
}

fn model_line(model: &Value, plain: bool) -> Option<String> {
    let word = |key| model.get(key).and_then(Value::as_str);
    let name = format!("{}/{}", word("provider")?, word("id")?);
    if plain {
        return Some(name);
    }
    let mut notes = Vec::new();
    if let Some(tokens) = model.get("contextWindow").and_then(Value::as_u64) {
        notes.push(format!("{tokens} tokens"));
    }
    if let Some(alias) = word("alias") {
        notes.push(format!("alias {alias}"));
    }
    if model["tags"].as_array().is_some_and(|tags| tags.contains(&json!("default"))) {
        notes.push("default".to_owned());
    }
    if model.get("available") == Some(&Value::Bool(false)) {
        notes.push(match word("unavailableReason") {
            Some(why) => format!("not available: {why}"),
            None => "not available".to_owned(),
        });
    }
    Some(if notes.is_empty() { name } else { format!("{name}  ({})", notes.join(", ")) })
}

/// `openclaw models status`.
///
/// # Errors
/// When a probe is asked for and no gateway answers, or the configuration cannot be read.
pub fn status(args: &Args) -> Result<u8, Failed> {
    let probe = args.has("probe")
        || args.value("probe-provider").is_some()
        || args.value("probe-profile").is_some();
    let target = Target::find(args)?;
    let mut report = match of_gateway(args, &target, probe) {
        Ok(report) => report,
        Err(trouble) if probe => return target.fail(args, &trouble),
        Err(_) => of_file(args)?,
    };
    report["auth"] = auth(&report);
    let missing = missing(&report);
    if args.has("json") {
        out::json(&report);
    } else {
        let mut page = Page::new(args);
        lines(&report).iter().for_each(|line| page.line(line, Tone::Plain));
        page.print();
    }
    let failed = report["probes"].as_array().is_some_and(|probes| {
        probes.iter().any(|probe| !matches!(probe["status"].as_str(), Some("ok" | "no_model")))
    });
    Ok(u8::from(args.has("check") && !missing.is_empty() || failed))
}

fn of_gateway(args: &Args, target: &Target, probe: bool) -> Result<Value, Trouble> {
    let method = if probe { "models.probe" } else { "models.authStatus" };
    let mut scopes = client::scopes_for("models.authStatus", &Value::Null);
    scopes.extend(client::scopes_for(method, &Value::Null));
    scopes.dedup();
    let mut session = Session::open(target, CLI, &scopes, client::timeout(args))?;
    let mut params = json!({});
    if let Some(agent) = args.value("agent") {
        params["agentId"] = json!(agent);
    }
    let mut report = session.request("models.authStatus", Some(params.clone()))?;
    report["source"] = json!("gateway");
    if probe {
        let each_ms = args.number("probe-timeout").unwrap_or(PROBE_MS);
        let rows = report["providers"].as_array().cloned().unwrap_or_default();
        let mut probes = Vec::new();
        for id in rows.iter().filter_map(|row| row["provider"].as_str()) {
            if args.value("probe-provider").is_some_and(|only| only != id) {
                continue;
            }
            params["provider"] = json!(id);
            params["timeoutMs"] = json!(each_ms);
            if let Some(key) = args.value("probe-profile") {
                params["profileId"] = json!(key);
            }
            session.allow(Duration::from_millis(each_ms.saturating_add(PROBE_SLACK_MS)));
            probes.push(session.request("models.probe", Some(params.clone()))?);
        }
        report["probes"] = Value::Array(probes);
    }
    session.close();
    Ok(report)
}

fn of_file(args: &Args) -> Result<Value, Failed> {
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let files = place::Files::new();
    let loaded = place::load(&files, &env, &paths)
        .map_err(|error| Failed::config(error.to_string(), "openclaw config validate"))?;
    let agents = &loaded.config.agents;
    let agent = args.value("agent").unwrap_or(agents.default_agent());
    if !agents.has(agent) {
        let what = format!("there is no agent \"{}\"", out::foreign(agent));
        return Err(Failed::new(what, "openclaw models status"));
    }
    let mut report = models_status(&loaded.config, super::logger::wall_ms(), agent);
    report["source"] = json!("file");
    Ok(report)
}

/// The reference's view of the same facts: `{providers: [{provider, effective: {kind, detail}}],
/// missingProvidersInUse, unusableProfiles}`.
fn auth(report: &Value) -> Value {
    let rows = report["providers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut unusable = Vec::new();
    let providers: Vec<Value> = rows
        .iter()
        .map(|row| {
            let keys = row["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
            for key in keys.iter().filter(|key| key["until"].is_u64()) {
                unusable.push(json!({
                    "profileId": key["name"], "provider": row["provider"], "kind": "cooldown",
                    "reason": key["reason"], "until": key["until"],
                }));
            }
            let effective = match keys.first() {
                Some(key) => json!({
                    "kind": if key["source"] == "env" { "env" } else { "models.json" },
                    "detail": key["name"],
                }),
                None => json!({"kind": "missing", "detail": "missing"}),
            };
            json!({"provider": row["provider"], "effective": effective})
        })
        .collect();
    json!({
        "providers": providers, "missingProvidersInUse": missing(report),
        "unusableProfiles": unusable,
    })
}

/// Providers of the models in use that have no key that may be tried.
fn missing(report: &Value) -> Vec<String> {
    let fallbacks = report["fallbacks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let used = std::iter::once(&report["defaultModel"]).chain(fallbacks);
    let ids = used.filter_map(|name| name.as_str()?.split_once('/')).map(|(id, _)| id);
    let rows = report["providers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut missing: Vec<String> = ids
        .filter(|id| *id != "local")
        .filter(|id| match rows.iter().find(|row| row["provider"] == **id) {
            Some(row) => {
                let keys = row["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
                row["status"] == "missing"
                    || !keys.is_empty() && keys.iter().all(|key| key["until"].is_u64())
            }
            None => true,
        })
        .map(str::to_owned)
        .collect();
    missing.dedup();
    missing
}

fn lines(report: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut lines = vec![format!("Default:    {}", word(&report["defaultModel"]))];
    let fallbacks: Vec<String> = list(&report["fallbacks"]).iter().map(word).collect();
    let fallbacks = if fallbacks.is_empty() { "none".to_owned() } else { fallbacks.join(", ") };
    lines.push(format!("Fallbacks:  {fallbacks}"));
    for (model, alias) in report["aliases"].as_object().into_iter().flatten() {
        lines.push(format!("Alias:      {} = {model}", word(alias)));
    }
    if report["source"] == "file" {
        lines.push("No gateway answers: keys are those of this shell and the file.".to_owned());
    }
    for row in list(&report["providers"]) {
        let (id, api) = (word(&row["provider"]), word(&row["api"]));
        lines.push(format!("{id}  {api}  {}", word(&row["baseUrl"])));
        for key in list(&row["keys"]) {
            let rest = match key["until"].as_u64() {
                Some(until) => {
                    format!(": rests until {} ({})", rfc3339_ms(until), word(&key["reason"]))
                }
                None => String::new(),
            };
            lines.push(format!("  key {}{rest}", word(&key["name"])));
        }
        if row["keys"].as_array().is_none_or(Vec::is_empty) {
            let note = if row["status"] == "missing" { "no key" } else { "no key (none needed)" };
            lines.push(format!("  {note}"));
        }
        if let Some(error) = row["error"].as_str() {
            lines.push(format!("  {error}"));
        }
    }
    for probe in list(&report["probes"]) {
        for result in list(&probe["results"]) {
            let label = format!("{} [{}]", word(&probe["provider"]), word(&result["label"]));
            let latency = result["latencyMs"].as_u64();
            let latency = latency.map(|ms| format!(" {ms} ms")).unwrap_or_default();
            let error = result["error"].as_str().map(|text| format!(": {text}"));
            lines.push(format!(
                "probe {label}: {}{latency}{}",
                word(&result["status"]),
                error.unwrap_or_default()
            ));
        }
    }
    for id in missing(report) {
        lines.push(format!("Missing: provider \"{id}\" of a model in use has no key to try"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_in_words_and_what_is_missing() {
        let report = json!({
            "defaultModel": "anthropic/c", "fallbacks": ["box/m"], "aliases": {"box/m": "fast"},
            "source": "file",
            "providers": [
                {"provider": "anthropic", "api": "anthropic-messages", "baseUrl": "https://a",
                    "status": "missing", "keys": []},
                {"provider": "box", "api": "x", "baseUrl": "http://b", "status": "static",
                    "keys": [{"name": "BOX_API_KEY", "source": "env", "until": 1_795_008_000_000_u64,
                        "reason": "the provider refused it"}]},
            ],
            "probes": [{"provider": "box", "results": [
                {"label": "BOX_API_KEY", "status": "auth", "latencyMs": 3, "error": "no"}]}],
        });
        assert_eq!(missing(&report), ["anthropic", "box"]);
        let lines = lines(&report);
        assert_eq!(lines[0], "Default:    anthropic/c");
        for line in [
            "Alias:      fast = box/m",
            "  no key",
            "  key BOX_API_KEY: rests until 2026-11-18T13:20:00.000Z (the provider refused it)",
            "probe box [BOX_API_KEY]: auth 3 ms: no",
            "Missing: provider \"anthropic\" of a model in use has no key to try",
        ] {
            assert!(lines.iter().any(|known| known == line), "{line}: {lines:#?}");
        }
        let auth = auth(&report);
        assert_eq!(auth["providers"][0]["effective"]["kind"], "missing");
        assert_eq!(auth["unusableProfiles"][0]["profileId"], "BOX_API_KEY");
        let healthy = json!({"defaultModel": "local/echo"});
        assert_eq!(missing(&healthy), Vec::<String>::new());
    }
}
