use std::io;
use std::path::Path;

use super::*;
use crate::config::load::{ConfigError, load_with};
use crate::config::{Config, Flags, Loaded, Source};

/// A disk on which every file is ours and 0600 unless it says otherwise.
#[derive(Default)]
struct Disk {
    config: String,
    files: BTreeMap<PathBuf, (Facts, Vec<u8>)>,
    links: BTreeMap<PathBuf, PathBuf>,
}

const OURS: Facts = Facts { kind: FactKind::File, mode: 0o100_600, owner: 7, links: 1 };
const PROGRAM: Facts = Facts { mode: 0o100_700, ..OURS };

impl Disk {
    fn with(mut self, path: &str, facts: Facts, text: &str) -> Self {
        self.files.insert(path.into(), (facts, text.as_bytes().to_vec()));
        self
    }

    fn dir(self, path: &str, mode: u32) -> Self {
        self.with(path, Facts { kind: FactKind::Dir, mode, owner: 0, links: 2 }, "")
    }
}

impl Source for Disk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(path.ends_with("openclaw.json").then(|| self.config.as_bytes().to_vec()))
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(self.links.get(path).cloned().unwrap_or_else(|| path.to_path_buf()))
    }

    fn facts(&self, path: &Path) -> io::Result<Facts> {
        let found = self.files.get(path).map(|(facts, _)| *facts);
        found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn secret_file(&self, path: &Path, max: usize) -> io::Result<(Facts, Vec<u8>)> {
        let facts = self.facts(path)?;
        let (_, bytes) = self.files.get(path).expect("it has facts");
        Ok((facts, bytes.iter().take(max + 1).copied().collect()))
    }

    fn user(&self) -> u32 {
        7
    }

    fn digest(&self, _: &[u8]) -> String {
        String::new()
    }
}

