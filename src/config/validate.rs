//! The merged configuration against the key table. Every issue is collected, each with file,
//! line, key path, what was expected and the nearest valid key. No message quotes a value: what
//! stands at a wrong place may be a secret.

use std::collections::BTreeMap;

use serde_json::Value;

use super::known;
use super::load::ErrorKind;
use super::secrets::reference::is_provider;
use super::secrets::{Found, SecretRef};
use super::table::{self, Key, Kind, Status};
use super::tree::{Entry, Files, Kind as TreeKind, Place, Tree};
use crate::wire::json5::Step;
use crate::wire::text::nearest;
use crate::wire::url::{Scheme, Url, parse_host_port};

/// Checks all of it; what is wrong lands in `files`.
/// Returns the SecretRefs that are well written, to be resolved.
pub(super) fn validate(files: &mut Files<'_>, root: &Tree) -> Vec<Found> {
    let mut walk = Walk { files, root, path: Vec::new(), found: Vec::new() };
    match &root.kind {
        TreeKind::Map(entries) => walk.members(entries, ""),
        TreeKind::Broken => {}
        other => {
            let what = format!("expected an object with the sections, found {}", found(other));
            walk.error(root.place, what);
        }
    }
    walk.together();
    walk.found
}

struct Walk<'a, 'b> {
    files: &'a mut Files<'b>,
    root: &'a Tree,
    path: Vec<Step>,
    found: Vec<Found>,
}

impl Walk<'_, '_> {
    fn error(&mut self, at: Place, message: String) {
        self.files.error(ErrorKind::Invalid, at, &self.path, message);
    }

    fn members(&mut self, entries: &[Entry], pattern: &str) {
        for entry in entries {
            self.path.push(Step::Key(entry.key.clone()));
            match table::member(pattern, &entry.key) {
                Some(key) => self.check(&entry.value, key, entry.place),
                None => self.unknown(entry, pattern),
            }
            self.path.pop();
        }
    }

    fn unknown(&mut self, entry: &Entry, pattern: &str) {
        let what = match table::nearest(pattern, &entry.key) {
            Some(near) => format!("unknown key; did you mean {near}?"),
            None => {
                let names = table::children(pattern).map(Key::name).filter(|name| *name != "*");
                let names: Vec<&str> = names.take(12).collect();
                format!("unknown key; valid keys here begin with: {}", names.join(", "))
            }
        };
        self.error(entry.place, what);
    }

    /// `at` is where the key stands; what is said of a value points at the value.
    fn check(&mut self, tree: &Tree, key: &'static Key, at: Place) {
        if matches!(tree.kind, TreeKind::Broken) {
            return;
        }
        match key.status {
            Status::Acted => {}
            Status::Accepted => {
                let what = format!("is accepted but not acted on: {}", key.reason());
                self.files.warn(at, &self.path, what);
            }
            Status::Moved => {
                let what = format!("is now {}: openclaw doctor --fix", key.advice);
                return self.error(at, what);
            }
            Status::Security(harmless) => {
                let before = self.files.errors.len();
                self.typed(tree, key);
                if self.files.errors.len() == before && !is_harmless(&tree.to_value(), harmless) {
                    let what = format!(
                        "is a security setting that this gateway does not act on yet, so it does \
                         not start with it: {}",
                        key.advice
                    );
                    self.error(at, what);
                }
                return;
            }
        }
        self.typed(tree, key);
    }

