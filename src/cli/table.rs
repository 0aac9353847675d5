//! The one table of commands and flags.
//!
//! Parsing, `--help` at every level and the wording of usage errors are made from [`commands`]
//! and [`GLOBALS`], so that none of them can drift from the others. Flags may stand before or
//! after the command words; after them a flag is what the command says of it, before them what the
//! first command with a flag of that name says.
//!
//! ```text
//!   words and flags --> Parsed::Run(Args)  the command, its flags checked against the table
//!                  \--> Parsed::Text       --help or --version: nothing was read yet
//!                  \--> Usage              what is wrong and which help to read
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;

use crate::wire::text::nearest;

use super::Failed;
use super::rows::FAMILIES;
pub use super::rows::GLOBALS;

/// Every command; the root is the first.
pub fn commands() -> impl Iterator<Item = &'static Command> {
    FAMILIES.iter().copied().flatten()
}

/// What stands behind a flag's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: it is on or off.
    Nothing,
    /// Any text; the placeholder for help.
    Text(&'static str),
    /// A text that may be left out: the placeholder for help, and what is taken then.
    Maybe(&'static str, &'static str),
    /// A text that may be given more than once; the values are joined by commas.
    Texts(&'static str),
    /// A text that may be given more than once and may hold anything.
    Each(&'static str),
    /// A whole number within these bounds; the placeholder for help.
    Number(&'static str, u64, u64),
    /// One of these words.
    Word(&'static [&'static str]),
}

/// Stands between the values of a flag that may be given more than once.
const EACH: char = '\u{1f}';

/// One flag.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Name without the dashes.
    pub long: &'static str,
    /// One letter, where there is a short form.
    pub short: Option<char>,
    /// Its value.
    pub takes: Takes,
    /// One line of help; an empty line hides the flag (tolerated for old scripts).
    pub about: &'static str,
}

/// What a command does with its words; its exit code.
pub type Handler = fn(&Args) -> Result<u8, Failed>;

/// One command.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Its words: `["gateway", "status"]`; the root has none.
    pub path: &'static [&'static str],
    /// What happens; nothing for a word that only begins others: it shows its help.
    pub run: Option<Handler>,
    /// One line of help.
    pub about: &'static str,
    /// Names of the words it takes; all are required but those that end in `?`; the last may
    /// come again when it ends in `...`.
    pub operands: &'static [&'static str],
    /// Its own flags.
    pub flags: &'static [Flag],
    /// Lines under the flags in its help.
    pub examples: &'static [&'static str],
}

/// What the words came to.
#[derive(Debug)]
pub enum Parsed {
    /// Run this.
    Run(Args),
    /// Print this and leave: help or version.
    Text(String),
}

/// A command with its flags, checked against the table.
#[derive(Debug, Clone)]
pub struct Args {
    /// The row.
    pub command: &'static Command,
    switches: Vec<&'static str>,
    values: BTreeMap<&'static str, String>,
    /// The words behind the command, as many as [`Command::operands`].
    pub operands: Vec<String>,
}

impl Args {
    /// Whether a switch was given.
    pub fn has(&self, long: &'static str) -> bool {
        debug_assert!(self.knows(long), "{long} is not in the table");
        self.switches.contains(&long)
    }