fn load(disk: &Disk, known: &Resolved, need: Need) -> Result<Loaded, ConfigError> {
    let env = [("HOME", "/h"), ("PASSED", "p"), ("TOK", "from-env")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let paths = Paths::resolve(&env, &Flags::default()).expect("a home");
    load_with(disk, &env, &paths, None, Asked { known, need })
}

fn active(disk: &Disk) -> Result<Loaded, ConfigError> {
    load(disk, &Resolved::default(), Need::Active)
}

fn token(config: &Config) -> Option<&str> {
    config.gateway.auth.token.as_ref().map(Secret::expose)
}

fn text(token: &str, providers: &str) -> Disk {
    let config = format!(
        "{{secrets: {{providers: {{{providers}}}}}, gateway: {{auth: {{token: {token}}}}}}}"
    );
    Disk { config, ..Disk::default() }
}

const JSON_FILE: &str = "{source: 'file', provider: 'f', id: '/a/b'}";
const SINGLE_FILE: &str = "{source: 'file', provider: 'f', id: 'value'}";
const PROGRAM_REF: &str = "{source: 'exec', provider: 'v', id: 'a/b#c'}";

#[test]
fn a_file_gives_its_secret_and_the_shown_configuration_keeps_the_reference() {
    let disk = text(JSON_FILE, "f: {source: 'file', path: '~/s.json'}");
    let disk = disk.with("/h/s.json", OURS, r#"{"a": {"b": "s3cret"}}"#);
    let loaded = active(&disk).expect("it loads");
    assert_eq!(token(&loaded.config), Some("s3cret"));
    let shown = format!("{} {:?}", loaded.config.source.resolved, loaded.config);
    assert!(!shown.contains("s3cret"), "{shown}");
    assert_eq!(loaded.config.source.resolved["gateway"]["auth"]["token"]["id"], "/a/b");
    let disk = text(SINGLE_FILE, "f: {source: 'file', path: '/s', mode: 'singleValue'}");
    for (body, want) in [("one\n", "one"), ("one\r\n", "one"), (" one", " one"), ("a\nb\n", "a\nb")]
    {
        let disk = Disk { config: disk.config.clone(), ..Disk::default() };
        let disk = disk.with("/s", OURS, body);
        assert_eq!(token(&active(&disk).expect(body).config), Some(want));
    }
}

#[test]
fn a_file_that_others_could_have_touched_is_not_believed() {
    let hard = Facts { links: 2, ..OURS };
    let open = Facts { mode: 0o100_640, ..OURS };
    let foreign = Facts { owner: 8, ..OURS };
    let link = Facts { kind: FactKind::Link, ..OURS };
    let pipe = Facts { kind: FactKind::Other, ..OURS };
    let good = r#"{"a": {"b": "s3cret"}}"#;
    for (facts, body, part) in [
        (hard, good, "must not be hardlinked"),
        (open, good, "chmod 600"),
        (foreign, good, "another user"),
        (link, good, "symbolic link"),
        (pipe, "", "not a regular file"),
        (OURS, "s3cret", "not a JSON document"),
        (OURS, r#"{"a": "s3cret"}"#, "nothing stands"),
        (OURS, r#"{"a": {"b": 1}}"#, "not a string"),
        (OURS, r#"{"a": {"b": " "}}"#, "empty"),
        (OURS, r#"{"a": {"b": "__OPENCLAW_REDACTED__"}}"#, "placeholder"),
        (OURS, &format!("{good}{}", " ".repeat(40)), "larger than maxBytes"),
    ] {
        let disk = text(JSON_FILE, "f: {source: 'file', path: '/d/s', maxBytes: 40}");
        let disk = disk.with("/d/s", facts, body).dir("/d", 0o40_755);
        let error = active(&disk).expect_err(part).to_string();
        let want = ["gateway.auth.token", "provider \"f\"", part, "openclaw secrets audit"];
        assert!(want.iter().all(|want| error.contains(want)), "{part}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    let disk = text(JSON_FILE, "f: {source: 'file', path: '/d/s'}");
    let disk = disk.with("/d/s", OURS, good).dir("/d", 0o40_777);
    let error = active(&disk).expect_err("a directory of everybody's").to_string();
    assert!(error.contains("every user can write"), "{error}");
    for (providers, reference, part) in [
        ("f: {source: 'file', path: 's'}", JSON_FILE, "absolute"),
        ("f: {source: 'file', path: '/a/../s'}", JSON_FILE, "goes up"),
        ("f: {source: 'file', path: '/s'}", SINGLE_FILE, "JSON pointer"),
        ("f: {source: 'file', path: '/s', mode: 'singleValue'}", JSON_FILE, "singleValue"),
        ("f: {source: 'file', path: '/none'}", JSON_FILE, "cannot be read"),
        ("f: {source: 'file'}", JSON_FILE, "secrets.providers.f.path"),
        ("f: {source: 'env'}", JSON_FILE, "not one of source file"),
        ("F: {source: 'env'}", JSON_FILE, "name of a provider"),
    ] {
        let disk = text(reference, providers).with("/s", OURS, good);
        let error = active(&disk).expect_err(part).to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_program_is_asked_once_for_all_and_its_answer_taken_over() {
    let mut disk = text(
        PROGRAM_REF,
        "v: {source: 'exec', command: '/b/v', args: ['-x'],
        passEnv: ['PASSED', 'MISSING'], env: {A: '1'}, timeoutMs: 9, jsonOnly: false}",
    );
    disk.config = disk.config.replace(
        "gateway:",
        "models: {providers: {p: {baseUrl: 'http://x', apiKey: {source: 'exec', provider: 'v',
         id: 'k'}}, q: {baseUrl: 'http://x', apiKey: {source: 'exec', provider: 'v', id: 'k'}}}},
         gateway:",
    );
    let disk = disk.with("/b/v", PROGRAM, "");
    let error = active(&disk).expect_err("nobody was asked");
    assert_eq!(error.pending.len(), 1, "one child a provider");
    let batch = &error.pending[0];
    assert_eq!((batch.provider.as_str(), &batch.ids), ("v", &vec!["a/b#c".into(), "k".into()]));
    assert_eq!(batch.program, Path::new("/b/v"));
    let env: Vec<_> = batch.exec.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(env, [("A", "1"), ("PASSED", "p")], "nothing else is inherited");
    assert_eq!((batch.exec.timeout_ms, batch.exec.silence_ms), (9, 9));
    assert_eq!(batch.exec.max_output, crate::limits::SECRET_OUTPUT);
    let mut known = Resolved::default();
    let secret = |text: &str| Ok(Secret::new(text.to_owned()));
    known.add(batch, [("a/b#c".into(), secret("one")), ("k".into(), secret("two"))].into());
    let loaded = load(&disk, &known, Need::Active).expect("all is known");
    assert_eq!(token(&loaded.config), Some("one"));
    assert_eq!(loaded.config.models.providers["p"].keys[0].secret.expose(), "two");
    // Configured otherwise, it is another program.
    let other = Disk { config: disk.config.replace("'-x'", "'-y'"), ..Disk::default() };
    let other = other.with("/b/v", PROGRAM, "");
    assert_eq!(load(&other, &known, Need::Active).expect_err("asked anew").pending.len(), 1);
    // What has no answer is a fault, and asked no more.
    let mut none = Resolved::default();
    none.add(batch, [("k".into(), Err("it answered NOT_FOUND".to_owned()))].into());
    let error = load(&disk, &none, Need::Active).expect_err("no secrets");
    assert!(error.pending.is_empty());
    let error = error.to_string();
    for part in [
        "gateway.auth.token",
        "no answer",
        "models.providers.p.apiKey",
        "NOT_FOUND",
        "--allow-exec",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_program_that_others_could_have_touched_is_not_started() {
    let link = Facts { kind: FactKind::Link, ..PROGRAM };
    for (facts, more, part) in [
        (Facts { owner: 8, ..PROGRAM }, "", "another user"),
        (Facts { mode: 0o100_770, ..PROGRAM }, "", "written by other users"),
        (Facts { mode: 0o100_702, ..PROGRAM }, "", "written by other users"),
        (Facts { mode: 0o100_600, ..PROGRAM }, "", "not executable"),
        (Facts { kind: FactKind::Dir, ..PROGRAM }, "", "not a regular file"),
        (link, "", "realpath"),
        (link, ", allowSymlinkCommand: true", "another user"),
        (PROGRAM, ", trustedDirs: ['/bin', '/b/vv']", "none of trustedDirs"),
    ] {
        let provider = format!("v: {{source: 'exec', command: '/b/v'{more}}}");
        let mut disk = text(PROGRAM_REF, &provider);
        disk.links.insert("/b/v".into(), "/t/v".into());
        let disk = disk.with("/b/v", facts, "").with("/t/v", Facts { owner: 8, ..PROGRAM }, "");
        let error = active(&disk).expect_err(part);
        assert!(error.pending.is_empty(), "{part}");
        assert!(error.to_string().contains(part), "{part}: {error}");
        let checked = load(&disk, &Resolved::default(), Need::Check).expect_err(part);
        assert!(checked.to_string().contains("secrets.providers.v.command"), "{checked}");
    }
    for (facts, more) in [
        (PROGRAM, ", trustedDirs: ['/b']"),
        (Facts { owner: 0, mode: 0o100_755, ..PROGRAM }, ""),
        (link, ", allowSymlinkCommand: true, trustedDirs: ['/t']"),
    ] {
        let provider = format!("v: {{source: 'exec', command: '/b/v'{more}}}");
        let mut disk = text(PROGRAM_REF, &provider);
        disk.links.insert("/b/v".into(), "/t/v".into());
        let disk = disk.with("/b/v", facts, "").with("/t/v", PROGRAM, "").dir("/", 0o41_777);
        assert_eq!(active(&disk).expect_err("to be asked").pending.len(), 1, "{more}");
    }
    let disk = text(PROGRAM_REF, "v: {source: 'exec', command: '/b/v'}");
    let disk = disk.with("/b/v", PROGRAM, "").dir("/b", 0o40_777);
    let error = active(&disk).expect_err("a directory of everybody's");
    assert!(error.to_string().contains("every user can write"), "{error}");
    for command in ["v", "./v", "/b/../v"] {
        let disk = text(PROGRAM_REF, &format!("v: {{source: 'exec', command: '{command}'}}"));
        assert!(active(&disk.with("/b/v", PROGRAM, "")).expect_err(command).pending.is_empty());
    }
}

#[test]
fn what_is_switched_off_needs_no_secret() {
    let config = "{gateway: {auth: {mode: 'password', password: 'p', token: NONE}},
        hooks: {token: OTHER}, skills: {entries: {s: {enabled: false, apiKey: NONE}}}}";
    let written = |none: &str| {
        let other = none.replace("NOPE", "NOPE2").replace("/x", "/y");
        config.replace("OTHER", &other).replace("NONE", none)
    };
    for none in ["{source: 'env', id: 'NOPE'}", "{source: 'file', provider: 'no', id: '/x'}"] {
        let disk = Disk { config: written(none), ..Disk::default() };
        let config = active(&disk).expect(none).config;
        let warned: Vec<_> = config.warnings.iter().map(|issue| issue.path.as_str()).collect();
        assert_eq!(warned, ["gateway.auth.token", "hooks.token", "skills.entries.s.apiKey"]);
        let all = |issue: &crate::config::Issue| {
            issue.message.starts_with("SECRETS_REF_IGNORED_INACTIVE_SURFACE")
        };
        assert!(config.warnings.iter().all(all));
        assert!(config.secrets.iter().all(|one| one.inactive.is_some() && one.value.is_none()));
    }
    // Neither file nor program is touched for them.
    let disk = Disk {
        config: format!(
            "{{secrets: {{providers: {{v: {{source: 'exec', command: '/b/v'}}}}}},
              hooks: {{token: {PROGRAM_REF}}}}}"
        ),
        ..Disk::default()
    };
    assert!(active(&disk.with("/b/v", PROGRAM, "")).is_ok());
}

#[test]
fn a_look_asks_nobody_and_a_command_only_for_its_own_door() {
    let providers = "v: {source: 'exec', command: '/b/v'}";
    let mut disk = text(PROGRAM_REF, providers);
    disk.config = disk.config.replace(
        "gateway:",
        "models: {providers: {p: {baseUrl: 'http://x', apiKey: {source: 'exec', provider: 'v',
         id: 'k'}}}}, hooks: {enabled: true, token: {source: 'env', id: 'NOPE'}}, gateway:",
    );
    let disk = disk.with("/b/v", PROGRAM, "");
    let none = Resolved::default();
    assert!(load(&disk, &none, Need::Look).is_ok_and(|l| token(&l.config).is_none()));
    let asked = load(&disk, &none, Need::Client).expect_err("the token is needed").pending;
    assert_eq!(asked[0].ids, ["a/b#c"]);
}

