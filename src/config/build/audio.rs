//! Section `tools.media.audio` of the snapshot.

use super::super::audio::{Audio, Form, Listener, SERVICES, Selection, Service};
use super::super::secret::Secret;
use super::super::{known, proxy};
use super::At;
use crate::limits;
use serde_json::Value;

pub(super) fn audio(root: At<'_>) -> Audio {
    let media = root.get("tools").get("media");
    let own = media.get("audio");
    let providers = root.get("models").get("providers");
    let mut listeners: Vec<(u8, Listener)> = Vec::new();
    let preferred = own.get("preferredModel").text().unwrap_or_default();
    for (number, entry) in media.get("models").items().enumerate() {
        let place = format!("tools.media.models[{number}]");
        let command = entry.get("command").text();
        if entry.get("type").value == "cli" || command.is_some() {
            if tagged(entry) == Some(true) {
                let preferred = preferred == format!("cli:{}", command.unwrap_or_default());
                listeners.push((u8::from(preferred) * 2, program(&place)));
            }
            continue;
        }
        let id = entry.get("provider").text().unwrap_or_default().trim().to_ascii_lowercase();
        let id = if id == "gemini" { "google".to_owned() } else { id };
        let service = SERVICES.iter().find(|service| service.id == id);
        let hears = tagged(entry).unwrap_or(service.is_some_and(|service| service.implied));
        if hears && listeners.len() < limits::LISTENERS {
            let model = entry.get("model").text().unwrap_or_default();
            let rank = match model.trim() {
                "" => u8::from(preferred == format!("provider:{id}")) * 2,
                model if preferred == format!("{id}/{model}") => 2,
                model => u8::from(preferred == model),
            };
            listeners.push((rank, listener(&place, &id, service, entry, own, providers)));
        }
    }
    listeners.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
    let found = |service: &Service| {
        let nothing = At { value: &Value::Null, env: root.env };
        let place = "tools.media.audio";
        let one = listener(place, service.id, Some(service), nothing, own, providers);
        (one.broken.is_none() && !one.keys.is_empty()).then_some(one)
    };
    // Those that the operator wrote down come before those of the environment.
    let (mut written, rest): (Vec<_>, Vec<_>) =
        SERVICES.iter().partition(|it| !providers.get(it.id).is_null());
    written.extend(rest);
    let number = |at: At<'_>| at.number().and_then(|number| usize::try_from(number).ok());
    let attachments = own.get("attachments");
    let all = attachments.get("mode").value == "all";
    let most = number(attachments.get("maxAttachments")).filter(|_| all).unwrap_or(1);
    let format = || own.get("echoFormat").text().unwrap_or_else(|| ECHO.to_owned());
    Audio {
        off: !own.get("enabled").flag(true),
        listeners: listeners.into_iter().map(|(_, listener)| listener).collect(),
        found: written.into_iter().filter_map(found).collect(),
        scope: own.get("scope").value.clone(),
        selection: Selection {
            most: most.clamp(1, limits::CHANNEL_MEDIA),
            last: attachments.get("prefer").value == "last",
        },
        echo: own.get("echoTranscript").flag(false).then(format),
        at_once: number(media.get("concurrency")).unwrap_or(2).clamp(1, limits::TRANSCRIPTIONS),
    }
}

/// How a transcript is shown in the conversation, as the reference has it.
const ECHO: &str = "📝 \"{transcript}\"";

/// Whether `capabilities` name audio; `None` when they name nothing.
fn tagged(entry: At<'_>) -> Option<bool> {
    let tags = entry.get("capabilities").texts();
    let known = |tag: &String| matches!(tag.as_str(), "image" | "audio" | "video");
    tags.iter().any(known).then(|| tags.iter().any(|tag| tag == "audio"))
}

fn empty() -> Listener {
    Listener {
        provider: String::new(),
        form: Form::OpenAi,
        model: String::new(),
        base_url: String::new(),
        keys: Vec::new(),
        headers: Vec::new(),
        proxy: None,
        language: None,
        prompt: None,
        max_bytes: limits::TRANSCRIBE_BYTES,
        max_chars: limits::TRANSCRIPT_CHARS,
        timeout_ms: limits::TRANSCRIBE_MS,
        options: Vec::new(),
        broken: None,
    }
}

/// An entry that names a program.
fn program(place: &str) -> Listener {
    let why = format!("{place} is a command, and none is run for audio: name a provider");
    Listener { provider: "a command".to_owned(), broken: Some(why), ..empty() }
}

