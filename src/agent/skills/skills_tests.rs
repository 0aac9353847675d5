use super::*;
use crate::sim::disk::SimDisk;

fn put(disk: &mut SimDisk, path: &str, head: &str) {
    let text = format!("---\n{head}\n---\nDo it.\n");
    disk.replace(Path::new(path), text.as_bytes()).unwrap();
}

fn roots() -> Vec<(Source, PathBuf)> {
    vec![
        (Source::Workspace, PathBuf::from("/w/skills")),
        (Source::Managed, PathBuf::from("/s/skills")),
        (Source::Extra, PathBuf::from("/none")),
    ]
}

fn names(skills: &[Skill]) -> Vec<(&str, &str)> {
    skills.iter().map(|it| (it.name.as_str(), it.description.as_str())).collect()
}

#[test]
fn the_first_root_wins_and_groups_are_folders() {
    let mut disk = SimDisk::new();
    put(&mut disk, "/w/skills/a/SKILL.md", "name: alpha\ndescription: the workspace's");
    put(&mut disk, "/s/skills/alpha/SKILL.md", "name: alpha\ndescription: the managed one");
    put(&mut disk, "/s/skills/group/sub/beta/SKILL.md", "description: named by its folder");
    put(&mut disk, "/s/skills/group/sub/beta/deeper/SKILL.md", "name: no\ndescription: no");
    put(&mut disk, "/s/skills/silent/SKILL.md", "name: silent");
    put(&mut disk, "/s/skills/.hidden/SKILL.md", "name: hidden\ndescription: no");
    put(&mut disk, "/s/skills/SKILL.md", "name: root\ndescription: a root is no skill");
    put(&mut disk, "/s/skills/1/2/3/4/5/6/SKILL.md", "name: deep\ndescription: six down");
    put(&mut disk, "/s/skills/1/2/3/4/5/x/7/SKILL.md", "name: deeper\ndescription: seven down");
    let mut catalog = Catalog::default();
    let found = catalog.look(&disk, &roots(), &[]);
    let want =
        [("alpha", "the workspace's"), ("beta", "named by its folder"), ("deep", "six down")];
    assert_eq!(names(&found), want);
    assert_eq!(found[0].source.as_str(), "openclaw-workspace");
    // An edit is seen, and what is gone is forgotten.
    put(&mut disk, "/w/skills/a/SKILL.md", "name: alpha\ndescription: edited");
    disk.remove(Path::new("/s/skills/group/sub/beta/SKILL.md")).unwrap();
    disk.remove(Path::new("/s/skills/group/sub/beta/deeper/SKILL.md")).unwrap();
    let found = catalog.look(&disk, &roots(), &[]);
    assert_eq!(names(&found), [("alpha", "edited"), ("deep", "six down")]);
}

#[test]
fn what_a_skill_needs_is_looked_for() {
    let mut disk = SimDisk::new();
    put(
        &mut disk,
        "/w/skills/a/SKILL.md",
        "name: a\ndescription: d\nuser-invocable: false\nmetadata: {openclaw: {os: ['darwin'], \
         skillKey: 'k', primaryEnv: 'KEY', requires: {bins: ['jq', 'rg'], anyBins: ['x', 'y'], \
         env: ['KEY', 'OTHER'], config: ['a.b']}}}",
    );
    put(
        &mut disk,
        "/w/skills/b/SKILL.md",
        "name: b\ndescription: d\ndisable-model-invocation: true\n\
         metadata: {clawdbot: {always: true, requires: {bins: ['none'], anyBins: ['none']}}}",
    );
    let found = Catalog::default().look(&disk, &roots(), &[]);
    let world = World {
        os: "linux",
        has_bin: &|name| ["jq", "y"].contains(&name),
        has_env: &|skill, name| skill.key == "k" && name == "KEY",
        is_true: &|path| path == "a.b",
    };
    let missing = found[0].missing(&world);
    let want = Needs {
        bins: vec!["rg".to_owned()],
        env: vec!["OTHER".to_owned()],
        os: vec!["darwin".to_owned()],
        ..Needs::default()
    };
    assert_eq!(missing, want);
    assert!(!found[0].user_invocable && !found[0].hidden);
    assert!(found[1].missing(&world).is_empty() && found[1].hidden);
    assert_eq!(bins(&found).into_iter().collect::<Vec<_>>(), ["jq", "none", "rg", "x", "y"]);
}

#[test]
fn the_list_keeps_names_when_room_is_short() {
    let mut disk = SimDisk::new();
    for n in 0..20 {
        let head = format!("name: skill-{n:02}\ndescription: <use> it & {}", "x".repeat(500));
        put(&mut disk, &format!("/w/skills/s{n:02}/SKILL.md"), &head);
    }
    let found = Catalog::default().look(&disk, &roots(), &[]);
    let all: Vec<&Skill> = found.iter().collect();
    let whole = render(&all, 18_000);
    assert!(whole.contains("&lt;use&gt; it &amp; xxx") && !whole.contains("shortened"), "{whole}");
    assert!(whole.contains("<location>/w/skills/s00/SKILL.md</location>"), "{whole}");
    let less = render(&all, 4_000);
    assert!(less.chars().count() <= 4_000 && less.contains("skill-19"), "{less}");
    assert!(less.contains("<description>") && less.contains("openclaw skills check"), "{less}");
    let few = render(&all, 500);
    assert!(few.chars().count() <= 500 && few.contains("skill-00"), "{few}");
    assert!(!few.contains("<description>") && !few.contains("skill-19"), "{few}");
    assert_eq!(render(&all, 10), "");
    assert_eq!(render(&[], 1_000), "");
}

#[test]
fn bounds_hold() {
    let mut disk = SimDisk::new();
    for n in 0..limits::SKILLS + 9 {
        put(&mut disk, &format!("/w/skills/s{n}/SKILL.md"), &format!("description: {n}"));
    }
    let long = "y".repeat(limits::SKILL_TEXT + 9);
    put(&mut disk, "/w/skills/long/SKILL.md", &format!("name: a\ndescription: {long}"));
    let found = Catalog::default().look(&disk, &roots(), &[]);
    assert_eq!(found.len(), limits::SKILLS);
    assert_eq!(found[0].description.len(), limits::SKILL_TEXT);
}