#[test]
fn environment_by_provider_and_shorthand() {
    for (reference, providers, want) in [
        ("'$TOK'", "", Ok("from-env")),
        ("'$tok'", "", Ok("$tok")),
        ("'$NOPE'", "", Err("NOPE is not set")),
        ("{source: 'env', provider: 'default', id: 'TOK'}", "", Ok("from-env")),
        ("{source: 'env', provider: 'other', id: 'TOK'}", "", Err("\"other\" is not configured")),
        (
            "{source: 'env', id: 'TOK'}",
            "default: {source: 'env', allowlist: ['X']}",
            Err("allowlist does not list TOK"),
        ),
        (
            "{source: 'env', id: 'TOK'}",
            "default: {source: 'env', allowlist: ['TOK']}",
            Ok("from-env"),
        ),
        ("{source: 'store', id: 'TOK'}", "", Err("no secret store")),
    ] {
        let loaded = active(&text(reference, providers));
        match want {
            Ok(want) => assert_eq!(token(&loaded.expect(reference).config), Some(want)),
            Err(part) => {
                let error = loaded.expect_err(reference).to_string();
                assert!(error.contains(part), "{error}");
            }
        }
    }
    let mut disk = text("{source: 'env', id: 'TOK'}", "e: {source: 'env'}");
    disk.config = disk.config.replace("secrets: {", "secrets: {defaults: {env: 'e'}, ");
    assert_eq!(token(&active(&disk).expect("the default is e").config), Some("from-env"));
    disk.config = disk.config.replace("id: 'TOK'", "provider: 'default', id: 'TOK'");
    assert!(active(&disk).is_err(), "the default is another");
}
