//! Tools: what a model may do besides talking. One file a tool; the table is [`TOOLS`].
//!
//! ```text
//!  model's call --> [find] --> policy --> How::Disk(start) --> [Work] in slices --+--> [Output]
//!                                     \-> How::Host(..) --> gateway::tools -------/
//! ```
//!
//! A disk tool is a value that is stepped until it is done and touches nothing but the
//! [`Disk`] it is handed: one step does about five milliseconds of work, so that the loop stays
//! quick whatever a model asks for. Everything that needs gateway state, a child process or the
//! network is a [`HostTool`], carried out by `gateway::tools`.

mod apply_patch;
pub mod edit;
mod find;
pub mod glob;
mod grep;
mod hands;
mod host;
pub mod loops;
mod ls;
mod memory;
pub mod patch;
mod place;
pub mod policy;
mod read;
pub mod regex;
mod walk;
mod write;

use super::turn::Part;
use crate::store::Disk;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// One row: a tool as models, operators and policies know it.
#[derive(Debug)]
pub struct Tool {
    /// Name on the wire and in policies.
    pub name: &'static str,
    /// Title for people (`item` events, `tools.catalog`).
    pub title: &'static str,
    /// What the model is told.
    pub description: &'static str,
    /// JSON Schema of the arguments.
    pub parameters: fn() -> Value,
    /// Its group: `group:<section>` in policies, a section of `tools.catalog`.
    pub section: Section,
    /// It may change something outside the transcript: never run twice without a word.
    pub changes: bool,
    /// How it is carried out.
    pub how: How,
}

/// Groups of tools, as the reference names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the group of its name")]
pub enum Section {
    Fs,
    Runtime,
    Web,
    Memory,
    Sessions,
    Messaging,
    Agents,
}

/// Begins a disk tool, or says what is wrong with its arguments.
pub type Start = fn(&Place, &Args) -> Result<Box<dyn Work>, String>;

/// How a tool is carried out.
#[derive(Debug, Clone, Copy)]
pub enum How {
    /// By stepping a [`Work`] over the disk. An `Err` is the tool's answer to bad arguments.
    Disk(Start),
    /// By the gateway.
    Host(HostTool),
}

/// Tools that need the gateway; it matches on them exhaustively.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the tool of its name")]
pub enum HostTool {
    AgentsList,
    SessionStatus,
    WebFetch,
    Exec,
    Process,
    SessionsList,
    SessionsHistory,
    SessionsSend,
    SessionsSpawn,
    Message,
}

/// Where a call works and for whom.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The agent's workspace, absolute. Relative paths of arguments start here.
    pub workspace: PathBuf,
    /// `tools.fs.workspaceOnly`: nothing outside the workspace, symbolic links included.
    pub workspace_only: bool,
    /// `tools.exec.applyPatch.workspaceOnly`: the same for `apply_patch` alone; either is enough.
    pub patch_workspace_only: bool,
    /// The home directory, for `~/` in paths.
    pub home: Option<PathBuf>,
}

/// A disk tool at work.
pub trait Work {
    /// A slice of the work; `Some` when it is done. Called again in the next turn of the loop
    /// until then. A slice reads or writes at most [`crate::limits::TOOL_SLICE`] bytes and looks
    /// at no more than [`crate::limits::TOOL_SLICE_ENTRIES`] directory entries, about.
    fn step(&mut self, disk: &mut dyn Disk) -> Option<Output>;
}

/// What a tool gave back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Output {
    /// Text and images, for the model.
    pub content: Vec<Part>,
    /// Structure beside it, for clients.
    pub details: Option<Value>,
    /// The tool failed; the content says why.
    pub is_error: bool,
}

impl Output {
    /// Plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: vec![Part::Text(text.into())], details: None, is_error: false }
    }

    /// A failure in words.
    pub fn error(text: impl Into<String>) -> Self {
        Self { is_error: true, ..Self::text(text) }
    }

    /// JSON for the model, and the same as details.
    pub fn value(value: Value) -> Self {
        let text = serde_json::to_string_pretty(&value).unwrap_or_default();
        Self { details: Some(value), ..Self::text(text) }
    }

    /// Its text parts, joined.
    pub fn all_text(&self) -> String {
        super::turn::text_of_parts(&self.content)
    }

    /// As a message part list: `[{type: "text", text} | {type: "image", data, mimeType}]`.
    pub fn content_json(&self) -> Value {
        let part = |part: &Part| match part {
            Part::Image { mime, data } => json!({"type": "image", "data": data, "mimeType": mime}),
            Part::Text(text) => json!({"type": "text", "text": text}),
            Part::ToolCall { name, .. } => json!({"type": "text", "text": name}),
            Part::Thinking(thought) => super::turn::thinking_content(thought),
        };
        Value::Array(self.content.iter().map(part).collect())
    }
}

/// Arguments of a call: a JSON object, read by type. Each error is a sentence for the model.
#[derive(Debug, Clone, Default)]
pub struct Args(pub Map<String, Value>);

