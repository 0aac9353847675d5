use super::super::SessionScope;
use super::super::snapshot::{AuthMode, Bind, LogLevel, Mode, ReloadMode};
use super::super::{Api, Flags};
use super::*;

const ROOT: &str = "/h/.openclaw/openclaw.json";

/// Files in memory; `links` are symbolic links.
#[derive(Default)]
pub(super) struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
    links: BTreeMap<PathBuf, PathBuf>,
}

impl Source for Memory {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        if path.ends_with("locked") {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        Ok(self.files.get(self.links.get(path).map_or(path, PathBuf::as_path)).cloned())
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(self.links.get(path).cloned().unwrap_or_else(|| path.to_path_buf()))
    }

    fn digest(&self, bytes: &[u8]) -> String {
        format!("digest of {}", bytes.len())
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn paths() -> Paths {
    Paths::resolve(&map(&[("HOME", "/h")]), &Flags::default()).unwrap()
}

fn memory(files: &[(&str, &str)]) -> Memory {
    let files = files
        .iter()
        .map(|(path, text)| (Path::new("/h/.openclaw").join(path), text.as_bytes().to_vec()));
    Memory { files: files.collect(), ..Memory::default() }
}

fn load_with(files: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    load(&memory(files), &map(env), &paths())
}

fn load_text(text: &str) -> Result<Loaded, ConfigError> {
    load_with(&[("openclaw.json", text)], &[])
}

#[test]
fn no_file_is_the_defaults() {
    let loaded = load_with(&[], &[("A", "1")]).unwrap();
    assert!(!loaded.config.source.exists && loaded.config.gateway.mode.is_none());
    assert_eq!(loaded.config.source.path, Path::new(ROOT));
    assert_eq!(loaded.files, [Path::new(ROOT), Path::new("/h/.openclaw/.env")]);
    assert_eq!(loaded.env, map(&[("A", "1")]));
}

#[test]
fn a_full_file() {
    let loaded = load_text(
        r#"{ // everything we act on
        gateway: {
            mode: 'local', port: 19000, bind: 'custom', customBindHost: '192.168.1.9',
            handshakeTimeoutMs: 5000, auth: { mode: 'password', token: 't', password: 'p' },
            http: { endpoints: { responses: { enabled: false } } },
            controlUi: { enabled: false, basePath: 'ui/', allowedOrigins: ['HTTPS://A.example/'] },
            reload: { mode: 'hot', debounceMs: 1, deferralTimeoutMs: 2 },
            remote: { url: 'wss://b', token: 'rt' },
        },
        models: { providers: { p: {
            baseUrl: 'https://x/v1//', apiKey: 'k', api: 'anthropic-messages', authHeader: false,
            timeoutSeconds: 9, headers: { A: 'h' }, request: { headers: { B: 'i' } },
            models: [{ id: 'm', cost: { input: 1.5 } }, { id: 'n', name: 'N', contextWindow: 7 }],
        } } },
        agents: {
            defaults: { workspace: '~/w', model: 'p/m', models: { 'p/m': { alias: 'fast' } },
                timeoutSeconds: 5, maxConcurrent: 2 },
            list: [{ id: 'Ops', name: 'O' },
                { id: 'b', default: true, model: { fallbacks: ['p/n'] } }],
            entries: { c: { workspace: '/w' } },
        },
        session: { scope: 'global', mainKey: 'Main2' },
        logging: { level: 'debug', consoleLevel: 'silent', file: '~/l', maxFileBytes: 10 },
    }"#,
    )
    .unwrap();
    let Config { gateway, models, agents, session, logging, .. } = &*loaded.config;
    assert_eq!(gateway.mode, Some(Mode::Local));
    assert_eq!((gateway.port, gateway.bind), (Some(19_000), Bind::Custom));
    assert_eq!(gateway.custom_bind_host.as_deref(), Some("192.168.1.9"));
    assert_eq!(gateway.handshake_timeout_ms, 5000);
    assert_eq!(gateway.auth.mode, Some(AuthMode::Password));
    assert_eq!(gateway.auth.password.as_ref().map(|s| s.expose()), Some("p"));
    let endpoints = &gateway.endpoints;
    assert!(endpoints.chat_completions.enabled && !endpoints.responses.enabled);
    assert!(!gateway.control_ui.enabled);
    assert_eq!(gateway.control_ui.base_path, "/ui");
    assert_eq!(gateway.control_ui.allowed_origins, ["https://a.example"]);
    assert_eq!((gateway.reload.mode, gateway.reload.debounce_ms), (ReloadMode::Hot, 1));
    assert_eq!(gateway.remote.as_ref().map(|r| r.url.as_str()), Some("wss://b"));
    let provider = &models.providers["p"];
    assert_eq!(provider.base_url, "https://x/v1");
    assert_eq!(provider.api, Api::new("anthropic-messages"));
    assert!(provider.auth_header == Some(false) && provider.timeout_seconds == Some(9));
    let headers: Vec<_> =
        provider.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("A", "h"), ("B", "i")]);
    let model = &provider.models[0];
    assert_eq!((model.name.as_str(), model.cost.input), ("m", 1.5));
    assert_eq!((model.context_window, model.max_tokens), (200_000, 8192));
    assert_eq!(model.input, ["text"]);
    assert_eq!(provider.models[1].context_window, 7);
    assert_eq!(agents.defaults.workspace.as_deref(), Some(Path::new("/h/w")));
    assert_eq!(agents.defaults.model.primary.as_deref(), Some("p/m"));
    assert_eq!(agents.defaults.aliases["p/m"], "fast");
    assert_eq!((agents.defaults.timeout_seconds, agents.defaults.max_concurrent), (5, 2));
    assert_eq!(agents.agent_ids(), ["ops", "b", "c"]);
    assert_eq!(agents.default_agent(), "b");
    assert_eq!(agents.model_of("b").fallbacks, ["p/n"]);
    assert_eq!((session.scope, session.main_key.as_str()), (SessionScope::Global, "main2"));
    assert_eq!((logging.level, logging.console_level), (LogLevel::Debug, Some(LogLevel::Silent)));
    assert_eq!(logging.file.as_deref(), Some(Path::new("/h/l")));
    assert_eq!(loaded.config.warnings, []);
}

