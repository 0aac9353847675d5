//! `find`: files and directories by a name pattern.

use super::glob::Glob;
use super::walk::{PARTIAL, Walk};
use super::{Args, How, Output, PATH, Place, Section, Tool, Work, object};
use crate::limits;
use crate::store::{Disk, Kind};
use serde_json::json;

/// The row.
pub const TOOL: Tool = Tool {
    name: "find",
    title: "Find",
    description: "Find files by name: *.rs, src/**/*.ts, {a,b}.txt. A pattern without a slash is \
                  compared with the name alone. .git and node_modules are left out. At most 1000 \
                  results or 50 KiB.",
    parameters: || {
        let pattern = json!({"type": "string", "description": "Pattern of names, as *.md"});
        let path = json!({"type": "string", "description": "Directory; default the workspace"});
        let limit = json!({"type": "integer", "minimum": 1, "description": "Most results (1000)"});
        object(&[("pattern", pattern, true), ("path", path, false), ("limit", limit, false)])
    },
    section: Section::Fs,
    changes: false,
    how: How::Disk(start),
};

/// Results unless the model says otherwise (docs of the reference's agent: 1000).
const RESULTS: u64 = 1_000;

fn start(place: &Place, args: &Args) -> Result<Box<dyn Work>, String> {
    let glob = Glob::new(args.must_text(&["pattern"])?)?;
    let path = args.text(&PATH)?.map(str::to_owned);
    place.lexical(path.as_deref().unwrap_or("."))?;
    let most = args.number("limit")?.unwrap_or(RESULTS).clamp(1, 10 * RESULTS);
    let (place, text) = (place.clone(), String::new());
    Ok(Box::new(Find { place, path, glob, most, walk: None, text, found: 0 }))
}

struct Find {
    place: Place,
    path: Option<String>,
    glob: Glob,
    most: u64,
    walk: Option<Walk>,
    text: String,
    found: u64,
}

impl Work for Find {
    fn step(&mut self, disk: &mut dyn Disk) -> Option<Output> {
        let walk = match &mut self.walk {
            Some(walk) => walk,
            None => match self.place.dir(disk, self.path.as_deref()) {
                Ok(spot) => self.walk.insert(Walk::new(spot.path)),
                Err(error) => return Some(Output::error(error)),
            },
        };
        let mut cost = 0;
        while cost < limits::TOOL_SLICE_ENTRIES {
            let Some(found) = walk.next(disk, &mut cost) else {
                if self.found == 0 {
                    self.text.push_str("No files found.");
                }
                if walk.partial {
                    self.text.push_str(PARTIAL);
                }
                return Some(Output::text(std::mem::take(&mut self.text)));
            };
            if !self.glob.fits(&found.path) {
                continue;
            }
            if self.found == self.most || self.text.len() + found.path.len() + 2 > limits::TOOL_TEXT
            {
                self.text.push_str(&format!(
                    "\n[Only the first {} results; there are more: narrow pattern or path]",
                    self.found
                ));
                return Some(Output::text(std::mem::take(&mut self.text)));
            }
            self.found += 1;
            self.text.push_str(&found.path);
            self.text.push_str(if found.kind == Kind::Dir { "/\n" } else { "\n" });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scratch, run};
    use super::*;

    #[test]
    fn files_are_found_and_links_are_not_followed() {
        let scratch = Scratch::new("find");
        for path in [
            "ws/a.rs",
            "ws/src/main.rs",
            "ws/src/deep/x.rs",
            "ws/src/x.txt",
            "ws/.git/y.rs",
            "ws/node_modules/z.rs",
            "out/secret.rs",
        ] {
            scratch.put(path, "");
        }
        scratch.link("ws/loop", "ws");
        scratch.link("ws/out", "out");
        let find = |args| run(&TOOL, &scratch.place, &args).0.all_text();
        assert_eq!(find(json!({"pattern": "*.rs"})), "a.rs\nsrc/deep/x.rs\nsrc/main.rs\n");
        assert_eq!(find(json!({"pattern": "src/*.rs"})), "src/main.rs\n");
        assert_eq!(find(json!({"pattern": "*.rs", "path": "src/deep"})), "x.rs\n");
        assert_eq!(find(json!({"pattern": "deep"})), "src/deep/\n");
        assert_eq!(find(json!({"pattern": "*.py"})), "No files found.");
        let text = find(json!({"pattern": "*", "limit": 2}));
        assert_eq!(
            text,
            "a.rs\nloop\n\n[Only the first 2 results; there are more: narrow pattern or path]"
        );
        for path in ["..", "out", "/", "~"] {
            let text = find(json!({"pattern": "*", "path": path}));
            assert!(text.contains("outside the workspace"), "{path}: {text}");
        }
        assert!(find(json!({})).contains("missing argument \"pattern\""));
    }

    #[test]
    fn a_large_tree_is_walked_in_slices() {
        let scratch = Scratch::new("find-large");
        for dir in 0..20 {
            for file in 0..200 {
                scratch.put(&format!("ws/d{dir}/f{file:03}"), "");
            }
        }
        let (out, steps) = run(&TOOL, &scratch.place, &json!({"pattern": "f199"}));
        assert_eq!(out.all_text().lines().count(), 20);
        assert!(steps >= 4020 / limits::TOOL_SLICE_ENTRIES, "{steps} steps");
        let deep = format!("ws/{}f", "d/".repeat(limits::TOOL_WALK_DEPTH + 2));
        scratch.put(&deep, "");
        let (out, _) = run(&TOOL, &scratch.place, &json!({"pattern": "f"}));
        assert!(out.all_text().contains("Not everything was searched"));
    }
}
