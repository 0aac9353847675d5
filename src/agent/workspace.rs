//! An agent's workspace: the files that make it who it is, given to a new one, read for the
//! prompt.
//!
//! [`Files::look`] stats each file and reads only what changed since the last look, so a run
//! costs no reads while nobody edits. What it keeps is cut to what the prompt may hold.

use crate::limits;
use crate::store::{Disk, Stat};
use std::io;
use std::path::Path;
use std::rc::Rc;

/// A file of the workspace that the house knows.
#[derive(Debug)]
pub struct Known {
    /// Its name in the workspace's root.
    pub name: &'static str,
    /// Its absence is told to the model; others are left out silently.
    pub required: bool,
    /// A bound of its own below the configured one, in characters.
    pub max_chars: usize,
    /// What a new workspace gets; empty gives no file.
    pub first: &'static str,
    /// `skipOptionalBootstrapFiles` may name it.
    pub optional: bool,
}

const fn known(name: &'static str, required: bool, first: &'static str) -> Known {
    Known { name, required, max_chars: usize::MAX, first, optional: false }
}

/// The files, in the order of the prompt. `USER.md` has the reference's own bound.
pub static FILES: [Known; 8] = [
    known("AGENTS.md", true, include_str!("seeds/AGENTS.md")),
    Known { optional: true, ..known("SOUL.md", true, include_str!("seeds/SOUL.md")) },
    Known { optional: true, ..known("IDENTITY.md", true, include_str!("seeds/IDENTITY.md")) },
    Known {
        max_chars: 4_000,
        optional: true,
        ..known("USER.md", false, include_str!("seeds/USER.md"))
    },
    known("TOOLS.md", false, ""),
    known("HEARTBEAT.md", false, ""),
    known("BOOTSTRAP.md", false, include_str!("seeds/BOOTSTRAP.md")),
    known("MEMORY.md", false, ""),
];

/// A known file by its exact name.
pub fn find(name: &str) -> Option<&'static Known> {
    FILES.iter().find(|file| file.name == name)
}

/// Gives a workspace what it lacks, the files in `skip` left out. The first-run text goes only
/// to a workspace that has none of the files. Returns how many were written.
///
/// # Errors
/// The system's; what was written before stays.
pub fn seed(disk: &mut dyn Disk, dir: &Path, skip: &[String]) -> io::Result<usize> {
    let is_there = |disk: &dyn Disk, name: &str| disk.stat(&dir.join(name)).is_ok();
    let new = FILES.iter().all(|file| !is_there(disk, file.name));
    let mut written = 0;
    for file in &FILES {
        let wanted = !file.first.is_empty()
            && (new || file.name != "BOOTSTRAP.md")
            && !(file.optional && skip.iter().any(|name| name == file.name));
        if wanted && !is_there(disk, file.name) {
            disk.replace(&dir.join(file.name), file.first.as_bytes())?;
            written += 1;
        }
    }
    Ok(written)
}

/// A file as the prompt has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Its name.
    pub name: &'static str,
    /// Its text, cut; `None` when a required file is missing.
    pub text: Option<String>,
    /// Something was cut out.
    pub cut: bool,
}

/// What was read of a workspace, kept between runs.
#[derive(Debug, Default)]
pub struct Files {
    seen: Option<Seen>,
}

#[derive(Debug, PartialEq, Eq)]
struct Looked {
    stats: [Option<Stat>; FILES.len()],
    chars: (usize, usize),
}

#[derive(Debug)]
struct Seen {
    at: Looked,
    excerpts: Rc<[Excerpt]>,
}

impl Files {
    /// The files of a workspace; `chars` bounds one and all of them. Reads what changed.
    pub fn look(&mut self, disk: &dyn Disk, dir: &Path, chars: (usize, usize)) -> Rc<[Excerpt]> {
        let stats = std::array::from_fn(|at| {
            FILES.get(at).and_then(|file| disk.stat(&dir.join(file.name)).ok())
        });
        let at = Looked { stats, chars };
        if let Some(seen) = &self.seen
            && seen.at == at
        {
            return Rc::clone(&seen.excerpts);
        }
        let mut left = chars.1;
        let mut excerpts = Vec::new();
        for (file, stat) in FILES.iter().zip(&at.stats) {
            let excerpt = match stat {
                None if file.required => Excerpt { name: file.name, text: None, cut: false },
                None => continue,
                Some(stat) => {
                    let text = read(disk, &dir.join(file.name), stat);
                    let text = text.trim();
                    if text.is_empty() {
                        continue;
                    }
                    let (text, cut) = cut(text, chars.0.min(file.max_chars).min(left), file.name);
                    Excerpt { name: file.name, text: Some(text), cut }
                }
            };
            left =
                left.saturating_sub(excerpt.text.as_ref().map_or(0, |text| text.chars().count()));
            excerpts.push(excerpt);
        }
        let excerpts: Rc<[Excerpt]> = excerpts.into();
        self.seen = Some(Seen { at, excerpts: Rc::clone(&excerpts) });
        excerpts
    }
}

