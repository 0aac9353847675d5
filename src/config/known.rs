//! Providers that everybody knows: where they are, what they speak, and which environment
//! variables hold their keys (the reference's `docs/concepts/model-providers/`). Nothing is read
//! here: the environment is handed in.

use std::collections::BTreeMap;

use serde_json::Value;

use super::secret::Secret;
use super::snapshot::{Api, Key, Provider};

/// A provider that needs no entry in `models.providers`.
pub struct Known {
    /// Its id, the first part of a model's name.
    pub id: &'static str,
    /// `X` of `X_API_KEY` and its relatives.
    prefix: &'static str,
    /// A further variable that holds a key, asked last.
    also: Option<&'static str>,
    /// Where it is.
    pub base_url: &'static str,
    /// What it speaks.
    api: &'static str,
    /// It is on this machine and asks for no key.
    pub local: bool,
}

const fn known(id: &'static str, prefix: &'static str, base_url: &'static str) -> Known {
    Known { id, prefix, also: None, base_url, api: "openai-completions", local: false }
}

impl Known {
    const fn speaks(mut self, api: &'static str) -> Self {
        self.api = api;
        self
    }

    const fn also(mut self, variable: &'static str) -> Self {
        self.also = Some(variable);
        self
    }

    const fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// What it speaks.
    pub fn api(&self) -> Api {
        Api::new(self.api)
    }

    /// The variable to set.
    pub fn variable(&self) -> String {
        format!("{}_API_KEY", self.prefix)
    }
}

/// Every one, by id.
pub static KNOWN: &[Known] = &[
    known("anthropic", "ANTHROPIC", "https://api.anthropic.com").speaks("anthropic-messages"),
    known("cerebras", "CEREBRAS", "https://api.cerebras.ai/v1"),
    known("deepinfra", "DEEPINFRA", "https://api.deepinfra.com/v1/openai"),
    known("deepseek", "DEEPSEEK", "https://api.deepseek.com"),
    known("fireworks", "FIREWORKS", "https://api.fireworks.ai/inference/v1"),
    known("google", "GEMINI", "https://generativelanguage.googleapis.com/v1beta")
        .speaks("google-generative-ai")
        .also("GOOGLE_API_KEY"),
    known("groq", "GROQ", "https://api.groq.com/openai/v1"),
    known("huggingface", "HUGGINGFACE", "https://router.huggingface.co/v1").also("HF_TOKEN"),
    known("lmstudio", "LMSTUDIO", "http://localhost:1234/v1").also("LM_API_TOKEN").local(),
    known("minimax", "MINIMAX", "https://api.minimax.io/anthropic").speaks("anthropic-messages"),
    known("mistral", "MISTRAL", "https://api.mistral.ai/v1"),
    known("moonshot", "MOONSHOT", "https://api.moonshot.ai/v1"),
    known("nvidia", "NVIDIA", "https://integrate.api.nvidia.com/v1"),
    known("ollama", "OLLAMA", "http://127.0.0.1:11434/v1").local(),
    known("openai", "OPENAI", "https://api.openai.com/v1").speaks("openai-responses"),
    known("openrouter", "OPENROUTER", "https://openrouter.ai/api/v1"),
    known("sglang", "SGLANG", "http://127.0.0.1:30000/v1").local(),
    known("together", "TOGETHER", "https://api.together.xyz/v1"),
    known("venice", "VENICE", "https://api.venice.ai/api/v1"),
    known("vercel-ai-gateway", "AI_GATEWAY", "https://ai-gateway.vercel.sh")
        .speaks("anthropic-messages"),
    known("vllm", "VLLM", "http://127.0.0.1:8000/v1").local(),
    known("xai", "XAI", "https://api.x.ai/v1").speaks("openai-responses"),
    known("zai", "ZAI", "https://api.z.ai/api/paas/v4"),
];

/// The one with this id.
pub fn find(id: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.id == id)
}

/// What each is without an entry of its own.
pub(super) fn implied(env: &BTreeMap<String, String>) -> BTreeMap<String, Provider> {
    let one = |known: &Known| {
        let proxy = super::proxy::of(known.id, &Value::Null, known.base_url, env);
        Provider {
            base_url: known.base_url.to_owned(),
            api: known.api(),
            keys: keys(known.id, None, known.base_url, env),
            broken: proxy.as_ref().err().cloned(),
            proxy: proxy.unwrap_or_default(),
            ..Provider::default()
        }
    };
    KNOWN.iter().map(|known| (known.id.to_owned(), one(known))).collect()
}

