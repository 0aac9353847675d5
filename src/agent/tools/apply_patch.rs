//! `apply_patch`: changes to several files, all or none.
//!
//! ```text
//!   operations --one after the other--> what every file will be --all fit--> written, one a step
//! ```
//!
//! Everything is read, matched and checked before anything is written. What can still fail then
//! is the disk; the answer names what was changed before. `tools.exec.applyPatch.workspaceOnly`
//! (on unless switched off) or `tools.fs.workspaceOnly` keep it inside the workspace; there, new
//! files are not made through linked directories, and deleting a link removes the link.

use super::edit::Whole;
use super::patch::{self, Applier, Hunk, Op};
use super::place::{Spot, failure};
use super::{Args, How, Output, Place, Section, Tool, Work, object};
use crate::limits;
use crate::store::{Disk, Kind};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The row.
pub const TOOL: Tool = Tool {
    name: "apply_patch",
    title: "Apply Patch",
    description: "Change one or many files by a patch. It begins with *** Begin Patch and ends \
                  with *** End Patch; between stand *** Add File: PATH (lines with +), *** Delete \
                  File: PATH, *** Update File: PATH with optional *** Move to: PATH and hunks: @@, \
                  then lines with space, - or +. All is applied or nothing.",
    parameters: || {
        let input = json!({"type": "string", "description": "The whole patch"});
        object(&[("input", input, true)])
    },
    section: Section::Fs,
    changes: true,
    how: How::Disk(start),
};

/// Lines compared in one step.
const COMPARED: usize = 50_000;

fn start(place: &Place, args: &Args) -> Result<Box<dyn Work>, String> {
    let ops = patch::parse(args.must_text(&["input", "patch"])?)?;
    let workspace_only = place.workspace_only || place.patch_workspace_only;
    let place = Place { workspace_only, ..place.clone() };
    for op in &ops {
        match op {
            Op::Add { path, .. } | Op::Delete { path } => place.lexical(path)?,
            Op::Update { path, to, .. } => {
                to.as_ref().map_or(Ok(PathBuf::new()), |to| place.lexical(to))?;
                place.lexical(path)?
            }
        };
    }
    let ops = ops.into_iter();
    Ok(Box::new(Patch { place, ops, state: State::Next, files: BTreeMap::new(), bytes: 0 }))
}

struct Patch {
    place: Place,
    ops: std::vec::IntoIter<Op>,
    state: State,
    /// What every file named will be, by its path.
    files: BTreeMap<PathBuf, File>,
    /// Bytes of all texts held.
    bytes: usize,
}

enum State {
    /// The next operation.
    Next,
    /// An update whose file is being read.
    Reading(Whole, Option<String>, Vec<Hunk>),
    /// An update whose hunks are being placed.
    Placing(PathBuf, Option<String>, Applier),
    /// Everything fits: what is still to be written, and what was.
    Writing(std::vec::IntoIter<File>, Vec<String>),
}

/// One file, before and after.
struct File {
    spot: Spot,
    /// As it was read; `None` when it was not there, or only goes.
    was: Option<Whole>,
    /// It stood on the disk.
    stood: bool,
    /// `None` when it goes.
    text: Option<String>,
}

impl Work for Patch {
    fn step(&mut self, disk: &mut dyn Disk) -> Option<Output> {
        self.slice(disk).unwrap_or_else(|error| Some(Output::error(error)))
    }
}

impl Patch {
    fn slice(&mut self, disk: &mut dyn Disk) -> Result<Option<Output>, String> {
        match std::mem::replace(&mut self.state, State::Next) {
            State::Next => match self.ops.next() {
                Some(op) => self.begin(disk, op)?,
                None => self.verify(disk)?,
            },
            State::Reading(mut whole, to, hunks) => {
                if !whole.more(&self.place, disk)? {
                    self.state = State::Reading(whole, to, hunks);
                    return Ok(None);
                }
                let text = whole.text()?.to_owned();
                self.grow(text.len())?;
                let spot = whole.spot.clone();
                let path = spot.path.clone();
                let applier = Applier::new(&text, hunks);
                let file = File { spot, was: Some(whole), stood: true, text: Some(text) };
                self.files.insert(path.clone(), file);
                self.state = State::Placing(path, to, applier);
            }
            State::Placing(path, to, mut applier) => {
                let shown = self.files.get(&path).map_or("", |file| &file.spot.shown);
                match applier.step(COMPARED).map_err(|error| format!("{shown}: {error}"))? {
                    Some(text) => self.placed(disk, &path, to, text)?,
                    None => self.state = State::Placing(path, to, applier),
                }
            }
            State::Writing(files, done) => return self.write(disk, files, done),
        }
        Ok(None)
    }