/// The file of the conformance kit and that of the benchmark: warnings at most.
#[test]
fn files_of_the_kit_load_with_warnings() {
    let kit = r#"{"gateway":{"mode":"local","port":18789,"bind":"loopback","auth":{"mode":"token",
        "token":"conformance-token"},"http":{"endpoints":{"chatCompletions":{"enabled":true},
        "responses":{"enabled":true}}}},"hooks":{"enabled":true,"token":"h","path":"/hooks",
        "allowRequestSessionKey":true},"agents":{"defaults":{"model":{"primary":"mock/mock-1"}}},
        "tools":{"toolSearch":false},"memory":{"search":{"provider":"openai-compatible",
        "model":"mock-embed","remote":{"baseUrl":"http://127.0.0.1:1/v1/","apiKey":"sk-mock"}}},
        "models":{"mode":"merge","providers":{"mock":{"baseUrl":"http://127.0.0.1:1/v1",
        "apiKey":"sk-mock","api":"openai-completions","models":[{"id":"mock-1","name":"Mock One",
        "reasoning":false,"input":["text","image"],"cost":{"input":0,"output":0,"cacheRead":0,
        "cacheWrite":0},"contextWindow":128000,"maxTokens":8192}]},"mockbad":{"baseUrl":
        "http://127.0.0.1:1/v1","apiKey":"sk","api":"openai-completions","models":[]}}}}"#;
    let loaded = load_text(kit).unwrap();
    let warned: Vec<&str> = loaded.config.warnings.iter().map(|w| w.path.as_str()).collect();
    assert_eq!(warned, ["tools.toolSearch", "models.mode"]);
    assert!(loaded.config.warnings.iter().all(|w| w.message.contains("not acted on")));
    let bench = r#"{"gateway":{"mode":"local","port":1,"bind":"loopback","auth":{"mode":"token"},
        "http":{"endpoints":{"chatCompletions":{"enabled":true},"responses":{"enabled":true}}}},
        "agents":{"defaults":{"workspace":"/tmp/ws","model":{"primary":"mock/mock-500"}}},
        "models":{"mode":"merge","providers":{"mock":{"baseUrl":"http://127.0.0.1:2/v1","apiKey":
        "sk-local","api":"openai-completions","models":[{"id":"mock-500","name":"m","reasoning":
        false,"input":["text"],"cost":{"input":0,"output":0,"cacheRead":0,"cacheWrite":0},
        "contextWindow":131072,"maxTokens":8192}]}}}}"#;
    assert_eq!(load_text(bench).unwrap().config.warnings.len(), 1);
    let dev = super::super::blocked::minimal_dev_config("a\"b\u{1}");
    let token = load_text(&dev).unwrap().config.gateway.auth.token.clone();
    assert_eq!(token.map(|t| t.expose().to_owned()).as_deref(), Some("a\"b\u{1}"));
}

