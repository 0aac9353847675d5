//! `write`: a whole file.

use super::place::failure;
use super::{Args, How, Output, PATH, Place, Section, Tool, Work, object};
use crate::store::Disk;
use serde_json::json;

/// The row.
pub const TOOL: Tool = Tool {
    name: "write",
    title: "Write",
    description: "Create a file or replace all of it. Directories above it are made. An existing \
                  file keeps its mode.",
    parameters: || {
        let path = json!({"type": "string", "description": "File, relative or absolute"});
        let content = json!({"type": "string", "description": "The whole content"});
        object(&[("path", path, true), ("content", content, true)])
    },
    section: Section::Fs,
    changes: true,
    how: How::Disk(start),
};

fn start(place: &Place, args: &Args) -> Result<Box<dyn Work>, String> {
    let path = args.must_text(&PATH)?.to_owned();
    let content = args.must_text(&["content"])?.to_owned();
    place.lexical(&path)?;
    Ok(Box::new(Write { place: place.clone(), path, content }))
}

/// What a model writes fits one answer of it, so one step does.
struct Write {
    place: Place,
    path: String,
    content: String,
}

impl Work for Write {
    fn step(&mut self, disk: &mut dyn Disk) -> Option<Output> {
        Some(self.write(disk).unwrap_or_else(Output::error))
    }
}

impl Write {
    fn write(&self, disk: &mut dyn Disk) -> Result<Output, String> {
        let spot = self.place.target(disk, &self.path)?;
        self.place.confirm(disk, &spot, false)?;
        disk.write_file(&spot.path, self.content.as_bytes())
            .map_err(|error| failure(&spot.shown, "write", &error))?;
        Ok(Output::text(format!("Wrote {} bytes to {}", self.content.len(), spot.shown)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scratch, run};
    use super::*;

    #[test]
    fn files_are_written_inside_only() {
        let scratch = Scratch::new("write");
        scratch.put("out/f", "kept");
        scratch.put("ws/old", "old");
        scratch.link("ws/file-out", "out/f");
        scratch.link("ws/dir-out", "out");
        scratch.link("ws/to-old", "ws/old");
        scratch.link("ws/nowhere", "out/new");
        let write =
            |path: &str| run(&TOOL, &scratch.place, &json!({"path": path, "content": "new é"})).0;
        assert_eq!(write("a/b/c.txt").all_text(), "Wrote 6 bytes to a/b/c.txt");
        assert_eq!(scratch.get("ws/a/b/c.txt"), "new é");
        assert!(!write("to-old").is_error, "a link inside is followed");
        assert_eq!(scratch.get("ws/old"), "new é");
        for path in ["file-out", "dir-out/f", "dir-out/g", "nowhere", "../x", "/tmp/x", "a", "~/x"]
        {
            let out = write(path);
            assert!(out.is_error, "{path}: {}", out.all_text());
        }
        assert_eq!(scratch.get("out/f"), "kept");
        assert!(!scratch.root.join("out/new").exists() && !scratch.root.join("out/g").exists());
        assert!(!scratch.root.join("x").exists());
        let (out, _) = run(&TOOL, &scratch.place, &json!({"path": "x"}));
        assert!(out.all_text().contains("missing argument \"content\""));
    }
}
