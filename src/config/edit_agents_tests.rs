use super::*;
use crate::config::load::{Source, check};
use crate::config::{Flags, Paths};
use std::collections::BTreeMap;
use std::rc::Rc;

struct Nothing;

impl Source for Nothing {
    fn read(&self, path: &Path) -> std::io::Result<Option<Vec<u8>>> {
        let included = path.ends_with("agents.json5");
        Ok(included.then(|| b"{entries: {inc: {}}}".to_vec()))
    }
    fn digest(&self, _: &[u8]) -> String {
        String::new()
    }
}

fn load(text: &str) -> Rc<Config> {
    let env = BTreeMap::from([("HOME".to_owned(), "/h".to_owned())]);
    let paths = Paths::resolve(&env, &Flags::default()).unwrap();
    check(&Nothing, &env, &paths, text).unwrap_or_else(|error| panic!("{error}\n{text}")).config
}

fn state() -> &'static Path {
    Path::new("/h/.openclaw")
}

/// The file after an edit and what goes with it.
fn settled(before: &Config, id: &str, text: &str) -> String {
    let after = load(text);
    settle(&before.agents, &after, id, state()).unwrap().unwrap_or_else(|| text.to_owned())
}

fn workspace(config: &Config, id: &str) -> String {
    config.agents.workspace(id, state()).to_string_lossy().into_owned()
}

#[test]
fn an_added_agent_changes_nothing_for_the_others() {
    for before in [
        "{}",
        "// mine\n{\n  gateway: { mode: 'local' }, // keep\n}\n",
        "{agents: {list: [{id: 'a'}]}}",
        "{agents: {list: [{id: 'a'}, {id: 'b', default: true}]}}",
        "{agents: {entries: {b: {model: 'local/echo'}}}}",
        "{agents: {entries: {b: {}, c: {}}}}",
        "{agents: {defaults: {workspace: '/w'}, entries: {b: {}}}}",
        "{agents: {defaults: {workspace: '${HOME}/w'}}}",
    ] {
        let old = load(before);
        let change = Change {
            name: Some("An \"Agent\"".to_owned()),
            model: Some("local/echo".to_owned()),
            emoji: Some("🦥".to_owned()),
            theme: Some(String::new()),
            ..Change::default()
        };
        let text = settled(&old, "aa", &add(&old, "aa", change).unwrap());
        let new = load(&text);
        for id in old.agents.agent_ids() {
            assert_eq!(workspace(&old, id), workspace(&new, id), "{id} of {text}");
        }
        assert_eq!(old.agents.default_agent(), new.agents.default_agent(), "{text}");
        let agent = new.agents.agent("aa").unwrap();
        assert_eq!(agent.name.as_deref(), Some("An \"Agent\""), "{text}");
        assert_eq!(agent.identity.emoji.as_deref(), Some("🦥"), "{text}");
        assert_eq!(agent.identity.theme, None, "{text}");
        assert!(before.contains("keep") == text.contains("// keep\n"), "{text}");
        assert!(before.contains("${HOME}") == text.contains("'${HOME}/w'"), "{text}");
        assert!(add(&new, "aa", Change::default()).unwrap_err().contains("already exists"));

        // And its end leaves the others alone too.
        let (without, bindings) = delete(&new, "aa").unwrap();
        assert_eq!(bindings, 0);
        let last = load(&settled(&new, "aa", &without));
        for id in old.agents.agent_ids() {
            assert_eq!(workspace(&old, id), workspace(&last, id), "{id} of {without}");
        }
        assert_eq!(old.agents.default_agent(), last.agents.default_agent(), "{without}");
        assert!(!last.agents.has("aa"));
    }
}

#[test]
fn parts_are_changed_where_they_stand() {
    let before = "{agents: {entries: {\n  // the first\n  'Ops': {name: 'x', model: 'local/echo', \
                  identity: {emoji: 'e'}},\n}}}";
    let old = load(before);
    let change = Change {
        name: Some("Operator".to_owned()),
        model: Some(String::new()),
        avatar: Some("a.png".to_owned()),
        ..Change::default()
    };
    let text = update(&old, "ops", change).unwrap();
    let new = load(&text);
    let agent = new.agents.agent("ops").unwrap();
    assert_eq!((agent.name.as_deref(), agent.model.as_ref()), (Some("Operator"), None), "{text}");
    assert_eq!(agent.identity.avatar.as_deref(), Some("a.png"), "{text}");
    assert_eq!(agent.identity.emoji.as_deref(), Some("e"), "{text}");
    assert!(text.contains("// the first\n  'Ops': "), "{text}");
    // The implied agent gets an entry of its own.
    let none = load("{}");
    let change = Change { theme: Some("t".to_owned()), ..Change::default() };
    let text = update(&none, "main", change).unwrap();
    assert_eq!(load(&text).agents.agent("main").unwrap().identity.theme.as_deref(), Some("t"));
    assert!(update(&none, "x", Change::default()).unwrap_err().contains("not found"));
}

#[test]
fn what_must_not_go_stays() {
    let config = load(
        "{agents: {defaults: {systemAgent: {agentId: 'b'}}, list: [{id: 'main'}, {id: 'B'}, \
         {id: 'c'}]}, bindings: [{agentId: 'c'}, {agentId: 'b', match: {channel: 'x'}}, \
         {agentId: 'B'}]}",
    );
    assert_eq!(config.agents.default_agent(), "b");
    let (text, bindings) = delete(&config, "b").unwrap();
    let new = load(&text);
    assert_eq!((bindings, new.agents.agent_ids()), (2, vec!["main", "c"]), "{text}");
    assert!(text.contains("bindings: [{agentId: 'c'}]"), "{text}");
    assert!(delete(&config, "main").unwrap_err().contains("cannot be deleted"));
    assert!(delete(&config, "x").unwrap_err().contains("not found"));
    let one = load("{agents: {list: [{id: 'a'}]}}");
    assert!(delete(&one, "a").unwrap_err().contains("the only one"));
    let elsewhere = load("{agents: {$include: './agents.json5'}}");
    for error in [
        add(&elsewhere, "x", Change::default()).unwrap_err(),
        update(&elsewhere, "inc", Change::default()).unwrap_err(),
    ] {
        assert!(error.contains("included file"), "{error}");
    }
}

#[test]
fn names_make_ids() {
    let table = [
        ("Kit Agent", Some("kit-agent")),
        (" ops_1 ", Some("ops_1")),
        ("../etc", Some("etc")),
        ("-", None),
        ("日本", None),
        ("", None),
    ];
    for (name, want) in table {
        assert_eq!(id_of(name).as_deref(), want, "{name:?}");
    }
}