/// Text, key path, line, part of the message.
#[test]
fn every_fault_is_named_with_its_place() {
    for (text, path, line, part) in [
        ("[]", "", 1, "expected an object with the sections, found an array"),
        ("{gatewya: {}}", "gatewya", 1, "unknown key; did you mean gateway?"),
        ("{\n gateway: {\n  prot: 1 } }", "gateway.prot", 3, "did you mean gateway.port?"),
        ("{gateway: {token: 'x'}}", "gateway.token", 1, "did you mean gateway.auth.token?"),
        ("{qqqqqqqq: 1}", "qqqqqqqq", 1, "valid keys here begin with: $schema"),
        ("{gateway: 5}", "gateway", 1, "expected an object, found a number"),
        ("{gateway: null}", "gateway", 1, "found null"),
        (
            "{gateway: {port: '80'}}",
            "gateway.port",
            1,
            "whole number from 1 to 65535, found a string",
        ),
        ("{gateway: {port: 0}}", "gateway.port", 1, "from 1 to 65535"),
        ("{gateway: {port: 1.5}}", "gateway.port", 1, "found a fraction"),
        ("{gateway: {bind: 'lann'}}", "gateway.bind", 1, "did you mean \"lan\"?"),
        ("{gateway: {bind: '0.0.0.0'}}", "gateway.bind", 1, "that address is \"lan\""),
        ("{gateway: {bind: 'custom'}}", "gateway.customBindHost", 1, "needs an IPv4 address"),
        ("{gateway: {customBindHost: 'pi'}}", "gateway.customBindHost", 1, "IPv4 address"),
        ("{gateway: {mode: true}}", "gateway.mode", 1, "one of local, remote, found a boolean"),
        ("{gateway: {auth: {token: 5}}}", "gateway.auth.token", 1, "expected a string, or {"),
        (
            "{gateway: {controlUi: {allowedOrigins: ['x']}}}",
            "gateway.controlUi.allowedOrigins[0]",
            1,
            "expected an origin",
        ),
        ("{gateway: {remote: {url: 'http://x'}}}", "gateway.remote.url", 1, "ws:// or wss://"),
        ("{models: {providers: {p: {baseUrl: 'x'}}}}", "models.providers.p.baseUrl", 1, "http://"),
        (
            "{models: {providers: {'a.b': {baseUrl: 'http://x', models: [{}]}}}}",
            "models.providers[\"a.b\"].models[0].id",
            1,
            "is missing",
        ),
        (
            "{models: {providers: {p: {baseUrl: 'http://x', api: 'openai'}}}}",
            "models.providers.p.api",
            1,
            "expected one of openai-completions",
        ),
        ("{agents: {defaults: {model: ''}}}", "agents.defaults.model", 1, "provider/model"),
        (
            "{agents: {defaults: {thinkingDefault: 'hard'}}}",
            "agents.defaults.thinkingDefault",
            1,
            "one of",
        ),
        (
            "{agents: {defaults: {model: {primry: 'x'}}}}",
            "agents.defaults.model.primry",
            1,
            "valid: primary, fallbacks",
        ),
        ("{agents: {list: [{}]}}", "agents.list[0].id", 1, "is missing"),
        ("{agents: {list: [{id: 'a b'}]}}", "agents.list[0]", 1, "expected an agent id"),
        ("{agents: {list: [{id: 'a'}], entries: {A: {}}}}", "agents.entries.A", 1, "stands twice"),
        ("{env: {'A-B': 'x'}}", "env.A-B", 1, "not a name"),
        ("{logging: {level: 'wran'}}", "logging.level", 1, "did you mean \"warn\"?"),
    ] {
        let error = load_text(text).expect_err(text);
        assert_eq!(error.kind, ErrorKind::Invalid, "{text}");
        let issue = error.issues.iter().find(|i| i.path == path);
        let issue = issue.unwrap_or_else(|| panic!("{text}: {error}"));
        assert!(issue.message.contains(part), "{text}: {issue}");
        assert_eq!(issue.line, line, "{text}: {issue}");
        assert!(issue.column > 0 && issue.file == Path::new(ROOT));
        assert!(error.source.exists && error.source.raw == text);
    }
}

#[test]
fn all_faults_come_at_once_and_in_order() {
    let error =
        load_text("{\n  gateway: { port: 'x',\n    nope: 1 },\n  agnets: {},\n}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "/h/.openclaw/openclaw.json:2:20: gateway.port: expected a whole number from 1 to 65535, \
         found a string\n\
         /h/.openclaw/openclaw.json:3:5: gateway.nope: unknown key; valid keys here begin with: \
         mode, port, bind, customBindHost, handshakeTimeoutMs, auth, roles, trustedProxies, \
         allowRealIpFallback, http, controlUi, reload\n\
         /h/.openclaw/openclaw.json:4:3: agnets: unknown key; did you mean agents?\n\
         Fix the file, then run: openclaw config validate"
    );
}

