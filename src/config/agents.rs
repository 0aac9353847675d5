//! Section `agents` of the typed configuration: who answers, with which model, from which
//! workspace, shown what.
//!
//! What an agent may say for itself and what `agents.defaults` says for all of them is one
//! struct, [`Profile`]; a question such as [`Agents::skills`] looks at the agent first.

use super::Heartbeat;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Parameters of a model request by name, such as `temperature` and `maxTokens`.
pub type ModelParams = Map<String, Value>;

/// Section `agents`.
#[derive(Debug, Clone)]
pub struct Agents {
    /// What an agent has unless it says otherwise.
    pub defaults: AgentDefaults,
    /// Configured agents: of `agents.list` in the order written, of `agents.entries` by id;
    /// may be empty.
    pub list: Vec<Agent>,
    /// They stand under `agents.entries`, the newer form, whose workspaces are told apart by id
    /// whoever is the default.
    pub by_entries: bool,
}

/// `agents.defaults`.
#[derive(Debug, Clone)]
pub struct AgentDefaults {
    /// The shared workspace, or the root of the agents' own; `~` is already expanded.
    pub workspace: Option<PathBuf>,
    /// `OPENCLAW_WORKSPACE_DIR`: in place of `<state>/workspace`.
    pub workspace_dir: Option<PathBuf>,
    /// Which model.
    pub model: ModelChoice,
    /// Which model takes images where the agent's own does not.
    pub image_model: ModelChoice,
    /// Aliases by `provider/model`, from `agents.defaults.models`.
    pub aliases: BTreeMap<String, String>,
    /// Time for one run.
    pub timeout_seconds: u64,
    /// Runs at once, all agents together.
    pub max_concurrent: u32,
    /// `agents.defaults.systemAgent.agentId`: the default agent of `agents.entries`.
    pub system_agent: Option<String>,
    /// New workspaces are not given their first files.
    pub skip_bootstrap: bool,
    /// Of those files, these are left out.
    pub skip_files: Vec<String>,
    /// Shown in the prompt's runtime line; found by walking up from the workspace when absent.
    pub repo_root: Option<PathBuf>,
    /// IANA name of the person's time zone.
    pub user_timezone: Option<String>,
    /// `agents.defaults.compaction`.
    pub compaction: Compaction,
    /// How an agent beats that has no block of its own.
    pub heartbeat: Heartbeat,
    /// `agents.defaults.heartbeat.agentId`: the one that beats when none has a block of its own.
    pub heartbeat_agent: Option<String>,
    /// What any agent has unless it says otherwise.
    pub profile: Profile,
}

/// `agents.defaults.compaction`: when and how a conversation is made shorter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compaction {
    /// Before a run whose context is too long; after a refusal, and by command, it is anyway.
    pub enabled: bool,
    /// Kept free of the window for the answer; at most a quarter of it counts.
    pub reserve_tokens: Option<u64>,
    /// What stays as it was said.
    pub keep_recent_tokens: u64,
    /// Who writes the summary; the session's model when absent.
    pub model: Option<String>,
}

impl Default for Compaction {
    fn default() -> Self {
        Self { enabled: true, reserve_tokens: None, keep_recent_tokens: 20_000, model: None }
    }
}

/// What an agent may set for itself, else `agents.defaults` for all.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// The only skills that are shown; `None` shows all, empty none.
    pub skills: Option<Vec<String>>,
    /// Parameters of every model request.
    pub params: ModelParams,
    /// Parameters of requests to one model, by `provider/model`.
    pub model_params: BTreeMap<String, ModelParams>,
    /// `thinkingDefault`: `off`, `low`, ...
    pub thinking: Option<String>,
    /// Tokens of context to use at most, whatever the model takes.
    pub context_tokens: Option<u64>,
    /// Characters of one workspace file in the prompt.
    pub bootstrap_max_chars: Option<usize>,
    /// Characters of all of them.
    pub bootstrap_total_max_chars: Option<usize>,
    /// Whether workspace files go into the prompt.
    pub injection: Option<Injection>,
    /// Characters of the list of skills in the prompt.
    pub skills_chars: Option<usize>,
}