    fn typed(&mut self, tree: &Tree, key: &'static Key) {
        match (key.kind, &tree.kind) {
            (Kind::Open, _) => {}
            (Kind::Object | Kind::Map, TreeKind::Map(entries)) => {
                self.members(entries, key.pattern);
                for missing in table::children(key.pattern).filter(|child| child.required) {
                    if tree.get(missing.name()).is_none() {
                        self.path.push(Step::Key(missing.name().to_owned()));
                        self.error(
                            tree.place,
                            format!("is missing: expected {}", expected(missing.kind)),
                        );
                        self.path.pop();
                    }
                }
            }
            (Kind::List, TreeKind::List(items)) => {
                let Some(element) = table::element(key.pattern) else { return };
                for (index, item) in items.iter().enumerate() {
                    self.path.push(Step::Index(index));
                    self.check(item, element, item.place);
                    self.path.pop();
                }
            }
            (
                Kind::Texts | Kind::Ids | Kind::WordList(_) | Kind::Origins,
                TreeKind::List(items),
            ) => {
                for (index, item) in items.iter().enumerate() {
                    self.path.push(Step::Index(index));
                    self.element(item, key.kind);
                    self.path.pop();
                }
            }
            (Kind::Secret, TreeKind::Map(entries)) => self.secret_ref(tree, entries),
            (Kind::Secret, TreeKind::Leaf(Value::String(text)))
                if SecretRef::shorthand(text).is_some() =>
            {
                if let Some(reference) = SecretRef::shorthand(text) {
                    self.keep_ref(tree, reference);
                }
            }
            (Kind::Model, TreeKind::Map(entries)) => self.model(entries),
            (Kind::Tools, TreeKind::Map(entries)) => self.tools(entries),
            (kind, TreeKind::Leaf(value)) if fits(kind, value) => {}
            (kind, other) => self.wrong(tree.place, kind, other),
        }
    }

    fn wrong(&mut self, at: Place, kind: Kind, other: &TreeKind) {
        let mut what = format!("expected {}, found {}", expected(kind), found(other));
        if let (Kind::Words(words), TreeKind::Leaf(Value::String(word))) = (kind, other) {
            what = format!("expected {}", expected(kind));
            if let Some(near) = nearest(word, words.iter().copied()) {
                what.push_str(&format!("; did you mean \"{near}\"?"));
            } else if let Some(alias) = bind_alias(words, word) {
                what.push_str(&format!("; that address is \"{alias}\""));
            }
        }
        self.error(at, what);
    }

    fn element(&mut self, item: &Tree, kind: Kind) {
        let ok = match (&item.kind, kind) {
            (TreeKind::Broken, _) => true,
            (TreeKind::Leaf(Value::String(word)), Kind::WordList(words)) => {
                words.contains(&word.as_str())
            }
            (TreeKind::Leaf(Value::String(text)), Kind::Origins) => origin(text).is_some(),
            (TreeKind::Leaf(Value::String(_)), _) => true,
            (TreeKind::Leaf(Value::Number(number)), Kind::Ids) => {
                number.is_i64() || number.is_u64()
            }
            _ => false,
        };
        if !ok {
            let what = match kind {
                Kind::WordList(words) => format!("expected one of {}", words.join(", ")),
                Kind::Origins => {
                    "expected an origin such as \"https://host.example:8443\", or \"*\"".to_owned()
                }
                Kind::Ids => format!("expected an id, found {}", found(&item.kind)),
                _ => format!("expected a string, found {}", found(&item.kind)),
            };
            self.error(item.place, what);
        }
    }