/// The text of a file, at most [`limits::WORKSPACE_FILE`] bytes of it. What says it is empty is
/// not opened: a named pipe would keep us waiting.
pub fn read(disk: &dyn Disk, path: &Path, stat: &Stat) -> String {
    if stat.len == 0 {
        return String::new();
    }
    match disk.read_at(path, 0, limits::WORKSPACE_FILE) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            log::warn!(target: "agents", "{} cannot be read: {error}", path.display());
            String::new()
        }
    }
}

/// A text of at most `max` characters, the mark counted: its beginning, a mark, its end.
fn cut(text: &str, max: usize, name: &str) -> (String, bool) {
    let all = text.chars().count();
    if all <= max {
        return (text.to_owned(), false);
    }
    let mark = format!("\n[... {name} is longer: read the file for what is left out here ...]\n");
    let room = max.saturating_sub(mark.chars().count());
    let tail = room / 4;
    let head: String = text.chars().take(room - tail).collect();
    let tail: String = text.chars().skip(all - tail).collect();
    (format!("{head}{mark}{tail}"), true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::disk::SimDisk;

    const DIR: &str = "/w";

    fn put(disk: &mut SimDisk, name: &str, text: &str) {
        disk.replace(&Path::new(DIR).join(name), text.as_bytes()).unwrap();
    }

    fn shown(excerpts: &[Excerpt]) -> Vec<(&str, Option<&str>)> {
        excerpts.iter().map(|it| (it.name, it.text.as_deref())).collect()
    }

    #[test]
    fn a_new_workspace_gets_its_files_once_and_an_old_one_only_what_it_lacks() {
        let mut disk = SimDisk::new();
        let dir = Path::new(DIR);
        let skip = ["SOUL.md".to_owned(), "AGENTS.md".to_owned()];
        assert_eq!(seed(&mut disk, dir, &skip).unwrap(), 4);
        assert!(disk.stat(&dir.join("BOOTSTRAP.md")).is_ok(), "it was new");
        assert!(disk.stat(&dir.join("SOUL.md")).is_err(), "left out");
        assert!(disk.stat(&dir.join("AGENTS.md")).is_ok(), "cannot be left out");
        put(&mut disk, "AGENTS.md", "mine");
        disk.rename(&dir.join("BOOTSTRAP.md"), Path::new("/gone")).unwrap();
        assert_eq!(seed(&mut disk, dir, &[]).unwrap(), 1);
        assert_eq!(disk.read(&dir.join("AGENTS.md")).unwrap(), b"mine");
        assert!(disk.stat(&dir.join("BOOTSTRAP.md")).is_err(), "it is not new any more");
        for file in &FILES {
            assert!(file.first.len() < 1500, "{} is short", file.name);
        }
    }

    #[test]
    fn files_are_read_when_they_changed_and_only_then() {
        let mut disk = SimDisk::new();
        put(&mut disk, "AGENTS.md", "rules\n");
        put(&mut disk, "MEMORY.md", " \n");
        let mut files = Files::default();
        let dir = Path::new(DIR);
        let first = files.look(&disk, dir, (100, 100));
        let missing = [("SOUL.md", None), ("IDENTITY.md", None)];
        assert_eq!(shown(&first), [&[("AGENTS.md", Some("rules"))][..], &missing].concat());
        let same = files.look(&disk, dir, (100, 100));
        assert!(Rc::ptr_eq(&first, &same));
        put(&mut disk, "MEMORY.md", "likes tea");
        let after = files.look(&disk, dir, (100, 100));
        assert_eq!(shown(&after).last(), Some(&("MEMORY.md", Some("likes tea"))));
    }

    #[test]
    fn what_is_too_long_is_cut_in_the_middle() {
        let mut disk = SimDisk::new();
        let long = format!("begin{}end", "ä".repeat(5_000));
        for name in ["AGENTS.md", "SOUL.md", "USER.md", "MEMORY.md"] {
            put(&mut disk, name, &long);
        }
        let look = |chars| Files::default().look(&disk, Path::new(DIR), chars);
        let all = look((20_000, 60_000));
        let of = |all: &[Excerpt], name: &str| {
            all.iter().find(|it| it.name == name).map(|it| (it.text.clone().unwrap(), it.cut))
        };
        assert_eq!(of(&all, "AGENTS.md"), Some((long.clone(), false)));
        let (user, cut) = of(&all, "USER.md").unwrap();
        assert!(cut && user.chars().count() == 4_000, "{}", user.chars().count());
        assert!(user.starts_with("begin") && user.ends_with("end"), "{user}");
        assert!(user.contains("USER.md is longer"), "{user}");
        let few = look((1_000, 1_500));
        let sum: usize =
            few.iter().filter_map(|it| it.text.as_ref()).map(|t| t.chars().count()).sum();
        // A mark stands even where no room is left.
        assert!(sum < 1_500 + 2 * 80, "{sum}");
        assert!(of(&few, "MEMORY.md").unwrap().1);
    }
}