    /// The value of a flag; an empty one counts as not given.
    pub fn value(&self, long: &'static str) -> Option<&str> {
        debug_assert!(self.knows(long), "{long} is not in the table");
        self.values.get(long).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The values of a flag that may be given more than once.
    pub fn each(&self, long: &'static str) -> Vec<&str> {
        self.value(long).map(|all| all.split(EACH).collect()).unwrap_or_default()
    }

    /// The value of a flag as it was given, also an empty one: some say that it may not be.
    pub fn given(&self, long: &'static str) -> Option<&str> {
        debug_assert!(self.knows(long), "{long} is not in the table");
        self.values.get(long).map(String::as_str)
    }

    /// The value of a flag that this command may not have.
    pub fn optional(&self, long: &'static str) -> Option<&str> {
        self.values.get(long).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of a number flag; it was checked while parsing.
    pub fn number(&self, long: &'static str) -> Option<u64> {
        self.value(long)?.parse().ok()
    }

    /// Whether the table gives the command this flag.
    pub fn knows(&self, long: &str) -> bool {
        self.command.flags.iter().chain(GLOBALS).any(|flag| flag.long == long)
    }
}

/// Words that do not make a command. `Display` says what is wrong and which help to read.
#[derive(Debug, PartialEq, Eq)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads the words behind the program's name.
///
/// # Errors
/// [`Usage`] when they do not fit the table.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Parsed, Usage> {
    let mut parser = lexopt::Parser::from_args(words);
    let mut command: &'static Command = root();
    let mut switches = Vec::new();
    let mut values = BTreeMap::new();
    let mut operands: Vec<String> = Vec::new();
    let mut given: Vec<&'static str> = Vec::new();
    let (mut help, mut version) = (false, false);
    loop {
        let word = match parser.next() {
            Ok(Some(lexopt::Arg::Value(word))) => match word.into_string() {
                Ok(word) => word,
                Err(word) => return Err(usage(command, format!("{word:?} is not UTF-8"))),
            },
            Ok(Some(lexopt::Arg::Long(long))) => {
                let own = command.flags.iter().find(|flag| flag.long == long);
                let Some(name) = own.or_else(|| known(|flag| flag.long == long)) else {
                    return Err(unknown_flag(command, long));
                };
                let long = take(name, command, &mut parser, &mut switches, &mut values)?;
                given.push(long);
                help |= long == "help";
                version |= long == "version";
                continue;
            }
            Ok(Some(lexopt::Arg::Short(short))) => {
                let own = command.flags.iter().find(|flag| flag.short == Some(short));
                let Some(name) = own.or_else(|| known(|flag| flag.short == Some(short))) else {
                    return Err(usage(command, format!("unknown option -{short}")));
                };
                let long = take(name, command, &mut parser, &mut switches, &mut values)?;
                given.push(long);
                help |= long == "help";
                version |= long == "version";
                continue;
            }
            Ok(None) => break,
            Err(error) => return Err(usage(command, error.to_string())),
        };
        if command.path.is_empty() && operands.is_empty() && word == "help" && !help {
            help = true;
        } else if let Some(child) = child(command, &word).filter(|_| operands.is_empty()) {
            command = child;
        } else if operands.len() < command.operands.len() || takes_more(command) {
            operands.push(word);
        } else {
            return Err(unknown_word(command, &word));
        }
    }
    if version {
        return Ok(Parsed::Text(format!("openclaw {}\n", env!("CARGO_PKG_VERSION"))));
    }
    if help || command.run.is_none() {
        return Ok(Parsed::Text(help_text(command)));
    }
    for long in given {
        if !command.flags.iter().chain(GLOBALS).any(|flag| flag.long == long) {
            return Err(unknown_flag(command, long));
        }
    }
    let missing = command.operands.get(operands.len());
    if let Some(missing) = missing.filter(|name| !name.ends_with('?')) {
        return Err(usage(command, format!("`{}` needs a <{missing}>", name(command))));
    }
    Ok(Parsed::Run(Args { command, switches, values, operands }))
}

/// Its last word may be given any number of times: `entries...`, or `targets...?`.
fn takes_more(command: &Command) -> bool {
    command.operands.last().is_some_and(|last| last.trim_end_matches('?').ends_with("..."))
}

/// The help of one command.
pub fn help_text(command: &Command) -> String {
    let mut out = String::new();
    let _ = write!(out, "{}\n\nUsage: {}", command.about, name(command));
    let children: Vec<&Command> = commands()
        .filter(|row| {
            row.path.len() == command.path.len() + 1 && row.path.starts_with(command.path)
        })
        .collect();
    if command.path.is_empty() {
        out.push_str(" <command>");
    } else if !children.is_empty() {
        out.push_str(" [command]");
    }
    for operand in command.operands {
        let _ = match operand.strip_suffix('?') {
            Some(operand) => write!(out, " [{operand}]"),
            None => write!(out, " <{operand}>"),
        };
    }
    out.push_str(" [options]\n");
    if !children.is_empty() {
        out.push_str("\nCommands:\n");
        let rows = children.iter().map(|row| {
            let word = row.path.last().copied().unwrap_or_default();
            (word.to_owned(), row.about)
        });
        columns(&mut out, rows.collect());
    }
    for (title, flags) in [("Options", command.flags), ("Everywhere", GLOBALS)] {
        let rows: Vec<_> = flags
            .iter()
            .filter(|flag| !flag.about.is_empty())
            .map(|flag| (spelled(flag), flag.about))
            .collect();
        if !rows.is_empty() {
            let _ = write!(out, "\n{title}:\n");
            columns(&mut out, rows);
        }
    }
    if !command.examples.is_empty() {
        out.push_str("\nExamples:\n");
        for line in command.examples {
            let _ = writeln!(out, "  {line}");
        }
    }
    if !children.is_empty() {
        let _ = write!(out, "\nMore: {} <command> --help\n", name(command));
    }
    out
}

fn columns(out: &mut String, rows: Vec<(String, &str)>) {
    const WIDE: usize = 34;
    let width = rows.iter().map(|(left, _)| left.len()).filter(|w| *w <= WIDE).max().unwrap_or(0);
    let room = super::page::USUAL - width - 4;
    for (left, right) in rows {
        let mut left = left;
        if left.len() > WIDE {
            let _ = writeln!(out, "  {left}");
            left.clear();
        }
        for line in super::page::wrap(right, room, room, false) {
            let _ = writeln!(out, "  {left:width$}  {line}");
            left.clear();
        }
    }
}

fn spelled(flag: &Flag) -> String {
    let short = flag.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
    let value = match flag.takes {
        Takes::Nothing => String::new(),
        Takes::Text(placeholder)
        | Takes::Texts(placeholder)
        | Takes::Each(placeholder)
        | Takes::Number(placeholder, ..) => {
            format!(" <{placeholder}>")
        }
        Takes::Maybe(placeholder, _) => format!(" [{placeholder}]"),
        Takes::Word(words) => format!(" <{}>", words.join("|")),
    };
    format!("{short}--{}{value}", flag.long)
}

fn root() -> &'static Command {
    // The first row is the root; a test holds it there.
    commands().next().unwrap_or_else(|| unreachable!("the table has a root"))
}