    fn model(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.path.push(Step::Key(entry.key.clone()));
            match (entry.key.as_str(), &entry.value.kind) {
                (_, TreeKind::Broken) => {}
                ("primary", TreeKind::Leaf(value)) if fits(Kind::Name, value) => {}
                ("primary", other) => self.wrong(entry.value.place, Kind::Model, other),
                ("fallbacks", TreeKind::List(items)) => {
                    for item in items {
                        self.element(item, Kind::Texts);
                    }
                }
                ("fallbacks", other) => self.wrong(entry.value.place, Kind::Texts, other),
                // The reference has it for image models.
                ("timeoutMs", TreeKind::Leaf(value)) if value.is_u64() => {
                    let what = "is accepted but not acted on: providers.<id>.timeoutSeconds counts";
                    self.files.warn(entry.place, &self.path, what.to_owned());
                }
                _ => self.error(entry.place, "unknown key; valid: primary, fallbacks".to_owned()),
            }
            self.path.pop();
        }
    }

    /// `{ allow, alsoAllow, deny }`.
    fn tools(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.path.push(Step::Key(entry.key.clone()));
            match (entry.key.as_str(), &entry.value.kind) {
                (_, TreeKind::Broken) => {}
                ("allow" | "alsoAllow" | "deny", TreeKind::List(items)) => {
                    for item in items {
                        self.element(item, Kind::Texts);
                    }
                }
                ("allow" | "alsoAllow" | "deny", other) => {
                    self.wrong(entry.value.place, Kind::Texts, other);
                }
                _ => {
                    let what = "unknown key; valid: allow, alsoAllow, deny";
                    self.error(entry.place, what.to_owned());
                }
            }
            self.path.pop();
        }
    }

    /// `{ source, provider, id }`: its form; what it stands for comes later.
    fn secret_ref(&mut self, tree: &Tree, entries: &[Entry]) {
        for entry in entries {
            if !matches!(entry.key.as_str(), "source" | "provider" | "id") {
                self.path.push(Step::Key(entry.key.clone()));
                let what = "unknown key of a SecretRef; valid: source, provider, id".to_owned();
                self.error(entry.place, what);
                self.path.pop();
            }
        }
        match SecretRef::of(&tree.to_value()) {
            Ok(reference) => self.keep_ref(tree, reference),
            Err(what) => self.error(tree.place, what),
        }
    }

    fn keep_ref(&mut self, tree: &Tree, reference: SecretRef) {
        self.found.push(Found { steps: self.path.clone(), place: tree.place, reference });
    }

    /// `allow` and `alsoAllow` of one scope contradict each other, as in the reference.
    fn tool_lists(&mut self) {
        let mut scopes: Vec<(Vec<Step>, &Tree)> = Vec::new();
        if let Some(tools) = self.root.get("tools") {
            scopes.push((steps(&["tools"]), tools));
        }
        let agents = self.root.get("agents");
        let below = |part: &str| agents.and_then(|agents| agents.get(part)).map(|it| &it.kind);
        if let Some(TreeKind::List(items)) = below("list") {
            for (index, item) in items.iter().enumerate() {
                let mut path = steps(&["agents", "list"]);
                path.extend([Step::Index(index), Step::Key("tools".to_owned())]);
                scopes.extend(item.get("tools").map(|tools| (path, tools)));
            }
        }
        if let Some(TreeKind::Map(entries)) = below("entries") {
            for entry in entries {
                let path = steps(&["agents", "entries", &entry.key, "tools"]);
                scopes.extend(entry.value.get("tools").map(|tools| (path, tools)));
            }
        }
        for at in 0..scopes.len() {
            let Some((path, tools)) = scopes.get(at).cloned() else { break };
            if let Some(TreeKind::Map(entries)) = tools.get("byProvider").map(|by| &by.kind) {
                for entry in entries {
                    let mut path = path.clone();
                    path.extend(steps(&["byProvider", &entry.key]));
                    scopes.push((path, &entry.value));
                }
            }
        }
        for (path, lists) in scopes {
            if let (Some(_), Some(also)) = (lists.get("allow"), lists.get("alsoAllow")) {
                self.path = path;
                self.path.push(Step::Key("alsoAllow".to_owned()));
                let what = "stands beside allow: put its entries into allow, or remove allow and \
                            set a profile";
                self.error(also.place, what.to_owned());
            }
        }
    }

    /// What no single key can know.
    fn together(&mut self) {
        self.providers();
        self.secret_providers();
        self.params();
        self.hooks();
        self.tool_lists();
        self.cron();
        self.heartbeats();
        self.proxies();
        self.page_path();
        self.channels();
        self.tailscale();
        let gateway = self.root.get("gateway");
        let bind = gateway.and_then(|g| g.get("bind"));
        if let Some(bind) = bind.filter(|bind| bind.as_str() == Some("custom"))
            && gateway.and_then(|g| g.get("customBindHost")).is_none()
        {
            self.path = steps(&["gateway", "customBindHost"]);
            let what = "is missing: gateway.bind is custom and needs an IPv4 address here";
            self.error(bind.place, what.to_owned());
        }
        self.path = steps(&["agents", "list"]);
        let mut seen: BTreeMap<String, ()> = BTreeMap::new();
        let mut defaults = 0;
        let agents = self.root.get("agents");
        let list = match agents.and_then(|a| a.get("list")).map(|list| &list.kind) {
            Some(TreeKind::List(items)) => items.as_slice(),
            _ => &[],
        };
        for (index, item) in list.iter().enumerate() {
            let Some(id) = item.get("id") else { continue };
            let normal = super::build::agent_id(id.as_str().unwrap_or_default());
            self.path.push(Step::Index(index));
            self.agent(id.place, normal, &mut seen, item, &mut defaults);
            self.path.pop();
        }
        self.path = steps(&["agents", "entries"]);
        if let Some(TreeKind::Map(entries)) =
            agents.and_then(|a| a.get("entries")).map(|entries| &entries.kind)
        {
            for entry in entries {
                let normal = super::build::agent_id(&entry.key);
                self.path.push(Step::Key(entry.key.clone()));
                self.agent(entry.place, normal, &mut seen, &entry.value, &mut defaults);
                self.path.pop();
            }
        }
    }

    /// Durations and sizes are words; numbers beside them are taken too.
    fn cron(&mut self) {
        let Some(cron) = self.root.get("cron") else { return };
        for (path, what) in super::cron::faults(&cron.to_value()) {
            let at = path.iter().try_fold(cron, |tree, key| tree.get(key)).unwrap_or(cron);
            self.path = steps(&["cron"]);
            self.path.extend(path.iter().map(|key| Step::Key((*key).to_owned())));
            self.error(at.place, what);
        }
    }

    /// The page's path stands in the document, and other doors have theirs.
    fn page_path(&mut self) {
        let page = self.root.get("gateway").and_then(|gateway| gateway.get("controlUi"));
        let Some(tree) = page.and_then(|page| page.get("basePath")) else { return };
        let path = super::build::base_path(tree.as_str().unwrap_or_default());
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
        let taken = ["v1", "tools", "hooks", "api"];
        let first = path.split('/').nth(1).unwrap_or_default();
        let what = if !path.chars().all(plain) || path.contains("//") || path.contains("..") {
            "must be a path of letters, digits, -, _, . and ~, such as /openclaw"
        } else if taken.contains(&first) {
            "must not be below /v1, /tools, /hooks or /api: those are other doors"
        } else {
            return;
        };
        self.path = steps(&["gateway", "controlUi", "basePath"]);
        self.error(tree.place, what.to_owned());
    }

    /// Channels that this program does not have, and policies that contradict themselves.
    fn channels(&mut self) {
        let Some(TreeKind::Map(entries)) = self.root.get("channels").map(|it| &it.kind) else {
            return;
        };
        for entry in entries {
            let pattern = format!("channels.{}", entry.key);
            if !table::KEYS.iter().any(|key| key.pattern == pattern) {
                self.path = steps(&["channels", &entry.key]);
                let what = "is accepted but not acted on: this program has no such channel";
                self.files.warn(entry.place, &self.path, what.to_owned());
            }
            let named = match entry.value.get("accounts").map(|it| &it.kind) {
                Some(TreeKind::Map(named)) => named.len(),
                _ => 0,
            };
            let most = crate::limits::CHANNEL_ACCOUNTS;
            if named > most {
                self.path = steps(&["channels", &entry.key, "accounts"]);
                let what = format!(
                    "has {named} accounts; {most} of a channel run, the default one and the \
                     first by name: remove some, or run them by another gateway"
                );
                self.files.warn(entry.place, &self.path, what);
            }
        }
    }

    /// Durations and times of the day are words.
    fn heartbeats(&mut self) {
        let Some(agents) = self.root.get("agents") else { return };
        let mut blocks = vec![(steps(&["agents", "defaults"]), agents.get("defaults"))];
        if let Some(TreeKind::List(items)) = agents.get("list").map(|list| &list.kind) {
            let path = |index| [steps(&["agents", "list"]), vec![Step::Index(index)]].concat();
            blocks.extend(items.iter().enumerate().map(|(index, it)| (path(index), Some(it))));
        }
        if let Some(TreeKind::Map(entries)) = agents.get("entries").map(|map| &map.kind) {
            let path = |key: &str| steps(&["agents", "entries", key]);
            blocks.extend(entries.iter().map(|it| (path(&it.key), Some(&it.value))));
        }
        for (path, block) in blocks {
            let Some(block) = block.and_then(|block| block.get("heartbeat")) else { continue };
            for (keys, what) in super::heartbeat::faults(&block.to_value()) {
                let at = keys.iter().try_fold(block, |tree, key| tree.get(key)).unwrap_or(block);
                self.path.clone_from(&path);
                self.path.extend(steps(&["heartbeat"]));
                self.path.extend(steps(&keys));
                self.error(at.place, what);
            }
        }
    }

    /// Addresses and header names of the proxies that vouch for clients.
    fn proxies(&mut self) {
        let Some(gateway) = self.root.get("gateway") else { return };
        for (path, what) in super::auth::faults(&gateway.to_value()) {
            let key = path.first().and_then(|key| gateway.get(key)).unwrap_or(gateway);
            self.path = steps(&["gateway"]);
            self.path.extend(steps(&path));
            self.error(key.place, what);
        }
    }

    /// What an operator has to type, since this gateway does not.
    fn tailscale(&mut self) {
        let Some(gateway) = self.root.get("gateway") else { return };
        for (path, what) in super::tailscale::warnings(&gateway.to_value()) {
            let key = path.iter().try_fold(gateway, |tree, key| tree.get(key)).unwrap_or(gateway);
            self.path = steps(&["gateway"]);
            self.path.extend(steps(&path));
            self.files.warn(key.place, &self.path, what);
        }
    }

    /// Hooks: what only several keys together say, and a token that is the gateway's own secret
    /// (as written; the door refuses one that came from elsewhere).
    fn hooks(&mut self) {
        let Some(hooks) = self.root.get("hooks") else { return };
        for (key, what) in super::doors::hook_faults(&hooks.to_value()) {
            self.path = steps(&["hooks", key]);
            self.error(hooks.get(key).unwrap_or(hooks).place, what);
        }
        let auth = self.root.get("gateway").and_then(|gateway| gateway.get("auth"));
        let Some(token) = hooks.get("token") else { return };
        for name in ["token", "password"] {
            let own = auth.and_then(|auth| auth.get(name));
            if own
                .is_some_and(|own| own.to_value() == token.to_value() && token.as_str() != Some(""))
            {
                self.path = steps(&["hooks", "token"]);
                let what = format!(
                    "is the same as gateway.auth.{name}: whoever may call a hook could do \
                     everything; set a secret of its own"
                );
                self.error(token.place, what);
            }
        }
    }

    /// A provider without address, which the reference may know from its catalogue, and models
    /// of providers that do not exist: no reason to refuse the start, but the first run would
    /// fail.
    fn providers(&mut self) {
        let listed = self.root.get("models").and_then(|models| models.get("providers"));
        let listed: &[Entry] = match listed.map(|providers| &providers.kind) {
            Some(TreeKind::Map(entries)) => entries,
            _ => &[],
        };
        for entry in listed {
            let nowhere = entry.value.get("baseUrl").is_none() && known::find(&entry.key).is_none();
            if nowhere && matches!(entry.value.kind, TreeKind::Map(_)) {
                self.path = steps(&["models", "providers", &entry.key]);
                let what = "has no baseUrl, so its models cannot be called: add baseUrl";
                self.files.warn(entry.place, &self.path, what.to_owned());
            }
        }
        let choice = self.root.get("agents").and_then(|a| a.get("defaults")?.get("model"));
        let Some(choice) = choice else { return };
        let primary = choice.get("primary").unwrap_or(choice);
        let fallbacks = match choice.get("fallbacks").map(|list| &list.kind) {
            Some(TreeKind::List(items)) => items.as_slice(),
            _ => &[],
        };
        for model in std::iter::once(primary).chain(fallbacks) {
            // A name without a slash is an alias; `local` is built in.
            let Some((provider, _)) = model.as_str().and_then(|name| name.split_once('/')) else {
                continue;
            };
            let listed = listed.iter().any(|entry| entry.key == provider);
            if provider != "local" && !listed && known::find(provider).is_none() {
                self.path = steps(&["agents", "defaults", "model"]);
                let what = "names a provider that is not in models.providers";
                self.files.warn(model.place, &self.path, what.to_owned());
            }
        }
    }

    /// What an entry of `secrets.providers` needs besides its source, and what its name may be.
    fn secret_providers(&mut self) {
        let section = self.root.get("secrets").and_then(|secrets| secrets.get("providers"));
        let Some(TreeKind::Map(entries)) = section.map(|section| &section.kind) else { return };
        for entry in entries {
            self.path = steps(&["secrets", "providers", &entry.key]);
            if !is_provider(&entry.key) {
                let what = "expected the name of a provider: a small letter, then small letters, \
                            digits, `-` and `_`, at most 64";
                self.error(entry.place, what.to_owned());
            }
            let needs = match entry.value.get("source").and_then(Tree::as_str) {
                Some("file") => "path",
                Some("exec") => "command",
                _ => continue,
            };
            if entry.value.get(needs).is_none() {
                self.path.push(Step::Key(needs.to_owned()));
                self.error(entry.place, "is missing: expected an absolute path".to_owned());
            }
        }
    }

    /// Parameters of model requests that have no effect here.
    fn params(&mut self) {
        let Some(agents) = self.root.get("agents") else { return };
        let mut owners: Vec<(Vec<Step>, &Tree)> = Vec::new();
        if let Some(defaults) = agents.get("defaults") {
            owners.push((steps(&["agents", "defaults"]), defaults));
        }
        if let Some(TreeKind::List(items)) = agents.get("list").map(|list| &list.kind) {
            for (at, item) in items.iter().enumerate() {
                let mut path = steps(&["agents", "list"]);
                path.push(Step::Index(at));
                owners.push((path, item));
            }
        }
        if let Some(TreeKind::Map(entries)) = agents.get("entries").map(|list| &list.kind) {
            for entry in entries {
                owners.push((steps(&["agents", "entries", &entry.key]), &entry.value));
            }
        }
        let mut places = Vec::new();
        for (path, owner) in owners {
            let inner = |keys: &[&str]| [path.clone(), steps(keys)].concat();
            places.extend(owner.get("params").map(|params| (inner(&["params"]), params)));
            let Some(models) = owner.get("models") else { continue };
            let TreeKind::Map(models) = &models.kind else { continue };
            for entry in models {
                let params = entry.value.get("params");
                places.extend(params.map(|it| (inner(&["models", &entry.key, "params"]), it)));
            }
        }
        for (path, params) in places {
            let TreeKind::Map(entries) = &params.kind else { continue };
            for entry in entries {
                if !super::Agents::PARAMS.contains(&entry.key.as_str()) {
                    let path: Vec<Step> =
                        path.iter().cloned().chain([Step::Key(entry.key.clone())]).collect();
                    let what = "has no effect yet: no request carries it";
                    self.files.warn(entry.place, &path, what.to_owned());
                }
            }
        }
    }

    fn agent(
        &mut self,
        at: Place,
        id: Option<String>,
        seen: &mut BTreeMap<String, ()>,
        agent: &Tree,
        defaults: &mut usize,
    ) {
        match id {
            None => {
                let what = "expected an agent id of 1 to 64 letters, digits, `-` and `_`";
                self.error(at, what.to_owned());
            }
            Some(id) if seen.insert(id.clone(), ()).is_some() => {
                let what =
                    format!("the agent id {id} stands twice (ids are compared in lower case)");
                self.error(at, what);
            }
            Some(_) => {}
        }
        let marked = agent.get("default").map(|flag| &flag.kind);
        if matches!(marked, Some(TreeKind::Leaf(Value::Bool(true)))) {
            *defaults += 1;
            if *defaults == 2 {
                let what = "is a second default agent: the first one is used";
                self.files.warn(at, &self.path, what.to_owned());
            }
        }
    }
}

