use super::*;
use crate::store::RealDisk;
use std::fs;
use std::os::unix::fs::symlink;

/// A workspace beside files that are not in it; removed at the end.
pub(in crate::agent::tools) struct Scratch {
    pub(in crate::agent::tools) root: PathBuf,
    pub(in crate::agent::tools) place: Place,
}

impl Scratch {
    pub(in crate::agent::tools) fn new(name: &str) -> Self {
        let root =
            std::env::temp_dir().join(format!("openclaw-tools-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("ws")).expect("a directory");
        let root = fs::canonicalize(root).expect("canonical");
        let place = Place {
            workspace: root.join("ws"),
            workspace_only: true,
            home: Some(root.join("home")),
            ..Place::default()
        };
        Self { root, place }
    }

    pub(in crate::agent::tools) fn put(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, text).expect("written");
    }

    pub(in crate::agent::tools) fn get(&self, path: &str) -> String {
        String::from_utf8(fs::read(self.root.join(path)).expect("a file")).expect("UTF-8")
    }

    pub(in crate::agent::tools) fn link(&self, path: &str, to: &str) {
        symlink(self.root.join(to), self.root.join(path)).expect("a link");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

#[test]
fn nothing_outside_the_workspace_is_reached() {
    let scratch = Scratch::new("outside");
    scratch.put("secret", "s");
    scratch.put("ws/in", "i");
    scratch.put("ws-twin/f", "its name begins as the workspace's does");
    scratch.put("out/f", "f");
    scratch.link("ws/file-out", "secret");
    scratch.link("ws/dir-out", "out");
    scratch.link("ws/nothing", "not-there");
    scratch.link("ws/again", "ws/dir-out");
    scratch.link("ws/back", "ws");
    let (place, root) = (&scratch.place, scratch.root.display());
    for text in [
        "../secret",
        "a/../../secret",
        "./../secret",
        "../ws-twin/f",
        "/etc/passwd",
        "~/x",
        "~",
        "file-out",
        "dir-out/f",
        "again/f",
        "back/../../secret",
        "back/back/dir-out/f",
        "@../secret",
        &format!("{root}/secret"),
        &format!("{root}/ws/../secret"),
        &format!("{root}/ws-twin/f"),
    ] {
        for result in [place.existing(&RealDisk, text), place.target(&RealDisk, text)] {
            let error = result.expect_err(text);
            assert!(error.contains("outside the workspace"), "{text}: {error}");
        }
    }
    for text in ["dir-out/new", "dir-out/a/b/c", "again/new"] {
        assert!(place.target(&RealDisk, text).expect_err(text).contains("outside"), "{text}");
    }
    for text in ["nothing", "nothing/x"] {
        assert!(place.existing(&RealDisk, text).is_err(), "{text}");
        assert!(place.target(&RealDisk, text).is_err(), "{text}");
    }
    for text in ["", "  ", "a\0b", "a\nb", &"x".repeat(5000)] {
        assert!(place.lexical(text).is_err(), "{text:?}");
    }
    let inside = scratch.root.join("ws/in");
    for text in ["in", "./in", "a/../in", "back/in", "@in", " in ", &inside.display().to_string()] {
        assert_eq!(place.existing(&RealDisk, text).expect(text).path, inside, "{text}");
    }
    let fresh = place.target(&RealDisk, "back/a/b").expect("inside");
    assert_eq!(fresh.path, scratch.root.join("ws/a/b"));
    let open = Place { workspace_only: false, ..place.clone() };
    assert_eq!(
        open.existing(&RealDisk, "file-out").expect("open").path,
        scratch.root.join("secret")
    );
    assert_eq!(open.lexical("~/x").expect("home"), scratch.root.join("home/x"));
    assert_eq!(open.lexical("./~/x").expect("literal"), scratch.root.join("ws/~/x"));
}

#[test]
fn a_link_put_there_between_check_and_use_is_seen() {
    let scratch = Scratch::new("race");
    scratch.put("out/f", "out");
    scratch.put("ws/dir/f", "in");
    let place = &scratch.place;
    let old = place.file(&RealDisk, "dir/f").expect("inside");
    let fresh = place.target(&RealDisk, "dir/new").expect("inside");
    assert_eq!(place.confirm(&RealDisk, &old, true), Ok(()));
    assert_eq!(place.confirm(&RealDisk, &fresh, false), Ok(()));
    scratch.link("ws/dir/new", "out/f");
    assert!(place.confirm(&RealDisk, &fresh, false).is_err(), "the file became a link");
    fs::rename(scratch.root.join("ws/dir"), scratch.root.join("ws/was")).expect("moved");
    scratch.link("ws/dir", "out");
    assert!(place.confirm(&RealDisk, &old, true).is_err(), "its directory became a link");
    assert!(place.confirm(&RealDisk, &fresh, false).is_err());
}

#[test]
fn only_regular_files_are_opened() {
    let scratch = Scratch::new("kinds");
    scratch.put("ws/f", "x");
    let open = Place { workspace_only: false, ..scratch.place.clone() };
    assert!(open.file(&RealDisk, "/dev/zero").expect_err("a device").contains("regular"));
    assert!(open.file(&RealDisk, ".").expect_err("a directory").contains("use ls"));
    assert!(open.target(&RealDisk, "f/below").is_err(), "below a file");
    assert!(open.target(&RealDisk, ".").expect_err("a directory").contains("directory"));
    assert!(open.dir(&RealDisk, Some("f")).expect_err("a file").contains("not a directory"));
    let gone = Place { workspace: scratch.root.join("ws/none"), ..scratch.place.clone() };
    assert_eq!(
        gone.target(&RealDisk, "a").expect("made later").path,
        scratch.root.join("ws/none/a")
    );
}