#[test]
fn security_keys_refuse_unless_they_say_what_we_do() {
    for (text, path) in [
        (
            "{gateway: {controlUi: {allowInsecureAuth: true}}}",
            "gateway.controlUi.allowInsecureAuth",
        ),
        (
            "{gateway: {controlUi: {dangerouslyDisableDeviceAuth: true}}}",
            "gateway.controlUi.dangerouslyDisableDeviceAuth",
        ),
        ("{gateway: {nodes: {allowSkills: true}}}", "gateway.nodes.allowSkills"),
        ("{gateway: {nodes: {pairing: {sshVerify: true}}}}", "gateway.nodes.pairing.sshVerify"),
        ("{tools: {exec: {safeBins: ['jq']}}}", "tools.exec.safeBins"),
        ("{tools: {sandbox: {mode: 'x'}}}", "tools.sandbox"),
        ("{agents: {defaults: {sandbox: {mode: 'all'}}}}", "agents.defaults.sandbox"),
        (
            "{agents: {list: [{id: 'a', tools: {exec: {ask: 'always'}}}]}}",
            "agents.list[0].tools.exec.ask",
        ),
        ("{agents: {entries: {a: {tools: {sandbox: {x: 1}}}}}}", "agents.entries.a.tools.sandbox"),
        ("{approvals: {exec: {enabled: true}}}", "approvals"),
    ] {
        let error = load_text(text).expect_err(text);
        let issue = &error.issues[0];
        assert_eq!(issue.path, path, "{text}");
        assert!(issue.message.contains("security setting"), "{text}: {issue}");
        assert!(!issue.message.ends_with(": "), "{text}: {issue}");
    }
    let harmless = "{gateway: {trustedProxies: [], auth: {mode: 'none', allowTailscale: false,
        rateLimit: {}}, tls: {enabled: false}, nodes: {pairing: {autoApproveLocal: true}},
        tailscale: {mode: 'off'}}, tools: {deny: [], profile: 'full', elevated: {enabled: false,
        allowFrom: {}}}, agents: {defaults: {sandbox: {mode: 'off', scope: 'agent'}}},
        approvals: {}, session: {sendPolicy: {rules: [], default: 'allow'}}}";
    assert_eq!(load_text(harmless).unwrap().config.warnings, []);
}

#[test]
fn the_policy_of_nodes_is_typed_and_takes_the_older_names() {
    let text = "{gateway: {nodes: {allowCommands: ['a '], denyCommands: ['', 'b'], \
                commands: {allow: ['c'], deny: ['d']}}}}";
    let nodes = load_text(text).unwrap().config.gateway.nodes.clone();
    assert_eq!(
        (nodes.allow, nodes.deny),
        (vec!["c".to_owned(), "a".to_owned()], vec!["d".to_owned(), "b".to_owned()],)
    );
    assert!(load_text("{gateway: {nodes: {commands: {deny: 'd'}}}}").is_err());
    let bad = "{gateway: {nodes: {pairing: {autoApproveCidrs: ['10.0.0.0/8', 'lan']}}}}";
    let bad = load_text(bad).unwrap_err().to_string();
    assert!(bad.contains("autoApproveCidrs") && bad.contains("entry 1"), "{bad}");
}

#[test]
fn tool_policies_are_typed() {
    use crate::config::ToolProfile;
    let config = load_text(
        "{tools: {profile: 'coding', alsoAllow: ['message'], deny: ['exec'],
          byProvider: {'Small/Mini': {profile: 'minimal', allow: ['read']}},
          fs: {workspaceOnly: true}, loopDetection: {enabled: true, warningThreshold: 3},
          exec: {applyPatch: {enabled: false, workspaceOnly: false, allowModels: ['m']}}},
          agents: {list: [{id: 'a', tools: {profile: 'full', fs: {workspaceOnly: false}}}]},
          gateway: {tools: {allow: ['exec'], deny: ['read']}}}",
    )
    .unwrap()
    .config;
    assert_eq!(config.warnings, []);
    let tools = &config.tools;
    assert_eq!(tools.lists.profile, Some(ToolProfile::Coding));
    assert_eq!(tools.lists.also_allow.as_deref(), Some(&["message".to_owned()][..]));
    assert_eq!(tools.lists.deny, ["exec"]);
    assert_eq!(tools.by_provider["small/mini"].profile, Some(ToolProfile::Minimal));
    assert_eq!(tools.by_provider["small/mini"].allow, ["read"]);
    assert_eq!(tools.workspace_only, Some(true));
    assert_eq!((tools.patch, tools.patch_workspace_only), (Some(false), Some(false)));
    assert_eq!(tools.patch_models.as_deref(), Some(&["m".to_owned()][..]));
    assert_eq!((tools.loops.enabled, tools.loops.warning), (Some(true), Some(3)));
    let own = &config.agents.agent("a").unwrap().tools;
    assert_eq!(own.lists.profile, Some(ToolProfile::Full));
    assert_eq!((own.workspace_only, own.patch), (Some(false), None));
    assert_eq!(
        (&config.gateway.tools.allow[..], &config.gateway.tools.deny[..]),
        (&["exec".to_owned()][..], &["read".to_owned()][..])
    );
    for (text, path) in [
        ("{tools: {allow: ['a'], alsoAllow: ['b']}}", "tools.alsoAllow"),
        (
            "{tools: {byProvider: {p: {allow: ['a'], alsoAllow: ['b']}}}}",
            "tools.byProvider.p.alsoAllow",
        ),
        (
            "{agents: {list: [{id: 'a', tools: {allow: ['a'], alsoAllow: ['b']}}]}}",
            "agents.list[0].tools.alsoAllow",
        ),
        (
            "{agents: {entries: {a: {tools: {allow: ['a'], alsoAllow: ['b']}}}}}",
            "agents.entries.a.tools.alsoAllow",
        ),
        ("{tools: {profile: 'codign'}}", "tools.profile"),
    ] {
        let error = load_text(text).expect_err(text);
        assert_eq!(error.issues[0].path, path, "{text}");
    }
}

