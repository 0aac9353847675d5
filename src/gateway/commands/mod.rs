//! Slash commands: what a message that begins with `/` does without asking a model.
//!
//! ```text
//!   message --read--> Command --act--> Say(text)            one chat final, kept in the transcript
//!                                      Fresh(text)          the session began anew; one chat final
//!                                      Go(message)          what stood behind it becomes a run
//! ```
//!
//! The table [`COMMANDS`] is what `/help`, `/commands`, `commands.list` and `chat.metadata`
//! show. A word that is not in it is no command, and goes to the model like any text.
//! Documented in the reference's docs/tools/slash-commands.md.

mod act;
mod say;

use crate::protocol::NEWEST;
use crate::protocol::operations::find;
use serde_json::{Value, json};

pub(super) use act::Outcome;
pub(super) use say::Call;

/// Which command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Commands,
    Compact,
    Context,
    Help,
    Model,
    Models,
    New,
    Queue,
    Reasoning,
    Rename,
    Reset,
    Status,
    Stop,
    Think,
    Usage,
    Verbose,
    Whoami,
}

/// A row of the table.
pub(super) struct Row {
    name: Name,
    /// Its words without the slash; the first is the name people see.
    words: &'static [&'static str],
    category: &'static str,
    about: &'static str,
    /// Name, meaning and allowed words of its argument, if it takes one.
    arg: Option<(&'static str, &'static str, &'static [&'static str])>,
}

const fn row(
    name: Name,
    words: &'static [&'static str],
    category: &'static str,
    about: &'static str,
    arg: Option<(&'static str, &'static str, &'static [&'static str])>,
) -> Row {
    Row { name, words, category, about, arg }
}

/// `/queue`, as in the reference.
const QUEUE_MODES: &[&str] = &["steer", "followup", "collect", "interrupt", "default"];

/// Every command.
const COMMANDS: &[Row] = &[
    row(Name::Help, &["help"], "status", "Show what can be typed here.", None),
    row(Name::Commands, &["commands"], "status", "List every command.", None),
    row(Name::Status, &["status"], "status", "Show session, model and usage.", None),
    row(Name::Whoami, &["whoami", "id"], "status", "Show who you are to this gateway.", None),
    row(Name::Context, &["context"], "status", "Show what fills the context.", None),
    row(
        Name::Usage,
        &["usage"],
        "status",
        "Show tokens and cost, or set the footer of answers.",
        Some(("mode", "off, tokens, full, reset or cost", USAGE)),
    ),
    row(Name::Stop, &["stop"], "session", "Stop the run of this session.", None),
    row(
        Name::New,
        &["new"],
        "session",
        "Start anew; a model or a message may follow.",
        Some(("message", "a model, a message, or both", &[])),
    ),
    row(
        Name::Reset,
        &["reset"],
        "session",
        "Empty this session; a message may follow.",
        Some(("message", "the first message afterwards", &[])),
    ),
    row(Name::Rename, &["name"], "session", "Name this session.", Some(("title", "the name", &[]))),
    row(
        Name::Compact,
        &["compact"],
        "session",
        "Replace what was said earlier by its summary.",
        Some(("instructions", "what the summary must keep", &[])),
    ),
    row(
        Name::Model,
        &["model"],
        "options",
        "Show or choose the model of this session.",
        Some(("model", "provider/model, an alias, or default", &[])),
    ),
    row(
        Name::Models,
        &["models"],
        "options",
        "List the models.",
        Some(("provider", "only those of this provider", &[])),
    ),
    row(
        Name::Think,
        &["think", "thinking", "t"],
        "options",
        "Set how much the model thinks.",
        Some(("level", "off, minimal, low, medium, high or default", &[])),
    ),
    row(
        Name::Verbose,
        &["verbose", "v"],
        "options",
        "Tell more of what a run does.",
        Some(("mode", "on, off or full", &["on", "off", "full"])),
    ),
    row(
        Name::Reasoning,
        &["reasoning", "reason"],
        "options",
        "Show the model's reasoning.",
        Some(("mode", "on, off or stream", &["on", "off", "stream"])),
    ),
    row(
        Name::Queue,
        &["queue"],
        "options",
        "Say what a message does while a run is under way.",
        Some(("mode", "steer, followup, collect, interrupt or default", QUEUE_MODES)),
    ),
];

/// `/usage`.
const USAGE: &[&str] = &["off", "tokens", "full", "reset", "cost"];

/// A command as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Command<'a> {
    pub(super) name: Name,
    /// What stands behind it, trimmed.
    pub(super) args: &'a str,
}