impl Args {
    /// From the JSON text a model wrote; empty text means no arguments.
    ///
    /// # Errors
    /// When it is not a JSON object.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err("the arguments are not a JSON object".to_owned()),
            Err(error) => Err(format!("the arguments are not JSON: {error}")),
        }
    }

    /// Everything that was given.
    pub fn all(&self) -> &Map<String, Value> {
        &self.0
    }

    /// What was given for a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A string that must be there; the first name that is there counts.
    ///
    /// # Errors
    /// When none is there, or it is no string.
    pub fn must_text(&self, names: &[&str]) -> Result<&str, String> {
        self.text(names)?
            .ok_or_else(|| format!("missing argument \"{}\"", names.first().unwrap_or(&"?")))
    }

    /// A string that may be there.
    ///
    /// # Errors
    /// When it is no string.
    pub fn text(&self, names: &[&str]) -> Result<Option<&str>, String> {
        match names.iter().find_map(|name| self.0.get(*name).map(|value| (name, value))) {
            None | Some((_, Value::Null)) => Ok(None),
            Some((_, Value::String(text))) => Ok(Some(text)),
            Some((name, _)) => Err(format!("argument \"{name}\" must be a string")),
        }
    }

    /// A whole number from 0 that may be there; numeric strings count, models write them.
    ///
    /// # Errors
    /// When it is something else.
    pub fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let wrong = || format!("argument \"{name}\" must be a whole number from 0");
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| wrong()),
            Some(Value::Number(number)) => {
                let whole = number.as_f64().filter(|f| f.fract() == 0.0 && *f >= 0.0);
                let number = number.as_u64().or_else(|| whole.map(|f| f as u64));
                number.map(Some).ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }

    /// True or false; absent is false.
    ///
    /// # Errors
    /// When it is something else.
    pub fn flag(&self, name: &str) -> Result<bool, String> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(on)) => Ok(*on),
            Some(_) => Err(format!("argument \"{name}\" must be true or false")),
        }
    }
}

/// A schema of an object: `(name, schema, required)`.
pub fn object(fields: &[(&str, Value, bool)]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|(name, schema, _)| ((*name).to_owned(), schema.clone())).collect();
    let required: Vec<&str> =
        fields.iter().filter(|(.., required)| *required).map(|(name, ..)| *name).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// Names under which models write a path, the documented one first.
const PATH: [&str; 3] = ["path", "file_path", "filePath"];

/// Every tool of the house, in the order in which models see them.
pub static TOOLS: &[Tool] = &[
    read::TOOL,
    ls::TOOL,
    find::TOOL,
    grep::TOOL,
    write::TOOL,
    edit::TOOL,
    apply_patch::TOOL,
    memory::SEARCH,
    memory::GET,
    hands::EXEC,
    hands::PROCESS,
    hands::WEB_FETCH,
    host::AGENTS_LIST,
    host::SESSION_STATUS,
    host::SESSIONS_LIST,
    host::SESSIONS_HISTORY,
    host::SESSIONS_SEND,
    host::SESSIONS_SPAWN,
    host::MESSAGE,
];

/// A tool by its name.
pub fn find(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

#[cfg(test)]
mod testing {
    //! What the tests of disk tools share.

    use super::*;
    use crate::store::RealDisk;

    pub(super) use super::place::tests::Scratch;

    /// Runs a tool to its end on the real disk; also how many steps it took.
    pub(super) fn run(tool: &Tool, place: &Place, args: &Value) -> (Output, usize) {
        let How::Disk(start) = tool.how else { panic!("{} is no disk tool", tool.name) };
        let args = Args::parse(&args.to_string()).expect("an object");
        let mut work = match start(place, &args) {
            Ok(work) => work,
            Err(error) => return (Output::error(error), 0),
        };
        for steps in 1..100_000 {
            if let Some(out) = work.step(&mut RealDisk) {
                return (out, steps);
            }
        }
        panic!("{} does not end", tool.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_schemas_are_objects() {
        for (at, tool) in TOOLS.iter().enumerate() {
            assert!(TOOLS.iter().skip(at + 1).all(|other| other.name != tool.name));
            assert_eq!((tool.parameters)()["type"], "object", "{}", tool.name);
            assert!(std::ptr::eq(find(tool.name).expect("found"), tool));
        }
    }

    #[test]
    fn arguments_are_read_by_type() {
        let args =
            Args::parse(r#"{"a": "x", "n": 3.0, "s": "7", "f": true, "o": {}}"#).expect("ok");
        assert_eq!(args.must_text(&["path", "a"]), Ok("x"));
        assert_eq!(args.number("n"), Ok(Some(3)));
        assert_eq!(args.number("s"), Ok(Some(7)));
        assert_eq!(args.flag("f"), Ok(true));
        assert!(args.must_text(&["o"]).is_err() && args.number("a").is_err());
        assert!(args.must_text(&["none"]).expect_err("missing").contains("none"));
        assert!(Args::parse("[]").is_err() && Args::parse("{").is_err());
        assert!(Args::parse(" ").expect("empty").0.is_empty());
    }
}