/// `contextInjection`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injection {
    /// In every turn.
    Always,
    /// Never.
    Never,
}

/// A model and what to try when it fails; each is `provider/model` or an alias.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelChoice {
    /// First choice; `None` falls back to the embedded `local/echo`.
    pub primary: Option<String>,
    /// Then these, in order.
    pub fallbacks: Vec<String>,
}

/// `agents.list[]` or `agents.entries.<id>`.
#[derive(Debug, Clone, Default)]
pub struct Agent {
    /// Normalised id: lower case letters, digits, `_` and `-`.
    pub id: String,
    /// The one that answers when nobody is named.
    pub default: bool,
    /// For people.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Where its files live.
    pub workspace: Option<PathBuf>,
    /// Instead of the defaults' choice.
    pub model: Option<ModelChoice>,
    /// How it shows itself.
    pub identity: Identity,
    /// How it beats, over `agents.defaults.heartbeat`; `None` without a block of its own.
    pub heartbeat: Option<Heartbeat>,
    /// The rest.
    pub profile: Profile,
    /// Which tools it has, on top of `tools`.
    pub tools: super::ToolPolicy,
    /// How it is in groups, over `messages.groupChat`.
    pub group_chat: GroupChat,
}

/// `groupChat` of an agent or of `messages`; `None` is not written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupChat {
    /// `mentionPatterns`; an empty list is a list.
    pub mention_patterns: Option<Vec<String>>,
    /// `historyLimit`: messages of a group that the bot was not meant by and is told with the
    /// next one.
    pub history_limit: Option<u64>,
    /// `unmentionedInbound` is `room_event`: what nobody addressed to the bot is told quietly.
    pub room_events: Option<bool>,
    /// `visibleReplies` is `message_tool`: only the tool speaks.
    pub by_tool: Option<bool>,
}

/// `identity`: each part falls back to `IDENTITY.md` of the workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the key of its name")]
pub struct Identity {
    pub name: Option<String>,
    pub theme: Option<String>,
    pub emoji: Option<String>,
    /// A path in the workspace, an `http(s)` address or a `data:` URI.
    pub avatar: Option<String>,
}

/// The agent of a configuration that lists none.
pub const MAIN_AGENT: &str = "main";
/// `bootstrapMaxChars` when nobody says (the reference's).
pub const BOOTSTRAP_MAX_CHARS: usize = 20_000;
/// `bootstrapTotalMaxChars` when nobody says (the reference's).
pub const BOOTSTRAP_TOTAL_MAX_CHARS: usize = 60_000;
/// `skills.limits.maxSkillsPromptChars` when nobody says (the reference's).
pub const SKILLS_PROMPT_CHARS: usize = 18_000;

impl Agents {
    /// Who answers when nobody is named: marked `default`, else the system agent, else (of
    /// entries, which have no order) `main`, else the first; `main` when none is configured.
    pub fn default_agent(&self) -> &str {
        let find = |id: &str| self.list.iter().find(|agent| agent.id == id);
        let marked = self.list.iter().find(|agent| agent.default);
        let system = || self.defaults.system_agent.as_deref().and_then(find);
        let main = || find(MAIN_AGENT).filter(|_| self.by_entries);
        let found = marked.or_else(system).or_else(main).or(self.list.first());
        found.map_or(MAIN_AGENT, |agent| &agent.id)
    }

    /// A configured agent; `None` also for the implied `main` of an empty list.
    pub fn agent(&self, id: &str) -> Option<&Agent> {
        self.list.iter().find(|agent| agent.id == id)
    }

    /// True when `id` may be named in a request.
    pub fn has(&self, id: &str) -> bool {
        if self.list.is_empty() { id == MAIN_AGENT } else { self.agent(id).is_some() }
    }

    /// Every id, never empty.
    pub fn agent_ids(&self) -> Vec<&str> {
        if self.list.is_empty() {
            return vec![MAIN_AGENT];
        }
        self.list.iter().map(|agent| agent.id.as_str()).collect()
    }

    /// How an agent beats; also for one whose beats do not come by themselves.
    pub fn heartbeat(&self, id: &str) -> &Heartbeat {
        let own = self.agent(id).and_then(|agent| agent.heartbeat.as_ref());
        own.unwrap_or(&self.defaults.heartbeat)
    }