#[test]
fn variables_from_process_dotenv_and_file() {
    let files = [
        (
            "openclaw.json",
            "{env: {vars: {C: 'file ${A}', A: 'x', D: 'd'}, E: 'old'},
            gateway: {auth: {token: '${A}-${B}-${C}-${E}-$${A}'}}}",
        ),
        (".env", "A=dotenv\nB=dotenv\nbroken line\n"),
    ];
    let loaded = load_with(&files, &[("A", "process")]).unwrap();
    let token = loaded.config.gateway.auth.token.clone().unwrap();
    assert_eq!(token.expose(), "process-dotenv-file process-old-${A}");
    assert_eq!(loaded.env["D"], "d");
    let warnings: Vec<_> = loaded.config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["/h/.openclaw/.env:3:1: <root>: this line is not NAME=value and was skipped"]
    );
    assert_eq!(
        loaded.config.source.parsed["gateway"]["auth"]["token"],
        "${A}-${B}-${C}-${E}-$${A}"
    );
    assert_ne!(loaded.config.source.parsed, loaded.config.source.resolved);

    let error =
        load_text("{\n gateway: {auth: {token: '${NOPE}', password: '${EMPTY}'}}}").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Reference);
    let paths: Vec<_> = error.issues.iter().map(|i| (i.path.as_str(), i.line)).collect();
    assert_eq!(paths, [("gateway.auth.token", 2), ("gateway.auth.password", 2)]);
    assert!(error.issues[0].message.contains("variable NOPE is not set"));
}

#[test]
fn secret_refs() {
    let text = |body: &str| format!("{{gateway: {{auth: {{token: {body}}}}}}}");
    let env = [("TOK", "canary")];
    let good = text("{source: 'env', provider: 'default', id: 'TOK'}");
    let loaded = load_with(&[("openclaw.json", &good)], &env).unwrap();
    assert_eq!(loaded.config.gateway.auth.token.as_ref().map(|t| t.expose()), Some("canary"));
    for (body, kind, part) in [
        (
            "{source: 'env', provider: 'default', id: 'NOPE'}",
            ErrorKind::Reference,
            "NOPE is not set",
        ),
        ("{source: 'env', id: 'a b'}", ErrorKind::Invalid, "name of an environment variable"),
        ("{source: 'exec', provider: 'v', id: 'x'}", ErrorKind::Reference, "\"v\" is not conf"),
        ("{source: 'file', provider: 'v', id: '/x'}", ErrorKind::Reference, "\"v\" is not conf"),
        ("{source: 'env', id: 'TOK', extra: 1}", ErrorKind::Invalid, "unknown key of a SecretRef"),
        ("{}", ErrorKind::Invalid, "expected a string, or {"),
    ] {
        let error = load_with(&[("openclaw.json", &text(body))], &env).expect_err(body);
        assert_eq!(error.kind, kind, "{body}");
        assert!(error.to_string().contains(part), "{body}: {error}");
        assert!(!error.to_string().contains("canary"));
    }
    let other =
        "{secrets: {providers: {v: {source: 'exec', command: '/x'}}}, gateway: {auth: {token:
        {source: 'env', provider: 'v', id: 'TOK'}}}}";
    let error = load_with(&[("openclaw.json", other)], &env).unwrap_err();
    assert!(error.to_string().contains("not one of source env"), "{error}");
}

#[test]
fn includes_merge_in_order() {
    let files = [
        (
            "openclaw.json",
            "{gateway: {$include: './gw/a.json5', port: 3},
            agents: {$include: ['one.json', 'two.json']}}",
        ),
        ("gw/a.json5", "{mode: 'local', port: 1, $include: '../gw/b.json5'}"),
        ("gw/b.json5", "{port: 2, bind: 'lan'}"),
        ("one.json", "{list: [{id: 'a'}], defaults: {timeoutSeconds: 1, maxConcurrent: 1}}"),
        ("two.json", "{list: [{id: 'b'}], defaults: {timeoutSeconds: 2}}"),
    ];
    let loaded = load_with(&files, &[]).unwrap();
    let config = &loaded.config;
    assert_eq!((config.gateway.port, config.gateway.bind), (Some(3), Bind::Lan));
    assert_eq!(config.agents.agent_ids(), ["a", "b"]);
    assert_eq!(config.agents.defaults.timeout_seconds, 2);
    assert_eq!(config.agents.defaults.max_concurrent, 1);
    let under = |name: &str| Path::new("/h/.openclaw").join(name);
    let names = ["gw/a.json5", "gw/b.json5", "one.json", "two.json"].map(under);
    assert_eq!(config.source.includes, names);
    assert!(names.iter().all(|name| loaded.files.contains(name)));
    assert_eq!(config.source.authored["gateway"]["$include"], "./gw/a.json5");
    assert_eq!(config.source.parsed["gateway"]["mode"], "local");

    // A fault names the file it stands in.
    let mut wrong = files;
    wrong[2].1 = "{\n bind: 'x'}";
    let error = load_with(&wrong, &[]).unwrap_err();
    assert!(error.to_string().contains("gw/b.json5:2:"), "{error}");
}