    fn grow(&mut self, bytes: usize) -> Result<(), String> {
        self.bytes += bytes;
        if self.bytes > 2 * limits::TOOL_EDIT {
            return Err("the files of the patch are too large together; make several".to_owned());
        }
        Ok(())
    }

    fn begin(&mut self, disk: &dyn Disk, op: Op) -> Result<(), String> {
        match op {
            Op::Add { path, text } => {
                let spot = self.fresh(disk, &path)?;
                self.grow(text.len())?;
                self.put(spot, text);
            }
            Op::Delete { path } => {
                let spot = self.itself(disk, &path)?;
                match self.files.get_mut(&spot.path) {
                    Some(file) if file.text.is_some() => file.text = None,
                    Some(_) => return Err(format!("{path} is deleted twice")),
                    None => {
                        match disk.kind(&spot.path) {
                            Ok(Kind::File | Kind::Link) => {}
                            Ok(_) => return Err(format!("{path} is not a file")),
                            Err(error) => return Err(failure(&path, "delete", &error)),
                        }
                        let file = File { spot, was: None, stood: true, text: None };
                        self.files.insert(file.spot.path.clone(), file);
                    }
                }
            }
            Op::Update { path, to, hunks } => {
                let spot = self.place.target(disk, &path)?;
                match self.files.get(&spot.path).map(|file| &file.text) {
                    Some(Some(text)) => {
                        let applier = Applier::new(text, hunks);
                        self.state = State::Placing(spot.path, to, applier);
                    }
                    Some(None) => return Err(format!("{path} is deleted earlier in the patch")),
                    None => {
                        let spot = self.place.file(disk, &path)?;
                        self.state = State::Reading(Whole::open(disk, spot)?, to, hunks);
                    }
                }
            }
        }
        Ok(())
    }

    /// A file that must not be there, or goes earlier in the patch.
    fn fresh(&self, disk: &dyn Disk, path: &str) -> Result<Spot, String> {
        let normal = self.place.lexical(path)?;
        // Also a link to nothing is something.
        let itself = self.itself(disk, path).ok();
        let goes = |at: &PathBuf| self.files.get(at).is_some_and(|file| file.text.is_none());
        if itself.as_ref().is_some_and(|itself| goes(&itself.path)) {
            return itself.ok_or_else(String::new);
        }
        if disk.kind(&normal).is_ok() {
            return Err(format!("{path} is there already; delete it earlier in the patch"));
        }
        let spot = self.place.target(disk, path)?;
        if self.files.get(&spot.path).is_some_and(|file| file.text.is_some()) {
            return Err(format!("{path} is in the patch already"));
        }
        let workspace = &self.place.workspace;
        let root = disk.canonical(workspace).unwrap_or_else(|_| workspace.clone());
        let direct = normal.strip_prefix(workspace).is_ok_and(|rest| root.join(rest) == spot.path);
        if self.place.workspace_only && !direct {
            return Err(format!("{path} goes through a linked directory; name its real path"));
        }
        Ok(spot)
    }

    /// A path of which everything but the last name is followed.
    fn itself(&self, disk: &dyn Disk, path: &str) -> Result<Spot, String> {
        let normal = self.place.lexical(path)?;
        let (Some(parent), Some(name)) = (normal.parent(), normal.file_name()) else {
            return Err(format!("{path} is not a file"));
        };
        let spot = self.place.dir(disk, parent.to_str())?;
        Ok(Spot { path: spot.path.join(name), shown: path.to_owned() })
    }

    fn put(&mut self, spot: Spot, text: String) {
        let path = spot.path.clone();
        let before = self.files.remove(&path);
        let (stood, was) = before.map_or((false, None), |file| (file.stood, file.was));
        self.files.insert(path, File { spot, was, stood, text: Some(text) });
    }

    /// The hunks of an update are in place.
    fn placed(
        &mut self,
        disk: &dyn Disk,
        path: &PathBuf,
        to: Option<String>,
        text: String,
    ) -> Result<(), String> {
        self.grow(text.len())?;
        let Some(to) = to else {
            if let Some(file) = self.files.get_mut(path) {
                file.text = Some(text);
            }
            return Ok(());
        };
        // A move to itself, also through a link, is an update in place.
        let same = self.place.target(disk, &to).is_ok_and(|spot| spot.path == *path);
        let target = if same { None } else { Some(self.fresh(disk, &to)?) };
        if let Some(file) = self.files.get_mut(path) {
            file.text = if target.is_some() { None } else { Some(text.clone()) };
        }
        if let Some(target) = target {
            self.put(target, text);
        }
        Ok(())
    }

