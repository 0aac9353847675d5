//! `openclaw setup`: a first configuration.
//!
//! It offers what is there: keys of model providers in the environment, and model servers on
//! this machine that answer `GET /v1/models`. A key is written as `${NAME}`, never copied. An
//! existing file is never rewritten; then it says what to edit.

use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::client::Target;
use super::table::Args;
use super::{Failed, entropy, out, place};
use crate::store::RealDisk;
use crate::wire::url::Url;

/// How long a local model server may take to answer.
const LOOK_MS: u64 = 300;
/// Models of one server that are written down.
const MODELS_MAX: usize = 32;

/// A provider whose key may be in the environment; all speak the OpenAI dialect there.
struct Hosted {
    id: &'static str,
    variable: &'static str,
    base_url: &'static str,
    model: &'static str,
}

const HOSTED: &[Hosted] = &[
    Hosted {
        id: "openai",
        variable: "OPENAI_API_KEY",
        base_url: "https://api.openai.com/v1",
        model: "gpt-4.1-mini",
    },
    Hosted {
        id: "anthropic",
        variable: "ANTHROPIC_API_KEY",
        base_url: "https://api.anthropic.com/v1",
        model: "claude-sonnet-4-5",
    },
    Hosted {
        id: "openrouter",
        variable: "OPENROUTER_API_KEY",
        base_url: "https://openrouter.ai/api/v1",
        model: "openrouter/auto",
    },
    Hosted {
        id: "deepseek",
        variable: "DEEPSEEK_API_KEY",
        base_url: "https://api.deepseek.com/v1",
        model: "deepseek-chat",
    },
    Hosted {
        id: "groq",
        variable: "GROQ_API_KEY",
        base_url: "https://api.groq.com/openai/v1",
        model: "llama-3.3-70b-versatile",
    },
    Hosted {
        id: "mistral",
        variable: "MISTRAL_API_KEY",
        base_url: "https://api.mistral.ai/v1",
        model: "mistral-small-latest",
    },
];

/// The model that is written down for a hosted provider when nobody names one.
pub fn usual_model(id: &str) -> Option<&'static str> {
    HOSTED.iter().find(|hosted| hosted.id == id).map(|hosted| hosted.model)
}

/// Model servers as they are installed: id, port, key placeholder.
const LOCAL: &[(&str, u16)] = &[("ollama", 11_434), ("llamacpp", 8080)];

/// Something that can answer messages.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Offer {
    id: String,
    base_url: String,
    /// `${NAME}`, for hosted ones.
    api_key: Option<String>,
    /// The first one is the default.
    models: Vec<String>,
    /// How it is shown.
    shown: String,
}