#[test]
fn includes_that_cannot_be() {
    for (files, part) in [
        (
            &[("openclaw.json", "{gateway: {$include: 'none.json'}}")][..],
            "\"none.json\" does not exist",
        ),
        (&[("openclaw.json", "{gateway: {$include: '../x.json'}}")], "outside the configuration"),
        (&[("openclaw.json", "{gateway: {$include: '/etc/passwd'}}")], "outside the configuration"),
        (&[("openclaw.json", "{gateway: {$include: 'link.json'}}")], "outside the configuration"),
        (
            &[("openclaw.json", "{gateway: {$include: 'openclaw.json'}}")],
            "is circular: /h/.openclaw/openclaw.json -> /h/.openclaw/openclaw.json",
        ),
        (
            &[
                ("openclaw.json", "{gateway: {$include: 'a.json'}}"),
                ("a.json", "{$include: './b.json'}"),
                ("b.json", "{$include: 'a.json'}"),
            ],
            "is circular: /h/.openclaw/a.json -> /h/.openclaw/b.json -> /h/.openclaw/a.json",
        ),
        (&[("openclaw.json", "{gateway: {$include: 5}}")], "expected a path"),
        (&[("openclaw.json", "{gateway: {$include: []}}")], "expected a path"),
        (&[("openclaw.json", "{gateway: {$include: ''}}")], "is not a file name"),
        (
            &[("openclaw.json", "{gateway: {$include: 'a.json', port: 1}}"), ("a.json", "[]")],
            "only an object can have keys beside it",
        ),
        (
            &[("openclaw.json", "{gateway: {$include: 'a.json'}}"), ("a.json", "{")],
            "a.json:1:2: <root>: the file ends inside",
        ),
        (&[("openclaw.json", "{gateway: {$include: 'locked'}}")], "cannot be read"),
    ] {
        let mut memory = memory(files);
        memory.links.insert("/h/.openclaw/link.json".into(), "/etc/shadow".into());
        memory.files.insert("/etc/shadow".into(), b"{}".to_vec());
        let error = load(&memory, &BTreeMap::new(), &paths()).expect_err(part);
        assert!(error.to_string().contains(part), "{error}");
    }
    // Eleven files in a row are one too many; ten are not.
    for (count, good) in [(10, true), (11, false)] {
        let mut files = vec![("openclaw.json".to_owned(), "{$include: 'f1'}".to_owned())];
        for n in 1..count {
            files.push((format!("f{n}"), format!("{{$include: 'f{}'}}", n + 1)));
        }
        files.push((format!("f{count}"), "{}".to_owned()));
        let files: Vec<_> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(load_with(&files, &[]).is_ok(), good, "{count}");
    }
    // Depth counts across files.
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let half = format!("{}{{$include: 'deep'}}{}", "{x:".repeat(40), "}".repeat(40));
    let error = load_with(&[("openclaw.json", &half), ("deep", &deep)], &[]).unwrap_err();
    assert!(error.to_string().contains("nested deeper than 64 levels"), "{error}");
}

#[test]
fn files_that_cannot_be_read() {
    let big = format!("{{}}//{}", "x".repeat(CONFIG_BYTES));
    let error = load_text(&big).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Io);
    assert!(error.to_string().contains("larger than 4 MiB"));
    assert!(check(&memory(&[]), &BTreeMap::new(), &paths(), &big).is_err());

    let mut memory = memory(&[]);
    memory.files.insert(ROOT.into(), b"{a: '\xff'}".to_vec());
    let error = load(&memory, &BTreeMap::new(), &paths()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Syntax);
    assert!(error.to_string().contains("not UTF-8 from byte 5"), "{error}");
    memory.files.insert(ROOT.into(), b"{}".to_vec());
    memory.files.insert("/h/.openclaw/.env".into(), vec![b'#'; DOTENV_BYTES + 1]);
    let error = load(&memory, &BTreeMap::new(), &paths()).unwrap_err();
    assert!(error.to_string().contains("larger than 256 KiB"), "{error}");

    let error = load_text("{gateway: {mode: 'local'},\n auth").unwrap_err();
    assert_eq!((error.kind, error.issues[0].line), (ErrorKind::Syntax, 2));
    assert!(error.source.hash.starts_with("digest"));
}