/// A provider's keys in the order in which they are tried. The key of its entry comes first;
/// those of the environment follow when it has none, when its own is one of them, or when it is
/// the known provider at its known address: a key does not travel to an address that somebody
/// else may have written.
pub(super) fn keys(
    id: &str,
    own: Option<Secret>,
    base_url: &str,
    env: &BTreeMap<String, String>,
) -> Vec<Key> {
    let known = find(id);
    let prefix = match known {
        Some(known) => known.prefix.to_owned(),
        None => id
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect(),
    };
    let from_env = of_environment(&prefix, known.and_then(|known| known.also), env);
    let at_home = known.is_some_and(|known| known.base_url == base_url);
    let pooled = |own: &Secret| from_env.iter().any(|key| key.secret.expose() == own.expose());
    let pool = own.as_ref().is_none_or(|own| at_home || pooled(own));
    let own = own.map(|secret| Key { name: format!("models.providers.{id}.apiKey"), secret });
    let mut keys: Vec<Key> = Vec::new();
    for key in own.into_iter().chain(from_env.into_iter().filter(|_| pool)) {
        let twice = keys.iter().any(|known| known.secret.expose() == key.secret.expose());
        if !twice && keys.len() < crate::limits::PROVIDER_KEYS {
            keys.push(key);
        }
    }
    keys
}

/// `OPENCLAW_LIVE_X_KEY` alone, or `X_API_KEYS` (commas or semicolons), `X_API_KEY`,
/// `X_API_KEY_1` and so on.
fn of_environment(prefix: &str, also: Option<&str>, env: &BTreeMap<String, String>) -> Vec<Key> {
    let one = |name: String, text: &str| {
        let text = text.trim();
        (!text.is_empty()).then(|| Key { name, secret: Secret::new(text.to_owned()) })
    };
    let named = |name: &str| one(name.to_owned(), env.get(name)?);
    if let Some(live) = named(&format!("OPENCLAW_LIVE_{prefix}_KEY")) {
        return vec![live];
    }
    let list = format!("{prefix}_API_KEYS");
    let listed = env.get(&list).map(String::as_str).unwrap_or_default();
    let listed = listed.split([',', ';']).enumerate();
    let mut keys: Vec<Key> =
        listed.filter_map(|(at, text)| one(format!("{list}[{at}]"), text)).collect();
    keys.extend(named(&format!("{prefix}_API_KEY")));
    let first = format!("{prefix}_API_KEY_");
    let mut numbered: Vec<&String> = env.keys().filter(|name| name.starts_with(&first)).collect();
    numbered.sort_by_key(|name| (name.len(), name.as_str()));
    keys.extend(numbered.into_iter().filter_map(|name| named(name)));
    keys.extend(also.and_then(named));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn names(id: &str, own: Option<&str>, url: &str, pairs: &[(&str, &str)]) -> Vec<String> {
        let own = own.map(|text| Secret::new(text.to_owned()));
        let keys = keys(id, own, url, &env(pairs));
        keys.into_iter().map(|key| format!("{}={}", key.name, key.secret.expose())).collect()
    }

    #[test]
    fn keys_come_in_the_documented_order_and_once() {
        let all = [
            ("OPENAI_API_KEY_10", "k10"),
            ("OPENAI_API_KEY_2", "k2"),
            ("OPENAI_API_KEY", "k"),
            ("OPENAI_API_KEYS", "a, b;k,,"),
            ("OPENAI_API_KEY_3", " "),
        ];
        let home = "https://api.openai.com/v1";
        let want = [
            "OPENAI_API_KEYS[0]=a",
            "OPENAI_API_KEYS[1]=b",
            "OPENAI_API_KEYS[2]=k",
            "OPENAI_API_KEY_2=k2",
            "OPENAI_API_KEY_10=k10",
        ];
        assert_eq!(names("openai", None, home, &all), want);
        let own = "models.providers.openai.apiKey=own";
        let at_home = names("openai", Some("own"), home, &all);
        assert_eq!(at_home.iter().map(String::as_str).collect::<Vec<_>>()[..2], [own, want[0]]);
        // Elsewhere: only what the operator named, or the pool that it is one of.
        assert_eq!(names("openai", Some("own"), "http://other", &all), [own]);
        assert_eq!(names("openai", Some("b"), "http://other", &all).len(), 5);
        let live = [("OPENCLAW_LIVE_OPENAI_KEY", "live"), ("OPENAI_API_KEY", "k")];
        assert_eq!(names("openai", None, home, &live), ["OPENCLAW_LIVE_OPENAI_KEY=live"]);
        let google = [("GOOGLE_API_KEY", "g"), ("GEMINI_API_KEY", "m")];
        assert_eq!(names("google", None, "", &google), ["GEMINI_API_KEY=m", "GOOGLE_API_KEY=g"]);
        assert_eq!(names("my-box", None, "", &[("MY_BOX_API_KEY", "x")]), ["MY_BOX_API_KEY=x"]);
        let many = (0..100).map(|n| format!("k{n}"));
        let many = many.collect::<Vec<_>>().join(",");
        let found = names("openai", None, home, &[("OPENAI_API_KEYS", &many)]);
        assert_eq!(found.len(), crate::limits::PROVIDER_KEYS);
    }

    #[test]
    fn every_known_provider_can_be_called() {
        for known in KNOWN {
            crate::wire::url::Url::parse(known.base_url).unwrap();
            assert!(super::super::table::KEYS.iter().any(|key| {
                key.pattern == "models.providers.*.api"
                    && matches!(key.kind, super::super::table::Kind::Words(words)
                        if words.contains(&known.api))
            }));
        }
        let sorted = KNOWN.windows(2).all(|pair| pair[0].id < pair[1].id);
        assert!(sorted);
    }
}