    /// Whether an agent's beats come by themselves: it has a block of its own, or nobody has and
    /// it is the one that beats for all.
    pub fn beats(&self, id: &str) -> bool {
        if self.heartbeat(id).every_ms == 0 {
            return false;
        }
        if self.list.iter().any(|agent| agent.heartbeat.is_some()) {
            return self.agent(id).is_some_and(|agent| agent.heartbeat.is_some());
        }
        let named = self.defaults.heartbeat_agent.as_deref().filter(|id| self.has(id));
        named.unwrap_or(self.default_agent()) == id
    }

    /// The choice of an agent: its own, else the defaults'.
    pub fn model_of(&self, id: &str) -> &ModelChoice {
        self.agent(id).and_then(|agent| agent.model.as_ref()).unwrap_or(&self.defaults.model)
    }

    /// Where an agent's files live. One agent alone has the shared root. Of several in
    /// `agents.list` the default one has it; in `agents.entries` nobody has, so that another
    /// default moves no files. The others have a directory by their id.
    pub fn workspace(&self, id: &str, state_dir: &Path) -> PathBuf {
        if let Some(own) = self.agent(id).and_then(|agent| agent.workspace.as_ref()) {
            return own.clone();
        }
        let root = self.defaults.workspace.as_ref();
        let owner = self.list.len() <= 1 || !self.by_entries && id == self.default_agent();
        match (root.or(self.defaults.workspace_dir.as_ref()), owner) {
            (Some(root), true) => root.clone(),
            (None, true) => state_dir.join("workspace"),
            (_, false) => match root {
                Some(root) => root.join(id),
                None => state_dir.join(format!("workspace-{id}")),
            },
        }
    }

    /// Names of [`Agents::params`] that this gateway acts on.
    pub const PARAMS: [&str; 10] = [
        "temperature",
        "topP",
        "top_p",
        "maxTokens",
        "max_tokens",
        "frequencyPenalty",
        "presencePenalty",
        "seed",
        "stop",
        "thinking",
    ];

    /// What an agent says for itself, else what is said for all.
    fn of<T>(&self, id: &str, part: impl Fn(&Profile) -> Option<T>) -> Option<T> {
        let own = self.agent(id).and_then(|agent| part(&agent.profile));
        own.or_else(|| part(&self.defaults.profile))
    }

    /// The only skills an agent is shown; `None` means all.
    pub fn skills(&self, id: &str) -> Option<Vec<String>> {
        self.of(id, |profile| profile.skills.clone())
    }

    /// Characters of one file and of all files of its workspace in an agent's prompt.
    pub fn bootstrap_chars(&self, id: &str) -> (usize, usize) {
        let one = self.of(id, |profile| profile.bootstrap_max_chars);
        let all = self.of(id, |profile| profile.bootstrap_total_max_chars);
        (one.unwrap_or(BOOTSTRAP_MAX_CHARS), all.unwrap_or(BOOTSTRAP_TOTAL_MAX_CHARS))
    }

    /// Whether an agent's prompt holds the files of its workspace.
    pub fn injects(&self, id: &str) -> bool {
        self.of(id, |profile| profile.injection) != Some(Injection::Never)
    }

    /// Characters of the list of skills, when the agent has a bound of its own.
    pub fn skills_chars(&self, id: &str) -> Option<usize> {
        self.of(id, |profile| profile.skills_chars)
    }

    /// Tokens of context an agent uses at most, if somebody said.
    pub fn context_tokens(&self, id: &str) -> Option<u64> {
        self.of(id, |profile| profile.context_tokens)
    }