#[test]
fn check_looks_at_the_new_text() {
    let memory = memory(&[("openclaw.json", "{gateway: {port: 1}}"), ("i.json", "{port: 9}")]);
    let new = check(&memory, &BTreeMap::new(), &paths(), "{gateway: {$include: 'i.json'}}");
    assert_eq!(new.unwrap().config.gateway.port, Some(9));
    assert!(check(&memory, &BTreeMap::new(), &paths(), "{gateway: {port: 'x'}}").is_err());
}

/// A secret planted in every place where a wrong value may stand; no report shows it.
#[test]
fn no_report_holds_a_secret() {
    const CANARY: &str = "canary5e3f";
    for text in [
        "{gateway: {auth: {token: X}}}",
        "{gateway: {auth: {token: 'X' 'X'}}}",
        "{gateway: {auth: {token: 'X}}}",
        "{gateway: {auth: {token: ['X']}}}",
        "{gateway: {auth: {token: {source: 'X', id: 'X'}}}}",
        "{gateway: {auth: {token: {X: 'y'.}}}}",
        "{gateway: {auth: {mode: 'X'}, port: 'X', bind: 'X', customBindHost: 'X'}}",
        "{gateway: 'X', models: 'X', agents: ['X']}",
        "{models: {providers: {p: {baseUrl: 'X', apiKey: 1, headers: 'X', api: 'X'}}}}",
        "{tools: {elevated: {X: 'X'}}, gateway: {remote: {url: 'http://X@x'}}}",
        "{agents: {list: [{id: 'X X'}]}, env: {'a b': 'X'}}",
        "{gateway: {auth: {token: '${CAN}', nope: '${CAN}', mode: '${CAN}'}}}",
    ] {
        let text = text.replace('X', CANARY);
        let files = [("openclaw.json", text.as_str()), (".env", "CAN=canary5e3f\ncanary5e3f\n")];
        let error = load_with(&files, &[]).expect_err(&text);
        assert!(!error.to_string().contains(CANARY), "{text}: {error}");
        assert!(!format!("{error:?}").contains(CANARY), "{text}: {error:?}");
    }
    let text = "{gateway: {auth: {token: 'canary5e3f'}}, env: {vars: {A: 'canary5e3f'}}}";
    assert!(!format!("{:?}", load_text(text).unwrap().config).contains(CANARY));
}

#[test]
fn what_will_fail_later_is_said_at_once() {
    let text = "{models: {providers: {mine: {apiKey: 'k'}, p: {baseUrl: 'http://x'}}},
        agents: {list: [{id: 'a', default: true}, {id: 'b', default: true}],
        defaults: {model: {primary: 'q/m', fallbacks: ['p/m', 'alias', 'local/echo', 'r/m']}}}}";
    let config = load_text(text).unwrap().config;
    let warnings: Vec<_> =
        config.warnings.iter().map(|w| (w.path.as_str(), w.message.as_str())).collect();
    assert_eq!(
        warnings,
        [
            (
                "models.providers.mine",
                "has no baseUrl, so its models cannot be called: add baseUrl"
            ),
            ("agents.defaults.model", "names a provider that is not in models.providers"),
            ("agents.defaults.model", "names a provider that is not in models.providers"),
            ("agents.list[1]", "is a second default agent: the first one is used"),
        ]
    );
    assert_eq!(config.models.providers.keys().collect::<Vec<_>>(), ["p"]);
    assert_eq!(config.agents.default_agent(), "a");
}

#[test]
fn any_bytes_as_files() {
    for seed in [&b""[..], b"{gateway: {mode: 'local', $include: 'a'}}", b"\xff\xfe", b"A='x\n"] {
        fuzz(seed);
        for cut in 0..seed.len() {
            fuzz(&seed[..cut]);
        }
    }
    let kept = br#"{"gateway": {"auth": {"token": "secret"}}, // token: x
        "channels": {"x": ["${A}", {"botToken": 1}]}, "agents": {"list": [{"id": "a"}]}}"#;
    for at in 0..kept.len() {
        for byte in b"{}[],:\"'/\n$" {
            let mut data = kept.to_vec();
            data[at] = *byte;
            fuzz(&data);
        }
    }
}

/// Cutting the file anywhere gives an error or a configuration, never a panic, and a cut that
/// loses the mode never yields `local` from nothing.
#[test]
fn a_file_cut_anywhere() {
    let text = "{gateway: {mode: 'local', auth: {token: '${A}'}, $include: 'i.json'}} // end";
    for end in 0..=text.len() {
        let files = [("openclaw.json", &text[..end]), ("i.json", "{port: 5}")];
        match load_with(&files, &[("A", "t")]) {
            Ok(loaded) => assert!(end > 67 && loaded.config.gateway.mode == Some(Mode::Local)),
            Err(error) => assert!(!error.issues.is_empty()),
        }
    }
}