/// One entry; what it leaves open is said by `tools.media.audio` and by the provider.
fn listener(
    place: &str,
    id: &str,
    service: Option<&Service>,
    entry: At<'_>,
    own: At<'_>,
    providers: At<'_>,
) -> Listener {
    let provider = providers.get(id);
    let text = |name: &str| {
        let text = entry.get(name).text().or_else(|| own.get(name).text());
        text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let number = |name: &str| entry.get(name).number().or_else(|| own.get(name).number());
    let known = known::find(id).filter(|it| it.api().as_str().starts_with("openai-"));
    let home = service.map(|it| it.base_url).or(known.map(|it| it.base_url));
    let written = text("baseUrl").or_else(|| provider.get("baseUrl").text());
    let written = written.map(|url| url.trim_end_matches('/').to_owned());
    let base_url = written.or(home.map(str::to_owned)).unwrap_or_default();
    let mut keys = known::keys(id, provider.get("apiKey").secret(), &base_url, entry.env);
    if keys.is_empty() && id == "elevenlabs" {
        keys = known::keys("xi", None, &base_url, entry.env);
    }
    let mut headers: Vec<(String, Secret)> = Vec::new();
    let request = provider.get("request");
    for map in [&provider, &request, &own, &entry].map(|at| at.get("headers").secrets()) {
        for (name, value) in map {
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
            headers.push((name, value));
        }
    }
    let model = entry.get("model").text().unwrap_or_default().trim().to_owned();
    let model = match service {
        Some(service) if model.is_empty() => service.model.to_owned(),
        _ => model,
    };
    let way = proxy::of(id, request.get("proxy").value, &base_url, entry.env);
    let bare = keys.is_empty() && headers.is_empty() && home == Some(&*base_url);
    let speaks = provider.get("api").text().is_none_or(|api| api.starts_with("openai-"));
    let local = known.is_some_and(|it| it.local);
    let broken = match &way {
        _ if base_url.is_empty() || service.is_none() && !speaks => {
            let all: Vec<&str> = SERVICES.iter().map(|it| it.id).collect();
            Some(format!(
                "{place}: no provider of transcripts is called \"{id}\": name one of {}, or one \
                 of models.providers with a baseUrl that speaks OpenAI's form",
                all.join(", ")
            ))
        }
        _ if bare && !local => Some(format!(
            "{place}: provider \"{id}\" has no key: set {} in the gateway's environment, or \
             models.providers.{id}.apiKey",
            known::find(id)
                .map_or(format!("{}_API_KEY", id.to_ascii_uppercase()), |it| it.variable())
        )),
        _ if model.is_empty() && service.is_none() => {
            Some(format!("{place}: name the model of provider \"{id}\""))
        }
        Err(why) => Some(why.clone()),
        Ok(_) => None,
    };
    let options = [own, entry].map(|at| at.get("providerOptions").get(id));
    let options = options.into_iter().flat_map(At::entries).map(|(name, at)| {
        let value = at.text().unwrap_or_else(|| at.value.to_string());
        (name.to_owned(), value)
    });
    let seconds = number("timeoutSeconds").or_else(|| provider.get("timeoutSeconds").number());
    let ms = seconds.map_or(limits::TRANSCRIBE_MS, |seconds| seconds.saturating_mul(1000));
    let chars = number("maxChars").and_then(|chars| usize::try_from(chars).ok());
    Listener {
        provider: id.to_owned(),
        form: service.map_or(Form::OpenAi, |service| service.form),
        model,
        base_url,
        keys,
        headers,
        proxy: way.unwrap_or_default(),
        language: text("language"),
        prompt: text("prompt"),
        max_bytes: number("maxBytes").unwrap_or(u64::MAX).min(limits::TRANSCRIBE_BYTES),
        max_chars: chars.unwrap_or(usize::MAX).min(limits::TRANSCRIPT_CHARS),
        timeout_ms: ms.clamp(1_000, limits::TRANSCRIBE_MESSAGE_MS),
        options: options.collect(),
        broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Paths;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn of(config: &Value, env: &[(&str, &str)]) -> Audio {
        let pairs = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut env: BTreeMap<String, String> = pairs.collect();
        env.insert("HOME".to_owned(), "/h".to_owned());
        let paths = Paths::resolve(&env, &crate::config::Flags::default()).expect("paths");
        super::super::build(config, &env, &paths, crate::config::SourceInfo::default()).audio
    }

    fn media(media: &Value) -> Value {
        json!({"tools": {"media": media}})
    }

    fn names(listeners: &[Listener]) -> Vec<String> {
        listeners.iter().map(Listener::name).collect()
    }

    #[test]
    fn a_service_is_found_by_its_key_and_the_agents_own_comes_first() {
        let keys = [("MISTRAL_API_KEY", "m"), ("OPENAI_API_KEY", "o"), ("XI_API_KEY", "x")];
        let audio = of(&json!({}), &keys);
        let all = ["openai/gpt-4o-transcribe", "elevenlabs/scribe_v2"];
        assert_eq!(names(&audio.found), [all[0], all[1], "mistral/voxtral-mini-latest"]);
        assert_eq!(names(audio.listeners("anthropic")), [all[0]]);
        assert_eq!(names(audio.listeners("mistral")), ["mistral/voxtral-mini-latest"]);
        let written = json!({"models": {"providers": {"deepgram": {"apiKey": "d"}}}});
        assert_eq!(names(of(&written, &keys).listeners("")), ["deepgram/nova-3"]);
        assert!(of(&json!({}), &[]).listeners("openai").is_empty());
        let off = media(&json!({"audio": {"enabled": false}}));
        assert!(of(&off, &keys).listeners("openai").is_empty());
        // What everybody says of audio holds for them as well.
        let said = media(&json!({"audio": {"language": "de", "timeoutSeconds": 7}}));
        let found = of(&said, &keys).found.remove(0);
        assert_eq!((found.language.as_deref(), found.timeout_ms), (Some("de"), 7_000));
    }

    #[test]
    fn entries_for_audio_are_tried_in_their_order_the_preferred_one_first() {
        let models = json!([
            {"provider": "openai"},
            {"provider": "openai", "model": "a", "capabilities": ["image"]},
            {"provider": "openai", "model": "b", "capabilities": ["audio", "image"]},
            {"provider": "groq"},
            {"type": "cli", "command": "whisper", "args": ["x"], "capabilities": ["audio"]},
            {"type": "cli", "command": "gemini", "args": ["x"]},
            {"provider": "local", "model": "w", "capabilities": ["audio"]},
            {"provider": "gemini"},
            {"provider": "nobody", "model": "n", "capabilities": ["audio"]},
        ]);
        let order = |preferred: &str| {
            let mut config =
                media(&json!({"models": models, "audio": {"preferredModel": preferred}}));
            config["models"] = json!({"providers": {"local": {"baseUrl": "http://h:1/v1/"}}});
            of(&config, &[("OPENAI_API_KEY", "o")]).listeners
        };
        let all = order("");
        let want = [
            "openai/b",
            "groq/whisper-large-v3-turbo",
            "a command",
            "local/w",
            "google/gemini-3-flash-preview",
            "nobody/n",
        ];
        assert_eq!(names(&all), want);
        let broken: Vec<&str> = all.iter().map(|it| it.broken.as_deref().unwrap_or("")).collect();
        assert_eq!((broken[0], broken[3]), ("", ""));
        assert!(broken[1].contains("set GROQ_API_KEY"), "{}", broken[1]);
        assert!(broken[2].starts_with("tools.media.models[4] is a command"), "{}", broken[2]);
        assert!(broken[4].contains("set GEMINI_API_KEY"), "{}", broken[4]);
        assert!(broken[5].contains("no provider of transcripts is called \"nobody\""));
        assert_eq!(all[3].base_url, "http://h:1/v1");
        for (preferred, first) in [
            ("local/w", "local/w"),
            ("w", "local/w"),
            ("provider:groq", want[1]),
            ("cli:whisper", "a command"),
        ] {
            assert_eq!(order(preferred)[0].name(), first, "{preferred}");
        }
        let many: Vec<Value> = (0..40).map(|_| json!({"provider": "groq"})).collect();
        assert_eq!(of(&media(&json!({"models": many})), &[]).listeners.len(), limits::LISTENERS);
    }

    #[test]
    fn an_entry_says_more_than_the_section_and_nothing_is_without_bound() {
        let config = json!({
            "models": {"providers": {"deepgram": {"apiKey": "k", "headers": {"X-A": "p"}}}},
            "tools": {"media": {
                "concurrency": 60,
                "audio": {"prompt": "all", "language": " ", "headers": {"x-a": "s", "X-B": "s"},
                    "providerOptions": {"deepgram": {"punctuate": true}}, "maxBytes": 1_u64 << 40,
                    "attachments": {"mode": "all", "maxAttachments": 99, "prefer": "last"}},
                "models": [{"provider": " Deepgram ", "prompt": "own", "headers": {"X-B": "e"},
                    "providerOptions": {"deepgram": {"tier": "x"}}, "timeoutSeconds": 86_400}],
            }},
        });
        let audio = of(&config, &[]);
        let one = &audio.listeners[0];
        assert_eq!(one.prompt.as_deref(), Some("own"));
        assert_eq!(one.language, None);
        let headers = one.headers.iter().map(|(name, value)| format!("{name}={}", value.expose()));
        assert_eq!(headers.collect::<Vec<_>>(), ["x-a=s", "X-B=e"]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(one.options, [pair("punctuate", "true"), pair("tier", "x")]);
        assert_eq!(one.max_bytes, limits::TRANSCRIBE_BYTES);
        assert_eq!(one.max_chars, limits::TRANSCRIPT_CHARS);
        assert_eq!(one.timeout_ms, limits::TRANSCRIBE_MESSAGE_MS);
        assert_eq!(audio.at_once, limits::TRANSCRIPTIONS);
        assert_eq!(audio.selection, Selection { most: limits::CHANNEL_MEDIA, last: true });
        assert_eq!(of(&json!({}), &[]).selection, Selection::default());
    }
}
