//! What a dialect must know of the model that it writes for.

use crate::agent::Thinking;
use crate::agent::turn::Thought;
use crate::config::Compat;

/// A model as a dialect sees it.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// Provider id.
    pub provider: String,
    /// The name the provider knows the model by.
    pub model: String,
    /// It thinks before it answers, and may be told how hard.
    pub reasoning: bool,
    /// Tokens of one answer at the most, if somebody said.
    pub max_tokens: Option<u64>,
    /// The dialect's inventor runs the server: what only it is known to take may be sent.
    pub native: bool,
    /// In what the endpoint differs.
    pub compat: Compat,
}

impl Spec {
    /// A model of which nothing else is known.
    #[cfg(test)]
    pub(super) fn named(provider: &str, model: &str) -> Self {
        Self { provider: provider.to_owned(), model: model.to_owned(), ..Self::default() }
    }

    /// `provider/model`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.provider, self.model)
    }

    /// Whether this model thought that: only its maker can read a thought's signature.
    pub(super) fn made(&self, thought: &Thought) -> bool {
        let (provider, model) = thought.by.split_once('/').unwrap_or_default();
        provider == self.provider && model == self.model
    }
}

/// OpenAI's word for a level: mapped by the endpoint's own table, else the nearest that it
/// takes. `None`: say nothing.
pub(super) fn effort(compat: &Compat, level: Thinking) -> Option<String> {
    const WORDS: [&str; 6] = ["minimal", "low", "medium", "high", "xhigh", "max"];
    if let Some(word) = compat.reasoning_effort_map.get(level.as_str()) {
        return Some(word.clone());
    }
    let takes = |word: &str| match compat.reasoning_efforts.as_slice() {
        [] => matches!(word, "minimal" | "low" | "medium" | "high"),
        some => some.iter().any(|known| known == word),
    };
    let want = match level {
        Thinking::Off => return takes("none").then(|| "none".to_owned()),
        Thinking::Adaptive => "medium",
        other => other.as_str(),
    };
    let at = WORDS.iter().position(|word| *word == want)?;
    let (below, above) = (WORDS.get(..=at)?, WORDS.get(at..)?);
    // Weaker before stronger: nobody pays for more than was asked, unless there is no less.
    let found = below.iter().rev().chain(above).find(|word| takes(word));
    found.map(|word| (*word).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_become_the_nearest_word_that_the_endpoint_takes() {
        let with = |efforts: &[&str]| Compat {
            reasoning_efforts: efforts.iter().map(|word| (*word).to_owned()).collect(),
            ..Compat::default()
        };
        for (efforts, level, want) in [
            (&[][..], Thinking::Off, None),
            (&[], Thinking::Minimal, Some("minimal")),
            (&[], Thinking::Max, Some("high")),
            (&[], Thinking::Adaptive, Some("medium")),
            (&["none", "low"], Thinking::Off, Some("none")),
            (&["low", "high", "xhigh"], Thinking::Minimal, Some("low")),
            (&["low", "high", "xhigh"], Thinking::Medium, Some("low")),
            (&["low", "high", "xhigh"], Thinking::Max, Some("xhigh")),
            (&["default"], Thinking::High, None),
        ] {
            assert_eq!(effort(&with(efforts), level).as_deref(), want, "{efforts:?} {level:?}");
        }
        let mut mapped = with(&[]);
        mapped.reasoning_effort_map.insert("off".to_owned(), "none".to_owned());
        assert_eq!(effort(&mapped, Thinking::Off).as_deref(), Some("none"));
    }

    #[test]
    fn a_thought_goes_back_only_to_its_maker() {
        let spec = Spec::named("openrouter", "anthropic/claude");
        let by = |by: &str| Thought { by: by.to_owned(), ..Thought::default() };
        assert!(spec.made(&by("openrouter/anthropic/claude")));
        assert!(!spec.made(&by("anthropic/claude")) && !spec.made(&by("")));
    }
}