    /// All operations fit: looks once more at every file, before the first is written.
    fn verify(&mut self, disk: &dyn Disk) -> Result<(), String> {
        let files = std::mem::take(&mut self.files);
        // What was added and deleted again never was.
        let mut list: Vec<File> =
            files.into_values().filter(|file| file.stood || file.text.is_some()).collect();
        for file in &list {
            match &file.was {
                Some(whole) => whole.unchanged(&self.place, disk)?,
                None if file.stood => {}
                None => self.place.confirm(disk, &file.spot, false)?,
            }
        }
        // Writes first: until they are through, everything that goes is still there.
        list.sort_by_key(|file| file.text.is_none());
        self.state = State::Writing(list.into_iter(), Vec::new());
        Ok(())
    }

    fn write(
        &mut self,
        disk: &mut dyn Disk,
        mut files: std::vec::IntoIter<File>,
        mut done: Vec<String>,
    ) -> Result<Option<Output>, String> {
        let Some(file) = files.next() else {
            let text = format!("Applied the patch:\n{}", done.join("\n"));
            let details = Some(json!({"changed": done}));
            return Ok(Some(Output { details, ..Output::text(text) }));
        };
        let shown = &file.spot.shown;
        let result = match &file.text {
            Some(text) => self.place.confirm(disk, &file.spot, false).and_then(|()| {
                let written = disk.write_file(&file.spot.path, text.as_bytes());
                written.map_err(|error| failure(shown, "write", &error))
            }),
            None => disk.remove(&file.spot.path).map_err(|e| failure(shown, "delete", &e)),
        };
        if let Err(error) = result {
            let left = files.map(|file| file.spot.shown);
            let left: Vec<String> = std::iter::once(shown.clone()).chain(left).collect();
            let done = if done.is_empty() { "nothing".to_owned() } else { done.join(", ") };
            return Err(format!(
                "{error}. Changed before: {done}. Not changed: {}",
                left.join(", ")
            ));
        }
        let sign = match (&file.text, file.stood) {
            (None, _) => 'D',
            (Some(_), true) => 'M',
            (Some(_), false) => 'A',
        };
        done.push(format!("{sign} {shown}"));
        self.state = State::Writing(files, done);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scratch, run};
    use super::*;

    fn apply(scratch: &Scratch, body: &str) -> Output {
        let input = format!("*** Begin Patch\n{body}\n*** End Patch");
        run(&TOOL, &scratch.place, &json!({"input": input})).0
    }

    #[test]
    fn files_are_added_changed_moved_and_deleted() {
        let scratch = Scratch::new("patch");
        scratch.put("ws/a.txt", "one\ntwo\n");
        scratch.put("ws/b.txt", "b\n");
        scratch.put("ws/gone", "x");
        let out = apply(
            &scratch,
            "*** Add File: new/n.txt\n+n\n*** Update File: a.txt\n@@\n-two\n+2\n\
             *** Update File: b.txt\n*** Move to: moved/c.txt\n@@\n-b\n+c\n\
             *** Delete File: gone\n*** Update File: new/n.txt\n@@\n+m",
        );
        assert!(!out.is_error, "{}", out.all_text());
        assert_eq!(scratch.get("ws/new/n.txt"), "n\nm\n");
        assert_eq!(scratch.get("ws/a.txt"), "one\n2\n");
        assert_eq!(scratch.get("ws/moved/c.txt"), "c\n");
        assert!(!scratch.root.join("ws/b.txt").exists() && !scratch.root.join("ws/gone").exists());
        let text = out.all_text();
        for part in ["A new/n.txt", "M a.txt", "A moved/c.txt", "D b.txt", "D gone"] {
            assert!(text.contains(part), "{text}");
        }
        let out = apply(&scratch, "*** Delete File: a.txt\n*** Add File: a.txt\n+fresh");
        assert!(!out.is_error, "{}", out.all_text());
        assert_eq!(scratch.get("ws/a.txt"), "fresh\n");
        let out = apply(&scratch, "*** Update File: a.txt\n*** Move to: ./a.txt\n@@\n-fresh\n+x");
        assert!(!out.is_error && scratch.get("ws/a.txt") == "x\n", "{}", out.all_text());
    }

