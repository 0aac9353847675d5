//! The store on a real disk.

use super::*;
use crate::store::RealDisk;
use serde_json::json;

/// A directory of its own, gone with the value.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new(name: &str) -> Self {
        let dir =
            std::env::temp_dir().join(format!("openclaw-sessions-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) const KEY: &str = "agent:main:main";

#[test]
fn a_conversation_survives_a_restart() {
    let scratch = Scratch::new("restart");
    let mut disk = RealDisk;
    let mut sessions = Sessions::new(&scratch.0);
    assert!(sessions.ensure(&mut disk, KEY, || "s-1".to_owned(), 5));
    assert!(!sessions.ensure(&mut disk, KEY, || "s-2".to_owned(), 6));
    let user = json!({"role": "user", "content": "hi"});
    let first = sessions.append(&mut disk, KEY, "r1".to_owned(), &user, 7).unwrap();
    assert_eq!(first.seq, 1);
    sessions.save(&mut disk);
    let mut again = Sessions::new(&scratch.0);
    again.open(&mut disk, "main");
    let answer = json!({"role": "assistant", "content": []});
    let second = again.append(&mut disk, KEY, "r2".to_owned(), &answer, 8).unwrap();
    assert_eq!(second.seq, 2);
    let records = again.messages(&disk, KEY).unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].message, user);
    assert_eq!(records[1].parent.as_deref(), Some("r1"));
}

#[test]
fn a_session_that_was_not_indexed_yet_is_found_again() {
    let scratch = Scratch::new("lost");
    let mut disk = RealDisk;
    let mut sessions = Sessions::new(&scratch.0);
    let odd = "x".repeat(5000);
    let said = json!({"role": "user", "content": "hi", "timestamp": 7});
    for (key, id) in [(KEY, "s-1"), ("agent:main:odd", odd.as_str())] {
        sessions.ensure(&mut disk, key, || id.to_owned(), 5);
        sessions.append(&mut disk, key, "r1".to_owned(), &said, 7).unwrap();
    }
    // No save: the process was killed.
    let mut again = Sessions::new(&scratch.0);
    again.open(&mut disk, "main");
    for (key, id) in [(KEY, "s-1"), ("agent:main:odd", odd.as_str())] {
        assert_eq!(again.get(key).unwrap().session_id, id);
        assert_eq!(again.get(key).unwrap().updated_at, 7);
        assert_eq!(again.messages(&disk, key).unwrap().len(), 1);
    }
    assert!(again.is_dirty());
    // An entry that is there wins, and a file of another agent stays where it is.
    let mut other = Sessions::new(&scratch.0);
    let text = json!({KEY: {"sessionId": "s-2", "updatedAt": 1}}).to_string();
    disk.replace(&other.index_path("main"), text.as_bytes()).unwrap();
    other.open(&mut disk, "main");
    assert_eq!(other.get(KEY).unwrap().session_id, "s-2");
}

#[test]
fn ids_from_outside_never_become_paths() {
    let scratch = Scratch::new("paths");
    let mut disk = RealDisk;
    let mut sessions = Sessions::new(&scratch.0);
    for (n, id) in
        ["../../etc/x", "/abs", "a\0b", ".hidden", &"x".repeat(5000), "ünï"].into_iter().enumerate()
    {
        let key = format!("agent:main:k{n}");
        sessions.ensure(&mut disk, &key, || id.to_owned(), 1);
        let path = sessions.transcript_path(&key).unwrap();
        assert_eq!(path.parent().unwrap(), scratch.0.join("agents/main/sessions"));
        assert!(is_safe_name(path.file_name().unwrap().to_str().unwrap()));
    }
}

#[test]
fn unknown_fields_and_a_damaged_index_are_kept() {
    let scratch = Scratch::new("extra");
    let mut disk = RealDisk;
    let mut sessions = Sessions::new(&scratch.0);
    let path = sessions.index_path("main");
    let text = json!({KEY: {"sessionId": "s", "updatedAt": 1, "lastChannel": "irc"}});
    disk.replace(&path, text.to_string().as_bytes()).unwrap();
    sessions.open(&mut disk, "main");
    sessions.get_mut(KEY).unwrap().label = Some("L".to_owned());
    sessions.save(&mut disk);
    let back: Value = serde_json::from_slice(&disk.read(&path).unwrap()).unwrap();
    assert_eq!(back[KEY]["lastChannel"], "irc");
    assert_eq!(back[KEY]["label"], "L");

    let odd = json!({
        "agent:main:a": {"sessionId": "a", "updatedAt": 7.5, "label": "kept"},
        "agent:main:b": {"updatedAt": 1}, "agent:main:c": {"updatedAt": 1}, "d": 3,
    });
    disk.replace(&path, odd.to_string().as_bytes()).unwrap();
    let mut again = Sessions::new(&scratch.0);
    again.open(&mut disk, "main");
    assert_eq!(again.get("agent:main:a").unwrap().label.as_deref(), Some("kept"));
    let file = |sessions: &Sessions, key| sessions.transcript_path(key).unwrap();
    assert_ne!(file(&again, "agent:main:b"), file(&again, "agent:main:c"));
    again.ensure(&mut disk, "agent:main:e", || "a".to_owned(), 1);
    assert_ne!(file(&again, "agent:main:a"), file(&again, "agent:main:e"));
    let aside = disk.read(&path.with_extension("json.damaged")).unwrap();
    assert_eq!(aside, odd.to_string().into_bytes());

    disk.replace(&path, b"{broken").unwrap();
    let mut again = Sessions::new(&scratch.0);
    again.open(&mut disk, "main");
    assert!(again.get(KEY).is_none());
    assert_eq!(disk.read(&path.with_extension("json.damaged")).unwrap(), b"{broken");
}

#[cfg(unix)]
#[test]
fn an_index_that_cannot_be_read_is_not_written_over() {
    let scratch = Scratch::new("unreadable");
    let mut disk = RealDisk;
    let mut sessions = Sessions::new(&scratch.0);
    let path = sessions.index_path("main");
    crate::store::make_parents(&path).unwrap();
    // A link to itself: the read fails, and not with "not found".
    std::os::unix::fs::symlink(&path, &path).unwrap();
    assert!(!sessions.ensure(&mut disk, KEY, || "s".to_owned(), 1));
    assert!(sessions.append(&mut disk, KEY, "r".to_owned(), &json!({}), 1).is_err());
    sessions.save(&mut disk);
    assert!(std::fs::symlink_metadata(&path).unwrap().is_symlink());
    std::fs::remove_file(&path).unwrap();
    assert!(sessions.ensure(&mut disk, KEY, || "s".to_owned(), 1));
}