fn steps(keys: &[&str]) -> Vec<Step> {
    keys.iter().map(|key| Step::Key((*key).to_owned())).collect()
}

/// Equal to one of the harmless texts; or an object that one of them switches off as a whole,
/// whatever else it says.
fn is_harmless(value: &Value, harmless: &[&str]) -> bool {
    let text = value.to_string();
    harmless.iter().any(|known| {
        let off = match *known {
            "{\"enabled\":false}" => value.get("enabled") == Some(&Value::Bool(false)),
            "{\"mode\":\"off\"}" => value.get("mode").and_then(Value::as_str) == Some("off"),
            _ => false,
        };
        off || *known == text
    })
}

/// Old configurations wrote the address itself into `gateway.bind`.
fn bind_alias(words: &[&str], word: &str) -> Option<&'static str> {
    if !words.contains(&"loopback") {
        return None;
    }
    match word {
        "127.0.0.1" | "::1" | "localhost" => Some("loopback"),
        "0.0.0.0" | "::" => Some("lan"),
        _ => None,
    }
}

/// A browser origin in lower case without a slash at the end; `None` when it is none.
pub(super) fn origin(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix('/').unwrap_or(&text);
    if text == "*" {
        return Some(text.to_owned());
    }
    let (scheme, rest) = text.split_once("://")?;
    let plain = !scheme.is_empty()
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    (plain && parse_host_port(rest).is_some()).then(|| text.to_owned())
}