/// Runs the command.
///
/// # Errors
/// When the file cannot be written, or stands already and a token was to be written into it.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let path = &paths.config_path;
    let profile = match (args.has("dev"), args.value("profile")) {
        (true, _) => "openclaw --dev gateway".to_owned(),
        (_, Some(name)) => format!("openclaw --profile {name} gateway"),
        _ => "openclaw gateway".to_owned(),
    };
    if path.symlink_metadata().is_ok() {
        return stands(path, args.value("token").is_some(), &profile);
    }
    let mut offers = local_offers();
    offers.extend(hosted_offers(|name| place::var(&env, name).is_some()));
    let ask = !(args.has("yes") || args.has("non-interactive")) && io::stdin().is_terminal();
    let chosen = if ask { choose(&offers) } else { offers.first() };
    let token = args.value("token").map_or_else(entropy::token, str::to_owned);
    let text = config_text(&token, chosen);
    place::write_new_config(path, &text).map_err(|error| {
        let what = format!("cannot write {}: {error}", path.display());
        Failed::new(what, "check the directory's owner and free space")
    })?;
    // What we wrote must be what we read.
    let loaded = place::load(&place::Files::new(), &env, &paths)
        .map_err(|error| Failed::config(error.to_string(), ""))?;
    let mut said = format!("Wrote {} (only you can read it)\n", path.display());
    let agents = &loaded.config.agents;
    let (agent, state_dir) = (agents.default_agent(), &paths.state_dir);
    let workspace = agents.workspace(agent, state_dir);
    // The gateway gives it its files at the start, should that fail here.
    if crate::gateway::seed_agent(&mut RealDisk, &loaded.config, state_dir, agent).is_ok() {
        let _ = writeln!(said, "  Files:  {} (what the agent is and knows)", workspace.display());
    }
    let _ = writeln!(said, "  Token:  gateway.auth.token in that file");
    match chosen {
        Some(offer) => {
            let _ = writeln!(said, "  Model:  {} (agents.defaults.model)", offer.shown);
            if let Some(key) = &offer.api_key {
                let dotenv = paths.state_dir.join(".env");
                let _ = writeln!(
                    said,
                    "  Key:    {key} is read where the gateway runs; to keep it: {}",
                    dotenv.display()
                );
            }
        }
        None => said.push_str(
            "  Model:  none found; the built-in echo answers until models.providers is set\n",
        ),
    }
    for other in offers.iter().filter(|other| Some(*other) != chosen) {
        let _ = writeln!(said, "  Also found: {}", other.shown);
    }
    let _ = writeln!(said, "Next: {profile}");
    out::text(&said);
    Ok(0)
}

/// The file is there: it stays as it is.
fn stands(path: &Path, wanted_token: bool, start: &str) -> Result<u8, Failed> {
    let edit = format!(
        "{} exists and is not rewritten. To change it, edit gateway.auth.token, \
         models.providers, agents.defaults.model",
        path.display()
    );
    if wanted_token {
        return Err(Failed::new(edit, start));
    }
    out::line(&edit);
    out::line(&format!("Next: {start}"));
    Ok(0)
}

/// Model servers on this machine.
fn local_offers() -> Vec<Offer> {
    LOCAL.iter().filter_map(|(id, port)| local_offer(id, *port)).collect()
}

fn local_offer(id: &str, port: u16) -> Option<Offer> {
    let url = Url::parse(&format!("http://127.0.0.1:{port}")).ok()?;
    let (status, body) =
        Target::bare(url).get("/v1/models", Duration::from_millis(LOOK_MS)).ok()?;
    let models = if status == 200 { model_ids(&body) } else { Vec::new() };
    let first = models.first()?;
    let shown = format!("{id} on 127.0.0.1:{port}, model {}", out::foreign(first));
    let base_url = format!("http://127.0.0.1:{port}/v1");
    Some(Offer { id: id.to_owned(), base_url, api_key: None, models, shown })
}

/// The ids of an OpenAI model list; a name that could not be a key is left out.
fn model_ids(body: &[u8]) -> Vec<String> {
    let list: Value = serde_json::from_slice(body).unwrap_or_default();
    let data = list.get("data").and_then(Value::as_array);
    data.into_iter()
        .flatten()
        .filter_map(|model| model.get("id")?.as_str())
        .filter(|id| !id.is_empty() && id.len() <= 256 && !id.contains(char::is_control))
        .take(MODELS_MAX)
        .map(str::to_owned)
        .collect()
}

fn hosted_offers(is_set: impl Fn(&str) -> bool) -> Vec<Offer> {
    let offer = |hosted: &Hosted| Offer {
        id: hosted.id.to_owned(),
        base_url: hosted.base_url.to_owned(),
        api_key: Some(format!("${{{}}}", hosted.variable)),
        models: vec![hosted.model.to_owned()],
        shown: format!("{} with {}, model {}", hosted.id, hosted.variable, hosted.model),
    };
    HOSTED.iter().filter(|hosted| is_set(hosted.variable)).map(offer).collect()
}