#[test]
fn commands_and_pages() {
    use super::super::hands::{ExecAsk, ExecSecurity};
    let exec = |text: &str| load_text(text).expect(text).config.exec.clone();
    let policy = |text: &str| {
        let exec = exec(text);
        (exec.security, exec.ask)
    };
    assert_eq!(policy("{}"), (ExecSecurity::Full, ExecAsk::Off));
    let both = policy("{tools: {exec: {security: 'allowlist', ask: 'always'}}}");
    assert_eq!(both, (ExecSecurity::Allowlist, ExecAsk::Always));
    for (mode, want) in [
        ("deny", (ExecSecurity::Deny, ExecAsk::Off)),
        ("allowlist", (ExecSecurity::Allowlist, ExecAsk::Off)),
        ("ask", (ExecSecurity::Allowlist, ExecAsk::OnMiss)),
        ("full", (ExecSecurity::Full, ExecAsk::Off)),
    ] {
        assert_eq!(policy(&format!("{{tools: {{exec: {{mode: '{mode}'}}}}}}")), want);
    }
    assert!(load_text("{tools: {exec: {mode: 'auto'}}}").is_err(), "nobody reviews");
    assert!(load_text("{tools: {exec: {host: 'node'}}}").is_err());
    let times = exec(
        "{tools: {exec: {backgroundMs: 1, cleanupMs: 1, timeoutSeconds: 0, \
        pathPrepend: ['~/bin']}}}",
    );
    assert_eq!((times.background_ms, times.cleanup_ms, times.timeout_seconds), (10, 60_000, 0));
    assert_eq!(times.path_prepend, [Path::new("/h/bin")]);
    let text = "{tools: {web: {fetch: {maxResponseBytes: 1, maxChars: 7, enabled: false, \
        headers: {'X-A': 'b'}, ssrfPolicy: {dangerouslyAllowPrivateNetwork: true, \
        allowedHostnames: ['a'], blockedHostnames: ['b']}}}}}";
    let config = load_text(text).expect("valid").config;
    let fetch = &config.web_fetch;
    assert_eq!((fetch.max_response_bytes, fetch.max_chars, fetch.enabled), (32_000, 7, false));
    assert!(fetch.private && fetch.allowed == ["a"] && fetch.blocked == ["b"]);
    assert!(!format!("{fetch:?}").contains("\"b\")"), "header values are secrets");
}

#[test]
fn a_session_policy_is_typed_with_the_references_defaults() {
    use super::super::SessionReset;
    let reset = |hour, minutes| SessionReset { daily_at_hour: hour, idle_minutes: minutes };
    let table = [
        ("{}", reset(None, None)),
        ("{reset: {mode: 'none', atHour: 3}}", reset(None, None)),
        ("{reset: {mode: 'daily'}}", reset(Some(4), None)),
        ("{reset: {mode: 'daily', atHour: 6, idleMinutes: 9}}", reset(Some(6), Some(9))),
        ("{reset: {mode: 'idle', atHour: 6}}", reset(None, Some(60))),
        ("{idleMinutes: 7}", reset(None, Some(7))),
    ];
    for (text, want) in table {
        let session = load_text(&format!("{{session: {text}}}")).unwrap().config.session.clone();
        assert_eq!(session.reset, want, "{text}");
        assert_eq!((session.maintain, session.max_entries), (true, 5_000));
    }
    let by = "{session: {resetByType: {dm: {idleMinutes: 1}, group: {mode: 'daily'}}, \
              resetByChannel: {irc: {idleMinutes: 2}}, maintenance: {mode: 'warn', maxEntries: 9}}}";
    let session = load_text(by).unwrap().config.session.clone();
    assert_eq!(session.reset_by_type["direct"], reset(None, Some(1)));
    assert_eq!(session.reset_by_type["group"], reset(Some(4), None));
    assert_eq!(session.reset_by_channel["irc"], reset(None, Some(2)));
    assert_eq!((session.maintain, session.max_entries), (false, 9));
}

#[test]
fn more_accounts_than_run_are_warned_of() {
    let config = |count: usize| {
        let all: Vec<String> = (0..count).map(|n| format!("a{n}: {{botToken: 'x'}}")).collect();
        let text = format!("{{channels: {{telegram: {{accounts: {{{}}}}}}}}}", all.join(", "));
        let loaded = load_text(&text).unwrap();
        let warned = loaded.config.warnings.iter().map(ToString::to_string);
        warned.filter(|line| line.contains("channels.telegram.accounts: has")).collect::<Vec<_>>()
    };
    let most = crate::limits::CHANNEL_ACCOUNTS;
    assert_eq!(config(most), [""; 0]);
    let warned = config(most + 1);
    assert_eq!(warned.len(), 1);
    assert!(
        warned[0].contains("33 accounts") && warned[0].contains("another gateway"),
        "{warned:?}"
    );
}