    #[test]
    fn nothing_is_written_unless_all_fits() {
        let scratch = Scratch::new("patch-none");
        scratch.put("ws/a.txt", "one\n");
        scratch.put("ws/there", "t\n");
        scratch.put("ws/bin", b"\0\x01");
        scratch.put("out/f", "secret\n");
        scratch.link("ws/link", "out/f");
        scratch.link("ws/dir", "out");
        scratch.link("ws/alias", "ws/sub");
        scratch.put("ws/sub/f", "f\n");
        let first = "*** Update File: a.txt\n@@\n-one\n+1\n";
        for (rest, part) in [
            ("*** Update File: a.txt\n@@\n-none\n+x", "hunk 1"),
            ("*** Update File: missing\n@@\n-a\n+b", "no such file"),
            ("*** Add File: there\n+x", "there already"),
            ("*** Add File: link\n+x", "there already"),
            ("*** Delete File: missing", "no such file"),
            ("*** Delete File: sub", "not a file"),
            ("*** Delete File: there\n*** Delete File: there", "twice"),
            ("*** Delete File: there\n*** Update File: there\n@@\n-t\n+x", "deleted earlier"),
            ("*** Update File: there\n*** Move to: sub/f\n@@\n-t\n+x", "there already"),
            ("*** Update File: bin\n@@\n-a\n+b", "not UTF-8"),
            ("*** Update File: link\n@@\n-secret\n+x", "outside the workspace"),
            ("*** Add File: ../x\n+x", "outside the workspace"),
            ("*** Add File: /tmp/openclaw-x\n+x", "outside the workspace"),
            ("*** Add File: dir/x\n+x", "outside the workspace"),
            ("*** Delete File: dir/f", "outside the workspace"),
            ("*** Add File: alias/x\n+x", "linked directory"),
            ("*** Update File: there\n*** Move to: ../x\n@@\n-t\n+x", "outside the workspace"),
        ] {
            let out = apply(&scratch, &format!("{first}{rest}"));
            assert!(out.is_error && out.all_text().contains(part), "{rest}: {}", out.all_text());
            assert_eq!(scratch.get("ws/a.txt"), "one\n", "{rest}");
        }
        assert_eq!(scratch.get("out/f"), "secret\n");
        let out = apply(&scratch, "*** Update File: alias/f\n@@\n-f\n+g\n*** Delete File: link");
        assert!(!out.is_error, "{}", out.all_text());
        assert_eq!(
            (scratch.get("ws/sub/f"), scratch.get("out/f")),
            ("g\n".into(), "secret\n".into())
        );
        assert!(!scratch.root.join("ws/link").is_symlink(), "the link itself went");
    }

    #[test]
    fn its_own_limit_keeps_it_inside() {
        let mut scratch = Scratch::new("patch-own");
        scratch.place.workspace_only = false;
        scratch.place.patch_workspace_only = true;
        assert!(apply(&scratch, "*** Add File: ../x\n+x").is_error);
        scratch.place.patch_workspace_only = false;
        assert!(!apply(&scratch, "*** Add File: ../x\n+x").is_error);
        assert_eq!(scratch.get("x"), "x\n");
    }

    #[test]
    fn a_failed_write_says_what_changed() {
        let scratch = Scratch::new("patch-failed");
        scratch.put("ws/ro", "r\n");
        let mut modes =
            std::fs::metadata(scratch.root.join("ws/ro")).expect("a file").permissions();
        modes.set_readonly(true);
        std::fs::set_permissions(scratch.root.join("ws/ro"), modes).expect("read-only");
        let out = apply(
            &scratch,
            "*** Add File: a\n+a\n*** Update File: ro\n@@\n-r\n+w\n*** Add File: z\n+z",
        );
        let text = out.all_text();
        assert!(out.is_error && text.contains("Changed before: A a. Not changed: ro, z"), "{text}");
        assert_eq!(scratch.get("ws/a"), "a\n");
        assert!(!scratch.root.join("ws/z").exists());
    }

    #[test]
    fn a_large_patch_takes_many_steps() {
        let scratch = Scratch::new("patch-large");
        let lines: String = (0..60_000).map(|line| format!("line {line}\n")).collect();
        scratch.put("ws/large", &lines);
        let hunks: String =
            (0..20).map(|at| format!("@@\n-  line {}\n+changed\n", at * 3_000)).collect();
        let input = format!("*** Begin Patch\n*** Update File: large\n{hunks}*** End Patch");
        let (out, steps) = run(&TOOL, &scratch.place, &json!({"input": input}));
        assert!(!out.is_error, "{}", out.all_text());
        assert_eq!(scratch.get("ws/large").matches("changed").count(), 20);
        assert!(steps > 20, "{steps} steps");
    }
}