    /// Parameters of a request to `provider/model`, by the reference's layers: all models, that
    /// model, that model of this agent, this agent.
    pub fn params(&self, id: &str, model: &str) -> ModelParams {
        let own = self.agent(id).map(|agent| &agent.profile);
        let shared = &self.defaults.profile;
        let layers = [
            Some(&shared.params),
            shared.model_params.get(model),
            own.and_then(|own| own.model_params.get(model)),
            own.map(|own| &own.params),
        ];
        let mut params = ModelParams::new();
        for layer in layers.into_iter().flatten() {
            params.extend(layer.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        params
    }

    /// The thinking level of an agent with a model when nobody asks for one: the agent's, the
    /// model's `params.thinking`, the defaults'.
    pub fn thinking(&self, id: &str, model: &str) -> Option<String> {
        let own = self.agent(id).and_then(|agent| agent.profile.thinking.clone());
        let of_model = || Some(self.params(id, model).get("thinking")?.as_str()?.to_owned());
        own.or_else(of_model).or_else(|| self.defaults.profile.thinking.clone())
    }
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            defaults: AgentDefaults {
                workspace: None,
                workspace_dir: None,
                model: ModelChoice::default(),
                image_model: ModelChoice::default(),
                aliases: BTreeMap::new(),
                timeout_seconds: 172_800,
                max_concurrent: 128,
                system_agent: None,
                skip_bootstrap: false,
                skip_files: Vec::new(),
                repo_root: None,
                user_timezone: None,
                compaction: Compaction::default(),
                heartbeat: Heartbeat::default(),
                heartbeat_agent: None,
                profile: Profile::default(),
            },
            list: Vec::new(),
            by_entries: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Source, check};
    use crate::config::{Flags, Paths};
    use serde_json::json;

    struct Nothing;

    impl Source for Nothing {
        fn read(&self, _: &Path) -> std::io::Result<Option<Vec<u8>>> {
            Ok(None)
        }
        fn digest(&self, _: &[u8]) -> String {
            String::new()
        }
    }

    fn agents(text: &str, env: &[(&str, &str)]) -> Agents {
        let mut all = BTreeMap::from([("HOME".to_owned(), "/h".to_owned())]);
        all.extend(env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let paths = Paths::resolve(&all, &Flags::default()).unwrap();
        check(&Nothing, &all, &paths, text).unwrap().config.agents.clone()
    }

    #[test]
    fn every_agent_has_a_workspace_of_its_own() {
        let table = [
            ("{}", "main", "/s/workspace"),
            ("{agents: {defaults: {workspace: '~/w'}}}", "main", "/h/w"),
            ("{agents: {list: [{id: 'a'}]}}", "a", "/s/workspace"),
            ("{agents: {list: [{id: 'a'}, {id: 'b'}]}}", "a", "/s/workspace"),
            ("{agents: {list: [{id: 'a'}, {id: 'b'}]}}", "b", "/s/workspace-b"),
            ("{agents: {list: [{id: 'a'}, {id: 'b', workspace: '/b'}]}}", "b", "/b"),
            ("{agents: {defaults: {workspace: '/w'}, list: [{id: 'a'}, {id: 'b'}]}}", "b", "/w/b"),
            ("{agents: {entries: {a: {}, b: {}}}}", "a", "/s/workspace-a"),
            ("{agents: {defaults: {workspace: '/w'}, entries: {a: {}, b: {}}}}", "a", "/w/a"),
            ("{agents: {entries: {a: {}}}}", "a", "/s/workspace"),
        ];
        for (text, id, want) in table {
            let found = agents(text, &[]).workspace(id, Path::new("/s"));
            assert_eq!(found, Path::new(want), "{text} {id}");
        }
        let env = [("OPENCLAW_WORKSPACE_DIR", " ~/env ")];
        assert_eq!(agents("{}", &env).workspace("main", Path::new("/s")), Path::new("/h/env"));
        let named = agents("{agents: {defaults: {workspace: '/w'}}}", &env);
        assert_eq!(named.workspace("main", Path::new("/s")), Path::new("/w"));
    }

    #[test]
    fn blocks_of_their_own_decide_who_beats() {
        let table = [
            ("{}", "main"),
            ("{agents: {list: [{id: 'a'}, {id: 'b', default: true}]}}", "b"),
            ("{agents: {list: [{id: 'a'}, {id: 'b', heartbeat: {}}]}}", "b"),
            ("{agents: {entries: {a: {heartbeat: {every: '1h'}}, b: {heartbeat: {}}}}}", "a b"),
            ("{agents: {defaults: {heartbeat: {every: '0m'}}}}", ""),
            (
                "{agents: {defaults: {heartbeat: {every: '0m'}}, list: [{id: 'a', heartbeat: \
              {every: '5m'}}, {id: 'b', heartbeat: {}}]}}",
                "a",
            ),
            (
                "{agents: {defaults: {heartbeat: {agentId: 'B'}}, list: [{id: 'a'}, {id: 'b'}]}}",
                "b",
            ),
            (
                "{agents: {defaults: {heartbeat: {agentId: 'x'}}, list: [{id: 'a'}, {id: 'b'}]}}",
                "a",
            ),
        ];
        for (text, want) in table {
            let agents = agents(text, &[]);
            let ids = agents.agent_ids().into_iter();
            let beating: Vec<&str> = ids.filter(|id| agents.beats(id)).collect();
            assert_eq!(beating.join(" "), want, "{text}");
        }
        let text = "{agents: {defaults: {timeoutSeconds: 9, heartbeat: {every: '1h', prompt: 'p'}}, \
            list: [{id: 'a', heartbeat: {every: '5m'}}]}}";
        let agents = agents(text, &[]);
        let own = agents.heartbeat("a");
        assert_eq!(
            (own.every_ms, own.prompt.as_str(), own.timeout_ms),
            (300_000, "p", Some(9_000))
        );
        assert_eq!(agents.heartbeat("b").every_ms, 3_600_000);
    }

    #[test]
    fn the_default_agent_is_found_in_both_forms() {
        let table = [
            ("{}", "main"),
            ("{agents: {list: [{id: 'z'}, {id: 'main'}]}}", "z"),
            ("{agents: {list: [{id: 'z'}, {id: 'b', default: true}]}}", "b"),
            ("{agents: {entries: {a: {}, main: {}}}}", "main"),
            ("{agents: {entries: {b: {}, c: {}}}}", "b"),
            ("{agents: {defaults: {systemAgent: {agentId: 'C'}}, entries: {b: {}, c: {}}}}", "c"),
            ("{agents: {defaults: {systemAgent: {agentId: 'x'}}, entries: {b: {}}}}", "b"),
        ];
        for (text, want) in table {
            assert_eq!(agents(text, &[]).default_agent(), want, "{text}");
        }
    }

    #[test]
    fn what_an_agent_says_wins_over_what_is_said_for_all() {
        let agents = agents(
            "{agents: {defaults: {skills: ['a'], thinkingDefault: 'low', contextTokens: 9,
                params: {temperature: 1, top: 1}, contextInjection: 'never',
                models: {'p/m': {params: {temperature: 2, thinking: 'high'}}},
                modelPolicy: {allow: []}},
              entries: {main: {}, b: {skills: [], params: {temperature: 4},
                models: {'p/m': {params: {temperature: 3, x: 1}}}, contextInjection: 'always',
                bootstrapMaxChars: 5, thinkingDefault: 'off',
                identity: {name: ' Bee ', emoji: ''}}}}}",
            &[],
        );
        assert_eq!(agents.skills("main"), Some(vec!["a".to_owned()]));
        assert_eq!(agents.skills("b"), Some(Vec::new()));
        let want = json!({"temperature": 2, "top": 1, "thinking": "high"});
        assert_eq!(Value::Object(agents.params("main", "p/m")), want);
        let want = json!({"temperature": 4, "top": 1, "thinking": "high", "x": 1});
        assert_eq!(Value::Object(agents.params("b", "p/m")), want);
        assert_eq!(agents.thinking("main", "p/m").as_deref(), Some("high"));
        assert_eq!(agents.thinking("main", "p/n").as_deref(), Some("low"));
        assert_eq!(agents.thinking("b", "p/m").as_deref(), Some("off"));
        assert_eq!(agents.context_tokens("b"), Some(9));
        assert_eq!(agents.bootstrap_chars("b"), (5, BOOTSTRAP_TOTAL_MAX_CHARS));
        assert!(!agents.injects("main") && agents.injects("b"));
        let identity = &agents.agent("b").unwrap().identity;
        assert_eq!((identity.name.as_deref(), identity.emoji.as_deref()), (Some("Bee"), None));
    }
}