/// Asks which one; an empty answer takes the first, anything else none.
fn choose(offers: &[Offer]) -> Option<&Offer> {
    if offers.is_empty() {
        return None;
    }
    let mut text = String::from("Which model should answer?\n");
    for (number, offer) in offers.iter().enumerate() {
        let _ = writeln!(text, "  {}) {}", number + 1, offer.shown);
    }
    text.push_str("  0) none yet\nNumber [1]: ");
    out::text(&text);
    let _ = io::stdout().flush();
    let mut answer = String::new();
    let _ = io::stdin().lock().read_line(&mut answer);
    picked(&answer, offers)
}

fn picked<'a>(answer: &str, offers: &'a [Offer]) -> Option<&'a Offer> {
    match answer.trim() {
        "" => offers.first(),
        number => offers.get(number.parse::<usize>().ok()?.checked_sub(1)?),
    }
}

/// The file, in JSON5 for people.
fn config_text(token: &str, offer: Option<&Offer>) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let mut text = String::from("// Written by `openclaw setup`; it is yours from here on.\n{\n");
    let _ = write!(
        text,
        "  gateway: {{\n    mode: \"local\",\n    auth: {{ mode: \"token\", token: {} }},\n  }},\n",
        quoted(token)
    );
    if let Some(offer) = offer {
        let _ = write!(
            text,
            "  models: {{\n    providers: {{\n      {}: {{\n        baseUrl: {},\n        \
             api: \"openai-completions\",\n",
            quoted(&offer.id),
            quoted(&offer.base_url)
        );
        if let Some(key) = &offer.api_key {
            let _ = writeln!(text, "        apiKey: {},", quoted(key));
        }
        text.push_str("        models: [\n");
        for model in &offer.models {
            let model = quoted(model);
            let _ = writeln!(text, "          {{ id: {model}, name: {model} }},");
        }
        text.push_str("        ],\n      },\n    },\n  },\n");
        if let Some(first) = offer.models.first() {
            let primary = quoted(&format!("{}/{first}", offer.id));
            let _ = write!(
                text,
                "  agents: {{\n    defaults: {{\n      model: {{ primary: {primary} }},\n    \
                 }},\n  }},\n"
            );
        }
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_not_copied() {
        let offers = hosted_offers(|name| name == "ANTHROPIC_API_KEY");
        assert_eq!(offers.len(), 1);
        let text = config_text("tok", offers.first());
        assert!(text.contains("apiKey: \"${ANTHROPIC_API_KEY}\""), "{text}");
        assert!(text.contains("token: \"tok\""), "{text}");
        assert!(text.contains("primary: \"anthropic/claude-sonnet-4-5\""), "{text}");
    }

    #[test]
    fn the_file_is_json5_with_balanced_braces() {
        let odd = Offer {
            id: "ollama".to_owned(),
            base_url: "http://127.0.0.1:11434/v1".to_owned(),
            api_key: None,
            models: vec!["a\"b".to_owned(), "c".to_owned()],
            shown: String::new(),
        };
        for offer in [None, Some(&odd)] {
            let text = config_text("a\"b\\", offer);
            assert_eq!(text.matches('{').count(), text.matches('}').count(), "{text}");
            assert!(text.contains(r#"token: "a\"b\\""#), "{text}");
        }
    }

    #[test]
    fn model_lists_are_read_with_care() {
        assert_eq!(model_ids(br#"{"data":[{"id":"a"},{"id":""},{"x":1},{"id":"b"}]}"#), ["a", "b"]);
        assert!(model_ids(b"<html>").is_empty());
        assert!(model_ids(b"{\"data\":{}}").is_empty());
    }

    #[test]
    fn a_number_picks_and_anything_else_declines() {
        let offers = hosted_offers(|name| name.starts_with("OPEN"));
        assert_eq!(offers.len(), 2);
        assert_eq!(picked("\n", &offers), offers.first());
        assert_eq!(picked("2\n", &offers), offers.get(1));
        for none in ["0", "3", "x", "-1"] {
            assert_eq!(picked(none, &offers), None, "{none}");
        }
    }
}