fn fits(kind: Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Open, _)
        | (Kind::Bool, Value::Bool(_))
        | (Kind::Text | Kind::Secret, Value::String(_)) => true,
        (Kind::Name | Kind::Model, Value::String(text)) => !text.trim().is_empty(),
        (Kind::Words(words), Value::String(word)) => words.contains(&word.as_str()),
        (Kind::Integer(least, most), Value::Number(number)) => {
            number.as_u64().is_some_and(|n| (least..=most).contains(&n))
        }
        (Kind::Number, Value::Number(number)) => number.as_f64().is_some_and(|n| n >= 0.0),
        (Kind::HttpUrl, Value::String(text)) => {
            Url::parse(text).is_ok_and(|url| matches!(url.scheme, Scheme::Http | Scheme::Https))
        }
        (Kind::WsUrl, Value::String(text)) => {
            Url::parse(text).is_ok_and(|url| matches!(url.scheme, Scheme::Ws | Scheme::Wss))
        }
        (Kind::Ipv4, Value::String(text)) => text.parse::<std::net::Ipv4Addr>().is_ok(),
        (Kind::Fingerprint, Value::String(text)) => {
            text.is_empty() || super::tls::fingerprint(text).is_some()
        }
        (Kind::HeaderOrFalse, Value::String(text)) => {
            !text.trim().is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        }
        (Kind::HeaderOrFalse, Value::Bool(on)) => !on,
        _ => false,
    }
}

