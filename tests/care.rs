//! Backups, resets and removals by the real binary: what goes into an archive comes back by
//! `tar`, and nothing is removed that is not ours.
#![cfg(feature = "process")]

mod common;

use common::provider::Provider;
use common::socket::Socket;
use common::{Home, Ran, mode};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const LOCAL: &str = "{gateway: {mode: 'local', auth: {token: 'from-the-file'}}}";

fn parsed(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// The only archive in a directory.
fn archive_in(dir: &Path) -> PathBuf {
    let names = std::fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        names.filter(|path| path.to_string_lossy().ends_with(".tar.gz")).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn text(home: &Home, line: &str, dir: &Path) -> Ran {
    Ran::of(home.command(line).current_dir(dir))
}

#[test]
fn a_backup_of_a_running_gateway_comes_back_by_tar() {
    let home = Home::new();
    let provider = Provider::echo();
    home.configure(&provider.config(""));
    let outside = Home::new();
    let key = "agent:main:kept";
    {
        let gateway = home.start("");
        let mut socket = Socket::connect(gateway.port);
        let send = json!({"sessionKey": key, "message": "keep this", "idempotencyKey": "r1"});
        socket.call("chat.send", &send).unwrap();
        socket.chat_end("r1");
        std::os::unix::fs::symlink("/etc/hostname", home.state().join("link")).unwrap();
        let made = text(&home, "backup create --verify --json", &outside.0);
        assert_eq!(made.code, 0, "{made:?}");
        let made = parsed(&made);
        assert_eq!(made["verified"], true);
        assert_eq!(made["assets"][0]["kind"], "state");
        assert_eq!(made["externalSymbolicLinks"][0]["target"], "/etc/hostname");
        assert!(made["skippedVolatileCount"].as_u64().unwrap() >= 1, "{made}");
    }
    let archive = archive_in(&outside.0);
    assert_eq!(mode(&archive), 0o600);
    // Into a home of another name: one component more than the state directory's parent.
    let fresh = Home::new();
    let parents = 3 + home.0.components().count() - 1;
    let tar = std::process::Command::new("tar")
        .arg("xzpf")
        .arg(&archive)
        .arg("-C")
        .arg(&fresh.0)
        .arg(format!("--strip-components={parents}"))
        .output()
        .expect("tar is there");
    assert!(tar.status.success(), "{tar:?}");
    for left in ["gateway.lock", "logs/openclaw.log"] {
        assert!(home.state().join(left).exists() && !fresh.state().join(left).exists(), "{left}");
    }
    assert_eq!(mode(&fresh.state()), mode(&home.state()));
    assert!(fresh.state().join("link").is_symlink());
    let gateway = fresh.start("");
    let mut socket = Socket::connect(gateway.port);
    let page = socket.call("chat.history", &json!({"sessionKey": key})).unwrap();
    let messages = page["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2, "{page}");
    assert!(page.to_string().contains("keep this"), "{page}");
}

#[test]
fn what_is_planned_is_shown_and_nothing_is_written() {
    let home = Home::new();
    home.configure(LOCAL);
    let outside = Home::new();
    let ran = text(&home, "backup create --dry-run --json", &outside.0);
    let plan = parsed(&ran);
    for key in ["createdAt", "archiveRoot", "archivePath"] {
        assert!(plan[key].is_string(), "{plan}");
    }
    assert_eq!((&plan["dryRun"], &plan["includeWorkspace"]), (&json!(true), &json!(true)));
    assert_eq!((&plan["onlyConfig"], &plan["verified"]), (&json!(false), &json!(false)));
    assert_eq!(plan["skippedVolatileCount"], 0);
    assert_eq!(plan["agentRoots"][0]["agentId"], "main");
    assert_eq!(plan["assets"][0]["displayPath"], "~/.openclaw");
    assert_eq!(plan["skipped"][0]["reason"], "missing");
    let root = plan["archiveRoot"].as_str().unwrap();
    assert!(root.ends_with("+00-00-openclaw-backup"), "{root}");
    assert_eq!(std::fs::read_dir(&outside.0).unwrap().count(), 0);
}

#[test]
fn an_archive_is_never_written_over_nor_into_itself() {
    let home = Home::new();
    home.configure(LOCAL);
    let inside = home.state();
    let ran = text(&home, "backup create --output mine.tar.gz", &inside);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("lies in what is backed up"), "{ran:?}");
    // Without a name it goes to the home instead.
    let ran = text(&home, "backup create", &inside);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("It holds tokens and keys"), "{ran:?}");
    let archive = archive_in(&home.0);
    let again = format!("backup create --output {}", archive.display());
    let ran = text(&home, &again, &inside);
    assert!(ran.code == 1 && ran.err.contains("no archive is written over"), "{ran:?}");
    let left = std::fs::read_dir(&home.0).unwrap().count();
    assert_eq!(left, 2, "state and archive, nothing half-written");
}

#[test]
fn only_what_was_asked_for_is_in_it() {
    let home = Home::new();
    home.configure(LOCAL);
    std::fs::create_dir_all(home.state().join("workspace")).unwrap();
    std::fs::write(home.state().join("workspace/notes.md"), "mine").unwrap();
    std::fs::write(home.state().join("x.sock"), "").unwrap();
    let listed = |flags: &str| {
        let outside = Home::new();
        let ran = text(&home, &format!("backup create --json {flags}"), &outside.0);
        assert_eq!(ran.code, 0, "{ran:?}");
        let tar = std::process::Command::new("tar").arg("tzf").arg(archive_in(&outside.0)).output();
        String::from_utf8(tar.unwrap().stdout).unwrap()
    };
    let all = listed("");
    assert!(all.contains("workspace/notes.md") && all.contains("openclaw.json"), "{all}");
    assert!(!all.contains("x.sock"), "{all}");
    let without = listed("--no-include-workspace");
    assert!(!without.contains("notes.md") && without.contains("openclaw.json"), "{without}");
    assert_eq!(listed("--only-config").lines().count(), 2);
    // A damaged configuration is worth a copy, too.
    home.configure("{ gateway: ");
    let outside = Home::new();
    let ran = text(&home, "backup create", &outside.0);
    assert!(ran.code == 1 && ran.err.contains("--only-config"), "{ran:?}");
    assert_eq!(listed("--only-config").lines().count(), 2);
}

#[test]
fn a_damaged_archive_is_found_out() {
    let home = Home::new();
    home.configure(LOCAL);
    let outside = Home::new();
    assert_eq!(text(&home, "backup create", &outside.0).code, 0);
    let archive = archive_in(&outside.0);
    let line = format!("backup verify --json {}", archive.display());
    let good = parsed(&home.run(&line));
    assert_eq!((&good["ok"], &good["assetCount"]), (&json!(true), &json!(1)));
    for key in ["archivePath", "archiveRoot", "createdAt", "runtimeVersion"] {
        assert!(good[key].is_string(), "{good}");
    }
    assert!(good["entryCount"].as_u64().unwrap() >= 3 && good["symlinkCount"] == 0, "{good}");
    let bytes = std::fs::read(&archive).unwrap();
    let mut bad = bytes.clone();
    let at = bytes.len() / 2;
    bad[at] ^= 1;
    for (bytes, why) in [
        (&bad[..], "damaged"),
        (&bytes[..bytes.len() - 9], "ends too early"),
        (b"PK\x03\x04 is a zip, not a tar".as_slice(), "no gzip file"),
    ] {
        std::fs::write(&archive, bytes).unwrap();
        let ran = home.run(&line);
        assert_eq!(ran.code, 1, "{ran:?}");
        let said = parsed(&ran);
        assert!(said["ok"] == false && said["error"].as_str().unwrap().contains(why), "{said}");
    }
    let ran = home.run("backup restore x.tar.gz");
    assert!(ran.code == 1 && ran.err.contains("--strip-components=3"), "{ran:?}");
}

/// A home with everything a reset may meet.
fn lived_in() -> Home {
    let home = Home::new();
    home.configure(LOCAL);
    for dir in ["credentials", "agents/main/sessions", "workspace", "cron"] {
        std::fs::create_dir_all(home.state().join(dir)).unwrap();
    }
    std::fs::write(home.state().join("agents/main/sessions/sessions.json"), "{}").unwrap();
    std::fs::write(home.state().join("workspace/AGENTS.md"), "mine").unwrap();
    std::fs::write(home.0.join("keep.txt"), "not ours").unwrap();
    home
}

#[test]
fn a_reset_removes_what_its_scope_says_and_no_more() {
    let home = lived_in();
    let state = home.state();
    let ran = home.run("reset --scope full --dry-run");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("[dry-run] remove ~/.openclaw\n"), "{ran:?}");
    assert!(state.join("openclaw.json").exists());
    for (line, want) in [
        ("reset --scope config --non-interactive", "--non-interactive needs"),
        ("reset --yes --non-interactive", "--non-interactive needs"),
        ("reset --scope config", "nobody can be asked"),
        ("reset", "--scope is missing"),
        ("reset --scope all --yes", "takes one of"),
    ] {
        let ran = home.run(line);
        assert!(ran.code == 2 && ran.err.contains(want), "{line}: {ran:?}");
        assert!(state.join("openclaw.json").exists(), "{line}");
    }
    assert_eq!(home.run("reset --scope config --yes --non-interactive").code, 0);
    assert!(!state.join("openclaw.json").exists() && state.join("credentials").exists());
    home.configure(LOCAL);
    let ran = home.run("reset --scope config+creds+sessions --yes --non-interactive");
    assert!(ran.out.contains("Next: openclaw onboard --install-daemon"), "{ran:?}");
    for gone in ["openclaw.json", "credentials", "agents/main/sessions"] {
        assert!(!state.join(gone).exists(), "{gone}");
    }
    assert!(state.join("workspace/AGENTS.md").exists() && state.join("cron").exists());
    assert_eq!(home.run("reset --scope full --yes --non-interactive").code, 0);
    assert!(!state.exists() && home.0.join("keep.txt").exists());
    let ran = home.run("reset --scope full --yes --non-interactive");
    assert!(ran.code == 0 && ran.out.contains("nothing to remove"), "{ran:?}");
}

