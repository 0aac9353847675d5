//! `ls`: what is in a directory.

use super::place::failure;
use super::{Args, How, Output, Place, Section, Tool, Work, object};
use crate::limits;
use crate::store::{Disk, Kind};
use serde_json::json;

/// The row.
pub const TOOL: Tool = Tool {
    name: "ls",
    title: "List",
    description: "List a directory, sorted by name, directories with a slash behind; at most 500 \
                  entries or 50 KiB.",
    parameters: || {
        let path = json!({"type": "string", "description": "Directory; default the workspace"});
        let limit = json!({"type": "integer", "minimum": 1, "description": "Most entries (500)"});
        object(&[("path", path, false), ("limit", limit, false)])
    },
    section: Section::Fs,
    changes: false,
    how: How::Disk(start),
};

/// Entries unless the model says otherwise (docs of the reference's agent: 500).
const ENTRIES: u64 = 500;

fn start(place: &Place, args: &Args) -> Result<Box<dyn Work>, String> {
    let path = args.text(&super::PATH)?.map(str::to_owned);
    place.lexical(path.as_deref().unwrap_or("."))?;
    let most = args.number("limit")?.unwrap_or(ENTRIES).max(1);
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(limits::TOOL_DIR_ENTRIES);
    Ok(Box::new(Ls { place: place.clone(), path, most }))
}

struct Ls {
    place: Place,
    path: Option<String>,
    most: usize,
}

impl Work for Ls {
    fn step(&mut self, disk: &mut dyn Disk) -> Option<Output> {
        Some(self.list(disk).unwrap_or_else(Output::error))
    }
}

impl Ls {
    fn list(&self, disk: &dyn Disk) -> Result<Output, String> {
        let spot = self.place.dir(disk, self.path.as_deref())?;
        let (entries, more) = disk
            .entries(&spot.path, limits::TOOL_DIR_ENTRIES)
            .map_err(|error| failure(&spot.shown, "list", &error))?;
        let (all, mut text, mut shown) = (entries.len(), String::new(), 0);
        for entry in &entries {
            if shown == self.most || text.len() + entry.name.len() > limits::TOOL_TEXT {
                break;
            }
            text.push_str(&entry.name);
            text.push_str(match entry.kind {
                Kind::Dir => "/\n",
                Kind::Link => "@\n",
                Kind::File | Kind::Other => "\n",
            });
            shown += 1;
        }
        if entries.is_empty() {
            text.push_str("[The directory is empty]");
        }
        if shown < all || more {
            let plus = if more { "more than " } else { "" };
            text.push_str(&format!("\n[{shown} of {plus}{all} entries shown]"));
        }
        Ok(Output::text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scratch, run};
    use super::*;

    #[test]
    fn entries_are_sorted_and_capped() {
        let scratch = Scratch::new("ls");
        for path in ["ws/b", "ws/.hidden", "ws/a/x", "out/secret"] {
            scratch.put(path, "");
        }
        scratch.link("ws/z", "out");
        let list = |args| run(&TOOL, &scratch.place, &args).0.all_text();
        assert_eq!(list(json!({})), ".hidden\na/\nb\nz@\n");
        assert_eq!(list(json!({"path": "a"})), "x\n");
        assert_eq!(list(json!({"limit": 2})), ".hidden\na/\n\n[2 of 4 entries shown]");
        assert!(list(json!({"path": "z"})).contains("outside the workspace"));
        assert!(list(json!({"path": ".."})).contains("outside the workspace"));
        assert!(list(json!({"path": "b"})).contains("not a directory"));
        for number in 0..700 {
            scratch.put(&format!("ws/many/{number:0200}"), "");
        }
        let text = list(json!({"path": "many", "limit": 100_000}));
        assert!(text.len() <= limits::TOOL_TEXT + 100, "{}", text.len());
        assert!(text.ends_with("of 700 entries shown]"));
        assert!(list(json!({"path": "many"})).ends_with("of 700 entries shown]"));
    }
}