fn expected(kind: Kind) -> String {
    match kind {
        Kind::Object | Kind::Map => "an object".to_owned(),
        Kind::List => "an array".to_owned(),
        Kind::Open => "a value".to_owned(),
        Kind::Text => "a string".to_owned(),
        Kind::Name => "a string that is not empty".to_owned(),
        Kind::Texts | Kind::WordList(_) => "an array of strings".to_owned(),
        Kind::Ids => "an array of ids".to_owned(),
        Kind::Tools => "{ allow, alsoAllow, deny }, arrays of tool names".to_owned(),
        Kind::Origins => "an array of origins".to_owned(),
        Kind::Words(words) => format!("one of {}", words.join(", ")),
        Kind::Bool => "true or false".to_owned(),
        Kind::Integer(least, most) if most >= 9_007_199_254_740_991 => {
            format!("a whole number of at least {least}")
        }
        Kind::Integer(least, most) => format!("a whole number from {least} to {most}"),
        Kind::Number => "a number of at least 0".to_owned(),
        Kind::Secret => {
            "a string, or { source: \"env\" | \"file\" | \"exec\", provider, id }".to_owned()
        }
        Kind::Model => "\"provider/model\", or { primary, fallbacks }".to_owned(),
        Kind::HttpUrl => "an address that begins with http:// or https://".to_owned(),
        Kind::WsUrl => "an address that begins with ws:// or wss://".to_owned(),
        Kind::Ipv4 => "an IPv4 address such as 192.168.1.10".to_owned(),
        Kind::Fingerprint => {
            "the SHA-256 of a certificate, 64 hexadecimal digits, colons allowed".to_owned()
        }
        Kind::HeaderOrFalse => {
            "a header's value in visible ASCII such as \"max-age=31536000\", or false".to_owned()
        }
    }
}

/// The type of what stands there, never the value.
fn found(kind: &TreeKind) -> &'static str {
    match kind {
        TreeKind::List(_) => "an array",
        TreeKind::Map(_) => "an object",
        TreeKind::Broken | TreeKind::Leaf(Value::Null) => "null",
        TreeKind::Leaf(Value::Bool(_)) => "a boolean",
        TreeKind::Leaf(Value::Number(number)) if number.is_f64() => "a fraction",
        TreeKind::Leaf(Value::Number(_)) => "a number",
        TreeKind::Leaf(Value::String(text)) if text.is_empty() => "an empty string",
        TreeKind::Leaf(_) => "a string",
    }
}