#[test]
fn nothing_is_removed_under_a_running_gateway() {
    let home = lived_in();
    let gateway = home.start("");
    for line in [
        "reset --scope full --yes --non-interactive",
        "reset --scope config+creds+sessions --yes --non-interactive",
        "uninstall --state --yes --non-interactive",
    ] {
        let ran = home.run(line);
        assert_eq!(ran.code, 1, "{line}: {ran:?}");
        assert!(ran.err.contains(&format!("pid {}", gateway.pid())), "{line}: {ran:?}");
        assert!(ran.err.contains("openclaw gateway stop"), "{line}: {ran:?}");
        assert!(home.state().join("openclaw.json").exists(), "{line}");
    }
}

#[test]
fn a_link_or_a_directory_of_others_is_left_alone() {
    let home = lived_in();
    let elsewhere = Home::new();
    std::fs::write(elsewhere.0.join("precious"), "x").unwrap();
    // The state directory is a link to somewhere.
    std::fs::rename(home.state(), elsewhere.0.join("moved")).unwrap();
    std::os::unix::fs::symlink(elsewhere.0.join("moved"), home.state()).unwrap();
    let ran = home.run("reset --scope full --yes --non-interactive");
    assert!(ran.code == 1 && ran.err.contains("is a link to"), "{ran:?}");
    assert!(elsewhere.0.join("moved/openclaw.json").exists());
    std::fs::remove_file(home.state()).unwrap();
    // The workspace is the home itself.
    home.configure("{gateway: {mode: 'local'}, agents: {defaults: {workspace: '~'}}}");
    let ran = home.run("reset --scope full --yes --non-interactive");
    assert!(ran.code == 1 && ran.err.contains("holds the home directory"), "{ran:?}");
    assert!(home.0.join("keep.txt").exists() && home.state().join("openclaw.json").exists());
    // A link inside goes, its target stays.
    home.configure(LOCAL);
    std::os::unix::fs::symlink(&elsewhere.0, home.state().join("out")).unwrap();
    assert_eq!(home.run("reset --scope full --yes --non-interactive").code, 0);
    assert!(!home.state().exists() && elsewhere.0.join("precious").exists());
}

#[test]
fn an_uninstall_keeps_the_workspace_unless_it_is_named() {
    let home = lived_in();
    let ran = home.run("uninstall --yes --non-interactive");
    assert!(ran.code == 2 && ran.err.contains("--service"), "{ran:?}");
    let ran = home.run("uninstall --all --dry-run");
    assert!(ran.code == 0 && ran.out.contains("[dry-run] remove ~/.openclaw"), "{ran:?}");
    assert!(home.state().join("openclaw.json").exists());
    let ran = home.run("uninstall --state --yes --non-interactive");
    assert!(ran.code == 0 && ran.out.contains("kept: ~/.openclaw/workspace"), "{ran:?}");
    assert!(home.state().join("workspace/AGENTS.md").exists());
    assert!(!home.state().join("openclaw.json").exists());
    assert_eq!(home.run("uninstall --state --workspace --yes").code, 0);
    assert!(!home.state().exists() && home.0.join("keep.txt").exists());
}