/// Other names of commands at the top.
const ALIASES: [(&str, &str); 1] = [("automations", "cron")];

fn child(parent: &Command, word: &str) -> Option<&'static Command> {
    let word = ALIASES.iter().find(|(from, _)| *from == word).map_or(word, |(_, to)| *to);
    let word = match (parent.path, word) {
        (["cron"], "remove" | "delete") => "rm",
        (_, word) => word,
    };
    commands().find(|row| {
        row.path.split_last().is_some_and(|(last, rest)| *last == word && rest == parent.path)
    })
}

fn known(wanted: impl Fn(&Flag) -> bool) -> Option<&'static Flag> {
    all_flags().find(|flag| wanted(flag))
}

fn all_flags() -> impl Iterator<Item = &'static Flag> {
    GLOBALS.iter().chain(commands().flat_map(|command| command.flags))
}

/// Notes a flag and its value. The row of the final command judges the value where it has one
/// of its own; until then any row with this name does, and only bounds may differ.
fn take(
    flag: &'static Flag,
    command: &Command,
    parser: &mut lexopt::Parser,
    switches: &mut Vec<&'static str>,
    values: &mut BTreeMap<&'static str, String>,
) -> Result<&'static str, Usage> {
    let flag = command.flags.iter().find(|own| own.long == flag.long).unwrap_or(flag);
    if flag.takes == Takes::Nothing {
        switches.push(flag.long);
        return Ok(flag.long);
    }
    let value = match flag.takes {
        Takes::Maybe(_, unsaid) => value_or(parser, unsaid),
        _ => parser.value().map_err(|_| {
            let what = format!("--{} needs a value: {}", flag.long, spelled(flag).trim());
            usage(command, what)
        })?,
    };
    let value = value
        .into_string()
        .map_err(|_| usage(command, format!("the value of --{} is not UTF-8", flag.long)))?;
    match flag.takes {
        Takes::Number(_, min, max) => {
            if !value.parse().is_ok_and(|number: u64| (min..=max).contains(&number)) {
                let what = format!(
                    "--{} takes a number from {min} to {max}, not `{}`",
                    flag.long,
                    shown(&value)
                );
                return Err(usage(command, what));
            }
        }
        Takes::Word(words) => {
            if !words.contains(&value.as_str()) {
                let what = format!(
                    "--{} takes one of {}, not `{}`",
                    flag.long,
                    words.join(", "),
                    shown(&value)
                );
                return Err(usage(command, what));
            }
        }
        Takes::Each(_) => {
            let before = values.get(flag.long).map(|before| format!("{before}{EACH}"));
            let value = before.unwrap_or_default() + &value;
            values.insert(flag.long, value);
            return Ok(flag.long);
        }
        Takes::Texts(_) => {
            let before = values.get(flag.long).map(|before| format!("{before},"));
            let value = before.unwrap_or_default() + &value;
            values.insert(flag.long, value);
            return Ok(flag.long);
        }
        Takes::Nothing | Takes::Text(_) | Takes::Maybe(..) => {}
    }
    values.insert(flag.long, value);
    Ok(flag.long)
}