impl<'a> Command<'a> {
    /// The command that a message is. One within other text is text.
    pub(super) fn read(message: &'a str) -> Option<Self> {
        let rest = message.trim().strip_prefix('/')?;
        let end = rest.find(|c: char| c.is_whitespace() || c == ':').unwrap_or(rest.len());
        let (word, args) = rest.split_at_checked(end)?;
        let word = word.to_ascii_lowercase();
        let row = COMMANDS.iter().find(|row| row.words.contains(&word.as_str()))?;
        // `/think: high` is what people write, too.
        let args = args.strip_prefix(':').unwrap_or(args).trim();
        (row.arg.is_some() || args.is_empty()).then_some(Self { name: row.name, args })
    }
}

impl Command<'_> {
    /// The scope of the operation that does the same: what is typed may do no more than what is
    /// called. `None` for what only shows.
    pub(super) fn needs(self) -> Option<&'static str> {
        let (method, field) = match self.name {
            Name::New | Name::Reset => ("sessions.reset", None),
            Name::Compact => ("sessions.compact", None),
            Name::Stop => ("chat.abort", None),
            Name::Model => ("sessions.patch", Some("model")),
            Name::Think => ("sessions.patch", Some("thinkingLevel")),
            Name::Rename => ("sessions.patch", Some("label")),
            Name::Verbose => ("sessions.patch", Some("verboseLevel")),
            Name::Reasoning => ("sessions.patch", Some("reasoningLevel")),
            Name::Queue => ("sessions.patch", Some("queueMode")),
            Name::Usage if self.args != "cost" => ("sessions.patch", Some("responseUsage")),
            Name::Usage
            | Name::Commands
            | Name::Context
            | Name::Help
            | Name::Models
            | Name::Status
            | Name::Whoami => return None,
        };
        if field.is_some() && self.args.is_empty() {
            return None;
        }
        let field = field.map(|field| (field.to_owned(), Value::Null));
        let row = find(method, NEWEST)?;
        row.needs(&field.into_iter().collect())
    }
}

/// The table as `commands.list` has it.
pub(super) fn catalog(with_args: bool) -> Value {
    COMMANDS
        .iter()
        .map(|row| {
            let first = row.words.first().copied().unwrap_or_default();
            let aliases: Vec<String> = row.words.iter().map(|word| format!("/{word}")).collect();
            let mut entry = json!({
                "name": first, "nativeName": first, "textAliases": aliases,
                "description": row.about, "category": row.category, "source": "native",
                "scope": "both", "acceptsArgs": row.arg.is_some(),
            });
            if let (Some((name, about, words)), true) = (row.arg, with_args) {
                let mut arg = json!({"name": name, "description": about, "type": "string"});
                if !words.is_empty() {
                    let choices: Vec<Value> =
                        words.iter().map(|word| json!({"value": word, "label": word})).collect();
                    arg["choices"] = json!(choices);
                }
                entry["args"] = json!([arg]);
            }
            entry
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_message_is_a_command() {
        let read = |text| Command::read(text).map(|command| (command.name, command.args));
        assert_eq!(read("/status"), Some((Name::Status, "")));
        assert_eq!(read("  /NEW  hello there\n"), Some((Name::New, "hello there")));
        assert_eq!(read("/t:high"), Some((Name::Think, "high")));
        assert_eq!(read("/think high"), Some((Name::Think, "high")));
        assert_eq!(read("/compact\nkeep names"), Some((Name::Compact, "keep names")));
        for text in
            ["please /status", "/", "/nothing", "//status", "/status of the war", "status", "/ é"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_command_takes_what_its_operation_takes() {
        for (text, needs) in [
            ("/status", None),
            ("/model", None),
            ("/model x/y", Some("operator.write")),
            ("/think high", Some("operator.write")),
            ("/verbose", None),
            ("/verbose full", Some("operator.admin")),
            ("/queue steer", Some("operator.admin")),
            ("/usage cost", None),
            ("/usage off", Some("operator.admin")),
            ("/new", Some("operator.admin")),
            ("/reset soft", Some("operator.admin")),
            ("/compact", Some("operator.admin")),
            ("/stop", Some("operator.write")),
        ] {
            assert_eq!(Command::read(text).expect(text).needs(), needs, "{text}");
        }
    }

    #[test]
    fn services_show_the_same_menu() {
        let own: Vec<(&str, &str)> = COMMANDS.iter().map(|row| (row.words[0], row.about)).collect();
        assert_eq!(own, crate::channels::menu::COMMANDS);
    }

    #[test]
    fn words_are_unique_and_the_catalog_has_all() {
        let mut words: Vec<&str> = COMMANDS.iter().flat_map(|row| row.words).copied().collect();
        let all = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all);
        let catalog = catalog(true);
        assert_eq!(catalog.as_array().map(Vec::len), Some(COMMANDS.len()));
        assert_eq!(catalog[0]["textAliases"], json!(["/help"]));
        let queue = catalog.as_array().into_iter().flatten().find(|row| row["name"] == "queue");
        assert_eq!(queue.expect("there")["args"][0]["choices"][0]["value"], "steer");
    }
}