/// The next word, unless it is another flag or there is none.
fn value_or(parser: &mut lexopt::Parser, unsaid: &str) -> OsString {
    if let Some(value) = parser.optional_value() {
        return value;
    }
    let next = parser.try_raw_args().and_then(|mut words| {
        let plain = words.peek().is_some_and(|word| !word.to_string_lossy().starts_with('-'));
        plain.then(|| words.next()).flatten()
    });
    next.unwrap_or_else(|| OsString::from(unsaid))
}

/// What was typed, fit for a terminal.
fn shown(word: &str) -> String {
    crate::wire::text::escape_log(word, 80)
}

/// The words of a command as typed.
pub fn name(command: &Command) -> String {
    let mut name = "openclaw".to_owned();
    for word in command.path {
        name.push(' ');
        name.push_str(word);
    }
    name
}

fn unknown_flag(command: &Command, long: &str) -> Usage {
    let own = command.flags.iter().chain(GLOBALS).map(|flag| flag.long);
    // A command that only groups others is asked through its children.
    let candidates: Vec<&str> = if command.path.is_empty() {
        all_flags().map(|flag| flag.long).collect()
    } else {
        own.collect()
    };
    let mut what = format!("unknown option --{} for `{}`", shown(long), name(command));
    if let Some(near) = nearest(long, candidates).filter(|near| *near != long) {
        let _ = write!(what, "; did you mean --{near}?");
    }
    usage(command, what)
}

fn unknown_word(command: &Command, word: &str) -> Usage {
    let words = commands()
        .filter_map(|row| row.path.split_last())
        .filter(|(_, rest)| *rest == command.path)
        .map(|(last, _)| *last);
    let mut what = if command.path.is_empty() {
        format!("unknown command `{}`", shown(word))
    } else {
        format!("`{}` does not take `{}`", name(command), shown(word))
    };
    if let Some(near) = nearest(word, words) {
        let _ = write!(what, "; did you mean `{} {near}`?", name(command));
    }
    usage(command, what)
}

fn usage(command: &Command, what: String) -> Usage {
    Usage(format!("{what}\nRun: {} --help", name(command)))
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
